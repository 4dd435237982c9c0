/*
 * Counters shared by guest and host: reservation, moves, host counters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "vpmu-test.h"

/* Events */

typedef struct Events {
    unsigned changed;
    unsigned starved;
    /* The data of the last one */
    QDict *data;
} Events;

static bool note_event(QTestState *qts, const char *name, QDict *event,
                       void *opaque)
{
    Events *events = opaque;
    bool changed = g_str_equal(name, "VPMU_RESERVATION_CHANGED");

    if (!changed && !g_str_equal(name, "VPMU_COUNTER_STARVED")) {
        return false;
    }
    if (changed) {
        events->changed++;
    } else {
        events->starved++;
    }
    qobject_unref(events->data);
    events->data = qdict_clone_shallow(qdict_get_qdict(event, "data"));
    return true;
}

static void watch_events(QTestState *qts, Events *events)
{
    qtest_qmp_set_event_callback(qts, note_event, events);
}

/* Reservation */

static void test_reserve_start(void)
{
    static const struct {
        const char *props;
        const char *set;
        const char *counters;
    } table[] = {
        { "", "0", "" },
        { ",pmu-host-gp=2", "2", "gp 6, gp 7" },
        { ",pmu-host-gp=3,pmu-host-order=low", "3", "gp 0, gp 1, gp 2" },
        { ",pmu-gp-counters=4,pmu-host-gp=1,pmu-host-fixed=2:0", "1:0,2",
          "gp 3, fixed 0, fixed 2" },
        { ",pmu-visible=all,pmu-host-gp=8,pmu-host-fixed=0:1:2", "8:0,1,2",
          "gp 0, gp 1, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7, "
          "fixed 0, fixed 1, fixed 2" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(HANDOVER "%s -smp 2", table[i].props);
        g_autoptr(QDict) info = query(qts);

        g_assert_true(qdict_get_bool(info, "passthrough"));
        g_assert_cmpint(qdict_get_int(info, "slice-ms"), ==, 10);
        assert_set(info, "reserved", table[i].set);
        for (unsigned cpu = 0; cpu < 2; cpu++) {
            QDict *one = vcpu(info, cpu);

            assert_set(one, "in-use", "0");
            assert_ids(one, "host-counters", table[i].counters);
        }
        qtest_quit(qts);
    }
}

static void test_reserve(void)
{
    QTestState *qts = qtest_init(HANDOVER ",pmu-visible=all -smp 2");
    Events events = {};

    watch_events(qts, &events);
    reserve_quietly(qts, RESERVE("'gp': 2"), "gp 6, gp 7");
    g_assert_cmpuint(events.changed, ==, 1);
    assert_set(events.data, "reserved", "2");
    /* The same again is no change. */
    reserve_quietly(qts, RESERVE("'gp': 2, 'fixed': [], 'force': true"),
                    "gp 6, gp 7");
    g_assert_cmpuint(events.changed, ==, 1);
    /* A reservation replaces the one before. */
    reserve_quietly(qts, RESERVE("'gp': 1, 'fixed': [2, 0]"),
                    "gp 7, fixed 0, fixed 2");
    g_assert_cmpuint(events.changed, ==, 2);
    assert_set(events.data, "reserved", "1:0,2");
    reserve_quietly(qts, RESERVE("'gp': 1, 'fixed': [1]"), "gp 7, fixed 1");
    g_assert_cmpuint(events.changed, ==, 3);
    reserve_quietly(qts, RESERVE("'gp': 8, 'fixed': [0, 1, 2]"),
                    "gp 0, gp 1, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7, "
                    "fixed 0, fixed 1, fixed 2");
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    g_assert_cmpuint(events.changed, ==, 5);
    assert_set(events.data, "reserved", "0");
    g_assert_cmpuint(events.starved, ==, 0);
    qobject_unref(events.data);
    qtest_quit(qts);
}

/* Counters that the guest counts with are taken last, and it gets others. */
static void test_move(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all");

    enable(qts, 0, 0xc1, 0);
    assert_counter(qts, 0, 7, "fast", 7);
    reserve_quietly(qts, RESERVE("'gp': 5"),
                    "gp 1, gp 2, gp 3, gp 4, gp 5");
    assert_counter(qts, 0, 0, "fast", 0);
    assert_counter(qts, 0, 7, "fast", 7);

    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    enable(qts, 0, 0xf0, 0);
    /* Idle vPMCs yield: 0 has a counter and does not use it. */
    assert_counter(qts, 0, 0, "idle", 0);
    reserve_quietly(qts, RESERVE("'gp': 4"), "gp 0, gp 1, gp 2, gp 3");
    assert_counter(qts, 0, 0, "idle", -1);
    assert_values(qts, 0, 0xf1, 0);

    /* A vPMC that comes back gets its own if that is free, else another. */
    wrmsr(qts, 0, GLOBAL_CTRL, 0x71);
    assert_counter(qts, 0, 0, "slow", 7);
    assert_counter(qts, 0, 7, "idle", -1);
    wrmsr(qts, 0, GLOBAL_CTRL, 0xf1);
    assert_counter(qts, 0, 7, "starved", -1);
    assert_values(qts, 0, 0xf1, 0);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_counter(qts, 0, 0, "fast", 0);
    assert_counter(qts, 0, 7, "fast", 7);
    assert_values(qts, 0, 0xf1, 0);
    qtest_quit(qts);
}

/* A counter that runs moves with its value, and moves back afterwards. */
static void test_move_home(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all -smp 2");
    g_autoptr(QDict) rsp = NULL;

    /* All are in use on one CPU or the other, and each CPU has room. */
    enable(qts, 0, 0xc0, 7);
    enable(qts, 1, 0x3f, 0);
    rsp = reserve(qts, RESERVE("'gp': 2"), "gp 6, gp 7");
    g_assert_true(qlist_empty(qdict_get_qlist(rsp, "displaced")));
    assert_counter(qts, 0, 6, "slow", 5);
    assert_counter(qts, 0, 7, "slow", 4);
    assert_counter(qts, 0, 8, "fast", 0);
    for (unsigned i = 0; i < 6; i++) {
        assert_counter(qts, 1, i, "fast", i);
    }
    assert_values(qts, 0, 0xc0, 7);
    assert_values(qts, 1, 0x3f, 0);

    /* A value is written to the counter where it is now. */
    wrmsr(qts, 0, PMC0 + 6, 42);
    g_assert_cmpuint(rdpmc(qts, 0, 6), ==, 42);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_counter(qts, 0, 6, "fast", 6);
    assert_counter(qts, 0, 7, "fast", 7);
    g_assert_cmpuint(rdpmc(qts, 0, 6), ==, 42);
    assert_values(qts, 0, 0x80, 7);
    qtest_quit(qts);
}

/* Low order makes all of the guest's counters cross-mapped. */
static void test_low(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-host-gp=4,"
                                 "pmu-host-order=low");

    g_assert_cmpuint(cpuid(qts, 0xa, 0) >> 8 & 0xff, ==, 4);
    enable(qts, 0, 0xf, 1);
    for (unsigned i = 0; i < 4; i++) {
        assert_counter(qts, 0, i, "slow", 7 - i);
    }
    assert_counter(qts, 0, 4, "fast", 0);
    assert_values(qts, 0, 0xf, 1);
    /* Status bits have the guest's numbers. */
    wrmsr(qts, 0, GLOBAL_STATUS_SET, 1);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 1);
    qtest_quit(qts);
}

