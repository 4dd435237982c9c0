/*
 * VMX for TCG: extended page tables
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "The Extended Page Table Mechanism".
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "exec/cpu_ldst.h"
#include "exec/cputlb.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "internal.h"

#define EPT_READ            (1 << 0)
#define EPT_WRITE           (1 << 1)
#define EPT_EXECUTE         (1 << 2)
#define EPT_RIGHTS          7
#define EPT_TYPE_SHIFT      3
#define EPT_LARGE           (1 << 7)
#define EPT_ACCESSED        (1 << 8)
#define EPT_DIRTY           (1 << 9)
#define EPT_ADDRESS         0x000ffffffffff000ull

#define EPTP_TYPE           7
#define EPTP_LEVELS         (7 << 3)
#define EPTP_AD             (1 << 6)
#define EPTP_RESERVED       0xf80

#define EPT_LEVELS          4

/*
 * What vmx_ept_translate() reports of a failure fits into
 * CPUX86State.error_code, which it passes through: the access, what the
 * entries allow, and whether it is a misconfiguration.
 */
#define EPT_ERROR_ALLOWED_SHIFT 3
#define EPT_ERROR_MISCONFIG     (1 << 6)

/* Bits of the exit qualification, SDM table 29-7 */
#define EPT_QUAL_LINEAR_VALID   (1 << 7)
#define EPT_QUAL_TRANSLATED     (1 << 8)
#define EPT_QUAL_ASYNCHRONOUS   (1 << 16)

/* An entry that has been read */
typedef struct EPTEntry {
    uint64_t *host;
    uint64_t address;
    uint64_t value;
} EPTEntry;

bool vmx_is_eptp(CPUX86State *env, uint64_t eptp)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];

    return (eptp & EPTP_TYPE) == 6 && (caps & MSR_VMX_EPT_WB) &&
           (eptp & EPTP_LEVELS) == (EPT_LEVELS - 1) << 3 &&
           (!(eptp & EPTP_AD) || (caps & MSR_VMX_EPT_AD_BITS)) &&
           !(eptp & EPTP_RESERVED) && vmx_is_page(env, eptp & ~0xfffull);
}

static void ept_load(CPUX86State *env, EPTEntry *entry, uint64_t address,
                     uintptr_t retaddr)
{
    void *host;

    probe_access_full_mmu(env, address, 0, MMU_DATA_LOAD, MMU_PHYS_IDX, &host,
                          NULL);
    entry->host = host;
    entry->address = address;
    entry->value = host ? ldq_le_p(host) :
                   cpu_ldq_mmuidx_ra(env, address, MMU_PHYS_IDX, retaddr);
}

/* Set flags in an entry.  Returns false if it has changed in between. */
static bool ept_set(CPUX86State *env, EPTEntry *entry, uint64_t flags,
                    uintptr_t retaddr)
{
    uint64_t value = entry->value | flags;
    void *host;

    if (value == entry->value) {
        return true;
    }
    probe_access_full_mmu(env, entry->address, 0, MMU_DATA_STORE, MMU_PHYS_IDX,
                          &host, NULL);
    if (!host) {
        cpu_stq_mmuidx_ra(env, entry->address, value, MMU_PHYS_IDX, retaddr);
        return true;
    }
    /* The flags are in the lower half, which 32-bit hosts can compare. */
    return qatomic_cmpxchg((uint32_t *)host,
                           (uint32_t)cpu_to_le32((uint32_t)entry->value),
                           (uint32_t)cpu_to_le32((uint32_t)value)) ==
           cpu_to_le32((uint32_t)entry->value);
}

static bool ept_is_leaf(uint64_t entry, unsigned level)
{
    return level == 1 || (level < EPT_LEVELS && (entry & EPT_LARGE));
}

/* SDM volume 3, "EPT Misconfigurations"; the entry is present. */
static bool ept_is_misconfigured(CPUX86State *env, uint64_t entry,
                                 unsigned level)
{
    uint64_t caps = env->features[FEAT_VMX_EPT_VPID_CAPS];
    unsigned rights = entry & EPT_RIGHTS;
    unsigned type = entry >> EPT_TYPE_SHIFT & 7;
    uint64_t page_mask = (1ull << (12 + 9 * (level - 1))) - 1;

    if ((rights & EPT_WRITE) && !(rights & EPT_READ)) {
        return true;
    }
    if (rights == EPT_EXECUTE && !(caps & MSR_VMX_EPT_EXECONLY)) {
        return true;
    }
    if ((entry & EPT_ADDRESS) >> env_archcpu(env)->phys_bits) {
        return true;
    }
    if (!ept_is_leaf(entry, level)) {
        return entry & (level == EPT_LEVELS ? 0xf8 : 0x78);
    }
    return type == 2 || type == 3 || type == 7 ||
           (entry & EPT_ADDRESS & page_mask) ||
           (level == 3 && !(caps & MSR_VMX_EPT_1GB)) ||
           (level == 2 && !(caps & MSR_VMX_EPT_2MB));
}

static bool ept_mark(CPUX86State *env, EPTEntry *entries, unsigned leaf,
                     bool is_store, uintptr_t retaddr)
{
    for (unsigned level = EPT_LEVELS; level >= leaf; level--) {
        uint64_t flags = EPT_ACCESSED;

        if (level == leaf && is_store) {
            flags |= EPT_DIRTY;
        }
        if (!ept_set(env, &entries[level], flags, retaddr)) {
            return false;
        }
    }
    return true;
}

