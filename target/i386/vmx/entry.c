/*
 * VMX for TCG: VM entry
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, chapter "VM Entries".
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/exec-all.h"
#include "internal.h"
#include "tcg/helper-tcg.h"
#include "trace.h"

/* Loading the guest */

static void vmx_load_segment(const VMXVmcs *vmcs, unsigned n,
                             SegmentCache *segment)
{
    uint32_t rights = vmcs_get(vmcs, VMCS_GUEST_ES_RIGHTS + n * 2);
    uint32_t flags = (rights & 0xf0ff) << 8;

    *segment = (SegmentCache) {
        .selector = vmcs_get(vmcs, VMCS_GUEST_ES_SEL + n * 2),
        .base = vmcs_get(vmcs, VMCS_GUEST_ES_BASE + n * 2),
        .limit = vmcs_get(vmcs, VMCS_GUEST_ES_LIMIT + n * 2),
        .flags = rights & VMX_AR_UNUSABLE ? flags & ~DESC_P_MASK : flags,
    };
}

static void vmx_load_segments(CPUX86State *env, const VMXVmcs *vmcs)
{
    for (unsigned i = 0; i < 6; i++) {
        SegmentCache segment;

        vmx_load_segment(vmcs, i, &segment);
        cpu_x86_load_seg_cache(env, i, segment.selector, segment.base,
                               segment.limit, segment.flags);
    }
    vmx_load_segment(vmcs, 6, &env->ldt);
    vmx_load_segment(vmcs, 7, &env->tr);
    /* TCG has it as LTR leaves it. */
    env->tr.flags &= ~DESC_TSS_BUSY_MASK;
    env->gdt.base = vmcs_get(vmcs, VMCS_GUEST_GDTR_BASE);
    env->gdt.limit = vmcs_get(vmcs, VMCS_GUEST_GDTR_LIMIT);
    env->idt.base = vmcs_get(vmcs, VMCS_GUEST_IDTR_BASE);
    env->idt.limit = vmcs_get(vmcs, VMCS_GUEST_IDTR_LIMIT);
}

static uint64_t vmx_guest_efer(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_ENTRY_CONTROLS);
    bool is_long = controls & VMX_VM_ENTRY_IA32E_MODE;
    uint64_t efer = env->efer & ~MSR_EFER_LMA;

    if (controls & VMX_VM_ENTRY_LOAD_IA32_EFER) {
        return vmcs_get(vmcs, VMCS_GUEST_EFER);
    }
    if (vmcs_get(vmcs, VMCS_GUEST_CR0) & CR0_PG_MASK) {
        efer &= ~MSR_EFER_LME;
        efer |= is_long ? MSR_EFER_LME : 0;
    }
    return is_long ? efer | MSR_EFER_LMA : efer;
}

static void vmx_load_msrs(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_ENTRY_CONTROLS);
    uint64_t value;

    env->sysenter_cs = vmcs_get(vmcs, VMCS_GUEST_SYSENTER_CS);
    env->sysenter_esp = vmcs_get(vmcs, VMCS_GUEST_SYSENTER_ESP);
    env->sysenter_eip = vmcs_get(vmcs, VMCS_GUEST_SYSENTER_EIP);
    if (controls & VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS) {
        uint64_t dr7 = vmcs_get(vmcs, VMCS_GUEST_DR7);

        if (dr7 != env->dr[7]) {
            cpu_x86_update_dr7(env, dr7);
        }
        value = vmcs_get(vmcs, VMCS_GUEST_DEBUGCTL);
        vmx_pmu_msr(env, VMX_MSR_DEBUGCTL, &value, true);
    }
    if (controls & VMX_VM_ENTRY_LOAD_IA32_PAT) {
        env->pat = vmcs_get(vmcs, VMCS_GUEST_PAT);
    }
    if (controls & VMX_VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) {
        value = vmcs_get(vmcs, VMCS_GUEST_PERF_GLOBAL_CTRL);
        vmx_pmu_msr(env, MSR_CORE_PERF_GLOBAL_CTRL, &value, true);
    }
}

/* The controls that are looked at while the guest runs */
static void vmx_load_controls(CPUX86State *env, const VMXVmcs *vmcs)
{
    VMXState *vmx = &env->vmx;

    vmx->pin = vmcs_get(vmcs, VMCS_PIN_CONTROLS);
    vmx->primary = vmcs_get(vmcs, VMCS_PRIMARY_CONTROLS);
    vmx->secondary = vmx_secondary(vmcs);
    for (unsigned i = 0; i < VMX_NR_CONTROLS; i++) {
        vmx->control[i] = le64_to_cpu(vmcs->slot[i]);
    }
    vmx->event = 0;
    env->tsc_offset = vmx_tsc_offset(env);
    if (vmx->secondary & VMX_SECONDARY_EXEC_ENABLE_EPT) {
        env->nested_cr3 = vmcs_get(vmcs, VMCS_EPT_PTR);
        env->hflags2 |= HF2_NPT_MASK;
    }
}

