/*
 * What the parts of hostile.c share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_HOSTILE_H
#define TESTS_VPMU_HOSTILE_H

#include "pebs.h"

/*
 * What a CPU knows of its attack
 * @random: never 0
 * @hits, @faults: interrupts, and #GP in ring 3
 * @bad: what was not as expected; only ever added to
 * @left: how often @on_pmi may still go on
 * @bits, @lvtpc: how @on_pmi sets the counters and the local APIC up
 */
struct local {
    uint64_t random;
    unsigned hits, faults, bad, left;
    uint64_t bits;
    uint32_t lvtpc;
    void (*on_pmi)(struct local *l);
};

struct attack {
    const char *name;
    void (*run)(struct cpu *me);
    bool needs_pebs;
};

/* In hostile.c */
struct local *local_of(struct cpu *me);
uint64_t random_of(struct local *l);
/* All of the current CPU's PMU off, nothing pending, no handler, no hits. */
void quiet(struct cpu *me);

/* In hostile-sweep.c */
/* Addresses where no record can be written */
extern const uint64_t places[];
extern const unsigned nr_places;
/* One register gets one value, which may well be wrong. */
void write_wild(struct local *l);
/* Attacks */
void sweep_rdpmc(struct cpu *me);
void sweep_quiet(struct cpu *me);
void sweep_wild(struct cpu *me);
/* Code in ring 3 */
void user_rdpmc_all(void);

#endif /* TESTS_VPMU_HOSTILE_H */
