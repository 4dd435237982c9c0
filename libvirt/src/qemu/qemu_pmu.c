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


/**
 * qemuPMUValidate:
 * @def: domain definition
 * @qemuCaps: capabilities of the QEMU binary
 *
 * Returns 0 if QEMU can do what the <pmu> element says, -1 with an error
 * reported otherwise.
 */
int
qemuPMUValidate(const virDomainDef *def,
                virQEMUCaps *qemuCaps)
{
    if (!virDomainFeaturePMUIsSpecified(&def->pmu))
        return 0;

    if (!ARCH_IS_X86(def->os.arch)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED,
                       _("PMU passthrough is not supported for architecture '%1$s', only for 'i686' and 'x86_64'"),
                       virArchToString(def->os.arch));
        return -1;
    }

    if (!virQEMUCapsGet(qemuCaps, QEMU_CAPS_X86_CPU_PMU_PASSTHROUGH)) {
        virReportError(VIR_ERR_CONFIG_UNSUPPORTED, "%s",
                       _("PMU passthrough is not supported by this QEMU binary, whose CPUs lack the property 'pmu-passthrough'"));
        return -1;
    }

    return 0;
}


/**
 * qemuPMUBuildCpuFlags:
 * @buf: buffer for the flags that follow the CPU model
 * @pmu: PMU configuration
 *
 * Adds a flag for each attribute that the XML has.  QEMU decides on the rest.
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
        /* A comma would end the value of the property. */
        g_autofree char *fixed = virDomainFeaturePMUFixedToString(pmu, ":");

        virBufferAsprintf(buf, ",pmu-host-fixed=%s", fixed);
    }

    if (pmu->order)
        virBufferAsprintf(buf, ",pmu-host-order=%s",
                          virDomainPMUOrderTypeToString(pmu->order));
}
