/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest of kvm-bench: where its code and its table are, and the operations
 *
 * They are beside those of guest.h.
 */
#ifndef TESTS_KVM_BENCH_GUEST_H
#define TESTS_KVM_BENCH_GUEST_H

#include "guest.h"

/* Between guest.S and GUEST_GDT */
#define BENCH_CODE          0x2000
/* What starts the counters for TIMED_PMI, in GLOBAL_CTRL */
#define BENCH_GLOBAL_CTRL   0xe000
#define BENCH_TABLE         0x20000

/*
 * An entry of the table: operation, register, value (low, high), and what it
 * leaves behind: time, result (low, high)
 */
#define ENTRY_REG           4
#define ENTRY_VALUE         8
#define ENTRY_TICKS         16
#define ENTRY_RESULT        20
#define ENTRY_SIZE          32

#define TIMED_END           0
#define TIMED_NOTHING       1
#define TIMED_LOOP          2
#define TIMED_CPUID         3
#define TIMED_CPUID_NOPS    4
#define TIMED_WRMSR         5
#define TIMED_RDMSR         6
#define TIMED_RDPMC         7
#define TIMED_PMI           8

/* NOPs on each side of the CPUID of TIMED_CPUID_NOPS */
#define CPUID_NOPS          16
/* NOPs of TIMED_PMI, during which the counter has to overflow */
#define PMI_NOPS            64
/* Instructions of TIMED_PMI that are measured besides NOPs: MOV and RDTSC */
#define PMI_INSNS           2
/* VM exits of the handler between its two times */
#define PMI_HANDLER_EXITS   7

#ifndef GUEST_ASSEMBLER
/* Start and end of bench-guest.S, and its entry points */
extern const char bench_start[], bench_end[], bench_entry[], bench_nmi[];
#endif

#endif
