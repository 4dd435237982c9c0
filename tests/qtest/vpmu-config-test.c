/*
 * Which virtual PMU a command line gives: properties, CPUID, KVM's modes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/host-utils.h"
#include "vpmu-test.h"

static void assert_no_pmu(QTestState *qts)
{
    for (unsigned reg = 0; reg < 4; reg++) {
        g_assert_cmphex(cpuid(qts, 0xa, reg), ==, 0);
    }
    g_assert_cmphex(cpuid(qts, 1, 2) & PDCM, ==, 0);
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
            g_assert_cmphex(rdmsr(qts, 0, PERF_CAPABILITIES), ==, 0x64c5);

            /* One counter more than there are */
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

/* The counters that the guest sees work, and no others. */
static void check_visible(QTestState *qts, unsigned version, unsigned nr_gp,
                          unsigned fixed)
{
    unsigned contiguous = ctz32(~fixed);
    uint64_t visible = ((1u << nr_gp) - 1) | (uint64_t)fixed << 32;

    g_assert_cmphex(cpuid(qts, 0xa, 0), ==,
                    version | nr_gp << 8 | 48 << 16 | 7 << 24);
    g_assert_cmphex(cpuid(qts, 0xa, 2), ==, version >= 5 ? fixed : 0);
    g_assert_cmphex(cpuid(qts, 0xa, 3), ==, contiguous | 48 << 5 |
                    (version >= 5 ? 1 << 15 : 0));
    g_assert_cmphex(rdmsr(qts, 0, GLOBAL_CTRL), ==, visible & 0xff);

    for (unsigned i = 0; i < 35; i++) {
        bool there = visible >> i & 1;
        uint64_t fault = there ? 0 : GP_FAULT;

        if (i < 8) {
            g_assert_cmphex(rdmsr(qts, 0, PMC0 + i), ==, fault);
            g_assert_cmphex(wrmsr(qts, 0, PMC0 + i, 0), ==, fault);
            g_assert_cmphex(rdmsr(qts, 0, PERFCTR0 + i), ==, fault);
            g_assert_cmphex(wrmsr(qts, 0, PERFCTR0 + i, 0), ==, fault);
            g_assert_cmphex(rdmsr(qts, 0, PERFEVTSEL0 + i), ==, fault);
            g_assert_cmphex(wrmsr(qts, 0, PERFEVTSEL0 + i, 0), ==, fault);
            g_assert_cmphex(rdpmc(qts, 0, i), ==, fault);
        } else if (i >= 32) {
            g_assert_cmphex(rdmsr(qts, 0, FIXED_CTR0 + i - 32), ==, fault);
            g_assert_cmphex(wrmsr(qts, 0, FIXED_CTR0 + i - 32, 0), ==, fault);
            g_assert_cmphex(rdpmc(qts, 0, 1u << 30 | (i - 32)), ==, fault);
            g_assert_cmpint(wrmsr(qts, 0, FIXED_CTR_CTRL,
                                  1u << 4 * (i - 32)) != GP_FAULT, ==, there);
        }
        g_assert_cmpint(wrmsr(qts, 0, GLOBAL_CTRL, 1ull << i) != GP_FAULT, ==,
                        there);
        g_assert_cmpint(wrmsr(qts, 0, GLOBAL_OVF_CTRL, 1ull << i) != GP_FAULT,
                        ==, there);
    }
}

