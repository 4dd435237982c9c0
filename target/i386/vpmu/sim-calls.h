/*
 * What translated code tells the simulation, packed into one word
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_SIM_CALLS_H
#define TARGET_I386_VPMU_SIM_CALLS_H

/* What an access does; with both, it is loaded and then stored to. */
#define VPMU_TOUCH_LOAD         1u
#define VPMU_TOUCH_STORE        2u
/* The instruction cannot be restarted here. */
#define VPMU_TOUCH_FINAL        4u
/* helper_vpmu_sim_access(): above it the MemOpIdx */
#define VPMU_TOUCH_SHIFT        2

/* helper_vpmu_sim_branch(): the SoftPMUBranch, this flag, and the length */
#define VPMU_SIM_TAKEN          (1u << 8)
#define VPMU_SIM_LENGTH_SHIFT   16

#endif /* TARGET_I386_VPMU_SIM_CALLS_H */
