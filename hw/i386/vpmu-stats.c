/*
 * The virtual PMU's statistics: query-stats, provider vpmu
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * target/i386/vpmu/handover-stats.h.inc is the table of them.
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "qapi/qapi-types-stats.h"
#include "qemu/module.h"
#include "system/stats.h"
#include "target/i386/vpmu/provider.h"
#include "target/i386/vpmu/vcpus.h"

typedef enum { COUNT, BYTES, NANOSECONDS } Unit;

static const struct {
    const char *name;
    Unit unit;
    size_t offset;
} vpmu_stats_table[] = {
#define HANDOVER_STAT(field_, name_, unit_, description_) \
    { name_, unit_, offsetof(HandoverStats, field_) },
#include "target/i386/vpmu/handover-stats.h.inc"
#undef HANDOVER_STAT
};

static uint64_t *vpmu_statistic(HandoverStats *stats, unsigned i)
{
    return (uint64_t *)((char *)stats + vpmu_stats_table[i].offset);
}

static void vpmu_do_get_stats(CPUState *cs, run_on_cpu_data data)
{
    HandoverStats *stats = data.host_ptr;

    vpmu_provider()->refresh(cpu_env(cs));
    *stats = cpu_env(cs)->vpmu_host.handover.stats;
}

static void vpmu_add_result(StatsResultList **result, const char *path,
                            HandoverStats *stats, strList *names)
{
    StatsList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < ARRAY_SIZE(vpmu_stats_table); i++) {
        Stats *entry;

        if (!apply_str_list_filter(vpmu_stats_table[i].name, names)) {
            continue;
        }
        entry = g_new0(Stats, 1);
        entry->name = g_strdup(vpmu_stats_table[i].name);
        entry->value = g_new0(StatsValue, 1);
        entry->value->type = QTYPE_QNUM;
        entry->value->u.scalar = *vpmu_statistic(stats, i);
        QAPI_LIST_APPEND(tail, entry);
    }
    if (list) {
        add_stats_entry(result, STATS_PROVIDER_VPMU, path, list);
    }
}

/* Without a PMU that has statistics, the result is empty. */
static bool vpmu_has_stats(void)
{
    return first_cpu && X86_CPU(first_cpu)->vpmu.has_stats;
}

static void vpmu_stats(StatsResultList **result, StatsTarget target,
                       strList *names, strList *targets, Error **errp)
{
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    g_autofree HandoverStats *all = g_new(HandoverStats, vcpus->len);
    HandoverStats sum = {};

    if (!vpmu_has_stats() ||
        (target != STATS_TARGET_VM && target != STATS_TARGET_VCPU)) {
        return;
    }
    vpmu_run_on_vcpus(vcpus, vpmu_do_get_stats, all, sizeof(*all));
    for (unsigned n = 0; n < vcpus->len; n++) {
        Object *vcpu = g_ptr_array_index(vcpus, n);
        g_autofree char *path = object_get_canonical_path(vcpu);

        /* One that has been unplugged meanwhile has no path. */
        if (target == STATS_TARGET_VCPU && path &&
            apply_str_list_filter(path, targets)) {
            vpmu_add_result(result, path, &all[n], names);
        }
        for (unsigned i = 0; i < ARRAY_SIZE(vpmu_stats_table); i++) {
            *vpmu_statistic(&sum, i) += *vpmu_statistic(&all[n], i);
        }
    }
    if (target == STATS_TARGET_VM) {
        vpmu_add_result(result, NULL, &sum, names);
    }
}

static StatsSchemaValueList *vpmu_schema(void)
{
    StatsSchemaValueList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < ARRAY_SIZE(vpmu_stats_table); i++) {
        StatsSchemaValue *entry = g_new0(StatsSchemaValue, 1);

        entry->name = g_strdup(vpmu_stats_table[i].name);
        entry->type = STATS_TYPE_CUMULATIVE;
        entry->has_unit = vpmu_stats_table[i].unit != COUNT;
        entry->unit = vpmu_stats_table[i].unit == BYTES ?
                      STATS_UNIT_BYTES : STATS_UNIT_SECONDS;
        if (vpmu_stats_table[i].unit == NANOSECONDS) {
            entry->has_base = true;
            entry->base = 10;
            entry->exponent = -9;
        }
        QAPI_LIST_APPEND(tail, entry);
    }
    return list;
}

static void vpmu_schemas(StatsSchemaList **result, Error **errp)
{
    if (vpmu_has_stats()) {
        add_stats_schema(result, STATS_PROVIDER_VPMU, STATS_TARGET_VM,
                         vpmu_schema());
        add_stats_schema(result, STATS_PROVIDER_VPMU, STATS_TARGET_VCPU,
                         vpmu_schema());
    }
}

static void vpmu_stats_register(void)
{
    add_stats_callbacks(STATS_PROVIDER_VPMU, vpmu_stats, vpmu_schemas);
}

type_init(vpmu_stats_register)
