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

/* For VPMUEvent.models: lines of models that have the same events */
#define VPMU_MODEL_NHM      (1u << 0)   /* Nehalem, Westmere */
#define VPMU_MODEL_SNB      (1u << 1)   /* Sandy Bridge */
#define VPMU_MODEL_IVB      (1u << 2)   /* Ivy Bridge */
#define VPMU_MODEL_HSW      (1u << 3)   /* Haswell, Broadwell */
#define VPMU_MODEL_SKL      (1u << 4)   /* Skylake, Cascade Lake, Cooper Lake */
#define VPMU_MODEL_ICX      (1u << 5)   /* Ice Lake server */
#define VPMU_MODEL_SPR      (1u << 6)   /* Sapphire Rapids, Granite Rapids */
#define VPMU_MODEL_KNL      (1u << 7)   /* Knights Mill */
#define VPMU_MODEL_GLM      (1u << 8)   /* Goldmont: Denverton */
#define VPMU_MODEL_TNT      (1u << 9)   /* Tremont: Snow Ridge */
#define VPMU_MODEL_CMT      (1u << 10)  /* Crestmont: Sierra Forest */
/* None, fixed counters only, all models */
#define VPMU_MODEL_NONE     0
#define VPMU_MODEL_FIXED    (1u << 31)
#define VPMU_MODEL_ALL      (~0u)

/**
 * VPMUEvent: one line of events.h.inc
 * @select, @umask: IA32_PERFEVTSELx bits 7:0 and 15:8
 * @arch_bit: bit in CPUID leaf 0xA EBX, or -1
 * @models: mask of VPMU_MODEL_*
 * @add, @sub: classes as in SoftPMUConfig; @add 0: not counted
 * @uops: micro-operations, of which it is only known that an instruction has
 *     from one to nine
 * @latency: only loads that take longer than MSR_PEBS_LD_LAT says
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
    bool uops;
    bool latency;
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

/**
 * vpmu_event_is_supported: whether a counter under @evtsel counts what a
 * processor counts
 * @evtsel, @event: as for vpmu_event_config()
 */
bool vpmu_event_is_supported(uint64_t evtsel, const VPMUEvent *event);

#endif /* TARGET_I386_VPMU_EVENTS_H */
