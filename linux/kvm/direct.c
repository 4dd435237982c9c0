// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: access to the counters of events that perf has scheduled
 *
 * An event that excludes the host is in GLOBAL_CTRL only while the guest runs.
 * So its counter stands still while this code runs, and with interrupts
 * disabled perf does not touch it: an NMI only looks at counters that have
 * overflowed, and an overflow in the guest was handled before this code runs.
 */
#include <linux/jiffies.h>
#include <trace/events/ipi.h>
#include "internal.h"
#include "vpmu_trace.h"

/* How often in a row the guest is made to exit at once, see kvm_vpmu_enter(). */
#define VPMU_FORCED_EXITS	10

/*
 * These events may be on any general-purpose counter: they are architectural,
 * SDM volume 3, "Pre-defined Architectural Performance Events".  Of what happens
 * in transactions none is among them: with IN_TXCP only counter 2 counts.
 */
static bool vpmu_is_unconstrained(u64 config)
{
	switch (config & (ARCH_PERFMON_EVENTSEL_EVENT |
			  ARCH_PERFMON_EVENTSEL_UMASK | VPMU_IN_TX)) {
	case 0x003c: /* core cycles */
	case 0x00c0: /* instructions */
	case 0x4f2e: /* LLC references */
	case 0x412e: /* LLC misses */
	case 0x00c4: /* branches */
	case 0x00c5: /* branch misses */
		return true;
	default:
		return false;
	}
}

/*
 * Does an event need more than a counter on some processor?  See extra_regs and
 * INTEL_EXCLEVT_CONSTRAINT in perf's arch/x86/events/intel/core.c.
 */
static bool vpmu_needs_more(u64 config)
{
	if (config & VPMU_IN_TX)
		return true;
	switch (config & ARCH_PERFMON_EVENTSEL_EVENT) {
	case 0x00: /* perf's own names of the events of fixed counters */
	case 0x0b: /* load latency */
	case 0x2a: /* off-core responses */
	case 0x2b:
	case 0xad: /* front end */
	case 0xb7: /* off-core responses */
	case 0xbb:
	case 0xc2: /* front end */
	case 0xc6:
	case 0xcd: /* load latency */
	case 0xd0: /* the other hyperthread must not use this counter, either */
	case 0xd1:
	case 0xd2:
	case 0xd3:
		return true;
	default:
		return false;
	}
}

/*
 * Can the counter that perf has chosen for the event count @config, too?  Which
 * event may be on which counter is not known here.  But on the pPMC of the
 * vPMC's own index it is the guest that has chosen, as it would without KVM.
 */
static bool vpmu_can_count(const struct kvm_pmc *pmc, u64 config)
{
	return vpmu_is_unconstrained(config) ||
	       (pmc->perf_event->hw.idx == pmc->idx && !vpmu_needs_more(config));
}

u64 kvm_vpmu_event_config(struct kvm_pmc *pmc)
{
	struct kvm_pmu *pmu = pmc_to_pmu(pmc);
	u64 config = ARCH_PERFMON_EVENTSEL_INT;
	u8 control;

	if (pmc_is_gp(pmc)) {
		config |= pmc->eventsel & (pmu->raw_event_mask |
					   ARCH_PERFMON_EVENTSEL_USR |
					   ARCH_PERFMON_EVENTSEL_OS);
	} else {
		control = fixed_ctrl_field(pmu->fixed_ctr_ctrl,
					   pmc->idx - KVM_FIXED_PMC_BASE_IDX);
		config |= pmc->eventsel & pmu->raw_event_mask;
		if (control & INTEL_FIXED_0_KERNEL)
			config |= ARCH_PERFMON_EVENTSEL_OS;
		if (control & INTEL_FIXED_0_USER)
			config |= ARCH_PERFMON_EVENTSEL_USR;
	}
	/*
	 * perf prefers the fixed counter for an event that has one.  With INV
	 * perf takes the event for a different event, which has none.  The
	 * hardware ignores INV as long as the counter mask is 0.
	 */
	if ((pmc_is_gp(pmc) || vpmu_is_reserved(pmc)) &&
	    !(config & ARCH_PERFMON_EVENTSEL_CMASK))
		config |= VPMU_GP_ONLY;
	return config;
}

