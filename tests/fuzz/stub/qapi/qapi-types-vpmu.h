/*
 * What the PMU's files use of the types that QAPI generates, for the fuzzers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_FUZZ_STUB_QAPI_TYPES_VPMU_H
#define TESTS_FUZZ_STUB_QAPI_TYPES_VPMU_H

typedef enum { VPMU_HOST_ORDER_HIGH, VPMU_HOST_ORDER_LOW } VpmuHostOrder;
typedef enum { VPMU_VISIBLE_ALL, VPMU_VISIBLE_GRANTED } VpmuVisible;
typedef enum { VPMU_COUNTER_TYPE_GP, VPMU_COUNTER_TYPE_FIXED } VpmuCounterType;
typedef enum { VPMU_MODE_NONE } VpmuMode;
typedef enum { VPMU_SIMULATION_NONE, VPMU_SIMULATION_SIMPLE } VpmuSimulation;

typedef struct VpmuCounterIdList VpmuCounterIdList;
typedef struct VpmuEvent VpmuEvent;
typedef struct VpmuEventList VpmuEventList;
typedef struct PropertyInfo PropertyInfo;
typedef struct Error Error;

#endif /* TESTS_FUZZ_STUB_QAPI_TYPES_VPMU_H */
