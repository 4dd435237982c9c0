/*
 * What the tests of the virtual PMU share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * hw/i386/vpmu-qtest.c gives access to registers while the machine is stopped.
 */
#ifndef TESTS_QTEST_VPMU_TEST_H
#define TESTS_QTEST_VPMU_TEST_H

#include "qemu/units.h"
#include "libqtest.h"
#include "qobject/qdict.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"

/* Ice Lake server as far as the PMU is concerned, with what TCG has. */
#define INTEL   "qemu64,vendor=GenuineIntel,family=6,model=106"
#define ARGS    "-accel tcg -S -nodefaults -machine pc "

#define HANDOVER    ARGS "-cpu " INTEL ",pmu-passthrough=on"
/* No counter goes back by itself in the time that a test takes. */
#define LONG        ",pmu-slice-ms=1000000"

#define ENABLE      (1u << 22 | 1u << 17 | 1u << 16)
#define INSTRUCTIONS 0xc0
#define BRANCHES    0xc4

/* Reset vector: a loop of LOOPS, then HLT. */
#define LOOPS       1000
#define LOOP_INSNS  (LOOPS + 2)
#define LOOP_CODE   ((const uint8_t []) { \
    0xb9, LOOPS & 0xff, LOOPS >> 8, 0xe2, 0xfe, 0xf4 })
#define HALT_CODE   ((const uint8_t []) { 0xf4 })
#define SPIN_CODE   ((const uint8_t []) { 0xeb, 0xfe })

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

static inline uint64_t rdmsr(QTestState *qts, unsigned cpu, uint32_t msr)
{
    uint64_t value = 0;

    qtest_csr_call(qts, "vpmu-rdmsr", cpu, msr, &value);
    return value;
}

static inline uint64_t wrmsr(QTestState *qts, unsigned cpu, uint32_t msr,
                             uint64_t value)
{
    qtest_csr_call(qts, "vpmu-wrmsr", cpu, msr, &value);
    return value;
}

static inline uint64_t rdpmc(QTestState *qts, unsigned cpu, uint32_t index)
{
    uint64_t value = 0;

    qtest_csr_call(qts, "vpmu-rdpmc", cpu, index, &value);
    return value;
}

/* @reg: 0 to 3 for EAX to EDX */
static inline uint32_t cpuid(QTestState *qts, uint32_t leaf, unsigned reg)
{
    uint64_t value = reg;

    qtest_csr_call(qts, "vpmu-cpuid", 0, leaf, &value);
    return value;
}

/* @text must contain @part; a message shows it if it does not. */
static inline void assert_contains(const char *text, const char *part)
{
    if (!strstr(text, part)) {
        g_test_message("\"%s\" is not in \"%s\"", part, text);
        g_assert_not_reached();
    }
}

/* The start of main().  Returns: whether anything can be tested here. */
static inline bool test_init(int *argc, char ***argv)
{
    g_test_init(argc, argv, NULL);
    if (!qtest_has_accel("tcg") || !qtest_has_machine("pc")) {
        g_test_skip("needs TCG and a PC");
        return false;
    }
    return true;
}

/* The command that expands a CPU model with @props. */
static inline char *expansion(const char *model, const char *props)
{
    return g_strdup_printf("{ 'execute': 'query-cpu-model-expansion',"
                           "  'arguments': { 'type': 'full', 'model':"
                           "  { 'name': '%s', 'props': %s } } }",
                           model, props);
}

/* A model with properties that contradict each other or are not available. */
typedef struct BadModel {
    const char *model;
    const char *props;
    const char *error;
} BadModel;

/* The model that most of them are about */
#define BAD_ICX(props, error)   { "Icelake-Server-v6", "{ " props " }", error }

