/*
 * AMD's virtual PMU from outside: CPUID, registers, migration, reservation
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/vpmu/amd.c and count.c test what counters count.
 */
#include "qemu/osdep.h"
#include "qobject/qjson.h"
#include "vpmu-test.h"

/* What TCG has of this processor, without a warning for what it lacks */
#define ZEN4    "qemu64,vendor=AuthenticAMD,family=25,model=17"
#define ZEN     "qemu64,vendor=AuthenticAMD,family=23,model=1"
#define K8      "qemu64"

#define CTL0            0xc0010200
#define CTR0            0xc0010201
#define K7_CTL0         0xc0010000
#define K7_CTR0         0xc0010004
#define STATUS          0xc0000300
#define GLOBAL_CTL      0xc0000301
#define STATUS_CLR      0xc0000302
#define STATUS_SET      0xc0000303

#define PERFCTR_CORE    (1u << 23)
#define PERFMON_V2      1u

#define COUNTERS        6

/* CPUID */

/* @core, @v2: whether the guest is told of these features; @nr: in CPUID */
typedef struct Seen {
    const char *cpu;
    bool core, v2;
    unsigned nr;
} Seen;

static void check_cpuid(QTestState *qts, const Seen *seen)
{
    g_assert_true(!!(cpuid(qts, 0x80000001, 2) & PERFCTR_CORE) == seen->core);
    if (cpuid(qts, 0x80000000, 0) >= 0x80000022) {
        g_assert_cmphex(cpuid(qts, 0x80000022, 0), ==,
                        seen->v2 ? PERFMON_V2 : 0);
        g_assert_cmphex(cpuid(qts, 0x80000022, 1), ==, seen->v2 ? seen->nr : 0);
        g_assert_cmphex(cpuid(qts, 0x80000022, 2), ==, 0);
        g_assert_cmphex(cpuid(qts, 0x80000022, 3), ==, 0);
    } else {
        g_assert_false(seen->v2);
    }
    /* Nothing of Intel's */
    g_assert_cmphex(cpuid(qts, 0xa, 0), ==, 0);
    g_assert_cmphex(cpuid(qts, 1, 2) & PDCM, ==, 0);
}

static void check_seen(const Seen *seen)
{
    QTestState *qts = qtest_initf(ARGS "-cpu %s,min-level=0xd 2>/dev/null",
                                  seen->cpu);
    g_autoptr(QDict) info = query(qts);
    unsigned n = 0;

    g_test_message("%s", seen->cpu);
    check_cpuid(qts, seen);
    g_assert_cmpstr(qdict_get_str(info, "mode"), ==, "software");
    g_assert_cmpint(qdict_get_int(info, "version"), ==, seen->v2 ? 2 : 1);
    g_assert_cmpint(qdict_get_int(info, "counter-width"), ==, 48);
    g_assert_false(qdict_haskey(info, "pebs"));
    while (rdpmc(qts, 0, n) != GP_FAULT) {
        n++;
    }
    g_assert_cmpuint(n, ==, seen->nr);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(vcpu(info, 0), "counters")),
                     ==, n);
    qtest_quit(qts);
}

