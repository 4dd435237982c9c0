/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: fixed counters that the host has itself
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include "handover.h"

#define FIXED(j)        (1ull << (32 + (j)))
/* FIXED_CTR_CTRL: fixed @j counts user mode; it interrupts. */
#define FIXED_USER(j)   (2ull << 4 * (j))
#define FIXED_INT(j)    (8ull << 4 * (j))
/* The pseudo event of perf's that only fixed 2 counts */
#define HOST_REF_CYCLES 0x0300

static uint64_t fixed_value(VM *vm, unsigned j)
{
    return vm_do(vm, OP_RDMSR, MSR_FIXED(j), 0);
}

static void check_path(VM *vm, unsigned j, unsigned path)
{
    struct kvm_vpmu_handover_map map;

    vm_map(vm, &map);
    EQUAL(map.fixed[j].path, path);
    if (path == KVM_VPMU_PATH_FAST) {
        EQUAL(map.fixed[j].ppmc, 32 + j);
    } else if (path == KVM_VPMU_PATH_SLOW) {
        TRUE(map.fixed[j].ppmc >= 0 && map.fixed[j].ppmc < NR_GP);
    }
}

/* Instructions on fixed 0, cycles on fixed 1, for one loop; off afterwards */
static void count_fixed(VM *vm)
{
    vm_op(vm, OP_WRMSR, MSR_FIXED(0), 0);
    vm_op(vm, OP_WRMSR, MSR_FIXED(1), 0);
    vm_op(vm, OP_WRMSR, MSR_FIXED_CTRL, FIXED_USER(0) | FIXED_USER(1));
    guest_enable(vm, FIXED(0) | FIXED(1));
    guest_run(vm, TURNS);
}

/* The reservation has the pPMC of fixed 0. */
void test_fixed_reserved(void)
{
    VM vm;

    guest_create(&vm);
    EQUAL(vm_handover(&vm, 0, 0, 1), 0);
    count_fixed(&vm);
    check_path(&vm, 0, KVM_VPMU_PATH_SLOW);
    check_path(&vm, 1, KVM_VPMU_PATH_FAST);
    EQUAL(host_free(), NR_GP - 1);
    COUNT(&vm, fixed_value(&vm, 0), USER_INSNS(TURNS));
    CYCLES(fixed_value(&vm, 1), 0);

    /* It moves while it counts, there and back. */
    EQUAL(vm_handover(&vm, 0, 0, 0), 0);
    guest_run(&vm, TURNS);
    check_path(&vm, 0, KVM_VPMU_PATH_FAST);
    EQUAL(host_free(), NR_GP);
    EQUAL(vm_handover(&vm, 0, 0, 3), 0);
    guest_run(&vm, TURNS);
    check_path(&vm, 0, KVM_VPMU_PATH_SLOW);
    check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
    COUNT(&vm, fixed_value(&vm, 0), 3 * USER_INSNS(TURNS));
    EQUAL(vm_handover(&vm, 0, NR_GP - 1, 3), EBUSY);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    vm_destroy(&vm);
}

/* The counter overflows on the pPMC that stands in. */
static void check_overflow(VM *vm)
{
    const unsigned period = 301;

    vm_op(vm, OP_WRMSR, MSR_FIXED(1), period_start(period));
    vm_op(vm, OP_WRMSR, MSR_FIXED_CTRL, FIXED_USER(1) | FIXED_INT(1));
    guest_enable(vm, FIXED(1));
    guest_run(vm, TURNS);
    check_path(vm, 1, KVM_VPMU_PATH_SLOW);
    EQUAL(vm_read32(vm, GUEST_NMIS), 1);
    EQUAL(vm_read32(vm, GUEST_STATUS), 0);
    EQUAL(vm_read32(vm, GUEST_STATUS + 4), 2);
    if (!silicon) {
        EQUAL(fixed_value(vm, 1), USER_INSNS(TURNS) - period);
    }
}

