/*
 * The clocks of the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_TIMER_H
#define TESTS_FUZZ_STUB_TIMER_H

#include <stdint.h>

#define SCALE_MS 1000000

typedef enum { QEMU_CLOCK_VIRTUAL, QEMU_CLOCK_REALTIME } QEMUClockType;

/* All clocks are the same. */
int64_t qemu_clock_get_ns(QEMUClockType type);

static inline int64_t qemu_clock_get_ms(QEMUClockType type)
{
    return qemu_clock_get_ns(type) / SCALE_MS;
}

#endif /* TESTS_FUZZ_STUB_TIMER_H */
