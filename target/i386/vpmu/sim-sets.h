/*
 * The simulation of caches, TLBs and branch prediction: sets with LRU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C like softpmu.h.  Whoever calls has locked what is shared.
 */
#ifndef TARGET_I386_VPMU_SIM_SETS_H
#define TARGET_I386_VPMU_SIM_SETS_H

#include <stdbool.h>
#include <stdint.h>

/* A mark on a key that does not make it another key */
#define SIM_MARK        (UINT64_C(1) << 63)
/* Keys are below this. */
#define SIM_KEY_LIMIT   (UINT64_C(1) << 62)

/**
 * SimGeometry: the size of a cache or TLB
 * @sets: a power of two
 * @ways: entries in a set; the product is at most UINT32_MAX
 */
typedef struct SimGeometry {
    uint32_t sets;
    uint16_t ways;
} SimGeometry;

/**
 * SimSets: a set-associative memory of keys that forgets the least recently
 * used one
 *
 * The low bits of a key choose its set.
 */
typedef struct SimSets {
    SimGeometry geometry;
    /* Of each set the latest key first, and what is empty last */
    uint64_t *entries;
} SimSets;

/**
 * sim_geometry_is_valid: whether there can be a memory of this size
 */
bool sim_geometry_is_valid(SimGeometry geometry);

/**
 * sim_geometry_entries: how many uint64_t a memory of this size needs
 */
uint32_t sim_geometry_entries(SimGeometry geometry);

/**
 * sim_sets_init: set an empty memory up
 * @entries: room for sim_geometry_entries(); it has to stay there
 */
void sim_sets_init(SimSets *sets, SimGeometry geometry, uint64_t *entries);

/**
 * sim_sets_has: whether @key is there.  Changes nothing.
 */
bool sim_sets_has(const SimSets *sets, uint64_t key);

/**
 * sim_sets_latest: where the latest key of @key's set is
 *
 * What is there is 0 if the set is empty.  As long as it does not change, an
 * access to the key that has been accessed last changes nothing.
 */
const uint64_t *sim_sets_latest(const SimSets *sets, uint64_t key);

/**
 * sim_sets_access: use @key, which is the latest of its set afterwards
 * @key: its mark counts only if it was not there
 *
 * Returns: whether it was there.  If not, it has taken an empty entry or else
 * the place of the least recently used key.
 */
bool sim_sets_access(SimSets *sets, uint64_t key);

/**
 * sim_sets_remove: forget @key, if it is there
 */
void sim_sets_remove(SimSets *sets, uint64_t key);

/**
 * sim_sets_clear: forget all keys
 * @keep_marked: but those with SIM_MARK
 */
void sim_sets_clear(SimSets *sets, bool keep_marked);

#endif /* TARGET_I386_VPMU_SIM_SETS_H */
