/*
 * VMX for TCG: the checks of VM entry
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * In the order of SDM volume 3, "Checks on VMX Controls and Host-State Area"
 * and "Checking and Loading Guest State".
 */
#include "qemu/osdep.h"
#include "internal.h"
#include "tcg/helper-tcg.h"
#include "trace.h"

/* A check of VM entry: where it fails, the trace says which one it was. */
#define REQUIRE(condition)                                              \
    do {                                                                \
        if (!(condition)) {                                             \
            trace_vmx_invalid(env_cpu(env)->cpu_index, __func__,        \
                              __LINE__);                                \
            return false;                                               \
        }                                                               \
    } while (0)

static bool vmx_is_allowed_by(CPUX86State *env, uint32_t msr, uint32_t controls)
{
    uint64_t allowed = vmx_control_msr(env, msr);

    return !((uint32_t)allowed & ~controls) && !(controls & ~(allowed >> 32));
}

static bool vmx_is_long(const VMXVmcs *vmcs)
{
    return vmcs_get(vmcs, VMCS_ENTRY_CONTROLS) & VMX_VM_ENTRY_IA32E_MODE;
}

static bool vmx_is_unrestricted(const VMXVmcs *vmcs)
{
    return vmx_secondary(vmcs) & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST;
}

/* An MSR list of @count entries at @address */
static bool vmx_check_list(CPUX86State *env, uint64_t address, uint32_t count)
{
    uint64_t last = address + (uint64_t)count * 16 - 1;

    if (count) {
        REQUIRE(!(address & 0xf));
        REQUIRE(!(address >> env_archcpu(env)->phys_bits));
        REQUIRE(!(last >> env_archcpu(env)->phys_bits));
    }
    return true;
}

static bool vmx_check_execution(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t pin = vmcs_get(vmcs, VMCS_PIN_CONTROLS);
    uint32_t primary = vmcs_get(vmcs, VMCS_PRIMARY_CONTROLS);
    uint32_t secondary = vmx_secondary(vmcs);

    REQUIRE(vmx_is_allowed_by(env, MSR_IA32_VMX_TRUE_PINBASED_CTLS, pin));
    REQUIRE(vmx_is_allowed_by(env, MSR_IA32_VMX_TRUE_PROCBASED_CTLS, primary));
    REQUIRE(vmx_is_allowed_by(env, MSR_IA32_VMX_PROCBASED_CTLS2, secondary));
    REQUIRE(vmcs_get(vmcs, VMCS_CR3_TARGET_COUNT) <= VMX_NR_CR3_TARGETS);
    if (primary & VMX_CPU_BASED_USE_IO_BITMAPS) {
        REQUIRE(vmx_is_page(env, vmcs_get(vmcs, VMCS_IO_BITMAP_A)));
        REQUIRE(vmx_is_page(env, vmcs_get(vmcs, VMCS_IO_BITMAP_B)));
    }
    if (primary & VMX_CPU_BASED_USE_MSR_BITMAPS) {
        REQUIRE(vmx_is_page(env, vmcs_get(vmcs, VMCS_MSR_BITMAP)));
    }
    if (!(pin & VMX_PIN_BASED_NMI_EXITING)) {
        REQUIRE(!(pin & VMX_PIN_BASED_VIRTUAL_NMIS));
    }
    if (!(pin & VMX_PIN_BASED_VIRTUAL_NMIS)) {
        REQUIRE(!(primary & VMX_CPU_BASED_VIRTUAL_NMI_PENDING));
    }
    if (secondary & VMX_SECONDARY_EXEC_ENABLE_VPID) {
        REQUIRE(vmcs_get(vmcs, VMCS_VPID));
    }
    if (secondary & VMX_SECONDARY_EXEC_ENABLE_EPT) {
        REQUIRE(vmx_is_eptp(env, vmcs_get(vmcs, VMCS_EPT_PTR)));
    } else {
        REQUIRE(!(secondary & VMX_SECONDARY_EXEC_UNRESTRICTED_GUEST));
    }
    return true;
}

