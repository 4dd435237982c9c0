/*
 * The virtual PMU that a guest is given: CPU properties and CPUID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All vCPUs of a machine have the same PMU.  If a property contradicts another
 * or is not available, the error message says what to change.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qapi/error.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "config-amd.h"
#include "events.h"
#include "models.h"
#include "properties.h"
#include "provider.h"
#include "regs.h"
#include "reservation.h"
#include "simulation.h"
#include "vpmc.h"

#define VPMU_VERSION_MIN        2
#define VPMU_VERSION_MAX        5
#define VPMU_PEBS_FORMAT_MIN    1
#define VPMU_PEBS_FORMAT_MAX    4
/* AMD: without and with PerfMonV2 */
#define VPMU_AMD_VERSION_MIN    1
#define VPMU_AMD_VERSION_MAX    2
#define VPMU_AMD_NR_GP          6
/* The remedy if the software PMU is not made for the CPU's vendor */
#define VPMU_ANY_MODEL          "a CPU model with vendor GenuineIntel or " \
                                "AuthenticAMD, for example " \
                                "Icelake-Server-v6 or EPYC-Genoa"

/* Requests */

static bool vpmu_wants_passthrough(const X86CPU *cpu)
{
    return cpu->vpmu.passthrough != ON_OFF_AUTO_OFF;
}

/*
 * CPU models that switch pmu on by themselves (max) must stay as they are,
 * so only what the user says counts.
 */
static bool vpmu_wants_software(const X86CPU *cpu)
{
    return tcg_enabled() &&
           (IS_INTEL_CPU(&cpu->env) || vpmu_is_amd(cpu)) &&
           ((cpu->enable_pmu && cpu->vpmu.pmu_set) ||
            vpmu_wants_passthrough(cpu));
}

static bool vpmu_wants_pebs(const X86CPU *cpu)
{
    return vpmu_wants_software(cpu) && !vpmu_is_amd(cpu) &&
           cpu->vpmu.pebs != ON_OFF_AUTO_OFF;
}

static const VPMUModel *vpmu_model_of(const X86CPU *cpu)
{
    return vpmu_model_find(cpu->env.cpuid_version);
}

static unsigned vpmu_pebs_format(const X86CPU *cpu)
{
    const VPMUConfig *vpmu = &cpu->vpmu;

    return vpmu->pebs_format ? vpmu->pebs_format :
           vpmu->pebs_baseline == ON_OFF_AUTO_ON ? VPMU_PEBS_FORMAT_MAX :
           vpmu_model_of(cpu)->pebs_format;
}

static bool vpmu_wants_baseline(const X86CPU *cpu)
{
    return cpu->vpmu.pebs_baseline != ON_OFF_AUTO_OFF &&
           vpmu_pebs_format(cpu) >= 4;
}

/* PERF_CAPABILITIES of PEBS */
static uint64_t vpmu_pebs_capabilities(const X86CPU *cpu)
{
    return VPMU_CAP_PEBS_TRAP | VPMU_CAP_PEBS_ARCH_REG |
           (uint64_t)vpmu_pebs_format(cpu) << VPMU_CAP_PEBS_FORMAT_SHIFT |
           (vpmu_wants_baseline(cpu) ? VPMU_CAP_PEBS_BASELINE : 0);
}

static bool vpmu_lbr_format_is_set(const X86CPU *cpu)
{
    return cpu->lbr_fmt != ~PERF_CAP_LBR_FMT;
}

/* The features in @word that the user has switched off individually */
static uint64_t vpmu_switched_off(const CPUX86State *env, int word)
{
    return env->user_features[word] & ~env->features[word];
}

static bool vpmu_arch_lbr_is_off(const CPUX86State *env)
{
    return vpmu_switched_off(env, FEAT_7_0_EDX) & CPUID_7_0_EDX_ARCH_LBR;
}

/* The format of the last branch records that TCG makes, if it makes some */
static unsigned vpmu_lbr_format(const X86CPU *cpu)
{
    unsigned model = vpmu_model_of(cpu)->lbr_format;

    if (!vpmu_wants_software(cpu) || vpmu_is_amd(cpu) ||
        cpu->vpmu.lbr == ON_OFF_AUTO_OFF) {
        return LBR_FORMAT_NONE;
    }
    if (vpmu_lbr_format_is_set(cpu)) {
        return cpu->lbr_fmt;
    }
    if (model == LBR_FORMAT_ARCH && vpmu_arch_lbr_is_off(&cpu->env)) {
        model = LBR_FORMAT_NONE;
    }
    return cpu->vpmu.lbr == ON_OFF_AUTO_ON && !model ? LBR_FORMAT_INFO : model;
}

