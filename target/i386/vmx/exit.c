/*
 * VMX for TCG: VM exits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, chapter "VM Exits".  An exit is decided on at any place, which
 * leaves with EXCP_VMEXIT; the main loop then calls vmx_do_exit().
 */
#include "qemu/osdep.h"
#include "qemu/log.h"
#include "qemu/main-loop.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "hw/i386/apic.h"
#include "internal.h"
#include "system/runstate.h"
#include "tcg/helper-tcg.h"
#include "trace.h"

void vmx_exit(CPUX86State *env, const VMXExit *exit, bool decode,
              uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    VMXInsn insn;

    cpu_restore_state(cs, retaddr);
    env->vmx.exit = *exit;
    if (decode && vmx_decode(env, &insn, false)) {
        env->vmx.exit.insn_length = insn.length;
        env->vmx.exit.insn_info = vmx_insn_info(&insn);
    }
    cs->exception_index = EXCP_VMEXIT;
    env->old_exception = -1;
    cpu_loop_exit(cs);
}

void vmx_set_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                               uint64_t cr4, uint64_t efer)
{
    /* No transition, thus nothing but the hidden flags to update */
    env->cr[0] = cr0;
    cpu_x86_update_cr0(env, cr0);
    env->cr[3] = cr3;
    env->cr[4] = cr4;
    cpu_x86_update_cr4(env, cr4);
    cpu_load_efer(env, efer);
    tlb_flush(env_cpu(env));
    vmx_pmu_flush_tlb(env);
}

/* SDM volume 3, "VMX Aborts" */
enum {
    VMX_ABORT_SAVING_MSRS = 1,
    VMX_ABORT_LOADING_MSRS = 4,
    VMX_ABORT_HOST_MODE = 6,
};

/*
 * The VM exit cannot be completed.  The processor shuts down, which resets the
 * machine, as a triple fault does.
 */
static G_NORETURN void vmx_abort(CPUX86State *env, uint32_t why)
{
    CPUState *cs = env_cpu(env);

    qemu_log_mask(CPU_LOG_RESET, "VMX abort %u\n", why);
    vmcs_set_abort(env, why);
    qemu_system_reset_request(SHUTDOWN_CAUSE_GUEST_RESET);
    cs->halted = 1;
    cs->exception_index = EXCP_HLT;
    cpu_loop_exit(cs);
}

/* Saving the guest */

static uint32_t vmx_rights(const SegmentCache *segment)
{
    uint32_t rights = segment->flags >> 8 & 0xf0ff;

    /* A far transfer sets the accessed bit neither in memory nor here. */
    if (rights & VMX_AR_S) {
        rights |= 1;
    }
    return rights & VMX_AR_P ? rights : rights | VMX_AR_UNUSABLE;
}

static void vmx_save_segment(VMXVmcs *vmcs, unsigned n,
                             const SegmentCache *segment)
{
    vmcs_set(vmcs, VMCS_GUEST_ES_SEL + n * 2, segment->selector);
    vmcs_set(vmcs, VMCS_GUEST_ES_LIMIT + n * 2, segment->limit);
    vmcs_set(vmcs, VMCS_GUEST_ES_RIGHTS + n * 2, vmx_rights(segment));
    vmcs_set(vmcs, VMCS_GUEST_ES_BASE + n * 2, segment->base);
}

static void vmx_save_segments(CPUX86State *env, VMXVmcs *vmcs)
{
    uint32_t rights;

    for (unsigned i = 0; i < 6; i++) {
        vmx_save_segment(vmcs, i, &env->segs[i]);
    }
    vmx_save_segment(vmcs, 6, &env->ldt);
    vmx_save_segment(vmcs, 7, &env->tr);
    /* LTR loads it before it sets the busy flag; here it always is busy. */
    rights = vmx_rights(&env->tr) | 2;
    vmcs_set(vmcs, VMCS_GUEST_TR_RIGHTS, rights & ~VMX_AR_UNUSABLE);
    vmcs_set(vmcs, VMCS_GUEST_GDTR_BASE, env->gdt.base);
    vmcs_set(vmcs, VMCS_GUEST_GDTR_LIMIT, env->gdt.limit);
    vmcs_set(vmcs, VMCS_GUEST_IDTR_BASE, env->idt.base);
    vmcs_set(vmcs, VMCS_GUEST_IDTR_LIMIT, env->idt.limit);
}

