/*
 * VMX instructions, VM entries and VM exits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A guest shares the page tables, segments and memory of its hypervisor.  Most
 * do one thing and then VMCALL.
 */
#include "rt.h"
#include "guest.h"
#include "host.h"
#include "vmcs.h"

#define REASON_TRIPLE_FAULT     2
#define REASON_WINDOW           7
#define REASON_NMI_WINDOW       8
#define REASON_CPUID            10
#define REASON_HLT              12
#define REASON_INVD             13
#define REASON_INVLPG           14
#define REASON_RDTSC            16
#define REASON_VMREAD           23
#define REASON_CR               28
#define REASON_DR               29
#define REASON_IO               30
#define REASON_RDMSR            31
#define REASON_WRMSR            32
#define REASON_BAD_MSR          0x80000022u
#define REASON_PAUSE            40
#define REASON_GDTR             46
#define REASON_LDTR             47
#define REASON_EPT              48
#define REASON_EPT_MISCONFIG    49
#define REASON_RDTSCP           51
#define REASON_WBINVD           54

#define PRIMARY_WINDOW          (1u << 2)
#define PRIMARY_TSC_OFFSET      (1u << 3)
#define PRIMARY_HLT             (1u << 7)
#define PRIMARY_INVLPG          (1u << 9)
#define PRIMARY_RDTSC           (1u << 12)
#define PRIMARY_CR3_LOAD        (1u << 15)
#define PRIMARY_CR3_STORE       (1u << 16)
#define PRIMARY_CR8_STORE       (1u << 20)
#define PRIMARY_NMI_WINDOW      (1u << 22)
#define PRIMARY_DR              (1u << 23)
#define PRIMARY_IO              (1u << 24)
#define PRIMARY_IO_BITMAPS      (1u << 25)
#define PRIMARY_MSR_BITMAPS     (1u << 28)
#define PRIMARY_PAUSE           (1u << 30)
#define PRIMARY_SECONDARY       (1u << 31)
#define SECONDARY_EPT           (1u << 1)
#define SECONDARY_DESC          (1u << 2)
#define SECONDARY_RDTSCP        (1u << 3)
#define SECONDARY_WBINVD        (1u << 6)
#define SECONDARY_UNRESTRICTED  (1u << 7)
#define ENTRY_GLOBAL_CTRL       (1u << 13)
#define EXIT_GLOBAL_CTRL        (1u << 12)
#define EXIT_LOAD_EFER          (1u << 21)

#define CR0_TS                  8
#define MSR_TSC_AUX             0xc0000103
#define BLOCKED_BY_MOV_SS       2

/* DR6, and the field for pending debug exceptions */
#define DEBUG_B0                (1 << 0)
#define DEBUG_ENABLED           (1 << 12)
#define DEBUG_BD                (1 << 13)
#define DEBUG_BS                (1 << 14)
#define DR7_GD                  (1 << 13)

static uint8_t page_vmxon[4096] __attribute__((aligned(4096)));
static uint8_t page_vmcs[4096] __attribute__((aligned(4096)));
static uint8_t page_bitmap[3][4096] __attribute__((aligned(4096)));
static uint64_t ept[3][512] __attribute__((aligned(4096)));
static uint64_t ept_page[512] __attribute__((aligned(4096)));
static struct gate guest_idt[32] __attribute__((aligned(16)));
static uint64_t guest_stack[512] __attribute__((aligned(64)));
static uint64_t pae_pd[512] __attribute__((aligned(4096)));
static uint64_t pae_pdpt[4] __attribute__((aligned(32)));
uint64_t regs[4];
static uint32_t revision;

/* VMX instructions.  Results: 0, 1 with CF, 2 with ZF. */

#define VMX(insn, ...) ({                                               \
    uint8_t cf, zf;                                                     \
    asm volatile(insn : "=@ccc"(cf), "=@ccz"(zf) : __VA_ARGS__ : "memory"); \
    cf | zf << 1; })

static unsigned vmxon(uint64_t address)
{
    return VMX("vmxon %2", "m"(address));
}

static unsigned vmclear(uint64_t address)
{
    return VMX("vmclear %2", "m"(address));
}

static unsigned vmptrld(uint64_t address)
{
    return VMX("vmptrld %2", "m"(address));
}

unsigned vmwrite(uint64_t field, uint64_t value)
{
    return VMX("vmwrite %2, %3", "r"(value), "r"(field));
}

static unsigned vmread(uint64_t field, uint64_t *value)
{
    uint8_t cf, zf;

    asm volatile("vmread %3, %2" : "=@ccc"(cf), "=@ccz"(zf), "=rm"(*value) :
                 "r"(field) : "memory");
    return cf | zf << 1;
}

uint64_t get(uint64_t field)
{
    uint64_t value = 0;

    vmread(field, &value);
    return value;
}

static uint64_t read_cr(unsigned n)
{
    uint64_t value;

    switch (n) {
    case 0:
        asm volatile("mov %%cr0, %0" : "=r"(value));
        break;
    case 3:
        asm volatile("mov %%cr3, %0" : "=r"(value));
        break;
    default:
        asm volatile("mov %%cr4, %0" : "=r"(value));
    }
    return value;
}

/*
 * Faults of MOV to a control register, with or without VMX: nothing may be lost
 * that was written just before it.
 */

static uint64_t fault_rbx;
static unsigned faults;

static bool skip_mov_cr(struct frame *frame)
{
    if (frame->vector != 13) {
        return false;
    }
    fault_rbx = frame->rbx;
    faults++;
    frame->rip += 3;
    return true;
}

static void test_reserved_bits(void)
{
    uint64_t cr3 = read_cr(3), cr4 = read_cr(4);

    trap_hook = skip_mov_cr;
    asm volatile("mov $0x1234567, %%ebx; mov %0, %%cr4; nop" : :
                 "r"(cr4 | 1ull << 31) : "rbx", "memory");
    check(faults, 1, "reserved bit of CR4");
    check(fault_rbx, 0x1234567, "reserved bit of CR4: RBX");
    asm volatile("mov $0x7654321, %%ebx; mov %0, %%cr3; nop" : :
                 "r"(cr3 | 1ull << 60) : "rbx", "memory");
    check(faults, 2, "reserved bit of CR3");
    check(fault_rbx, 0x7654321, "reserved bit of CR3: RBX");
    trap_hook = NULL;
    check(read_cr(3), cr3, "CR3 is unchanged");
    check(read_cr(4), cr4, "CR4 is unchanged");
}

/* The instructions */

static void test_instructions(void)
{
    uint64_t value, pointer;

    check(vmxon((uintptr_t)page_vmxon + 8), 1, "VMXON: unaligned");
    check(vmxon((uintptr_t)page_vmxon), 1, "VMXON: wrong revision");
    *(uint32_t *)page_vmxon = revision;
    check(vmxon((uintptr_t)page_vmxon), 0, "VMXON");
    asm volatile("vmptrst %0" : "=m"(pointer));
    check(pointer, -1ull, "VMPTRST: no VMCS");
    check(vmread(VMCS_GUEST_RIP, &value), 1, "VMREAD: no VMCS");
    check(vmclear((uintptr_t)page_vmcs + 1), 1, "VMCLEAR: no VMCS, unaligned");
    check(vmclear((uintptr_t)page_vmcs), 0, "VMCLEAR");
    check(vmptrld((uintptr_t)page_vmcs), 1, "VMPTRLD: wrong revision");
    *(uint32_t *)page_vmcs = revision;
    check(vmptrld((uintptr_t)page_vmcs), 0, "VMPTRLD");
    asm volatile("vmptrst %0" : "=m"(pointer));
    check(pointer, (uintptr_t)page_vmcs, "VMPTRST");

    check(vmclear((uintptr_t)page_vmxon), 2, "VMCLEAR: VMXON region");
    check(get(VMCS_INSN_ERROR), 3, "VMCLEAR: VMXON region, error");
    check(vmptrld((uintptr_t)page_vmxon), 2, "VMPTRLD: VMXON region");
    check(get(VMCS_INSN_ERROR), 10, "VMPTRLD: VMXON region, error");
    check(vmptrld(1ull << 60), 2, "VMPTRLD: no address");
    check(get(VMCS_INSN_ERROR), 9, "VMPTRLD: no address, error");
    check(vmxon((uintptr_t)page_vmxon), 2, "VMXON again");
    check(get(VMCS_INSN_ERROR), 15, "VMXON again, error");
    check(vmread(0x1ffe, &value), 2, "VMREAD: no such field");
    check(get(VMCS_INSN_ERROR), 12, "VMREAD: no such field, error");
    check(vmwrite(VMCS_EXIT_REASON, 0), 2, "VMWRITE: read-only field");
    check(get(VMCS_INSN_ERROR), 13, "VMWRITE: read-only field, error");
    check(vmx_enter(regs, false), 2, "VMRESUME: not launched");
    check(get(VMCS_INSN_ERROR), 5, "VMRESUME: not launched, error");
}

