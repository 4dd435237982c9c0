/*
 * VMX for TCG: migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The VMCS travels as RAM.  What VM entry has decoded of it travels here,
 * because the hypervisor may have changed the memory since then.
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "migration/vmstate.h"
#include "system/tcg.h"

static bool vmx_needed(void *opaque)
{
    X86CPU *cpu = opaque;

    return tcg_enabled() && (cpu->env.vmx.on || cpu->env.vmx.smm_on);
}

const VMStateDescription vmstate_vmx = {
    .name = "cpu/vmx",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vmx_needed,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vmx.on, X86CPU),
        VMSTATE_BOOL(env.vmx.has_vmcs, X86CPU),
        VMSTATE_UINT64(env.vmx.vmxon, X86CPU),
        VMSTATE_UINT64(env.vmx.vmcs, X86CPU),
        VMSTATE_UINT32(env.vmx.pin, X86CPU),
        VMSTATE_UINT32(env.vmx.primary, X86CPU),
        VMSTATE_UINT32(env.vmx.secondary, X86CPU),
        VMSTATE_UINT64_ARRAY(env.vmx.control, X86CPU, VMX_NR_CONTROLS),
        VMSTATE_UINT32(env.vmx.event, X86CPU),
        VMSTATE_UINT32(env.vmx.event_error, X86CPU),
        VMSTATE_UINT32(env.vmx.event_length, X86CPU),
        VMSTATE_UINT64(env.vmx.pending_debug, X86CPU),
        VMSTATE_UINT64(env.nested_cr3, X86CPU),
        VMSTATE_UINT64(env.tsc_offset, X86CPU),
        VMSTATE_UINT32(env.vmx.missed.reason, X86CPU),
        VMSTATE_UINT64(env.vmx.missed.qualification, X86CPU),
        VMSTATE_UINT64(env.vmx.missed.linear, X86CPU),
        VMSTATE_UINT64(env.vmx.missed.physical, X86CPU),
        VMSTATE_UINT64(env.vmx.missed_vmcs, X86CPU),
        VMSTATE_BOOL(env.vmx.exit_due, X86CPU),
        VMSTATE_BOOL(env.vmx.smm_on, X86CPU),
        VMSTATE_BOOL(env.vmx.smm_in_guest, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};
