/*
 * PEBS from outside: properties, CPUID, statistics, migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/vpmu/pebs.c tests what records contain and what hostile DS areas do.
 */
#include "qemu/osdep.h"
#include "vpmu-test.h"

#define PEBS_ENABLE         0x3f1
#define PEBS_DATA_CFG       0x3f2
#define PEBS_LD_LAT         0x3f6
#define DS_AREA             0x600

#define DS                  (1u << 21)  /* CPUID leaf 1, EDX */
#define DTES64              (1u << 2)   /* CPUID leaf 1, ECX */

#define FULL_WIDTH          (1u << 13)
#define LBR_FORMAT          0x3full
#define CAP(format)         (FULL_WIDTH | 0xc0u | (format) << 8)
#define CAP_BASELINE        (1u << 14)

/* MISC_ENABLE */
#define EMON                (1u << 7)
#define NO_BTS              (1u << 11)
#define NO_PEBS             (1u << 12)

/* The host has the lower counters, so that the guest's are cross-mapped. */
#define CROSS   "pmu-passthrough=on,pmu-visible=all,pmu-host-gp=4," \
                "pmu-host-order=low"

/* The guest's memory. */
#define AREA                0x10000
#define RECORDS             0x20000
/* Where the loop of LOOP_CODE is. */
#define LOOP_AT             0xfffffff3

/* Properties */

static const BadModel bad_models[] = {
    BAD_ICX("'pmu': true, 'pebs-fmt': 6",
            "pebs-fmt=6 is out of range: use 1 to 4"),
    BAD_ICX("'pmu': true, 'pebs-fmt': 5",
            "pebs-fmt=5 is out of range: use 1 to 4"),
    BAD_ICX("'pmu': true, 'pebs-fmt': 255",
            "pebs-fmt=255 is out of range: use 1 to 4"),
    BAD_ICX("'pmu': true, 'pebs-fmt': 260", "pebs-fmt"),
    BAD_ICX("'pebs-fmt': 5", "pebs-fmt=5 is out of range: use 1 to 4"),
    BAD_ICX("'pmu': true, 'pebs': 'maybe'", "does not accept value 'maybe'"),
    BAD_ICX("'pmu': true, 'pebs-baseline': 'maybe'",
            "does not accept value 'maybe'"),
    BAD_ICX("'pmu': true, 'pebs': 'off', 'pebs-fmt': 4",
            "pebs-fmt contradicts pebs=off: remove one of them"),
    BAD_ICX("'pmu': true, 'pebs': 'off', 'pebs-baseline': 'on'",
            "pebs-baseline=on contradicts pebs=off: remove one of them"),
    BAD_ICX("'pmu': true, 'pebs-fmt': 3, 'pebs-baseline': 'on'",
            "pebs-baseline=on needs pebs-fmt=4, not pebs-fmt=3"),
    BAD_ICX("'pmu': true, 'pebs-fmt': 1, 'pebs-baseline': 'on'",
            "pebs-baseline=on needs pebs-fmt=4, not pebs-fmt=1"),
    BAD_ICX("'pebs': 'on'", "pebs needs a PMU: add pmu=on or remove pebs"),
    BAD_ICX("'pmu': false, 'pebs': 'on'",
            "pebs needs a PMU: add pmu=on or remove pebs"),
    BAD_ICX("'pebs-fmt': 3",
            "pebs-fmt needs a PMU: add pmu=on or remove pebs-fmt"),
    BAD_ICX("'pebs-baseline': 'on'",
            "pebs-baseline needs a PMU: add pmu=on or remove pebs-baseline"),
    { "EPYC", "{ 'pmu': true, 'pebs': 'on' }",
      "pebs=on needs a CPU model with vendor GenuineIntel" },
    { "max", "{ 'pmu': true, 'pebs-fmt': 4 }",
      "pebs-fmt needs a CPU model with vendor GenuineIntel" },
    { "EPYC", "{ 'pmu-passthrough': 'auto', 'pebs-baseline': 'on' }",
      "pebs-baseline=on needs a CPU model with vendor GenuineIntel" },
};

