/*
 * The PMU of a guest with an AMD processor: CPU properties and CPUID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * CPUID has two features, perfctr-core (six counters, not four) and perfmon-v2
 * (global registers, and any number of counters).  The model decides which the
 * guest has, unless the user sets them or the properties that imply them.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "config-amd.h"
#include "models.h"

#define LEGACY_COUNTERS     4
#define CORE_COUNTERS       6

/* A CPUID feature of the PMU */
typedef struct Feature {
    FeatureWord word;
    uint64_t bit;
    const char *name;
} Feature;

static const Feature perfctr_core = {
    FEAT_8000_0001_ECX, CPUID_EXT3_PERFCORE, "perfctr-core"
};
static const Feature perfmon_v2 = {
    FEAT_8000_0022_EAX, CPUID_8000_0022_EAX_PERFMON_V2, "perfmon-v2"
};

uint64_t vpmu_amd_features(int word)
{
    return (word == perfctr_core.word ? perfctr_core.bit : 0) |
           (word == perfmon_v2.word ? perfmon_v2.bit : 0);
}

/* Is it on, by the user's choice, by the CPU model (max), or as @model says? */
static bool vpmu_amd_has(const CPUX86State *env, const Feature *feature,
                         bool model)
{
    return (env->features[feature->word] & feature->bit) ||
           (model && !(env->user_features[feature->word] & feature->bit));
}

/* Switch it, unless the user has set it otherwise. */
static bool vpmu_amd_switch(CPUX86State *env, const Feature *feature, bool on,
                            const char *why, unsigned value, Error **errp)
{
    if (vpmu_amd_has(env, feature, on) != on &&
        (env->user_features[feature->word] & feature->bit)) {
        error_setg(errp, "%s=%u contradicts %s=%s: remove one of them", why,
                   value, feature->name, on ? "off" : "on");
        return false;
    }
    if (on) {
        env->features[feature->word] |= feature->bit;
    } else {
        env->features[feature->word] &= ~feature->bit;
    }
    return true;
}

/* The first property that is set and that AMD has nothing for */
static const char *vpmu_amd_intel_property(const X86CPU *cpu)
{
    const VPMUConfig *vpmu = &cpu->vpmu;

    return vpmu->pebs == ON_OFF_AUTO_ON ? "pebs=on" :
           vpmu->pebs_format ? "pebs-fmt" :
           vpmu->pebs_baseline == ON_OFF_AUTO_ON ? "pebs-baseline=on" :
           vpmu->lbr == ON_OFF_AUTO_ON ? "lbr=on" :
           cpu->lbr_fmt && cpu->lbr_fmt != ~PERF_CAP_LBR_FMT ? "lbr-fmt" :
           vpmu->bts == ON_OFF_AUTO_ON ? "bts=on" :
           vpmu->host_fixed ? "pmu-host-fixed" : NULL;
}

/* PerfMonV2 needs PerfCtrCore. */
static bool vpmu_amd_expand_version(X86CPU *cpu, const VPMUModelAMD *model,
                                    Error **errp)
{
    CPUX86State *env = &cpu->env;
    VPMUConfig *vpmu = &cpu->vpmu;
    bool core_is_off = !vpmu_amd_has(env, &perfctr_core, true);
    /* What the CPU model has gives way to what the user has set. */
    bool v2_by_user = env->user_features[perfmon_v2.word] & perfmon_v2.bit;
    bool v2 = vpmu->version ? vpmu->version == 2 :
              vpmu_amd_has(env, &perfmon_v2, model->v2) &&
              (v2_by_user || !core_is_off);

    if (v2 && core_is_off) {
        error_setg(errp, "%s needs perfctr-core: remove perfctr-core=off",
                   vpmu->version ? "pmu-version=2" : "perfmon-v2=on");
        return false;
    }
    if (!vpmu_amd_switch(env, &perfmon_v2, v2, "pmu-version", vpmu->version,
                         errp)) {
        return false;
    }
    vpmu->version = v2 ? 2 : 1;
    return true;
}

/* Are counters hidden from the guest, in CPUID's perfctr-core? */
static bool vpmu_amd_hides(const VPMUConfig *vpmu)
{
    return vpmu->version == 1 && vpmu->host_gp &&
           vpmu->visible == VPMU_VISIBLE_GRANTED;
}

