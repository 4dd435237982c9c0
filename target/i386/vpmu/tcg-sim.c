/*
 * A vCPU's simulated caches, TLBs and branch predictor under TCG
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Translated code and helpers call this before they access memory, and where a
 * branch retires.  An access comes here before it is made.  It may fault at
 * that very place, so its instruction may also be restarted there.  That is
 * what is done if the access would make a counter overflow and its block goes
 * on behind the instruction: it is executed again in a block of its own, and
 * its overflow is then found where it belongs, at the next boundary.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/cpu_ldst.h"
#include "exec/exec-all.h"
#include "exec/helper-proto.h"
#include "sim-calls.h"
#include "simulation.h"
#include "tcg-vcpu.h"
#include "tcg/helper-tcg.h"
#include "tcg/insn-start-words.h"
#include "tcg/tcg.h"
#include "vpmc.h"

QEMU_BUILD_BUG_ON(HF_VPMU_SIM_MASK & (HF_VPMU_MASK | HF_VPMU_BRANCH_MASK));

/* An access to one line, as far as it is known */
typedef struct VPMUTouch {
    SimUse use;
    /* Linear address of the whole access */
    uint64_t linear;
    SimPage page;
    /* Physical address in the line */
    uint64_t address;
    /* It is memory, not a device, and goes through the caches. */
    bool is_cached;
} VPMUTouch;

/* Overflows */

/* Does the block end behind the instruction that runs, whatever it does? */
static bool vpmu_is_alone(uintptr_t retaddr)
{
    const TranslationBlock *tb = retaddr ? tcg_tb_lookup(retaddr) : NULL;

    return !tb || (tb->icount == 1 &&
                   (tb_cflags(tb) & (CF_NO_GOTO_PTR | CF_NOIRQ)));
}

/*
 * Execute the instruction anew, in a block of its own.
 * @fetched: its code has been fetched
 */
static G_NORETURN void vpmu_restart_alone(CPUX86State *env, bool fetched,
                                          uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    uint32_t cflags = tb_cflags(tcg_tb_lookup(retaddr));
    uint64_t again = env->vpmu_host.sim_again;

    cpu_restore_state(cs, retaddr);
    if (!fetched) {
        env->vpmu_host.sim_again = again;
    }
    /* Plugins know of this instruction already. */
    cs->cflags_next_tb = (cflags & ~CF_COUNT_MASK) | CF_NO_GOTO_PTR |
                         CF_MEMI_ONLY | 1;
    cpu_loop_exit_noexc(cs);
}

/* The linear address of the instruction that runs */
static uint64_t vpmu_running_ip(CPUX86State *env, uintptr_t retaddr)
{
    uint64_t data[TARGET_INSN_START_WORDS];
    uint64_t ip = vpmu_linear_ip(env);

    if (retaddr && cpu_unwind_state_data(env_cpu(env), retaddr, data)) {
        ip = (tb_cflags(tcg_tb_lookup(retaddr)) & CF_PCREL ?
              ip & TARGET_PAGE_MASK : 0) | data[0];
    }
    return ip;
}

/* Does one of these counters make PEBS records? */
static bool vpmu_some_precise(const SoftPMU *pmu, VPMUCounterMask ppmcs)
{
    for (unsigned p = 0; p < VPMU_NR; p++) {
        if ((ppmcs & VPMU_MASK_OF(p)) && pmu->config[p].precise) {
            return true;
        }
    }
    return false;
}

/*
 * Have a record know of an access of the instruction at @ip.  What is known of
 * the same instruction's other access stays.
 */
static void vpmu_sim_note(SoftPMU *pmu, const SoftPMUNote *note, uint64_t ip)
{
    SoftPMUNote *all = &pmu->note;

    if (all->ip != ip) {
        *all = (SoftPMUNote) { .ip = ip };
    }
    if (note->load) {
        all->load = note->load;
        all->load_found = note->load_found;
    }
    if (note->store) {
        all->store = note->store;
        all->store_found = note->store_found;
    }
}

/*
 * @note: the access, for a PEBS record, and the instruction if another one than
 * that which runs
 */
