/*
 * Counts that are known by construction, for every event and both rings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cases are in count-cases.S.  Each is run in ring 3 and in ring 0, with
 * every event counted for user and for kernel; all counts must be exact.
 * With KVM it is ring 3 alone, and what is known there, see is_known().
 * With a second CPU, that one runs what it can of the same all the while.
 */
#include "rt.h"
#include "count.h"

/* volatile: handlers change them. */
volatile uint32_t irqs, traps;

/* What run() adds, see rt.h. */
static const Counts run_kernel = {
    [INSN] = 6, [BRANCH] = 2, [CALL] = 1, [RET] = 1, [LOAD] = 1, [STORE] = 1,
    [INDIRECT] = 1,
};
static const Counts run_user = {
    [INSN] = 2, [BRANCH] = 2, [RET] = 1, [LOAD] = 1, [FAR] = 1,
};
static const Counts run_user_kernel = {
    [INSN] = 5, [BRANCH] = 1, [LOAD] = 1, [FAR] = 1,
};

/*
 * The events of target/i386/vpmu/events.h.inc as the SDM defines them.  The
 * first four make the software PMU count only what is cheap.
 */
#define BIT(class) (1u << (class))
static const struct {
    uint16_t code;
    uint16_t add, sub;
} events[] = {
    { 0x00c0, BIT(INSN) },
    { 0x003c, BIT(INSN) },
    { 0x00c4, BIT(BRANCH) },
    { 0x01cb, BIT(IRQ) },
    { 0x01c0, BIT(INSN) },
    { 0x0100, BIT(INSN) },
    { 0x01c4, BIT(TAKEN) },
    { 0x02c4, BIT(CALL) },
    { 0x08c4, BIT(RET) },
    { 0x10c4, BIT(COND), BIT(TAKEN) },
    { 0x11c4, BIT(COND) },
    { 0x20c4, BIT(BRANCH) | BIT(TAKEN), BIT(FAR) | BIT(COND) },
    { 0x40c4, BIT(FAR) },
    { 0x80c4, BIT(INDIRECT) },
    { 0x81d0, BIT(LOAD) },
    { 0x82d0, BIT(STORE) },
};

static uint64_t sum(const Counts counts, uint16_t add, uint16_t sub)
{
    int64_t n = 0;

    for (unsigned c = 0; c < NR_CLASSES; c++) {
        n += add & BIT(c) ? counts[c] : 0;
        n -= sub & BIT(c) ? counts[c] : 0;
    }
    return n;
}

/* What a case is preceded by */

static void default_gates(struct cpu *cpu)
{
    set_gate(cpu, 0, h_skip);
    set_gate(cpu, 1, h_iret);
    set_gate(cpu, 3, h_iret);
    set_gate(cpu, 4, h_iret);
    set_gate(cpu, 6, h_skip);
    set_gate(cpu, 11, h_skip_error);
    set_gate(cpu, 13, h_skip_error);
    set_gate(cpu, 14, h_skip_error);
    set_gate(cpu, VECTOR_IRQ, h_irq);
    set_gate(cpu, 0x40, h_iret);
    set_gate_type(cpu, VECTOR_ABSENT, h_iret, GATE_ABSENT);
    set_gate_type(cpu, VECTOR_KERNEL, h_iret, GATE_KERNEL);
}

static void set_dr(uint64_t address, uint64_t dr7)
{
    asm volatile("mov %0, %%dr0; mov %1, %%dr7"
                 : : "r"(address), "r"(dr7 | 0x400));
}

/* Pages that are absent until the handler maps them. */
void before_window(struct cpu *cpu)
{
    set_gate(cpu, 14, h_map_error);
    rt_window(0);
}

/* Pages that stay absent. */
void before_hole(struct cpu *cpu)
{
    rt_window(0);
}

static void copy_to_page_end(struct cpu *cpu, unsigned before,
                             const uint8_t *code, size_t size)
{
    rt_window(3);
    memcpy((void *)(uintptr_t)(WINDOW + 0x1000 - before), code, size);
    before_window(cpu);
    rt_window(1);
}

void before_fetch(struct cpu *cpu)
{
    static const uint8_t code[] = {
        0x90, 0x90, 0xb8, 1, 2, 3, 4, 0x90, 0xc3
    };

    copy_to_page_end(cpu, 4, code, sizeof(code));
}

void before_fetch2(struct cpu *cpu)
{
    static const uint8_t code[] = { 0x90, 0x90, 0x90, 0xc3 };

    copy_to_page_end(cpu, 2, code, sizeof(code));
}

void before_timer(struct cpu *cpu)
{
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, 0x20000 | VECTOR_IRQ);
    apic_write(APIC_TIMER_INIT, 50000);
}

void before_steps(struct cpu *cpu)
{
    set_gate(cpu, 1, h_trap);
}

