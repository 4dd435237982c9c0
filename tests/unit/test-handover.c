/*
 * The hand-over core: one example of each rule, then anything at all
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Every step of an example is also held against handover-model.c.
 */
#include <glib.h>
#include <string.h>
#include "handover-model.h"

#define M(i)        VPMU_MASK_OF(i)
#define F(j)        VPMU_MASK_OF(VPMU_FIXED(j))
#define ALL         VPMU_MASK_ALL
#define GP          VPMU_MASK_GP
#define NONE        HANDOVER_NONE
#define SLICE       INT64_C(10000000)

/* A test's own PMU, with values that differ. */
static HandoverModel *new_pmu(VPMUCounterMask counters,
                              VPMUCounterMask reserved, int64_t slice)
{
    HandoverModel *m = g_new0(HandoverModel, 1);

    model_init(m, counters, reserved, slice, 1234567);
    return m;
}

/* The guest enables @enabled, and counts a bit. */
static void enable(HandoverModel *m, VPMUCounterMask enabled)
{
    model_enable(m, enabled);
    model_count(m);
}

/* As model_reserve(); no vPMC may starve because of it. */
static void reserve(HandoverModel *m, VPMUCounterMask reserved)
{
    g_assert_cmphex(model_reserve(m, reserved, false), ==, 0);
    model_count(m);
}

static void enable_after(HandoverModel *m, int64_t ns,
                         VPMUCounterMask enabled)
{
    model_pass(m, ns);
    enable(m, enabled);
}

#define assert_phys(m, v, p) g_assert_cmpint((m)->h.phys[v], ==, p)
#define assert_path(m, v, path) \
    g_assert_cmpint(handover_path(&(m)->h, v), ==, path)
#define assert_stat(m, field, n) g_assert_cmpuint((m)->h.stats.field, ==, n)

/* Which pPMC a vPMC gets */

static void test_same_index(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0, SLICE);

    for (unsigned v = 0; v < VPMU_NR; v++) {
        enable(m, m->enabled | M(v));
        g_assert_cmphex(m->change.vpmcs, ==, M(v));
        g_assert_cmpint(m->change.from[v], ==, NONE);
        assert_phys(m, v, (int)v);
        assert_path(m, v, HANDOVER_FAST);
    }
    assert_stat(m, hand_overs, VPMU_NR);
    assert_stat(m, reuses, 0);
    assert_stat(m, moves, 0);
    g_assert_cmphex(handover_held(&m->h), ==, ALL);

    /* Also in a PMU that has fewer counters. */
    model_init(m, 0x3 | F(1), 0, SLICE, 0);
    enable(m, 0x3 | F(1));
    assert_phys(m, 1, 1);
    assert_phys(m, VPMU_FIXED(1), VPMU_FIXED(1));
    g_assert_cmphex(handover_held(&m->h), ==, 0x3 | F(1));
}

static void test_highest_free(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, M(0) | M(1) | M(7), SLICE);

    enable(m, M(0));
    assert_phys(m, 0, 6);
    assert_path(m, 0, HANDOVER_SLOW);
    enable(m, M(0) | M(7));
    assert_phys(m, 7, 5);
    enable(m, M(0) | M(7) | M(1));
    assert_phys(m, 1, 4);
    assert_stat(m, hand_overs, 3);

    /* Also where the highest general-purpose counter is not number 7. */
    model_init(m, 0xf | VPMU_MASK_FIXED, M(0), SLICE, 0);
    enable(m, M(0));
    assert_phys(m, 0, 3);
}

/* vPMC 0 takes a pPMC of another index, unless that vPMC is enabled with it. */
static void test_two_passes(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, M(0), SLICE);

    enable(m, M(0) | M(6) | M(7));
    assert_phys(m, 7, 7);
    assert_phys(m, 6, 6);
    assert_phys(m, 0, 5);

    /* Not even if it has held that pPMC before. */
    enable(m, 0);
    enable_after(m, SLICE, 0);
    enable(m, M(0));
    assert_phys(m, 0, 7);
    enable(m, 0);
    enable(m, M(0) | M(7));
    assert_phys(m, 7, 7);
    assert_phys(m, 0, 6);
    g_assert_cmphex(m->change.vpmcs, ==, M(0) | M(7));
    g_assert_cmpint(m->change.from[0], ==, 7);
    g_assert_cmpint(m->change.from[7], ==, NONE);
    assert_stat(m, moves, 1);
    assert_stat(m, evictions, 0);

    /* A vPMC that counts keeps its pPMC. */
    enable(m, 0);
    enable_after(m, SLICE, 0);
    enable(m, M(0));
    enable(m, M(0) | M(7));
    assert_phys(m, 0, 7);
    assert_phys(m, 7, 6);
}

