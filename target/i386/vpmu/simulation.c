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

static VPMULLC *vpmu_llc_of(X86CPU *cpu, SimGeometry geometry)
{
    uint32_t id = cpu->apic_id >> vpmu_llc_offset(cpu);
    VPMULLC *llc;

    QLIST_FOREACH(llc, &vpmu_llcs, next) {
        if (llc->id == id) {
            return llc;
        }
    }
    llc = g_new0(VPMULLC, 1);
    llc->id = id;
    qemu_mutex_init(&llc->lock);
    sim_sets_init(&llc->sets, geometry,
                  g_new(uint64_t, sim_geometry_entries(geometry)));
    QLIST_INSERT_HEAD(&vpmu_llcs, llc, next);
    return llc;
}

static bool vpmu_check_geometry(const VPMUGeometry *g, Error **errp)
{
    const SimGeometry all[] = {
        g->l1i, g->l1d, g->llc, g->itlb, g->dtlb, g->stlb,
    };
    bool valid = !g->l2.sets || sim_geometry_is_valid(g->l2);

    /* VPMURecent needs this; smaller ones have not been built for long. */
    valid &= g->l1i.sets >= VPMU_NR_RECENT && g->l1d.sets >= VPMU_NR_RECENT;

    for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
        valid &= sim_geometry_is_valid(all[i]);
    }
    if (!valid) {
        error_setg(errp, "pmu-model=simple: the number of sets of a cache of "
                   "this CPU model is not a power of two, or less than %u in "
                   "the first level: use another model, or pmu-model=none",
                   VPMU_NR_RECENT);
    }
    return valid;
}

/* Make one of the vCPU's own memories in the room that is left. */
static void vpmu_sim_place(SimSets *sets, SimGeometry geometry, uint64_t **room)
{
    sim_sets_init(sets, geometry, *room);
    *room += sim_geometry_entries(geometry);
}

bool vpmu_simulation_realize(X86CPU *cpu, Error **errp)
{
    VPMUGeometry g = vpmu_geometry(cpu);
    uint64_t *room;
    VPMUSim *sim;
    size_t entries;

    if (!vpmu_check_geometry(&g, errp)) {
        return false;
    }
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
    sim->llc = vpmu_llc_of(cpu, g.llc);
    cpu->env.vpmu_host.sim = sim;
    return true;
}

void vpmu_simulation_unrealize(X86CPU *cpu)
{
    g_free(cpu->env.vpmu_host.sim);
    cpu->env.vpmu_host.sim = NULL;
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

void vpmu_simulation_begin(CPUX86State *env)
{
    VPMUHost *host = &env->vpmu_host;
    VPMUSim *sim = host->sim;
    unsigned what = host->sim_forget;

    host->sim_forget = 0;
    host->sim_line = VPMU_NO_LINE;
    host->sim_again = VPMU_NO_LINE;
    for (unsigned i = 0; i < VPMU_NR_RECENT; i++) {
        sim->data[i].line = VPMU_NO_LINE;
        sim->code[i].line = VPMU_NO_LINE;
    }
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
