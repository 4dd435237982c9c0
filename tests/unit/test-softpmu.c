/*
 * The software PMU against a model that looks at every instruction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random blocks are run as target/i386/vpmu/tcg.c and the code it translates
 * do it: charge, call the emulator when overspent, pay back what does not
 * retire.  At every instruction boundary all counters must have the model's
 * values, and an overflow must be reported at the very instruction.
 */
#include <glib.h>
#include <string.h>
#include "events.h"
#include "regs.h"

typedef struct Insn {
    SoftPMUCharge charge;
    bool taken;                 /* a conditional branch that is taken */
    bool none;                  /* REP with a count of 0: accesses nothing */
} Insn;

typedef struct Model {
    uint64_t value[VPMU_NR];
    SoftPMUConfig config[VPMU_NR];
    bool high[VPMU_NR];
    uint16_t overflowed;
} Model;

typedef struct Test {
    SoftPMU pmu;
    Model model;
    unsigned ring;
    /* How often the emulator was called, and how many blocks ran. */
    unsigned expired, blocks;
} Test;

static unsigned below(unsigned n)
{
    return g_test_rand_int_range(0, n);
}

static bool one_in(unsigned n)
{
    return below(n) == 0;
}

/* The model */

static unsigned classes_of(const Insn *insn)
{
    unsigned mask = 0;

    for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
        if (softpmu_charge_class(insn->charge, c)) {
            mask |= 1u << c;
        }
    }
    if (insn->none) {
        mask &= ~(1u << SOFTPMU_LOAD | 1u << SOFTPMU_STORE);
    }
    return insn->taken ? mask | 1u << SOFTPMU_TAKEN : mask;
}

static void model_add(Model *m, unsigned i)
{
    if (m->value[i] == SOFTPMU_VALUE_MASK) {
        m->value[i] = 0;
        m->overflowed |= 1u << i;
    } else {
        m->value[i]++;
    }
}

static void model_retire(Model *m, unsigned ring, const Insn *insn)
{
    unsigned mask = classes_of(insn);

    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &m->config[i];
        int n = __builtin_popcount(config->add & mask) -
                __builtin_popcount(config->sub & mask);

        if (!config->on) {
            continue;
        }
        g_assert(n == 0 || n == 1);
        if (!(config->rings & 1u << ring)) {
            n = 0;
        }
        if (n && !(config->edge && m->high[i])) {
            model_add(m, i);
        }
        if (config->edge) {
            m->high[i] = n;
        }
    }
}

static void model_receive(Model *m, unsigned ring)
{
    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &m->config[i];

        if (config->on && (config->rings & 1u << ring) &&
            (config->add & 1u << SOFTPMU_HWINT)) {
            model_add(m, i);
        }
    }
}

/* What tcg.c does */

static void compare(Test *t, unsigned ring, SoftPMULevel level,
                    SoftPMUCharge ahead)
{
    for (unsigned i = 0; i < VPMU_NR; i++) {
        g_assert_cmphex(softpmu_read(&t->pmu, i, ring, level, ahead), ==,
                        t->model.value[i]);
    }
}

/* At an instruction boundary: everything must be known now. */
static void fold(Test *t)
{
    softpmu_fold(&t->pmu);
    g_assert_cmphex(t->pmu.overflowed, ==, t->model.overflowed);
    t->pmu.overflowed = t->model.overflowed = 0;
}

static void refill(Test *t)
{
    softpmu_refill(&t->pmu, t->ring);
}

static SoftPMUCharge charge_of(const Insn *insns, unsigned n)
{
    SoftPMUCharge charge = 0;

    for (unsigned i = 0; i < n; i++) {
        charge += insns[i].charge;
    }
    return charge;
}

/*
 * Run a block of @n instructions, of which the first @retire do; the next
 * one, if there is one, faults or is a REP that goes round again.
 */
