#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
A Linux guest with four CPUs measures for a long time what it knows, while an
operator takes counters and gives them back, while CPUs come and go, and between
resets.  All counts and samples are exact, the kernel has nothing to complain
about, and the memory of the emulator stays flat.  "make soak" runs this; it is
no part of "make check".

Environment:

VPMU_SOAK_SECONDS  how long (default 1800; 180 at least)
VPMU_SEED          what is done by chance (default: printed)
'''

import os
import random
import statistics
import threading
import time
from pathlib import Path

from vpmu_guest import Counting, Shell
from vpmu_test import (LOADED, STORED, TROUBLE, Monitor, VpmuTest)

SECONDS = int(os.environ.get('VPMU_SOAK_SECONDS', '1800'))

SEED = int(os.environ.get('VPMU_SEED', random.randrange(1 << 16)))

# The operator may have four counters, and the guest sees the others.
SPARE = 4
PROGRAM = 'branches'
# Four laps between two resets
LAPS = 4
PERIOD = 101
LOADS = 'cpu/event=0xd0,umask=0x81/pp'
STORES = 'cpu/event=0xd0,umask=0x82/pp'

# QEMU's TCG aborts when more CPUs than these have been plugged in, one after
# the other; each keeps a part of the buffer of translated code.
MAX_CPUS = 16
TB_SIZE = 64

# By how much the emulator's memory may grow in the second half, in MiB
GROWTH = 8

# An interrupt that nobody wanted, and one that comes again and again
COMPLAINTS = f'Uhhuh|unknown reason|irq loop stuck|Dazed|lockup|{TROUBLE}'


class Operator(threading.Thread):
    '''Takes counters and gives them back until told to stop'''

    def __init__(self, test, path):
        super().__init__()
        self.test = test
        self.monitor = Monitor(path)
        self.calls = 0
        self.error = None
        self.ended = threading.Event()

    def run(self):
        try:
            while not self.ended.wait(0.05):
                answer = self.monitor.call('vpmu-reserve-host-counters',
                                           gp=random.randint(0, SPARE))
                assert 'return' in answer, answer
                info = self.monitor.call('query-vpmu')['return']
                self.test.check_picture(info)
                self.calls += 1
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def stop(self):
        self.ended.set()
        self.join()
        self.monitor.close()
        if self.error:
            raise self.error


class Minutes:
    '''What has been done, and the emulator's memory, for each minute'''

    HEAD = ('minute', 'laps', 'counts', 'samples', 'calls', 'CPUs', 'resets',
            'MiB median', 'max')

    def __init__(self):
        self.start = time.monotonic()
        self.memory = []
        self.done = dict.fromkeys(self.HEAD[1:7], 0)
        self.medians = []
        self.row(self.HEAD)

    def row(self, cells):
        print('# ' + ' '.join(f'{cell:>10}' for cell in cells), flush=True)

    def add(self, **what):
        for name, times in what.items():
            self.done[name] += times

    def note(self, mebibytes):
        '''Notes what memory the emulator has; prints each full minute'''
        self.memory.append(mebibytes)
        if time.monotonic() - self.start >= 60 * (len(self.medians) + 1):
            self.end_minute()

    def end_minute(self):
        self.medians.append(statistics.median(self.memory))
        self.row([len(self.medians), *self.done.values(),
                  f'{self.medians[-1]:.1f}', f'{max(self.memory):.1f}'])
        self.memory = []