static void test_fields(void)
{
    static const struct {
        uint32_t field;
        uint64_t mask;
    } fields[] = {
        { VMCS_VPID, 0xffff }, { VMCS_HOST_TR_SEL, 0xffff },
        { VMCS_TSC_OFFSET, -1ull }, { VMCS_HOST_EFER, -1ull },
        { VMCS_EXCEPTION_BITMAP, 0xffffffff },
        { VMCS_GUEST_SYSENTER_CS, 0xffffffff },
        { VMCS_CR3_TARGET0 + 6, -1ull }, { VMCS_GUEST_RIP, -1ull },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        vmwrite(fields[i].field, ~0x123456789abcdefull - i);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(fields); i++) {
        check(get(fields[i].field),
              (~0x123456789abcdefull - i) & fields[i].mask, "field 0x%x",
              fields[i].field);
    }
    vmwrite(VMCS_TSC_OFFSET | 1, 0x11223344);
    check(get(VMCS_TSC_OFFSET) >> 32, 0x11223344, "upper half written");
    check(get(VMCS_TSC_OFFSET | 1), 0x11223344, "upper half read");
}

/* IA32_VMX_VMCS_ENUM names the highest index that any field has. */
static void test_highest_index(void)
{
    unsigned highest = 0;
    uint64_t value;

    for (unsigned index = 0; index < 512; index++) {
        for (unsigned i = 0; i < 16; i++) {
            if (!vmread(index << 1 | (i & 3) << 10 | i >> 2 << 13, &value)) {
                highest = index;
            }
        }
    }
    check(rdmsr(0x48a), highest << 1, "IA32_VMX_VMCS_ENUM");
}

/* A VMCS for a guest as its hypervisor is */

void set_controls(uint32_t field, uint32_t msr, uint32_t controls)
{
    uint64_t allowed = rdmsr(msr);

    vmwrite(field, (controls | (uint32_t)allowed) & allowed >> 32);
}

static void set_segments(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr;
    static const uint16_t selectors[] = {
        SEL_KDATA, SEL_KERNEL, SEL_KDATA, SEL_KDATA, SEL_KDATA, SEL_KDATA
    };

    asm volatile("sidt %0" : "=m"(idtr));
    for (unsigned i = 0; i < 6; i++) {
        vmwrite(VMCS_GUEST_ES_SEL + i * 2, selectors[i]);
        vmwrite(VMCS_HOST_ES_SEL + i * 2, selectors[i]);
        vmwrite(VMCS_GUEST_ES_LIMIT + i * 2, 0xffffffff);
        vmwrite(VMCS_GUEST_ES_RIGHTS + i * 2, i == 1 ? 0xa09b : 0xc093);
        vmwrite(VMCS_GUEST_ES_BASE + i * 2, 0);
    }
    vmwrite(VMCS_GUEST_LDTR_RIGHTS, 0x10000);
    vmwrite(VMCS_GUEST_TR_SEL, SEL_TSS);
    vmwrite(VMCS_GUEST_TR_LIMIT, 0x67);
    vmwrite(VMCS_GUEST_TR_RIGHTS, 0x8b);
    vmwrite(VMCS_GUEST_TR_BASE, (uintptr_t)cpus[0].tss);
    vmwrite(VMCS_HOST_TR_SEL, SEL_TSS);
    vmwrite(VMCS_HOST_TR_BASE, (uintptr_t)cpus[0].tss);
    vmwrite(VMCS_GUEST_GDTR_BASE, (uintptr_t)gdt);
    vmwrite(VMCS_GUEST_GDTR_LIMIT, 0xff);
    vmwrite(VMCS_HOST_GDTR_BASE, (uintptr_t)gdt);
    vmwrite(VMCS_GUEST_IDTR_BASE, (uintptr_t)guest_idt);
    vmwrite(VMCS_GUEST_IDTR_LIMIT, sizeof(guest_idt) - 1);
    vmwrite(VMCS_HOST_IDTR_BASE, idtr.base);
    vmwrite(VMCS_HOST_FS_BASE, 0);
    vmwrite(VMCS_HOST_GS_BASE, 0);
    vmwrite(VMCS_GUEST_ES_BASE + 8, 0);
    vmwrite(VMCS_GUEST_ES_BASE + 10, 0);
}

void set_vmcs(void (*guest)(void))
{
    memset(page_vmcs, 0, sizeof(page_vmcs));
    *(uint32_t *)page_vmcs = revision;
    vmclear((uintptr_t)page_vmcs);
    vmptrld((uintptr_t)page_vmcs);
    set_controls(VMCS_PIN_CONTROLS, 0x48d, 0);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_MSR_BITMAPS);
    set_controls(VMCS_EXIT_CONTROLS, 0x48f, EXIT_HOST_64);
    set_controls(VMCS_ENTRY_CONTROLS, 0x490, ENTRY_IA32E);
    vmwrite(VMCS_MSR_BITMAP, (uintptr_t)page_bitmap[2]);
    vmwrite(VMCS_LINK_PTR, -1ull);
    vmwrite(VMCS_GUEST_CR0, read_cr(0));
    vmwrite(VMCS_GUEST_CR3, read_cr(3));
    vmwrite(VMCS_GUEST_CR4, read_cr(4));
    vmwrite(VMCS_HOST_CR0, read_cr(0));
    vmwrite(VMCS_HOST_CR3, read_cr(3));
    vmwrite(VMCS_HOST_CR4, read_cr(4));
    vmwrite(VMCS_GUEST_DR7, 0x400);
    vmwrite(VMCS_GUEST_RFLAGS, 2);
    vmwrite(VMCS_GUEST_RSP, (uintptr_t)&guest_stack[512]);
    vmwrite(VMCS_GUEST_RIP, (uintptr_t)guest);
    vmwrite(VMCS_HOST_RIP, (uintptr_t)vmx_exited);
    set_segments();
}

/* Enter, and say why the guest came back. */
uint64_t enter(void)
{
    unsigned failed = vmx_enter(regs, true);

    return failed ? failed << 16 | get(VMCS_INSN_ERROR) :
                    get(VMCS_EXIT_REASON);
}

uint64_t resume(void)
{
    return vmx_enter(regs, false) ? -1ull : get(VMCS_EXIT_REASON);
}

/* Exits by instruction */

