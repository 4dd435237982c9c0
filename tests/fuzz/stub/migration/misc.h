/*
 * Whether the machine is being migrated, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_MIGRATION_MISC_H
#define TESTS_FUZZ_STUB_MIGRATION_MISC_H

bool migration_is_running(void);

#endif /* TESTS_FUZZ_STUB_MIGRATION_MISC_H */
