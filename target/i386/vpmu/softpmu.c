/*
 * The software PMU's counters: what silicon does, in plain C
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See softpmu.h for how a count comes about.
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "softpmu.h"

/* left[]: instructions above, branches below. */
#define INSN_SHIFT          20

/*
 * The largest allowance handed out at once.  With the longest TBs that run
 * without being checked on top it stays below 1 << INSN_SHIFT.
 */
#define ALLOWANCE_MAX       ((1 << INSN_SHIFT) - 0x10000)

/*
 * With less room than this, halving it between the rings only means that the
 * emulator is called again soon: the running ring gets all of it.
 */
#define ROOM_WORTH_SHARING  4096

#define BIT_OF(class)       (1u << (class))

/* The classes that each kind of branch counts for, taken or not. */
static const uint16_t branch_classes[SOFTPMU_BR_NR] = {
    [SOFTPMU_BR_COND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_COND),
    [SOFTPMU_BR_JMP] = BIT_OF(SOFTPMU_BRANCH),
    [SOFTPMU_BR_CALL] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_CALL),
    [SOFTPMU_BR_RET] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_RET),
    [SOFTPMU_BR_JMP_IND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_INDIRECT),
    [SOFTPMU_BR_CALL_IND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_CALL) |
                            BIT_OF(SOFTPMU_INDIRECT),
    [SOFTPMU_BR_FAR] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_FAR),
};

uint32_t softpmu_charge_class(SoftPMUCharge charge, SoftPMUClass class)
{
    switch (class) {
    case SOFTPMU_INSN:
        return charge & 0x1ff;
    case SOFTPMU_LOAD:
        return (charge >> 9) & 0x1ff;
    case SOFTPMU_STORE:
        return (charge >> 18) & 0x1ff;
    default:
        return (branch_classes[softpmu_charge_kind(charge)] >> class) & 1;
    }
}

uint64_t softpmu_charge_left(SoftPMUCharge charge)
{
    return ((uint64_t)softpmu_charge_class(charge, SOFTPMU_INSN) <<
            INSN_SHIFT) + softpmu_charge_class(charge, SOFTPMU_BRANCH);
}

/* Account for @charge, or with @sign -1 take it back. */
static void softpmu_account(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                            SoftPMUCharge charge, int sign)
{
    if (level >= SOFTPMU_LEVEL_BASE) {
        pmu->left[ring] -= sign * softpmu_charge_left(charge);
    }
    if (pmu->branches) {
        pmu->cycles += sign * (int)softpmu_charge_class(charge, SOFTPMU_INSN);
    }
    if (level >= SOFTPMU_LEVEL_FULL) {
        for (unsigned c = SOFTPMU_FIRST_SPENT; c <= SOFTPMU_LAST_SPENT; c++) {
            pmu->spent[ring][c] += sign * softpmu_charge_class(charge, c);
        }
    }
}

void softpmu_charge(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                    SoftPMUCharge charge)
{
    softpmu_account(pmu, ring, level, charge, 1);
}

void softpmu_pay_back(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                      SoftPMUCharge charge)
{
    softpmu_account(pmu, ring, level, charge, -1);
}

/* The sum that @config makes of one ring's classes. */
static uint64_t softpmu_sum(const SoftPMUConfig *config,
                            const uint32_t *classes)
{
    uint64_t n = 0;

    for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
        if (config->add & BIT_OF(c)) {
            n += classes[c];
        }
        if (config->sub & BIT_OF(c)) {
            n -= classes[c];
        }
    }
    return n;
}

static void softpmu_add(SoftPMU *pmu, unsigned i, uint64_t n)
{
    uint64_t value = pmu->counter[i].value + n;

    if (value > SOFTPMU_VALUE_MASK) {
        pmu->overflowed |= 1u << i;
    }
    pmu->counter[i].value = value & SOFTPMU_VALUE_MASK;
}

