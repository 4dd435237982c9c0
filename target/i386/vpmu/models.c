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
                   pebs_)                                                     \
    {                                                                         \
        .model = model_,                                                      \
        .events = VPMU_MODEL_##events_,                                       \
        .version = version_,                                                  \
        .nr_gp = gp_,                                                         \
        .full_width = full_width_,                                            \
        .pebs_format = format_,                                               \
        .pebs_gp = pebs_,                                                     \
    },
#include "models.h.inc"
#undef VPMU_MODEL
};

const VPMUModel *vpmu_model_find(uint32_t signature)
{
    unsigned family = (signature >> 8) & 0xf;
    unsigned model = ((signature >> 12) & 0xf0) | ((signature >> 4) & 0xf);
    const VPMUModel *found = vpmu_models;

    while (found->model && (family != 6 || found->model != model)) {
        found++;
    }
    return found;
}