#define INSN(name, primary, secondary, reason, length, qualification) \
    { #name, guest_##name, primary, secondary, reason, length, qualification }

static const struct {
    const char *name;
    void (*guest)(void);
    uint32_t primary;
    uint32_t secondary;
    uint32_t reason;
    uint32_t length;
    uint64_t qualification;
} insns[] = {
    INSN(cpuid, 0, 0, REASON_CPUID, 2, 0),
    INSN(hlt, PRIMARY_HLT, 0, REASON_HLT, 1, 0),
    INSN(rdtsc, PRIMARY_RDTSC, 0, REASON_RDTSC, 2, 0),
    INSN(rdtsc, 0, 0, REASON_VMCALL, 3, 0),
    INSN(rdtscp, PRIMARY_RDTSC, SECONDARY_RDTSCP, REASON_RDTSCP, 3, 0),
    INSN(invd, 0, 0, REASON_INVD, 2, 0),
    INSN(wbinvd, 0, SECONDARY_WBINVD, REASON_WBINVD, 2, 0),
    INSN(wbinvd, 0, 0, REASON_VMCALL, 3, 0),
    INSN(invlpg, PRIMARY_INVLPG, 0, REASON_INVLPG, 4, 0x1234056),
    INSN(rdmsr, PRIMARY_MSR_BITMAPS, 0, REASON_VMCALL, 3, 0),
    INSN(rdmsr, 0, 0, REASON_RDMSR, 2, 0),
    INSN(wrmsr, 0, 0, REASON_WRMSR, 2, 0),
    INSN(in, PRIMARY_IO, 0, REASON_IO, 2, 0x610048),
    INSN(out, PRIMARY_IO, 0, REASON_IO, 2, 0x5110001),
    INSN(out, 0, 0, REASON_VMCALL, 3, 0),
    INSN(mov_cr3, PRIMARY_CR3_STORE, 0, REASON_CR, 3, 0x313),
    INSN(set_cr3, PRIMARY_CR3_LOAD, 0, REASON_CR, 3, 0x003),
    INSN(cr8, PRIMARY_CR8_STORE, 0, REASON_CR, 4, 0x918),
    INSN(mov_dr, PRIMARY_DR, 0, REASON_DR, 3, 0x207),
    INSN(sgdt, 0, SECONDARY_DESC, REASON_GDTR, 5, -0x40ull),
    INSN(str, 0, SECONDARY_DESC, REASON_LDTR, 4, 0),
    INSN(vmread, 0, 0, REASON_VMREAD, 5, 8),
    INSN(pause, PRIMARY_PAUSE, 0, REASON_PAUSE, 2, 0),
    INSN(triple, 0, 0, REASON_TRIPLE_FAULT, 0, 0),
};

static void test_insns(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(insns); i++) {
        const char *name = insns[i].name;
        uint32_t primary = insns[i].primary;

        set_vmcs(insns[i].guest);
        if (insns[i].secondary) {
            primary |= PRIMARY_SECONDARY;
            set_controls(VMCS_SECONDARY_CONTROLS, 0x48b, insns[i].secondary);
        }
        set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, primary);
        check(enter(), insns[i].reason, "%s, %u: reason", name, i);
        check(get(VMCS_EXIT_INSN_LENGTH), insns[i].length, "%s, %u: length",
              name, i);
        check(get(VMCS_EXIT_QUALIFICATION), insns[i].qualification,
              "%s, %u: qualification", name, i);
    }
    set_vmcs(guest_vmread);
    enter();
    check(get(VMCS_EXIT_INSN_INFO), (2u | 2 << 7 | 3 << 15 | 1 << 18 | 3 << 23),
          "vmread: instruction information");
}

/* RDTSCP and RDPID do not exist without "enable RDTSCP". */
static void test_tsc_aux(void)
{
    wrmsr(MSR_TSC_AUX, 0x77);
    set_vmcs(guest_rdtscp);
    check(enter(), REASON_VMCALL, "RDTSCP: disabled");
    check(regs[0], 6, "RDTSCP: disabled, #UD");
    set_vmcs(guest_rdpid);
    check(enter(), REASON_VMCALL, "RDPID: disabled");
    check(regs[0], 6, "RDPID: disabled, #UD");
    set_vmcs(guest_rdpid);
    set_controls(VMCS_SECONDARY_CONTROLS, 0x48b, SECONDARY_RDTSCP);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_SECONDARY);
    check(enter(), REASON_VMCALL, "RDPID: enabled");
    check(regs[0], 0x77, "RDPID: enabled, value");
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* What a VM exit stores is the host's TSC. */
static void test_tsc_store(void)
{
    uint64_t before, stored;

    set_vmcs(guest_rdtsc);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_TSC_OFFSET);
    vmwrite(VMCS_TSC_OFFSET, 1ull << 50);
    memset(page_bitmap[1], 0, 16);
    page_bitmap[1][0] = 0x10;
    vmwrite(VMCS_EXIT_MSR_STORE_ADDR, (uintptr_t)page_bitmap[1]);
    vmwrite(VMCS_EXIT_MSR_STORE_COUNT, 1);
    before = rdtsc();
    check(enter(), REASON_VMCALL, "TSC");
    result(((regs[3] << 32 | regs[0]) - before) >> 48 == 4,
           "TSC: the guest's has the offset");
    stored = *(uint64_t *)&page_bitmap[1][8];
    result(before <= stored && stored <= rdtsc(), "TSC: what is stored has none");
}

/* Masks and shadows of CR0 and CR4; bitmaps */

static void test_masks(void)
{
    uint64_t cr0 = read_cr(0), cr4 = read_cr(4);

    set_vmcs(guest_read_cr);
    vmwrite(VMCS_CR0_MASK, CR0_TS | 1);
    vmwrite(VMCS_CR0_SHADOW, CR0_TS);
    vmwrite(VMCS_CR4_MASK, 1 << 13);
    check(enter(), REASON_VMCALL, "masks: read");
    check(regs[0], (cr0 | CR0_TS) & ~1ull, "masks: CR0");
    check(regs[1], cr4 & ~(1ull << 13), "masks: CR4");
    check(regs[2], (uint32_t)(cr0 | CR0_TS) & ~1u, "masks: SMSW");

    set_vmcs(guest_set_cr0);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    regs[0] = cr0 | 2;
    check(enter(), REASON_VMCALL, "masks: own bits written");
    check(regs[1], cr0 | 2, "masks: own bits read");
    set_vmcs(guest_set_cr0);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    regs[0] = cr0 | CR0_TS;
    check(enter(), REASON_CR, "masks: other bits written");
    check(get(VMCS_EXIT_QUALIFICATION), 0, "masks: qualification");

    set_vmcs(guest_clts);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    check(enter(), REASON_VMCALL, "CLTS: shadow is clear");
    set_vmcs(guest_clts);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    vmwrite(VMCS_CR0_SHADOW, CR0_TS);
    check(enter(), REASON_CR, "CLTS: shadow is set");
    check(get(VMCS_EXIT_QUALIFICATION), 0x20, "CLTS: qualification");
    set_vmcs(guest_lmsw);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    regs[0] = 9;
    check(enter(), REASON_CR, "LMSW");
    check(get(VMCS_EXIT_QUALIFICATION), 0x90030, "LMSW: qualification");
}

static void test_bitmaps(void)
{
    memset(page_bitmap, 0, sizeof(page_bitmap));
    for (unsigned i = 0; i < 2; i++) {
        page_bitmap[0][0x511 / 8] = i << 1;
        page_bitmap[2][0x10 / 8] = i;
        set_vmcs(guest_out);
        set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_IO_BITMAPS);
        vmwrite(VMCS_IO_BITMAP_A, (uintptr_t)page_bitmap[0]);
        vmwrite(VMCS_IO_BITMAP_B, (uintptr_t)page_bitmap[1]);
        check(enter(), i ? REASON_IO : REASON_VMCALL, "I/O bitmap: %u", i);
        set_vmcs(guest_rdmsr);
        check(enter(), i ? REASON_RDMSR : REASON_VMCALL, "MSR bitmap: %u", i);
    }
    memset(page_bitmap, 0, sizeof(page_bitmap));
}

/* Events */

static void test_exceptions(void)
{
    set_vmcs(guest_ud);
    check(enter(), REASON_VMCALL, "#UD: the guest's own");
    check(regs[0], 6, "#UD: vector");
    set_vmcs(guest_ud);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 6);
    check(enter(), REASON_EXCEPTION, "#UD exits");
    check(get(VMCS_EXIT_EVENT), EVENT(3, 6), "#UD exits: event");
    set_vmcs(guest_int3);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 3);
    check(enter(), REASON_EXCEPTION, "#BP exits");
    check(get(VMCS_EXIT_EVENT), EVENT(6, 3), "#BP exits: event");
    check(get(VMCS_EXIT_INSN_LENGTH), 1, "#BP exits: length");
    set_vmcs(guest_load);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 14);
    regs[0] = WINDOW + 8;
    check(enter(), REASON_EXCEPTION, "#PF exits");
    check(get(VMCS_EXIT_EVENT), EVENT(3, 14) | EVENT_ERROR, "#PF exits: event");
    check(get(VMCS_EXIT_QUALIFICATION), WINDOW + 8, "#PF exits: address");
}

