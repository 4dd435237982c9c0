/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the counted programs share.
 *
 * A counted program is a bare _start without libc, so that every instruction
 * from the first to the SYSCALL that ends it stands in its source.  Beside the
 * code it declares what a PMU must say about its user-mode part:
 *
 *     expect instructions, 2 + N * 2 + EXIT_INSNS
 *
 * makes the absolute symbol expect_instructions, which scripts/guest-image
 * reads with nm into the guest's /expected.  How an event is spelled for perf
 * stands in the file "events".
 */

/* exit(0): three instructions; SYSCALL counts for its caller. */
#define EXIT_INSNS 3

/* SYSCALL is a far branch: it belongs to all branches, to no near one. */
#define EXIT_BRANCHES 1

.macro exit0
    movl    $60, %eax
    xorl    %edi, %edi
    syscall
.endm

.macro expect event, count:vararg
    .globl  expect_\event
    .set    expect_\event, \count
.endm

    .section .note.GNU-stack, "", @progbits
    .text
    .globl  _start
