/*
 * AMD's PMU: registers, counts without global registers, overflow, SVM, SMM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The test works on every AMD CPU model: CPUID says what to expect.  Counts of
 * all kinds of code are count.c's, which needs PerfMonV2.
 */
#include "rt.h"
#include "amd.h"

#define CTL_RESERVED    (UINT64_C(0xfffffff0) << 32 | 0x280000)
#define CTL_GUEST       (UINT64_C(1) << 40)
#define CTL_HOST        (UINT64_C(1) << 41)
#define CTL_HIGH        (UINT64_C(0xf) << 32)

#define MSR_EFER        0xc0000080
#define EFER_SVME       (1u << 12)
#define MSR_HSAVE       0xc0010117

#define VECTOR_PMI      0x31
#define VECTOR_NMI      2

#define COUNT_BOTH      (EVTSEL_EN | EVTSEL_USR | EVTSEL_OS)

static struct cpu *const cpu = &cpus[0];
static bool core, v2, svm;

/* The interrupts that have come.  volatile: their handler changes them. */
static volatile unsigned hits;
/* volatile: likewise */
static volatile uint64_t hit_rip, hit_status, hit_lvtpc;

static bool on_pmi(struct frame *frame)
{
    if (frame->vector != VECTOR_PMI && frame->vector != VECTOR_NMI) {
        return false;
    }
    hits++;
    hit_rip = frame->rip;
    hit_lvtpc = apic_read(APIC_LVTPC);
    hit_status = v2 ? rdmsr(MSR_AMD_STATUS) : 0;
    if (frame->vector == VECTOR_PMI) {
        apic_write(APIC_EOI, 0);
    }
    return true;
}

static void clear(void)
{
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(msr_select(i), 0);
        wrmsr(msr_value(i), 0);
    }
    if (v2) {
        wrmsr(MSR_AMD_GLOBAL_CTL, pmu_counters);
        wrmsr(MSR_AMD_STATUS_CLR, pmu_counters);
    }
    hits = 0;
}

/* Registers */

static void absent(uint32_t msr)
{
    uint64_t value;

    result(!try_rdmsr(msr, &value), "read 0x%x: #GP", msr);
    result(!try_wrmsr(msr, 0), "write 0x%x: #GP", msr);
}

static void test_counter(uint32_t select, uint32_t value)
{
    uint64_t all = ~(CTL_RESERVED | EVTSEL_EN) |
                   (svm ? CTL_GUEST | CTL_HOST : 0);

    keeps(value, 0x123456789abc, 0x123456789abc, "48 bits");
    keeps(value, ~UINT64_C(0), COUNTER_MASK, "more bits: ignored");
    keeps(value, 0, 0, "zero");
    keeps(select, ~(uint64_t)EVTSEL_EN, all, "reserved bits: ignored");
    keeps(select, CTL_HIGH | 0xff, CTL_HIGH | 0xff, "12 bits of an event");
    keeps(select, 0, 0, "zero");
}

static void test_aliases(void)
{
    for (unsigned i = 0; i < 6; i++) {
        uint32_t select = MSR_AMD_CTL0 + 2 * i, value = MSR_AMD_CTR0 + 2 * i;

        if (!core || i >= pmu_gp) {
            absent(select);
            absent(value);
            continue;
        }
        test_counter(select, value);
        if (i < 4) {
            wrmsr(select, 0x1100 + i);
            wrmsr(value, 0x2200 + i);
            check(rdmsr(MSR_K7_CTL0 + i), 0x1100 + i, "PERF_CTL%u is one", i);
            check(rdmsr(MSR_K7_CTR0 + i), 0x2200 + i, "PERF_CTR%u is one", i);
        }
    }
}

