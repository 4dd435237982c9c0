/*
 * What the virtual PMU tells the operator about counters
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TARGET_I386_VPMU_REPORT_H
#define TARGET_I386_VPMU_REPORT_H

#include "cpu.h"
#include "events.h"

/**
 * vpmu_type_of: the type of counter @i for QMP; vpmu_index_of() is its index
 */
static inline VpmuCounterType vpmu_type_of(unsigned i)
{
    return i < VPMU_NR_GP ? VPMU_COUNTER_TYPE_GP : VPMU_COUNTER_TYPE_FIXED;
}

/**
 * vpmu_counter_ids: a set of counters for QMP, one by one
 */
VpmuCounterIdList *vpmu_counter_ids(VPMUCounterMask mask);

/**
 * vpmu_report_starved: send VPMU_COUNTER_STARVED
 * @vpmcs: the vPMCs that are starved from now on
 *
 * By the vCPU's own thread, or while it is stopped.  Takes the BQL if it is not
 * held.
 */
void vpmu_report_starved(CPUX86State *env, VPMUCounterMask vpmcs);

/**
 * vpmu_event_info: an event for QMP
 * @code: what selects it
 * @event: NULL if it is not known
 */
VpmuEvent *vpmu_event_info(VPMUEventCode code, const VPMUEvent *event);

/**
 * vpmu_unsupported_events: the unsupported events that the guest has asked for,
 * for QMP
 */
VpmuEventList *vpmu_unsupported_events(CPUX86State *env);

/**
 * vpmu_report_unsupported: send VPMU_EVENT_UNSUPPORTED
 *
 * By the vCPU's own thread, or while it is stopped.  Takes the BQL if it is not
 * held.
 */
void vpmu_report_unsupported(CPUX86State *env);

#endif /* TARGET_I386_VPMU_REPORT_H */