/* Has the user taken the DS area away, which comes with PEBS? */
static bool vpmu_ds_is_off(const X86CPU *cpu)
{
    const CPUX86State *env = &cpu->env;

    return cpu->vpmu.pebs == ON_OFF_AUTO_OFF ||
           (vpmu_switched_off(env, FEAT_1_EDX) & CPUID_DTS) ||
           (vpmu_switched_off(env, FEAT_1_ECX) & CPUID_EXT_DTES64);
}

static bool vpmu_wants_bts(const X86CPU *cpu)
{
    return vpmu_wants_pebs(cpu) && cpu->vpmu.bts == ON_OFF_AUTO_ON;
}

static uint64_t vpmu_bts_features(const X86CPU *cpu, int word)
{
    return word == FEAT_1_ECX && vpmu_wants_bts(cpu) ? CPUID_EXT_DSCPL : 0;
}

static const int feature_words[] = {
    FEAT_1_ECX, FEAT_1_EDX, FEAT_7_0_EDX, FEAT_PERF_CAPABILITIES
};

/* The features in @word that go with these PERF_CAPABILITIES */
static uint64_t vpmu_features_of(uint64_t capabilities, int word)
{
    bool pebs = capabilities & VPMU_CAP_PEBS;

    switch (word) {
    case FEAT_1_ECX:
        return CPUID_EXT_PDCM | (pebs ? CPUID_EXT_DTES64 : 0);
    case FEAT_1_EDX:
        return pebs ? CPUID_DTS : 0;
    case FEAT_7_0_EDX:
        return (capabilities & PERF_CAP_LBR_FMT) == LBR_FORMAT_ARCH ?
               CPUID_7_0_EDX_ARCH_LBR : 0;
    case FEAT_PERF_CAPABILITIES:
        return capabilities;
    default:
        return 0;
    }
}

/* Show these features, except those that the user has set individually. */
static void vpmu_show_features(CPUX86State *env, uint64_t capabilities)
{
    for (int i = 0; i < ARRAY_SIZE(feature_words); i++) {
        int word = feature_words[i];

        env->features[word] |= vpmu_features_of(capabilities, word) &
                               ~env->user_features[word];
    }
    env->cpuid_min_level = MAX(env->cpuid_min_level,
                               env->features[FEAT_7_0_EDX] &
                               CPUID_7_0_EDX_ARCH_LBR ? 0x1c : 0xa);
}

/* Has the user switched off some of them? */
static bool vpmu_is_switched_off(const CPUX86State *env, uint64_t capabilities)
{
    for (int i = 0; i < ARRAY_SIZE(feature_words); i++) {
        int word = feature_words[i];

        if (vpmu_features_of(capabilities, word) &
            vpmu_switched_off(env, word)) {
            return true;
        }
    }
    return false;
}

/* The features in @word that only PEBS needs */
static uint64_t vpmu_pebs_features(int word)
{
    return vpmu_features_of(VPMU_CAP_PEBS, word) & ~vpmu_features_of(0, word);
}

static void vpmu_hide_pebs(CPUX86State *env)
{
    for (int i = 0; i < ARRAY_SIZE(feature_words); i++) {
        int word = feature_words[i];

        env->features[word] &= ~vpmu_pebs_features(word);
    }
}

/* Under KVM, where only lbr-fmt asks for it */
static void vpmu_hide_lbr(X86CPU *cpu)
{
    if (kvm_enabled() && cpu->vpmu.lbr == ON_OFF_AUTO_OFF) {
        cpu->env.features[FEAT_PERF_CAPABILITIES] &= ~PERF_CAP_LBR_FMT;
    }
}

uint64_t vpmu_supported_features(X86CPU *cpu, int word)
{
    uint64_t capabilities = VPMU_CAP_FW_WRITE;

    if (!cpu || !vpmu_wants_software(cpu)) {
        return 0;
    }
    if (vpmu_is_amd(cpu)) {
        return vpmu_amd_features(word);
    }
    if (vpmu_wants_pebs(cpu)) {
        capabilities |= vpmu_pebs_capabilities(cpu);
    }
    return vpmu_features_of(capabilities | vpmu_lbr_format(cpu), word) |
           vpmu_bts_features(cpu, word);
}

