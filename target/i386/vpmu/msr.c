/*
 * The registers of the guest's PMU: Intel's, and access to either vendor's
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 4 (the list of registers) and volume 3, "Performance Monitoring".
 */
#include "qemu/osdep.h"
#include "branches.h"
#include "counting.h"
#include "msr-table.h"
#include "pebs-record.h"
#include "tcg-vcpu.h"
#include "vpmc.h"

/* Which guests have it */

static bool vpmu_exists_always(const X86CPU *cpu, unsigned i)
{
    return true;
}

bool vpmu_exists_gp(const X86CPU *cpu, unsigned i)
{
    return vpmu_exists(cpu, i);
}

static bool vpmu_exists_full_width(const X86CPU *cpu, unsigned i)
{
    return vpmu_exists(cpu, i) &&
           (cpu->env.features[FEAT_PERF_CAPABILITIES] & VPMU_CAP_FW_WRITE);
}

static bool vpmu_exists_fixed(const X86CPU *cpu, unsigned i)
{
    return vpmu_exists(cpu, VPMU_FIXED(i));
}

static bool vpmu_exists_v4(const X86CPU *cpu, unsigned i)
{
    return cpu->vpmu.version >= 4;
}

static bool vpmu_exists_pdcm(const X86CPU *cpu, unsigned i)
{
    return cpu->env.features[FEAT_1_ECX] & CPUID_EXT_PDCM;
}

static bool vpmu_exists_pebs(const X86CPU *cpu, unsigned i)
{
    return vpmu_has_pebs(cpu);
}

static bool vpmu_exists_lbr(const X86CPU *cpu, unsigned i)
{
    return vpmu_has_lbr(cpu) && !vpmu_has_arch_lbr(cpu);
}

static bool vpmu_exists_lbr_info(const X86CPU *cpu, unsigned i)
{
    return vpmu_exists_lbr(cpu, i) && lbr_has_info(cpu->vpmu.lbr_format);
}

static bool vpmu_exists_arch_lbr(const X86CPU *cpu, unsigned i)
{
    return vpmu_has_arch_lbr(cpu);
}

/* A register that no guest has here */
static bool vpmu_exists_never(const X86CPU *cpu, unsigned i)
{
    return false;
}

static bool vpmu_exists_baseline(const X86CPU *cpu, unsigned i)
{
    return vpmu_has_baseline(cpu);
}

/* Which bits may be set */

static uint64_t vpmu_bits_all(const X86CPU *cpu)
{
    return UINT64_MAX;
}

uint64_t vpmu_bits_value(const X86CPU *cpu)
{
    return SOFTPMU_VALUE_MASK;
}

uint64_t vpmu_bits_counters(const X86CPU *cpu)
{
    return vpmu_mask_to_reg(cpu->vpmu.vpmcs);
}

/* GLOBAL_STATUS, and what its reset register clears */
static uint64_t vpmu_bits_status(const X86CPU *cpu)
{
    return vpmu_bits_counters(cpu) | VPMU_STATUS_OVF_BUF |
           VPMU_STATUS_COND_CHGD |
           (cpu->vpmu.version >= 4 ?
            VPMU_STATUS_LBR_FRZ | VPMU_STATUS_CTR_FRZ : 0);
}

static uint64_t vpmu_bits_status_set(const X86CPU *cpu)
{
    return vpmu_bits_status(cpu) & ~VPMU_STATUS_COND_CHGD;
}

static uint64_t vpmu_bits_evtsel(const X86CPU *cpu)
{
    uint64_t bits = VPMU_EVTSEL_CODE | VPMU_EVTSEL_USR | VPMU_EVTSEL_OS |
                    VPMU_EVTSEL_EDGE | VPMU_EVTSEL_PC | VPMU_EVTSEL_INT |
                    VPMU_EVTSEL_EN | VPMU_EVTSEL_INV | VPMU_EVTSEL_CMASK;

    /* AnyThread came with version 3 and is gone with version 5. */
    if (cpu->vpmu.version >= 3 && cpu->vpmu.version < 5) {
        bits |= VPMU_EVTSEL_ANY;
    }
    return bits | (vpmu_has_baseline(cpu) ? VPMU_EVTSEL_ADAPTIVE : 0);
}

