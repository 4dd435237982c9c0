#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
A guest that does its worst (tests/vpmu/hostile.c) harms nobody but itself: the
emulator answers, its memory stays flat, and other CPUs and machines go on.

Environment:

VPMU_HOSTILE_SECONDS  how long it is let do so (default 6)
VPMU_HOSTILE_EJECTS   how many machines throw their CPUs away (default 3)
VPMU_HOSTILE_CPUS     how many CPUs it has (default 4, at most 8)
'''

import os
import random
import re
import time

from vpmu_bare import BareTest
from vpmu_guest import cpu_model

SECONDS = int(os.environ.get('VPMU_HOSTILE_SECONDS', '6'))
EJECTS = int(os.environ.get('VPMU_HOSTILE_EJECTS', '3'))
CPUS = int(os.environ.get('VPMU_HOSTILE_CPUS', '4'))

# Within this the operator is answered, in seconds, 999 times of 1000
PROMISE = 0.1

# What the emulator may grow by, in MiB: by the buffer of translated code, which
# takes its time to fill and is then emptied, and by little else
TB_SIZE = 64
GROWTH = 8


class Answers:
    '''How long the answers to an operator's questions took'''

    def __init__(self):
        self.seconds = []

    def ask(self, vm, command, **args):
        start = time.monotonic()
        answer = vm.cmd(command, **args)
        self.seconds.append(time.monotonic() - start)
        return answer

    def within(self, share):
        '''The time in which this share of the questions was answered'''
        return sorted(self.seconds)[int(share * (len(self.seconds) - 1))]

    def __str__(self):
        return (f'{len(self.seconds)} answers, ' + ', '.join(
            f'{what} {1000 * self.within(share):.1f} ms' for what, share in (
                ('median', 0.5), ('99 %', 0.99), ('99.9 %', 0.999),
                ('longest', 1))))


class Hostile(BareTest):

    def start_hostile(self, name, append, pmu, cpus=CPUS):
        '''Starts the program; returns the machine and the file it prints to'''
        log = self.scratch_file(f'{name}.log')
        vm = self.start_bare(
            name, 'hostile', '-accel', f'tcg,tb-size={TB_SIZE}', '-smp',
            str(cpus), '-append', append, '-serial', f'file:{log}',
            cpu=cpu_model(*pmu))
        return vm, log

    def ask(self, answers, vm):
        '''Asks once more what there is to be asked'''
        info = answers.ask(vm, 'query-vpmu')
        stats = answers.ask(vm, 'query-stats', target='vcpu',
                            providers=[{'provider': 'vpmu'}])
        self.check_picture(info)
        self.assertEqual(len(stats), len(info['cpus']))

    def start_busy(self, append, pmu):
        '''A guest that is as busy, and leaves its PMU alone'''
        vm, log = self.start_hostile(f'{append}-{pmu}', append, [pmu])
        self.wait_until(lambda: 'busy' in self.read(log))
        return vm

    def check_program(self, text):
        '''Nothing in the output of the program may have failed'''
        self.assertNotIn('not ok', text)
        self.assertNotIn('Bail out', text)
        rounds = re.findall(r'# (\d+) rounds', text)
        self.assertTrue(rounds)
        self.assertNotIn('0', rounds)
        return sum(map(int, rounds))

    def test_answers(self):
        '''The operator is answered, memory is flat, other CPUs go on'''
        vms = {'PMU off': self.start_busy('spin', 'pmu=off'),
               'no attack': self.start_busy('interrupts', 'pmu=on')}
        vms['hostile'], log = self.start_hostile('hostile', 'forever',
                                                 ['pmu=on', 'bts=on'])
        # Another machine, on one CPU and to its end
        _, other = self.start_hostile('other', 'once', ['pmu=on'], cpus=1)

        answers = {name: Answers() for name in vms}
        memory = []
        deadline = time.monotonic() + SECONDS
        while time.monotonic() < deadline:
            for name, vm in vms.items():
                self.ask(answers[name], vm)
            memory.append(self.memory(vms['hostile']))
        for name in vms:
            self.say(f'{name}: {answers[name]}')
        half = memory[len(memory) // 2:]
        self.say(f'memory: {memory[0]:.1f} MiB at first, in the second half '
                 f'from {min(half):.1f} to {max(half):.1f} MiB')
        rounds = self.check_program(self.read(log))
        self.say(f'{rounds} exact counts of the CPU that is not hostile')
        self.assertTrue(vms['hostile'].is_running())

        self.wait_until(lambda: '1..' in self.read(other))
        self.assertNotIn('not ok', self.read(other))
        # An answer waits until the host has let each vCPU run, whatever the
        # guest does; how long that takes is not the same twice.
        noise = answers['no attack'].within(0.999)
        self.assertLessEqual(answers['hostile'].within(0.999),
                             PROMISE + 2 * noise)
        self.assertLessEqual(max(memory), memory[0] + TB_SIZE + GROWTH)

    def test_eject(self):
        '''A guest throws its CPUs away while an operator asks them'''
        for nth in range(EJECTS):
            vm, log = self.start_hostile(
                f'eject-{nth}', 'eject',
                ['pmu-passthrough=on', 'pmu-host-gp=4'], cpus=8)
            timer = self.kill_later(vm, 180)
            answers = Answers()
            while '1..' not in self.read(log):
                self.check_picture(answers.ask(vm, 'query-vpmu'))
                answers.ask(vm, 'query-stats', target='vcpu',
                            providers=[{'provider': 'vpmu'}])
                answers.ask(vm, 'vpmu-reserve-host-counters',
                            gp=random.randint(0, 4))
            self.assertNotRegex(self.read(log), 'not ok|Bail out')
            self.assertEqual(len(self.picture(vm)['cpus']), 1)
            timer.cancel()
            vm.shutdown()


if __name__ == '__main__':
    BareTest.main()
