/*
 * The registers: what is there, what faults, what reset and INIT do
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The test works with any pmu-version and pmu-gp-counters: CPUID leaf 0xA says
 * what to expect.  The machine resets itself once in the middle; the
 * battery-backed memory keeps how far the test is and what it has found.
 */
#include "rt.h"
#include "regs.h"

#define ANY_THREAD      (1u << 21)

#define CMOS_PHASE      0x70
#define CMOS_RESULTS    0x71
#define PHASE_RESET     0xa5

#define CAP_FULL_WIDTH  (1u << 13)
/* PEBS records are trap-like and have the general-purpose registers. */
#define CAP_PEBS        0xc0
#define CAP_FORMAT      0xf00
#define CAP_BASELINE    (1u << 14)
/* Format of last branch records */
#define CAP_LBR         0x3f

#define EMON            (1u << 7)
#define NO_BTS          (1u << 11)
#define NO_PEBS         (1u << 12)

#define CR4_PCE         UINT64_C(0x100)

#define MSR_ARCH_CAPABILITIES   0x10a
/* RDCL_NO, SKIP_L1DFL_VMENTRY, MDS_NO, PSCHANGE_MC_NO, TAA_NO */
#define ARCH_CAPABILITIES       0x169

/* A register that neither the emulator nor KVM knows */
#define MSR_UNKNOWN     0x3f3

static bool ds, pebs, baseline, bts;
static unsigned format, lbr;
static bool arch_lbr;

static const uint32_t pebs_msrs[] = {
    MSR_DS_AREA, MSR_PEBS_ENABLE, MSR_PEBS_LD_LAT, MSR_PEBS_DATA_CFG,
};
static const uint32_t lbr_msrs[] = {
    MSR_LBR_SELECT, MSR_LBR_TOS, MSR_LBR_FROM, MSR_LBR_FROM + 31, MSR_LBR_TO,
    MSR_LBR_TO + 31, MSR_LBR_INFO, MSR_LBR_INFO + 31,
    MSR_ARCH_LBR_CTL, MSR_ARCH_LBR_FROM, MSR_ARCH_LBR_FROM + 31,
    MSR_ARCH_LBR_TO, MSR_ARCH_LBR_TO + 31, MSR_ARCH_LBR_INFO,
    MSR_ARCH_LBR_INFO + 31,
};

/* One CPU's registers, for INIT. */
static uint64_t ap_seen[20];
/* volatile: the CPUs tell each other. */
static volatile unsigned ap_phase;

/* A write that must fault, and must change nothing. */
static void faults(uint32_t msr, uint64_t value, const char *what)
{
    uint64_t before = 0, after = 0;
    bool readable = try_rdmsr(msr, &before);
    bool done = try_wrmsr(msr, value);

    if (readable) {
        try_rdmsr(msr, &after);
    }
    result(!done && before == after, "write 0x%lx to 0x%x: #GP (%s)", value,
           msr, what);
}

static void absent(uint32_t msr, const char *what)
{
    uint64_t value;

    result(!try_rdmsr(msr, &value), "read 0x%x: #GP (%s)", msr, what);
    result(!try_wrmsr(msr, 0), "write 0x%x: #GP (%s)", msr, what);
}

/* Which bits of MISC_ENABLE tell that there is a PMU. */
static uint64_t misc_bits(void)
{
    return EMON | (bts ? 0 : NO_BTS) | (pebs ? 0 : NO_PEBS);
}

static void read_pebs(void)
{
    uint32_t r[4];

    cpuid(1, r);
    ds = r[3] >> 21 & 1;
    bts = r[2] >> 4 & 1; /* DS_CPL: here it comes with BTS */
    format = (rdmsr(MSR_PERF_CAPABILITIES) & CAP_FORMAT) >> 8;
    pebs = ds && format;
    baseline = rdmsr(MSR_PERF_CAPABILITIES) & CAP_BASELINE;
    lbr = rdmsr(MSR_PERF_CAPABILITIES) & CAP_LBR;
    arch_lbr = lbr == CAP_LBR;
}

