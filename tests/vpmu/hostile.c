/*
 * A guest that does its worst, on all CPUs but the first, which counts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Each attack ends by itself.  What it counts is known, as far as it lets that
 * be known; what the first CPU counts meanwhile is always.  With a single CPU,
 * that one attacks.  hostile-sweep.c has what is not about interrupts.
 *
 * With "-append forever" attacks follow each other without end; INIT and reset
 * are not among them.  With "-append eject" all CPUs but the first are thrown
 * away, which nobody has asked for.  With "-append spin" and "-append
 * interrupts" there is no attack, and the PMU is not touched: all CPUs spin, or
 * interrupt themselves.
 */
#include "hostile.h"

#define CMOS_PHASE      0x70
#define CMOS_RESULTS    0x71
/* One more with each reset */
#define PHASE_RESET     0xb0
#define RESETS          3
#define INITS           20

/* ACPI: writing anything switches to the second form; then index and flags */
#define CPU_HOTPLUG     0xaf00
#define CPU_FLAGS       (CPU_HOTPLUG + 4)
#define CPU_EJECT       8

#define APIC_ESR        0x280
#define ESR_RECV_ILLEGAL (1u << 6)

const uint32_t loop_turns = 1000;

struct local locals[MAX_CPUS];
static uint8_t code_pages[MAX_CPUS][8192] __attribute__((aligned(4096)));

static const struct attack *volatile attack; /* volatile: others read it */
/* volatile: the CPUs tell each other. */
static volatile unsigned ticket, finished, restarted;
/* volatile: the first CPU tells the others. */
static volatile bool endless, restarting, spinning, interrupting;

struct local *local_of(struct cpu *me)
{
    return &locals[me->index];
}

uint64_t random_of(struct local *l)
{
    l->random ^= l->random << 13;
    l->random ^= l->random >> 7;
    l->random ^= l->random << 17;
    return l->random;
}

static bool on_trap(struct frame *frame)
{
    struct local *l = local_of(this_cpu());

    switch (frame->vector) {
    case VECTOR_PMI:
    case VECTOR_NMI:
        l->hits++;
        if (l->on_pmi) {
            l->on_pmi(l);
        }
        if (frame->vector == VECTOR_PMI) {
            apic_write(APIC_EOI, 0);
        }
        return true;
    case VECTOR_IPI:
        apic_write(APIC_EOI, 0);
        return true;
    case 6:
    case 13:
        if (frame->cs & 3 && frame->r15) {
            l->faults++;
            frame->rip = frame->r15;
            return true;
        }
        return false;
    default:
        return false;
    }
}

void quiet(struct cpu *me)
{
    struct local *l = local_of(me);

    try_wrmsr(MSR_ARCH_LBR_CTL, 0);
    pmu_clear();
    if (format) {
        pebs_clear(me);
    }
    apic_write(APIC_LVTPC, APIC_MASKED | VECTOR_PMI);
    accept_interrupts();
    l->on_pmi = NULL;
    l->hits = l->faults = 0;
}

/* pmu_count() of the first fixed counter in ring 3; on AMD there is none. */
static uint64_t count_fixed(uint64_t event, uint64_t n)
{
    return pmu_fixed ? pmu_count(FIXED(0), event, RING3, n) : 0;
}

/* Storms: an interrupt at every event, on all counters at once */

static void rearm(struct local *l)
{
    l->bad += pmu_status() != l->bits;
    pmu_acknowledge(l->bits);
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(msr_value(i), COUNTER_MASK);
    }
    for (unsigned j = 0; j < 3 && l->bits >> 32; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, COUNTER_MASK);
    }
    apic_write(APIC_LVTPC, l->lvtpc);
}

/* @fixed: the fixed counters, too; @want: interrupts */
static void storm(struct cpu *me, void (*code)(void), uint64_t event,
                  bool fixed, uint32_t lvtpc, unsigned want)
{
    struct local *l = local_of(me);

    for (unsigned turn = 0; turn < 4; turn++) {
        quiet(me);
        l->on_pmi = rearm;
        l->lvtpc = lvtpc;
        l->bits = 0;
        for (unsigned i = 0; i < pmu_gp; i++) {
            l->bits |= pmu_count(i, event | EVTSEL_INT, RING3, 1);
        }
        for (unsigned j = 0; j < pmu_fixed && fixed; j++) {
            l->bits |= pmu_count(FIXED(j), EVTSEL_INT, RING3, 1);
        }
        apic_write(APIC_LVTPC, lvtpc);
        run_code(me, code, true, FLAGS_IF | FLAGS_IOPL3, l->bits);
        accept_interrupts();
        l->bad += l->hits != want;
    }
}

