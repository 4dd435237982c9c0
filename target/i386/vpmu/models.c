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
#define VPMU_MODEL(model_, events_)                                           \
    {                                                                         \
        .model = model_,                                                      \
        .events = VPMU_MODEL_##events_,                                       \
    },
#include "models.h.inc"
#undef VPMU_MODEL
};

static const VPMUModel vpmu_model_other;

const VPMUModel *vpmu_model_find(uint32_t signature)
{
    unsigned family = (signature >> 8) & 0xf;
    unsigned model = ((signature >> 12) & 0xf0) | ((signature >> 4) & 0xf);

    for (size_t i = 0; i < sizeof(vpmu_models) / sizeof(vpmu_models[0]); i++) {
        if (family == 6 && vpmu_models[i].model == model) {
            return &vpmu_models[i];
        }
    }
    return &vpmu_model_other;
}
