/*
 * Virtual PMU backend of TCG: the software PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Binds softpmu.c to TCG: who calls it when, and how an overflow gets to the
 * instruction boundary where it belongs.  translate.c.inc emits the code
 * that spends the allowance.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "hw/i386/apic.h"
#include "internal.h"
#include "pebs-record.h"
#include "tcg/helper-tcg.h"
#include "tcg/insn-start-words.h"
#include "tcg/tcg.h"
#include "trace.h"

QEMU_BUILD_BUG_ON(SOFTPMU_LEVEL_NOTE << HF_VPMU_SHIFT > HF_VPMU_MASK);

static unsigned ring_of(uint32_t hflags)
{
    return hflags & HF_CPL_MASK ? SOFTPMU_USER : SOFTPMU_KERNEL;
}

static SoftPMULevel level_of(uint32_t hflags)
{
    return (hflags & HF_VPMU_MASK) >> HF_VPMU_SHIFT;
}

static uint64_t linear_ip(const CPUX86State *env)
{
    return env->segs[R_CS].base + env->eip;
}

static bool is_on(CPUX86State *env)
{
    return env_archcpu(env)->vpmu.software;
}

/* Fold, and report overflows.  Returns: there were some. */
static bool fold(CPUX86State *env)
{
    SoftPMU *pmu = &env->vpmu.hw;
    VPMUCounterMask overflowed;

    softpmu_fold(pmu);
    overflowed = pmu->overflowed;
    pmu->overflowed = 0;
    if (overflowed) {
        vpmu_overflow(env, overflowed);
    }
    return overflowed;
}

static void refill(CPUX86State *env)
{
    softpmu_refill(&env->vpmu.hw, ring_of(env->hflags));
}

static void set_hflags(CPUX86State *env, SoftPMULevel level)
{
    env->hflags = (env->hflags & ~HF_VPMU_MASK) | level << HF_VPMU_SHIFT;
}

static void set_level(CPUX86State *env)
{
    set_hflags(env, env->vpmu.hw.level);
}

/* The execution loop */

void vpmu_tcg_exec_enter(CPUX86State *env)
{
    if (is_on(env)) {
        CPUState *cs = env_cpu(env);

        /*
         * Left over from an instruction that turned out to need the atomic
         * step, where a pending exit would keep it from ever running.  What
         * else asked for the exit is noted elsewhere, too.
         */
        if (cs->interrupt_request & CPU_INTERRUPT_VPMU) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_VPMU);
            qatomic_set(&cs->neg.icount_decr.u16.high, 0);
        }
        fold(env);
        refill(env);
        set_level(env);
    }
}

void vpmu_tcg_exec_exit(CPUX86State *env)
{
    if (is_on(env)) {
        fold(env);
    }
}

void vpmu_tcg_restore(CPUX86State *env, uint32_t flags, SoftPMUCharge ahead)
{
    softpmu_pay_back(&env->vpmu.hw, ring_of(flags), level_of(flags), ahead);
}

/* An instruction begins that may make a counter with @precise overflow. */
static void note(CPUX86State *env)
{
    SoftPMUNote *note = &env->vpmu.hw.note;
    uint64_t ip = linear_ip(env);

    /* REP that goes round is still the same instruction. */
    if (note->ip != ip || !(env->eflags & RF_MASK)) {
        *note = (SoftPMUNote) { .ip = ip };
    }
}

/*
 * The allowance does not cover a TB that is about to start.
 * @info: its length, ring and level as vpmu_tr_tb_stop() packs them
 * @charge: what it was charged as a whole
 * @cflags: its CF_* flags
 *
 * Returns: 0 to run it, 1 to go to the main loop instead.
 */
uint32_t helper_vpmu_expired(CPUX86State *env, uint32_t info, uint32_t charge,
                             uint32_t cflags)
{
    CPUState *cs = env_cpu(env);
    SoftPMU *pmu = &env->vpmu.hw;
    unsigned insns = info & 0xffff;
    unsigned ring = info >> 16 & 1;
    SoftPMULevel level = info >> 17;
    bool leave;
    SoftPMUPlan plan;

    /*
     * The block has not run yet, so it has not taken any time either: the
     * virtual clock may be read below, and it must not go back.
     */
    if (cflags & CF_USE_ICOUNT) {
        cs->neg.icount_decr.u16.low += insns;
    }
    softpmu_pay_back(pmu, ring, level, charge);
    leave = fold(env);
    plan = softpmu_plan(pmu, ring, charge, insns);
    refill(env);
    set_hflags(env, plan.note ? SOFTPMU_LEVEL_NOTE : pmu->level);
    trace_vpmu_expired(cs->cpu_index, ring, insns, plan.insns,
                       plan.look_after);

    /*
     * A TB with CF_NOIRQ is one instruction that has to run now, after its
     * first attempt was cut short; nothing can be due before it.
     *
     * Where something may be due afterwards, it must come before the next
     * instruction is fetched, which may fault: CF_NO_GOTO_PTR.
     */
    if (!(cflags & CF_NOIRQ)) {
        if (!leave && (plan.insns < insns ||
                       (plan.look_after && !(cflags & CF_NO_GOTO_PTR)) ||
                       (plan.note && level != SOFTPMU_LEVEL_NOTE))) {
            cs->cflags_next_tb = (cflags & ~CF_COUNT_MASK) | plan.insns |
                                 CF_NO_GOTO_PTR;
            leave = true;
        }
        if (leave) {
            /* Tells cpu_loop_exec_tb() that somebody asked for it. */
            qatomic_set(&cs->neg.icount_decr.u16.high, -1);
            return 1;
        }
    }

    if (cflags & CF_USE_ICOUNT) {
        cs->neg.icount_decr.u16.low -= insns;
    }
    softpmu_charge(pmu, ring, level, charge);
    if (plan.note) {
        note(env);
    }
    if (plan.look_after) {
        BQL_LOCK_GUARD();
        cpu_interrupt(cs, CPU_INTERRUPT_VPMU);
    }
    return 0;
}

