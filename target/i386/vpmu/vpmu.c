/*
 * The virtual PMU that a guest sees: registers, CPUID, reset, migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Intel architectural performance monitoring, SDM volume 3, "Performance
 * Monitoring".  What counts is the backend's business, see internal.h.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "internal.h"
#include "trace.h"

#define VPMU_VERSION_MIN        2
#define VPMU_VERSION_MAX        5

const VPMUBackend *vpmu_backend(void)
{
    return tcg_enabled() ? &vpmu_backend_tcg :
           kvm_enabled() ? &vpmu_backend_kvm : NULL;
}

/* Configuration */

static void prop_pmu_get(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    qdev_prop_bool.get(obj, v, name, opaque, errp);
}

static void prop_pmu_set(Object *obj, Visitor *v, const char *name,
                         void *opaque, Error **errp)
{
    qdev_prop_bool.set(obj, v, name, opaque, errp);
    X86_CPU(obj)->vpmu.pmu_set = true;
}

static void prop_pmu_set_default(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_bool(op, prop->defval.u);
}

/* A boolean that remembers that it was set, see VPMUConfig. */
const PropertyInfo vpmu_prop_pmu = {
    .type = "bool",
    .description = "on/off",
    .get = prop_pmu_get,
    .set = prop_pmu_set,
    .set_default_value = prop_pmu_set_default,
};

/*
 * CPU models that switch pmu on by themselves (max) must stay as they are,
 * so only what the user says counts.
 */
static bool vpmu_wanted(const X86CPU *cpu)
{
    return tcg_enabled() && cpu->enable_pmu && cpu->vpmu.pmu_set &&
           IS_INTEL_CPU(&cpu->env);
}

uint64_t vpmu_supported_features(X86CPU *cpu, int word)
{
    if (cpu && !vpmu_wanted(cpu)) {
        return 0;
    }
    return word == FEAT_1_ECX ? CPUID_EXT_PDCM :
           word == FEAT_PERF_CAPABILITIES ? VPMU_CAP_FW_WRITE : 0;
}

bool vpmu_expand_features(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    VPMUConfig *vpmu = &cpu->vpmu;
    static const int words[] = { FEAT_1_ECX, FEAT_PERF_CAPABILITIES };

    if (vpmu->version &&
        (vpmu->version < VPMU_VERSION_MIN ||
         vpmu->version > VPMU_VERSION_MAX)) {
        error_setg(errp, "pmu-version=%u is out of range: use %u to %u",
                   vpmu->version, VPMU_VERSION_MIN, VPMU_VERSION_MAX);
        return false;
    }
    if (vpmu->nr_gp > VPMU_NR_GP) {
        error_setg(errp, "pmu-gp-counters=%u is out of range: use 1 to %u",
                   vpmu->nr_gp, VPMU_NR_GP);
        return false;
    }
    if ((vpmu->version || vpmu->nr_gp) && !vpmu_wanted(cpu)) {
        const char *what = vpmu->version ? "pmu-version" : "pmu-gp-counters";

        if (!tcg_enabled()) {
            error_setg(errp, "%s needs the software PMU, which is TCG's: "
                       "add -accel tcg or remove %s", what, what);
        } else if (!IS_INTEL_CPU(env)) {
            error_setg(errp, "%s needs a CPU model with vendor GenuineIntel, "
                       "for example Icelake-Server-v6", what);
        } else {
            error_setg(errp, "%s needs a PMU: add pmu=on or remove %s", what,
                       what);
        }
        return false;
    }
    if (!vpmu_wanted(cpu)) {
        if (tcg_enabled() && cpu->enable_pmu && vpmu->pmu_set) {
            warn_report_once("pmu=on has no effect: the software PMU needs a "
                             "CPU model with vendor GenuineIntel, for example "
                             "Icelake-Server-v6");
        }
        return true;
    }

    if (!vpmu->version) {
        vpmu->version = VPMU_VERSION_MAX;
    }
    if (!vpmu->nr_gp) {
        vpmu->nr_gp = VPMU_NR_GP;
    }
    for (int i = 0; i < ARRAY_SIZE(words); i++) {
        env->features[words[i]] |= vpmu_supported_features(cpu, words[i]) &
                                   ~env->user_features[words[i]];
    }
    env->cpuid_min_level = MAX(env->cpuid_min_level, 0xa);
    return true;
}

