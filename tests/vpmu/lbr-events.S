/*
 * Code of the tests in lbr-events.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "lbr-case.inc"

        .text

        lbr_case "a write to a port", BOTH, before_stop
        mov lbr_stop_port, %edx
        mov $1, %eax
1:      call 2f
        jmp 5f
2:      call 3f
        ret
3:      jmp 4f
4:      nop
        out %al, %dx
        nop
        call 6f
7:      ret
6:      ret
5:      nop
        took 1b, 2b, K_CALL, 3
        took 2b, 3b, K_CALL, 1
        took 3b, 4b, K_JMP, 1
        took 4b+3, 6b, K_CALL, 4
        took 6b, 7b, K_RET, 1
        took 7b, 2b+5, K_RET, 1
        took 2b+5, 1b+5, K_RET, 1
        took 1b+5, 5b, K_JMP, 1
        lbr_end 1

/* Two writes to MSRs, with numbers and values at RSI */
        .global lbr_rewritten, lbr_rewritten_at, lbr_rewritten_jmp
        .global lbr_rewritten_call, lbr_rewritten_leaf, lbr_rewritten_ret
        .macro write_msr at
        mov \at(%rsi), %ecx
        mov \at + 8(%rsi), %eax
        mov \at + 12(%rsi), %edx
        wrmsr
        .endm
lbr_rewritten:
        jmp lbr_rewritten_at
lbr_rewritten_at:
        write_msr 0
lbr_rewritten_jmp:
        jmp 1f
1:      write_msr 16
lbr_rewritten_call:
        call lbr_rewritten_leaf
lbr_rewritten_ret:
        ret
lbr_rewritten_leaf:
        ret

/*
 * A string instruction that lasts until the APIC's timer interrupts it, and
 * three iterations more
 */
        .global lbr_rep, lbr_rep_insn, h_rep, h_rep_iret
lbr_rep:
        mov $0x30000000, %ecx
        xor %esi, %esi
        mov $APIC, %eax
        movl $1000000, APIC_TIMER_INIT(%rax)
lbr_rep_insn:
        rep lodsb
        ret
h_rep:  mov $APIC + APIC_EOI, %eax
        movl $0, (%rax)
        mov $3, %ecx
h_rep_iret:
        iretq

/* HLT with TF, until the timer interrupts it, which does so again and again */
        .global lbr_halted, lbr_halted_end
lbr_halted:
        mov $APIC, %eax
        movl $1000000, APIC_TIMER_INIT(%rax)
        pushf
        orl $0x100, (%rsp)
        popf
        hlt
lbr_halted_end:
        nop
        ret

        .section .note.GNU-stack, "", @progbits
