/*
 * What the machine is doing, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_RUNSTATE_H
#define TESTS_FUZZ_STUB_RUNSTATE_H

typedef enum { RUN_STATE_RUNNING, RUN_STATE_INMIGRATE } RunState;

bool runstate_check(RunState state);

#endif /* TESTS_FUZZ_STUB_RUNSTATE_H */
