/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: the capability and the attribute, with their errors
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <linux/kvm.h>
#include "handover.h"

void test_features(void)
{
    int kvm = open("/dev/kvm", O_RDWR);

    EQUAL(ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_VPMU_HANDOVER),
          KVM_VPMU_HANDOVER_HAS_ENABLE | KVM_VPMU_HANDOVER_HAS_RESERVE |
          KVM_VPMU_HANDOVER_HAS_MAP | KVM_VPMU_HANDOVER_HAS_STATS |
          KVM_VPMU_HANDOVER_HAS_DIRECT |
          KVM_VPMU_HANDOVER_HAS_PEBS_SLOW);
    close(kvm);
}

int handover_enable_cap(int vm, const void *args, uint64_t arg1,
                        uint32_t flags)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_VPMU_HANDOVER, .flags = flags,
        .args = { (uintptr_t)args, arg1 },
    };

    return ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
}

/* Requests that are wrong in themselves, for a VM that stays as it is */
static void check_wrong_requests(int vm)
{
    struct {
        struct kvm_vpmu_handover args;
        uint64_t more;
    } longer = { .args.size = sizeof(longer) };
    static struct {
        struct kvm_vpmu_handover args;
        char more[4096];
    } longest = { .args.size = sizeof(longest) };
    struct kvm_vpmu_handover args = handover_defaults;

    EQUAL(handover_enable_cap(vm, NULL, 0, 0), EFAULT);
    EQUAL(handover_enable_cap(vm, &args, 1, 0), EINVAL);
    EQUAL(handover_enable_cap(vm, &args, 0, 1), EINVAL);
    args.size--;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), EINVAL);
    EQUAL(handover_enable_cap(vm, &longest, 0, 0), E2BIG);
    args = handover_defaults;
    args.flags = 2;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), EINVAL);
    args = handover_defaults;
    args.reserved[4] = 1;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), EINVAL);
    longer.more = 1;
    EQUAL(handover_enable_cap(vm, &longer, 0, 0), E2BIG);
    args = handover_defaults;
    args.host_gp = NR_GP + 1;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), ERANGE);
    args.host_gp = 0;
    args.host_fixed = 1 << vm_pmu.fixed;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), ERANGE);
    args.host_fixed = 0;
    args.slice_ns = 61000000000;
    EQUAL(handover_enable_cap(vm, &args, 0, 0), ERANGE);

    /* None of them has enabled hand-over, so a correct request still can. */
    longer.more = 0;
    EQUAL(handover_enable_cap(vm, &longer, 0, 0), 0);
}

void test_errors(void)
{
    struct kvm_enable_cap no_pmu = {
        .cap = KVM_CAP_PMU_CAPABILITY, .args = { KVM_PMU_CAP_DISABLE },
    };
    int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);

    check_wrong_requests(vm);
    close(vm);

    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    EQUAL(ioctl(vm, KVM_ENABLE_CAP, &no_pmu), 0);
    EQUAL(handover_enable_cap(vm, &handover_defaults, 0, 0), ENXIO);
    close(vm);

    vm = ioctl(kvm, KVM_CREATE_VM, 0);
    close(ioctl(vm, KVM_CREATE_VCPU, 0));
    EQUAL(handover_enable_cap(vm, &handover_defaults, 0, 0), EEXIST);
    close(vm);
    close(kvm);
}

/* The request fails with @error. */
#define ATTRIBUTE_FAILS(vm, request, attr, error) do {  \
        EQUAL(ioctl((vm)->vcpu, request, attr), -1);    \
        EQUAL(errno, error);                            \
    } while (0)

