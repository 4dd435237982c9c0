/*
 * Last branch records: random branches against a model, and what is known
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "lbr.h"
#include "lbr-model.h"

static void test_random(void)
{
    g_autofree uint8_t *stream = g_malloc(30000);
    unsigned pops = 0;

    for (unsigned i = 0; i < 60; i++) {
        for (unsigned k = 0; k < 30000; k++) {
            stream[k] = g_test_rand_int();
        }
        stream[0] = i;
        pops += lbr_model_run(stream, 30000);
    }
    g_assert_cmpuint(pops, >, 1000);
}

/* What a call and the deepest of stacks leave */
static void test_deep(void)
{
    LBR lbr = { };
    LBRBranch call = { .kind = SOFTPMU_BR_CALL, .from = 1 };
    LBRBranch ret = { .kind = SOFTPMU_BR_RET };

    lbr_reset(&lbr);
    lbr.select = LBR_EN_CALLSTACK;
    lbr.tos = LBR_DEPTH - 1;
    lbr_update(&lbr, LBR_FORMAT_INFO, true, 0);
    for (unsigned depth = 1; depth <= LBR_DEPTH + 8; depth++) {
        call.to = depth;
        lbr_record(&lbr, LBR_FORMAT_INFO, &call, depth);
    }
    g_assert_cmpuint(lbr.tos, ==, 7);
    /* The records of the eight outermost calls are lost. */
    for (unsigned depth = LBR_DEPTH + 8; depth > 8; depth--) {
        g_assert_cmpuint(lbr.to[lbr.tos], ==, depth);
        g_assert_cmpuint(lbr.info[lbr.tos], ==, 1);
        lbr_record(&lbr, LBR_FORMAT_INFO, &ret, 100);
    }
    for (unsigned i = 0; i < LBR_DEPTH; i++) {
        g_assert_cmphex(lbr.from[i] | lbr.to[i] | lbr.info[i], ==, 0);
    }
}

static void test_formats(void)
{
    static const struct {
        unsigned format;
        bool info, linear;
        uint64_t mask;
    } known[] = {
        { 5, true, false, 0xe00000000000ffff },
        { 6, false, true, 0x800000000000ffff },
        { 7, true, true, 0x800000000000ffff },
        { 0x3f, true, true, 0xff0000000000ffff },
    };

    for (unsigned format = 0; format < 64; format++) {
        g_assert_cmpint(lbr_format_exists(format), ==,
                        (format >= 5 && format <= 7) || format == 0x3f);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(known); i++) {
        g_assert_cmpint(lbr_has_info(known[i].format), ==, known[i].info);
        g_assert_cmpint(lbr_is_linear(known[i].format), ==, known[i].linear);
        g_assert_cmphex(lbr_info_mask(known[i].format), ==, known[i].mask);
    }
}

static void test_depths(void)
{
    LBR lbr = { };

    for (unsigned depth = 0; depth < 1000; depth++) {
        bool exists = depth == 8 || depth == 16 || depth == 32;

        g_assert_cmpint(lbr_depth_exists(depth), ==, exists);
        lbr.depth = depth;
        lbr.tos = depth - 1;
        g_assert_cmpint(lbr_is_valid(&lbr, LBR_FORMAT_ARCH), ==, exists);
        g_assert_cmpint(lbr_is_valid(&lbr, LBR_FORMAT_INFO), ==, depth == 32);
        lbr.tos = depth;
        g_assert_false(lbr_is_valid(&lbr, LBR_FORMAT_ARCH));
    }
    g_assert_false(lbr_depth_exists(UINT64_C(1) << 32 | 32));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpmu/lbr/random", test_random);
    g_test_add_func("/vpmu/lbr/deep", test_deep);
    g_test_add_func("/vpmu/lbr/formats", test_formats);
    g_test_add_func("/vpmu/lbr/depths", test_depths);
    return g_test_run();
}
