#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
The PMU of each CPU model, as Linux and perf see it.

Linux takes another event for precise cycles on each line of models, and rr
another one for conditional branches.  Both must be exact on all of them.

A run takes the models that CI has the time for, or all of them if the variable
VPMU_MODELS is "all" (make check-models).  It prints what each of them gives.
'''

import os
from collections import namedtuple

from vpmu_guest import STAT, parse_stat
from vpmu_test import LOADED, STORED, TROUBLE, VpmuTest

# As in test_x86_64_vpmu_pebs.py: nothing else runs beside the programs
ICOUNT = ('-icount', 'shift=0,sleep=off')

# cpu: QEMU's model; version, counters: of its PMU; pebs: format of the records;
# ticks: the event that rr takes, 0: it takes none; precise: how many p perf may
# have; mem: the events by which Linux samples memory accesses; lbr: it has
# branch records; always: it is not for VPMU_MODELS=all only
Model = namedtuple('Model',
                   'cpu version counters pebs ticks precise mem lbr always',
                   defaults=(False, False))

LOADS, STORES = 'mem-loads', 'mem-stores'

MODELS = (
    # Linux does not trust the PEBS of these two
    Model('core2duo', 2, 2, 0, 0, 0, ()),
    Model('Conroe', 2, 2, 0, 0, 0, ()),
    Model('Penryn', 2, 2, 0, 0, 1, ()),
    Model('Nehalem', 3, 4, 1, 0x5101c4, 1, (LOADS,), always=True),
    Model('Westmere', 3, 4, 1, 0x5101c4, 1, (LOADS,)),
    # Nor of this one, except with newer microcode
    Model('SandyBridge', 3, 4, 1, 0x5101c4, 0, (LOADS, STORES)),
    Model('SandyBridge,stepping=7,ucode-rev=0x2800000000', 3, 4, 1, 0x5101c4,
          1, (LOADS, STORES)),
    Model('IvyBridge', 3, 4, 1, 0x5101c4, 1, (LOADS, STORES)),
    Model('Haswell', 3, 4, 2, 0x5101c4, 3, (LOADS, STORES)),
    Model('Broadwell', 3, 4, 2, 0x5101c4, 3, (LOADS, STORES)),
    Model('Skylake-Client', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES), True),
    Model('Skylake-Server', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES), True),
    Model('Cascadelake-Server', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES), True),
    Model('Cooperlake', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES), True),
    # It has the number of Snowridge
    Model('Icelake-Server-v1', 5, 4, 4, 0x5111c4, 3, (), True),
    Model('Icelake-Server-v6', 5, 8, 4, 0x5111c4, 3, (LOADS, STORES), True),
    Model('SapphireRapids', 5, 8, 4, 0x5111c4, 3, (LOADS, STORES), True, True),
    Model('GraniteRapids', 5, 8, 4, 0x5111c4, 2, (), True),
    Model('KnightsMill', 3, 2, 2, 0x517ec4, 2, ()),
    Model('Denverton', 4, 4, 3, 0x517ec4, 3, (), True, True),
    Model('Snowridge', 5, 4, 4, 0x5111c4, 3, (), True),
    Model('SierraForest', 5, 8, 4, 0x517ec4, 2, (), True),
)

# cpu: QEMU's model; driver: what Linux calls the PMU; version: as Linux has it,
# 2 with PerfMonV2; counters: of the PMU; family: in CPUID; always: as above
AmdModel = namedtuple('AmdModel', 'cpu driver version counters family always',
                      defaults=(False,))

CORE15, CORE17 = 'Fam15h core perfctr, ', 'Fam17h+ core perfctr, '

AMD_MODELS = (
    AmdModel('max', 'core perfctr, ', 2, 6, 6),
    AmdModel('qemu64', '', 0, 4, 0xf),
    AmdModel('phenom', '', 0, 4, 0x10),
    # Linux does not start with the XSAVE that TCG offers on this model
    AmdModel('Opteron_G5,xsave=off', CORE15, 0, 6, 0x15),
    AmdModel('EPYC', CORE17, 0, 6, 0x17, True),
    AmdModel('EPYC-Rome', CORE17, 0, 6, 0x17),
    AmdModel('EPYC-Milan', CORE17, 0, 6, 0x19),
    AmdModel('EPYC-Genoa', CORE17, 2, 6, 0x19, True),
)

# The events of tests/guest/events for AMD, and the first family that has them
AMD_EVENTS = {
    'branches': ('branches', 0),
    'far_branch': ('cpu/event=0xc6/', 0),
    'near_return': ('cpu/event=0xc8/', 0xf),
    'cond': ('cpu/event=0xd1/', 0x17),
    'loads': ('cpu/event=0x29,umask=0x01/', 0x15),
    'stores': ('cpu/event=0x29,umask=0x02/', 0x15),
}

# The loop of the program "loop": its two instructions
DEC, JNZ = 0x401005, 0x401007
PERIOD = 10007
# A few samples meet every instruction
MEM_PERIOD = 5003


class X86VpmuModels(VpmuTest):

    def check_found(self, guest, model):
        '''Linux finds the PMU of the processor, and nothing wrong with it'''
        log = guest.run('dmesg')
        self.check_probe(log, rf'version: +{model.version}\s',
                         rf'generic registers: +{model.counters}\s',
                         r'fixed-purpose events: +3\s')
        baseline = '-baseline' if model.pebs >= 4 else ''
        self.assertIn(f'PEBS fmt{model.pebs}+{baseline},', log)

    def check_ticks(self, guest, model):
        '''rr's event is exact'''
        if not model.ticks:
            return '-'
        expected = guest.expected()['branches']
        got = parse_stat(guest.run(f'{STAT} -e r{model.ticks:x}:u branches '
                                   '2>&1'))
        self.assertEqual(got, [expected['cond']])
        return 'exact'

    def check_any_thread(self, guest, model):
        '''A vCPU shares no counters, so AnyThread changes nothing'''
        # Linux refuses the bit before version 3, the PMU from version 5 on
        if model.version in (3, 4):
            expected = guest.expected()['branches']
            got = parse_stat(guest.run(
                f'{STAT} -e r2000c0:u -e r2000c4:u branches 2>&1'))
            self.assertEqual(got, [expected['instructions'],
                                   expected['branches']])

    def check_refused(self, guest, event):
        '''Linux does not sample with this event, and says so'''
        self.assertIn("doesn't support sampling", guest.run(
            f"perf record -e '{event}' -o /tmp/data loop 2>&1", check=False))
        return 'refused'

    def check_precise(self, guest, model, event, precise):
        '''Every sample names the right instruction, or Linux refuses'''
        if precise > model.precise:
            return self.check_refused(guest, f'{event}:{"p" * precise}')
        ips = [ip for ip, _ in self.samples(
            guest, f'{event}:{"p" * precise}', 'loop', PERIOD)]
        # The odd instructions are JNZ, since a MOV comes before the loop.  With
        # a single p Linux shows the instruction after the one that is meant.
        odd, even = (DEC, JNZ) if precise == 1 else (JNZ, DEC)
        total = guest.expected()['loop']['instructions']
        # Because of erratum BDM11, Linux starts with a multiple of 64
        first = PERIOD
        if (model.cpu, event, precise) == ('Broadwell', 'cycles', 3):
            first &= ~63
        self.assertEqual(ips, [odd if nth % 2 else even for nth in
                               range(first, total, PERIOD)],
                         f'{event}, {precise} p')
        return 'yes'

    def check_mem(self, guest, model, event, offsets):
        '''Samples of memory accesses, if Linux has an event for them'''
        has = guest.run('ls /sys/bus/event_source/devices/cpu/events').split()
        self.assertEqual(event in has, event in model.mem)
        if event not in model.mem:
            return '-'
        if not model.precise:
            return self.check_refused(guest, f'cpu/{event}/p')
        spelled = f'cpu/{event}/{"p" * min(model.precise, 2)}'
        if f'{event}-aux' in has:
            spelled = f'{{cpu/{event}-aux/,{spelled}}}'
        self.check_accesses(self.samples(guest, spelled, 'memory', MEM_PERIOD),
                            offsets, MEM_PERIOD)
        return 'yes'

    def check_records(self, guest, model):
        '''A sample has successive branches of a program, or Linux refuses'''
        command = ('alone perf record -q -b -e branches:u -c 997 '
                   '-o /tmp/data hops')
        self.assertEqual('32-deep LBR' in guest.run('dmesg'), model.lbr)
        if not model.lbr:
            self.assertIn("doesn't support branch stack sampling",
                          guest.run(f'{command} 2>&1', check=False))
            return 'refused'
        turn = [hop[:2] + hop[3:] for hop in guest.hops()['hops'][::-1]]
        guest.run(command)
        stacks = self.stacks(guest)
        self.assertGreater(len(stacks), len(turn))
        # The first turn and one that is interrupted last longer
        whole = [turn[start:] + turn + turn[:start] for start in
                 range(len(turn))]
        self.assertLessEqual(sum(
            not any(stack == some[:len(stack)] for some in whole)
            for stack in stacks), 2)
        return 'exact'

    def check_default(self, guest):
        '''perf record without an event takes precise cycles as well'''
        guest.run('perf record -q -o /tmp/data loop 2>&1')
        self.assertGreater(int(guest.run(
            'perf script -i /tmp/data -F ip 2>/dev/null | wc -l')), 0)

    def check_model(self, model):
        _, guest = self.boot(*ICOUNT, cpu=f'{model.cpu},pmu=on')
        self.check_found(guest, model)
        found = {f'{event}:{"p" * precise}':
                 self.check_precise(guest, model, event, precise)
                 for event in ('cycles', 'instructions')
                 for precise in (1, 2, 3)}
        found[LOADS] = self.check_mem(guest, model, LOADS, LOADED)
        found[STORES] = self.check_mem(guest, model, STORES, STORED)
        found['conditional branches'] = self.check_ticks(guest, model)
        found['branch records'] = self.check_records(guest, model)
        self.check_any_thread(guest, model)
        self.check_default(guest)
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)
        print(f'# {model.cpu}:', ', '.join(f'{event} {result}' for event, result
                                           in found.items()))


    # AMD

    def check_amd_counts(self, guest, model):
        '''perf counts every event of AMD to the unit'''
        expected = guest.expected()
        # It takes seconds
        del expected['marathon']
        for program, declared in expected.items():
            insns = declared['instructions']
            want = {spelled: declared[event]
                    for event, (spelled, since) in AMD_EVENTS.items()
                    if event in declared and model.family >= since}
            if 'branches' in declared and 'cond_ntaken' in declared:
                want['cpu/event=0xc4/'] = (declared['branches'] -
                                           declared['cond_ntaken'])
            want |= {'instructions': insns, 'cycles': insns}
            # The watchdog has a counter of its own
            slots = model.counters - 1
            for first in range(0, len(want), slots):
                some = dict(list(want.items())[first:first + slots])
                self.assertEqual(self.count(guest, list(some), program), some,
                                 program)
        return 'exact'

    def check_amd_ticks(self, guest, model):
        '''rr's event is exact; it knows Zen only'''
        if model.family < 0x17:
            return '-'
        expected = guest.expected()['branches']
        got = parse_stat(guest.run(f'{STAT} -e r5100d1:u branches 2>&1'))
        self.assertEqual(got, [expected['cond']])
        return 'exact'

    def check_amd_samples(self, guest, event):
        '''An NMI comes at the very next instruction'''
        ips = [ip for ip, _ in self.samples(guest, event, 'loop', PERIOD)]
        total = guest.expected()['loop']['instructions']
        self.assertEqual(ips, [DEC if nth % 2 else JNZ for nth in
                               range(PERIOD, total, PERIOD)], event)
        return 'no skid'

    def check_amd(self, model):
        '''What Linux and perf make of an AMD model'''
        vm, guest = self.boot(*ICOUNT, cpu=f'{model.cpu},pmu=on')
        log = guest.run('dmesg')
        self.assertIn(f'Performance Events: {model.driver}AMD PMU driver', log)
        self.check_probe(log, rf'version: +{model.version}\s',
                         rf'generic registers: +{model.counters}\s',
                         r'fixed-purpose events: +0\s')
        found = {'counts': self.check_amd_counts(guest, model),
                 'conditional branches': self.check_amd_ticks(guest, model)}
        for event in 'cycles', 'instructions':
            found[event] = self.check_amd_samples(guest, event)
            found[f'{event}:p'] = self.check_refused(guest, f'{event}:p')
        self.check_default(guest)
        # What it does not count, it does not hide
        guest.run('perf stat -e branch-misses:u loop 2>&1')
        self.assertIn({'select': 0xc3, 'umask': 0, 'name': 'branch-misses'},
                      vm.cmd('query-vpmu')['cpus'][0]['unsupported-events'])
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)
        print(f'# {model.cpu}:', ', '.join(f'{event} {result}' for event, result
                                           in found.items()))


def add_test(model):
    '''A test of its own for the model'''
    def test(self):
        if isinstance(model, AmdModel):
            self.check_amd(model)
        else:
            self.check_model(model)

    test.__doc__ = f'What perf and rr take is exact on {model.cpu}'
    name = model.cpu.lower()
    for char in '-,=':
        name = name.replace(char, '_')
    setattr(X86VpmuModels, f'test_{name}', test)


for each in MODELS + AMD_MODELS:
    if each.always or os.environ.get('VPMU_MODELS') == 'all':
        add_test(each)

if __name__ == '__main__':
    VpmuTest.main()
