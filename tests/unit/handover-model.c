/*
 * The hand-over core against a model, with hardware to count on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <string.h>
#include "handover-model.h"

#define NONE HANDOVER_NONE

static bool in(VPMUCounterMask mask, int i)
{
    return i != NONE && (mask & VPMU_MASK_OF(i));
}

static uint64_t next_random(HandoverModel *m)
{
    m->random = m->random * UINT64_C(6364136223846793005) + 1;
    return m->random >> 32 | m->random << 32;
}

static unsigned count_bits(uint64_t mask)
{
    return __builtin_popcountll(mask);
}

/* The hardware */

static void stop_and_save(void *opaque, unsigned v, unsigned p)
{
    HandoverModel *m = opaque;

    g_assert_cmphex(m->loaded, ==, 0);
    g_assert_false(in(m->saved, v));
    g_assert_cmpint(m->before.phys[v], ==, p);
    m->saved |= VPMU_MASK_OF(v);
    m->parked[v] = m->value[p];
    /* Reading the counter is too late now. */
    m->value[p] = next_random(m);
    m->on &= ~VPMU_MASK_OF(p);
}

static void load_value(void *opaque, unsigned v, unsigned p)
{
    HandoverModel *m = opaque;

    g_assert_false(in(m->loaded, v));
    g_assert_cmpint(m->h.phys[v], ==, p);
    m->loaded |= VPMU_MASK_OF(v);
    m->value[p] = m->parked[v];
    m->parked[v] = next_random(m);
}

/* Switch on the counters that must count, and only those. */
static void program_counters(HandoverModel *m)
{
    memset(m->event, NONE, sizeof(m->event));
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (m->h.phys[v] != NONE) {
            m->event[m->h.phys[v]] = v;
        }
    }
    m->on = handover_to_physical(&m->h, m->enabled);
}

/* Carry out @m->change as a caller does. */
static void apply_change(HandoverModel *m)
{
    VPMUCounterMask save = 0, put = 0;

    m->saved = m->loaded = 0;
    handover_apply(&m->h, &m->change, stop_and_save, load_value, m);
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (in(m->change.vpmcs, v)) {
            save |= m->before.phys[v] != NONE ? VPMU_MASK_OF(v) : 0;
            put |= m->h.phys[v] != NONE ? VPMU_MASK_OF(v) : 0;
        }
    }
    g_assert_cmphex(m->saved, ==, save);
    g_assert_cmphex(m->loaded, ==, put);
    program_counters(m);
}

/* What must be true at any time */

static void check_map(const HandoverModel *m)
{
    const Handover *h = &m->h;
    VPMUCounterMask mine = m->counters & ~m->reserved, held = 0;

    g_assert_cmphex(h->counters, ==, m->counters);
    g_assert_cmphex(h->reserved, ==, m->reserved);
    g_assert_cmphex(h->enabled, ==, m->enabled);
    g_assert_cmpint(h->now, ==, m->last);
    g_assert_cmpint(h->slice, ==, m->slice);

    for (int i = 0; i < VPMU_NR; i++) {
        int p = h->phys[i], v = h->virt[i];

        g_assert_cmpint(p, >=, NONE);
        g_assert_cmpint(p, <, VPMU_NR);
        g_assert_cmpint(v, >=, NONE);
        g_assert_cmpint(v, <, VPMU_NR);
        if (p != NONE) {
            g_assert_cmpint(h->virt[p], ==, i);
            g_assert_true(in(mine, p));
            held |= VPMU_MASK_OF(p);
        }
        if (v != NONE) {
            g_assert_cmpint(h->phys[v], ==, i);
        }
        /* Fixed counters are not interchangeable. */
        if (i >= VPMU_NR_GP) {
            g_assert_true(p == NONE || p == i);
            g_assert_true(v == NONE || v == i);
        }
        if (!m->ever_reserved) {
            g_assert_true(p == i || (p == NONE && !in(m->enabled, i)));
        }
        if (m->slice == HANDOVER_FOREVER) {
            g_assert_cmpint(p, ==, in(m->counters, i) ? i : NONE);
        }
        g_assert_cmpint(handover_path(h, i), ==,
                        !in(m->enabled, i) ? HANDOVER_IDLE :
                        p == NONE ? HANDOVER_STARVED :
                        p == i ? HANDOVER_FAST : HANDOVER_SLOW);
    }
    g_assert_cmphex(handover_held(h), ==, held);

    /* No vPMC starves while a pPMC that it could use is idle. */
    for (int v = 0; v < VPMU_NR; v++) {
        if (!in(m->enabled, v) || h->phys[v] != NONE) {
            continue;
        }
        for (int p = 0; p < VPMU_NR; p++) {
            if (in(mine, p) && (p == v || (p | v) < VPMU_NR_GP)) {
                g_assert_true(in(m->enabled, h->virt[p]));
            }
        }
    }
}