static uint64_t vpmu_bits_fixed_ctrl(const X86CPU *cpu)
{
    uint64_t field = VPMU_FIXED_OS | VPMU_FIXED_USR | VPMU_FIXED_PMI;
    uint64_t bits = 0;

    if (cpu->vpmu.version >= 3 && cpu->vpmu.version < 5) {
        field |= VPMU_FIXED_ANY;
    }
    for (unsigned j = 0; j < VPMU_NR_FIXED; j++) {
        if (vpmu_exists(cpu, VPMU_FIXED(j))) {
            bits |= field << (4 * j);
            bits |= vpmu_has_baseline(cpu) ? VPMU_FIXED_ADAPTIVE(j) : 0;
        }
    }
    return bits;
}

static uint64_t vpmu_bits_debugctl(const X86CPU *cpu)
{
    return VPMU_DEBUGCTL_FREEZE_PMI | VPMU_DEBUGCTL_IGNORED;
}

/* Of these, what is kept */
static uint64_t vpmu_kept_debugctl(const X86CPU *cpu)
{
    return VPMU_DEBUGCTL_FREEZE_PMI |
           (vpmu_has_lbr(cpu) ? VPMU_DEBUGCTL_FREEZE_LBRS : 0) |
           (vpmu_exists_lbr(cpu, 0) ? VPMU_DEBUGCTL_LBR : 0) |
           (vpmu_has_bts(cpu) ? VPMU_DEBUGCTL_TRACE : 0);
}

static uint64_t vpmu_bits_lbr_select(const X86CPU *cpu)
{
    return LBR_SELECT_MASK;
}

static uint64_t vpmu_bits_tos(const X86CPU *cpu)
{
    return LBR_DEPTH - 1;
}

static uint64_t vpmu_bits_lbr_ctl(const X86CPU *cpu)
{
    return LBR_CTL_MASK;
}

static uint64_t vpmu_bits_lbr_info(const X86CPU *cpu)
{
    return lbr_info_mask(cpu->vpmu.lbr_format);
}

/*
 * SDM volume 3, "Load Latency Performance Monitoring Facility" and "Precise
 * Store Facility": with formats 1 to 3 they have bits of their own.  Here the
 * event alone decides, so these bits mean nothing.
 */
static uint64_t vpmu_bits_pebs_enable(const X86CPU *cpu)
{
    unsigned format = cpu->vpmu.pebs_format;
    VPMUCounterMask counters = cpu->vpmu.vpmcs & vpmu_pebs_capable(cpu);

    return vpmu_mask_to_reg(counters) |
           (format >= 1 && format <= 3 ? VPMU_PEBS_LOAD_LATENCY : 0) |
           (format == 1 ? VPMU_PEBS_PRECISE_STORE : 0);
}

static uint64_t vpmu_bits_data_cfg(const X86CPU *cpu)
{
    return PEBS_CFG_MASK;
}

static uint64_t vpmu_bits_ld_lat(const X86CPU *cpu)
{
    return VPMU_LD_LAT_THRESHOLD;
}

/* Reading */

static uint64_t *vpmu_home(CPUX86State *env, const VPMURegister *reg,
                           unsigned i)
{
    return (uint64_t *)((char *)env + reg->home) + i;
}

uint64_t vpmu_read_home(CPUX86State *env, const VPMURegister *reg,
                        unsigned i, uintptr_t retaddr)
{
    return *vpmu_home(env, reg, i);
}

/* TOS and DEPTH are checked by lbr_is_valid(), so that they have no home. */
static uint64_t vpmu_read_tos(CPUX86State *env, const VPMURegister *reg,
                              unsigned i, uintptr_t retaddr)
{
    return env->vpmu.lbr.tos;
}

static uint64_t vpmu_read_depth(CPUX86State *env, const VPMURegister *reg,
                                unsigned i, uintptr_t retaddr)
{
    return env->vpmu.lbr.depth;
}

/* Where part of a last branch record is; NULL: above IA32_LBR_DEPTH */
static uint64_t *vpmu_record(CPUX86State *env, const VPMURegister *reg,
                             unsigned i)
{
    const LBR *lbr = &env->vpmu.lbr;
    LBRFormat format = env_archcpu(env)->vpmu.lbr_format;

    return i < lbr->depth ? vpmu_home(env, reg, lbr_index(lbr, format, i)) :
                            NULL;
}

static uint64_t vpmu_read_record(CPUX86State *env, const VPMURegister *reg,
                                 unsigned i, uintptr_t retaddr)
{
    const uint64_t *part = vpmu_record(env, reg, i);

    return part ? *part : 0;
}