static void test_cpuid(void)
{
    uint64_t capabilities = rdmsr(MSR_PERF_CAPABILITIES);
    uint32_t r[4];

    cpuid(0xa, r);
    result(pmu_version >= 2 && pmu_version <= 5, "CPUID: version");
    result(pmu_gp >= 1 && pmu_gp <= 8, "CPUID: number of counters");
    check(pmu_width, 48, "CPUID: width");
    check(r[0] >> 24, 7, "CPUID: length of the event mask");
    check(r[1], pmu_simulates ? 0x04 : 0x5c, "CPUID: events that are not available");
    check(r[2], pmu_version >= 5 ? 7 : 0, "CPUID: mask of fixed counters");
    check(r[3], 3 | 48 << 5 | (pmu_version >= 5 || on_kvm ? 1 << 15 : 0),
          "CPUID: fixed counters, no AnyThread");
    cpuid(1, r);
    check(r[2] >> 15 & 1, 1, "CPUID: PDCM");
    check(r[2] >> 2 & 1, ds, "CPUID: DTES64");
    check(capabilities & ~(uint64_t)(CAP_FORMAT | CAP_BASELINE | CAP_LBR),
          CAP_FULL_WIDTH | (pebs ? CAP_PEBS : 0),
          "PERF_CAPABILITIES: full-width writes, PEBS");
    result(!pebs ? !format : format == 4 || (format < 4 && !baseline),
           "PERF_CAPABILITIES: record format %u, baseline %u", format,
           baseline);
    result(!lbr || (lbr >= 5 && lbr <= 7) || arch_lbr,
           "PERF_CAPABILITIES: LBR format %u", lbr);
    cpuid(7, r);
    check(r[3] >> 19 & 1, arch_lbr, "CPUID: architectural LBR");
    if (arch_lbr) {
        cpuid(0x1c, r);
        check(r[0], 0xb, "CPUID: depths of 8, 16 and 32");
        check(r[1], 7, "CPUID: filters and call stack");
        check(r[2], 7, "CPUID: cycles and types");
        check(r[3], 0, "CPUID: nothing else about LBR");
    }
    faults(MSR_PERF_CAPABILITIES, capabilities, "read-only");
}

/* @when: after power-on or reset */
static void test_reset_values(const char *when)
{
    uint64_t value = 1;

    /* With KVM it is 0. */
    if (!on_kvm) {
        check(rdmsr(MSR_GLOBAL_CTRL), (1u << pmu_gp) - 1, "%s: GLOBAL_CTRL",
              when);
    }
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "%s: GLOBAL_STATUS", when);
    check(rdmsr(MSR_FIXED_CTR_CTRL), 0, "%s: FIXED_CTR_CTRL", when);
    check(rdmsr(MSR_DEBUGCTL), 0, "%s: DEBUGCTL", when);
    for (unsigned i = 0; i < pmu_gp; i++) {
        check(rdmsr(MSR_PERFEVTSEL0 + i), 0, "%s: PERFEVTSEL%u", when, i);
        check(rdmsr(MSR_PERFCTR0 + i), 0, "%s: counter %u", when, i);
    }
    for (unsigned j = 0; j < 3; j++) {
        check(rdmsr(MSR_FIXED_CTR0 + j), 0, "%s: fixed counter %u", when, j);
    }
    if (pmu_version >= 4) {
        try_rdmsr(MSR_GLOBAL_INUSE, &value);
        check(value, 0, "%s: GLOBAL_INUSE", when);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pebs_msrs); i++) {
        value = 0;
        try_rdmsr(pebs_msrs[i], &value);
        check(value, 0, "%s: 0x%x", when, pebs_msrs[i]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lbr_msrs); i++) {
        value = 0;
        try_rdmsr(lbr_msrs[i], &value);
        check(value, 0, "%s: 0x%x", when, lbr_msrs[i]);
    }
    if (arch_lbr) {
        check(rdmsr(MSR_ARCH_LBR_DEPTH), 32, "%s: depth of the LBR", when);
    }
    check(rdmsr(MSR_MISC_ENABLE) & (EMON | NO_BTS | NO_PEBS), misc_bits(),
          "%s: MISC_ENABLE", when);
    check(apic_read(APIC_LVTPC), APIC_MASKED, "%s: LVTPC", when);
}

/* There with a PEBS baseline, else it faults. */
static void test_adaptive(uint32_t msr, uint64_t bit)
{
    if (baseline) {
        keeps(msr, bit, bit, "adaptive");
    } else {
        faults(msr, bit, "adaptive");
    }
}

static void test_gp(unsigned i)
{
    uint32_t legacy = MSR_PERFCTR0 + i, full = MSR_PMC0 + i;
    uint32_t select = MSR_PERFEVTSEL0 + i;

    if (i >= pmu_gp) {
        absent(legacy, "no such counter");
        absent(full, "no such counter");
        absent(select, "no such counter");
        return;
    }
    keeps(legacy, 0x7fffffff, 0x7fffffff, "legacy, positive");
    keeps(legacy, 0x80000000, 0xffff80000000, "legacy, sign-extended");
    keeps(legacy, 0xabcd00000001, 1, "legacy, upper half ignored");
    keeps(full, 0x123456789abc, 0x123456789abc, "full width");
    check(rdmsr(legacy), 0x123456789abc, "counter %u, read both ways", i);
    keeps(full, COUNTER_MASK, COUNTER_MASK, "all ones");
    faults(full, COUNTER_MASK + 1, "49 bits");
    faults(full, UINT64_C(1) << 63, "bit 63");
    keeps(full, 0, 0, "zero");

    keeps(select, 0xff9fffff & ~EVTSEL_EN, 0xff9fffff & ~EVTSEL_EN,
          "all valid bits");
    faults(select, UINT64_C(1) << 32, "bit 32");
    faults(select, UINT64_C(1) << 33, "bit 33");
    faults(select, UINT64_C(1) << 35, "bit 35");
    test_adaptive(select, EVTSEL_ADAPTIVE);
    faults(select, UINT64_C(1) << 63, "bit 63");
    if (pmu_version == 3 || pmu_version == 4) {
        keeps(select, ANY_THREAD, ANY_THREAD, "AnyThread");
    } else {
        faults(select, ANY_THREAD, "AnyThread");
    }
    keeps(select, 0, 0, "zero");
}

