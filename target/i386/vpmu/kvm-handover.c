/*
 * Counter hand-over by a KVM that has it
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the kernel knows of a vCPU's counters is copied to the structures that
 * the software PMU has for it.  So the code that shows them need not know where
 * they come from.
 */
#include "qemu/osdep.h"
#include <linux/kvm.h>
#include <asm/kvm_vpmu_handover.h>
#include "qapi/error.h"
#include "qemu/error-report.h"
#include "system/kvm.h"
#include "kvm/kvm_i386.h"
#include "kvm-handover.h"
#include "regs.h"
#include "trace.h"
#include "vpmc.h"

/* Number of the first fixed counter in the kernel's map. */
#define FIRST_FIXED   32
/* CPUID leaf 1 EAX: family and model, SDM volume 2 */
#define CPUID_MODEL   0x0fff0ff0

bool kvm_handover_has(unsigned feature)
{
    return kvm_check_extension(kvm_state, KVM_CAP_X86_VPMU_HANDOVER) & feature;
}

/* Returns: 0 or -errno, as docs/specs/kvm-vpmu-handover.rst has it. */
static int kvm_handover_set(unsigned gp, unsigned fixed, unsigned slice_ms,
                            bool force)
{
    struct kvm_vpmu_handover args = {
        .size = sizeof(args),
        .flags = force ? KVM_VPMU_HANDOVER_FORCE : 0,
        .host_gp = gp,
        .host_fixed = fixed,
        .slice_ns = slice_ms * (uint64_t)SCALE_MS,
    };
    int ret = kvm_vm_enable_cap(kvm_state, KVM_CAP_X86_VPMU_HANDOVER, 0,
                                (uintptr_t)&args);

    trace_vpmu_kvm_handover(gp, fixed, slice_ms, force, ret);
    return ret;
}

bool kvm_handover_enable(X86CPU *cpu, Error **errp)
{
    const VPMUConfig *vpmu = &cpu->vpmu;
    int ret = kvm_handover_set(vpmu->host_gp, vpmu->host_fixed, vpmu->slice_ms,
                               false);

    if (ret == -ERANGE) {
        error_setg(errp, "the host has fewer counters than that, or "
                   "pmu-slice-ms is more than a minute: use smaller values "
                   "than pmu-host-gp=%u, pmu-host-fixed=0x%x, "
                   "pmu-slice-ms=%u",
                   vpmu->host_gp, vpmu->host_fixed, vpmu->slice_ms);
    } else if (ret) {
        error_setg_errno(errp, -ret, "KVM refuses to hand counters over: use "
                         "pmu-passthrough=off to start without");
    }
    return !ret;
}

/* The processor makes the records, so KVM wants CPUID to show its model. */
static bool kvm_handover_is_host_model(const CPUX86State *env)
{
    uint32_t eax, ebx, ecx, edx;

    host_cpuid(1, 0, &eax, &ebx, &ecx, &edx);
    return !((eax ^ env->cpuid_version) & CPUID_MODEL);
}

static void kvm_handover_offer_lbr(X86CPU *cpu, VPMUOffer *offer)
{
    unsigned format = kvm_arch_get_supported_msr_feature(kvm_state,
        MSR_IA32_PERF_CAPABILITIES) & PERF_CAP_LBR_FMT;

    offer->lbr_format = 0;
    if (!format || !IS_INTEL_CPU(&cpu->env)) {
        offer->no_lbr = "KVM offers none on this host";
    } else if (!kvm_handover_is_host_model(&cpu->env)) {
        offer->no_lbr = "the records need the host's CPU model (-cpu host)";
    } else {
        offer->lbr_format = format;
    }
}

