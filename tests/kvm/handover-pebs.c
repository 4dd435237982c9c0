/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: PEBS records
 */
#include <unistd.h>
#include "handover.h"

void pebs_program_without_memory(VM *vm, unsigned period)
{
    vm_write64(vm, GUEST_DS + DS_PEBS_BASE, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_MAX, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_THRESHOLD, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_RESET, period_start(period));
    vm_op(vm, OP_WRMSR, MSR_DS_AREA, GUEST_DS);
    vm_op(vm, OP_WRMSR, MSR_PEBS_ENABLE, 1);
    guest_program(vm, 0, EVENT_INSTRUCTIONS, period_start(period));
}

void pebs_program(VM *vm, unsigned period)
{
    for (unsigned page = GUEST_DS; page < GUEST_TABLE; page += 0x1000) {
        vm_op(vm, OP_STORE, page, 0);
    }
    pebs_program_without_memory(vm, period);
}

unsigned pebs_take_records(VM *vm)
{
    unsigned bytes = vm_read32(vm, GUEST_DS + DS_PEBS_INDEX) - GUEST_RECORDS;

    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    EQUAL(bytes % RECORD_SIZE, 0);
    return bytes / RECORD_SIZE;
}

/* Records of a vPMC that has the pPMC of its own index */
void test_pebs(void)
{
    struct kvm_vpmu_handover_map map;
    unsigned result, records;
    uint32_t ip;
    VM vm;

    guest_create(&vm);
    pebs_program(&vm, PEBS_PERIOD);
    guest_enable(&vm, 1);
    guest_loop(&vm, TURNS);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.gp[0].ppmc, 0);
    records = pebs_take_records(&vm);
    RECORDS(records, USER_INSNS(TURNS) / PEBS_PERIOD);
    for (unsigned i = 0; i < records; i++) {
        ip = vm_read32(&vm, GUEST_RECORDS + i * RECORD_SIZE + RECORD_IP);
        TRUE(ip > GUEST_CODE && ip < GUEST_GDT);
        EQUAL(vm_read32(&vm, GUEST_RECORDS + i * RECORD_SIZE +
                        RECORD_COUNTERS), 1);
    }
    check_periods(&vm, USER_INSNS(TURNS), PEBS_PERIOD, records,
                  vm_result(&vm, result));
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), 0);
    vm_destroy(&vm);
}

/* Another vPMC than the first makes records, and is the only one. */
void test_pebs_other(void)
{
    const unsigned vpmc = 3;
    unsigned records;
    VM vm;

    guest_create(&vm);
    pebs_program(&vm, PEBS_PERIOD);
    vm_write64(&vm, GUEST_DS + DS_PEBS_RESET + 8 * vpmc,
               period_start(PEBS_PERIOD));
    vm_op(&vm, OP_WRMSR, MSR_PEBS_ENABLE, 1 << vpmc);
    guest_program(&vm, vpmc, EVENT_INSTRUCTIONS, period_start(PEBS_PERIOD));
    guest_enable(&vm, 1 << vpmc);
    guest_run(&vm, TURNS);
    records = pebs_take_records(&vm);
    RECORDS(records, USER_INSNS(TURNS) / PEBS_PERIOD);
    check_periods(&vm, USER_INSNS(TURNS), PEBS_PERIOD, records,
                  guest_value(&vm, vpmc));
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), 0);
    vm_destroy(&vm);
}

/* Go on counting for one loop, and compare the path of vPMC 0. */
static void pebs_run_on_path(VM *vm, unsigned path)
{
    struct kvm_vpmu_handover_map map;

    guest_enter_twice(vm);
    guest_run(vm, TURNS);
    vm_map(vm, &map);
    EQUAL(map.gp[0].path, path);
}

/*
 * The host has this event for the time of one loop, whose records are dropped.
 * Then the guest makes records again.  Adds these to @records; returns how many
 * were dropped so far.
 */
static unsigned pebs_check_dropped(VM *vm, int fd, unsigned *records)
{
    unsigned dropped;

    pebs_run_on_path(vm, KVM_VPMU_PATH_SLOW);
    EQUAL(pebs_take_records(vm), 0);
    dropped = vm_stat(vm, "pebs-records-dropped");
    close(fd);
    host_sleep_ms(30);
    pebs_run_on_path(vm, KVM_VPMU_PATH_FAST);
    *records += pebs_take_records(vm);
    return dropped;
}

