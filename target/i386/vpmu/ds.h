/*
 * The buffers of the debug store (DS) area
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "DS Save Area".  The guest chooses where the area and its
 * buffers are; all accesses go through vpmu_access().  The area has 64-bit
 * fields (CPUID DTES64).  By the vCPU's own thread.
 */
#ifndef TARGET_I386_VPMU_DS_H
#define TARGET_I386_VPMU_DS_H

#include "cpu.h"

/* Where the buffers' descriptions are in the area */
#define DS_BTS_OFFSET       0
#define DS_PEBS_OFFSET      0x20

/**
 * DSBuffer: a buffer, as the area describes it
 */
typedef struct DSBuffer {
    uint64_t base;
    uint64_t index;
    uint64_t maximum;
    uint64_t threshold;
} DSBuffer;

/**
 * ds_read: read fields of the area
 * @offset: of the first
 * @fields: @size bytes of 64-bit fields, host endian
 *
 * Returns: false if the memory cannot be accessed.
 */
bool ds_read(CPUX86State *env, unsigned offset, void *fields, unsigned size);

/**
 * ds_can_store: whether a record of @size bytes fits in, and its memory and that
 * of the index can be written
 * @offset: where the area describes the buffer
 */
bool ds_can_store(CPUX86State *env, unsigned offset, const DSBuffer *ds,
                  unsigned size);

/**
 * ds_store: write a record, and the index behind it
 * @is_circular: if there is no room for another one, the next is the first
 *
 * After ds_can_store().
 */
void ds_store(CPUX86State *env, unsigned offset, DSBuffer *ds, void *record,
              unsigned size, bool is_circular);

#endif /* TARGET_I386_VPMU_DS_H */