static void test_starve(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all -smp 2");
    Events events = {};
    g_autoptr(QDict) rsp = NULL;
    g_autoptr(QDict) info = NULL;
    QDict *displaced, *c;
    const char *path;

    watch_events(qts, &events);
    enable(qts, 1, 0xff, 5);
    assert_refused(qts, RESERVE("'gp': 2, 'fixed': [1]"),
                   "CPU 1 counts with gp 6, gp 7;");
    assert_refused(qts, RESERVE("'gp': 1, 'fixed': [0, 2], 'force': false"),
                   "CPU 1 counts with gp 7, fixed 0, fixed 2; reserve fewer, "
                   "wait, or take them with force");
    g_assert_cmpuint(events.changed + events.starved, ==, 0);

    rsp = reserve(qts, RESERVE("'gp': 1, 'fixed': [0, 1], 'force': true"),
                  "gp 7, fixed 0, fixed 1");
    info = query(qts);
    path = qdict_get_str(vcpu(info, 1), "qom-path");
    g_assert_cmpuint(qlist_size(qdict_get_qlist(rsp, "displaced")), ==, 1);
    displaced = nth(qdict_get_qlist(rsp, "displaced"), 0);
    g_assert_cmpint(qdict_get_int(displaced, "cpu-index"), ==, 1);
    g_assert_cmpstr(qdict_get_str(displaced, "qom-path"), ==, path);
    assert_ids(displaced, "counters", "gp 7, fixed 0");
    g_assert_cmpuint(events.changed, ==, 1);
    g_assert_cmpuint(events.starved, ==, 1);
    assert_set(events.data, "reserved", "1:0,1");

    assert_counter(qts, 1, 7, "starved", -1);
    assert_counter(qts, 1, 8, "starved", -1);
    assert_counter(qts, 1, 6, "fast", 6);
    c = counter(info, 1, 7);
    g_assert_cmpstr(qdict_get_str(c, "owner"), ==, "host");
    g_assert_true(qdict_get_bool(c, "enabled"));
    assert_set(vcpu(info, 1), "in-use", "7:2");
    assert_values(qts, 1, 0xff, 5);

    /* A starved counter can be written and keeps what is written. */
    wrmsr(qts, 1, PMC0 + 7, 4711);
    g_assert_cmpuint(rdmsr(qts, 1, PERFCTR0 + 7), ==, 4711);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_counter(qts, 1, 7, "fast", 7);
    assert_counter(qts, 1, 8, "fast", 0);
    g_assert_cmpuint(rdmsr(qts, 1, PMC0 + 7), ==, 4711);
    assert_values(qts, 1, 0x7f, 5);
    qobject_unref(events.data);
    qtest_quit(qts);
}

