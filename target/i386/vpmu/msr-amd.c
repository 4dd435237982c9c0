/*
 * The registers of an AMD guest's PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * APM volume 2, "Performance Monitoring Counters", and AMD's PPRs, "MSR
 * Registers".  A processor ignores what is written to reserved bits and to
 * registers that are read-only; so does this.
 */
#include "qemu/osdep.h"
#include "msr-table.h"
#include "vpmc.h"

/* The registers of K7 are the first four of PerfCtrCore. */
#define LEGACY_COUNTERS     4
#define CORE_COUNTERS       6

static bool vpmu_amd_exists_core(const X86CPU *cpu, unsigned i)
{
    return vpmu_exists(cpu, i) &&
           (cpu->env.features[FEAT_8000_0001_ECX] & CPUID_EXT3_PERFCORE);
}

static bool vpmu_amd_exists_global(const X86CPU *cpu, unsigned i)
{
    return vpmu_has_global(cpu);
}

static uint64_t vpmu_amd_bits_ctl(const X86CPU *cpu)
{
    bool svm = cpu->env.features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM;

    return VPMU_EVTSEL_CODE | VPMU_EVTSEL_USR | VPMU_EVTSEL_OS |
           VPMU_EVTSEL_EDGE | VPMU_EVTSEL_INT | VPMU_EVTSEL_EN |
           VPMU_EVTSEL_INV | VPMU_EVTSEL_CMASK | VPMU_CTL_EVENT_HIGH |
           (svm ? VPMU_CTL_GUEST_ONLY | VPMU_CTL_HOST_ONLY : 0);
}

#define HOME(field) offsetof(CPUX86State, field)

static const VPMURegister vpmu_amd_registers[] = {
    { MSR_K7_EVNTSEL0, LEGACY_COUNTERS, vpmu_exists_gp,
      vpmu_amd_bits_ctl, HOME(msr_gp_evtsel), vpmu_read_home,
      vpmu_write_control },
    { MSR_K7_PERFCTR0, LEGACY_COUNTERS, vpmu_exists_gp,
      vpmu_bits_value, 0, vpmu_read_counter, vpmu_write_counter, 0 },
    { MSR_AMD_PERF_CTL0, CORE_COUNTERS, vpmu_amd_exists_core,
      vpmu_amd_bits_ctl, HOME(msr_gp_evtsel), vpmu_read_home,
      vpmu_write_control, 0, 2 },
    { MSR_AMD_PERF_CTR0, CORE_COUNTERS, vpmu_amd_exists_core,
      vpmu_bits_value, 0, vpmu_read_counter, vpmu_write_counter, 0, 2 },
    { MSR_AMD_GLOBAL_STATUS, 1, vpmu_amd_exists_global,
      vpmu_bits_counters, HOME(msr_global_status), vpmu_read_home, NULL },
    { MSR_AMD_GLOBAL_CTL, 1, vpmu_amd_exists_global,
      vpmu_bits_counters, HOME(msr_global_ctrl), vpmu_read_home,
      vpmu_write_control },
    { MSR_AMD_GLOBAL_STATUS_CLR, 1, vpmu_amd_exists_global,
      vpmu_bits_counters, 0, vpmu_read_zero, vpmu_write_status_reset },
    { MSR_AMD_GLOBAL_STATUS_SET, 1, vpmu_amd_exists_global,
      vpmu_bits_counters, 0, vpmu_read_zero, vpmu_write_status_set },
};

const VPMURegisterTable vpmu_amd_table = {
    .rows = vpmu_amd_registers,
    .nr = ARRAY_SIZE(vpmu_amd_registers),
    .lenient = true,
};
