/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One REP MOVSB over pages that were never touched: it faults on the source
 * and on the target at every page and is interrupted by the timer in between,
 * and is one instruction all the same.
 */

#include "count.inc"

#define SIZE (2048 * 4096)

    .bss
    .balign 4096
source:
    .skip   SIZE
target:
    .skip   SIZE

    .text
_start:
    leaq    source(%rip), %rsi
    leaq    target(%rip), %rdi
    movl    $SIZE, %ecx
    rep     movsb
    exit0

    expect  instructions, 4 + EXIT_INSNS
    expect  branches, EXIT_BRANCHES