static inline void assert_bad_models(QTestState *qts, const BadModel *bad,
                                     unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        g_autofree char *command = expansion(bad[i].model, bad[i].props);
        g_autoptr(QDict) error = qtest_qmp_assert_failure_ref(qts, command,
                                                              NULL);

        g_test_message("%s %s", bad[i].model, bad[i].props);
        assert_contains(qdict_get_str(error, "desc"), bad[i].error);
    }
}

/* @props: properties of Icelake-Server-v6 that can be had together */
static inline void assert_good_models(QTestState *qts,
                                      const char *const *props, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        g_autofree char *braced = g_strdup_printf("{ %s }", props[i]);
        g_autofree char *command = expansion("Icelake-Server-v6", braced);

        g_test_message("%s", props[i]);
        qtest_qmp_assert_success(qts, command, NULL);
    }
}

/* Files and migration streams */

typedef struct File {
    char *path;
    char *uri;
} File;

static inline File *file_new(const char *suffix)
{
    File *file = g_new(File, 1);

    file->path = g_strdup_printf("%s/vpmu-test-%d-%s", g_get_tmp_dir(),
                                 getpid(), suffix);
    file->uri = g_strdup_printf("file:%s", file->path);
    return file;
}

static inline void file_free(File *file)
{
    unlink(file->path);
    g_free(file->path);
    g_free(file->uri);
    g_free(file);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC(File, file_free)

/* Wait until the migration is @wanted; it must not become @never. */
static inline void wait_status(QTestState *qts, const char *wanted,
                               const char *never)
{
    for (;;) {
        g_autoptr(QDict) rsp =
            qtest_qmp_assert_success_ref(qts,
                                         "{ 'execute': 'query-migrate' }");
        const char *status = qdict_get_try_str(rsp, "status");

        if (status && g_str_equal(status, wanted)) {
            return;
        }
        g_assert_true(!status || !g_str_equal(status, never));
        g_usleep(10000);
    }
}

static inline void wait_migrated(QTestState *qts)
{
    wait_status(qts, "completed", "failed");
}

static inline void migrate(QTestState *qts, const File *file)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'migrate',"
                             "  'arguments': { 'uri': %s } }", file->uri);
    wait_migrated(qts);
}

/*
 * Let an emulator with this CPU load the stream in @file, which it must refuse.
 * @said: its error messages, to be freed
 */
static inline void migrate_refused(const char *cpu, const File *file,
                                   char **said)
{
    g_autoptr(File) log = file_new("log");
    QTestState *qts = qtest_initf(ARGS "-cpu %s -incoming defer 2>%s", cpu,
                                  log->path);

    qtest_set_expected_status(qts, EXIT_FAILURE);
    qtest_qmp_send(qts, "{ 'execute': 'migrate-incoming',"
                   "  'arguments': { 'uri': %s } }", file->uri);
    qtest_wait_qemu(qts);
    qtest_quit(qts);
    g_assert_true(g_file_get_contents(log->path, said, NULL, NULL));
}

/* QMP */

static inline QDict *query(QTestState *qts)
{
    return qtest_qmp_assert_success_ref(qts, "{ 'execute': 'query-vpmu' }");
}

static inline void assert_mode(QTestState *qts, const char *mode,
                               const char *reason)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");

    g_assert_cmpstr(qdict_get_str(info, "mode"), ==, mode);
    assert_contains(qdict_get_str(info, "reason"), reason);
    assert_contains(hmp, mode);
    assert_contains(hmp, reason);
}

static inline QDict *nth(QList *list, unsigned n)
{
    const QListEntry *entry = qlist_first(list);

    while (n--) {
        entry = qlist_next(entry);
    }
    return qobject_to(QDict, entry->value);
}

/* CPU @cpu in query-vpmu's answer. */
static inline QDict *vcpu(QDict *info, unsigned cpu)
{
    return nth(qdict_get_qlist(info, "cpus"), cpu);
}

/* Its counter number @index. */
static inline QDict *counter(QDict *info, unsigned cpu, unsigned index)
{
    return nth(qdict_get_qlist(vcpu(info, cpu), "counters"), index);
}

