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
#include "bts.h"
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
    VPMUState *s = &env->vpmu;
    SoftPMU *pmu = &env->vpmu_host.hw;
    bool report = vpmu_lbr_runs(env);

    lbr_update(&s->lbr, env_archcpu(env)->vpmu.lbr_format, report, pmu->cycles);
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        s->branch_traced[r] = vpmu_bts_runs(env, r);
        s->branch_kinds[r] = s->branch_traced[r] ? UINT8_MAX : s->lbr.kinds[r];
        report |= s->branch_traced[r];
    }
    softpmu_report_branches(pmu, report);
    vpmu_leave_before_fetch(env, vpmu_is_traced(s) &&
                                 (s->debugctl & VPMU_DEBUGCTL_BTINT));
}

void vpmu_branches_unload(CPUX86State *env)
{
    env->vpmu.lbr.elapsed = lbr_elapsed(&env->vpmu.lbr,
                                        env->vpmu_host.hw.cycles);
}

/*
 * The address that a record has, relative to @base.  Only 64-bit code has more
 * than 32 bits; RIP may have more, which the processor ignores.
 */
static uint64_t vpmu_record_address(CPUX86State *env, const VPMUPlace *place,
                                    uint64_t base)
{
    return place->hflags & HF_CS64_MASK ? vpmu_canonical(env, place->eip) :
                                          (uint32_t)(base + place->eip);
}

static uint64_t vpmu_lbr_address(CPUX86State *env, LBRFormat format,
                                 const VPMUPlace *place)
{
    return vpmu_record_address(env, place,
                               lbr_is_linear(format) ? place->cs_base : 0);
}

uint64_t vpmu_lbr_address_seen(CPUX86State *env, uint64_t address)
{
    return env_archcpu(env)->vpmu.lbr_format == LBR_FORMAT_TIME ? address :
           vpmu_canonical(env, address);
}

static void vpmu_branch(CPUX86State *env, SoftPMUBranch kind, bool is_next,
                        const VPMUPlace *from, const VPMUPlace *to)
{
    LBRFormat format = env_archcpu(env)->vpmu.lbr_format;
    LBRBranch branch = {
        .kind = kind,
        .ring = vpmu_ring(to->hflags),
        .is_next = is_next,
        .from = vpmu_lbr_address(env, format, from),
        .to = vpmu_lbr_address(env, format, to),
    };

    lbr_record(&env->vpmu.lbr, format, &branch, env->vpmu_host.hw.cycles);
    if (vpmu_bts_runs(env, vpmu_ring(from->hflags))) {
        vpmu_bts(env, vpmu_record_address(env, from, from->cs_base),
                 vpmu_record_address(env, to, to->cs_base));
    }
}

void vpmu_near_branch(CPUX86State *env, SoftPMUBranch kind, uint64_t from,
                      uint64_t to, bool is_next)
{
    VPMUPlace here = vpmu_place(env);
    VPMUPlace there = here;

    here.eip = from;
    there.eip = to;
    vpmu_branch(env, kind, is_next, &here, &there);
}

void vpmu_far_branch(CPUX86State *env, const VPMUPlace *from)
{
    if (env->vpmu_host.hw.branches) {
        VPMUPlace to = vpmu_place(env);

        vpmu_branch(env, SOFTPMU_BR_FAR, false, from, &to);
    }
}

void vpmu_debug_exception(CPUX86State *env, const VPMUPlace *from)
{
    if (*vpmu_lbr_enable(env) & VPMU_DEBUGCTL_LBR) {
        vpmu_sync(env);
        vpmu_stop_lbr(env);
        vpmu_update(env);
    }
    /* Only the trace still has it. */
    vpmu_far_branch(env, from);
}
