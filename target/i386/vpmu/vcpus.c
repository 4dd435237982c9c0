/*
 * All vCPUs of the machine at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "vcpus.h"

/* @left: vCPUs that have yet to call @func; the BQL protects it */
typedef struct VPMURound {
    run_on_cpu_func func;
    QemuCond done;
    unsigned left;
} VPMURound;

typedef struct VPMUCall {
    VPMURound *round;
    void *args;
} VPMUCall;

GPtrArray *vpmu_vcpus(void)
{
    GPtrArray *vcpus = g_ptr_array_new_with_free_func(object_unref);
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!cs->unplug) {
            g_ptr_array_add(vcpus, object_ref(OBJECT(cs)));
        }
    }
    return vcpus;
}

static void vpmu_do_call(CPUState *cs, run_on_cpu_data data)
{
    const VPMUCall *call = data.host_ptr;
    VPMURound *round = call->round;

    round->func(cs, RUN_ON_CPU_HOST_PTR(call->args));
    if (!--round->left) {
        qemu_cond_signal(&round->done);
    }
}

void vpmu_run_on_vcpus(GPtrArray *vcpus, run_on_cpu_func func, void *args,
                       size_t size)
{
    VPMURound round = { .func = func, .left = vcpus->len };
    g_autofree VPMUCall *calls = g_new(VPMUCall, vcpus->len);

    qemu_cond_init(&round.done);
    for (unsigned i = 0; i < vcpus->len; i++) {
        calls[i] = (VPMUCall) { &round, (char *)args + i * size };
        async_run_on_cpu(g_ptr_array_index(vcpus, i), vpmu_do_call,
                         RUN_ON_CPU_HOST_PTR(&calls[i]));
    }
    while (round.left) {
        qemu_cond_wait_bql(&round.done);
    }
    qemu_cond_destroy(&round.done);
}
