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

/* Execute the instruction anew, in a block of its own. */
static G_NORETURN void vpmu_restart_alone(CPUX86State *env, uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    uint32_t cflags = tb_cflags(tcg_tb_lookup(retaddr));

    cpu_restore_state(cs, retaddr);
    cs->cflags_next_tb = (cflags & ~CF_COUNT_MASK) | CF_NO_GOTO_PTR | 1;
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

/* @note: the access, for a PEBS record */
static void vpmu_sim_count(CPUX86State *env, SimOutcome outcome,
                           const SoftPMUNote *note, uintptr_t retaddr)
{
    CPUState *cs = env_cpu(env);
    SoftPMU *pmu = &env->vpmu_host.hw;
    VPMUCounterMask overflowed =
        softpmu_sim_count(pmu, vpmu_ring(env->hflags), outcome);

    if (overflowed) {
        pmu->note = *note;
        pmu->note.ip = vpmu_running_ip(env, retaddr);
        /* The instruction is the last of its block, see vpmu_is_alone(). */
        cs->neg.can_do_io = true;
        BQL_LOCK_GUARD();
        cpu_interrupt(cs, CPU_INTERRUPT_VPMU);
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
        vpmu_restart_alone(env, retaddr);
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

/* 32-bit code has no addresses beyond 4 GiB. */
static uint64_t vpmu_wrap(const CPUX86State *env, uint64_t address)
{
    return env->hflags & HF_CS64_MASK ? address : (uint32_t)address;
}

void vpmu_tcg_touch(CPUX86State *env, uint64_t address, unsigned size,
                    unsigned uses, int mmu_idx, uintptr_t retaddr)
{
    uint64_t last = vpmu_wrap(env, address + size - 1) & -SIM_LINE_SIZE;
    VPMUTouch touches[VPMU_TOUCH_MAX / SIM_LINE_SIZE + 1];
    unsigned nr = 0;
    uint64_t line = address & -SIM_LINE_SIZE;

    assert(size && size <= VPMU_TOUCH_MAX);
    for (;; line = vpmu_wrap(env, line + SIM_LINE_SIZE)) {
        VPMUTouch *touch = &touches[nr];

        *touch = (VPMUTouch) {
            .use = uses & VPMU_TOUCH_STORE ? SIM_STORE : SIM_LOAD,
            .linear = address,
        };
        /* All of an access is checked before any of it is made. */
        if (!vpmu_touch_find(env, touch, nr ? line : address, mmu_idx)) {
            return;
        }
        nr++;
        if (line == last) {
            break;
        }
    }
    for (unsigned i = 0; i < nr; i++) {
        for (unsigned use = VPMU_TOUCH_LOAD; use <= VPMU_TOUCH_STORE;
             use <<= 1) {
            if (uses & use) {
                touches[i].use = use == VPMU_TOUCH_LOAD ? SIM_LOAD : SIM_STORE;
                vpmu_touch_line(env, &touches[i], uses & VPMU_TOUCH_FINAL,
                                retaddr);
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

    if (vpmu_is_recent(vpmu_recent(env->vpmu_host.sim->data, address),
                       address) &&
        address % SIM_LINE_SIZE + memop_size(op) <= SIM_LINE_SIZE) {
        return;
    }
    /* What is not aligned as it has to be will fault. */
    if (!(address & ((1u << memop_alignment_bits(op)) - 1))) {
        vpmu_tcg_touch(env, address, memop_size(op),
                       info & (VPMU_TOUCH_LOAD | VPMU_TOUCH_STORE),
                       get_mmuidx(oi), GETPC());
    }
}

/*
 * The instruction that is about to run has code in another line than the one
 * before it.
 * @address: where that code is, linear
 */
void helper_vpmu_sim_fetch(CPUX86State *env, uint64_t address)
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
        vpmu_touch_line(env, &touch, false, GETPC());
    }
    env->vpmu_host.sim_line = address & -SIM_LINE_SIZE;
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
        vpmu_restart_alone(env, GETPC());
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
    static const SoftPMUNote no_access;
    SimBranches *branches = &env->vpmu_host.sim->branches;
    uint64_t base = env->hflags & HF_CS64_MASK ? 0 : env->segs[R_CS].base;
    SoftPMUBranch kind = info & 0xff;
    SimOutcome outcome = 0;

    switch (kind) {
    case SOFTPMU_BR_COND:
        outcome = sim_branch_conditional(branches, base + from,
                                         info & VPMU_SIM_TAKEN);
        break;
    case SOFTPMU_BR_JMP_IND:
    case SOFTPMU_BR_CALL_IND:
        outcome = sim_branch_indirect(branches, base + from, base + to,
                                      kind == SOFTPMU_BR_CALL_IND);
        break;
    case SOFTPMU_BR_RET:
        outcome = sim_branch_return(branches, base + to);
        break;
    default:
        break;
    }
    if (kind == SOFTPMU_BR_CALL || kind == SOFTPMU_BR_CALL_IND) {
        sim_branch_call(branches,
                        base + from + (info >> VPMU_SIM_LENGTH_SHIFT));
    }
    if (outcome & env->vpmu_host.hw.sim) {
        vpmu_sim_count(env, outcome, &no_access, GETPC());
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
        host->sim_line = VPMU_NO_LINE;
    }
}