static bool vmx_check_exit(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_EXIT_CONTROLS);

    REQUIRE(vmx_is_allowed_by(env, MSR_IA32_VMX_TRUE_EXIT_CTLS, controls));
    return vmx_check_list(env, vmcs_get(vmcs, VMCS_EXIT_MSR_STORE_ADDR),
                          vmcs_get(vmcs, VMCS_EXIT_MSR_STORE_COUNT)) &&
           vmx_check_list(env, vmcs_get(vmcs, VMCS_EXIT_MSR_LOAD_ADDR),
                          vmcs_get(vmcs, VMCS_EXIT_MSR_LOAD_COUNT));
}

/* The event that is to be injected, SDM volume 3, 27.2.1.3 */
static bool vmx_check_event(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t event = vmcs_get(vmcs, VMCS_ENTRY_EVENT);
    uint32_t length = vmcs_get(vmcs, VMCS_ENTRY_INSN_LENGTH);
    unsigned vector = event & VMX_EVENT_VECTOR;
    unsigned type = vmx_event_type(event);
    bool unrestricted = vmx_is_unrestricted(vmcs);
    bool is_real = unrestricted &&
                   !(vmcs_get(vmcs, VMCS_GUEST_CR0) & CR0_PE_MASK);

    if (!(event & VMX_EVENT_VALID)) {
        return true;
    }
    REQUIRE(type != 1 && type != 7);
    REQUIRE(type != VMX_TYPE_NMI || vector == EXCP02_NMI);
    REQUIRE(type != VMX_TYPE_EXCEPTION || vector <= 31);
    REQUIRE(!!(event & VMX_EVENT_HAS_ERROR) ==
            (!is_real && type == VMX_TYPE_EXCEPTION &&
             exception_has_error_code(vector)));
    REQUIRE(!(event & 0x7ffff000));
    if (event & VMX_EVENT_HAS_ERROR) {
        REQUIRE(!(vmcs_get(vmcs, VMCS_ENTRY_ERROR_CODE) >> 16));
    }
    if (type >= VMX_TYPE_SOFTWARE_INTERRUPT) {
        REQUIRE(length >= 1 && length <= 15);
    }
    return true;
}

static bool vmx_check_entry(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_ENTRY_CONTROLS);

    REQUIRE(vmx_is_allowed_by(env, MSR_IA32_VMX_TRUE_ENTRY_CTLS, controls));
    return vmx_check_event(env, vmcs) &&
           vmx_check_list(env, vmcs_get(vmcs, VMCS_ENTRY_MSR_LOAD_ADDR),
                          vmcs_get(vmcs, VMCS_ENTRY_MSR_LOAD_COUNT));
}

bool vmx_check_controls(CPUX86State *env, const VMXVmcs *vmcs)
{
    return vmx_check_execution(env, vmcs) && vmx_check_exit(env, vmcs) &&
           vmx_check_entry(env, vmcs);
}

/* What host and guest have in common */

static bool vmx_check_crs(CPUX86State *env, uint64_t cr0, uint64_t cr3,
                         uint64_t cr4, uint64_t cr0_fixed0)
{
    REQUIRE(!(cr0_fixed0 & ~cr0) && !(cr0 & ~VMX_CR0_FIXED1));
    REQUIRE((cr0 & CR0_PE_MASK) || !(cr0 & CR0_PG_MASK));
    REQUIRE(!(VMX_CR4_FIXED0 & ~cr4) && !(cr4 & cr4_reserved_bits(env)));
    REQUIRE(!(cr3 >> env_archcpu(env)->phys_bits));
    return true;
}

static bool vmx_check_pat(CPUX86State *env, uint64_t pat)
{
    for (unsigned i = 0; i < 8; i++) {
        unsigned type = pat >> (8 * i) & 0xff;

        REQUIRE(type < 8 && type != 2 && type != 3);
    }
    return true;
}

static bool vmx_check_efer(CPUX86State *env, uint64_t efer, bool is_long,
                           bool has_paging)
{
    REQUIRE(!(efer & ~(MSR_EFER_SCE | MSR_EFER_LME | MSR_EFER_LMA |
                       MSR_EFER_NXE)));
    REQUIRE(!!(efer & MSR_EFER_LMA) == is_long);
    REQUIRE(!has_paging || !!(efer & MSR_EFER_LME) == is_long);
    return true;
}

/* The host's state, SDM volume 3, 27.2.2 to 27.2.4 */

