/*
 * The virtual clock of the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_TIMER_H
#define TESTS_FUZZ_STUB_TIMER_H

#include <stdint.h>

typedef enum { QEMU_CLOCK_VIRTUAL } QEMUClockType;

int64_t qemu_clock_get_ns(QEMUClockType type);

#endif /* TESTS_FUZZ_STUB_TIMER_H */
