/*
 * The types of the virtual PMU's CPU properties
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * properties.h.inc lists the properties, and config.c evaluates them.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "qapi/qapi-visit-vpmu.h"
#include "qapi/visitor.h"
#include "hw/qdev-properties.h"
#include "cpu.h"
#include "properties.h"

static void vpmu_prop_pmu_get(Object *obj, Visitor *v, const char *name,
                              void *opaque, Error **errp)
{
    qdev_prop_bool.get(obj, v, name, opaque, errp);
}

static void vpmu_prop_pmu_set(Object *obj, Visitor *v, const char *name,
                              void *opaque, Error **errp)
{
    qdev_prop_bool.set(obj, v, name, opaque, errp);
    X86_CPU(obj)->vpmu.pmu_set = true;
}

static void vpmu_prop_pmu_set_default(ObjectProperty *op, const Property *prop)
{
    object_property_set_default_bool(op, prop->defval.u);
}

/* A boolean that remembers that it was set, see VPMUConfig. */
const PropertyInfo vpmu_prop_pmu = {
    .type = "bool",
    .description = "on/off",
    .get = vpmu_prop_pmu_get,
    .set = vpmu_prop_pmu_set,
    .set_default_value = vpmu_prop_pmu_set_default,
};

char *vpmu_fixed_list(uint8_t mask)
{
    GString *list = g_string_new(NULL);

    for (unsigned j = 0; j < VPMU_NR_FIXED; j++) {
        if (mask & (1u << j)) {
            g_string_append_printf(list, "%s%u", list->len ? ":" : "", j);
        }
    }
    return g_string_free(list, FALSE);
}

static void vpmu_prop_fixed_get(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    uint8_t *mask = object_field_prop_ptr(obj, opaque);
    g_autofree char *list = vpmu_fixed_list(*mask);

    visit_type_str(v, name, &list, errp);
}

static void vpmu_prop_fixed_set(Object *obj, Visitor *v, const char *name,
                                void *opaque, Error **errp)
{
    g_autofree char *list = NULL;
    g_auto(GStrv) indices = NULL;
    uint8_t mask = 0;

    if (!visit_type_str(v, name, &list, errp)) {
        return;
    }
    indices = g_strsplit(list, ":", -1);
    for (char **index = indices; *index; index++) {
        unsigned j = (*index)[0] - '0';

        if (!(*index)[0] || (*index)[1] || j >= VPMU_NR_FIXED) {
            error_setg(errp, "%s=%s: '%s' is not a fixed counter: use the "
                       "indices 0 to %u with colons between them, as in 0:2",
                       name, list, *index, VPMU_NR_FIXED - 1);
            return;
        }
        if (mask & (1u << j)) {
            error_setg(errp, "%s=%s names fixed counter %u twice: name it "
                       "once", name, list, j);
            return;
        }
        mask |= 1u << j;
    }
    *(uint8_t *)object_field_prop_ptr(obj, opaque) = mask;
}

/* -cpu splits at commas, so a list in it has colons. */
const PropertyInfo vpmu_prop_fixed = {
    .type = "str",
    .description = "indices of fixed counters, for example 0:2",
    .get = vpmu_prop_fixed_get,
    .set = vpmu_prop_fixed_set,
};

static void vpmu_prop_enum_get(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    qdev_prop_on_off_auto.get(obj, v, name, opaque, errp);
}

static void vpmu_prop_enum_set(Object *obj, Visitor *v, const char *name,
                               void *opaque, Error **errp)
{
    qdev_prop_on_off_auto.set(obj, v, name, opaque, errp);
}

static void vpmu_prop_enum_set_default(ObjectProperty *op, const Property *prop)
{
    qdev_prop_on_off_auto.set_default_value(op, prop);
}

const PropertyInfo vpmu_prop_order = {
    .type = "VpmuHostOrder",
    .description = "which counters the host gets first: high/low",
    .enum_table = &VpmuHostOrder_lookup,
    .get = vpmu_prop_enum_get,
    .set = vpmu_prop_enum_set,
    .set_default_value = vpmu_prop_enum_set_default,
};

const PropertyInfo vpmu_prop_visible = {
    .type = "VpmuVisible",
    .description = "which counters the guest sees: all/granted",
    .enum_table = &VpmuVisible_lookup,
    .get = vpmu_prop_enum_get,
    .set = vpmu_prop_enum_set,
    .set_default_value = vpmu_prop_enum_set_default,
};

const PropertyInfo vpmu_prop_simulation = {
    .type = "VpmuSimulation",
    .description = "caches, TLBs and branch prediction: none/simple",
    .enum_table = &VpmuSimulation_lookup,
    .get = vpmu_prop_enum_get,
    .set = vpmu_prop_enum_set,
    .set_default_value = vpmu_prop_enum_set_default,
};
