/*
 * The machine's bank of counters: who has which, QMP and HMP
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Works with every accelerator, with every x86 machine and without a CPU.
 * A vCPU's registers are read in its own thread between two translation
 * blocks, so that a picture of it is consistent and exact.  The reservation
 * is the same on all vCPUs, and only the main thread changes it.
 */
#include "qemu/osdep.h"
#include "hw/core/cpu.h"
#include "migration/misc.h"
#include "monitor/hmp.h"
#include "monitor/monitor.h"
#include "qapi/qapi-commands-vpmu.h"
#include "qapi/qapi-events-vpmu.h"
#include "qapi/error.h"
#include "qemu/module.h"
#include "system/runstate.h"
#include "target/i386/vpmu/internal.h"

static VpmuEvent *event_info(uint16_t code, const VPMUEvent *event)
{
    VpmuEvent *info = g_new0(VpmuEvent, 1);

    info->select = code & 0xff;
    info->umask = code >> 8;
    info->name = event ? g_strdup(event->name) : NULL;
    return info;
}

static VpmuCounterSet *counter_set(VPMUCounterMask mask)
{
    VpmuCounterSet *set = g_new0(VpmuCounterSet, 1);

    set->gp = ctpop16(mask & VPMU_MASK_GP);
    for (int j = VPMU_NR_FIXED - 1; j >= 0; j--) {
        if (mask & VPMU_MASK_OF(VPMU_FIXED(j))) {
            QAPI_LIST_PREPEND(set->fixed, j);
        }
    }
    return set;
}

/*
 * What a kernel keeps for the host: what it was told last, for nobody else can
 * tell it.  Which general-purpose counters these are is perf's to choose.
 */
typedef struct KernelKeeps {
    bool known;
    uint8_t gp;
    VPMUCounterMask fixed;
} KernelKeeps;

static KernelKeeps *kernel_keeps(X86CPU *first)
{
    static KernelKeeps keeps;

    if (!keeps.known) {
        keeps.known = true;
        keeps.gp = first->vpmu.host_gp;
        keeps.fixed = first->vpmu.host_fixed << VPMU_NR_GP;
    }
    return &keeps;
}

static VpmuCounterSet *kernel_reserved(X86CPU *first)
{
    const KernelKeeps *keeps = kernel_keeps(first);
    VpmuCounterSet *set = counter_set(keeps->fixed);

    set->gp = keeps->gp;
    return set;
}

static VpmuOwner owner(const Handover *h, unsigned p)
{
    return h->reserved & VPMU_MASK_OF(p) ? VPMU_OWNER_HOST :
           h->virt[p] != HANDOVER_NONE ? VPMU_OWNER_GUEST : VPMU_OWNER_FREE;
}

static VpmuCounter *counter_info(CPUX86State *env, unsigned v)
{
    static const VpmuPath paths[] = {
        [HANDOVER_IDLE] = VPMU_PATH_IDLE,
        [HANDOVER_FAST] = VPMU_PATH_FAST,
        [HANDOVER_SLOW] = VPMU_PATH_SLOW,
        [HANDOVER_STARVED] = VPMU_PATH_STARVED,
    };
    const Handover *h = &env->vpmu.handover;
    const VPMUEvent *event;
    SoftPMUConfig config = vpmu_counter_config(env, v, &event);
    VpmuCounter *info = g_new0(VpmuCounter, 1);
    uint16_t code = v >= VPMU_NR_GP ? vpmu_event_code(event) :
                    env->vpmu.evtsel[v] & VPMU_EVTSEL_CODE;
    int p = h->phys[v];

    info->type = vpmu_type_of(v);
    info->index = vpmu_index_of(v);
    info->enabled = config.on;
    info->user = config.rings & (1 << SOFTPMU_USER);
    info->kernel = config.rings & (1 << SOFTPMU_KERNEL);
    info->event = code ? event_info(code, event) : NULL;
    info->value = vpmu_read(env, v, 0);
    info->pebs = config.precise;
    info->has_physical_index = p != HANDOVER_NONE;
    info->physical_index = info->has_physical_index ? vpmu_index_of(p) : 0;
    info->owner = owner(h, info->has_physical_index ? p : v);
    info->path = env->vpmu.recordless & VPMU_MASK_OF(v) ? VPMU_PATH_SLOW :
                 paths[handover_path(h, v)];
    return info;
}

