/*
 * VMX for TCG: state and hooks
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The files: caps.c (what is offered, MSRs), vmcs.c (fields), insn.c (the
 * decoder), vmx.c (VMX instructions, migration), entry.c, exit.c, intercept.c
 * (what exits) and ept.c.  docs/system/i386/vmx.rst says what there is.
 *
 * VMX shares HF_GUEST_MASK, HF2_NPT_MASK, nested_cr3, tsc_offset and the sites
 * of intercepts with SVM, which a CPU with VMX cannot have.
 *
 * cpu.h includes this file, so it has nothing that needs cpu.h: see
 * internal.h for what the files in this folder share.
 */
#ifndef TARGET_I386_VMX_H
#define TARGET_I386_VMX_H

#include "exec/hwaddr.h"

struct ArchCPU;
struct CPUArchState;

/**
 * VMXExit: what a VM exit reports
 * @reason: basic exit reason, with VMX_EXIT_FAILED_ENTRY
 * @event, @error_code: the event that caused it, as in VMCS_EXIT_EVENT
 * @insn_length, @insn_info: of the instruction that caused it
 * @qualification: depends on @reason
 * @linear, @physical: what was accessed, both as the guest sees it
 */
typedef struct VMXExit {
    uint32_t reason;
    uint32_t event;
    uint32_t error_code;
    uint32_t insn_length;
    uint32_t insn_info;
    uint64_t qualification;
    uint64_t linear;
    uint64_t physical;
} VMXExit;

/* As many as there are slots for in a VMCS */
#define VMX_NR_CONTROLS 88

/**
 * VMXState: VMX of one vCPU
 * @on: in VMX operation
 * @has_vmcs: there is a current VMCS, at @vmcs
 * @injecting: the event being delivered is an injected one
 * @vmxon: address of the VMXON region
 *
 * Valid in non-root operation, decoded by VM entry:
 * @pin, @primary, @secondary: execution controls; 0 where not active
 * @control: all control fields, see vmx_control()
 * @event: the event being delivered, as in VMCS_IDT_EVENT; 0: none
 * @event_error, @event_length: its error code, length of the instruction
 * @pending_debug: debug exceptions held back by MOV SS, as in
 *     VMCS_GUEST_PENDING_DEBUG
 *
 * Valid for a short time:
 * @dr6: DR6 before the debug exception that is about to be raised
 * @exit: from the decision for a VM exit until it is done
 *
 * Of an access by the processor itself, which cannot fault, to memory of the
 * guest that EPT does not map (see vmx_exit_for_memory()):
 * @has_missed: the last one failed for that reason
 * @missed: what the VM exit for it will report, and the VMCS it is of
 * @exit_due: that VM exit is to happen at this instruction boundary
 *
 * In SMM:
 * @smm_on, @smm_in_guest: what @on and vmx_in_guest() were before the SMI
 *
 * Lives in the part of CPUX86State that reset and INIT clear.  Only the vCPU's
 * own thread may touch it, or anybody while that is stopped.
 */
typedef struct VMXState {
    bool on;
    bool has_vmcs;
    bool injecting;
    uint64_t vmxon;
    uint64_t vmcs;

    uint32_t pin;
    uint32_t primary;
    uint32_t secondary;
    uint64_t control[VMX_NR_CONTROLS];
    uint32_t event;
    uint32_t event_error;
    uint32_t event_length;
    uint64_t pending_debug;

    uint64_t dr6;
    VMXExit exit;
    VMXExit missed;
    uint64_t missed_vmcs;
    bool has_missed;
    bool exit_due;

    bool smm_on;
    bool smm_in_guest;
} VMXState;

/**
 * vmx_in_guest: whether the vCPU is in VMX non-root operation
 */
#define vmx_in_guest(env) \
    (((env)->hflags & HF_GUEST_MASK) && (env)->vmx.on)

extern const struct VMStateDescription vmstate_vmx;

#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)

/* Something has to be looked at in non-root operation; TCG raises no other. */
#define CPU_INTERRUPT_VMX       CPU_INTERRUPT_TPR

/**
 * vmx_supported_features: what VMX adds to TCG's features in @word
 * @cpu: NULL for what is possible at all
 * @word: a FeatureWord
 */
uint64_t vmx_supported_features(struct ArchCPU *cpu, int word);

/**
 * vmx_expand_features: drop what a model's VMX has and TCG's lacks
 *
 * Before feature dependencies are resolved.  What the user has asked for stays,
 * to be reported like any other feature that is missing.  Returns false with
 * @errp set if the model cannot have VMX.
 */
bool vmx_expand_features(struct ArchCPU *cpu, Error **errp);

/**
 * vmx_pending_interrupt: x86_cpu_pending_interrupt() in non-root operation
 *
 * Also asked for a vCPU that is halted, by any thread with the BQL.
 */
int vmx_pending_interrupt(struct CPUArchState *env, int request);

/**
 * vmx_boundary_exit: CPU_INTERRUPT_VMX was chosen; does not return
 *
 * A VM exit, or a debug exception that was held back.
 */
void vmx_boundary_exit(struct CPUArchState *env);

/**
 * vmx_exit_for_memory: an access by the processor itself has just failed
 *
 * At an instruction boundary.  Returns true, and has the guest leave before its
 * next instruction, if the access failed because EPT does not map the memory.
 * VMXState.has_missed must have been false before the access.
 */
