/*
 * Last branch records against a model that keeps a list of everything
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The model knows no ring buffer: it has a list of as many records as there are.
 * A branch is appended and the first one goes; a return takes the last one away.
 */
#include <glib.h>
#include <string.h>
#include "lbr.h"

/* In LBR_SELECT */
#define SELECT_RINGS    UINT64_C(0x3)

typedef struct Record {
    uint64_t from;
    uint64_t to;
    uint64_t info;
} Record;

/*
 * @list: what the registers have, oldest first, @depth records; @tos: where the
 * last one is; @select: LBR_SELECT, whatever the format
 */
typedef struct Model {
    GArray *list;
    unsigned depth;
    uint64_t select;
    uint64_t since;
    uint64_t tos;
    unsigned pops;
    bool runs;
} Model;

static const LBRFormat formats[] = {
    LBR_FORMAT_INFO, LBR_FORMAT_TIME, LBR_FORMAT_INFO2, LBR_FORMAT_ARCH,
};

/* By SoftPMUBranch: bits of LBR_SELECT and IA32_LBR_CTL, type in INFO */
static const struct {
    uint8_t select, ctl, type;
} kinds[] = {
    [SOFTPMU_BR_COND] = { 2, 16, 0 }, [SOFTPMU_BR_CALL] = { 3, 19, 4 },
    [SOFTPMU_BR_CALL_IND] = { 4, 20, 3 }, [SOFTPMU_BR_RET] = { 5, 21, 5 },
    [SOFTPMU_BR_JMP_IND] = { 6, 18, 1 }, [SOFTPMU_BR_JMP] = { 7, 17, 2 },
    [SOFTPMU_BR_FAR] = { 8, 22, 8 },
};

/* What the format has for a filter */
static uint64_t filter(LBRFormat format, uint64_t select)
{
    uint64_t ctl = (select & 1 ? 0 : 2) | (select & 2 ? 0 : 4) |
                   (select >> 9 & 1) << 3;

    for (unsigned k = SOFTPMU_BR_COND; k < SOFTPMU_BR_NR; k++) {
        ctl |= (~select >> kinds[k].select & 1) << kinds[k].ctl;
    }
    return format == LBR_FORMAT_ARCH ? ctl : select;
}

static unsigned below(unsigned n)
{
    return g_test_rand_int_range(0, n);
}

/* Is a branch kept out, bit by bit as the SDM's table has it? */
static bool model_suppresses(uint64_t select, const LBRBranch *b)
{
    switch (b->kind) {
    case SOFTPMU_BR_COND:
        select &= 1 << 2 | SELECT_RINGS;
        break;
    case SOFTPMU_BR_CALL:
        select &= 1 << 3 | SELECT_RINGS;
        break;
    case SOFTPMU_BR_CALL_IND:
        select &= 1 << 4 | SELECT_RINGS;
        break;
    case SOFTPMU_BR_RET:
        select &= 1 << 5 | SELECT_RINGS;
        break;
    case SOFTPMU_BR_JMP_IND:
        select &= 1 << 6 | SELECT_RINGS;
        break;
    case SOFTPMU_BR_JMP:
        select &= 1 << 7 | SELECT_RINGS;
        break;
    default:
        select &= 1 << 8 | SELECT_RINGS;
    }
    return select & ~(b->ring == SOFTPMU_KERNEL ? 2 : 1);
}

/* What the registers have of a record */
static Record model_record(LBRFormat format, const LBRBranch *b,
                           uint64_t cycles)
{
    Record r = { .from = b->from, .to = b->to, .info = MIN(cycles, 65535) };

    if (format == LBR_FORMAT_TIME) {
        r.from = b->from << 1 >> 1;
        r.to = b->to << 16 >> 16 | r.info << 48;
        r.info = 0;
    } else if (format == LBR_FORMAT_ARCH) {
        r.info |= UINT64_C(1) << 60 | (uint64_t)kinds[b->kind].type << 56;
    }
    return r;
}