static bool vmx_check_host_msrs(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_EXIT_CONTROLS);
    bool is_64 = controls & VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;

    REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, VMCS_HOST_SYSENTER_ESP)));
    REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, VMCS_HOST_SYSENTER_EIP)));
    if (controls & VMX_VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL) {
        REQUIRE(vmx_pmu_is_global_ctrl(env,
                    vmcs_get(vmcs, VMCS_HOST_PERF_GLOBAL_CTRL)));
    }
    if (controls & VMX_VM_EXIT_LOAD_IA32_PAT) {
        REQUIRE(vmx_check_pat(env, vmcs_get(vmcs, VMCS_HOST_PAT)));
    }
    if (controls & VMX_VM_EXIT_LOAD_IA32_EFER) {
        REQUIRE(vmx_check_efer(env, vmcs_get(vmcs, VMCS_HOST_EFER), is_64,
                               true));
    }
    return true;
}

bool vmx_check_host(CPUX86State *env, const VMXVmcs *vmcs)
{
    bool is_64 = vmcs_get(vmcs, VMCS_EXIT_CONTROLS) &
                 VMX_VM_EXIT_HOST_ADDR_SPACE_SIZE;
    bool is_long = vmx_is_long(vmcs);
    uint64_t cr4 = vmcs_get(vmcs, VMCS_HOST_CR4);
    uint64_t rip = vmcs_get(vmcs, VMCS_HOST_RIP);

    REQUIRE(vmx_check_crs(env, vmcs_get(vmcs, VMCS_HOST_CR0),
                         vmcs_get(vmcs, VMCS_HOST_CR3), cr4, VMX_CR0_FIXED0));
    REQUIRE(vmx_check_host_msrs(env, vmcs));
    for (unsigned i = 0; i < 7; i++) {
        REQUIRE(!(vmcs_get(vmcs, VMCS_HOST_ES_SEL + i * 2) & 7));
    }
    REQUIRE(vmcs_get(vmcs, VMCS_HOST_CS_SEL));
    REQUIRE(vmcs_get(vmcs, VMCS_HOST_TR_SEL));
    REQUIRE(is_64 || vmcs_get(vmcs, VMCS_HOST_SS_SEL));
    for (unsigned field = VMCS_HOST_FS_BASE; field <= VMCS_HOST_IDTR_BASE;
         field += 2) {
        REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, field)));
    }
    REQUIRE(!!(env->efer & MSR_EFER_LMA) == is_64);
    REQUIRE(is_64 || !is_long);
    REQUIRE(is_64 ? cr4 & CR4_PAE_MASK : !(cr4 & CR4_PCIDE_MASK));
    REQUIRE(is_64 ? vmx_is_canonical(env, rip) : !(rip >> 32));
    return true;
}

/* The guest's state, SDM volume 3, 27.3.1 */

static bool vmx_check_guest_registers(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint32_t controls = vmcs_get(vmcs, VMCS_ENTRY_CONTROLS);
    bool is_long = vmx_is_long(vmcs);
    bool unrestricted = vmx_is_unrestricted(vmcs);
    uint64_t cr0 = vmcs_get(vmcs, VMCS_GUEST_CR0);
    uint64_t cr4 = vmcs_get(vmcs, VMCS_GUEST_CR4);

    REQUIRE(vmx_check_crs(env, cr0, vmcs_get(vmcs, VMCS_GUEST_CR3), cr4,
                         unrestricted ? CR0_NE_MASK : VMX_CR0_FIXED0));
    if (is_long) {
        REQUIRE((cr0 & CR0_PG_MASK) && (cr4 & CR4_PAE_MASK));
    } else {
        REQUIRE(!(cr4 & CR4_PCIDE_MASK));
    }
    if (controls & VMX_VM_ENTRY_LOAD_DEBUG_CONTROLS) {
        REQUIRE(!(vmcs_get(vmcs, VMCS_GUEST_DEBUGCTL) & ~0xdfc3ull));
        REQUIRE(!(vmcs_get(vmcs, VMCS_GUEST_DR7) >> 32));
    }
    REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, VMCS_GUEST_SYSENTER_ESP)));
    REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, VMCS_GUEST_SYSENTER_EIP)));
    if (controls & VMX_VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL) {
        REQUIRE(vmx_pmu_is_global_ctrl(env,
                    vmcs_get(vmcs, VMCS_GUEST_PERF_GLOBAL_CTRL)));
    }
    if (controls & VMX_VM_ENTRY_LOAD_IA32_PAT) {
        REQUIRE(vmx_check_pat(env, vmcs_get(vmcs, VMCS_GUEST_PAT)));
    }
    if (controls & VMX_VM_ENTRY_LOAD_IA32_EFER) {
        REQUIRE(vmx_check_efer(env, vmcs_get(vmcs, VMCS_GUEST_EFER), is_long,
                               cr0 & CR0_PG_MASK));
    }
    return true;
}

