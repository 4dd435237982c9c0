/*
 * Code that repeats a pattern of instructions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where the n-th event of a kind happens can be computed, see struct pattern.
 * Registers at entry are those of a case.
 */
#define ASSEMBLY
#include "pmu.h"

        .text

        .global body_insn_code, body_insn
body_insn_code:
body_insn:
        .rept PATTERN_MAX
        nop
        .endr
        ret

        .global body_branch_code, body_branch
body_branch_code:
body_branch:
        .rept PATTERN_MAX
        nop
        .byte 0xeb, 0           /* JMP to the next */
        nop
        .endr
        ret

        .global body_cond_code, body_cond
body_cond_code:
        xor %eax, %eax
body_cond:
        .rept PATTERN_MAX
        nop
        .byte 0x74, 0           /* JZ, taken */
        .byte 0x75, 0           /* JNZ, not taken */
        .endr
        ret

        .global body_load_code, body_load
body_load_code:
body_load:
        .rept PATTERN_MAX
        nop
        mov (%rdi), %eax
        nop
        .endr
        ret

        .global body_store_code, body_store
body_store_code:
body_store:
        .rept PATTERN_MAX
        nop
        mov %eax, (%rdi)
        nop
        .endr
        ret

        .global body_call_code, body_call
body_call_code:
body_call:
        .rept PATTERN_MAX
        nop
        .byte 0xe8, 0, 0, 0, 0  /* CALL the next */
        pop %rax
        nop
        .endr
        ret

        .global body_ret_code, body_ret
body_ret_code:
body_ret:
        .rept PATTERN_MAX
        .byte 0xe8, 2, 0, 0, 0  /* CALL the RET */
        .byte 0xeb, 1           /* JMP over it */
        ret
        .endr
        ret

        /* Each #UD is skipped; it does not count. */
        .global body_fault_code, body_fault
body_fault_code:
body_fault:
        .rept PATTERN_MAX
        lea 1f(%rip), %r15
        ud2
1:      nop
        .endr
        ret

        .global loop_code, loop_dec, loop_jnz
loop_code:
        mov loop_turns, %ecx
loop_dec:
        dec %ecx
loop_jnz:
        jnz loop_dec
        ret

        /* Five interrupts to oneself. */
        .global ipi_code
ipi_code:
        mov $APIC, %ebx
        .rept 5
        movl $0x44000 + VECTOR_IPI, APIC_ICR(%rbx)
        nop
        .endr
        ret

        .section .note.GNU-stack, "", @progbits
