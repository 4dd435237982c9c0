/*
 * How the counters of a PMU are numbered
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C, freestanding headers only, as all headers that it is included by;
 * in a kernel, those that stand for them there.
 * vPMCs and pPMCs are numbered alike: general purpose 0 to 7, fixed 8 to 10.
 */
#ifndef TARGET_I386_VPMU_COUNTERS_H
#define TARGET_I386_VPMU_COUNTERS_H

#ifdef VPMU_KERNEL
#include <linux/limits.h>
#include <linux/types.h>
#define INT64_MAX           S64_MAX
#else
#include <stdbool.h>
#include <stdint.h>
#endif

#define VPMU_NR_GP          8
#define VPMU_NR_FIXED       3
#define VPMU_FIXED(j)       (VPMU_NR_GP + (j))
#define VPMU_NR             (VPMU_NR_GP + VPMU_NR_FIXED)

/**
 * VPMUCounterMask: a set of counters, one bit each, numbered as above
 */
typedef uint16_t VPMUCounterMask;

#define VPMU_MASK_OF(i)     ((VPMUCounterMask)(1u << (i)))
#define VPMU_MASK_GP        ((VPMUCounterMask)((1u << VPMU_NR_GP) - 1))
#define VPMU_MASK_ALL       ((VPMUCounterMask)((1u << VPMU_NR) - 1))
#define VPMU_MASK_FIXED     ((VPMUCounterMask)(VPMU_MASK_ALL & ~VPMU_MASK_GP))

/**
 * vpmu_index_of: a counter's index among those of its type
 */
static inline unsigned vpmu_index_of(unsigned i)
{
    return i < VPMU_NR_GP ? i : i - VPMU_NR_GP;
}

/**
 * vpmu_mask_to_reg, vpmu_mask_from_reg: between a set of counters and
 * GLOBAL_CTRL, GLOBAL_STATUS, PEBS_ENABLE and the like
 *
 * SDM volume 3, "Architectural Performance Monitoring Version 2": general
 * purpose from bit 0 on, fixed from bit 32 on.  Bits that are no counter's
 * are dropped.
 */
static inline uint64_t vpmu_mask_to_reg(VPMUCounterMask mask)
{
    return (mask & VPMU_MASK_GP) |
           (uint64_t)(mask & VPMU_MASK_FIXED) << (32 - VPMU_NR_GP);
}

static inline VPMUCounterMask vpmu_mask_from_reg(uint64_t reg)
{
    return (reg & VPMU_MASK_GP) |
           ((reg >> (32 - VPMU_NR_GP)) & VPMU_MASK_FIXED);
}

#endif /* TARGET_I386_VPMU_COUNTERS_H */
