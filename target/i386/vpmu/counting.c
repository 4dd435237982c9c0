/*
 * A vCPU's virtual counters on its physical ones
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The hand-over core (handover.h) decides which pPMC backs which vPMC, and the
 * software PMU (softpmu.h) counts.  This file moves the values as the core
 * says, and tells the software PMU what each pPMC counts.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "branches.h"
#include "counting.h"
#include "pebs.h"
#include "report.h"
#include "tcg-vcpu.h"
#include "trace.h"
#include "vpmc.h"

static const SoftPMUConfig vpmu_config_off;

/* Values */

uint64_t vpmu_read(CPUX86State *env, unsigned v, uintptr_t retaddr)
{
    int p = env->vpmu_host.handover.phys[v];

    return p == HANDOVER_NONE ? *vpmu_value(env, v) :
                                vpmu_read_ppmc(env, p, retaddr);
}

void vpmu_write(CPUX86State *env, unsigned v, uint64_t value)
{
    int p = env->vpmu_host.handover.phys[v];

    if (env->vpmu.waiting & VPMU_MASK_OF(v)) {
        /* Whoever writes the counter has given the record up. */
        env->vpmu.waiting &= ~VPMU_MASK_OF(v);
        env->vpmu_host.handover.stats.pebs_records_dropped++;
    }
    if (p == HANDOVER_NONE) {
        *vpmu_value(env, v) = value;
    } else {
        softpmu_write(&env->vpmu_host.hw, p, value);
    }
}

static void vpmu_save_counter(CPUX86State *env, unsigned v, unsigned p)
{
    SoftPMUCounter counter = softpmu_save(&env->vpmu_host.hw, p);

    *vpmu_value(env, v) = counter.value;
    env->vpmu.high[v] = counter.high;
}

static void vpmu_load_counter(CPUX86State *env, unsigned v, unsigned p)
{
    SoftPMUCounter counter = {
        .value = *vpmu_value(env, v),
        .high = env->vpmu.high[v],
    };

    softpmu_load(&env->vpmu_host.hw, p, counter);
}

/* For handover_apply() */
static void vpmu_unbind_counter(void *opaque, unsigned v, unsigned p)
{
    CPUX86State *env = opaque;

    vpmu_save_counter(env, v, p);
    softpmu_config(&env->vpmu_host.hw, p, &vpmu_config_off);
}

static void vpmu_bind_counter(void *opaque, unsigned v, unsigned p)
{
    vpmu_load_counter(opaque, v, p);
}

/* The map */

static void vpmu_trace_change(CPUX86State *env, const HandoverChange *change)
{
    int cpu = env_cpu(env)->cpu_index;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        int from = change->from[v];
        int to = env->vpmu_host.handover.phys[v];

        if (change->starved & VPMU_MASK_OF(v)) {
            trace_vpmu_starved(cpu, v);
        }
        if (!(change->vpmcs & VPMU_MASK_OF(v))) {
            continue;
        }
        if (from == HANDOVER_NONE) {
            trace_vpmu_hand_over(cpu, v, to);
        } else if (to == HANDOVER_NONE) {
            trace_vpmu_release(cpu, v, from);
        } else {
            trace_vpmu_move(cpu, v, from, to);
        }
    }
}

/* Returns: whether the event was not noted before. */
static bool vpmu_note_unsupported(VPMUState *s, VPMUEventCode code)
{
    const int last = VPMU_NR_UNSUPPORTED - 1;

    /* Event 0 without a unit is nothing, and could not be told from none. */
    if (!code) {
        return false;
    }
    for (int i = 0; i <= last; i++) {
        bool is_free = !vpmu_unsupported_code(s, i);

        if (is_free) {
            s->unsupported[i] = code;
            s->unsupported_high[i] = code >> 16;
        }
        if (vpmu_unsupported_code(s, i) == code) {
            return is_free;
        }
    }
    /* Full: forget the oldest. */
    memmove(s->unsupported, s->unsupported + 1,
            last * sizeof(s->unsupported[0]));
    memmove(s->unsupported_high, s->unsupported_high + 1,
            last * sizeof(s->unsupported_high[0]));
    s->unsupported[last] = code;
    s->unsupported_high[last] = code >> 16;
    return true;
}