static void test_properties(void)
{
    static const char *const good[] = {
        "'pmu': true, 'pebs': 'off', 'pebs-baseline': 'off'",
        "'pmu': true, 'pebs-fmt': 3, 'pebs-baseline': 'off'",
        "'pmu': true, 'pebs': 'auto', 'pebs-baseline': 'auto'",
        "'pmu-passthrough': 'on', 'pebs': 'on', 'pebs-fmt': 4,"
        "'pebs-baseline': 'on'",
        "'pebs': 'off'", "'pebs-baseline': 'off'",
        "'pmu': false, 'pebs': 'off'",
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    assert_bad_models(qts, bad_models, G_N_ELEMENTS(bad_models));
    assert_good_models(qts, good, G_N_ELEMENTS(good));
    qtest_quit(qts);
}

/* A plugged CPU has the same PEBS as the first one. */
static void test_hotplug(void)
{
    static const char *const other[] = {
        "'pebs': 'off'", "'pebs-fmt': 3", "'pebs-baseline': 'off'",
    };
    QTestState *qts = qtest_init(ARGS "-smp 1,sockets=2,maxcpus=2 -cpu "
                                 INTEL ",pmu=on");

    assert_plugs_same(qts, other, G_N_ELEMENTS(other));
    g_assert_cmphex(wrmsr(qts, 1, DS_AREA, 0x1000), ==, 0x1000);
    qtest_quit(qts);
}

/* CPUID and registers */

/* A CPU's properties and what they lead to; @format 0: no PEBS */
typedef struct Kind {
    const char *props;
    unsigned format;
    bool baseline;
} Kind;

/* CPUID, PERF_CAPABILITIES, MISC_ENABLE, QMP and HMP */
static void check_announced(QTestState *qts, const Kind *kind)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");
    g_autofree char *says = NULL;
    QDict *pebs = qdict_get_qdict(info, "pebs");

    g_assert_cmpint(!!(cpuid(qts, 1, 3) & DS), ==, !!kind->format);
    g_assert_cmpint(!!(cpuid(qts, 1, 2) & DTES64), ==, !!kind->format);
    g_assert_cmphex(cpuid(qts, 1, 2) & PDCM, ==, PDCM);
    g_assert_cmphex(rdmsr(qts, 0, PERF_CAPABILITIES) & ~LBR_FORMAT, ==,
                    !kind->format ? FULL_WIDTH : CAP(kind->format) |
                    (kind->baseline ? CAP_BASELINE : 0));
    g_assert_cmphex(rdmsr(qts, 0, MISC_ENABLE) & (EMON | NO_BTS | NO_PEBS), ==,
                    EMON | NO_BTS | (kind->format ? 0 : NO_PEBS));
    g_assert_cmphex(qdict_get_int(vcpu(info, 0), "ds-area"), ==, 0);
    if (!kind->format) {
        g_assert_null(pebs);
        g_assert_null(strstr(hmp, "PEBS"));
        return;
    }
    g_assert_cmpint(qdict_get_int(pebs, "format"), ==, kind->format);
    g_assert_cmpint(qdict_get_bool(pebs, "baseline"), ==, kind->baseline);
    says = g_strdup_printf("PEBS: record format %u%s\r\n", kind->format,
                           kind->baseline ? " with baseline" : "");
    assert_contains(hmp, says);
}

static void check_registers(QTestState *qts, const Kind *kind)
{
    bool baseline = kind->baseline;
    /* IA32_PEBS_ENABLE: load latency, precise store */
    uint64_t latency = kind->format < 4 ? 0xfull << 32 : 0;
    uint64_t store = kind->format == 1 ? 1ull << 63 : 0;
    uint64_t gp = (1u << (cpuid(qts, 0xa, 0) >> 8 & 0xff)) - 1;

    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, gp), ==, gp);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, gp + 1), ==, GP_FAULT);
    g_assert_cmphex(rdmsr(qts, 0, PEBS_ENABLE), ==, gp);
    g_assert_cmpint(wrmsr(qts, 0, PEBS_ENABLE, 7ull << 32) != GP_FAULT, ==,
                    baseline || latency);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 0xfull << 32), ==,
                    latency ?: GP_FAULT);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 0x10ull << 32), ==, GP_FAULT);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 1ull << 63), ==,
                    store ?: GP_FAULT);
    g_assert_cmpint(wrmsr(qts, 0, PERFEVTSEL0, 1ull << 34) != GP_FAULT, ==,
                    baseline);
    g_assert_cmpint(wrmsr(qts, 0, FIXED_CTR_CTRL, 0x111ull << 32) != GP_FAULT,
                    ==, baseline);
    if (baseline) {
        g_assert_cmphex(wrmsr(qts, 0, PEBS_DATA_CFG, 0xff00000f), ==,
                        0xff00000f);
        g_assert_cmphex(wrmsr(qts, 0, PEBS_DATA_CFG, 0x10), ==, GP_FAULT);
    }
}

