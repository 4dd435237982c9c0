/*
 * Last branch records (LBR): the stack of branches, in plain C
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "lbr.h"

/* LBR_FORMAT_TIME: where the cycles are in TO */
#define TO_CYCLES_SHIFT     48

/* The bit of MSR_LBR_SELECT that keeps each kind of branch out */
static const uint16_t lbr_select_bits[SOFTPMU_BR_NR] = {
    [SOFTPMU_BR_COND] = LBR_JCC,
    [SOFTPMU_BR_JMP] = LBR_NEAR_REL_JMP,
    [SOFTPMU_BR_CALL] = LBR_NEAR_REL_CALL,
    [SOFTPMU_BR_RET] = LBR_NEAR_RET,
    [SOFTPMU_BR_JMP_IND] = LBR_NEAR_IND_JMP,
    [SOFTPMU_BR_CALL_IND] = LBR_NEAR_IND_CALL,
    [SOFTPMU_BR_FAR] = LBR_FAR_BRANCH,
};

static const uint16_t lbr_ring_bits[SOFTPMU_NR_RINGS] = {
    [SOFTPMU_KERNEL] = LBR_CPL_EQ_0,
    [SOFTPMU_USER] = LBR_CPL_NEQ_0,
};

bool lbr_format_exists(unsigned format)
{
    return format == LBR_FORMAT_INFO || format == LBR_FORMAT_TIME ||
           format == LBR_FORMAT_INFO2;
}

uint64_t lbr_info_mask(LBRFormat format)
{
    return LBR_INFO_CYCLES | LBR_INFO_MISPRED |
           (format == LBR_FORMAT_INFO ? LBR_INFO_ABORT | LBR_INFO_IN_TSX : 0);
}

void lbr_update(LBR *lbr, bool run, uint64_t now)
{
    uint8_t kinds = 0;

    for (unsigned kind = 0; kind < SOFTPMU_BR_NR; kind++) {
        if (lbr_select_bits[kind] & ~lbr->select) {
            kinds |= 1u << kind;
        }
    }
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        lbr->kinds[r] = lbr->select & lbr_ring_bits[r] ? 0 : kinds;
    }
    if (run != lbr->runs) {
        lbr->elapsed = lbr_elapsed(lbr, now);
        lbr->stamp = now - lbr->elapsed;
        lbr->runs = run;
    }
}

uint64_t lbr_elapsed(const LBR *lbr, uint64_t now)
{
    return lbr->runs ? now - lbr->stamp : lbr->elapsed;
}

static void lbr_push(LBR *lbr, LBRFormat format, const LBRBranch *branch,
                     uint64_t now)
{
    uint64_t cycles = now - lbr->stamp;
    unsigned i = (lbr->tos + 1) % LBR_DEPTH;

    if (cycles > LBR_INFO_CYCLES) {
        cycles = LBR_INFO_CYCLES;
    }
    lbr->tos = i;
    lbr->stamp = now;
    lbr->from[i] = branch->from;
    lbr->to[i] = branch->to;
    if (lbr_has_info(format)) {
        lbr->info[i] = cycles;
    } else {
        lbr->from[i] &= ~LBR_INFO_MISPRED;
        lbr->to[i] &= (UINT64_C(1) << TO_CYCLES_SHIFT) - 1;
        lbr->to[i] |= cycles << TO_CYCLES_SHIFT;
    }
}

/* Software finds the end of the call stack by the zeros. */
static void lbr_pop(LBR *lbr)
{
    unsigned i = lbr->tos;

    lbr->from[i] = 0;
    lbr->to[i] = 0;
    lbr->info[i] = 0;
    lbr->tos = (i - 1) % LBR_DEPTH;
}

void lbr_record(LBR *lbr, LBRFormat format, const LBRBranch *branch,
                uint64_t now)
{
    bool stack = lbr->select & LBR_EN_CALLSTACK;

    if (!lbr_wants(lbr, branch->kind, branch->ring)) {
        return;
    }
    if (stack && branch->kind == SOFTPMU_BR_RET) {
        lbr_pop(lbr);
    } else if (!stack || !branch->is_next) {
        lbr_push(lbr, format, branch, now);
    }
}
