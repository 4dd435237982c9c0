/*
 * The virtual PMU's QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * They work with every accelerator, with every x86 machine and without a CPU.
 * The registers of a vCPU are read in its own thread between two translation
 * blocks, so that the answer is consistent and exact.
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "migration/misc.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-vpmu.h"
#include "qapi/qapi-events-vpmu.h"
#include "system/runstate.h"
#include "target/i386/vpmu/bts.h"
#include "target/i386/vpmu/provider.h"
#include "target/i386/vpmu/report.h"
#include "target/i386/vpmu/reservation.h"
#include "target/i386/vpmu/simulation.h"
#include "target/i386/vpmu/vcpus.h"
#include "target/i386/vpmu/vpmc.h"

static X86CPU *vpmu_first_cpu(void)
{
    return first_cpu ? X86_CPU(first_cpu) : NULL;
}

/* query-vpmu */

static VpmuGeometry *vpmu_geometry_info(SimGeometry geometry)
{
    VpmuGeometry *info = g_new0(VpmuGeometry, 1);

    info->sets = geometry.sets;
    info->ways = geometry.ways;
    return info;
}

static VpmuSimulated *vpmu_simulation_info(X86CPU *cpu)
{
    VPMUGeometry geometry = vpmu_geometry(cpu);
    VpmuSimulated *info = g_new0(VpmuSimulated, 1);

    info->model = cpu->vpmu.simulation;
    info->l1i = vpmu_geometry_info(geometry.l1i);
    info->l1d = vpmu_geometry_info(geometry.l1d);
    info->l2 = geometry.l2.sets ? vpmu_geometry_info(geometry.l2) : NULL;
    info->llc = vpmu_geometry_info(geometry.llc);
    info->itlb = vpmu_geometry_info(geometry.itlb);
    info->dtlb = vpmu_geometry_info(geometry.dtlb);
    info->stlb = vpmu_geometry_info(geometry.stlb);
    return info;
}

static VpmuCounterSet *vpmu_counter_set(unsigned gp, VPMUCounterMask mask)
{
    VpmuCounterSet *set = g_new0(VpmuCounterSet, 1);

    set->gp = gp;
    for (int j = VPMU_NR_FIXED - 1; j >= 0; j--) {
        if (mask & VPMU_MASK_OF(VPMU_FIXED(j))) {
            QAPI_LIST_PREPEND(set->fixed, j);
        }
    }
    return set;
}

static VpmuCounterSet *vpmu_counter_set_of(VPMUCounterMask mask)
{
    return vpmu_counter_set(ctpop16(mask & VPMU_MASK_GP), mask);
}

static VpmuCounterSet *vpmu_reserved_set(const VPMUReservation *r)
{
    return r ? vpmu_counter_set(r->gp, r->ppmcs) : vpmu_counter_set(0, 0);
}

static VpmuOwner vpmu_owner(const Handover *h, unsigned p)
{
    return h->reserved & VPMU_MASK_OF(p) ? VPMU_OWNER_HOST :
           h->virt[p] != HANDOVER_NONE ? VPMU_OWNER_GUEST : VPMU_OWNER_FREE;
}

static VpmuCounter *vpmu_counter_info(CPUX86State *env, unsigned v)
{
    static const VpmuPath paths[] = {
        [HANDOVER_IDLE] = VPMU_PATH_IDLE,
        [HANDOVER_FAST] = VPMU_PATH_FAST,
        [HANDOVER_SLOW] = VPMU_PATH_SLOW,
        [HANDOVER_STARVED] = VPMU_PATH_STARVED,
    };
    const VPMUHost *host = &env->vpmu_host;
    const Handover *h = &host->handover;
    const VPMUEvent *event;
    SoftPMUConfig config = vpmu_counter_config(env, v, &event);
    VpmuCounter *info = g_new0(VpmuCounter, 1);
    VPMUEventCode code = v >= VPMU_NR_GP ? vpmu_event_code(event) :
                                           vpmu_gp_code(env, v);
    int p = h->phys[v];

    info->type = vpmu_type_of(v);
    info->index = vpmu_index_of(v);
    info->enabled = config.on;
    info->user = config.rings & (1 << SOFTPMU_USER);
    info->kernel = config.rings & (1 << SOFTPMU_KERNEL);
    info->event = code ? vpmu_event_info(code, event) : NULL;
    info->value = *vpmu_value(env, v);
    info->pebs = config.precise;
    info->has_physical_index = p != HANDOVER_NONE;
    info->physical_index = info->has_physical_index ? vpmu_index_of(p) : 0;
    info->owner = vpmu_owner(h, info->has_physical_index ? p : v);
    info->path = host->recordless & VPMU_MASK_OF(v) ? VPMU_PATH_SLOW :
                 paths[handover_path(h, v)];
    return info;
}

