/*
 * Reset, INIT and migration of the guest's PMU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The registers that QEMU has fields for migrate in its own subsection
 * cpu/msr_architectural_pmu, the others in cpu/vpmu.  Nothing of the host's
 * half migrates: neither map nor reservation nor what the operator counts.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/cutils.h"
#include "migration/vmstate.h"
#include "branches.h"
#include "counting.h"
#include "msr.h"
#include "provider.h"
#include "simulation.h"
#include "vpmc.h"

/* Reset */

static uint64_t vpmu_misc_enable(const X86CPU *cpu)
{
    return VPMU_MISC_EMON |
           (vpmu_has_bts(cpu) ? 0 : VPMU_MISC_BTS_UNAVAIL) |
           (vpmu_has_pebs(cpu) ? 0 : VPMU_MISC_PEBS_UNAVAIL);
}

void vpmu_reset(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    if ((cpu->vpmu.software || cpu->vpmu.policy) && !vpmu_is_amd(cpu)) {
        env->msr_ia32_misc_enable |= vpmu_misc_enable(cpu);
    }
    if (cpu->vpmu.software) {
        SoftPMU *pmu = &env->vpmu_host.hw;

        /* The host's counters go on; overflows of the guest's are void. */
        softpmu_fold(pmu);
        pmu->overflowed = 0;
        lbr_reset(&env->vpmu.lbr);
        if (vpmu_has_global(cpu)) {
            /* SDM volume 3: the general-purpose counters' bits are set. */
            env->msr_global_ctrl = cpu->vpmu.vpmcs & VPMU_MASK_GP;
        }
        vpmu_load(env);
    }
}

void vpmu_after_init(X86CPU *cpu, const CPUX86State *before)
{
    if (cpu->vpmu.software) {
        cpu->env.vpmu_host = before->vpmu_host;
        /* The DS area is where it was, but the address means another place. */
        cpu->env.vpmu.debugctl &= ~VPMU_DEBUGCTL_TRACE;
        if (vpmu_has_arch_lbr(cpu)) {
            /* SDM volume 3, "Last Branch Records": the records stay. */
            vpmu_stop_lbr(&cpu->env);
        }
        /* What counts may depend on the mode, which INIT has changed. */
        vpmu_sync(&cpu->env);
        vpmu_update(&cpu->env);
    }
}

/* Migration */

static VPMUIdentity vpmu_identity(X86CPU *cpu)
{
    VPMUIdentity identity = { .software = cpu->vpmu.software };
    uint8_t width;

    if (identity.software) {
        identity.version = cpu->vpmu.version;
        identity.vpmcs = cpu->vpmu.vpmcs;
        identity.lbr = cpu->vpmu.lbr_format;
        identity.bts = vpmu_has_bts(cpu);
        identity.simulates = vpmu_simulates(cpu);
        /* PEBS as the properties say, whatever the user has masked in CPUID */
        identity.pebs = vpmu_supported_features(cpu, FEAT_PERF_CAPABILITIES);
        /* Format 0 leaves nothing but the bit that comes with every format. */
        identity.pebs &= identity.pebs & VPMU_CAP_PEBS_FORMAT ?
                         VPMU_CAP_PEBS_FORMAT | VPMU_CAP_PEBS_BASELINE :
                         VPMU_CAP_PEBS_TRAP;
    } else if (cpu->enable_pmu) {
        identity.vpmcs = vpmu_kernel_vpmcs(cpu, &identity.version, &width);
        identity.pebs = vpmu_kernel_pebs(cpu);
    }
    return identity;
}

/* What a guest sees of a PMU, for the reader of an error */
static char *vpmu_describe_identity(const VPMUIdentity *identity)
{
    g_autofree char *branches = !identity->software ? g_strdup("") :
        g_strdup_printf(", LBR format %u%s%s", identity->lbr,
                        identity->bts ? ", BTS" : "",
                        identity->simulates ? ", pmu-model=simple" : "");

    if (!identity->version) {
        return g_strdup("none");
    }
    return g_strdup_printf("version %u, %u general-purpose counters, fixed "
                           "counters of mask 0x%x, PEBS 0x%" PRIx64
                           "%s, provided by %s",
                           identity->version,
                           ctpop16(identity->vpmcs & VPMU_MASK_GP),
                           identity->vpmcs >> VPMU_NR_GP, identity->pebs,
                           branches, identity->software ? "TCG" : "KVM");
}

/*
 * A guest that has found no LBR or BTS when it started does not look for it
 * again, so it may have it now.
 */
static bool vpmu_is_identical(const VPMUIdentity *theirs,
                              const VPMUIdentity *ours)
{
    return theirs->software == ours->software &&
           theirs->version == ours->version && theirs->vpmcs == ours->vpmcs &&
           theirs->pebs == ours->pebs &&
           (theirs->lbr == ours->lbr || theirs->lbr == LBR_FORMAT_NONE) &&
           (theirs->bts == ours->bts || !theirs->bts) &&
           theirs->simulates == ours->simulates;
}

