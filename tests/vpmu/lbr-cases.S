/*
 * Code that takes known branches; lbr.h says how a case is written
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "lbr-case.inc"

        .text

/* Handlers; the number of instructions is the number of lines. */
        .global h_skip, h_skip_error, h_map_error, h_irq, h_irq_iret
        .global h_sysexit
h_skip: mov %r15, (%rsp)
h_skip_iret:
        iretq

h_skip_error:
        add $8, %rsp
        mov %r15, (%rsp)
h_skip_error_iret:
        iretq

/* Make present the page whose PTE is at R14. */
h_map_error:
        add $8, %rsp
        orb $1, (%r14)
        add $8, %r14
h_map_error_iret:
        iretq

h_irq:  push %rax
        mov $APIC + APIC_EOI, %eax
        movl $0, (%rax)
        pop %rax
h_irq_iret:
        iretq

/* To 32-bit code; bits 63:32 of RCX are ignored. */
        .global h_sysret32
h_sysret32:
        bts $40, %rcx
h_sysret32_insn:
        sysretl

/* With bit 32 of R10, to 32-bit code */
h_sysexit:
        btr $32, %r10
h_sysexit_jc:
        jc h_sysexit_32
h_sysexit_64:
        sysexitq
h_sysexit_32:
        .byte 0x0f, 0x35

/* Near branches */

        lbr_case "nothing"
        lbr_end

        lbr_case "a straight line"
        .rept 300
        nop
        .endr
        lbr_end 300

        lbr_case "JMP, short, near and backwards"
        jmp 2f
1:      nop
        .byte 0xe9
        .long 3f - 4f
4:      ud2
2:      jmp 1b
        ud2
3:      nop
        took 1b-2, 2b, K_JMP, 1
        took 2b, 1b, K_JMP, 1
        took 1b+1, 3b, K_JMP, 2
        lbr_end 1

        lbr_case "JMP to the next instruction"
        nop
1:      .byte 0xeb, 0
        nop
        took 1b, 1b+2, K_JMP, 2
        lbr_end 1

        lbr_case "Jcc, taken and not"
        xor %eax, %eax
        jnz 2f
1:      jz 2f
        ud2
2:      jnz 3f
        nop
3:      .byte 0x74, 0
4:      nop
        took 1b, 2b, K_JCC, 3
        took 3b, 4b, K_JCC, 3
        lbr_end 1

        lbr_case "in the upper half of the address space"
        mov $UPPER, %rcx
        lea 2f(%rcx), %rax
1:      jmp *%rax
2:      jmp 3f
        ud2
3:      add %ecx, %ecx
        jz 4f
        ud2
4:      nop
5:      call 7f
6:      lea 8f, %rax
9:      call *%rax
7:      ret
8:      pop %rax
        took 1b, 2b + UPPER, K_IJMP, 3
        took 2b + UPPER, 3b + UPPER, K_JMP, 1
        took 3b + UPPER + 2, 4b + UPPER, K_JCC, 2
        took 5b + UPPER, 7b + UPPER, K_CALL, 2
        took 7b + UPPER, 6b + UPPER, K_RET, 1
        took 9b + UPPER, 8b, K_ICALL, 2
        lbr_end 1

        lbr_case "LOOP, LOOPE, LOOPNE, JRCXZ"
        mov $2, %ecx
1:      loop 1b
        xor %ecx, %ecx
2:      jrcxz 3f
        ud2
3:      mov $3, %ecx
        cmp %eax, %eax
4:      loope 5f
        ud2
5:      loopne 5b
        or $1, %eax
6:      mov $5, %ecx
7:      loopne 8f
        ud2
8:      jrcxz 1b
        nop
        took 1b, 1b, K_JCC, 2
        took 2b, 3b, K_JCC, 3
        took 4b, 5b, K_JCC, 3
        took 7b, 8b, K_JCC, 4
        lbr_end 2

        lbr_case "a loop of 40 turns"
        mov $40, %ecx
1:      nop
        dec %ecx
2:      jnz 1b
        took 2b, 1b, K_JCC, 4
        .rept 38
        took 2b, 1b, K_JCC, 3
        .endr
        lbr_end 3

        lbr_case "a block that jumps to itself"
        mov $10, %ecx
        jmp 1f