static uint64_t vpmu_read_record_address(CPUX86State *env,
                                         const VPMURegister *reg, unsigned i,
                                         uintptr_t retaddr)
{
    return vpmu_lbr_address_seen(env, vpmu_read_record(env, reg, i, retaddr));
}

uint64_t vpmu_read_zero(CPUX86State *env, const VPMURegister *reg,
                        unsigned i, uintptr_t retaddr)
{
    return 0;
}

uint64_t vpmu_read_counter(CPUX86State *env, const VPMURegister *reg,
                           unsigned i, uintptr_t retaddr)
{
    return vpmu_read(env, reg->counter + i, retaddr);
}

static uint64_t vpmu_read_inuse(CPUX86State *env, const VPMURegister *reg,
                                unsigned i, uintptr_t retaddr)
{
    uint64_t mask = 0;

    for (unsigned v = 0; v < VPMU_NR; v++) {
        bool used = v < VPMU_NR_GP ? env->msr_gp_evtsel[v] & 0xff :
            vpmu_fixed_ctrl(env, v) & (VPMU_FIXED_OS | VPMU_FIXED_USR);

        mask |= used ? vpmu_status_bit(v) : 0;
        mask |= vpmu_interrupts(env, v) ? VPMU_INUSE_PMI : 0;
    }
    return mask;
}

static uint64_t vpmu_read_capabilities(CPUX86State *env,
                                       const VPMURegister *reg, unsigned i,
                                       uintptr_t retaddr)
{
    return env->features[FEAT_PERF_CAPABILITIES];
}

/* Writing */

bool vpmu_write_counter(CPUX86State *env, const VPMURegister *reg,
                        unsigned i, uint64_t value)
{
    vpmu_sync(env);
    vpmu_write(env, reg->counter + i, value);
    vpmu_commit(env);
    return true;
}

/* Writes to the old numbers are sign-extended from 32 bits. */
static bool vpmu_write_legacy(CPUX86State *env, const VPMURegister *reg,
                              unsigned i, uint64_t value)
{
    return vpmu_write_counter(env, reg, i,
                              (int32_t)value & SOFTPMU_VALUE_MASK);
}

/* A control register: the map may change, which the statistics show. */
bool vpmu_write_control(CPUX86State *env, const VPMURegister *reg,
                        unsigned i, uint64_t value)
{
    HandoverStats *stats = &env->vpmu_host.handover.stats;

    vpmu_sync(env);
    *vpmu_home(env, reg, i) = value;
    if (vpmu_update(env)) {
        stats->control_writes_reprogrammed++;
    } else {
        stats->control_writes_direct++;
    }
    return true;
}

/* A register that decides on more than what is in it */
static bool vpmu_write_updating(CPUX86State *env, const VPMURegister *reg,
                                unsigned i, uint64_t value)
{
    vpmu_sync(env);
    *vpmu_home(env, reg, i) = value;
    vpmu_update(env);
    return true;
}

static bool vpmu_write_ds_area(CPUX86State *env, const VPMURegister *reg,
                               unsigned i, uint64_t value)
{
    return vpmu_canonical(env, value) == value &&
           vpmu_write_updating(env, reg, i, value);
}

static bool vpmu_write_tos(CPUX86State *env, const VPMURegister *reg,
                           unsigned i, uint64_t value)
{
    env->vpmu.lbr.tos = value;
    return true;
}

static bool vpmu_write_depth(CPUX86State *env, const VPMURegister *reg,
                             unsigned i, uint64_t value)
{
    if (!lbr_depth_exists(value)) {
        return false;
    }
    lbr_set_depth(&env->vpmu.lbr, value);
    return true;
}

static bool vpmu_write_record(CPUX86State *env, const VPMURegister *reg,
                              unsigned i, uint64_t value)
{
    uint64_t *part = vpmu_record(env, reg, i);

    if (part) {
        *part = value;
    }
    return true;
}

static bool vpmu_write_record_address(CPUX86State *env,
                                      const VPMURegister *reg, unsigned i,
                                      uint64_t value)
{
    return (env_archcpu(env)->vpmu.lbr_format == LBR_FORMAT_TIME ||
            vpmu_canonical(env, value) == value) &&
           vpmu_write_record(env, reg, i, value);
}

