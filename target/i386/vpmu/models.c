/*
 * What the PMU of each CPU model is like
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "events.h"
#include "models.h"

static const VPMUModel vpmu_models[] = {
#define VPMU_MODEL(model_, events_, version_, gp_, full_width_, format_,      \
                   pebs_, lbr_)                                               \
    {                                                                         \
        .model = model_,                                                      \
        .events = VPMU_MODEL_##events_,                                       \
        .version = version_,                                                  \
        .nr_gp = gp_,                                                         \
        .full_width = full_width_,                                            \
        .pebs_format = format_,                                               \
        .pebs_gp = pebs_,                                                     \
        .lbr_format = lbr_,                                                   \
    },
#include "models.h.inc"
#undef VPMU_MODEL
};

static const VPMUModelAMD vpmu_models_amd[] = {
#define VPMU_AMD(family_, model_, events_, core_, v2_)                        \
    {                                                                         \
        .family = family_,                                                    \
        .model = model_,                                                      \
        .events = VPMU_MODEL_##events_,                                       \
        .core = core_,                                                        \
        .v2 = v2_,                                                            \
    },
#include "models-amd.h.inc"
#undef VPMU_AMD
};

static const VPMUModelTLBs vpmu_models_tlbs[] = {
#define VPMU_TLBS(events_, code_, code_ways_, data_, data_ways_, second_,     \
                  second_ways_)                                               \
    {                                                                         \
        .events = VPMU_MODEL_##events_,                                       \
        .itlb = { .sets = (code_) / (code_ways_), .ways = code_ways_ },       \
        .dtlb = { .sets = (data_) / (data_ways_), .ways = data_ways_ },       \
        .stlb = { .sets = (second_) / (second_ways_), .ways = second_ways_ }, \
    },
#include "models-tlb.h.inc"
#undef VPMU_TLBS
};

/* Display family and model, which come from two fields each */
static unsigned vpmu_family(uint32_t signature)
{
    unsigned family = (signature >> 8) & 0xf;

    return family < 0xf ? family : family + ((signature >> 20) & 0xff);
}

static unsigned vpmu_model_number(uint32_t signature)
{
    return ((signature >> 12) & 0xf0) | ((signature >> 4) & 0xf);
}

const VPMUModel *vpmu_model_find(uint32_t signature)
{
    const VPMUModel *found = vpmu_models;

    while (found->model && (vpmu_family(signature) != 6 ||
                            found->model != vpmu_model_number(signature))) {
        found++;
    }
    return found;
}

const VPMUModelAMD *vpmu_model_find_amd(uint32_t signature)
{
    unsigned wanted = vpmu_family(signature) << 8 |
                      vpmu_model_number(signature);
    unsigned i = sizeof(vpmu_models_amd) / sizeof(vpmu_models_amd[0]) - 1;

    while (((unsigned)vpmu_models_amd[i].family << 8 |
            vpmu_models_amd[i].model) > wanted) {
        i--;
    }
    return &vpmu_models_amd[i];
}

const VPMUModelTLBs *vpmu_model_find_tlbs(uint32_t events)
{
    const VPMUModelTLBs *found = vpmu_models_tlbs;

    while (found->events != events) {
        found++;
    }
    return found;
}