1:      dec %ecx
        jnz 1b
        took 1b-2, 1b, K_JMP, 2
        .rept 9
        took 1b+2, 1b, K_JCC, 2
        .endr
        lbr_end 2

        lbr_case "CALL and RET"
1:      call 2f
        nop
        jmp 4f
2:      call 3f
        nop
        ret
3:      ret
4:      nop
        took 1b, 2b, K_CALL, 1
        took 2b, 3b, K_CALL, 1
        took 3b, 2b+5, K_RET, 1
        took 3b-1, 1b+5, K_RET, 2
        took 1b+6, 4b, K_JMP, 2
        lbr_end 1

        lbr_case "CALL through a register and through memory"
        lea 5f(%rip), %rax
1:      call *%rax
        mov %rax, (%rdi)
2:      call *(%rdi)
        jmp 6f
5:      nop
4:      ret $0
6:      nop
        took 1b, 5b, K_ICALL, 2
        took 4b, 1b+2, K_RET, 2
        took 2b, 5b, K_ICALL, 2
        took 4b, 2b+2, K_RET, 2
        took 2b+2, 6b, K_JMP, 1
        lbr_end 1

        lbr_case "RET that takes arguments off"
        push $5
1:      call 2f
        nop
        jmp 4f
2:      ret $8
4:      nop
        took 1b, 2b, K_CALL, 2
        took 2b, 1b+5, K_RET, 1
        took 1b+6, 4b, K_JMP, 2
        lbr_end 1

        lbr_case "JMP through a register and through memory"
        lea 2f(%rip), %rax
1:      jmp *%rax
        ud2
2:      lea 4f(%rip), %rax
        mov %rax, (%rdi)
3:      jmp *(%rdi)
        ud2
4:      nop
        took 1b, 2b, K_IJMP, 2
        took 3b, 4b, K_IJMP, 3
        lbr_end 1

        lbr_case "CALL of the next instruction"
1:      call 2f
2:      pop %rax
        call 3f
        jmp 4f
3:      ret
4:      nop
        took 1b, 2b, K_CALL_NEXT, 1
        took 2b+1, 3b, K_CALL, 2
        took 3b, 2b+6, K_RET, 1
        took 2b+6, 4b, K_JMP, 1
        lbr_end 1

        lbr_case "calls that are 40 deep"
        mov $40, %ecx
1:      call 2f
        jmp 5f
2:      dec %ecx
        jz 4f
3:      call 2b
4:      ret
5:      nop
        took 1b, 2b, K_CALL, 2
        .rept 39
        took 3b, 2b, K_CALL, 3
        .endr
        took 4b-7, 4b, K_JCC, 2
        took 4b, 4b, K_RET, 1
        .rept 38
        took 4b, 4b, K_RET, 1
        .endr
        took 4b, 1b+5, K_RET, 1
        took 1b+5, 5b, K_JMP, 1
        lbr_end 1

        lbr_case "more returns than calls"
        lea 3f(%rip), %rax
        push %rax
        lea 2f(%rip), %rax
        push %rax
        lea 1f(%rip), %rax
        push %rax
9:      ret
1:      ret
2:      ret
3:      nop
        took 9b, 1b, K_RET, 7
        took 1b, 2b, K_RET, 1
        took 2b, 3b, K_RET, 1
        lbr_end 1

        lbr_case "branches across pages"
1:      jmp 2f
        .balign 4096
        .skip 4090
2:      nop
3:      jmp 4f
        .skip 4096
4:      xor %eax, %eax
5:      jz 6f
        .skip 4096
6:      lea 8f(%rip), %rax
7:      call *%rax
        jmp 9f
        .skip 4096
8:      ret
9:      nop
        took 1b, 2b, K_JMP, 1
        took 3b, 4b, K_JMP, 2
        took 5b, 6b, K_JCC, 2
        took 7b, 8b, K_ICALL, 2
        took 8b, 7b+2, K_RET, 1
        took 7b+2, 9b, K_JMP, 1
        lbr_end 1

/* What is around a branch */

        lbr_case "REP takes no branches"
        mov $1000, %ecx
        rep movsb
        mov $300, %ecx
        repe cmpsb
1:      jmp 2f
2:      rep movsb
        took 1b, 2b, K_JMP, 5
        lbr_end 1

        lbr_case "more cycles than a record has room for", BOTH|LONG
1:      jmp 2f
2:      .rept 65534
        nop
        .endr
