/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of kvm-bench: an interpreter for a table of operations that takes
 * the time of each.  It runs as guest.S does, in ring 0.
 */
#define GUEST_ASSEMBLER
#include "bench-guest.h"

#define AT(label)   (label - bench_start + BENCH_CODE)

/*
 * Between the two times there are the same instructions for every operation,
 * and the operation.
 */
.macro timed op, insns
    cmp     $\op, %ebx
    jne     1f
    rdtsc
    mov     %eax, %edi
    mov     ENTRY_REG(%esi), %ecx
    mov     ENTRY_VALUE(%esi), %eax
    mov     ENTRY_VALUE+4(%esi), %edx
    \insns
    mov     %eax, %ebp
    mov     %edx, %ebx
    rdtsc
    jmp     done
1:
.endm

.macro count_down
2:  dec     %eax
    jnz     2b
.endm

.macro cpuid_and_nops
    .skip   CPUID_NOPS, 0x90
    cpuid
    .skip   CPUID_NOPS, 0x90
.endm

    .section .rodata
    .code32
    .globl bench_start, bench_entry, bench_nmi, bench_end

bench_start:
bench_entry:
    mov     $BENCH_TABLE, %esi
next:
    mov     (%esi), %ebx
    timed   TIMED_NOTHING
    timed   TIMED_LOOP, count_down
    timed   TIMED_CPUID, cpuid
    timed   TIMED_CPUID_NOPS, cpuid_and_nops
    timed   TIMED_WRMSR, wrmsr
    timed   TIMED_RDMSR, rdmsr
    timed   TIMED_RDPMC, rdpmc
    cmp     $TIMED_PMI, %ebx
    je      pmi
    mov     $0, %al
    out     %al, $GUEST_PORT
done:
    sub     %edi, %eax
    mov     %eax, ENTRY_TICKS(%esi)
    mov     %ebp, ENTRY_RESULT(%esi)
    mov     %ebx, ENTRY_RESULT+4(%esi)
step:
    add     $ENTRY_SIZE, %esi
    jmp     next

/*
 * Write a counter that is about to overflow, as Linux does while the counters
 * are off, and start them; the NMI comes among the NOPs.
 */
pmi:
    mov     $MSR_GLOBAL_CTRL, %ecx
    xor     %eax, %eax
    xor     %edx, %edx
    wrmsr
    mov     ENTRY_REG(%esi), %ecx
    mov     ENTRY_VALUE(%esi), %eax
    mov     ENTRY_VALUE+4(%esi), %edx
    wrmsr
    mov     $MSR_GLOBAL_CTRL, %ecx
    mov     BENCH_GLOBAL_CTRL, %eax
    mov     BENCH_GLOBAL_CTRL+4, %edx
    wrmsr
    rdtsc
    mov     %eax, %edi
nops:
    .rept   PMI_NOPS
    nop
    .endr
end_of_nops:
    jmp     step

/*
 * Note the time since the counters were started, without the NOPs, and then the
 * time of what Linux does in intel_pmu_handle_irq() for one counter.
 */
bench_nmi:
    rdtsc
    sub     %edi, %eax
    mov     (%esp), %ebx
    sub     $AT(nops), %ebx
    cmp     $PMI_NOPS, %ebx
    ja      unexpected
    sub     %ebx, %eax
    mov     %eax, ENTRY_TICKS(%esi)

    rdtsc
    mov     %eax, %edi
    mov     $MSR_GLOBAL_CTRL, %ecx
    xor     %eax, %eax
    xor     %edx, %edx
    wrmsr
    mov     $MSR_GLOBAL_STATUS, %ecx
    rdmsr
    mov     $MSR_GLOBAL_OVF_CTRL, %ecx
    wrmsr
    xor     %ecx, %ecx
    rdpmc
    mov     ENTRY_REG(%esi), %ecx
    xor     %eax, %eax
    xor     %edx, %edx
    wrmsr
    mov     $MSR_GLOBAL_STATUS, %ecx
    rdmsr
    mov     $MSR_GLOBAL_CTRL, %ecx
    mov     BENCH_GLOBAL_CTRL, %eax
    mov     BENCH_GLOBAL_CTRL+4, %edx
    wrmsr
    rdtsc
    sub     %edi, %eax
    mov     %eax, ENTRY_RESULT(%esi)

    mov     $LVT_NMI, %eax
    mov     %eax, APIC_LVTPC
    iret

/* vm_execute() and kvm-bench report any other number than 0. */
unexpected:
    mov     $1, %al
    out     %al, $GUEST_PORT
bench_end:
    .code64

    .section .note.GNU-stack,"",@progbits
