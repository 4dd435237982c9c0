// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: which vPMC may have an event, and what perf is asked for
 */
#include <linux/jiffies.h>
#include <linux/timekeeping.h>
#include <asm/intel_ds.h>
#include "internal.h"
#define CREATE_TRACE_POINTS
#include "vpmu_trace.h"

/* What built-in code, intel_guest_get_msrs(), reads has to stay in place. */
#define VPMU_OFFSET_DS_AREA	736
static_assert(offsetof(struct kvm_pmu, ds_area) == VPMU_OFFSET_DS_AREA);
static_assert(offsetof(struct kvm_pmu, pebs_enable) == VPMU_OFFSET_DS_AREA + 8);
static_assert(offsetof(struct kvm_pmu, pebs_data_cfg) ==
	      VPMU_OFFSET_DS_AREA + 24);
static_assert(offsetof(struct kvm_pmu, host_cross_mapped_mask) ==
	      VPMU_OFFSET_DS_AREA + 40);

DECLARE_STATIC_CALL(kvm_x86_pmu_cleanup,
		    *(((struct kvm_pmu_ops *)0)->cleanup));

/* The pPMCs that the hardware has. */
static VPMUCounterMask all_counters(void)
{
	return (VPMU_MASK_OF(kvm_pmu_cap.num_counters_gp) - 1) |
	       (VPMU_MASK_OF(kvm_pmu_cap.num_counters_fixed) - 1) << VPMU_NR_GP;
}

void kvm_vpmu_init(struct kvm_vcpu *vcpu)
{
	mutex_init(&vcpu_to_vpmu(vcpu)->lock);
}

void kvm_vpmu_reset(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	const struct kvm_vpmu_vm *vm = &vcpu->kvm->arch.vpmu;

	if (!kvm_vpmu_on(vcpu))
		return;
	guard(mutex)(&vpmu->lock);
	/* kvm_vpmu_handle_event() brings the reservation. */
	handover_init(&vpmu->map, all_counters(), 0, READ_ONCE(vm->slice));
	vpmu->events = 0;
	vpmu->run = 0;
	vpmu->unserved = 0;
	vpmu->lost = 0;
	vpmu->plain = 0;
	vpmu->dropped = 0;
	memset(vpmu->index, -1, sizeof(vpmu->index));
}

/* The core's figures since the last time; its moves are not perf's. */
static void add_stats(struct kvm_vcpu *vcpu)
{
	HandoverStats *from = &vcpu_to_vpmu(vcpu)->map.stats;
	HandoverStats *to = &vcpu->stat.vpmu;

	to->hand_overs += from->hand_overs;
	to->reuses += from->reuses;
	to->lazy_releases += from->lazy_releases;
	to->evictions += from->evictions;
	to->starved_ns += from->starved_ns;
	*from = (HandoverStats) { 0 };
}

/* Time in which perf had no counter for @vpmu->unserved. */
static void account_unserved(struct kvm_vcpu *vcpu, u64 now)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);

	vcpu->stat.vpmu.starved_ns += hweight64(vpmu->unserved) *
				      (now - vpmu->unserved_since);
	vpmu->unserved_since = now;
}

static VPMUCounterMask allowed(struct kvm_pmu *pmu)
{
	u64 enabled = kvm_pmu_has_perf_global_ctrl(pmu) ? pmu->global_ctrl : ~0;
	u64 mask = 0;
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&enabled) {
		if (pmc_event_is_allowed(pmc))
			mask |= BIT_ULL(i);
	}
	return vpmu_mask_from_reg(mask);
}

/* vPMCs that may have an event. */
static VPMUCounterMask slots(const Handover *map)
{
	return handover_to_virtual(map, VPMU_MASK_ALL);
}

static bool has_slot(struct kvm_pmc *pmc)
{
	return pmc_to_vpmu(pmc)->map.phys[vpmu_number(pmc)] != HANDOVER_NONE;
}

static bool is_enabled(struct kvm_pmc *pmc)
{
	return pmc_to_vpmu(pmc)->map.enabled & VPMU_MASK_OF(vpmu_number(pmc));
}

