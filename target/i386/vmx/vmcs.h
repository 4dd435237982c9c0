/*
 * VMCS fields: encodings, and where TCG keeps them in guest memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, appendix "Field Encoding in VMCS".  Only fields that belong
 * to a feature which is offered are listed; VMREAD and VMWRITE know no others.
 */
#ifndef TARGET_I386_VMX_VMCS_H
#define TARGET_I386_VMX_VMCS_H

/* 16 bits */
#define VMCS_VPID                       0x0000
#define VMCS_GUEST_ES_SEL               0x0800 /* CS, SS, DS, FS, GS: +2 each */
#define VMCS_GUEST_TR_SEL               0x080e
#define VMCS_HOST_ES_SEL                0x0c00
#define VMCS_HOST_CS_SEL                0x0c02
#define VMCS_HOST_SS_SEL                0x0c04
#define VMCS_HOST_TR_SEL                0x0c0c

/* 64 bits */
#define VMCS_IO_BITMAP_A                0x2000
#define VMCS_IO_BITMAP_B                0x2002
#define VMCS_MSR_BITMAP                 0x2004
#define VMCS_EXIT_MSR_STORE_ADDR        0x2006
#define VMCS_EXIT_MSR_LOAD_ADDR         0x2008
#define VMCS_ENTRY_MSR_LOAD_ADDR        0x200a
#define VMCS_EXECUTIVE_VMCS_PTR         0x200c
#define VMCS_TSC_OFFSET                 0x2010
#define VMCS_EPT_PTR                    0x201a
#define VMCS_GUEST_PHYS_ADDR            0x2400
#define VMCS_LINK_PTR                   0x2800
#define VMCS_GUEST_DEBUGCTL             0x2802
#define VMCS_GUEST_PAT                  0x2804
#define VMCS_GUEST_EFER                 0x2806
#define VMCS_GUEST_PERF_GLOBAL_CTRL     0x2808
#define VMCS_GUEST_PDPTE0               0x280a
#define VMCS_HOST_PAT                   0x2c00
#define VMCS_HOST_EFER                  0x2c02
#define VMCS_HOST_PERF_GLOBAL_CTRL      0x2c04

/* 32 bits */
#define VMCS_PIN_CONTROLS               0x4000
#define VMCS_PRIMARY_CONTROLS           0x4002
#define VMCS_EXCEPTION_BITMAP           0x4004
#define VMCS_PFEC_MASK                  0x4006
#define VMCS_PFEC_MATCH                 0x4008
#define VMCS_CR3_TARGET_COUNT           0x400a
#define VMCS_EXIT_CONTROLS              0x400c
#define VMCS_EXIT_MSR_STORE_COUNT       0x400e
#define VMCS_EXIT_MSR_LOAD_COUNT        0x4010
#define VMCS_ENTRY_CONTROLS             0x4012
#define VMCS_ENTRY_MSR_LOAD_COUNT       0x4014
#define VMCS_ENTRY_EVENT                0x4016
#define VMCS_ENTRY_ERROR_CODE           0x4018
#define VMCS_ENTRY_INSN_LENGTH          0x401a
#define VMCS_SECONDARY_CONTROLS         0x401e
#define VMCS_INSN_ERROR                 0x4400
#define VMCS_EXIT_REASON                0x4402
#define VMCS_EXIT_EVENT                 0x4404
#define VMCS_EXIT_ERROR_CODE            0x4406
#define VMCS_IDT_EVENT                  0x4408
#define VMCS_IDT_ERROR_CODE             0x440a
#define VMCS_EXIT_INSN_LENGTH           0x440c
#define VMCS_EXIT_INSN_INFO             0x440e
#define VMCS_GUEST_ES_LIMIT             0x4800
#define VMCS_GUEST_TR_LIMIT             0x480e
#define VMCS_GUEST_GDTR_LIMIT           0x4810
#define VMCS_GUEST_IDTR_LIMIT           0x4812
#define VMCS_GUEST_ES_RIGHTS            0x4814
#define VMCS_GUEST_LDTR_RIGHTS          0x4820
#define VMCS_GUEST_TR_RIGHTS            0x4822
#define VMCS_GUEST_BLOCKING             0x4824
#define VMCS_GUEST_ACTIVITY             0x4826
#define VMCS_GUEST_SYSENTER_CS          0x482a
#define VMCS_HOST_SYSENTER_CS           0x4c00