/* The event names the counters; a disabled one makes room for others. */
static void test_starve_event(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all,"
                                 "pmu-host-gp=6,pmu-host-fixed=1");
    g_autoptr(QDict) info = query(qts);
    g_autoptr(QDict) event = NULL;
    QDict *data;

    /* GP 0 and 1 fill the two that are left. */
    enable(qts, 0, 3, 2);
    event = qtest_qmp_eventwait_ref(qts, "VPMU_COUNTER_STARVED");
    data = qdict_get_qdict(event, "data");
    g_assert_cmpint(qdict_get_int(data, "cpu-index"), ==, 0);
    g_assert_cmpstr(qdict_get_str(data, "qom-path"), ==,
                    qdict_get_str(vcpu(info, 0), "qom-path"));
    assert_ids(data, "counters", "fixed 1");
    enable(qts, 0, 0xf, 0);
    assert_counter(qts, 0, 2, "starved", -1);
    assert_counter(qts, 0, 3, "starved", -1);
    wrmsr(qts, 0, GLOBAL_CTRL, 0xe);
    assert_counter(qts, 0, 0, "idle", -1);
    assert_counter(qts, 0, 1, "fast", 1);
    assert_counter(qts, 0, 2, "slow", 0);
    assert_counter(qts, 0, 3, "starved", -1);
    assert_values(qts, 0, 0xf, 0);
    qtest_quit(qts);
}

/* One event a second and CPU; it names all that were starved until then. */
static void test_event_rate(void)
{
    QTestState *qts = qtest_init(HANDOVER ",pmu-visible=all,"
                                 "pmu-host-gp=8 -smp 2");
    Events events = {};
    int64_t begin = g_get_monotonic_time();

    watch_events(qts, &events);
    enable(qts, 0, 1, 0);
    enable(qts, 0, 2, 0);
    enable(qts, 0, 4, 0);
    enable(qts, 1, 8, 0);
    qobject_unref(query(qts));
    if (g_get_monotonic_time() - begin < 900000) {
        g_assert_cmpuint(events.starved, ==, 2);
        g_assert_cmpint(qdict_get_int(events.data, "cpu-index"), ==, 1);
    }
    while (events.starved < 3) {
        qobject_unref(query(qts));
        g_usleep(10000);
    }
    g_assert_cmpint(g_get_monotonic_time() - begin, >=, 1000000);
    g_assert_cmpint(qdict_get_int(events.data, "cpu-index"), ==, 0);
    assert_ids(events.data, "counters", "gp 0, gp 1, gp 2");
    qobject_unref(events.data);
    qtest_quit(qts);
}

/* A reservation that one CPU refuses leaves the others as they were. */
static void test_all_or_none(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all -smp 3");
    Events events = {};

    watch_events(qts, &events);
    enable(qts, 1, 0xff, 0);
    /* CPU 0 would have to move a counter, CPU 2 to give up an idle one. */
    enable(qts, 0, 0xf0, 0);
    enable(qts, 2, 0xff, 0);
    wrmsr(qts, 2, GLOBAL_CTRL, 0);
    assert_refused(qts, RESERVE("'gp': 1"), "CPU 1 counts with gp 7;");
    assert_stats(qts, 20, 0, 0, 0, 0);
    enable(qts, 0, 0xff, 2);
    assert_refused(qts, RESERVE("'gp': 2, 'fixed': [1]"),
                   "CPU 0 counts with gp 6, gp 7, fixed 1; CPU 1 counts with "
                   "gp 6, gp 7;");
    g_assert_cmpuint(events.changed + events.starved, ==, 0);
    qtest_quit(qts);
}

