/*
 * Descriptors and tasks for the cases in lbr-far.S
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "lbr.h"
#include "pmu.h"

/* Types of descriptors and gates, with the bit P; or it with DPL << 5. */
#define CODE16          0x9b
#define CODE32          0x40009b
#define CODE64          0x20009b
#define DATA            0x400093
#define TSS             0x89
#define CALL_GATE       0x8c
#define TASK_GATE       0x85
#define INTERRUPT_GATE  0x8e
#define DPL(n)          ((n) << 5)

/* Indices in a TSS of 32-bit code */
enum { TSS_SS0 = 2, TSS_FLAGS = 9, TSS_ESP = 14, TSS_ES = 18, TSS_CS, TSS_SS,
       TSS_DS, TSS_FS, TSS_GS, TSS_SIZE = 26 };

/* lbr-far.S has its own idea of their fields. */
uint32_t lbr_tss_a[TSS_SIZE], lbr_tss_b[TSS_SIZE], lbr_tss_user[TSS_SIZE];

static uint32_t stack_b[64];
uint32_t lbr_stack_user[64];
static uint64_t idt32[256];
static uint16_t ivt[256][2];

/* Pointers as LIDT and far JMP take them */
struct pointer {
    uint16_t limit;
    uint32_t base;
} __attribute__((packed));
struct pointer lbr_idt32 = { sizeof(idt32) - 1 };
struct pointer lbr_ivt_pointer = { sizeof(ivt) - 1 };
struct pointer lbr_idt64;
struct {
    uint32_t offset;
    uint16_t selector;
} __attribute__((packed)) lbr_real_pointer;

static uint64_t *descriptor(unsigned selector)
{
    return (uint64_t *)(gdt + (selector & ~7));
}

/* @kind: bits 23:16 and 7:0 are what the descriptor has in 55:40 */
static void set_segment(unsigned selector, uint32_t kind, uint32_t base,
                        uint32_t limit)
{
    *descriptor(selector) = (limit & 0xffff) | (base & 0xffffffull) << 16 |
                            (uint64_t)(kind & 0xff) << 40 |
                            (uint64_t)(limit >> 16 | kind >> 16) << 48 |
                            (uint64_t)(base >> 24) << 56;
}

static uint64_t gate(unsigned kind, unsigned selector, uint32_t offset,
                     unsigned arguments)
{
    return (offset & 0xffff) | selector << 16 | (uint64_t)arguments << 32 |
           (uint64_t)kind << 40 | (uint64_t)(offset >> 16) << 48;
}

/* A gate of 64-bit code, which has the upper half of the address behind it */
static void set_gate64(unsigned selector, void (*handler)(void))
{
    descriptor(selector)[0] = gate(CALL_GATE | DPL(3), SEL_KERNEL,
                                   (uintptr_t)handler, 0);
    descriptor(selector)[1] = 0;
}

static void set_task(uint32_t *tss, unsigned selector, bool user,
                     uint32_t *stack_end)
{
    memset(tss, 0, TSS_SIZE * sizeof(*tss));
    tss[TSS_SS0] = SEL_KDATA;
    tss[TSS_FLAGS] = 2;
    tss[TSS_ESP] = (uintptr_t)stack_end;
    tss[TSS_CS] = user ? SEL_USER32 : SEL_KERNEL32;
    tss[TSS_SS] = tss[TSS_DS] = tss[TSS_ES] = user ? SEL_UDATA : SEL_KDATA;
    set_segment(selector, TSS, (uintptr_t)tss, TSS_SIZE * sizeof(*tss) - 1);
}

static void set_segments(void)
{
    set_segment(SEL_CODE1, CODE64 | DPL(1), 0, 0xfffff);
    set_segment(SEL_DATA1, DATA | DPL(1), 0, 0xfffff);
    set_segment(SEL_LOW16_KERNEL, CODE16, LOW, 0xffff);
    set_segment(SEL_LOW16_USER, CODE16 | DPL(3), LOW, 0xffff);
    set_segment(SEL_LOW32_KERNEL, CODE32, LOW, 0xffff);
    set_segment(SEL_LOW32_USER, CODE32 | DPL(3), LOW, 0xffff);
    set_gate64(SEL_GATE, lbr_gate);
    set_gate64(SEL_GATE_BACK, lbr_back64);
    *descriptor(SEL_GATE32) = gate(CALL_GATE | DPL(3), SEL_KERNEL32,
                                   (uintptr_t)lbr_gate32, 1);
    *descriptor(SEL_TASK_GATE) = gate(TASK_GATE, SEL_TSS_B, 0, 0);
}

static void set_vectors(void)
{
    idt32[6] = idt32[VECTOR_TASK] = gate(TASK_GATE, SEL_TSS_B, 0, 0);
    idt32[VECTOR_BACK] = gate(INTERRUPT_GATE | DPL(3), SEL_KERNEL32,
                              (uintptr_t)lbr_back32, 0);
    lbr_idt32.base = (uintptr_t)idt32;
    lbr_idt64.limit = sizeof(cpu->idt) - 1;
    lbr_idt64.base = (uintptr_t)cpu->idt;

    ivt[3][0] = ivt[VECTOR_TASK][0] = low_iret - lbr_low;
    ivt[3][1] = ivt[VECTOR_TASK][1] = LOW >> 4;
    lbr_ivt_pointer.base = (uintptr_t)ivt;
    lbr_real_pointer.offset = (uintptr_t)lbr_from_real;
    lbr_real_pointer.selector = SEL_KERNEL32;
}

void before_far(struct cpu *me)
{
    memcpy((void *)(uintptr_t)LOW, lbr_low, lbr_low_end - lbr_low);
    set_task(lbr_tss_a, SEL_TSS_A, false, NULL);
    set_task(lbr_tss_b, SEL_TSS_B, false, stack_b + ARRAY_SIZE(stack_b));
    set_task(lbr_tss_user, SEL_TSS_USER, true,
             lbr_stack_user + ARRAY_SIZE(lbr_stack_user));
    set_segments();
    set_vectors();
}
