/*
 * Code whose counts are known by construction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * case.inc says how a case is written.
 */
#include "case.inc"
#include "count.h"

        .text

/* Handlers.  The cases that use them include what they retire. */
        .global h_trap, h_skip, h_skip_error, h_map_error, h_resume, h_irq
        .global h_sysexit

/* A debug trap that is counted: 2 instructions, far, 2 loads, store. */
h_trap: incl traps
        iretq

/* A fault: go on at R15.  2 instructions, far, load, store. */
h_skip: mov %r15, (%rsp)
        iretq

/* The same with an error code: 3 instructions, far, load, store. */
h_skip_error:
        add $8, %rsp
        mov %r15, (%rsp)
        iretq

/* Make present the page whose PTE is at R14: 4, far, 2 loads, store. */
h_map_error:
        add $8, %rsp
        orb $1, (%r14)
        add $8, %r14
        iretq

/* An instruction breakpoint: set RF.  2, far, 2 loads, store. */
h_resume:
        btsl $16, 16(%rsp)
        iretq

/* A hardware interrupt: 6, far, 3 loads, 3 stores. */
h_irq:  incl irqs
        push %rax
        mov $APIC + APIC_EOI, %eax
        movl $0, (%rax)
        pop %rax
        iretq

h_sysexit:
        sysexitq

/* Loops and straight lines */

        case "nothing"
        want

        case "one instruction"
        nop
        want insn=1

        case "a straight line of 3000"
        .rept 3000
        nop
        .endr
        want insn=3000

        case "a loop"
        mov $100000, %ecx
1:      dec %ecx
        jnz 1b
        want insn=200001, cond=100000, taken=99999

        case "a block that jumps to itself, of 5"
        mov $1000, %ecx
1:      nop
        nop
        nop
        dec %ecx
        jnz 1b
        want insn=5001, cond=1000, taken=999

        case "two loops, one in the other"
        mov $100, %eax
1:      mov $100, %ecx
2:      dec %ecx
        jnz 2b
        dec %eax
        jnz 1b
        want insn=20301, cond=10100, taken=9999

        case "an instruction across pages"
        jmp 1f
        .balign 4096
        .skip 4094
1:      mov $5, %eax
        nop
        want insn=3, jmp=1

        case "a straight line across pages"
        jmp 1f
        .balign 4096
        .skip 4090
1:      .rept 20
        nop
        .endr
        want insn=21, jmp=1

/* REP */

        case "rep movsb"
        mov $1000, %ecx
        rep movsb
        want insn=2, load=1, store=1

        case "rep stosb and movsq downwards"
        mov $1000, %ecx
        rep stosb
        std
        sub $8, %rdi
        lea 1000(%rsi), %rsi
        mov $20, %ecx
        rep movsq
        cld
        want insn=8, load=1, store=2

        case "repne scasb to the end, repe cmpsb, rep lodsw"
        mov $1, %al
        mov $1000, %ecx
        repne scasb
        mov $500, %ecx
        repe cmpsb
        mov $500, %ecx
        rep lodsw
        want insn=7, load=3

        case "repne scasb that finds, repe cmpsb that differs"
        xor %eax, %eax
        mov $1000, %ecx
        repne scasb
        incb 10(%rdi)
        lea -1(%rdi), %rdi
        mov $100, %ecx
        repe cmpsb
        want insn=7, load=3, store=1

        case "rep with a count of zero"
        xor %ecx, %ecx
        rep movsb
        rep stosb
        rep lodsb
        repne scasb
        repe cmpsb
        want insn=6

        case "rep with a count of one, and string instructions without rep"
        mov $1, %ecx
        rep movsb
        movsb
        stosl
        lodsb
        scasw
        cmpsb
        want insn=7, load=5, store=3

        case "rep lodsb of 200000"
        mov $200000, %ecx
        mov $0x100000, %esi
        rep lodsb
        want insn=3, load=1

        case "rep outsb, rep insb, insb, outsb", BOTH|NOT_KVM
        mov $0x80, %edx
        mov $3, %ecx
        rep outsb
        mov $3, %ecx
        rep insb
        insb
        outsb
        want insn=7, load=2, store=2

        case "rep movsb in a loop"
        mov $200, %eax
        mov %rdi, %rbx
