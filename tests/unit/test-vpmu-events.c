/*
 * The table of events, and what event selects make of it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include "events.h"
#include "regs.h"

/* An instruction of some kind */
typedef struct Insn {
    SoftPMUBranch kind;
    bool taken, load, store;
} Insn;

/* Bits 15:0 and, as bits 19:16, bits 35:32 of PERF_CTLx */
static unsigned code_of(const VPMUEvent *event)
{
    return (event->select & 0xff) | event->umask << 8 |
           (event->select & 0xf00) << 8;
}

static unsigned classes_of(const Insn *insn)
{
    SoftPMUCharge charge = SOFTPMU_CHARGE_INSN |
                           (insn->load ? SOFTPMU_CHARGE_LOAD : 0) |
                           (insn->store ? SOFTPMU_CHARGE_STORE : 0) |
                           SOFTPMU_CHARGE_KIND(insn->kind);
    unsigned mask = insn->taken ? 1u << SOFTPMU_TAKEN : 0;

    for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
        mask |= softpmu_charge_class(charge, c) ? 1u << c : 0;
    }
    return mask;
}

/* Models that count taken conditional branches with unit mask 0x01 */
#define FROM_ICX    (VPMU_MODEL_ICX | VPMU_MODEL_SPR)

/* Taken, if it is a branch */
static bool is_taken(const Insn *insn)
{
    return insn->kind == SOFTPMU_BR_COND ? insn->taken :
                                           insn->kind != SOFTPMU_BR_NONE;
}

/* Does an event of 0xc4 count this branch?  As the event lists describe it. */
static bool branch_counts(const VPMUEvent *event, const Insn *insn)
{
    bool cond = insn->kind == SOFTPMU_BR_COND;
    bool indirect = insn->kind == SOFTPMU_BR_JMP_IND ||
                    insn->kind == SOFTPMU_BR_CALL_IND;

    switch (event->umask) {
    case 0x00: case 0x04:
        return insn->kind != SOFTPMU_BR_NONE;
    case 0x01:
        return cond && (insn->taken || !(event->models & FROM_ICX));
    case 0x02: case 0xf9:
        return insn->kind == SOFTPMU_BR_CALL ||
               insn->kind == SOFTPMU_BR_CALL_IND;
    case 0x08: case 0xf7:
        return insn->kind == SOFTPMU_BR_RET;
    case 0x10:
        return cond && !insn->taken;
    case 0x11: case 0x7e:
        return cond;
    case 0x20: case 0xc0:
        return is_taken(insn) && insn->kind != SOFTPMU_BR_FAR;
    case 0x40: case 0xbf:
        return insn->kind == SOFTPMU_BR_FAR;
    case 0x80:
        return event->models & FROM_ICX ? indirect : is_taken(insn);
    case 0xeb:
        return indirect;
    case 0xfe:
        return cond && insn->taken;
    default:
        g_error("unit mask 0x%02x is new: say here what it counts",
                event->umask);
    }
}

/* The same of an AMD processor; BKDGs and PPRs */
static bool amd_counts(const VPMUEvent *event, const Insn *insn)
{
    switch (code_of(event)) {
    case 0x0076: case 0x00c0: case 0x10120:
        return true;
    case 0x00c2:
        return insn->kind != SOFTPMU_BR_NONE;
    case 0x00c4:
        return is_taken(insn);
    case 0x00c6:
        return insn->kind == SOFTPMU_BR_FAR;
    case 0x00c8:
        return insn->kind == SOFTPMU_BR_RET;
    case 0x00d1:
        return insn->kind == SOFTPMU_BR_COND;
    case 0x0129:
        return insn->load;
    case 0x0229:
        return insn->store;
    case 0x0429: case 0x002c: case 0x00cf:
        return false;
    default:
        g_error("event 0x%05x is new: say here what it counts",
                code_of(event));
    }
}