static void test_visible(void)
{
    static const struct {
        const char *host;
        unsigned nr_gp;
        unsigned fixed;
        /* Those of @fixed without a gap below them */
        unsigned low;
    } granted[] = {
        { "pmu-host-gp=0", 8, 7, 7 },
        { "pmu-host-gp=7", 1, 7, 7 },
        { "pmu-host-gp=3,pmu-host-order=low", 5, 7, 7 },
        { "pmu-gp-counters=4,pmu-host-gp=1", 3, 7, 7 },
        { "pmu-host-fixed=0", 8, 6, 0 },
        { "pmu-host-fixed=1", 8, 5, 1 },
        { "pmu-host-fixed=2", 8, 3, 3 },
        { "pmu-host-gp=2,pmu-host-fixed=0:2", 6, 2, 0 },
        { "pmu-host-fixed=2:1:0", 8, 0, 0 },
    };

    for (unsigned version = 2; version <= 5; version++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(granted); i++) {
            QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ","
                                          "pmu-passthrough=on,pmu-version=%u,"
                                          "%s", version, granted[i].host);

            check_visible(qts, version, granted[i].nr_gp,
                          version >= 5 ? granted[i].fixed : granted[i].low);
            qtest_quit(qts);
        }
    }
    /* All counters are visible, whatever is reserved. */
    for (unsigned version = 2; version <= 5; version++) {
        QTestState *qts = qtest_initf(ARGS "-cpu " INTEL ",pmu-visible=all,"
                                      "pmu-passthrough=auto,pmu-version=%u,"
                                      "pmu-gp-counters=6,pmu-host-gp=6,"
                                      "pmu-host-fixed=1", version);

        check_visible(qts, version, 6, 7);
        qtest_quit(qts);
    }
}

/* Command lines that have no PMU, stock QEMU's among them. */
static void test_none(void)
{
    static const char *const cpus[] = {
        "max", "max,vendor=GenuineIntel", "qemu64", INTEL, INTEL ",pmu=off",
        "EPYC-Genoa", "EPYC-Genoa,pmu=off", "Dhyana,pmu=on",
        "Dhyana,pmu-passthrough=auto",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(cpus); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s 2>/dev/null", cpus[i]);

        g_test_message("%s", cpus[i]);
        assert_no_pmu(qts);
        qtest_quit(qts);
    }
}

/* Properties */

static const BadModel bad_pmus[] = {
    BAD_ICX("'pmu': true, 'pmu-version': 1",
            "pmu-version=1 is out of range: use 2 to 5"),
    BAD_ICX("'pmu': true, 'pmu-version': 6",
            "pmu-version=6 is out of range: use 2 to 5"),
    BAD_ICX("'pmu': true, 'pmu-gp-counters': 9",
            "pmu-gp-counters=9 is out of range: use 1 to 8"),
    BAD_ICX("'pmu-version': 4", "pmu-version needs a PMU: add pmu=on"),
    BAD_ICX("'pmu-gp-counters': 4", "pmu-gp-counters needs a PMU: add pmu=on"),
    BAD_ICX("'pmu': false, 'pmu-version': 4",
            "pmu-version needs a PMU: add pmu=on"),
    { "Dhyana", "{ 'pmu': true, 'pmu-version': 4 }",
      "pmu-version needs a CPU model with vendor GenuineIntel or "
      "AuthenticAMD" },
    { "Dhyana", "{ 'pmu': true, 'pmu-gp-counters': 4 }",
      "pmu-gp-counters needs a CPU model with vendor GenuineIntel or "
      "AuthenticAMD" },
    { "max", "{ 'pmu-version': 2 }", "pmu-version needs a PMU: add pmu=on" },
};

