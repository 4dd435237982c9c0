/*
 * The virtual PMU that a guest sees: configuration, state, hooks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cpu.h includes this file, so nothing here needs cpu.h.  QEMU's own files call
 * only what is declared here.  docs/devel/vpmu.rst describes the design.
 */
#ifndef TARGET_I386_VPMU_H
#define TARGET_I386_VPMU_H

#include "qapi/qapi-types-vpmu.h"
#include "handover.h"
#include "lbr.h"
#include "softpmu.h"

struct ArchCPU;
struct CPUArchState;
struct VPMUSim;

/* How many of the unsupported events that a guest asked for are remembered */
#define VPMU_NR_UNSUPPORTED 8
/* Default of VPMUConfig.slice_ms */
#define VPMU_SLICE_MS       10

/**
 * VPMUConfig: what the guest's PMU has, from CPU properties
 * @pmu_set: the user has set pmu; its value is neither the default nor the
 *     choice of a CPU model (max)
 * @version: architectural performance monitoring version, on AMD 2 with
 *     PerfMonV2 and 1 without; 0: unset
 * @nr_gp: general-purpose vPMCs, as far as there are pPMCs; 0: unset
 * @pebs: there is PEBS
 * @pebs_format: PEBS_REC_FMT, 1 to 4; 0: unset
 * @pebs_baseline: adaptive records, and PEBS on fixed counters
 * @lbr: there are last branch records
 * @bts: there is branch trace store
 * @simulation: of caches, TLBs and branch prediction
 * @passthrough: whether the user asks for the hand-over policy
 * @host_gp: how many general-purpose pPMCs are reserved at start
 * @host_fixed: mask of the fixed pPMCs that are, bit j for fixed j
 * @host_order: which general-purpose pPMCs are reserved first
 * @visible: which vPMCs the guest sees
 * @slice_ms: how long an idle vPMC keeps its pPMC
 *
 * Set when the CPU's features are expanded, as are the fields above that the
 * user left unset:
 * @total_gp, @nr_fixed: pPMCs
 * @lbr_format: an LBRFormat; LBR_FORMAT_NONE without @lbr
 *
 * Set when the CPU is realized:
 * @software: the software PMU is on
 * @policy: the hand-over policy is engaged
 * @has_map: it is known which pPMC backs which vPMC
 * @has_stats: there are statistics
 * @vpmcs: the vPMCs that the guest sees
 *
 * After that nothing here changes, and any thread may read it.
 */
typedef struct VPMUConfig {
    bool pmu_set;
    uint8_t version;
    uint8_t nr_gp;
    OnOffAuto pebs;
    uint8_t pebs_format;
    OnOffAuto pebs_baseline;
    OnOffAuto lbr;
    OnOffAuto bts;
    VpmuSimulation simulation;
    OnOffAuto passthrough;
    uint8_t host_gp;
    uint8_t host_fixed;
    VpmuHostOrder host_order;
    VpmuVisible visible;
    uint32_t slice_ms;
    uint8_t total_gp;
    uint8_t nr_fixed;
    uint8_t lbr_format;
    bool software;
    bool policy;
    bool has_map;
    bool has_stats;
    VPMUCounterMask vpmcs;
} VPMUConfig;

/**
 * VPMUIdentity: what a guest sees of its PMU, and a migration must not change
 * @software: the software PMU provides it, not a kernel
 * @version: as in VPMUConfig; 0: there is no PMU
 * @vpmcs: the counters
 * @pebs: the PEBS bits of PERF_CAPABILITIES
 * @lbr: format of the last branch records that TCG makes; LBR_FORMAT_NONE also
 *     in streams from before there were some
 * @bts: there is branch trace store
 * @simulates: there is a simulation of caches, TLBs and branch prediction
 */
typedef struct VPMUIdentity {
    bool software;
    uint8_t version;
    VPMUCounterMask vpmcs;
    uint64_t pebs;
    uint8_t lbr;
    bool bts;
    bool simulates;
} VPMUIdentity;

