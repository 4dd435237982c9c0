/*
 * Access to the virtual PMU's registers for tests/qtest/vpmu-*test.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Takes what libqtest's qtest_csr_call() sends:
 *
 *     csr vpmu-rdmsr CPU MSR 0         the value
 *     csr vpmu-wrmsr CPU MSR VALUE     the value
 *     csr vpmu-rdpmc CPU INDEX 0       the value
 *     csr vpmu-cpuid CPU LEAF N        EAX, EBX, ECX or EDX, by N
 *
 * and answers with a value, or with all ones for #GP, which no register of the
 * PMU can hold.  The machine must be stopped.
 */
#include "qemu/osdep.h"
#include "qemu/cutils.h"
#include "qemu/module.h"
#include "hw/core/cpu.h"
#include "system/qtest.h"
#include "system/runstate.h"
#include "target/i386/vpmu/msr.h"
#include "target/i386/vpmu/regs.h"

static uint64_t vpmu_access_msr(CPUX86State *env, bool write, uint32_t msr,
                                uint64_t value)
{
    VPMUAccess access = write ? vpmu_wrmsr(env, msr, value) :
                                vpmu_rdmsr(env, msr, &value, 0);

    /* QEMU has this register, only some of its bits are the PMU's. */
    if (access == VPMU_NOT_MINE && msr == MSR_IA32_MISC_ENABLE) {
        return env->msr_ia32_misc_enable;
    }
    g_assert(access != VPMU_NOT_MINE);
    return access == VPMU_FAULT ? UINT64_MAX : value;
}

static bool vpmu_command(CharBackend *chr, gchar **words)
{
    uint64_t index, value;
    VPMUAccess access;
    uint32_t cpuid[4];
    CPUX86State *env;
    int number;

    if (strcmp(words[0], "csr")) {
        return false;
    }
    g_assert(!qemu_strtou64(words[2], NULL, 0, &index));
    g_assert(!qemu_strtoi(words[3], NULL, 0, &number));
    g_assert(!qemu_strtou64(words[4], NULL, 0, &value));
    g_assert(!runstate_is_running());
    env = cpu_env(qemu_get_cpu(index));

    if (!strcmp(words[1], "vpmu-cpuid")) {
        cpu_x86_cpuid(env, number, 0, &cpuid[0], &cpuid[1], &cpuid[2],
                      &cpuid[3]);
        value = cpuid[value & 3];
    } else if (!strcmp(words[1], "vpmu-rdmsr")) {
        value = vpmu_access_msr(env, false, number, 0);
    } else if (!strcmp(words[1], "vpmu-wrmsr")) {
        value = vpmu_access_msr(env, true, number, value);
    } else if (!strcmp(words[1], "vpmu-rdpmc")) {
        access = vpmu_rdpmc(env, number, &value, 0);
        value = access == VPMU_FAULT ? UINT64_MAX : value;
    } else {
        return false;
    }
    qtest_sendf(chr, "OK 0 %" PRIx64 "\n", value);
    return true;
}

static void vpmu_qtest_register(void)
{
    qtest_set_command_cb(vpmu_command);
}

type_init(vpmu_qtest_register)
