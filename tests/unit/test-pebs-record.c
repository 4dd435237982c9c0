/*
 * What a PEBS record looks like: every field of every layout
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The expected records come from tables of offsets, copied from the SDM.  Every
 * field of the sample has a value of its own, and so has every byte of it.
 */
#include <glib.h>
#include <string.h>
#include "handover.h"
#include "pebs-record.h"

/* Values of the sample */
enum {
    ZERO, IP, NEXT_IP, FLAGS, TSC, COUNTERS, ADDRESS, SOURCE, LATENCY,
    RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP,
    R8, R9, R10, R11, R12, R13, R14, R15,
    XMM_LOW, XMM_HIGH = XMM_LOW + 16,
    LBR_FROM = XMM_HIGH + 16, LBR_TO = LBR_FROM + 32, LBR_INFO = LBR_TO + 32,
};

typedef struct Field {
    unsigned offset;
    unsigned value;
} Field;

/*
 * SDM volume 3, "PEBS Record Format for 6th Generation ... Processors".  The
 * formats before it are the first fields of the same layout: "PEBS Record
 * Format for Intel Core i7 Processor Family" and "... for 4th Generation ...".
 */
static const Field fixed[] = {
    { 0x00, FLAGS }, { 0x08, NEXT_IP },
    { 0x10, RAX }, { 0x18, RBX }, { 0x20, RCX }, { 0x28, RDX },
    { 0x30, RSI }, { 0x38, RDI }, { 0x40, RBP }, { 0x48, RSP },
    { 0x50, R8 }, { 0x58, R9 }, { 0x60, R10 }, { 0x68, R11 },
    { 0x70, R12 }, { 0x78, R13 }, { 0x80, R14 }, { 0x88, R15 },
    { 0x90, COUNTERS }, { 0x98, ADDRESS }, { 0xa0, SOURCE },
    { 0xa8, LATENCY }, { 0xb0, IP }, { 0xb8, ZERO }, { 0xc0, TSC },
};

/* How many of these fields formats 0 to 3 have */
static const unsigned nr_fixed[] = { 18, 22, 24, 25 };

/* SDM volume 3, "Adaptive PEBS": each group by itself */
static const Field basic[] = {
    /* 0x00: format and size */
    { 0x08, IP }, { 0x10, COUNTERS }, { 0x18, TSC },
};

static const Field meminfo[] = {
    { 0x00, ADDRESS }, { 0x08, SOURCE }, { 0x10, LATENCY }, { 0x18, ZERO },
};

static const Field gprs[] = {
    { 0x00, FLAGS }, { 0x08, NEXT_IP },
    { 0x10, RAX }, { 0x18, RCX }, { 0x20, RDX }, { 0x28, RBX },
    { 0x30, RSP }, { 0x38, RBP }, { 0x40, RSI }, { 0x48, RDI },
    { 0x50, R8 }, { 0x58, R9 }, { 0x60, R10 }, { 0x68, R11 },
    { 0x70, R12 }, { 0x78, R13 }, { 0x80, R14 }, { 0x88, R15 },
};

static const Field xmms[] = {
    { 0x00, XMM_LOW + 0 }, { 0x08, XMM_HIGH + 0 },
    { 0x10, XMM_LOW + 1 }, { 0x18, XMM_HIGH + 1 },
    { 0x20, XMM_LOW + 2 }, { 0x28, XMM_HIGH + 2 },
    { 0x30, XMM_LOW + 3 }, { 0x38, XMM_HIGH + 3 },
    { 0x40, XMM_LOW + 4 }, { 0x48, XMM_HIGH + 4 },
    { 0x50, XMM_LOW + 5 }, { 0x58, XMM_HIGH + 5 },
    { 0x60, XMM_LOW + 6 }, { 0x68, XMM_HIGH + 6 },
    { 0x70, XMM_LOW + 7 }, { 0x78, XMM_HIGH + 7 },
    { 0x80, XMM_LOW + 8 }, { 0x88, XMM_HIGH + 8 },
    { 0x90, XMM_LOW + 9 }, { 0x98, XMM_HIGH + 9 },
    { 0xa0, XMM_LOW + 10 }, { 0xa8, XMM_HIGH + 10 },
    { 0xb0, XMM_LOW + 11 }, { 0xb8, XMM_HIGH + 11 },
    { 0xc0, XMM_LOW + 12 }, { 0xc8, XMM_HIGH + 12 },
    { 0xd0, XMM_LOW + 13 }, { 0xd8, XMM_HIGH + 13 },
    { 0xe0, XMM_LOW + 14 }, { 0xe8, XMM_HIGH + 14 },
    { 0xf0, XMM_LOW + 15 }, { 0xf8, XMM_HIGH + 15 },
};