bool vpmu_write_status_reset(CPUX86State *env, const VPMURegister *reg,
                             unsigned i, uint64_t value)
{
    vpmu_sync(env);
    env->msr_global_status &= ~value;
    vpmu_update(env);
    return true;
}

bool vpmu_write_status_set(CPUX86State *env, const VPMURegister *reg,
                           unsigned i, uint64_t value)
{
    vpmu_sync(env);
    env->msr_global_status |= value;
    vpmu_update(env);
    return true;
}

static bool vpmu_write_debugctl(CPUX86State *env, const VPMURegister *reg,
                                unsigned i, uint64_t value)
{
    value &= vpmu_kept_debugctl(env_archcpu(env));
    /* Each VM exit writes it. */
    return value == env->vpmu.debugctl ||
           vpmu_write_updating(env, reg, i, value);
}

static bool vpmu_write_misc_enable(CPUX86State *env, const VPMURegister *reg,
                                   unsigned i, uint64_t value)
{
    env->msr_ia32_misc_enable =
        (value & ~VPMU_MISC_READ_ONLY) |
        (env->msr_ia32_misc_enable & VPMU_MISC_READ_ONLY);
    return true;
}

#define HOME(field) offsetof(CPUX86State, field)

static const VPMURegister vpmu_intel_registers[] = {
    { MSR_P6_PERFCTR0, VPMU_NR_GP, vpmu_exists_gp,
      vpmu_bits_all, 0, vpmu_read_counter, vpmu_write_legacy, 0 },
    { MSR_IA32_PMC0, VPMU_NR_GP, vpmu_exists_full_width,
      vpmu_bits_value, 0, vpmu_read_counter, vpmu_write_counter, 0 },
    /* There are four numbers, one more than the fixed counters of any CPU. */
    { MSR_CORE_PERF_FIXED_CTR0, 4, vpmu_exists_fixed,
      vpmu_bits_value, 0, vpmu_read_counter, vpmu_write_counter,
      VPMU_FIXED(0) },
    { MSR_P6_EVNTSEL0, VPMU_NR_GP, vpmu_exists_gp,
      vpmu_bits_evtsel, HOME(msr_gp_evtsel), vpmu_read_home,
      vpmu_write_control },
    { MSR_CORE_PERF_FIXED_CTR_CTRL, 1, vpmu_exists_always,
      vpmu_bits_fixed_ctrl, HOME(msr_fixed_ctr_ctrl), vpmu_read_home,
      vpmu_write_control },
    { MSR_CORE_PERF_GLOBAL_CTRL, 1, vpmu_exists_always,
      vpmu_bits_counters, HOME(msr_global_ctrl), vpmu_read_home,
      vpmu_write_control },
    { MSR_CORE_PERF_GLOBAL_STATUS, 1, vpmu_exists_always,
      vpmu_bits_status, HOME(msr_global_status), vpmu_read_home, NULL },
    /* GLOBAL_STATUS_RESET from version 4 on */
    { MSR_CORE_PERF_GLOBAL_OVF_CTRL, 1, vpmu_exists_always,
      vpmu_bits_status, 0, vpmu_read_zero, vpmu_write_status_reset },
    { MSR_IA32_PERF_GLOBAL_STATUS_SET, 1, vpmu_exists_v4,
      vpmu_bits_status_set, 0, vpmu_read_zero, vpmu_write_status_set },
    { MSR_IA32_PERF_GLOBAL_INUSE, 1, vpmu_exists_v4,
      NULL, 0, vpmu_read_inuse, NULL },
    { MSR_IA32_PERF_CAPABILITIES, 1, vpmu_exists_pdcm,
      NULL, 0, vpmu_read_capabilities, NULL },
    { MSR_IA32_DEBUGCTL, 1, vpmu_exists_always,
      vpmu_bits_debugctl, HOME(vpmu.debugctl), vpmu_read_home,
      vpmu_write_debugctl },
    { MSR_IA32_DS_AREA, 1, vpmu_exists_pebs,
      vpmu_bits_all, HOME(vpmu.ds_area), vpmu_read_home, vpmu_write_ds_area },
    { MSR_IA32_PEBS_ENABLE, 1, vpmu_exists_pebs,
      vpmu_bits_pebs_enable, HOME(vpmu.pebs_enable), vpmu_read_home,
      vpmu_write_updating },
    { MSR_PEBS_DATA_CFG, 1, vpmu_exists_baseline,
      vpmu_bits_data_cfg, HOME(vpmu.pebs_data_cfg), vpmu_read_home,
      vpmu_write_updating },
    { MSR_PEBS_LD_LAT, 1, vpmu_exists_pebs,
      vpmu_bits_ld_lat, HOME(vpmu.pebs_ld_lat), vpmu_read_home,
      vpmu_write_updating },
    /* Drivers look for the records, and count them, by the faults. */
    { MSR_LBR_SELECT, 1, vpmu_exists_lbr,
      vpmu_bits_lbr_select, HOME(vpmu.lbr.select), vpmu_read_home,
      vpmu_write_updating },
    { MSR_LASTBRANCH_TOS, 1, vpmu_exists_lbr,
      vpmu_bits_tos, 0, vpmu_read_tos, vpmu_write_tos },
    { MSR_LASTBRANCH_0_FROM_IP, LBR_DEPTH, vpmu_exists_lbr,
      vpmu_bits_all, HOME(vpmu.lbr.from), vpmu_read_record_address,
      vpmu_write_record_address },
    { MSR_LASTBRANCH_0_TO_IP, LBR_DEPTH, vpmu_exists_lbr,
      vpmu_bits_all, HOME(vpmu.lbr.to), vpmu_read_record_address,
      vpmu_write_record_address },
    { MSR_LBR_INFO_0, LBR_DEPTH, vpmu_exists_lbr_info,
      vpmu_bits_lbr_info, HOME(vpmu.lbr.info), vpmu_read_record,
      vpmu_write_record },
    { MSR_ARCH_LBR_CTL, 1, vpmu_exists_arch_lbr,
      vpmu_bits_lbr_ctl, HOME(vpmu.lbr.select), vpmu_read_home,
      vpmu_write_updating },
    { MSR_ARCH_LBR_DEPTH, 1, vpmu_exists_arch_lbr,
      vpmu_bits_all, 0, vpmu_read_depth, vpmu_write_depth },
    { MSR_ARCH_LBR_FROM_0, LBR_DEPTH, vpmu_exists_arch_lbr,
      vpmu_bits_all, HOME(vpmu.lbr.from), vpmu_read_record_address,
      vpmu_write_record_address },
    { MSR_ARCH_LBR_TO_0, LBR_DEPTH, vpmu_exists_arch_lbr,
      vpmu_bits_all, HOME(vpmu.lbr.to), vpmu_read_record_address,
      vpmu_write_record_address },
    { MSR_ARCH_LBR_INFO_0, LBR_DEPTH, vpmu_exists_arch_lbr,
      vpmu_bits_lbr_info, HOME(vpmu.lbr.info), vpmu_read_record,
      vpmu_write_record },
    { MSR_CORE_LASTBRANCH_0_FROM_IP, 8, vpmu_exists_never },
    { MSR_CORE_LASTBRANCH_0_TO_IP, 8, vpmu_exists_never },
    /* The first number behind the records; it is IA32_U_CET where there is one. */
    { MSR_LASTBRANCH_0_FROM_IP + LBR_DEPTH, 1, vpmu_exists_never },
    { MSR_ARCH_LBR_FROM_0 + LBR_DEPTH, 1, vpmu_exists_never },
    /* QEMU has the register; the PMU's bits in it are read-only. */
    { MSR_IA32_MISC_ENABLE, 1, vpmu_exists_always,
      vpmu_bits_all, HOME(msr_ia32_misc_enable), NULL,
      vpmu_write_misc_enable },
};

