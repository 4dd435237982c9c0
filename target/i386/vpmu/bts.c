/*
 * Branch trace store (BTS): every branch goes to a buffer of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Branch Trace Store (BTS)" and "BTS and DS Save Area".  The
 * DS area and the buffer are accessed like those of PEBS, see pebs.c: nothing
 * faults, and a record that has no place is lost.  A record does not wait for
 * memory that EPT does not map, as more branches may follow before the VM exit.
 */
#include "qemu/osdep.h"
#include "bts.h"
#include "ds.h"
#include "tcg-vcpu.h"
#include "trace.h"
#include "vpmc.h"

/* Branches are predicted: they never are mispredicted. */
#define BTS_PREDICTED           (UINT64_C(1) << 4)

typedef struct BTSRecord {
    uint64_t from;
    uint64_t to;
    uint64_t flags;
} BTSRecord;

bool vpmu_bts_runs(CPUX86State *env, unsigned ring)
{
    const uint64_t on = VPMU_DEBUGCTL_TR | VPMU_DEBUGCTL_BTS;
    uint64_t debugctl = env->vpmu.debugctl;

    return vpmu_has_bts(env_archcpu(env)) && (debugctl & on) == on &&
           !(debugctl & (ring == SOFTPMU_USER ? VPMU_DEBUGCTL_BTS_OFF_USR :
                                                VPMU_DEBUGCTL_BTS_OFF_OS));
}

void vpmu_bts(CPUX86State *env, uint64_t from, uint64_t to)
{
    bool interrupts = env->vpmu.debugctl & VPMU_DEBUGCTL_BTINT;
    BTSRecord record = {
        .from = cpu_to_le64(from),
        .to = cpu_to_le64(to),
        .flags = cpu_to_le64(BTS_PREDICTED),
    };
    uint64_t place;
    DSBuffer ds;

    if (!ds_read(env, DS_BTS_OFFSET, &ds, sizeof(ds)) ||
        !ds_can_store(env, DS_BTS_OFFSET, &ds, sizeof(record))) {
        env->vpmu_host.handover.stats.bts_records_dropped++;
        trace_vpmu_bts_drop(env_cpu(env)->cpu_index, from, to);
        return;
    }
    place = ds.index;
    ds_store(env, DS_BTS_OFFSET, &ds, &record, sizeof(record), !interrupts);
    /* The threshold names one record, so those behind it raise nothing. */
    if (interrupts && place < ds.threshold && ds.index >= ds.threshold) {
        env->vpmu.bts_due = true;
        vpmu_request_sync(env);
    }
}
