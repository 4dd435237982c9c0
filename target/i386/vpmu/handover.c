/*
 * The hand-over core: which physical counter backs which virtual one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VPMU_STANDALONE
#include "qemu/osdep.h"
#endif
#include "handover.h"

static bool handover_has(VPMUCounterMask mask, unsigned i)
{
    return mask >> i & 1;
}

static unsigned handover_weight(VPMUCounterMask mask)
{
    unsigned n = 0;

    for (; mask; mask &= mask - 1) {
        n++;
    }
    return n;
}

static bool handover_is_usable(const Handover *h, unsigned p)
{
    return handover_has(h->counters & ~h->reserved, p);
}

static bool handover_is_idle(const Handover *h, unsigned v)
{
    return !handover_has(h->enabled, v);
}

/* pPMC @p backs no vPMC, or a vPMC that is not among @running. */
static bool handover_is_available(const Handover *h, unsigned p,
                                  VPMUCounterMask running)
{
    return handover_is_usable(h, p) &&
           (h->virt[p] == HANDOVER_NONE || !handover_has(running, h->virt[p]));
}

static void handover_unbind(Handover *h, unsigned v)
{
    h->virt[h->phys[v]] = HANDOVER_NONE;
    h->phys[v] = HANDOVER_NONE;
}

/* Bind @v, which may have another pPMC, to pPMC @p, which is available. */
static void handover_bind(Handover *h, unsigned v, unsigned p)
{
    if (h->virt[p] != HANDOVER_NONE) {
        handover_unbind(h, h->virt[p]);
    }
    if (h->phys[v] != HANDOVER_NONE) {
        handover_unbind(h, v);
    }
    h->phys[v] = p;
    h->virt[p] = v;
}

/* Account for the time that has passed until @now. */
static void handover_advance(Handover *h, int64_t now)
{
    int64_t passed = now - h->now;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (passed < 0) {
            /* The clock was set back: idle times stay as long as they were. */
            h->used[v] += passed;
        } else if (handover_path(h, v) == HANDOVER_STARVED) {
            h->stats.starved_ns += passed;
        }
    }
    h->now = now;
}

/*
 * Release the pPMCs of vPMCs that were idle for a slice.
 * Returns: those vPMCs.
 */
static VPMUCounterMask handover_release_unused(Handover *h)
{
    VPMUCounterMask released = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE && handover_is_idle(h, v) &&
            h->slice != HANDOVER_FOREVER && h->now - h->used[v] >= h->slice) {
            handover_unbind(h, v);
            released |= VPMU_MASK_OF(v);
            h->stats.lazy_releases++;
        }
    }
    return released;
}

/* The pPMC for @v if the pPMC of its own index is not available. */
static int handover_find_other(const Handover *h, unsigned v)
{
    int idle = HANDOVER_NONE;

    if (v >= VPMU_NR_GP && !handover_has(h->movable, v)) {
        return HANDOVER_NONE;
    }
    for (int p = VPMU_NR_GP - 1; p >= 0; p--) {
        if (!handover_is_available(h, p, h->enabled)) {
            continue;
        }
        if (h->virt[p] == HANDOVER_NONE) {
            return p;
        }
        if (idle == HANDOVER_NONE) {
            idle = p;
        }
    }
    return idle;
}

/* Find pPMCs for those of @vpmcs that no pPMC backs. */
static void handover_bind_others(Handover *h, VPMUCounterMask vpmcs)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p;

        if (!handover_has(vpmcs, v) || h->phys[v] != HANDOVER_NONE) {
            continue;
        }
        p = handover_find_other(h, v);
        if (p != HANDOVER_NONE) {
            handover_bind(h, v, p);
        }
    }
}

/*
 * Bring the map up to date with @h->enabled and @h->reserved.
 * @running: the vPMCs that were enabled before and still are
 */