/* Natural width */
#define VMCS_CR0_MASK                   0x6000
#define VMCS_CR4_MASK                   0x6002
#define VMCS_CR0_SHADOW                 0x6004
#define VMCS_CR4_SHADOW                 0x6006
#define VMCS_CR3_TARGET0                0x6008
#define VMCS_EXIT_QUALIFICATION         0x6400
#define VMCS_GUEST_LINEAR_ADDR          0x640a
#define VMCS_GUEST_CR0                  0x6800
#define VMCS_GUEST_CR3                  0x6802
#define VMCS_GUEST_CR4                  0x6804
#define VMCS_GUEST_ES_BASE              0x6806
#define VMCS_GUEST_TR_BASE              0x6814
#define VMCS_GUEST_GDTR_BASE            0x6816
#define VMCS_GUEST_IDTR_BASE            0x6818
#define VMCS_GUEST_DR7                  0x681a
#define VMCS_GUEST_RSP                  0x681c
#define VMCS_GUEST_RIP                  0x681e
#define VMCS_GUEST_RFLAGS               0x6820
#define VMCS_GUEST_PENDING_DEBUG        0x6822
#define VMCS_GUEST_SYSENTER_ESP         0x6824
#define VMCS_GUEST_SYSENTER_EIP         0x6826
#define VMCS_HOST_CR0                   0x6c00
#define VMCS_HOST_CR3                   0x6c02
#define VMCS_HOST_CR4                   0x6c04
#define VMCS_HOST_FS_BASE               0x6c06
#define VMCS_HOST_GS_BASE               0x6c08
#define VMCS_HOST_TR_BASE               0x6c0a
#define VMCS_HOST_GDTR_BASE             0x6c0c
#define VMCS_HOST_IDTR_BASE             0x6c0e
#define VMCS_HOST_SYSENTER_ESP          0x6c10
#define VMCS_HOST_SYSENTER_EIP          0x6c12
#define VMCS_HOST_RSP                   0x6c14
#define VMCS_HOST_RIP                   0x6c16

/* Parts of an encoding */
#define VMCS_FIELD_HIGH                 1u
#define VMCS_FIELD_INDEX(field)         ((field) >> 1 & 0x1ff)
#define VMCS_FIELD_TYPE(field)          ((field) >> 10 & 3)
#define VMCS_FIELD_WIDTH(field)         ((field) >> 13 & 3)
#define VMCS_FIELD_RESERVED             (~0x6fffull)

/* Types of fields */
enum {
    VMCS_CONTROL,
    VMCS_READ_ONLY,
    VMCS_GUEST,
    VMCS_HOST,
};

/* Widths of fields */
enum {
    VMCS_16,
    VMCS_64,
    VMCS_32,
    VMCS_NATURAL,
};

/* The highest index that is in use; IA32_VMX_VMCS_ENUM */
#define VMCS_MAX_INDEX          VMCS_FIELD_INDEX(VMCS_GUEST_SYSENTER_CS)

/*
 * The layout in memory.  Every field has a slot of eight bytes; there are as many
 * for each type and width as there can be fields.  The types that a VM exit
 * writes, VMCS_READ_ONLY and VMCS_GUEST, are in one piece.
 */
#define VMCS_REVISION                   0x56504d31
#define VMCS_ABORT_OFFSET               4
#define VMCS_LAUNCHED_OFFSET            8
#define VMCS_SLOTS_OFFSET               64
#define VMCS_SLOTS_PER_TYPE             (4 * (VMCS_MAX_INDEX + 1))

/**
 * vmcs_slot: the slot of @field, which must exist
 */
static inline unsigned vmcs_slot(uint32_t field)
{
    return VMCS_FIELD_TYPE(field) * VMCS_SLOTS_PER_TYPE +
           VMCS_FIELD_WIDTH(field) * (VMCS_MAX_INDEX + 1) +
           VMCS_FIELD_INDEX(field);
}

#endif /* TARGET_I386_VMX_VMCS_H */