static void vpmu_sim_count(CPUX86State *env, SimOutcome outcome,
                           const SoftPMUNote *note, uintptr_t retaddr)
{
    SoftPMU *pmu = &env->vpmu_host.hw;
    VPMUCounterMask overflowed =
        softpmu_sim_count(pmu, vpmu_ring(env->hflags), outcome);

    if (vpmu_some_precise(pmu, overflowed)) {
        vpmu_sim_note(pmu, note, note->ip ?: vpmu_running_ip(env, retaddr));
    }
    if (overflowed) {
        /* The instruction is the last of its block, see vpmu_is_alone(). */
        env_cpu(env)->neg.can_do_io = true;
        vpmu_request_sync(env);
    }
}

/* Memory */

/* Is there a second translation, of a guest of the guest? */
static bool vpmu_is_nested(const CPUX86State *env)
{
    return env->hflags2 & HF2_NPT_MASK;
}

/* The size of the page of an address; 0: there is no TLB */
static uint8_t vpmu_page_bits(const CPUX86State *env,
                              const CPUTLBEntryFull *full)
{
    if (!(env->cr[0] & CR0_PG_MASK)) {
        return 0;
    }
    /* Of two translations QEMU has the larger page, and a TLB the smaller. */
    return vpmu_is_nested(env) ? TARGET_PAGE_BITS : full->lg_page_size;
}

/*
 * Find out all about an access to one line.
 * Returns: whether it can be made; otherwise it will fault.
 */
static bool vpmu_touch_find(CPUX86State *env, VPMUTouch *touch,
                            uint64_t address, int mmu_idx)
{
    MMUAccessType type = touch->use == SIM_FETCH ? MMU_INST_FETCH :
                                                   MMU_DATA_LOAD;
    CPUTLBEntryFull *full;
    int flags = probe_access_full_mmu(env, address, 0, type, mmu_idx, NULL,
                                      &full);

    if (!(flags & TLB_INVALID_MASK) && touch->use == SIM_STORE &&
        !(full->prot & PAGE_WRITE)) {
        /* The page may be clean: this makes it dirty, as the store would. */
        tlb_vaddr_to_host(env, address, MMU_DATA_STORE, mmu_idx);
        flags = probe_access_full_mmu(env, address, 0, type, mmu_idx, NULL,
                                      &full);
        if (!(flags & TLB_INVALID_MASK) && !(full->prot & PAGE_WRITE)) {
            return false;
        }
    }
    if (flags & TLB_INVALID_MASK) {
        return false;
    }
    touch->page.address = address;
    touch->page.bits = vpmu_page_bits(env, full);
    touch->address = full->phys_addr | (address & ~TARGET_PAGE_MASK);
    touch->is_cached = !(flags & TLB_MMIO);
    return true;
}

/*
 * Whether the page stays in the TLB when CR3 is loaded.  QEMU does not keep
 * this in its own TLB, so the page tables are read; only the simulated TLB's
 * misses come here.
 */
static bool vpmu_page_is_global(CPUX86State *env, const SimPage *page)
{
    CPUState *cs = env_cpu(env);
    bool is_long = env->hflags & HF_LMA_MASK;
    bool is_wide = env->cr[4] & CR4_PAE_MASK;
    unsigned width = is_wide ? 9 : 10;
    int shift = is_long ? (env->cr[4] & CR4_LA57_MASK ? 48 : 39) :
                is_wide ? 30 : 22;
    uint64_t table = is_long || !is_wide ? env->cr[3] & ~0xfffull :
                                           env->cr[3] & 0xffffffe0;

    if (!(env->cr[4] & CR4_PGE_MASK) || vpmu_is_nested(env)) {
        return false;
    }
    for (;; shift -= width) {
        unsigned index = page->address >> shift &
                         (is_wide && !is_long && shift == 30 ? 3 :
                          (1u << width) - 1);
        uint64_t entry = is_wide ? x86_ldq_phys(cs, table + index * 8) :
                                   x86_ldl_phys(cs, table + index * 4);

        if (!(entry & PG_PRESENT_MASK)) {
            return false;
        }
        if (shift <= page->bits) {
            return entry & PG_GLOBAL_MASK;
        }
        table = entry & PG_ADDRESS_MASK;
    }
}

