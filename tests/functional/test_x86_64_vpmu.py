#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
The software PMU as Linux and perf see it.

These tests boot the guest that tests/guest/build-image builds, and compare the
output of perf with the counts that the programs of tests/guest declare.
vpmu_test.py describes the environment variables.
'''

import re

from vpmu_guest import (STAT, append, parse_stat, start_marathon,
                        wait_for_events)
from vpmu_test import TROUBLE, VpmuTest

# Virtual time that follows the instructions, as fast as the host can execute
ICOUNT = ('-icount', 'shift=3,sleep=off')


# The faults that the model's bits of IA32_ARCH_CAPABILITIES rule out, the bits
# that TCG has beyond those, and the faults that these rule out
NO_FAULTS = 'meltdown', 'l1tf', 'mds', 'itlb_multihit', 'tsx_async_abort'
MORE_BITS = ('sbdr-ssdp-no=on', 'fbsdp-no=on', 'psdp-no=on', 'pbrsb-no=on',
             'gds-no=on', 'rfds-no=on')
MORE_NO_FAULTS = ('mmio_stale_data', 'gather_data_sampling',
                  'reg_file_data_sampling')


class X86Vpmu(VpmuTest):

    def run_to_end(self, name, run, *args, extra='', timeout=120, **kwargs):
        '''Starts a guest that executes only @run; returns its output'''
        vm, guest = self.start(name, *args, cmdline=append(run, extra),
                               **kwargs)
        # The guest prints nothing else between these marks
        guest.wait_for('vpmu: begin\r\n', timeout)
        output = guest.wait_for('vpmu: ended with 0', timeout)
        vm.wait(timeout=60)
        self.assertEqual(vm.exitcode(), 0)
        return output.replace('\r', '')

    def test_one_cpu(self):
        '''What a guest with one CPU shows; no check changes the guest'''
        vm, guest = self.boot()
        self.check_found(guest)
        self.check_faults(guest, *NO_FAULTS)
        self.check_rings(guest)
        self.check_unavailable(guest)
        self.check_skid(guest)
        self.check_profile(guest)
        self.check_query(vm, guest)
        self.check_alone_and_beside_busy(guest)
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)

    def check_found(self, guest):
        '''The kernel finds the PMU that the command line asks for'''
        log = guest.run('dmesg')
        self.assertRegex(log, r'Performance Events: .*Icelake events, '
                              r'.*full-width counters, Intel PMU driver\.')
        self.check_probe(log,
                         'version: +5',
                         'bit width: +48',
                         'generic registers: +8',
                         'value mask: +0000ffffffffffff',
                         'max period: +00007fffffffffff',
                         'fixed-purpose events: +3',
                         'event mask: +00000007000000ff')
        self.assertRegex(log, 'NMI watchdog: Enabled')

    def test_probe_smaller(self):
        '''The kernel finds an older and smaller PMU as well'''
        _, guest = self.boot(features=('pmu=on', 'pmu-version=2',
                                       'pmu-gp-counters=4'))
        self.check_probe(guest.run('dmesg'),
                         'version: +2',
                         'generic registers: +4',
                         'event mask: +000000070000000f')
        self.check_counts(guest, 'with version 2', repeat=1,
                          programs=['touches', 'memory'])

    def test_off(self):
        '''
        Without pmu=on, the guest finds no PMU.  Linux believes what TCG says of
        faults, and TCG says no more.
        '''
        _, guest = self.boot(features=MORE_BITS)
        self.assertIn('no PMU driver',
                      guest.run('dmesg | grep "Performance Ev"'))
        self.assertIn('<not supported>',
                      guest.run('perf stat -e instructions loop 2>&1'))
        self.check_faults(guest, *NO_FAULTS, *MORE_NO_FAULTS)
        self.assertEqual(self.fault(guest, 'spec_store_bypass'), 'Vulnerable\n')
        self.assertRegex(self.fault(guest, 'spectre_v2'),
                         'Retpolines;.*BHI: Retpoline')

    def fault(self, guest, name):
        '''What Linux makes of a fault that processors have'''
        return guest.run(f'cat /sys/devices/system/cpu/vulnerabilities/{name}')

    def check_faults(self, guest, *names):
        '''Linux knows that this processor does not have these faults'''
        for name in names:
            self.assertEqual(self.fault(guest, name), 'Not affected\n', name)

    def test_counts_two_cpus(self):
        _, guest = self.boot('-smp', '2')
        self.check_alone_and_beside_busy(guest)

    def test_counts_icount(self):
        _, guest = self.boot(*ICOUNT)
        self.check_alone_and_beside_busy(guest)

    def test_counts_icount_two_cpus(self):
        _, guest = self.boot('-smp', '2', *ICOUNT)
        self.check_alone_and_beside_busy(guest)

    def check_rings(self, guest):
        '''The counts of user mode and of the kernel add up to the total'''
        for event in 'instructions', 'branches', 'cycles':
            for program in 'touches', 'repmovs', 'calls', 'ftest 20000':
                user, kernel, both = parse_stat(guest.run(
                    f"{STAT} -e '{{{event}:u,{event}:k,{event}}}' {program} "
                    "2>&1"))
                self.assertGreater(kernel, 0)
                self.assertEqual(user + kernel, both, f'{event} of {program}')

    def check_unavailable(self, guest):
        '''perf is not offered an event that the PMU cannot count'''
        for event in 'cache-misses', 'cache-references', 'branch-misses':
            self.assertIn('<not supported>', guest.run(
                f'perf stat -e {event} loop 2>&1'), event)

    # The addresses of the two instructions in the loop of the program "loop":
    # the text starts with a MOV of five bytes, then comes a DEC of two bytes
    LOOP = 0x401005, 0x401007

    def check_skid(self, guest):
        '''
        A sample belongs to the very instruction that makes the counter
        overflow, so a fixed period determines their number and addresses
        '''
        total = guest.expected()['loop']['instructions']
        dec, jnz = self.LOOP
        for period in 10007, 5000:
            guest.run(f'perf record -q --switch-events -c {period} '
                      '-e instructions:u -o /tmp/data loop 2>&1')
            rows = guest.run('perf script -i /tmp/data --show-switch-events '
                             '-F comm,time,ip').splitlines()
            count = 0
            resumed = False
            for row in rows:
                if 'PERF_RECORD_SWITCH' in row:
                    resumed = True
                    continue
                count += 1
                ip = int(row.split()[-1], 16)
                # A sample has the address of the next instruction.  The loop
                # begins with the second instruction, so every even instruction
                # is a DEC and is followed by JNZ
                exact, late = (dec, jnz) if count * period % 2 else (jnz, dec)
                # When Linux resumes a counter, it lets it run for at least two
                # events, even if only one is left of the period
                self.assertIn(ip, (exact, late) if resumed else (exact,),
                              f'sample {count} of period {period}')
                resumed = False
            self.assertEqual(count, total // period)

    def check_profile(self, guest):
        '''perf record finds where ftest spends its instructions'''
        guest.run('perf record -q -c 100003 -e cycles:u -o /tmp/data '
                  'ftest 1000000 2>&1')
        report = guest.run('perf report --stdio -i /tmp/data 2>/dev/null '
                           '| grep -v "^#"')
        share = {}
        for line in report.splitlines():
            fields = line.split()
            if len(fields) >= 5:
                share[fields[-1]] = float(fields[0].rstrip('%'))
        for symbol, percent in (('qux', 37), ('foo', 14), ('bar', 14),
                                ('main', 12), ('__random', 10),
                                ('__random_r', 9)):
            self.assertAlmostEqual(share.get(symbol, 0), percent, delta=4,
                                   msg=f'{symbol} in\n{report}')
        self.log.info(report)

    # A run can be repeated only if it depends neither on the host's clock nor
    # on random numbers
    REPEATABLE = ('-seed', '1', '-rtc', 'base=2024-01-01,clock=vm')
    REPEATED = ("echo vpmu: begin; "
                "for p in loop repmovs touches calls ftest; do "
                f"{STAT} -e instructions:u,instructions:k,branches:u,"
                "branches:k $p 2>&1; done")

    def counts_of_run(self, *args, **kwargs):
        '''The counts of a guest that only measures (see run_to_end())'''
        return parse_stat(self.run_to_end(*args, extra='nokaslr', **kwargs))

    def test_icount_repeats(self):
        '''With -icount, a second run has the same counts, also the kernel's'''
        first, second = (
            self.counts_of_run(name, self.REPEATED, *ICOUNT, *self.REPEATABLE)
            for name in ('first', 'second'))
        self.assertEqual(len(first), 20)
        self.assertEqual(first, second)

    # A buffer so small that there are interrupts; what has no room then is lost
    TRACED = ("; perf record -q --per-thread -m 512,128 -e intel_bts//u "
              "-o /tmp/data hops 2>&1; "
              "echo trace: $(wc -c </tmp/data) "
              "$(awk '/PMI:/ { print $2 }' /proc/interrupts) "
              "$(md5sum </tmp/data)")

    def test_record_replay(self):
        '''The replay of a recorded run has the same counts and branches'''
        log = self.scratch_file('replay.bin')
        outputs = [self.run_to_end(mode, self.REPEATED + self.TRACED, '-icount',
                                   f'shift=7,rr={mode},rrfile={log}',
                                   extra='nokaslr', timeout=300,
                                   features=('pmu=on', 'bts=on'))
                   for mode in ('record', 'replay')]
        counts = [parse_stat(output) for output in outputs]
        self.assertEqual(len(counts[0]), 20)
        self.assertEqual(counts[0], counts[1])
        traces = [re.search(r'trace: (\d+) (\d+) (\w{32})', output)
                  for output in outputs]
        size, interrupts = int(traces[0][1]), int(traces[0][2])
        self.assertGreater(size, 500000)
        self.assertGreater(interrupts, 1)
        self.assertEqual(traces[0][0], traces[1][0])
        self.log.info(traces[0][0])

    def check_query(self, vm, guest):
        '''query-vpmu shows what the guest measures, while it does so'''
        guest.run('perf stat -e instructions:u,branches:u,cycles:u marathon '
                  '>/dev/null 2>&1 &')
        table = []

        def query():
            with self.stopped(vm):
                table[:] = [self.info_vpmu(vm)]
                return vm.cmd('query-vpmu')

        info = wait_for_events(query, 'instructions', 'branches', 'cycles')
        guest.run('killall marathon; wait')

        self.assertEqual(info['mode'], 'software')
        self.assertEqual(info['version'], 5)
        self.assertEqual(info['counter-width'], 48)
        self.assertEqual(info['total'], {'gp': 8, 'fixed': [0, 1, 2]})
        self.assertEqual(len(info['cpus']), 1)
        # The guest owns every counter, whether it is enabled or not
        self.assertEqual(info['cpus'][0]['in-use'], info['total'])
        # The watchdog also counts cycles, but those of the kernel as well
        users = {counter['event']['name']: counter
                 for counter in info['cpus'][0]['counters']
                 if counter['enabled'] and not counter['kernel']}
        self.assertEqual(set(users), {'instructions', 'branches', 'cycles'})
        for name, counter in users.items():
            self.assertEqual((counter['owner'], counter['path']),
                             ('guest', 'fast'))
            self.assertGreater(counter['value'], 0)
            self.assertIn(name, table[0])

        cpu = vm.cmd('query-vpmu')['cpus'][0]
        self.assertFalse([counter for counter in cpu['counters']
                          if counter['enabled'] and not counter['kernel']])

    def migrate_counting(self, **how):
        '''Migrates a machine while it counts; returns the guest, as it arrived'''
        vm, guest = self.boot(**how)
        want = start_marathon(guest, lambda: vm.cmd('query-vpmu'))
        state = self.scratch_file('state')
        vm.cmd('migrate', uri=f'file:{state}')
        self.wait_until(lambda: self.migrated(vm))
        vm.shutdown()

        _, arrived = self.start('target', '-incoming', f'file:{state}', **how)
        guest.move_to(arrived)
        self.assertEqual(parse_stat(guest.finish()), want)
        return guest

    def test_migration(self):
        '''A machine that is migrated while it counts loses no event'''
        guest = self.migrate_counting()
        self.check_counts(guest, 'after a migration', repeat=1)

    def test_migration_amd(self):
        '''The same with PerfMonV2 of AMD, and with counters handed over'''
        self.migrate_counting(cpu='EPYC-Genoa,pmu-passthrough=on')

    def migrated(self, vm):
        info = vm.cmd('query-migrate')
        self.assertNotEqual(info.get('status'), 'failed', info)
        return info.get('status') == 'completed'

    def test_savevm(self):
        '''A machine that is saved and loaded while it counts loses no event'''
        vm, guest = self.boot()
        image = self.scratch_file('disk.qcow2')
        self.job(vm, 'blockdev-create',
                 options={'driver': 'file', 'filename': image, 'size': 0})
        vm.cmd('blockdev-add', driver='file', node_name='file', filename=image)
        self.job(vm, 'blockdev-create',
                 options={'driver': 'qcow2', 'file': 'file', 'size': 1 << 20})
        vm.cmd('blockdev-add', driver='qcow2', node_name='disk', file='file')

        want = start_marathon(guest, lambda: vm.cmd('query-vpmu'))
        self.job(vm, 'snapshot-save', tag='here', vmstate='disk',
                 devices=['disk'])
        self.assertEqual(parse_stat(guest.finish()), want, 'after saving')
        self.job(vm, 'snapshot-load', tag='here', vmstate='disk',
                 devices=['disk'])
        vm.cmd('cont')
        self.assertEqual(parse_stat(guest.finish()), want, 'after loading')

    def job(self, vm, command, **args):
        '''Executes a command that starts a job; waits for the job'''
        vm.cmd(command, job_id='job', **args)
        self.wait_until(lambda: self.concluded(vm))
        vm.cmd('job-dismiss', id='job')

    def concluded(self, vm):
        job = [job for job in vm.cmd('query-jobs') if job['id'] == 'job'][0]
        self.assertNotIn('error', job)
        return job['status'] == 'concluded'

    def test_hotplug(self):
        '''A CPU that is plugged in later counts as the first one does'''
        vm, guest = self.boot('-smp', '1,maxcpus=2')
        self.plug_cpu(vm, guest)
        self.check_counts(guest, 'on a plugged CPU', prefix='taskset 2')
        guest.run('taskset 2 busy &')
        self.check_counts(guest, 'on a busy plugged CPU', prefix='taskset 2',
                          repeat=1)


if __name__ == '__main__':
    VpmuTest.main()
