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
from vpmu_test import VpmuTest

# As in test_x86_64_vpmu_pebs.py: nothing else runs beside the programs
ICOUNT = ('-icount', 'shift=0,sleep=off')

# name: of QEMU's model; ticks: the event that rr takes, 0: it takes none;
# precise: how many p perf may have; always: it is not for VPMU_MODELS=all only
Model = namedtuple('Model', 'name ticks precise always', defaults=(False,))

MODELS = (
    Model('Penryn', 0, 2),
    Model('Nehalem', 0x5101c4, 2, True),
    Model('Westmere', 0x5101c4, 2),
    Model('IvyBridge', 0x5101c4, 3),
    Model('Haswell', 0x5101c4, 3, True),
    Model('Broadwell', 0x5101c4, 3),
    Model('Skylake-Client', 0x5101c4, 3),
    Model('Skylake-Server', 0x5101c4, 3, True),
    Model('Cascadelake-Server', 0x5101c4, 3),
    Model('Cooperlake', 0x5101c4, 3),
    Model('Icelake-Server-v6', 0x5111c4, 3),
    Model('SapphireRapids', 0x5111c4, 3, True),
    Model('GraniteRapids', 0x5111c4, 2),
    Model('Denverton', 0x517ec4, 3, True),
    Model('Snowridge', 0x5111c4, 3),
    Model('SierraForest', 0x517ec4, 2),
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
        self.assertEqual(got, [expected['cond']], model.name)

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
        if model.name == 'Broadwell' and precise == 3:
            first &= ~63
        self.assertEqual(ips, [odd if nth % 2 else even for nth in
                               range(first, total, PERIOD)],
                         f'{model.name}, {precise} p')

    def check_model(self, model):
        vm, guest = self.start(model.name, *ICOUNT,
                               cpu=f'{model.name},pmu=on')
        guest.wait_ready()
        if model.ticks:
            self.check_ticks(guest, model)
        self.assertEqual(guest.run(
            'cat /sys/bus/event_source/devices/cpu/caps/max_precise').strip(),
            str(model.precise), model.name)
        for precise in range(1, model.precise + 1):
            self.check_cycles(guest, model, precise)
        vm.shutdown()


def add_test(model):
    '''A test of its own for the model'''
    def test(self):
        self.check_model(model)

    test.__doc__ = f'What perf and rr take is exact on {model.name}'
    setattr(X86VpmuModels, 'test_' + model.name.replace('-', '_').lower(),
            test)


for each in MODELS:
    if each.always or os.environ.get('VPMU_MODELS') == 'all':
        add_test(each)

if __name__ == '__main__':
    VpmuTest.main()
