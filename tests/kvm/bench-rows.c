/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-bench: the rows
 */
#include "bench.h"

enum {
    ROW_SAME = ROW_OTHERS,
    ROW_CPUID_1,
    ROW_CPUID_4,
    ROW_CPUID_RINGS,
    ROW_ENABLE_1,
    ROW_DISABLE_1,
    ROW_ENABLE_4,
    ROW_DISABLE_4,
    ROW_ENABLE_RINGS,
    ROW_DISABLE_RINGS,
    ROW_ENABLE_PERF,
    ROW_DISABLE_PERF,
    ROW_FIXED_READ,
    ROW_FIXED_ON,
    ROW_FIXED_OFF,
    ROW_FIXED_OTHER_RINGS,
    ROW_SELECT_READ,
    ROW_SELECT_ON,
    ROW_SELECT_OFF,
    ROW_SELECT_OTHER_RINGS,
    ROW_SELECT_OTHER_EVENT,
    ROW_SELECT_OTHER_PERF,
    ROW_COUNTER_READ,
    ROW_COUNTER_WRITE,
    ROW_RDPMC,
    ROW_SCHED_IN,
    ROW_SCHED_OUT,
    ROW_SCHED_IN_PERF,
    ROW_SCHED_OUT_PERF,
};

const char *const row_names[] = {
    [ROW_NOTHING] = "nothing",
    [ROW_LOOP] = "loop",
    [ROW_NOPS] = "cpuid-nops",
    [ROW_CPUID] = "cpuid",
    [ROW_PMI] = "pmi",
    [ROW_HANDLER] = "handle-irq",
    [ROW_SAME] = "same-value",
    [ROW_CPUID_1] = "cpuid-1",
    [ROW_CPUID_4] = "cpuid-4",
    [ROW_CPUID_RINGS] = "cpuid-both-rings",
    [ROW_FIRST_GP] = "first-use-gp",
    [ROW_FIRST_GP_WAIT] = "first-use-gp-wait",
    [ROW_FIRST_FIXED] = "first-use-fixed",
    [ROW_FIRST_FIXED_WAIT] = "first-use-fixed-wait",
    [ROW_ENABLE_1] = "enable-1",
    [ROW_DISABLE_1] = "disable-1",
    [ROW_ENABLE_4] = "enable-4",
    [ROW_DISABLE_4] = "disable-4",
    [ROW_ENABLE_RINGS] = "enable-both-rings",
    [ROW_DISABLE_RINGS] = "disable-both-rings",
    [ROW_ENABLE_PERF] = "enable-beside-perf",
    [ROW_DISABLE_PERF] = "disable-beside-perf",
    [ROW_FIXED_READ] = "fixed-read",
    [ROW_FIXED_ON] = "fixed-on",
    [ROW_FIXED_OFF] = "fixed-off",
    [ROW_FIXED_OTHER_RINGS] = "fixed-other-rings",
    [ROW_SELECT_READ] = "select-read",
    [ROW_SELECT_ON] = "select-on",
    [ROW_SELECT_OFF] = "select-off",
    [ROW_SELECT_OTHER_RINGS] = "select-other-rings",
    [ROW_SELECT_OTHER_EVENT] = "select-other-event",
    [ROW_SELECT_OTHER_PERF] = "select-other-event-beside-perf",
    [ROW_COUNTER_READ] = "counter-read",
    [ROW_COUNTER_WRITE] = "counter-write",
    [ROW_RDPMC] = "rdpmc",
    [ROW_SCHED_IN] = "sched-in",
    [ROW_SCHED_OUT] = "sched-out",
    [ROW_SCHED_IN_PERF] = "sched-in-beside-perf",
    [ROW_SCHED_OUT_PERF] = "sched-out-beside-perf",
};
const unsigned nr_rows = sizeof(row_names) / sizeof(*row_names);

#define USER        (EVTSEL_EN | EVTSEL_INT | EVTSEL_USR)
#define BOTH        (USER | EVTSEL_OS)
#define EVENT_ICACHE_MISSES     0x0283
#define EVENT_BRANCH_MISSES     0x00c5
#define EVENT_DTLB_MISSES       0x0e08

