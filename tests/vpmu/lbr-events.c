/*
 * Last branch records: single events that start, change or end them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "lbr.h"
#include "pebs.h"

#define TIMER_PERIODIC  (1u << 17)

/* A port that does nothing, and that of the device "pvpanic" */
#define PORT_NOTHING    0x80
#define PORT_PANIC      0x505

uint32_t lbr_stop_port;
static bool stops;
static unsigned nr_stops;

static void begin(void)
{
    model.select = 0;
    pmu_prepare();
    write_stack();
}

/* An NMI comes between two turns of the loop in ring 3. */
static void test_nmi(void)
{
    const unsigned n = LBR_TURNS - 10;

    begin();
    set_gate(cpu, VECTOR_NMI, h_iret);
    apic_write(APIC_LVTPC, APIC_NMI);
    wrmsr(MSR_GLOBAL_CTRL, pmu_count(0, EV_BRANCHES | EVTSEL_INT, RING3, n));
    run_with(lbr_loop, true, 0, 0);
    model_enter(lbr_loop, true);
    model_turns(n, 3);
    model_near(lbr_loop_dec, h_iret, K_FAR, 0, 0);
    model_near((char *)h_iret, lbr_loop_dec, K_FAR, 1, 3);
    model_turns(LBR_TURNS - 1 - n, 2);
    model_leave((uint64_t)lbr_loop_jnz + 2, 2, true);
    check_stack("an NMI", true);
    set_gate(cpu, VECTOR_NMI, NULL);
    pmu_clear();
}

/* The interrupt that freezes is that of a full PEBS buffer. */
static void test_freeze_pebs(void)
{
    const unsigned n = LBR_TURNS / 2;
    struct ds *ds = (struct ds *)cpu->buffer[0];
    uint64_t frozen = pmu_version >= 4 ? LBR_FROZEN : 0;

    begin();
    ds->base = ds->index = (uint64_t)cpu->buffer[1];
    ds->threshold = ds->base + 32;
    ds->maximum = ds->base + sizeof(cpu->buffer[1]);
    ds->reset[0] = pmu_minus(UINT64_C(1) << 40);
    wrmsr(MSR_DS_AREA, (uint64_t)ds);
    wrmsr(MSR_PEBS_DATA_CFG, 0);
    wrmsr(MSR_PEBS_ENABLE, 1);
    wrmsr(MSR_GLOBAL_CTRL,
          pmu_count(0, EV_BRANCHES | EVTSEL_ADAPTIVE, RING3, n));
    run_with(lbr_loop, true, FLAGS_IF, DEBUGCTL_FREEZE_LBRS);
    wrmsr(MSR_PEBS_ENABLE, 0);
    model_enter(lbr_loop, true);
    model_turns(n, 3);
    check_stack("freeze on the PMI of PEBS", true);
    check(hit.status, OVF_BUF | frozen, "freeze on the PMI of PEBS: status");
    check(seen_enable, frozen != 0, "freeze on the PMI of PEBS: enable");
    pmu_clear();
}

/* A debug exception clears the bit although nothing is recorded. */
static void test_frozen_debug(void)
{
    begin();
    wrmsr(MSR_GLOBAL_STATUS_SET, LBR_FROZEN);
    seen_enable = ~UINT64_C(0);
    run_recorded(lbr_trapped, true, 0);
    check_stack("TF while LBR_FRZ is set", true);
    check(seen_enable, 0, "TF while LBR_FRZ is set: enable");
    wrmsr(MSR_GLOBAL_OVF_CTRL, LBR_FROZEN);
}

/* Have the APIC's timer raise VECTOR_IPI, when the code has set it. */
static void set_timer(uint32_t mode)
{
    apic_write(APIC_TIMER_DIV, 0xb);
    apic_write(APIC_LVTT, mode | VECTOR_IPI);
}

void before_timer(struct cpu *me)
{
    set_timer(0);
}

static void clear_timer(void)
{
    apic_write(APIC_TIMER_INIT, 0);
    apic_write(APIC_LVTT, APIC_MASKED);
}

/* A string instruction goes on after an interrupt. */
static void test_rep(bool user)
{
    begin();
    set_gate(cpu, VECTOR_IPI, h_rep);
    set_timer(0);
    run_with(lbr_rep, user, FLAGS_IF, 0);
    model_enter(lbr_rep, user);
    model_near(lbr_rep_insn, h_rep, K_FAR, 4, 0);
    model_near(h_rep_iret, lbr_rep_insn, K_FAR, 4, ring_of(user));
    model_leave((uint64_t)lbr_rep_insn + 2, 1, user);
    check_stack("an interrupt between iterations", user);
    clear_timer();
    set_gate(cpu, VECTOR_IPI, NULL);
}

/*
 * HLT with TF traps when it ends.  It may begin too late, when the interrupt
 * has come already; then that of the next period ends it.
 */
static void test_halted(void)
{
    unsigned tries = 0;

    set_timer(TIMER_PERIODIC);
    do {
        begin();
        trap_rip = ipi_rip = 0;
        run_with(lbr_halted, false, FLAGS_IF, 0);
    } while (ipi_rip != (uint64_t)lbr_halted_end && ++tries < 100);
    clear_timer();
    accept_interrupts();
    model_enter(lbr_halted, false);
    model_pass(6);
    model.ended = true;
    check_stack("HLT with TF", false);
    check(trap_rip, (uint64_t)lbr_halted_end, "HLT with TF: its place");
}

/* Writes to registers of the records while branches are recorded */
struct writes {
    const char *name;
    struct {
        uint64_t msr, value;
    } write[2];
    void (*follow)(uint64_t value); /* in the model */
};

