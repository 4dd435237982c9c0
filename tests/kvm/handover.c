/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over with /dev/kvm alone; TAP
 * usage: kvm-handover [-s] [NUMBER]  all tests, or one
 *        kvm-handover [-s] off       the module's parameter is off: exit
 *                                    status 0
 *        kvm-handover [-s] watchdog  the host's NMI watchdog runs: exit
 *                                    status 0
 *        kvm-handover guest          a guest that counts, until it is killed
 *        kvm-handover [-s] figures   what it costs, with and without hand-over
 *        kvm-handover cpu            what the CPU has and what KVM offers
 *
 * -s: silicon counts, and not QEMU's emulator; handover.h says what that means.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "handover.h"

static const struct {
    const char *name;
    void (*run)(void);
    bool pebs;
} tests[] = {
    { "the kernel says what it can do", test_features },
    { "a wrong request is refused, and changes nothing", test_errors },
    { "the map can be read", test_attribute },
    { "counts are exact", test_counts },
    { "counts of ring 0 are exact", test_rings },
    { "all counters are handed over", test_all_counters },
    { "a counter is reused", test_reuse },
    { "another event takes the same counter", test_other_event },
    { "what is written while a counter is disabled counts later",
      test_written_while_disabled },
    { "a guest switches between programs that count", test_switches },
    { "a counter overflows", test_overflow },
    { "what KVM executes is counted once", test_emulated },
    { "user space sees each overflow", test_overflow_seen },
    { "perf throttles a counter", test_throttled },
    { "what is not used goes back", test_lazy_release },
    { "the host takes counters and gives them back", test_reserve },
    { "the host has counters from the start", test_reserved_at_start },
    { "a fixed counter is reserved, another counts in its place",
      test_fixed_reserved },
    { "the host counts on a fixed counter", test_fixed_in_use },
    { "what counts in place of a fixed counter is counted", test_fixed_budget },
    { "reference cycles starve", test_fixed_starved },
    { "events of the host come and go", test_host_events },
    { "a counter that is about to overflow is moved", test_one_left },
    { "each counter has the index that the guest has chosen", test_own_index },
    { "a counter of the same index counts any event", test_same_index },
    { "the vCPU goes to another CPU", test_migration },
    { "another thread runs the vCPU", test_other_thread },
    { "the host counts beside the guest", test_beside },
    { "a counter makes records", test_pebs, true },
    { "another counter makes records", test_pebs_other, true },
    { "a record is one event away", test_pebs_one_left, true },
    { "a counter that makes records is written", test_pebs_written, true },
    { "another counter of the host's makes the same records", test_pebs_slow,
      true },
    { "some counters make records in place of others",
      test_pebs_slow_together, true },
    { "records that cannot be made are dropped", test_pebs_dropped, true },
    { "no events are made in vain for records", test_pebs_host, true },
    { "a page of the guest's comes late", test_late_page, true },
    { "a page for records of another counter comes late",
      test_late_page_slow, true },
    { "all that the host can do at once", test_all_at_once },
    { "the reservation changes without a pause", test_calls },
    { "no record is lost meanwhile without being counted", test_pebs_at_once,
      true },
    { "a counter is lost in the middle of a loop", test_pebs_midway, true },
    { "a counter moves in the middle of a loop", test_pebs_moved, true },
    { "the guest spoils its records", test_pebs_hostile, true },
    { "the guest maps its records to somewhere else", test_pebs_mapped_away,
      true },
    { "a PMU is reset while the host takes counters", test_reset_race },
    { "a process that is killed leaves no counter behind", test_killed },
    { "Linux counts signals in a vCPU of its own layout", test_signals },
    { "a PMU of version 1", test_version_1 },
    { "user space filters the registers", test_filter },
    { "a VM that has not asked is as it was", test_not_asked },
};
#define NR_TESTS    (sizeof(tests) / sizeof(*tests))

/* Returns whether the test has passed or was skipped. */
static bool run_test(unsigned i)
{
    if (tests[i].pebs && !vm_pmu.pebs) {
        printf("ok %u - %s # SKIP KVM offers no PEBS on this CPU\n", i + 1,
               tests[i].name);
        return true;
    }
    check_failures = 0;
    tests[i].run();
    printf("%sok %u - %s\n", check_failures ? "not " : "", i + 1,
           tests[i].name);
    return !check_failures;
}

/* All tests, or with @only that one; returns the exit status. */
static int run_tests(unsigned only)
{
    unsigned failed = 0;

    for (unsigned i = 0; i < NR_TESTS; i++) {
        if (!only || only == i + 1) {
            failed += !run_test(i);
        }
    }
    printf("1..%u\n", (unsigned)NR_TESTS);
    return failed != 0;
}

/* The module's parameter is off: nothing of hand-over can be seen. */
static int check_off(void)
{
    int kvm = open("/dev/kvm", O_RDWR);
    VM vm;

    EQUAL(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_VPMU_HANDOVER), 0);
    close(kvm);
    vm_create(&vm, NULL);
    EQUAL(vm_handover(&vm, 0, 0, 0), EINVAL);
    guest_count_all(&vm, ALL_GP);
    vm_destroy(&vm);
    return check_failures != 0;
}

/* A guest that counts with all counters but two until it is killed */
static void run_guest(void)
{
    VM vm;

    guest_create(&vm);
    if (vm_handover(&vm, 0, 2, 0)) {
        die("KVM_ENABLE_CAP");
    }
    guest_program_insns(&vm, NR_GP - 2);
    guest_enable(&vm, ALL_GP);
    guest_run_forever(&vm);
}

int main(int argc, char **argv)
{
    const char *what = "";

    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 1 && !strcmp(argv[1], "-s")) {
        silicon = true;
        argc--, argv++;
    }
    if (argc > 1) {
        what = argv[1];
    }
    vm_probe(!strcmp(what, "cpu"));
    if (!strcmp(what, "cpu")) {
        return 0;
    }
    if (NR_GP < 6 || NR_GP > MAX_GP || vm_pmu.fixed < 3) {
        printf("Bail out! KVM offers %u general-purpose and %u fixed counters; "
               "6 and 3 are needed\n", NR_GP, vm_pmu.fixed);
        return 1;
    }
    if (!strcmp(what, "guest")) {
        run_guest();
    }
    if (silicon) {
        edges_measure();
    }
    if (!strcmp(what, "off")) {
        return check_off();
    }
    if (!strcmp(what, "watchdog")) {
        return fixed_check_watchdog();
    }
    if (!strcmp(what, "figures")) {
        figures_print();
        return 0;
    }
    return run_tests(atoi(what));
}
