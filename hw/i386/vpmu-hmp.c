/*
 * info vpmu: the answer of query-vpmu as a table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-vpmu.h"
#include "qemu/module.h"

static void vpmu_print_event(Monitor *mon, const VpmuEvent *event)
{
    if (event->name) {
        monitor_printf(mon, "%s", event->name);
    } else {
        monitor_printf(mon, "event=0x%02x,umask=0x%02x", event->select,
                       event->umask);
    }
}

static void vpmu_print_set(Monitor *mon, const VpmuCounterSet *set)
{
    uint8List *j;

    monitor_printf(mon, "%u general-purpose, fixed", set->gp);
    for (j = set->fixed; j; j = j->next) {
        monitor_printf(mon, " %u", j->value);
    }
    monitor_printf(mon, "%s\n", set->fixed ? "" : " none");
}

/* A line of the table; @backing: the counter that backs it, or its owner */
static void vpmu_print_counter(Monitor *mon, VpmuCounterType type,
                               unsigned index, const char *path,
                               const char *backing, bool user, bool kernel,
                               uint64_t value, const VpmuEvent *event,
                               bool pebs)
{
    monitor_printf(mon, "  %-5s %u  %-7s  %-7s  %-5s  %15" PRIu64,
                   VpmuCounterType_str(type), index, path, backing,
                   user && kernel ? "both" : user ? "user" :
                   kernel ? "kern" : "-", value);
    if (event) {
        monitor_printf(mon, "  ");
        vpmu_print_event(mon, event);
    }
    monitor_printf(mon, "%s\n", pebs ? ", PEBS" : "");
}

static void vpmu_print_vcpu(Monitor *mon, const VpmuVcpu *cpu)
{
    monitor_printf(mon, "CPU #%" PRId64 "%s\n"
                   "  counter  path     held by  ring   %15s  event\n",
                   cpu->cpu_index, cpu->bts_running ? ", BTS is running" : "",
                   "value");
    for (VpmuCounterList *l = cpu->counters; l; l = l->next) {
        const VpmuCounter *c = l->value;
        g_autofree char *backing = c->has_physical_index ?
            g_strdup_printf("%s %u", VpmuCounterType_str(c->type),
                            c->physical_index) : g_strdup("-");

        vpmu_print_counter(mon, c->type, c->index, VpmuPath_str(c->path),
                           backing, c->user, c->kernel, c->value, c->event,
                           c->pebs);
    }
    for (VpmuHostCounterList *l = cpu->host_counters; l; l = l->next) {
        const VpmuHostCounter *c = l->value;

        vpmu_print_counter(mon, c->type, c->index, "-", "host", c->user,
                           c->kernel, c->value, c->event, false);
    }
    for (VpmuEventList *e = cpu->unsupported_events; e; e = e->next) {
        monitor_printf(mon, "  not supported, does not count: ");
        vpmu_print_event(mon, e->value);
        monitor_printf(mon, "\n");
    }
}

static void vpmu_print_branches(Monitor *mon, const VpmuInfo *info)
{
    if (!info->lbr) {
        monitor_printf(mon, "LBR: none (%s)\n", info->lbr_reason);
    } else if (info->lbr->has_depth) {
        monitor_printf(mon, "LBR: %u records of format %u\n",
                       info->lbr->depth, info->lbr->format);
    } else {
        monitor_printf(mon, "LBR: records of format %u\n", info->lbr->format);
    }
    if (info->bts) {
        monitor_printf(mon, "BTS: available\n");
    } else {
        monitor_printf(mon, "BTS: none (%s)\n", info->bts_reason);
    }
}

static void vpmu_print_geometry(Monitor *mon, const char *name,
                                const VpmuGeometry *geometry)
{
    if (geometry) {
        monitor_printf(mon, ", %s %ux%u", name, geometry->sets, geometry->ways);
    }
}

static void vpmu_print_simulation(Monitor *mon, const VpmuSimulated *simulation)
{
    monitor_printf(mon, "simulated: %s",
                   VpmuSimulation_str(simulation->model));
    vpmu_print_geometry(mon, "L1I", simulation->l1i);
    vpmu_print_geometry(mon, "L1D", simulation->l1d);
    vpmu_print_geometry(mon, "L2", simulation->l2);
    vpmu_print_geometry(mon, "LLC", simulation->llc);
    vpmu_print_geometry(mon, "ITLB", simulation->itlb);
    vpmu_print_geometry(mon, "DTLB", simulation->dtlb);
    vpmu_print_geometry(mon, "STLB", simulation->stlb);
    monitor_printf(mon, " (sets x ways)\n");
}

static void hmp_info_vpmu(Monitor *mon, const QDict *qdict)
{
    g_autoptr(VpmuInfo) info = qmp_query_vpmu(&error_abort);

    monitor_printf(mon, "mode: %s (%s)\n", VpmuMode_str(info->mode),
                   info->reason);
    if (info->mode == VPMU_MODE_NONE) {
        return;
    }
    monitor_printf(mon, "version %u, counters of %u bits: ", info->version,
                   info->counter_width);
    vpmu_print_set(mon, info->total);
    if (info->pebs) {
        monitor_printf(mon, "PEBS: record format %u%s\n", info->pebs->format,
                       info->pebs->baseline ? " with baseline" : "");
    }
    vpmu_print_branches(mon, info);
    if (info->simulation) {
        vpmu_print_simulation(mon, info->simulation);
    }
    if (info->passthrough) {
        monitor_printf(mon, "reserved for the host: ");
        vpmu_print_set(mon, info->reserved);
    }
    for (VpmuVcpuList *c = info->cpus; c; c = c->next) {
        vpmu_print_vcpu(mon, c->value);
    }
}

static void vpmu_hmp_register(void)
{
    monitor_register_hmp("vpmu", true, hmp_info_vpmu);
}

type_init(vpmu_hmp_register)
