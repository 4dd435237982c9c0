/*
 * The virtual PMU from outside: registers, migration, QMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/vpmu tests what counters count, vpmu-config-test.c which PMU a command
 * line gives, vpmu-handover-test.c how counters are shared with the host.
 */
#include "qemu/osdep.h"
#include "vpmu-test.h"

/* Registers */

static const uint32_t single_msrs[] = {
    FIXED_CTR0, FIXED_CTR0 + 1, FIXED_CTR0 + 2, FIXED_CTR_CTRL, GLOBAL_STATUS,
    GLOBAL_CTRL, DEBUGCTL, MISC_ENABLE,
};

#define NR_REGISTERS    (16 + G_N_ELEMENTS(single_msrs))

static void read_all(QTestState *qts, unsigned cpu, uint64_t *values)
{
    for (unsigned i = 0; i < 8; i++) {
        values[2 * i] = rdmsr(qts, cpu, PMC0 + i);
        values[2 * i + 1] = rdmsr(qts, cpu, PERFEVTSEL0 + i);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(single_msrs); i++) {
        values[16 + i] = rdmsr(qts, cpu, single_msrs[i]);
    }
}

/* Give every register a value of its own. */
static void fill(QTestState *qts, unsigned cpu)
{
    uint64_t n = cpu + 1;

    for (unsigned i = 0; i < 8; i++) {
        g_assert_cmphex(wrmsr(qts, cpu, PMC0 + i, 0x123400000000 * n + i), ==,
                        0x123400000000 * n + i);
        wrmsr(qts, cpu, PERFEVTSEL0 + i, 0x5300c0 + (i << 24) + n);
    }
    for (unsigned j = 0; j < 3; j++) {
        wrmsr(qts, cpu, FIXED_CTR0 + j, 0x567800000000 * n + j);
    }
    wrmsr(qts, cpu, FIXED_CTR_CTRL, 0xb30 | n);
    wrmsr(qts, cpu, GLOBAL_CTRL, 0x7000000fe + (n & 1));
    wrmsr(qts, cpu, GLOBAL_STATUS_SET, 0x300000050 + n);
    wrmsr(qts, cpu, DEBUGCTL, 0x1000);
    wrmsr(qts, cpu, MISC_ENABLE, 0);
}

static void test_registers(void)
{
    QTestState *qts = qtest_init(ARGS "-cpu " INTEL ",pmu=on");
    static const struct {
        uint32_t msr;
        uint64_t value;
    } bad[] = {
        { PMC0, 1ull << 48 }, { PERFEVTSEL0, 1ull << 32 },
        { PERFEVTSEL0, 1 << 21 }, { FIXED_CTR0, 1ull << 48 },
        { FIXED_CTR0 + 3, 0 }, { FIXED_CTR_CTRL, 0x1000 },
        { FIXED_CTR_CTRL, 4 }, { GLOBAL_CTRL, 0x100 },
        { GLOBAL_CTRL, 0x800000000 }, { GLOBAL_STATUS, 0 },
        { GLOBAL_OVF_CTRL, 0x100 }, { GLOBAL_STATUS_SET, 1ull << 63 },
        { GLOBAL_INUSE, 0 }, { PERF_CAPABILITIES, 0 }, { DEBUGCTL, 1ull << 16 },
    };
    uint64_t before[NR_REGISTERS], after[NR_REGISTERS];

    fill(qts, 0);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 7), ==, 0x123400000007);
    g_assert_cmphex(rdmsr(qts, 0, PERFCTR0 + 7), ==, 0x123400000007);
    g_assert_cmphex(rdmsr(qts, 0, PERFEVTSEL0 + 7), ==, 0x75300c1);
    g_assert_cmphex(rdmsr(qts, 0, FIXED_CTR0 + 2), ==, 0x567800000002);
    g_assert_cmphex(rdmsr(qts, 0, FIXED_CTR_CTRL), ==, 0xb31);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_CTRL), ==, 0x7000000ff);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 0x300000051);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_INUSE), ==, 1ull << 63 | 0x7000000ff);
    g_assert_cmphex(rdmsr(qts, 0, DEBUGCTL), ==, 0x1000);
    g_assert_cmphex(rdmsr(qts, 0, MISC_ENABLE), ==, 0x880);
    wrmsr(qts, 0, GLOBAL_OVF_CTRL, 1);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 0x300000050);
    wrmsr(qts, 0, PERFCTR0, 0x80000000);
    g_assert_cmphex(rdmsr(qts, 0, PMC0), ==, 0xffff80000000);

    read_all(qts, 0, before);
    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_assert_cmphex(wrmsr(qts, 0, bad[i].msr, bad[i].value), ==, GP_FAULT);
    }
    read_all(qts, 0, after);
    g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
    qtest_quit(qts);
}

