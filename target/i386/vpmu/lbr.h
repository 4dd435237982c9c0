/*
 * Last branch records (LBR): the stack of branches, in plain C
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Last Branch, Interrupt, and Exception Recording", as
 * processors from Skylake and Goldmont on have it: 32 records, and a filter; and
 * "Last Branch Records", the architectural kind.  Plain C like softpmu.h.
 */
#ifndef TARGET_I386_VPMU_LBR_H
#define TARGET_I386_VPMU_LBR_H

#include "softpmu.h"

/* Records in the stack, at most */
#define LBR_DEPTH               32

/* MSR_LBR_SELECT: what is not recorded.  The first two are about the target. */
#define LBR_CPL_EQ_0            (UINT64_C(1) << 0)
#define LBR_CPL_NEQ_0           (UINT64_C(1) << 1)
#define LBR_JCC                 (UINT64_C(1) << 2)
#define LBR_NEAR_REL_CALL       (UINT64_C(1) << 3)
#define LBR_NEAR_IND_CALL       (UINT64_C(1) << 4)
#define LBR_NEAR_RET            (UINT64_C(1) << 5)
#define LBR_NEAR_IND_JMP        (UINT64_C(1) << 6)
#define LBR_NEAR_REL_JMP        (UINT64_C(1) << 7)
#define LBR_FAR_BRANCH          (UINT64_C(1) << 8)
/* Returns take the record of their call away. */
#define LBR_EN_CALLSTACK        (UINT64_C(1) << 9)
#define LBR_SELECT_MASK         UINT64_C(0x3ff)

/* IA32_LBR_CTL: what is recorded */
#define LBR_CTL_ENABLE          (UINT64_C(1) << 0)
#define LBR_CTL_OS              (UINT64_C(1) << 1)
#define LBR_CTL_USR             (UINT64_C(1) << 2)
#define LBR_CTL_CALL_STACK      (UINT64_C(1) << 3)
#define LBR_CTL_JCC             (UINT64_C(1) << 16)
#define LBR_CTL_NEAR_REL_JMP    (UINT64_C(1) << 17)
#define LBR_CTL_NEAR_IND_JMP    (UINT64_C(1) << 18)
#define LBR_CTL_NEAR_REL_CALL   (UINT64_C(1) << 19)
#define LBR_CTL_NEAR_IND_CALL   (UINT64_C(1) << 20)
#define LBR_CTL_NEAR_RET        (UINT64_C(1) << 21)
#define LBR_CTL_OTHER           (UINT64_C(1) << 22)
#define LBR_CTL_MASK            UINT64_C(0x7f000f)

/* CPUID leaf 0x1C: depths of 8, 16 and 32; all filters; cycles and types */
#define LBR_CPUID_EAX           0x0000000b
#define LBR_CPUID_EBX           0x00000007
#define LBR_CPUID_ECX           0x00000007

/*
 * MSR_LBR_INFO_x: cycles since the record before, type of branch (architectural
 * only, as is the bit that says that there are cycles), in transaction,
 * mispredicted
 */
#define LBR_INFO_CYCLES         UINT64_C(0xffff)
#define LBR_INFO_TYPE_SHIFT     56
#define LBR_INFO_TYPE           (UINT64_C(0xf) << LBR_INFO_TYPE_SHIFT)
#define LBR_INFO_HAS_CYCLES     (UINT64_C(1) << 60)
#define LBR_INFO_ABORT          (UINT64_C(1) << 61)
#define LBR_INFO_IN_TSX         (UINT64_C(1) << 62)
#define LBR_INFO_MISPRED        (UINT64_C(1) << 63)

/* LBR_FORMAT_TIME: a flag in FROM, and where TO has the cycles */
#define LBR_FROM_MISPRED        (UINT64_C(1) << 63)
#define LBR_TO_CYCLES_SHIFT     48

/**
 * LBRFormat: PERF_CAPABILITIES.LBR_FMT, those that exist here
 * @LBR_FORMAT_NONE: there is no LBR
 * @LBR_FORMAT_INFO: offsets in the code segment; the rest is in MSR_LBR_INFO_x
 * @LBR_FORMAT_TIME: linear addresses; bits 63:48 of TO are the cycles, and bit
 *     63 of FROM says that the branch was mispredicted
 * @LBR_FORMAT_INFO2: linear addresses; the rest is in MSR_LBR_INFO_x, which
 *     knows nothing of transactions
 * @LBR_FORMAT_ARCH: architectural: linear addresses, IA32_LBR_CTL and
 *     IA32_LBR_DEPTH; the last record has index 0
 */
typedef enum LBRFormat {
    LBR_FORMAT_NONE = 0,
    LBR_FORMAT_INFO = 5,
    LBR_FORMAT_TIME = 6,
    LBR_FORMAT_INFO2 = 7,
    LBR_FORMAT_ARCH = 0x3f,
} LBRFormat;

