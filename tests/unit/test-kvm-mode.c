/*
 * How KVM's modules say what PMU they provide
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include <glib.h>
#include <glib/gstdio.h>
#include "kvm-mode.h"

/* The parameters of KVM's modules; NULL: there is no such file. */
typedef struct Modules {
    const char *enable_pmu;
    const char *intel_mediated;
    const char *amd_mediated;
} Modules;

static char *root;

static void write_parameter(const char *module, const char *name,
                            const char *value)
{
    g_autofree char *dir = g_build_filename(root, module, "parameters", NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_unlink(path);
    if (value) {
        g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
        g_assert_true(g_file_set_contents(path, value, -1, NULL));
    }
}

static void write_modules(const Modules *modules)
{
    write_parameter("kvm", "enable_pmu", modules->enable_pmu);
    write_parameter("kvm_intel", "enable_mediated_pmu",
                    modules->intel_mediated);
    write_parameter("kvm_amd", "enable_mediated_pmu", modules->amd_mediated);
}

static void remove_modules(void)
{
    static const char *const names[] = { "kvm", "kvm_intel", "kvm_amd" };

    write_modules(&(Modules) {});
    for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *module = g_build_filename(root, names[i], NULL);
        g_autofree char *dir = g_build_filename(module, "parameters", NULL);

        g_rmdir(dir);
        g_rmdir(module);
    }
}

static void test_modes(void)
{
    static const struct {
        Modules modules;
        bool capability;
        unsigned version;
        VPMUKvmMode mode;
    } table[] = {
        /* There is no such file at all: older kernels. */
        { { NULL, NULL, NULL }, false, 0, VPMU_KVM_NONE },
        { { NULL, NULL, NULL }, false, 2, VPMU_KVM_EMULATED },
        { { NULL, NULL, NULL }, true, 0, VPMU_KVM_EMULATED },
        /* Switched off; KVM then has neither the capability nor the leaf. */
        { { "N\n", NULL, NULL }, false, 0, VPMU_KVM_DISABLED },
        { { "N", NULL, NULL }, false, 0, VPMU_KVM_DISABLED },
        { { "N\n", "N\n", NULL }, false, 0, VPMU_KVM_DISABLED },
        { { "N\n", "Y\n", NULL }, true, 5, VPMU_KVM_DISABLED },
        { { "N\n", NULL, "Y\n" }, true, 2, VPMU_KVM_DISABLED },
        /* KVM allows a PMU, and the host has none. */
        { { "Y\n", NULL, NULL }, false, 0, VPMU_KVM_NONE },
        { { "Y\n", "Y\n", NULL }, false, 0, VPMU_KVM_NONE },
        { { "Y\n", NULL, "Y\n" }, false, 0, VPMU_KVM_NONE },
        /* Through perf events; AMD has no version. */
        { { "Y\n", NULL, NULL }, true, 2, VPMU_KVM_EMULATED },
        { { "Y\n", "N\n", NULL }, true, 5, VPMU_KVM_EMULATED },
        { { "Y\n", NULL, "N\n" }, true, 0, VPMU_KVM_EMULATED },
        { { "Y\n", "N\n", "N\n" }, true, 0, VPMU_KVM_EMULATED },
        /* Mediated, on either vendor's host. */
        { { "Y\n", "Y\n", NULL }, true, 5, VPMU_KVM_MEDIATED },
        { { "Y\n", NULL, "Y\n" }, true, 0, VPMU_KVM_MEDIATED },
        { { "Y\n", "Y", NULL }, true, 2, VPMU_KVM_MEDIATED },
        { { "Y\n", "N\n", "Y\n" }, true, 2, VPMU_KVM_MEDIATED },
        { { NULL, "Y\n", NULL }, true, 4, VPMU_KVM_MEDIATED },
        /* A value that makes no sense is as good as none. */
        { { "", "", "" }, true, 2, VPMU_KVM_EMULATED },
        { { "\n", "?\n", NULL }, true, 2, VPMU_KVM_EMULATED },
    };

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        g_test_message("line %u of the table", i);
        write_modules(&table[i].modules);
        g_assert_cmpint(vpmu_kvm_mode(root, table[i].capability,
                                      table[i].version), ==, table[i].mode);
        remove_modules();
    }
}

/* Paths that are not what they should be. */
static void test_strange(void)
{
    g_autofree char *missing = g_build_filename(root, "missing", NULL);
    g_autofree char *dir = g_build_filename(root, "kvm", "parameters",
                                            "enable_pmu", NULL);

    g_assert_cmpint(vpmu_kvm_mode(missing, false, 0), ==, VPMU_KVM_NONE);
    g_assert_cmpint(vpmu_kvm_mode(missing, true, 2), ==, VPMU_KVM_EMULATED);
    g_assert_cmpint(g_mkdir_with_parents(dir, 0755), ==, 0);
    g_assert_cmpint(vpmu_kvm_mode(root, true, 2), ==, VPMU_KVM_EMULATED);
    g_rmdir(dir);
    remove_modules();
}

/* The machine's own answers, whatever they are. */
static void test_real(void)
{
    VPMUKvmMode mode = vpmu_kvm_mode("/sys/module", false, 0);

    g_assert_true(mode == VPMU_KVM_NONE || mode == VPMU_KVM_DISABLED);
}

int main(int argc, char **argv)
{
    int status;

    g_test_init(&argc, &argv, NULL);
    root = g_dir_make_tmp("kvm-mode-XXXXXX", NULL);
    g_assert_nonnull(root);
    g_test_add_func("/kvm-mode/modes", test_modes);
    g_test_add_func("/kvm-mode/strange", test_strange);
    g_test_add_func("/kvm-mode/real", test_real);
    status = g_test_run();
    g_rmdir(root);
    g_free(root);
    return status;
}
