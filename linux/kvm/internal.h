/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: what the files of this folder share
 */
#ifndef __KVM_VPMU_INTERNAL_H
#define __KVM_VPMU_INTERNAL_H

#include <linux/kvm_host.h>
#include "x86.h"
#include "pmu.h"

/* A bit that does not matter, see kvm_vpmu_wanted(). */
#define VPMU_GP_ONLY	ARCH_PERFMON_EVENTSEL_INV

#define vcpu_to_vpmu(vcpu)	(&vcpu_to_pmu(vcpu)->handover)
#define pmc_to_vpmu(pmc)	(&pmc_to_pmu(pmc)->handover)

/* The number that handover.h knows a vPMC by. */
static inline unsigned int vpmu_number(const struct kvm_pmc *pmc)
{
	return pmc->idx < KVM_FIXED_PMC_BASE_IDX ? pmc->idx :
	       VPMU_FIXED(pmc->idx - KVM_FIXED_PMC_BASE_IDX);
}

/**
 * vpmu_is_live - perf counts with the event on this CPU
 *
 * Interrupts are off; it stays so until they are on again.
 */
static inline bool vpmu_is_live(const struct perf_event *event)
{
	return event && event->state == PERF_EVENT_STATE_ACTIVE &&
	       event->oncpu == smp_processor_id() && event->hw.idx >= 0 &&
	       !(event->hw.state & PERF_HES_STOPPED);
}

/* Does the guest want records of this vPMC? */
static inline bool vpmu_makes_records(const struct kvm_pmc *pmc)
{
	return pmc_to_pmu(pmc)->pebs_enable & BIT_ULL(pmc->idx);
}

/* Is its event to be one that makes them? */
static inline bool vpmu_wants_precise(const struct kvm_pmc *pmc)
{
	return vpmu_makes_records(pmc) &&
	       !(pmc_to_vpmu(pmc)->plain & BIT_ULL(pmc->idx));
}

/**
 * vpmu_is_misplaced - perf has the event on a counter that will not do
 *
 * It is one of the other type, or has another number than a vPMC that makes
 * records, which intel_guest_get_msrs() does not let count.
 */
static inline bool vpmu_is_misplaced(struct kvm_pmc *pmc)
{
	int idx = pmc->perf_event->hw.idx;

	if (pmc->perf_event->attr.precise_ip)
		return idx != pmc->idx;
	return pmc_is_gp(pmc) != (idx < INTEL_PMC_IDX_FIXED);
}

/**
 * kvm_vpmu_wanted - what a vPMC shall count, as its event's hw.config has it
 */
u64 kvm_vpmu_wanted(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_fits - the event that there is will do for @wanted
 *
 * It is the same event of the hardware's, or perf would allow both on any
 * general-purpose counter.
 */
bool kvm_vpmu_fits(struct kvm_pmc *pmc, u64 wanted);

/**
 * kvm_vpmu_period - how much a vPMC with this value counts until it overflows
 */
u64 kvm_vpmu_period(struct kvm_pmc *pmc, u64 value);

/**
 * kvm_vpmu_path - KVM_VPMU_PATH_*
 */
int kvm_vpmu_path(struct kvm_pmc *pmc);

#endif /* __KVM_VPMU_INTERNAL_H */
