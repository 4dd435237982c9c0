/*
 * The counters that a machine's guest leaves to the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "hw/core/cpu.h"
#include "hw/qdev-core.h"
#include "counting.h"
#include "provider.h"
#include "report.h"
#include "reservation.h"
#include "vcpus.h"

#define VPMU_RESERVATION_CHILD "vpmu-reservation"

static const TypeInfo vpmu_reservation_info = {
    .name = TYPE_VPMU_RESERVATION,
    .parent = TYPE_OBJECT,
    .instance_size = sizeof(VPMUReservation),
};

static void vpmu_reservation_register(void)
{
    type_register_static(&vpmu_reservation_info);
}

type_init(vpmu_reservation_register)

VPMUReservation *vpmu_reservation_find(void)
{
    Object *child = object_resolve_path_component(qdev_get_machine(),
                                                  VPMU_RESERVATION_CHILD);

    return child ? VPMU_RESERVATION(child) : NULL;
}

VPMUReservation *vpmu_reservation_for(X86CPU *first, Error **errp)
{
    VPMUReservation *r = vpmu_reservation_find();
    const char *reason;
    VpmuMode mode;

    if (r) {
        return r;
    }
    if (!first) {
        error_setg(errp, "the machine has no CPU yet: plug one first");
        return NULL;
    }
    mode = vpmu_mode(first, &reason);
    if (mode == VPMU_MODE_NONE) {
        error_setg(errp, "the guest has no PMU: %s", reason);
    } else if (mode == VPMU_MODE_SOFTWARE || mode == VPMU_MODE_HANDOVER) {
        error_setg(errp, "counters are not handed over one by one: start "
                   "with pmu-passthrough=on in -cpu");
    } else {
        error_setg(errp, "counters cannot be reserved while guests run, as "
                   "the mode is %s: start with pmu-passthrough=on in -cpu, "
                   "and either with KVM's modules with counter hand-over or "
                   "with -accel tcg", VpmuMode_str(mode));
    }
    return NULL;
}

/* What the properties of the first CPU ask for */
static VPMUReservation *vpmu_reservation_create(X86CPU *cpu)
{
    const VPMUConfig *config = &cpu->vpmu;
    Object *child = object_new(TYPE_VPMU_RESERVATION);
    VPMUReservation *r = VPMU_RESERVATION(child);

    r->gp = config->host_gp;
    r->ppmcs = config->host_fixed << VPMU_NR_GP;
    if (config->software) {
        r->ppmcs |= handover_choose(vpmu_ppmcs(cpu), 0, 0, r->gp,
                                    config->host_order == VPMU_HOST_ORDER_LOW);
    }
    object_property_add_child(qdev_get_machine(), VPMU_RESERVATION_CHILD,
                              child);
    object_unref(child);
    return r;
}

void vpmu_reservation_plug(X86CPU *cpu)
{
    VPMUReservation *r = vpmu_reservation_find() ?:
                         vpmu_reservation_create(cpu);

    if (!cpu->vpmu.software) {
        return;
    }
    handover_init(&cpu->env.vpmu_host.handover, vpmu_ppmcs(cpu), r->ppmcs,
                  cpu->vpmu.slice_ms * (int64_t)SCALE_MS);
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (r->counts[p].event) {
            vpmu_host_count(&cpu->env, p, r->counts[p].event,
                            r->counts[p].rings);
        }
    }
}

static void vpmu_clear_displaced(void *element)
{
    g_free(((VPMUDisplaced *)element)->qom_path);
}

GArray *vpmu_displaced_new(void)
{
    GArray *displaced = g_array_new(false, false, sizeof(VPMUDisplaced));

    g_array_set_clear_func(displaced, vpmu_clear_displaced);
    return displaced;
}

static void vpmu_add_displaced(GArray *displaced, CPUState *cs,
                               VPMUCounterMask vpmcs)
{
    VPMUDisplaced element = {
        .cpu_index = cs->cpu_index,
        .qom_path = vpmcs ? object_get_canonical_path(OBJECT(cs)) : NULL,
        .vpmcs = vpmcs,
    };

    /* A vCPU that has been unplugged meanwhile has no path. */
    if (element.qom_path) {
        g_array_append_val(displaced, element);
    }
}

