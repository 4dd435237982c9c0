// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: what runs with interrupts disabled, which are VM entries and
 * the exits that KVM handles in its fast path
 */
#include <linux/jiffies.h>
#include <linux/timekeeping.h>
#include <trace/events/ipi.h>
#include "perf.h"
#include "trace.h"

DECLARE_STATIC_CALL(kvm_x86_pmu_rdpmc_ecx_to_pmc,
		    *(((struct kvm_pmu_ops *)0)->rdpmc_ecx_to_pmc));

/* How often in a row the guest is made to exit at once, see kvm_vpmu_enter(). */
#define VPMU_FORCED_EXITS	10

/* Is everything there for the records of this vPMC, if it makes any? */
static bool vpmu_is_prepared(const struct kvm_pmc *pmc, int ppmc)
{
	return !vpmu_is_precise(pmc) ||
	       pmc_to_vpmu(pmc)->pebs.map.phys[vpmu_number(pmc)] ==
	       vpmu_number_of(ppmc);
}

/*
 * See kvm_vpmu_enter(); @msrs is the answer of perf_guest_get_msrs().  Returns:
 * whether all that can count is there, so that nothing is to be tried again.
 */
static bool vpmu_enter(struct kvm_vcpu *vcpu,
		       struct perf_guest_switch_msr *msrs)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 held = 0, running = 0, lost = vpmu->run, bit;
	struct kvm_pmc *pmc;
	int i, ppmc;
	bool found;

	if (!(vpmu->events | lost))
		return true;

	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&vpmu->events) {
		ppmc = vpmu_ppmc(pmc);
		if (ppmc < 0)
			continue;
		bit = BIT_ULL(ppmc);
		held |= bit;
		if (!(vpmu->run & BIT_ULL(i)) || vpmu_is_misplaced(pmc) ||
		    !vpmu_is_prepared(pmc, ppmc))
			continue;
		/* perf lets no guest make records while the host makes some. */
		if (vpmu_is_precise(pmc) && !(msrs[0].guest & bit)) {
			vpmu->plain |= BIT_ULL(i);
			continue;
		}
		if (kvm_vpmu_has_lost_record(pmc)) {
			vpmu_drop_record(pmc);
			continue;
		}
		running |= bit;
		lost &= ~BIT_ULL(i);
		kvm_vpmu_correct_period(pmc);
		kvm_vpmu_note_index(pmc);
	}
	msrs[0].guest &= ~(held & ~running);

	/*
	 * What the guest did until its next exit would not be counted, so make
	 * it exit at once.  perf may change something again meanwhile, but at
	 * last the guest must get on all the same.
	 */
	found = !(lost & ~vpmu->unscheduled);
	if (found)
		vpmu->forced_exits = 0;
	else if (vpmu->forced_exits++ < VPMU_FORCED_EXITS)
		smp_send_reschedule(smp_processor_id());
	if ((lost != vpmu->unscheduled ||
	     ((lost | (vpmu->plain & vpmu->run)) &&
	      time_after_eq(jiffies, vpmu->retry_at))) ||
	    (vpmu->events && time_after_eq(jiffies, vpmu->release_at)))
		kvm_make_request(KVM_REQ_PMU, vcpu);
	return found;
}

/*
 * What intel_guest_get_msrs() reads of a struct kvm_pmu; it is built in.  It
 * takes the bits of PEBS_ENABLE for those of pPMCs.
 */
struct vpmu_told {
	u64 ds_area;
	u64 pebs_enable;
	u64 pebs_enable_rsvd;
	u64 pebs_data_cfg;
	u64 pebs_data_cfg_rsvd;
	u64 host_cross_mapped_mask;
};

#define VPMU_OFFSET_DS_AREA	736
static_assert(offsetof(struct kvm_pmu, ds_area) == VPMU_OFFSET_DS_AREA);
static_assert(offsetof(struct kvm_pmu, pebs_enable) == VPMU_OFFSET_DS_AREA +
	      offsetof(struct vpmu_told, pebs_enable));
static_assert(offsetof(struct kvm_pmu, pebs_data_cfg) == VPMU_OFFSET_DS_AREA +
	      offsetof(struct vpmu_told, pebs_data_cfg));
static_assert(offsetof(struct kvm_pmu, host_cross_mapped_mask) ==
	      VPMU_OFFSET_DS_AREA +
	      offsetof(struct vpmu_told, host_cross_mapped_mask));

/*
 * May the guest be entered again without another look?  An NMI may have stopped
 * an event since the exit, and events that are not used any more are released in
 * time even if no interrupt ends the fast path.
 */
static bool vpmu_reenters(struct kvm_vcpu *vcpu)
{
	const struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);

	return vpmu->reenters && !kvm_test_request(KVM_REQ_PMU, vcpu) &&
	       (!vpmu->events || time_before(jiffies, vpmu->release_at));
}

