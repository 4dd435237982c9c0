/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The neighbour that the counted programs must not hear: it computes, faults,
 * calls the kernel and gives the CPU away, until it is killed.
 */

#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

int main(void)
{
    /* volatile, so that the loops below are not optimized away */
    volatile unsigned long sum = 0;

    for (;;) {
        char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        for (int i = 0; i < 20000; i++) {
            sum += i;
        }
        if (page != MAP_FAILED) {
            page[0] = sum;
            munmap(page, 4096);
        }
        getppid();
        sched_yield();
    }
}
