/*
 * VMX for TCG: the VMX instructions
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * To TCG's translator these are invalid opcodes.  vmx_undefined_opcode() gets
 * them before #UD is raised.
 */
#include "qemu/osdep.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/cpu_ldst.h"
#include "exec/helper-proto.h"
#include "internal.h"
#include "tcg/helper-tcg.h"
#include "trace.h"

/* An instruction is known by the exit that it causes in a guest. */
#define VMX_OP_NONE     (-1)

static int vmx_op_group9(const VMXInsn *insn)
{
    if (!insn->is_memory || insn->is_f2) {
        return VMX_OP_NONE;
    }
    switch (insn->modrm >> 3 & 7) {
    case 6:
        return insn->is_f3 ? VMX_EXIT_VMXON :
               insn->is_66 ? VMX_EXIT_VMCLEAR : VMX_EXIT_VMPTRLD;
    case 7:
        return insn->is_f3 || insn->is_66 ? VMX_OP_NONE : VMX_EXIT_VMPTRST;
    default:
        return VMX_OP_NONE;
    }
}

static int vmx_op(CPUX86State *env, const VMXInsn *insn)
{
    static const uint8_t table_0f01[] = {
        VMX_EXIT_VMCALL, VMX_EXIT_VMLAUNCH, VMX_EXIT_VMRESUME, VMX_EXIT_VMXOFF
    };
    bool is_plain = !insn->is_66 && !insn->is_f2 && !insn->is_f3;
    bool is_66 = insn->is_66 && !insn->is_f2 && !insn->is_f3;
    uint32_t secondary = env->features[FEAT_VMX_SECONDARY_CTLS];

    if (insn->is_lock) {
        return VMX_OP_NONE;
    }
    switch (insn->opcode) {
    case 0x0f01:
        if (!is_plain || insn->modrm < 0xc1 || insn->modrm > 0xc4) {
            return VMX_OP_NONE;
        }
        return table_0f01[insn->modrm - 0xc1];
    case 0x0f78:
        return is_plain ? VMX_EXIT_VMREAD : VMX_OP_NONE;
    case 0x0f79:
        return is_plain ? VMX_EXIT_VMWRITE : VMX_OP_NONE;
    case 0x0fc7:
        return vmx_op_group9(insn);
    case 0x0f3880:
        return is_66 && insn->is_memory &&
               (secondary & VMX_SECONDARY_EXEC_ENABLE_EPT) ? VMX_EXIT_INVEPT :
                                                             VMX_OP_NONE;
    case 0x0f3881:
        return is_66 && insn->is_memory &&
               (secondary & VMX_SECONDARY_EXEC_ENABLE_VPID) ? VMX_EXIT_INVVPID :
                                                              VMX_OP_NONE;
    default:
        return VMX_OP_NONE;
    }
}

/* Tell how a VMX instruction has ended. */
static void vmx_set_result(CPUX86State *env, VMXError error)
{
    uint32_t flags = 0;

    if (error) {
        trace_vmx_fail(env_cpu(env)->cpu_index, env->eip, error);
        flags = CC_C;
        if (env->vmx.has_vmcs && error != VMX_ERR_NO_VMCS) {
            flags = CC_Z;
            vmcs_write(env, VMCS_INSN_ERROR, error);
        }
    }
    cpu_load_eflags(env, (cpu_compute_eflags(env) &
                          ~(CC_C | CC_P | CC_A | CC_Z | CC_S | CC_O)) | flags,
                    0);
}

/* Memory operands */

/*
 * The linear address of the operand, @size bytes.  What TCG does not check for
 * any other instruction is not checked here either: limits and types.
 */
static uint64_t vmx_operand(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t address = vmx_operand_address(env, insn, NULL);

    if ((env->hflags & HF_CS64_MASK) && !vmx_is_canonical(env, address)) {
        raise_exception_err(env, insn->segment == R_SS ? EXCP0C_STACK :
                                                         EXCP0D_GPF, 0);
    }
    return address;
}

static uint64_t vmx_load_operand(CPUX86State *env, const VMXInsn *insn,
                                 unsigned offset)
{
    return cpu_ldq_mmuidx_ra(env, vmx_operand(env, insn) + offset,
                             vmx_mmu_index(env), 0);
}

/* The instructions.  All return an error, or VMX_OK. */

