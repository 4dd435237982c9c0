/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: another thread changes things while the guest counts
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "handover.h"

/* So long that things happen in the loop; its records fit into the buffer. */
#define LONG        (30 * TURNS)

/* The other thread */
static struct {
    pthread_t thread;
    pid_t vcpu;                 /* the thread of the vCPU */
    bool stop;
    unsigned changes, errors;
} operator;

static void operator_start(void *(*run)(void *), void *opaque)
{
    memset(&operator, 0, sizeof(operator));
    operator.vcpu = gettid();
    if (pthread_create(&operator.thread, NULL, run, opaque)) {
        die("pthread_create");
    }
}

static bool operator_stops(void)
{
    return __atomic_load_n(&operator.stop, __ATOMIC_ACQUIRE);
}

static void operator_stop(void)
{
    __atomic_store_n(&operator.stop, true, __ATOMIC_RELEASE);
    pthread_join(operator.thread, NULL);
    host_run_anywhere();
    EQUAL(operator.errors, 0);
}

/*
 * Changes the reservation, to all but four counters at most; moves the vCPU;
 * has host events that come and go.
 */
static void *operator_change_all(void *opaque)
{
    long cpus = host_cpus();
    VM *vm = opaque;

    for (unsigned i = 0; !operator_stops(); i++) {
        const unsigned gp[] = { NR_GP - 4, 0, NR_GP - 5, 1 };
        int pinned = host_counter(-1, i % cpus, true, EVENT_BRANCHES);
        int other = host_counter(operator.vcpu, -1, false, EVENT_INSTRUCTIONS);

        operator.errors += vm_handover(vm, 0, gp[i % 4], 0) != 0;
        host_run_on(operator.vcpu, i / 2 % cpus);
        host_sleep_ms(1);
        close(pinned);
        close(other);
        __atomic_add_fetch(&operator.changes, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

/*
 * Count while everything changes.  Returns how many long loops the guest has
 * done meanwhile; adds the records that it has made to @records.
 */
static unsigned count_meanwhile(VM *vm, unsigned *records)
{
    unsigned n = 0;

    operator_start(operator_change_all, vm);
    while (__atomic_load_n(&operator.changes, __ATOMIC_ACQUIRE) < 50) {
        guest_run(vm, LONG);
        n++;
        if (records) {
            *records += pebs_take_records(vm);
        }
    }
    operator_stop();
    printf("# the host did something %u times, moves %lld, starved %lld ns\n",
           operator.changes, (long long)vm_stat(vm, "moves"),
           (long long)vm_stat(vm, "starved-ns"));
    return n;
}

void test_all_at_once(void)
{
    unsigned n;
    VM vm;

    guest_create(&vm);
    guest_program_insns(&vm, 4);
    guest_enable(&vm, 15);
    vm_execute(&vm);
    n = count_meanwhile(&vm, NULL);
    TRUE(n);
    for (unsigned i = 0; i < 4; i++) {
        COUNT(&vm, guest_value(&vm, i), n * USER_INSNS(LONG));
    }
    vm_destroy(&vm);
}

/* Each period ends with a record or with one that was dropped. */
void test_pebs_at_once(void)
{
    unsigned records, dropped, n;
    VM vm;

    guest_create_slice(&vm, 10);
    pebs_program_without_memory(&vm, PEBS_PERIOD);
    guest_program(&vm, 1, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 3);
    guest_run(&vm, LONG);
    records = pebs_take_records(&vm);
    n = 1 + count_meanwhile(&vm, &records);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    printf("# %u records, %u dropped\n", records, dropped);
    TRUE(records);
    TRUE(vm_stat(&vm, "pebs-records-slow"));
    check_periods(&vm, n * USER_INSNS(LONG), PEBS_PERIOD, records + dropped,
                  guest_value(&vm, 0));
    COUNT(&vm, guest_value(&vm, 1), n * USER_INSNS(LONG));
    vm_destroy(&vm);
}

/*
 * From another CPU keeps this one from making records for a guest on pPMC 0: it
 * takes that, or has records made for the host, for a while.
 */
static void *operator_prevent_records(void *opaque)
{
    int cpu = *(int *)opaque, fd;
    bool records;

    host_run_elsewhere(cpu);
    while (!operator_stops()) {
        records = operator.changes++ % 2;
        fd = records ? host_records(cpu) :
                       host_counter(-1, cpu, true, EVENT_BRANCHES);
        operator.errors += fd < 0;
        /* Long enough for KVM to ask for records in vain */
        host_sleep_ms(records ? 30 : 3);
        close(fd);
        host_sleep_ms(12);
    }
    return NULL;
}

/* The guest stays in its loop, unless it is made to leave. */
void test_pebs_midway(void)
{
    /* Silicon is that much faster. */
    const unsigned scale = silicon ? 10 : 1;
    const unsigned period = 100003 * scale, turns = 20000000 * scale;
    unsigned records, dropped;
    int cpu = 0;
    VM vm;

    host_run_on(0, cpu);
    guest_create_slice(&vm, 5);
    pebs_program(&vm, period);
    guest_enable(&vm, 1);
    vm_execute(&vm);
    operator_start(operator_prevent_records, &cpu);
    guest_run(&vm, turns);
    operator_stop();
    records = pebs_take_records(&vm);
    dropped = vm_stat(&vm, "pebs-records-dropped");
    printf("# %u records, %u dropped, %u changes\n", records, dropped,
           operator.changes);
    TRUE(dropped);
    check_periods(&vm, USER_INSNS(turns), period, records + dropped,
                  guest_value(&vm, 0));
    vm_destroy(&vm);
}

/* From another CPU takes one pPMC of this one after the other. */
static void *operator_take_one_by_one(void *opaque)
{
    int cpu = *(int *)opaque, fd[4];

    host_run_elsewhere(cpu);
    while (!operator_stops()) {
        for (unsigned i = 0; i < 4; i++) {
            fd[i] = host_counter(-1, cpu, true, EVENT_BRANCHES);
            operator.errors += fd[i] < 0;
            operator.changes++;
            host_sleep_ms(5);
        }
        for (unsigned i = 0; i < 4; i++) {
            close(fd[i]);
        }
    }
    return NULL;
}

/*
 * The counter that makes records moves in the middle of a loop.  It makes the
 * same records as one that stays.
 */
void test_pebs_moved(void)
{
    const unsigned scale = silicon ? 10 : 1;
    const unsigned period = 300007 * scale, turns = 60000000 * scale;
    const unsigned each = USER_INSNS(turns) / period;
    uint32_t ips[each];
    int cpu = 0;
    VM vm;

    host_run_on(0, cpu);
    for (unsigned moved = 0; moved < 2; moved++) {
        guest_create_slice(&vm, 5);
        pebs_program(&vm, period);
        guest_enable(&vm, 1);
        vm_execute(&vm);
        if (moved) {
            operator_start(operator_take_one_by_one, &cpu);
        }
        guest_run(&vm, turns);
        if (moved) {
            operator_stop();
            printf("# %u changes, %lld moves, %lld records rewritten\n",
                   operator.changes, (long long)vm_stat(&vm, "moves"),
                   (long long)vm_stat(&vm, "pebs-records-slow"));
            TRUE(vm_stat(&vm, "moves") > 1);
            TRUE(vm_stat(&vm, "pebs-records-slow"));
        }
        RECORDS(pebs_take_records(&vm), each);
        EQUAL(vm_stat(&vm, "pebs-records-dropped"), 0);
        pebs_compare_ips(&vm, ips, each, !moved);
        check_periods(&vm, USER_INSNS(turns), period, each,
                      guest_value(&vm, 0));
        vm_destroy(&vm);
    }
}

#define SPOILED_PERIOD  1000

/*
 * Does what another vCPU of the guest can do to the DS area; now and then
 * leaves it as it should be.  No value has the hardware write records over the
 * guest's code and table.
 */
static void *guest_spoil_memory(void *opaque)
{
    static const uint64_t values[] = {
        GUEST_RECORDS, GUEST_RECORDS + 1, GUEST_RECORDS + 0x1000, GUEST_DS,
        GUEST_DS + DS_PEBS_INDEX - RECORD_COUNTERS, GUEST_MEMORY / 2,
        GUEST_MEMORY - 8, GUEST_MEMORY + 0x1000, 1ull << 63, -1ull, -17ull,
        APIC_SVR,
    };
    const unsigned nr = sizeof(values) / sizeof(*values);
    unsigned seed = 1;
    VM *vm = opaque;

    host_run_elsewhere(0);
    while (!operator_stops()) {
        seed = seed * 1103515245 + 12345;
        vm_write64(vm, GUEST_DS + DS_PEBS_BASE + 8 * (seed >> 16 & 15),
                   values[(seed >> 20) % nr]);
        if (operator.changes++ % 16 == 0) {
            pebs_fill_ds(vm, SPOILED_PERIOD);
            host_sleep_ms(1);
        }
    }
    return NULL;
}

/*
 * Whatever the guest does to its records and where it says they are, it harms
 * nobody else, and a counter that makes none is exact.
 */
void test_pebs_hostile(void)
{
    static const uint64_t areas[] = {
        GUEST_DS, GUEST_MEMORY + 0x1000, GUEST_DS, GUEST_MEMORY - 0x30,
        GUEST_RECORDS - 0x40, GUEST_DS, 0xfee00000, 0x7ffffffffff0, GUEST_DS,
        GUEST_DS + 0xfd8, -0x40ull,
    };
    const unsigned nr = sizeof(areas) / sizeof(*areas), rounds = 66;
    int hogs[2] = { -1, -1 };
    VM vm;

    host_run_on(0, 0);
    guest_create_slice(&vm, 10);
    pebs_program(&vm, SPOILED_PERIOD);
    guest_program(&vm, 4, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 0x11);
    vm_execute(&vm);
    operator_start(guest_spoil_memory, &vm);
    for (unsigned i = 0; i < rounds; i++) {
        close(hogs[i % 2]);
        hogs[i % 2] = host_counter_cpu0();
        vm_op(&vm, OP_WRMSR, MSR_DS_AREA, areas[i % nr]);
        vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(SPOILED_PERIOD));
        guest_run(&vm, LONG);
    }
    operator_stop();
    printf("# %u changes, %lld records rewritten, %lld dropped\n",
           operator.changes, (long long)vm_stat(&vm, "pebs-records-slow"),
           (long long)vm_stat(&vm, "pebs-records-dropped"));
    TRUE(vm_stat(&vm, "pebs-records-slow"));
    COUNT(&vm, guest_value(&vm, 4), rounds * USER_INSNS(LONG));

    /* It can make records again. */
    pebs_fill_ds(&vm, PEBS_PERIOD);
    vm_op(&vm, OP_WRMSR, MSR_DS_AREA, GUEST_DS);
    vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(PEBS_PERIOD));
    vm_execute(&vm);
    /* KVM may have just failed to find the area, and tries again after a slice. */
    host_sleep_ms(30);
    guest_enter_twice(&vm);
    guest_run(&vm, TURNS);
    RECORDS(pebs_take_records(&vm), USER_INSNS(TURNS) / PEBS_PERIOD);
    close(hogs[0]);
    close(hogs[1]);
    vm_destroy(&vm);
    host_run_anywhere();
}
