/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A program that must not disturb the counts of others: it computes, faults,
 * calls the kernel and yields the CPU, until it is killed.
 *
 * Usage: busy [MICROSECONDS]
 *
 * With an argument it does only a little of that at a time and sleeps in
 * between; whenever it wakes up, it interrupts the program that runs then.
 */

#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    unsigned nap = argc > 1 ? atoi(argv[1]) : 0;
    int turns = nap ? 100 : 20000;
    /* volatile, so that the loops below are not optimized away */
    volatile unsigned long sum = 0;

    for (;;) {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (int i = 0; i < turns; i++) {
            sum += i;
        }
        if (page != MAP_FAILED) {
            page[0] = sum;
            munmap(page, 4096);
        }
        getppid();
        if (nap) {
            usleep(nap);
        } else {
            sched_yield();
        }
    }
}
