/*
 * VMX for TCG: access to the VMCS
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The VMCS is in guest memory and always up to date there, so it migrates as
 * any memory and VMCLEAR has nothing to write back.
 */
#include "qemu/osdep.h"
#include "exec/address-spaces.h"
#include "internal.h"

QEMU_BUILD_BUG_ON(VMCS_SLOTS_OFFSET + sizeof(VMXVmcs) > TARGET_PAGE_SIZE);
QEMU_BUILD_BUG_ON(VMCS_CONTROL || VMX_NR_CONTROLS != VMCS_SLOTS_PER_TYPE);
QEMU_BUILD_BUG_ON(VMCS_GUEST != VMCS_READ_ONLY + 1);

static hwaddr vmcs_address(CPUX86State *env, unsigned slot)
{
    return env->vmx.vmcs + VMCS_SLOTS_OFFSET + slot * 8;
}

static AddressSpace *vmcs_space(CPUX86State *env)
{
    return cpu_addressspace(env_cpu(env), cpu_get_mem_attrs(env));
}

void vmcs_load(CPUX86State *env, VMXVmcs *vmcs)
{
    /* What cannot be read must not be what the stack had. */
    if (address_space_read(vmcs_space(env), vmcs_address(env, 0),
                           cpu_get_mem_attrs(env), vmcs->slot,
                           sizeof(vmcs->slot)) != MEMTX_OK) {
        memset(vmcs->slot, 0, sizeof(vmcs->slot));
    }
}

void vmcs_store_exit(CPUX86State *env, const VMXVmcs *vmcs)
{
    unsigned first = VMCS_READ_ONLY * VMCS_SLOTS_PER_TYPE;

    address_space_write(vmcs_space(env), vmcs_address(env, first),
                        cpu_get_mem_attrs(env), &vmcs->slot[first],
                        2 * VMCS_SLOTS_PER_TYPE * sizeof(vmcs->slot[0]));
}

void vmcs_write(CPUX86State *env, uint32_t field, uint64_t value)
{
    x86_stq_phys(env_cpu(env), vmcs_address(env, vmcs_slot(field)), value);
}

bool vmcs_launched(CPUX86State *env)
{
    return x86_ldl_phys(env_cpu(env), env->vmx.vmcs + VMCS_LAUNCHED_OFFSET);
}

void vmcs_set_launched(CPUX86State *env, uint64_t vmcs, bool launched)
{
    x86_stl_phys(env_cpu(env), vmcs + VMCS_LAUNCHED_OFFSET, launched);
}

#define ONE(field)          (1u << VMCS_FIELD_INDEX(field))
#define UP_TO(first, last) \
    (ONE(last) | (ONE(last) - ONE(first)))

/* The fields that exist, by type and width: bits are indices. */
static const uint32_t vmcs_fields[4][4] = {
    [VMCS_CONTROL] = {
        [VMCS_16] = ONE(VMCS_VPID),
        [VMCS_64] = UP_TO(VMCS_IO_BITMAP_A, VMCS_EXECUTIVE_VMCS_PTR) |
                    ONE(VMCS_TSC_OFFSET) | ONE(VMCS_EPT_PTR),
        [VMCS_32] = UP_TO(VMCS_PIN_CONTROLS, VMCS_ENTRY_INSN_LENGTH) |
                    ONE(VMCS_SECONDARY_CONTROLS),
        [VMCS_NATURAL] = UP_TO(VMCS_CR0_MASK, VMCS_CR3_TARGET0 + 6),
    },
    [VMCS_READ_ONLY] = {
        [VMCS_64] = ONE(VMCS_GUEST_PHYS_ADDR),
        [VMCS_32] = UP_TO(VMCS_INSN_ERROR, VMCS_EXIT_INSN_INFO),
        [VMCS_NATURAL] = UP_TO(VMCS_EXIT_QUALIFICATION,
                               VMCS_GUEST_LINEAR_ADDR),
    },
    [VMCS_GUEST] = {
        [VMCS_16] = UP_TO(VMCS_GUEST_ES_SEL, VMCS_GUEST_TR_SEL),
        [VMCS_64] = UP_TO(VMCS_LINK_PTR, VMCS_GUEST_PDPTE0 + 6),
        [VMCS_32] = UP_TO(VMCS_GUEST_ES_LIMIT, VMCS_GUEST_SYSENTER_CS),
        [VMCS_NATURAL] = UP_TO(VMCS_GUEST_CR0, VMCS_GUEST_SYSENTER_EIP),
    },
    [VMCS_HOST] = {
        [VMCS_16] = UP_TO(VMCS_HOST_ES_SEL, VMCS_HOST_TR_SEL),
        [VMCS_64] = UP_TO(VMCS_HOST_PAT, VMCS_HOST_PERF_GLOBAL_CTRL),
        [VMCS_32] = ONE(VMCS_HOST_SYSENTER_CS),
        [VMCS_NATURAL] = UP_TO(VMCS_HOST_CR0, VMCS_HOST_RIP),
    },
};