static void run_block(Test *t, const Insn *insns, unsigned n, unsigned retire)
{
    SoftPMULevel level = t->pmu.level;
    SoftPMUPlan plan = { .look_after = false };
    unsigned run = n;

    t->blocks++;
    for (;;) {
        SoftPMUCharge charge = charge_of(insns, run);

        softpmu_charge(&t->pmu, t->ring, level, charge);
        if (level == SOFTPMU_LEVEL_OFF || (int64_t)t->pmu.left[t->ring] >= 0) {
            break;
        }
        t->expired++;
        softpmu_pay_back(&t->pmu, t->ring, level, charge);
        fold(t);
        plan = softpmu_plan(&t->pmu, t->ring, charge, run);
        refill(t);
        g_assert_cmpuint(plan.insns, >=, 1);
        g_assert_cmpuint(plan.insns, <=, run);
        if (plan.insns == run) {
            softpmu_charge(&t->pmu, t->ring, level, charge);
            break;
        }
        run = plan.insns;
        plan.look_after = false;
    }

    retire = MIN(retire, run);
    for (unsigned i = 0; i < retire; i++) {
        if (one_in(8)) {
            compare(t, t->ring, level, charge_of(insns + i, run - i));
        }
        if (level == SOFTPMU_LEVEL_FULL) {
            /* Translated code knows these only when it is there. */
            t->pmu.spent[t->ring][SOFTPMU_TAKEN] += insns[i].taken;
            if (insns[i].none) {
                for (unsigned c = SOFTPMU_LOAD; c <= SOFTPMU_STORE; c++) {
                    t->pmu.spent[t->ring][c] -=
                        softpmu_charge_class(insns[i].charge, c);
                }
            }
        }
        model_retire(&t->model, t->ring, &insns[i]);
        if (t->model.overflowed) {
            /* Skid 0: the emulator comes right after this instruction. */
            g_assert_cmpuint(i, ==, run - 1);
            g_assert_true(plan.look_after);
        }
    }
    softpmu_pay_back(&t->pmu, t->ring, level,
                     charge_of(insns + retire, run - retire));
    compare(t, t->ring, level, 0);
    if (plan.look_after) {
        fold(t);
        refill(t);
    }
    if (retire == run && run < n) {
        /* The rest of what was cut. */
        run_block(t, insns + run, n - run, n - run);
    }
}

/* Random programs */

static uint64_t random_value(void)
{
    switch (below(4)) {
    case 0:
        return SOFTPMU_VALUE_MASK - below(20);
    case 1:
        return SOFTPMU_VALUE_MASK - below(2000);
    case 2:
        return SOFTPMU_VALUE_MASK - below(1 << 24);
    default:
        return below(1 << 30);
    }
}

static SoftPMUConfig random_config(bool edges)
{
    const VPMUEvent *event = &vpmu_events[below(vpmu_nr_events)];
    uint64_t evtsel = 0;
    SoftPMUConfig config;

    evtsel |= one_in(3) ? 0 : VPMU_EVTSEL_USR;
    evtsel |= one_in(3) ? 0 : VPMU_EVTSEL_OS;
    evtsel |= one_in(4) ? VPMU_EVTSEL_INV : 0;
    evtsel |= (uint64_t)below(3) << VPMU_EVTSEL_CMASK_SHIFT;
    evtsel |= edges && one_in(2) ? VPMU_EVTSEL_EDGE : 0;
    config = vpmu_event_config(evtsel, event);
    config.on = !one_in(4);
    return config;
}

static void configure(Test *t, unsigned i, const SoftPMUConfig *config)
{
    fold(t);
    softpmu_config(&t->pmu, i, config);
    t->model.config[i] = *config;
    if (!config->on) {
        t->model.high[i] = false;
    }
    refill(t);
}

static void write_value(Test *t, unsigned i, uint64_t value)
{
    fold(t);
    softpmu_write(&t->pmu, i, value);
    t->model.value[i] = value;
    refill(t);
}

