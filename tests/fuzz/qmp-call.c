/*
 * Calls of the PMU's QMP commands, made from a stream of bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A call is refused with an error that says something, and nothing has changed;
 * or it is accepted, and does what it says.
 */
#include "qemu/osdep.h"
#include "qapi/compat-policy.h"
#include "qapi/error.h"
#include "qapi/qapi-commands-stats.h"
#include "qapi/qapi-commands-vpmu.h"
#include "qapi/qapi-visit-stats.h"
#include "qapi/qapi-visit-vpmu.h"
#include "qapi/qobject-input-visitor.h"
#include "qapi/qobject-output-visitor.h"
#include "qapi/visitor.h"
#include "qobject/qlist.h"
#include "qobject/qnum.h"
#include "qmp-args.h"
#include "qmp-call.h"
#include "qmp-check.h"
#include "qmp-machine.h"

/*
 * What no call changes that is refused
 * @values: of the reserved pPMCs, 0 while the guest goes on
 */
typedef struct Picture {
    unsigned gp;
    VPMUCounterMask ppmcs;
    const VPMUEvent *events[VPMU_NR];
    uint8_t rings[VPMU_NR];
    struct {
        VPMUCounterMask reserved;
        VPMUCounterMask starved;
        bool on[VPMU_NR];
        uint8_t rings[VPMU_NR];
        uint16_t add[VPMU_NR];
        SimOutcome sim[VPMU_NR];
        uint64_t values[VPMU_NR];
    } vcpus[MACHINE_VCPUS];
} Picture;

/* The dispatcher, which has these, needs monitors and coroutines. */

Visitor *qobject_input_visitor_new_qmp(QObject *obj)
{
    Visitor *v = qobject_input_visitor_new(obj);

    visit_set_policy(v, &compat_policy);
    return v;
}

Visitor *qobject_output_visitor_new_qmp(QObject **result)
{
    Visitor *v = qobject_output_visitor_new(result);

    visit_set_policy(v, &compat_policy);
    return v;
}

static void take_vcpu_picture(Picture *picture, unsigned n)
{
    CPUX86State *env = &machine.vcpus[n].env;
    const Handover *h = &env->vpmu_host.handover;
    SoftPMU *pmu = &env->vpmu_host.hw;

    picture->vcpus[n].reserved = h->reserved;
    softpmu_fold(pmu);
    for (unsigned i = 0; i < VPMU_NR; i++) {
        if (handover_path(h, i) == HANDOVER_STARVED) {
            picture->vcpus[n].starved |= VPMU_MASK_OF(i);
        }
        if (h->reserved & VPMU_MASK_OF(i)) {
            picture->vcpus[n].on[i] = pmu->config[i].on;
            picture->vcpus[n].rings[i] = pmu->config[i].rings;
            picture->vcpus[n].add[i] = pmu->config[i].add;
            picture->vcpus[n].sim[i] = pmu->config[i].sim;
            picture->vcpus[n].values[i] =
                machine.guest ? 0 : softpmu_save(pmu, i).value;
        }
    }
}

static void take_picture(Picture *picture)
{
    const VPMUReservation *r = vpmu_reservation_find();

    memset(picture, 0, sizeof(*picture));
    if (r) {
        picture->gp = r->gp;
        picture->ppmcs = r->ppmcs;
    }
    for (unsigned p = 0; r && p < VPMU_NR; p++) {
        picture->events[p] = r->counts[p].event;
        picture->rings[p] = r->counts[p].event ? r->counts[p].rings : 0;
    }
    for (unsigned n = 0; n < machine.nr; n++) {
        take_vcpu_picture(picture, n);
        if (machine.guest) {
            /* It may enable what then starves. */
            picture->vcpus[n].starved = 0;
        }
    }
}

static void check_refused(const Picture *before, Error *err, unsigned changes)
{
    const char *text = error_get_pretty(err);
    unsigned words = 1;
    Picture after;

    g_assert_null(strstr(text, "(null)"));
    for (; *text; text++) {
        words += *text == ' ';
    }
    g_assert_cmpuint(words, >=, 3);
    take_picture(&after);
    g_assert_cmpmem(&after, sizeof(after), before, sizeof(*before));
    g_assert_cmpuint(machine.changes, ==, changes);
}

/* Answers */

