/*
 * Far branches: gates, rings, tasks, and code that is not 64-bit code
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Cases as lbr.h describes them.  lbr-far.c has the descriptors.
 */
#include "lbr-case.inc"

/* In a TSS of 32-bit code */
#define TSS_ESP0        4
#define TSS_EIP         0x20

/* EFLAGS: VM86 with IOPL 3 */
#define FLAGS_VM86      0x23002

/* From 64-bit code in ring 0 to protected mode without paging */
        .set TO_LEGACY, 10      /* instructions behind its branch */
        .macro to_legacy
.Lto\@: ljmp *.Lpointer\@
        .pushsection .rodata
.Lpointer\@:
        .long .Lcode\@
        .word SEL_KERNEL32
        .popsection
        .code32
.Lcode\@:
        mov $SEL_KDATA, %eax
        mov %eax, %ss
        mov %eax, %ds
        mov %eax, %es
        mov %cr0, %eax
        btr $31, %eax
        mov %eax, %cr0
        lidt lbr_idt32
        mov $SEL_TSS_A, %eax
        ltr %ax
        took .Lto\@, .Lcode\@, K_FAR, 1
        .endm

/* And back, after @insns since the last branch; 3 follow its own. */
        .set FROM_LEGACY, 3
        .macro from_legacy insns
        mov %ss, %eax
        mov %eax, %ds
        lidt lbr_idt64
        clts
        mov %cr0, %eax
        bts $31, %eax
        mov %eax, %cr0
.Lfrom\@:
        ljmp $SEL_KERNEL, $.Lback\@
        .code64
.Lback\@:
        andb $~2, gdt + SEL_TSS + 5
        mov $SEL_TSS, %eax
        ltr %ax
        took .Lfrom\@, .Lback\@, K_FAR, \insns+8
        .endm

        .text

/* Handlers */
        .global lbr_gate, lbr_back64, lbr_gate32, lbr_back32
lbr_gate:
        nop
lbr_gate_ret:
        lretq

/* Go on in ring 0, at RBX, with the stack at RBP. */
lbr_back64:
        mov %rbp, %rsp
lbr_back64_jmp:
        jmp *%rbx

        .code32
lbr_gate32:
        nop
lbr_gate32_ret:
        lret $4

/* The same as lbr_back64 at EBP, with the stack that the TSS has */
lbr_back32:
        mov %ss:lbr_tss_a + TSS_ESP0, %esp
lbr_back32_jmp:
        jmp *%ebp
        .code64

/* Rings */

        lbr_case "a call gate to ring 0, and RETF", USER, before_far
        movw $SEL_GATE, 4(%rdi)
1:      lcall *(%rdi)
        jmp 2f
2:      nop
        took 1b, lbr_gate, K_FAR, 2, 0
        took lbr_gate_ret, 1b+2, K_FAR, 2
        took 1b+2, 2b, K_JMP, 1
        lbr_end 1

        lbr_case "RETF to ring 1, and a call gate back", KERNEL, before_far
        movw $SEL_GATE_BACK, 4(%rdi)
        mov %rsp, %rbp
        lea 5f(%rip), %rbx
        push $SEL_DATA1
        push %rbp
        push $SEL_CODE1
        lea 2f(%rip), %rax
        push %rax
1:      lretq
2:      call 3f
4:      lcall *(%rdi)
3:      ret
5:      nop
        took 1b, 2b, K_FAR, 9, 1
        took 2b, 3b, K_CALL, 1, 1
        took 3b, 4b, K_RET, 1, 1
        took 4b, lbr_back64, K_FAR, 1
        took lbr_back64_jmp, 5b, K_IJMP, 2
        lbr_end 1

        lbr_case "IRET to ring 3, 32-bit code, and a call gate back", KERNEL, \
            before_far
        movw $SEL_GATE_BACK, 4(%rdi)
        mov %rsp, %rbp
        lea 5f(%rip), %rbx
        push $SEL_UDATA
        push %rbp
        pushf
        push $SEL_USER32
        lea 2f(%rip), %rax
        push %rax
1:      iretq
        .code32
