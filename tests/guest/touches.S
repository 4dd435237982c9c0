/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A thousand first touches: every store faults once and is then run again;
 * it retires, and counts, once.
 */

#include "count.inc"

#define PAGES 1000

    .bss
    .balign 4096
pages:
    .skip   PAGES * 4096

    .text
_start:
    leaq    pages(%rip), %rdi
    movl    $PAGES, %ecx
1:  movb    $1, (%rdi)
    addq    $4096, %rdi
    decl    %ecx
    jnz     1b
    exit0

    expect  instructions, 2 + PAGES * 4 + EXIT_INSNS
    expect  branches, PAGES + EXIT_BRANCHES
    expect  stores, PAGES
    expect  loads, 0
