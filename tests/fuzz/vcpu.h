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

/* At least as many registers as a PMU has */
#define VCPU_REGISTERS_MAX  256

/**
 * vcpu_init: a vCPU after power-on; its place in the machine, @cpu->cs, stays
 * @like: with the properties of this one; NULL: the stream has them
 */
void vcpu_init(X86CPU *cpu, const X86CPU *like, Stream *s);

/* The bits of a step's first byte that say what it is */
#define VCPU_WHAT           15
/* Steps from this on are not the guest's own. */
#define VCPU_OTHERS         12

/**
 * vcpu_step: carry out what the next bytes say, and check the vCPU
 */
void vcpu_step(X86CPU *cpu, Stream *s);

/**
 * vcpu_check_registers: assert that what a guest can do is never refused
 * elsewhere; this takes longer than vcpu_check()
 */
void vcpu_check_registers(X86CPU *cpu);

/**
 * vcpu_run: carry out steps until the stream ends, and check the registers
 */
void vcpu_run(X86CPU *cpu, Stream *s);

/**
 * vcpu_migrate: put in its place a vCPU that has loaded its state
 *
 * The guest sees no difference, whatever the host's half is on that side.
 */
void vcpu_migrate(X86CPU *cpu, Stream *s);

/**
 * vcpu_snapshot: what the guest reads in all registers, one after the other
 *
 * Returns: how many there are.
 */
unsigned vcpu_snapshot(X86CPU *cpu, uint64_t values[VCPU_REGISTERS_MAX]);

/**
 * vcpu_ppmcs: the pPMCs that there are
 */
VPMUCounterMask vcpu_ppmcs(const X86CPU *cpu);

/**
 * vcpu_pass_time: let the virtual clock go on
 */
void vcpu_pass_time(int64_t ns);

/**
 * vcpu_plug, vcpu_host: what a fuzzer itself does to a vCPU with the hand-over
 * policy: set up its map; a step of its host
 * @slice: how long an idle vPMC keeps its pPMC, in a unit of the fuzzer
 */
void vcpu_plug(X86CPU *cpu, unsigned slice, Stream *s);
void vcpu_host(X86CPU *cpu, Stream *s);

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