/*
 * Can the counter of this event be set up here?  Events that make records or
 * count transactions (IN_TXCP) are left to perf: they need further registers.
 */
static bool vpmu_is_plain(struct perf_event *event)
{
	return !event->attr.precise_ip && is_sampling_event(event);
}

static bool vpmu_changes_event(struct kvm_pmc *pmc, u64 config)
{
	return (pmc->perf_event->attr.config ^ config) &
	       pmc_to_pmu(pmc)->raw_event_mask;
}

bool kvm_vpmu_event_fits(struct kvm_pmc *pmc, u64 config)
{
	struct perf_event *event = pmc->perf_event;
	bool changed = vpmu_changes_event(pmc, config);

	/* Another thread runs the vCPU now. */
	if (event->hw.target != current)
		return false;
	if (vpmu_wants_precise(pmc) != !!event->attr.precise_ip)
		return false;
	if (!vpmu_is_plain(event))
		return !changed &&
		       event->attr.exclude_user ==
		       !(config & ARCH_PERFMON_EVENTSEL_USR) &&
		       event->attr.exclude_kernel ==
		       !(config & ARCH_PERFMON_EVENTSEL_OS);
	return !changed || (pmc_is_gp(pmc) && vpmu_can_count(pmc, config) &&
			    vpmu_can_count(pmc, event->attr.config));
}

u64 kvm_vpmu_period(struct kvm_pmc *pmc, u64 value)
{
	return (-value & pmc_bitmask(pmc)) ?: pmc_bitmask(pmc) + 1;
}

/* Have the event count in other rings, or count another hardware event. */
static void vpmu_write_config(struct kvm_pmc *pmc, u64 config)
{
	struct perf_event *event = pmc->perf_event;
	bool is_gp = event->hw.idx < INTEL_PMC_IDX_FIXED;

	if (vpmu_changes_event(pmc, config) &&
	    !(vpmu_is_unconstrained(config) &&
	      vpmu_is_unconstrained(event->attr.config)))
		pmc_to_vpmu(pmc)->bound |= BIT_ULL(pmc->idx);
	/* Fixed counters share FIXED_CTR_CTRL; perf writes it from a copy. */
	if (!is_gp) {
		event->pmu->pmu_disable(event->pmu);
		event->pmu->stop(event, PERF_EF_UPDATE);
	}
	vpmu_set_event_config(event, config);
	if (is_gp) {
		wrmsrl(event->hw.config_base,
		       config | ARCH_PERFMON_EVENTSEL_ENABLE);
	} else {
		event->pmu->start(event, 0);
		event->pmu->pmu_enable(event->pmu);
	}
}

static u64 vpmu_ppmc_mask(void)
{
	return GENMASK_ULL(kvm_pmu_cap.bit_width_gp - 1, 0);
}

/*
 * Set the period as perf does it, with @left events until the overflow.  @left
 * may be 1, but the period may not: perf takes an event of branches with a
 * period of 1 for a request for BTS.
 */
static void vpmu_write_period(struct perf_event *event, u64 left)
{
	u64 mask = vpmu_ppmc_mask();
	u64 loaded = min(left, mask >> 1);

	event->attr.sample_period = max(left, 2ULL);
	event->hw.sample_period = event->attr.sample_period;
	event->hw.last_period = event->attr.sample_period;
	local64_set(&event->hw.period_left, left);
	local64_set(&event->hw.prev_count, -loaded);
	wrmsrl(event->hw.event_base, -loaded & mask);
}

u64 kvm_vpmu_allowed_period(struct perf_event *event, u64 period)
{
	/* For the sake of Nehalem, Haswell and Broadwell, and of BTS */
	static const u64 least[] = { 2, 32, VPMU_PERIOD_MIN };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(least); i++) {
		if (!event->pmu->check_period(event, max(period, least[i])))
			return max(period, least[i]);
	}
	return period;
}

