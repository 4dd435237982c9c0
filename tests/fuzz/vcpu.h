/*
 * A vCPU whose PMU does what a stream of bytes says
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The PMU's files are those of the emulator; stub/ has what they need of QEMU,
 * and vcpu.c memory, a clock and code that retires.  After each step all that
 * must always be true is checked.  The fuzzers of registers and of migration
 * share it.
 */
#ifndef TESTS_FUZZ_VCPU_H
#define TESTS_FUZZ_VCPU_H

#include "cpu.h"

typedef struct Stream {
    const uint8_t *data;
    size_t size;
} Stream;

/**
 * take: the next @bytes bytes, little endian; zeros follow the stream's end
 */
uint64_t take(Stream *s, unsigned bytes);

/**
 * vcpu_init: a vCPU after power-on
 * @like: with the properties of this one; NULL: the stream has them
 */
void vcpu_init(X86CPU *cpu, const X86CPU *like, Stream *s);

/**
 * vcpu_run: carry out steps until the stream ends
 */
void vcpu_run(X86CPU *cpu, Stream *s);

/**
 * vcpu_check: assert what must always be true
 */
void vcpu_check(X86CPU *cpu);

/**
 * vcpu_copy_qemu_registers: what migrates in QEMU's own sections
 */
void vcpu_copy_qemu_registers(CPUX86State *to, const CPUX86State *from);

/**
 * vcpu_load: the stream has arrived as a whole
 *
 * Returns: as vpmu_after_load().  What is refused is reported, and nothing
 * else.
 */
int vcpu_load(X86CPU *cpu);

#endif /* TESTS_FUZZ_VCPU_H */
