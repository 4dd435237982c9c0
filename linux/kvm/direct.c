// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: counters that perf has scheduled
 *
 * An event that excludes the host is in GLOBAL_CTRL only while the guest runs.
 * So its counter stands still here, and with interrupts off perf will not
 * touch it: an NMI only looks at counters that have overflowed, and an
 * overflow in the guest was seen before this code could run.
 */
#include <linux/jiffies.h>
#include <trace/events/ipi.h>
#include "internal.h"
#include "vpmu_trace.h"

/*
 * With unequal numbers perf's constraints would have to be known, which are
 * its own.  These, architectural as in SDM volume 3, "Pre-defined
 * Architectural Performance Events", may be on any general-purpose counter;
 * the last of the list are reference cycles and branches.
 */
static bool is_unconstrained(u64 config)
{
	switch (config & (ARCH_PERFMON_EVENTSEL_EVENT |
			  ARCH_PERFMON_EVENTSEL_UMASK)) {
	case 0x003c:
	case 0x00c0:
	case 0x4f2e:
	case 0x412e:
	case 0x00c4:
	case 0x00c5:
		return true;
	default:
		return false;
	}
}

u64 kvm_vpmu_wanted(struct kvm_pmc *pmc)
{
	struct kvm_pmu *pmu = pmc_to_pmu(pmc);
	u64 config = ARCH_PERFMON_EVENTSEL_INT;
	u8 control;

	if (pmc_is_gp(pmc)) {
		config |= pmc->eventsel & (pmu->raw_event_mask |
					   ARCH_PERFMON_EVENTSEL_USR |
					   ARCH_PERFMON_EVENTSEL_OS);
		/*
		 * perf prefers a fixed counter for the events that have one.
		 * It takes an event with INV for another one, while the
		 * hardware ignores INV as long as the counter mask is 0.
		 */
		if (!(config & ARCH_PERFMON_EVENTSEL_CMASK))
			config |= VPMU_GP_ONLY;
		return config;
	}
	control = fixed_ctrl_field(pmu->fixed_ctr_ctrl,
				   pmc->idx - KVM_FIXED_PMC_BASE_IDX);
	config |= pmc->eventsel & pmu->raw_event_mask;
	if (control & INTEL_FIXED_0_KERNEL)
		config |= ARCH_PERFMON_EVENTSEL_OS;
	if (control & INTEL_FIXED_0_USER)
		config |= ARCH_PERFMON_EVENTSEL_USR;
	return config;
}

/* Records and transactions have registers of their own. */
static bool is_plain(struct perf_event *event)
{
	return !event->attr.precise_ip && is_sampling_event(event);
}

bool kvm_vpmu_fits(struct kvm_pmc *pmc, u64 wanted)
{
	struct perf_event *event = pmc->perf_event;
	u64 changed = (event->attr.config ^ wanted) &
		      pmc_to_pmu(pmc)->raw_event_mask;

	if (vpmu_wants_precise(pmc) != !!event->attr.precise_ip)
		return false;
	if (!is_plain(event))
		return !changed &&
		       event->attr.exclude_user ==
		       !(wanted & ARCH_PERFMON_EVENTSEL_USR) &&
		       event->attr.exclude_kernel ==
		       !(wanted & ARCH_PERFMON_EVENTSEL_OS);
	return !changed || (pmc_is_gp(pmc) && is_unconstrained(wanted) &&
			    is_unconstrained(event->attr.config));
}

u64 kvm_vpmu_period(struct kvm_pmc *pmc, u64 value)
{
	return (-value & pmc_bitmask(pmc)) ?: pmc_bitmask(pmc) + 1;
}

/* The event counts in other rings, or another event. */
static void write_config(struct perf_event *event, u64 config)
{
	bool is_gp = event->hw.idx < INTEL_PMC_IDX_FIXED;

	/* FIXED_CTR_CTRL is shared, and perf writes it from a copy. */
	if (!is_gp) {
		event->pmu->pmu_disable(event->pmu);
		event->pmu->stop(event, PERF_EF_UPDATE);
	}
	event->hw.config = config;
	event->attr.config = config & X86_RAW_EVENT_MASK;
	event->attr.exclude_user = !(config & ARCH_PERFMON_EVENTSEL_USR);
	event->attr.exclude_kernel = !(config & ARCH_PERFMON_EVENTSEL_OS);
	if (is_gp) {
		wrmsrl(event->hw.config_base,
		       config | ARCH_PERFMON_EVENTSEL_ENABLE);
	} else {
		event->pmu->start(event, 0);
		event->pmu->pmu_enable(event->pmu);
	}
}