/* What makes TCG support the features of a word, for a warning */
static const struct {
    FeatureWord word;
    uint64_t bits;
    const char *needs;
} vpmu_needs[] = {
    { FEAT_1_ECX, CPUID_EXT_PDCM,
      "pdcm only with pmu=on and a CPU model with vendor GenuineIntel" },
    { FEAT_1_ECX, CPUID_EXT_DTES64,
      "dtes64 only with pmu=on, without pebs=off, and a CPU model with vendor "
      "GenuineIntel" },
    { FEAT_1_ECX, CPUID_EXT_DSCPL,
      "ds-cpl only with pmu=on, bts=on and a CPU model with vendor "
      "GenuineIntel" },
    { FEAT_1_EDX, CPUID_DTS,
      "ds only with pmu=on, without pebs=off, and a CPU model with vendor "
      "GenuineIntel" },
    { FEAT_7_0_EDX, CPUID_7_0_EDX_ARCH_LBR,
      "arch-lbr only with pmu=on and lbr-fmt=0x3f, or a CPU model that has "
      "this format" },
    { FEAT_8000_0001_ECX, CPUID_EXT3_PERFCORE,
      "perfctr-core only with pmu=on and a CPU model with vendor "
      "AuthenticAMD" },
    { FEAT_8000_0022_EAX, CPUID_8000_0022_EAX_PERFMON_V2,
      "perfmon-v2 only with pmu=on and a CPU model with vendor AuthenticAMD" },
};

uint64_t vpmu_filter_features(X86CPU *cpu, int word, bool explain)
{
    uint64_t supported = vpmu_supported_features(cpu, word);

    for (int i = 0; explain && tcg_enabled() && i < ARRAY_SIZE(vpmu_needs);
         i++) {
        if (vpmu_needs[i].word == word &&
            (cpu->env.features[word] & vpmu_needs[i].bits & ~supported)) {
            warn_report_once("TCG has %s", vpmu_needs[i].needs);
        }
    }
    return supported;
}

/* Is there a PMU with counters that can be handed over? */
static bool vpmu_check_passthrough(X86CPU *cpu, Error **errp)
{
    const VPMUProvider *provider = vpmu_provider();
    const char *reason = "this accelerator has no virtual PMU";
    VpmuMode mode = VPMU_MODE_NONE;

    if (!vpmu_wants_passthrough(cpu)) {
        return true;
    }
    if (cpu->vpmu.pmu_set && !cpu->enable_pmu) {
        error_setg(errp, "pmu-passthrough=%s contradicts pmu=off: remove one "
                   "of them", OnOffAuto_str(cpu->vpmu.passthrough));
        return false;
    }
    if (vpmu_wants_software(cpu)) {
        cpu->enable_pmu = true;
        return true;
    }
    if (tcg_enabled()) {
        reason = "under TCG it needs " VPMU_ANY_MODEL;
    } else if (provider) {
        cpu->enable_pmu = true;
        mode = provider->mode(cpu, &reason);
    }
    if (mode == VPMU_MODE_NONE && cpu->vpmu.passthrough == ON_OFF_AUTO_AUTO) {
        warn_report_once("pmu-passthrough=auto: the guest has no PMU: %s",
                         reason);
    }
    if (cpu->vpmu.passthrough == ON_OFF_AUTO_ON &&
        (mode == VPMU_MODE_NONE || mode == VPMU_MODE_EMULATED)) {
        error_setg(errp, "pmu-passthrough=on is not available: %s", reason);
        if (kvm_enabled()) {
            error_append_hint(errp, "It needs KVM's modules with counter "
                              "hand-over (kvm loaded with vpmu_handover=1), "
                              "or a kernel with the mediated PMU "
                              "(Linux 7.0, kvm_intel or kvm_amd loaded with "
                              "enable_mediated_pmu=1).  -accel tcg has a PMU "
                              "everywhere, pmu-passthrough=auto takes what "
                              "there is.\n");
        }
        return false;
    }
    return true;
}

/* The first property that is set and needs the software PMU, or the policy */
static const char *vpmu_software_property(const VPMUConfig *vpmu)
{
    return vpmu->version ? "pmu-version" :
           vpmu->nr_gp ? "pmu-gp-counters" :
           vpmu->pebs == ON_OFF_AUTO_ON ? "pebs" :
           vpmu->pebs_format ? "pebs-fmt" :
           vpmu->pebs_baseline == ON_OFF_AUTO_ON ? "pebs-baseline" :
           vpmu->lbr == ON_OFF_AUTO_ON ? "lbr" :
           vpmu->bts == ON_OFF_AUTO_ON ? "bts" :
           vpmu->simulation != VPMU_SIMULATION_NONE ? "pmu-model" : NULL;
}