void before_breakpoint(struct cpu *cpu)
{
    set_gate(cpu, 1, h_resume);
    set_dr((uint64_t)breakpoint_here, 2);
}

void before_breakpoint_rep(struct cpu *cpu)
{
    set_gate(cpu, 1, h_resume);
    set_dr((uint64_t)breakpoint_rep, 2);
}

/* Writes of any of four bytes. */
void before_watchpoint(struct cpu *cpu)
{
    set_dr((uint64_t)&cpu->buffer[0][0x100], 2 | 0xd << 16);
}

void before_watchpoint_rep(struct cpu *cpu)
{
    before_watchpoint(cpu);
    set_gate(cpu, 1, h_trap);
}

static void after(struct cpu *cpu)
{
    if (cpu->index == 0) {
        apic_write(APIC_LVTT, APIC_MASKED);
        apic_write(APIC_TIMER_INIT, 0);
        asm volatile("sti; nop; nop; cli" : : : "memory");
        set_dr(0, 0);
    }
}

/* Measuring */

/*
 * Events that are counted at a time, each for user and, unless only that is
 * counted, for kernel.
 */
static unsigned group(void)
{
    return ring3_only ? pmu_gp : pmu_gp / 2;
}

static uint64_t counter_bits(void)
{
    return ((UINT64_C(1) << pmu_gp) - 1) | UINT64_C(7) << 32;
}

/*
 * Run @c in ring 3 or 0, with GP counters set up by @evtsel[8] and the fixed
 * ones by @fixed.  @got: what all 11 say, 0 if they do not exist; @received:
 * interrupts or traps.
 */
static void measure(struct cpu *cpu, const struct count_case *c, bool user,
                    const uint32_t *evtsel, uint64_t fixed, uint64_t *got,
                    uint32_t *received)
{
    /* volatile: as what it points to. */
    volatile uint32_t *times = c->where & TRAPS ? &traps : &irqs;
    uint32_t before = *times;

    memset(cpu->buffer, 0, sizeof(cpu->buffer));
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(MSR_PMC0 + i, 0);
        wrmsr(MSR_PERFEVTSEL0 + i, evtsel[i]);
    }
    for (unsigned j = 0; j < 3; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, 0);
    }
    wrmsr(MSR_FIXED_CTR_CTRL, fixed);
    default_gates(cpu);
    if (c->before) {
        c->before(cpu);
    }
    run_code(cpu, c->code, user, user ? FLAGS_IOPL3 : 0, counter_bits());
    *received = *times - before;
    after(cpu);
    for (unsigned i = 0; i < 8; i++) {
        got[i] = i < pmu_gp ? rdmsr(MSR_PMC0 + i) : 0;
    }
    for (unsigned j = 0; j < 3; j++) {
        got[8 + j] = rdmsr(MSR_FIXED_CTR0 + j);
    }
}

/* What @c is to count, for ring 0 and ring 3. */
static void expect(const struct count_case *c, bool user, uint32_t received,
                   Counts want[2])
{
    int times = c->where & (IRQS | TRAPS) ? received : 1;

    for (unsigned k = 0; k < NR_CLASSES; k++) {
        want[0][k] = c->kernel[k] * times;
        want[1][k] = 0;
        want[user][k] += c->want[k] + (user ? run_user : run_kernel)[k];
        want[0][k] += user ? run_user_kernel[k] : 0;
    }
    want[user][IRQ] += c->where & IRQS ? received : 0;
    if (ring3_only) {
        memset(want[0], 0, sizeof(want[0]));
    }
}

/* Is it known what @c counts with this event select? */
static bool is_known(const struct count_case *c, uint32_t evtsel)
{
    if (!on_kvm) {
        return true;
    }
    switch (evtsel & 0xffff) {
    case 0x01cb:        /* the host's interrupts, none that KVM injects */
        return false;
    case 0x00c0:
    case 0x00c4:
    case 0xf000:
        return true;
    default:
        return !(c->where & EMULATED);
    }
}

/* One count that is not what it should be. */
struct error {
    uint32_t evtsel;
    uint64_t got, want;
};

/*
 * Measure @c in groups of events.  Adds the interrupts or traps to @times.
 * Returns: how many counts are wrong; the first ones are in @errors.
 */
