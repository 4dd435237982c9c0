// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counter hand-over: the map of a vCPU as a line in debugfs
 */
#include <linux/debugfs.h>
#include <linux/seq_file.h>
#include "internal.h"

static const char * const vpmu_path_names[] = {
	"idle", "fast", "slow", "starved"
};

/* For example: "gp0:fast:gp0 gp1:idle:- fixed0:starved:-" */
static int vpmu_show(struct seq_file *m, void *unused)
{
	struct kvm_vcpu *vcpu = m->private;
	struct kvm_pmu *pmu = vcpu_to_pmu(vcpu);
	struct kvm_vpmu_vcpu *vpmu = vcpu_to_vpmu(vcpu);
	struct kvm_pmc *pmc;
	int i;

	guard(mutex)(&vpmu->lock);
	kvm_for_each_pmc(pmu, pmc, i, pmu->all_valid_pmc_idx) {
		int index = vpmu->index[vpmu_number(pmc)];

		seq_printf(m, "%s%d:%s:", pmc_is_gp(pmc) ? "gp" : "fixed",
			   i % KVM_FIXED_PMC_BASE_IDX,
			   vpmu_path_names[kvm_vpmu_path(pmc)]);
		if (index < 0)
			seq_puts(m, "- ");
		else
			seq_printf(m, "%s%d ",
				   index < INTEL_PMC_IDX_FIXED ? "gp" : "fixed",
				   index % INTEL_PMC_IDX_FIXED);
	}
	seq_putc(m, '\n');
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(vpmu);

void kvm_vpmu_debugfs(struct kvm_vcpu *vcpu, struct dentry *folder)
{
	if (kvm_vpmu_on(vcpu))
		debugfs_create_file("vpmu", 0444, folder, vcpu, &vpmu_fops);
}