static const BadModel bad_passthroughs[] = {
    BAD_ICX("'pmu': false, 'pmu-passthrough': 'on'",
            "pmu-passthrough=on contradicts pmu=off"),
    BAD_ICX("'pmu': false, 'pmu-passthrough': 'auto'",
            "pmu-passthrough=auto contradicts pmu=off"),
    { "EPYC", "{ 'pmu': false, 'pmu-passthrough': 'on' }",
      "pmu-passthrough=on contradicts pmu=off" },
    BAD_ICX("'pmu': true, 'pmu-host-gp': 1",
            "pmu-host-gp needs pmu-passthrough: add pmu-passthrough=on"),
    BAD_ICX("'pmu': true, 'pmu-host-fixed': '0'",
            "pmu-host-fixed needs pmu-passthrough: add pmu-passthrough=on"),
    BAD_ICX("'pmu': true, 'pmu-host-order': 'low'",
            "pmu-host-order needs pmu-passthrough: add pmu-passthrough=on"),
    BAD_ICX("'pmu': true, 'pmu-visible': 'all'",
            "pmu-visible needs pmu-passthrough: add pmu-passthrough=on"),
    BAD_ICX("'pmu': true, 'pmu-slice-ms': 11",
            "pmu-slice-ms needs pmu-passthrough: add pmu-passthrough=on"),
    { "EPYC", "{ 'pmu-host-gp': 1 }",
      "pmu-host-gp needs pmu-passthrough: add pmu-passthrough=on" },
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-slice-ms': 0",
            "pmu-slice-ms=0 is out of range: use 1 or more"),
    { "Dhyana", "{ 'pmu-passthrough': 'auto', 'pmu-host-gp': 1 }",
      "pmu-host-gp needs a CPU model with vendor GenuineIntel or "
      "AuthenticAMD" },
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-gp-counters': 4, 'pmu-host-gp': 5",
            "pmu-host-gp=5 is more than the 4 general-purpose counters that "
            "there are: use 0 to 4"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-gp': 9",
            "pmu-host-gp=9 is more than the 8 general-purpose counters that "
            "there are: use 0 to 8"),
    BAD_ICX("'pmu-passthrough': 'auto', 'pmu-host-gp': 8",
            "pmu-host-gp=8 leaves the guest none of the 8 general-purpose "
            "counters: use 0 to 7, or pmu-visible=all"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': '3'",
            "pmu-host-fixed=3: '3' is not a fixed"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': '0:0'",
            "pmu-host-fixed=0:0 names fixed counter 0 twice: name it once"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': 'a'",
            "pmu-host-fixed=a: 'a' is not a fixed"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': '0,2'",
            "pmu-host-fixed=0,2: '0,2' is not a fixed counter: use the "
            "indices 0 to 2 with colons between them, as in 0:2"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': '0:'",
            "pmu-host-fixed=0:: '' is not a fixed"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-fixed': '12'",
            "pmu-host-fixed=12: '12' is not a fixed"),
    BAD_ICX("'pmu-passthrough': 'maybe'", "does not accept value 'maybe'"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-host-order': 'up'",
            "does not accept value 'up'"),
    BAD_ICX("'pmu-passthrough': 'on', 'pmu-visible': 'some'",
            "does not accept value 'some'"),
    { "Dhyana", "{ 'pmu-passthrough': 'on' }",
      "pmu-passthrough=on is not available: under TCG it needs a CPU model "
      "with vendor GenuineIntel or AuthenticAMD, for example "
      "Icelake-Server-v6 or EPYC-Genoa" },
};

static void test_properties(void)
{
    QTestState *qts = qtest_init("-accel tcg -machine none");

    assert_bad_models(qts, bad_pmus, G_N_ELEMENTS(bad_pmus));
    assert_bad_models(qts, bad_passthroughs, G_N_ELEMENTS(bad_passthroughs));
    qtest_quit(qts);
}

/*
 * Run the emulator until its monitor reads "quit", or until it ends because of
 * @args.  Returns: its output.
 */
static char *run_emulator(const char *args, bool starts)
{
    g_autofree char *command =
        g_strdup_printf("sh -c 'echo quit | exec %s -nodefaults -S "
                        "-display none -monitor stdio %s 2>&1'",
                        getenv("QTEST_QEMU_BINARY"), args);
    char *said = NULL;
    int status;

    g_test_message("%s", args);
    g_assert_true(g_spawn_command_line_sync(command, &said, NULL, &status,
                                            NULL));
    g_assert_true(WIFEXITED(status));
    g_assert_cmpint(WEXITSTATUS(status), ==, starts ? 0 : EXIT_FAILURE);
    return said;
}

static void check_message(const char *args, bool starts, const char *text)
{
    g_autofree char *said = run_emulator(args, starts);

    assert_contains(said, text);
}

