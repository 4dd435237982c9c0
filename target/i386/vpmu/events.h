/*
 * The table of events that the virtual PMU knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Plain C like softpmu.h.
 */
#ifndef TARGET_I386_VPMU_EVENTS_H
#define TARGET_I386_VPMU_EVENTS_H

#include "softpmu.h"

/* For VPMUEvent.models: one model, fixed counters only, all models */
#define VPMU_MODEL_ICX      (1u << 0)   /* Ice Lake server */
#define VPMU_MODEL_FIXED    (1u << 31)
#define VPMU_MODEL_ALL      (~0u)

/**
 * VPMUEvent: one line of events.h.inc
 * @select, @umask: IA32_PERFEVTSELx bits 7:0 and 15:8
 * @arch_bit: bit in CPUID leaf 0xA EBX, or -1
 * @models: mask of VPMU_MODEL_*
 * @add, @sub: classes as in SoftPMUConfig; @add 0: not counted
 */
typedef struct VPMUEvent {
    const char *name;
    const char *description;
    uint8_t select;
    uint8_t umask;
    int8_t arch_bit;
    uint32_t models;
    uint16_t add;
    uint16_t sub;
} VPMUEvent;

extern const VPMUEvent vpmu_events[];
extern const unsigned vpmu_nr_events;

/**
 * vpmu_event_code: IA32_PERFEVTSELx bits 15:0 of an event
 */
static inline uint16_t vpmu_event_code(const VPMUEvent *event)
{
    return event->select | event->umask << 8;
}

/* The event whose loads MSR_PEBS_LD_LAT selects */
#define VPMU_EVENT_LOAD_LATENCY 0x01cd

/**
 * vpmu_event_find: look an event up by its code
 * @code: IA32_PERFEVTSELx bits 15:0
 * @model: a VPMU_MODEL_* bit, or 0 for a model with architectural events
 *     only; VPMU_MODEL_FIXED for a fixed counter
 *
 * Returns: the event, or NULL if the model has none with this code.
 */
const VPMUEvent *vpmu_event_find(uint16_t code, uint32_t model);

/**
 * vpmu_event_fixed: the event that fixed counter @i is made for
 * @i: numbered as in counters.h
 *
 * Returns: NULL if @i is a general-purpose counter.
 */
const VPMUEvent *vpmu_event_fixed(unsigned i);

/**
 * vpmu_event_model: the bit of a CPU model in VPMUEvent.models
 * @family, @model: display family and model (CPUID leaf 1)
 *
 * Returns: a VPMU_MODEL_* bit, or 0.
 */
uint32_t vpmu_event_model(unsigned family, unsigned model);

/**
 * vpmu_event_unavailable: CPUID leaf 0xA EBX
 *
 * Returns: a mask of the architectural events that are not counted.
 */
uint32_t vpmu_event_unavailable(void);

/* How many architectural events CPUID leaf 0xA EAX bits 31:24 announces. */
#define VPMU_NR_ARCH_EVENTS 7

/**
 * vpmu_event_config: what a counter counts under an event select
 * @evtsel: IA32_PERFEVTSELx, SDM volume 3, "Architectural Performance
 *     Monitoring Version 1 Facilities"; its enable bit is not looked at
 * @event: what vpmu_event_find() returned for it; NULL counts nothing
 *
 * Returns: @add, @sub, @rings, @edge; @on is false.
 */
SoftPMUConfig vpmu_event_config(uint64_t evtsel, const VPMUEvent *event);

#endif /* TARGET_I386_VPMU_EVENTS_H */
