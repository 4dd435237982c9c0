/*
 * VMX for TCG: what makes a guest exit
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The sites are those of SVM's intercepts, so their types are SVM's.  SDM
 * volume 3, chapter "VMX Non-Root Operation".
 */
#include "qemu/osdep.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "exec/replay-core.h"
#include "internal.h"
#include "tcg/helper-tcg.h"

/* Leave for an event at an instruction boundary. */
static G_NORETURN void vmx_exit_event(CPUX86State *env, uint32_t reason,
                                      uint32_t event)
{
    VMXExit exit = { .reason = reason, .event = event };

    vmx_exit(env, &exit, false, 0);
}

/*
 * Restore the state and decode.  If the instruction is gone by now, it has to
 * be fetched again.
 */
static void vmx_restore_insn(CPUX86State *env, VMXInsn *insn, uintptr_t retaddr)
{
    cpu_restore_state(env_cpu(env), retaddr);
    if (!vmx_decode(env, insn, false)) {
        cpu_loop_exit_noexc(env_cpu(env));
    }
}

void vmx_exit_decoded(CPUX86State *env, uint32_t reason, const VMXInsn *insn)
{
    VMXExit exit = {
        .reason = reason,
        .insn_length = insn->length,
        .insn_info = vmx_insn_info(insn),
    };

    if (insn->is_memory) {
        exit.qualification = reason == VMX_EXIT_INVLPG ?
                             vmx_operand_address(env, insn, NULL) :
                             insn->displacement;
    }
    vmx_exit(env, &exit, false, 0);
}

static G_NORETURN void vmx_exit_insn(CPUX86State *env, uint32_t reason,
                                     uintptr_t retaddr)
{
    VMXInsn insn;

    vmx_restore_insn(env, &insn, retaddr);
    vmx_exit_decoded(env, reason, &insn);
}

G_NORETURN void vmx_complete(CPUX86State *env, const VMXInsn *insn)
{
    CPUState *cs = env_cpu(env);

    vmx_pmu_retire(env, insn);
    env->eip += insn->length;
    if (!(env->hflags & HF_CS64_MASK)) {
        env->eip = (uint32_t)env->eip;
    }
    do_end_instruction(env);
    helper_rechecking_single_step(env);
    if (cs->singlestep_enabled) {
        cs->exception_index = EXCP_DEBUG;
        cpu_loop_exit(cs);
    }
    cpu_loop_exit_noexc(cs);
}

/* Control registers */

enum {
    VMX_CR_MOV_TO = 0,
    VMX_CR_MOV_FROM = 1,
    VMX_CR_CLTS = 2,
    VMX_CR_LMSW = 3,
};

#define VMX_CR_TYPE_SHIFT       4
#define VMX_CR_LMSW_MEMORY      (1 << 6)
#define VMX_CR_REGISTER_SHIFT   8
#define VMX_CR_LMSW_SHIFT       16

static G_NORETURN void vmx_exit_cr(CPUX86State *env, unsigned cr, unsigned type,
                                   const VMXInsn *insn, uint32_t more)
{
    VMXExit exit = {
        .reason = VMX_EXIT_CR_ACCESS,
        .insn_length = insn->length,
        .qualification = cr | type << VMX_CR_TYPE_SHIFT | more,
    };

    vmx_exit(env, &exit, false, 0);
}

static G_NORETURN void vmx_exit_mov_cr(CPUX86State *env, unsigned cr,
                                       unsigned type, const VMXInsn *insn)
{
    vmx_exit_cr(env, cr, type, insn, insn->rm << VMX_CR_REGISTER_SHIFT);
}

static void vmx_clts(CPUX86State *env, const VMXInsn *insn)
{
    if (vmx_control(env, VMCS_CR0_MASK) & CR0_TS_MASK) {
        if (vmx_control(env, VMCS_CR0_SHADOW) & CR0_TS_MASK) {
            vmx_exit_cr(env, 0, VMX_CR_CLTS, insn, 0);
        }
    } else {
        cpu_x86_update_cr0(env, env->cr[0] & ~CR0_TS_MASK);
    }
}