/* Free pPMCs come before those that idle vPMCs hold. */
static void test_idle_yields(void)
{
    g_autofree HandoverModel *m = new_pmu(0x7, M(0), SLICE);

    enable(m, M(2));
    enable(m, M(0));
    assert_phys(m, 0, 1);
    assert_phys(m, 2, 2);
    assert_path(m, 2, HANDOVER_IDLE);
    assert_stat(m, evictions, 0);

    enable(m, M(0) | M(1));
    assert_phys(m, 0, 1);
    assert_phys(m, 1, 2);
    assert_phys(m, 2, NONE);
    g_assert_cmphex(m->change.vpmcs, ==, M(1) | M(2));
    g_assert_cmphex(m->change.starved, ==, 0);
    assert_stat(m, evictions, 1);
    assert_stat(m, lazy_releases, 0);

    /* It also yields in the very write that disables it. */
    model_init(m, GP, M(0), SLICE, 0);
    enable(m, M(0));
    assert_phys(m, 0, 7);
    enable(m, M(7));
    assert_phys(m, 7, 7);
    assert_phys(m, 0, NONE);

    /* Of the pPMCs that idle vPMCs hold, the highest is taken. */
    model_init(m, 0xf, M(0), SLICE, 0);
    enable(m, M(1) | M(2) | M(3));
    enable(m, 0);
    enable(m, M(0));
    assert_phys(m, 0, 3);
}

/* An idle vPMC's pPMC goes to the vPMC of its index, if that wants it. */
static void test_idle_yields_to_own(void)
{
    g_autofree HandoverModel *m = new_pmu(0xf, M(0), SLICE);

    enable(m, M(0));
    assert_phys(m, 0, 3);
    enable(m, M(1) | M(2));
    enable(m, M(1) | M(2) | M(3));
    assert_phys(m, 3, 3);
    assert_phys(m, 0, NONE);

    /* Both want pPMC 3: the vPMC of that index gets it. */
    model_init(m, 0xf, M(0), SLICE, 0);
    enable(m, M(0));
    enable(m, M(1) | M(2));
    enable(m, M(0) | M(1) | M(2) | M(3));
    assert_phys(m, 3, 3);
    assert_path(m, 0, HANDOVER_STARVED);
    g_assert_cmphex(m->change.starved, ==, M(0));
    assert_stat(m, evictions, 1);
}

/* An enabled vPMC yields to no other vPMC. */
static void test_enabled_stays(void)
{
    g_autofree HandoverModel *m = new_pmu(0x3, M(0), SLICE);

    enable(m, M(0));
    assert_phys(m, 0, 1);
    enable(m, M(0) | M(1));
    assert_phys(m, 0, 1);
    assert_path(m, 1, HANDOVER_STARVED);
    g_assert_cmphex(m->change.starved, ==, M(1));
    g_assert_cmphex(m->change.vpmcs, ==, 0);

    /* It starves until that pPMC is available. */
    enable_after(m, 100, M(0) | M(1));
    g_assert_cmphex(m->change.starved, ==, 0);
    enable_after(m, 10, M(1));
    assert_path(m, 1, HANDOVER_FAST);
    assert_stat(m, starved_ns, 110);
    assert_stat(m, evictions, 1);
    assert_stat(m, hand_overs, 2);
}

/* A vPMC goes to the pPMC of its index as soon as that is available. */
static void test_home(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, M(0), SLICE);

    enable(m, M(0));
    assert_path(m, 0, HANDOVER_SLOW);
    reserve(m, 0);
    assert_path(m, 0, HANDOVER_FAST);
    g_assert_cmphex(m->change.vpmcs, ==, M(0));
    g_assert_cmpint(m->change.from[0], ==, 7);
    assert_stat(m, moves, 1);

    /* 5 has pPMC 0; when 5 may go home, so may 0, in the same change. */
    model_init(m, 0x3f, 0x3e, SLICE, 0);
    enable(m, M(5));
    assert_phys(m, 5, 0);
    enable(m, M(5) | M(0));
    assert_path(m, 0, HANDOVER_STARVED);
    reserve(m, 0xe);
    assert_phys(m, 5, 5);
    assert_phys(m, 0, 0);
    enable(m, M(5) | M(0));
    g_assert_cmphex(m->change.vpmcs, ==, 0);

    /* The same if 0 does not starve but has another pPMC. */
    model_init(m, 0x3f, 0x2e, SLICE, 0);
    enable(m, M(5));
    assert_phys(m, 5, 4);
    reserve(m, 0x3e);
    assert_phys(m, 5, 0);
    reserve(m, 0x2e);
    enable(m, M(5) | M(0));
    assert_phys(m, 0, 4);
    reserve(m, 0);
    assert_phys(m, 5, 5);
    assert_phys(m, 0, 0);
    assert_stat(m, evictions, 0);
}

static void test_fixed(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, F(1), SLICE);

    enable(m, VPMU_MASK_FIXED);
    assert_phys(m, VPMU_FIXED(0), VPMU_FIXED(0));
    assert_phys(m, VPMU_FIXED(2), VPMU_FIXED(2));
    assert_path(m, VPMU_FIXED(1), HANDOVER_STARVED);
    g_assert_cmphex(m->change.starved, ==, F(1));
    enable_after(m, 7, VPMU_MASK_FIXED);
    assert_stat(m, starved_ns, 7);
    reserve(m, 0);
    assert_path(m, VPMU_FIXED(1), HANDOVER_FAST);

    /* Nor does a general-purpose vPMC take a fixed pPMC. */
    model_init(m, M(0) | VPMU_MASK_FIXED, M(0), SLICE, 0);
    enable(m, M(0));
    assert_path(m, 0, HANDOVER_STARVED);
}