/* Something like the NMI watchdog has the pPMC of fixed 1. */
void test_fixed_in_use(void)
{
    struct kvm_vpmu_handover_map map;
    int fd;
    VM vm;

    host_run_on(0, 0);
    fd = host_counter(-1, 0, true, EVENT_CYCLES);
    guest_create(&vm);
    count_fixed(&vm);
    check_path(&vm, 0, KVM_VPMU_PATH_FAST);
    check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
    EQUAL(host_free(), NR_GP - 1);
    COUNT(&vm, fixed_value(&vm, 0), USER_INSNS(TURNS));
    CYCLES(fixed_value(&vm, 1), 0);
    check_overflow(&vm);
    vm_map(&vm, &map);
    EQUAL(map.host_fixed, 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);

    /* When the guest needs the general-purpose pPMC, it has fixed 1 again. */
    close(fd);
    guest_program_insns(&vm, NR_GP);
    guest_enable(&vm, ALL_GP | FIXED(1));
    guest_enter_twice(&vm);
    check_path(&vm, 1, KVM_VPMU_PATH_FAST);
    vm_map(&vm, &map);
    EQUAL(map_starved(&map), 0);
    vm_destroy(&vm);

    /* The host takes it while the guest counts. */
    guest_create(&vm);
    count_fixed(&vm);
    check_path(&vm, 1, KVM_VPMU_PATH_FAST);
    fd = host_counter(-1, 0, true, EVENT_CYCLES);
    guest_run(&vm, TURNS);
    check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
    CYCLES(fixed_value(&vm, 1), USER_INSNS(TURNS));
    close(fd);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* What stands in for a fixed pPMC is one of those that the guest may have. */
void test_fixed_budget(void)
{
    struct kvm_vpmu_handover_map map;
    unsigned before;
    int fd;
    VM vm;

    host_run_on(0, 0);
    fd = host_counter(-1, 0, true, EVENT_CYCLES);
    guest_create_slice(&vm, 10);
    EQUAL(vm_handover(&vm, 0, NR_GP - 2, 0), 0);
    guest_program_insns(&vm, 2);
    vm_op(&vm, OP_WRMSR, MSR_FIXED_CTRL, FIXED_USER(1));
    guest_enable(&vm, 1 | FIXED(1));
    guest_run(&vm, TURNS);
    check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
    EQUAL(host_free(), NR_GP - 2);
    EQUAL(vm_handover(&vm, 0, NR_GP - 1, 0), EBUSY);
    CYCLES(fixed_value(&vm, 1), 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);

    /* One more: it is the last to come that starves. */
    guest_enable(&vm, 3 | FIXED(1));
    guest_enter_twice(&vm);
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    vm_map(&vm, &map);
    EQUAL(map.gp[1].path, KVM_VPMU_PATH_STARVED);
    check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
    EQUAL(host_free(), NR_GP - 2);

    /* The fixed vPMC itself comes last. */
    guest_enable(&vm, 3);
    guest_enter_twice(&vm);
    host_sleep_ms(30);
    guest_enable(&vm, 3 | FIXED(1));
    guest_enter_twice(&vm);
    check_path(&vm, 1, KVM_VPMU_PATH_STARVED);
    EQUAL(host_free(), NR_GP - 2);

    /* Neither its writes to control registers nor time make perf busy. */
    before = vm_stat(&vm, "hand-overs");
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    EQUAL(vm_stat(&vm, "hand-overs"), before);
    close(fd);
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    check_path(&vm, 1, KVM_VPMU_PATH_FAST);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* Reference cycles: no other counter counts them, so they starve. */
void test_fixed_starved(void)
{
    uint64_t value;
    int fd, starved;
    VM vm;

    host_run_on(0, 0);
    fd = host_counter(-1, 0, true, HOST_REF_CYCLES);
    TRUE(fd >= 0);
    starved = host_trace_counter("kvm_vpmu_starved");
    guest_create_slice(&vm, 10);
    vm_op(&vm, OP_WRMSR, MSR_FIXED_CTRL, FIXED_USER(2));
    guest_enable(&vm, FIXED(2));
    guest_run(&vm, TURNS);
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    check_path(&vm, 2, KVM_VPMU_PATH_STARVED);
    EQUAL(fixed_value(&vm, 2), 0);
    EQUAL(host_free(), NR_GP);
    EQUAL(host_trace_count(starved), 1);
    TRUE(vm_stat(&vm, "starved-ns") >= 30000000);
    close(fd);
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    value = fixed_value(&vm, 2);
    guest_run(&vm, TURNS);
    check_path(&vm, 2, KVM_VPMU_PATH_FAST);
    TRUE(fixed_value(&vm, 2) > value);
    close(starved);
    vm_destroy(&vm);
    host_run_anywhere();
}

int fixed_check_watchdog(void)
{
    VM vm;

    if (host_read_number("/proc/sys/kernel/nmi_watchdog") != 1) {
        printf("# the NMI watchdog is off\n");
        return 1;
    }
    host_run_on(0, 0);
    guest_create(&vm);
    for (unsigned i = 0; i < 10; i++) {
        count_fixed(&vm);
        check_path(&vm, 0, KVM_VPMU_PATH_FAST);
        check_path(&vm, 1, KVM_VPMU_PATH_SLOW);
        COUNT(&vm, fixed_value(&vm, 0), USER_INSNS(TURNS));
        CYCLES(fixed_value(&vm, 1), 0);
    }
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    EQUAL(vm_stat(&vm, "hand-overs"), 2);
    vm_destroy(&vm);
    host_run_anywhere();
    return check_failures != 0;
}
