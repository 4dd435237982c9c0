/*
 * Last branch records from outside: properties, registers, migration
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tests/vpmu/lbr.c tests what is recorded.
 */
#include "qemu/osdep.h"
#include "qobject/qjson.h"
#include "vpmu-test.h"

#define LBR_SELECT      0x1c8
#define LBR_TOS         0x1c9
#define LBR_FROM        0x680
#define LBR_TO          0x6c0
#define LBR_INFO        0xdc0
#define DEPTH           32
/* CPUID leaf 7 EDX */
#define ARCH_LBR        (1u << 19)

#define DEBUGCTL_LBR    1
/* TR, BTS and BTINT */
#define DEBUGCTL_TRACE  0x1c0
#define LBR_FORMAT      0x3full

#define NO_BTS          (1u << 11)  /* MISC_ENABLE */
#define DS_CPL          (1u << 4)   /* CPUID leaf 1, ECX */

/* The DS area, with BTS's base, index, maximum and threshold first */
#define DS_AREA         0x600
#define AREA            0x10000
#define TRACE           0x20000
#define TRACE_RECORD    24

/* Where the loop of LOOP_CODE is: RIP, and the base of its segment */
#define LOOP_EIP        0xfff3
#define RESET_BASE      0xffff0000
/* Behind the HLT at its end */
#define HALTED_EIP      0xfff6

/* Properties */

static const BadModel bad_models[] = {
    BAD_ICX("'pmu': true, 'lbr': 'off', 'lbr-fmt': 5",
            "lbr-fmt=0x5 contradicts lbr=off: remove one of them"),
    BAD_ICX("'pmu': true, 'lbr': 'on', 'lbr-fmt': 0",
            "lbr-fmt=0x0 contradicts lbr=on: remove one of them"),
    BAD_ICX("'pmu': true, 'lbr-fmt': 4",
            "lbr-fmt=0x4 is not available: TCG has the formats 5, 6, 7 and 0x3f"),
    BAD_ICX("'pmu': true, 'lbr-fmt': 62", "lbr-fmt=0x3e is not available"),
    { "SapphireRapids", "{ 'pmu': true, 'lbr-fmt': 63, 'arch-lbr': false }",
      "lbr-fmt=0x3f contradicts arch-lbr=off: remove one of them" },
    BAD_ICX("'pmu': true, 'lbr': 'maybe'", "does not accept value 'maybe'"),
    BAD_ICX("'pmu': true, 'lbr-fmt': 63",
            "lbr-fmt: drivers expect other records of this CPU model: use "
            "lbr=off"),
    { "Haswell", "{ 'pmu': true, 'lbr': 'on' }",
      "lbr=on: drivers expect other records of this CPU model" },
    { "Haswell", "{ 'pmu': true, 'lbr-fmt': 5 }",
      "lbr-fmt: drivers expect other records of this CPU model" },
    { "SapphireRapids", "{ 'pmu': true, 'lbr-fmt': 5 }",
      "lbr-fmt: drivers expect other records of this CPU model" },
    BAD_ICX("'lbr': 'on'", "lbr needs a PMU: add pmu=on or remove lbr"),
    BAD_ICX("'bts': 'on'", "bts needs a PMU: add pmu=on or remove bts"),
    BAD_ICX("'pmu': true, 'pebs': 'off', 'bts': 'on'",
            "bts=on needs the DS area: remove it, or pebs=off"),
    BAD_ICX("'pmu': true, 'dtes64': false, 'bts': 'on'",
            "bts=on needs the DS area: remove it, or pebs=off"),
    { "EPYC", "{ 'pmu': true, 'bts': 'on' }",
      "bts=on needs a CPU model with vendor GenuineIntel" },
    { "EPYC", "{ 'pmu': true, 'lbr': 'on' }",
      "lbr=on needs a CPU model with vendor GenuineIntel" },
    { "EPYC", "{ 'pmu': true, 'lbr-fmt': 5 }",
      "lbr-fmt needs a CPU model with vendor GenuineIntel" },
};

