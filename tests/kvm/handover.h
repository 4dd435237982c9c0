/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of kvm-handover share
 *
 * All counts are known by construction.  Most are of user mode, in which the
 * guest counts nothing but its loop.  They are exact, and cycles are
 * instructions, as in QEMU's emulator.
 *
 * With -s silicon counts.  Then cycles are not compared.  Each time that user
 * mode is interrupted, one instruction and one branch too many may be counted.
 * So a count may be higher by the number of the guest's interruptions, see
 * vm_interruptions(), and is never lower.  What IRET and INT count in user mode
 * is measured first, with a VM that has no hand-over.
 */
#ifndef TESTS_KVM_HANDOVER_H
#define TESTS_KVM_HANDOVER_H

#include <sys/types.h>
#include "guest.h"
#include "vm.h"

/* Turns of the guest's loop */
#define TURNS           1000
#define USER            (EVTSEL_EN | EVTSEL_USR)
#define MAX_GP          32
#define NR_GP           vm_pmu.gp
#define ALL_GP          ((1ull << NR_GP) - 1)
/* A counter has 48 bits. */
#define COUNTER_MASK    0xffffffffffff

/* Enables hand-over with nothing reserved and the default slice. */
extern const struct kvm_vpmu_handover handover_defaults;

/* --- handover-check.c: comparisons --- */

/* Silicon counts, option -s. */
extern bool silicon;

/* Differences that were found in this test */
extern unsigned check_failures;

/* What IRET to user mode and INT out of it count there, for each loop */
typedef struct Edges {
    unsigned insns, branches, loads;
} Edges;
extern Edges edges;

/* What one loop of the guest counts in user mode */
#define USER_INSNS(turns)       (2 * (uint64_t)(turns) + edges.insns)
#define USER_BRANCHES(turns)    ((uint64_t)(turns) + edges.branches)

/*
 * What ring 0 counts, see guest.S: from the WRMSR that starts the counters, for
 * an entry OP_RDMSR, for an entry OP_USER, and up to the WRMSR that stops them.
 * KVM executes RDMSR and WRMSR in the guest's place and counts each as an
 * instruction; the last WRMSR is not counted, because the counters are off
 * then.
 */
#define START_INSNS             4
#define START_BRANCHES          2
#define RDMSR_INSNS             13
#define RDMSR_BRANCHES          5
#define KERNEL_INSNS            (23 - edges.insns)
#define KERNEL_BRANCHES         (9 - edges.branches)
#define STOP_INSNS              6
#define STOP_BRANCHES           1

/* Compare, and print a difference. */
#define EQUAL(a, b)     check_equal(a, b, #a, __func__, __LINE__)
#define TRUE(a)         check_equal(!!(a), 1, #a, __func__, __LINE__)
/* A number of records; on silicon records may come late, so be fewer. */
#define RECORDS(a, b)   (silicon ? TRUE(a) : EQUAL(a, b))
/* A count of the guest's of anything but cycles */
#define COUNT(vm, a, b) check_count(vm, a, b, #a, __func__, __LINE__)
/* What a loop of TURNS has added to @b, in cycles */
#define CYCLES(a, b)    (silicon ? TRUE((a) > (b)) : \
                                   EQUAL(a, (b) + USER_INSNS(TURNS)))

void check_equal(uint64_t a, uint64_t b, const char *what, const char *where,
                 int line);
void check_count(VM *vm, uint64_t a, uint64_t b, const char *what,
                 const char *where, int line);

/*
 * @counted of @insns instructions are in the vPMC's value and in the @periods
 * periods of @period that are over.
 */
void check_counted(VM *vm, uint64_t counted, uint64_t insns, unsigned period,
                   unsigned periods);

/*
 * Of @insns instructions @periods periods of @period are over, and @counter has
 * counted part of another period.
 */
void check_periods(VM *vm, uint64_t insns, unsigned period, unsigned periods,
                   uint64_t counter);

/* Measure the edges of silicon. */
void edges_measure(void);

/* --- handover-guest.c: a guest that counts --- */

/* A VM with hand-over, whose counters are off */
void guest_create_slice(VM *vm, unsigned slice_ms);
/* The same, with a slice that is longer than any test waits */
void guest_create(VM *vm);

/*
 * These add to the guest's table: set up vPMC @i to count @event; set
 * GLOBAL_CTRL; loop in user mode; read vPMC @i, for vm_result().
 */
void guest_program(VM *vm, unsigned i, uint64_t event, uint64_t value);
void guest_enable(VM *vm, uint64_t counters);
void guest_loop(VM *vm, unsigned turns);
unsigned guest_read(VM *vm, unsigned i);
/* Set up the first @n vPMCs to count instructions from 0. */
void guest_program_insns(VM *vm, unsigned n);

/* Have the guest's handler of PMIs set vPMC 0 to this value. */
void guest_rearm(VM *vm, uint64_t value);

/* These execute the table: loop; read vPMC @i. */
void guest_run(VM *vm, unsigned turns);
uint64_t guest_value(VM *vm, unsigned i);

