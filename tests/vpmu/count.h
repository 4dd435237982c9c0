/*
 * What count.c and count-cases.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_COUNT_H
#define TESTS_VPMU_COUNT_H

/* Conditions of a case. */
/* On the first CPU only: it needs the machine for itself. */
#define FIRST           4
/* Its handlers' counts are for each hardware interrupt. */
#define IRQS            8
/* Its handlers' counts are for each debug trap. */
#define TRAPS           16
/* KVM executes some of it in the guest's place. */
#define EMULATED        32

#define VECTOR_IRQ      0x30
#define VECTOR_ABSENT   0x41
#define VECTOR_KERNEL   0x42

#ifndef ASSEMBLY
#include "rt.h"

/* As the words of "want" in count-cases.S. */
enum { INSN, BRANCH, COND, TAKEN, CALL, RET, LOAD, STORE, FAR, INDIRECT, IRQ,
       NR_CLASSES };

typedef int32_t Counts[NR_CLASSES];

struct count_case {
    const char *name;
    void (*code)(void);
    void (*before)(struct cpu *cpu);
    uint32_t where;
    Counts want, kernel;
    uint32_t pad;
};

extern struct count_case cases[], cases_end[];

/* Handlers and places in count-cases.S. */
void h_iret(void);
void h_trap(void);
void h_skip(void);
void h_skip_error(void);
void h_map_error(void);
void h_resume(void);
void h_irq(void);
void h_sysret(void);
void h_sysexit(void);
extern char breakpoint_here[], breakpoint_rep[];

/* In count.c, for count-cases.S: volatile because handlers change them. */
extern volatile uint32_t irqs, traps;
void before_window(struct cpu *cpu);
void before_hole(struct cpu *cpu);
void before_fetch(struct cpu *cpu);
void before_fetch2(struct cpu *cpu);
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
