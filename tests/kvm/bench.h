/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of kvm-bench share
 *
 * A row of the table is something that a guest does with its PMU.  Each
 * repetition of it is one or more timed operations, whose times are added.  A
 * time is the number of instructions that the CPU has executed in all, in the
 * guest and in the kernel below it: that is what the time stamp counter counts
 * on QEMU's emulator with "-icount shift=0,sleep=off", which does not use the
 * PMU.  While the CPU is idle, the counter goes on as if it executed
 * instructions.
 */
#ifndef TESTS_KVM_BENCH_H
#define TESTS_KVM_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include "bench-guest.h"
#include "vm.h"

/* Most repetitions in a batch, between two entries from user space */
#define BATCH           16

typedef struct Bench {
    VM vm;
    unsigned used;              /* entries of the table */
    unsigned repetition;        /* of the batch */
    struct {
        uint8_t row;            /* NO_ROW: is not measured */
        uint8_t repetition;
    } entry[BATCH * 64];
} Bench;

#define NO_ROW  0xff

/* A group of rows that are measured in turn */
typedef struct Group {
    const char *name;
    /* Add entries that set up the counters. */
    void (*prepare)(Bench *bench);
    /* Add the entries of repetition @i. */
    void (*repeat)(Bench *bench, unsigned i);
    unsigned repetitions;
    /* Only the first repetition in a new VM is measured. */
    bool first;
    /* The kernel's perf has another event, which is off, all the time. */
    bool perf;
} Group;

/*
 * Add an entry to the table; its time belongs to @row.  The @value of RDPMC, if
 * it is not 0, is what the counter must be above.
 */
void timed(Bench *bench, unsigned row, unsigned op, uint32_t reg,
           uint64_t value);

/* --- bench-rows.c --- */

extern const char *const row_names[];
extern const unsigned nr_rows;
extern const Group groups[];
extern const unsigned nr_groups;

/* The rows that show that the time stamp counter counts instructions */
enum {
    ROW_NOTHING,
    ROW_LOOP,
    ROW_NOPS,
    ROW_CPUID,
};
/* Turns of ROW_LOOP, each of which is two instructions */
#define LOOP_TURNS      1000

/* Rows whose times are results of one TIMED_PMI */
enum {
    ROW_PMI = ROW_CPUID + 1,
    ROW_HANDLER,
};
/* The rows of what a first use has executed, and of how long it waited */
enum {
    ROW_FIRST_GP = ROW_HANDLER + 1,
    ROW_FIRST_GP_WAIT,
    ROW_FIRST_FIXED,
    ROW_FIRST_FIXED_WAIT,
};
#define ROW_OTHERS      (ROW_FIRST_FIXED_WAIT + 1)

#endif
