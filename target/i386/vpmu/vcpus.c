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

unsigned vpmu_nr_vcpus(void)
{
    unsigned n = 0;
    CPUState *cs;

    CPU_FOREACH(cs) {
        n++;
    }
    return n;
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

void vpmu_run_on_vcpus(run_on_cpu_func func, void *args, size_t size)
{
    VPMURound round = { .func = func, .left = vpmu_nr_vcpus() };
    g_autofree VPMUCall *calls = g_new(VPMUCall, round.left);
    VPMUCall *call = calls;
    CPUState *cs;

    qemu_cond_init(&round.done);
    CPU_FOREACH(cs) {
        *call = (VPMUCall) { .round = &round, .args = args };
        async_run_on_cpu(cs, vpmu_do_call, RUN_ON_CPU_HOST_PTR(call++));
        args = (char *)args + size;
    }
    while (round.left) {
        qemu_cond_wait_bql(&round.done);
    }
    qemu_cond_destroy(&round.done);
}
