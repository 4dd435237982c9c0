/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests only: the Intel PMU under SVM
 */
#ifndef __KVM_TEST_SVM_INTEL_PMU_H
#define __KVM_TEST_SVM_INTEL_PMU_H

#include <linux/kvm_host.h>

/**
 * test_svm_set_caps - set the PMU's capabilities, as vmx.c does
 */
void test_svm_set_caps(void);

/**
 * test_svm_load_pmu - load the MSRs that VMX would load on VM entry
 *
 * GIF is 0, so no NMI can see them.  A counter of kernel mode starts a few
 * instructions before VMRUN; a counter of user mode starts in the guest.
 */
void test_svm_load_pmu(struct kvm_vcpu *vcpu);

/**
 * test_svm_put_pmu - load the MSRs that VMX would load on VM exit
 */
void test_svm_put_pmu(void);

/* In pmu_intel.c; vmx.h declares them. */
int intel_pmu_create_guest_lbr_event(struct kvm_vcpu *vcpu);
void vmx_passthrough_lbr_msrs(struct kvm_vcpu *vcpu);
void intel_pmu_cross_mapped_check(struct kvm_pmu *pmu);

#endif /* __KVM_TEST_SVM_INTEL_PMU_H */
