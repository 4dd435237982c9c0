/*
 * The virtual PMU that a guest sees: registers, reset, migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Intel architectural performance monitoring, SDM volume 3, "Performance
 * Monitoring".  Which pPMC a vPMC counts on is the hand-over core's business
 * (handover.h), how it counts the backend's (internal.h).
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/qapi-events-vpmu.h"
#include "hw/core/cpu.h"
#include "migration/vmstate.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "internal.h"
#include "pebs-record.h"
#include "trace.h"

/* Twice the time that the monitor holds events back. */
#define STARVED_QUIET_MS 2000

const VPMUBackend *vpmu_backend(void)
{
    return tcg_enabled() ? &vpmu_backend_tcg :
           kvm_enabled() ? &vpmu_backend_kvm : NULL;
}

uint32_t vpmu_model(const CPUX86State *env)
{
    uint32_t version = env->cpuid_version;

    return vpmu_event_model((version >> 8) & 0xf,
                            ((version >> 12) & 0xf0) | ((version >> 4) & 0xf));
}

/* What a counter counts */

static uint64_t fixed_ctrl(const VPMUState *s, unsigned v)
{
    return s->fixed_ctr_ctrl >> (4 * vpmu_index_of(v)) & 0xf;
}

SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event)
{
    const VPMUState *s = &env->vpmu;
    SoftPMUConfig config;
    uint64_t evtsel;

    if (v < VPMU_NR_GP) {
        evtsel = s->evtsel[v];
        *event = vpmu_event_find(evtsel & VPMU_EVTSEL_CODE, vpmu_model(env));
    } else {
        uint64_t ctrl = fixed_ctrl(s, v);

        evtsel = (ctrl & VPMU_FIXED_OS ? VPMU_EVTSEL_OS : 0) |
                 (ctrl & VPMU_FIXED_USR ? VPMU_EVTSEL_USR : 0) |
                 (ctrl & (VPMU_FIXED_OS | VPMU_FIXED_USR) ?
                  VPMU_EVTSEL_EN : 0);
        *event = vpmu_event_fixed(v);
    }
    config = vpmu_event_config(evtsel, *event);
    config.on = (evtsel & VPMU_EVTSEL_EN) &&
                (s->global_ctrl & vpmu_status_bit(v)) &&
                !(s->global_status & VPMU_STATUS_CTR_FRZ);
    config.precise = s->pebs_enable & vpmu_status_bit(v);
    if (*event && vpmu_event_code(*event) == VPMU_EVENT_LOAD_LATENCY &&
        s->pebs_ld_lat >= VPMU_LOAD_LATENCY) {
        config.add = 0;
    }
    return config;
}

static void note_unsupported(VPMUState *s, uint16_t code)
{
    for (int i = 0; i < VPMU_NR_UNSUPPORTED; i++) {
        if (!s->unsupported[i]) {
            s->unsupported[i] = code;
        }
        if (s->unsupported[i] == code) {
            return;
        }
    }
    /* Full: forget the oldest. */
    memmove(s->unsupported, s->unsupported + 1,
            sizeof(s->unsupported) - sizeof(s->unsupported[0]));
    s->unsupported[VPMU_NR_UNSUPPORTED - 1] = code;
}

/* Which pPMC counts for which vPMC */

VpmuCounterIdList *vpmu_counter_ids(VPMUCounterMask mask)
{
    VpmuCounterIdList *list = NULL;

    for (int i = VPMU_NR - 1; i >= 0; i--) {
        if (mask & VPMU_MASK_OF(i)) {
            VpmuCounterId *id = g_new0(VpmuCounterId, 1);

            id->type = vpmu_type_of(i);
            id->index = vpmu_index_of(i);
            QAPI_LIST_PREPEND(list, id);
        }
    }
    return list;
}

uint64_t vpmu_read(CPUX86State *env, unsigned v, uintptr_t retaddr)
{
    VPMUState *s = &env->vpmu;
    int p = s->handover.phys[v];

    return p == HANDOVER_NONE ? s->parked[v].value :
                                vpmu_backend()->read(env, p, retaddr);
}