3:      jmp 4f
4:      .rept 65535
        nop
        .endr
5:      jmp 6f
6:      nop
        took 1b, 2b, K_JMP, 1
        took 3b, 4b, K_JMP, 65535
        took 5b, 6b, K_JMP, 65536
        lbr_end 1

        lbr_case "a branch after LOCK INC across cache lines"
        lock incl 61(%rdi)
1:      jmp 2f
2:      lock incl 61(%rdi)
        took 1b, 2b, K_JMP, 2
        lbr_end 1

        lbr_case "a branch after MOV SS, and after STI"
        mov %ss, %eax
        mov %eax, %ss
1:      jmp 2f
2:      sti
3:      call 4f
        cli
        jmp 5f
4:      ret
5:      nop
        took 1b, 2b, K_JMP, 3
        took 3b, 4b, K_CALL, 2
        took 4b, 3b+5, K_RET, 1
        took 3b+6, 5b, K_JMP, 2
        lbr_end 1

        lbr_case "a branch that the code has just changed"
        movb $3f - 2f, 1f + 1(%rip)
1:      .byte 0xeb, 0
2:      jmp 5f
3:      movb $0, 1b + 1(%rip)
4:      jmp 1b
5:      nop
        took 1b, 3b, K_JMP, 2
        took 4b, 1b, K_JMP, 2
        took 1b, 2b, K_JMP, 1
        took 2b, 5b, K_JMP, 1
        lbr_end 1

        lbr_case "a CALL that pushes into its own block", KERNEL
        mov %rsp, %rbp
        lea 2f + 8(%rip), %rsp
        movb $0xc3, 3f(%rip)
1:      call 3f
        mov %rbp, %rsp
        jmp 4f
        .balign 8
2:      .quad 0
3:      ret
4:      nop
        took 1b, 3b, K_CALL, 4
        took 3b, 1b+5, K_RET, 1
        took 1b+8, 4b, K_JMP, 2
        lbr_end 1

/* Faults in a branch, and at its target */

        lbr_case "a CALL whose push faults", USER, before_hole
        mov %rsp, %rbp
        mov $WINDOW + 16, %esp
        lea window_pt(%rip), %r14
1:      call 2f
        mov %rbp, %rsp
        jmp 3f
2:      ret
3:      nop
        took 1b, h_map_error, K_FAR, 3, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, 2b, K_CALL, 1
        took 2b, 1b+5, K_RET, 1
        took 1b+8, 3b, K_JMP, 2
        lbr_end 1

        lbr_case "a CALL whose load and whose push fault", USER, before_pointer
        mov %rsp, %rbp
        mov $WINDOW + 4096 + 8, %esp
        mov $WINDOW + 8, %ebx
        lea window_pt(%rip), %r14
        lea 2f(%rip), %r15
1:      call *(%rbx)
2:      mov %rbp, %rsp
        took 1b, h_map_error, K_FAR, 5, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, h_map_error, K_FAR, 0, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, lbr_returned, K_ICALL, 1
        took lbr_returned, 2b, K_IJMP, 1
        lbr_end 1

        lbr_case "a far CALL whose push faults", USER, before_hole
        lea 2f(%rip), %rax
        mov %eax, (%rdi)
        mov %r9w, 4(%rdi)
        mov %rsp, %rbp
        mov $WINDOW + 16, %esp
        lea window_pt(%rip), %r14
1:      lcall *(%rdi)
2:      mov %rbp, %rsp
        took 1b, h_map_error, K_FAR, 6, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, 2b, K_FAR, 1
        lbr_end 1

        lbr_case "a far RET whose load faults", USER, before_far_pointer
        mov %rsp, %rbp
        mov $WINDOW, %esp
        lea 2f(%rip), %r15
        lea window_pt(%rip), %r14
1:      lretq
2:      mov %rbp, %rsp
        took 1b, h_map_error, K_FAR, 4, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, lbr_returned, K_FAR, 1
        took lbr_returned, 2b, K_IJMP, 1
        lbr_end 1

        lbr_case "REP whose first and 17th iteration fault", BOTH, before_hole
        mov $WINDOW + 4096 - 16, %edi
        mov $32, %ecx
        lea window_pt(%rip), %r14
1:      rep stosb
        jmp 2f