/**
 * VPMUState: the guest's half of a vCPU's PMU
 *
 * These are the registers that QEMU has no field for.  The others are in
 * CPUX86State.msr_fixed_ctr_ctrl, msr_global_ctrl, msr_global_status and
 * msr_gp_evtsel.  The values of counters are in msr_gp_counters and
 * msr_fixed_counters while they have no pPMC, see vpmc.h.
 *
 * It lies in the part of CPUX86State that reset clears and INIT keeps (SDM
 * volume 3, "Processor State After Reset").  Only the vCPU's own thread may
 * touch it, or any thread while that thread is stopped.
 */
typedef struct VPMUState {
    uint64_t debugctl;
    uint64_t ds_area;
    uint64_t pebs_enable;
    uint64_t pebs_data_cfg;
    uint64_t pebs_ld_lat;
    LBR lbr;
    /*
     * By the ring of a near branch: as in LBR, of all that records branches;
     * whether there is a trace.  Both follow from the registers.
     */
    uint8_t branch_kinds[SOFTPMU_NR_RINGS];
    bool branch_traced[SOFTPMU_NR_RINGS];
    /* SoftPMUCounter.high of vPMCs that have no pPMC */
    bool high[VPMU_NR];
    /* Codes of events that the guest asked for and that read 0; 0: none */
    uint16_t unsupported[VPMU_NR_UNSUPPORTED];
    /* Bits 19:16 of these codes, which only AMD has */
    uint8_t unsupported_high[VPMU_NR_UNSUPPORTED];
    /*
     * The vPMCs whose PEBS record waits for memory that the guest's hypervisor
     * has yet to provide, and the instruction that it will name
     */
    VPMUCounterMask waiting;
    SoftPMUNote waiting_note;
    /*
     * BTS has reached its threshold: vpmu_sync() is about to raise the
     * interrupt.  Only within the execution loop.
     */
    bool bts_due;
    /* Of the guest whose migration stream is being loaded or saved */
    VPMUIdentity identity;
    /* The stream that is being loaded has the subsection cpu/vpmu. */
    bool loaded;
} VPMUState;

/**
 * VPMUHost: the host's half of a vCPU's PMU
 * @hw: the physical counters, under TCG
 * @handover: the map and the statistics.  A kernel that hands counters over
 *     has its own; this is a copy for query-vpmu and query-stats
 * @starved: the vPMCs that the last VPMU_COUNTER_STARVED named
 * @starved_ms: when it was sent, ms of the host
 * @recordless: vPMCs whose PEBS records KVM drops, whatever their pPMC
 * @sim: simulated caches, TLBs and branch predictor; NULL: there are none
 * @sim_forget: what of them has to be forgotten before they are used again
 * @sim_line: linear address of the line that the last instruction was fetched
 *     from
 * @sim_again: linear address of an instruction that has been fetched, but did
 *     not come to its end
 *
 * It lies in the part of CPUX86State that a reset of the guest leaves alone.
 * The same threads may touch it as VPMUState.
 */
typedef struct VPMUHost {
    SoftPMU hw;
    Handover handover;
    VPMUCounterMask starved;
    int64_t starved_ms;
    VPMUCounterMask recordless;
    struct VPMUSim *sim;
    unsigned sim_forget;
    uint64_t sim_line;
    uint64_t sim_again;
} VPMUHost;

/* VPMUHost.sim_line is no line, and sim_again no instruction. */
#define VPMU_NO_LINE        UINT64_MAX

/**
 * VPMUPlace: where a vCPU is
 * @eip: RIP
 * @cs_base: what is added to it
 * @hflags: as in CPUX86State; the ring, and whether the code is 64-bit code
 */
typedef struct VPMUPlace {
    uint64_t eip;
    uint64_t cs_base;
    uint32_t hflags;
} VPMUPlace;

/* What has been delivered; VPMU_SOFTWARE is INT n, INT3 and INTO. */
typedef enum VPMUDelivery {
    VPMU_INTERRUPT,
    VPMU_EXCEPTION,
    VPMU_SOFTWARE,
} VPMUDelivery;

#ifdef CONFIG_USER_ONLY