static void vmx_save_msrs(CPUX86State *env, VMXVmcs *vmcs, uint32_t controls)
{
    uint64_t value;

    vmcs_set(vmcs, VMCS_GUEST_SYSENTER_CS, env->sysenter_cs);
    vmcs_set(vmcs, VMCS_GUEST_SYSENTER_ESP, env->sysenter_esp);
    vmcs_set(vmcs, VMCS_GUEST_SYSENTER_EIP, env->sysenter_eip);
    if (controls & VMX_VM_EXIT_SAVE_DEBUG_CONTROLS) {
        value = 0;
        vmcs_set(vmcs, VMCS_GUEST_DR7, env->dr[7]);
        vmx_pmu_msr(env, VMX_MSR_DEBUGCTL, &value, false);
        vmcs_set(vmcs, VMCS_GUEST_DEBUGCTL, value);
    }
    if (controls & VMX_VM_EXIT_SAVE_IA32_PAT) {
        vmcs_set(vmcs, VMCS_GUEST_PAT, env->pat);
    }
    if (controls & VMX_VM_EXIT_SAVE_IA32_EFER) {
        vmcs_set(vmcs, VMCS_GUEST_EFER, env->efer);
    }
}

static uint32_t vmx_blocking(CPUX86State *env)
{
    uint32_t blocking = 0;

    if (env->hflags & HF_INHIBIT_IRQ_MASK) {
        blocking |= env->eflags & IF_MASK ? VMX_BLOCKED_BY_STI :
                                            VMX_BLOCKED_BY_MOV_SS;
    }
    if (env->hflags2 & HF2_NMI_MASK) {
        blocking |= VMX_BLOCKED_BY_NMI;
    }
    return blocking;
}

static void vmx_save_guest(CPUX86State *env, VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_EXIT_CONTROLS);

    vmcs_set(vmcs, VMCS_GUEST_CR0, env->cr[0]);
    vmcs_set(vmcs, VMCS_GUEST_CR3, env->cr[3]);
    vmcs_set(vmcs, VMCS_GUEST_CR4, env->cr[4]);
    vmcs_set(vmcs, VMCS_GUEST_RSP, env->regs[R_ESP]);
    vmcs_set(vmcs, VMCS_GUEST_RIP, env->eip);
    vmcs_set(vmcs, VMCS_GUEST_RFLAGS, cpu_compute_eflags(env));
    for (unsigned i = 0; env->pdptrs_valid && i < 4; i++) {
        vmcs_set(vmcs, VMCS_GUEST_PDPTE0 + i * 2, env->pdptrs[i]);
    }
    vmx_save_segments(env, vmcs);
    vmx_save_msrs(env, vmcs, controls);
    vmcs_set(vmcs, VMCS_GUEST_BLOCKING, vmx_blocking(env));
    vmcs_set(vmcs, VMCS_GUEST_ACTIVITY, VMX_ACTIVITY_ACTIVE);
    vmcs_set(vmcs, VMCS_GUEST_PENDING_DEBUG, env->vmx.pending_debug);
}

