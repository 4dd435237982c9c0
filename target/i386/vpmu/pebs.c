/*
 * PEBS of the virtual PMU: from an overflow to a record in guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Processor Event Based Sampling (PEBS)" and "Debug Store (DS)
 * Mechanism".  The hardware's side knows pPMCs: it makes the record and
 * reloads the counter.  The hand-over's side makes the guest see vPMCs: it
 * has the record name them, and lets the hardware reload from the slot that
 * the guest filled.
 *
 * The guest names the DS area.  Every access to it goes through the guest's
 * page tables with supervisor rights and cannot fault: what is not RAM that
 * the guest may write costs the guest its record.  Nothing is read twice, and
 * nothing that is read decides about memory of the emulator.
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "pebs-record.h"
#include "trace.h"

/* The DS area: 64-bit fields (CPUID DTES64), the PEBS part and reset slots. */
#define DS_PEBS_OFFSET          0x20
#define DS_PEBS_INDEX_OFFSET    0x28

typedef struct DSPebs {
    uint64_t base;
    uint64_t index;
    uint64_t maximum;
    uint64_t threshold;
    uint64_t reset[VPMU_NR];
} DSPebs;

/* Little endian in memory, host endian here. */
static bool read_ds(CPUX86State *env, DSPebs *ds)
{
    uint64_t *field = (uint64_t *)ds;

    if (!vpmu_backend()->access(env, env->vpmu.ds_area + DS_PEBS_OFFSET, ds,
                                sizeof(*ds), false)) {
        return false;
    }
    for (unsigned i = 0; i < sizeof(*ds) / sizeof(*field); i++) {
        le64_to_cpus(&field[i]);
    }
    return true;
}

/* Groups are for counters whose control has the adaptive bit. */
static uint64_t record_cfg(const CPUX86State *env, VPMUCounterMask vpmcs)
{
    const VPMUState *s = &env->vpmu;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        uint64_t adaptive = v < VPMU_NR_GP ?
            s->evtsel[v] & VPMU_EVTSEL_ADAPTIVE :
            s->fixed_ctr_ctrl & VPMU_FIXED_ADAPTIVE(vpmu_index_of(v));

        if ((vpmcs & VPMU_MASK_OF(v)) && adaptive) {
            return s->pebs_data_cfg;
        }
    }
    return 0;
}

/*
 * TCG knows no caches: every access hits the first level, and every load
 * takes the same time (docs/system/i386/vpmu.rst).
 */
static void describe_access(CPUX86State *env, VPMUCounterMask vpmcs,
                            PEBSSample *sample)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        const VPMUEvent *event;

        if ((vpmcs & VPMU_MASK_OF(v)) &&
            vpmu_counter_config(env, v, &event).add == 1 << SOFTPMU_STORE) {
            sample->about_store = true;
        }
    }
    sample->source = sample->load || sample->store ? PEBS_SOURCE_L1_HIT : 0;
    sample->latency = sample->load ? VPMU_LOAD_LATENCY : 0;
}

static bool put_record(CPUX86State *env, DSPebs *ds, const uint8_t *record,
                       unsigned size)
{
    uint64_t index = ds->index;

    if (index < ds->base || index > ds->maximum ||
        ds->maximum - index < size ||
        !vpmu_backend()->access(env, index, (void *)record, size, true)) {
        return false;
    }
    ds->index = index + size;
    index = cpu_to_le64(ds->index);
    return vpmu_backend()->access(env,
                                  env->vpmu.ds_area + DS_PEBS_INDEX_OFFSET,
                                  &index, sizeof(index), true);
}

bool vpmu_pebs(CPUX86State *env, VPMUCounterMask ppmcs)
{
    const VPMUBackend *backend = vpmu_backend();
    VPMUState *s = &env->vpmu;
    HandoverStats *stats = &s->handover.stats;
    unsigned format = env_archcpu(env)->vpmu.pebs_format;
    VPMUCounterMask vpmcs = handover_to_virtual(&s->handover, ppmcs);
    uint64_t cfg = record_cfg(env, vpmcs);
    unsigned size = pebs_record_size(format, cfg);
    uint8_t record[PEBS_RECORD_MAX];
    uint64_t slots[VPMU_NR];
    VPMUCounterMask moved;
    PEBSSample sample = { .counters = vpmu_mask_to_reg(ppmcs) };
    unsigned changed;
    DSPebs ds;

    if (!read_ds(env, &ds)) {
        stats->pebs_records_dropped++;
        trace_vpmu_pebs_drop(env_cpu(env)->cpu_index, ppmcs, s->ds_area);
        return false;
    }

    /* The counters count on from their reset values, come what may. */
    moved = handover_reset_slots(&s->handover, ds.reset, slots) & ppmcs;
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (ppmcs & VPMU_MASK_OF(p)) {
            backend->write(env, p, slots[p] & SOFTPMU_VALUE_MASK);
        }
    }

    backend->sample(env, &sample);
    describe_access(env, vpmcs, &sample);
    pebs_record_write(record, format, cfg, &sample);
    changed = pebs_record_translate(&s->handover, format, record, size);
    if (!put_record(env, &ds, record, size)) {
        stats->pebs_records_dropped++;
        trace_vpmu_pebs_drop(env_cpu(env)->cpu_index, ppmcs, ds.index);
        return false;
    }
    stats->pebs_bytes_rewritten += changed + ctpop16(moved) * sizeof(slots[0]);
    if (changed || moved) {
        stats->pebs_records_slow++;
    } else {
        stats->pebs_records_fast++;
    }
    trace_vpmu_pebs(env_cpu(env)->cpu_index, ppmcs, sample.ip,
                    ds.index - size);
    return ds.index >= ds.threshold;
}
