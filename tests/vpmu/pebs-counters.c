/*
 * PEBS with several counters, groups, loads and thresholds; a part of pebs.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "pebs.h"

/* Every counter goes on from its own reset slot. */
static void test_reset_slots(void)
{
    for (unsigned i = 0; i < pmu_gp + 3; i++) {
        unsigned counter = i < pmu_gp ? i : FIXED(i - pmu_gp);
        uint64_t bit;

        if (counter >= 32 && !baseline) {
            continue;
        }
        pebs_prepare();
        for (unsigned k = 0; k < ARRAY_SIZE(ds->reset); k++) {
            ds->reset[k] = pmu_minus(1000000 + k);
        }
        wrmsr(MSR_PEBS_ENABLE, UINT64_C(1) << counter);
        bit = pmu_count(counter, EV_INSNS, RING3, 100);
        run_insns(0, bit);
        check(pmu_value(counter), pmu_minus(1000000 + pebs_slot(counter)) +
              INSNS - 100, "counter %u: from its reset slot", counter);
        check(read_record(buffer).counters, bit, "counter %u: its bit",
              counter);
        check(pebs_bytes(), record_size(0), "counter %u: one record",
              counter);
        check(rdmsr(MSR_GLOBAL_STATUS), 0, "counter %u: GLOBAL_STATUS",
              counter);
    }
}

/* All counters overflow at once. */
static void test_all_counters(void)
{
    unsigned last = pmu_gp >= 3 ? 2 : pmu_gp - 1;
    uint64_t bits = 0;
    struct record r;

    pebs_prepare();
    for (unsigned i = 0; i <= last; i++) {
        bits |= pebs_sample(i, i & 1 ? EV_CYCLES : EV_INSNS, RING3, 10,
                            500 + i);
    }
    for (unsigned j = 0; baseline && j < 3; j++) {
        bits |= pebs_sample(FIXED(j), 0, RING3, 10, 600 + j);
    }
    check(rdmsr(MSR_PEBS_ENABLE), bits, "several: PEBS_ENABLE");
    run_insns(0, bits);
    r = read_record(buffer);
    check(pebs_bytes(), record_size(0), "several: one record");
    check(r.counters, bits, "several: counters");
    check(r.ip, nth_insn(10), "several: place");
    for (unsigned i = 0; i <= last; i++) {
        check(pmu_value(i), pmu_minus(500 + i) + INSNS - 10,
              "several: counter %u", i);
    }
    for (unsigned j = 0; baseline && j < 3; j++) {
        check(pmu_value(FIXED(j)), pmu_minus(600 + j) + INSNS - 10,
              "several: fixed counter %u", j);
    }
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "several: GLOBAL_STATUS");
}

/* Two counters overflow one instruction after the other. */
static void test_in_turn(void)
{
    struct record r;

    pebs_prepare();
    run_insns(0, pebs_sample(0, EV_INSNS, RING3, 10, 500) |
                 pebs_sample(1, EV_INSNS, RING3, 11, 500));
    check(pebs_bytes(), 2 * record_size(0), "in turn: two records");
    check(read_record(buffer).counters, 1, "in turn: the first");
    check(read_record(buffer).ip, nth_insn(10), "in turn: its place");
    r = read_record(buffer + record_size(0));
    check(r.counters, 2, "in turn: the second");
    check(r.ip, nth_insn(11), "in turn: its place");
}

/* Two counters overflow at once, one of them without PEBS. */
static void test_one_without(void)
{
    pebs_prepare();
    run_insns(0, pebs_sample(1, EV_INSNS | EVTSEL_INT, RING3, 10, 500) |
                 pmu_count(0, EV_INSNS, RING3, 10));
    check(pebs_bytes(), record_size(0), "one without: one record");
    check(read_record(buffer).counters, 2, "one without: counters");
    check(rdmsr(MSR_GLOBAL_STATUS), 1, "one without: GLOBAL_STATUS");
    check(pmu_value(0), INSNS - 10, "one without: it goes on from 0");
    check(pmu_value(1), pmu_minus(500) + INSNS - 10,
          "one without: the other from its slot");

    /* There are two reasons for an interrupt. */
    pebs_prepare();
    ds->threshold = ds->base;
    keep_counting = true;
    run_insns(FLAGS_IF, pebs_sample(1, EV_INSNS, RING3, 10, 500) |
                        pmu_count(0, EV_INSNS | EVTSEL_INT, RING3, 10));
    check(hit.n, 1, "one without, threshold: one interrupt");
    check(hit.status, OVF_BUF | 1, "one without, threshold: GLOBAL_STATUS");
}