/* What the exit is about, and the event whose delivery it has interrupted */
static void vmx_save_exit(CPUX86State *env, VMXVmcs *vmcs)
{
    const VMXExit *exit = &env->vmx.exit;
    uint32_t event = env->vmx.event;
    uint32_t length = exit->insn_length;
    unsigned type = vmx_event_type(event);

    vmcs_set(vmcs, VMCS_EXIT_REASON, exit->reason);
    vmcs_set(vmcs, VMCS_EXIT_QUALIFICATION, exit->qualification);
    vmcs_set(vmcs, VMCS_EXIT_EVENT, exit->event);
    vmcs_set(vmcs, VMCS_EXIT_ERROR_CODE, exit->error_code);
    vmcs_set(vmcs, VMCS_GUEST_LINEAR_ADDR, exit->linear);
    vmcs_set(vmcs, VMCS_GUEST_PHYS_ADDR, exit->physical);
    vmcs_set(vmcs, VMCS_EXIT_INSN_INFO, exit->insn_info);
    vmcs_set(vmcs, VMCS_IDT_EVENT, event);
    if (event) {
        vmcs_set(vmcs, VMCS_IDT_ERROR_CODE, env->vmx.event_error);
        if (type >= VMX_TYPE_SOFTWARE_INTERRUPT) {
            length = env->vmx.event_length;
        }
    }
    vmcs_set(vmcs, VMCS_EXIT_INSN_LENGTH, length);
}

/* Loading the host */

static void vmx_load_flat(CPUX86State *env, const VMXVmcs *vmcs, unsigned n)
{
    unsigned selector = vmcs_get(vmcs, VMCS_HOST_ES_SEL + n * 2);
    uint32_t flags = selector ? DESC_G_MASK | DESC_B_MASK | DESC_P_MASK |
                                DESC_S_MASK | DESC_W_MASK | DESC_A_MASK : 0;
    uint64_t base = n == R_FS ? vmcs_get(vmcs, VMCS_HOST_FS_BASE) :
                    n == R_GS ? vmcs_get(vmcs, VMCS_HOST_GS_BASE) : 0;

    cpu_x86_load_seg_cache(env, n, selector, base, 0xffffffff, flags);
}

static void vmx_load_host_segments(CPUX86State *env, const VMXVmcs *vmcs,
                                   bool is_64)
{
    cpu_x86_load_seg_cache(env, R_CS, vmcs_get(vmcs, VMCS_HOST_CS_SEL), 0,
                           0xffffffff,
                           DESC_G_MASK | DESC_P_MASK | DESC_S_MASK |
                           DESC_CS_MASK | DESC_R_MASK | DESC_A_MASK |
                           (is_64 ? DESC_L_MASK : DESC_B_MASK));
    for (unsigned i = 0; i < 6; i++) {
        if (i != R_CS) {
            vmx_load_flat(env, vmcs, i);
        }
    }
    env->ldt = (SegmentCache) { };
    env->tr = (SegmentCache) {
        .selector = vmcs_get(vmcs, VMCS_HOST_TR_SEL),
        .base = vmcs_get(vmcs, VMCS_HOST_TR_BASE),
        .limit = 0x67,
        .flags = DESC_P_MASK | 9 << DESC_TYPE_SHIFT,
    };
    env->gdt.base = vmcs_get(vmcs, VMCS_HOST_GDTR_BASE);
    env->gdt.limit = 0xffff;
    env->idt.base = vmcs_get(vmcs, VMCS_HOST_IDTR_BASE);
    env->idt.limit = 0xffff;
}

static void vmx_load_host_msrs(CPUX86State *env, const VMXVmcs *vmcs,
                               uint32_t controls)
{
    uint64_t value = 0;

    env->sysenter_cs = vmcs_get(vmcs, VMCS_HOST_SYSENTER_CS);
    env->sysenter_esp = vmcs_get(vmcs, VMCS_HOST_SYSENTER_ESP);
    env->sysenter_eip = vmcs_get(vmcs, VMCS_HOST_SYSENTER_EIP);
    vmx_pmu_msr(env, VMX_MSR_DEBUGCTL, &value, true);
    if (controls & VMX_VM_EXIT_LOAD_IA32_PAT) {
        env->pat = vmcs_get(vmcs, VMCS_HOST_PAT);
    }
    if (controls & VMX_VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) {
        value = vmcs_get(vmcs, VMCS_HOST_PERF_GLOBAL_CTRL);
        vmx_pmu_msr(env, MSR_CORE_PERF_GLOBAL_CTRL, &value, true);
    }
}