2:      jmp 4f
4:      lcall *%ss:(%edi)
        .code64
5:      nop
        took 1b, 2b, K_FAR, 10, 3
        took 2b, 4b, K_JMP, 1, 3
        took 4b, lbr_back64, K_FAR, 1
        took lbr_back64_jmp, 5b, K_IJMP, 2
        lbr_end 1

/* Protected mode without paging */

        lbr_case "out of long mode and back", KERNEL, before_far
        to_legacy
        from_legacy TO_LEGACY
        lbr_end FROM_LEGACY

        .macro to_task_a
        ljmp $SEL_TSS_A, $0
        .endm

        .macro switched by, selector, back
        to_legacy
        movl $2f, lbr_tss_b + TSS_EIP
1:      \by $\selector, $0
        nop
5:      jmp 4f
2:      nop
3:      \back
4:      took 1b, 2b, K_FAR, TO_LEGACY+2
        took 3b, 1b+7, K_FAR, 2
        took 5b, 4b, K_JMP, 2
        from_legacy 0
        lbr_end FROM_LEGACY
        .endm

        lbr_case "a task switch by JMP", KERNEL, before_far
        switched ljmp, SEL_TSS_B, to_task_a

        lbr_case "a task switch by CALL, and IRET", KERNEL, before_far
        switched lcall, SEL_TSS_B, iret

        lbr_case "a task gate with JMP", KERNEL, before_far
        switched ljmp, SEL_TASK_GATE, to_task_a

        lbr_case "a task gate with CALL, and IRET", KERNEL, before_far
        switched lcall, SEL_TASK_GATE, iret

        lbr_case "a task gate with INT and with #UD", KERNEL, before_far
        to_legacy
        movl $2f, lbr_tss_b + TSS_EIP
1:      int $VECTOR_TASK
        movl $6f, lbr_tss_b + TSS_EIP
5:      ud2
        jmp 4f
2:      nop
3:      iret
6:      addl $2, lbr_tss_a + TSS_EIP
7:      iret
4:      took 1b, 2b, K_FAR, TO_LEGACY+2
        took 3b, 1b+2, K_FAR, 2
        took 5b, 6b, K_FAR, 1
        took 7b, 5b+2, K_FAR, 2
        took 5b+2, 4b, K_JMP, 1
        from_legacy 0
        lbr_end FROM_LEGACY

        lbr_case "a task in ring 3", KERNEL, before_far
        to_legacy
        movl $2f, lbr_tss_user + TSS_EIP
1:      lcall $SEL_TSS_USER, $0
        jmp 4f
2:      call 5f
6:      iret
5:      ret
4:      took 1b, 2b, K_FAR, TO_LEGACY+2, 3
        took 2b, 5b, K_CALL, 1, 3
        took 5b, 6b, K_RET, 1, 3
        took 6b, 1b+7, K_FAR, 1
        took 1b+7, 4b, K_JMP, 1
        from_legacy 0
        lbr_end FROM_LEGACY

        lbr_case "a call gate of 32-bit code, with an argument", KERNEL, \
            before_far
        to_legacy
        mov %esp, lbr_tss_a + TSS_ESP0
        mov $4f, %ebp
        push $SEL_UDATA
        push $lbr_stack_user
        push $SEL_USER32
        push $2f
1:      lret
2:      push $7
3:      lcall $SEL_GATE32, $0
5:      int $VECTOR_BACK
4:      took 1b, 2b, K_FAR, TO_LEGACY+7, 3
        took 3b, lbr_gate32, K_FAR, 2
        took lbr_gate32_ret, 5b, K_FAR, 2, 3
        took 5b, lbr_back32, K_FAR, 1
        took lbr_back32_jmp, 4b, K_IJMP, 2
        from_legacy 0
        lbr_end FROM_LEGACY

/*
 * 16-bit code, which is copied to LOW: each branch wraps, near ones at 64 KiB.
 * It goes on at the 32-bit far pointer on the stack.
 */
        .section .low, "a"
        .code16
        .global lbr_low, lbr_low_end
lbr_low:

        .org 0x10
