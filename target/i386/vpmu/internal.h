/*
 * What the files of the virtual PMU share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_INTERNAL_H
#define TARGET_I386_VPMU_INTERNAL_H

#include "cpu.h"
#include "events.h"
#include "regs.h"

struct PEBSSample;

/**
 * VPMUOffer: what a kernel has for a guest
 * @version: of architectural performance monitoring
 * @nr_gp, @nr_fixed: counters
 * @capabilities: PERF_CAPABILITIES, PEBS and full-width writes of them
 * @no_pebs: why these are without PEBS if they are, the rest of a sentence
 */
typedef struct VPMUOffer {
    uint8_t version;
    uint8_t nr_gp;
    uint8_t nr_fixed;
    uint64_t capabilities;
    const char *no_pebs;
} VPMUOffer;

/**
 * VPMUBackend: the physical counters as an accelerator provides them
 *
 * One instance per accelerator.  All functions are called by the vCPU's own
 * thread or while it is stopped; @p is a physical counter, numbered as in
 * counters.h.  A backend whose kernel serves the guest's registers itself has
 * @mode and @realize, and if that hands counters over, @offer, @sync, @read
 * and @reserve.
 *
 * @mode: how the PMU is provided; @reason: why, the rest of a sentence
 * @realize: a vCPU is about to be created; may be NULL
 * @offer: what a guest with @cpu's model can have; mode @handover only
 * @sync: bring the counters up to date; may call vpmu_overflow().  Of a
 *     kernel: fetch all that is shown of registers, map and statistics
 * @config: set what a counter counts; @sync before, @commit after the last
 * @read: value, also in mid-block; @retaddr as in GETPC(), or 0
 * @write: set a value; @sync before, @commit after
 * @save, @load: take a counter's state, or set it; @sync before, then @load,
 *     @config and @commit
 * @commit: put all that into effect
 * @sample: what is known of the instruction that has made a counter with
 *     SoftPMUConfig.precise overflow, right after it
 * @access: read or write guest memory, as the processor itself; false: it
 *     cannot be had, and nothing was written
 * @interrupt: raise the guest's performance monitoring interrupt
 * @reserve: keep so many general-purpose pPMCs and these fixed ones (bit j for
 *     fixed j) for the host; returns 0 or -errno.  NULL: see vpmu_reserve()
 */
typedef struct VPMUBackend {
    VpmuMode (*mode)(X86CPU *cpu, const char **reason);
    bool (*realize)(X86CPU *cpu, Error **errp);
    void (*offer)(X86CPU *cpu, VPMUOffer *offer);
    void (*sync)(CPUX86State *env);
    void (*config)(CPUX86State *env, unsigned p, const SoftPMUConfig *config);
    uint64_t (*read)(CPUX86State *env, unsigned p, uintptr_t retaddr);
    void (*write)(CPUX86State *env, unsigned p, uint64_t value);
    SoftPMUCounter (*save)(CPUX86State *env, unsigned p);
    void (*load)(CPUX86State *env, unsigned p, SoftPMUCounter counter);
    void (*commit)(CPUX86State *env);
    void (*sample)(CPUX86State *env, struct PEBSSample *sample);
    bool (*access)(CPUX86State *env, uint64_t address, void *buffer,
                   unsigned size, bool write);
    void (*interrupt)(CPUX86State *env);
    int (*reserve)(unsigned gp, unsigned fixed, bool force);
} VPMUBackend;

extern const VPMUBackend vpmu_backend_tcg;
extern const VPMUBackend vpmu_backend_kvm;

/**
 * vpmu_backend: the backend of the accelerator that runs, or NULL
 */
const VPMUBackend *vpmu_backend(void);

/**
 * VPMUAccess: the outcome of a register access
 * @VPMU_NOT_MINE: not a register of the PMU
 * @VPMU_DONE: done
 * @VPMU_FAULT: #GP(0); nothing changed
 */
typedef enum VPMUAccess {
    VPMU_NOT_MINE,
    VPMU_DONE,
    VPMU_FAULT,
} VPMUAccess;

/**
 * vpmu_wrmsr, vpmu_rdmsr: access to a register of the guest's PMU
 * @retaddr: GETPC() of the helper that reads, 0 outside translated code
 *
 * By the vCPU's thread or while it is stopped.  SDM volume 4.
 */
VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value);
VPMUAccess vpmu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_rdpmc: RDPMC with @index in ECX; SDM volume 2
 */
VPMUAccess vpmu_rdpmc(CPUX86State *env, uint32_t index, uint64_t *value,
                      uintptr_t retaddr);

/**
 * vpmu_overflow: physical counters have overflowed
 * @overflowed: pPMCs
 *
 * Called by a backend at the instruction boundary where it happened.  Sets
 * status bits, freezes, interrupts.
 */