static void vmx_load_guest(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t blocking = vmcs_get(vmcs, VMCS_GUEST_BLOCKING);
    uint64_t cr0 = vmcs_get(vmcs, VMCS_GUEST_CR0);

    env->hflags |= HF_GUEST_MASK;
    vmx_load_controls(env, vmcs);
    vmx_set_control_registers(env, (cr0 & ~VMX_CR0_KEPT) |
                              (env->cr[0] & VMX_CR0_KEPT),
                              vmcs_get(vmcs, VMCS_GUEST_CR3),
                              vmcs_get(vmcs, VMCS_GUEST_CR4),
                              vmx_guest_efer(env, vmcs));
    env->eflags = 0;
    cpu_load_eflags(env, vmcs_get(vmcs, VMCS_GUEST_RFLAGS),
                    ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C | DF_MASK));
    vmx_load_segments(env, vmcs);
    env->regs[R_ESP] = vmcs_get(vmcs, VMCS_GUEST_RSP);
    env->eip = vmcs_get(vmcs, VMCS_GUEST_RIP);
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
    if (blocking & (VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS)) {
        env->hflags |= HF_INHIBIT_IRQ_MASK;
    }
    env->hflags2 &= ~HF2_NMI_MASK;
    if (blocking & VMX_BLOCKED_BY_NMI) {
        env->hflags2 |= HF2_NMI_MASK;
    }
    vmx_load_msrs(env, vmcs);
}

/* A VM entry that fails after the checks of controls and host is an exit. */
static G_NORETURN void vmx_fail_entry(CPUX86State *env, const VMXVmcs *vmcs,
                                      uint32_t reason, uint64_t qualification)
{
    trace_vmx_exit(env_cpu(env)->cpu_index, reason | VMX_EXIT_FAILED_ENTRY,
                   env->eip, qualification, 0);
    vmcs_write(env, VMCS_EXIT_REASON, reason | VMX_EXIT_FAILED_ENTRY);
    vmcs_write(env, VMCS_EXIT_QUALIFICATION, qualification);
    vmx_load_host(env, vmcs);
    cpu_loop_exit_noexc(env_cpu(env));
}

/* Events */

static void vmx_inject(CPUX86State *env, const VMXVmcs *vmcs, uint32_t event)
{
    unsigned vector = event & VMX_EVENT_VECTOR;
    unsigned type = vmx_event_type(event);
    uint32_t length = vmcs_get(vmcs, VMCS_ENTRY_INSN_LENGTH);
    int error_code = event & VMX_EVENT_HAS_ERROR ?
                     vmcs_get(vmcs, VMCS_ENTRY_ERROR_CODE) : 0;
    uint64_t cs_base = env->hflags & HF_CS64_MASK ? 0 :
                       env->segs[R_CS].base;
    uint32_t hflags = env->hflags;
    uint64_t eip = env->eip;
    uint64_t next = eip;

    env->vmx.event = event & (VMX_EVENT_VECTOR | VMX_EVENT_TYPE |
                              VMX_EVENT_HAS_ERROR | VMX_EVENT_VALID);
    env->vmx.event_error = error_code;
    env->vmx.event_length = length;
    if (env->vmx.exit_due) {
        vmx_exit_due(env);
    }
    env->vmx.injecting = true;
    env->old_exception = -1;
    switch (type) {
    case VMX_TYPE_NMI:
        env->hflags2 |= HF2_NMI_MASK;
        break;
    case VMX_TYPE_EXCEPTION:
        if (vector == EXCP00_DIVZ || vector == EXCP08_DBLE ||
            (vector >= 10 && vector <= 14)) {
            env->old_exception = vector;
        }
        break;
    case VMX_TYPE_SOFTWARE_INTERRUPT:
    case VMX_TYPE_SOFTWARE_EXCEPTION:
        next += length;
        break;
    case VMX_TYPE_PRIVILEGED_SOFTWARE:
        env->eip += length;
        break;
    }
    do_interrupt_all(env_archcpu(env), vector,
                     type == VMX_TYPE_SOFTWARE_INTERRUPT ||
                     type == VMX_TYPE_SOFTWARE_EXCEPTION, error_code, next,
                     type == VMX_TYPE_EXTERNAL || type == VMX_TYPE_NMI);
    vmx_pmu_injected(env, eip, cs_base, hflags);
    env->old_exception = -1;
    env->hflags &= ~HF_INHIBIT_IRQ_MASK;
}

