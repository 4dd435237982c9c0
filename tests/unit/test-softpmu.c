/*
 * The software PMU against a model that looks at every instruction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Random blocks are run as target/i386/vpmu/tcg.c and translated code run
 * them: charge the block, call the emulator if that is more than is left, pay
 * back what does not retire.  At every instruction boundary all counters must
 * have the model's values, and an overflow must be reported at the very
 * instruction.  The note that is made when a precise counter overflows must be
 * about that instruction.
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
    uint64_t cycles;
    /* What happened last; an overflow is folded before anything else. */
    SoftPMUNote last;
} Model;

typedef struct Test {
    SoftPMU pmu;
    Model model;
    unsigned ring;
    /* Address of the next instruction: no two have the same. */
    uint64_t ip;
    /* How often the emulator was called, and how many blocks ran. */
    unsigned expired, blocks;
    /* Blocks that ran with a note, and overflows of precise counters. */
    unsigned noted, precise;
    /* Precise counters that overflow start anew, not far from the end. */
    bool reload;
    /* The next block must not start without asking. */
    bool made_expire;
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

/* The classes of an instruction that retires, as a mask. */
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

/* What a record says of an instruction at @ip. */
static SoftPMUNote note_of(const Insn *insn, uint64_t ip)
{
    unsigned mask = classes_of(insn);

    return (SoftPMUNote) {
        .ip = ip,
        .load = mask & 1u << SOFTPMU_LOAD ? ip << 8 | 1 : 0,
        .store = mask & 1u << SOFTPMU_STORE ? ip << 8 | 2 : 0,
    };
}

static void model_retire(Model *m, unsigned ring, const Insn *insn,
                         uint64_t ip)
{
    unsigned mask = classes_of(insn);

    m->last = note_of(insn, ip);
    m->cycles++;
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

static void model_receive(Model *m, unsigned ring, uint64_t ip)
{
    m->last = (SoftPMUNote) { .ip = ip };
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
    if (t->pmu.branches && !ahead) {
        g_assert_cmpuint(t->pmu.cycles, ==, t->model.cycles);
    }
}

/* Counters with SoftPMUConfig.precise */
static unsigned precise(const Test *t)
{
    unsigned mask = 0;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        mask |= t->model.config[i].precise ? 1u << i : 0;
    }
    return mask;
}

/* Precise counters have overflowed: see vpmu_pebs(). */
static void record(Test *t, unsigned counters)
{
    g_assert_cmphex(t->pmu.note.ip, ==, t->model.last.ip);
    g_assert_cmphex(t->pmu.note.load, ==, t->model.last.load);
    g_assert_cmphex(t->pmu.note.store, ==, t->model.last.store);
    t->precise++;
    for (unsigned i = 0; t->reload && i < VPMU_NR; i++) {
        if (counters & 1u << i) {
            t->model.value[i] = SOFTPMU_VALUE_MASK - below(one_in(4) ? 4 : 99);
            softpmu_write(&t->pmu, i, t->model.value[i]);
        }
    }
}

/* At an instruction boundary, where every overflow must be known. */
static void fold(Test *t)
{
    softpmu_fold(&t->pmu);
    g_assert_cmphex(t->pmu.overflowed, ==, t->model.overflowed);
    if (t->pmu.overflowed & precise(t)) {
        record(t, t->pmu.overflowed & precise(t));
    }
    t->pmu.overflowed = t->model.overflowed = 0;
}

static void refill(Test *t)
{
    t->made_expire = false;
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
 * Check a plan, counter by counter: none may overflow before the end of the
 * block, a precise one only in a block of one instruction; and the block is no
 * shorter than these rules demand.
 */
static void check_plan(const Test *t, SoftPMUPlan plan, SoftPMUCharge charge,
                       unsigned insns)
{
    unsigned longest = t->pmu.stepping ? 1 : insns;
    bool look_after = false, note = false;

    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &t->model.config[i];
        uint64_t room = SOFTPMU_VALUE_MASK + 1 - t->model.value[i], most = 0;

        for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
            if (config->add & 1u << c) {
                most += softpmu_charge_class(charge, c == SOFTPMU_TAKEN ?
                                                     SOFTPMU_COND : c);
            }
        }
        if (config->on && (config->rings & 1u << t->ring) && most >= room) {
            bool alone = config->precise && room > 1;

            longest = MIN(longest, alone ? room - 1 : room);
            look_after |= room == plan.insns;
            note |= room == 1 && config->precise;
        }
    }
    g_assert_cmpuint(plan.insns, >=, 1);
    g_assert_cmpuint(plan.insns, ==, longest);
    g_assert_cmpint(plan.look_after, ==, look_after);
    g_assert_cmpint(plan.note, ==, note);
}