int kvm_vpmu_path(struct kvm_pmc *pmc)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	int index = vpmu->index[vpmu_number(pmc)];

	if (!is_enabled(pmc))
		return HANDOVER_IDLE;
	if (!has_slot(pmc) || index < 0 || vpmu->unserved & BIT_ULL(pmc->idx))
		return HANDOVER_STARVED;
	if (vpmu_makes_records(pmc) && !vpmu_wants_precise(pmc))
		return HANDOVER_SLOW;
	return index == pmc->idx ? HANDOVER_FAST : HANDOVER_SLOW;
}

static void release(struct kvm_pmc *pmc)
{
	if (!pmc->perf_event)
		return;
	trace_kvm_vpmu_released(pmc->vcpu->vcpu_id, pmc->idx);
	pmc_stop_counter(pmc);
	pmc_to_vpmu(pmc)->events &= ~BIT_ULL(pmc->idx);
	pmc_to_vpmu(pmc)->index[vpmu_number(pmc)] = -1;
}

/* What KVM has emulated counts, too.  Returns: whether the vPMC overflows. */
static bool add_emulated(struct kvm_pmc *pmc)
{
	u64 emulated = pmc->emulated_counter, value;

	if (!emulated)
		return false;
	pmc->emulated_counter = 0;
	value = pmc_read_counter(pmc);
	pmc->counter += emulated;
	return ((value + emulated) & pmc_bitmask(pmc)) < value;
}

/*
 * A vPMC has overflowed and its record was dropped: the rest of what a record
 * is made with.  SDM volume 3, "Processor Event Based Sampling (PEBS)
 * Facility".  The DS area is the guest's: what it cannot read reloads with 0.
 */
static void reload(struct kvm_pmc *pmc)
{
	struct kvm_vcpu *vcpu = pmc->vcpu;
	struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;
	unsigned long slot = vcpu_to_pmu(vcpu)->ds_area +
			     offsetof(struct debug_store, pebs_event_reset) +
			     pmc->idx * sizeof(u64);
	struct x86_exception fault;
	u64 value, n;

	if (ctxt->ops->read_std(ctxt, slot, &value, sizeof(value), &fault,
				true) != X86EMUL_CONTINUE)
		value = 0;
	/* It has gone on since, perhaps for more than a period. */
	n = 1 + div64_u64(pmc_read_counter(pmc), kvm_vpmu_period(pmc, value));
	pmc->counter += n * value;
	vcpu->stat.vpmu.pebs_records_dropped += n;
	trace_kvm_vpmu_dropped(vcpu->vcpu_id, pmc->idx);
}

static bool is_served(struct kvm_pmc *pmc)
{
	guard(irqsave)();
	return vpmu_is_live(pmc->perf_event) && !vpmu_is_misplaced(pmc);
}

/*
 * The event will do, but perf does not count with it, or only perf can set its
 * period.
 */
static void resume(struct kvm_pmc *pmc, u64 wanted)
{
	struct perf_event *event = pmc->perf_event;
	u64 period;

	trace_kvm_vpmu_resumed(pmc->vcpu->vcpu_id, pmc->idx);
	perf_event_disable(event);
	/* perf would have it where it was before. */
	if (vpmu_is_misplaced(pmc))
		event->hw.idx = -1;
	if (!event->attr.precise_ip) {
		event->hw.config = wanted;
		event->attr.config = wanted & X86_RAW_EVENT_MASK;
		event->attr.exclude_user = !(wanted & ARCH_PERFMON_EVENTSEL_USR);
		event->attr.exclude_kernel = !(wanted & ARCH_PERFMON_EVENTSEL_OS);
	}
	period = kvm_vpmu_period(pmc, pmc_read_counter(pmc));
	if (is_sampling_event(event))
		perf_event_period(event, max(period, 2ULL));
	perf_event_enable(event);
}

