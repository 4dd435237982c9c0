/*
 * PEBS: one record, for the very instruction, in guest memory only
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Counters are preset so that it is known which instructions overflow them.
 * Works with every configuration of the PMU that has PEBS; CPUID and
 * PERF_CAPABILITIES say what to expect.  With a second CPU, that one samples
 * all the while, too.
 */
#include "rt.h"
#include "pebs.h"

#define MSR_FS_BASE         0xc0000100

#define FROZEN              (UINT64_C(1) << 59)
#define OVF_BUF             (UINT64_C(1) << 62)

#define LATENCY             32
#define L1_HIT              1

#define VECTOR_PMI          0x31
#define RECORDS_SIZE        (1u << 20)

/* The emulator pushes it as 1 on every interrupt. */
#define FLAGS_RF            0x10000

unsigned format;
bool baseline;

static union {
    struct ds ds;
    uint8_t page[4096];
} areas[MAX_CPUS] __attribute__((aligned(4096)));
static uint8_t buffers[MAX_CPUS][RECORDS_SIZE] __attribute__((aligned(4096)));

struct cpu *const cpu = &cpus[0];
struct ds *const ds = &areas[0].ds;
uint8_t *const buffer = buffers[0];

struct hit hit;
bool keep_counting;

/* What else the handler does. */
static bool skip_to_r15, map_page;

/* volatile: the CPUs tell each other. */
static volatile struct {
    bool stop;
    unsigned rounds, bad;
} other;

static bool on_trap(struct frame *frame)
{
    switch (frame->vector) {
    case VECTOR_PMI:
        if (!hit.n++) {
            hit.frame = *frame;
            hit.status = rdmsr(MSR_GLOBAL_STATUS);
            hit.index = ds->index;
        }
        if (!keep_counting) {
            wrmsr(MSR_GLOBAL_CTRL, 0);
        }
        if (skip_to_r15) {
            frame->rip = frame->r15;
        }
        apic_write(APIC_EOI, 0);
        return true;
    case 14:
        if (map_page) {
            rt_window(~0u);
            break;
        }
        /* fall through */
    default:
        if (frame->vector >= 32 || !frame->r15) {
            return false;
        }
        frame->rip = frame->r15;
    }
    hit.before += !hit.n;
    return true;
}

/* Setting up */

static struct ds *area_of(struct cpu *me)
{
    return &areas[me->index].ds;
}

uint64_t minus(uint64_t n)
{
    return -n & COUNTER_MASK;
}

/* One CPU's counters: off, and PEBS with a buffer that is never full. */
static void clear(struct cpu *me)
{
    struct ds *mine = area_of(me);
    uint64_t start = (uint64_t)buffers[me->index];

    wrmsr(MSR_GLOBAL_CTRL, 0);
    wrmsr(MSR_DEBUGCTL, 0);
    wrmsr(MSR_PEBS_ENABLE, 0);
    if (baseline) {
        wrmsr(MSR_PEBS_DATA_CFG, 0);
    }
    wrmsr(MSR_PEBS_LD_LAT, 0);
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(MSR_PERFEVTSEL0 + i, 0);
        wrmsr(MSR_PMC0 + i, 0);
    }
    for (unsigned j = 0; j < pmu_fixed; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, 0);
    }
    wrmsr(MSR_FIXED_CTR_CTRL, 0);
    wrmsr(MSR_GLOBAL_OVF_CTRL, rdmsr(MSR_GLOBAL_STATUS));
    memset(mine, 0, sizeof(*mine));
    mine->base = mine->index = start;
    mine->maximum = start + RECORDS_SIZE;
    mine->threshold = ~UINT64_C(0);
    wrmsr(MSR_DS_AREA, (uint64_t)mine);
}

void prepare(void)
{
    memset(&hit, 0, sizeof(hit));
    memset(cpu->buffer, 0, sizeof(cpu->buffer));
    skip_to_r15 = map_page = keep_counting = false;
    clear(cpu);
    apic_write(APIC_LVTPC, VECTOR_PMI);
}

static unsigned slot_of(unsigned counter)
{
    return counter < 32 ? counter : 8 + counter - 32;
}

uint64_t value_of(unsigned counter)
{
    return rdmsr(counter < 32 ? MSR_PMC0 + counter :
                                MSR_FIXED_CTR0 + counter - 32);
}

