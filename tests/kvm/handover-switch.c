/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kvm-handover: a guest whose kernel switches between two programs that count
 *
 * It does as Linux does: all is written while GLOBAL_CTRL has the counters
 * disabled, and then GLOBAL_CTRL enables all there are, used or not.
 */
#include "handover.h"

#define NR_EVENTS   4
#define ROUNDS      20

typedef struct Program {
    uint16_t event[NR_EVENTS];
    unsigned turns;
    uint64_t value[NR_EVENTS];
} Program;

static uint64_t all_counters(void)
{
    return ALL_GP | ((1ull << vm_pmu.fixed) - 1) << 32;
}

static void switch_in(VM *vm, const Program *program)
{
    for (unsigned i = 0; i < NR_EVENTS; i++) {
        vm_op(vm, OP_WRMSR, MSR_EVNTSEL(i), program->event[i] | USER);
        vm_op(vm, OP_WRMSR, MSR_PMC(i), program->value[i]);
    }
    vm_op(vm, OP_WRMSR, MSR_FIXED_CTRL, 2);
    guest_enable(vm, all_counters());
}

/* Returns the entry of the table that reads the first counter. */
static unsigned switch_out(VM *vm, const Program *program)
{
    unsigned first;

    guest_enable(vm, 0);
    first = guest_read(vm, 0);
    for (unsigned i = 1; i < NR_EVENTS; i++) {
        guest_read(vm, i);
    }
    for (unsigned i = 0; i < NR_EVENTS; i++) {
        vm_op(vm, OP_WRMSR, MSR_EVNTSEL(i), program->event[i] | EVTSEL_USR);
    }
    vm_op(vm, OP_WRMSR, MSR_FIXED_CTRL, 0);
    guest_enable(vm, all_counters());
    return first;
}

static void run_program(VM *vm, Program *program)
{
    unsigned first;

    switch_in(vm, program);
    guest_loop(vm, program->turns);
    first = switch_out(vm, program);
    /* Nothing counts here. */
    guest_loop(vm, TURNS);
    vm_execute(vm);
    for (unsigned i = 0; i < NR_EVENTS; i++) {
        program->value[i] = vm_result(vm, first + i);
    }
}

static uint64_t expected(const Program *program, unsigned i)
{
    return ROUNDS * (program->event[i] == EVENT_BRANCHES ?
                     USER_BRANCHES(program->turns) :
                     USER_INSNS(program->turns));
}

void test_switches(void)
{
    Program programs[] = {
        { { EVENT_INSTRUCTIONS, EVENT_BRANCHES, EVENT_BRANCHES,
            EVENT_INSTRUCTIONS }, TURNS },
        { { EVENT_BRANCHES, EVENT_INSTRUCTIONS, EVENT_BRANCHES,
            EVENT_INSTRUCTIONS }, 3 * TURNS },
    };
    uint64_t asked = 0;
    VM vm;

    guest_create(&vm);
    vm_op(&vm, OP_WRMSR, MSR_FIXED(0), 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        run_program(&vm, &programs[0]);
        run_program(&vm, &programs[1]);
        if (!round) {
            asked = vm_stat(&vm, "control-writes-reprogrammed");
        }
    }
    for (unsigned p = 0; p < 2; p++) {
        for (unsigned i = 0; i < NR_EVENTS; i++) {
            COUNT(&vm, programs[p].value[i], expected(&programs[p], i));
        }
    }
    COUNT(&vm, vm_do(&vm, OP_RDMSR, MSR_FIXED(0), 0),
          ROUNDS * (USER_INSNS(TURNS) + USER_INSNS(3 * TURNS)));
    EQUAL(vm_stat(&vm, "control-writes-reprogrammed"), asked);
    vm_destroy(&vm);
}

/*
 * What was written while the counter was disabled counts from when GLOBAL_CTRL
 * enables it: another event, another ring, and a value close to an overflow.
 */
void test_written_while_disabled(void)
{
    unsigned overflows = 0, result;
    VM vm;

    guest_create(&vm);
    guest_program_insns(&vm, 2);
    guest_enable(&vm, 3);
    guest_run(&vm, TURNS);
    for (unsigned left = 1; left < 6; left++) {
        guest_enable(&vm, 0);
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0),
              EVENT_BRANCHES | USER | EVTSEL_INT);
        vm_op(&vm, OP_WRMSR, MSR_PMC(0), period_start(left));
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(1), EVENT_INSTRUCTIONS | EVTSEL_USR);
        guest_enable(&vm, 3);
        guest_loop(&vm, TURNS);
        guest_enable(&vm, 0);
        result = guest_read(&vm, 0);
        vm_execute(&vm);
        COUNT(&vm, vm_result(&vm, result), USER_BRANCHES(TURNS) - left);
        EQUAL(vm_read32(&vm, GUEST_NMIS), ++overflows);
        /* And back */
        vm_op(&vm, OP_WRMSR, MSR_EVNTSEL(0), EVENT_INSTRUCTIONS | USER);
        vm_op(&vm, OP_WRMSR, MSR_PMC(0), 0);
        guest_enable(&vm, 3);
        guest_loop(&vm, TURNS);
        COUNT(&vm, guest_value(&vm, 0), USER_INSNS(TURNS));
    }
    COUNT(&vm, guest_value(&vm, 1), USER_INSNS(TURNS));
    vm_destroy(&vm);
}