static const char *vpmu_policy_property(const VPMUConfig *vpmu)
{
    return vpmu->host_gp ? "pmu-host-gp" :
           vpmu->host_fixed ? "pmu-host-fixed" :
           vpmu->host_order != VPMU_HOST_ORDER_HIGH ? "pmu-host-order" :
           vpmu->visible != VPMU_VISIBLE_GRANTED ? "pmu-visible" :
           vpmu->slice_ms != VPMU_SLICE_MS ? "pmu-slice-ms" : NULL;
}

/* Does a kernel hand counters over? */
static bool vpmu_has_handover(X86CPU *cpu)
{
    const char *reason;

    return vpmu_mode(cpu, &reason) == VPMU_MODE_HANDOVER;
}

/* Properties that ask for something that is not there. */
static bool vpmu_check_needed(X86CPU *cpu, Error **errp)
{
    const char *software = vpmu_software_property(&cpu->vpmu);
    const char *policy = vpmu_policy_property(&cpu->vpmu);

    if (policy && !vpmu_wants_passthrough(cpu)) {
        error_setg(errp, "%s needs pmu-passthrough: add pmu-passthrough=on "
                   "or remove %s", policy, policy);
        return false;
    }
    if (vpmu_wants_software(cpu)) {
        return true;
    }
    if (vpmu_has_handover(cpu)) {
        if (cpu->vpmu.bts == ON_OFF_AUTO_ON) {
            error_setg(errp, "bts=on: KVM has no branch trace store: remove "
                       "bts=on");
            return false;
        }
        if (cpu->vpmu.lbr == ON_OFF_AUTO_ON) {
            error_setg(errp, "lbr=on: under KVM the processor makes the "
                       "records: use lbr-fmt with the host's format instead");
            return false;
        }
        if (cpu->vpmu.simulation != VPMU_SIMULATION_NONE) {
            error_setg(errp, "pmu-model=simple: under KVM the processor's own "
                       "caches are counted: remove pmu-model");
            return false;
        }
        if (cpu->vpmu.host_order != VPMU_HOST_ORDER_HIGH) {
            error_setg(errp, "pmu-host-order: the host's kernel picks the "
                       "counters itself: remove pmu-host-order");
            return false;
        }
        return true;
    }
    if (software && !tcg_enabled()) {
        error_setg(errp, "%s needs the software PMU, which only TCG has: "
                   "add -accel tcg or remove %s", software, software);
        return false;
    }
    if (policy && !tcg_enabled()) {
        error_setg(errp, "%s: this kernel cannot reserve counters for the "
                   "host: load KVM's modules with counter hand-over, add -accel tcg "
                   "or remove %s", policy, policy);
        return false;
    }
    if ((software || policy) && !IS_INTEL_CPU(&cpu->env) &&
        !vpmu_is_amd(cpu)) {
        error_setg(errp, "%s needs " VPMU_ANY_MODEL, software ?: policy);
        return false;
    }
    if (software) {
        error_setg(errp, "%s needs a PMU: add pmu=on or remove %s", software,
                   software);
        return false;
    }
    return true;
}

/*
 * Drivers go by the model when they look for the registers, and then by the
 * format, but for the architectural ones.
 */
static bool vpmu_lbr_suits(const X86CPU *cpu, unsigned format)
{
    const VPMUModel *model = vpmu_model_of(cpu);

    return !model->model || format == model->lbr_format ||
           (model->lbr_format && model->lbr_format != LBR_FORMAT_ARCH &&
            format != LBR_FORMAT_ARCH);
}

static bool vpmu_check_lbr(const X86CPU *cpu, Error **errp)
{
    unsigned format = vpmu_lbr_format(cpu);

    if (vpmu_lbr_format_is_set(cpu) &&
        cpu->vpmu.lbr != ON_OFF_AUTO_AUTO &&
        (cpu->vpmu.lbr == ON_OFF_AUTO_ON) != !!cpu->lbr_fmt) {
        error_setg(errp, "lbr-fmt=0x%" PRIx64 " contradicts lbr=%s: remove one "
                   "of them", cpu->lbr_fmt, OnOffAuto_str(cpu->vpmu.lbr));
        return false;
    }
    if (format == LBR_FORMAT_ARCH && vpmu_arch_lbr_is_off(&cpu->env)) {
        error_setg(errp, "lbr-fmt=0x3f contradicts arch-lbr=off: remove one of "
                   "them");
        return false;
    }
    if (lbr_format_exists(format) && !vpmu_lbr_suits(cpu, format)) {
        error_setg(errp, "%s: drivers expect other records of this CPU model: "
                   "use lbr=off, lbr-fmt=0x3f with a model from SapphireRapids "
                   "on, or lbr-fmt=5 with one from Skylake to Icelake",
                   vpmu_lbr_format_is_set(cpu) ? "lbr-fmt" : "lbr=on");
        return false;
    }
    if (format && !lbr_format_exists(format)) {
        error_setg(errp, "lbr-fmt=0x%x is not available: TCG has the formats "
                   "5, 6, 7 and 0x3f: use one of them, or remove lbr-fmt",
                   format);
        return false;
    }
    return true;
}

