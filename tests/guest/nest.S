/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A function that calls itself, to a depth that the branch records can hold and
 * to one that they cannot.  On its way it calls the next instruction, as code
 * does to learn where it is; that is no call of a function.
 */

#include "count.inc"

#define N 200
#define SHALLOW 24
#define DEEP 40

nest:
    call    1f
1:  popq    %rdx
    decl    %eax
bottom:
    jz      2f
inner:
    call    nest
back:
2:  nop
leave:
    ret

_start:
    movl    $N, %ebx
turn:
    movl    $SHALLOW, %eax
first:
    call    nest
3:  movl    $DEEP, %eax
second:
    call    nest
4:  decl    %ebx
again:
    jnz     turn
    exit0

.macro visit depth, caller, after, insns
    hop     \caller, nest, CALL, \insns
    hop     nest, 1b, ZERO_CALL, 1
    .rept   \depth - 1
    hop     inner, nest, CALL, 4
    hop     nest, 1b, ZERO_CALL, 1
    .endr
    hop     bottom, 2b, COND, 3
    .rept   \depth - 1
    hop     leave, back, RET, 2
    .endr
    hop     leave, \after, RET, 2
.endm

    visit   SHALLOW, first, 3b, 2
    visit   DEEP, second, 4b, 2
    hop     again, turn, COND, 2
