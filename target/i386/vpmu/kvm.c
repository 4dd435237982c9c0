/*
 * Virtual PMU backend of KVM: what the kernel offers by itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel serves the guest's registers; there is only a mode to tell.
 */
#include "qemu/osdep.h"
#include "internal.h"

static VpmuMode kvm_mode(X86CPU *cpu, const char **reason)
{
    uint32_t eax, ebx, ecx, edx;

    if (!cpu->enable_pmu) {
        *reason = "the guest was not given a PMU: add pmu=on to -cpu";
        return VPMU_MODE_NONE;
    }
    cpu_x86_cpuid(&cpu->env, 0xa, 0, &eax, &ebx, &ecx, &edx);
    if (IS_INTEL_CPU(&cpu->env) && !(eax & 0xff)) {
        *reason = "KVM offers no PMU on this host";
        return VPMU_MODE_NONE;
    }
    *reason = "KVM provides the guest's PMU through perf events of the host";
    return VPMU_MODE_EMULATED;
}

const VPMUBackend vpmu_backend_kvm = {
    .mode = kvm_mode,
};
