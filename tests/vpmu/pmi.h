/*
 * What pmi.c and pmi-cases.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_PMI_H
#define TESTS_VPMU_PMI_H

#define USER            1
#define KERNEL          2
#define BOTH            3
/* The handler goes on at R15. */
#define SKIP            4
/* Start with interrupts off. */
#define IF0             8
/* Count in ring 0 what runs in ring 3. */
#define OTHER           16

/* Bodies repeat their pattern so often. */
#define PATTERN_MAX     400
#define LOOP_TURNS      3000000

#ifndef ASSEMBLY
#include "rt.h"

/* As pmi-cases.S lays it out. */
struct pmi_case {
    const char *name;
    void (*code)(void);
    void (*before)(void);
    uint64_t rcx;
    uint32_t where, n, event, second;
    uint64_t rip;
    int64_t ring;
};

extern struct pmi_case cases[], cases_end[];

/* Code in pmi-cases.S; where the pattern of a body or the loop starts. */
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
void loop_code(void);
extern char loop_dec[], loop_jnz[];
void ipi_code(void);
void h_pmi_iret(void);
void h_pmi_sysret(void);

/* In pmi.c, for pmi-cases.S. */
void before_hole(void);
void before_hole_map(void);
void before_page(void);
void before_page_mid(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_PMI_H */