static VpmuHostCounter *host_counter_info(CPUX86State *env, unsigned p)
{
    const VPMUEvent *event = env->vpmu.host_event[p];
    VpmuHostCounter *info = g_new0(VpmuHostCounter, 1);

    info->type = vpmu_type_of(p);
    info->index = vpmu_index_of(p);
    if (event) {
        uint8_t rings = env->vpmu.hw.config[p].rings;

        info->event = event_info(vpmu_event_code(event), event);
        info->user = rings & (1 << SOFTPMU_USER);
        info->kernel = rings & (1 << SOFTPMU_KERNEL);
        info->value = vpmu_backend()->read(env, p, 0);
    }
    return info;
}

static void vcpu_info(CPUState *cs, run_on_cpu_data data)
{
    X86CPU *cpu = X86_CPU(cs);
    CPUX86State *env = &cpu->env;
    const Handover *h = &env->vpmu.handover;
    VpmuVcpu *info = data.host_ptr;
    VpmuCounterList **counters = &info->counters;
    VpmuHostCounterList **host = &info->host_counters;

    vpmu_refresh(env);
    info->cpu_index = cs->cpu_index;
    info->qom_path = object_get_canonical_path(OBJECT(cs));
    info->in_use = counter_set(handover_held(h));
    for (unsigned v = 0; v < VPMU_NR; v++) {
        if (vpmu_exists(cpu, v)) {
            QAPI_LIST_APPEND(counters, counter_info(env, v));
        }
    }
    info->ds_area = env->vpmu.ds_area;
    for (unsigned p = 0; p < VPMU_NR && cpu->vpmu.software; p++) {
        if (h->reserved & VPMU_MASK_OF(p)) {
            QAPI_LIST_APPEND(host, host_counter_info(env, p));
        }
    }
    for (int i = VPMU_NR_UNSUPPORTED - 1; i >= 0; i--) {
        uint16_t code = env->vpmu.unsupported[i];

        if (code) {
            QAPI_LIST_PREPEND(info->unsupported_events,
                              event_info(code,
                                         vpmu_event_find(code,
                                                         VPMU_MODEL_ALL)));
        }
    }
}

static void vcpus_info(VpmuInfo *info)
{
    VpmuVcpuList **cpus = &info->cpus;
    CPUState *cs;

    CPU_FOREACH(cs) {
        VpmuVcpu *vcpu = g_new0(VpmuVcpu, 1);

        run_on_cpu(cs, vcpu_info, RUN_ON_CPU_HOST_PTR(vcpu));
        QAPI_LIST_APPEND(cpus, vcpu);
    }
}

static void policy_info(VpmuInfo *info, const VPMUConfig *config)
{
    info->passthrough = config->policy;
    info->host_order = config->host_order;
    if (config->policy) {
        info->visible = config->visible;
        info->slice_ms = config->slice_ms;
    }
}

static VpmuPebs *pebs_info(unsigned format, bool baseline)
{
    VpmuPebs *info = g_new0(VpmuPebs, 1);

    info->format = format;
    info->baseline = baseline;
    return info;
}

/* The software PMU is on: fill in what it has. */
static void software_info(VpmuInfo *info, X86CPU *first)
{
    const VPMUConfig *config = &first->vpmu;
    const Handover *h = &first->env.vpmu.handover;
    VpmuEventList **events = &info->events;

    info->version = config->version;
    info->counter_width = SOFTPMU_WIDTH;
    info->total = counter_set(h->counters);
    info->reserved = counter_set(h->reserved);
    if (config->pebs == ON_OFF_AUTO_ON) {
        info->pebs = pebs_info(config->pebs_format,
                               config->pebs_baseline == ON_OFF_AUTO_ON);
    }
    policy_info(info, config);
    for (unsigned i = 0; i < vpmu_nr_events; i++) {
        const VPMUEvent *event = &vpmu_events[i];
        uint16_t code = vpmu_event_code(event);

        if (event->add &&
            vpmu_event_find(code, vpmu_model(&first->env)) == event) {
            QAPI_LIST_APPEND(events, event_info(code, event));
        }
    }
    vcpus_info(info);
}