1:      mov $7, %ecx
        mov %rbx, %rdi
        rep movsb
        dec %eax
        jnz 1b
        want insn=1002, cond=200, taken=199, load=200, store=200

        case "rep stosb with page faults", BOTH|FIRST, before=before_window
        mov $WINDOW + 100, %edi
        mov $window_pt, %r14d
        mov $0x3000, %ecx
        rep stosb
        want insn=4, store=1, kinsn=16, kfar=4, kload=8, kstore=4

        case "rep movsb to and from absent pages", BOTH|FIRST, \
             before=before_window
        mov $WINDOW, %esi
        mov $WINDOW + 0x1000, %edi
        mov $window_pt, %r14d
        mov $0x800, %ecx
        rep movsb
        mov $WINDOW + 0x2fff, %edi
        mov $2, %ecx
        rep stosb
        want insn=8, load=1, store=2, kinsn=16, kfar=4, kload=8, kstore=4

        case "rep lodsb under interrupts", BOTH|FIRST|IRQS, \
             before=before_timer
        sti
        mov $40, %ebx
1:      mov $60000, %ecx
        mov $0x100000, %esi
        rep lodsb
        dec %ebx
        jnz 1b
        cli
        want insn=203, cond=40, taken=39, load=40, \
             kinsn=6, kfar=1, kload=3, kstore=3

        case "a loop under interrupts", BOTH|FIRST|IRQS, before=before_timer
        sti
        mov $3000000, %ebx
1:      dec %ebx
        jnz 1b
        cli
        want insn=6000003, cond=3000000, taken=2999999, \
             kinsn=6, kfar=1, kload=3, kstore=3

/* Faults */

        case "#UD"
        lea 1f(%rip), %r15
        nop
        ud2
1:      nop
        want insn=3, kinsn=2, kfar=1, kload=1, kstore=1

        case "#UD from the decoder: LOCK without a use"
        lea 1f(%rip), %r15
        .byte 0xf0
        nop
1:      nop
        want insn=2, kinsn=2, kfar=1, kload=1, kstore=1

        case "#DE"
        lea 1f(%rip), %r15
        xor %ecx, %ecx
        div %ecx
        nop
1:      nop
        want insn=3, kinsn=2, kfar=1, kload=1, kstore=1

        case "#GP: not canonical"
        lea 1f(%rip), %r15
        mov $1, %eax
        ror $1, %rax
        nop
        mov (%rax), %ecx
        nop
1:      nop
        want insn=5, kinsn=3, kfar=1, kload=1, kstore=1

        case "#GP: not for ring 3", USER
        lea 1f(%rip), %r15
        hlt
1:      lea 1f(%rip), %r15
        mov %cr0, %rax
1:      lea 1f(%rip), %r15
        wrmsr
1:      lea 1f(%rip), %r15
        invlpg (%rdi)
1:      nop
        want insn=5, kinsn=12, kfar=4, kload=4, kstore=4

        case "#PF in a read, a write, a push", BOTH|FIRST, before=before_hole
        mov $WINDOW, %ebx
        lea 1f(%rip), %r15
        mov (%rbx), %eax
1:      lea 1f(%rip), %r15
        mov %eax, (%rbx)
1:      lea 1f(%rip), %r15
        push (%rbx)
1:      nop
        want insn=5, kinsn=9, kfar=3, kload=3, kstore=3

        case "#PF that is repaired", BOTH|FIRST, before=before_window
        mov $WINDOW, %ebx
        mov $window_pt, %r14d
        nop
        mov (%rbx), %eax
        nop
        mov %eax, 0x1000(%rbx)
        nop
        incl 0x2000(%rbx)
        nop
        want insn=9, load=2, store=2, kinsn=12, kfar=3, kload=6, kstore=3

        case "#PF at fetch, in mid-instruction", BOTH|FIRST, \
             before=before_mid_fetch
        mov $window_pt + 8, %r14d
        mov $WINDOW + 0x1000 - 4, %eax
        call *%rax              /* NOP NOP MOV-across-pages NOP RET */
        want insn=8, icall=1, ret=1, load=1, store=1, \
             kinsn=4, kfar=1, kload=2, kstore=1

        case "#PF at fetch, of a whole instruction", BOTH|FIRST, \
             before=before_page_fetch
        mov $window_pt + 8, %r14d
        mov $WINDOW + 0x1000 - 2, %eax
        call *%rax              /* NOP NOP, NOP RET */
        want insn=7, icall=1, ret=1, load=1, store=1, \
             kinsn=4, kfar=1, kload=2, kstore=1

        case "#PF in CALL, PUSH, ENTER", USER|FIRST, before=before_window
        mov %rsp, %rbx
        mov $window_pt, %r14d
        mov $WINDOW + 0x1000, %esp
        call 1f
