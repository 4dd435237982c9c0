/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's use of its PMU costs, in instructions of the emulated CPU
 * usage: kvm-bench times|creations NAME
 *
 * NAME is that of the KVM that is loaded; "handover" has the VMs enable it.
 * "times" prints a line for each row of the table,
 *   row NAME EXITS SAMPLES TYPICAL WORST
 * with the instructions of a repetition, the guest's own not included, and the
 * number of its exits; the typical time is the median.  "creations" needs the
 * tracer that tests/kvm/bench-nested sets up, and prints
 *   created GROUP REPETITIONS TIMES TYPICAL WORST
 * how many times a group of rows has made KVM call
 * perf_event_create_kernel_counter(), and how long that took.
 *
 * bench.h says how times are taken.  A batch of repetitions during which the
 * kernel had a timer interrupt is measured again.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/perf_event.h>
#include "bench.h"

#define TRACE       "/sys/kernel/tracing/trace"
#define CREATE      "perf_event_create_kernel_counter"
/* perf keeps some things for a second after its last event was released. */
#define PERF_FORGETS_US 1500000

static bool handover;
/* What the guest executes between the two times of TIMED_NOTHING */
static uint32_t overhead;
/* The times of each row; rows[nr_rows] has those of creations. */
static struct {
    uint32_t *time;
    unsigned n, exits;
} rows[64];