static VPMURecent *vpmu_recent(VPMURecent *all, uint64_t address)
{
    return &all[address / SIM_LINE_SIZE % VPMU_NR_RECENT];
}

/* Whether an access to the line at @address changes nothing */
static bool vpmu_is_recent(const VPMURecent *recent, uint64_t address)
{
    return recent->line == (address & -SIM_LINE_SIZE) &&
           *recent->latest == recent->page;
}

static void vpmu_remember(VPMUSim *sim, const VPMUTouch *touch,
                          const uint64_t *latest)
{
    VPMURecent *recent = vpmu_recent(touch->use == SIM_FETCH ? sim->code :
                                                               sim->data,
                                     touch->page.address);

    recent->line = touch->page.address & -SIM_LINE_SIZE;
    recent->latest = latest ?: &recent->page;
    recent->page = *recent->latest;
}

/* Count an access that has been made, and have a PEBS record know about it. */
static void vpmu_note_access(CPUX86State *env, const VPMUTouch *touch,
                             SimOutcome outcome, SimLevel level,
                             uintptr_t retaddr)
{
    SoftPMUNote *first = &env->vpmu_host.hw.note;
    SoftPMUNote mine = {
        .load = touch->use == SIM_LOAD ? touch->linear : 0,
        .store = touch->use == SIM_STORE ? touch->linear : 0,
    };
    SoftPMUFound found = {
        .level = level,
        .walked = outcome & SIM_WALKED,
    };

    if (mine.load) {
        mine.load_found = found;
    } else {
        mine.store_found = found;
    }
    if (vpmu_level(env->hflags) == SOFTPMU_LEVEL_NOTE) {
        /* The first access has been noted; this may be another line of it. */
        if (mine.load && mine.load == first->load &&
            level >= first->load_found.level) {
            first->load_found = found;
        }
        if (mine.store && mine.store == first->store &&
            level >= first->store_found.level) {
            first->store_found = found;
        }
    }
    vpmu_sim_count(env, outcome, &mine, retaddr);
}

/*
 * Make an access to one line, of which all is known but page.is_global.
 * @final: the instruction cannot be restarted
 */
static void vpmu_touch_line(CPUX86State *env, VPMUTouch *touch, bool final,
                            uintptr_t retaddr)
{
    VPMUSim *sim = env->vpmu_host.sim;
    SoftPMU *pmu = &env->vpmu_host.hw;
    unsigned ring = vpmu_ring(env->hflags);
    SimOutcome outcome = sim_tlb_outcome(&sim->tlbs, touch->use, &touch->page);
    SimLevel level = !touch->is_cached ? SIM_L1 :
                     sim_cache_find_own(&sim->caches, touch->use,
                                        touch->address);
    bool shared = level == SIM_MEMORY;
    const uint64_t *latest;

    if (outcome) {
        touch->page.is_global = vpmu_page_is_global(env, &touch->page);
    }
    if (shared) {
        qemu_mutex_lock(&sim->llc->lock);
        level = sim_cache_find_llc(&sim->llc->sets, touch->address);
    }
    if (touch->is_cached) {
        outcome |= sim_level_outcome(touch->use, level);
    }
    if (!final && softpmu_sim_overflows(pmu, ring, outcome) &&
        !vpmu_is_alone(retaddr)) {
        if (shared) {
            qemu_mutex_unlock(&sim->llc->lock);
        }
        vpmu_restart_alone(env, touch->use != SIM_FETCH, retaddr);
    }
    latest = sim_tlb_access(&sim->tlbs, touch->use, &touch->page);
    if (touch->is_cached) {
        sim_cache_access_own(&sim->caches, touch->use, touch->address);
        vpmu_remember(sim, touch, latest);
    }
    if (shared) {
        sim_cache_access_llc(&sim->llc->sets, touch->address);
        qemu_mutex_unlock(&sim->llc->lock);
    }
    vpmu_note_access(env, touch, outcome, level, retaddr);
}

