/*
 * What a PEBS record looks like in memory
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * SDM volume 3, "Processor Event Based Sampling (PEBS)" and "Adaptive PEBS".
 * Plain C like handover.h.
 */
#ifndef TARGET_I386_VPMU_PEBS_RECORD_H
#define TARGET_I386_VPMU_PEBS_RECORD_H

#include "handover.h"

/* MSR_PEBS_DATA_CFG: groups of an adaptive record, in their order in memory */
#define PEBS_CFG_MEMINFO        (UINT64_C(1) << 0)
#define PEBS_CFG_GPRS           (UINT64_C(1) << 1)
#define PEBS_CFG_XMMS           (UINT64_C(1) << 2)
#define PEBS_CFG_LBRS           (UINT64_C(1) << 3)
#define PEBS_CFG_LBR_SHIFT      24
#define PEBS_CFG_MASK           UINT64_C(0xff00000f)

/* Where "applicable counters" is, in formats 1 to 3 and in the basic group */
#define PEBS_FIXED_COUNTERS     0x90
#define PEBS_BASIC_COUNTERS     0x10

#define PEBS_BASIC_SIZE         32
#define PEBS_MEMINFO_SIZE       32
#define PEBS_GPRS_SIZE          (18 * 8)
#define PEBS_XMMS_SIZE          (16 * 16)
#define PEBS_LBR_SIZE           24
/* A record may have room for more; those are 0. */
#define PEBS_NR_LBRS            32
#define PEBS_RECORD_MAX         (PEBS_BASIC_SIZE + PEBS_MEMINFO_SIZE + \
                                 PEBS_GPRS_SIZE + PEBS_XMMS_SIZE + \
                                 256 * PEBS_LBR_SIZE)

/**
 * PEBSBranch: a last branch record, as its registers have it
 */
typedef struct PEBSBranch {
    uint64_t from;
    uint64_t to;
    uint64_t info;
} PEBSBranch;

/**
 * PEBSSample: what is known about an instruction that has just retired
 * @ip: its linear address
 * @next_ip: that of the next one, as in RIP
 * @flags: RFLAGS
 * @gprs: RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 to R15
 * @xmms: XMM0 to XMM15, low half first
 * @tsc: time stamp counter
 * @counters: mask like GLOBAL_STATUS of the counters that overflowed at it
 * @load, @store: linear addresses of its memory accesses, 0: it has none
 * @about_store: if it loads and stores, the record is about the store
 * @source: data source encoding of the access
 * @latency: of the access, core cycles
 * @lbrs: the last branches, the latest one first
 */
typedef struct PEBSSample {
    uint64_t ip;
    uint64_t next_ip;
    uint64_t flags;
    uint64_t gprs[16];
    uint64_t xmms[16][2];
    uint64_t tsc;
    uint64_t counters;
    uint64_t load;
    uint64_t store;
    bool about_store;
    uint64_t source;
    uint64_t latency;
    PEBSBranch lbrs[PEBS_NR_LBRS];
} PEBSSample;

/**
 * pebs_record_size: the length of a record
 * @format: PERF_CAPABILITIES.PEBS_REC_FMT, 0 to 4
 * @cfg: MSR_PEBS_DATA_CFG; 0 for a basic record; ignored below format 4
 *
 * Returns: bytes, at most PEBS_RECORD_MAX.
 */
unsigned pebs_record_size(unsigned format, uint64_t cfg);

/**
 * pebs_record_write: write a record, as the hardware does
 * @record: room for pebs_record_size() bytes
 *
 * Little endian.
 */
void pebs_record_write(uint8_t *record, unsigned format, uint64_t cfg,
                       const PEBSSample *sample);

/**
 * pebs_record_translate: have a record name vPMCs instead of pPMCs
 * @record: as the hardware wrote it
 * @size: the number of bytes that are there
 *
 * Returns: the number of bytes that were changed.  It is 0 on the fast path,
 * and if the record ends before the field; format 0 has none.
 */
unsigned pebs_record_translate(const Handover *h, unsigned format,
                               uint8_t *record, unsigned size);

#endif /* TARGET_I386_VPMU_PEBS_RECORD_H */