static uint64_t vmx_host_efer(CPUX86State *env, const VMXVmcs *vmcs,
                              uint32_t controls)
{
    uint64_t efer = env->efer & ~(MSR_EFER_LME | MSR_EFER_LMA);

    if (controls & VMX_VM_EXIT_LOAD_IA32_EFER) {
        return vmcs_get(vmcs, VMCS_HOST_EFER);
    }
    return controls & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE ?
           efer | MSR_EFER_LME | MSR_EFER_LMA : efer;
}

static void vmx_load_host_state(CPUX86State *env, const VMXVmcs *vmcs)
{
    CPUState *cs = env_cpu(env);
    uint32_t controls = vmcs_get(vmcs, VMCS_EXIT_CONTROLS);
    bool is_64 = controls & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    uint64_t cr0 = vmcs_get(vmcs, VMCS_HOST_CR0);
    uint64_t cr4 = vmcs_get(vmcs, VMCS_HOST_CR4);

    env->hflags &= ~(HF_GUEST_MASK | HF_INHIBIT_IRQ_MASK);
    env->hflags2 &= ~HF2_NPT_MASK;
    env->tsc_offset = 0;
    env->nested_cr3 = 0;
    env->pdptrs_valid = false;
    if (qatomic_read(&cs->interrupt_request) & CPU_INTERRUPT_VMX) {
        cpu_reset_interrupt(cs, CPU_INTERRUPT_VMX);
    }

    cr4 |= CR4_VMXE_MASK | (is_64 ? CR4_PAE_MASK : 0);
    vmx_set_control_registers(env, (cr0 & ~VMX_CR0_KEPT) |
                              (env->cr[0] & VMX_CR0_KEPT),
                              vmcs_get(vmcs, VMCS_HOST_CR3), cr4,
                              vmx_host_efer(env, vmcs, controls));
    vmx_load_host_segments(env, vmcs, is_64);
    env->eflags = 0;
    cpu_load_eflags(env, 2, ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C |
                              DF_MASK));
    env->regs[R_ESP] = vmcs_get(vmcs, VMCS_HOST_RSP);
    env->eip = vmcs_get(vmcs, VMCS_HOST_RIP);
    if (env->dr[7] != 0x400) {
        cpu_x86_update_dr7(env, 0x400);
    }
    vmx_load_host_msrs(env, vmcs, controls);
}

/* MSR lists */

/* The registers of QEMU's that may be in a list and that no one checks */
static uint64_t *vmx_msr(CPUX86State *env, uint32_t msr)
{
    switch (msr) {
    case MSR_STAR:
        return &env->star;
#ifdef TARGET_X86_64
    case MSR_LSTAR:
        return &env->lstar;
    case MSR_CSTAR:
        return &env->cstar;
    case MSR_FMASK:
        return &env->fmask;
    case MSR_KERNELGSBASE:
        return &env->kernelgsbase;
#endif
    case MSR_PAT:
        return &env->pat;
    case MSR_TSC_AUX:
        return &env->tsc_aux;
    default:
        return NULL;
    }
}

/* One entry of a list: RDMSR or WRMSR.  Returns false if it is not allowed. */
static bool vmx_access_msr(CPUX86State *env, uint32_t msr, uint64_t *value,
                           bool write)
{
    uint64_t *reg = vmx_msr(env, msr);

    if (msr >= MSR_APIC_START && msr <= MSR_APIC_END) {
        return false;
    }
    if (write && (msr == MSR_FSBASE || msr == MSR_GSBASE)) {
        return false;
    }
    if (msr == MSR_EFER && write) {
        cpu_load_efer(env, *value);
    } else if (msr == MSR_EFER) {
        *value = env->efer;
    } else if (msr == MSR_IA32_TSC && !write) {
        /* The host's, even if the guest has an offset */
        *value = cpu_get_tsc(env);
    } else if (reg && write) {
        *reg = *value;
    } else if (reg) {
        *value = *reg;
    } else {
        if (!write) {
            *value = 0;
        }
        return vmx_pmu_msr(env, msr, value, write) >= 0;
    }
    return true;
}