static void test_cpuid(void)
{
    static const Kind table[] = {
        { "pmu=on", 4, true },
        { "pmu=on,pebs=on", 4, true },
        { "pmu=on,pebs=auto", 4, true },
        { "pmu=on,pebs-fmt=4", 4, true },
        { "pmu=on,pebs-baseline=on", 4, true },
        { "pmu=on,pebs-baseline=off", 4, false },
        { "pmu=on,pebs=on,pebs-fmt=4,pebs-baseline=off", 4, false },
        { "pmu=on,pebs-fmt=1", 1, false },
        { "pmu=on,pebs-fmt=2", 2, false },
        { "pmu=on,pebs-fmt=3", 3, false },
        { "pmu=on,pebs-fmt=3,pebs-baseline=off", 3, false },
        { "pmu=on,pebs-fmt=3,pebs-baseline=auto", 3, false },
        { "pmu=on,pebs=off", 0, false },
        { "pmu=on,pebs=off,pebs-baseline=off", 0, false },
        { "pmu-passthrough=on", 4, true },
        { "pmu-passthrough=auto,pebs=off", 0, false },
        { "pmu-passthrough=on,pmu-host-gp=4,pebs-fmt=3", 3, false },
        { "pmu=on,pmu-version=2,pmu-gp-counters=1", 4, true },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",%s",
                                      table[i].props);

        g_test_message("%s", table[i].props);
        check_announced(qts, &table[i]);
        if (table[i].format) {
            check_registers(qts, &table[i]);
        }
        qtest_quit(qts);
    }
}

/* What a model has if it is asked for nothing else, and what it can have */
static void test_models(void)
{
    /* Load latency and precise store */
    const uint64_t ll = 0xfull << 32, ps = 1ull << 63;
    const struct {
        const char *cpu;
        unsigned version, gp, caps;
        uint64_t pebs;
    } table[] = {
        { "core2duo,pmu=on", 2, 2, 0x00c0, 0x1 },
        { "Conroe,pmu=on", 2, 2, 0x00c0, 0x1 },
        { "Penryn,pmu=on", 2, 2, 0x00c0, 0x1 },
        { "n270,pmu=on", 3, 2, 0x00c0, 0x1 },
        { "Nehalem,pmu=on", 3, 4, 0x01c0, 0xf | ll | ps },
        { "Westmere,pmu=on", 3, 4, 0x01c0, 0xf | ll | ps },
        { "SandyBridge,pmu=on", 3, 4, 0x21c0, 0xf | ll | ps },
        { "IvyBridge,pmu=on", 3, 4, 0x21c0, 0xf | ll | ps },
        { "Haswell,pmu=on", 3, 4, 0x22c0, 0xf | ll },
        { "Broadwell,pmu=on", 3, 4, 0x22c0, 0xf | ll },
        { "Skylake-Client,pmu=on", 4, 4, 0x23c0, 0xf | ll },
        { "Skylake-Server,pmu=on", 4, 4, 0x23c0, 0xf | ll },
        { "Cascadelake-Server,pmu=on", 4, 4, 0x23c0, 0xf | ll },
        { "Cooperlake,pmu=on", 4, 4, 0x23c0, 0xf | ll },
        { "Icelake-Server-v6,pmu=on", 5, 8, 0x64c0, 0x7000000ff },
        { "SapphireRapids,pmu=on", 5, 8, 0x64c0, 0x7000000ff },
        { "GraniteRapids,pmu=on", 5, 8, 0x64c0, 0x7000000ff },
        { "SierraForest,pmu=on", 5, 8, 0x64c0, 0x7000000ff },
        { "Denverton,pmu=on", 4, 4, 0x23c0, 0x1 | ll },
        { "Snowridge,pmu=on", 5, 4, 0x64c0, 0x70000000f },
        { "KnightsMill,pmu=on", 3, 2, 0x22c0, 0x1 | ll },
        { "kvm64,pmu=on", 5, 8, 0x64c0, 0x7000000ff },
        { "Penryn,pmu=on,pebs=off", 2, 2, 0, 0 },
        { "Nehalem,pmu-passthrough=on", 3, 4, 0x01c0, 0xf | ll | ps },
        { "Nehalem,pmu=on,pmu-version=5,pmu-gp-counters=8,pebs-fmt=4,"
          "full-width-write=on", 5, 8, 0x64c0, 0x7000000ff },
        { "Haswell,pmu=on,pmu-version=2,pmu-gp-counters=3,pebs-fmt=1,"
          "full-width-write=off", 2, 3, 0x01c0, 0x7 | ll | ps },
        { "Skylake-Server,pmu=on,pebs-baseline=on", 4, 4, 0x64c0, 0x70000000f },
        { "Skylake-Server,pmu=on,pebs-fmt=4,pebs-baseline=off", 4, 4, 0x24c0,
          0xf },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", table[i].cpu);
        unsigned caps = table[i].caps, version = table[i].version;

        g_test_message("%s", table[i].cpu);
        g_assert_cmphex(cpuid(qts, 0xa, 0), ==,
                        version | table[i].gp << 8 | 48 << 16 | 7 << 24);
        g_assert_cmphex(cpuid(qts, 0xa, 2), ==, version >= 5 ? 7 : 0);
        g_assert_cmphex(rdmsr(qts, 0, PERF_CAPABILITIES) & ~LBR_FORMAT, ==,
                        caps);
        g_assert_cmpint(!!(cpuid(qts, 1, 3) & DS), ==, !!caps);
        g_assert_cmpint(!!(rdmsr(qts, 0, MISC_ENABLE) & NO_PEBS), ==, !caps);
        for (unsigned bit = 0; bit < 64 && caps; bit++) {
            uint64_t value = 1ull << bit;

            g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, value), ==,
                            table[i].pebs & value ? value : GP_FAULT);
        }
        g_assert_cmpint(wrmsr(qts, 0, PMC0, 0) != GP_FAULT, ==,
                        !!(caps & FULL_WIDTH));
        qtest_quit(qts);
    }
}