const VPMURegisterTable vpmu_intel_table = {
    .rows = vpmu_intel_registers,
    .nr = ARRAY_SIZE(vpmu_intel_registers),
};

/* Access */

static const VPMURegisterTable *vpmu_table(const X86CPU *cpu)
{
    return vpmu_is_amd(cpu) ? &vpmu_amd_table : &vpmu_intel_table;
}

/* @i: which of a row's registers it is */
static const VPMURegister *vpmu_find_register(const X86CPU *cpu, uint32_t msr,
                                              unsigned *i)
{
    const VPMURegisterTable *table = vpmu_table(cpu);

    for (unsigned r = 0; r < table->nr; r++) {
        const VPMURegister *reg = &table->rows[r];
        uint32_t distance = msr - reg->msr;
        unsigned step = reg->step ?: 1;

        if (distance / step < reg->nr && !(distance % step)) {
            *i = distance / step;
            return reg;
        }
    }
    return NULL;
}

VPMUAccess vpmu_rdmsr(CPUX86State *env, uint32_t msr, uint64_t *value,
                      uintptr_t retaddr)
{
    unsigned i;
    const VPMURegister *reg = vpmu_find_register(env_archcpu(env), msr, &i);

    if (!reg) {
        return VPMU_NOT_MINE;
    }
    if (!reg->exists(env_archcpu(env), i)) {
        return VPMU_FAULT;
    }
    if (!reg->read) {
        return VPMU_NOT_MINE;
    }
    *value = reg->read(env, reg, i, retaddr);
    return VPMU_DONE;
}