/* In sync; commit afterwards. */
static void vpmu_write(CPUX86State *env, unsigned v, uint64_t value)
{
    VPMUState *s = &env->vpmu;
    int p = s->handover.phys[v];

    if (p == HANDOVER_NONE) {
        s->parked[v].value = value;
    } else {
        vpmu_backend()->write(env, p, value);
    }
}

static void save_counter(void *opaque, unsigned v, unsigned p)
{
    static const SoftPMUConfig off;
    CPUX86State *env = opaque;

    env->vpmu.parked[v] = vpmu_backend()->save(env, p);
    vpmu_backend()->config(env, p, &off);
}

static void load_counter(void *opaque, unsigned v, unsigned p)
{
    CPUX86State *env = opaque;

    vpmu_backend()->load(env, p, env->vpmu.parked[v]);
}

static void trace_change(CPUX86State *env, const HandoverChange *change)
{
    int cpu = env_cpu(env)->cpu_index;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        int from = change->from[v];
        int to = env->vpmu.handover.phys[v];

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

/*
 * The monitor drops all but the last event of a second.  So that no counter is
 * missed, an event has all that were starved since there was quiet.
 */
void vpmu_report_starved(CPUX86State *env, VPMUCounterMask vpmcs)
{
    CPUState *cs = env_cpu(env);
    VPMUState *s = &env->vpmu;
    g_autofree char *path = object_get_canonical_path(OBJECT(cs));
    int64_t now_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    VpmuCounterIdList *ids;
    BQL_LOCK_GUARD();

    if (now_ms - s->starved_ms > STARVED_QUIET_MS) {
        s->starved = 0;
    }
    s->starved |= vpmcs;
    s->starved_ms = now_ms;
    ids = vpmu_counter_ids(s->starved);
    qapi_event_send_vpmu_counter_starved(cs->cpu_index, path, ids);
    qapi_free_VpmuCounterIdList(ids);
}

/* What all vPMCs are set up to count.  Returns: those that are enabled. */
static VPMUCounterMask get_configs(CPUX86State *env,
                                   SoftPMUConfig configs[VPMU_NR])
{
    VPMUState *s = &env->vpmu;
    VPMUCounterMask enabled = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        const VPMUEvent *event;

        configs[v] = vpmu_counter_config(env, v, &event);
        if (!softpmu_counts_edges(&configs[v])) {
            /* As softpmu_config() does with one that is not parked. */
            s->parked[v].high = false;
        }
        if (!configs[v].on) {
            continue;
        }
        enabled |= VPMU_MASK_OF(v);
        if (v < VPMU_NR_GP && (!event || !event->add)) {
            note_unsupported(s, s->evtsel[v]);
        }
    }
    return enabled;
}

/* The map has changed: move values, tell the backend all configurations. */
static void apply(CPUX86State *env, const HandoverChange *change,
                  const SoftPMUConfig configs[VPMU_NR])
{
    const VPMUBackend *backend = vpmu_backend();
    const Handover *h = &env->vpmu.handover;

    trace_change(env, change);
    handover_apply(h, change, save_counter, load_counter, env);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (h->phys[v] != HANDOVER_NONE) {
            backend->config(env, h->phys[v], &configs[v]);
        }
    }
    backend->commit(env);
    if (change->starved) {
        vpmu_report_starved(env, change->starved);
    }
}

static int64_t now(void)
{
    return qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL);
}

/* How often the map has changed. */
static uint64_t changes(const HandoverStats *stats)
{
    return stats->hand_overs + stats->lazy_releases + stats->moves +
           stats->evictions;
}

/*
 * The guest's registers have changed; the backend is in sync.
 * Returns: which pPMC counts for which vPMC has changed, too.
 */
static bool vpmu_update(CPUX86State *env)
{
    Handover *h = &env->vpmu.handover;
    uint64_t before = changes(&h->stats);
    SoftPMUConfig configs[VPMU_NR];
    HandoverChange change;

    handover_enable(h, get_configs(env, configs), now(), &change);
    apply(env, &change, configs);
    return changes(&h->stats) != before;
}

void vpmu_refresh(CPUX86State *env)
{
    vpmu_backend()->sync(env);
    if (env_archcpu(env)->vpmu.software) {
        vpmu_update(env);
    }
}

