/*
 * Last branch records across VM entries and VM exits
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Calls, indirect jumps and far branches are recorded, of which the hypervisor
 * takes but one, the call of vmx_enter().  Neither an entry nor an exit has a
 * record; what an entry injects has one.
 */
#include "rt.h"
#include "guest.h"
#include "host.h"
#include "vmcs.h"

#define SELECT          0xb4        /* MSR_LBR_SELECT */
#define SELECT_NO_JUMPS 0xf4
#define ARCH_CTL        0x4c0003    /* IA32_LBR_CTL */
#define ARCH_NO_JUMPS   0x480003
#define ARCH_FORMAT     0x3f
#define DEPTH           32
/* IA32_LBR_x_INFO: there are cycles; the types */
#define HAS_CYCLES      (UINT64_C(1) << 60)
#define TYPE_SHIFT      56
enum { JUMP = 1, CALL = 4, FAR = 8 };

#define TYPE(event)     ((event) >> 8 & 7)
enum { EXTERNAL, NMI = 2, HARDWARE, INT_N, PRIVILEGED, INT_3 };

/*
 * Who switches on: an entry control, or the hypervisor, whose register the
 * entry leaves as it is; architectural records have no control here.
 */
enum mode { LOADED, KEPT, ARCH };
static const char *const mode_names[] = { "loaded", "kept", "architectural" };
static enum mode mode;

/* The register with the enable bit when the guest had come back */
static uint64_t seen;
/* Cycles since the last record at which recording was on */
static unsigned since;
/* Records that have been looked at, from the last one back */
static unsigned looked_at;

static uint64_t list[2] __attribute__((aligned(16)));

static uint32_t enable_msr(void)
{
    return mode == ARCH ? MSR_ARCH_LBR_CTL : MSR_DEBUGCTL;
}

static void clear(void)
{
    if (mode == ARCH) {
        wrmsr(MSR_ARCH_LBR_DEPTH, DEPTH);
        return;
    }
    for (unsigned i = 0; i < DEPTH; i++) {
        wrmsr(MSR_LBR_FROM + i, 0);
        wrmsr(MSR_LBR_TO + i, 0);
        wrmsr(MSR_LBR_INFO + i, 0);
    }
    wrmsr(MSR_LBR_TOS, DEPTH - 1);
    wrmsr(MSR_LBR_SELECT, SELECT);
}

/* A guest whose branches are recorded; EXIT_DEBUG saves DEBUGCTL. */
static void prepare(void (*guest)(void))
{
    clear();
    set_vmcs(guest);
    set_controls(VMCS_ENTRY_CONTROLS, 0x490,
                 ENTRY_IA32E | (mode == LOADED ? ENTRY_DEBUG : 0));
    set_controls(VMCS_EXIT_CONTROLS, 0x48f, EXIT_HOST_64 | EXIT_DEBUG);
    vmwrite(VMCS_GUEST_DEBUGCTL, mode == LOADED ? DEBUGCTL_LBR : 0);
    looked_at = 0;
}

/* Enter it.  Nothing here branches but for the call. */
static void run_guest(bool launch)
{
    uint64_t off = rdmsr(enable_msr());
    uint64_t on = mode == ARCH ? ARCH_CTL :
                  mode == KEPT ? DEBUGCTL_LBR : off;

    wrmsr(enable_msr(), on);
    vmx_enter(regs, launch);
    seen = rdmsr(enable_msr());
    wrmsr(enable_msr(), 0);
}

/* The record before the one that was looked at last; @cycles: -1: any */
static void check_record(const char *what, const void *from, const void *to,
                         unsigned type, int cycles)
{
    bool arch = mode == ARCH;
    unsigned i = arch ? looked_at :
                 (unsigned)(rdmsr(MSR_LBR_TOS) - looked_at) % DEPTH;
    uint64_t info = rdmsr((arch ? MSR_ARCH_LBR_INFO : MSR_LBR_INFO) + i);
    uint64_t want = arch ? HAS_CYCLES | (uint64_t)type << TYPE_SHIFT : 0;

    looked_at++;
    if (from) {
        check(rdmsr((arch ? MSR_ARCH_LBR_FROM : MSR_LBR_FROM) + i),
              (uint64_t)from, "LBR, %s, %s: from, %u", mode_names[mode], what,
              looked_at);
    }
    check(rdmsr((arch ? MSR_ARCH_LBR_TO : MSR_LBR_TO) + i), (uint64_t)to,
          "LBR, %s, %s: to, %u", mode_names[mode], what, looked_at);
    if (cycles < 0) {
        info &= ~UINT64_C(0xffff);
        cycles = 0;
    }
    check(info, want | cycles, "LBR, %s, %s: info, %u", mode_names[mode], what,
          looked_at);
}

