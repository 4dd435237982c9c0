/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * Counter hand-over: what KVM and its user say to each other
 *
 * docs/specs/kvm-vpmu-handover.rst says what it means, with all errors.
 *
 * A counter has the number of its bit in IA32_PERF_GLOBAL_CTRL: general
 * purpose 0 to 31, fixed from 32 on.  A vPMC is one as the guest sees it, a
 * pPMC one of the hardware's.
 */
#ifndef _ASM_X86_KVM_VPMU_HANDOVER_H
#define _ASM_X86_KVM_VPMU_HANDOVER_H

#include <linux/types.h>

/*
 * KVM_CHECK_EXTENSION: KVM_VPMU_HANDOVER_HAS_*, 0 without hand-over.
 * KVM_ENABLE_CAP of a VM: args[0] is the address of a struct
 * kvm_vpmu_handover, the other arguments are 0.
 */
#define KVM_CAP_X86_VPMU_HANDOVER		0x76504d55

/* It can be enabled, with a reservation and a slice. */
#define KVM_VPMU_HANDOVER_HAS_ENABLE		(1 << 0)
/* The reservation can be changed later. */
#define KVM_VPMU_HANDOVER_HAS_RESERVE		(1 << 1)
/* A vCPU has the attribute KVM_VPMU_HANDOVER_MAP. */
#define KVM_VPMU_HANDOVER_HAS_MAP		(1 << 2)
/* A vCPU's binary statistics have those of query-stats, by the same names. */
#define KVM_VPMU_HANDOVER_HAS_STATS		(1 << 3)
/* The guest's writes go to a counter that it holds without perf. */
#define KVM_VPMU_HANDOVER_HAS_DIRECT		(1 << 4)
/* Cross-mapped counters make records, too, which are rewritten. */
#define KVM_VPMU_HANDOVER_HAS_PEBS_SLOW		(1 << 5)

/* Reserve also what the guest counts with now. */
#define KVM_VPMU_HANDOVER_FORCE			(1 << 0)

/**
 * struct kvm_vpmu_handover - how a VM shares the counters with the host
 * @size: bytes of the structure as the caller knows it, at most 4096
 * @flags: KVM_VPMU_HANDOVER_FORCE, or 0
 * @host_gp: how many general-purpose pPMCs are the host's
 * @host_fixed: fixed pPMCs that are the host's, bit j for fixed j
 * @slice_ns: time that a vPMC keeps its pPMC after it was last enabled.  0 is
 *	10 ms at first, and as it was later
 * @reserved: 0
 *
 * A longer structure is accepted if all that KVM does not know is 0.
 */
struct kvm_vpmu_handover {
	__u32 size;
	__u32 flags;
	__u32 host_gp;
	__u32 host_fixed;
	__u64 slice_ns;
	__u64 reserved[5];
};

/* Group of attributes of a vCPU. */
#define KVM_VPMU_HANDOVER_ATTRS			0x76504d55
/* Attribute, can be read: a struct kvm_vpmu_handover_map */
#define KVM_VPMU_HANDOVER_MAP			0

/* How a vPMC is backed. */
#define KVM_VPMU_PATH_IDLE			0 /* not enabled */
#define KVM_VPMU_PATH_FAST			1 /* by the pPMC of its number */
#define KVM_VPMU_PATH_SLOW			2 /* by another, or without records */
#define KVM_VPMU_PATH_STARVED			3 /* enabled, backed by none */

/**
 * struct kvm_vpmu_handover_vpmc - one vPMC
 * @ppmc: the pPMC that it had when it last ran, or -1
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
 *	writes no more, and 0 to what it does not know
 * @nr_gp: general-purpose vPMCs
 * @nr_fixed: fixed vPMCs
 * @host_gp: how many general-purpose pPMCs are the host's
 * @host_fixed: fixed pPMCs that are the host's
 * @reserved: 0
 * @gp: general-purpose vPMCs, @nr_gp of them
 * @fixed: fixed vPMCs, @nr_fixed of them
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
