/*
 * Arguments of QMP commands made from a stream of bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qobject/qbool.h"
#include "qobject/qlist.h"
#include "qobject/qnull.h"
#include "qobject/qnum.h"
#include "qobject/qstring.h"
#include "events.h"
#include "qmp-args.h"

/* How deep a value of any type is at most */
#define DEPTH_MAX 3

static QObject *take_any(Stream *s, unsigned depth);

/* No "(null)" that a message has from here is taken for a pointer's. */
static QObject *take_text(Stream *s)
{
    char text[16];
    unsigned size = take(s, 1) % sizeof(text);

    for (unsigned i = 0; i < size; i++) {
        char c = take(s, 1);

        text[i] = c && c != '(' ? c : '?';
    }
    return QOBJECT(qstring_from_substr(text, 0, size));
}

static QObject *take_any_list(Stream *s, unsigned depth)
{
    QList *list = qlist_new();

    for (unsigned n = take(s, 1) % 4; n; n--) {
        qlist_append_obj(list, take_any(s, depth + 1));
    }
    return QOBJECT(list);
}

static QObject *take_any_dict(Stream *s, unsigned depth)
{
    static const char *const keys[] = { "name", "provider", "gp", "" };
    QDict *dict = qdict_new();

    for (unsigned n = take(s, 1) % 4; n; n--) {
        qdict_put_obj(dict, keys[take(s, 1) % ARRAY_SIZE(keys)],
                      take_any(s, depth + 1));
    }
    return QOBJECT(dict);
}

/* A value of any type */
static QObject *take_any(Stream *s, unsigned depth)
{
    union {
        uint64_t bits;
        double number;
    } u;

    switch (take(s, 1) % (depth < DEPTH_MAX ? 8 : 6)) {
    case 0:
        return QOBJECT(qnull());
    case 1:
        return QOBJECT(qbool_from_bool(take(s, 1) & 1));
    case 2:
        return QOBJECT(qnum_from_int(take(s, 8)));
    case 3:
        return QOBJECT(qnum_from_uint(take(s, 8)));
    case 4:
        u.bits = take(s, 8);
        return QOBJECT(qnum_from_double(u.number));
    case 5:
        return take_text(s);
    case 6:
        return take_any_list(s, depth);
    default:
        return take_any_dict(s, depth);
    }
}

/* Mostly one that there may be */
static QObject *take_number(Stream *s)
{
    unsigned what = take(s, 1);

    return QOBJECT(qnum_from_int(what < 240 ? what % 20 :
                                 (int64_t)take(s, 8) >> 8 * (what & 7)));
}

static QObject *take_numbers(Stream *s)
{
    QList *list = qlist_new();
    unsigned what = take(s, 1);

    /* Neighbours, of which the last may be one too many */
    for (unsigned n = what % 4; n; n--) {
        qlist_append_obj(list, what < 128 ?
                         QOBJECT(qnum_from_int(n - 1 + (what >> 5))) :
                         take_number(s));
    }
    return QOBJECT(list);
}

/* One of @names, or another */
static QObject *take_name(Stream *s, const char *const *names, unsigned nr)
{
    unsigned which = take(s, 1);

    return which == 255 ? take_text(s) :
                          QOBJECT(qstring_from_str(names[which % nr]));
}

static QObject *take_event(Stream *s)
{
    unsigned which = take(s, 2);
    const VPMUEvent *event = which & 1 ?
        vpmu_event_fixed(VPMU_FIXED((which >> 1) % VPMU_NR_FIXED)) :
        &vpmu_events[(which >> 1) % vpmu_nr_events];

    return which >> 8 == 255 ? take_text(s) :
                               QOBJECT(qstring_from_str(event->name));
}

static QObject *take_target(Stream *s)
{
    static const char *const targets[] = { "vm", "vcpu", "cryptodev" };

    return take_name(s, targets, ARRAY_SIZE(targets));
}

static QObject *take_provider(Stream *s)
{
    static const char *const providers[] = { "vpmu", "kvm" };

    return take_name(s, providers, ARRAY_SIZE(providers));
}

static QObject *take_statistic(Stream *s)
{
    static const struct {
        const char *name;
    } statistics[] = {
#define HANDOVER_STAT(field, name_, unit, description) \
        { name_ },
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
    };
    unsigned which = take(s, 1) % ARRAY_SIZE(statistics);

    return take_name(s, &statistics[which].name, 1);
}

static QObject *take_requests(Stream *s)
{
    QList *requests = qlist_new();

    for (unsigned n = take(s, 1) % 3; n; n--) {
        QDict *request = qdict_new();
        QList *wanted = qlist_new();
        unsigned what = take(s, 1);

        qdict_put_obj(request, "provider", take_provider(s));
        for (unsigned i = what % 4; i; i--) {
            qlist_append_obj(wanted, take_statistic(s));
        }
        if (what & 4) {
            qdict_put(request, "names", wanted);
        } else {
            qobject_unref(wanted);
        }
        qlist_append(requests, request);
    }
    return QOBJECT(requests);
}

static QObject *take_paths(Stream *s)
{
    static const char *const paths[] = {
        "/machine/unattached/device[0]", "/machine/unattached/device[1]",
        "/machine/unattached/device[2]", "/machine",
    };
    QList *list = qlist_new();

    for (unsigned n = take(s, 1) % 4; n; n--) {
        qlist_append_obj(list, take_name(s, paths, ARRAY_SIZE(paths)));
    }
    return QOBJECT(list);
}

static QObject *take_right(Stream *s, ArgKind kind)
{
    static const char *const types[] = { "gp", "fixed" };

    switch (kind) {
    case ARG_NUMBER:
        return take_number(s);
    case ARG_NUMBERS:
        return take_numbers(s);
    case ARG_BOOL:
        return QOBJECT(qbool_from_bool(take(s, 1) & 1));
    case ARG_TYPE:
        return take_name(s, types, ARRAY_SIZE(types));
    case ARG_EVENT:
        return take_event(s);
    case ARG_TARGET:
        return take_target(s);
    case ARG_PROVIDER:
        return take_provider(s);
    case ARG_REQUESTS:
        return take_requests(s);
    case ARG_PATHS:
        return take_paths(s);
    }
    g_assert_not_reached();
}

/* One byte says what is with an argument: present, missing, or anything. */
QDict *take_args(Stream *s, const Arg *args)
{
    QDict *dict = qdict_new();

    for (; args->name; args++) {
        unsigned what = take(s, 1);

        if (what >= 250) {
            qdict_put_obj(dict, args->name, take_any(s, 0));
        } else if (what < (args->optional ? 128 : 240)) {
            qdict_put_obj(dict, args->name, take_right(s, args->kind));
        }
    }
    if (take(s, 1) >= 250) {
        qdict_put_obj(dict, "surplus", take_any(s, 0));
    }
    return dict;
}
