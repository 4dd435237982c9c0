/*
 * The software PMU under TCG: what the execution loop and helpers call
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When the software PMU is called, and how an overflow gets to the instruction
 * boundary where it belongs.  translate.c.inc emits the code that spends the
 * allowance.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "branches.h"
#include "counting.h"
#include "msr.h"
#include "provider.h"
#include "tcg-vcpu.h"
#include "tcg/helper-tcg.h"
#include "tcg/tcg.h"
#include "trace.h"
#include "vpmc.h"

QEMU_BUILD_BUG_ON(SOFTPMU_LEVEL_NOTE << HF_VPMU_SHIFT > HF_VPMU_MASK);
QEMU_BUILD_BUG_ON(HF_VPMU_MASK & HF_VPMU_BRANCH_MASK);

static bool vpmu_is_on(CPUX86State *env)
{
    return env_archcpu(env)->vpmu.software;
}

/* The execution loop */

void vpmu_tcg_exec_enter(CPUX86State *env)
{
    if (vpmu_is_on(env)) {
        CPUState *cs = env_cpu(env);

        /*
         * The request is left over from an instruction that turned out to need
         * the atomic step, where a pending exit would keep it from ever
         * running.  Any other reason for the exit is noted elsewhere, too.
         */
        if (qatomic_read(&cs->interrupt_request) & CPU_INTERRUPT_VPMU) {
            cpu_reset_interrupt(cs, CPU_INTERRUPT_VPMU);
            qatomic_set(&cs->neg.icount_decr.u16.high, 0);
        }
        vpmu_sync(env);
        vpmu_commit(env);
    }
}

void vpmu_tcg_exec_exit(CPUX86State *env)
{
    if (vpmu_is_on(env)) {
        vpmu_sync(env);
    }
}

void vpmu_tcg_restore(CPUX86State *env, uint32_t flags, SoftPMUCharge ahead)
{
    softpmu_pay_back(&env->vpmu_host.hw, vpmu_ring(flags), vpmu_level(flags),
                     ahead);
    if (flags & HF_VPMU_SIM_MASK) {
        env->vpmu_host.sim_again = vpmu_linear_ip(env);
    }
}

/* An instruction begins that may make a counter with @precise overflow. */
static void vpmu_begin_note(CPUX86State *env)
{
    SoftPMUNote *note = &env->vpmu_host.hw.note;
    uint64_t ip = vpmu_linear_ip(env);

    /* The next iteration of REP belongs to the same instruction. */
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
    SoftPMU *pmu = &env->vpmu_host.hw;
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
    leave = vpmu_sync(env);
    plan = softpmu_plan(pmu, ring, charge, insns);
    vpmu_refill(env);
    vpmu_set_level(env, plan.note ? SOFTPMU_LEVEL_NOTE : pmu->level);
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
            /* This tells cpu_loop_exec_tb() that the exit was asked for. */
            qatomic_set(&cs->neg.icount_decr.u16.high, -1);
            return 1;
        }
    }

    if (cflags & CF_USE_ICOUNT) {
        cs->neg.icount_decr.u16.low -= insns;
    }
    softpmu_charge(pmu, ring, level, charge);
    if (plan.note) {
        vpmu_begin_note(env);
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
        vpmu_sync(env);
        vpmu_commit(env);
        /* A debugger that steps without interrupts sees no interrupt. */
        if (!(cs->singlestep_enabled & SSTEP_NOIRQ)) {
            request = cs->interrupt_request;
        }
    }
    return request;
}

void vpmu_tcg_received(CPUX86State *env)
{
    if (vpmu_is_on(env)) {
        vpmu_sync(env);
        env->vpmu_host.hw.note = (SoftPMUNote) { .ip = vpmu_linear_ip(env) };
        softpmu_receive(&env->vpmu_host.hw, vpmu_ring(env->hflags));
        vpmu_sync(env);
        vpmu_refill(env);
    }
}

/* Branches */

/*
 * A near branch that translated code does not record itself
 * @info: as vpmu_tr_near_branch() packs it
 */
void helper_vpmu_branch(CPUX86State *env, target_ulong from, target_ulong to,
                        uint32_t info)
{
    /* It ends its block, so that with icount there may be an interrupt. */
    env_cpu(env)->neg.can_do_io = true;
    vpmu_near_branch(env, info & 0xff, from, to, info >> 8);
}

/* @hflags: before the branch */
void helper_vpmu_far_branch(CPUX86State *env, target_ulong from,
                            target_ulong cs_base, uint32_t hflags)
{
    VPMUPlace place = { .eip = from, .cs_base = cs_base, .hflags = hflags };

    env_cpu(env)->neg.can_do_io = true;
    vpmu_far_branch(env, &place);
}

VPMUPlace vpmu_tcg_place(CPUX86State *env)
{
    return vpmu_place(env);
}