/* Fixed 0 and 1 are movable; the model knows no such vPMC. */
static void test_movable(void)
{
    HandoverChange change;
    Handover h;

    handover_init(&h, M(0) | M(1) | VPMU_MASK_FIXED, F(1) | F(2), SLICE);
    h.movable = F(0) | F(1);
    handover_enable(&h, VPMU_MASK_FIXED, 0, &change);
    g_assert_cmpint(handover_path(&h, VPMU_FIXED(0)), ==, HANDOVER_FAST);
    g_assert_cmpint(handover_path(&h, VPMU_FIXED(1)), ==, HANDOVER_SLOW);
    g_assert_cmpint(h.phys[VPMU_FIXED(1)], ==, 1);
    g_assert_cmpint(handover_path(&h, VPMU_FIXED(2)), ==, HANDOVER_STARVED);

    /* It has one of the general-purpose pPMCs, so one vPMC less can have one. */
    handover_enable(&h, F(1) | M(0) | M(1), 1, &change);
    g_assert_cmphex(change.starved, ==, M(1));
    g_assert_cmphex(handover_reserve(&h, F(0) | F(1) | M(1), false, 2, &change),
                    ==, F(1));

    /* When its own pPMC is available, it leaves the other. */
    handover_reserve(&h, 0, false, 3, &change);
    g_assert_cmphex(change.vpmcs, ==, F(1) | M(1));
    g_assert_cmpint(handover_path(&h, VPMU_FIXED(1)), ==, HANDOVER_FAST);
    g_assert_cmpint(handover_path(&h, 1), ==, HANDOVER_FAST);
}

static void test_forever(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0, HANDOVER_FOREVER);

    g_assert_cmphex(handover_held(&m->h), ==, ALL);
    enable(m, 0x55 | F(1));
    enable_after(m, INT64_C(1) << 61, 0);
    enable_after(m, INT64_C(1) << 61, 0);
    enable(m, ALL);
    g_assert_cmphex(m->change.vpmcs, ==, 0);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        assert_phys(m, v, (int)v);
    }
    assert_stat(m, hand_overs, 0);
    assert_stat(m, lazy_releases, 0);
    assert_stat(m, evictions, 0);
    g_assert_cmphex(handover_reg_to_physical(&m->h, UINT64_MAX), ==,
                    UINT64_MAX);
    g_assert_cmphex(handover_reg_to_virtual(&m->h, UINT64_MAX), ==,
                    UINT64_MAX);
}

/* How long a vPMC keeps its pPMC */

static void test_reuse(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, M(0), SLICE);

    enable(m, M(0) | M(3));
    for (unsigned i = 1; i <= 5; i++) {
        enable(m, 0);
        g_assert_cmphex(m->change.vpmcs, ==, 0);
        assert_path(m, 0, HANDOVER_IDLE);
        enable_after(m, SLICE - 1, M(0) | M(3));
        g_assert_cmphex(m->change.vpmcs, ==, 0);
        assert_stat(m, reuses, 2 * i);
    }
    /* A vPMC that stays enabled is no reuse. */
    enable(m, M(0) | M(3));
    assert_stat(m, reuses, 10);
    assert_stat(m, hand_overs, 2);
    assert_stat(m, lazy_releases, 0);
    assert_phys(m, 0, 7);
}

/* A vPMC that comes back to another pPMC has not reused its own. */
static void test_no_reuse(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, M(0), SLICE);

    enable(m, M(0));
    enable(m, 0);
    reserve(m, 0);
    assert_phys(m, 0, 7);
    enable(m, M(0));
    assert_phys(m, 0, 0);
    assert_stat(m, moves, 1);
    assert_stat(m, reuses, 0);
}

static void test_lazy_release(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0, SLICE);

    enable(m, M(2) | M(4));
    enable_after(m, 1, M(4));
    enable_after(m, SLICE - 1, M(4));
    assert_phys(m, 2, 2);
    model_pass(m, 1);
    /* There was no call yet. */
    assert_phys(m, 2, 2);
    enable(m, M(4));
    assert_phys(m, 2, NONE);
    g_assert_cmphex(m->change.vpmcs, ==, M(2));
    g_assert_cmpint(m->change.from[2], ==, 2);
    assert_stat(m, lazy_releases, 1);
    assert_stat(m, evictions, 0);
    /* An enabled vPMC keeps its pPMC, however long. */
    assert_phys(m, 4, 4);

    /* The slice begins anew each time. */
    enable(m, 0);
    enable_after(m, SLICE - 1, M(4));
    enable(m, 0);
    enable_after(m, SLICE - 1, 0);
    assert_phys(m, 4, 4);
    /* Too late: the pPMC is released, and the same is handed over anew. */
    enable_after(m, 1, M(4));
    assert_phys(m, 4, 4);
    g_assert_cmphex(m->change.vpmcs, ==, 0);
    assert_stat(m, lazy_releases, 2);
    assert_stat(m, hand_overs, 3);
    assert_stat(m, reuses, 1);

    /* The operator's calls let time pass, too. */
    enable(m, 0);
    model_pass(m, SLICE);
    reserve(m, M(0));
    assert_phys(m, 4, NONE);
    assert_stat(m, lazy_releases, 3);
}

