/*
 * A vCPU's simulated caches, TLBs and branch predictor: what there is
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * tcg-sim.c makes the accesses.
 */
#include "qemu/osdep.h"
#include "qapi/error.h"
#include "models.h"
#include "simulation.h"
#include "vpmc.h"

/* The last levels there are.  Only the main thread uses this list. */
static QLIST_HEAD(, VPMULLC) vpmu_llcs = QLIST_HEAD_INITIALIZER(vpmu_llcs);

static SimGeometry vpmu_cache_geometry(const CPUCacheInfo *cache)
{
    return (SimGeometry) {
        .sets = cache->sets,
        .ways = cache->associativity,
    };
}

static const CPUCaches *vpmu_caches(const X86CPU *cpu)
{
    const CPUX86State *env = &cpu->env;

    return vpmu_is_amd(cpu) ? &env->cache_info_amd : &env->cache_info_cpuid4;
}

/* As CPUID shows it */
static bool vpmu_has_l3(const X86CPU *cpu)
{
    return cpu->enable_l3_cache && vpmu_caches(cpu)->l3_cache;
}

VPMUGeometry vpmu_geometry(X86CPU *cpu)
{
    const CPUCaches *caches = vpmu_caches(cpu);
    const VPMUModelTLBs *tlbs = vpmu_model_find_tlbs(vpmu_model(&cpu->env));
    SimGeometry l2 = vpmu_cache_geometry(caches->l2_cache);
    bool has_l3 = vpmu_has_l3(cpu);

    return (VPMUGeometry) {
        .l1i = vpmu_cache_geometry(caches->l1i_cache),
        .l1d = vpmu_cache_geometry(caches->l1d_cache),
        .l2 = has_l3 ? l2 : (SimGeometry) { },
        .llc = has_l3 ? vpmu_cache_geometry(caches->l3_cache) : l2,
        .itlb = tlbs->itlb,
        .dtlb = tlbs->dtlb,
        .stlb = tlbs->stlb,
    };
}

/*
 * The bits of an APIC ID that vCPUs with the same third level in CPUID do not
 * have in common; a second level is a vCPU's own.
 */
static unsigned vpmu_llc_offset(X86CPU *cpu)
{
    X86CPUTopoInfo *topology = &cpu->env.topo_info;

    if (!vpmu_has_l3(cpu)) {
        return 0;
    }
    switch (vpmu_caches(cpu)->l3_cache->share_level) {
    case CPU_TOPOLOGY_LEVEL_CORE:
        return apicid_core_offset(topology);
    case CPU_TOPOLOGY_LEVEL_MODULE:
        return apicid_module_offset(topology);
    case CPU_TOPOLOGY_LEVEL_DIE:
        return apicid_die_offset(topology);
    default:
        return apicid_pkg_offset(topology);
    }
}

static VPMULLC *vpmu_llc_get(X86CPU *cpu, SimGeometry geometry)
{
    unsigned shift = vpmu_llc_offset(cpu);
    uint32_t id = cpu->apic_id >> shift;
    VPMULLC *llc;

    /* vCPUs may have been plugged in with other caches: these share nothing. */
    QLIST_FOREACH(llc, &vpmu_llcs, next) {
        if (llc->id == id && llc->shift == shift &&
            llc->sets.geometry.sets == geometry.sets &&
            llc->sets.geometry.ways == geometry.ways) {
            llc->nr_users++;
            return llc;
        }
    }
    llc = g_new0(VPMULLC, 1);
    llc->id = id;
    llc->shift = shift;
    llc->nr_users = 1;
    qemu_mutex_init(&llc->lock);
    sim_sets_init(&llc->sets, geometry,
                  g_new(uint64_t, sim_geometry_entries(geometry)));
    QLIST_INSERT_HEAD(&vpmu_llcs, llc, next);
    return llc;
}

static void vpmu_llc_put(VPMULLC *llc)
{
    if (!--llc->nr_users) {
        QLIST_REMOVE(llc, next);
        qemu_mutex_destroy(&llc->lock);
        g_free(llc->sets.entries);
        g_free(llc);
    }
}

