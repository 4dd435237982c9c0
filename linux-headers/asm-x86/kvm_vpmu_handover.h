/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Counter hand-over: the interface between KVM and user space
 *
 * docs/specs/kvm-vpmu-handover.rst specifies it, with all errors.
 *
 * A counter has the number of its bit in IA32_PERF_GLOBAL_CTRL: general-purpose
 * counters have 0 to 31, fixed counters 32 and up.  A vPMC is a counter of the
 * guest, a pPMC a counter of the hardware.
 */
#ifndef _ASM_X86_KVM_VPMU_HANDOVER_H
#define _ASM_X86_KVM_VPMU_HANDOVER_H

#include <linux/types.h>

/*
 * KVM_CHECK_EXTENSION returns KVM_VPMU_HANDOVER_HAS_*, or 0 if there is no
 * hand-over.  KVM_ENABLE_CAP of a VM: args[0] is the address of a struct
 * kvm_vpmu_handover, the other arguments are 0.
 */
#define KVM_CAP_X86_VPMU_HANDOVER		0x76504d55

/* Hand-over can be enabled, with a reservation and a slice. */
#define KVM_VPMU_HANDOVER_HAS_ENABLE		(1 << 0)
/* The reservation can be changed while the VM runs. */
#define KVM_VPMU_HANDOVER_HAS_RESERVE		(1 << 1)
/* A vCPU has the attribute KVM_VPMU_HANDOVER_MAP. */
#define KVM_VPMU_HANDOVER_HAS_MAP		(1 << 2)
/* A vCPU's binary statistics include those of query-stats, with these names. */
#define KVM_VPMU_HANDOVER_HAS_STATS		(1 << 3)
/* Guest writes reach a pPMC that the guest holds without a call to perf. */
#define KVM_VPMU_HANDOVER_HAS_DIRECT		(1 << 4)
/* Cross-mapped counters also make PEBS records, which KVM translates. */
#define KVM_VPMU_HANDOVER_HAS_PEBS_SLOW		(1 << 5)

/* Reserve pPMCs even if the guest counts with them now. */
#define KVM_VPMU_HANDOVER_FORCE			(1 << 0)

/**
 * struct kvm_vpmu_handover - how a VM shares the counters with the host
 * @size: bytes of the structure as the caller knows it, at most 4096
 * @flags: KVM_VPMU_HANDOVER_FORCE, or 0
 * @host_gp: number of general-purpose pPMCs that are reserved for the host
 * @host_fixed: fixed pPMCs that are reserved for the host, bit j for fixed j
 * @slice_ns: time that a vPMC keeps its pPMC after it was last enabled.  0
 *	means 10 ms at first, and no change later
 * @reserved: 0
 *
 * A longer structure is accepted if everything that KVM does not know is 0.
 */
struct kvm_vpmu_handover {
	__u32 size;
	__u32 flags;
	__u32 host_gp;
	__u32 host_fixed;
	__u64 slice_ns;
	__u64 reserved[5];
};

/* The group of a vCPU's attributes. */
#define KVM_VPMU_HANDOVER_ATTRS			0x76504d55
/* An attribute that can be read: a struct kvm_vpmu_handover_map. */
#define KVM_VPMU_HANDOVER_MAP			0

/* How a vPMC is backed */
#define KVM_VPMU_PATH_IDLE			0 /* not enabled */
#define KVM_VPMU_PATH_FAST			1 /* by the pPMC of its number */
#define KVM_VPMU_PATH_SLOW			2 /* by another */
#define KVM_VPMU_PATH_STARVED			3 /* enabled, backed by none */

/**
 * struct kvm_vpmu_handover_vpmc - the state of a vPMC
 * @ppmc: pPMC that the vPMC had when the guest last ran, or -1
 * @path: KVM_VPMU_PATH_*
 * @reserved: 0
 */
struct kvm_vpmu_handover_vpmc {
	__s16 ppmc;
	__u8 path;
	__u8 reserved;
};

/**
 * struct kvm_vpmu_handover_map - which pPMC backs which vPMC of a vCPU
 * @size: bytes of the structure as the caller knows it, at most 4096; KVM
 *	writes that many, with 0 in whatever it does not know
 * @nr_gp: number of general-purpose vPMCs
 * @nr_fixed: number of fixed vPMCs
 * @host_gp: number of general-purpose pPMCs that are reserved for the host
 * @host_fixed: fixed pPMCs that are reserved for the host
 * @reserved: 0
 * @gp: the general-purpose vPMCs, @nr_gp of them
 * @fixed: the fixed vPMCs, @nr_fixed of them
 */
struct kvm_vpmu_handover_map {
	__u32 size;
	__u32 nr_gp;
	__u32 nr_fixed;
	__u32 host_gp;
	__u32 host_fixed;
	__u32 reserved;
	struct kvm_vpmu_handover_vpmc gp[32];
	struct kvm_vpmu_handover_vpmc fixed[16];
};

#endif /* _ASM_X86_KVM_VPMU_HANDOVER_H */
