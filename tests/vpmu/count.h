/*
 * What count.c and count-cases.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_COUNT_H
#define TESTS_VPMU_COUNT_H

#define VECTOR_IRQ      0x30
#define VECTOR_ABSENT   0x41
#define VECTOR_KERNEL   0x42

#ifndef ASSEMBLY
#include "rt.h"

/* Handlers and places in count-cases.S. */
void h_trap(void);
void h_skip(void);
void h_skip_error(void);
void h_map_error(void);
void h_resume(void);
void h_irq(void);
void h_sysexit(void);
extern char breakpoint_here[], breakpoint_rep[];

/* In count.c, for count-cases.S: volatile because handlers change them. */
extern volatile uint32_t irqs, traps;
void before_window(struct cpu *cpu);
void before_mid_fetch(struct cpu *cpu);
void before_page_fetch(struct cpu *cpu);
void before_timer(struct cpu *cpu);
void before_steps(struct cpu *cpu);
void before_breakpoint(struct cpu *cpu);
void before_breakpoint_rep(struct cpu *cpu);
void before_watchpoint(struct cpu *cpu);
void before_watchpoint_rep(struct cpu *cpu);
void modifiers_code(void);
void edge_code(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_COUNT_H */
