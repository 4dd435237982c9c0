/*
 * Last branch records: every branch of known code, with every filter
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A case declares the branches that it takes, one after the other.  A model of
 * the stack, as simple as can be, makes of them what must be in the registers.
 */
#include "lbr.h"
#include "pebs.h"

#define FORMAT          0x3f

#define SELECT_RINGS    0x3
#define SELECT_ALL      0x1ff

const uint32_t loop_turns = 1; /* for bodies.S */

unsigned lbr_format;
unsigned depth = DEPTH;
/* What else is on, for the names of results */
static const char *with = "";
uint64_t seen_enable, seen_debugctl, trap_rip, ipi_rip;
/* How it is handled otherwise */
static bool (*next_hook)(struct frame *frame);

struct model model;

/* What the trace must have: all branches from a ring that is traced */
#define TRACE_MAX       2048
static struct {
    uint64_t from, to;
} traced[TRACE_MAX];
static unsigned nr_traced;
static bool traces_ring[2]; /* ring 0, the others */

/* The buffer of the trace, with a guard at both ends, and its flags */
static uint64_t trace[3 * TRACE_MAX + 6] __attribute__((aligned(4096)));
/* Not in the CPU's buffers, which cases use */
static struct ds trace_ds;
#define PREDICTED       0x10

void before_pointer(struct cpu *me)
{
    uint64_t *page = (uint64_t *)(uintptr_t)WINDOW;

    rt_window(1);
    page[0] = (uint64_t)lbr_pointed;
    page[1] = (uint64_t)lbr_returned;
    rt_window(0);
}

void before_far_pointer(struct cpu *me)
{
    uint64_t *page = (uint64_t *)(uintptr_t)WINDOW;

    rt_window(1);
    page[0] = (uint64_t)lbr_returned;
    page[1] = SEL_USER;
    rt_window(0);
}

void before_syscall(struct cpu *me)
{
    set_syscall(h_sysret, 0);
}

void before_syscall32(struct cpu *me)
{
    set_syscall(h_sysret32, 0);
}

/* JMP to R15 at @offset in the window, of which only @pages are present then */
static void put_jump(unsigned offset, unsigned pages)
{
    static const uint8_t jmp_r15[] = { 0x41, 0xff, 0xe7 };

    rt_window(3);
    memcpy((void *)(uintptr_t)(WINDOW + offset), jmp_r15, sizeof(jmp_r15));
    rt_window(pages);
}

void before_jump(struct cpu *me)
{
    put_jump(0, 0);
}

void before_jump_half(struct cpu *me)
{
    put_jump(4095, 1);
}

void before_ud2(struct cpu *me)
{
}

void before_absent(struct cpu *me)
{
    set_gate_type(me, VECTOR_ABSENT, h_iret, GATE_ABSENT);
    set_gate_type(me, 13, h_skip_error, GATE_ABSENT);
}

void before_gp(struct cpu *me)
{
    set_gate(me, 13, h_skip_error);
}

/* The registers */

/* Kinds of branches: their bits in IA32_LBR_CTL, their types in INFO */
static const struct {
    uint8_t kind, bit, type;
} arch_kinds[] = {
    { K_JCC, 16, 0 }, { K_JMP, 17, 2 }, { K_IJMP, 18, 1 }, { K_CALL, 19, 4 },
    { K_ICALL, 20, 3 }, { K_RET, 21, 5 }, { K_FAR, 22, 8 },
};

uint64_t arch_ctl(uint64_t select)
{
    uint64_t ctl = (select & 1 ? 0 : 1 << 1) | (select & 2 ? 0 : 1 << 2) |
                   (select & CALL_STACK ? 1 << 3 : 0);

    for (unsigned i = 0; i < ARRAY_SIZE(arch_kinds); i++) {
        if (!(select >> arch_kinds[i].kind & 1)) {
            ctl |= 1u << arch_kinds[i].bit;
        }
    }
    return ctl;
}

/* What INFO has of a branch */
static uint64_t info_of(unsigned kind, uint64_t cycles)
{
    bool arch = lbr_format == FORMAT_ARCH;

    for (unsigned i = 0; arch && i < ARRAY_SIZE(arch_kinds); i++) {
        if (arch_kinds[i].kind == kind) {
            return cycles | UINT64_C(1) << 60 |
                   (uint64_t)arch_kinds[i].type << 56;
        }
    }
    return cycles;
}

static void clear_stack(void)
{
    for (unsigned i = 0; i < DEPTH; i++) {
        wrmsr(MSR_LBR_FROM + i, 0);
        wrmsr(MSR_LBR_TO + i, 0);
        if (lbr_format != FORMAT_TIME) {
            wrmsr(MSR_LBR_INFO + i, 0);
        }
    }
    wrmsr(MSR_LBR_TOS, DEPTH - 1);
    wrmsr(MSR_LBR_SELECT, model.select);
}

void write_stack(void)
{
    if (lbr_format == FORMAT_ARCH) {
        wrmsr(MSR_ARCH_LBR_DEPTH, depth);
    } else {
        clear_stack();
    }
    memset(model.from, 0, sizeof(model.from));
    memset(model.to, 0, sizeof(model.to));
    memset(model.info, 0, sizeof(model.info));
    model.tos = depth - 1;
    model.ring = 0;
    model.ended = false;
}