/*
 * Does PEBS_ENABLE have another value in the guest?  Then KVM has to clear it
 * before each VM entry, see add_atomic_switch_msr().
 */
static bool vpmu_stops_host_records(const struct perf_guest_switch_msr *msrs,
				    int nr)
{
	int i;

	for (i = 1; i < nr; i++) {
		if (msrs[i].msr == MSR_IA32_PEBS_ENABLE &&
		    msrs[i].host != msrs[i].guest)
			return true;
	}
	return false;
}

struct perf_guest_switch_msr *kvm_vpmu_enter(struct kvm_vcpu *vcpu, int *nr)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct perf_guest_switch_msr *msrs;
	struct vpmu_told told = {
		.ds_area = pmu->ds_area,
		.pebs_data_cfg = pmu->pebs_data_cfg,
	};

	if (!kvm_vpmu_on(vcpu))
		return perf_guest_get_msrs(nr, pmu);
	if (vpmu_reenters(vcpu))
		return NULL;
	told.pebs_enable = vcpu_to_vpmu(vcpu)->pebs.enable;
	msrs = perf_guest_get_msrs(nr, container_of(&told.ds_area,
						    struct kvm_pmu, ds_area));
	if (!msrs)
		return NULL;
	vcpu_to_vpmu(vcpu)->reenters = vpmu_enter(vcpu, msrs) &&
				       !vpmu_stops_host_records(msrs, *nr);
	return msrs;
}
EXPORT_SYMBOL_GPL(kvm_vpmu_enter);

/*
 * A vPMC is enabled, or was: let the pPMC count what was written meanwhile.
 * Returns: false if KVM_REQ_PMU is needed.
 */
static bool vpmu_resume_at_once(struct kvm_pmc *pmc)
{
	unsigned long *waiting = pmc_to_pmu(pmc)->reprogram_pmi;

	if (!(pmc_to_vpmu(pmc)->ready & BIT_ULL(pmc->idx)) ||
	    pmc->emulated_counter)
		return false;
	if (likely(!test_bit(pmc->idx, waiting)))
		return true;
	if (!pmc_event_is_allowed(pmc) || !kvm_vpmu_load(pmc))
		return false;
	clear_bit(pmc->idx, waiting);
	return true;
}

/*
 * Does @changed need no KVM_REQ_PMU?
 * @enabled: set to those of them that are enabled now
 */
static bool vpmu_switch_at_once(struct kvm_vcpu *vcpu, u64 changed, u64 *enabled)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	u64 todo = changed & pmu->global_ctrl;
	struct kvm_pmc *pmc;
	int i;

	*enabled = 0;
	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&todo) {
		if (!pmc_speculative_in_use(pmc))
			continue;
		if (!vpmu_resume_at_once(pmc))
			return false;
		*enabled |= BIT_ULL(i);
	}
	return !(vpmu->run & changed & ~*enabled & ~vpmu->ready);
}

u64 kvm_vpmu_reprogram(struct kvm_vcpu *vcpu, u64 changed)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	VPMUCounterMask enabled;
	HandoverChange change;
	u64 bits, left = changed;
	Handover before;

	/* Interrupts may be disabled, so there is no waiting for the lock. */
	if (!kvm_vpmu_on(vcpu) ||
	    !kvm_pmu_has_perf_global_ctrl(vcpu_to_pmu(vcpu)) ||
	    kvm_test_request(KVM_REQ_PMU, vcpu) || !mutex_trylock(&vpmu->lock))
		return changed;
	if (vpmu_switch_at_once(vcpu, changed, &bits)) {
		before = vpmu->map;
		enabled = before.enabled & ~vpmu_mask_from_reg(changed);
		handover_enable(&vpmu->map, enabled | vpmu_mask_from_reg(bits),
				ktime_get_ns(), &change);
		if (change.vpmcs || change.starved) {
			/* KVM_REQ_PMU has to see what changes. */
			vpmu->map = before;
		} else {
			kvm_vpmu_add_stats(vcpu);
			vpmu->run = (vpmu->run & ~changed) | bits;
			vpmu->reenters = false;
			left = 0;
		}
	}
	mutex_unlock(&vpmu->lock);
	return left;
}
EXPORT_SYMBOL_GPL(kvm_vpmu_reprogram);

/* The vPMC whose counter the MSR is, or NULL. */
static struct kvm_pmc *vpmu_counter(struct kvm_vcpu *vcpu, u32 msr)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_pmc *pmc = get_gp_pmc(pmu, msr, MSR_IA32_PMC0);

	if (pmc)
		return vcpu_to_vpmu(vcpu)->full_width ? pmc : NULL;
	return get_gp_pmc(pmu, msr, MSR_IA32_PERFCTR0) ?: get_fixed_pmc(pmu, msr);
}

