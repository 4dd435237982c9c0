/*
 * Counters that overflow at a known event, for pmi.c and pebs.c; those of AMD
 * with PerfMonV2 only
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_PMU_H
#define TESTS_VPMU_PMU_H

#include "rt.h"

/* Bodies repeat their pattern this many times. */
#define PATTERN_MAX     400

#define VECTOR_PMI      0x31
#define VECTOR_NMI      2
#define VECTOR_IPI      0x50

#ifndef ASSEMBLY

/* The number of fixed counter @j: that of its bit in GLOBAL_CTRL. */
#define FIXED(j)        (32 + (j))

/* Rings in which a counter counts, as in FIXED_CTR_CTRL. */
enum { RING0 = 1, RING3 = 2 };

static inline unsigned ring_mask(bool user)
{
    return user ? RING3 : RING0;
}

/* Code in bodies.S, and the places in it where the pattern starts. */
void body_insn_code(void);
void body_branch_code(void);
void body_cond_code(void);
void body_load_code(void);
void body_store_code(void);
void body_call_code(void);
void body_ret_code(void);
void body_fault_code(void);
extern char body_insn[], body_branch[], body_cond[], body_load[], body_store[];
extern char body_call[], body_ret[], body_fault[];

/* MOV, and @loop_turns (which the program defines) times DEC and JNZ. */
void loop_code(void);
extern char loop_dec[], loop_jnz[];
extern const uint32_t loop_turns;
/* Five interrupts to oneself, VECTOR_IPI */
void ipi_code(void);

/* An event in a body. */
struct pattern {
    const char *name;
    void (*code)(void);
    const char *start;
    uint32_t event;
    unsigned size;              /* bytes in a turn */
    unsigned per_turn;          /* events in a turn */
    unsigned place[4];          /* of each event in a turn, in bytes */
    /* pebs: events after the last turn, in ring 0 and in ring 3 */
    unsigned tail, tail_user;
    unsigned ahead;             /* events in the code before @start */
    bool user_only;             /* the code does not run in ring 0 */
};

/* The place of the @n-th event. */
uint64_t pattern_place(const struct pattern *p, unsigned n);

/* The first interrupt, how many there were, and other traps before it. */
struct hit {
    unsigned n, before;
    struct frame frame;
    uint64_t status, ctrl;
    uint32_t lvtpc;
    uint64_t count;             /* GP counter 0 and fixed counter 0 */
    uint64_t watched;           /* what @pmu_watch pointed to */
};

/* The CPU that is under test: the first. */
extern struct cpu *const cpu;
extern struct hit hit;
/* The interrupt's handler leaves the counters on, or goes on at R15. */
extern bool keep_counting, skip_to_r15;
extern const uint64_t *pmu_watch;

/* The start of main(): handlers, and the other CPU. */
void pmu_start(void);
/* Which counters have overflowed; have them forgotten. */
uint64_t pmu_status(void);
void pmu_acknowledge(uint64_t bits);
/* Put the PMU of the current CPU in order: all off, counters at 0. */
void pmu_clear(void);
/* The same for the first CPU; and no interrupt has come yet. */
void pmu_prepare(void);
/* What a counter has when it is @n events before its overflow. */
uint64_t pmu_minus(uint64_t n);
uint64_t pmu_value(unsigned counter);
/*
 * Let a counter overflow at the @n-th event.  A fixed counter has its own
 * event.  Returns: its bit in GLOBAL_CTRL.
 */
uint64_t pmu_count(unsigned counter, uint64_t event, unsigned rings,
                   uint64_t n);
/* Run body_insn_code in ring 3 with the counters in @mask on. */
void run_insns(uint64_t flags, uint64_t mask);
/* How often the CALL by which run() enters code in ring 0 counts. */
unsigned call_counts(uint32_t event);

/* For a case: pages are absent until they are accessed. */
void before_hole_map(struct cpu *cpu);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_PMU_H */