/*
 * The kernel provides the PMU: what the guest's CPUID says of it.
 * Returns: the counters that the guest sees.
 */
static VPMUCounterMask kernel_info(VpmuInfo *info, X86CPU *first)
{
    CPUX86State *env = &first->env;
    uint64_t pebs = vpmu_kernel_pebs(first);

    if (pebs) {
        info->pebs = pebs_info(extract64(pebs, VPMU_CAP_PEBS_FORMAT_SHIFT, 4),
                               pebs & VPMU_CAP_PEBS_BASELINE);
    }
    if (IS_AMD_CPU(env)) {
        bool core = env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_PERFCORE;

        info->counter_width = 48;
        return (1u << (core ? 6 : 4)) - 1;
    }
    return vpmu_kernel_vpmcs(first, &info->version, &info->counter_width);
}

static void undivided_info(VpmuInfo *info, X86CPU *first)
{
    info->passthrough = info->mode == VPMU_MODE_MEDIATED &&
                        first->vpmu.passthrough != ON_OFF_AUTO_OFF;
    info->total = counter_set(kernel_info(info, first));
    info->reserved = counter_set(0);
}

/* It hands counters over: more of them is known. */
static void handover_info(VpmuInfo *info, X86CPU *first)
{
    const VPMUConfig *config = &first->vpmu;

    kernel_info(info, first);
    policy_info(info, config);
    info->total = counter_set(((1u << config->total_gp) - 1) |
                              ((1u << config->nr_fixed) - 1) << VPMU_NR_GP);
    info->reserved = kernel_reserved(first);
    if (config->has_map) {
        vcpus_info(info);
    }
}

VpmuInfo *qmp_query_vpmu(Error **errp)
{
    VpmuInfo *info = g_new0(VpmuInfo, 1);
    const VPMUBackend *backend = vpmu_backend();
    const char *reason;

    info->mode = VPMU_MODE_NONE;
    if (!first_cpu) {
        reason = "the machine has no CPU";
    } else if (!backend) {
        reason = "this accelerator has no virtual PMU: use KVM or TCG";
    } else {
        info->mode = backend->mode(X86_CPU(first_cpu), &reason);
    }
    info->reason = g_strdup(reason);
    if (info->mode == VPMU_MODE_SOFTWARE) {
        software_info(info, X86_CPU(first_cpu));
    } else if (info->mode == VPMU_MODE_HANDOVER) {
        handover_info(info, X86_CPU(first_cpu));
    } else if (info->mode != VPMU_MODE_NONE) {
        undivided_info(info, X86_CPU(first_cpu));
    } else {
        info->total = counter_set(0);
        info->reserved = counter_set(0);
    }
    return info;
}

/* Counters for the host */

/*
 * The first CPU of a machine that can keep counters for the host.
 * @mode: how its PMU is provided: @software or @handover
 */
static X86CPU *can_reserve(VpmuMode *mode, Error **errp)
{
    X86CPU *cpu = first_cpu ? X86_CPU(first_cpu) : NULL;
    const VPMUBackend *backend = vpmu_backend();
    const char *reason = "this accelerator has no virtual PMU";

    if (!cpu) {
        error_setg(errp, "the machine has no CPU yet: plug one first");
        return NULL;
    }
    *mode = backend ? backend->mode(cpu, &reason) : VPMU_MODE_NONE;
    if (*mode == VPMU_MODE_NONE) {
        error_setg(errp, "the guest has no PMU: %s", reason);
        return NULL;
    }
    if (*mode != VPMU_MODE_SOFTWARE && *mode != VPMU_MODE_HANDOVER) {
        error_setg(errp, "counters cannot be kept for the host while "
                   "guests run: the mode is %s; KVM's modules with counter "
                   "hand-over and pmu-passthrough=on can, -accel tcg can, too",
                   VpmuMode_str(*mode));
        return NULL;
    }
    if (!cpu->vpmu.policy) {
        error_setg(errp, "counters are not handed over one by one: start "
                   "with pmu-passthrough=on in -cpu");
        return NULL;
    }
    return cpu;
}