static void test_global(void)
{
    static const uint32_t msrs[] = {
        MSR_AMD_STATUS, MSR_AMD_GLOBAL_CTL, MSR_AMD_STATUS_CLR,
        MSR_AMD_STATUS_SET,
    };

    if (!v2) {
        for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++) {
            absent(msrs[i]);
        }
        return;
    }
    keeps(MSR_AMD_GLOBAL_CTL, ~UINT64_C(0), pmu_counters, "all bits");
    keeps(MSR_AMD_GLOBAL_CTL, 0, 0, "none");
    keeps(MSR_AMD_STATUS, 1, 0, "read-only: ignored");
    keeps(MSR_AMD_STATUS_SET, ~UINT64_C(0), 0, "all bits");
    check(rdmsr(MSR_AMD_STATUS), pmu_counters, "status: all are set");
    keeps(MSR_AMD_STATUS_CLR, 1, 0, "one bit");
    check(rdmsr(MSR_AMD_STATUS), pmu_counters & ~UINT64_C(1),
          "status: one is clear");
    keeps(MSR_AMD_STATUS_CLR, ~UINT64_C(0), 0, "all bits");
    check(rdmsr(MSR_AMD_STATUS), 0, "status: all are clear");
}

static void test_rdpmc(void)
{
    for (unsigned i = 0; i < 12; i++) {
        uint64_t value = 0;
        bool done;

        if (i < pmu_gp) {
            wrmsr(msr_value(i), 0xfedcba987654 + i);
        }
        done = try_rdpmc(i, &value);
        if (i < pmu_gp) {
            check(value, 0xfedcba987654 + i, "RDPMC %u", i);
        } else {
            result(!done, "RDPMC %u: #GP", i);
        }
    }
    result(!try_rdpmc(1u << 30, &(uint64_t){ 0 }), "RDPMC of a fixed one: #GP");
}

static void test_registers(void)
{
    uint32_t r[4];

    cpuid(0, r);
    if (r[0] >= 0xa) {
        cpuid(0xa, r);
        check(r[0] | r[1] | r[2] | r[3], 0, "CPUID leaf 0xA is empty");
    }
    check(rdmsr(msr_select(0)) | rdmsr(msr_value(0)), 0, "after reset");
    if (v2) {
        check(rdmsr(MSR_AMD_GLOBAL_CTL), pmu_counters, "after reset: global");
    }
    for (unsigned i = 0; i < 4; i++) {
        if (i < pmu_gp) {
            test_counter(MSR_K7_CTL0 + i, MSR_K7_CTR0 + i);
        } else {
            absent(MSR_K7_CTL0 + i);
            absent(MSR_K7_CTR0 + i);
        }
    }
    test_aliases();
    test_global();
    test_rdpmc();
}

/* The WRMSR that starts a counter is not counted; that which stops it is. */

static uint64_t count(uint64_t select, void (*code)(void))
{
    clear();
    amd_count(msr_select(0), select, code);
    return rdmsr(msr_value(0));
}

/* CPUID leaf 1 */
static unsigned cpu_model(void)
{
    unsigned extended;
    uint32_t r[4];

    cpuid(1, r);
    extended = r[0] >> 16 & 0xf;
    return extended << 4 | (r[0] >> 4 & 0xf);
}

static void test_counts(void)
{
    unsigned family = cpu_family();
    const struct {
        const char *name;
        uint64_t select;
        bool exists;
        unsigned want;
    } table[] = {
        { "instructions", AMD_INSNS, true, AMD_CODE_INSNS },
        { "cycles", AMD_CYCLES, true, AMD_CODE_INSNS },
        { "branches", AMD_BRANCHES, true, AMD_CODE_BRANCHES },
        { "taken branches", AMD_TAKEN, true, AMD_CODE_TAKEN },
        { "far branches", AMD_FAR, true, AMD_CODE_FAR },
        { "near returns", AMD_RETURNS, family >= 0xf, AMD_CODE_RETURNS },
        { "conditional branches", AMD_COND, family >= 0x17, AMD_CODE_COND },
        { "loads", AMD_LOADS, family >= 0x15 && family != 0x16,
          AMD_CODE_LOADS },
        { "stores", AMD_STORES, family >= 0x15 && family != 0x16,
          AMD_CODE_STORES },
        { "fixed-frequency cycles", UINT64_C(1) << 32 | 0x0120,
          family == 0x19 && cpu_model() >= 0x10, AMD_CODE_INSNS },
        { "Intel's cycles", EV_CYCLES, false, 0 },
        { "instructions, upper bits of the event", AMD_INSNS | CTL_HIGH,
          false, 0 },
        { "instructions, cmask=2", AMD_INSNS | EVTSEL_CMASK(2), true, 0 },
        { "branches, cmask=1,inv", AMD_BRANCHES | EVTSEL_CMASK(1) | EVTSEL_INV,
          true, AMD_CODE_INSNS - AMD_CODE_BRANCHES },
    };

    for (unsigned t = 0; t < ARRAY_SIZE(table); t++) {
        check(count(table[t].select | COUNT_BOTH, amd_code),
              table[t].exists ? table[t].want : 0, "%s", table[t].name);
        check(count(table[t].select | EVTSEL_EN | EVTSEL_USR, amd_code), 0,
              "%s, user", table[t].name);
    }
}

