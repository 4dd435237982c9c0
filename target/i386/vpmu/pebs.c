/*
 * PEBS of the virtual PMU: from an overflow to a record in guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Processor Event Based Sampling (PEBS)" and "Debug Store (DS)
 * Mechanism".  The hardware's side knows pPMCs: it makes the record and
 * reloads the counter.  The hand-over's side makes the guest see vPMCs: it
 * has the record name vPMCs, and lets the hardware reload each pPMC from the
 * slot that the guest filled for its vPMC.
 *
 * The guest chooses the address of the DS area.  Every access to it goes
 * through the guest's page tables with supervisor rights and cannot fault.  If
 * the memory is not RAM that the guest may write, the guest loses its record.
 * Nothing is read twice, and no value from guest memory is used as an address
 * or a size in the emulator's own memory.
 */
#include "qemu/osdep.h"
#include "ds.h"
#include "pebs.h"
#include "pebs-record.h"
#include "tcg-vcpu.h"
#include "trace.h"
#include "vpmc.h"

/* The part of the DS area that is for PEBS */
typedef struct DSPebs {
    DSBuffer buffer;
    uint64_t reset[VPMU_NR];
} DSPebs;

/* A record has groups if one of its counters has the adaptive bit. */
static uint64_t pebs_record_cfg(const CPUX86State *env, VPMUCounterMask vpmcs)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if ((vpmcs & VPMU_MASK_OF(v)) && vpmu_is_adaptive(env, v)) {
            return env->vpmu.pebs_data_cfg;
        }
    }
    return 0;
}

/* SDM volume 3, "Data Source Encoding" of load latency, and of stores */
static uint64_t pebs_source(const SoftPMUFound *found, bool is_store)
{
    static const uint8_t sources[] = {
        [SIM_L1] = PEBS_SOURCE_L1_HIT,
        [SIM_L2] = PEBS_SOURCE_L2_HIT,
        [SIM_LLC] = PEBS_SOURCE_L3_HIT,
        [SIM_MEMORY] = PEBS_SOURCE_MEMORY,
    };
    uint64_t source = !is_store ? sources[found->level] :
                      found->level == SIM_L1 ? PEBS_SOURCE_L1_HIT : 0;

    return source | (found->walked ? PEBS_SOURCE_STLB_MISS : 0);
}

/* Does this count nothing but stores? */
static bool pebs_counts_stores(const SoftPMUConfig *config)
{
    return config->add == 1 << SOFTPMU_STORE ||
           (config->sim && !(config->sim & ~SIM_OUTCOMES_OF(SIM_STORE)));
}

/*
 * Without a simulation every access hits the first level.  Every load takes the
 * same time in any case (docs/system/i386/vpmu.rst).
 */
static void pebs_describe_access(CPUX86State *env, VPMUCounterMask vpmcs,
                                 PEBSSample *sample)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        const VPMUEvent *event;
        SoftPMUConfig config;

        if (vpmcs & VPMU_MASK_OF(v)) {
            config = vpmu_counter_config(env, v, &event);
            sample->about_store |= pebs_counts_stores(&config);
        }
    }
    if (sample->load || sample->store) {
        const SoftPMUNote *note = &env->vpmu_host.hw.note;
        bool is_store = sample->about_store || !sample->load;

        sample->source = pebs_source(is_store ? &note->store_found :
                                                &note->load_found, is_store);
    }
    sample->latency = sample->load ? VPMU_LOAD_LATENCY : 0;
}

/* Memory of the guest is not there: is it worth waiting for it? */
static bool pebs_waits(CPUX86State *env, VPMUCounterMask vpmcs)
{
    if (!vpmu_waits_for_memory(env)) {
        return false;
    }
    env->vpmu.waiting |= vpmcs;
    env->vpmu.waiting_note = env->vpmu_host.hw.note;
    return true;
}

static void pebs_drop(CPUX86State *env, VPMUCounterMask ppmcs, uint64_t address)
{
    env->vpmu_host.handover.stats.pebs_records_dropped++;
    trace_vpmu_pebs_drop(env_cpu(env)->cpu_index, ppmcs, address);
}

bool vpmu_pebs(CPUX86State *env, VPMUCounterMask ppmcs)
{
    VPMUHost *host = &env->vpmu_host;
    Handover *h = &host->handover;
    HandoverStats *stats = &h->stats;
    unsigned format = env_archcpu(env)->vpmu.pebs_format;
    VPMUCounterMask vpmcs = handover_to_virtual(h, ppmcs);
    uint64_t cfg = pebs_record_cfg(env, vpmcs);
    unsigned size = pebs_record_size(format, cfg);
    uint8_t record[PEBS_RECORD_MAX];
    uint64_t slots[VPMU_NR];
    VPMUCounterMask moved;
    PEBSSample sample = { .counters = vpmu_mask_to_reg(ppmcs) };
    unsigned changed;
    bool can_store;
    DSPebs ds;

    if (!ds_read(env, DS_PEBS_OFFSET, &ds, sizeof(ds))) {
        if (!pebs_waits(env, vpmcs)) {
            pebs_drop(env, ppmcs, env->vpmu.ds_area);
        }
        return false;
    }
    can_store = ds_can_store(env, DS_PEBS_OFFSET, &ds.buffer, size);
    if (!can_store && pebs_waits(env, vpmcs)) {
        return false;
    }

    /* The counters are reloaded whatever becomes of the record. */
    moved = handover_reset_slots(h, ds.reset, slots) & ppmcs;
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (ppmcs & VPMU_MASK_OF(p)) {
            softpmu_write(&host->hw, p, slots[p]);
        }
    }

    vpmu_sample(env, &sample);
    pebs_describe_access(env, vpmcs, &sample);
    pebs_record_write(record, format, cfg, &sample);
    changed = pebs_record_translate(h, format, record, size);
    if (!can_store) {
        pebs_drop(env, ppmcs, ds.buffer.index);
        return false;
    }
    ds_store(env, DS_PEBS_OFFSET, &ds.buffer, record, size, false);
    stats->pebs_bytes_rewritten += changed + ctpop16(moved) * sizeof(slots[0]);
    if (changed || moved) {
        stats->pebs_records_slow++;
    } else {
        stats->pebs_records_fast++;
    }
    trace_vpmu_pebs(env_cpu(env)->cpu_index, ppmcs, sample.ip,
                    ds.buffer.index - size);
    return ds.buffer.index >= ds.buffer.threshold;
}
