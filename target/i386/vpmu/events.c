/*
 * The table of events that the virtual PMU knows
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifdef VPMU_STANDALONE
#include <stddef.h>
#else
#include "qemu/osdep.h"
#endif
#include "events.h"
#include "regs.h"

#define NONE        0
#define INSN        (1 << SOFTPMU_INSN)
#define BRANCH      (1 << SOFTPMU_BRANCH)
#define COND        (1 << SOFTPMU_COND)
#define TAKEN       (1 << SOFTPMU_TAKEN)
#define CALL        (1 << SOFTPMU_CALL)
#define RET         (1 << SOFTPMU_RET)
#define LOAD        (1 << SOFTPMU_LOAD)
#define STORE       (1 << SOFTPMU_STORE)
#define FAR         (1 << SOFTPMU_FAR)
#define INDIRECT    (1 << SOFTPMU_INDIRECT)
#define HWINT       (1 << SOFTPMU_HWINT)
/* No classes: the flags of VPMUEvent */
#define UOPS        (1 << 14)
#define LATENCY     (1 << 15)
#define CLASSES     ((1 << SOFTPMU_NR_CLASSES) - 1)

/* Outcomes of the simulation as the table names them; @use is a SimUse. */
#define OUTCOME(class)      (1u << (class))
#define L2_MISSES(use)      (OUTCOME(use##_LLC) | OUTCOME(use##_MEMORY))
#define L1_MISSES(use)      (OUTCOME(use##_L2) | L2_MISSES(use))
#define WALKS(use)          (OUTCOME(use##_WALK_4K) | OUTCOME(use##_WALK_2M) | \
                             OUTCOME(use##_WALK_1G))
#define TLB_MISSES(use)     (OUTCOME(use##_STLB) | WALKS(use))
#define MISP_COND           (OUTCOME(SIM_MISP_TAKEN) | \
                             OUTCOME(SIM_MISP_NOT_TAKEN))
#define MISP_INDIRECT       (OUTCOME(SIM_MISP_JMP_IND) | \
                             OUTCOME(SIM_MISP_CALL_IND))
#define MISP_NEAR_TAKEN     (OUTCOME(SIM_MISP_TAKEN) | \
                             OUTCOME(SIM_MISP_RET) | MISP_INDIRECT)
#define MISP_ALL            (MISP_NEAR_TAKEN | OUTCOME(SIM_MISP_NOT_TAKEN))

/* Models as the table names them */
#define ALL         VPMU_MODEL_ALL
#define FIXED       VPMU_MODEL_FIXED
#define NHM         VPMU_MODEL_NHM
#define SNB         VPMU_MODEL_SNB
#define IVB         VPMU_MODEL_IVB
#define HSW         VPMU_MODEL_HSW
#define SKL         VPMU_MODEL_SKL
#define ICX         VPMU_MODEL_ICX
#define SPR         VPMU_MODEL_SPR
#define KNL         VPMU_MODEL_KNL
#define GLM         VPMU_MODEL_GLM
#define TNT         VPMU_MODEL_TNT
#define CMT         VPMU_MODEL_CMT
#define AMD         VPMU_MODEL_AMD
#define K7          VPMU_MODEL_K7
#define K8          VPMU_MODEL_K8
#define F10         VPMU_MODEL_F10
#define F15         VPMU_MODEL_F15
#define ZEN1        VPMU_MODEL_ZEN1
#define ZEN2        VPMU_MODEL_ZEN2
#define ZEN3        VPMU_MODEL_ZEN3
#define ZEN4        VPMU_MODEL_ZEN4
#define ZEN5        VPMU_MODEL_ZEN5
#define ZEN         (ZEN1 | ZEN2 | ZEN3 | ZEN4 | ZEN5)

/* In a cycle, which is an instruction here, there are fewer than this. */
#define MANY_UOPS   10

