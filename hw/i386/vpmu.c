/*
 * The machine's view of the virtual PMU: QMP and HMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Works with every accelerator, with every x86 machine and without a CPU.
 * A vCPU's registers are read in its own thread between two translation
 * blocks, so that a picture of it is consistent and exact.
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands-vpmu.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "target/i386/vpmu/internal.h"

static VpmuCounterSet *fixed_set(void)
{
    VpmuCounterSet *set = g_new0(VpmuCounterSet, 1);

    for (int j = VPMU_NR_FIXED - 1; j >= 0; j--) {
        QAPI_LIST_PREPEND(set->fixed, j);
    }
    return set;
}

static VpmuEvent *event_info(uint16_t code, const VPMUEvent *event)
{
    VpmuEvent *info = g_new0(VpmuEvent, 1);

    info->select = code & 0xff;
    info->umask = code >> 8;
    info->name = event ? g_strdup(event->name) : NULL;
    return info;
}

static VpmuCounter *counter_info(CPUX86State *env, unsigned v)
{
    const VPMUEvent *event;
    SoftPMUConfig config = vpmu_counter_config(env, v, &event);
    VpmuCounter *info = g_new0(VpmuCounter, 1);
    bool fixed = v >= VPMU_NR_GP;
    uint16_t code = fixed ? event->select | event->umask << 8 :
                            env->vpmu.evtsel[v] & VPMU_EVTSEL_CODE;

    info->type = fixed ? VPMU_COUNTER_TYPE_FIXED : VPMU_COUNTER_TYPE_GP;
    info->index = fixed ? v - VPMU_NR_GP : v;
    info->enabled = config.on;
    info->user = config.rings & (1 << SOFTPMU_USER);
    info->kernel = config.rings & (1 << SOFTPMU_KERNEL);
    info->event = code ? event_info(code, event) : NULL;
    info->value = vpmu_backend()->read(env, v, 0);
    info->owner = config.on ? VPMU_OWNER_GUEST : VPMU_OWNER_FREE;
    info->has_physical_index = config.on;
    info->physical_index = info->index;
    info->path = config.on ? VPMU_PATH_FAST : VPMU_PATH_IDLE;
    return info;
}

static void vcpu_info(CPUState *cs, run_on_cpu_data data)
{
    X86CPU *cpu = X86_CPU(cs);
    CPUX86State *env = &cpu->env;
    VpmuVcpu *info = data.host_ptr;
    VpmuCounterSet *in_use = g_new0(VpmuCounterSet, 1);
    VpmuCounterList **counters = &info->counters;
    uint8List **fixed = &in_use->fixed;

    info->cpu_index = cs->cpu_index;
    info->qom_path = object_get_canonical_path(OBJECT(cs));
    info->in_use = in_use;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        VpmuCounter *counter;

        if (!vpmu_exists(cpu, v)) {
            continue;
        }
        counter = counter_info(env, v);
        QAPI_LIST_APPEND(counters, counter);
        if (counter->owner == VPMU_OWNER_GUEST) {
            if (counter->type == VPMU_COUNTER_TYPE_GP) {
                in_use->gp++;
            } else {
                QAPI_LIST_APPEND(fixed, counter->index);
            }
        }
    }
    for (int i = VPMU_NR_UNSUPPORTED - 1; i >= 0; i--) {
        uint16_t code = env->vpmu.unsupported[i];

        if (code) {
            QAPI_LIST_PREPEND(info->unsupported_events,
                              event_info(code,
                                         vpmu_event_find(code,
                                                         VPMU_MODEL_ALL)));
        }
    }
}

/* The software PMU is on: fill in what it has. */
static void software_info(VpmuInfo *info, X86CPU *first)
{
    VpmuEventList **events = &info->events;
    VpmuVcpuList **cpus = &info->cpus;
    CPUState *cs;

    info->version = first->vpmu.version;
    info->counter_width = SOFTPMU_WIDTH;
    info->total = fixed_set();
    info->total->gp = first->vpmu.nr_gp;
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];
        uint16_t code = event->select | event->umask << 8;

        if (event->add &&
            vpmu_event_find(code, vpmu_model(&first->env)) == event) {
            QAPI_LIST_APPEND(events, event_info(code, event));
        }
    }
    CPU_FOREACH(cs) {
        VpmuVcpu *vcpu = g_new0(VpmuVcpu, 1);

        run_on_cpu(cs, vcpu_info, RUN_ON_CPU_HOST_PTR(vcpu));
        QAPI_LIST_APPEND(cpus, vcpu);
    }
}

VpmuInfo *qmp_query_vpmu(Error **errp)
{
    VpmuInfo *info = g_new0(VpmuInfo, 1);
    const VPMUBackend *backend = vpmu_backend();
    const char *reason;

    info->mode = VPMU_MODE_NONE;
    info->reserved = g_new0(VpmuCounterSet, 1);
    if (!first_cpu) {
        reason = "the machine has no CPU";
    } else if (!backend) {
        reason = "this accelerator has no virtual PMU: use KVM or TCG";
    } else {
        info->mode = backend->mode(X86_CPU(first_cpu), &reason);
    }
    info->reason = g_strdup(reason);
    if (info->mode == VPMU_MODE_SOFTWARE) {
        software_info(info, X86_CPU(first_cpu));
    } else {
        info->total = g_new0(VpmuCounterSet, 1);
    }
    return info;
}

static void print_event(Monitor *mon, const VpmuEvent *event)
{
    if (event->name) {
        monitor_printf(mon, "%s", event->name);
    } else {
        monitor_printf(mon, "event=0x%02x,umask=0x%02x", event->select,
                       event->umask);
    }
}

static void hmp_info_vpmu(Monitor *mon, const QDict *qdict)
{
    g_autoptr(VpmuInfo) info = qmp_query_vpmu(&error_abort);

    monitor_printf(mon, "mode: %s (%s)\n", VpmuMode_str(info->mode),
                   info->reason);
    if (!info->cpus) {
        return;
    }
    monitor_printf(mon, "version %u, %u general-purpose and %u fixed "
                   "counters of %u bits\n", info->version, info->total->gp,
                   VPMU_NR_FIXED, info->counter_width);
    for (VpmuVcpuList *c = info->cpus; c; c = c->next) {
        monitor_printf(mon, "CPU #%" PRId64 "\n"
                       "  counter  path     owner  ring   %15s  event\n",
                       c->value->cpu_index, "value");
        for (VpmuCounterList *l = c->value->counters; l; l = l->next) {
            const VpmuCounter *v = l->value;

            monitor_printf(mon, "  %-5s %u  %-7s  %-5s  %-5s  %15" PRIu64
                           "  ", VpmuCounterType_str(v->type), v->index,
                           VpmuPath_str(v->path), VpmuOwner_str(v->owner),
                           v->user && v->kernel ? "both" :
                           v->user ? "user" : v->kernel ? "kern" : "-",
                           v->value);
            if (v->event) {
                print_event(mon, v->event);
            }
            monitor_printf(mon, "\n");
        }
        for (VpmuEventList *e = c->value->unsupported_events; e;
             e = e->next) {
            monitor_printf(mon, "  not supported, does not count: ");
            print_event(mon, e->value);
            monitor_printf(mon, "\n");
        }
    }
}

static void vpmu_register(void)
{
    monitor_register_hmp("vpmu", true, hmp_info_vpmu);
}

type_init(vpmu_register)
