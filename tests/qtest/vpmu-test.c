/*
 * The virtual PMU from outside: properties, registers, migration, QMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The machine stays stopped; hw/i386/vpmu-qtest.c gives access to registers.
 * What they count is tested by tests/vpmu.
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qstring.h"

/* Ice Lake server as far as the PMU is concerned, with what TCG has. */
#define INTEL   "qemu64,vendor=GenuineIntel,family=6,model=106"
#define ARGS    "-accel tcg -S -nodefaults -machine pc "

#define PERFCTR0            0xc1
#define PERFEVTSEL0         0x186
#define MISC_ENABLE         0x1a0
#define DEBUGCTL            0x1d9
#define FIXED_CTR0          0x309
#define PERF_CAPABILITIES   0x345
#define FIXED_CTR_CTRL      0x38d
#define GLOBAL_STATUS       0x38e
#define GLOBAL_CTRL         0x38f
#define GLOBAL_OVF_CTRL     0x390
#define GLOBAL_STATUS_SET   0x391
#define GLOBAL_INUSE        0x392
#define PMC0                0x4c1

#define GP_FAULT            UINT64_MAX
#define PDCM                (1u << 15)

static uint64_t rdmsr(QTestState *qts, unsigned cpu, uint32_t msr)
{
    uint64_t value = 0;

    qtest_csr_call(qts, "vpmu-rdmsr", cpu, msr, &value);
    return value;
}

static uint64_t wrmsr(QTestState *qts, unsigned cpu, uint32_t msr,
                      uint64_t value)
{
    qtest_csr_call(qts, "vpmu-wrmsr", cpu, msr, &value);
    return value;
}

/* @reg: 0 to 3 for EAX to EDX */
static uint32_t cpuid(QTestState *qts, uint32_t leaf, unsigned reg)
{
    uint64_t value = reg;

    qtest_csr_call(qts, "vpmu-cpuid", 0, leaf, &value);
    return value;
}

static void assert_no_pmu(QTestState *qts)
{
    for (unsigned reg = 0; reg < 4; reg++) {
        g_assert_cmphex(cpuid(qts, 0xa, reg), ==, 0);
    }
    g_assert_cmphex(cpuid(qts, 1, 2) & PDCM, ==, 0);
}

/* Does @text have @part?  Says what it has when not. */
static void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_test_message("\"%s\" is not in \"%s\"", part, text);
        g_assert_not_reached();
    }
}

/* CPUID */

static void test_cpuid(void)
{
    for (unsigned version = 2; version <= 5; version++) {
        for (unsigned gp = 1; gp <= 8; gp++) {
            QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on,"
                                          "pmu-version=%u,pmu-gp-counters=%u",
                                          version, gp);

            g_assert_cmphex(cpuid(qts, 0, 0), >=, 0xa);
            g_assert_cmphex(cpuid(qts, 0xa, 0), ==,
                            version | gp << 8 | 48 << 16 | 7 << 24);
            g_assert_cmphex(cpuid(qts, 0xa, 1), ==, 0x5c);
            g_assert_cmphex(cpuid(qts, 0xa, 2), ==, version >= 5 ? 7 : 0);
            g_assert_cmphex(cpuid(qts, 0xa, 3), ==,
                            3 | 48 << 5 | (version >= 5 ? 1 << 15 : 0));
            g_assert_cmphex(cpuid(qts, 1, 2) & PDCM, ==, PDCM);
            g_assert_cmphex(rdmsr(qts, 0, PERF_CAPABILITIES), ==, 1 << 13);

            /* A counter more than there are. */
            g_assert_cmphex(rdmsr(qts, 0, PERFEVTSEL0 + gp - 1), ==, 0);
            if (gp < 8) {
                g_assert_cmphex(rdmsr(qts, 0, PERFEVTSEL0 + gp), ==, GP_FAULT);
                g_assert_cmphex(wrmsr(qts, 0, PERFCTR0 + gp, 0), ==, GP_FAULT);
                g_assert_cmphex(wrmsr(qts, 0, PMC0 + gp, 0), ==, GP_FAULT);
            }
            g_assert_cmphex(wrmsr(qts, 0, GLOBAL_CTRL, 1u << gp), ==,
                            GP_FAULT);
            g_assert_cmphex(rdmsr(qts, 0, GLOBAL_CTRL), ==, (1u << gp) - 1);
            g_assert_cmpint(rdmsr(qts, 0, GLOBAL_INUSE) == GP_FAULT, ==,
                            version < 4);
            qtest_quit(qts);
        }
    }
}

