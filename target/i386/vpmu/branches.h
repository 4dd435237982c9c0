/*
 * Branches that a vCPU has taken, on their way to the records
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The software PMU is on in everything here.  All functions are called by the
 * vCPU's own thread, or while it is stopped.
 */
#ifndef TARGET_I386_VPMU_BRANCHES_H
#define TARGET_I386_VPMU_BRANCHES_H

#include "cpu.h"

/**
 * vpmu_branches_update: start or stop recording, as the registers say
 *
 * At an instruction boundary, after vpmu_sync(), and before vpmu_commit(),
 * which has translated code follow.
 */
void vpmu_branches_update(CPUX86State *env);

/**
 * vpmu_stop_lbr: clear the bit that enables the last branch records
 *
 * Before vpmu_update().
 */
void vpmu_stop_lbr(CPUX86State *env);

/**
 * vpmu_branches_unload: bring up to date what is saved of the records
 */
void vpmu_branches_unload(CPUX86State *env);

/**
 * vpmu_lbr_address_seen: an address in a last branch record, as software sees it
 *
 * Branches lead anywhere in the emulator, which finds out when it fetches; but a
 * record's addresses are canonical.  Those of LBR_FORMAT_TIME have other bits in
 * the upper part, and are stored as they are seen.
 */
uint64_t vpmu_lbr_address_seen(CPUX86State *env, uint64_t address);

/**
 * vpmu_near_branch: a near branch retires; it is the last instruction of its TB
 * @from, @to: RIP
 * @is_next: it is a call of the instruction behind it
 *
 * Also from within translated code: nothing changes but the records, and an
 * interrupt may become pending.
 */
void vpmu_near_branch(CPUX86State *env, SoftPMUBranch kind, uint64_t from,
                      uint64_t to, bool is_next);

/**
 * vpmu_far_branch: a far branch, an interrupt or an exception has just got to
 * where the vCPU is now
 * @from: the instruction; of an interrupt, the one that would have been next
 *
 * Called like vpmu_near_branch().
 */
void vpmu_far_branch(CPUX86State *env, const VPMUPlace *from);

/**
 * vpmu_debug_exception: a debug exception has been delivered
 * @from: as for vpmu_far_branch()
 *
 * It has no last branch record, and ends the recording (SDM volume 3,
 * "Monitoring Branches, Exceptions, and Interrupts"); it is in the trace.  At
 * an instruction boundary.
 */
void vpmu_debug_exception(CPUX86State *env, const VPMUPlace *from);

#endif /* TARGET_I386_VPMU_BRANCHES_H */
