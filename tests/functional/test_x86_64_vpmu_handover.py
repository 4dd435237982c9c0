#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Counters that are handed over one by one, with Linux and perf in the guest.

What the guest counts must not depend on which physical counters it has, and
what the operator counts beside it must be as exact.
'''

import os
import random
import signal
import threading
import time

from vpmu_guest import STAT, Shell, parse_stat
from vpmu_test import VpmuTest, identify

# A nanosecond for an instruction
ICOUNT = ('-icount', 'shift=0,sleep=off')

# The watchdog would have the fixed counter for cycles
NO_WATCHDOG = 'nmi_watchdog=0'

# With it, these have the three fixed counters
FIXED = '-e instructions:u,cycles:u,ref-cycles:u'

# A measurement of all CPUs, in the background until finish_all()
ALL = "perf stat -a -x ';' -o /tmp/all"


def difference(before, after):
    '''Of two dictionaries of figures'''
    return {key: after[key] - before[key] for key in after}


class X86VpmuHandover(VpmuTest):

    # Events that nobody has asked for yet
    pending = []

    def boot_with(self, *features, args=(), watchdog=True):
        return self.boot(*args, cmdline=Shell.APPEND if watchdog else
                         f'{Shell.APPEND} {NO_WATCHDOG}',
                         features=('pmu-passthrough=on', *features))

    def kill_later(self, vm, seconds):
        '''A machine that hangs must not hang the test'''
        timer = threading.Timer(seconds, os.kill,
                                (vm.get_pid(), signal.SIGKILL))
        timer.start()
        self.addCleanup(timer.cancel)

    def reserve(self, vm, gp, **args):
        return vm.cmd('vpmu-reserve-host-counters', gp=gp, **args)

    def refused(self, vm, command, **args):
        '''Executes a command that must fail; returns the message'''
        answer = vm.qmp(command, args)
        self.assertIn('error', answer, f'{command} {args}')
        return answer['error']['desc']

    def host_count(self, vm, index, event, **args):
        vm.cmd('vpmu-host-counter-set', type='gp', index=index, event=event,
               **args)

    def values(self, vm):
        '''
        The values of all counters: for each CPU the guest's and the host's,
        by (type, index)
        '''
        return [tuple({(counter['type'], counter['index']): counter['value']
                       for counter in cpu[side]}
                      for side in ('counters', 'host-counters'))
                for cpu in self.picture(vm)['cpus']]

    def paths(self, vm, cpu):
        return {(counter['type'], counter['index']): counter['path']
                for counter in self.picture(vm)['cpus'][cpu]['counters']}

    def events(self, vm, name):
        '''The data of the events called @name since the last call'''
        # What has been emitted so far arrives before this answer
        vm.cmd('query-status')
        self.pending = self.pending + vm.get_qmp_events()
        found = [event for event in self.pending if event['event'] == name]
        self.pending = [event for event in self.pending
                        if event['event'] != name]
        return [event['data'] for event in found]

    def finish_all(self, guest):
        '''Ends what was started with ALL; returns its counts'''
        return parse_stat(guest.run('killall sleep; wait; cat /tmp/all'))

    def check_account(self, vm):
        '''Who has a counter was given it and has not lost it'''
        vm.cmd('stop')
        for cpu, stats in zip(self.picture(vm)['cpus'], self.stats(vm)):
            held = [counter for counter in cpu['counters']
                    if 'physical-index' in counter]
            self.assertEqual(len(held),
                             stats['hand-overs'] - stats['lazy-releases'] -
                             stats['evictions'], stats)
        vm.cmd('cont')

    # Hand-overs

    def test_once(self):
        '''
        Thousands of context switches cost one hand-over for each counter, as
        long as nobody pauses for a slice
        '''
        vm, guest = self.boot_with('pmu-slice-ms=1000', watchdog=False,
                                   args=('-smp', '2', *ICOUNT))
        expected = guest.expected()['loop']
        expected = [expected['branches'], expected['instructions'],
                    expected['instructions']]
        stat = f'{STAT} -e branches:u,cycles:u,instructions:u'
        for cpu, turns, switches in (0, 800000, 2000), (1, 100000, 200):
            prefix = f'taskset {1 << cpu}'
            ftest = f'{prefix} {stat} -e context-switches ftest {turns} 2>&1'
            *alone, _ = parse_stat(guest.run(ftest))
            # The second of them preempts what is counted all the time
            guest.run(f'{prefix} busy & {prefix} busy 20 & sleep 3')
            before = self.stats(vm)
            *beside, switched = parse_stat(guest.run(ftest))
            self.assertEqual(beside, alone)
            self.assertGreater(switched, switches)
            for _ in range(3):
                self.assertEqual(parse_stat(guest.run(
                    f'{prefix} {stat} loop 2>&1')), expected)
            after = self.stats(vm)
            figures = [difference(*both) for both in zip(before, after)]
            guest.run('killall busy')
            self.log.info(f'CPU {cpu}: {switched} switches: {figures[cpu]}')

            self.assertEqual(figures[cpu]['hand-overs'], 3)
            self.assertGreater(figures[cpu]['reuses'], 3 * switches)
            for name in ('lazy-releases', 'moves', 'evictions', 'starved-ns'):
                self.assertEqual(figures[cpu][name], 0, name)
            # One write enables all three of them
            self.assertEqual(figures[cpu]['control-writes-reprogrammed'], 1)
            self.assertEqual(figures[1 - cpu]['hand-overs'], 0)
        self.check_account(vm)

    def test_once_an_absence(self):
        '''... and without icount one for each absence of more than a slice'''
        vm, guest = self.boot_with('pmu-slice-ms=1000', watchdog=False)
        guest.run('busy & busy 100 & sleep 2')
        before = self.stats(vm)[0]
        begin = time.monotonic()
        for _ in range(3):
            guest.run(f'{STAT} -e branches,cycles,instructions '
                      'ftest 1000000 2>&1; sleep 2')
        figures = difference(before, self.stats(vm)[0])
        absences = int(time.monotonic() - begin)
        self.log.info(f'{absences} s: {figures}')

        # At least those that are asked for, at most one in each second
        self.assertGreaterEqual(figures['lazy-releases'], 3 * 3)
        self.assertLessEqual(figures['lazy-releases'], 3 * absences)
        # All had been released before, and are now
        self.assertEqual(figures['hand-overs'], figures['lazy-releases'])
        self.assertEqual(figures['evictions'], 0)
        self.assertGreater(figures['reuses'], 100)
        self.check_account(vm)

    # Reservation

    def test_beside_the_operator(self):
        '''Guest and operator measure the same CPUs, both exactly'''
        vm, guest = self.boot_with('pmu-visible=all', 'pmu-host-gp=2',
                                   args=('-smp', '2'))
        self.host_count(vm, 7, 'instructions', kernel=False)
        self.host_count(vm, 6, 'branches', kernel=False)
        guest.run(f"{ALL} -e '{{instructions:u,branches:u}}' sleep 100000 & "
                  'sleep 1')
        before_stats = self.stats(vm)
        before = self.user_counts(vm)

        # Six of the guest's counters: perf's own, and the watchdog's, have
        # two fixed ones and one of the others
        self.slots = 3
        self.check_counts(guest, 'beside the operator', repeat=1)
        # As many samples as there are periods
        branches = guest.expected()['loop']['branches']
        self.assertEqual(self.samples(guest, 'branches:u', 10007, 'loop'),
                         branches // 10007)

        for old, new in zip(before, self.user_counts(vm)):
            counts = difference(old, new)
            self.log.info(counts)
            for event in 'instructions', 'branches':
                self.assertEqual(counts['guest', event], counts['host', event])
                self.assertGreater(counts['guest', event], 0)
        for stats in map(difference, before_stats, self.stats(vm)):
            self.log.info(stats)
            self.assertEqual(stats['starved-ns'], 0)
            self.assertEqual(stats['moves'], 0)
        self.assertFalse(self.events(vm, 'VPMU_COUNTER_STARVED'))
        self.finish_all(guest)
        self.check_account(vm)

    def user_counts(self, vm):
        '''
        What is counted of user mode, at one and the same moment: for each CPU
        (side, event) -> value.  Linux may put an event on another counter, but
        its value goes on.
        '''
        vm.cmd('stop')
        info = self.picture(vm)
        vm.cmd('cont')
        return [{(side, counter['event']['name']): counter['value']
                 for side, counters in (
                     ('guest', [counter for counter in cpu['counters']
                                if counter['enabled']]),
                     ('host', cpu['host-counters']))
                 for counter in counters if not counter['kernel']}
                for cpu in info['cpus']]

    def samples(self, guest, event, period, program):
        '''How many samples perf takes of a program'''
        guest.run(f'perf record -q -c {period} -e {event} -o /tmp/data '
                  f'{program} 2>&1')
        return len(guest.run('perf script -i /tmp/data -F ip').split())

    def test_starvation(self):
        '''
        Counters that are taken from the guest stand still, and count on when
        they come back
        '''
        vm, guest = self.boot_with('pmu-visible=all', 'pmu-host-gp=2',
                                   args=('-smp', '2'))
        # The first one is fixed, then GP 0 to 5, all of the second CPU
        events = ','.join(['instructions:u'] * 7)
        guest.run(f"{ALL} -C 1 -e '{{{events}}}' sleep 100000 & sleep 1")
        taken = [('gp', index) for index in range(2, 6)]
        gone = [('gp', index) for index in range(2, 8)]
        kept = [('gp', 0), ('gp', 1), ('fixed', 0)]
        work = 'taskset 2 ftest 200000; taskset 1 loop; taskset 2 calls'
        guest.run(work)

        paths = self.paths(vm, 1)
        for counter in kept + taken:
            self.assertEqual(paths[counter], 'fast')
        self.events(vm, 'VPMU_RESERVATION_CHANGED')
        message = self.refused(vm, 'vpmu-reserve-host-counters', gp=6)
        self.log.info(message)
        self.assertIn('CPU 1 counts with gp 2, gp 3, gp 4, gp 5;', message)
        self.assertNotIn('CPU 0', message)
        self.assertEqual(self.paths(vm, 1), paths)
        self.assertFalse(self.events(vm, 'VPMU_RESERVATION_CHANGED'))

        # With force
        self.assertEqual(self.stats(vm)[1]['starved-ns'], 0)
        vm.cmd('stop')
        first = self.values(vm)[1][0]
        answer = self.reserve(vm, 6, force=True)
        begin = time.monotonic()
        self.assertEqual(answer['reserved'], {'gp': 6, 'fixed': []})
        self.assertEqual(identify(answer['counters']), gone)
        self.assertEqual([(cpu['cpu-index'], identify(cpu['counters']))
                          for cpu in answer['displaced']], [(1, taken)])
        self.assertEqual(self.events(vm, 'VPMU_RESERVATION_CHANGED'),
                         [{'reserved': {'gp': 6, 'fixed': []}}])
        self.assertEqual(self.events(vm, 'VPMU_COUNTER_STARVED'),
                         answer['displaced'])
        self.assertEqual(self.values(vm)[1][0], first)
        self.assertEqual(self.paths(vm, 1), paths | dict.fromkeys(
            taken, 'starved'))
        # No virtual time has passed
        self.assertEqual(self.stats(vm)[1]['starved-ns'], 0)
        vm.cmd('cont')
        guest.run(work)
        self.assertIn('starved', vm.cmd('human-monitor-command',
                                        **{'command-line': 'info vpmu'}))

        # The way back
        vm.cmd('stop')
        second = self.values(vm)[1][0]
        starved = self.stats(vm)[1]['starved-ns']
        self.assertGreater(starved, 0)
        self.assertLess(starved, 4 * 1e9 * (time.monotonic() - begin))
        self.assertEqual(starved % 4, 0, 'the same for each of them')
        answer = self.reserve(vm, 2)
        self.assertEqual(answer['displaced'], [])
        self.assertEqual(self.events(vm, 'VPMU_RESERVATION_CHANGED'),
                         [{'reserved': {'gp': 2, 'fixed': []}}])
        self.assertEqual(self.values(vm)[1][0], second)
        self.assertEqual(self.paths(vm, 1), paths)
        vm.cmd('cont')
        guest.run(work)
        vm.cmd('stop')
        third = self.values(vm)[1][0]
        self.assertEqual(self.stats(vm)[1]['starved-ns'], starved)
        self.assertEqual(self.stats(vm)[0]['starved-ns'], 0)
        vm.cmd('cont')

        missed = second['fixed', 0] - first['fixed', 0]
        counted = third['fixed', 0] - second['fixed', 0]
        self.log.info(f'missed {missed} in {starved / 4e9} s, then '
                      f'counted {counted}')
        self.assertGreater(missed, 0)
        self.assertGreater(counted, 0)
        for counter in kept + taken:
            starving = counter in taken
            self.assertEqual(second[counter] - first[counter],
                             0 if starving else missed, counter)
            self.assertEqual(third[counter] - second[counter], counted,
                             counter)
        # It is what perf says, too
        counts = self.finish_all(guest)
        self.assertEqual(counts, [counts[0]] * 3 + [counts[0] - missed] * 4)
        self.check_account(vm)

    def test_cross_mapped(self):
        '''
        A guest whose counters are all backed by others does not notice
        '''
        vm, guest = self.boot_with('pmu-host-gp=4', 'pmu-host-order=low',
                                   args=('-smp', '2'))
        log = guest.run('dmesg')
        for line in ('generic registers: +4', 'fixed-purpose events: +3',
                     'event mask: +000000070000000f'):
            self.assertRegex(log, r'\.\.\. ' + line)
        self.assertNotRegex(log, 'Broken PMU|BIOS bug|unchecked MSR|'
                                 'disabling PMU|Call Trace')
        self.slots = 3
        self.check_alone_and_beside_busy(guest)
        branches = guest.expected()['loop']['branches']
        self.assertEqual(self.samples(guest, 'branches:u', 10007, 'loop'),
                         branches // 10007)
        guest.run('perf record -q -c 100003 -e branches:u -o /tmp/data '
                  'ftest 300000 2>&1')
        self.assertRegex(guest.run('perf report --stdio -i /tmp/data '
                                   '2>/dev/null'), r'%.* ftest .* qux')

        guest.run(f"{ALL} -e '{{branches,branches:u,branches:k,"
                  "cpu/event=0xd0,umask=0x81/}' sleep 100000 & sleep 1")
        for cpu in self.picture(vm)['cpus']:
            self.assertEqual({counter['index']: (counter['path'],
                                                 counter['physical-index'])
                              for counter in cpu['counters']
                              if counter['type'] == 'gp'},
                             {index: ('slow', 7 - index)
                              for index in range(4)})
        guest.run('loop; calls')
        both, user, kernel, _ = self.finish_all(guest)
        self.assertEqual(both, user + kernel)

    def test_moves(self):
        '''Counters that move while they count lose nothing'''
        vm, guest = self.boot_with('pmu-host-gp=4', 'pmu-host-order=low',
                                   args=('-smp', '2'))
        self.kill_later(vm, 300)
        expected = guest.expected()
        want = []
        commands = []
        events = ['instructions', 'branches', 'near_taken']
        for program in ('loop', 'calls', 'branches') * 3:
            want += [expected[program][event] for event in events]
            commands += [f'{STAT} -e instructions:u,branches:u,'
                         f'cpu/event=0xc4,umask=0x20/u {program} 2>&1',
                         'perf record -q -c 5003 -e branches:u -o /tmp/data '
                         'loop 2>&1',
                         'echo samples $(perf script -i /tmp/data -F ip | '
                         'wc -l)']
        chance = random.Random(1)
        guest.start('; '.join(commands))
        turns = 0
        # What the guest sees is free at any time: this never fails
        while not guest.has_finished():
            self.reserve(vm, chance.randrange(5))
            self.picture(vm)
            turns += 1
        output = guest.finish()
        figures = self.stats(vm)
        self.log.info(f'{turns} reservations: {figures}')
        self.assertEqual(parse_stat(output), want)
        samples = expected['loop']['branches'] // 5003
        self.assertEqual(output.count(f'samples {samples}\n'), 9, output)
        self.assertGreater(sum(cpu['moves'] for cpu in figures), 0)
        for cpu in figures:
            self.assertEqual(cpu['starved-ns'], 0)
        self.check_account(vm)

    def test_flat_out(self):
        '''All commands while all CPUs run, a thread for each'''
        vm, guest = self.boot_with('pmu-visible=all', watchdog=False,
                                   args=('-smp', '2', '-accel',
                                         'tcg,thread=multi'))
        self.kill_later(vm, 300)
        loop = guest.expected()['loop']['instructions']
        guest.run(f"{ALL} -e branches -e branches:u -e branches:k "
                  "-e branches:u -e branches:k sleep 100000 & sleep 1")
        for cpu in range(2):
            guest.run(f'while [ ! -e /tmp/stop ]; do taskset {1 << cpu} '
                      f'{STAT} {FIXED} -o /tmp/{cpu} --append loop; done &')
        chance = random.Random(1)
        slowest = 0
        done = dict.fromkeys(('reserve', 'refused', 'count', 'stats'), 0)
        last = self.stats(vm)
        for _ in range(300):
            begin = time.monotonic()
            what = chance.choice(('reserve', 'reserve', 'count', 'stats'))
            if what == 'reserve':
                gp = chance.randrange(9)
                force = chance.random() < 0.5
                before = self.picture(vm)['reserved']
                answer = vm.qmp('vpmu-reserve-host-counters',
                                {'gp': gp, 'force': force})
                if 'error' in answer:
                    what = 'refused'
                    self.assertFalse(force)
                    self.assertEqual(self.picture(vm)['reserved'], before)
                else:
                    self.assertEqual(self.picture(vm)['reserved']['gp'], gp)
            elif what == 'count':
                for index in range(8):
                    event = chance.choice(('instructions', 'branches'))
                    answer = vm.qmp('vpmu-host-counter-set', {
                        'type': 'gp', 'index': index, 'event': event})
                    reserved = identify(
                        self.picture(vm)['cpus'][0]['host-counters'])
                    self.assertEqual('return' in answer,
                                     ('gp', index) in reserved)
            else:
                figures = self.stats(vm)
                for old, new in zip(last, figures):
                    self.assertGreaterEqual(min(difference(old, new).values()),
                                            0)
                last = figures
            done[what] += 1
            slowest = max(slowest, time.monotonic() - begin)
        self.log.info(f'{done}, the slowest took {slowest} s, {last}')
        self.assertGreater(min(done.values()), 10)
        for cpu in last:
            self.assertGreater(cpu['starved-ns'], 0)
            self.assertGreater(cpu['evictions'], 0)

        self.reserve(vm, 0)
        guest.run('touch /tmp/stop; killall sleep; wait')
        for cpu in range(2):
            counts = parse_stat(guest.run(f'cat /tmp/{cpu}'))
            self.assertGreater(len(counts), 10)
            self.assertEqual(set(counts), {loop})
        self.check_account(vm)

    def test_hotplug(self):
        '''A plugged CPU has the reservation and the operator's counters'''
        vm, guest = self.boot_with('pmu-visible=all', 'pmu-host-gp=1',
                                   args=('-smp', '1,maxcpus=2'))
        self.reserve(vm, 2, fixed=[2])
        self.host_count(vm, 7, 'instructions', kernel=False)
        self.host_count(vm, 6, 'branches', user=False)
        self.plug_cpu(vm, guest)
        for cpu in self.picture(vm)['cpus']:
            self.assertEqual(
                [(counter['type'], counter['index'],
                  counter.get('event', {}).get('name'), counter['user'],
                  counter['kernel']) for counter in cpu['host-counters']],
                [('gp', 6, 'branches', False, True),
                 ('gp', 7, 'instructions', True, False),
                 ('fixed', 2, None, False, False)])

        guest.run(f'{ALL} -C 1 -e instructions:u sleep 100000 & sleep 1')
        vm.cmd('stop')
        before = self.values(vm)[1]
        vm.cmd('cont')
        loop = guest.expected()['loop']['instructions']
        self.assertEqual(parse_stat(guest.run(
            f'taskset 2 {STAT} -e instructions:u loop 2>&1')), [loop])
        vm.cmd('stop')
        mine, host = (difference(*both)
                      for both in zip(before, self.values(vm)[1]))
        vm.cmd('cont')
        self.assertGreater(mine['fixed', 0], loop)
        self.assertEqual(mine['fixed', 0], host['gp', 7])
        self.assertGreater(host['gp', 6], 0)


if __name__ == '__main__':
    VpmuTest.main()