1:      pop %rax
        mov $WINDOW + 0x2000, %esp
        push %rbx
        mov $WINDOW + 0x3000, %esp
        enter $16, $0
        mov %rbx, %rsp
        want insn=10, call=1, load=1, store=3, \
             kinsn=12, kfar=3, kload=6, kstore=3

        case "#GP in LRET, IRET"
        lea 1f(%rip), %r15
        push $0x7f8
        push %r15
        lretq
1:      add $16, %rsp
        mov %rsp, %rax
        lea 1f(%rip), %r15
        push $0
        push %rax
        push $2
        push $0x7f8
        push %r15
        iretq
1:      add $40, %rsp
        nop
        want insn=13, store=7, kinsn=6, kfar=2, kload=2, kstore=2

/* Software interrupts */

        case "INT n"
        nop
        int $0x40
        nop
        int $0x40
        int $0x40
        want insn=5, far=3, kinsn=3, kfar=3, kload=3

        case "INT3, in a loop"
        mov $100, %ecx
1:      int3
        dec %ecx
        jnz 1b
        want insn=301, far=100, cond=100, taken=99, \
             kinsn=100, kfar=100, kload=100

        case "INT1", BOTH|LOST
        nop
        .byte 0xf1
        nop
        want insn=3, far=1, kinsn=1, kfar=1, kload=1

        case "INT n with a gate that is absent"
        lea 1f(%rip), %r15
        nop
        int $VECTOR_ABSENT
1:      nop
        want insn=3, kinsn=3, kfar=1, kload=1, kstore=1

        case "INT n with a gate for ring 0", USER
        lea 1f(%rip), %r15
        int $VECTOR_KERNEL
1:      nop
        want insn=2, kinsn=3, kfar=1, kload=1, kstore=1

        case "INTO"
        mov %r9d, %ebx
        lea 1f(%rip), %eax
        push %r8
        push %rax
        lretq
        .code32
1:      xor %eax, %eax
        into                    /* not taken */
        nop
        mov $0x7fffffff, %eax
        inc %eax
        into                    /* taken */
        nop
        push %ebx
        push $2f
        lret
        .code64
2:      add $0, %eax
        want insn=16, far=3, load=2, store=4, kinsn=1, kfar=1, kload=1

        case "SYSCALL", USER
        mov $100, %ebx
1:      syscall
        dec %ebx
        jnz 1b
        want insn=301, far=100, cond=100, taken=99, kinsn=100, kfar=100

        /* So often that a hypervisor comes in between. */
        case "SYSENTER", USER|NOT_AMD
        mov $10000, %ebx
        mov %rsp, %rcx
        lea 1f(%rip), %rdx
1:      dec %ebx
        js 2f
        sysenter
2:      want insn=30005, far=10000, cond=10001, taken=1, kinsn=10000, kfar=10000

/* Interrupts, HLT, single steps, breakpoints */

        case "an interrupt sent to oneself, STI; HLT", KERNEL|FIRST|IRQS
        mov $APIC, %ebx
        movl $0x44000 + VECTOR_IRQ, APIC_ICR(%rbx)
        nop
        nop
        sti
        hlt
        cli
        want insn=7, store=1, kinsn=6, kfar=1, kload=3, kstore=3

        case "an interrupt sent to oneself, enabled", BOTH|FIRST|IRQS|EMULATED
        mov $APIC, %ebx
        sti
        nop
        movl $0x44000 + VECTOR_IRQ, APIC_ICR(%rbx)
        nop
        nop
        cli
        want insn=7, store=1, kinsn=6, kfar=1, kload=3, kstore=3

        case "HLT with the timer", KERNEL|FIRST|IRQS, before=before_timer
        sti
        hlt
        nop
        hlt
        cli
        want insn=5, kinsn=6, kfar=1, kload=3, kstore=3

        case "single steps", BOTH|FIRST
        pushf
        orl $0x100, (%rsp)
        popf
        nop
        nop
        pushf
        andl $~0x100, (%rsp)
        popf
        nop
        want insn=9, load=4, store=4, kinsn=5, kfar=5, kload=5

        /* How often REP traps is not tested here. */
        case "single steps over rep and a branch", BOTH|FIRST|TRAPS, \
             before=before_steps
        mov $5, %ecx
        pushf
        orl $0x100, (%rsp)
        popf
        nop
        rep stosb
        jmp 1f