void vpmu_tcg_touch(CPUX86State *env, uint64_t address, unsigned size,
                    unsigned uses, int mmu_idx, uintptr_t retaddr)
{
    unsigned nr = (address % SIM_LINE_SIZE + size - 1) / SIM_LINE_SIZE + 1;
    VPMUTouch touches[VPMU_TOUCH_MAX / SIM_LINE_SIZE + 1];
    bool final = uses & VPMU_TOUCH_FINAL;

    assert(size && nr <= ARRAY_SIZE(touches));
    for (unsigned i = 0; i < nr; i++) {
        VPMUTouch *touch = &touches[i];
        uint64_t at = i ? (address & -SIM_LINE_SIZE) + i * SIM_LINE_SIZE :
                          address;

        *touch = (VPMUTouch) {
            .use = uses & VPMU_TOUCH_STORE ? SIM_STORE : SIM_LOAD,
            .linear = address,
        };
        /* Outside of long mode addresses go on at 0 behind 4 GiB. */
        if (!(env->hflags & HF_LMA_MASK)) {
            at = (uint32_t)at;
        }
        /* All of an access is checked before any of it is made. */
        if (!vpmu_touch_find(env, touch, at, mmu_idx)) {
            return;
        }
        /*
         * For the atomic operation of a device the instruction is executed once
         * more by itself, see helper_vpmu_sim_access().
         */
        if (!touch->is_cached && (uses & VPMU_TOUCH_LOAD) &&
            (uses & VPMU_TOUCH_STORE)) {
            return;
        }
        /* A device must not see the access twice. */
        if (!touch->is_cached && !final && env->vpmu_host.hw.sim_is_near &&
            !vpmu_is_alone(retaddr)) {
            vpmu_restart_alone(env, true, retaddr);
        }
    }
    for (unsigned i = 0; i < nr; i++) {
        for (unsigned use = VPMU_TOUCH_LOAD; use <= VPMU_TOUCH_STORE;
             use <<= 1) {
            if (uses & use) {
                touches[i].use = use == VPMU_TOUCH_LOAD ? SIM_LOAD : SIM_STORE;
                vpmu_touch_line(env, &touches[i], final, retaddr);
            }
        }
    }
}

/*
 * Translated code is about to access memory.
 * @info: as in sim-calls.h
 */
void helper_vpmu_sim_access(CPUX86State *env, uint64_t address, uint32_t info)
{
    MemOpIdx oi = info >> VPMU_TOUCH_SHIFT;
    MemOp op = get_memop(oi);
    unsigned uses = info & (VPMU_TOUCH_LOAD | VPMU_TOUCH_STORE);

    if (vpmu_is_recent(vpmu_recent(env->vpmu_host.sim->data, address),
                       address) &&
        address % SIM_LINE_SIZE + memop_size(op) <= SIM_LINE_SIZE) {
        return;
    }
    /*
     * What is not aligned as it has to be will fault.  An atomic operation that
     * cannot be one will be done by a load and a store instead, while no other
     * vCPU runs.
     */
    if (address & ((1u << memop_alignment_bits(op)) - 1) ||
        ((uses & VPMU_TOUCH_LOAD) && (uses & VPMU_TOUCH_STORE) &&
         address & (memop_size(op) - 1))) {
        return;
    }
    vpmu_tcg_touch(env, address, memop_size(op), uses, get_mmuidx(oi), GETPC());
}

/* @final: as for vpmu_touch_line() */
static void vpmu_sim_fetch(CPUX86State *env, uint64_t address, bool final,
                           uintptr_t retaddr)
{
    VPMUTouch touch = { .use = SIM_FETCH };

    if (vpmu_is_recent(vpmu_recent(env->vpmu_host.sim->code, address),
                       address) &&
        !(env->vpmu_host.hw.sim & 1u << SIM_FETCH_L1)) {
        env->vpmu_host.sim_line = address & -SIM_LINE_SIZE;
        return;
    }
    if (vpmu_touch_find(env, &touch, address,
                        cpu_mmu_index(env_cpu(env), true))) {
        vpmu_touch_line(env, &touch, final, retaddr);
    }
    env->vpmu_host.sim_line = address & -SIM_LINE_SIZE;
}

