/*
 * PEBS records of simulated misses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sim.h"

/* PEBS: a buffer for one record, with the groups "basic" and "memory" */
#define DATA_MEMORY     1
#define DATA_GPRS       2
#define LATENCY         32
#define SOURCE_L1       0x1
#define SOURCE_L2       0x3
#define SOURCE_L3       0x4
#define SOURCE_MEMORY   0xa
#define SOURCE_NOT_L1   0       /* a store */
#define SOURCE_WALK     0x10

struct record {
    uint64_t format, ip, counters, tsc;
    uint64_t address, source, latency, tsx;
};

#define NR_RECORDS      20

static struct record records[NR_RECORDS + 1] __attribute__((aligned(64)));
static uint64_t ds[32] __attribute__((aligned(64)));

/* The @n-th event of counter 0 makes a record; others make none. */
static void arm_record(unsigned n)
{
    arm(n);
    wrmsr(MSR_PERFEVTSEL0, rdmsr(MSR_PERFEVTSEL0) | EVTSEL_ADAPTIVE);
    ds[4] = ds[5] = (uintptr_t)records;
    ds[6] = (uintptr_t)&records[2];
    ds[7] = (uintptr_t)&records[1];
    ds[8] = 0;
    memset(records, 0, sizeof(records));
    wrmsr(MSR_DS_AREA, (uintptr_t)ds);
    wrmsr(MSR_PEBS_DATA_CFG, DATA_MEMORY);
    wrmsr(MSR_PEBS_ENABLE, 1);
}

static void stop(void)
{
    wrmsr(MSR_PEBS_ENABLE, 0);
    clear_counters();
}

static void check_record(const char *name, void *address, uint64_t source)
{
    if (!result(ds[5] == (uintptr_t)&records[1] &&
                records[0].address == (uintptr_t)address &&
                records[0].source == source, "a record of %s", name)) {
        print("#   address 0x%lx, want 0x%lx; source 0x%lx, want 0x%lx\n",
              records[0].address, (uintptr_t)address, records[0].source,
              source);
    }
    stop();
}

/* Records of loads, for which the simulation is on */
static void record_load(const char *name, char *at, uint64_t source)
{
    COUNT(EV_LOADS);
    arm_record(1);
    loads(at, 1, LINE, 1);
    check_record(name, at, source);
}

/* Records of mispredicted branches have the branch's address. */
static void test_branch_records(void)
{
    COUNT(EV_MISP_IND);
    arm_record(3);
    indirect(50, true);
    check(records[0].ip, place_of(indirect, "\xff\xe6", 2),
          "a record of an indirect jump");
    clear_counters();
    COUNT(EV_MISP_RET);
    arm_record(1);
    other_return();
    check(records[0].ip, place_of(other_return, "\xc3\x0f\x0b", 3),
          "a record of a return");
    stop();
}

static void test_levels(void)
{
    char *at = take((l1d.ways + 1) * l1d.sets * LINE, 8);
    char *far = take((l2.ways + 1) * l2.sets * LINE, 16);
    char *near = take(6 * LINE, 24);

    COUNT(EV_LOAD_MEMORY);
    arm_record(3);
    loads(at, l1d.ways + 1, l1d.sets * LINE, 1);
    check_record("the third miss", at + 2 * l1d.sets * LINE, SOURCE_MEMORY);
    /* All of them, since nothing is simulated behind the interrupt. */
    COUNT(EV_LOAD_L2);
    loads(at, l1d.ways + 1, l1d.sets * LINE, 1);
    clear_counters();
    arm_record(1);
    loads(at, 1, LINE, 1);
    check_record("a hit in the second level", at, SOURCE_L2);
    COUNT(EV_RFO);
    arm_record(2);
    stores(far, l2.ways + 1, l2.sets * LINE, 1);
    check_record("the second store", far + l2.sets * LINE, SOURCE_NOT_L1);
    map_pages((uintptr_t)take(PAGE, 0), 0);
    COUNT(EV_LOAD_WALK);
    arm_record(4);
    loads((char *)SMALL_AT, 20, PAGE, 1);
    check_record("a walk", (char *)SMALL_AT + 3 * PAGE,
                 SOURCE_L1 | SOURCE_WALK);

    COUNT(EV_LOAD_L3);
    loads(far, l2.ways + 1, l2.sets * LINE, 1);
    loads(near, 1, LINE, 1);
    clear_counters();
    loads(far, 1, LINE, 1);
    WANT("a load of the last level", 1);
    record_load("a load of the first level", far, SOURCE_L1);
    record_load("a load of the last level", far + l2.sets * LINE, SOURCE_L3);
    record_load("a load of memory", near + LINE, SOURCE_MEMORY);
    record_load("a load of two lines", near + 3 * LINE - 4, SOURCE_MEMORY);
}

