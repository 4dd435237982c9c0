/*
 * The virtual PMU's statistics in query-stats
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "vpmu-test.h"

static const char *const names[] = {
    "hand-overs", "reuses", "lazy-releases", "moves", "evictions",
    "starved-ns", "control-writes-direct", "control-writes-reprogrammed",
    "pmis", "pebs-records-fast", "pebs-records-slow", "pebs-records-dropped",
    "pebs-bytes-rewritten", "bts-records-dropped",
};

static void assert_writes(QTestState *qts, int64_t direct,
                          int64_t reprogrammed)
{
    g_assert_cmpint(total(qts, "control-writes-direct"), ==, direct);
    g_assert_cmpint(total(qts, "control-writes-reprogrammed"), ==,
                    reprogrammed);
}

static void test_stats(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all");

    assert_stats(qts, 0, 0, 0, 0, 0);
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    wrmsr(qts, 0, PERFEVTSEL0, ENABLE | INSTRUCTIONS);
    wrmsr(qts, 0, PERFEVTSEL0 + 1, ENABLE | BRANCHES);
    assert_writes(qts, 3, 0);

    /* The first enable, then the writes of a context switch. */
    wrmsr(qts, 0, GLOBAL_CTRL, 3);
    assert_stats(qts, 2, 0, 0, 0, 0);
    assert_writes(qts, 3, 1);
    for (unsigned i = 0; i < 100; i++) {
        wrmsr(qts, 0, GLOBAL_CTRL, 0);
        wrmsr(qts, 0, PERFEVTSEL0, 0);
        wrmsr(qts, 0, PMC0, i);
        wrmsr(qts, 0, PERFEVTSEL0, ENABLE | BRANCHES);
        wrmsr(qts, 0, GLOBAL_CTRL, 3);
    }
    assert_stats(qts, 2, 200, 0, 0, 0);
    assert_writes(qts, 403, 1);
    wrmsr(qts, 0, GLOBAL_OVF_CTRL, 3);
    assert_writes(qts, 403, 1);

    /* The host takes an idle counter, and gives it back. */
    wrmsr(qts, 0, GLOBAL_CTRL, 2);
    reserve_quietly(qts, RESERVE("'gp': 7"),
                    "gp 0, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7");
    assert_stats(qts, 2, 200, 0, 0, 1);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_stats(qts, 2, 200, 0, 0, 1);
    wrmsr(qts, 0, GLOBAL_CTRL, 3);
    assert_stats(qts, 3, 200, 0, 0, 1);
    assert_writes(qts, 404, 2);
    qtest_quit(qts);
}

static void test_stats_move(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all -smp 2");
    g_autoptr(QDict) rsp = NULL;

    enable(qts, 0, 0x80, 0);
    enable(qts, 1, 0x7f, 0);
    assert_stats(qts, 8, 0, 0, 0, 0);
    reserve_quietly(qts, RESERVE("'gp': 1"), "gp 7");
    assert_stats(qts, 8, 0, 0, 1, 0);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_stats(qts, 8, 0, 0, 2, 0);
    enable(qts, 0, 0xff, 0);
    assert_stats(qts, 15, 1, 0, 2, 0);
    rsp = reserve(qts, RESERVE("'gp': 1, 'force': true"), "gp 7");
    assert_stats(qts, 15, 1, 0, 2, 1);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_stats(qts, 16, 1, 0, 2, 1);
    qtest_quit(qts);
}

/* A counter that is not used for a slice is released. */
static void test_stats_slice(void)
{
    g_autoptr(File) rom = rom_new(HALT_CODE, sizeof(HALT_CODE));
    QTestState *qts = qtest_initf(HANDOVER ",pmu-slice-ms=1 -bios %s",
                                  rom->path);

    enable(qts, 0, 1, 1);
    assert_stats(qts, 2, 0, 0, 0, 0);
    run_for(qts, 20);
    /* Not while it is in use, however long. */
    assert_counter(qts, 0, 0, "fast", 0);
    assert_stats(qts, 2, 0, 0, 0, 0);
    wrmsr(qts, 0, GLOBAL_CTRL, 1ull << 32);
    assert_counter(qts, 0, 0, "idle", 0);
    run_for(qts, 20);
    assert_counter(qts, 0, 0, "idle", -1);
    assert_counter(qts, 0, 8, "fast", 0);
    assert_stats(qts, 2, 0, 1, 0, 0);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, value_of(0, 0) + 1);
    wrmsr(qts, 0, GLOBAL_CTRL, 1);
    assert_stats(qts, 3, 0, 1, 0, 0);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, value_of(0, 0) + 1);

    /* The same if nothing reads the PMU in that time. */
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    run_for(qts, 20);
    wrmsr(qts, 0, GLOBAL_CTRL, 1);
    assert_stats(qts, 4, 0, 3, 0, 0);
    qtest_quit(qts);

    /* It is not released within a slice. */
    qts = qtest_initf(HANDOVER LONG " -bios %s", rom->path);
    enable(qts, 0, 1, 1);
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    run_for(qts, 20);
    assert_counter(qts, 0, 0, "idle", 0);
    wrmsr(qts, 0, GLOBAL_CTRL, 1);
    assert_stats(qts, 2, 1, 0, 0, 0);
    qtest_quit(qts);
}