low_wrapped:
        .byte 0xe8              /* CALL, over the start */
        .word low_ret - 1f
1:      .byte 0x66, 0xe9        /* JMP rel32 */
        .long low_back - low_back_jmp_end
low_back_jmp_end:

        .org 0x100
low_code:
        jmp low_loop
        nop
low_loop:
        mov $2, %cx
low_loop_insn:
        loop low_loop_insn
low_call:
        call low_leaf
low_icall:
        mov $(low_leaf - lbr_low), %ax
low_icall_insn:
        call *%ax
low_ijmp:
        mov $(low_end - lbr_low), %ax
low_ijmp_insn:
        jmp *%ax
low_leaf:
        ret
low_back:
        lretl
low_end:
        .byte 0xe9              /* JMP, over the start */
        .word low_high - low_end - 3

/* Real mode: switched to in a 16-bit segment, and back to 32-bit code */
low_real:
        mov $lbr_ivt_pointer, %edx
        lidtl %ss:(%edx)
        mov %cr0, %eax
        btr $0, %eax
        mov %eax, %cr0
low_real_jmp:
        ljmp $LOW >> 4, $low_real_1 - lbr_low
low_real_1:
        pushl $LOW >> 4
        pushl $low_real_2 - lbr_low
low_real_near:
        jmp low_code
low_real_2:
        int $VECTOR_TASK
low_real_int3:
        int3
low_real_call:
        lcall $LOW >> 4, $low_lret - lbr_low
low_real_3:
        mov %cr0, %eax
        bts $0, %eax
        mov %eax, %cr0
        mov $lbr_real_pointer, %edx
low_real_end:
        ljmpl *%ss:(%edx)
low_lret:
        lret
        .global low_iret
low_iret:
        nop
low_iret_insn:
        iret

/* VM86 */
low_vm86:
        pushl $LOW >> 4
        pushl $low_vm86_1 - lbr_low
low_vm86_jmp:
        jmp low_code
low_vm86_1:
        int $VECTOR_BACK

/* 32-bit code with 16-bit operands: EIP is truncated. */
        .code32
low_32:
        .byte 0x66, 0xe9
        .word low_32_high - low_32_1
low_32_1:
        nop
low_32_loop:
        mov $2, %cx
low_32_loop_insn:
        .byte 0x66, 0xe2, low_32_loop_insn - low_32_call
low_32_call:
        .byte 0x66, 0xe8
        .word low_32_ret - low_32_2
low_32_2:
        lret

        .org 0xff80
low_32_high:
        xor %eax, %eax
low_32_jz:
        .byte 0x66, 0x0f, 0x84  /* JZ rel16, over the end */
        .word low_32_1 - low_32_jz_end
low_32_jz_end:
low_32_ret:
        retw

        .code16
        .org 0xfff0
low_high:
        xor %ax, %ax
low_jz:
        .byte 0x74, low_wrapped + 0x10000 - low_jz - 2
low_ret:
        ret
lbr_low_end:

/* The branches of low_code, in @ring */
        .macro took_low_one from, to, kind, insns, ring
        took (LOW+\from-lbr_low), (LOW+\to-lbr_low), \kind, \insns, \ring, \
            LOW, LOW
        .endm

        .macro took_low ring
        took_low_one low_code, low_loop, K_JMP, 1, \ring
        took_low_one low_loop_insn, low_loop_insn, K_JCC, 2, \ring
        took_low_one low_call, low_leaf, K_CALL, 2, \ring
        took_low_one low_leaf, low_icall, K_RET, 1, \ring
        took_low_one low_icall_insn, low_leaf, K_ICALL, 2, \ring
        took_low_one low_leaf, low_ijmp, K_RET, 1, \ring
        took_low_one low_ijmp_insn, low_end, K_IJMP, 2, \ring
        took_low_one low_end, low_high, K_JMP, 1, \ring
        took_low_one low_jz, low_wrapped, K_JCC, 2, \ring
        took_low_one low_wrapped, low_ret, K_CALL, 1, \ring
        took_low_one low_ret, low_wrapped+3, K_RET, 1, \ring
        took_low_one low_wrapped+3, low_back, K_JMP, 1, \ring
        .endm

        .text
        .code64

