/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: what the host's kernel executes for what the guest does
 *
 * A counter of the same PMU counts it, which perf switches off while it
 * schedules events, so that part is missing.  bench.c has a meter without this
 * fault, for the emulator only.
 */
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/perf_event.h>
#include "handover.h"

#define REPETITIONS 200
#define CONFIG      (EVENT_INSTRUCTIONS | EVTSEL_INT)

/* Each of these adds repetition @i of something to the guest's table. */

static void figure_global_ctrl(VM *vm, unsigned i)
{
    guest_enable(vm, i % 2);
}

static void figure_global_ctrl_4(VM *vm, unsigned i)
{
    guest_enable(vm, i % 2 ? 15 : 0);
}

static void figure_rings(VM *vm, unsigned i)
{
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(0),
          CONFIG | (i % 2 ? USER : EVTSEL_EN | EVTSEL_OS));
}

static void figure_event_select(VM *vm, unsigned i)
{
    vm_op(vm, OP_WRMSR, MSR_EVNTSEL(0), CONFIG | (i % 2 ? USER : EVTSEL_USR));
}

static void figure_write(VM *vm, unsigned i)
{
    vm_op(vm, OP_WRMSR, MSR_PMC(0), 1000 + i);
}

static void figure_read(VM *vm, unsigned i)
{
    (void)i;
    guest_read(vm, 0);
}

static void figure_pmi(VM *vm, unsigned i)
{
    (void)i;
    vm_op(vm, OP_WRMSR, MSR_PMC(0), period_start(10));
    guest_loop(vm, 20);
}

typedef struct Figure {
    const char *name;
    void (*repeat)(VM *vm, unsigned i);
} Figure;

static const Figure figures[] = {
    { "GLOBAL_CTRL, on and off", figure_global_ctrl },
    { "event select, other rings", figure_rings },
    { "event select, on and off", figure_event_select },
    { "counter, written", figure_write },
    { "counter, read", figure_read },
    { "counter, written, and PMI", figure_pmi },
    { "GLOBAL_CTRL, 4 on and off", figure_global_ctrl_4 },
};

/* How often @config happens in the host's kernel while the guest does it. */
static uint64_t kernel_events(VM *vm, const Figure *figure, unsigned n,
                              uint64_t config)
{
    struct perf_event_attr attr = {
        .size = sizeof(attr), .type = PERF_TYPE_HARDWARE, .config = config,
        .exclude_user = 1, .exclude_guest = 1, .pinned = 1,
    };
    int fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    uint64_t value = 0;

    guest_program_insns(vm, 4);
    guest_enable(vm, 1);
    vm_execute(vm);
    for (unsigned i = 0; i < n; i++) {
        figure->repeat(vm, i);
    }
    ioctl(fd, PERF_EVENT_IOC_RESET, 0);
    vm_execute(vm);
    if (read(fd, &value, sizeof(value)) != sizeof(value)) {
        die("counter of the kernel's events");
    }
    close(fd);
    return value;
}

/*
 * The cost of one repetition.  The smallest of several measurements is taken,
 * since whatever else runs can only add to it.
 */
static long long figure_measure(VM *vm, const Figure *figure, uint64_t config)
{
    uint64_t once = UINT64_MAX, twice = UINT64_MAX, value;

    for (unsigned i = 0; i < (silicon ? 20 : 1); i++) {
        value = kernel_events(vm, figure, REPETITIONS, config);
        once = value < once ? value : once;
        value = kernel_events(vm, figure, 2 * REPETITIONS, config);
        twice = value < twice ? value : twice;
    }
    return (long long)(twice - once) / REPETITIONS;
}

void figures_print(void)
{
    static const struct {
        const char *name;
        uint64_t config;
    } event[] = {
        { "instructions", PERF_COUNT_HW_INSTRUCTIONS },
        { "cycles", PERF_COUNT_HW_CPU_CYCLES },
    };
    VM vm[2];

    vm_create(&vm[0], NULL);
    vm_create(&vm[1], &handover_defaults);
    for (unsigned e = 0; e < (silicon ? 2 : 1); e++) {
        printf("# host kernel %-12s for each    KVM  hand-over\n",
               event[e].name);
        for (unsigned i = 0; i < sizeof(figures) / sizeof(*figures); i++) {
            printf("# %-30s %10lld", figures[i].name,
                   figure_measure(&vm[0], &figures[i], event[e].config));
            printf(" %10lld\n",
                   figure_measure(&vm[1], &figures[i], event[e].config));
        }
    }
    vm_destroy(&vm[0]);
    vm_destroy(&vm[1]);
}