static void vmx_lmsw(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t mask = vmx_control(env, VMCS_CR0_MASK) & 0xf;
    uint64_t changed;
    uint32_t value, more;

    if (insn->is_memory) {
        more = VMX_CR_LMSW_MEMORY;
        value = cpu_lduw_mmuidx_ra(env, vmx_operand_address(env, insn, NULL),
                                   vmx_mmu_index(env), 0);
    } else {
        more = 0;
        value = (uint16_t)env->regs[insn->rm];
    }
    changed = (vmx_control(env, VMCS_CR0_SHADOW) ^ value) & mask;
    if ((changed & ~CR0_PE_MASK) || (changed & value & CR0_PE_MASK)) {
        vmx_exit_cr(env, 0, VMX_CR_LMSW, insn,
                    more | value << VMX_CR_LMSW_SHIFT);
    }
    value = (value & 0xf & ~mask) | (env->cr[0] & (mask | CR0_PE_MASK));
    helper_write_crN(env, 0, (env->cr[0] & ~0xfull) | value);
}

static uint64_t vmx_cr_operand(CPUX86State *env, const VMXInsn *insn)
{
    uint64_t value = env->regs[insn->rm];

    return env->hflags & HF_CS64_MASK ? value : (uint32_t)value;
}

/*
 * CR0 and CR4 with bits that are not the guest's: the instruction exits, or is
 * executed here, because TCG's code knows of no masks.
 */

static void vmx_write_masked(CPUX86State *env, unsigned cr, uintptr_t retaddr)
{
    uint64_t mask = vmx_control(env, cr ? VMCS_CR4_MASK : VMCS_CR0_MASK);
    uint64_t shadow = vmx_control(env, cr ? VMCS_CR4_SHADOW : VMCS_CR0_SHADOW);
    VMXInsn insn;

    if (!mask) {
        return;
    }
    vmx_restore_insn(env, &insn, retaddr);
    if (insn.opcode == 0x0f06) {
        vmx_clts(env, &insn);
    } else if (insn.opcode == 0x0f01) {
        vmx_lmsw(env, &insn);
    } else {
        uint64_t value = vmx_cr_operand(env, &insn);

        if ((value ^ shadow) & mask) {
            vmx_exit_mov_cr(env, cr, VMX_CR_MOV_TO, &insn);
        }
        value = (value & ~mask) | (env->cr[cr] & mask);
        helper_write_crN(env, cr, value);
    }
    vmx_complete(env, &insn);
}

static void vmx_set_register(CPUX86State *env, unsigned reg, uint64_t value,
                             unsigned size)
{
    if (size == MO_16) {
        env->regs[reg] = deposit64(env->regs[reg], 0, 16, value);
    } else {
        env->regs[reg] = size == MO_32 ? (uint32_t)value : value;
    }
}

static void vmx_read_masked(CPUX86State *env, unsigned cr, uintptr_t retaddr)
{
    uint64_t mask = vmx_control(env, cr ? VMCS_CR4_MASK : VMCS_CR0_MASK);
    uint64_t shadow = vmx_control(env, cr ? VMCS_CR4_SHADOW : VMCS_CR0_SHADOW);
    uint64_t value;
    VMXInsn insn;

    if (!mask) {
        return;
    }
    vmx_restore_insn(env, &insn, retaddr);
    value = (env->cr[cr] & ~mask) | (shadow & mask);
    if (insn.opcode != 0x0f01) {
        vmx_set_register(env, insn.rm, value,
                         env->hflags & HF_CS64_MASK ? MO_64 : MO_32);
    } else if (insn.is_memory) {
        cpu_stw_mmuidx_ra(env, vmx_operand_address(env, &insn, NULL), value,
                          vmx_mmu_index(env), 0);
    } else {
        vmx_set_register(env, insn.rm, value, insn.operand_size);
    }
    vmx_complete(env, &insn);
}