static void create(struct kvm_pmc *pmc, u64 wanted)
{
	bool precise = vpmu_wants_precise(pmc);
	struct perf_event_attr attr = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(attr),
		.config = wanted & pmc_to_pmu(pmc)->raw_event_mask,
		.pinned = 1,
		.exclude_host = 1,
		.exclude_user = !(wanted & ARCH_PERFMON_EVENTSEL_USR),
		.exclude_kernel = !(wanted & ARCH_PERFMON_EVENTSEL_OS),
		.precise_ip = precise ? pmc_get_pebs_precise_level(pmc) : 0,
		.sample_period = max(kvm_vpmu_period(pmc, pmc->counter), 2ULL),
	};
	struct perf_event *event;

	/* perf has these with a period of its own only, see pmu.c. */
	if (attr.config & HSW_IN_TX_CHECKPOINTED)
		attr.sample_period = 0;
	event = perf_event_create_kernel_counter(&attr, -1, current,
						 kvm_perf_overflow, pmc);
	if (IS_ERR(event))
		return;
	trace_kvm_vpmu_created(pmc->vcpu->vcpu_id, pmc->idx);
	pmc->perf_event = event;
	pmc->is_paused = false;
	pmc_to_pmu(pmc)->event_count++;
	pmc_to_vpmu(pmc)->events |= BIT_ULL(pmc->idx);
}

/*
 * An enabled vPMC that may have a counter: see that it does.
 * @changed: its registers have, or it has overflowed
 * Returns: whether perf had to be asked.
 */
static bool serve(struct kvm_pmc *pmc, bool changed)
{
	u64 wanted = kvm_vpmu_wanted(pmc);
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);

	pmc->intr = vpmu_makes_records(pmc) || (pmc_is_gp(pmc) ?
		pmc->eventsel & ARCH_PERFMON_EVENTSEL_INT :
		fixed_ctrl_field(pmc_to_pmu(pmc)->fixed_ctr_ctrl,
				 pmc->idx - KVM_FIXED_PMC_BASE_IDX) &
		INTEL_FIXED_0_ENABLE_PMI);
	if (kvm_vpmu_load(pmc)) {
		vpmu->unserved &= ~BIT_ULL(pmc->idx);
		return false;
	}
	if (pmc->perf_event && kvm_vpmu_fits(pmc, wanted)) {
		if (!changed && is_served(pmc))
			return false;
		resume(pmc, wanted);
	} else {
		release(pmc);
		create(pmc, wanted);
	}
	/* With another pPMC it counts, and its records are dropped. */
	if (vpmu_wants_precise(pmc) && !is_served(pmc)) {
		vpmu->plain |= BIT_ULL(pmc->idx);
		release(pmc);
		create(pmc, wanted);
	}
	if (is_served(pmc)) {
		/* The exact period; a record's is in guest memory. */
		kvm_vpmu_load(pmc);
		vpmu->unserved &= ~BIT_ULL(pmc->idx);
		return true;
	}
	/* It must not take another type's counter until the next try. */
	if (pmc->perf_event)
		perf_event_disable(pmc->perf_event);
	if (!(vpmu->unserved & BIT_ULL(pmc->idx)))
		trace_kvm_vpmu_starved(pmc->vcpu->vcpu_id, pmc->idx);
	vpmu->unserved |= BIT_ULL(pmc->idx);
	return true;
}

/* Bring one vPMC up to date.  Returns: whether perf had to be asked. */
static bool update(struct kvm_pmc *pmc, bool changed, bool try_again)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	bool overflows = add_emulated(pmc);

	if (overflows && is_enabled(pmc))
		__kvm_perf_overflow(pmc, false);
	if (test_and_clear_bit(pmc->idx, &vpmu->dropped))
		reload(pmc);
	if (!is_enabled(pmc) || !has_slot(pmc)) {
		vpmu->run &= ~BIT_ULL(pmc->idx);
		vpmu->unserved &= ~BIT_ULL(pmc->idx);
		return false;
	}
	vpmu->run |= BIT_ULL(pmc->idx);
	return (!(vpmu->unserved & BIT_ULL(pmc->idx)) || try_again) &&
	       serve(pmc, changed);
}

/* What KVM does when a vCPU is scheduled in, for other things than counters. */
static void cleanup(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);

	if (!pmu->need_cleanup)
		return;
	pmu->need_cleanup = false;
	static_call_cond(kvm_x86_pmu_cleanup)(vcpu);
	bitmap_zero(pmu->pmc_in_use, X86_PMC_IDX_MAX);
}

/*
 * Ask perf for events that make records again; not for one that it still has
 * and has just refused to let make any.
 */
static void try_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 todo = vpmu->plain;
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&todo) {
		if (!pmc->perf_event || !pmc->perf_event->attr.precise_ip)
			vpmu->plain &= ~BIT_ULL(i);
	}
}

