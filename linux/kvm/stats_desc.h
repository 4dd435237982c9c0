/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: the statistics of handover-stats.h.inc as entries of the
 * table of a vCPU's binary statistics, which includes this file
 */
#define VPMU_UNIT_COUNT			KVM_STATS_UNIT_NONE
#define VPMU_UNIT_BYTES			KVM_STATS_UNIT_BYTES
#define VPMU_UNIT_NANOSECONDS		KVM_STATS_UNIT_SECONDS
#define VPMU_EXPONENT_COUNT		0
#define VPMU_EXPONENT_BYTES		0
#define VPMU_EXPONENT_NANOSECONDS	(-9)

#define HANDOVER_STAT(_field, _name, _unit, ...)			\
	{								\
		STATS_DESC_COMMON(KVM_STATS_TYPE_CUMULATIVE,		\
				  VPMU_UNIT_##_unit,			\
				  KVM_STATS_BASE_POW10,			\
				  VPMU_EXPONENT_##_unit, 1, 0),		\
		.offset = offsetof(struct kvm_vcpu_stat, vpmu._field),	\
		.name = _name,						\
	},
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
