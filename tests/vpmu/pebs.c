/*
 * PEBS: one record, for the very instruction, in guest memory only
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Counters are preset so that it is known which instructions overflow them.
 * The test works with every configuration of the PMU that has PEBS; CPUID and
 * PERF_CAPABILITIES say what to expect.  A second CPU samples all the while,
 * too.
 */
#include "case.h"
#include "pebs.h"

#define MSR_FS_BASE         0xc0000100

/* The emulator pushes it as 1 on every interrupt. */
#define FLAGS_RF            0x10000

const uint32_t loop_turns = 100000;

/* volatile: the CPUs tell each other. */
static volatile struct {
    bool stop;
    unsigned rounds, bad;
} other;

static uint64_t rdtsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (uint64_t)high << 32;
}

/* Patterns: @place is where an event begins. */

static const struct pattern patterns[] = {
    { "instructions", body_insn_code, body_insn, EV_INSNS, 1, 1, { 0 }, 5, 2 },
    { "instructions, between faults", body_fault_code, body_fault, EV_INSNS,
      10, 2, { 0, 9 }, 5, 2, .user_only = true },
    { "instructions, between calls", body_call_code, body_call, EV_INSNS,
      8, 4, { 0, 1, 6, 7 }, 5, 2 },
    { "branches", body_branch_code, body_branch, EV_BRANCHES, 4, 1, { 1 },
      1, 2 },
    { "conditional branches", body_cond_code, body_cond, EV_COND, 5, 2,
      { 1, 3 } },
    { "taken branches", body_cond_code, body_cond, EV_TAKEN, 5, 1, { 1 } },
    { "not taken branches", body_cond_code, body_cond, EV_NOT_TAKEN, 5, 1,
      { 3 } },
    { "taken near branches", body_branch_code, body_branch, EV_NEAR_TAKEN,
      4, 1, { 1 }, 1, 1 },
    { "loads", body_load_code, body_load, EV_LOADS, 4, 1, { 1 }, 1, 1 },
    { "stores", body_store_code, body_store, EV_STORES, 4, 1, { 1 } },
    { "calls", body_call_code, body_call, EV_CALLS, 8, 1, { 1 } },
    { "returns", body_ret_code, body_ret, EV_RETURNS, 8, 1, { 7 }, 1, 1 },
    { "other than branches", body_branch_code, body_branch,
      EV_BRANCHES | EVTSEL_INV | EVTSEL_CMASK(1), 4, 2, { 0, 3 }, 4, 0 },
    { "edges of branches", body_branch_code, body_branch,
      EV_BRANCHES | EVTSEL_EDGE | EVTSEL_CMASK(1), 4, 1, { 1 }, 1, 1 },
};

static unsigned events_in(const struct pattern *p, bool user)
{
    return PATTERN_MAX * p->per_turn + (user ? p->tail_user : p->tail);
}

/* Returns: what is wrong, or NULL. */
static const char *try_pattern(struct cpu *me, const struct pattern *p,
                               unsigned counter, bool user, unsigned period,
                               uint64_t adaptive)
{
    const uint8_t *at = pebs_buffer(me);
    unsigned total = events_in(p, user);
    unsigned size = record_size(adaptive ? full_cfg() : 0);
    uint64_t tsc = rdtsc(), bit;

    if (adaptive) {
        wrmsr(MSR_PEBS_DATA_CFG, full_cfg());
    }
    bit = pebs_sample(counter, p->event | adaptive, ring_mask(user),
                      period + (user ? 0 : call_counts(p->event)), period);
    run_code(me, p->code, user, 0, bit);

    if (pmu_value(counter) != pmu_minus(period - total % period)) {
        return "count";
    }
    if (rdmsr(MSR_GLOBAL_STATUS)) {
        return "GLOBAL_STATUS";
    }
    if (pebs_area(me)->index != (uint64_t)at + total / period * size) {
        return "index";
    }
    for (unsigned n = period; n <= total; n += period, at += size) {
        struct record r = read_record(at);

        if (r.size != size || r.counters != bit) {
            return "format or counters";
        }
        if (n <= PATTERN_MAX * p->per_turn && r.ip != pattern_place(p, n)) {
            return "instruction";
        }
        if (r.tsc < tsc) {
            return "TSC";
        }
        tsc = r.tsc;
    }
    return tsc > rdtsc() ? "TSC" : NULL;
}