/* FIXED_CTR_CTRL: PMI, with user mode or both rings, for fixed counter @j */
#define FIXED_USER(j)   (0xaull << 4 * (j))
#define FIXED_BOTH(j)   (0xbull << 4 * (j))
#define GLOBAL_FIXED(j) (1ull << (32 + (j)))
/* As Linux sets GLOBAL_CTRL: the eight counters and fixed 0 to 2 */
#define GLOBAL_ALL      0x7000000ffull

static void wrmsr(Bench *bench, unsigned row, uint32_t msr, uint64_t value)
{
    timed(bench, row, TIMED_WRMSR, msr, value);
}

/* Set up the first @n vPMCs, and switch them off in GLOBAL_CTRL. */
static void select_events(Bench *bench, unsigned n, uint64_t config)
{
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 0);
    for (unsigned i = 0; i < n; i++) {
        wrmsr(bench, NO_ROW, MSR_PMC(i), 0);
        wrmsr(bench, NO_ROW, MSR_EVNTSEL(i), config);
    }
}

/* --- exits that have nothing to do with the PMU --- */

static void prepare_off(Bench *bench)
{
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 0);
}

static void repeat_exits(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_NOTHING, TIMED_NOTHING, 0, 0);
    timed(bench, ROW_LOOP, TIMED_LOOP, 0, LOOP_TURNS);
    timed(bench, ROW_CPUID, TIMED_CPUID, 0, 0);
    timed(bench, ROW_NOPS, TIMED_CPUID_NOPS, 0, 0);
    wrmsr(bench, ROW_SAME, MSR_GLOBAL_CTRL, 0);
}

static void prepare_1(Bench *bench)
{
    select_events(bench, 1, EVENT_INSTRUCTIONS | USER);
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 1);
}

static void repeat_exits_1(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_CPUID_1, TIMED_CPUID, 0, 0);
}

static void prepare_4(Bench *bench)
{
    select_events(bench, 4, EVENT_INSTRUCTIONS | USER);
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 15);
}

static void repeat_exits_4(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_CPUID_4, TIMED_CPUID, 0, 0);
}

static void prepare_rings(Bench *bench)
{
    select_events(bench, 1, EVENT_INSTRUCTIONS | BOTH);
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 1);
}

static void repeat_exits_rings(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_CPUID_RINGS, TIMED_CPUID, 0, 0);
}

/* --- GLOBAL_CTRL --- */

static void prepare_first_gp(Bench *bench)
{
    select_events(bench, 1, EVENT_INSTRUCTIONS | USER);
}

static void repeat_first_gp(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_FIRST_GP, MSR_GLOBAL_CTRL, 1);
}

static void prepare_first_fixed(Bench *bench)
{
    prepare_off(bench);
    wrmsr(bench, NO_ROW, MSR_FIXED_CTRL, FIXED_USER(0));
}

static void repeat_first_fixed(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_FIRST_FIXED, MSR_GLOBAL_CTRL, GLOBAL_FIXED(0));
}

static void repeat_global_1(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_DISABLE_1, MSR_GLOBAL_CTRL, 0);
    wrmsr(bench, ROW_ENABLE_1, MSR_GLOBAL_CTRL, 1);
}

static void repeat_global_4(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_DISABLE_4, MSR_GLOBAL_CTRL, 0);
    wrmsr(bench, ROW_ENABLE_4, MSR_GLOBAL_CTRL, 15);
}

static void repeat_global_rings(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_DISABLE_RINGS, MSR_GLOBAL_CTRL, 0);
    wrmsr(bench, ROW_ENABLE_RINGS, MSR_GLOBAL_CTRL, 1);
}

/*
 * perf prepares its buffers for records when its first event is created, and
 * frees them with its last one.
 */
static void repeat_global_perf(Bench *bench, unsigned i)
{
    (void)i;
    wrmsr(bench, ROW_DISABLE_PERF, MSR_GLOBAL_CTRL, 0);
    wrmsr(bench, ROW_ENABLE_PERF, MSR_GLOBAL_CTRL, 1);
}