static VpmuHostCounter *vpmu_host_counter_info(CPUX86State *env, unsigned p)
{
    const VPMUHostCount *count = &vpmu_reservation_find()->counts[p];
    VpmuHostCounter *info = g_new0(VpmuHostCounter, 1);

    info->type = vpmu_type_of(p);
    info->index = vpmu_index_of(p);
    if (count->event) {
        info->event = vpmu_event_info(vpmu_event_code(count->event),
                                      count->event);
        info->user = count->rings & (1 << SOFTPMU_USER);
        info->kernel = count->rings & (1 << SOFTPMU_KERNEL);
        info->value = softpmu_save(&env->vpmu_host.hw, p).value;
    }
    return info;
}

/* What a vCPU tells; its records' number goes elsewhere in the answer. */
typedef struct VPMUVcpuInfo {
    VpmuVcpu *info;
    uint8_t lbr_depth;
} VPMUVcpuInfo;

/* In the vCPU's thread, while the main thread waits for it */
static void vpmu_do_vcpu_info(CPUState *cs, run_on_cpu_data data)
{
    X86CPU *cpu = X86_CPU(cs);
    CPUX86State *env = &cpu->env;
    const Handover *h = &env->vpmu_host.handover;
    VPMUVcpuInfo *vcpu = data.host_ptr;
    VpmuVcpu *info = vcpu->info;
    VpmuCounterList **counters = &info->counters;
    VpmuHostCounterList **host = &info->host_counters;

    vpmu_provider()->refresh(env);
    info->cpu_index = cs->cpu_index;
    info->qom_path = object_get_canonical_path(OBJECT(cs));
    info->in_use = vpmu_counter_set_of(handover_held(h));
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (vpmu_exists(cpu, v)) {
            QAPI_LIST_APPEND(counters, vpmu_counter_info(env, v));
        }
    }
    vcpu->lbr_depth = env->vpmu.lbr.depth;
    info->ds_area = env->vpmu.ds_area;
    info->bts_running = vpmu_is_traced(&env->vpmu);
    for (unsigned p = 0; p < VPMU_NR && cpu->vpmu.software; p++) {
        if (h->reserved & VPMU_MASK_OF(p)) {
            QAPI_LIST_APPEND(host, vpmu_host_counter_info(env, p));
        }
    }
    info->unsupported_events = vpmu_unsupported_events(env);
}

static void vpmu_vcpus_info(VpmuInfo *info)
{
    VpmuVcpuList **cpus = &info->cpus;
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    g_autofree VPMUVcpuInfo *all = g_new(VPMUVcpuInfo, vcpus->len);

    for (unsigned i = 0; i < vcpus->len; i++) {
        all[i].info = g_new0(VpmuVcpu, 1);
    }
    vpmu_run_on_vcpus(vcpus, vpmu_do_vcpu_info, all, sizeof(*all));
    for (unsigned i = 0; i < vcpus->len; i++) {
        QAPI_LIST_APPEND(cpus, all[i].info);
    }
    if (info->lbr && info->lbr->has_depth) {
        info->lbr->depth = all[0].lbr_depth;
    }
}

static void vpmu_policy_info(VpmuInfo *info, const VPMUConfig *config)
{
    info->passthrough = config->policy;
    info->host_order = config->host_order;
    if (config->policy) {
        info->visible = config->visible;
        info->slice_ms = config->slice_ms;
    }
}

