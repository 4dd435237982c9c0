/*
 * What bodies.S has for pmi.c and pebs.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_BODIES_H
#define TESTS_VPMU_BODIES_H

/* Conditions of a case. */
/* The interrupt's handler goes on at R15. */
#define SKIP            4
/* Count in ring 0 what runs in ring 3. */
#define OTHER           16

/* Bodies repeat their pattern so often. */
#define PATTERN_MAX     400

#ifndef ASSEMBLY

/* Where the pattern of a body starts. */
void body_insn_code(void);
void body_branch_code(void);
void body_cond_code(void);
void body_load_code(void);
void body_store_code(void);
void body_call_code(void);
void body_ret_code(void);
void body_fault_code(void);
extern char body_insn[], body_branch[], body_cond[], body_load[], body_store[];
extern char body_call[], body_ret[], body_fault[];

/* NOP, IRET, and SYSRET. */
void h_iret(void);
void h_sysret(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_BODIES_H */