static uint64_t value_of(const HandoverModel *m, unsigned v)
{
    int p = m->h.phys[v];

    return p != NONE ? m->value[p] : m->parked[v];
}

static void check_values(const HandoverModel *m)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        g_assert_cmphex(value_of(m, v), ==, m->truth[v]);
    }
}

/* Where a counter's bit is in a control register. */
static uint64_t reg_bit(unsigned i)
{
    return UINT64_C(1) << (i < VPMU_NR_GP ? i : 32 + (i - VPMU_NR_GP));
}

static void check_translation(HandoverModel *m)
{
    const Handover *h = &m->h;
    uint64_t reg = next_random(m), others = reg;
    uint64_t to_p = 0, to_v = 0, backed_reg = 0, held_reg = 0;
    VPMUCounterMask mask = 0, to_p_mask = 0, to_v_mask = 0;
    VPMUCounterMask backed = 0, held = 0;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        int p = h->phys[i], v = h->virt[i];
        bool set = reg & reg_bit(i);

        others &= ~reg_bit(i);
        mask |= set ? VPMU_MASK_OF(i) : 0;
        if (p != NONE) {
            backed |= VPMU_MASK_OF(i);
            backed_reg |= reg_bit(i);
            to_p |= set ? reg_bit(p) : 0;
            to_p_mask |= set ? VPMU_MASK_OF(p) : 0;
        }
        if (v != NONE) {
            held |= VPMU_MASK_OF(i);
            held_reg |= reg_bit(i);
            to_v |= set ? reg_bit(v) : 0;
            to_v_mask |= set ? VPMU_MASK_OF(v) : 0;
        }
    }
    g_assert_cmphex(vpmu_mask_from_reg(reg), ==, mask);
    g_assert_cmphex(vpmu_mask_to_reg(mask), ==, reg & ~others);

    g_assert_cmphex(handover_to_physical(h, mask), ==, to_p_mask);
    g_assert_cmphex(handover_to_virtual(h, mask), ==, to_v_mask);
    g_assert_cmphex(handover_reg_to_physical(h, reg), ==, to_p | others);
    g_assert_cmphex(handover_reg_to_virtual(h, reg), ==, to_v | others);

    /* There and back, for counters with a counterpart. */
    g_assert_cmphex(handover_to_virtual(h, handover_to_physical(h, mask)), ==,
                    mask & backed);
    g_assert_cmphex(handover_to_physical(h, handover_to_virtual(h, mask)), ==,
                    mask & held);
    g_assert_cmphex(handover_reg_to_virtual(
                        h, handover_reg_to_physical(h, reg)), ==,
                    others | (reg & backed_reg));
    g_assert_cmphex(handover_reg_to_physical(
                        h, handover_reg_to_virtual(h, reg)), ==,
                    others | (reg & held_reg));

    if (!m->ever_reserved) {
        reg = others | (reg & backed_reg);
        g_assert_cmphex(handover_reg_to_physical(h, reg), ==, reg);
        g_assert_cmphex(handover_reg_to_virtual(h, reg), ==, reg);
        mask &= backed;
        g_assert_cmphex(handover_to_physical(h, mask), ==, mask);
        g_assert_cmphex(handover_to_virtual(h, mask), ==, mask);
    }
}

