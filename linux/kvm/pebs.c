// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: PEBS records
 *
 * The hardware itself writes a guest's records: it names the pPMC in a record,
 * and reloads it from the slot of its number in the guest's DS area.  SDM volume
 * 3, "Processor Event Based Sampling (PEBS) Facility" and "Debug Store (DS)
 * Mechanism".  If perf has the event of a vPMC on another pPMC, the slots are
 * rearranged before the guest is entered, and put back before it looks at its
 * records again, which by then name vPMCs.
 *
 * The guest chooses where the DS area is, and may change it at any time.  All
 * that is read there is read once, and is a value, or an address in the guest
 * that was compared with a bound which was read before.  It may take as long as
 * user space needs to supply the memory, so nothing here holds a lock.
 */
#include <linux/sched.h>
#include <asm/intel_ds.h>
#include <asm/perf_event.h>
#include "perf.h"
#include "vpmu_trace.h"

/*
 * The hardware cannot have made more records since the guest was last stopped
 * for them, unless its buffer is larger than this; those are dropped.
 */
#define VPMU_RECORDS_MAX	SZ_64K

/* What a DS area says about records */
struct vpmu_ds {
	u64 base;
	u64 index;
	u64 maximum;
	u64 threshold;
	u64 reset[VPMU_NR];
};

#define VPMU_DS_OFFSET	offsetof(struct debug_store, pebs_buffer_base)
static_assert(VPMU_DS_OFFSET + offsetof(struct vpmu_ds, reset) ==
	      offsetof(struct debug_store, pebs_event_reset));

static bool vpmu_read_guest(struct kvm_vcpu *vcpu, u64 address, void *to,
			    unsigned int size)
{
	struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;
	struct x86_exception fault;

	return ctxt->ops->read_std(ctxt, address, to, size, &fault, true) ==
	       X86EMUL_CONTINUE;
}

static bool vpmu_write_guest(struct kvm_vcpu *vcpu, u64 address, u64 value)
{
	struct x86_emulate_ctxt *ctxt = vcpu->arch.emulate_ctxt;
	struct x86_exception fault;

	return ctxt->ops->write_std(ctxt, address, &value, sizeof(value),
				    &fault, true) == X86EMUL_CONTINUE;
}

static u64 vpmu_slot(u64 ds, unsigned int i)
{
	return ds + offsetof(struct vpmu_ds, reset) + i * sizeof(u64);
}

/* Change a slot of the DS area that the records of the vCPU go to. */
static bool vpmu_set_slot(struct kvm_vcpu *vcpu, unsigned int ppmc, u64 value)
{
	if (!vpmu_write_guest(vcpu, vpmu_slot(vcpu_to_vpmu(vcpu)->pebs.ds, ppmc),
			      value))
		return false;
	vcpu->stat.vpmu.pebs_bytes_rewritten += sizeof(value);
	return true;
}

/* Have the hardware find each vPMC's reset value in the slot of its pPMC. */
static bool vpmu_set_slots(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_pebs *pebs = &vcpu_to_vpmu(vcpu)->pebs;
	unsigned long moved;
	struct vpmu_ds ds;
	unsigned int p;

	pebs->ds = vcpu_to_pmu(vcpu)->ds_area + VPMU_DS_OFFSET;
	if (!vpmu_read_guest(vcpu, pebs->ds, &ds, sizeof(ds)))
		return false;
	pebs->rearranged = true;
	pebs->next = ds.index;
	pebs->maximum = ds.maximum;
	memcpy(pebs->vslots, ds.reset, sizeof(ds.reset));
	moved = handover_reset_slots(&pebs->map, pebs->vslots, pebs->pslots);
	for_each_set_bit(p, &moved, VPMU_NR) {
		if (pebs->pslots[p] == pebs->vslots[p])
			continue;
		if (!vpmu_set_slot(vcpu, p, pebs->pslots[p]))
			return false;
		pebs->moved |= VPMU_MASK_OF(p);
	}
	return true;
}

/* Put back the guest's values, except where it has written new ones. */
static void vpmu_put_slots_back(struct kvm_vcpu *vcpu, const struct vpmu_ds *ds)
{
	struct kvm_vpmu_pebs *pebs = &vcpu_to_vpmu(vcpu)->pebs;
	unsigned long moved = pebs->moved;
	unsigned int p;

	pebs->moved = 0;
	for_each_set_bit(p, &moved, VPMU_NR) {
		if (ds->reset[p] == pebs->pslots[p])
			vpmu_set_slot(vcpu, p, pebs->vslots[p]);
	}
}

/*
 * Have a record name vPMCs.  KVM offers only basic records of format 4.
 * Returns: false if the guest's memory cannot be accessed.
 */
static bool vpmu_translate_record(struct kvm_vcpu *vcpu, u64 record)
{
	const u64 field = record +
			  offsetof(struct pebs_basic, applicable_counters);
	HandoverStats *stats = &vcpu->stat.vpmu;
	u64 ppmcs, vpmcs;

	if (!vpmu_read_guest(vcpu, field, &ppmcs, sizeof(ppmcs)))
		return false;
	vpmcs = handover_reg_to_virtual(&vcpu_to_vpmu(vcpu)->pebs.map, ppmcs);
	if (vpmcs == ppmcs) {
		stats->pebs_records_fast++;
		return true;
	}
	if (!vpmu_write_guest(vcpu, field, vpmcs))
		return false;
	stats->pebs_records_slow++;
	stats->pebs_bytes_rewritten += sizeof(vpmcs);
	return true;
}

/*
 * The hardware has made records up to @end.  If the guest has moved the index,
 * there is no telling which, and it gets them as they are.  Where its memory
 * cannot be accessed any more, it does not get the rest.
 */
