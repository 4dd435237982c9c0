// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: perf's events, and the counters on which perf has them
 *
 * This file and perf.h are the only ones that know an event's fields.  They may
 * be changed by the vCPU's thread
 *
 * - while perf has the event scheduled on this CPU and interrupts are disabled.
 *   The event excludes the host, so its counter stands still until the guest is
 *   entered, and perf does not touch it: an NMI only looks at counters that have
 *   overflowed, which is late if the guest has left since, and may then stop the
 *   event;
 * - while the event is disabled, with the lock of kvm_vpmu_vcpu.
 *
 * perf may stop the event, move it or read it at any other time, and then must
 * find that
 *
 * - hw.config is what the event select has, or says what FIXED_CTR_CTRL has, and
 *   attr.config, exclude_user and exclude_kernel mean the same: perf chooses a
 *   counter by the former and checks the latter;
 * - the counter has gone on by "counter - hw.prev_count" since count was right;
 * - hw.period_left is how many events were left when the counter was set to
 *   hw.prev_count, and is at most hw.sample_period, which is at least 2.
 */
#include "perf.h"
#include "vpmu_trace.h"

/* A bit that the hardware ignores, see kvm_vpmu_event_config(). */
#define VPMU_GP_ONLY	ARCH_PERFMON_EVENTSEL_INV

/* The bits of an event select for transactions; only some processors have any. */
#define VPMU_IN_TX	(HSW_IN_TX | HSW_IN_TX_CHECKPOINTED)

/* perf allows this period on any processor. */
#define VPMU_PERIOD_MIN	128

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
	if (vpmu_wants_precise(pmc) != vpmu_is_precise(pmc))
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

/* What perf notes of an event that counts @config, an hw.config. */
static void vpmu_set_event_config(struct perf_event *event, u64 config)
{
	event->hw.config = config;
	event->attr.config = config & (X86_RAW_EVENT_MASK | VPMU_IN_TX);
	event->attr.exclude_user = !(config & ARCH_PERFMON_EVENTSEL_USR);
	event->attr.exclude_kernel = !(config & ARCH_PERFMON_EVENTSEL_OS);
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
		/* An NMI may have stopped it just before. */
		if (unlikely(event->hw.state & PERF_HES_STOPPED))
			wrmsrl(event->hw.config_base, config);
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

/* The shortest period from @period on that perf allows. */
static u64 vpmu_allowed_period(struct perf_event *event, u64 period)
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
	return vpmu_allowed_period(event, left) == max(left, 2ULL) &&
	       !event->pmu->check_period(event, VPMU_PERIOD_MIN - 1);
}

/* The vPMC's value as of when perf last read or stopped the pPMC. */
static u64 vpmu_noted_value(struct kvm_pmc *pmc)
{
	return (pmc->counter + local64_read(&pmc->perf_event->count)) &
	       pmc_bitmask(pmc);
}

/* Does KVM have to know of an overflow of this vPMC? */
static bool vpmu_wants_overflow(struct kvm_pmc *pmc)
{
	if (vpmu_makes_records(pmc))
		return true;
	if (pmc_is_gp(pmc))
		return pmc->eventsel & ARCH_PERFMON_EVENTSEL_INT;
	return fixed_ctrl_field(pmc_to_pmu(pmc)->fixed_ctr_ctrl,
				pmc->idx - KVM_FIXED_PMC_BASE_IDX) &
	       INTEL_FIXED_0_ENABLE_PMI;
}

bool kvm_vpmu_load(struct kvm_pmc *pmc)
{
	struct perf_event *event = pmc->perf_event;
	u64 config, value, left;
	bool moved;

	if (!kvm_vpmu_on(pmc->vcpu))
		return false;
	pmc->intr = vpmu_wants_overflow(pmc);
	if (!event)
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
	perf_event_period(event, vpmu_allowed_period(event, period));
	return true;
}

