/*
 * The virtual PMU with pmu-model=simple from outside
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "vpmu-test.h"

#define SIMPLE      ",pmu=on,pmu-model=simple"
#define MISSES      0x412e
#define MISPREDICTED 0xc5
#define CODE_MISSES 0x0283
/* CPUID leaf 0xA EBX: bus cycles; cache references and misses, branch misses */
#define NEVER       0x04
#define SIMULATED   0x58

#define K7_CTL0     0xc0010000
#define K7_CTR0     0xc0010004
#define AMD_GLOBAL_CTL 0xc0000301

static const BadModel bad_models[] = {
    BAD_ICX("'pmu-model': 'simple'",
            "pmu-model needs a PMU: add pmu=on or remove pmu-model"),
    BAD_ICX("'pmu': true, 'pmu-model': 'exact'",
            "does not accept value 'exact'"),
    { "Dhyana", "{ 'pmu': true, 'pmu-model': 'simple' }",
      "pmu-model needs a CPU model with vendor GenuineIntel" },
};

static void test_properties(void)
{
    static const char *const good[] = {
        "'pmu': true, 'pmu-model': 'simple'", "'pmu-model': 'none'",
        "'pmu-passthrough': 'on', 'pmu-model': 'simple'",
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    assert_bad_models(qts, bad_models, G_N_ELEMENTS(bad_models));
    assert_good_models(qts, good, G_N_ELEMENTS(good));
    qtest_quit(qts);
}

static void test_hotplug(void)
{
    static const char *const other[] = { "'pmu-model': 'none'" };
    QTestState *qts = qtest_init(ARGS "-smp 1,sockets=2,maxcpus=2 -cpu "
                                 INTEL SIMPLE);

    assert_plugs_same(qts, other, G_N_ELEMENTS(other));
    qtest_quit(qts);
}

static bool has_event(QDict *info, const char *name)
{
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(info, "events"), entry) {
        QDict *event = qobject_to(QDict, entry->value);

        if (g_str_equal(qdict_get_str(event, "name"), name)) {
            return true;
        }
    }
    return false;
}

static void check_size(QDict *simulation, const char *name, unsigned sets,
                       unsigned ways)
{
    QDict *size = qdict_get_qdict(simulation, name);

    g_test_message("%s", name);
    g_assert_nonnull(size);
    g_assert_cmpuint(qdict_get_int(size, "sets"), ==, sets);
    g_assert_cmpuint(qdict_get_int(size, "ways"), ==, ways);
}

/* CPUID and QMP, with and without */
static void test_announced(void)
{
    for (unsigned simple = 0; simple < 2; simple++) {
        QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on,pmu-model=%s",
                                      simple ? "simple" : "none");
        g_autoptr(QDict) info = query(qts);
        g_autofree char *hmp = qtest_hmp(qts, "info vpmu");
        QDict *simulation = qdict_get_qdict(info, "simulation");

        g_assert_cmphex(cpuid(qts, 0xa, 1), ==,
                        NEVER | (simple ? 0 : SIMULATED));
        g_assert_true(has_event(info, "cache-misses") == simple);
        g_assert_true(has_event(info, "l1d.replacement") == simple);
        g_assert_true(has_event(info, "branches"));
        g_assert_true(!simulation == !simple);
        g_assert_true(!strstr(hmp, "simulated: simple") == !simple);
        qtest_quit(qts);
    }
}

