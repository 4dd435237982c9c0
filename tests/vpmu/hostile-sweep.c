/*
 * Every register of the PMU with every kind of value; a part of hostile.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "hostile.h"

#define CR4_PCE         UINT64_C(0x100)

const uint64_t places[] = {
    /* Firmware: below 1 MiB, and below 4 GiB */
    0xf0000, 0xfffc0000,
    /* Devices: the I/O APIC, HPET, the local APIC and the end of its page */
    0xfec00000, 0xfed00000, APIC, APIC + 0xff0,
    /* Nothing, and no memory */
    0xd0000000, 0x3ff00000,
    /* Not mapped: the window, 2 GiB, the upper half */
    WINDOW, 0x80000000, -(UINT64_C(1) << 47),
    /* Across the canonical limit, and the end of all */
    (UINT64_C(1) << 47) - 0x40, -UINT64_C(0x28),
};
const unsigned nr_places = ARRAY_SIZE(places);

/* The PMU's registers, what lies between them, and those of branches */
static const struct range {
    uint32_t first, last;
} intel_ranges[] = {
    { MSR_PERFCTR0 - 1, MSR_PERFCTR0 + 8 },
    { MSR_PERFEVTSEL0 - 1, MSR_PERFEVTSEL0 + 8 },
    { MSR_MISC_ENABLE, MSR_MISC_ENABLE },
    { MSR_LBR_SELECT, MSR_LBR_TOS },
    { MSR_DEBUGCTL, MSR_DEBUGCTL },
    { MSR_FIXED_CTR0, MSR_FIXED_CTR0 + 4 },
    { MSR_PERF_CAPABILITIES, MSR_PERF_CAPABILITIES },
    { MSR_FIXED_CTR_CTRL, MSR_GLOBAL_INUSE },
    { MSR_PEBS_ENABLE, MSR_PEBS_LD_LAT + 1 },
    { MSR_PMC0, MSR_PMC0 + 8 },
    { MSR_DS_AREA, MSR_DS_AREA },
    { MSR_LBR_FROM, MSR_LBR_TO + 32 },
    { MSR_LBR_INFO, MSR_LBR_INFO + 32 },
    { MSR_ARCH_LBR_INFO, MSR_ARCH_LBR_INFO + 32 },
    { MSR_ARCH_LBR_CTL, MSR_ARCH_LBR_DEPTH },
    { MSR_ARCH_LBR_FROM, MSR_ARCH_LBR_FROM + 32 },
    { MSR_ARCH_LBR_TO, MSR_ARCH_LBR_TO + 32 },
}, amd_ranges[] = {
    { MSR_K7_CTL0 - 1, MSR_K7_CTR0 + 4 },
    { MSR_AMD_STATUS - 1, MSR_AMD_STATUS_SET + 1 },
    { MSR_AMD_CTL0 - 1, MSR_AMD_CTL0 + 16 },
    { MSR_DEBUGCTL, MSR_DEBUGCTL },
};

/* Those on which the others depend: any of them half the time */
static const uint32_t intel_controls[] = {
    MSR_PERFEVTSEL0, MSR_PERFEVTSEL0 + 1, MSR_PMC0, MSR_PMC0 + 1,
    MSR_FIXED_CTR_CTRL, MSR_GLOBAL_CTRL, MSR_GLOBAL_OVF_CTRL,
    MSR_GLOBAL_STATUS_SET, MSR_DEBUGCTL, MSR_PEBS_ENABLE, MSR_PEBS_DATA_CFG,
    MSR_DS_AREA, MSR_LBR_SELECT, MSR_ARCH_LBR_CTL, MSR_ARCH_LBR_DEPTH,
}, amd_controls[] = {
    MSR_AMD_CTL0, MSR_AMD_CTR0, MSR_AMD_CTL0 + 2, MSR_AMD_CTR0 + 2,
    MSR_K7_CTL0, MSR_K7_CTR0, MSR_AMD_GLOBAL_CTL, MSR_AMD_STATUS_CLR,
    MSR_AMD_STATUS_SET,
};

static unsigned nr_ranges(void)
{
    return on_amd ? ARRAY_SIZE(amd_ranges) : ARRAY_SIZE(intel_ranges);
}