/* The debug exceptions that are pending, SDM volume 3, 27.7.3 */
static uint64_t vmx_pending_debug(const VMXVmcs *vmcs, uint32_t event,
                                  bool by_mov_ss)
{
    uint64_t pending = vmcs_get(vmcs, VMCS_GUEST_PENDING_DEBUG);
    unsigned type = vmx_event_type(event);
    bool is_lost = (event & VMX_EVENT_VALID) &&
                   !(by_mov_ss && (type == VMX_TYPE_SOFTWARE_INTERRUPT ||
                                   type == VMX_TYPE_SOFTWARE_EXCEPTION));

    return is_lost || !(pending & (VMX_DEBUG_ENABLED | DR6_BS)) ? 0 : pending;
}

/* Have vmx_pending_interrupt() asked, if there is something to wait for. */
static void vmx_watch_boundaries(CPUX86State *env)
{
    if (env->vmx.pending_debug ||
        (env->vmx.primary & (VMX_CPU_BASED_VIRTUAL_INTR_PENDING |
                             VMX_CPU_BASED_VIRTUAL_NMI_PENDING))) {
        BQL_LOCK_GUARD();
        cpu_interrupt(env_cpu(env), CPU_INTERRUPT_VMX);
    }
}

static G_NORETURN void vmx_start_guest(CPUX86State *env, const VMXVmcs *vmcs)
{
    CPUState *cs = env_cpu(env);
    uint32_t event = vmcs_get(vmcs, VMCS_ENTRY_EVENT);
    bool by_mov_ss = vmcs_get(vmcs, VMCS_GUEST_BLOCKING) &
                     VMX_BLOCKED_BY_MOV_SS;

    env->vmx.pending_debug = vmx_pending_debug(vmcs, event, by_mov_ss);
    vmx_watch_boundaries(env);
    if (event & VMX_EVENT_VALID) {
        vmx_inject(env, vmcs, event);
    } else if (env->vmx.pending_debug && !by_mov_ss) {
        env->dr[6] = vmx_fresh_dr6(env);
        raise_exception(env, EXCP01_DB);
    } else if (vmcs_get(vmcs, VMCS_GUEST_ACTIVITY) == VMX_ACTIVITY_HLT) {
        cs->halted = 1;
        cs->exception_index = EXCP_HLT;
        cpu_loop_exit(cs);
    }
    cpu_loop_exit_noexc(cs);
}

VMXError vmx_enter(CPUX86State *env, bool launch)
{
    uint32_t nmi_blocked = env->hflags2 & HF2_NMI_MASK;
    uint64_t qualification = 0;
    VMXVmcs vmcs;
    unsigned bad;

    if ((env->hflags & HF_INHIBIT_IRQ_MASK) && !(env->eflags & IF_MASK)) {
        return VMX_ERR_MOV_SS;
    }
    if (launch == vmcs_launched(env)) {
        return launch ? VMX_ERR_NOT_CLEAR : VMX_ERR_NOT_LAUNCHED;
    }
    vmcs_load(env, &vmcs);
    if (!vmx_check_controls(env, &vmcs)) {
        return VMX_ERR_CONTROLS;
    }
    if (!vmx_check_host(env, &vmcs)) {
        return VMX_ERR_HOST;
    }
    trace_vmx_enter(env_cpu(env)->cpu_index, env->vmx.vmcs,
                    vmcs_get(&vmcs, VMCS_GUEST_RIP),
                    vmcs_get(&vmcs, VMCS_ENTRY_EVENT));

    /* It belongs to the host, and so does all that has happened so far. */
    vmx_pmu_retire(env, NULL);
    do_end_instruction(env);
    if (!vmx_check_guest(env, &vmcs, &qualification)) {
        vmx_fail_entry(env, &vmcs, VMX_EXIT_INVALID_GUEST, qualification);
    }
    vmx_load_guest(env, &vmcs);
    bad = vmx_load_list(env, vmcs_get(&vmcs, VMCS_ENTRY_MSR_LOAD_ADDR),
                        vmcs_get(&vmcs, VMCS_ENTRY_MSR_LOAD_COUNT));
    if (bad) {
        env->hflags2 = (env->hflags2 & ~HF2_NMI_MASK) | nmi_blocked;
        vmx_fail_entry(env, &vmcs, VMX_EXIT_MSR_LOADING, bad);
    }
    vmcs_set_launched(env, env->vmx.vmcs, true);
    if (env->vmx.vmcs == env->vmx.missed_vmcs) {
        vmx_pmu_retry(env);
    }
    vmx_start_guest(env, &vmcs);
}
