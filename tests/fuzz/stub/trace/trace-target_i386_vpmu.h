/*
 * The fuzzers do not trace
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_TRACE_H
#define TESTS_FUZZ_STUB_TRACE_H

static inline void trace_nothing(int cpu, ...)
{
}

#define trace_vpmu_bts_drop         trace_nothing
#define trace_vpmu_overflow         trace_nothing
#define trace_vpmu_hand_over        trace_nothing
#define trace_vpmu_release          trace_nothing
#define trace_vpmu_move             trace_nothing
#define trace_vpmu_starved          trace_nothing
#define trace_vpmu_reserve          trace_nothing
#define trace_vpmu_pebs             trace_nothing
#define trace_vpmu_pebs_drop        trace_nothing

#endif /* TESTS_FUZZ_STUB_TRACE_H */
