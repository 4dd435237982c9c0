/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Loads and stores.  An instruction that reads and writes memory is one of
 * each; LEA touches no memory.
 */

#include "count.inc"

#define N 100000

    .bss
    .balign 64
cell:
    .skip   64

    .text
_start:
    movl    $N, %ecx
    leaq    cell(%rip), %rdi
1:  movq    (%rdi), %rax        /* load */
    movq    8(%rdi), %rdx       /* load */
    movq    %rax, 16(%rdi)      /* store */
    addq    $1, 24(%rdi)        /* load and store */
    pushq   %rax                /* store */
    popq    %rdx                /* load */
    leaq    32(%rdi), %rax
    decl    %ecx
    jnz     1b
    exit0

    expect  instructions, 2 + N * 9 + EXIT_INSNS
    expect  branches, N + EXIT_BRANCHES
    expect  loads, N * 4
    expect  stores, N * 3
