/*
 * What the files of VMX share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VMX_INTERNAL_H
#define TARGET_I386_VMX_INTERNAL_H

#include "cpu.h"
#include "vmcs.h"

/* The entries that an MSR list may have, SDM appendix A.6 */
#define VMX_LIST_MAX            512

/* The field in IA32_VMX_MISC with so many CR3-target values */
#define VMX_NR_CR3_TARGETS      4

/* QEMU has no name for IA32_DEBUGCTL. */
#define VMX_MSR_DEBUGCTL        0x1d9

/* Basic exit reasons, SDM appendix C */
enum {
    VMX_EXIT_EXCEPTION_NMI = 0,
    VMX_EXIT_EXTERNAL_INTERRUPT = 1,
    VMX_EXIT_TRIPLE_FAULT = 2,
    VMX_EXIT_INIT = 3,
    VMX_EXIT_INTERRUPT_WINDOW = 7,
    VMX_EXIT_NMI_WINDOW = 8,
    VMX_EXIT_TASK_SWITCH = 9,
    VMX_EXIT_CPUID = 10,
    VMX_EXIT_HLT = 12,
    VMX_EXIT_INVD = 13,
    VMX_EXIT_INVLPG = 14,
    VMX_EXIT_RDPMC = 15,
    VMX_EXIT_RDTSC = 16,
    VMX_EXIT_VMCALL = 18,
    VMX_EXIT_VMCLEAR = 19,
    VMX_EXIT_VMLAUNCH = 20,
    VMX_EXIT_VMPTRLD = 21,
    VMX_EXIT_VMPTRST = 22,
    VMX_EXIT_VMREAD = 23,
    VMX_EXIT_VMRESUME = 24,
    VMX_EXIT_VMWRITE = 25,
    VMX_EXIT_VMXOFF = 26,
    VMX_EXIT_VMXON = 27,
    VMX_EXIT_CR_ACCESS = 28,
    VMX_EXIT_DR_ACCESS = 29,
    VMX_EXIT_IO = 30,
    VMX_EXIT_RDMSR = 31,
    VMX_EXIT_WRMSR = 32,
    VMX_EXIT_INVALID_GUEST = 33,
    VMX_EXIT_MSR_LOADING = 34,
    VMX_EXIT_MWAIT = 36,
    VMX_EXIT_MONITOR = 39,
    VMX_EXIT_PAUSE = 40,
    VMX_EXIT_GDTR_IDTR = 46,
    VMX_EXIT_LDTR_TR = 47,
    VMX_EXIT_EPT_VIOLATION = 48,
    VMX_EXIT_EPT_MISCONFIG = 49,
    VMX_EXIT_INVEPT = 50,
    VMX_EXIT_RDTSCP = 51,
    VMX_EXIT_INVVPID = 53,
    VMX_EXIT_WBINVD = 54,
    VMX_EXIT_XSETBV = 55,
};

#define VMX_EXIT_FAILED_ENTRY   0x80000000u

/* VM-instruction errors, SDM volume 3, "VM-Instruction Error Numbers" */
typedef enum VMXError {
    VMX_OK = 0,
    VMX_ERR_VMCALL_IN_ROOT = 1,
    VMX_ERR_VMCLEAR_ADDRESS = 2,
    VMX_ERR_VMCLEAR_VMXON = 3,
    VMX_ERR_NOT_CLEAR = 4,
    VMX_ERR_NOT_LAUNCHED = 5,
    VMX_ERR_CONTROLS = 7,
    VMX_ERR_HOST = 8,
    VMX_ERR_VMPTRLD_ADDRESS = 9,
    VMX_ERR_VMPTRLD_VMXON = 10,
    VMX_ERR_VMPTRLD_REVISION = 11,
    VMX_ERR_FIELD = 12,
    VMX_ERR_READ_ONLY = 13,
    VMX_ERR_VMXON_IN_ROOT = 15,
    VMX_ERR_MOV_SS = 26,
    VMX_ERR_INVALIDATION = 28,
    VMX_ERR_NO_VMCS = -1,
} VMXError;

/* VM-exit and VM-entry interruption information */
#define VMX_EVENT_VECTOR        0xff
#define VMX_EVENT_TYPE_SHIFT    8
#define VMX_EVENT_TYPE          (7 << VMX_EVENT_TYPE_SHIFT)
#define vmx_event_type(event)   (((event) >> VMX_EVENT_TYPE_SHIFT) & 7)
#define VMX_EVENT_HAS_ERROR     (1 << 11)
#define VMX_EVENT_VALID         (1u << 31)