/* Guests that run */

/*
 * Firmware that executes @code after a reset.  If there is no room for it at the
 * reset vector, that has a jump to it.  All the rest is HLT.
 */
static inline File *rom_new(const uint8_t *code, size_t size)
{
    static const uint8_t jump[] = { 0xe9, 0x0d, 0x00 };
    File *file = file_new("rom");
    g_autofree char *rom = g_malloc(64 * KiB);

    memset(rom, 0xf4, 64 * KiB);
    if (size <= 16) {
        memcpy(rom + 0xfff0, code, size);
    } else {
        memcpy(rom + 0xfff0, jump, sizeof(jump));
        memcpy(rom, code, size);
    }
    g_assert_true(g_file_set_contents(file->path, rom, 64 * KiB, NULL));
    return file;
}

static inline void cont(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");
}

static inline void stop(QTestState *qts)
{
    qtest_qmp_assert_success(qts, "{ 'execute': 'stop' }");
}

static inline void run_for(QTestState *qts, unsigned ms)
{
    cont(qts);
    g_usleep(ms * 1000);
    stop(qts);
}

/* The command that plugs a second CPU, with @property or NULL. */
static inline char *plug_command(const char *property)
{
    return g_strdup_printf("{ 'execute': 'device_add', 'arguments':"
                           "  { 'driver': 'qemu64-%s-cpu', 'id': 'cpu1',"
                           "    'socket-id': 1, 'core-id': 0, 'thread-id': 0"
                           "    %s%s } }", qtest_get_arch(),
                           property ? ", " : "", property ?: "");
}

/*
 * Plug CPU 1 into a machine with one CPU: refused with each of these properties,
 * which give it another PMU, and accepted without.
 */
static inline void assert_plugs_same(QTestState *qts, const char *const *other,
                                     unsigned nr)
{
    g_autofree char *same = plug_command(NULL);

    for (unsigned i = 0; i < nr; i++) {
        g_autofree char *command = plug_command(other[i]);
        g_autoptr(QDict) error = qtest_qmp_assert_failure_ref(qts, command,
                                                              NULL);

        g_test_message("%s", other[i]);
        assert_contains(qdict_get_str(error, "desc"),
                        "all CPUs of a machine have the same PMU");
    }
    qtest_qmp_assert_success(qts, same, NULL);
}

/* Sets of counters as text: "2" or "2:0,2" is two GP, and fixed 0 and 2. */

static inline char *set_text(QDict *set)
{
    GString *text = g_string_new(NULL);
    const QListEntry *entry;
    char sep = ':';

    g_string_append_printf(text, "%d", (int)qdict_get_int(set, "gp"));
    QLIST_FOREACH_ENTRY(qdict_get_qlist(set, "fixed"), entry) {
        g_string_append_printf(text, "%c%d", sep, (int)qnum_get_int(
            qobject_to(QNum, qlist_entry_obj(entry))));
        sep = ',';
    }
    return g_string_free(text, FALSE);
}

static inline void assert_set(QDict *owner, const char *key,
                              const char *expected)
{
    g_autofree char *text = set_text(qdict_get_qdict(owner, key));

    g_assert_cmpstr(text, ==, expected);
}

/* A list of VpmuCounterId: "gp 7, fixed 0". */
static inline char *ids_text(QList *ids)
{
    GString *text = g_string_new(NULL);
    const QListEntry *entry;

    QLIST_FOREACH_ENTRY(ids, entry) {
        QDict *id = qobject_to(QDict, qlist_entry_obj(entry));

        g_string_append_printf(text, "%s%s %d", text->len ? ", " : "",
                               qdict_get_str(id, "type"),
                               (int)qdict_get_int(id, "index"));
    }
    return g_string_free(text, FALSE);
}

