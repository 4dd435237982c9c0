/*
 * The table of CPU models
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "events.h"
#include "models.h"

/*
 * The models of QEMU 10.0, with the numbers that its CPUID leaf 1 has, and what
 * Linux reports on such a processor
 */
static const struct {
    const char *name;
    unsigned family, model;
    uint32_t events;
    unsigned version, gp, format;
    bool full_width;
    unsigned lbr;
} models[] = {
    { "core2duo", 6, 15, 0, 2, 2, 0, false, 0 },
    { "Conroe", 6, 15, 0, 2, 2, 0, false, 0 },
    { "Penryn", 6, 23, 0, 2, 2, 0, false, 0 },
    { "n270", 6, 28, 0, 3, 2, 0, false, 0 },
    { "Nehalem", 6, 26, VPMU_MODEL_NHM, 3, 4, 1, false, 0 },
    { "Westmere", 6, 44, VPMU_MODEL_NHM, 3, 4, 1, false, 0 },
    { "SandyBridge", 6, 42, VPMU_MODEL_SNB, 3, 4, 1, true, 0 },
    { "IvyBridge", 6, 58, VPMU_MODEL_IVB, 3, 4, 1, true, 0 },
    { "Haswell", 6, 60, VPMU_MODEL_HSW, 3, 4, 2, true, 0 },
    { "Broadwell", 6, 61, VPMU_MODEL_HSW, 3, 4, 2, true, 0 },
    { "Skylake-Client", 6, 94, VPMU_MODEL_SKL, 4, 4, 3, true, 5 },
    { "Skylake-Server", 6, 85, VPMU_MODEL_SKL, 4, 4, 3, true, 5 },
    { "Cascadelake-Server", 6, 85, VPMU_MODEL_SKL, 4, 4, 3, true, 5 },
    { "Cooperlake", 6, 85, VPMU_MODEL_SKL, 4, 4, 3, true, 5 },
    { "Icelake-Server-v4", 6, 106, VPMU_MODEL_ICX, 5, 8, 4, true, 5 },
    { "SapphireRapids", 6, 143, VPMU_MODEL_SPR, 5, 8, 4, true, 63 },
    { "GraniteRapids", 6, 173, VPMU_MODEL_SPR, 5, 8, 4, true, 63 },
    { "KnightsMill", 6, 133, VPMU_MODEL_KNL, 3, 2, 2, true, 0 },
    { "Denverton", 6, 95, VPMU_MODEL_GLM, 4, 4, 3, true, 6 },
    { "Snowridge", 6, 134, VPMU_MODEL_TNT, 5, 4, 4, true, 7 },
    { "SierraForest", 6, 175, VPMU_MODEL_CMT, 5, 8, 4, true, 63 },
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
        g_assert_cmpuint(found->version, ==, models[i].version);
        g_assert_cmpuint(found->nr_gp, ==, models[i].gp);
        g_assert_cmpuint(found->pebs_format, ==, models[i].format);
        g_assert_true(found->full_width == models[i].full_width);
        g_assert_cmpuint(found->lbr_format, ==, models[i].lbr);
    }
}

/* Where Linux enables PEBS (arch/x86/events/intel/ds.c), it can be enabled. */
static void test_pebs(void)
{
    static const unsigned only_0[] = { 15, 23, 28, 95, 133 };

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        const VPMUModel *found = vpmu_model_find(signature(6, models[i].model));
        unsigned want = (1u << models[i].gp) - 1;

        for (unsigned k = 0; k < G_N_ELEMENTS(only_0); k++) {
            want = models[i].model == only_0[k] ? 1 : want;
        }
        /* With baseline it is the existing counters that matter. */
        g_assert_cmphex(found->pebs_gp & ((1u << models[i].gp) - 1), ==, want);
    }
}

/* No number has the PMU of another. */
static void test_others(void)
{
    for (unsigned family = 0; family < 32; family++) {
        for (unsigned model = 0; model < 256; model++) {
            const VPMUModel *found = vpmu_model_find(signature(family, model));
            bool other = true;

            for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
                if (models[i].family == family && models[i].model == model) {
                    other = false;
                }
            }
            g_assert_cmpuint(found->model, ==, other ? 0 : model);
            if (other) {
                g_assert_cmphex(found->events, ==, 0);
                g_assert_cmpuint(found->version, ==, 5);
                g_assert_cmpuint(found->nr_gp, ==, 8);
                g_assert_cmpuint(found->pebs_format, ==, 4);
                g_assert_true(found->full_width);
                g_assert_cmpuint(found->lbr_format, ==, 0);
            }
        }
    }
}