enum {
    VMX_TYPE_EXTERNAL = 0,
    VMX_TYPE_NMI = 2,
    VMX_TYPE_EXCEPTION = 3,
    VMX_TYPE_SOFTWARE_INTERRUPT = 4,
    VMX_TYPE_PRIVILEGED_SOFTWARE = 5,
    VMX_TYPE_SOFTWARE_EXCEPTION = 6,
};

/* VMCS_GUEST_BLOCKING */
#define VMX_BLOCKED_BY_STI      1
#define VMX_BLOCKED_BY_MOV_SS   2
#define VMX_BLOCKED_BY_NMI      8

/* VMCS_GUEST_PENDING_DEBUG: as DR6, and whether there was an enabled breakpoint */
#define VMX_DEBUG_ENABLED       (1 << 12)

/* VMCS_GUEST_ACTIVITY */
#define VMX_ACTIVITY_ACTIVE     0
#define VMX_ACTIVITY_HLT        1

/* Access rights: bits 7:0 and 15:12 are those of a descriptor. */
#define VMX_AR_TYPE             0xf
#define VMX_AR_S                (1 << 4)
#define VMX_AR_DPL_SHIFT        5
#define VMX_AR_P                (1 << 7)
#define VMX_AR_L                (1 << 13)
#define VMX_AR_DB               (1 << 14)
#define VMX_AR_G                (1 << 15)
#define VMX_AR_UNUSABLE         (1 << 16)
#define VMX_AR_RESERVED         0xfffe0f00u

/**
 * VMXVmcs: a copy of the fields of a VMCS, see vmcs_slot()
 */
typedef struct VMXVmcs {
    uint64_t slot[4 * VMCS_SLOTS_PER_TYPE];
} VMXVmcs;

/* vmcs.c */

static inline uint64_t vmcs_get(const VMXVmcs *vmcs, uint32_t field)
{
    return le64_to_cpu(vmcs->slot[vmcs_slot(field)]);
}

static inline void vmcs_set(VMXVmcs *vmcs, uint32_t field, uint64_t value)
{
    vmcs->slot[vmcs_slot(field)] = cpu_to_le64(value);
}

/**
 * vmx_control: a control field as VM entry has found it
 */
static inline uint64_t vmx_control(CPUX86State *env, uint32_t field)
{
    return env->vmx.control[vmcs_slot(field)];
}

/**
 * vmx_tsc_offset: what the guest's TSC has more than the host's
 */
static inline uint64_t vmx_tsc_offset(CPUX86State *env)
{
    return env->vmx.primary & VMX_CPU_BASED_USE_TSC_OFFSETING ?
           vmx_control(env, VMCS_TSC_OFFSET) : 0;
}

/**
 * vmcs_load: copy the current VMCS from guest memory
 */
void vmcs_load(CPUX86State *env, VMXVmcs *vmcs);

/**
 * vmcs_store_exit: write what a VM exit writes to the current VMCS
 *
 * The guest's state and the read-only fields of @vmcs.
 */
void vmcs_store_exit(CPUX86State *env, const VMXVmcs *vmcs);

/**
 * vmcs_write: write one field, which must exist, to the current VMCS
 */
void vmcs_write(CPUX86State *env, uint32_t field, uint64_t value);

/**
 * vmcs_access: VMREAD or VMWRITE to the current VMCS
 * @field: as the instruction has it
 *
 * Returns: VMX_OK, or VMX_ERR_FIELD or VMX_ERR_READ_ONLY
 */
VMXError vmcs_access(CPUX86State *env, uint64_t field, uint64_t *value,
                     bool write);

/**
 * vmcs_launched: the launch state of the current VMCS
 */
bool vmcs_launched(CPUX86State *env);
void vmcs_set_launched(CPUX86State *env, uint64_t vmcs, bool launched);

/**
 * vmcs_set_abort: the reason of a VMX abort, in the current VMCS
 */
void vmcs_set_abort(CPUX86State *env, uint32_t why);

/* insn.c */