void kvm_handover_offer(X86CPU *cpu, VPMUOffer *offer)
{
    uint32_t eax = kvm_arch_get_supported_cpuid(kvm_state, 0xa, 0, R_EAX);
    uint32_t edx = kvm_arch_get_supported_cpuid(kvm_state, 0xa, 0, R_EDX);

    offer->version = eax & 0xff;
    offer->nr_gp = MIN(eax >> 8 & 0xff, VPMU_NR_GP);
    offer->nr_fixed = MIN(edx & 0x1f, VPMU_NR_FIXED);
    offer->capabilities = !IS_INTEL_CPU(&cpu->env) ? 0 :
        (VPMU_CAP_PEBS | VPMU_CAP_FW_WRITE) &
        kvm_arch_get_supported_msr_feature(kvm_state,
                                           MSR_IA32_PERF_CAPABILITIES);
    if (!(offer->capabilities & VPMU_CAP_PEBS_FORMAT)) {
        offer->no_pebs = "KVM offers none for this CPU model on this host";
        offer->capabilities &= ~VPMU_CAP_PEBS;
    } else if (!kvm_handover_is_host_model(&cpu->env)) {
        offer->no_pebs = "it needs the host's CPU model: use -cpu host";
        offer->capabilities &= ~VPMU_CAP_PEBS;
    }
    kvm_handover_offer_lbr(cpu, offer);
}

int kvm_handover_reserve(unsigned gp, unsigned fixed, bool force)
{
    if (!kvm_handover_has(KVM_VPMU_HANDOVER_HAS_RESERVE)) {
        return -ENOTSUP;
    }
    return kvm_handover_set(gp, fixed, 0, force);
}

/* One vPMC of the kernel's map. */
static void kvm_handover_copy_vpmc(VPMUHost *host, unsigned v,
                                   const struct kvm_vpmu_handover_vpmc *vpmc)
{
    Handover *h = &host->handover;
    int p = vpmc->ppmc < 0 ? HANDOVER_NONE :
            vpmc->ppmc < FIRST_FIXED ? vpmc->ppmc :
            VPMU_FIXED(vpmc->ppmc - FIRST_FIXED);

    if (vpmc->path != KVM_VPMU_PATH_IDLE) {
        h->enabled |= VPMU_MASK_OF(v);
    }
    if (vpmc->path == KVM_VPMU_PATH_STARVED || p >= VPMU_NR) {
        return;
    }
    h->phys[v] = p;
    if (p != HANDOVER_NONE) {
        h->virt[p] = v;
    }
    if (vpmc->path == KVM_VPMU_PATH_SLOW && p == v) {
        host->recordless |= VPMU_MASK_OF(v);
    }
}

static void kvm_handover_copy_map(CPUState *cs, VPMUHost *host)
{
    Handover *h = &host->handover;
    struct kvm_vpmu_handover_map map = { .size = sizeof(map) };
    struct kvm_device_attr attr = {
        .group = KVM_VPMU_HANDOVER_ATTRS,
        .attr = KVM_VPMU_HANDOVER_MAP,
        .addr = (uintptr_t)&map,
    };

    memset(h->phys, HANDOVER_NONE, sizeof(h->phys));
    memset(h->virt, HANDOVER_NONE, sizeof(h->virt));
    h->enabled = 0;
    host->recordless = 0;
    if (!X86_CPU(cs)->vpmu.has_map ||
        kvm_vcpu_ioctl(cs, KVM_GET_DEVICE_ATTR, &attr)) {
        return;
    }
    for (unsigned i = 0; i < MIN(map.nr_gp, VPMU_NR_GP); i++) {
        kvm_handover_copy_vpmc(host, i, &map.gp[i]);
    }
    for (unsigned j = 0; j < MIN(map.nr_fixed, VPMU_NR_FIXED); j++) {
        kvm_handover_copy_vpmc(host, VPMU_FIXED(j), &map.fixed[j]);
    }
    h->reserved = map.host_fixed << VPMU_NR_GP;
}

/* Set the statistic of this name, if there is one. */
static void kvm_handover_copy_statistic(HandoverStats *stats,
                                        const char *name, uint64_t value)
{
#define HANDOVER_STAT(field_, name_, unit_, description_) \
    if (!strcmp(name, name_)) {                           \
        stats->field_ = value;                            \
    }
#include "handover-stats.h.inc"
#undef HANDOVER_STAT
}