#define SWAP(a, b) do {                 \
    __typeof__(a) swap_ = (a);          \
    (a) = (b);                          \
    (b) = swap_;                        \
} while (0)

/* What two counters do, they do in each other's place from now on. */
static void exchange(Test *t, unsigned i, unsigned j)
{
    static const SoftPMUConfig off;
    Model *m = &t->model;
    SoftPMUCounter a, b;

    fold(t);
    a = softpmu_save(&t->pmu, i);
    softpmu_config(&t->pmu, i, &off);
    b = softpmu_save(&t->pmu, j);
    softpmu_config(&t->pmu, j, &off);
    SWAP(m->value[i], m->value[j]);
    SWAP(m->high[i], m->high[j]);
    SWAP(m->config[i], m->config[j]);
    softpmu_load(&t->pmu, j, a);
    softpmu_load(&t->pmu, i, b);
    softpmu_config(&t->pmu, i, &m->config[i]);
    softpmu_config(&t->pmu, j, &m->config[j]);
    refill(t);
}

static unsigned random_block(Insn *insns)
{
    unsigned n = one_in(10) ? 1 + below(SOFTPMU_TB_MAX) : 1 + below(12);
    unsigned kind = one_in(3) ? SOFTPMU_BR_NONE : below(SOFTPMU_BR_NR);

    memset(insns, 0, n * sizeof(*insns));
    for (unsigned i = 0; i < n; i++) {
        insns[i].charge = SOFTPMU_CHARGE_INSN |
                          (one_in(3) ? SOFTPMU_CHARGE_LOAD : 0) |
                          (one_in(3) ? SOFTPMU_CHARGE_STORE : 0);
        insns[i].none = one_in(30);
    }
    insns[n - 1].charge |= SOFTPMU_CHARGE_KIND(kind);
    insns[n - 1].taken = kind == SOFTPMU_BR_COND && one_in(2);
    return n;
}

/* INT n: see vpmu_tcg_software_interrupt(). */
static void software_interrupt(Test *t)
{
    const Insn insn = {
        .charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_KIND(SOFTPMU_BR_FAR),
    };

    fold(t);
    softpmu_charge(&t->pmu, t->ring, SOFTPMU_LEVEL_FULL, insn.charge);
    model_retire(&t->model, t->ring, &insn);
    fold(t);
    refill(t);
}

static void receive(Test *t)
{
    fold(t);
    softpmu_receive(&t->pmu, t->ring);
    model_receive(&t->model, t->ring);
    fold(t);
    refill(t);
}

static void run_random(bool edges)
{
    g_autofree Test *t = g_new0(Test, 1);
    unsigned steps = 100 + below(200);
    unsigned used = 1 + below(VPMU_NR);

    for (unsigned i = 0; i < used; i++) {
        SoftPMUConfig config = random_config(edges);

        write_value(t, i, random_value());
        configure(t, i, &config);
    }
    for (unsigned step = 0; step < steps; step++) {
        Insn insns[SOFTPMU_TB_MAX];
        unsigned n = random_block(insns), i = below(used);
        SoftPMUConfig config;

        switch (below(40)) {
        case 0:
            config = random_config(edges);
            configure(t, i, &config);
            break;
        case 1:
        case 2:
            write_value(t, i, random_value());
            break;
        case 3:
            receive(t);
            break;
        case 4:
            software_interrupt(t);
            break;
        case 5:
            /* Out of the execution loop and in again. */
            fold(t);
            fold(t);
            refill(t);
            break;
        case 6:
        case 7:
            run_block(t, insns, n, below(n)); /* a fault, or REP */
            break;
        case 8:
        case 9:
            t->ring = !t->ring; /* with the allowance as it is */
            break;
        case 10:
            if (used > 1) {
                exchange(t, i, (i + 1 + below(used - 1)) % used);
            }
            break;
        default:
            for (unsigned turns = one_in(10) ? below(100) : 1; turns;
                 turns--) {
                run_block(t, insns, n, n);
            }
        }
        compare(t, t->ring, t->pmu.level, 0);
    }
    fold(t);
}