static void test_cpuid(void)
{
    static const Seen table[] = {
        { K8 ",pmu=on", false, false, 4 },
        { "phenom,pmu=on", false, false, 4 },
        { "Opteron_G5,pmu=on", true, false, 6 },
        { "EPYC,pmu=on", true, false, 6 },
        { "EPYC-Rome,pmu=on", true, false, 6 },
        { "EPYC-Milan,pmu=on", true, false, 6 },
        { "EPYC-Genoa,pmu=on", true, true, 6 },
        { "max,pmu=on", true, true, 6 },
        { "max,pmu-passthrough=on", true, true, 6 },
        { ZEN ",pmu=on", true, false, 6 },
        { ZEN ",pmu=on,perfctr-core=off", false, false, 4 },
        { ZEN ",pmu=on,pmu-gp-counters=4", false, false, 4 },
        { ZEN ",pmu=on,perfmon-v2=on", true, true, 6 },
        { ZEN ",pmu=on,pmu-version=2,pmu-gp-counters=3", true, true, 3 },
        { ZEN4 ",pmu=on,pmu-version=1", true, false, 6 },
        { ZEN4 ",pmu=on,perfmon-v2=off", true, false, 6 },
        { ZEN4 ",pmu=on,perfctr-core=off", false, false, 4 },
        { ZEN4 ",pmu=on,pmu-gp-counters=1", true, true, 1 },
        { "max,pmu=on,perfctr-core=off", false, false, 4 },
        { "max,pmu=on,pmu-gp-counters=4,perfctr-core=off", false, false, 4 },
        { K8 ",pmu=on,perfctr-core=on", true, false, 6 },
        { K8 ",pmu=on,pmu-gp-counters=6", true, false, 6 },
        /* Reserved counters are hidden as well as CPUID can. */
        { ZEN ",pmu-passthrough=on,pmu-host-gp=1", false, false, 4 },
        { ZEN ",pmu-passthrough=on,pmu-host-gp=2", false, false, 4 },
        { ZEN ",pmu-passthrough=on,pmu-host-gp=6,pmu-visible=all", true, false,
          6 },
        { ZEN4 ",pmu-passthrough=on,pmu-host-gp=5", true, true, 1 },
        { K8 ",pmu-passthrough=on,pmu-host-gp=3,pmu-visible=all", false, false,
          4 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        check_seen(&table[i]);
    }
}

/* Without pmu=on CPUID is as it always was. */
static void test_none(void)
{
    static const char *const cpus[] = {
        "EPYC-Genoa", "max", "qemu64,pmu=off", K8 ",perfctr-core=on",
        "EPYC-Genoa,perfmon-v2=on",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        const Seen seen = { .cpu = cpus[i] };
        QTestState *qts = qtest_initf(ARGS "-cpu %s,min-level=0xd "
                                      "2>/dev/null", cpus[i]);

        g_test_message("%s", cpus[i]);
        check_cpuid(qts, &seen);
        assert_mode(qts, "none", "add pmu=on");
        qtest_quit(qts);
    }
}

static void test_properties(void)
{
#define BAD_ZEN(props, error)   { "EPYC", "{ " props " }", error }
    static const BadModel bad[] = {
        BAD_ZEN("'pmu': true, 'pmu-version': 3",
                "pmu-version=3 is out of range: use 1 to 2"),
        BAD_ZEN("'pmu': true, 'pmu-gp-counters': 7",
                "pmu-gp-counters=7 is out of range: use 1 to 6"),
        BAD_ZEN("'pmu': true, 'pmu-gp-counters': 5",
                "pmu-gp-counters=5: without PerfMonV2 a guest has 4 counters "
                "or 6: use one of these, or add pmu-version=2"),
        BAD_ZEN("'pmu': true, 'pmu-version': 2, 'perfmon-v2': false",
                "pmu-version=2 contradicts perfmon-v2=off: remove one"),
        BAD_ZEN("'pmu': true, 'pmu-version': 1, 'perfmon-v2': true",
                "pmu-version=1 contradicts perfmon-v2=on: remove one"),
        BAD_ZEN("'pmu': true, 'pmu-version': 2, 'perfctr-core': false",
                "pmu-version=2 needs perfctr-core: remove perfctr-core=off"),
        BAD_ZEN("'pmu': true, 'perfmon-v2': true, 'perfctr-core': false",
                "perfmon-v2=on needs perfctr-core: remove perfctr-core=off"),
        BAD_ZEN("'pmu': true, 'pmu-gp-counters': 6, 'perfctr-core': false",
                "pmu-gp-counters=6 contradicts perfctr-core=off"),
        BAD_ZEN("'pmu': true, 'pmu-gp-counters': 4, 'perfctr-core': true",
                "pmu-gp-counters=4 contradicts perfctr-core=on"),
        BAD_ZEN("'pmu-passthrough': 'on', 'pmu-host-gp': 1,"
                "'perfctr-core': true",
                "pmu-host-gp=1 contradicts perfctr-core=on"),
        BAD_ZEN("'pmu-passthrough': 'on', 'pmu-host-gp': 3",
                "pmu-host-gp=3 leaves 3 counters, and without PerfMonV2 a "
                "guest cannot be told of fewer than 4: use 0 to 2, or add "
                "pmu-visible=all or pmu-version=2"),
        BAD_ZEN("'pmu-passthrough': 'on', 'pmu-host-fixed': '0'",
                "pmu-host-fixed needs a CPU model with vendor GenuineIntel"),
        BAD_ZEN("'pmu': true, 'pebs': 'on'",
                "pebs=on needs a CPU model with vendor GenuineIntel"),
        BAD_ZEN("'pmu': true, 'pebs-fmt': 4",
                "pebs-fmt needs a CPU model with vendor GenuineIntel"),
        { "EPYC-Genoa", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 6 }",
          "pmu-host-gp=6 leaves the guest none of the 6 general-purpose" },
        { "EPYC-Genoa", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 7 }",
          "pmu-host-gp=7 is more than the 6 general-purpose counters" },
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    assert_bad_models(qts, bad, G_N_ELEMENTS(bad));
    qtest_quit(qts);
}

