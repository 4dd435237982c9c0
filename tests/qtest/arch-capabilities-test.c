/*
 * Which faults of processors a guest under TCG is told that it does not have
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "qobject/qdict.h"

/* All names that IA32_ARCH_CAPABILITIES has for properties */
static const char *const names[] = {
    "rdctl-no", "ibrs-all", "rsba", "skip-l1dfl-vmentry", "ssb-no", "mds-no",
    "pschange-mc-no", "tsx-ctrl", "taa-no", "sbdr-ssdp-no", "fbsdp-no",
    "psdp-no", "fb-clear", "bhi-no", "pbrsb-no", "gds-no", "rfds-no",
    "rfds-clear",
};

#define ICELAKE "rdctl-no skip-l1dfl-vmentry mds-no pschange-mc-no taa-no "
#define ALL ICELAKE \
    "sbdr-ssdp-no fbsdp-no psdp-no pbrsb-no gds-no rfds-no "

/* bits: those that are set, each with a space behind it; NULL: no such MSR */
typedef struct Processor {
    const char *cpu, *bits;
} Processor;

static const Processor processors[] = {
    { "max,vendor=GenuineIntel", ALL },
    { "max,vendor=GenuineIntel,arch-capabilities=off", NULL },
    /* AMD has no such MSR, but who asks for it gets it. */
    { "max", NULL },
    { "max,arch-capabilities=on", ALL },
    { "EPYC-Milan", NULL },
    { "Nehalem", NULL },
    { "Nehalem,arch-capabilities=on,gds-no=on", "gds-no " },
    /* What a model says beyond what TCG has is left out. */
    { "Icelake-Server-v2", NULL },
    { "Icelake-Server-v3", ICELAKE },
    { "Icelake-Server-v6", ICELAKE },
    { "Icelake-Server-v6,mds-no=off,ssb-no=on,bhi-no=on",
      "rdctl-no skip-l1dfl-vmentry pschange-mc-no taa-no " },
    { "Icelake-Server-v6,arch-capabilities=off", NULL },
    { "SierraForest",
      "rdctl-no skip-l1dfl-vmentry mds-no pschange-mc-no sbdr-ssdp-no "
      "fbsdp-no psdp-no pbrsb-no " },
};

static bool has(QTestState *qts, const char *property)
{
    g_autoptr(QDict) answer = qtest_qmp(
        qts, "{ 'execute': 'qom-get', 'arguments': {"
        "'path': '/machine/unattached/device[0]', 'property': %s } }",
        property);

    return qdict_get_bool(answer, "return");
}

static void check_processor(const Processor *processor)
{
    QTestState *qts = qtest_initf("-accel tcg -display none -nodefaults "
                                  "-cpu %s", processor->cpu);
    g_autoptr(GString) bits = g_string_new("");

    g_test_message("%s", processor->cpu);
    g_assert_cmpint(has(qts, "arch-capabilities"), ==,
                    processor->bits != NULL);
    for (unsigned i = 0; processor->bits && i < ARRAY_SIZE(names); i++) {
        if (has(qts, names[i])) {
            g_string_append_printf(bits, "%s ", names[i]);
        }
    }
    g_assert_cmpstr(bits->str, ==, processor->bits ? processor->bits : "");
    qtest_quit(qts);
}

static void test_bits(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(processors); i++) {
        check_processor(&processors[i]);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    if (!qtest_has_accel("tcg") || !qtest_has_machine("pc")) {
        g_test_skip("needs TCG and a PC");
        return 0;
    }
    qtest_add_func("arch-capabilities/bits", test_bits);
    return g_test_run();
}
