/*
 * Let libFuzzer look for a PEBS record that is wrong or wrongly translated
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A stream gives the layout, the sample and a hand-over map.  The record is
 * written to a buffer of exactly its size, so that the address sanitizer sees
 * every byte too many.  It is read with the structures that Linux has for it
 * (arch/x86/events/intel/ds.c), and then translated.
 */
#include <glib.h>
#include <string.h>
#include "handover.h"
#include "pebs-record.h"

typedef struct Stream {
    const uint8_t *data;
    size_t size;
} Stream;

/* Little endian, with zeros after the end. */
static uint64_t take(Stream *s, unsigned bytes)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < bytes && s->size; i++) {
        value |= (uint64_t)*s->data++ << (8 * i);
        s->size--;
    }
    return value;
}

/* The records, as their reader sees them */

typedef struct Format3 {
    uint64_t flags, ip;
    uint64_t ax, bx, cx, dx;
    uint64_t si, di, bp, sp;
    uint64_t r8_to_r15[8];
    uint64_t status, dla, dse, lat;
    uint64_t real_ip, tsx_tuning;
    uint64_t tsc;
} Format3;

typedef struct Basic {
    uint64_t format_size;
    uint64_t ip;
    uint64_t applicable_counters;
    uint64_t tsc;
} Basic;

typedef struct Meminfo {
    uint64_t address;
    uint64_t aux;
    uint64_t latency;
    uint64_t tsx_tuning;
} Meminfo;

typedef struct GPRs {
    uint64_t flags, ip, ax, cx, dx, bx, sp, bp, si, di;
    uint64_t r8_to_r15[8];
} GPRs;

typedef struct XMMs {
    uint64_t xmm[16 * 2];
} XMMs;

typedef struct LBREntry {
    uint64_t from, to, info;
} LBREntry;

typedef struct Reader {
    const uint8_t *data;
    size_t size;
} Reader;

/* The next @size bytes as 64-bit fields. */
static void read_fields(Reader *r, void *fields, size_t size)
{
    uint64_t *field = fields;

    g_assert_cmpuint(r->size, >=, size);
    memcpy(fields, r->data, size);
    for (size_t i = 0; i < size / sizeof(*field); i++) {
        field[i] = GUINT64_FROM_LE(field[i]);
    }
    r->data += size;
    r->size -= size;
}

/* Data linear address */
static void check_address(uint64_t address, const PEBSSample *sample)
{
    if (!sample->load || !sample->store) {
        g_assert_cmphex(address, ==, sample->load | sample->store);
    } else if (sample->about_store) {
        g_assert_cmphex(address, ==, sample->store);
    } else {
        g_assert_cmphex(address, ==, sample->load);
    }
}

/* The registers that both layouts have, in @r under the same names */
#define CHECK_GPRS(r, sample) do { \
        const uint64_t gprs[] = { (r)->ax, (r)->cx, (r)->dx, (r)->bx, \
                                  (r)->sp, (r)->bp, (r)->si, (r)->di }; \
        g_assert_cmphex((r)->flags, ==, (sample)->flags); \
        g_assert_cmphex((r)->ip, ==, (sample)->next_ip); \
        g_assert_cmpmem(gprs, sizeof(gprs), (sample)->gprs, sizeof(gprs)); \
        g_assert_cmpmem((r)->r8_to_r15, sizeof((r)->r8_to_r15), \
                        &(sample)->gprs[8], sizeof((r)->r8_to_r15)); \
    } while (0)

