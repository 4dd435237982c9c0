/*
 * Code in which a PEBS record has one right content
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * case.inc says how a case is written.
 */
#include "case.inc"
#include "pebs.h"

        .text

        /* Registers that are known at the only conditional branch. */
        .global xmm_code, xmm_here, xmm_next
xmm_code:
        .irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movabs $XMM_LOW + \i, %rax
        mov %rax, (%rdi)
        movabs $XMM_HIGH + \i, %rax
        mov %rax, 8(%rdi)
        movups (%rdi), %xmm\i
        .endr
        movabs $GPR_VALUE + 0, %rax
        movabs $GPR_VALUE + 1, %rcx
        movabs $GPR_VALUE + 2, %rdx
        movabs $GPR_VALUE + 3, %rbx
        movabs $GPR_VALUE + 5, %rbp
        movabs $GPR_VALUE + 6, %rsi
        movabs $GPR_VALUE + 7, %rdi
        .irp r, 8, 9, 10, 11, 12, 13, 14, 15
        movabs $GPR_VALUE + \r, %r\r
        .endr
        cmp %rax, %rax
        stc
xmm_here:
        jnc xmm_next
xmm_next:
        ret

/* Loads and stores, counted as such and as instructions */

        case "nop", n=2
        nop
        at nop
        nop
        end

        case "lea"
        at lea 8(%rdi), %rax
        nop
        end

        .macro load_rsi
        mov (%rsi), %eax
        .endm

        .macro store_rsi
        mov %eax, (%rsi)
        .endm

        /* The @n-th @event is that of @insn; the first is that of @first. */
        .macro access_case name, n, event, first, insn:vararg
        case "\name", n=\n, event=\event, area=A_RDI, offset=0x48
        \first
        xor %eax, %eax
        at \insn
        nop
        end
        .endm

        .macro load_case name, insn:vararg
        access_case "\name", 2, EV_LOADS, load_rsi, \insn
        access_case "\name, as an instruction", 3, EV_INSNS, load_rsi, \insn
        .endm

        .macro store_case name, insn:vararg
        access_case "\name", 2, EV_STORES, store_rsi, \insn
        access_case "\name, as an instruction", 3, EV_INSNS, store_rsi, \insn
        .endm

        .macro rmw_case name, insn:vararg
        load_case "\name", \insn
        access_case "\name, its store", 2, EV_STORES, store_rsi, \insn
        .endm

        load_case "load", mov 0x48(%rdi), %eax
        load_case "load of a byte, indexed", movzbl 0x48(%rdi, %rax, 8), %eax
        load_case "load of XMM", movups 0x48(%rdi), %xmm0
        load_case "add of memory", add 0x48(%rdi), %rax
        load_case "cmp with memory", cmpl $5, 0x48(%rdi)
        load_case "fld of 64 bits", fldl 0x48(%rdi)
        load_case "fld of 80 bits", fldt 0x48(%rdi)
        load_case "fldcw", fldcw 0x48(%rdi)
        load_case "ldmxcsr", ldmxcsr 0x48(%rdi)
        store_case "store", mov %eax, 0x48(%rdi)
        store_case "store of a byte", movb $1, 0x48(%rdi)
        store_case "store of XMM", movups %xmm0, 0x48(%rdi)
        store_case "stmxcsr", stmxcsr 0x48(%rdi)
        store_case "fnstcw", fnstcw 0x48(%rdi)
        store_case "fstp of 80 bits", fstpt 0x48(%rdi)
        store_case "setcc", sete 0x48(%rdi)
        store_case "sidt", sidt 0x48(%rdi)
        rmw_case "add to memory", add %eax, 0x48(%rdi)
        rmw_case "not", notl 0x48(%rdi)
        rmw_case "shl", shll $1, 0x48(%rdi)
        rmw_case "xchg", xchg %eax, 0x48(%rdi)
        rmw_case "cmpxchg", cmpxchg %ecx, 0x48(%rdi)
        rmw_case "cmpxchg8b", cmpxchg8b 0x48(%rdi)
        rmw_case "lock inc", lock incl 0x48(%rdi)
        rmw_case "lock add", lock add %rax, 0x48(%rdi)
        rmw_case "lock xadd", lock xadd %eax, 0x48(%rdi)
        rmw_case "lock cmpxchg", lock cmpxchg %ecx, 0x48(%rdi)
        rmw_case "lock bts", lock btsl $1, 0x48(%rdi)
        rmw_case "lock neg", lock negl 0x48(%rdi)
        rmw_case "lock cmpxchg8b", lock cmpxchg8b 0x48(%rdi)

        case "lock cmpxchg16b", event=EV_LOADS, area=A_RDI, offset=0x50
        nop
        at lock cmpxchg16b 0x50(%rdi)
        nop
        end

        case "lock inc across cache lines", n=2, area=A_RDI, offset=61
        nop
        at lock incl 61(%rdi)
        nop
        end

        case "lock inc across cache lines, its load", event=EV_LOADS, \
             area=A_RDI, offset=61
        nop
        at lock incl 61(%rdi)
        nop
        end

        case "load across pages", event=EV_LOADS, area=A_RDI, offset=4094
        nop
        at mov 4094(%rdi), %eax
        nop
        end

        case "push", n=2, area=A_STACK
        nop
        at push %rax
        pop %rax
        end

        case "push, its store", event=EV_STORES, area=A_STACK
        nop
        at push $5
        pop %rax
        end

        case "pop", event=EV_LOADS, area=A_STACK, offset=-8
        push %rbx
        nop
        at pop %rax
        nop
        end

        case "pushf", event=EV_STORES, area=A_STACK
        at pushf
        pop %rax
        end

        case "popf", event=EV_LOADS, area=A_STACK, offset=-8
        pushf
        at popf
        nop
        end

        case "push of memory, its load", event=EV_LOADS, area=A_RDI, offset=8
        at push 8(%rdi)
        pop %rax
        end

        case "pop to memory, its store", n=2, event=EV_STORES, area=A_RDI, \
             offset=8
        push %rax
        at pop 8(%rdi)
        nop
        end

        case "call", event=EV_STORES, area=A_STACK
        nop
        at call 1f
        nop
