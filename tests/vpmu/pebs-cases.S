/*
 * Code in which a PEBS record has one right content
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case has one place:
 *
 * case "name", where, n, event, area, offset, before
 *     the overflow is that of the @n-th @event (an event select) since the
 *     code began, in the ring that runs it
 *     area, offset: the address in the record
 *     before: a function of pebs.c that prepares it
 * at: the instruction that the record must name follows
 * next: what RIP is after it follows, if that is not where "end" stands
 * end: the code returns
 *
 * Registers as in count-cases.S.  The handlers of faults go on at R15; that
 * of the interrupt does too with SKIP.
 */
#define ASSEMBLY
#include "rt.h"
#include "pebs.h"

#define LOADS           0x81d0
#define STORES          0x82d0

        .text

        .global loop_code, loop_dec, loop_jnz
loop_code:
        mov $LOOP_TURNS, %ecx
loop_dec:
        dec %ecx
loop_jnz:
        jnz loop_dec
        ret

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

/* Cases */

        .macro case name, where=BOTH, n, event=0xc0, area=A_NONE, offset=0, \
                    before=0
        .pushsection .rodata
777:    .asciz "\name"
        .popsection
        .balign 16
778:
        .pushsection .cases, "a"
        .quad 777b, 778b, \before, \offset
        .long \where, \n, \event, \area
        .popsection
        .endm

        .macro at
779:
        .endm

        .macro next
780:
        .endm

        /* The same for a place that is not in the case. */
        .macro end_at place
        ret
        .pushsection .cases, "a"
        .quad 779b, \place
        .popsection
        .endm

        .macro end
        ret
        .pushsection .cases, "a"
        .quad 779b, 780b
        .popsection
        .endm

/* Loads and stores, by what they count as and by being instructions */

        case "nop", BOTH, 2
        nop
        at
        nop
        next
        nop
        end

        case "lea", BOTH, 1
        at
        lea 8(%rdi), %rax
        next
        nop
        end

        .macro load_rsi
        mov (%rsi), %eax
        .endm

        .macro store_rsi
        mov %eax, (%rsi)
        .endm

        /* The @which @event is that of @insn; the first is that of @before. */
        .macro access_case what, which, event, before, insn:vararg
        case "\what", BOTH, \which, \event, A_RDI, 0x48
        \before
        xor %eax, %eax
        at
        \insn
        next
        nop
        end
        .endm

        .macro load_case what, insn:vararg
        access_case "\what", 2, LOADS, load_rsi, \insn
        access_case "\what, as an instruction", 3, 0xc0, load_rsi, \insn
        .endm

        .macro store_case what, insn:vararg
        access_case "\what", 2, STORES, store_rsi, \insn
        access_case "\what, as an instruction", 3, 0xc0, store_rsi, \insn
        .endm

        .macro rmw_case what, insn:vararg
        load_case "\what", \insn
        access_case "\what, its store", 2, STORES, store_rsi, \insn
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

        case "lock cmpxchg16b", BOTH, 1, LOADS, A_RDI, 0x50
        nop
        at
        lock cmpxchg16b 0x50(%rdi)
        next
        nop
        end

        case "lock inc across cache lines", BOTH, 2, 0xc0, A_RDI, 61
        nop
        at
        lock incl 61(%rdi)
        next
        nop
        end

        case "lock inc across cache lines, its load", BOTH, 1, LOADS, A_RDI, 61
        nop
        at
        lock incl 61(%rdi)
        next
        nop
        end

        case "load across pages", BOTH, 1, LOADS, A_RDI, 4094
        nop
        at
        mov 4094(%rdi), %eax
        next
        nop
        end

        case "push", BOTH, 2, 0xc0, A_STACK
        nop
        at
        push %rax
        next
        pop %rax
        end

        case "push, its store", BOTH, 1, STORES, A_STACK
        nop
        at
        push $5
        next
        pop %rax
        end

        case "pop", BOTH, 1, LOADS, A_STACK, -8
        push %rbx
        nop
        at
        pop %rax
        next
        nop
        end

        case "pushf", BOTH, 1, STORES, A_STACK
        at
        pushf
        next
        pop %rax
        end

        case "popf", BOTH, 1, LOADS, A_STACK, -8
        pushf
        at
        popf
        next
        nop
        end

        case "push of memory, its load", BOTH, 1, LOADS, A_RDI, 8
        at
        push 8(%rdi)
        next
        pop %rax
        end

        case "pop to memory, its store", BOTH, 2, STORES, A_RDI, 8
        push %rax
        at
        pop 8(%rdi)
        next
        nop
        end

        case "call", BOTH, 1, STORES, A_STACK
        nop
        at
        call 1f
        nop
