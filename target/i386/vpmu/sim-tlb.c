/*
 * The simulation of TLBs
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
#define OUTCOMES_OF(use)    ((use) * (SIM_STORE_STLB - SIM_LOAD_STLB))

/* A key is the number of a page, which has fewer than 52 bits, and its size. */
#define KEY_NUMBER          ((UINT64_C(1) << 52) - 1)
#define KEY_BITS_SHIFT      52

/* The sizes there are: 4 KiB, 2 MiB, 4 MiB, 1 GiB */
static const uint8_t page_bits[] = { 12, 21, 22, 30 };

static uint64_t sim_page_key(uint64_t address, uint8_t bits)
{
    return (address >> bits & KEY_NUMBER) | (uint64_t)bits << KEY_BITS_SHIFT;
}

static const SimSets *sim_first_tlb(const SimTLBs *tlbs, SimUse use)
{
    return use == SIM_FETCH ? &tlbs->itlb : &tlbs->dtlb;
}

static SimClass sim_walk_class(const SimPage *page)
{
    return page->bits < 21 ? SIM_LOAD_WALK_4K :
           page->bits < 30 ? SIM_LOAD_WALK_2M : SIM_LOAD_WALK_1G;
}

SimOutcome sim_tlb_outcome(const SimTLBs *tlbs, SimUse use, const SimPage *page)
{
    uint64_t key = sim_page_key(page->address, page->bits);

    if (!page->bits || sim_sets_has(sim_first_tlb(tlbs, use), key)) {
        return 0;
    }
    return 1u << (OUTCOMES_OF(use) +
                  (sim_sets_has(&tlbs->stlb, key) ? SIM_LOAD_STLB :
                                                    sim_walk_class(page)));
}

const uint64_t *sim_tlb_access(SimTLBs *tlbs, SimUse use, const SimPage *page)
{
    SimSets *first = use == SIM_FETCH ? &tlbs->itlb : &tlbs->dtlb;
    uint64_t key = sim_page_key(page->address, page->bits) |
                   (page->is_global ? SIM_MARK : 0);

    if (!page->bits) {
        return NULL;
    }
    if (!sim_sets_access(first, key)) {
        sim_sets_access(&tlbs->stlb, key);
    }
    return sim_sets_latest(first, key);
}

void sim_tlb_flush(SimTLBs *tlbs, bool keep_global)
{
    sim_sets_clear(&tlbs->itlb, keep_global);
    sim_sets_clear(&tlbs->dtlb, keep_global);
    sim_sets_clear(&tlbs->stlb, keep_global);
}

void sim_tlb_flush_page(SimTLBs *tlbs, uint64_t address)
{
    for (unsigned i = 0; i < sizeof(page_bits) / sizeof(page_bits[0]); i++) {
        uint64_t key = sim_page_key(address, page_bits[i]);

        sim_sets_remove(&tlbs->itlb, key);
        sim_sets_remove(&tlbs->dtlb, key);
        sim_sets_remove(&tlbs->stlb, key);
    }
}