/* Counters that are granted have PEBS, and others do not. */
static void test_visible(void)
{
    QTestState *qts = qtest_init(HANDOVER ",pmu-host-gp=3,pmu-host-fixed=1");

    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 0x50000001full), ==,
                    0x50000001full);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 0x20), ==, GP_FAULT);
    g_assert_cmphex(wrmsr(qts, 0, PEBS_ENABLE, 2ull << 32), ==, GP_FAULT);
    g_assert_cmphex(wrmsr(qts, 0, FIXED_CTR_CTRL, 0x101ull << 32), ==,
                    0x101ull << 32);
    g_assert_cmphex(wrmsr(qts, 0, FIXED_CTR_CTRL, 0x010ull << 32), ==,
                    GP_FAULT);
    qtest_quit(qts);
}

/* Without PEBS CPUID is as in QEMU as it is, whatever else is given. */
static void test_none(void)
{
    static const char *const cpus[] = {
        "max,vendor=GenuineIntel", "qemu64", INTEL, INTEL ",pmu=off,pebs=off",
        "EPYC,pmu=on", INTEL ",pebs-baseline=off", INTEL ",ds=on",
        INTEL ",dtes64=on", INTEL ",pmu=on,pebs=off,ds=on,dtes64=on",
        "EPYC,pmu=on,ds=on,dtes64=on",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", cpus[i]);
        g_autoptr(QDict) info = query(qts);

        g_test_message("%s", cpus[i]);
        g_assert_cmphex(cpuid(qts, 1, 3) & DS, ==, 0);
        g_assert_cmphex(cpuid(qts, 1, 2) & DTES64, ==, 0);
        g_assert_false(qdict_haskey(info, "pebs"));
        qtest_quit(qts);
    }
}

static void test_query(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " INTEL ",pmu=on");
    g_autofree char *hmp = NULL;
    g_autoptr(QDict) info = NULL;

    wrmsr(qts, 1, GLOBAL_CTRL, 0x7000000ff);
    wrmsr(qts, 1, DS_AREA, 0xffffffff81234560);
    wrmsr(qts, 1, PEBS_ENABLE, 0x200000004);
    wrmsr(qts, 1, PERFEVTSEL0 + 2, ENABLE | INSTRUCTIONS);
    wrmsr(qts, 1, PERFEVTSEL0 + 3, ENABLE | INSTRUCTIONS);
    wrmsr(qts, 1, FIXED_CTR_CTRL, 0x33);
    info = query(qts);
    g_assert_cmphex(qnum_get_uint(qobject_to(QNum, qdict_get(vcpu(info, 1),
                                                             "ds-area"))), ==,
                    0xffffffff81234560);
    g_assert_cmphex(qdict_get_int(vcpu(info, 0), "ds-area"), ==, 0);
    for (unsigned v = 0; v < 11; v++) {
        g_assert_cmpint(qdict_get_bool(counter(info, 1, v), "pebs"), ==,
                        v == 2 || v == 9);
        g_assert_false(qdict_get_bool(counter(info, 0, v), "pebs"));
    }
    hmp = qtest_hmp(qts, "info vpmu");
    assert_contains(hmp, "instructions, PEBS\r\n");
    assert_contains(hmp, "cycles, PEBS\r\n");
    qtest_quit(qts);
}