/* CPUID leaves 4 and, on AMD, 0x80000005 and 0x80000006 have these. */
static void test_sizes(void)
{
    static const struct {
        const char *cpu;
        struct {
            unsigned sets, ways;
        } l1d, l2, llc, stlb;
    } models[] = {
        { INTEL, { 64, 8 }, { 4096, 16 }, { 16384, 16 }, { 128, 16 } },
        { INTEL ",l3-cache=off", { 64, 8 }, { 0, 0 }, { 4096, 16 },
          { 128, 16 } },
        { "Nehalem", { 64, 8 }, { 4096, 16 }, { 16384, 16 }, { 128, 4 } },
        { "EPYC-Genoa", { 64, 8 }, { 2048, 8 }, { 32768, 16 }, { 128, 24 } },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s" SIMPLE " 2>/dev/null",
                                      models[i].cpu);
        g_autoptr(QDict) info = query(qts);
        QDict *simulation = qdict_get_qdict(info, "simulation");

        g_test_message("%s", models[i].cpu);
        g_assert_nonnull(simulation);
        check_size(simulation, "l1d", models[i].l1d.sets, models[i].l1d.ways);
        if (models[i].l2.sets) {
            check_size(simulation, "l2", models[i].l2.sets, models[i].l2.ways);
        } else {
            g_assert_null(qdict_get_qdict(simulation, "l2"));
        }
        check_size(simulation, "llc", models[i].llc.sets, models[i].llc.ways);
        check_size(simulation, "stlb", models[i].stlb.sets,
                   models[i].stlb.ways);
        qtest_quit(qts);
    }
}

/* Such an event is unsupported without the simulation, and with a mask. */
static void test_unsupported(void)
{
    static const struct {
        const char *model;
        uint32_t evtsel;
        bool supported;
    } cases[] = {
        { "none", MISSES, false },
        { "simple", MISSES, true },
        { "simple", MISSES | 1u << 23, true },
        { "simple", MISSES | 1u << 24, false },
        { "simple", MISSES | 1u << 18, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on,pmu-model=%s",
                                      cases[i].model);
        g_autoptr(QDict) info = NULL;

        wrmsr(qts, 0, PERFEVTSEL0, cases[i].evtsel | ENABLE);
        info = query(qts);
        g_assert_true(qlist_empty(qdict_get_qlist(vcpu(info, 0),
                                                  "unsupported-events")) ==
                      cases[i].supported);
        qtest_quit(qts);
    }
}

/* The operator is told of an event that is not counted, and only once. */
static void test_event(void)
{
    static const uint32_t selects[] = { MISSES, 0x0151, MISSES };
    QTestState *qts = qtest_init(ARGS "-cpu " INTEL ",pmu=on");
    g_autoptr(QDict) event = NULL;
    QDict *data, *first;
    QList *events;

    for (unsigned i = 0; i < G_N_ELEMENTS(selects); i++) {
        wrmsr(qts, 0, PERFEVTSEL0, selects[i] | ENABLE);
    }
    event = qtest_qmp_eventwait_ref(qts, "VPMU_EVENT_UNSUPPORTED");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpint(qdict_get_int(data, "cpu-index"), ==, 0);
    events = qdict_get_qlist(data, "events");
    g_assert_cmpuint(qlist_size(events), ==, 1);
    first = nth(events, 0);
    g_assert_cmphex(qdict_get_int(first, "select"), ==, MISSES & 0xff);
    g_assert_cmphex(qdict_get_int(first, "umask"), ==, MISSES >> 8);
    g_assert_cmpstr(qdict_get_str(first, "name"), ==, "cache-misses");
    qobject_unref(event);

    /* The second one was held back, and has both. */
    event = qtest_qmp_eventwait_ref(qts, "VPMU_EVENT_UNSUPPORTED");
    events = qdict_get_qlist(qdict_get_qdict(event, "data"), "events");
    g_assert_cmpuint(qlist_size(events), ==, 2);
    g_assert_cmpstr(qdict_get_str(nth(events, 1), "name"), ==,
                    "l1d.replacement");
    /* Those that are counted or known to be unsupported send nothing. */
    wrmsr(qts, 0, PERFEVTSEL0, INSTRUCTIONS | ENABLE);
    wrmsr(qts, 0, PERFEVTSEL0, 0x0151 | ENABLE);
    g_usleep(1500 * 1000);
    qtest_qmp_assert_success(qts, "{ 'execute': 'query-status' }");
    g_assert_null(qtest_qmp_event_ref(qts, "VPMU_EVENT_UNSUPPORTED"));
    qtest_quit(qts);
}