/* A segment register as VM entry sees it */
typedef struct CheckedSegment {
    uint16_t selector;
    uint32_t rights;
    uint32_t limit;
    uint64_t base;
    bool usable;
    unsigned type;
    unsigned dpl;
} CheckedSegment;

static CheckedSegment vmx_segment(const VMXVmcs *vmcs, unsigned n)
{
    uint32_t rights = vmcs_get(vmcs, VMCS_GUEST_ES_RIGHTS + n * 2);

    return (CheckedSegment) {
        .selector = vmcs_get(vmcs, VMCS_GUEST_ES_SEL + n * 2),
        .base = vmcs_get(vmcs, VMCS_GUEST_ES_BASE + n * 2),
        .limit = vmcs_get(vmcs, VMCS_GUEST_ES_LIMIT + n * 2),
        .rights = rights,
        .usable = !(rights & VMX_AR_UNUSABLE),
        .type = rights & VMX_AR_TYPE,
        .dpl = rights >> VMX_AR_DPL_SHIFT & 3,
    };
}

/* Present, no reserved bit, and a limit that fits its granularity */
static bool vmx_check_rights(CPUX86State *env, const CheckedSegment *segment,
                             bool is_system)
{
    bool granular = segment->rights & VMX_AR_G;

    REQUIRE(!(segment->rights & VMX_AR_S) == is_system);
    REQUIRE(segment->rights & VMX_AR_P);
    REQUIRE(!(segment->rights & VMX_AR_RESERVED));
    REQUIRE((segment->limit & 0xfff) == 0xfff || !granular);
    REQUIRE(!(segment->limit >> 20) || granular);
    return true;
}

static bool vmx_check_v86_segments(CPUX86State *env, const VMXVmcs *vmcs)
{
    for (unsigned i = 0; i < 6; i++) {
        CheckedSegment segment = vmx_segment(vmcs, i);

        REQUIRE(segment.base == (uint64_t)segment.selector << 4);
        REQUIRE(segment.limit == 0xffff);
        REQUIRE(segment.rights == 0xf3);
    }
    return true;
}

static bool vmx_check_code(CPUX86State *env, const VMXVmcs *vmcs,
                           bool unrestricted)
{
    CheckedSegment cs = vmx_segment(vmcs, R_CS);
    CheckedSegment ss = vmx_segment(vmcs, R_SS);
    bool is_long = vmx_is_long(vmcs);

    REQUIRE(!(cs.base >> 32));
    REQUIRE(cs.usable && vmx_check_rights(env, &cs, false));
    switch (cs.type) {
    case 3:
        REQUIRE(unrestricted && cs.dpl == 0);
        break;
    case 9:
    case 11:
        REQUIRE(cs.dpl == ss.dpl);
        break;
    case 13:
    case 15:
        REQUIRE(cs.dpl <= ss.dpl);
        break;
    default:
        REQUIRE(false);
    }
    REQUIRE(!is_long || !(cs.rights & VMX_AR_L) || !(cs.rights & VMX_AR_DB));

    REQUIRE(unrestricted || !((ss.selector ^ cs.selector) & 3));
    REQUIRE(unrestricted || ss.dpl == (ss.selector & 3));
    if (cs.type == 3 || !(vmcs_get(vmcs, VMCS_GUEST_CR0) & CR0_PE_MASK)) {
        REQUIRE(ss.dpl == 0);
    }
    if (ss.usable) {
        REQUIRE(!(ss.base >> 32));
        REQUIRE(ss.type == 3 || ss.type == 7);
        REQUIRE(vmx_check_rights(env, &ss, false));
    }
    return true;
}

