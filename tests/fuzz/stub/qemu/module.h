/*
 * Registrations at start, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_MODULE_H
#define TESTS_FUZZ_STUB_MODULE_H

#define type_init(function) \
    static void __attribute__((constructor)) start_##function(void) \
    { \
        function(); \
    }

#endif /* TESTS_FUZZ_STUB_MODULE_H */
