/*
 * The hand-over core: which physical counter backs which virtual one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VPMU_STANDALONE
#include "qemu/osdep.h"
#endif
#include "handover.h"

static bool has(VPMUCounterMask mask, unsigned i)
{
    return mask >> i & 1;
}

static unsigned weight(VPMUCounterMask mask)
{
    unsigned n = 0;

    for (; mask; mask &= mask - 1) {
        n++;
    }
    return n;
}

static bool usable(const Handover *h, unsigned p)
{
    return has(h->counters & ~h->reserved, p);
}

static bool is_idle(const Handover *h, unsigned v)
{
    return !has(h->enabled, v);
}

/* pPMC @p is nobody's, or held by a vPMC that is not among @running. */
static bool to_be_had(const Handover *h, unsigned p, VPMUCounterMask running)
{
    return usable(h, p) &&
           (h->virt[p] == HANDOVER_NONE || !has(running, h->virt[p]));
}

static void take_away(Handover *h, unsigned v)
{
    h->virt[h->phys[v]] = HANDOVER_NONE;
    h->phys[v] = HANDOVER_NONE;
}

/* Give @p, which is to be had, to @v, which may have another. */
static void give(Handover *h, unsigned v, unsigned p)
{
    if (h->virt[p] != HANDOVER_NONE) {
        take_away(h, h->virt[p]);
    }
    if (h->phys[v] != HANDOVER_NONE) {
        take_away(h, v);
    }
    h->phys[v] = p;
    h->virt[p] = v;
}

/* Time has come to @now. */
static void advance(Handover *h, int64_t now)
{
    int64_t passed = now - h->now;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (passed < 0) {
            /* The clock was set back: what has passed by now stays so. */
            h->used[v] += passed;
        } else if (handover_path(h, v) == HANDOVER_STARVED) {
            h->stats.starved_ns += passed;
        }
    }
    h->now = now;
}

/* Returns: the vPMCs that have lost their pPMC so. */
static VPMUCounterMask release_unused(Handover *h)
{
    VPMUCounterMask released = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE && is_idle(h, v) &&
            h->slice != HANDOVER_FOREVER && h->now - h->used[v] >= h->slice) {
            take_away(h, v);
            released |= VPMU_MASK_OF(v);
            h->stats.lazy_releases++;
        }
    }
    return released;
}

/* The pPMC for @v if that of its own index is not to be had. */
static int find_other(const Handover *h, unsigned v)
{
    int idle = HANDOVER_NONE;

    if (v >= VPMU_NR_GP) {
        return HANDOVER_NONE;
    }
    for (int p = VPMU_NR_GP - 1; p >= 0; p--) {
        if (!to_be_had(h, p, h->enabled)) {
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

/* Find pPMCs for those of @vpmcs that have none. */
static void find_others(Handover *h, VPMUCounterMask vpmcs)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p;

        if (!has(vpmcs, v) || h->phys[v] != HANDOVER_NONE) {
            continue;
        }
        p = find_other(h, v);
        if (p != HANDOVER_NONE) {
            give(h, v, p);
        }
    }
}

/*
 * Bring the map up to date with @h->enabled and @h->reserved.
 * @running: vPMCs that were enabled before, too
 */
static void assign(Handover *h, VPMUCounterMask running)
{
    VPMUCounterMask displaced = 0;

    for (unsigned p = 0; p < VPMU_NR; p++) {
        int v = h->virt[p];

        if (v != HANDOVER_NONE && !usable(h, p)) {
            take_away(h, v);
            displaced |= VPMU_MASK_OF(v) & running;
        }
    }

    /*
     * First everybody who can have the pPMC of the same index; who goes there
     * may have been on somebody else's...
     */
    for (bool again = true; again;) {
        again = false;
        for (unsigned v = 0; v < VPMU_NR; v++) {
            if (has(h->enabled, v) && h->phys[v] != (int)v &&
                to_be_had(h, v, running)) {
                give(h, v, v);
                again = true;
            }
        }
    }
    /* ...then the others, and first of them who has had one. */
    find_others(h, displaced);
    find_others(h, h->enabled);
}

/*
 * Note what has become of @before, and count it.
 * @released: vPMCs that have lost their pPMC for not using it
 */
static void compare(Handover *h, const Handover *before,
                    VPMUCounterMask released, HandoverChange *change)
{
    change->vpmcs = 0;
    change->starved = 0;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        bool had_one = before->phys[v] != HANDOVER_NONE && !has(released, v);
        bool has_one = h->phys[v] != HANDOVER_NONE;
        bool moved = h->phys[v] != before->phys[v];

        change->from[v] = before->phys[v];
        if (moved) {
            change->vpmcs |= VPMU_MASK_OF(v);
        }
        if (handover_path(h, v) == HANDOVER_STARVED &&
            handover_path(before, v) != HANDOVER_STARVED) {
            change->starved |= VPMU_MASK_OF(v);
        }
        h->stats.hand_overs += !had_one && has_one;
        h->stats.evictions += had_one && !has_one;
        h->stats.moves += had_one && has_one && moved;
        h->stats.reuses += had_one && !moved &&
                           has(h->enabled & ~before->enabled, v);
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
        bool mine = slice == HANDOVER_FOREVER && usable(h, i);

        h->phys[i] = mine ? (int)i : HANDOVER_NONE;
        h->virt[i] = h->phys[i];
    }
}