/*
 * Can the counter be set to overflow after @left events?  On some processors
 * perf allows no short periods.  On Broadwell it also rounds those of one event,
 * for which 128 is the shortest.  Where perf allows 2 it allows all.
 */
static bool vpmu_is_allowed_period(struct perf_event *event, u64 left)
{
	if (likely(!event->pmu->check_period(event, 2)))
		return true;
	return kvm_vpmu_allowed_period(event, left) == max(left, 2ULL) &&
	       !event->pmu->check_period(event, VPMU_PERIOD_MIN - 1);
}

/* The vPMC's value as of when perf last read or stopped the pPMC. */
static u64 vpmu_noted_value(struct kvm_pmc *pmc)
{
	return (pmc->counter + local64_read(&pmc->perf_event->count)) &
	       pmc_bitmask(pmc);
}

/*
 * For the sake of some old processors perf starts a counter with at least 2
 * events left.  When perf moves a counter that has 1 left, the overflow would
 * be an event late; a record would be lost if the event was released before.
 */
static void vpmu_correct_period(struct kvm_pmc *pmc)
{
	struct perf_event *event = pmc->perf_event;
	u64 value;

	if (likely((local64_read(&event->hw.prev_count) + 2) &
		   vpmu_ppmc_mask()) || !is_sampling_event(event))
		return;
	value = vpmu_noted_value(pmc);
	if (kvm_vpmu_period(pmc, value) == 1 &&
	    vpmu_is_allowed_period(event, 1))
		vpmu_write_period(event, 1);
}

/* Has perf set the pPMC anew after an overflow, before the record was made? */
static bool vpmu_has_lost_record(struct kvm_pmc *pmc)
{
	s64 loaded;

	if (likely(!pmc->perf_event->attr.precise_ip))
		return false;
	loaded = local64_read(&pmc->perf_event->hw.prev_count);
	return sign_extend64(loaded, kvm_pmu_cap.bit_width_gp - 1) < 0 &&
	       vpmu_lacks_record(pmc, vpmu_noted_value(pmc));
}

bool kvm_vpmu_load(struct kvm_pmc *pmc)
{
	struct perf_event *event = pmc->perf_event;
	u64 config, value, left;
	bool moved;

	if (!kvm_vpmu_on(pmc->vcpu) || !event)
		return false;
	config = kvm_vpmu_event_config(pmc);
	if (!vpmu_is_plain(event) || !kvm_vpmu_event_fits(pmc, config))
		return false;

	guard(irqsave)();
	if (!vpmu_is_live(event) || vpmu_is_misplaced(pmc))
		return false;
	event->pmu->read(event);
	value = vpmu_noted_value(pmc);
	left = kvm_vpmu_period(pmc, value);
	moved = local64_read(&event->hw.period_left) != left;
	if (moved && !vpmu_is_allowed_period(event, left))
		return false;
	if (event->hw.config != config)
		vpmu_write_config(pmc, config);
	if (moved)
		vpmu_write_period(event, left);
	return true;
}

bool kvm_vpmu_write_counter(struct kvm_pmc *pmc)
{
	struct perf_event *event = pmc->perf_event;
	u64 period;

	if (!kvm_vpmu_on(pmc->vcpu))
		return false;
	if (!event)
		return true;
	/* Whether a record is missing is seen by the period that was set. */
	if (kvm_vpmu_can_wait(pmc) && !event->attr.precise_ip) {
		set_bit(pmc->idx, pmc_to_pmu(pmc)->reprogram_pmi);
		return true;
	}
	if (kvm_vpmu_load(pmc) || !is_sampling_event(event))
		return true;
	/* Not of pmc->counter, which lacks what the event has counted. */
	period = kvm_vpmu_period(pmc, pmc_read_counter(pmc));
	perf_event_period(event, kvm_vpmu_allowed_period(event, period));
	return true;
}

