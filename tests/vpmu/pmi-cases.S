/*
 * Code in which an overflow interrupt has one right place
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case has one place:
 *
 * case "name", where, n, event, before, rcx, second
 *     the overflow is that of the @n-th @event (an event select) since the
 *     code began, in the ring that runs it
 *     before: a function of pmi.c that prepares it
 *     rcx: RCX at the interrupt, if not -1
 *     second: the interrupt is the second trap, not the first
 * here [ring]: the address at which the interrupt must come
 * end: the code returns
 *
 * Registers as in count-cases.S.  The handlers of faults go on at R15; that
 * of the interrupt does too with SKIP.
 */
#define ASSEMBLY
#include "rt.h"
#include "pmi.h"

        .text

        .global loop_code, loop_dec, loop_jnz
loop_code:
        mov $LOOP_TURNS, %ecx
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
        movl $0x44050, APIC_ICR(%rbx)
        nop
        .endr
        ret

/* Cases */

        .macro case name, where=BOTH, n, event=0xc0, before=0, rcx=-1, second=0
        .pushsection .rodata
777:    .asciz "\name"
        .popsection
        .balign 16
778:
        .pushsection .cases, "a"
        .quad 777b, 778b, \before, \rcx
        .long \where, \n, \event, \second
        .popsection
        .endm

        .macro here ring=-1
779:
        .set ring, \ring
        .endm

        /* The same for a place that is not in the case. */
        .macro end_at place, ring=-1
        ret
        .pushsection .cases, "a"
        .quad \place, \ring
        .popsection
        .endm

        .macro end
        ret
        .pushsection .cases, "a"
        .quad 779b, ring
        .popsection
        .endm

        case "before #PF at fetch after a jump", BOTH, 3, before=before_hole
        mov $WINDOW, %eax
        lea 1f(%rip), %r15
        jmp *%rax
1:      nop
        end_at WINDOW

        case "before #PF at fetch, page crossed", BOTH, 5, before=before_page
        mov $WINDOW + 0x1000 - 2, %eax
        lea 1f(%rip), %r15
        jmp *%rax               /* NOP NOP, absent */
1:      nop
        end_at WINDOW+0x1000

        case "before #PF at fetch, in mid-instruction", BOTH, 5, \
             before=before_page_mid
        mov $WINDOW + 0x1000 - 4, %eax
        lea 1f(%rip), %r15
        jmp *%rax               /* NOP NOP, MOV across pages */
1:      nop
        end_at WINDOW+0x1000-2

        case "before #UD", BOTH, 2
        lea 1f(%rip), %r15
        nop
        here
        ud2
1:      nop
        end

        case "before #GP", USER, 2
        lea 1f(%rip), %r15
        nop
        here
        hlt
1:      nop
        end

        case "before #PF in a load", BOTH, 3, before=before_hole
        mov $WINDOW, %ebx
        lea 1f(%rip), %r15
        nop
        here
        mov (%rbx), %eax
1:      nop
        end

        case "before #DE", BOTH, 3
        lea 1f(%rip), %r15
        xor %ecx, %ecx
        nop
        here
        div %ecx
1:      nop
        end

        case "before HLT", KERNEL|SKIP, 2
        lea 1f(%rip), %r15
        nop
        here
        hlt
1:      nop
        end

        case "before SYSCALL", USER, 1
        nop
        here
        syscall
        nop
        end

        case "before INT n", BOTH, 1
        nop
        here
        int $0x40
        nop
        end

        case "before rep movsb", BOTH, 2, rcx=5000
        mov $5000, %ecx
        nop
        here
        rep movsb
        nop
        end

        case "before an MMIO read", BOTH, 2
        mov $APIC, %ebx
        nop
        here
        mov APIC_ID(%rbx), %eax
        nop
        end

        case "before port I/O", BOTH, 1
        nop
        here
        in $0x80, %al
        nop
        end

        case "before PAUSE, CPUID", BOTH, 1
        nop
        here
        pause
        xor %eax, %eax
        cpuid
        nop
        end

        case "at rep movsb", BOTH, 3, rcx=0
        nop
        mov $5000, %ecx
        rep movsb
        here
        nop
        end

        case "at rep lodsb of 200000", BOTH, 3, rcx=0
        mov $0x100000, %esi
        mov $200000, %ecx
        rep lodsb
        here
        nop
        end

        case "at rep stosb with a count of 0", BOTH, 3, rcx=0
        nop
        xor %ecx, %ecx
        rep stosb
        here
        nop
        end

        case "at repne scasb that finds", BOTH, 3, rcx=99
        xor %eax, %eax
        mov $100, %ecx
        repne scasb
        here
        nop
        end

        case "at rep stosb, its store", BOTH, 2, 0x82d0, rcx=0
        mov %eax, (%rdi)
        mov $5000, %ecx
        rep stosb
        here
        nop
        end

        case "at rep stosb with a page fault", USER, 4, \
             before=before_hole_map, rcx=0, second=1
        mov $WINDOW, %edi
        mov $100, %ecx
        nop
        rep stosb
        here
        nop
        end

        case "at an instruction after its page fault", USER, 3, \
             before=before_hole_map, second=1
        mov $WINDOW, %ebx
        nop
        mov (%rbx), %eax
        here
        nop
        end

        case "at a load after its page fault", USER, 2, 0x81d0, \
             before=before_hole_map, second=1
        mov (%rdi), %eax
        mov $WINDOW, %ebx
        nop
        mov (%rbx), %eax
        here
        nop
        end

        case "at an instruction after a #UD", USER, 3, second=1
        lea 1f(%rip), %r15
        nop
        ud2
