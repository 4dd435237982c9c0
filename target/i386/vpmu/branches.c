/*
 * Branches that a vCPU has taken, on their way to the records
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Translated code reports branches only while somebody records them
 * (SoftPMU.branches), and so do the few functions by which all far branches,
 * interrupts and exceptions go.
 */
#include "qemu/osdep.h"
#include "branches.h"
#include "counting.h"
#include "tcg-vcpu.h"
#include "vpmc.h"

QEMU_BUILD_BUG_ON(LBR_CTL_ENABLE != VPMU_DEBUGCTL_LBR);

/* The register with the enable bit, which is bit 0 in both */
static uint64_t *vpmu_lbr_enable(CPUX86State *env)
{
    return vpmu_has_arch_lbr(env_archcpu(env)) ? &env->vpmu.lbr.select :
                                                 &env->vpmu.debugctl;
}

static bool vpmu_lbr_runs(CPUX86State *env)
{
    return vpmu_has_lbr(env_archcpu(env)) &&
           (*vpmu_lbr_enable(env) & VPMU_DEBUGCTL_LBR) &&
           !(env->msr_global_status & VPMU_STATUS_LBR_FRZ);
}

void vpmu_stop_lbr(CPUX86State *env)
{
    *vpmu_lbr_enable(env) &= ~VPMU_DEBUGCTL_LBR;
}

void vpmu_branches_update(CPUX86State *env)
{
    SoftPMU *pmu = &env->vpmu_host.hw;
    bool run = vpmu_lbr_runs(env);

    lbr_update(&env->vpmu.lbr, env_archcpu(env)->vpmu.lbr_format, run,
               pmu->cycles);
    softpmu_report_branches(pmu, run);
}

void vpmu_branches_unload(CPUX86State *env)
{
    env->vpmu.lbr.elapsed = lbr_elapsed(&env->vpmu.lbr,
                                        env->vpmu_host.hw.cycles);
}

/*
 * The address that a record has.  Only 64-bit code has more than 32 bits; RIP
 * may have more, which the processor ignores.
 */
static uint64_t vpmu_record_address(CPUX86State *env, LBRFormat format,
                                    const VPMUPlace *place)
{
    uint64_t base = lbr_is_linear(format) ? place->cs_base : 0;

    return place->hflags & HF_CS64_MASK ? vpmu_canonical(env, place->eip) :
                                          (uint32_t)(base + place->eip);
}

void vpmu_near_branch(CPUX86State *env, SoftPMUBranch kind, uint64_t from,
                      uint64_t to, bool is_next)
{
    LBRFormat format = env_archcpu(env)->vpmu.lbr_format;
    VPMUPlace place = vpmu_place(env);
    LBRBranch branch = {
        .kind = kind,
        .ring = vpmu_ring(place.hflags),
        .is_next = is_next,
    };

    place.eip = from;
    branch.from = vpmu_record_address(env, format, &place);
    place.eip = to;
    branch.to = vpmu_record_address(env, format, &place);
    lbr_record(&env->vpmu.lbr, format, &branch, env->vpmu_host.hw.cycles);
}

void vpmu_far_branch(CPUX86State *env, const VPMUPlace *from)
{
    LBRFormat format = env_archcpu(env)->vpmu.lbr_format;
    VPMUPlace to = vpmu_place(env);
    LBRBranch branch = {
        .kind = SOFTPMU_BR_FAR,
        .ring = vpmu_ring(to.hflags),
        .from = vpmu_record_address(env, format, from),
        .to = vpmu_record_address(env, format, &to),
    };

    lbr_record(&env->vpmu.lbr, format, &branch, env->vpmu_host.hw.cycles);
}

void vpmu_debug_exception(CPUX86State *env)
{
    if (*vpmu_lbr_enable(env) & VPMU_DEBUGCTL_LBR) {
        vpmu_sync(env);
        vpmu_stop_lbr(env);
        vpmu_update(env);
    }
}
