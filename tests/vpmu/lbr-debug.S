/*
 * Debug exceptions, which end the recording but not the trace
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cases as lbr.h describes them.  What comes after the first debug exception is
 * in the trace only, which has no cycles.
 */
#include "lbr-case.inc"

#define FLAGS_TF        0x100

        .text

/* End all causes of debug exceptions. */
        .global h_debug
h_debug:
        push %rax
        mov $0x400, %eax
        mov %rax, %dr7
        pop %rax
        andl $~FLAGS_TF, 16(%rsp)
h_debug_iret:
        iretq

/*
 * A debug exception @insns after the last branch, before the instruction @at,
 * which is in @ring
 */
        .macro debugged at, insns=0, ring=OWN
        took \at, h_debug, K_DEBUG, \insns, 0
        took h_debug_iret, \at, K_FAR, 0, \ring
        .endm

/* The instruction after it is the first one behind which there is a trap. */
        .macro set_tf
        pushf
        orl $FLAGS_TF, (%rsp)
        popf
        .endm

        lbr_case "TF, a JMP"
        jmp 1f
1:      set_tf
2:      jmp 3f
3:      nop
        took 1b-2, 1b, K_JMP, 1
        took 2b, 3b, K_JMP, 4
        debugged 3b
        lbr_end

        lbr_case "TF, no branch"
        jmp 1f
1:      set_tf
        nop
2:      jmp 3f
3:      nop
        took 1b-2, 1b, K_JMP, 1
        debugged 2b, 4
        took 2b, 3b, K_JMP
        lbr_end

        lbr_case "TF, INT n: none in its handler"
        set_tf
1:      int $0x43
2:      jmp 3f
3:      nop
        took 1b, h_iret, K_FAR, 4, 0
        took h_iret, 2b, K_FAR, 1
        took 2b, 3b, K_JMP, 1
        debugged 3b
        lbr_end

        lbr_case "TF, SYSCALL: before its handler and behind SYSRET", USER, \
            before_syscall
        set_tf
1:      syscall
2:      jmp 3f
3:      nop
        took 1b, h_sysret, K_FAR, 4, 0
        debugged h_sysret, ring=0
        took h_sysret, 2b, K_FAR
        debugged 2b
        took 2b, 3b, K_JMP
        lbr_end

        lbr_case "TF, SYSCALL that clears it: behind SYSRET", USER, \
            before_syscall_tf
        set_tf
1:      syscall
2:      jmp 3f
3:      nop
        took 1b, h_sysret, K_FAR, 4, 0
        took h_sysret, 2b, K_FAR, 1
        debugged 2b
        took 2b, 3b, K_JMP
        lbr_end

        lbr_case "TF, a string instruction: behind one iteration"
        mov $3, %ecx
        set_tf
1:      rep movsb
2:      jmp 3f
3:      nop
        debugged 1b, 4
        took 2b, 3b, K_JMP
        lbr_end

        lbr_case "INT1"
        jmp 1f
1:      .byte 0xf1
2:      jmp 3f
3:      nop
        took 1b-2, 1b, K_JMP, 1
        debugged 2b, 1
        took 2b, 3b, K_JMP
        lbr_end

        lbr_case "a breakpoint on a JMP", BOTH, before_break_jmp
        jmp lbr_break_jmp
        .global lbr_break_jmp
lbr_break_jmp:
        jmp 3f
3:      nop
        took lbr_break_jmp-2, lbr_break_jmp, K_JMP, 1
        debugged lbr_break_jmp
        took lbr_break_jmp, 3b, K_JMP
        lbr_end

        lbr_case "a breakpoint on what a CALL pushes", BOTH, before_break_push
        mov %rsp, %rbp
        lea 64(%rdi), %rsp
1:      call 2f
        mov %rbp, %rsp
        jmp 3f
2:      ret
3:      nop
        took 1b, 2b, K_CALL, 3
        debugged 2b
        took 2b, 1b+5, K_RET
        took 1b+8, 3b, K_JMP
        lbr_end

        lbr_case "a breakpoint on what a JMP loads", BOTH, before_break_load
1:      jmp *(%rdi)
        ud2
        .global lbr_break_load
lbr_break_load:
        jmp 3f
3:      nop
        took 1b, lbr_break_load, K_IJMP, 1
        debugged lbr_break_load
        took lbr_break_load, 3b, K_JMP
        lbr_end

/* IA32_DEBUGCTL.BTF does not exist: the trap comes behind NOP. */
        .global lbr_stepped, lbr_stepped_jmp
lbr_stepped:
        set_tf
        nop
lbr_stepped_jmp:
        jmp 1f
1:      ret

        .section .note.GNU-stack, "", @progbits
