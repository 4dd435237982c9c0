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

/*
 * Kinds of branches: the bit of MSR_LBR_SELECT that keeps them out, the bit of
 * IA32_LBR_CTL that lets them in, and their type in MSR_LBR_INFO_x
 */
static const struct {
    uint32_t select;
    uint32_t ctl;
    uint8_t type;
} lbr_kinds[SOFTPMU_BR_NR] = {
    [SOFTPMU_BR_COND] = { LBR_JCC, LBR_CTL_JCC, 0 },
    [SOFTPMU_BR_JMP_IND] = { LBR_NEAR_IND_JMP, LBR_CTL_NEAR_IND_JMP, 1 },
    [SOFTPMU_BR_JMP] = { LBR_NEAR_REL_JMP, LBR_CTL_NEAR_REL_JMP, 2 },
    [SOFTPMU_BR_CALL_IND] = { LBR_NEAR_IND_CALL, LBR_CTL_NEAR_IND_CALL, 3 },
    [SOFTPMU_BR_CALL] = { LBR_NEAR_REL_CALL, LBR_CTL_NEAR_REL_CALL, 4 },
    [SOFTPMU_BR_RET] = { LBR_NEAR_RET, LBR_CTL_NEAR_RET, 5 },
    [SOFTPMU_BR_FAR] = { LBR_FAR_BRANCH, LBR_CTL_OTHER, 8 },
};

/* The same two bits for the ring in which a branch ends */
static const struct {
    uint32_t select;
    uint32_t ctl;
} lbr_rings[SOFTPMU_NR_RINGS] = {
    [SOFTPMU_KERNEL] = { LBR_CPL_EQ_0, LBR_CTL_OS },
    [SOFTPMU_USER] = { LBR_CPL_NEQ_0, LBR_CTL_USR },
};

bool lbr_format_exists(unsigned format)
{
    return format == LBR_FORMAT_INFO || format == LBR_FORMAT_TIME ||
           format == LBR_FORMAT_INFO2 || format == LBR_FORMAT_ARCH;
}

uint64_t lbr_info_mask(LBRFormat format)
{
    bool arch = format == LBR_FORMAT_ARCH;
    bool tsx = arch || format == LBR_FORMAT_INFO;

    return LBR_INFO_CYCLES | LBR_INFO_MISPRED |
           (tsx ? LBR_INFO_ABORT | LBR_INFO_IN_TSX : 0) |
           (arch ? LBR_INFO_TYPE | LBR_INFO_HAS_CYCLES : 0);
}

uint64_t lbr_info(LBRFormat format, SoftPMUBranch kind)
{
    return format != LBR_FORMAT_ARCH ? 0 :
           LBR_INFO_HAS_CYCLES |
           (uint64_t)lbr_kinds[kind].type << LBR_INFO_TYPE_SHIFT;
}

static void lbr_clear(LBR *lbr, unsigned i)
{
    lbr->from[i] = 0;
    lbr->to[i] = 0;
    lbr->info[i] = 0;
}

void lbr_set_depth(LBR *lbr, uint64_t depth)
{
    for (unsigned i = 0; i < LBR_DEPTH; i++) {
        lbr_clear(lbr, i);
    }
    lbr->depth = depth;
    lbr->tos = 0;
}

void lbr_reset(LBR *lbr)
{
    lbr->select = 0;
    lbr_set_depth(lbr, LBR_DEPTH);
}

bool lbr_is_valid(const LBR *lbr, LBRFormat format)
{
    return (format == LBR_FORMAT_ARCH ? lbr_depth_exists(lbr->depth) :
                                        lbr->depth == LBR_DEPTH) &&
           lbr->tos < lbr->depth;
}

/* Does the filter let in what has these bits in the two registers? */
static bool lbr_lets_in(const LBR *lbr, bool arch, uint32_t select,
                        uint32_t ctl)
{
    return arch ? ctl & lbr->select : select & ~lbr->select;
}

static void lbr_set_filter(LBR *lbr, LBRFormat format, bool run)
{
    bool arch = format == LBR_FORMAT_ARCH;
    uint8_t kinds = 0;

    lbr->stack = lbr->select & (arch ? LBR_CTL_CALL_STACK : LBR_EN_CALLSTACK);
    for (unsigned kind = 0; run && kind < SOFTPMU_BR_NR; kind++) {
        if (lbr_lets_in(lbr, arch, lbr_kinds[kind].select,
                        lbr_kinds[kind].ctl)) {
            kinds |= 1u << kind;
        }
    }
    for (unsigned r = 0; r < SOFTPMU_NR_RINGS; r++) {
        lbr->kinds[r] = lbr_lets_in(lbr, arch, lbr_rings[r].select,
                                    lbr_rings[r].ctl) ? kinds : 0;
    }
}

void lbr_update(LBR *lbr, LBRFormat format, bool run, uint64_t now)
{
    lbr_set_filter(lbr, format, run);
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
    uint64_t elapsed = now - lbr->stamp;
    uint64_t cycles = elapsed < LBR_INFO_CYCLES ? elapsed : LBR_INFO_CYCLES;
    unsigned i = (lbr->tos + 1) % lbr->depth;

    lbr->tos = i;
    lbr->stamp = now;
    lbr->from[i] = branch->from;
    lbr->to[i] = branch->to;
    if (lbr_has_info(format)) {
        lbr->info[i] = cycles | lbr_info(format, branch->kind);
    } else {
        lbr->from[i] &= ~LBR_FROM_MISPRED;
        lbr->to[i] &= (UINT64_C(1) << LBR_TO_CYCLES_SHIFT) - 1;
        lbr->to[i] |= cycles << LBR_TO_CYCLES_SHIFT;
    }
}

/* Software finds the end of the call stack by the zeros. */
static void lbr_pop(LBR *lbr)
{
    lbr_clear(lbr, lbr->tos);
    lbr->tos = (lbr->tos - 1) % lbr->depth;
}

void lbr_record(LBR *lbr, LBRFormat format, const LBRBranch *branch,
                uint64_t now)
{
    if (!lbr_wants(lbr, branch->kind, branch->ring)) {
        return;
    }
    if (lbr->stack && branch->kind == SOFTPMU_BR_RET) {
        lbr_pop(lbr);
    } else if (!lbr->stack || !branch->is_next) {
        lbr_push(lbr, format, branch, now);
    }
}