static void test_pattern(const struct pattern *p, unsigned counter, bool user)
{
    unsigned bad = 0, first = 0;
    const char *why = NULL;

    if ((p->user_only && !user) ||
        (counter >= 32 && (p->event != EV_INSNS || !baseline))) {
        return;
    }
    for (unsigned n = 1; n <= PATTERN_MAX; n += n < 12 ? 1 : 37) {
        const char *wrong;

        pebs_prepare();
        wrong = try_pattern(cpu, p, counter, user, n,
                            n & 1 && baseline ? EVTSEL_ADAPTIVE : 0);
        if (wrong && !bad++) {
            first = n;
            why = wrong;
        }
    }
    if (!result(!bad, "records of %s, counter %u, ring %d", p->name, counter,
                ring_of(user))) {
        print("#   %u wrong, the first with n=%u: %s\n", bad, first, why);
    }
}

static void test_patterns(void)
{
    const unsigned counters[] = { 0, pmu_gp - 1, FIXED(0) };

    for (unsigned i = 0; i < ARRAY_SIZE(patterns); i++) {
        for (unsigned k = 0; k < 2 * ARRAY_SIZE(counters); k++) {
            if (k / 2 != 1 || pmu_gp > 1) {
                test_pattern(&patterns[i], counters[k / 2], k & 1);
            }
        }
    }
}

/* Instructions in ring 3, and those of run() in ring 0 around them. */
static void test_both_rings(void)
{
    /* IRET; RET, INT, and all to the WRMSR. */
    const unsigned ahead = 1, total = PATTERN_MAX + 6;

    for (unsigned n = 1; n <= PATTERN_MAX; n += n < 12 ? 1 : 37) {
        unsigned bad = 0;

        pebs_prepare();
        run_insns(0, pebs_sample(0, EV_INSNS, RING0 | RING3, n + ahead, n));
        for (unsigned i = 1; i <= PATTERN_MAX / n; i++) {
            struct record r = read_record(buffer + (i - 1) * record_size(0));

            bad += r.ip != nth_insn(i * n);
        }
        result(!bad && pmu_value(0) == pmu_minus(n - total % n) &&
               pebs_bytes() == total / n * record_size(0),
               "records of instructions in both rings, every %u", n);
    }
}

static void test_loop(unsigned period, bool user)
{
    unsigned total = 1 + 2 * loop_turns + (user ? 2 : 5), bad = 0;
    const uint8_t *at = buffer;

    pebs_prepare();
    run_code(cpu, loop_code, user, FLAGS_IOPL3,
             pebs_sample(0, EV_INSNS | want_full(), ring_mask(user),
                         period + !user, period));
    for (unsigned n = period; n <= 2 * loop_turns; n += period) {
        struct record r = read_record(at);

        bad += !is_of_loop(&r, n);
        at += r.size;
    }
    check(bad, 0, "a loop every %u instructions, ring %u", period,
          ring_of(user));
    check(pebs_bytes() / record_size(full_cfg()), total / period,
          "a loop every %u: number of records", period);
    check(pmu_value(0), pmu_minus(period - total % period),
          "a loop every %u: count", period);
}

static void test_loops(void)
{
    static const unsigned periods[] = { 97, 1000, 4096, 9973 };

    for (unsigned i = 0; i < ARRAY_SIZE(periods); i++) {
        test_loop(periods[i], false);
        test_loop(periods[i], true);
    }
}

