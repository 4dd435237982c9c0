/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counter hand-over: trace events of the group kvm_vpmu
 *
 * A counter has the number of its bit in GLOBAL_CTRL; -1 stands for none.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm_vpmu

#if !defined(__KVM_VPMU_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define __KVM_VPMU_TRACE_H

#include <linux/tracepoint.h>

/* perf has scheduled the event of a vPMC on another pPMC than before. */
TRACE_EVENT(kvm_vpmu_moved,
	TP_PROTO(unsigned int vcpu, int vpmc, int from, int to),
	TP_ARGS(vcpu, vpmc, from, to),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu)
		__field(int, vpmc)
		__field(int, from)
		__field(int, to)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vpmc = vpmc;
		__entry->from = from;
		__entry->to = to;
	),
	TP_printk("vcpu %u vpmc %d ppmc %d from %d", __entry->vcpu,
		  __entry->vpmc, __entry->to, __entry->from)
);

DECLARE_EVENT_CLASS(kvm_vpmu_counter,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc),
	TP_STRUCT__entry(
		__field(unsigned int, vcpu)
		__field(int, vpmc)
	),
	TP_fast_assign(
		__entry->vcpu = vcpu;
		__entry->vpmc = vpmc;
	),
	TP_printk("vcpu %u vpmc %d", __entry->vcpu, __entry->vpmc)
);

/* An event was created for a vPMC. */
DEFINE_EVENT(kvm_vpmu_counter, kvm_vpmu_created,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc));
/* The event of a vPMC was released. */
DEFINE_EVENT(kvm_vpmu_counter, kvm_vpmu_released,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc));
/* perf was asked to schedule the event of a vPMC again. */
DEFINE_EVENT(kvm_vpmu_counter, kvm_vpmu_resumed,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc));
/* perf has no counter for a vPMC. */
DEFINE_EVENT(kvm_vpmu_counter, kvm_vpmu_starved,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc));

/* A vPMC has overflowed, and its PEBS record was dropped. */
DEFINE_EVENT(kvm_vpmu_counter, kvm_vpmu_dropped,
	TP_PROTO(unsigned int vcpu, int vpmc),
	TP_ARGS(vcpu, vpmc));

/*
 * The reservation of a VM was changed or, with an error, refused.  ppmcs is a
 * VPMUCounterMask of counters.h.
 */
TRACE_EVENT(kvm_vpmu_reserved,
	TP_PROTO(unsigned int ppmcs, int error),
	TP_ARGS(ppmcs, error),
	TP_STRUCT__entry(
		__field(unsigned int, ppmcs)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->ppmcs = ppmcs;
		__entry->error = error;
	),
	TP_printk("ppmcs 0x%x error %d", __entry->ppmcs, __entry->error)
);

#endif /* __KVM_VPMU_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH vpmu
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE vpmu_trace

#include <trace/define_trace.h>