static bool vmx_check_data(CPUX86State *env, const VMXVmcs *vmcs, unsigned n,
                           bool unrestricted)
{
    CheckedSegment segment = vmx_segment(vmcs, n);

    REQUIRE(n < R_FS || vmx_is_canonical(env, segment.base));
    if (!segment.usable) {
        return true;
    }
    REQUIRE(n >= R_FS || !(segment.base >> 32));
    REQUIRE((segment.type & 1) && ((segment.type & 10) != 8));
    REQUIRE(unrestricted || segment.type > 11 ||
            segment.dpl >= (segment.selector & 3));
    return vmx_check_rights(env, &segment, false);
}

static bool vmx_check_segments(CPUX86State *env, const VMXVmcs *vmcs)
{
    bool unrestricted = vmx_is_unrestricted(vmcs);
    bool is_long = vmx_is_long(vmcs);
    CheckedSegment tr = vmx_segment(vmcs, 7);
    CheckedSegment ldtr = vmx_segment(vmcs, 6);

    if (vmcs_get(vmcs, VMCS_GUEST_RFLAGS) & VM_MASK) {
        REQUIRE(vmx_check_v86_segments(env, vmcs));
    } else {
        REQUIRE(vmx_check_code(env, vmcs, unrestricted));
        REQUIRE(vmx_check_data(env, vmcs, R_DS, unrestricted));
        REQUIRE(vmx_check_data(env, vmcs, R_ES, unrestricted));
        REQUIRE(vmx_check_data(env, vmcs, R_FS, unrestricted));
        REQUIRE(vmx_check_data(env, vmcs, R_GS, unrestricted));
    }
    REQUIRE(!(tr.selector & 4) && vmx_is_canonical(env, tr.base));
    REQUIRE(tr.type == 11 || (tr.type == 3 && !is_long));
    REQUIRE(tr.usable && vmx_check_rights(env, &tr, true));
    if (ldtr.usable) {
        REQUIRE(!(ldtr.selector & 4) && vmx_is_canonical(env, ldtr.base));
        REQUIRE(ldtr.type == 2 && vmx_check_rights(env, &ldtr, true));
    }
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(vmx_is_canonical(env, vmcs_get(vmcs, VMCS_GUEST_GDTR_BASE +
                                               i * 2)));
        REQUIRE(!(vmcs_get(vmcs, VMCS_GUEST_GDTR_LIMIT + i * 2) >> 16));
    }
    return true;
}

static bool vmx_check_rip(CPUX86State *env, const VMXVmcs *vmcs)
{
    bool is_long = vmx_is_long(vmcs);
    uint32_t cs = vmcs_get(vmcs, VMCS_GUEST_ES_RIGHTS + R_CS * 2);
    uint64_t rip = vmcs_get(vmcs, VMCS_GUEST_RIP);
    uint64_t rflags = vmcs_get(vmcs, VMCS_GUEST_RFLAGS);

    REQUIRE(is_long && (cs & VMX_AR_L) ? vmx_is_canonical(env, rip) :
                                         !(rip >> 32));
    REQUIRE(!(rflags & 0xffffffffffc08028ull) && (rflags & 2));
    REQUIRE(!(rflags & VM_MASK) ||
            (!is_long && (vmcs_get(vmcs, VMCS_GUEST_CR0) & CR0_PE_MASK)));
    return true;
}

static bool vmx_check_activity(CPUX86State *env, const VMXVmcs *vmcs,
                               uint32_t event)
{
    uint32_t activity = vmcs_get(vmcs, VMCS_GUEST_ACTIVITY);
    uint32_t blocking = vmcs_get(vmcs, VMCS_GUEST_BLOCKING);
    unsigned type = vmx_event_type(event);
    unsigned vector = event & VMX_EVENT_VECTOR;

    if (activity == VMX_ACTIVITY_ACTIVE) {
        return true;
    }
    REQUIRE(activity == VMX_ACTIVITY_HLT &&
            (env->features[FEAT_VMX_MISC] & MSR_VMX_MISC_ACTIVITY_HLT));
    REQUIRE(vmx_segment(vmcs, R_SS).dpl == 0);
    REQUIRE(!(blocking & (VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS)));
    REQUIRE(!event || type == VMX_TYPE_EXTERNAL || type == VMX_TYPE_NMI ||
            (type == VMX_TYPE_EXCEPTION &&
             (vector == EXCP01_DB || vector == EXCP12_MCHK)));
    return true;
}