bool vmx_ept_translate(CPUX86State *env, uint64_t address, int access_type,
                       hwaddr *physical, int *prot, int *page_size, int *error,
                       uintptr_t retaddr)
{
    static const uint8_t needed[] = {
        [MMU_DATA_LOAD] = EPT_READ,
        [MMU_DATA_STORE] = EPT_WRITE,
        [MMU_INST_FETCH] = EPT_EXECUTE,
    };
    bool has_flags = env->nested_cr3 & EPTP_AD;
    bool is_store = access_type == MMU_DATA_STORE;
    EPTEntry entries[EPT_LEVELS + 1];
    unsigned rights, level;
    uint64_t value, mask;

 again:
    rights = EPT_RIGHTS;
    value = env->nested_cr3;
    for (level = EPT_LEVELS; ; level--) {
        unsigned index = address >> (12 + 9 * (level - 1)) & 0x1ff;

        ept_load(env, &entries[level], (value & EPT_ADDRESS) + index * 8,
                 retaddr);
        value = entries[level].value;
        if ((value & EPT_RIGHTS) &&
            ept_is_misconfigured(env, value, level)) {
            *error = EPT_ERROR_MISCONFIG;
            return false;
        }
        rights &= value;
        if (!(value & EPT_RIGHTS) || ept_is_leaf(value, level)) {
            break;
        }
    }
    if (!(rights & needed[access_type]) || address >> 48) {
        *error = needed[access_type] | rights << EPT_ERROR_ALLOWED_SHIFT;
        return false;
    }
    if (has_flags && !ept_mark(env, entries, level, is_store, retaddr)) {
        goto again;
    }

    mask = (1ull << (12 + 9 * (level - 1))) - 1;
    *physical = (value & EPT_ADDRESS & ~mask) | (address & mask);
    *page_size = mask + 1;
    *prot = (rights & EPT_READ ? PAGE_READ : 0) |
            (rights & EPT_EXECUTE ? PAGE_EXEC : 0);
    if ((rights & EPT_WRITE) &&
        (is_store || !has_flags || (value & EPT_DIRTY))) {
        *prot |= PAGE_WRITE;
    }
    return true;
}

int vmx_walk_access(CPUX86State *env, int idx)
{
    return idx == MMU_NESTED_IDX && vmx_in_guest(env) &&
           !(env->nested_cr3 & EPTP_AD) ? MMU_DATA_LOAD : MMU_DATA_STORE;
}

/* The VM exit for an access that vmx_ept_translate() has found to fail */
static VMXExit ept_exit(uint64_t linear, int error, uint64_t address,
                        uint64_t qualification)
{
    VMXExit exit = { .reason = VMX_EXIT_EPT_VIOLATION, .physical = address };

    if (error & EPT_ERROR_MISCONFIG) {
        exit.reason = VMX_EXIT_EPT_MISCONFIG;
        return exit;
    }
    exit.linear = linear;
    exit.qualification = error | qualification;
    return exit;
}

void vmx_memory_fault(CPUX86State *env, uint64_t linear, int vector, int error,
                      uint64_t address, bool is_walk, bool probe,
                      uintptr_t retaddr)
{
    VMXExit exit;

    if (vector < 0) {
        /* A walk that writes an entry has read it, or would have, before. */
        exit = ept_exit(linear, error, address, EPT_QUAL_LINEAR_VALID |
                        (is_walk ? EPT_READ : EPT_QUAL_TRANSLATED));
    }
    if (probe) {
        env->vmx.has_missed = vector < 0;
        if (vector < 0) {
            env->vmx.missed = exit;
        }
    } else if (vector < 0) {
        vmx_exit(env, &exit, exit.reason == VMX_EXIT_EPT_MISCONFIG, retaddr);
    } else if (vector == EXCP0E_PAGE) {
        vmx_page_fault(env, error, address, retaddr);
    }
}

bool vmx_exit_for_memory(CPUX86State *env)
{
    BQL_LOCK_GUARD();

    if (!vmx_in_guest(env) || !env->vmx.has_missed) {
        return false;
    }
    if (env->vmx.missed.reason == VMX_EXIT_EPT_VIOLATION) {
        env->vmx.missed.qualification |= EPT_QUAL_ASYNCHRONOUS;
    }
    env->vmx.missed_vmcs = env->vmx.vmcs;
    env->vmx.exit_due = true;
    cpu_interrupt(env_cpu(env), CPU_INTERRUPT_VMX);
    return true;
}

/* The guest's page-directory-pointer entries */

bool vmx_set_pdptes(CPUX86State *env, const uint64_t *pdptes)
{
    uint64_t reserved = 0x1e6 | ~0ull << env_archcpu(env)->phys_bits;

    for (unsigned i = 0; i < 4; i++) {
        if ((pdptes[i] & PG_PRESENT_MASK) && (pdptes[i] & reserved)) {
            return false;
        }
    }
    memcpy(env->pdptrs, pdptes, sizeof(env->pdptrs));
    env->pdptrs_valid = true;
    return true;
}

bool vmx_load_pdptes(CPUX86State *env, uint64_t cr3, uintptr_t retaddr)
{
    hwaddr address = cr3 & 0xffffffe0;
    uint64_t pdptes[4];
    int prot, page_size, error;

    if ((env->hflags2 & HF2_NPT_MASK) &&
        !vmx_ept_translate(env, address, MMU_DATA_LOAD, &address, &prot,
                           &page_size, &error, retaddr)) {
        VMXExit exit = ept_exit(0, error, address, 0);

        vmx_exit(env, &exit, true, retaddr);
    }
    for (unsigned i = 0; i < 4; i++) {
        pdptes[i] = x86_ldq_phys(env_cpu(env), address + i * 8);
    }
    return vmx_set_pdptes(env, pdptes);
}
