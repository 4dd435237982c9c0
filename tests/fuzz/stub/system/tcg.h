/*
 * The fuzzers' accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_TCG_H
#define TESTS_FUZZ_STUB_TCG_H

bool tcg_enabled(void);

#endif /* TESTS_FUZZ_STUB_TCG_H */