1:      pushf
        andl $~0x100, (%rsp)
        popf
        want insn=10, jmp=1, load=4, store=5, \
             kinsn=2, kfar=1, kload=2, kstore=1

        case "a breakpoint", BOTH|FIRST, before=before_breakpoint
        nop
        nop
        .global breakpoint_here
breakpoint_here:
        nop
        nop
        want insn=4, kinsn=2, kfar=1, kload=2, kstore=1

        case "a breakpoint on rep movsb, in a loop", BOTH|FIRST, \
             before=before_breakpoint_rep
        mov $10, %ebx
1:      mov $30, %ecx
        .global breakpoint_rep
breakpoint_rep:
        rep lodsb
        dec %ebx
        jnz 1b
        want insn=41, cond=10, taken=9, load=10, \
             kinsn=20, kfar=10, kload=20, kstore=10

        case "a watchpoint", BOTH|FIRST, before=before_watchpoint
        nop
        mov %eax, 0x100(%rdi)
        nop
        mov 0x100(%rdi), %eax
        nop
        want insn=5, load=1, store=1, kinsn=1, kfar=1, kload=1

        case "a watchpoint hit by push and by rep stosb", BOTH|FIRST|TRAPS, \
             before=before_watchpoint_rep
        mov %rsp, %rbx
        lea 0x108(%rdi), %rsp
        push %rax
        mov %rbx, %rsp
        mov $0x200, %ecx
        rep stosb
        nop
        want insn=7, store=2, kinsn=2, kfar=1, kload=2, kstore=1

/* Code that changes, devices, locked instructions */

        case "code that changes itself in its block"
        nop
        incb 1f + 1(%rip)
1:      mov $0, %eax
        nop
        want insn=4, load=1, store=1

        case "code that changes itself in a loop"
        mov $100, %ecx
2:      incb 1f + 1(%rip)
1:      mov $0, %eax
        dec %ecx
        jnz 2b
        want insn=401, cond=100, taken=99, load=100, store=100

        case "rep stosb over the next instructions"
        lea 1f(%rip), %rdi
        mov $4, %ecx
        mov $0x90, %al
        rep stosb
1:      nop
        nop
        nop
        nop
        nop
        want insn=9, store=1

        case "MMIO in a block", BOTH|EMULATED
        mov $APIC, %ebx
        nop
        mov APIC_ID(%rbx), %eax
        nop
        mov APIC_SPIV(%rbx), %eax
        mov %eax, APIC_SPIV(%rbx)
        nop
        want insn=7, load=2, store=1

        case "MMIO: in a loop, read and write, locked", BOTH|EMULATED
        mov $APIC, %ebx
        mov $10, %ecx
1:      mov APIC_ID(%rbx), %eax
        dec %ecx
        jnz 1b
        orl $0, APIC_SPIV(%rbx)
        lock orl $0, APIC_SPIV(%rbx)
        push APIC_ID(%rbx)
        pop %rax
        want insn=36, cond=10, taken=9, load=14, store=3

        case "MMIO: rep", BOTH|NOT_KVM
        mov $APIC + APIC_ID, %esi
        mov $4, %ecx
        rep movsl
        want insn=3, load=1, store=1

        case "port I/O in a block", BOTH|EMULATED
        nop
        in $0x80, %al
        nop
        out %al, $0x80
        mov $0x80, %edx
        in (%dx), %al
        nop
        want insn=7

        case "locked instructions"
        mov $100, %ebp
