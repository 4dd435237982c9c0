/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: what a guest counts, and when perf is asked
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "handover.h"

void test_counts(void)
{
    unsigned insns, cycles, branches, fixed, rdpmc;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_program(&vm, 1, EVENT_CYCLES, 0x123456789);
    guest_program(&vm, 2, EVENT_BRANCHES, 0);
    vm_op(&vm, OP_WRMSR, MSR_FIXED(0), 5);
    vm_op(&vm, OP_WRMSR, MSR_FIXED_CTRL, 0x002);
    guest_enable(&vm, 7 | 1ull << 32);
    guest_loop(&vm, TURNS);
    rdpmc = vm_op(&vm, OP_RDPMC, 0, 0);
    guest_enable(&vm, 0);
    insns = guest_read(&vm, 0);
    cycles = guest_read(&vm, 1);
    branches = guest_read(&vm, 2);
    fixed = vm_op(&vm, OP_RDMSR, MSR_FIXED(0), 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, insns), USER_INSNS(TURNS));
    COUNT(&vm, vm_result(&vm, rdpmc), USER_INSNS(TURNS));
    CYCLES(vm_result(&vm, cycles), 0x123456789);
    COUNT(&vm, vm_result(&vm, branches), USER_BRANCHES(TURNS));
    COUNT(&vm, vm_result(&vm, fixed), 5 + USER_INSNS(TURNS));
    vm_destroy(&vm);
}

static void program_rings(VM *vm, unsigned i, uint64_t event, unsigned rings)
{
    vm_op(vm, OP_WRMSR, MSR_PMC(i), 0);
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(i), event | rings | EVTSEL_EN);
}

/* The guest leaves and enters again within ring 0, and loops in ring 3. */
static void check_rings(VM *vm)
{
    const unsigned exits = 50;
    const uint64_t insns = START_INSNS + exits * RDMSR_INSNS + KERNEL_INSNS +
                           STOP_INSNS;
    const uint64_t branches = START_BRANCHES + exits * RDMSR_BRANCHES +
                              KERNEL_BRANCHES + STOP_BRANCHES;
    unsigned result[5];

    program_rings(vm, 0, EVENT_INSTRUCTIONS, EVTSEL_OS);
    program_rings(vm, 1, EVENT_BRANCHES, EVTSEL_OS);
    program_rings(vm, 2, EVENT_INSTRUCTIONS, EVTSEL_OS | EVTSEL_USR);
    program_rings(vm, 3, EVENT_INSTRUCTIONS, EVTSEL_USR);
    program_rings(vm, 4, EVENT_CYCLES, EVTSEL_OS);
    guest_enable(vm, 0x1f);
    for (unsigned i = 0; i < exits / 2; i++) {
        vm_op(vm, OP_RDMSR, MSR_FIXED_CTRL, 0);
    }
    guest_loop(vm, TURNS);
    for (unsigned i = 0; i < exits / 2; i++) {
        vm_op(vm, OP_RDMSR, MSR_FIXED_CTRL, 0);
    }
    guest_enable(vm, 0);
    for (unsigned i = 0; i < 5; i++) {
        result[i] = guest_read(vm, i);
    }
    vm_execute(vm);
    COUNT(vm, vm_result(vm, result[0]), insns);
    COUNT(vm, vm_result(vm, result[1]), branches);
    COUNT(vm, vm_result(vm, result[2]), insns + USER_INSNS(TURNS));
    COUNT(vm, vm_result(vm, result[3]), USER_INSNS(TURNS));
    if (!silicon) {
        /* KVM does not count cycles of what it executes. */
        EQUAL(vm_result(vm, result[4]), insns - 1 - exits);
    }
    vm_destroy(vm);
}

void test_rings(void)
{
    VM vm;

    guest_create(&vm);
    check_rings(&vm);
    vm_create(&vm, NULL);
    guest_enable(&vm, 0);
    check_rings(&vm);
}

void test_all_counters(void)
{
    struct kvm_vpmu_handover_map map;
    VM vm;

    guest_create(&vm);
    guest_count_all(&vm, ALL_GP);
    vm_map(&vm, &map);
    for (unsigned i = 0; i < NR_GP; i++) {
        TRUE(map.gp[i].ppmc >= 0 && map.gp[i].ppmc < NR_GP);
        EQUAL(map.gp[i].path, KVM_VPMU_PATH_IDLE);
    }
    EQUAL(vm_stat(&vm, "hand-overs"), NR_GP);
    vm_destroy(&vm);
}

