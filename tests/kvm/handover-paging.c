/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: a guest that maps the memory of its records to somewhere else
 */
#include <unistd.h>
#include "handover.h"

#define EACH    (USER_INSNS(TURNS) / PEBS_PERIOD)

/* Make records; KVM gets to see them when @page has been mapped to @entry. */
static void make_and_map(VM *vm, uint32_t page, uint32_t entry)
{
    guest_loop(vm, TURNS);
    vm_op(vm, OP_STORE, PAGE_ENTRY(page), entry);
    vm_execute(vm);
    vm_write32(vm, PAGE_ENTRY(page), page | PAGE_MAPPED);
}

static unsigned records_found(VM *vm)
{
    return vm_stat(vm, "pebs-records-slow") + vm_stat(vm, "pebs-records-fast");
}

/*
 * Another pPMC makes the records, so KVM has to rewrite them.  What it does not
 * find it drops, or leaves as it is, and the guest counts on.  KVM may have looked
 * at some of them before, if it was interrupted.
 */
void test_pebs_mapped_away(void)
{
    unsigned found, early;
    int hog;
    VM vm;

    host_run_on(0, 0);
    guest_create(&vm);
    vm_enable_paging(&vm);
    pebs_program(&vm, PEBS_PERIOD);
    hog = host_counter_cpu0();
    guest_enable(&vm, 1);
    guest_run(&vm, TURNS);
    RECORDS(pebs_take_records(&vm), EACH);
    RECORDS(records_found(&vm), EACH);
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), 0);

    make_and_map(&vm, GUEST_RECORDS, 0);
    early = pebs_take_records(&vm);
    TRUE(early < EACH);
    RECORDS(records_found(&vm), EACH + early);
    RECORDS(vm_stat(&vm, "pebs-records-dropped"), EACH - early);

    /* In its DS area the guest may have anything, but then it has to. */
    found = records_found(&vm);
    make_and_map(&vm, GUEST_RECORDS, GUEST_DS | PAGE_MAPPED);
    RECORDS(records_found(&vm), found + EACH);
    pebs_fill_ds(&vm, PEBS_PERIOD);

    /* KVM cannot even know that there are records. */
    found = records_found(&vm);
    make_and_map(&vm, GUEST_DS, 0);
    RECORDS((vm_read32(&vm, GUEST_DS + DS_PEBS_INDEX) - GUEST_RECORDS) /
            RECORD_SIZE, EACH);
    TRUE(records_found(&vm) < found + EACH);
    pebs_fill_ds(&vm, PEBS_PERIOD);

    found = records_found(&vm);
    guest_run(&vm, TURNS);
    RECORDS(pebs_take_records(&vm), EACH);
    RECORDS(records_found(&vm), found + EACH);
    RECORDS(vm_stat(&vm, "pebs-records-dropped"), EACH - early);
    check_periods(&vm, 5 * USER_INSNS(TURNS), PEBS_PERIOD, 5 * EACH,
                  guest_value(&vm, 0));
    close(hog);
    vm_destroy(&vm);
    host_run_anywhere();
}