static bool vpmu_check_range(const X86CPU *cpu, Error **errp)
{
    const VPMUConfig *vpmu = &cpu->vpmu;
    bool amd = vpmu_is_amd(cpu);
    unsigned min = amd ? VPMU_AMD_VERSION_MIN : VPMU_VERSION_MIN;
    unsigned max = amd ? VPMU_AMD_VERSION_MAX : VPMU_VERSION_MAX;
    unsigned nr_gp = amd ? VPMU_AMD_NR_GP : VPMU_NR_GP;

    if (vpmu->version && (vpmu->version < min || vpmu->version > max)) {
        error_setg(errp, "pmu-version=%u is out of range: use %u to %u",
                   vpmu->version, min, max);
        return false;
    }
    if (vpmu->nr_gp > nr_gp) {
        error_setg(errp, "pmu-gp-counters=%u is out of range: use 1 to %u",
                   vpmu->nr_gp, nr_gp);
        return false;
    }
    if (vpmu->pebs_format && (vpmu->pebs_format < VPMU_PEBS_FORMAT_MIN ||
                              vpmu->pebs_format > VPMU_PEBS_FORMAT_MAX)) {
        error_setg(errp, "pebs-fmt=%u is out of range: use %u to %u",
                   vpmu->pebs_format, VPMU_PEBS_FORMAT_MIN,
                   VPMU_PEBS_FORMAT_MAX);
        return false;
    }
    if (vpmu_ds_is_off(cpu) && vpmu->bts == ON_OFF_AUTO_ON) {
        error_setg(errp, "bts=on needs the DS area: remove it, or pebs=off, "
                   "ds=off and dtes64=off");
        return false;
    }
    if (vpmu->pebs == ON_OFF_AUTO_OFF &&
        (vpmu->pebs_format || vpmu->pebs_baseline == ON_OFF_AUTO_ON)) {
        error_setg(errp, "%s contradicts pebs=off: remove one of them",
                   vpmu->pebs_format ? "pebs-fmt" : "pebs-baseline=on");
        return false;
    }
    if (vpmu->pebs_format && vpmu->pebs_format < 4 &&
        vpmu->pebs_baseline == ON_OFF_AUTO_ON) {
        error_setg(errp, "pebs-baseline=on needs pebs-fmt=4, not pebs-fmt=%u: "
                   "remove one of them", vpmu->pebs_format);
        return false;
    }
    if (!vpmu->slice_ms) {
        error_setg(errp, "pmu-slice-ms=0 is out of range: use 1 or more");
        return false;
    }
    return true;
}

/* Called once the number of counters is known */
static bool vpmu_check_host_gp(const VPMUConfig *vpmu, Error **errp)
{
    unsigned total = vpmu->total_gp;

    if (vpmu->host_gp > total) {
        error_setg(errp, "pmu-host-gp=%u is more than the %u general-purpose "
                   "counters that there are: use 0 to %u", vpmu->host_gp,
                   total, total);
        return false;
    }
    if (vpmu->host_gp == total && vpmu->visible == VPMU_VISIBLE_GRANTED) {
        error_setg(errp, "pmu-host-gp=%u leaves the guest none of the %u "
                   "general-purpose counters: use 0 to %u, or "
                   "pmu-visible=all", vpmu->host_gp, total, total - 1);
        return false;
    }
    return true;
}

