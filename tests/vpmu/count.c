/*
 * Counts that are known by construction, for every event and both rings
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The cases are in count-cases.S.  Each is run in ring 3 and in ring 0, with
 * every event counted for user and for kernel; all counts must be exact.
 * With KVM only counts that are known are compared, see is_known().  A second
 * CPU runs the same cases all the while, except those that need a device or a
 * page for themselves.
 */
#include "case.h"
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
 * The events of target/i386/vpmu/events.h.inc as the SDM defines them.  While
 * only the first four are counted, the software PMU counts in its cheap way.
 */
#define BIT(class) (1u << (class))
typedef struct Event {
    uint16_t code;
    uint16_t add, sub;
} Event;

static const Event intel_events[] = {
    { EV_INSNS, BIT(INSN) },
    { EV_CYCLES, BIT(INSN) },
    { EV_BRANCHES, BIT(BRANCH) },
    { EV_INTERRUPTS, BIT(IRQ) },
    { 0x01c0, BIT(INSN) },
    { 0x0100, BIT(INSN) },
    { EV_TAKEN, BIT(TAKEN) },
    { EV_CALLS, BIT(CALL) },
    { EV_RETURNS, BIT(RET) },
    { EV_NOT_TAKEN, BIT(COND), BIT(TAKEN) },
    { EV_COND, BIT(COND) },
    { EV_NEAR_TAKEN, BIT(BRANCH) | BIT(TAKEN), BIT(FAR) | BIT(COND) },
    { EV_FAR, BIT(FAR) },
    { EV_INDIRECT, BIT(INDIRECT) },
    { EV_LOADS, BIT(LOAD) },
    { EV_STORES, BIT(STORE) },
};

/*
 * The same of AMD processors, as the BKDGs and PPRs of the families from @first
 * to @last define them; the interrupts of family 17h are those of Zen 2
 */
static const struct {
    Event event;
    unsigned first, last;
} amd_events[] = {
    { { AMD_INSNS, BIT(INSN) }, 0, -1 },
    { { AMD_CYCLES, BIT(INSN) }, 0, -1 },
    { { AMD_BRANCHES, BIT(BRANCH) }, 0, -1 },
    { { AMD_INTERRUPTS, BIT(IRQ) }, 0x17, -1 },
    { { AMD_K7_INTERRUPTS, BIT(IRQ) }, 0, 0x16 },
    { { AMD_TAKEN, BIT(BRANCH) | BIT(TAKEN), BIT(COND) }, 0, -1 },
    { { AMD_FAR, BIT(FAR) }, 0, -1 },
    { { AMD_RETURNS, BIT(RET) }, 0xf, -1 },
    { { AMD_COND, BIT(COND) }, 0x17, -1 },
    { { AMD_LOADS, BIT(LOAD) }, 0x15, -1 },
    { { AMD_STORES, BIT(STORE) }, 0x15, -1 },
};

static Event events[ARRAY_SIZE(intel_events)];
static unsigned nr_events;

static void choose_events(void)
{
    if (!on_amd) {
        memcpy(events, intel_events, sizeof(intel_events));
        nr_events = ARRAY_SIZE(intel_events);
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(amd_events); i++) {
        unsigned family = cpu_family();

        if (family >= amd_events[i].first && family <= amd_events[i].last) {
            events[nr_events++] = amd_events[i].event;
        }
    }
}

/* How often events[@event] happened when these classes were retired. */
static uint64_t count_event(const Counts counts, unsigned event)
{
    int64_t n = 0;

    for (unsigned c = 0; c < NR_CLASSES; c++) {
        n += events[event].add & BIT(c) ? counts[c] : 0;
        n -= events[event].sub & BIT(c) ? counts[c] : 0;
    }
    return n;
}

/* Before and after a case */

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

/* The page that the code goes on in is one of them. */
void before_mid_fetch(struct cpu *cpu)
{
    before_page_mid(cpu);
    set_gate(cpu, 14, h_map_error);
}

