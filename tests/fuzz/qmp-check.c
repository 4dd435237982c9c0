/*
 * What must be true of the answers of the PMU's QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "counting.h"
#include "qmp-check.h"
#include "report.h"
#include "simulation.h"
#include "vpmc.h"

/* The pPMCs that an answer says of one vCPU to be the guest's and the host's */
typedef struct Owners {
    VPMUCounterMask guest;
    VPMUCounterMask host;
} Owners;

static unsigned counter_of(VpmuCounterType type, unsigned index)
{
    unsigned i = type == VPMU_COUNTER_TYPE_FIXED ? VPMU_FIXED(index) : index;

    g_assert_cmpuint(i, <, VPMU_NR);
    return i;
}

static VPMUCounterMask fixed_of(const VpmuCounterSet *set)
{
    VPMUCounterMask mask = 0;
    const uint8List *j;

    for (j = set->fixed; j; j = j->next) {
        VPMUCounterMask one = VPMU_MASK_OF(counter_of(VPMU_COUNTER_TYPE_FIXED,
                                                      j->value));

        /* In order, and each once */
        g_assert_cmphex(mask, <, one);
        mask |= one;
    }
    return mask;
}

static void check_set(const VpmuCounterSet *set, VPMUCounterMask mask)
{
    g_assert_cmpuint(set->gp, ==, ctpop16(mask & VPMU_MASK_GP));
    g_assert_cmphex(fixed_of(set), ==, mask & ~VPMU_MASK_GP);
}

void check_reserved(const VpmuCounterSet *set)
{
    const VPMUReservation *r = vpmu_reservation_find();

    if (r && machine_has_kernel()) {
        /* It does not tell which. */
        g_assert_cmpuint(set->gp, ==, r->gp);
        g_assert_cmphex(fixed_of(set), ==, r->ppmcs);
    } else {
        check_set(set, r ? r->ppmcs : 0);
    }
}

void check_event(const VpmuEvent *event)
{
    for (unsigned i = 0; event->name && i < vpmu_nr_events; i++) {
        VPMUEventCode code = vpmu_event_code(&vpmu_events[i]);

        if (vpmu_event_code_select(code) == event->select &&
            vpmu_event_code_umask(code) == event->umask &&
            !strcmp(vpmu_events[i].name, event->name)) {
            return;
        }
    }
    g_assert_null(event->name);
}

static void check_events(const VpmuEventList *events)
{
    for (; events; events = events->next) {
        check_event(events->value);
    }
}

/* A vPMC and its owner, as the pPMCs' owners are */
static void check_counter(const X86CPU *cpu, const VpmuCounter *c,
                          const Owners *owners)
{
    unsigned v = counter_of(c->type, c->index);
    VPMUCounterMask at;

    g_assert_true(vpmu_exists(cpu, v));
    g_assert_cmphex(c->value, <=, SOFTPMU_VALUE_MASK);
    if (c->event) {
        check_event(c->event);
    }
    at = VPMU_MASK_OF(c->has_physical_index ?
                      counter_of(c->type, c->physical_index) : v);
    g_assert_cmpint(c->owner, ==, owners->host & at ? VPMU_OWNER_HOST :
                                  owners->guest & at ? VPMU_OWNER_GUEST :
                                                       VPMU_OWNER_FREE);
    if (!machine_has_kernel()) {
        /* The kernel of qmp-kernel.c has a map, but no registers. */
        g_assert_cmpint(c->enabled, ==, c->path != VPMU_PATH_IDLE);
    }
    if (c->path != VPMU_PATH_IDLE) {
        g_assert_cmpint(c->path, ==, !c->has_physical_index ?
            VPMU_PATH_STARVED : c->physical_index == c->index ?
            VPMU_PATH_FAST : VPMU_PATH_SLOW);
    }
}

static void check_host_counter(const VpmuHostCounter *c)
{
    const VPMUHostCount *count =
        &vpmu_reservation_find()->counts[counter_of(c->type, c->index)];

    g_assert_cmpint(!!c->event, ==, !!count->event);
    if (c->event) {
        g_assert_cmpstr(c->event->name, ==, count->event->name);
        g_assert_cmpint(c->user | c->kernel << 1, ==,
                        !!(count->rings & 1 << SOFTPMU_USER) |
                        !!(count->rings & 1 << SOFTPMU_KERNEL) << 1);
    }
    g_assert_cmphex(c->value, <=, SOFTPMU_VALUE_MASK);
}

static Owners owners_of(const VpmuVcpu *vcpu)
{
    Owners owners = { 0 };

    for (const VpmuCounterList *c = vcpu->counters; c; c = c->next) {
        if (c->value->has_physical_index) {
            VPMUCounterMask one = VPMU_MASK_OF(
                counter_of(c->value->type, c->value->physical_index));

            g_assert_cmphex(owners.guest & one, ==, 0);
            owners.guest |= one;
        }
    }
    for (const VpmuHostCounterList *c = vcpu->host_counters; c; c = c->next) {
        owners.host |= VPMU_MASK_OF(counter_of(c->value->type,
                                               c->value->index));
        check_host_counter(c->value);
    }
    return owners;
}