static void test_properties(void)
{
    static const char *const good[] = {
        "'pmu': true, 'lbr': 'off', 'lbr-fmt': 0",
        "'pmu': true, 'lbr': 'on', 'lbr-fmt': 7",
        "'pmu': true, 'lbr': 'auto'", "'lbr': 'off'", "'lbr-fmt': 4",
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    assert_bad_models(qts, bad_models, G_N_ELEMENTS(bad_models));
    assert_good_models(qts, good, G_N_ELEMENTS(good));
    qtest_quit(qts);
}

/* What an expansion shows of @props, which gives the same records again */
static QDict *expand(QTestState *qts, const char *model, const char *props)
{
    static const char *const names[] = { "pmu", "lbr", "lbr-fmt", "bts" };
    g_autofree char *command = expansion(model, props);
    g_autoptr(QDict) rsp = qtest_qmp_assert_success_ref(qts, command, NULL);
    QDict *all = qdict_get_qdict(qdict_get_qdict(rsp, "model"), "props");
    QDict *shown = qdict_new();

    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        qdict_put_obj(shown, names[i], qobject_ref(qdict_get(all, names[i])));
    }
    return shown;
}

static void test_expansion(void)
{
    static const struct {
        const char *model, *props;
        unsigned format;
    } table[] = {
        { "Icelake-Server-v6", "{ 'pmu': true }", 5 },
        { "Icelake-Server-v6", "{ 'pmu': true, 'lbr-fmt': 7 }", 7 },
        { "Icelake-Server-v6", "{ 'pmu': true, 'lbr': 'off' }", 0 },
        { "Icelake-Server-v6", "{ 'pmu': true, 'lbr-fmt': 0 }", 0 },
        { "Icelake-Server-v6", "{ 'pmu': true, 'bts': 'on' }", 5 },
        { "Haswell", "{ 'pmu': true }", 0 },
        { "SapphireRapids", "{ 'pmu': true }", 0x3f },
        { "EPYC-Genoa", "{ 'pmu': true }", 0 },
    };
    QTestState *qts = qtest_init("-accel tcg -machine none");

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autoptr(QDict) first = expand(qts, table[i].model, table[i].props);
        g_autoptr(GString) json = qobject_to_json(QOBJECT(first));
        g_autoptr(QDict) again = expand(qts, table[i].model, json->str);

        g_test_message("%s %s", table[i].model, json->str);
        g_assert_cmpuint(qdict_get_int(first, "lbr-fmt"), ==, table[i].format);
        g_assert_cmpstr(qdict_get_str(first, "lbr"), ==,
                        table[i].format ? "on" : "off");
        g_assert_true(qobject_is_equal(QOBJECT(first), QOBJECT(again)));
    }
    qtest_quit(qts);
}

/* A plugged CPU has the same records as the first one. */
static void test_hotplug(void)
{
    static const char *const other[] = {
        "'lbr': 'off'", "'lbr-fmt': 7", "'bts': 'on'",
    };
    QTestState *qts = qtest_init(ARGS "-smp 1,sockets=2,maxcpus=2 -cpu "
                                 INTEL ",pmu=on");

    assert_plugs_same(qts, other, G_N_ELEMENTS(other));
    g_assert_cmphex(wrmsr(qts, 1, LBR_FROM + 31, 0x1000), ==, 0x1000);
    qtest_quit(qts);
}

/* QMP and HMP give the same reason why there is no @what. */
static void check_reason(const char *hmp, const char *what, const char *given,
                         const char *reason)
{
    g_autofree char *says = g_strdup_printf("%s: none (%s)\r\n", what, given);

    assert_contains(given, reason);
    assert_contains(hmp, says);
}

/*
 * PERF_CAPABILITIES, QMP and HMP; @format 0: there are no records, for this
 * @reason if there is a PMU
 */
static void check_announced(QTestState *qts, unsigned format,
                            const char *reason)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");
    QDict *lbr = qdict_get_qdict(info, "lbr");
    g_autofree char *says =
        g_strdup_printf("LBR: 32 records of format %u\r\n", format);

    if (!format) {
        g_assert_null(lbr);
        if (strcmp(qdict_get_str(info, "mode"), "none")) {
            check_reason(hmp, "LBR", qdict_get_str(info, "lbr-reason"), reason);
        } else {
            g_assert_false(qdict_haskey(info, "lbr-reason"));
            g_assert_null(strstr(hmp, "LBR"));
        }
        return;
    }
    g_assert_false(qdict_haskey(info, "lbr-reason"));
    g_assert_cmphex(rdmsr(qts, 0, PERF_CAPABILITIES) & LBR_FORMAT, ==, format);
    g_assert_cmpint(qdict_get_int(lbr, "format"), ==, format);
    g_assert_cmpint(qdict_get_int(lbr, "depth"), ==, DEPTH);
    assert_contains(hmp, says);
    g_assert_cmphex(!!(cpuid(qts, 7, 3) & ARCH_LBR), ==, format == 0x3f);
    if (cpuid(qts, 0, 0) >= 0x1c || format == 0x3f) {
        g_assert_cmphex(cpuid(qts, 0x1c, 0), ==, format == 0x3f ? 0xb : 0);
    }
}