/**
 * LBRBranch: a branch that was taken
 * @kind: what it was; interrupts and exceptions are far branches
 * @ring: the ring in which it ends
 * @is_next: it is a call of the instruction behind it
 * @from, @to: as the format has them
 */
typedef struct LBRBranch {
    SoftPMUBranch kind;
    unsigned ring;
    bool is_next;
    uint64_t from;
    uint64_t to;
} LBRBranch;

/**
 * LBR: the stack of a vCPU
 * @select: MSR_LBR_SELECT; architectural: IA32_LBR_CTL
 * @depth: how many records there are; architectural: IA32_LBR_DEPTH
 * @tos: MSR_LASTBRANCH_TOS, the index of the last record
 * @from, @to, @info: the records, as the registers have them, at lbr_index()
 * @elapsed: while it does not run: cycles since the last record
 * @stamp: while it runs: the cycle at which @elapsed was 0
 * @kinds: by the ring where a branch ends: mask of 1 << SoftPMUBranch of those
 *     that are recorded now; follows from @select and @runs
 * @stack: returns take the record of their call away; follows from @select
 * @runs: branches are recorded
 */
_Static_assert(SOFTPMU_BR_NR <= 8, "LBR.kinds has a bit for each kind");

typedef struct LBR {
    uint64_t select;
    uint64_t depth;
    uint64_t tos;
    uint64_t from[LBR_DEPTH];
    uint64_t to[LBR_DEPTH];
    uint64_t info[LBR_DEPTH];
    uint64_t elapsed;
    uint64_t stamp;
    uint8_t kinds[SOFTPMU_NR_RINGS];
    bool stack;
    bool runs;
} LBR;

/**
 * lbr_format_exists: whether there is such a format here
 */
bool lbr_format_exists(unsigned format);

/**
 * lbr_has_info: whether a format has the registers MSR_LBR_INFO_x
 */
static inline bool lbr_has_info(LBRFormat format)
{
    return format == LBR_FORMAT_INFO || format == LBR_FORMAT_INFO2 ||
           format == LBR_FORMAT_ARCH;
}

/**
 * lbr_is_linear: whether a format has linear addresses, not offsets
 */
static inline bool lbr_is_linear(LBRFormat format)
{
    return format == LBR_FORMAT_TIME || format == LBR_FORMAT_INFO2 ||
           format == LBR_FORMAT_ARCH;
}

/**
 * lbr_info_mask: the bits of MSR_LBR_INFO_x that can be written
 */
uint64_t lbr_info_mask(LBRFormat format);

/**
 * lbr_info: the bits of MSR_LBR_INFO_x that follow from the kind of a branch
 * @format: one that has the registers
 */
uint64_t lbr_info(LBRFormat format, SoftPMUBranch kind);

/**
 * lbr_reset: no records, and the filter that a reset leaves
 */
void lbr_reset(LBR *lbr);

/**
 * lbr_depth_exists: whether IA32_LBR_DEPTH can have this value
 */
static inline bool lbr_depth_exists(uint64_t depth)
{
    return depth && !(depth % 8) && depth <= LBR_DEPTH &&
           (LBR_CPUID_EAX >> (depth / 8 - 1) & 1);
}

/**
 * lbr_is_valid: whether @depth and @tos can be a guest's
 */
bool lbr_is_valid(const LBR *lbr, LBRFormat format);

/**
 * lbr_set_depth: write IA32_LBR_DEPTH, which clears all records
 * @depth: one that exists
 */
void lbr_set_depth(LBR *lbr, uint64_t depth);

/**
 * lbr_last: where the record is that has @i later ones, @i < depth
 */
static inline unsigned lbr_last(const LBR *lbr, unsigned i)
{
    return (lbr->tos - i) % lbr->depth;
}

/**
 * lbr_index: where the record with number @i of the registers is, @i < depth
 */
static inline unsigned lbr_index(const LBR *lbr, LBRFormat format, unsigned i)
{
    return format == LBR_FORMAT_ARCH ? lbr_last(lbr, i) : i;
}

/**
 * lbr_update: follow a change of @select, and start or stop
 * @format: LBR_FORMAT_NONE: never run
 * @run: whether branches are to be recorded from now on
 * @now: the cycle; the time while it does not run does not count
 */
void lbr_update(LBR *lbr, LBRFormat format, bool run, uint64_t now);

/**
 * lbr_elapsed: cycles since the last record, not counting those at which
 * nothing was recorded
 */
uint64_t lbr_elapsed(const LBR *lbr, uint64_t now);

/**
 * lbr_wants: whether a branch of this kind, which ends in @ring, is recorded
 *
 * In call-stack mode there may still be no record of it.
 */
static inline bool lbr_wants(const LBR *lbr, SoftPMUBranch kind, unsigned ring)
{
    return lbr->kinds[ring] & 1u << kind;
}

/**
 * lbr_record: a branch has retired at cycle @now, if the filter lets it in
 */
void lbr_record(LBR *lbr, LBRFormat format, const LBRBranch *branch,
                uint64_t now);

#endif /* TARGET_I386_VPMU_LBR_H */