static void print_record(const char *what, unsigned i, uint64_t from,
                         uint64_t to, uint64_t info)
{
    print("#   %s %u: 0x%lx to 0x%lx, info 0x%lx\n", what, i, from, to, info);
}

/* Compare what there is of record @i with the model. */
static bool record_is(unsigned i, uint64_t from, uint64_t to, uint64_t info)
{
    if (lbr_format == FORMAT_TIME) {
        /* Bit 63 of FROM says that it was mispredicted, which is never so. */
        from ^= from << 1 & UINT64_C(1) << 63;
        info = to >> 48;
        to = (int64_t)(to << 16) >> 16;
    }
    if (from == model.from[i] && to == model.to[i] && info == model.info[i]) {
        return true;
    }
    print_record("want", i, model.from[i], model.to[i], model.info[i]);
    print_record("got ", i, from, to, info);
    return false;
}

static bool register_is_right(unsigned i)
{
    /* Of architectural ones, the last record is number 0. */
    unsigned nr = (model.tos - i) % depth;

    if (lbr_format == FORMAT_ARCH) {
        return record_is(i, rdmsr(MSR_ARCH_LBR_FROM + nr),
                         rdmsr(MSR_ARCH_LBR_TO + nr),
                         rdmsr(MSR_ARCH_LBR_INFO + nr));
    }
    return record_is(i, rdmsr(MSR_LBR_FROM + i), rdmsr(MSR_LBR_TO + i),
                     lbr_format == FORMAT_TIME ? 0 : rdmsr(MSR_LBR_INFO + i));
}

bool check_stack(const char *name, bool user)
{
    unsigned tos = lbr_format == FORMAT_ARCH ? model.tos : rdmsr(MSR_LBR_TOS);
    unsigned bad = tos != model.tos;

    for (unsigned i = 0; i < depth; i++) {
        bad += !register_is_right(i);
    }
    if (!result(!bad, "%s, ring %d, filter 0x%lx%s", name, ring_of(user),
                model.select, with)) {
        print("#   top of stack: want %u, got %u\n", model.tos, tos);
    }
    return !bad;
}

/* The model */

static void model_push(uint64_t from, uint64_t to, unsigned kind)
{
    model.tos = (model.tos + 1) % depth;
    model.from[model.tos] = from;
    model.to[model.tos] = to;
    model.info[model.tos] = info_of(kind, MIN(model.since, 0xffff));
    model.since = 0;
}

static void model_pop(void)
{
    model.from[model.tos] = model.to[model.tos] = 0;
    model.info[model.tos] = 0;
    model.tos = (model.tos + depth - 1) % depth;
}

/* Instructions retire. */
void model_pass(unsigned insns)
{
    model.since += model.ended ? 0 : insns;
}

static void model_branch(const struct branch *b, bool user)
{
    bool is_next = b->kind == K_CALL_NEXT;
    unsigned kind = is_next ? K_CALL : b->kind;
    unsigned ring = b->ring == OWN ? ring_of(user) : (unsigned)b->ring;
    bool linear = lbr_format != FORMAT_INFO;
    unsigned from_ring;

    model_pass(b->insns);
    from_ring = model.ring;
    model.ring = ring;
    if (traces_ring[from_ring != 0]) {
        traced[nr_traced].from = b->from + b->from_base;
        traced[nr_traced++].to = b->to + b->to_base;
    }
    model.ended |= kind == K_DEBUG;
    if (model.ended || model.select >> (ring ? 1 : 0) & 1 ||
        model.select >> kind & 1) {
        return;
    }
    if (model.select & CALL_STACK && kind == K_RET) {
        model_pop();
    } else if (!(model.select & CALL_STACK) || !is_next) {
        model_push(b->from + (linear ? b->from_base : 0),
                   b->to + (linear ? b->to_base : 0), kind);
    }
}

void model_near(const char *from, const void *to, unsigned kind,
                unsigned insns, unsigned ring)
{
    struct branch b = {
        .from = (uint64_t)from,
        .to = (uint64_t)to,
        .kind = kind,
        .ring = ring,
        .insns = insns,
    };

    model_branch(&b, ring);
}

void model_enter(void (*code)(void), bool user)
{
    model_near(user ? run_iret : run_call, code, user ? K_FAR : K_ICALL, 1,
               ring_of(user));
}

void model_leave(uint64_t ret, unsigned left, bool user)
{
    model_near((char *)ret, user ? user_exit : run_return, K_RET, left + 1,
               ring_of(user));
    if (user) {
        model_near(user_exit, user_done, K_FAR, 1, 0);
    }
    model_pass(4);
}

/* Cases */

/* run() starts and ends the recording by this register, not the counting. */
static void start_by(uint32_t msr)
{
    for (unsigned i = 0; i < 3; i++) {
        memcpy(ctrl_places[i], &msr, sizeof(msr));
    }
}

void run_with(void (*code)(void), bool user, uint64_t flags,
              uint64_t debugctl)
{
    if (lbr_format == FORMAT_ARCH) {
        wrmsr(MSR_DEBUGCTL, debugctl);
        run_code(cpu, code, user, flags, arch_ctl(model.select) | 1);
    } else {
        run_code(cpu, code, user, flags, DEBUGCTL_LBR | debugctl);
    }
}

