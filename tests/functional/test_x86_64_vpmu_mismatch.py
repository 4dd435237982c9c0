#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Destinations at which the guest would see another PMU refuse it and say why, and
it goes on at the source as if nothing had happened (tests/vpmu/steady.c).

With QEMU without our changes, what is said is QEMU's own; a guest without a PMU
goes there and comes from there.
'''

import os
import unittest

from vpmu_bare import NO_PRISTINE, PRISTINE, BareTest

# -cpu of a source, what its guest sees, and such pairs of destinations
SEES = 'version 5, 8 general-purpose counters, fixed counters of mask 0x7, ' \
       'PEBS 0x4400, LBR format 5'
SOURCES = (
    (('pmu=on',), f'{SEES}, provided', (
        ('pmu=on,pmu-gp-counters=4', 'version 5, 4 general-purpose counters'),
        ('pmu=on,pmu-version=4', 'version 4, 8 general-purpose counters'),
        ('pmu=on,pebs=off', 'PEBS 0x0'),
        ('pmu=on,pebs-baseline=off', 'PEBS 0x400,'),
        ('pmu=on,pebs-fmt=3', 'PEBS 0x300'),
        ('pmu=on,lbr-fmt=6', 'LBR format 6'),
        ('pmu=on,lbr=off', 'LBR format 0'),
        ('pmu=on,pmu-model=simple', 'pmu-model=simple'),
        ('pmu=off', 'see none'))),
    (('pmu=on', 'pmu-model=simple'), f'{SEES}, pmu-model=simple, provided', (
        ('pmu=on', 'LBR format 5, provided'),)),
    (('pmu=on', 'bts=on'), f'{SEES}, BTS, provided', (
        ('pmu=on', 'LBR format 5, provided'),
        ('pmu=on,bts=on,lbr=off', 'LBR format 0, BTS'))),
)
AMD = ('EPYC-Genoa,pmu=on',
       'version 2, 6 general-purpose counters, fixed counters of mask 0x0')


class Mismatch(BareTest):

    nth = 0

    def fail_to_migrate(self, source, acknowledged, **target):
        '''
        The destination must refuse.  Returns: what it says.  Without a return
        path, the source has thought that all is well, and waits.
        '''
        self.nth += 1
        vm = self.start_steady(f'target-{self.nth}', '-incoming', 'defer',
                               **target)
        self.start_migration(source, vm,
                             *('return-path',) * acknowledged).open()
        self.wait_until(lambda: self.migration(vm) in ('completed', 'failed'))
        self.assertEqual(self.migration(vm), 'failed', target)
        vm.shutdown()
        self.wait_until(lambda: self.migration(source) in ('completed',
                                                           'failed'))
        if self.migration(source) == 'completed':
            self.assertFalse(acknowledged)
            source.cmd('cont')
        self.wait_until(
            lambda: source.cmd('query-status')['status'] == 'running')
        return vm.get_log()

    def check_refused(self, source, theirs, ours, **target):
        with self.going_on(1):
            said = self.fail_to_migrate(source, self.nth % 2, **target)
        self.assertRegex(
            said, f"the source's guest sees a PMU with {theirs}.*; on this "
            f"side it would .*{ours}.*: start it with the source's properties")

    def test_other_pmu(self):
        '''Each property of the PMU that the guest sees'''
        for nth, (features, theirs, others) in enumerate(SOURCES):
            source = self.start_steady(f'source-{nth}', features=features)
            for props, ours in others:
                self.check_refused(source, theirs, ours, features=(props,))
            self.check_refused(source, theirs, AMD[1], cpu=AMD[0])
            # It has lost nothing, and can be migrated still.
            target = self.start_steady(f'fits-{nth}', '-incoming', 'defer',
                                       features=features)
            self.arrive(self.start_migration(source, target), source, target)
            source.shutdown()
            self.check_steady(target)
            os.unlink(self.log_path)

    @unittest.skipUnless(os.path.exists(PRISTINE), NO_PRISTINE)
    def test_stock(self):
        '''QEMU without our changes has no such PMU'''
        source = self.start_steady('source', features=('pmu=on',))
        for nth, pmu in enumerate(('pmu=on', 'pmu=off')):
            with self.going_on(1):
                said = self.fail_to_migrate(source, nth % 2, binary=PRISTINE,
                                            features=(pmu,))
            self.assertIn("error while loading state for instance 0x0 of "
                          "device 'cpu'", said)
        self.check_steady(source)

    @unittest.skipUnless(os.path.exists(PRISTINE), NO_PRISTINE)
    def test_stock_without_pmu(self):
        '''A guest without a PMU goes there and back, and gets no PMU'''
        vm = self.start_steady('0', features=('pmu=off',))
        for nth, binary in enumerate((PRISTINE, None) * 2, 1):
            with self.going_on():
                pass
            target = self.start_steady(str(nth), '-incoming', 'defer',
                                       features=('pmu=off',), binary=binary)
            self.arrive(self.start_migration(vm, target), vm, target)
            vm.shutdown()
            vm = target
        self.check_steady(vm)


if __name__ == '__main__':
    BareTest.main()