static inline void assert_ids(QDict *owner, const char *key,
                              const char *expected)
{
    g_autofree char *text = ids_text(qdict_get_qlist(owner, key));

    g_assert_cmpstr(text, ==, expected);
}

/* Commands */

#define RESERVE(args) \
    "{ 'execute': 'vpmu-reserve-host-counters', 'arguments': {" args "} }"
#define COUNT(args) \
    "{ 'execute': 'vpmu-host-counter-set', 'arguments': {" args "} }"

/*
 * Reserve, expecting that exactly @counters are reserved then.
 * Returns: the answer.
 */
static inline QDict *reserve(QTestState *qts, const char *command,
                             const char *counters)
{
    QDict *rsp = qtest_qmp_assert_success_ref(qts, command, NULL);
    g_autoptr(QDict) info = query(qts);
    g_autofree char *set = set_text(qdict_get_qdict(rsp, "reserved"));
    QList *cpus = qdict_get_qlist(info, "cpus");

    assert_ids(rsp, "counters", counters);
    assert_set(info, "reserved", set);
    for (unsigned i = 0; i < qlist_size(cpus); i++) {
        assert_ids(vcpu(info, i), "host-counters", counters);
    }
    return rsp;
}

/* The same where no guest's counter is displaced. */
static inline void reserve_quietly(QTestState *qts, const char *command,
                                   const char *counters)
{
    g_autoptr(QDict) rsp = reserve(qts, command, counters);

    g_assert_true(qlist_empty(qdict_get_qlist(rsp, "displaced")));
}

/* Program a host counter; @event: further arguments, or NULL for off. */
static inline void host_count(QTestState *qts, const char *type,
                              unsigned index, const char *event)
{
    g_autofree char *command =
        g_strdup_printf(COUNT("'type': '%s', 'index': %u%s%s"), type, index,
                        event ? ", " : "", event ?: "");

    qtest_qmp_assert_success(qts, command, NULL);
}

/* A command that fails, says @text and changes nothing. */
static inline void assert_refused(QTestState *qts, const char *command,
                                  const char *text)
{
    g_autoptr(QDict) before = query(qts);
    g_autoptr(QDict) error = qtest_qmp_assert_failure_ref(qts, command, NULL);
    g_autoptr(QDict) after = query(qts);

    g_test_message("%s", command);
    assert_contains(qdict_get_str(error, "desc"), text);
    g_assert_true(qobject_is_equal(QOBJECT(before), QOBJECT(after)));
}

/* Counters */

/* @p: its pPMC, -1 for none */
static inline void assert_counter(QTestState *qts, unsigned cpu, unsigned v,
                                  const char *path, int p)
{
    g_autoptr(QDict) info = query(qts);
    QDict *c = counter(info, cpu, v);

    g_assert_cmpstr(qdict_get_str(c, "path"), ==, path);
    g_assert_cmpint(qdict_get_try_int(c, "physical-index", -1), ==, p);
    if (p >= 0) {
        g_assert_cmpstr(qdict_get_str(c, "owner"), ==, "guest");
    }
}

/* A value by which a counter is recognized */
static inline uint64_t value_of(unsigned cpu, unsigned v)
{
    return 0x100000000000 * (cpu + 1) + v + 1;
}

/* Give these counters their values, and enable them with one write. */
static inline void enable(QTestState *qts, unsigned cpu, unsigned gp,
                          unsigned fixed)
{
    uint64_t ctrl = 0;

    wrmsr(qts, cpu, GLOBAL_CTRL, 0);
    for (unsigned i = 0; i < 8; i++) {
        if (gp & 1u << i) {
            wrmsr(qts, cpu, PERFEVTSEL0 + i, ENABLE | INSTRUCTIONS);
            wrmsr(qts, cpu, PMC0 + i, value_of(cpu, i));
        }
    }
    for (unsigned j = 0; j < 3; j++) {
        if (fixed & 1u << j) {
            ctrl |= 3u << 4 * j;
            wrmsr(qts, cpu, FIXED_CTR0 + j, value_of(cpu, 8 + j));
        }
    }
    wrmsr(qts, cpu, FIXED_CTR_CTRL, ctrl);
    g_assert_cmphex(wrmsr(qts, cpu, GLOBAL_CTRL,
                          gp | (uint64_t)fixed << 32), !=, GP_FAULT);
}