VPMUCounterMask vpmu_would_starve(CPUX86State *env, VPMUCounterMask reserved)
{
    Handover trial = env->vpmu.handover;
    HandoverChange change;

    return handover_reserve(&trial, reserved, true, now(), &change);
}

VPMUCounterMask vpmu_reserve(CPUX86State *env, VPMUCounterMask reserved,
                             bool force)
{
    static const SoftPMUConfig off;
    const VPMUBackend *backend = vpmu_backend();
    VPMUState *s = &env->vpmu;
    VPMUCounterMask before = s->handover.reserved;
    VPMUCounterMask starved;
    SoftPMUConfig configs[VPMU_NR];
    HandoverChange change;

    backend->sync(env);
    starved = handover_reserve(&s->handover, reserved, force, now(), &change);
    if (starved && !force) {
        return starved;
    }
    trace_vpmu_reserve(env_cpu(env)->cpu_index, reserved, starved);
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (before & ~reserved & VPMU_MASK_OF(p)) {
            s->host_event[p] = NULL;
            backend->config(env, p, &off);
        }
    }
    get_configs(env, configs);
    apply(env, &change, configs);
    return starved;
}

void vpmu_host_count(CPUX86State *env, unsigned p, const VPMUEvent *event,
                     uint8_t rings)
{
    const VPMUBackend *backend = vpmu_backend();
    SoftPMUConfig config = vpmu_event_config(0, event);

    config.rings = rings;
    config.on = event;
    backend->sync(env);
    env->vpmu.host_event[p] = event;
    backend->write(env, p, 0);
    backend->config(env, p, &config);
    backend->commit(env);
}

void vpmu_plug(X86CPU *cpu, X86CPU *first)
{
    VPMUState *mine = &cpu->env.vpmu;
    const VPMUState *theirs = &first->env.vpmu;

    if (!cpu->vpmu.policy) {
        return;
    }
    mine->handover.reserved = theirs->handover.reserved;
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (theirs->host_event[p]) {
            vpmu_host_count(&cpu->env, p, theirs->host_event[p],
                            theirs->hw.config[p].rings);
        }
    }
}

/* The pPMCs whose overflow makes a record, and no bit in GLOBAL_STATUS. */
static VPMUCounterMask ppmcs_with_pebs(const VPMUState *s)
{
    return handover_to_physical(&s->handover,
                                vpmu_mask_from_reg(s->pebs_enable));
}

void vpmu_overflow(CPUX86State *env, VPMUCounterMask overflowed)
{
    VPMUState *s = &env->vpmu;
    X86CPU *cpu = env_archcpu(env);
    VPMUCounterMask pebs = ppmcs_with_pebs(s) & overflowed;
    VPMUCounterMask vpmcs = handover_to_virtual(&s->handover,
                                                overflowed & ~pebs);
    bool interrupt = false;

    if (pebs && vpmu_pebs(env, pebs)) {
        s->global_status |= VPMU_STATUS_OVF_BUF;
        interrupt = true;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (!(vpmcs & VPMU_MASK_OF(v))) {
            continue;
        }
        trace_vpmu_overflow(CPU(cpu)->cpu_index, v, env->eip);
        s->global_status |= vpmu_status_bit(v);
        interrupt |= v < VPMU_NR_GP ? s->evtsel[v] & VPMU_EVTSEL_INT :
                                      fixed_ctrl(s, v) & VPMU_FIXED_PMI;
    }
    if (!interrupt) {
        return;
    }
    if (s->debugctl & VPMU_DEBUGCTL_FREEZE_PMI) {
        /*
         * SDM volume 3, "Freezing LBR and Performance Counters on PMI":
         * streamlined from version 4 on, legacy before.
         */
        if (cpu->vpmu.version >= 4) {
            s->global_status |= VPMU_STATUS_CTR_FRZ;
        } else {
            s->global_ctrl = 0;
        }
        vpmu_update(env);
    }
    s->handover.stats.pmis++;
    vpmu_backend()->interrupt(env);
}

/* Registers */

