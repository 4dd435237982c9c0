#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
The PMU of each CPU model, as Linux and perf see it.

Linux takes another event for precise cycles on each line of models, and rr
another one for conditional branches.  Both must be exact on all of them.

A run takes the models that CI has the time for, or all of them if the variable
VPMU_MODELS is "all".
'''

import os
from collections import namedtuple

from vpmu_guest import STAT, parse_stat
from vpmu_test import TROUBLE, VpmuTest

# As in test_x86_64_vpmu_pebs.py: nothing else runs beside the programs
ICOUNT = ('-icount', 'shift=0,sleep=off')

# cpu: QEMU's model, version, counters: of its PMU; pebs: format of the records;
# ticks: the event that rr takes, 0: it takes none; precise: how many p perf may
# have; always: it is not for VPMU_MODELS=all only
Model = namedtuple('Model', 'cpu version counters pebs ticks precise always',
                   defaults=(False,))

MODELS = (
    Model('Penryn', 2, 2, 0, 0, 1),
    Model('Nehalem', 3, 4, 1, 0x5101c4, 1, True),
    Model('Westmere', 3, 4, 1, 0x5101c4, 1),
    # With other steppings and older microcode, Linux does without PEBS
    Model('SandyBridge,stepping=7,ucode-rev=0x2800000000', 3, 4, 1, 0x5101c4,
          1),
    Model('IvyBridge', 3, 4, 1, 0x5101c4, 1),
    Model('Haswell', 3, 4, 2, 0x5101c4, 3, True),
    Model('Broadwell', 3, 4, 2, 0x5101c4, 3),
    Model('Skylake-Client', 4, 4, 3, 0x5101c4, 3),
    Model('Skylake-Server', 4, 4, 3, 0x5101c4, 3, True),
    Model('Cascadelake-Server', 4, 4, 3, 0x5101c4, 3),
    Model('Cooperlake', 4, 4, 3, 0x5101c4, 3),
    Model('Icelake-Server-v6', 5, 8, 4, 0x5111c4, 3),
    Model('SapphireRapids', 5, 8, 4, 0x5111c4, 3, True),
    Model('GraniteRapids', 5, 8, 4, 0x5111c4, 2),
    Model('KnightsMill', 3, 2, 2, 0x517ec4, 2),
    Model('Denverton', 4, 4, 3, 0x517ec4, 3, True),
    Model('Snowridge', 5, 4, 4, 0x5111c4, 3),
    Model('SierraForest', 5, 8, 4, 0x517ec4, 2),
)

# The loop of the program "loop": its two instructions
DEC, JNZ = 0x401005, 0x401007
PERIOD = 10007


class X86VpmuModels(VpmuTest):

    def check_ticks(self, guest, model):
        '''rr's event is exact'''
        expected = guest.expected()['branches']
        got = parse_stat(guest.run(f'{STAT} -e r{model.ticks:x}:u branches '
                                   '2>&1'))
        self.assertEqual(got, [expected['cond']])

    def check_cycles(self, guest, model, precise):
        '''Every sample of precise cycles names the right instruction'''
        guest.run(f'alone perf record -q -e cycles:{"p" * precise} --all-user '
                  f'-c {PERIOD} -o /tmp/data loop 2>&1')
        ips = [int(ip, 16) for ip in guest.run(
            'perf script -i /tmp/data -F ip 2>&1').split()]
        # The odd instructions are JNZ, since a MOV comes before the loop.  With
        # a single p Linux shows the instruction after the one that is meant.
        odd, even = (DEC, JNZ) if precise == 1 else (JNZ, DEC)
        total = guest.expected()['loop']['instructions']
        # Because of erratum BDM11, Linux starts with a multiple of 64
        first = PERIOD
        if model.cpu == 'Broadwell' and precise == 3:
            first &= ~63
        self.assertEqual(ips, [odd if nth % 2 else even for nth in
                               range(first, total, PERIOD)],
                         f'{model.cpu}, {precise} p')

    def check_found(self, guest, model):
        '''Linux finds the PMU of the processor, and nothing wrong with it'''
        log = guest.run('dmesg')
        self.check_probe(log, rf'version: +{model.version}\s',
                         rf'generic registers: +{model.counters}\s',
                         r'fixed-purpose events: +3\s')
        baseline = '-baseline' if model.pebs >= 4 else ''
        self.assertIn(f'PEBS fmt{model.pebs}+{baseline},', log)

    def check_default(self, guest):
        '''perf record without an event takes precise cycles as well'''
        guest.run('perf record -q -o /tmp/data loop 2>&1')
        self.assertGreater(int(guest.run(
            'perf script -i /tmp/data -F ip 2>/dev/null | wc -l')), 0)

    def check_model(self, model):
        _, guest = self.boot(*ICOUNT, cpu=f'{model.cpu},pmu=on')
        self.check_found(guest, model)
        if model.ticks:
            self.check_ticks(guest, model)
        for precise in range(1, model.precise + 1):
            self.check_cycles(guest, model, precise)
        for precise in range(model.precise + 1, 4):
            self.assertIn("doesn't support sampling", guest.run(
                f'perf record -e cycles:{"p" * precise} -o /tmp/data loop 2>&1',
                check=False))
        self.check_default(guest)
        self.assertNotRegex(guest.run('dmesg'), TROUBLE)


def add_test(model):
    '''A test of its own for the model'''
    def test(self):
        self.check_model(model)

    test.__doc__ = f'What perf and rr take is exact on {model.cpu}'
    name = model.cpu.split(',', maxsplit=1)[0].replace('-', '_').lower()
    setattr(X86VpmuModels, 'test_' + name, test)


for each in MODELS:
    if each.always or os.environ.get('VPMU_MODELS') == 'all':
        add_test(each)

if __name__ == '__main__':
    VpmuTest.main()