/* Without a slice: at the next call. */
static void test_no_slice(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0, 0);

    enable(m, M(2));
    enable(m, 0);
    assert_phys(m, 2, 2);
    enable(m, 0);
    assert_phys(m, 2, NONE);
}

static void test_backwards(void)
{
    g_autofree HandoverModel *m = new_pmu(0x3, M(0), SLICE);

    enable(m, M(0) | M(1));
    assert_path(m, 1, HANDOVER_FAST);
    assert_path(m, 0, HANDOVER_STARVED);
    enable_after(m, 500, M(0) | M(1));
    assert_stat(m, starved_ns, 500);
    enable_after(m, -400, M(0) | M(1));
    assert_stat(m, starved_ns, 500);
    enable_after(m, 30, M(0) | M(1));
    assert_stat(m, starved_ns, 530);

    /* What has passed of the slice stays passed, and no more has. */
    enable(m, 0);
    enable_after(m, SLICE / 2, 0);
    enable_after(m, -100 * SLICE, 0);
    enable_after(m, SLICE - SLICE / 2 - 1, 0);
    assert_phys(m, 1, 1);
    enable_after(m, 1, 0);
    assert_phys(m, 1, NONE);

    /* Disabled in the very call that sees the jump. */
    enable(m, M(1));
    enable_after(m, -100 * SLICE, 0);
    enable_after(m, SLICE - 1, 0);
    assert_phys(m, 1, 1);
    enable_after(m, 1, 0);
    assert_phys(m, 1, NONE);
}

/* The host's share */

/* A counter goes on with another pPMC, from the value that it had. */
static void test_move(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0, SLICE);
    uint64_t value;

    enable(m, M(3) | M(5));
    model_write(m, 3, 1000);
    value = m->truth[5];
    g_assert_cmphex(model_reserve(m, M(3), false), ==, 0);
    assert_phys(m, 3, 7);
    assert_path(m, 3, HANDOVER_SLOW);
    g_assert_cmphex(m->change.vpmcs, ==, M(3));
    g_assert_cmpint(m->change.from[3], ==, 3);
    g_assert_cmpuint(m->value[7], ==, 1000);
    g_assert_cmpuint(m->value[5], ==, value);
    model_count(m);
    g_assert_cmpuint(m->value[7], >, 1000);
    assert_stat(m, moves, 1);
    assert_stat(m, hand_overs, 2);
    assert_stat(m, evictions, 0);

    /* An idle vPMC does not get another; it just loses its pPMC. */
    enable(m, M(3));
    value = m->truth[5];
    reserve(m, M(3) | M(5));
    assert_phys(m, 5, NONE);
    g_assert_cmpuint(m->parked[5], ==, value);
    assert_stat(m, moves, 1);
    assert_stat(m, evictions, 1);
}

/* vPMC 1 goes from pPMC 7 to 1, and vPMC 5 from pPMC 1 to 7. */
static void test_swap(void)
{
    g_autofree HandoverModel *m = new_pmu(ALL, 0x7f, SLICE);

    enable(m, M(1));
    assert_phys(m, 1, 7);
    reserve(m, 0x7d);
    /* It went home.  So give that pPMC to 5 first. */
    assert_phys(m, 1, 1);
    enable(m, 0);
    enable_after(m, SLICE, 0);
    reserve(m, 0xfd);
    enable(m, M(5));
    assert_phys(m, 5, 1);
    reserve(m, 0x7d);
    enable(m, M(5) | M(1));
    assert_phys(m, 1, 7);
    assert_phys(m, 5, 1);
    enable(m, 0);
    model_write(m, 1, 111);
    model_write(m, 5, 555);
    model_enable(m, M(5) | M(1));
    assert_phys(m, 1, 1);
    assert_phys(m, 5, 7);
    g_assert_cmpuint(m->value[1], ==, 111);
    g_assert_cmpuint(m->value[7], ==, 555);
    assert_stat(m, moves, 3);
}

typedef struct Call {
    char what;
    unsigned v, p;
} Call;

static void note_save(void *opaque, unsigned v, unsigned p)
{
    Call call = { 's', v, p };

    g_array_append_val(opaque, call);
}

static void note_load(void *opaque, unsigned v, unsigned p)
{
    Call call = { 'l', v, p };

    g_array_append_val(opaque, call);
}