static void test_hotplug(void)
{
    g_autofree char *plug = plug_command(NULL);

    for (unsigned all = 0; all < 2; all++) {
        QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-visible=%s "
                                      "-smp 1,sockets=2,maxcpus=2",
                                      all ? "all" : "granted");
        g_autoptr(QDict) info = NULL;
        QDict *host;

        reserve_quietly(qts, RESERVE("'gp': 2, 'fixed': [1]"),
                        "gp 6, gp 7, fixed 1");
        host_count(qts, "gp", 7, "'event': 'branches', 'kernel': false");
        qtest_qmp_assert_success(qts, plug, NULL);
        info = query(qts);
        assert_ids(vcpu(info, 1), "host-counters", "gp 6, gp 7, fixed 1");
        host = nth(qdict_get_qlist(vcpu(info, 1), "host-counters"), 1);
        g_assert_cmpstr(qdict_get_str(qdict_get_qdict(host, "event"), "name"),
                        ==, "branches");
        g_assert_true(qdict_get_bool(host, "user"));
        g_assert_false(qdict_get_bool(host, "kernel"));
        enable(qts, 1, 0xff, 2);
        assert_counter(qts, 1, 5, "fast", 5);
        assert_counter(qts, 1, 6, "starved", -1);
        assert_counter(qts, 1, 9, "starved", -1);
        reserve_quietly(qts, RESERVE("'gp': 0"), "");
        assert_counter(qts, 1, 6, "fast", 6);
        assert_values(qts, 1, 0xff, 2);
        qtest_quit(qts);
    }
}

/* Host counters */

/* Guest and operator count the same instructions at the same time. */
static void test_count(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-visible=all,"
                                  "pmu-host-gp=3,pmu-host-fixed=1,"
                                  "pmu-host-order=low -bios %s", rom->path);
    g_autoptr(QDict) info = NULL;
    QList *host;

    enable(qts, 0, 0x81, 1);
    wrmsr(qts, 0, PERFEVTSEL0 + 7, ENABLE | BRANCHES);
    host_count(qts, "gp", 0, "'event': 'instructions'");
    host_count(qts, "gp", 1, "'event': 'branches', 'user': false");
    host_count(qts, "gp", 2, "'event': 'instructions', 'kernel': false");
    host_count(qts, "fixed", 1, "'event': 'cycles'");
    wait_halted(qts, 0, LOOP_INSNS);
    g_assert_cmpuint(host_value(qts, 0, 1), ==, LOOPS);
    g_assert_cmpuint(host_value(qts, 0, 2), ==, 0);
    g_assert_cmpuint(host_value(qts, 0, 3), ==, LOOP_INSNS);
    assert_counter(qts, 0, 0, "slow", 6);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, value_of(0, 0) + LOOP_INSNS);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 7), ==, value_of(0, 7) + LOOPS);
    g_assert_cmphex(rdmsr(qts, 0, FIXED_CTR0), ==,
                    value_of(0, 8) + LOOP_INSNS);

    /* What the guest does to its PMU does not affect the host's counters. */
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    qtest_system_reset(qts);
    wait_halted(qts, 0, 2 * LOOP_INSNS);
    g_assert_cmpuint(host_value(qts, 0, 1), ==, 2 * LOOPS);

    /* A counter that is set again starts at 0; one that is off has no value. */
    host_count(qts, "gp", 1, "'event': 'instructions'");
    host_count(qts, "gp", 0, NULL);
    g_assert_cmpuint(host_value(qts, 0, 1), ==, 0);
    info = query(qts);
    host = qdict_get_qlist(vcpu(info, 0), "host-counters");
    g_assert_false(qdict_haskey(nth(host, 0), "event"));
    g_assert_false(qdict_get_bool(nth(host, 0), "user"));
    g_assert_cmpuint(qdict_get_int(nth(host, 0), "value"), ==, 0);
    g_assert_true(qdict_get_bool(nth(host, 1), "user"));
    g_assert_true(qdict_get_bool(nth(host, 1), "kernel"));

    /* A counter that was given back is off, and has only the guest's value. */
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    reserve_quietly(qts, RESERVE("'gp': 3, 'fixed': [1]"),
                    "gp 0, gp 1, gp 2, fixed 1");
    qobject_unref(info);
    info = query(qts);
    host = qdict_get_qlist(vcpu(info, 0), "host-counters");
    for (unsigned i = 0; i < 4; i++) {
        g_assert_false(qdict_haskey(nth(host, i), "event"));
    }
    enable(qts, 0, 0x01, 0);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_counter(qts, 0, 0, "fast", 0);
    assert_values(qts, 0, 1, 0);
    qtest_quit(qts);
}