static void test_fixed(unsigned j)
{
    uint32_t msr = MSR_FIXED_CTR0 + j;

    keeps(msr, 0x123456789abc, 0x123456789abc, "fixed");
    keeps(msr, 0x80000000, 0x80000000, "fixed, not sign-extended");
    if (on_kvm) {
        keeps(msr, COUNTER_MASK + 1, 0, "49 bits, ignored by KVM");
    } else {
        faults(msr, COUNTER_MASK + 1, "49 bits");
    }
    keeps(msr, 0, 0, "zero");
}

static void test_counters(void)
{
    wrmsr(MSR_GLOBAL_CTRL, 0);
    for (unsigned i = 0; i < 8; i++) {
        test_gp(i);
    }
    for (unsigned j = 0; j < 3; j++) {
        test_fixed(j);
    }
    absent(MSR_FIXED_CTR0 + 3, "no such fixed counter");
}

static void test_fixed_ctrl(void)
{
    keeps(MSR_FIXED_CTR_CTRL, 0xbbb, 0xbbb, "all valid bits");
    if (pmu_version == 3 || pmu_version == 4) {
        keeps(MSR_FIXED_CTR_CTRL, 0x444, 0x444, "AnyThread");
    } else {
        faults(MSR_FIXED_CTR_CTRL, 4, "AnyThread");
        faults(MSR_FIXED_CTR_CTRL, 0x400, "AnyThread");
    }
    faults(MSR_FIXED_CTR_CTRL, 0x1000, "a fourth counter");
    faults(MSR_FIXED_CTR_CTRL, UINT64_C(2) << 32, "bit 33");
    faults(MSR_FIXED_CTR_CTRL, UINT64_C(0x1000) << 32,
           "a fourth counter, adaptive");
    for (unsigned j = 0; j < 3; j++) {
        test_adaptive(MSR_FIXED_CTR_CTRL, UINT64_C(1) << (32 + 4 * j));
    }
    keeps(MSR_FIXED_CTR_CTRL, 0, 0, "zero");
}

static void test_global_ctrl(void)
{
    keeps(MSR_GLOBAL_CTRL, pmu_counters, pmu_counters, "every counter");
    faults(MSR_GLOBAL_CTRL, UINT64_C(1) << pmu_gp, "one counter more");
    faults(MSR_GLOBAL_CTRL, UINT64_C(8) << 32, "one fixed counter more");
    faults(MSR_GLOBAL_CTRL, UINT64_C(1) << 48, "metrics");
    faults(MSR_GLOBAL_CTRL, UINT64_C(1) << 63, "bit 63");
    keeps(MSR_GLOBAL_CTRL, 0, 0, "zero");
}

static void test_global_status(void)
{
    faults(MSR_GLOBAL_STATUS, 0, "read-only");
    keeps(MSR_GLOBAL_OVF_CTRL, pmu_counters | OVF_BUF | COND_CHGD, 0,
          "reads 0");
    faults(MSR_GLOBAL_OVF_CTRL, UINT64_C(1) << pmu_gp, "one counter more");
    faults(MSR_GLOBAL_OVF_CTRL, UINT64_C(1) << 55, "no processor trace");
    faults(MSR_GLOBAL_OVF_CTRL, UINT64_C(1) << 60, "no enclaves");
    faults(MSR_GLOBAL_OVF_CTRL, UINT64_C(1) << 61, "no uncore");
    if (pmu_version < 4) {
        faults(MSR_GLOBAL_OVF_CTRL, FROZEN, "before version 4");
        faults(MSR_GLOBAL_OVF_CTRL, LBR_FROZEN, "before version 4");
        absent(MSR_GLOBAL_STATUS_SET, "before version 4");
        absent(MSR_GLOBAL_INUSE, "before version 4");
    }
}