/* In its error code, a reserved bit comes with the bit P. */
static void test_reserved_bit(void)
{
    uint64_t old = window_pt[1];

    window_pt[1] = 1ull << 51 | old | 1;
    set_vmcs(guest_load);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 14);
    regs[0] = WINDOW + 0x1000;
    check(enter(), REASON_EXCEPTION, "reserved bit: #PF");
    check(get(VMCS_EXIT_ERROR_CODE), 9, "reserved bit: error code");
    window_pt[1] = old;
}

/* Debug exceptions: pending ones, and what an exit reports and changes */

static const struct {
    const char *name;
    uint32_t flags, blocking, pending;
    uint64_t qualification;
    uint32_t place;
} debug_cases[] = {
    { "single-step", FLAGS_TF, 0, 0, DEBUG_BS, 1 },
    { "pending", 0, 0, DEBUG_ENABLED | DEBUG_B0, DEBUG_B0, 0 },
    { "pending step", FLAGS_TF, 0, DEBUG_BS, DEBUG_BS, 0 },
    { "pending behind MOV SS", 0, BLOCKED_BY_MOV_SS, DEBUG_ENABLED | DEBUG_B0,
      DEBUG_B0, 1 },
    { "both behind MOV SS", FLAGS_TF, BLOCKED_BY_MOV_SS,
      DEBUG_BS | DEBUG_ENABLED | DEBUG_B0, DEBUG_BS | DEBUG_B0, 1 },
};

static void write_dr6(uint64_t value)
{
    asm volatile("mov %0, %%dr6" : : "r"(value));
}

static uint64_t read_dr6(void)
{
    uint64_t value;

    asm volatile("mov %%dr6, %0" : "=r"(value));
    return value;
}

static void test_debug(void)
{
    /* Stale: single-step, breakpoints 1 and 3 */
    const uint64_t stale = 0xffff0ff0 | DEBUG_BS | 10;

    for (unsigned i = 0; i < ARRAY_SIZE(debug_cases); i++) {
        const char *name = debug_cases[i].name;

        set_vmcs(guest_steps);
        vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
        vmwrite(VMCS_GUEST_RFLAGS, debug_cases[i].flags | 2);
        vmwrite(VMCS_GUEST_BLOCKING, debug_cases[i].blocking);
        vmwrite(VMCS_GUEST_PENDING_DEBUG, debug_cases[i].pending);
        write_dr6(stale);
        check(enter(), REASON_EXCEPTION, "#DB, %s", name);
        check(get(VMCS_EXIT_QUALIFICATION), debug_cases[i].qualification,
              "#DB, %s: qualification", name);
        check(get(VMCS_GUEST_RIP) - (uintptr_t)guest_steps,
              debug_cases[i].place, "#DB, %s: place", name);
        check(get(VMCS_GUEST_PENDING_DEBUG), 0, "#DB, %s: not pending", name);
        check(read_dr6(), stale, "#DB, %s: DR6", name);
    }

    /* DR7.GD */
    set_vmcs(guest_mov_dr);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
    set_controls(VMCS_ENTRY_CONTROLS, 0x490, ENTRY_IA32E | ENTRY_DEBUG);
    set_controls(VMCS_EXIT_CONTROLS, 0x48f, EXIT_HOST_64 | EXIT_DEBUG);
    vmwrite(VMCS_GUEST_DR7, 0x400 | DR7_GD);
    check(enter(), REASON_EXCEPTION, "#DB, MOV DR");
    check(get(VMCS_EXIT_QUALIFICATION), DEBUG_BD, "#DB, MOV DR: qualification");
    check(get(VMCS_GUEST_DR7), 0x400 | DR7_GD, "#DB, MOV DR: DR7");
    check(read_dr6(), stale, "#DB, MOV DR: DR6");

    /* The guest's own #DB finds the old flags, too. */
    set_vmcs(guest_steps);
    vmwrite(VMCS_GUEST_RFLAGS, FLAGS_TF | 2);
    write_dr6(0xffff0ff0 | DEBUG_BD | 10);
    check(enter(), REASON_VMCALL, "#DB, the guest's own");
    check(regs[0], 1, "#DB, the guest's own: vector");
    check(read_dr6(), 0xffff0ff0 | DEBUG_BD | DEBUG_BS,
          "#DB, the guest's own: DR6");
}

/* Debug exceptions that are not delivered */
static void test_debug_pending(void)
{
    set_vmcs(guest_steps);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, DEBUG_B0);
    check(enter(), REASON_VMCALL, "pending #DB: not enabled");
    set_vmcs(guest_cpuid);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
    vmwrite(VMCS_GUEST_BLOCKING, BLOCKED_BY_MOV_SS);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, DEBUG_ENABLED | DEBUG_B0);
    check(enter(), REASON_CPUID, "pending #DB: another exit");
    check(get(VMCS_GUEST_PENDING_DEBUG), DEBUG_ENABLED | DEBUG_B0,
          "pending #DB: saved by another exit");
    check(get(VMCS_GUEST_BLOCKING), BLOCKED_BY_MOV_SS,
          "pending #DB: blocking saved");

    /* Injection: of #GP, it is lost; of #BP after MOV SS, it follows. */
    set_vmcs(guest_nothing);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
    vmwrite(VMCS_GUEST_BLOCKING, BLOCKED_BY_MOV_SS);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, DEBUG_ENABLED | DEBUG_B0);
    vmwrite(VMCS_ENTRY_EVENT, EVENT(3, 6));
    check(enter(), REASON_VMCALL, "pending #DB: #UD injected");
    check(regs[0], 6, "pending #DB: #UD injected, vector");
    check(get(VMCS_GUEST_BLOCKING), 0, "injection ends blocking by MOV SS");
    set_vmcs(guest_nothing);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 1);
    vmwrite(VMCS_GUEST_BLOCKING, BLOCKED_BY_MOV_SS);
    vmwrite(VMCS_GUEST_PENDING_DEBUG, DEBUG_ENABLED | DEBUG_B0);
    vmwrite(VMCS_ENTRY_EVENT, EVENT(6, 3));
    vmwrite(VMCS_ENTRY_INSN_LENGTH, 1);
    check(enter(), REASON_EXCEPTION, "pending #DB: #BP injected");
    check(get(VMCS_GUEST_RIP), (uintptr_t)guest_stubs + 3 * 16,
          "pending #DB: #BP injected, place");
}

static void test_injection(void)
{
    set_vmcs(guest_nothing);
    vmwrite(VMCS_ENTRY_EVENT, EVENT(3, 13) | EVENT_ERROR);
    vmwrite(VMCS_ENTRY_ERROR_CODE, 0x1234);
    check(enter(), REASON_VMCALL, "inject #GP");
    check(regs[0], 13, "inject #GP: vector");
    check(*(uint64_t *)(uintptr_t)get(VMCS_GUEST_RSP), 0x1234,
          "inject #GP: error code");
    check(get(VMCS_ENTRY_EVENT) >> 31, 0, "inject #GP: done");

    /* The guest has no IDT for it: what was injected comes back. */
    set_vmcs(guest_nothing);
    vmwrite(VMCS_ENTRY_EVENT, EVENT(0, 31));
    vmwrite(VMCS_GUEST_RFLAGS, 0x202);
    vmwrite(VMCS_GUEST_IDTR_LIMIT, 0);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 13);
    check(enter(), REASON_EXCEPTION, "vectoring");
    check(get(VMCS_IDT_EVENT), EVENT(0, 31), "vectoring: event");

    set_vmcs(guest_sti);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_WINDOW);
    check(enter(), REASON_WINDOW, "interrupt window");
    check(get(VMCS_GUEST_RIP) - (uintptr_t)guest_sti, 2,
          "interrupt window: place");
    set_vmcs(guest_nothing);
    set_controls(VMCS_PIN_CONTROLS, 0x48d, 1 << 3 | 1 << 5);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_NMI_WINDOW);
    check(enter(), REASON_NMI_WINDOW, "NMI window");
    set_vmcs(guest_nothing);
    set_controls(VMCS_PIN_CONTROLS, 0x48d, 1 << 3 | 1 << 5);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_NMI_WINDOW);
    vmwrite(VMCS_GUEST_BLOCKING, 8);
    check(enter(), REASON_VMCALL, "NMI window: blocked");
}

