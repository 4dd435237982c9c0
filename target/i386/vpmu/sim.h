/*
 * The simulation of caches, TLBs and branch prediction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C like softpmu.h: memory and locks are the caller's business.
 *
 * What is simulated, and what is not
 * ----------------------------------
 * A vCPU has a first-level cache for code and one for data, a second level for
 * both, a TLB for code and one for data with a second level for both, and a
 * branch predictor.  The last level belongs to several vCPUs.  Everything
 * forgets what was least recently used, and nothing is fetched ahead of its
 * use.
 *
 * A line that misses is put into every level where it missed; what it displaces
 * in one level stays in the others.  A store that misses does the same as a
 * load.  Writing a displaced line back changes nothing that is counted here, so
 * it is not simulated.
 *
 * An access is of one line: what crosses into another line is two accesses.
 * Hits in the first level of the data cache and of the TLBs have no outcome.
 * So an access that is made twice in a row has the outcomes of one, and it does
 * not matter whether the emulator has to make it twice.  An instruction is an
 * access to the code cache only if its line is not that of the instruction
 * before.
 *
 * Accesses are looked up first, with sim_cache_find_*() and sim_tlb_outcome(),
 * which change nothing, and are made with sim_*_access*() then.
 */
#ifndef TARGET_I386_VPMU_SIM_H
#define TARGET_I386_VPMU_SIM_H

#include "sim-sets.h"

/* What an access is for */
typedef enum SimUse {
    SIM_LOAD,
    SIM_STORE,
    SIM_FETCH,
    SIM_NR_USES,
} SimUse;

/* Where the line of an access was found */
typedef enum SimLevel {
    SIM_L1,
    SIM_L2,
    SIM_LLC,
    SIM_MEMORY,
} SimLevel;

/*
 * The outcomes that events are made of.  The first 21 are in three groups of
 * seven, one for each SimUse.
 */
typedef enum SimClass {
    SIM_LOAD_L2,        /* the line of a load was found in the second level */
    SIM_LOAD_LLC,       /* ... in the last level */
    SIM_LOAD_MEMORY,    /* ... in no cache */
    SIM_LOAD_STLB,      /* its page was found in the second-level TLB */
    SIM_LOAD_WALK_4K,   /* ... in no TLB; a page of 4 KiB */
    SIM_LOAD_WALK_2M,   /* ... of 2 or 4 MiB */
    SIM_LOAD_WALK_1G,   /* ... of 1 GiB */
    SIM_STORE_L2,
    SIM_STORE_LLC,
    SIM_STORE_MEMORY,
    SIM_STORE_STLB,
    SIM_STORE_WALK_4K,
    SIM_STORE_WALK_2M,
    SIM_STORE_WALK_1G,
    SIM_FETCH_L2,
    SIM_FETCH_LLC,
    SIM_FETCH_MEMORY,
    SIM_FETCH_STLB,
    SIM_FETCH_WALK_4K,
    SIM_FETCH_WALK_2M,
    SIM_FETCH_WALK_1G,
    SIM_FETCH_L1,       /* the line of a fetch was found in the first level */
    /* Mispredicted branches */
    SIM_MISP_TAKEN,     /* conditional, and taken */
    SIM_MISP_NOT_TAKEN,
    SIM_MISP_RET,       /* near returns */
    SIM_MISP_JMP_IND,   /* near indirect jumps */
    SIM_MISP_CALL_IND,  /* near indirect calls */
    SIM_NR_CLASSES,
} SimClass;

/* All that depends on where the line or the page of an access is found */
#define SIM_OUTCOMES_OF(use) \
    (((1u << SIM_STORE_L2) - 1) << (use) * SIM_STORE_L2)

/* All outcomes of branches */
#define SIM_MISPREDICTED    (1u << SIM_MISP_TAKEN | 1u << SIM_MISP_NOT_TAKEN | \
                             1u << SIM_MISP_RET | 1u << SIM_MISP_JMP_IND | \
                             1u << SIM_MISP_CALL_IND)

/* All outcomes of pages that were in no TLB */
#define SIM_WALKED      (1u << SIM_LOAD_WALK_4K | 1u << SIM_LOAD_WALK_2M | \
                         1u << SIM_LOAD_WALK_1G | 1u << SIM_STORE_WALK_4K | \
                         1u << SIM_STORE_WALK_2M | 1u << SIM_STORE_WALK_1G | \
                         1u << SIM_FETCH_WALK_4K | 1u << SIM_FETCH_WALK_2M | \
                         1u << SIM_FETCH_WALK_1G)

/**
 * SimOutcome: a set of SimClass, 1 << each; 0: nothing that could be counted
 */
typedef uint32_t SimOutcome;

/* No outcome: a counter that wants it has the simulation run, for records */
#define SIM_WATCHED     (1u << 31)

#define SIM_LINE_BITS   6
#define SIM_LINE_SIZE   (UINT64_C(1) << SIM_LINE_BITS)

