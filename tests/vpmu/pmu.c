/*
 * Counters that overflow at a known event, for pmi.c and pebs.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "case.h"
#include "pmu.h"

struct cpu *const cpu = &cpus[0];
struct hit hit;
bool keep_counting, skip_to_r15;
const uint64_t *pmu_watch;

/* The handler of page faults makes the window present. */
static bool map_window;

uint64_t pattern_place(const struct pattern *p, unsigned n)
{
    return (uint64_t)p->start + (n - 1) / p->per_turn * p->size +
           p->place[(n - 1) % p->per_turn];
}

static void on_overflow(struct frame *frame)
{
    if (!hit.n++) {
        hit.frame = *frame;
        hit.status = rdmsr(MSR_GLOBAL_STATUS);
        hit.ctrl = rdmsr(MSR_GLOBAL_CTRL);
        hit.lvtpc = apic_read(APIC_LVTPC);
        hit.count = rdmsr(MSR_PMC0) + rdmsr(MSR_FIXED_CTR0);
        hit.watched = pmu_watch ? *pmu_watch : 0;
    }
    if (!keep_counting) {
        wrmsr(MSR_GLOBAL_CTRL, 0);
    }
    if (skip_to_r15) {
        frame->rip = frame->r15;
    }
    if (frame->vector == VECTOR_PMI) {
        apic_write(APIC_EOI, 0);
    }
}

static bool on_trap(struct frame *frame)
{
    switch (frame->vector) {
    case VECTOR_PMI:
    case VECTOR_NMI:
        on_overflow(frame);
        return true;
    case VECTOR_IPI:
        apic_write(APIC_EOI, 0);
        break;
    case 14:
        if (map_window) {
            rt_window(~0u);
            break;
        }
        /* fall through */
    default:
        if (frame->vector >= 32 || !frame->r15) {
            return false;
        }
        frame->rip = frame->r15;
    }
    hit.before += !hit.n;
    return true;
}

void pmu_start(void)
{
    set_gate_type(cpu, 0x40, h_iret, GATE_TRAP);
    set_gate(cpu, 0x43, h_iret);
    set_syscall(h_sysret, 0);
    trap_hook = on_trap;
    start_cpus();
}

uint64_t pmu_status(void)
{
    return rdmsr(on_amd ? MSR_AMD_STATUS : MSR_GLOBAL_STATUS);
}

void pmu_acknowledge(uint64_t bits)
{
    wrmsr(on_amd ? MSR_AMD_STATUS_CLR : MSR_GLOBAL_OVF_CTRL, bits);
}

void pmu_clear(void)
{
    wrmsr(msr_global_ctrl(), 0);
    /* Under KVM it may be read-only. */
    if (rdmsr(MSR_DEBUGCTL)) {
        wrmsr(MSR_DEBUGCTL, 0);
    }
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(msr_select(i), 0);
        wrmsr(msr_value(i), 0);
    }
    for (unsigned j = 0; j < pmu_fixed; j++) {
        wrmsr(MSR_FIXED_CTR0 + j, 0);
    }
    if (pmu_fixed) {
        wrmsr(MSR_FIXED_CTR_CTRL, 0);
    }
    pmu_acknowledge(pmu_status());
}

void pmu_prepare(void)
{
    memset(&hit, 0, sizeof(hit));
    memset(cpu->buffer, 0, sizeof(cpu->buffer));
    keep_counting = skip_to_r15 = map_window = false;
    pmu_clear();
    apic_write(APIC_LVTPC, VECTOR_PMI);
}

uint64_t pmu_minus(uint64_t n)
{
    return -n & COUNTER_MASK;
}

uint64_t pmu_value(unsigned counter)
{
    return rdmsr(counter < 32 ? msr_value(counter) :
                                MSR_FIXED_CTR0 + counter - 32);
}

static void count_fixed(unsigned j, uint64_t event, unsigned rings, uint64_t n)
{
    uint64_t ctrl = rdmsr(MSR_FIXED_CTR_CTRL);

    ctrl &= ~(UINT64_C(0x10000000f) << 4 * j);
    ctrl |= (uint64_t)rings << 4 * j;
    if (event & EVTSEL_ADAPTIVE) {
        ctrl |= UINT64_C(1) << (32 + 4 * j);
    }
    if (event & EVTSEL_INT) {
        ctrl |= UINT64_C(8) << 4 * j;
    }
    wrmsr(MSR_FIXED_CTR0 + j, pmu_minus(n));
    wrmsr(MSR_FIXED_CTR_CTRL, ctrl);
}

uint64_t pmu_count(unsigned counter, uint64_t event, unsigned rings,
                   uint64_t n)
{
    if (counter < 32) {
        wrmsr(msr_value(counter), pmu_minus(n));
        wrmsr(msr_select(counter),
              event | EVTSEL_EN | (rings & RING0 ? EVTSEL_OS : 0) |
              (rings & RING3 ? EVTSEL_USR : 0));
    } else {
        count_fixed(counter - 32, event, rings, n);
    }
    return UINT64_C(1) << counter;
}

void run_insns(uint64_t flags, uint64_t mask)
{
    run_code(cpu, body_insn_code, true, flags, mask);
}

unsigned call_counts(uint32_t event)
{
    bool counts;

    switch (event & 0xffff) {
    case EV_INSNS:
    case EV_CYCLES:
    case EV_BRANCHES:
    case EV_NEAR_TAKEN:
    case EV_CALLS:
    case EV_STORES:
        counts = true;
        break;
    default:
        counts = false;
    }
    return event & EVTSEL_INV ? !counts : counts;
}

void before_hole_map(struct cpu *me)
{
    rt_window(0);
    map_window = true;
}
