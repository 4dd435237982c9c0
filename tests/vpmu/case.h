/*
 * The cases of count.c, pmi.c and pebs.c; case.inc says how they are written
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_CASE_H
#define TESTS_VPMU_CASE_H

#include "rt.h"

/* Where a case runs. */
#define USER            0x1
#define KERNEL          0x2
#define BOTH            0x3

/* Conditions, to be combined with one of those: */
/* it needs an exact count of what KVM executes in the guest's place */
#define NOT_KVM         0x4
/* count: KVM executes a part of it in the guest's place */
#define EMULATED        0x8
/* count: it needs the machine for itself, and runs on the first CPU only */
#define FIRST           0x10
/* count: the counts of its handlers are those of one hardware interrupt */
#define IRQS            0x20
/* count: the counts of its handlers are those of one debug trap */
#define TRAPS           0x40
/* count: with KVM one far branch exits, and KVM does not add it to any count */
#define LOST            0x1000
/* pmi, pebs: the interrupt's handler goes on at R15, too */
#define SKIP            0x80
/* it needs an instruction that AMD does not have in 64-bit mode */
#define NOT_AMD         0x2000
/* pmi: the code runs in ring 3, and ring 0 is counted */
#define OTHER           0x100
/* pmi: it starts with interrupts off */
#define IF0             0x200
/* pebs: the interrupt comes later; its frame says nothing of the record */
#define LATER           0x400
/* pebs: the code accesses several addresses or a stack; any is right */
#define ANY             0x800

/* What the address in a PEBS record is relative to. */
#define A_NONE          0       /* there is no access: the address is 0 */
#define A_RDI           1       /* the first buffer */
#define A_RSI           2       /* the second buffer */
#define A_STACK         3       /* RSP in the record */
#define A_ABS           4

#ifndef ASSEMBLY

/* What "want" declares; a counter counts sums of these. */
enum { INSN, BRANCH, COND, TAKEN, CALL, RET, LOAD, STORE, FAR, INDIRECT, IRQ,
       NR_CLASSES };

typedef int32_t Counts[NR_CLASSES];

/* As the macros lay it out. */
struct test_case {
    const char *name;
    const char *pebs_name;      /* "": @name */
    void (*code)(void);
    void (*before)(struct cpu *cpu);
    uint64_t rcx, offset;
    uint32_t where, n, event, second, area;
    int32_t ring;
    uint64_t ip, next;
    Counts want, kernel;
};

extern const struct test_case cases[], cases_end[];

/* Does case @c run in ring 3 or 0? */
bool case_runs_in(const struct test_case *c, bool user);
/* Call @try for every case and every ring in which it runs. */
void for_each_case(void (*try)(const struct test_case *c, bool user));

/* Functions for "before".  All pages of the window are absent. */
void before_hole(struct cpu *cpu);
/* The window's first page ends in two NOPs; the others are absent. */
void before_page(struct cpu *cpu);
/* It ends in two NOPs and a MOV, which goes on in the second page. */
void before_page_mid(struct cpu *cpu);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_CASE_H */
