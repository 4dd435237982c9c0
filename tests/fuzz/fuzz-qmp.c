/*
 * Let libFuzzer look for QMP commands that break a rule
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An operator calls the PMU's commands and those of its statistics, with
 * arguments of all kinds, while guests run and the machine is migrated.
 * qmp-call.c and qmp-check.c have the rules.
 *
 * Real are the commands and everything below them in target/i386/vpmu, the
 * marshallers and types that QEMU's generator makes of QEMU's whole schema,
 * QEMU's visitors, its objects of QMP, its errors, and its dispatch of
 * statistics.  Stubs are, in qmp-machine.c and stub/: the type system, of which
 * one type and one child are needed; threads, so that a vCPU answers while the
 * monitor waits; the accelerator, the state of the machine and its migration;
 * where events go; and, in qmp-kernel.c, a kernel that provides the PMU in one
 * of its modes.  The QMP dispatcher is left out: it looks the command up and
 * calls the marshaller.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "qmp-call.h"
#include "qmp-machine.h"

/*
 * Answers are many small objects, and each stack that is kept of them takes time.
 * ASAN_OPTIONS=malloc_context_size=30 has a report say who has allocated one.
 */
const char *__asan_default_options(void);

const char *__asan_default_options(void)
{
    return "malloc_context_size=0:quarantine_size_mb=1";
}

void vcpu_host(X86CPU *cpu, Stream *s)
{
    qmp_call(s);
}

static void step(Stream *s)
{
    unsigned what = take(s, 1);

    switch (what & 7) {
    case 0 ... 2:
        if (machine.nr) {
            machine_guest(&machine.vcpus[(what >> 3) % machine.nr], s);
        }
        break;
    case 3 ... 5:
        qmp_call(s);
        break;
    case 6:
        vcpu_pass_time((what >> 3) * SCALE_MS / 4);
        break;
    case 7:
        switch (what >> 3 & 7) {
        case 0:
            /* A kernel's guest would take its registers along itself. */
            if (!machine_has_kernel()) {
                machine_migrate(s);
            }
            break;
        case 1:
            machine_plug(s);
            break;
        case 2:
            machine_unplug();
            break;
        case 3:
            machine.migrates = !machine.migrates;
            break;
        case 4:
            machine.incoming = !machine.incoming;
            break;
        case 5:
            machine.kernel_error = machine.kernel_error ? 0 :
                                   what >> 6 & 1 ? -ENOTSUP : -EINVAL;
            break;
        }
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Stream s = { data, size };

    machine_power_on(&s);
    while (s.size) {
        step(&s);
    }
    for (unsigned i = 0; i < machine.nr && !machine_has_kernel(); i++) {
        vcpu_check_registers(&machine.vcpus[i]);
    }
    machine_power_off();
    return 0;
}
