/*
 * What the software PMU needs of the vCPU that it counts for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Everything here is called by the vCPU's own thread, or while it is stopped.
 * Nothing here calls the layers above.
 */
#ifndef TARGET_I386_VPMU_TCG_VCPU_H
#define TARGET_I386_VPMU_TCG_VCPU_H

#include "cpu.h"
#include "pebs-record.h"
#include "simulation.h"

/**
 * vpmu_ring: which of the two rings that are counted separately is running
 * @hflags: as in CPUX86State
 */
static inline unsigned vpmu_ring(uint32_t hflags)
{
    return hflags & HF_CPL_MASK ? SOFTPMU_USER : SOFTPMU_KERNEL;
}

/**
 * vpmu_level, vpmu_set_level: what translated code accounts for
 */
static inline SoftPMULevel vpmu_level(uint32_t hflags)
{
    return (hflags & HF_VPMU_MASK) >> HF_VPMU_SHIFT;
}

static inline void vpmu_set_level(CPUX86State *env, SoftPMULevel level)
{
    env->hflags = (env->hflags & ~HF_VPMU_MASK) | level << HF_VPMU_SHIFT;
}

/**
 * vpmu_set_branches: whether translated code reports branches
 */
static inline void vpmu_set_branches(CPUX86State *env, bool report)
{
    env->hflags = (env->hflags & ~HF_VPMU_BRANCH_MASK) |
                  (report ? HF_VPMU_BRANCH_MASK : 0);
}

/**
 * vpmu_set_simulates: whether translated code has its accesses and branches
 * simulated
 */
static inline void vpmu_set_simulates(CPUX86State *env, bool simulates)
{
    if (simulates && !(env->hflags & HF_VPMU_SIM_MASK)) {
        vpmu_simulation_begin(env);
    }
    env->hflags = (env->hflags & ~HF_VPMU_SIM_MASK) |
                  (simulates ? HF_VPMU_SIM_MASK : 0);
}

/**
 * vpmu_refill: hand out a new allowance to translated code
 *
 * Right after vpmu_sync(), or after the last of the changes that followed it.
 */
static inline void vpmu_refill(CPUX86State *env)
{
    softpmu_refill(&env->vpmu_host.hw, vpmu_ring(env->hflags));
}

/**
 * vpmu_commit: put changes of configurations and values into effect
 *
 * After vpmu_sync() and the last of these changes.
 */
static inline void vpmu_commit(CPUX86State *env)
{
    vpmu_refill(env);
    vpmu_set_level(env, env->vpmu_host.hw.level);
    vpmu_set_branches(env, env->vpmu_host.hw.branches);
    vpmu_set_simulates(env, env->vpmu_host.hw.sim);
}

/**
 * vpmu_linear_code: the linear address of code at @rip
 *
 * SDM volume 3, "Segmentation in 64-Bit Mode": there CS has no base.
 */
static inline uint64_t vpmu_linear_code(const CPUX86State *env, uint64_t rip)
{
    return env->hflags & HF_CS64_MASK ? rip :
                                        (uint32_t)(env->segs[R_CS].base + rip);
}

/**
 * vpmu_linear_ip: the linear address of the next instruction
 */
static inline uint64_t vpmu_linear_ip(const CPUX86State *env)
{
    return vpmu_linear_code(env, env->eip);
}

/**
 * vpmu_read_ppmc: the value of a physical counter, exact also in mid-block
 * @p: numbered as in counters.h
 * @retaddr: GETPC() of the helper that reads, 0 outside of translated code
 */
uint64_t vpmu_read_ppmc(CPUX86State *env, unsigned p, uintptr_t retaddr);

/**
 * vpmu_sample: describe the instruction that has made a counter with
 * SoftPMUConfig.precise overflow, right after that instruction
 *
 * The fields that depend on the counter stay as they are.
 */
void vpmu_sample(CPUX86State *env, PEBSSample *sample);

/**
 * vpmu_access: access guest memory as the processor itself does
 * @buffer: NULL to find out whether it can be accessed
 * @size: at most PEBS_RECORD_MAX
 *
 * The access has supervisor rights, goes through the guest's page tables and
 * never faults.  It accesses RAM only, and nothing in System Management Mode,
 * whose memory is not the guest's (SDM volume 3, "DS Save Area").
 * Returns: false if the memory cannot be accessed; then nothing was written.
 */
bool vpmu_access(CPUX86State *env, uint64_t address, void *buffer,
                 unsigned size, bool write);

/**
 * vpmu_waits_for_memory: whether vpmu_access() has just failed because a
 * hypervisor has yet to provide the memory
 *
 * Then the guest is about to leave for the hypervisor, before its next
 * instruction.
 */
bool vpmu_waits_for_memory(CPUX86State *env);

/**
 * vpmu_request_sync: have vpmu_sync() called at the next instruction boundary
 *
 * While branches are reported.  From within translated code, at the last
 * instruction of its TB, or at an instruction boundary.  Takes the BQL if it is
 * not held.
 */
void vpmu_request_sync(CPUX86State *env);

/**
 * vpmu_leave_before_fetch: whether translated code that does not know its
 * successor goes to the main loop, instead of fetching it, which may fault
 *
 * Then vpmu_request_sync() comes before the fault.  At an instruction boundary.
 */
void vpmu_leave_before_fetch(CPUX86State *env, bool leave);

/**
 * vpmu_raise_pmi: raise the guest's performance monitoring interrupt
 *
 * Takes the BQL if it is not held.
 */
void vpmu_raise_pmi(CPUX86State *env);

#endif /* TARGET_I386_VPMU_TCG_VCPU_H */