static void add_time(unsigned row, uint32_t time)
{
    rows[row].time = realloc(rows[row].time,
                             (rows[row].n + 1) * sizeof(*rows[row].time));
    if (!rows[row].time) {
        die("memory");
    }
    rows[row].time[rows[row].n++] = time;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

/* Print "number median maximum" of a row, and empty it. */
static void print_times(unsigned row)
{
    unsigned n = rows[row].n;

    qsort(rows[row].time, n, sizeof(*rows[row].time), compare);
    printf("%u %u %u\n", n, n ? rows[row].time[n / 2] : 0,
           n ? rows[row].time[n - 1] : 0);
    rows[row].n = 0;
}

/* --- the guest --- */

static void bench_create(Bench *bench)
{
    static const struct kvm_vpmu_handover args = { .size = sizeof(args) };
    uint32_t from = guest_entry - guest_start + GUEST_CODE;
    uint32_t to = bench_entry - bench_start + BENCH_CODE;
    uint16_t nmi = bench_nmi - bench_start + BENCH_CODE;
    VM *vm = &bench->vm;

    if (bench_end - bench_start > GUEST_GDT - BENCH_CODE ||
        guest_end - guest_start > BENCH_CODE - GUEST_CODE) {
        printf("Bail out! the guest's code is too long\n");
        exit(1);
    }
    vm_create(vm, handover ? &args : NULL);
    memcpy(vm->memory + BENCH_CODE, bench_start, bench_end - bench_start);
    /* vm_execute() starts guest.S; its first instruction becomes a JMP. */
    vm_write64(vm, from, 0xe9 | (uint64_t)(to - from - 5) << 8);
    memcpy(vm->memory + GUEST_IDT + 8 * VECTOR_NMI, &nmi, sizeof(nmi));
    vm_write64(vm, BENCH_GLOBAL_CTRL, 1);
}

void timed(Bench *bench, unsigned row, unsigned op, uint32_t reg,
           uint64_t value)
{
    unsigned at = BENCH_TABLE + bench->used * ENTRY_SIZE;

    if (bench->used == sizeof(bench->entry) / sizeof(*bench->entry)) {
        printf("Bail out! the table is full\n");
        exit(1);
    }
    bench->entry[bench->used].row = row;
    bench->entry[bench->used].repetition = bench->repetition;
    vm_write64(&bench->vm, at, op | (uint64_t)reg << 32);
    vm_write64(&bench->vm, at + ENTRY_VALUE, value);
    /* Should an interrupt not come, this is its time. */
    vm_write64(&bench->vm, at + ENTRY_TICKS, UINT64_MAX);
    bench->used++;
}

static void bench_execute(Bench *bench)
{
    unsigned at = BENCH_TABLE + bench->used * ENTRY_SIZE;

    vm_write64(&bench->vm, at, TIMED_END);
    vm_execute(&bench->vm);
}

/* The timer's and devices' interrupts of the kernel under test */
static uint64_t host_interrupts(void)
{
    FILE *file = fopen("/proc/interrupts", "r");
    uint64_t sum = 0, n;
    char line[256], name[16];

    if (!file) {
        die("/proc/interrupts");
    }
    while (fgets(line, sizeof(line), file)) {
        if (sscanf(line, " %15[^: ]: %" SCNu64, name, &n) == 2 &&
            (isdigit(*name) || !strcmp(name, "LOC"))) {
            sum += n;
        }
    }
    fclose(file);
    return sum;
}

/* --- measuring --- */

static bool is_exit(unsigned op)
{
    return op != TIMED_NOTHING && op != TIMED_LOOP;
}

/* A counter that has to count does not; the figures would be of nothing. */
static void check_counted(Bench *bench, unsigned i)
{
    unsigned at = BENCH_TABLE + i * ENTRY_SIZE;
    uint32_t op = vm_read32(&bench->vm, at);
    uint32_t from = vm_read32(&bench->vm, at + ENTRY_VALUE);

    if (op == TIMED_RDPMC && from &&
        vm_read32(&bench->vm, at + ENTRY_RESULT) <= from) {
        printf("Bail out! counter %x does not count\n",
               vm_read32(&bench->vm, at + ENTRY_REG));
        exit(1);
    }
}

/* With hand-over perf may have no counter for one that is enabled. */
static void check_map(Bench *bench)
{
    struct kvm_vpmu_handover_map map;

    if (!handover) {
        return;
    }
    vm_map(&bench->vm, &map);
    for (unsigned i = 0; i < vm_pmu.gp + vm_pmu.fixed; i++) {
        if ((i < vm_pmu.gp ? map.gp[i] : map.fixed[i - vm_pmu.gp]).path ==
            KVM_VPMU_PATH_STARVED) {
            printf("Bail out! counter %u of the guest is starved\n", i);
            exit(1);
        }
    }
}

/* The times of entry @i of the last table, without the guest's instructions */
static void read_entry(Bench *bench, unsigned i, uint32_t *sum, unsigned *exits)
{
    unsigned at = BENCH_TABLE + i * ENTRY_SIZE, row = bench->entry[i].row;
    uint32_t op = vm_read32(&bench->vm, at);
    uint32_t ticks = vm_read32(&bench->vm, at + ENTRY_TICKS);

    if (row == NO_ROW) {
        return;
    }
    if (ticks == UINT32_MAX) {
        printf("Bail out! there was no interrupt\n");
        exit(1);
    }
    if (op == TIMED_PMI) {
        sum[row] += ticks - PMI_INSNS;
        exits[row]++;
        sum[ROW_HANDLER] += vm_read32(&bench->vm, at + ENTRY_RESULT);
        exits[ROW_HANDLER] += PMI_HANDLER_EXITS;
    } else {
        sum[row] += ticks - overhead;
        exits[row] += is_exit(op);
    }
}

/* Add the times of the last table to the rows. */
static void read_batch(Bench *bench)
{
    for (unsigned repetition = 0; repetition < bench->repetition;
         repetition++) {
        uint32_t sum[64] = { 0 };
        unsigned exits[64] = { 0 };
        bool is_measured[64] = { false };

        for (unsigned i = 0; i < bench->used; i++) {
            if (bench->entry[i].repetition == repetition &&
                bench->entry[i].row != NO_ROW) {
                is_measured[bench->entry[i].row] = true;
                check_counted(bench, i);
                read_entry(bench, i, sum, exits);
            }
        }
        is_measured[ROW_HANDLER] = is_measured[ROW_PMI];
        for (unsigned row = 0; row < nr_rows; row++) {
            if (is_measured[row]) {
                add_time(row, sum[row]);
                rows[row].exits = exits[row];
            }
        }
    }
    check_map(bench);
}

static void fill_batch(Bench *bench, const Group *group, unsigned n)
{
    bench->used = 0;
    for (bench->repetition = 0; bench->repetition < n; bench->repetition++) {
        group->repeat(bench, bench->repetition);
    }
}

/* Execute a batch; returns whether an interrupt has disturbed it. */
static bool is_disturbed(Bench *bench, const Group *group, unsigned n)
{
    uint64_t interrupts;

    fill_batch(bench, group, n);
    interrupts = host_interrupts();
    bench_execute(bench);
    return host_interrupts() != interrupts;
}

static void prepare(Bench *bench, const Group *group)
{
    bench->used = 0;
    bench->repetition = 0;
    group->prepare(bench);
    bench_execute(bench);
}

/* Map the pages of a batch, which must not happen while the time is taken. */
static void map_pages(Bench *bench)
{
    bench->used = 0;
    bench->repetition = 0;
    for (unsigned i = 0; i < BATCH; i++) {
        timed(bench, NO_ROW, TIMED_NOTHING, 0, 0);
    }
    bench_execute(bench);
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;

    clock_gettime(clock, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/*
 * The thread may have to wait in the kernel, and others run meanwhile.  The
 * clocks follow the time stamp counter, with a nanosecond for each instruction.
 */
static void measure_first(const Group *group)
{
    uint64_t ran, waited;
    unsigned row;
    Bench bench;

    for (unsigned i = 0; i < group->repetitions; i++) {
        bench_create(&bench);
        map_pages(&bench);
        prepare(&bench, group);
        usleep(PERF_FORGETS_US);
        fill_batch(&bench, group, 1);
        waited = clock_ns(CLOCK_MONOTONIC);
        ran = clock_ns(CLOCK_THREAD_CPUTIME_ID);
        bench_execute(&bench);
        waited = clock_ns(CLOCK_MONOTONIC) - waited;
        ran = clock_ns(CLOCK_THREAD_CPUTIME_ID) - ran;
        waited -= ran;
        read_batch(&bench);
        row = bench.entry[0].row;
        rows[row].time[rows[row].n - 1] -= waited;
        add_time(row + 1, waited);
        vm_destroy(&bench.vm);
    }
}

/* Batches that an interrupt has disturbed are repeated, if need be smaller. */
static void measure(const Group *group)
{
    unsigned n = BATCH, done = 0, batches = 0, disturbed = 0;
    Bench bench;

    bench_create(&bench);
    prepare(&bench, group);
    fill_batch(&bench, group, n);
    bench_execute(&bench);
    while (done < group->repetitions) {
        batches++;
        if (!is_disturbed(&bench, group, n)) {
            read_batch(&bench);
            done += n;
        } else if (++disturbed % 8 == 0 && n > 1) {
            n /= 2;
        }
    }
    printf("# %s: %u batches of %u were disturbed and repeated\n", group->name,
           disturbed, batches);
    vm_destroy(&bench.vm);
}

/* --- what is printed --- */

/*
 * The counter must count each instruction once: those of a loop, and those
 * before and after one that exits.
 */
static void check_meter(void)
{
    uint32_t nothing = rows[ROW_NOTHING].time[0], cpuid, nops;

    for (unsigned i = 0; i < rows[ROW_NOTHING].n; i++) {
        if (rows[ROW_NOTHING].time[i] != nothing ||
            rows[ROW_LOOP].time[i] != nothing + 2 * LOOP_TURNS) {
            printf("Bail out! the time stamp counter does not count "
                   "instructions: %u for nothing, %u for a loop of %u\n",
                   rows[ROW_NOTHING].time[i], rows[ROW_LOOP].time[i],
                   2 * LOOP_TURNS);
            exit(1);
        }
    }
    qsort(rows[ROW_CPUID].time, rows[ROW_CPUID].n, sizeof(uint32_t), compare);
    qsort(rows[ROW_NOPS].time, rows[ROW_NOPS].n, sizeof(uint32_t), compare);
    cpuid = rows[ROW_CPUID].time[0];
    nops = rows[ROW_NOPS].time[0];
    if (nops - cpuid != 2 * CPUID_NOPS) {
        printf("Bail out! %u instructions around an exit are counted as %u\n",
               2 * CPUID_NOPS, nops - cpuid);
        exit(1);
    }
}

/* An event of the kernel's perf, which is off; -1 if there should be none */
static int perf_event(const Group *group)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_HARDWARE,
        .config = PERF_COUNT_HW_INSTRUCTIONS, .disabled = 1,
    };
    int fd;

    if (!group->perf) {
        return -1;
    }
    fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd < 0) {
        die("perf_event_open");
    }
    return fd;
}