static void model_branch(Model *m, LBRFormat format, const LBRBranch *b)
{
    const Record none = { };
    bool stack = m->select & 1 << 9;

    if (!m->runs || model_suppresses(m->select, b)) {
        return;
    }
    if (stack && b->kind == SOFTPMU_BR_RET) {
        g_array_remove_index(m->list, m->depth - 1);
        g_array_prepend_val(m->list, none);
        m->tos = (m->tos + m->depth - 1) % m->depth;
        m->pops++;
    } else if (!stack || !b->is_next) {
        Record r = model_record(format, b, m->since);

        g_array_remove_index(m->list, 0);
        g_array_append_val(m->list, r);
        m->tos = (m->tos + 1) % m->depth;
        m->since = 0;
    }
}

static void compare(const LBR *lbr, LBRFormat format, const Model *m)
{
    g_assert_cmpuint(lbr->tos, ==, m->tos);
    g_assert_true(lbr_is_valid(lbr, format));
    for (unsigned i = 0; i < m->depth; i++) {
        unsigned j = (m->tos + m->depth - i) % m->depth;
        unsigned nr = format == LBR_FORMAT_ARCH ? i : j;
        Record *r = &g_array_index(m->list, Record, m->depth - 1 - i);

        g_assert_cmpuint(lbr_index(lbr, format, nr), ==, j);
        g_assert_cmphex(lbr->from[j], ==, r->from);
        g_assert_cmphex(lbr->to[j], ==, r->to);
        g_assert_cmphex(lbr->info[j], ==, r->info);
    }
}

static LBRBranch random_branch(void)
{
    static const SoftPMUBranch calls[] = {
        SOFTPMU_BR_CALL, SOFTPMU_BR_CALL_IND, SOFTPMU_BR_RET,
    };
    LBRBranch b = {
        .kind = below(2) ? 1 + below(SOFTPMU_BR_NR - 1) : calls[below(3)],
        .ring = below(2),
        /* Canonical, in both halves */
        .from = (uint64_t)((int64_t)g_test_rand_int() << 15) + below(999),
        .to = (uint64_t)((int64_t)g_test_rand_int() << 15) + below(999),
    };

    b.is_next = b.kind == SOFTPMU_BR_CALL && below(3) == 0;
    return b;
}

/* Any filter, those without rings and the call stack more often */
static uint64_t random_select(void)
{
    switch (below(4)) {
    case 0:
        return g_test_rand_int() & 0x3ff;
    case 1:
        return g_test_rand_int() & 0x1fc;
    case 2:
        return 0x3c4; /* as Linux has it: call stack without jumps */
    default:
        return 0;
    }
}

/* Returns: how many records returns have taken away */
static unsigned run_random(LBRFormat format)
{
    LBR lbr = { };
    Model m = {
        .list = g_array_new(false, true, sizeof(Record)),
        .depth = format == LBR_FORMAT_ARCH ? 8u << below(3) : LBR_DEPTH,
    };
    uint64_t now = g_test_rand_int();

    lbr_reset(&lbr);
    if (format == LBR_FORMAT_ARCH) {
        lbr_set_depth(&lbr, m.depth);
    }
    m.tos = lbr.tos = below(m.depth);
    lbr.select = filter(format, 0);
    g_array_set_size(m.list, m.depth);
    for (unsigned step = 0; step < 3000; step++) {
        LBRBranch b = random_branch();
        uint64_t cycles = below(50) ? below(9) : below(200000);

        now += cycles;
        m.since += m.runs ? cycles : 0;
        if (below(100) == 0) {
            m.select = random_select();
            lbr.select = filter(format, m.select);
            m.runs = below(4);
            lbr_update(&lbr, format, m.runs, now);
        }
        g_assert_cmpuint(lbr_elapsed(&lbr, now), ==, m.since);
        g_assert_cmpint(lbr_wants(&lbr, b.kind, b.ring), ==,
                        m.runs && !model_suppresses(m.select, &b));
        model_branch(&m, format, &b);
        lbr_record(&lbr, format, &b, now);
        compare(&lbr, format, &m);
    }
    g_array_free(m.list, true);
    return m.pops;
}

static void test_random(void)
{
    unsigned pops = 0;

    for (unsigned i = 0; i < 60; i++) {
        pops += run_random(formats[i % G_N_ELEMENTS(formats)]);
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
