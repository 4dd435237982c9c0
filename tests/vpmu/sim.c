/*
 * Misses of simulated caches, TLBs and branch predictors, known by construction
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * With pmu-model=simple.  The sizes are those that CPUID leaf 4 shows and, of
 * the TLBs, those of Ice Lake.  What is accessed while the counters are on is
 * in code without a stack, so that nothing else is.  Every case starts with
 * memory, pages and code that no case before it has used.
 */
#include "sim.h"

#define PRESENT         7
#define IS_LARGE        0x80
#define IS_GLOBAL       0x100
#define CR4_PGE         0x80

/* Memory that is in no cache yet; QEMU gives the machine 128 MiB. */
#define FRESH_START     (8 << 20)
#define FRESH_END       (120 << 20)

/* TLBs of Ice Lake, of pages of all sizes: sets and ways */
#define DTLB_SETS       16
#define DTLB_WAYS       4
#define ITLB_SETS       16
#define ITLB_WAYS       8
#define STLB_SETS       128
#define STLB_WAYS       16

struct size l1d, l1i, l2, llc;

/* Where code is that runs while the counters are on: it is never data here. */
static uintptr_t fresh = FRESH_START;

static struct size cache_size(unsigned index)
{
    uint32_t a, b, c, d;

    asm volatile("cpuid" : "=a"(a), "=b"(b), "=c"(c), "=d"(d)
                 : "a"(on_amd ? 0x8000001d : 4), "c"(index));
    return (struct size) { .sets = c + 1, .ways = (b >> 22) + 1 };
}

void *take(unsigned size, unsigned set)
{
    uintptr_t way = (uintptr_t)llc.sets * LINE;
    uintptr_t at = (fresh + way - 1) / way * way + set * LINE;

    fresh = at + size;
    if (fresh > FRESH_END) {
        print("Bail out! not enough memory\n");
        finish();
    }
    return (void *)at;
}

/* Counting */

static const uint32_t *counted;
static unsigned nr_counted;

void clear_counters(void)
{
    wrmsr(msr_global_ctrl(), 0);
    for (unsigned i = 0; i < pmu_gp; i++) {
        wrmsr(msr_select(i), i < nr_counted ?
              counted[i] | EVTSEL_OS | EVTSEL_EN : 0);
        wrmsr(msr_value(i), 0);
    }
}

void count_events(const uint32_t *events, unsigned n)
{
    counted = events;
    nr_counted = n;
    clear_counters();
}

uint64_t counters(void)
{
    return (1u << nr_counted) - 1;
}

void check_counts(const char *name, const uint64_t *want)
{
    bool ok = true;

    for (unsigned i = 0; i < nr_counted; i++) {
        ok &= rdmsr(msr_value(i)) == want[i];
    }
    result(ok, "%s", name);
    for (unsigned i = 0; i < nr_counted && !ok; i++) {
        print("#   event 0x%x: got %lu want %lu\n", counted[i] & 0xffff,
              rdmsr(msr_value(i)), want[i]);
    }
    clear_counters();
}

/* These are for this file only. */
static void updates(void *at, uint64_t n, uint64_t stride, uint64_t passes);
static void locked(void *at, uint64_t n, uint64_t stride, uint64_t passes);
static void string(void *at, uint64_t n, uint64_t stride, uint64_t passes);
static void saves(void *at, uint64_t n, uint64_t stride, uint64_t passes);
static void x87(void *at, uint64_t n, uint64_t stride, uint64_t passes);

/*
 * Code that switches the counters on, has INSN access (%rsi), @n times with a
 * distance of @stride, and the same again @passes times in all.
 */
#define SWEEP(name, insn)                                                     \
    void __attribute__((noinline))                                            \
    name(void *at, uint64_t n, uint64_t stride, uint64_t passes)              \
    {                                                                         \
        asm volatile(".balign 64; wrmsr;"                                     \
                     "2: mov %[at], %%rsi; mov %[n], %%rdi;"                  \
                     "1: " insn "; add %[stride], %%rsi; dec %%rdi; jnz 1b;"  \
                     "dec %[passes]; jnz 2b;"                                 \
                     "xor %%eax, %%eax; wrmsr"                                \
                     : [passes] "+r"(passes)                                  \
                     : [at] "r"(at), [n] "r"(n), [stride] "r"(stride),        \
                       "a"((uint32_t)counters()), "d"(0),                     \
                       "c"(msr_global_ctrl())                                 \
                     : "rsi", "rdi", "r8", "memory");                         \
    }

SWEEP(loads, "mov (%%rsi), %%r8")
SWEEP(stores, "mov %%r8, (%%rsi)")
SWEEP(updates, "addq $1, (%%rsi)")
SWEEP(locked, "lock addq $1, (%%rsi)")
SWEEP(string, "mov %%rdi, %%r8; mov $64, %%ecx; mov %%rsi, %%rdi; rep stosb;"
      "mov $0x38f, %%ecx; mov %%r8, %%rdi")