static void vpmu_translate_records(struct kvm_vcpu *vcpu, u64 end)
{
	struct kvm_vpmu_pebs *pebs = &vcpu_to_vpmu(vcpu)->pebs;
	u64 i, nr;

	if (end < pebs->next || end > pebs->maximum)
		return;
	nr = (end - pebs->next) / sizeof(struct pebs_basic);
	for (i = 0; i < min(nr, VPMU_RECORDS_MAX); i++) {
		if (!vpmu_translate_record(vcpu, pebs->next))
			break;
		pebs->next += sizeof(struct pebs_basic);
		cond_resched();
	}
	if (i == nr)
		return;
	vcpu->stat.vpmu.pebs_records_dropped += nr - i;
	vpmu_write_guest(vcpu, pebs->ds + offsetof(struct vpmu_ds, index),
			 pebs->next);
}

void kvm_vpmu_finish_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_pebs *pebs = &vcpu_to_vpmu(vcpu)->pebs;
	struct vpmu_ds ds;

	if (!pebs->rearranged)
		return;
	pebs->rearranged = false;
	if (!vpmu_read_guest(vcpu, pebs->ds, &ds, sizeof(ds)))
		return;
	vpmu_put_slots_back(vcpu, &ds);
	vpmu_translate_records(vcpu, ds.index);
}

/*
 * Note on which pPMC each vPMC may make records: where perf has its event now.
 * Returns: the enabled vPMCs for which the slots must be rearranged.
 */
static u64 vpmu_map_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_vpmu_pebs *pebs = &vpmu->pebs;
	u64 todo = vpmu->events & vcpu_to_pmu(vcpu)->pebs_enable;
	struct kvm_pmc *pmc;
	unsigned int v, p;
	int i, ppmc;

	handover_init(&pebs->map, VPMU_MASK_ALL, 0, 0);
	guard(irqsave)();
	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&todo) {
		ppmc = vpmu_ppmc(pmc);
		if (ppmc < 0 || !vpmu_is_precise(pmc) || vpmu_is_misplaced(pmc))
			continue;
		v = vpmu_number(pmc);
		p = vpmu_number_of(ppmc);
		if (p != v)
			pebs->crossed |= BIT_ULL(i);
		/* Slots are rearranged only while that is of use. */
		if (p != v && !(vpmu->run & BIT_ULL(i)))
			continue;
		pebs->map.phys[v] = p;
		pebs->map.virt[p] = v;
	}
	return pebs->crossed & vpmu->run;
}

void kvm_vpmu_prepare_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_vpmu_pebs *pebs = &vpmu->pebs;
	u64 crossed;

	pebs->enable = 0;
	pebs->crossed = 0;
	if (likely(!vcpu_to_pmu(vcpu)->pebs_enable))
		return;
	crossed = vpmu_map_records(vcpu);
	if (crossed && !vpmu_set_slots(vcpu)) {
		kvm_vpmu_finish_records(vcpu);
		vpmu->plain |= crossed;
		kvm_make_request(KVM_REQ_PMU, vcpu);
		return;
	}
	pebs->enable = handover_reg_to_physical(&pebs->map,
						vcpu_to_pmu(vcpu)->pebs_enable);
}

void kvm_vpmu_rdmsr(struct kvm_vcpu *vcpu)
{
	if (kvm_vpmu_on(vcpu) && vcpu_to_vpmu(vcpu)->pebs.rearranged)
		kvm_make_request(KVM_REQ_PMU, vcpu);
}

void kvm_vpmu_reload_counter(struct kvm_pmc *pmc)
{
	struct kvm_vcpu *vcpu = pmc->vcpu;
	u64 ds = vcpu_to_pmu(vcpu)->ds_area + VPMU_DS_OFFSET;
	u64 value, n;

	if (!vpmu_read_guest(vcpu, vpmu_slot(ds, vpmu_number(pmc)), &value,
			     sizeof(value)))
		value = 0;
	/* The counter has gone on since, perhaps by more than a period. */
	n = 1 + div64_u64(pmc_read_counter(pmc), kvm_vpmu_period(pmc, value));
	pmc->counter += n * value;
	vcpu->stat.vpmu.pebs_records_dropped += n;
	trace_kvm_vpmu_dropped(vcpu->vcpu_id, pmc->idx);
}

bool kvm_vpmu_host_makes_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmc *pmc;
	u64 ppmcs;
	int i, ppmc;

	guard(irqsave)();
	rdmsrl(MSR_IA32_PEBS_ENABLE, ppmcs);
	ppmcs &= vpmu_mask_to_reg(VPMU_MASK_ALL);
	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i,
			 (unsigned long *)&vpmu->events) {
		ppmc = vpmu_ppmc(pmc);
		if (ppmc >= 0 && vpmu_is_precise(pmc))
			ppmcs &= ~BIT_ULL(ppmc);
	}
	return ppmcs;
}

void kvm_vpmu_retry_records(struct kvm_vcpu *vcpu)
{
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	u64 todo = vpmu->plain;
	struct kvm_pmc *pmc;
	int i;

	kvm_for_each_pmc(vcpu_to_pmu(vcpu), pmc, i, (unsigned long *)&todo) {
		if (!vpmu_is_precise(pmc))
			vpmu->plain &= ~BIT_ULL(i);
	}
}

bool kvm_vpmu_drop_record(struct kvm_pmc *pmc)
{
	if (!kvm_vpmu_on(pmc->vcpu) || !vpmu_makes_records(pmc) ||
	    vpmu_is_precise(pmc))
		return false;
	set_bit(pmc->idx, &pmc_to_vpmu(pmc)->dropped);
	return true;
}