void run_recorded(void (*code)(void), bool user, uint64_t debugctl)
{
    run_with(code, user, FLAGS_IOPL3, debugctl);
}

void try_case(const struct lbr_case *c, bool user, uint64_t select)
{
    model.select = select;
    write_stack();
    memset(cpu->buffer, 0, sizeof(cpu->buffer));
    if (c->before) {
        c->before(cpu);
    }
    run_recorded(c->code, user, 0);
    model_enter(c->code, user);
    for (unsigned i = 0; i < c->n; i++) {
        model_branch(&c->took[i], user);
    }
    model_leave(c->ret, c->left, user);
    check_stack(c->name, user);
}

static void try_filters(const struct lbr_case *c, bool user)
{
    try_case(c, user, 0);
    for (unsigned bit = 0; bit <= K_FAR; bit++) {
        try_case(c, user, 1u << bit);
    }
    for (unsigned kind = K_JCC; kind <= K_FAR; kind++) {
        try_case(c, user, SELECT_ALL & ~SELECT_RINGS & ~(1u << kind));
    }
    try_case(c, user, SELECT_ALL);
    try_case(c, user, CALLS_ONLY);
    try_case(c, user, CALL_STACK);
    try_case(c, user, CALLS_ONLY | 1 << K_RET);
    try_case(c, user, CALLS_ONLY | 1 << K_ICALL);
}

static void test_cases(void)
{
    for (const struct lbr_case *c = lbr_cases; c < lbr_cases_end; c++) {
        if (c->where & KERNEL) {
            try_filters(c, false);
        }
        if (c->where & USER) {
            try_filters(c, true);
        }
    }
}

/* Every case once, with each depth but the usual one */
static void test_depths(void)
{
    for (depth = 8; lbr_format == FORMAT_ARCH && depth < DEPTH; depth *= 2) {
        for (const struct lbr_case *c = lbr_cases; c < lbr_cases_end; c++) {
            try_case(c, !(c->where & KERNEL), 0);
            check(rdmsr(MSR_ARCH_LBR_FROM + depth), 0, "a record too many");
        }
    }
    depth = DEPTH;
}

/* Every case once, while counter 0 counts @event */
static void test_counting(const char *what, uint64_t event)
{
    with = what;
    pmu_clear();
    wrmsr(MSR_GLOBAL_CTRL,
          pmu_count(0, event, RING0 | RING3, UINT64_C(1) << 40));
    for (const struct lbr_case *c = lbr_cases; c < lbr_cases_end; c++) {
        for (unsigned user = 0; user < 2; user++) {
            if (c->where & (user ? USER : KERNEL) &&
                !(c->where & LONG && event & EVTSEL_EDGE)) {
                try_case(c, user, 0);
            }
        }
    }
    pmu_clear();
    with = "";
}

/* Single tests */

static bool on_trap(struct frame *frame)
{
    seen_debugctl = rdmsr(MSR_DEBUGCTL) & ~(uint64_t)DEBUGCTL_LBR;
    seen_enable = rdmsr(lbr_format == FORMAT_ARCH ? MSR_ARCH_LBR_CTL :
                                                MSR_DEBUGCTL) & 1;
    if (frame->vector == 1) {
        trap_rip = frame->rip;
        frame->flags &= ~UINT64_C(0x100);
        return true;
    }
    if (frame->vector == VECTOR_IPI && !ipi_rip) {
        ipi_rip = frame->rip;
    }
    return next_hook(frame);
}

/* A debug exception is not recorded, and nothing is after it. */
static void test_trap(bool user)
{
    model.select = 0;
    write_stack();
    seen_enable = ~UINT64_C(0);
    run_recorded(lbr_trapped, user, 0);
    model_enter(lbr_trapped, user);
    model_near(lbr_trapped_jmp, lbr_trapped_to, K_JMP, 4, ring_of(user));
    check_stack("a debug trap", user);
    check(seen_enable, 0, "a debug trap ends the recording");
}

/* IA32_DEBUGCTL.BTF is ignored: TF traps behind every instruction. */
static void test_btf(bool user)
{
    model.select = 0;
    write_stack();
    trap_rip = 0;
    run_recorded(lbr_stepped, user, DEBUGCTL_BTF);
    model_enter(lbr_stepped, user);
    model_pass(4);
    check_stack("TF with BTF", user);
    check(trap_rip, (uint64_t)lbr_stepped_jmp, "TF with BTF: its place");
    check(seen_debugctl, 0, "TF with BTF: DEBUGCTL");
}

/* The old interrupt controllers, whose first vector is @vector */
static void pic_start(uint8_t vector, uint8_t masked)
{
    outb(0x20, 0x11);
    outb(0x21, vector);
    outb(0x21, 4);
    outb(0x21, 1);
    outb(0x21, masked);
}

/* The keyboard controller raises IRQ1 if it has something. */
static void raise_irq1(void)
{
    outb(0x64, 0x60);
    outb(0x60, 1);
    outb(0x64, 0xd2);
    outb(0x60, 0);
}