static void follow_select(uint64_t value)
{
    model.select = value;
}

static void follow_tos(uint64_t value)
{
    model.tos = value;
}

static void follow_from(uint64_t value)
{
    model.from[1] = value;
}

/* IA32_LBR_CTL has 1 for what LBR_SELECT does not have. */
static void follow_ctl(uint64_t value)
{
    for (model.select = 0; (arch_ctl(model.select) | 1) != value; ) {
        model.select++;
    }
}

static void follow_depth(uint64_t value)
{
    memset(model.from, 0, sizeof(model.from));
    memset(model.to, 0, sizeof(model.to));
    memset(model.info, 0, sizeof(model.info));
    model.tos = value - 1;
}

static void try_writes(const struct writes *w)
{
    begin();
    memcpy(cpu->buffer[1], w->write, sizeof(w->write));
    run_recorded(lbr_rewritten, false, 0);
    model_enter(lbr_rewritten, false);
    model_near((char *)lbr_rewritten, lbr_rewritten_at, K_JMP, 1, 0);
    w->follow(w->write[0].value);
    model_near(lbr_rewritten_jmp, lbr_rewritten_jmp + 2, K_JMP, 5, 0);
    w->follow(w->write[1].value);
    model_near(lbr_rewritten_call, lbr_rewritten_leaf, K_CALL, 5, 0);
    model_near(lbr_rewritten_leaf, lbr_rewritten_ret, K_RET, 1, 0);
    model_leave((uint64_t)lbr_rewritten_ret, 0, false);
    check_stack(w->name, false);
}

static void test_writes(void)
{
    const uint64_t arch = MSR_ARCH_LBR_CTL;
    const struct writes writes[] = {
        { "a filter is written", { { MSR_LBR_SELECT, 1 << K_JMP },
          { MSR_LBR_SELECT, 1 << K_RET } }, follow_select },
        { "a filter lets in again", { { MSR_LBR_SELECT, 1 },
          { MSR_LBR_SELECT, 0 } }, follow_select },
        { "call-stack mode begins", { { MSR_LBR_SELECT, 0 },
          { MSR_LBR_SELECT, 0x200 } }, follow_select },
        { "the top of stack is written", { { MSR_LBR_TOS, 7 },
          { MSR_LBR_TOS, DEPTH - 1 } }, follow_tos },
        { "a record is written", { { MSR_LBR_FROM + 1, 0x1234 },
          { MSR_LBR_FROM + 1, 0x5678 } }, follow_from },
    };
    const struct writes arch_writes[] = {
        { "IA32_LBR_CTL is written", { { arch, arch_ctl(1 << K_JMP) | 1 },
          { arch, arch_ctl(1 << K_RET) | 1 } }, follow_ctl },
        { "IA32_LBR_CTL lets in again", { { arch, arch_ctl(1) | 1 },
          { arch, arch_ctl(0) | 1 } }, follow_ctl },
        { "IA32_LBR_DEPTH is written", { { MSR_ARCH_LBR_DEPTH, DEPTH },
          { MSR_ARCH_LBR_DEPTH, DEPTH } }, follow_depth },
    };
    bool is_arch = lbr_format == FORMAT_ARCH;
    unsigned n = is_arch ? ARRAY_SIZE(arch_writes) : ARRAY_SIZE(writes);

    for (unsigned i = 0; i < n; i++) {
        try_writes(is_arch ? &arch_writes[i] : &writes[i]);
    }
}

/* Machines that stop */

void before_stop(struct cpu *me)
{
    lbr_stop_port = stops ? PORT_PANIC : PORT_NOTHING;
    nr_stops += stops;
}

static void stop(void)
{
    nr_stops++;
    outb(PORT_PANIC, 1);
}

void print_stops(void)
{
    print("# stops: %u\n", nr_stops);
}

void for_each_stop(void (*try)(const struct lbr_case *c, bool user,
                               uint64_t how), uint64_t how)
{
    stops = true;
    for (const struct lbr_case *c = lbr_cases; c < lbr_cases_end; c++) {
        for (unsigned user = 0; c->before == before_stop && user < 2; user++) {
            try(c, user, how);
        }
    }
    stops = false;
}

/*
 * The device "pvpanic" stops the machine while branches are recorded, while
 * they are not, and while they are frozen.  lbr-stops.py saves and loads or
 * migrates it there; without the device, nothing stops.
 */
static void test_stops(void)
{
    for_each_stop(try_case, 0);
    for_each_stop(try_case, CALLS_ONLY);
    stop();
    try_case(lbr_cases, true, 0);
    if (pmu_version >= 4) {
        wrmsr(MSR_GLOBAL_STATUS_SET, LBR_FROZEN);
        stop();
        run_recorded(lbr_cases->code, true, 0);
        check_stack("frozen, and stopped", true);
        wrmsr(MSR_GLOBAL_OVF_CTRL, LBR_FROZEN);
        try_case(lbr_cases, true, 0);
    }
    if (lbr_format == FORMAT_ARCH) {
        depth = 8;
        for_each_stop(try_case, 0);
        check(rdmsr(MSR_ARCH_LBR_DEPTH), depth, "the depth, after stops");
        depth = DEPTH;
    }
}

void test_events(void)
{
    test_nmi();
    test_rep(false);
    test_rep(true);
    test_halted();
    test_writes();
    if (pmu_version >= 4) {
        test_frozen_debug();
    }
    if (rdmsr(MSR_PERF_CAPABILITIES) & CAP_BASELINE) {
        test_freeze_pebs();
    } else {
        skip("freeze on the PMI of PEBS", "no baseline");
    }
    test_stops();
}