static bool vpmu_check_caches(const X86CPU *cpu, Error **errp)
{
    const CPUCaches *caches = vpmu_caches(cpu);
    const struct {
        const char *name;
        const CPUCacheInfo *cache;
        unsigned min;
    } all[] = {
        /* VPMURecent needs this; smaller ones have not been built for long. */
        { "L1 instruction", caches->l1i_cache, VPMU_NR_RECENT },
        { "L1 data", caches->l1d_cache, VPMU_NR_RECENT },
        { "L2", caches->l2_cache, 1 },
        { "L3", vpmu_has_l3(cpu) ? caches->l3_cache : NULL, 1 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        const CPUCacheInfo *cache = all[i].cache;
        const char *fault = !cache ? NULL :
            sim_cache_fault(vpmu_cache_geometry(cache), cache->line_size,
                            cache->partitions, all[i].min);

        if (fault) {
            error_setg(errp, "pmu-model=simple: this CPU model's %s cache %s: "
                       "use another model, or pmu-model=none", all[i].name,
                       fault);
            return false;
        }
    }
    return true;
}

/* Make one of the vCPU's own memories in the room that is left. */
static void vpmu_sim_place(SimSets *sets, SimGeometry geometry, uint64_t **room)
{
    sim_sets_init(sets, geometry, *room);
    *room += sim_geometry_entries(geometry);
}

bool vpmu_simulation_realize(X86CPU *cpu, Error **errp)
{
    VPMUGeometry g;
    uint64_t *room;
    VPMUSim *sim;
    size_t entries;

    if (!vpmu_check_caches(cpu, errp)) {
        return false;
    }
    g = vpmu_geometry(cpu);
    entries = sim_geometry_entries(g.l1i) + sim_geometry_entries(g.l1d) +
              sim_geometry_entries(g.l2) + sim_geometry_entries(g.itlb) +
              sim_geometry_entries(g.dtlb) + sim_geometry_entries(g.stlb);
    sim = g_malloc(sizeof(*sim) + entries * sizeof(sim->entries[0]));
    room = sim->entries;
    vpmu_sim_place(&sim->caches.l1i, g.l1i, &room);
    vpmu_sim_place(&sim->caches.l1d, g.l1d, &room);
    vpmu_sim_place(&sim->caches.l2, g.l2, &room);
    vpmu_sim_place(&sim->tlbs.itlb, g.itlb, &room);
    vpmu_sim_place(&sim->tlbs.dtlb, g.dtlb, &room);
    vpmu_sim_place(&sim->tlbs.stlb, g.stlb, &room);
    sim_branches_init(&sim->branches);
    sim->llc = vpmu_llc_get(cpu, g.llc);
    cpu->env.vpmu_host.sim = sim;
    return true;
}

void vpmu_simulation_unrealize(X86CPU *cpu)
{
    VPMUSim *sim = cpu->env.vpmu_host.sim;

    if (sim) {
        vpmu_llc_put(sim->llc);
        g_free(sim);
        cpu->env.vpmu_host.sim = NULL;
    }
}

void vpmu_simulation_forget(CPUX86State *env, unsigned what)
{
    VPMUHost *host = &env->vpmu_host;

    if (host->sim) {
        host->sim_forget |= what;
        if (host->hw.sim) {
            vpmu_simulation_begin(env);
        }
    }
}

void vpmu_simulation_reset(CPUX86State *env)
{
    VPMUSim *sim = env->vpmu_host.sim;

    if (sim) {
        qemu_mutex_lock(&sim->llc->lock);
        sim_sets_clear(&sim->llc->sets, false);
        qemu_mutex_unlock(&sim->llc->lock);
        vpmu_simulation_forget(env, VPMU_FORGET_ALL);
    }
}

void vpmu_simulation_forget_recent(VPMUSim *sim)
{
    for (unsigned i = 0; i < VPMU_NR_RECENT; i++) {
        sim->data[i].line = VPMU_NO_LINE;
        sim->code[i].line = VPMU_NO_LINE;
    }
}

void vpmu_simulation_begin(CPUX86State *env)
{
    VPMUHost *host = &env->vpmu_host;
    VPMUSim *sim = host->sim;
    unsigned what = host->sim_forget;

    host->sim_forget = 0;
    host->sim_line = VPMU_NO_LINE;
    host->sim_again = VPMU_NO_LINE;
    vpmu_simulation_forget_recent(sim);
    if (what) {
        sim_tlb_flush(&sim->tlbs, what == VPMU_FORGET_PAGES);
    }
    if (what & VPMU_FORGET_ALL) {
        sim_sets_clear(&sim->caches.l1i, false);
        sim_sets_clear(&sim->caches.l1d, false);
        sim_sets_clear(&sim->caches.l2, false);
        sim_branches_init(&sim->branches);
    }
}
