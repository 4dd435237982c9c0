/*
 * Simulated caches of AMD's models: the same, with other events
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "sim.h"

#define LARGE           (2 << 20)
/* Addresses that are mapped, and where there is no memory */
#define NOTHING_AT      (512 << 20)
#define N               20

/* L1 misses of loads and stores, misses of the second level, walks */
static const uint32_t zen_events[] = { 0xc860, 0x0964, 0xf045 };
static const uint32_t old_events[] = { 0x0141, 0x077e, 0x0746 };

void test_amd(void)
{
    unsigned lines = 2 * l1d.sets * l1d.ways;
    void *at = take(lines * LINE, 0), *large = (void *)(uintptr_t)NOTHING_AT;
    bool is_zen = cpu_family() >= 23;

    COUNT(0x00c3);
    turns(100);
    clear_counters();
    turns(100);
    WANT("AMD: a loop", 1);
    count_events(is_zen ? zen_events : old_events, ARRAY_SIZE(zen_events));
    /* Code, and the page of what follows */
    loads(at, 1, LINE, 1);
    clear_counters();
    loads((char *)at + LINE, lines - 1, LINE, 1);
    WANT("AMD: loads of memory", lines - 1, lines - 1, 0);
    loads(at, lines, LINE, 1);
    WANT("AMD: loads of the second level", lines, 0, 0);
    stores(at, 1, LINE, 1);
    clear_counters();
    stores((char *)at + LINE, lines - 1, LINE, 1);
    WANT("AMD: stores", lines - 1, 0, 0);
    loads(large, N, LARGE, 1);
    clear_counters();
    reload_cr3();
    loads(large, N, LARGE, 2);
    WANT("AMD: walks", 0, 0, N);
}
