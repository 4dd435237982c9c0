/*
 * One virtual counter: what its registers make it count
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Architectural Performance Monitoring"; APM volume 2,
 * "Performance Monitoring Counters".
 */
#include "qemu/osdep.h"
#include "simulation.h"
#include "vpmc.h"

bool vpmu_interrupts(const CPUX86State *env, unsigned v)
{
    return v < VPMU_NR_GP ? env->msr_gp_evtsel[v] & VPMU_EVTSEL_INT :
                            vpmu_fixed_ctrl(env, v) & VPMU_FIXED_PMI;
}

bool vpmu_is_adaptive(const CPUX86State *env, unsigned v)
{
    return v < VPMU_NR_GP ? env->msr_gp_evtsel[v] & VPMU_EVTSEL_ADAPTIVE :
        env->msr_fixed_ctr_ctrl & VPMU_FIXED_ADAPTIVE(vpmu_index_of(v));
}

uint32_t vpmu_model(const CPUX86State *env)
{
    return IS_AMD_CPU(env) ? vpmu_model_find_amd(env->cpuid_version)->events :
                             vpmu_model_find(env->cpuid_version)->events;
}

VPMUEventCode vpmu_gp_code(const CPUX86State *env, unsigned v)
{
    uint64_t evtsel = env->msr_gp_evtsel[v];
    uint64_t high = IS_AMD_CPU(env) ? evtsel & VPMU_CTL_EVENT_HIGH : 0;

    return (evtsel & VPMU_EVTSEL_CODE) |
           high >> (VPMU_CTL_EVENT_HIGH_SHIFT - 16);
}

/*
 * The bits for the host and its guests count only if EFER.SVME is set; with
 * both, the counter counts both.
 */
static bool vpmu_counts_in_mode(const CPUX86State *env, uint64_t ctl)
{
    bool guest = ctl & VPMU_CTL_GUEST_ONLY;
    bool host = ctl & VPMU_CTL_HOST_ONLY;

    return !IS_AMD_CPU(env) || guest == host ||
           !(env->efer & MSR_EFER_SVME) ||
           guest == !!(env->hflags & HF_GUEST_MASK);
}

/* A fixed counter's control as an event select */
static uint64_t vpmu_fixed_evtsel(const CPUX86State *env, unsigned v)
{
    unsigned ctrl = vpmu_fixed_ctrl(env, v);

    return (ctrl & VPMU_FIXED_OS ? VPMU_EVTSEL_OS : 0) |
           (ctrl & VPMU_FIXED_USR ? VPMU_EVTSEL_USR : 0) |
           (ctrl & (VPMU_FIXED_OS | VPMU_FIXED_USR) ? VPMU_EVTSEL_EN : 0);
}

/* The event select of a general-purpose counter, or a fixed one's control */
static uint64_t vpmu_evtsel(const CPUX86State *env, unsigned v)
{
    return v < VPMU_NR_GP ? env->msr_gp_evtsel[v] : vpmu_fixed_evtsel(env, v);
}

bool vpmu_is_enabled(CPUX86State *env, unsigned v)
{
    uint64_t evtsel = vpmu_evtsel(env, v);

    return (evtsel & VPMU_EVTSEL_EN) &&
           (!vpmu_has_global(env_archcpu(env)) ||
            (env->msr_global_ctrl & vpmu_status_bit(v))) &&
           !(env->msr_global_status & VPMU_STATUS_CTR_FRZ) &&
           vpmu_counts_in_mode(env, evtsel);
}

SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event)
{
    SoftPMUConfig config;

    *event = v < VPMU_NR_GP ? vpmu_event_find(vpmu_gp_code(env, v),
                                              vpmu_model(env)) :
                              vpmu_event_fixed(v);
    config = vpmu_event_config(vpmu_evtsel(env, v), *event,
                               vpmu_simulates(env_archcpu(env)));
    config.on = vpmu_is_enabled(env, v);
    config.precise = vpmu_pebs_enabled(env) & VPMU_MASK_OF(v);
    if (config.precise && vpmu_simulates(env_archcpu(env)) &&
        (config.add == 1 << SOFTPMU_LOAD ||
         config.add == 1 << SOFTPMU_STORE)) {
        /* A record says where the access has found its line. */
        config.sim = SIM_WATCHED;
    }
    if (*event && (*event)->latency &&
        env->vpmu.pebs_ld_lat >= VPMU_LOAD_LATENCY) {
        config.add = 0;
    }
    return config;
}
