/*
 * The hand-over core against a model, with hardware to count on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model knows the rules in handover.h, not how handover.c follows them.
 * It does what a caller does, on counters of its own, and after every step it
 * checks everything that must be true.  The unit test and the fuzzer share it.
 */
#ifndef TESTS_UNIT_HANDOVER_MODEL_H
#define TESTS_UNIT_HANDOVER_MODEL_H

#include <stddef.h>
#include "handover.h"
#include "pebs-record.h"

typedef struct HandoverModel {
    Handover h;
    /* The last change and the state before it. */
    HandoverChange change;
    Handover before;

    /* What the operator and the guest have asked for. */
    VPMUCounterMask counters;
    VPMUCounterMask reserved;
    VPMUCounterMask enabled;
    int64_t slice;
    bool ever_reserved;
    /* The clock, now and at the last call. */
    int64_t clock;
    int64_t last;
    /* For how long each vPMC has not been enabled. */
    int64_t unused[VPMU_NR];
    /* The statistics as they must be. */
    HandoverStats stats;

    /* The physical counters: values, the vPMC they count for, and which run. */
    uint64_t value[VPMU_NR];
    int8_t event[VPMU_NR];
    VPMUCounterMask on;
    /* Values of vPMCs without a pPMC, and the right value of each vPMC. */
    uint64_t parked[VPMU_NR];
    uint64_t truth[VPMU_NR];

    /* The vPMCs for which save and load were called. */
    VPMUCounterMask saved;
    VPMUCounterMask loaded;
    uint64_t random;
} HandoverModel;

/* What happened in streams, by which a test sees that they reach all cases. */
typedef struct HandoverTally {
    HandoverStats stats;
    uint64_t refused;
    uint64_t forced;
    uint64_t swaps;
    uint64_t slow;
} HandoverTally;

/**
 * model_init: as handover_init(); the clock starts at @clock
 */
void model_init(HandoverModel *m, VPMUCounterMask counters,
                VPMUCounterMask reserved, int64_t slice, int64_t clock);

/**
 * model_enable: the guest writes a control register
 */
void model_enable(HandoverModel *m, VPMUCounterMask enabled);

/**
 * model_reserve: the operator reserves; returns as handover_reserve()
 */
VPMUCounterMask model_reserve(HandoverModel *m, VPMUCounterMask reserved,
                              bool force);

/**
 * model_choose: call handover_choose() and check its answer
 */
VPMUCounterMask model_choose(VPMUCounterMask counters, VPMUCounterMask avoid,
                             VPMUCounterMask reserved, unsigned nr, bool low);

/**
 * model_pass: time passes, or jumps back
 */
void model_pass(HandoverModel *m, int64_t ns);

/**
 * model_count: events happen, of every vPMC's kind
 */
void model_count(HandoverModel *m);

/**
 * model_write: the guest writes a counter
 */
void model_write(HandoverModel *m, unsigned v, uint64_t value);

/**
 * model_run: carry out the steps that a stream of bytes encodes
 * @tally: what happens is added here
 */
void model_run(const uint8_t *data, size_t size, HandoverTally *tally);

#endif /* TESTS_UNIT_HANDOVER_MODEL_H */
