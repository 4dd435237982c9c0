/*
 * The virtual PMU that a guest sees: state, configuration, hooks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Layers, top down: hw/i386/vpmu.c (QMP, HMP), config.c (CPU properties,
 * CPUID), vpmu.c (MSRs, reset, migration), handover.c (which pPMC backs which
 * vPMC), one VPMUBackend per accelerator (tcg.c, kvm.c).
 * docs/devel/vpmu.rst has the map.
 *
 * cpu.h includes this file, so it has nothing that needs cpu.h: see
 * internal.h for what the files in this folder share.
 */
#ifndef TARGET_I386_VPMU_H
#define TARGET_I386_VPMU_H

#include "qapi/qapi-types-vpmu.h"
#include "handover.h"
#include "softpmu.h"

struct ArchCPU;
struct CPUArchState;

/* Of the unsupported events that a guest asked for, so many are kept. */
#define VPMU_NR_UNSUPPORTED 8
/* Default of VPMUConfig.slice_ms. */
#define VPMU_SLICE_MS       10

/**
 * VPMUConfig: what the guest's PMU has, from CPU properties
 * @pmu_set: pmu has the value that the user gave it, not its default or one
 *     that a CPU model (max) chose
 * @version: architectural performance monitoring version; 0: unset
 * @nr_gp: general-purpose vPMCs, as far as there are pPMCs; 0: unset
 * @pebs: there is PEBS
 * @pebs_format: PEBS_REC_FMT, 3 or 4; 0: unset
 * @pebs_baseline: adaptive records, and PEBS on fixed counters
 * @passthrough: whether the hand-over policy is asked for
 * @host_gp: how many general-purpose pPMCs are the host's at start
 * @host_fixed: mask of fixed pPMCs that are, bit j for fixed j
 * @host_order: which general-purpose pPMCs those are
 * @visible: which vPMCs the guest sees
 * @slice_ms: how long a vPMC keeps its pPMC unused
 *
 * Set when the CPU's features are expanded, what is unset as well:
 * @total_gp, @nr_fixed: pPMCs
 *
 * Set when the CPU is realized:
 * @software: the software PMU is on
 * @policy: the hand-over policy is engaged
 * @has_map: it is known which pPMC backs which vPMC
 * @has_stats: there are figures of it
 * @vpmcs: the vPMCs that the guest sees
 * @kept: what reset does not reset, while it is under way
 */
typedef struct VPMUConfig {
    bool pmu_set;
    uint8_t version;
    uint8_t nr_gp;
    OnOffAuto pebs;
    uint8_t pebs_format;
    OnOffAuto pebs_baseline;
    OnOffAuto passthrough;
    uint8_t host_gp;
    uint8_t host_fixed;
    VpmuHostOrder host_order;
    VpmuVisible visible;
    uint32_t slice_ms;
    uint8_t total_gp;
    uint8_t nr_fixed;
    bool software;
    bool policy;
    bool has_map;
    bool has_stats;
    VPMUCounterMask vpmcs;
    struct VPMUState *kept;
} VPMUConfig;

/**
 * VPMUState: the PMU of one vCPU
 *
 * Lives in the part of CPUX86State that reset clears and INIT keeps (SDM
 * volume 3, "Processor State After Reset").  Only the vCPU's own thread, or
 * anybody while it is stopped, may touch it.
 */
typedef struct VPMUState {
    /* The host's side, which a reset of the guest keeps. */
    SoftPMU hw;
    Handover handover;
    /* What the operator counts on reserved pPMCs; NULL: nothing. */
    const struct VPMUEvent *host_event[VPMU_NR];
    /* Last VPMU_COUNTER_STARVED: vPMCs, and when, ms of the host. */
    VPMUCounterMask starved;
    int64_t starved_ms;
    /* vPMCs whose PEBS records KVM drops, whatever pPMC they have. */
    VPMUCounterMask recordless;

    /* The guest's registers. */
    uint64_t evtsel[VPMU_NR_GP];
    uint64_t fixed_ctr_ctrl;
    uint64_t global_ctrl;
    uint64_t global_status;
    uint64_t debugctl;
    uint64_t ds_area;
    uint64_t pebs_enable;
    uint64_t pebs_data_cfg;
    uint64_t pebs_ld_lat;
    /* Its counters that have no pPMC. */
    SoftPMUCounter parked[VPMU_NR];
    /* Event codes that the guest asked for and that read 0; 0: none. */
    uint16_t unsupported[VPMU_NR_UNSUPPORTED];

    /* What migrates of the counters, see vmstate_vpmu. */
    uint64_t saved_value[VPMU_NR];
    bool saved_high[VPMU_NR];
    uint8_t saved_version;
    uint64_t saved_capabilities;
    VPMUCounterMask saved_vpmcs;
} VPMUState;

#ifdef CONFIG_USER_ONLY

#define DEFINE_PROP_VPMU(name, state, field) \
    DEFINE_PROP_BOOL(name, state, field, false)
#define vpmu_supported_features(cpu, word)      0
#define vpmu_expand_features(cpu, errp)         true
#define vpmu_realize(cpu, errp)                 true
#define vpmu_cpuid(cpu, eax, ebx, ecx, edx)     do { } while (0)
#define vpmu_before_reset(cpu)                  do { } while (0)
#define vpmu_reset(cpu)                         do { } while (0)

