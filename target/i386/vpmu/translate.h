/*
 * Translation for the software PMU: what translate.c calls
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_TRANSLATE_H
#define TARGET_I386_VPMU_TRANSLATE_H

#include "softpmu.h"

typedef struct DisasContext DisasContext;
typedef struct X86DecodedInsn X86DecodedInsn;

#ifndef CONFIG_USER_ONLY

/*
 * At the start and at the end of a TB.  What accounts for it goes behind
 * DisasContext.vpmu_start, in front of a plugin's code, so that a TB which
 * is not run is not counted there either.
 */
static void vpmu_tr_tb_start(DisasContext *s);
static void vpmu_tr_tb_stop(DisasContext *s);
/* A decoded instruction, before any code is emitted for it. */
static void vpmu_tr_insn(DisasContext *s, X86DecodedInsn *decode);
/*
 * The instruction does not retire here: it faults, or it is INT n, which
 * retires when it is delivered (vpmu_tcg_software_interrupt).
 */
static void vpmu_tr_no_retire(DisasContext *s);
/*
 * Before the first iteration of REP: it accesses nothing if the bits @mask of
 * ECX are 0.
 */
static void vpmu_tr_rep(DisasContext *s, target_ulong mask);
/* REP goes round again: the instruction has not retired yet. */
static void vpmu_tr_again(DisasContext *s);
/* On the path of a conditional branch that is taken. */
static void vpmu_tr_taken(DisasContext *s);

#else

#define vpmu_tr_tb_start(s)         do { } while (0)
#define vpmu_tr_tb_stop(s)          do { } while (0)
#define vpmu_tr_insn(s, decode)     do { } while (0)
#define vpmu_tr_no_retire(s)        do { } while (0)
#define vpmu_tr_rep(s, mask)        do { } while (0)
#define vpmu_tr_again(s)            do { } while (0)
#define vpmu_tr_taken(s)            do { } while (0)

#endif

#endif /* TARGET_I386_VPMU_TRANSLATE_H */
