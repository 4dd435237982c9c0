/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conditional branches of both kinds, and unconditional ones.  In each turn
 * the first JC is never taken, the JNC always, the JMP always, and TEST/JZ
 * every other time; the loop's own JNZ is taken in all turns but the last.
 */

#include "count.inc"

#define N 100000            /* even */

_start:
    movl    $N, %ecx
1:  clc
    jc      2f
    jnc     2f
    ud2
2:  jmp     3f
    ud2
3:  testl   $1, %ecx
    jz      4f
    nop
4:  decl    %ecx
    jnz     1b
    exit0

    expect  instructions, 1 + N * 8 + N / 2 + EXIT_INSNS
    expect  branches, N * 5 + EXIT_BRANCHES
    expect  cond, N * 4
    expect  cond_taken, N + N / 2 + N - 1
    expect  cond_ntaken, N + N / 2 + 1
    expect  near_taken, N + N / 2 + N - 1 + N
    expect  near_call, 0
    expect  near_return, 0