static void check_record(HandoverModel *m)
{
    uint8_t record[0xa8], expected[sizeof(record)];
    unsigned format = 3 + next_random(m) % 2;
    unsigned offset = format == 3 ? 0x90 : 0x10;
    unsigned size = next_random(m) % 2 ? sizeof(record) :
                    next_random(m) % (sizeof(record) + 1);
    unsigned rewritten;
    uint64_t field = 0, virtual;

    for (unsigned i = 0; i < sizeof(record); i += 8) {
        uint64_t random = next_random(m);

        memcpy(record + i, &random, 8);
    }
    if (next_random(m) % 2) {
        /* As hardware would write it: only counters that the guest holds. */
        memset(record + offset, 0, 8);
        for (unsigned p = 0; p < VPMU_NR; p++) {
            if (m->h.virt[p] != NONE && next_random(m) % 2) {
                uint64_t bit = reg_bit(p);

                for (unsigned i = 0; i < 8; i++) {
                    record[offset + i] |= bit >> (8 * i);
                }
            }
        }
    }
    memcpy(expected, record, sizeof(record));
    for (unsigned i = 0; i < 8; i++) {
        field |= (uint64_t)record[offset + i] << (8 * i);
    }
    virtual = field;
    for (unsigned i = 0; i < VPMU_NR; i++) {
        virtual &= ~reg_bit(i);
    }
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if ((field & reg_bit(p)) && m->h.virt[p] != NONE) {
            virtual |= reg_bit(m->h.virt[p]);
        }
    }
    if (size >= offset + 8) {
        for (unsigned i = 0; i < 8; i++) {
            expected[offset + i] = virtual >> (8 * i);
        }
    }
    rewritten = memcmp(expected, record, sizeof(record)) ? 8 : 0;
    g_assert_cmpuint(pebs_record_translate(&m->h, format, record, size),
                     ==, rewritten);
    g_assert_cmpmem(record, sizeof(record), expected, sizeof(expected));
}

static void check_slots(HandoverModel *m)
{
    uint64_t vslots[VPMU_NR], pslots[VPMU_NR], old[VPMU_NR];
    VPMUCounterMask moved;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        vslots[i] = next_random(m);
        old[i] = pslots[i] = next_random(m);
    }
    moved = handover_reset_slots(&m->h, vslots, pslots);
    for (int p = 0; p < VPMU_NR; p++) {
        int v = m->h.virt[p];

        g_assert_cmphex(pslots[p], ==, v == NONE ? old[p] : vslots[v]);
        g_assert_cmpint(in(moved, p), ==, v != NONE && v != p);
    }
    g_assert_cmphex(moved & ~VPMU_MASK_ALL, ==, 0);
}

static void check_all(HandoverModel *m)
{
    check_map(m);
    check_values(m);
    check_translation(m);
    check_record(m);
    check_slots(m);
#define HANDOVER_STAT(field, name, unit, description) \
    g_assert_cmpuint(m->h.stats.field, ==, m->stats.field);
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
}

/* What must be true of a change */

/* @m->change has the difference between @m->before and @m->h. */
static void check_change(const HandoverModel *m)
{
    const HandoverChange *change = &m->change;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        bool starved = handover_path(&m->h, v) == HANDOVER_STARVED &&
                       handover_path(&m->before, v) != HANDOVER_STARVED;

        g_assert_cmpint(in(change->vpmcs, v), ==,
                        m->h.phys[v] != m->before.phys[v]);
        g_assert_cmpint(in(change->starved, v), ==, starved);
        if (in(change->vpmcs, v)) {
            g_assert_cmpint(change->from[v], ==, m->before.phys[v]);
        }
    }
    g_assert_cmphex((change->vpmcs | change->starved) & ~VPMU_MASK_ALL, ==, 0);
}

/*
 * The order in which a vPMC that cannot have the pPMC of its index chooses:
 * from the highest to the lowest, those that are free before those that an
 * idle vPMC holds.
 */