/* The messages that a command line leads to */
static void test_command_line(void)
{
    static const struct {
        const char *args;
        bool starts;
        const char *says;
    } table[] = {
        { "-accel tcg -cpu " INTEL ",pmu-passthrough=on,pmu=off", false,
          "pmu-passthrough=on contradicts pmu=off: remove one of them" },
        { "-accel tcg -cpu " INTEL ",pmu-passthrough=on,pmu-host-fixed=0:",
          false, "pmu-host-fixed=0:: " },
        { "-accel tcg -cpu Dhyana,pmu-passthrough=on", false,
          "pmu-passthrough=on is not available: under TCG it needs a CPU model "
          "with vendor GenuineIntel" },
        { "-accel tcg -cpu Dhyana,pmu-passthrough=auto", true,
          "warning: pmu-passthrough=auto: the guest has no PMU: under TCG it "
          "needs a CPU model with vendor GenuineIntel" },
        { "-accel tcg -cpu Dhyana,pmu=on", true,
          "warning: pmu=on has no effect: the software PMU needs a CPU model "
          "with vendor GenuineIntel" },
        { "-accel qtest -cpu qemu64,pmu-passthrough=on", false,
          "pmu-passthrough=on is not available: this accelerator has no "
          "virtual PMU" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        check_message(table[i].args, table[i].starts, table[i].says);
    }
}

/*
 * A feature of a PMU that is not there is missing, and says what it needs: it
 * is left out with a warning, and enforce refuses it.
 */
static void test_missing(void)
{
    static const struct {
        const char *cpu, *feature, *says;
    } table[] = {
        { INTEL, "pdcm", "TCG has pdcm only with pmu=on and a CPU model with "
          "vendor GenuineIntel" },
        { INTEL, "ds", "TCG has ds only with pmu=on, without pebs=off" },
        { INTEL, "dtes64", "TCG has dtes64 only with pmu=on, without pebs=off" },
        { INTEL ",pmu=on,pebs=off", "ds", "TCG has ds only with pmu=on, "
          "without pebs=off" },
        { "qemu64,pmu=on", "pdcm", "TCG has pdcm only with pmu=on and a CPU "
          "model with vendor GenuineIntel" },
        { INTEL ",pmu=on", "arch-lbr", "TCG has arch-lbr only with pmu=on and "
          "lbr-fmt=0x3f" },
        { "qemu64", "perfctr-core", "TCG has perfctr-core only with pmu=on and "
          "a CPU model with vendor AuthenticAMD" },
        { "qemu64", "perfmon-v2", "TCG has perfmon-v2 only with pmu=on" },
        { INTEL ",pmu=on", "perfctr-core", "TCG has perfctr-core only with "
          "pmu=on and a CPU model with vendor AuthenticAMD" },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_autofree char *args = g_strdup_printf("-accel tcg -cpu %s,%s=on",
                                                table[i].cpu,
                                                table[i].feature);
        g_autofree char *enforce = g_strconcat(args, ",enforce", NULL);
        g_autofree char *unchecked = g_strconcat(args, ",check=off", NULL);
        g_autofree char *said = run_emulator(unchecked, true);

        g_test_message("%s", args);
        check_message(args, true, table[i].says);
        check_message(enforce, false, table[i].says);
        check_message(enforce, false, "doesn't support requested features");
        g_assert_null(strstr(said, table[i].feature));
    }
}

/* There is no message where everything is in order. */
static void test_quiet(void)
{
    static const char *const args[] = {
        "-accel tcg -cpu max", "-accel tcg -cpu " INTEL ",pmu=on",
        "-accel tcg -cpu " INTEL ",pmu-passthrough=on,pmu-host-gp=2,"
        "pmu-host-fixed=0:2,pmu-host-order=low,pmu-visible=all,pmu-slice-ms=1",
        "-accel tcg -cpu " INTEL ",pmu=on,pmu-passthrough=auto",
        "-accel tcg -cpu " INTEL ",pmu=off,pmu-passthrough=off",
        "-accel tcg -cpu " INTEL ",pmu=on,pdcm=on,ds=on,dtes64=on,enforce",
        "-accel tcg -cpu qemu64,pmu=on,perfctr-core=on,enforce",
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(args); i++) {
        g_autofree char *said = run_emulator(args[i], true);

        g_assert_null(strstr(said, "pmu"));
        g_assert_null(strstr(said, "warning"));
    }
}

/* The properties in the expansion of a model */
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
        g_assert_cmpstr(qdict_get_str(props, "pmu-passthrough"), ==, "off");
        g_assert_cmpint(qdict_get_int(props, "pmu-host-gp"), ==, 0);
        g_assert_cmpstr(qdict_get_str(props, "pmu-host-fixed"), ==, "");
        g_assert_cmpstr(qdict_get_str(props, "pmu-host-order"), ==, "high");
        g_assert_cmpstr(qdict_get_str(props, "pmu-visible"), ==, "granted");
        g_assert_cmpint(qdict_get_int(props, "pmu-slice-ms"), ==, 10);
    }
    qtest_quit(qts);
}

