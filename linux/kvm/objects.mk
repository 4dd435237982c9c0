# SPDX-License-Identifier: GPL-2.0-or-later
# What counter hand-over adds to kvm.ko; arch/x86/kvm/Makefile includes this.
ccflags-y += -DVPMU_KERNEL -include $(src)/vpmu/version.h
NOSTDINC_FLAGS += -I $(src)/../include -I $(src)/../../../include
kvm-y += vpmu/abi.o vpmu/debugfs.o vpmu/entry.o vpmu/handover.o vpmu/map.o
kvm-y += vpmu/pebs.o vpmu/perf.o
# Our own files give no warnings, whatever CONFIG_WERROR says.
CFLAGS_vpmu/abi.o := -Werror
CFLAGS_vpmu/debugfs.o := -Werror
CFLAGS_vpmu/entry.o := -Werror
CFLAGS_vpmu/handover.o := -Werror -DVPMU_STANDALONE
CFLAGS_vpmu/map.o := -Werror
CFLAGS_vpmu/pebs.o := -Werror
CFLAGS_vpmu/perf.o := -Werror
