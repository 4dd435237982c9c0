/*
 * Code in which both an interrupt and a PEBS record have one right place
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * case.inc says how a case is written.
 */
#include "case.inc"

        .text

        case "before #UD", pebs="before a #UD", n=2
        lea 1f(%rip), %r15
        at nop
        ud2
1:      nop
        end

        case "before HLT", KERNEL|SKIP, pebs="before hlt", n=2
        lea 1f(%rip), %r15
        at nop
        hlt
1:      nop
        end

        case "at rep movsb", pebs="rep movsb", n=3, area=A_RSI, rcx=0
        nop
        mov $5000, %ecx
        at rep movsb
        nop
        end

        case "at rep stosb with a count of 0", \
             pebs="rep stosb with a count of 0", n=3, rcx=0
        nop
        xor %ecx, %ecx
        at rep stosb
        nop
        end

        case "at rep stosb with a page fault", USER, \
             pebs="rep stosb with a page fault", n=4, area=A_ABS, \
             offset=WINDOW, rcx=0, second=1, before=before_hole_map
        mov $WINDOW, %edi
        mov $100, %ecx
        nop
        at rep stosb
        nop
        end

        case "at a load after its page fault", USER, \
             pebs="load after its page fault", n=2, event=EV_LOADS, \
             area=A_ABS, offset=WINDOW, second=1, before=before_hole_map
        mov (%rdi), %eax
        mov $WINDOW, %ebx
        nop
        at mov (%rbx), %eax
        nop
        end

        case "at HLT", KERNEL, pebs="hlt", n=2
        nop
        at hlt
        nop
        end

        case "at SYSCALL", USER, pebs="syscall", n=2
        nop
        at syscall
        nop
        end next=h_sysret, ring=0

        case "at INT n, through a trap gate", BOTH|ANY, pebs="int n", n=2
        nop
        at int $0x40
        nop
        end next=h_iret, ring=0

        case "at INT n, its far branch", BOTH|ANY, \
             pebs="int n, its far branch", event=EV_FAR
        nop
        at int $0x40
        nop
        end next=h_iret, ring=0

        case "after an MMIO read in a block", \
             pebs="after a load from a device", n=4
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        at nop
        nop
        end

        case "at PAUSE", pebs="pause", n=2
        nop
        at pause
        nop
        end

        case "at CPUID", pebs="cpuid", n=3
        nop
        xor %eax, %eax
        at cpuid
        nop
        end

        case "at RDTSC", pebs="rdtsc", n=2
        nop
        at rdtsc
        nop
        end

        case "at MOV CR3", KERNEL, pebs="mov to CR3", n=2
        mov %cr3, %rax
        at mov %rax, %cr3
        nop
        end

        case "at WRMSR", KERNEL, pebs="wrmsr", n=3
        mov $0xc0000080, %ecx
        rdmsr
        at wrmsr
        nop
        end

        case "at a store into this block", BOTH|ANY, \
             pebs="a store into this block", n=2
        nop
        at incb 1f + 1(%rip)
1:      mov $0, %eax
        nop
        end

        case "after a store into this block", \
             pebs="after a store into this block", n=3
        nop
        incb 1f + 1(%rip)
1:      at mov $0, %eax
        nop
        end

        .section .note.GNU-stack, "", @progbits
