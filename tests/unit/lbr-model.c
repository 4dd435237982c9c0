/*
 * Last branch records against a model that keeps a list of everything
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "lbr.h"
#include "lbr-model.h"

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

/* The stream; zeros follow its end. */
typedef struct Stream {
    const uint8_t *data;
    size_t size;
} Stream;

static uint64_t take(Stream *s, unsigned bytes)
{
    uint64_t value = 0;

    while (bytes--) {
        value = value << 8 | (s->size ? *s->data : 0);
        if (s->size) {
            s->data++;
            s->size--;
        }
    }
    return value;
}

/* Canonical, in both halves */
static uint64_t take_address(Stream *s)
{
    return (uint64_t)(int32_t)take(s, 4) << 15;
}

static LBRBranch take_branch(Stream *s)
{
    static const SoftPMUBranch calls[] = {
        SOFTPMU_BR_CALL, SOFTPMU_BR_CALL_IND, SOFTPMU_BR_RET,
    };
    unsigned what = take(s, 1);
    LBRBranch b = {
        .kind = what & 1 ? 1 + (what >> 1) % (SOFTPMU_BR_NR - 1) :
                           calls[(what >> 1) % 3],
        .ring = what >> 4 & 1,
        .from = take_address(s),
        .to = take_address(s),
    };

    b.is_next = b.kind == SOFTPMU_BR_CALL && what >> 5 == 0;
    return b;
}

/* Any filter, those without rings and the call stack more often */
static uint64_t take_select(Stream *s)
{
    unsigned what = take(s, 2);

    switch (what >> 14) {
    case 0:
        return what & 0x3ff;
    case 1:
        return what & 0x1fc;
    case 2:
        return 0x3c4; /* as Linux has it: call stack without jumps */
    default:
        return 0;
    }
}

/* A few cycles, or more than a record can have */
static uint64_t take_cycles(Stream *s)
{
    unsigned what = take(s, 1);

    return what >= 250 ? take(s, 3) : what & 7;
}

static void step(Stream *s, LBR *lbr, LBRFormat format, Model *m, uint64_t *now)
{
    uint64_t cycles = take_cycles(s);
    LBRBranch b;

    *now += cycles;
    m->since += m->runs ? cycles : 0;
    if (take(s, 1) < 3) {
        m->select = take_select(s);
        lbr->select = filter(format, m->select);
        m->runs = take(s, 1) & 3;
        lbr_update(lbr, format, m->runs, *now);
    }
    b = take_branch(s);
    g_assert_cmpuint(lbr_elapsed(lbr, *now), ==, m->since);
    g_assert_cmpint(lbr_wants(lbr, b.kind, b.ring), ==,
                    m->runs && !model_suppresses(m->select, &b));
    model_branch(m, format, &b);
    lbr_record(lbr, format, &b, *now);
    compare(lbr, format, m);
}

unsigned lbr_model_run(const uint8_t *data, size_t size)
{
    Stream s = { data, size };
    LBR lbr = { };
    LBRFormat format = formats[take(&s, 1) % G_N_ELEMENTS(formats)];
    uint64_t now = take(&s, 8);
    Model m = {
        .list = g_array_new(false, true, sizeof(Record)),
        .depth = format == LBR_FORMAT_ARCH ? 8u << take(&s, 1) % 3 : LBR_DEPTH,
    };

    lbr_reset(&lbr);
    if (format == LBR_FORMAT_ARCH) {
        lbr_set_depth(&lbr, m.depth);
    }
    m.tos = lbr.tos = take(&s, 1) % m.depth;
    /* It runs from the start, so that a short stream has records, too. */
    m.select = take_select(&s);
    lbr.select = filter(format, m.select);
    m.runs = true;
    lbr_update(&lbr, format, true, now);
    g_array_set_size(m.list, m.depth);
    while (s.size) {
        step(&s, &lbr, format, &m, &now);
    }
    g_array_free(m.list, true);
    return m.pops;
}
