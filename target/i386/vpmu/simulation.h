/*
 * A vCPU's simulated caches, TLBs and branch predictor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * sim.h says what is simulated.  What is here belongs to pmu-model=simple.
 */
#ifndef TARGET_I386_VPMU_SIMULATION_H
#define TARGET_I386_VPMU_SIMULATION_H

#include "cpu.h"
#include "sim.h"

/**
 * VPMUGeometry: the sizes of what is simulated
 * @l2: without sets: the last level follows on the first
 */
typedef struct VPMUGeometry {
    SimGeometry l1i;
    SimGeometry l1d;
    SimGeometry l2;
    SimGeometry llc;
    SimGeometry itlb;
    SimGeometry dtlb;
    SimGeometry stlb;
} VPMUGeometry;

/**
 * VPMULLC: the last level, which several vCPUs share
 * @lock: of @sets.  Nothing else is taken while it is held, and nothing that
 *     may leave the execution of the guest is called.
 * @id: the bits of an APIC ID that its vCPUs have in common
 * @shift: how many low bits of an APIC ID those are without
 * @nr_users: how many vCPUs there are.  Like the list, only the main thread
 *     uses it.
 */
typedef struct VPMULLC {
    QemuMutex lock;
    SimSets sets;
    uint32_t id;
    unsigned shift;
    unsigned nr_users;
    QLIST_ENTRY(VPMULLC) next;
} VPMULLC;

/* The lines that a set of VPMURecent has: those of a page */
#define VPMU_NR_RECENT      64

/**
 * VPMURecent: the last access to all lines with the same place in their page
 * @line: linear address
 * @latest, @page: where the page is in the first-level TLB, and what is there;
 *     @latest points to @page if there is no TLB
 *
 * All lines with the same place in the page are in the same set of the
 * first-level cache, or in several that no others are in.  So this line is the
 * latest of its set, and as long as the page is the latest of its own, the same
 * access changes nothing, and has no outcome in the data cache.
 */
typedef struct VPMURecent {
    uint64_t line;
    const uint64_t *latest;
    uint64_t page;
} VPMURecent;

/**
 * VPMUSim: what a vCPU has
 * @data, @code: recent accesses, by the number of the line
 *
 * Only its own thread uses it, but for @llc.
 */
typedef struct VPMUSim {
    VPMURecent data[VPMU_NR_RECENT];
    VPMURecent code[VPMU_NR_RECENT];
    SimCaches caches;
    SimTLBs tlbs;
    SimBranches branches;
    VPMULLC *llc;
    uint64_t entries[];
} VPMUSim;

/* VPMUHost.sim_forget: what to forget before the simulation goes on */
enum {
    VPMU_FORGET_PAGES = 1,      /* but not the global ones */
    VPMU_FORGET_GLOBAL = 2,     /* all pages */
    VPMU_FORGET_ALL = 4,        /* everything that is the vCPU's own */
};

/**
 * vpmu_simulates: whether the guest's PMU has the simulation
 */
static inline bool vpmu_simulates(const X86CPU *cpu)
{
    return cpu->vpmu.software &&
           cpu->vpmu.simulation == VPMU_SIMULATION_SIMPLE;
}

/**
 * vpmu_geometry: the sizes of what is simulated, from CPUID and the model
 *
 * When the CPU is realized, or later.
 */
VPMUGeometry vpmu_geometry(X86CPU *cpu);

/**
 * vpmu_simulation_realize, vpmu_simulation_unrealize: before the vCPU runs, and
 * when it is gone
 *
 * By the main thread.  The first returns false with @errp set if the caches in
 * CPUID cannot be simulated.
 */
bool vpmu_simulation_realize(X86CPU *cpu, Error **errp);
void vpmu_simulation_unrealize(X86CPU *cpu);

/**
 * vpmu_simulation_forget: something has to be forgotten
 * @what: VPMU_FORGET_*
 *
 * By the vCPU's own thread, or while it is stopped.
 */
void vpmu_simulation_forget(CPUX86State *env, unsigned what);

/**
 * vpmu_simulation_reset: forget everything, in the last level, too
 *
 * While no vCPU runs.
 */
void vpmu_simulation_reset(CPUX86State *env);

/**
 * vpmu_simulation_forget_recent: accesses are no longer known to change nothing
 *
 * When a page may have another frame.  Where and when as above.
 */
void vpmu_simulation_forget_recent(VPMUSim *sim);

/**
 * vpmu_simulation_begin: the simulation goes on, after it has stood still
 */
void vpmu_simulation_begin(CPUX86State *env);

#endif /* TARGET_I386_VPMU_SIMULATION_H */
