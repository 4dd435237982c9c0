// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: which vPMC may have an event, and the requests to perf
 */
#include <linux/jiffies.h>
#include <linux/timekeeping.h>
#include "perf.h"
#define CREATE_TRACE_POINTS
#include "vpmu_trace.h"

DECLARE_STATIC_CALL(kvm_x86_pmu_cleanup,
		    *(((struct kvm_pmu_ops *)0)->cleanup));

/*
 * Instructions and cycles.  Reference cycles are not among them: they have no
 * event that perf would let a general-purpose counter count.
 */
#define VPMU_MOVABLE	(VPMU_MASK_OF(VPMU_FIXED(0)) | VPMU_MASK_OF(VPMU_FIXED(1)))

/* The pPMCs that the hardware has. */
static VPMUCounterMask vpmu_all_ppmcs(void)
{
	return (VPMU_MASK_OF(kvm_pmu_cap.num_counters_gp) - 1) |
	       (VPMU_MASK_OF(kvm_pmu_cap.num_counters_fixed) - 1) << VPMU_NR_GP;
}

void kvm_vpmu_init(struct kvm_vcpu *vcpu)
{
	mutex_init(&vcpu_to_vpmu(vcpu)->lock);
}

void kvm_vpmu_add_stats(struct kvm_vcpu *vcpu)
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

/* Add the time in which perf had no counter for @vpmu->unscheduled. */
static void vpmu_account_unscheduled(struct kvm_vcpu *vcpu, u64 now)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);

	vcpu->stat.vpmu.starved_ns += hweight64(vpmu->unscheduled) *
				      (now - vpmu->unscheduled_since);
	vpmu->unscheduled_since = now;
}

/* vPMCs that the guest has enabled and the event filter allows. */
static VPMUCounterMask vpmu_enabled_vpmcs(struct kvm_pmu *pmu)
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

/* vPMCs that have a pPMC in the map, so may have an event. */
static VPMUCounterMask vpmu_assigned_vpmcs(const Handover *map)
{
	return handover_to_virtual(map, VPMU_MASK_ALL);
}

/* vPMCs that are enabled and have no pPMC in the map. */
static VPMUCounterMask vpmu_starved_vpmcs(const Handover *map)
{
	return map->enabled & ~vpmu_assigned_vpmcs(map);
}

static bool vpmu_is_assigned(struct kvm_pmc *pmc)
{
	return pmc_to_vpmu(pmc)->map.phys[vpmu_number(pmc)] != HANDOVER_NONE;
}

static bool vpmu_is_enabled(struct kvm_pmc *pmc)
{
	return pmc_to_vpmu(pmc)->map.enabled & VPMU_MASK_OF(vpmu_number(pmc));
}

int kvm_vpmu_path(struct kvm_pmc *pmc)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	int index = vpmu->index[vpmu_number(pmc)];

	if (!vpmu_is_enabled(pmc))
		return HANDOVER_IDLE;
	if (!vpmu_is_assigned(pmc) || index < 0 ||
	    vpmu->unscheduled & BIT_ULL(pmc->idx))
		return HANDOVER_STARVED;
	return index == pmc->idx ? HANDOVER_FAST : HANDOVER_SLOW;
}

void kvm_vpmu_reset(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	const struct kvm_vpmu_vm *vm = &vcpu->kvm->arch.vpmu;
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_pmc *pmc;
	int i;

	if (!kvm_vpmu_on(vcpu))
		return;
	guard(mutex)(&vpmu->lock);
	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&vpmu->events)
		pmc_stop_counter(pmc);
	/* kvm_vpmu_handle_event() will apply the reservation. */
	handover_init(&vpmu->map, vpmu_all_ppmcs(), 0, READ_ONCE(vm->slice));
	vpmu->map.movable = VPMU_MOVABLE;
	vpmu->reserved = 0;
	vpmu->spilled = 0;
	vpmu->ready = 0;
	vpmu->events = 0;
	vpmu->run = 0;
	vpmu->unscheduled = 0;
	vpmu->forced_exits = 0;
	vpmu->bound = 0;
	vpmu->plain = 0;
	vpmu->dropped = 0;
	vpmu->pebs = (struct kvm_vpmu_pebs) { 0 };
	vpmu->full_width = guest_cpuid_has(vcpu, X86_FEATURE_PDCM) &&
			   (vcpu->arch.perf_capabilities &
			    VPMU_CAP_FULL_WIDTH);
	memset(vpmu->index, -1, sizeof(vpmu->index));
}

/*
 * Add the events of instructions that KVM has emulated.  Returns: whether the
 * vPMC overflows.
 */