bool vpmu_realize(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;

    cpu->vpmu.software = vpmu_wanted(cpu);
    if (first_cpu && CPU(cpu) != first_cpu) {
        const VPMUConfig *mine = &cpu->vpmu;
        const VPMUConfig *first = &X86_CPU(first_cpu)->vpmu;

        if (mine->software != first->software ||
            mine->version != first->version || mine->nr_gp != first->nr_gp) {
            error_setg(errp, "all CPUs of a machine have the same PMU: "
                       "this one has pmu-version=%u,pmu-gp-counters=%u, "
                       "CPU 0 has pmu-version=%u,pmu-gp-counters=%u; give "
                       "the PMU's properties in -cpu",
                       mine->version, mine->nr_gp, first->version,
                       first->nr_gp);
            return false;
        }
    }
    if (tcg_enabled() && !cpu->vpmu.software) {
        if (env->features[FEAT_1_ECX] & CPUID_EXT_PDCM) {
            warn_report_once("TCG has pdcm only with pmu=on and a CPU model "
                             "with vendor GenuineIntel");
        }
        env->features[FEAT_1_ECX] &= ~CPUID_EXT_PDCM;
        env->features[FEAT_PERF_CAPABILITIES] = 0;
    }
    return true;
}

bool vpmu_exists(const X86CPU *cpu, unsigned v)
{
    return v < VPMU_NR_GP ? v < cpu->vpmu.nr_gp : v < VPMU_NR;
}

uint32_t vpmu_model(const CPUX86State *env)
{
    uint32_t version = env->cpuid_version;

    return vpmu_event_model((version >> 8) & 0xf,
                            ((version >> 12) & 0xf0) | ((version >> 4) & 0xf));
}

void vpmu_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                uint32_t *edx)
{
    const VPMUConfig *vpmu = &cpu->vpmu;

    if (!vpmu->software) {
        return;
    }
    *eax = vpmu->version | vpmu->nr_gp << 8 | SOFTPMU_WIDTH << 16 |
           VPMU_NR_ARCH_EVENTS << 24;
    *ebx = vpmu_event_unavailable();
    *ecx = vpmu->version >= 5 ? (1 << VPMU_NR_FIXED) - 1 : 0;
    *edx = VPMU_NR_FIXED | SOFTPMU_WIDTH << 5;
    if (vpmu->version >= 5) {
        *edx |= 1 << 15; /* AnyThread is gone */
    }
}

/* What a counter counts */

static uint64_t fixed_ctrl(const VPMUState *s, unsigned v)
{
    return s->fixed_ctr_ctrl >> (4 * (v - VPMU_NR_GP)) & 0xf;
}

SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event)
{
    /* Instructions, core cycles, reference cycles. */
    static const uint16_t fixed_code[VPMU_NR_FIXED] = { 0xc0, 0x3c, 0x300 };
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
        *event = vpmu_event_find(fixed_code[v - VPMU_NR_GP],
                                 VPMU_MODEL_FIXED);
    }
    config = vpmu_event_config(evtsel, *event);
    config.on = (evtsel & VPMU_EVTSEL_EN) &&
                (s->global_ctrl & vpmu_status_bit(v)) &&
                !(s->global_status & VPMU_STATUS_CTR_FRZ);
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

/* Tell the backend all counters' configuration; it is in sync. */
static void vpmu_update(CPUX86State *env)
{
    const VPMUBackend *backend = vpmu_backend();

    for (unsigned v = 0; v < VPMU_NR; v++) {
        const VPMUEvent *event;
        SoftPMUConfig config = vpmu_counter_config(env, v, &event);

        if (v < VPMU_NR_GP && config.on && (!event || !event->add)) {
            note_unsupported(&env->vpmu, env->vpmu.evtsel[v]);
        }
        backend->config(env, v, &config);
    }
    backend->commit(env);
}

