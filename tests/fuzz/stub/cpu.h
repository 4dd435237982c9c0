/*
 * A vCPU as far as its PMU knows it, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Names and types are those of QEMU's target/i386/cpu.h.
 */
#ifndef TESTS_FUZZ_STUB_CPU_H
#define TESTS_FUZZ_STUB_CPU_H

#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-types-common.h"
#include "vpmu.h"

/* There is one thread. */
typedef struct QemuMutex {
    bool unused;
} QemuMutex;

#ifdef FUZZ_WITH_QEMU
#include "qemu/queue.h"
#else
#define QLIST_ENTRY(type)   struct { struct type *le_next, **le_prev; }
#endif

#define HF_CPL_MASK         3u
#define HF_CS64_MASK        (1u << 15)
#define HF_GUEST_MASK       (1u << 21)
#define MSR_EFER_SVME       (1u << 12)
#define CR4_LA57_MASK       (1u << 12)

#define CPUID_DTS           (1u << 21)
#define CPUID_EXT_PDCM      (1u << 15)
#define PERF_CAP_LBR_FMT    0x3f
#define CPUID_EXT3_SVM      (1u << 2)
#define CPUID_EXT3_PERFCORE (1u << 23)

#define MSR_IA32_MISC_ENABLE            0x1a0
#define MSR_P6_PERFCTR0                 0xc1
#define MSR_P6_EVNTSEL0                 0x186
#define MSR_IA32_PERF_CAPABILITIES      0x345
#define MSR_CORE_PERF_FIXED_CTR0        0x309
#define MSR_CORE_PERF_FIXED_CTR_CTRL    0x38d
#define MSR_CORE_PERF_GLOBAL_STATUS     0x38e
#define MSR_CORE_PERF_GLOBAL_CTRL       0x38f
#define MSR_CORE_PERF_GLOBAL_OVF_CTRL   0x390
#define MSR_ARCH_LBR_CTL                0x14ce
#define MSR_ARCH_LBR_DEPTH              0x14cf
#define MSR_ARCH_LBR_FROM_0             0x1500
#define MSR_ARCH_LBR_TO_0               0x1600
#define MSR_ARCH_LBR_INFO_0             0x1200

#define EXCP01_DB           1

enum { R_CS = 1 };
enum {
    FEAT_1_ECX, FEAT_1_EDX, FEAT_8000_0001_ECX, FEAT_PERF_CAPABILITIES,
    FEATURE_WORDS
};

#define MAX_FIXED_COUNTERS  3
#define MAX_GP_COUNTERS     18

typedef struct CPUArchState {
    uint64_t eip;
    uint32_t hflags;
    uint64_t efer;
    uint64_t cr[5];
    struct {
        uint64_t base;
    } segs[6];
    uint64_t features[FEATURE_WORDS];
    uint32_t cpuid_version;
    bool is_amd;

    uint64_t msr_ia32_misc_enable;
    uint64_t msr_fixed_ctr_ctrl;
    uint64_t msr_global_ctrl;
    uint64_t msr_global_status;
    uint64_t msr_fixed_counters[MAX_FIXED_COUNTERS];
    uint64_t msr_gp_counters[MAX_GP_COUNTERS];
    uint64_t msr_gp_evtsel[MAX_GP_COUNTERS];
    VPMUState vpmu;
    VPMUHost vpmu_host;
} CPUX86State;

typedef struct ArchCPU {
    CPUState cs;
    CPUX86State env;
    bool enable_pmu;
    VPMUConfig vpmu;
} X86CPU;

static inline CPUState *env_cpu(CPUX86State *env)
{
    return (CPUState *)((char *)env - offsetof(X86CPU, env));
}

static inline X86CPU *env_archcpu(CPUX86State *env)
{
    return (X86CPU *)env_cpu(env);
}

static inline CPUX86State *cpu_env(CPUState *cs)
{
    return &((X86CPU *)cs)->env;
}

static inline X86CPU *X86_CPU(CPUState *cs)
{
    return (X86CPU *)cs;
}

void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count,
                   uint32_t *eax, uint32_t *ebx, uint32_t *ecx,
                   uint32_t *edx);

#define IS_AMD_CPU(env)     ((env)->is_amd)
#define IS_INTEL_CPU(env)   (!(env)->is_amd)

#endif /* TESTS_FUZZ_STUB_CPU_H */
