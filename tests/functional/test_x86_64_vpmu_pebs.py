#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Precise event based sampling (PEBS), with Linux and perf in the guest.

Which instruction a sample blames, and what memory it says that instruction
has accessed, follows from the programs: every n-th event is known.
'''

from vpmu_test import VpmuTest

# A nanosecond for an instruction.  Linux lets a counter whose thread comes back
# with one event left run for two; so the programs are short, and run alone.
ICOUNT = ('-icount', 'shift=0,sleep=off')

# A prime period: no pattern of a program can keep in step with it
PERIOD = 101
SLOW_PERIOD = 5003

LOADS = 'cpu/event=0xd0,umask=0x81/'
STORES = 'cpu/event=0xd0,umask=0x82/'

# Of the program memory: accesses in a turn, and where they are relative to
# the first; the last one is on the stack.
TURNS = 100000
LOADED = (0, 8, 24, None)
STORED = (0, 8, None)

# All counters are the guest's and have their own index; or all that it sees
# are cross-mapped.
FAST = 'pmu-passthrough=on', 'pmu-host-gp=4'
SLOW = *FAST, 'pmu-host-order=low'


class X86VpmuPebs(VpmuTest):

    def samples(self, guest, event, program, period=PERIOD, options=''):
        '''What perf records of a program in user mode: (ip, address) each'''
        guest.run(f'alone perf record -q -d -e {event}pp --all-user '
                  f'-c {period} {options} -o /tmp/data {program} 2>&1')
        script = guest.run('perf script -i /tmp/data -F ip,addr 2>&1 | '
                           'tr -s " " > /tmp/script; cat /tmp/script',
                           timeout=300)
        return [tuple(int(field, 16) for field in reversed(line.split()))
                for line in script.splitlines() if line.strip()]

    def check_accesses(self, samples, offsets):
        '''Every sample names the right instruction and the right address'''
        self.assertEqual(len(samples), TURNS * len(offsets) // PERIOD)
        ips = sorted({ip for ip, _ in samples})
        self.assertEqual(len(ips), len(offsets))
        address = dict(samples)
        for nth, (ip, accessed) in enumerate(samples, 1):
            which = (nth * PERIOD - 1) % len(offsets)
            self.assertEqual(ip, ips[which], f'sample {nth}')
            self.assertEqual(accessed, address[ip], f'sample {nth}')
        for ip, offset in zip(ips, offsets):
            if offset is not None:
                self.assertEqual(address[ip], address[ips[0]] + offset)

    def records(self, vm):
        '''PEBS records: fast, slow, dropped'''
        stats = self.stats(vm)
        return [sum(cpu[f'pebs-records-{kind}'] for cpu in stats)
                for kind in ('fast', 'slow', 'dropped')]

    def check_blame(self, features, path):
        vm, guest = self.boot(*ICOUNT, features=features)
        loads = self.samples(guest, LOADS, 'memory')
        self.check_accesses(loads, LOADED)
        stores = self.samples(guest, STORES, 'memory')
        self.check_accesses(stores, STORED)
        made = [0, 0, 0]
        made[path] = len(loads) + len(stores)
        self.assertEqual(self.records(vm), made)

        # Many records for one interrupt: large PEBS
        before = sum(cpu['pmis'] for cpu in self.stats(vm))
        self.samples(guest, LOADS, 'memory')
        pmis = sum(cpu['pmis'] for cpu in self.stats(vm)) - before
        self.assertLess(pmis, len(loads) // 10)

        # On fixed counter 0, which is never another one
        before = self.records(vm)
        ips = [ip for ip, _ in self.samples(guest, 'instructions:p', 'loop',
                                            period=10007)]
        after = self.records(vm)
        self.assertEqual(after[0] - before[0], len(ips))
        self.assertEqual(after[1:], before[1:])
        self.assertEqual(len(ips), 2000004 // 10007)
        # Two instructions take turns, and the period is odd
        turns = len(set(ips))
        self.assertEqual(turns, 2)
        self.assertEqual(ips[0::2], ips[:1] * len(ips[0::2]))

    def test_fast(self):
        '''Samples are right where counters have their own index'''
        self.check_blame(FAST, 0)

    def test_slow(self):
        '''Samples are right where all counters are cross-mapped'''
        self.check_blame(SLOW, 1)

    def test_same(self):
        '''Both paths give the same samples of the same run'''
        found = []
        for name, features in ('fast', FAST), ('slow', SLOW):
            vm, guest = self.start(name, *ICOUNT, features=features)
            guest.wait_ready()
            # Where the stack is differs from boot to boot
            found.append([ip for program in ('branches', 'ftest 300000')
                          for ip, _ in self.samples(guest, 'branches:',
                                                    program, 10007)])
            vm.shutdown()
        self.assertGreater(len(found[0]), 1000)
        # Long lists take very long to compare for the reader
        self.assertTrue(found[0] == found[1], 'the same samples')

    def test_mem(self):
        '''perf mem: loads above the threshold, and stores'''
        _, guest = self.boot(features=('pmu=on',))
        guest.run('perf mem record -o /tmp/data memory 2>&1')
        report = guest.run('perf script -i /tmp/data 2>&1')
        self.assertIn('|OP LOAD|', report)
        self.assertIn('|OP STORE|', report)
        # Every load takes 32 cycles: none takes longer than that
        for threshold, some in (31, True), (32, False):
            guest.run('perf record -q -d -o /tmp/data --all-user -c 101 '
                      f'-e cpu/mem-loads,ldlat={threshold}/pp memory 2>&1')
            found = guest.run('perf script -i /tmp/data -F ip 2>/dev/null | '
                              'wc -l')
            self.assertEqual(int(found) > 0, some, f'ldlat={threshold}')

    def test_formats(self):
        '''What Linux finds, and that it works, for each kind of PEBS'''
        for features, found in (
                (('pebs-baseline=off',), r'PEBS fmt4\+,'),
                (('pebs-fmt=3',), r'PEBS fmt3\+,'),
                (('pebs=off',), None)):
            vm, guest = self.start(features[0], *ICOUNT,
                                   features=('pmu=on', *features))
            guest.wait_ready()
            probe = guest.run('dmesg | grep "Performance Events"')
            if found:
                self.assertRegex(probe, found)
                # Without baseline, Linux takes Ice Lake for a newer kind
                # whose other events it does not sample
                # and not so many that Linux slows them down
                ips = [ip for ip, _ in self.samples(guest, LOADS, 'memory',
                                                    SLOW_PERIOD)]
                self.assertEqual(len(ips), TURNS * len(LOADED) // SLOW_PERIOD)
                self.assertEqual(len(set(ips)), len(LOADED))
                self.assertTrue(ips[4:] == ips[:-4], 'they take turns')
            else:
                self.assertNotIn('PEBS', probe)
                self.assertEqual(guest.run(
                    'cat /sys/bus/event_source/devices/cpu/caps/max_precise'
                ).strip(), '0')
                self.assertNotIn('pebs', vm.cmd('query-vpmu'))
            vm.shutdown()


if __name__ == '__main__':
    VpmuTest.main()
