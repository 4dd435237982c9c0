/*
 * The visitors of QEMU do not trace in a fuzzer
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_QEMU_TRACE_QAPI_H
#define TESTS_FUZZ_QEMU_TRACE_QAPI_H

static inline void trace_no_visit(const void *visitor, ...)
{
}

#define trace_visit_free                trace_no_visit
#define trace_visit_complete            trace_no_visit
#define trace_visit_start_struct        trace_no_visit
#define trace_visit_check_struct        trace_no_visit
#define trace_visit_end_struct          trace_no_visit
#define trace_visit_start_list          trace_no_visit
#define trace_visit_next_list           trace_no_visit
#define trace_visit_check_list          trace_no_visit
#define trace_visit_end_list            trace_no_visit
#define trace_visit_start_alternate     trace_no_visit
#define trace_visit_end_alternate       trace_no_visit
#define trace_visit_optional            trace_no_visit
#define trace_visit_policy_reject       trace_no_visit
#define trace_visit_policy_skip         trace_no_visit
#define trace_visit_type_enum           trace_no_visit
#define trace_visit_type_int            trace_no_visit
#define trace_visit_type_uint8          trace_no_visit
#define trace_visit_type_uint16         trace_no_visit
#define trace_visit_type_uint32         trace_no_visit
#define trace_visit_type_uint64         trace_no_visit
#define trace_visit_type_int8           trace_no_visit
#define trace_visit_type_int16          trace_no_visit
#define trace_visit_type_int32          trace_no_visit
#define trace_visit_type_int64          trace_no_visit
#define trace_visit_type_size           trace_no_visit
#define trace_visit_type_bool           trace_no_visit
#define trace_visit_type_str            trace_no_visit
#define trace_visit_type_number         trace_no_visit
#define trace_visit_type_any            trace_no_visit
#define trace_visit_type_null           trace_no_visit

#endif /* TESTS_FUZZ_QEMU_TRACE_QAPI_H */