static uint64_t counters_mask(const X86CPU *cpu)
{
    return vpmu_mask_to_reg(cpu->vpmu.vpmcs);
}

/* The bits of GLOBAL_STATUS that its reset and set registers may name. */
static uint64_t status_mask(const X86CPU *cpu)
{
    uint64_t mask = counters_mask(cpu) | VPMU_STATUS_OVF_BUF |
                    VPMU_STATUS_COND_CHGD;

    if (cpu->vpmu.version >= 4) {
        mask |= VPMU_STATUS_LBR_FRZ | VPMU_STATUS_CTR_FRZ;
    }
    return mask;
}

static bool has_pebs(const X86CPU *cpu)
{
    return cpu->vpmu.pebs == ON_OFF_AUTO_ON;
}

static bool has_baseline(const X86CPU *cpu)
{
    return has_pebs(cpu) && cpu->vpmu.pebs_baseline == ON_OFF_AUTO_ON;
}

/* The bits of PEBS_ENABLE: fixed counters have it with baseline only. */
static uint64_t pebs_mask(const X86CPU *cpu)
{
    return counters_mask(cpu) &
           (has_baseline(cpu) ? UINT64_MAX : vpmu_mask_to_reg(VPMU_MASK_GP));
}

static uint64_t misc_enable(const X86CPU *cpu)
{
    return VPMU_MISC_EMON | VPMU_MISC_BTS_UNAVAIL |
           (has_pebs(cpu) ? 0 : VPMU_MISC_PEBS_UNAVAIL);
}

static bool is_canonical(const CPUX86State *env, uint64_t address)
{
    int shift = env->cr[4] & CR4_LA57_MASK ? 7 : 16;

    return (int64_t)(address << shift) >> shift == address;
}

/* A register of PEBS, or NULL.  @valid: the bits that may be set */
static uint64_t *pebs_register(CPUX86State *env, uint32_t msr,
                               uint64_t *valid)
{
    X86CPU *cpu = env_archcpu(env);
    VPMUState *s = &env->vpmu;

    if (!has_pebs(cpu)) {
        return NULL;
    }
    switch (msr) {
    case MSR_IA32_DS_AREA:
        *valid = UINT64_MAX;
        return &s->ds_area;
    case MSR_IA32_PEBS_ENABLE:
        *valid = pebs_mask(cpu);
        return &s->pebs_enable;
    case MSR_PEBS_DATA_CFG:
        *valid = PEBS_CFG_MASK;
        return has_baseline(cpu) ? &s->pebs_data_cfg : NULL;
    case MSR_PEBS_LD_LAT:
        *valid = VPMU_LD_LAT_THRESHOLD;
        return &s->pebs_ld_lat;
    default:
        return NULL;
    }
}

static uint64_t evtsel_reserved(const X86CPU *cpu)
{
    uint64_t reserved = ~UINT64_C(0xffffffff);

    /* AnyThread: from version 3 on, deprecated in version 5. */
    if (cpu->vpmu.version < 3 || cpu->vpmu.version >= 5) {
        reserved |= VPMU_EVTSEL_ANY;
    }
    if (has_baseline(cpu)) {
        reserved &= ~VPMU_EVTSEL_ADAPTIVE;
    }
    return reserved;
}

static uint64_t fixed_ctrl_reserved(const X86CPU *cpu)
{
    uint64_t valid = VPMU_FIXED_OS | VPMU_FIXED_USR | VPMU_FIXED_PMI;
    uint64_t mask = 0;

    if (cpu->vpmu.version >= 3 && cpu->vpmu.version < 5) {
        valid |= VPMU_FIXED_ANY;
    }
    for (unsigned j = 0; j < VPMU_NR_FIXED; j++) {
        if (vpmu_exists(cpu, VPMU_FIXED(j))) {
            mask |= valid << (4 * j);
            mask |= has_baseline(cpu) ? VPMU_FIXED_ADAPTIVE(j) : 0;
        }
    }
    return ~mask;
}