/* EPT: all is mapped one to one, but for one page that ept_page has. */

static void set_ept(void (*guest)(void), uint64_t flags)
{
    uintptr_t at = (uintptr_t)ept_page;

    set_vmcs(guest);
    memset(ept, 0, sizeof(ept));
    ept[0][0] = (uintptr_t)ept[1] | 7;
    ept[1][0] = (uintptr_t)ept[2] | 7;
    ept[1][3] = 3ull << 30 | 0x80 | 7;
    for (unsigned i = 0; i < 512; i++) {
        ept[2][i] = (uint64_t)i << 21 | 0x80 | 6 << 3 | 7;
    }
    /* The large page that has it: small ones would need a table more. */
    ept[2][100] = 0x80 | (at & ~0x1fffffull) | flags;
    set_controls(VMCS_SECONDARY_CONTROLS, 0x48b, SECONDARY_EPT);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_SECONDARY);
    vmwrite(VMCS_EPT_PTR, (uintptr_t)ept[0] | 3 << 3 | 6 | 1 << 6);
    regs[0] = (100ull << 21) + (at & 0x1fffff);
}

static void test_ept(void)
{
    uint64_t address;

    ept_page[0] = 0x55;
    set_ept(guest_load, 6 << 3 | 7);
    address = regs[0];
    check(enter(), REASON_VMCALL, "EPT: load");
    check(regs[1], 0x55, "EPT: value");
    check(ept[2][100] >> 8 & 3, 1, "EPT: accessed");
    set_ept(guest_store, 6 << 3 | 7);
    regs[1] = 0x66;
    check(enter(), REASON_VMCALL, "EPT: store");
    check(ept_page[0], 0x66, "EPT: stored");
    check(ept[2][100] >> 8 & 3, 3, "EPT: dirty");
    set_ept(guest_store, 6 << 3 | 5);
    check(enter(), REASON_EPT, "EPT: read-only");
    check(get(VMCS_EXIT_QUALIFICATION), 0x1aa, "EPT: read-only, qualification");
    check(get(VMCS_GUEST_PHYS_ADDR), address, "EPT: read-only, address");
    check(get(VMCS_GUEST_LINEAR_ADDR), address, "EPT: read-only, linear");
    set_ept(guest_load, 6 << 3);
    check(enter(), REASON_EPT, "EPT: absent");
    check(get(VMCS_EXIT_QUALIFICATION), 0x181, "EPT: absent, qualification");
    set_ept(guest_load, 6 << 3 | 6);
    check(enter(), REASON_EPT_MISCONFIG, "EPT: misconfigured");
    check(get(VMCS_GUEST_PHYS_ADDR), address, "EPT: misconfigured, address");
}

/*
 * A walk of the guest's page tables, which EPT lets it only read: with the EPT's
 * flags it is a write, without them only to set a flag of the guest's.
 */
static void test_ept_walk(void)
{
    static const struct {
        uint64_t eptp, flags, reason;
    } cases[] = {
        { 0, 0, REASON_EPT },
        { 0, 0x20, REASON_VMCALL },
        { 1 << 6, 0x20, REASON_EPT },
    };
    uint64_t old = window_pt[1];

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        window_pt[1] = (old & ~0x60ull) | 1 | cases[i].flags;
        set_ept(guest_load, 6 << 3 | 7);
        vmwrite(VMCS_EPT_PTR, (uintptr_t)ept[0] | 3 << 3 | 6 | cases[i].eptp);
        ept[2][(uintptr_t)window_pt >> 21] &= ~2ull;
        regs[0] = WINDOW + 0x1000;
        check(enter(), cases[i].reason, "EPT, walk %u", i);
        if (cases[i].reason == REASON_EPT) {
            check(get(VMCS_EXIT_QUALIFICATION), 0xab,
                  "EPT, walk %u: qualification", i);
        }
        check(window_pt[1] & 0x60, cases[i].flags, "EPT, walk %u: flags", i);
    }
    window_pt[1] = old;
}

/* PAE paging, whose page-directory-pointer entries are registers */

static void set_pae(bool with_ept)
{
    if (with_ept) {
        set_ept(guest_pae, 6 << 3 | 7);
    } else {
        set_vmcs(guest_pae);
    }
    for (unsigned i = 0; i < 512; i++) {
        pae_pd[i] = (uint64_t)i << 21 | 0x83;
    }
    memset(pae_pdpt, 0, sizeof(pae_pdpt));
    pae_pdpt[0] = (uintptr_t)pae_pd | 1;
    set_controls(VMCS_ENTRY_CONTROLS, 0x490, 0);
    vmwrite(VMCS_GUEST_ES_SEL + 2, SEL_KERNEL32);
    vmwrite(VMCS_GUEST_ES_RIGHTS + 2, 0xc09b);
    vmwrite(VMCS_GUEST_CR3, (uintptr_t)pae_pdpt);
    vmwrite(VMCS_GUEST_PDPTE0, pae_pdpt[0]);
    vmwrite(VMCS_EXCEPTION_BITMAP, 1 << 13);
    guest_stack[0] = 0x77;
    regs[1] = (uintptr_t)guest_stack;
}

static void test_pae(void)
{
    set_pae(false);
    check(enter(), REASON_VMCALL, "PAE");
    check(regs[2] << 32 | regs[3], 0x7700000077, "PAE: what was loaded");
    check(pae_pdpt[0], (uintptr_t)pae_pd | 1, "PAE: PDPTE is unchanged");
    set_pae(false);
    pae_pdpt[3] = 3;
    check(enter(), REASON_BAD_GUEST, "PAE: reserved bit");
    check(get(VMCS_EXIT_QUALIFICATION), 2, "PAE: reserved bit, qualification");
    /* The flag of the PDPTE that is not there does not count. */
    set_pae(false);
    pae_pdpt[3] = 2;
    check(enter(), REASON_VMCALL, "PAE: absent entry");

    /* With EPT the VMCS has them, until the guest writes to CR3. */
    set_pae(true);
    pae_pdpt[1] = 3;
    check(enter(), REASON_EXCEPTION, "PAE, EPT: reserved bit, MOV to CR3");
    check(get(VMCS_EXIT_EVENT), EVENT(3, 13) | EVENT_ERROR,
          "PAE, EPT: reserved bit, event");
    check(regs[2], 0x77, "PAE, EPT: what was loaded");
    check(get(VMCS_GUEST_PDPTE0), (uintptr_t)pae_pd | 1,
          "PAE, EPT: saved");
    set_pae(true);
    vmwrite(VMCS_GUEST_PDPTE0 + 6, 1 << 8 | 1);
    check(enter(), REASON_BAD_GUEST, "PAE, EPT: reserved bit in the VMCS");
    set_pae(true);
    pae_pdpt[2] = 0x5001;
    check(enter(), REASON_VMCALL, "PAE, EPT");
    check(get(VMCS_GUEST_PDPTE0 + 4), 0x5001, "PAE, EPT: loaded and saved");
    set_pae(true);
    ept[2][100] = 0;
    vmwrite(VMCS_GUEST_CR3, 100ull << 21);
    check(enter(), REASON_EPT, "PAE, EPT: MOV to CR3");
    check(get(VMCS_EXIT_QUALIFICATION), 1,
          "PAE, EPT: MOV to CR3, qualification");
    check(get(VMCS_GUEST_PHYS_ADDR), 100ull << 21,
          "PAE, EPT: MOV to CR3, address");
}