/* Version 4 on */
static void test_status_set(void)
{
    const uint64_t set_mask = pmu_counters | OVF_BUF | LBR_FROZEN | FROZEN;

    keeps(MSR_GLOBAL_OVF_CTRL, FROZEN | LBR_FROZEN, 0, "version 4");
    keeps(MSR_GLOBAL_STATUS_SET, set_mask, 0, "reads 0");
    check(rdmsr(MSR_GLOBAL_STATUS), set_mask, "GLOBAL_STATUS_SET sets");
    wrmsr(MSR_GLOBAL_STATUS_SET, 0);
    check(rdmsr(MSR_GLOBAL_STATUS), set_mask, "... and clears nothing");
    wrmsr(MSR_GLOBAL_OVF_CTRL, 1);
    check(rdmsr(MSR_GLOBAL_STATUS), set_mask & ~UINT64_C(1),
          "GLOBAL_STATUS_RESET clears one bit");
    wrmsr(MSR_GLOBAL_OVF_CTRL, set_mask);
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "... and the others");
    faults(MSR_GLOBAL_STATUS_SET, COND_CHGD, "not to be set");
    faults(MSR_GLOBAL_STATUS_SET, UINT64_C(1) << pmu_gp, "one counter more");
}

/* Version 4 on */
static void test_inuse(void)
{
    const uint32_t select = MSR_PERFEVTSEL0 + pmu_gp - 1;
    const uint64_t last = UINT64_C(1) << (pmu_gp - 1);

    faults(MSR_GLOBAL_INUSE, 0, "read-only");
    wrmsr(select, EV_CYCLES);
    check(rdmsr(MSR_GLOBAL_INUSE), last, "INUSE: a counter");
    wrmsr(select, EV_CYCLES | EVTSEL_INT);
    check(rdmsr(MSR_GLOBAL_INUSE), last | COND_CHGD,
          "INUSE: a counter and its interrupt");
    wrmsr(select, 0);
    wrmsr(MSR_FIXED_CTR_CTRL, 0x820);
    check(rdmsr(MSR_GLOBAL_INUSE), UINT64_C(2) << 32 | COND_CHGD,
          "INUSE: a fixed counter and another one's interrupt");
    wrmsr(MSR_FIXED_CTR_CTRL, 0);
    check(rdmsr(MSR_GLOBAL_INUSE), 0, "INUSE: nothing");
}

static void test_global(void)
{
    test_fixed_ctrl();
    test_global_ctrl();
    test_global_status();
    if (pmu_version >= 4) {
        test_status_set();
        test_inuse();
    }
}

static void test_other(void)
{
    uint64_t misc = rdmsr(MSR_MISC_ENABLE);

    check(misc & (EMON | NO_BTS | NO_PEBS), misc_bits(),
          "MISC_ENABLE: PMU, BTS and PEBS or not");
    if (on_kvm) {
        keeps(MSR_MISC_ENABLE, misc ^ EMON, misc, "read-only bit");
        faults(MSR_MISC_ENABLE, misc ^ NO_BTS, "read-only bit");
        faults(MSR_MISC_ENABLE, misc ^ NO_PEBS, "read-only bit");
    } else {
        keeps(MSR_MISC_ENABLE, misc ^ (EMON | NO_BTS | NO_PEBS), misc,
              "read-only bits");
    }
    keeps(MSR_MISC_ENABLE, misc ^ 1, misc ^ 1, "another bit changes");
    keeps(MSR_MISC_ENABLE, misc, misc, "and back");

    if (on_kvm) {
        /* With VMX it faults, with SVM nothing happens. */
        try_wrmsr(MSR_DEBUGCTL, DEBUGCTL_FREEZE);
        check(rdmsr(MSR_DEBUGCTL), 0, "no freeze on PMI");
        return;
    }
    keeps(MSR_DEBUGCTL, DEBUGCTL_FREEZE, DEBUGCTL_FREEZE, "freeze on PMI");
    keeps(MSR_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_FREEZE_LBRS,
          arch_lbr ? DEBUGCTL_FREEZE_LBRS :
          lbr ? DEBUGCTL_LBR | DEBUGCTL_FREEZE_LBRS : 0,
          "LBR and its freeze");
    keeps(MSR_DEBUGCTL, DEBUGCTL_BTS | DEBUGCTL_BTINT | DEBUGCTL_OFF_OS |
          DEBUGCTL_OFF_USR, bts ? 0x7c0 : 0, "BTS");
    keeps(MSR_DEBUGCTL, 2, 0, "BTF: ignored");
    faults(MSR_DEBUGCTL, UINT64_C(1) << 63, "bit 63");
    keeps(MSR_DEBUGCTL, 0, 0, "zero");
}

/* PEBS */

