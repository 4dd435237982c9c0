#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
A guest is migrated alive, and saved and loaded, again and again, while it
counts, is interrupted and makes records (tests/vpmu/steady.c), and while an
operator takes counters and gives them back.  Each count is exact, and no
interrupt and no record is lost or there twice.

Environment:

VPMU_MIGRATIONS  how often it is migrated in each way, and saved and loaded
                 (default 2)
'''

import os

from vpmu_bare import FEATURES, HIDDEN, BareTest

TIMES = int(os.environ.get('VPMU_MIGRATIONS', '2'))

# The same four counters for the guest: those that the operator leaves are the
# upper ones, the lower ones, or all that there are.
KINDS = (FEATURES, ('pmu-passthrough=on', f'pmu-host-gp={HIDDEN}'),
         ('pmu=on', f'pmu-gp-counters={8 - HIDDEN}'))
WAYS = {'precopy': (), 'multifd': ('multifd',), 'postcopy': ('postcopy-ram',)}


class Migration(BareTest):

    def shares(self, vm):
        '''Whether there is something that its operator may have'''
        return 'pmu-passthrough=on' in ' '.join(vm.args)

    def refuse(self, vm, reason):
        '''The operator cannot have counters now'''
        if self.shares(vm):
            answer = vm.qmp('vpmu-reserve-host-counters', {'gp': 0})
            self.assertIn(reason, answer['error']['desc'])

    def operate_or_wait(self, vm, rounds=2):
        if self.shares(vm):
            self.operate(vm, rounds)
        else:
            with self.going_on(rounds):
                pass

    def migrate(self, way, source, target):
        '''Migrates the guest, which does rounds all the time'''
        # It has some as a destination.
        source.get_qmp_events()
        gate = self.start_migration(source, target, *WAYS[way], 'events')
        self.wait_until(lambda: self.migration(source) == 'active')
        with self.going_on():
            self.refuse(source, 'a migration is running')
            self.refuse(target, 'waits for an incoming migration')
        self.assertEqual(self.migration(source), 'active')
        if way == 'postcopy':
            source.cmd('migrate-start-postcopy')
        self.arrive(gate, source, target)
        statuses = [event['data']['status']
                    for event in source.get_qmp_events()
                    if event['event'] == 'MIGRATION']
        self.assertEqual('postcopy-active' in statuses, way == 'postcopy')
        source.shutdown()

    def migrate_in_turn(self, *ways):
        vm = self.start_steady('0')
        for nth in range(TIMES * len(ways)):
            self.operate_or_wait(vm)
            target = self.start_steady(
                str(nth + 1), '-incoming', 'defer',
                features=KINDS[(nth + 1) % len(KINDS)])
            self.migrate(ways[nth % len(ways)], vm, target)
            vm = target
        self.operate_or_wait(vm)
        self.check_steady(vm)

    def test_migrations(self):
        '''Precopy and multifd in turn, in six turns between all kinds'''
        self.migrate_in_turn('precopy', 'multifd')

    def test_postcopy(self):
        '''The guest runs on at the destination before its memory is there'''
        self.migrate_in_turn('postcopy')

    def test_snapshots(self):
        '''Saved while it runs, and loaded later'''
        vm = self.start_steady('saved')
        self.add_disk(vm, self.scratch_file('disk.qcow2'))
        snapshot = {'tag': 'here', 'devices': ['disk']}
        for _ in range(TIMES):
            self.operate(vm)
            self.succeed(vm, 'snapshot-save', vmstate='disk', **snapshot)
            self.operate(vm)
            self.succeed(vm, 'snapshot-load', vmstate='disk', **snapshot)
            self.succeed(vm, 'snapshot-delete', **snapshot)
            vm.cmd('cont')
        self.check_steady(vm)


if __name__ == '__main__':
    BareTest.main()