2:      nop
        took 1b, h_map_error, K_FAR, 3, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, h_map_error, K_FAR, 0, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b+2, 2b, K_JMP, 2
        lbr_end 1

        lbr_case "a JMP whose load faults", BOTH, before_pointer
        mov $WINDOW, %ebx
        lea window_pt(%rip), %r14
1:      jmp *(%rbx)
        ud2
        .global lbr_pointed
lbr_pointed:
        nop
        took 1b, h_map_error, K_FAR, 2, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, lbr_pointed, K_IJMP, 1
        lbr_end 1

        lbr_case "a RET whose load faults", USER, before_pointer
        mov %rsp, %rbp
        mov $WINDOW + 8, %esp
        lea 2f(%rip), %r15
        lea window_pt(%rip), %r14
1:      ret
2:      mov %rbp, %rsp
        took 1b, h_map_error, K_FAR, 4, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b, lbr_returned, K_RET, 1
        took lbr_returned, 2b, K_IJMP, 1
        lbr_end 1
        .global lbr_returned
lbr_returned:
        jmp *%r15

        lbr_case "a JMP to an absent page", BOTH, before_jump
        mov $WINDOW, %eax
        lea window_pt(%rip), %r14
        lea 2f(%rip), %r15
1:      jmp *%rax
2:      nop
        took 1b, WINDOW, K_IJMP, 4
        took WINDOW, h_map_error, K_FAR, 0, 0
        took h_map_error_iret, WINDOW, K_FAR, 4
        took WINDOW, 2b, K_IJMP, 1
        lbr_end 1

        lbr_case "a JMP whose second half is in an absent page", BOTH, \
            before_jump_half
        mov $WINDOW + 4096 - 1, %eax
        lea window_pt + 8(%rip), %r14
        lea 2f(%rip), %r15
1:      jmp *%rax
2:      nop
        took 1b, WINDOW+4095, K_IJMP, 4
        took WINDOW+4095, h_map_error, K_FAR, 0, 0
        took h_map_error_iret, WINDOW+4095, K_FAR, 4
        took WINDOW+4095, 2b, K_IJMP, 1
        lbr_end 1

/* Exceptions and interrupts */

        lbr_case "a JMP to UD2", BOTH, before_ud2
        lea 2f(%rip), %r15
1:      jmp 3f
2:      nop
        jmp 4f
3:      ud2
4:      nop
        took 1b, 3b, K_JMP, 2
        took 3b, h_skip, K_FAR, 0, 0
        took h_skip_iret, 2b, K_FAR, 2
        took 2b+1, 4b, K_JMP, 2
        lbr_end 1

        lbr_case "#UD and #DE"
        lea 2f(%rip), %r15
        nop
1:      ud2
2:      lea 4f(%rip), %r15
        xor %ecx, %ecx
3:      div %ecx
4:      nop
        took 1b, h_skip, K_FAR, 2, 0
        took h_skip_iret, 2b, K_FAR, 2
        took 3b, h_skip, K_FAR, 2, 0
        took h_skip_iret, 4b, K_FAR, 2
        lbr_end 1

        lbr_case "INT n whose gate is absent, and so a double fault", USER, \
            before_absent
        lea 2f(%rip), %r15
1:      int $VECTOR_ABSENT
2:      lea 4f(%rip), %r15
3:      hlt
4:      nop
        took 1b, h_skip_error, K_FAR, 1, 0
        took h_skip_error_iret, 2b, K_FAR, 3
        took 3b, h_skip_error, K_FAR, 1, 0
        took h_skip_error_iret, 4b, K_FAR, 3
        lbr_end 1

        lbr_case "#GP", USER, before_gp
        lea 2f(%rip), %r15
1:      hlt
2:      nop
        took 1b, h_skip_error, K_FAR, 1, 0
        took h_skip_error_iret, 2b, K_FAR, 3
        lbr_end 1

        lbr_case "#PF on an access", BOTH, before_hole
        mov $WINDOW, %ebx
        lea window_pt(%rip), %r14
1:      mov (%rbx), %eax
        jmp 2f
2:      nop
        took 1b, h_map_error, K_FAR, 2, 0
        took h_map_error_iret, 1b, K_FAR, 4
        took 1b+2, 2b, K_JMP, 2
        lbr_end 1

        lbr_case "INT n and INT3"
        nop
1:      int $0x43
        nop