/* An entry of a list is the register, 32 reserved bits and the value. */

static void vmx_store_list(CPUX86State *env, const VMXVmcs *vmcs)
{
    CPUState *cs = env_cpu(env);
    hwaddr address = vmcs_get(vmcs, VMCS_EXIT_MSR_STORE_ADDR);
    uint32_t count = vmcs_get(vmcs, VMCS_EXIT_MSR_STORE_COUNT);

    for (uint32_t i = 0; i < count; i++, address += 16) {
        uint64_t value;

        if (i == VMX_LIST_MAX || x86_ldl_phys(cs, address + 4) ||
            !vmx_access_msr(env, x86_ldl_phys(cs, address), &value, false)) {
            vmx_abort(env, VMX_ABORT_SAVING_MSRS);
        }
        x86_stq_phys(cs, address + 8, value);
    }
}

unsigned vmx_load_list(CPUX86State *env, hwaddr address, uint32_t count)
{
    CPUState *cs = env_cpu(env);

    for (uint32_t i = 0; i < count; i++, address += 16) {
        uint64_t value = x86_ldq_phys(cs, address + 8);

        if (i == VMX_LIST_MAX || x86_ldl_phys(cs, address + 4) ||
            !vmx_access_msr(env, x86_ldl_phys(cs, address), &value, true)) {
            return i + 1;
        }
    }
    return 0;
}

void vmx_load_host(CPUX86State *env, const VMXVmcs *vmcs)
{
    if ((env->efer & MSR_EFER_LMA) &&
        !(vmcs_get(vmcs, VMCS_EXIT_CONTROLS) &
          VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE)) {
        vmx_abort(env, VMX_ABORT_HOST_MODE);
    }
    vmx_load_host_state(env, vmcs);
    if (vmx_load_list(env, vmcs_get(vmcs, VMCS_EXIT_MSR_LOAD_ADDR),
                      vmcs_get(vmcs, VMCS_EXIT_MSR_LOAD_COUNT))) {
        vmx_abort(env, VMX_ABORT_LOADING_MSRS);
    }
}

void vmx_do_exit(CPUX86State *env)
{
    const VMXExit *exit = &env->vmx.exit;
    unsigned type = vmx_event_type(exit->event);
    uint32_t controls;
    VMXVmcs vmcs;

    trace_vmx_exit(env_cpu(env)->cpu_index, exit->reason, env->eip,
                   exit->qualification, exit->event);
    vmx_pmu_sync(env);
    env_cpu(env)->neg.can_do_io = true;
    vmcs_load(env, &vmcs);
    vmx_save_guest(env, &vmcs);
    vmx_save_exit(env, &vmcs);
    vmcs_store_exit(env, &vmcs);
    vmcs_write(env, VMCS_ENTRY_EVENT,
               vmcs_get(&vmcs, VMCS_ENTRY_EVENT) & ~VMX_EVENT_VALID);
    controls = vmcs_get(&vmcs, VMCS_ENTRY_CONTROLS);
    if (env->features[FEAT_VMX_MISC] & MSR_VMX_MISC_STORE_LMA) {
        controls &= ~VMX_VM_ENTRY_IA32E_MODE;
        if (env->efer & MSR_EFER_LMA) {
            controls |= VMX_VM_ENTRY_IA32E_MODE;
        }
        vmcs_write(env, VMCS_ENTRY_CONTROLS, controls);
    }
    vmx_store_list(env, &vmcs);

    if (env->vmx.pin & VMX_PIN_BASED_VIRTUAL_NMIS) {
        env->hflags2 &= ~HF2_NMI_MASK;
    }
    if (exit->reason == VMX_EXIT_EXCEPTION_NMI && type == VMX_TYPE_NMI) {
        env->hflags2 |= HF2_NMI_MASK;
    }
    env->vmx.event = 0;
    env->vmx.pending_debug = 0;
    vmx_load_host(env, &vmcs);
}