static int rank(const HandoverModel *m, int p, VPMUCounterMask released)
{
    int v = m->before.virt[p];
    bool idle = v != NONE && !in(released, v) && !in(m->enabled, v);

    return idle ? p : VPMU_NR + p;
}

/*
 * The rules for cross-mapped vPMCs.
 * @placed: vPMCs with a new pPMC that is not the one of their index
 * @displaced: vPMCs that ran and whose pPMC has been reserved
 * @starved: enabled vPMCs without a pPMC
 */
static void check_placed(const HandoverModel *m, VPMUCounterMask released,
                         VPMUCounterMask placed, VPMUCounterMask displaced,
                         VPMUCounterMask starved)
{
    VPMUCounterMask mine = m->counters & ~m->reserved;

    for (int v = 0; v < VPMU_NR; v++) {
        int r;

        if (!in(placed, v)) {
            continue;
        }
        r = rank(m, m->h.phys[v], released);
        for (int p = 0; p < VPMU_NR_GP; p++) {
            /* Every better pPMC belongs to an enabled vPMC. */
            if (in(mine, p) && rank(m, p, released) > r) {
                g_assert_true(in(m->enabled, m->h.virt[p]));
            }
        }
        if (in(displaced, v)) {
            continue;
        }
        /* The displaced vPMCs come first. */
        g_assert_cmphex(displaced & starved & VPMU_MASK_GP, ==, 0);
        for (int w = 0; w < VPMU_NR; w++) {
            if (in(displaced & placed, w)) {
                g_assert_cmpint(rank(m, m->h.phys[w], released), >, r);
            }
        }
    }
}

/*
 * The rules about which vPMC has which pPMC after a change.
 * @released: vPMCs that have not used their pPMC for a slice
 */
static void check_rules(const HandoverModel *m, VPMUCounterMask released)
{
    const Handover *h = &m->h, *before = &m->before;
    VPMUCounterMask mine = m->counters & ~m->reserved;
    VPMUCounterMask running = m->enabled & before->enabled;
    VPMUCounterMask displaced = 0, placed = 0, starved = 0;

    for (int v = 0; v < VPMU_NR; v++) {
        int had = in(released, v) ? NONE : before->phys[v];
        int has = h->phys[v];

        if (!in(m->enabled, v)) {
            /* An idle vPMC keeps its pPMC unless an enabled one wants it. */
            g_assert_true(has == had || has == NONE);
            if (has != had) {
                g_assert_true(!in(mine, had) ||
                              in(m->enabled, h->virt[had]));
            }
            continue;
        }
        if (has != v && in(mine, v)) {
            /* Its own pPMC belongs to a vPMC that counted before. */
            g_assert_true(in(running, h->virt[v]));
            g_assert_cmpint(before->phys[h->virt[v]], ==, v);
        }
        if (had != NONE && has != had && has != v) {
            if (!in(mine, had)) {
                displaced |= in(running, v) ? VPMU_MASK_OF(v) : 0;
            } else {
                /* It did not count yet; the vPMC of that index has priority. */
                g_assert_false(in(running, v));
                g_assert_cmpint(h->virt[had], ==, had);
            }
        }
        if (has == NONE) {
            starved |= VPMU_MASK_OF(v);
        } else if (has != had && has != v) {
            placed |= VPMU_MASK_OF(v);
        }
    }

    check_placed(m, released, placed, displaced, starved);

    /* Nothing happens for no reason. */
    if (m->enabled == before->enabled && m->reserved == before->reserved) {
        for (unsigned v = 0; v < VPMU_NR; v++) {
            g_assert_true(h->phys[v] == before->phys[v] || in(released, v));
        }
    }
}

/* Returns: the vPMCs whose slice is over when the clock is read now. */
static VPMUCounterMask let_pass(HandoverModel *m)
{
    int64_t passed = MAX(m->clock - m->last, 0);
    VPMUCounterMask released = 0;

    m->last = m->clock;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p = m->before.phys[v];

        if (in(m->before.enabled, v)) {
            m->unused[v] = 0;
            m->stats.starved_ns += p == NONE ? passed : 0;
            continue;
        }
        m->unused[v] += passed;
        if (p != NONE && m->slice != HANDOVER_FOREVER &&
            m->unused[v] >= m->slice) {
            released |= VPMU_MASK_OF(v);
        }
    }
    return released;
}