static void pmi_storm(struct cpu *me)
{
    storm(me, body_insn_code, EV_INSNS, true, VECTOR_PMI, INSNS);
}

static void nmi_storm(struct cpu *me)
{
    storm(me, body_insn_code, EV_INSNS, true, APIC_NMI, INSNS);
}

/* Between two branches is the handler, so that each of them is an edge. */
static void edge_storm(struct cpu *me)
{
    storm(me, body_branch_code, (on_amd ? AMD_BRANCHES : EV_BRANCHES) |
          EVTSEL_EDGE | EVTSEL_CMASK(1), false, VECTOR_PMI, PATTERN_MAX + 2);
}

/* The local APIC delivers no vector below 16. */
static void low_vectors(struct cpu *me)
{
    struct local *l = local_of(me);
    uint32_t masked = on_amd ? 0 : APIC_MASKED;

    for (unsigned vector = 0; vector < 16; vector++) {
        quiet(me);
        apic_write(APIC_LVTPC, vector);
        run_code(me, body_insn_code, true, FLAGS_IF | FLAGS_IOPL3,
                 pmu_count(0, EV_INSNS | EVTSEL_INT, RING3, 10));
        accept_interrupts();
        l->bad += l->hits || pmu_value(0) != INSNS - 10 ||
                  apic_read(APIC_LVTPC) != (masked | vector) ||
                  apic_read(APIC_IRR);
    }
    l->bad += !(apic_read(APIC_ESR) & ESR_RECV_ILLEGAL);
}

/* Interrupts whose handler turns everything upside down */
static void upside_down(struct local *l)
{
    if (!l->left) {
        wrmsr(msr_global_ctrl(), 0);
        return;
    }
    l->left--;
    for (unsigned n = 0; n < 4; n++) {
        write_wild(l);
    }
    pmu_acknowledge(pmu_status());
    wrmsr(msr_global_ctrl(), random_of(l) & pmu_counters);
    apic_write(APIC_LVTPC, random_of(l) & 1 ? APIC_NMI : VECTOR_PMI);
}

static void reprogram(struct cpu *me)
{
    struct local *l = local_of(me);
    uint64_t bits;

    l->left = 500;
    while (l->left) {
        unsigned left = l->left;

        quiet(me);
        l->on_pmi = upside_down;
        bits = pmu_count(0, EV_INSNS | EVTSEL_INT, RING0 | RING3, 10) |
               count_fixed(EVTSEL_INT, 1);
        apic_write(APIC_LVTPC, VECTOR_PMI);
        run_code(me, body_branch_code, left & 1, FLAGS_IF | FLAGS_IOPL3, bits);
        wrmsr(msr_global_ctrl(), 0);
        accept_interrupts();
        l->bad += l->left == left; /* not even one */
    }
    quiet(me);
}

/* Records at every instruction, to places where none can be */

/* Count in ring 3 with records of all counters but one; that one is exact. */
static void record_everything(struct cpu *me)
{
    struct local *l = local_of(me);
    uint64_t bits = pmu_count(FIXED(0), 0, RING3, 100000);

    for (unsigned i = 0; i < pmu_gp; i++) {
        bits |= pmu_count(i, EV_INSNS, RING3, 1);
        pebs_area(me)->reset[i] = COUNTER_MASK;
    }
    wrmsr(MSR_PEBS_ENABLE, bits & UINT32_MAX);
    run_code(me, body_branch_code, true, FLAGS_IF | FLAGS_IOPL3, bits);
    l->bad += pmu_value(FIXED(0)) != pmu_minus(100000) + 3 * PATTERN_MAX + 2;
    l->bad += l->hits;
}

static void record_to(struct cpu *me, uint64_t area, uint64_t at)
{
    struct ds *mine = pebs_area(me);

    quiet(me);
    if (at) {
        mine->base = mine->index = at;
        mine->maximum = at + 65536;
    }
    /* The trace goes to the same place. */
    mine->bts[0] = mine->bts[1] = mine->base;
    mine->bts[2] = mine->maximum;
    if (area) {
        wrmsr(MSR_DS_AREA, area);
    }
    wrmsr(MSR_DEBUGCTL, DEBUGCTL_BTS);
    record_everything(me);
    if (at && !area) {
        local_of(me)->bad += mine->index != at || mine->bts[1] != at;
    }
    wrmsr(MSR_DEBUGCTL, 0);
}

static void bad_areas(struct cpu *me)
{
    for (unsigned i = 0; i < nr_places; i++) {
        record_to(me, places[i], 0);
        record_to(me, 0, places[i]);
        record_to(me, places[i], places[nr_places - 1 - i]);
    }
}

