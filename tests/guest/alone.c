/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Execute a command with real-time priority, so that nothing but interrupts
 * comes in between: on one CPU its perf counters are not switched.
 *
 * Usage: alone COMMAND [ARGUMENT...]
 */

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sched_param priority = { .sched_priority = 99 };

    if (argc < 2 || sched_setscheduler(0, SCHED_FIFO, &priority)) {
        perror("alone");
        return 1;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 1;
}
