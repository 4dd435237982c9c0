/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: what KVM's own files call
 *
 * Host perf gives a vPMC a counter once: the event that KVM creates for it
 * today, pinned, of the vCPU's thread, and not counting in the host.  While
 * perf has it scheduled it is the guest's.  What the guest does with it then
 * goes to the hardware; the event is kept as if perf had done it, so perf may
 * stop it, move it or take it away at any time.  What perf does to it is seen
 * at the next VM entry.
 *
 * Which vPMC may have an event is for handover.h to say.
 *
 * For a VM that has not enabled it every function here does nothing and says
 * so, and KVM goes on as it does without these files.
 */
#ifndef __KVM_VPMU_H
#define __KVM_VPMU_H

#include <linux/kvm_host.h>
#include <linux/perf_event.h>
#include <asm/perf_event.h>

static inline bool kvm_vpmu_on(const struct kvm_vcpu *vcpu)
{
	return unlikely(vcpu->kvm->arch.vpmu.on);
}

/* --- abi.c: capability and attribute, docs/specs/kvm-vpmu-handover.rst --- */

/**
 * kvm_vpmu_features - the answer to KVM_CHECK_EXTENSION
 *
 * Returns: KVM_VPMU_HANDOVER_HAS_*, or 0: the module parameter is off, or the
 * host has no PMU of Intel's, version 2 or newer, with full-width writes.
 */
int kvm_vpmu_features(void);

/**
 * kvm_vpmu_enable_cap - KVM_ENABLE_CAP: enable hand-over or change it
 *
 * Takes kvm->lock.  Returns: 0 or an error, with nothing changed.
 */
int kvm_vpmu_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap);

/**
 * kvm_vpmu_device_attr - the vCPU's attributes
 * @ioctl: KVM_{HAS,GET,SET}_DEVICE_ATTR
 *
 * The caller holds vcpu->mutex.
 */
int kvm_vpmu_device_attr(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 struct kvm_device_attr *attr);

/* --- map.c: who may have an event --- */

/**
 * kvm_vpmu_init - a vCPU's PMU is new, all of it is 0
 */
void kvm_vpmu_init(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_reset - all events of the vCPU are gone
 */
void kvm_vpmu_reset(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_handle_event - KVM_REQ_PMU: bring the events up to date
 *
 * In the vCPU's thread, may sleep.  Returns: false if hand-over is not
 * enabled and KVM must do it.
 */
bool kvm_vpmu_handle_event(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_reserve - keep these pPMCs, and no others, for the host
 * @force: also if vPMCs that count become starved by it
 *
 * The caller holds kvm->lock.  When it returns, perf has what guests hold too
 * much of.  Returns: 0; -EBUSY if vPMCs would starve, with nothing changed.
 */
int kvm_vpmu_reserve(struct kvm *kvm, VPMUCounterMask reserved, bool force);

/**
 * kvm_vpmu_wrmsr - the guest, not its user, is about to write to an MSR
 */
void kvm_vpmu_wrmsr(struct kvm_vcpu *vcpu, u32 msr);

/**
 * kvm_vpmu_pmi - the guest is given a PMI
 */
void kvm_vpmu_pmi(struct kvm_vcpu *vcpu);

/* --- direct.c: counters that perf has scheduled --- */

/**
 * kvm_vpmu_read - add what the event of a vPMC has counted to @counter
 *
 * Returns: false with nothing added if perf has to be asked.
 */
bool kvm_vpmu_read(struct kvm_pmc *pmc, u64 *counter);

/**
 * kvm_vpmu_load - let the hardware overflow when the vPMC does
 *
 * After its value or its event select has changed.  Writes to the counter,
 * its event select and the event, as perf would.  Returns: false with nothing
 * done if perf has to do it: it does not have the event on this CPU now, the
 * vPMC counts another event than it was created for, or makes records.
 */
bool kvm_vpmu_load(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_drop_record - an overflow of a vPMC that makes records
 *
 * Also from an NMI.  Returns: false if it makes none, or the hardware has
 * written it.  Else there is no record, no PMI and no bit in GLOBAL_STATUS, and
 * with the next KVM_REQ_PMU the vPMC gets its value of the DS area.
 */
bool kvm_vpmu_drop_record(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_enter - right before VM entry, interrupts are off
 * @msrs: what perf_guest_get_msrs() has answered; the first is GLOBAL_CTRL
 *
 * Looks whether perf still has all events scheduled and takes those that the
 * guest does not let count out of GLOBAL_CTRL.  Has the guest left at once if
 * one of them cannot count as it is.  SDM volume 3, "Architectural
 * Performance Monitoring Version 2".
 */
void kvm_vpmu_enter(struct kvm_vcpu *vcpu, struct perf_guest_switch_msr *msrs);

/* --- debugfs.c --- */

/**
 * kvm_vpmu_debugfs - the file vpmu of a vCPU: one line with its map
 */
void kvm_vpmu_debugfs(struct kvm_vcpu *vcpu, struct dentry *folder);

/* --- pmu.c, KVM's own --- */

void kvm_perf_overflow(struct perf_event *event, struct perf_sample_data *data,
		       struct pt_regs *regs);
void __kvm_perf_overflow(struct kvm_pmc *pmc, bool in_pmi);
u64 pmc_get_pebs_precise_level(struct kvm_pmc *pmc);
bool pmc_event_is_allowed(struct kvm_pmc *pmc);
void pmc_stop_counter(struct kvm_pmc *pmc);

#endif /* __KVM_VPMU_H */