/* All values are saved before the first is loaded. */
static void test_apply(void)
{
    static const Call expected[] = {
        { 's', 1, 7 }, { 's', 3, 3 }, { 's', 5, 1 },
        { 'l', 0, 4 }, { 'l', 1, 1 }, { 'l', 5, 7 },
    };
    HandoverChange change = {
        .vpmcs = M(0) | M(1) | M(3) | M(5),
        .from = { NONE, 7, 2, 3, 4, 1, NONE, NONE, NONE, NONE, NONE },
    };
    g_autoptr(GArray) calls = g_array_new(FALSE, FALSE, sizeof(Call));
    Handover h = {
        .phys = { 4, 1, 2, NONE, NONE, 7, NONE, NONE, NONE, NONE, NONE },
    };

    handover_apply(&h, &change, note_save, note_load, calls);
    g_assert_cmpuint(calls->len, ==, G_N_ELEMENTS(expected));
    for (unsigned i = 0; i < calls->len; i++) {
        Call *call = &g_array_index(calls, Call, i);

        g_assert_cmpint(call->what, ==, expected[i].what);
        g_assert_cmpuint(call->v, ==, expected[i].v);
        g_assert_cmpuint(call->p, ==, expected[i].p);
    }
}

/* Without force: the call says which vPMCs are in the way, changing nothing. */
static void test_refused(void)
{
    g_autofree HandoverModel *m = new_pmu(0xf | VPMU_MASK_FIXED, 0, SLICE);
    Handover before;

    enable(m, 0x7 | F(0) | F(2));
    model_pass(m, 50);
    before = m->h;
    g_assert_cmphex(model_reserve(m, M(0) | M(1), false), ==, M(1));
    g_assert_cmphex(model_reserve(m, F(2), false), ==, F(2));
    g_assert_cmphex(model_reserve(m, 0xf, false), ==, 0x7);
    g_assert_cmphex(model_reserve(m, ALL, false), ==, 0x7 | F(0) | F(2));
    g_assert_cmpmem(&m->h, sizeof(m->h), &before, sizeof(before));

    /* An idle vPMC is not in the way. */
    enable(m, M(1) | F(0));
    reserve(m, 0x7 | F(2));
    assert_phys(m, 1, 3);
    assert_stat(m, evictions, 3);
}

static void test_forced(void)
{
    g_autofree HandoverModel *m = new_pmu(0xf | F(0), 0, SLICE);

    enable(m, 0x7 | F(0));
    g_assert_cmphex(model_reserve(m, 0xc | F(0), true), ==, M(2) | F(0));
    model_count(m);
    assert_path(m, 2, HANDOVER_STARVED);
    assert_path(m, 0, HANDOVER_FAST);
    g_assert_cmphex(m->change.starved, ==, M(2) | F(0));
    g_assert_cmphex(m->change.vpmcs, ==, M(2) | F(0));
    g_assert_cmpint(m->change.from[2], ==, 2);
    assert_stat(m, evictions, 2);
    assert_stat(m, moves, 0);

    /* A vPMC that starves already is not named again. */
    model_pass(m, 1000);
    g_assert_cmphex(model_reserve(m, 0xe | F(0), true), ==, M(1));
    assert_stat(m, starved_ns, 2000);
    g_assert_cmphex(model_reserve(m, 0xe | F(0), false), ==, 0);

    /* It gets one again when the host wants fewer... */
    model_pass(m, 1);
    reserve(m, 0x6);
    assert_phys(m, 1, 3);
    assert_phys(m, VPMU_FIXED(0), VPMU_FIXED(0));
    assert_path(m, 2, HANDOVER_STARVED);
    assert_stat(m, starved_ns, 2003);
    /* ...or when another vPMC is disabled. */
    enable(m, M(1) | M(2) | F(0));
    assert_phys(m, 2, 0);
    assert_phys(m, 0, NONE);
    assert_stat(m, hand_overs, 7);
    enable_after(m, 100, M(1) | M(2) | F(0));
    assert_stat(m, starved_ns, 2003);
}

/* A displaced vPMC gets a pPMC before one that starves already. */
static void test_displaced_first(void)
{
    g_autofree HandoverModel *m = new_pmu(GP, 0xf8, SLICE);

    enable(m, M(1) | M(2));
    enable(m, M(0) | M(1) | M(2) | M(3) | M(4));
    assert_path(m, 0, HANDOVER_FAST);
    assert_path(m, 3, HANDOVER_STARVED);
    g_assert_cmphex(model_reserve(m, 0x3e, false), ==, 0);
    assert_phys(m, 1, 7);
    assert_phys(m, 2, 6);
    assert_path(m, 3, HANDOVER_STARVED);
    assert_path(m, 4, HANDOVER_STARVED);

    /* Also if the starved vPMC has the lower index. */
    model_init(m, 0xff, 0xdf, SLICE, 0);
    enable(m, M(5));
    enable(m, M(5) | M(0) | M(1));
    reserve(m, 0x7f);
    assert_phys(m, 5, 7);
    assert_path(m, 0, HANDOVER_STARVED);
    assert_path(m, 1, HANDOVER_STARVED);
}