1:      next
        pop %rax
        end

        case "call, as a branch", event=EV_BRANCHES, area=A_STACK
        nop
        at call 1f
        nop
1:      next
        pop %rax
        end

        case "call through memory, its load", event=EV_LOADS, area=A_RDI, \
             offset=8
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at call *8(%rdi)
        nop
1:      next
        pop %rax
        end

        case "call through memory, its store", n=2, event=EV_STORES, \
             area=A_STACK
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at call *8(%rdi)
        nop
1:      next
        pop %rax
        end

        case "jmp through memory", n=3, area=A_RDI, offset=8
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at jmp *8(%rdi)
        nop
1:      next
        nop
        end

        case "ret", event=EV_RETURNS, area=A_STACK, offset=-8
        lea 1f(%rip), %rax
        push %rax
        at ret
        nop
1:      next
        nop
        end

        case "ret n", event=EV_LOADS, area=A_STACK, offset=-24
        sub $16, %rsp
        lea 1f(%rip), %rax
        push %rax
        at ret $16
        nop
1:      next
        nop
        end

        case "enter", event=EV_STORES, area=A_RDI, offset=0x1800
        lea 0x1808(%rdi), %rbx
        xchg %rbx, %rsp
        at enter $0, $0
        mov %rbx, %rsp
        end

        case "leave", event=EV_LOADS, area=A_STACK, offset=-8
        enter $32, $0
        at leave
        nop
        end

        case "movsb, its load", event=EV_LOADS, area=A_RSI
        at movsb
        nop
        end

        case "movsq, its store", event=EV_STORES, area=A_RDI
        at movsq
        nop
        end

        case "movsq, as an instruction: its load", area=A_RSI
        at movsq
        nop
        end

        case "stosq", event=EV_STORES, area=A_RDI
        at stosq
        nop
        end

        case "lodsq", event=EV_LOADS, area=A_RSI
        at lodsq
        nop
        end

        case "scasb", event=EV_LOADS, area=A_RDI
        at scasb
        nop
        end

        case "load with a segment base", KERNEL, event=EV_LOADS, area=A_ABS, \
             offset=WINDOW + 0x108, before=before_fs
        at mov %fs:8, %eax
        nop
        end

        case "load from a device", event=EV_LOADS, area=A_ABS, \
             offset=APIC + APIC_ID
        mov $APIC, %ebx
        nop
        at mov APIC_ID(%rbx), %eax
        nop
        end

        case "load from a device, as an instruction", n=3, area=A_ABS, \
             offset=APIC + APIC_ID
        mov $APIC, %ebx
        nop
        at mov APIC_ID(%rbx), %eax
        nop
        end

/* REP: one instruction; the address is that of its first element */

        case "rep movsb, its load", event=EV_LOADS, area=A_RSI
        nop
        mov $5000, %ecx
        at rep movsb
        nop
        end

        case "rep stosq, its store", event=EV_STORES, area=A_RDI
        mov $500, %ecx
        at rep stosq
        nop
        end

        case "before rep movsb", n=2
        mov $5000, %ecx
        at nop
        rep movsb
        end

/* Faults in between */

        case "store after its page fault, as an instruction", USER, n=3, \
             area=A_ABS, offset=WINDOW + 8, before=before_hole_map
        mov $WINDOW, %ebx
        nop
        at mov %eax, 8(%rbx)
        nop
        end

        case "load across pages after its page fault", USER, n=3, area=A_ABS, \
             offset=WINDOW + 4092, before=before_hole_map
        mov $WINDOW, %ebx
        nop
        at mov 4092(%rbx), %rax
        nop
        end

        case "nop after a load that never was", USER, n=4, before=before_hole
        mov $WINDOW, %ebx
        lea 1f(%rip), %r15
        mov (%rbx), %eax
        nop
1:      nop
        at nop
        nop
        end

        case "nop after a #UD", USER, n=2
        lea 1f(%rip), %r15
        ud2
1:      at nop
        nop
        end

/* The system */

        case "int n through an interrupt gate", BOTH|ANY|LATER, n=2
        nop
        at int $0x43
        nop
        end next=h_iret

        case "before int n"
        at nop
        int $0x40
        end

        case "after syscall", USER, n=2
        syscall
        at nop
        nop
        end

        case "port I/O", n=2
        nop
        at in $0x80, %al
        nop
        end

        case "sti", BOTH|LATER, n=2
        nop
        at sti
        nop
        nop
        end

        case "mov to SS", BOTH|LATER, n=2
        mov %ss, %eax
        at mov %eax, %ss
        nop
        nop
        end

        case "loop, taken", n=2
        mov $3, %ecx
        at loop 1f
        nop
1:      next
        nop
        end

        case "loop, not taken", n=2
        mov $1, %ecx
        at loop 1f
        nop
1:      nop
        end

        .section .note.GNU-stack, "", @progbits