/* Instructions that the emulator has functions for */
SWEEP(saves, "fxsave64 (%%rsi)")
SWEEP(x87, "fldt (%%rsi); fstp %%st(0)")

/* The same with code at @at, which comes back by RBX. */
void __attribute__((noinline)) jumps(void *at, uint64_t passes)
{
    asm volatile(".balign 64; lea 1f(%%rip), %%rbx; wrmsr;"
                 "2: jmp *%[at]; .balign 64;"
                 "1: dec %[passes]; jnz 2b; xor %%eax, %%eax; wrmsr"
                 : [passes] "+r"(passes)
                 : [at] "r"(at), "a"((uint32_t)counters()), "d"(0),
                   "c"(msr_global_ctrl())
                 : "rbx", "memory");
}

void *chain(void *at, unsigned n, unsigned stride)
{
    uint8_t *code = at;

    for (unsigned i = 0; i < n; i++, code += stride) {
        int32_t offset = stride - 5;

        if (i == n - 1) {
            code[0] = 0xff;     /* jmp *%rbx */
            code[1] = 0xe3;
        } else {
            code[0] = 0xe9;
            memcpy(code + 1, &offset, sizeof(offset));
        }
    }
    return at;
}

/* Data caches */

static void test_levels(void)
{
    unsigned lines = l1d.sets * l1d.ways;
    void *at;

    COUNT(EV_REPLACEMENT, EV_LOAD_L2, EV_LOAD_L3, EV_LOAD_MEMORY,
          EV_REFERENCES, EV_MISSES);
    at = take(lines * LINE, 0);
    loads(at, lines, LINE, 1);
    /* The code is in one line, which comes from memory, too. */
    WANT("loads of memory", lines, 0, 0, lines, lines + 1, lines + 1);
    loads(at, lines, LINE, 3);
    WANT("loads of the first level", 0, 0, 0, 0, 0, 0);

    at = take(2 * lines * LINE, 0);
    loads(at, 2 * lines, LINE, 1);
    clear_counters();
    loads(at, 2 * lines, LINE, 3);
    WANT("loads of the second level", 6 * lines, 6 * lines, 0, 0, 0, 0);

    /* One more than there are ways: the oldest one is always the next one. */
    at = take((l1d.ways + 1) * l1d.sets * LINE, 8);
    loads(at, l1d.ways + 1, l1d.sets * LINE, 1);
    clear_counters();
    loads(at, l1d.ways + 1, l1d.sets * LINE, 5);
    WANT("a set of the first level", 5 * (l1d.ways + 1), 5 * (l1d.ways + 1),
         0, 0, 0, 0);

    at = take((l2.ways + 1) * l2.sets * LINE, 16);
    loads(at, l2.ways + 1, l2.sets * LINE, 1);
    clear_counters();
    loads(at, l2.ways + 1, l2.sets * LINE, 5);
    WANT("a set of the second level", 5 * (l2.ways + 1), 0, 5 * (l2.ways + 1),
         0, 5 * (l2.ways + 1), 0);

    at = take((llc.ways + 1) * llc.sets * LINE, 24);
    loads(at, llc.ways + 1, llc.sets * LINE, 1);
    clear_counters();
    loads(at, llc.ways + 1, llc.sets * LINE, 5);
    WANT("a set of the last level", 5 * (llc.ways + 1), 0, 0,
         5 * (llc.ways + 1), 5 * (llc.ways + 1), 5 * (llc.ways + 1));
}

static void test_stores(void)
{
    void *at;

    COUNT(EV_REPLACEMENT, EV_RFO, EV_RFO_L2_MISS, EV_LOAD_MEMORY, EV_LOAD_L2);
    at = take(100 * LINE, 32);
    stores(at, 100, LINE, 2);
    WANT("stores", 100, 100, 100, 0, 0);
    loads(at, 100, LINE, 1);
    WANT("loads of what was stored", 0, 0, 0, 0, 0);

    at = take(100 * LINE, 32);
    updates(at, 100, LINE, 2);
    WANT("loads that are followed by a store", 100, 0, 0, 100, 0);
    at = take(100 * LINE, 32);
    locked(at, 100, LINE, 2);
    WANT("the same, locked", 100, 0, 0, 100, 0);

    /* An atomic operation that the emulator can do only by itself */
    at = take(100 * LINE, 32);
    locked((char *)at + LINE - 4, 10, 2 * LINE, 2);
    WANT("locked instructions of two lines", 20, 0, 0, 20, 0);

    /* 8 bytes, of which 4 are in the next line */
    at = take(100 * LINE, 32);
    loads((char *)at + LINE - 4, 10, 2 * LINE, 2);
    WANT("loads of two lines", 20, 0, 0, 20, 0);

    at = take(100 * LINE, 32);
    string((char *)at + 32, 10, LINE, 2);
    WANT("strings", 11, 11, 11, 0, 0);
}