/*
 * With another pPMC, or while the host makes records, a vPMC counts but makes
 * no records.
 */
void test_pebs_dropped(void)
{
    const unsigned each = USER_INSNS(TURNS) / PEBS_PERIOD;
    unsigned records, dropped;
    VM vm;
    int fd;

    host_run_on(0, 0);
    guest_create_slice(&vm, 10);
    pebs_program(&vm, PEBS_PERIOD);
    guest_enable(&vm, 1);
    vm_execute(&vm);
    pebs_run_on_path(&vm, KVM_VPMU_PATH_FAST);
    records = pebs_take_records(&vm);
    RECORDS(records, each);

    dropped = pebs_check_dropped(&vm, host_counter_cpu0(), &records);
    RECORDS(dropped, each);
    RECORDS(records, 2 * each);

    fd = host_records(0);
    TRUE(fd >= 0);
    dropped = pebs_check_dropped(&vm, fd, &records);
    RECORDS(dropped, 2 * each);
    RECORDS(records, 3 * each);

    /* A DS area that cannot be read: the counter is reloaded with 0. */
    fd = host_counter_cpu0();
    guest_enter_twice(&vm);
    vm_op(&vm, OP_WRMSR, MSR_DS_AREA, GUEST_MEMORY + 0x1000);
    guest_run(&vm, TURNS);
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), dropped + 1);
    records += dropped + 1;
    check_counted(&vm, records * PEBS_PERIOD + guest_value(&vm, 0),
                  6 * USER_INSNS(TURNS), PEBS_PERIOD, records);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 0);
    EQUAL(vm_read32(&vm, GUEST_STATUS), 0);
    EQUAL(vm_stat(&vm, "pmis"), 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    close(fd);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* One event is left until the first record. */
void test_pebs_one_left(void)
{
    unsigned result, records;
    VM vm;

    guest_create(&vm);
    pebs_program(&vm, PEBS_PERIOD);
    vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(1));
    guest_enable(&vm, 1);
    guest_loop(&vm, TURNS);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    records = pebs_take_records(&vm);
    RECORDS(records, 1 + (USER_INSNS(TURNS) - 1) / PEBS_PERIOD);
    check_periods(&vm, USER_INSNS(TURNS) + PEBS_PERIOD - 1, PEBS_PERIOD,
                  records, vm_result(&vm, result));
    vm_destroy(&vm);
}

/* The guest writes the counter in the middle of a period. */
void test_pebs_written(void)
{
    const unsigned turns = TURNS + 30, first = 50;
    unsigned result, records;
    VM vm;

    guest_create(&vm);
    pebs_program(&vm, PEBS_PERIOD);
    guest_enable(&vm, 1);
    guest_run(&vm, turns);
    records = pebs_take_records(&vm);
    RECORDS(records, USER_INSNS(turns) / PEBS_PERIOD);
    vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(first));
    guest_loop(&vm, turns);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    records = pebs_take_records(&vm);
    RECORDS(records, 1 + (USER_INSNS(turns) - first) / PEBS_PERIOD);
    check_periods(&vm, USER_INSNS(turns) + PEBS_PERIOD - first, PEBS_PERIOD,
                  records, vm_result(&vm, result));
    vm_destroy(&vm);
}

/*
 * The host makes records.  KVM does not have an event made for the guest's
 * again and again, which would be in vain.
 */
void test_pebs_host(void)
{
    unsigned records, loops;
    int created, fd;
    VM vm;

    host_run_on(0, 0);
    guest_create_slice(&vm, 10);
    pebs_program(&vm, PEBS_PERIOD);
    guest_enable(&vm, 1);
    guest_run(&vm, TURNS);
    records = pebs_take_records(&vm);

    /* The guest's event has moved, and could not make records at its place. */
    close(host_counter_cpu0());
    fd = host_records(0);
    TRUE(fd >= 0);
    created = host_trace_counter("kvm_vpmu_created");
    for (loops = 1; loops < 10; loops++) {
        guest_run(&vm, TURNS);
        host_sleep_ms(20);
    }
    EQUAL(host_trace_count(created), 1);
    EQUAL(pebs_take_records(&vm), 0);
    close(created);
    close(fd);
    check_periods(&vm, loops * USER_INSNS(TURNS), PEBS_PERIOD,
                  records + vm_stat(&vm, "pebs-records-dropped"),
                  guest_value(&vm, 0));
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    vm_destroy(&vm);
    host_run_anywhere();
}