/* Into the page table of the window, above the pages that there are */
static void into_page_table(struct cpu *me)
{
    uint64_t at = (uint64_t)&window_pt[64 + 32 * me->index];

    quiet(me);
    pebs_area(me)->base = pebs_area(me)->index = at;
    pebs_area(me)->maximum = at + 256;
    record_everything(me);
    local_of(me)->bad += pebs_area(me)->index != at + 256 / record_size(0) *
                                                 record_size(0);
    memset((void *)at, 0, 256);
}

/* Into the page that runs: one's own, and one where all CPUs are */
static void into_code(struct cpu *me)
{
    struct local *l = local_of(me);

    for (unsigned turn = 0; turn < 4; turn++) {
        uint8_t *page = code_pages[turn & 1 ? 0 : me->index];

        quiet(me);
        memcpy(page, body_insn, PATTERN_MAX + 1);
        pebs_area(me)->base = pebs_area(me)->index = (uint64_t)page + 1024;
        pebs_area(me)->maximum = (uint64_t)page + 8192;
        run_code(me, (void (*)(void))page, true, 0,
                 pebs_sample(0, EV_INSNS, RING3, 40, 40) |
                 pmu_count(FIXED(0), 0, RING3, 100000));
        l->bad += pmu_value(FIXED(0)) != pmu_minus(100000) + INSNS;
        l->bad += pebs_area(me)->index != (uint64_t)page + 1024 +
                  INSNS / 40 * record_size(0);
    }
}

static const struct attack attacks[] = {
    { "interrupts at every instruction, on all counters", pmi_storm },
    { "NMIs at every instruction, on all counters", nmi_storm },
    { "interrupts at every edge, on all counters", edge_storm },
    { "vectors below 16", low_vectors },
    { "a handler that reprograms everything", reprogram },
    { "records at every instruction to bad places", bad_areas, true },
    { "records into a page table", into_page_table, true },
    { "records into the code that runs", into_code, true },
    { "RDPMC of everything in ring 3", sweep_rdpmc },
    { "all registers, counters off", sweep_quiet },
    { "all registers, counters on", sweep_wild },
};

/* Attack and count */

static void run_attack(struct cpu *me)
{
    uint64_t cr4 = read_cr4();

    attack->run(me);
    quiet(me);
    write_cr4(cr4);
}

/* Count on the first CPU; is it exact? */
static bool witness(void)
{
    uint64_t bits;

    pmu_clear();
    bits = pmu_count(0, EV_INSNS, RING3, 100000) |
           count_fixed(0, 100000);
    run_insns(0, bits);
    return pmu_value(0) == pmu_minus(100000) + INSNS &&
           (!pmu_fixed ||
            pmu_value(FIXED(0)) == pmu_minus(100000) + INSNS);
}

static void attack_with(const struct attack *a)
{
    unsigned rounds = 0, wrong = 0, bad = 0;

    if (a->needs_pebs && !format) {
        return;
    }
    attack = a;
    finished = 0;
    ticket++;
    if (nr_cpus == 1) {
        run_attack(cpu);
    } else {
        do {
            wrong += !witness();
            rounds++;
        } while (finished < nr_cpus - 1);
    }
    for (unsigned i = 0; i < nr_cpus; i++) {
        bad += locals[i].bad;
        locals[i].bad = 0;
    }
    result(!bad, "%s: as expected", a->name);
    if (nr_cpus > 1) {
        check(wrong, 0, "%s: another CPU counts", a->name);
        print("# %u rounds of the other CPU\n", rounds);
    }
}

