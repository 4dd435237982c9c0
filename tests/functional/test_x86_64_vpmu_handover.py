#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Counters that are handed over one by one, with Linux and perf in the guest.

The guest's counts must not depend on which physical counters it has, and the
counts that the operator takes beside it must be just as exact.
'''

import random
import time

from vpmu_guest import RECORD, STAT, Shell, parse_stat
from vpmu_test import VpmuTest, identify

# An instruction takes a nanosecond
ICOUNT = ('-icount', 'shift=0,sleep=off')

# The watchdog would use the fixed counter for cycles
NO_WATCHDOG = 'nmi_watchdog=0'

# Without the watchdog, these events get the three fixed counters
FIXED = '-e instructions:u,cycles:u,ref-cycles:u'

# The period of samples of a program with a known number of branches
PERIOD = 10007


def difference(before, after):
    '''The increase of each value, for two dictionaries with the same keys'''
    return {key: after[key] - before[key] for key in after}


class X86VpmuHandover(VpmuTest):

    # QMP events that no call of events() has returned yet
    pending = []

    def boot_with(self, *features, args=(), watchdog=True):
        return self.boot(*args, cmdline=Shell.APPEND if watchdog else
                         f'{Shell.APPEND} {NO_WATCHDOG}',
                         features=('pmu-passthrough=on', *features))

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
        # The events that have been emitted so far arrive before this answer
        vm.cmd('query-status')
        self.pending = self.pending + vm.get_qmp_events()
        found = [event for event in self.pending if event['event'] == name]
        self.pending = [event for event in self.pending
                        if event['event'] != name]
        return [event['data'] for event in found]

    def start_all(self, guest, options):
        '''Starts a measurement of all processes, up to finish_all()'''
        # perf executes its program when the counters are on, which can take
        # seconds on a busy host
        guest.run(f"perf stat -a -x ';' -o /tmp/all {options} sleep 100000 & "
                  'until pidof sleep; do sleep 0.2; done; sleep 1')

    def finish_all(self, guest):
        '''Ends the measurement of start_all(); returns its counts'''
        return parse_stat(guest.run('killall sleep; wait; cat /tmp/all'))

    def check_account(self, vm):
        '''The counters that a vCPU holds must agree with its statistics'''
        with self.stopped(vm):
            for cpu, stats in zip(self.picture(vm)['cpus'], self.stats(vm)):
                held = [counter for counter in cpu['counters']
                        if 'physical-index' in counter]
                self.assertEqual(len(held),
                                 stats['hand-overs'] - stats['lazy-releases'] -
                                 stats['evictions'], stats)

    # Hand-overs

    def test_once(self):
        '''
        Thousands of context switches cost one hand-over for each counter, if
        no counter is unused for a slice
        '''
        vm, guest = self.boot_with('pmu-slice-ms=1000', watchdog=False,
                                   args=('-smp', '2', *ICOUNT))
        self.check_once(vm, guest, 0, 800000, 2000)
        self.check_once(vm, guest, 1, 100000, 200)
        self.check_account(vm)

    def check_once(self, vm, guest, cpu, turns, switches):
        '''
        On this CPU, so many turns of ftest bring more than so many context
        switches, and one hand-over for each of three counters
        '''
        expected = guest.expected()['loop']
        expected = [expected['branches'], expected['instructions'],
                    expected['instructions']]
        stat = f'{STAT} -e branches:u,cycles:u,instructions:u'
        prefix = f'taskset {1 << cpu}'
        ftest = f'{prefix} {stat} -e context-switches ftest {turns} 2>&1'
        *alone, _ = parse_stat(guest.run(ftest))
        # The second one preempts the counted program again and again
        guest.run(f'{prefix} busy & {prefix} busy 20 & sleep 3')
        before = self.stats(vm)
        *beside, switched = parse_stat(guest.run(ftest))
        self.assertEqual(beside, alone)
        self.assertGreater(switched, switches)
        for _ in range(3):
            self.assertEqual(parse_stat(guest.run(
                f'{prefix} {stat} loop 2>&1')), expected)
        stats = [difference(*both) for both in zip(before, self.stats(vm))]
        guest.run('killall busy')
        self.log.info(f'CPU {cpu}: {switched} switches: {stats[cpu]}')

        self.assertEqual(stats[cpu]['hand-overs'], 3)
        self.assertGreater(stats[cpu]['reuses'], 3 * switches)
        for name in 'lazy-releases', 'moves', 'evictions', 'starved-ns':
            self.assertEqual(stats[cpu][name], 0, name)
        # One write enables all three counters
        self.assertEqual(stats[cpu]['control-writes-reprogrammed'], 1)
        self.assertEqual(stats[1 - cpu]['hand-overs'], 0)

    def test_once_an_absence(self):
        '''Without icount, a counter is handed over after each longer pause'''
        vm, guest = self.boot_with('pmu-slice-ms=1000', watchdog=False)
        guest.run('busy & busy 100 & sleep 2')
        before = self.stats(vm)[0]
        begin = time.monotonic()
        for _ in range(3):
            guest.run(f'{STAT} -e branches,cycles,instructions '
                      'ftest 1000000 2>&1; sleep 2')
        stats = difference(before, self.stats(vm)[0])
        seconds = int(time.monotonic() - begin)
        self.log.info(f'{seconds} s: {stats}')

        # Each of the three sleeps releases three counters, and a slice is a
        # second
        self.assertGreaterEqual(stats['lazy-releases'], 3 * 3)
        self.assertLessEqual(stats['lazy-releases'], 3 * seconds)
        # No counter was held before, and none is held now
        self.assertEqual(stats['hand-overs'], stats['lazy-releases'])
        self.assertEqual(stats['evictions'], 0)
        self.assertGreater(stats['reuses'], 100)
        self.check_account(vm)

    # Reservation

    def test_beside_the_operator(self):
        '''Guest and operator measure the same CPUs, both of them exactly'''
        vm, guest = self.boot_with('pmu-visible=all', 'pmu-host-gp=2',
                                   args=('-smp', '2'))
        self.host_count(vm, 7, 'instructions', kernel=False)
        self.host_count(vm, 6, 'branches', kernel=False)
        self.start_all(guest, "-e '{instructions:u,branches:u}'")
        before_stats = self.stats(vm)
        before = self.user_counts(vm)

        # The guest has six general-purpose counters.  The measurement of all
        # processes and the watchdog use one of them and two fixed counters.
        self.slots = 3
        self.check_counts(guest, 'beside the operator', repeat=1)
        self.check_samples(guest)

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
        The values of all counters of user mode at the same moment: for each
        CPU (side, event) -> value.  Linux may move an event to another
        counter, but the value moves with it.
        '''
        with self.stopped(vm):
            info = self.picture(vm)
        return [{(side, counter['event']['name']): counter['value']
                 for side, counters in (
                     ('guest', [counter for counter in cpu['counters']
                                if counter['enabled']]),
                     ('host', cpu['host-counters']))
                 for counter in counters if not counter['kernel']}
                for cpu in info['cpus']]

    def check_samples(self, guest):
        '''perf takes a sample for each period of branches'''
        guest.run(f'{RECORD} -c {PERIOD} -e branches:u -o /tmp/data loop '
                  '2>&1')
        samples = guest.run('perf script -i /tmp/data -F ip').split()
        branches = guest.expected()['loop']['branches']
        self.assertEqual(len(samples), branches // PERIOD)

    # The counters of test_starvation: those that the host has from the
    # beginning, those that it takes, and those that the guest keeps
    RESERVED = [('gp', index) for index in range(6, 8)]
    TAKEN = [('gp', index) for index in range(2, 6)]
    KEPT = [('gp', 0), ('gp', 1), ('fixed', 0)]

    def test_starvation(self):
        '''
        Counters that are taken from the guest stand still, and count on when
        they come back
        '''
        vm, guest = self.boot_with('pmu-visible=all', 'pmu-host-gp=2',
                                   args=('-smp', '2'))
        # On the second CPU only.  perf uses the fixed counter, then GP 0 to 5.
        events = ','.join(['instructions:u'] * 7)
        self.start_all(guest, f"-C 1 -e '{{{events}}}'")
        work = 'taskset 2 ftest 200000; taskset 1 loop; taskset 2 calls'
        guest.run(work)
        paths = self.paths(vm, 1)
        for counter in self.KEPT + self.TAKEN:
            self.assertEqual(paths[counter], 'fast')
        self.check_refusal(vm, paths)

        with self.stopped(vm):
            first = self.values(vm)[1][0]
            self.take_by_force(vm, first, paths)
            begin = time.monotonic()
        guest.run(work)
        self.assertIn('starved', self.info_vpmu(vm))
        with self.stopped(vm):
            second = self.values(vm)[1][0]
            starved = self.stats(vm)[1]['starved-ns']
            self.assertGreater(starved, 0)
            self.assertLess(starved, 4 * 1e9 * (time.monotonic() - begin))
            self.assertEqual(starved % 4, 0, 'the same for each of them')
            self.give_back(vm, second, paths)
        guest.run(work)
        with self.stopped(vm):
            third = self.values(vm)[1][0]
            self.assertEqual([cpu['starved-ns'] for cpu in self.stats(vm)],
                             [0, starved])

        missed = self.check_missed(first, second, third)
        # perf in the guest must have missed the same number
        counts = self.finish_all(guest)
        self.assertEqual(counts, [counts[0]] * 3 + [counts[0] - missed] * 4)
        self.check_account(vm)

    def check_refusal(self, vm, paths):
        '''Without force, the host does not get counters that are in use'''
        self.events(vm, 'VPMU_RESERVATION_CHANGED')
        message = self.refused(vm, 'vpmu-reserve-host-counters', gp=6)
        self.log.info(message)
        self.assertIn('CPU 1 counts with gp 2, gp 3, gp 4, gp 5;', message)
        self.assertNotIn('CPU 0', message)
        self.assertEqual(self.paths(vm, 1), paths)
        self.assertFalse(self.events(vm, 'VPMU_RESERVATION_CHANGED'))
        self.assertEqual(self.stats(vm)[1]['starved-ns'], 0)

    def take_by_force(self, vm, values, paths):
        '''With force, the host gets them, and the guest's values stay'''
        answer = self.reserve(vm, 6, force=True)
        self.assertEqual(answer['reserved'], {'gp': 6, 'fixed': []})
        self.assertEqual(identify(answer['counters']),
                         self.TAKEN + self.RESERVED)
        self.assertEqual([(cpu['cpu-index'], identify(cpu['counters']))
                          for cpu in answer['displaced']], [(1, self.TAKEN)])
        self.assertEqual(self.events(vm, 'VPMU_RESERVATION_CHANGED'),
                         [{'reserved': {'gp': 6, 'fixed': []}}])
        self.assertEqual(self.events(vm, 'VPMU_COUNTER_STARVED'),
                         answer['displaced'])
        self.assertEqual(self.values(vm)[1][0], values)
        self.assertEqual(self.paths(vm, 1), paths | dict.fromkeys(
            self.TAKEN, 'starved'))
        # No virtual time has passed
        self.assertEqual(self.stats(vm)[1]['starved-ns'], 0)

    def give_back(self, vm, values, paths):
        '''The guest gets the counters that it had before'''
        answer = self.reserve(vm, 2)
        self.assertEqual(answer['displaced'], [])
        self.assertEqual(self.events(vm, 'VPMU_RESERVATION_CHANGED'),
                         [{'reserved': {'gp': 2, 'fixed': []}}])
        self.assertEqual(self.values(vm)[1][0], values)
        self.assertEqual(self.paths(vm, 1), paths)

    def check_missed(self, first, second, third):
        '''
        The counters that the host took stood still between the first two of
        these sets of values, and no counter did so between the last two.
        Returns how many events were missed.
        '''
        missed = second['fixed', 0] - first['fixed', 0]
        counted = third['fixed', 0] - second['fixed', 0]
        self.log.info(f'missed {missed}, then counted {counted}')
        self.assertGreater(missed, 0)
        self.assertGreater(counted, 0)
        for counter in self.KEPT + self.TAKEN:
            self.assertEqual(second[counter] - first[counter],
                             0 if counter in self.TAKEN else missed, counter)
            self.assertEqual(third[counter] - second[counter], counted,
                             counter)
        return missed

    def test_cross_mapped(self):
        '''A guest does not notice that all its counters are cross-mapped'''
        vm, guest = self.boot_with('pmu-host-gp=4', 'pmu-host-order=low',
                                   args=('-smp', '2'))
        self.check_probe(guest.run('dmesg'),
                         'generic registers: +4',
                         'fixed-purpose events: +3',
                         'event mask: +000000070000000f')
        self.slots = 3
        self.check_alone_and_beside_busy(guest)
        self.check_samples(guest)
        guest.run('perf record -q -c 100003 -e branches:u -o /tmp/data '
                  'ftest 300000 2>&1')
        self.assertRegex(guest.run('perf report --stdio -i /tmp/data '
                                   '2>/dev/null'), r'%.* ftest .* qux')

        self.start_all(guest, "-e '{branches,branches:u,branches:k,"
                              "cpu/event=0xd0,umask=0x81/}'")
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
        '''Counters that move while they count lose no event'''
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
                         f'{RECORD} -c 5003 -e branches:u -o /tmp/data loop '
                         '2>&1',
                         'echo samples $(perf script -i /tmp/data -F ip | '
                         'wc -l)']
        chance = random.Random(1)
        guest.start('; '.join(commands))
        turns = 0
        # This never fails, because the guest sees only four counters
        while not guest.has_finished():
            self.reserve(vm, chance.randrange(5))
            self.picture(vm)
            turns += 1
        output = guest.finish()
        stats = self.stats(vm)
        self.log.info(f'{turns} reservations: {stats}')
        self.assertEqual(parse_stat(output), want)
        samples = expected['loop']['branches'] // 5003
        self.assertEqual(output.count(f'samples {samples}\n'), 9, output)
        self.assertGreater(sum(cpu['moves'] for cpu in stats), 0)
        for cpu in stats:
            self.assertEqual(cpu['starved-ns'], 0)
        self.check_account(vm)

    def test_flat_out(self):
        '''All commands while all CPUs run, each in a thread of its own'''
        vm, guest = self.boot_with('pmu-visible=all', watchdog=False,
                                   args=('-smp', '2', '-accel',
                                         'tcg,thread=multi'))
        self.kill_later(vm, 300)
        loop = guest.expected()['loop']['instructions']
        self.start_all(guest, '-e branches -e branches:u -e branches:k '
                              '-e branches:u -e branches:k')
        for cpu in range(2):
            guest.run(f'while [ ! -e /tmp/stop ]; do taskset {1 << cpu} '
                      f'{STAT} {FIXED} -o /tmp/{cpu} --append loop; done &')
        for cpu in self.operate(vm, turns=300):
            self.assertGreater(cpu['starved-ns'], 0)
            self.assertGreater(cpu['evictions'], 0)

        self.reserve(vm, 0)
        guest.run('touch /tmp/stop; killall sleep; wait')
        for cpu in range(2):
            counts = parse_stat(guest.run(f'cat /tmp/{cpu}'))
            self.assertGreater(len(counts), 10)
            self.assertEqual(set(counts), {loop})
        self.check_account(vm)

    def operate(self, vm, turns):
        '''Executes random commands; returns the last statistics'''
        chance = random.Random(1)
        slowest = 0
        done = dict.fromkeys(('reserve', 'refused', 'count', 'stats'), 0)
        last = self.stats(vm)
        for _ in range(turns):
            begin = time.monotonic()
            command = chance.choice(('reserve', 'reserve', 'count', 'stats'))
            if command == 'reserve':
                command = self.reserve_at_random(vm, chance)
            elif command == 'count':
                self.count_at_random(vm, chance)
            else:
                stats = self.stats(vm)
                for old, new in zip(last, stats):
                    self.assertGreaterEqual(min(difference(old, new).values()),
                                            0)
                last = stats
            done[command] += 1
            slowest = max(slowest, time.monotonic() - begin)
        self.log.info(f'{done}, the slowest took {slowest} s, {last}')
        self.assertGreater(min(done.values()), 10)
        return last

    def reserve_at_random(self, vm, chance):
        '''Tries to reserve counters; returns "reserve" or "refused"'''
        gp = chance.randrange(9)
        force = chance.random() < 0.5
        before = self.picture(vm)['reserved']
        answer = vm.qmp('vpmu-reserve-host-counters',
                        {'gp': gp, 'force': force})
        after = self.picture(vm)['reserved']
        if 'error' in answer:
            self.assertFalse(force)
            self.assertEqual(after, before)
            return 'refused'
        self.assertEqual(after['gp'], gp)
        return 'reserve'

    def count_at_random(self, vm, chance):
        '''Tries to count with each counter; only a reserved one can do so'''
        for index in range(8):
            event = chance.choice(('instructions', 'branches'))
            answer = vm.qmp('vpmu-host-counter-set', {
                'type': 'gp', 'index': index, 'event': event})
            reserved = identify(self.picture(vm)['cpus'][0]['host-counters'])
            self.assertEqual('return' in answer, ('gp', index) in reserved)

    def test_hotplug(self):
        '''The reservation and the operator's counters extend to a new CPU'''
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

        self.start_all(guest, '-C 1 -e instructions:u')
        with self.stopped(vm):
            before = self.values(vm)[1]
        loop = guest.expected()['loop']['instructions']
        self.assertEqual(parse_stat(guest.run(
            f'taskset 2 {STAT} -e instructions:u loop 2>&1')), [loop])
        with self.stopped(vm):
            own, host = (difference(*both)
                         for both in zip(before, self.values(vm)[1]))
        self.assertGreater(own['fixed', 0], loop)
        self.assertEqual(own['fixed', 0], host['gp', 7])
        self.assertGreater(host['gp', 6], 0)


if __name__ == '__main__':
    VpmuTest.main()
