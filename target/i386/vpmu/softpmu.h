/*
 * The software PMU's counters: what silicon does, in plain C
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This file and softpmu.c need nothing of QEMU, glib or libc, so that the
 * unit tests and fuzzers compile the very code that the emulator runs.
 *
 * How a count comes about
 * -----------------------
 * Translated code spends an allowance.  At the start of a translation block
 * (TB) it subtracts the block's instructions and branches from left[ring],
 * in one subtraction.  If left[ring] has become negative, it calls the emulator
 * before the first instruction.  Classes that are asked for less often are
 * added to spent[ring][] in the same place.  The charge of an instruction that
 * does not retire is paid back.  So at every instruction boundary, given - left
 * and spent are exactly what was retired since the last softpmu_fold(), which
 * moves them into the counters.
 *
 * No instruction counts more than once, whatever the event.  So an allowance
 * of as many instructions as the fullest counter has room for cannot hide an
 * overflow: a counter can overflow only in a TB whose start the emulator saw,
 * and the emulator makes that TB end with the instruction at which the
 * overflow happens.  The skid is 0.
 *
 * Outcomes of the simulation of caches, TLBs and branch prediction (sim.h) are
 * counted when they happen, and there may be several of them in one
 * instruction.  Their counters have no part in the allowance: whoever makes an
 * access asks softpmu_sim_overflows() before.
 *
 * Everything here belongs to one vCPU and is called by the thread that runs
 * it, or by any thread while that thread is stopped.  There are no locks.
 */
#ifndef TARGET_I386_VPMU_SOFTPMU_H
#define TARGET_I386_VPMU_SOFTPMU_H

#include "counters.h"
#include "sim.h"

#define SOFTPMU_WIDTH       48
#define SOFTPMU_VALUE_MASK  ((UINT64_C(1) << SOFTPMU_WIDTH) - 1)

/* The classes that events are made of.  An instruction adds 0 or 1. */
typedef enum SoftPMUClass {
    SOFTPMU_INSN,       /* instructions retired */
    SOFTPMU_BRANCH,     /* branch instructions of every kind */
    SOFTPMU_COND,       /* conditional branches */
    SOFTPMU_TAKEN,      /* conditional branches that were taken */
    SOFTPMU_CALL,       /* near calls */
    SOFTPMU_RET,        /* near returns */
    SOFTPMU_LOAD,       /* instructions that load */
    SOFTPMU_STORE,      /* instructions that store */
    SOFTPMU_FAR,        /* far branches */
    SOFTPMU_INDIRECT,   /* near indirect jumps and calls */
    SOFTPMU_HWINT,      /* interrupts received; never in translated code */
    SOFTPMU_NR_CLASSES,
} SoftPMUClass;

/* The classes that translated code adds to spent[][]. */
#define SOFTPMU_FIRST_SPENT SOFTPMU_COND
#define SOFTPMU_LAST_SPENT  SOFTPMU_INDIRECT

/* Rings as IA32_PERFEVTSELx tells them apart. */
enum { SOFTPMU_KERNEL, SOFTPMU_USER, SOFTPMU_NR_RINGS };

/*
 * What a run of instructions in one TB contributes, packed so that it can
 * travel in a 32-bit constant and be added up: instructions in bits 8:0,
 * loads in 17:9, stores in 26:18, the kind of the branch that ends it, if
 * any, in 30:27.
 */
typedef uint32_t SoftPMUCharge;

#define SOFTPMU_CHARGE_INSN     (1u << 0)
#define SOFTPMU_CHARGE_LOAD     (1u << 9)
#define SOFTPMU_CHARGE_STORE    (1u << 18)
#define SOFTPMU_CHARGE_KIND(k)  ((SoftPMUCharge)(k) << 27)
/* A TB that is counted must not be longer. */
#define SOFTPMU_TB_MAX          255

typedef enum SoftPMUBranch {
    SOFTPMU_BR_NONE,
    SOFTPMU_BR_COND,
    SOFTPMU_BR_JMP,
    SOFTPMU_BR_CALL,
    SOFTPMU_BR_RET,
    SOFTPMU_BR_JMP_IND,
    SOFTPMU_BR_CALL_IND,
    SOFTPMU_BR_FAR,
    SOFTPMU_BR_NR,
} SoftPMUBranch;

/*
 * What a TB accounts for: nothing, instructions and branches (the fast case),
 * or every class.  SOFTPMU_LEVEL_NOTE is for the one instruction of which a
 * PEBS record may be made.
 */