/* A counter that is off has neither record nor status. */
static void test_off(void)
{
    pebs_prepare();
    pebs_sample(0, EV_INSNS, RING3, 10, 500);
    run_insns(0, pebs_sample(1, EV_INSNS, RING3, 1000, 500));
    check(pebs_bytes(), 0, "off: no record");
    check(pmu_value(0), pmu_minus(10), "off: does not count");
    check(pmu_value(1), pmu_minus(1000) + INSNS, "on: counts");
}

/* Records with the groups that @cfg asks for, and without them. */
static void test_group(uint64_t cfg, unsigned counter)
{
    unsigned bad = 0;
    struct record r;

    pebs_prepare();
    memset(buffer, GUARD, 8192);
    wrmsr(MSR_PEBS_DATA_CFG, cfg);
    run_insns(0, pebs_sample(counter, EV_INSNS | EVTSEL_ADAPTIVE, RING3, 10,
                             1000));
    r = read_record(buffer);
    check(r.format, cfg | (uint64_t)record_size(cfg) << 48,
          "groups 0x%lx, counter %u: format", cfg, counter);
    check(pebs_bytes(), record_size(cfg), "groups 0x%lx: index", cfg);
    check(r.ip, nth_insn(10), "groups 0x%lx: place", cfg);
    for (unsigned i = record_size(cfg & 7); i < 8192; i++) {
        bad += buffer[i] != (i < r.size ? 0 : GUARD);
    }
    check(bad, 0, "groups 0x%lx: LBR is 0, nothing else written", cfg);

    pebs_prepare();
    wrmsr(MSR_PEBS_DATA_CFG, cfg);
    run_insns(0, pebs_sample(counter, EV_INSNS, RING3, 10, 1000));
    check(read_record(buffer).format, UINT64_C(32) << 48,
          "groups 0x%lx, counter %u is not adaptive", cfg, counter);
}

/*
 * One counter is adaptive, the other is not.  They overflow at instructions
 * 10, 20, 40 (both), 60, 70, 80, 100 (both), 120, 130, 140, 160...
 */
static void test_group_pair(void)
{
    const uint8_t *at = buffer;
    unsigned bad = 0;

    pebs_prepare();
    wrmsr(MSR_PEBS_DATA_CFG, CFG_GPRS);
    run_insns(0, pebs_sample(0, EV_INSNS, RING3, 10, 30) |
                 pebs_sample(FIXED(0), EVTSEL_ADAPTIVE, RING3, 20, 20));
    for (unsigned n = 10; n <= 200; n += 10) {
        bool one = n % 30 == 10, two = n % 20 == 0;
        struct record r = read_record(at);

        if (!one && !two) {
            continue;
        }
        bad += r.counters != (one | (uint64_t)two << 32) ||
               r.size != record_size(two ? CFG_GPRS : 0) ||
               r.ip != nth_insn(n);
        at += r.size;
    }
    check(bad, 0, "groups: for who is adaptive only");
}