1:      lock incl (%rdi)
        xor %eax, %eax
        lock xadd %eax, 4(%rdi)
        lock cmpxchg %ecx, 8(%rdi)
        xchg %eax, 12(%rdi)
        xor %eax, %eax
        xor %edx, %edx
        xor %ebx, %ebx
        xor %ecx, %ecx
        lock cmpxchg8b 16(%rdi)
        lock cmpxchg16b 32(%rdi)
        dec %ebp
        jnz 1b
        want insn=1301, cond=100, taken=99, load=600, store=600

        case "locked instructions across cache lines"
        mov $100, %ebp
1:      lock incl 61(%rdi)
        xor %eax, %eax
        lock xadd %eax, 61(%rdi)
        lock cmpxchg %ecx, 125(%rdi)
        xchg %eax, 189(%rdi)
        xor %eax, %eax
        xor %edx, %edx
        xor %ebx, %ebx
        xor %ecx, %ecx
        lock cmpxchg8b 253(%rdi)
        lock btsl $3, 253(%rdi)
        dec %ebp
        jnz 1b
        want insn=1301, cond=100, taken=99, load=600, store=600

        case "cmpxchg16b, not aligned: #GP"
        lea 1f(%rip), %r15
        lock cmpxchg16b 8(%rdi)
1:      nop
        want insn=2, kinsn=3, kfar=1, kload=1, kstore=1

        case "PAUSE, CPUID, RDTSC, fences", BOTH|EMULATED
        pause
        xor %eax, %eax
        cpuid
        rdtsc
        lfence
        mfence
        sfence
        rdtscp
        pause
        nop
        want insn=10

        case "STI, CLI, MOV SS", BOTH|FIRST
        mov %ss, %eax
        nop
        mov %eax, %ss
        nop
        sti
        nop
        cli
        pushf
        popf
        want insn=9, load=1, store=1

        case "control registers, TLB, MSRs", KERNEL|EMULATED
        mov %cr3, %rax
        mov %rax, %cr3
        invlpg (%rdi)
        mov %cr4, %rax
        mov %rax, %cr4
        clts
        wbinvd
        mov $0xc0000080, %ecx
        rdmsr
        wrmsr
        mov %dr7, %rax
        mov %rax, %dr7
        swapgs
        swapgs
        nop
        want insn=15

/* Branches */

        case "conditional branches"
        xor %eax, %eax
        jz 1f
1:      jnz 1f
1:      jc 1f
        nop
1:      jnc 2f
        ud2
2:      cmp $5, %eax
        jl 1f
        ud2
1:      jge 1f
        nop
1:      want insn=10, cond=6, taken=3

        case "LOOP, LOOPE, LOOPNE"
        mov $3, %ecx
1:      loop 1b
        mov $5, %ecx
        cmp %eax, %eax
2:      loope 2b
        mov $5, %ecx
3:      loopne 3b
        mov $1, %ecx
4:      loop 4b
        want insn=15, cond=10, taken=6

        case "JRCXZ, JECXZ"
        xor %ecx, %ecx
        jrcxz 1f
        nop
1:      jecxz 1f
        nop
1:      inc %ecx
        jrcxz 1f
        jecxz 1f
        nop
1:      want insn=7, cond=4, taken=2

        case "direct jumps and calls"
        jmp 1f
        nop
1:      call 3f
        call 3f
        .byte 0xe9
        .long 0
        jmp 4f
3:      ret
4:      nop
        want insn=8, jmp=3, call=2, ret=2, load=2, store=2

        case "indirect jumps and calls"
        lea 1f(%rip), %rax
        jmp *%rax
        nop
1:      lea 2f(%rip), %rax
        mov %rax, (%rdi)
        jmp *(%rdi)
        nop
2:      lea 3f(%rip), %rax
        mov %rax, (%rdi)
        call *%rax
        call *(%rdi)
        jmp 4f
3:      ret
4:      movq $0, (%rdi)
        want insn=13, jmp=1, ijmp=2, icall=2, ret=2, load=4, store=5

        case "RET n"
        push %rax
        call 1f
        jmp 2f
1:      ret $8
2:      nop
        want insn=5, jmp=1, call=1, ret=1, load=1, store=2

        case "far jumps and calls"
        lea 1f(%rip), %rax
        mov %rax, (%rdi)
        mov %r9d, 8(%rdi)
        rex.w ljmp *(%rdi)
        nop