1:      next
        pop %rax
        end

        case "call, as a branch", BOTH, 1, 0xc4, A_STACK
        nop
        at
        call 1f
        nop
1:      next
        pop %rax
        end

        case "call through memory, its load", BOTH, 1, LOADS, A_RDI, 8
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at
        call *8(%rdi)
        nop
1:      next
        pop %rax
        end

        case "call through memory, its store", BOTH, 2, STORES, A_STACK
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at
        call *8(%rdi)
        nop
1:      next
        pop %rax
        end

        case "jmp through memory", BOTH, 3, 0xc0, A_RDI, 8
        lea 1f(%rip), %rax
        mov %rax, 8(%rdi)
        at
        jmp *8(%rdi)
        nop
1:      next
        nop
        end

        case "ret", BOTH, 1, 0x08c4, A_STACK, -8
        lea 1f(%rip), %rax
        push %rax
        at
        ret
        nop
1:      next
        nop
        end

        case "ret n", BOTH, 1, LOADS, A_STACK, -24
        sub $16, %rsp
        lea 1f(%rip), %rax
        push %rax
        at
        ret $16
        nop
1:      next
        nop
        end

        case "enter", BOTH, 1, STORES, A_RDI, 0x1800
        lea 0x1808(%rdi), %rbx
        xchg %rbx, %rsp
        at
        enter $0, $0
        next
        mov %rbx, %rsp
        end

        case "leave", BOTH, 1, LOADS, A_STACK, -8
        enter $32, $0
        at
        leave
        next
        nop
        end

        case "movsb, its load", BOTH, 1, LOADS, A_RSI
        at
        movsb
        next
        nop
        end

        case "movsq, its store", BOTH, 1, STORES, A_RDI
        at
        movsq
        next
        nop
        end

        case "movsq, as an instruction: its load", BOTH, 1, 0xc0, A_RSI
        at
        movsq
        next
        nop
        end

        case "stosq", BOTH, 1, STORES, A_RDI
        at
        stosq
        next
        nop
        end

        case "lodsq", BOTH, 1, LOADS, A_RSI
        at
        lodsq
        next
        nop
        end

        case "scasb", BOTH, 1, LOADS, A_RDI
        at
        scasb
        next
        nop
        end

        case "load with a segment base", KERNEL, 1, LOADS, A_ABS, \
             WINDOW + 0x108, before_fs
        at
        mov %fs:8, %eax
        next
        nop
        end

        case "load from a device", BOTH, 1, LOADS, A_ABS, APIC + APIC_ID
        mov $APIC, %ebx
        nop
        at
        mov APIC_ID(%rbx), %eax
        next
        nop
        end

        case "load from a device, as an instruction", BOTH, 3, 0xc0, A_ABS, \
             APIC + APIC_ID
        mov $APIC, %ebx
        nop
        at
        mov APIC_ID(%rbx), %eax
        next
        nop
        end

        case "after a load from a device", BOTH, 4
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        at
        nop
        next
        nop
        end

/* REP: one instruction; the address is that of its first element */

        case "rep movsb", BOTH, 3, 0xc0, A_RSI
        nop
        mov $5000, %ecx
        at
        rep movsb
        next
        nop
        end

        case "rep movsb, its load", BOTH, 1, LOADS, A_RSI
        nop
        mov $5000, %ecx
        at
        rep movsb
        next
        nop
        end

        case "rep stosq, its store", BOTH, 1, STORES, A_RDI
        mov $500, %ecx
        at
        rep stosq
        next
        nop
        end

        case "rep stosb with a count of 0", BOTH, 3
        nop
        xor %ecx, %ecx
        at
        rep stosb
        next
        nop
        end

        case "rep stosb with a page fault", USER, 4, 0xc0, A_ABS, WINDOW, \
             before_hole_map
        mov $WINDOW, %edi
        mov $100, %ecx
        nop
        at
        rep stosb
        next
        nop
        end

        case "before rep movsb", BOTH, 2
        mov $5000, %ecx
        at
        nop
        next
        rep movsb
        end

