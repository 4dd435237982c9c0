/*
 * A machine with up to three vCPUs, as the PMU's QMP commands find it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/main-loop.h"
#include "qemu/timer.h"
#include "hw/qdev-core.h"
#include "migration/misc.h"
#include "qapi/qapi-emit-events.h"
#include "qobject/qdict.h"
#include "system/kvm.h"
#include "system/runstate.h"
#include "system/tcg.h"
#include "counting.h"
#include "provider.h"
#include "qmp-machine.h"
#include "simulation.h"
#include "vpmc.h"

typedef struct Asked {
    CPUState *cs;
    run_on_cpu_func func;
    run_on_cpu_data data;
} Asked;

Machine machine;

static Asked asked[MACHINE_VCPUS];
static unsigned nr_asked;

/* Objects: the machine, its vCPUs, and one type of which there is one */

static const TypeInfo *reservation_type;

void type_register_static(const TypeInfo *info)
{
    g_assert_null(reservation_type);
    reservation_type = info;
}

Object *object_new(const char *type)
{
    g_assert_cmpstr(type, ==, reservation_type->name);
    return g_malloc0(reservation_type->instance_size);
}

void *object_ref(void *object)
{
    OBJECT(object)->more++;
    return object;
}

void object_unref(void *object)
{
    g_assert_cmpuint(OBJECT(object)->more, >, 0);
    OBJECT(object)->more--;
}

Object *qdev_get_machine(void)
{
    return &machine.object;
}

void *object_property_add_child(Object *parent, const char *name,
                                Object *child)
{
    g_assert_true(parent == &machine.object);
    g_assert_null(machine.reservation);
    child->name = name;
    machine.reservation = object_ref(child);
    return child;
}

Object *object_resolve_path_component(Object *parent, const char *name)
{
    g_assert_true(parent == &machine.object);
    if (machine.reservation) {
        g_assert_cmpstr(machine.reservation->name, ==, name);
    }
    return machine.reservation;
}

char *object_get_canonical_path(const Object *object)
{
    static const char *const paths[MACHINE_VCPUS] = {
        "/machine/unattached/device[0]", "/machine/unattached/device[1]",
        "/machine/unattached/device[2]",
    };

    return g_strdup(paths[((const CPUState *)object)->cpu_index]);
}

/* The accelerator and the state of the machine */

bool tcg_enabled(void)
{
    return !machine_has_kernel();
}

bool kvm_enabled(void)
{
    return machine_has_kernel();
}

bool migration_is_running(void)
{
    return machine.migrates;
}

bool runstate_check(RunState state)
{
    return state == (machine.incoming ? RUN_STATE_INMIGRATE :
                                        RUN_STATE_RUNNING);
}

/* Where a monitor would get it */
void qapi_event_emit(QAPIEvent event, QDict *dict)
{
    const QDict *data = qdict_get_qdict(dict, "data");

    g_assert_cmpstr(qdict_get_str(dict, "event"), ==, QAPIEvent_str(event));
    if (event == QAPI_EVENT_VPMU_RESERVATION_CHANGED) {
        g_assert_cmpint(qdict_get_int(qdict_get_qdict(data, "reserved"), "gp"),
                        ==, vpmu_reservation_find()->gp);
        machine.changes++;
    } else {
        g_assert_cmpint(qdict_get_int(data, "cpu-index"), <, machine.nr + 1);
        g_assert_true(event == QAPI_EVENT_VPMU_EVENT_UNSUPPORTED ||
                      event == QAPI_EVENT_VPMU_COUNTER_STARVED);
    }
}

void warn_report(const char *format, ...)
{
    g_assert_not_reached();
}

int error_printf(const char *format, ...)
{
    g_assert_not_reached();
}

void cpu_x86_cpuid(CPUX86State *env, uint32_t index, uint32_t count,
                   uint32_t *eax, uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
    g_assert_cmphex(index, ==, 0xa);
    *eax = 48 << 16 | env_archcpu(env)->vpmu.total_gp << 8 | 2;
    *ebx = 0;
    *ecx = 0;
    *edx = env_archcpu(env)->vpmu.nr_fixed;
}

VPMUGeometry vpmu_geometry(X86CPU *cpu)
{
    return (VPMUGeometry) {
        .l1i = { 64, 8 }, .l1d = { 64, 12 }, .l2 = { 2048, 20 },
        .llc = { 1u << 31, UINT16_MAX }, .itlb = { 16, 8 }, .dtlb = { 16, 4 },
        .stlb = { 128, 16 },
    };
}

static VpmuMode tcg_mode(X86CPU *cpu, const char **reason)
{
    *reason = "there is no other here";
    return cpu->vpmu.software ? VPMU_MODE_SOFTWARE : VPMU_MODE_NONE;
}

const VPMUProvider vpmu_provider_tcg = {
    .mode = tcg_mode,
    .refresh = vpmu_refresh,
};

/* vCPUs */

CPUState *machine_vcpu(unsigned i)
{
    return i < machine.nr ? &machine.vcpus[i].cs : NULL;
}

void async_run_on_cpu(CPUState *cs, run_on_cpu_func func,
                      run_on_cpu_data data)
{
    g_assert_false(cs->unplug);
    g_assert_cmpuint(nr_asked, <, MACHINE_VCPUS);
    asked[nr_asked++] = (Asked) { cs, func, data };
}

/* What a guest reads in its registers while nobody but the operator acts */
typedef struct Shown {
    bool known;
    unsigned n;
    uint64_t values[VCPU_REGISTERS_MAX];
} Shown;

static Shown shown[MACHINE_VCPUS];

static Shown *shown_of(X86CPU *cpu)
{
    return &shown[cpu - machine.vcpus];
}

