/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The layout of the guest's memory, and the operations of its table
 */
#ifndef TESTS_KVM_GUEST_H
#define TESTS_KVM_GUEST_H

#define GUEST_MEMORY        0x400000
#define GUEST_CODE          0x1000
#define GUEST_GDT           0x3000
#define GUEST_TSS           0x3800
#define GUEST_IDT           0x4000
#define GUEST_STACK0        0x7000
#define GUEST_STACK3        0x8000
/* What the NMI handler notes, and what it writes where */
#define GUEST_NMIS          0x9000
#define GUEST_STATUS        0x9008
#define GUEST_REARM_MSR     0x9010
#define GUEST_REARM         0x9018
/* The DS area and the buffer of its records */
#define GUEST_DS            0xa000
#define GUEST_RECORDS       0xb000
#define GUEST_TABLE         0x10000
/* Page directory and page table, see vm_enable_paging() */
#define GUEST_DIRECTORY     0x3fe000
#define GUEST_PAGES         0x3ff000
#define GUEST_PORT          0xf0

#define SEG_CODE0           0x08
#define SEG_DATA0           0x10
#define SEG_CODE3           0x1b
#define SEG_DATA3           0x23
#define SEG_TSS             0x28
#define VECTOR_NMI          2
#define VECTOR_SYSCALL      0x80

/* An entry of the table: operation, register or address, value (low, high) */
#define OP_SIZE             16
#define OP_END              0
#define OP_WRMSR            1
#define OP_RDMSR            2
#define OP_RDPMC            3
#define OP_STORE            4
#define OP_USER             5

/* The entry of a page of the guest's memory, and what makes it a mapped one */
#define PAGE_ENTRY(address) (GUEST_PAGES + ((address) >> 12) * 4)
#define PAGE_MAPPED         7

#define APIC_LVTPC          0xfee00340
#define APIC_SVR            0xfee000f0
#define LVT_NMI             0x400

#define MSR_EVNTSEL(i)      (0x186 + (i))
#define MSR_PMC(i)          (0x4c1 + (i))
#define MSR_FIXED(j)        (0x309 + (j))
#define MSR_FIXED_CTRL      0x38d
#define MSR_GLOBAL_STATUS   0x38e
#define MSR_GLOBAL_CTRL     0x38f
#define MSR_GLOBAL_OVF_CTRL 0x390
#define MSR_PEBS_ENABLE     0x3f1
#define MSR_DS_AREA         0x600

/* SDM volume 3, "64 Bit Format of the DS Save Area", and a basic record */
#define DS_PEBS_BASE        0x20
#define DS_PEBS_INDEX       0x28
#define DS_PEBS_MAX         0x30
#define DS_PEBS_THRESHOLD   0x38
#define DS_PEBS_RESET       0x40
#define RECORD_SIZE         32
#define RECORD_IP           8
#define RECORD_COUNTERS     16

/* Event selects, SDM volume 3, "Architectural Performance Monitoring" */
#define EVENT_CYCLES        0x003c
#define EVENT_INSTRUCTIONS  0x00c0
#define EVENT_BRANCHES      0x00c4
#define EVENT_NEAR_TAKEN    0x20c4
#define EVENT_LOADS         0x81d0
#define EVTSEL_USR          (1 << 16)
#define EVTSEL_OS           (1 << 17)
#define EVTSEL_INT          (1 << 20)
#define EVTSEL_EN           (1 << 22)

#ifndef GUEST_ASSEMBLER
/* Start and end of guest.S, and its entry points */
extern const char guest_start[], guest_end[];
extern const char guest_entry[], guest_fault[], guest_nmi[], guest_syscall[];
#endif

#endif
