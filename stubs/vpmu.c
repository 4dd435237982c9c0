/*
 * Virtual PMU commands for machines that have none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/qapi-commands-vpmu.h"

VpmuInfo *qmp_query_vpmu(Error **errp)
{
    VpmuInfo *info = g_new0(VpmuInfo, 1);

    info->mode = VPMU_MODE_NONE;
    info->reason = g_strdup("this target has no virtual PMU");
    info->total = g_new0(VpmuCounterSet, 1);
    info->reserved = g_new0(VpmuCounterSet, 1);
    return info;
}