static void test_reset(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " INTEL ",pmu=on");
    uint64_t before[2][NR_REGISTERS], after[2][NR_REGISTERS];

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        read_all(qts, cpu, before[cpu]);
        g_assert_cmphex(rdmsr(qts, cpu, GLOBAL_CTRL), ==, 0xff);
        fill(qts, cpu);
    }
    qtest_system_reset(qts);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        read_all(qts, cpu, after[cpu]);
        g_assert_cmphex(rdmsr(qts, cpu, GLOBAL_INUSE), ==, 0);
    }
    g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
    qtest_quit(qts);
}

/* Migration */

static bool stream_has_section(const File *file)
{
    g_autofree char *data = NULL;
    const char name[] = "cpu/vpmu";
    gsize size;

    g_assert_true(g_file_get_contents(file->path, &data, &size, NULL));
    g_assert_cmpuint(size, >, 10000);
    return memmem(data, size, name, strlen(name));
}

static void test_migration(void)
{
    g_autoptr(File) file = file_new("stream");
    const char *args = ARGS "-smp 2 -cpu " INTEL ",pmu=on";
    uint64_t before[2][NR_REGISTERS], after[2][NR_REGISTERS];
    QTestState *from = qtest_init(args);
    QTestState *to;

    for (unsigned cpu = 0; cpu < 2; cpu++) {
        fill(from, cpu);
        read_all(from, cpu, before[cpu]);
    }
    g_assert_cmphex(before[0][0], !=, before[1][0]);
    migrate(from, file);
    qtest_quit(from);
    g_assert_true(stream_has_section(file));

    to = qtest_initf("%s -incoming %s", args, file->uri);
    wait_migrated(to);
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        read_all(to, cpu, after[cpu]);
    }
    g_assert_cmpmem(before, sizeof(before), after, sizeof(after));
    qtest_quit(to);
}

/* A destination that cannot offer the guest its PMU refuses the stream. */
static void test_migration_refused(void)
{
    static const struct {
        const char *pmu, *message;
    } sides[] = {
#define SEES(what) "on this side it would see " what
        { "pmu=on,pmu-gp-counters=4",
          SEES("version 5, 4 general-purpose counters, fixed counters of "
               "mask 0x7") },
        { "pmu=on,pmu-version=4",
          SEES("version 4, 8 general-purpose counters, fixed counters of "
               "mask 0x7") },
        { "pmu=off", SEES("none") },
        { "pmu-passthrough=on,pmu-host-gp=1",
          SEES("version 5, 7 general-purpose counters, fixed counters of "
               "mask 0x7") },
        { "pmu-passthrough=on,pmu-host-fixed=1",
          SEES("version 5, 8 general-purpose counters, fixed counters of "
               "mask 0x5") },
#undef SEES
    };
    g_autoptr(File) file = file_new("refused");
    QTestState *from = qtest_init(ARGS "-cpu " INTEL ",pmu=on");

    migrate(from, file);
    qtest_quit(from);
    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        g_autofree char *cpu = g_strdup_printf(INTEL ",%s", sides[i].pmu);
        g_autofree char *said = NULL;

        migrate_refused(cpu, file, &said);
        assert_contains(said, "guest sees a PMU with version 5, 8 "
                        "general-purpose counters, fixed counters of mask 0x7");
        assert_contains(said, sides[i].message);
    }
}