/* Each pPMC has one owner, and there are no others. */
static void check_vcpu(const VpmuInfo *info, const VpmuVcpu *vcpu)
{
    const X86CPU *cpu = X86_CPU(machine_vcpu(vcpu->cpu_index));
    Owners owners = owners_of(vcpu);
    VPMUCounterMask all = vcpu_ppmcs(cpu);
    VPMUCounterMask vpmcs = 0;
    g_autofree char *path = object_get_canonical_path(OBJECT(&cpu->cs));

    g_assert_cmpstr(path, ==, vcpu->qom_path);
    g_assert_false(cpu->cs.unplug);
    check_set(info->total, all);
    if (!machine_has_kernel()) {
        check_set(info->reserved, owners.host);
    } else {
        g_assert_null(vcpu->host_counters);
        owners.host = cpu->env.vpmu_host.handover.reserved;
    }
    check_set(vcpu->in_use, owners.guest);
    g_assert_cmphex(owners.guest & owners.host, ==, 0);
    g_assert_cmphex((owners.guest | owners.host) & ~all, ==, 0);
    for (const VpmuCounterList *c = vcpu->counters; c; c = c->next) {
        check_counter(cpu, c->value, &owners);
        vpmcs |= VPMU_MASK_OF(counter_of(c->value->type, c->value->index));
    }
    g_assert_cmphex(vpmcs, ==, cpu->vpmu.vpmcs);
    g_assert_cmphex(vcpu->ds_area, ==, cpu->env.vpmu.ds_area);
    check_events(vcpu->unsupported_events);
}

void check_info(const VpmuInfo *info)
{
    const VpmuVcpuList *vcpu = info->cpus;
    const X86CPU *first = &machine.vcpus[0];

    check_reserved(info->reserved);
    if (!machine.nr) {
        g_assert_cmpint(info->mode, ==, VPMU_MODE_NONE);
        check_set(info->total, 0);
        g_assert_null(info->cpus);
        return;
    }
    g_assert_cmpint(info->mode, ==, machine.kernel);
    if (info->mode == VPMU_MODE_NONE) {
        check_set(info->total, 0);
        g_assert_null(info->cpus);
        return;
    }
    g_assert_cmpint(!info->lbr, ==, !!info->lbr_reason);
    g_assert_cmpint(info->bts, ==, !info->bts_reason);
    g_assert_cmpint(!!info->simulation, ==, vpmu_simulates(first));
    if (info->mode != VPMU_MODE_SOFTWARE && info->mode != VPMU_MODE_HANDOVER) {
        g_assert_null(info->cpus);
        return;
    }
    g_assert_cmpint(info->passthrough, ==, first->vpmu.policy);
    if (info->lbr && info->lbr->has_depth) {
        g_assert_cmpuint(info->lbr->depth, ==, first->env.vpmu.lbr.depth);
    }
    check_events(info->events);
    for (unsigned i = 0; i < machine.nr; i++) {
        if (!machine_vcpu(i)->unplug) {
            g_assert_nonnull(vcpu);
            g_assert_cmpint(vcpu->value->cpu_index, ==, i);
            check_vcpu(info, vcpu->value);
            vcpu = vcpu->next;
        }
    }
    g_assert_null(vcpu);
}

/* Statistics */

static uint64_t statistic(const HandoverStats *stats, const char *name)
{
#define HANDOVER_STAT(field, name_, unit, description) \
    if (!strcmp(name, name_)) { \
        return stats->field; \
    }
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
    g_assert_not_reached();
}

void check_stats(const StatsResultList *results)
{
    for (; results; results = results->next) {
        const StatsResult *result = results->value;

        g_assert_cmpint(result->provider, ==, STATS_PROVIDER_VPMU);
        for (const StatsList *one = result->stats; one; one = one->next) {
            uint64_t sum = 0;

            for (unsigned i = 0; i < machine.nr; i++) {
                CPUState *cs = machine_vcpu(i);
                g_autofree char *path = object_get_canonical_path(OBJECT(cs));

                if (!cs->unplug && (!result->qom_path ||
                                    !strcmp(path, result->qom_path))) {
                    sum += statistic(&cpu_env(cs)->vpmu_host.handover.stats,
                                     one->value->name);
                }
            }
            g_assert_cmpint(one->value->value->type, ==, QTYPE_QNUM);
            if (!machine.guest) {
                /* Nothing has changed since another request was answered. */
                g_assert_cmphex(one->value->value->u.scalar, ==, sum);
            }
        }
    }
}