/*
 * The instruction that is about to run has code in another line than the one
 * before it.
 * @address: where that code is, linear
 */
void helper_vpmu_sim_fetch(CPUX86State *env, uint64_t address)
{
    env->vpmu_host.sim_again = VPMU_NO_LINE;
    vpmu_sim_fetch(env, address, false, GETPC());
}

/*
 * The first instruction of a block is in two lines.
 * @address: its linear address
 *
 * If it did not come to its end the last time, and nothing else has been
 * executed since, its code is still there.
 */
void helper_vpmu_sim_fetch_two(CPUX86State *env, uint64_t address)
{
    VPMUHost *host = &env->vpmu_host;
    uint64_t first = address & -SIM_LINE_SIZE;
    bool again = host->sim_again == address;

    if (host->hw.sim_is_near && !vpmu_is_alone(GETPC())) {
        vpmu_restart_alone(env, false, GETPC());
    }
    host->sim_again = VPMU_NO_LINE;
    if (again) {
        host->sim_line = first + SIM_LINE_SIZE;
        return;
    }
    if (host->sim_line != first) {
        vpmu_sim_fetch(env, address, true, GETPC());
    }
    vpmu_sim_fetch(env, first + SIM_LINE_SIZE, true, GETPC());
}

/* Branches */

/*
 * An instruction is about to run that may make a counter overflow where it can
 * no longer be restarted: a branch, of which is known only behind it whether it
 * was predicted, or an instruction that a helper executes.
 */
void helper_vpmu_sim_alone(CPUX86State *env)
{
    if (!vpmu_is_alone(GETPC())) {
        vpmu_restart_alone(env, false, GETPC());
    }
}

/*
 * A near branch has retired, but for the end of its block.
 * @from, @to: RIP of the branch and of its target, or of what follows it
 * @info: as in sim-calls.h
 */
void helper_vpmu_sim_branch(CPUX86State *env, target_ulong from,
                            target_ulong to, uint32_t info)
{
    SimBranches *branches = &env->vpmu_host.sim->branches;
    uint64_t branch = vpmu_linear_code(env, from);
    uint64_t target = vpmu_linear_code(env, to);
    SoftPMUBranch kind = info & 0xff;
    SimOutcome outcome = 0;
    /* RIP may have its target by now. */
    SoftPMUNote note = { .ip = branch };

    switch (kind) {
    case SOFTPMU_BR_COND:
        outcome = sim_branch_conditional(branches, branch,
                                         info & VPMU_SIM_TAKEN);
        break;
    case SOFTPMU_BR_JMP_IND:
    case SOFTPMU_BR_CALL_IND:
        outcome = sim_branch_indirect(branches, branch, target,
                                      kind == SOFTPMU_BR_CALL_IND);
        break;
    case SOFTPMU_BR_RET:
        outcome = sim_branch_return(branches, target);
        break;
    default:
        break;
    }
    if (kind == SOFTPMU_BR_CALL || kind == SOFTPMU_BR_CALL_IND) {
        sim_branch_call(branches,
                        vpmu_linear_code(env, from + (info >>
                                                      VPMU_SIM_LENGTH_SHIFT)));
    }
    if (outcome & env->vpmu_host.hw.sim) {
        vpmu_sim_count(env, outcome, &note, GETPC());
    }
}

/* TLB flushes */

void vpmu_tcg_flush_tlb(CPUX86State *env, bool keep_global)
{
    vpmu_simulation_forget(env, keep_global ? VPMU_FORGET_PAGES :
                                              VPMU_FORGET_GLOBAL);
}

void vpmu_tcg_flush_page(CPUX86State *env, uint64_t address)
{
    VPMUHost *host = &env->vpmu_host;

    if (host->sim) {
        sim_tlb_flush_page(&host->sim->tlbs, address);
        vpmu_simulation_forget_recent(host->sim);
        host->sim_line = VPMU_NO_LINE;
    }
}
