/*
 * Nothing is forbidden in the files of QEMU that fuzz-qmp has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_QEMU_CONFIG_POISON_H
#define TESTS_FUZZ_QEMU_CONFIG_POISON_H


#endif /* TESTS_FUZZ_QEMU_CONFIG_POISON_H */