/* All CPUs have the same PMU. */
static void test_hotplug(void)
{
    static const char *const other[] = {
        "'pmu-version': 3", "'pmu-gp-counters': 7", "'pmu-host-gp': 1",
        "'pmu-host-fixed': '1'", "'pmu-host-order': 'low'",
        "'pmu-visible': 'all'", "'pmu-slice-ms': 11",
        "'pmu-passthrough': 'auto'", "'vendor': 'AuthenticAMD'",
    };
    QTestState *qts = qtest_init(ARGS "-smp 1,sockets=2,maxcpus=2 -cpu "
                                 INTEL ",pmu-passthrough=on");
    g_autofree char *same = plug_command(NULL);
    g_autoptr(QDict) info = NULL;

    for (unsigned i = 0; i < G_N_ELEMENTS(other); i++) {
        g_autofree char *command = plug_command(other[i]);
        g_autofree char *property = g_strndup(other[i] + 1,
                                              strcspn(other[i] + 1, "'"));
        g_autoptr(QDict) error = qtest_qmp_assert_failure_ref(qts, command,
                                                              NULL);
        const char *text = qdict_get_str(error, "desc");
        g_autofree char *mine = NULL, *first = NULL;
        const char *at;

        g_test_message("%s", other[i]);
        assert_contains(text, "all CPUs of a machine have the same PMU, "
                        "but this CPU has ");
        assert_contains(text, "give the PMU's properties in -cpu");
        /* The message has the property of both sides, and they differ. */
        at = strstr(text, property);
        g_assert_nonnull(at);
        mine = g_strndup(at, strcspn(at, ",;"));
        at = strstr(at + 1, property);
        g_assert_nonnull(at);
        first = g_strndup(at, strcspn(at, ",;"));
        g_assert_cmpstr(mine, !=, first);
    }
    qtest_qmp_assert_success(qts, same, NULL);
    wrmsr(qts, 1, PMC0 + 7, 4711);
    info = query(qts);
    g_assert_cmpuint(qlist_size(qdict_get_qlist(info, "cpus")), ==, 2);
    g_assert_cmpint(qdict_get_int(counter(info, 0, 7), "value"), ==, 0);
    g_assert_cmpint(qdict_get_int(counter(info, 1, 7), "value"), ==, 4711);
    qtest_quit(qts);
}

/* KVM as it is on this machine */

static char kvm_parameter(const char *module, const char *name)
{
    g_autofree char *path = g_strdup_printf("/sys/module/%s/parameters/%s",
                                            module, name);
    g_autofree char *value = NULL;

    return g_file_get_contents(path, &value, NULL, NULL) ? value[0] : 0;
}

static bool kvm_mediated(void)
{
    return kvm_parameter("kvm_intel", "enable_mediated_pmu") == 'Y' ||
           kvm_parameter("kvm_amd", "enable_mediated_pmu") == 'Y';
}