bool kvm_vpmu_read(struct kvm_pmc *pmc, u64 *counter)
{
	struct perf_event *event = pmc->perf_event;

	if (!kvm_vpmu_on(pmc->vcpu) || !event || event->attr.precise_ip)
		return false;

	guard(irqsave)();
	if (!vpmu_is_here(event))
		return false;
	if (!(event->hw.state & PERF_HES_UPTODATE))
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

/*
 * Has a vPMC that makes records and has this value overflowed without one?
 *
 * Its counter was below 0 when perf set it, and each record sets it below 0
 * again.  The record is made after the next instruction, or when there is memory
 * for it, unless perf stops the event before that.
 */
static bool vpmu_lacks_record(const struct kvm_pmc *pmc, u64 value)
{
	const u64 sign = BIT_ULL(kvm_pmu_cap.bit_width_gp - 1);

	return pmc->perf_event->attr.precise_ip && !(value & sign) &&
	       pmc->perf_event->hw.sample_period <= sign;
}

void kvm_vpmu_release_event(struct kvm_pmc *pmc)
{
	if (!pmc->perf_event)
		return;
	trace_kvm_vpmu_released(pmc->vcpu->vcpu_id, pmc->idx);
	if (vpmu_lacks_record(pmc, pmc_read_counter(pmc)))
		vpmu_drop_record(pmc);
	pmc_stop_counter(pmc);
	pmc_to_vpmu(pmc)->events &= ~BIT_ULL(pmc->idx);
	pmc_to_vpmu(pmc)->ready &= ~BIT_ULL(pmc->idx);
	pmc_to_vpmu(pmc)->index[vpmu_number(pmc)] = -1;
}

bool kvm_vpmu_is_scheduled(struct kvm_pmc *pmc)
{
	guard(irqsave)();
	return vpmu_ppmc(pmc) >= 0 && !vpmu_is_misplaced(pmc);
}

void kvm_vpmu_disable_event(struct kvm_pmc *pmc)
{
	perf_event_disable(pmc->perf_event);
	pmc->perf_event->hw.idx = -1;
}

/*
 * Enable an event.  perf first tries the counter that the event had last; have
 * it try the pPMC of the vPMC's own index, unless that is a fixed one of the
 * host's.
 */
static void vpmu_enable_event(struct kvm_pmc *pmc)
{
	struct hw_perf_event *hw = &pmc->perf_event->hw;

	if (hw->idx != pmc->idx &&
	    (pmc_is_gp(pmc) || !vpmu_is_reserved(pmc))) {
		hw->idx = pmc->idx;
		/* It was not on this counter, so have perf set it up for that. */
		hw->last_cpu = -1;
	}
	perf_event_enable(pmc->perf_event);
}

void kvm_vpmu_resume_event(struct kvm_pmc *pmc, u64 config, bool afresh)
{
	struct perf_event *event = pmc->perf_event;
	u64 period;

	trace_kvm_vpmu_resumed(pmc->vcpu->vcpu_id, pmc->idx);
	if (afresh || vpmu_is_misplaced(pmc))
		kvm_vpmu_disable_event(pmc);
	else
		perf_event_disable(event);
	if (!event->attr.precise_ip)
		vpmu_set_event_config(event, config);
	else if (vpmu_lacks_record(pmc, pmc_read_counter(pmc)))
		vpmu_drop_record(pmc);
	pmc_to_vpmu(pmc)->bound &= ~BIT_ULL(pmc->idx);
	period = kvm_vpmu_period(pmc, pmc_read_counter(pmc));
	if (is_sampling_event(event))
		perf_event_period(event,
				  vpmu_allowed_period(event, period));
	vpmu_enable_event(pmc);
}

/*
 * Create an event for a vPMC that has none; perf may refuse.
 * @precise: its precise_ip, not 0 if it shall make records
 */
static void vpmu_create_event(struct kvm_pmc *pmc, u64 config, u64 precise)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_RAW,
		.size = sizeof(attr),
		.config = config & pmc_to_pmu(pmc)->raw_event_mask,
		.disabled = 1,
		.pinned = 1,
		.exclude_host = 1,
		.exclude_user = !(config & ARCH_PERFMON_EVENTSEL_USR),
		.exclude_kernel = !(config & ARCH_PERFMON_EVENTSEL_OS),
		.precise_ip = precise,
		.sample_period = max(kvm_vpmu_period(pmc, pmc->counter), 2ULL),
	};
	struct perf_event *event;
	bool is_short;

	/* perf refuses a sampling period for these, see pmu.c. */
	if (attr.config & HSW_IN_TX_CHECKPOINTED)
		attr.sample_period = 0;
	is_short = attr.sample_period && attr.sample_period < VPMU_PERIOD_MIN;
	event = perf_event_create_kernel_counter(&attr, -1, current,
						 kvm_perf_overflow, pmc);
	if (IS_ERR(event) && is_short) {
		/* vpmu_allowed_period() needs an event. */
		attr.sample_period = VPMU_PERIOD_MIN;
		event = perf_event_create_kernel_counter(&attr, -1, current,
							 kvm_perf_overflow,
							 pmc);
	}
	if (IS_ERR(event))
		return;
	trace_kvm_vpmu_created(pmc->vcpu->vcpu_id, pmc->idx);
	pmc->perf_event = event;
	pmc->is_paused = false;
	pmc_to_pmu(pmc)->event_count++;
	pmc_to_vpmu(pmc)->events |= BIT_ULL(pmc->idx);
	pmc_to_vpmu(pmc)->bound &= ~BIT_ULL(pmc->idx);
	vpmu_enable_event(pmc);
}

void kvm_vpmu_replace_event(struct kvm_pmc *pmc, u64 config, u64 precise)
{
	kvm_vpmu_release_event(pmc);
	vpmu_create_event(pmc, config, precise);
}

void kvm_vpmu_correct_period(struct kvm_pmc *pmc)
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

bool kvm_vpmu_has_lost_record(struct kvm_pmc *pmc)
{
	s64 loaded;

	if (likely(!pmc->perf_event->attr.precise_ip))
		return false;
	loaded = local64_read(&pmc->perf_event->hw.prev_count);
	return sign_extend64(loaded, kvm_pmu_cap.bit_width_gp - 1) < 0 &&
	       vpmu_lacks_record(pmc, vpmu_noted_value(pmc));
}

void kvm_vpmu_note_index(struct kvm_pmc *pmc)
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
