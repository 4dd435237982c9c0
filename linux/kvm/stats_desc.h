/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: the statistics of handover-stats.h.inc for the table of a
 * vCPU's binary statistics, in the middle of which this file is included
 */
#define VPMU_COUNT		KVM_STATS_UNIT_NONE, KVM_STATS_BASE_POW10, 0
#define VPMU_BYTES		KVM_STATS_UNIT_BYTES, KVM_STATS_BASE_POW10, 0
#define VPMU_NANOSECONDS	KVM_STATS_UNIT_SECONDS, KVM_STATS_BASE_POW10, -9

#define VPMU_STAT(_field, _name, _unit, _base, _exponent)		\
	{								\
		STATS_DESC_COMMON(KVM_STATS_TYPE_CUMULATIVE,		\
				  _unit, _base, _exponent, 1, 0),	\
		.offset = offsetof(struct kvm_vcpu_stat, vpmu._field),	\
		.name = _name,						\
	},
#define VPMU_STAT_(...)		VPMU_STAT(__VA_ARGS__)
#define HANDOVER_STAT(field, name, unit, description)			\
	VPMU_STAT_(field, name, VPMU_##unit)
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