static VMXError vmx_on(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t address;

    if (env->vmx.on) {
        return VMX_ERR_VMXON_IN_ROOT;
    }
    if ((VMX_CR0_FIXED0 & ~env->cr[0]) || (env->a20_mask != -1) ||
        (~env->msr_ia32_feature_control &
         (FEATURE_CONTROL_LOCKED |
          FEATURE_CONTROL_VMXON_ENABLED_OUTSIDE_SMX))) {
        raise_exception_err(env, EXCP0D_GPF, 0);
    }
    address = vmx_load_operand(env, insn, 0);
    if (!vmx_is_page(env, address) ||
        x86_ldl_phys(env_cpu(env), address) != VMCS_REVISION) {
        return VMX_ERR_NO_VMCS;
    }
    env->vmx = (VMXState) { .on = true, .vmxon = address };
    trace_vmx_on(env_cpu(env)->cpu_index, address);
    return VMX_OK;
}

static VMXError vmx_off(CPUX86State *env, const VMXInsn *insn)
{
    env->vmx = (VMXState) { };
    trace_vmx_off(env_cpu(env)->cpu_index);
    return VMX_OK;
}

static VMXError vmx_call(CPUX86State *env, const VMXInsn *insn)
{
    return VMX_ERR_VMCALL_IN_ROOT;
}

static VMXError vmx_clear(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t address = vmx_load_operand(env, insn, 0);

    if (!vmx_is_page(env, address)) {
        return VMX_ERR_VMCLEAR_ADDRESS;
    }
    if (address == env->vmx.vmxon) {
        return VMX_ERR_VMCLEAR_VMXON;
    }
    vmcs_set_launched(env, address, false);
    if (env->vmx.has_vmcs && address == env->vmx.vmcs) {
        env->vmx.has_vmcs = false;
        env->vmx.vmcs = 0;
    }
    return VMX_OK;
}

static VMXError vmx_ptrld(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t address = vmx_load_operand(env, insn, 0);

    if (!vmx_is_page(env, address)) {
        return VMX_ERR_VMPTRLD_ADDRESS;
    }
    if (address == env->vmx.vmxon) {
        return VMX_ERR_VMPTRLD_VMXON;
    }
    if (x86_ldl_phys(env_cpu(env), address) != VMCS_REVISION) {
        return VMX_ERR_VMPTRLD_REVISION;
    }
    env->vmx.has_vmcs = true;
    env->vmx.vmcs = address;
    return VMX_OK;
}

static VMXError vmx_ptrst(CPUX86State *env, const VMXInsn *insn)
{
    cpu_stq_mmuidx_ra(env, vmx_operand(env, insn),
                      env->vmx.has_vmcs ? env->vmx.vmcs : UINT64_MAX,
                      vmx_mmu_index(env), 0);
    return VMX_OK;
}

static VMXError vmx_read(CPUX86State *env, const VMXInsn *insn)
{
    bool is_64 = env->hflags & HF_CS64_MASK;
    uint64_t field = env->regs[insn->reg];
    uint64_t value;
    VMXError error;

    if (!env->vmx.has_vmcs) {
        return VMX_ERR_NO_VMCS;
    }
    error = vmcs_access(env, is_64 ? field : (uint32_t)field, &value, false);
    if (error) {
        return error;
    }
    if (!insn->is_memory) {
        env->regs[insn->rm] = is_64 ? value : (uint32_t)value;
    } else if (is_64) {
        cpu_stq_mmuidx_ra(env, vmx_operand(env, insn), value,
                          vmx_mmu_index(env), 0);
    } else {
        cpu_stl_mmuidx_ra(env, vmx_operand(env, insn), value,
                          vmx_mmu_index(env), 0);
    }
    return VMX_OK;
}

static VMXError vmx_write(CPUX86State *env, const VMXInsn *insn)
{
    bool is_64 = env->hflags & HF_CS64_MASK;
    uint64_t field = env->regs[insn->reg];
    uint64_t value;

    if (!env->vmx.has_vmcs) {
        return VMX_ERR_NO_VMCS;
    }
    if (!insn->is_memory) {
        value = env->regs[insn->rm];
    } else if (is_64) {
        value = vmx_load_operand(env, insn, 0);
    } else {
        value = cpu_ldl_mmuidx_ra(env, vmx_operand(env, insn),
                                  vmx_mmu_index(env), 0);
    }
    value = is_64 ? value : (uint32_t)value;
    return vmcs_access(env, is_64 ? field : (uint32_t)field, &value, true);
}

/* The type of an invalidation, with what has to be supported for it */
static uint64_t vmx_invalidation(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t type = env->regs[insn->reg];

    return env->hflags & HF_CS64_MASK ? type : (uint32_t)type;
}

static VMXError vmx_invept(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    uint64_t type = vmx_invalidation(env, insn);
    uint64_t eptp = vmx_load_operand(env, insn, 0);

    vmx_load_operand(env, insn, 8);
    if (!(type == 1 && (caps & MSR_VMX_EPT_INVEPT_SINGLE_CONTEXT)) &&
        !(type == 2 && (caps & MSR_VMX_EPT_INVEPT_ALL_CONTEXT))) {
        return VMX_ERR_INVALIDATION;
    }
    if (type == 1 && !vmx_is_eptp(env, eptp)) {
        return VMX_ERR_INVALIDATION;
    }
    /* VM entry flushes all that another world has left. */
    return VMX_OK;
}

