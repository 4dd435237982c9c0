/*
 * What the PMU's files use of QEMU's common types, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_QAPI_TYPES_COMMON_H
#define TESTS_FUZZ_STUB_QAPI_TYPES_COMMON_H

typedef enum { ON_OFF_AUTO_AUTO, ON_OFF_AUTO_ON, ON_OFF_AUTO_OFF } OnOffAuto;

#endif /* TESTS_FUZZ_STUB_QAPI_TYPES_COMMON_H */
