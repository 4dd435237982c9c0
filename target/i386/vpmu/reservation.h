/*
 * The counters that a machine's guest leaves to the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A machine whose guest is handed counters one by one has one reservation,
 * which all of its vCPUs share.  Only the main thread may call these functions,
 * and with the BQL held.  They do their work on a vCPU in its own thread.  Such
 * work may read the reservation, as the main thread waits for it.
 */
#ifndef TARGET_I386_VPMU_RESERVATION_H
#define TARGET_I386_VPMU_RESERVATION_H

#include "qom/object.h"
#include "cpu.h"
#include "events.h"

#define TYPE_VPMU_RESERVATION "vpmu-reservation"
OBJECT_DECLARE_SIMPLE_TYPE(VPMUReservation, VPMU_RESERVATION)

/**
 * VPMUHostCount: what the operator counts with a reserved pPMC
 * @event: NULL: nothing
 * @rings: as in SoftPMUConfig
 */
typedef struct VPMUHostCount {
    const VPMUEvent *event;
    uint8_t rings;
} VPMUHostCount;

/**
 * VPMUReservation: a child of the machine
 * @gp: how many general-purpose pPMCs are reserved
 * @ppmcs: the reserved pPMCs.  A kernel chooses the general-purpose ones itself
 *     and does not tell which; then only the fixed ones are here
 * @counts: under TCG, what each of them counts for the operator
 */
struct VPMUReservation {
    Object parent_obj;
    unsigned gp;
    VPMUCounterMask ppmcs;
    VPMUHostCount counts[VPMU_NR];
};

/**
 * VPMUDisplaced: vPMCs of one vCPU that a reservation concerns
 */
typedef struct VPMUDisplaced {
    int cpu_index;
    char *qom_path;
    VPMUCounterMask vpmcs;
} VPMUDisplaced;

/**
 * vpmu_displaced_new: an array of them, to be freed with g_array_unref()
 */
GArray *vpmu_displaced_new(void);

/**
 * vpmu_reservation_find: the machine's reservation, NULL if it has none
 */
VPMUReservation *vpmu_reservation_find(void);

/**
 * vpmu_reservation_for: the machine's reservation, for a command
 *
 * Returns: NULL with @errp set if the machine cannot have one, with the reason.
 */
VPMUReservation *vpmu_reservation_for(X86CPU *first, Error **errp);

/**
 * vpmu_reservation_plug: have a CPU that is realized share the reservation
 *
 * The first CPU's properties determine what is reserved at start.
 */
void vpmu_reservation_plug(X86CPU *cpu);

/**
 * vpmu_reservation_change: reserve these counters and no others
 * @first: the first CPU
 * @gp: the number of general-purpose pPMCs, at most as many as there are
 * @fixed: fixed pPMCs
 * @force: do it even if the guest counts with too many counters
 * @displaced: elements of type VPMUDisplaced are added: the vPMCs that are
 *     starved now, under KVM those that were starved before among them
 *
 * Returns: false with @errp set and nothing changed if the guest counts with
 * too many counters and @force is not set, or if the kernel refuses.
 */
bool vpmu_reservation_change(VPMUReservation *r, X86CPU *first, unsigned gp,
                             VPMUCounterMask fixed, bool force,
                             GArray *displaced, Error **errp);

/**
 * vpmu_reservation_count: count on all vCPUs with a reserved pPMC, from zero
 * @p: a reserved pPMC
 * @count: what to count
 */
void vpmu_reservation_count(VPMUReservation *r, unsigned p,
                            VPMUHostCount count);

#endif /* TARGET_I386_VPMU_RESERVATION_H */
