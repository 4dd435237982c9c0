/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program worth profiling: main, foo, bar and qux share the work with the
 * C library's random() in proportions that a profile should show again.
 *
 * Usage: ftest [TURNS]
 */

#include <stdio.h>
#include <stdlib.h>

#define NOINLINE __attribute__((noinline, noclone))

/*
 * Does `turns` steps of work, inlined into each caller so that the samples
 * carry that caller's name.
 */
static inline __attribute__((always_inline))
unsigned long churn(unsigned long x, int turns)
{
    while (turns--) {
        x = x * 33 + 7;
        __asm__ volatile("" : "+r"(x));
    }
    return x;
}

static NOINLINE unsigned long qux(unsigned long x)
{
    return churn(x, 13);
}

static NOINLINE unsigned long bar(unsigned long x)
{
    return churn(x, 5);
}

static NOINLINE unsigned long foo(unsigned long x)
{
    return churn(x, 5);
}

int main(int argc, char **argv)
{
    unsigned long turns = argc > 1 ? atol(argv[1]) : 1000000;
    unsigned long x = 0;

    while (turns--) {
        x += random();
        x = foo(x) ^ bar(x) ^ qux(x);
        x = churn(x, 3);
    }
    return x == 42;
}
