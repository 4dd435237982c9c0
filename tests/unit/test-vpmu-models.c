/*
 * The table of CPU models
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "events.h"
#include "models.h"

/* The models of QEMU 10.0, with the numbers that its CPUID leaf 1 has */
static const struct {
    const char *name;
    unsigned family, model;
    uint32_t events;
} models[] = {
    { "core2duo", 6, 15, 0 },
    { "Conroe", 6, 15, 0 },
    { "Penryn", 6, 23, 0 },
    { "n270", 6, 28, 0 },
    { "Nehalem", 6, 26, VPMU_MODEL_NHM },
    { "Westmere", 6, 44, VPMU_MODEL_NHM },
    { "SandyBridge", 6, 42, VPMU_MODEL_SNB },
    { "IvyBridge", 6, 58, VPMU_MODEL_IVB },
    { "Haswell", 6, 60, VPMU_MODEL_HSW },
    { "Broadwell", 6, 61, VPMU_MODEL_HSW },
    { "Skylake-Client", 6, 94, VPMU_MODEL_SKL },
    { "Skylake-Server", 6, 85, VPMU_MODEL_SKL },
    { "Cascadelake-Server", 6, 85, VPMU_MODEL_SKL },
    { "Cooperlake", 6, 85, VPMU_MODEL_SKL },
    { "Icelake-Server-v4", 6, 106, VPMU_MODEL_ICX },
    { "SapphireRapids", 6, 143, VPMU_MODEL_SPR },
    { "GraniteRapids", 6, 173, VPMU_MODEL_SPR },
    { "KnightsMill", 6, 133, VPMU_MODEL_KNL },
    { "Denverton", 6, 95, VPMU_MODEL_GLM },
    { "Snowridge", 6, 134, VPMU_MODEL_TNT },
    { "SierraForest", 6, 175, VPMU_MODEL_CMT },
};

/* CPUID leaf 1 EAX with some stepping; SDM volume 2, "CPUID" */
static uint32_t signature(unsigned family, unsigned model)
{
    unsigned extended = family < 15 ? 0 : family - 15;

    return extended << 20 | (model >> 4) << 16 | (family - extended) << 8 |
           (model & 0xf) << 4 | 0xb;
}

static void test_qemu(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        const VPMUModel *found =
            vpmu_model_find(signature(models[i].family, models[i].model));

        g_test_message("%s", models[i].name);
        g_assert_nonnull(found);
        g_assert_cmphex(found->events, ==, models[i].events);
    }
}

/* No number has the events of another. */
static void test_others(void)
{
    for (unsigned family = 0; family < 32; family++) {
        for (unsigned model = 0; model < 256; model++) {
            uint32_t want = 0;

            for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
                if (models[i].family == family && models[i].model == model) {
                    want = models[i].events;
                }
            }
            g_assert_cmphex(vpmu_model_find(signature(family, model))->events,
                            ==, want);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpmu/models/qemu", test_qemu);
    g_test_add_func("/vpmu/models/others", test_others);
    return g_test_run();
}