static void test_random(void)
{
    for (unsigned i = 0; i < 300; i++) {
        run_random(false);
    }
}

static void test_edges(void)
{
    for (unsigned i = 0; i < 150; i++) {
        run_random(true);
    }
}

/* Every preset near the end, for every event, in a block of every length. */
static void test_presets(void)
{
    for (unsigned e = 0; e < vpmu_nr_events; e++) {
        SoftPMUConfig config = vpmu_event_config(VPMU_EVTSEL_USR |
                                                 VPMU_EVTSEL_OS,
                                                 &vpmu_events[e]);

        config.on = true;
        for (unsigned n = 1; n <= 70; n++) {
            g_autofree Test *t = g_new0(Test, 1);

            t->ring = n & 1;
            write_value(t, 0, SOFTPMU_VALUE_MASK - n + 1);
            configure(t, 0, &config);
            for (unsigned k = 0; k < 20; k++) {
                Insn insns[SOFTPMU_TB_MAX];

                run_block(t, insns, random_block(insns), SOFTPMU_TB_MAX);
            }
        }
    }
}

/* Both rings share a counter's room, however they take turns. */
static void test_rings(void)
{
    const SoftPMUConfig both = {
        .add = 1 << SOFTPMU_INSN, .rings = 3, .on = true,
    };
    Insn insns[SOFTPMU_TB_MAX] = { };

    for (unsigned i = 0; i < SOFTPMU_TB_MAX; i++) {
        insns[i].charge = SOFTPMU_CHARGE_INSN;
    }
    for (unsigned k = 0; k < 200; k++) {
        g_autofree Test *t = g_new0(Test, 1);
        unsigned n = 1 + below(SOFTPMU_TB_MAX), stay = 1 + below(50);

        write_value(t, 0, SOFTPMU_VALUE_MASK - 3000 - below(10000));
        configure(t, 0, &both);
        while (t->model.value[0] > 20000) {
            t->ring = one_in(stay) ? !t->ring : t->ring;
            run_block(t, insns, n, n);
        }
    }
}

/* Far from an overflow the emulator is hardly ever called. */
static void test_rare(void)
{
    g_autofree Test *t = g_new0(Test, 1);
    const SoftPMUConfig cycles = {
        .add = 1 << SOFTPMU_INSN, .rings = 3, .on = true,
    };
    const SoftPMUConfig branches = {
        .add = 1 << SOFTPMU_BRANCH, .rings = 1 << SOFTPMU_USER, .on = true,
    };
    Insn insns[100] = { };

    for (unsigned i = 0; i < 100; i++) {
        insns[i].charge = SOFTPMU_CHARGE_INSN;
    }
    insns[99].charge |= SOFTPMU_CHARGE_KIND(SOFTPMU_BR_JMP);
    configure(t, 0, &cycles);
    configure(t, VPMU_FIXED(2), &branches);
    while (t->blocks < 100000) {
        t->ring = !t->ring;
        run_block(t, insns, 100, 100);
    }
    g_assert_cmpuint(t->expired, <=, 20);

    /* Nor is it near one, as long as there is room in the ring that runs. */
    write_value(t, 0, SOFTPMU_VALUE_MASK - 3000);
    t->expired = 0;
    for (unsigned i = 0; i < 29; i++) {
        run_block(t, insns, 100, 100);
    }
    g_assert_cmpuint(t->expired, <=, 1);
}

/* An edge counter that was off starts low. */
static void test_edge_restart(void)
{
    g_autofree Test *t = g_new0(Test, 1);
    SoftPMUConfig config = {
        .add = 1 << SOFTPMU_LOAD, .rings = 3, .edge = true, .on = true,
    };
    const Insn load = { .charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_LOAD };

    for (unsigned i = 1; i < 4; i++) {
        config.on = true;
        configure(t, 0, &config);
        run_block(t, &load, 1, 1);
        run_block(t, &load, 1, 1);
        fold(t);
        g_assert_cmpuint(t->pmu.counter[0].value, ==, i);
        config.on = false;
        configure(t, 0, &config);
    }
}

