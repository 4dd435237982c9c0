/*
 * PEBS of the first CPU, for pebs.c and its parts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_VPMU_PEBS_H
#define TESTS_VPMU_PEBS_H

#include "pmu.h"

/* What xmm_code puts into registers, plus their number. */
#define XMM_LOW         0x1111111111111100
#define XMM_HIGH        0x2222222222222200
#define GPR_VALUE       0x3333333333333300

#ifndef ASSEMBLY

/* Memory that has not been written to */
#define GUARD               0xa5

#define CFG_MEMINFO         1
#define CFG_GPRS            2
#define CFG_XMMS            4
#define CFG_LBRS(n)         (8 | (uint64_t)((n) - 1) << 24)

#define LATENCY             32
#define L1_HIT              1
#define STLB_MISS           0x10

/* What body_insn_code retires in ring 3: NOPs, RET and INT. */
#define INSNS               (PATTERN_MAX + 2)

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

/* Code in pebs-cases.S */
void xmm_code(void);
extern char xmm_here[], xmm_next[];

/* In pebs.c, for pebs-cases.S */
void before_fs(struct cpu *cpu);

/* In pebs-records.c */

/* From PERF_CAPABILITIES */
extern unsigned format;
extern bool baseline;
/* The first CPU's. */
extern struct ds *const ds;
extern uint8_t *const buffer;

struct ds *pebs_area(struct cpu *me);
uint8_t *pebs_buffer(struct cpu *me);
/* pmu_clear(), and PEBS of the current CPU with a buffer that has room. */
void pebs_clear(struct cpu *me);
/* The same for the first CPU; and no interrupt has come yet. */
void pebs_prepare(void);
/* pmu_count() with PEBS, and after the overflow every @period events. */
uint64_t pebs_sample(unsigned counter, uint64_t event, unsigned rings,
                     uint64_t n, uint64_t period);
unsigned pebs_slot(unsigned counter);
/* Bytes of records since the start of the buffer */
uint64_t pebs_bytes(void);
/* @cfg: PEBS_DATA_CFG, or 0 for a counter that is not adaptive */
unsigned record_size(uint64_t cfg);
/* What a record can have about an instruction, but for the LBR. */
uint64_t full_cfg(void);
/* Have it in records.  Returns: what it takes in an event select. */
uint64_t want_full(void);
struct record read_record(const uint8_t *where);
/*
 * Is it counter 0's record of the @n-th instruction of loop_code, from the
 * second on, with registers as that has left them?
 */
bool is_of_loop(const struct record *r, unsigned n);

/* The @n-th instruction of body_insn */
static inline uint64_t nth_insn(unsigned n)
{
    return (uint64_t)body_insn + n - 1;
}

/* In pebs-counters.c */
void test_counters(void);

/* In pebs-hostile.c */
void test_hostile(void);

#endif /* !ASSEMBLY */
#endif /* TESTS_VPMU_PEBS_H */