1:      lea 3f(%rip), %rax
        mov %rax, (%rdi)
        rex.w lcall *(%rdi)
        jmp 4f
3:      lretq
4:      lea 5f(%rip), %rax
        mov %rsp, %rcx
        mov %ss, %edx
        push %rdx
        push %rcx
        pushf
        push %r9
        push %rax
        iretq
        nop
5:      movq $0, (%rdi)
        movl $0, 8(%rdi)
        want insn=20, jmp=1, far=4, load=4, store=11

/* Loads and stores: an instruction counts once for each */

        case "MOV and its relatives"
        mov (%rdi), %eax
        mov %eax, (%rdi)
        movb $0, (%rdi)
        movzbl (%rdi), %eax
        movslq (%rdi), %rax
        movbe (%rdi), %eax
        movbe %eax, (%rdi)
        movnti %eax, (%rdi)
        cmovz (%rdi), %eax
        setc (%rdi)
        lea (%rdi), %rax
        mov %eax, %ebx
        movabs cpus, %al
        movabs %al, cpus
        xlat (%rbx)
        want insn=15, load=7, store=6

        case "arithmetic"
        add (%rdi), %eax
        add %eax, (%rdi)
        cmp %eax, (%rdi)
        cmp (%rdi), %eax
        cmpl $1, (%rdi)
        test %eax, (%rdi)
        testl $1, (%rdi)
        notl (%rdi)
        negl (%rdi)
        shll $1, (%rdi)
        shll %cl, (%rdi)
        shld $1, %eax, (%rdi)
        imul (%rdi), %eax
        mull (%rdi)
        btl $1, (%rdi)
        btsl $1, (%rdi)
        bsf (%rdi), %eax
        popcnt (%rdi), %eax
        andn (%rdi), %eax, %ebx
        xchg %eax, (%rdi)
        xadd %eax, (%rdi)
        cmpxchg %eax, (%rdi)
        bswap %eax
        want insn=23, load=22, store=10

        case "the stack"
        push %rax
        push $5
        push (%rdi)
        pop (%rdi)
        pop %rax
        pushf
        popf
        pop %rax
        enter $16, $0
        leave
        want insn=10, load=6, store=6

        case "SSE"
        movaps (%rdi), %xmm0
        movaps %xmm0, (%rdi)
        movups %xmm0, 1(%rdi)
        movd (%rdi), %xmm1
        movq %xmm1, (%rdi)
        movntdq %xmm0, (%rdi)
        paddb (%rdi), %xmm0
        pextrw $1, %xmm0, (%rdi)
        pinsrw $1, (%rdi), %xmm0
        movhps (%rdi), %xmm0
        movhps %xmm0, (%rdi)
        cvtsi2sdl (%rdi), %xmm0
        addsd (%rdi), %xmm0
        stmxcsr (%rdi)
        ldmxcsr (%rdi)
        maskmovdqu %xmm1, %xmm0
        pxor %xmm0, %xmm0
        want insn=17, load=8, store=8

        case "x87"
        fldz
        fstl (%rdi)
        fadds (%rdi)
        fldl (%rdi)
        fstpt (%rdi)
        fldt (%rdi)
        fistpl (%rdi)
        fildl (%rdi)
        fistpll (%rdi)
        fnstcw (%rdi)
        fldcw (%rdi)
        fnstsw (%rdi)
        fnstsw %ax
        fsts (%rdi)
        fstp %st(0)
        fnstenv (%rdi)
        fldenv (%rdi)
        fnsave (%rdi)
        frstor (%rdi)
        fxsave (%rdi)
        fxrstor (%rdi)
        fninit
        want insn=22, load=8, store=10

        case "prefetches, NOP with an operand, CLFLUSH"
        prefetcht0 (%rdi)
        prefetchnta (%rdi)
        prefetchw (%rdi)
        nopl (%rdi)
        lea 8(%rdi), %rax
        clflush (%rdi)
        want insn=6, load=3

        case "descriptor tables"
        sgdt (%rdi)
        sidt (%rdi)
        str (%rdi)
        smsw (%rdi)
        sldt (%rdi)
        str %eax
        want insn=6, store=5

        .section .note.GNU-stack, "", @progbits