/* Nothing but what the hypervisor adds is before what was looked at. */
static void check_first(const char *what)
{
    unsigned i = looked_at;

    if (mode != LOADED) {
        check_record(what, NULL, vmx_enter, CALL, -1);
        i++;
    }
    if (mode == ARCH) {
        check(rdmsr(MSR_ARCH_LBR_TO + i), 0, "LBR, %s, %s: no more",
              mode_names[mode], what);
    } else {
        check(rdmsr(MSR_LBR_TOS), (i - 1) % DEPTH,
              "LBR, %s, %s: no more", mode_names[mode], what);
    }
}

/* Cycles of the guest's first record, which the entry is in */
static unsigned first(unsigned insns)
{
    return insns + (mode == LOADED ? since : VMX_ENTER_INSNS);
}

/* DEBUGCTL is cleared by the exit, IA32_LBR_CTL is not. */
static void check_enable(const char *what, bool on)
{
    check(seen, mode == ARCH ? ARCH_CTL - !on : 0,
          "LBR, %s, %s: after the exit", mode_names[mode], what);
    if (mode != ARCH) {
        check(get(VMCS_GUEST_DEBUGCTL), on, "LBR, %s, %s: saved",
              mode_names[mode], what);
    }
}

static void test_branches(void)
{
    const char *what = "branches";

    prepare(guest_branches);
    run_guest(true);
    check(get(VMCS_EXIT_REASON), REASON_VMCALL, "LBR, %s", what);
    check_enable(what, true);
    check_record(what, guest_jump_2, guest_jumped_2, JUMP, 3);
    check_record(what, guest_jump, guest_jumped, JUMP, first(2));
    check_first(what);
    since = 1;

    /* Again, behind the same records */
    what = "resumed";
    looked_at = 0;
    vmwrite(VMCS_GUEST_RIP, (uintptr_t)guest_branches);
    run_guest(false);
    check_enable(what, true);
    check_record(what, guest_jump_2, guest_jumped_2, JUMP, 3);
    if (mode == LOADED) {
        check_record(what, guest_jump, guest_jumped, JUMP, first(2));
        check_record(what, guest_jump_2, guest_jumped_2, JUMP, 3);
        check_record(what, guest_jump, guest_jumped, JUMP, -1);
        check_first(what);
    }
    since = 1;
}

