/*
 * A machine's vCPUs, as the PMU's files find them, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_HW_CPU_H
#define TESTS_FUZZ_STUB_HW_CPU_H

#include "qom/object.h"

typedef struct CPUState {
    Object parent;
    int cpu_index;
    bool unplug;
} CPUState;

typedef struct run_on_cpu_data {
    void *host_ptr;
} run_on_cpu_data;

typedef void (*run_on_cpu_func)(CPUState *cs, run_on_cpu_data data);

#define RUN_ON_CPU_HOST_PTR(pointer) ((run_on_cpu_data) { pointer })

void async_run_on_cpu(CPUState *cs, run_on_cpu_func func,
                      run_on_cpu_data data);

/* The vCPU with this index among those that are plugged in, or NULL */
CPUState *machine_vcpu(unsigned i);

#define first_cpu           machine_vcpu(0)
#define CPU_FOREACH(cs) for (int i_ = 0; (cs = machine_vcpu(i_)); i_++)

#endif /* TESTS_FUZZ_STUB_HW_CPU_H */
