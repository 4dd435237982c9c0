/*
 * Translation for the software PMU: what translate.c calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_TRANSLATE_H
#define TARGET_I386_VPMU_TRANSLATE_H

#include "sim-calls.h"
#include "softpmu.h"

typedef struct DisasContext DisasContext;
typedef struct X86DecodedInsn X86DecodedInsn;

#ifndef CONFIG_USER_ONLY

/*
 * At the start and at the end of a TB.  The code that accounts for the TB goes
 * behind DisasContext.vpmu_start, in front of a plugin's code, so that the
 * plugin does not count a TB that is not run.
 */
static void vpmu_tr_tb_start(DisasContext *s);
static void vpmu_tr_tb_stop(DisasContext *s);
/* A decoded instruction, before any code is emitted for it. */
static void vpmu_tr_insn(DisasContext *s, X86DecodedInsn *decode);
/*
 * The instruction does not retire here.  It faults, or it is INT n, which
 * retires when it is delivered (vpmu_tcg_delivered).
 */
static void vpmu_tr_no_retire(DisasContext *s);
/*
 * Before the first iteration of REP.  The instruction accesses nothing if the
 * bits @mask of ECX are 0.
 */
static void vpmu_tr_rep(DisasContext *s, target_ulong mask);
/* Before another iteration of REP: the instruction has not retired yet. */
static void vpmu_tr_again(DisasContext *s);
/* The decoded instruction is translated, up to the end of its TB. */
static void vpmu_tr_insn_end(DisasContext *s);
/*
 * On the path of a branch that is taken, before gen_jmp_rel() with the same
 * arguments
 */
static void vpmu_tr_jump(DisasContext *s, MemOp ot, int diff);
/*
 * On the path of a conditional branch that is not taken, before it goes on
 * behind it
 */
static void vpmu_tr_fall_through(DisasContext *s);
/* Whether REP has to leave its block after each iteration */
static bool vpmu_tr_single_iteration(DisasContext *s);

#else

static inline void vpmu_tr_tb_start(DisasContext *s)
{
}

static inline void vpmu_tr_tb_stop(DisasContext *s)
{
}

static inline void vpmu_tr_insn(DisasContext *s, X86DecodedInsn *decode)
{
}

static inline void vpmu_tr_no_retire(DisasContext *s)
{
}

static inline void vpmu_tr_rep(DisasContext *s, target_ulong mask)
{
}

static inline void vpmu_tr_again(DisasContext *s)
{
}

static inline void vpmu_tr_insn_end(DisasContext *s)
{
}

static inline void vpmu_tr_jump(DisasContext *s, MemOp ot, int diff)
{
}

static inline void vpmu_tr_fall_through(DisasContext *s)
{
}

static inline bool vpmu_tr_single_iteration(DisasContext *s)
{
    return false;
}

#endif

#endif /* TARGET_I386_VPMU_TRANSLATE_H */
