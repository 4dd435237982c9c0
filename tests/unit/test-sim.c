/*
 * The simulation of caches, TLBs and branch prediction against a slow one
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The slow one has no sets: a memory is a list of everything that is in it,
 * with the time when each was last used, and is searched from end to end.  A
 * branch predictor is a hash table and a string of letters.
 */
#include <glib.h>
#include <string.h>
#include "sim.h"

static unsigned below(unsigned n)
{
    return g_test_rand_int_range(0, n);
}

/* Sets: the slow ones */

typedef struct Use {
    uint64_t key;
    uint64_t when;
    bool mark;
} Use;

typedef struct Slow {
    GArray *uses;
    unsigned sets, ways;
    uint64_t now;
} Slow;

static void slow_init(Slow *slow, SimGeometry geometry)
{
    slow->uses = g_array_new(false, false, sizeof(Use));
    slow->sets = geometry.sets;
    slow->ways = geometry.ways;
    slow->now = 0;
}

static int slow_find(const Slow *slow, uint64_t key)
{
    for (unsigned i = 0; i < slow->uses->len; i++) {
        if (g_array_index(slow->uses, Use, i).key == key) {
            return i;
        }
    }
    return -1;
}

/* The oldest one of the keys that share @key's set, if the set is full */
static int slow_victim(const Slow *slow, uint64_t key)
{
    unsigned n = 0;
    int oldest = -1;

    for (unsigned i = 0; i < slow->uses->len; i++) {
        const Use *use = &g_array_index(slow->uses, Use, i);

        if (use->key % slow->sets != key % slow->sets) {
            continue;
        }
        n++;
        if (oldest < 0 ||
            use->when < g_array_index(slow->uses, Use, oldest).when) {
            oldest = i;
        }
    }
    return n < slow->ways ? -1 : oldest;
}

static void slow_remove(Slow *slow, uint64_t key)
{
    int i = slow_find(slow, key);

    if (i >= 0) {
        g_array_remove_index(slow->uses, i);
    }
}

static bool slow_access(Slow *slow, uint64_t key, bool mark)
{
    Use use = { .key = key, .when = ++slow->now, .mark = mark };
    bool was_there = slow_find(slow, key) >= 0;
    int victim = was_there ? slow_find(slow, key) : slow_victim(slow, key);

    if (was_there) {
        use.mark = g_array_index(slow->uses, Use, victim).mark;
    }
    if (victim >= 0) {
        g_array_remove_index(slow->uses, victim);
    }
    g_array_append_val(slow->uses, use);
    return was_there;
}

static void slow_clear(Slow *slow, bool keep_marked)
{
    for (unsigned i = slow->uses->len; i-- > 0;) {
        if (!keep_marked || !g_array_index(slow->uses, Use, i).mark) {
            g_array_remove_index(slow->uses, i);
        }
    }
}

/* Sets: both */

typedef struct Both {
    SimSets fast;
    Slow slow;
} Both;

static void both_init(Both *both, unsigned sets, unsigned ways)
{
    SimGeometry geometry = { .sets = sets, .ways = ways };
    uint64_t *room;

    g_assert_true(sim_geometry_is_valid(geometry));
    g_assert_cmpuint(sim_geometry_entries(geometry), ==, sets * ways);
    room = g_new(uint64_t, sets * ways);
    memset(room, 0xa5, sets * ways * sizeof(room[0]));
    sim_sets_init(&both->fast, geometry, room);
    slow_init(&both->slow, geometry);
}

static void both_free(Both *both)
{
    g_free(both->fast.entries);
    g_array_free(both->slow.uses, true);
}

static const struct {
    unsigned sets, ways;
} sizes[] = {
    { 1, 1 }, { 1, 2 }, { 1, 48 }, { 2, 1 }, { 4, 3 }, { 16, 4 }, { 8, 16 },
};

