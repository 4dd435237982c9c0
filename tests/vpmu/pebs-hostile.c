/*
 * PEBS with DS areas that no sane guest has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A record that cannot be written is dropped.  The guest notices nothing of
 * it, goes on, and its counts stay exact; nothing is written but records.
 */
#include "pebs.h"

#define CR0_WP              (UINT64_C(1) << 16)
#define CR4_SMAP            (UINT64_C(1) << 21)
#define PAGE_USER           UINT64_C(4)

#define PERIOD              10
/* NOPs in ring 3, RET and INT. */
#define INSNS               (PATTERN_MAX + 2)
#define SAMPLES             (INSNS / PERIOD)

static uint8_t code_page[8192] __attribute__((aligned(4096)));

/* The @n-th instruction of body_insn. */
static uint64_t nth_nop(unsigned n)
{
    return (uint64_t)body_insn + n - 1;
}

static uint64_t read_cr0(void)
{
    uint64_t value;

    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}

static uint64_t read_cr4(void)
{
    uint64_t value;

    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}

static void write_cr0(uint64_t value)
{
    asm volatile("mov %0, %%cr0" : : "r"(value) : "memory");
}

static void write_cr4(uint64_t value)
{
    asm volatile("mov %0, %%cr4" : : "r"(value) : "memory");
}

/*
 * Run INSNS instructions with PEBS set up as the caller has done.  @where: the
 * DS area by an address that works; @records: how many are written at its
 * index, the rest is dropped; @reload: it can be read.
 */
static void hostile(struct ds *where, unsigned records, bool reload,
                    const char *name)
{
    uint64_t index = where ? where->index : 0;
    uint64_t bit;

    bit = count(0, 0xc0, RING3, PERIOD);
    wrmsr(MSR_PEBS_ENABLE, 1);
    bit |= count(FIXED(0), 0, RING3, 100000);
    run_code(cpu, body_insn_code, true, FLAGS_IF, bit);

    check(value_of(FIXED(0)), minus(100000) + INSNS, "%s: it goes on",
          name);
    check(value_of(0), reload ? minus(PERIOD - INSNS % PERIOD) :
                                INSNS - PERIOD, "%s: count", name);
    check(hit.n + hit.before, 0, "%s: no trap", name);
    check(rdmsr(MSR_GLOBAL_STATUS), 0, "%s: GLOBAL_STATUS", name);
    if (where) {
        check(where->index - index, records * record_size(0), "%s: index",
              name);
    }
}

/* The same with @ds, whose fields are given; nothing but records written. */
static void hostile_buffer(uint64_t base, uint64_t index, uint64_t maximum,
                           uint64_t threshold, unsigned records,
                           const char *name)
{
    uint64_t begin = (uint64_t)buffer;
    uint64_t end = begin + 65536;
    unsigned bad = 0;

    ds->base = base;
    ds->index = index;
    ds->maximum = maximum;
    ds->threshold = threshold;
    memset(buffer, GUARD, end - begin);
    hostile(ds, records, true, name);
    for (uint64_t at = begin; at < end; at++) {
        if (at < index || at >= index + records * record_size(0)) {
            bad += buffer[at - begin] != GUARD;
        }
    }
    check(bad, 0, "%s: nothing else is written", name);
    check(ds->base, base, "%s: base", name);
    check(ds->maximum, maximum, "%s: maximum", name);
    check(ds->threshold, threshold, "%s: threshold", name);
}

static void prepare_hostile(void)
{
    prepare();
    for (unsigned i = 0; i < ARRAY_SIZE(ds->reset); i++) {
        ds->reset[i] = minus(PERIOD);
    }
}