static void handover_assign(Handover *h, VPMUCounterMask running)
{
    VPMUCounterMask displaced = 0;

    for (unsigned p = 0; p < VPMU_NR; p++) {
        int v = h->virt[p];

        if (v != HANDOVER_NONE && !handover_is_usable(h, p)) {
            handover_unbind(h, v);
            displaced |= VPMU_MASK_OF(v) & running;
        }
    }

    /*
     * First, each vPMC that can have it gets the pPMC of its own index.  By
     * moving there it may leave the pPMC of another vPMC's index, hence the
     * repetition.
     */
    for (bool again = true; again;) {
        again = false;
        for (unsigned v = 0; v < VPMU_NR; v++) {
            if (handover_has(h->enabled, v) && h->phys[v] != (int)v &&
                handover_is_available(h, v, running)) {
                handover_bind(h, v, v);
                again = true;
            }
        }
    }
    /* Then the others: first the vPMCs that have just lost their pPMC. */
    handover_bind_others(h, displaced);
    handover_bind_others(h, h->enabled);
}

/*
 * Describe in @change how @h differs from @before, and count it.
 * @released: the vPMCs whose pPMC was released because they were idle
 */
static void handover_compare(Handover *h, const Handover *before,
                    VPMUCounterMask released, HandoverChange *change)
{
    change->vpmcs = 0;
    change->starved = 0;
    change->rebound = released;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        bool was_bound = before->phys[v] != HANDOVER_NONE &&
                         !handover_has(released, v);
        bool is_bound = h->phys[v] != HANDOVER_NONE;
        bool moved = h->phys[v] != before->phys[v];

        change->from[v] = before->phys[v];
        if (moved) {
            change->vpmcs |= VPMU_MASK_OF(v);
            change->rebound = true;
        }
        if (handover_path(h, v) == HANDOVER_STARVED &&
            handover_path(before, v) != HANDOVER_STARVED) {
            change->starved |= VPMU_MASK_OF(v);
        }
        h->stats.hand_overs += !was_bound && is_bound;
        h->stats.evictions += was_bound && !is_bound;
        h->stats.moves += was_bound && is_bound && moved;
        h->stats.reuses += was_bound && !moved &&
                           handover_has(h->enabled & ~before->enabled, v);
    }
}

void handover_init(Handover *h, VPMUCounterMask counters,
                   VPMUCounterMask reserved, int64_t slice)
{
    *h = (Handover) {
        .counters = counters,
        .reserved = reserved,
        .slice = slice,
    };
    for (unsigned i = 0; i < VPMU_NR; i++) {
        bool bound = slice == HANDOVER_FOREVER && handover_is_usable(h, i);

        h->phys[i] = bound ? (int)i : HANDOVER_NONE;
        h->virt[i] = h->phys[i];
    }
}

/* The vPMCs that are no longer among @enabled were used until @now. */
static void handover_note_use(Handover *h, VPMUCounterMask enabled, int64_t now)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (handover_has(h->enabled & ~enabled, v)) {
            h->used[v] = now;
        }
    }
}

/*
 * Nearly every call finds the map settled: each vPMC that is or was enabled has
 * the pPMC of its own index, and nothing is due for release.  Then the map
 * stays as it is.
 */
static bool handover_is_settled(const Handover *h, VPMUCounterMask enabled,
                                int64_t now)
{
    if (now < h->now || h->slice <= 0) {
        return false;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (handover_has(enabled | h->enabled, v) && h->phys[v] != (int)v) {
            return false;
        }
        if (handover_is_idle(h, v) && h->phys[v] != HANDOVER_NONE &&
            now - h->used[v] >= h->slice) {
            return false;
        }
    }
    return true;
}

void handover_enable(Handover *h, VPMUCounterMask enabled, int64_t now,
                     HandoverChange *change)
{
    Handover before;
    VPMUCounterMask released;

    if (handover_is_settled(h, enabled, now)) {
        handover_note_use(h, enabled, now);
        h->stats.reuses += handover_weight(enabled & ~h->enabled);
        h->enabled = enabled;
        h->now = now;
        *change = (HandoverChange) { 0 };
        return;
    }
    before = *h;
    handover_advance(h, now);
    handover_note_use(h, enabled, now);
    released = handover_release_unused(h);
    h->enabled = enabled;
    handover_assign(h, enabled & before.enabled);
    handover_compare(h, &before, released, change);
}