/* The PMU */

/* Fixed counter 0 and two others count in the guest, and nowhere else. */
static void set_counting(void (*code)(void))
{
    set_vmcs(code);
    set_controls(VMCS_EXIT_CONTROLS, 0x48f, EXIT_HOST_64 | EXIT_GLOBAL_CTRL);
    set_controls(VMCS_ENTRY_CONTROLS, 0x490, ENTRY_IA32E | ENTRY_GLOBAL_CTRL);
    vmwrite(VMCS_GUEST_PERF_GLOBAL_CTRL, 3 | 1ull << 32);
    vmwrite(VMCS_HOST_PERF_GLOBAL_CTRL, 0);
    wrmsr(MSR_GLOBAL_CTRL, 0);
    wrmsr(MSR_FIXED_CTR_CTRL, 3);
    wrmsr(MSR_FIXED_CTR0, 0);
    wrmsr(MSR_PERFEVTSEL0, EV_LOADS | EVTSEL_OS | EVTSEL_EN);
    wrmsr(MSR_PERFEVTSEL0 + 1, EV_STORES | EVTSEL_OS | EVTSEL_EN);
    wrmsr(MSR_PMC0, 0);
    wrmsr(MSR_PMC0 + 1, 0);
}

static void test_counting_insns(void)
{
    set_counting(guest_count_io);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, PRIMARY_IO);
    check(enter(), REASON_IO, "counting: I/O");
    check(rdmsr(MSR_FIXED_CTR0), 1, "counting: I/O does not retire");
    vmwrite(VMCS_GUEST_RIP, get(VMCS_GUEST_RIP) + 2);
    check(resume(), REASON_VMCALL, "counting: after I/O");
    check(rdmsr(MSR_FIXED_CTR0), 2, "counting: what is after I/O");

    set_counting(guest_count_masked);
    vmwrite(VMCS_CR0_MASK, CR0_TS);
    check(enter(), REASON_VMCALL, "counting: masked CR0");
    check(rdmsr(MSR_FIXED_CTR0), 3, "counting: masked CR0, instructions");
    check(rdmsr(MSR_PMC0), 1, "counting: masked CR0, LMSW loads");
    check(rdmsr(MSR_PMC0 + 1), 1, "counting: masked CR0, SMSW stores");
    wrmsr(MSR_PERFEVTSEL0, 0);
    wrmsr(MSR_PERFEVTSEL0 + 1, 0);
}

static void test_counting(void)
{
    if (!pmu_version) {
        skip("counting", "no PMU");
        return;
    }
    test_counting_insns();
    set_counting(guest_count);
    check(enter(), REASON_CPUID, "counting");
    check(rdmsr(MSR_GLOBAL_CTRL), 0, "counting: the host's control");
    check(rdmsr(MSR_FIXED_CTR0), 7, "counting: instructions of the guest");
    vmwrite(VMCS_GUEST_RIP, get(VMCS_GUEST_RIP) + 2);
    check(resume(), REASON_VMCALL, "counting: resumed");
    check(rdmsr(MSR_FIXED_CTR0), 7, "counting: VMCALL does not retire");

    /* All is counted: VMLAUNCH and what is around it, and the guest's. */
    set_vmcs(guest_count);
    wrmsr(MSR_FIXED_CTR0, 0);
    wrmsr(MSR_GLOBAL_CTRL, 1ull << 32);
    enter();
    wrmsr(MSR_GLOBAL_CTRL, 0);
    result(rdmsr(MSR_FIXED_CTR0) > 7 + 30, "counting: both");
    wrmsr(MSR_FIXED_CTR_CTRL, 0);
}

/* Meanwhile tests/vmx/run migrates the machine. */
static void test_long(void)
{
    set_counting(guest_long);
    check(enter(), REASON_VMCALL, "long");
    check(rdmsr(MSR_FIXED_CTR0), 1 + 2 * 0x10000000ull, "long: instructions");
    wrmsr(MSR_FIXED_CTR_CTRL, 0);
}

/* The parts of struct ds that matter, in ept_page; the buffer follows. */
#define DS_PEBS                 4
#define DS_INDEX                (DS_PEBS + 1)
#define DS_RESET                (DS_PEBS + 4)
#define DS_BUFFER               256
#define VALUE_MASK              ((1ull << 48) - 1)

/*
 * Counter 0 makes a record of the guest's third instruction, when EPT maps the
 * DS area with @rights.  Returns the area's guest-physical address.
 */
static uint64_t set_pebs(uint64_t rights)
{
    uint64_t area;

    set_ept(guest_count, rights);
    set_controls(VMCS_EXIT_CONTROLS, 0x48f, EXIT_HOST_64 | EXIT_GLOBAL_CTRL);
    set_controls(VMCS_ENTRY_CONTROLS, 0x490, ENTRY_IA32E | ENTRY_GLOBAL_CTRL);
    vmwrite(VMCS_GUEST_PERF_GLOBAL_CTRL, 1);
    area = regs[0];
    memset(ept_page, 0, sizeof(ept_page));
    ept_page[DS_PEBS] = area + DS_BUFFER * 8;
    ept_page[DS_INDEX] = area + DS_BUFFER * 8;
    ept_page[DS_PEBS + 2] = area + sizeof(ept_page);
    ept_page[DS_PEBS + 3] = area + sizeof(ept_page);
    ept_page[DS_RESET] = -5 & VALUE_MASK;
    wrmsr(MSR_DS_AREA, area);
    wrmsr(MSR_PMC0, -3 & VALUE_MASK);
    wrmsr(MSR_PERFEVTSEL0, 0x4300c0);
    wrmsr(MSR_PEBS_ENABLE, 1);
    return area;
}

/* The record has waited for its memory, which is there now. */
static void check_pebs(const char *what)
{
    uint64_t *record = &ept_page[DS_BUFFER];

    ept[2][100] |= 7;
    check(resume(), REASON_CPUID, "%s: resumed", what);
    check(ept_page[DS_INDEX] - ept_page[DS_PEBS], 32, "%s: index", what);
    check(record[1], (uintptr_t)guest_count + 6, "%s: instruction", what);
    check(record[2], 1, "%s: counter", what);
    check(rdmsr(MSR_PMC0), -1 & VALUE_MASK, "%s: reloaded", what);
}

static void test_pebs(void)
{
    static const struct {
        const char *what;
        uint64_t rights, qualification, offset;
    } cases[] = {
        { "PEBS: no DS area", 6 << 3, 0x10181, DS_PEBS * 8 },
        { "PEBS: no buffer", 6 << 3 | 5, 0x101aa, DS_BUFFER * 8 },
    };

    /* Baseline: a record of 32 bytes, the second of which is the address */
    if (!pmu_version || !(rdmsr(MSR_PERF_CAPABILITIES) & 1 << 14)) {
        skip("PEBS", "no PEBS with baseline");
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *what = cases[i].what;
        uint64_t area = set_pebs(cases[i].rights);

        check(enter(), REASON_EPT, "%s: reason", what);
        check(get(VMCS_EXIT_QUALIFICATION), cases[i].qualification,
              "%s: qualification", what);
        check(get(VMCS_GUEST_PHYS_ADDR), area + cases[i].offset,
              "%s: address", what);
        check(get(VMCS_GUEST_LINEAR_ADDR), area + cases[i].offset,
              "%s: linear", what);
        check(get(VMCS_GUEST_RIP), (uintptr_t)guest_count + 8, "%s: RIP", what);
        check(rdmsr(MSR_PMC0), 0, "%s: not reloaded yet", what);
        /* It is tried again, and again there is nothing. */
        check(resume(), REASON_EPT, "%s: again", what);
        check(get(VMCS_EXIT_QUALIFICATION), cases[i].qualification,
              "%s: qualification again", what);
        check(get(VMCS_GUEST_RIP), (uintptr_t)guest_count + 8, "%s: RIP again",
              what);
        check_pebs(what);
    }

    /* An event that was to be injected is reported, not delivered. */
    set_pebs(6 << 3);
    enter();
    vmwrite(VMCS_ENTRY_EVENT, EVENT(2, 2));
    check(resume(), REASON_EPT, "PEBS: injection");
    check(get(VMCS_IDT_EVENT), EVENT(2, 2), "PEBS: injected event");
    check_pebs("PEBS: injection");

    /* The hypervisor uses the counter for something else. */
    set_pebs(6 << 3);
    enter();
    wrmsr(MSR_PMC0, 0);
    ept[2][100] |= 7;
    check(resume(), REASON_CPUID, "PEBS: given up");
    check(ept_page[DS_INDEX], ept_page[DS_PEBS], "PEBS: given up, no record");
    check(rdmsr(MSR_PMC0), 4, "PEBS: given up, value");
    wrmsr(MSR_PEBS_ENABLE, 0);
    wrmsr(MSR_PERFEVTSEL0, 0);
}