/* Reset */

static const uint32_t registers[] = {
    DS_AREA, PEBS_ENABLE, PEBS_DATA_CFG, PEBS_LD_LAT, PERFEVTSEL0,
    FIXED_CTR_CTRL,
};

static void fill(QTestState *qts, unsigned cpu)
{
    wrmsr(qts, cpu, GLOBAL_CTRL, 0);
    wrmsr(qts, cpu, DS_AREA, 0xffff880012345000 + cpu);
    wrmsr(qts, cpu, PEBS_ENABLE, 0x500000081 + cpu);
    wrmsr(qts, cpu, PEBS_DATA_CFG, 0x1f00000f - cpu);
    wrmsr(qts, cpu, PEBS_LD_LAT, 0x1234 + cpu);
    wrmsr(qts, cpu, PERFEVTSEL0, 1ull << 34 | ENABLE | (BRANCHES + cpu));
    wrmsr(qts, cpu, FIXED_CTR_CTRL, 0x101000000b0 | cpu);
}

static void test_reset(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " INTEL ",pmu=on");

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        fill(qts, cpu);
        for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
            g_assert_cmphex(rdmsr(qts, cpu, registers[i]), !=, 0);
        }
    }
    qtest_system_reset(qts);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(registers); i++) {
            g_assert_cmphex(rdmsr(qts, cpu, registers[i]), ==, 0);
        }
        g_assert_cmphex(rdmsr(qts, cpu, MISC_ENABLE) & NO_PEBS, ==, 0);
    }
    qtest_quit(qts);
}

/* Records of a guest that runs */

/* The DS area and one buffer, with reset slots for @periods. */
static void set_area(QTestState *qts, uint64_t size,
                     const unsigned periods[11])
{
    qtest_memset(qts, AREA, 0, 0x100);
    qtest_writeq(qts, AREA + 0x20, RECORDS);
    qtest_writeq(qts, AREA + 0x28, RECORDS);
    qtest_writeq(qts, AREA + 0x30, RECORDS + size);
    qtest_writeq(qts, AREA + 0x38, UINT64_MAX);
    for (unsigned i = 0; i < 11; i++) {
        qtest_writeq(qts, AREA + 0x40 + 8 * i, -(uint64_t)periods[i]);
    }
}

/* Count branches with the counters in @mask, fixed 1 counts cycles. */
static void set_counters(QTestState *qts, unsigned mask,
                         const unsigned periods[11])
{
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    wrmsr(qts, 0, DS_AREA, AREA);
    wrmsr(qts, 0, PEBS_ENABLE, mask);
    for (unsigned i = 0; i < 8; i++) {
        if (mask & 1u << i) {
            wrmsr(qts, 0, PERFEVTSEL0 + i, ENABLE | BRANCHES);
            wrmsr(qts, 0, PMC0 + i, (1ull << 48) - periods[i]);
        }
    }
    wrmsr(qts, 0, FIXED_CTR0 + 1, 0);
    wrmsr(qts, 0, FIXED_CTR_CTRL, 0x30);
    wrmsr(qts, 0, GLOBAL_CTRL, mask | 2ull << 32);
}

static void run_loop(QTestState *qts)
{
    for (unsigned i = 0; i < 1000; i++) {
        run_for(qts, 10);
        if (rdmsr(qts, 0, FIXED_CTR0 + 1) >= LOOP_INSNS) {
            break;
        }
    }
    g_assert_cmpuint(rdmsr(qts, 0, FIXED_CTR0 + 1), ==, LOOP_INSNS);
}

/*
 * @mask: counters, @size: records for which there is room; @fast, @slow,
 * @dropped: records by kind, @bytes: how many bytes of them are rewritten
 */
typedef struct Records {
    const char *props;
    unsigned mask, size, fast, slow, dropped, bytes;
} Records;

/* The format of the records, and the size of one without groups */
static unsigned record_format(const Records *table)
{
    const char *format = strstr(table->props, "pebs-fmt=");

    return format ? format[strlen("pebs-fmt=")] - '0' : 4;
}

