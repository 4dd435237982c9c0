/*
 * Which processors have VMX under TCG
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"

#define ARGS "-accel tcg -display none -nodefaults "

static bool has(QTestState *qts, const char *property)
{
    QDict *answer = qtest_qmp(qts, "{ 'execute': 'qom-get', 'arguments': {"
                              "'path': '/machine/unattached/device[0]',"
                              "'property': %s } }", property);
    bool value = qdict_get_bool(answer, "return");

    qobject_unref(answer);
    return value;
}

/* Without vmx=on nothing is there, whatever the model says of VMX's parts. */
static void test_off(void)
{
    static const char *const models[] = { "Icelake-Server-v6", "max", "EPYC" };

    for (unsigned i = 0; i < ARRAY_SIZE(models); i++) {
        QTestState *qts = qtest_initf(ARGS "-cpu %s", models[i]);

        g_assert_false(has(qts, "vmx"));
        g_assert_false(has(qts, "vmx-ept"));
        qtest_quit(qts);
    }
}

static void test_on(void)
{
    static const char *const offered[] = {
        "vmx", "vmx-ept", "vmx-vpid", "vmx-unrestricted-guest", "vmx-vnmi",
        "vmx-ept-1gb", "vmx-eptad",
    };
    static const char *const missing[] = {
        "vmx-apicv-x2apic", "vmx-pml", "vmx-preemption-timer", "vmx-mtf",
        "vmx-shadow-vmcs", "vmx-posted-intr", "svm",
    };
    QTestState *qts = qtest_init(ARGS "-cpu Icelake-Server-v6,vmx=on");

    for (unsigned i = 0; i < ARRAY_SIZE(offered); i++) {
        g_assert_true(has(qts, offered[i]));
    }
    for (unsigned i = 0; i < ARRAY_SIZE(missing); i++) {
        g_assert_false(has(qts, missing[i]));
    }
    qtest_quit(qts);

    qts = qtest_init(ARGS "-cpu Icelake-Server-v6,vmx=on,vmx-ept=off");
    g_assert_true(has(qts, "vmx"));
    g_assert_false(has(qts, "vmx-ept"));
    /* It depends on EPT. */
    g_assert_false(has(qts, "vmx-unrestricted-guest"));
    qtest_quit(qts);
}

static void test_refused(void)
{
    static const struct {
        const char *cpu, *message;
    } cases[] = {
        { "EPYC,vmx=on",
          "vmx needs a CPU model with vendor GenuineIntel" },
        { "max,vmx=on",
          "vmx needs a CPU model with vendor GenuineIntel" },
        { "Icelake-Server-v6,vmx=on,svm=on",
          "vmx and svm exclude each other: add svm=off" },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        g_autofree char *command = g_strdup_printf(
            "%s " ARGS "-cpu %s", getenv("QTEST_QEMU_BINARY"),
            cases[i].cpu);
        g_autofree char *said = NULL;
        int status;

        g_assert_true(g_spawn_command_line_sync(command, NULL, &said, &status,
                                                NULL));
        g_assert_true(WIFEXITED(status));
        g_assert_cmpint(WEXITSTATUS(status), ==, EXIT_FAILURE);
        g_assert_nonnull(strstr(said, cases[i].message));
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("vmx/off", test_off);
    qtest_add_func("vmx/on", test_on);
    qtest_add_func("vmx/refused", test_refused);
    return g_test_run();
}