/* What an expansion shows of the PMU gives the same PMU. */

static QDict *expand(QTestState *qts, const char *model, const char *props)
{
    g_autofree char *command = expansion(model, props);
    g_autoptr(QDict) rsp = qtest_qmp_assert_success_ref(qts, command, NULL);
    QDict *all = qdict_get_qdict(qdict_get_qdict(rsp, "model"), "props");
    QDict *shown = qdict_new();

    for (const QDictEntry *e = qdict_first(all); e; e = qdict_next(all, e)) {
        if (g_str_has_prefix(e->key, "pmu") ||
            g_str_has_prefix(e->key, "pebs") ||
            g_str_equal(e->key, "perfctr-core") ||
            g_str_equal(e->key, "perfmon-v2")) {
            qdict_put_obj(shown, e->key, qobject_ref(e->value));
        }
    }
    return shown;
}

static void test_expansion(void)
{
    static const struct {
        const char *model, *props;
    } table[] = {
        { "EPYC", "{ 'pmu': true }" },
        { "EPYC", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 1 }" },
        { "EPYC", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 2 }" },
        { "EPYC", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 6,"
          " 'pmu-visible': 'all' }" },
        { "EPYC-Genoa", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 5 }" },
        { "phenom", "{ 'pmu-passthrough': 'on', 'pmu-host-gp': 3,"
          " 'pmu-visible': 'all' }" },
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(QDict) first = expand(qts, table[i].model, table[i].props);
        g_autoptr(GString) json = qobject_to_json(QOBJECT(first));
        g_autoptr(QDict) again = NULL;

        g_test_message("%s %s", table[i].model, json->str);
        g_assert_cmpuint(qdict_size(first), >=, 10);
        again = expand(qts, table[i].model, json->str);
        g_assert_true(qobject_is_equal(QOBJECT(first), QOBJECT(again)));
    }
    qtest_quit(qts);
}

/* Registers */

static const uint32_t amd_msrs[] = { STATUS, GLOBAL_CTL };

#define NR_REGISTERS    (2 * COUNTERS + G_N_ELEMENTS(amd_msrs))

