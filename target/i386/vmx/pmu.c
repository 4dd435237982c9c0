/*
 * VMX and the virtual PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * cpu.h includes the virtual PMU's header if QEMU has it.  Without it there is
 * nothing to do.
 */
#include "qemu/osdep.h"
#include "internal.h"

#ifdef TARGET_I386_VPMU_H
#include "../vpmu/branches.h"
#include "../vpmu/counting.h"
#include "../vpmu/msr.h"
#include "../vpmu/tcg-vcpu.h"
#include "../vpmu/vpmc.h"

void vmx_pmu_flush_tlb(CPUX86State *env)
{
    vpmu_tcg_flush_tlb(env, false);
}

void vmx_pmu_sync(CPUX86State *env)
{
    if (env_archcpu(env)->vpmu.software) {
        vpmu_sync(env);
    }
}

/* VMREAD, VMPTRST and SMSW write their memory operand, all others read it. */
static bool vmx_writes_memory(const VMXInsn *insn)
{
    unsigned digit = insn->modrm >> 3 & 7;

    return insn->opcode == 0x0f78 || (insn->opcode == 0x0fc7 && digit == 7) ||
           (insn->opcode == 0x0f01 && digit == 4);
}

void vmx_pmu_retire(CPUX86State *env, const VMXInsn *insn)
{
    SoftPMU *pmu = &env->vpmu_host.hw;
    SoftPMUCharge charge = SOFTPMU_CHARGE_INSN;

    if (env_archcpu(env)->vpmu.software) {
        vpmu_sync(env);
        pmu->note = (SoftPMUNote) { .ip = vpmu_linear_ip(env) };
        if (insn && insn->is_memory) {
            uint64_t address = vmx_operand_address(env, insn, NULL);

            if (vmx_writes_memory(insn)) {
                charge |= SOFTPMU_CHARGE_STORE;
                pmu->note.store = address;
            } else {
                charge |= SOFTPMU_CHARGE_LOAD;
                pmu->note.load = address;
            }
        }
        softpmu_charge(pmu, vpmu_ring(env->hflags), SOFTPMU_LEVEL_FULL, charge);
        vpmu_sync(env);
        vpmu_commit(env);
    }
}

void vmx_pmu_retry(CPUX86State *env)
{
    if (env_archcpu(env)->vpmu.software) {
        vpmu_retry_record(env);
    }
}

void vmx_pmu_injected(CPUX86State *env, uint64_t eip, uint64_t cs_base,
                      uint32_t hflags)
{
    VPMUPlace from = { .eip = eip, .cs_base = cs_base, .hflags = hflags };

    if (env_archcpu(env)->vpmu.software) {
        vpmu_far_branch(env, &from);
    }
}

int vmx_pmu_msr(CPUX86State *env, uint32_t msr, uint64_t *value, bool write)
{
    VPMUAccess access = VPMU_NOT_MINE;

    if (env_archcpu(env)->vpmu.software) {
        access = write ? vpmu_wrmsr(env, msr, *value) :
                         vpmu_rdmsr(env, msr, value, 0);
    }
    return access == VPMU_FAULT ? -1 : access == VPMU_DONE;
}

bool vmx_pmu_is_global_ctrl(CPUX86State *env, uint64_t value)
{
    return !(value & ~vpmu_mask_to_reg(env_archcpu(env)->vpmu.vpmcs));
}

#else

void vmx_pmu_flush_tlb(CPUX86State *env)
{
}

void vmx_pmu_sync(CPUX86State *env)
{
}

void vmx_pmu_retire(CPUX86State *env, const VMXInsn *insn)
{
}

void vmx_pmu_retry(CPUX86State *env)
{
}

void vmx_pmu_injected(CPUX86State *env, uint64_t eip, uint64_t cs_base,
                      uint32_t hflags)
{
}

int vmx_pmu_msr(CPUX86State *env, uint32_t msr, uint64_t *value, bool write)
{
    return 0;
}

bool vmx_pmu_is_global_ctrl(CPUX86State *env, uint64_t value)
{
    return !value;
}

#endif