/*
 * Enter and leave the guest twice: KVM acts on what it sees at an entry before
 * the next one.
 */
void guest_enter_twice(VM *vm);

/* Have these vPMCs count the same loop, and compare each of them. */
void guest_count_all(VM *vm, unsigned counters);

/* Execute the table, and loop until the process is killed. */
void guest_run_forever(VM *vm) __attribute__((noreturn));

/* The value from which a counter overflows after @period events */
uint64_t period_start(unsigned period);

/* How many vPMCs of the map are starved */
unsigned map_starved(const struct kvm_vpmu_handover_map *map);

/* --- handover-signal.c: KVM_RUN ends for a signal --- */

/*
 * Have KVM_RUN end before the guest is entered: a signal is pending that only
 * KVM_RUN lets through.
 */
void guest_prevent_entry(VM *vm);
void guest_allow_entry(void);
/* KVM_RUN, which ends for that signal; before, it makes the guest's events. */
void guest_try_entry(VM *vm);

/* --- handover-host.c: what the host does beside the guest --- */

void host_sleep_ms(unsigned ms);

/* Have a thread (0: this one) run on this CPU only; this one anywhere. */
void host_run_on(pid_t thread, int cpu);
void host_run_anywhere(void);
/* Keep this thread away from this CPU. */
void host_run_elsewhere(int cpu);
long host_cpus(void);

/* A counter of perf's for user mode; -1 if perf refuses it */
int host_counter(pid_t pid, int cpu, bool pinned, uint64_t config);
/* A pinned counter of CPU 0, of an event that no fixed counter counts */
int host_counter_cpu0(void);
/* perf makes records of this CPU's branches, far apart. */
int host_records(int cpu);
/* Does it count all the time?  A pinned one that does not cannot be read. */
bool host_counts(int fd);
/* How many pinned general-purpose counters this CPU still has for perf */
unsigned host_free(void);

/* A counter of how often this thread passes a trace event of hand-over */
int host_trace_counter(const char *name);
uint64_t host_trace_count(int fd);

unsigned host_read_number(const char *path);
/* Set perf's limit /proc/sys/kernel/NAME; returns its value before. */
unsigned host_set_limit(const char *name, unsigned value);

/* --- the tests --- */

void test_features(void);
void test_errors(void);
void test_attribute(void);
void test_not_asked(void);

void test_counts(void);
void test_rings(void);
void test_all_counters(void);
void test_reuse(void);
void test_other_event(void);
void test_overflow(void);
void test_overflow_seen(void);
void test_throttled(void);
void test_lazy_release(void);
void test_version_1(void);
void test_filter(void);

void test_emulated(void);

void test_reserve(void);
void test_reserved_at_start(void);

void test_fixed_reserved(void);
void test_fixed_in_use(void);
void test_fixed_budget(void);
void test_fixed_starved(void);

void test_host_events(void);
void test_one_left(void);
void test_own_index(void);
void test_same_index(void);
void test_migration(void);
void test_other_thread(void);
void test_beside(void);
void test_killed(void);

void test_reset_race(void);

void test_signals(void);

void test_switches(void);
void test_written_while_disabled(void);

void test_pebs(void);
void test_pebs_other(void);
void test_pebs_one_left(void);
void test_pebs_written(void);
void test_pebs_dropped(void);
void test_pebs_slow(void);
void test_pebs_slow_together(void);
void test_pebs_host(void);
void test_late_page(void);
void test_late_page_slow(void);

void test_calls(void);

void test_all_at_once(void);
void test_pebs_at_once(void);
void test_pebs_midway(void);
void test_pebs_moved(void);
void test_pebs_hostile(void);
void test_pebs_mapped_away(void);

/* --- handover-abi.c --- */

/* Returns 0 or the error of KVM_ENABLE_CAP. */
int handover_enable_cap(int vm, const void *args, uint64_t arg1,
                        uint32_t flags);

/* --- handover-pebs.c: for the tests of records --- */

/* A record is made every so many instructions of user mode. */
#define PEBS_PERIOD     100

/*
 * Have vPMC 0 make records; it is not enabled.  There is never a PMI.  Without
 * memory, the first record waits until the host has found some, and is dropped
 * if perf stops the event meanwhile.
 */
void pebs_program(VM *vm, unsigned period);
void pebs_program_without_memory(VM *vm, unsigned period);
/* Fill the DS area for that. */
void pebs_fill_ds(VM *vm, unsigned period);
/* How many records there are since the last call; all must be of vPMC 0. */
unsigned pebs_take_records(VM *vm);
/*
 * Compare the instructions of the first @n records in the buffer with @ips, or
 * note them there.
 */
void pebs_compare_ips(VM *vm, uint32_t *ips, unsigned n, bool note);

/* --- handover-fixed.c: with the host's NMI watchdog --- */

/* Returns the exit status. */
int fixed_check_watchdog(void);

/* --- handover-figures.c --- */

/* Print what hand-over costs in the host's kernel. */
void figures_print(void);

#endif