static void count_change(HandoverModel *m, VPMUCounterMask released)
{
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int had = in(released, v) ? NONE : m->before.phys[v];
        int has = m->h.phys[v];

        if (had == NONE) {
            m->stats.hand_overs += has != NONE;
        } else if (has == NONE) {
            m->stats.evictions++;
        } else if (has != had) {
            m->stats.moves++;
        } else if (in(m->enabled, v) && !in(m->before.enabled, v)) {
            m->stats.reuses++;
        }
        m->stats.lazy_releases += in(released, v);
    }
}

static void finish_change(HandoverModel *m, VPMUCounterMask released)
{
    check_change(m);
    check_rules(m, released);
    count_change(m, released);
    apply_change(m);
    check_all(m);
}

/* What can be done */

void model_init(HandoverModel *m, VPMUCounterMask counters,
                VPMUCounterMask reserved, int64_t slice, int64_t clock)
{
    memset(m, 0, sizeof(*m));
    m->counters = counters;
    m->reserved = reserved;
    m->slice = slice;
    m->ever_reserved = reserved;
    m->clock = clock;
    m->random = counters | (uint64_t)reserved << 16;
    for (unsigned i = 0; i < VPMU_NR; i++) {
        m->truth[i] = m->parked[i] = m->value[i] = next_random(m);
    }
    /* handover_init() must not depend on the previous contents. */
    memset(&m->h, 0xa5, sizeof(m->h));
    handover_init(&m->h, counters, reserved, slice);
    /* No vPMC is given a pPMC before it wants one. */
    g_assert_cmphex(handover_held(&m->h), ==,
                    slice == HANDOVER_FOREVER ? counters : 0);
    m->before = m->h;
    program_counters(m);
    check_all(m);
}

void model_enable(HandoverModel *m, VPMUCounterMask enabled)
{
    VPMUCounterMask released;

    m->before = m->h;
    memset(&m->change, 0xa5, sizeof(m->change));
    handover_enable(&m->h, enabled, m->clock, &m->change);
    released = let_pass(m);
    m->enabled = enabled;
    finish_change(m, released);
}

VPMUCounterMask model_reserve(HandoverModel *m, VPMUCounterMask reserved,
                              bool force)
{
    Handover other;
    HandoverChange change;
    VPMUCounterMask starved;

    m->before = other = m->h;
    memset(&m->change, 0xa5, sizeof(m->change));
    starved = handover_reserve(&m->h, reserved, force, m->clock, &m->change);
    g_assert_cmphex(handover_reserve(&other, reserved, !force, m->clock,
                                     &change), ==, starved);
    /* One of the two calls was refused, or they have the same result. */
    g_assert_cmphex(starved & ~m->enabled, ==, 0);
    if (starved && !force) {
        g_assert_cmpmem(&m->h, sizeof(m->h), &m->before, sizeof(m->before));
        g_assert_cmphex(m->change.vpmcs, ==, 0);
        g_assert_cmphex(m->change.starved, ==, 0);
        g_assert_cmphex(change.starved, ==, starved);
        check_all(m);
        return starved;
    }
    if (starved) {
        g_assert_cmpmem(&other, sizeof(other), &m->before, sizeof(m->before));
        g_assert_cmphex(change.vpmcs, ==, 0);
        g_assert_cmphex(change.starved, ==, 0);
    } else {
        g_assert_cmpmem(other.phys, sizeof(other.phys), m->h.phys,
                        sizeof(m->h.phys));
        g_assert_cmphex(other.reserved, ==, reserved);
    }
    g_assert_cmphex(m->change.starved, ==, starved);
    m->reserved = reserved;
    m->ever_reserved |= reserved;
    finish_change(m, let_pass(m));
    return starved;
}

