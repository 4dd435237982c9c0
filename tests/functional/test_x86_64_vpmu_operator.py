#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
A clumsy operator: random calls of the PMU's QMP commands, right and wrong, as
their schema has them, while the guest counts.  None may cost the guest a count,
every error has a class and a text, and one that is refused changes nothing.

Environment:

VPMU_OPERATOR_CALLS  how many calls are made (default 300)
VPMU_OPERATOR_SEED   of the random numbers (default: the time; it is printed)
'''

import os
import time

from vpmu_guest import Counting, Shell
from vpmu_operator import ClumsyOperator
from vpmu_test import VpmuTest

CALLS = int(os.environ.get('VPMU_OPERATOR_CALLS', '300'))
SEED = int(os.environ.get('VPMU_OPERATOR_SEED', time.time_ns() % 1000000))

# The counters that the guest does not see; it always has enough of the others
SPARE = 4
PROGRAM = 'branches'


class Operator(VpmuTest):

    def test_calls(self):
        '''Random calls, while four processes count'''
        print(f'# VPMU_OPERATOR_SEED={SEED}', flush=True)
        vm, guest = self.boot(
            '-smp', '4', cmdline=f'{Shell.APPEND} nmi_watchdog=0',
            features=('pmu-passthrough=on', f'pmu-host-gp={SPARE}'))
        # Fixed counters may all be taken away.
        events = sorted(set(guest.expected()[PROGRAM]) - {'instructions'})
        events = events[:SPARE]
        counting = Counting(guest, PROGRAM, events)
        operator = ClumsyOperator(self, vm.qmp, lambda: self.picture(vm),
                                  SPARE, SEED)
        accepted = operator.make_calls(CALLS)
        turns = counting.finish()
        print(f'# accepted of {CALLS}: {accepted}; {turns} counts of '
              f'{len(events)} events exact', flush=True)
        for command, times in accepted.items():
            self.assertGreater(times, 0, command)
        self.assertLess(sum(accepted.values()), CALLS)


if __name__ == '__main__':
    VpmuTest.main()
