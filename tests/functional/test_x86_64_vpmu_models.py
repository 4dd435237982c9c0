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
# have; mem: the events by which Linux samples memory accesses; always: it is not
# for VPMU_MODELS=all only
Model = namedtuple('Model', 'cpu version counters pebs ticks precise mem always',
                   defaults=(False,))

LOADS, STORES = 'mem-loads', 'mem-stores'

MODELS = (
    # Linux does not trust the PEBS of these two
    Model('core2duo', 2, 2, 0, 0, 0, ()),
    Model('Conroe', 2, 2, 0, 0, 0, ()),
    Model('Penryn', 2, 2, 0, 0, 1, ()),
    Model('Nehalem', 3, 4, 1, 0x5101c4, 1, (LOADS,), True),
    Model('Westmere', 3, 4, 1, 0x5101c4, 1, (LOADS,)),
    # Nor of this one, except with newer microcode
    Model('SandyBridge', 3, 4, 1, 0x5101c4, 0, (LOADS, STORES)),
    Model('SandyBridge,stepping=7,ucode-rev=0x2800000000', 3, 4, 1, 0x5101c4,
          1, (LOADS, STORES)),
    Model('IvyBridge', 3, 4, 1, 0x5101c4, 1, (LOADS, STORES)),
    Model('Haswell', 3, 4, 2, 0x5101c4, 3, (LOADS, STORES)),
    Model('Broadwell', 3, 4, 2, 0x5101c4, 3, (LOADS, STORES)),
    Model('Skylake-Client', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES)),
    Model('Skylake-Server', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES)),
    Model('Cascadelake-Server', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES)),
    Model('Cooperlake', 4, 4, 3, 0x5101c4, 3, (LOADS, STORES)),
    # It has the number of Snowridge
    Model('Icelake-Server-v1', 5, 4, 4, 0x5111c4, 3, ()),
    Model('Icelake-Server-v6', 5, 8, 4, 0x5111c4, 3, (LOADS, STORES)),
    Model('SapphireRapids', 5, 8, 4, 0x5111c4, 3, (LOADS, STORES), True),
    Model('GraniteRapids', 5, 8, 4, 0x5111c4, 2, ()),
    Model('KnightsMill', 3, 2, 2, 0x517ec4, 2, ()),
    Model('Denverton', 4, 4, 3, 0x517ec4, 3, (), True),
    Model('Snowridge', 5, 4, 4, 0x5111c4, 3, ()),
    Model('SierraForest', 5, 8, 4, 0x517ec4, 2, ()),
)

# The loop of the program "loop": its two instructions
DEC, JNZ = 0x401005, 0x401007
PERIOD = 10007
# Linux would throttle more samples
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
        self.check_any_thread(guest, model)
        self.check_default(guest)
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)
        print(f'# {model.cpu}:', ', '.join(f'{event} {result}' for event, result
                                           in found.items()))


def add_test(model):
    '''A test of its own for the model'''
    def test(self):
        self.check_model(model)

    test.__doc__ = f'What perf and rr take is exact on {model.cpu}'
    name = model.cpu.lower()
    for char in '-,=':
        name = name.replace(char, '_')
    setattr(X86VpmuModels, f'test_{name}', test)


for each in MODELS:
    if each.always or os.environ.get('VPMU_MODELS') == 'all':
        add_test(each)

if __name__ == '__main__':
    VpmuTest.main()