/* Entries that fail */

static void test_bad_entries(void)
{
    static const struct {
        uint32_t field;
        uint64_t value;
        uint64_t result;
    } bad[] = {
        { VMCS_PIN_CONTROLS, 0, 2 << 16 | 7 },
        { VMCS_PRIMARY_CONTROLS, -1u, 2 << 16 | 7 },
        { VMCS_MSR_BITMAP, 1, 2 << 16 | 7 },
        { VMCS_CR3_TARGET_COUNT, 5, 2 << 16 | 7 },
        { VMCS_ENTRY_EVENT, EVENT(1, 3), 2 << 16 | 7 },
        { VMCS_ENTRY_EVENT, EVENT(3, 13), 2 << 16 | 7 },
        { VMCS_HOST_CR0, 0, 2 << 16 | 8 },
        { VMCS_HOST_CR4, 0, 2 << 16 | 8 },
        { VMCS_HOST_CS_SEL, 0, 2 << 16 | 8 },
        { VMCS_HOST_TR_SEL, 3, 2 << 16 | 8 },
        { VMCS_HOST_RIP, 1ull << 62, 2 << 16 | 8 },
        { VMCS_GUEST_CR0, 0, REASON_BAD_GUEST },
        { VMCS_GUEST_CR3, 1ull << 60, REASON_BAD_GUEST },
        { VMCS_GUEST_CR4, 0, REASON_BAD_GUEST },
        { VMCS_GUEST_RFLAGS, 0, REASON_BAD_GUEST },
        { VMCS_GUEST_RIP, 1ull << 62, REASON_BAD_GUEST },
        { VMCS_GUEST_TR_RIGHTS, 0x89, REASON_BAD_GUEST },
        { VMCS_GUEST_ES_RIGHTS + 2, 0xe09b, REASON_BAD_GUEST },
        { VMCS_GUEST_ES_RIGHTS, 0x0093, REASON_BAD_GUEST },
        { VMCS_GUEST_GDTR_LIMIT, 0x10000, REASON_BAD_GUEST },
        { VMCS_GUEST_ACTIVITY, 2, REASON_BAD_GUEST },
        { VMCS_GUEST_BLOCKING, 3, REASON_BAD_GUEST },
        { VMCS_LINK_PTR, 1, REASON_BAD_GUEST },
        { VMCS_ENTRY_MSR_LOAD_COUNT, 1, REASON_BAD_MSR },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        set_vmcs(guest_nothing);
        /* A list with an entry that must not be in one */
        memset(page_bitmap[1], 0, 16);
        *(uint32_t *)page_bitmap[1] = 0xc0000100;
        vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, (uintptr_t)page_bitmap[1]);
        vmwrite(bad[i].field, bad[i].value);
        check(enter(), bad[i].result, "bad field 0x%x", bad[i].field);
    }
    set_vmcs(guest_nothing);
    check(enter(), REASON_VMCALL, "a good one");
    check(vmx_enter(regs, true), 2, "VMLAUNCH again");
    check(get(VMCS_INSN_ERROR), 4, "VMLAUNCH again, error");
}

/* Nonsense: whatever the VMCS has, the hypervisor gets the processor back. */

static uint64_t random_state = 88172645463325252;

/* Marsaglia's xorshift */
static uint64_t random64(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

/*
 * EPT has one page for all addresses, which can only be read and executed, and
 * is full of VMCALL.  So the guest can neither change memory nor loop.
 */
static void set_trap(void)
{
    static const uint8_t vmcall[] = { 0x0f, 0x01, 0xc1 };

    set_vmcs(guest_nothing);
    for (unsigned i = 0; i < 512; i++) {
        ept[0][i] = (uintptr_t)ept[1] | 7;
        ept[1][i] = (uintptr_t)ept[2] | 7;
        ept[2][i] = (uintptr_t)ept_page | 7;
        ept_page[i] = (uintptr_t)page_bitmap[1] | 6 << 3 | 5;
    }
    for (unsigned i = 0; i < sizeof(page_bitmap[1]); i++) {
        page_bitmap[1][i] = vmcall[i % 3];
    }
    set_controls(VMCS_SECONDARY_CONTROLS, 0x48b, SECONDARY_EPT);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e,
                 PRIMARY_SECONDARY | PRIMARY_HLT);
    vmwrite(VMCS_EPT_PTR, (uintptr_t)ept[0] | 3 << 3 | 6);
}

static uint64_t random_value(uint64_t old)
{
    switch (random64() % 6) {
    case 0:
        return 0;
    case 1:
        return -1ull;
    case 2:
        return 1ull << (random64() % 64);
    case 3:
        return random64();
    default:
        return old ^ 1ull << (random64() % 64);
    }
}

static void test_nonsense(void)
{
    /* All but the host's state, where memory is, and lists of MSRs */
    static const uint32_t fields[][2] = {
        { VMCS_GUEST_ES_SEL, VMCS_GUEST_TR_SEL },
        { VMCS_GUEST_DEBUGCTL, VMCS_GUEST_PDPTE0 + 6 },
        { VMCS_PIN_CONTROLS, VMCS_EXIT_CONTROLS },
        { VMCS_ENTRY_CONTROLS, VMCS_ENTRY_CONTROLS },
        { VMCS_ENTRY_EVENT, VMCS_SECONDARY_CONTROLS },
        { VMCS_GUEST_ES_LIMIT, VMCS_GUEST_BLOCKING },
        { VMCS_GUEST_SYSENTER_CS, VMCS_GUEST_SYSENTER_CS },
        { VMCS_CR0_MASK, VMCS_CR3_TARGET0 + 6 },
        { VMCS_GUEST_CR0, VMCS_GUEST_SYSENTER_EIP },
    };
    unsigned entered = 0, refused = 0;

    for (unsigned turn = 0; turn < 5000; turn++) {
        set_trap();
        for (unsigned n = random64() % 3; n < 3; n++) {
            const uint32_t *range = fields[random64() % ARRAY_SIZE(fields)];
            uint32_t field = range[0] +
                random64() % ((range[1] - range[0]) / 2 + 1) * 2;

            vmwrite(field, random_value(get(field)));
        }
        vmwrite(VMCS_EXIT_CONTROLS, get(VMCS_EXIT_CONTROLS) & ~EXIT_LOAD_EFER);
        if (enter() >> 16) {
            refused++;
        } else {
            entered++;
        }
    }
    check(entered + refused, 5000, "nonsense: turns");
    result(entered > 500 && refused > 500, "nonsense: both outcomes");
}

/*
 * Random instructions, one for each entry: with TF set, all exceptions exit, and
 * so does every instruction that can.  The guest sees all memory, but cannot
 * change it.
 */

