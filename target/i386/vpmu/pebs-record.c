/*
 * What a PEBS record looks like in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef VPMU_STANDALONE
#include "qemu/osdep.h"
#endif
#include "pebs-record.h"

/* Indices into PEBSSample.gprs */
enum { AX, CX, DX, BX, SP, BP, SI, DI };

static uint8_t *pebs_put(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < sizeof(value); i++) {
        *at++ = value >> (8 * i);
    }
    return at;
}

static uint8_t *pebs_put_gprs(uint8_t *at, const PEBSSample *sample,
                              const uint8_t order[8])
{
    at = pebs_put(at, sample->flags);
    at = pebs_put(at, sample->next_ip);
    for (unsigned i = 0; i < 16; i++) {
        at = pebs_put(at, sample->gprs[i < 8 ? order[i] : i]);
    }
    return at;
}

/* A record has room for one address. */
static uint64_t pebs_address(const PEBSSample *sample)
{
    return sample->store && (sample->about_store || !sample->load) ?
           sample->store : sample->load;
}

static unsigned pebs_lbr_entries(uint64_t cfg)
{
    return cfg & PEBS_CFG_LBRS ? (cfg >> PEBS_CFG_LBR_SHIFT & 0xff) + 1 : 0;
}

/* The formats of one layout: each begins with the one before it. */
static const uint8_t pebs_sizes[] = { 144, 176, 192, 200 };

unsigned pebs_record_size(unsigned format, uint64_t cfg)
{
    if (format < 4) {
        return pebs_sizes[format];
    }
    return PEBS_BASIC_SIZE +
           (cfg & PEBS_CFG_MEMINFO ? PEBS_MEMINFO_SIZE : 0) +
           (cfg & PEBS_CFG_GPRS ? PEBS_GPRS_SIZE : 0) +
           (cfg & PEBS_CFG_XMMS ? PEBS_XMMS_SIZE : 0) +
           pebs_lbr_entries(cfg) * PEBS_LBR_SIZE;
}

static void pebs_write_fixed(uint8_t *at, unsigned format,
                             const PEBSSample *sample)
{
    static const uint8_t order[8] = { AX, BX, CX, DX, SI, DI, BP, SP };

    at = pebs_put_gprs(at, sample, order);
    if (format >= 1) {
        at = pebs_put(at, sample->counters);
        at = pebs_put(at, pebs_address(sample));
        at = pebs_put(at, sample->source);
        at = pebs_put(at, sample->latency);
    }
    if (format >= 2) {
        at = pebs_put(at, sample->ip);
        at = pebs_put(at, 0); /* transactions: none */
    }
    if (format >= 3) {
        pebs_put(at, sample->tsc);
    }
}

static void pebs_write_format4(uint8_t *at, uint64_t cfg,
                               const PEBSSample *sample)
{
    static const uint8_t order[8] = { AX, CX, DX, BX, SP, BP, SI, DI };
    uint64_t size = pebs_record_size(4, cfg);

    at = pebs_put(at, (cfg & PEBS_CFG_MASK) | size << 48);
    at = pebs_put(at, sample->ip);
    at = pebs_put(at, sample->counters);
    at = pebs_put(at, sample->tsc);
    if (cfg & PEBS_CFG_MEMINFO) {
        at = pebs_put(at, pebs_address(sample));
        at = pebs_put(at, sample->source);
        at = pebs_put(at, sample->latency);
        at = pebs_put(at, 0); /* transactions: none */
    }
    if (cfg & PEBS_CFG_GPRS) {
        at = pebs_put_gprs(at, sample, order);
    }
    for (unsigned i = 0; cfg & PEBS_CFG_XMMS && i < 16; i++) {
        at = pebs_put(at, sample->xmms[i][0]);
        at = pebs_put(at, sample->xmms[i][1]);
    }
    for (unsigned i = 0; i < pebs_lbr_entries(cfg); i++) {
        static const PEBSBranch none;
        const PEBSBranch *lbr = i < PEBS_NR_LBRS ? &sample->lbrs[i] : &none;

        at = pebs_put(at, lbr->from);
        at = pebs_put(at, lbr->to);
        at = pebs_put(at, lbr->info);
    }
}

void pebs_record_write(uint8_t *record, unsigned format, uint64_t cfg,
                       const PEBSSample *sample)
{
    if (format < 4) {
        pebs_write_fixed(record, format, sample);
    } else {
        pebs_write_format4(record, cfg, sample);
    }
}

unsigned pebs_record_translate(const Handover *h, unsigned format,
                               uint8_t *record, unsigned size)
{
    unsigned offset = format >= 4 ? PEBS_BASIC_COUNTERS :
                                    PEBS_FIXED_COUNTERS;
    uint64_t physical = 0, virtual;

    /* Format 0 ends before the field. */
    if (size < offset + sizeof(physical)) {
        return 0;
    }
    for (unsigned i = 0; i < sizeof(physical); i++) {
        physical |= (uint64_t)record[offset + i] << (8 * i);
    }
    virtual = handover_reg_to_virtual(h, physical);
    if (virtual == physical) {
        return 0;
    }
    pebs_put(record + offset, virtual);
    return sizeof(virtual);
}
