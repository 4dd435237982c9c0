/*
 * A machine with up to three vCPUs, as the PMU's QMP commands find it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Objects, threads, clocks, the state of the machine and the accelerator are
 * stubs.  A vCPU does what it is asked for while the monitor waits, and between
 * two questions its guest may go on.
 */
#ifndef TESTS_FUZZ_QMP_MACHINE_H
#define TESTS_FUZZ_QMP_MACHINE_H

#include "reservation.h"
#include "vcpu.h"

#define MACHINE_VCPUS 3

/**
 * Machine: @nr of @vcpus are plugged in
 * @migrates, @incoming: what migration_is_running() and the run state say
 * @kernel: the mode in which a kernel provides the PMU; VPMU_MODE_SOFTWARE: TCG
 *     does
 * @kernel_error: what the kernel answers to a reservation; 0: as the guest uses
 *     its counters
 * @reservation: the only child of @object, or NULL
 * @guest: where the guest's steps come from while the monitor waits; NULL: the
 *     guest does nothing then
 * @changes: how many VPMU_RESERVATION_CHANGED there were
 */
typedef struct Machine {
    Object object;
    X86CPU vcpus[MACHINE_VCPUS];
    unsigned nr;
    bool migrates;
    bool incoming;
    VpmuMode kernel;
    int kernel_error;
    Object *reservation;
    Stream *guest;
    unsigned changes;
} Machine;

extern Machine machine;

/**
 * machine_has_kernel: whether a kernel provides the PMU
 */
static inline bool machine_has_kernel(void)
{
    return machine.kernel != VPMU_MODE_SOFTWARE;
}

/**
 * kernel_guest: have the guest of a vCPU enable other counters
 */
void kernel_guest(X86CPU *cpu, Stream *s);

/**
 * machine_power_on: a new machine; the stream has its properties
 */
void machine_power_on(Stream *s);

/**
 * machine_power_off: free what it has
 */
void machine_power_off(void);

/**
 * machine_guest: have the guest of a vCPU go on as the stream says
 */
void machine_guest(X86CPU *cpu, Stream *s);

/**
 * machine_check_guests: assert that no guest reads anything else than when the
 * operator first asked its vCPU for something, unless it has gone on since
 */
void machine_check_guests(void);

/**
 * machine_migrate: go on on another one, with another reservation
 */
void machine_migrate(Stream *s);

/**
 * machine_plug: plug in one more vCPU, if there is room
 */
void machine_plug(Stream *s);

/**
 * machine_unplug: the last vCPU, if there are several, is being unplugged or,
 * if it is already, is gone
 */
void machine_unplug(void);

#endif /* TESTS_FUZZ_QMP_MACHINE_H */