/* Without hand-over there is nothing to hand over. */
static void test_stats_plain(void)
{
    g_autoptr(File) rom = rom_new(HALT_CODE, sizeof(HALT_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on -bios %s",
                                  rom->path);

    enable(qts, 0, 0xff, 7);
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    run_for(qts, 30);
    assert_counter(qts, 0, 0, "idle", 0);
    g_assert_cmpint(total(qts, "hand-overs"), ==, 0);
    g_assert_cmpint(total(qts, "lazy-releases"), ==, 0);
    g_assert_cmpint(total(qts, "starved-ns"), ==, 0);
    g_assert_cmpint(total(qts, "control-writes-reprogrammed"), ==, 0);
    g_assert_cmpint(total(qts, "control-writes-direct"), ==, 12);
    qtest_quit(qts);
}

/* The machine has all statistics, which are the sums of its vCPUs'. */
static void check_sums(QList *vm, QList *vcpus)
{
    g_assert_cmpuint(qlist_size(vm), ==, 1);
    g_assert_false(qdict_haskey(nth(vm, 0), "qom-path"));
    g_assert_cmpuint(qlist_size(vcpus), ==, 2);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(nth(vm, 0), "stats")), ==,
                     G_N_ELEMENTS(names));
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        QDict *entry = nth(qdict_get_qlist(nth(vm, 0), "stats"), i);

        g_assert_cmpstr(qdict_get_str(entry, "name"), ==, names[i]);
        g_assert_cmpint(statistic(nth(vm, 0), names[i]), >=, 0);
        g_assert_cmpint(statistic(nth(vm, 0), names[i]), ==,
                        statistic(nth(vcpus, 0), names[i]) +
                        statistic(nth(vcpus, 1), names[i]));
    }
}

static void test_stats_filter(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all,"
                                 "pmu-host-gp=1 -smp 2");
    g_autoptr(QDict) info = query(qts);
    g_autoptr(QList) vm = NULL, vcpus = NULL;
    const char *path0 = qdict_get_str(vcpu(info, 0), "qom-path");
    const char *path = qdict_get_str(vcpu(info, 1), "qom-path");
    g_autofree char *only = g_strdup_printf("'target': 'vcpu',"
                                            "'vcpus': [ '%s' ]", path);
    g_autoptr(QDict) rsp = NULL;
    QDict *one;

    enable(qts, 0, 0x0f, 1);
    enable(qts, 1, 0x03, 0);
    wrmsr(qts, 1, GLOBAL_CTRL, 0);
    wrmsr(qts, 1, GLOBAL_CTRL, 3);
    vm = query_stats(qts, "'target': 'vm'");
    vcpus = query_stats(qts, "'target': 'vcpu'");
    check_sums(vm, vcpus);
    g_assert_cmpint(statistic(result_of(vcpus, path0), "hand-overs"), ==, 5);
    g_assert_cmpint(statistic(result_of(vcpus, path), "hand-overs"), ==, 2);
    g_assert_cmpint(statistic(result_of(vcpus, path), "reuses"), ==, 2);
    qobject_unref(vcpus);

    vcpus = query_stats(qts, only);
    g_assert_cmpuint(qlist_size(vcpus), ==, 1);
    g_assert_cmpstr(qdict_get_str(nth(vcpus, 0), "qom-path"), ==, path);
    g_assert_cmpint(statistic(nth(vcpus, 0), "reuses"), ==, 2);
    qobject_unref(vcpus);
    vcpus = query_stats(qts, "'target': 'vcpu', 'vcpus': [ '/nobody' ]");
    g_assert_true(qlist_empty(vcpus));

    rsp = qtest_qmp(qts, "{ 'execute': 'query-stats', 'arguments': {"
                    "  'target': 'vcpu', 'providers': [ {"
                    "  'provider': 'vpmu', 'names': [ 'moves', 'reuses' ] }"
                    "  ] } }");
    one = result_of(qdict_get_qlist(rsp, "return"), path);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(one, "stats")), ==, 2);
    g_assert_cmpint(statistic(one, "moves"), ==, 0);
    g_assert_cmpint(statistic(one, "reuses"), ==, 2);
    qtest_quit(qts);

    /* A machine without a PMU has no statistics. */
    qts = qtest_init(ARGS "-cpu " INTEL);
    qobject_unref(vm);
    vm = query_stats(qts, "'target': 'vm'");
    g_assert_true(qlist_empty(vm));
    qtest_quit(qts);
}