static bool is_there(uint32_t msr)
{
    switch (msr) {
    case MSR_DS_AREA:
        return ds;
    case MSR_PEBS_ENABLE:
        return pebs;
    case MSR_PEBS_LD_LAT:
        return pebs && !on_kvm;
    case MSR_PEBS_DATA_CFG:
        return baseline;
    case MSR_LBR_SELECT:
    case MSR_LBR_TOS:
    case MSR_LBR_FROM ... MSR_LBR_FROM + 31:
    case MSR_LBR_TO ... MSR_LBR_TO + 31:
        return lbr && !arch_lbr;
    case MSR_LBR_INFO ... MSR_LBR_INFO + 31:
        return lbr == 5 || lbr == 7;
    case MSR_DEBUGCTL:
        return !on_kvm;
    case MSR_ARCH_LBR_CTL:
    case MSR_ARCH_LBR_DEPTH:
    case MSR_ARCH_LBR_FROM ... MSR_ARCH_LBR_FROM + 31:
    case MSR_ARCH_LBR_TO ... MSR_ARCH_LBR_TO + 31:
    case MSR_ARCH_LBR_INFO ... MSR_ARCH_LBR_INFO + 31:
        return arch_lbr;
    default:
        return true;
    }
}

static void test_unknown(uint32_t msr)
{
    uint64_t mine = 0, value = 0;

    check(try_wrmsr(msr, 0x1000), try_wrmsr(MSR_UNKNOWN, 0x1000),
          "write 0x%x: as a register that nobody knows", msr);
    check(try_rdmsr(msr, &mine), try_rdmsr(MSR_UNKNOWN, &value),
          "read 0x%x: as a register that nobody knows", msr);
    check(mine, value, "value of 0x%x: as of a register that nobody knows",
          msr);
}

/* It is not the PMU's, but there is no better place. */
static void test_arch_capabilities(void)
{
    uint32_t r[4];

    cpuid(7, r);
    if (!(r[3] >> 29 & 1)) {
        test_unknown(MSR_ARCH_CAPABILITIES);
        return;
    }
    faults(MSR_ARCH_CAPABILITIES, rdmsr(MSR_ARCH_CAPABILITIES), "read-only");
    /* With KVM it is what the host's kernel makes of it. */
    if (!on_kvm) {
        check(rdmsr(MSR_ARCH_CAPABILITIES), ARCH_CAPABILITIES,
              "ARCH_CAPABILITIES: what the model has and TCG, too");
    }
}

static void test_ds_area(void)
{
    uint32_t r[4];
    uint64_t low;

    /* 57 bits on a processor that has them, in the emulator if they are on. */
    cpuid(7, r);
    low = UINT64_C(1) << (on_kvm && r[2] >> 16 & 1 ? 56 : 47);
    keeps(MSR_DS_AREA, low - 1, low - 1, "canonical");
    keeps(MSR_DS_AREA, -low, -low, "canonical, upper half");
    faults(MSR_DS_AREA, low, "not canonical");
    faults(MSR_DS_AREA, -low - 1, "not canonical");
    faults(MSR_DS_AREA, UINT64_C(1) << 63, "not canonical");
    faults(MSR_DS_AREA, UINT64_C(1) << 56, "not canonical");
    keeps(MSR_DS_AREA, UINT64_MAX, UINT64_MAX, "any alignment");
    keeps(MSR_DS_AREA, 0, 0, "zero");
}

static void test_pebs_enable(void)
{
    uint64_t gp = (1u << pmu_gp) - 1;
    uint64_t fixed = UINT64_C(7) << 32;

    keeps(MSR_PEBS_ENABLE, gp, gp, "every counter");
    if (baseline) {
        keeps(MSR_PEBS_ENABLE, gp | fixed, gp | fixed, "fixed ones, too");
    } else if (format < 4) {
        keeps(MSR_PEBS_ENABLE, UINT64_C(15) << 32, UINT64_C(15) << 32,
              "load latency");
    } else {
        for (unsigned j = 0; j < 3; j++) {
            faults(MSR_PEBS_ENABLE, UINT64_C(1) << (32 + j),
                   "a fixed counter without baseline");
        }
    }
    faults(MSR_PEBS_ENABLE, UINT64_C(1) << pmu_gp, "one counter more");
    faults(MSR_PEBS_ENABLE, (uint64_t)(format < 4 ? 16 : 8) << 32,
           "one fixed counter more");
    if (format == 1) {
        keeps(MSR_PEBS_ENABLE, UINT64_C(1) << 63, UINT64_C(1) << 63,
              "precise store");
    } else {
        faults(MSR_PEBS_ENABLE, UINT64_C(1) << 63, "bit 63");
    }
    keeps(MSR_PEBS_ENABLE, 0, 0, "zero");
}

