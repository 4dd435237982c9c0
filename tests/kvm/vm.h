/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VM of one vCPU that does what a table says
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
    uint64_t nmis;              /* of the host, when it was created */
} VM;

/* What KVM offers to guests here: CPUID leaf 0xA, PEBS (format 4 or newer) */
typedef struct VMPMU {
    unsigned gp, fixed;
    bool pebs;
} VMPMU;

extern VMPMU vm_pmu;

/* The version in CPUID leaf 0xA of VMs that are created, 0: as KVM offers it */
extern unsigned vm_pmu_version;

/* Ends the program with a message; @what failed, errno says why. */
void die(const char *what);

/* Fill in vm_pmu; with @print, say what the CPU has and what KVM offers. */
void vm_probe(bool print);

/*
 * A VM, or one with hand-over if @args is not NULL; its vCPU has the PMU that
 * KVM offers.
 */
void vm_create(VM *vm, const struct kvm_vpmu_handover *args);
void vm_destroy(VM *vm);

/* Fill in the size; returns 0 or the error of KVM_ENABLE_CAP. */
int vm_handover(VM *vm, unsigned flags, unsigned gp, unsigned fixed);

/* Add to the table.  The result of an entry is in vm_result(its number). */
unsigned vm_op(VM *vm, unsigned op, uint32_t reg, uint64_t value);
/* Execute the table, and empty it. */
void vm_execute(VM *vm);
uint64_t vm_result(VM *vm, unsigned entry);

/* A shorthand for a table of one entry. */
uint64_t vm_do(VM *vm, unsigned op, uint32_t reg, uint64_t value);

uint32_t vm_read32(VM *vm, unsigned address);
void vm_write64(VM *vm, unsigned address, uint64_t value);

/* The map, or a statistic by its name in query-stats. */
void vm_map(VM *vm, struct kvm_vpmu_handover_map *map);
uint64_t vm_stat(VM *vm, const char *name);

/*
 * How often the guest can have been interrupted since it was created, at most:
 * VM exits for interrupts and for pages of the host's, what was injected into
 * it, and all NMIs of the host.
 */
uint64_t vm_interruptions(VM *vm);

#endif