static void test_geometry(void)
{
    static const struct {
        SimGeometry geometry;
        bool valid;
    } cases[] = {
        { { 0, 1 }, false }, { { 1, 0 }, false }, { { 3, 2 }, false },
        { { 96, 6 }, false }, { { 1, 1 }, true }, { { 64, 12 }, true },
        { { 1u << 31, 1 }, true }, { { 1u << 31, 2 }, false },
        { { 1u << 16, 0xffff }, true }, { { 1u << 17, 0x8000 }, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_true(sim_geometry_is_valid(cases[i].geometry) ==
                      cases[i].valid);
    }
}

/* What cannot be simulated is refused, with the reason. */
static void test_faults(void)
{
    static const struct {
        SimGeometry geometry;
        unsigned line_size, partitions;
        const char *fault;
    } cases[] = {
        { { 64, 8 }, 64, 1, NULL },
        { { 1024, 20 }, 64, 1, NULL },
        { { 64, 8 }, 32, 1, "has no lines of 64 bytes" },
        { { 64, 8 }, 64, 2, "has several partitions" },
        { { 192, 8 }, 64, 1,
          "has a number of sets that is not a power of two" },
        { { 32, 8 }, 64, 1, "has too few sets" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpstr(sim_cache_fault(cases[i].geometry, cases[i].line_size,
                                        cases[i].partitions, 64), ==,
                        cases[i].fault);
    }
}

static void test_sets(void)
{
    for (unsigned s = 0; s < G_N_ELEMENTS(sizes); s++) {
        unsigned entries = sizes[s].sets * sizes[s].ways;
        Both both;

        both_init(&both, sizes[s].sets, sizes[s].ways);
        for (unsigned i = 0; i < 20000; i++) {
            /* Twice as many keys as there is room for; some are large. */
            uint64_t key = below(2 * entries + 1);
            bool mark = below(4) == 0;

            key |= key & 1 ? SIM_KEY_LIMIT / 2 : 0;
            g_assert_true(sim_sets_has(&both.fast, key) ==
                          (slow_find(&both.slow, key) >= 0));
            switch (below(1000)) {
            case 0:
                sim_sets_clear(&both.fast, mark);
                slow_clear(&both.slow, mark);
                break;
            case 1 ... 99:
                sim_sets_remove(&both.fast, key);
                slow_remove(&both.slow, key);
                break;
            default:
                g_assert_true(sim_sets_access(&both.fast, key |
                                              (mark ? SIM_MARK : 0)) ==
                              slow_access(&both.slow, key, mark));
                break;
            }
        }
        both_free(&both);
    }
}

/* Caches */

/* As the list in sim.h has them */
static const struct {
    SimUse use;
    SimLevel level;
    SimOutcome outcome;
} levels[] = {
    { SIM_LOAD, SIM_L1, 0 },
    { SIM_LOAD, SIM_L2, 1u << SIM_LOAD_L2 },
    { SIM_LOAD, SIM_LLC, 1u << SIM_LOAD_LLC },
    { SIM_LOAD, SIM_MEMORY, 1u << SIM_LOAD_MEMORY },
    { SIM_STORE, SIM_L1, 0 },
    { SIM_STORE, SIM_L2, 1u << SIM_STORE_L2 },
    { SIM_STORE, SIM_LLC, 1u << SIM_STORE_LLC },
    { SIM_STORE, SIM_MEMORY, 1u << SIM_STORE_MEMORY },
    { SIM_FETCH, SIM_L1, 1u << SIM_FETCH_L1 },
    { SIM_FETCH, SIM_L2, 1u << SIM_FETCH_L2 },
    { SIM_FETCH, SIM_LLC, 1u << SIM_FETCH_LLC },
    { SIM_FETCH, SIM_MEMORY, 1u << SIM_FETCH_MEMORY },
};

static void test_levels(void)
{
    SimOutcome all = 0;

    for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
        g_assert_cmphex(sim_level_outcome(levels[i].use, levels[i].level), ==,
                        levels[i].outcome);
        g_assert_cmphex(all & levels[i].outcome, ==, 0);
        all |= levels[i].outcome;
    }
}

/* An access to the slow caches: each level in which it misses is filled. */
static SimLevel slow_cache_access(Slow *l1, Slow *l2, Slow *llc,
                                  uint64_t address)
{
    uint64_t line = address / SIM_LINE_SIZE;

    if (slow_access(l1, line, false)) {
        return SIM_L1;
    }
    if (l2 && slow_access(l2, line, false)) {
        return SIM_L2;
    }
    return slow_access(llc, line, false) ? SIM_LLC : SIM_MEMORY;
}

/* @two: vCPUs, which share the last level */
static void check_caches(bool has_l2, unsigned two)
{
    Both l1i[2], l1d[2], l2[2], llc;
    SimCaches caches[2] = { };

    both_init(&llc, 32, 4);
    for (unsigned k = 0; k < two; k++) {
        both_init(&l1i[k], 4, 2);
        both_init(&l1d[k], 4, 3);
        both_init(&l2[k], 8, 4);
        caches[k].l1i = l1i[k].fast;
        caches[k].l1d = l1d[k].fast;
        if (has_l2) {
            caches[k].l2 = l2[k].fast;
        }
    }
    for (unsigned i = 0; i < 100000; i++) {
        unsigned k = below(two);
        SimUse use = below(SIM_NR_USES);
        /* Mostly in a small part of the memory */
        uint64_t address = below(below(2) ? 1 << 11 : 1 << 14);
        SimLevel want, own = sim_cache_find_own(&caches[k], use, address);
        SimLevel shared = sim_cache_find_llc(&llc.fast, address);

        want = slow_cache_access(use == SIM_FETCH ? &l1i[k].slow : &l1d[k].slow,
                                 has_l2 ? &l2[k].slow : NULL, &llc.slow,
                                 address);
        g_assert_cmpint(own, ==, want == SIM_LLC ? SIM_MEMORY : want);
        g_assert_cmpint(sim_cache_access_own(&caches[k], use, address), ==,
                        own);
        if (own == SIM_MEMORY) {
            g_assert_cmpint(shared, ==, want);
            g_assert_cmpint(sim_cache_access_llc(&llc.fast, address), ==, want);
        }
        /* Again, at once */
        g_assert_cmpint(sim_cache_find_own(&caches[k], use, address), ==,
                        SIM_L1);
    }
    for (unsigned k = 0; k < two; k++) {
        both_free(&l1i[k]);
        both_free(&l1d[k]);
        both_free(&l2[k]);
    }
    both_free(&llc);
}

static void test_caches(void)
{
    check_caches(true, 1);
    check_caches(false, 1);
    check_caches(true, 2);
}

/* TLBs */

static SimOutcome slow_walk(SimUse use, unsigned bits)
{
    static const SimOutcome walks[SIM_NR_USES][3] = {
        { 1u << SIM_LOAD_WALK_4K, 1u << SIM_LOAD_WALK_2M,
          1u << SIM_LOAD_WALK_1G },
        { 1u << SIM_STORE_WALK_4K, 1u << SIM_STORE_WALK_2M,
          1u << SIM_STORE_WALK_1G },
        { 1u << SIM_FETCH_WALK_4K, 1u << SIM_FETCH_WALK_2M,
          1u << SIM_FETCH_WALK_1G },
    };

    return walks[use][bits == 12 ? 0 : bits == 30 ? 2 : 1];
}

/* Pages of different sizes never have the same number: 1 GiB is 2^18 pages. */
static uint64_t slow_page(const SimPage *page)
{
    uint64_t number = page->address / (UINT64_C(1) << page->bits);

    return number + (page->bits << 24);
}

static SimOutcome slow_tlb_access(Slow *first, Slow *second, SimUse use,
                                  const SimPage *page)
{
    static const SimOutcome hits[SIM_NR_USES] = {
        1u << SIM_LOAD_STLB, 1u << SIM_STORE_STLB, 1u << SIM_FETCH_STLB,
    };

    if (!page->bits || slow_access(first, slow_page(page), page->is_global)) {
        return 0;
    }
    return slow_access(second, slow_page(page), page->is_global) ?
           hits[use] : slow_walk(use, page->bits);
}

static void flush_page(Slow *slow, uint64_t address)
{
    static const uint8_t bits[] = { 12, 21, 22, 30 };

    for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++) {
        SimPage page = { .address = address, .bits = bits[i] };

        slow_remove(slow, slow_page(&page));
    }
}

