/*
 * All vCPUs of the machine at once
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_VCPUS_H
#define TARGET_I386_VPMU_VCPUS_H

#include "hw/core/cpu.h"

/**
 * vpmu_nr_vcpus: how many there are
 *
 * By the main thread.
 */
unsigned vpmu_nr_vcpus(void);

/**
 * vpmu_run_on_vcpus: have every vCPU call @func in its own thread, outside of
 *     its execution loop
 * @args: for each vCPU, in the order of CPU_FOREACH(), an element of @size
 *     bytes that @func gets as host_ptr
 *
 * The vCPUs are asked at once: with one after the other, an answer takes as
 * long as the host's scheduler needs for all of them, one by one.  As @func is
 * called with the BQL held, it runs on one vCPU at a time.
 *
 * By the main thread, with the BQL held.  Returns when all have done it.
 */
void vpmu_run_on_vcpus(run_on_cpu_func func, void *args, size_t size);

#endif /* TARGET_I386_VPMU_VCPUS_H */