static void test_pebs(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(pebs_msrs); i++) {
        if (!is_there(pebs_msrs[i])) {
            absent(pebs_msrs[i], "no such PEBS");
        }
    }
    if (is_there(MSR_DS_AREA)) {
        test_ds_area();
    }
    if (is_there(MSR_PEBS_ENABLE)) {
        test_pebs_enable();
    }
    if (is_there(MSR_PEBS_LD_LAT)) {
        keeps(MSR_PEBS_LD_LAT, 0xffff, 0xffff, "largest threshold");
        faults(MSR_PEBS_LD_LAT, 0x10000, "bit 16");
        faults(MSR_PEBS_LD_LAT, UINT64_C(1) << 63, "bit 63");
        keeps(MSR_PEBS_LD_LAT, 0, 0, "zero");
    }
    if (is_there(MSR_PEBS_DATA_CFG)) {
        keeps(MSR_PEBS_DATA_CFG, 0xff00000f, 0xff00000f, "all valid bits");
        faults(MSR_PEBS_DATA_CFG, 1 << 4, "bit 4");
        faults(MSR_PEBS_DATA_CFG, 1 << 23, "bit 23");
        faults(MSR_PEBS_DATA_CFG, UINT64_C(1) << 32, "bit 32");
        faults(MSR_PEBS_DATA_CFG, UINT64_C(1) << 63, "bit 63");
        keeps(MSR_PEBS_DATA_CFG, 0, 0, "zero");
    }
}

/* Last branch records */

static void test_lbr_address(uint32_t msr)
{
    const uint64_t low = UINT64_C(1) << 47;

    keeps(msr, low - 1, low - 1, "canonical");
    keeps(msr, -low, -low, "canonical, upper half");
    if (lbr == 6) {
        /* A flag in bit 63 of FROM, cycles in bits 63:48 of TO */
        keeps(msr, 0x7fff800000001234, 0x7fff800000001234, "any");
    } else {
        faults(msr, low, "not canonical");
        faults(msr, UINT64_C(1) << 63, "not canonical");
    }
    keeps(msr, 0, 0, "zero");
}

static void test_lbr_info(uint32_t msr)
{
    keeps(msr, 0xffff, 0xffff, "cycles");
    keeps(msr, UINT64_C(1) << 63, UINT64_C(1) << 63, "mispredicted");
    faults(msr, 0x10000, "bit 16");
    if (arch_lbr) {
        keeps(msr, UINT64_C(0x1f) << 56, UINT64_C(0x1f) << 56,
              "type, and that there are cycles");
        faults(msr, UINT64_C(1) << 55, "bit 55");
    } else {
        faults(msr, UINT64_C(1) << 60, "bit 60");
    }
    if (lbr != 7) {
        keeps(msr, UINT64_C(6) << 60, UINT64_C(6) << 60, "transactions");
    } else {
        faults(msr, UINT64_C(2) << 60, "no transactions");
        faults(msr, UINT64_C(4) << 60, "no transactions");
    }
    keeps(msr, 0, 0, "zero");
}

static void test_arch_lbr(void)
{
    static const uint8_t bad[] = { 0, 7, 12, 24, 40, 64 };

    keeps(MSR_ARCH_LBR_CTL, 0x7f000e, 0x7f000e, "every bit but enable");
    faults(MSR_ARCH_LBR_CTL, 1 << 4, "bit 4");
    faults(MSR_ARCH_LBR_CTL, 1 << 23, "bit 23");
    keeps(MSR_ARCH_LBR_CTL, 0, 0, "zero");
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        faults(MSR_ARCH_LBR_DEPTH, bad[i], "no such depth");
    }
    for (unsigned depth = 8; depth <= 32; depth *= 2) {
        keeps(MSR_ARCH_LBR_DEPTH, depth, depth, "depth");
        for (unsigned i = 0; i < depth; i++) {
            test_lbr_address(MSR_ARCH_LBR_FROM + i);
            test_lbr_address(MSR_ARCH_LBR_TO + i);
            test_lbr_info(MSR_ARCH_LBR_INFO + i);
            wrmsr(MSR_ARCH_LBR_FROM + i, i + 1);
        }
        if (depth < 32) {
            keeps(MSR_ARCH_LBR_FROM + depth, 1, 0, "above the depth");
        }
        wrmsr(MSR_ARCH_LBR_DEPTH, depth);
        check(rdmsr(MSR_ARCH_LBR_FROM) | rdmsr(MSR_ARCH_LBR_FROM + depth - 1),
              0, "a write of the depth clears the records");
    }
}

/* Drivers look for the records, and count them, by the faults. */
static void test_lbr_absent(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(lbr_msrs); i++) {
        if (!is_there(lbr_msrs[i])) {
            absent(lbr_msrs[i], "no such LBR");
        }
    }
    for (unsigned i = 0; i < 8; i++) {
        absent(MSR_CORE_LBR_FROM + i, "LBR of older processors");
        absent(MSR_CORE_LBR_TO + i, "LBR of older processors");
    }
    absent(MSR_LBR_FROM + 32, "behind the last record");
    absent(MSR_ARCH_LBR_FROM + 32, "behind the last record");
    test_unknown(MSR_LBR_INFO + 32);
    test_unknown(MSR_ARCH_LBR_TO + 32);
    test_unknown(MSR_ARCH_LBR_INFO + 32);
}

