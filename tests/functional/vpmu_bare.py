# SPDX-License-Identifier: GPL-2.0-or-later
'''
Guests without an operating system, for the functional tests that do something
to their machines.

tests/vpmu/steady.c checks itself, and prints a line for each round.  What it
prints is appended to one file, also by the machine to which it is migrated.

Environment:

VPMU_BARE      the folder with the programs
VPMU_PRISTINE  QEMU of the same version without our changes; it need not exist
VPMU_SEED      what the operator does by chance (default: printed)
'''

import contextlib
import os
import random
import re
import socket
import threading
import time

from vpmu_guest import cpu_model
from vpmu_test import VpmuTest, counter_set, identify

# The guest sees four counters.  The operator may have the other four, by which
# those of the guest move.
HIDDEN = 4
FEATURES = ('pmu-passthrough=on', f'pmu-host-gp={HIDDEN}',
            'pmu-host-order=low')
CPUS = 3

PRISTINE = os.environ['VPMU_PRISTINE']
NO_PRISTINE = 'there is no QEMU without our changes; "make pristine" builds it'

SEED = int(os.environ.get('VPMU_SEED', random.randrange(1 << 16)))

# Of a migration, which may be set for it or not
CAPABILITIES = 'events', 'return-path', 'postcopy-ram', 'multifd'


