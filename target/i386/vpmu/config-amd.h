/*
 * The PMU of a guest with an AMD processor: CPU properties and CPUID
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What config.c calls for a CPU with vendor AuthenticAMD whose PMU the software
 * PMU provides.
 */
#ifndef TARGET_I386_VPMU_CONFIG_AMD_H
#define TARGET_I386_VPMU_CONFIG_AMD_H

#include "cpu.h"

/* The remedy if the CPU model has another vendor */
#define VPMU_INTEL_MODEL        "a CPU model with vendor GenuineIntel, " \
                                "for example Icelake-Server-v6"

/**
 * vpmu_amd_features: what the PMU adds to TCG's features in @word
 */
uint64_t vpmu_amd_features(int word);

/**
 * vpmu_amd_expand: check the PMU's properties, fill in those that are unset,
 * and show the features that go with them
 *
 * Returns false with @errp set if a property cannot be satisfied.
 */
bool vpmu_amd_expand(X86CPU *cpu, Error **errp);

/**
 * vpmu_amd_visible_gp: how many counters the guest is told of at most
 *
 * Where CPUID has no number, it is four of those that the properties have left,
 * or all.
 */
unsigned vpmu_amd_visible_gp(const VPMUConfig *vpmu);

/**
 * vpmu_amd_cpuid: CPUID leaf 0x80000022
 *
 * APM volume 3, "CPUID Fn8000_0022".
 */
void vpmu_amd_cpuid(const X86CPU *cpu, uint32_t *eax, uint32_t *ebx);

#endif /* TARGET_I386_VPMU_CONFIG_AMD_H */