/* A page is global or not, and has a size, by where it is. */
static SimPage some_page(void)
{
    static const uint8_t bits[] = { 12, 12, 12, 21, 22, 30, 0, 12 };
    unsigned gib = below(G_N_ELEMENTS(bits));
    SimPage page = {
        .address = (uint64_t)gib << 30 | (uint64_t)below(4) << 22 |
                   below(4) << 21 | below(24) << 12 | below(1 << 12),
        .bits = bits[gib],
        .is_global = gib & 1,
    };

    return page;
}

static void test_tlbs(void)
{
    Both itlb, dtlb, stlb;
    SimTLBs tlbs;

    both_init(&itlb, 1, 8);
    both_init(&dtlb, 4, 4);
    both_init(&stlb, 16, 4);
    tlbs = (SimTLBs) { itlb.fast, dtlb.fast, stlb.fast };
    for (unsigned i = 0; i < 100000; i++) {
        SimUse use = below(SIM_NR_USES);
        SimPage page = some_page();
        unsigned what = below(1000);
        const uint64_t *latest;
        SimOutcome want;

        if (what < 2) {
            sim_tlb_flush(&tlbs, what);
            slow_clear(&itlb.slow, what);
            slow_clear(&dtlb.slow, what);
            slow_clear(&stlb.slow, what);
        } else if (what < 50) {
            sim_tlb_flush_page(&tlbs, page.address);
            flush_page(&itlb.slow, page.address);
            flush_page(&dtlb.slow, page.address);
            flush_page(&stlb.slow, page.address);
        }
        want = slow_tlb_access(use == SIM_FETCH ? &itlb.slow : &dtlb.slow,
                               &stlb.slow, use, &page);
        g_assert_cmphex(sim_tlb_outcome(&tlbs, use, &page), ==, want);
        /* What is there already is as global as it was. */
        page.is_global &= want || below(2);
        latest = sim_tlb_access(&tlbs, use, &page);
        g_assert_true(!latest == !page.bits);
        g_assert_cmphex(sim_tlb_outcome(&tlbs, use, &page), ==, 0);
        if (latest) {
            uint64_t entry = *latest;

            g_assert_true(sim_tlb_access(&tlbs, use, &page) == latest);
            g_assert_cmphex(*latest, ==, entry);
        }
    }
    both_free(&itlb);
    both_free(&dtlb);
    both_free(&stlb);
}