/* Without a PMU the stream is that of QEMU as it is. */
static void test_migration_off(void)
{
    static const char *const cpus[] = { "max", "Dhyana,pmu=on", INTEL };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        g_autoptr(File) file = file_new("off");
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", cpus[i]);

        migrate(qts, file);
        g_assert_false(stream_has_section(file));
        qtest_quit(qts);
    }
}

/* Reset and migration of counters that are shared with the host */

static void test_shared_reset(void)
{
    QTestState *qts = qtest_init(HANDOVER LONG ",pmu-visible=all,"
                                 "pmu-host-gp=1 -smp 2");
    g_autoptr(QDict) info = NULL;

    enable(qts, 1, 0xff, 5);
    reserve_quietly(qts, RESERVE("'gp': 1, 'fixed': [ 1 ]"), "gp 7, fixed 1");
    host_count(qts, "fixed", 1, "'event': 'cycles'");
    assert_counter(qts, 1, 7, "starved", -1);
    qtest_system_reset(qts);

    info = query(qts);
    assert_set(info, "reserved", "1:1");
    for (unsigned cpu = 0; cpu < 2; cpu++) {
        QList *host = qdict_get_qlist(vcpu(info, cpu), "host-counters");

        assert_ids(vcpu(info, cpu), "host-counters", "gp 7, fixed 1");
        g_assert_true(qdict_haskey(nth(host, 1), "event"));
        for (unsigned v = 0; v < 11; v++) {
            QDict *c = counter(info, cpu, v);

            g_assert_cmpint(qdict_get_int(c, "value"), ==, 0);
            g_assert_cmpstr(qdict_get_str(c, "path"), ==, "idle");
        }
        g_assert_cmphex(rdmsr(qts, cpu, GLOBAL_CTRL), ==, 0xff);
        g_assert_cmphex(rdmsr(qts, cpu, PERFEVTSEL0 + 7), ==, 0);
    }
    g_assert_cmpint(total(qts, "hand-overs"), ==, 9);
    /* The guest goes on. */
    enable(qts, 1, 0xff, 0);
    assert_counter(qts, 1, 7, "starved", -1);
    g_assert_cmpint(total(qts, "hand-overs") + total(qts, "reuses"), ==, 16);
    reserve_quietly(qts, RESERVE("'gp': 0"), "");
    assert_values(qts, 1, 0xff, 0);
    qtest_quit(qts);
}

/* A host counter's value is kept in a reset, whatever it counts. */
static void test_reset_value(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(HANDOVER ",pmu-host-gp=1 -bios %s",
                                  rom->path);

    host_count(qts, "gp", 7, "'event': 'branches'");
    wait_halted(qts, 0, LOOPS);
    qtest_system_reset(qts);
    g_assert_cmpuint(host_value(qts, 0, 0), ==, LOOPS);
    qtest_quit(qts);
}

/* The destination may have another reservation. */
static void test_shared_migration(void)
{
    static const struct {
        const char *from, *to;
        unsigned gp;
    } table[] = {
        { "pmu-visible=all", "pmu-visible=all,pmu-host-gp=3", 0x9f },
        { "pmu-visible=all,pmu-host-gp=2,pmu-host-order=low",
          "pmu-visible=all", 0xff },
        { "pmu-host-gp=2", "pmu-host-gp=2,pmu-host-order=low", 0x3f },
        { "pmu-host-gp=5,pmu-host-order=low", "pmu-gp-counters=3", 0x7 },
        { "pmu-visible=all", "pmu-passthrough=off", 0xff },
        { "pmu-passthrough=off", "pmu-visible=all,pmu-host-gp=8", 0xff },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(File) file = file_new("stream");
        QTestState *from = qtest_initf(HANDOVER ",pmu=on,%s -smp 2",
                                       table[i].from);
        QTestState *to;

        g_test_message("%s to %s", table[i].from, table[i].to);
        enable(from, 0, table[i].gp, 5);
        enable(from, 1, table[i].gp & 0x55, 2);
        migrate(from, file);
        qtest_quit(from);
        to = qtest_initf(HANDOVER ",pmu=on,%s -smp 2 -incoming %s",
                         table[i].to, file->uri);
        wait_migrated(to);
        assert_values(to, 0, table[i].gp, 5);
        assert_values(to, 1, table[i].gp & 0x55, 2);
        g_assert_cmphex(rdmsr(to, 0, GLOBAL_CTRL), ==,
                        table[i].gp | 5ull << 32);
        if (!strstr(table[i].to, "off")) {
            reserve_quietly(to, RESERVE("'gp': 0"), "");
            assert_counter(to, 0, 0, "fast", 0);
            assert_values(to, 0, table[i].gp, 5);
        }
        qtest_quit(to);
    }
}