int vpmu_tcg_interrupt(CPUX86State *env, int request)
{
    CPUState *cs = env_cpu(env);

    if (request & CPU_INTERRUPT_VPMU) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_VPMU);
        request = cs->interrupt_request;
        fold(env);
        refill(env);
        set_level(env);
        /* A debugger that steps without interrupts gets none. */
        if (!(cs->singlestep_enabled & SSTEP_NOIRQ)) {
            request = cs->interrupt_request;
        }
    }
    return request;
}

void vpmu_tcg_received(CPUX86State *env)
{
    if (is_on(env)) {
        fold(env);
        env->vpmu.hw.note = (SoftPMUNote) { .ip = linear_ip(env) };
        softpmu_receive(&env->vpmu.hw, ring_of(env->hflags));
        fold(env);
        refill(env);
    }
}

void vpmu_tcg_software_interrupt(CPUX86State *env, uint32_t hflags,
                                 uint64_t rip)
{
    if (is_on(env)) {
        fold(env);
        env->vpmu.hw.note = (SoftPMUNote) { .ip = rip };
        softpmu_charge(&env->vpmu.hw, ring_of(hflags), SOFTPMU_LEVEL_FULL,
                       SOFTPMU_CHARGE_INSN |
                       SOFTPMU_CHARGE_KIND(SOFTPMU_BR_FAR));
        fold(env);
        refill(env);
    }
}

/* Registers */

static G_NORETURN void fault(CPUX86State *env, uintptr_t retaddr)
{
    trace_vpmu_fault(env_cpu(env)->cpu_index, env->regs[R_ECX]);
    raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
}

static void set_edx_eax(CPUX86State *env, uint64_t value)
{
    env->regs[R_EAX] = (uint32_t)value;
    env->regs[R_EDX] = value >> 32;
}

/* RIP after WRMSR; 0 if it makes no record, for it is not by itself. */
static uint64_t next_rip(CPUX86State *env, uintptr_t retaddr)
{
    const TranslationBlock *tb;

    if (level_of(env->hflags) != SOFTPMU_LEVEL_NOTE) {
        return 0;
    }
    tb = tcg_tb_lookup(retaddr);
    return tb->icount == 1 ? env->eip + tb->size : 0;
}

bool vpmu_tcg_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr)
{
    uint32_t msr = env->regs[R_ECX];

    if (!is_on(env)) {
        return false;
    }
    /* WRMSR ends its block, so with icount the clock is right, too. */
    env_cpu(env)->neg.can_do_io = true;
    env->vpmu.hw.note.next = next_rip(env, retaddr);
    switch (vpmu_wrmsr(env, msr, value)) {
    case VPMU_FAULT:
        fault(env, retaddr);
    case VPMU_DONE:
        trace_vpmu_wrmsr(env_cpu(env)->cpu_index, msr, value);
        return true;
    default:
        return false;
    }
}

bool vpmu_tcg_rdmsr(CPUX86State *env, uint64_t *value, uintptr_t retaddr)
{
    uint32_t msr = env->regs[R_ECX];

    if (!is_on(env)) {
        return false;
    }
    switch (vpmu_rdmsr(env, msr, value, retaddr)) {
    case VPMU_FAULT:
        fault(env, retaddr);
    case VPMU_DONE:
        trace_vpmu_rdmsr(env_cpu(env)->cpu_index, msr, *value);
        return true;
    default:
        return false;
    }
}

bool vpmu_tcg_rdpmc(CPUX86State *env, uintptr_t retaddr)
{
    uint64_t value;

    if (!is_on(env)) {
        return false;
    }
    if (vpmu_rdpmc(env, env->regs[R_ECX], &value, retaddr) == VPMU_FAULT) {
        fault(env, retaddr);
    }
    set_edx_eax(env, value);
    return true;
}

