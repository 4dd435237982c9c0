/*
 * Where the fuzzers see what is reported
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_ERROR_REPORT_H
#define TESTS_FUZZ_STUB_ERROR_REPORT_H

void error_report(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
void warn_report(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
int error_printf(const char *format, ...)
    __attribute__((format(printf, 1, 2)));

#endif /* TESTS_FUZZ_STUB_ERROR_REPORT_H */