/* The members of @from that are chosen are the first ones of it. */
static void check_first(VPMUCounterMask from, VPMUCounterMask chosen, bool low)
{
    VPMUCounterMask left = from & ~chosen;

    for (int i = 0; i < VPMU_NR_GP; i++) {
        if (in(from & chosen, i)) {
            VPMUCounterMask better = low ? (1u << i) - 1 :
                                     VPMU_MASK_GP & ~((2u << i) - 1);

            g_assert_cmphex(left & better, ==, 0);
        }
    }
}

VPMUCounterMask model_choose(VPMUCounterMask counters, VPMUCounterMask avoid,
                             VPMUCounterMask reserved, unsigned nr, bool low)
{
    VPMUCounterMask chosen = handover_choose(counters, avoid, reserved, nr,
                                             low);
    VPMUCounterMask gp = counters & VPMU_MASK_GP;
    VPMUCounterMask kept = gp & reserved, quiet = gp & ~reserved & ~avoid;
    VPMUCounterMask rest = gp & ~reserved & avoid;

    g_assert_cmpuint(count_bits(chosen), ==, nr);
    g_assert_cmphex(chosen & ~gp, ==, 0);
    check_first(kept, chosen, low);
    check_first(quiet, chosen, low);
    check_first(rest, chosen, low);
    /* No member of a class is chosen before all of the preceding class. */
    g_assert_true(!(chosen & (quiet | rest)) || !(kept & ~chosen));
    g_assert_true(!(chosen & rest) || !(quiet & ~chosen));
    return chosen;
}

void model_pass(HandoverModel *m, int64_t ns)
{
    m->clock += ns;
}

void model_count(HandoverModel *m)
{
    uint64_t happened[VPMU_NR];

    for (unsigned v = 0; v < VPMU_NR; v++) {
        happened[v] = (next_random(m) & 0xffff) + 1;
        if (in(m->enabled, v) && m->h.phys[v] != NONE) {
            m->truth[v] += happened[v];
        }
    }
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (in(m->on, p)) {
            g_assert_cmpint(m->event[p], !=, NONE);
            m->value[p] += happened[m->event[p]];
        } else if (m->event[p] == NONE) {
            /* The host does as it likes with its counters. */
            m->value[p] += next_random(m);
        }
    }
    check_values(m);
}

void model_write(HandoverModel *m, unsigned v, uint64_t value)
{
    int p = m->h.phys[v];

    *(p != NONE ? &m->value[p] : &m->parked[v]) = value;
    m->truth[v] = value;
    check_values(m);
}

/* Streams */

typedef struct Stream {
    const uint8_t *data;
    size_t left;
} Stream;

static uint8_t get_byte(Stream *s)
{
    if (!s->left) {
        return 0;
    }
    s->left--;
    return *s->data++;
}

static VPMUCounterMask get_mask(Stream *s)
{
    VPMUCounterMask low = get_byte(s);

    return (low | get_byte(s) << 8) & VPMU_MASK_ALL;
}

static void start_model(HandoverModel *m, Stream *s)
{
    static const int64_t slices[] = {
        10000000, 1, 0, 3, 1000, INT64_C(1) << 40, 100, HANDOVER_FOREVER,
    };
    static const int64_t epochs[] = {
        0, 1, INT64_C(1) << 60, -(INT64_C(1) << 60),
    };
    uint8_t size = get_byte(s), kind = get_byte(s);
    VPMUCounterMask counters, reserved = 0;
    int64_t slice = slices[kind & 7];

    if (size & 0x80) {
        counters = get_mask(s);
    } else {
        counters = (1u << (1 + (size & 7))) - 1;
        counters |= VPMU_MASK_OF(VPMU_FIXED((size >> 3) & 3)) -
                    VPMU_MASK_OF(VPMU_FIXED(0));
    }
    if (slice != HANDOVER_FOREVER && (kind & 8)) {
        reserved = get_mask(s) & counters;
    }
    model_init(m, counters, reserved, slice, epochs[(kind >> 4) & 3]);
}