/* The vCPU's binary statistics: a header, descriptors with names, values. */
static void kvm_handover_copy_stats(CPUState *cs, HandoverStats *stats)
{
    int fd = cs->kvm_vcpu_stats_fd;
    struct kvm_stats_header header;
    g_autofree char *descs = NULL;
    size_t size;

    memset(stats, 0, sizeof(*stats));
    if (!X86_CPU(cs)->vpmu.has_stats ||
        pread(fd, &header, sizeof(header), 0) != sizeof(header)) {
        return;
    }
    size = sizeof(struct kvm_stats_desc) + header.name_size;
    descs = g_malloc0_n(header.num_desc, size);
    if (pread(fd, descs, size * header.num_desc, header.desc_offset) !=
        size * header.num_desc) {
        return;
    }
    for (unsigned i = 0; i < header.num_desc; i++) {
        const struct kvm_stats_desc *desc = (void *)(descs + i * size);
        uint64_t value;

        if (desc->size == 1 &&
            pread(fd, &value, sizeof(value),
                  header.data_offset + desc->offset) == sizeof(value)) {
            kvm_handover_copy_statistic(stats, desc->name, value);
        }
    }
}

/* The registers to read, and where to store each of them */
typedef struct PMUMsrs {
    uint64_t *to[3 + 2 * VPMU_NR_GP + VPMU_NR_FIXED];
    struct kvm_msrs info;
    struct kvm_msr_entry entries[3 + 2 * VPMU_NR_GP + VPMU_NR_FIXED];
} PMUMsrs;

static void kvm_handover_list_msr(PMUMsrs *msrs, uint32_t index, uint64_t *to)
{
    msrs->to[msrs->info.nmsrs] = to;
    msrs->entries[msrs->info.nmsrs++].index = index;
}

/*
 * Read the PMU's registers as they are now.  cpu_synchronize_state() would do
 * so, too, but then QEMU writes all of the vCPU's state back, and if another
 * CPU has sent an INIT to it in between, KVM forgets the INIT.
 */
static void kvm_handover_copy_registers(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;
    PMUMsrs msrs = {};
    int nr;

    if (CPU(cpu)->vcpu_dirty) {
        return; /* QEMU has them at the moment. */
    }
    kvm_handover_list_msr(&msrs, MSR_CORE_PERF_FIXED_CTR_CTRL,
                          &env->msr_fixed_ctr_ctrl);
    kvm_handover_list_msr(&msrs, MSR_CORE_PERF_GLOBAL_CTRL,
                          &env->msr_global_ctrl);
    kvm_handover_list_msr(&msrs, MSR_CORE_PERF_GLOBAL_STATUS,
                          &env->msr_global_status);
    for (unsigned i = 0; i < VPMU_NR_GP && vpmu_exists(cpu, i); i++) {
        kvm_handover_list_msr(&msrs, MSR_P6_EVNTSEL0 + i,
                              &env->msr_gp_evtsel[i]);
        kvm_handover_list_msr(&msrs, MSR_P6_PERFCTR0 + i,
                              &env->msr_gp_counters[i]);
    }
    for (unsigned j = 0; j < VPMU_NR_FIXED; j++) {
        if (vpmu_exists(cpu, VPMU_FIXED(j))) {
            kvm_handover_list_msr(&msrs, MSR_CORE_PERF_FIXED_CTR0 + j,
                                  &env->msr_fixed_counters[j]);
        }
    }
    nr = kvm_vcpu_ioctl(CPU(cpu), KVM_GET_MSRS, &msrs.info);
    for (int i = 0; i < nr; i++) {
        *msrs.to[i] = msrs.entries[i].data;
    }
    vpmu_kvm_get_msrs(cpu);
}

void kvm_handover_refresh(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    kvm_handover_copy_registers(X86_CPU(cs));
    kvm_handover_copy_map(cs, &env->vpmu_host);
    kvm_handover_copy_stats(cs, &env->vpmu_host.handover.stats);
}