uint64_t count(unsigned counter, uint64_t event, unsigned rings, uint64_t n)
{
    if (counter < 32) {
        wrmsr(MSR_PMC0 + counter, minus(n));
        wrmsr(MSR_PERFEVTSEL0 + counter,
              event | EVTSEL_EN | (rings & RING0 ? EVTSEL_OS : 0) |
              (rings & RING3 ? EVTSEL_USR : 0));
    } else {
        unsigned j = counter - 32;
        uint64_t ctrl = rdmsr(MSR_FIXED_CTR_CTRL);

        ctrl &= ~(UINT64_C(0x10000000f) << 4 * j);
        ctrl |= (uint64_t)rings << 4 * j;
        if (event & EVTSEL_ADAPTIVE) {
            ctrl |= UINT64_C(1) << (32 + 4 * j);
        }
        if (event & EVTSEL_INT) {
            ctrl |= UINT64_C(8) << 4 * j;
        }
        wrmsr(MSR_FIXED_CTR0 + j, minus(n));
        wrmsr(MSR_FIXED_CTR_CTRL, ctrl);
    }
    return UINT64_C(1) << counter;
}

uint64_t sample(struct cpu *me, unsigned counter, uint64_t event,
                unsigned rings, uint64_t n, uint64_t period)
{
    uint64_t bit = count(counter, event, rings, n);

    /* Bits above the counter's are nothing to it. */
    area_of(me)->reset[slot_of(counter)] = period & 1 ? minus(period) :
                                                        -period;
    wrmsr(MSR_PEBS_ENABLE, rdmsr(MSR_PEBS_ENABLE) | bit);
    return bit;
}

unsigned record_size(uint64_t cfg)
{
    if (format < 4) {
        return 200;
    }
    return 32 + (cfg & CFG_MEMINFO ? 32 : 0) + (cfg & CFG_GPRS ? 144 : 0) +
           (cfg & CFG_XMMS ? 256 : 0) +
           (cfg & 8 ? ((cfg >> 24 & 0xff) + 1) * 24 : 0);
}

/* All that can be had about an instruction, but for the LBR. */
static uint64_t full_cfg(void)
{
    return baseline ? CFG_MEMINFO | CFG_GPRS | CFG_XMMS : 0;
}

static uint64_t want_full(void)
{
    if (!baseline) {
        return 0;
    }
    wrmsr(MSR_PEBS_DATA_CFG, full_cfg());
    return EVTSEL_ADAPTIVE;
}

static void read_gprs(struct record *r, const uint64_t *at, bool old)
{
    static const uint8_t order[8] = { 0, 3, 1, 2, 6, 7, 5, 4 };

    r->has_gprs = true;
    r->flags = *at++;
    r->next = *at++;
    for (unsigned i = 0; i < 16; i++) {
        r->gprs[old && i < 8 ? order[i] : i] = *at++;
    }
}

struct record read_record(const uint8_t *where)
{
    const uint64_t *at = (const uint64_t *)where;
    struct record r = {};

    if (format < 4) {
        r.size = 200;
        r.format = UINT64_C(200) << 48;
        read_gprs(&r, at, true);
        r.counters = at[18];
        r.has_meminfo = true;
        r.address = at[19];
        r.source = at[20];
        r.latency = at[21];
        r.ip = at[22];
        r.tsc = at[24];
        return r;
    }
    r.format = *at++;
    r.ip = *at++;
    r.counters = *at++;
    r.tsc = *at++;
    r.size = r.format >> 48;
    if (r.format & CFG_MEMINFO) {
        r.has_meminfo = true;
        r.address = at[0];
        r.source = at[1];
        r.latency = at[2];
        at += 4;
    }
    if (r.format & CFG_GPRS) {
        read_gprs(&r, at, false);
        at += 18;
    }
    if (r.format & CFG_XMMS) {
        r.xmms = at;
    }
    return r;
}

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}

/* Skid 0, with patterns */

/*
 * @begin: where in @size bytes the @per_turn instructions are that count;
 * @ahead: what counts of run()'s CALL in ring 0; @tail, @tail_user: what
 * counts of the code's RET and what follows
 */