static unsigned record_size(const Records *table)
{
    static const unsigned sizes[] = { 144, 176, 192, 200, 32 };

    return sizes[record_format(table)];
}

/* The records are about the loop, and in order. */
static void check_records(QTestState *qts, const Records *table,
                          const unsigned periods[11])
{
    bool old = record_format(table) < 4;
    unsigned size = record_size(table), nr = table->fast + table->slow, n = 0;

    for (unsigned turn = 1; turn <= LOOPS && n < nr; turn++) {
        uint64_t at = RECORDS + n * size, counters = 0;

        for (unsigned v = 0; v < 8; v++) {
            if (table->mask & 1u << v && turn % periods[v] == 0) {
                counters |= 1u << v;
            }
        }
        if (!counters) {
            continue;
        }
        if (record_format(table) >= 2) {
            g_assert_cmphex(qtest_readq(qts, at + (old ? 0xb0 : 8)), ==,
                            LOOP_AT);
        }
        g_assert_cmphex(qtest_readq(qts, at + (old ? 0x90 : 16)), ==,
                        counters);
        if (old) {
            g_assert_cmpuint(qtest_readq(qts, at + 0x20), ==,
                             LOOPS - turn); /* RCX */
        }
        n++;
    }
    g_assert_cmpuint(n, ==, nr);
    g_assert_cmphex(qtest_readq(qts, AREA + 0x28), ==, RECORDS + nr * size);
    g_assert_cmphex(qtest_readq(qts, RECORDS + nr * size), ==, 0);
}

static void check_sampling(const Records *table, const File *rom)
{
    static const unsigned periods[11] = { 7, 11, 13, 17, 19, 23, 29, 31 };
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",%s -bios %s",
                                  table->props, rom->path);

    g_test_message("%s, counters 0x%x, room for %u", table->props,
                   table->mask, table->size);
    set_area(qts, record_size(table) * table->size, periods);
    set_counters(qts, table->mask, periods);
    run_loop(qts);
    g_assert_cmpint(total(qts, "pebs-records-fast"), ==, table->fast);
    g_assert_cmpint(total(qts, "pebs-records-slow"), ==, table->slow);
    g_assert_cmpint(total(qts, "pebs-records-dropped"), ==, table->dropped);
    g_assert_cmpint(total(qts, "pebs-bytes-rewritten"), ==, table->bytes);
    g_assert_cmpint(total(qts, "pmis"), ==, 0);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 0);
    check_records(qts, table, periods);
    for (unsigned v = 0; v < 8; v++) {
        if (table->mask & 1u << v) {
            g_assert_cmphex(rdmsr(qts, 0, PMC0 + v), ==,
                            (1ull << 48) - periods[v] + LOOPS % periods[v]);
        }
    }
    qtest_quit(qts);
}

static void test_records(void)
{
    static const Records table[] = {
        { "pmu=on", 1, 1000, 142, 0, 0, 0 },
        { "pmu=on,pebs-fmt=1", 1, 1000, 142, 0, 0, 0 },
        { "pmu=on,pebs-fmt=2", 1, 1000, 142, 0, 0, 0 },
        { "pmu=on,pebs-fmt=3", 1, 1000, 142, 0, 0, 0 },
        { "pmu=on", 0x80, 1000, 32, 0, 0, 0 },
        /* At one instruction in 77 both overflow. */
        { "pmu=on", 3, 1000, 142 + 90 - 12, 0, 0, 0 },
        { "pmu=on", 1, 5, 5, 0, 137, 0 },
        { "pmu=on,pebs-fmt=3", 1, 0, 0, 0, 142, 0 },
        { CROSS LONG, 1, 1000, 0, 142, 0, 142 * 16 },
        { CROSS LONG ",pebs-fmt=1", 2, 1000, 0, 90, 0, 90 * 16 },
        { CROSS LONG ",pebs-fmt=2", 2, 1000, 0, 90, 0, 90 * 16 },
        { CROSS LONG ",pebs-fmt=3", 2, 1000, 0, 90, 0, 90 * 16 },
        { CROSS LONG ",pebs-baseline=off", 2, 1000, 0, 90, 0, 90 * 16 },
        { CROSS LONG, 0x20, 1000, 43, 0, 0, 0 },
        { CROSS LONG, 1, 5, 0, 5, 137, 5 * 16 },
        /* 2 is cross-mapped, 5 is not; at one instruction in 299 both. */
        { CROSS LONG, 0x24, 1000, 43 - 3, 76, 0, 76 * 16 },
        /* 0 and 1 are cross-mapped; at one instruction in 77 both. */
        { CROSS LONG, 3, 1000, 0, 142 + 90 - 12, 0,
          (142 + 90 - 12) * 8 + (142 + 90) * 8 },
    };
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        check_sampling(&table[i], rom);
    }
}

