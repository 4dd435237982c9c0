/*
 * What must be true of the answers of the PMU's QMP commands
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_QMP_CHECK_H
#define TESTS_FUZZ_QMP_CHECK_H

#include "qapi/qapi-types-stats.h"
#include "qapi/qapi-types-vpmu.h"
#include "qmp-machine.h"

/**
 * check_info: query-vpmu's answer is what the machine has
 */
void check_info(const VpmuInfo *info);

/**
 * check_reserved: @set is the reservation; without one it is empty
 */
void check_reserved(const VpmuCounterSet *set);

/**
 * check_stats: query-stats' answer is what the vCPUs have
 */
void check_stats(const StatsResultList *results);

/**
 * check_event: there is an event with this name, and it has this code
 */
void check_event(const VpmuEvent *event);

#endif /* TESTS_FUZZ_QMP_CHECK_H */