/*
 * With a kernel's PMU, QEMU's other subsections suffice unless it has PEBS
 * registers or hands counters over.
 */
static bool vpmu_needed(void *opaque)
{
    X86CPU *cpu = opaque;
    const VPMUState *s = &cpu->env.vpmu;

    return cpu->vpmu.software || cpu->vpmu.policy || s->ds_area ||
           s->pebs_enable || s->pebs_data_cfg;
}

static int vpmu_save_identity(void *opaque)
{
    X86CPU *cpu = opaque;

    cpu->env.vpmu.identity = vpmu_identity(cpu);
    return 0;
}

static int vpmu_check_identity(void *opaque, int version_id)
{
    X86CPU *cpu = opaque;
    const VPMUIdentity *theirs = &cpu->env.vpmu.identity;
    VPMUIdentity ours = vpmu_identity(cpu);

    if (!vpmu_is_identical(theirs, &ours)) {
        g_autofree char *source = vpmu_describe_identity(theirs);
        g_autofree char *here = vpmu_describe_identity(&ours);

        error_report("vpmu: the source's guest sees a PMU with %s; on this "
                     "side it would see %s: start it with the source's "
                     "properties", source, here);
        return -EINVAL;
    }
    cpu->env.vpmu.loaded = true;
    return 0;
}

static bool vpmu_waits(void *opaque)
{
    X86CPU *cpu = opaque;

    return cpu->env.vpmu.waiting;
}

static bool vpmu_waits_found(void *opaque)
{
    X86CPU *cpu = opaque;
    const SoftPMUNote *note = &cpu->env.vpmu.waiting_note;

    return note->load_found.level || note->load_found.walked ||
           note->store_found.level || note->store_found.walked;
}

/* Where the simulation has found what it accessed */
static const VMStateDescription vmstate_vpmu_waiting_found = {
    .name = "cpu/vpmu/waiting/found",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_waits_found,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(env.vpmu.waiting_note.load_found.level, X86CPU),
        VMSTATE_BOOL(env.vpmu.waiting_note.load_found.walked, X86CPU),
        VMSTATE_UINT8(env.vpmu.waiting_note.store_found.level, X86CPU),
        VMSTATE_BOOL(env.vpmu.waiting_note.store_found.walked, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

/* A PEBS record that waits for memory */
static const VMStateDescription vmstate_vpmu_waiting = {
    .name = "cpu/vpmu/waiting",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_waits,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT16(env.vpmu.waiting, X86CPU),
        VMSTATE_UINT64(env.vpmu.waiting_note.ip, X86CPU),
        VMSTATE_UINT64(env.vpmu.waiting_note.next, X86CPU),
        VMSTATE_UINT64(env.vpmu.waiting_note.load, X86CPU),
        VMSTATE_UINT64(env.vpmu.waiting_note.store, X86CPU),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_vpmu_waiting_found,
        NULL
    }
};

static bool vpmu_has_high(void *opaque)
{
    X86CPU *cpu = opaque;

    return !buffer_is_zero(cpu->env.vpmu.unsupported_high,
                           sizeof(cpu->env.vpmu.unsupported_high));
}

/* Events of AMD whose numbers have more than eight bits */
static const VMStateDescription vmstate_vpmu_high = {
    .name = "cpu/vpmu/high",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_has_high,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8_ARRAY(env.vpmu.unsupported_high, X86CPU,
                            VPMU_NR_UNSUPPORTED),
        VMSTATE_END_OF_LIST()
    }
};

static bool vpmu_needs_lbr(void *opaque)
{
    X86CPU *cpu = opaque;

    return vpmu_has_lbr(cpu);
}

static bool vpmu_needs_bts(void *opaque)
{
    X86CPU *cpu = opaque;

    return vpmu_has_bts(cpu);
}