static unsigned try_events(struct cpu *cpu, const struct count_case *c,
                           bool user, struct error *errors, unsigned max,
                           uint32_t *times)
{
    unsigned bad = 0;

    for (unsigned first = 0; first < ARRAY_SIZE(events); first += group()) {
        unsigned n = MIN(group(), ARRAY_SIZE(events) - first);
        /* The fixed counters' are only for print_errors(). */
        uint32_t evtsel[8 + 3] = {
            [8] = EVTSEL_USR | 0xf000, EVTSEL_OS | 0xf001,
            EVTSEL_USR | EVTSEL_OS | 0xf002,
        };
        uint64_t got[8 + 3], should[8 + 3] = { 0 };
        uint32_t received;
        Counts want[2];

        for (unsigned i = 0; i < n; i++) {
            evtsel[i] = events[first + i].code | EVTSEL_EN | EVTSEL_USR;
            if (!ring3_only) {
                evtsel[i + n] = events[first + i].code | EVTSEL_EN | EVTSEL_OS;
            }
        }
        measure(cpu, c, user, evtsel, ring3_only ? 0x202 : 0x312, got,
                &received);
        *times += received;
        expect(c, user, received, want);
        for (unsigned i = 0; i < n; i++) {
            should[i] = sum(want[1], events[first + i].add,
                            events[first + i].sub);
            if (!ring3_only) {
                should[i + n] = sum(want[0], events[first + i].add,
                                    events[first + i].sub);
            }
        }
        should[8] = want[1][INSN];
        should[9] = want[0][INSN];
        should[10] = want[0][INSN] + want[1][INSN];
        for (unsigned i = 0; i < 8 + 3; i++) {
            if (is_known(c, evtsel[i]) && got[i] != should[i] &&
                bad++ < max) {
                errors[bad - 1] = (struct error) {
                    .evtsel = evtsel[i], .got = got[i], .want = should[i],
                };
            }
        }
    }
    return bad;
}

/*
 * The same; where interrupts are to come, again until some have.  On a busy
 * host that can take a while.
 */
static unsigned try_case(struct cpu *cpu, const struct count_case *c, bool user,
                         struct error *errors, unsigned max)
{
    uint32_t times = 0;
    unsigned bad;

    for (unsigned tries = 0; tries < 1000; tries++) {
        bad = try_events(cpu, c, user, errors, max, &times);
        if (bad || times || !(c->where & (IRQS | TRAPS))) {
            return bad;
        }
    }
    errors[0] = (struct error) { };
    return 1;
}

static void print_errors(const struct error *errors, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!errors[i].evtsel) {
            print("#   no interrupt or trap came\n");
            continue;
        }
        print("#   event 0x%x for %s: got %lu want %lu\n",
              errors[i].evtsel & 0xffff,
              errors[i].evtsel & EVTSEL_USR ? "user" : "kernel",
              errors[i].got, errors[i].want);
    }
}

/*
 * The second CPU: what needs no device and no page of its own.
 * volatile: the CPUs tell each other.
 */
static volatile bool ap_go, ap_stop, ap_done;
static volatile unsigned ap_rounds; /* volatile: likewise */
static unsigned ap_bad;
static const struct count_case *ap_bad_case;
static struct error ap_error;

static void init_syscall(void)
{
    set_syscall(h_sysret, FLAGS_IF);
    wrmsr(0x174, SEL_KERNEL);                           /* SYSENTER */
    wrmsr(0x175, (uint64_t)&cpus[0].rsp0);
    wrmsr(0x176, (uint64_t)h_sysexit);
}

void ap_main(struct cpu *cpu)
{
    wrmsr(MSR_GLOBAL_CTRL, 0);
    init_syscall();
    while (!ap_go) {
        pause();
    }
    while (!ap_stop) {
        for (struct count_case *c = cases; c < cases_end && !ap_stop; c++) {
            for (unsigned user = 0; user < 2; user++) {
                struct error error;

                if ((c->where & FIRST) || !runs_in(c->where, user)) {
                    continue;
                }
                ap_rounds++;
                if (try_case(cpu, c, user, &error, 1) && !ap_bad++) {
                    ap_bad_case = c;
                    ap_error = error;
                }
            }
        }
    }
    ap_done = true;
}

/* Counter mask, invert, edge */

asm(".globl modifiers_code\n"
    "modifiers_code:\n"
    ".rept 10\n"
    "mov (%rdi), %eax\n"
    "nop\n"
    "nop\n"
    "mov (%rdi), %eax\n"
    "mov (%rdi), %ecx\n"
    ".endr\n"
    "ret");

/* INT n between two loads, and nothing else between them in ring 3. */
asm(".globl edge_code\n"
    "edge_code:\n"
    "mov (%rdi), %eax\n"
    "int $0x40\n"
    "mov (%rdi), %eax\n"
    "ret");