static VMXError vmx_invvpid(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    uint64_t type = vmx_invalidation(env, insn);
    uint64_t vpid = vmx_load_operand(env, insn, 0);
    uint64_t address = vmx_load_operand(env, insn, 8);

    if (type > 3 || !(caps & (MSR_VMX_EPT_INVVPID_SINGLE_ADDR << type)) ||
        (vpid >> 16) || (type != 2 && !vpid) ||
        (type == 0 && !vmx_is_canonical(env, address))) {
        return VMX_ERR_INVALIDATION;
    }
    return VMX_OK;
}

static VMXError vmx_launch(CPUX86State *env, const VMXInsn *insn)
{
    return env->vmx.has_vmcs ? vmx_enter(env, true) : VMX_ERR_NO_VMCS;
}

static VMXError vmx_resume(CPUX86State *env, const VMXInsn *insn)
{
    return env->vmx.has_vmcs ? vmx_enter(env, false) : VMX_ERR_NO_VMCS;
}

static VMXError (*const vmx_ops[])(CPUX86State *env, const VMXInsn *insn) = {
    [VMX_EXIT_VMCALL] = vmx_call,
    [VMX_EXIT_VMCLEAR] = vmx_clear,
    [VMX_EXIT_VMLAUNCH] = vmx_launch,
    [VMX_EXIT_VMPTRLD] = vmx_ptrld,
    [VMX_EXIT_VMPTRST] = vmx_ptrst,
    [VMX_EXIT_VMREAD] = vmx_read,
    [VMX_EXIT_VMRESUME] = vmx_resume,
    [VMX_EXIT_VMWRITE] = vmx_write,
    [VMX_EXIT_VMXOFF] = vmx_off,
    [VMX_EXIT_VMXON] = vmx_on,
    [VMX_EXIT_INVEPT] = vmx_invept,
    [VMX_EXIT_INVVPID] = vmx_invvpid,
};

void vmx_smm_enter(CPUX86State *env)
{
    VMXState *vmx = &env->vmx;

    vmx->smm_on = vmx->on;
    vmx->smm_in_guest = vmx_in_guest(env);
    if (vmx->on) {
        vmx->on = false;
        env->hflags &= ~HF_GUEST_MASK;
        env->hflags2 &= ~HF2_NPT_MASK;
        env->tsc_offset = 0;
        tlb_flush(env_cpu(env));
    }
}

void vmx_smm_leave(CPUX86State *env)
{
    VMXState *vmx = &env->vmx;

    vmx->on = vmx->smm_on;
    if (vmx->smm_in_guest) {
        env->hflags |= HF_GUEST_MASK;
        env->tsc_offset = vmx_tsc_offset(env);
        if (vmx->secondary & VMX_SECONDARY_EXEC_ENABLE_EPT) {
            env->hflags2 |= HF2_NPT_MASK;
        }
        tlb_flush(env_cpu(env));
    }
    vmx->smm_on = false;
    vmx->smm_in_guest = false;
}

bool vmx_blocks_init(CPUX86State *env)
{
    return env->vmx.on && !vmx_in_guest(env);
}

/* Whether the mode has VMX instructions at all; VMCALL of a guest always is. */
static bool vmx_is_allowed(CPUX86State *env, int op)
{
    if (op == VMX_EXIT_VMCALL && vmx_in_guest(env)) {
        return true;
    }
    if (!(env->cr[0] & CR0_PE_MASK) || (env->eflags & VM_MASK) ||
        ((env->hflags & HF_LMA_MASK) && !(env->hflags & HF_CS64_MASK))) {
        return false;
    }
    return op == VMX_EXIT_VMXON ? env->cr[4] & CR4_VMXE_MASK : env->vmx.on;
}

void vmx_undefined_opcode(CPUX86State *env)
{
    VMXInsn insn;
    int op;

    if (likely(!(env->cr[4] & CR4_VMXE_MASK)) || (env->hflags & HF_SMM_MASK) ||
        !vmx_decode(env, &insn, true)) {
        return;
    }
    op = vmx_op(env, &insn);
    if (op == VMX_OP_NONE || !vmx_is_allowed(env, op)) {
        return;
    }
    /* It ends its block, so with icount the clock is right. */
    env_cpu(env)->neg.can_do_io = true;
    if (vmx_in_guest(env)) {
        vmx_exit_decoded(env, op, &insn);
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err(env, EXCP0D_GPF, 0);
    }
    vmx_set_result(env, vmx_ops[op](env, &insn));
    vmx_complete(env, &insn);
}
