/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: KVM_RUN ends for a signal
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <linux/kvm.h>
#include "handover.h"

#define SIGNALS     100

void guest_prevent_entry(VM *vm)
{
    struct {
        struct kvm_signal_mask head;
        uint64_t none;
    } mask = { .head.len = sizeof(mask.none) };
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    if (pthread_sigmask(SIG_BLOCK, &set, NULL) ||
        ioctl(vm->vcpu, KVM_SET_SIGNAL_MASK, &mask) || raise(SIGUSR1)) {
        die("signal mask");
    }
}

void guest_allow_entry(void)
{
    sigset_t set;
    int signal;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigwait(&set, &signal);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

void guest_try_entry(VM *vm)
{
    EQUAL(ioctl(vm->vcpu, KVM_RUN, 0), -1);
    EQUAL(errno, EINTR);
}

/*
 * Linux itself counts these ends, not KVM's modules: it has to find the
 * statistic in a vCPU at the place that it was built with.
 */
void test_signals(void)
{
    uint64_t before;
    VM vm;

    vm_create_idle(&vm, &handover_defaults);
    guest_prevent_entry(&vm);
    before = vm_stat(&vm, "signal_exits");
    for (unsigned i = 0; i < SIGNALS; i++) {
        guest_try_entry(&vm);
    }
    EQUAL(vm_stat(&vm, "signal_exits") - before, SIGNALS);
    guest_allow_entry();
    vm_destroy(&vm);
}
