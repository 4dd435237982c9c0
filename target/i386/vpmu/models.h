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
#include "sim-sets.h"

/**
 * VPMUModel: one line of models.h.inc
 * @model: display model of family 6, 0: any other
 * @events: a VPMU_MODEL_* bit, 0: architectural events only
 * @version: architectural performance monitoring version
 * @nr_gp: general-purpose counters
 * @full_width: there are full-width writes of counters
 * @pebs_format: PERF_CAPABILITIES.PEBS_REC_FMT
 * @pebs_gp: mask of the general-purpose counters that can have PEBS
 * @lbr_format: PERF_CAPABILITIES.LBR_FMT, 0: no last branch records here
 */
typedef struct VPMUModel {
    uint8_t model;
    uint32_t events;
    uint8_t version;
    uint8_t nr_gp;
    bool full_width;
    uint8_t pebs_format;
    uint8_t pebs_gp;
    uint8_t lbr_format;
} VPMUModel;

/**
 * VPMUModelAMD: one line of models-amd.h.inc
 * @family, @model: display family and model of the first processor
 * @events: a VPMU_MODEL_* bit
 * @core: it has PerfCtrCore
 * @v2: it has PerfMonV2
 */
typedef struct VPMUModelAMD {
    uint8_t family;
    uint8_t model;
    uint32_t events;
    bool core;
    bool v2;
} VPMUModelAMD;

/**
 * VPMUModelTLBs: one line of models-tlb.h.inc
 * @events: a VPMU_MODEL_* bit, or VPMU_MODEL_NONE
 */
typedef struct VPMUModelTLBs {
    uint32_t events;
    SimGeometry itlb;
    SimGeometry dtlb;
    SimGeometry stlb;
} VPMUModelTLBs;

/**
 * vpmu_model_find: the PMU that belongs to CPUID leaf 1 of an Intel processor
 * @signature: EAX of that leaf; SDM volume 2, "CPUID"
 *
 * Returns: a line of the table, the last one for a model that is not in it.
 */
const VPMUModel *vpmu_model_find(uint32_t signature);

/**
 * vpmu_model_find_amd: the same of an AMD processor
 * @signature: EAX of that leaf; APM volume 3, "CPUID Fn0000_0001_EAX"
 *
 * Returns: the last line of the table that is not above the model.
 */
const VPMUModelAMD *vpmu_model_find_amd(uint32_t signature);

/**
 * vpmu_model_find_tlbs: the TLBs of a processor
 * @events: a VPMU_MODEL_* bit, or VPMU_MODEL_NONE
 */
const VPMUModelTLBs *vpmu_model_find_tlbs(uint32_t events);

#endif /* TARGET_I386_VPMU_MODELS_H */