/* An interrupt with vector 1 is no debug exception. */
static void test_vector_1(void)
{
    model.select = 0;
    write_stack();
    set_gate(cpu, 1, h_irq1);
    pic_start(0, 0xfd);
    raise_irq1();
    run_recorded(lbr_irq1, false, 0);
    model_enter(lbr_irq1, false);
    model_near(lbr_irq1_at, h_irq1, K_FAR, 2, 0);
    model_near(h_irq1_iret, lbr_irq1_at, K_FAR, 5, 0);
    model_leave((uint64_t)lbr_irq1_at + 1, 1, false);
    check_stack("an interrupt with vector 1", false);
    inb(0x60);
    pic_start(0x20, 0xff);
    set_gate(cpu, 1, h_debug);
}

void model_turns(unsigned turns, unsigned first)
{
    for (unsigned i = 0; i < turns; i++) {
        model_near(lbr_loop_jnz, lbr_loop_dec, K_JCC, i ? 2 : first, 3);
    }
}

/* Run the loop in ring 3; an interrupt comes at its @n-th branch. */
static void run_loop(unsigned n, uint64_t debugctl)
{
    model.select = 0;
    pmu_prepare();
    write_stack();
    wrmsr(MSR_GLOBAL_CTRL, pmu_count(0, EV_BRANCHES | EVTSEL_INT, RING3, n));
    run_with(lbr_loop, true, FLAGS_IF, debugctl);
    model_enter(lbr_loop, true);
    model_turns(n, 3);
}

static void test_freeze(void)
{
    bool streamlined = pmu_version >= 4;

    run_loop(100, DEBUGCTL_FREEZE_LBRS);
    check_stack("freeze on PMI", true);
    check(hit.n, 1, "freeze on PMI: interrupt");
    check(hit.status, 1 | (streamlined ? LBR_FROZEN : 0),
          "freeze on PMI: GLOBAL_STATUS");
    check(seen_debugctl, DEBUGCTL_FREEZE_LBRS, "freeze on PMI: DEBUGCTL");
    check(seen_enable, streamlined, "freeze on PMI: enable");
    if (!streamlined) {
        return;
    }
    run_recorded(lbr_cases->code, true, 0);
    check_stack("while LBR_FRZ is set", true);
    wrmsr(MSR_GLOBAL_OVF_CTRL, LBR_FROZEN);
    try_case(lbr_cases, true, 0);
    wrmsr(MSR_GLOBAL_STATUS_SET, LBR_FROZEN);
    write_stack();
    run_recorded(lbr_cases->code, true, 0);
    check_stack("LBR_FRZ by GLOBAL_STATUS_SET", true);
    wrmsr(MSR_GLOBAL_OVF_CTRL, LBR_FROZEN);
}

/* Without freeze the interrupt is recorded, and what comes after it. */
static void test_no_freeze(uint64_t debugctl)
{
    const unsigned n = LBR_TURNS - 10;

    set_gate(cpu, VECTOR_PMI, h_irq);
    run_loop(n, debugctl);
    model_near(lbr_loop_dec, h_irq, K_FAR, 0, 0);
    model_near(h_irq_iret, lbr_loop_dec, K_FAR, 5, 3);
    model_turns(LBR_TURNS - 1 - n, 2);
    model_leave((uint64_t)lbr_loop_jnz + 2, 2, true);
    check_stack("no freeze on PMI", true);
    set_gate(cpu, VECTOR_PMI, NULL);
}

/* An overflow without interrupt freezes nothing. */
static void test_no_interrupt(void)
{
    model.select = 0;
    pmu_prepare();
    write_stack();
    wrmsr(MSR_GLOBAL_CTRL, pmu_count(0, EV_BRANCHES, RING3, 10));
    run_recorded(lbr_loop, true, DEBUGCTL_FREEZE_LBRS);
    model_enter(lbr_loop, true);
    model_turns(LBR_TURNS - 1, 3);
    model_leave((uint64_t)lbr_loop_jnz + 2, 2, true);
    check_stack("an overflow without interrupt", true);
    pmu_clear();
}

/*
 * A branch to an address that is not canonical, which faults: whatever is
 * recorded of it, software can write what it reads, as it does at a context
 * switch.
 */
static void test_edge(void)
{
    static uint64_t pd[512] __attribute__((aligned(4096)));
    const unsigned from = lbr_format == FORMAT_ARCH ? MSR_ARCH_LBR_FROM :
                                                      MSR_LBR_FROM;
    const unsigned to = lbr_format == FORMAT_ARCH ? MSR_ARCH_LBR_TO :
                                                    MSR_LBR_TO;
    const uint64_t page = UINT64_C(96) << 20;
    uint64_t *pml4, *pdpt, records[DEPTH][2];
    unsigned recorded = 0, refused = 0;

    asm volatile("mov %%cr3, %0" : "=r"(pml4));
    pdpt = (uint64_t *)(pml4[0] & ~UINT64_C(0xfff));
    pd[511] = page | 0xe7;
    pml4[255] = pml4[0];
    pdpt[511] = (uint64_t)pd | 7;
    memcpy((void *)(page + (LBR_EDGE & 0x1fffff)), lbr_edge_jmp,
           lbr_edge_end - lbr_edge_jmp);
    set_gate(cpu, 13, h_skip_error);
    model.select = 0;
    write_stack();
    run_recorded(lbr_edge, false, 0);
    set_gate(cpu, 13, NULL);
    pml4[255] = 0;
    pdpt[511] = 0;
    asm volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");

    for (unsigned i = 0; i < DEPTH; i++) {
        records[i][0] = rdmsr(from + i);
        records[i][1] = rdmsr(to + i);
    }
    for (unsigned i = 0; i < DEPTH; i++) {
        recorded += (records[i][1] << 16) >> 16 == LBR_EDGE;
        refused += !try_wrmsr(from + i, records[i][0]);
        refused += !try_wrmsr(to + i, records[i][1]);
    }
    check(recorded, 1, "out of the lower half: the branch before");
    check(refused, 0, "out of the lower half: refused by WRMSR");
}

