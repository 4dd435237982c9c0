/*
 * Calls of the PMU's QMP commands, made from a stream of bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_QMP_CALL_H
#define TESTS_FUZZ_QMP_CALL_H

#include "vcpu.h"

/**
 * qmp_call: have the next bytes call a command, and check all that must be true
 */
void qmp_call(Stream *s);

#endif /* TESTS_FUZZ_QMP_CALL_H */
