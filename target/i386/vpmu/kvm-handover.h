/*
 * Counter hand-over by a KVM that has it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The policy is the kernel's; this file asks for it and shows what it does.
 * docs/specs/kvm-vpmu-handover.rst specifies the interface.
 */
#ifndef TARGET_I386_VPMU_KVM_HANDOVER_H
#define TARGET_I386_VPMU_KVM_HANDOVER_H

#include "provider.h"

/**
 * kvm_handover_has: whether this kernel has @feature, KVM_VPMU_HANDOVER_HAS_*
 */
bool kvm_handover_has(unsigned feature);

/**
 * kvm_handover_enable: enable it for the machine, with @cpu's properties
 *
 * Before the first vCPU is created.  Returns false with @errp set if the kernel
 * refuses.
 */
bool kvm_handover_enable(X86CPU *cpu, Error **errp);

/**
 * kvm_handover_offer, kvm_handover_refresh, kvm_handover_reserve: see
 * VPMUProvider
 */
void kvm_handover_offer(X86CPU *cpu, VPMUOffer *offer);
void kvm_handover_refresh(CPUX86State *env);
int kvm_handover_reserve(unsigned gp, unsigned fixed, bool force);

#endif /* TARGET_I386_VPMU_KVM_HANDOVER_H */
