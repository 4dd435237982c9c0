/*
 * A library to preload into the emulator: imitates an older or newer kernel
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The real kernel does all the work.  It only seems to have fewer features, or
 * it is asked for something that it does not know:
 *
 *     LACKS=MASK       remove these features from KVM_CHECK_EXTENSION's answer
 *     UNKNOWN_FLAG=N   add a flag of a newer interface to the N-th
 *                      KVM_ENABLE_CAP of the capability
 *     NO_MSR=N         KVM_SET_MSRS does not know this register
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <asm/kvm_vpmu_handover.h>

#define UNKNOWN_FLAG    (1u << 31)

static int environment_number(const char *name)
{
    const char *value = getenv(name);

    return value ? atoi(value) : 0;
}

/* How many of these registers come before the unknown one */
static uint32_t known_msrs(const struct kvm_msrs *msrs)
{
    const uint32_t unknown = environment_number("NO_MSR");
    uint32_t n = 0;

    while (n < msrs->nmsrs && (!unknown || msrs->entries[n].index != unknown)) {
        n++;
    }
    return n;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int times;
    int (*next)(int, unsigned long, ...) =
        (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    const struct kvm_enable_cap *cap;
    struct kvm_msrs *msrs;
    uint32_t n;
    int r;
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    cap = arg;
    if (request == KVM_CHECK_EXTENSION &&
        (uintptr_t)arg == KVM_CAP_X86_VPMU_HANDOVER) {
        return next(fd, request, arg) & ~environment_number("LACKS");
    }
    if (request == KVM_ENABLE_CAP && cap->cap == KVM_CAP_X86_VPMU_HANDOVER &&
        ++times == environment_number("UNKNOWN_FLAG")) {
        struct kvm_vpmu_handover *handover = (void *)cap->args[0];

        handover->flags |= UNKNOWN_FLAG;
    }
    if (request == KVM_SET_MSRS) {
        msrs = arg;
        n = msrs->nmsrs;
        msrs->nmsrs = known_msrs(msrs);
        r = msrs->nmsrs ? next(fd, request, msrs) : 0;
        msrs->nmsrs = n;
        return r;
    }
    return next(fd, request, arg);
}