static const struct pattern {
    const char *name;
    void (*code)(void);
    const char *start;
    uint32_t event;
    unsigned size, per_turn, begin[4], ahead, tail, tail_user;
    bool user_only;
} patterns[] = {
    { "instructions", body_insn_code, body_insn, 0xc0, 1, 1, { 0 }, 1, 5, 2 },
    { "instructions, between faults", body_fault_code, body_fault, 0xc0,
      10, 2, { 0, 9 }, 1, 5, 2, true },
    { "instructions, between calls", body_call_code, body_call, 0xc0,
      8, 4, { 0, 1, 6, 7 }, 1, 5, 2 },
    { "branches", body_branch_code, body_branch, 0xc4, 4, 1, { 1 }, 1, 1, 2 },
    { "conditional branches", body_cond_code, body_cond, 0x11c4, 5, 2,
      { 1, 3 } },
    { "taken branches", body_cond_code, body_cond, 0x01c4, 5, 1, { 1 } },
    { "not taken branches", body_cond_code, body_cond, 0x10c4, 5, 1, { 3 } },
    { "taken near branches", body_branch_code, body_branch, 0x20c4, 4, 1,
      { 1 }, 1, 1, 1 },
    { "loads", body_load_code, body_load, 0x81d0, 4, 1, { 1 }, 0, 1, 1 },
    { "stores", body_store_code, body_store, 0x82d0, 4, 1, { 1 }, 1 },
    { "calls", body_call_code, body_call, 0x02c4, 8, 1, { 1 }, 1 },
    { "returns", body_ret_code, body_ret, 0x08c4, 8, 1, { 7 }, 0, 1, 1 },
    { "other than branches", body_branch_code, body_branch,
      0xc4 | EVTSEL_INV | EVTSEL_CMASK(1), 4, 2, { 0, 3 }, 0, 4, 0 },
    { "edges of branches", body_branch_code, body_branch,
      0xc4 | EVTSEL_EDGE | EVTSEL_CMASK(1), 4, 1, { 1 }, 1, 1, 1 },
};

static uint64_t nth_ip(const struct pattern *p, unsigned n)
{
    return (uint64_t)p->start + (n - 1) / p->per_turn * p->size +
           p->begin[(n - 1) % p->per_turn];
}

static unsigned events_in(const struct pattern *p, bool user)
{
    return PATTERN_MAX * p->per_turn + (user ? p->tail_user : p->tail);
}

/* Returns: what is wrong, or NULL. */
static const char *try_pattern(struct cpu *me, const struct pattern *p,
                               unsigned counter, bool user, unsigned period,
                               uint64_t adaptive)
{
    const uint8_t *at = buffers[me->index];
    unsigned total = events_in(p, user);
    unsigned size = record_size(adaptive ? full_cfg() : 0);
    uint64_t tsc = rdtsc(), bit;

    if (adaptive) {
        wrmsr(MSR_PEBS_DATA_CFG, full_cfg());
    }
    bit = sample(me, counter, p->event | adaptive, user ? RING3 : RING0,
                 period + (user ? 0 : p->ahead), period);
    run_code(me, p->code, user, 0, bit);

    if (value_of(counter) != minus(period - total % period)) {
        return "count";
    }
    if (rdmsr(MSR_GLOBAL_STATUS)) {
        return "GLOBAL_STATUS";
    }
    if (area_of(me)->index != (uint64_t)at + total / period * size) {
        return "index";
    }
    for (unsigned n = period; n <= total; n += period, at += size) {
        struct record r = read_record(at);

        if (r.size != size || r.counters != bit) {
            return "format or counters";
        }
        if (n <= PATTERN_MAX * p->per_turn && r.ip != nth_ip(p, n)) {
            return "instruction";
        }
        if (r.tsc < tsc) {
            return "TSC";
        }
        tsc = r.tsc;
    }
    return tsc > rdtsc() ? "TSC" : NULL;
}

static void test_patterns(void)
{
    const unsigned counters[] = { 0, pmu_gp - 1, FIXED(0) };

    for (unsigned i = 0; i < ARRAY_SIZE(patterns); i++) {
        const struct pattern *p = &patterns[i];

        for (unsigned k = 0; k < 2 * ARRAY_SIZE(counters); k++) {
            unsigned counter = counters[k / 2], bad = 0, first = 0;
            bool user = k & 1;
            const char *why = NULL;

            if ((p->user_only && !user) ||
                (counter >= 32 && (p->event != 0xc0 || !baseline)) ||
                (counter && counter == counters[0])) {
                continue;
            }
            for (unsigned n = 1; n <= PATTERN_MAX; n += n < 12 ? 1 : 37) {
                const char *what;

                prepare();
                what = try_pattern(cpu, p, counter, user, n,
                                   n & 1 && baseline ? EVTSEL_ADAPTIVE : 0);
                if (what && !bad++) {
                    first = n;
                    why = what;
                }
            }
            if (!result(!bad, "records of %s, counter %u, ring %d", p->name,
                        counter, user ? 3 : 0)) {
                print("#   %u wrong, the first with n=%u: %s\n", bad, first,
                      why);
            }
        }
    }
}