/* What LOOP_CODE misses when nothing is known before: one line of code */
static void check_loop(QTestState *qts)
{
    wrmsr(qts, 0, PERFEVTSEL0, MISPREDICTED | ENABLE);
    wrmsr(qts, 0, PERFEVTSEL0 + 1, CODE_MISSES | ENABLE);
    wrmsr(qts, 0, PERFEVTSEL0 + 2, MISSES | ENABLE);
    run_for(qts, 100);
    /* 15 turns until the history is always the same, and the last one */
    g_assert_cmpuint(rdmsr(qts, 0, PERFCTR0), ==, 16);
    g_assert_cmpuint(rdmsr(qts, 0, PERFCTR0 + 1), ==, 1);
    g_assert_cmpuint(rdmsr(qts, 0, PERFCTR0 + 2), ==, 1);
}

/* A reset forgets everything. */
static void test_reset(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",apic=off" SIMPLE
                                  " -bios %s", rom->path);

    check_loop(qts);
    qtest_qmp_assert_success(qts, "{ 'execute': 'system_reset' }");
    check_loop(qts);
    qtest_quit(qts);
}

/* The operator counts such events, too. */
static void test_host(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",apic=off,"
                                  "pmu-passthrough=on,pmu-host-gp=1,"
                                  "pmu-model=simple -bios %s", rom->path);
    g_autoptr(QDict) info = NULL;
    QDict *host;

    qtest_qmp_assert_success(qts, "{ 'execute': 'vpmu-host-counter-set',"
                             "  'arguments': { 'type': 'gp', 'index': 7,"
                             "  'event': 'branch-misses' } }");
    run_for(qts, 100);
    info = query(qts);
    host = nth(qdict_get_qlist(vcpu(info, 0), "host-counters"), 0);
    g_assert_cmpuint(qdict_get_int(host, "value"), ==, 16);
    qtest_quit(qts);
}

/* Counters go on; what is simulated starts anew. */
static void test_migration(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    g_autoptr(File) file = file_new("sim");
    QTestState *from = qtest_initf(ARGS "-cpu " INTEL ",apic=off" SIMPLE
                                   " -bios %s", rom->path);
    QTestState *to;

    check_loop(from);
    migrate(from, file);
    qtest_quit(from);
    to = qtest_initf(ARGS "-cpu " INTEL ",apic=off" SIMPLE
                     " -bios %s -incoming %s", rom->path, file->uri);
    wait_migrated(to);
    g_assert_cmpuint(rdmsr(to, 0, PERFCTR0), ==, 16);
    g_assert_cmpuint(rdmsr(to, 0, PERFCTR0 + 1), ==, 1);
    qtest_qmp_assert_success(to, "{ 'execute': 'system_reset' }");
    check_loop(to);
    qtest_quit(to);
}

/* The guest was in its loop, with counters on, when it was saved. */
static void test_migration_running(void)
{
    g_autoptr(File) rom = rom_new(SPIN_CODE, sizeof(SPIN_CODE));
    g_autoptr(File) file = file_new("spin");
    QTestState *from = qtest_initf(ARGS "-cpu " INTEL ",apic=off" SIMPLE
                                   " -bios %s", rom->path);
    QTestState *to;

    wrmsr(from, 0, PERFEVTSEL0, MISSES | ENABLE);
    run_for(from, 50);
    g_assert_cmpuint(rdmsr(from, 0, PERFCTR0), ==, 1);
    migrate(from, file);
    qtest_quit(from);
    to = qtest_initf(ARGS "-cpu " INTEL ",apic=off" SIMPLE
                     " -bios %s -incoming %s", rom->path, file->uri);
    wait_migrated(to);
    run_for(to, 50);
    /* The line comes from memory again. */
    g_assert_cmpuint(rdmsr(to, 0, PERFCTR0), ==, 2);
    qtest_quit(to);
}

