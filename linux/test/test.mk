# SPDX-License-Identifier: GPL-2.0-or-later
# Instead of the modules that users get, build a module under a name that is
# never shipped: kvm-amd.ko with the Intel PMU, for the kvm.ko built before.
obj-m := kvm-test-only.o
kvm-test-only-y := $(kvm-amd-y) vpmu/svm_intel_pmu.o
CFLAGS_vpmu/svm_intel_pmu.o := -Werror