bool kvm_vpmu_read(struct kvm_pmc *pmc, u64 *counter)
{
	struct perf_event *event = pmc->perf_event;

	if (!kvm_vpmu_on(pmc->vcpu) || !event || event->attr.precise_ip)
		return false;

	guard(irqsave)();
	if (!vpmu_is_live(event))
		return false;
	event->pmu->read(event);
	*counter += local64_read(&event->count);
	return true;
}
EXPORT_SYMBOL_GPL(kvm_vpmu_read);

bool kvm_vpmu_incr_counter(struct kvm_pmc *pmc)
{
	u64 value = pmc->counter + 1;

	if (pmc->emulated_counter || !kvm_vpmu_read(pmc, &value) ||
	    !(value & pmc_bitmask(pmc)))
		return false;
	pmc->counter++;
	if (kvm_vpmu_load(pmc))
		return true;
	pmc->counter--;
	return false;
}

/* Note on which pPMC perf has the event, and whether it has moved. */
static void vpmu_note_index(struct kvm_pmc *pmc)
{
	struct kvm_vpmu_vcpu *vpmu = pmc_to_vpmu(pmc);
	s8 *index = &vpmu->index[vpmu_number(pmc)];
	int idx = pmc->perf_event->hw.idx;

	if (likely(*index == idx))
		return;
	trace_kvm_vpmu_moved(pmc->vcpu->vcpu_id, pmc->idx, *index, idx);
	if (*index >= 0)
		pmc->vcpu->stat.vpmu.moves++;
	*index = idx;
}

/* See kvm_vpmu_enter(); @msrs is the answer of perf_guest_get_msrs(). */
static void vpmu_enter(struct kvm_vcpu *vcpu,
		       struct perf_guest_switch_msr *msrs)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 held = 0, running = 0, lost = vpmu->run, bit;
	struct kvm_pmc *pmc;
	int i;

	if (!(vpmu->events | lost))
		return;

	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&vpmu->events) {
		if (!vpmu_is_live(pmc->perf_event))
			continue;
		bit = BIT_ULL(pmc->perf_event->hw.idx);
		held |= bit;
		if (!(vpmu->run & BIT_ULL(i)) || vpmu_is_misplaced(pmc) ||
		    !vpmu_is_prepared(pmc))
			continue;
		/* perf lets no guest make records while the host makes some. */
		if (pmc->perf_event->attr.precise_ip &&
		    !(msrs[0].guest & bit)) {
			vpmu->plain |= BIT_ULL(i);
			continue;
		}
		if (vpmu_has_lost_record(pmc)) {
			vpmu_drop_record(pmc);
			continue;
		}
		running |= bit;
		lost &= ~BIT_ULL(i);
		vpmu_correct_period(pmc);
		vpmu_note_index(pmc);
	}
	msrs[0].guest &= ~(held & ~running);

	/*
	 * What the guest did until its next exit would not be counted, so make
	 * it exit at once.  perf may change something again meanwhile, but at
	 * last the guest must get on all the same.
	 */
	if (!(lost & ~vpmu->unscheduled))
		vpmu->forced_exits = 0;
	else if (vpmu->forced_exits++ < VPMU_FORCED_EXITS)
		smp_send_reschedule(smp_processor_id());
	if ((lost != vpmu->unscheduled ||
	     ((lost | (vpmu->plain & vpmu->run)) &&
	      time_after_eq(jiffies, vpmu->retry_at))) ||
	    (vpmu->events && time_after_eq(jiffies, vpmu->release_at)))
		kvm_make_request(KVM_REQ_PMU, vcpu);
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
	told.pebs_enable = vcpu_to_vpmu(vcpu)->pebs.enable;
	msrs = perf_guest_get_msrs(nr, container_of(&told.ds_area,
						    struct kvm_pmu, ds_area));
	if (msrs)
		vpmu_enter(vcpu, msrs);
	return msrs;
}
EXPORT_SYMBOL_GPL(kvm_vpmu_enter);