static VpmuPebs *vpmu_pebs_info(unsigned format, bool baseline)
{
    VpmuPebs *info = g_new0(VpmuPebs, 1);

    info->format = format;
    info->baseline = baseline;
    return info;
}

static const char *vpmu_no_software_lbr(const X86CPU *cpu)
{
    const VPMUModel *model = vpmu_model_find(cpu->env.cpuid_version);

    return vpmu_is_amd(cpu) ? "the software PMU of AMD models has none" :
           model->lbr_format ? "they are switched off by lbr=off, lbr-fmt=0 "
                               "or arch-lbr=off: remove it" :
           model->model ? "drivers expect none of this CPU model, or others: "
                          "use one from Skylake on, without lbr=off" :
                          "this CPU model is not known to have some: use "
                          "lbr=on";
}

static void vpmu_software_branches(VpmuInfo *info, X86CPU *cpu)
{
    if (vpmu_has_lbr(cpu)) {
        info->lbr = g_new0(VpmuLbr, 1);
        info->lbr->format = cpu->vpmu.lbr_format;
        info->lbr->has_depth = true;
        /* vpmu_vcpus_info() fills it in. */
    } else {
        info->lbr_reason = g_strdup(vpmu_no_software_lbr(cpu));
    }
    info->bts = vpmu_has_bts(cpu);
    if (!info->bts) {
        info->bts_reason = g_strdup(vpmu_is_amd(cpu) ? "AMD models have none" :
                                    "the guest was not given it: add bts=on "
                                    "to -cpu");
    }
}

static void vpmu_software_info(VpmuInfo *info, X86CPU *first)
{
    const VPMUConfig *config = &first->vpmu;
    VpmuEventList **events = &info->events;

    info->version = config->version;
    info->counter_width = SOFTPMU_WIDTH;
    info->total = vpmu_counter_set_of(vpmu_ppmcs(first));
    if (vpmu_has_pebs(first)) {
        info->pebs = vpmu_pebs_info(config->pebs_format,
                                    vpmu_has_baseline(first));
    }
    vpmu_software_branches(info, first);
    if (vpmu_simulates(first)) {
        info->simulation = vpmu_simulation_info(first);
    }
    vpmu_policy_info(info, config);
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];
        VPMUEventCode code = vpmu_event_code(event);

        if (vpmu_event_is_counted(event, vpmu_simulates(first)) &&
            vpmu_event_find(code, vpmu_model(&first->env)) == event) {
            QAPI_LIST_APPEND(events, vpmu_event_info(code, event));
        }
    }
    vpmu_vcpus_info(info);
}

/* KVM gives records to guests with the host's CPU model only. */
static void vpmu_kernel_branches(VpmuInfo *info, X86CPU *cpu)
{
    unsigned format = cpu->env.features[FEAT_PERF_CAPABILITIES] &
                      PERF_CAP_LBR_FMT;
    VPMUOffer offer = {};

    vpmu_provider()->offer(cpu, &offer);
    if (!offer.lbr_format) {
        info->lbr_reason = g_strdup(offer.no_lbr);
    } else if (!format) {
        info->lbr_reason = g_strdup_printf("the guest was not given some: use "
                                           "lbr-fmt=0x%x, without lbr=off",
                                           offer.lbr_format);
    } else {
        info->lbr = g_new0(VpmuLbr, 1);
        info->lbr->format = format;
    }
    info->bts_reason = g_strdup("KVM has none");
}

/*
 * The kernel provides the PMU: what the guest's CPUID says of it.
 * Returns: the counters that the guest sees.
 */
static VPMUCounterMask vpmu_kernel_info(VpmuInfo *info, X86CPU *first)
{
    CPUX86State *env = &first->env;
    uint64_t pebs = vpmu_kernel_pebs(first);

    if (pebs) {
        info->pebs = vpmu_pebs_info(extract64(pebs, VPMU_CAP_PEBS_FORMAT_SHIFT,
                                              4),
                                    pebs & VPMU_CAP_PEBS_BASELINE);
    }
    vpmu_kernel_branches(info, first);
    if (IS_AMD_CPU(env)) {
        bool core = env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_PERFCORE;

        info->counter_width = 48;
        return (1u << (core ? 6 : 4)) - 1;
    }
    return vpmu_kernel_vpmcs(first, &info->version, &info->counter_width);
}