static uint64_t inuse(const VPMUState *s)
{
    uint64_t mask = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (v < VPMU_NR_GP) {
            mask |= s->evtsel[v] & 0xff ? vpmu_status_bit(v) : 0;
            mask |= s->evtsel[v] & VPMU_EVTSEL_INT ? VPMU_INUSE_PMI : 0;
        } else {
            uint64_t ctrl = fixed_ctrl(s, v);

            mask |= ctrl & (VPMU_FIXED_OS | VPMU_FIXED_USR) ?
                    vpmu_status_bit(v) : 0;
            mask |= ctrl & VPMU_FIXED_PMI ? VPMU_INUSE_PMI : 0;
        }
    }
    return mask;
}

/*
 * Which counter's value or event select @msr is, if it is one's.  @base: of
 * the range; the range holds the most counters there may ever be, those that
 * this CPU lacks included.
 */
static bool in_range(uint32_t msr, uint32_t base, unsigned nr, unsigned *index)
{
    *index = msr - base;
    return *index < nr;
}

static bool has_full_width(const X86CPU *cpu)
{
    return cpu->env.features[FEAT_PERF_CAPABILITIES] & VPMU_CAP_FW_WRITE;
}

/*
 * The counter whose value @msr is.  @legacy: writes are sign-extended from
 * 32 bits.  A counter that does not exist is VPMU_NR.
 */
static bool is_counter(const X86CPU *cpu, uint32_t msr, unsigned *v,
                       bool *legacy)
{
    unsigned i;

    *legacy = false;
    if (in_range(msr, MSR_CORE_PERF_FIXED_CTR0, 4, &i)) {
        *v = vpmu_exists(cpu, VPMU_FIXED(i)) ? VPMU_FIXED(i) : VPMU_NR;
    } else if (in_range(msr, MSR_P6_PERFCTR0, VPMU_NR_GP, &i)) {
        *v = vpmu_exists(cpu, i) ? i : VPMU_NR;
        *legacy = true;
    } else if (in_range(msr, MSR_IA32_PMC0, VPMU_NR_GP, &i)) {
        *v = vpmu_exists(cpu, i) && has_full_width(cpu) ? i : VPMU_NR;
    } else {
        return false;
    }
    return true;
}

VPMUAccess vpmu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value,
                      uintptr_t retaddr)
{
    X86CPU *cpu = env_archcpu(env);
    const VPMUState *s = &env->vpmu;
    uint64_t *reg, valid;
    bool legacy;
    unsigned v;

    if (is_counter(cpu, msr, &v, &legacy)) {
        if (v == VPMU_NR) {
            return VPMU_FAULT;
        }
        *value = vpmu_read(env, v, retaddr);
        return VPMU_DONE;
    }
    if (in_range(msr, MSR_P6_EVNTSEL0, VPMU_NR_GP, &v)) {
        if (!vpmu_exists(cpu, v)) {
            return VPMU_FAULT;
        }
        *value = s->evtsel[v];
        return VPMU_DONE;
    }
    reg = pebs_register(env, msr, &valid);
    if (reg) {
        *value = *reg;
        return VPMU_DONE;
    }
    switch (msr) {
    case MSR_CORE_PERF_FIXED_CTR_CTRL:
        *value = s->fixed_ctr_ctrl;
        return VPMU_DONE;
    case MSR_CORE_PERF_GLOBAL_STATUS:
        *value = s->global_status;
        return VPMU_DONE;
    case MSR_CORE_PERF_GLOBAL_CTRL:
        *value = s->global_ctrl;
        return VPMU_DONE;
    case MSR_CORE_PERF_GLOBAL_OVF_CTRL:
        *value = 0;
        return VPMU_DONE;
    case MSR_IA32_PERF_GLOBAL_STATUS_SET:
        *value = 0;
        return cpu->vpmu.version >= 4 ? VPMU_DONE : VPMU_FAULT;
    case MSR_IA32_PERF_GLOBAL_INUSE:
        *value = inuse(s);
        return cpu->vpmu.version >= 4 ? VPMU_DONE : VPMU_FAULT;
    case MSR_IA32_PERF_CAPABILITIES:
        *value = env->features[FEAT_PERF_CAPABILITIES];
        return env->features[FEAT_1_ECX] & CPUID_EXT_PDCM ? VPMU_DONE :
                                                            VPMU_FAULT;
    case MSR_IA32_DEBUGCTL:
        *value = s->debugctl;
        return VPMU_DONE;
    default:
        return VPMU_NOT_MINE;
    }
}