/* Command lines that have no PMU, stock QEMU's among them. */
static void test_none(void)
{
    static const char *const cpus[] = {
        "max", "max,vendor=GenuineIntel", "qemu64", INTEL, INTEL ",pmu=off",
        "qemu64,pmu=on", "EPYC,pmu=on",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", cpus[i]);

        g_test_message("%s", cpus[i]);
        assert_no_pmu(qts);
        qtest_quit(qts);
    }
}

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
    g_assert_cmphex(rdmsr(qts, 0, MISC_ENABLE), ==, 0x1880);
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

typedef struct File {
    char *path;
    char *uri;
} File;

static File *file_new(const char *suffix)
{
    File *file = g_new(File, 1);

    file->path = g_strdup_printf("%s/vpmu-test-%d-%s", g_get_tmp_dir(),
                                 getpid(), suffix);
    file->uri = g_strdup_printf("file:%s", file->path);
    return file;
}

static void file_free(File *file)
{
    unlink(file->path);
    g_free(file->path);
    g_free(file->uri);
    g_free(file);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(File, file_free)

static void wait_migrated(QTestState *qts)
{
    for (;;) {
        g_autoptr(QDict) rsp =
            qtest_qmp_assert_success_ref(qts,
                                         "{ 'execute': 'query-migrate' }");
        const char *status = qdict_get_try_str(rsp, "status");

        if (status && g_str_equal(status, "completed")) {
            return;
        }
        g_assert_true(!status || !g_str_equal(status, "failed"));
        g_usleep(10000);
    }
}

static void migrate(QTestState *qts, const File *file)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", file->uri);
    wait_migrated(qts);
}

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

/* A destination that cannot offer what the guest has. */
static void test_migration_refused(void)
{
    static const struct {
        const char *pmu, *message;
    } sides[] = {
        { "pmu=on,pmu-gp-counters=4", "pmu-version=5,pmu-gp-counters=4" },
        { "pmu=on,pmu-version=4", "pmu-version=4,pmu-gp-counters=8" },
        { "pmu=off", "pmu=off" },
    };
    g_autoptr(File) file = file_new("refused");
    g_autoptr(File) log = file_new("log");
    QTestState *from = qtest_init(ARGS "-cpu " INTEL ",pmu=on");

    migrate(from, file);
    qtest_quit(from);
    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        g_autofree char *said = NULL;
        QTestState *to = qtest_initf(ARGS "-cpu " INTEL ",%s "
                                     "-incoming defer 2>%s", sides[i].pmu,
                                     log->path);

        qtest_set_expected_status(to, EXIT_FAILURE);
        qtest_qmp_send(to, "{ 'execute': 'migrate-incoming',"
                       "  'arguments': { 'uri': %s } }", file->uri);
        qtest_wait_qemu(to);
        qtest_quit(to);
        g_assert_true(g_file_get_contents(log->path, &said, NULL, NULL));
        assert_contains(said, "source has a PMU with pmu-version=5,"
                        "pmu-gp-counters=8");
        assert_contains(said, sides[i].message);
    }
}

/* Without a PMU the stream is stock's. */
static void test_migration_off(void)
{
    static const char *const cpus[] = { "max", "qemu64,pmu=on", INTEL };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        g_autoptr(File) file = file_new("off");
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", cpus[i]);

        migrate(qts, file);
        g_assert_false(stream_has_section(file));
        qtest_quit(qts);
    }
}

/* Properties */

