#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Run a program that stops its machine by the device "pvpanic".  At each stop the
machine is saved and loaded, or migrated to a new emulator, and goes on.  The
program's output is printed, and its exit status is that of the emulator.

usage: lbr-stops.py QEMU ARGUMENT...
'''

import re
import sys
import tempfile
import time

from qemu.machine import QEMUMachine

TIMEOUT = 60


class Machine(QEMUMachine):

    def __init__(self, folder, *args):
        super().__init__(sys.argv[1])
        self.folder = folder
        self.add_args('-accel', 'tcg', '-nodefaults', '-device', 'pvpanic',
                      '-action', 'panic=pause', '-chardev',
                      f'file,id=out,path={folder}/out,append=on',
                      '-serial', 'chardev:out', '-device', 'isa-debug-exit',
                      *sys.argv[2:], *args)
        self.launch()

    def stops(self):
        '''Waits until the machine has stopped; false if the program ends'''
        events = [('STOP', None), ('SHUTDOWN', None)]
        return self.events_wait(events, TIMEOUT)['event'] == 'STOP'

    def wait_for(self, condition):
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            if time.monotonic() > deadline:
                sys.exit('it takes too long')
            time.sleep(0.02)

    def job(self, command, **args):
        '''Executes a command that starts a job; waits for the job'''
        self.cmd(command, job_id='job', **args)
        self.wait_for(lambda: self.cmd('query-jobs')[0]['status'] ==
                      'concluded')
        job = self.cmd('query-jobs')[0]
        if 'error' in job:
            sys.exit(job['error'])
        self.cmd('job-dismiss', id='job')

    def save_and_load(self):
        image = f'{self.folder}/disk'
        self.job('blockdev-create', options={
            'driver': 'file', 'filename': image, 'size': 0})
        self.cmd('blockdev-add', driver='file', node_name='file',
                 filename=image)
        self.job('blockdev-create', options={
            'driver': 'qcow2', 'file': 'file', 'size': 1 << 20})
        self.cmd('blockdev-add', driver='qcow2', node_name='disk', file='file')
        snapshot = {'tag': 'here', 'vmstate': 'disk', 'devices': ['disk']}
        self.job('snapshot-save', **snapshot)
        self.job('snapshot-load', **snapshot)
        self.cmd('blockdev-del', node_name='disk')
        self.cmd('blockdev-del', node_name='file')

    def migrate(self):
        '''Returns: the machine that goes on'''
        state = f'{self.folder}/state'
        self.cmd('migrate', uri=f'file:{state}')
        self.wait_for(lambda: self.cmd('query-migrate')['status'] ==
                      'completed')
        self.shutdown()
        target = Machine(self.folder, '-incoming', f'file:{state}')
        target.wait_for(lambda: target.cmd('query-status')['status'] !=
                        'inmigrate')
        return target


def main():
    with tempfile.TemporaryDirectory() as folder:
        vm = Machine(folder)
        stops = 0
        while vm.stops():
            stops += 1
            if stops % 2:
                vm = vm.migrate()
            else:
                vm.save_and_load()
            vm.cmd('cont')
        vm.wait()
        with open(f'{folder}/out', encoding='ascii') as out:
            said = out.read()
        sys.stdout.write(said)
        asked = re.findall('^# stops: ([0-9]+)', said, re.MULTILINE)
        if not stops or asked != [str(stops)]:
            sys.exit(f'the machine stopped {stops} times, not {asked}')
        sys.exit(vm.exitcode())


main()
