# The emulator, its tests and its patch series.  "make help" says more.
# SPDX-License-Identifier: GPL-2.0-or-later

export QEMU_SRC DISTDIR JOBS
MAKEFLAGS += --no-print-directory

.PHONY: all
all: deps
	@scripts/tree
	@scripts/build-qemu qemu $(CURDIR)/build/qemu $(CURDIR)/build/qemu/build \
	    "--target-list=x86_64-softmmu --enable-tcg --enable-kvm --enable-plugins \
	     --enable-slirp" qemu-system-x86_64
	@scripts/firmware build/qemu build/qemu/build
	@ln -sfn qemu/build/qemu-system-x86_64 build/qemu-system-x86_64

.PHONY: deps
deps:
	@scripts/deps build
