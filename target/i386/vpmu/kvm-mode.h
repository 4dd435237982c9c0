/*
 * How the host's KVM provides PMUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Needs glib only.
 */
#ifndef TARGET_I386_VPMU_KVM_MODE_H
#define TARGET_I386_VPMU_KVM_MODE_H

#include <stdbool.h>

typedef enum VPMUKvmMode {
    VPMU_KVM_NONE,      /* no PMU that KVM can use */
    VPMU_KVM_DISABLED,  /* parameter enable_pmu of the module kvm is off */
    VPMU_KVM_EMULATED,  /* through perf events */
    VPMU_KVM_MEDIATED,  /* the whole PMU, Linux 7.0 and later */
} VPMUKvmMode;

/**
 * vpmu_kvm_mode: how KVM provides a PMU to those who ask for one
 * @modules: /sys/module, or what a test has in its place
 * @capability: the kernel has KVM_CAP_PMU_CAPABILITY for this VM
 * @version: of CPUID leaf 0xA that KVM supports; 0: none
 *
 * Kernels before 5.18 do not know the capability, only the leaf.  A parameter
 * that cannot be read does not exist in this kernel.
 */
VPMUKvmMode vpmu_kvm_mode(const char *modules, bool capability,
                          unsigned version);

#endif /* TARGET_I386_VPMU_KVM_MODE_H */
