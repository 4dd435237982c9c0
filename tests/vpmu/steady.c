/*
 * A guest that counts, is interrupted and makes records, round after round,
 * until a key is pressed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * It is for tests that do something to the machine meanwhile.  All CPUs do the
 * same.  What a round has to give is known, and what is wrong is never
 * forgotten.  Without a PMU, all that a round does is an addition.
 */
#include "pebs.h"

/* Far from an overflow */
#define FAR             (UINT64_C(1) << 40)

#define KEYBOARD_DATA   0x60
#define KEYBOARD_STATUS 0x64

/* The last multiple of each lies within the loop. */
#define PMI_PERIOD      99991
#define RECORD_PERIOD   1009
/* A full buffer interrupts, and is emptied. */
#define BUFFER_RECORDS  256

/* What a migration has to send, so that it takes its time */
static uint8_t ballast[8 << 20];

const uint32_t loop_turns = 1000000;

/* What loop_code retires in ring 3: MOV, the loop, RET and INT */
#define LOOP            UINT64_C(1000000)
#define LOOP_INSNS      (1 + 2 * LOOP + 2)

static const struct {
    uint32_t event;
    uint64_t count;
} events[] = {
    { EV_INSNS, LOOP_INSNS },
    { EV_BRANCHES, LOOP + 2 },
    { EV_COND, LOOP },
    /* RET, and not the last one of the loop */
    { EV_NEAR_TAKEN, LOOP },
    { EV_CYCLES, LOOP_INSNS },
    { EV_NOT_TAKEN, 1 },
    { EV_RETURNS, 1 },
    { EV_LOADS, 2 },
};

/*
 * What a CPU has seen
 * @hits, @records: of this round
 * @what, @got, @want: the first of @wrong
 */
static struct tally {
    uint64_t rounds, counted, hits, records, all_hits, all_records, wrong;
    const char *what;
    uint64_t got, want;
} tallies[MAX_CPUS];

/* How many parts a round has: without a PMU none, with PEBS all */
static unsigned nr_parts;

/* volatile: the CPUs tell each other. */
static volatile bool go, stop;
static volatile unsigned finished; /* volatile: the same */

static void expect(struct tally *t, uint64_t got, uint64_t want,
                   const char *what)
{
    if (got != want && !t->wrong++) {
        t->what = what;
        t->got = got;
        t->want = want;
    }
}

static bool key_pressed(void)
{
    if (!(inb(KEYBOARD_STATUS) & 1)) {
        return false;
    }
    inb(KEYBOARD_DATA);
    return true;
}

/* The registers of @frame, after the @n-th instruction of the loop */
static void expect_place(struct tally *t, const struct frame *frame,
                         uint64_t n)
{
    expect(t, frame->rip, (uint64_t)(n & 1 ? loop_dec : loop_jnz),
           "where an interrupt came");
    expect(t, frame->rcx, LOOP - n / 2, "when an interrupt came");
}

static void take_records(struct cpu *me, struct tally *t, uint64_t want)
{
    struct ds *area = pebs_area(me);
    unsigned size = record_size(full_cfg());

    expect(t, area->index - area->base, want * size, "bytes of records");
    for (uint64_t at = area->base; at < area->index; at += size) {
        struct record r = read_record((const uint8_t *)at);

        t->records++;
        expect(t, r.size, size, "the size of a record");
        expect(t, is_of_loop(&r, t->records * RECORD_PERIOD), true,
               "a record");
    }
    /* One that is not written cannot look like one. */
    memset((void *)area->base, GUARD, area->index - area->base);
    area->index = area->base;
}

static bool on_trap(struct frame *frame)
{
    struct cpu *me = this_cpu();
    struct tally *t = &tallies[me->index];
    uint64_t status = rdmsr(MSR_GLOBAL_STATUS);

    if (frame->vector != VECTOR_PMI) {
        return false;
    }
    t->hits++;
    if (status == OVF_BUF) {
        take_records(me, t, BUFFER_RECORDS);
        expect_place(t, frame, t->records * RECORD_PERIOD);
    } else {
        expect(t, status, 1, "the status at an interrupt");
        expect(t, pmu_value(0), 0, "the count at an interrupt");
        expect_place(t, frame, t->hits * PMI_PERIOD);
        wrmsr(MSR_PMC0, pmu_minus(PMI_PERIOD));
    }
    wrmsr(MSR_GLOBAL_OVF_CTRL, status);
    apic_write(APIC_LVTPC, VECTOR_PMI);
    apic_write(APIC_EOI, 0);
    return true;
}

/* Run the loop with what is in @mask, and the first fixed counter. */
static void run_loop(struct cpu *me, struct tally *t, uint64_t mask)
{
    mask |= pmu_count(FIXED(0), 0, RING3, FAR);
    run_code(me, loop_code, true, FLAGS_IF | FLAGS_IOPL3, mask);
    expect(t, pmu_value(FIXED(0)), pmu_minus(FAR) + LOOP_INSNS,
           "the fixed counter");
    t->counted += pmu_value(FIXED(0)) - pmu_minus(FAR);
}