/* Ring 3 and what run() does in ring 0 for it. */
static void test_both_rings(void)
{
    const struct pattern *p = &patterns[0];
    /* IRET; RET, INT, and all to the WRMSR. */
    const unsigned ahead = 1, total = PATTERN_MAX + 6;

    for (unsigned n = 1; n <= PATTERN_MAX; n += n < 12 ? 1 : 37) {
        unsigned bad = 0;

        prepare();
        run_code(cpu, p->code, true, 0,
                 sample(cpu, 0, p->event, RING0 | RING3, n + ahead, n));
        for (unsigned i = 1; i <= PATTERN_MAX / n; i++) {
            struct record r = read_record(buffer + (i - 1) * record_size(0));

            bad += r.ip != nth_ip(p, i * n);
        }
        result(!bad && value_of(0) == minus(n - total % n) &&
               ds->index - ds->base == total / n * record_size(0),
               "records of instructions in both rings, every %u", n);
    }
}

/* Registers as the instruction has left them. */
static void test_loop(void)
{
    static const unsigned periods[] = { 97, 1000, 4096, 9973 };

    for (unsigned i = 0; i < ARRAY_SIZE(periods); i++) {
        for (unsigned user = 0; user < 2; user++) {
            unsigned period = periods[i], bad = 0;
            unsigned total = 1 + 2 * LOOP_TURNS + (user ? 2 : 5);
            const uint8_t *at = buffer;
            uint64_t adaptive, bit;

            prepare();
            adaptive = want_full();
            bit = sample(cpu, 0, 0xc0 | adaptive, user ? RING3 : RING0,
                         period + !user, period);
            run_code(cpu, loop_code, user, FLAGS_IOPL3, bit);
            for (unsigned n = period; n <= 2 * LOOP_TURNS; n += period) {
                struct record r = read_record(at);
                /* After MOV, DEC and JNZ take turns. */
                bool jnz = n & 1;
                uint64_t rcx = LOOP_TURNS - n / 2;

                if (r.ip != (uint64_t)(jnz ? loop_jnz : loop_dec) ||
                    r.counters != 1 ||
                    (r.has_gprs && (r.gprs[1] != rcx || r.next !=
                     (uint64_t)(jnz ? loop_dec : loop_jnz)))) {
                    bad++;
                }
                at += r.size;
            }
            check(bad, 0, "a loop every %u instructions, ring %u", period,
                  user ? 3 : 0);
            check((ds->index - ds->base) / record_size(full_cfg()),
                  total / period, "a loop every %u: number of records",
                  period);
            check(value_of(0), minus(period - total % period),
                  "a loop every %u: count", period);
        }
    }
}

static void test_registers(void)
{
    for (unsigned user = 0; user < 2; user++) {
        struct record r;
        uint64_t adaptive;
        bool good = true;

        prepare();
        adaptive = want_full();
        run_code(cpu, xmm_code, user, FLAGS_IF | FLAGS_IOPL3,
                 sample(cpu, 0, 0x11c4 | adaptive, user ? RING3 : RING0, 1,
                        100));
        r = read_record(buffer);
        check(r.ip, (uint64_t)xmm_here, "registers, ring %u: place",
              user ? 3 : 0);
        check(r.counters, 1, "registers: counters");
        check(ds->index - ds->base, record_size(full_cfg()),
              "registers: one record");
        if (!r.has_gprs) {
            skip("registers", "the record has none");
            continue;
        }
        check(r.next, (uint64_t)xmm_next, "registers: RIP");
        check(r.flags, 0x47 | FLAGS_IF | FLAGS_IOPL3, "registers: RFLAGS");
        for (unsigned i = 0; i < 16; i++) {
            good = good && (i == 4 || r.gprs[i] == (uint64_t)GPR_VALUE + i);
        }
        result(good, "registers: GPRs");
        if (user) {
            check(r.gprs[4],
                  (uint64_t)&cpu->user_stack[ARRAY_SIZE(cpu->user_stack)] - 8,
                  "registers: RSP");
        }
        good = true;
        for (unsigned i = 0; r.xmms && i < 16; i++) {
            good = good && r.xmms[2 * i] == (uint64_t)XMM_LOW + i &&
                   r.xmms[2 * i + 1] == (uint64_t)XMM_HIGH + i;
        }
        result(good, "registers: XMM");
    }
}

/* Single places, see pebs-cases.S. */

void before_hole(void)
{
    rt_window(0);
}

void before_hole_map(void)
{
    rt_window(0);
    map_page = true;
}

void before_fs(void)
{
    rt_window(~0u);
    wrmsr(MSR_FS_BASE, WINDOW + 0x100);
}

static unsigned call_counts(uint32_t event)
{
    return event == 0xc0 || event == 0xc4 || event == 0x82d0;
}