unsigned vpmu_amd_visible_gp(const VPMUConfig *vpmu)
{
    return vpmu_amd_hides(vpmu) ? LEGACY_COUNTERS : vpmu->nr_gp;
}

/* Without PerfMonV2 what the guest is told of must remain. */
static bool vpmu_amd_check_hidden(const VPMUConfig *vpmu, Error **errp)
{
    unsigned left = vpmu->total_gp - MIN(vpmu->host_gp, vpmu->total_gp);

    if (vpmu_amd_hides(vpmu) && left < LEGACY_COUNTERS) {
        error_setg(errp, "pmu-host-gp=%u leaves %u counters, and without "
                   "PerfMonV2 a guest cannot be told of fewer than %u: use 0 "
                   "to %u, or add pmu-visible=all or pmu-version=2",
                   vpmu->host_gp, left, LEGACY_COUNTERS,
                   vpmu->total_gp - LEGACY_COUNTERS);
        return false;
    }
    return true;
}

/*
 * Without PerfMonV2 CPUID can tell the guest of four counters or of six, and of
 * no other number.
 */
static bool vpmu_amd_expand_counters(X86CPU *cpu, const VPMUModelAMD *model,
                                     Error **errp)
{
    CPUX86State *env = &cpu->env;
    VPMUConfig *vpmu = &cpu->vpmu;
    bool v2 = vpmu->version == 2;
    bool core = v2 || (vpmu->nr_gp ? vpmu->nr_gp == CORE_COUNTERS :
                       vpmu_amd_has(env, &perfctr_core, model->core));
    bool hides = vpmu_amd_hides(vpmu);

    if (!v2 && vpmu->nr_gp && vpmu->nr_gp != LEGACY_COUNTERS &&
        vpmu->nr_gp != CORE_COUNTERS) {
        error_setg(errp, "pmu-gp-counters=%u: without PerfMonV2 a guest has "
                   "%u counters or %u: use one of these, or add pmu-version=2",
                   vpmu->nr_gp, LEGACY_COUNTERS, CORE_COUNTERS);
        return false;
    }
    if (!vpmu_amd_switch(env, &perfctr_core, core && !hides,
                         hides ? "pmu-host-gp" : "pmu-gp-counters",
                         hides ? vpmu->host_gp : vpmu->nr_gp, errp)) {
        return false;
    }
    vpmu->nr_gp = vpmu->nr_gp ?: core ? CORE_COUNTERS : LEGACY_COUNTERS;
    vpmu->total_gp = vpmu->nr_gp;
    return vpmu_amd_check_hidden(vpmu, errp);
}

bool vpmu_amd_expand(X86CPU *cpu, Error **errp)
{
    VPMUConfig *vpmu = &cpu->vpmu;
    const VPMUModelAMD *model = vpmu_model_find_amd(cpu->env.cpuid_version);
    const char *intel = vpmu_amd_intel_property(cpu);

    if (intel) {
        error_setg(errp, "%s needs " VPMU_INTEL_MODEL, intel);
        return false;
    }
    if (!vpmu_amd_expand_version(cpu, model, errp) ||
        !vpmu_amd_expand_counters(cpu, model, errp)) {
        return false;
    }
    vpmu->nr_fixed = 0;
    vpmu->pebs = ON_OFF_AUTO_OFF;
    vpmu->pebs_baseline = ON_OFF_AUTO_OFF;
    vpmu->lbr = ON_OFF_AUTO_OFF;
    vpmu->bts = ON_OFF_AUTO_OFF;
    if (cpu->lbr_fmt == ~PERF_CAP_LBR_FMT) {
        cpu->lbr_fmt = LBR_FORMAT_NONE;
    }
    if (vpmu->version == 2) {
        cpu->env.cpuid_min_xlevel = MAX(cpu->env.cpuid_min_xlevel, 0x80000022);
    }
    return true;
}

void vpmu_amd_cpuid(const X86CPU *cpu, uint32_t *eax, uint32_t *ebx)
{
    if (cpu->vpmu.version == 2) {
        *eax |= CPUID_8000_0022_EAX_PERFMON_V2;
        *ebx = deposit32(*ebx, 0, 4, ctpop16(cpu->vpmu.vpmcs));
    }
}
