/*
 * How the guest's PMU is provided: by the software PMU of TCG, or by a kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "system/kvm.h"
#include "system/tcg.h"
#include "provider.h"
#include "regs.h"

const VPMUProvider *vpmu_provider(void)
{
    return tcg_enabled() ? &vpmu_provider_tcg :
           kvm_enabled() ? &vpmu_provider_kvm : NULL;
}

VpmuMode vpmu_mode(X86CPU *cpu, const char **reason)
{
    const VPMUProvider *provider = vpmu_provider();

    if (!cpu) {
        *reason = "the machine has no CPU";
        return VPMU_MODE_NONE;
    }
    if (!provider) {
        *reason = "this accelerator has no virtual PMU: use KVM or TCG";
        return VPMU_MODE_NONE;
    }
    return provider->mode(cpu, reason);
}

VPMUCounterMask vpmu_ppmcs(const X86CPU *cpu)
{
    return ((1u << cpu->vpmu.total_gp) - 1) |
           ((1u << cpu->vpmu.nr_fixed) - 1) << VPMU_NR_GP;
}

uint64_t vpmu_kernel_pebs(const X86CPU *cpu)
{
    uint64_t pebs = cpu->env.features[FEAT_PERF_CAPABILITIES] & VPMU_CAP_PEBS;

    return cpu->enable_pmu && (cpu->env.features[FEAT_1_EDX] & CPUID_DTS) &&
           (pebs & VPMU_CAP_PEBS_FORMAT) ? pebs : 0;
}

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
