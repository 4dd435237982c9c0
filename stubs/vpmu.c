/*
 * Virtual PMU commands for machines that have none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-vpmu.h"

#define NO_VPMU "this target has no virtual PMU"

VpmuInfo *qmp_query_vpmu(Error **errp)
{
    VpmuInfo *info = g_new0(VpmuInfo, 1);

    info->mode = VPMU_MODE_NONE;
    info->reason = g_strdup(NO_VPMU);
    info->total = g_new0(VpmuCounterSet, 1);
    info->reserved = g_new0(VpmuCounterSet, 1);
    return info;
}

VpmuReservation *qmp_vpmu_reserve_host_counters(uint8_t gp, bool has_fixed,
                                                uint8List *fixed,
                                                bool has_force, bool force,
                                                Error **errp)
{
    error_setg(errp, NO_VPMU ": use qemu-system-x86_64");
    return NULL;
}

void qmp_vpmu_host_counter_set(VpmuCounterType type, uint8_t index,
                               const char *event, bool has_user, bool user,
                               bool has_kernel, bool kernel, Error **errp)
{
    error_setg(errp, NO_VPMU ": use qemu-system-x86_64");
}