void vpmu_overflow(CPUX86State *env, VPMUCounterMask overflowed);

/**
 * vpmu_pebs: counters with PEBS have overflowed: make a record
 * @ppmcs: them; all at the same instruction, which has just retired
 *
 * In sync; refill afterwards.  The counters are reloaded.  Returns: the
 * buffer has reached its threshold.
 */
bool vpmu_pebs(CPUX86State *env, VPMUCounterMask ppmcs);

/**
 * vpmu_exists: whether the guest's PMU has counter @v
 */
static inline bool vpmu_exists(const X86CPU *cpu, unsigned v)
{
    return v < VPMU_NR && (cpu->vpmu.vpmcs & VPMU_MASK_OF(v));
}

/**
 * vpmu_kernel_pebs: PEBS as a kernel's guest has it in PERF_CAPABILITIES, or 0
 */
static inline uint64_t vpmu_kernel_pebs(const X86CPU *cpu)
{
    uint64_t pebs = cpu->env.features[FEAT_PERF_CAPABILITIES] & VPMU_CAP_PEBS;

    return cpu->enable_pmu && (cpu->env.features[FEAT_1_EDX] & CPUID_DTS) &&
           (pebs & VPMU_CAP_PEBS_FORMAT) ? pebs : 0;
}

/**
 * vpmu_kernel_vpmcs: what CPUID leaf 0xA says of a kernel's PMU
 * @version: of architectural performance monitoring
 * @width: bits of a counter
 *
 * Returns: the guest's counters.
 */
VPMUCounterMask vpmu_kernel_vpmcs(X86CPU *cpu, uint8_t *version,
                                  uint8_t *width);

/**
 * vpmu_status_bit: the bit of counter @v in GLOBAL_CTRL and GLOBAL_STATUS
 */
static inline uint64_t vpmu_status_bit(unsigned v)
{
    return vpmu_mask_to_reg(VPMU_MASK_OF(v));
}

/**
 * vpmu_read: the value of vPMC @v
 * @retaddr: as for VPMUBackend.read
 */
uint64_t vpmu_read(CPUX86State *env, unsigned v, uintptr_t retaddr);

/**
 * vpmu_refresh: bring counters, hand-over and statistics up to date
 *
 * By the vCPU's thread outside of its execution loop, or while it is stopped.
 */
void vpmu_refresh(CPUX86State *env);

/**
 * vpmu_report_starved: tell the operator of vPMCs that starve from now on
 */
void vpmu_report_starved(CPUX86State *env, VPMUCounterMask vpmcs);

/**
 * vpmu_would_starve: whom such a reservation would leave without a pPMC
 *
 * Changes nothing.  Called like vpmu_refresh().
 */
VPMUCounterMask vpmu_would_starve(CPUX86State *env, VPMUCounterMask reserved);

/**
 * vpmu_reserve: keep these pPMCs of one vCPU, and no others, for the host
 * @force: also if vPMCs become starved by it
 *
 * Returns: the vPMCs that become starved; if there are some, nothing has
 * changed unless @force is set.  Called like vpmu_refresh().
 */
VPMUCounterMask vpmu_reserve(CPUX86State *env, VPMUCounterMask reserved,
                             bool force);

/**
 * vpmu_host_count: count for the host, from zero
 * @p: a reserved pPMC
 * @event: NULL to stop
 * @rings: as in SoftPMUConfig
 *
 * Called like vpmu_refresh().
 */
void vpmu_host_count(CPUX86State *env, unsigned p, const VPMUEvent *event,
                     uint8_t rings);

/**
 * vpmu_plug: give a CPU the reservation that the machine has now
 *
 * By the main thread, before @cpu runs; only the main thread changes the
 * reservation of @first.
 */
void vpmu_plug(X86CPU *cpu, X86CPU *first);

/**
 * vpmu_type_of: a counter's type for QMP; vpmu_index_of() is its index
 */
static inline VpmuCounterType vpmu_type_of(unsigned i)
{
    return i < VPMU_NR_GP ? VPMU_COUNTER_TYPE_GP : VPMU_COUNTER_TYPE_FIXED;
}

/**
 * vpmu_counter_ids: a set of counters for QMP
 */
VpmuCounterIdList *vpmu_counter_ids(VPMUCounterMask mask);

/**
 * vpmu_counter_config: what counter @v is set up to count
 * @event: what it counts, NULL if nothing that is supported
 */
SoftPMUConfig vpmu_counter_config(CPUX86State *env, unsigned v,
                                  const VPMUEvent **event);

/**
 * vpmu_model: the CPU's bit in VPMUEvent.models
 */
uint32_t vpmu_model(const CPUX86State *env);

#endif /* TARGET_I386_VPMU_INTERNAL_H */