/* For MSR_PEBS_DATA_CFG: bits 31:24 and the entries that they mean */
static const struct {
    uint64_t field;
    unsigned entries;
} lbrs[] = {
    { 0x00000000, 1 }, { 0x01000000, 2 }, { 0x1f000000, 32 },
    { 0x7f000000, 128 }, { 0x80000000, 129 }, { 0xff000000, 256 },
};

#define GROUPS          16
/* Bytes before and behind the record, and their value */
#define GUARD           64
#define CANARY          0xc5

typedef struct Buffer {
    uint8_t bytes[GUARD + PEBS_RECORD_MAX + GUARD];
} Buffer;

static uint64_t value_of(unsigned value)
{
    return value == ZERO ? 0 : UINT64_C(0xf1e2d3b4a5968700) + value;
}

static PEBSSample new_sample(void)
{
    static const unsigned regs[] = {
        RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI,
        R8, R9, R10, R11, R12, R13, R14, R15,
    };
    PEBSSample sample = {
        .ip = value_of(IP),
        .next_ip = value_of(NEXT_IP),
        .flags = value_of(FLAGS),
        .tsc = value_of(TSC),
        .counters = value_of(COUNTERS),
        .load = value_of(ADDRESS),
        .source = value_of(SOURCE),
        .latency = value_of(LATENCY),
    };

    for (unsigned i = 0; i < 16; i++) {
        sample.gprs[i] = value_of(regs[i]);
        sample.xmms[i][0] = value_of(XMM_LOW + i);
        sample.xmms[i][1] = value_of(XMM_HIGH + i);
    }
    for (unsigned i = 0; i < 32; i++) {
        sample.lbrs[i] = (PEBSBranch) {
            value_of(LBR_FROM + i), value_of(LBR_TO + i), value_of(LBR_INFO + i)
        };
    }
    return sample;
}

static uint8_t *record_in(Buffer *buffer)
{
    return buffer->bytes + GUARD;
}

static void put(Buffer *buffer, unsigned offset, uint64_t value)
{
    value = GUINT64_TO_LE(value);
    memcpy(record_in(buffer) + offset, &value, sizeof(value));
}

static unsigned put_fields(Buffer *buffer, unsigned offset,
                           const Field *fields, unsigned nr)
{
    for (unsigned i = 0; i < nr; i++) {
        put(buffer, offset + fields[i].offset, value_of(fields[i].value));
    }
    return offset + fields[nr - 1].offset + 8;
}

#define PUT(buffer, offset, fields) \
    put_fields(buffer, offset, fields, G_N_ELEMENTS(fields))