static void test_groups(void)
{
    static const uint64_t cfgs[] = {
        0, 1, 2, 3, 4, 5, 6, 7,
        5 | CFG_LBRS(1), 5 | CFG_LBRS(32), 5 | CFG_LBRS(256),
    };

    if (!baseline) {
        skip("groups", "no baseline");
        return;
    }
    for (unsigned i = 0; i < ARRAY_SIZE(cfgs); i++) {
        test_group(cfgs[i], 0);
        test_group(cfgs[i], FIXED(0));
    }
    test_group_pair();
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

        pebs_prepare();
        adaptive = want_full();
        wrmsr(MSR_PEBS_LD_LAT, table[i].threshold);
        run_code(cpu, body_load_code, true, 0,
                 pebs_sample(0, EV_LOAD_LATENCY | adaptive, RING3, 10, 1000));
        check(pebs_bytes(),
              table[i].admits ? record_size(full_cfg()) : 0,
              "loads of more than %u cycles", table[i].threshold);
        check(pmu_value(0), table[i].admits ?
              pmu_minus(1000) + PATTERN_MAX + 1 - 10 : pmu_minus(10),
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

/* The threshold is at @bytes and matters at record number @nr. */
static void test_threshold_at(int bytes, unsigned nr, bool user)
{
    pebs_prepare();
    ds->threshold = ds->base + bytes;
    run_code(cpu, body_insn_code, user, FLAGS_IF,
             pebs_sample(0, EV_INSNS, ring_mask(user), 10 + !user, 10));
    check(hit.n, 1, "threshold at %d, ring %u: one interrupt", bytes,
          ring_of(user));
    check(hit.frame.rip, nth_insn(10 * nr) + 1, "threshold at %d: place",
          bytes);
    check(hit.status, OVF_BUF, "threshold at %d: GLOBAL_STATUS", bytes);
    /* In ring 0 the handler is counted, too. */
    if (user) {
        check(hit.watched - ds->base, nr * record_size(0),
              "threshold at %d: records", bytes);
    }
}

static void test_threshold(void)
{
    const int size = record_size(0);
    const struct {
        int bytes;
        unsigned nr;
    } table[] = {
        { 0, 1 }, { -1000, 1 }, { 1, 1 }, { size, 1 }, { size + 1, 2 },
        { 2 * size, 2 }, { 3 * size - 1, 3 }, { 3 * size, 3 },
        { 40 * size, 40 },
    };

    for (unsigned i = 0; i < 2 * ARRAY_SIZE(table); i++) {
        test_threshold_at(table[i / 2].bytes, table[i / 2].nr, i & 1);
    }

    /* Sampling goes on. */
    pebs_prepare();
    keep_counting = true;
    ds->threshold = ds->base + 3 * size;
    run_insns(FLAGS_IF, pebs_sample(0, EV_INSNS, RING3, 10, 10));
    check(hit.n, 1, "threshold: one interrupt while LVTPC is masked");
    check(pebs_bytes(), INSNS / 10 * size, "threshold: records beyond it");
    check(rdmsr(MSR_GLOBAL_STATUS), OVF_BUF, "threshold: GLOBAL_STATUS");
    wrmsr(MSR_GLOBAL_OVF_CTRL, OVF_BUF);
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "threshold: it can be reset");

    /* The threshold is never reached. */
    pebs_prepare();
    ds->threshold = ds->base + 41 * size;
    run_insns(FLAGS_IF, pebs_sample(0, EV_INSNS, RING3, 10, 10));
    check(hit.n, 0, "threshold not reached: no interrupt");
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "threshold not reached: "
          "GLOBAL_STATUS");
}

static void test_freeze(void)
{
    unsigned size = record_size(0);

    pebs_prepare();
    keep_counting = true;
    wrmsr(MSR_DEBUGCTL, DEBUGCTL_FREEZE);
    ds->threshold = ds->base + 3 * size;
    run_insns(FLAGS_IF, pebs_sample(0, EV_INSNS, RING3, 10, 10) |
                        pmu_count(FIXED(1), 0, RING3, 100000));
    check(hit.n, 1, "freeze: interrupt");
    check(hit.status, OVF_BUF | (pmu_version >= 4 ? FROZEN : 0),
          "freeze: GLOBAL_STATUS");
    check(pebs_bytes(), 3 * size, "freeze: no more records");
    check(pmu_value(0), pmu_minus(10), "freeze: the counter");
    check(pmu_value(FIXED(1)), pmu_minus(100000) + 30,
          "freeze: another counter");
}

/* The WRMSR that disables the counter is the instruction that overflows it. */
static void test_disable(void)
{
    struct record r;

    pebs_prepare();
    ds->threshold = ds->base;
    run_code(cpu, body_insn_code, false, 0,
             pebs_sample(0, EV_INSNS | want_full(), RING0,
                         1 + PATTERN_MAX + 5, 10));
    r = read_record(buffer);
    check(pebs_bytes(), record_size(full_cfg()),
          "the WRMSR that disables: record");
    check(pmu_value(0), pmu_minus(10), "the WRMSR that disables: count");
    check(rdmsr(MSR_GLOBAL_STATUS), OVF_BUF,
          "the WRMSR that disables: GLOBAL_STATUS");
    check(*(uint16_t *)(uintptr_t)r.ip, 0x300f,
          "the WRMSR that disables: place");
    if (r.has_gprs) {
        check(r.next, r.ip + 2, "the WRMSR that disables: RIP");
    }
    accept_interrupts();
    check(hit.n, 1, "the WRMSR that disables: interrupt");
}

void test_counters(void)
{
    test_reset_slots();
    test_all_counters();
    if (pmu_gp < 2) {
        skip("several", "one counter");
    } else {
        test_in_turn();
        test_one_without();
        test_off();
    }
    test_groups();
    test_load_latency();
    test_threshold();
    test_freeze();
    test_disable();
}
