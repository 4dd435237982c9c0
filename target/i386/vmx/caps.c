/*
 * VMX for TCG: what is offered, and the MSRs that say so
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "exec/exec-all.h"
#include "internal.h"
#include "system/tcg.h"
#include "tcg/helper-tcg.h"

#define VMX_BASIC_MEMORY_WB         (6ull << 50)
#define VMX_MISC_CR3_TARGETS_SHIFT  16
#define VMX_MISC_MAX_MSRS           (0ull << 25)    /* 512 */

/* All that is there, by feature word */
static const uint64_t vmx_offered[FEATURE_WORDS] = {
    [FEAT_1_ECX] =
        CPUID_EXT_VMX,
    [FEAT_VMX_PINBASED_CTLS] =
        VMX_PIN_BASED_EXT_INTR_MASK | VMX_PIN_BASED_NMI_EXITING |
        VMX_PIN_BASED_VIRTUAL_NMIS,
    [FEAT_VMX_PROCBASED_CTLS] =
        VMX_CPU_BASED_VIRTUAL_INTR_PENDING |
        VMX_CPU_BASED_USE_TSC_OFFSETING | VMX_CPU_BASED_HLT_EXITING |
        VMX_CPU_BASED_INVLPG_EXITING | VMX_CPU_BASED_MWAIT_EXITING |
        VMX_CPU_BASED_RDPMC_EXITING | VMX_CPU_BASED_RDTSC_EXITING |
        VMX_CPU_BASED_CR3_LOAD_EXITING |
        VMX_CPU_BASED_CR3_STORE_EXITING |
        VMX_CPU_BASED_CR8_LOAD_EXITING |
        VMX_CPU_BASED_CR8_STORE_EXITING |
        VMX_CPU_BASED_VIRTUAL_NMI_PENDING |
        VMX_CPU_BASED_MOV_DR_EXITING |
        VMX_CPU_BASED_UNCOND_IO_EXITING |
        VMX_CPU_BASED_USE_IO_BITMAPS | VMX_CPU_BASED_USE_MSR_BITMAPS |
        VMX_CPU_BASED_MONITOR_EXITING | VMX_CPU_BASED_PAUSE_EXITING |
        VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS,
    [FEAT_VMX_SECONDARY_CTLS] =
        VMX_SECONDARY_EXEC_ENABLE_EPT | VMX_SECONDARY_EXEC_DESC |
        VMX_SECONDARY_EXEC_RDTSCP | VMX_SECONDARY_EXEC_ENABLE_VPID |
        VMX_SECONDARY_EXEC_WBINVD_EXITING |
        VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST,
    [FEAT_VMX_EXIT_CTLS] =
        VMX_VM_EXIT_SAVE_DEBUG_CONTROLS | VMX_VM_EXIT_ACK_INTR_ON_EXIT |
        VMX_VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL |
        VMX_VM_EXIT_SAVE_IA32_PAT | VMX_VM_EXIT_LOAD_IA32_PAT |
        VMX_VM_EXIT_SAVE_IA32_EFER | VMX_VM_EXIT_LOAD_IA32_EFER,
    [FEAT_VMX_ENTRY_CTLS] =
        VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS | VMX_VM_ENTRY_IA32E_MODE |
        VMX_VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL |
        VMX_VM_ENTRY_LOAD_IA32_PAT | VMX_VM_ENTRY_LOAD_IA32_EFER,
    [FEAT_VMX_MISC] =
        MSR_VMX_MISC_STORE_LMA | MSR_VMX_MISC_ACTIVITY_HLT,
    [FEAT_VMX_EPT_VPID_CAPS] =
        MSR_VMX_EPT_EXECONLY | MSR_VMX_EPT_PAGE_WALK_LENGTH_4 |
        MSR_VMX_EPT_WB | MSR_VMX_EPT_2MB | MSR_VMX_EPT_1GB |
        MSR_VMX_EPT_INVEPT | MSR_VMX_EPT_AD_BITS |
        MSR_VMX_EPT_INVEPT_SINGLE_CONTEXT |
        MSR_VMX_EPT_INVEPT_ALL_CONTEXT | MSR_VMX_EPT_INVVPID |
        MSR_VMX_EPT_INVVPID_SINGLE_ADDR |
        MSR_VMX_EPT_INVVPID_SINGLE_CONTEXT |
        MSR_VMX_EPT_INVVPID_ALL_CONTEXT |
        MSR_VMX_EPT_INVVPID_SINGLE_CONTEXT_NOGLOBALS,
    [FEAT_VMX_BASIC] =
        MSR_VMX_BASIC_INS_OUTS | MSR_VMX_BASIC_TRUE_CTLS,
};