/* Write the expected record; returns its size. */
static unsigned expect_record(Buffer *buffer, unsigned format, uint64_t cfg,
                              unsigned entries)
{
    unsigned size;

    memset(buffer, CANARY, sizeof(*buffer));
    if (format < 4) {
        return put_fields(buffer, 0, fixed, nr_fixed[format]);
    }
    size = PUT(buffer, 0, basic);
    if (cfg & 0x1) {
        size = PUT(buffer, size, meminfo);
    }
    if (cfg & 0x2) {
        size = PUT(buffer, size, gprs);
    }
    if (cfg & 0x4) {
        size = PUT(buffer, size, xmms);
    }
    if (cfg & 0x8) {
        /* The latest branch comes first; there are 32 at most. */
        for (unsigned i = 0; i < entries; i++) {
            const Field lbr[] = {
                { 0x00, i < 32 ? LBR_FROM + i : ZERO },
                { 0x08, i < 32 ? LBR_TO + i : ZERO },
                { 0x10, i < 32 ? LBR_INFO + i : ZERO },
            };

            size = PUT(buffer, size, lbr);
        }
    }
    put(buffer, 0, (uint64_t)size << 48 | (uint32_t)cfg);
    return size;
}

static void check_record(unsigned format, uint64_t cfg,
                         const PEBSSample *sample, const Buffer *expected,
                         unsigned size)
{
    g_autofree Buffer *buffer = g_new(Buffer, 1);

    memset(buffer, CANARY, sizeof(*buffer));
    g_assert_cmpuint(pebs_record_size(format, cfg), ==, size);
    g_assert_cmpuint(size, <=, PEBS_RECORD_MAX);
    pebs_record_write(record_in(buffer), format, cfg, sample);
    g_assert_cmpmem(buffer, sizeof(*buffer), expected, sizeof(*expected));
}

static void test_fixed(void)
{
    static const uint64_t cfgs[] = { 0, 0xf, 0xff00000f, UINT64_MAX };
    static const unsigned sizes[] = { 144, 176, 192, 200 };
    const PEBSSample sample = new_sample();
    g_autofree Buffer *expected = g_new(Buffer, 1);

    for (unsigned format = 0; format < 4; format++) {
        g_assert_cmpuint(expect_record(expected, format, 0, 0), ==,
                         sizes[format]);
        for (unsigned i = 0; i < G_N_ELEMENTS(cfgs); i++) {
            check_record(format, cfgs[i], &sample, expected, sizes[format]);
        }
    }
}

static void test_format4(void)
{
    static const unsigned sizes[GROUPS] = {
        32, 64, 176, 208, 288, 320, 432, 464,
        32, 64, 176, 208, 288, 320, 432, 464,
    };
    const PEBSSample sample = new_sample();
    g_autofree Buffer *expected = g_new(Buffer, 1);

    for (unsigned groups = 0; groups < GROUPS; groups++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(lbrs); i++) {
            uint64_t cfg = groups | lbrs[i].field;
            unsigned size = expect_record(expected, 4, cfg, lbrs[i].entries);

            g_assert_cmpuint(size, ==, sizes[groups] +
                             (groups & 8 ? lbrs[i].entries * 24 : 0));
            check_record(4, cfg, &sample, expected, size);
            /* Bits that belong to no group mean nothing. */
            check_record(4, cfg | ~UINT64_C(0xff00000f), &sample, expected,
                         size);
        }
    }
    /* The largest record there is. */
    g_assert_cmpuint(pebs_record_size(4, 0xff00000f), ==, PEBS_RECORD_MAX);
}

/* A record has room for the address of one access: which is it? */
static void test_address(void)
{
    enum { LOAD = 0x1111, STORE = 0x2222 };
    static const struct {
        uint64_t load, store;
        bool about_store;
        uint64_t expected;
    } table[] = {
        { 0, 0, false, 0 },
        { 0, 0, true, 0 },
        { LOAD, 0, false, LOAD },
        { LOAD, 0, true, LOAD },
        { 0, STORE, false, STORE },
        { 0, STORE, true, STORE },
        { LOAD, STORE, false, LOAD },
        { LOAD, STORE, true, STORE },
    };
    PEBSSample sample = new_sample();
    g_autofree Buffer *expected = g_new(Buffer, 1);

    for (unsigned i = 0; i < G_N_ELEMENTS(table); i++) {
        unsigned size;

        sample.load = table[i].load;
        sample.store = table[i].store;
        sample.about_store = table[i].about_store;

        for (unsigned format = 1; format < 4; format++) {
            size = expect_record(expected, format, 0, 0);
            put(expected, 0x98, table[i].expected);
            check_record(format, 0, &sample, expected, size);
        }

        for (unsigned groups = 0; groups < GROUPS; groups++) {
            size = expect_record(expected, 4, groups, 1);
            if (groups & 0x1) {
                put(expected, 0x20, table[i].expected);
            }
            check_record(4, groups, &sample, expected, size);
        }
    }
}