class Soak(VpmuTest):

    slots = SPARE - 1
    plugged = 0

    def boot_soaked(self):
        path = f'{self.socket_dir().name}/monitor'
        self.emulator, self.guest = self.boot(
            '-smp', f'4,maxcpus={MAX_CPUS}',
            # All of the guest's memory is there from the beginning.
            '-object', 'memory-backend-ram,id=ram,size=512M,prealloc=on',
            '-machine', 'memory-backend=ram',
            '-qmp', f'unix:{path},server=on,wait=off',
            features=('pmu-passthrough=on', f'pmu-host-gp={SPARE}',
                      'pmu-host-order=low'),
            cmdline=f'{Shell.APPEND} possible_cpus=5',
            accel=f'tcg,thread=multi,tb-size={TB_SIZE}')
        self.emulator.cmd('set-action', reboot='reset')
        return path

    def memory(self):
        '''
        What the emulator has of the machine's memory, in MiB, without the
        buffer of translated code, which fills slowly and is then emptied
        '''
        size, counts = 0, True
        smaps = Path(f'/proc/{self.emulator.get_pid()}/smaps').read_text()
        for line in smaps.splitlines():
            words = line.split()
            if '-' in words[0]:
                counts = not words[1].startswith('rwx')
            elif words[0] == 'Rss:' and counts:
                size += int(words[1])
        return size / 1024

    # What is measured

    def start_counting(self):
        '''Processes count a program until finish_counting()'''
        declared = set(self.guest.expected()[PROGRAM])
        events = sorted(declared - {'instructions'})[:SPARE - 1]
        self.counting = Counting(self.guest, PROGRAM, events)

    def finish_counting(self):
        self.minutes.add(counts=self.counting.finish() * (SPARE - 1))

    def measure(self):
        '''perf stat and perf record, beside nothing else'''
        programs = sorted(set(self.guest.expected()) - {'marathon'})
        self.check_counts(self.guest, 'in the long run', repeat=2,
                          programs=random.sample(programs, 2))
        for event, offsets in (LOADS, LOADED), (STORES, STORED):
            samples = self.samples(self.guest, event, 'memory', PERIOD)
            self.check_accesses(samples, offsets, PERIOD)
            self.minutes.add(samples=len(samples))

    # CPUs that come and go

    def switch_cpus(self):
        '''The guest switches CPUs off and on; never the first one'''
        for cpu in random.sample(range(1, 4), 2):
            online = f'/sys/devices/system/cpu/cpu{cpu}/online'
            self.guest.run(f'echo 0 > {online}; sleep 0.2; echo 1 > {online}')
            self.minutes.add(CPUs=1)

    def fifth_slot(self):
        slots = self.emulator.cmd('query-hotpluggable-cpus')
        return sorted(slots, key=lambda slot: slot['props']['core-id'])[4]

    def replug_cpu(self):
        '''A fifth CPU is plugged in, counts, and is taken away'''
        self.plugged += 1
        name = f'fifth-{self.plugged}'
        slot = self.fifth_slot()
        self.emulator.cmd('device_add', id=name, driver=slot['type'],
                         **slot['props'])
        cpu = '/sys/devices/system/cpu/cpu4'
        self.guest.run(f'until [ -e {cpu}/online ]; do sleep 0.1; done; '
                       f'echo 1 > {cpu}/online')
        self.check_counts(self.guest, 'on the fifth CPU', programs=['calls'],
                          prefix='taskset 16', repeat=1)
        self.emulator.cmd('device_del', id=name)
        self.wait_until(lambda: 'qom-path' not in self.fifth_slot())
        self.minutes.add(CPUs=1)

    def check_log(self):
        log = self.guest.run('dmesg')
        self.assertNotRegex(log, COMPLAINTS)

    def lap(self):
        self.start_counting()
        self.switch_cpus()
        self.minutes.note(self.memory())
        self.finish_counting()
        self.measure()
        self.minutes.note(self.memory())
        if self.plugged < MAX_CPUS - 4:
            self.replug_cpu()
        self.check_log()
        self.minutes.note(self.memory())
        self.minutes.add(laps=1)

    def reset(self):
        '''A reset while all CPUs count'''
        self.start_counting()
        self.emulator.cmd('system_reset')
        self.guest.wait_ready()
        self.minutes.add(resets=1)

    def test_soak(self):
        random.seed(SEED)
        print(f'# seed {SEED}', flush=True)
        path = self.boot_soaked()
        self.minutes = Minutes()
        operator = Operator(self, path)
        operator.start()
        self.addCleanup(operator.ended.set)
        deadline = time.monotonic() + SECONDS
        laps = 0
        while time.monotonic() < deadline:
            if laps and laps % LAPS == 0:
                self.reset()
            self.lap()
            laps += 1
            self.minutes.done['calls'] = operator.calls
            self.assertIsNone(operator.error)
        operator.stop()
        self.minutes.end_minute()
        half = self.minutes.medians[len(self.minutes.medians) // 2:]
        self.assertGreater(len(half), 1, 'too short to say something of memory')
        self.assertLessEqual(max(half), min(half) + GROWTH)


if __name__ == '__main__':
    VpmuTest.main()