static void read_all(QTestState *qts, unsigned cpu, uint64_t *values)
{
    for (unsigned i = 0; i < COUNTERS; i++) {
        values[2 * i] = rdmsr(qts, cpu, CTL0 + 2 * i);
        values[2 * i + 1] = rdmsr(qts, cpu, CTR0 + 2 * i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(amd_msrs); i++) {
        values[2 * COUNTERS + i] = rdmsr(qts, cpu, amd_msrs[i]);
    }
}

/* Give every register a value of its own, with all the bits there are. */
static void fill(QTestState *qts, unsigned cpu)
{
    uint64_t n = cpu + 1;

    for (unsigned i = 0; i < COUNTERS; i++) {
        wrmsr(qts, cpu, CTL0 + 2 * i, 0x30f005300c0ull + (i << 24) + n);
        wrmsr(qts, cpu, CTR0 + 2 * i, 0x123400000000 * n + i);
    }
    wrmsr(qts, cpu, GLOBAL_CTL, 0x3e + (n & 1));
    wrmsr(qts, cpu, STATUS_SET, 0x10 + n);
}

static void test_registers(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " ZEN4 ",pmu=on");
    uint64_t before[2][NR_REGISTERS], after[2][NR_REGISTERS];

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        read_all(qts, cpu, before[cpu]);
        g_assert_cmphex(rdmsr(qts, cpu, GLOBAL_CTL), ==, 0x3f);
        fill(qts, cpu);
        g_assert_cmphex(rdmsr(qts, cpu, CTL0 + 10), ==,
                        0x30f055300c0ull + cpu + 1);
        g_assert_cmphex(rdmsr(qts, cpu, CTR0 + 10), ==,
                        0x123400000000 * (cpu + 1) + 5);
        g_assert_cmphex(rdmsr(qts, cpu, K7_CTR0 + 3), ==,
                        0x123400000000 * (cpu + 1) + 3);
        g_assert_cmphex(rdmsr(qts, cpu, GLOBAL_CTL), ==, 0x3f - cpu);
        g_assert_cmphex(rdmsr(qts, cpu, STATUS), ==, 0x11 + cpu);
    }
    /* Reserved bits are ignored. */
    wrmsr(qts, 0, CTL0, UINT64_MAX);
    g_assert_cmphex(rdmsr(qts, 0, CTL0), ==, 0x30fffd7ffffull);
    wrmsr(qts, 0, STATUS, 0);
    g_assert_cmphex(rdmsr(qts, 0, STATUS), ==, 0x11);
    wrmsr(qts, 0, STATUS_CLR, 1);
    g_assert_cmphex(rdmsr(qts, 0, STATUS), ==, 0x10);

    qtest_system_reset(qts);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        read_all(qts, cpu, after[cpu]);
    }
    g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
    qtest_quit(qts);
}

static void test_absent(void)
{
    QTestState *qts = qtest_init(ARGS "-cpu " K8 ",pmu=on");

    for (uint32_t msr = CTL0; msr < CTL0 + 2 * COUNTERS; msr++) {
        g_assert_cmphex(rdmsr(qts, 0, msr), ==, GP_FAULT);
        g_assert_cmphex(wrmsr(qts, 0, msr, 0), ==, GP_FAULT);
    }
    for (uint32_t msr = STATUS; msr <= STATUS_SET; msr++) {
        g_assert_cmphex(rdmsr(qts, 0, msr), ==, GP_FAULT);
        g_assert_cmphex(wrmsr(qts, 0, msr, 0), ==, GP_FAULT);
    }
    g_assert_cmphex(wrmsr(qts, 0, K7_CTR0 + 3, 5), ==, 5);
    g_assert_cmphex(rdpmc(qts, 0, 3), ==, 5);
    g_assert_cmphex(rdpmc(qts, 0, 4), ==, GP_FAULT);
    qtest_quit(qts);
}

/* Migration */

/* The controls and counters of both CPUs, and the global registers */
typedef struct Registers {
    uint64_t ctl[COUNTERS], ctr[COUNTERS], status, global_ctl;
} Registers;

static void read_registers(QTestState *qts, const Seen *seen, Registers *to)
{
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        to[cpu] = (Registers) { 0 };
        for (unsigned k = 0; k < seen->nr; k++) {
            to[cpu].ctl[k] = rdmsr(qts, cpu, seen->core ? CTL0 + 2 * k :
                                                          K7_CTL0 + k);
            to[cpu].ctr[k] = rdmsr(qts, cpu, seen->core ? CTR0 + 2 * k :
                                                          K7_CTR0 + k);
        }
        if (seen->v2) {
            to[cpu].status = rdmsr(qts, cpu, STATUS);
            to[cpu].global_ctl = rdmsr(qts, cpu, GLOBAL_CTL);
        }
    }
}

static void write_registers(QTestState *qts, const Seen *seen)
{
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        for (unsigned k = 0; k < seen->nr; k++) {
            wrmsr(qts, cpu, seen->core ? CTL0 + 2 * k : K7_CTL0 + k,
                  0x300005300c0ull + cpu + k);
            wrmsr(qts, cpu, seen->core ? CTR0 + 2 * k : K7_CTR0 + k,
                  0x345600000000 * (cpu + 1) + k);
        }
        if (seen->v2) {
            wrmsr(qts, cpu, STATUS_SET, 0x22 + cpu);
            wrmsr(qts, cpu, GLOBAL_CTL, 0x11 + cpu);
        }
    }
}