static void measure_overhead(void)
{
    measure(&groups[0]);
    check_meter();
    overhead = rows[ROW_NOTHING].time[0];
    printf("# the guest executes %u instructions between two times\n",
           overhead);
    for (unsigned row = 0; row < nr_rows; row++) {
        rows[row].n = 0;
    }
}

static void print_rows(void)
{
    measure_overhead();
    for (unsigned i = 0; i < nr_groups; i++) {
        int perf = perf_event(&groups[i]);

        if (groups[i].first) {
            measure_first(&groups[i]);
        } else {
            measure(&groups[i]);
        }
        close(perf);
        for (unsigned row = 0; row < nr_rows; row++) {
            if (rows[row].n) {
                printf("row %s %u ", row_names[row], rows[row].exits);
                print_times(row);
            }
        }
    }
}

/* Read the lines of the function graph, which have a duration before "us". */
static void read_trace(void)
{
    FILE *file = fopen(TRACE, "r");
    char line[256], *us;

    if (!file) {
        die(TRACE);
    }
    while (fgets(line, sizeof(line), file)) {
        us = strstr(line, " us ");
        if (!us || !strstr(line, CREATE)) {
            continue;
        }
        while (us > line && (isdigit(us[-1]) || us[-1] == '.')) {
            us--;
        }
        add_time(nr_rows, strtod(us, NULL) * 1000 + 0.5);
    }
    fclose(file);
}

static void clear_trace(void)
{
    FILE *file = fopen(TRACE, "w");

    if (!file) {
        die(TRACE);
    }
    fclose(file);
}

static void print_creations(void)
{
    Bench bench;

    for (unsigned i = 0; i < nr_groups; i++) {
        const Group *group = &groups[i];
        unsigned times = group->first ? group->repetitions : BATCH;
        int perf = perf_event(group);

        if (group->first) {
            clear_trace();
            measure_first(group);
            read_trace();
        } else {
            bench_create(&bench);
            prepare(&bench, group);
            fill_batch(&bench, group, BATCH);
            clear_trace();
            bench_execute(&bench);
            read_trace();
            vm_destroy(&bench.vm);
        }
        close(perf);
        printf("created %s %u ", group->name, times);
        print_times(nr_rows);
    }
}

int main(int argc, char **argv)
{
    const char *what = argc == 3 ? argv[1] : "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    vm_probe(false);
    handover = argc == 3 && !strcmp(argv[2], "handover");
    if (!strcmp(what, "times")) {
        print_rows();
    } else if (!strcmp(what, "creations")) {
        print_creations();
    } else {
        printf("usage: kvm-bench times|creations NAME\n");
        return 1;
    }
    return 0;
}
