/*
 * How a case of lbr.c is written: a piece of code, and the branches it takes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cases are functions in lbr-cases.S, lbr-far.S and lbr-debug.S, each of
 * which starts with "lbr_case" and finishes with "lbr_end", which also returns
 * from it.
 *
 * lbr_case "NAME", WHERE, BEFORE
 *     The code runs in the rings WHERE (of case.h); BEFORE is a function in C
 *     that prepares the case, each time.
 * took FROM, TO, KIND, INSNS, RING, FROM_BASE, TO_BASE
 *     The next branch that the code takes: from the instruction at FROM to TO,
 *     after INSNS instructions since the one before or since the code began,
 *     this one included if it retires.  KIND is a bit of LBR_SELECT.  RING is
 *     that of the target, if it is not the one that runs the code.  The bases
 *     are those of the code segments, to which RIP is relative.
 * lbr_end LEFT
 *     LEFT is how many instructions there are after the last branch, not
 *     counting the final RET.
 *
 * Registers at entry are those of a case, see case.inc; R15 is where the
 * handlers of faults go on.
 */
#ifndef TESTS_VPMU_LBR_H
#define TESTS_VPMU_LBR_H

#include "case.h"

/* Kinds of branches: their bits in LBR_SELECT */
#define K_JCC           2
#define K_CALL          3
#define K_ICALL         4
#define K_RET           5
#define K_IJMP          6
#define K_JMP           7
#define K_FAR           8
/* A call of the next instruction */
#define K_CALL_NEXT     16
/* A debug exception: the trace has it, and nothing is recorded from then on. */
#define K_DEBUG         17

#define OWN             (-1)

/* A condition, see case.h: too long to be run instruction by instruction */
#define LONG            0x10000

#define LBR_TURNS       1000

#define VECTOR_ABSENT   0x46

/* The last code in the lower half of the address space, see test_edge() */
#define LBR_EDGE        0x7fffffffff00
/* Where all memory is mapped again, in the upper half of the address space */
#define UPPER           0xffff960000000000

/* Among those from SEL_FREE on: 64-bit gates, two descriptors each */
#define SEL_GATE        (SEL_FREE + 0x03)
#define SEL_GATE_BACK   (SEL_FREE + 0x10)
/* A gate of 32-bit code, ring 1, tasks */
#define SEL_GATE32      (SEL_FREE + 0x20)
#define SEL_CODE1       (SEL_FREE + 0x29)
#define SEL_DATA1       (SEL_FREE + 0x31)
#define SEL_TSS_A       (SEL_FREE + 0x38)
#define SEL_TSS_B       (SEL_FREE + 0x40)
#define SEL_TSS_USER    (SEL_FREE + 0x48)
#define SEL_TASK_GATE   (SEL_FREE + 0x50)
/* Code at LOW, 64 KiB: 16-bit code and 32-bit code */
#define SEL_LOW16_KERNEL (SEL_FREE + 0x58)
#define SEL_LOW16_USER  (SEL_FREE + 0x63)
#define SEL_LOW32_KERNEL (SEL_FREE + 0x68)
#define SEL_LOW32_USER  (SEL_FREE + 0x73)
#define LOW             0x10000
#define LOW_STACK       0x20000
/* Of 32-bit code: to the task TSS_B, and back from ring 3 and VM86 */
#define VECTOR_TASK     0x44
#define VECTOR_BACK     0x45

#ifndef ASSEMBLY

/* As the macros lay it out. */
struct branch {
    uint64_t from, to;
    uint16_t kind;
    int16_t ring;
    uint32_t insns;
    uint32_t from_base, to_base;
};

struct lbr_case {
    const char *name;
    void (*code)(void);
    void (*before)(struct cpu *cpu);
    const struct branch *took;
    uint32_t where, n, left, pad;
    uint64_t ret;
};

extern const struct lbr_case lbr_cases[], lbr_cases_end[];

/* In lbr.c: PERF_CAPABILITIES.LBR_FMT, how many records there are at most */
#define FORMAT_INFO     5
#define FORMAT_TIME     6
#define FORMAT_ARCH     0x3f
#define DEPTH           32
#define CAP_BASELINE    (1u << 14)
extern unsigned lbr_format;
/* How many records there are */
extern unsigned depth;

#define CALL_STACK      0x200
/* What Linux has with it: no jumps, no far branches */
#define CALLS_ONLY      (CALL_STACK | 1 << K_JCC | 1 << K_IJMP | 1 << K_JMP | \
                         1 << K_FAR)

/*
 * The model: what the registers have, the cycles since the last record, and the
 * ring.  As elsewhere, @info is the cycles alone with format 6, which has no
 * such register.
 */
extern struct model {
    uint64_t from[DEPTH], to[DEPTH], info[DEPTH];
    unsigned tos, ring;
    uint64_t select, since;
    bool ended; /* by a debug exception */
} model;

