/*
 * PEBS of the virtual PMU: from an overflow to a record in guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_PEBS_H
#define TARGET_I386_VPMU_PEBS_H

#include "cpu.h"

/**
 * vpmu_pebs: make a record, as counters with PEBS have overflowed
 * @ppmcs: these counters; all have overflowed at the same instruction, which
 *     has just retired
 *
 * Reloads the counters.  By the vCPU's own thread, after vpmu_sync(); the
 * caller calls vpmu_refill() afterwards.  Returns: whether the buffer has
 * reached its threshold.
 */
bool vpmu_pebs(CPUX86State *env, VPMUCounterMask ppmcs);

#endif /* TARGET_I386_VPMU_PEBS_H */