static bool vpmu_expand_intel(X86CPU *cpu, Error **errp)
{
    VPMUConfig *vpmu = &cpu->vpmu;
    const VPMUModel *model = vpmu_model_of(cpu);
    unsigned format = vpmu_pebs_format(cpu);
    uint64_t capabilities;

    /* Fill in unset properties, so that model expansion shows them. */
    vpmu->version = vpmu->version ?: model->version;
    vpmu->nr_gp = vpmu->nr_gp ?: model->nr_gp;
    vpmu->pebs = vpmu_wants_pebs(cpu) ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    vpmu->pebs_baseline = vpmu_wants_baseline(cpu) ? ON_OFF_AUTO_ON :
                                                     ON_OFF_AUTO_OFF;
    vpmu->pebs_format = format;
    vpmu->lbr_format = vpmu_lbr_format(cpu);
    vpmu->lbr = vpmu->lbr_format ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    cpu->lbr_fmt = vpmu->lbr_format;
    vpmu->bts = vpmu_wants_bts(cpu) ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    cpu->env.features[FEAT_1_ECX] |= vpmu_bts_features(cpu, FEAT_1_ECX) &
                                     ~cpu->env.user_features[FEAT_1_ECX];
    vpmu->total_gp = vpmu->nr_gp;
    vpmu->nr_fixed = VPMU_NR_FIXED;
    capabilities = vpmu_supported_features(cpu, FEAT_PERF_CAPABILITIES);
    if (!model->full_width) {
        capabilities &= ~VPMU_CAP_FW_WRITE;
    }
    vpmu_show_features(&cpu->env, capabilities);
    return true;
}

static bool vpmu_expand_software(X86CPU *cpu, Error **errp)
{
    return (vpmu_is_amd(cpu) ? vpmu_amd_expand(cpu, errp) :
                               vpmu_expand_intel(cpu, errp)) &&
           vpmu_check_host_gp(&cpu->vpmu, errp);
}

/* Is a number that was asked for more than what the kernel has? */
static bool vpmu_check_number(const char *name, unsigned asked,
                              unsigned offered, Error **errp)
{
    if (asked > offered) {
        error_setg(errp, "%s=%u is more than the %u that this kernel's KVM "
                   "offers: use that, or remove %s", name, asked, offered,
                   name);
        return false;
    }
    return true;
}

/*
 * The processor makes the records, so there is one kind or none.
 * @capabilities: PEBS as offered; 0: there is none, and this is @why
 */
static bool vpmu_check_pebs(const VPMUConfig *vpmu, uint64_t capabilities,
                            const char *why, Error **errp)
{
    bool baseline = capabilities & VPMU_CAP_PEBS_BASELINE;
    unsigned format = extract64(capabilities, VPMU_CAP_PEBS_FORMAT_SHIFT, 4);
    const char *wanted = vpmu->pebs_format ? "pebs-fmt" :
                         vpmu->pebs_baseline == ON_OFF_AUTO_ON ?
                         "pebs-baseline=on" :
                         vpmu->pebs == ON_OFF_AUTO_ON ? "pebs=on" : NULL;

    if (!capabilities && wanted) {
        error_setg(errp, "%s is not available: %s", wanted, why);
        return false;
    }
    if (!capabilities || vpmu->pebs == ON_OFF_AUTO_OFF) {
        return true;
    }
    if ((vpmu->pebs_format && vpmu->pebs_format != format) ||
        (vpmu->pebs_baseline != ON_OFF_AUTO_AUTO &&
         (vpmu->pebs_baseline == ON_OFF_AUTO_ON) != baseline)) {
        error_setg(errp, "this kernel's KVM offers pebs-fmt=%u,"
                   "pebs-baseline=%s and no other records: use that, or "
                   "pebs=off", format, baseline ? "on" : "off");
        return false;
    }
    return true;
}

/* The processor makes these records, too. */
static bool vpmu_check_kernel_lbr(const X86CPU *cpu, const VPMUOffer *offer,
                                  Error **errp)
{
    if (!vpmu_lbr_format_is_set(cpu) || !cpu->lbr_fmt) {
        return true;
    }
    if (!offer->lbr_format) {
        error_setg(errp, "lbr-fmt=0x%" PRIx64 " is not available: %s: remove "
                   "lbr-fmt", cpu->lbr_fmt, offer->no_lbr);
        return false;
    }
    if (cpu->lbr_fmt != offer->lbr_format) {
        error_setg(errp, "lbr-fmt=0x%" PRIx64 " is not available: the host's "
                   "records have format 0x%x: use that, or remove lbr-fmt",
                   cpu->lbr_fmt, offer->lbr_format);
        return false;
    }
    return true;
}

