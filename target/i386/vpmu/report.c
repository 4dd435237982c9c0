/*
 * What the virtual PMU tells the operator about counters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "qapi/qapi-events-vpmu.h"
#include "qapi/util.h"
#include "report.h"

/* Twice as long as the monitor holds events back */
#define STARVED_QUIET_MS 2000

VpmuCounterIdList *vpmu_counter_ids(VPMUCounterMask mask)
{
    VpmuCounterIdList *list = NULL;

    for (int i = VPMU_NR - 1; i >= 0; i--) {
        if (mask & VPMU_MASK_OF(i)) {
            VpmuCounterId *id = g_new0(VpmuCounterId, 1);

            id->type = vpmu_type_of(i);
            id->index = vpmu_index_of(i);
            QAPI_LIST_PREPEND(list, id);
        }
    }
    return list;
}

/*
 * Within a second the monitor drops all but the last event.  So that no counter
 * is missed, an event names all vPMCs that were starved since the last pause.
 */
void vpmu_report_starved(CPUX86State *env, VPMUCounterMask vpmcs)
{
    CPUState *cs = env_cpu(env);
    VPMUHost *host = &env->vpmu_host;
    g_autofree char *path = object_get_canonical_path(OBJECT(cs));
    int64_t now_ms = qemu_clock_get_ms(QEMU_CLOCK_REALTIME);
    VpmuCounterIdList *ids;
    BQL_LOCK_GUARD();

    if (now_ms - host->starved_ms > STARVED_QUIET_MS) {
        host->starved = 0;
    }
    host->starved |= vpmcs;
    host->starved_ms = now_ms;
    ids = vpmu_counter_ids(host->starved);
    qapi_event_send_vpmu_counter_starved(cs->cpu_index, path, ids);
    qapi_free_VpmuCounterIdList(ids);
}
