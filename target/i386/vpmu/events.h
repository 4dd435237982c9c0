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
/* AMD */
#define VPMU_MODEL_K7       (1u << 16)  /* family 6 */
#define VPMU_MODEL_K8       (1u << 17)  /* family 0Fh */
#define VPMU_MODEL_F10      (1u << 18)  /* families 10h to 14h and 16h */
#define VPMU_MODEL_F15      (1u << 19)  /* family 15h */
#define VPMU_MODEL_ZEN1     (1u << 20)
#define VPMU_MODEL_ZEN2     (1u << 21)
#define VPMU_MODEL_ZEN3     (1u << 22)
#define VPMU_MODEL_ZEN4     (1u << 23)
#define VPMU_MODEL_ZEN5     (1u << 24)
#define VPMU_MODEL_AMD      (0x1ffu << 16)
/* None, fixed counters only, all Intel models */
#define VPMU_MODEL_NONE     0
#define VPMU_MODEL_FIXED    (1u << 31)
#define VPMU_MODEL_ALL      (~VPMU_MODEL_AMD)

/**
 * VPMUEvent: one line of events.h.inc
 * @select: IA32_PERFEVTSELx bits 7:0; on AMD PERF_CTLx bits 35:32 and 7:0
 * @umask: bits 15:8
 * @arch_bit: bit in CPUID leaf 0xA EBX, or -1
 * @models: mask of VPMU_MODEL_*
 * @add, @sub: classes as in SoftPMUConfig; @add 0: not counted, or simulated
 * @sim: the outcomes that it counts if caches, TLBs and branch prediction are
 *     simulated
 * @uops: micro-operations, of which it is only known that an instruction has
 *     from one to nine
 * @latency: only loads that take longer than MSR_PEBS_LD_LAT says
 */
typedef struct VPMUEvent {
    const char *name;
    const char *description;
    uint16_t select;
    uint8_t umask;
    int8_t arch_bit;
    uint32_t models;
    uint16_t add;
    uint16_t sub;
    SimOutcome sim;
    bool uops;
    bool latency;
} VPMUEvent;

extern const VPMUEvent vpmu_events[];
extern const unsigned vpmu_nr_events;

/**
 * VPMUEventCode: what selects an event: bits 15:0 of an event select and, on
 * AMD, in bits 19:16 the upper half of its event, PERF_CTLx bits 35:32
 */
typedef uint32_t VPMUEventCode;

/**
 * vpmu_event_code: what selects an event
 */
static inline VPMUEventCode vpmu_event_code(const VPMUEvent *event)
{
    return (event->select & 0xff) | event->umask << 8 |
           (event->select >> 8) << 16;
}

/**
 * vpmu_event_code_select, vpmu_event_code_umask: its two parts
 */
static inline uint16_t vpmu_event_code_select(VPMUEventCode code)
{
    return (code & 0xff) | (code >> 16) << 8;
}

static inline uint8_t vpmu_event_code_umask(VPMUEventCode code)
{
    return code >> 8 & 0xff;
}

/**
 * vpmu_event_find: look an event up by its code
 * @code: what selects it
 * @model: a VPMU_MODEL_* bit, or 0 for a model with architectural events
 *     only; VPMU_MODEL_FIXED for a fixed counter
 *
 * Returns: the event, or NULL if the model has none with this code.
 */
const VPMUEvent *vpmu_event_find(VPMUEventCode code, uint32_t model);

/**
 * vpmu_event_fixed: the event that fixed counter @i is made for
 * @i: numbered as in counters.h
 *
 * Returns: NULL if @i is a general-purpose counter.
 */
const VPMUEvent *vpmu_event_fixed(unsigned i);

/**
 * vpmu_event_is_counted: whether there is something that counts for an event
 * @simulates: there is a simulation of caches, TLBs and branch prediction
 */
bool vpmu_event_is_counted(const VPMUEvent *event, bool simulates);

/**
 * vpmu_event_unavailable: CPUID leaf 0xA EBX
 *
 * Returns: a mask of the architectural events that are not counted.
 */
uint32_t vpmu_event_unavailable(bool simulates);

/* How many architectural events CPUID leaf 0xA EAX bits 31:24 announces. */
#define VPMU_NR_ARCH_EVENTS 7

/**
 * vpmu_event_config: what a counter counts under an event select
 * @evtsel: IA32_PERFEVTSELx, SDM volume 3, "Architectural Performance
 *     Monitoring Version 1 Facilities"; its enable bit is not looked at
 * @event: what vpmu_event_find() returned for it; NULL counts nothing
 * @simulates: as for vpmu_event_is_counted()
 *
 * Returns: @add, @sub, @sim, @rings, @edge; @on is false.
 */
SoftPMUConfig vpmu_event_config(uint64_t evtsel, const VPMUEvent *event,
                                bool simulates);

/**
 * vpmu_event_is_supported: whether a counter under @evtsel counts what a
 * processor counts
 * @evtsel, @event, @simulates: as for vpmu_event_config()
 *
 * Counter mask and edge detect go by cycles, in which it is not known what a
 * simulated event does.
 */
bool vpmu_event_is_supported(uint64_t evtsel, const VPMUEvent *event,
                             bool simulates);

#endif /* TARGET_I386_VPMU_EVENTS_H */