/* On and off, other rings, another value: perf is not asked for anything. */
void test_reuse(void)
{
    unsigned n = 50, result, asked;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    guest_run(&vm, TURNS);
    asked = vm_stat(&vm, "control-writes-reprogrammed");
    for (unsigned i = 0; i < n; i++) {
        /* The value is overwritten. */
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_OS |
              EVTSEL_EN);
        guest_loop(&vm, 10);
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_USR);
        vm_op(&vm, OP_WRMSR, MSR_PMC(0), 1000);
        guest_loop(&vm, 10);
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | USER);
        guest_loop(&vm, TURNS);
        guest_enable(&vm, 0);
        guest_loop(&vm, 10);
        guest_enable(&vm, 1);
        guest_loop(&vm, TURNS);
        result = guest_read(&vm, 0);
    }
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), 1000 + 2 * USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    EQUAL(vm_stat(&vm, "control-writes-reprogrammed"), asked);
    TRUE(vm_stat(&vm, "control-writes-direct") >= 5 * n);
    TRUE(vm_stat(&vm, "reuses") >= 2 * n);
    vm_destroy(&vm);
}

/* Another event that may be on any counter takes over the same perf event. */
void test_other_event(void)
{
    unsigned insns, branches, loads;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    guest_loop(&vm, TURNS);
    insns = guest_read(&vm, 0);
    guest_program(&vm, 0, EVENT_BRANCHES, 0);
    guest_loop(&vm, TURNS);
    branches = guest_read(&vm, 0);
    guest_program(&vm, 0, EVENT_LOADS, 0);
    guest_loop(&vm, TURNS);
    loads = guest_read(&vm, 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, insns), USER_INSNS(TURNS));
    COUNT(&vm, vm_result(&vm, branches), USER_BRANCHES(TURNS));
    /* The loop itself has no loads. */
    COUNT(&vm, vm_result(&vm, loads), edges.loads);
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    /* For the first event, and for the last: not every counter counts that. */
    EQUAL(vm_stat(&vm, "control-writes-reprogrammed"), 2);
    vm_destroy(&vm);
}

static void check_one_overflow(unsigned period)
{
    unsigned result;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT,
                  period_start(period));
    guest_enable(&vm, 1);
    guest_loop(&vm, TURNS);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 1);
    EQUAL(vm_read32(&vm, GUEST_STATUS), 1);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS) - period);
    EQUAL(vm_stat(&vm, "pmis"), 1);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    vm_destroy(&vm);
}

/* The guest's handler sets the counter anew. */
static void check_overflows(void)
{
    /* Silicon comes late by hundreds of instructions. */
    const unsigned period = silicon ? 3010 : 301;
    unsigned result;
    VM vm;

    guest_create(&vm);
    guest_rearm(&vm, period_start(period));
    guest_program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT,
                  period_start(period));
    guest_enable(&vm, 1);
    guest_loop(&vm, 10 * TURNS);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    RECORDS(vm_read32(&vm, GUEST_NMIS), USER_INSNS(10 * TURNS) / period);
    check_periods(&vm, USER_INSNS(10 * TURNS), period,
                  vm_read32(&vm, GUEST_NMIS), vm_result(&vm, result));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    vm_destroy(&vm);
}

void test_overflow(void)
{
    check_one_overflow(301);
    /* perf of some processors allows no period as short as this one. */
    check_one_overflow(10);
    check_overflows();
}

/*
 * The guest has left with an instruction that KVM has executed.  Before it
 * enters again, the host takes the counter.
 */
void test_emulated(void)
{
    uint64_t value;
    VM vm;

    guest_create(&vm);
    vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_OS |
          EVTSEL_EN);
    guest_enable(&vm, 1);
    vm_execute(&vm);
    /* Finish the OUT with which the guest has left, and do not enter again. */
    vm.run->immediate_exit = 1;
    EQUAL(ioctl(vm.vcpu, KVM_RUN, 0), -1);
    vm.run->immediate_exit = 0;
    value = vm_get_msr(&vm, MSR_PMC(0));
    TRUE(value);
    EQUAL(vm_handover(&vm, KVM_VPMU_HANDOVER_FORCE, NR_GP, 0), 0);
    EQUAL(guest_value(&vm, 0), value);
    vm_destroy(&vm);
}

/* Does user space see that vPMC 0 has overflowed, and the PMI? */
static bool sees_overflow(VM *vm)
{
    bool overflowed = vm_get_msr(vm, MSR_GLOBAL_STATUS) & 1;

    EQUAL(vm_has_nmi(vm), overflowed);
    return overflowed;
}