static void test_lbr(void)
{
    test_lbr_absent();
    if (arch_lbr) {
        test_arch_lbr();
    }
    if (!lbr || arch_lbr) {
        return;
    }
    keeps(MSR_LBR_SELECT, 0x3ff, 0x3ff, "every filter");
    faults(MSR_LBR_SELECT, 0x400, "bit 10");
    faults(MSR_LBR_SELECT, UINT64_C(1) << 63, "bit 63");
    keeps(MSR_LBR_SELECT, 0, 0, "zero");
    keeps(MSR_LBR_TOS, 31, 31, "the last record");
    faults(MSR_LBR_TOS, 32, "a record too many");
    keeps(MSR_LBR_TOS, 0, 0, "zero");
    for (unsigned i = 0; i < 32; i++) {
        test_lbr_address(MSR_LBR_FROM + i);
        test_lbr_address(MSR_LBR_TO + i);
        if (is_there(MSR_LBR_INFO + i)) {
            test_lbr_info(MSR_LBR_INFO + i);
        }
    }
}

/* RDPMC */

asm(".globl user_rdpmc, count_between\n"
    "user_rdpmc:\n"
    "xor %ecx, %ecx\n"
    "lea 1f(%rip), %r15\n"
    "rdpmc\n"
    "1: ret\n"
    /* Instructions from one reading to the next, the first reading included */
    "count_between:\n"
    "xor %ecx, %ecx\n"
    "rdpmc\n"
    "mov %eax, %ebx\n"
    "nop\n"
    "nop\n"
    "rdpmc\n"
    "sub %ebx, %eax\n"
    "mov %eax, (%rdi)\n"
    "mov $0xc1, %ecx\n"
    "rdmsr\n"
    "mov %eax, %ebx\n"
    "nop\n"
    "rdmsr\n"
    "sub %ebx, %eax\n"
    "mov %eax, 4(%rdi)\n"
    "ret");

static unsigned user_faults;

static bool on_trap(struct frame *frame)
{
    if (frame->vector == 13 && (frame->cs & 3)) {
        user_faults++;
        frame->rip = frame->r15;
        return true;
    }
    return false;
}

static void set_pce(bool on)
{
    write_cr4(on ? read_cr4() | CR4_PCE : read_cr4() & ~CR4_PCE);
}

/* Fast mode, which the emulator has; KVM has none beside CPUID leaf 0xA. */
static void test_fast(uint32_t index, uint32_t want)
{
    uint64_t value = 0;
    bool there = try_rdpmc(index | 1u << 31, &value);

    if (on_kvm) {
        result(!there, "RDPMC 0x%x, fast: #GP", index);
    } else {
        check(value, want, "RDPMC 0x%x, fast", index);
    }
}

static void test_rdpmc(void)
{
    uint64_t value;
    uint32_t *between = (uint32_t *)cpus[0].buffer[0];

    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(MSR_PMC0 + i, 0xa98765432100 + i);
        check(rdpmc(i), 0xa98765432100 + i, "RDPMC %u", i);
        test_fast(i, 0x65432100 + i);
        wrmsr(MSR_PMC0 + i, 0);
    }
    for (unsigned j = 0; j < 3; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, 0xa98765432110 + j);
        check(rdpmc(j | 1u << 30), 0xa98765432110 + j, "RDPMC fixed %u", j);
        test_fast(j | 1u << 30, 0x65432110 + j);
        wrmsr(MSR_FIXED_CTR0 + j, 0);
    }
    result(!try_rdpmc(pmu_gp, &value), "RDPMC: #GP on a counter too many");
    result(!try_rdpmc(8, &value), "RDPMC: #GP on counter 8");
    result(!try_rdpmc(3 | 1u << 30, &value), "RDPMC: #GP on fixed counter 3");
    result(!try_rdpmc(1u << 29, &value), "RDPMC: #GP on metrics");

    trap_hook = on_trap;
    user_faults = 0;
    set_pce(true);
    run_code(&cpus[0], user_rdpmc, true, 0, 0);
    check(user_faults, 0, "RDPMC in ring 3 with CR4.PCE");
    set_pce(false);
    run_code(&cpus[0], user_rdpmc, true, 0, 0);
    check(user_faults, 1, "RDPMC in ring 3 without CR4.PCE: #GP");

    if (ring3_only) {
        return;
    }
    wrmsr(MSR_PERFEVTSEL0, EV_INSNS | EVTSEL_EN | EVTSEL_OS);
    run_code(&cpus[0], count_between, false, 0, 1);
    check(between[0], 4, "RDPMC: instructions since the last one");
    check(between[1], 3, "RDMSR: instructions since the last one");
    wrmsr(MSR_PERFEVTSEL0, 0);
    wrmsr(MSR_PMC0, 0);
}