#define DEFINE_PROP_VPMU(name, state, field) \
    DEFINE_PROP_BOOL(name, state, field, false)

static inline uint64_t vpmu_supported_features(struct ArchCPU *cpu, int word)
{
    return 0;
}

static inline uint64_t vpmu_filter_features(struct ArchCPU *cpu, int word,
                                            bool explain)
{
    return 0;
}

static inline bool vpmu_expand_features(struct ArchCPU *cpu, Error **errp)
{
    return true;
}

static inline bool vpmu_realize(struct ArchCPU *cpu, Error **errp)
{
    return true;
}

static inline void vpmu_cpuid(struct ArchCPU *cpu, uint32_t *eax,
                              uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
}

static inline void vpmu_cpuid_lbr(struct ArchCPU *cpu, uint32_t *eax,
                                  uint32_t *ebx, uint32_t *ecx)
{
}

static inline void vpmu_cpuid_amd(struct ArchCPU *cpu, uint32_t *eax,
                                  uint32_t *ebx)
{
}

static inline void vpmu_reset(struct ArchCPU *cpu)
{
}

static inline void vpmu_unrealize(struct ArchCPU *cpu)
{
}

#else

extern const PropertyInfo vpmu_prop_pmu;
extern const PropertyInfo vpmu_prop_fixed;
extern const PropertyInfo vpmu_prop_order;
extern const PropertyInfo vpmu_prop_visible;
extern const PropertyInfo vpmu_prop_simulation;
extern const struct VMStateDescription vmstate_vpmu;

/*
 * The property pmu is off by default.  Setting it sets VPMUConfig.pmu_set, too.
 * All other properties are in properties.h.inc.
 */
#define DEFINE_PROP_VPMU(name, state, field) \
    DEFINE_PROP(name, state, field, vpmu_prop_pmu, bool, \
                .set_default = true, .defval.u = false)

/**
 * vpmu_supported_features: what the PMU adds to TCG's features in @word
 * @cpu: NULL adds nothing, since the CPU's properties decide
 * @word: a FeatureWord
 */
uint64_t vpmu_supported_features(struct ArchCPU *cpu, int word);

/**
 * vpmu_filter_features: the same, when features that are not supported are
 * about to be dropped or refused
 * @explain: say what the features need that the PMU could have
 */
uint64_t vpmu_filter_features(struct ArchCPU *cpu, int word, bool explain);

/**
 * vpmu_expand_features: check the PMU properties, add what they imply
 *
 * Before feature dependencies are resolved.  Returns false with @errp set if
 * a property is out of range or cannot be satisfied.
 */
bool vpmu_expand_features(struct ArchCPU *cpu, Error **errp);

/**
 * vpmu_realize: switch the PMU on
 *
 * After features are filtered, before the first reset and before KVM creates
 * the vCPU.  A CPU that is plugged later gets the machine's reservation.
 * Returns false with @errp set if the machine's other CPUs have another PMU,
 * or if the accelerator cannot do what the properties ask for.
 */
bool vpmu_realize(struct ArchCPU *cpu, Error **errp);

/**
 * vpmu_realize_caches: make what pmu-model simulates
 *
 * When the caches that CPUID shows are known.  Returns false with @errp set if
 * there cannot be such caches.
 */
bool vpmu_realize_caches(struct ArchCPU *cpu, Error **errp);

/**
 * vpmu_machine_reset: the machine is reset, and not only the CPU, as by INIT
 */
void vpmu_machine_reset(struct ArchCPU *cpu);

/**
 * vpmu_unrealize: the CPU is gone
 */
void vpmu_unrealize(struct ArchCPU *cpu);

/**
 * vpmu_cpuid: CPUID leaf 0xA of the software PMU
 *
 * SDM volume 2, CPUID.  Leaves the registers alone when it is off, and if it is
 * AMD's.
 */
void vpmu_cpuid(struct ArchCPU *cpu, uint32_t *eax, uint32_t *ebx,
                uint32_t *ecx, uint32_t *edx);