/* A PEBS record in the middle has the branches up to its instruction. */
static void test_pebs(unsigned entries)
{
    const unsigned n = LBR_TURNS / 2;
    struct ds *ds = (struct ds *)cpu->buffer[0];
    const uint64_t *record = (const uint64_t *)cpu->buffer[1];
    unsigned bad = 0;

    model.select = 0;
    pmu_prepare();
    write_stack();
    ds->base = ds->index = (uint64_t)record;
    ds->maximum = ds->threshold = ds->base + sizeof(cpu->buffer[1]);
    ds->reset[0] = pmu_minus(UINT64_C(1) << 40);
    wrmsr(MSR_DS_AREA, (uint64_t)ds);
    wrmsr(MSR_PEBS_DATA_CFG, CFG_LBRS(entries));
    wrmsr(MSR_PEBS_ENABLE, 1);
    wrmsr(MSR_GLOBAL_CTRL,
          pmu_count(0, EV_BRANCHES | EVTSEL_ADAPTIVE, RING3, n));
    run_recorded(lbr_loop, true, 0);
    wrmsr(MSR_PEBS_ENABLE, 0);
    pmu_clear();

    model_enter(lbr_loop, true);
    model_turns(n, 3);
    check(record[1], (uint64_t)lbr_loop_jnz, "PEBS, %u branches: place",
          entries);
    check(ds->index - ds->base, 32 + entries * 24, "PEBS, %u branches: size",
          entries);
    record += 4;
    for (unsigned i = 0; i < entries; i++, record += 3) {
        bad += i < depth ?
               !record_is((model.tos - i) % depth, record[0], record[1],
                          record[2]) : (record[0] | record[1] | record[2]) != 0;
    }
    check(bad, 0, "PEBS, %u branches: those before it", entries);

    /* The recording has gone on. */
    model_turns(LBR_TURNS - 1 - n, 2);
    model_leave((uint64_t)lbr_loop_jnz + 2, 2, true);
    check_stack("after a PEBS record", true);
}

static void set_handlers(void)
{
    set_gate(cpu, 0, h_skip);
    set_gate(cpu, 1, h_debug);
    set_gate(cpu, 3, h_iret);
    set_gate(cpu, 4, h_iret);
    set_gate(cpu, 6, h_skip);
    set_gate(cpu, 8, h_skip_error);
    set_gate(cpu, 11, h_skip_error);
    set_gate(cpu, 14, h_map_error);
    set_gate(cpu, VECTOR_IPI, h_irq);
    wrmsr(0x174, SEL_KERNEL);
    wrmsr(0x175, (uint64_t)&cpu->rsp0_stack[ARRAY_SIZE(cpu->rsp0_stack)]);
    wrmsr(0x176, (uint64_t)h_sysexit);
}

static void reset_handlers(void)
{
    static const uint8_t vectors[] = { 0, 1, 3, 4, 6, 8, 11, 13, 14,
                                       VECTOR_IPI };

    for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
        set_gate(cpu, vectors[i], NULL);
    }
}

/* Branch trace store */

/*
 * Room for @room records, and a rest that is too small for one; an interrupt at
 * the @threshold-th
 */
static void trace_begin(unsigned room, unsigned threshold, uint64_t debugctl)
{
    struct ds *ds = &trace_ds;

    model.select = 0;
    pmu_prepare();
    write_stack();
    memset(trace, 0xa5, sizeof(trace));
    ds->bts[0] = ds->bts[1] = (uint64_t)(trace + 3);
    ds->bts[2] = ds->bts[0] + room * 24 + room % 24;
    ds->bts[3] = ds->bts[0] + threshold * 24;
    wrmsr(MSR_DS_AREA, (uint64_t)ds);
    nr_traced = 0;
    traces_ring[0] = !(debugctl & DEBUGCTL_OFF_OS);
    traces_ring[1] = !(debugctl & DEBUGCTL_OFF_USR);
}

/* How many records are wrong, of those for which there is @room */
static unsigned trace_wrong(unsigned room, bool is_circular)
{
    unsigned bad = 0, first = 0, end = MIN(nr_traced, room);

    if (is_circular) {
        first = nr_traced - end;
        end = nr_traced;
    }
    for (unsigned i = first; i < end; i++) {
        const uint64_t *r = &trace[3 + i % room * 3];

        bad += r[0] != traced[i].from || r[1] != traced[i].to ||
               r[2] != PREDICTED;
    }
    for (unsigned i = 0; i < 3; i++) {
        bad += trace[i] != 0xa5a5a5a5a5a5a5a5;
        bad += trace[3 + MIN(room, nr_traced) * 3 + i] != 0xa5a5a5a5a5a5a5a5;
    }
    return bad;
}