/* INIT: the second CPU sets its registers, gets INIT, and reads them. */

static const uint32_t init_msrs[] = {
    MSR_PERFEVTSEL0, MSR_PMC0, MSR_FIXED_CTR_CTRL, MSR_FIXED_CTR0,
    MSR_GLOBAL_CTRL, MSR_DS_AREA, MSR_PEBS_ENABLE, MSR_PEBS_LD_LAT,
    MSR_PEBS_DATA_CFG, MSR_LBR_SELECT, MSR_LBR_TOS, MSR_LBR_FROM + 3,
    MSR_LBR_TO + 31, MSR_LBR_INFO, MSR_LBR_INFO + 31, MSR_ARCH_LBR_DEPTH,
    MSR_ARCH_LBR_CTL, MSR_ARCH_LBR_FROM + 15, MSR_ARCH_LBR_INFO, MSR_DEBUGCTL,
};
/* IA32_LBR_CTL lets in no ring; there is no memory for the trace. */
static const uint64_t init_values[] = {
    0x1300c0, 0x1234, 0, 0x5678, 1, 0x123456789000, 1, 0x3f, 0x3000007, 0x2c4,
    17, 0x765432109876, 0x7edcba987654, 0x4321, 0xfedc, 16, 0x7f0009,
    0x1234567890, 0x4567, DEBUGCTL_FREEZE | DEBUGCTL_BTS,
};

void ap_main(struct cpu *cpu)
{
    if (ap_phase == 0) {
        for (unsigned i = 0; i < ARRAY_SIZE(init_msrs); i++) {
            try_wrmsr(init_msrs[i], init_values[i]);
        }
    } else {
        for (unsigned i = 0; i < ARRAY_SIZE(init_msrs); i++) {
            try_rdmsr(init_msrs[i], &ap_seen[i]);
        }
    }
    ap_phase++;
}

static void test_init(void)
{
    if (nr_cpus == 1) {
        skip("INIT", "one CPU");
        return;
    }
    start_cpus();
    while (ap_phase != 1) {
        pause();
    }
    restart_cpus();
    while (ap_phase != 2) {
        pause();
    }
    for (unsigned i = 0; i < ARRAY_SIZE(init_msrs); i++) {
        /* INIT ends the trace, and only the architectural recording. */
        uint64_t cleared = init_msrs[i] == MSR_ARCH_LBR_CTL ? 1 :
                           init_msrs[i] == MSR_DEBUGCTL ? DEBUGCTL_BTS : 0;

        check(ap_seen[i], is_there(init_msrs[i]) ? init_values[i] & ~cleared :
                                                   0,
              "INIT keeps 0x%x", init_msrs[i]);
    }
}

static void reset(void)
{
    /* Something to clear, counters that run and an overflow among it. */
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(MSR_PMC0 + i, COUNTER_MASK);
        wrmsr(MSR_PERFEVTSEL0 + i, EV_INSNS | EVTSEL_EN | EVTSEL_OS);
    }
    wrmsr(MSR_FIXED_CTR0, COUNTER_MASK - 1000);
    wrmsr(MSR_FIXED_CTR_CTRL, 0x333);
    try_wrmsr(MSR_DEBUGCTL, DEBUGCTL_FREEZE);
    for (unsigned i = 0; i < ARRAY_SIZE(pebs_msrs); i++) {
        try_wrmsr(pebs_msrs[i], 1);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(lbr_msrs); i++) {
        try_wrmsr(lbr_msrs[i], 1);
    }
    try_wrmsr(MSR_PEBS_ENABLE, 0); /* or there is no overflow to be seen */
    apic_write(APIC_LVTPC, APIC_MASKED | 0x31);
    wrmsr(MSR_GLOBAL_CTRL, pmu_counters);
    check(rdmsr(MSR_GLOBAL_STATUS) & 1, 1, "an overflow before reset");
    try_wrmsr(MSR_PEBS_ENABLE, 1);

    cmos_write(CMOS_PHASE, PHASE_RESET);
    result_state(cmos_write, CMOS_RESULTS);
    outb(0x64, 0xfe); /* the keyboard controller: reset */
    for (;;) {
        pause();
    }
}

void main(void)
{
    read_pebs();
    if (cmos_read(CMOS_PHASE) == PHASE_RESET) {
        cmos_write(CMOS_PHASE, 0);
        result_resume(cmos_read, CMOS_RESULTS);
        test_reset_values("after reset");
        return;
    }
    test_reset_values("at power-on");
    test_cpuid();
    test_counters();
    test_global();
    test_other();
    test_arch_capabilities();
    test_pebs();
    test_lbr();
    test_rdpmc();
    test_init();
    reset();
}
