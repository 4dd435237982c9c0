/*
 * PEBS with DS areas that no sane guest sets up; a part of pebs.c
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A record that cannot be written is dropped.  The guest goes on without any
 * notice, and its counts stay exact; nothing is written but records.
 */
#include "pebs.h"

#define CR0_WP              (UINT64_C(1) << 16)
#define CR4_SMAP            (UINT64_C(1) << 21)
#define PAGE_WRITE          UINT64_C(2)
#define PAGE_USER           UINT64_C(4)
#define PAGE_SIZE           4096

/* The last pages of the first 4 GiB but one: the firmware */
#define ROM                 (0xfffffff0 - 8192)

#define PERIOD              10
#define SAMPLES             (INSNS / PERIOD)

static uint8_t code_page[8192] __attribute__((aligned(PAGE_SIZE)));
static uint8_t *const window = (uint8_t *)WINDOW;

static uint64_t read_cr0(void)
{
    uint64_t value;

    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static void write_cr0(uint64_t value)
{
    asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static void prepare_hostile(void)
{
    pebs_prepare();
    for (unsigned i = 0; i < ARRAY_SIZE(ds->reset); i++) {
        ds->reset[i] = pmu_minus(PERIOD);
    }
}

/*
 * Run INSNS instructions with PEBS set up as the caller has done.  @area: the
 * DS area at an address that works, or NULL; @records: how many are written at
 * its index, while the others are dropped; @reload: the reset slots are
 * readable.
 */
static void run_hostile(struct ds *area, unsigned records, bool reload,
                        const char *name)
{
    uint64_t index = area ? area->index : 0;

    wrmsr(MSR_PEBS_ENABLE, 1);
    run_insns(FLAGS_IF, pmu_count(0, EV_INSNS, RING3, PERIOD) |
                        pmu_count(FIXED(0), 0, RING3, 100000));

    check(pmu_value(FIXED(0)), pmu_minus(100000) + INSNS, "%s: it goes on",
          name);
    check(pmu_value(0), reload ? pmu_minus(PERIOD - INSNS % PERIOD) :
                                 INSNS - PERIOD, "%s: count", name);
    check(hit.n + hit.before, 0, "%s: no trap", name);
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "%s: GLOBAL_STATUS", name);
    if (area) {
        check(area->index - index, records * record_size(0), "%s: index",
              name);
    }
}

/* The bounds of a buffer, and how many records are written there. */
struct bounds {
    const char *name;
    uint64_t base, index, maximum;
    unsigned records;
    uint64_t threshold;         /* 0: none */
};

static void test_bounds_of(const struct bounds *b)
{
    uint64_t threshold = b->threshold ?: UINT64_MAX;
    uint64_t begin = (uint64_t)buffer, end = begin + 65536;
    uint64_t rom = *(uint64_t *)ROM;
    uint32_t lvtpc, spiv;
    unsigned bad = 0;

    prepare_hostile();
    lvtpc = apic_read(APIC_LVTPC);
    spiv = apic_read(APIC_SPIV);
    ds->base = b->base;
    ds->index = b->index;
    ds->maximum = b->maximum;
    ds->threshold = threshold;
    memset(buffer, GUARD, end - begin);
    run_hostile(ds, b->records, true, b->name);
    for (uint64_t at = begin; at < end; at++) {
        if (at < b->index || at >= b->index + b->records * record_size(0)) {
            bad += buffer[at - begin] != GUARD;
        }
    }
    check(bad, 0, "%s: nothing else is written", b->name);
    check(ds->base, b->base, "%s: base", b->name);
    check(ds->maximum, b->maximum, "%s: maximum", b->name);
    check(ds->threshold, threshold, "%s: threshold", b->name);
    result(apic_read(APIC_LVTPC) == lvtpc && apic_read(APIC_SPIV) == spiv &&
           *(uint64_t *)ROM == rom, "%s: nor to devices or ROM", b->name);
}

static void test_bounds(void)
{
    const uint64_t at = (uint64_t)buffer, max = UINT64_MAX;
    const uint64_t half = UINT64_C(1) << 47, top = UINT64_C(1) << 63;
    const unsigned size = record_size(0), samples = SAMPLES;
    const struct bounds table[] = {
        { "a buffer", at, at, at + 65536, samples },
        { "a full buffer", at, at, at + 5 * size, 5 },
        { "a record larger than the rest", at, at, at + 6 * size - 1, 5 },
        { "a buffer of nothing", at, at, at },
        { "a buffer of one byte too few", at, at, at + size - 1 },
        { "a buffer of one record", at, at, at + size, 1 },
        { "an index below base", at + 4096, at + 4095, at + 65536 },
        { "an index of 0", at, 0, at + 65536 },
        { "an index above maximum", at, at + 8192 + 1, at + 8192 },
        { "an index at the end of memory", at, max, at + 8192 },
        { "an index within", at, at + 2 * size, at + 4 * size, 2 },
        { "an index of any alignment", at, at + 13, at + 65536, samples },
        { "a maximum below base", at + 8192, at + 8192, at },
        { "a threshold beyond the end", at, at, at + 3 * size, 3,
          at + 3 * size + 1 },
        { "base 0", 0, at, at + 65536, samples },
        { "maximum at the end of memory", at, at, max, samples },
        { "all ones", max, max, max },
        { "all zeroes", 0, 0, 0 },
        { "the end of memory", -UINT64_C(4096), -(uint64_t)size, max },
        { "beyond the end of memory", 0, max - 7, max },
        { "beyond the end of memory, with a small maximum", 0, max - 7,
          65536 },
        { "not canonical", half, half, 2 * half },
        { "not canonical, bit 63", at | top, at | top, max },
        { "across the canonical limit", 0, half - 8, max },
        { "canonical and unmapped", half / 2, half / 2, half },
        { "upper half, unmapped", -half, -half, max },
        { "a device", APIC, APIC, APIC + 4096 },
        { "no device", 0xd0000000, 0xd0000000, 0xd0010000 },
        { "beyond RAM", 0x3ff00000, 0x3ff00000, 0x3ff10000 },
        { "ROM", ROM, ROM, ROM + 8192 },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        test_bounds_of(&table[i]);
    }
}

static bool all_guard(const uint8_t *at, unsigned size)
{
    while (size && *at == GUARD) {
        at++;
        size--;
    }
    return !size;
}

/* Clear bits in the page table entry of a window's page, and set others. */
static void protect(unsigned page, uint64_t clear_bits, uint64_t set_bits)
{
    window_pt[page] = (window_pt[page] & ~clear_bits) | set_bits;
    asm volatile("invlpg (%0)" : : "r"(WINDOW + page * 4096ul) : "memory");
}

static void use_buffer(uint64_t index, unsigned size)
{
    ds->base = ds->index = index;
    ds->maximum = index + size;
}

/* How many records there are in a buffer of @bytes. */
static unsigned fitting(unsigned bytes)
{
    return MIN(SAMPLES, bytes / record_size(0));
}

/* Pages of the buffer */

/* A buffer @offset bytes into the window, of which two pages are present. */
static void prepare_window(unsigned offset, unsigned size)
{
    prepare_hostile();
    rt_window(3);
    memset(window, GUARD, 8192);
    use_buffer(WINDOW + offset, size);
}

static void test_absent_pages(void)
{
    unsigned size = record_size(0);

    prepare_hostile();
    rt_window(0);
    use_buffer(WINDOW, 8192);
    run_hostile(ds, 0, true, "an absent page");

    prepare_window(4096 - 16, 4096);
    rt_window(1);
    run_hostile(ds, 0, true, "a second page that is absent");
    result(all_guard(window, 4096), "a second page that is absent: nothing "
           "is written");

    prepare_window(4096 - 2 * size - 16, 4096);
    rt_window(1);
    run_hostile(ds, 2, true, "a second page that is absent, after two records");
    result(all_guard(window + 4096 - 16, 16), "a second page that is absent, "
           "after two records: no more is written");

    prepare_window(4096 - 16, 4096);
    run_hostile(ds, fitting(4096), true, "two pages");
    check(read_record(window + 4096 - 16).ip, nth_insn(PERIOD),
          "two pages: place");
}

static void test_read_only_pages(void)
{
    unsigned size = record_size(0);

    prepare_window(0, 4096);
    protect(0, PAGE_WRITE, 0);
    run_hostile(ds, 0, true, "a read-only page");
    result(all_guard(window, 8192), "a read-only page: nothing is written");

    prepare_window(4096 - 16, 4096);
    protect(1, PAGE_WRITE, 0);
    run_hostile(ds, 0, true, "a second page that is read-only");
    result(all_guard(window, 8192), "a second page that is read-only: nothing "
           "is written");

    prepare_window(0, 3 * size);
    write_cr0(read_cr0() & ~CR0_WP);
    protect(0, PAGE_WRITE, 0);
    run_hostile(ds, 3, true, "a read-only page without CR0.WP");
    write_cr0(read_cr0() | CR0_WP);
}

static void test_page_bits(void)
{
    /* Reserved bits in a page table entry: the page does not exist. */
    prepare_window(0, 4096);
    protect(0, 0, UINT64_C(1) << 51);
    run_hostile(ds, 0, true, "a page of nowhere");

    /* Accessed and dirty, as by any access. */
    prepare_hostile();
    rt_window(3);
    use_buffer(WINDOW, 4096);
    run_hostile(ds, fitting(4096), true, "a page");
    check(window_pt[0] & 0x60, 0x60, "a page: accessed and dirty");

    /* A supervisor page is all right: it is not the user that writes. */
    prepare_window(0, 3 * record_size(0));
    protect(0, PAGE_USER, 0);
    run_hostile(ds, 3, true, "a supervisor page");
    rt_window(3);
}

/* A record in three pages, of which only some are present. */
static void test_largest_record(unsigned pages)
{
    const uint64_t cfg = 7 | CFG_LBRS(256);

    prepare_hostile();
    rt_window(7);
    memset(window, GUARD, 3 * 4096);
    rt_window(pages);
    wrmsr(MSR_PEBS_DATA_CFG, cfg);
    use_buffer(WINDOW + 4000, 8192);
    run_insns(0, pebs_sample(0, EV_INSNS | EVTSEL_ADAPTIVE, RING3, 10, 1000));
    rt_window(7);
    check(pebs_bytes(), pages == 7 ? record_size(cfg) : 0,
          "the largest record, pages 0x%x", pages);
    result(all_guard(window, 3 * 4096) == (pages != 7),
           "the largest record, pages 0x%x: all or nothing", pages);
}

static void test_pages(void)
{
    test_absent_pages();
    test_read_only_pages();
    test_page_bits();
    if (baseline) {
        test_largest_record(1);
        test_largest_record(3);
        test_largest_record(7);
    }
}

/* The DS area is at @address, where a copy of @ds is put; two pages exist. */
static struct ds *prepare_area(uint64_t address)
{
    struct ds *area = (struct ds *)address;

    prepare_hostile();
    rt_window(3);
    *area = *ds;
    wrmsr(MSR_DS_AREA, address);
    return area;
}

/* Pages of the DS area */
static void test_ds_pages(void)
{
    const uint64_t late = WINDOW + 4096 - 0x38;
    unsigned size = record_size(0);
    struct ds *area;

    prepare_hostile();
    rt_window(0);
    wrmsr(MSR_DS_AREA, WINDOW);
    run_hostile(NULL, 0, false, "DS area absent");

    area = prepare_area(late);
    run_hostile(area, SAMPLES, true, "DS area in two pages");

    prepare_area(late);
    rt_window(1);
    memset(buffer, GUARD, 4096);
    run_hostile(NULL, 0, false, "DS area, its second page absent");
    result(all_guard(buffer, 4096), "DS area, its second page absent: no "
           "record");

    area = prepare_area(WINDOW);
    memset(buffer, GUARD, 4096);
    protect(0, PAGE_WRITE, 0);
    run_hostile(area, 0, true, "DS area read-only");
    result(all_guard(buffer + size, 4096 - size), "DS area read-only: no "
           "second record");

    area = prepare_area(WINDOW);
    protect(0, PAGE_USER, 0);
    run_hostile(area, SAMPLES, true, "DS area in a supervisor page");
}

/* A DS area that cannot be accessed */
static void test_ds_nowhere(void)
{
    static const struct {
        const char *name;
        uint64_t address;
    } table[] = {
        { "DS area in a device", APIC },
        { "DS area where nothing is", 0xd0000000 },
        { "DS area across the canonical limit", (UINT64_C(1) << 47) - 0x40 },
        { "DS area across the end of memory", -UINT64_C(0x28) },
        { "DS area unmapped, upper half", -(UINT64_C(1) << 47) },
    };

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        prepare_hostile();
        wrmsr(MSR_DS_AREA, UINT64_MAX);
        wrmsr(MSR_DS_AREA, table[i].address);
        run_hostile(NULL, 0, false, table[i].name);
    }
    run_hostile(prepare_area(WINDOW + 3), SAMPLES, true,
                "DS area of any alignment");
}