/* The stream has the values of starved and cross-mapped counters, too. */
static void test_migration_starved(void)
{
    g_autoptr(File) file = file_new("stream");
    QTestState *from = qtest_init(HANDOVER LONG ",pmu-visible=all");
    QTestState *to;
    g_autoptr(QDict) rsp = NULL;

    enable(from, 0, 0xff, 7);
    rsp = reserve(from, RESERVE("'gp': 7, 'fixed': [ 0 ], 'force': true"),
                  "gp 1, gp 2, gp 3, gp 4, gp 5, gp 6, gp 7, fixed 0");
    assert_counter(from, 0, 5, "starved", -1);
    wrmsr(from, 0, GLOBAL_CTRL, 0x7000000fe);
    assert_counter(from, 0, 1, "slow", 0);
    migrate(from, file);
    qtest_quit(from);

    to = qtest_initf(HANDOVER LONG ",pmu-visible=all,pmu-host-gp=7,"
                     "pmu-host-order=low -incoming %s", file->uri);
    wait_migrated(to);
    assert_counter(to, 0, 5, "starved", -1);
    assert_counter(to, 0, 7, "fast", 7);
    assert_counter(to, 0, 8, "fast", 0);
    assert_values(to, 0, 0xff, 7);
    reserve_quietly(to, RESERVE("'gp': 0"), "");
    for (unsigned i = 1; i < 8; i++) {
        assert_counter(to, 0, i, "fast", i);
    }
    assert_values(to, 0, 0xff, 7);
    qtest_quit(to);
}

static void wait_job(QTestState *qts, const char *id)
{
    for (bool concluded = false; !concluded;) {
        g_autoptr(QDict) rsp = qtest_qmp(qts, "{ 'execute': 'query-jobs' }");
        QDict *job = nth(qdict_get_qlist(rsp, "return"), 0);

        g_assert_null(qdict_get_try_str(job, "error"));
        concluded = g_str_equal(qdict_get_str(job, "status"), "concluded");
        g_usleep(1000);
    }
    qtest_qmp_assert_success(qts, "{ 'execute': 'job-dismiss',"
                             "  'arguments': { 'id': %s } }", id);
}

/* A drive that holds snapshots. */
static void add_disk(QTestState *qts, const File *file)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-create',"
        "  'arguments': { 'job-id': 'file', 'options': { 'driver': 'file',"
        "    'filename': %s, 'size': 0 } } }", file->path);
    wait_job(qts, "file");
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-add',"
        "  'arguments': { 'driver': 'file', 'node-name': 'file',"
        "    'filename': %s } }", file->path);
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-create',"
        "  'arguments': { 'job-id': 'disk', 'options': { 'driver': 'qcow2',"
        "    'file': 'file', 'size': 65536 } } }");
    wait_job(qts, "disk");
    qtest_qmp_assert_success(qts, "{ 'execute': 'blockdev-add',"
        "  'arguments': { 'driver': 'qcow2', 'node-name': 'disk',"
        "    'file': 'file' } }");
}