static bool vpmu_add_emulated(struct kvm_pmc *pmc)
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
 * Add what KVM has counted itself, and drop the records of vPMCs that have
 * overflowed.  This reads the guest's memory, so it may take as long as user
 * space needs to supply that, and the lock is not held.
 */
static void vpmu_handle_overflows(struct kvm_vcpu *vcpu, u64 vpmcs)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&vpmcs) {
		if (vpmu_add_emulated(pmc) && pmc_event_is_allowed(pmc))
			__kvm_perf_overflow(pmc, false);
		if (test_and_clear_bit(i, &vpmu->dropped))
			kvm_vpmu_reload_counter(pmc);
	}
}

static void vpmu_note_unscheduled(struct kvm_pmc *pmc)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);

	/* Until the next try it must not take a counter that it may not use. */
	if (pmc->perf_event)
		kvm_vpmu_disable_event(pmc);
	if (!(vpmu->unscheduled & BIT_ULL(pmc->idx)))
		trace_kvm_vpmu_starved(pmc->vcpu->vcpu_id, pmc->idx);
	vpmu->unscheduled |= BIT_ULL(pmc->idx);
}

/* Does perf count for this vPMC with a general-purpose counter? */
static bool vpmu_has_gp_counter(const struct kvm_pmc *pmc)
{
	guard(irqsave)();
	return (unsigned int)vpmu_ppmc(pmc) < INTEL_PMC_IDX_FIXED;
}

/*
 * perf prefers the fixed counter for an event that has one.  Where it has given
 * the event a general-purpose counter, see that the vPMC may have one.
 */
static bool vpmu_may_spill(struct kvm_pmc *pmc)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	VPMUCounterMask own = VPMU_MASK_OF(vpmu_number(pmc));
	HandoverChange change;

	if (!(own & VPMU_MOVABLE) || vpmu_wants_precise(pmc) ||
	    !vpmu_has_gp_counter(pmc) ||
	    handover_reserve(&vpmu->map, vpmu->map.reserved | own, false,
			     ktime_get_ns(), &change))
		return false;
	vpmu->spilled |= own;
	return true;
}

/*
 * See that an enabled vPMC that may have a counter has one.
 * @changed: the vPMC's registers were written, or it has overflowed
 * Returns: whether perf had to be asked.
 */
static bool vpmu_schedule_event(struct kvm_pmc *pmc, bool changed)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	u64 config = kvm_vpmu_event_config(pmc), precise;

	if (vpmu_wants_precise(pmc) && kvm_vpmu_host_makes_records(pmc->vcpu))
		vpmu->plain |= BIT_ULL(pmc->idx);
	precise = vpmu_wants_precise(pmc) ? pmc_get_pebs_precise_level(pmc) : 0;
	if (kvm_vpmu_load(pmc)) {
		vpmu->unscheduled &= ~BIT_ULL(pmc->idx);
		return false;
	}
	if (!pmc->perf_event || !kvm_vpmu_event_fits(pmc, config))
		kvm_vpmu_replace_event(pmc, config, precise);
	else if (changed || !kvm_vpmu_is_scheduled(pmc))
		kvm_vpmu_resume_event(pmc, config, false);
	else
		return false;
	/* With a higher level than 1 perf may insist on one pPMC. */
	if (precise > 1 && !kvm_vpmu_is_scheduled(pmc))
		kvm_vpmu_replace_event(pmc, config, 1);
	/* Without records it may be on other pPMCs. */
	if (precise && !kvm_vpmu_is_scheduled(pmc)) {
		vpmu->plain |= BIT_ULL(pmc->idx);
		kvm_vpmu_replace_event(pmc, config, 0);
	}
	if (kvm_vpmu_is_scheduled(pmc) || vpmu_may_spill(pmc)) {
		/* Set the exact period; that of a record is in guest memory. */
		kvm_vpmu_load(pmc);
		vpmu->unscheduled &= ~BIT_ULL(pmc->idx);
	} else {
		vpmu_note_unscheduled(pmc);
	}
	return true;
}

/* Bring one vPMC up to date.  Returns: whether perf had to be asked. */
static bool vpmu_update_pmc(struct kvm_pmc *pmc, bool changed, bool retry)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	u64 bit = BIT_ULL(pmc->idx);
	bool asked = false;

	vpmu->ready &= ~bit;
	if (!vpmu_is_enabled(pmc) || !vpmu_is_assigned(pmc)) {
		vpmu->run &= ~bit;
		vpmu->unscheduled &= ~bit;
		return false;
	}
	vpmu->run |= bit;
	if (!(vpmu->unscheduled & bit) || retry)
		asked = vpmu_schedule_event(pmc, changed);
	vpmu->ready |= bit & ~vpmu->unscheduled;
	return asked;
}

