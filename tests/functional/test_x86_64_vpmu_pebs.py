#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Precise event based sampling (PEBS), with Linux and perf in the guest.

A sample names an instruction and the address that the instruction accessed.
Both are known in advance: with a fixed period, perf samples every n-th event
of a program, and the programs are so simple that every n-th event is known.
'''

from vpmu_test import LOADED, STORED, TURNS, VpmuTest

# An instruction takes a nanosecond.  If one event is left of a period when
# Linux resumes a thread, the counter runs for two.  So the programs are short,
# and nothing else runs beside them.
ICOUNT = ('-icount', 'shift=0,sleep=off')

# The periods are primes, so that no loop of a program keeps in step with them
PERIOD = 101
SLOW_PERIOD = 5003

LOADS = 'cpu/event=0xd0,umask=0x81/pp'
STORES = 'cpu/event=0xd0,umask=0x82/pp'

# With FAST, every counter that the guest sees has the physical counter of its
# own index.  With SLOW, all of them are cross-mapped.
FAST = 'pmu-passthrough=on', 'pmu-host-gp=4'
SLOW = *FAST, 'pmu-host-order=low'


class X86VpmuPebs(VpmuTest):

    def records(self, vm):
        '''The numbers of PEBS records: fast, slow, dropped'''
        stats = self.stats(vm)
        return [sum(cpu[f'pebs-records-{kind}'] for cpu in stats)
                for kind in ('fast', 'slow', 'dropped')]

    def pmis(self, vm):
        return sum(cpu['pmis'] for cpu in self.stats(vm))

    def check_samples(self, vm, guest, path):
        '''
        Samples are right on general-purpose counters, whose records are of
        the kind @path, an index of records(), and on a fixed counter
        '''
        loads = self.samples(guest, LOADS, 'memory', PERIOD)
        self.check_accesses(loads, LOADED, PERIOD)
        stores = self.samples(guest, STORES, 'memory', PERIOD)
        self.check_accesses(stores, STORED, PERIOD)
        records = [0, 0, 0]
        records[path] = len(loads) + len(stores)
        self.assertEqual(self.records(vm), records)

        # Large PEBS: there is one interrupt for many records
        before = self.pmis(vm)
        self.samples(guest, LOADS, 'memory', PERIOD)
        self.assertLess(self.pmis(vm) - before, len(loads) // 10)
        self.check_fixed_counter(vm, guest)

    def check_fixed_counter(self, vm, guest):
        '''Samples of fixed counter 0, which is never cross-mapped'''
        before = self.records(vm)
        ips = [ip for ip, _ in self.samples(guest, 'instructions:ppp',
                                            'loop', 10007)]
        after = self.records(vm)
        self.assertEqual(after[0] - before[0], len(ips))
        self.assertEqual(after[1:], before[1:])
        self.assertEqual(len(ips), 2000004 // 10007)
        # The loop has two instructions and the period is odd, so samples
        # alternate between the two
        self.assertEqual(len(set(ips)), 2)
        self.assertEqual(ips[0::2], ips[:1] * len(ips[0::2]))

    def check_limits(self, guest):
        '''With the limits that Linux itself has, all samples are there'''
        limits = guest.run(
            'cd /proc/sys/kernel; echo 25 >perf_cpu_time_max_percent; '
            'echo 100000 >perf_event_max_sample_rate; '
            'cat perf_cpu_time_max_percent perf_event_max_sample_rate; cd /tmp')
        self.assertEqual(limits.split(), ['25', '100000'])
        total = guest.expected()['loop']['instructions']
        ips = self.samples(guest, 'instructions:ppp', 'loop', 199)
        self.assertEqual(len(ips), total // 199)

    def test_paths(self):
        '''
        Samples are right if every counter has its own index, and if all are
        cross-mapped; both paths give the same samples of the same run
        '''
        found = []
        for name, features, path in ('fast', FAST, 0), ('slow', SLOW, 1):
            vm, guest = self.start(name, *ICOUNT, features=features)
            guest.wait_ready()
            self.check_samples(vm, guest, path)
            # Without the addresses: the stack is elsewhere after each boot
            found.append([ip for program in ('branches', 'ftest 300000')
                          for ip, _ in self.samples(guest, 'branches:pp',
                                                    program, 10007)])
            self.check_limits(guest)
            vm.shutdown()
        self.assertGreater(len(found[0]), 1000)
        # assertEqual() would take minutes to describe how long lists differ
        self.assertTrue(found[0] == found[1], 'the same samples')

    def test_mem(self):
        '''perf mem records stores, and loads above its threshold'''
        _, guest = self.boot(features=('pmu=on',))
        guest.run('perf mem record -o /tmp/data memory 2>&1')
        report = guest.run('perf script -i /tmp/data 2>&1')
        self.assertIn('|OP LOAD|', report)
        self.assertIn('|OP STORE|', report)
        # Every load takes 32 cycles, so no load takes longer than that
        for threshold, some in (31, True), (32, False):
            guest.run('perf record -q -d -o /tmp/data --all-user -c 101 '
                      f'-e cpu/mem-loads,ldlat={threshold}/pp memory 2>&1')
            found = guest.run('perf script -i /tmp/data -F ip 2>/dev/null | '
                              'wc -l')
            self.assertEqual(int(found) > 0, some, f'ldlat={threshold}')

    def test_formats(self):
        '''Linux finds each kind of PEBS, and can sample with it'''
        for features, found in (
                (('pebs-baseline=off',), r'PEBS fmt4\+,'),
                (('pebs-fmt=3',), r'PEBS fmt3\+,'),
                (('pebs=off',), None)):
            # It makes the boot slower, and is needed for samples only
            args = ICOUNT if found else ()
            vm, guest = self.start(features[0], *args,
                                   features=('pmu=on', *features))
            guest.wait_ready()
            probe = guest.run('dmesg | grep "Performance Events"')
            if found:
                self.assertRegex(probe, found)
                # Only loads, because without baseline, Linux takes Ice Lake
                # for a newer model and samples no other event precisely.
                ips = [ip for ip, _ in self.samples(guest, LOADS, 'memory',
                                                    SLOW_PERIOD)]
                self.assertEqual(len(ips), TURNS * len(LOADED) // SLOW_PERIOD)
                self.assertEqual(len(set(ips)), len(LOADED))
                self.assertTrue(ips[4:] == ips[:-4], 'the loads take turns')
            else:
                self.assertNotIn('PEBS', probe)
                self.assertEqual(guest.run(
                    'cat /sys/bus/event_source/devices/cpu/caps/max_precise'
                ).strip(), '0')
                self.assertNotIn('pebs', vm.cmd('query-vpmu'))
            vm.shutdown()


if __name__ == '__main__':
    VpmuTest.main()