/* The guest goes back in time; the host's side does not. */
static void test_snapshot(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    g_autoptr(File) file = file_new("disk");
    QTestState *qts = qtest_initf(HANDOVER LONG ",pmu-visible=all,"
                                  "pmu-host-gp=1 -bios %s", rom->path);
    g_autoptr(QDict) rsp = NULL;
    int64_t hand_overs, starved;

    add_disk(qts, file);
    enable(qts, 0, 0x7f, 7);
    qtest_qmp_assert_success(qts, "{ 'execute': 'snapshot-save', 'arguments':"
                             "  { 'job-id': 'save', 'tag': 'one',"
                             "    'vmstate': 'disk', 'devices': [ 'disk' ] "
                             "} }");
    wait_job(qts, "save");
    host_count(qts, "gp", 7, "'event': 'instructions'");
    wait_halted(qts, 0, LOOP_INSNS);
    rsp = reserve(qts, RESERVE("'gp': 4, 'fixed': [ 2 ], 'force': true"),
                  "gp 4, gp 5, gp 6, gp 7, fixed 2");
    assert_counter(qts, 0, 4, "starved", -1);
    run_for(qts, 5);
    hand_overs = total(qts, "hand-overs");
    starved = total(qts, "starved-ns");
    g_assert_cmpint(starved, >, 0);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 4), ==, value_of(0, 4) + LOOP_INSNS);
    qtest_qmp_assert_success(qts, "{ 'execute': 'snapshot-load', 'arguments':"
                             "  { 'job-id': 'load', 'tag': 'one',"
                             "    'vmstate': 'disk', 'devices': [ 'disk' ] "
                             "} }");
    wait_job(qts, "load");
    assert_values(qts, 0, 0x7f, 7);
    assert_counter(qts, 0, 3, "fast", 3);
    assert_counter(qts, 0, 4, "starved", -1);
    g_assert_cmpuint(host_value(qts, 0, 3), ==, LOOP_INSNS);
    g_assert_cmpint(total(qts, "hand-overs"), >=, hand_overs);
    g_assert_cmpint(total(qts, "starved-ns"), ==, starved);
    reserve_quietly(qts, RESERVE("'gp': 1"), "gp 7");
    wait_halted(qts, 0, 2 * LOOP_INSNS);
    g_assert_cmphex(rdmsr(qts, 0, PMC0 + 4), ==, value_of(0, 4) + LOOP_INSNS);
    qtest_quit(qts);
}

