/*
 * A vCPU of the fuzzers without a machine around it, and its host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Where there is a machine, reservations are made by QMP, see fuzz-qmp.c.
 */
#include "qemu/osdep.h"
#include "counting.h"
#include "provider.h"
#include "report.h"
#include "vcpu.h"
#include "vpmc.h"

void vpmu_report_unsupported(CPUX86State *env)
{
    g_assert_cmphex(vpmu_unsupported_code(&env->vpmu, 0), !=, 0);
}

void vpmu_report_starved(CPUX86State *env, VPMUCounterMask vpmcs)
{
    g_assert_cmphex(vpmcs & ~env_archcpu(env)->vpmu.vpmcs, ==, 0);
}

uint64_t vpmu_kernel_pebs(const X86CPU *cpu)
{
    g_assert_not_reached();
}

VPMUCounterMask vpmu_kernel_vpmcs(X86CPU *cpu, uint8_t *version,
                                  uint8_t *width)
{
    g_assert_not_reached();
}

void vcpu_plug(X86CPU *cpu, unsigned slice, Stream *s)
{
    handover_init(&cpu->env.vpmu_host.handover, vcpu_ppmcs(cpu),
                  take(s, 2) & vcpu_ppmcs(cpu), slice);
}

void vcpu_host(X86CPU *cpu, Stream *s)
{
    CPUX86State *env = &cpu->env;
    unsigned what = take(s, 2);
    VPMUCounterMask ppmcs = what & vcpu_ppmcs(cpu);
    Handover *h = &env->vpmu_host.handover;

    if (!cpu->vpmu.policy) {
        return;
    }
    if (what >> 15) {
        unsigned p = what % VPMU_NR;

        if (h->reserved & VPMU_MASK_OF(p)) {
            vpmu_host_count(env, p, what & 0x100 ?
                            vpmu_event_find(0xc0, vpmu_model(env)) : NULL,
                            what >> 4 & 3);
        }
        return;
    }
    if (vpmu_reserve(env, ppmcs, what >> 14 & 1) && !(what >> 14 & 1)) {
        return;
    }
    g_assert_cmphex(h->reserved, ==, ppmcs);
}