#else

extern const PropertyInfo vpmu_prop_pmu;
extern const PropertyInfo vpmu_prop_fixed;
extern const PropertyInfo vpmu_prop_order;
extern const PropertyInfo vpmu_prop_visible;
extern const struct VMStateDescription vmstate_vpmu;
extern const struct VMStateDescription vmstate_vpmu_kvm;

/*
 * The property pmu: off unless it is set, and then VPMUConfig.pmu_set.  All
 * others are in properties.h.inc.
 */
#define DEFINE_PROP_VPMU(name, state, field) \
    DEFINE_PROP(name, state, field, vpmu_prop_pmu, bool, \
                .set_default = true, .defval.u = false)

/**
 * vpmu_supported_features: what the PMU adds to TCG's features in @word
 * @cpu: NULL for what is possible at all
 * @word: a FeatureWord
 */
uint64_t vpmu_supported_features(struct ArchCPU *cpu, int word);

/**
 * vpmu_expand_features: check the PMU properties, add what they imply
 *
 * Before feature dependencies are resolved.  Returns false with @errp set if
 * a property is out of range or cannot be had.
 */
bool vpmu_expand_features(struct ArchCPU *cpu, Error **errp);

/**
 * vpmu_realize: switch the PMU on, or drop what only it would back
 *
 * After features are filtered, before the first reset and before KVM creates
 * the vCPU.  A CPU that is plugged later has the machine's reservation.
 * Returns false with @errp set if the machine's other CPUs have another PMU,
 * or if the accelerator cannot do what is asked.
 */
bool vpmu_realize(struct ArchCPU *cpu, Error **errp);

/**
 * vpmu_cpuid: CPUID leaf 0xA of the software PMU
 *
 * SDM volume 2, CPUID.  Leaves the registers alone when it is off.
 */
void vpmu_cpuid(struct ArchCPU *cpu, uint32_t *eax, uint32_t *ebx,
                uint32_t *ecx, uint32_t *edx);

/**
 * vpmu_before_reset, vpmu_reset: bring all PMU registers to their values
 * after reset, and leave the host's counters as they are
 *
 * Called before and after the state is zeroed, while the vCPU does not run.
 */
void vpmu_before_reset(struct ArchCPU *cpu);
void vpmu_reset(struct ArchCPU *cpu);

#endif /* !CONFIG_USER_ONLY */

/**
 * vpmu_kvm_get_msrs, vpmu_kvm_put_msrs: PEBS registers from and to the kernel
 * @level: KVM_PUT_*; they are put on reset and when all is
 *
 * While the vCPU does not run.  Returns: 0, or a negative error if the kernel
 * does not know the registers that go with the guest's CPUID.
 */
int vpmu_kvm_get_msrs(struct ArchCPU *cpu);
int vpmu_kvm_put_msrs(struct ArchCPU *cpu, int level);

/*
 * Hooks of TCG.  User-mode emulation has no PMU: there they are nothing.
 */
#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)

/* Bits of CPUX86State.hflags that select a SoftPMULevel. */
#define HF_VPMU_SHIFT       29
#define HF_VPMU_MASK        (3u << HF_VPMU_SHIFT)

/**
 * vpmu_tcg_exec_enter, vpmu_tcg_exec_exit: around the execution loop
 *
 * Outside the loop all counters are up to date.  hflags keeps the level, for
 * cpu_exec_step_atomic() looks at it before it enters; INIT loses it, so it
 * is set again on entry.  Either may be called twice in a row.
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
 * vpmu_tcg_interrupt: look at the counters before interrupts are
 * @request: CPUState.interrupt_request
 *
 * Called with the BQL held, at an instruction boundary.
 * Returns: @request with what overflows have raised.
 */
int vpmu_tcg_interrupt(struct CPUArchState *env, int request);

/**
 * vpmu_tcg_received: count a hardware interrupt, before it is delivered
 */
void vpmu_tcg_received(struct CPUArchState *env);

/**
 * vpmu_tcg_software_interrupt: count INT n, INT3 or INTO once it is delivered
 * @hflags, @rip: of the instruction; @rip is linear
 */
void vpmu_tcg_software_interrupt(struct CPUArchState *env, uint32_t hflags,
                                 uint64_t rip);

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
 * vpmu_tcg_rdpmc: read the counter in ECX into EDX:EAX
 *
 * The caller has checked CR4.PCE and intercepts.  A counter that does not
 * exist raises #GP.  Returns false without a PMU.
 */
bool vpmu_tcg_rdpmc(struct CPUArchState *env, uintptr_t retaddr);

#else

#define HF_VPMU_MASK                            0
#define vpmu_tcg_exec_enter(env)                do { } while (0)
#define vpmu_tcg_exec_exit(env)                 do { } while (0)
#define vpmu_tcg_restore(env, flags, ahead)     do { } while (0)
#define vpmu_tcg_rdpmc(env, retaddr)            false

#endif

#endif /* TARGET_I386_VPMU_H */
