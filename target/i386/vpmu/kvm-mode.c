/*
 * How the host's KVM provides PMUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VPMU_STANDALONE
#include "qemu/osdep.h"
#endif
#include <glib.h>
#include "kvm-mode.h"

/* The first letter of a module's parameter: Y, N, or 0 if it has none. */
static char parameter(const char *modules, const char *module,
                      const char *name)
{
    g_autofree char *path = g_build_filename(modules, module, "parameters",
                                             name, NULL);
    g_autofree char *value = NULL;

    return g_file_get_contents(path, &value, NULL, NULL) ? value[0] : 0;
}

VPMUKvmMode vpmu_kvm_mode(const char *modules, bool capability,
                          unsigned version)
{
    if (parameter(modules, "kvm", "enable_pmu") == 'N') {
        return VPMU_KVM_DISABLED;
    }
    if (!capability && !version) {
        return VPMU_KVM_NONE;
    }
    if (parameter(modules, "kvm_intel", "enable_mediated_pmu") == 'Y' ||
        parameter(modules, "kvm_amd", "enable_mediated_pmu") == 'Y') {
        return VPMU_KVM_MEDIATED;
    }
    return VPMU_KVM_EMULATED;
}
