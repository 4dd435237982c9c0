/*
 * The fuzzers' other accelerator
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_KVM_H
#define TESTS_FUZZ_STUB_KVM_H

bool kvm_enabled(void);

#endif /* TESTS_FUZZ_STUB_KVM_H */