/* --- FIXED_CTR_CTRL --- */

static void prepare_fixed(Bench *bench)
{
    wrmsr(bench, NO_ROW, MSR_FIXED_CTRL, FIXED_USER(0));
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, GLOBAL_FIXED(0));
}

static void repeat_fixed(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_FIXED_READ, TIMED_RDMSR, MSR_FIXED_CTRL, 0);
    wrmsr(bench, ROW_FIXED_OFF, MSR_FIXED_CTRL, 0);
    wrmsr(bench, ROW_FIXED_ON, MSR_FIXED_CTRL, FIXED_USER(0));
}

static void repeat_fixed_rings(Bench *bench, unsigned i)
{
    wrmsr(bench, ROW_FIXED_OTHER_RINGS, MSR_FIXED_CTRL,
          i % 2 ? FIXED_USER(0) : FIXED_BOTH(0));
}

/* --- event selects and counters --- */

static void repeat_select(Bench *bench, unsigned i)
{
    (void)i;
    timed(bench, ROW_SELECT_READ, TIMED_RDMSR, MSR_EVNTSEL(0), 0);
    wrmsr(bench, ROW_SELECT_OFF, MSR_EVNTSEL(0),
          (EVENT_INSTRUCTIONS | USER) & ~EVTSEL_EN);
    wrmsr(bench, ROW_SELECT_ON, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | USER);
}

static void repeat_select_rings(Bench *bench, unsigned i)
{
    wrmsr(bench, ROW_SELECT_OTHER_RINGS, MSR_EVNTSEL(0),
          EVENT_INSTRUCTIONS | (i % 2 ? USER : BOTH));
}

static uint64_t other_event(unsigned i)
{
    return (i % 2 ? EVENT_ICACHE_MISSES : EVENT_DTLB_MISSES) | USER;
}

static void repeat_select_event(Bench *bench, unsigned i)
{
    wrmsr(bench, ROW_SELECT_OTHER_EVENT, MSR_EVNTSEL(0), other_event(i));
}

static void repeat_select_perf(Bench *bench, unsigned i)
{
    wrmsr(bench, ROW_SELECT_OTHER_PERF, MSR_EVNTSEL(0), other_event(i));
}

static void repeat_counter(Bench *bench, unsigned i)
{
    timed(bench, ROW_COUNTER_READ, TIMED_RDMSR, MSR_PMC(0), 0);
    timed(bench, ROW_RDPMC, TIMED_RDPMC, 0, 0);
    wrmsr(bench, ROW_COUNTER_WRITE, MSR_PMC(0), 1000 + i);
}

/* --- interrupts --- */

/* Cycles, because KVM counts none for instructions that it emulates */
static void prepare_pmi(Bench *bench)
{
    select_events(bench, 1, EVENT_CYCLES | BOTH);
    wrmsr(bench, NO_ROW, MSR_GLOBAL_CTRL, 1);
}

/* At another NOP each time, which must not change the time */
_Static_assert(8 + 3 * BATCH < PMI_NOPS, "the NOPs are too few");

static void repeat_pmi(Bench *bench, unsigned i)
{
    timed(bench, ROW_PMI, TIMED_PMI, MSR_PMC(0),
          -(8 + 3ull * i) & 0xffffffffffff);
}

/* --- a thread with perf's events is switched in and out --- */

/*
 * The events of "perf stat -e branches,cpu-cycles,L1-icache-load-misses,
 * branch-load-misses,branch-loads,dTLB-load-misses", where perf of a Linux
 * guest puts them: cycles are on fixed 1, and the two that not every counter
 * can count are on the first two.
 */
static const uint32_t stat_events[] = {
    EVENT_ICACHE_MISSES, EVENT_DTLB_MISSES, EVENT_BRANCHES, EVENT_BRANCH_MISSES,
    EVENT_BRANCHES,
};
#define NR_STAT     (sizeof(stat_events) / sizeof(*stat_events))
#define RDPMC_FIXED 0x40000000
/* From where they count; their low half is compared, see bench.c. */
#define STAT_VALUE  0x800000000001