/* Count what one ring has retired, by class. */
static void softpmu_count(SoftPMU *pmu, unsigned ring, const uint32_t *spent)
{
    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        bool counts = config->rings & BIT_OF(ring);

        if (!config->on) {
            continue;
        }
        if (!config->edge) {
            softpmu_add(pmu, i, counts ? softpmu_sum(config, spent) : 0);
        } else if (spent[SOFTPMU_INSN]) {
            /* With pmu->stepping, this is a single instruction. */
            bool high = counts && softpmu_sum(config, spent);

            softpmu_add(pmu, i, high && !pmu->counter[i].high);
            pmu->counter[i].high = high;
        }
    }
}

void softpmu_fold(SoftPMU *pmu)
{
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        uint64_t base = pmu->given[r] - pmu->left[r];
        uint32_t *spent = pmu->spent[r];

        if (base) {
            spent[SOFTPMU_INSN] = base >> INSN_SHIFT;
            spent[SOFTPMU_BRANCH] = base & ((1 << INSN_SHIFT) - 1);
            softpmu_count(pmu, r, spent);
        }
        for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
            spent[c] = 0;
        }
        pmu->given[r] = pmu->left[r];
    }
}

/* How many events counter @i counts until it overflows, at least 1 */
static uint64_t softpmu_until_overflow(const SoftPMU *pmu, unsigned i)
{
    return SOFTPMU_VALUE_MASK - pmu->counter[i].value + 1;
}

/* Find out whether a counter has little room. */
static void softpmu_sim_watch(SoftPMU *pmu)
{
    pmu->sim_branch_is_last = false;
    pmu->sim_is_near = false;
    for (unsigned i = 0; i < VPMU_NR && pmu->sim; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        uint64_t room = softpmu_until_overflow(pmu, i);

        if (config->on) {
            pmu->sim_branch_is_last |= room == 1 &&
                                       (config->sim & SIM_MISPREDICTED);
            pmu->sim_is_near |= room < SOFTPMU_SIM_MANY &&
                                (config->sim &
                                 ~(SIM_MISPREDICTED | SIM_WATCHED));
        }
    }
}

void softpmu_refill(SoftPMU *pmu, unsigned ring)
{
    uint64_t allowance[SOFTPMU_NR_RINGS];

    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        allowance[r] = pmu->stepping ? 0 : ALLOWANCE_MAX;
    }
    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        uint64_t room = softpmu_until_overflow(pmu, i) - 1;
        bool both = config->rings == (BIT_OF(SOFTPMU_KERNEL) |
                                      BIT_OF(SOFTPMU_USER));

        if (!config->on || !config->add) {
            continue;
        }
        for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
            uint64_t part = !both ? room :
                            room >= ROOM_WORTH_SHARING ? room / 2 :
                            r == ring ? room : 0;

            if ((config->rings & BIT_OF(r)) && allowance[r] > part) {
                allowance[r] = part;
            }
        }
    }
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        pmu->left[r] = allowance[r] << INSN_SHIFT;
        pmu->given[r] = pmu->left[r];
    }
    softpmu_sim_watch(pmu);
}

void softpmu_expire(SoftPMU *pmu)
{
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        /* What has been spent stays as it is, branches in particular. */
        uint64_t rest = pmu->left[r] & ~(((uint64_t)1 << INSN_SHIFT) - 1);

        pmu->left[r] -= rest;
        pmu->given[r] -= rest;
    }
}

SoftPMUPlan softpmu_plan(const SoftPMU *pmu, unsigned ring,
                         SoftPMUCharge charge, unsigned insns)
{
    SoftPMUPlan plan = { .insns = pmu->stepping ? 1 : insns };

    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        uint64_t most = 0;
        uint64_t room = softpmu_until_overflow(pmu, i);

        if (!config->on || !(config->rings & BIT_OF(ring))) {
            continue;
        }
        for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
            if (config->add & BIT_OF(c)) {
                /* It is not known yet whether a conditional branch is taken. */
                most += softpmu_charge_class(charge, c == SOFTPMU_TAKEN ?
                                                     SOFTPMU_COND : c);
            }
        }
        /*
         * One instruction counts at most once.  So the overflow cannot come
         * before @room instructions, and a TB of that length ends with it.
         */
        if (most < room || room > plan.insns) {
            continue;
        }
        if (config->precise && room > 1) {
            /* Stop right before the instruction that overflows. */
            plan.look_after = false;
            plan.insns = room - 1;
        } else {
            plan.look_after = true;
            plan.note = plan.note || config->precise;
            plan.insns = room;
        }
    }
    return plan;
}