/* Can the vPMC be read without asking perf? */
static bool vpmu_is_readable(const struct kvm_pmc *pmc)
{
	return !pmc->perf_event ||
	       (vpmu_is_here(pmc->perf_event) && !vpmu_is_precise(pmc));
}

/* Has user space left the guest's accesses to this MSR to KVM? */
static bool vpmu_is_unfiltered(struct kvm_vcpu *vcpu, u32 msr, u32 access)
{
	return likely(!rcu_access_pointer(vcpu->kvm->arch.msr_filter)) ||
	       kvm_msr_allowed(vcpu, msr, access);
}

/* Is the guest's write to an MSR valid, and does it neither sleep nor ask perf? */
static bool vpmu_allows_wrmsr(struct kvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_pmc *pmc;

	switch (msr) {
	case MSR_CORE_PERF_GLOBAL_CTRL:
		return kvm_pmu_has_perf_global_ctrl(pmu) &&
		       kvm_valid_perf_global_ctrl(pmu, data);
	case MSR_CORE_PERF_GLOBAL_OVF_CTRL:
		return kvm_pmu_has_perf_global_ctrl(pmu);
	case MSR_CORE_PERF_FIXED_CTR_CTRL:
		return kvm_pmu_has_perf_global_ctrl(pmu) &&
		       !(data & pmu->fixed_ctr_ctrl_rsvd);
	}
	if (get_gp_pmc(pmu, msr, MSR_P6_EVNTSEL0))
		return !(data & pmu->reserved_bits);
	pmc = vpmu_counter(vcpu, msr);
	return pmc && kvm_vpmu_can_wait(pmc) && vpmu_is_readable(pmc);
}

bool kvm_vpmu_fastpath_wrmsr(struct kvm_vcpu *vcpu, u32 msr, u64 data)
{
	struct msr_data info = { .index = msr, .data = data };

	return kvm_vpmu_on(vcpu) && vpmu_allows_wrmsr(vcpu, msr, data) &&
	       vpmu_is_unfiltered(vcpu, msr, KVM_MSR_FILTER_WRITE) &&
	       !kvm_pmu_set_msr(vcpu, &info);
}

/* The same for a read. */
static bool vpmu_allows_rdmsr(struct kvm_vcpu *vcpu, u32 msr)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_pmc *pmc;

	switch (msr) {
	case MSR_CORE_PERF_GLOBAL_CTRL:
	case MSR_CORE_PERF_GLOBAL_STATUS:
	case MSR_CORE_PERF_FIXED_CTR_CTRL:
		return kvm_pmu_has_perf_global_ctrl(pmu);
	}
	if (get_gp_pmc(pmu, msr, MSR_P6_EVNTSEL0))
		return true;
	pmc = vpmu_counter(vcpu, msr);
	return pmc && vpmu_is_readable(pmc);
}

static bool vpmu_rdmsr(struct kvm_vcpu *vcpu, u64 *data)
{
	struct msr_data info = { .index = kvm_rcx_read(vcpu) };

	if (!vpmu_allows_rdmsr(vcpu, info.index) ||
	    !vpmu_is_unfiltered(vcpu, info.index, KVM_MSR_FILTER_READ) ||
	    kvm_pmu_get_msr(vcpu, &info))
		return false;
	trace_kvm_msr_read(info.index, info.data);
	*data = info.data;
	return true;
}

static bool vpmu_rdpmc(struct kvm_vcpu *vcpu, u64 *data)
{
	const u32 ecx = kvm_rcx_read(vcpu);
	struct kvm_pmc *pmc;
	u64 mask = ~0ULL;

	if (!vcpu_to_pmu(vcpu)->version)
		return false;
	pmc = static_call(kvm_x86_pmu_rdpmc_ecx_to_pmc)(vcpu, ecx, &mask);
	return pmc && vpmu_is_readable(pmc) && !kvm_pmu_rdpmc(vcpu, ecx, data);
}

fastpath_t kvm_vpmu_fastpath_read(struct kvm_vcpu *vcpu, bool rdpmc)
{
	fastpath_t ret = EXIT_FASTPATH_NONE;
	u64 data;

	if (!kvm_vpmu_on(vcpu))
		return ret;
	/* For the filters of MSRs and of events, and the guest's memory */
	kvm_vcpu_srcu_read_lock(vcpu);
	if (rdpmc ? vpmu_rdpmc(vcpu, &data) : vpmu_rdmsr(vcpu, &data)) {
		kvm_rax_write(vcpu, (u32)data);
		kvm_rdx_write(vcpu, data >> 32);
		ret = kvm_skip_emulated_instruction(vcpu) ?
		      EXIT_FASTPATH_REENTER_GUEST : EXIT_FASTPATH_EXIT_USERSPACE;
	}
	kvm_vcpu_srcu_read_unlock(vcpu);
	return ret;
}
EXPORT_SYMBOL_GPL(kvm_vpmu_fastpath_read);