/* The upper half of the address space, whose pages have large numbers */
static void test_high_pages(void)
{
    Both tlb[3];
    SimTLBs tlbs;
    SimPage page = { .address = UINT64_C(0xfffffffffffff000), .bits = 12 };

    for (unsigned i = 0; i < 3; i++) {
        both_init(&tlb[i], 2, 2);
    }
    tlbs = (SimTLBs) { tlb[0].fast, tlb[1].fast, tlb[2].fast };
    g_assert_cmphex(sim_tlb_outcome(&tlbs, SIM_LOAD, &page), ==,
                    1u << SIM_LOAD_WALK_4K);
    sim_tlb_access(&tlbs, SIM_LOAD, &page);
    g_assert_cmphex(sim_tlb_outcome(&tlbs, SIM_LOAD, &page), ==, 0);
    g_assert_cmphex(sim_tlb_outcome(&tlbs, SIM_FETCH, &page), ==,
                    1u << SIM_FETCH_STLB);
    sim_tlb_flush_page(&tlbs, page.address + 0xfff);
    g_assert_cmphex(sim_tlb_outcome(&tlbs, SIM_STORE, &page), ==,
                    1u << SIM_STORE_WALK_4K);
    for (unsigned i = 0; i < 3; i++) {
        both_free(&tlb[i]);
    }
}

/* Branches */

typedef struct SlowBranches {
    GString *history;           /* T and N, the latest last */
    GHashTable *strengths;      /* by index: -2, -1, 1, 2 */
    GHashTable *targets;        /* by place: "branch>target" */
    GQueue *calls;              /* the latest last */
} SlowBranches;

static void slow_branches_init(SlowBranches *slow)
{
    slow->history = g_string_new(NULL);
    slow->strengths = g_hash_table_new(g_direct_hash, g_direct_equal);
    slow->targets = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
                                          g_free);
    slow->calls = g_queue_new();
}

static void slow_branches_free(SlowBranches *slow)
{
    g_string_free(slow->history, true);
    g_hash_table_destroy(slow->strengths);
    g_hash_table_destroy(slow->targets);
    g_queue_free(slow->calls);
}