/* Each line of models has its events. */
static void test_models(void)
{
    static const struct {
        const char *model;
        uint32_t mispredicted, code_misses;
    } models[] = {
        { "Nehalem", 0x00c5, 0x0280 }, { "SandyBridge", 0x00c5, 0x0280 },
        { "IvyBridge", 0x01c5, 0x0280 }, { "Haswell", 0x04c5, 0xe424 },
        { "Skylake-Client", 0x01c5, 0x0283 },
        { "Icelake-Server-v6", 0x11c5, 0x0283 },
        { "SapphireRapids", 0x04c5, 0xe424 }, { "Denverton", 0x7ec5, 0x0280 },
        { "Snowridge", 0x7ec5, 0x0280 }, { "KnightsMill", 0x7ec5, 0x0280 },
        { "core2duo", 0x00c5, 0x412e }, { "qemu64", 0x00c3, 0x0081 },
        { "Opteron_G5", 0x00c3, 0x0081 }, { "EPYC", 0x00c3, 0x1060 },
        { "EPYC-Genoa", 0x00c3, 0x1060 },
    };
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));

    for (unsigned i = 0; i < G_N_ELEMENTS(models); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s,apic=off" SIMPLE
                                      " -bios %s 2>/dev/null",
                                      models[i].model, rom->path);
        bool amd = models[i].mispredicted == 0x00c3;
        uint32_t select = amd ? K7_CTL0 : PERFEVTSEL0;
        uint32_t count = amd ? K7_CTR0 : PERFCTR0;

        g_test_message("%s", models[i].model);
        wrmsr(qts, 0, select, models[i].mispredicted | ENABLE);
        wrmsr(qts, 0, select + 1, models[i].code_misses | ENABLE);
        if (g_str_equal(models[i].model, "EPYC-Genoa")) {
            wrmsr(qts, 0, AMD_GLOBAL_CTL, 3);
        }
        run_for(qts, 100);
        g_assert_cmpuint(rdmsr(qts, 0, count), ==, 16);
        g_assert_cmpuint(rdmsr(qts, 0, count + 1), ==, 1);
        qtest_quit(qts);
    }
}

static void test_migration_refused(void)
{
    static const char *const models[] = { "none", "simple" };

    for (unsigned i = 0; i < 2; i++) {
        g_autoptr(File) file = file_new("refused");
        QTestState *from = qtest_initf(ARGS "-cpu " INTEL
                                       ",pmu=on,pmu-model=%s", models[i]);
        g_autofree char *cpu = g_strdup_printf(INTEL ",pmu=on,pmu-model=%s",
                                               models[!i]);
        g_autofree char *said = NULL;

        migrate(from, file);
        qtest_quit(from);
        migrate_refused(cpu, file, &said);
        assert_contains(said, "start it with the source's properties");
        assert_contains(said, ", pmu-model=simple, provided by TCG");
    }
}

int main(int argc, char **argv)
{
    if (test_init(&argc, &argv)) {
        qtest_add_func("/vpmu-sim/properties", test_properties);
        qtest_add_func("/vpmu-sim/hotplug", test_hotplug);
        qtest_add_func("/vpmu-sim/announced", test_announced);
        qtest_add_func("/vpmu-sim/sizes", test_sizes);
        qtest_add_func("/vpmu-sim/unsupported", test_unsupported);
        qtest_add_func("/vpmu-sim/reset", test_reset);
        qtest_add_func("/vpmu-sim/host", test_host);
        qtest_add_func("/vpmu-sim/models", test_models);
        qtest_add_func("/vpmu-sim/event", test_event);
        qtest_add_func("/vpmu-sim/migration", test_migration);
        qtest_add_func("/vpmu-sim/migration-running", test_migration_running);
        qtest_add_func("/vpmu-sim/migration-refused", test_migration_refused);
    }
    return g_test_run();
}
