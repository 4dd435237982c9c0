/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: comparisons, and what silicon counts
 */
#include <stdio.h>
#include <stdlib.h>
#include "handover.h"

#define MEASUREMENTS    20

bool silicon;
unsigned check_failures;
Edges edges = { 1, 1, 0 };

void check_equal(uint64_t a, uint64_t b, const char *what, const char *where,
                 int line)
{
    if (a != b) {
        printf("# %s, line %d: %s is %lld, not %lld\n", where, line, what,
               (long long)a, (long long)b);
        check_failures++;
    }
}

void check_count(VM *vm, uint64_t a, uint64_t b, const char *what,
                 const char *where, int line)
{
    uint64_t most = silicon && a > b ? vm_interruptions(vm) : 0;

    if (most && a - b <= most) {
        printf("# %s, line %d: %s is %lld, %lld too many with at most %lld "
               "interruptions\n", where, line, what, (long long)a,
               (long long)(a - b), (long long)most);
    } else {
        check_equal(a, b, what, where, line);
    }
}

void check_counted(VM *vm, uint64_t counted, uint64_t insns, unsigned period,
                   unsigned periods)
{
    if (!silicon) {
        EQUAL(counted, insns);
        return;
    }
    /*
     * Silicon goes on counting until the handler or the record sets the counter
     * anew, which discards that: less than a period, or an overflow was lost.
     */
    printf("# %u periods of %u; %lld of %lld instructions are not counted\n",
           periods, period, (long long)(insns - counted), (long long)insns);
    TRUE(counted <= insns + vm_interruptions(vm));
    TRUE(insns < counted + periods * (uint64_t)period);
}

void check_periods(VM *vm, uint64_t insns, unsigned period, unsigned periods,
                   uint64_t counter)
{
    uint64_t begun = (counter - period_start(period)) & COUNTER_MASK;

    /* A counter that has gone on after an overflow has begun more than one. */
    TRUE(begun < period);
    check_counted(vm, periods * (uint64_t)period + begun, insns, period,
                  periods);
}

/* One loop in a VM without hand-over; interruptions can only add to it. */
static unsigned edges_measure_event(uint64_t event, unsigned loops)
{
    unsigned result[MEASUREMENTS];
    uint64_t least = UINT64_MAX;
    VM vm;

    vm_create(&vm, NULL);
    guest_enable(&vm, 1);
    for (unsigned i = 0; i < MEASUREMENTS; i++) {
        guest_program(&vm, 0, event, 0);
        guest_loop(&vm, TURNS);
        result[i] = guest_read(&vm, 0);
    }
    vm_execute(&vm);
    for (unsigned i = 0; i < MEASUREMENTS; i++) {
        if (vm_result(&vm, result[i]) < least) {
            least = vm_result(&vm, result[i]);
        }
    }
    vm_destroy(&vm);
    if (least < loops || least > loops + 2) {
        printf("Bail out! without hand-over, event 0x%llx counts %lld in a "
               "loop of %u\n", (long long)event, (long long)least, loops);
        exit(1);
    }
    return least - loops;
}

void edges_measure(void)
{
    edges.insns = edges_measure_event(EVENT_INSTRUCTIONS, 2 * TURNS);
    edges.branches = edges_measure_event(EVENT_BRANCHES, TURNS);
    edges.loads = edges_measure_event(EVENT_LOADS, 0);
    printf("# IRET and INT count %u instructions, %u branches, %u loads\n",
           edges.insns, edges.branches, edges.loads);
}
