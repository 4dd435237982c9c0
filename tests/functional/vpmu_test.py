# SPDX-License-Identifier: GPL-2.0-or-later
'''
The functional tests of the virtual PMU share this module: it boots the guest
that tests/guest/build-image builds, compares counts of perf with those that the
guest's programs declare, and asks the emulator as an operator would.

Environment:

VPMU_KERNEL, VPMU_INITRD  the guest
VPMU_REPEAT               how often each count is repeated (default 3); it must
                          be exact every time
'''

import contextlib
import json
import os
import signal
import socket
import threading
import time

from qemu_test import LinuxKernelTest
from vpmu_guest import (RECORD, STAT, SerialLine, Shell, cpu_model, parse_stat,
                        perf_events)
from vpmu_operator import counter_set, identify

REPEAT = int(os.environ.get('VPMU_REPEAT', '3'))

# The loop of the program "memory": the number of its turns, and the loads and
# stores of a turn, as offsets from the first one.  The last access is to the
# stack.
TURNS = 100000
LOADED = (0, 8, 24, None)
STORED = (0, 8, None)

# How Linux says that it found something wrong with the PMU
TROUBLE = 'Broken PMU|BIOS bug|unchecked MSR|disabling PMU|Call Trace'


class Monitor:
    '''
    Another monitor of a machine, at the socket @path: for another thread, or
    for somebody who does what a library would not
    '''

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        # An emulator that hangs does not hang the test.
        self.socket.settimeout(180)
        self.socket.connect(path)
        self.file = self.socket.makefile('rb')
        self.read()
        self.call('qmp_capabilities')

    def read(self):
        return json.loads(self.file.readline())

    def send(self, command, **args):
        self.socket.sendall(json.dumps(
            {'execute': command, 'arguments': args}).encode())

    def call(self, command, **args):
        '''Executes a command; returns the answer, and forgets events'''
        self.send(command, **args)
        while 'event' in (answer := self.read()):
            pass
        return answer

    def close(self):
        self.file.close()
        self.socket.close()