static void pass_some(HandoverModel *m, unsigned how)
{
    const int64_t slice = m->slice == HANDOVER_FOREVER ? 1000 : m->slice;
    const int64_t steps[] = {
        slice, slice, slice - 1, slice - 1, slice + 1, slice / 2, slice / 3,
        1, 1, 2, 0, INT64_C(1) << 45, -1, -slice, -slice / 2,
        -(INT64_C(1) << 45),
    };

    model_pass(m, steps[how % G_N_ELEMENTS(steps)]);
}

static void reserve_some(HandoverModel *m, VPMUCounterMask reserved,
                         bool force, HandoverTally *tally)
{
    VPMUCounterMask starved;

    if (m->slice == HANDOVER_FOREVER) {
        return;
    }
    starved = model_reserve(m, reserved & m->counters, force);
    tally->refused += starved && !force;
    tally->forced += starved && force;
}

static void tally_paths(const HandoverModel *m, HandoverTally *tally)
{
    for (int v = 0; v < VPMU_NR; v++) {
        int p = m->h.phys[v], w;

        if (p == NONE || p == v) {
            continue;
        }
        tally->slow += in(m->enabled, v);
        w = m->before.virt[p];
        tally->swaps += w != NONE && w != v && m->before.phys[v] != NONE &&
                        m->h.phys[w] == m->before.phys[v];
    }
}

/* As the operator does: reserve a number of counters. */
static void reserve_number(HandoverModel *m, unsigned nr, uint8_t arg,
                           HandoverTally *tally)
{
    VPMUCounterMask mask =
        model_choose(m->counters, handover_to_physical(&m->h, m->enabled),
                     m->reserved, nr, arg & 1);

    mask |= ((arg >> 2) << VPMU_NR_GP) & VPMU_MASK_FIXED;
    reserve_some(m, mask, arg & 2, tally);
}

static void run_step(HandoverModel *m, Stream *s, HandoverTally *tally)
{
    uint8_t op = get_byte(s), arg;
    VPMUCounterMask mask;
    unsigned nr = (op >> 4) % (count_bits(m->counters & VPMU_MASK_GP) + 1);

    switch (op & 15) {
    case 0:
    case 1:
    case 2:
        /* One counter more, or one less. */
        mask = VPMU_MASK_OF((op >> 4) % VPMU_NR);
        model_enable(m, (m->enabled ^ mask) & m->counters);
        break;
    case 3:
    case 4:
        model_enable(m, get_mask(s) & m->counters);
        break;
    case 5:
        model_enable(m, op & 0x10 ? m->counters : 0);
        break;
    case 6:
        /* As a handler does: all off, and on again. */
        mask = m->enabled;
        model_enable(m, 0);
        pass_some(m, op >> 4);
        model_enable(m, mask);
        break;
    case 7:
    case 8:
        reserve_number(m, nr, get_byte(s), tally);
        break;
    case 9:
        reserve_some(m, get_mask(s), op & 0x10, tally);
        break;
    case 10:
        arg = get_byte(s);
        reserve_some(m, op & 0x80 ? m->reserved :
                     m->reserved ^ VPMU_MASK_OF(arg % VPMU_NR), op & 0x10,
                     tally);
        break;
    case 11:
    case 12:
        pass_some(m, op >> 4);
        break;
    case 13:
        model_enable(m, m->enabled);
        break;
    case 14:
        model_write(m, (op >> 4) % VPMU_NR, next_random(m));
        break;
    case 15:
        /* Anything, for the function that chooses. */
        mask = get_mask(s);
        model_choose(m->counters, mask, get_mask(s), nr, op & 0x80);
        break;
    }
    tally_paths(m, tally);
    model_count(m);
}

void model_run(const uint8_t *data, size_t size, HandoverTally *tally)
{
    Stream s = { data, size };
    HandoverModel m;

    start_model(&m, &s);
    /* The limit keeps sums of time far from the ends of 64 bits. */
    for (unsigned steps = 0; s.left && steps < 4096; steps++) {
        run_step(&m, &s, tally);
    }
#define HANDOVER_STAT(field, name, unit, description) \
    tally->stats.field += m.stats.field;
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
}