/* Without a DS area there is nothing to reload from. */
static void test_no_area(void)
{
    static const unsigned periods[11] = { 7 };
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on -bios %s",
                                  rom->path);

    set_counters(qts, 1, periods);
    wrmsr(qts, 0, DS_AREA, 0xd0000000);
    run_loop(qts);
    g_assert_cmpint(total(qts, "pebs-records-dropped"), ==, 1);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, LOOPS - 7);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 0);
    qtest_quit(qts);
}

/* The interrupt; the guest does not take it. */
static void test_threshold(void)
{
    static const unsigned periods[11] = { 7 };
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on -bios %s",
                                  rom->path);

    set_area(qts, 0x10000, periods);
    qtest_writeq(qts, AREA + 0x38, RECORDS + 10 * 32);
    set_counters(qts, 1, periods);
    wrmsr(qts, 0, DEBUGCTL, 1 << 12); /* freeze */
    run_for(qts, 10);
    for (unsigned i = 0; i < 1000 && !rdmsr(qts, 0, GLOBAL_STATUS); i++) {
        run_for(qts, 10);
    }
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 1ull << 62 | 1ull << 59);
    g_assert_cmphex(qtest_readq(qts, AREA + 0x28), ==, RECORDS + 10 * 32);
    g_assert_cmpint(total(qts, "pebs-records-fast"), ==, 10);
    g_assert_cmpint(total(qts, "pmis"), ==, 1);
    /* MOV, and 70 times LOOP. */
    g_assert_cmphex(rdmsr(qts, 0, FIXED_CTR0 + 1), ==, 71);
    qtest_quit(qts);
}

/* Migration */

static void test_migration(void)
{
    static const struct {
        const char *from, *to;
    } table[] = {
        { "pmu=on", "pmu=on" },
        { "pmu=on", "pmu=on,pebs=on,pebs-fmt=4,pebs-baseline=on" },
        { "pmu=on", CROSS },
        { CROSS, "pmu=on" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(File) file = file_new("stream");
        QTestState *from = qtest_initf(ARGS "-smp 2 -cpu " INTEL ",%s",
                                       table[i].from);
        uint64_t before[2][G_N_ELEMENTS(registers)];
        QTestState *to;

        g_test_message("%s to %s", table[i].from, table[i].to);
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            fill(from, cpu);
            for (unsigned r = 0; r < G_N_ELEMENTS(registers); r++) {
                before[cpu][r] = rdmsr(from, cpu, registers[r]);
                g_assert_cmphex(before[cpu][r], !=, 0);
            }
        }
        migrate(from, file);
        qtest_quit(from);
        to = qtest_initf(ARGS "-smp 2 -cpu " INTEL ",%s -incoming %s",
                         table[i].to, file->uri);
        wait_migrated(to);
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            for (unsigned r = 0; r < G_N_ELEMENTS(registers); r++) {
                g_assert_cmphex(rdmsr(to, cpu, registers[r]), ==,
                                before[cpu][r]);
            }
        }
        qtest_quit(to);
    }
}