/**
 * vpmu_cpuid_lbr: CPUID leaf 0x1C of the software PMU
 *
 * SDM volume 2, CPUID.  Leaves the registers alone without architectural LBR.
 */
void vpmu_cpuid_lbr(struct ArchCPU *cpu, uint32_t *eax, uint32_t *ebx,
                    uint32_t *ecx);

/**
 * vpmu_cpuid_amd: CPUID leaf 0x80000022 of the software PMU
 *
 * APM volume 3, "CPUID Fn8000_0022".  Leaves the registers alone when it is
 * off, and if it is not AMD's.
 */
void vpmu_cpuid_amd(struct ArchCPU *cpu, uint32_t *eax, uint32_t *ebx);

/**
 * vpmu_reset: give the guest's PMU its state after reset
 *
 * Called after the state was zeroed, while the vCPU does not run.  The host's
 * half goes on.  SDM volume 3, "Processor State After Reset".
 */
void vpmu_reset(struct ArchCPU *cpu);

/**
 * vpmu_after_init: have the host's half of the PMU outlive INIT
 * @before: the CPU's state before INIT
 *
 * QEMU carries out INIT as a reset, and then puts back the registers that INIT
 * keeps.  The counters must be as they were, too.  By the vCPU's own thread.
 */
void vpmu_after_init(struct ArchCPU *cpu, const struct CPUArchState *before);

/**
 * vpmu_before_save, vpmu_after_load: around the migration of a CPU's state
 *
 * Before any of it is saved, and when all of it was loaded.  While the vCPU
 * does not run.  vpmu_after_load() returns a negative error if the registers cannot
 * be a guest's.
 */
void vpmu_before_save(struct ArchCPU *cpu);
int vpmu_after_load(struct ArchCPU *cpu);

#endif /* !CONFIG_USER_ONLY */

/**
 * vpmu_kvm_get_msrs, vpmu_kvm_put_msrs: PEBS registers from and to the kernel
 * @level: KVM_PUT_*; they are put on reset, and when the full state is
 *
 * While the vCPU does not run.  Returns: 0, or a negative error if the kernel
 * does not know the registers that go with the guest's CPUID.
 */
int vpmu_kvm_get_msrs(struct ArchCPU *cpu);
int vpmu_kvm_put_msrs(struct ArchCPU *cpu, int level);

/* Bits of CPUX86State.hflags that select a SoftPMULevel */
#define HF_VPMU_SHIFT       29
/* The bit that says that branches are reported */
#define HF_VPMU_BRANCH_SHIFT 31
/* The bit that says that caches, TLBs and branch prediction are simulated */
#define HF_VPMU_SIM_SHIFT   2

/*
 * Hooks of TCG.  User-mode emulation has no PMU: there they do nothing.
 */
#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)

#define HF_VPMU_MASK        (3u << HF_VPMU_SHIFT)
#define HF_VPMU_BRANCH_MASK (1u << HF_VPMU_BRANCH_SHIFT)
#define HF_VPMU_SIM_MASK    (1u << HF_VPMU_SIM_SHIFT)

/**
 * vpmu_tcg_exec_enter, vpmu_tcg_exec_exit: around the execution loop
 *
 * Outside the loop all counters are up to date.  hflags keeps the level, since
 * cpu_exec_step_atomic() looks at it before it enters.  Either may be called
 * twice in a row.
 */
void vpmu_tcg_exec_enter(struct CPUArchState *env);
void vpmu_tcg_exec_exit(struct CPUArchState *env);

/**
 * vpmu_tcg_restore: an instruction of a TB did not retire
 * @flags: the TB's flags
 * @ahead: what the TB was charged from that instruction on
 */
void vpmu_tcg_restore(struct CPUArchState *env, uint32_t flags,
                      SoftPMUCharge ahead);

/**
 * vpmu_tcg_interrupt: handle overflows before a pending interrupt is chosen
 * @request: CPUState.interrupt_request
 *
 * Called with the BQL held, at an instruction boundary.
 * Returns: @request with the interrupts that overflows have raised.
 */
int vpmu_tcg_interrupt(struct CPUArchState *env, int request);