static void test_registers(void)
{
    for (unsigned user = 0; user < 2; user++) {
        struct record r;
        bool good = true;

        pebs_prepare();
        run_code(cpu, xmm_code, user, FLAGS_IF | FLAGS_IOPL3,
                 pebs_sample(0, EV_COND | want_full(), ring_mask(user), 1,
                             100));
        r = read_record(buffer);
        check(r.ip, (uint64_t)xmm_here, "registers, ring %u: place",
              ring_of(user));
        check(r.counters, 1, "registers: counters");
        check(pebs_bytes(), record_size(full_cfg()),
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

void before_fs(struct cpu *me)
{
    rt_window(~0u);
    wrmsr(MSR_FS_BASE, WINDOW + 0x100);
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

static uint64_t address_of(const struct test_case *c, const struct record *r)
{
    const uint64_t base[] = {
        [A_NONE] = 0,
        [A_RDI] = (uint64_t)cpu->buffer[0],
        [A_RSI] = (uint64_t)cpu->buffer[1],
        [A_STACK] = r->gprs[4],
        [A_ABS] = 0,
    };

    return base[c->area] + c->offset;
}

/* Is it where an access may have found its line? */
static bool is_source(const struct test_case *c, uint64_t address,
                      uint64_t source)
{
    /* L1, L2, L3, memory; or a store that has not hit the first level */
    const uint32_t simulated = 1 << L1_HIT | 1 << 3 | 1 << 4 | 1 << 10 |
                               (c->event != EV_LOADS);

    if (!address || !pmu_simulates) {
        return source == !!address * L1_HIT;
    }
    source &= ~UINT64_C(STLB_MISS);
    return source < 32 && (simulated & 1u << source);
}

/* Returns: what is wrong with the record, or NULL. */
static const char *wrong_in_case(const struct test_case *c,
                                 const struct record *r)
{
    uint64_t address = address_of(c, r);

    if (pebs_bytes() != record_size(full_cfg())) {
        return "number of records";
    } else if (r->ip != c->ip) {
        return "place";
    } else if (r->counters != 1) {
        return "counters";
    } else if (r->has_gprs && r->next != c->next) {
        return "RIP";
    } else if (r->has_meminfo && !(c->where & ANY) &&
               (r->address != address || !is_source(c, address, r->source))) {
        return "address";
    } else if (hit.n != 1 || hit.status != OVF_BUF) {
        return "interrupt";
    } else if (r->has_gprs && !(c->where & LATER) &&
               !same_registers(r, &hit.frame)) {
        return "registers";
    }
    return NULL;
}

static void try_case(const struct test_case *c, bool user)
{
    const char *wrong;
    struct record r;

    pebs_prepare();
    skip_to_r15 = c->where & SKIP;
    if (c->before) {
        c->before(cpu);
    }
    ds->threshold = ds->base + 1;
    run_code(cpu, c->code, user, FLAGS_IOPL3 | FLAGS_IF,
             pebs_sample(0, c->event | want_full(), ring_mask(user),
                         c->n + (user ? 0 : call_counts(c->event)), 1000));
    r = read_record(buffer);
    wrong = wrong_in_case(c, &r);
    if (!result(!wrong, "%s, ring %d", *c->pebs_name ? c->pebs_name : c->name,
                ring_of(user))) {
        print("#   wrong: %s; %lu bytes, ip 0x%lx (0x%lx), rip 0x%lx (0x%lx), "
              "address 0x%lx (0x%lx), interrupts %u at 0x%lx, status 0x%lx, "
              "flags 0x%lx (0x%lx)\n", wrong,
              pebs_bytes(), r.ip, c->ip, r.next, c->next, r.address,
              address_of(c, &r), hit.n, hit.frame.rip, hit.status, r.flags,
              hit.frame.flags);
    }
}

/* The second CPU */

void ap_main(struct cpu *me)
{
    while (!other.stop) {
        for (unsigned i = 0; i < 4 && !other.stop; i++) {
            bool user = i & 1;
            const struct pattern *p = &patterns[i & 2 ? 3 : 0];

            pebs_clear(me);
            if (try_pattern(me, p, i % pmu_gp, user, 7 + i, 0)) {
                other.bad++;
            }
        }
        other.rounds++;
    }
    pebs_clear(me);
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

    pmu_start();
    test_patterns();
    test_both_rings();
    test_loops();
    test_registers();
    for_each_case(try_case);
    test_counters();
    test_hostile();
    if (nr_cpus > 1) {
        while (!other.rounds) {
            pause();
        }
        other.stop = true;
        check(other.bad, 0, "the other CPU's records meanwhile");
    }
}
