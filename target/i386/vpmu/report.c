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
#include "vpmc.h"

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

VpmuEvent *vpmu_event_info(VPMUEventCode code, const VPMUEvent *event)
{
    VpmuEvent *info = g_new0(VpmuEvent, 1);

    info->select = vpmu_event_code_select(code);
    info->umask = vpmu_event_code_umask(code);
    info->name = event ? g_strdup(event->name) : NULL;
    return info;
}

VpmuEventList *vpmu_unsupported_events(CPUX86State *env)
{
    VpmuEventList *list = NULL;

    for (int i = VPMU_NR_UNSUPPORTED - 1; i >= 0; i--) {
        VPMUEventCode code = vpmu_unsupported_code(&env->vpmu, i);

        if (code) {
            QAPI_LIST_PREPEND(list, vpmu_event_info(
                code, vpmu_event_find(code, vpmu_model(env))));
        }
    }
    return list;
}

void vpmu_report_unsupported(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    g_autofree char *path = object_get_canonical_path(OBJECT(cs));
    VpmuEventList *events = vpmu_unsupported_events(env);
    BQL_LOCK_GUARD();

    qapi_event_send_vpmu_event_unsupported(cs->cpu_index, path, events);
    qapi_free_VpmuEventList(events);
}
