/*
 * How the guest's PMU is provided: by the software PMU of TCG, or by a kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_PROVIDER_H
#define TARGET_I386_VPMU_PROVIDER_H

#include "cpu.h"

/**
 * VPMUOffer: what a kernel has for a guest
 * @version: of architectural performance monitoring
 * @nr_gp, @nr_fixed: counters
 * @capabilities: the bits of PERF_CAPABILITIES for PEBS and full-width writes
 * @no_pebs: if these are without PEBS, the reason; the rest of a sentence
 * @lbr_format: of the last branch records that the host's processor makes for
 *     the guest; 0: none
 * @no_lbr: then the reason, the rest of a sentence
 */
typedef struct VPMUOffer {
    uint8_t version;
    uint8_t nr_gp;
    uint8_t nr_fixed;
    uint64_t capabilities;
    const char *no_pebs;
    uint8_t lbr_format;
    const char *no_lbr;
} VPMUOffer;

/**
 * VPMUProvider: how the PMU of a machine's guest is provided
 *
 * Each accelerator that has a virtual PMU has one instance.
 *
 * @mode: how the PMU is provided; @reason: why, the rest of a sentence
 * @refresh: bring registers, vpmu_value(), map and statistics up to date for
 *     query-vpmu and query-stats.  By the vCPU's own thread outside of its
 *     execution loop, or while it is stopped
 *
 * Only a kernel has:
 * @realize: a vCPU is about to be created.  Returns false with @errp set if
 *     the kernel refuses what its properties ask for
 * @offer: what a guest with @cpu's model can have
 * @reserve: reserve this many general-purpose pPMCs, and these fixed ones
 *     (bit j for fixed j), for the host.  Returns 0 or -errno.  It is NULL for
 *     the software PMU, whose pPMCs QEMU itself reserves (counting.h)
 */
typedef struct VPMUProvider {
    VpmuMode (*mode)(X86CPU *cpu, const char **reason);
    void (*refresh)(CPUX86State *env);
    bool (*realize)(X86CPU *cpu, Error **errp);
    void (*offer)(X86CPU *cpu, VPMUOffer *offer);
    int (*reserve)(unsigned gp, unsigned fixed, bool force);
} VPMUProvider;

extern const VPMUProvider vpmu_provider_tcg;
extern const VPMUProvider vpmu_provider_kvm;

/**
 * vpmu_provider: the provider that the accelerator in use has, or NULL
 */
const VPMUProvider *vpmu_provider(void);

/**
 * vpmu_mode: how the PMU of the machine's guest is provided
 * @cpu: the first CPU, or NULL if there is none
 * @reason: why, the rest of a sentence
 *
 * By the main thread.
 */
VpmuMode vpmu_mode(X86CPU *cpu, const char **reason);

/**
 * vpmu_ppmcs: the pPMCs that there are, after features were expanded
 */
VPMUCounterMask vpmu_ppmcs(const X86CPU *cpu);

/**
 * vpmu_kernel_pebs: the PEBS bits that a kernel's guest has in
 * PERF_CAPABILITIES, or 0
 */
uint64_t vpmu_kernel_pebs(const X86CPU *cpu);

/**
 * vpmu_kernel_vpmcs: what CPUID leaf 0xA says of a kernel's PMU
 * @version: of architectural performance monitoring
 * @width: bits of a counter
 *
 * Returns: the guest's counters.
 */
VPMUCounterMask vpmu_kernel_vpmcs(X86CPU *cpu, uint8_t *version,
                                  uint8_t *width);

#endif /* TARGET_I386_VPMU_PROVIDER_H */
