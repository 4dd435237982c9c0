# The emulator, libvirt for it, their tests and patch series.  "make help" says more.
# SPDX-License-Identifier: GPL-2.0-or-later

export QEMU_SRC LIBVIRT_SRC DISTDIR JOBS
MAKEFLAGS += --no-print-directory

.PHONY: all deps check check-build series check-series pristine bench demo \
	libvirt check-libvirt demo-libvirt kvm-modules bench-kvm check-nested \
	check-server check-models check-sanitized fuzz coverage soak clean help

all: deps
	@scripts/build qemu

deps:
	@scripts/deps build

check: all
	@scripts/deps guest docs
	@scripts/check $(STAGE)

check-build: deps
	@scripts/tree qemu
	@scripts/check build

series: deps
	@for name in qemu qemu-vmx libvirt; do scripts/series $$name || exit; done

check-series: deps
	@scripts/series qemu check $(if $(BUILD),build)
	@scripts/series qemu-vmx check $(if $(BUILD),build)
	@scripts/series libvirt check

pristine: deps
	@scripts/build pristine

bench: all pristine
	@scripts/deps guest bench
	@scripts/build user
	@tests/bench/overhead
	@tests/bench/overhead --only misses,cache --rounds 4 --turns 1 \
		--json build/bench-misses.json
	@tests/bench/precision
	@tests/bench/misses

kvm-modules: deps
	@scripts/kvm-modules $(KERNEL_VERSION)

bench-kvm: all
	@scripts/deps guest
	@tests/kvm/bench $(if $(KERNEL_VERSION),--kernel $(KERNEL_VERSION))

check-nested: all
	@scripts/deps guest
	@NESTED_ROUNDS=$${NESTED_ROUNDS:-3} scripts/check kvm nested

check-models: all
	@scripts/deps guest
	@VPMU_MODELS=all tests/functional/run \
		tests/functional/test_x86_64_vpmu_models.py

check-sanitized: all
	@scripts/deps guest
	@tests/check/sanitized $(STAGE)

fuzz: deps
	@FUZZ_SECONDS=$(SECONDS) FUZZ_RUNS=$(RUNS) scripts/fuzz $(FUZZ)

coverage: deps
	@scripts/coverage

soak: all pristine
	@scripts/deps guest
	@SOAK_SECONDS=$(or $(SECONDS),1800) scripts/soak

# Nothing is installed on a server.
check-server:
	@scripts/check-server $(MODULES)

demo: all
	@scripts/deps guest
	@scripts/demo

libvirt: deps
	@scripts/deps libvirt
	@scripts/build libvirt

check-libvirt: all
	@scripts/deps guest
	@scripts/check libvirt

demo-libvirt: all libvirt
	@scripts/deps guest
	@scripts/demo libvirt

clean:
	rm -rf build

help:
	@cat scripts/help.txt
