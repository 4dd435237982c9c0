/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: a guest that counts
 */
#include "handover.h"

const struct kvm_vpmu_handover handover_defaults = {
    .size = sizeof(handover_defaults),
};

void guest_create_slice(VM *vm, unsigned slice_ms)
{
    struct kvm_vpmu_handover args = handover_defaults;

    args.slice_ns = slice_ms * 1000000ull;
    vm_create(vm, &args);
    guest_enable(vm, 0);
    vm_execute(vm);
}

void guest_create(VM *vm)
{
    guest_create_slice(vm, 10000);
}

void guest_program(VM *vm, unsigned i, uint64_t event, uint64_t value)
{
    vm_op(vm, OP_WRMSR, MSR_PMC(i), value);
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(i), event | USER);
}

void guest_program_insns(VM *vm, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        guest_program(vm, i, EVENT_INSTRUCTIONS, 0);
    }
}

void guest_enable(VM *vm, uint64_t counters)
{
    vm_op(vm, OP_WRMSR, MSR_GLOBAL_CTRL, counters);
}

void guest_loop(VM *vm, unsigned turns)
{
    vm_op(vm, OP_USER, 0, turns);
}

unsigned guest_read(VM *vm, unsigned i)
{
    return vm_op(vm, OP_RDMSR, MSR_PMC(i), 0);
}

void guest_rearm(VM *vm, uint64_t value)
{
    vm_write64(vm, GUEST_REARM_MSR, MSR_PMC(0));
    vm_write64(vm, GUEST_REARM, value);
}

void guest_run(VM *vm, unsigned turns)
{
    guest_loop(vm, turns);
    vm_execute(vm);
}

uint64_t guest_value(VM *vm, unsigned i)
{
    return vm_do(vm, OP_RDMSR, MSR_PMC(i), 0);
}

void guest_enter_twice(VM *vm)
{
    vm_execute(vm);
    vm_execute(vm);
}

void guest_count_all(VM *vm, unsigned counters)
{
    unsigned result[MAX_GP] = { 0 };

    for (unsigned i = 0; i < NR_GP; i++) {
        if (counters >> i & 1) {
            guest_program(vm, i, EVENT_INSTRUCTIONS, 0);
        }
    }
    guest_enable(vm, counters);
    guest_loop(vm, TURNS);
    guest_enable(vm, 0);
    for (unsigned i = 0; i < NR_GP; i++) {
        result[i] = guest_read(vm, i);
    }
    vm_execute(vm);
    for (unsigned i = 0; i < NR_GP; i++) {
        if (counters >> i & 1) {
            COUNT(vm, vm_result(vm, result[i]), USER_INSNS(TURNS));
        }
    }
}

void guest_run_forever(VM *vm)
{
    for (;;) {
        guest_run(vm, 1000000);
    }
}

uint64_t period_start(unsigned period)
{
    return -(uint64_t)period & COUNTER_MASK;
}

unsigned map_starved(const struct kvm_vpmu_handover_map *map)
{
    unsigned starved = 0;

    for (unsigned i = 0; i < NR_GP; i++) {
        starved += map->gp[i].path == KVM_VPMU_PATH_STARVED;
    }
    return starved;
}