void softpmu_receive(SoftPMU *pmu, unsigned ring)
{
    static const uint32_t one[SOFTPMU_NR_CLASSES] = { [SOFTPMU_HWINT] = 1 };

    softpmu_count(pmu, ring, one);
}

/* How often counter @i counts for an outcome in @ring */
static unsigned softpmu_sim_counts(const SoftPMU *pmu, unsigned i,
                                   unsigned ring, SimOutcome outcome)
{
    const SoftPMUConfig *config = &pmu->config[i];

    return config->on && (config->rings & BIT_OF(ring)) ?
           __builtin_popcount(config->sim & outcome) : 0;
}

bool softpmu_sim_overflows(const SoftPMU *pmu, unsigned ring,
                           SimOutcome outcome)
{
    for (unsigned i = 0; i < VPMU_NR && (outcome & pmu->sim); i++) {
        if (softpmu_sim_counts(pmu, i, ring, outcome) >=
            softpmu_until_overflow(pmu, i)) {
            return true;
        }
    }
    return false;
}

VPMUCounterMask softpmu_sim_count(SoftPMU *pmu, unsigned ring,
                                  SimOutcome outcome)
{
    VPMUCounterMask before = pmu->overflowed;

    if (outcome & pmu->sim) {
        for (unsigned i = 0; i < VPMU_NR; i++) {
            softpmu_add(pmu, i, softpmu_sim_counts(pmu, i, ring, outcome));
        }
        softpmu_sim_watch(pmu);
    }
    return pmu->overflowed & ~before;
}

uint64_t softpmu_read(const SoftPMU *pmu, unsigned i, unsigned ring,
                      SoftPMULevel level, SoftPMUCharge ahead)
{
    SoftPMU now = *pmu;

    softpmu_pay_back(&now, ring, level, ahead);
    softpmu_fold(&now);
    return now.counter[i].value;
}

void softpmu_write(SoftPMU *pmu, unsigned i, uint64_t value)
{
    pmu->counter[i].value = value & SOFTPMU_VALUE_MASK;
}

SoftPMUCounter softpmu_save(const SoftPMU *pmu, unsigned i)
{
    return pmu->counter[i];
}

void softpmu_load(SoftPMU *pmu, unsigned i, SoftPMUCounter counter)
{
    pmu->counter[i] = counter;
}

bool softpmu_counts_edges(const SoftPMUConfig *config)
{
    return config->on && config->edge && config->rings;
}

static void softpmu_set_level(SoftPMU *pmu)
{
    const uint16_t base = BIT_OF(SOFTPMU_INSN) | BIT_OF(SOFTPMU_BRANCH) |
                          BIT_OF(SOFTPMU_HWINT);

    pmu->level = pmu->branches ? SOFTPMU_LEVEL_BASE : SOFTPMU_LEVEL_OFF;
    pmu->stepping = false;
    pmu->sim = 0;
    for (unsigned i = 0; i < VPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        SoftPMULevel level;

        if (!config->on || !config->rings) {
            continue;
        }
        level = (config->add | config->sub) & ~base ? SOFTPMU_LEVEL_FULL :
                (config->add | config->sub) & ~BIT_OF(SOFTPMU_HWINT) ||
                config->sim ? SOFTPMU_LEVEL_BASE : SOFTPMU_LEVEL_OFF;
        if (pmu->level < level) {
            pmu->level = level;
        }
        pmu->stepping |= config->edge;
        pmu->sim |= config->sim;
    }
}

void softpmu_config(SoftPMU *pmu, unsigned i, const SoftPMUConfig *config)
{
    pmu->config[i] = *config;
    if (!softpmu_counts_edges(config)) {
        /* The sum is not watched while the counter does not count edges. */
        pmu->counter[i].high = false;
    }
    softpmu_set_level(pmu);
}

void softpmu_report_branches(SoftPMU *pmu, bool report)
{
    if (pmu->branches != report) {
        pmu->branches = report;
        softpmu_set_level(pmu);
    }
}