static SimOutcome slow_conditional(SlowBranches *slow, uint64_t branch,
                                   bool taken)
{
    unsigned index = branch % 16384;
    int strength, stronger;

    for (unsigned i = 0; i < 14 && i < slow->history->len; i++) {
        if (slow->history->str[slow->history->len - 1 - i] == 'T') {
            index ^= 1u << i;
        }
    }
    strength = GPOINTER_TO_INT(g_hash_table_lookup(slow->strengths,
                                                   GUINT_TO_POINTER(index)));
    strength = strength ? strength : -1;
    stronger = strength + (taken ? 1 : -1);
    if (!stronger) {
        stronger = taken ? 1 : -1;
    }
    g_hash_table_insert(slow->strengths, GUINT_TO_POINTER(index),
                        GINT_TO_POINTER(CLAMP(stronger, -2, 2)));
    g_string_append_c(slow->history, taken ? 'T' : 'N');
    return (strength > 0) == taken ? 0 :
           taken ? 1u << SIM_MISP_TAKEN : 1u << SIM_MISP_NOT_TAKEN;
}

static SimOutcome slow_indirect(SlowBranches *slow, uint64_t branch,
                                uint64_t target, bool is_call)
{
    gpointer place = GUINT_TO_POINTER(branch % 4096);
    char *now = g_strdup_printf("%" G_GUINT64_FORMAT ">%" G_GUINT64_FORMAT,
                                branch, target);
    bool same = !g_strcmp0(now, g_hash_table_lookup(slow->targets, place)) &&
                target;

    g_hash_table_insert(slow->targets, place, now);
    return same ? 0 : is_call ? 1u << SIM_MISP_CALL_IND :
                                1u << SIM_MISP_JMP_IND;
}

static void slow_call(SlowBranches *slow, uint64_t next)
{
    g_queue_push_tail(slow->calls, GUINT_TO_POINTER(next));
    if (slow->calls->length > 16) {
        g_queue_pop_head(slow->calls);
    }
}

static SimOutcome slow_return(SlowBranches *slow, uint64_t target)
{
    bool empty = g_queue_is_empty(slow->calls);
    uint64_t next = GPOINTER_TO_UINT(g_queue_pop_tail(slow->calls));

    return !empty && next == target ? 0 : 1u << SIM_MISP_RET;
}

static void test_branches(void)
{
    SimBranches *fast = g_new(SimBranches, 1);
    SlowBranches slow;

    memset(fast, 0xa5, sizeof(*fast));
    sim_branches_init(fast);
    slow_branches_init(&slow);
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t branch = below(4) * 4096 + below(8) + (below(2) << 20);
        uint64_t target = below(3);
        bool flag = below(8) < branch % 8;

        switch (below(6)) {
        case 0:
            sim_branch_call(fast, target);
            slow_call(&slow, target);
            break;
        case 1:
            g_assert_cmphex(sim_branch_return(fast, target), ==,
                            slow_return(&slow, target));
            break;
        case 2:
            g_assert_cmphex(sim_branch_indirect(fast, branch, target, flag), ==,
                            slow_indirect(&slow, branch, target, flag));
            break;
        default:
            g_assert_cmphex(sim_branch_conditional(fast, branch, flag), ==,
                            slow_conditional(&slow, branch, flag));
            break;
        }
    }
    slow_branches_free(&slow);
    g_free(fast);
}

/* A loop of ten turns: once its history is known, nothing is mispredicted. */
static void test_loop(void)
{
    SimBranches *branches = g_new(SimBranches, 1);
    unsigned missed = 0;

    sim_branches_init(branches);
    for (unsigned i = 0; i < 1000; i++) {
        missed = i == 500 ? 0 : missed;
        missed += sim_branch_conditional(branches, 0x401000, i % 10 != 9) != 0;
    }
    g_assert_cmpuint(missed, ==, 0);
    g_free(branches);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpmu/sim/geometry", test_geometry);
    g_test_add_func("/vpmu/sim/faults", test_faults);
    g_test_add_func("/vpmu/sim/sets", test_sets);
    g_test_add_func("/vpmu/sim/levels", test_levels);
    g_test_add_func("/vpmu/sim/caches", test_caches);
    g_test_add_func("/vpmu/sim/tlbs", test_tlbs);
    g_test_add_func("/vpmu/sim/high-pages", test_high_pages);
    g_test_add_func("/vpmu/sim/branches", test_branches);
    g_test_add_func("/vpmu/sim/loop", test_loop);
    return g_test_run();
}