/* Does an event count this instruction?  As the event lists describe it. */
static bool event_counts(const VPMUEvent *event, const Insn *insn)
{
    unsigned code = code_of(event);

    if (event->sim) {
        return false;
    }
    if (event->models & VPMU_MODEL_AMD) {
        return amd_counts(event, insn);
    }
    switch (code) {
    case 0x003c: case 0x00c0: case 0x01c0: case 0x0100: case 0x0300:
        return true;
    case 0x81d0: case 0x01cd: case 0x010b: case 0x100b: case 0x05d0:
        return insn->load;
    case 0x82d0: case 0x02cd: case 0x020b: case 0x06d0:
        return insn->store;
    case 0x01cb:
    case 0x013c: case 0x010e: case 0x01ae: case 0x01c2: case 0x02c2:
    case 0x00c2:
        return false;
    default:
        if (event->select != 0xc4) {
            g_error("event 0x%04x is new: say here what it counts", code);
        }
        return branch_counts(event, insn);
    }
}

/* How much the instruction adds to a counter. */
static int config_counts(const SoftPMUConfig *config, const Insn *insn)
{
    unsigned mask = classes_of(insn);

    return __builtin_popcount(config->add & mask) -
           __builtin_popcount(config->sub & mask);
}

/* All kinds of instructions, one after the other. */
static bool next_insn(Insn *insn)
{
    insn->load = !insn->load;
    if (insn->load) {
        return true;
    }
    insn->store = !insn->store;
    if (insn->store) {
        return true;
    }
    insn->taken = insn->kind == SOFTPMU_BR_COND && !insn->taken;
    if (insn->taken) {
        return true;
    }
    return ++insn->kind != SOFTPMU_BR_NR;
}

static void test_encodings(void)
{
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *a = &vpmu_events[i];

        g_assert_nonnull(a->name);
        g_assert_nonnull(a->description);
        g_assert_cmphex(a->models, !=, 0);
        g_assert_cmphex(a->select, <=, a->models & VPMU_MODEL_AMD ? 0xfff :
                                                                    0xff);
        /* No event is both vendors'. */
        g_assert_true(!(a->models & VPMU_MODEL_AMD) ||
                      !(a->models & ~VPMU_MODEL_AMD));
        g_assert_cmpint(a->arch_bit, <, VPMU_NR_ARCH_EVENTS);
        /* CPUID announces the events that every model has. */
        g_assert_true((a->models == VPMU_MODEL_ALL) == (a->arch_bit >= 0));
        for (unsigned j = 0; j < i; j++) {
            const VPMUEvent *b = &vpmu_events[j];

            if (a->models & b->models) {
                g_assert_cmphex(code_of(a), !=, code_of(b));
            }
            if (a->arch_bit >= 0) {
                g_assert_cmpint(a->arch_bit, !=, b->arch_bit);
            }
        }
    }
}

static void test_find(void)
{
    /* None, and each bit */
    for (unsigned m = 0; m <= 32; m++) {
        uint32_t model = m ? 1u << (m - 1) : 0;

        /* As many codes as the bits that select an event have */
        for (unsigned code = 0; code <= 0xfffff; code++) {
            const VPMUEvent *want = NULL;

            for (unsigned i = 0; i < vpmu_nr_events; i++) {
                const VPMUEvent *event = &vpmu_events[i];

                if (code_of(event) == code &&
                    ((event->models & model) ||
                     (event->models == VPMU_MODEL_ALL &&
                      !(model & VPMU_MODEL_AMD)))) {
                    want = event;
                }
            }
            g_assert_true(vpmu_event_find(code, model) == want);
        }
    }
}

/* The events of the fixed counters; SDM volume 3 */
static void test_fixed(void)
{
    static const char *const names[VPMU_NR_FIXED] = {
        "instructions", "cycles", "ref-cycles",
    };

    for (unsigned i = 0; i < VPMU_NR; i++) {
        const VPMUEvent *event = vpmu_event_fixed(i);

        if (i < VPMU_NR_GP) {
            g_assert_null(event);
        } else {
            g_assert_nonnull(event);
            g_assert_cmpstr(event->name, ==, names[i - VPMU_NR_GP]);
            g_assert_cmphex(event->add, !=, 0);
            g_assert_cmphex(vpmu_event_code(event), ==, code_of(event));
        }
    }
}