static void check_kvm(const char *cpu, const char *mode, const char *reason,
                      const char *reservation)
{
    QTestState *qts = qtest_initf("-accel kvm -S -nodefaults -machine pc "
                                  "-cpu %s 2>/dev/null", cpu);
    g_autoptr(QDict) error =
        qtest_qmp_assert_failure_ref(qts, "{ 'execute':"
                                     "  'vpmu-reserve-host-counters',"
                                     "  'arguments': { 'gp': 1 } }");

    g_test_message("%s", cpu);
    assert_mode(qts, mode, reason);
    assert_contains(qdict_get_str(error, "desc"), reservation);
    qtest_quit(qts);
}

static void test_kvm(void)
{
    int fd = open("/dev/kvm", O_RDWR);
    g_autofree char *said = NULL;
    g_autoptr(QDict) info = NULL;
    QTestState *qts;

    if (fd < 0 || !qtest_has_accel("kvm")) {
        g_test_skip(fd < 0 ? "/dev/kvm cannot be opened" :
                             "this emulator has no KVM");
        return;
    }
    close(fd);

    check_kvm("kvm64", "none", "add pmu=on", "no PMU");
    qts = qtest_init("-accel kvm -S -nodefaults -machine pc "
                     "-cpu kvm64,pmu=off 2>/dev/null");
    assert_mode(qts, "none", "");
    info = query(qts);
    /* With enable_pmu=N it is off already. */
    if (kvm_parameter("kvm", "enable_pmu") == 'N') {
        g_assert_null(strstr(qdict_get_str(info, "reason"), "cannot switch"));
    }
    qtest_quit(qts);
    check_message("-accel kvm -cpu kvm64,pmu-passthrough=on,pmu=off", false,
                  "pmu-passthrough=on contradicts pmu=off");
    check_message("-accel kvm -cpu kvm64,pmu=on,pmu-version=4", false,
                  "pmu-version needs the software PMU, which only TCG has: "
                  "add -accel tcg");
    check_message("-accel kvm -cpu host,pmu=on,pebs=on", false,
                  "pebs needs the software PMU, which only TCG has: "
                  "add -accel tcg");
    check_message("-accel kvm -cpu kvm64,pmu-passthrough=auto,pmu-host-gp=1",
                  false, "pmu-host-gp: this kernel cannot reserve counters for "
                  "the host");

    if (kvm_parameter("kvm", "enable_pmu") == 'N') {
        check_kvm("kvm64,pmu=on", "none", "enable_pmu is off", "no PMU");
        check_kvm("kvm64,pmu-passthrough=auto", "none", "enable_pmu is off",
                  "enable_pmu is off");
        check_message("-accel kvm -cpu kvm64,pmu-passthrough=auto", true,
                      "warning: pmu-passthrough=auto: the guest has "
                      "no PMU: KVM offers none: ");
    } else if (kvm_mediated()) {
        check_kvm("host,pmu-passthrough=on", "mediated", "whole PMU",
                  "counters cannot be reserved while guests run");
        return;
    }
    said = run_emulator("-accel kvm -cpu kvm64,pmu-passthrough=on", false);
    assert_contains(said, "pmu-passthrough=on is not available: ");
    assert_contains(said, "vpmu_handover=1");
    assert_contains(said, "enable_mediated_pmu=1");
    assert_contains(said, "-accel tcg");
}

int main(int argc, char **argv)
{
    if (!test_init(&argc, &argv)) {
        return 0;
    }
    qtest_add_func("vpmu-config/cpuid", test_cpuid);
    qtest_add_func("vpmu-config/visible", test_visible);
    qtest_add_func("vpmu-config/none", test_none);
    qtest_add_func("vpmu-config/properties", test_properties);
    qtest_add_func("vpmu-config/command-line", test_command_line);
    qtest_add_func("vpmu-config/missing", test_missing);
    qtest_add_func("vpmu-config/quiet", test_quiet);
    qtest_add_func("vpmu-config/expansion", test_expansion);
    qtest_add_func("vpmu-config/hotplug", test_hotplug);
    qtest_add_func("vpmu-config/kvm", test_kvm);
    return g_test_run();
}