static void vpmu_error_displaced(Error **errp, const GArray *displaced)
{
    g_autoptr(GString) text = g_string_new(NULL);

    for (unsigned i = 0; i < displaced->len; i++) {
        const VPMUDisplaced *d = &g_array_index(displaced, VPMUDisplaced, i);
        const char *separator = "";

        g_string_append_printf(text, "%sCPU %d counts with", i ? "; " : ": ",
                               d->cpu_index);
        for (unsigned v = 0; v < VPMU_NR; v++) {
            if (d->vpmcs & VPMU_MASK_OF(v)) {
                g_string_append_printf(text, "%s %s %u", separator,
                                       VpmuCounterType_str(vpmu_type_of(v)),
                                       vpmu_index_of(v));
                separator = ",";
            }
        }
    }
    error_setg(errp, "the guest counts with too many counters%s; reserve "
               "fewer, wait, or take them with force", text->str);
}

/* The software PMU */

typedef enum { TRY, IF_FREE, FORCE } ReserveHow;

typedef struct ReserveArgs {
    VPMUCounterMask reserved;
    ReserveHow how;
    VPMUCounterMask result;
} ReserveArgs;

static void vpmu_do_reserve(CPUState *cs, run_on_cpu_data data)
{
    ReserveArgs *args = data.host_ptr;

    args->result = args->how == TRY ?
        vpmu_would_starve(cpu_env(cs), args->reserved) :
        vpmu_reserve(cpu_env(cs), args->reserved, args->how == FORCE);
}

/*
 * Set the reservation of all vCPUs, or try it.  The vPMCs that it leaves
 * without a pPMC are added to @displaced.
 */
static void vpmu_reserve_all(VPMUCounterMask reserved, ReserveHow how,
                             GArray *displaced)
{
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    g_autofree ReserveArgs *all = g_new(ReserveArgs, vcpus->len);

    for (unsigned i = 0; i < vcpus->len; i++) {
        all[i] = (ReserveArgs) { .reserved = reserved, .how = how };
    }
    vpmu_run_on_vcpus(vcpus, vpmu_do_reserve, all, sizeof(*all));
    for (unsigned i = 0; i < vcpus->len; i++) {
        vpmu_add_displaced(displaced, g_ptr_array_index(vcpus, i),
                           all[i].result);
    }
}

static void vpmu_do_get_busy(CPUState *cs, run_on_cpu_data data)
{
    const Handover *h = &cpu_env(cs)->vpmu_host.handover;
    VPMUCounterMask *busy = data.host_ptr;

    *busy |= handover_to_physical(h, h->enabled);
}

/* The pPMCs that some vCPU counts with */
static VPMUCounterMask vpmu_get_busy(void)
{
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    VPMUCounterMask busy = 0;

    /* All of them add to the same mask. */
    vpmu_run_on_vcpus(vcpus, vpmu_do_get_busy, &busy, 0);
    return busy;
}

/*
 * First reserve what is wanted in addition, which may fail; then give up what
 * is no longer wanted, which cannot fail.  The guest may enable counters
 * between the trial and the reservation.  If it does, all that was taken until
 * then is given back, and no count is lost.
 */
static bool vpmu_change_software(VPMUReservation *r, X86CPU *first,
                                 unsigned gp, VPMUCounterMask fixed,
                                 bool force, GArray *displaced, Error **errp)
{
    VPMUCounterMask before = r->ppmcs;
    VPMUCounterMask wanted = fixed |
        handover_choose(vpmu_ppmcs(first), vpmu_get_busy(), before, gp,
                        first->vpmu.host_order == VPMU_HOST_ORDER_LOW);
    g_autoptr(GArray) ignored = vpmu_displaced_new();

    if (!force) {
        vpmu_reserve_all(before | wanted, TRY, displaced);
    }
    if (!displaced->len) {
        vpmu_reserve_all(before | wanted, force ? FORCE : IF_FREE, displaced);
    }
    if (displaced->len && !force) {
        vpmu_reserve_all(before, FORCE, ignored);
        vpmu_error_displaced(errp, displaced);
        return false;
    }
    vpmu_reserve_all(wanted, FORCE, ignored);
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if (!(wanted & VPMU_MASK_OF(p))) {
            r->counts[p].event = NULL;
        }
    }
    r->gp = gp;
    r->ppmcs = wanted;
    return true;
}