/* The AMD models of QEMU 10.0, and the ends of each range of models */
static const struct {
    const char *name;
    unsigned family, model;
    uint32_t events;
    bool core, v2;
} amd[] = {
    { "athlon", 6, 2, VPMU_MODEL_K7, false, false },
    { "max", 6, 6, VPMU_MODEL_K7, false, false },
    { "older than K7", 5, 0, VPMU_MODEL_K7, false, false },
    { "qemu64", 15, 107, VPMU_MODEL_K8, false, false },
    { "Opteron_G1", 15, 6, VPMU_MODEL_K8, false, false },
    { "phenom", 16, 2, VPMU_MODEL_F10, false, false },
    { "family 14h", 20, 255, VPMU_MODEL_F10, false, false },
    { "Opteron_G4", 21, 1, VPMU_MODEL_F15, true, false },
    { "Opteron_G5", 21, 2, VPMU_MODEL_F15, true, false },
    { "family 15h, last", 21, 255, VPMU_MODEL_F15, true, false },
    { "family 16h", 22, 0, VPMU_MODEL_F10, false, false },
    { "EPYC", 23, 1, VPMU_MODEL_ZEN1, true, false },
    { "Zen, last", 23, 0x2f, VPMU_MODEL_ZEN1, true, false },
    { "EPYC-Rome", 23, 0x31, VPMU_MODEL_ZEN2, true, false },
    { "Zen 2, last", 24, 255, VPMU_MODEL_ZEN2, true, false },
    { "EPYC-Milan", 25, 1, VPMU_MODEL_ZEN3, true, false },
    { "Zen 3, last server", 25, 0xf, VPMU_MODEL_ZEN3, true, false },
    { "EPYC-Genoa", 25, 17, VPMU_MODEL_ZEN4, true, true },
    { "Zen 4, first ones last", 25, 0x1f, VPMU_MODEL_ZEN4, true, true },
    { "Zen 3, desktop", 25, 0x21, VPMU_MODEL_ZEN3, true, false },
    { "Zen 3, mobile, last", 25, 0x5f, VPMU_MODEL_ZEN3, true, false },
    { "Zen 4, desktop", 25, 0x61, VPMU_MODEL_ZEN4, true, true },
    { "Zen 4, dense server", 25, 0xa0, VPMU_MODEL_ZEN4, true, true },
    { "Zen 5", 26, 0, VPMU_MODEL_ZEN5, true, true },
    { "the highest number", 270, 255, VPMU_MODEL_ZEN5, true, true },
};

static void test_amd(void)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(amd); i++) {
        const VPMUModelAMD *found =
            vpmu_model_find_amd(signature(amd[i].family, amd[i].model));

        g_test_message("%s", amd[i].name);
        g_assert_cmphex(found->events, ==, amd[i].events);
        g_assert_true(found->core == amd[i].core);
        g_assert_true(found->v2 == amd[i].v2);
    }
}

/*
 * Every line of the models has TLBs that can be simulated; those of some, from
 * CPUID leaf 2 of the processor or its manual
 */
static void test_tlbs(void)
{
    static const struct {
        uint32_t events;
        unsigned itlb, dtlb, stlb, ways;
    } known[] = {
        { VPMU_MODEL_NONE, 128, 16, 256, 4 },
        { VPMU_MODEL_SNB, 128, 64, 512, 4 },
        { VPMU_MODEL_HSW, 128, 64, 1024, 8 },
        { VPMU_MODEL_SKL, 128, 64, 1536, 12 },
        { VPMU_MODEL_ICX, 128, 64, 2048, 16 },
        { VPMU_MODEL_SPR, 256, 96, 2048, 16 },
        { VPMU_MODEL_K8, 32, 32, 512, 4 },
        { VPMU_MODEL_ZEN1, 64, 64, 1536, 12 },
        { VPMU_MODEL_ZEN4, 64, 72, 3072, 24 },
    };

    for (uint32_t events = 1; events != VPMU_MODEL_FIXED; events <<= 1) {
        const VPMUModelTLBs *tlbs;

        if (events > VPMU_MODEL_CMT && events < VPMU_MODEL_K7) {
            continue;
        }
        if (events > VPMU_MODEL_ZEN5) {
            break;
        }
        tlbs = vpmu_model_find_tlbs(events);
        g_assert_cmphex(tlbs->events, ==, events);
        g_assert_true(sim_geometry_is_valid(tlbs->itlb));
        g_assert_true(sim_geometry_is_valid(tlbs->dtlb));
        g_assert_true(sim_geometry_is_valid(tlbs->stlb));
        g_assert_cmpuint(sim_geometry_entries(tlbs->stlb), >,
                         sim_geometry_entries(tlbs->dtlb));
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        const VPMUModelTLBs *tlbs = vpmu_model_find_tlbs(known[i].events);

        g_assert_cmpuint(sim_geometry_entries(tlbs->itlb), ==, known[i].itlb);
        g_assert_cmpuint(sim_geometry_entries(tlbs->dtlb), ==, known[i].dtlb);
        g_assert_cmpuint(sim_geometry_entries(tlbs->stlb), ==, known[i].stlb);
        g_assert_cmpuint(tlbs->stlb.ways, ==, known[i].ways);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpmu/models/qemu", test_qemu);
    g_test_add_func("/vpmu/models/pebs", test_pebs);
    g_test_add_func("/vpmu/models/others", test_others);
    g_test_add_func("/vpmu/models/amd", test_amd);
    g_test_add_func("/vpmu/models/tlbs", test_tlbs);
    return g_test_run();
}
