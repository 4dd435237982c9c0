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

static uint8_t *put(uint8_t *at, uint64_t value)
{
    for (unsigned i = 0; i < sizeof(value); i++) {
        *at++ = value >> (8 * i);
    }
    return at;
}

static uint8_t *put_gprs(uint8_t *at, const PEBSSample *sample,
                         const uint8_t order[8])
{
    at = put(at, sample->flags);
    at = put(at, sample->next_ip);
    for (unsigned i = 0; i < 16; i++) {
        at = put(at, sample->gprs[i < 8 ? order[i] : i]);
    }
    return at;
}

/* There is room for one address. */
static uint64_t address(const PEBSSample *sample)
{
    return sample->store && (sample->about_store || !sample->load) ?
           sample->store : sample->load;
}

static unsigned lbr_entries(uint64_t cfg)
{
    return cfg & PEBS_CFG_LBRS ? (cfg >> PEBS_CFG_LBR_SHIFT & 0xff) + 1 : 0;
}

unsigned pebs_record_size(unsigned format, uint64_t cfg)
{
    if (format < 4) {
        return PEBS_FORMAT3_SIZE;
    }
    return PEBS_BASIC_SIZE +
           (cfg & PEBS_CFG_MEMINFO ? PEBS_MEMINFO_SIZE : 0) +
           (cfg & PEBS_CFG_GPRS ? PEBS_GPRS_SIZE : 0) +
           (cfg & PEBS_CFG_XMMS ? PEBS_XMMS_SIZE : 0) +
           lbr_entries(cfg) * PEBS_LBR_SIZE;
}

static void write_format3(uint8_t *at, const PEBSSample *sample)
{
    static const uint8_t order[8] = { AX, BX, CX, DX, SI, DI, BP, SP };

    at = put_gprs(at, sample, order);
    at = put(at, sample->counters);
    at = put(at, address(sample));
    at = put(at, sample->source);
    at = put(at, sample->latency);
    at = put(at, sample->ip);
    at = put(at, 0); /* transactions: none */
    put(at, sample->tsc);
}

static void write_format4(uint8_t *at, uint64_t cfg, const PEBSSample *sample)
{
    static const uint8_t order[8] = { AX, CX, DX, BX, SP, BP, SI, DI };
    uint64_t size = pebs_record_size(4, cfg);

    at = put(at, (cfg & PEBS_CFG_MASK) | size << 48);
    at = put(at, sample->ip);
    at = put(at, sample->counters);
    at = put(at, sample->tsc);
    if (cfg & PEBS_CFG_MEMINFO) {
        at = put(at, address(sample));
        at = put(at, sample->source);
        at = put(at, sample->latency);
        at = put(at, 0); /* transactions: none */
    }
    if (cfg & PEBS_CFG_GPRS) {
        at = put_gprs(at, sample, order);
    }
    for (unsigned i = 0; cfg & PEBS_CFG_XMMS && i < 16; i++) {
        at = put(at, sample->xmms[i][0]);
        at = put(at, sample->xmms[i][1]);
    }
    for (unsigned i = 0; i < lbr_entries(cfg) * (PEBS_LBR_SIZE / 8); i++) {
        at = put(at, 0);
    }
}

void pebs_record_write(uint8_t *record, unsigned format, uint64_t cfg,
                       const PEBSSample *sample)
{
    if (format < 4) {
        write_format3(record, sample);
    } else {
        write_format4(record, cfg, sample);
    }
}