static void look(X86CPU *cpu)
{
    Shown *s = shown_of(cpu);

    if (!s->known) {
        s->n = vcpu_snapshot(cpu, s->values);
        s->known = true;
    }
}

/* What the operator asks of a vCPU changes no register of its guest. */
static void look_again(X86CPU *cpu)
{
    const Shown *s = shown_of(cpu);
    uint64_t now[VCPU_REGISTERS_MAX];

    if (s->known) {
        g_assert_cmpuint(vcpu_snapshot(cpu, now), ==, s->n);
        g_assert_cmpmem(now, s->n * sizeof(now[0]), s->values,
                        s->n * sizeof(s->values[0]));
    }
}

void machine_check_guests(void)
{
    for (unsigned i = 0; i < machine.nr; i++) {
        look_again(&machine.vcpus[i]);
    }
}

void machine_guest(X86CPU *cpu, Stream *s)
{
    if (machine_has_kernel()) {
        kernel_guest(cpu, s);
        return;
    }
    look_again(cpu);
    shown_of(cpu)->known = false;
    vcpu_step(cpu, s);
    /* What it did may have been a call. */
    shown_of(cpu)->known = false;
}

static void answer(const Asked *one)
{
    X86CPU *cpu = X86_CPU(one->cs);

    if (!machine_has_kernel()) {
        look(cpu);
    }
    one->func(one->cs, one->data);
    if (!machine_has_kernel()) {
        vcpu_check(cpu);
    }
}

void qemu_cond_wait_bql(QemuCond *cond)
{
    /* A kernel's guest goes on when it is asked, see qmp-kernel.c. */
    Stream *s = machine_has_kernel() ? NULL : machine.guest;
    unsigned n = nr_asked;

    g_assert_cmpuint(n, >, 0);
    for (unsigned i = 0; i < n; i++) {
        /* A reset or a migration would stop it first. */
        if (s && s->size && (*s->data & VCPU_WHAT) < VCPU_OTHERS) {
            machine_guest(X86_CPU(asked[i].cs), s);
        }
        answer(&asked[i]);
    }
    g_assert_cmpuint(nr_asked, ==, n);
    nr_asked = 0;
}

/* The machine */

/* The properties of the reservation that the first vCPU makes */
static void take_reservation(VPMUConfig *config, Stream *s)
{
    unsigned what = take(s, 2);

    if (machine_has_kernel()) {
        /* A host's processor may have fewer. */
        config->nr_fixed = MIN(config->nr_fixed, what >> 5 & 3);
    }
    config->host_order = what & 1 ? VPMU_HOST_ORDER_LOW :
                                    VPMU_HOST_ORDER_HIGH;
    config->visible = what & 2 ? VPMU_VISIBLE_GRANTED : VPMU_VISIBLE_ALL;
    config->host_fixed = what >> 2 & ((1u << config->nr_fixed) - 1);
    config->host_gp = (what >> 8) % (config->total_gp + 1);
}

void vcpu_plug(X86CPU *cpu, unsigned slice, Stream *s)
{
    cpu->vpmu.slice_ms = 1 + slice;
    if (!machine.reservation) {
        take_reservation(&cpu->vpmu, s);
        cpu->vpmu.vpmcs = vcpu_ppmcs(cpu);
    }
    cpu->vpmu.software = !machine_has_kernel();
    vpmu_reservation_plug(cpu);
    if (machine_has_kernel()) {
        handover_init(&cpu->env.vpmu_host.handover, vcpu_ppmcs(cpu), 0,
                      slice);
    }
}

static void plug(Stream *s)
{
    X86CPU *cpu = &machine.vcpus[machine.nr];

    cpu->cs = (CPUState) { .cpu_index = machine.nr };
    shown[machine.nr].known = false;
    vcpu_init(cpu, machine.nr ? &machine.vcpus[0] : NULL, s);
    cpu->vpmu.software = !machine_has_kernel();
    cpu->vpmu.has_map = true;
    cpu->vpmu.has_stats = true;
    cpu->enable_pmu = true;
    machine.nr++;
}

void machine_power_on(Stream *s)
{
    static const VpmuMode modes[] = {
        VPMU_MODE_NONE, VPMU_MODE_EMULATED, VPMU_MODE_MEDIATED,
        VPMU_MODE_HANDOVER,
    };
    unsigned what = take(s, 1);

    memset(&machine, 0, sizeof(machine));
    machine.kernel = what >> 6 == 3 ? modes[what >> 2 & 3] :
                                      VPMU_MODE_SOFTWARE;
    for (unsigned n = what % (MACHINE_VCPUS + 1); n; n--) {
        plug(s);
    }
}

static void drop_reservation(void)
{
    if (machine.reservation) {
        /* The machine has the only reference. */
        g_assert_cmpuint(machine.reservation->more, ==, 0);
        g_free(machine.reservation);
        machine.reservation = NULL;
    }
}

void machine_power_off(void)
{
    g_assert_cmpuint(nr_asked, ==, 0);
    drop_reservation();
}

void machine_migrate(Stream *s)
{
    drop_reservation();
    for (unsigned i = 0; i < machine.nr; i++) {
        shown[i].known = false;
        vcpu_migrate(&machine.vcpus[i], s);
    }
}

void machine_plug(Stream *s)
{
    if (machine.nr && machine.nr < MACHINE_VCPUS) {
        plug(s);
    }
}

void machine_unplug(void)
{
    /* The first one cannot be unplugged. */
    if (machine.nr > 1) {
        CPUState *last = machine_vcpu(machine.nr - 1);

        if (last->unplug) {
            g_assert_cmpuint(last->parent.more, ==, 0);
            machine.nr--;
        }
        last->unplug = true;
    }
}
