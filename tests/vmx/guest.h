/*
 * Entering a guest, and the guests, all in guest.S
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VMX_GUEST_H
#define TESTS_VMX_GUEST_H

#include "rt.h"

unsigned vmx_enter(uint64_t *regs, bool launch);
extern char vmx_exited[], guest_stubs[];
/* The instructions of vmx_enter() to VMLAUNCH */
#define VMX_ENTER_INSNS 16

void guest_cpuid(void);
void guest_hlt(void);
void guest_rdtsc(void);
void guest_rdtscp(void);
void guest_rdpid(void);
void guest_invd(void);
void guest_wbinvd(void);
void guest_invlpg(void);
void guest_rdmsr(void);
void guest_wrmsr(void);
void guest_in(void);
void guest_out(void);
void guest_mov_cr3(void);
void guest_set_cr3(void);
void guest_cr8(void);
void guest_mov_dr(void);
void guest_read_cr(void);
void guest_set_cr0(void);
void guest_clts(void);
void guest_lmsw(void);
void guest_sgdt(void);
void guest_str(void);
void guest_vmread(void);
void guest_pause(void);
void guest_ud(void);
void guest_int3(void);
void guest_steps(void);
void guest_pae(void);
void guest_load(void);
void guest_store(void);
void guest_nothing(void);
void guest_sti(void);
void guest_triple(void);
void guest_count(void);
void guest_branches(void);
extern char guest_jump[], guest_jumped[], guest_jump_2[], guest_jumped_2[];
void guest_long(void);
void guest_count_io(void);
void guest_count_masked(void);

#endif /* TESTS_VMX_GUEST_H */