/**
 * VMXInsn: an instruction that can cause a VM exit, decoded
 * @length: 0 if it is none that is known
 * @opcode: with its map: 0x0fXX, 0x0f38XX
 * @prefix: PREFIX_* that select an instruction, 0x66, 0xf2, 0xf3
 * @is_memory: @modrm has a memory operand
 * @reg, @rm: registers of @modrm, with REX
 * @segment: of the memory operand or the string
 * @operand_size, @address_size: MO_16, MO_32 or MO_64
 * @base, @index: registers; -1: none
 */
typedef struct VMXInsn {
    unsigned length;
    uint32_t opcode;
    uint8_t modrm;
    uint8_t immediate;
    bool is_66;
    bool is_f2;
    bool is_f3;
    bool is_lock;
    bool is_memory;
    uint8_t reg;
    uint8_t rm;
    uint8_t segment;
    uint8_t operand_size;
    uint8_t address_size;
    int8_t base;
    int8_t index;
    uint8_t scale;
    int64_t displacement;
} VMXInsn;

/**
 * vmx_decode: decode the instruction at CS:RIP
 * @may_fault: raise a fault if it cannot be fetched; it has not been yet
 *
 * RIP must be up to date.  Returns false if it is not an instruction that can
 * cause a VM exit, or cannot be had.
 */
bool vmx_decode(CPUX86State *env, VMXInsn *insn, bool may_fault);

/**
 * vmx_operand_address: the linear address of the memory operand
 * @offset: its offset in the segment; may be NULL
 */
uint64_t vmx_operand_address(CPUX86State *env, const VMXInsn *insn,
                             uint64_t *offset);

/**
 * vmx_insn_info: the VM-exit instruction-information field
 */
uint32_t vmx_insn_info(const VMXInsn *insn);

/**
 * vmx_mmu_index: of data accesses of the guest's instructions
 */
static inline int vmx_mmu_index(CPUX86State *env)
{
    return x86_mmu_index_pl(env, env->hflags & HF_CPL_MASK);
}

/* check.c */

/* Exit qualifications of a VM entry that the guest's state makes fail */
#define VMX_QUAL_PDPTE          2
#define VMX_QUAL_LINK           4

/**
 * vmx_check_controls, vmx_check_host, vmx_check_guest: the checks of VM entry
 */
bool vmx_check_controls(CPUX86State *env, const VMXVmcs *vmcs);
bool vmx_check_host(CPUX86State *env, const VMXVmcs *vmcs);
bool vmx_check_guest(CPUX86State *env, const VMXVmcs *vmcs,
                     uint64_t *qualification);

/**
 * vmx_secondary: the secondary controls, 0 if they are not active
 */
static inline uint32_t vmx_secondary(const VMXVmcs *vmcs)
{
    return vmcs_get(vmcs, VMCS_PRIMARY_CONTROLS) &
           VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS ?
           vmcs_get(vmcs, VMCS_SECONDARY_CONTROLS) : 0;
}

/* entry.c */

/**
 * vmx_enter: VMLAUNCH or VMRESUME with a current VMCS
 *
 * RIP is that of the instruction.  Returns only with an error.
 */
VMXError vmx_enter(CPUX86State *env, bool launch);

/* exit.c */

/* Bits of CR0 that VM entry and exit do not change: 30:19, 17, 15:6 and 4 */
#define VMX_CR0_KEPT            0x7ffaffd0u

/**
 * vmx_exit: leave the guest
 * @exit: what to report; instruction length and information are added if
 *     they are 0 and @decode is set
 * @retaddr: GETPC(), or 0 if the state is up to date
 */
G_NORETURN void vmx_exit(CPUX86State *env, const VMXExit *exit, bool decode,
                         uintptr_t retaddr);

/**
 * vmx_load_host: the part of a VM exit that a failed entry does as well
 *
 * Does not return if it comes to a VMX abort.
 */
void vmx_load_host(CPUX86State *env, const VMXVmcs *vmcs);

/**
 * vmx_load_list: load @count MSRs from the list at @address
 *
 * Returns: the number of the entry that cannot be loaded, from 1 on, or 0
 */
unsigned vmx_load_list(CPUX86State *env, hwaddr address, uint32_t count);

/**
 * vmx_set_control_registers: all that decides on the mode at once
 *
 * Flushes the TLB.
 */
void vmx_set_control_registers(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                               uint64_t cr4, uint64_t efer);

/* intercept.c */

/**
 * vmx_exit_decoded: leave for an instruction, with the state up to date
 *
 * The exit qualification is about its memory operand, if it has one.
 */