static inline void assert_values(QTestState *qts, unsigned cpu, unsigned gp,
                                 unsigned fixed)
{
    for (unsigned i = 0; i < 8; i++) {
        if (gp & 1u << i) {
            g_assert_cmphex(rdmsr(qts, cpu, PMC0 + i), ==, value_of(cpu, i));
        }
    }
    for (unsigned j = 0; j < 3; j++) {
        if (fixed & 1u << j) {
            g_assert_cmphex(rdmsr(qts, cpu, FIXED_CTR0 + j), ==,
                            value_of(cpu, 8 + j));
        }
    }
}

/* Value of host counter number @n, in the order of the list. */
static inline uint64_t host_value(QTestState *qts, unsigned cpu, unsigned n)
{
    g_autoptr(QDict) info = query(qts);

    return qdict_get_int(nth(qdict_get_qlist(vcpu(info, cpu),
                                             "host-counters"), n), "value");
}

/* Statistics */

static inline QList *query_stats(QTestState *qts, const char *args)
{
    g_autofree char *command =
        g_strdup_printf("{ 'execute': 'query-stats', 'arguments': {"
                        "  'providers': [ { 'provider': 'vpmu' } ], %s } }",
                        args);
    QDict *rsp = qtest_qmp(qts, command, NULL);
    QList *list = qobject_ref(qdict_get_qlist(rsp, "return"));

    qobject_unref(rsp);
    return list;
}

static inline int64_t statistic(QDict *result, const char *name)
{
    QList *list = qdict_get_qlist(result, "stats");

    for (unsigned i = 0; i < qlist_size(list); i++) {
        if (g_str_equal(qdict_get_str(nth(list, i), "name"), name)) {
            return qdict_get_int(nth(list, i), "value");
        }
    }
    return -1;
}

/* The result of @cpu, which is a path. */
static inline QDict *result_of(QList *results, const char *cpu)
{
    for (unsigned i = 0; i < qlist_size(results); i++) {
        if (g_str_equal(qdict_get_str(nth(results, i), "qom-path"), cpu)) {
            return nth(results, i);
        }
    }
    g_assert_not_reached();
}

static inline int64_t total(QTestState *qts, const char *name)
{
    g_autoptr(QList) list = query_stats(qts, "'target': 'vm'");

    g_assert_cmpuint(qlist_size(list), ==, 1);
    return statistic(nth(list, 0), name);
}

static inline void assert_stats(QTestState *qts, int64_t hand_overs,
                                int64_t reuses, int64_t lazy_releases,
                                int64_t moves, int64_t evictions)
{
    g_assert_cmpint(total(qts, "hand-overs"), ==, hand_overs);
    g_assert_cmpint(total(qts, "reuses"), ==, reuses);
    g_assert_cmpint(total(qts, "lazy-releases"), ==, lazy_releases);
    g_assert_cmpint(total(qts, "moves"), ==, moves);
    g_assert_cmpint(total(qts, "evictions"), ==, evictions);
}

/* The guest runs until host counter @n of CPU 0 has @expected. */
static inline void wait_halted(QTestState *qts, unsigned n, uint64_t expected)
{
    uint64_t value;

    for (unsigned i = 0; i < 1000; i++) {
        run_for(qts, 10);
        value = host_value(qts, 0, n);
        if (value >= expected) {
            break;
        }
    }
    g_assert_cmpuint(value, ==, expected);
}

#endif /* TESTS_QTEST_VPMU_TEST_H */