/* Overflow */

static void overflow(uint64_t select, unsigned n, const char *want,
                     uint32_t lvtpc, const char *what)
{
    clear();
    apic_write(APIC_LVTPC, lvtpc);
    wrmsr(msr_value(0), -(uint64_t)n & COUNTER_MASK);
    asm volatile("sti");
    amd_count(msr_select(0), select | COUNT_BOTH | EVTSEL_INT, amd_code);
    asm volatile("cli");
    check(hits, 1, "%s: interrupts", what);
    check(hit_rip, (uint64_t)want, "%s: place", what);
    check(hit_lvtpc, lvtpc, "%s: LVTPC is not masked", what);
    check(hit_status, v2, "%s: status", what);
    if (v2) {
        check(rdmsr(MSR_AMD_STATUS), 1, "%s: status stays", what);
    }
}

static void test_overflow(void)
{
    /* CALL and the first three NOPs; CALL and the inner CALL */
    overflow(AMD_INSNS, 4, amd_after_nops, VECTOR_PMI, "fourth instruction");
    overflow(AMD_BRANCHES, 2, amd_callee, VECTOR_PMI, "second branch");
    overflow(AMD_INSNS, 4, amd_after_nops, APIC_NMI, "as an NMI");

    /* It comes again, though nobody has unmasked it. */
    clear();
    apic_write(APIC_LVTPC, VECTOR_PMI);
    wrmsr(msr_value(0), COUNTER_MASK);
    wrmsr(msr_value(1), COUNTER_MASK - 2);
    wrmsr(msr_select(1), AMD_BRANCHES | COUNT_BOTH | EVTSEL_INT);
    asm volatile("sti");
    amd_count(msr_select(0), AMD_INSNS | COUNT_BOTH | EVTSEL_INT, amd_code);
    asm volatile("cli");
    wrmsr(msr_select(1), 0);
    check(hits, 2, "two counters: interrupts");
    clear();
    wrmsr(msr_value(0), COUNTER_MASK);
    asm volatile("sti");
    amd_count(msr_select(0), AMD_INSNS | COUNT_BOTH, amd_code);
    asm volatile("cli");
    check(hits, 0, "no interrupt without the bit for it");
    check(rdmsr(msr_value(0)), AMD_CODE_INSNS - 1, "it goes on from 0");
}

/* SVM: the guest executes ten NOPs and VMMCALL, which is intercepted. */

static uint8_t vmcb[4096] __attribute__((aligned(4096)));
static uint8_t hsave[4096] __attribute__((aligned(4096)));

static void put(unsigned offset, uint64_t value, unsigned size)
{
    memcpy(vmcb + offset, &value, size);
}

static void put_segment(unsigned offset, unsigned selector, unsigned attributes)
{
    put(offset, selector, 2);
    put(offset + 2, attributes, 2);
    put(offset + 4, 0xffffffff, 4);
    put(offset + 8, 0, 8);
}

