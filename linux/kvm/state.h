/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: what a VM and a vCPU have of it
 *
 * asm/kvm_host.h includes this file; struct kvm_pmu, struct kvm_arch and
 * struct kvm_vcpu_stat have these structures at their ends.
 */
#ifndef __KVM_VPMU_STATE_H
#define __KVM_VPMU_STATE_H

#include <linux/mutex.h>
#include "handover.h"

/**
 * struct kvm_vpmu_vm - of a VM
 * @on: hand-over is enabled; never changes once there is a vCPU
 * @reserved: the pPMCs that are the host's.  Written with kvm->lock held, read
 *	without
 * @slice: ns, written and read like @reserved
 * @slice_jiffies: the same, rounded up
 */
struct kvm_vpmu_vm {
	bool on;
	VPMUCounterMask reserved;
	s64 slice;
	unsigned long slice_jiffies;
};

/**
 * struct kvm_vpmu_vcpu - of a vCPU
 * @lock: protects @map.  The vCPU's thread holds it also while it creates and
 *	releases events; another thread that holds it may disable them
 * @map: which vPMC may have an event.  Its pPMCs say how many there are; the
 *	true index is the event's, as perf chooses it
 * @events: vPMCs that have an event, as bits of GLOBAL_CTRL.  This and all below
 *	belong to the vCPU's thread
 * @run: vPMCs that the guest lets count
 * @unserved: those of them that perf has no counter for at present
 * @unserved_since: when @unserved was last brought up to date, ns
 * @lost: those of @run that could not count when the guest was last entered
 * @plain: vPMCs that make records and count without: perf had no counter of
 *	their own number when it was last asked, or lets no guest make any
 * @dropped: those of them that have overflowed and were not reloaded yet; an
 *	NMI may set them
 * @index: the pPMC that a vPMC's event had when the guest last ran, or -1
 * @look_again: jiffies; not before then is perf asked for @unserved again, or
 *	to let @plain make records
 * @release_at: jiffies; then there may be something to release
 * @control_writes: writes to control registers that were not yet acted on
 */
struct kvm_vpmu_vcpu {
	struct mutex lock;	/* see above */
	Handover map;
	u64 events;
	u64 run;
	u64 unserved;
	u64 unserved_since;
	u64 lost;
	u64 plain;
	unsigned long dropped;
	s8 index[VPMU_NR];
	unsigned long look_again;
	unsigned long release_at;
	unsigned int control_writes;
};

#endif /* __KVM_VPMU_STATE_H */
