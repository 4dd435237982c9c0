# SPDX-License-Identifier: GPL-2.0-or-later
'''
The guest that the tests watch, and a terminal to watch it on.

tests/vpmu/watched.c has what the guest counts.
'''

import contextlib
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from qemu.qmp.legacy import QEMUMonitorProtocol

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / 'build'
QEMU = os.environ.get('QEMU', str(BUILD / 'qemu-system-x86_64'))
PROGRAM = [sys.executable, str(BUILD / 'qemu/tools/i386/vpmu-top')]

# What watched.c has counted before anything else, in gp 2 of the first CPU
DONE_INSNS = 402

# How long a test waits for what has to come, in seconds
PATIENCE = 60

CPU = ','.join(line for line in
               (TOP / 'tests/guest/cpu-model').read_text().splitlines()
               if not line.startswith('#'))
# The guest's counter 0 is on the slow path, because the host has its own
PMU = ('pmu-passthrough=on,pmu-visible=all,pmu-gp-counters=5,pmu-host-gp=1,'
       'pmu-host-order=low')


class Server(threading.Thread):
    '''Listens at the socket @path, and talks with one client after another'''

    def __init__(self, path):
        super().__init__(daemon=True)
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(path)
        self.server.listen()
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.server.accept()
            except OSError:
                return      # It is closed.
            with client:
                self.talk(client)

    def talk(self, client):
        '''Serves one client'''
        raise NotImplementedError


def wait_until(condition, what):
    '''Returns the first value of @condition that is true'''
    deadline = time.monotonic() + PATIENCE
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f'not after {PATIENCE} seconds: {what}')
        time.sleep(0.05)
    return value


def program(*args, timeout=PATIENCE, **env):
    '''Runs the program, on no terminal; returns what became of it'''
    return subprocess.run([*PROGRAM, *args], env=os.environ | env,
                          stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=timeout, check=False)


class Emulator:
    '''An emulator with two QMP sockets, one for us and one to be watched'''

    def __init__(self, folder, name, *args):
        self.socket = str(Path(folder) / f'{name}.qmp')
        own = str(Path(folder) / f'{name}-own.qmp')
        monitor = QEMUMonitorProtocol(own, server=True)
        self.process = subprocess.Popen(
            [QEMU, '-nodefaults', '-display', 'none', '-name', name,
             '-qmp', f'unix:{own}',
             '-qmp', f'unix:{self.socket},server=on,wait=off', *args],
            stdin=subprocess.DEVNULL)
        self.qmp = monitor
        with self.ended_by_errors():
            monitor.accept(PATIENCE)

    @contextlib.contextmanager
    def ended_by_errors(self):
        '''Nobody else ends an emulator whose constructor fails'''
        try:
            yield
        except BaseException:
            self.end()
            raise

    def end(self):
        '''It is gone after this, and so is its socket'''
        if self.process.returncode is not None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            self.qmp.close()
        except EOFError:
            pass    # It has hung up first.
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Guest(Emulator):
    '''An emulator that executes watched.c'''

    def __init__(self, folder, name='watched', *args):
        super().__init__(
            folder, name, '-accel', 'tcg,thread=single',
            '-cpu', f'{CPU},{PMU}', '-smp', '2', '-device', 'isa-debug-exit',
            '-serial', f'file:{folder}/{name}.serial',
            '-kernel', str(BUILD / 'vpmu/watched.elf'), *args)
        with self.ended_by_errors():
            wait_until(self.is_counting, 'the guest counts')

    def vpmu(self):
        '''The answer of query-vpmu'''
        return self.qmp.cmd('query-vpmu')

    def is_counting(self):
        '''Whether each CPU counts'''
        return all(cpu['counters'] and cpu['counters'][5]['enabled']
                   for cpu in self.vpmu()['cpus'])

    def reserved(self):
        '''What is reserved'''
        return self.vpmu()['reserved']


class Terminal:
    '''The program on a real terminal, tmux'''

    def __init__(self, *args, width=80, height=24, term='', **env):
        self.folder = tempfile.TemporaryDirectory()
        socket = f'{self.folder.name}/tmux'
        self.tmux_command = ['tmux', '-S', socket, '-f', '/dev/null']
        self.status = Path(self.folder.name) / 'status'
        self.pid = Path(self.folder.name) / 'pid'
        words = [f'{key}={value}' for key, value in env.items()]
        if term:
            words.append(f'TERM={term}')
        command = shlex.join(['env', *words, *PROGRAM, *args])
        command = shlex.join(['sh', '-c', f'echo $$ > {self.pid}; '
                              f'exec {command}'])
        # The terminal stays when the program has ended.
        self.tmux('new-session', '-d', '-x', str(width), '-y', str(height),
                  f'{command}; echo $? > {self.status}; sleep 100')

    def tmux(self, *args):
        '''Has tmux do something'''
        return subprocess.run([*self.tmux_command, *args], check=True,
                              env=os.environ | {'LC_ALL': 'C.UTF-8'},
                              stdout=subprocess.PIPE, text=True).stdout

    def screen(self, colors=False):
        '''The lines on the screen'''
        args = ['-e'] if colors else []
        return self.tmux('capture-pane', '-p', *args).split('\n')[:-1]

    def keys(self, *keys):
        '''Types keys, by their names in tmux'''
        self.tmux('send-keys', *keys)

    def text(self, text):
        '''Types text'''
        self.tmux('send-keys', '-l', text)

    def resize(self, width, height):
        '''Gives the terminal another size'''
        self.tmux('resize-window', '-x', str(width), '-y', str(height))

    def wait_for(self, pattern):
        '''Waits for a screen that has it; returns the lines'''
        seen = []

        def found():
            seen[:] = self.screen()
            return re.search(pattern, '\n'.join(seen), re.MULTILINE)

        try:
            wait_until(found, pattern)
        except AssertionError as err:
            raise AssertionError(f'{err}; the screen is\n' +
                                 '\n'.join(seen)) from None
        return seen

    def wait_end(self):
        '''Waits for the program; returns its exit status'''
        return int(wait_until(
            lambda: self.status.exists() and self.status.read_text(),
            'the program ends'))

    def close(self):
        '''The terminal goes, and the program must end then'''
        pid = int(self.pid.read_text())
        self.tmux('kill-server')
        wait_until(lambda: not Path(f'/proc/{pid}').exists(),
                   'the program ends when its terminal is gone')
        self.folder.cleanup()