VPMUAccess vpmu_wrmsr(CPUX86State *env, uint32_t msr, uint64_t value)
{
    const X86CPU *cpu = env_archcpu(env);
    bool lenient = vpmu_table(cpu)->lenient;
    unsigned i;
    const VPMURegister *reg = vpmu_find_register(cpu, msr, &i);

    if (!reg) {
        return VPMU_NOT_MINE;
    }
    if (!reg->exists(cpu, i)) {
        return VPMU_FAULT;
    }
    if (!reg->write) {
        return lenient ? VPMU_DONE : VPMU_FAULT;
    }
    if (lenient) {
        value &= reg->bits(cpu);
    }
    if ((value & ~reg->bits(cpu)) || !reg->write(env, reg, i, value)) {
        return VPMU_FAULT;
    }
    return VPMU_DONE;
}

/* SDM volume 2, "RDPMC": fixed counters, and the fast mode */
static bool vpmu_rdpmc_intel(uint32_t index, unsigned *v, uint64_t *mask)
{
    unsigned i = index & ~(VPMU_RDPMC_FAST | VPMU_RDPMC_FIXED);

    *v = index & VPMU_RDPMC_FIXED ? VPMU_FIXED(i) : i;
    *mask = index & VPMU_RDPMC_FAST ? UINT32_MAX : UINT64_MAX;
    return i < VPMU_NR_GP;
}

VPMUAccess vpmu_rdpmc(CPUX86State *env, uint32_t index, uint64_t *value,
                      uintptr_t retaddr)
{
    uint64_t mask = UINT64_MAX;
    unsigned v = index;

    if ((!vpmu_is_amd(env_archcpu(env)) &&
         !vpmu_rdpmc_intel(index, &v, &mask)) ||
        !vpmu_exists(env_archcpu(env), v)) {
        return VPMU_FAULT;
    }
    *value = vpmu_read(env, v, retaddr) & mask;
    return VPMU_DONE;
}

/* The bits that the guest can set at @home, by whichever of its registers */
static uint64_t vpmu_bits_at(CPUX86State *env, const uint64_t *home)
{
    const X86CPU *cpu = env_archcpu(env);
    const VPMURegisterTable *table = vpmu_table(cpu);
    size_t at = (const char *)home - (const char *)env;
    uint64_t bits = 0;

    for (unsigned r = 0; r < table->nr; r++) {
        const VPMURegister *reg = &table->rows[r];
        size_t i = (at - reg->home) / sizeof(*home);

        if (reg->home && at >= reg->home && i < reg->nr &&
            reg->exists(cpu, i)) {
            bits |= reg->bits(cpu);
        }
    }
    return bits;
}

static bool vpmu_homes_are_valid(CPUX86State *env,
                                 const VPMURegisterTable *table)
{
    for (unsigned r = 0; r < table->nr; r++) {
        const VPMURegister *reg = &table->rows[r];

        for (unsigned i = 0; reg->home && i < reg->nr; i++) {
            const uint64_t *home = vpmu_home(env, reg, i);

            /* A register of QEMU's own, in which AMD's PMU has no bits */
            if (home == &env->msr_ia32_misc_enable &&
                vpmu_is_amd(env_archcpu(env))) {
                continue;
            }
            if (*home & ~vpmu_bits_at(env, home)) {
                return false;
            }
        }
    }
    return true;
}

bool vpmu_registers_are_valid(CPUX86State *env)
{
    const X86CPU *cpu = env_archcpu(env);

    /* What only the other vendor has must be 0. */
    return !(env->vpmu.debugctl & ~vpmu_kept_debugctl(cpu)) &&
           lbr_is_valid(&env->vpmu.lbr, cpu->vpmu.lbr_format) &&
           vpmu_homes_are_valid(env, &vpmu_intel_table) &&
           vpmu_homes_are_valid(env, &vpmu_amd_table);
}
