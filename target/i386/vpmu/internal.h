/*
 * What the files of the virtual PMU share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_INTERNAL_H
#define TARGET_I386_VPMU_INTERNAL_H

#include "cpu.h"
#include "qapi/qapi-types-vpmu.h"
#include "events.h"
#include "regs.h"

/**
 * VPMUBackend: the physical counters as an accelerator provides them
 *
 * One instance per accelerator.  All functions are called by the vCPU's own
 * thread or while it is stopped; @p is a physical counter, numbered as in
 * softpmu.h.  A backend whose kernel serves the guest's registers itself has
 * @mode and @reason only.
 *
 * @mode: for query-vpmu; @reason: why this mode, a sentence's rest
 * @sync: bring the counters up to date; may call vpmu_overflow()
 * @config: set what a counter counts; @sync before, @commit after the last
 * @read: value, also in mid-block; @retaddr as in GETPC(), or 0
 * @write: set a value; @sync before, @commit after
 * @commit: put @config and @write into effect
 * @interrupt: raise the guest's performance monitoring interrupt
 */
typedef struct VPMUBackend {
    VpmuMode (*mode)(X86CPU *cpu, const char **reason);
    void (*sync)(CPUX86State *env);
    void (*config)(CPUX86State *env, unsigned p, const SoftPMUConfig *config);
    uint64_t (*read)(CPUX86State *env, unsigned p, uintptr_t retaddr);
    void (*write)(CPUX86State *env, unsigned p, uint64_t value);
    void (*commit)(CPUX86State *env);
    void (*interrupt)(CPUX86State *env);
} VPMUBackend;

extern const VPMUBackend vpmu_backend_tcg;
extern const VPMUBackend vpmu_backend_kvm;

/**
 * vpmu_backend: the backend of the accelerator that runs, or NULL
 */
const VPMUBackend *vpmu_backend(void);

/**
 * VPMUAccess: the outcome of a register access
 * @VPMU_NOT_MINE: not a register of the PMU
 * @VPMU_DONE: done
 * @VPMU_FAULT: #GP(0); nothing changed
 */
typedef enum VPMUAccess {
    VPMU_NOT_MINE,
    VPMU_DONE,
    VPMU_FAULT,
} VPMUAccess;

/**
 * vpmu_wrmsr, vpmu_rdmsr: access to a register of the guest's PMU
 * @retaddr: GETPC() of the helper that reads, 0 outside translated code
 *
 * By the vCPU's thread or while it is stopped.  SDM volume 4.
 */
VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value);
VPMUAccess vpmu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_rdpmc: RDPMC with @index in ECX; SDM volume 2
 */
VPMUAccess vpmu_rdpmc(CPUX86State *env, uint32_t index, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_overflow: physical counters have overflowed
 * @overflowed: mask of physical counters
 *
 * Called by a backend at the instruction boundary where it happened.  Sets
 * status bits, freezes, interrupts.
 */
void vpmu_overflow(CPUX86State *env, uint16_t overflowed);

/**
 * vpmu_exists: whether the guest's PMU has counter @v
 */
bool vpmu_exists(const X86CPU *cpu, unsigned v);

/**
 * vpmu_status_bit: the bit of counter @v in GLOBAL_CTRL and GLOBAL_STATUS
 */
static inline uint64_t vpmu_status_bit(unsigned v)
{
    return UINT64_C(1) << (v < VPMU_NR_GP ? v : 32 + v - VPMU_NR_GP);
}

/**
 * vpmu_counter_config: what counter @v is set up to count
 * @event: what it counts, NULL if nothing that is supported
 */
SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event);

/**
 * vpmu_model: the CPU's bit in VPMUEvent.models
 */
uint32_t vpmu_model(const CPUX86State *env);

#endif /* TARGET_I386_VPMU_INTERNAL_H */