static void vmx_write_cr3(CPUX86State *env, uintptr_t retaddr)
{
    VMXInsn insn;
    uint64_t value;

    if (!(env->vmx.primary & VMX_CPU_BASED_CR3_LOAD_EXITING)) {
        return;
    }
    vmx_restore_insn(env, &insn, retaddr);
    value = vmx_cr_operand(env, &insn);
    for (unsigned i = 0; i < vmx_control(env, VMCS_CR3_TARGET_COUNT); i++) {
        if (value == vmx_control(env, VMCS_CR3_TARGET0 + 2 * i)) {
            helper_write_crN(env, 3, value);
            vmx_complete(env, &insn);
        }
    }
    vmx_exit_mov_cr(env, 3, VMX_CR_MOV_TO, &insn);
}

static void vmx_access_cr(CPUX86State *env, unsigned cr, unsigned type,
                          uint32_t control, uintptr_t retaddr)
{
    VMXInsn insn;

    if (env->vmx.primary & control) {
        vmx_restore_insn(env, &insn, retaddr);
        vmx_exit_mov_cr(env, cr, type, &insn);
    }
}

static void vmx_access_dr(CPUX86State *env, unsigned dr, bool is_read,
                          uintptr_t retaddr)
{
    VMXInsn insn;

    if ((env->vmx.primary & VMX_CPU_BASED_MOV_DR_EXITING) &&
        !((env->cr[4] & CR4_DE_MASK) && (dr == 4 || dr == 5))) {
        VMXExit exit = { .reason = VMX_EXIT_DR_ACCESS };

        vmx_restore_insn(env, &insn, retaddr);
        exit.insn_length = insn.length;
        exit.qualification = dr | is_read << 4 | insn.rm << 8;
        vmx_exit(env, &exit, false, 0);
    }
}

/* Exceptions */

static bool vmx_wants_exception(CPUX86State *env, unsigned vector,
                                uint32_t error_code)
{
    bool wanted = vmx_control(env, VMCS_EXCEPTION_BITMAP) >> vector & 1;
    bool matches = vector != EXCP0E_PAGE ||
                   (error_code & vmx_control(env, VMCS_PFEC_MASK)) ==
                   vmx_control(env, VMCS_PFEC_MATCH);

    return wanted == matches;
}

/* The rule of check_exception() */
static bool vmx_makes_double_fault(CPUX86State *env, unsigned vector)
{
    int first = env->old_exception;
    bool contributory = vector == 0 || (vector >= 10 && vector <= 13);

    return ((first == 0 || (first >= 10 && first <= 13)) && contributory) ||
           (first == EXCP0E_PAGE && (contributory || vector == EXCP0E_PAGE));
}

static G_NORETURN void vmx_exit_exception(CPUX86State *env, unsigned vector,
                                          unsigned type, uint32_t error_code,
                                          uint64_t qualification,
                                          uintptr_t retaddr)
{
    VMXExit exit = {
        .reason = VMX_EXIT_EXCEPTION_NMI,
        .event = vector | type << VMX_EVENT_TYPE_SHIFT | VMX_EVENT_VALID,
        .qualification = qualification,
    };

    if (type == VMX_TYPE_EXCEPTION && (env->cr[0] & CR0_PE_MASK) &&
        exception_has_error_code(vector)) {
        exit.event |= VMX_EVENT_HAS_ERROR;
        exit.error_code = error_code;
    }
    vmx_exit(env, &exit, type >= VMX_TYPE_SOFTWARE_INTERRUPT, retaddr);
}

#define VMX_DR6_CAUSES          (0xf | DR6_BD | DR6_BS)

uint64_t vmx_fresh_dr6(CPUX86State *env)
{
    if (!vmx_in_guest(env)) {
        return env->dr[6];
    }
    env->vmx.dr6 = env->dr[6];
    return env->dr[6] & ~VMX_DR6_CAUSES;
}

