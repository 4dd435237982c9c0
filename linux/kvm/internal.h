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
#include "pmu.h"
#include "vpmu.h"

/* A bit that the hardware ignores, see kvm_vpmu_event_config(). */
#define VPMU_GP_ONLY	ARCH_PERFMON_EVENTSEL_INV

/* The bits of an event select for transactions; only some processors have any. */
#define VPMU_IN_TX	(HSW_IN_TX | HSW_IN_TX_CHECKPOINTED)

/* perf allows this period on any processor. */
#define VPMU_PERIOD_MIN	128

#define vcpu_to_vpmu(vcpu)	(&vcpu_to_pmu(vcpu)->handover)
#define pmc_to_vpmu(pmc)	(&pmc_to_pmu(pmc)->handover)

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

/**
 * vpmu_is_live - perf has scheduled the event on this CPU, and it counts
 *
 * The caller has disabled interrupts; the answer holds until they are enabled.
 */
static inline bool vpmu_is_live(const struct perf_event *event)
{
	return event && event->state == PERF_EVENT_STATE_ACTIVE &&
	       event->oncpu == smp_processor_id() && event->hw.idx >= 0 &&
	       !(event->hw.state & PERF_HES_STOPPED);
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
	return READ_ONCE(pmc->vcpu->kvm->arch.vpmu.reserved) &
	       VPMU_MASK_OF(vpmu_number(pmc));
}

/**
 * vpmu_is_misplaced - perf has the event on a counter that the vPMC cannot use
 *
 * A vPMC whose event counts something else than perf has chosen the counter for
 * needs the counter of its index.  Else a general-purpose vPMC can use any
 * general-purpose counter; if it makes records, any that the core knows.  A fixed
 * vPMC that makes records needs the counter of its index, too.  Another one can
 * use any general-purpose counter if the map has one for it; otherwise it can use
 * the fixed counter of its index, unless that is reserved.
 */
static inline bool vpmu_is_misplaced(struct kvm_pmc *pmc)
{
	int idx = pmc->perf_event->hw.idx, own;

	if (pmc->perf_event->attr.precise_ip)
		return idx != pmc->idx && (!pmc_is_gp(pmc) || idx >= VPMU_NR_GP);
	if (pmc_to_vpmu(pmc)->bound & BIT_ULL(pmc->idx))
		return idx != pmc->idx;
	if (pmc_is_gp(pmc))
		return idx >= INTEL_PMC_IDX_FIXED;
	if (idx == pmc->idx)
		return vpmu_is_reserved(pmc);
	own = pmc_to_vpmu(pmc)->map.phys[vpmu_number(pmc)];
	return own < 0 || own >= VPMU_NR_GP;
}

/**
 * vpmu_lacks_record - has a vPMC that makes records overflowed without one?
 * @value: its value
 *
 * The counter of such a vPMC was below 0 when perf set it, and each record sets
 * it below 0 again.  The record is made after the next instruction, or when
 * there is memory for it, unless perf stops the event before that.
 */
static inline bool vpmu_lacks_record(const struct kvm_pmc *pmc, u64 value)
{
	const u64 sign = BIT_ULL(kvm_pmu_cap.bit_width_gp - 1);

	return pmc->perf_event->attr.precise_ip && !(value & sign) &&
	       pmc->perf_event->hw.sample_period <= sign;
}

/** vpmu_drop_record - the vPMC's overflow gets no record, so reload the counter */
static inline void vpmu_drop_record(struct kvm_pmc *pmc)
{
	set_bit(pmc->idx, &pmc_to_vpmu(pmc)->dropped);
	/* Even if the guest has disabled the vPMC since */
	reprogram_counters(pmc_to_pmu(pmc), BIT_ULL(pmc->idx));
}

/* Is everything there for the records of this vPMC, if it makes any? */
static inline bool vpmu_is_prepared(const struct kvm_pmc *pmc)
{
	const struct perf_event *event = pmc->perf_event;

	return !event->attr.precise_ip ||
	       pmc_to_vpmu(pmc)->pebs.map.phys[vpmu_number(pmc)] ==
	       vpmu_number_of(event->hw.idx);
}

/* What perf notes of an event that counts @config, an hw.config. */
static inline void vpmu_set_event_config(struct perf_event *event, u64 config)
{
	event->hw.config = config;
	event->attr.config = config & (X86_RAW_EVENT_MASK | VPMU_IN_TX);
	event->attr.exclude_user = !(config & ARCH_PERFMON_EVENTSEL_USR);
	event->attr.exclude_kernel = !(config & ARCH_PERFMON_EVENTSEL_OS);
}

/**
 * kvm_vpmu_event_config - hw.config of an event that counts what the vPMC shall
 */
u64 kvm_vpmu_event_config(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_event_fits - the event that the vPMC has can count @config
 *
 * It belongs to this thread, and either its hardware event is the same, or its
 * counter can count both events.
 */
bool kvm_vpmu_event_fits(struct kvm_pmc *pmc, u64 config);

/**
 * kvm_vpmu_period - how many events a vPMC with this value counts until it
 *	overflows
 */
u64 kvm_vpmu_period(struct kvm_pmc *pmc, u64 value);

/**
 * kvm_vpmu_load - let the pPMC overflow when the vPMC does
 *
 * To be called after the vPMC's value or event select has changed.  Writes to
 * the pPMC, its event select and the event's fields, as perf would.
 *
 * Returns: false, with nothing done, if perf has to do it: perf does not have
 * the event scheduled on this CPU, the event was created for something else
 * than the vPMC counts now, perf does not allow the period, or the event makes
 * records.
 */
bool kvm_vpmu_load(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_allowed_period - the shortest period from @period on that perf allows
 */
u64 kvm_vpmu_allowed_period(struct perf_event *event, u64 period);

/**
 * kvm_vpmu_path - how a vPMC is backed
 *
 * Returns: KVM_VPMU_PATH_*
 */
int kvm_vpmu_path(struct kvm_pmc *pmc);

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