/*
 * read_TYPE: an answer as what the schema says; a name that is none of its
 * enumeration is refused here
 */
#define READ(Type) \
static Type *read_##Type(QObject *answer) \
{ \
    Visitor *v = qobject_input_visitor_new(answer); \
    Type *value; \
\
    visit_type_##Type(v, NULL, &value, &error_abort); \
    visit_free(v); \
    return value; \
}

READ(VpmuInfo)
READ(VpmuReservation)
READ(StatsResultList)
READ(StatsSchemaList)

/* What was asked for; @before: what there was */
typedef void Accepted(const QDict *args, QObject *answer,
                      const Picture *before);

static void accepted_query(const QDict *args, QObject *answer,
                           const Picture *before)
{
    g_autoptr(VpmuInfo) info = read_VpmuInfo(answer);

    g_assert_cmpuint(qdict_size(args), ==, 0);
    check_info(info);
}

static VPMUCounterMask ids_of(const VpmuCounterIdList *ids)
{
    VPMUCounterMask mask = 0;

    for (; ids; ids = ids->next) {
        VPMUCounterMask one = VPMU_MASK_OF(
            ids->value->type == VPMU_COUNTER_TYPE_FIXED ?
            VPMU_FIXED(ids->value->index) : ids->value->index);

        g_assert_cmphex(mask, <, one);
        mask |= one;
    }
    return mask;
}

/* Those that starve now and did not before: none without @force */
static void check_displaced(const VpmuDisplacedList *d, const Picture *before,
                            bool force)
{
    Picture after;

    take_picture(&after);
    for (unsigned n = 0; n < machine.nr; n++) {
        VPMUCounterMask starved = after.vcpus[n].starved;
        VPMUCounterMask lost = starved & ~before->vcpus[n].starved;
        /* A kernel's answer also has those that starved before. */
        VPMUCounterMask displaced = machine_has_kernel() ? starved : lost;

        g_assert_true(force || !lost);

        if (displaced && !machine_vcpu(n)->unplug) {
            g_assert_nonnull(d);
            g_assert_cmpint(d->value->cpu_index, ==, n);
            g_assert_cmphex(ids_of(d->value->counters), ==, displaced);
            d = d->next;
        }
    }
    g_assert_null(d);
}

static void accepted_reserve(const QDict *args, QObject *answer,
                             const Picture *before)
{
    g_autoptr(VpmuReservation) result = read_VpmuReservation(answer);
    const VPMUReservation *r = vpmu_reservation_find();
    const QList *fixed = qdict_get_qlist(args, "fixed");
    bool force = qdict_get_try_bool(args, "force", false);
    VPMUCounterMask wanted = 0;
    const QListEntry *entry;

    for (entry = fixed ? qlist_first(fixed) : NULL; entry;
         entry = qlist_next(entry)) {
        uint64_t j = qnum_get_uint(qobject_to(QNum, qlist_entry_obj(entry)));

        g_assert_cmpuint(j, <, VPMU_NR_FIXED);
        wanted |= VPMU_MASK_OF(VPMU_FIXED(j));
    }
    g_assert_cmpint(r->gp, ==, qdict_get_int(args, "gp"));
    g_assert_cmphex(r->ppmcs & ~VPMU_MASK_GP, ==, wanted);
    check_reserved(result->reserved);
    g_assert_cmphex(ids_of(result->counters), ==, r->ppmcs);
    g_assert_false(machine.migrates || machine.incoming);
    for (unsigned n = 0; n < machine.nr; n++) {
        const Handover *h = &machine.vcpus[n].env.vpmu_host.handover;

        g_assert_true(machine_vcpu(n)->unplug ||
                      (machine_has_kernel() ?
                       ctpop16(h->reserved & VPMU_MASK_GP) == r->gp &&
                       (h->reserved & ~VPMU_MASK_GP) == r->ppmcs :
                       h->reserved == r->ppmcs));
    }
    for (unsigned p = 0; p < VPMU_NR; p++) {
        g_assert_true(r->counts[p].event == (r->ppmcs & VPMU_MASK_OF(p) ?
                                             before->events[p] : NULL));
    }
    if (!machine.guest) {
        check_displaced(result->displaced, before, force);
    }
    g_assert_true(!result->displaced || machine_has_kernel() || force);
}

