/*
 * The software PMU in builds without TCG, where nothing switches it on
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "tcg-vcpu.h"

uint64_t vpmu_read_ppmc(CPUX86State *env, unsigned p, uintptr_t retaddr)
{
    g_assert_not_reached();
}

void vpmu_sample(CPUX86State *env, PEBSSample *sample)
{
    g_assert_not_reached();
}

bool vpmu_access(CPUX86State *env, uint64_t address, void *buffer,
                 unsigned size, bool write)
{
    g_assert_not_reached();
}

bool vpmu_waits_for_memory(CPUX86State *env)
{
    g_assert_not_reached();
}

void vpmu_request_sync(CPUX86State *env)
{
    g_assert_not_reached();
}

void vpmu_leave_before_fetch(CPUX86State *env, bool leave)
{
    g_assert_not_reached();
}

void vpmu_raise_pmi(CPUX86State *env)
{
    g_assert_not_reached();
}
