/*
 * Entering a guest, and the guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
        .text
        .code64

/*
 * unsigned vmx_enter(uint64_t *regs, bool launch): VMLAUNCH or VMRESUME with
 * RAX, RBX, RCX and RDX from @regs, which a VM exit fills again.  Returns 0
 * after an exit, 1 if CF is set, 2 if ZF is.
 */
        .global vmx_enter, vmx_exited
vmx_enter:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        push %rdi
        mov $0x6c14, %eax               /* VMCS_HOST_RSP */
        vmwrite %rsp, %rax
        test %sil, %sil
        mov 0(%rdi), %rax
        mov 8(%rdi), %rbx
        mov 16(%rdi), %rcx
        mov 24(%rdi), %rdx
        jz 1f
        vmlaunch
        jmp 2f
1:      vmresume
2:      mov $1, %eax
        jc 3f
        mov $2, %eax
3:      pop %rdi
        jmp 4f
vmx_exited:
        pop %rdi
        mov %rax, 0(%rdi)
        mov %rbx, 8(%rdi)
        mov %rcx, 16(%rdi)
        mov %rdx, 24(%rdi)
        xor %eax, %eax
4:      pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        ret

/* Guests: what they do is in vmx.c, by name. */
.macro guest name
        .global guest_\name
guest_\name:
.endm

guest cpuid
        cpuid
        vmcall
guest hlt
        hlt
        vmcall
guest rdtsc
        rdtsc
        vmcall
guest rdtscp
        rdtscp
        vmcall
guest rdpid
        rdpid %rax
        vmcall
guest invd
        invd
        vmcall
guest wbinvd
        wbinvd
        vmcall
guest invlpg
        mov $0x1234000, %ebx
        invlpg 0x56(%rbx)
        vmcall
guest rdmsr
        mov $0x10, %ecx
        rdmsr
        vmcall
guest wrmsr
        wrmsr
        vmcall
guest in
        in $0x61, %al
        vmcall
guest out
        mov $0x511, %edx
        out %ax, %dx
        vmcall
guest mov_cr3
        mov %cr3, %rbx
        vmcall
guest set_cr3
        mov %rax, %cr3
        vmcall
guest cr8
        mov %cr8, %r9
        vmcall
guest mov_dr
        mov %rdx, %dr7
        vmcall
guest read_cr
        mov %cr0, %rax
        mov %cr4, %rbx
        smsw %ecx
        vmcall
guest set_cr0
        mov %rax, %cr0
        mov %cr0, %rbx
        vmcall
guest clts
        clts
        vmcall
guest lmsw
        lmsw %ax
        vmcall
guest sgdt
        sgdt -0x40(%rsp)
        vmcall
guest str
        str %ax
        vmcall
guest vmread
        vmread %rax, 8(%rbx,%rcx,4)
        vmcall
guest pause
        pause
        vmcall
guest ud
        ud2
        vmcall
guest int3
        int3
        vmcall
guest load
        mov (%rax), %rbx
        vmcall
guest store
        mov %rbx, (%rax)
        vmcall
guest nothing
        vmcall
guest steps
        nop
        nop
        vmcall
guest sti
        sti
        nop
        nop
        vmcall
guest triple
        lidt zero_idt
        ud2

/* In a guest with PAE paging: load from EBX, reload CR3, load again. */
        .code32
guest pae
        mov (%ebx), %ecx
        mov %cr3, %eax
        mov %eax, %cr3
        mov (%ebx), %edx
        vmcall
        .code64

/* Of a known length: 6 instructions, 2 of them branches, 1 taken. */
guest count
        mov $2, %ecx
1:      nop
        dec %ecx
        jnz 1b
        cpuid
        vmcall

/* Two jumps that are recorded */
        .global guest_jump, guest_jumped, guest_jump_2, guest_jumped_2
guest branches
        lea guest_jumped(%rip), %rax
guest_jump:
        jmp *%rax
guest_jumped:
        lea guest_jumped_2(%rip), %rax
        nop
guest_jump_2:
        jmp *%rax
guest_jumped_2:
        nop
        vmcall

/* It takes a second or so. */
guest long
        mov $0x10000000, %ecx
1:      dec %ecx
        jnz 1b
        vmcall

/* It exits at IN, in the middle of a block. */
guest count_io
        nop
        in $0x80, %al
        nop
        vmcall

/* With a mask of CR0, SMSW and LMSW are not executed by TCG. */
guest count_masked
        smsw guest_word
        lmsw guest_word
        smsw %eax
        vmcall

/* An injected event ends here: the vector's number to RAX. */
        .global guest_stubs
        .balign 16
guest_stubs:
        .set vector, 0
        .rept 32
        .balign 16
        mov $vector, %eax
        vmcall
        .set vector, vector + 1
        .endr

        .data
        .balign 16
guest_word:
        .quad 0
zero_idt:
        .fill 10, 1, 0

        .section .note.GNU-stack, "", @progbits