/* What kvm_pmu_cleanup() does for other things than counters. */
static void vpmu_cleanup(struct kvm_vcpu *vcpu)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);

	if (!pmu->need_cleanup)
		return;
	pmu->need_cleanup = false;
	static_call_cond(kvm_x86_pmu_cleanup)(vcpu);
	bitmap_zero(pmu->pmc_in_use, X86_PMC_IDX_MAX);
}

/*
 * Bring the map up to date.
 * @starved: set to the vPMCs that are starved and were not before
 * Returns: vPMCs that have another pPMC or none.
 */
static VPMUCounterMask vpmu_update_map(struct kvm_vcpu *vcpu, u64 now,
				       VPMUCounterMask *starved)
{
	const struct kvm_vpmu_vm *vm = &vcpu->kvm->arch.vpmu;
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	VPMUCounterMask reserved;
	Handover *map = &vpmu->map;
	VPMUCounterMask moved = 0;
	HandoverChange change;

	map->slice = READ_ONCE(vm->slice);
	WRITE_ONCE(vpmu->reserved, READ_ONCE(vm->reserved));
	reserved = vpmu->reserved | vpmu->spilled;
	/*
	 * The vCPU is new, was created while the reservation changed, or perf
	 * gives another kind of counter to a fixed vPMC than before.
	 */
	if (map->reserved != reserved) {
		handover_reserve(map, reserved, true, now, &change);
		moved = change.vpmcs;
	}
	handover_enable(map, vpmu_enabled_vpmcs(vcpu_to_pmu(vcpu)), now,
			&change);
	kvm_vpmu_add_stats(vcpu);
	*starved = change.starved;
	return moved | change.vpmcs;
}

/*
 * A vPMC starves.  Ask perf whether it has the fixed pPMCs of @spilled again,
 * which leaves general-purpose ones for others.  Not otherwise, because perf
 * may then move other events, too.  Returns: whether it has one.
 */
static bool vpmu_unspill(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 todo = vpmu_mask_to_reg(vpmu->spilled) & vpmu->events;
	VPMUCounterMask before = vpmu->spilled;
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&todo) {
		kvm_vpmu_resume_event(pmc, kvm_vpmu_event_config(pmc), true);
		if (kvm_vpmu_is_scheduled(pmc) &&
		    !vpmu_has_gp_counter(pmc))
			vpmu->spilled &= ~VPMU_MASK_OF(vpmu_number(pmc));
	}
	return vpmu->spilled != before;
}

/* Release the events of vPMCs that may not have one.  Returns: whether any. */
static bool vpmu_release_unassigned(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 todo = vpmu->events &
		   ~vpmu_mask_to_reg(vpmu_assigned_vpmcs(&vpmu->map));
	VPMUCounterMask own;
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&todo) {
		kvm_vpmu_release_event(pmc);
		own = VPMU_MASK_OF(vpmu_number(pmc));
		if (!(vpmu->spilled & own))
			continue;
		/* When it is enabled again, perf may have its own pPMC. */
		vpmu->spilled &= ~own;
		kvm_make_request(KVM_REQ_PMU, vcpu);
	}
	return todo;
}

/*
 * Bring the events up to date with the map.
 * @changed: vPMCs whose registers were written, or that have overflowed
 * @retry: ask perf again for what it had no counter for
 * Returns: whether perf had to be asked.
 */
static bool vpmu_update_events(struct kvm_vcpu *vcpu, u64 changed, bool retry)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_pmc *pmc;
	bool asked;
	u64 todo;
	int i;

	/* Another thread may have taken pPMCs from vPMCs that have an event. */
	asked = vpmu_release_unassigned(vcpu);
	todo = vpmu_mask_to_reg(vpmu->map.enabled) | vpmu->run | changed;
	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&todo)
		asked |= vpmu_update_pmc(pmc, changed & BIT_ULL(i), retry);
	/* A fixed vPMC may have taken the pPMC of one that is not enabled. */
	if (asked)
		vpmu_release_unassigned(vcpu);
	return asked;
}

/* At most one of the writes is the reason why perf had to be asked. */
static void vpmu_account_control_writes(struct kvm_vcpu *vcpu, bool asked)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);

	if (asked && vpmu->control_writes) {
		vcpu->stat.vpmu.control_writes_reprogrammed++;
		vpmu->control_writes--;
	}
	vcpu->stat.vpmu.control_writes_direct += vpmu->control_writes;
	vpmu->control_writes = 0;
}

/*
 * Bring map and events up to date.
 * @changed: vPMCs whose registers were written, or that have overflowed
 */
