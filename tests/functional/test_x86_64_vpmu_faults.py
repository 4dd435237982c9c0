#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Faults that are made on purpose around a guest that counts, is interrupted and
makes records (tests/vpmu/steady.c).  It loses nothing by any of them.

Environment:

VPMU_STOPPED_SECONDS  how long the emulator does not run (default 2)
VPMU_UNREAD           how many answers somebody asks for and does not read
                      (default 300)
'''

import errno
import os
import re
import signal
import threading
import time
from pathlib import Path

from vpmu_bare import BareTest
from vpmu_test import Monitor

STOPPED = int(os.environ.get('VPMU_STOPPED_SECONDS', '2'))
UNREAD = int(os.environ.get('VPMU_UNREAD', '300'))

# After so many writes the disk is full, in the middle of the machine's state.
WRITES = 8


class Faults(BareTest):

    def start_with_monitor(self):
        '''A machine with a second monitor, and where that is'''
        path = f'{self.socket_dir().name}/monitor'
        vm = self.start_steady('guest', '-qmp',
                               f'unix:{path},server=on,wait=off')
        self.operate(vm)
        return vm, path

    # The disk is full

    def add_full_disk(self, vm):
        '''A disk for the machine's state that takes so many writes, no more'''
        path = self.scratch_file('full.qcow2')
        self.succeed(vm, 'blockdev-create', options={
            'driver': 'file', 'filename': path, 'size': 0})
        vm.cmd('blockdev-add', driver='file', node_name='below', filename=path)
        self.succeed(vm, 'blockdev-create', options={
            'driver': 'qcow2', 'file': 'below', 'size': 1 << 20})
        vm.cmd('blockdev-add', driver='blkdebug', node_name='room',
               image='below', set_state=[
                   {'event': 'write_aio', 'state': nth, 'new_state': nth + 1}
                   for nth in range(1, WRITES + 1)], inject_error=[
                       {'event': 'write_aio', 'errno': errno.ENOSPC,
                        'state': WRITES + 1, 'once': False}])
        vm.cmd('blockdev-add', driver='qcow2', node_name='full', file='room')

    def test_full_disk(self):
        '''A snapshot for which there is no room, and one for which there is'''
        vm = self.start_steady('guest')
        self.add_full_disk(vm)
        self.add_disk(vm, self.scratch_file('disk.qcow2'))
        for disk in 'full', 'full', 'disk':
            self.operate(vm, 1)
            error = self.job(vm, 'snapshot-save', tag='here', vmstate=disk,
                             devices=[disk])
            if disk == 'full':
                self.assertIn('Input/output error', error)
            else:
                self.assertIsNone(error)
        self.operate(vm, 1)
        self.succeed(vm, 'snapshot-load', tag='here', vmstate='disk',
                     devices=['disk'])
        vm.cmd('cont')
        self.check_steady(vm)
        # After a snapshot that failed, QEMU cannot quit: it aborts in
        # bdrv_close_all(), also without our changes.
        vm.kill()

    def test_full_file(self):
        '''A migration to a file for which there is no room'''
        vm = self.start_steady('guest')
        with self.going_on(1):
            pass
        vm.cmd('migrate', uri='exec:dd of=/dev/full bs=4k')
        self.wait_until(lambda: self.migration(vm) == 'failed')
        self.operate(vm, 1)
        self.check_steady(vm)

    # Peers of the monitor

    def test_peer_that_does_not_read(self):
        '''Its answers pile up; another operator works as ever'''
        vm, path = self.start_with_monitor()
        before = self.memory(vm)
        peer = Monitor(path)
        # The longest answer, and events
        for _ in range(UNREAD):
            peer.send('query-vpmu')
        self.operate(vm, UNREAD // 10)
        self.say(f'{UNREAD} answers that nobody reads: {before:.1f} MiB at '
                 f'first, then {self.memory(vm):.1f} MiB')
        # They all are there.
        answers = 0
        while answers < UNREAD:
            answers += 'return' in peer.read()
        peer.close()
        self.check_steady(vm)

    def test_peer_that_goes_away(self):
        '''In the middle of a command, and with answers to come'''
        vm, path = self.start_with_monitor()
        for last in b'{"execute": "query-vpmu"', b'{"execute": "query-vpmu"}':
            peer = Monitor(path)
            for _ in range(50):
                peer.send('query-vpmu')
            peer.socket.sendall(last)
            peer.close()
            self.operate(vm, 1)
        peer = Monitor(path)
        peer.send('query-vpmu')
        self.assertIn('return', peer.read())
        peer.close()
        self.check_steady(vm)

    # The other side of a migration

    def start_target(self, vm, name, *capabilities):
        '''Starts a migration; returns the new machine and the gate'''
        target = self.start_steady(name, '-incoming', 'defer')
        gate = self.start_migration(vm, target, *capabilities)
        self.wait_until(lambda: self.migration(vm) == 'active')
        with self.going_on():
            pass
        self.assertEqual(self.migration(vm), 'active')
        return target, gate

    def kill_target(self, vm, name, *capabilities):
        '''A migration to a machine that dies before it has all'''
        target, _ = self.start_target(vm, name, *capabilities)
        target.kill()
        self.wait_until(lambda: self.migration(vm) == 'failed')
        self.operate(vm)

    def test_target_that_dies(self):
        '''The guest goes on at the source, and can be migrated still'''
        vm = self.start_steady('guest')
        for nth, capabilities in enumerate(((), ('return-path',),
                                            ('multifd',))):
            self.kill_target(vm, f'dies-{nth}', *capabilities)
        target, gate = self.start_target(vm, 'lives')
        self.arrive(gate, vm, target)
        vm.shutdown()
        self.operate(target)
        self.check_steady(target)

    def test_target_that_dies_before_postcopy(self):
        '''The memory is still that of the source'''
        vm = self.start_steady('guest')
        self.kill_target(vm, 'dies', 'postcopy-ram')
        self.check_steady(vm)

    def test_cancelled(self):
        '''The operator thinks better of it'''
        vm = self.start_steady('guest')
        for nth in range(2):
            target, gate = self.start_target(vm, f'never-{nth}')
            vm.cmd('migrate_cancel')
            self.wait_until(lambda: self.migration(vm) == 'cancelled')
            gate.open()
            self.wait_until(lambda: self.migration(target) == 'failed')
            target.shutdown()
            self.operate(vm)
        self.check_steady(vm)

    # The host

    def test_stopped(self):
        '''The emulator does not run for a while, also while it migrates'''
        vm = self.start_steady('guest')
        self.operate(vm)
        target, gate = self.start_target(vm, 'target')
        for stopped in vm, target:
            os.kill(stopped.get_pid(), signal.SIGSTOP)
            begin = time.monotonic()
            threading.Timer(STOPPED, os.kill, (stopped.get_pid(),
                                               signal.SIGCONT)).start()
            # It is answered as soon as it can be.
            stopped.cmd('query-vpmu')
            self.assertGreaterEqual(time.monotonic() - begin, STOPPED)
            with self.going_on():
                pass
        self.arrive(gate, vm, target)
        vm.shutdown()
        self.operate(target)
        self.check_steady(target)

    def test_clocks(self):
        '''Nobody can set the clocks that the PMU reads'''
        top = Path(__file__).resolve().parents[2]
        files = [*top.glob('target/i386/vpmu/*'),
                 *top.glob('hw/i386/vpmu*')]
        found = set()
        for file in files:
            found |= set(re.findall(
                r'QEMU_CLOCK_\w+|\bget_clock\w*|clock_gettime|gettimeofday|'
                r'\bg_get_\w*_time\b|\bg_date_time_new_now\w*|\btime\(|'
                r'\blocaltime\w*|\brdtsc\w*', file.read_text()))
        # The guest's, which stands still with it, and the host's monotonic one
        self.assertEqual(found, {'QEMU_CLOCK_VIRTUAL', 'QEMU_CLOCK_REALTIME'})


if __name__ == '__main__':
    BareTest.main()