class VpmuTest(LinuxKernelTest):

    # How many general-purpose counters count the events of a program.  The
    # eighth counts cycles, because the kernel's watchdog has the fixed counter
    # for cycles.
    slots = 7

    def setUp(self):
        super().setUp()
        for name in 'VPMU_KERNEL', 'VPMU_INITRD':
            self.assertTrue(os.path.exists(os.environ.get(name, '')),
                            f'{name} must name a file (see build-image)')

    def start(self, name, *args, cmdline=Shell.APPEND, features=('pmu=on',),
              cpu=None, accel='tcg'):
        '''Starts a guest and returns the machine and a shell in it'''
        line = SerialLine(self.scratch_file(), name)
        self.addCleanup(line.close)
        # With QEMU_TEST_KEEP_SCRATCH, the log of this machine is kept
        vm = self.get_vm(name=name)
        vm.add_args('-accel', accel, '-nodefaults', '-no-reboot', '-m', '512',
                    '-cpu', cpu or cpu_model(*features),
                    '-kernel', os.environ['VPMU_KERNEL'],
                    '-initrd', os.environ['VPMU_INITRD'],
                    '-append', cmdline, *line.args, *args)
        vm.launch()
        return vm, Shell(line, vm.is_running)

    def boot(self, *args, **kwargs):
        '''Starts a guest; returns when its shell listens'''
        vm, guest = self.start('guest', *args, **kwargs)
        guest.wait_ready()
        return vm, guest

    def check_counts(self, guest, where, prefix='', programs=None,
                     repeat=REPEAT):
        '''
        perf must count every event that a program declares, to the unit, for
        each of @programs or for all of them.  Only the first turn is perf's,
        since its start takes longer than the program.
        '''
        spelled = perf_events()
        expected = guest.expected()
        self.assertTrue(expected)
        # It takes seconds
        del expected['marathon']
        for program in programs or sorted(expected):
            declared = dict(expected[program])
            insns = declared.pop('instructions')
            others = sorted(declared)
            for first in range(0, len(others), self.slots):
                events = others[first:first + self.slots]
                want = {spelled[event]: declared[event] for event in events}
                # Cycles advance with the instructions, on both clocks
                want |= {'instructions': insns, 'cycles': insns,
                         'ref-cycles': insns}
                got = self.count(guest, list(want), program, prefix)
                self.assertEqual(got, want, f'{program} {where}, with perf')
                self.count_again(guest, want, program, prefix, repeat - 1)

    def count_again(self, guest, want, program, prefix, turns):
        '''The counts of a program in more turns must be these, too'''
        if not turns:
            return
        counts = parse_stat(guest.run(
            f'{prefix} again {turns} {program} {" ".join(want)} 2>&1'))
        self.assertEqual(len(counts), turns * len(want))
        for turn in range(turns):
            got = dict(zip(want, counts[turn * len(want):]))
            self.assertEqual(got, want, f'{program}, turn {turn + 2}')

    def count(self, guest, events, program, prefix=''):
        '''Has perf count a program in user mode: event -> count'''
        args = ' '.join(f"-e {event}{'' if event.endswith('/') else ':'}u"
                        for event in events)
        return dict(zip(events, parse_stat(
            guest.run(f'{prefix} {STAT} {args} {program} 2>&1'))))

    def check_alone_and_beside_busy(self, guest):
        self.check_counts(guest, 'alone')
        # One on each CPU, so that the counted program finds no idle CPU
        guest.run('for cpu in $(seq $(nproc)); do busy & done')
        self.check_counts(guest, 'beside a busy process')
        guest.run('killall busy')

    def samples(self, guest, event, program, period):
        '''Samples that perf takes of a program in user mode: (ip, address)'''
        guest.run(f"alone {RECORD} -d -e '{event}' --all-user "
                  f'-c {period} -o /tmp/data {program} 2>&1')
        script = guest.run('perf script -i /tmp/data -F ip,addr 2>&1 | '
                           'tr -s " " > /tmp/script; cat /tmp/script',
                           timeout=300)
        return [tuple(int(field, 16) for field in reversed(line.split()))
                for line in script.splitlines() if line.strip()]

    def check_accesses(self, samples, offsets, period):
        '''
        Every sample of "memory" names the right instruction and the right
        address
        '''
        self.assertEqual(len(samples), TURNS * len(offsets) // period)
        ips = sorted({ip for ip, _ in samples})
        self.assertEqual(len(ips), len(offsets))
        address = dict(samples)
        for nth, (ip, accessed) in enumerate(samples, 1):
            which = (nth * period - 1) % len(offsets)
            self.assertEqual(ip, ips[which], f'sample {nth}')
            self.assertEqual(accessed, address[ip], f'sample {nth}')
        for ip, offset in zip(ips, offsets):
            if offset is not None:
                self.assertEqual(address[ip], address[ips[0]] + offset)

    def stacks(self, guest):
        '''
        The branch records of each sample in the guest's file /tmp/data, the
        last branch first: (from, to, cycles)
        '''
        guest.run('perf script -i /tmp/data -F brstack > /tmp/script')
        stacks = []
        for line in guest.fetch('/tmp/script').decode().splitlines():
            fields = [record.split('/') for record in line.split()]
            # Nothing is mispredicted, and nothing is in a transaction; perf
            # does not ask for that in call-stack mode
            self.assertLessEqual({tuple(field[2:5]) for field in fields},
                                 {('P', '-', '-'), ('-', '-', '-')})
            stacks.append([(int(field[0], 16), int(field[1], 16),
                            int(field[5])) for field in fields])
        return stacks

    def plug_cpu(self, vm, guest):
        '''Plugs the CPU for which there is a slot, and switches it on'''
        slot = [cpu for cpu in vm.cmd('query-hotpluggable-cpus')
                if 'qom-path' not in cpu][0]
        vm.cmd('device_add', id='plugged', driver=slot['type'],
               **slot['props'])
        cpu1 = '/sys/devices/system/cpu/cpu1'
        guest.run(f'until [ -e {cpu1}/online ]; do sleep 0.1; done; '
                  f'echo 1 > {cpu1}/online')

    def wait_until(self, condition, timeout=120, pause=0.1):
        '''Waits until @condition returns true'''
        deadline = time.monotonic() + timeout
        while not condition():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(pause)

    def kill_later(self, vm, seconds):
        '''
        Kills a machine that hangs, so that it does not hang the test; returns
        a timer that can be cancelled
        '''
        def kill():
            print(f'# a machine still runs after {seconds} s: it hangs, or '
                  'this host is too slow', flush=True)
            os.kill(vm.get_pid(), signal.SIGKILL)

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        self.addCleanup(timer.cancel)
        return timer

    @contextlib.contextmanager
    def stopped(self, vm):
        '''A context in which the vCPUs and their clock stand still'''
        vm.cmd('stop')
        yield
        vm.cmd('cont')

    def check_probe(self, log, *found):
        '''The kernel's log must tell of a PMU with these properties'''
        for line in found:
            self.assertRegex(log, r'\.\.\. ' + line)
        self.assertNotRegex(log, TROUBLE)

    def info_vpmu(self, vm):
        '''The table that "info vpmu" prints'''
        return vm.cmd('human-monitor-command',
                      **{'command-line': 'info vpmu'})

    def stats(self, vm):
        '''The statistics of each CPU: a list of name -> value'''
        cpus = vm.cmd('query-stats', target='vcpu',
                      providers=[{'provider': 'vpmu'}])
        # In the order of query-vpmu
        order = [cpu['qom-path'] for cpu in vm.cmd('query-vpmu')['cpus']]
        cpus.sort(key=lambda cpu: order.index(cpu['qom-path']))
        return [{stat['name']: stat['value'] for stat in cpu['stats']}
                for cpu in cpus]

    def check_picture(self, info):
        '''Checks the rules that every answer of query-vpmu obeys'''
        for cpu in info['cpus']:
            reserved = identify(cpu['host-counters'])
            self.assertEqual(reserved, identify(
                info['cpus'][0]['host-counters']), 'the same on all CPUs')
            self.assertEqual(counter_set(reserved), info['reserved'])
            held = []
            for counter in cpu['counters']:
                index = counter.get('physical-index')
                path = ('idle' if not counter['enabled'] else
                        'starved' if index is None else
                        'fast' if index == counter['index'] else 'slow')
                self.assertEqual(counter['path'], path)
                if index is not None:
                    self.assertEqual(counter['owner'], 'guest')
                    held.append((counter['type'], index))
            self.assertEqual(len(held), len(set(held)), 'backs one vPMC')
            self.assertFalse(set(held) & set(reserved))
            self.assertEqual(counter_set(held), cpu['in-use'])

    def picture(self, vm):
        '''The answer of query-vpmu, checked'''
        info = vm.cmd('query-vpmu')
        self.check_picture(info)
        return info
