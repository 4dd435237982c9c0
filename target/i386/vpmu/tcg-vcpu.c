/*
 * What the software PMU needs of the vCPU that it counts for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "hw/i386/apic.h"
#include "tcg/helper-tcg.h"
#include "tcg/insn-start-words.h"
#include "branches.h"
#include "tcg-vcpu.h"
#include "trace.h"

uint64_t vpmu_read_ppmc(CPUX86State *env, unsigned p, uintptr_t retaddr)
{
    uint64_t data[TARGET_INSN_START_WORDS];
    SoftPMUCharge ahead = 0;

    if (retaddr && cpu_unwind_state_data(env_cpu(env), retaddr, data)) {
        ahead = data[2];
    }
    return softpmu_read(&env->vpmu_host.hw, p, vpmu_ring(env->hflags),
                        vpmu_level(env->hflags), ahead);
}

void vpmu_sample(CPUX86State *env, PEBSSample *sample)
{
    const SoftPMUNote *note = &env->vpmu_host.hw.note;
    const LBR *lbr = &env->vpmu.lbr;

    QEMU_BUILD_BUG_ON(PEBS_NR_LBRS != LBR_DEPTH);
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
    for (unsigned i = 0; i < lbr->depth; i++) {
        unsigned k = lbr_last(lbr, i);

        sample->lbrs[i] = (PEBSBranch) {
            .from = vpmu_lbr_address_seen(env, lbr->from[k]),
            .to = vpmu_lbr_address_seen(env, lbr->to[k]),
            .info = lbr->info[k],
        };
    }
}

bool vpmu_access(CPUX86State *env, uint64_t address, void *buffer,
                 unsigned size, bool write)
{
    int mmu_idx = env->hflags & HF_SMAP_MASK ? MMU_KSMAP64_IDX :
                                               MMU_KNOSMAP64_IDX;
    struct {
        void *host;
        unsigned size;
    } parts[PEBS_RECORD_MAX / TARGET_PAGE_SIZE + 2];
    unsigned nr = 0;

#ifdef TARGET_I386_VMX_H
    env->vmx.has_missed = false;
#endif
    if (env->hflags & HF_SMM_MASK) {
        return false;
    }
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
    for (unsigned i = 0; buffer && i < nr; i++) {
        if (write) {
            memcpy(parts[i].host, buffer, parts[i].size);
        } else {
            memcpy(buffer, parts[i].host, parts[i].size);
        }
        buffer = (char *)buffer + parts[i].size;
    }
    return true;
}

bool vpmu_waits_for_memory(CPUX86State *env)
{
#ifdef TARGET_I386_VMX_H
    return vmx_exit_for_memory(env);
#else
    return false;
#endif
}

void vpmu_request_sync(CPUX86State *env)
{
    BQL_LOCK_GUARD();

    cpu_interrupt(env_cpu(env), CPU_INTERRUPT_VPMU);
    /*
     * A replay looks at requests only where the recording has delivered an
     * interrupt.  There the next TB calls vpmu_sync() before it starts.
     */
    softpmu_expire(&env->vpmu_host.hw);
}

void vpmu_leave_before_fetch(CPUX86State *env, bool leave)
{
    uint32_t *cflags = &env_cpu(env)->tcg_cflags;

    *cflags = (*cflags & ~CF_NO_GOTO_PTR) | (leave ? CF_NO_GOTO_PTR : 0);
}

void vpmu_raise_pmi(CPUX86State *env)
{
    X86CPU *cpu = env_archcpu(env);
    BQL_LOCK_GUARD();

    if (cpu->apic_state) {
        trace_vpmu_interrupt(CPU(cpu)->cpu_index);
        apic_deliver_pmi(cpu->apic_state, !IS_AMD_CPU(env));
    }
}