/* The records go where they harm the guest: that is the guest's business. */

static void test_over_ds_area(void)
{
    uint64_t start = (uint64_t)ds, index;

    for (unsigned offset = 0; offset < 0x90; offset += 8) {
        prepare_hostile();
        use_buffer(start + offset, 4096 - offset);
        ds->base = 0;
        keep_counting = true;
        wrmsr(MSR_PEBS_ENABLE, 1);
        run_insns(FLAGS_IF | FLAGS_IOPL3,
                  pmu_count(FIXED(0), 0, RING3, 100000) |
                  pmu_count(0, EV_INSNS, RING3, PERIOD));
        check(pmu_value(FIXED(0)), pmu_minus(100000) + INSNS,
              "records over the DS area at %u: it goes on", offset);
        check(hit.before, 0, "records over the DS area at %u: no fault",
              offset);
    }

    if (format < 4) {
        return;
    }
    /* After the first record the index is below base. */
    prepare_hostile();
    use_buffer(start + 0x20, 4096 - 0x20);
    index = ds->index;
    wrmsr(MSR_PEBS_ENABLE, 1);
    run_insns(0, pmu_count(0, EV_INSNS, RING3, PERIOD));
    check(ds->index, index + record_size(0),
          "a record over base: the only one");
    check(ds->base, UINT64_C(32) << 48, "a record over base: base");
    check(pmu_value(0), pmu_minus(PERIOD - INSNS % PERIOD),
          "a record over base: count");
}