static bool same_registers(const struct record *r, const struct frame *f)
{
    const uint64_t gprs[16] = {
        f->rax, f->rcx, f->rdx, f->rbx, f->rsp, f->rbp, f->rsi, f->rdi,
        f->r8, f->r9, f->r10, f->r11, f->r12, f->r13, f->r14, f->r15,
    };

    for (unsigned i = 0; i < 16; i++) {
        if (r->gprs[i] != gprs[i]) {
            return false;
        }
    }
    return r->next == f->rip && r->flags == (f->flags & ~(uint64_t)FLAGS_RF);
}

static uint64_t address_of(const struct pebs_case *c, const struct record *r)
{
    uint64_t base[] = {
        [A_NONE] = 0,
        [A_RDI] = (uint64_t)cpu->buffer[0],
        [A_RSI] = (uint64_t)cpu->buffer[1],
        [A_STACK] = r->gprs[4],
        [A_ABS] = 0,
    };

    return base[c->area] + c->offset;
}

static void try_case(const struct pebs_case *c, bool user)
{
    bool in_user = c->where & OTHER ? !user : user;
    struct record r;
    uint64_t adaptive, address;
    const char *why = NULL;

    prepare();
    skip_to_r15 = c->where & SKIP;
    if (c->before) {
        c->before();
    }
    adaptive = want_full();
    ds->threshold = ds->base + 1;
    run_code(cpu, c->code, user, FLAGS_IOPL3 | FLAGS_IF,
             sample(cpu, 0, c->event | adaptive, in_user ? RING3 : RING0,
                    c->n + (user ? 0 : call_counts(c->event)), 1000));
    r = read_record(buffer);
    address = address_of(c, &r);
    if (ds->index - ds->base != record_size(full_cfg())) {
        why = "number of records";
    } else if (r.ip != c->rip) {
        why = "place";
    } else if (r.counters != 1) {
        why = "counters";
    } else if (r.has_gprs && r.next != c->next) {
        why = "RIP";
    } else if (r.has_meminfo && !(c->where & ANY) &&
               (r.address != address || r.source != !!address * L1_HIT)) {
        why = "address";
    } else if (hit.n != 1 || hit.status != OVF_BUF) {
        why = "interrupt";
    } else if (r.has_gprs && !(c->where & LATER) &&
               !same_registers(&r, &hit.frame)) {
        why = "registers";
    }
    if (!result(!why, "%s, ring %d", c->name, user ? 3 : 0)) {
        print("#   wrong: %s; %lu bytes, ip 0x%lx (0x%lx), rip 0x%lx (0x%lx), "
              "address 0x%lx (0x%lx), interrupts %u at 0x%lx, status 0x%lx, "
              "flags 0x%lx (0x%lx)\n", why,
              ds->index - ds->base, r.ip, c->rip, r.next, c->next, r.address,
              address, hit.n, hit.frame.rip, hit.status, r.flags,
              hit.frame.flags);
    }
}

static void test_cases(void)
{
    for (struct pebs_case *c = cases; c < cases_end; c++) {
        for (unsigned user = 0; user < 2; user++) {
            if (c->where & (user ? USER : KERNEL)) {
                try_case(c, user);
            }
        }
    }
}

/* Counters */

static const struct pattern *const insns = &patterns[0];
static const unsigned user_total = PATTERN_MAX + 2;

/* Every counter goes on from its own reset slot. */
static void test_reset_slots(void)
{
    for (unsigned i = 0; i < pmu_gp + 3; i++) {
        unsigned counter = i < pmu_gp ? i : FIXED(i - pmu_gp);
        uint64_t bit;

        if (counter >= 32 && !baseline) {
            continue;
        }
        prepare();
        for (unsigned k = 0; k < ARRAY_SIZE(ds->reset); k++) {
            ds->reset[k] = minus(1000000 + k);
        }
        wrmsr(MSR_PEBS_ENABLE, UINT64_C(1) << counter);
        bit = count(counter, 0xc0, RING3, 100);
        run_code(cpu, insns->code, true, 0, bit);
        check(value_of(counter), minus(1000000 + slot_of(counter)) +
              user_total - 100, "counter %u: from its reset slot", counter);
        check(read_record(buffer).counters, bit, "counter %u: its bit",
              counter);
        check(ds->index - ds->base, record_size(0), "counter %u: one record",
              counter);
        check(rdmsr(MSR_GLOBAL_STATUS), 0, "counter %u: GLOBAL_STATUS",
              counter);
    }
}