/* Records since the start of the buffer */
static uint64_t trace_index(void)
{
    return (trace_ds.bts[1] - trace_ds.bts[0]) / 24;
}

static void trace_case(const struct lbr_case *c, bool user, uint64_t debugctl)
{
    bool records = debugctl & DEBUGCTL_LBR && lbr_format != FORMAT_ARCH;
    uint64_t since = model.since;

    trace_begin(TRACE_MAX, TRACE_MAX, debugctl);
    if (c->before) {
        c->before(cpu);
    }
    run_code(cpu, c->code, user, FLAGS_IOPL3, debugctl);
    model_enter(c->code, user);
    for (unsigned i = 0; i < c->n; i++) {
        model_branch(&c->took[i], user);
    }
    model_leave(c->ret, c->left, user);
    traces_ring[0] = traces_ring[1] = false;
    check(trace_index(), nr_traced, "trace 0x%lx, ring %d: %s: number",
          debugctl, ring_of(user), c->name);
    check(trace_wrong(TRACE_MAX, false), 0, "trace 0x%lx, ring %d: %s",
          debugctl, ring_of(user), c->name);
    if (records) {
        check_stack(c->name, user);
    } else {
        model.since = since;
    }
}

static void test_trace_cases(void)
{
    static const uint64_t how[] = {
        DEBUGCTL_BTS, DEBUGCTL_BTS | DEBUGCTL_OFF_OS,
        DEBUGCTL_BTS | DEBUGCTL_OFF_USR, DEBUGCTL_BTS | DEBUGCTL_BTINT,
        DEBUGCTL_BTS | DEBUGCTL_LBR,
    };

    with = ", traced";
    for (const struct lbr_case *c = lbr_cases; c < lbr_cases_end; c++) {
        for (unsigned i = 0; i < ARRAY_SIZE(how) * 2; i++) {
            if (c->where & (i & 1 ? USER : KERNEL)) {
                trace_case(c, i & 1, how[i / 2]);
            }
        }
    }
    with = "";
}

/*
 * The loop in ring 3, with this room and an interrupt behind so many of its
 * turns, if not 0.  Returns: records that are wrong
 */
static unsigned trace_loop(unsigned room, unsigned turns, uint64_t debugctl)
{
    bool is_circular = !(debugctl & DEBUGCTL_BTINT);

    debugctl |= DEBUGCTL_BTS | DEBUGCTL_OFF_OS;
    trace_begin(room, turns, debugctl);
    run_code(cpu, lbr_loop, true, FLAGS_IF, debugctl);
    model_enter(lbr_loop, true);
    model_turns(turns, 3);
    if (turns) {
        model_near(lbr_loop_dec, h_irq, K_FAR, 0, 0);
        model_near(h_irq_iret, lbr_loop_dec, K_FAR, 5, 3);
    }
    model_turns(LBR_TURNS - 1 - turns, 3);
    model_leave((uint64_t)lbr_loop_jnz + 2, 2, true);
    traces_ring[0] = traces_ring[1] = false;
    return trace_wrong(room, is_circular);
}

static void test_trace_buffer(void)
{
    /* 999 turns, RET, INT */
    const unsigned all = LBR_TURNS + 1;

    trace_loop(TRACE_MAX, 100, DEBUGCTL_BTINT);
    check(hit.n, 1, "trace: an interrupt at the threshold");
    check(hit.frame.rip, (uint64_t)lbr_loop_dec, "trace: its place");
    check(hit.frame.rcx, LBR_TURNS - 100, "trace: its turn");
    check(hit.status, OVF_BUF, "trace: GLOBAL_STATUS");

    /* Behind the threshold there is none. */
    check(trace_loop(TRACE_MAX, 0, DEBUGCTL_BTINT), 0, "trace: past it");
    check(trace_index(), all, "trace: past it: number");
    check(hit.n, 0, "trace: past it: interrupts");
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "trace: past it: GLOBAL_STATUS");

    set_gate(cpu, VECTOR_PMI, h_irq);
    check(trace_loop(all + 1, 99, DEBUGCTL_BTINT), 0, "trace: it just fits");
    check(trace_index(), all + 1, "trace: number, with the interrupt");
    check(trace_loop(10, 9, DEBUGCTL_BTINT), 0, "trace: full");
    check(trace_index(), 10, "trace: full: index");
    check(trace_loop(7, 0, 0), 0, "trace: circular");
    check(trace_index(), all % 7, "trace: circular: index");
    check(trace_loop(24, 0, 0), 0, "trace: circular, without a rest");
    check(trace_index(), all % 24, "trace: circular, without a rest: index");
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "trace: circular: no interrupt");
    set_gate(cpu, VECTOR_PMI, NULL);
}

/*
 * The loop in ring 3; its @n-th branch reaches the threshold, with this freeze.
 * Counter 0 counts branches meanwhile.
 */
