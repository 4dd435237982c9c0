/*
 * As much of QEMU's objects as the PMU's files need, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_OBJECT_H
#define TESTS_FUZZ_STUB_OBJECT_H

#include <stddef.h>

#define TYPE_OBJECT         "object"
#define OBJECT(object)      ((Object *)(object))

/* References beyond the first, and the name that it has as a child */
typedef struct Object {
    unsigned more;
    const char *name;
} Object;

typedef struct TypeInfo {
    const char *name;
    const char *parent;
    size_t instance_size;
} TypeInfo;

#define OBJECT_DECLARE_SIMPLE_TYPE(Type, NAME) \
    typedef struct Type Type; \
    static inline Type *NAME(Object *object) \
    { \
        return (Type *)object; \
    }

void type_register_static(const TypeInfo *info);
Object *object_new(const char *type);
void *object_ref(void *object);
void object_unref(void *object);
void *object_property_add_child(Object *parent, const char *name,
                                Object *child);
Object *object_resolve_path_component(Object *parent, const char *name);
char *object_get_canonical_path(const Object *object);

#endif /* TESTS_FUZZ_STUB_OBJECT_H */
