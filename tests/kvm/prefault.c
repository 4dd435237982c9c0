/*
 * A library to preload into the emulator: maps all of the guest's memory before
 * the first vCPU runs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * If the page for a PEBS record is not mapped, a processor lets the host map it
 * and then writes the record.  QEMU's emulator drops the record, so a guest
 * that has just come from another host would lose some.
 *
 *     PREFAULT_MIB=N   size of the guest's memory
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* KVM_PRE_FAULT_MEMORY of Linux 6.10; the build host's headers may be older. */
struct pre_fault {
    uint64_t gpa;
    uint64_t size;
    uint64_t flags;
    uint64_t padding[5];
};
#define PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct pre_fault)

int ioctl(int fd, unsigned long request, ...)
{
    static int (*next)(int, unsigned long, ...);
    static atomic_flag done;
    uint64_t mib = atoi(getenv("PREFAULT_MIB"));
    struct pre_fault low = { 0, 640 << 10 };
    struct pre_fault high = { 1 << 20, (mib - 1) << 20 };
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    if (!next) {
        next = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    }
    if (request == KVM_RUN && !atomic_flag_test_and_set(&done) &&
        (next(fd, PRE_FAULT_MEMORY, &low) ||
         next(fd, PRE_FAULT_MEMORY, &high))) {
        perror("KVM_PRE_FAULT_MEMORY");
        abort();
    }
    return next(fd, request, arg);
}
