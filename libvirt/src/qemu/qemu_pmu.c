/*
 * qemu_pmu.c: PMU counters that a guest shares with its host
 *
 * This library is free software; you can redistribute it and/or
 * modify it under the terms of the GNU Lesser General Public
 * License as published by the Free Software Foundation; either
 * version 2.1 of the License, or (at your option) any later version.
 *
 * This library is distributed in the hope that it will be useful,
 * but WITHOUT ANY WARRANTY; without even the implied warranty of
 * MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU
 * Lesser General Public License for more details.
 *
 * You should have received a copy of the GNU Lesser General Public
 * License along with this library.  If not, see
 * <http://www.gnu.org/licenses/>.
 */

#include <config.h>

#include "qemu_pmu.h"
#include "virerror.h"

#define VIR_FROM_THIS VIR_FROM_QEMU


int
qemuPMUValidate(const virDomainDef *def,
                virQEMUCaps *qemuCaps)
{
    if (!virDomainFeaturePMUIsSpecified(&def->pmu))
        return 0;

    if (!ARCH_IS_X86(def->os.arch)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("The 'passthrough' attribute of the '%1$s' feature is not supported for architecture '%2$s' or machine type '%3$s'"),
                       virDomainFeatureTypeToString(VIR_DOMAIN_FEATURE_PMU),
                       virArchToString(def->os.arch),
                       def->os.machine);
        return -1;
    }

    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_X86_CPU_PMU_PASSTHROUGH)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("PMU passthrough is not supported by this QEMU binary"));
        return -1;
    }

    return 0;
}


/**
 * qemuPMUBuildCpuFlags:
 * @buf: buffer for the flags behind the CPU model
 * @pmu: PMU configuration
 *
 * Adds only what the configuration says: the rest is QEMU's to decide.
 */
void
qemuPMUBuildCpuFlags(virBuffer *buf,
                     const virDomainFeaturePMU *pmu)
{
    if (pmu->passthrough)
        virBufferAsprintf(buf, ",pmu-passthrough=%s",
                          virDomainPMUPassthroughTypeToString(pmu->passthrough));

    if (pmu->visible)
        virBufferAsprintf(buf, ",pmu-visible=%s",
                          virDomainPMUVisibleTypeToString(pmu->visible));

    if (pmu->gp_specified)
        virBufferAsprintf(buf, ",pmu-host-gp=%u", pmu->gp);

    if (pmu->fixed) {
        /* a comma would end the property */
        g_autofree char *fixed = virDomainFeaturePMUFixedToString(pmu, ":");

        virBufferAsprintf(buf, ",pmu-host-fixed=%s", fixed);
    }

    if (pmu->order)
        virBufferAsprintf(buf, ",pmu-host-order=%s",
                          virDomainPMUOrderTypeToString(pmu->order));
}