/* Overflows are the guest's, by its own numbers. */
static void test_overflow(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-host-gp=4,"
                                  "pmu-host-order=low -bios %s", rom->path);

    host_count(qts, "gp", 0, "'event': 'branches'");
    enable(qts, 0, 7, 0);
    assert_counter(qts, 0, 0, "slow", 7);
    assert_counter(qts, 0, 1, "slow", 6);
    wrmsr(qts, 0, PMC0, (1ull << 48) - 500);
    wrmsr(qts, 0, PMC0 + 2, (1ull << 48) - LOOP_INSNS - 1);
    wrmsr(qts, 0, PERFEVTSEL0, ENABLE | 1 << 20 | INSTRUCTIONS);
    wait_halted(qts, 0, LOOPS);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 1);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, LOOP_INSNS - 500);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 1), ==, value_of(0, 1) + LOOP_INSNS);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 2), ==, (1ull << 48) - 1);
    g_assert_cmpint(total(qts, "pmis"), ==, 1);
    qtest_quit(qts);
}

/* An edge counter keeps its state in a move, and is low after it was off. */
static void test_edge(void)
{
    g_autoptr(File) rom = rom_new(SPIN_CODE, sizeof(SPIN_CODE));
    QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-visible=all -smp 2 "
                                  "-bios %s", rom->path);
    g_autoptr(QDict) rsp = NULL;

    wrmsr(qts, 0, PERFEVTSEL0 + 7, ENABLE | 1 << 18 | INSTRUCTIONS);
    wrmsr(qts, 0, GLOBAL_CTRL, 0x80);
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 1);
    reserve_quietly(qts, RESERVE("'gp': 0, 'fixed': [ 1 ]"), "fixed 1");
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 1);
    /* Disabled while it had a counter. */
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    wrmsr(qts, 0, GLOBAL_CTRL, 0x80);
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 2);
    /* Moved, starved for a while. */
    enable(qts, 1, 0x7f, 0);
    reserve_quietly(qts, RESERVE("'gp': 1"), "gp 7");
    assert_counter(qts, 0, 7, "slow", 6);
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 2);
    rsp = reserve(qts, RESERVE("'gp': 8, 'force': true"),
                  "gp 0, gp 1, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7");
    qobject_unref(rsp);
    run_for(qts, 5);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 2);
    /* Disabled while it was starved. */
    rsp = reserve(qts, RESERVE("'gp': 8, 'force': true"),
                  "gp 0, gp 1, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7");
    wrmsr(qts, 0, GLOBAL_CTRL, 0);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    wrmsr(qts, 0, GLOBAL_CTRL, 0x80);
    run_for(qts, 5);
    g_assert_cmpuint(rdmsr(qts, 0, PMC0 + 7), ==, 3);
    qtest_quit(qts);
}

/* Counters move while the guest runs, and none loses an instruction. */
static void check_moving(const char *args)
{
    g_autoptr(File) rom = rom_new(SPIN_CODE, sizeof(SPIN_CODE));
    QTestState *qts = qtest_initf(HANDOVER ",pmu-visible=all,pmu-host-fixed=1 "
                                  "-bios %s%s", rom->path, args);
    unsigned slow = 0;

    enable(qts, 0, 0x88, 1);
    wrmsr(qts, 0, PMC0 + 3, 0);
    wrmsr(qts, 0, PMC0 + 7, 0);
    wrmsr(qts, 0, FIXED_CTR0, 0);
    host_count(qts, "fixed", 1, "'event': 'cycles'");
    cont(qts);
    for (unsigned i = 0; i < 100; i++) {
        g_autofree char *command =
            g_strdup_printf(RESERVE("'gp': %d, 'fixed': [ 1 ]"),
                            g_test_rand_int_range(0, 7));
        g_autoptr(QDict) info = NULL;
        int64_t value;

        qtest_qmp_assert_success(qts, command, NULL);
        info = query(qts);
        value = qdict_get_int(counter(info, 0, 8), "value");
        g_assert_cmpint(qdict_get_int(counter(info, 0, 3), "value"), ==,
                        value);
        g_assert_cmpint(qdict_get_int(counter(info, 0, 7), "value"), ==,
                        value);
        slow += g_str_equal(qdict_get_str(counter(info, 0, 7), "path"),
                            "slow");
    }
    stop(qts);
    reserve_quietly(qts, RESERVE("'gp': 0, 'fixed': [ 1 ]"), "fixed 1");
    g_assert_cmpint(host_value(qts, 0, 0), >, 1000);
    g_assert_cmpint(rdmsr(qts, 0, PMC0 + 7), ==, host_value(qts, 0, 0));
    g_test_message("slow %u times, %" PRId64 " moves", slow,
                   total(qts, "moves"));
    g_assert_cmpint(total(qts, "starved-ns"), ==, 0);
    qtest_quit(qts);
}

