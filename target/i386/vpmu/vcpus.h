/*
 * All vCPUs of the machine at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_VCPUS_H
#define TARGET_I386_VPMU_VCPUS_H

#include "hw/core/cpu.h"

/**
 * vpmu_vcpus: those that there are, as CPUState, in the order of CPU_FOREACH()
 *
 * A vCPU that is being unplugged is none of them: its thread may have ended,
 * and then nothing that it is asked is ever answered.
 *
 * By the main thread, with the BQL held.  To be freed with g_ptr_array_unref();
 * until then the vCPUs exist, although one may be unplugged while
 * vpmu_run_on_vcpus() waits.
 */
GPtrArray *vpmu_vcpus(void);

/**
 * vpmu_run_on_vcpus: have each of @vcpus call @func in its own thread, outside
 *     of its execution loop
 * @vcpus: from vpmu_vcpus(), since when the BQL has not been released
 * @args: for each of @vcpus an element of @size bytes that @func gets as
 *     host_ptr
 *
 * The vCPUs are asked at once: with one after the other, an answer takes as
 * long as the host's scheduler needs for all of them, one by one.  As @func is
 * called with the BQL held, it runs on one vCPU at a time.  A vCPU that is
 * unplugged meanwhile calls @func before its thread ends.
 *
 * By the main thread, with the BQL held.  Returns when all have done it.
 */
void vpmu_run_on_vcpus(GPtrArray *vcpus, run_on_cpu_func func, void *args,
                       size_t size);

#endif /* TARGET_I386_VPMU_VCPUS_H */
