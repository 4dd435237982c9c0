/*
 * Virtual PMU backend of KVM: what the kernel offers by itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel serves the guest's registers; there is only a mode to tell.
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include "internal.h"

static VpmuMode kvm_mode(X86CPU *cpu, const char **reason)
{
    uint32_t version;

    if (!cpu->enable_pmu) {
        *reason = "the guest was not given a PMU: add pmu=on to -cpu";
        return VPMU_MODE_NONE;
    }
    /* Kernels before 5.18 do not know the capability, only the leaf. */
    version = kvm_arch_get_supported_cpuid(kvm_state, 0xa, 0, R_EAX) & 0xff;
    if (!kvm_check_extension(kvm_state, KVM_CAP_PMU_CAPABILITY) && !version) {
        *reason = "KVM offers none: the host has no PMU, or the parameter "
                  "enable_pmu of the module kvm is off";
        return VPMU_MODE_NONE;
    }
    *reason = "KVM provides the guest's PMU through perf events of the host";
    return VPMU_MODE_EMULATED;
}

const VPMUBackend vpmu_backend_kvm = {
    .mode = kvm_mode,
};
