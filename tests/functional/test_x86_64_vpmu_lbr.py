#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Branch records, with Linux and perf in the guest.

The programs declare the branches that a turn of their loops takes, in order, so
that the branch with any number is known.  perf samples every n-th taken branch:
the records of a sample are that branch and those before it.  A plugin of QEMU,
which has nothing to do with the virtual PMU, writes down the same branches.
'''

import os

from vpmu_test import VpmuTest

# The turns of the programs' loops, as their sources have them
HOPS_TURNS = 2000
NEST_TURNS = 200

# The addresses of the programs "hops" and "nest"
FIRST, LAST = 0x21000000, 0x22ffffff


class X86VpmuLbr(VpmuTest):

    def traced(self, programs):
        '''
        The branches that the plugin sees in these programs, each executed once
        in a guest without a PMU: [(from, to)].
        '''
        log = self.scratch_file('branches.log')
        vm, guest = self.start(
            'traced', '-d', 'plugin', '-D', log, '-plugin',
            f'{os.environ["VPMU_PLUGIN"]},first={FIRST},last={LAST}',
            features=('pmu=off',))
        guest.wait_ready()
        for program in programs:
            guest.run(program, check=False)
        # The plugin prints when the emulator ends by itself
        guest.start('poweroff -f')
        vm.wait()
        with open(log, encoding='ascii') as lines:
            return [tuple(int(address, 16) for address in line.split())
                    for line in lines if line.startswith('0x')]

    @staticmethod
    def branches(hops, turns):
        '''All branches that a program takes; the last loop ends'''
        return (hops * turns)[:-1]

    def test_plugin(self):
        '''The plugin writes down what the programs declare'''
        found = self.traced(['hops', 'nest'])
        _, guest = self.boot(features=('pmu=off',))
        hops = guest.hops()
        declared = (self.branches(hops['hops'], HOPS_TURNS) +
                    self.branches(hops['nest'], NEST_TURNS))
        # unittest takes minutes to describe how long lists differ
        self.assertTrue(found == [hop[:2] for hop in declared])


if __name__ == '__main__':
    VpmuTest.main()
