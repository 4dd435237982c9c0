/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM of one vCPU that executes a table of operations
 */
#ifndef TESTS_KVM_VM_H
#define TESTS_KVM_VM_H

#include <stdbool.h>
#include <stdint.h>
#include <asm/kvm_vpmu_handover.h>

typedef struct VM {
    int kvm, vm, vcpu;
    uint8_t *memory;
    struct kvm_run *run;
    unsigned used;              /* entries of the table */
    uint64_t nmis;              /* of the host, when the VM was created */
} VM;

/* What KVM offers to guests: counters, and PEBS of format 4 or newer */
typedef struct VMPMU {
    unsigned gp, fixed;
    bool pebs;
} VMPMU;

extern VMPMU vm_pmu;

/* PMU version of the VMs that are created from now on; 0: what KVM offers */
extern unsigned vm_pmu_version;

/* End the program with a message: @what has failed for the reason in errno. */
void die(const char *what);

/* Fill in vm_pmu; with @print, print what the CPU has and what KVM offers. */
void vm_probe(bool print);

/*
 * Create a VM, with hand-over if @args is not NULL.  Its vCPU has the PMU that
 * KVM offers.
 */
void vm_create(VM *vm, const struct kvm_vpmu_handover *args);
/* The same, but its vCPU has not run yet. */
void vm_create_idle(VM *vm, const struct kvm_vpmu_handover *args);
/* Set CPUID as it is; if the vCPU has not run, this resets its PMU. */
void vm_set_cpuid(VM *vm);
/* Turn paging on, with each page mapped to itself. */
void vm_enable_paging(VM *vm);
void vm_destroy(VM *vm);

/* Change the reservation; returns 0 or the error of KVM_ENABLE_CAP. */
int vm_handover(VM *vm, unsigned flags, unsigned gp, unsigned fixed);

/* Add an entry to the table; returns its number for vm_result(). */
unsigned vm_op(VM *vm, unsigned op, uint32_t reg, uint64_t value);
/* Execute the table, and empty it. */
void vm_execute(VM *vm);
/*
 * The same in three parts, of which the second is one instruction.  It returns
 * false when the table has been executed.
 */
void vm_start(VM *vm);
bool vm_step(VM *vm);
/* Until user space has something to do, which vm->run says */
void vm_run(VM *vm);
void vm_finish(VM *vm);
/* What an entry of the last table has read */
uint64_t vm_result(VM *vm, unsigned entry);

/* Execute a table of one entry; returns its result. */
uint64_t vm_do(VM *vm, unsigned op, uint32_t reg, uint64_t value);

/* User space reads or writes an MSR. */
uint64_t vm_get_msr(VM *vm, uint32_t reg);
/* Will the guest get an NMI when it goes on? */
bool vm_has_nmi(VM *vm);
void vm_set_msr(VM *vm, uint32_t reg, uint64_t value);

uint32_t vm_read32(VM *vm, unsigned address);
void vm_write32(VM *vm, unsigned address, uint32_t value);
void vm_write64(VM *vm, unsigned address, uint64_t value);

/* Read the map, or a statistic by its name in query-stats. */
void vm_map(VM *vm, struct kvm_vpmu_handover_map *map);
uint64_t vm_stat(VM *vm, const char *name);

/*
 * The largest possible number of interruptions of the guest since it was
 * created: VM exits for interrupts and page faults, injected events, and all
 * NMIs of the host.
 */
uint64_t vm_interruptions(VM *vm);

#endif
