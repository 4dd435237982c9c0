// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: the VM's capability and the vCPU's attribute
 *
 * docs/specs/kvm-vpmu-handover.rst specifies both.
 */
#include <linux/jiffies.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include "internal.h"
#include "kvm_vpmu_handover.h"

/* The structures of the first callers, which stay the shortest allowed. */
#define VPMU_ARGS_SIZE_MIN	64
#define VPMU_MAP_SIZE_MIN	(24 + 48 * 4)
static_assert(sizeof(struct kvm_vpmu_handover) >= VPMU_ARGS_SIZE_MIN);
static_assert(sizeof(struct kvm_vpmu_handover_map) >= VPMU_MAP_SIZE_MIN);
static_assert((int)HANDOVER_IDLE == KVM_VPMU_PATH_IDLE);
static_assert((int)HANDOVER_FAST == KVM_VPMU_PATH_FAST);
static_assert((int)HANDOVER_SLOW == KVM_VPMU_PATH_SLOW);
static_assert((int)HANDOVER_STARVED == KVM_VPMU_PATH_STARVED);

#define VPMU_SLICE_DEFAULT	(10 * NSEC_PER_MSEC)
#define VPMU_SLICE_MAX	(60 * NSEC_PER_SEC)

static bool __read_mostly vpmu_handover;
module_param(vpmu_handover, bool, 0444);
MODULE_PARM_DESC(vpmu_handover, "Let VMs use counter hand-over: host perf gives counters to their vCPUs");

/* Can a counter of the host be set to any value of its full width? */
static bool vpmu_has_full_width_writes(void)
{
	u64 caps;

	return boot_cpu_has(X86_FEATURE_PDCM) &&
	       !rdmsrl_safe(MSR_IA32_PERF_CAPABILITIES, &caps) &&
	       caps & VPMU_CAP_FULL_WIDTH;
}

int kvm_vpmu_features(void)
{
	if (!vpmu_handover || !enable_pmu || kvm_pmu_cap.version < 2 ||
	    boot_cpu_data.x86_vendor != X86_VENDOR_INTEL ||
	    !vpmu_has_full_width_writes())
		return 0;
	return KVM_VPMU_HANDOVER_HAS_ENABLE | KVM_VPMU_HANDOVER_HAS_RESERVE |
	       KVM_VPMU_HANDOVER_HAS_MAP | KVM_VPMU_HANDOVER_HAS_STATS |
	       KVM_VPMU_HANDOVER_HAS_DIRECT | KVM_VPMU_HANDOVER_HAS_PEBS_SLOW;
}

/*
 * The caller may know a shorter structure, what that lacks is 0; or a longer
 * one, what follows this one must be 0.
 */
static int vpmu_get_args(struct kvm_vpmu_handover *args, u64 address)
{
	void __user *from = u64_to_user_ptr(address);
	u32 size;
	int r;

	if (get_user(size, (u32 __user *)from))
		return -EFAULT;
	if (size < VPMU_ARGS_SIZE_MIN)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	r = copy_struct_from_user(args, sizeof(*args), from, size);
	if (r)
		return r;
	if (args->flags & ~KVM_VPMU_HANDOVER_FORCE ||
	    memchr_inv(args->reserved, 0, sizeof(args->reserved)))
		return -EINVAL;
	if (args->host_gp > kvm_pmu_cap.num_counters_gp ||
	    args->host_fixed >> kvm_pmu_cap.num_counters_fixed ||
	    args->slice_ns > VPMU_SLICE_MAX)
		return -ERANGE;
	return 0;
}

static void vpmu_set_slice(struct kvm_vpmu_vm *vm, u64 ns)
{
	WRITE_ONCE(vm->slice, ns);
	WRITE_ONCE(vm->slice_jiffies, nsecs_to_jiffies(ns) + 1);
}

int kvm_vpmu_enable_cap(struct kvm *kvm, struct kvm_enable_cap *cap)
{
	struct kvm_vpmu_vm *vm = &kvm->arch.vpmu;
	struct kvm_vpmu_handover args;
	VPMUCounterMask reserved;
	int r;

	if (!kvm_vpmu_features() || cap->args[1] || cap->args[2] || cap->args[3])
		return -EINVAL;
	r = vpmu_get_args(&args, cap->args[0]);
	if (r)
		return r;

	/*
	 * perf chooses the indices, so only the number matters.  Taking them
	 * from the top leaves most vPMCs the pPMC of their own index.
	 */
	reserved = handover_choose(VPMU_MASK_OF(kvm_pmu_cap.num_counters_gp) - 1,
				   0, 0, args.host_gp, false) |
		   args.host_fixed << VPMU_NR_GP;

	guard(mutex)(&kvm->lock);
	if (!kvm->arch.enable_pmu)
		return -ENXIO;
	if (!vm->on) {
		if (kvm->created_vcpus)
			return -EEXIST;
		vm->reserved = reserved;
		vpmu_set_slice(vm, args.slice_ns ?: VPMU_SLICE_DEFAULT);
		vm->on = true;
		return 0;
	}
	r = kvm_vpmu_reserve(kvm, reserved,
			     args.flags & KVM_VPMU_HANDOVER_FORCE);
	if (!r && args.slice_ns)
		vpmu_set_slice(vm, args.slice_ns);
	return r;
}

static void vpmu_describe_pmc(struct kvm_vpmu_handover_vpmc *to,
			      struct kvm_pmc *pmc)
{
	to->ppmc = pmc_to_vpmu(pmc)->index[vpmu_number(pmc)];
	to->path = kvm_vpmu_path(pmc);
}

static int vpmu_get_map(struct kvm_vcpu *vcpu, u64 address)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	void __user *to = u64_to_user_ptr(address);
	VPMUCounterMask reserved = READ_ONCE(vcpu->kvm->arch.vpmu.reserved);
	struct kvm_vpmu_handover_map map = {
		.nr_gp = pmu->nr_arch_gp_counters,
		.nr_fixed = pmu->nr_arch_fixed_counters,
		.host_gp = hweight32(reserved & VPMU_MASK_GP),
		.host_fixed = reserved >> VPMU_NR_GP,
	};
	unsigned int i;
	u32 size;

	if (get_user(map.size, (u32 __user *)to))
		return -EFAULT;
	if (map.size < VPMU_MAP_SIZE_MIN)
		return -EINVAL;
	if (map.size > PAGE_SIZE)
		return -E2BIG;
	scoped_guard(mutex, &vpmu->lock) {
		for (i = 0; i < map.nr_gp; i++)
			vpmu_describe_pmc(&map.gp[i], &pmu->gp_counters[i]);
		for (i = 0; i < map.nr_fixed; i++)
			vpmu_describe_pmc(&map.fixed[i], &pmu->fixed_counters[i]);
	}
	size = min_t(u32, map.size, sizeof(map));
	if (copy_to_user(to, &map, size) ||
	    clear_user(to + size, map.size - size))
		return -EFAULT;
	return 0;
}

int kvm_vpmu_device_attr(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 struct kvm_device_attr *attr)
{
	if (!kvm_vpmu_on(vcpu) || attr->attr != KVM_VPMU_HANDOVER_MAP)
		return -ENXIO;
	if (attr->flags)
		return -EINVAL;
	switch (ioctl) {
	case KVM_HAS_DEVICE_ATTR:
		return 0;
	case KVM_GET_DEVICE_ATTR:
		return vpmu_get_map(vcpu, attr->addr);
	default:
		return -EPERM;
	}
}
