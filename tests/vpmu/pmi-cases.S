/*
 * Code in which an overflow interrupt has one right place
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * case.inc says how a case is written.
 */
#include "case.inc"

        .text

        case "before #PF at fetch after a jump", n=3, before=before_hole
        mov $WINDOW, %eax
        lea 1f(%rip), %r15
        at jmp *%rax
1:      nop
        end next=WINDOW

        case "before #PF at fetch, page crossed", n=5, before=before_page
        mov $WINDOW + 0x1000 - 2, %eax
        lea 1f(%rip), %r15
        jmp *%rax               /* NOP NOP, absent */
1:      nop
        end next=WINDOW+0x1000

        case "before #PF at fetch, in mid-instruction", n=5, \
             before=before_page_mid
        mov $WINDOW + 0x1000 - 4, %eax
        lea 1f(%rip), %r15
        jmp *%rax               /* NOP NOP, MOV across pages */
1:      nop
        end next=WINDOW+0x1000-2

        case "before #GP", USER, n=2
        lea 1f(%rip), %r15
        at nop
        hlt
1:      nop
        end

        case "before #PF in a load", n=3, before=before_hole
        mov $WINDOW, %ebx
        lea 1f(%rip), %r15
        at nop
        mov (%rbx), %eax
1:      nop
        end

        case "before #DE", n=3
        lea 1f(%rip), %r15
        xor %ecx, %ecx
        at nop
        div %ecx
1:      nop
        end

        case "before SYSCALL", USER
        at nop
        syscall
        nop
        end

        case "before INT n"
        at nop
        int $0x40
        nop
        end

        case "before rep movsb", n=2, rcx=5000
        mov $5000, %ecx
        at nop
        rep movsb
        nop
        end

        case "before an MMIO read", n=2
        mov $APIC, %ebx
        at nop
        mov APIC_ID(%rbx), %eax
        nop
        end

        case "before port I/O"
        at nop
        in $0x80, %al
        nop
        end

        case "before PAUSE, CPUID"
        at nop
        pause
        xor %eax, %eax
        cpuid
        nop
        end

        case "at rep lodsb of 200000", n=3, rcx=0
        mov $0x100000, %esi
        mov $200000, %ecx
        at rep lodsb
        nop
        end

        case "at repne scasb that finds", n=3, rcx=99
        xor %eax, %eax
        mov $100, %ecx
        at repne scasb
        nop
        end

        case "at rep stosb, its store", n=2, event=EV_STORES, rcx=0
        mov %eax, (%rdi)
        mov $5000, %ecx
        at rep stosb
        nop
        end

        case "at an instruction after its page fault", USER, n=3, second=1, \
             before=before_hole_map
        mov $WINDOW, %ebx
        nop
        at mov (%rbx), %eax
        nop
        end

        case "at an instruction after a #UD", USER, n=3, second=1
        lea 1f(%rip), %r15
        nop
        ud2
1:      at nop
        nop
        end

        case "at SYSRET", USER|OTHER, n=2
        nop
        syscall
        next
        nop
        end

        /* That of run(): the code has not begun. */
        case "at IRET to ring 3", USER|OTHER
        nop
        nop
        end

        case "at INT n, through an interrupt gate", n=2
        nop
        at int $0x43
        nop
        end

        case "at STI: after the instruction that follows", BOTH|IF0, n=2
        nop
        at sti
        nop
        next
        nop
        nop
        end

        case "before STI: the same", BOTH|IF0
        at nop
        sti
        nop
        next
        nop
        nop
        end

        case "at MOV SS: after the instruction that follows", n=2
        mov %ss, %eax
        at mov %eax, %ss
        nop
        next
        nop
        nop
        end

        case "at POPF that sets IF", BOTH|IF0, n=3
        pushf
        orl $0x200, (%rsp)
        at popf
        nop
        end

        case "under CLI, till POPF", BOTH|IF0
        at pushf
        orl $0x200, (%rsp)
        popf
        next
        nop
        end

        case "at an MMIO read in a block", n=3
        mov $APIC, %ebx
        nop
        at mov APIC_ID(%rbx), %eax
        nop
        nop
        end

        case "at an MMIO read, its load", BOTH|NOT_KVM, event=EV_LOADS
        mov $APIC, %ebx
        nop
        at mov APIC_ID(%rbx), %eax
        nop
        nop
        end

        case "at port I/O in a block", n=2
        nop
        at in $0x80, %al
        nop
        nop
        end

        case "at LOCK INC across cache lines", n=2
        nop
        at lock incl 61(%rdi)
        nop
        nop
        end

        case "at LOCK INC across cache lines, its load", event=EV_LOADS
        nop
        at lock incl 61(%rdi)
        nop
        nop
        end

        case "after LOCK INC across cache lines", n=3
        nop
        lock incl 61(%rdi)
        at nop
        nop
        end

        case "before LOCK INC across cache lines"
        at nop
        lock incl 61(%rdi)
        nop
        end

        case "at LOOP, not taken", n=3, rcx=0
        mov $1, %ecx
        nop
        at loop 1f
1:      nop
        end

        case "at LOOP, taken", n=3, rcx=2
        mov $3, %ecx
        nop
        at loop 1f
        nop
        next
1:      nop
        end

        case "at a taken branch after one that is not", event=EV_TAKEN
        xor %eax, %eax
        jnz 1f
        nop
1:      jnz 1f
        at jz 2f
1:      nop
        next
2:      nop
        end

        case "at a branch that is not taken, after one that is", \
             event=EV_NOT_TAKEN
        xor %eax, %eax
        jz 1f
        nop
1:      jz 1f
        nop
1:      at jnz 2f
        nop
2:      nop
        end

        case "at a taken near branch of a kind", n=3, event=EV_NEAR_TAKEN
        xor %eax, %eax
        jnz 1f
        jmp 1f
1:      jz 1f
1:      lea 1f(%rip), %rax
        at jmp *%rax
1:      nop
        end

        .section .note.GNU-stack, "", @progbits