/* The guest has written a control register; the backend was in sync. */
static VPMUAccess control_written(CPUX86State *env)
{
    HandoverStats *stats = &env->vpmu.handover.stats;

    if (vpmu_update(env)) {
        stats->control_writes_reprogrammed++;
    } else {
        stats->control_writes_direct++;
    }
    return VPMU_DONE;
}

VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value)
{
    X86CPU *cpu = env_archcpu(env);
    const VPMUBackend *backend = vpmu_backend();
    VPMUState *s = &env->vpmu;
    uint64_t *reg, valid;
    bool legacy;
    unsigned v;

    if (is_counter(cpu, msr, &v, &legacy)) {
        if (legacy) {
            value = (int32_t)value & SOFTPMU_VALUE_MASK;
        }
        if (v == VPMU_NR || (value & ~SOFTPMU_VALUE_MASK)) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        vpmu_write(env, v, value);
        backend->commit(env);
        return VPMU_DONE;
    }
    if (in_range(msr, MSR_P6_EVNTSEL0, VPMU_NR_GP, &v)) {
        if (!vpmu_exists(cpu, v) || (value & evtsel_reserved(cpu))) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->evtsel[v] = value;
        return control_written(env);
    }
    reg = pebs_register(env, msr, &valid);
    if (reg) {
        if ((value & ~valid) ||
            (msr == MSR_IA32_DS_AREA && !is_canonical(env, value))) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        *reg = value;
        vpmu_update(env);
        return VPMU_DONE;
    }
    switch (msr) {
    case MSR_CORE_PERF_FIXED_CTR_CTRL:
        if (value & fixed_ctrl_reserved(cpu)) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->fixed_ctr_ctrl = value;
        return control_written(env);
    case MSR_CORE_PERF_GLOBAL_CTRL:
        if (value & ~counters_mask(cpu)) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->global_ctrl = value;
        return control_written(env);
    case MSR_CORE_PERF_GLOBAL_OVF_CTRL: /* GLOBAL_STATUS_RESET from v4 on */
        if (value & ~status_mask(cpu)) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->global_status &= ~value;
        break;
    case MSR_IA32_PERF_GLOBAL_STATUS_SET:
        if (cpu->vpmu.version < 4 ||
            (value & ~(status_mask(cpu) & ~VPMU_STATUS_COND_CHGD))) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->global_status |= value;
        break;
    case MSR_CORE_PERF_GLOBAL_STATUS:
    case MSR_IA32_PERF_GLOBAL_INUSE:
    case MSR_IA32_PERF_CAPABILITIES:
        return VPMU_FAULT;
    case MSR_IA32_DEBUGCTL:
        if (value & ~(VPMU_DEBUGCTL_FREEZE_PMI | VPMU_DEBUGCTL_IGNORED)) {
            return VPMU_FAULT;
        }
        s->debugctl = value & VPMU_DEBUGCTL_FREEZE_PMI;
        return VPMU_DONE;
    case MSR_IA32_MISC_ENABLE:
        env->msr_ia32_misc_enable =
            (value & ~VPMU_MISC_READ_ONLY) |
            (env->msr_ia32_misc_enable & VPMU_MISC_READ_ONLY);
        return VPMU_DONE;
    default:
        return VPMU_NOT_MINE;
    }
    vpmu_update(env);
    return VPMU_DONE;
}

VPMUAccess vpmu_rdpmc(CPUX86State *env, uint32_t index, uint64_t *value,
                      uintptr_t retaddr)
{
    unsigned v = index & ~(VPMU_RDPMC_FAST | VPMU_RDPMC_FIXED);

    if (v >= VPMU_NR_GP) {
        return VPMU_FAULT;
    }
    if (index & VPMU_RDPMC_FIXED) {
        v = VPMU_FIXED(v);
    }
    if (!vpmu_exists(env_archcpu(env), v)) {
        return VPMU_FAULT;
    }
    *value = vpmu_read(env, v, retaddr);
    if (index & VPMU_RDPMC_FAST) {
        *value = (uint32_t)*value;
    }
    return VPMU_DONE;
}