/* Empty the registers and the model, whose filter is written, too. */
void write_stack(void);
/* Run code, having what it branches recorded, with more bits of DEBUGCTL. */
void run_with(void (*code)(void), bool user, uint64_t flags, uint64_t debugctl);
void run_recorded(void (*code)(void), bool user, uint64_t debugctl);
/* What run() does before and after the code; WRMSR starts and ends it. */
void model_enter(void (*code)(void), bool user);
void model_leave(uint64_t ret, unsigned left, bool user);
/* A branch to @ring, after so many instructions; instructions that retire */
void model_near(const char *from, const void *to, unsigned kind,
                unsigned insns, unsigned ring);
void model_pass(unsigned insns);
/* Turns of lbr_loop; @first: instructions in the first one */
void model_turns(unsigned turns, unsigned first);
/* Run a case with this filter, and compare. */
void try_case(const struct lbr_case *c, bool user, uint64_t select);
/* The result: do the registers have what the model has? */
bool check_stack(const char *name, bool user);
/* IA32_LBR_CTL for what LBR_SELECT has: it names what is let in. */
uint64_t arch_ctl(uint64_t select);
/*
 * DEBUGCTL.LBR, or IA32_LBR_CTL's bit, and DEBUGCTL when a trap came; where the
 * last debug exception came, and the first VECTOR_IPI after 0 was written there
 */
extern uint64_t seen_enable, seen_debugctl, trap_rip, ipi_rip;

/* In lbr-events.c: the APIC's timer raises VECTOR_IPI when code has set it. */
void before_timer(struct cpu *cpu);
/* @try cases in which the machine may stop. */
void before_stop(struct cpu *cpu);
void for_each_stop(void (*try)(const struct lbr_case *c, bool user,
                               uint64_t how), uint64_t how);
void test_events(void);
/* How often the machine was to stop, for lbr-stops.py */
void print_stops(void);

/* In boot.S: what run() adds to the branches of the code */
extern char run_call[], run_return[], run_iret[], user_exit[], user_done[];

/* In lbr-cases.S: handlers */
void h_skip(void);
void h_skip_error(void);
void h_map_error(void);
void h_irq(void);
extern char h_irq_iret[];
void h_sysexit(void);
/* DEC and JNZ, LBR_TURNS times */
void lbr_loop(void);
extern char lbr_loop_dec[], lbr_loop_jnz[];
/* Code that an interrupt with vector 1 interrupts, and its handler */
void lbr_irq1(void);
void h_irq1(void);
extern char lbr_irq1_at[], h_irq1_iret[];
/* Code that leaves the lower half by the JMP, and goes on after the fault */
void lbr_edge(void);
extern const char lbr_edge_jmp[], lbr_edge_end[];
/* Code that an SMI interrupts */
void lbr_smi(void);
extern char lbr_smi_ret[];
/* A branch at which TF traps, and others behind it */
void lbr_trapped(void);
extern char lbr_trapped_jmp[], lbr_trapped_to[];

/* In lbr-events.S; ring 0 only, but for lbr_rep */
void lbr_rewritten(void);
extern char lbr_rewritten_at[], lbr_rewritten_jmp[], lbr_rewritten_call[];
extern char lbr_rewritten_leaf[], lbr_rewritten_ret[];
void lbr_rep(void);
void h_rep(void);
extern char lbr_rep_insn[], h_rep_iret[];
void lbr_halted(void);
extern char lbr_halted_end[];

/* Where a JMP and a RET go that load from the window */
extern char lbr_pointed[], lbr_returned[];
/* For cases: what is in the window when it is mapped.  It is absent now. */
void before_pointer(struct cpu *cpu);
void before_far_pointer(struct cpu *cpu);
void before_jump(struct cpu *cpu);
/* The same, but only the second page is absent now */
void before_jump_half(struct cpu *cpu);
/* The target's fault, see test_trace_fault() */
void before_ud2(struct cpu *cpu);
/* The gates of VECTOR_ABSENT and of #GP are absent; that of #GP is not. */
void before_absent(struct cpu *cpu);
void before_gp(struct cpu *cpu);
/* The handler of SYSCALL, which returns to 64-bit or to 32-bit code */
void before_syscall(struct cpu *cpu);
void before_syscall32(struct cpu *cpu);
void h_sysret32(void);

/* In lbr-debug.c, for the cases in lbr-debug.S */
void before_break_jmp(struct cpu *cpu);
void before_break_push(struct cpu *cpu);
void before_break_load(struct cpu *cpu);
void before_syscall_tf(struct cpu *cpu);
extern char lbr_break_jmp[], lbr_break_load[];
void h_debug(void);
void lbr_stepped(void);
extern char lbr_stepped_jmp[];

/* In lbr-far.c, for the cases in lbr-far.S: descriptors, tasks, code at LOW */
void before_far(struct cpu *cpu);
/* What it needs of them */
void lbr_gate(void);
void lbr_back64(void);
void lbr_gate32(void);
void lbr_back32(void);
extern char lbr_from_real[], lbr_low[], lbr_low_end[], low_iret[];

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_LBR_H */
