/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A million turns of a two-instruction loop. */

#include "count.inc"

#define N 1000000

_start:
    movl    $N, %ecx
1:  decl    %ecx
    jnz     1b
    exit0

    expect  instructions, 1 + N * 2 + EXIT_INSNS
    expect  branches, N + EXIT_BRANCHES
    expect  cond, N
    expect  cond_taken, N - 1
    expect  cond_ntaken, 1
    expect  near_taken, N - 1