typedef enum SoftPMULevel {
    SOFTPMU_LEVEL_OFF,
    SOFTPMU_LEVEL_BASE,
    SOFTPMU_LEVEL_FULL,
    /* Every class, and where the memory is that is accessed. */
    SOFTPMU_LEVEL_NOTE,
} SoftPMULevel;

/**
 * SoftPMUConfig: what one physical counter counts
 * @add: mask of classes (1 << SoftPMUClass) that are added
 * @sub: mask of classes that are subtracted; the sum over one instruction is
 *     always 0 or 1
 * @rings: mask of 1 << SOFTPMU_KERNEL, 1 << SOFTPMU_USER
 * @sim: the outcomes of the simulation that are counted; if there are some,
 *     @add and @sub are 0, and @edge is false.  Or SIM_WATCHED
 * @edge: count the transitions of the sum from 0 to 1, not its 1s
 * @precise: the instruction that makes it overflow must be known; it is run
 *     in a TB of its own
 * @on: it counts now (all enables taken together)
 */
typedef struct SoftPMUConfig {
    uint16_t add;
    uint16_t sub;
    SimOutcome sim;
    uint8_t rings;
    bool edge;
    bool precise;
    bool on;
} SoftPMUConfig;

/**
 * SoftPMUFound: what the simulation says of an access
 * @level: SimLevel; SIM_L1 also if there is no simulation
 * @walked: its page was in no TLB
 */
typedef struct SoftPMUFound {
    uint8_t level;
    bool walked;
} SoftPMUFound;

/**
 * SoftPMUNote: the instruction that has made a counter with @precise overflow
 * @ip: its linear address
 * @next: RIP after it if it is still under way, 0: it has retired
 * @load, @store: linear address of its first load and first store, 0: none.
 *     If an outcome of the simulation has made it overflow: of that access
 * @load_found, @store_found: where the lines of those were
 */
typedef struct SoftPMUNote {
    uint64_t ip;
    uint64_t next;
    uint64_t load;
    uint64_t store;
    SoftPMUFound load_found;
    SoftPMUFound store_found;
} SoftPMUNote;

/**
 * SoftPMUCounter: the state of a counter, to be carried to another one
 */
typedef struct SoftPMUCounter {
    uint64_t value;
    /* Last sum, see SoftPMUConfig.edge. */
    bool high;
} SoftPMUCounter;

typedef struct SoftPMU {
    /*
     * Written by translated code.  The allowance is signed, instructions in
     * bits 63:20, branches in bits 19:0: it is handed out with no branches
     * and never for 2^20 instructions, so they cannot meet.
     */
    uint64_t left[SOFTPMU_NR_RINGS];
    uint32_t spent[SOFTPMU_NR_RINGS][SOFTPMU_NR_CLASSES];
    /* left as it was handed out. */
    uint64_t given[SOFTPMU_NR_RINGS];
    /* Written by translated code with SOFTPMU_LEVEL_NOTE, and by its caller */
    SoftPMUNote note;
    SoftPMUCounter counter[VPMU_NR];
    SoftPMUConfig config[VPMU_NR];
    /* Counters whose overflow was not handled yet */
    uint16_t overflowed;
    SoftPMULevel level;
    /* Translated code reports the branches that it takes, and counts cycles. */
    bool branches;
    /* While it does: what has retired, or is charged.  No fold is needed. */
    uint64_t cycles;
    /* A counter with @edge is on: look at every single instruction. */
    bool stepping;
    /* The outcomes that some counter counts; 0: nothing is simulated */
    SimOutcome sim;
    /* The next mispredicted branch may make a counter overflow. */
    bool sim_branch_is_last;
    /* SOFTPMU_SIM_MANY other outcomes may. */
    bool sim_is_near;
} SoftPMU;

/* No single instruction has as many outcomes that one counter counts. */
#define SOFTPMU_SIM_MANY    256

/* What to do with a TB, see softpmu_plan(). */
typedef struct SoftPMUPlan {
    /* Run at most this many instructions.  The TB's own length: run it. */
    unsigned insns;
    /* A counter may overflow at the last of them: look after it. */
    bool look_after;
    /* It has @precise, and @insns is 1: use SOFTPMU_LEVEL_NOTE. */
    bool note;
} SoftPMUPlan;

/**
 * softpmu_counts_edges: whether a counter counts edges now, in some ring
 *
 * Otherwise the last sum is forgotten, and edges are counted from low on.
 */
bool softpmu_counts_edges(const SoftPMUConfig *config);

/**
 * softpmu_config: set what counter @i counts
 *
 * Call softpmu_fold() before and softpmu_refill() after any number of these.
 * The value stays.  The last sum stays if the counter counts edges before and
 * after.
 */