static void test_choose(void)
{
    VPMUCounterMask all = ALL;

    /* Free counters, from the end that was asked for. */
    g_assert_cmphex(model_choose(all, 0, 0, 0, false), ==, 0);
    g_assert_cmphex(model_choose(all, 0, 0, 2, false), ==, 0xc0);
    g_assert_cmphex(model_choose(all, 0, 0, 2, true), ==, 0x03);
    g_assert_cmphex(model_choose(all, 0, 0, 8, true), ==, 0xff);
    g_assert_cmphex(model_choose(0x0f | F(0), 0, 0, 1, false), ==, 0x08);

    /* Counters with which no guest counts come first. */
    g_assert_cmphex(model_choose(all, 0x81, 0, 2, false), ==, 0x60);
    g_assert_cmphex(model_choose(all, 0x81, 0, 2, true), ==, 0x06);
    g_assert_cmphex(model_choose(all, 0xfe, 0, 2, false), ==, 0x81);
    g_assert_cmphex(model_choose(all, 0x7f, 0, 2, true), ==, 0x81);
    g_assert_cmphex(model_choose(all, 0xff, 0, 3, true), ==, 0x07);

    /* Reserved counters stay reserved. */
    g_assert_cmphex(model_choose(all, 0, 0x10, 2, false), ==, 0x90);
    g_assert_cmphex(model_choose(all, 0, 0x10, 2, true), ==, 0x11);
    g_assert_cmphex(model_choose(all, 0x10, 0x10, 2, true), ==, 0x11);
    g_assert_cmphex(model_choose(all, 0, 0x1c, 1, false), ==, 0x10);
    g_assert_cmphex(model_choose(all, 0, 0x1c, 1, true), ==, 0x04);
    g_assert_cmphex(model_choose(all, 0, 0x1c | F(0), 0, true), ==, 0);

    /* All there are. */
    for (unsigned avoid = 0; avoid <= GP; avoid++) {
        for (unsigned reserved = 0; reserved <= GP; reserved++) {
            unsigned nr = (avoid + reserved) % 9;

            model_choose(all, avoid, reserved, nr, avoid & 1);
            model_choose(0xf, avoid, reserved & 0xf, nr % 5, reserved & 1);
        }
    }
}

/* Translation */

/* vPMC 0 at 7, 1 at 1, 7 starved; fixed 0 at home, fixed 1 starved. */
static HandoverModel *new_crossed(void)
{
    HandoverModel *m = new_pmu(ALL, 0x7d | F(1), SLICE);

    enable(m, M(0));
    enable(m, M(0) | M(1) | M(7) | F(0) | F(1));
    assert_phys(m, 0, 7);
    assert_phys(m, 1, 1);
    assert_phys(m, 7, NONE);
    return m;
}

static void test_translate(void)
{
    g_autofree HandoverModel *m = new_crossed();
    const Handover *h = &m->h;
    const uint64_t f0 = UINT64_C(1) << 32, f1 = UINT64_C(1) << 33;
    const uint64_t others = UINT64_C(0xf800000000000f00);

    g_assert_cmphex(vpmu_mask_to_reg(ALL), ==, UINT64_C(0x7000000ff));
    g_assert_cmphex(vpmu_mask_from_reg(f1 | 0x81), ==, F(1) | M(0) | M(7));
    g_assert_cmphex(vpmu_mask_from_reg(others), ==, 0);

    g_assert_cmphex(handover_to_physical(h, M(0)), ==, M(7));
    g_assert_cmphex(handover_to_physical(h, M(7) | F(1)), ==, 0);
    g_assert_cmphex(handover_to_physical(h, ALL), ==, M(7) | M(1) | F(0));
    g_assert_cmphex(handover_held(h), ==, M(7) | M(1) | F(0));
    g_assert_cmphex(handover_to_virtual(h, M(7)), ==, M(0));
    g_assert_cmphex(handover_to_virtual(h, M(0) | M(5) | F(1)), ==, 0);
    g_assert_cmphex(handover_to_virtual(h, ALL), ==, M(0) | M(1) | F(0));

    g_assert_cmphex(handover_reg_to_physical(h, 0x81 | f0 | f1), ==,
                    0x80 | f0);
    g_assert_cmphex(handover_reg_to_virtual(h, 0x82 | f0), ==, 0x03 | f0);
    g_assert_cmphex(handover_reg_to_virtual(h, 0x01 | f1), ==, 0);
    g_assert_cmphex(handover_reg_to_physical(h, others), ==, others);
    g_assert_cmphex(handover_reg_to_virtual(h, others | 0x80), ==,
                    others | 0x01);
}

static void check_record(const Handover *h, unsigned format, unsigned offset,
                         uint64_t field, uint64_t virtual)
{
    uint8_t record[0x100], expected[sizeof(record)];
    unsigned result = field == virtual ? 0 : 8;

    memset(record, 0x5a, sizeof(record));
    memcpy(expected, record, sizeof(record));
    field = GUINT64_TO_LE(field);
    memcpy(record + offset, &field, 8);

    /* The record ends within the field. */
    memcpy(expected + offset, &field, 8);
    for (unsigned size = 0; size < offset + 8; size++) {
        g_assert_cmpuint(pebs_record_translate(h, format, record, size),
                         ==, 0);
    }
    g_assert_cmpmem(record, sizeof(record), expected, sizeof(expected));

    virtual = GUINT64_TO_LE(virtual);
    memcpy(expected + offset, &virtual, 8);
    g_assert_cmpuint(pebs_record_translate(h, format, record, offset + 8),
                     ==, result);
    g_assert_cmpmem(record, sizeof(record), expected, sizeof(expected));
}