static void test_properties(void)
{
    static const struct {
        const char *model;
        const char *props;
        const char *error;
    } bad[] = {
        { "Icelake-Server-v6", "{ 'pmu': true, 'pmu-version': 1 }",
          "pmu-version=1 is out of range: use 2 to 5" },
        { "Icelake-Server-v6", "{ 'pmu': true, 'pmu-version': 6 }",
          "pmu-version=6 is out of range: use 2 to 5" },
        { "Icelake-Server-v6", "{ 'pmu': true, 'pmu-gp-counters': 9 }",
          "pmu-gp-counters=9 is out of range: use 1 to 8" },
        { "Icelake-Server-v6", "{ 'pmu-version': 4 }",
          "pmu-version needs a PMU: add pmu=on" },
        { "Icelake-Server-v6", "{ 'pmu-gp-counters': 4 }",
          "pmu-gp-counters needs a PMU: add pmu=on" },
        { "Icelake-Server-v6", "{ 'pmu': false, 'pmu-version': 4 }",
          "pmu-version needs a PMU: add pmu=on" },
        { "EPYC", "{ 'pmu': true, 'pmu-version': 4 }",
          "pmu-version needs a CPU model with vendor GenuineIntel" },
        { "EPYC", "{ 'pmu': true, 'pmu-gp-counters': 4 }",
          "pmu-gp-counters needs a CPU model with vendor GenuineIntel" },
        { "max", "{ 'pmu-version': 4 }",
          "pmu-version needs a CPU model with vendor GenuineIntel" },
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autofree char *command =
            g_strdup_printf("{ 'execute': 'query-cpu-model-expansion',"
                            "  'arguments': { 'type': 'full', 'model':"
                            "  { 'name': '%s', 'props': %s } } }",
                            bad[i].model, bad[i].props);
        g_autoptr(QDict) error = qtest_qmp_assert_failure_ref(qts, command,
                                                              NULL);

        g_test_message("%s %s", bad[i].model, bad[i].props);
        assert_contains(qdict_get_str(error, "desc"), bad[i].error);
    }
    qtest_quit(qts);
}

/* What a model expands to. */
static void test_expansion(void)
{
    QTestState *qts = qtest_init("-accel tcg -machine none");

    for (unsigned pmu = 0; pmu < 2; pmu++) {
        g_autoptr(QDict) rsp =
            qtest_qmp_assert_success_ref(qts, "{ 'execute':"
                "  'query-cpu-model-expansion', 'arguments':"
                "  { 'type': 'full', 'model': { 'name': 'Icelake-Server-v6',"
                "  'props': { 'pmu': %i } } } }", (bool)pmu);
        QDict *props = qdict_get_qdict(qdict_get_qdict(rsp, "model"), "props");

        g_assert_cmpint(qdict_get_bool(props, "pmu"), ==, pmu);
        g_assert_cmpint(qdict_get_bool(props, "pdcm"), ==, pmu);
        g_assert_cmpint(qdict_get_bool(props, "full-width-write"), ==, pmu);
        g_assert_cmpint(qdict_get_int(props, "pmu-version"), ==, pmu ? 5 : 0);
        g_assert_cmpint(qdict_get_int(props, "pmu-gp-counters"), ==,
                        pmu ? 8 : 0);
    }
    qtest_quit(qts);
}

/* QMP and HMP */

static QDict *query(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts, "{ 'execute': 'query-vpmu' }");
}

static void assert_mode(QTestState *qts, const char *mode, const char *reason)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");

    g_assert_cmpstr(qdict_get_str(info, "mode"), ==, mode);
    assert_contains(qdict_get_str(info, "reason"), reason);
    assert_contains(hmp, mode);
    assert_contains(hmp, reason);
}