/* Whatever is injected is recorded, and leaves the bit as it is. */
static void test_injected(void)
{
    static const struct {
        const char *name;
        uint32_t event, length;
    } events[] = {
        { "interrupt", EVENT(EXTERNAL, 30), 0 },
        { "NMI", EVENT(NMI, 2), 0 },
        { "#GP", EVENT(HARDWARE, 13) | EVENT_ERROR, 0 },
        { "#DB", EVENT(HARDWARE, 1), 0 },
        { "INT n", EVENT(INT_N, 20), 2 },
        { "INT1", EVENT(PRIVILEGED, 1), 1 },
        { "INT3", EVENT(INT_3, 3), 1 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
        const char *what = events[i].name;
        uint32_t event = events[i].event;

        prepare(guest_nothing);
        vmwrite(VMCS_ENTRY_EVENT, event);
        vmwrite(VMCS_ENTRY_INSN_LENGTH, events[i].length);
        vmwrite(VMCS_GUEST_RFLAGS, TYPE(event) == EXTERNAL ? 0x202 : 2);
        run_guest(true);
        check(regs[0], event & 0xff, "LBR, %s: injected", what);
        check_enable(what, true);
        check_record(what, guest_nothing, guest_stubs + (event & 0xff) * 16,
                     FAR, first(0));
        check_first(what);
        since = 1;
    }
}

/* Events that have no record: they exit, or are debug exceptions. */
static void test_unrecorded(void)
{
    static const struct {
        const char *name;
        void (*guest)(void);
        uint32_t flags, exceptions;
        bool stays_on;
        unsigned insns;     /* while it is recorded */
    } events[] = {
        { "#DB of the guest", guest_steps, FLAGS_TF, 0, false, 1 },
        { "#DB that exits", guest_steps, FLAGS_TF, 1 << 1, true, 1 },
        { "#UD that exits", guest_ud, 0, 1 << 6, true, 0 },
        { "VMCALL", guest_nothing, 0, 0, true, 0 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(events); i++) {
        prepare(events[i].guest);
        vmwrite(VMCS_GUEST_RFLAGS, events[i].flags | 2);
        vmwrite(VMCS_EXCEPTION_BITMAP, events[i].exceptions);
        run_guest(true);
        check(get(VMCS_EXIT_REASON),
              events[i].exceptions ? REASON_EXCEPTION : REASON_VMCALL,
              "LBR, %s", events[i].name);
        check_enable(events[i].name, events[i].stays_on);
        check_first(events[i].name);
        since += events[i].insns;
    }
}

/* Without the control, an exit clears DEBUGCTL and saves nothing. */
static void test_not_saved(void)
{
    prepare(guest_nothing);
    vmwrite(VMCS_EXIT_CONTROLS, get(VMCS_EXIT_CONTROLS) & ~EXIT_DEBUG);
    vmwrite(VMCS_GUEST_DEBUGCTL, DEBUGCTL_LBR | DEBUGCTL_FREEZE_LBRS);
    run_guest(true);
    check(seen, 0, "LBR, %s, not saved: after the exit", mode_names[mode]);
    check(get(VMCS_GUEST_DEBUGCTL), DEBUGCTL_LBR | DEBUGCTL_FREEZE_LBRS,
          "LBR, %s, not saved: the VMCS", mode_names[mode]);
    check_first("not saved");
}

/* An entry that fails when it has begun leaves DEBUGCTL as an exit does. */
static void test_bad_entry(void)
{
    prepare(guest_nothing);
    vmwrite(VMCS_GUEST_RFLAGS, 0);
    run_guest(true);
    check(get(VMCS_EXIT_REASON), REASON_BAD_GUEST, "LBR, bad entry");
    check(seen, mode == ARCH ? ARCH_CTL : 0, "LBR, %s, bad entry: enable",
          mode_names[mode]);
    check_first("bad entry");
}

/* The list of an entry has the filter, which no exit takes back. */
static void test_list(void)
{
    uint32_t msr = mode == ARCH ? MSR_ARCH_LBR_CTL : MSR_LBR_SELECT;

    prepare(guest_branches);
    list[0] = msr;
    list[1] = mode == ARCH ? ARCH_NO_JUMPS : SELECT_NO_JUMPS;
    vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, (uintptr_t)list);
    vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, 1);
    run_guest(true);
    check(get(VMCS_EXIT_REASON), REASON_VMCALL, "LBR, list");
    check(mode == ARCH ? seen : rdmsr(msr), list[1], "LBR, %s, list: filter",
          mode_names[mode]);
    check_first("list");
    since += 6;
}

static void test_mode(void)
{
    test_branches();
    test_injected();
    test_unrecorded();
    if (mode != ARCH) {
        test_not_saved();
    }
    test_bad_entry();
    test_list();
    /* The cycles since the last record are still known. */
    test_branches();
}

void test_lbr(void)
{
    unsigned format = pmu_version ? rdmsr(MSR_PERF_CAPABILITIES) & 0x3f : 0;

    if (!format) {
        skip("LBR", "no branch records");
        return;
    }
    if (format == ARCH_FORMAT) {
        mode = ARCH;
        test_mode();
        return;
    }
    mode = LOADED;
    test_mode();
    mode = KEPT;
    test_mode();
}