void vpmu_overflow(CPUX86State *env, uint16_t overflowed)
{
    VPMUState *s = &env->vpmu;
    X86CPU *cpu = env_archcpu(env);
    bool interrupt = false;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (!(overflowed & (1u << v))) {
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
    vpmu_backend()->interrupt(env);
}

/* Registers */

static uint64_t counters_mask(const X86CPU *cpu)
{
    uint64_t mask = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        mask |= vpmu_exists(cpu, v) ? vpmu_status_bit(v) : 0;
    }
    return mask;
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

static uint64_t evtsel_reserved(const X86CPU *cpu)
{
    uint64_t reserved = ~UINT64_C(0xffffffff);

    /* AnyThread: from version 3 on, deprecated in version 5. */
    if (cpu->vpmu.version < 3 || cpu->vpmu.version >= 5) {
        reserved |= VPMU_EVTSEL_ANY;
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
        mask |= valid << (4 * j);
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
        *v = i < VPMU_NR_FIXED ? VPMU_FIXED(i) : VPMU_NR;
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
    bool legacy;
    unsigned v;

    if (is_counter(cpu, msr, &v, &legacy)) {
        if (v == VPMU_NR) {
            return VPMU_FAULT;
        }
        *value = vpmu_backend()->read(env, v, retaddr);
        return VPMU_DONE;
    }
    if (in_range(msr, MSR_P6_EVNTSEL0, VPMU_NR_GP, &v)) {
        if (!vpmu_exists(cpu, v)) {
            return VPMU_FAULT;
        }
        *value = s->evtsel[v];
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

VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value)
{
    X86CPU *cpu = env_archcpu(env);
    const VPMUBackend *backend = vpmu_backend();
    VPMUState *s = &env->vpmu;
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
        backend->write(env, v, value);
        backend->commit(env);
        return VPMU_DONE;
    }
    if (in_range(msr, MSR_P6_EVNTSEL0, VPMU_NR_GP, &v)) {
        if (!vpmu_exists(cpu, v) || (value & evtsel_reserved(cpu))) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->evtsel[v] = value;
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
        break;
    case MSR_CORE_PERF_GLOBAL_CTRL:
        if (value & ~counters_mask(cpu)) {
            return VPMU_FAULT;
        }
        backend->sync(env);
        s->global_ctrl = value;
        break;
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

    if (index & VPMU_RDPMC_FIXED) {
        v = v < VPMU_NR_FIXED ? VPMU_FIXED(v) : VPMU_NR;
    } else if (v >= VPMU_NR_GP) {
        v = VPMU_NR;
    }
    if (v == VPMU_NR || !vpmu_exists(env_archcpu(env), v)) {
        return VPMU_FAULT;
    }
    *value = vpmu_backend()->read(env, v, retaddr);
    if (index & VPMU_RDPMC_FAST) {
        *value = (uint32_t)*value;
    }
    return VPMU_DONE;
}

/* Reset and migration */

void vpmu_reset(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    if (!cpu->vpmu.software) {
        return;
    }
    /* SDM volume 3: the general-purpose counters' bits are set. */
    env->vpmu.global_ctrl = (1u << cpu->vpmu.nr_gp) - 1;
    env->msr_ia32_misc_enable |= VPMU_MISC_READ_ONLY;
    vpmu_update(env);
}

static bool vpmu_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->vpmu.software;
}

static int vpmu_pre_save(void *opaque)
{
    X86CPU *cpu = opaque;
    VPMUState *s = &cpu->env.vpmu;

    s->saved_version = cpu->vpmu.version;
    s->saved_nr_gp = cpu->vpmu.nr_gp;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        s->saved_value[v] = vpmu_backend()->read(&cpu->env, v, 0);
    }
    return 0;
}

static int vpmu_post_load(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    VPMUState *s = &cpu->env.vpmu;

    if (!cpu->vpmu.software || s->saved_version != cpu->vpmu.version ||
        s->saved_nr_gp != cpu->vpmu.nr_gp) {
        error_report("vpmu: the source has a PMU with pmu-version=%u,"
                     "pmu-gp-counters=%u; this side has pmu-version=%u,"
                     "pmu-gp-counters=%u%s: start it with the source's",
                     s->saved_version, s->saved_nr_gp, cpu->vpmu.version,
                     cpu->vpmu.nr_gp, cpu->vpmu.software ? "" : ",pmu=off");
        return -EINVAL;
    }
    if ((s->global_ctrl & ~counters_mask(cpu)) ||
        (s->fixed_ctr_ctrl & fixed_ctrl_reserved(cpu)) ||
        (s->global_status & ~status_mask(cpu))) {
        error_report("vpmu: the migration stream has reserved bits in the "
                     "PMU's registers: it is damaged");
        return -EINVAL;
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        vpmu_backend()->write(&cpu->env, v, s->saved_value[v]);
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
        VMSTATE_UINT8(env.vpmu.saved_nr_gp, X86CPU),
        VMSTATE_UINT64_ARRAY(env.vpmu.saved_value, X86CPU, VPMU_NR),
        VMSTATE_UINT64_ARRAY(env.vpmu.evtsel, X86CPU, VPMU_NR_GP),
        VMSTATE_UINT64(env.vpmu.fixed_ctr_ctrl, X86CPU),
        VMSTATE_UINT64(env.vpmu.global_ctrl, X86CPU),
        VMSTATE_UINT64(env.vpmu.global_status, X86CPU),
        VMSTATE_UINT64(env.vpmu.debugctl, X86CPU),
        VMSTATE_UINT16_ARRAY(env.vpmu.unsupported, X86CPU,
                             VPMU_NR_UNSUPPORTED),
        VMSTATE_BOOL_ARRAY(env.vpmu.hw.high, X86CPU, VPMU_NR),
        VMSTATE_END_OF_LIST()
    }
};
