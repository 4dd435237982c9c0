/*
 * The buffers of the debug store (DS) area
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "ds.h"
#include "tcg-vcpu.h"

/* The fields are little endian in memory. */
bool ds_read(CPUX86State *env, unsigned offset, void *fields, unsigned size)
{
    uint64_t *field = fields;

    if (!vpmu_access(env, env->vpmu.ds_area + offset, fields, size, false)) {
        return false;
    }
    for (unsigned i = 0; i < size / sizeof(*field); i++) {
        le64_to_cpus(&field[i]);
    }
    return true;
}

static uint64_t ds_index_address(const CPUX86State *env, unsigned offset)
{
    return env->vpmu.ds_area + offset + offsetof(DSBuffer, index);
}

static bool ds_has_room(const DSBuffer *ds, unsigned size)
{
    return ds->index >= ds->base && ds->index <= ds->maximum &&
           ds->maximum - ds->index >= size;
}

bool ds_can_store(CPUX86State *env, unsigned offset, const DSBuffer *ds,
                  unsigned size)
{
    return ds_has_room(ds, size) &&
           vpmu_access(env, ds->index, NULL, size, true) &&
           vpmu_access(env, ds_index_address(env, offset), NULL,
                       sizeof(ds->index), true);
}

void ds_store(CPUX86State *env, unsigned offset, DSBuffer *ds, void *record,
              unsigned size, bool is_circular)
{
    uint64_t index;

    vpmu_access(env, ds->index, record, size, true);
    ds->index += size;
    if (is_circular && !ds_has_room(ds, size)) {
        ds->index = ds->base;
    }
    index = cpu_to_le64(ds->index);
    vpmu_access(env, ds_index_address(env, offset), &index, sizeof(index),
                true);
}