/* SDM volume 2, CPUID leaf 0xA EBX; the encodings are architectural. */
static void test_architectural(void)
{
    static const struct {
        unsigned code;
        bool available;
    } events[VPMU_NR_ARCH_EVENTS] = {
        { 0x003c, true }, { 0x00c0, true }, { 0x013c, false },
        { 0x4f2e, false }, { 0x412e, false }, { 0x00c4, true },
        { 0x00c5, false },
    };
    const uint32_t simulated = 1u << 3 | 1u << 4 | 1u << 6;
    uint32_t unavailable = 0;

    for (unsigned bit = 0; bit < VPMU_NR_ARCH_EVENTS; bit++) {
        const VPMUEvent *event = vpmu_event_find(events[bit].code, 0);

        g_assert_nonnull(event);
        g_assert_cmpint(event->arch_bit, ==, bit);
        g_assert_true(!event->add == !events[bit].available);
        g_assert_true(!event->sim == !(simulated & 1u << bit));
        unavailable |= events[bit].available ? 0 : 1u << bit;
    }
    g_assert_cmphex(vpmu_event_unavailable(false), ==, unavailable);
    g_assert_cmphex(vpmu_event_unavailable(true), ==, unavailable & ~simulated);
}

static void test_classes(void)
{
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        SoftPMUConfig config = vpmu_event_config(VPMU_EVTSEL_USR,
                                                 &vpmu_events[i], i & 1);
        Insn insn = { .kind = SOFTPMU_BR_NONE };

        do {
            g_assert_cmpint(config_counts(&config, &insn), ==,
                            event_counts(&vpmu_events[i], &insn));
        } while (next_insn(&insn));
    }
}

/*
 * Counter mask, invert and edge, as in the SDM if every instruction takes one
 * cycle.  An interrupt is received in none.
 */
static void test_modifiers(void)
{
    static const unsigned cmasks[] = { 0, 1, 2, 9, 10, 16, 255 };

    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];
        bool interrupts = event->add == 1 << SOFTPMU_HWINT;

        for (unsigned k = 0; k < G_N_ELEMENTS(cmasks) * 4; k++) {
            unsigned cmask = cmasks[k / 4];
            bool inv = k & 1, edge = k & 2;
            SoftPMUConfig config =
                vpmu_event_config(VPMU_EVTSEL_OS |
                                  (uint64_t)cmask << VPMU_EVTSEL_CMASK_SHIFT |
                                  (inv ? VPMU_EVTSEL_INV : 0) |
                                  (edge ? VPMU_EVTSEL_EDGE : 0), event,
                                  false);
            Insn insn = { .kind = SOFTPMU_BR_NONE };
            bool ever = false;

            do {
                unsigned n = event_counts(event, &insn);
                bool want = !cmask ? n : inv ? n < cmask : n >= cmask;

                want = event->add && want;
                if (event->uops && cmask == 1) {
                    want = !inv;
                } else if (event->uops && cmask >= 10) {
                    want = inv;
                }
                g_assert_cmpint(config_counts(&config, &insn), ==, want);
                ever |= want;
            } while (next_insn(&insn));
            if (interrupts) {
                g_assert_true(!!(config.add & 1 << SOFTPMU_HWINT) ==
                              (!cmask || (!inv && cmask == 1)));
                g_assert_false(config.edge);
            } else {
                /* An event that never happens has no edges. */
                g_assert_true(config.edge == (edge && ever));
            }
            g_assert_false(config.on);
        }
    }
}

