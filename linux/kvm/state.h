/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: the state of a VM and of a vCPU
 *
 * asm/kvm_host.h includes this file; struct kvm_arch, struct kvm_vcpu_stat and
 * struct kvm_vcpu have these structures at their ends.
 */
#ifndef __KVM_VPMU_STATE_H
#define __KVM_VPMU_STATE_H

#include <linux/mutex.h>
#include "handover.h"

/**
 * struct kvm_vpmu_vm - state of a VM
 * @on: hand-over is enabled; does not change once the VM has a vCPU
 * @reserved: pPMCs that are reserved for the host.  Written with kvm->lock
 *	held, read without it
 * @slice: time that a vPMC keeps its pPMC after it was last enabled, ns.
 *	Written and read like @reserved
 * @slice_jiffies: @slice in jiffies, rounded up
 */
struct kvm_vpmu_vm {
	bool on;
	VPMUCounterMask reserved;
	s64 slice;
	unsigned long slice_jiffies;
};

/**
 * struct kvm_vpmu_pebs - how the records of a vCPU are made
 * @map: on which pPMC a vPMC may make records; one that is on another, or not
 *	in it, must not count
 * @enable: the pPMCs that may make records, as bits of PEBS_ENABLE
 * @crossed: vPMCs whose event makes records on another pPMC than their own
 * @rearranged: the slots of the guest's DS area are as the hardware needs them,
 *	and the fields below are valid
 * @ds: where the DS area's part for records begins, linear address in the guest
 * @next: where the next record was to come, likewise
 * @maximum: where the guest's buffer ends, likewise
 * @moved: pPMCs whose slot has another value than the guest has written
 * @vslots: the slots as the guest has filled them
 * @pslots: the slots as the hardware needs them
 */
struct kvm_vpmu_pebs {
	Handover map;
	u64 enable;
	u64 crossed;
	bool rearranged;
	u64 ds;
	u64 next;
	u64 maximum;
	VPMUCounterMask moved;
	u64 vslots[VPMU_NR];
	u64 pslots[VPMU_NR];
};

/**
 * struct kvm_vpmu_vcpu - state of a vCPU
 * @lock: protects @map, @spilled and @ready.  The vCPU's thread also holds it
 *	while it creates and releases events; another thread may disable events
 *	while it holds it.  Nobody accesses guest memory while holding it
 * @map: which vPMCs may have an event: those that have a pPMC in it.  Which
 *	pPMC an event really has is perf's choice, and is in the event
 * @reserved: the VM's reservation as of when @map was last changed; another
 *	thread may be changing that of the VM.  Written with @lock held
 * @spilled: fixed pPMCs that perf did not have for the vPMC of that number, and
 *	gave a general-purpose one instead.  In @map they are reserved, so that
 *	it counts that one
 * @ready: vPMCs that can be enabled and disabled without KVM_REQ_PMU.  They may
 *	have an event; what was written to them since the last KVM_REQ_PMU is
 *	loaded when they are enabled
 * @events: vPMCs that have an event, as bits of GLOBAL_CTRL.  This field and
 *	all below belong to the vCPU's thread
 * @run: vPMCs that are enabled and may have an event
 * @unscheduled: those of @run for which perf has no counter at present
 * @unscheduled_since: time up to which @unscheduled was added to the
 *	statistics, ns
 * @reenters: interrupts have been disabled since the last VM entry, and it was
 *	set up for what @run still is
 * @forced_exits: how often in a row the guest was made to exit at once because
 *	those of @run could not count
 * @bound: vPMCs whose pPMC was set to count another event than perf has chosen
 *	it for, which may be wrong on any other pPMC than that of the same index
 * @plain: vPMCs that should make records, but count with an event that makes
 *	none: perf did not have a counter that can when it was last asked, lets
 *	no guest make records, or the guest's DS area cannot be accessed
 * @dropped: vPMCs that have overflowed without a record and were not reloaded
 *	yet; an NMI may set these bits
 * @pebs: the records of the others
 * @full_width: the guest may access counters as MSR_IA32_PMC0 and so on
 * @index: pPMC that the event of a vPMC had when the guest last ran, or -1
 * @retry_at: time before which perf is not asked again to schedule
 *	@unscheduled, or to let @plain make records, jiffies
 * @release_at: time from which there may be something to release, jiffies
 * @control_writes: writes to control registers that were not yet handled
 */
struct kvm_vpmu_vcpu {
	struct mutex lock;	/* see above */
	Handover map;
	VPMUCounterMask reserved;
	VPMUCounterMask spilled;
	u64 ready;
	u64 events;
	u64 run;
	u64 unscheduled;
	u64 unscheduled_since;
	bool reenters;
	unsigned int forced_exits;
	u64 bound;
	u64 plain;
	unsigned long dropped;
	struct kvm_vpmu_pebs pebs;
	bool full_width;
	s8 index[VPMU_NR];
	unsigned long retry_at;
	unsigned long release_at;
	unsigned int control_writes;
};

#endif /* __KVM_VPMU_STATE_H */