typedef enum { TRY, IF_FREE, FORCE } ReserveHow;

typedef struct ReserveArgs {
    VPMUCounterMask reserved;
    ReserveHow how;
    VPMUCounterMask result;
} ReserveArgs;

static void do_reserve(CPUState *cs, run_on_cpu_data data)
{
    ReserveArgs *args = data.host_ptr;

    args->result = args->how == TRY ?
        vpmu_would_starve(cpu_env(cs), args->reserved) :
        vpmu_reserve(cpu_env(cs), args->reserved, args->how == FORCE);
}

static void do_refresh(CPUState *cs, run_on_cpu_data data)
{
    vpmu_refresh(cpu_env(cs));
}

static void do_get_busy(CPUState *cs, run_on_cpu_data data)
{
    const Handover *h = &cpu_env(cs)->vpmu.handover;
    ReserveArgs *args = data.host_ptr;

    args->result = handover_to_physical(h, h->enabled);
}

/* The pPMCs that some vCPU counts with. */
static VPMUCounterMask get_busy(void)
{
    VPMUCounterMask busy = 0;
    CPUState *cs;

    CPU_FOREACH(cs) {
        ReserveArgs args = {};

        run_on_cpu(cs, do_get_busy, RUN_ON_CPU_HOST_PTR(&args));
        busy |= args.result;
    }
    return busy;
}

static VpmuDisplaced *displaced_info(CPUState *cs, VPMUCounterMask vpmcs)
{
    VpmuDisplaced *displaced = g_new0(VpmuDisplaced, 1);

    displaced->cpu_index = cs->cpu_index;
    displaced->qom_path = object_get_canonical_path(OBJECT(cs));
    displaced->counters = vpmu_counter_ids(vpmcs);
    return displaced;
}

/*
 * Set the reservation of all vCPUs, or try whether it would do.
 * Returns: whom it displaces.
 */
static VpmuDisplacedList *reserve(VPMUCounterMask reserved, ReserveHow how)
{
    VpmuDisplacedList *list = NULL, **tail = &list;
    CPUState *cs;

    CPU_FOREACH(cs) {
        ReserveArgs args = { .reserved = reserved, .how = how };

        run_on_cpu(cs, do_reserve, RUN_ON_CPU_HOST_PTR(&args));
        if (args.result) {
            QAPI_LIST_APPEND(tail, displaced_info(cs, args.result));
        }
    }
    return list;
}

static char *describe_displaced(const VpmuDisplacedList *list)
{
    GString *text = g_string_new(NULL);

    for (; list; list = list->next) {
        const VpmuCounterIdList *id = list->value->counters;

        g_string_append_printf(text, "%sCPU %" PRId64 " counts with",
                               text->len ? "; " : "", list->value->cpu_index);
        for (; id; id = id->next) {
            g_string_append_printf(text, " %s %u%s",
                                   VpmuCounterType_str(id->value->type),
                                   id->value->index, id->next ? "," : "");
        }
    }
    return g_string_free(text, FALSE);
}