static void test_count_moving(void)
{
    check_moving("");
    check_moving(" -smp 2 -icount shift=0");
}

/* Errors */

static const struct {
    const char *command;
    const char *text;
} bad_commands[] = {
    { RESERVE("'gp': 7"), "gp=7 is more than the 6 general-purpose "
      "counters that there are: use 0 to 6" },
    { RESERVE("'gp': 255"), "gp=255 is more" },
    { RESERVE("'gp': 256"), "uint8" },
    { RESERVE("'gp': -1"), "uint8" },
    { RESERVE("'fixed': [ 0 ]"), "'gp' is missing" },
    { RESERVE("'gp': 1, 'fixed': [ 3 ]"),
      "there is no fixed counter 3: use 0 to 2" },
    { RESERVE("'gp': 1, 'fixed': [ 0, 255 ]"),
      "there is no fixed counter 255: use 0 to 2" },
    { RESERVE("'gp': 1, 'fixed': [ 256 ]"), "uint8" },
    { RESERVE("'gp': 1, 'fixed': [ 2, 0, 2 ]"),
      "fixed counter 2 is named twice: name it once" },
    { COUNT("'type': 'gp', 'index': 6, 'event': 'branches'"),
      "there is no gp counter 6: use 0 to 5" },
    { COUNT("'type': 'fixed', 'index': 3"),
      "there is no fixed counter 3: use 0 to 2" },
    { COUNT("'type': 'fixed', 'index': 255"),
      "there is no fixed counter 255: use 0 to 2" },
    { COUNT("'type': 'gp', 'index': 4, 'event': 'branches'"),
      "gp counter 4 is not reserved for the host: reserve counters with "
      "vpmu-reserve-host-counters" },
    { COUNT("'type': 'gp', 'index': 4"), "gp counter 4 is not reserved" },
    { COUNT("'type': 'fixed', 'index': 0, 'event': 'instructions'"),
      "fixed counter 0 is not reserved for the host" },
    { COUNT("'type': 'gp', 'index': 5, 'event': 'branchs'"),
      "there is no event 'branchs' for general-purpose counters: "
      "query-vpmu has the names" },
    { COUNT("'type': 'gp', 'index': 5, 'event': ''"),
      "there is no event ''" },
    { COUNT("'type': 'gp', 'index': 5, 'event': 'ref-cycles'"),
      "there is no event 'ref-cycles' for general-purpose counters" },
    { COUNT("'type': 'gp', 'index': 5, 'event': 'cache-misses'"),
      "there is no event 'cache-misses'" },
    { COUNT("'type': 'fixed', 'index': 2, 'event': 'branches'"),
      "fixed counter 2 counts 'ref-cycles' only, not 'branches'" },
    { COUNT("'type': 'gp', 'index': 5, 'event': 'branches',"
            "'user': false, 'kernel': false"),
      "user and kernel are both false: set one of them" },
    { COUNT("'type': 'gpp', 'index': 5"), "gpp" },
};

static void test_errors(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-gp-counters=6,"
                                 "pmu-host-gp=1,pmu-host-fixed=2,"
                                 "pmu-visible=all -smp 2");
    Events events = {};

    /* Counters that a command could disturb */
    enable(qts, 0, 0x31, 1);
    enable(qts, 1, 0x3f, 0);
    host_count(qts, "gp", 5, "'event': 'branches'");
    watch_events(qts, &events);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad_commands); i++) {
        assert_refused(qts, bad_commands[i].command, bad_commands[i].text);
    }
    g_assert_cmpuint(events.changed + events.starved, ==, 0);
    qtest_quit(qts);
}