void test_attribute(void)
{
    static struct {
        struct kvm_vpmu_handover_map map;
        char more[4096];
    } longest;
    struct kvm_vpmu_handover_map map = { 0 };
    struct kvm_device_attr attr = {
        .group = KVM_VPMU_HANDOVER_ATTRS, .attr = KVM_VPMU_HANDOVER_MAP,
        .addr = (uintptr_t)&map,
    };
    VM vm;

    vm_create(&vm, NULL);
    ATTRIBUTE_FAILS(&vm, KVM_HAS_DEVICE_ATTR, &attr, ENXIO);
    vm_destroy(&vm);

    guest_create(&vm);
    EQUAL(ioctl(vm.vcpu, KVM_HAS_DEVICE_ATTR, &attr), 0);
    ATTRIBUTE_FAILS(&vm, KVM_GET_DEVICE_ATTR, &attr, EINVAL);
    longest.map.size = sizeof(longest);
    attr.addr = (uintptr_t)&longest;
    ATTRIBUTE_FAILS(&vm, KVM_GET_DEVICE_ATTR, &attr, E2BIG);
    ATTRIBUTE_FAILS(&vm, KVM_SET_DEVICE_ATTR, &attr, EPERM);
    attr.attr = 1;
    ATTRIBUTE_FAILS(&vm, KVM_HAS_DEVICE_ATTR, &attr, ENXIO);
    attr.attr = KVM_VPMU_HANDOVER_MAP;
    attr.flags = 1;
    ATTRIBUTE_FAILS(&vm, KVM_GET_DEVICE_ATTR, &attr, EINVAL);
    vm_map(&vm, &map);
    EQUAL(map.nr_gp, NR_GP);
    EQUAL(map.nr_fixed, vm_pmu.fixed);
    EQUAL(map.host_gp, 0);
    EQUAL(map.gp[0].path, KVM_VPMU_PATH_IDLE);
    vm_destroy(&vm);
}

/* Without a request KVM counts in its own way, and there are no statistics. */
void test_not_asked(void)
{
    unsigned result;
    VM vm;

    vm_create(&vm, NULL);
    guest_enable(&vm, 0);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    guest_loop(&vm, TURNS);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_execute(&vm);
    COUNT(&vm, vm_result(&vm, result), USER_INSNS(TURNS));
    EQUAL(vm_stat(&vm, "hand-overs"), 0);
    EQUAL(vm_stat(&vm, "control-writes-direct"), 0);
    EQUAL(vm_handover(&vm, 0, 2, 0), EEXIST);
    vm_destroy(&vm);
}

/* User space gets the guest's accesses to the counter of vPMC 0. */
static void filter_counter(VM *vm)
{
    uint8_t none = 0;
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_X86_USER_SPACE_MSR,
        .args = { KVM_MSR_EXIT_REASON_FILTER },
    };
    struct kvm_msr_filter filter = {
        .flags = KVM_MSR_FILTER_DEFAULT_ALLOW,
        .ranges[0] = {
            .flags = KVM_MSR_FILTER_READ | KVM_MSR_FILTER_WRITE,
            .nmsrs = 1, .base = MSR_PMC(0), .bitmap = &none,
        },
    };

    TRUE(ioctl(vm->vm, KVM_ENABLE_CAP, &cap) == 0);
    TRUE(ioctl(vm->vm, KVM_X86_SET_MSR_FILTER, &filter) == 0);
}

/* Neither needs perf, so KVM handles both in the exit's fast path. */
void test_filter(void)
{
    unsigned result;
    VM vm;

    guest_create(&vm);
    guest_program(&vm, 0, EVENT_INSTRUCTIONS, 0);
    guest_enable(&vm, 1);
    guest_run(&vm, TURNS);

    filter_counter(&vm);
    guest_enable(&vm, 0);
    result = guest_read(&vm, 0);
    vm_op(&vm, OP_WRMSR, MSR_PMC(0), 5);
    vm_start(&vm);
    vm_run(&vm);
    EQUAL(vm.run->exit_reason, KVM_EXIT_X86_RDMSR);
    EQUAL(vm.run->msr.index, MSR_PMC(0));
    vm.run->msr.data = 42;
    vm_run(&vm);
    EQUAL(vm.run->exit_reason, KVM_EXIT_X86_WRMSR);
    EQUAL(vm.run->msr.index, MSR_PMC(0));
    EQUAL(vm.run->msr.data, 5);
    vm_finish(&vm);
    EQUAL(vm_result(&vm, result), 42);
    COUNT(&vm, vm_do(&vm, OP_RDPMC, 0, 0), USER_INSNS(TURNS));
    vm_destroy(&vm);
}