/* Formats 0 to 3: each is the beginning of the next. */
static void check_fixed(Reader *r, unsigned format, const PEBSSample *sample)
{
    static const size_t sizes[] = {
        offsetof(Format3, status), offsetof(Format3, real_ip),
        offsetof(Format3, tsc), sizeof(Format3),
    };
    Format3 f = {};

    read_fields(r, &f, sizes[format]);
    CHECK_GPRS(&f, sample);
    if (format < 1) {
        return;
    }
    g_assert_cmphex(f.status, ==, sample->counters);
    check_address(f.dla, sample);
    g_assert_cmphex(f.dse, ==, sample->source);
    g_assert_cmphex(f.lat, ==, sample->latency);
    g_assert_cmphex(f.real_ip, ==, format < 2 ? 0 : sample->ip);
    g_assert_cmphex(f.tsx_tuning, ==, 0);
    g_assert_cmphex(f.tsc, ==, format < 3 ? 0 : sample->tsc);
}

static void check_meminfo(Reader *r, const PEBSSample *sample)
{
    Meminfo m;

    read_fields(r, &m, sizeof(m));
    check_address(m.address, sample);
    g_assert_cmphex(m.aux, ==, sample->source);
    g_assert_cmphex(m.latency, ==, sample->latency);
    g_assert_cmphex(m.tsx_tuning, ==, 0);
}

static void check_gprs(Reader *r, const PEBSSample *sample)
{
    GPRs g;

    read_fields(r, &g, sizeof(g));
    CHECK_GPRS(&g, sample);
}

/* The record says of itself which groups it has: those in @cfg. */
static void check_format4(Reader *r, uint64_t cfg, const PEBSSample *sample)
{
    size_t size = r->size;
    uint32_t format;
    Basic b;

    read_fields(r, &b, sizeof(b));
    g_assert_cmphex(b.format_size, ==,
                    (uint64_t)size << 48 | (cfg & 0xff00000f));
    g_assert_cmphex(b.ip, ==, sample->ip);
    g_assert_cmphex(b.applicable_counters, ==, sample->counters);
    g_assert_cmphex(b.tsc, ==, sample->tsc);

    format = b.format_size;
    if (format & 1) {
        check_meminfo(r, sample);
    }
    if (format & 2) {
        check_gprs(r, sample);
    }
    if (format & 4) {
        XMMs x;

        read_fields(r, &x, sizeof(x));
        g_assert_cmpmem(&x, sizeof(x), sample->xmms, sizeof(sample->xmms));
    }
    if (format & 8) {
        for (unsigned i = 0; i <= format >> 24; i++) {
            LBREntry e;

            read_fields(r, &e, sizeof(e));
            if (i < 32) {
                g_assert_cmpmem(&e, sizeof(e), &sample->lbrs[i],
                                sizeof(sample->lbrs[i]));
            } else {
                g_assert_cmphex(e.from | e.to | e.info, ==, 0);
            }
        }
    }
}

/* The sample: the stream gives what matters, the rest is random. */
static void take_sample(Stream *s, PEBSSample *sample)
{
    unsigned flags = take(s, 1);
    uint64_t random;

    sample->counters = take(s, 8);
    sample->load = flags & 1 ? take(s, 2) : 0;
    sample->store = flags & 2 ? take(s, 2) : 0;
    sample->about_store = flags & 4;
    if (flags & 8) {
        sample->load <<= 48;
        sample->store <<= 48;
    }

    random = take(s, 4);
#define ANY (random = random * UINT64_C(6364136223846793005) + 1)
    sample->ip = ANY;
    sample->next_ip = ANY;
    sample->flags = ANY;
    sample->tsc = ANY;
    sample->source = ANY;
    sample->latency = ANY;
    for (unsigned i = 0; i < 16; i++) {
        sample->gprs[i] = ANY;
        sample->xmms[i][0] = ANY;
        sample->xmms[i][1] = ANY;
    }
    for (unsigned i = 0; i < 32; i++) {
        sample->lbrs[i].from = ANY;
        sample->lbrs[i].to = ANY;
        sample->lbrs[i].info = ANY;
    }
#undef ANY
}

