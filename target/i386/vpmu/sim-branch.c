/*
 * The simulation of branch prediction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Processors do not say how they predict branches, so this is what textbooks
 * have, and the same for all models:
 *
 * A conditional branch has one of 2^14 counters, which its address and the
 * directions of the last 14 conditional branches choose together (gshare).  The
 * counter has two bits and begins as "rather not taken".
 *
 * An indirect jump or call is expected to go where it went the last time.
 * There are 4096 places for that, chosen by the address; a branch that comes to
 * a place takes it.
 *
 * A return is expected to go behind the last call from which there was no
 * return yet.  16 calls are remembered.
 *
 * Where a direct jump or call leads is in its code, and a far branch is not
 * predicted: neither is ever mispredicted.
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "sim.h"

#define NR_COUNTERS     (1u << SIM_HISTORY_BITS)
#define NOT_TAKEN       1       /* rather not */
#define TAKEN           2       /* from here on */
#define COUNTER_MAX     3

void sim_branches_init(SimBranches *branches)
{
    branches->history = 0;
    for (unsigned i = 0; i < NR_COUNTERS; i++) {
        branches->counters[i] = NOT_TAKEN;
    }
    for (unsigned i = 0; i < SIM_TARGETS; i++) {
        branches->targets[i] = (SimTarget) { };
    }
    branches->last = 0;
    branches->nr_returns = 0;
}

SimOutcome sim_branch_conditional(SimBranches *branches, uint64_t branch,
                                  bool taken)
{
    uint8_t *counter = &branches->counters[(branch ^ branches->history) &
                                           (NR_COUNTERS - 1)];
    bool expected = *counter >= TAKEN;

    if (taken && *counter < COUNTER_MAX) {
        ++*counter;
    } else if (!taken && *counter > 0) {
        --*counter;
    }
    branches->history = branches->history << 1 | taken;
    return expected == taken ? 0 :
           1u << (taken ? SIM_MISP_TAKEN : SIM_MISP_NOT_TAKEN);
}

SimOutcome sim_branch_indirect(SimBranches *branches, uint64_t branch,
                               uint64_t target, bool is_call)
{
    SimTarget *known = &branches->targets[branch & (SIM_TARGETS - 1)];
    bool expected = known->branch == branch && known->target == target &&
                    target;

    *known = (SimTarget) { .branch = branch, .target = target };
    return expected ? 0 :
           1u << (is_call ? SIM_MISP_CALL_IND : SIM_MISP_JMP_IND);
}

void sim_branch_call(SimBranches *branches, uint64_t next)
{
    branches->last = (branches->last + 1) % SIM_RETURNS;
    branches->returns[branches->last] = next;
    if (branches->nr_returns < SIM_RETURNS) {
        branches->nr_returns++;
    }
}

SimOutcome sim_branch_return(SimBranches *branches, uint64_t target)
{
    bool expected = branches->nr_returns &&
                    branches->returns[branches->last] == target;

    if (branches->nr_returns) {
        branches->nr_returns--;
        branches->last = (branches->last + SIM_RETURNS - 1) % SIM_RETURNS;
    }
    return expected ? 0 : 1u << SIM_MISP_RET;
}