/* The kernel hands counters over, so more of them is known. */
static void vpmu_handover_info(VpmuInfo *info, X86CPU *first)
{
    vpmu_kernel_info(info, first);
    vpmu_policy_info(info, &first->vpmu);
    info->total = vpmu_counter_set_of(vpmu_ppmcs(first));
    if (first->vpmu.has_map) {
        vpmu_vcpus_info(info);
    }
}

static void vpmu_undivided_info(VpmuInfo *info, X86CPU *first)
{
    info->passthrough = info->mode == VPMU_MODE_MEDIATED &&
                        first->vpmu.passthrough != ON_OFF_AUTO_OFF;
    info->total = vpmu_counter_set_of(vpmu_kernel_info(info, first));
}

VpmuInfo *qmp_query_vpmu(Error **errp)
{
    VpmuInfo *info = g_new0(VpmuInfo, 1);
    X86CPU *first = vpmu_first_cpu();
    const char *reason;

    info->mode = vpmu_mode(first, &reason);
    info->reason = g_strdup(reason);
    info->reserved = vpmu_reserved_set(vpmu_reservation_find());
    switch (info->mode) {
    case VPMU_MODE_SOFTWARE:
        vpmu_software_info(info, first);
        break;
    case VPMU_MODE_HANDOVER:
        vpmu_handover_info(info, first);
        break;
    case VPMU_MODE_NONE:
        info->total = vpmu_counter_set(0, 0);
        break;
    default:
        vpmu_undivided_info(info, first);
        break;
    }
    return info;
}

/* vpmu-reserve-host-counters */

static bool vpmu_parse_fixed(const X86CPU *cpu, const uint8List *fixed,
                             VPMUCounterMask *mask, Error **errp)
{
    for (*mask = 0; fixed; fixed = fixed->next) {
        if (!cpu->vpmu.nr_fixed) {
            error_setg(errp, "this PMU has no fixed counters: leave out "
                       "fixed");
            return false;
        }
        if (fixed->value >= cpu->vpmu.nr_fixed) {
            error_setg(errp, "there is no fixed counter %u: use 0 to %u",
                       fixed->value, cpu->vpmu.nr_fixed - 1);
            return false;
        }
        if (*mask & VPMU_MASK_OF(VPMU_FIXED(fixed->value))) {
            error_setg(errp, "fixed counter %u is named twice: name it once",
                       fixed->value);
            return false;
        }
        *mask |= VPMU_MASK_OF(VPMU_FIXED(fixed->value));
    }
    return true;
}

/* Whether a reservation may change now */
static bool vpmu_check_migration(Error **errp)
{
    if (migration_is_running()) {
        error_setg(errp, "a migration is running: wait for its end, or use "
                   "migrate_cancel");
        return false;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "the machine waits for an incoming migration: wait "
                   "for its end");
        return false;
    }
    return true;
}

static VpmuDisplacedList *vpmu_displaced_list(const GArray *displaced)
{
    VpmuDisplacedList *list = NULL, **tail = &list;

    for (unsigned i = 0; i < displaced->len; i++) {
        const VPMUDisplaced *d = &g_array_index(displaced, VPMUDisplaced, i);
        VpmuDisplaced *element = g_new0(VpmuDisplaced, 1);

        element->cpu_index = d->cpu_index;
        element->qom_path = g_strdup(d->qom_path);
        element->counters = vpmu_counter_ids(d->vpmcs);
        QAPI_LIST_APPEND(tail, element);
    }
    return list;
}