/* Micro-operations are supported where their number does not matter. */
static void test_supported(void)
{
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        for (unsigned cmask = 0; cmask < 256; cmask++) {
            uint64_t evtsel = (uint64_t)cmask << VPMU_EVTSEL_CMASK_SHIFT;
            const VPMUEvent *event = &vpmu_events[i];
            bool want = event->uops ? cmask == 1 || cmask > 9 : event->add;

            g_assert_true(vpmu_event_is_supported(evtsel, event, false) ==
                          want);
            g_assert_true(vpmu_event_is_supported(evtsel | VPMU_EVTSEL_INV,
                                                  event, false) == want);
            g_assert_false(vpmu_event_is_supported(evtsel, NULL, false));
            g_assert_false(vpmu_event_is_supported(evtsel, NULL, true));
            want |= event->sim && !cmask;
            g_assert_true(vpmu_event_is_supported(evtsel, event, true) == want);
            want &= !event->sim;
            g_assert_true(vpmu_event_is_supported(evtsel | VPMU_EVTSEL_EDGE,
                                                  event, true) == want);
        }
    }
}

/*
 * What Linux takes for precise cycles (arch/x86/events/intel/core.c) counts
 * every instruction, and what rr takes for ticks (PerfCounters.cc) every
 * conditional branch.
 */
