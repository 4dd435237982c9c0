/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Near calls, direct, through a register and through memory, each with its
 * return; and in every turn a system call, which is a far branch and none of
 * those.
 */

#include "count.inc"

#define N 20000

    .section .rodata
pointer:
    .quad   callee

    .text
callee:
    ret

_start:
    movl    $N, %ebx
    leaq    callee(%rip), %rbp
1:  call    callee
2:  call    *%rbp
3:  call    *pointer(%rip)
4:  movl    $39, %eax           /* getpid */
5:  syscall
    decl    %ebx
6:  jnz     1b
    exit0

    hop     1b, callee, CALL, 1
    hop     callee, 2b, RET, 1
    hop     2b, callee, IND_CALL, 1
    hop     callee, 3b, RET, 1
    hop     3b, callee, IND_CALL, 1
    hop     callee, 4b, RET, 1
    hop     5b, 0, FAR, 2
    hop     6b, 1b, COND, 2

    expect  instructions, 2 + N * 10 + EXIT_INSNS
    expect  branches, N * 8 + EXIT_BRANCHES
    expect  cond, N
    expect  near_taken, N * 6 + N - 1
    expect  near_call, N * 3
    expect  near_return, N * 3
    expect  far_branch, N + 1
    expect  indirect, N * 2
    expect  loads, N * 4
    expect  stores, N * 3
