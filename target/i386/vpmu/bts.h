/*
 * Branch trace store (BTS): every branch goes to a buffer of the guest
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_BTS_H
#define TARGET_I386_VPMU_BTS_H

#include "cpu.h"

/**
 * vpmu_bts_runs: whether branches that instructions in @ring take are stored,
 * and interrupts and exceptions there
 */
bool vpmu_bts_runs(CPUX86State *env, unsigned ring);

/**
 * vpmu_is_traced: whether BTS stores the branches of any ring
 */
static inline bool vpmu_is_traced(const VPMUState *s)
{
    return s->branch_traced[SOFTPMU_KERNEL] || s->branch_traced[SOFTPMU_USER];
}

/**
 * vpmu_bts: store a branch
 * @from, @to: linear addresses
 *
 * By the vCPU's own thread, with all state up to date but RIP, CC and what is
 * counted: also in a TB, at its last instruction.  The record that reaches the
 * threshold has vpmu_sync() called at the instruction boundary behind the
 * branch, for the interrupt (VPMUState.bts_due).
 */
void vpmu_bts(CPUX86State *env, uint64_t from, uint64_t to);

#endif /* TARGET_I386_VPMU_BTS_H */