class Gate:
    '''
    What a migration goes through, from the socket @path to the socket @target.
    It lets the beginning of each stream pass, and nothing more until it is
    opened: the guest runs on while the source waits.
    '''

    BEGINNING = 65536

    def __init__(self, path, target):
        self.target = target
        self.is_open = threading.Event()
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen()
        self.spawn(self.accept)

    def spawn(self, function, *args):
        threading.Thread(target=function, args=args, daemon=True).start()

    def accept(self):
        # A migration may have several streams.
        with contextlib.suppress(OSError):
            while True:
                source, _ = self.listener.accept()
                target = socket.socket(socket.AF_UNIX)
                target.connect(self.target)
                self.spawn(self.forward, source, target, self.BEGINNING)
                self.spawn(self.forward, target, source, None)

    def forward(self, reader, writer, limit):
        '''One direction of a stream; a side that ends, ends the other'''
        with contextlib.suppress(OSError):
            while data := reader.recv(16384):
                writer.sendall(data)
                if limit is not None and limit <= 0:
                    self.is_open.wait()
                elif limit is not None:
                    limit -= len(data)
        for end in reader, writer:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def open(self):
        self.is_open.set()

    def close(self):
        self.open()
        # Whoever waits for a connection no longer does.
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class BareTest(VpmuTest):

    # How many have been started
    migrations = 0
    # When a machine hangs, if it still runs after so many seconds
    LONGEST = 1200

    def setUp(self):
        super().setUp()
        random.seed(SEED)
        self.say(f'seed {SEED}')

    def start_bare(self, name, program, *args, cpu=None, binary=None):
        '''Starts a machine with one of the programs'''
        ours = self.qemu_bin
        self.qemu_bin = binary or ours
        vm = self.get_vm(name=name)
        self.qemu_bin = ours
        vm.add_args('-nodefaults', '-cpu', cpu or cpu_model('pmu=on'),
                    '-kernel', os.path.join(os.environ['VPMU_BARE'],
                                            f'{program}.elf'), *args)
        vm.launch()
        self.kill_later(vm, self.LONGEST)
        return vm

    def read(self, log):
        with open(log, encoding='ascii') as file:
            return file.read()

    def memory(self, vm):
        '''What the emulator has of the machine's memory, in MiB'''
        status = self.read(f'/proc/{vm.get_pid()}/status')
        return int(re.search(r'VmRSS:\s+(\d+)', status)[1]) / 1024

    def say(self, text):
        # A comment in TAP
        print(f'# {text}', flush=True)

    def wait_until(self, condition, timeout=120, pause=0.02):
        super().wait_until(condition, timeout, pause)

    # The program "steady"

    def start_steady(self, name, *args, features=FEATURES, **how):
        '''Starts a machine, or with "-incoming" one that waits for it'''
        self.log_path = self.scratch_file('steady.log')
        how.setdefault('cpu', cpu_model(*features))
        return self.start_bare(
            name, 'steady', '-accel', 'tcg', '-m', '32', '-smp', str(CPUS),
            '-chardev', f'file,id=out,path={self.log_path},append=on',
            '-serial', 'chardev:out', *args, **how)

    def rounds(self):
        '''How many rounds its first CPU has done'''
        return len(re.findall('^# round', self.read(self.log_path), re.M))

    @contextlib.contextmanager
    def going_on(self, rounds=2):
        '''A context that is left when so many more rounds have been done'''
        until = self.rounds() + rounds
        yield
        self.wait_until(lambda: self.rounds() >= until)

    def reserve(self, vm, gp):
        answer = vm.qmp('vpmu-reserve-host-counters', {'gp': gp})
        self.assertIn('return', answer)
        info = self.picture(vm)
        self.assertEqual(info['reserved'], {'gp': gp, 'fixed': []})
        self.assertEqual(info['reserved'], counter_set(identify(
            info['cpus'][0]['host-counters'])))

    def operate(self, vm, rounds=2):
        '''Takes and gives back counters while so many rounds are done'''
        until = self.rounds() + rounds
        deadline = time.monotonic() + 120
        while self.rounds() < until:
            self.assertLess(time.monotonic(), deadline, 'no more rounds')
            self.reserve(vm, random.randint(0, HIDDEN))

    def check_steady(self, vm):
        '''Ends the program; nothing may have been wrong in it'''
        with self.going_on():
            pass
        vm.cmd('send-key', keys=[{'type': 'qcode', 'data': 'q'}])
        self.wait_until(lambda: re.search(r'^1\.\.', self.read(self.log_path),
                                          re.M))
        said = self.read(self.log_path)
        self.assertNotRegex(said, r'(?m)^not ok|^#.* [^0 ]\d* wrong|Bail out')
        results = re.findall(r'^ok \d+ - (.*)\r?$', said, re.M)
        self.assertEqual(len(results), 4 * CPUS, said[-2000:])
        self.say('; '.join(results[:4]))

    # Migration

    def set_capabilities(self, vm, *names):
        answer = vm.qmp('migrate-set-capabilities', {'capabilities': [
            {'capability': name, 'state': name in names}
            for name in CAPABILITIES]})
        reason = answer.get('error', {}).get('desc', '')
        if 'Userfaultfd not available' in reason:
            self.skipTest(f'{reason}; "sysctl vm.unprivileged_userfaultfd=1" '
                          'allows it')
        self.assertNotIn('error', answer)

    def migration(self, vm):
        return vm.cmd('query-migrate').get('status')

    def start_migration(self, source, target, *capabilities):
        '''Starts a migration that does not end before its gate is opened'''
        self.migrations += 1
        path = f'{self.socket_dir().name}/{self.migrations}'
        gate = Gate(path, f'{path}-target')
        self.addCleanup(gate.close)
        for vm in source, target:
            self.set_capabilities(vm, *capabilities)
        # So slow that a postcopy begins before all pages have been sent
        source.cmd('migrate-set-parameters', **{
            'max-bandwidth': 1 if 'postcopy-ram' in capabilities else 1 << 40})
        target.cmd('migrate-incoming', uri=f'unix:{gate.target}',
                   exit_on_error=False)
        source.cmd('migrate', uri=f'unix:{path}')
        return gate

    def arrive(self, gate, source, target):
        '''Lets a migration end, and waits for that on both sides'''
        gate.open()
        self.wait_migrated(source)
        self.wait_migrated(target)

    def wait_migrated(self, vm):
        def completed():
            status = self.migration(vm)
            self.assertNotIn(status, ('failed', 'cancelled', 'postcopy-paused'))
            return status == 'completed'
        self.wait_until(completed)

    def job(self, vm, command, **args):
        '''Executes a command that starts a job; returns its error, if any'''
        vm.cmd(command, job_id='job', **args)

        def query():
            return [job for job in vm.cmd('query-jobs')
                    if job['id'] == 'job'][0]
        self.wait_until(lambda: query()['status'] == 'concluded')
        error = query().get('error')
        vm.cmd('job-dismiss', id='job')
        return error

    def succeed(self, vm, command, **args):
        self.assertIsNone(self.job(vm, command, **args), command)

    def add_disk(self, vm, path):
        '''Gives a machine a disk for its state, called "disk"'''
        self.succeed(vm, 'blockdev-create', options={
            'driver': 'file', 'filename': path, 'size': 0})
        vm.cmd('blockdev-add', driver='file', node_name='file', filename=path)
        self.succeed(vm, 'blockdev-create', options={
            'driver': 'qcow2', 'file': 'file', 'size': 1 << 20})
        vm.cmd('blockdev-add', driver='qcow2', node_name='disk', file='file')