bool kvm_vpmu_handle_event(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_vpmu_vm *vm = &vcpu->kvm->arch.vpmu;
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	u64 now = ktime_get_ns(), changed, todo;
	HandoverChange change;
	bool asked = false, look, try_again;
	struct kvm_pmc *pmc;
	int i;

	if (!kvm_vpmu_on(vcpu))
		return false;

	guard(mutex)(&vpmu->lock);
	changed = atomic64_xchg(&pmu->__reprogram_pmi, 0);
	account_unserved(vcpu, now);
	vpmu->map.slice = READ_ONCE(vm->slice);
	/* A vCPU is new, or came while the reservation changed. */
	if (vpmu->map.reserved != READ_ONCE(vm->reserved))
		handover_reserve(&vpmu->map, READ_ONCE(vm->reserved), true,
				 now, &change);
	handover_enable(&vpmu->map, allowed(pmu), now, &change);
	add_stats(vcpu);

	look = time_after_eq(jiffies, vpmu->look_again);
	if (look)
		try_records(vcpu);
	try_again = look || change.vpmcs || vpmu->control_writes;
	/* Another thread may have taken pPMCs away, of vPMCs with an event. */
	todo = vpmu->events & ~vpmu_mask_to_reg(slots(&vpmu->map));
	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&todo) {
		release(pmc);
		asked = true;
	}
	todo = vpmu_mask_to_reg(vpmu->map.enabled) | vpmu->run | changed;
	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&todo)
		asked |= update(pmc, changed & BIT_ULL(i), try_again);
	cleanup(vcpu);

	if (asked && vpmu->control_writes) {
		vcpu->stat.vpmu.control_writes_reprogrammed++;
		vpmu->control_writes--;
	}
	vcpu->stat.vpmu.control_writes_direct += vpmu->control_writes;
	vpmu->control_writes = 0;
	vpmu->release_at = jiffies + READ_ONCE(vm->slice_jiffies);
	if (look)
		vpmu->look_again = vpmu->release_at;
	return true;
}

/* Another thread than the vCPU's: stop what it may not have any more. */
static void revoke(struct kvm_vcpu *vcpu, VPMUCounterMask reserved)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	HandoverChange change;
	struct kvm_pmc *pmc;
	int i;

	guard(mutex)(&vpmu->lock);
	handover_reserve(&vpmu->map, reserved, true, ktime_get_ns(), &change);
	kvm_for_each_pmc(pmu, pmc, i, pmu->all_valid_pmc_idx) {
		if (pmc->perf_event && !has_slot(pmc))
			perf_event_disable(pmc->perf_event);
	}
}

/* Would the vCPU starve?  Nothing changes. */
static bool would_starve(struct kvm_vcpu *vcpu, VPMUCounterMask reserved)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	HandoverChange change;
	Handover map;

	guard(mutex)(&vpmu->lock);
	map = vpmu->map;
	return handover_reserve(&map, reserved, false, ktime_get_ns(), &change);
}

int kvm_vpmu_reserve(struct kvm *kvm, VPMUCounterMask reserved, bool force)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r = 0;

	lockdep_assert_held(&kvm->lock);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!force && would_starve(vcpu, reserved))
			r = -EBUSY;
	}
	trace_kvm_vpmu_reserved(reserved, r);
	if (r)
		return r;
	WRITE_ONCE(kvm->arch.vpmu.reserved, reserved);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		revoke(vcpu, reserved);
		kvm_make_request(KVM_REQ_PMU, vcpu);
		kvm_vcpu_kick(vcpu);
	}
	return 0;
}

void kvm_vpmu_wrmsr(struct kvm_vcpu *vcpu, u32 msr)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);

	if (!kvm_vpmu_on(vcpu))
		return;
	if (msr == MSR_CORE_PERF_GLOBAL_CTRL ||
	    msr == MSR_CORE_PERF_FIXED_CTR_CTRL ||
	    get_gp_pmc(pmu, msr, MSR_P6_EVNTSEL0))
		vcpu_to_vpmu(vcpu)->control_writes++;
}

void kvm_vpmu_pmi(struct kvm_vcpu *vcpu)
{
	if (kvm_vpmu_on(vcpu))
		vcpu->stat.vpmu.pmis++;
}
