/*
 * Virtual PMU backend of KVM: what the kernel offers by itself
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel serves the guest's registers; there is only a mode to tell, and
 * to switch off what the guest shall not have.
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include "qapi/error.h"
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include "internal.h"
#include "kvm-mode.h"
#include "trace.h"

#define SYS_MODULE "/sys/module"

static VpmuMode kvm_mode(X86CPU *cpu, const char **reason)
{
    static const struct {
        VpmuMode mode;
        const char *reason;
    } modes[] = {
        [VPMU_KVM_NONE] = { VPMU_MODE_NONE,
            "the host has no PMU that KVM can use" },
        [VPMU_KVM_DISABLED] = { VPMU_MODE_NONE,
            "KVM offers none: the host has no PMU that it can use, or its "
            "parameter enable_pmu is off" },
        [VPMU_KVM_EMULATED] = { VPMU_MODE_EMULATED,
            "KVM provides the guest's PMU through perf events of the host" },
        [VPMU_KVM_MEDIATED] = { VPMU_MODE_MEDIATED,
            "KVM gives the guest the host's whole PMU while it runs "
            "(enable_mediated_pmu): the host cannot keep counters" },
    };
    int capability = kvm_check_extension(kvm_state, KVM_CAP_PMU_CAPABILITY);
    uint32_t version;
    VPMUKvmMode mode;

    version = kvm_arch_get_supported_cpuid(kvm_state, 0xa, 0, R_EAX) & 0xff;
    mode = vpmu_kvm_mode(SYS_MODULE, capability, version);
    if (!cpu->enable_pmu && cpu->vpmu.pmu_set && !capability &&
        mode == VPMU_KVM_EMULATED) {
        *reason = "pmu=off: CPUID shows the guest none, but this kernel "
                  "cannot switch it off (Linux 5.18 can)";
        return VPMU_MODE_NONE;
    }
    if (!cpu->enable_pmu) {
        *reason = "the guest was not given a PMU: add pmu=on to -cpu";
        return VPMU_MODE_NONE;
    }
    *reason = modes[mode].reason;
    return modes[mode].mode;
}

/*
 * An explicit pmu=off switches the PMU off in the kernel, too: otherwise
 * guests on AMD hosts have counters, and a mediated PMU is taken away from
 * the host for nothing.  The capability is the VM's, before its first vCPU.
 */
static bool kvm_realize(X86CPU *cpu, Error **errp)
{
    int ret;

    if (first_cpu || !cpu->vpmu.pmu_set || cpu->enable_pmu ||
        !(kvm_check_extension(kvm_state, KVM_CAP_PMU_CAPABILITY) &
          KVM_PMU_CAP_DISABLE)) {
        return true;
    }
    ret = kvm_vm_enable_cap(kvm_state, KVM_CAP_PMU_CAPABILITY, 0,
                            KVM_PMU_CAP_DISABLE);
    trace_vpmu_kvm_disable(ret);
    if (ret) {
        error_setg_errno(errp, -ret, "pmu=off: KVM does not switch the "
                         "guest's PMU off; leave out pmu=off to start with "
                         "the kernel's default");
        return false;
    }
    return true;
}

const VPMUBackend vpmu_backend_kvm = {
    .mode = kvm_mode,
    .realize = kvm_realize,
};
