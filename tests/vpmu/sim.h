/*
 * What the files of the test of simulated caches share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_SIM_H
#define TESTS_VPMU_SIM_H

#include "rt.h"

#define LINE            64
#define PAGE            4096
#define LARGE           (2 << 20)
#define HUGE            (1 << 30)

/* Addresses of pages of each size that only this program maps */
#define SMALL_AT        (UINT64_C(4) << 30)
#define LARGE_AT        (UINT64_C(8) << 30)
#define HUGE_AT         (UINT64_C(32) << 30)

/* Events of Ice Lake */
#define EV_REFERENCES   0x4f2e
#define EV_MISSES       0x412e
#define EV_REPLACEMENT  0x0151
#define EV_LOAD_L2      0x02d1
#define EV_LOAD_L3      0x04d1
#define EV_LOAD_MEMORY  0x20d1
#define EV_RFO          0xe224
#define EV_RFO_L2_MISS  0x2224
#define EV_CODE_HIT     0x0183
#define EV_CODE_MISS    0x0283
#define EV_LOAD_STLB    0x2008
#define EV_LOAD_WALK    0x0e08
#define EV_LOAD_WALK_4K 0x0208
#define EV_LOAD_WALK_2M 0x0408
#define EV_LOAD_WALK_1G 0x0808
#define EV_STORE_STLB   0x2049
#define EV_STORE_WALK   0x0e49
#define EV_CODE_STLB    0x2085
#define EV_CODE_WALK    0x0e85
#define EV_MISP         0x00c5
#define EV_MISP_COND    0x11c5
#define EV_MISP_TAKEN   0x01c5
#define EV_MISP_NOT_TAKEN 0x10c5
#define EV_MISP_RET     0x08c5
#define EV_MISP_IND     0x80c5
#define EV_MISP_CALL    0x02c5

struct size {
    unsigned sets, ways;
};

extern struct size l1d, l1i, l2, llc;

/* Memory whose first line is in set @set of the last level, and so of all. */
void *take(unsigned size, unsigned set);

/* Count @events, a list of @n, in ring 0 up to the next call. */
void count_events(const uint32_t *events, unsigned n);
#define COUNT(...)                                                            \
    do {                                                                      \
        static const uint32_t events_[] = { __VA_ARGS__ };                    \
        count_events(events_, ARRAY_SIZE(events_));                           \
    } while (0)

/* Begin at 0 again, on the CPU that runs. */
void clear_counters(void);

/* What GLOBAL_CTRL needs for them */
uint64_t counters(void);

/* One result: all counters have the counts that are listed.  Clears them. */
void check_counts(const char *name, const uint64_t *want);
#define WANT(name, ...)                                                       \
    check_counts(name, (const uint64_t[]) { __VA_ARGS__ })

/* Access @n times, @stride apart, and the same again @passes times in all. */
void loads(void *at, uint64_t n, uint64_t stride, uint64_t passes);
void stores(void *at, uint64_t n, uint64_t stride, uint64_t passes);

/* A chain of @n jumps, @stride apart; the last one goes to where RBX points. */
void *chain(void *at, unsigned n, unsigned stride);
/* Run it, @passes times. */
void jumps(void *at, uint64_t passes);

/* A loop of @n turns, the last of which is mispredicted */
void turns(uint64_t n);

/* An indirect jump goes to two places in turn, or to one. */
void indirect(uint64_t n, bool both);
/* A return to another place than behind its call */
void other_return(void);

/* Map the pages of each size; all small ones have the frame @small. */
void map_pages(uint64_t small, uint64_t flags);
void reload_cr3(void);

/* A trap_hook that counts interrupts and keeps the first one */
bool on_nmi(struct frame *frame);
extern struct frame hit;
extern unsigned hits;

/* The place of @code, of @length bytes, in a function */
uintptr_t place_of(void *function, const char *code, unsigned length);

/* Counter 0 overflows at the @n-th event. */
void arm(unsigned n);
/* One result: once, behind the load, with @left turns of loads() left */
void check_load_hit(const char *name, unsigned n, uint64_t left);

/* sim-records.c: PEBS */
void test_records(void);
/* sim-every.c: overflow at each single event of much code */
void test_every_place(void);
/* An atomic operation; RBX points to the instruction behind it. */
void change_device(char *device);
/* sim-cpus.c: rings, other CPUs, modes and devices */
void test_worlds(void);

/* sim-amd.c: all of it on AMD's models */
void test_amd(void);

#endif /* TESTS_VPMU_SIM_H */
