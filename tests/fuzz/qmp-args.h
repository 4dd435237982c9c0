/*
 * Arguments of QMP commands made from a stream of bytes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Most are of the right type, and some are of another, are missing or are too
 * many.
 */
#ifndef TESTS_FUZZ_QMP_ARGS_H
#define TESTS_FUZZ_QMP_ARGS_H

#include "qobject/qdict.h"
#include "vcpu.h"

/**
 * ArgKind: of which type an argument should be
 */
typedef enum ArgKind {
    ARG_NUMBER,
    ARG_NUMBERS,
    ARG_BOOL,
    ARG_TYPE,           /* VpmuCounterType */
    ARG_EVENT,
    ARG_TARGET,         /* StatsTarget */
    ARG_PROVIDER,       /* StatsProvider */
    ARG_REQUESTS,       /* a list of StatsRequest */
    ARG_PATHS,          /* of vCPUs */
} ArgKind;

/**
 * Arg: one argument of a command; a table of them ends without a name
 */
typedef struct Arg {
    const char *name;
    ArgKind kind;
    bool optional;
} Arg;

/**
 * take_args: arguments for a command that has these
 */
QDict *take_args(Stream *s, const Arg *args);

#endif /* TESTS_FUZZ_QMP_ARGS_H */