/* vPMCs that are enabled no more were used until @now. */
static void note_use(Handover *h, VPMUCounterMask enabled, int64_t now)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (has(h->enabled & ~enabled, v)) {
            h->used[v] = now;
        }
    }
}

/*
 * What nearly every call finds: those that are or were enabled have the pPMC of
 * their index, and no other is to be released.  The map stays as it is.
 */
static bool is_settled(const Handover *h, VPMUCounterMask enabled, int64_t now)
{
    if (now < h->now || h->slice <= 0) {
        return false;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (has(enabled | h->enabled, v) && h->phys[v] != (int)v) {
            return false;
        }
        if (is_idle(h, v) && h->phys[v] != HANDOVER_NONE &&
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

    if (is_settled(h, enabled, now)) {
        note_use(h, enabled, now);
        h->stats.reuses += weight(enabled & ~h->enabled);
        h->enabled = enabled;
        h->now = now;
        *change = (HandoverChange) { 0 };
        return;
    }
    before = *h;
    advance(h, now);
    note_use(h, enabled, now);
    released = release_unused(h);
    h->enabled = enabled;
    assign(h, enabled & before.enabled);
    compare(h, &before, released, change);
}

VPMUCounterMask handover_reserve(Handover *h, VPMUCounterMask reserved,
                                 bool force, int64_t now,
                                 HandoverChange *change)
{
    Handover after = *h;
    VPMUCounterMask released;

    advance(&after, now);
    released = release_unused(&after);
    after.reserved = reserved;
    assign(&after, after.enabled);
    compare(&after, h, released, change);
    if (change->starved && !force) {
        VPMUCounterMask starved = change->starved;

        *change = (HandoverChange) { 0 };
        return starved;
    }
    *h = after;
    return change->starved;
}

/* Add from @from to @set, in order, until it has @nr. */
static VPMUCounterMask fill(VPMUCounterMask set, VPMUCounterMask from,
                            unsigned nr, bool low)
{
    for (unsigned i = 0; i < VPMU_NR_GP && weight(set) < nr; i++) {
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
    set = fill(set, counters & reserved, nr, low);
    set = fill(set, counters & ~avoid, nr, low);
    return fill(set, counters, nr, low);
}

void handover_apply(const Handover *h, const HandoverChange *change,
                    void (*save)(void *opaque, unsigned v, unsigned p),
                    void (*load)(void *opaque, unsigned v, unsigned p),
                    void *opaque)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (has(change->vpmcs, v) && change->from[v] != HANDOVER_NONE) {
            save(opaque, v, change->from[v]);
        }
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (has(change->vpmcs, v) && h->phys[v] != HANDOVER_NONE) {
            load(opaque, v, h->phys[v]);
        }
    }
}

HandoverPath handover_path(const Handover *h, unsigned v)
{
    return is_idle(h, v) ? HANDOVER_IDLE :
           h->phys[v] == HANDOVER_NONE ? HANDOVER_STARVED :
           h->phys[v] == (int)v ? HANDOVER_FAST : HANDOVER_SLOW;
}

VPMUCounterMask handover_held(const Handover *h)
{
    return handover_to_physical(h, VPMU_MASK_ALL);
}

static VPMUCounterMask translate(const int8_t *map, VPMUCounterMask mask)
{
    VPMUCounterMask out = 0;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        if (has(mask, i) && map[i] != HANDOVER_NONE) {
            out |= VPMU_MASK_OF(map[i]);
        }
    }
    return out;
}

VPMUCounterMask handover_to_physical(const Handover *h, VPMUCounterMask vpmcs)
{
    return translate(h->phys, vpmcs);
}

VPMUCounterMask handover_to_virtual(const Handover *h, VPMUCounterMask ppmcs)
{
    return translate(h->virt, ppmcs);
}

static uint64_t translate_reg(const int8_t *map, uint64_t reg)
{
    return (reg & ~vpmu_mask_to_reg(VPMU_MASK_ALL)) |
           vpmu_mask_to_reg(translate(map, vpmu_mask_from_reg(reg)));
}

uint64_t handover_reg_to_physical(const Handover *h, uint64_t reg)
{
    return translate_reg(h->phys, reg);
}

uint64_t handover_reg_to_virtual(const Handover *h, uint64_t reg)
{
    return translate_reg(h->virt, reg);
}

unsigned handover_translate_record(const Handover *h, unsigned format,
                                   uint8_t *record, unsigned size)
{
    unsigned offset = format >= 4 ? 0x10 : 0x90;
    uint64_t physical = 0, virtual;

    if (size < offset + sizeof(physical)) {
        return 0;
    }
    for (unsigned i = 0; i < sizeof(physical); i++) {
        physical |= (uint64_t)record[offset + i] << (8 * i);
    }
    virtual = handover_reg_to_virtual(h, physical);
    if (virtual == physical) {
        return 0;
    }
    for (unsigned i = 0; i < sizeof(virtual); i++) {
        record[offset + i] = virtual >> (8 * i);
    }
    return sizeof(virtual);
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