/* Reset and migration */

void vpmu_before_reset(X86CPU *cpu)
{
    if (cpu->vpmu.software) {
        vpmu_backend()->sync(&cpu->env);
        cpu->vpmu.kept = g_memdup2(&cpu->env.vpmu, sizeof(VPMUState));
    }
}

void vpmu_reset(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    g_autofree VPMUState *kept = g_steal_pointer(&cpu->vpmu.kept);

    if (cpu->vpmu.software || cpu->vpmu.policy) {
        env->msr_ia32_misc_enable |= misc_enable(cpu);
    }
    if (!cpu->vpmu.software) {
        return;
    }
    env->vpmu.hw = kept->hw;
    env->vpmu.handover = kept->handover;
    memcpy(env->vpmu.host_event, kept->host_event, sizeof(kept->host_event));
    env->vpmu.starved = kept->starved;
    env->vpmu.starved_ms = kept->starved_ms;

    /* SDM volume 3: the general-purpose counters' bits are set. */
    env->vpmu.global_ctrl = cpu->vpmu.vpmcs & VPMU_MASK_GP;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        vpmu_write(env, v, 0);
    }
    vpmu_update(env);
}

static bool vpmu_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->vpmu.software;
}

/* PEBS as PERF_CAPABILITIES has it, whatever the user has masked there. */
static uint64_t pebs_config(X86CPU *cpu)
{
    return vpmu_supported_features(cpu, FEAT_PERF_CAPABILITIES) &
           (VPMU_CAP_PEBS_FORMAT | VPMU_CAP_PEBS_BASELINE);
}

static int vpmu_pre_save(void *opaque)
{
    X86CPU *cpu = opaque;
    VPMUState *s = &cpu->env.vpmu;

    s->saved_version = cpu->vpmu.version;
    s->saved_capabilities = pebs_config(cpu);
    s->saved_vpmcs = cpu->vpmu.vpmcs;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p = s->handover.phys[v];
        SoftPMUCounter counter = p == HANDOVER_NONE ? s->parked[v] :
                                 vpmu_backend()->save(&cpu->env, p);

        s->saved_value[v] = counter.value;
        s->saved_high[v] = counter.high;
    }
    return 0;
}

/* What a guest sees of a PMU, for the reader of an error. */
static char *describe(unsigned version, VPMUCounterMask vpmcs,
                      uint64_t pebs)
{
    return g_strdup_printf("version %u, %u general-purpose counters, fixed "
                           "ones of mask 0x%x, PEBS 0x%" PRIx64,
                           version, ctpop16(vpmcs & VPMU_MASK_GP),
                           vpmcs >> VPMU_NR_GP, pebs);
}

/* Does the guest see on this side what it saw?  @version: 0 for no PMU */
static bool is_same(const VPMUState *s, unsigned version,
                    VPMUCounterMask vpmcs, uint64_t pebs)
{
    g_autofree char *theirs = describe(s->saved_version, s->saved_vpmcs,
                                       s->saved_capabilities);
    g_autofree char *ours = describe(version, vpmcs, pebs);

    if (s->saved_version == version && s->saved_vpmcs == vpmcs &&
        s->saved_capabilities == pebs) {
        return true;
    }
    error_report("vpmu: the source's guest sees a PMU with %s; on this side "
                 "it would see %s: start it with the source's properties",
                 theirs, version ? ours : "none");
    return false;
}

static int vpmu_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    VPMUState *s = &cpu->env.vpmu;

    if (!is_same(s, cpu->vpmu.software ? cpu->vpmu.version : 0,
                 cpu->vpmu.vpmcs, pebs_config(cpu))) {
        return -EINVAL;
    }
    if ((s->global_ctrl & ~counters_mask(cpu)) ||
        (s->fixed_ctr_ctrl & fixed_ctrl_reserved(cpu)) ||
        (s->global_status & ~status_mask(cpu)) ||
        (s->pebs_enable & ~pebs_mask(cpu)) ||
        (s->pebs_data_cfg & ~PEBS_CFG_MASK)) {
        error_report("vpmu: the migration stream has reserved bits in the "
                     "PMU's registers: it is damaged");
        return -EINVAL;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p = s->handover.phys[v];

        s->parked[v] = (SoftPMUCounter) {
            .value = s->saved_value[v] & SOFTPMU_VALUE_MASK,
            .high = s->saved_high[v],
        };
        if (p != HANDOVER_NONE) {
            load_counter(&cpu->env, v, p);
        }
    }
    vpmu_update(&cpu->env);
    return 0;
}

