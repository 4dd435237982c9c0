/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * For tests only: the Intel PMU under SVM
 */
#ifndef __KVM_TEST_SVM_INTEL_PMU_H
#define __KVM_TEST_SVM_INTEL_PMU_H

#include <linux/kvm_host.h>

/**
 * test_svm_set_caps - what vmx.c says about the PMU
 */
void test_svm_set_caps(void);

/**
 * test_svm_load_pmu - the MSRs that VMX would load on VM entry
 *
 * GIF is 0, so no NMI sees them.  Counters that count the kernel begin a few
 * instructions before VMRUN; those of user mode begin in the guest.
 */
void test_svm_load_pmu(struct kvm_vcpu *vcpu);

/**
 * test_svm_put_pmu - and those that it would load on VM exit
 */
void test_svm_put_pmu(void);

/* Of pmu_intel.c, declared in vmx.h. */
int intel_pmu_create_guest_lbr_event(struct kvm_vcpu *vcpu);
void vmx_passthrough_lbr_msrs(struct kvm_vcpu *vcpu);
void intel_pmu_cross_mapped_check(struct kvm_pmu *pmu);

#endif /* __KVM_TEST_SVM_INTEL_PMU_H */