const VPMUEvent vpmu_events[] = {
#define VPMU_EVENT(select_, umask_, name_, models_, arch_, add_, sub_, text_) \
    {                                                                         \
        .name = name_,                                                        \
        .description = text_,                                                 \
        .select = select_,                                                    \
        .umask = umask_,                                                      \
        .arch_bit = arch_,                                                    \
        .models = models_,                                                    \
        .add = (add_) & CLASSES,                                              \
        .sub = sub_,                                                          \
        .uops = (add_) & UOPS,                                                \
        .latency = (add_) & LATENCY,                                          \
    },
#define VPMU_SIM_EVENT(select_, umask_, name_, models_, arch_, sim_, text_)   \
    {                                                                         \
        .name = name_,                                                        \
        .description = text_,                                                 \
        .select = select_,                                                    \
        .umask = umask_,                                                      \
        .arch_bit = arch_,                                                    \
        .models = models_,                                                    \
        .sim = sim_,                                                          \
    },
#include "events.h.inc"
#undef VPMU_SIM_EVENT
#undef VPMU_EVENT
};

const unsigned vpmu_nr_events = sizeof(vpmu_events) / sizeof(vpmu_events[0]);

/* An Intel processor that is in no table has the architectural ones. */
static bool vpmu_event_exists(const VPMUEvent *event, uint32_t model)
{
    return (event->models & model) ||
           (event->models == VPMU_MODEL_ALL && !(model & VPMU_MODEL_AMD));
}

const VPMUEvent *vpmu_event_find(VPMUEventCode code, uint32_t model)
{
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];

        if (code == vpmu_event_code(event) &&
            vpmu_event_exists(event, model)) {
            return event;
        }
    }
    return NULL;
}

const VPMUEvent *vpmu_event_fixed(unsigned i)
{
    /* Instructions, core cycles, reference cycles. */
    static const VPMUEventCode codes[VPMU_NR_FIXED] = { 0xc0, 0x3c, 0x300 };

    return i < VPMU_NR_GP ? NULL :
           vpmu_event_find(codes[i - VPMU_NR_GP], VPMU_MODEL_FIXED);
}

bool vpmu_event_is_counted(const VPMUEvent *event, bool simulates)
{
    return event->add || (simulates && event->sim);
}

uint32_t vpmu_event_unavailable(bool simulates)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        if (vpmu_events[i].arch_bit >= 0 &&
            !vpmu_event_is_counted(&vpmu_events[i], simulates)) {
            mask |= 1u << vpmu_events[i].arch_bit;
        }
    }
    return mask;
}

static unsigned vpmu_event_cmask(uint64_t evtsel)
{
    return (evtsel & VPMU_EVTSEL_CMASK) >> VPMU_EVTSEL_CMASK_SHIFT;
}

bool vpmu_event_is_supported(uint64_t evtsel, const VPMUEvent *event,
                             bool simulates)
{
    unsigned cmask = vpmu_event_cmask(evtsel);

    return event &&
           (event->add || (event->uops && (cmask == 1 || cmask >= MANY_UOPS)) ||
            (simulates && event->sim && !cmask &&
             !(evtsel & VPMU_EVTSEL_EDGE)));
}

SoftPMUConfig vpmu_event_config(uint64_t evtsel, const VPMUEvent *event,
                                bool simulates)
{
    unsigned cmask = vpmu_event_cmask(evtsel);
    bool invert = evtsel & VPMU_EVTSEL_INV;
    SoftPMUConfig config = {
        .rings = (evtsel & VPMU_EVTSEL_USR ? 1 << SOFTPMU_USER : 0) |
                 (evtsel & VPMU_EVTSEL_OS ? 1 << SOFTPMU_KERNEL : 0),
    };

    if (!vpmu_event_is_supported(evtsel, event, simulates)) {
        return config;
    }
    if (event->sim) {
        config.sim = event->sim;
        return config;
    }
    config.add = event->add;
    config.sub = event->sub;
    config.edge = evtsel & VPMU_EVTSEL_EDGE;

    /*
     * The counter mask compares what happens in one cycle.  A cycle is an
     * instruction here, and no instruction counts more than once.  Receiving
     * an interrupt takes no cycle: there is none in which it happens.
     */
    if (event->uops) {
        config.add = invert == (cmask >= MANY_UOPS) ? INSN : 0;
    } else if (event->add == HWINT) {
        config.edge = false;
        if (cmask && invert) {
            config.add = INSN;
        } else if (cmask > 1) {
            config.add = 0;
        }
    } else if (cmask && invert) {
        config.add = cmask > 1 ? INSN : (INSN | event->sub) & ~event->add;
        config.sub = cmask > 1 ? 0 : event->add & ~INSN;
    } else if (cmask > 1) {
        config.add = 0;
        config.sub = 0;
    }
    if (!config.add) {
        config.edge = false;
    }
    return config;
}