void softpmu_config(SoftPMU *pmu, unsigned i, const SoftPMUConfig *config);

/**
 * softpmu_report_branches: have translated code report branches, or not
 *
 * Then @pmu->level is at least SOFTPMU_LEVEL_BASE, and @pmu->cycles counts.
 * Call softpmu_fold() before and softpmu_refill() after.
 */
void softpmu_report_branches(SoftPMU *pmu, bool report);

/**
 * softpmu_fold: move what was retired since the last call into the counters
 *
 * Only at an instruction boundary, when nothing is charged for instructions
 * that have not retired.  Sets bits in @pmu->overflowed.  A counter that
 * passes 2^48 goes on from 0.
 */
void softpmu_fold(SoftPMU *pmu);

/**
 * softpmu_refill: hand out a new allowance
 * @ring: the ring that runs next; it gets all of a counter's room when there
 *     is little of it and both rings count
 *
 * Only right after softpmu_fold().
 */
void softpmu_refill(SoftPMU *pmu, unsigned ring);

/**
 * softpmu_expire: have the next TB overspend the allowance, whatever it has
 *
 * Also while a TB runs, if it has been charged for.
 */
void softpmu_expire(SoftPMU *pmu);

/**
 * softpmu_plan: decide on a TB that overspends the allowance
 * @ring: the ring it runs in
 * @charge: what it contributes as a whole
 * @insns: its length
 *
 * Only right after softpmu_fold(), with nothing charged for this TB.
 */
SoftPMUPlan softpmu_plan(const SoftPMU *pmu, unsigned ring,
                         SoftPMUCharge charge, unsigned insns);

/**
 * softpmu_charge, softpmu_pay_back: account for instructions, or take it back
 * @level: that of the TB which runs or ran
 */
void softpmu_charge(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                    SoftPMUCharge charge);
void softpmu_pay_back(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                      SoftPMUCharge charge);

/**
 * softpmu_charge_left: what @charge takes from left[]
 */
uint64_t softpmu_charge_left(SoftPMUCharge charge);

/**
 * softpmu_charge_class: what @charge adds to a class
 *
 * SOFTPMU_TAKEN is not in a charge: translated code adds it where a
 * conditional branch is taken.
 */
uint32_t softpmu_charge_class(SoftPMUCharge charge, SoftPMUClass class);

/**
 * softpmu_charge_kind: the kind of the branch that @charge ends with
 */
static inline SoftPMUBranch softpmu_charge_kind(SoftPMUCharge charge)
{
    return charge >> 27 & 0xf;
}

/**
 * softpmu_receive: count one interrupt received in @ring
 *
 * Only right after softpmu_fold().
 */
void softpmu_receive(SoftPMU *pmu, unsigned ring);

/**
 * softpmu_sim_overflows: whether an outcome makes a counter overflow
 *
 * Changes nothing.
 */
bool softpmu_sim_overflows(const SoftPMU *pmu, unsigned ring,
                           SimOutcome outcome);

/**
 * softpmu_sim_count: count an outcome
 *
 * Unlike everything else this is possible at any time.  Sets bits in
 * @pmu->overflowed.  Returns: the counters that have overflowed now.
 */
VPMUCounterMask softpmu_sim_count(SoftPMU *pmu, unsigned ring,
                                  SimOutcome outcome);

/**
 * softpmu_read: the value of counter @i
 * @ring, @level: those of the TB that runs
 * @ahead: what that TB was charged for instructions that have not retired,
 *     the reading one included; 0 at an instruction boundary
 *
 * Returns: the count, 48 bits.  Changes nothing.
 */
uint64_t softpmu_read(const SoftPMU *pmu, unsigned i, unsigned ring,
                      SoftPMULevel level, SoftPMUCharge ahead);

/**
 * softpmu_write: set the value of counter @i, 48 bits
 *
 * Call softpmu_fold() before and softpmu_refill() after any number of these.
 */
void softpmu_write(SoftPMU *pmu, unsigned i, uint64_t value);

/**
 * softpmu_save, softpmu_load: take the state of counter @i, or set it
 *
 * Call softpmu_fold() before and softpmu_refill() after any number of these.
 * Load first, then softpmu_config(), which may forget the last sum.
 */
SoftPMUCounter softpmu_save(const SoftPMU *pmu, unsigned i);
void softpmu_load(SoftPMU *pmu, unsigned i, SoftPMUCounter counter);

#endif /* TARGET_I386_VPMU_SOFTPMU_H */