static void test_record(void)
{
    static const struct {
        unsigned format, offset;
    } formats[] = { { 3, 0x90 }, { 4, 0x10 } };
    const uint64_t f0 = UINT64_C(1) << 32, f2 = UINT64_C(1) << 34;
    g_autofree HandoverModel *fast = new_pmu(ALL, 0, SLICE);
    g_autofree HandoverModel *slow = new_crossed();

    enable(fast, ALL & ~F(1));
    for (unsigned i = 0; i < G_N_ELEMENTS(formats); i++) {
        unsigned format = formats[i].format, offset = formats[i].offset;

        check_record(&fast->h, format, offset, 0, 0);
        check_record(&fast->h, format, offset, 0x81 | f0, 0x81 | f0);
        check_record(&fast->h, format, offset, 0xff | f0 | f2,
                     0xff | f0 | f2);

        check_record(&slow->h, format, offset, 0x80, 0x01);
        check_record(&slow->h, format, offset, 0x82 | f0, 0x03 | f0);
        /* A counter that is not cross-mapped */
        check_record(&slow->h, format, offset, 0x02 | f0, 0x02 | f0);
        /* A counter that is not the guest's (any more) */
        check_record(&slow->h, format, offset, 0x82 | f2, 0x03);
        /* Bits that belong to no counter, up to the last byte */
        check_record(&slow->h, format, offset, UINT64_C(0x8000000000000180),
                     UINT64_C(0x8000000000000101));
    }
}

static void test_reset_slots(void)
{
    g_autofree HandoverModel *m = new_crossed();
    uint64_t vslots[VPMU_NR], pslots[VPMU_NR];

    for (unsigned i = 0; i < VPMU_NR; i++) {
        vslots[i] = 100 + i;
        pslots[i] = 900 + i;
    }
    g_assert_cmphex(handover_reset_slots(&m->h, vslots, pslots), ==, M(7));
    for (unsigned p = 0; p < VPMU_NR; p++) {
        switch (p) {
        case 7:
            g_assert_cmpuint(pslots[p], ==, 100);
            break;
        case 1:
        case VPMU_FIXED(0):
            g_assert_cmpuint(pslots[p], ==, 100 + p);
            break;
        default:
            g_assert_cmpuint(pslots[p], ==, 900 + p);
        }
    }

    model_init(m, ALL, 0, SLICE, 0);
    enable(m, ALL);
    g_assert_cmphex(handover_reset_slots(&m->h, vslots, pslots), ==, 0);
    g_assert_cmpmem(pslots, sizeof(pslots), vslots, sizeof(vslots));
}

/* The statistics that docs/system/i386/vpmu.rst promises. */
static void test_stats_table(void)
{
    static const char *const expected[] = {
        "hand-overs", "reuses", "lazy-releases", "moves", "evictions",
        "starved-ns", "control-writes-direct", "control-writes-reprogrammed",
        "pmis", "pebs-records-fast", "pebs-records-slow",
        "pebs-records-dropped", "pebs-bytes-rewritten", "bts-records-dropped",
    };
    static const struct {
        const char *field, *name, *unit, *description;
        size_t offset;
    } table[] = {
#define HANDOVER_STAT(field, name, unit, description) \
        { #field, name, #unit, description, offsetof(HandoverStats, field) },
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
    };

    g_assert_cmpuint(G_N_ELEMENTS(table), ==, G_N_ELEMENTS(expected));
    g_assert_cmpuint(sizeof(HandoverStats), ==,
                     G_N_ELEMENTS(table) * sizeof(uint64_t));
    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *name = g_strdelimit(g_strdup(table[i].field), "_",
                                             '-');

        g_assert_cmpstr(table[i].name, ==, expected[i]);
        g_assert_cmpstr(table[i].name, ==, name);
        g_assert_cmpuint(table[i].offset, ==, i * sizeof(uint64_t));
        g_assert_cmpuint(strlen(table[i].description), >, 0);
        g_assert_cmpstr(table[i].unit, ==,
                        g_str_has_suffix(name, "-ns") ? "NANOSECONDS" :
                        strstr(name, "bytes") ? "BYTES" : "COUNT");
        for (unsigned k = 0; k < i; k++) {
            g_assert_cmpstr(table[i].name, !=, table[k].name);
            g_assert_cmpstr(table[i].description, !=, table[k].description);
        }
    }
}

/* Anything */