2:      int3
        nop
        took 1b, h_iret, K_FAR, 2, 0
        took h_iret, 1b+2, K_FAR, 1
        took 2b, h_iret, K_FAR, 2, 0
        took h_iret, 2b+1, K_FAR, 1
        lbr_end 1

        lbr_case "a hardware interrupt"
        mov $APIC, %eax
        cli
        movl $0x40000 | VECTOR_IPI, APIC_ICR(%rax)
        sti
        nop
1:      nop
        cli
        took 1b, h_irq, K_FAR, 5, 0
        took h_irq_iret, 1b, K_FAR, 5
        lbr_end 2

        lbr_case "HLT that an interrupt ends", KERNEL, before_timer
        mov $APIC, %eax
        movl $100000, APIC_TIMER_INIT(%rax)
        sti
        hlt
1:      cli
        took 1b, h_irq, K_FAR, 4, 0
        took h_irq_iret, 1b, K_FAR, 5
        lbr_end 1

/* Far branches */

        lbr_case "SYSCALL and SYSRET", USER, before_syscall
1:      syscall
        nop
        took 1b, h_sysret, K_FAR, 1, 0
        took h_sysret, 1b+2, K_FAR, 1
        lbr_end 1

        lbr_case "SYSENTER and SYSEXIT", USER
        xor %r10d, %r10d
        mov %rsp, %rcx
        lea 2f(%rip), %rdx
1:      sysenter
        ud2
2:      nop
        took 1b, h_sysexit, K_FAR, 4, 0
        took h_sysexit_64, 2b, K_FAR, 3
        lbr_end 1

        lbr_case "far JMP, CALL and RET"
        lea 2f(%rip), %rax
        mov %eax, (%rdi)
        mov %r9w, 4(%rdi)
1:      ljmp *(%rdi)
        ud2
2:      lea 4f(%rip), %rax
        mov %eax, (%rdi)
3:      lcall *(%rdi)
        jmp 5f
4:      nop
        lretl
5:      nop
        took 1b, 2b, K_FAR, 4
        took 3b, 4b, K_FAR, 3
        took 4b+1, 3b+2, K_FAR, 2
        took 3b+2, 5b, K_JMP, 1
        lbr_end 1

        lbr_case "IRET in one ring"
        mov %rsp, %rbp
        mov %ss, %eax
        push %rax
        push %rbp
        pushf
        push %r9
        lea 2f(%rip), %rax
        push %rax
1:      iretq
        ud2
2:      nop
        took 1b, 2b, K_FAR, 9
        lbr_end 1

        .macro far_pointers to, back, selector
        lea \to(%rip), %rax
        mov %eax, (%rdi)
        mov \selector, 4(%rdi)
        lea \back(%rip), %rax
        mov %eax, 8(%rdi)
        mov %r9w, 12(%rdi)
        .endm

        lbr_case "SYSEXIT to 32-bit code, which ignores bits 63:32 of RDX", USER
        far_pointers 2f, 4f, %r8w
        mov %rsp, %rcx
        lea 2f(%rip), %rdx
        bts $40, %rdx
        bts $32, %r10
1:      sysenter
        .code32
2:      jmp 3f
        ud2
3:      ljmp *%ss:8(%edi)
        .code64
4:      nop
        took 1b, h_sysexit, K_FAR, 11, 0
        took h_sysexit_jc, h_sysexit_32, K_JCC, 2, 0
        took h_sysexit_32, 2b, K_FAR, 1
        took 2b, 3b, K_JMP, 1
        took 3b, 4b, K_FAR, 1
        lbr_end 1

        lbr_case "SYSRET to 32-bit code", USER, before_syscall32
        far_pointers 2f, 4f, %r8w
1:      syscall
        .code32
2:      jmp 3f
        ud2
3:      ljmp *%ss:8(%edi)
        .code64
4:      nop
        took 1b, h_sysret32, K_FAR, 7, 0
        took h_sysret32_insn, 2b, K_FAR, 2
        took 2b, 3b, K_JMP, 1
        took 3b, 4b, K_FAR, 1
        lbr_end 1

        lbr_case "SYSENTER from 32-bit code", USER
        far_pointers 2f, 4f, %r8w
        xor %r10d, %r10d
        mov %rsp, %rcx
        lea 4f(%rip), %rdx
1:      ljmp *(%rdi)
        .code32
2:      jmp 3f
        ud2
3:      sysenter
        .code64