/* The destination refuses, and the guest goes on at the source. */
static void test_shared_migration_refused(void)
{
    g_autoptr(File) rom = rom_new(SPIN_CODE, sizeof(SPIN_CODE));
    g_autoptr(File) log = file_new("log");
    g_autoptr(File) socket = file_new("socket");
    g_autofree char *uri = g_strdup_printf("unix:%s", socket->path);
    g_autofree char *said = NULL;
    const char *capability = "{ 'execute': 'migrate-set-capabilities',"
        "  'arguments': { 'capabilities': [ { 'capability': 'return-path',"
        "    'state': true } ] } }";
    QTestState *from = qtest_initf(HANDOVER ",pmu-host-gp=1 -bios %s",
                                   rom->path);
    QTestState *to = qtest_initf(HANDOVER ",pmu-host-gp=2,pmu-host-fixed=2 "
                                 "-bios %s -incoming defer 2>%s", rom->path,
                                 log->path);
    g_autoptr(QDict) rsp = NULL;
    uint64_t value;

    enable(from, 0, 0x41, 1);
    qtest_qmp_assert_success(from, capability, NULL);
    qtest_qmp_assert_success(to, capability, NULL);
    qtest_qmp_assert_success(to, "{ 'execute': 'migrate-incoming',"
                             "  'arguments': { 'uri': %s } }", uri);
    cont(from);
    qtest_set_expected_status(to, EXIT_FAILURE);
    qtest_qmp_assert_success(from, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", uri);
    qtest_wait_qemu(to);
    qtest_quit(to);
    g_assert_true(g_file_get_contents(log->path, &said, NULL, NULL));
    assert_contains(said, "guest sees a PMU with version 5, 7 "
                    "general-purpose counters, fixed counters of mask 0x7, "
                    "PEBS 0x4400, LBR format 5, provided by TCG; on this side "
                    "it would see version 5, 6 general-purpose counters, "
                    "fixed counters of mask 0x3, PEBS 0x4400, LBR format 5, provided by TCG");

    wait_status(from, "failed", "completed");
    for (;;) {
        g_autoptr(QDict) status =
            qtest_qmp_assert_success_ref(from,
                                         "{ 'execute': 'query-status' }");

        if (qdict_get_bool(status, "running")) {
            break;
        }
        g_usleep(10000);
    }
    stop(from);
    assert_counter(from, 0, 6, "fast", 6);
    value = rdmsr(from, 0, PMC0 + 6);
    g_assert_cmphex(value, >, value_of(0, 6));
    g_assert_cmphex(value - value_of(0, 6), ==,
                    rdmsr(from, 0, FIXED_CTR0) - value_of(0, 8));
    run_for(from, 20);
    g_assert_cmphex(rdmsr(from, 0, PMC0 + 6), >, value);
    reserve_quietly(from, RESERVE("'gp': 2"), "gp 5, gp 7");
    qtest_quit(from);
}

/* QMP and HMP */

static void test_query_none(void)
{
    static const struct {
        const char *args;
        const char *reason;
        const char *machine;
    } table[] = {
        { "-machine none", "no CPU" },
        { "-machine isapc", "add pmu=on", "isapc" },
        { "-machine microvm", "add pmu=on", "microvm" },
        { "-machine q35", "add pmu=on", "q35" },
        { "-machine q35 -cpu Dhyana,pmu=on", "AuthenticAMD", "q35" },
        { "-machine pc -cpu max", "add pmu=on", "pc" },
        { "-machine pc -cpu " INTEL, "add pmu=on", "pc" },
        { "-machine pc -cpu " INTEL ",pmu=off", "add pmu=on", "pc" },
        { "-machine pc -cpu Dhyana,pmu-passthrough=auto", "AuthenticAMD",
          "pc" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts;
        g_autoptr(QDict) info = NULL;

        if (table[i].machine && !qtest_has_machine(table[i].machine)) {
            continue;
        }
        qts = qtest_initf("-accel tcg -S -nodefaults %s 2>/dev/null",
                          table[i].args);
        g_test_message("%s", table[i].args);
        assert_mode(qts, "none", table[i].reason);
        info = query(qts);
        g_assert_cmpint(qdict_get_int(info, "version"), ==, 0);
        g_assert_true(qlist_empty(qdict_get_qlist(info, "cpus")));
        g_assert_true(qlist_empty(qdict_get_qlist(info, "events")));
        qtest_quit(qts);
    }
    /* An accelerator that has no PMU */
    {
        QTestState *qts = qtest_init("-S -nodefaults -machine pc");

        assert_mode(qts, "none", "use KVM or TCG");
        qtest_quit(qts);
    }
}

/* What query-vpmu has for a set of counters */
static void check_set(QDict *owner, const char *key, int gp, unsigned fixed)
{
    QDict *set = qdict_get_qdict(owner, key);

    g_assert_cmpint(qdict_get_int(set, "gp"), ==, gp);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(set, "fixed")), ==, fixed);
}

static void check_query_machine(QDict *info)
{
    g_assert_cmpint(qdict_get_int(info, "version"), ==, 5);
    g_assert_cmpint(qdict_get_int(info, "counter-width"), ==, 48);
    check_set(info, "total", 4, 3);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(info, "events")), >=, 15);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(info, "cpus")), ==, 2);

    /* Without pmu-passthrough the guest has all counters, for ever. */
    g_assert_false(qdict_get_bool(info, "passthrough"));
    g_assert_cmpstr(qdict_get_str(info, "visible"), ==, "all");
    g_assert_cmpint(qdict_get_int(info, "slice-ms"), ==, 0);
    check_set(info, "reserved", 0, 0);
    check_set(vcpu(info, 0), "in-use", 4, 3);
}

/* A counter that is off */
static void check_query_idle(QDict *c)
{
    g_assert_false(qdict_get_bool(c, "enabled"));
    g_assert_cmpstr(qdict_get_str(c, "path"), ==, "idle");
    g_assert_cmpstr(qdict_get_str(c, "owner"), ==, "guest");
    g_assert_cmpint(qdict_get_int(c, "physical-index"), ==, 2);
    g_assert_false(qdict_haskey(c, "event"));
}