/*
 * A debug exception, whose causes DR6 has got already.  A VM exit reports them
 * and leaves DR6 and DR7.GD as they were; the guest finds the sticky ones, too.
 */
static void vmx_debug_exception(CPUX86State *env, uintptr_t retaddr)
{
    uint64_t causes = (env->dr[6] | env->vmx.pending_debug) & VMX_DR6_CAUSES;

    env->vmx.pending_debug = 0;
    if (!vmx_wants_exception(env, EXCP01_DB, 0)) {
        env->dr[6] |= causes | (env->vmx.dr6 & (DR6_BD | DR6_BS));
        return;
    }
    env->dr[6] = env->vmx.dr6;
    if (causes & DR6_BD) {
        env->dr[7] |= DR7_GD;
    }
    vmx_exit_exception(env, EXCP01_DB, VMX_TYPE_EXCEPTION, 0, causes, retaddr);
}

static void vmx_exception(CPUX86State *env, unsigned vector,
                          uint32_t error_code, uintptr_t retaddr)
{
    if (vector == EXCP01_DB) {
        vmx_debug_exception(env, retaddr);
    } else if (vmx_wants_exception(env, vector, error_code)) {
        vmx_exit_exception(env, vector, VMX_TYPE_EXCEPTION, error_code, 0,
                           retaddr);
    }
    if (vmx_makes_double_fault(env, vector) &&
        vmx_wants_exception(env, EXCP08_DBLE, 0)) {
        vmx_exit_exception(env, EXCP08_DBLE, VMX_TYPE_EXCEPTION, 0, 0, retaddr);
    }
}

void vmx_page_fault(CPUX86State *env, int error_code, uint64_t linear,
                    uintptr_t retaddr)
{
    if (vmx_wants_exception(env, EXCP0E_PAGE, error_code)) {
        vmx_exit_exception(env, EXCP0E_PAGE, VMX_TYPE_EXCEPTION, error_code,
                           linear, retaddr);
    }
}

/* INT3 and INTO; INT n itself never exits. */
static void vmx_software_interrupt(CPUX86State *env, uintptr_t retaddr)
{
    unsigned vector;
    VMXInsn insn;

    if (!(vmx_control(env, VMCS_EXCEPTION_BITMAP) &
          (1 << EXCP03_INT3 | 1 << EXCP04_INTO))) {
        return;
    }
    cpu_restore_state(env_cpu(env), retaddr);
    if (!vmx_decode(env, &insn, false)) {
        return;
    }
    vector = insn.opcode == 0xcc ? EXCP03_INT3 : EXCP04_INTO;
    if ((insn.opcode == 0xcc || insn.opcode == 0xce) &&
        vmx_wants_exception(env, vector, 0)) {
        vmx_exit_exception(env, vector, VMX_TYPE_SOFTWARE_EXCEPTION, 0, 0, 0);
    }
}

void vmx_triple_fault(CPUX86State *env, uintptr_t retaddr)
{
    VMXExit exit = { .reason = VMX_EXIT_TRIPLE_FAULT };

    vmx_exit(env, &exit, false, retaddr);
}

void vmx_delivery_begins(CPUX86State *env, int vector, bool is_int,
                         int error_code, bool is_hw, bool real_mode)
{
    uint32_t length = env->exception_next_eip - env->eip;
    unsigned type;

    if (env->vmx.injecting) {
        env->vmx.injecting = false;
        return;
    }
    if (is_int) {
        /* INT3 and INTO have one byte, INT n has two. */
        type = length == 1 ? VMX_TYPE_SOFTWARE_EXCEPTION :
                             VMX_TYPE_SOFTWARE_INTERRUPT;
    } else if (vector == EXCP02_NMI) {
        type = VMX_TYPE_NMI;
    } else {
        type = is_hw ? VMX_TYPE_EXTERNAL : VMX_TYPE_EXCEPTION;
    }
    env->vmx.event = vector | type << VMX_EVENT_TYPE_SHIFT | VMX_EVENT_VALID;
    env->vmx.event_length = length;
    if (type == VMX_TYPE_EXCEPTION && !real_mode &&
        exception_has_error_code(vector)) {
        env->vmx.event |= VMX_EVENT_HAS_ERROR;
        env->vmx.event_error = error_code;
    }
}