/* A kernel */

typedef struct PathArgs {
    bool starved;
    VPMUCounterMask result;
} PathArgs;

/* A vCPU's enabled vPMCs that a pPMC backs or, if @starved, that none backs */
static VPMUCounterMask vpmu_enabled_vpmcs(const Handover *h, bool starved)
{
    VPMUCounterMask vpmcs = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        HandoverPath path = handover_path(h, v);

        if (path != HANDOVER_IDLE && (path == HANDOVER_STARVED) == starved) {
            vpmcs |= VPMU_MASK_OF(v);
        }
    }
    return vpmcs;
}

static void vpmu_do_ask_kernel(CPUState *cs, run_on_cpu_data data)
{
    CPUX86State *env = cpu_env(cs);
    const Handover *h = &env->vpmu_host.handover;
    PathArgs *args = data.host_ptr;
    VPMUCounterMask before = vpmu_enabled_vpmcs(h, true);

    vpmu_provider()->refresh(env);
    args->result = vpmu_enabled_vpmcs(h, args->starved);
    if (args->starved && (args->result & ~before)) {
        vpmu_report_starved(env, args->result & ~before);
    }
}

/*
 * Ask the kernel for the vPMCs that count or, if @starved, that starve.  The
 * vPMCs that starve now and did not before are reported.
 */
static void vpmu_ask_kernel(bool starved, GArray *displaced)
{
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    g_autofree PathArgs *all = g_new(PathArgs, vcpus->len);

    for (unsigned i = 0; i < vcpus->len; i++) {
        all[i] = (PathArgs) { .starved = starved };
    }
    vpmu_run_on_vcpus(vcpus, vpmu_do_ask_kernel, all, sizeof(*all));
    for (unsigned i = 0; i < vcpus->len; i++) {
        vpmu_add_displaced(displaced, g_ptr_array_index(vcpus, i),
                           all[i].result);
    }
}

static bool vpmu_change_kernel(VPMUReservation *r, unsigned gp,
                               VPMUCounterMask fixed, bool force,
                               GArray *displaced, Error **errp)
{
    g_autoptr(GArray) counting = vpmu_displaced_new();
    int ret;

    vpmu_ask_kernel(false, counting);
    ret = vpmu_provider()->reserve(gp, fixed >> VPMU_NR_GP, force);
    if (ret == -EBUSY) {
        vpmu_error_displaced(errp, counting);
        return false;
    }
    if (ret == -ENOTSUP) {
        error_setg(errp, "this kernel cannot change the reservation while "
                   "guests run: use pmu-host-gp and pmu-host-fixed in -cpu");
        return false;
    }
    if (ret) {
        error_setg_errno(errp, -ret, "KVM refuses this reservation, and the "
                         "old one stays: use KVM's modules and QEMU of the "
                         "same release");
        return false;
    }
    r->gp = gp;
    r->ppmcs = fixed;
    vpmu_ask_kernel(true, displaced);
    return true;
}

bool vpmu_reservation_change(VPMUReservation *r, X86CPU *first, unsigned gp,
                             VPMUCounterMask fixed, bool force,
                             GArray *displaced, Error **errp)
{
    return vpmu_provider()->reserve ?
        vpmu_change_kernel(r, gp, fixed, force, displaced, errp) :
        vpmu_change_software(r, first, gp, fixed, force, displaced, errp);
}

typedef struct CountArgs {
    unsigned p;
    VPMUHostCount count;
} CountArgs;

static void vpmu_do_count(CPUState *cs, run_on_cpu_data data)
{
    const CountArgs *args = data.host_ptr;

    vpmu_host_count(cpu_env(cs), args->p, args->count.event,
                    args->count.rings);
}

void vpmu_reservation_count(VPMUReservation *r, unsigned p,
                            VPMUHostCount count)
{
    g_autoptr(GPtrArray) vcpus = vpmu_vcpus();
    CountArgs args = { .p = p, .count = count };

    r->counts[p] = count;
    vpmu_run_on_vcpus(vcpus, vpmu_do_count, &args, 0);
}