G_NORETURN void vmx_exit_decoded(CPUX86State *env, uint32_t reason,
                                 const VMXInsn *insn);

/**
 * vmx_page_fault: a page fault is about to set CR2: leave, if it is to exit
 */
void vmx_page_fault(CPUX86State *env, int error_code, uint64_t linear,
                    uintptr_t retaddr);

/**
 * vmx_exit_due: make the VM exit that env->vmx.exit_due announces
 */
G_NORETURN void vmx_exit_due(CPUX86State *env);

/**
 * vmx_complete: an instruction has been executed here instead of by TCG
 *
 * With all state up to date, RIP that of the instruction.
 */
G_NORETURN void vmx_complete(CPUX86State *env, const VMXInsn *insn);

/* ept.c */

/**
 * vmx_is_eptp: whether @eptp can be an EPT pointer
 */
bool vmx_is_eptp(CPUX86State *env, uint64_t eptp);

/**
 * vmx_set_pdptes, vmx_load_pdptes: the PDPTEs of a guest with PAE paging
 *
 * To TCG they are valid until the VM exit.  Return false, having done nothing,
 * if one of them has a reserved bit set.
 */
bool vmx_set_pdptes(CPUX86State *env, const uint64_t *pdptes);
bool vmx_load_pdptes(CPUX86State *env, uint64_t cr3, uintptr_t retaddr);

/* caps.c */

/**
 * vmx_control_msr: an MSR that says what a word of controls allows
 * @msr: MSR_IA32_VMX_*_CTLS, MSR_IA32_VMX_TRUE_*, MSR_IA32_VMX_PROCBASED_CTLS2
 *
 * Returns: what must be 1 in the lower half, what may be in the upper one.
 */
uint64_t vmx_control_msr(CPUX86State *env, uint32_t msr);

/* Bits of CR0 and CR4 that must be 1 in VMX operation, or may be */
#define VMX_CR0_FIXED0  (CR0_PE_MASK | CR0_NE_MASK | CR0_PG_MASK)
#define VMX_CR0_FIXED1  0xffffffffull
#define VMX_CR4_FIXED0  CR4_VMXE_MASK

/**
 * vmx_is_physical: whether @address is one, and aligned to a page
 */
static inline bool vmx_is_page(CPUX86State *env, uint64_t address)
{
    return !(address & 0xfff) && !(address >> env_archcpu(env)->phys_bits);
}

static inline bool vmx_is_canonical(CPUX86State *env, uint64_t address)
{
    unsigned shift = 64 - cpu_x86_virtual_addr_width(env);

    return (uint64_t)((int64_t)(address << shift) >> shift) == address;
}

/* pmu.c: nothing without the virtual PMU */

/**
 * vmx_pmu_retire: an instruction has retired that was not charged
 * @insn: the instruction, or NULL if it does not access memory
 */
void vmx_pmu_retire(CPUX86State *env, const VMXInsn *insn);

/**
 * vmx_pmu_flush_tlb: a VM entry or a VM exit has loaded other page tables
 */
void vmx_pmu_flush_tlb(CPUX86State *env);

/**
 * vmx_pmu_sync: what has happened so far belongs to the world that made it
 */
void vmx_pmu_sync(CPUX86State *env);

/**
 * vmx_pmu_retry: make the record that had to wait for memory of this guest
 */
void vmx_pmu_retry(CPUX86State *env);

/**
 * vmx_pmu_injected: a VM entry has delivered an event
 * @eip, @cs_base, @hflags: where the guest was
 *
 * It is recorded as a branch, a debug exception, too, which otherwise ends the
 * recording (SDM volume 3, "Event Injection").
 */
void vmx_pmu_injected(CPUX86State *env, uint64_t eip, uint64_t cs_base,
                      uint32_t hflags);

/**
 * vmx_pmu_msr: RDMSR or WRMSR of a register of the PMU
 *
 * Returns: 1 if done, 0 if it is none, -1 if it would be #GP
 */
int vmx_pmu_msr(CPUX86State *env, uint32_t msr, uint64_t *value, bool write);

/**
 * vmx_pmu_is_global_ctrl: whether @value can be IA32_PERF_GLOBAL_CTRL
 */
bool vmx_pmu_is_global_ctrl(CPUX86State *env, uint64_t value);

#endif /* TARGET_I386_VMX_INTERNAL_H */
