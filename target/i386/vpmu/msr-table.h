/*
 * The tables of the PMU's registers, one for each vendor
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A table has a row for each register: its number, which guests have it, which
 * bits they can set, and what happens when they read and write it.  The
 * functions below are what the rows of both tables name; they are called like
 * vpmu_rdmsr() and vpmu_wrmsr().
 */
#ifndef TARGET_I386_VPMU_MSR_TABLE_H
#define TARGET_I386_VPMU_MSR_TABLE_H

#include "msr.h"

typedef struct VPMURegister VPMURegister;

/**
 * VPMURegister: a register, or several of a kind
 * @msr: the number of the first
 * @nr: how many there are at most, including those that this CPU lacks
 * @exists: whether the guest has the register with index @i; an access to one
 *     that it lacks raises #GP
 * @bits: the bits that may be set; NULL: none
 * @home: offset of the first in CPUX86State, 0: the value is elsewhere
 * @read: the value; NULL: QEMU itself has it
 * @write: set it; @bits are checked.  NULL: read only.  Returns: false for #GP
 * @counter: the vPMC whose value the first register is, if they are values
 * @step: how far their numbers are apart, 0: one
 */
struct VPMURegister {
    uint32_t msr;
    uint32_t nr;
    bool (*exists)(const X86CPU *cpu, unsigned i);
    uint64_t (*bits)(const X86CPU *cpu);
    size_t home;
    uint64_t (*read)(CPUX86State *env, const VPMURegister *reg, unsigned i,
                     uintptr_t retaddr);
    bool (*write)(CPUX86State *env, const VPMURegister *reg, unsigned i,
                  uint64_t value);
    unsigned counter;
    unsigned step;
};

/**
 * VPMURegisterTable: the registers of a vendor
 * @rows: their rows, @nr of them
 * @lenient: bits that cannot be set, and registers that cannot be written, are
 *     left as they are, without a fault
 */
typedef struct VPMURegisterTable {
    const VPMURegister *rows;
    unsigned nr;
    bool lenient;
} VPMURegisterTable;

extern const VPMURegisterTable vpmu_intel_table;
extern const VPMURegisterTable vpmu_amd_table;

/* For VPMURegister.exists: general-purpose vPMC @i */
bool vpmu_exists_gp(const X86CPU *cpu, unsigned i);

/* For VPMURegister.bits: of a value; one for each counter */
uint64_t vpmu_bits_value(const X86CPU *cpu);
uint64_t vpmu_bits_counters(const X86CPU *cpu);

/* For VPMURegister.read: what is at @home; 0; the value of a vPMC */
uint64_t vpmu_read_home(CPUX86State *env, const VPMURegister *reg, unsigned i,
                        uintptr_t retaddr);
uint64_t vpmu_read_zero(CPUX86State *env, const VPMURegister *reg, unsigned i,
                        uintptr_t retaddr);
uint64_t vpmu_read_counter(CPUX86State *env, const VPMURegister *reg,
                           unsigned i, uintptr_t retaddr);

/*
 * For VPMURegister.write: the value of a vPMC; what controls vPMCs; what clears
 * and what sets bits of the global status
 */
bool vpmu_write_counter(CPUX86State *env, const VPMURegister *reg, unsigned i,
                        uint64_t value);
bool vpmu_write_control(CPUX86State *env, const VPMURegister *reg, unsigned i,
                        uint64_t value);
bool vpmu_write_status_reset(CPUX86State *env, const VPMURegister *reg,
                             unsigned i, uint64_t value);
bool vpmu_write_status_set(CPUX86State *env, const VPMURegister *reg,
                           unsigned i, uint64_t value);

#endif /* TARGET_I386_VPMU_MSR_TABLE_H */
