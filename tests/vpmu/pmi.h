/*
 * What pmi.c and pmi-cases.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_PMI_H
#define TESTS_VPMU_PMI_H

#include "bodies.h"

/* Where a case runs, besides. */
/* Start with interrupts off. */
#define IF0             8
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

/* Code in pmi-cases.S */
void loop_code(void);
extern char loop_dec[], loop_jnz[];
void ipi_code(void);

/* In pmi.c, for pmi-cases.S. */
void before_hole(void);
void before_hole_map(void);
void before_page(void);
void before_page_mid(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_PMI_H */
