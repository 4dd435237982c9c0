/*
 * Breakpoints for the cases in lbr-debug.S
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "lbr.h"
#include "pmu.h"

/* DR7, for breakpoint 0 */
#define DR7_ENABLE      0x401
#define DR7_WRITE       0x90000     /* 8 bytes */
#define DR7_ACCESS      0xb0000

static void set_breakpoint(const void *address, uint64_t kind)
{
    asm volatile("mov %0, %%dr0" : : "r"(address));
    asm volatile("mov %0, %%dr7" : : "r"(DR7_ENABLE | kind));
}

void before_break_jmp(struct cpu *me)
{
    set_breakpoint(lbr_break_jmp, 0);
}

void before_break_push(struct cpu *me)
{
    set_breakpoint(me->buffer[0] + 56, DR7_WRITE);
}

void before_break_load(struct cpu *me)
{
    *(uint64_t *)me->buffer[0] = (uint64_t)lbr_break_load;
    set_breakpoint(me->buffer[0], DR7_ACCESS);
}

void before_syscall_tf(struct cpu *me)
{
    set_syscall(h_sysret, 0x100);
}
