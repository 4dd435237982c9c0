/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of the tests in this folder: an interpreter for a table of
 * operations, and a loop in user mode whose instructions are known.
 *
 * It runs in 32-bit protected mode, flat and without paging.  The code is
 * copied to GUEST_CODE and does not depend on where it was linked.
 */
#define GUEST_ASSEMBLER
#include "guest.h"

#define AT(label)   (label - guest_start + GUEST_CODE)

    .section .rodata
    .code32
    .globl guest_start, guest_entry, guest_fault, guest_nmi, guest_syscall
    .globl guest_end

guest_start:
guest_entry:
    mov     $GUEST_TABLE, %esi
next:
    mov     (%esi), %ebx
    cmp     $OP_WRMSR, %ebx
    je      do_wrmsr
    cmp     $OP_RDMSR, %ebx
    je      do_rdmsr
    cmp     $OP_RDPMC, %ebx
    je      do_rdpmc
    cmp     $OP_STORE, %ebx
    je      do_store
    cmp     $OP_USER, %ebx
    je      do_user
    mov     $0, %al
    out     %al, $GUEST_PORT
do_wrmsr:
    mov     4(%esi), %ecx
    mov     8(%esi), %eax
    mov     12(%esi), %edx
    wrmsr
    jmp     step
do_rdmsr:
    mov     4(%esi), %ecx
    rdmsr
    jmp     result
do_rdpmc:
    mov     4(%esi), %ecx
    rdpmc
result:
    mov     %eax, 8(%esi)
    mov     %edx, 12(%esi)
    jmp     step
do_store:
    mov     4(%esi), %ebx
    mov     8(%esi), %eax
    mov     %eax, (%ebx)
step:
    add     $OP_SIZE, %esi
    jmp     next

do_user:
    mov     8(%esi), %ecx
    push    $SEG_DATA3
    push    $GUEST_STACK3
    push    $2
    push    $SEG_CODE3
    push    $AT(user)
    iret

/* USER_INSNS(turns) instructions, INT included; turns - 1 jumps are taken */
user:
    dec     %ecx
    jnz     user
    int     $VECTOR_SYSCALL

guest_syscall:
    add     $20, %esp
    jmp     step

/* Count the NMI, set the counter of GUEST_REARM_MSR anew, unmask the PMI. */
guest_nmi:
    push    %eax
    push    %ecx
    push    %edx
    incl    GUEST_NMIS
    mov     $MSR_GLOBAL_STATUS, %ecx
    rdmsr
    or      %eax, GUEST_STATUS
    or      %edx, GUEST_STATUS + 4
    mov     $MSR_GLOBAL_OVF_CTRL, %ecx
    wrmsr
    mov     GUEST_REARM_MSR, %ecx
    test    %ecx, %ecx
    jz      1f
    mov     GUEST_REARM, %eax
    mov     GUEST_REARM + 4, %edx
    wrmsr
1:  mov     $LVT_NMI, %eax
    mov     %eax, APIC_LVTPC
    pop     %edx
    pop     %ecx
    pop     %eax
    iret

guest_fault:
    mov     $1, %al
    out     %al, $GUEST_PORT
guest_end:
    .code64

    .section .note.GNU-stack,"",@progbits