/*
 * What translated code does at the start of a block of @n instructions: charge
 * it and, if that is more than is left, ask the emulator for a plan, which may
 * be a shorter block.  Returns: how many instructions run.
 */
static unsigned start_block(Test *t, const Insn *insns, unsigned n,
                            SoftPMULevel *level, SoftPMUPlan *plan)
{
    unsigned run = n;

    for (;;) {
        SoftPMUCharge charge = charge_of(insns, run);

        *plan = (SoftPMUPlan) { .look_after = false };
        softpmu_charge(&t->pmu, t->ring, *level, charge);
        if (*level == SOFTPMU_LEVEL_OFF ||
            (int64_t)t->pmu.left[t->ring] >= 0) {
            g_assert(*level == SOFTPMU_LEVEL_OFF || !t->made_expire);
            return run;
        }
        t->expired++;
        softpmu_pay_back(&t->pmu, t->ring, *level, charge);
        fold(t);
        *plan = softpmu_plan(&t->pmu, t->ring, charge, run);
        refill(t);
        check_plan(t, *plan, charge, run);
        if (plan->insns == run &&
            (!plan->note || *level == SOFTPMU_LEVEL_NOTE)) {
            softpmu_charge(&t->pmu, t->ring, *level, charge);
            if (plan->note) {
                t->pmu.note = (SoftPMUNote) { .ip = t->ip };
                t->noted++;
            }
            return run;
        }
        run = plan->insns;
        *level = plan->note ? SOFTPMU_LEVEL_NOTE : t->pmu.level;
    }
}

/* What translated code does at run time for an instruction at @ip. */
static void run_insn(Test *t, const Insn *insn, uint64_t ip,
                     SoftPMULevel level)
{
    SoftPMUNote note = note_of(insn, ip);

    if (level >= SOFTPMU_LEVEL_FULL) {
        /* These are known only when the instruction runs. */
        t->pmu.spent[t->ring][SOFTPMU_TAKEN] += insn->taken;
        if (insn->none) {
            for (unsigned c = SOFTPMU_LOAD; c <= SOFTPMU_STORE; c++) {
                t->pmu.spent[t->ring][c] -=
                    softpmu_charge_class(insn->charge, c);
            }
        }
    }
    if (level == SOFTPMU_LEVEL_NOTE) {
        t->pmu.note.load = note.load ?: t->pmu.note.load;
        t->pmu.note.store = note.store ?: t->pmu.note.store;
    }
    model_retire(&t->model, t->ring, insn, ip);
}

/*
 * Run a block of @n instructions, of which the first @retire retire; if there
 * is another, it faults or is a REP that goes round again.
 */
