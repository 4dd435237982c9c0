/*
 * The hand-over core: which physical counter backs which virtual one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This file and handover.c need nothing of QEMU, glib or libc: no allocation,
 * no lock, no clock.  They handle indices, masks and time stamps that the
 * caller passes, and touch no counter: the caller moves the values as told.
 *
 * Everything here belongs to one vCPU and is called by the thread that runs
 * it, or by any thread while that thread is stopped.
 *
 * The rules
 * ---------
 * A vPMC is bound to a pPMC when it is first enabled, and keeps it until it was
 * disabled for a whole slice.  It prefers the pPMC of its own index.  A
 * general-purpose vPMC makes do with another pPMC, the highest that is free.
 * A fixed counter counts an event of its own, so a fixed vPMC can only have the
 * pPMC of its index or, if it is movable, a general-purpose one like any other
 * vPMC.  A vPMC that is disabled yields its pPMC at once to a vPMC that is
 * enabled.  A vPMC that is enabled yields to the host only.
 * Without a pPMC it is starved until a pPMC becomes available.
 *
 * Invariants, which tests/unit/test-handover.c checks:
 * - A pPMC backs at most one vPMC, and a vPMC has at most one pPMC.
 * - A pPMC that is reserved, or does not exist, backs none.
 * - A vPMC is starved only while every pPMC that could back it is reserved or
 *   backs an enabled vPMC.
 * - No count is lost or doubled, whatever the map does (handover_apply()).
 * - Without a reservation, vPMC i has pPMC i or none, and every translation is
 *   the identity.  With one, translating there and back is the identity for
 *   every vPMC that has a pPMC.
 * - No duration is negative, whatever the clock does.
 */
#ifndef TARGET_I386_VPMU_HANDOVER_H
#define TARGET_I386_VPMU_HANDOVER_H

#include "counters.h"

/* No counter. */
#define HANDOVER_NONE       (-1)
/* For handover_init(): an idle vPMC keeps its pPMC for ever. */
#define HANDOVER_FOREVER    INT64_MAX

typedef struct HandoverStats {
#define HANDOVER_STAT(field, name, unit, description) uint64_t field;
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
} HandoverStats;

typedef struct Handover {
    /* pPMCs that exist, and those of them that are the host's. */
    VPMUCounterMask counters;
    VPMUCounterMask reserved;
    /* vPMCs that the guest has enabled. */
    VPMUCounterMask enabled;
    /*
     * Fixed vPMCs that a general-purpose pPMC can back, too.  handover_init()
     * leaves none; the caller may set it before the first vPMC is enabled.
     */
    VPMUCounterMask movable;
    /* The map: pPMC of a vPMC, vPMC of a pPMC, or HANDOVER_NONE. */
    int8_t phys[VPMU_NR];
    int8_t virt[VPMU_NR];
    /* When a vPMC that is disabled now was last enabled, ns. */
    int64_t used[VPMU_NR];
    /* The time of the last call and the length of a slice, ns. */
    int64_t now;
    int64_t slice;
    HandoverStats stats;
} Handover;

typedef enum HandoverPath {
    HANDOVER_IDLE,      /* not enabled */
    HANDOVER_FAST,      /* backed by the pPMC of the same index */
    HANDOVER_SLOW,      /* backed by another */
    HANDOVER_STARVED,   /* enabled, backed by none */
} HandoverPath;

/**
 * HandoverChange: what a call has changed
 * @vpmcs: the vPMCs that have another pPMC than before, or have lost theirs
 * @starved: the vPMCs that are starved and were not before
 * @rebound: some vPMC was bound, moved or released.  It may be set without
 *     @vpmcs: a vPMC that was released can get the same pPMC again at once
 * @from: the pPMC that each vPMC had before, or HANDOVER_NONE
 */
typedef struct HandoverChange {
    VPMUCounterMask vpmcs;
    VPMUCounterMask starved;
    bool rebound;
    int8_t from[VPMU_NR];
} HandoverChange;

/**
 * handover_init: start with no vPMC enabled
 * @counters: pPMCs that exist
 * @reserved: those of them that are reserved for the host
 * @slice: how many ns a vPMC keeps its pPMC after it was disabled.
 *     HANDOVER_FOREVER: every vPMC has the pPMC of its index from the start
 *     and keeps it; @reserved is empty, and there is no policy.
 */