/* A page of code runs and is written to all the time. */
static void test_over_code(bool user)
{
    const unsigned period = 40, total = PATTERN_MAX + (user ? 2 : 5);
    unsigned bad = 0;

    prepare_hostile();
    memcpy(code_page, body_insn, PATTERN_MAX + 1);
    use_buffer((uint64_t)code_page + 1024, 4096);
    run_code(cpu, (void (*)(void))code_page, user, 0,
             pebs_sample(0, EV_INSNS, ring_mask(user), period + !user,
                         period));
    for (unsigned i = 0; i < total / period; i++) {
        struct record r = read_record(code_page + 1024 + i * record_size(0));

        bad += r.ip != (uint64_t)code_page + (i + 1) * period - 1;
    }
    check(bad, 0, "records into the page of the code, ring %u", ring_of(user));
    check(pmu_value(0), pmu_minus(period - total % period),
          "records into the page of the code: count");
}

/*
 * A record over the block that runs.  Its first bytes are executed: ADD or AND
 * of AL to memory at RAX, four times, and RET, the last byte of the address.
 */
static void test_over_block(bool user)
{
    static const uint8_t mov[] = { 0x48, 0x89, 0xf8 }; /* %rdi, %rax */
    uint64_t begin = (uint64_t)code_page + 0xc0;

    prepare_hostile();
    memset(code_page, 0x90, 4096);
    memcpy((void *)begin, mov, sizeof(mov));
    code_page[4095] = 0xc3;
    use_buffer(begin + 4, 2048);
    run_code(cpu, (void (*)(void))begin, user, 0,
             pebs_sample(0, EV_INSNS, ring_mask(user), 2 + !user, 1000000) |
             pmu_count(FIXED(0), 0, ring_mask(user), 100000));
    check(pebs_bytes(), record_size(0), "a record into the block that runs, "
          "ring %u", ring_of(user));
    check(read_record((uint8_t *)begin + 4).ip, begin + 3,
          "a record into the block that runs: place");
    check(pmu_value(FIXED(0)), pmu_minus(100000) + 6 + (user ? 2 : 6),
          "a record into the block that runs: what runs then");
}