static void test_migration(void)
{
    static const Seen table[] = {
        { ZEN4 ",pmu=on", true, true, 6 },
        { ZEN ",pmu=on", true, false, 6 },
        { K8 ",pmu=on", false, false, 4 },
        { ZEN ",pmu=on,perfctr-core=off", false, false, 4 },
        { ZEN ",pmu-passthrough=on,pmu-host-gp=1", false, false, 4 },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(File) file = file_new("stream");
        g_autofree char *args = g_strdup_printf(ARGS "-smp 2 -cpu %s",
                                                table[i].cpu);
        Registers before[2], after[2];
        QTestState *from = qtest_init(args), *to;

        g_test_message("%s", table[i].cpu);
        write_registers(from, &table[i]);
        read_registers(from, &table[i], before);
        g_assert_cmphex(before[1].ctl[3], !=, 0);
        g_assert_cmphex(before[1].status, ==, table[i].v2 ? 0x23 : 0);
        migrate(from, file);
        qtest_quit(from);

        to = qtest_initf("%s -incoming %s", args, file->uri);
        wait_migrated(to);
        read_registers(to, &table[i], after);
        g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
        qtest_quit(to);
    }
}

static void test_migration_refused(void)
{
    static const struct {
        const char *from, *to, *text;
    } table[] = {
        { ZEN4 ",pmu=on", ZEN4 ",pmu=on,pmu-version=1",
          "on this side it would see version 1, 6 general-purpose" },
        { ZEN ",pmu=on", ZEN ",pmu=on,perfctr-core=off",
          "on this side it would see version 1, 4 general-purpose" },
        { ZEN ",pmu=on", ZEN,
          "on this side it would see none" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(File) file = file_new("refused");
        g_autofree char *said = NULL;
        QTestState *qts = qtest_initf(ARGS "-cpu %s", table[i].from);

        migrate(qts, file);
        qtest_quit(qts);
        migrate_refused(table[i].to, file, &said);
        assert_contains(said, table[i].text);
    }
}

/* The events that a guest asked for in vain migrate, too. */
static void check_unsupported(QTestState *qts)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");
    QList *list = qdict_get_qlist(vcpu(info, 0), "unsupported-events");
    static const struct {
        int select, umask;
        const char *name;
    } want[] = {
        { 0x1d6, 0, NULL }, { 0xd6, 0, NULL }, { 0xc3, 0, "branch-misses" },
    };

    g_assert_cmpuint(qlist_size(list), ==, G_N_ELEMENTS(want));
    for (unsigned i = 0; i < G_N_ELEMENTS(want); i++) {
        QDict *event = nth(list, i);

        g_assert_cmpint(qdict_get_int(event, "select"), ==, want[i].select);
        g_assert_cmpint(qdict_get_int(event, "umask"), ==, want[i].umask);
        g_assert_cmpstr(qdict_get_try_str(event, "name"), ==, want[i].name);
    }
    assert_contains(hmp, "not supported, does not count: event=0x1d6");
}

static void test_unsupported(void)
{
    g_autoptr(File) file = file_new("unsupported");
    QTestState *qts = qtest_init(ARGS "-cpu " ZEN4 ",pmu=on");

    wrmsr(qts, 0, CTL0, ENABLE | 1ull << 32 | 0xd6);
    wrmsr(qts, 0, CTL0, ENABLE | 0xd6);
    wrmsr(qts, 0, CTL0, ENABLE | 0xc3);
    wrmsr(qts, 0, CTL0, ENABLE | 1ull << 32 | 0xd6);
    wrmsr(qts, 0, CTL0, ENABLE | 0xc0);
    check_unsupported(qts);
    migrate(qts, file);
    qtest_quit(qts);

    qts = qtest_initf(ARGS "-cpu " ZEN4 ",pmu=on -incoming %s", file->uri);
    wait_migrated(qts);
    check_unsupported(qts);
    qtest_quit(qts);
}

/* query-vpmu */

