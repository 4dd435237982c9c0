/*
 * The machine as an object, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_QDEV_CORE_H
#define TESTS_FUZZ_STUB_QDEV_CORE_H

#include "qemu/module.h"
#include "qemu/timer.h"
#include "qom/object.h"

Object *qdev_get_machine(void);

#endif /* TESTS_FUZZ_STUB_QDEV_CORE_H */