/* Count all but user mode in vPMC 0, with a PMI, until KVM has finished OUT. */
static void count_until_out(VM *vm, uint64_t from)
{
    vm_op(vm, OP_WRMSR, MSR_PMC(0), from);
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_OS |
          EVTSEL_INT | EVTSEL_EN);
    guest_enable(vm, 1);
    vm_execute(vm);
    EQUAL(vm_get_msr(vm, MSR_GLOBAL_STATUS), 0);
    vm->run->immediate_exit = 1;
    EQUAL(ioctl(vm->vcpu, KVM_RUN, 0), -1);
    vm->run->immediate_exit = 0;
}

/*
 * When KVM_RUN returns, user space may save the vCPU.  So it must see what has
 * happened: with the OUT that KVM has executed, and with each instruction of
 * the guest's.
 */
void test_overflow_seen(void)
{
    unsigned insns, steps = 0;
    VM vm;

    guest_create(&vm);
    count_until_out(&vm, 0);
    insns = vm_get_msr(&vm, MSR_PMC(0));
    guest_enable(&vm, 0);
    vm_execute(&vm);
    count_until_out(&vm, period_start(insns));
    TRUE(sees_overflow(&vm));
    guest_enable(&vm, 0);
    vm_execute(&vm);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 1);

    vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(50));
    guest_enable(&vm, 1);
    for (unsigned i = 0; i < 20; i++) {
        vm_op(&vm, OP_STORE, GUEST_DS, 0);
    }
    vm_start(&vm);
    while (vm_step(&vm) && !sees_overflow(&vm)) {
        steps++;
    }
    TRUE(steps > 50);
    TRUE(sees_overflow(&vm));
    vm_finish(&vm);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 2);
    vm_destroy(&vm);
}

/*
 * perf stops an event that overflows more than once in a tick, until the next
 * tick.
 */
void test_throttled(void)
{
    const unsigned period = silicon ? 3010 : 301, turns = 10 * TURNS;
    /* The rate can only be changed while the percentage is set like this. */
    unsigned percent = host_set_limit("perf_cpu_time_max_percent", 25);
    unsigned rate = host_set_limit("perf_event_max_sample_rate", 1);
    unsigned sampled, counted;
    int fd = host_trace_counter("kvm_vpmu_resumed");
    uint64_t resumed;
    VM vm;

    guest_create(&vm);
    guest_rearm(&vm, period_start(period));
    guest_program(&vm, 0, EVENT_INSTRUCTIONS | EVTSEL_INT,
                  period_start(period));
    guest_program(&vm, 1, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 3);
    guest_loop(&vm, turns);
    guest_enable(&vm, 0);
    sampled = guest_read(&vm, 0);
    counted = guest_read(&vm, 1);
    vm_execute(&vm);
    host_set_limit("perf_event_max_sample_rate", rate);
    host_set_limit("perf_cpu_time_max_percent", percent);
    RECORDS(vm_read32(&vm, GUEST_NMIS), USER_INSNS(turns) / period);
    check_periods(&vm, USER_INSNS(turns), period, vm_read32(&vm, GUEST_NMIS),
                  vm_result(&vm, sampled));
    COUNT(&vm, vm_result(&vm, counted), USER_INSNS(turns));
    EQUAL(vm_stat(&vm, "hand-overs"), 2);
    resumed = host_trace_count(fd);
    printf("# %u overflows, resumed %lld times\n",
           vm_read32(&vm, GUEST_NMIS), (long long)resumed);
    TRUE(resumed > 1);
    close(fd);
    vm_destroy(&vm);
}

/* A counter that is unused for a slice goes back, and can be had again. */
void test_lazy_release(void)
{
    VM vm;

    guest_create_slice(&vm, 100);
    guest_count_all(&vm, 3);
    EQUAL(vm_stat(&vm, "lazy-releases"), 0);
    host_sleep_ms(300);
    guest_enable(&vm, 1);
    vm_execute(&vm);
    /* vPMC 0 is enabled again, but has given its pPMC back just as 1 has. */
    EQUAL(vm_stat(&vm, "lazy-releases"), 2);
    EQUAL(vm_stat(&vm, "hand-overs"), 3);
    COUNT(&vm, guest_value(&vm, 1), USER_INSNS(TURNS));
    guest_count_all(&vm, 3);
    vm_destroy(&vm);
}

/* A PMU without GLOBAL_CTRL */
void test_version_1(void)
{
    unsigned result;
    VM vm;

    vm_pmu_version = 1;
    vm_create(&vm, &handover_defaults);
    vm_pmu_version = 0;
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_loop(&vm, TURNS);
    vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | EVTSEL_USR);
    guest_loop(&vm, TURNS);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 1);
    vm_destroy(&vm);
}