static const struct range *nth_range(unsigned n)
{
    return on_amd ? &amd_ranges[n] : &intel_ranges[n];
}

static uint32_t nth_control(unsigned n)
{
    return on_amd ? amd_controls[n % ARRAY_SIZE(amd_controls)] :
                    intel_controls[n % ARRAY_SIZE(intel_controls)];
}

/* An event that there is, and any modifiers */
static uint64_t wild_select(uint64_t any)
{
    unsigned kind = any >> 60;
    uint64_t event = kind & 1 ? EV_INSNS :
                     kind & 2 ? (on_amd ? AMD_BRANCHES : EV_BRANCHES) :
                                (on_amd ? AMD_LOADS : EV_LOADS);

    any &= EVTSEL_CMASK(1) | 0x9f0000;
    any |= EVTSEL_EN | event;
    return kind & 4 ? any & ~(uint64_t)EVTSEL_OS : any;
}

static uint64_t wild_amd(uint64_t any, uint32_t msr)
{
    switch (msr) {
    case MSR_AMD_CTL0 ... MSR_AMD_CTL0 + 11:
        return (msr - MSR_AMD_CTL0) & 1 ? pmu_minus(1 + any % 100) :
                                          wild_select(any);
    case MSR_K7_CTL0 ... MSR_K7_CTL0 + 3:
        return wild_select(any);
    case MSR_K7_CTR0 ... MSR_K7_CTR0 + 3:
        return pmu_minus(1 + any % 100);
    case MSR_AMD_GLOBAL_CTL ... MSR_AMD_STATUS_SET:
        return any & pmu_counters;
    default:
        return any;
    }
}

static uint64_t wild_value(struct local *l, uint32_t msr)
{
    uint64_t any = random_of(l);

    if (on_amd) {
        return wild_amd(any, msr);
    }
    switch (msr) {
    case MSR_PERFEVTSEL0 ... MSR_PERFEVTSEL0 + 7:
        return wild_select(any);
    case MSR_PMC0 ... MSR_PMC0 + 7:
    case MSR_FIXED_CTR0 ... MSR_FIXED_CTR0 + 2:
        return pmu_minus(1 + any % 100);
    case MSR_FIXED_CTR_CTRL:
        return any & 0xbbb;
    case MSR_GLOBAL_CTRL:
    case MSR_GLOBAL_OVF_CTRL:
    case MSR_GLOBAL_STATUS_SET:
    case MSR_PEBS_ENABLE:
        return any & pmu_counters;
    case MSR_DEBUGCTL:
        return any & 0x1fc1;
    case MSR_DS_AREA:
        return places[any % nr_places];
    case MSR_PEBS_DATA_CFG:
        return any & 0xff00000f;
    case MSR_LBR_SELECT:
        return any & 0x3ff;
    case MSR_ARCH_LBR_CTL:
        return any & 0x7f000f;
    case MSR_ARCH_LBR_DEPTH:
        return 8u << (any % 3);
    default:
        return any;
    }
}

/* Anything: no bits, one, all, or many */
static uint64_t any_value(struct local *l)
{
    uint64_t any = random_of(l);

    switch (any >> 62) {
    case 0:
        return UINT64_C(1) << (any & 63);
    case 1:
        return any & 1 ? 0 : UINT64_MAX;
    case 2:
        return (uint32_t)any;
    default:
        return random_of(l);
    }
}

static uint32_t any_register(struct local *l)
{
    const struct range *r = nth_range(random_of(l) % nr_ranges());

    return r->first + random_of(l) % (r->last - r->first + 1);
}

void write_wild(struct local *l)
{
    uint64_t any = random_of(l);
    uint32_t msr = any & 1 ? nth_control(any / 2) : any_register(l);

    /* Other processors' features are behind other bits of this one. */
    if (msr != MSR_MISC_ENABLE) {
        try_wrmsr(msr, any & 0x700 ? wild_value(l, msr) : any_value(l));
    }
}