/* The arguments of vpmu-reserve-host-counters, checked. */
static bool parse_fixed(const uint8List *fixed, VPMUCounterMask *mask,
                        Error **errp)
{
    for (*mask = 0; fixed; fixed = fixed->next) {
        if (fixed->value >= VPMU_NR_FIXED) {
            error_setg(errp, "there is no fixed counter %u: use 0 to %u",
                       fixed->value, VPMU_NR_FIXED - 1);
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

/* A vCPU's vPMCs that are backed or, if @starved, that are not but should be */
static VPMUCounterMask enabled_vpmcs(CPUState *cs, bool starved)
{
    const Handover *h = &cpu_env(cs)->vpmu.handover;
    VPMUCounterMask vpmcs = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        HandoverPath path = handover_path(h, v);

        if (path != HANDOVER_IDLE && (path == HANDOVER_STARVED) == starved) {
            vpmcs |= VPMU_MASK_OF(v);
        }
    }
    return vpmcs;
}

/* The same of all vCPUs, asked anew.  Those that starve now are reported. */
static VpmuDisplacedList *ask_vpmcs(bool starved)
{
    VpmuDisplacedList *list = NULL, **tail = &list;
    CPUState *cs;

    CPU_FOREACH(cs) {
        VPMUCounterMask before = enabled_vpmcs(cs, true), vpmcs;

        run_on_cpu(cs, do_refresh, RUN_ON_CPU_NULL);
        vpmcs = enabled_vpmcs(cs, starved);
        if (starved && (vpmcs & ~before)) {
            vpmu_report_starved(cpu_env(cs), vpmcs & ~before);
        }
        if (vpmcs) {
            QAPI_LIST_APPEND(tail, displaced_info(cs, vpmcs));
        }
    }
    return list;
}

/* The kernel has the policy. */
static VpmuReservation *kernel_reserve(X86CPU *first, unsigned gp,
                                       VPMUCounterMask fixed, bool force,
                                       Error **errp)
{
    g_autoptr(VpmuDisplacedList) counting = ask_vpmcs(false);
    KernelKeeps *keeps = kernel_keeps(first);
    bool changes = gp != keeps->gp || fixed != keeps->fixed;
    int ret = vpmu_backend()->reserve(gp, fixed >> VPMU_NR_GP, force);
    VpmuReservation *result;

    if (ret == -EBUSY) {
        g_autofree char *who = describe_displaced(counting);

        error_setg(errp, "the guest counts with too many counters%s%s; take "
                   "fewer, wait, or take them with force", *who ? ": " : "",
                   who);
        return NULL;
    }
    if (ret == -ENOTSUP) {
        error_setg(errp, "this kernel cannot change the reservation while "
                   "guests run: use pmu-host-gp and pmu-host-fixed in -cpu");
        return NULL;
    }
    if (ret) {
        error_setg_errno(errp, -ret, "KVM does not keep these counters for "
                         "the host, so the reservation is what it was; KVM's "
                         "modules and QEMU have to be of the same release");
        return NULL;
    }

    keeps->gp = gp;
    keeps->fixed = fixed;
    result = g_new0(VpmuReservation, 1);
    result->displaced = ask_vpmcs(true);
    result->reserved = kernel_reserved(first);
    result->counters = vpmu_counter_ids(fixed);
    if (changes) {
        qapi_event_send_vpmu_reservation_changed(result->reserved);
    }
    return result;
}

VpmuReservation *qmp_vpmu_reserve_host_counters(uint8_t gp, bool has_fixed,
                                                uint8List *fixed,
                                                bool has_force, bool force,
                                                Error **errp)
{
    VpmuMode mode;
    X86CPU *first = can_reserve(&mode, errp);
    VpmuReservation *result;
    VpmuDisplacedList *displaced;
    VPMUCounterMask before, mask;
    const Handover *h;

    if (!first || !parse_fixed(fixed, &mask, errp)) {
        return NULL;
    }
    if (gp > first->vpmu.total_gp) {
        error_setg(errp, "gp=%u is more than the %u general-purpose counters "
                   "that there are: use 0 to %u", gp, first->vpmu.total_gp,
                   first->vpmu.total_gp);
        return NULL;
    }
    if (migration_is_running()) {
        error_setg(errp, "a migration is running: wait for its end, or use "
                   "migrate_cancel");
        return NULL;
    }
    if (runstate_check(RUN_STATE_INMIGRATE)) {
        error_setg(errp, "a migration is to come in: wait for its end");
        return NULL;
    }

    if (mode == VPMU_MODE_HANDOVER) {
        return kernel_reserve(first, gp, mask, force, errp);
    }

    /*
     * All vCPUs have the same reservation; only this thread changes it.
     * First take what is wanted besides, which may fail, then let go what is
     * not wanted any more, which cannot.  A guest that enables counters
     * between the trial and the taking may still be in the way: what was
     * taken until then is given back, and no count is lost.
     */
    h = &first->env.vpmu.handover;
    before = h->reserved;
    mask |= handover_choose(h->counters, get_busy(), before, gp,
                            first->vpmu.host_order == VPMU_HOST_ORDER_LOW);
    displaced = force ? NULL : reserve(before | mask, TRY);
    if (!displaced) {
        displaced = reserve(before | mask, force ? FORCE : IF_FREE);
    }
    if (displaced && !force) {
        g_autofree char *who = describe_displaced(displaced);

        reserve(before, FORCE);
        qapi_free_VpmuDisplacedList(displaced);
        error_setg(errp, "the guest counts with too many counters: %s; take "
                   "fewer, wait, or take them with force", who);
        return NULL;
    }
    reserve(mask, FORCE);
    if (mask != before) {
        g_autoptr(VpmuCounterSet) reserved = counter_set(mask);

        qapi_event_send_vpmu_reservation_changed(reserved);
    }

    result = g_new0(VpmuReservation, 1);
    result->reserved = counter_set(mask);
    result->counters = vpmu_counter_ids(mask);
    result->displaced = displaced;
    return result;
}

typedef struct HostCountArgs {
    unsigned p;
    const VPMUEvent *event;
    uint8_t rings;
} HostCountArgs;

static void do_host_count(CPUState *cs, run_on_cpu_data data)
{
    const HostCountArgs *args = data.host_ptr;

    vpmu_host_count(cpu_env(cs), args->p, args->event, args->rings);
}

/* The event called @name, if counter @p of @cpu can count it. */
static const VPMUEvent *find_event(X86CPU *cpu, unsigned p, const char *name,
                                   Error **errp)
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

        if (event->add && !strcmp(event->name, name) &&
            vpmu_event_find(vpmu_event_code(event),
                            vpmu_model(&cpu->env)) == event) {
            return event;
        }
    }
    error_setg(errp, "there is no event '%s' for general-purpose counters: "
               "query-vpmu has the names in its list of events", name);
    return NULL;
}