void vmx_delivery_ends(CPUX86State *env)
{
    env->vmx.event = 0;
}

void vmx_task_switch(CPUX86State *env, unsigned selector, int source,
                     uintptr_t retaddr)
{
    static const uint8_t sources[] = { 2, 1, 0 };   /* JMP, IRET, CALL */
    uint64_t from = env->vmx.event ? 3 : sources[source];
    VMXExit exit = {
        .reason = VMX_EXIT_TASK_SWITCH,
        .qualification = (selector & 0xffff) | from << 30,
    };

    vmx_exit(env, &exit, true, retaddr);
}

/* Instruction boundaries */

static bool vmx_is_open(CPUX86State *env)
{
    return (env->eflags & IF_MASK) && !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

static bool vmx_is_debug_due(CPUX86State *env)
{
    return env->vmx.pending_debug && !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

static bool vmx_is_nmi_window(CPUX86State *env)
{
    return (env->vmx.primary & VMX_CPU_BASED_VIRTUAL_NMI_PENDING) &&
           !(env->hflags2 & HF2_NMI_MASK) &&
           !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

int vmx_pending_interrupt(CPUX86State *env, int request)
{
    bool exits = env->vmx.pin & VMX_PIN_BASED_EXT_INTR_MASK;
    bool nmi_blocked = !(env->vmx.pin & VMX_PIN_BASED_VIRTUAL_NMIS) &&
                       (env->hflags2 & HF2_NMI_MASK);

    if ((request & CPU_INTERRUPT_SMI) && !(env->hflags & HF_SMM_MASK)) {
        return CPU_INTERRUPT_SMI;
    }
    if ((request & CPU_INTERRUPT_VMX) &&
        (env->vmx.exit_due || vmx_is_debug_due(env) ||
         vmx_is_nmi_window(env))) {
        return CPU_INTERRUPT_VMX;
    }
    if ((request & CPU_INTERRUPT_NMI) && !nmi_blocked) {
        return CPU_INTERRUPT_NMI;
    }
    if (request & CPU_INTERRUPT_MCE) {
        return CPU_INTERRUPT_MCE;
    }
    if ((request & CPU_INTERRUPT_VMX) && vmx_is_open(env) &&
        (env->vmx.primary & VMX_CPU_BASED_VIRTUAL_INTR_PENDING)) {
        return CPU_INTERRUPT_VMX;
    }
    if ((request & CPU_INTERRUPT_HARD) &&
        (exits ? !(env->hflags & HF_INHIBIT_IRQ_MASK) : vmx_is_open(env))) {
        return CPU_INTERRUPT_HARD;
    }
    return 0;
}

void vmx_exit_due(CPUX86State *env)
{
    env->vmx.exit_due = false;
    vmx_exit(env, &env->vmx.missed, false, 0);
}

/*
 * What exits here does not return to cpu_handle_interrupt(), which tells
 * record/replay of each interrupt.
 */

void vmx_boundary_exit(CPUX86State *env)
{
    replay_interrupt();
    if (env->vmx.exit_due) {
        vmx_exit_due(env);
    }
    if (vmx_is_debug_due(env)) {
        env->dr[6] = vmx_fresh_dr6(env);
        raise_exception(env, EXCP01_DB);
    }
    vmx_exit_event(env, vmx_is_nmi_window(env) ? VMX_EXIT_NMI_WINDOW :
                                                 VMX_EXIT_INTERRUPT_WINDOW, 0);
}

static void vmx_external_interrupt(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    uint32_t event = 0;

    if (!(env->vmx.pin & VMX_PIN_BASED_EXT_INTR_MASK)) {
        return;
    }
    replay_interrupt();
    if (vmx_control(env, VMCS_EXIT_CONTROLS) & VMX_VM_EXIT_ACK_INTR_ON_EXIT) {
        int vector;

        /* First, for fetching it may raise it again. */
        cpu_reset_interrupt(cs, CPU_INTERRUPT_HARD);
        vector = cpu_get_pic_interrupt(env);
        if (vector < 0) {
            cpu_loop_exit_noexc(cs);
        }
        event = vector | VMX_EVENT_VALID;
    }
    vmx_exit_event(env, VMX_EXIT_EXTERNAL_INTERRUPT, event);
}

static void vmx_nmi(CPUX86State *env)
{
    if (env->vmx.pin & VMX_PIN_BASED_NMI_EXITING) {
        replay_interrupt();
        cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_NMI);
        vmx_exit_event(env, VMX_EXIT_EXCEPTION_NMI,
                       EXCP02_NMI | VMX_TYPE_NMI << VMX_EVENT_TYPE_SHIFT |
                       VMX_EVENT_VALID);
    }
}

/* I/O and MSRs */

#define VMX_IO_IN               (1 << 3)
#define VMX_IO_STRING           (1 << 4)
#define VMX_IO_REP              (1 << 5)
#define VMX_IO_IMMEDIATE        (1 << 6)
#define VMX_IO_PORT_SHIFT       16

static bool vmx_wants_io(CPUX86State *env, uint32_t port, unsigned size)
{
    if (!(env->vmx.primary & VMX_CPU_BASED_USE_IO_BITMAPS)) {
        return env->vmx.primary & VMX_CPU_BASED_UNCOND_IO_EXITING;
    }
    if (port + size > 0x10000) {
        return true;
    }
    for (unsigned i = 0; i < size; i++) {
        uint64_t bitmap = vmx_control(env, VMCS_IO_BITMAP_A +
                                      ((port + i) >> 15) * 2);
        unsigned bit = (port + i) & 0x7fff;

        if (x86_ldub_phys(env_cpu(env), bitmap + bit / 8) >> (bit % 8) & 1) {
            return true;
        }
    }
    return false;
}

static uint64_t vmx_string_address(CPUX86State *env, const VMXInsn *insn,
                                   bool is_in)
{
    VMXInsn string = *insn;

    string.displacement = 0;
    string.index = -1;
    string.base = is_in ? R_EDI : R_ESI;
    if (is_in) {
        string.segment = R_ES;
    }
    return vmx_operand_address(env, &string, NULL);
}

void vmx_check_io(CPUX86State *env, uint32_t port, uint32_t param,
                  uintptr_t retaddr)
{
    unsigned size = param >> SVM_IOIO_SIZE_SHIFT & 7;
    bool is_in = param & SVM_IOIO_TYPE_MASK;
    VMXExit exit = { .reason = VMX_EXIT_IO };
    VMXInsn insn;

    if (!vmx_wants_io(env, port, size)) {
        return;
    }
    exit.qualification = (size - 1) | (is_in ? VMX_IO_IN : 0) |
                         (uint64_t)port << VMX_IO_PORT_SHIFT;
    if (vmx_decode(env, &insn, false)) {
        exit.insn_length = insn.length;
        if (insn.opcode >= 0x6c && insn.opcode <= 0x6f) {
            exit.qualification |= VMX_IO_STRING;
            if (insn.is_f2 || insn.is_f3) {
                exit.qualification |= VMX_IO_REP;
            }
            exit.insn_info = vmx_insn_info(&insn);
            exit.linear = vmx_string_address(env, &insn, is_in);
        } else if (insn.opcode <= 0xe7) {
            exit.qualification |= VMX_IO_IMMEDIATE;
        }
    }
    vmx_exit(env, &exit, false, retaddr);
}

static bool vmx_wants_msr(CPUX86State *env, uint32_t msr, bool is_write)
{
    uint64_t bitmap = vmx_control(env, VMCS_MSR_BITMAP) + (is_write ? 2048 : 0);

    if (!(env->vmx.primary & VMX_CPU_BASED_USE_MSR_BITMAPS)) {
        return true;
    }
    if (msr >= 0xc0000000 && msr <= 0xc0001fff) {
        bitmap += 1024;
    } else if (msr > 0x1fff) {
        return true;
    }
    msr &= 0x1fff;
    return x86_ldub_phys(env_cpu(env), bitmap + msr / 8) >> (msr % 8) & 1;
}

/* Other instructions */

static void vmx_rdtsc(CPUX86State *env, uintptr_t retaddr)
{
    bool has_rdtscp = env->vmx.secondary & VMX_SECONDARY_EXEC_RDTSCP;
    VMXInsn insn;

    if (has_rdtscp && !(env->vmx.primary & VMX_CPU_BASED_RDTSC_EXITING)) {
        return;
    }
    /* Both update RIP before they call the helper. */
    if (!vmx_decode(env, &insn, false)) {
        return;
    }
    if (insn.opcode == 0x0f01 && !has_rdtscp) {
        raise_exception_ra(env, EXCP06_ILLOP, retaddr);
    }
    if (env->vmx.primary & VMX_CPU_BASED_RDTSC_EXITING) {
        vmx_exit_insn(env, insn.opcode == 0x0f01 ? VMX_EXIT_RDTSCP :
                                                   VMX_EXIT_RDTSC, retaddr);
    }
}

/* Instructions that exit depending on nothing but a control */
static void vmx_check_insn(CPUX86State *env, uint32_t type, uintptr_t retaddr)
{
    static const struct {
        uint32_t type;
        uint32_t reason;
        uint32_t primary;
        uint32_t secondary;
        bool privileged;
    } insns[] = {
        { SVM_EXIT_CPUID, VMX_EXIT_CPUID },
        { SVM_EXIT_INVD, VMX_EXIT_INVD, .privileged = true },
        { SVM_EXIT_XSETBV, VMX_EXIT_XSETBV, .privileged = true },
        { SVM_EXIT_HLT, VMX_EXIT_HLT, VMX_CPU_BASED_HLT_EXITING },
        { SVM_EXIT_RDPMC, VMX_EXIT_RDPMC, VMX_CPU_BASED_RDPMC_EXITING },
        { SVM_EXIT_PAUSE, VMX_EXIT_PAUSE, VMX_CPU_BASED_PAUSE_EXITING },
        { SVM_EXIT_MONITOR, VMX_EXIT_MONITOR, VMX_CPU_BASED_MONITOR_EXITING },
        { SVM_EXIT_MWAIT, VMX_EXIT_MWAIT, VMX_CPU_BASED_MWAIT_EXITING },
        { SVM_EXIT_INVLPG, VMX_EXIT_INVLPG, VMX_CPU_BASED_INVLPG_EXITING },
        { SVM_EXIT_IDTR_READ, VMX_EXIT_GDTR_IDTR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_GDTR_READ, VMX_EXIT_GDTR_IDTR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_LDTR_READ, VMX_EXIT_LDTR_TR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_TR_READ, VMX_EXIT_LDTR_TR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_IDTR_WRITE, VMX_EXIT_GDTR_IDTR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_GDTR_WRITE, VMX_EXIT_GDTR_IDTR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_LDTR_WRITE, VMX_EXIT_LDTR_TR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_TR_WRITE, VMX_EXIT_LDTR_TR, 0, VMX_SECONDARY_EXEC_DESC },
        { SVM_EXIT_WBINVD, VMX_EXIT_WBINVD, 0,
          VMX_SECONDARY_EXEC_WBINVD_EXITING, true },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++) {
        if (insns[i].type != type) {
            continue;
        }
        if (insns[i].privileged && (env->hflags & HF_CPL_MASK)) {
            return;
        }
        if ((!insns[i].primary || (env->vmx.primary & insns[i].primary)) &&
            (!insns[i].secondary ||
             (env->vmx.secondary & insns[i].secondary))) {
            vmx_exit_insn(env, insns[i].reason, retaddr);
        }
        return;
    }
}

static void vmx_check_register(CPUX86State *env, uint32_t type,
                               uintptr_t retaddr)
{
    switch (type) {
    case SVM_EXIT_READ_CR0:
    case SVM_EXIT_READ_CR4:
        vmx_read_masked(env, type - SVM_EXIT_READ_CR0, retaddr);
        break;
    case SVM_EXIT_WRITE_CR0:
    case SVM_EXIT_WRITE_CR4:
        vmx_write_masked(env, type - SVM_EXIT_WRITE_CR0, retaddr);
        break;
    case SVM_EXIT_READ_CR3:
        vmx_access_cr(env, 3, VMX_CR_MOV_FROM, VMX_CPU_BASED_CR3_STORE_EXITING,
                      retaddr);
        break;
    case SVM_EXIT_WRITE_CR3:
        vmx_write_cr3(env, retaddr);
        break;
    case SVM_EXIT_READ_CR8:
        vmx_access_cr(env, 8, VMX_CR_MOV_FROM, VMX_CPU_BASED_CR8_STORE_EXITING,
                      retaddr);
        break;
    case SVM_EXIT_WRITE_CR8:
        vmx_access_cr(env, 8, VMX_CR_MOV_TO, VMX_CPU_BASED_CR8_LOAD_EXITING,
                      retaddr);
        break;
    case SVM_EXIT_READ_DR0 ... SVM_EXIT_READ_DR7:
        vmx_access_dr(env, type - SVM_EXIT_READ_DR0, true, retaddr);
        break;
    case SVM_EXIT_WRITE_DR0 ... SVM_EXIT_WRITE_DR7:
        vmx_access_dr(env, type - SVM_EXIT_WRITE_DR0, false, retaddr);
        break;
    default:
        vmx_check_insn(env, type, retaddr);
        break;
    }
}

void vmx_check_intercept(CPUX86State *env, uint32_t type, uint64_t param,
                         uintptr_t retaddr)
{
    switch (type) {
    case SVM_EXIT_EXCP_BASE ... SVM_EXIT_EXCP_BASE + 31:
        vmx_exception(env, type - SVM_EXIT_EXCP_BASE, param, retaddr);
        break;
    case SVM_EXIT_SWINT:
        vmx_software_interrupt(env, retaddr);
        break;
    case SVM_EXIT_ICEBP:
        if (vmx_wants_exception(env, EXCP01_DB, 0)) {
            vmx_exit_exception(env, EXCP01_DB, VMX_TYPE_PRIVILEGED_SOFTWARE, 0,
                               0, retaddr);
        }
        break;
    case SVM_EXIT_INTR:
        vmx_external_interrupt(env);
        break;
    case SVM_EXIT_NMI:
        vmx_nmi(env);
        break;
    case SVM_EXIT_INIT:
        cpu_reset_interrupt(env_cpu(env), CPU_INTERRUPT_INIT);
        vmx_exit_event(env, VMX_EXIT_INIT, 0);
    case SVM_EXIT_MSR:
        if (vmx_wants_msr(env, env->regs[R_ECX], param)) {
            vmx_exit_insn(env, param ? VMX_EXIT_WRMSR : VMX_EXIT_RDMSR,
                          retaddr);
        }
        break;
    case SVM_EXIT_RDTSC:
        vmx_rdtsc(env, retaddr);
        break;
    case SVM_EXIT_RDTSCP:
        if (!(env->vmx.secondary & VMX_SECONDARY_EXEC_RDTSCP)) {
            raise_exception_ra(env, EXCP06_ILLOP, retaddr);
        }
        break;
    default:
        vmx_check_register(env, type, retaddr);
        break;
    }
}