/* Machines on which nothing can be reserved. */
static void test_errors_machine(void)
{
    static const struct {
        const char *args;
        const char *text;
    } table[] = {
        { "-accel tcg -machine none", "the machine has no CPU yet" },
        { "-accel tcg -machine pc -cpu " INTEL, "the guest has no PMU" },
        { "-accel tcg -machine pc -cpu " INTEL ",pmu=off",
          "the guest has no PMU" },
        { "-accel tcg -machine pc -cpu Dhyana,pmu-passthrough=auto",
          "GenuineIntel" },
        { "-accel tcg -machine pc -cpu " INTEL ",pmu=on",
          "start with pmu-passthrough=on in -cpu" },
        { "-machine pc", "this accelerator has no virtual PMU" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf("-S -nodefaults %s 2>/dev/null",
                                      table[i].args);

        g_test_message("%s", table[i].args);
        assert_refused(qts, RESERVE("'gp': 0"), table[i].text);
        assert_refused(qts, RESERVE("'gp': 1, 'fixed': [ 0 ]"), table[i].text);
        assert_refused(qts, COUNT("'type': 'gp', 'index': 7"), table[i].text);
        qtest_quit(qts);
    }
}

static void test_errors_migration(void)
{
    g_autoptr(File) file = file_new("slow");
    QTestState *qts = qtest_init(HANDOVER ",pmu-visible=all");

    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate-set-parameters',"
                             "  'arguments': { 'max-bandwidth': 1000,"
                             "                 'downtime-limit': 0 } }");
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", file->uri);
    wait_status(qts, "active", "completed");
    assert_refused(qts, RESERVE("'gp': 1"), "a migration is running: wait "
                   "for its end, or use migrate_cancel");
    assert_refused(qts, RESERVE("'gp': 1, 'force': true"),
                   "a migration is running");
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate_cancel' }");
    wait_status(qts, "cancelled", "completed");
    reserve_quietly(qts, RESERVE("'gp': 1"), "gp 7");
    qtest_quit(qts);

    qts = qtest_init(HANDOVER " -incoming defer");
    assert_refused(qts, RESERVE("'gp': 1"),
                   "the machine waits for an incoming migration: wait "
                   "for its end");
    qtest_quit(qts);
}

/* CPU 0 has another CPU start at 0xff000, where HLT is. */
static const uint8_t start_code[] = {
    /* movl $0xc4500, 0xfee00300: INIT to all other CPUs */
    0x67, 0x66, 0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0x00, 0x45, 0x0c, 0x00,
    /* movl $0xc46ff, 0xfee00300: STARTUP */
    0x67, 0x66, 0xc7, 0x05, 0x00, 0x03, 0xe0, 0xfe, 0xff, 0x46, 0x0c, 0x00,
};

/* Until the other CPU has executed it: it is at its new place before that. */
static void wait_started(QTestState *qts)
{
    for (;;) {
        g_autofree char *text = NULL;
        const char *other;

        run_for(qts, 10);
        text = qtest_hmp(qts, "info registers -a");
        other = strstr(text, "CPU#1");
        g_assert_nonnull(other);
        if (strstr(other, "CS =ff00") && strstr(other, "HLT=1")) {
            return;
        }
    }
}

/*
 * Commands that are still waiting when the emulator quits are executed while it
 * cleans up.  An emulator with the sanitizer of addresses reports what these
 * read after it was freed, by its exit status.
 */
static void quit_with_commands(void)
{
    QTestState *qts = qtest_init(HANDOVER);

    for (unsigned i = 0; i < 200; i++) {
        qtest_qmp_send_raw(qts, "{ 'execute': 'vpmu-reserve-host-counters',"
                           " 'arguments': { 'gp': %u } }", i % 2);
    }
    g_assert_cmpint(kill(qtest_pid(qts), SIGTERM), ==, 0);
    qtest_wait_qemu(qts);
    qtest_quit(qts);
}

/* Whether one is still waiting is a matter of the moment. */
static void test_errors_quit(void)
{
    for (unsigned i = 0; i < 20; i++) {
        quit_with_commands();
    }
}

/* INIT keeps the guest's counters and the host's, and what backs which. */
static void test_cpu_init(void)
{
    g_autoptr(File) rom = rom_new(start_code, sizeof(start_code));
    QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-visible=all,"
                                  "pmu-gp-counters=4,pmu-host-gp=1,"
                                  "pmu-host-order=low -smp 2 -bios %s",
                                  rom->path);
    Events events = {};

    /* One by one, so that vPMC 0 takes pPMC 3, and vPMC 3 finds none. */
    wrmsr(qts, 1, GLOBAL_CTRL, 0xf);
    for (unsigned i = 0; i < 4; i++) {
        wrmsr(qts, 1, PERFEVTSEL0 + i, ENABLE | INSTRUCTIONS);
        wrmsr(qts, 1, PMC0 + i, 100 * i);
    }
    host_count(qts, "gp", 0, "'event': 'instructions'");
    assert_counter(qts, 1, 0, "slow", 3);
    assert_counter(qts, 1, 3, "starved", -1);
    watch_events(qts, &events);
    wait_started(qts);

    assert_counter(qts, 1, 0, "slow", 3);
    assert_counter(qts, 1, 3, "starved", -1);
    g_assert_cmpuint(events.starved, ==, 0);
    /* All that this CPU has executed is HLT. */
    for (unsigned i = 0; i < 4; i++) {
        g_assert_cmpuint(rdmsr(qts, 1, PMC0 + i), ==,
                         100 * i + (i < 3 ? 1 : 0));
    }
    g_assert_cmpuint(host_value(qts, 1, 0), ==, 1);
    qtest_quit(qts);
}