/* A record at each miss, and no interrupt: nobody looks at them meanwhile. */
static void test_many_records(void)
{
    char *at = take(NR_RECORDS * LINE, 24);
    unsigned i = 0;

    COUNT(EV_LOAD_MEMORY);
    arm_record(1);
    ds[6] = ds[7] = (uintptr_t)&records[NR_RECORDS];
    ds[8] = COUNTER_MASK;
    loads(at, NR_RECORDS, LINE, 1);
    while (i < NR_RECORDS && records[i].address == (uintptr_t)at + i * LINE) {
        i++;
    }
    check(i, NR_RECORDS, "a record of each load of memory");
    stop();
}

/* WRMSR of a register of the PMU is the instruction whose code is not there. */
static void test_wrmsr(void)
{
    char *at = take(2 * LINE, 24);
    const uint64_t *next = (const uint64_t *)&records[1] + 1;

    /* WRMSR, and a jump back */
    memcpy(at, "\x0f\x30\xff\xe3", 4);
    COUNT(EV_CODE_MISS);
    jumps(chain(at + LINE, 1, LINE), 1);
    clear_counters();
    arm_record(1);
    wrmsr(MSR_PEBS_DATA_CFG, DATA_MEMORY | DATA_GPRS);
    ds[6] = (uintptr_t)&records[8];
    jumps(at, 1);
    check(records[0].ip, (uintptr_t)at, "a record of WRMSR");
    check(*next, (uintptr_t)at + 2, "a record of WRMSR: RIP");
    stop();
}

/* An atomic operation of a device is done once more: the record is of then. */
static void test_device(void)
{
    const uint64_t *gprs = (const uint64_t *)&records[1];

    COUNT(EV_LOAD_WALK);
    reload_cr3();
    arm_record(1);
    wrmsr(MSR_PEBS_DATA_CFG, DATA_MEMORY | DATA_GPRS);
    ds[6] = (uintptr_t)&records[8];
    change_device((char *)APIC + APIC_ID);
    result(gprs[1] && gprs[1] == gprs[5],
           "a record of an atomic operation of a device: RIP and RBX");
    stop();
}

/* One instruction loads and stores, and two counters overflow: one record. */
static void test_two_accesses(void)
{
    char *from = take(LINE, 24), *to = take(LINE, 32);

    COUNT(EV_LOADS, EV_RFO);
    arm_record(1);
    wrmsr(MSR_PERFEVTSEL0 + 1, EV_RFO | EVTSEL_ADAPTIVE | EVTSEL_INT |
          EVTSEL_OS | EVTSEL_EN);
    wrmsr(MSR_PMC0 + 1, COUNTER_MASK);
    wrmsr(MSR_PEBS_ENABLE, 3);
    asm volatile("wrmsr; movsq; xor %%eax, %%eax; wrmsr"
                 : : "a"((uint32_t)counters()), "d"(0), "c"(MSR_GLOBAL_CTRL),
                     "S"(from), "D"(to) : "memory");
    result(records[0].counters == 3 && records[0].latency == LATENCY,
           "a record of two counters");
    check_record("a load and a store", to, SOURCE_NOT_L1);
}

/* A 64-bit code segment whose descriptor has a base, which means nothing. */
static void test_based_code(void)
{
    char *at = take(LINE, 24);

    *(uint64_t *)(gdt + SEL_FREE) = UINT64_C(0x00af9b100000ffff);
    COUNT(EV_LOAD_MEMORY);
    arm_record(1);
    asm volatile("pushq %[based]; lea 1f(%%rip), %%rbx; push %%rbx; lretq;"
                 "1: call loads;"
                 "pushq %[normal]; lea 2f(%%rip), %%rbx; push %%rbx; lretq; 2:"
                 : "+D"(at)
                 : [based] "i"(SEL_FREE), [normal] "i"(SEL_KERNEL),
                   "S"(UINT64_C(1)), "d"((uint64_t)LINE), "c"(UINT64_C(1))
                 : "rax", "rbx", "r8", "r9", "r10", "r11", "cc", "memory");
    check(records[0].ip, place_of(loads, "\x4c\x8b\x06", 3),
          "a record in a code segment with a base");
    stop();
}

void test_records(void)
{
    trap_hook = on_nmi;
    test_levels();
    test_branch_records();
    test_many_records();
    test_wrmsr();
    test_device();
    test_two_accesses();
    test_based_code();
    trap_hook = NULL;
}