static void accepted_set(const QDict *args, QObject *answer,
                         const Picture *before)
{
    const char *event = qdict_get_try_str(args, "event");
    unsigned index = qdict_get_int(args, "index");
    unsigned p = strcmp(qdict_get_str(args, "type"), "fixed") ?
                 index : VPMU_FIXED(index);
    const VPMUHostCount *count = &vpmu_reservation_find()->counts[p];
    unsigned rings =
        qdict_get_try_bool(args, "user", true) << SOFTPMU_USER |
        qdict_get_try_bool(args, "kernel", true) << SOFTPMU_KERNEL;

    g_assert_null(answer);
    g_assert_cmpstr(count->event ? count->event->name : NULL, ==, event);
    g_assert_true(before->ppmcs & VPMU_MASK_OF(p));
    for (unsigned n = 0; n < machine.nr; n++) {
        SoftPMU *pmu = &machine.vcpus[n].env.vpmu_host.hw;

        if (machine_vcpu(n)->unplug) {
            continue;
        }
        g_assert_cmpint(pmu->config[p].on, ==, !!event);
        g_assert_cmphex(softpmu_save(pmu, p).value, ==, 0);
        if (event) {
            g_assert_cmphex(pmu->config[p].rings, ==, rings);
            g_assert_cmphex(count->rings, ==, rings);
        }
    }
}

static void accepted_stats(const QDict *args, QObject *answer,
                           const Picture *before)
{
    StatsResultList *results = read_StatsResultList(answer);

    check_stats(results);
    qapi_free_StatsResultList(results);
}

static void accepted_schemas(const QDict *args, QObject *answer,
                             const Picture *before)
{
    StatsSchemaList *schemas = read_StatsSchemaList(answer);

    qapi_free_StatsSchemaList(schemas);
}

/* There is an event if the reservation is another one, and otherwise none. */
static void check_changes(const Picture *before, unsigned changes)
{
    Picture after;

    take_picture(&after);
    g_assert_cmpuint(machine.changes - changes, ==,
                     before->gp != after.gp || before->ppmcs != after.ppmcs);
}

/* The commands */

static const Arg no_args[] = { { } };
static const Arg reserve_args[] = {
    { "gp", ARG_NUMBER }, { "fixed", ARG_NUMBERS, true },
    { "force", ARG_BOOL, true }, { }
};
static const Arg set_args[] = {
    { "type", ARG_TYPE }, { "index", ARG_NUMBER }, { "event", ARG_EVENT, true },
    { "user", ARG_BOOL, true }, { "kernel", ARG_BOOL, true }, { }
};
static const Arg stats_args[] = {
    { "target", ARG_TARGET }, { "providers", ARG_REQUESTS, true },
    { "vcpus", ARG_PATHS, true }, { }
};
static const Arg schemas_args[] = { { "provider", ARG_PROVIDER, true }, { } };

static const struct {
    const Arg *args;
    void (*marshal)(QDict *args, QObject **ret, Error **errp);
    Accepted *accepted;
} commands[] = {
    { reserve_args, qmp_marshal_vpmu_reserve_host_counters, accepted_reserve },
    { set_args, qmp_marshal_vpmu_host_counter_set, accepted_set },
    { no_args, qmp_marshal_query_vpmu, accepted_query },
    { stats_args, qmp_marshal_query_stats, accepted_stats },
    { schemas_args, qmp_marshal_query_stats_schemas, accepted_schemas },
};

void qmp_call(Stream *s)
{
    unsigned what = take(s, 1);
    /* Mostly one of the two that change something */
    unsigned kind = what >> 1 & 15;
    unsigned which = kind < 12 ? kind % 2 : 2 + kind % 3;
    QDict *args = take_args(s, commands[which].args);
    unsigned changes = machine.changes;
    QObject *answer = NULL;
    Error *err = NULL;
    Picture before;

    machine.guest = what & 1 ? s : NULL;
    take_picture(&before);
    commands[which].marshal(args, &answer, &err);
    if (err) {
        g_assert_null(answer);
        check_refused(&before, err, changes);
        error_free(err);
    } else {
        commands[which].accepted(args, answer, &before);
        check_changes(&before, changes);
    }
    machine.guest = NULL;
    qobject_unref(answer);
    qobject_unref(args);
    machine_check_guests();
}
