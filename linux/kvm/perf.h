/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: perf's events, see perf.c
 *
 * Without another word these are called in the vCPU's thread.
 */
#ifndef __KVM_VPMU_PERF_H
#define __KVM_VPMU_PERF_H

#include "internal.h"

/**
 * vpmu_is_here - perf has scheduled the event on this CPU
 *
 * The caller has disabled interrupts; the answer holds until they are enabled.
 */
static inline bool vpmu_is_here(const struct perf_event *event)
{
	return event && event->state == PERF_EVENT_STATE_ACTIVE &&
	       event->oncpu == smp_processor_id() && event->hw.idx >= 0;
}

/**
 * vpmu_is_live - perf has scheduled the event on this CPU, and it counts
 *
 * The caller has disabled interrupts.  Until they are enabled nothing but an NMI
 * can stop the event, if perf finds that it overflows too often.
 */
static inline bool vpmu_is_live(const struct perf_event *event)
{
	return vpmu_is_here(event) && !(event->hw.state & PERF_HES_STOPPED);
}

/**
 * vpmu_ppmc - the pPMC that counts for a vPMC, as its bit of GLOBAL_CTRL, or -1
 *
 * Like vpmu_is_live().
 */
static inline int vpmu_ppmc(const struct kvm_pmc *pmc)
{
	return vpmu_is_live(pmc->perf_event) ? pmc->perf_event->hw.idx : -1;
}

/* Does the vPMC have an event that makes records? */
static inline bool vpmu_is_precise(const struct kvm_pmc *pmc)
{
	return pmc->perf_event && pmc->perf_event->attr.precise_ip;
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
 * kvm_vpmu_is_scheduled - perf counts with the vPMC's event, on a counter that
 *	the vPMC can use
 */
bool kvm_vpmu_is_scheduled(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_replace_event - release the event, and create one that counts @config
 * @precise: its precise_ip, not 0 if it shall make records
 *
 * May sleep; so may the next three.  The vPMC has no event if perf refuses.
 */
void kvm_vpmu_replace_event(struct kvm_pmc *pmc, u64 config, u64 precise);

/**
 * kvm_vpmu_resume_event - have perf schedule an event that fits again
 * @afresh: perf shall choose its counter again
 *
 * Because perf does not count with it now, or because only perf can set its
 * period.
 */
void kvm_vpmu_resume_event(struct kvm_pmc *pmc, u64 config, bool afresh);

/**
 * kvm_vpmu_disable_event - have perf stop the event, and forget its counter, in
 *	which it would put it again
 *
 * Another thread may call it, with the vCPU's lock.
 */
void kvm_vpmu_disable_event(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_release_event - release the event, if there is one
 */
void kvm_vpmu_release_event(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_period - how many events a vPMC with this value counts until it
 *	overflows
 */
u64 kvm_vpmu_period(struct kvm_pmc *pmc, u64 value);

/**
 * kvm_vpmu_load - let the pPMC overflow when the vPMC does
 *
 * To be called after the vPMC's value or event select has changed; interrupts may
 * be disabled.  Writes to the pPMC, its event select and the event's fields, as
 * perf would.
 *
 * Returns: false, and no more is done than to note whether KVM has to know of
 * overflows, if perf has to do it: perf does not have the event scheduled on this
 * CPU, the event was created for something else than the vPMC counts now, perf
 * does not allow the period, or the event makes records.
 */
bool kvm_vpmu_load(struct kvm_pmc *pmc);

/* --- called with interrupts disabled, for an event that is live --- */

/**
 * kvm_vpmu_note_index - note on which pPMC the event is, and whether it has moved
 */
void kvm_vpmu_note_index(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_correct_period - let the pPMC overflow after one event if it must
 *
 * For the sake of some old processors perf starts a counter with at least 2
 * events left.  When perf moves a counter that has 1 left, the overflow would
 * be an event late; a record would be lost if the event was released before.
 */
void kvm_vpmu_correct_period(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_has_lost_record - perf has set the pPMC anew after an overflow, before
 *	the record was made
 */
bool kvm_vpmu_has_lost_record(struct kvm_pmc *pmc);

#endif /* __KVM_VPMU_PERF_H */