/* What the kernel offers is the default and the limit of all properties. */
static bool vpmu_expand_handover(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;
    VPMUConfig *vpmu = &cpu->vpmu;
    const char *why = NULL;
    VPMUOffer offer;
    uint64_t pebs;

    vpmu_provider()->offer(cpu, &offer);
    pebs = offer.capabilities & VPMU_CAP_PEBS;
    if (!pebs) {
        why = offer.no_pebs;
    } else if (vpmu_is_switched_off(env, pebs)) {
        why = "remove pdcm=off, ds=off and dtes64=off";
        pebs = 0;
    }
    if (!vpmu_check_number("pmu-version", vpmu->version, offer.version, errp) ||
        !vpmu_check_number("pmu-gp-counters", vpmu->nr_gp, offer.nr_gp, errp) ||
        !vpmu_check_pebs(vpmu, pebs, why, errp) ||
        !vpmu_check_kernel_lbr(cpu, &offer, errp)) {
        return false;
    }
    if (vpmu->pebs == ON_OFF_AUTO_OFF) {
        pebs = 0;
    }
    vpmu->version = vpmu->version ?: offer.version;
    vpmu->nr_gp = vpmu->nr_gp ?: offer.nr_gp;
    vpmu->total_gp = offer.nr_gp;
    vpmu->nr_fixed = offer.nr_fixed;
    vpmu->pebs = pebs ? ON_OFF_AUTO_ON : ON_OFF_AUTO_OFF;
    vpmu->pebs_format = extract64(pebs, VPMU_CAP_PEBS_FORMAT_SHIFT, 4);
    vpmu->pebs_baseline = pebs & VPMU_CAP_PEBS_BASELINE ? ON_OFF_AUTO_ON :
                                                          ON_OFF_AUTO_OFF;
    vpmu_hide_pebs(env);
    if (offer.capabilities) {
        vpmu_show_features(env, pebs | (offer.capabilities & ~VPMU_CAP_PEBS));
    }
    return vpmu_check_host_gp(vpmu, errp);
}

bool vpmu_expand_features(X86CPU *cpu, Error **errp)
{
    const VPMUConfig *vpmu = &cpu->vpmu;

    if (!vpmu_check_range(cpu, errp) || !vpmu_check_lbr(cpu, errp) ||
        !vpmu_check_passthrough(cpu, errp) ||
        !vpmu_check_needed(cpu, errp)) {
        return false;
    }
    if (vpmu_wants_software(cpu)) {
        return vpmu_expand_software(cpu, errp);
    }
    vpmu_hide_lbr(cpu);
    if (vpmu_has_handover(cpu)) {
        return vpmu_expand_handover(cpu, errp);
    }
    if (tcg_enabled() && cpu->enable_pmu && vpmu->pmu_set) {
        warn_report_once("pmu=on has no effect: the software PMU needs "
                         VPMU_ANY_MODEL);
    }
    if (kvm_enabled() && vpmu->pebs == ON_OFF_AUTO_OFF) {
        vpmu_hide_pebs(&cpu->env);
    }
    return true;
}

/* Results */

static VPMUCounterMask vpmu_visible_vpmcs(const X86CPU *cpu)
{
    const VPMUConfig *vpmu = &cpu->vpmu;
    unsigned nr_gp = vpmu_is_amd(cpu) ? vpmu_amd_visible_gp(vpmu) :
                                        vpmu->nr_gp;
    unsigned fixed = (1u << vpmu->nr_fixed) - 1;

    if (vpmu->policy && vpmu->visible == VPMU_VISIBLE_GRANTED) {
        nr_gp = MIN(nr_gp, vpmu->total_gp - vpmu->host_gp);
        fixed &= ~vpmu->host_fixed;
    }
    if (vpmu->version < 5) {
        /* CPUID has only a number, so counters above a gap are invisible. */
        fixed &= (1u << cto32(fixed)) - 1;
    }
    return ((1u << nr_gp) - 1) | fixed << VPMU_NR_GP;
}

static char *vpmu_describe(const X86CPU *cpu)
{
    const VPMUConfig *vpmu = &cpu->vpmu;
    g_autofree char *vendor = object_property_get_str(OBJECT(cpu), "vendor",
                                                      &error_abort);
    g_autofree char *fixed = vpmu_fixed_list(vpmu->host_fixed);

    return g_strdup_printf("vendor=%s,pmu=%s,pmu-version=%u,pmu-gp-counters=%u,"
                           "pebs=%s,pebs-fmt=%u,pebs-baseline=%s,"
                           "lbr=%s,lbr-fmt=%u,bts=%s,pmu-model=%s,"
                           "pmu-passthrough=%s,pmu-host-gp=%u,"
                           "pmu-host-fixed=%s,pmu-host-order=%s,"
                           "pmu-visible=%s,pmu-slice-ms=%u",
                           vendor, vpmu->software ? "on" : "off",
                           vpmu->version, vpmu->nr_gp, OnOffAuto_str(vpmu->pebs),
                           vpmu->pebs_format,
                           OnOffAuto_str(vpmu->pebs_baseline),
                           OnOffAuto_str(vpmu->lbr), vpmu->lbr_format,
                           OnOffAuto_str(vpmu->bts),
                           VpmuSimulation_str(vpmu->simulation),
                           OnOffAuto_str(vpmu->passthrough),
                           vpmu->host_gp, fixed,
                           VpmuHostOrder_str(vpmu->host_order),
                           VpmuVisible_str(vpmu->visible), vpmu->slice_ms);
}

