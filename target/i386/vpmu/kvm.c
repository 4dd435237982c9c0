/*
 * KVM as the provider of the guest's PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The kernel serves the guest's registers.  This file says in which mode it
 * does so, switches off what the guest must not have, and carries the registers
 * that QEMU does not know.
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <asm/kvm_vpmu_handover.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include "kvm-handover.h"
#include "kvm-mode.h"
#include "provider.h"
#include "regs.h"
#include "trace.h"

#define SYS_MODULE "/sys/module"

static VpmuMode kvm_vpmu_mode(X86CPU *cpu, const char **reason)
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
            "(enable_mediated_pmu): the host cannot reserve counters" },
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
    if (cpu->vpmu.passthrough != ON_OFF_AUTO_OFF &&
        kvm_handover_has(KVM_VPMU_HANDOVER_HAS_ENABLE)) {
        *reason = kvm_handover_has(KVM_VPMU_HANDOVER_HAS_MAP) ?
            "KVM hands single counters of the host over to the guest" :
            "KVM hands single counters of the host over to the guest; this "
            "kernel does not tell which";
        return VPMU_MODE_HANDOVER;
    }
    *reason = modes[mode].reason;
    return modes[mode].mode;
}

/*
 * An explicit pmu=off switches the PMU off in the kernel, too: otherwise
 * guests on AMD hosts have counters, and a mediated PMU is taken away from
 * the host for nothing.  The capability belongs to the VM and must be set
 * before its first vCPU.
 */
static bool kvm_vpmu_realize(X86CPU *cpu, Error **errp)
{
    const char *reason;
    int ret;

    if (kvm_vpmu_mode(cpu, &reason) == VPMU_MODE_HANDOVER) {
        cpu->vpmu.policy = true;
        cpu->vpmu.has_map = kvm_handover_has(KVM_VPMU_HANDOVER_HAS_MAP);
        cpu->vpmu.has_stats = kvm_handover_has(KVM_VPMU_HANDOVER_HAS_STATS);
        return first_cpu || kvm_handover_enable(cpu, errp);
    }
    if (first_cpu || !cpu->vpmu.pmu_set || cpu->enable_pmu ||
        !(kvm_check_extension(kvm_state, KVM_CAP_PMU_CAPABILITY) &
          KVM_PMU_CAP_DISABLE)) {
        return true;
    }
    ret = kvm_vm_enable_cap(kvm_state, KVM_CAP_PMU_CAPABILITY, 0,
                            KVM_PMU_CAP_DISABLE);
    trace_vpmu_kvm_disable(ret);
    if (ret) {
        error_setg_errno(errp, -ret, "pmu=off: KVM refuses to switch the "
                         "guest's PMU off; leave out pmu=off to start with "
                         "the kernel's default");
        return false;
    }
    return true;
}

/*
 * The PEBS registers that the guest has.  QEMU itself takes care of the PMU's
 * other registers.  SDM volume 3, "Processor Event Based Sampling (PEBS)
 * Facility".
 */
typedef struct PEBSMsrs {
    struct kvm_msrs info;
    struct kvm_msr_entry entries[3];
} PEBSMsrs;

static void kvm_vpmu_list_pebs_msrs(X86CPU *cpu, PEBSMsrs *msrs)
{
    uint64_t pebs = vpmu_kernel_pebs(cpu);
    uint32_t n = 0;

    memset(msrs, 0, sizeof(*msrs));
    if (!pebs) {
        return;
    }
    msrs->entries[n++].index = MSR_IA32_DS_AREA;
    if (pebs & VPMU_CAP_PEBS_BASELINE) {
        msrs->entries[n++].index = MSR_PEBS_DATA_CFG;
    }
    /* This register comes last, as it puts the others to work. */
    msrs->entries[n++].index = MSR_IA32_PEBS_ENABLE;
    msrs->info.nmsrs = n;
}

static uint64_t *kvm_vpmu_pebs_msr(VPMUState *s, uint32_t msr)
{
    return msr == MSR_IA32_DS_AREA ? &s->ds_area :
           msr == MSR_PEBS_DATA_CFG ? &s->pebs_data_cfg : &s->pebs_enable;
}

static int kvm_vpmu_access_pebs_msrs(X86CPU *cpu, PEBSMsrs *msrs, int ioctl)
{
    int ret = kvm_vcpu_ioctl(CPU(cpu), ioctl, msrs);

    if (ret >= 0 && ret < msrs->info.nmsrs) {
        error_report("KVM does not have register 0x%x as the guest's PEBS "
                     "needs it: start the guest with pebs=off in -cpu",
                     msrs->entries[ret].index);
        return -EINVAL;
    }
    return MIN(ret, 0);
}

int vpmu_kvm_get_msrs(X86CPU *cpu)
{
    PEBSMsrs msrs;
    int ret;

    kvm_vpmu_list_pebs_msrs(cpu, &msrs);
    if (!msrs.info.nmsrs) {
        return 0;
    }
    ret = kvm_vpmu_access_pebs_msrs(cpu, &msrs, KVM_GET_MSRS);
    for (unsigned i = 0; !ret && i < msrs.info.nmsrs; i++) {
        *kvm_vpmu_pebs_msr(&cpu->env.vpmu, msrs.entries[i].index) =
            msrs.entries[i].data;
    }
    return ret;
}

int vpmu_kvm_put_msrs(X86CPU *cpu, int level)
{
    PEBSMsrs msrs;

    kvm_vpmu_list_pebs_msrs(cpu, &msrs);
    if (!msrs.info.nmsrs || level < KVM_PUT_RESET_STATE) {
        return 0;
    }
    for (unsigned i = 0; i < msrs.info.nmsrs; i++) {
        msrs.entries[i].data = *kvm_vpmu_pebs_msr(&cpu->env.vpmu,
                                         msrs.entries[i].index);
    }
    return kvm_vpmu_access_pebs_msrs(cpu, &msrs, KVM_SET_MSRS);
}

const VPMUProvider vpmu_provider_kvm = {
    .mode = kvm_vpmu_mode,
    .refresh = kvm_handover_refresh,
    .realize = kvm_vpmu_realize,
    .offer = kvm_handover_offer,
    .reserve = kvm_handover_reserve,
};
