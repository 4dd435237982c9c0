/*
 * The hypervisor: what vmx.c has for other files
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VMX_HOST_H
#define TESTS_VMX_HOST_H

#include "rt.h"

#define REASON_EXCEPTION        0
#define REASON_VMCALL           18
#define REASON_BAD_GUEST        0x80000021u

#define ENTRY_DEBUG             (1u << 2)
#define ENTRY_IA32E             (1u << 9)
#define EXIT_DEBUG              (1u << 2)
#define EXIT_HOST_64            (1u << 9)
#define FLAGS_TF                0x100

#define EVENT(type, vector)     (1u << 31 | (type) << 8 | (vector))
#define EVENT_ERROR             (1u << 11)

/* RAX, RBX, RCX and RDX of the guest */
extern uint64_t regs[4];

/* VMREAD and VMWRITE */
uint64_t get(uint64_t field);
unsigned vmwrite(uint64_t field, uint64_t value);
/* Write controls, as @msr allows them. */
void set_controls(uint32_t field, uint32_t msr, uint32_t controls);
/* A VMCS, which is cleared and loaded, for a guest that begins at @guest */
void set_vmcs(void (*guest)(void));
/* VMLAUNCH.  Returns: why the guest came back, or the error */
uint64_t enter(void);
/* VMRESUME.  Returns: why the guest came back, -1 after an error */
uint64_t resume(void);

/* In lbr.c */
void test_lbr(void);

#endif /* TESTS_VMX_HOST_H */