static void run_block(Test *t, const Insn *insns, unsigned n, unsigned retire)
{
    SoftPMULevel level = t->pmu.level;
    SoftPMUPlan plan;
    unsigned run;

    t->blocks++;
    if (level != SOFTPMU_LEVEL_OFF && one_in(20)) {
        /* An interrupt came just before a single instruction with a note. */
        level = SOFTPMU_LEVEL_NOTE;
    }
    run = start_block(t, insns, n, &level, &plan);
    retire = MIN(retire, run);
    for (unsigned i = 0; i < retire; i++) {
        if (one_in(8)) {
            compare(t, t->ring, level, charge_of(insns + i, run - i));
        }
        run_insn(t, &insns[i], t->ip + i, level);
        if (t->model.overflowed) {
            /* Skid 0: the emulator comes right after this instruction. */
            g_assert_cmpuint(i, ==, run - 1);
            g_assert_true(plan.look_after);
        }
        if (t->model.overflowed & precise(t)) {
            g_assert_cmpuint(run, ==, 1);
            g_assert_true(plan.note);
        }
    }
    t->ip += run;
    softpmu_pay_back(&t->pmu, t->ring, level,
                     charge_of(insns + retire, run - retire));
    compare(t, t->ring, level, 0);
    if (plan.look_after) {
        fold(t);
        refill(t);
    }
    if (retire == run && run < n) {
        /* The rest of a block that was shortened. */
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

/* Any event that is made of classes */
static const VPMUEvent *some_event(void)
{
    const VPMUEvent *event;

    do {
        event = &vpmu_events[below(vpmu_nr_events)];
    } while (event->sim);
    return event;
}

/* What random programs may have */
enum { EDGES = 1, PRECISE = 2 };

static SoftPMUConfig random_config(unsigned with)
{
    const VPMUEvent *event = some_event();
    uint64_t evtsel = 0;
    SoftPMUConfig config;

    evtsel |= one_in(3) ? 0 : VPMU_EVTSEL_USR;
    evtsel |= one_in(3) ? 0 : VPMU_EVTSEL_OS;
    evtsel |= one_in(4) ? VPMU_EVTSEL_INV : 0;
    evtsel |= (uint64_t)below(3) << VPMU_EVTSEL_CMASK_SHIFT;
    evtsel |= (with & EDGES) && one_in(2) ? VPMU_EVTSEL_EDGE : 0;
    config = vpmu_event_config(evtsel, event, false);
    config.precise = (with & PRECISE) && one_in(2);
    config.on = !one_in(4);
    return config;
}

static void configure(Test *t, unsigned i, const SoftPMUConfig *config)
{
    fold(t);
    softpmu_config(&t->pmu, i, config);
    t->model.config[i] = *config;
    if (!config->on || !config->edge || !config->rings) {
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

/* Two counters change places, as pPMCs do when the host reserves some. */
static void swap(Test *t, unsigned i, unsigned j)
{
    Model *m = &t->model;
    const SoftPMUConfig configs[] = { m->config[i], m->config[j] };
    const uint64_t values[] = { m->value[i], m->value[j] };
    const bool highs[] = { m->high[i], m->high[j] };
    SoftPMUCounter counters[2];

    fold(t);
    counters[0] = softpmu_save(&t->pmu, i);
    counters[1] = softpmu_save(&t->pmu, j);
    for (unsigned k = 0; k < 2; k++) {
        unsigned to = k ? i : j;

        g_assert_cmphex(counters[k].value, ==, values[k]);
        g_assert_cmpint(counters[k].high, ==, highs[k]);
        softpmu_load(&t->pmu, to, counters[k]);
        softpmu_config(&t->pmu, to, &configs[k]);
        m->config[to] = configs[k];
        m->value[to] = values[k];
        m->high[to] = highs[k];
    }
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

/* INT n: see vpmu_tcg_delivered(). */
static void software_interrupt(Test *t)
{
    const Insn insn = {
        .charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_KIND(SOFTPMU_BR_FAR),
    };

    fold(t);
    t->pmu.note = (SoftPMUNote) { .ip = t->ip };
    softpmu_charge(&t->pmu, t->ring, SOFTPMU_LEVEL_FULL, insn.charge);
    model_retire(&t->model, t->ring, &insn, t->ip++);
    fold(t);
    refill(t);
}

static void receive(Test *t)
{
    fold(t);
    t->pmu.note = (SoftPMUNote) { .ip = t->ip };
    softpmu_receive(&t->pmu, t->ring);
    model_receive(&t->model, t->ring, t->ip);
    fold(t);
    refill(t);
}

/* Returns: how often precise counters overflowed */
static unsigned run_random(unsigned with)
{
    g_autofree Test *t = g_new0(Test, 1);
    unsigned steps = 100 + below(200);
    unsigned used = 1 + below(VPMU_NR);

    t->reload = with & PRECISE;
    softpmu_report_branches(&t->pmu, one_in(2));
    refill(t);
    for (unsigned i = 0; i < used; i++) {
        SoftPMUConfig config = random_config(with);

        write_value(t, i, random_value());
        configure(t, i, &config);
    }
    for (unsigned step = 0; step < steps; step++) {
        Insn insns[SOFTPMU_TB_MAX];
        unsigned n = random_block(insns), i = below(used);
        SoftPMUConfig config;

        switch (below(40)) {
        case 0:
            config = random_config(with);
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
            swap(t, i, below(VPMU_NR));
            break;
        case 11:
        case 12:
            softpmu_expire(&t->pmu);
            t->made_expire = true;
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
    return t->precise;
}

static void test_random(void)
{
    for (unsigned i = 0; i < 300; i++) {
        g_assert_cmpuint(run_random(0), ==, 0);
    }
}

static void test_edges(void)
{
    for (unsigned i = 0; i < 150; i++) {
        g_assert_cmpuint(run_random(EDGES), ==, 0);
    }
}

static void test_random_precise(void)
{
    unsigned overflows = 0;

    for (unsigned i = 0; i < 200; i++) {
        overflows += run_random(PRECISE);
    }
    g_assert_cmpuint(overflows, >, 2000);
}

static void test_random_precise_edges(void)
{
    unsigned overflows = 0;

    for (unsigned i = 0; i < 100; i++) {
        overflows += run_random(PRECISE | EDGES);
    }
    g_assert_cmpuint(overflows, >, 1000);
}

/* Every preset near the end, for every event, in a block of every length. */
static void test_presets(void)
{
    for (unsigned e = 0; e < vpmu_nr_events; e++) {
        SoftPMUConfig config = vpmu_event_config(VPMU_EVTSEL_USR |
                                                 VPMU_EVTSEL_OS,
                                                 &vpmu_events[e], false);

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

/* Far from an overflow, the emulator is rarely called. */
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

    /* Nor near an overflow, as long as the ring that runs has some left. */
    write_value(t, 0, SOFTPMU_VALUE_MASK - 3000);
    t->expired = 0;
    for (unsigned i = 0; i < 29; i++) {
        run_block(t, insns, 100, 100);
    }
    g_assert_cmpuint(t->expired, <=, 1);
}

/*
 * An edge counter starts low, whether it was off, counted in no ring or did
 * not count edges before; even if nothing was charged then.
 */
static void test_edge_restart(void)
{
    const Insn load = { .charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_LOAD };
    const Insn none = { .charge = SOFTPMU_CHARGE_INSN };
    const SoftPMUConfig edge = {
        .add = 1 << SOFTPMU_LOAD, .rings = 3, .edge = true, .on = true,
    };
    SoftPMUConfig before[] = { edge, edge, edge };

    before[0].on = false;
    before[1].rings = 0;
    before[2].edge = false;
    for (unsigned k = 0; k < G_N_ELEMENTS(before); k++) {
        g_autofree Test *t = g_new0(Test, 1);

        for (unsigned i = 1; i < 4; i++) {
            configure(t, 0, &edge);
            run_block(t, &load, 1, 1);
            run_block(t, &load, 1, 1);
            fold(t);
            g_assert_cmpuint(t->pmu.counter[0].value, ==, i);
            configure(t, 0, &before[k]);
            g_assert_false(softpmu_save(&t->pmu, 0).high);
            run_block(t, &none, 1, i & 1);
        }
    }
}

/* The state of an edge counter is saved and loaded with its value. */
static void test_save_load(void)
{
    g_autofree Test *t = g_new0(Test, 1);
    const Insn load = { .charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_LOAD };
    const Insn none = { .charge = SOFTPMU_CHARGE_INSN };
    const SoftPMUConfig off = { .rings = 3 };
    const SoftPMUConfig edge = {
        .add = 1 << SOFTPMU_LOAD, .rings = 3, .edge = true, .on = true,
    };
    const SoftPMUConfig stopped = {
        .add = 1 << SOFTPMU_LOAD, .rings = 3, .edge = true,
    };
    SoftPMUCounter counter;

    write_value(t, 2, 100);
    configure(t, 2, &edge);
    run_block(t, &load, 1, 1);
    fold(t);
    counter = softpmu_save(&t->pmu, 2);
    g_assert_cmphex(counter.value, ==, 101);
    g_assert_true(counter.high);
    /* It is a copy. */
    g_assert_cmphex(softpmu_save(&t->pmu, 2).value, ==, 101);

    /* It is still high as counter 9, and low when it comes back. */
    swap(t, 2, 9);
    g_assert_cmphex(softpmu_save(&t->pmu, 9).value, ==, 101);
    g_assert_cmphex(softpmu_save(&t->pmu, 2).value, ==, 0);
    g_assert_false(softpmu_save(&t->pmu, 2).high);
    run_block(t, &load, 1, 1);
    fold(t);
    g_assert_cmphex(softpmu_save(&t->pmu, 9).value, ==, 101);
    run_block(t, &none, 1, 1);
    fold(t);
    g_assert_false(softpmu_save(&t->pmu, 9).high);
    swap(t, 2, 9);
    run_block(t, &load, 1, 1);
    fold(t);
    g_assert_cmphex(softpmu_save(&t->pmu, 2).value, ==, 102);

    /* A counter that is off is low, and keeps its value. */
    softpmu_load(&t->pmu, 4, counter);
    g_assert_true(softpmu_save(&t->pmu, 4).high);
    softpmu_config(&t->pmu, 4, &stopped);
    g_assert_false(softpmu_save(&t->pmu, 4).high);
    g_assert_cmphex(softpmu_save(&t->pmu, 4).value, ==, 101);
    softpmu_load(&t->pmu, 4, counter);
    softpmu_config(&t->pmu, 4, &off);
    g_assert_false(softpmu_save(&t->pmu, 4).high);

    /* Writing the value does not change the state. */
    softpmu_write(&t->pmu, 2, 7);
    g_assert_cmphex(softpmu_save(&t->pmu, 2).value, ==, 7);
    g_assert_true(softpmu_save(&t->pmu, 2).high);
}

/* Precise counters */

/* A block of @n instructions, all of them loads. */
static void plain_block(Insn *insns, unsigned n)
{
    memset(insns, 0, n * sizeof(*insns));
    for (unsigned i = 0; i < n; i++) {
        insns[i].charge = SOFTPMU_CHARGE_INSN | SOFTPMU_CHARGE_LOAD;
    }
}

/*
 * The plan for a block of @insns instructions, when two precise counters and
 * one that is not overflow after so many of them; 0: the counter is off
 */
typedef struct PlanCase {
    unsigned precise, precise2, other;
    unsigned insns;
    SoftPMUPlan expected;
} PlanCase;

/* @order: which counter is which */
static void check_precise_plan(const PlanCase *plan_case,
                               const unsigned order[3])
{
    const unsigned rooms[] = {
        plan_case->precise, plan_case->precise2, plan_case->other,
    };
    g_autofree SoftPMU *pmu = g_new0(SoftPMU, 1);
    unsigned insns = plan_case->insns;
    SoftPMUPlan plan;

    for (unsigned c = 0; c < 3; c++) {
        const SoftPMUConfig config = {
            .add = 1 << SOFTPMU_INSN, .rings = 1 << SOFTPMU_USER,
            .precise = c < 2, .on = rooms[c],
        };

        softpmu_write(pmu, order[c], SOFTPMU_VALUE_MASK + 1 - rooms[c]);
        softpmu_config(pmu, order[c], &config);
    }
    plan = softpmu_plan(pmu, SOFTPMU_USER, insns, insns);
    g_assert_cmpuint(plan.insns, ==, plan_case->expected.insns);
    g_assert_cmpint(plan.look_after, ==, plan_case->expected.look_after);
    g_assert_cmpint(plan.note, ==, plan_case->expected.note);

    /* Not in the ring in which they do not count. */
    plan = softpmu_plan(pmu, SOFTPMU_KERNEL, insns, insns);
    g_assert_cmpuint(plan.insns, ==, insns);
    g_assert_false(plan.look_after);
    g_assert_false(plan.note);
}

/*
 * A block ends before the instruction that overflows a precise counter, which
 * is then a block of its own; the rest is another.
 */
static void test_precise_plan(void)
{
    static const PlanCase table[] = {
        { 1, 0, 0, 1, { 1, true, true } },
        { 1, 0, 0, 8, { 1, true, true } },
        { 2, 0, 0, 1, { 1, false, false } },
        { 2, 0, 0, 2, { 1, false, false } },
        { 2, 0, 0, 8, { 1, false, false } },
        { 8, 0, 0, 8, { 7, false, false } },
        { 8, 0, 0, 255, { 7, false, false } },
        { 9, 0, 0, 8, { 8, false, false } },
        /* Together with the other: at the same, before, after. */
        { 1, 0, 1, 8, { 1, true, true } },
        { 5, 0, 5, 8, { 4, false, false } },
        { 5, 0, 4, 8, { 4, true, false } },
        { 5, 0, 3, 8, { 3, true, false } },
        { 5, 0, 6, 8, { 4, false, false } },
        { 5, 0, 1, 8, { 1, true, false } },
        { 2, 0, 1, 8, { 1, true, false } },
        { 1, 0, 2, 8, { 1, true, true } },
        { 9, 0, 8, 8, { 8, true, false } },
        { 8, 0, 9, 8, { 7, false, false } },
        /* With both precise ones. */
        { 1, 1, 0, 8, { 1, true, true } },
        { 1, 2, 0, 8, { 1, true, true } },
        { 2, 3, 0, 8, { 1, false, false } },
        { 4, 4, 0, 8, { 3, false, false } },
        { 4, 5, 3, 8, { 3, true, false } },
        { 5, 4, 4, 8, { 3, false, false } },
        { 1, 1, 1, 8, { 1, true, true } },
        { 2, 1, 1, 8, { 1, true, true } },
        { 2, 2, 1, 8, { 1, true, false } },
    };
    /* The order in which counters are looked at makes no difference. */
    static const unsigned orders[][3] = {
        { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
        { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        for (unsigned k = 0; k < G_N_ELEMENTS(orders); k++) {
            check_precise_plan(&table[i], orders[k]);
        }
    }
}

/*
 * A precise counter and another, which may be precise, too: all distances up
 * to the end of a block and beyond it.  When every instruction counts, those
 * with a note are those at which a precise counter overflows.
 */
static void run_precise_pair(unsigned room, unsigned other, unsigned n,
                             const SoftPMUConfig configs[2], unsigned first)
{
    g_autofree Test *t = g_new0(Test, 1);
    Insn insns[SOFTPMU_TB_MAX];
    unsigned expected = configs[1].precise && other != room ? 2 : 1;

    plain_block(insns, n);
    write_value(t, first, SOFTPMU_VALUE_MASK + 1 - room);
    write_value(t, 1 - first, SOFTPMU_VALUE_MASK + 1 - other);
    configure(t, first, &configs[0]);
    configure(t, 1 - first, &configs[1]);
    for (unsigned i = 0; i < 20; i += n) {
        t->ring = !t->ring;
        run_block(t, insns, n, n);
    }
    g_assert_cmpuint(t->precise, ==, expected);
    g_assert_cmpuint(t->noted, ==, expected);
}

static void test_precise_pairs(void)
{
    static const SoftPMUConfig pairs[][2] = {
        {
            { .add = 1 << SOFTPMU_INSN, .rings = 3, .precise = true,
              .on = true },
            { .add = 1 << SOFTPMU_INSN, .rings = 3, .on = true },
        }, {
            { .add = 1 << SOFTPMU_LOAD, .rings = 3, .precise = true,
              .on = true },
            { .add = 1 << SOFTPMU_INSN, .rings = 3, .on = true },
        }, {
            { .add = 1 << SOFTPMU_INSN, .rings = 3, .precise = true,
              .on = true },
            { .add = 1 << SOFTPMU_LOAD, .rings = 3, .precise = true,
              .on = true },
        },
    };

    for (unsigned k = 0; k < G_N_ELEMENTS(pairs); k++) {
        for (unsigned n = 1; n <= 8; n++) {
            for (unsigned room = 1; room <= 10; room++) {
                for (unsigned other = 1; other <= 10; other++) {
                    run_precise_pair(room, other, n, pairs[k], 0);
                    run_precise_pair(room, other, n, pairs[k], 1);
                }
            }
        }
    }
}

/* Each ring has its own precise counter. */
static void test_precise_rings(void)
{
    SoftPMUConfig config = {
        .add = 1 << SOFTPMU_INSN, .precise = true, .on = true,
    };
    Insn insns[SOFTPMU_TB_MAX];

    plain_block(insns, 8);
    for (unsigned room = 1; room <= 24; room++) {
        g_autofree Test *t = g_new0(Test, 1);

        for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
            config.rings = 1u << r;
            write_value(t, r, SOFTPMU_VALUE_MASK + 1 - room);
            configure(t, r, &config);
        }
        for (unsigned i = 0; i < 6; i++) {
            t->ring = !t->ring;
            run_block(t, insns, 8, 8);
        }
        g_assert_cmpuint(t->precise, ==, 2);
        g_assert_cmpuint(t->noted, ==, 2);
    }
}

/* Only an edge overflows the counter; until then blocks are single steps. */
static void test_precise_edge(void)
{
    const SoftPMUConfig edge = {
        .add = 1 << SOFTPMU_LOAD, .rings = 3, .edge = true, .precise = true,
        .on = true,
    };
    const SoftPMUConfig insn = {
        .add = 1 << SOFTPMU_INSN, .rings = 3, .precise = true, .on = true,
    };
    /* Edges are at 0, 3, 5. */
    static const bool loads[] = { 1, 1, 0, 1, 0, 1 };
    static const unsigned edges[] = { 0, 3, 5 };
    Insn insns[G_N_ELEMENTS(loads)];

    plain_block(insns, G_N_ELEMENTS(loads));
    for (unsigned i = 0; i < G_N_ELEMENTS(loads); i++) {
        insns[i].charge -= loads[i] ? 0 : SOFTPMU_CHARGE_LOAD;
    }
    for (unsigned e = 0; e < G_N_ELEMENTS(edges); e++) {
        g_autofree Test *t = g_new0(Test, 1);

        t->ip = 0x1000;
        write_value(t, 0, SOFTPMU_VALUE_MASK - e);
        configure(t, 0, &edge);
        run_block(t, insns, G_N_ELEMENTS(loads), G_N_ELEMENTS(loads));
        g_assert_cmpuint(t->precise, ==, 1);
        g_assert_cmphex(t->model.value[0], ==, 2 - e);

        /* Together with another that overflows there or elsewhere. */
        for (unsigned room = 1; room <= G_N_ELEMENTS(loads); room++) {
            write_value(t, 0, SOFTPMU_VALUE_MASK - e);
            write_value(t, 1, SOFTPMU_VALUE_MASK + 1 - room);
            configure(t, 0, &(SoftPMUConfig) { });
            configure(t, 0, &edge);
            configure(t, 1, &insn);
            t->precise = 0;
            run_block(t, insns, G_N_ELEMENTS(loads), G_N_ELEMENTS(loads));
            g_assert_cmpuint(t->precise, ==, room - 1 == edges[e] ? 1 : 2);
        }
    }
}

/* There is no record of an instruction that does not retire. */
static void test_precise_retry(void)
{
    const SoftPMUConfig insn = {
        .add = 1 << SOFTPMU_INSN, .rings = 3, .precise = true, .on = true,
    };
    g_autofree Test *t = g_new0(Test, 1);
    Insn insns[4];

    plain_block(insns, 4);
    write_value(t, 0, SOFTPMU_VALUE_MASK - 2);
    configure(t, 0, &insn);
    /* The second faults with others in its TB, the third when it is alone. */
    run_block(t, insns, 4, 1);
    run_block(t, insns + 1, 1, 1);
    g_assert_cmpuint(t->noted, ==, 0);
    for (unsigned i = 1; i < 5; i++) {
        run_block(t, insns + 2, 2, 0);
        g_assert_cmpuint(t->noted, ==, i);
        g_assert_cmpuint(t->precise, ==, 0);
    }
    run_block(t, insns + 2, 2, 2);
    g_assert_cmpuint(t->noted, ==, 5);
    g_assert_cmpuint(t->precise, ==, 1);
    g_assert_cmphex(t->model.value[0], ==, 1);
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

/* The level says how much translated code has to do. */
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

/* Counts by hand, as in sim.h: each outcome for each counter that wants it */
static void test_sim(void)
{
    static const SoftPMUConfig configs[] = {
        { .sim = 1 << SIM_LOAD_L2 | 1 << SIM_LOAD_STLB, .rings = 3,
          .on = true },
        { .sim = 1 << SIM_LOAD_L2, .rings = 1 << SOFTPMU_USER, .on = true },
        { .sim = 1 << SIM_LOAD_L2, .rings = 3, .on = false },
        { .add = 1 << SOFTPMU_INSN, .rings = 3, .on = true },
    };
    const SimOutcome both = 1 << SIM_LOAD_L2 | 1 << SIM_LOAD_STLB;
    g_autofree SoftPMU *pmu = g_new0(SoftPMU, 1);

    g_assert_cmphex(pmu->sim, ==, 0);
    for (unsigned i = 0; i < G_N_ELEMENTS(configs); i++) {
        softpmu_config(pmu, i, &configs[i]);
    }
    softpmu_refill(pmu, SOFTPMU_USER);
    g_assert_cmphex(pmu->sim, ==, both);
    g_assert_cmpint(pmu->level, ==, SOFTPMU_LEVEL_BASE);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 0);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_KERNEL, both), ==, 0);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, 1 << SIM_FETCH_L1), ==,
                    0);
    softpmu_fold(pmu);
    g_assert_cmpuint(pmu->counter[0].value, ==, 4);
    g_assert_cmpuint(pmu->counter[1].value, ==, 1);
    g_assert_cmpuint(pmu->counter[2].value, ==, 0);
    g_assert_cmpuint(pmu->counter[3].value, ==, 0);

    /* One outcome of two overflows if there is room for one, and is kept. */
    softpmu_write(pmu, 0, SOFTPMU_VALUE_MASK - 1);
    g_assert_false(softpmu_sim_overflows(pmu, SOFTPMU_USER, 1 << SIM_LOAD_L2));
    g_assert_true(softpmu_sim_overflows(pmu, SOFTPMU_KERNEL, both));
    softpmu_write(pmu, 0, SOFTPMU_VALUE_MASK);
    g_assert_true(softpmu_sim_overflows(pmu, SOFTPMU_USER, 1 << SIM_LOAD_L2));
    g_assert_false(softpmu_sim_overflows(pmu, SOFTPMU_USER,
                                         1 << SIM_FETCH_L1));
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 1);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 0);
    g_assert_cmphex(pmu->overflowed, ==, 1);
    g_assert_cmpuint(pmu->counter[0].value, ==, 3);

    /* The counter has no part in the allowance. */
    g_assert_cmpuint(softpmu_plan(pmu, SOFTPMU_USER, SOFTPMU_CHARGE_INSN * 9,
                                  9).insns, ==, 9);
    /* Of mispredicted branches it says when the next one may overflow. */
    softpmu_config(pmu, 0, &(SoftPMUConfig) {
        .sim = 1 << SIM_MISP_RET, .rings = 3, .on = true,
    });
    pmu->overflowed = 0;
    softpmu_write(pmu, 0, SOFTPMU_VALUE_MASK - 1);
    softpmu_write(pmu, 1, SOFTPMU_VALUE_MASK);
    softpmu_refill(pmu, SOFTPMU_USER);
    g_assert_false(pmu->sim_branch_is_last);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, 1 << SIM_MISP_RET), ==,
                    0);
    g_assert_true(pmu->sim_branch_is_last);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, 1 << SIM_MISP_RET), ==,
                    1);
    g_assert_false(pmu->sim_branch_is_last);
    softpmu_write(pmu, 0, SOFTPMU_VALUE_MASK);
    softpmu_refill(pmu, SOFTPMU_USER);
    g_assert_true(pmu->sim_branch_is_last);

    /* A counter of something else may want to have it run. */
    softpmu_config(pmu, 0, &(SoftPMUConfig) {
        .add = 1 << SOFTPMU_LOAD, .sim = SIM_WATCHED, .rings = 3, .on = true,
    });
    softpmu_write(pmu, 0, SOFTPMU_VALUE_MASK);
    softpmu_write(pmu, 1, 0);
    softpmu_refill(pmu, SOFTPMU_USER);
    g_assert_true(pmu->sim & SIM_WATCHED);
    g_assert_false(pmu->sim_is_near);
    g_assert_false(softpmu_sim_overflows(pmu, SOFTPMU_USER, both));
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 0);
    softpmu_config(pmu, 0, &(SoftPMUConfig) { });

    /* And of all others when some more may. */
    softpmu_write(pmu, 1, SOFTPMU_VALUE_MASK - SOFTPMU_SIM_MANY);
    softpmu_refill(pmu, SOFTPMU_USER);
    g_assert_false(pmu->sim_is_near);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 0);
    g_assert_false(pmu->sim_is_near);
    g_assert_cmphex(softpmu_sim_count(pmu, SOFTPMU_USER, both), ==, 0);
    g_assert_true(pmu->sim_is_near);

    softpmu_config(pmu, 0, &(SoftPMUConfig) { });
    g_assert_cmphex(pmu->sim, ==, 1 << SIM_LOAD_L2);
    softpmu_config(pmu, 1, &(SoftPMUConfig) { });
    g_assert_cmphex(pmu->sim, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/softpmu/charge", test_charge);
    g_test_add_func("/softpmu/level", test_level);
    g_test_add_func("/softpmu/sim", test_sim);
    g_test_add_func("/softpmu/width", test_width);
    g_test_add_func("/softpmu/rare", test_rare);
    g_test_add_func("/softpmu/rings", test_rings);
    g_test_add_func("/softpmu/edge-restart", test_edge_restart);
    g_test_add_func("/softpmu/save-load", test_save_load);
    g_test_add_func("/softpmu/precise-plan", test_precise_plan);
    g_test_add_func("/softpmu/precise-pairs", test_precise_pairs);
    g_test_add_func("/softpmu/precise-rings", test_precise_rings);
    g_test_add_func("/softpmu/precise-edge", test_precise_edge);
    g_test_add_func("/softpmu/precise-retry", test_precise_retry);
    g_test_add_func("/softpmu/presets", test_presets);
    g_test_add_func("/softpmu/random", test_random);
    g_test_add_func("/softpmu/edges", test_edges);
    g_test_add_func("/softpmu/random-precise", test_random_precise);
    g_test_add_func("/softpmu/random-precise-edges",
                    test_random_precise_edges);
    return g_test_run();
}