/* What x86_pmu_enable() does with the events that were added */
static void sched_in(Bench *bench, unsigned row)
{
    wrmsr(bench, row, MSR_GLOBAL_CTRL, 0);
    for (unsigned i = 0; i < NR_STAT; i++) {
        wrmsr(bench, row, MSR_PMC(i), STAT_VALUE);
        wrmsr(bench, row, MSR_EVNTSEL(i), stat_events[i] | BOTH);
    }
    wrmsr(bench, row, MSR_FIXED(1), STAT_VALUE);
    wrmsr(bench, row, MSR_FIXED_CTRL, FIXED_BOTH(1));
    wrmsr(bench, row, MSR_GLOBAL_CTRL, GLOBAL_ALL);
}

/* The same of x86_pmu_disable(), x86_pmu_del() and x86_pmu_enable() */
static void sched_out(Bench *bench, unsigned row)
{
    wrmsr(bench, row, MSR_GLOBAL_CTRL, 0);
    for (unsigned i = 0; i < NR_STAT; i++) {
        wrmsr(bench, row, MSR_EVNTSEL(i),
              (stat_events[i] | BOTH) & ~EVTSEL_EN);
        timed(bench, row, TIMED_RDPMC, i,
              stat_events[i] == EVENT_BRANCHES ? (uint32_t)STAT_VALUE : 0);
    }
    timed(bench, row, TIMED_RDPMC, RDPMC_FIXED | 1, (uint32_t)STAT_VALUE);
    wrmsr(bench, row, MSR_FIXED_CTRL, 0);
    wrmsr(bench, row, MSR_GLOBAL_CTRL, GLOBAL_ALL);
}

static void prepare_sched(Bench *bench)
{
    sched_in(bench, NO_ROW);
}

static void repeat_sched(Bench *bench, unsigned i)
{
    (void)i;
    sched_out(bench, ROW_SCHED_OUT);
    sched_in(bench, ROW_SCHED_IN);
}

static void repeat_sched_perf(Bench *bench, unsigned i)
{
    (void)i;
    sched_out(bench, ROW_SCHED_OUT_PERF);
    sched_in(bench, ROW_SCHED_IN_PERF);
}

/* Repetitions: of most, of what is slow, and of what needs a new VM */
#define MANY    480
#define SLOW    96
#define FIRST   5

const Group groups[] = {
    { "exits", prepare_off, repeat_exits, MANY },
    { "exits-1", prepare_1, repeat_exits_1, MANY },
    { "exits-4", prepare_4, repeat_exits_4, MANY },
    { "exits-both-rings", prepare_rings, repeat_exits_rings, MANY },
    { "first-use-gp", prepare_first_gp, repeat_first_gp, FIRST,
      .first = true },
    { "first-use-fixed", prepare_first_fixed, repeat_first_fixed, FIRST,
      .first = true },
    { "global-ctrl-1", prepare_1, repeat_global_1, MANY },
    { "global-ctrl-4", prepare_4, repeat_global_4, MANY },
    { "global-ctrl-both-rings", prepare_rings, repeat_global_rings, MANY },
    { "global-ctrl-beside-perf", prepare_1, repeat_global_perf, MANY,
      .perf = true },
    { "fixed-ctrl", prepare_fixed, repeat_fixed, MANY },
    { "fixed-ctrl-rings", prepare_fixed, repeat_fixed_rings, MANY },
    { "event-select", prepare_1, repeat_select, MANY },
    { "event-select-rings", prepare_1, repeat_select_rings, MANY },
    { "event-select-event", prepare_1, repeat_select_event, MANY },
    { "event-select-beside-perf", prepare_1, repeat_select_perf, MANY,
      .perf = true },
    { "counter", prepare_1, repeat_counter, MANY },
    { "pmi", prepare_pmi, repeat_pmi, MANY },
    { "sched", prepare_sched, repeat_sched, SLOW },
    { "sched-beside-perf", prepare_sched, repeat_sched_perf, SLOW,
      .perf = true },
};
const unsigned nr_groups = sizeof(groups) / sizeof(*groups);