static void test_over_page_table(void)
{
    uint64_t entries[25];

    /* The entries that are overwritten map nothing that is in use. */
    prepare_hostile();
    rt_window(3);
    use_buffer((uint64_t)window_pt + 2048, 2048);
    run_hostile(ds, fitting(2048), true, "records into a page table");
    memset((uint8_t *)window_pt + 2048, 0, 2048);

    /* They map a page that has just been in use. */
    prepare_hostile();
    rt_window(3);
    memset(window, 0, 1);
    use_buffer((uint64_t)window_pt, record_size(0));
    memcpy(entries, window_pt, sizeof(entries));
    run_hostile(ds, 1, true, "a record over page table entries");
    memcpy(window_pt, entries, sizeof(entries));
    rt_window(3);
}

static void test_overlap(void)
{
    test_over_ds_area();
    test_over_code(false);
    test_over_code(true);
    if (format >= 4) {
        test_over_block(false);
        test_over_block(true);
    }
    test_over_page_table();
}

/* An overflow at every instruction */
static void test_storm(bool user)
{
    unsigned total = PATTERN_MAX + (user ? 2 : 5), bad = 0;
    unsigned size = record_size(0), rings = ring_mask(user);

    prepare_hostile();
    run_code(cpu, body_insn_code, user, 0,
             pebs_sample(0, EV_INSNS, rings, 1 + !user, 1));
    check(pebs_bytes(), total * size, "every instruction, ring %u: records",
          ring_of(user));
    for (unsigned n = 1; n <= PATTERN_MAX; n++) {
        bad += read_record(buffer + (n - 1) * size).ip != nth_insn(n);
    }
    check(bad, 0, "every instruction: places");
    check(pmu_value(0), COUNTER_MASK, "every instruction: count");

    /* The same without a buffer. */
    prepare_hostile();
    ds->maximum = ds->base;
    run_code(cpu, loop_code, user, 0,
             pebs_sample(0, EV_INSNS, rings, 1 + !user, 1) |
             pmu_count(FIXED(0), 0, rings, 10000000));
    check(pebs_bytes(), 0, "every instruction, dropped: index");
    check(pmu_value(0), COUNTER_MASK, "every instruction, dropped: count");
    check(pmu_value(FIXED(0)), pmu_minus(10000000) + 1 + 2 * loop_turns +
          (user ? 2 : 6), "every instruction, dropped: it goes on");
}

