/*
 * PEBS set up for a CPU, and the records that it writes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "pebs.h"

#define RECORDS_SIZE        (1u << 20)

unsigned format;
bool baseline;

static union {
    struct ds ds;
    uint8_t page[4096];
} areas[MAX_CPUS] __attribute__((aligned(4096)));
static uint8_t buffers[MAX_CPUS][RECORDS_SIZE] __attribute__((aligned(4096)));

struct ds *const ds = &areas[0].ds;
uint8_t *const buffer = buffers[0];

struct ds *pebs_area(struct cpu *me)
{
    return &areas[me->index].ds;
}

uint8_t *pebs_buffer(struct cpu *me)
{
    return buffers[me->index];
}

static void set_up_pebs(struct cpu *me)
{
    struct ds *mine = pebs_area(me);
    uint64_t start = (uint64_t)pebs_buffer(me);

    wrmsr(MSR_PEBS_ENABLE, 0);
    if (baseline) {
        wrmsr(MSR_PEBS_DATA_CFG, 0);
    }
    wrmsr(MSR_PEBS_LD_LAT, 0);
    memset(mine, 0, sizeof(*mine));
    mine->base = mine->index = start;
    mine->maximum = start + RECORDS_SIZE;
    mine->threshold = ~UINT64_C(0);
    wrmsr(MSR_DS_AREA, (uint64_t)mine);
}

void pebs_clear(struct cpu *me)
{
    pmu_clear();
    set_up_pebs(me);
}

void pebs_prepare(void)
{
    pmu_prepare();
    set_up_pebs(cpu);
    pmu_watch = &ds->index;
}

unsigned pebs_slot(unsigned counter)
{
    return counter < 32 ? counter : 8 + counter - 32;
}

uint64_t pebs_sample(unsigned counter, uint64_t event, unsigned rings,
                     uint64_t n, uint64_t period)
{
    struct ds *mine = (struct ds *)rdmsr(MSR_DS_AREA);
    uint64_t bit = pmu_count(counter, event, rings, n);

    /* A slot may have more bits than a counter, which ignores them. */
    mine->reset[pebs_slot(counter)] = period & 1 ? pmu_minus(period) : -period;
    wrmsr(MSR_PEBS_ENABLE, rdmsr(MSR_PEBS_ENABLE) | bit);
    return bit;
}

uint64_t pebs_bytes(void)
{
    return ds->index - ds->base;
}

unsigned record_size(uint64_t cfg)
{
    if (format < 4) {
        return 200;
    }
    return 32 + (cfg & CFG_MEMINFO ? 32 : 0) + (cfg & CFG_GPRS ? 144 : 0) +
           (cfg & CFG_XMMS ? 256 : 0) +
           (cfg & 8 ? ((cfg >> 24 & 0xff) + 1) * 24 : 0);
}

uint64_t full_cfg(void)
{
    return baseline ? CFG_MEMINFO | CFG_GPRS | CFG_XMMS : 0;
}

uint64_t want_full(void)
{
    if (!baseline) {
        return 0;
    }
    wrmsr(MSR_PEBS_DATA_CFG, full_cfg());
    return EVTSEL_ADAPTIVE;
}

static void read_gprs(struct record *r, const uint64_t *at, bool old)
{
    static const uint8_t order[8] = { 0, 3, 1, 2, 6, 7, 5, 4 };

    r->has_gprs = true;
    r->flags = *at++;
    r->next = *at++;
    for (unsigned i = 0; i < 16; i++) {
        r->gprs[old && i < 8 ? order[i] : i] = *at++;
    }
}

struct record read_record(const uint8_t *where)
{
    const uint64_t *at = (const uint64_t *)where;
    struct record r = {};

    if (format < 4) {
        r.size = 200;
        r.format = UINT64_C(200) << 48;
        read_gprs(&r, at, true);
        r.counters = at[18];
        r.has_meminfo = true;
        r.address = at[19];
        r.source = at[20];
        r.latency = at[21];
        r.ip = at[22];
        r.tsc = at[24];
        return r;
    }
    r.format = *at++;
    r.ip = *at++;
    r.counters = *at++;
    r.tsc = *at++;
    r.size = r.format >> 48;
    if (r.format & CFG_MEMINFO) {
        r.has_meminfo = true;
        r.address = at[0];
        r.source = at[1];
        r.latency = at[2];
        at += 4;
    }
    if (r.format & CFG_GPRS) {
        read_gprs(&r, at, false);
        at += 18;
    }
    if (r.format & CFG_XMMS) {
        r.xmms = at;
    }
    return r;
}

bool is_of_loop(const struct record *r, unsigned n)
{
    /* After MOV, DEC and JNZ take turns. */
    bool jnz = n & 1;

    return r->ip == (uint64_t)(jnz ? loop_jnz : loop_dec) &&
           r->counters == 1 &&
           (!r->has_gprs ||
            (r->gprs[1] == loop_turns - n / 2 &&
             r->next == (uint64_t)(jnz ? loop_dec : loop_jnz)));
}
