#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Simulated caches, TLBs and branch prediction as Linux and perf see them.

What runs besides a program, its own timer ticks above all, displaces lines and
pages.  So the misses of a program are not fewer than those that are known by
construction, and hardly more.  tests/vpmu/sim.c has them to the unit.
'''

import re

from vpmu_guest import STAT, append, parse_stat
from vpmu_test import TROUBLE, VpmuTest

SIMPLE = 'pmu=on', 'pmu-model=simple'
# Virtual time that follows the instructions, and nothing of the host's
REPEATABLE = ('-icount', 'shift=3,sleep=off', '-seed', '1',
              '-rtc', 'base=2024-01-01,clock=vm')

# The program "columns": its square, in cells of 8 bytes
ROWS = COLUMNS = 512
CELLS = ROWS * COLUMNS
# mem_load_retired.l1_miss, l3_miss; dtlb_load_misses.stlb_hit
L1_MISS = 'cpu/event=0xd1,umask=0x08/u'
STLB_HIT = 'cpu/event=0x08,umask=0x20/u'


class X86VpmuSimulation(VpmuTest):

    def test_names(self):
        '''perf has the events by their names, and none of them reads 0'''
        _, guest = self.boot(features=SIMPLE)
        names = ('branches,cpu-cycles,L1-icache-load-misses,'
                 'branch-load-misses,branch-loads,dTLB-load-misses')
        counts = parse_stat(guest.run(f'{STAT} -e {names} ftest 20000 2>&1'))
        self.assertEqual(len(counts), 6)
        self.assertNotIn(0, counts)
        branches, _, _, missed, loads, _ = counts
        self.assertEqual(branches, loads)
        self.assertLess(missed, branches / 50)

        more = ('L1-dcache-load-misses,cache-references,cache-misses,'
                'branch-misses,dTLB-store-misses,iTLB-load-misses')
        self.assertNotIn(0, parse_stat(guest.run(
            f'{STAT} -e {more} ftest 20000 2>&1')))
        # What perf stat shows by itself
        details = guest.run('perf stat -d -d ftest 20000 2>&1')
        for name in 'branch-misses', 'L1-dcache-load-misses':
            self.assertRegex(details, rf'[1-9][\d,]* +{name}')
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)

    def check_at_least(self, got, want, what):
        '''Not fewer misses than are known, and at most a fiftieth more'''
        self.assertGreaterEqual(got, want, what)
        self.assertLessEqual(got, want + want // 50 + 100, what)

    def test_columns(self):
        '''
        By rows, one load in eight misses; by columns, every load does.  A page
        is in the second level of the TLB when it is not in the first.
        '''
        _, guest = self.boot(features=SIMPLE)
        misses, pages, loads = parse_stat(guest.run(
            f'{STAT} -e {L1_MISS},{STLB_HIT},L1-dcache-loads:u columns 2>&1'))
        self.assertEqual(loads, 2 * CELLS)
        self.check_at_least(misses, CELLS // 8 + CELLS, 'lines')
        self.check_at_least(pages, ROWS + CELLS, 'pages')

    def test_samples(self):
        '''Samples of misses are at the loads that miss'''
        _, guest = self.boot(features=SIMPLE)
        period = 1009
        guest.run(f'perf record -q -d -c {period} '
                  f'-e cpu/event=0xd1,umask=0x08/upp -o /tmp/data columns 2>&1')
        rows = guest.run('perf script -i /tmp/data -F ip,addr').splitlines()
        self.check_at_least(len(rows), (CELLS // 8 + CELLS) // period,
                            'samples')
        addresses = {int(row.split()[-1], 16) for row in rows}
        # The two loads, and nothing else
        self.assertEqual(len(addresses), 2, rows[:10])
        by_columns = sum(int(row.split()[-1], 16) == max(addresses)
                         for row in rows)
        self.check_at_least(by_columns, CELLS // period, 'by columns')

    def test_levels(self):
        '''perf mem knows where loads find their data'''
        _, guest = self.boot(features=SIMPLE)
        guest.run('perf record -q -d -W -c 1009 '
                  '-e cpu/mem-loads,ldlat=30/upp -o /tmp/data columns 2>&1')
        sources = guest.run('perf script -i /tmp/data -F data_src')
        found = {level: len(re.findall(rf'LVL {level}', sources))
                 for level in ('L1', 'L2', 'L3', 'RAM')}
        samples = 2 * CELLS // 1009
        self.assertEqual(sum(found.values()), samples, found)
        # By columns no load hits the first level, by rows seven in eight do.
        self.check_at_least(samples - found['L1'],
                            (CELLS // 8 + CELLS) // 1009 - 1, found)

    def counted_again(self, name):
        '''The misses of a run that sees nothing of the host'''
        run = (f'echo vpmu: begin; {STAT} -e cache-misses,'
               'L1-dcache-load-misses,branch-misses,'
               'dTLB-load-misses,L1-icache-load-misses columns 2>&1')
        vm, guest = self.start(name, *REPEATABLE, features=SIMPLE,
                               cmdline=append(run, 'nokaslr'))
        guest.wait_for('vpmu: begin\r\n', 120)
        output = guest.wait_for('vpmu: ended with 0', 240)
        vm.wait(timeout=60)
        return parse_stat(output.replace('\r', ''))

    def test_repeatable(self):
        '''With -icount two runs have the same misses, also in the kernel'''
        first = self.counted_again('first')
        self.assertNotIn(0, first)
        self.assertEqual(first, self.counted_again('second'))

    def test_none(self):
        '''Without the simulation the operator is told what is not counted'''
        vm, guest = self.boot()
        guest.run('perf stat -e L1-dcache-load-misses ftest 20000 2>&1')
        cpu = vm.cmd('query-vpmu')['cpus'][0]
        self.assertIn('l1d.replacement',
                      [event.get('name') for event
                       in cpu['unsupported-events']])


if __name__ == '__main__':
    VpmuTest.main()