/* A counter that counts, one with an unsupported event, a fixed counter */
static void check_query_counters(QDict *info)
{
    QDict *c = counter(info, 1, 2);

    g_assert_cmpstr(qdict_get_str(c, "type"), ==, "gp");
    g_assert_cmpint(qdict_get_int(c, "index"), ==, 2);
    g_assert_true(qdict_get_bool(c, "enabled"));
    g_assert_true(qdict_get_bool(c, "user"));
    g_assert_false(qdict_get_bool(c, "kernel"));
    g_assert_cmpstr(qdict_get_str(c, "path"), ==, "fast");
    g_assert_cmpstr(qdict_get_str(c, "owner"), ==, "guest");
    g_assert_cmpint(qdict_get_int(c, "physical-index"), ==, 2);
    g_assert_cmphex(qdict_get_int(c, "value"), ==, 0x123456789abc);
    c = qdict_get_qdict(c, "event");
    g_assert_cmphex(qdict_get_int(c, "select"), ==, 0xc4);
    g_assert_cmphex(qdict_get_int(c, "umask"), ==, 0x01);
    g_assert_cmpstr(qdict_get_str(c, "name"), ==, "br_inst_retired.cond_taken");

    c = counter(info, 1, 3);
    g_assert_cmpstr(qdict_get_str(qdict_get_qdict(c, "event"), "name"), ==,
                    "cache-references");

    c = counter(info, 1, 4 + 1);
    g_assert_cmpstr(qdict_get_str(c, "type"), ==, "fixed");
    g_assert_cmpint(qdict_get_int(c, "index"), ==, 1);
    g_assert_true(qdict_get_bool(c, "kernel"));
    g_assert_false(qdict_get_bool(c, "user"));
}

static void test_query(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " INTEL ",pmu=on,"
                                 "pmu-gp-counters=4");
    g_autofree char *hmp = NULL;
    g_autoptr(QDict) info = NULL;
    QDict *event;
    QList *list;

    wrmsr(qts, 1, GLOBAL_CTRL, 0x70000000f);
    wrmsr(qts, 1, PERFEVTSEL0 + 2, 0x4101c4);       /* user, enabled */
    wrmsr(qts, 1, PMC0 + 2, 0x123456789abc);
    wrmsr(qts, 1, PERFEVTSEL0 + 3, 0x424f2e);       /* not supported */
    wrmsr(qts, 1, FIXED_CTR_CTRL, 0x010);

    assert_mode(qts, "software", "TCG");
    info = query(qts);
    check_query_machine(info);
    check_query_idle(counter(info, 0, 2));
    check_query_counters(info);

    list = qdict_get_qlist(vcpu(info, 1), "unsupported-events");
    g_assert_cmpuint(qlist_size(list), ==, 1);
    event = qobject_to(QDict, qlist_peek(list));
    g_assert_cmphex(qdict_get_int(event, "select"), ==, 0x2e);
    g_assert_cmphex(qdict_get_int(event, "umask"), ==, 0x4f);

    hmp = qtest_hmp(qts, "info vpmu");
    assert_contains(hmp, "CPU #1");
    assert_contains(hmp, "br_inst_retired.cond_taken");
    assert_contains(hmp, "20015998343868"); /* 0x123456789abc */
    assert_contains(hmp, "not supported");
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    if (!test_init(&argc, &argv)) {
        return 0;
    }
    qtest_add_func("vpmu/registers", test_registers);
    qtest_add_func("vpmu/reset", test_reset);
    qtest_add_func("vpmu/migration/registers", test_migration);
    qtest_add_func("vpmu/migration/refused", test_migration_refused);
    qtest_add_func("vpmu/migration/off", test_migration_off);
    qtest_add_func("vpmu/shared/reset", test_shared_reset);
    qtest_add_func("vpmu/shared/reset-value", test_reset_value);
    qtest_add_func("vpmu/shared/migration", test_shared_migration);
    qtest_add_func("vpmu/shared/starved", test_migration_starved);
    qtest_add_func("vpmu/shared/snapshot", test_snapshot);
    qtest_add_func("vpmu/shared/refused", test_shared_migration_refused);
    qtest_add_func("vpmu/query/none", test_query_none);
    qtest_add_func("vpmu/query/software", test_query);
    return g_test_run();
}