static void take_handover(Stream *s, Handover *h)
{
    VPMUCounterMask counters = take(s, 2) & VPMU_MASK_ALL;
    VPMUCounterMask reserved = take(s, 2) & counters;
    HandoverChange change;
    int64_t now = 0;

    if (take(s, 1) & 1) {
        handover_init(h, counters, 0, HANDOVER_FOREVER);
        return;
    }
    handover_init(h, counters, reserved, 100);
    while (s->size) {
        unsigned what = take(s, 1);
        VPMUCounterMask mask = take(s, 2) & counters;

        now += what >> 2;
        if (what & 1) {
            handover_enable(h, mask, now, &change);
        } else {
            handover_reserve(h, mask, what & 2, now, &change);
        }
    }
}

/* IA32_PERF_GLOBAL_STATUS: the bit of counter @i */
static uint64_t status_bit(unsigned i)
{
    return UINT64_C(1) << (i < 8 ? i : 32 + i - 8);
}

static void check_translation(const Handover *h, unsigned format,
                              const uint8_t *record, unsigned size,
                              uint64_t physical)
{
    const unsigned at = format < 4 ? 0x90 : 0x10;
    uint64_t held = 0, virtual = physical, back, field;
    g_autofree uint8_t *translated = g_malloc(size);
    g_autofree uint8_t *cut = g_malloc(at + 7);
    unsigned changed;

    memcpy(translated, record, size);
    if (!format) {
        /* It does not name counters. */
        g_assert_cmpuint(pebs_record_translate(h, 0, translated, size), ==, 0);
        g_assert_cmpmem(translated, size, record, size);
        return;
    }
    memcpy(cut, record, at + 7);
    for (unsigned p = 0; p < VPMU_NR; p++) {
        virtual &= ~status_bit(p);
    }
    for (unsigned v = 0; v < VPMU_NR; v++) {
        int p = h->phys[v];

        if (p != HANDOVER_NONE) {
            g_assert_cmpint(h->virt[p], ==, v);
            held |= status_bit(p);
            virtual |= physical & status_bit(p) ? status_bit(v) : 0;
        }
    }

    changed = pebs_record_translate(h, format, translated, size);
    g_assert_cmpuint(changed, ==, physical == virtual ? 0 : 8);
    memcpy(&field, translated + at, 8);
    field = GUINT64_FROM_LE(field);
    g_assert_cmphex(field, ==, virtual);
    g_assert_cmpmem(translated, at, record, at);
    g_assert_cmpmem(translated + at + 8, size - at - 8,
                    record + at + 8, size - at - 8);

    /* There and back: the bits of the guest's counters are the same. */
    back = physical;
    for (unsigned p = 0; p < VPMU_NR; p++) {
        back &= ~(status_bit(p) & ~held);
    }
    g_assert_cmphex(handover_reg_to_physical(h, field), ==, back);

    /* The record lacks one byte of the field. */
    g_assert_cmpuint(pebs_record_translate(h, format, cut, at + 7), ==, 0);
    g_assert_cmpmem(cut, at + 7, record, at + 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Stream s = { data, size };
    unsigned format = take(&s, 1) % 5;
    uint64_t cfg = take(&s, 1) | take(&s, 1) << 24;
    unsigned length;
    g_autofree uint8_t *record = NULL;
    PEBSSample sample;
    Handover h;
    Reader r;

    /* Bits that belong to no group */
    cfg |= take(&s, 1) << 8 | take(&s, 1) << 32;
    take_sample(&s, &sample);
    take_handover(&s, &h);

    length = pebs_record_size(format, cfg);
    g_assert_cmpuint(length, <=, PEBS_RECORD_MAX);
    record = g_malloc(length);
    /* Bytes that are not written do not read as zero. */
    memset(record, 0xc5, length);
    pebs_record_write(record, format, cfg, &sample);

    r = (Reader) { record, length };
    if (format < 4) {
        check_fixed(&r, format, &sample);
    } else {
        check_format4(&r, cfg, &sample);
    }
    g_assert_cmpuint(r.size, ==, 0);

    check_translation(&h, format, record, length, sample.counters);
    return 0;
}