static void test_several(void)
{
    unsigned last = pmu_gp >= 3 ? 2 : pmu_gp - 1;
    uint64_t bits = 0, all;
    struct record r;

    /* All at once. */
    prepare();
    for (unsigned i = 0; i <= last; i++) {
        bits |= sample(cpu, i, i & 1 ? 0x3c : 0xc0, RING3, 10, 500 + i);
    }
    for (unsigned j = 0; baseline && j < 3; j++) {
        bits |= sample(cpu, FIXED(j), 0, RING3, 10, 600 + j);
    }
    check(rdmsr(MSR_PEBS_ENABLE), bits, "several: PEBS_ENABLE");
    run_code(cpu, insns->code, true, 0, bits);
    r = read_record(buffer);
    check(ds->index - ds->base, record_size(0), "several: one record");
    check(r.counters, bits, "several: counters");
    check(r.ip, nth_ip(insns, 10), "several: place");
    for (unsigned i = 0; i <= last; i++) {
        check(value_of(i), minus(500 + i) + user_total - 10,
              "several: counter %u", i);
    }
    for (unsigned j = 0; baseline && j < 3; j++) {
        check(value_of(FIXED(j)), minus(600 + j) + user_total - 10,
              "several: fixed counter %u", j);
    }
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "several: GLOBAL_STATUS");

    if (pmu_gp < 2) {
        skip("several", "one counter");
        return;
    }

    /* One instruction after the other. */
    prepare();
    bits = sample(cpu, 0, 0xc0, RING3, 10, 500) |
           sample(cpu, 1, 0xc0, RING3, 11, 500);
    run_code(cpu, insns->code, true, 0, bits);
    check(ds->index - ds->base, 2 * record_size(0), "in turn: two records");
    check(read_record(buffer).counters, 1, "in turn: the first");
    check(read_record(buffer).ip, nth_ip(insns, 10), "in turn: its place");
    r = read_record(buffer + record_size(0));
    check(r.counters, 2, "in turn: the second");
    check(r.ip, nth_ip(insns, 11), "in turn: its place");

    /* One of them without PEBS. */
    prepare();
    all = sample(cpu, 1, 0xc0 | EVTSEL_INT, RING3, 10, 500) |
          count(0, 0xc0, RING3, 10);
    run_code(cpu, insns->code, true, 0, all);
    check(ds->index - ds->base, record_size(0), "one without: one record");
    check(read_record(buffer).counters, 2, "one without: counters");
    check(rdmsr(MSR_GLOBAL_STATUS), 1, "one without: GLOBAL_STATUS");
    check(value_of(0), user_total - 10, "one without: it goes on from 0");
    check(value_of(1), minus(500) + user_total - 10,
          "one without: the other from its slot");

    /* Two interrupts at once. */
    prepare();
    ds->threshold = ds->base;
    keep_counting = true;
    all = sample(cpu, 1, 0xc0, RING3, 10, 500) |
          count(0, 0xc0 | EVTSEL_INT, RING3, 10);
    run_code(cpu, insns->code, true, FLAGS_IF, all);
    check(hit.n, 1, "one without, threshold: one interrupt");
    check(hit.status, OVF_BUF | 1, "one without, threshold: GLOBAL_STATUS");

    /* Off: neither record nor status, whatever PEBS_ENABLE says. */
    prepare();
    all = sample(cpu, 0, 0xc0, RING3, 10, 500) |
          sample(cpu, 1, 0xc0, RING3, 1000, 500);
    run_code(cpu, insns->code, true, 0, all & ~UINT64_C(1));
    check(ds->index - ds->base, 0, "off: no record");
    check(value_of(0), minus(10), "off: does not count");
    check(value_of(1), minus(1000) + user_total, "on: counts");
}

