/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: what KVM's own files call
 *
 * Host perf gives a vPMC a counter once, for the event that KVM creates for it
 * today: a pinned event of the vCPU's thread that does not count in the host.
 * While perf has that event scheduled, the counter is the guest's: what the
 * guest does with it goes to the hardware, and the event's fields are kept as
 * if perf had done it.  So perf may stop the event, move it or take its counter
 * away at any time; the next VM entry notices.
 *
 * handover.h decides which vPMC may have an event.
 *
 * For a VM that has not enabled hand-over every function here does nothing and
 * says so, and KVM goes on as it does without these files.
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
 * Returns: KVM_VPMU_HANDOVER_HAS_*; 0 if the module parameter is off, or the
 * host has no Intel PMU of version 2 or newer with full-width writes.
 */
int kvm_vpmu_features(void);

/**
 * kvm_vpmu_enable_cap - KVM_ENABLE_CAP: enable hand-over, or change the
 *	reservation and the slice
 *
 * Takes kvm->lock.  Returns: 0, or an error with nothing changed.
 */
int kvm_vpmu_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap);

/**
 * kvm_vpmu_device_attr - access an attribute of the vCPU
 * @ioctl: KVM_{HAS,GET,SET}_DEVICE_ATTR
 *
 * The caller holds vcpu->mutex.  Returns: 0 or an error.
 */
int kvm_vpmu_device_attr(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 struct kvm_device_attr *attr);

/* --- map.c: which vPMC may have an event --- */

/**
 * kvm_vpmu_init - initialize the state of a new vCPU, which is all 0
 */
