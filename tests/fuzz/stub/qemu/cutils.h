/*
 * What the PMU's files use of QEMU's qemu/cutils.h, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_CUTILS_H
#define TESTS_FUZZ_STUB_CUTILS_H

#include <stdbool.h>
#include <stddef.h>

static inline bool buffer_is_zero(const void *buffer, size_t size)
{
    const char *byte = buffer;

    while (size && !*byte) {
        byte++;
        size--;
    }
    return !size;
}

#endif /* TESTS_FUZZ_STUB_CUTILS_H */
