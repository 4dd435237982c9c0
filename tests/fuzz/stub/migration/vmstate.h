/*
 * Descriptions of what migrates, as the fuzzers walk through them
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_VMSTATE_H
#define TESTS_FUZZ_STUB_VMSTATE_H

#include <stdbool.h>
#include <stddef.h>

/* @num elements of @size bytes at @offset; a bool is true or false */
typedef struct VMStateField {
    const char *name;
    size_t offset, size, num;
    bool is_bool;
} VMStateField;

typedef struct VMStateDescription VMStateDescription;

struct VMStateDescription {
    const char *name;
    int version_id, minimum_version_id;
    bool (*needed)(void *opaque);
    int (*pre_save)(void *opaque);
    int (*post_load)(void *opaque, int version_id);
    const VMStateField *fields;
    const VMStateDescription *const *subsections;
};

#define VMSTATE_ONE(field, type, truth) \
    { #field, offsetof(type, field), sizeof_field(type, field), 1, truth }
#define VMSTATE_MANY(field, type, count, truth) \
    { #field, offsetof(type, field), sizeof_field(type, field[0]), count, \
      truth }

#define VMSTATE_BOOL(field, type)       VMSTATE_ONE(field, type, true)
#define VMSTATE_UINT8(field, type)      VMSTATE_ONE(field, type, false)
#define VMSTATE_UINT16(field, type)     VMSTATE_ONE(field, type, false)
#define VMSTATE_UINT64(field, type)     VMSTATE_ONE(field, type, false)
#define VMSTATE_BOOL_ARRAY(field, type, n)   VMSTATE_MANY(field, type, n, true)
#define VMSTATE_UINT8_ARRAY(field, type, n)  VMSTATE_MANY(field, type, n, false)
#define VMSTATE_UINT16_ARRAY(field, type, n) VMSTATE_MANY(field, type, n, false)
#define VMSTATE_UINT64_ARRAY(field, type, n) VMSTATE_MANY(field, type, n, false)
#define VMSTATE_END_OF_LIST()           { NULL, 0, 0, 0, false }

#endif /* TESTS_FUZZ_STUB_VMSTATE_H */
