/*
 * What the PMU of each CPU model is like
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C like softpmu.h.
 */
#ifndef TARGET_I386_VPMU_MODELS_H
#define TARGET_I386_VPMU_MODELS_H

#include <stdbool.h>
#include <stdint.h>

/**
 * VPMUModel: one line of models.h.inc
 * @model: display model of family 6, 0: any other
 * @events: a VPMU_MODEL_* bit, 0: architectural events only
 * @version: architectural performance monitoring version
 * @nr_gp: general-purpose counters
 * @full_width: there are full-width writes of counters
 * @pebs_format: PERF_CAPABILITIES.PEBS_REC_FMT
 * @pebs_gp: mask of the general-purpose counters that can have PEBS
 */
typedef struct VPMUModel {
    uint8_t model;
    uint32_t events;
    uint8_t version;
    uint8_t nr_gp;
    bool full_width;
    uint8_t pebs_format;
    uint8_t pebs_gp;
} VPMUModel;

/**
 * vpmu_model_find: the PMU that belongs to CPUID leaf 1
 * @signature: EAX of that leaf; SDM volume 2, "CPUID"
 *
 * Returns: a line of the table, the last one for a model that is not in it.
 */
const VPMUModel *vpmu_model_find(uint32_t signature);

#endif /* TARGET_I386_VPMU_MODELS_H */