static void test_query_none(void)
{
    static const struct {
        const char *args;
        const char *reason;
        const char *machine;
    } table[] = {
        { "-machine none", "no CPU" },
        { "-machine isapc", "add pmu=on", "isapc" },
        { "-machine microvm", "GenuineIntel", "microvm" },
        { "-machine q35", "GenuineIntel", "q35" },
        { "-machine q35 -cpu qemu64,pmu=on", "GenuineIntel", "q35" },
        { "-machine pc -cpu max", "GenuineIntel", "pc" },
        { "-machine pc -cpu " INTEL, "add pmu=on", "pc" },
        { "-machine pc -cpu " INTEL ",pmu=off", "add pmu=on", "pc" },
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
    /* An accelerator that has none. */
    {
        QTestState *qts = qtest_init("-S -nodefaults -machine pc");

        assert_mode(qts, "none", "use KVM or TCG");
        qtest_quit(qts);
    }
}

/* Counter number @index of CPU @cpu in query-vpmu's answer. */
static QDict *counter(QDict *info, unsigned cpu, unsigned index)
{
    QListEntry *entry = qlist_first(qdict_get_qlist(info, "cpus"));

    while (cpu--) {
        entry = qlist_next(entry);
    }
    entry = qlist_first(qdict_get_qlist(qobject_to(QDict, entry->value),
                                        "counters"));
    while (index--) {
        entry = qlist_next(entry);
    }
    return qobject_to(QDict, entry->value);
}

static void test_query(void)
{
    QTestState *qts = qtest_init(ARGS "-smp 2 -cpu " INTEL ",pmu=on,"
                                 "pmu-gp-counters=4");
    g_autofree char *hmp = NULL;
    g_autoptr(QDict) info = NULL;
    QDict *c, *cpu;
    QList *list;

    wrmsr(qts, 1, GLOBAL_CTRL, 0x70000000f);
    wrmsr(qts, 1, PERFEVTSEL0 + 2, 0x4101c4);       /* user, enabled */
    wrmsr(qts, 1, PMC0 + 2, 0x123456789abc);
    wrmsr(qts, 1, PERFEVTSEL0 + 3, 0x424f2e);       /* not supported */
    wrmsr(qts, 1, FIXED_CTR_CTRL, 0x010);

    assert_mode(qts, "software", "TCG");
    info = query(qts);
    g_assert_cmpint(qdict_get_int(info, "version"), ==, 5);
    g_assert_cmpint(qdict_get_int(info, "counter-width"), ==, 48);
    c = qdict_get_qdict(info, "total");
    g_assert_cmpint(qdict_get_int(c, "gp"), ==, 4);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(c, "fixed")), ==, 3);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(info, "events")), >=, 15);
    list = qdict_get_qlist(info, "cpus");
    g_assert_cmpuint(qlist_size(list), ==, 2);

    /* CPU 0: at rest. */
    c = counter(info, 0, 2);
    g_assert_false(qdict_get_bool(c, "enabled"));
    g_assert_cmpstr(qdict_get_str(c, "path"), ==, "idle");
    g_assert_cmpstr(qdict_get_str(c, "owner"), ==, "free");
    g_assert_false(qdict_haskey(c, "event"));

    /* CPU 1: a counter, one with an unsupported event, a fixed one. */
    c = counter(info, 1, 2);
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

    cpu = qobject_to(QDict, qlist_next(qlist_first(list))->value);
    list = qdict_get_qlist(cpu, "unsupported-events");
    g_assert_cmpuint(qlist_size(list), ==, 1);
    c = qobject_to(QDict, qlist_peek(list));
    g_assert_cmphex(qdict_get_int(c, "select"), ==, 0x2e);
    g_assert_cmphex(qdict_get_int(c, "umask"), ==, 0x4f);

    hmp = qtest_hmp(qts, "info vpmu");
    assert_contains(hmp, "CPU #1");
    assert_contains(hmp, "br_inst_retired.cond_taken");
    assert_contains(hmp, "20015998343868"); /* 0x123456789abc */
    assert_contains(hmp, "not supported");
    qtest_quit(qts);
}

static void test_hotplug(void)
{
    const char *another = "{ 'execute': 'device_add', 'arguments':"
                          "  { 'driver': %s, 'id': 'cpu1', 'socket-id': 1,"
                          "    'core-id': 0, 'thread-id': 0%s } }";
    QTestState *qts = qtest_init(ARGS "-smp 1,sockets=2,maxcpus=2 -cpu "
                                 INTEL ",pmu=on");
    g_autofree char *driver = g_strdup_printf("'qemu64-%s-cpu'",
                                              qtest_get_arch());
    g_autofree char *other = g_strdup_printf(another, driver,
                                             ", 'pmu-version': 3");
    g_autofree char *same = g_strdup_printf(another, driver, "");
    g_autoptr(QDict) error = NULL;
    g_autoptr(QDict) info = NULL;

    error = qtest_qmp_assert_failure_ref(qts, other, NULL);
    assert_contains(qdict_get_str(error, "desc"),
                    "all CPUs of a machine have the same PMU");
    qtest_qmp_assert_success(qts, same, NULL);
    fill(qts, 1);
    info = query(qts);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(info, "cpus")), ==, 2);
    g_assert_cmphex(qdict_get_int(counter(info, 1, 7), "value"), ==,
                    0x246800000007);
    qtest_quit(qts);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!qtest_has_accel("tcg") || !qtest_has_machine("pc")) {
        g_test_skip("needs TCG and a PC");
        return 0;
    }
    qtest_add_func("vpmu/cpuid", test_cpuid);
    qtest_add_func("vpmu/none", test_none);
    qtest_add_func("vpmu/registers", test_registers);
    qtest_add_func("vpmu/reset", test_reset);
    qtest_add_func("vpmu/migration/registers", test_migration);
    qtest_add_func("vpmu/migration/refused", test_migration_refused);
    qtest_add_func("vpmu/migration/off", test_migration_off);
    qtest_add_func("vpmu/properties", test_properties);
    qtest_add_func("vpmu/expansion", test_expansion);
    qtest_add_func("vpmu/query/none", test_query_none);
    qtest_add_func("vpmu/query/software", test_query);
    qtest_add_func("vpmu/hotplug", test_hotplug);
    return g_test_run();
}
