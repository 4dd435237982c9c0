/*
 * A guest for tests of what watches it: it counts until somebody ends it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With five general-purpose counters.  Each CPU executes two instructions for
 * each branch, but for a few in a million; the counters are
 *
 *             first CPU                       others
 *   gp 0      branches, ring 0                instructions, ring 0, PEBS
 *   gp 1      instructions, ring 0, PEBS      -
 *   gp 2      DONE_INSNS in ring 3, done      -
 *   gp 3      an event that does not exist    -
 *   gp 4      -                               -
 *   fixed 0   instructions, both rings        instructions, both rings
 *
 * gp 2 has its count before the others start.  Those of the first CPU are on
 * all the time; the others switch theirs off and on once in a while.
 */
#include "pebs.h"

#define EV_NONE         0x01d1
#define PERIOD          100003

/* What body_insn_code retires in ring 3 */
#define DONE_INSNS      INSNS

const uint32_t loop_turns = 1000000;

/* There is always room for records. */
static void forget_records(struct cpu *me)
{
    pebs_area(me)->index = pebs_area(me)->base;
}

void ap_main(struct cpu *me)
{
    uint64_t mask;

    pebs_clear(me);
    mask = pebs_sample(0, EV_INSNS, RING0, PERIOD, PERIOD) |
           pmu_count(FIXED(0), 0, RING0 | RING3, 0);
    for (;;) {
        forget_records(me);
        run_code(me, loop_code, false, 0, mask);
    }
}

void main(void)
{
    uint64_t mask;

    pmu_start();
    pebs_clear(cpu);
    run_insns(0, pmu_count(2, EV_INSNS, RING3, 0));
    check(pmu_value(2), DONE_INSNS, "the count that is done");
    mask = pmu_count(0, EV_BRANCHES, RING0, 0) |
           pebs_sample(1, EV_INSNS, RING0, PERIOD, PERIOD) |
           pmu_count(3, EV_NONE, RING0, 0) |
           pmu_count(FIXED(0), 0, RING0 | RING3, 0);
    wrmsr(MSR_GLOBAL_CTRL, mask);
    for (;;) {
        forget_records(cpu);
        loop_code();
    }
}