static void freeze_loop(unsigned n, uint64_t flags, uint64_t freeze)
{
    trace_begin(TRACE_MAX, n, DEBUGCTL_OFF_OS);
    keep_counting = true;
    wrmsr(MSR_GLOBAL_CTRL, pmu_count(0, EV_BRANCHES, RING3, 0));
    run_code(cpu, lbr_loop, true, flags, freeze | DEBUGCTL_BTS |
             DEBUGCTL_BTINT | DEBUGCTL_OFF_OS | DEBUGCTL_LBR);
    traces_ring[0] = traces_ring[1] = false;
    model_enter(lbr_loop, true);
    model_turns(n, 3);
}

/* It freezes like any other, at its branch, whether it is taken or not. */
static void test_trace_freeze(uint64_t freeze, bool taken)
{
    const unsigned n = 100;
    bool counters = freeze & DEBUGCTL_FREEZE;
    bool lbrs = freeze & DEBUGCTL_FREEZE_LBRS;
    uint64_t status = OVF_BUF;

    if (pmu_version >= 4) {
        status |= (counters ? FROZEN : 0) | (lbrs ? LBR_FROZEN : 0);
    }
    freeze_loop(n, taken ? FLAGS_IF : 0, freeze);
    check(rdmsr(MSR_PMC0), counters ? n : LBR_TURNS + 2,
          "trace: freeze 0x%lx: counter", freeze);
    check(trace_index(), LBR_TURNS + 1 + taken, "trace: freeze 0x%lx: number",
          freeze);
    if (lbrs && lbr_format != FORMAT_ARCH) {
        check_stack("the threshold of a trace", true);
    }
    check(rdmsr(MSR_GLOBAL_STATUS), status,
          "trace: freeze 0x%lx: GLOBAL_STATUS", freeze);
    check(hit.n, taken, "trace: freeze 0x%lx: taken", freeze);
    run_code(cpu, lbr_cases->code, true, FLAGS_IF, 0);
    check(hit.n, 1, "trace: freeze 0x%lx: interrupt", freeze);
    check(hit.status, status, "trace: freeze 0x%lx: status there", freeze);
}

/* One interrupt, if a counter overflows at the same branch */
static void test_trace_overflow(void)
{
    trace_begin(TRACE_MAX, 100, 0);
    wrmsr(MSR_GLOBAL_CTRL,
          pmu_count(0, EV_BRANCHES | EVTSEL_INT, RING3, 100));
    run_code(cpu, lbr_loop, true, FLAGS_IF,
             DEBUGCTL_BTS | DEBUGCTL_BTINT | DEBUGCTL_OFF_OS);
    traces_ring[0] = traces_ring[1] = false;
    check(hit.n, 1, "trace: with an overflow: interrupts");
    check(hit.frame.rcx, LBR_TURNS - 100, "trace: with an overflow: turn");
    check(hit.status, OVF_BUF | 1, "trace: with an overflow: GLOBAL_STATUS");
}

/*
 * A branch whose target faults, being absent or UD2: the interrupt comes before
 * the fault if it is @taken, and the freeze does in any case.  @before: of the
 * case.
 */
static void test_trace_fault(void (*before)(struct cpu *me), bool taken)
{
    const uint64_t debugctl = DEBUGCTL_BTS | DEBUGCTL_BTINT |
                              DEBUGCTL_OFF_OS | DEBUGCTL_LBR |
                              DEBUGCTL_FREEZE_LBRS;
    const struct lbr_case *c = lbr_cases;

    while (c->before != before) {
        c++;
    }
    trace_begin(TRACE_MAX, 1, debugctl);
    c->before(cpu);
    set_gate(cpu, VECTOR_PMI, h_irq);
    run_code(cpu, c->code, true, taken ? FLAGS_IF : 0, debugctl);
    model_enter(c->code, true);
    model_branch(&c->took[0], true);
    if (lbr_format != FORMAT_ARCH) {
        check_stack("the threshold of a trace, at a target that faults", true);
    }
    if (taken) {
        void *target = (void *)c->took[0].to;

        model_near(target, h_irq, K_FAR, 0, 0);
        model_near(h_irq_iret, target, K_FAR, 5, 3);
    } else {
        run_code(cpu, lbr_cases->code, true, FLAGS_IF, 0);
    }
    set_gate(cpu, VECTOR_PMI, NULL);
    for (unsigned i = 1; i < c->n; i++) {
        model_branch(&c->took[i], true);
    }
    model_leave(c->ret, c->left, true);
    /* The registers have seen none of this, and no cycles. */
    model.since = 0;
    traces_ring[0] = traces_ring[1] = false;
    check(trace_index(), nr_traced, "trace: a target that faults: number");
    check(trace_wrong(TRACE_MAX, false), 0, "trace: a target that faults");
}

/* Record @i of the buffer, which is memory that could be written */
#define AT(i)           ((uint64_t)(trace + (i) * 3))