/* @slice: index into the slices that a stream can choose, or -1 for any */
static void run_streams(unsigned nr, int slice, HandoverTally *tally)
{
    uint8_t stream[600];

    for (unsigned i = 0; i < nr; i++) {
        unsigned size = g_test_rand_int_range(2, sizeof(stream) + 1);

        for (unsigned k = 0; k < size; k++) {
            stream[k] = g_test_rand_int();
        }
        if (slice >= 0) {
            stream[1] = (stream[1] & ~7) | slice;
        }
        model_run(stream, size, tally);
    }
}

static void test_random(void)
{
    HandoverTally tally = { };

    run_streams(3000, -1, &tally);
    /* The streams reach everything. */
    g_assert_cmpuint(tally.stats.hand_overs, >, 1000);
    g_assert_cmpuint(tally.stats.reuses, >, 1000);
    g_assert_cmpuint(tally.stats.lazy_releases, >, 1000);
    g_assert_cmpuint(tally.stats.moves, >, 1000);
    g_assert_cmpuint(tally.stats.evictions, >, 1000);
    g_assert_cmpuint(tally.stats.starved_ns, >, 1000);
    g_assert_cmpuint(tally.slow, >, 1000);
    g_assert_cmpuint(tally.refused, >, 1000);
    g_assert_cmpuint(tally.forced, >, 1000);
    g_assert_cmpuint(tally.swaps, >, 10);
}

static void test_random_forever(void)
{
    HandoverTally tally = { };

    run_streams(300, 7, &tally);
    g_assert_cmpuint(tally.stats.reuses, >, 1000);
    g_assert_cmpuint(tally.stats.hand_overs, ==, 0);
    g_assert_cmpuint(tally.stats.lazy_releases, ==, 0);
    g_assert_cmpuint(tally.stats.moves, ==, 0);
    g_assert_cmpuint(tally.stats.evictions, ==, 0);
    g_assert_cmpuint(tally.stats.starved_ns, ==, 0);
    g_assert_cmpuint(tally.slow, ==, 0);
}

/*
 * Every order in which four vPMCs can be enabled and disabled again, with
 * every reservation of their pPMCs before and after.
 */
static void run_order(const unsigned *order, VPMUCounterMask first,
                      VPMUCounterMask then, bool force)
{
    HandoverModel m;

    model_init(&m, 0xf, first, SLICE, 0);
    for (unsigned i = 0; i < 4; i++) {
        enable_after(&m, SLICE / 3, m.enabled | M(order[i]));
    }
    model_reserve(&m, then, force);
    for (unsigned i = 0; i < 4; i++) {
        enable_after(&m, SLICE / 3, m.enabled & ~M(order[i]));
        if (i == 1) {
            enable(&m, m.enabled | M(order[0]));
        }
    }
    enable(&m, 0);
    enable_after(&m, SLICE, 0);
    g_assert_cmphex(handover_held(&m.h), ==, 0);
}

static void test_orders(void)
{
    for (unsigned n = 0; n < 4 * 4 * 4 * 4; n++) {
        const unsigned order[] = { n & 3, n >> 2 & 3, n >> 4 & 3, n >> 6 };

        if ((M(order[0]) | M(order[1]) | M(order[2]) | M(order[3])) != 0xf) {
            continue;
        }
        for (unsigned reserved = 0; reserved < 0x100; reserved++) {
            run_order(order, reserved & 0xf, reserved >> 4, false);
            run_order(order, reserved & 0xf, reserved >> 4, true);
        }
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/handover/same-index", test_same_index);
    g_test_add_func("/handover/highest-free", test_highest_free);
    g_test_add_func("/handover/two-passes", test_two_passes);
    g_test_add_func("/handover/idle-yields", test_idle_yields);
    g_test_add_func("/handover/idle-yields-to-own", test_idle_yields_to_own);
    g_test_add_func("/handover/enabled-stays", test_enabled_stays);
    g_test_add_func("/handover/home", test_home);
    g_test_add_func("/handover/fixed", test_fixed);
    g_test_add_func("/handover/movable", test_movable);
    g_test_add_func("/handover/forever", test_forever);
    g_test_add_func("/handover/reuse", test_reuse);
    g_test_add_func("/handover/no-reuse", test_no_reuse);
    g_test_add_func("/handover/lazy-release", test_lazy_release);
    g_test_add_func("/handover/no-slice", test_no_slice);
    g_test_add_func("/handover/backwards", test_backwards);
    g_test_add_func("/handover/move", test_move);
    g_test_add_func("/handover/swap", test_swap);
    g_test_add_func("/handover/apply", test_apply);
    g_test_add_func("/handover/refused", test_refused);
    g_test_add_func("/handover/forced", test_forced);
    g_test_add_func("/handover/displaced-first", test_displaced_first);
    g_test_add_func("/handover/choose", test_choose);
    g_test_add_func("/handover/translate", test_translate);
    g_test_add_func("/handover/record", test_record);
    g_test_add_func("/handover/reset-slots", test_reset_slots);
    g_test_add_func("/handover/stats-table", test_stats_table);
    g_test_add_func("/handover/orders", test_orders);
    g_test_add_func("/handover/random", test_random);
    g_test_add_func("/handover/random-forever", test_random_forever);
    return g_test_run();
}
