/*
 * A kernel that provides the PMU of the machine, as the provider finds it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Its guest enables what it likes, and its map is of the same core as that of
 * the real one.  The guest's registers are none of QEMU's business.
 */
#include "qemu/osdep.h"
#include "qemu/timer.h"
#include "provider.h"
#include "qmp-machine.h"

static VpmuMode kernel_mode(X86CPU *cpu, const char **reason)
{
    *reason = "this kernel says so";
    return machine.kernel;
}

static void kernel_offer(X86CPU *cpu, VPMUOffer *offer)
{
    *offer = (VPMUOffer) {
        .lbr_format = machine.nr > 1 ? LBR_FORMAT_INFO : LBR_FORMAT_NONE,
        .no_lbr = "this kernel has none",
    };
}

void kernel_guest(X86CPU *cpu, Stream *s)
{
    HandoverChange change;

    handover_enable(&cpu->env.vpmu_host.handover,
                    take(s, 2) & vcpu_ppmcs(cpu),
                    qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL), &change);
}

static void kernel_refresh(CPUX86State *env)
{
    Stream *s = machine.guest;

    if (s && s->size) {
        kernel_guest(env_archcpu(env), s);
    }
}

/* As the real one, it changes nothing that it refuses. */
static int kernel_reserve(unsigned gp, unsigned fixed, bool force)
{
    const X86CPU *first = &machine.vcpus[0];
    VPMUCounterMask wanted = fixed << VPMU_NR_GP |
        handover_choose(vcpu_ppmcs(first), 0, 0, gp, false);
    VPMUCounterMask starved = 0;
    HandoverChange change;

    g_assert_cmphex(wanted & ~vcpu_ppmcs(first), ==, 0);
    if (machine.kernel_error) {
        return machine.kernel_error;
    }
    for (unsigned pass = force; pass < 2 && !starved; pass++) {
        for (unsigned i = 0; i < machine.nr; i++) {
            Handover *h = &machine.vcpus[i].env.vpmu_host.handover;
            Handover trial = *h;

            starved |= handover_reserve(pass ? h : &trial, wanted, true,
                                        qemu_clock_get_ns(QEMU_CLOCK_VIRTUAL),
                                        &change);
        }
    }
    return starved && !force ? -EBUSY : 0;
}

const VPMUProvider vpmu_provider_kvm = {
    .mode = kernel_mode,
    .offer = kernel_offer,
    .refresh = kernel_refresh,
    .reserve = kernel_reserve,
};