/* What all vPMCs are set up to count.  Returns: the vPMCs that are enabled. */
static VPMUCounterMask vpmu_get_configs(CPUX86State *env,
                                        SoftPMUConfig configs[VPMU_NR])
{
    VPMUState *s = &env->vpmu;
    VPMUCounterMask enabled = 0;
    bool is_new = false;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        const VPMUEvent *event = NULL;

        /* Most are off, and looking their events up would take longest. */
        configs[v] = vpmu_is_enabled(env, v) ?
                     vpmu_counter_config(env, v, &event) : vpmu_config_off;
        if (!softpmu_counts_edges(&configs[v])) {
            /* softpmu_config() does the same for a vPMC that has a pPMC. */
            s->high[v] = false;
        }
        if (!configs[v].on) {
            continue;
        }
        enabled |= VPMU_MASK_OF(v);
        if (v < VPMU_NR_GP &&
            !vpmu_event_is_supported(env->msr_gp_evtsel[v], event,
                                     vpmu_simulates(env_archcpu(env)))) {
            is_new |= vpmu_note_unsupported(s, vpmu_gp_code(env, v));
        }
    }
    if (is_new) {
        vpmu_report_unsupported(env);
    }
    return enabled;
}

/*
 * Carry out a change of the map, and tell the software PMU what each pPMC
 * counts.
 */
static void vpmu_apply_change(CPUX86State *env, const HandoverChange *change,
                              const SoftPMUConfig configs[VPMU_NR])
{
    const Handover *h = &env->vpmu_host.handover;

    vpmu_trace_change(env, change);
    handover_apply(h, change, vpmu_unbind_counter, vpmu_bind_counter, env);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE) {
            softpmu_config(&env->vpmu_host.hw, h->phys[v], &configs[v]);
        }
    }
    vpmu_commit(env);
    if (change->starved) {
        vpmu_report_starved(env, change->starved);
    }
}

static int64_t vpmu_now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

bool vpmu_update(CPUX86State *env)
{
    SoftPMUConfig configs[VPMU_NR];
    HandoverChange change;

    vpmu_branches_update(env);
    handover_enable(&env->vpmu_host.handover, vpmu_get_configs(env, configs),
                    vpmu_now(), &change);
    vpmu_apply_change(env, &change, configs);
    return change.rebound;
}

void vpmu_unload(CPUX86State *env)
{
    const Handover *h = &env->vpmu_host.handover;

    vpmu_sync(env);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE) {
            vpmu_save_counter(env, v, h->phys[v]);
        }
    }
    vpmu_branches_unload(env);
}

void vpmu_refresh(CPUX86State *env)
{
    vpmu_sync(env);
    vpmu_update(env);
    vpmu_unload(env);
}

void vpmu_load(CPUX86State *env)
{
    const Handover *h = &env->vpmu_host.handover;

    /* What was loaded of the records is as of when they were stopped. */
    env->vpmu.lbr.runs = false;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE) {
            vpmu_load_counter(env, v, h->phys[v]);
        }
    }
    vpmu_update(env);
}

/* The host's counters */

VPMUCounterMask vpmu_would_starve(CPUX86State *env, VPMUCounterMask reserved)
{
    Handover trial = env->vpmu_host.handover;
    HandoverChange change;

    return handover_reserve(&trial, reserved, true, vpmu_now(), &change);
}

VPMUCounterMask vpmu_reserve(CPUX86State *env, VPMUCounterMask reserved,
                             bool force)
{
    Handover *h = &env->vpmu_host.handover;
    VPMUCounterMask before = h->reserved;
    VPMUCounterMask starved;
    SoftPMUConfig configs[VPMU_NR];
    HandoverChange change;

    vpmu_sync(env);
    starved = handover_reserve(h, reserved, force, vpmu_now(), &change);
    if (starved && !force) {
        return starved;
    }
    trace_vpmu_reserve(env_cpu(env)->cpu_index, reserved, starved);
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (before & ~reserved & VPMU_MASK_OF(p)) {
            softpmu_config(&env->vpmu_host.hw, p, &vpmu_config_off);
        }
    }
    vpmu_get_configs(env, configs);
    vpmu_apply_change(env, &change, configs);
    return starved;
}

