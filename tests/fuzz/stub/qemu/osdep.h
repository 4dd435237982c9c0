/*
 * What the PMU's files use of QEMU's qemu/osdep.h, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With FUZZ_WITH_QEMU, there are QEMU's own headers for what is not here.
 */
#ifndef TESTS_FUZZ_STUB_OSDEP_H
#define TESTS_FUZZ_STUB_OSDEP_H

#include <assert.h>
#include <errno.h>
#include <glib.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_TCG 1

#ifdef FUZZ_WITH_QEMU
#include "qemu/compiler.h"
#include "qemu/typedefs.h"
#else
#define sizeof_field(type, field) sizeof(((type *)0)->field)
#define QEMU_BUILD_BUG_ON(x) _Static_assert(!(x), #x)
#endif

#define ARRAY_SIZE(array)   (sizeof(array) / sizeof((array)[0]))

static inline unsigned ctpop16(uint16_t value)
{
    return __builtin_popcount(value);
}

static inline uint64_t extract64(uint64_t value, int start, int length)
{
    return value >> start & (~UINT64_C(0) >> (64 - length));
}

static inline uint64_t cpu_to_le64(uint64_t value)
{
    return GUINT64_TO_LE(value);
}

static inline void le64_to_cpus(uint64_t *value)
{
    *value = GUINT64_FROM_LE(*value);
}

#endif /* TESTS_FUZZ_STUB_OSDEP_H */