/**
 * vpmu_tcg_received: count a hardware interrupt, before it is delivered
 */
void vpmu_tcg_received(struct CPUArchState *env);

/**
 * vpmu_tcg_place: where the vCPU is, for vpmu_tcg_delivered()
 *
 * At an instruction boundary.
 */
VPMUPlace vpmu_tcg_place(struct CPUArchState *env);

/**
 * vpmu_tcg_delivered: an interrupt or an exception has been delivered
 * @from: of the instruction that has caused it; of an interrupt, the next one
 * @what: VPMU_SOFTWARE is counted now
 */
void vpmu_tcg_delivered(struct CPUArchState *env, const VPMUPlace *from,
                        int vector, VPMUDelivery what);

/**
 * vpmu_tcg_wrmsr, vpmu_tcg_rdmsr: the PMU's registers
 * @retaddr: GETPC() of the helper; a bad access raises #GP and does not return
 *
 * Returns: false if the register in ECX is not the PMU's.
 */
bool vpmu_tcg_wrmsr(struct CPUArchState *env, uint64_t value,
                    uintptr_t retaddr);
bool vpmu_tcg_rdmsr(struct CPUArchState *env, uint64_t *value,
                    uintptr_t retaddr);

/**
 * vpmu_tcg_svm_mode: VMRUN, #VMEXIT, SMM or a write of EFER have just decided
 * whether a counter counts that is only for AMD's host or only for its guests
 *
 * By the helper, when the instruction can no longer fault, or at an instruction
 * boundary.
 */
void vpmu_tcg_svm_mode(struct CPUArchState *env);

/**
 * vpmu_tcg_rdpmc: read the counter in ECX into EDX:EAX
 *
 * The caller has checked CR4.PCE and intercepts.  A counter that does not
 * exist raises #GP.  Returns false without a PMU.
 */
bool vpmu_tcg_rdpmc(struct CPUArchState *env, uintptr_t retaddr);

/* The largest access at once, in bytes */
#define VPMU_TOUCH_MAX      4096

/**
 * vpmu_tcg_touch: simulate an access that is about to be made
 * @uses: VPMU_TOUCH_*, see sim-calls.h
 * @retaddr: GETPC() of the helper, 0 outside of translated code
 *
 * Only with HF_VPMU_SIM_MASK.  Without VPMU_TOUCH_FINAL the instruction may be
 * restarted here, as it is where an access faults.  If the access will fault,
 * nothing is done.
 */
void vpmu_tcg_touch(struct CPUArchState *env, uint64_t address, unsigned size,
                    unsigned uses, int mmu_idx, uintptr_t retaddr);

/**
 * vpmu_tcg_flush_tlb: the guest has the processor forget what its TLB has
 * @keep_global: but not pages that are global
 */
void vpmu_tcg_flush_tlb(struct CPUArchState *env, bool keep_global);

/**
 * vpmu_tcg_flush_page: the same of the page of a linear address (INVLPG)
 */
void vpmu_tcg_flush_page(struct CPUArchState *env, uint64_t address);

#else

#define HF_VPMU_MASK        0
#define HF_VPMU_BRANCH_MASK 0
#define HF_VPMU_SIM_MASK    0

static inline void vpmu_tcg_flush_tlb(struct CPUArchState *env,
                                      bool keep_global)
{
}

static inline VPMUPlace vpmu_tcg_place(struct CPUArchState *env)
{
    return (VPMUPlace) { };
}

static inline void vpmu_tcg_delivered(struct CPUArchState *env,
                                      const VPMUPlace *from, int vector,
                                      VPMUDelivery what)
{
}

static inline void vpmu_tcg_exec_enter(struct CPUArchState *env)
{
}

static inline void vpmu_tcg_exec_exit(struct CPUArchState *env)
{
}

static inline void vpmu_tcg_restore(struct CPUArchState *env, uint32_t flags,
                                    SoftPMUCharge ahead)
{
}

static inline bool vpmu_tcg_rdpmc(struct CPUArchState *env, uintptr_t retaddr)
{
    return false;
}

#endif

#endif /* TARGET_I386_VPMU_H */