uint64_t vmx_supported_features(X86CPU *cpu, int word)
{
    if (!tcg_enabled()) {
        return 0;
    }
    /* A model that takes all it can get takes this only if it is told to. */
    if (cpu && cpu->max_features &&
        !(cpu->env.features[FEAT_1_ECX] & CPUID_EXT_VMX)) {
        return 0;
    }
    return vmx_offered[word];
}

bool vmx_expand_features(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;

    if (!tcg_enabled() || !(env->features[FEAT_1_ECX] & CPUID_EXT_VMX)) {
        return true;
    }
    if (!IS_INTEL_CPU(env)) {
        error_setg(errp, "vmx needs a CPU model with vendor GenuineIntel");
        return false;
    }
    if (env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM) {
        error_setg(errp, "vmx and svm exclude each other: add svm=off");
        return false;
    }
    for (int word = FEAT_VMX_PROCBASED_CTLS; word <= FEAT_VMX_VMFUNC; word++) {
        env->features[word] &= vmx_offered[word] | env->user_features[word];
    }
    /* No property has it, and "max" takes only what one has. */
    if (env->features[FEAT_VMX_SECONDARY_CTLS] & VMX_SECONDARY_EXEC_ENABLE_EPT) {
        env->features[FEAT_VMX_EPT_VPID_CAPS] |= MSR_VMX_EPT_WB;
    }
    return true;
}

uint64_t vmx_control_msr(CPUX86State *env, uint32_t msr)
{
    /* The last has no control that is 1 whether one wants it or not. */
    static const struct {
        int word;
        uint32_t default1;
    } controls[] = {
        { FEAT_VMX_PINBASED_CTLS, 0x00000016 },
        { FEAT_VMX_PROCBASED_CTLS, 0x0401e172 },
        { FEAT_VMX_EXIT_CTLS, 0x00036dff },
        { FEAT_VMX_ENTRY_CTLS, 0x000011ff },
        { FEAT_VMX_SECONDARY_CTLS, 0 },
    };
    bool is_true = msr >= MSR_IA32_VMX_TRUE_PINBASED_CTLS;
    unsigned n = is_true ? msr - MSR_IA32_VMX_TRUE_PINBASED_CTLS :
                 msr == MSR_IA32_VMX_PROCBASED_CTLS2 ? 4 :
                 msr - MSR_IA32_VMX_PINBASED_CTLS;
    uint32_t default1 = controls[n].default1;
    uint32_t features = env->features[controls[n].word];

    if (controls[n].word == FEAT_VMX_EXIT_CTLS &&
        (env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM)) {
        features |= VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    }
    return (is_true ? default1 & ~features : default1) |
           (uint64_t)(features | default1) << 32;
}

/* A VMX capability MSR, SDM volume 3, appendix A */
static uint64_t vmx_capability(CPUX86State *env, uint32_t msr)
{
    switch (msr) {
    case MSR_IA32_VMX_BASIC:
        return env->features[FEAT_VMX_BASIC] | VMX_BASIC_MEMORY_WB |
               (uint64_t)TARGET_PAGE_SIZE << 32 | VMCS_REVISION;
    case MSR_IA32_VMX_PINBASED_CTLS ... MSR_IA32_VMX_ENTRY_CTLS:
    case MSR_IA32_VMX_TRUE_PINBASED_CTLS ... MSR_IA32_VMX_TRUE_ENTRY_CTLS:
    case MSR_IA32_VMX_PROCBASED_CTLS2:
        return vmx_control_msr(env, msr);
    case MSR_IA32_VMX_MISC:
        return env->features[FEAT_VMX_MISC] | VMX_MISC_MAX_MSRS |
               VMX_NR_CR3_TARGETS << VMX_MISC_CR3_TARGETS_SHIFT;
    case MSR_IA32_VMX_CR0_FIXED0:
        return VMX_CR0_FIXED0;
    case MSR_IA32_VMX_CR0_FIXED1:
        return VMX_CR0_FIXED1;
    case MSR_IA32_VMX_CR4_FIXED0:
        return VMX_CR4_FIXED0;
    case MSR_IA32_VMX_CR4_FIXED1:
        return ~cr4_reserved_bits(env);
    case MSR_IA32_VMX_VMCS_ENUM:
        return VMCS_MAX_INDEX << 1;
    case MSR_IA32_VMX_EPT_VPID_CAP:
        return env->features[FEAT_VMX_EPT_VPID_CAPS];
    default:
        return 0;
    }
}

