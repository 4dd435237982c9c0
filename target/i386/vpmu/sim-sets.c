/*
 * The simulation of caches, TLBs and branch prediction: sets with LRU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "sim-sets.h"

/* An entry is 0 if it is empty, otherwise a key, with its mark, and this. */
#define ENTRY_VALID     SIM_KEY_LIMIT

bool sim_geometry_is_valid(SimGeometry geometry)
{
    return geometry.sets && !(geometry.sets & (geometry.sets - 1)) &&
           geometry.ways && geometry.sets <= UINT32_MAX / geometry.ways;
}

uint32_t sim_geometry_entries(SimGeometry geometry)
{
    return geometry.sets * geometry.ways;
}

void sim_sets_init(SimSets *sets, SimGeometry geometry, uint64_t *entries)
{
    sets->geometry = geometry;
    sets->entries = entries;
    sim_sets_clear(sets, false);
}

static uint64_t *sim_sets_set(const SimSets *sets, uint64_t key)
{
    return sets->entries +
           (uint32_t)(key & (sets->geometry.sets - 1)) * sets->geometry.ways;
}

/* Where @key is in its set, or else the number of ways. */
static unsigned sim_sets_find(const SimSets *sets, const uint64_t *set,
                              uint64_t key)
{
    uint64_t entry = key | ENTRY_VALID;
    unsigned way = 0;

    while (way < sets->geometry.ways && (set[way] ^ entry) & ~SIM_MARK) {
        way++;
    }
    return way;
}

bool sim_sets_has(const SimSets *sets, uint64_t key)
{
    const uint64_t *set = sim_sets_set(sets, key);

    return sim_sets_find(sets, set, key) < sets->geometry.ways;
}

const uint64_t *sim_sets_latest(const SimSets *sets, uint64_t key)
{
    return sim_sets_set(sets, key);
}

bool sim_sets_access(SimSets *sets, uint64_t key)
{
    uint64_t *set = sim_sets_set(sets, key);
    unsigned way = sim_sets_find(sets, set, key);
    bool was_there = way < sets->geometry.ways;
    uint64_t entry = was_there ? set[way] : key | ENTRY_VALID;

    /* Empty entries are the last ones, so this takes one of them first. */
    if (!was_there) {
        way--;
    }
    for (; way > 0; way--) {
        set[way] = set[way - 1];
    }
    set[0] = entry;
    return was_there;
}

void sim_sets_remove(SimSets *sets, uint64_t key)
{
    uint64_t *set = sim_sets_set(sets, key);
    unsigned way = sim_sets_find(sets, set, key);

    if (way == sets->geometry.ways) {
        return;
    }
    for (; way + 1 < sets->geometry.ways; way++) {
        set[way] = set[way + 1];
    }
    set[way] = 0;
}

/* Move what stays to the front of its set. */
static void sim_set_clear(uint64_t *set, unsigned ways, bool keep_marked)
{
    unsigned kept = 0;

    for (unsigned way = 0; way < ways; way++) {
        uint64_t entry = set[way];

        set[way] = 0;
        if (keep_marked && (entry & SIM_MARK)) {
            set[kept++] = entry;
        }
    }
}

void sim_sets_clear(SimSets *sets, bool keep_marked)
{
    for (uint32_t i = 0; i < sets->geometry.sets; i++) {
        sim_set_clear(sets->entries + i * sets->geometry.ways,
                      sets->geometry.ways, keep_marked);
    }
}