void qmp_vpmu_host_counter_set(VpmuCounterType type, uint8_t index,
                               const char *event, bool has_user, bool user,
                               bool has_kernel, bool kernel, Error **errp)
{
    VpmuMode mode;
    X86CPU *first = can_reserve(&mode, errp);
    bool fixed = type == VPMU_COUNTER_TYPE_FIXED;
    unsigned p = fixed ? VPMU_FIXED(index) : index;
    HostCountArgs args = { .p = p };
    CPUState *cs;

    if (!first) {
        return;
    }
    if (mode == VPMU_MODE_HANDOVER) {
        error_setg(errp, "under KVM reserved counters are for the host's "
                   "perf: use that, for example perf stat -a");
        return;
    }
    if (index >= (fixed ? VPMU_NR_FIXED : first->vpmu.total_gp)) {
        error_setg(errp, "there is no %s counter %u: use 0 to %u",
                   VpmuCounterType_str(type), index,
                   (fixed ? VPMU_NR_FIXED : first->vpmu.total_gp) - 1);
        return;
    }
    if (!(first->env.vpmu.handover.reserved & VPMU_MASK_OF(p))) {
        error_setg(errp, "%s counter %u is not reserved for the host: "
                   "reserve counters with vpmu-reserve-host-counters, "
                   "query-vpmu shows which",
                   VpmuCounterType_str(type), index);
        return;
    }
    if (event) {
        args.event = find_event(first, p, event, errp);
        if (!args.event) {
            return;
        }
        args.rings = (!has_user || user ? 1 << SOFTPMU_USER : 0) |
                     (!has_kernel || kernel ? 1 << SOFTPMU_KERNEL : 0);
        if (!args.rings) {
            error_setg(errp, "user and kernel are both false: set one of "
                       "them, or leave out event to switch the counter off");
            return;
        }
    }
    CPU_FOREACH(cs) {
        run_on_cpu(cs, do_host_count, RUN_ON_CPU_HOST_PTR(&args));
    }
}