static void test_bounds(void)
{
    const uint64_t at = (uint64_t)buffer, never = UINT64_MAX;
    const unsigned size = record_size(0), samples = SAMPLES;
    const struct {
        const char *name;
        uint64_t base, index, maximum, threshold;
        unsigned records;
    } table[] = {
        { "a buffer", at, at, at + 65536, never, samples },
        { "a full buffer", at, at, at + 5 * size, never, 5 },
        { "a record larger than the rest", at, at, at + 6 * size - 1, never,
          5 },
        { "a buffer of nothing", at, at, at, never, 0 },
        { "a buffer of one byte too few", at, at, at + size - 1, never, 0 },
        { "a buffer of one record", at, at, at + size, never, 1 },
        { "an index below base", at + 4096, at + 4095, at + 65536, never, 0 },
        { "an index of 0", at, 0, at + 65536, never, 0 },
        { "an index above maximum", at, at + 8192 + 1, at + 8192, never, 0 },
        { "an index at the end of memory", at, UINT64_MAX, at + 8192, never,
          0 },
        { "an index within", at, at + 2 * size, at + 4 * size, never, 2 },
        { "an index of any alignment", at, at + 13, at + 65536, never,
          samples },
        { "a maximum below base", at + 8192, at + 8192, at, never, 0 },
        { "a threshold beyond the end", at, at, at + 3 * size,
          at + 3 * size + 1, 3 },
        { "base 0", 0, at, at + 65536, never, samples },
        { "maximum at the end of memory", at, at, UINT64_MAX, never,
          samples },
        { "all ones", UINT64_MAX, UINT64_MAX, UINT64_MAX, never, 0 },
        { "all zeroes", 0, 0, 0, never, 0 },
        { "the end of memory", -UINT64_C(4096), -(uint64_t)size, UINT64_MAX,
          never, 0 },
        { "beyond the end of memory", 0, UINT64_MAX - 7, UINT64_MAX, never,
          0 },
        { "beyond the end of memory, with a small maximum", 0,
          UINT64_MAX - 7, 65536, never, 0 },
        { "not canonical", UINT64_C(1) << 47, UINT64_C(1) << 47,
          UINT64_C(1) << 48, never, 0 },
        { "not canonical, bit 63", at | UINT64_C(1) << 63,
          at | UINT64_C(1) << 63, UINT64_MAX, never, 0 },
        { "across the canonical limit", 0, (UINT64_C(1) << 47) - 8,
          UINT64_MAX, never, 0 },
        { "canonical and unmapped", UINT64_C(1) << 46, UINT64_C(1) << 46,
          UINT64_C(1) << 47, never, 0 },
        { "upper half, unmapped", -(UINT64_C(1) << 47),
          -(UINT64_C(1) << 47), UINT64_MAX, never, 0 },
        { "a device", APIC, APIC, APIC + 4096, never, 0 },
        { "no device", 0xd0000000, 0xd0000000, 0xd0010000, never, 0 },
        { "beyond RAM", 0x3ff00000, 0x3ff00000, 0x3ff10000, never, 0 },
        { "ROM", 0xfffffff0 - 8192, 0xfffffff0 - 8192, 0xfffffff0, never,
          0 },
    };
    uint32_t lvtpc, spiv;
    uint64_t rom = *(uint64_t *)(uintptr_t)(0xfffffff0 - 8192);

    for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
        prepare_hostile();
        lvtpc = apic_read(APIC_LVTPC);
        spiv = apic_read(APIC_SPIV);
        hostile_buffer(table[i].base, table[i].index, table[i].maximum,
                       table[i].threshold, table[i].records, table[i].name);
        result(apic_read(APIC_LVTPC) == lvtpc &&
               apic_read(APIC_SPIV) == spiv &&
               *(uint64_t *)(uintptr_t)(0xfffffff0 - 8192) == rom,
               "%s: nor to devices or ROM", table[i].name);
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

/* Pages of the buffer */
static void test_pages(void)
{
    uint8_t *window = (uint8_t *)WINDOW;
    unsigned size = record_size(0);

    prepare_hostile();
    rt_window(0);
    use_buffer(WINDOW, 8192);
    hostile(ds, 0, true, "an absent page");

    prepare_hostile();
    rt_window(3);
    memset(window, GUARD, 8192);
    rt_window(1);
    use_buffer(WINDOW + 4096 - 16, 4096);
    hostile(ds, 0, true, "a second page that is absent");
    result(all_guard(window, 4096), "a second page that is absent: nothing "
           "is written");

    prepare_hostile();
    use_buffer(WINDOW + 4096 - 2 * size - 16, 4096);
    hostile(ds, 2, true, "a second page that is absent, after two records");
    result(all_guard(window + 4096 - 16, 16), "a second page that is absent, "
           "after two records: no more is written");

    prepare_hostile();
    rt_window(3);
    memset(window, GUARD, 8192);
    use_buffer(WINDOW + 4096 - 16, 4096);
    hostile(ds, SAMPLES * size <= 4096 ? SAMPLES : 4096 / size, true,
            "two pages");
    check(read_record(window + 4096 - 16).ip, nth_nop(PERIOD),
          "two pages: place");

    prepare_hostile();
    rt_window(3);
    memset(window, GUARD, 8192);
    protect(0, 2, 0);
    use_buffer(WINDOW, 4096);
    hostile(ds, 0, true, "a read-only page");
    result(all_guard(window, 8192), "a read-only page: nothing is written");

    prepare_hostile();
    rt_window(3);
    memset(window, GUARD, 8192);
    protect(1, 2, 0);
    use_buffer(WINDOW + 4096 - 16, 4096);
    hostile(ds, 0, true, "a second page that is read-only");
    result(all_guard(window, 8192), "a second page that is read-only: nothing "
           "is written");

    prepare_hostile();
    write_cr0(read_cr0() & ~CR0_WP);
    protect(0, 2, 0);
    use_buffer(WINDOW, 3 * size);
    hostile(ds, 3, true, "a read-only page without CR0.WP");
    write_cr0(read_cr0() | CR0_WP);

    /* Reserved bits in a page table entry, a page that does not exist. */
    prepare_hostile();
    rt_window(3);
    protect(0, 0, UINT64_C(1) << 51);
    use_buffer(WINDOW, 4096);
    hostile(ds, 0, true, "a page of nowhere");

    /* Accessed and dirty, as by any access. */
    prepare_hostile();
    rt_window(3);
    use_buffer(WINDOW, 4096);
    hostile(ds, SAMPLES * size <= 4096 ? SAMPLES : 4096 / size, true,
            "a page");
    check(window_pt[0] & 0x60, 0x60, "a page: accessed and dirty");

    /* Supervisor only is all right: it is not the user who writes. */
    prepare_hostile();
    rt_window(3);
    protect(0, PAGE_USER, 0);
    use_buffer(WINDOW, 3 * size);
    hostile(ds, 3, true, "a supervisor page");
    rt_window(3);

    if (baseline) {
        uint64_t value = 7 | CFG_LBRS(256);

        for (unsigned pages = 1; pages <= 7; pages = 2 * pages + 1) {
            prepare_hostile();
            rt_window(7);
            memset(window, GUARD, 3 * 4096);
            rt_window(pages);
            wrmsr(MSR_PEBS_DATA_CFG, value);
            use_buffer(WINDOW + 4000, 8192);
            run_code(cpu, body_insn_code, true, 0,
                     sample(cpu, 0, 0xc0 | EVTSEL_ADAPTIVE, RING3, 10, 1000));
            rt_window(7);
            check(ds->index - ds->base, pages == 7 ? record_size(value) : 0,
                  "the largest record, pages 0x%x", pages);
            result(all_guard(window, 3 * 4096) == (pages != 7),
                   "the largest record, pages 0x%x: all or nothing", pages);
        }
    }
}

/* Pages of the DS area */
static void test_ds_pages(void)
{
    struct ds *area = (struct ds *)WINDOW;
    struct ds *late = (struct ds *)(WINDOW + 4096 - 0x38);
    unsigned size = record_size(0);

    prepare_hostile();
    rt_window(0);
    wrmsr(MSR_DS_AREA, WINDOW);
    hostile(NULL, 0, false, "DS area absent");

    prepare_hostile();
    rt_window(3);
    *late = *ds;
    wrmsr(MSR_DS_AREA, (uint64_t)late);
    hostile(late, SAMPLES, true, "DS area in two pages");

    prepare_hostile();
    *late = *ds;
    wrmsr(MSR_DS_AREA, (uint64_t)late);
    rt_window(1);
    memset(buffer, GUARD, 4096);
    hostile(NULL, 0, false, "DS area, its second page absent");
    result(all_guard(buffer, 4096), "DS area, its second page absent: no "
           "record");

    prepare_hostile();
    rt_window(3);
    *area = *ds;
    memset(buffer, GUARD, 4096);
    wrmsr(MSR_DS_AREA, WINDOW);
    protect(0, 2, 0);
    hostile(area, 0, true, "DS area read-only");
    result(all_guard(buffer + size, 4096 - size), "DS area read-only: no "
           "second record");

    prepare_hostile();
    rt_window(3);
    *area = *ds;
    wrmsr(MSR_DS_AREA, WINDOW);
    protect(0, PAGE_USER, 0);
    hostile(area, SAMPLES, true, "DS area in a supervisor page");

    prepare_hostile();
    wrmsr(MSR_DS_AREA, APIC);
    hostile(NULL, 0, false, "DS area in a device");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, 0xd0000000);
    hostile(NULL, 0, false, "DS area where nothing is");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, (UINT64_C(1) << 47) - 0x40);
    hostile(NULL, 0, false, "DS area across the canonical limit");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, -UINT64_C(0x28));
    hostile(NULL, 0, false, "DS area across the end of memory");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, UINT64_MAX);
    wrmsr(MSR_DS_AREA, -(UINT64_C(1) << 47));
    hostile(NULL, 0, false, "DS area unmapped, upper half");

    prepare_hostile();
    rt_window(3);
    area = (struct ds *)(WINDOW + 3);
    *area = *ds;
    wrmsr(MSR_DS_AREA, WINDOW + 3);
    hostile(area, SAMPLES, true, "DS area of any alignment");
}