/* Branch trace store: its registers are elsewhere. */
static const VMStateDescription vmstate_vpmu_bts = {
    .name = "cpu/vpmu/bts",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_needs_bts,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vpmu.identity.bts, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

static bool vpmu_needs_simulation(void *opaque)
{
    X86CPU *cpu = opaque;

    return vpmu_simulates(cpu);
}

/*
 * The simulation: its caches are too large to be sent, and are empty on the
 * other side.
 */
static const VMStateDescription vmstate_vpmu_simulation = {
    .name = "cpu/vpmu/simulation",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_needs_simulation,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vpmu.identity.simulates, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

static bool vpmu_needs_depth(void *opaque)
{
    X86CPU *cpu = opaque;

    return vpmu_has_arch_lbr(cpu);
}

/* What only the architectural ones have besides */
static const VMStateDescription vmstate_vpmu_lbr_depth = {
    .name = "cpu/vpmu/lbr/depth",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_needs_depth,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT64(env.vpmu.lbr.depth, X86CPU),
        VMSTATE_END_OF_LIST()
    }
};

/* Last branch records */
static const VMStateDescription vmstate_vpmu_lbr = {
    .name = "cpu/vpmu/lbr",
    .version_id = 1,
    .minimum_version_id = 1,
    .needed = vpmu_needs_lbr,
    .fields = (const VMStateField[]) {
        VMSTATE_UINT8(env.vpmu.identity.lbr, X86CPU),
        VMSTATE_UINT64(env.vpmu.lbr.select, X86CPU),
        VMSTATE_UINT64(env.vpmu.lbr.tos, X86CPU),
        VMSTATE_UINT64_ARRAY(env.vpmu.lbr.from, X86CPU, LBR_DEPTH),
        VMSTATE_UINT64_ARRAY(env.vpmu.lbr.to, X86CPU, LBR_DEPTH),
        VMSTATE_UINT64_ARRAY(env.vpmu.lbr.info, X86CPU, LBR_DEPTH),
        VMSTATE_UINT64(env.vpmu.lbr.elapsed, X86CPU),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_vpmu_lbr_depth,
        NULL
    }
};

const VMStateDescription vmstate_vpmu = {
    .name = "cpu/vpmu",
    .version_id = 2,
    .minimum_version_id = 2,
    .needed = vpmu_needed,
    .pre_save = vpmu_save_identity,
    .post_load = vpmu_check_identity,
    .fields = (const VMStateField[]) {
        VMSTATE_BOOL(env.vpmu.identity.software, X86CPU),
        VMSTATE_UINT8(env.vpmu.identity.version, X86CPU),
        VMSTATE_UINT16(env.vpmu.identity.vpmcs, X86CPU),
        VMSTATE_UINT64(env.vpmu.identity.pebs, X86CPU),
        VMSTATE_BOOL_ARRAY(env.vpmu.high, X86CPU, VPMU_NR),
        VMSTATE_UINT64(env.vpmu.debugctl, X86CPU),
        VMSTATE_UINT64(env.vpmu.ds_area, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_enable, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_data_cfg, X86CPU),
        VMSTATE_UINT64(env.vpmu.pebs_ld_lat, X86CPU),
        VMSTATE_UINT16_ARRAY(env.vpmu.unsupported, X86CPU,
                             VPMU_NR_UNSUPPORTED),
        VMSTATE_END_OF_LIST()
    },
    .subsections = (const VMStateDescription * const []) {
        &vmstate_vpmu_waiting,
        &vmstate_vpmu_high,
        &vmstate_vpmu_lbr,
        &vmstate_vpmu_bts,
        &vmstate_vpmu_simulation,
        NULL
    }
};

void vpmu_before_save(X86CPU *cpu)
{
    if (cpu->vpmu.software) {
        vpmu_unload(&cpu->env);
    }
}

static void vpmu_clear_registers(CPUX86State *env)
{
    env->msr_fixed_ctr_ctrl = 0;
    env->msr_global_status = 0;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        *vpmu_value(env, v) = 0;
    }
    for (unsigned i = 0; i < VPMU_NR_GP; i++) {
        env->msr_gp_evtsel[i] = 0;
    }
}

/*
 * A record waits for counters that there are, and that can have one; its line
 * was found at a level that there is.
 */
static bool vpmu_waiting_is_valid(const X86CPU *cpu)
{
    const SoftPMUNote *note = &cpu->env.vpmu.waiting_note;
    VPMUCounterMask can = vpmu_has_pebs(cpu) ?
                          cpu->vpmu.vpmcs & vpmu_pebs_capable(cpu) : 0;

    return !(cpu->env.vpmu.waiting & ~can) &&
           note->load_found.level <= SIM_MEMORY &&
           note->store_found.level <= SIM_MEMORY;
}

int vpmu_after_load(X86CPU *cpu)
{
    CPUX86State *env = &cpu->env;

    /* It is on when the counters say so; old versions had another bit there. */
    env->hflags &= ~HF_VPMU_SIM_MASK;
    if (!cpu->vpmu.software) {
        return 0;
    }
    vpmu_simulation_reset(env);
    if (!env->vpmu.loaded) {
        /* The source had no such PMU.  The guest finds it as after reset. */
        vpmu_clear_registers(env);
        vpmu_reset(cpu);
        return 0;
    }
    env->vpmu.loaded = false;
    for (unsigned v = 0; v < VPMU_NR; v++) {
        *vpmu_value(env, v) &= SOFTPMU_VALUE_MASK;
    }
    if (!vpmu_registers_are_valid(env) || !vpmu_waiting_is_valid(cpu)) {
        error_report("vpmu: the migration stream has reserved bits in the "
                     "PMU's registers: it is damaged");
        return -EINVAL;
    }
    vpmu_load(env);
    return 0;
}
