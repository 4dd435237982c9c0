/*
 * What the PMU of each CPU model is like
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C like softpmu.h.
 */
#ifndef TARGET_I386_VPMU_MODELS_H
#define TARGET_I386_VPMU_MODELS_H

#include <stdint.h>

/**
 * VPMUModel: one line of models.h.inc
 * @model: display model of family 6
 * @events: a VPMU_MODEL_* bit, 0: architectural events only
 */
typedef struct VPMUModel {
    uint8_t model;
    uint32_t events;
} VPMUModel;

/**
 * vpmu_model_find: the PMU that belongs to CPUID leaf 1
 * @signature: EAX of that leaf; SDM volume 2, "CPUID"
 *
 * Returns: a line of the table; for a model that is not in it, one with
 * architectural events only.
 */
const VPMUModel *vpmu_model_find(uint32_t signature);

#endif /* TARGET_I386_VPMU_MODELS_H */
