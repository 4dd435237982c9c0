/*
 * One virtual counter: where its registers are, and what it counts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything here is called by the vCPU's own thread, or while it is stopped.
 */
#ifndef TARGET_I386_VPMU_VPMC_H
#define TARGET_I386_VPMU_VPMC_H

#include "cpu.h"
#include "events.h"
#include "models.h"
#include "regs.h"

/**
 * vpmu_is_amd: whether the guest's PMU is AMD's, not Intel's
 */
static inline bool vpmu_is_amd(const X86CPU *cpu)
{
    return IS_AMD_CPU(&cpu->env);
}

/**
 * vpmu_has_global: whether the guest's PMU has global registers
 *
 * Intel's from version 2 on, AMD's with PerfMonV2.
 */
static inline bool vpmu_has_global(const X86CPU *cpu)
{
    return cpu->vpmu.version >= 2;
}

/**
 * vpmu_exists: whether the guest's PMU has counter @v
 */
static inline bool vpmu_exists(const X86CPU *cpu, unsigned v)
{
    return v < VPMU_NR && (cpu->vpmu.vpmcs & VPMU_MASK_OF(v));
}

/**
 * vpmu_has_pebs, vpmu_has_baseline: whether the guest's PMU has PEBS, and
 * adaptive records
 */
static inline bool vpmu_has_pebs(const X86CPU *cpu)
{
    return cpu->vpmu.pebs == ON_OFF_AUTO_ON;
}

static inline bool vpmu_has_baseline(const X86CPU *cpu)
{
    return vpmu_has_pebs(cpu) && cpu->vpmu.pebs_baseline == ON_OFF_AUTO_ON;
}

/**
 * vpmu_has_lbr: whether the guest's PMU has last branch records
 */
static inline bool vpmu_has_lbr(const X86CPU *cpu)
{
    return cpu->vpmu.software && cpu->vpmu.lbr_format != LBR_FORMAT_NONE;
}

/**
 * vpmu_has_bts: whether the guest's PMU has branch trace store
 */
static inline bool vpmu_has_bts(const X86CPU *cpu)
{
    return cpu->vpmu.software && cpu->vpmu.bts == ON_OFF_AUTO_ON;
}

/**
 * vpmu_has_arch_lbr: whether they are architectural ones
 */
static inline bool vpmu_has_arch_lbr(const X86CPU *cpu)
{
    return cpu->vpmu.software && cpu->vpmu.lbr_format == LBR_FORMAT_ARCH;
}

/**
 * vpmu_place: where the vCPU is; 64-bit code ignores the segment's base
 */
static inline VPMUPlace vpmu_place(const CPUX86State *env)
{
    return (VPMUPlace) {
        .eip = env->eip,
        .cs_base = env->hflags & HF_CS64_MASK ? 0 : env->segs[R_CS].base,
        .hflags = env->hflags,
    };
}

/**
 * vpmu_canonical: @address with what the paging mode ignores replaced by copies
 * of the highest bit that counts
 */
static inline uint64_t vpmu_canonical(const CPUX86State *env, uint64_t address)
{
    int shift = env->cr[4] & CR4_LA57_MASK ? 7 : 16;

    return (int64_t)(address << shift) >> shift;
}

/**
 * vpmu_pebs_capable: the counters that can have PEBS, if the PMU has it
 *
 * With baseline all can.
 */
static inline VPMUCounterMask vpmu_pebs_capable(const X86CPU *cpu)
{
    return vpmu_has_baseline(cpu) ? VPMU_MASK_ALL :
           !cpu->vpmu.software ? VPMU_MASK_GP :
           vpmu_model_find(cpu->env.cpuid_version)->pebs_gp;
}

/**
 * vpmu_pebs_enabled: the counters whose PEBS is on
 */
static inline VPMUCounterMask vpmu_pebs_enabled(CPUX86State *env)
{
    return vpmu_mask_from_reg(env->vpmu.pebs_enable) &
           vpmu_pebs_capable(env_archcpu(env));
}

/**
 * vpmu_status_bit: the bit of counter @v in GLOBAL_CTRL and GLOBAL_STATUS
 */
static inline uint64_t vpmu_status_bit(unsigned v)
{
    return vpmu_mask_to_reg(VPMU_MASK_OF(v));
}

/**
 * vpmu_value: the place of vPMC @v's value, 48 bits
 *
 * It is valid while @v has no pPMC, and otherwise after VPMUProvider.refresh()
 * and vpmu_unload().
 */
static inline uint64_t *vpmu_value(CPUX86State *env, unsigned v)
{
    return v < VPMU_NR_GP ? &env->msr_gp_counters[v] :
                            &env->msr_fixed_counters[vpmu_index_of(v)];
}

/**
 * vpmu_fixed_ctrl: the four bits of fixed vPMC @v in FIXED_CTR_CTRL
 */
static inline unsigned vpmu_fixed_ctrl(const CPUX86State *env, unsigned v)
{
    return env->msr_fixed_ctr_ctrl >> (4 * vpmu_index_of(v)) & 0xf;
}

/**
 * vpmu_interrupts: whether an overflow of vPMC @v is to raise an interrupt
 */
bool vpmu_interrupts(const CPUX86State *env, unsigned v);

/**
 * vpmu_is_adaptive: whether PEBS records of vPMC @v have the groups of
 * MSR_PEBS_DATA_CFG
 */
bool vpmu_is_adaptive(const CPUX86State *env, unsigned v);

/**
 * vpmu_model: the bit of the CPU's model in VPMUEvent.models
 */
uint32_t vpmu_model(const CPUX86State *env);

/**
 * vpmu_unsupported_code: what selects the @i-th event that the guest asked for
 * and that is not counted; 0: there is none
 */
static inline VPMUEventCode vpmu_unsupported_code(const VPMUState *s,
                                                  unsigned i)
{
    return s->unsupported[i] | s->unsupported_high[i] << 16;
}

/**
 * vpmu_gp_code: what selects the event of general-purpose vPMC @v
 */
VPMUEventCode vpmu_gp_code(const CPUX86State *env, unsigned v);

/**
 * vpmu_is_enabled: whether vPMC @v counts, all enables taken together
 */
bool vpmu_is_enabled(CPUX86State *env, unsigned v);

/**
 * vpmu_counter_config: what vPMC @v is set up to count
 * @event: the event, NULL if it is not a supported one
 */
SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event);

#endif /* TARGET_I386_VPMU_VPMC_H */
