/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Taken near branches of every kind, in a known order.  A turn has two halves,
 * which differ in the first branch: it is taken only in the second half.
 */

#include "count.inc"

#define N 4000              /* halves; even */

    .section .rodata
to_leaf:
    .quad   leaf
to_here:
    .quad   here

    .text
leaf:
    nop
leaf_ret:
    ret

relay:
    jmp     *%r12
relayed:
    nop
relayed_ret:
    ret

_start:
    movl    $N, %ebx
    leaq    relay(%rip), %rbp
    leaq    relayed(%rip), %r12
turn:
    testl   $1, %ebx
sometimes:
    jnz     1f
    nop
    nop
1:  clc
never:
    jc      2f
always:
    jnc     2f
    ud2
2:
jump:
    jmp     3f
    ud2
3:
call_leaf:
    call    leaf
4:
call_relay:
    call    *%rbp
5:
call_memory:
    call    *to_leaf(%rip)
6:
jump_memory:
    jmp     *to_here(%rip)
    ud2
here:
    movl    $3, %ecx
7:  nop
looping:
    loop    7b
count_is_zero:
    jecxz   8f
    ud2
8:
next:
    call    9f
9:  popq    %rax
    decl    %ebx
again:
    jnz     turn
    exit0

.macro half insns
    hop     always, 2b, COND, \insns
    hop     jump, 3b, JMP, 1
    hop     call_leaf, leaf, CALL, 1
    hop     leaf_ret, 4b, RET, 2
    hop     call_relay, relay, IND_CALL, 1
    hop     relay, relayed, IND_JMP, 1
    hop     relayed_ret, 5b, RET, 2
    hop     call_memory, leaf, IND_CALL, 1
    hop     leaf_ret, 6b, RET, 2
    hop     jump_memory, here, IND_JMP, 1
    hop     looping, 7b, COND, 3
    hop     looping, 7b, COND, 2
    hop     count_is_zero, 8b, COND, 3
    hop     next, 9b, ZERO_CALL, 1
    hop     again, turn, COND, 3
.endm

    half    7
    hop     sometimes, 1b, COND, 2
    half    3