static void test_models(void)
{
    static const struct {
        const char *cpu;
        unsigned format;
        const char *reason;
    } table[] = {
        { "Icelake-Server-v6,pmu=on", 5 },
        { "Icelake-Server-v6,pmu-passthrough=on", 5 },
        { "Icelake-Server-v6,pmu=on,lbr=off", 0, "switched off by lbr=off" },
        { "Icelake-Server-v6,pmu=on,lbr-fmt=0", 0, "lbr-fmt=0" },
        { "Icelake-Server-v6,pmu=on,lbr-fmt=7", 7 },
        { "Icelake-Server-v6,pmu=off", 0 },
        { "Skylake-Client,pmu=on", 5 },
        { "Denverton,pmu=on", 6 },
        { "Snowridge,pmu=on", 7 },
        { "Haswell,pmu=on", 0, "use one from Skylake on" },
        { "Haswell,pmu=on,lbr=off", 0, "without lbr=off" },
        { "qemu64,vendor=GenuineIntel,model=200,pmu=on", 0, "use lbr=on" },
        { "qemu64,vendor=GenuineIntel,model=200,pmu=on,lbr=on", 5 },
        { "qemu64,vendor=GenuineIntel,model=200,pmu=on,lbr-fmt=63", 0x3f },
        { "SapphireRapids,pmu=on", 0x3f },
        { "GraniteRapids,pmu=on", 0x3f },
        { "SierraForest,pmu=on", 0x3f },
        { "SapphireRapids,pmu=on,lbr=off", 0, "switched off by lbr=off" },
        { "SapphireRapids,pmu=on,arch-lbr=off", 0, "arch-lbr=off" },
        { "EPYC-Genoa,pmu=on", 0, "AMD models has none" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null",
                                      table[i].cpu);

        g_test_message("%s", table[i].cpu);
        check_announced(qts, table[i].format, table[i].reason);
        qtest_quit(qts);
    }
}

/* QMP and HMP say whether there is BTS, and whether it @runs. */
static void check_bts(QTestState *qts, bool bts, bool runs)
{
    g_autoptr(QDict) info = query(qts);
    g_autofree char *hmp = qtest_hmp(qts, "info vpmu");

    g_assert_cmpint(qdict_get_bool(info, "bts"), ==, bts);
    g_assert_cmpint(qdict_get_bool(vcpu(info, 0), "bts-running"), ==, runs);
    g_assert_cmpint(!!strstr(hmp, "CPU #0, BTS is running\r\n"), ==, runs);
    if (bts) {
        g_assert_false(qdict_haskey(info, "bts-reason"));
        assert_contains(hmp, "BTS: available\r\n");
    } else {
        check_reason(hmp, "BTS", qdict_get_str(info, "bts-reason"),
                     "add bts=on to -cpu");
    }
}

/* Branch trace store */
static void test_bts(void)
{
    static const struct {
        const char *props;
        bool bts;
    } table[] = {
        { "pmu=on", false },
        { "pmu=on,bts=on,lbr=off", true },
        { "pmu-passthrough=on,bts=on", true },
        { "pmu=on,bts=off", false },
        { "pmu=on,pebs=off", false },
    };
    /* TR, BTS, BTS_OFF_OS, BTS_OFF_USR */
    static const struct {
        unsigned debugctl;
        bool runs;
    } running[] = {
        { 0xc0, true }, { 0x2c0, true }, { 0x4c0, true }, { 0x6c0, false },
        { 0x80, false }, { 0x40, false }, { 0, false },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",%s",
                                      table[i].props);
        bool bts = table[i].bts;

        g_test_message("%s", table[i].props);
        g_assert_cmphex(rdmsr(qts, 0, MISC_ENABLE) & NO_BTS, ==,
                        bts ? 0 : NO_BTS);
        g_assert_cmphex(cpuid(qts, 1, 2) & DS_CPL, ==, bts ? DS_CPL : 0);
        g_assert_cmphex(wrmsr(qts, 0, DEBUGCTL, 0x7c0), !=, GP_FAULT);
        g_assert_cmphex(rdmsr(qts, 0, DEBUGCTL), ==, bts ? 0x7c0 : 0);
        /* No ring is left. */
        check_bts(qts, bts, false);
        for (unsigned k = 0; k < G_N_ELEMENTS(running); k++) {
            wrmsr(qts, 0, DEBUGCTL, running[k].debugctl);
            check_bts(qts, bts, bts && running[k].runs);
        }
        qtest_quit(qts);
    }
}

