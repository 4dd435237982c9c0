/*
 * What amd.c and amd-code.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_AMD_H
#define TESTS_VPMU_AMD_H

/* What amd_count() retires with amd_code, from the counter's start on */
#define AMD_CODE_INSNS      26
#define AMD_CODE_BRANCHES   11
#define AMD_CODE_TAKEN      9
#define AMD_CODE_COND       4
#define AMD_CODE_RETURNS    2
#define AMD_CODE_FAR        2
#define AMD_CODE_LOADS      5
#define AMD_CODE_STORES     3

/* What amd_enter_guest() does, in the host and in the guest */
#define AMD_HOST_INSNS      5
#define AMD_GUEST_INSNS     10

/* What amd_count() retires with amd_smi, besides the firmware's handler */
#define AMD_SMI_INSNS       7

#ifndef ASSEMBLY
#include "rt.h"

/* Write @select to register @msr, call @code, write 0. */
void amd_count(uint32_t msr, uint64_t select, void (*code)(void));
void amd_code(void);
/* Places in amd_code */
extern char amd_after_nops[], amd_callee[];

/* Write @select to register @msr, run the guest of @vmcb, write 0. */
void amd_enter_guest(uint32_t msr, uint64_t select, uint64_t vmcb);
extern char amd_guest[];

void amd_smi(void);
#endif

#endif /* TESTS_VPMU_AMD_H */
