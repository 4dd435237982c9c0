/*
 * The software PMU's counters: what silicon does, in plain C
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See softpmu.h for how a count comes about.
 */
#ifdef SOFTPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "softpmu.h"

/*
 * The largest allowance handed out at once.  Far below 2^31, so that a TB
 * that is charged without being checked cannot wrap it.
 */
#define ALLOWANCE_MAX       0x3fffffff

/*
 * With less room than this, halving it between the rings only means that the
 * emulator is called again soon: the running ring gets all of it.
 */
#define ROOM_WORTH_SHARING  4096

#define BIT_OF(class)       (1u << (class))

/* The classes that each kind of branch counts for. */
static const uint16_t branch_classes[SOFTPMU_BR_NR] = {
    [SOFTPMU_BR_COND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_COND) |
                        BIT_OF(SOFTPMU_TAKEN),
    [SOFTPMU_BR_JMP] = BIT_OF(SOFTPMU_BRANCH),
    [SOFTPMU_BR_CALL] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_CALL),
    [SOFTPMU_BR_RET] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_RET),
    [SOFTPMU_BR_JMP_IND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_INDIRECT),
    [SOFTPMU_BR_CALL_IND] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_CALL) |
                            BIT_OF(SOFTPMU_INDIRECT),
    [SOFTPMU_BR_FAR] = BIT_OF(SOFTPMU_BRANCH) | BIT_OF(SOFTPMU_FAR),
};

static uint32_t charge_class(SoftPMUCharge charge, SoftPMUClass class)
{
    switch (class) {
    case SOFTPMU_INSN:
        return charge & 0x1ff;
    case SOFTPMU_LOAD:
        return (charge >> 9) & 0x1ff;
    case SOFTPMU_STORE:
        return (charge >> 18) & 0x1ff;
    default:
        return (branch_classes[charge >> 27] >> class) & 1;
    }
}

uint64_t softpmu_charge_word(SoftPMUCharge charge, unsigned word)
{
    return charge_class(charge, 2 * word) +
           ((uint64_t)charge_class(charge, 2 * word + 1) << 32);
}

static unsigned level_words(SoftPMULevel level)
{
    return level == SOFTPMU_LEVEL_OFF ? 0 :
           level == SOFTPMU_LEVEL_BASE ? 1 : SOFTPMU_NR_WORDS;
}

void softpmu_charge(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                    SoftPMUCharge charge)
{
    for (unsigned w = 0; w < level_words(level); w++) {
        pmu->left[ring][w] -= softpmu_charge_word(charge, w);
    }
}

void softpmu_pay_back(SoftPMU *pmu, unsigned ring, SoftPMULevel level,
                      SoftPMUCharge charge)
{
    for (unsigned w = 0; w < level_words(level); w++) {
        pmu->left[ring][w] += softpmu_charge_word(charge, w);
    }
}

/*
 * Split a difference of two words into its two counts.  The low one borrows
 * from the high one when it is negative.
 */
static void unpack(uint64_t word, int32_t *low, int32_t *high)
{
    *low = (int32_t)word;
    *high = (int32_t)((word - (uint64_t)(int64_t)*low) >> 32);
}

/* What each class has retired in each ring since the last fold. */
static void spent(const SoftPMU *pmu,
                  int32_t delta[SOFTPMU_NR_RINGS][SOFTPMU_NR_CLASSES])
{
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        for (unsigned w = 0; w < SOFTPMU_NR_WORDS; w++) {
            unpack(pmu->given[r][w] - pmu->left[r][w],
                   &delta[r][2 * w], &delta[r][2 * w + 1]);
        }
        delta[r][SOFTPMU_HWINT] = 0;
    }
}

/* The sum that @config makes of one ring's classes. */
static int64_t sum(const SoftPMUConfig *config, const int32_t *delta)
{
    int64_t n = 0;

    for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
        if (config->add & BIT_OF(c)) {
            n += delta[c];
        }
        if (config->sub & BIT_OF(c)) {
            n -= delta[c];
        }
    }
    return n;
}

static void add_to(SoftPMU *pmu, unsigned i, uint64_t n)
{
    uint64_t value = pmu->value[i] + n;

    if (value > SOFTPMU_VALUE_MASK) {
        pmu->overflowed |= 1u << i;
    }
    pmu->value[i] = value & SOFTPMU_VALUE_MASK;
}

void softpmu_fold(SoftPMU *pmu)
{
    int32_t delta[SOFTPMU_NR_RINGS][SOFTPMU_NR_CLASSES];

    spent(pmu, delta);
    for (unsigned i = 0; i < SOFTPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];

        if (!config->on) {
            continue;
        }
        for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
            bool counts = config->rings & (1u << r);

            if (!config->edge) {
                add_to(pmu, i, counts ? sum(config, delta[r]) : 0);
            } else if (delta[r][SOFTPMU_INSN]) {
                /* pmu->stepping: this is one instruction. */
                bool high = counts && sum(config, delta[r]);

                add_to(pmu, i, high && !pmu->high[i]);
                pmu->high[i] = high;
            }
        }
    }
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        for (unsigned w = 0; w < SOFTPMU_NR_WORDS; w++) {
            pmu->given[r][w] = pmu->left[r][w];
        }
    }
}