static void test_users(void)
{
    static const struct {
        uint32_t models;
        uint64_t cycles[3];
        unsigned ticks;
    } users[] = {
        { 0, { 0x108000c0 }, 0 },
        { VPMU_MODEL_NHM, { 0x108000c0 }, 0x01c4 },
        { VPMU_MODEL_SNB, { 0x108001c2 }, 0x01c4 },
        { VPMU_MODEL_IVB, { 0x108001c2, 0x108001c0 }, 0x01c4 },
        { VPMU_MODEL_HSW, { 0x108001c2, 0x108001c0 }, 0x01c4 },
        { VPMU_MODEL_SKL, { 0x108000c0, 0x108001c0 }, 0x01c4 },
        { VPMU_MODEL_ICX, { 0x3c }, 0x11c4 },
        { VPMU_MODEL_SPR, { 0x3c }, 0x11c4 },
        { VPMU_MODEL_KNL, { 0x3c }, 0x7ec4 },
        { VPMU_MODEL_GLM, { 0x3c }, 0x7ec4 },
        { VPMU_MODEL_TNT, { 0x3c }, 0x7ec4 },
        /* rr takes Snow Ridge for Ice Lake. */
        { VPMU_MODEL_TNT, { 0x3c }, 0x11c4 },
        { VPMU_MODEL_CMT, { 0x3c }, 0x7ec4 },
        /* Without IBS Linux has no precise events of AMD. */
        { VPMU_MODEL_ZEN1, { 0x76 }, 0xd1 },
        { VPMU_MODEL_ZEN2, { 0x76 }, 0xd1 },
        { VPMU_MODEL_ZEN3, { 0x76 }, 0xd1 },
        { VPMU_MODEL_ZEN4, { 0x76 }, 0xd1 },
        { VPMU_MODEL_ZEN5, { 0x76 }, 0xd1 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(users); i++) {
        SoftPMUConfig config;

        for (unsigned k = 0; k < 3 && users[i].cycles[k]; k++) {
            uint64_t evtsel = users[i].cycles[k];

            config = vpmu_event_config(evtsel,
                                       vpmu_event_find(evtsel & 0xffff,
                                                       users[i].models), false);
            g_assert_cmphex(config.add, ==, 1 << SOFTPMU_INSN);
            g_assert_cmphex(config.sub, ==, 0);
        }
        if (users[i].ticks) {
            config = vpmu_event_config(0, vpmu_event_find(users[i].ticks,
                                                          users[i].models),
                                       false);
            g_assert_cmphex(config.add, ==, 1 << SOFTPMU_COND);
            g_assert_cmphex(config.sub, ==, 0);
        }
    }
}

/* What perf's names mean on AMD (arch/x86/events/amd/core.c) */
static void test_amd(void)
{
    static const struct {
        uint32_t models;
        unsigned code;
        const char *name;
    } events[] = {
        { VPMU_MODEL_AMD, 0x0076, "cycles" },
        { VPMU_MODEL_AMD, 0x00c0, "instructions" },
        { VPMU_MODEL_AMD, 0x00c2, "branches" },
        { VPMU_MODEL_AMD, 0x00c3, "branch-misses" },
        { VPMU_MODEL_K7 | VPMU_MODEL_K8 | VPMU_MODEL_F10 | VPMU_MODEL_F15,
          0x077d, "cache-references" },
        { VPMU_MODEL_K7 | VPMU_MODEL_K8 | VPMU_MODEL_F10 | VPMU_MODEL_F15,
          0x077e, "cache-misses" },
        { VPMU_MODEL_ZEN1 | VPMU_MODEL_ZEN2 | VPMU_MODEL_ZEN3 |
          VPMU_MODEL_ZEN4 | VPMU_MODEL_ZEN5, 0xff60, "cache-references" },
        { VPMU_MODEL_ZEN1 | VPMU_MODEL_ZEN2 | VPMU_MODEL_ZEN3 |
          VPMU_MODEL_ZEN4 | VPMU_MODEL_ZEN5, 0x0964, "cache-misses" },
        { VPMU_MODEL_ZEN4 | VPMU_MODEL_ZEN5, 0x10120, "ref-cycles" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(events); i++) {
        for (unsigned m = 0; m < 32; m++) {
            uint32_t model = events[i].models & (1u << m);
            const VPMUEvent *event;

            if (model) {
                event = vpmu_event_find(events[i].code, model);
                g_assert_nonnull(event);
                g_assert_cmpstr(event->name, ==, events[i].name);
                g_assert_cmphex(vpmu_event_code(event), ==, events[i].code);
            }
        }
    }
    /* Intel's architectural events are not AMD's. */
    for (unsigned m = 16; m <= 24; m++) {
        g_assert_null(vpmu_event_find(0x003c, 1u << m));
    }
    g_assert_cmphex(vpmu_event_code_select(0x10120), ==, 0x120);
    g_assert_cmphex(vpmu_event_code_umask(0x10120), ==, 1);
}

static void test_rings(void)
{
    for (unsigned k = 0; k < 4; k++) {
        uint64_t evtsel = (k & 1 ? VPMU_EVTSEL_USR : 0) |
                          (k & 2 ? VPMU_EVTSEL_OS : 0);
        unsigned rings = (k & 1 ? 1u << SOFTPMU_USER : 0) |
                         (k & 2 ? 1u << SOFTPMU_KERNEL : 0);

        g_assert_cmphex(vpmu_event_config(evtsel, &vpmu_events[0],
                                          false).rings, ==, rings);
    }
}

/* Every outcome, as events describe it; all three kinds of accesses */
#define ONE(class)      (1u << SIM_##class)
#define MISS_L1(use)    (ONE(use##_L2) | MISS_L2(use))
#define MISS_L2(use)    (ONE(use##_LLC) | ONE(use##_MEMORY))
#define WALK(use)       (ONE(use##_WALK_4K) | ONE(use##_WALK_2M) | \
                         ONE(use##_WALK_1G))
#define MISP            (ONE(MISP_TAKEN) | ONE(MISP_NOT_TAKEN) | \
                         ONE(MISP_RET) | ONE(MISP_JMP_IND) | \
                         ONE(MISP_CALL_IND))

/*
 * What Linux takes for perf's names of caches, TLBs and branches
 * (arch/x86/events/intel/core.c and amd/core.c)
 */
static void test_simulated(void)
{
    static const struct {
        uint32_t models;
        unsigned code;
        SimOutcome outcomes;
    } names[] = {
        /* L1-dcache-load-misses */
        { VPMU_MODEL_NHM | VPMU_MODEL_SNB | VPMU_MODEL_IVB | VPMU_MODEL_HSW |
          VPMU_MODEL_SKL | VPMU_MODEL_ICX, 0x0151,
          MISS_L1(LOAD) | MISS_L1(STORE) },
        { VPMU_MODEL_SPR, 0xe124, MISS_L1(LOAD) },
        { VPMU_MODEL_K7 | VPMU_MODEL_K8 | VPMU_MODEL_F10 | VPMU_MODEL_F15,
          0x0141, MISS_L1(LOAD) | MISS_L1(STORE) },
        { VPMU_MODEL_ZEN1 | VPMU_MODEL_ZEN5, 0xc860,
          MISS_L1(LOAD) | MISS_L1(STORE) },
        /* L1-icache-load-misses */
        { VPMU_MODEL_NHM | VPMU_MODEL_SNB | VPMU_MODEL_IVB | VPMU_MODEL_HSW |
          VPMU_MODEL_KNL | VPMU_MODEL_GLM | VPMU_MODEL_TNT | VPMU_MODEL_CMT,
          0x0280, MISS_L1(FETCH) },
        { VPMU_MODEL_SKL | VPMU_MODEL_ICX, 0x0283, MISS_L1(FETCH) },
        { VPMU_MODEL_SPR, 0xe424, MISS_L1(FETCH) },
        { VPMU_MODEL_AMD, 0x0081, MISS_L1(FETCH) },
        /* L1-icache-loads */
        { VPMU_MODEL_NHM | VPMU_MODEL_KNL | VPMU_MODEL_GLM | VPMU_MODEL_TNT |
          VPMU_MODEL_CMT, 0x0380, ONE(FETCH_L1) | MISS_L1(FETCH) },
        { VPMU_MODEL_AMD, 0x0080, ONE(FETCH_L1) | MISS_L1(FETCH) },
        /* dTLB-load-misses, dTLB-store-misses */
        { VPMU_MODEL_NHM | VPMU_MODEL_SNB | VPMU_MODEL_HSW, 0x0108,
          WALK(LOAD) },
        { VPMU_MODEL_IVB, 0x8108, WALK(LOAD) },
        { VPMU_MODEL_SKL | VPMU_MODEL_ICX | VPMU_MODEL_TNT | VPMU_MODEL_CMT,
          0x0e08, WALK(LOAD) },
        { VPMU_MODEL_SPR, 0x0e12, WALK(LOAD) },
        { VPMU_MODEL_SNB | VPMU_MODEL_IVB | VPMU_MODEL_HSW, 0x0149,
          WALK(STORE) },
        { VPMU_MODEL_NHM, 0x010c, ONE(STORE_STLB) | WALK(STORE) },
        { VPMU_MODEL_SKL | VPMU_MODEL_ICX | VPMU_MODEL_TNT | VPMU_MODEL_CMT,
          0x0e49, WALK(STORE) },
        { VPMU_MODEL_SPR, 0x0e13, WALK(STORE) },
        { VPMU_MODEL_K7 | VPMU_MODEL_F15, 0x0746, WALK(LOAD) | WALK(STORE) },
        { VPMU_MODEL_ZEN2 | VPMU_MODEL_ZEN4, 0xf045,
          WALK(LOAD) | WALK(STORE) },
        /* dTLB-loads */
        { VPMU_MODEL_ZEN1, 0xff45, ONE(LOAD_STLB) | ONE(STORE_STLB) |
          WALK(LOAD) | WALK(STORE) },
        /* iTLB-load-misses, iTLB-loads */
        { VPMU_MODEL_NHM | VPMU_MODEL_SNB | VPMU_MODEL_IVB | VPMU_MODEL_HSW,
          0x0185, WALK(FETCH) },
        { VPMU_MODEL_NHM, 0x20c8, ONE(FETCH_STLB) | WALK(FETCH) },
        { VPMU_MODEL_SKL | VPMU_MODEL_ICX, 0x0e85, WALK(FETCH) },
        { VPMU_MODEL_SPR, 0x0e11, WALK(FETCH) },
        { VPMU_MODEL_GLM | VPMU_MODEL_TNT | VPMU_MODEL_CMT, 0x0481,
          ONE(FETCH_STLB) | WALK(FETCH) },
        { VPMU_MODEL_SNB | VPMU_MODEL_IVB, 0x1085, ONE(FETCH_STLB) },
        { VPMU_MODEL_HSW, 0x6085, ONE(FETCH_STLB) },
        { VPMU_MODEL_SKL | VPMU_MODEL_ICX, 0x2085, ONE(FETCH_STLB) },
        { VPMU_MODEL_K8 | VPMU_MODEL_F10, 0x0385, WALK(FETCH) },
        { VPMU_MODEL_ZEN3, 0xff85, WALK(FETCH) },
        { VPMU_MODEL_ZEN3, 0x0084, ONE(FETCH_STLB) },
        /* LLC-loads, LLC-load-misses */
        { VPMU_MODEL_K8, 0x037d,
          MISS_L1(LOAD) | MISS_L1(STORE) | MISS_L1(FETCH) },
        { VPMU_MODEL_K8, 0x037e,
          MISS_L2(LOAD) | MISS_L2(STORE) | MISS_L2(FETCH) },
        /* branch-load-misses */
        { ~VPMU_MODEL_AMD & ~VPMU_MODEL_FIXED, 0x00c5, MISP },
        { VPMU_MODEL_AMD, 0x00c3, MISP },
        /* cache-references, cache-misses */
        { ~VPMU_MODEL_AMD & ~VPMU_MODEL_FIXED, 0x4f2e,
          MISS_L2(LOAD) | MISS_L2(STORE) | MISS_L2(FETCH) },
        { ~VPMU_MODEL_AMD & ~VPMU_MODEL_FIXED, 0x412e,
          ONE(LOAD_MEMORY) | ONE(STORE_MEMORY) | ONE(FETCH_MEMORY) },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        for (unsigned m = 0; m < 32; m++) {
            const VPMUEvent *event;
            SoftPMUConfig config;

            if (!(names[i].models & 1u << m)) {
                continue;
            }
            event = vpmu_event_find(names[i].code, 1u << m);
            g_assert_nonnull(event);
            config = vpmu_event_config(VPMU_EVTSEL_OS, event, true);
            g_assert_cmphex(config.sim, ==, names[i].outcomes);
            g_assert_cmphex(config.add | config.sub, ==, 0);
            g_assert_cmphex(config.rings, ==, 1u << SOFTPMU_KERNEL);
            g_assert_true(vpmu_event_is_counted(event, true));
            g_assert_false(vpmu_event_is_counted(event, false));
            g_assert_cmphex(vpmu_event_config(0, event, false).sim, ==, 0);
        }
    }
}

/* No event is made of both, and no outcome is left out. */
static void test_outcomes(void)
{
    SimOutcome all = 0;

    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];

        g_assert_true(!event->sim || !(event->add | event->sub));
        g_assert_true(!event->sim || !(event->uops | event->latency));
        all |= event->sim;
    }
    g_assert_cmphex(all, ==, (1u << SIM_NR_CLASSES) - 1);
}

