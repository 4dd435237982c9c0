/*
 * What the configuration of a host says to the files of QEMU that fuzz-qmp has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_QEMU_CONFIG_HOST_H
#define TESTS_FUZZ_QEMU_CONFIG_HOST_H

#define CONFIG_BINDIR   ""
#define CONFIG_INT128   1
#define CONFIG_IOVEC    1
#define CONFIG_LINUX    1
#define CONFIG_POSIX    1
#define CONFIG_PREFIX   ""

#endif /* TESTS_FUZZ_QEMU_CONFIG_HOST_H */