/* INIT and reset come in the middle of this. */
static void attack_endlessly(struct cpu *me)
{
    quiet(me);
    memset(pebs_buffer(me), GUARD, 65536);
    pebs_area(me)->maximum = pebs_area(me)->base + 32768;
    apic_write(APIC_LVTPC, VECTOR_PMI);
    if (!on_amd) {
        wrmsr(MSR_DEBUGCTL, DEBUGCTL_BTS);
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
    while (endless) {
        if (format) {
            pebs_area(me)->index = pebs_area(me)->base;
            pebs_sample(0, EV_INSNS, RING3, 1, 1);
        }
        run_code(me, body_branch_code, true, FLAGS_IF | FLAGS_IOPL3,
                 1 | count_fixed(0, 100000));
    }
}

/* After INIT: records are there as a whole or not at all. */
static void check_records(struct cpu *me)
{
    struct local *l = local_of(me);
    struct ds *area = pebs_area(me);
    unsigned size, n;

    if (!format) {
        return;
    }
    size = record_size(0);
    n = (area->index - area->base) / size;
    l->bad += (area->index - area->base) % size || rdmsr(MSR_DS_AREA) !=
                                                   (uint64_t)area;
    for (unsigned i = 0; i < n; i++) {
        struct record r = read_record(pebs_buffer(me) + i * size);

        l->bad += r.size != size ||
                  (r.ip - (uint64_t)body_branch > 4 * PATTERN_MAX &&
                   r.ip != (uint64_t)user_exit);
    }
}

/* volatile: the others count. */
static void wait_for_others(const volatile unsigned *count)
{
    while (*count < nr_cpus - 1) {
        pause();
    }
}

static void test_init(void)
{
    unsigned bad = 0;

    if (nr_cpus == 1) {
        skip("INIT in the middle of records", "one CPU");
        return;
    }
    endless = restarting = true;
    for (unsigned n = 0; n < INITS; n++) {
        finished = restarted = 0;
        ticket++;
        wait_for_others(&finished);
        /* Anywhere; PAUSE would give the others too much of a single thread. */
        for (unsigned wait = random_of(&locals[0]) % 100000; wait; wait--) {
            asm volatile("");
        }
        restart_cpus();
        wait_for_others(&restarted);
    }
    endless = restarting = false;
    for (unsigned i = 0; i < nr_cpus; i++) {
        bad += locals[i].bad;
        locals[i].bad = 0;
    }
    check(bad, 0, "INIT in the middle of records");
}

static void reset(unsigned times)
{
    endless = true;
    finished = 0;
    ticket++;
    wait_for_others(&finished);
    cmos_write(CMOS_PHASE, PHASE_RESET + times);
    result_state(cmos_write, CMOS_RESULTS);
    outb(0x64, 0xfe); /* the keyboard controller */
    for (;;) {
        witness();
    }
}

static void after_reset(unsigned times)
{
    result_resume(cmos_read, CMOS_RESULTS);
    check(pmu_status() | rdmsr(MSR_DEBUGCTL) |
          (pmu_fixed ? rdmsr(MSR_FIXED_CTR_CTRL) : 0), 0,
          "reset %u in the middle of records", times);
    check(witness(), true, "reset %u: the first CPU counts", times);
    if (times < RESETS) {
        reset(times + 1);
    }
    cmos_write(CMOS_PHASE, 0);
}

/* What keeps the emulator as busy as an attack, without a PMU */
static void be_busy(void)
{
    while (spinning) {
        if (interrupting) {
            apic_write(APIC_ICR, 0x44000 | VECTOR_IPI);
            accept_interrupts();
        }
    }
}

static void eject_cpus(void)
{
    outb(CPU_HOTPLUG, 0);
    for (unsigned i = 1; i < nr_cpus; i++) {
        for (unsigned wait = random_of(&locals[0]) % 3000000; wait; wait--) {
            asm volatile("");
        }
        outl(CPU_HOTPLUG, i);
        outb(CPU_FLAGS, CPU_EJECT);
        check(inb(CPU_FLAGS) & 1, 0, "CPU %u is away", i);
    }
    check(witness(), true, "the first CPU counts");
}

/* Each CPU but the first: an attack for each ticket */
void ap_main(struct cpu *me)
{
    unsigned seen = 0;

    be_busy();
    if (restarting) {
        check_records(me);
        seen = ticket;
        __atomic_fetch_add(&restarted, 1, __ATOMIC_SEQ_CST);
    }
    for (;;) {
        while (ticket == seen) {
            pause();
        }
        seen++;
        if (endless) {
            attack_endlessly(me);
        } else {
            run_attack(me);
            __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
        }
    }
}

void main(void)
{
    unsigned times = cmos_read(CMOS_PHASE) - PHASE_RESET;
    bool forever = command_line_is("forever");

    interrupting = command_line_is("interrupts");
    spinning = interrupting || command_line_is("spin");
    if (spinning) {
        trap_hook = on_trap;
        start_cpus();
        print("# busy\n");
        be_busy();
    }
    if (command_line_is("eject")) {
        start_cpus();
        locals[0].random = 88172645463325252;
        eject_cpus();
        return;
    }
    if (!on_amd) {
        format = rdmsr(MSR_PERF_CAPABILITIES) >> 8 & 0xf;
        baseline = rdmsr(MSR_PERF_CAPABILITIES) & 1u << 14;
    }
    for (unsigned i = 0; i < MAX_CPUS; i++) {
        locals[i].random = 88172645463325252 + 1000003 * i;
    }
    pmu_start();
    trap_hook = on_trap;
    if (times && times <= RESETS) {
        after_reset(times);
        return;
    }
    do {
        for (unsigned i = 0; i < ARRAY_SIZE(attacks); i++) {
            attack_with(&attacks[i]);
        }
    } while (forever);
    test_init();
    reset(1);
}