static void test_migration_refused(void)
{
#define BASELINE    "PEBS 0x4400"
#define BASIC       "PEBS 0x400"
#define OLD         "PEBS 0x300"
#define NO          "PEBS 0x0"
    static const struct {
        const char *from, *theirs, *to, *ours;
    } table[] = {
        { "pmu=on", BASELINE, "pmu=on,pebs=off", NO },
        { "pmu=on", BASELINE, "pmu=on,pebs-baseline=off", BASIC },
        { "pmu=on", BASELINE, "pmu=on,pebs-fmt=3", OLD },
        { "pmu=on,pebs-fmt=1", "PEBS 0x100", "pmu=on,pebs-fmt=2",
          "PEBS 0x200" },
        { "pmu=on,pebs=off", NO, "pmu=on", BASELINE },
        { "pmu=on,pebs-fmt=3", OLD, "pmu=on,pebs-baseline=off", BASIC },
        { "pmu=on,pebs-baseline=off", BASIC, "pmu-passthrough=on", BASELINE },
        /* Format 0 is not the same as none. */
        { "model=23,pmu=on", "PEBS 0x40", "model=23,pmu=on,pebs=off", NO },
        /* The PMU that every model had before it had its own */
        { "model=85,pmu=on,pmu-version=5,pmu-gp-counters=8,pebs-fmt=4",
          BASELINE, "model=85,pmu=on", OLD },
    };
#undef BASELINE
#undef BASIC
#undef OLD
#undef NO

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(File) file = file_new("refused");
        g_autofree char *said = NULL;
        g_autofree char *cpu = g_strdup_printf(INTEL ",%s", table[i].to);
        QTestState *from = qtest_initf(ARGS "-cpu " INTEL ",%s",
                                       table[i].from);
        char *ours;

        g_test_message("%s to %s", table[i].from, table[i].to);
        migrate(from, file);
        qtest_quit(from);
        migrate_refused(cpu, file, &said);
        ours = strstr(said, "on this side it would see ");
        g_assert_nonnull(ours);
        assert_contains(ours, table[i].ours);
        *ours = 0;
        assert_contains(said, table[i].theirs);
    }
}

/* When a guest migrates that samples, no record is lost or written twice. */
static void test_migration_sampling(void)
{
    static const char *const sides[][2] = {
        { "pmu=on", "pmu=on" },
        { "pmu=on", CROSS },
    };
    static const unsigned periods[11] = { 100003 };

    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        g_autoptr(File) rom = rom_new(SPIN_CODE, sizeof(SPIN_CODE));
        g_autoptr(File) file = file_new("stream");
        uint64_t insns, nr, before;
        QTestState *from = qtest_initf(ARGS "-cpu " INTEL ",%s -bios %s",
                                       sides[i][0], rom->path);
        QTestState *to;

        set_area(from, 32 * MiB, periods);
        set_counters(from, 1, periods);
        run_for(from, 50);
        before = qtest_readq(from, AREA + 0x28);
        g_assert_cmphex(before, >, RECORDS);
        migrate(from, file);
        qtest_quit(from);

        to = qtest_initf(ARGS "-cpu " INTEL ",%s -bios %s -incoming %s",
                         sides[i][1], rom->path, file->uri);
        wait_migrated(to);
        g_assert_cmphex(qtest_readq(to, AREA + 0x28), ==, before);
        run_for(to, 50);
        nr = (qtest_readq(to, AREA + 0x28) - RECORDS) / 32;
        g_assert_cmpuint(nr, >, (before - RECORDS) / 32);
        /* All instructions are branches. */
        insns = rdmsr(to, 0, FIXED_CTR0 + 1);
        g_assert_cmpuint(insns / periods[0], ==, nr);
        g_assert_cmphex(rdmsr(to, 0, PMC0), ==,
                        (1ull << 48) - periods[0] + insns % periods[0]);
        for (uint64_t n = 0; n < nr; n++) {
            g_assert_cmphex(qtest_readq(to, RECORDS + 32 * n + 8), ==,
                            0xfffffff0);
            g_assert_cmphex(qtest_readq(to, RECORDS + 32 * n + 16), ==, 1);
        }
        g_assert_cmpint(total(to, i ? "pebs-records-slow" :
                                      "pebs-records-fast"), ==,
                        nr - (before - RECORDS) / 32);
        qtest_quit(to);
    }
}

int main(int argc, char **argv)
{
    if (!test_init(&argc, &argv)) {
        return 0;
    }
    qtest_add_func("vpmu-pebs/properties", test_properties);
    qtest_add_func("vpmu-pebs/hotplug", test_hotplug);
    qtest_add_func("vpmu-pebs/cpuid", test_cpuid);
    qtest_add_func("vpmu-pebs/models", test_models);
    qtest_add_func("vpmu-pebs/visible", test_visible);
    qtest_add_func("vpmu-pebs/none", test_none);
    qtest_add_func("vpmu-pebs/query", test_query);
    qtest_add_func("vpmu-pebs/reset", test_reset);
    qtest_add_func("vpmu-pebs/records", test_records);
    qtest_add_func("vpmu-pebs/no-area", test_no_area);
    qtest_add_func("vpmu-pebs/threshold", test_threshold);
    qtest_add_func("vpmu-pebs/migration/registers", test_migration);
    qtest_add_func("vpmu-pebs/migration/refused", test_migration_refused);
    qtest_add_func("vpmu-pebs/migration/sampling", test_migration_sampling);
    return g_test_run();
}
