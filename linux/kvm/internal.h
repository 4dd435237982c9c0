/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: what the files of this folder share
 *
 * Functions that are called from other files begin with kvm_vpmu_, those of
 * one file or of this header with vpmu_.
 */
#ifndef __KVM_VPMU_INTERNAL_H
#define __KVM_VPMU_INTERNAL_H

#include <linux/kvm_host.h>
#include "x86.h"
#include "cpuid.h"
#include "pmu.h"
#include "vpmu.h"

/*
 * Of IA32_PERF_CAPABILITIES; SDM volume 3, "Full-Width Writes to Performance
 * Counter Registers"
 */
#define VPMU_CAP_FULL_WIDTH	BIT_ULL(13)

#define vcpu_to_vpmu(vcpu)	(&(vcpu)->vpmu)
#define pmc_to_vpmu(pmc)	(&(pmc)->vcpu->vpmu)

/* The number in handover.h of the counter whose bit of GLOBAL_CTRL is @idx. */
static inline unsigned int vpmu_number_of(unsigned int idx)
{
	return idx < INTEL_PMC_IDX_FIXED ? idx :
	       VPMU_FIXED(idx - INTEL_PMC_IDX_FIXED);
}

static inline unsigned int vpmu_number(const struct kvm_pmc *pmc)
{
	return vpmu_number_of(pmc->idx);
}

/* Does the guest want PEBS records of this vPMC? */
static inline bool vpmu_makes_records(const struct kvm_pmc *pmc)
{
	return pmc_to_pmu(pmc)->pebs_enable & BIT_ULL(pmc->idx);
}

/* Shall the event of this vPMC be one that makes PEBS records? */
static inline bool vpmu_wants_precise(const struct kvm_pmc *pmc)
{
	return vpmu_makes_records(pmc) &&
	       !(pmc_to_vpmu(pmc)->plain & BIT_ULL(pmc->idx));
}

/* Is the fixed pPMC of this fixed vPMC's number reserved for the host? */
static inline bool vpmu_is_reserved(const struct kvm_pmc *pmc)
{
	return READ_ONCE(pmc_to_vpmu(pmc)->reserved) &
	       VPMU_MASK_OF(vpmu_number(pmc));
}

/** vpmu_drop_record - the vPMC's overflow gets no record, so reload the counter */
static inline void vpmu_drop_record(struct kvm_pmc *pmc)
{
	set_bit(pmc->idx, &pmc_to_vpmu(pmc)->dropped);
	/* Even if the guest has disabled the vPMC since */
	reprogram_counters(pmc_to_pmu(pmc), BIT_ULL(pmc->idx));
}

/**
 * kvm_vpmu_path - how a vPMC is backed
 *
 * Returns: KVM_VPMU_PATH_*
 */
int kvm_vpmu_path(struct kvm_pmc *pmc);

/* --- map.c --- */

/**
 * kvm_vpmu_add_stats - add the core's statistics since the last call
 *
 * Not its moves: perf decides which events move, see kvm_vpmu_note_index().
 */
void kvm_vpmu_add_stats(struct kvm_vcpu *vcpu);

/* --- pebs.c: called in the vCPU's thread; the guest's memory may make it wait --- */

/**
 * kvm_vpmu_finish_records - let the guest use the records that were made
 *
 * Translates them as kvm_vpmu_prepare_records() has noted, and puts the slots of
 * the DS area back.  May sleep, and must be called without a lock.
 */
void kvm_vpmu_finish_records(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_prepare_records - have the hardware make records where perf has the
 *	events
 *
 * Called after kvm_vpmu_finish_records(), and like that.  vPMCs for which it is
 * not possible become plain.
 */
void kvm_vpmu_prepare_records(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_reload_counter - reload a vPMC that has overflowed without a record
 *
 * Takes the value from the DS area, as the hardware does when it writes a
 * record; 0 if that cannot be read.  May sleep, and must be called without a
 * lock.
 */
void kvm_vpmu_reload_counter(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_host_makes_records - does perf make records of the host on this CPU?
 *
 * Then it lets no guest make any, see intel_guest_get_msrs(), and an event for
 * that would be in vain.
 */
bool kvm_vpmu_host_makes_records(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_retry_records - let perf be asked again for events that make records
 *
 * Not for a vPMC that still has such an event: perf has just refused to let that
 * one make records.
 */
void kvm_vpmu_retry_records(struct kvm_vcpu *vcpu);

#endif /* __KVM_VPMU_INTERNAL_H */