void before_page_fetch(struct cpu *cpu)
{
    before_page(cpu);
    set_gate(cpu, 14, h_map_error);
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

static void after_case(struct cpu *cpu)
{
    if (cpu->index == 0) {
        apic_write(APIC_LVTT, APIC_MASKED);
        apic_write(APIC_TIMER_INIT, 0);
        accept_interrupts();
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

/*
 * Run @c in ring 3 or 0, with GP counters set up by @evtsel[8] and the fixed
 * ones by @fixed.  @got: the values of all 11, 0 if they do not exist;
 * @received: interrupts or traps.
 */
static void measure(struct cpu *cpu, const struct test_case *c, bool user,
                    const uint32_t *evtsel, uint64_t fixed, uint64_t *got,
                    uint32_t *received)
{
    /* volatile, as @traps and @irqs are */
    volatile uint32_t *times = c->where & TRAPS ? &traps : &irqs;
    uint32_t before = *times;

    memset(cpu->buffer, 0, sizeof(cpu->buffer));
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(msr_value(i), 0);
        wrmsr(msr_select(i), evtsel[i]);
    }
    for (unsigned j = 0; j < pmu_fixed; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, 0);
    }
    if (pmu_fixed) {
        wrmsr(MSR_FIXED_CTR_CTRL, fixed);
    }
    default_gates(cpu);
    if (c->before) {
        c->before(cpu);
    }
    run_code(cpu, c->code, user, user ? FLAGS_IOPL3 : 0, pmu_counters);
    *received = *times - before;
    after_case(cpu);
    for (unsigned i = 0; i < 8; i++) {
        got[i] = i < pmu_gp ? rdmsr(msr_value(i)) : 0;
    }
    for (unsigned j = 0; j < 3; j++) {
        got[8 + j] = j < pmu_fixed ? rdmsr(MSR_FIXED_CTR0 + j) : 0;
    }
}

/* What must be counted in @c, for ring 0 and ring 3. */
static void expect_counts(const struct test_case *c, bool user,
                          uint32_t received, Counts want[2])
{
    int times = c->where & (IRQS | TRAPS) ? received : 1;

    for (unsigned k = 0; k < NR_CLASSES; k++) {
        want[0][k] = c->kernel[k] * times;
        want[1][k] = 0;
        want[user][k] += c->want[k] + (user ? run_user : run_kernel)[k];
        want[0][k] += user ? run_user_kernel[k] : 0;
    }
    want[user][IRQ] += c->where & IRQS ? received : 0;
    if (on_kvm && c->where & LOST) {
        want[user][INSN]--;
        want[user][BRANCH]--;
        want[user][FAR]--;
    }
    if (ring3_only) {
        memset(want[0], 0, sizeof(want[0]));
    }
}

/*
 * Is the count of @c with this event select known?  How many instructions KVM
 * executes is not declared, so counts that KVM does not add them to are known
 * if there are none.  The handler of an interrupt has one.
 */
static bool is_known(const struct test_case *c, uint32_t evtsel)
{
    if (!on_kvm) {
        return true;
    }
    switch (evtsel & 0xffff) {
    case EV_INTERRUPTS: /* the host's, not those that KVM injects */
        return false;
    case EV_INSNS:
    case EV_BRANCHES:
    case 0xf000:
        return true;
    default:
        return !(c->where & (evtsel & EVTSEL_OS ? EMULATED | IRQS : EMULATED));
    }
}

/* The WRMSR that stops the counters: with KVM it is missing, see rt.h. */
static unsigned last_wrmsr(uint32_t evtsel)
{
    return on_kvm && evtsel & EVTSEL_OS && (evtsel & 0xffff) != EV_INSNS;
}

/* A wrong count */
struct error {
    uint32_t evtsel;
    uint64_t got, want;
};

/*
 * Measure @c in groups of events, and add its interrupts or traps to @times.
 * Returns: the number of wrong counts; the first @max are in @errors.
 */
static unsigned try_events(struct cpu *cpu, const struct test_case *c,
                           bool user, struct error *errors, unsigned max,
                           uint32_t *times)
{
    unsigned bad = 0;

    for (unsigned first = 0; first < nr_events; first += group()) {
        unsigned n = MIN(group(), nr_events - first);
        /* Those of fixed counters are only for print_errors(). */
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
        expect_counts(c, user, received, want);
        for (unsigned i = 0; i < n; i++) {
            should[i] = count_event(want[1], first + i);
            if (!ring3_only) {
                should[i + n] = count_event(want[0], first + i);
                if (events[first + i].add & BIT(INSN)) {
                    should[i + n] -= last_wrmsr(evtsel[i + n]);
                }
            }
        }
        if (pmu_fixed) {
            should[8] = want[1][INSN];
            should[9] = want[0][INSN];
            should[10] = want[0][INSN] + want[1][INSN];
        }
        if (pmu_fixed && !ring3_only) {
            should[9] -= last_wrmsr(evtsel[9]);
            should[10] -= last_wrmsr(evtsel[10]);
        }
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
 * The same.  A case with interrupts is repeated until at least one has come,
 * which can take a while on a busy host.
 */
static unsigned try_case(struct cpu *cpu, const struct test_case *c, bool user,
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

/* One result of the first CPU */
static void test_case(const struct test_case *c, bool user)
{
    struct error errors[8];
    unsigned n = try_case(&cpus[0], c, user, errors, ARRAY_SIZE(errors));

    result(!n, "%s, ring %d", c->name, ring_of(user));
    print_errors(errors, MIN(n, ARRAY_SIZE(errors)));
}

/*
 * The second CPU runs the cases that need no device and no page for
 * themselves.  volatile: the CPUs tell each other.
 */
static volatile bool ap_go, ap_stop, ap_done;
static volatile unsigned ap_rounds; /* volatile: likewise */
static unsigned ap_bad;
static const struct test_case *ap_bad_case;
static struct error ap_error;

static void init_syscall(void)
{
    set_syscall(h_sysret, FLAGS_IF);
    wrmsr(0x174, SEL_KERNEL);                           /* SYSENTER */
    wrmsr(0x175, (uint64_t)&cpus[0].rsp0);
    wrmsr(0x176, (uint64_t)h_sysexit);
}

static void ap_try_case(const struct test_case *c, bool user)
{
    struct error error;

    if (ap_stop || c->where & FIRST) {
        return;
    }
    ap_rounds++;
    if (try_case(&cpus[1], c, user, &error, 1) && !ap_bad++) {
        ap_bad_case = c;
        ap_error = error;
    }
}

void ap_main(struct cpu *cpu)
{
    wrmsr(msr_global_ctrl(), 0);
    init_syscall();
    while (!ap_go) {
        pause();
    }
    while (!ap_stop) {
        for_each_case(ap_try_case);
    }
    ap_done = true;
}

static void stop_second_cpu(void)
{
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

/* Where KVM's host interrupts, it may end a run of events. */
static uint64_t without_host(uint32_t evtsel, uint64_t got, uint64_t want)
{
    return on_kvm && evtsel & EVTSEL_EDGE && got > want ? want : got;
}

static void test_modifiers(void)
{
    /*
     * In ring 3: L N N L L, ten times, RET (a load), INT.  So 31 of 52
     * instructions load, in 11 runs, and those that do not are 11 runs too.
     */
    const uint32_t loads = on_amd ? AMD_LOADS : EV_LOADS;
    const uint32_t branches = on_amd ? AMD_BRANCHES : EV_BRANCHES;
    const struct {
        const char *name;
        uint32_t evtsel;
        uint64_t want;
    } table[] = {
        { "plain", loads, 31 },
        { "cmask=1", loads | EVTSEL_CMASK(1), 31 },
        { "cmask=2", loads | EVTSEL_CMASK(2), 0 },
        { "cmask=1,inv", loads | EVTSEL_CMASK(1) | EVTSEL_INV, 21 },
        { "cmask=2,inv", loads | EVTSEL_CMASK(2) | EVTSEL_INV, 52 },
        { "cmask=255,inv", loads | EVTSEL_CMASK(255) | EVTSEL_INV, 52 },
        { "inv alone", loads | EVTSEL_INV, 31 },
        { "edge", loads | EVTSEL_EDGE | EVTSEL_CMASK(1), 11 },
        { "edge without cmask", loads | EVTSEL_EDGE, 11 },
        { "edge,inv", loads | EVTSEL_EDGE | EVTSEL_CMASK(1) | EVTSEL_INV,
          11 },
        { "edge,cmask=2", loads | EVTSEL_EDGE | EVTSEL_CMASK(2), 0 },
        { "instructions,edge", EV_INSNS | EVTSEL_EDGE | EVTSEL_CMASK(1), 1 },
        { "instructions,inv", EV_INSNS | EVTSEL_INV | EVTSEL_CMASK(1), 0 },
        { "instructions,cmask=2,inv",
          EV_INSNS | EVTSEL_INV | EVTSEL_CMASK(2), 52 },
        { "branches,edge", branches | EVTSEL_EDGE | EVTSEL_CMASK(1), 1 },
        { "branches,inv", branches | EVTSEL_INV | EVTSEL_CMASK(1), 50 },
        { "unknown event", 0xffff, 0 },
        { "unknown event,inv", 0xffff | EVTSEL_INV | EVTSEL_CMASK(1), 0 },
        { "reference cycles", 0x013c, 0 },
        /* From here on, what sim.c counts if it is simulated */
        { "cache references", 0x4f2e, 0 },
        { "cache misses", 0x412e, 0 },
        { "branch misses", 0x00c5, 0 },
    };
    const unsigned n = ARRAY_SIZE(table) - (pmu_simulates ? 3 : 0);
    const struct test_case c = { .code = modifiers_code };

    for (unsigned t = 0; t < n; t++) {
        uint32_t evtsel[8] = {
            table[t].evtsel | EVTSEL_EN | EVTSEL_USR, 0, 0,
        };
        uint64_t got[8 + 3];
        uint32_t received;

        /* Another counter, which must stay exact beside it. */
        evtsel[pmu_gp - 1] = EV_INSNS | EVTSEL_EN | EVTSEL_USR;
        measure(&cpus[0], &c, true, evtsel, 0, got, &received);
        got[0] = without_host(evtsel[0], got[0], table[t].want);
        check(got[0], table[t].want, "%s", table[t].name);
        check(got[pmu_gp - 1], 52, "%s: instructions beside it", table[t].name);
    }
}

static void test_edge(void)
{
    const struct test_case c = { .code = edge_code };
    const uint32_t evtsel[8] = {
        (on_amd ? AMD_LOADS : EV_LOADS) | EVTSEL_EN | EVTSEL_USR | EVTSEL_OS |
        EVTSEL_EDGE | EVTSEL_CMASK(1),
    };
    uint64_t got[8 + 3];
    uint32_t received;

    /* IRET and MOV load, INT does not, IRET, MOV and RET do: two runs. */
    measure(&cpus[0], &c, true, evtsel, 0, got, &received);
    got[0] = without_host(evtsel[0], got[0], 2);
    check(got[0], 2, "edge over INT n");
}

static bool has_loads(void)
{
    return !on_amd || cpu_family() >= 0x15;
}

void main(void)
{
    choose_events();
    if (on_amd && pmu_version < 2) {
        skip("all", "needs PerfMonV2");
        return;
    }
    if (pmu_gp < 2) {
        skip("all", "needs 2 counters");
        return;
    }
    wrmsr(msr_global_ctrl(), 0);
    init_syscall();
    start_cpus();
    ap_go = true;
    for_each_case(test_case);
    if (has_loads()) {
        test_modifiers();
    }
    if (has_loads() && !ring3_only) {
        test_edge();
    }
    if (nr_cpus > 1) {
        stop_second_cpu();
    }
}