/* The counters @from become @to, and nothing else in the record changes. */
static void check_translation(const Handover *h, unsigned format, uint64_t cfg,
                              uint64_t from, uint64_t to)
{
    PEBSSample sample = new_sample();
    unsigned size = pebs_record_size(format, cfg);
    unsigned end = format < 4 ? 0x98 : 0x18;
    g_autofree Buffer *buffer = g_new(Buffer, 1);
    g_autofree Buffer *expected = g_new(Buffer, 1);

    memset(buffer, CANARY, sizeof(*buffer));
    memset(expected, CANARY, sizeof(*expected));
    sample.counters = from;
    pebs_record_write(record_in(buffer), format, cfg, &sample);
    pebs_record_write(record_in(expected), format, cfg, &sample);

    /* The record ends within the field. */
    g_assert_cmpuint(pebs_record_translate(h, format, record_in(buffer),
                                           MIN(size, end - 1)), ==, 0);
    g_assert_cmpmem(buffer, sizeof(*buffer), expected, sizeof(*expected));

    sample.counters = to;
    pebs_record_write(record_in(expected), format, cfg, &sample);
    g_assert_cmpuint(pebs_record_translate(h, format, record_in(buffer),
                                               size), ==,
                     from == to ? 0 : 8);
    g_assert_cmpmem(buffer, sizeof(*buffer), expected, sizeof(*expected));
}

static void check_translations(const Handover *h, uint64_t from, uint64_t to)
{
    /* Format 0 does not name counters. */
    check_translation(h, 0, 0, from, from);
    for (unsigned format = 1; format < 4; format++) {
        check_translation(h, format, 0, from, to);
    }
    for (unsigned groups = 0; groups < GROUPS; groups++) {
        for (unsigned i = 0; i < G_N_ELEMENTS(lbrs); i++) {
            check_translation(h, 4, groups | lbrs[i].field, from, to);
        }
    }
}

static void test_translate(void)
{
    const uint64_t f0 = UINT64_C(1) << 32, f1 = UINT64_C(1) << 33;
    const uint64_t others = UINT64_C(0xf800000000000f00);
    HandoverChange change;
    Handover h;

    /* vPMC 0 has pPMC 7, 3 has 6; 1 and fixed 0 have their own. */
    handover_init(&h, VPMU_MASK_ALL, 0x09, 1000);
    handover_enable(&h, 0x1, 0, &change);
    handover_enable(&h, 0xb | VPMU_MASK_OF(VPMU_FIXED(0)), 0, &change);

    check_translations(&h, 0, 0);
    check_translations(&h, 0x80, 0x01);
    check_translations(&h, 0x40, 0x08);
    check_translations(&h, 0xc2 | f0, 0x0b | f0);
    check_translations(&h, 0x02 | f0, 0x02 | f0);
    check_translations(&h, others | f0, others | f0);
    check_translations(&h, others | 0x80, others | 0x01);
    /* Counters that are not the guest's */
    check_translations(&h, 0x19 | f1, 0);

    /* Without a reservation nothing changes. */
    handover_init(&h, VPMU_MASK_ALL, 0, HANDOVER_FOREVER);
    check_translations(&h, 0x81 | f1, 0x81 | f1);
    check_translations(&h, UINT64_MAX, UINT64_MAX);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pebs-record/fixed", test_fixed);
    g_test_add_func("/pebs-record/format4", test_format4);
    g_test_add_func("/pebs-record/address", test_address);
    g_test_add_func("/pebs-record/translate", test_translate);
    return g_test_run();
}
