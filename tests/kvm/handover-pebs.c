/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: PEBS records
 */
#include <stdio.h>
#include <unistd.h>
#include "handover.h"

void pebs_fill_ds(VM *vm, unsigned period)
{
    vm_write64(vm, GUEST_DS + DS_PEBS_BASE, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    vm_write64(vm, GUEST_DS + DS_PEBS_MAX, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_THRESHOLD, GUEST_TABLE);
    vm_write64(vm, GUEST_DS + DS_PEBS_RESET, period_start(period));
}

void pebs_program_without_memory(VM *vm, unsigned period)
{
    pebs_fill_ds(vm, period);
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

/* A field of record @i in the buffer */
static uint32_t record_field(VM *vm, unsigned i, unsigned field)
{
    return vm_read32(vm, GUEST_RECORDS + i * RECORD_SIZE + field);
}

void pebs_compare_ips(VM *vm, uint32_t *ips, unsigned n, bool note)
{
    unsigned different = 0;

    for (unsigned i = 0; i < n; i++) {
        uint32_t ip = record_field(vm, i, RECORD_IP);

        if (note) {
            ips[i] = ip;
        }
        different += ips[i] != ip;
    }
    /* Silicon makes records late. */
    EQUAL(silicon ? 0 : different, 0);
}

/* How many of the first @n records are of these vPMCs */
static unsigned records_of(VM *vm, unsigned n, uint32_t vpmcs)
{
    unsigned found = 0;

    for (unsigned i = 0; i < n; i++) {
        found += record_field(vm, i, RECORD_COUNTERS) == vpmcs;
    }
    return found;
}

/* How many records there are since the last call, of any vPMC */
static unsigned take_records(VM *vm)
{
    unsigned bytes = vm_read32(vm, GUEST_DS + DS_PEBS_INDEX) - GUEST_RECORDS;

    vm_write64(vm, GUEST_DS + DS_PEBS_INDEX, GUEST_RECORDS);
    EQUAL(bytes % RECORD_SIZE, 0);
    return bytes / RECORD_SIZE;
}

unsigned pebs_take_records(VM *vm)
{
    unsigned n = take_records(vm);

    EQUAL(records_of(vm, n, 1), n);
    return n;
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
        ip = record_field(&vm, i, RECORD_IP);
        TRUE(ip > GUEST_CODE && ip < GUEST_GDT);
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
    records = take_records(&vm);
    EQUAL(records_of(&vm, records, 1 << vpmc), records);
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
 * While the host makes records, a vPMC counts but makes none.  Then it makes
 * records again.
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

    fd = host_records(0);
    TRUE(fd >= 0);
    pebs_run_on_path(&vm, KVM_VPMU_PATH_FAST);
    EQUAL(pebs_take_records(&vm), 0);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    RECORDS(dropped, each);
    close(fd);
    host_sleep_ms(30);
    pebs_run_on_path(&vm, KVM_VPMU_PATH_FAST);
    records += pebs_take_records(&vm);
    RECORDS(records, 2 * each);

    /*
     * A DS area that cannot be read: the counter is reloaded with 0, whether
     * its records are dropped for this or another reason.
     */
    fd = host_counter_cpu0();
    guest_enter_twice(&vm);
    vm_op(&vm, OP_WRMSR, MSR_DS_AREA, GUEST_MEMORY + 0x1000);
    guest_run(&vm, TURNS);
    EQUAL(vm_stat(&vm, "pebs-records-dropped"), dropped + 1);
    records += dropped + 1;
    check_counted(&vm, records * PEBS_PERIOD + guest_value(&vm, 0),
                  4 * USER_INSNS(TURNS), PEBS_PERIOD, records);
    EQUAL(vm_read32(&vm, GUEST_NMIS), 0);
    EQUAL(vm_read32(&vm, GUEST_STATUS), 0);
    EQUAL(vm_stat(&vm, "pmis"), 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);
    close(fd);
    vm_destroy(&vm);
    host_run_anywhere();
}

/* What the guest has in the slots that are no vPMC's that makes records */
#define OTHER_SLOT(i)   (0x123400 + (i))

static void fill_other_slots(VM *vm, unsigned first)
{
    for (unsigned i = first; i < 8; i++) {
        vm_write64(vm, GUEST_DS + DS_PEBS_RESET + 8 * i, OTHER_SLOT(i));
    }
}

static void check_other_slots(VM *vm, unsigned first)
{
    for (unsigned i = first; i < 8; i++) {
        EQUAL(vm_read32(vm, GUEST_DS + DS_PEBS_RESET + 8 * i), OTHER_SLOT(i));
    }
}

/*
 * @records were made, @fast of them on the pPMC of their own number.  Eight
 * bytes are rewritten in each other one, and each slot is set as often as it is
 * put back.
 */
static void check_records_stats(VM *vm, unsigned records, unsigned fast)
{
    uint64_t words = vm_stat(vm, "pebs-bytes-rewritten") / 8;

    EQUAL(vm_stat(vm, "pebs-records-slow"), records - fast);
    EQUAL(vm_stat(vm, "pebs-records-fast"), fast);
    EQUAL(vm_stat(vm, "pebs-records-dropped"), 0);
    EQUAL(vm_stat(vm, "pebs-bytes-rewritten") % 8, 0);
    TRUE(words >= records - fast + 2);
    EQUAL((words - (records - fast)) % 2, 0);
}

/*
 * With another pPMC a vPMC makes the same records: as many, at the same
 * instructions, and with its own number.
 */
void test_pebs_slow(void)
{
    const unsigned each = USER_INSNS(TURNS) / PEBS_PERIOD;
    uint32_t ips[USER_INSNS(TURNS) / PEBS_PERIOD];
    struct kvm_vpmu_handover_map map;
    int hogs[2];
    VM vm;

    host_run_on(0, 0);
    for (unsigned slow = 0; slow < 2; slow++) {
        guest_create(&vm);
        pebs_program(&vm, PEBS_PERIOD);
        fill_other_slots(&vm, 1);
        for (unsigned i = 0; slow && i < 2; i++) {
            hogs[i] = host_counter_cpu0();
        }
        guest_enable(&vm, 1);
        guest_run(&vm, TURNS);
        vm_map(&vm, &map);
        EQUAL(map.gp[0].path, slow ? KVM_VPMU_PATH_SLOW : KVM_VPMU_PATH_FAST);
        RECORDS(pebs_take_records(&vm), each);
        pebs_compare_ips(&vm, ips, each, !slow);
        check_other_slots(&vm, 1);
        check_periods(&vm, USER_INSNS(TURNS), PEBS_PERIOD, each,
                      guest_value(&vm, 0));
        if (slow) {
            check_records_stats(&vm, each, 0);
        }
        EQUAL(vm_stat(&vm, "starved-ns"), 0);
        vm_destroy(&vm);
    }
    close(hogs[0]);
    close(hogs[1]);
    host_run_anywhere();
}

/*
 * Three vPMCs make records with periods of their own; two of them have other
 * pPMCs, and one of these is the own pPMC of the other.
 */
void test_pebs_slow_together(void)
{
    static const unsigned vpmcs[] = { 0, 1, 5 }, periods[] = { 100, 150, 70 };
    struct kvm_vpmu_handover_map map;
    unsigned records[3], total;
    int hog;
    VM vm;

    host_run_on(0, 0);
    guest_create(&vm);
    pebs_program(&vm, periods[0]);
    vm_op(&vm, OP_WRMSR, MSR_PEBS_ENABLE, 0x23);
    for (unsigned i = 1; i < 3; i++) {
        vm_write64(&vm, GUEST_DS + DS_PEBS_RESET + 8 * vpmcs[i],
                   period_start(periods[i]));
        guest_program(&vm, vpmcs[i], EVENT_INSTRUCTIONS,
                      period_start(periods[i]));
    }
    hog = host_counter_cpu0();
    guest_enable(&vm, 0x23);
    vm_execute(&vm);
    guest_loop(&vm, TURNS);
    guest_enable(&vm, 0);
    vm_execute(&vm);
    vm_map(&vm, &map);
    EQUAL(map.gp[0].ppmc != 0, 1);
    EQUAL(map.gp[5].ppmc, 5);
    total = take_records(&vm);
    for (unsigned i = 0; i < 3; i++) {
        /* Two that overflow at the same instruction share a record. */
        records[i] = 0;
        for (unsigned n = 0; n < total; n++) {
            records[i] += record_field(&vm, n, RECORD_COUNTERS) >> vpmcs[i] & 1;
        }
        RECORDS(records[i], USER_INSNS(TURNS) / periods[i]);
        check_periods(&vm, USER_INSNS(TURNS), periods[i], records[i],
                      guest_value(&vm, vpmcs[i]));
        EQUAL(vm_read32(&vm, GUEST_DS + DS_PEBS_RESET + 8 * vpmcs[i]),
              (uint32_t)period_start(periods[i]));
    }
    printf("# pPMCs %d, %d, %d: %u, %u, %u of %u records\n", map.gp[0].ppmc,
           map.gp[1].ppmc, map.gp[5].ppmc, records[0], records[1], records[2],
           total);
    check_records_stats(&vm, total, records_of(&vm, total, 0x20));
    close(hog);
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
