/*
 * Branch trace store (BTS): every branch goes to a buffer of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Branch Trace Store (BTS)" and "BTS and DS Save Area".  The
 * DS area and the buffer are accessed like those of PEBS, see pebs.c: nothing
 * faults, and a record that has no place is lost.
 */
#include "qemu/osdep.h"
#include "bts.h"
#include "tcg-vcpu.h"
#include "trace.h"
#include "vpmc.h"

/* In the DS area, which has 64-bit fields */
#define DS_BTS_INDEX_OFFSET     8

/* Branches are predicted: they never are mispredicted. */
#define BTS_PREDICTED           (UINT64_C(1) << 4)

typedef struct DSBts {
    uint64_t base;
    uint64_t index;
    uint64_t maximum;
    uint64_t threshold;
} DSBts;

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

/* The fields are little endian in memory and host endian in @ds. */
static bool bts_read_ds(CPUX86State *env, DSBts *ds)
{
    if (!vpmu_access(env, env->vpmu.ds_area, ds, sizeof(*ds), false)) {
        return false;
    }
    le64_to_cpus(&ds->base);
    le64_to_cpus(&ds->index);
    le64_to_cpus(&ds->maximum);
    le64_to_cpus(&ds->threshold);
    return true;
}

static bool bts_has_room(const DSBts *ds)
{
    return ds->index >= ds->base && ds->index <= ds->maximum &&
           ds->maximum - ds->index >= sizeof(BTSRecord);
}

static bool bts_store(CPUX86State *env, DSBts *ds, uint64_t from, uint64_t to)
{
    bool is_circular = !(env->vpmu.debugctl & VPMU_DEBUGCTL_BTINT);
    BTSRecord record = {
        .from = cpu_to_le64(from),
        .to = cpu_to_le64(to),
        .flags = cpu_to_le64(BTS_PREDICTED),
    };
    uint64_t at = ds->index, index;

    if (!bts_has_room(ds) ||
        !vpmu_access(env, env->vpmu.ds_area + DS_BTS_INDEX_OFFSET, NULL,
                     sizeof(index), true) ||
        !vpmu_access(env, at, &record, sizeof(record), true)) {
        return false;
    }
    ds->index += sizeof(record);
    if (is_circular && !bts_has_room(ds)) {
        ds->index = ds->base;
    }
    index = cpu_to_le64(ds->index);
    return vpmu_access(env, env->vpmu.ds_area + DS_BTS_INDEX_OFFSET, &index,
                       sizeof(index), true);
}

void vpmu_bts(CPUX86State *env, uint64_t from, uint64_t to)
{
    DSBts ds;

    if (!bts_read_ds(env, &ds) || !bts_store(env, &ds, from, to)) {
        trace_vpmu_bts_drop(env_cpu(env)->cpu_index, from, to);
        return;
    }
    if ((env->vpmu.debugctl & VPMU_DEBUGCTL_BTINT) &&
        ds.index >= ds.threshold) {
        env->msr_global_status |= VPMU_STATUS_OVF_BUF;
        env->vpmu_host.handover.stats.pmis++;
        vpmu_raise_pmi(env);
    }
}