void handover_init(Handover *h, VPMUCounterMask counters,
                   VPMUCounterMask reserved, int64_t slice);

/**
 * handover_enable: the guest has these vPMCs enabled, and no others
 * @enabled: vPMCs; for each of them there is a pPMC of its index, reserved or
 *     not
 * @now: the time in ns, of any epoch, for slices and starved time.  When it
 *     jumps back, as the virtual clock does in loadvm, no time has passed.
 * @change: what the caller has to do next, see handover_apply()
 *
 * Calling it with @enabled as it was brings everything up to date: it releases
 * the pPMCs that were idle for a slice and adds up starved time.
 */
void handover_enable(Handover *h, VPMUCounterMask enabled, int64_t now,
                     HandoverChange *change);

/**
 * handover_reserve: reserve these pPMCs, and no others, for the host
 * @force: do it even if vPMCs that count become starved
 *
 * vPMCs that count move to other pPMCs with their values as long as pPMCs are
 * available.  Returns: the vPMCs that become starved.  If there are any,
 * nothing has changed unless @force is set.
 */
VPMUCounterMask handover_reserve(Handover *h, VPMUCounterMask reserved,
                                 bool force, int64_t now,
                                 HandoverChange *change);

/**
 * handover_choose: choose the general-purpose pPMCs of a reservation
 * @counters: pPMCs that exist
 * @avoid: the pPMCs that guests count with; they are chosen last
 * @reserved: the present reservation; its pPMCs are chosen first
 * @nr: how many to choose, at most as many as exist
 * @low: prefer the lowest indices, not the highest
 *
 * Returns: @nr bits.
 */
VPMUCounterMask handover_choose(VPMUCounterMask counters,
                                VPMUCounterMask avoid,
                                VPMUCounterMask reserved, unsigned nr,
                                bool low);

/**
 * handover_apply: move the values of vPMCs as a change demands
 * @save: fetch vPMC @v's value from pPMC @p, and stop that pPMC
 * @load: put vPMC @v's value into pPMC @p
 *
 * All values are fetched before the first is put, since two vPMCs may have
 * changed places.  The caller sets up afterwards what each pPMC counts.
 */
void handover_apply(const Handover *h, const HandoverChange *change,
                    void (*save)(void *opaque, unsigned v, unsigned p),
                    void (*load)(void *opaque, unsigned v, unsigned p),
                    void *opaque);

/**
 * handover_path: how vPMC @v is backed
 */
HandoverPath handover_path(const Handover *h, unsigned v);

/**
 * handover_held: the pPMCs that back vPMCs
 */
VPMUCounterMask handover_held(const Handover *h);

/**
 * handover_to_physical, handover_to_virtual: translate a set of counters
 *
 * A vPMC without a pPMC is dropped, and so is a pPMC that backs no vPMC.
 */
VPMUCounterMask handover_to_physical(const Handover *h, VPMUCounterMask vpmcs);
VPMUCounterMask handover_to_virtual(const Handover *h, VPMUCounterMask ppmcs);

/**
 * handover_reg_to_physical, handover_reg_to_virtual: the same for a register
 * that has one bit a counter
 *
 * SDM volume 3: GLOBAL_CTRL, GLOBAL_STATUS, PEBS_ENABLE and the field
 * "applicable counters" of a PEBS record.  Bits that belong to no counter stay.
 */
uint64_t handover_reg_to_physical(const Handover *h, uint64_t reg);
uint64_t handover_reg_to_virtual(const Handover *h, uint64_t reg);

/**
 * handover_reset_slots: translate the counter reset slots of a DS area
 * @vslots: the slots as the guest filled them, by vPMC
 * @pslots: the slots as the hardware must see them, by pPMC; only the slots of
 *     pPMCs that back a vPMC are set
 *
 * SDM volume 3, "Debug Store (DS) Mechanism": slot i for general purpose i,
 * 8 + j for fixed j.  Returns: the pPMCs whose slot has moved.
 */
VPMUCounterMask handover_reset_slots(const Handover *h,
                                     const uint64_t vslots[VPMU_NR],
                                     uint64_t pslots[VPMU_NR]);

#endif /* TARGET_I386_VPMU_HANDOVER_H */