void vpmu_host_count(CPUX86State *env, unsigned p, const VPMUEvent *event,
                     uint8_t rings)
{
    SoftPMUConfig config =
        vpmu_event_config(0, event, vpmu_simulates(env_archcpu(env)));

    config.rings = rings;
    config.on = event;
    vpmu_sync(env);
    softpmu_write(&env->vpmu_host.hw, p, 0);
    softpmu_config(&env->vpmu_host.hw, p, &config);
    vpmu_commit(env);
}

/* Overflow */

/*
 * SDM volume 3, "Freezing LBR and Performance Counters on PMI": on interrupts of
 * counters and of both buffers in the DS area; streamlined from version 4 on,
 * legacy before.
 */
static void vpmu_freeze(CPUX86State *env)
{
    bool streamlined = env_archcpu(env)->vpmu.version >= 4;
    uint64_t debugctl = env->vpmu.debugctl;

    if (debugctl & VPMU_DEBUGCTL_FREEZE_PMI) {
        if (streamlined) {
            env->msr_global_status |= VPMU_STATUS_CTR_FRZ;
        } else {
            env->msr_global_ctrl = 0;
        }
    }
    if (debugctl & VPMU_DEBUGCTL_FREEZE_LBRS) {
        if (streamlined) {
            env->msr_global_status |= VPMU_STATUS_LBR_FRZ;
        } else {
            vpmu_stop_lbr(env);
        }
    }
    vpmu_update(env);
}

/*
 * Physical counters have overflowed, or BTS has reached its threshold, at the
 * instruction boundary that is reached now.  An overflow of a counter with PEBS
 * makes a record, and sets no bit in GLOBAL_STATUS.
 */
static void vpmu_overflow(CPUX86State *env, VPMUCounterMask overflowed)
{
    Handover *h = &env->vpmu_host.handover;
    VPMUCounterMask pebs = overflowed &
        handover_to_physical(h, vpmu_pebs_enabled(env));
    VPMUCounterMask vpmcs = handover_to_virtual(h, overflowed & ~pebs);
    bool interrupt = env->vpmu.bts_due;

    env->vpmu.bts_due = false;
    if (pebs && vpmu_pebs(env, pebs)) {
        interrupt = true;
    }
    if (interrupt) {
        env->msr_global_status |= VPMU_STATUS_OVF_BUF;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (vpmcs & VPMU_MASK_OF(v)) {
            trace_vpmu_overflow(env_cpu(env)->cpu_index, v, env->eip);
            if (vpmu_has_global(env_archcpu(env))) {
                env->msr_global_status |= vpmu_status_bit(v);
            }
            interrupt |= vpmu_interrupts(env, v);
        }
    }
    if (!interrupt) {
        return;
    }
    if (env->vpmu.debugctl & (VPMU_DEBUGCTL_FREEZE_PMI |
                              VPMU_DEBUGCTL_FREEZE_LBRS)) {
        vpmu_freeze(env);
    }
    h->stats.pmis++;
    vpmu_raise_pmi(env);
}

void vpmu_retry_record(CPUX86State *env)
{
    Handover *h = &env->vpmu_host.handover;
    VPMUCounterMask waiting = env->vpmu.waiting;
    VPMUCounterMask ppmcs;

    if (!waiting) {
        return;
    }
    vpmu_sync(env);
    env->vpmu.waiting = 0;
    env->vpmu_host.hw.note = env->vpmu.waiting_note;
    ppmcs = handover_to_physical(h, waiting);
    if (ppmcs) {
        vpmu_overflow(env, ppmcs);
    } else {
        /* The counters are starved by now. */
        h->stats.pebs_records_dropped++;
    }
    vpmu_commit(env);
}

bool vpmu_sync(CPUX86State *env)
{
    SoftPMU *pmu = &env->vpmu_host.hw;
    VPMUCounterMask overflowed;
    bool due;

    softpmu_fold(pmu);
    overflowed = pmu->overflowed;
    pmu->overflowed = 0;
    due = overflowed || env->vpmu.bts_due;
    if (due) {
        vpmu_overflow(env, overflowed);
    }
    return due;
}