/* Registers of which a write starts or stops what others have */
static void stop_again(uint32_t msr)
{
    switch (msr) {
    case MSR_GLOBAL_CTRL:
    case MSR_AMD_GLOBAL_CTL:
    case MSR_DEBUGCTL:
    case MSR_ARCH_LBR_CTL:
        try_wrmsr(msr, 0);
        break;
    }
}

/*
 * One register gets one value.  A write that faults changes nothing; what can
 * be read after one that does not can be written, and reads back.
 */
static bool try_register(uint32_t msr, uint64_t value)
{
    uint64_t before = 0, after = 0, again = 0;
    bool readable = try_rdmsr(msr, &before);
    bool done = try_wrmsr(msr, value);
    bool good = try_rdmsr(msr, &after) == readable;

    if (!done) {
        good &= before == after;
    } else if (readable && (msr < MSR_PERFCTR0 || msr >= MSR_PERFCTR0 + 8)) {
        good &= try_wrmsr(msr, after) && try_rdmsr(msr, &again) &&
                again == after;
    }
    stop_again(msr);
    return good;
}

void sweep_quiet(struct cpu *me)
{
    struct local *l = local_of(me);
    uint64_t misc = on_amd ? 0 : rdmsr(MSR_MISC_ENABLE);

    quiet(me);
    for (unsigned r = 0; r < nr_ranges(); r++) {
        const struct range *range = nth_range(r);

        for (uint32_t msr = range->first; msr <= range->last; msr++) {
            for (unsigned n = 0; n < 12; n++) {
                l->bad += !try_register(msr, n & 1 ? any_value(l) :
                                                     wild_value(l, msr));
            }
        }
    }
    if (!on_amd) {
        wrmsr(MSR_MISC_ENABLE, misc);
    }
}

/* All that can happen is that the guest gets nowhere. */
void sweep_wild(struct cpu *me)
{
    struct local *l = local_of(me);
    uint64_t value;

    for (unsigned turn = 0; turn < 30; turn++) {
        quiet(me);
        for (unsigned n = 0; n < 30; n++) {
            write_wild(l);
            try_rdmsr(any_register(l), &value);
            apic_write(APIC_LVTPC, n & 1 ? APIC_NMI : VECTOR_PMI);
            try_rdpmc(random_of(l), &value);
        }
        run_code(me, turn & 1 ? body_call_code : body_fault_code, true,
                 FLAGS_IF | FLAGS_IOPL3, random_of(l) & pmu_counters);
    }
}

/* RDPMC of the indices at RSI, up to RDX; at RDI: how many there are. */
asm(".globl user_rdpmc_all\n"
    "user_rdpmc_all:\n"
    "lea 2f(%rip), %r15\n"
    "mov (%rsi), %r8d\n"
    "1: add $4, %rsi\n"
    "mov (%rsi), %ecx\n"
    "rdpmc\n"
    "incl (%rdi)\n"
    "2: dec %r8d\n"
    "jnz 1b\n"
    "ret");

static void rdpmc_in_ring3(struct cpu *me, bool pce, unsigned want)
{
    struct local *l = local_of(me);
    uint32_t *got = (uint32_t *)me->buffer[0];
    uint32_t *index = (uint32_t *)me->buffer[1];

    write_cr4(pce ? read_cr4() | CR4_PCE : read_cr4() & ~CR4_PCE);
    quiet(me);
    *got = 0;
    run_code(me, user_rdpmc_all, true, FLAGS_IOPL3,
             pmu_count(0, EV_INSNS, RING3, 1000));
    l->bad += *got != want || l->faults != index[0] - want;
}

void sweep_rdpmc(struct cpu *me)
{
    static const uint32_t flags[] = {
        0, 1u << 31, 1u << 30, 3u << 30, 1u << 29, 1u << 28, 0x10000, 0x100,
    };
    uint32_t *index = (uint32_t *)me->buffer[1];
    unsigned n = 0;

    for (unsigned f = 0; f < ARRAY_SIZE(flags); f++) {
        for (unsigned i = 0; i < 64; i++) {
            index[++n] = flags[f] | i;
        }
    }
    index[0] = n;
    rdpmc_in_ring3(me, true, on_amd ? pmu_gp : 2 * (pmu_gp + 3));
    rdpmc_in_ring3(me, false, 0);
}