static void test_stats_schema(void)
{
    QTestState *qts = qtest_init(HANDOVER);
    g_autoptr(QDict) rsp = qtest_qmp(qts, "{ 'execute':"
                                     "  'query-stats-schemas', 'arguments':"
                                     "  { 'provider': 'vpmu' } }");
    QList *schemas = qdict_get_qlist(rsp, "return");

    g_assert_cmpuint(qlist_size(schemas), ==, 2);
    g_assert_cmpstr(qdict_get_str(nth(schemas, 0), "target"), !=,
                    qdict_get_str(nth(schemas, 1), "target"));
    for (unsigned i = 0; i < 2; i++) {
        QList *stats = qdict_get_qlist(nth(schemas, i), "stats");

        g_assert_cmpuint(qlist_size(stats), ==, G_N_ELEMENTS(names));
        for (unsigned k = 0; k < G_N_ELEMENTS(names); k++) {
            QDict *entry = nth(stats, k);
            const char *unit = qdict_get_try_str(entry, "unit");
            bool ns = g_str_has_suffix(names[k], "-ns");

            g_assert_cmpstr(qdict_get_str(entry, "name"), ==, names[k]);
            g_assert_cmpstr(qdict_get_str(entry, "type"), ==, "cumulative");
            g_assert_cmpstr(unit, ==, ns ? "seconds" :
                            strstr(names[k], "bytes") ? "bytes" : NULL);
            g_assert_cmpint(qdict_get_int(entry, "exponent"), ==, ns ? -9 : 0);
            g_assert_cmpint(qdict_get_try_int(entry, "base", 0), ==,
                            ns ? 10 : 0);
        }
    }
    qtest_quit(qts);
}

/* starved-ns grows while a counter starves, and only then. */
static void test_starved_time(void)
{
    g_autoptr(File) rom = rom_new(HALT_CODE, sizeof(HALT_CODE));
    QTestState *qts = qtest_initf(HANDOVER ",pmu-visible=all -bios %s",
                                  rom->path);
    g_autoptr(QDict) rsp = NULL;
    int64_t begin, starved;

    enable(qts, 0, 0xff, 1);
    run_for(qts, 20);
    g_assert_cmpint(total(qts, "starved-ns"), ==, 0);

    rsp = reserve(qts, RESERVE("'gp': 2, 'force': true"), "gp 6, gp 7");
    g_assert_cmpint(total(qts, "starved-ns"), ==, 0);
    begin = g_get_monotonic_time();
    run_for(qts, 20);
    starved = total(qts, "starved-ns");
    /* Two counters, for at least the time that the guest was to run. */
    g_assert_cmpint(starved, >=, 2 * 20 * 1000000);
    g_assert_cmpint(starved, <=,
                    2 * 1000 * (g_get_monotonic_time() - begin));
    g_assert_cmpint(starved % 2, ==, 0);
    /* It does not grow while the machine is stopped. */
    g_usleep(5000);
    g_assert_cmpint(total(qts, "starved-ns"), ==, starved);

    /* A disabled counter does not starve. */
    wrmsr(qts, 0, GLOBAL_CTRL, 0x3f);
    run_for(qts, 20);
    g_assert_cmpint(total(qts, "starved-ns"), ==, starved);
    wrmsr(qts, 0, GLOBAL_CTRL, 0xff);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    run_for(qts, 20);
    g_assert_cmpint(total(qts, "starved-ns"), ==, starved);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    if (!test_init(&argc, &argv)) {
        return 0;
    }
    qtest_add_func("vpmu-stats/writes", test_stats);
    qtest_add_func("vpmu-stats/moves", test_stats_move);
    qtest_add_func("vpmu-stats/slice", test_stats_slice);
    qtest_add_func("vpmu-stats/plain", test_stats_plain);
    qtest_add_func("vpmu-stats/filter", test_stats_filter);
    qtest_add_func("vpmu-stats/schema", test_stats_schema);
    qtest_add_func("vpmu-stats/starved-time", test_starved_time);
    return g_test_run();
}