/* Of fields that depend on a feature, whether it is there */
static bool vmcs_has_feature(CPUX86State *env, uint32_t field)
{
    uint32_t secondary = env->features[FEAT_VMX_SECONDARY_CTLS];

    switch (field & ~VMCS_FIELD_HIGH) {
    case VMCS_VPID:
        return secondary & VMX_SECONDARY_EXEC_ENABLE_VPID;
    case VMCS_EPT_PTR:
    case VMCS_GUEST_PHYS_ADDR:
    case VMCS_GUEST_PDPTE0 ... VMCS_GUEST_PDPTE0 + 6:
        return secondary & VMX_SECONDARY_EXEC_ENABLE_EPT;
    case VMCS_SECONDARY_CONTROLS:
        return env->features[FEAT_VMX_PROCBASED_CTLS] &
               VMX_CPU_BASED_ACTIVATE_SECONDARY_CONTROLS;
    case VMCS_GUEST_PERF_GLOBAL_CTRL:
        return env->features[FEAT_VMX_ENTRY_CTLS] &
               VMX_VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL;
    case VMCS_HOST_PERF_GLOBAL_CTRL:
        return env->features[FEAT_VMX_EXIT_CTLS] &
               VMX_VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL;
    default:
        return true;
    }
}

static bool vmcs_exists(CPUX86State *env, uint64_t field)
{
    unsigned index = VMCS_FIELD_INDEX(field);
    unsigned width = VMCS_FIELD_WIDTH(field);

    return !(field & VMCS_FIELD_RESERVED) && index <= VMCS_MAX_INDEX &&
           (vmcs_fields[VMCS_FIELD_TYPE(field)][width] >> index & 1) &&
           (!(field & VMCS_FIELD_HIGH) || width == VMCS_64) &&
           vmcs_has_feature(env, field);
}

void vmcs_set_abort(CPUX86State *env, uint32_t why)
{
    x86_stl_phys(env_cpu(env), env->vmx.vmcs + VMCS_ABORT_OFFSET, why);
}

static uint64_t vmcs_width_mask(CPUX86State *env, uint32_t field)
{
    switch (VMCS_FIELD_WIDTH(field)) {
    case VMCS_16:
        return UINT16_MAX;
    case VMCS_32:
        return UINT32_MAX;
    default:
        return UINT64_MAX;
    }
}

VMXError vmcs_access(CPUX86State *env, uint64_t field, uint64_t *value,
                     bool write)
{
    CPUState *cs = env_cpu(env);
    hwaddr address;

    if (!vmcs_exists(env, field)) {
        return VMX_ERR_FIELD;
    }
    if (write && VMCS_FIELD_TYPE(field) == VMCS_READ_ONLY) {
        return VMX_ERR_READ_ONLY;
    }
    address = vmcs_address(env, vmcs_slot(field));
    if (field & VMCS_FIELD_HIGH) {
        if (write) {
            x86_stl_phys(cs, address + 4, *value);
        } else {
            *value = x86_ldl_phys(cs, address + 4);
        }
    } else if (write) {
        x86_stq_phys(cs, address, *value & vmcs_width_mask(env, field));
    } else {
        *value = x86_ldq_phys(cs, address) & vmcs_width_mask(env, field);
    }
    return VMX_OK;
}