/*
 * The accesses of the product of two matrices, C += A * B, in two orders of the
 * loops: the innermost one is over the common index, or over columns.
 */
#define ORDER           32
#define ROW             PAGE    /* so that a column is in one set */
#define MATRIX          (ROW * ORDER)

/* By how many bytes the places in A, B and C move behind a turn of a loop */
struct step {
    int64_t a, b, c;
};

/* Each loop but the innermost one begins where the one in it has ended. */
struct order {
    struct step inner, middle, outer;
};

static const struct order ijk = {
    { 8, ROW, 0 }, { -8 * ORDER, 8 - MATRIX, 8 },
    { ROW, -8 * ORDER, ROW - 8 * ORDER },
};
static const struct order ikj = {
    { 0, 8, 8 }, { 8, ROW - 8 * ORDER, -8 * ORDER },
    { ROW - 8 * ORDER, -MATRIX, ROW },
};

#define STEPS(loop)     "add $%c[" loop "_a], %%rsi;"                         \
                        "add $%c[" loop "_b], %%rdi;"                         \
                        "add $%c[" loop "_c], %%r8;"
#define STEP_INPUTS(loop, step)                                               \
    [loop##_a] "i"(step.a), [loop##_b] "i"(step.b), [loop##_c] "i"(step.c)

static inline void __attribute__((always_inline))
multiply(char *a, char *b, char *c, const struct order order)
{
    asm volatile("mov %[a], %%rsi; mov %[b], %%rdi; mov %[c], %%r8; wrmsr;"
                 "mov %[n], %%eax; 1: mov %[n], %%edx; 2: mov %[n], %%ecx;"
                 "3: cmpq $0, (%%rsi); cmpq $0, (%%rdi); addq $1, (%%r8);"
                 STEPS("inner") "dec %%ecx; jnz 3b;"
                 STEPS("middle") "dec %%edx; jnz 2b;"
                 STEPS("outer") "dec %%eax; jnz 1b;"
                 "mov $0x38f, %%ecx; wrmsr"
                 :
                 : [a] "r"(a), [b] "r"(b), [c] "r"(c), [n] "i"(ORDER),
                   STEP_INPUTS(inner, order.inner),
                   STEP_INPUTS(middle, order.middle),
                   STEP_INPUTS(outer, order.outer),
                   "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rsi", "rdi", "r8", "memory");
}

/* A list of the lines that are in a set, the latest one last */
static uintptr_t listed[64][16];

/* Returns: 1 if the access misses, in a first level that is simulated here. */
static unsigned access_misses(const char *at)
{
    uintptr_t line = (uintptr_t)at / LINE;
    uintptr_t *list = listed[line % l1d.sets];
    unsigned i = 0;
    bool misses;

    while (i < l1d.ways - 1 && list[i] != line) {
        i++;
    }
    misses = list[i] != line;
    for (i = misses ? 0 : i; i < l1d.ways - 1; i++) {
        list[i] = list[i + 1];
    }
    list[l1d.ways - 1] = line;
    return misses;
}

static uint64_t product_misses(const char *a, const char *b, const char *c,
                               const struct order *order)
{
    uint64_t misses = 0;

    for (unsigned n = 1; n <= ORDER * ORDER * ORDER; n++) {
        const struct step *step = &order->inner;

        misses += access_misses(a) + access_misses(b) + access_misses(c);
        a += step->a, b += step->b, c += step->c;
        if (n % ORDER == 0) {
            step = &order->middle;
            a += step->a, b += step->b, c += step->c;
        }
        if (n % (ORDER * ORDER) == 0) {
            step = &order->outer;
            a += step->a, b += step->b, c += step->c;
        }
    }
    return misses;
}

static void test_products(void)
{
    char *a = take(3 * MATRIX, 0), *b = a + MATRIX, *c = b + MATRIX;
    uint64_t by_row, by_column;

    memset(listed, 0, sizeof(listed));
    COUNT(EV_REPLACEMENT);
    by_column = product_misses(a, b, c, &ijk);
    multiply(a, b, c, ijk);
    WANT("a product of matrices, over the common index", by_column);
    by_row = product_misses(a, b, c, &ikj);
    multiply(a, b, c, ikj);
    WANT("a product of matrices, over columns", by_row);
    /* By columns every access to B misses, by rows one in each line. */
    result(by_column >= ORDER * ORDER * ORDER && by_row * 6 < by_column,
           "one order misses more often than the other");
    print("#   %lu and %lu misses\n", by_column, by_row);
}

static void test_helpers(void)
{
    void *at;

    COUNT(EV_REPLACEMENT, EV_RFO, EV_LOAD_MEMORY);
    at = take(100 * LINE, 32);
    saves(at, 10, 8 * LINE, 2);
    WANT("FXSAVE", 80, 80, 0);
    at = take(100 * LINE, 32);
    x87(at, 100, LINE, 2);
    WANT("loads of 80 bits", 100, 0, 100);
    /* 10 bytes, of which 2 are in the next line */
    at = take(100 * LINE, 32);
    x87((char *)at + LINE - 8, 10, 2 * LINE, 2);
    WANT("the same of two lines", 20, 0, 20);
}

/* The cache for code */

static void test_code(void)
{
    unsigned n = l1i.ways + 1;
    void *at;

    COUNT(EV_CODE_HIT, EV_CODE_MISS, EV_REFERENCES, EV_MISSES);
    /* jumps() has two lines, one before the chain and one behind it. */
    at = chain(take(n * l1i.sets * LINE, 40), n, l1i.sets * LINE);
    jumps(at, 1);
    WANT("code of memory", 0, n + 2, n + 2, n + 2);
    jumps(at, 1);
    WANT("a set of the code cache", 2, n, 0, 0);
    jumps(at, 5);
    WANT("the same, five times", 5 * 2, 5 * n, 0, 0);

    at = chain(take(l1i.ways * LINE * l1i.sets, 48), l1i.ways,
               l1i.sets * LINE);
    jumps(at, 1);
    clear_counters();
    jumps(at, 5);
    WANT("code of the first level", 5 * 2 + 5 * l1i.ways, 0, 0, 0);

    /* Two jumps in a line: the second one is no access. */
    at = chain(take(20 * LINE, 56), 20, LINE / 2);
    jumps(at, 1);
    WANT("two instructions in a line", 2, 10, 10, 10);
}

/* Instructions in two lines: each is two accesses. */

/* Code at @at, with RDI and RCX for a string instruction */
static void __attribute__((noinline)) strings(void *at, void *to, uint64_t n)
{
    asm volatile(".balign 64; lea 1f(%%rip), %%rbx; mov %[to], %%rdi; wrmsr;"
                 "mov %[n], %%rcx; jmp *%[at]; .balign 64;"
                 "1: xor %%eax, %%eax; mov $0x38f, %%ecx; wrmsr"
                 : : [at] "r"(at), [to] "r"(to), [n] "r"(n),
                 "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rbx", "rdi", "memory");
}

static void test_two_lines(void)
{
    const unsigned n = 10;
    char *at = take(100 * LINE, 56), *to = take(LINE, 32);
    /* The last one, of two bytes, is in one line; jumps() has two, known. */
    const uint64_t total = 2 * n - 1 + 2;

    at = chain(at + LINE - 2, n, 2 * LINE);
    COUNT(EV_CODE_MISS, EV_CODE_HIT);
    jumps(at, 1);
    WANT("code of two lines", total - 2, 2);
    jumps(at, 1);
    WANT("the same again", 0, total);

    /* A counter that overflows has instructions restarted, nothing else. */
    COUNT(EV_CODE_HIT, EV_CODE_HIT);
    for (unsigned k = 1; k < total; k++) {
        uint64_t got;

        wrmsr(MSR_PMC0, -(uint64_t)k & COUNTER_MASK);
        wrmsr(MSR_PMC0 + 1, 0);
        jumps(at, 1);
        got = rdmsr(MSR_PMC0) << 32 | rdmsr(MSR_PMC0 + 1);
        check(got, (total - k) << 32 | total,
              "overflow at code of two lines, the %u.", k);
    }
    clear_counters();

    /* REP STOSB, and a jump back */
    at = take(2 * LINE, 40);
    memcpy(at + LINE - 1, "\xf3\xaa\xff\xe3", 4);
    COUNT(EV_CODE_MISS, EV_CODE_HIT);
    strings(at + LINE - 1, to, 20);
    WANT("a string instruction in two lines", 4, 0);
    strings(at + LINE - 1, to, 20);
    WANT("the same again", 0, 4);
}

/* TLBs */

static uint64_t tables[16][512] __attribute__((aligned(PAGE)));

static uint64_t *table_of(uint64_t entry)
{
    return (uint64_t *)(uintptr_t)(entry & ~UINT64_C(0xfff));
}

void map_pages(uint64_t small, uint64_t flags)
{
    uint64_t cr3, *pdpt;

    asm volatile("mov %%cr3, %0" : "=r"(cr3));
    pdpt = table_of(table_of(cr3)[0]);
    for (unsigned i = 0; i < 512; i++) {
        tables[0][i] = i < 8 ? (uintptr_t)tables[1 + i] + PRESENT : 0;
        for (unsigned k = 1; k < 9; k++) {
            tables[k][i] = small | PRESENT | flags;
        }
        for (unsigned k = 9; k < 14; k++) {
            tables[k][i] = PRESENT | IS_LARGE | flags;
        }
    }
    pdpt[SMALL_AT / HUGE] = (uintptr_t)tables[0] + PRESENT;
    for (unsigned k = 9; k < 14; k++) {
        pdpt[LARGE_AT / HUGE + k - 9] = (uintptr_t)tables[k] + PRESENT;
    }
    pdpt[HUGE_AT / HUGE] = PRESENT | IS_LARGE | flags;
    asm volatile("mov %0, %%cr3" : : "r"(cr3) : "memory");
}

void reload_cr3(void)
{
    uint64_t cr3;

    asm volatile("mov %%cr3, %0; mov %0, %%cr3" : "=r"(cr3) : : "memory");
}

static void test_tlbs(void)
{
    char *small = (char *)SMALL_AT, *large = (char *)LARGE_AT;
    char *huge = (char *)HUGE_AT;

    COUNT(EV_LOAD_STLB, EV_LOAD_WALK, EV_LOAD_WALK_4K, EV_LOAD_WALK_2M,
          EV_LOAD_WALK_1G, EV_STORE_STLB, EV_STORE_WALK);
    map_pages((uintptr_t)take(PAGE, 0), 0);
    loads(small, 20, PAGE, 1);
    WANT("walks of small pages", 0, 20, 20, 0, 0, 0, 0);
    loads(small, 20, PAGE, 3);
    WANT("loads of the first-level TLB", 0, 0, 0, 0, 0, 0, 0);
    loads(small + 4, 1, PAGE, 1);
    stores(small, 20, PAGE, 1);
    WANT("stores of the first-level TLB", 0, 0, 0, 0, 0, 0, 0);

    loads(small + 32 * PAGE, DTLB_WAYS + 1, DTLB_SETS * PAGE, 1);
    clear_counters();
    loads(small + 32 * PAGE, DTLB_WAYS + 1, DTLB_SETS * PAGE, 3);
    WANT("a set of the first-level TLB", 3 * (DTLB_WAYS + 1), 0, 0, 0, 0, 0,
         0);
    stores(small + 32 * PAGE, DTLB_WAYS + 1, DTLB_SETS * PAGE, 3);
    WANT("the same, stores", 0, 0, 0, 0, 0, 3 * (DTLB_WAYS + 1), 0);

    loads(small + 5 * PAGE, STLB_WAYS + 1, STLB_SETS * PAGE, 1);
    clear_counters();
    loads(small + 5 * PAGE, STLB_WAYS + 1, STLB_SETS * PAGE, 3);
    WANT("a set of the second-level TLB", 0, 3 * (STLB_WAYS + 1),
         3 * (STLB_WAYS + 1), 0, 0, 0, 0);
    stores(small + 5 * PAGE, STLB_WAYS + 1, STLB_SETS * PAGE, 2);
    WANT("the same, stores", 0, 0, 0, 0, 0, 0, 2 * (STLB_WAYS + 1));

    loads(large + LARGE, 20, LARGE, 2);
    WANT("walks of large pages", 0, 20, 0, 20, 0, 0, 0);
    loads(large + 5 * (uint64_t)LARGE, STLB_WAYS + 1,
          STLB_SETS * (uint64_t)LARGE, 1);
    clear_counters();
    loads(large + 5 * (uint64_t)LARGE, STLB_WAYS + 1,
          STLB_SETS * (uint64_t)LARGE, 3);
    WANT("a set of the second-level TLB, large pages", 0,
         3 * (STLB_WAYS + 1), 0, 3 * (STLB_WAYS + 1), 0, 0, 0);
    loads(huge, 100, PAGE, 2);
    WANT("a walk of a huge page", 0, 1, 0, 0, 1, 0, 0);

    /* 8 bytes, of which 4 are in the next page */
    reload_cr3();
    loads(small + PAGE - 4, 10, 2 * PAGE, 2);
    WANT("loads of two pages", 0, 20, 20, 0, 0, 0, 0);
}

static void test_flushes(void)
{
    char *small = (char *)SMALL_AT;
    uint64_t frame = (uintptr_t)take(PAGE, 0);

    COUNT(EV_LOAD_STLB, EV_LOAD_WALK);
    map_pages(frame, 0);
    loads(small, 20, PAGE, 1);
    clear_counters();
    asm volatile("invlpg (%0)" : : "r"(small + 5 * PAGE + 77) : "memory");
    loads(small, 20, PAGE, 1);
    WANT("INVLPG", 0, 1);
    reload_cr3();
    loads(small, 20, PAGE, 1);
    WANT("MOV to CR3", 0, 20);

    map_pages(frame, IS_GLOBAL);
    loads(small, 20, PAGE, 1);
    clear_counters();
    reload_cr3();
    loads(small, 20, PAGE, 1);
    WANT("global pages without CR4.PGE", 0, 20);
    write_cr4(read_cr4() | CR4_PGE);
    loads(small, 20, PAGE, 3);
    clear_counters();
    reload_cr3();
    loads(small, 20, PAGE, 1);
    WANT("global pages", 0, 0);
    asm volatile("invlpg (%0)" : : "r"(small + 5 * PAGE) : "memory");
    loads(small, 20, PAGE, 1);
    WANT("INVLPG of a global page", 0, 1);
    write_cr4(read_cr4() & ~CR4_PGE);
    loads(small, 20, PAGE, 1);
    WANT("a change of CR4.PGE", 0, 20);
}

static void test_code_tlb(void)
{
    char *small = (char *)SMALL_AT;
    char *frame = take(PAGE, 0), *last = take(PAGE, 8);
    const unsigned n = ITLB_WAYS + 1;
    int32_t offset = ITLB_SETS * PAGE - 5;

    COUNT(EV_CODE_STLB, EV_CODE_WALK);
    map_pages((uintptr_t)frame, 0);
    /* On all pages the same jump: to the next page of the set */
    frame[0] = 0xe9;
    memcpy(frame + 1, &offset, sizeof(offset));
    /* The last page of the chain is another one. */
    last[0] = 0xff;             /* jmp *%rbx */
    last[1] = 0xe3;
    tables[1][1 + (n - 1) * ITLB_SETS] = (uintptr_t)last | PRESENT;
    reload_cr3();
    /* And the page of jumps(), which is in set 0 */
    jumps(small + PAGE, 1);
    WANT("walks of code", 0, n + 1);
    jumps(small + PAGE, 4);
    WANT("a set of the TLB for code", 4 * n, 0);
}

/*
 * A page gets another frame, and the pages of its set are accessed in between:
 * what was accessed there before is not what is there now.
 */
static void test_other_frame(void)
{
    char *small = (char *)SMALL_AT + 7 * PAGE;
    char *one = take(PAGE, 0), *other = take(PAGE, 0);

    COUNT(EV_LOAD_MEMORY, EV_LOAD_WALK);
    map_pages((uintptr_t)one, 0);
    loads(other + 5 * LINE, 1, LINE, 1);
    clear_counters();
    asm volatile("wrmsr; mov 256(%[small]), %%r8; mov %[other], %[entry];"
                 "invlpg (%[small]); mov 320(%[small]), %%r8;"
                 "mov 384(%[small]), %%r8; mov 256(%[small]), %%r8;"
                 "xor %%eax, %%eax; wrmsr"
                 : [entry] "=m"(tables[1][7])
                 : [small] "r"(small), [other] "r"(other + PRESENT),
                   "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "r8", "memory");
    /* A line of the old frame, two of the new one; the page twice */
    WANT("INVLPG of a page with another frame", 3, 2);
    loads(one + 4 * LINE, 1, LINE, 1);
    loads(other + 4 * LINE, 3, LINE, 1);
    WANT("what was loaded of both frames", 0, 0);
}

/* Branches */

/*
 * Before the loop there are fourteen branches that are not taken, so that the
 * history is known.  Where all of them are they do not share any of the
 * predictor's 2^14 counters.
 */
void __attribute__((noinline)) turns(uint64_t n)
{
    asm volatile("jmp 8f; .balign 16384; .skip 0x100;"
                 "8: wrmsr; cmp %%eax, %%eax; .rept 14; jne 9f; .endr;"
                 "9: jmp 1f; .skip 0x1f00;"
                 "1: dec %[n]; jnz 1b; xor %%eax, %%eax; wrmsr"
                 : [n] "+r"(n)
                 : "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "memory");
}

void __attribute__((noinline)) indirect(uint64_t n, bool both)
{
    asm volatile("lea 1f(%%rip), %%rsi; lea 2f(%%rip), %%rdi;"
                 "cmp $0, %[both]; cmove %%rsi, %%rdi; mov %[n], %%r8; wrmsr;"
                 "1: nop; 2: xchg %%rsi, %%rdi; dec %%r8; jz 3f;"
                 "jmp *%%rsi; 3: xor %%eax, %%eax; wrmsr"
                 :
                 : [n] "r"(n), [both] "r"((uint32_t)both),
                   "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rsi", "rdi", "r8", "memory");
}

/* @n calls within each other, and the returns. */
static void __attribute__((noinline)) calls(uint64_t n)
{
    asm volatile("wrmsr; call 1f; jmp 3f;"
                 "1: dec %[n]; jz 2f; call 1b; 2: ret;"
                 "3: xor %%eax, %%eax; wrmsr"
                 : [n] "+r"(n)
                 : "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "memory");
}

void __attribute__((noinline)) other_return(void)
{
    asm volatile("lea 2f(%%rip), %%rsi; wrmsr; call 1f; ud2;"
                 "1: mov %%rsi, (%%rsp); ret; ud2;"
                 "2: xor %%eax, %%eax; wrmsr"
                 :
                 : "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rsi", "memory");
}

/* @n calls of the same function by a register. */
static void __attribute__((noinline)) indirect_calls(uint64_t n)
{
    asm volatile("lea 1f(%%rip), %%rsi; wrmsr;"
                 "2: call *%%rsi; dec %[n]; jnz 2b; jmp 3f;"
                 "1: ret; 3: xor %%eax, %%eax; wrmsr"
                 : [n] "+r"(n)
                 : "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rsi", "memory");
}

static void test_branches(void)
{
    COUNT(EV_MISP, EV_MISP_TAKEN, EV_MISP_NOT_TAKEN, EV_MISP_RET, EV_MISP_IND,
          EV_MISP_CALL);
    /* Each of the first 15 turns has a history that is new. */
    turns(100);
    WANT("a loop", 16, 15, 1, 0, 0, 0);
    turns(100);
    WANT("the loop again", 1, 0, 1, 0, 0, 0);

    COUNT(EV_MISP_IND, EV_MISP_CALL, EV_MISP_RET);
    indirect(50, false);
    WANT("an indirect jump to one place", 1, 0, 0);
    indirect(50, true);
    WANT("an indirect jump to two places", 49, 0, 0);
    indirect_calls(50);
    WANT("indirect calls", 1, 1, 0);
    indirect_calls(50);
    WANT("indirect calls again", 0, 0, 0);
    calls(16);
    WANT("16 calls within each other", 0, 0, 0);
    calls(20);
    WANT("20 calls within each other", 0, 0, 4);
    other_return();
    WANT("a return to another place", 0, 0, 1);
}

/* Overflow */

struct frame hit;
unsigned hits;

bool on_nmi(struct frame *frame)
{
    if (frame->vector != 2) {
        return false;
    }
    if (!hits++) {
        hit = *frame;
    }
    wrmsr(MSR_GLOBAL_CTRL, 0);
    wrmsr(MSR_GLOBAL_OVF_CTRL, rdmsr(MSR_GLOBAL_STATUS));
    apic_write(APIC_LVTPC, APIC_NMI);
    return true;
}

void arm(unsigned n)
{
    hits = 0;
    wrmsr(MSR_PERFEVTSEL0, rdmsr(MSR_PERFEVTSEL0) | EVTSEL_INT);
    wrmsr(MSR_PMC0, -(uint64_t)n & COUNTER_MASK);
    apic_write(APIC_LVTPC, APIC_NMI);
}

uintptr_t place_of(void *function, const char *code, unsigned length)
{
    const uint8_t *at = function;

    for (unsigned i = 0; i < 128; i++) {
        unsigned k = 0;

        while (k < length && at[i + k] == (uint8_t)code[k]) {
            k++;
        }
        if (k == length) {
            return (uintptr_t)at + i;
        }
    }
    return 0;
}

/*
 * The code of @sweep that follows the access: ADD, after an access of @length
 * bytes that is behind the first one of these bytes in it
 */
static bool hit_behind(void *sweep, const char *access, unsigned length)
{
    return hit.rip == place_of(sweep, access, length) + length;
}

/* RDI is the number of turns that are left, this one included. */
static void check_hit(const char *name, unsigned n, bool place, uint64_t left)
{
    if (!result(hits == 1 && place && hit.rdi == left, "%s, the %u.", name,
                n)) {
        print("#   %u interrupts, at 0x%lx, %lu turns left, want %lu\n", hits,
              hit.rip, hit.rdi, left);
    }
    clear_counters();
}

void check_load_hit(const char *name, unsigned n, uint64_t left)
{
    check_hit(name, n, hit_behind(loads, "\x4c\x8b\x06", 3), left);
}

static void test_overflow(void)
{
    trap_hook = on_nmi;
    apic_write(APIC_SPIV, 0x1ff);
    for (unsigned n = 1; n < 40; n += 13) {
        COUNT(EV_REPLACEMENT);
        arm(n);
        loads(take(100 * LINE, 32), 100, LINE, 1);
        check_load_hit("overflow at a load", n, 100 - n + 1);
        COUNT(EV_RFO);
        arm(n);
        stores(take(100 * LINE, 32), 100, LINE, 1);
        check_hit("overflow at a store", n,
                  hit_behind(stores, "\x4c\x89\x06", 3), 100 - n + 1);
        /* The load misses, the store does not. */
        COUNT(EV_LOAD_MEMORY);
        arm(n);
        locked(take(100 * LINE, 32), 100, LINE, 1);
        check_hit("overflow at a locked instruction", n,
                  hit_behind(locked, "\xf0\x48\x83\x06\x01", 5), 100 - n + 1);
        /* Each has eight lines. */
        COUNT(EV_RFO);
        arm(n);
        saves(take(100 * LINE, 32), 12, 8 * LINE, 1);
        check_hit("overflow in FXSAVE", n,
                  hit_behind(saves, "\x48\x0f\xae\x06", 4),
                  12 - (n - 1) / 8);
        COUNT(EV_LOAD_MEMORY);
        arm(n);
        x87(take(100 * LINE, 32), 100, LINE, 1);
        check_hit("overflow at a load of 80 bits", n,
                  hit_behind(x87, "\xdb\x2e", 2), 100 - n + 1);
    }

    /* Of two lines the second one */
    COUNT(EV_REPLACEMENT);
    arm(4);
    loads((char *)take(100 * LINE, 32) + LINE - 4, 10, 2 * LINE, 1);
    check_load_hit("overflow at the second of two lines", 4, 9);

    /* The same of a locked instruction */
    COUNT(EV_REPLACEMENT);
    arm(4);
    locked((char *)take(100 * LINE, 32) + LINE - 4, 10, 2 * LINE, 1);
    check_hit("overflow at a locked instruction of two lines", 4,
              hit_behind(locked, "\xf0\x48\x83\x06\x01", 5), 9);

    /* In the middle of a string: the instruction goes on. */
    COUNT(EV_RFO);
    arm(2);
    string((char *)take(100 * LINE, 32) + 32, 1, LINE, 1);
    result(hits == 1 && hit.rcx == 31 && (hit.flags & 0x10000),
           "overflow in a string, the 2.");
    clear_counters();

    /* A jump of a chain is in a line that is not there: it is executed. */
    {
        char *at = chain(take(20 * LINE, 56), 20, LINE);

        COUNT(EV_CODE_MISS);
        jumps(chain(take(LINE, 55), 1, LINE), 1);
        clear_counters();
        arm(5);
        jumps(at, 1);
        result(hits == 1 && hit.rip == (uintptr_t)at + 5 * LINE,
               "overflow at a fetch, the 5.");
        clear_counters();
    }

    /* The branch behind which the counter overflows goes to its target. */
    COUNT(EV_MISP_IND);
    indirect(50, true);
    clear_counters();
    arm(7);
    indirect(50, true);
    /* The first jump goes where the last one has gone, no other one does. */
    result(hits == 1 && hit.rip == hit.rsi && hit.r8 == 50 - 8,
           "overflow at an indirect jump, the 7.");
    clear_counters();
    trap_hook = NULL;
}

/* Compatibility mode, with the IDT above 4 GiB */

static bool on_ud(struct frame *frame)
{
    if (frame->vector != 6) {
        return false;
    }
    hits++;
    frame->rip += 2;
    return true;
}

static void test_compat(void)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) before, high;
    uint64_t page;

    asm volatile("sidt %0" : "=m"(before));
    page = before.base & -(uint64_t)PAGE;
    map_pages(0, 0);
    tables[1][16] = page | PRESENT;
    tables[1][17] = (page + PAGE) | PRESENT;
    reload_cr3();
    high = before;
    high.base = SMALL_AT + 16 * PAGE + before.base % PAGE;
    hits = 0;
    trap_hook = on_ud;
    COUNT(EV_LOAD_WALK);
    asm volatile("lidt %[high]; wrmsr; pushq %[compat]; lea 1f(%%rip), %%rbx;"
                 "push %%rbx; lretq; .code32; 1: ud2; ljmp %[normal], $2f;"
                 ".code64; 2: xor %%eax, %%eax; wrmsr; lidt %[before]"
                 :
                 : [high] "m"(high), [before] "m"(before),
                   [compat] "i"(SEL_KERNEL32), [normal] "i"(SEL_KERNEL),
                   "a"((uint32_t)counters()), "d"(0), "c"(msr_global_ctrl())
                 : "rbx", "memory");
    result(hits == 1, "an exception in compatibility mode");
    /* That of the IDT; all else is in one page, to which PUSH has walked. */
    WANT("its IDT above 4 GiB", 1);
    trap_hook = NULL;
}

void main(void)
{
    l1d = cache_size(0);
    l1i = cache_size(1);
    l2 = cache_size(2);
    llc = cache_size(3);
    if (on_amd) {
        test_amd();
        finish();
    }
    /* First of all, as long as the predictor knows nothing. */
    test_branches();
    test_levels();
    test_stores();
    test_helpers();
    test_products();
    test_code();
    test_two_lines();
    test_tlbs();
    test_flushes();
    test_code_tlb();
    test_other_frame();
    test_overflow();
    test_records();
    test_every_place();
    test_compat();
    trap_hook = on_nmi;
    test_worlds();
    finish();
}