/* How often counter @i can count before it overflows; at least 1. */
static uint64_t until_overflow(const SoftPMU *pmu, unsigned i)
{
    return SOFTPMU_VALUE_MASK - pmu->value[i] + 1;
}

static unsigned popcount(unsigned mask)
{
    unsigned n = 0;

    for (; mask; mask &= mask - 1) {
        n++;
    }
    return n;
}

void softpmu_refill(SoftPMU *pmu, unsigned ring)
{
    uint32_t allowance[SOFTPMU_NR_RINGS][SOFTPMU_NR_CLASSES];

    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
            allowance[r][c] = ALLOWANCE_MAX;
        }
        if (pmu->stepping) {
            allowance[r][SOFTPMU_INSN] = 0;
        }
    }
    for (unsigned i = 0; i < SOFTPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        unsigned classes = popcount(config->add);
        uint64_t room = until_overflow(pmu, i) - 1;
        bool share;

        if (!config->on || !classes || !config->rings) {
            continue;
        }
        room /= classes;
        share = config->rings == 3 && room >= ROOM_WORTH_SHARING;
        for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
            uint64_t part = room;

            if (!(config->rings & (1u << r))) {
                continue;
            }
            if (share) {
                part = room / 2;
            } else if (config->rings == 3 && r != ring) {
                part = 0;
            }
            for (unsigned c = 0; c < SOFTPMU_NR_CLASSES; c++) {
                if ((config->add & BIT_OF(c)) && allowance[r][c] > part) {
                    allowance[r][c] = part;
                }
            }
        }
    }
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        for (unsigned w = 0; w < SOFTPMU_NR_WORDS; w++) {
            pmu->left[r][w] = allowance[r][2 * w] +
                              ((uint64_t)allowance[r][2 * w + 1] << 32);
            pmu->given[r][w] = pmu->left[r][w];
        }
    }
}

SoftPMUPlan softpmu_plan(const SoftPMU *pmu, unsigned ring,
                         SoftPMUCharge charge, unsigned insns)
{
    SoftPMUPlan plan = { .insns = pmu->stepping ? 1 : insns };

    for (unsigned i = 0; i < SOFTPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];
        uint64_t most = 0;
        uint64_t room = until_overflow(pmu, i);

        if (!config->on || !(config->rings & (1u << ring))) {
            continue;
        }
        for (unsigned c = 0; c < SOFTPMU_HWINT; c++) {
            if (config->add & BIT_OF(c)) {
                most += charge_class(charge, c);
            }
        }
        /*
         * One instruction counts at most once.  So the overflow cannot come
         * before @room instructions, and a TB of that length ends with it.
         */
        if (most >= room && room <= plan.insns) {
            plan.look_after = true;
            plan.insns = room;
        }
    }
    return plan;
}

void softpmu_receive(SoftPMU *pmu, unsigned ring)
{
    static const int32_t delta[SOFTPMU_NR_CLASSES] = { [SOFTPMU_HWINT] = 1 };

    for (unsigned i = 0; i < SOFTPMU_NR; i++) {
        const SoftPMUConfig *config = &pmu->config[i];

        if (config->on && (config->rings & (1u << ring))) {
            add_to(pmu, i, sum(config, delta));
        }
    }
}

uint64_t softpmu_read(const SoftPMU *pmu, unsigned i, unsigned ring,
                      SoftPMULevel level, SoftPMUCharge ahead)
{
    SoftPMU now = *pmu;

    softpmu_pay_back(&now, ring, level, ahead);
    softpmu_fold(&now);
    return now.value[i];
}

void softpmu_write(SoftPMU *pmu, unsigned i, uint64_t value)
{
    pmu->value[i] = value & SOFTPMU_VALUE_MASK;
}

void softpmu_config(SoftPMU *pmu, unsigned i, const SoftPMUConfig *config)
{
    const uint16_t base = BIT_OF(SOFTPMU_INSN) | BIT_OF(SOFTPMU_BRANCH) |
                          BIT_OF(SOFTPMU_HWINT);

    pmu->config[i] = *config;
    if (!config->on) {
        pmu->high[i] = false;
    }

    pmu->level = SOFTPMU_LEVEL_OFF;
    pmu->stepping = false;
    for (i = 0; i < SOFTPMU_NR; i++) {
        SoftPMULevel level;

        config = &pmu->config[i];
        if (!config->on || !config->rings) {
            continue;
        }
        level = (config->add | config->sub) & ~base ? SOFTPMU_LEVEL_FULL :
                (config->add | config->sub) & ~BIT_OF(SOFTPMU_HWINT) ?
                SOFTPMU_LEVEL_BASE : SOFTPMU_LEVEL_OFF;
        if (pmu->level < level) {
            pmu->level = level;
        }
        pmu->stepping |= config->edge;
    }
}
