// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * For tests only: the Intel PMU under SVM
 *
 * An emulator offers SVM together with an Intel PMU, and none offers VMX.  This
 * file includes vmx/pmu_intel.c unchanged, with stand-ins for what that uses of
 * VMX: there is no LBR and no processor trace.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

/* Keep vmx/nested.h out. */
#define __KVM_X86_VMX_NESTED_H

#include <linux/kvm_host.h>
#include <linux/perf_event.h>
#include <asm/perf_event.h>
#include "x86.h"
#include "cpuid.h"
#include "pmu.h"
#include "vmx/capabilities.h"
#include "svm_intel_pmu.h"

#define MSR_TYPE_RW	3

struct lbr_desc {
	struct x86_pmu_lbr records;
	struct perf_event *event;
	bool msr_passthrough;
};

/* The answer of perf_guest_get_msrs(), between VM entry and exit. */
static DEFINE_PER_CPU(struct perf_guest_switch_msr *, test_svm_msrs);
static DEFINE_PER_CPU(int, test_svm_nr);

int __read_mostly pt_mode = PT_MODE_SYSTEM;
static struct lbr_desc no_lbr;
static struct x86_pmu_lbr vmx_lbr_caps;

static struct lbr_desc *vcpu_to_lbr_desc(struct kvm_vcpu *vcpu)
{
	return &no_lbr;
}

static struct x86_pmu_lbr *vcpu_to_lbr_records(struct kvm_vcpu *vcpu)
{
	return &no_lbr.records;
}

static bool intel_pmu_lbr_is_enabled(struct kvm_vcpu *vcpu)
{
	return false;
}

static u64 vmx_guest_debugctl_read(void)
{
	return 0;
}

static void vmx_guest_debugctl_write(struct kvm_vcpu *vcpu, u64 data)
{
}

static void vmx_set_intercept_for_msr(struct kvm_vcpu *vcpu, u32 msr, int type,
				      bool set)
{
}

#include "vmx/pmu_intel.c"

void __init test_svm_set_caps(void)
{
	u64 host;

	pr_warn("for tests only: this module is not to be used for anything else\n");
	kvm_caps.supported_perf_cap = PMU_CAP_FW_WRITES;
	if (!boot_cpu_has(X86_FEATURE_PEBS) || !kvm_pmu_cap.pebs_ept)
		return;
	rdmsrl(MSR_IA32_PERF_CAPABILITIES, host);
	kvm_caps.supported_perf_cap |= host & PERF_CAP_PEBS_MASK &
				       ~PERF_CAP_PEBS_BASELINE;
	kvm_cpu_cap_check_and_set(X86_FEATURE_DS);
	kvm_cpu_cap_check_and_set(X86_FEATURE_DTES64);
}

void test_svm_load_pmu(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct perf_guest_switch_msr *msrs;
	int i, nr;

	pmu->host_cross_mapped_mask = 0;
	if (pmu->pebs_enable & pmu->global_ctrl)
		intel_pmu_cross_mapped_check(pmu);
	msrs = perf_guest_get_msrs(&nr, pmu);
	if (!msrs)
		return;
	kvm_vpmu_enter(vcpu, msrs);
	/* GLOBAL_CTRL is the first of them; writing it starts the counters. */
	for (i = nr - 1; i >= 0; i--) {
		if (msrs[i].host != msrs[i].guest)
			wrmsrl(msrs[i].msr, msrs[i].guest);
	}
	this_cpu_write(test_svm_msrs, msrs);
	this_cpu_write(test_svm_nr, nr);
}

void test_svm_put_pmu(void)
{
	struct perf_guest_switch_msr *msrs = this_cpu_read(test_svm_msrs);
	int i, nr = this_cpu_read(test_svm_nr);

	this_cpu_write(test_svm_nr, 0);
	for (i = 0; i < nr; i++) {
		if (msrs[i].host != msrs[i].guest)
			wrmsrl(msrs[i].msr, msrs[i].host);
	}
}
