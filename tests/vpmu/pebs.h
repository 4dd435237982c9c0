/*
 * What pebs.c and pebs-cases.S share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_PEBS_H
#define TESTS_VPMU_PEBS_H

#include "bodies.h"

/* Conditions of a case, besides. */
/* The interrupt comes later, so its frame says nothing about the record. */
#define LATER           8
/* Many addresses are accessed, or those of a stack: any is right. */
#define ANY             32

/* What the address in a record is relative to. */
#define A_NONE          0       /* the instruction accesses nothing: it is 0 */
#define A_RDI           1       /* first buffer */
#define A_RSI           2       /* second buffer */
#define A_STACK         3       /* RSP in the record */
#define A_ABS           4

#define LOOP_TURNS      100000

/* What xmm_code puts into registers, plus their number. */
#define XMM_LOW         0x1111111111111100
#define XMM_HIGH        0x2222222222222200
#define GPR_VALUE       0x3333333333333300

#ifndef ASSEMBLY
#include "rt.h"

/* As pebs-cases.S lays it out. */
struct pebs_case {
    const char *name;
    void (*code)(void);
    void (*before)(void);
    uint64_t offset;
    uint32_t where, n, event, area;
    uint64_t rip, next;
};

extern struct pebs_case cases[], cases_end[];

/* Code in pebs-cases.S */
void loop_code(void);
extern char loop_dec[], loop_jnz[];
void xmm_code(void);
extern char xmm_here[], xmm_next[];

/* In pebs.c, for pebs-cases.S. */
void before_hole(void);
void before_hole_map(void);
void before_fs(void);

/* In pebs.c, for pebs-hostile.c */

/* What nobody has written to. */
#define GUARD               0xa5

#define FIXED(j)            (32 + (j))
#define EVTSEL_ADAPTIVE     (UINT64_C(1) << 34)
#define CFG_MEMINFO         1
#define CFG_GPRS            2
#define CFG_XMMS            4
#define CFG_LBRS(n)         (8 | (uint64_t)((n) - 1) << 24)

/* Where rings are counted, as in FIXED_CTR_CTRL. */
enum { RING0 = 1, RING3 = 2 };

struct ds {
    uint64_t bts[4], base, index, maximum, threshold, reset[11];
};

/* A record of any kind. */
struct record {
    uint64_t format, ip, counters, tsc;
    bool has_meminfo, has_gprs;
    uint64_t address, source, latency;
    uint64_t flags, next;
    uint64_t gprs[16];          /* as instructions number them */
    const uint64_t *xmms;
    unsigned size;
};

/* The first interrupt, how many there were, and other traps before it. */
struct hit {
    unsigned n, before;
    struct frame frame;
    uint64_t status, index;
};

extern unsigned format;
extern bool baseline;
/* The first CPU's. */
extern struct cpu *const cpu;
extern struct ds *const ds;
extern uint8_t *const buffer;
extern struct hit hit;
/* The handler leaves the counters on. */
extern bool keep_counting;

/* Everything off, and PEBS of the first CPU with a buffer that has room. */
void prepare(void);
/* What a counter has @n events before it overflows. */
uint64_t minus(uint64_t n);
uint64_t value_of(unsigned counter);
/*
 * Let a counter overflow at the @n-th event.  A fixed counter has its own
 * event.  Returns: its bit in GLOBAL_CTRL.
 */
uint64_t count(unsigned counter, uint64_t event, unsigned rings, uint64_t n);
/* The same with PEBS, and after the overflow every @period events. */
uint64_t sample(struct cpu *me, unsigned counter, uint64_t event,
                unsigned rings, uint64_t n, uint64_t period);
/* @cfg: PEBS_DATA_CFG, or 0 for a counter that is not adaptive */
unsigned record_size(uint64_t cfg);
struct record read_record(const uint8_t *where);

/* In pebs-hostile.c */
void test_hostile(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_PEBS_H */
