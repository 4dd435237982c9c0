/*
 * From QEMU's PVH entry to C in 64-bit mode, for every CPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define ASSEMBLY
#include "rt.h"

        .section .note.Xen, "a", @note
        .balign 4
        .long 4, 4, 18          /* XEN_ELFNOTE_PHYS32_ENTRY */
        .asciz "Xen"
        .long start

/* Real mode: application processors start here, copied to AP_START. */
        .text
        .code16
        .global ap_trampoline, ap_trampoline_end
ap_trampoline:
        cli
        lgdtl %cs:(ap_gdt_pointer - ap_trampoline)
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        ljmpl $SEL_KERNEL32, $start
        .balign 4
ap_gdt_pointer:
        .word gdt_end - gdt - 1
        .long gdt
ap_trampoline_end:

        .code32
        .global start
start:
        cld
        lgdt gdt_pointer
        ljmp $SEL_KERNEL32, $1f
1:      mov $SEL_KDATA, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        mov $0x620, %eax        /* PAE, OSFXSR, OSXMMEXCPT */
        mov %eax, %cr4
        mov $pml4, %eax
        mov %eax, %cr3
        mov $0xc0000080, %ecx   /* EFER: LME, SCE */
        rdmsr
        or $0x101, %eax
        wrmsr
        mov $0x80010033, %eax   /* PG, WP, NE, ET, MP, PE */
        mov %eax, %cr0
        ljmp $SEL_KERNEL, $start64

        .code64
start64:
        mov $1, %eax            /* CPUID: the local APIC's number */
        cpuid
        shr $24, %ebx
        mov %ebx, %edi
        lea 1(%rdi), %eax
        imul $STACK_SIZE, %eax, %eax
        lea stacks(%rax), %rsp
        fninit
        call cpu_start
1:      cli
        hlt
        jmp 1b

/* Vectors without a handler of their own come to trap() in rt.c. */
        .global stubs
        .balign 16
stubs:
        .set vector, 0
        .rept 256
        .balign 16
        .if vector > 31
        push $0
        .elseif !((1 << vector) & 0x27d00)
        push $0
        .endif
        push $vector
        jmp common
        .set vector, vector + 1
        .endr

        .global h_iret, h_sysret
h_iret: iretq
h_sysret:
        sysretq

common:
        push %rax
        push %rcx
        push %rdx
        push %rbx
        push %rbp
        push %rsi
        push %rdi
        push %r8
        push %r9
        push %r10
        push %r11
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rsp, %rdi
        mov %rsp, %rbp
        and $-16, %rsp
        call trap
        mov %rbp, %rsp
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rdi
        pop %rsi
        pop %rbp
        pop %rbx
        pop %rdx
        pop %rcx
        pop %rax
        add $16, %rsp
        iretq

/*
 * bool try_wrmsr(uint32_t msr, uint64_t value),
 * bool try_rdmsr(uint32_t msr, uint64_t *value),
 * bool try_rdpmc(uint32_t index, uint64_t *value): false on #GP
 *
 * trap() knows the three instructions.
 */
        .global try_wrmsr, try_rdmsr, try_rdpmc, try_failed
        .global insn_wrmsr, insn_rdmsr, insn_rdpmc
try_wrmsr:
        mov %edi, %ecx
        mov %esi, %eax
        mov %rsi, %rdx
        shr $32, %rdx
insn_wrmsr:
        wrmsr
        mov $1, %eax
        ret
try_rdmsr:
        mov %edi, %ecx
insn_rdmsr:
        rdmsr
        jmp 1f
try_rdpmc:
        mov %edi, %ecx
insn_rdpmc:
        rdpmc
1:      shl $32, %rdx
        mov %eax, %eax
        or %rdx, %rax
        mov %rax, (%rsi)
        mov $1, %eax
        ret
try_failed:
        xor %eax, %eax
        ret

/*
 * void run(struct run *r): call a piece of code with the counters running
 *
 * The WRMSR that starts them is not counted.  rt.h says what is counted
 * besides the code.  At @ctrl_places are the addresses of the register's
 * number, which is another on AMD: reading it from memory would be a load.
 */
        .macro to_global_ctrl