/* Caches */

/**
 * SimCaches: the caches that a vCPU has for itself
 * @l2: without sets if the last level follows on the first
 */
typedef struct SimCaches {
    SimSets l1i;
    SimSets l1d;
    SimSets l2;
} SimCaches;

/**
 * sim_cache_fault: why a cache cannot be simulated
 * @line_size: bytes
 * @partitions: physical line partitions, as in CPUID
 * @min: the number of sets it needs
 *
 * Returns: the rest of a sentence that begins with the cache, or NULL.
 */
const char *sim_cache_fault(SimGeometry geometry, unsigned line_size,
                            unsigned partitions, unsigned min);

/**
 * sim_cache_find_own, sim_cache_find_llc: where the line of an access is
 * @address: physical address
 *
 * The first returns SIM_MEMORY if the vCPU's own caches do not have the line,
 * and the second, which is needed only then, SIM_LLC or SIM_MEMORY.
 */
SimLevel sim_cache_find_own(const SimCaches *caches, SimUse use,
                            uint64_t address);
SimLevel sim_cache_find_llc(const SimSets *llc, uint64_t address);

/**
 * sim_cache_access_own, sim_cache_access_llc: make an access
 *
 * They return what was found before, as the functions above.
 */
SimLevel sim_cache_access_own(SimCaches *caches, SimUse use, uint64_t address);
SimLevel sim_cache_access_llc(SimSets *llc, uint64_t address);

/**
 * sim_level_outcome: the outcome of finding a line in @level
 */
SimOutcome sim_level_outcome(SimUse use, SimLevel level);

/* TLBs */

/**
 * SimPage: what the page tables say of an address
 * @address: linear address
 * @bits: log2 of the page's size; 0: there is no paging, nor a TLB
 * @is_global: the page stays when another address space is loaded; it need not
 *     be known where a TLB of the first level has the page
 */
typedef struct SimPage {
    uint64_t address;
    uint8_t bits;
    bool is_global;
} SimPage;

/**
 * SimTLBs: the TLBs of a vCPU
 *
 * Each has pages of all sizes.
 */
typedef struct SimTLBs {
    SimSets itlb;
    SimSets dtlb;
    SimSets stlb;
} SimTLBs;

/**
 * sim_tlb_outcome: what the TLBs do for an access
 */
SimOutcome sim_tlb_outcome(const SimTLBs *tlbs, SimUse use,
                           const SimPage *page);

/**
 * sim_tlb_access: make the access
 *
 * Returns: where the page is now; NULL without paging.  As long as this does
 * not change, the same access changes nothing.
 */
const uint64_t *sim_tlb_access(SimTLBs *tlbs, SimUse use, const SimPage *page);

/**
 * sim_tlb_flush: forget all pages
 * @keep_global: but those that are global
 */
void sim_tlb_flush(SimTLBs *tlbs, bool keep_global);

/**
 * sim_tlb_flush_page: forget the page of @address, whatever its size
 */
void sim_tlb_flush_page(SimTLBs *tlbs, uint64_t address);

/* Branch prediction */

#define SIM_HISTORY_BITS    14
#define SIM_TARGETS         4096
#define SIM_RETURNS         16

/**
 * SimTarget: where an indirect branch went
 * @branch: its linear address
 * @target: that of where it led; a target at 0 is never known
 */
typedef struct SimTarget {
    uint64_t branch;
    uint64_t target;
} SimTarget;

/**
 * SimBranches: the branch predictor of a vCPU
 * @history: the last conditional branches, the latest in bit 0; 1: taken
 * @counters: by history and address of a branch, 0 to 3: taken from 2 on
 * @targets: by address
 * @returns: where the last calls will return to, a ring
 * @last: the index of the last one
 * @nr_returns: how many there are
 */
typedef struct SimBranches {
    uint32_t history;
    uint8_t counters[1 << SIM_HISTORY_BITS];
    SimTarget targets[SIM_TARGETS];
    uint64_t returns[SIM_RETURNS];
    unsigned last;
    unsigned nr_returns;
} SimBranches;

/**
 * sim_branches_init: know nothing
 */
void sim_branches_init(SimBranches *branches);

/**
 * sim_branch_conditional: a conditional branch
 * @branch: its linear address
 *
 * These functions return the outcome, and learn from it.
 */
SimOutcome sim_branch_conditional(SimBranches *branches, uint64_t branch,
                                  bool taken);

/**
 * sim_branch_indirect: an indirect near jump or call
 */
SimOutcome sim_branch_indirect(SimBranches *branches, uint64_t branch,
                               uint64_t target, bool is_call);

/**
 * sim_branch_call: a near call, direct or indirect
 * @next: the instruction behind it
 */
void sim_branch_call(SimBranches *branches, uint64_t next);

/**
 * sim_branch_return: a near return
 */
SimOutcome sim_branch_return(SimBranches *branches, uint64_t target);

#endif /* TARGET_I386_VPMU_SIM_H */