1:      nop
        here
        nop
        end

        case "at HLT", KERNEL, 2
        nop
        hlt
        here
        nop
        end

        case "at SYSCALL", USER, 2
        nop
        syscall
        nop
        end_at h_sysret, 0

        case "at SYSRET", USER|OTHER, 2
        nop
        syscall
        here 3
        nop
        end

        case "at IRET to ring 3", USER|OTHER, 1
        here 3
        nop
        nop
        end

        case "at INT n, through a trap gate", BOTH, 2
        nop
        int $0x40
        nop
        end_at h_iret, 0

        case "at INT n, its far branch", BOTH, 1, 0x40c4
        nop
        int $0x40
        nop
        end_at h_iret, 0

        case "at INT n, through an interrupt gate", BOTH, 2
        nop
        int $0x43
        here
        nop
        end

        case "at STI: after the instruction that follows", BOTH|IF0, 2
        nop
        sti
        nop
        here
        nop
        nop
        end

        case "before STI: the same", BOTH|IF0, 1
        nop
        sti
        nop
        here
        nop
        nop
        end

        case "at MOV SS: after the instruction that follows", BOTH, 2
        mov %ss, %eax
        mov %eax, %ss
        nop
        here
        nop
        nop
        end

        case "at POPF that sets IF", BOTH|IF0, 3
        pushf
        orl $0x200, (%rsp)
        popf
        here
        nop
        end

        case "under CLI, till POPF", BOTH|IF0, 1
        pushf
        orl $0x200, (%rsp)
        popf
        here
        nop
        end

        case "at an MMIO read in a block", BOTH, 3
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        here
        nop
        nop
        end

        case "at an MMIO read, its load", BOTH|NOT_KVM, 1, 0x81d0
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        here
        nop
        nop
        end

        case "after an MMIO read in a block", BOTH, 4
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        nop
        here
        nop
        end

        case "at port I/O in a block", BOTH, 2
        nop
        in $0x80, %al
        here
        nop
        nop
        end

        case "at PAUSE", BOTH, 2
        nop
        pause
        here
        nop
        end

        case "at CPUID", BOTH, 3
        nop
        xor %eax, %eax
        cpuid
        here
        nop
        end

        case "at RDTSC", BOTH, 2
        nop
        rdtsc
        here
        nop
        end

        case "at MOV CR3", KERNEL, 2
        mov %cr3, %rax
        mov %rax, %cr3
        here
        nop
        end

        case "at WRMSR", KERNEL, 3
        mov $0xc0000080, %ecx
        rdmsr
        wrmsr
        here
        nop
        end

        case "at a store into this block", BOTH, 2
        nop
        incb 1f + 1(%rip)
        here
1:      mov $0, %eax
        nop
        end

        case "after a store into this block", BOTH, 3
        nop
        incb 1f + 1(%rip)
1:      mov $0, %eax
        here
        nop
        end

        case "at LOCK INC across cache lines", BOTH, 2
        nop
        lock incl 61(%rdi)
        here
        nop
        nop
        end

        case "at LOCK INC across cache lines, its load", BOTH, 1, 0x81d0
        nop
        lock incl 61(%rdi)
        here
        nop
        nop
        end

        case "after LOCK INC across cache lines", BOTH, 3
        nop
        lock incl 61(%rdi)
        nop
        here
        nop
        end

        case "before LOCK INC across cache lines", BOTH, 1
        nop
        here
        lock incl 61(%rdi)
        nop
        end

        case "at LOOP, not taken", BOTH, 3, rcx=0
        mov $1, %ecx
        nop
        loop 1f
        here
1:      nop
        end

        case "at LOOP, taken", BOTH, 3, rcx=2
        mov $3, %ecx
        nop
        loop 1f
        nop
        here
1:      nop
        end

        case "at a taken branch after one that is not", BOTH, 1, 0x01c4
        xor %eax, %eax
        jnz 1f
        nop
1:      jnz 1f
        jz 2f
1:      nop
        here
2:      nop
        end

        case "at a branch that is not taken, after one that is", BOTH, 1, \
             0x10c4
        xor %eax, %eax
        jz 1f
        nop
1:      jz 1f
        nop
1:      jnz 2f
        here
        nop
2:      nop
        end

        case "at a taken near branch of a kind", BOTH, 3, 0x20c4
        xor %eax, %eax
        jnz 1f
        jmp 1f
1:      jz 1f
1:      lea 1f(%rip), %rax
        jmp *%rax
        here
1:      nop
        end

        .section .note.GNU-stack, "", @progbits
