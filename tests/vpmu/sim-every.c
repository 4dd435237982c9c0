/*
 * Overflow at each single event of code that accesses memory in every way
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What makes a counter overflow is executed in another way than the same code
 * otherwise, some of it once more.  Whatever is counted must not show that.
 */
#include "sim.h"

#define TURNS           4
/* When all of it is where it always is */
#define WARM            40

static char *data, *split, *copy;
static uint8_t fpu_state[512] __attribute__((aligned(64)));

/* The body begins at the end of a line, and many instructions are in two. */
static void __attribute__((noinline)) body(void)
{
    asm volatile(
        ".balign 64; wrmsr; mov %[turns], %%r9d; mov %[data], %%rsi;"
        "jmp 1f; .balign 64; .skip 62;"
        /* Loads, stores, both, atomic ones, the stack */
        "1: mov (%%rsi), %%r8; movabs $0x123456789abcdef, %%r8;"
        "addq $1, (%%rsi); lock addq $1, 8(%%rsi); pushq 16(%%rsi);"
        "popq 24(%%rsi); xor %%eax, %%eax; xor %%edx, %%edx;"
        "xor %%ebx, %%ebx; lock cmpxchg16b 32(%%rsi);"
        "add $4096, %%rsi; dec %%r9d; jnz 1b;"
        /* In two lines */
        "lock addq $1, (%[split]); add %%r8, (%[split]);"
        /* Strings */
        "mov %[copy], %%rdi; mov %[data], %%rsi; mov $100, %%ecx; rep movsb;"
        "mov %[copy], %%rdi; mov %[data], %%rsi; mov $40, %%ecx; repe cmpsb;"
        /* A device */
        "mov $0xfee00020, %%esi; pushq (%%rsi); pop %%r8;"
        "mov %[copy], %%rdi; movsl; lock orl $0, -4(%%rsi);"
        /* Functions of the emulator */
        "fxsave64 (%[fpu]); fldt (%[data]); fstp %%st(0); fxrstor64 (%[fpu]);"
        "sgdt (%[copy]); mov %%ds, %%eax; lar %%eax, %%eax; enter $16, $3;"
        "leave;"
        /* Branches that are predicted and that are not */
        "call 5f; jmp 6f; 5: ret; 6: lea 7f(%%rip), %%r8; call 8f; ud2;"
        "8: mov %%r8, (%%rsp); ret;"
        "7: mov %[turns], %%r9d; lea 9f(%%rip), %%r8; lea 10f(%%rip), %%rbx;"
        "11: xchg %%r8, %%rbx; jmp *%%r8; 9: nop; 10: dec %%r9d; jnz 11b;"
        "mov $0x38f, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr"
        :
        : [data] "r"(data), [split] "r"(split), [copy] "r"(copy),
          [fpu] "r"(fpu_state), [turns] "i"(TURNS), "a"((uint32_t)counters()),
          "d"(0), "c"(MSR_GLOBAL_CTRL)
        : "rsi", "rdi", "rbx", "r8", "r9", "memory");
}

/* With empty TLBs, and @first in counter 0 */
static void run_body(uint64_t first)
{
    clear_counters();
    wrmsr(MSR_PMC0, first);
    reload_cr3();
    body();
}

/* Counters 0 and 1 count @event, and 0 overflows at each of its events. */
static void every_place(const char *name, uint32_t event)
{
    const uint32_t events[] = {
        event, event, EV_INSNS, EV_LOADS, EV_STORES, EV_BRANCHES,
        EV_REPLACEMENT,
    };
    const unsigned n = ARRAY_SIZE(events);
    uint64_t want[ARRAY_SIZE(events)], got;
    unsigned bad = 0;

    count_events(events, n);
    for (unsigned i = 0; i < WARM; i++) {
        run_body(0);
    }
    for (unsigned i = 0; i < n; i++) {
        want[i] = rdmsr(MSR_PERFCTR0 + i);
    }
    for (uint64_t k = 1; k <= want[0]; k++) {
        run_body(-k & COUNTER_MASK);
        for (unsigned i = 0; i < n; i++) {
            got = rdmsr(MSR_PERFCTR0 + i);
            if (got != want[i] - (i ? 0 : k) && !bad++) {
                print("#   the %lu.: event 0x%x: got %lu want %lu\n", k,
                      events[i], got, want[i] - (i ? 0 : k));
            }
        }
    }
    result(!bad && want[0], "overflow at each %s", name);
    print("#   %lu of them\n", want[0]);
    clear_counters();
}

void test_every_place(void)
{
    /* Pages that have the same frame, and different parts of it */
    map_pages((uintptr_t)take(PAGE, 0), 0);
    data = (char *)SMALL_AT + 8 * LINE;
    split = (char *)SMALL_AT + 32 * PAGE + 21 * LINE - 4;
    copy = (char *)SMALL_AT + 40 * PAGE + 30 * LINE;
    every_place("fetch of the first level", EV_CODE_HIT);
    every_place("walk for a load", EV_LOAD_WALK);
    every_place("walk for a store", EV_STORE_WALK);
    every_place("walk for code", EV_CODE_WALK);
    every_place("mispredicted branch", EV_MISP);
    every_place("mispredicted return", EV_MISP_RET);
    every_place("instruction", EV_INSNS);
    every_place("load", EV_LOADS);
}