bool vmx_rdmsr(CPUX86State *env, uint64_t *value, uintptr_t retaddr)
{
    uint32_t msr = env->regs[R_ECX];

    if (!cpu_has_vmx(env)) {
        return false;
    }
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        *value = env->msr_ia32_feature_control;
        return true;
    case MSR_IA32_TSC:
        /* TCG has no such register, but KVM's guests read it directly. */
        env_cpu(env)->neg.can_do_io = true;
        *value = cpu_get_tsc(env) + env->tsc_offset;
        return true;
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_TRUE_ENTRY_CTLS:
        *value = vmx_capability(env, msr);
        return true;
    default:
        return false;
    }
}

bool vmx_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr)
{
    uint32_t msr = env->regs[R_ECX];

    if (!cpu_has_vmx(env)) {
        return false;
    }
    switch (msr) {
    case MSR_IA32_FEATURE_CONTROL:
        if ((env->msr_ia32_feature_control & FEATURE_CONTROL_LOCKED) ||
            (value & ~(FEATURE_CONTROL_LOCKED |
                       FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX))) {
            raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
        }
        env->msr_ia32_feature_control = value;
        return true;
    case MSR_IA32_VMX_BASIC ... MSR_IA32_VMX_TRUE_ENTRY_CTLS:
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    default:
        return false;
    }
}

/* Values that a control register cannot have, whether in VMX or not */
static bool vmx_is_bad_cr0(uint64_t cr0)
{
    return (cr0 >> 32) || ((cr0 & CR0_PG_MASK) && !(cr0 & CR0_PE_MASK)) ||
           ((cr0 & CR0_NW_MASK) && !(cr0 & CR0_CD_MASK));
}

static bool vmx_refuses_cr(CPUX86State *env, int reg, uint64_t value)
{
    uint64_t fixed0;

    switch (reg) {
    case 0:
        if (!cpu_has_vmx(env)) {
            return false;
        }
        fixed0 = env->vmx.on ? VMX_CR0_FIXED0 : 0;
        if (vmx_in_guest(env) &&
            (env->vmx.secondary & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST)) {
            fixed0 &= ~(CR0_PE_MASK | CR0_PG_MASK);
        }
        return vmx_is_bad_cr0(value) || (fixed0 & ~value) ||
               ((value & CR0_PG_MASK) && !(env->cr[0] & CR0_PG_MASK) &&
                (env->efer & MSR_EFER_LME) && !(env->cr[4] & CR4_PAE_MASK)) ||
               (!(value & CR0_PG_MASK) && (env->hflags & HF_CS64_MASK));
    case 4:
        return (value & cr4_reserved_bits(env)) ||
               (env->vmx.on && (VMX_CR4_FIXED0 & ~value));
    default:
        return false;
    }
}

/* Whether MOV to CR0, CR3 or CR4 loads the PDPTEs, SDM volume 3, 4.4.1 */
static bool vmx_loads_pdptes(CPUX86State *env, int reg, uint64_t value)
{
    uint64_t cr0 = reg == 0 ? value : env->cr[0];
    uint64_t cr4 = reg == 4 ? value : env->cr[4];

    return (cr0 & CR0_PG_MASK) && (cr4 & CR4_PAE_MASK) &&
           !(env->efer & MSR_EFER_LME) &&
           (reg == 3 ||
            ((cr0 ^ env->cr[0]) & (CR0_CD_MASK | CR0_NW_MASK | CR0_PG_MASK)) ||
            ((cr4 ^ env->cr[4]) & (CR4_PAE_MASK | CR4_PGE_MASK | CR4_PSE_MASK |
                                   CR4_SMEP_MASK)));
}

void vmx_check_cr(CPUX86State *env, int reg, uint64_t value, uintptr_t retaddr)
{
    if (vmx_refuses_cr(env, reg, value) ||
        (vmx_in_guest(env) && vmx_loads_pdptes(env, reg, value) &&
         !vmx_load_pdptes(env, reg == 3 ? value : env->cr[3], retaddr))) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
    }
}
