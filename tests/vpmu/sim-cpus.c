/*
 * Simulated caches and rings, other CPUs, other modes, devices
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sim.h"

#define LINES           100

/* What the second CPU is to load */
static void *ap_at;
static unsigned ap_n;
/* How often it has been asked to, and has done so */
static unsigned ap_asked, ap_done;
/* What it has counted */
static uint64_t ap_counts[3];

void ap_main(struct cpu *cpu)
{
    for (;;) {
        while (__atomic_load_n(&ap_asked, __ATOMIC_ACQUIRE) == ap_done) {
            pause();
        }
        clear_counters();
        loads(ap_at, ap_n, LINE, 1);
        for (unsigned i = 0; i < ARRAY_SIZE(ap_counts); i++) {
            ap_counts[i] = rdmsr(MSR_PERFCTR0 + i);
        }
        __atomic_store_n(&ap_done, ap_asked, __ATOMIC_RELEASE);
    }
}

/* Have the second CPU load @n lines, and look at what it has counted. */
static void ap_loads(const char *name, void *at, unsigned n, uint64_t want0,
                     uint64_t want1, uint64_t want2)
{
    ap_at = at;
    ap_n = n;
    __atomic_store_n(&ap_asked, ap_asked + 1, __ATOMIC_RELEASE);
    while (__atomic_load_n(&ap_done, __ATOMIC_ACQUIRE) != ap_asked) {
        pause();
    }
    if (!result(ap_counts[0] == want0 && ap_counts[1] == want1 &&
                ap_counts[2] == want2, "%s", name)) {
        print("#   got %lu %lu %lu, want %lu %lu %lu\n", ap_counts[0],
              ap_counts[1], ap_counts[2], want0, want1, want2);
    }
}

static void test_shared_level(void)
{
    char *at = take(LINES * LINE, 24);
    char *others = take((llc.ways + 1) * llc.sets * LINE, 24);

    COUNT(EV_LOAD_L2, EV_LOAD_L3, EV_LOAD_MEMORY);
    ap_loads("another CPU's loads of memory", at, LINES, 0, 0, LINES);
    loads(at, LINES, LINE, 1);
    WANT("loads of what another CPU has loaded", 0, LINES, 0);
    loads(at, LINES, LINE, 1);
    WANT("the same again", 0, 0, 0);
    ap_loads("another CPU's loads of the first level", at, LINES, 0, 0, 0);

    /* The set of the first of these lines, in every level but that CPU's own */
    loads(others, llc.ways + 1, llc.sets * LINE, 1);
    clear_counters();
    ap_loads("what was displaced from the last level", at, 1, 0, 0, 0);
    loads(at, 1, LINE, 1);
    WANT("the same, on the CPU that displaced it", 0, 0, 1);
}

static void test_init(void)
{
    char *at = take(LINES * LINE, 24);

    COUNT(EV_LOAD_WALK, EV_LOAD_L2, EV_LOAD_MEMORY);
    ap_loads("another CPU's page", at, LINES, 1, 0, LINES);
    ap_loads("the same again", at, LINES, 0, 0, 0);
    restart_cpus();
    ap_loads("INIT: the TLB is empty, the caches are not", at, LINES, 1, 0, 0);
}

/* Rings */

static char *ring_at;

/* LINES / 2 loads at ring_at; it may access nothing else but its stack. */
static void __attribute__((naked)) ring_loads(void)
{
    asm("mov %[at], %%rsi; mov %[n], %%edi;"
        "1: mov (%%rsi), %%r8; add %[line], %%rsi; dec %%edi; jnz 1b; ret"
        : : [at] "m"(ring_at), [n] "i"(LINES / 2), [line] "i"(LINE));
}

static void count_ring(const char *name, bool user)
{
    static const uint32_t events[] = { EV_REPLACEMENT, EV_REPLACEMENT };
    char *at = take(LINES * LINE, 24);

    count_events(events, ARRAY_SIZE(events));
    wrmsr(MSR_PERFEVTSEL0, EV_REPLACEMENT | EVTSEL_USR | EVTSEL_EN);
    /* All that goes with it is in the caches then. */
    ring_at = at;
    run_code(&cpus[0], ring_loads, user, 0, counters());
    run_code(&cpus[0], ring_loads, user, 0, counters());
    wrmsr(MSR_PERFCTR0, 0);
    wrmsr(MSR_PERFCTR0 + 1, 0);
    ring_at = at + LINES / 2 * LINE;
    run_code(&cpus[0], ring_loads, user, 0, counters());
    /* ring_at itself has been stored to, and is there. */
    WANT(name, user ? LINES / 2 : 0, user ? 0 : LINES / 2);
}

/* Code that is stored to, and a device */

static void test_stores_to_code(void)
{
    char *at = chain(take(LINE, 40), 1, LINE);

    COUNT(EV_RFO, EV_RFO_L2_MISS, EV_CODE_MISS);
    jumps(at, 1);
    clear_counters();
    stores(at + LINE / 2, 1, LINE, 1);
    WANT("a store to code", 1, 0, 0);
    jumps(at, 1);
    WANT("code that was stored to", 0, 0, 0);
}

void __attribute__((noinline)) change_device(char *device)
{
    asm volatile("lea 1f(%%rip), %%rbx; wrmsr; lock orl $0, (%[device]);"
                 "1: xor %%eax, %%eax; wrmsr"
                 : : [device] "r"(device), "a"((uint32_t)counters()), "d"(0),
                     "c"(MSR_GLOBAL_CTRL) : "rbx", "memory");
}

static void test_device(void)
{
    char *device = (char *)APIC + APIC_ID;

    COUNT(EV_REPLACEMENT, EV_REFERENCES, EV_LOAD_WALK);
    reload_cr3();
    loads(device, 1, LINE, 10);
    WANT("loads from a device", 0, 0, 1);

    /* An atomic operation of a device is executed once more, by itself. */
    reload_cr3();
    COUNT(EV_LOAD_WALK, EV_STORE_WALK);
    change_device(device);
    WANT("an atomic operation of a device", 1, 0);
    reload_cr3();
    arm(1);
    change_device(device);
    result(hits == 1 && hit.rip == hit.rbx,
           "overflow at an atomic operation of a device");

    reload_cr3();
    COUNT(EV_LOAD_WALK);
    arm(1);
    loads(device, 1, LINE, 1);
    check_load_hit("overflow at a load from a device", 1, 1);
}

static void test_smm(void)
{
    char *at = take(LINES * LINE, 24);

    COUNT(EV_LOAD_WALK, EV_LOAD_MEMORY);
    loads(at, LINES, LINE, 1);
    clear_counters();
    loads(at, LINES, LINE, 1);
    WANT("a page that is there", 0, 0);
    apic_write(APIC_ICR, APIC_SELF_SMI);
    loads(at, LINES, LINE, 1);
    WANT("after System Management Mode", 1, 0);
}

void test_worlds(void)
{
    count_ring("misses in ring 0", false);
    count_ring("misses in ring 3", true);
    test_stores_to_code();
    test_device();
    test_smm();
    if (nr_cpus == 1) {
        skip("the last level with another CPU", "one CPU");
        return;
    }
    start_cpus();
    test_shared_level();
    test_init();
}
