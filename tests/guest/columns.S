/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A square of memory, read by rows and then by columns.  A row is a page, so
 * that by columns each access is in another page and, where a first-level cache
 * has 4 KiB in each way, in the same set.
 */

#include "count.inc"

#define ROWS 512
#define COLUMNS 512
#define CELLS (ROWS * COLUMNS)

    .bss
    .balign 4096
square:
    .skip   ROWS * 4096

    .text
_start:
    /* All pages are there before any is read. */
    leaq    square(%rip), %rdi
    movl    $ROWS, %ecx
1:  movb    $1, (%rdi)
    addq    $4096, %rdi
    decl    %ecx
    jnz     1b

    leaq    square(%rip), %rsi
    movl    $CELLS, %ecx
2:  movq    (%rsi), %rax
    addq    $8, %rsi
    decl    %ecx
    jnz     2b

    leaq    square(%rip), %rsi
    movl    $COLUMNS, %edx
3:  movl    $ROWS, %ecx
4:  movq    (%rsi), %rax
    addq    $4096, %rsi
    decl    %ecx
    jnz     4b
    subq    $(ROWS * 4096 - 8), %rsi
    decl    %edx
    jnz     3b
    exit0

    expect  instructions, 6 + ROWS * 4 + CELLS * 8 + COLUMNS * 4 + EXIT_INSNS
    expect  branches, 2 * CELLS + ROWS + COLUMNS + EXIT_BRANCHES
    expect  loads, 2 * CELLS
    expect  stores, ROWS
