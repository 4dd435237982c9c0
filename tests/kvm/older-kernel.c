/*
 * Preloaded into the emulator: a kernel of another age
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * All that is done is done by the real kernel; it just does not say all that it
 * can do, and is asked for something that it does not know:
 *
 *     LACKS=MASK       features that KVM_CHECK_EXTENSION does not tell of
 *     UNKNOWN_FLAG=N   a flag that a later one may have, in the N-th
 *                      KVM_ENABLE_CAP of the capability
 *     NO_DS=1          CPUID for the guest without DS, so it has no PEBS
 */
#include <dlfcn.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <asm/kvm_vpmu_handover.h>

#define UNKNOWN_FLAG    (1u << 31)
#define CPUID_DS        (1u << 21) /* leaf 1 EDX */

static int number(const char *name)
{
    const char *value = getenv(name);

    return value ? atoi(value) : 0;
}

int ioctl(int fd, unsigned long request, ...)
{
    static int times;
    int (*next)(int, unsigned long, ...) =
        (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
    const struct kvm_enable_cap *cap;
    struct kvm_cpuid2 *cpuid;
    va_list args;
    void *arg;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);
    cap = arg;
    if (request == KVM_CHECK_EXTENSION &&
        (uintptr_t)arg == KVM_CAP_X86_VPMU_HANDOVER) {
        return next(fd, request, arg) & ~number("LACKS");
    }
    if (request == KVM_ENABLE_CAP && cap->cap == KVM_CAP_X86_VPMU_HANDOVER &&
        ++times == number("UNKNOWN_FLAG")) {
        struct kvm_vpmu_handover *handover = (void *)cap->args[0];

        handover->flags |= UNKNOWN_FLAG;
    }
    cpuid = arg;
    for (unsigned i = 0; request == KVM_SET_CPUID2 && number("NO_DS") &&
         i < cpuid->nent; i++) {
        if (cpuid->entries[i].function == 1) {
            cpuid->entries[i].edx &= ~CPUID_DS;
        }
    }
    return next(fd, request, arg);
}