static uint64_t read_cr0(void)
{
    uint64_t value;

    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static uint64_t read_cr3(void)
{
    uint64_t value;

    asm volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}

/* APM volume 2, "Layout of VMCB" */
static void prepare_guest(void)
{
    memset(vmcb, 0, sizeof(vmcb));
    put(0x010, 1 | 1 << 1, 8);          /* intercept VMRUN, VMMCALL */
    put(0x058, 1, 4);                   /* ASID */
    put_segment(0x400, SEL_KDATA, 0xc93);
    put_segment(0x410, SEL_KERNEL, 0xa9b);
    put_segment(0x420, SEL_KDATA, 0xc93);
    put_segment(0x430, SEL_KDATA, 0xc93);
    put(0x4d0, rdmsr(MSR_EFER), 8);
    put(0x548, read_cr4(), 8);
    put(0x550, read_cr3(), 8);
    put(0x558, read_cr0(), 8);
    put(0x560, 0x400, 8);               /* DR7 */
    put(0x568, 0xffff0ff0, 8);          /* DR6 */
    put(0x570, 2, 8);                   /* RFLAGS */
    put(0x578, (uint64_t)amd_guest, 8); /* RIP */
    put(0x5d8, (uint64_t)hsave, 8);     /* RSP, not used */
}

/* amd_enter: the count with these bits */
static uint64_t count_modes(uint64_t bits)
{
    clear();
    prepare_guest();
    amd_enter_guest(msr_select(0), AMD_INSNS | COUNT_BOTH | bits,
                    (uint64_t)vmcb);
    return rdmsr(msr_value(0));
}

static void test_svm(void)
{
    uint64_t efer = rdmsr(MSR_EFER);

    wrmsr(MSR_HSAVE, (uint64_t)hsave);
    wrmsr(MSR_EFER, efer | EFER_SVME);
    check(count_modes(0), AMD_HOST_INSNS + AMD_GUEST_INSNS, "SVM: neither bit");
    check(*(uint64_t *)(vmcb + 0x70), 0x81, "SVM: the exit is VMMCALL");
    check(count_modes(CTL_GUEST | CTL_HOST),
          AMD_HOST_INSNS + AMD_GUEST_INSNS, "SVM: both bits");
    check(count_modes(CTL_GUEST), AMD_GUEST_INSNS, "SVM: guest only");
    check(count_modes(CTL_HOST), AMD_HOST_INSNS, "SVM: host only");

    wrmsr(MSR_EFER, efer);
}

/* Without SVM the bits have no effect; EFER decides while it counts. */
static void test_svm_off(void)
{
    uint64_t efer = rdmsr(MSR_EFER);
    uint64_t before;

    check(count(AMD_INSNS | COUNT_BOTH | CTL_GUEST, amd_code), AMD_CODE_INSNS,
          "SVM is off: guest only");
    check(count(AMD_INSNS | COUNT_BOTH | CTL_HOST, amd_code), AMD_CODE_INSNS,
          "SVM is off: host only");
    clear();
    wrmsr(msr_select(0), AMD_INSNS | COUNT_BOTH | CTL_GUEST);
    wrmsr(MSR_EFER, efer | EFER_SVME);
    before = rdmsr(msr_value(0));
    amd_code();
    check(rdmsr(msr_value(0)), before, "EFER.SVME stops a guest's counter");
    result(before > 0, "it has counted before");
    wrmsr(MSR_EFER, efer);
    clear();
}

/*
 * SMM clears EFER, and with SVME the effect of the bits: both counters count
 * the firmware's handler.  Nobody knows how long that is; the rest is known.
 */
static void test_smm(void)
{
    uint64_t efer = rdmsr(MSR_EFER);
    uint64_t handler;

    wrmsr(MSR_EFER, efer | EFER_SVME);
    clear();
    wrmsr(msr_select(1), AMD_INSNS | COUNT_BOTH | CTL_GUEST);
    amd_count(msr_select(0), AMD_INSNS | COUNT_BOTH | CTL_HOST, amd_smi);
    handler = rdmsr(msr_value(1));
    result(handler > 0, "SMM: guest only");
    check(rdmsr(msr_value(0)) - handler, AMD_SMI_INSNS, "SMM: host only");
    amd_code();
    check(rdmsr(msr_value(1)), handler, "after SMM: guest only");
    wrmsr(MSR_EFER, efer);
    clear();
}

void ap_main(struct cpu *me)
{
}

void main(void)
{
    uint32_t r[4];

    if (!on_amd) {
        skip("all", "needs an AMD processor");
        return;
    }
    cpuid(0x80000001, r);
    core = r[2] >> 23 & 1;
    svm = r[2] >> 2 & 1;
    v2 = pmu_version == 2;
    print("# family 0x%x, %u counters, PerfMonV2 %u, SVM %u\n", cpu_family(),
          pmu_gp, v2, svm);
    trap_hook = on_pmi;
    set_gate(cpu, 0x40, h_iret);
    test_registers();
    test_counts();
    test_overflow();
    if (svm) {
        test_svm();
        test_svm_off();
        test_smm();
    }
}