VPMUCounterMask handover_reserve(Handover *h, VPMUCounterMask reserved,
                                 bool force, int64_t now,
                                 HandoverChange *change)
{
    Handover after = *h;
    VPMUCounterMask released;

    handover_advance(&after, now);
    released = handover_release_unused(&after);
    after.reserved = reserved;
    handover_assign(&after, after.enabled);
    handover_compare(&after, h, released, change);
    if (change->starved && !force) {
        VPMUCounterMask starved = change->starved;

        *change = (HandoverChange) { 0 };
        return starved;
    }
    *h = after;
    return change->starved;
}

/* Add counters of @from to @set, in order, until @set has @nr of them. */
static VPMUCounterMask handover_pick(VPMUCounterMask set, VPMUCounterMask from,
                                     unsigned nr, bool low)
{
    for (unsigned i = 0; i < VPMU_NR_GP && handover_weight(set) < nr; i++) {
        set |= from & VPMU_MASK_OF(low ? i : VPMU_NR_GP - 1 - i);
    }
    return set;
}

VPMUCounterMask handover_choose(VPMUCounterMask counters,
                                VPMUCounterMask avoid,
                                VPMUCounterMask reserved, unsigned nr,
                                bool low)
{
    VPMUCounterMask set = 0;

    counters &= VPMU_MASK_GP;
    set = handover_pick(set, counters & reserved, nr, low);
    set = handover_pick(set, counters & ~avoid, nr, low);
    return handover_pick(set, counters, nr, low);
}

void handover_apply(const Handover *h, const HandoverChange *change,
                    void (*save)(void *opaque, unsigned v, unsigned p),
                    void (*load)(void *opaque, unsigned v, unsigned p),
                    void *opaque)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (handover_has(change->vpmcs, v) &&
            change->from[v] != HANDOVER_NONE) {
            save(opaque, v, change->from[v]);
        }
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (handover_has(change->vpmcs, v) && h->phys[v] != HANDOVER_NONE) {
            load(opaque, v, h->phys[v]);
        }
    }
}

HandoverPath handover_path(const Handover *h, unsigned v)
{
    return handover_is_idle(h, v) ? HANDOVER_IDLE :
           h->phys[v] == HANDOVER_NONE ? HANDOVER_STARVED :
           h->phys[v] == (int)v ? HANDOVER_FAST : HANDOVER_SLOW;
}

VPMUCounterMask handover_held(const Handover *h)
{
    return handover_to_physical(h, VPMU_MASK_ALL);
}

static VPMUCounterMask handover_translate(const int8_t *map,
                                          VPMUCounterMask mask)
{
    VPMUCounterMask out = 0;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        if (handover_has(mask, i) && map[i] != HANDOVER_NONE) {
            out |= VPMU_MASK_OF(map[i]);
        }
    }
    return out;
}

VPMUCounterMask handover_to_physical(const Handover *h, VPMUCounterMask vpmcs)
{
    return handover_translate(h->phys, vpmcs);
}

VPMUCounterMask handover_to_virtual(const Handover *h, VPMUCounterMask ppmcs)
{
    return handover_translate(h->virt, ppmcs);
}

static uint64_t handover_translate_reg(const int8_t *map, uint64_t reg)
{
    return (reg & ~vpmu_mask_to_reg(VPMU_MASK_ALL)) |
           vpmu_mask_to_reg(handover_translate(map, vpmu_mask_from_reg(reg)));
}

uint64_t handover_reg_to_physical(const Handover *h, uint64_t reg)
{
    return handover_translate_reg(h->phys, reg);
}

uint64_t handover_reg_to_virtual(const Handover *h, uint64_t reg)
{
    return handover_translate_reg(h->virt, reg);
}

VPMUCounterMask handover_reset_slots(const Handover *h,
                                     const uint64_t vslots[VPMU_NR],
                                     uint64_t pslots[VPMU_NR])
{
    VPMUCounterMask moved = 0;

    for (unsigned p = 0; p < VPMU_NR; p++) {
        int v = h->virt[p];

        if (v != HANDOVER_NONE) {
            pslots[p] = vslots[v];
            if ((int)p != v) {
                moved |= VPMU_MASK_OF(p);
            }
        }
    }
    return moved;
}