static void random_insn(uint8_t *code)
{
    static const uint8_t prefixes[] = {
        0x66, 0x67, 0xf0, 0xf2, 0xf3, 0x2e, 0x36, 0x65, 0x41, 0x44, 0x48, 0x4f,
    };
    static const uint8_t one_byte[] = {
        0x6c, 0x6d, 0x6e, 0x6f, 0xe4, 0xe5, 0xe6, 0xe7, 0xec, 0xed, 0xee, 0xef,
        0x90, 0xcc, 0xcd, 0xf1, 0xf4, 0xea, 0xff,
    };
    static const uint8_t two_bytes[] = {
        0x00, 0x01, 0x06, 0x08, 0x09, 0x0b, 0x20, 0x21, 0x22, 0x23, 0x30, 0x31,
        0x32, 0x33, 0x38, 0x78, 0x79, 0xa2, 0xae, 0xc7,
    };
    uint64_t random[2] = { random64(), random64() };

    memcpy(code, random, 16);
    for (unsigned n = random64() % 4; n; n--) {
        *code++ = prefixes[random64() % sizeof(prefixes)];
    }
    switch (random64() % 4) {
    case 0:
        *code = one_byte[random64() % sizeof(one_byte)];
        break;
    case 1:
        break;
    default:
        *code++ = 0x0f;
        *code++ = two_bytes[random64() % sizeof(two_bytes)];
        if (code[-1] == 0x38) {
            *code = 0x80 | random64() % 4;
        }
    }
}

/* 0: 64-bit mode, 1: protected mode without paging, 2: real mode */
static void set_random(unsigned mode)
{
    const uintptr_t code = (uintptr_t)page_bitmap[1];
    const uint32_t few = PRIMARY_WINDOW | PRIMARY_NMI_WINDOW |
                         PRIMARY_IO_BITMAPS | PRIMARY_MSR_BITMAPS;
    const uint64_t paging = 1ull << 31;

    set_ept(guest_nothing, 6 << 3 | 5);
    for (unsigned i = 0; i < 512; i++) {
        ept[2][i] &= ~2ull;
    }
    ept[1][3] &= ~2ull;
    vmwrite(VMCS_EPT_PTR, (uintptr_t)ept[0] | 3 << 3 | 6);
    set_controls(VMCS_PRIMARY_CONTROLS, 0x48e, ~few);
    set_controls(VMCS_SECONDARY_CONTROLS, 0x48b,
                 SECONDARY_EPT | SECONDARY_DESC | SECONDARY_RDTSCP |
                 SECONDARY_WBINVD | SECONDARY_UNRESTRICTED);
    vmwrite(VMCS_EXCEPTION_BITMAP, -1u);
    vmwrite(VMCS_CR0_MASK, -1ull);
    vmwrite(VMCS_CR4_MASK, -1ull);
    vmwrite(VMCS_GUEST_RFLAGS, 2 | FLAGS_TF);
    vmwrite(VMCS_GUEST_RIP, code);
    for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
        regs[i] = random_value(code);
    }
    memset(page_bitmap[1], 0xf4, sizeof(page_bitmap[1]));
    random_insn(page_bitmap[1]);
    if (mode) {
        set_controls(VMCS_ENTRY_CONTROLS, 0x490, 0);
        vmwrite(VMCS_GUEST_CR0, read_cr(0) & ~(paging | (mode == 2)));
        vmwrite(VMCS_GUEST_ES_RIGHTS + 2, 0xc09b);
    }
    if (mode == 2) {
        vmwrite(VMCS_GUEST_RIP, 0);
        vmwrite(VMCS_GUEST_ES_BASE + 2, code);
        vmwrite(VMCS_GUEST_ES_RIGHTS + 2, 0x809b);
    }
}

static void test_random_insns(void)
{
    unsigned bad = 0, reasons = 0;
    bool seen[64] = {};

    for (unsigned turn = 0; turn < 6000; turn++) {
        uint64_t reason;

        set_random(turn % 3);
        reason = enter();
        if (reason >= ARRAY_SIZE(seen) || get(VMCS_EXIT_INSN_LENGTH) > 15) {
            if (!bad++) {
                check(reason, 0, "turn %u, length %u", turn,
                      (unsigned)get(VMCS_EXIT_INSN_LENGTH));
            }
            continue;
        }
        reasons += !seen[reason];
        seen[reason] = true;
    }
    check(bad, 0, "random instructions: each ends with a VM exit");
    result(reasons > 20, "random instructions: %u reasons", reasons);
}

/* The APIC, the firmware's ROM, and an address where nothing is */
static const uint64_t nowhere[] = { 0xfee00000, 0xfffff000, 1ull << 38 };

static void test_nowhere(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(nowhere); i++) {
        set_vmcs(guest_nothing);
        result(vmptrld(nowhere[i]), "nowhere, %u: VMPTRLD", i);
        check(vmclear(nowhere[i]), 0, "nowhere, %u: VMCLEAR", i);
        set_trap();
        vmwrite(VMCS_EPT_PTR, nowhere[i] | 3 << 3 | 6);
        check(enter() | 1, REASON_EPT | 1, "nowhere, %u: EPT", i);
        set_vmcs(guest_rdmsr);
        vmwrite(VMCS_MSR_BITMAP, nowhere[i]);
        result(enter() < REASON_PAUSE, "nowhere, %u: MSR bitmap", i);
        set_vmcs(guest_nothing);
        vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, nowhere[i]);
        vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, -1u);
        check(enter(), REASON_BAD_MSR, "nowhere, %u: list", i);
    }
    /* An EPT that is its own lower level, and a VMCS that is its own list */
    set_trap();
    for (unsigned i = 0; i < 512; i++) {
        ept[0][i] = (uintptr_t)ept[0] | 7;
    }
    result(enter() >> 16 == 0, "EPT that refers to itself");
    set_vmcs(guest_nothing);
    vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, (uintptr_t)page_vmcs);
    vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    /* The revision is the number of an MSR that TCG ignores. */
    check(enter(), REASON_VMCALL, "list in the VMCS");
}

void ap_main(struct cpu *cpu)
{
}

/* The command line, a number: where to begin with what is random.  0: none */
static uint64_t get_seed(void)
{
    uint64_t seed = 0;
    uint8_t c;

    outw(0x510, 0x15); /* fw_cfg */
    while ((c = inb(0x511)) >= '0' && c <= '9') {
        seed = seed * 10 + c - '0';
    }
    return seed;
}

static void test_what_is_known(void)
{
    test_fields();
    test_highest_index();
    test_insns();
    test_tsc_aux();
    test_tsc_store();
    test_masks();
    test_bitmaps();
    test_exceptions();
    test_reserved_bit();
    test_debug();
    test_debug_pending();
    test_injection();
    test_ept();
    test_ept_walk();
    test_pae();
    test_counting();
    test_pebs();
    test_lbr();
    test_bad_entries();
}

void main(void)
{
    const uint64_t seed = get_seed();
    uint32_t r[4];

    test_reserved_bits();
    cpuid(1, r);
    if (!(r[2] & 1 << 5)) {
        skip("all", "no VMX");
        return;
    }
    revision = rdmsr(0x480);
    check(rdmsr(0x480) >> 32 & 0x1fff, 4096, "size of a VMCS");
    /* Four levels, write-back, 2 MiB, 1 GiB; all kinds of INVEPT and INVVPID */
    check(rdmsr(0x48c) & 0xf0106334041, 0xf0106334041, "IA32_VMX_EPT_VPID_CAP");
    write_cr4(read_cr(4) | 1 << 13);
    /* The firmware may have done it. */
    if (!(rdmsr(0x3a) & 1)) {
        wrmsr(0x3a, 5);
    }
    check(rdmsr(0x3a), 5, "IA32_FEATURE_CONTROL");
    result(!try_wrmsr(0x3a, 0), "IA32_FEATURE_CONTROL is locked");
    for (unsigned i = 0; i < 32; i++) {
        uint64_t address = (uintptr_t)guest_stubs + i * 16;

        guest_idt[i] = (struct gate) {
            .offset0 = address,
            .offset1 = address >> 16,
            .selector = SEL_KERNEL,
            .type = GATE_KERNEL,
        };
    }
    test_instructions();
    if (seed) {
        test_long();
        random_state = seed * 0x9e3779b97f4a7c15 | 1;
    } else {
        test_what_is_known();
    }
    test_nonsense();
    test_random_insns();
    test_nowhere();
    asm volatile("vmxoff");
    write_cr4(read_cr(4) & ~(1ull << 13));
    result(true, "VMXOFF");
}