static void test_groups(void)
{
    static const uint64_t lbrs[] = { CFG_LBRS(1), CFG_LBRS(32),
                                     CFG_LBRS(256) };
    uint64_t all;

    if (!baseline) {
        skip("groups", "no baseline");
        return;
    }
    for (uint64_t cfg = 0; cfg < 8 + ARRAY_SIZE(lbrs); cfg++) {
        uint64_t value = cfg < 8 ? cfg : 5 | lbrs[cfg - 8];
        unsigned bad = 0;
        struct record r;

        for (unsigned counter = 0; counter <= 32; counter += 32) {
            prepare();
            memset(buffer, GUARD, 8192);
            wrmsr(MSR_PEBS_DATA_CFG, value);
            run_code(cpu, insns->code, true, 0,
                     sample(cpu, counter, 0xc0 | EVTSEL_ADAPTIVE, RING3, 10,
                            1000));
            r = read_record(buffer);
            check(r.format, value | (uint64_t)record_size(value) << 48,
                  "groups 0x%lx, counter %u: format", value, counter);
            check(ds->index - ds->base, record_size(value),
                  "groups 0x%lx: index", value);
            check(r.ip, nth_ip(insns, 10), "groups 0x%lx: place", value);
            for (unsigned i = record_size(value & 7); i < 8192; i++) {
                bad += buffer[i] != (i < r.size ? 0 : GUARD);
            }
            check(bad, 0, "groups 0x%lx: LBR is 0, nothing else written",
                  value);

            prepare();
            wrmsr(MSR_PEBS_DATA_CFG, value);
            run_code(cpu, insns->code, true, 0,
                     sample(cpu, counter, 0xc0, RING3, 10, 1000));
            check(read_record(buffer).format, UINT64_C(32) << 48,
                  "groups 0x%lx, counter %u is not adaptive", value, counter);
        }
    }

    /* One is, one is not. */
    prepare();
    wrmsr(MSR_PEBS_DATA_CFG, CFG_GPRS);
    all = sample(cpu, 0, 0xc0, RING3, 10, 30) |
          sample(cpu, FIXED(0), EVTSEL_ADAPTIVE, RING3, 20, 20);
    run_code(cpu, insns->code, true, 0, all);
    /* 10, 20, 40 (both), 60, 70, 80, 100 (both), 120, 130, 140, 160... */
    {
        const uint8_t *at = buffer;
        unsigned bad = 0;

        for (unsigned n = 10; n <= 200; n += 10) {
            bool one = n % 30 == 10, two = n % 20 == 0;
            struct record r = read_record(at);

            if (!one && !two) {
                continue;
            }
            bad += r.counters != (one | (uint64_t)two << 32) ||
                   r.size != record_size(two ? CFG_GPRS : 0) ||
                   r.ip != nth_ip(insns, n);
            at += r.size;
        }
        check(bad, 0, "groups: for who is adaptive only");
    }
}

static void test_load_latency(void)
{
    static const struct {
        unsigned threshold;
        bool admits;
    } table[] = { { 0, true }, { 3, true }, { LATENCY - 1, true },
                  { LATENCY, false }, { 0xffff, false } };

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        uint64_t adaptive;
        struct record r;

        prepare();
        adaptive = want_full();
        wrmsr(MSR_PEBS_LD_LAT, table[i].threshold);
        run_code(cpu, body_load_code, true, 0,
                 sample(cpu, 0, 0x01cd | adaptive, RING3, 10, 1000));
        check(ds->index - ds->base,
              table[i].admits ? record_size(full_cfg()) : 0,
              "loads of more than %u cycles", table[i].threshold);
        check(value_of(0), table[i].admits ?
              minus(1000) + PATTERN_MAX + 1 - 10 : minus(10),
              "loads of more than %u cycles: count", table[i].threshold);
        r = read_record(buffer);
        if (table[i].admits && r.has_meminfo) {
            check(r.latency, LATENCY, "latency");
            check(r.address, (uint64_t)cpu->buffer[0], "latency: address");
            check(r.source, L1_HIT, "latency: source");
        }
    }
}

/* The interrupt */