/* Faults in between */

        case "load after its page fault", USER, 2, LOADS, A_ABS, WINDOW, \
             before_hole_map
        mov (%rdi), %eax
        mov $WINDOW, %ebx
        nop
        at
        mov (%rbx), %eax
        next
        nop
        end

        case "store after its page fault, as an instruction", USER, 3, 0xc0, \
             A_ABS, WINDOW + 8, before_hole_map
        mov $WINDOW, %ebx
        nop
        at
        mov %eax, 8(%rbx)
        next
        nop
        end

        case "load across pages after its page fault", USER, 3, 0xc0, \
             A_ABS, WINDOW + 4092, before_hole_map
        mov $WINDOW, %ebx
        nop
        at
        mov 4092(%rbx), %rax
        next
        nop
        end

        case "nop after a load that never was", USER, 4, before=before_hole
        mov $WINDOW, %ebx
        lea 1f(%rip), %r15
        mov (%rbx), %eax
        nop
1:      nop
        at
        nop
        next
        nop
        end

        case "nop after a #UD", USER, 2
        lea 1f(%rip), %r15
        ud2
1:      at
        nop
        next
        nop
        end

        case "before a #UD", BOTH, 2
        lea 1f(%rip), %r15
        at
        nop
        next
        ud2
1:      nop
        end

/* The system */

        case "int n", BOTH|ANY, 2
        nop
        at
        int $0x40
        nop
        end_at h_iret

        case "int n, its far branch", BOTH|ANY, 1, 0x40c4
        nop
        at
        int $0x40
        nop
        end_at h_iret

        case "int n through an interrupt gate", BOTH|ANY|LATER, 2
        nop
        at
        int $0x43
        nop
        end_at h_iret

        case "before int n", BOTH, 1
        at
        nop
        next
        int $0x40
        end

        case "syscall", USER, 2
        nop
        at
        syscall
        nop
        end_at h_sysret

        case "after syscall", USER, 2
        syscall
        at
        nop
        next
        nop
        end

        case "hlt", KERNEL, 2
        nop
        at
        hlt
        next
        nop
        end

        case "before hlt", KERNEL|SKIP, 2
        lea 1f(%rip), %r15
        at
        nop
        next
        hlt
1:      nop
        end

        case "cpuid", BOTH, 3
        nop
        xor %eax, %eax
        at
        cpuid
        next
        nop
        end

        case "rdtsc", BOTH, 2
        nop
        at
        rdtsc
        next
        nop
        end

        case "pause", BOTH, 2
        nop
        at
        pause
        next
        nop
        end

        case "port I/O", BOTH, 2
        nop
        at
        in $0x80, %al
        next
        nop
        end

        case "mov to CR3", KERNEL, 2
        mov %cr3, %rax
        at
        mov %rax, %cr3
        next
        nop
        end

        case "wrmsr", KERNEL, 3
        mov $0xc0000080, %ecx
        rdmsr
        at
        wrmsr
        next
        nop
        end

        case "sti", BOTH|LATER, 2
        nop
        at
        sti
        next
        nop
        nop
        end

        case "mov to SS", BOTH|LATER, 2
        mov %ss, %eax
        at
        mov %eax, %ss
        next
        nop
        nop
        end

        case "loop, taken", BOTH, 2
        mov $3, %ecx
        at
        loop 1f
        nop
1:      next
        nop
        end

        case "loop, not taken", BOTH, 2
        mov $1, %ecx
        at
        loop 1f
        next
        nop
1:      nop
        end

        case "a store into this block", BOTH|ANY, 2
        nop
        at
        incb 1f + 1(%rip)
        next
1:      mov $0, %eax
        nop
        end

        case "after a store into this block", BOTH, 3
        nop
        incb 1f + 1(%rip)
        at
1:      mov $0, %eax
        next
        nop
        end

        .section .note.GNU-stack, "", @progbits