778:    mov $MSR_GLOBAL_CTRL, %ecx
        .pushsection .rodata
        .quad 778b + 1
        .popsection
        .endm

        .global run, user_done, ctrl_places
        .global run_call, run_return, run_iret, user_exit
        .pushsection .rodata
        .balign 8
ctrl_places:
        .popsection
run:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov %rdi, %rbx
        mov 0(%rbx), %r12       /* code */
        mov 8(%rbx), %eax       /* mask */
        mov 12(%rbx), %edx
        mov 40(%rbx), %rsi      /* buffers */
        mov 32(%rbx), %rdi
        to_global_ctrl
        cmpl $0, 24(%rbx)       /* user */
        jne 1f

        mov $SEL_KERNEL32, %r8d
        mov $SEL_KERNEL, %r9d
        push 16(%rbx)           /* flags */
        popf
        wrmsr
run_call:
        call *%r12
run_return:
        xor %eax, %eax
        xor %edx, %edx
        to_global_ctrl
        wrmsr
        jmp 2f

1:      mov 48(%rbx), %rbp      /* where TSS.RSP0 points */
        mov %rsp, (%rbp)
        mov 56(%rbx), %rbp      /* the user's stack */
        sub $8, %rbp
        movq $user_exit, (%rbp)
        mov $SEL_USER32, %r8d
        mov $SEL_USER, %r9d
        push $SEL_UDATA
        push %rbp
        push 16(%rbx)
        push $SEL_USER
        push %r12
        wrmsr
run_iret:
        iretq
user_exit:
        int $VECTOR_DONE
user_done:
        xor %eax, %eax
        xor %edx, %edx
        to_global_ctrl
        wrmsr
        mov 40(%rsp), %rsp

2:      mov $SEL_KDATA, %eax    /* It is null after an interrupt in ring 3. */
        mov %eax, %ss
        push $2
        popf
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

        .data
        .balign 16
gdt_pointer:
        .word gdt_end - gdt - 1
        .long gdt
        .long 0
        .balign 16
        .global gdt
gdt:
        .quad 0
        .quad 0x00af9b000000ffff        /* SEL_KERNEL */
        .quad 0x00cf93000000ffff        /* SEL_KDATA */
        .quad 0x00cffb000000ffff        /* SEL_USER32 */
        .quad 0x00cff3000000ffff        /* SEL_UDATA */
        .quad 0x00affb000000ffff        /* SEL_USER */
        .quad 0x00cff3000000ffff        /* SS after SYSEXIT */
        .quad 0x00cf9b000000ffff        /* SEL_KERNEL32 */
        .fill 2 * MAX_CPUS, 8, 0        /* SEL_TSS */
        .quad 0x00cf9b100000ffff        /* SEL_BASED_KERNEL: SEGMENT_BASE */
        .quad 0x00cffb100000ffff        /* SEL_BASED_USER */
        .fill 16, 8, 0                  /* SEL_FREE */
gdt_end:

/*
 * Everything is mapped one to one and open to ring 3, in large pages: the
 * first GiB and the one with the APIC.  The first pages of the second GiB are
 * the window, small pages that start out absent.
 */
        .balign 4096
pml4:   .quad pdpt + 7
        .fill 299, 8, 0
        .quad pdpt + 7                  /* UPPER */
        .fill 211, 8, 0
pdpt:   .quad pd0 + 7, pd1 + 7, 0, pd3 + 7
        .fill 508, 8, 0
pd0:    .set page, 0
        .rept 512
        .quad (page << 21) + 0xe7
        .set page, page + 1
        .endr
pd1:    .quad window_pt + 7
        .fill 511, 8, 0
pd3:    .set page, 3 << 9
        .rept 512
        .quad (page << 21) + 0xe7
        .set page, page + 1
        .endr
        .global window_pt
window_pt:
        .fill 512, 8, 0

        .bss
        .balign 4096
stacks: .skip MAX_CPUS * STACK_SIZE

        .section .note.GNU-stack, "", @progbits
