/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: threads that change the reservation without a pause
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#include "handover.h"

#define NR_CALLERS  2
/* Calls that each thread makes at least */
#define CALLS       2000
#define LONG        (30 * TURNS)

/* The guest counts with this many general-purpose vPMCs, and with fixed 0. */
#define COUNTING    3
#define FIXED_0     (1ull << 32)

static struct {
    VM *vm;
    bool stop;
    unsigned calls[NR_CALLERS], errors;
} calls;

/*
 * Make each request once.  None of them has a vPMC starve.  Where fixed 0 is
 * reserved, another pPMC counts in its place.
 */
static unsigned call_all(void)
{
    const struct {
        int error;
        struct kvm_vpmu_handover args;
    } requests[] = {
        { 0, { .host_gp = NR_GP - COUNTING } },
        { EBUSY, { .host_gp = NR_GP - COUNTING + 1 } },
        { 0, { .host_gp = 1, .slice_ns = 1000000 } },
        { EBUSY, { .host_gp = NR_GP - COUNTING, .host_fixed = 1 } },
        { 0, { .host_gp = NR_GP - COUNTING - 1, .host_fixed = 1 } },
        { EINVAL, { .flags = 2 } },
        { 0, { .host_gp = NR_GP - COUNTING - 1, .host_fixed = 7,
               .flags = KVM_VPMU_HANDOVER_FORCE } },
        { EINVAL, { .size = 63 } },
        { EINVAL, { .reserved = { 1 } } },
        { E2BIG, { .size = 4097 } },
        { 0, { .host_fixed = 2, .slice_ns = 10000000000 } },
        { ERANGE, { .host_gp = NR_GP + 1 } },
        { ERANGE, { .host_fixed = 1u << 31 } },
        { ERANGE, { .slice_ns = 61000000000 } },
        { 0, { .flags = KVM_VPMU_HANDOVER_FORCE } },
    };
    const unsigned nr = sizeof(requests) / sizeof(*requests);
    struct kvm_vpmu_handover args;
    int vm = calls.vm->vm;
    unsigned errors = handover_enable_cap(vm, NULL, 0, 0) != EFAULT;

    for (unsigned i = 0; i < nr; i++) {
        args = requests[i].args;
        args.size = args.size ?: sizeof(args);
        errors += handover_enable_cap(vm, &args, 0, 0) != requests[i].error;
    }
    return errors;
}

static void *call_until_stopped(void *opaque)
{
    unsigned *n = opaque, errors;

    while (!__atomic_load_n(&calls.stop, __ATOMIC_ACQUIRE)) {
        errors = call_all();
        __atomic_add_fetch(&calls.errors, errors, __ATOMIC_RELAXED);
        __atomic_add_fetch(n, 16, __ATOMIC_RELEASE);
    }
    return opaque;
}

static bool have_called(void)
{
    for (unsigned i = 0; i < NR_CALLERS; i++) {
        if (__atomic_load_n(&calls.calls[i], __ATOMIC_ACQUIRE) < CALLS) {
            return false;
        }
    }
    return true;
}

/*
 * Count while others call, until fixed 0 has needed another event again and
 * again, @created; returns how many long loops the guest has done.
 */
static unsigned count_meanwhile(VM *vm, int created)
{
    pthread_t thread[NR_CALLERS];
    unsigned n = 0;

    calls = (typeof(calls)) { .vm = vm };
    for (unsigned i = 0; i < NR_CALLERS; i++) {
        if (pthread_create(&thread[i], NULL, call_until_stopped,
                           &calls.calls[i])) {
            die("pthread_create");
        }
    }
    while (!have_called() || host_trace_count(created) <= 1) {
        guest_run(vm, LONG);
        n++;
    }
    __atomic_store_n(&calls.stop, true, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < NR_CALLERS; i++) {
        pthread_join(thread[i], NULL);
    }
    printf("# %u and %u calls", calls.calls[0], calls.calls[1]);
    return n;
}

/* The answers are as specified, and no count is lost. */
void test_calls(void)
{
    struct kvm_vpmu_handover_map map;
    int created;
    unsigned n;
    VM vm;

    guest_create(&vm);
    guest_program_insns(&vm, COUNTING);
    vm_op(&vm, OP_WRMSR, MSR_FIXED(0), 0);
    vm_op(&vm, OP_WRMSR, MSR_FIXED_CTRL, 2);
    guest_enable(&vm, ((1 << COUNTING) - 1) | FIXED_0);
    vm_execute(&vm);
    created = host_trace_counter("kvm_vpmu_created");
    n = count_meanwhile(&vm, created);
    TRUE(n);
    printf(", %u loops, %lld events\n", n,
           (long long)host_trace_count(created));
    close(created);
    EQUAL(calls.errors, 0);
    for (unsigned i = 0; i < COUNTING; i++) {
        COUNT(&vm, guest_value(&vm, i), n * USER_INSNS(LONG));
    }
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_FIXED(0), 0), n * USER_INSNS(LONG));
    EQUAL(vm_stat(&vm, "evictions"), 0);
    EQUAL(vm_stat(&vm, "starved-ns"), 0);

    EQUAL(vm_handover(&vm, 0, 2, 4), 0);
    guest_enter_twice(&vm);
    vm_map(&vm, &map);
    EQUAL(map.host_gp, 2);
    EQUAL(map.host_fixed, 4);
    EQUAL(map.fixed[0].path, KVM_VPMU_PATH_FAST);
    vm_destroy(&vm);
    EQUAL(host_free(), NR_GP);
}