void kvm_vpmu_init(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_reset - release all events of the vCPU, and forget them
 *
 * Called before KVM resets the vCPU's PMU.  Another thread may be reserving
 * pPMCs, so nobody may release an event of a VM that has enabled hand-over
 * without the lock that this function takes.
 */
void kvm_vpmu_reset(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_handle_event - KVM_REQ_PMU: bring the events up to date
 *
 * Called in the vCPU's thread; may sleep.  Returns: false if the VM has not
 * enabled hand-over and KVM must do it.
 */
bool kvm_vpmu_handle_event(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_can_wait - GLOBAL_CTRL has a vPMC disabled, so what its registers say
 *	matters only when GLOBAL_CTRL enables it
 */
static inline bool kvm_vpmu_can_wait(const struct kvm_pmc *pmc)
{
	const struct kvm_pmu *pmu = &pmc->vcpu->arch.pmu;

	return kvm_vpmu_on(pmc->vcpu) && pmu->version > 1 &&
	       !(pmu->global_ctrl & BIT_ULL(pmc->idx));
}

/**
 * kvm_vpmu_settle - do what would be done before the guest is entered next
 *
 * The vCPU is about to wait for an event: KVM executes HLT and counts it, and if
 * that made a counter overflow, its PMI is the event.  Or KVM_RUN is about to
 * return: user space may save the vCPU, and does not see KVM's requests, so a
 * PMI or a record that is still one would be lost.  Records and DS area are then
 * in the guest's memory as the guest may see them.  Called in the vCPU's thread
 * with kvm->srcu held for reading; may sleep.
 */
void kvm_vpmu_settle(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_reserve - reserve these pPMCs, and no others, for the host
 * @force: reserve them even if vPMCs that count become starved
 *
 * The caller holds kvm->lock.  On return the events that the vCPUs may not have
 * any more are stopped, and perf can use their counters.  Returns: 0, or -EBUSY
 * if vPMCs would starve, with nothing changed.
 */
int kvm_vpmu_reserve(struct kvm *kvm, VPMUCounterMask reserved, bool force);

/**
 * kvm_vpmu_wrmsr - the guest itself, not user space, is about to write an MSR
 */
void kvm_vpmu_wrmsr(struct kvm_vcpu *vcpu, u32 msr);

/**
 * kvm_vpmu_pmi - a PMI is delivered to the guest
 */
void kvm_vpmu_pmi(struct kvm_vcpu *vcpu);

/* --- entry.c: VM entries, and exits that are handled in the fast path --- */

/**
 * kvm_vpmu_reprogram - vPMCs were enabled, disabled or set to other events
 * @changed: these vPMCs, as bits of GLOBAL_CTRL
 *
 * Called with vcpu->mutex held; interrupts may be disabled.  Returns: those of
 * @changed for which KVM_REQ_PMU has to be made.  For the others the next VM
 * entry does the rest.
 */
u64 kvm_vpmu_reprogram(struct kvm_vcpu *vcpu, u64 changed);

/**
 * kvm_vpmu_fastpath_wrmsr - the guest exits for WRMSR
 *
 * Called in the vCPU's thread with kvm->srcu held for reading and interrupts
 * disabled.  Returns: whether the write was executed.  If not, nothing was done:
 * the VM has not enabled hand-over, the MSR is none of the PMU's, the write is
 * not valid, user space has filtered it, it has to wait, or perf has to be asked.
 */
bool kvm_vpmu_fastpath_wrmsr(struct kvm_vcpu *vcpu, u32 msr, u64 data);

/**
 * kvm_vpmu_fastpath_read - the guest exits for RDMSR, or for RDPMC
 *
 * Called in the vCPU's thread with interrupts disabled.  Returns: what the exit
 * handler has to return; EXIT_FASTPATH_NONE, with nothing done, for the reasons
 * that kvm_vpmu_fastpath_wrmsr() has.
 */
fastpath_t kvm_vpmu_fastpath_read(struct kvm_vcpu *vcpu, bool rdpmc);

/**
 * kvm_vpmu_start_entering - the vCPU's thread is about to enter the guest, and
 *	then to enter it again after exits that it handles in the fast path
 *
 * Interrupts may be enabled, so perf may have changed anything.
 */
static inline void kvm_vpmu_start_entering(struct kvm_vcpu *vcpu)
{
	vcpu->vpmu.reenters = false;
}

/**
 * kvm_vpmu_enter - prepare the counters for a VM entry that is about to happen
 * @nr: set to the number of MSRs
 *
 * Called with interrupts disabled.  Asks perf for the MSRs of the guest, on
 * behalf of which it lets only those pPMCs make records that are prepared for
 * that.  Checks whether perf still has all events scheduled, and removes from
 * GLOBAL_CTRL those whose vPMC is not enabled.  If an enabled vPMC cannot count,
 * makes the guest exit at once, so that KVM_REQ_PMU is handled.  SDM volume 3,
 * "Architectural Performance Monitoring Version 2".
 *
 * After an exit that was handled in the fast path all of this would find what it
 * found before, because interrupts were disabled.  It is done again only if an NMI
 * has made KVM_REQ_PMU meanwhile, as it does when perf stops an event of the
 * guest's, or if the host makes records, which KVM has to stop before each VM entry.
 *
 * Returns: the answer of perf_guest_get_msrs(), of which the first is GLOBAL_CTRL,
 * or NULL if the MSRs are to be as at the last VM entry.
 */
struct perf_guest_switch_msr *kvm_vpmu_enter(struct kvm_vcpu *vcpu, int *nr);

/* --- perf.c: the counters of events that perf has scheduled --- */

/**
 * kvm_vpmu_read - add what the event of a vPMC has counted to @counter
 *
 * Returns: false, with nothing added, if perf has to be asked.
 */
bool kvm_vpmu_read(struct kvm_pmc *pmc, u64 *counter);

/**
 * kvm_vpmu_write_counter - let the pPMC overflow when the vPMC does, whose value
 *	was written
 *
 * Called with vcpu->mutex held; may sleep.  Returns: false, with nothing done,
 * if the VM has not enabled hand-over.
 */
bool kvm_vpmu_write_counter(struct kvm_pmc *pmc);

/**
 * kvm_vpmu_incr_counter - count what KVM has executed in the guest's place
 *
 * Called in the vCPU's thread; interrupts may be disabled.  Returns: false, with
 * nothing done, if KVM_REQ_PMU has to do it: the vPMC overflows, or perf has to
 * be asked.
 */
bool kvm_vpmu_incr_counter(struct kvm_pmc *pmc);

/* --- pebs.c: PEBS records --- */

/**
 * kvm_vpmu_rdmsr - the guest itself, not user space, reads an MSR of the PMU
 *
 * After that it may look for records, see kvm_vpmu_settle().
 */
void kvm_vpmu_rdmsr(struct kvm_vcpu *vcpu);

/**
 * kvm_vpmu_drop_record - a vPMC has overflowed: drop its record
 *
 * May be called from an NMI.  Returns: false, with nothing done, if the vPMC
 * makes no records or the hardware has written the record.  Otherwise there is
 * no record, no PMI and no bit in GLOBAL_STATUS, and the next KVM_REQ_PMU
 * reloads the vPMC from the DS area.
 */
bool kvm_vpmu_drop_record(struct kvm_pmc *pmc);

/* --- debugfs.c --- */

/**
 * kvm_vpmu_debugfs - create a vCPU's file vpmu, which shows its map in one line
 */
void kvm_vpmu_debugfs(struct kvm_vcpu *vcpu, struct dentry *folder);

#endif /* __KVM_VPMU_H */