static void test_modifiers(void)
{
    /*
     * In ring 3: L N N L L, ten times, RET (a load), INT.  So 31 of 52
     * instructions load, in 11 runs, and those that do not are 11 runs too.
     */
    static const struct {
        const char *name;
        uint32_t evtsel;
        uint64_t want;
    } table[] = {
        { "plain", 0x81d0, 31 },
        { "cmask=1", 0x81d0 | EVTSEL_CMASK(1), 31 },
        { "cmask=2", 0x81d0 | EVTSEL_CMASK(2), 0 },
        { "cmask=1,inv", 0x81d0 | EVTSEL_CMASK(1) | EVTSEL_INV, 21 },
        { "cmask=2,inv", 0x81d0 | EVTSEL_CMASK(2) | EVTSEL_INV, 52 },
        { "cmask=255,inv", 0x81d0 | EVTSEL_CMASK(255) | EVTSEL_INV, 52 },
        { "inv alone", 0x81d0 | EVTSEL_INV, 31 },
        { "edge", 0x81d0 | EVTSEL_EDGE | EVTSEL_CMASK(1), 11 },
        { "edge without cmask", 0x81d0 | EVTSEL_EDGE, 11 },
        { "edge,inv", 0x81d0 | EVTSEL_EDGE | EVTSEL_CMASK(1) | EVTSEL_INV,
          11 },
        { "edge,cmask=2", 0x81d0 | EVTSEL_EDGE | EVTSEL_CMASK(2), 0 },
        { "instructions,edge", 0x00c0 | EVTSEL_EDGE | EVTSEL_CMASK(1), 1 },
        { "instructions,inv", 0x00c0 | EVTSEL_INV | EVTSEL_CMASK(1), 0 },
        { "instructions,cmask=2,inv",
          0x00c0 | EVTSEL_INV | EVTSEL_CMASK(2), 52 },
        { "branches,edge", 0x00c4 | EVTSEL_EDGE | EVTSEL_CMASK(1), 1 },
        { "branches,inv", 0x00c4 | EVTSEL_INV | EVTSEL_CMASK(1), 50 },
        { "unknown event", 0xffff, 0 },
        { "unknown event,inv", 0xffff | EVTSEL_INV | EVTSEL_CMASK(1), 0 },
        { "reference cycles", 0x013c, 0 },
        { "cache references", 0x4f2e, 0 },
        { "cache misses", 0x412e, 0 },
        { "branch misses", 0x00c5, 0 },
    };
    const struct count_case c = { .code = modifiers_code };

    for (unsigned t = 0; t < ARRAY_SIZE(table); t++) {
        uint32_t evtsel[8] = {
            table[t].evtsel | EVTSEL_EN | EVTSEL_USR, 0, 0,
        };
        uint64_t got[8 + 3];
        uint32_t received;

        /* Another counter next to it, which is to stay exact. */
        evtsel[pmu_gp - 1] = 0x00c0 | EVTSEL_EN | EVTSEL_USR;
        measure(&cpus[0], &c, true, evtsel, 0, got, &received);
        /* Where KVM's host interrupts, it may end a run of events. */
        if (on_kvm && table[t].evtsel & EVTSEL_EDGE && got[0] > table[t].want) {
            got[0] = table[t].want;
        }
        check(got[0], table[t].want, "%s", table[t].name);
        check(got[pmu_gp - 1], 52, "%s: instructions beside it", table[t].name);
    }
}

static void test_edge(void)
{
    const struct count_case c = { .code = edge_code };
    const uint32_t evtsel[8] = {
        0x81d0 | EVTSEL_EN | EVTSEL_USR | EVTSEL_OS | EVTSEL_EDGE |
        EVTSEL_CMASK(1),
    };
    uint64_t got[8 + 3];
    uint32_t received;

    /* IRET and MOV load, INT does not, IRET, MOV and RET do: two runs. */
    measure(&cpus[0], &c, true, evtsel, 0, got, &received);
    check(got[0], 2, "edge over INT n");
}

void main(void)
{
    if (pmu_gp < 2) {
        skip("all", "needs 2 counters");
        return;
    }
    wrmsr(MSR_GLOBAL_CTRL, 0);
    init_syscall();
    start_cpus();
    ap_go = true;
    for (struct count_case *c = cases; c < cases_end; c++) {
        for (unsigned user = 0; user < 2; user++) {
            struct error errors[8];
            unsigned n;

            if (!runs_in(c->where, user)) {
                continue;
            }
            n = try_case(&cpus[0], c, user, errors, ARRAY_SIZE(errors));
            result(!n, "%s, ring %d", c->name, user ? 3 : 0);
            print_errors(errors, n < 8 ? n : 8);
        }
    }
    test_modifiers();
    if (!ring3_only) {
        test_edge();
    }
    if (nr_cpus > 1) {
        /* It may have been slow. */
        while (ap_rounds <= 100) {
            pause();
        }
        ap_stop = true;
        while (!ap_done) {
            pause();
        }
        result(!ap_bad, "a second CPU meanwhile");
        print("# %u runs, %u with wrong counts\n", ap_rounds, ap_bad);
        if (ap_bad) {
            print("# first: %s\n", ap_bad_case->name);
            print_errors(&ap_error, 1);
        }
    }
}
