/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Store for seconds: long enough for the machine to be saved meanwhile. */

#include "../guest/count.inc"

#define N 0x8000000

    .bss
    .balign 64
cell:
    .skip   64

    .text
_start:
    movl    $N, %ecx
    leaq    cell(%rip), %rdi
1:  movl    %ecx, (%rdi)
    movl    %ecx, 8(%rdi)
    decl    %ecx
    jnz     1b
    exit0