static void test_events(void)
{
    static const struct {
        const char *cpu;
        const char *has, *lacks;
    } table[] = {
        { K8 ",pmu=on", "retired_near_returns", "ex_ret_cond" },
        { ZEN ",pmu=on", "ex_ret_cond", "ls_int_taken" },
        { ZEN4 ",pmu=on", "ls_int_taken", "retired_near_returns" },
        { "max,pmu=on", "interrupts_taken", "retired_near_returns" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null",
                                      table[i].cpu);
        g_autoptr(QDict) info = query(qts);
        const QListEntry *entry;
        bool has = false;

        QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "events"), entry) {
            const char *name = qdict_get_str(
                qobject_to(QDict, qlist_entry_obj(entry)), "name");

            has |= g_str_equal(name, table[i].has);
            g_assert_cmpstr(name, !=, table[i].lacks);
        }
        g_assert_true(has);
        qtest_quit(qts);
    }
}

/* Counters that are shared with the host */

static void test_reserve(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " ZEN4
                                 ",pmu-passthrough=on,pmu-visible=all,"
                                 "pmu-host-gp=1" LONG);

    assert_set(query(qts), "reserved", "1");
    assert_refused(qts, RESERVE("'gp': 7"), "gp=7 is more than the 6");
    assert_refused(qts, RESERVE("'gp': 1, 'fixed': [ 0 ]"),
                   "this PMU has no fixed counters");
    assert_refused(qts, COUNT("'type': 'fixed', 'index': 0,"
                              "'event': 'cycles'"),
                   "this PMU has no fixed counters");
    for (unsigned i = 0; i < 5; i++) {
        wrmsr(qts, 1, CTL0 + 2 * i, ENABLE | INSTRUCTIONS);
        wrmsr(qts, 1, CTR0 + 2 * i, 0x1000 + i);
        assert_counter(qts, 1, i, "fast", i);
    }
    assert_refused(qts, RESERVE("'gp': 2"), "CPU 1 counts with");
    wrmsr(qts, 1, CTL0 + 2 * 4, 0);
    reserve_quietly(qts, RESERVE("'gp': 2"), "gp 4, gp 5");
    wrmsr(qts, 1, CTL0 + 2 * 0, 0);
    /* The fifth takes the counter of the first, and keeps its value. */
    wrmsr(qts, 1, CTL0 + 2 * 4, ENABLE | INSTRUCTIONS);
    assert_counter(qts, 1, 4, "slow", 0);
    for (unsigned i = 0; i < 5; i++) {
        g_assert_cmphex(rdmsr(qts, 1, CTR0 + 2 * i), ==, 0x1000 + i);
    }
    qtest_quit(qts);
}

/* The operator counts what the guest executes; the loop's count is known. */
static void test_host_counter(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-bios %s -cpu " ZEN4
                                  ",pmu-passthrough=on,pmu-host-gp=3",
                                  rom->path);

    host_count(qts, "gp", 3, "'event': 'instructions'");
    host_count(qts, "gp", 4, "'event': 'ex_ret_cond'");
    host_count(qts, "gp", 5, "'event': 'ex_ret_brn_tkn'");
    assert_refused(qts, COUNT("'type': 'gp', 'index': 3,"
                              "'event': 'br_inst_retired.cond'"),
                   "there is no event 'br_inst_retired.cond'");
    wait_halted(qts, 0, LOOP_INSNS);
    g_assert_cmpuint(host_value(qts, 0, 1), ==, LOOPS);
    g_assert_cmpuint(host_value(qts, 0, 2), ==, LOOPS - 1);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    if (test_init(&argc, &argv)) {
        qtest_add_func("/vpmu/amd/cpuid", test_cpuid);
        qtest_add_func("/vpmu/amd/none", test_none);
        qtest_add_func("/vpmu/amd/properties", test_properties);
        qtest_add_func("/vpmu/amd/expansion", test_expansion);
        qtest_add_func("/vpmu/amd/registers", test_registers);
        qtest_add_func("/vpmu/amd/absent", test_absent);
        qtest_add_func("/vpmu/amd/migration", test_migration);
        qtest_add_func("/vpmu/amd/migration/refused", test_migration_refused);
        qtest_add_func("/vpmu/amd/unsupported", test_unsupported);
        qtest_add_func("/vpmu/amd/events", test_events);
        qtest_add_func("/vpmu/amd/reserve", test_reserve);
        qtest_add_func("/vpmu/amd/host-counter", test_host_counter);
    }
    return g_test_run();
}