/* HMP */

static void print_event(Monitor *mon, const VpmuEvent *event)
{
    if (event->name) {
        monitor_printf(mon, "%s", event->name);
    } else {
        monitor_printf(mon, "event=0x%02x,umask=0x%02x", event->select,
                       event->umask);
    }
}

static void print_set(Monitor *mon, const VpmuCounterSet *set)
{
    monitor_printf(mon, "%u general-purpose, fixed", set->gp);
    for (const uint8List *j = set->fixed; j; j = j->next) {
        monitor_printf(mon, " %u", j->value);
    }
    monitor_printf(mon, "%s\n", set->fixed ? "" : " none");
}

/* One line of the table; @backing: what backs it, or its owner. */
static void print_line(Monitor *mon, VpmuCounterType type, unsigned index,
                       const char *path, const char *backing, bool user,
                       bool kernel, uint64_t value, const VpmuEvent *event,
                       bool pebs)
{
    monitor_printf(mon, "  %-5s %u  %-7s  %-7s  %-5s  %15" PRIu64,
                   VpmuCounterType_str(type), index, path, backing,
                   user && kernel ? "both" : user ? "user" :
                   kernel ? "kern" : "-", value);
    if (event) {
        monitor_printf(mon, "  ");
        print_event(mon, event);
    }
    monitor_printf(mon, "%s\n", pebs ? ", PEBS" : "");
}

static void print_vcpu(Monitor *mon, const VpmuVcpu *cpu)
{
    monitor_printf(mon, "CPU #%" PRId64 "\n"
                   "  counter  path     held by  ring   %15s  event\n",
                   cpu->cpu_index, "value");
    for (VpmuCounterList *l = cpu->counters; l; l = l->next) {
        const VpmuCounter *c = l->value;
        g_autofree char *backing = c->has_physical_index ?
            g_strdup_printf("%s %u", VpmuCounterType_str(c->type),
                            c->physical_index) : g_strdup("-");

        print_line(mon, c->type, c->index, VpmuPath_str(c->path), backing,
                   c->user, c->kernel, c->value, c->event, c->pebs);
    }
    for (VpmuHostCounterList *l = cpu->host_counters; l; l = l->next) {
        const VpmuHostCounter *c = l->value;

        print_line(mon, c->type, c->index, "-", "host", c->user, c->kernel,
                   c->value, c->event, false);
    }
    for (VpmuEventList *e = cpu->unsupported_events; e; e = e->next) {
        monitor_printf(mon, "  not supported, does not count: ");
        print_event(mon, e->value);
        monitor_printf(mon, "\n");
    }
}

static void hmp_info_vpmu(Monitor *mon, const QDict *qdict)
{
    g_autoptr(VpmuInfo) info = qmp_query_vpmu(&error_abort);

    monitor_printf(mon, "mode: %s (%s)\n", VpmuMode_str(info->mode),
                   info->reason);
    if (info->mode == VPMU_MODE_NONE) {
        return;
    }
    monitor_printf(mon, "version %u, counters of %u bits: ", info->version,
                   info->counter_width);
    print_set(mon, info->total);
    if (info->pebs) {
        monitor_printf(mon, "PEBS: record format %u%s\n", info->pebs->format,
                       info->pebs->baseline ? " with baseline" : "");
    }
    if (info->passthrough) {
        monitor_printf(mon, "reserved for the host: ");
        print_set(mon, info->reserved);
    }
    for (VpmuVcpuList *c = info->cpus; c; c = c->next) {
        print_vcpu(mon, c->value);
    }
}

static void vpmu_register(void)
{
    monitor_register_hmp("vpmu", true, hmp_info_vpmu);
}

type_init(vpmu_register)