/* The records go where they do harm to the guest: it is the guest's harm. */
static void test_overlap(void)
{
    uint64_t start = (uint64_t)ds, index;
    unsigned size = record_size(0);

    /* Over the fields of the DS area. */
    for (unsigned offset = 0; offset < 0x90; offset += 8) {
        prepare_hostile();
        use_buffer(start + offset, 4096 - offset);
        ds->base = 0;
        keep_counting = true;
        index = count(FIXED(0), 0, RING3, 100000);
        wrmsr(MSR_PEBS_ENABLE, 1);
        run_code(cpu, body_insn_code, true, FLAGS_IF | FLAGS_IOPL3,
                 index | count(0, 0xc0, RING3, PERIOD));
        check(value_of(FIXED(0)), minus(100000) + INSNS,
              "records over the DS area at %u: it goes on", offset);
        check(hit.before, 0, "records over the DS area at %u: no fault",
              offset);
    }

    /* After the first record the index is below base. */
    prepare_hostile();
    use_buffer(start + 0x20, 4096 - 0x20);
    index = ds->index;
    hit.n = 0;
    wrmsr(MSR_PEBS_ENABLE, 1);
    if (format >= 4) {
        run_code(cpu, body_insn_code, true, 0, count(0, 0xc0, RING3, PERIOD));
        check(ds->index, index + size, "a record over base: the only one");
        check(ds->base, UINT64_C(32) << 48, "a record over base: base");
        check(value_of(0), minus(PERIOD - INSNS % PERIOD),
              "a record over base: count");
    }

    /* A page of code that runs and is written to all the time. */
    for (unsigned user = 0; user < 2; user++) {
        unsigned bad = 0, period = 40;
        unsigned total = PATTERN_MAX + (user ? 2 : 5);

        prepare_hostile();
        memcpy(code_page, body_insn, PATTERN_MAX + 1);
        use_buffer((uint64_t)code_page + 1024, 4096);
        run_code(cpu, (void (*)(void))code_page, user, 0,
                 sample(cpu, 0, 0xc0, user ? RING3 : RING0, period + !user,
                        period));
        for (unsigned i = 0; i < total / period; i++) {
            struct record r = read_record(code_page + 1024 + i * size);

            bad += r.ip != (uint64_t)code_page + (i + 1) * period - 1;
        }
        check(bad, 0, "records into the page of the code, ring %u",
              user ? 3 : 0);
        check(value_of(0), minus(period - total % period),
              "records into the page of the code: count");
    }

    /*
     * Over the block that runs.  Of the record this is executed: four times
     * ADD or AND of AL to what is at RAX, and RET, the address's last byte.
     */
    for (unsigned user = 0; user < 2 && format >= 4; user++) {
        static const uint8_t mov[] = { 0x48, 0x89, 0xf8 }; /* %rdi, %rax */
        unsigned ring = user ? RING3 : RING0;
        uint64_t begin = (uint64_t)code_page + 0xc0, bits;

        prepare_hostile();
        memset(code_page, 0x90, 4096);
        memcpy((void *)begin, mov, sizeof(mov));
        code_page[4095] = 0xc3;
        use_buffer(begin + 4, 2048);
        bits = sample(cpu, 0, 0xc0, ring, 2 + !user, 1000000) |
               count(FIXED(0), 0, ring, 100000);
        run_code(cpu, (void (*)(void))begin, user, 0, bits);
        check(ds->index - ds->base, size, "a record into the block that runs, "
              "ring %u", user ? 3 : 0);
        check(read_record((uint8_t *)begin + 4).ip, begin + 3,
              "a record into the block that runs: place");
        check(value_of(FIXED(0)), minus(100000) + 6 + (user ? 2 : 6),
              "a record into the block that runs: what runs then");
    }

    /* A page table; what it maps is not in use. */
    prepare_hostile();
    rt_window(3);
    use_buffer((uint64_t)window_pt + 2048, 2048);
    hostile(ds, SAMPLES * size <= 2048 ? SAMPLES : 2048 / size, true,
            "records into a page table");
    memset((uint8_t *)window_pt + 2048, 0, 2048);

    /* One that maps what has just been in use. */
    prepare_hostile();
    rt_window(3);
    memset((void *)WINDOW, 0, 1);
    use_buffer((uint64_t)window_pt + 0, 4096);
    ds->maximum = ds->base + size;
    {
        uint64_t entry[25];

        memcpy(entry, window_pt, sizeof(entry));
        hostile(ds, 1, true, "a record over page table entries");
        memcpy(window_pt, entry, sizeof(entry));
        rt_window(3);
    }
}

