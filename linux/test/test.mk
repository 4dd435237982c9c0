# SPDX-License-Identifier: GPL-2.0-or-later
# Instead of the modules that are shipped one of a name that nobody ships:
# kvm-amd.ko with the Intel PMU, for the kvm.ko that was built before.
obj-m := kvm-test-only.o
kvm-test-only-y := $(kvm-amd-y) vpmu/svm_intel_pmu.o