/* A reset value of 0 means that the next overflow is a long way off. */
static void test_reset_to_0(void)
{
    uint64_t bit;

    prepare_hostile();
    bit = pebs_sample(0, EV_INSNS, RING3, PERIOD, 1);
    ds->reset[0] = 0;
    run_insns(0, bit);
    check(pebs_bytes(), record_size(0), "reset to 0: one record");
    check(pmu_value(0), INSNS - PERIOD, "reset to 0: count");
}

/* Make all pages except the window user pages, or supervisor pages. */
static void set_user(bool user)
{
    uint64_t *pml4, *pdpt;

    asm volatile("mov %%cr3, %0" : "=r"(pml4));
    pdpt = (uint64_t *)(pml4[0] & ~UINT64_C(0xfff));
    for (unsigned g = 0; g < 4; g += 3) {
        uint64_t *pd = (uint64_t *)(pdpt[g] & ~UINT64_C(0xfff));

        for (unsigned i = 0; i < 512; i++) {
            pd[i] = user ? pd[i] | PAGE_USER : pd[i] & ~PAGE_USER;
        }
    }
    asm volatile("mov %0, %%cr3" : : "r"(pml4) : "memory");
}

static uint64_t sample_kernel(void)
{
    wrmsr(MSR_PEBS_ENABLE, 1);
    run_code(cpu, body_insn_code, false, 0,
             pmu_count(0, EV_INSNS, RING0, PERIOD + 1));
    return pebs_bytes();
}

static void test_smap(void)
{
    uint32_t r[4];

    cpuid(7, r);
    if (!(r[1] & (1u << 20))) {
        skip("SMAP", "this CPU model has none");
        return;
    }
    if (nr_cpus > 1) {
        skip("SMAP", "the other CPU uses the same page tables");
        return;
    }
    rt_window(3);
    *(struct ds *)WINDOW = *ds;
    set_user(false);
    write_cr4(read_cr4() | CR4_SMAP);

    prepare_hostile();
    check(sample_kernel(), 40 * record_size(0), "SMAP: a supervisor page");
    prepare_hostile();
    use_buffer(WINDOW, 8192);
    check(sample_kernel(), 0, "SMAP: a user page");
    check(pmu_value(0), pmu_minus(PERIOD - 405 % PERIOD), "SMAP: a user page, "
          "count");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, WINDOW);
    check(sample_kernel(), 0, "SMAP: a DS area in a user page");
    check(pmu_value(0), 405 - PERIOD, "SMAP: a DS area in a user page, count");
    prepare_hostile();
    use_buffer(WINDOW, 3 * record_size(0));
    write_cr4(read_cr4() & ~CR4_SMAP);
    check(sample_kernel(), 3 * record_size(0), "no SMAP: a user page");
    set_user(true);
}

void test_hostile(void)
{
    test_bounds();
    test_pages();
    test_ds_pages();
    test_ds_nowhere();
    test_overlap();
    test_storm(false);
    test_storm(true);
    test_reset_to_0();
    test_smap();
}
