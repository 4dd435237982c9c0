# SPDX-License-Identifier: GPL-2.0-or-later
# What counter hand-over adds to kvm.ko; arch/x86/kvm/Makefile includes this.
ccflags-y += -DVPMU_KERNEL -include $(src)/vpmu/version.h
NOSTDINC_FLAGS += -I $(src)/../include
kvm-y += vpmu/abi.o vpmu/debugfs.o vpmu/direct.o vpmu/handover.o vpmu/map.o
CFLAGS_vpmu/handover.o += -DVPMU_STANDALONE