const VMStateDescription vmstate_vpmu = {
    .name = "cpu/vpmu",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_needed,
    .pre_save = vpmu_pre_save,
    .post_load = vpmu_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(env.vpmu.saved_version, X86CPU),
        VMSTATE_UINT16(env.vpmu.saved_vpmcs, X86CPU),
        VMSTATE_UINT64(env.vpmu.saved_capabilities, X86CPU),
        VMSTATE_UINT64_ARRAY(env.vpmu.saved_value, X86CPU, VPMU_NR),
        VMSTATE_BOOL_ARRAY(env.vpmu.saved_high, X86CPU, VPMU_NR),
        VMSTATE_UINT64_ARRAY(env.vpmu.evtsel, X86CPU, VPMU_NR_GP),
        VMSTATE_UINT64(env.vpmu.fixed_ctr_ctrl, X86CPU),
        VMSTATE_UINT64(env.vpmu.global_ctrl, X86CPU),
        VMSTATE_UINT64(env.vpmu.global_status, X86CPU),
        VMSTATE_UINT64(env.vpmu.debugctl, X86CPU),
        VMSTATE_UINT64(env.vpmu.ds_area, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_enable, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_data_cfg, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_ld_lat, X86CPU),
        VMSTATE_UINT16_ARRAY(env.vpmu.unsupported, X86CPU,
                             VPMU_NR_UNSUPPORTED),
        VMSTATE_END_OF_LIST()
    }
};

VPMUCounterMask vpmu_kernel_vpmcs(X86CPU *cpu, uint8_t *version,
                                  uint8_t *width)
{
    uint32_t eax, ebx, ecx, edx;

    cpu_x86_cpuid(&cpu->env, 0xa, 0, &eax, &ebx, &ecx, &edx);
    *version = eax & 0xff;
    *width = eax >> 16 & 0xff;
    return ((1u << MIN(eax >> 8 & 0xff, VPMU_NR_GP)) - 1) |
           ((1u << MIN(edx & 0x1f, VPMU_NR_FIXED)) - 1) << VPMU_NR_GP;
}

/* Of a kernel's PMU: what QEMU's own subsections do not have. */
static bool vpmu_kvm_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    const VPMUState *s = &cpu->env.vpmu;

    return !cpu->vpmu.software &&
           (cpu->vpmu.policy || s->ds_area || s->pebs_enable ||
            s->pebs_data_cfg);
}

static int vpmu_kvm_pre_save(void *opaque)
{
    X86CPU *cpu = opaque;
    VPMUState *s = &cpu->env.vpmu;
    uint8_t width;

    s->saved_vpmcs = vpmu_kernel_vpmcs(cpu, &s->saved_version, &width);
    s->saved_capabilities = vpmu_kernel_pebs(cpu);
    return 0;
}

static int vpmu_kvm_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    uint8_t version, width;
    VPMUCounterMask vpmcs = vpmu_kernel_vpmcs(cpu, &version, &width);

    return is_same(&cpu->env.vpmu, version, vpmcs, vpmu_kernel_pebs(cpu)) ?
           0 : -EINVAL;
}

const VMStateDescription vmstate_vpmu_kvm = {
    .name = "cpu/vpmu-kvm",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_kvm_needed,
    .pre_save = vpmu_kvm_pre_save,
    .post_load = vpmu_kvm_post_load,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(env.vpmu.saved_version, X86CPU),
        VMSTATE_UINT16(env.vpmu.saved_vpmcs, X86CPU),
        VMSTATE_UINT64(env.vpmu.saved_capabilities, X86CPU),
        VMSTATE_UINT64(env.vpmu.ds_area, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_enable, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_data_cfg, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};