static void test_unknown(void)
{
    SoftPMUConfig config =
        vpmu_event_config(VPMU_EVTSEL_OS | VPMU_EVTSEL_INV |
                          VPMU_EVTSEL_EDGE | UINT64_C(1) <<
                          VPMU_EVTSEL_CMASK_SHIFT, NULL, true);

    g_assert_cmphex(config.add, ==, 0);
    g_assert_cmphex(config.sub, ==, 0);
    g_assert_false(config.edge);
    g_assert_null(vpmu_event_find(0xffff, VPMU_MODEL_ICX));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vpmu/events/encodings", test_encodings);
    g_test_add_func("/vpmu/events/find", test_find);
    g_test_add_func("/vpmu/events/fixed", test_fixed);
    g_test_add_func("/vpmu/events/architectural", test_architectural);
    g_test_add_func("/vpmu/events/classes", test_classes);
    g_test_add_func("/vpmu/events/modifiers", test_modifiers);
    g_test_add_func("/vpmu/events/supported", test_supported);
    g_test_add_func("/vpmu/events/users", test_users);
    g_test_add_func("/vpmu/events/amd", test_amd);
    g_test_add_func("/vpmu/events/rings", test_rings);
    g_test_add_func("/vpmu/events/simulated", test_simulated);
    g_test_add_func("/vpmu/events/outcomes", test_outcomes);
    g_test_add_func("/vpmu/events/unknown", test_unknown);
    return g_test_run();
}