static void test_width(void)
{
    SoftPMU pmu = { };

    softpmu_write(&pmu, 5, UINT64_MAX);
    g_assert_cmphex(softpmu_read(&pmu, 5, 0, SOFTPMU_LEVEL_OFF, 0), ==,
                    SOFTPMU_VALUE_MASK);
}

/* Sums of charges do not run into each other. */
static void test_charge(void)
{
    SoftPMUCharge charge = 0;

    for (unsigned i = 0; i < SOFTPMU_TB_MAX; i++) {
        charge += SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_LOAD |
                  SOFTPMU_CHARGE_STORE;
    }
    for (unsigned kind = 0; kind < SOFTPMU_BR_NR; kind++) {
        SoftPMUCharge all = charge + SOFTPMU_CHARGE_KIND(kind);

        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_INSN), ==,
                         SOFTPMU_TB_MAX);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_LOAD), ==,
                         SOFTPMU_TB_MAX);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_STORE), ==,
                         SOFTPMU_TB_MAX);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_BRANCH), ==,
                         kind != SOFTPMU_BR_NONE);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_COND), ==,
                         kind == SOFTPMU_BR_COND);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_CALL), ==,
                         kind == SOFTPMU_BR_CALL ||
                         kind == SOFTPMU_BR_CALL_IND);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_RET), ==,
                         kind == SOFTPMU_BR_RET);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_FAR), ==,
                         kind == SOFTPMU_BR_FAR);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_INDIRECT), ==,
                         kind == SOFTPMU_BR_JMP_IND ||
                         kind == SOFTPMU_BR_CALL_IND);
        g_assert_cmpuint(softpmu_charge_class(all, SOFTPMU_HWINT), ==, 0);
    }
}

/* How much translated code has to do. */
static void test_level(void)
{
    static const struct {
        unsigned add;
        bool on;
        unsigned rings;
        SoftPMULevel level;
    } table[] = {
        { 1 << SOFTPMU_INSN, true, 3, SOFTPMU_LEVEL_BASE },
        { 1 << SOFTPMU_BRANCH, true, 1, SOFTPMU_LEVEL_BASE },
        { 1 << SOFTPMU_LOAD, true, 2, SOFTPMU_LEVEL_FULL },
        { 1 << SOFTPMU_TAKEN, true, 3, SOFTPMU_LEVEL_FULL },
        { 1 << SOFTPMU_HWINT, true, 3, SOFTPMU_LEVEL_OFF },
        { 1 << SOFTPMU_INSN, false, 3, SOFTPMU_LEVEL_OFF },
        { 1 << SOFTPMU_INSN, true, 0, SOFTPMU_LEVEL_OFF },
        { 0, true, 3, SOFTPMU_LEVEL_OFF },
    };
    g_autofree Test *t = g_new0(Test, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        SoftPMUConfig config = {
            .add = table[i].add, .on = table[i].on, .rings = table[i].rings,
        };

        configure(t, 3, &config);
        g_assert_cmpint(t->pmu.level, ==, table[i].level);
        g_assert_false(t->pmu.stepping);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/softpmu/charge", test_charge);
    g_test_add_func("/softpmu/level", test_level);
    g_test_add_func("/softpmu/width", test_width);
    g_test_add_func("/softpmu/rare", test_rare);
    g_test_add_func("/softpmu/rings", test_rings);
    g_test_add_func("/softpmu/edge-restart", test_edge_restart);
    g_test_add_func("/softpmu/presets", test_presets);
    g_test_add_func("/softpmu/random", test_random);
    g_test_add_func("/softpmu/edges", test_edges);
    return g_test_run();
}