bool vmx_exit_for_memory(struct CPUArchState *env);

/**
 * vmx_smm_enter, vmx_smm_leave: around system-management mode, in which there
 * is no VMX operation
 *
 * Before the processor's state is saved, after it was restored.  SDM volume 3,
 * "Default Treatment of SMI Delivery" and "Default Treatment of RSM".
 */
void vmx_smm_enter(struct CPUArchState *env);
void vmx_smm_leave(struct CPUArchState *env);

/**
 * vmx_blocks_init: whether an INIT has to wait, as it does in root operation
 */
bool vmx_blocks_init(struct CPUArchState *env);

/**
 * vmx_undefined_opcode: #UD is about to be raised: is this a VMX instruction?
 *
 * RIP and flags are up to date.  Executes it, and returns only if it is none
 * or has to raise #UD.
 */
void vmx_undefined_opcode(struct CPUArchState *env);

/**
 * vmx_check_intercept: leave the guest if it must not do this by itself
 * @type: SVM_EXIT_*, as in cpu_svm_check_intercept_param()
 * @param: for SVM_EXIT_MSR whether it writes; for an exception its error code
 * @retaddr: GETPC() of the helper, 0 if the state is up to date
 *
 * Returns if the guest may go on.
 */
void vmx_check_intercept(struct CPUArchState *env, uint32_t type,
                         uint64_t param, uintptr_t retaddr);

/**
 * vmx_check_io: the same for IN, OUT, INS and OUTS, with RIP up to date
 * @param: SVM_IOIO_*
 */
void vmx_check_io(struct CPUArchState *env, uint32_t port, uint32_t param,
                  uintptr_t retaddr);

/**
 * vmx_fresh_dr6: DR6 without what earlier debug exceptions have left there
 *
 * Outside of non-root operation simply DR6.  What is added to it is told from
 * what was there when the exception is raised.
 */
uint64_t vmx_fresh_dr6(struct CPUArchState *env);

/**
 * vmx_triple_fault: leave a guest that would shut down; does not return
 */
void vmx_triple_fault(struct CPUArchState *env, uintptr_t retaddr);

/**
 * vmx_task_switch: leave a guest that does a task switch; does not return
 * @selector: of the new TSS
 * @source: SWITCH_TSS_*
 */
void vmx_task_switch(struct CPUArchState *env, unsigned selector, int source,
                     uintptr_t retaddr);

/**
 * vmx_do_exit: perform the VM exit that has been decided on
 *
 * In the execution loop, after EXCP_VMEXIT, with the guest's state restored.
 */
void vmx_do_exit(struct CPUArchState *env);

/**
 * vmx_delivery_begins, vmx_delivery_ends: around the delivery of an event
 *
 * An exception or VM exit in between leaves by longjmp.
 */
void vmx_delivery_begins(struct CPUArchState *env, int vector, bool is_int,
                         int error_code, bool is_hw, bool real_mode);
void vmx_delivery_ends(struct CPUArchState *env);

/**
 * vmx_ept_translate: walk the EPT
 * @address: guest-physical
 * @prot: PAGE_*; does not allow what has yet to set a dirty flag
 * @page_size: bytes
 * @error: why it fails, for vmx_memory_fault()
 *
 * @physical: the address that @address is mapped to
 */
bool vmx_ept_translate(struct CPUArchState *env, uint64_t address,
                       int access_type, hwaddr *physical, int *prot,
                       int *page_size, int *error, uintptr_t retaddr);

/**
 * vmx_walk_access: how a walk of page tables with MMU index @idx accesses them
 *
 * Without accessed and dirty flags in the EPT it reads, until it has to write.
 *
 * Returns: a MMUAccessType
 */
int vmx_walk_access(struct CPUArchState *env, int idx);

/**
 * vmx_memory_fault: leave the guest for what a memory access has found
 * @linear: what was accessed
 * @vector: the fault that it is, or -1 if vmx_ept_translate() has failed
 * @error: its error code, or what vmx_ept_translate() reports
 * @address: what goes to CR2, or the guest-physical address that failed
 * @is_walk: for an entry of the guest's page tables, not the page itself
 * @probe: the access must not fault; it is only noted
 *
 * Returns if it is a fault that the guest gets, or a probe.
 */
void vmx_memory_fault(struct CPUArchState *env, uint64_t linear, int vector,
                      int error, uint64_t address, bool is_walk, bool probe,
                      uintptr_t retaddr);

/**
 * vmx_rdmsr, vmx_wrmsr: MSRs that a CPU has because of VMX
 *
 * Return false if the register in ECX is none of them.  A bad access raises
 * #GP and does not return.
 */
bool vmx_rdmsr(struct CPUArchState *env, uint64_t *value, uintptr_t retaddr);
bool vmx_wrmsr(struct CPUArchState *env, uint64_t value, uintptr_t retaddr);

/**
 * vmx_check_cr: MOV to a control register: raise #GP, or load a guest's PDPTEs
 */
void vmx_check_cr(struct CPUArchState *env, int reg, uint64_t value,
                  uintptr_t retaddr);

#else

#define vmx_supported_features(cpu, word)               0
#define vmx_expand_features(cpu, errp)                  true
#define vmx_pending_interrupt(env, request)             0
#define vmx_undefined_opcode(env)                       do { } while (0)
#define vmx_task_switch(env, selector, source, retaddr) do { } while (0)

#endif

#endif /* TARGET_I386_VMX_H */
