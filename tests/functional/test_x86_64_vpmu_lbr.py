#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Branch records, with Linux and perf in the guest.

The programs declare the branches that a turn of their loops takes, in order, so
that the branch with any number is known.  perf samples every n-th taken branch:
the records of a sample are that branch and those before it.  A plugin of QEMU,
which has nothing to do with the virtual PMU, writes down the same branches and
those of a program that a compiler wrote.
'''

import collections
import os
import re

from vpmu_guest import STAT, parse_stat
from vpmu_optimize import (RARE, RARELY, TURNS, USUAL, Optimizers, detour,
                           is_straight, line_of, mark, status, symbol)
from vpmu_test import VpmuTest

# An instruction takes a nanosecond, and Linux interrupts a program every 4
# milliseconds.  So one or two interrupts at most come while a program runs.
ICOUNT = ('-icount', 'shift=0,sleep=off')
INTERRUPTS = 2

DEPTH = 32
TAKEN = 'cpu/event=0xc4,umask=0x20/'
FAR_BRANCHES = 'cpu/event=0xc4,umask=0x40/'

# A prime, so that the loops do not keep in step with it; and the interrupt of
# the sample before is further away than any record.
PERIOD = 499

# The turns of the programs' loops, as their sources have them
HOPS_TURNS = 2000
NEST_TURNS = 200

# The addresses of the programs "hops", "nest" and "detour"
FIRST, LAST = 0x21000000, 0x23ffffff
NEST_START = 0x22000000
KERNEL = 1 << 63

# The kinds of hops in tests/guest/count.inc
COND, JMP, IND_JMP, CALL, IND_CALL, ZERO_CALL, RET, FAR = range(1, 9)

FILTERS = {
    '-b': (COND, JMP, IND_JMP, CALL, IND_CALL, ZERO_CALL, RET),
    '-j any,u': (COND, JMP, IND_JMP, CALL, IND_CALL, ZERO_CALL, RET),
    '-j call,u': (CALL, ZERO_CALL),
    '-j any_call,u': (CALL, IND_CALL, ZERO_CALL),
    '-j any_ret,u': (RET,),
    '-j cond,u': (COND,),
    '-j ind_call,u': (IND_CALL,),
    '-j ind_jmp,u': (IND_JMP,),
}


def branches(hops, turns):
    '''All branches that a program takes; the last loop ends'''
    return (hops * turns)[:-1]


def records(taken, kinds):
    '''
    The records after each branch in @taken: a generator of lists of (from, to,
    cycles), the last branch first
    '''
    found = collections.deque(maxlen=DEPTH)
    cycles = 0
    for source, target, kind, insns in taken:
        cycles += insns
        if kind in kinds:
            found.appendleft((source, target, cycles))
            cycles = 0
        yield list(found)


def call_stacks(taken):
    '''The same in call-stack mode, without cycles'''
    found = []
    for source, target, kind, _ in taken:
        if kind in (CALL, IND_CALL):
            found = [(source, target), *found[:DEPTH - 1]]
        elif kind == RET:
            found = found[1:]
        yield found


def sampled(stacks):
    '''What a sample has of that which each branch leaves'''
    return [stack for nr, stack in enumerate(stacks, 1) if nr % PERIOD == 0]


def pairs(stack):
    return [record[:2] for record in stack]


class X86VpmuLbr(VpmuTest):

    def record(self, guest, options, program, event=TAKEN, period=PERIOD):
        '''Has perf record a program into the guest's file /tmp/data'''
        guest.run(f'alone perf record -q {options} -e {event}u -c {period} '
                  f'-o /tmp/data {program} 2>&1', check=program != 'detour')

    def check_stacks(self, found, wanted):
        '''
        Samples have these records.  If the program was interrupted between
        them, the time is longer or the oldest record is missing: the return
        from an interrupt takes one, which Linux does not show.
        '''
        self.assertEqual(len(found), len(wanted))
        interrupted = 0
        for nr, (stack, want) in enumerate(zip(found, wanted), 1):
            self.assertEqual(len(want), DEPTH)
            self.assertGreaterEqual(len(stack), DEPTH - 1)
            self.assertEqual(pairs(stack), pairs(want)[:len(stack)],
                             f'sample {nr}')
            interrupted += stack != want
        self.assertLessEqual(interrupted, INTERRUPTS)

    def check_filters(self, guest, hops):
        '''Each of perf's filters lets through what it says'''
        taken = branches(hops['hops'], HOPS_TURNS)
        for options, kinds in FILTERS.items():
            with self.subTest(options):
                self.record(guest, options, 'hops')
                self.check_stacks(self.stacks(guest),
                                  sampled(records(taken, kinds)))

    def check_precise(self, vm, guest, hops):
        '''
        The records in those of PEBS end with the branch that is sampled; there
        is one interrupt for many samples
        '''
        taken = branches(hops['hops'], HOPS_TURNS)
        for options in '-b', '-j any_call,u':
            before = self.stats(vm)[0]['pmis']
            self.record(guest, options, 'hops', f'{TAKEN}pp')
            interrupts = self.stats(vm)[0]['pmis'] - before
            stacks = self.stacks(guest)
            self.check_stacks(stacks,
                              sampled(records(taken, FILTERS[options])))
            self.assertLess(interrupts, len(stacks) // 10)

    def check_system_calls(self, guest, hops):
        '''Branches into the kernel and out of it are records, too'''
        guest.run('grep " entry_SYSCALL_64$" /proc/kallsyms > /tmp/entry')
        entry = int(guest.run('cat /tmp/entry').split()[0], 16)
        *near, far, again = pairs(hops['calls'])
        want = [(far[0], entry), *reversed(near), again]
        self.record(guest, '-j any,u,k', 'calls', FAR_BRANCHES, 101)
        stacks = self.stacks(guest)
        self.assertEqual(len(stacks),
                         guest.expected()['calls']['far_branch'] // 101)
        interrupted = 0
        for stack in stacks:
            *mine, back = pairs(stack)[:len(want) + 1]
            # SYSRET returns behind SYSCALL, which has two bytes
            interrupted += (mine != want or back[0] < KERNEL or
                            back[1] != far[0] + 2)
        self.assertLessEqual(interrupted, INTERRUPTS)

    def check_call_graph(self, guest, hops):
        '''The call stack of a recursion, also of one that is too deep'''
        taken = branches(hops['nest'], NEST_TURNS)
        wanted = sampled(call_stacks(taken))
        self.assertEqual(max(map(len, wanted)), DEPTH)
        self.record(guest, '--call-graph lbr', 'nest')
        found = [pairs(stack) for stack in self.stacks(guest)]
        self.assertTrue(found == wanted, 'the call stacks')

        guest.run('perf script -i /tmp/data -F ip > /tmp/script')
        chains = [[int(address, 16) for address in chain.split()]
                  for chain in guest.fetch('/tmp/script').decode().split('\n\n')
                  if chain.strip()]
        # perf shows addresses in the file, first where the last call led to.
        # Of an empty stack, it shows an address from the sample behind it.
        chains = [chain for chain, stack in zip(chains, wanted) if stack]
        wanted = [[address - NEST_START for address in
                   (stack[0][1], *(source for source, _ in stack))]
                  for stack in wanted if stack]
        self.assertTrue(chains == wanted, 'the call chains')

    def check_trace(self, guest, hops):
        '''Branch trace store has every branch of a program'''
        for program, turns in ('hops', HOPS_TURNS), ('nest', NEST_TURNS):
            guest.run('perf record -q --per-thread -m 512,4096 -e intel_bts//u '
                      f'-o /tmp/data {program} 2>&1')
            guest.run('perf script -i /tmp/data --itrace=b -F ip,addr '
                      '> /tmp/script')
            trace = [tuple(int(address, 16) for address in line.split(' => '))
                     for line in guest.fetch('/tmp/script').decode().split('\n')
                     if ' => ' in line]
            # Without those into the kernel: page faults, interrupts, the exit
            near = [branch for branch in trace
                    if all(FIRST <= address <= LAST for address in branch)]
            wanted = pairs(branches(hops[program], turns))
            self.assertTrue(near == wanted, f'the trace of "{program}"')

    def check_history(self, guest, taken):
        '''
        perf report shows successive branches of "detour", each as two lines,
        the first with its target
        '''
        report = guest.run('perf report -i /tmp/data --branch-history --stdio '
                           '2>/dev/null | cat', timeout=300)
        # The first twig of the tree
        twig = re.search(r'--[\d.]+%--((work .*\n[ |]*)+)', report)[1]
        start = symbol('work')
        places = [start + int(offset)
                  for offset in re.findall(r'work \+(\d+)', twig)]
        shown = list(zip(places[1::2], places[::2]))
        self.assertGreater(len(shown), 5)
        self.assertLessEqual(set(zip(shown, shown[1:])),
                             set(zip(taken, taken[1:])))

    def count_taken(self, guest, program):
        '''How many branches the program takes, which must run as ever'''
        return parse_stat(guest.run(f'{STAT} -e {TAKEN}u {program} 2>&1; '
                                    f'[ $? = {status()} ]'))[0]

    def check_profiles(self, optimizers, said, windows):
        '''
        perf2bolt and create_llvm_prof have counted what was executed: @windows,
        lists of branches
        '''
        self.assertIn(f'read {len(windows)} samples and '
                      f'{sum(map(len, windows))} LBR entries', said)
        self.assertIn('traces mismatching disassembled function contents: 0 ',
                      said)
        counts = collections.Counter(branch for window in windows
                                     for branch in window)
        found = optimizers.bolt_counts()
        self.assertEqual({branch: found[branch] for branch in counts},
                         dict(counts))

        # Between two branches of a window, the code is executed once
        ways = collections.Counter(
            (before[1], after[0]) for window in windows
            for before, after in zip(window, window[1:]))
        program = detour().read_bytes()
        lines = optimizers.autofdo_counts()
        for number in USUAL + RARE:
            # The offset in the file is that in memory
            address = mark(program, number) + (symbol('work') & ~0xffffff)
            self.assertEqual(
                lines[line_of(number)],
                sum(count for (begin, end), count in ways.items()
                    if begin <= address <= end), f'block {number:#x}')

    def traced(self, files):
        '''
        The branches that the plugin sees in a guest that makes no records:
        [(from, to)].  It runs the programs "hops", "nest" and "detour", and
        @files: name -> contents.
        '''
        log = self.scratch_file('branches.log')
        vm, guest = self.start(
            'traced', '-d', 'plugin', '-D', log, '-plugin',
            f'{os.environ["VPMU_PLUGIN"]},first={FIRST},last={LAST}',
            features=('pmu=on', 'lbr=off'))
        guest.wait_ready()
        self.check_off(vm, guest)
        guest.run('hops; nest')
        guest.run('detour', check=False)
        for name, data in files.items():
            guest.send(f'/tmp/{name}', data)
            guest.run(f'chmod +x /tmp/{name}; /tmp/{name}', check=False)
        # The plugin prints when the emulator ends by itself
        guest.start('poweroff -f')
        vm.wait()
        with open(log, encoding='ascii') as lines:
            return [tuple(int(address, 16) for address in line.split())
                    for line in lines if line.startswith('0x')]

    def check_off(self, vm, guest):
        '''lbr=off leaves nothing of the records'''
        self.assertNotIn('lbr', vm.cmd('query-vpmu'))
        self.assertNotIn('LBR', guest.run('dmesg | grep "Performance Events"'))
        self.assertIn("doesn't support branch stack sampling", guest.run(
            'perf record -b -o /tmp/data true 2>&1', check=False))

    def check_detour(self, found, taken):
        '''
        Samples of "detour" have the branches that the plugin has seen; returns
        those of each sample, the first branch first
        '''
        self.check_stacks(found, [taken[nr - DEPTH:nr][::-1] for nr in
                                  range(PERIOD, len(taken) + 1, PERIOD)])
        return [stack[::-1] for stack in found]

    def check_optimized(self, counts, taken):
        '''
        The optimizers have made the way through the loop straight: a turn takes
        one branch, and one that is rare takes two more at most.  @counts are
        those of perf, and @taken those that the plugin has seen.
        '''
        self.assertGreater(counts['detour'], 3 * TURNS)
        self.assertEqual(len(taken), sum(counts.values()))
        for program, count in counts.items():
            mine, taken = taken[:count], taken[count:]
            # The first branch calls the function with the loop
            self.assertEqual(mine.count(mine[0]), 1, program)
            if program != 'detour':
                self.assertLessEqual(
                    count, TURNS + 2 * len(RARE) * TURNS // RARELY + 10)

    def check_records(self, vm, guest):
        '''Everything that needs no optimizer; returns samples of "detour"'''
        self.assertEqual(vm.cmd('query-vpmu')['lbr'],
                         {'format': 5, 'depth': DEPTH})
        self.assertIn(f'{DEPTH}-deep LBR',
                      guest.run('dmesg | grep "Performance Events"'))
        hops = guest.hops()
        self.check_filters(guest, hops)
        self.check_precise(vm, guest, hops)
        self.check_system_calls(guest, hops)
        self.check_call_graph(guest, hops)
        self.check_trace(guest, hops)
        self.record(guest, '-b', 'detour')
        return hops, [pairs(stack) for stack in self.stacks(guest)]

    def test_records(self):
        '''
        perf shows the branches that the programs declare and that the plugin
        sees, and BOLT and AutoFDO make use of them
        '''
        vm, guest = self.boot(*ICOUNT, features=('pmu=on', 'bts=on'))
        hops, stacks = self.check_records(vm, guest)
        optimizers = Optimizers(self.scratch_file(), guest.fetch('/tmp/data'))
        said, bolted = optimizers.bolt()
        files = {'detour.bolt': bolted, 'detour.afdo': optimizers.autofdo()}
        counts = {'detour': self.count_taken(guest, 'detour')}
        for name, program in files.items():
            self.assertTrue(is_straight(program), name)
            guest.send(f'/tmp/{name}', program)
            guest.run(f'chmod +x /tmp/{name}')
            counts[name] = self.count_taken(guest, f'/tmp/{name}')

        traced = self.traced(files)
        declared = pairs(branches(hops['hops'], HOPS_TURNS) +
                         branches(hops['nest'], NEST_TURNS))
        # unittest takes minutes to describe how long lists differ
        self.assertTrue(traced[:len(declared)] == declared)
        traced = traced[len(declared):]
        taken = traced[:counts['detour']]
        windows = self.check_detour(stacks, taken)
        self.check_profiles(optimizers, said, windows)
        self.check_history(guest, taken)
        self.check_optimized(counts, traced)


if __name__ == '__main__':
    VpmuTest.main()
