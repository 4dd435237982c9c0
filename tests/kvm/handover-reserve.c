/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: reservations
 */
#include <errno.h>
#include <unistd.h>
#include "handover.h"

/* The host takes counters and gives them back while the guest counts. */
void test_reserve(void)
{
    struct kvm_vpmu_handover_map map;
    unsigned before;
    VM vm;

    guest_create(&vm);
    guest_program_insns(&vm, NR_GP);
    guest_enable(&vm, ALL_GP);
    guest_run(&vm, TURNS);
    EQUAL(host_free(), 0);
    EQUAL(vm_handover(&vm, 0, 2, 0), EBUSY);
    EQUAL(host_free(), 0);
    EQUAL(vm_handover(&vm, KVM_VPMU_HANDOVER_FORCE, 2, 0), 0);
    /* At once, before the vCPU runs again */
    EQUAL(host_free(), 2);

    guest_run(&vm, TURNS);
    vm_map(&vm, &map);
    EQUAL(map.host_gp, 2);
    for (unsigned i = 0; i < NR_GP; i++) {
        bool counts = map.gp[i].path != KVM_VPMU_PATH_STARVED;

        COUNT(&vm, guest_value(&vm, i), (1 + counts) * USER_INSNS(TURNS));
    }
    EQUAL(map_starved(&map), 2);
    EQUAL(vm_stat(&vm, "evictions"), 2);
    TRUE(vm_stat(&vm, "starved-ns"));

    before = vm_stat(&vm, "hand-overs");
    EQUAL(vm_handover(&vm, 0, 0, 0), 0);
    guest_run(&vm, TURNS);
    EQUAL(vm_stat(&vm, "hand-overs"), before + 2);
    vm_map(&vm, &map);
    EQUAL(map_starved(&map), 0);
    EQUAL(host_free(), 0);
    vm_destroy(&vm);
}

/* The reservation was made before there was a vCPU. */
void test_reserved_at_start(void)
{
    struct kvm_vpmu_handover args = handover_defaults;
    struct kvm_vpmu_handover_map map;
    VM vm;

    args.host_gp = NR_GP - 3;
    vm_create(&vm, &args);
    guest_program_insns(&vm, NR_GP);
    guest_enable(&vm, ALL_GP);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.host_gp, NR_GP - 3);
    EQUAL(map_starved(&map), NR_GP - 3);
    EQUAL(host_free(), NR_GP - 3);
    vm_destroy(&vm);
}