VpmuReservation *qmp_vpmu_reserve_host_counters(uint8_t gp, bool has_fixed,
                                                uint8List *fixed,
                                                bool has_force, bool force,
                                                Error **errp)
{
    X86CPU *first = vpmu_first_cpu();
    VPMUReservation *r = vpmu_reservation_for(first, errp);
    g_autoptr(GArray) displaced = vpmu_displaced_new();
    VpmuReservation *result;
    VPMUReservation before;
    VPMUCounterMask mask;

    if (!r || !vpmu_parse_fixed(first, fixed, &mask, errp)) {
        return NULL;
    }
    if (gp > first->vpmu.total_gp) {
        error_setg(errp, "gp=%u is more than the %u general-purpose counters "
                   "that there are: use 0 to %u", gp, first->vpmu.total_gp,
                   first->vpmu.total_gp);
        return NULL;
    }
    before = *r;
    if (!vpmu_check_migration(errp) ||
        !vpmu_reservation_change(r, first, gp, mask, force, displaced, errp)) {
        return NULL;
    }

    result = g_new0(VpmuReservation, 1);
    result->reserved = vpmu_reserved_set(r);
    result->counters = vpmu_counter_ids(r->ppmcs);
    result->displaced = vpmu_displaced_list(displaced);
    if (r->gp != before.gp || r->ppmcs != before.ppmcs) {
        qapi_event_send_vpmu_reservation_changed(result->reserved);
    }
    return result;
}

/* vpmu-host-counter-set */

/* The event called @name, if counter @p of @cpu can count it */
static const VPMUEvent *vpmu_find_host_event(X86CPU *cpu, unsigned p,
                                             const char *name, Error **errp)
{
    const VPMUEvent *fixed = vpmu_event_fixed(p);

    if (fixed) {
        if (!strcmp(fixed->name, name)) {
            return fixed;
        }
        error_setg(errp, "fixed counter %u counts '%s' only, not '%s'",
                   vpmu_index_of(p), fixed->name, name);
        return NULL;
    }
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];

        if (vpmu_event_is_counted(event, vpmu_simulates(cpu)) &&
            !strcmp(event->name, name) &&
            vpmu_event_find(vpmu_event_code(event),
                            vpmu_model(&cpu->env)) == event) {
            return event;
        }
    }
    error_setg(errp, "there is no event '%s' for general-purpose counters: "
               "query-vpmu has the names in its list of events", name);
    return NULL;
}

/* Whether the operator may count with this counter */
static bool vpmu_check_host_counter(const VPMUReservation *r, X86CPU *first,
                                    VpmuCounterType type, unsigned index,
                                    Error **errp)
{
    bool fixed = type == VPMU_COUNTER_TYPE_FIXED;
    unsigned total = fixed ? first->vpmu.nr_fixed : first->vpmu.total_gp;

    if (!first->vpmu.software) {
        error_setg(errp, "under KVM reserved counters are for the host's "
                   "perf: use that, for example perf stat -a");
        return false;
    }
    if (!total) {
        error_setg(errp, "this PMU has no fixed counters: use type gp");
        return false;
    }
    if (index >= total) {
        error_setg(errp, "there is no %s counter %u: use 0 to %u",
                   VpmuCounterType_str(type), index, total - 1);
        return false;
    }
    if (!(r->ppmcs & VPMU_MASK_OF(fixed ? VPMU_FIXED(index) : index))) {
        error_setg(errp, "%s counter %u is not reserved for the host: "
                   "reserve counters with vpmu-reserve-host-counters, "
                   "query-vpmu shows which",
                   VpmuCounterType_str(type), index);
        return false;
    }
    return true;
}

void qmp_vpmu_host_counter_set(VpmuCounterType type, uint8_t index,
                               const char *event, bool has_user, bool user,
                               bool has_kernel, bool kernel, Error **errp)
{
    X86CPU *first = vpmu_first_cpu();
    VPMUReservation *r = vpmu_reservation_for(first, errp);
    unsigned p = type == VPMU_COUNTER_TYPE_FIXED ? VPMU_FIXED(index) : index;
    VPMUHostCount count = {};

    if (!r || !vpmu_check_host_counter(r, first, type, index, errp)) {
        return;
    }
    if (event) {
        count.event = vpmu_find_host_event(first, p, event, errp);
        if (!count.event) {
            return;
        }
        count.rings = (!has_user || user ? 1 << SOFTPMU_USER : 0) |
                      (!has_kernel || kernel ? 1 << SOFTPMU_KERNEL : 0);
        if (!count.rings) {
            error_setg(errp, "user and kernel are both false: set one of "
                       "them, or leave out event to switch the counter off");
            return;
        }
    }
    vpmu_reservation_count(r, p, count);
}