static u64 counter_mask(void)
{
	return GENMASK_ULL(kvm_pmu_cap.bit_width_gp - 1, 0);
}

/*
 * As perf sets a period.  Not 1, which makes perf take an event of branches
 * for a request for BTS; @left of it may be.
 */
static void write_period(struct perf_event *event, u64 left)
{
	u64 mask = counter_mask();
	u64 loaded = min(left, mask >> 1);

	event->attr.sample_period = max(left, 2ULL);
	event->hw.sample_period = event->attr.sample_period;
	event->hw.last_period = event->attr.sample_period;
	local64_set(&event->hw.period_left, left);
	local64_set(&event->hw.prev_count, -loaded);
	wrmsrl(event->hw.event_base, -loaded & mask);
}

/*
 * perf has a counter begin with 2 left at least, for some old processors.  If it
 * moves one that has 1 left, the overflow would be an event late.
 */
static void correct_period(struct perf_event *event)
{
	if (unlikely(local64_read(&event->hw.period_left) == 1) &&
	    !((local64_read(&event->hw.prev_count) + 2) & counter_mask()) &&
	    is_plain(event))
		write_period(event, 1);
}

bool kvm_vpmu_load(struct kvm_pmc *pmc)
{
	struct perf_event *event = pmc->perf_event;
	u64 wanted, value, left;

	if (!kvm_vpmu_on(pmc->vcpu) || !event)
		return false;
	wanted = kvm_vpmu_wanted(pmc);
	if (!is_plain(event) || !kvm_vpmu_fits(pmc, wanted))
		return false;

	guard(irqsave)();
	if (!vpmu_is_live(event) || vpmu_is_misplaced(pmc))
		return false;
	event->pmu->read(event);
	value = (pmc->counter + local64_read(&event->count)) & pmc_bitmask(pmc);
	if (event->hw.config != wanted)
		write_config(event, wanted);
	left = kvm_vpmu_period(pmc, value);
	if (local64_read(&event->hw.period_left) != left)
		write_period(event, left);
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

bool kvm_vpmu_drop_record(struct kvm_pmc *pmc)
{
	if (!kvm_vpmu_on(pmc->vcpu) || !vpmu_makes_records(pmc) ||
	    (pmc->perf_event && pmc->perf_event->attr.precise_ip))
		return false;
	set_bit(pmc->idx, &pmc_to_vpmu(pmc)->dropped);
	return true;
}

/* The event of @pmc is where perf has it: is that where it was? */
static void note_index(struct kvm_pmc *pmc)
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

void kvm_vpmu_enter(struct kvm_vcpu *vcpu, struct perf_guest_switch_msr *msrs)
{
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 held = 0, running = 0, lost = vpmu->run, bit;
	struct kvm_pmc *pmc;
	int i;

	if (!kvm_vpmu_on(vcpu) || !(vpmu->events | lost))
		return;

	kvm_for_each_pmc(pmu, pmc, i, (unsigned long *)&vpmu->events) {
		if (!vpmu_is_live(pmc->perf_event))
			continue;
		bit = BIT_ULL(pmc->perf_event->hw.idx);
		held |= bit;
		if (!(vpmu->run & BIT_ULL(i)) || vpmu_is_misplaced(pmc))
			continue;
		/* perf lets no guest make records while the host does. */
		if (pmc->perf_event->attr.precise_ip &&
		    !(msrs[0].guest & bit)) {
			vpmu->plain |= BIT_ULL(i);
			continue;
		}
		running |= bit;
		lost &= ~BIT_ULL(i);
		correct_period(pmc->perf_event);
		note_index(pmc);
	}
	msrs[0].guest &= ~(held & ~running);

	/*
	 * What it would do until the next exit would not be counted.  Once: it
	 * must get on even if that has not helped.
	 */
	if (lost & ~(vpmu->unserved | vpmu->lost))
		smp_send_reschedule(smp_processor_id());
	vpmu->lost = lost;
	if ((lost != vpmu->unserved ||
	     ((lost | (vpmu->plain & vpmu->run)) &&
	      time_after_eq(jiffies, vpmu->look_again))) ||
	    (vpmu->events && time_after_eq(jiffies, vpmu->release_at)))
		kvm_make_request(KVM_REQ_PMU, vcpu);
}
EXPORT_SYMBOL_GPL(kvm_vpmu_enter);