/* Places where there can be no record; nothing else is written. */
static void test_trace_hostile(void)
{
    static const struct {
        const char *name;
        uint64_t area, base, index, maximum;
    } table[] = {
        { "absent buffer", 0, WINDOW, WINDOW, WINDOW + 0x8000 },
        { "device", 0, APIC + 0x80, APIC + 0x80, APIC + 0x800 },
        { "not canonical", 0, UINT64_C(1) << 48, UINT64_C(1) << 48,
          UINT64_MAX },
        { "end of the address space", 0, UINT64_MAX - 30, UINT64_MAX - 10,
          UINT64_MAX },
        { "index below", 0, AT(1), AT(0), AT(9) },
        { "index above", 0, AT(0), AT(2), AT(1) },
        { "no room", 0, AT(0), AT(0) + 1, AT(1) },
        { "absent area", WINDOW, 0, 0, 0 },
        { "area of a device", APIC + 0x80, 0, 0, 0 },
    };
    const uint64_t debugctl = DEBUGCTL_BTS | DEBUGCTL_BTINT;

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        trace_begin(TRACE_MAX, 0, debugctl);
        rt_window(0);
        trace_ds.bts[0] = table[i].base;
        trace_ds.bts[1] = table[i].index;
        trace_ds.bts[2] = table[i].maximum;
        /* The interrupt is due at the first record. */
        trace_ds.bts[3] = table[i].index + 1;
        if (table[i].area) {
            wrmsr(MSR_DS_AREA, table[i].area);
        }
        run_code(cpu, lbr_loop, true, 0, debugctl);
        traces_ring[0] = traces_ring[1] = false;
        check(trace_ds.bts[1], table[i].index, "trace: %s: index",
              table[i].name);
        check(rdmsr(MSR_GLOBAL_STATUS), 0, "trace: %s: GLOBAL_STATUS",
              table[i].name);
    }
    /* A record in two pages, of which the second one is absent */
    trace_begin(TRACE_MAX, TRACE_MAX, debugctl);
    rt_window(1);
    memset((void *)(uintptr_t)WINDOW, 0, 4096);
    trace_ds.bts[0] = trace_ds.bts[1] = WINDOW + 4096 - 16;
    trace_ds.bts[2] = WINDOW + 8192;
    run_code(cpu, lbr_loop, true, 0, debugctl);
    check(*(uint64_t *)(uintptr_t)(WINDOW + 4096 - 16), 0,
          "trace: half a record is not written");
    rt_window(0);
}

/* The firmware's handler takes branches, but nothing is stored in SMM. */
static void test_trace_smi(void)
{
    trace_begin(TRACE_MAX, TRACE_MAX, DEBUGCTL_BTS);
    run_code(cpu, lbr_smi, false, 0, DEBUGCTL_BTS);
    model_enter(lbr_smi, false);
    model_leave((uint64_t)lbr_smi_ret, 3, false);
    traces_ring[0] = traces_ring[1] = false;
    check(trace_index(), nr_traced, "trace: an SMI: number");
    check(trace_wrong(TRACE_MAX, false), 0, "trace: an SMI");
}

static void test_trace(void)
{
    if (rdmsr(MSR_MISC_ENABLE) & 1 << 11) {
        skip("trace", "no BTS");
        return;
    }
    start_by(MSR_DEBUGCTL);
    test_trace_buffer();
    test_trace_hostile();
    test_trace_smi();
    for_each_stop(trace_case, DEBUGCTL_BTS);
    set_handlers();
    test_trace_cases();
    for (unsigned taken = 0; taken < 2; taken++) {
        test_trace_fault(before_jump, taken);
        test_trace_fault(before_ud2, taken);
    }
    reset_handlers();
    for (unsigned i = 0; i < 8; i++) {
        test_trace_freeze((i & 1 ? DEBUGCTL_FREEZE : 0) |
                          (i & 2 ? DEBUGCTL_FREEZE_LBRS : 0), i & 4);
    }
    test_trace_overflow();
}

void ap_main(struct cpu *other)
{
}

void main(void)
{
    lbr_format = rdmsr(MSR_PERF_CAPABILITIES) & FORMAT;
    result((lbr_format >= FORMAT_INFO && lbr_format <= 7) ||
           lbr_format == FORMAT_ARCH, "format %u", lbr_format);
    start_by(lbr_format == FORMAT_ARCH ? MSR_ARCH_LBR_CTL : MSR_DEBUGCTL);
    pmu_start();
    set_handlers();
    test_cases();
    test_depths();
    test_counting(", loads counted", EV_LOADS);
    test_counting(", edges counted", EV_LOADS | EVTSEL_EDGE);
    test_vector_1();
    reset_handlers();
    next_hook = trap_hook;
    trap_hook = on_trap;
    test_trap(false);
    test_trap(true);
    test_btf(false);
    test_btf(true);
    test_freeze();
    test_no_freeze(0);
    test_no_freeze(pmu_version >= 4 ? DEBUGCTL_FREEZE : 0);
    test_no_interrupt();
    test_edge();
    test_events();
    if (rdmsr(MSR_PERF_CAPABILITIES) & CAP_BASELINE) {
        test_pebs(1);
        test_pebs(DEPTH);
        test_pebs(DEPTH + 9);
        if (lbr_format == FORMAT_ARCH) {
            depth = 8;
            test_pebs(DEPTH);
            depth = DEPTH;
        }
    } else {
        skip("PEBS", "no baseline");
    }
    test_trace();
    print_stops();
}