/* INT n, INT3 or INTO retires when it has been delivered. */
static void vpmu_charge_software_interrupt(CPUX86State *env,
                                           const VPMUPlace *from)
{
    vpmu_sync(env);
    env->vpmu_host.hw.note = (SoftPMUNote) { .ip = from->cs_base + from->eip };
    softpmu_charge(&env->vpmu_host.hw, vpmu_ring(from->hflags),
                   SOFTPMU_LEVEL_FULL, SOFTPMU_CHARGE_INSN |
                   SOFTPMU_CHARGE_KIND(SOFTPMU_BR_FAR));
}

void vpmu_tcg_delivered(CPUX86State *env, const VPMUPlace *from, int vector,
                        VPMUDelivery what)
{
    if (!vpmu_is_on(env)) {
        return;
    }
    env->vpmu_host.sim_again = VPMU_NO_LINE;
    if (env->vpmu.bts_due) {
        /* In a replay, if the target of the branch has faulted before it ran. */
        vpmu_sync(env);
        vpmu_refill(env);
    }
    if (what == VPMU_SOFTWARE) {
        vpmu_charge_software_interrupt(env, from);
    }
    if (what == VPMU_EXCEPTION && vector == EXCP01_DB) {
        vpmu_debug_exception(env, from);
    } else {
        vpmu_far_branch(env, from);
    }
    if (what == VPMU_SOFTWARE) {
        vpmu_sync(env);
        vpmu_refill(env);
    }
}

/* Registers */

static G_NORETURN void vpmu_fault(CPUX86State *env, uintptr_t retaddr)
{
    trace_vpmu_fault(env_cpu(env)->cpu_index, env->regs[R_ECX]);
    raise_exception_err_ra(env, EXCP0D_GPF, 0, retaddr);
}

static void vpmu_set_edx_eax(CPUX86State *env, uint64_t value)
{
    env->regs[R_EAX] = (uint32_t)value;
    env->regs[R_EDX] = value >> 32;
}

/*
 * RIP after WRMSR, if WRMSR may make a record: then it has a block of its own.
 * Otherwise 0.
 */
static uint64_t vpmu_next_rip(CPUX86State *env, uintptr_t retaddr)
{
    const TranslationBlock *tb;

    if (vpmu_level(env->hflags) != SOFTPMU_LEVEL_NOTE &&
        !env->vpmu_host.hw.overflowed) {
        return 0;
    }
    tb = tcg_tb_lookup(retaddr);
    return tb->icount == 1 ? env->eip + tb->size : 0;
}

bool vpmu_tcg_wrmsr(CPUX86State *env, uint64_t value, uintptr_t retaddr)
{
    uint32_t msr = env->regs[R_ECX];

    if (!vpmu_is_on(env)) {
        return false;
    }
    /* WRMSR ends its block, so with icount the clock is right, too. */
    env_cpu(env)->neg.can_do_io = true;
    env->vpmu_host.hw.note.next = vpmu_next_rip(env, retaddr);
    switch (vpmu_wrmsr(env, msr, value)) {
    case VPMU_FAULT:
        vpmu_fault(env, retaddr);
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

    if (!vpmu_is_on(env)) {
        return false;
    }
    switch (vpmu_rdmsr(env, msr, value, retaddr)) {
    case VPMU_FAULT:
        vpmu_fault(env, retaddr);
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

    if (!vpmu_is_on(env)) {
        return false;
    }
    if (vpmu_rdpmc(env, env->regs[R_ECX], &value, retaddr) == VPMU_FAULT) {
        vpmu_fault(env, retaddr);
    }
    vpmu_set_edx_eax(env, value);
    return true;
}

/*
 * WRMSR, VMRUN, RSM and #VMEXIT end their block, so that the clock is right
 * with icount, too.
 */
void vpmu_tcg_svm_mode(CPUX86State *env)
{
    if (vpmu_is_on(env) && IS_AMD_CPU(env)) {
        env_cpu(env)->neg.can_do_io = true;
        vpmu_simulation_forget(env, VPMU_FORGET_GLOBAL);
        vpmu_sync(env);
        vpmu_update(env);
    }
}

/* The provider */

static VpmuMode vpmu_tcg_mode(X86CPU *cpu, const char **reason)
{
    if (cpu->vpmu.software) {
        *reason = "TCG counts the guest's instructions itself";
        return VPMU_MODE_SOFTWARE;
    }
    *reason = !IS_INTEL_CPU(&cpu->env) && !IS_AMD_CPU(&cpu->env) ?
              "the software PMU needs a CPU model with vendor GenuineIntel or "
              "AuthenticAMD" :
              "the software PMU was not asked for: add pmu=on to -cpu";
    return VPMU_MODE_NONE;
}

const VPMUProvider vpmu_provider_tcg = {
    .mode = vpmu_tcg_mode,
    .refresh = vpmu_refresh,
};