/* Guests that run */

static void assert_record(QTestState *qts, unsigned i, uint64_t from,
                          uint64_t to, uint64_t info)
{
    g_assert_cmphex(rdmsr(qts, 0, LBR_FROM + i), ==, from);
    g_assert_cmphex(rdmsr(qts, 0, LBR_TO + i), ==, to);
    if (info != GP_FAULT) {
        g_assert_cmphex(rdmsr(qts, 0, LBR_INFO + i), ==, info);
    }
}

/* Start a guest that has its branches recorded until it halts. */
static QTestState *run_loop(const char *props, const File *rom)
{
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",apic=off,%s -bios %s",
                                  props, rom->path);

    g_assert_cmphex(wrmsr(qts, 0, DEBUGCTL, DEBUGCTL_LBR), ==, DEBUGCTL_LBR);
    do {
        run_for(qts, 10);
    } while (rdmsr(qts, 0, LBR_TOS) != (LOOPS - 1) % DEPTH);
    return qts;
}

/* The formats in a segment that has a base */
static void test_formats(void)
{
    static const struct {
        const char *props;
        uint64_t address, to_more, info;
    } table[] = {
        { "pmu=on", LOOP_EIP, 0, 1 },
        { "pmu=on,lbr-fmt=7", RESET_BASE + LOOP_EIP, 0, 1 },
        { "pmu=on,lbr-fmt=6", RESET_BASE + LOOP_EIP, 1ull << 48, GP_FAULT },
    };
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        QTestState *qts = run_loop(table[i].props, rom);

        g_test_message("%s", table[i].props);
        for (unsigned k = 0; k < DEPTH; k++) {
            assert_record(qts, k, table[i].address,
                          table[i].address + table[i].to_more, table[i].info);
        }
        qtest_quit(qts);
    }
}

/* Room for five branches of the loop: the others are dropped, and counted. */
static void test_bts_dropped(void)
{
    const uint64_t at = RESET_BASE + LOOP_EIP;
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu=on,bts=on -bios %s",
                                  rom->path);

    qtest_writeq(qts, AREA, TRACE);
    qtest_writeq(qts, AREA + 8, TRACE);
    qtest_writeq(qts, AREA + 16, TRACE + 5 * TRACE_RECORD);
    qtest_writeq(qts, AREA + 24, TRACE + 3 * TRACE_RECORD);
    qtest_memset(qts, TRACE, 0, 6 * TRACE_RECORD);
    wrmsr(qts, 0, DS_AREA, AREA);
    wrmsr(qts, 0, DEBUGCTL, DEBUGCTL_TRACE);
    for (unsigned i = 0;
         i < 1000 && total(qts, "bts-records-dropped") < LOOPS - 1 - 5; i++) {
        run_for(qts, 10);
    }
    g_assert_cmpint(total(qts, "bts-records-dropped"), ==, LOOPS - 1 - 5);
    g_assert_cmpint(total(qts, "pmis"), ==, 1);
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_STATUS), ==, 1ull << 62);
    g_assert_cmphex(qtest_readq(qts, AREA + 8), ==, TRACE + 5 * TRACE_RECORD);
    for (unsigned i = 0; i < 6; i++) {
        g_assert_cmphex(qtest_readq(qts, TRACE + i * TRACE_RECORD), ==,
                        i < 5 ? at : 0);
    }
    qtest_quit(qts);
}

/* A reset clears the records and ends the recording. */
static void test_reset(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    QTestState *qts = run_loop("pmu=on", rom);

    wrmsr(qts, 0, LBR_SELECT, 0x2c4);
    qtest_system_reset(qts);
    g_assert_cmphex(rdmsr(qts, 0, DEBUGCTL), ==, 0);
    g_assert_cmphex(rdmsr(qts, 0, LBR_SELECT), ==, 0);
    run_for(qts, 50);
    g_assert_cmphex(rdmsr(qts, 0, LBR_TOS), ==, 0);
    for (unsigned k = 0; k < DEPTH; k++) {
        assert_record(qts, k, 0, 0, 0);
    }
    qtest_quit(qts);
}

/* Migration */

/*
 * An NMI wakes the guest, and is recorded: 2 cycles after the last branch, the
 * LOOP that ends the loop and HLT.
 */
