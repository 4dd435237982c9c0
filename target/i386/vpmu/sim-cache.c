/*
 * The simulation of caches
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See sim.h for what is simulated.
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "sim.h"

/* The outcomes of a SimUse follow on each other. */
#define OUTCOMES_OF(use)    ((use) * (SIM_STORE_L2 - SIM_LOAD_L2))

static uint64_t sim_line(uint64_t address)
{
    return address >> SIM_LINE_BITS;
}

static bool sim_has_l2(const SimCaches *caches)
{
    return caches->l2.geometry.sets;
}

const char *sim_cache_fault(SimGeometry geometry, unsigned line_size,
                            unsigned partitions, unsigned min)
{
    return line_size != SIM_LINE_SIZE ? "has no lines of 64 bytes" :
           partitions != 1 ? "has several partitions" :
           !sim_geometry_is_valid(geometry) ?
           "has a number of sets that is not a power of two" :
           geometry.sets < min ? "has too few sets" : NULL;
}

SimLevel sim_cache_find_own(const SimCaches *caches, SimUse use,
                            uint64_t address)
{
    const SimSets *l1 = use == SIM_FETCH ? &caches->l1i : &caches->l1d;
    uint64_t line = sim_line(address);

    return sim_sets_has(l1, line) ? SIM_L1 :
           sim_has_l2(caches) && sim_sets_has(&caches->l2, line) ? SIM_L2 :
           SIM_MEMORY;
}

SimLevel sim_cache_find_llc(const SimSets *llc, uint64_t address)
{
    return sim_sets_has(llc, sim_line(address)) ? SIM_LLC : SIM_MEMORY;
}

SimLevel sim_cache_access_own(SimCaches *caches, SimUse use, uint64_t address)
{
    SimSets *l1 = use == SIM_FETCH ? &caches->l1i : &caches->l1d;
    uint64_t line = sim_line(address);

    return sim_sets_access(l1, line) ? SIM_L1 :
           sim_has_l2(caches) && sim_sets_access(&caches->l2, line) ? SIM_L2 :
           SIM_MEMORY;
}

SimLevel sim_cache_access_llc(SimSets *llc, uint64_t address)
{
    return sim_sets_access(llc, sim_line(address)) ? SIM_LLC : SIM_MEMORY;
}

SimOutcome sim_level_outcome(SimUse use, SimLevel level)
{
    if (level == SIM_L1) {
        return use == SIM_FETCH ? 1u << SIM_FETCH_L1 : 0;
    }
    return 1u << (OUTCOMES_OF(use) + SIM_LOAD_L2 + level - SIM_L2);
}