static bool vmx_check_blocking(CPUX86State *env, const VMXVmcs *vmcs,
                               uint32_t event)
{
    uint32_t blocking = vmcs_get(vmcs, VMCS_GUEST_BLOCKING);
    bool by_sti = blocking & VMX_BLOCKED_BY_STI;
    bool by_mov_ss = blocking & VMX_BLOCKED_BY_MOV_SS;
    bool has_if = vmcs_get(vmcs, VMCS_GUEST_RFLAGS) & IF_MASK;
    unsigned type = vmx_event_type(event);

    REQUIRE(!(blocking & ~(VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS |
                           VMX_BLOCKED_BY_NMI)));
    REQUIRE(!(by_sti && by_mov_ss) && (!by_sti || has_if));
    if (event && type == VMX_TYPE_EXTERNAL) {
        REQUIRE(!by_sti && !by_mov_ss && has_if);
    }
    if (event && type == VMX_TYPE_NMI) {
        REQUIRE(!by_mov_ss);
        REQUIRE(!(blocking & VMX_BLOCKED_BY_NMI) ||
                !(vmcs_get(vmcs, VMCS_PIN_CONTROLS) &
                  VMX_PIN_BASED_VIRTUAL_NMIS));
    }
    return true;
}

static bool vmx_check_pending_debug(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint64_t pending = vmcs_get(vmcs, VMCS_GUEST_PENDING_DEBUG);
    bool is_stepping = (vmcs_get(vmcs, VMCS_GUEST_RFLAGS) & TF_MASK) &&
                       !(vmcs_get(vmcs, VMCS_GUEST_DEBUGCTL) & 2);

    REQUIRE(!(pending & ~(uint64_t)(0xf | VMX_DEBUG_ENABLED | DR6_BS)));
    if (vmcs_get(vmcs, VMCS_GUEST_ACTIVITY) == VMX_ACTIVITY_HLT ||
        (vmcs_get(vmcs, VMCS_GUEST_BLOCKING) &
         (VMX_BLOCKED_BY_STI | VMX_BLOCKED_BY_MOV_SS))) {
        REQUIRE(!!(pending & DR6_BS) == is_stepping);
    }
    return true;
}

static bool vmx_check_link(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint64_t link = vmcs_get(vmcs, VMCS_LINK_PTR);

    REQUIRE(link == UINT64_MAX ||
            (vmx_is_page(env, link) && link != env->vmx.vmcs &&
             x86_ldl_phys(env_cpu(env), link) == VMCS_REVISION));
    return true;
}

static bool vmx_check_pdptes(CPUX86State *env, const VMXVmcs *vmcs)
{
    uint64_t pdptes[4];

    if (!(vmcs_get(vmcs, VMCS_GUEST_CR0) & CR0_PG_MASK) ||
        !(vmcs_get(vmcs, VMCS_GUEST_CR4) & CR4_PAE_MASK) ||
        vmx_is_long(vmcs)) {
        return true;
    }
    if (!(vmx_secondary(vmcs) & VMX_SECONDARY_EXEC_ENABLE_EPT)) {
        REQUIRE(vmx_load_pdptes(env, vmcs_get(vmcs, VMCS_GUEST_CR3), 0));
        return true;
    }
    for (unsigned i = 0; i < 4; i++) {
        pdptes[i] = vmcs_get(vmcs, VMCS_GUEST_PDPTE0 + i * 2);
    }
    REQUIRE(vmx_set_pdptes(env, pdptes));
    return true;
}

bool vmx_check_guest(CPUX86State *env, const VMXVmcs *vmcs,
                     uint64_t *qualification)
{
    uint32_t event = vmcs_get(vmcs, VMCS_ENTRY_EVENT);

    event = event & VMX_EVENT_VALID ? event : 0;
    *qualification = 0;
    if (!vmx_check_guest_registers(env, vmcs) ||
        !vmx_check_segments(env, vmcs) || !vmx_check_rip(env, vmcs) ||
        !vmx_check_activity(env, vmcs, event) ||
        !vmx_check_blocking(env, vmcs, event) ||
        !vmx_check_pending_debug(env, vmcs)) {
        return false;
    }
    if (!vmx_check_link(env, vmcs)) {
        *qualification = VMX_QUAL_LINK;
        return false;
    }
    if (!vmx_check_pdptes(env, vmcs)) {
        *qualification = VMX_QUAL_PDPTE;
        return false;
    }
    return true;
}
