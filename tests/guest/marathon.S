/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The loop for seconds rather than milliseconds, past 32 bits of instructions:
 * long enough for the machine to be saved, moved or grown while it counts.
 */

#include "count.inc"

#define N 0x88000000

_start:
    movl    $N, %ecx
1:  decl    %ecx
    jnz     1b
    exit0

    expect  instructions, 1 + N * 2 + EXIT_INSNS
    expect  branches, N + EXIT_BRANCHES
    expect  near_taken, N - 1