/* R10W: the selector of the current ring, of these two */
        .macro select kernel, user
        mov $\kernel, %r10d
        mov $\user, %r11d
        cmp $SEL_KERNEL, %r9d
        cmovne %r11d, %r10d
        movw %r10w, 4(%rdi)
        .endm

        lbr_case "16-bit code, over the ends of its segment", BOTH, before_far
        select SEL_LOW16_KERNEL, SEL_LOW16_USER
        movl $low_code - lbr_low, (%rdi)
1:      lcall *(%rdi)
        jmp 2f
2:      nop
        took 1b, (LOW+low_code-lbr_low), K_FAR, 7, OWN, 0, LOW
        took_low OWN
        took (LOW+low_back-lbr_low), 1b+2, K_FAR, 1, OWN, LOW
        took 1b+2, 2b, K_JMP, 1
        lbr_end 1

        lbr_case "32-bit code with 16-bit operands", BOTH, before_far
        select SEL_LOW32_KERNEL, SEL_LOW32_USER
        movl $low_32 - lbr_low, (%rdi)
1:      lcall *(%rdi)
        jmp 2f
2:      nop
        took 1b, (LOW+low_32-lbr_low), K_FAR, 7, OWN, 0, LOW
        took_low_one low_32, low_32_high, K_JMP, 1, OWN
        took_low_one low_32_jz, low_32_1, K_JCC, 2, OWN
        took_low_one low_32_loop_insn, low_32_loop_insn, K_JCC, 3, OWN
        took_low_one low_32_call, low_32_ret, K_CALL, 2, OWN
        took_low_one low_32_ret, low_32_2, K_RET, 1, OWN
        took (LOW+low_32_2-lbr_low), 1b+2, K_FAR, 1, OWN, LOW
        took 1b+2, 2b, K_JMP, 1
        lbr_end 1

        lbr_case "VM86", KERNEL, before_far
        to_legacy
        mov %esp, lbr_tss_a + TSS_ESP0
        mov $2f, %ebp
        push $0
        push $0
        push $0
        push $0
        push $LOW_STACK >> 4
        push $0x1000
        push $FLAGS_VM86
        push $LOW >> 4
        push $low_vm86 - lbr_low
1:      iret
2:      took 1b, (LOW+low_vm86-lbr_low), K_FAR, TO_LEGACY+12, 3, 0, LOW
        took_low_one low_vm86_jmp, low_code, K_JMP, 3, 3
        took_low 3
        took_low_one low_back, low_vm86_1, K_FAR, 1, 3
        took (LOW+low_vm86_1-lbr_low), lbr_back32, K_FAR, 1, OWN, LOW
        took lbr_back32_jmp, 2b, K_IJMP, 2
        from_legacy 0
        lbr_end FROM_LEGACY

        lbr_case "real mode", KERNEL, before_far
        to_legacy
1:      ljmp $SEL_LOW16_KERNEL, $low_real - lbr_low
        .global lbr_from_real
lbr_from_real:
        took 1b, (LOW+low_real-lbr_low), K_FAR, TO_LEGACY+1, OWN, 0, LOW
        took_low_one low_real_jmp, low_real_1, K_FAR, 6, OWN
        took_low_one low_real_near, low_code, K_JMP, 3, OWN
        took_low OWN
        took_low_one low_back, low_real_2, K_FAR, 1, OWN
        took_low_one low_real_2, low_iret, K_FAR, 1, OWN
        took_low_one low_iret_insn, low_real_int3, K_FAR, 2, OWN
        took_low_one low_real_int3, low_iret, K_FAR, 1, OWN
        took_low_one low_iret_insn, low_real_call, K_FAR, 2, OWN
        took_low_one low_real_call, low_lret, K_FAR, 1, OWN
        took_low_one low_lret, low_real_3, K_FAR, 1, OWN
        took (LOW+low_real_end-lbr_low), lbr_from_real, K_FAR, 5, OWN, LOW
        from_legacy 0
        lbr_end FROM_LEGACY

        .section .note.GNU-stack, "", @progbits