static bool vpmu_check_same(const X86CPU *cpu, const X86CPU *first,
                            Error **errp)
{
    g_autofree char *here = vpmu_describe(cpu);
    g_autofree char *there = vpmu_describe(first);

    if (!strcmp(here, there)) {
        return true;
    }
    error_setg(errp, "all CPUs of a machine have the same PMU, but this CPU "
               "has %s and CPU 0 has %s: give the PMU's properties in -cpu",
               here, there);
    return false;
}

bool vpmu_realize(X86CPU *cpu, Error **errp)
{
    VPMUConfig *vpmu = &cpu->vpmu;
    const VPMUProvider *provider = vpmu_provider();

    vpmu->software = vpmu_wants_software(cpu);
    if (vpmu->software) {
        vpmu->policy = vpmu_wants_passthrough(cpu);
        vpmu->has_map = true;
        vpmu->has_stats = true;
    }
    if (provider && provider->realize && !provider->realize(cpu, errp)) {
        return false;
    }
    if (vpmu->software || vpmu->policy) {
        vpmu->vpmcs = vpmu_visible_vpmcs(cpu);
    }
    if (first_cpu && CPU(cpu) != first_cpu &&
        !vpmu_check_same(cpu, X86_CPU(first_cpu), errp)) {
        return false;
    }
    if (vpmu->policy) {
        vpmu_reservation_plug(cpu);
    } else if (vpmu->software) {
        handover_init(&cpu->env.vpmu_host.handover, vpmu_ppmcs(cpu), 0,
                      HANDOVER_FOREVER);
    }
    return true;
}

bool vpmu_realize_caches(X86CPU *cpu, Error **errp)
{
    return !vpmu_simulates(cpu) || vpmu_simulation_realize(cpu, errp);
}

void vpmu_machine_reset(X86CPU *cpu)
{
    vpmu_simulation_reset(&cpu->env);
}

void vpmu_unrealize(X86CPU *cpu)
{
    vpmu_simulation_unrealize(cpu);
}

void vpmu_cpuid_lbr(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx)
{
    if (vpmu_has_arch_lbr(cpu)) {
        *eax = LBR_CPUID_EAX;
        *ebx = LBR_CPUID_EBX;
        *ecx = LBR_CPUID_ECX;
    }
}

void vpmu_cpuid_amd(X86CPU *cpu, uint32_t *eax, uint32_t *ebx)
{
    if (cpu->vpmu.software && vpmu_is_amd(cpu)) {
        vpmu_amd_cpuid(cpu, eax, ebx);
    }
}

void vpmu_cpuid(X86CPU *cpu, uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                uint32_t *edx)
{
    const VPMUConfig *vpmu = &cpu->vpmu;
    unsigned nr_gp = ctpop16(vpmu->vpmcs & VPMU_MASK_GP);
    unsigned fixed = vpmu->vpmcs >> VPMU_NR_GP;

    if (vpmu->software && vpmu_is_amd(cpu)) {
        return;
    }
    if (!vpmu->software) {
        if (vpmu->policy) {
            /* The kernel's counters, without those that are hidden */
            *eax = deposit32(*eax, 0, 16, vpmu->version | nr_gp << 8);
            *ecx = vpmu->version >= 5 ? fixed : 0;
            *edx = deposit32(*edx, 0, 5, cto32(fixed));
        }
        return;
    }
    *eax = vpmu->version | nr_gp << 8 | SOFTPMU_WIDTH << 16 |
           VPMU_NR_ARCH_EVENTS << 24;
    *ebx = vpmu_event_unavailable(vpmu_simulates(cpu));
    /* Fixed counters: those without a gap below in EDX, all in ECX. */
    *ecx = vpmu->version >= 5 ? fixed : 0;
    *edx = cto32(fixed) | SOFTPMU_WIDTH << 5;
    if (vpmu->version >= 5) {
        *edx |= 1 << 15; /* AnyThread is gone */
    }
}