static void test_threshold(void)
{
    unsigned size = record_size(0);
    /* Where the threshold is, in bytes, and at which record it matters. */
    const struct {
        int64_t bytes;
        unsigned nr;
    } table[] = {
        { 0, 1 }, { -1000, 1 }, { 1, 1 }, { size, 1 }, { size + 1, 2 },
        { 2 * size, 2 }, { 3 * size - 1, 3 }, { 3 * size, 3 },
        { 40 * size, 40 },
    };
    struct record r;

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(table); i++) {
        unsigned user = i & 1, nr = table[i / 2].nr;
        int64_t bytes = table[i / 2].bytes;
        uint64_t bit;

        prepare();
        ds->threshold = ds->base + bytes;
        bit = sample(cpu, 0, 0xc0, user ? RING3 : RING0, 10 + !user, 10);
        run_code(cpu, insns->code, user, FLAGS_IF, bit);
        check(hit.n, 1, "threshold at %d, ring %u: one interrupt", (int)bytes,
              user ? 3 : 0);
        check(hit.frame.rip, nth_ip(insns, 10 * nr) + 1,
              "threshold at %d: place", (int)bytes);
        check(hit.status, OVF_BUF, "threshold at %d: GLOBAL_STATUS",
              (int)bytes);
        /* The handler is counted, too, in ring 0. */
        if (user) {
            check(hit.index - ds->base, nr * size, "threshold at %d: records",
                  (int)bytes);
        }
    }

    /* It goes on. */
    prepare();
    keep_counting = true;
    ds->threshold = ds->base + 3 * size;
    run_code(cpu, insns->code, true, FLAGS_IF,
             sample(cpu, 0, 0xc0, RING3, 10, 10));
    check(hit.n, 1, "threshold: one interrupt while LVTPC is masked");
    check(ds->index - ds->base, user_total / 10 * size,
          "threshold: records beyond it");
    check(rdmsr(MSR_GLOBAL_STATUS), OVF_BUF, "threshold: GLOBAL_STATUS");
    wrmsr(MSR_GLOBAL_OVF_CTRL, OVF_BUF);
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "threshold: it can be reset");

    /* Never reached. */
    prepare();
    ds->threshold = ds->base + 41 * size;
    run_code(cpu, insns->code, true, FLAGS_IF,
             sample(cpu, 0, 0xc0, RING3, 10, 10));
    check(hit.n, 0, "threshold not reached: no interrupt");
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "threshold not reached: "
          "GLOBAL_STATUS");

    /* Freeze on PMI. */
    prepare();
    keep_counting = true;
    wrmsr(MSR_DEBUGCTL, 1 << 12);
    ds->threshold = ds->base + 3 * size;
    run_code(cpu, insns->code, true, FLAGS_IF,
             sample(cpu, 0, 0xc0, RING3, 10, 10) |
             count(FIXED(1), 0, RING3, 100000));
    check(hit.n, 1, "freeze: interrupt");
    check(hit.status, OVF_BUF | (pmu_version >= 4 ? FROZEN : 0),
          "freeze: GLOBAL_STATUS");
    check(ds->index - ds->base, 3 * size, "freeze: no more records");
    check(value_of(0), minus(10), "freeze: the counter");
    check(value_of(FIXED(1)), minus(100000) + 30, "freeze: another counter");

    /* The WRMSR that disables is the one that overflows. */
    prepare();
    ds->threshold = ds->base;
    size = record_size(full_cfg());
    run_code(cpu, insns->code, false, 0,
             sample(cpu, 0, 0xc0 | want_full(), RING0, 1 + PATTERN_MAX + 5,
                    10));
    r = read_record(buffer);
    check(ds->index - ds->base, size, "the WRMSR that disables: record");
    check(value_of(0), minus(10), "the WRMSR that disables: count");
    check(rdmsr(MSR_GLOBAL_STATUS), OVF_BUF,
          "the WRMSR that disables: GLOBAL_STATUS");
    check(*(uint16_t *)(uintptr_t)r.ip, 0x300f,
          "the WRMSR that disables: place");
    if (r.has_gprs) {
        check(r.next, r.ip + 2, "the WRMSR that disables: RIP");
    }
    asm volatile("sti; nop; nop; cli" : : : "memory");
    check(hit.n, 1, "the WRMSR that disables: interrupt");
}

/* The second CPU */

void ap_main(struct cpu *me)
{
    while (!other.stop) {
        for (unsigned i = 0; i < 4 && !other.stop; i++) {
            bool user = i & 1;
            const struct pattern *p = &patterns[i & 2 ? 3 : 0];

            clear(me);
            if (try_pattern(me, p, i % pmu_gp, user, 7 + i, 0)) {
                other.bad++;
            }
        }
        other.rounds++;
    }
    clear(me);
    other.rounds = 0;
}

void main(void)
{
    uint64_t capabilities;
    uint32_t r[4];

    cpuid(1, r);
    capabilities = rdmsr(MSR_PERF_CAPABILITIES);
    format = capabilities >> 8 & 15;
    baseline = capabilities >> 14 & 1;
    result(r[3] >> 21 & r[2] >> 2 & 1, "CPUID: DS, DTES64");
    result(format == 3 || format == 4, "PERF_CAPABILITIES: format");
    if (format != 3 && format != 4) {
        return;
    }

    set_gate_type(cpu, 0x40, h_iret, GATE_TRAP);
    set_gate(cpu, 0x43, h_iret);
    set_syscall(h_sysret, 0);
    trap_hook = on_trap;
    start_cpus();
    test_patterns();
    test_both_rings();
    test_loop();
    test_registers();
    test_cases();
    test_reset_slots();
    test_several();
    test_groups();
    test_load_latency();
    test_threshold();
    test_hostile();
    if (nr_cpus > 1) {
        while (!other.rounds) {
            pause();
        }
        other.stop = true;
        check(other.bad, 0, "the other CPU's records meanwhile");
    }
}
