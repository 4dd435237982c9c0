/*
 * The registers of the guest's PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_MSR_H
#define TARGET_I386_VPMU_MSR_H

#include "cpu.h"

/**
 * VPMUAccess: the outcome of a register access
 * @VPMU_NOT_MINE: the register does not belong to the PMU
 * @VPMU_DONE: done
 * @VPMU_FAULT: #GP(0); nothing has changed
 */
typedef enum VPMUAccess {
    VPMU_NOT_MINE,
    VPMU_DONE,
    VPMU_FAULT,
} VPMUAccess;

/**
 * vpmu_wrmsr, vpmu_rdmsr: access a register of the guest's PMU
 * @retaddr: GETPC() of the helper that reads, 0 outside of translated code
 *
 * With the software PMU on, by the vCPU's thread or while it is stopped.  SDM
 * volume 4.
 */
VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value);
VPMUAccess vpmu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_rdpmc: RDPMC with @index in ECX; SDM volume 2
 *
 * Called like vpmu_rdmsr().  Never VPMU_NOT_MINE.
 */
VPMUAccess vpmu_rdpmc(CPUX86State *env, uint32_t index, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_registers_are_valid: whether no register has a bit that a guest could
 * not set
 *
 * For registers that come from a migration stream.
 */
bool vpmu_registers_are_valid(CPUX86State *env);

#endif /* TARGET_I386_VPMU_MSR_H */