4:      nop
        took 1b, 2b, K_FAR, 10
        took 2b, 3b, K_JMP, 1
        took 3b, h_sysexit, K_FAR, 1, 0
        took h_sysexit_64, 4b, K_FAR, 3
        lbr_end 1

        lbr_case "INT n, INT3 and INTO in 32-bit code"
        far_pointers 2f, 4f, %r8w
1:      ljmp *(%rdi)
        .code32
2:      int $0x43
        int3
        into
        mov $0x7fffffff, %eax
        inc %eax
3:      into
5:      ljmp *%ss:8(%edi)
        .code64
4:      nop
        took 1b, 2b, K_FAR, 7
        took 2b, h_iret, K_FAR, 1, 0
        took h_iret, 2b+2, K_FAR, 1
        took 2b+2, h_iret, K_FAR, 1, 0
        took h_iret, 2b+3, K_FAR, 1
        took 3b, h_iret, K_FAR, 4, 0
        took h_iret, 5b, K_FAR, 1
        took 5b, 4b, K_FAR, 1
        lbr_end 1

        lbr_case "32-bit code"
        far_pointers 2f, 4f, %r8w
1:      ljmp *(%rdi)
        .code32
2:      call 3f
        inc %eax
        jz 1b
        jmp 5f
3:      ret
5:      ljmp *%ss:8(%edi)
        .code64
4:      nop
        took 1b, 2b, K_FAR, 7
        took 2b, 3b, K_CALL, 1
        took 3b, 2b+5, K_RET, 1
        took 3b-2, 5b, K_JMP, 3
        took 5b, 4b, K_FAR, 1
        lbr_end 1

        lbr_case "32-bit code in a segment with a base"
        mov $SEL_BASED_KERNEL, %r10d
        mov $SEL_BASED_USER, %r11d
        cmp $SEL_KERNEL, %r9d
        cmovne %r11d, %r10d
        far_pointers (2f-SEGMENT_BASE), 4f, %r10w
1:      ljmp *(%rdi)
        .code32
2:      call 3f
6:      jmp 5f
3:      ret
5:      ljmp *%ss:8(%edi)
        .code64
4:      nop
        took 1b, 2b, K_FAR, 11, OWN, 0, SEGMENT_BASE
        took 2b, 3b, K_CALL, 1, OWN, SEGMENT_BASE, SEGMENT_BASE
        took 3b, 6b, K_RET, 1, OWN, SEGMENT_BASE, SEGMENT_BASE
        took 6b, 5b, K_JMP, 1, OWN, SEGMENT_BASE, SEGMENT_BASE
        took 5b, 4b, K_FAR, 1, OWN, SEGMENT_BASE, 0
        lbr_end 1

/* Code of single tests */

        .global lbr_loop, lbr_loop_dec, lbr_loop_jnz
lbr_loop:
        mov $LBR_TURNS, %ecx
lbr_loop_dec:
        dec %ecx
lbr_loop_jnz:
        jnz lbr_loop_dec
        ret

/* An interrupt that waits comes at lbr_irq1_at. */
        .global lbr_irq1, lbr_irq1_at, h_irq1, h_irq1_iret
lbr_irq1:
        sti
        nop
lbr_irq1_at:
        cli
        ret

h_irq1: push %rax
        mov $0x20, %al
        out %al, $0x20
        pop %rax
h_irq1_iret:
        iretq

/* To LBR_EDGE, where a JMP leads out of the lower half */
        .global lbr_edge, lbr_edge_jmp, lbr_edge_end
lbr_edge:
        mov $LBR_EDGE, %rax
        lea 2f(%rip), %r15
        jmp *%rax
2:      ret
lbr_edge_jmp:
        jmp . + 0x1000
lbr_edge_end:

/* Send this CPU an SMI. */
        .global lbr_smi, lbr_smi_ret
lbr_smi:
        mov $APIC + APIC_ICR, %eax
        movl $APIC_SELF_SMI, (%rax)
        nop
lbr_smi_ret:
        ret

        .global lbr_trapped, lbr_trapped_jmp, lbr_trapped_to
lbr_trapped:
        pushf
        orl $0x100, (%rsp)
        popf
lbr_trapped_jmp:
        jmp lbr_trapped_to
        ud2
lbr_trapped_to:
        jmp 1f
1:      ret

        .section .note.GNU-stack, "", @progbits