/* The backend */

static VpmuMode tcg_mode(X86CPU *cpu, const char **reason)
{
    if (cpu->vpmu.software) {
        *reason = "TCG counts the guest's instructions itself";
        return VPMU_MODE_SOFTWARE;
    }
    *reason = !IS_INTEL_CPU(&cpu->env) ?
              "the software PMU needs a CPU model with vendor GenuineIntel" :
              "the software PMU was not asked for: add pmu=on to -cpu";
    return VPMU_MODE_NONE;
}

static void tcg_sync(CPUX86State *env)
{
    fold(env);
}

static void tcg_config(CPUX86State *env, unsigned p,
                       const SoftPMUConfig *config)
{
    softpmu_config(&env->vpmu.hw, p, config);
}

static uint64_t tcg_read(CPUX86State *env, unsigned p, uintptr_t retaddr)
{
    uint64_t data[TARGET_INSN_START_WORDS];
    SoftPMUCharge ahead = 0;

    if (retaddr && cpu_unwind_state_data(env_cpu(env), retaddr, data)) {
        ahead = data[2];
    }
    return softpmu_read(&env->vpmu.hw, p, ring_of(env->hflags),
                        level_of(env->hflags), ahead);
}

static void tcg_write(CPUX86State *env, unsigned p, uint64_t value)
{
    softpmu_write(&env->vpmu.hw, p, value);
}

static SoftPMUCounter tcg_save(CPUX86State *env, unsigned p)
{
    return softpmu_save(&env->vpmu.hw, p);
}

static void tcg_load(CPUX86State *env, unsigned p, SoftPMUCounter counter)
{
    softpmu_load(&env->vpmu.hw, p, counter);
}

static void tcg_commit(CPUX86State *env)
{
    refill(env);
    set_level(env);
}

/* What is known of the instruction that pmu->note is about. */
static void tcg_sample(CPUX86State *env, PEBSSample *sample)
{
    const SoftPMUNote *note = &env->vpmu.hw.note;

    sample->ip = note->ip;
    sample->next_ip = note->next ? note->next : env->eip;
    sample->flags = cpu_compute_eflags(env);
    for (unsigned i = 0; i < CPU_NB_REGS; i++) {
        sample->gprs[i] = env->regs[i];
        sample->xmms[i][0] = env->xmm_regs[i].ZMM_Q(0);
        sample->xmms[i][1] = env->xmm_regs[i].ZMM_Q(1);
    }
    sample->tsc = cpu_get_tsc(env) + env->tsc_offset;
    sample->load = note->load;
    sample->store = note->store;
}

/*
 * Access guest memory as the processor itself, with supervisor rights: by
 * the guest's page tables, without a fault.  RAM only; nothing is written
 * unless all can be.
 */
static bool tcg_access(CPUX86State *env, uint64_t address, void *buffer,
                       unsigned size, bool write)
{
    int mmu_idx = env->hflags & HF_SMAP_MASK ? MMU_KSMAP64_IDX :
                                               MMU_KNOSMAP64_IDX;
    struct {
        void *host;
        unsigned size;
    } parts[PEBS_RECORD_MAX / TARGET_PAGE_SIZE + 2];
    unsigned nr = 0;

    for (unsigned done = 0; done < size; done += parts[nr++].size) {
        uint64_t at = address + done;
        int flags;

        if (at < address) {
            return false;
        }
        parts[nr].size = MIN(size - done, -(at | TARGET_PAGE_MASK));
        flags = probe_access_flags(env, at, parts[nr].size,
                                   write ? MMU_DATA_STORE : MMU_DATA_LOAD,
                                   mmu_idx, true, &parts[nr].host, 0);
        if ((flags & (TLB_INVALID_MASK | TLB_MMIO)) || !parts[nr].host) {
            return false;
        }
    }
    for (unsigned i = 0; i < nr; i++) {
        if (write) {
            memcpy(parts[i].host, buffer, parts[i].size);
        } else {
            memcpy(buffer, parts[i].host, parts[i].size);
        }
        buffer = (char *)buffer + parts[i].size;
    }
    return true;
}

static void tcg_interrupt(CPUX86State *env)
{
    X86CPU *cpu = env_archcpu(env);
    BQL_LOCK_GUARD();

    if (cpu->apic_state) {
        trace_vpmu_interrupt(CPU(cpu)->cpu_index);
        apic_deliver_pmi(cpu->apic_state);
    }
}

const VPMUBackend vpmu_backend_tcg = {
    .mode = tcg_mode,
    .sync = tcg_sync,
    .config = tcg_config,
    .read = tcg_read,
    .write = tcg_write,
    .save = tcg_save,
    .load = tcg_load,
    .commit = tcg_commit,
    .sample = tcg_sample,
    .access = tcg_access,
    .interrupt = tcg_interrupt,
};
