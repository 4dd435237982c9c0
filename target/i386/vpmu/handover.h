/*
 * The hand-over core: which physical counter backs which virtual one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * This file and handover.c need nothing of QEMU, glib or libc: no allocation,
 * no lock, no clock.  They know indices, masks and time stamps that are handed
 * to them and touch no counter; who calls them moves the values as they say.
 *
 * Everything here belongs to one vCPU and is called by the thread that runs
 * it, or by anybody while that thread is stopped.
 *
 * The rules
 * ---------
 * A vPMC is given a pPMC when it is first enabled, and keeps it until it was
 * disabled for a whole slice.  It prefers the pPMC of its own index; a
 * general-purpose one makes do with another, the highest that is free.  A
 * fixed one counts an event of its own, so no other will do.  A vPMC that is
 * disabled yields at once to one that is enabled.  One that is enabled yields
 * to the host only.  Without a pPMC it is starved, until one is to be had.
 *
 * Invariants, which tests/unit/test-handover.c checks:
 * - A pPMC backs at most one vPMC, and a vPMC has at most one pPMC.
 * - A pPMC that is reserved, or does not exist, backs none.
 * - A vPMC is starved only while no pPMC that could back it is free or idle.
 * - No count is lost or doubled, whatever the map does (handover_apply()).
 * - Without reservation, vPMC i has pPMC i or none, and every translation is
 *   the identity.  Otherwise there and back is the identity, for all that
 *   has a pPMC.
 * - No duration is negative, whatever the clock does.
 */
#ifndef TARGET_I386_VPMU_HANDOVER_H
#define TARGET_I386_VPMU_HANDOVER_H

#include "counters.h"

/* No counter. */
#define HANDOVER_NONE       (-1)
/* For handover_init(): a pPMC never goes back by itself. */
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
    /* The map: pPMC of a vPMC, vPMC of a pPMC, or HANDOVER_NONE. */
    int8_t phys[VPMU_NR];
    int8_t virt[VPMU_NR];
    /* When a vPMC that is not enabled was last so, ns. */
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
 * @vpmcs: vPMCs that have another pPMC now, or none any more
 * @from: the pPMC that each of them had, or HANDOVER_NONE
 * @starved: vPMCs that were not starved before and are now
 */
typedef struct HandoverChange {
    VPMUCounterMask vpmcs;
    VPMUCounterMask starved;
    int8_t from[VPMU_NR];
} HandoverChange;

/**
 * handover_init: start with no vPMC enabled
 * @counters: pPMCs that exist
 * @reserved: those of them that are the host's
 * @slice: ns that a vPMC keeps its pPMC after it was disabled.
 *     HANDOVER_FOREVER: every vPMC has the pPMC of its index from the start
 *     (and @reserved is none); there is no policy then.
 */
void handover_init(Handover *h, VPMUCounterMask counters,
                   VPMUCounterMask reserved, int64_t slice);

/**
 * handover_enable: the guest has these vPMCs enabled, and no others
 * @enabled: vPMCs; each has a pPMC of its index (reserved or not)
 * @now: the time, ns, any epoch; slices and starved time run by it.  When it
 *     jumps back, as the virtual clock does in loadvm, no time has passed.
 * @change: what to do now, see handover_apply()
 *
 * Also the way to bring everything up to date, with @enabled as it was: what
 * was unused for a slice is released, starved time is added up.
 */
void handover_enable(Handover *h, VPMUCounterMask enabled, int64_t now,
                     HandoverChange *change);

/**
 * handover_reserve: keep these pPMCs, and no others, for the host
 * @force: also if vPMCs that count become starved by it
 *
 * vPMCs that count go to other pPMCs with their values as long as there are
 * any.  Returns: the vPMCs that become starved.  If there are some, nothing
 * has changed unless @force is set.
 */
VPMUCounterMask handover_reserve(Handover *h, VPMUCounterMask reserved,
                                 bool force, int64_t now,
                                 HandoverChange *change);

/**
 * handover_choose: the general-purpose pPMCs for a reservation
 * @counters: pPMCs that exist
 * @avoid: those that guests count with
 * @reserved: the present reservation; what it has is kept
 * @nr: how many there shall be, at most as many as exist
 * @low: take the lowest indices first, not the highest
 *
 * Those that nobody counts with come first.  Returns: @nr bits.
 */
VPMUCounterMask handover_choose(VPMUCounterMask counters,
                                VPMUCounterMask avoid,
                                VPMUCounterMask reserved, unsigned nr,
                                bool low);

/**
 * handover_apply: carry out a change
 * @save: fetch vPMC @v's value from pPMC @p and stop that
 * @load: put vPMC @v's value into pPMC @p
 *
 * All values are fetched before the first is put: two vPMCs may have changed
 * places.  What shall count is set up afterwards by the caller.
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
 * handover_held: the pPMCs that the guest holds
 */
VPMUCounterMask handover_held(const Handover *h);

/**
 * handover_to_physical, handover_to_virtual: translate a set of counters
 *
 * A vPMC without a pPMC is dropped, and so is a pPMC that is not the guest's.
 */
VPMUCounterMask handover_to_physical(const Handover *h, VPMUCounterMask vpmcs);
VPMUCounterMask handover_to_virtual(const Handover *h, VPMUCounterMask ppmcs);

/**
 * handover_reg_to_physical, handover_reg_to_virtual: the same for a register
 * that has one bit a counter
 *
 * SDM volume 3: GLOBAL_CTRL, GLOBAL_STATUS, PEBS_ENABLE and the field
 * "applicable counters" of a PEBS record.  Bits that are no counter's stay.
 */
uint64_t handover_reg_to_physical(const Handover *h, uint64_t reg);
uint64_t handover_reg_to_virtual(const Handover *h, uint64_t reg);

/**
 * handover_translate_record: make a PEBS record name vPMCs
 * @format: PERF_CAPABILITIES.PEBS_REC_FMT, 3 or 4
 * @record: as the hardware wrote it, little endian
 * @size: bytes that are there
 *
 * SDM volume 3, "Processor Event Based Sampling": format 3 has the
 * applicable counters at 0x90, the basic group of format 4 at 0x10.
 * Returns: the bytes that were changed, 0 on the fast path or if the record
 * ends before the field.
 */
unsigned handover_translate_record(const Handover *h, unsigned format,
                                   uint8_t *record, unsigned size);

/**
 * handover_reset_slots: which reset value the hardware reloads from which slot
 * @vslots: the DS area's reset slots as the guest filled them, by vPMC
 * @pslots: the slots by pPMC; only those of pPMCs that the guest holds are set
 *
 * SDM volume 3, "Debug Store (DS) Mechanism": slot i for general purpose i,
 * 8 + j for fixed j.  Returns: the pPMCs whose slot has moved.
 */
VPMUCounterMask handover_reset_slots(const Handover *h,
                                     const uint64_t vslots[VPMU_NR],
                                     uint64_t pslots[VPMU_NR]);

#endif /* TARGET_I386_VPMU_HANDOVER_H */