static void count(struct cpu *me, struct tally *t)
{
    uint64_t mask = 0;
    unsigned n = MIN(pmu_gp, ARRAY_SIZE(events));

    for (unsigned i = 0; i < n; i++) {
        mask |= pmu_count(i, events[i].event, RING3, FAR);
    }
    run_loop(me, t, mask);
    for (unsigned i = 0; i < n; i++) {
        expect(t, pmu_value(i), pmu_minus(FAR) + events[i].count, "a count");
    }
    expect(t, t->hits, 0, "interrupts while counting");
}

static void sample(struct cpu *me, struct tally *t)
{
    run_loop(me, t, pmu_count(0, EV_INSNS | EVTSEL_INT, RING3, PMI_PERIOD));
    expect(t, t->hits, LOOP_INSNS / PMI_PERIOD, "interrupts");
    expect(t, pmu_value(0),
           pmu_minus(PMI_PERIOD - LOOP_INSNS % PMI_PERIOD), "the period");
    t->all_hits += t->hits;
}

static void record(struct cpu *me, struct tally *t)
{
    struct ds *area = pebs_area(me);
    uint64_t want = LOOP_INSNS / RECORD_PERIOD;

    area->threshold = area->base + BUFFER_RECORDS * record_size(full_cfg());
    run_loop(me, t, pebs_sample(0, EV_INSNS | want_full(), RING3,
                                RECORD_PERIOD, RECORD_PERIOD));
    take_records(me, t, want % BUFFER_RECORDS);
    expect(t, t->records, want, "records");
    expect(t, t->hits, want / BUFFER_RECORDS, "interrupts of full buffers");
    expect(t, pmu_value(0),
           pmu_minus(RECORD_PERIOD - LOOP_INSNS % RECORD_PERIOD),
           "the period of records");
    t->all_records += t->records;
}

static void add(struct tally *t)
{
    uint64_t sum = 0;

    for (uint64_t i = 0; i < LOOP; i++) {
        asm volatile("" : "+r"(sum)); /* or the compiler would know the sum */
        sum += i;
    }
    expect(t, sum, LOOP * (LOOP - 1) / 2, "a sum");
}

static void do_round(struct cpu *me, struct tally *t)
{
    void (*const parts[])(struct cpu *me, struct tally *t) = {
        count, sample, record,
    };

    if (!nr_parts) {
        add(t);
    }
    for (unsigned i = 0; i < nr_parts; i++) {
        t->hits = t->records = 0;
        pmu_clear();
        if (format) {
            pebs_clear(me);
        }
        apic_write(APIC_LVTPC, VECTOR_PMI);
        parts[i](me, t);
        expect(t, rdmsr(MSR_GLOBAL_STATUS), 0, "the status after all");
    }
    t->rounds++;
}

void ap_main(struct cpu *me)
{
    while (!go) {
        pause();
    }
    while (!stop) {
        do_round(me, &tallies[me->index]);
    }
    __atomic_fetch_add(&finished, 1, __ATOMIC_SEQ_CST);
}

static void report(unsigned index)
{
    const struct tally *t = &tallies[index];

    if (!result(!t->wrong && t->rounds, "CPU %u: %lu rounds", index,
                t->rounds)) {
        print("# %lu wrong, the first: %s, 0x%lx, not 0x%lx\n", t->wrong,
              t->what ? t->what : "no round", t->got, t->want);
    }
    check(t->counted, nr_parts * t->rounds * LOOP_INSNS,
          "CPU %u: %lu instructions", index, t->counted);
    check(t->all_hits,
          nr_parts > 1 ? t->rounds * (LOOP_INSNS / PMI_PERIOD) : 0,
          "CPU %u: %lu interrupts", index, t->all_hits);
    check(t->all_records,
          nr_parts > 2 ? t->rounds * (LOOP_INSNS / RECORD_PERIOD) : 0,
          "CPU %u: %lu records", index, t->all_records);
}

/* What all CPUs have seen by now.  A snapshot that is loaded forgets some. */
static uint64_t all_wrong(void)
{
    uint64_t wrong = 0;

    for (unsigned i = 0; i < nr_cpus; i++) {
        wrong += __atomic_load_n(&tallies[i].wrong, __ATOMIC_RELAXED);
    }
    return wrong;
}

void main(void)
{
    if (pmu_version) {
        format = rdmsr(MSR_PERF_CAPABILITIES) >> 8 & 0xf;
        baseline = rdmsr(MSR_PERF_CAPABILITIES) & 1u << 14;
        nr_parts = format ? 3 : 2;
    }
    while (key_pressed()) {
        /* What the firmware has left */
    }
    memset(ballast, GUARD, sizeof(ballast));
    pmu_start();
    trap_hook = on_trap;
    go = true;
    while (!key_pressed()) {
        do_round(cpu, &tallies[0]);
        print("# round %lu, %lu wrong\n", tallies[0].rounds, all_wrong());
    }
    stop = true;
    while (finished < nr_cpus - 1) {
        pause();
    }
    for (unsigned i = 0; i < nr_cpus; i++) {
        report(i);
    }
}