/* HMP and the schema */

static void test_hmp(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all,"
                                 "pmu-host-gp=2,pmu-host-fixed=0");
    g_autofree char *text = NULL;

    enable(qts, 0, 0xff, 1);
    host_count(qts, "gp", 7, "'event': 'branches'");
    text = qtest_hmp(qts, "info vpmu");
    assert_contains(text, "reserved for the host: 2 general-purpose, fixed 0");
    assert_contains(text, "starved");
    assert_contains(text, "host");
    assert_contains(text, "branches");
    g_free(text);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    text = qtest_hmp(qts, "info vpmu");
    assert_contains(text,
                    "reserved for the host: 0 general-purpose, fixed none");
    g_assert_null(strstr(text, "starved"));
    g_free(text);
    text = qtest_hmp(qts, "info stats vm");
    assert_contains(text, "hand-overs");
    qtest_quit(qts);
}

static void test_schema(void)
{
    static const char *const unstable[] = {
        "query-vpmu", "vpmu-reserve-host-counters", "vpmu-host-counter-set",
        "VPMU_RESERVATION_CHANGED", "VPMU_COUNTER_STARVED",
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");
    g_autoptr(QDict) rsp = qtest_qmp(qts,
                                     "{ 'execute': 'query-qmp-schema' }");
    const QListEntry *entry;
    unsigned found = 0;

    QLIST_FOREACH_ENTRY(qdict_get_qlist(rsp, "return"), entry) {
        QDict *item = qobject_to(QDict, qlist_entry_obj(entry));

        for (unsigned i = 0; i < G_N_ELEMENTS(unstable); i++) {
            QList *features;

            if (!g_str_equal(qdict_get_str(item, "name"), unstable[i])) {
                continue;
            }
            features = qdict_get_qlist(item, "features");
            g_assert_nonnull(features);
            g_assert_cmpuint(qlist_size(features), ==, 1);
            g_assert_cmpstr(qstring_get_str(qobject_to(QString,
                                                       qlist_peek(features))),
                            ==, "unstable");
            found++;
        }
    }
    g_assert_cmpuint(found, ==, G_N_ELEMENTS(unstable));
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    if (!test_init(&argc, &argv)) {
        return 0;
    }
    qtest_add_func("vpmu-handover/reserve/start", test_reserve_start);
    qtest_add_func("vpmu-handover/reserve/run-time", test_reserve);
    qtest_add_func("vpmu-handover/reserve/move", test_move);
    qtest_add_func("vpmu-handover/reserve/move-home", test_move_home);
    qtest_add_func("vpmu-handover/reserve/low", test_low);
    qtest_add_func("vpmu-handover/reserve/starve", test_starve);
    qtest_add_func("vpmu-handover/reserve/event", test_starve_event);
    qtest_add_func("vpmu-handover/reserve/event-rate", test_event_rate);
    qtest_add_func("vpmu-handover/reserve/all-or-none", test_all_or_none);
    qtest_add_func("vpmu-handover/reserve/hotplug", test_hotplug);
    qtest_add_func("vpmu-handover/count/exact", test_count);
    qtest_add_func("vpmu-handover/count/overflow", test_overflow);
    qtest_add_func("vpmu-handover/count/edge", test_edge);
    qtest_add_func("vpmu-handover/count/moving", test_count_moving);
    qtest_add_func("vpmu-handover/errors/arguments", test_errors);
    qtest_add_func("vpmu-handover/errors/machine", test_errors_machine);
    qtest_add_func("vpmu-handover/errors/migration", test_errors_migration);
    qtest_add_func("vpmu-handover/errors/quit", test_errors_quit);
    qtest_add_func("vpmu-handover/init", test_cpu_init);
    qtest_add_func("vpmu-handover/hmp", test_hmp);
    qtest_add_func("vpmu-handover/schema", test_schema);
    return g_test_run();
}