static void assert_goes_on(QTestState *qts)
{
    const unsigned last = (LOOPS - 1) % DEPTH;

    g_assert_cmphex(rdmsr(qts, 0, LBR_TOS), ==, last);
    assert_record(qts, last, LOOP_EIP, LOOP_EIP, 1);
    g_assert_cmphex(rdmsr(qts, 0, DEBUGCTL), ==, DEBUGCTL_LBR);
    /* The vector is 0:0, where there is HLT. */
    qtest_writeb(qts, 0, 0xf4);
    cont(qts);
    qtest_qmp_assert_success(qts, "{ 'execute': 'inject-nmi' }");
    do {
        run_for(qts, 10);
    } while (rdmsr(qts, 0, LBR_TOS) == last);
    g_assert_cmphex(rdmsr(qts, 0, LBR_TOS), ==, (last + 1) % DEPTH);
    assert_record(qts, (last + 1) % DEPTH, HALTED_EIP, 0, 2);
}

static void test_migration(void)
{
    g_autoptr(File) rom = rom_new(LOOP_CODE, sizeof(LOOP_CODE));
    g_autoptr(File) file = file_new("stream");
    QTestState *from = run_loop("pmu=on", rom);
    QTestState *to;

    migrate(from, file);
    assert_goes_on(from);
    qtest_quit(from);
    to = qtest_initf(ARGS "-cpu " INTEL ",apic=off,pmu=on -bios %s "
                     "-incoming %s", rom->path, file->uri);
    wait_migrated(to);
    assert_goes_on(to);
    qtest_quit(to);
}

static void test_migration_refused(void)
{
    static const struct {
        const char *from, *to, *message;
    } sides[] = {
        { "pmu=on", "pmu=on,lbr=off", "it would see version 5, 8 "
          "general-purpose counters, fixed counters of mask 0x7, PEBS 0x4400, "
          "LBR format 0" },
        { "pmu=on", "pmu=on,lbr-fmt=7", "LBR format 7" },
        { "pmu=on,lbr-fmt=6", "pmu=on", "LBR format 5" },
        { "pmu=on,bts=on", "pmu=on,bts=off", ", BTS" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(sides); i++) {
        g_autoptr(File) file = file_new("refused");
        QTestState *from = qtest_initf(ARGS "-cpu " INTEL ",%s",
                                       sides[i].from);
        g_autofree char *cpu = g_strdup_printf(INTEL ",%s", sides[i].to);
        g_autofree char *said = NULL;

        migrate(from, file);
        qtest_quit(from);
        migrate_refused(cpu, file, &said);
        assert_contains(said, "start it with the source's properties");
        assert_contains(said, sides[i].message);
    }
}

/*
 * A guest that has found no records, of an emulator from before there were some
 * or with lbr=off, goes on where there are.
 */
static void test_migration_none(void)
{
    g_autoptr(File) file = file_new("none");
    QTestState *from = qtest_init(ARGS "-cpu " INTEL ",pmu=on,lbr=off");
    QTestState *to;
    g_autofree char *data = NULL;
    gsize size;

    migrate(from, file);
    qtest_quit(from);
    g_assert_true(g_file_get_contents(file->path, &data, &size, NULL));
    g_assert_null(memmem(data, size, "cpu/vpmu/lbr", 12));
    to = qtest_initf(ARGS "-cpu " INTEL ",pmu=on -incoming %s", file->uri);
    wait_migrated(to);
    g_assert_cmphex(wrmsr(to, 0, LBR_FROM, 0x1234), ==, 0x1234);
    qtest_quit(to);
}

int main(int argc, char **argv)
{
    if (test_init(&argc, &argv)) {
        qtest_add_func("/vpmu-lbr/properties", test_properties);
        qtest_add_func("/vpmu-lbr/expansion", test_expansion);
        qtest_add_func("/vpmu-lbr/hotplug", test_hotplug);
        qtest_add_func("/vpmu-lbr/models", test_models);
        qtest_add_func("/vpmu-lbr/bts", test_bts);
        qtest_add_func("/vpmu-lbr/bts-dropped", test_bts_dropped);
        qtest_add_func("/vpmu-lbr/formats", test_formats);
        qtest_add_func("/vpmu-lbr/reset", test_reset);
        qtest_add_func("/vpmu-lbr/migration", test_migration);
        qtest_add_func("/vpmu-lbr/migration-refused", test_migration_refused);
        qtest_add_func("/vpmu-lbr/migration-none", test_migration_none);
    }
    return g_test_run();
}