static void vpmu_update(struct kvm_vcpu *vcpu, u64 changed)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	VPMUCounterMask moved, starved;
	bool asked, retry_time, retry;
	u64 now;

	guard(mutex)(&vpmu->lock);
	now = ktime_get_ns();
	vpmu_account_unscheduled(vcpu, now);
	moved = vpmu_update_map(vcpu, now, &starved);

	retry_time = time_after_eq(jiffies, vpmu->retry_at);
	if ((starved || (retry_time && vpmu_starved_vpmcs(&vpmu->map))) &&
	    vpmu_unspill(vcpu))
		moved |= vpmu_update_map(vcpu, now, &starved);
	if (retry_time)
		kvm_vpmu_retry_records(vcpu);
	retry = retry_time || moved;
	asked = vpmu_update_events(vcpu, changed, retry);
	vpmu_cleanup(vcpu);
	vpmu_account_control_writes(vcpu, asked);

	vpmu->release_at = jiffies +
			   READ_ONCE(vcpu->kvm->arch.vpmu.slice_jiffies);
	if (retry_time)
		vpmu->retry_at = vpmu->release_at;
}

bool kvm_vpmu_handle_event(struct kvm_vcpu *vcpu)
{
	u64 changed;

	if (!kvm_vpmu_on(vcpu))
		return false;

	changed = atomic64_xchg(&vcpu_to_pmu(vcpu)->__reprogram_pmi, 0);
	kvm_vpmu_finish_records(vcpu);
	/* An NMI sets its bit in both; the one in @changed may be lost since. */
	vpmu_handle_overflows(vcpu,
			      changed | READ_ONCE(vcpu_to_vpmu(vcpu)->dropped));
	vpmu_update(vcpu, changed);
	kvm_vpmu_prepare_records(vcpu);
	return true;
}

void kvm_vpmu_settle(struct kvm_vcpu *vcpu)
{
	if (!kvm_vpmu_on(vcpu))
		return;
	if (kvm_check_request(KVM_REQ_PMU, vcpu))
		kvm_pmu_handle_event(vcpu);
	if (kvm_check_request(KVM_REQ_PMI, vcpu))
		kvm_pmu_deliver_pmi(vcpu);
	vpmu_account_control_writes(vcpu, false);
	if (!vcpu_to_vpmu(vcpu)->pebs.rearranged)
		return;
	kvm_vpmu_finish_records(vcpu);
	/* Prepare the next ones before the guest is entered. */
	kvm_make_request(KVM_REQ_PMU, vcpu);
}

/*
 * Reserve pPMCs from another thread than the vCPU's, and stop the events that
 * the vCPU may not have any more.
 */
static void vpmu_revoke_ppmcs(struct kvm_vcpu *vcpu, VPMUCounterMask reserved)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	HandoverChange change;
	struct kvm_pmc *pmc;
	int i;

	guard(mutex)(&vpmu->lock);
	WRITE_ONCE(vpmu->reserved, reserved);
	handover_reserve(&vpmu->map, reserved | vpmu->spilled, true,
			 ktime_get_ns(), &change);
	kvm_for_each_pmc(pmu, pmc, i, pmu->all_valid_pmc_idx) {
		if (pmc->perf_event &&
		    (!vpmu_is_assigned(pmc) || vpmu_is_misplaced(pmc))) {
			kvm_vpmu_disable_event(pmc);
			vpmu->ready &= ~BIT_ULL(i);
		}
	}
}

/* Would vPMCs of this vCPU starve?  Nothing is changed. */
static bool vpmu_would_starve(struct kvm_vcpu *vcpu, VPMUCounterMask reserved)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	HandoverChange change;
	Handover map;

	guard(mutex)(&vpmu->lock);
	map = vpmu->map;
	return handover_reserve(&map, reserved | vpmu->spilled, false,
				ktime_get_ns(), &change);
}

int kvm_vpmu_reserve(struct kvm *kvm, VPMUCounterMask reserved, bool force)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int r = 0;

	lockdep_assert_held(&kvm->lock);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (!force && vpmu_would_starve(vcpu, reserved))
			r = -EBUSY;
	}
	trace_kvm_vpmu_reserved(reserved, r);
	if (r)
		return r;
	WRITE_ONCE(kvm->arch.vpmu.reserved, reserved);
	kvm_for_each_vcpu(i, vcpu, kvm) {
		vpmu_revoke_ppmcs(vcpu, reserved);
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
	/* The write may be what starts or ends records. */
	if (vcpu_to_vpmu(vcpu)->pebs.crossed)
		kvm_make_request(KVM_REQ_PMU, vcpu);
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