/* An overflow at every instruction. */
static void test_storm(void)
{
    unsigned size = record_size(0);

    for (unsigned user = 0; user < 2; user++) {
        unsigned total = PATTERN_MAX + (user ? 2 : 5), bad = 0;
        const uint8_t *at = buffer;

        prepare_hostile();
        run_code(cpu, body_insn_code, user, 0,
                 sample(cpu, 0, 0xc0, user ? RING3 : RING0, 1 + !user, 1));
        check(ds->index - ds->base, total * size, "every instruction, "
              "ring %u: records", user ? 3 : 0);
        for (unsigned n = 1; n <= PATTERN_MAX; n++, at += size) {
            bad += read_record(at).ip != nth_nop(n);
        }
        check(bad, 0, "every instruction: places");
        check(value_of(0), COUNTER_MASK, "every instruction: count");

        /* The same without a buffer. */
        prepare_hostile();
        ds->maximum = ds->base;
        run_code(cpu, loop_code, user, 0,
                 sample(cpu, 0, 0xc0, user ? RING3 : RING0, 1 + !user, 1) |
                 count(FIXED(0), 0, user ? RING3 : RING0, 10000000));
        check(ds->index - ds->base, 0, "every instruction, dropped: index");
        check(value_of(0), COUNTER_MASK, "every instruction, dropped: count");
        check(value_of(FIXED(0)), minus(10000000) + 1 + 2 * LOOP_TURNS +
              (user ? 2 : 6), "every instruction, dropped: it goes on");
    }

    /* A reset value of 0 is a long way off. */
    prepare_hostile();
    sample(cpu, 0, 0xc0, RING3, PERIOD, 1);
    ds->reset[0] = 0;
    run_code(cpu, body_insn_code, true, 0, 1);
    check(ds->index - ds->base, size, "reset to 0: one record");
    check(value_of(0), INSNS - PERIOD, "reset to 0: count");
}

/* Everything but the window is the supervisor's, or is not. */
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
    run_code(cpu, body_insn_code, false, 0, count(0, 0xc0, RING0, PERIOD + 1));
    return ds->index - ds->base;
}

static void test_smap(void)
{
    uint32_t r[4];

    asm volatile("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3])
                 : "a"(7), "c"(0));
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
    check(value_of(0), minus(PERIOD - 405 % PERIOD), "SMAP: a user page, "
          "count");
    prepare_hostile();
    wrmsr(MSR_DS_AREA, WINDOW);
    check(sample_kernel(), 0, "SMAP: a DS area in a user page");
    check(value_of(0), 405 - PERIOD, "SMAP: a DS area in a user page, count");
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
    test_overlap();
    test_storm();
    test_smap();
}
