# SPDX-License-Identifier: GPL-2.0-or-later
'''
The Linux guest that shows the software PMU at work.

What the functional tests, the demonstration and the benchmark share: the
machine they boot, and a shell in it to type into.  Needs nothing but Python's
own library.
'''

import os
import re
import time
from pathlib import Path

GUEST = Path(__file__).resolve().parents[1] / 'guest'
# Where scripts/guest-image puts what is booted
IMAGE = GUEST.parents[1] / 'build/guest'

KERNEL_ARGS = 'console=ttyS0 quiet panic=-1 no_timer_check rdinit=/init'


def _table(name):
    '''The lines of a text file of tests/guest without their comments'''
    lines = (GUEST / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith('#')]


def cpu_model(*features):
    '''The value of -cpu, with @features like "pmu=on" added'''
    return ','.join(_table('cpu-model') + list(features))


def append(run='', extra=''):
    '''The value of -append: the guest executes @run and powers off'''
    assert '"' not in run, 'init takes everything up to the next quote'
    words = [KERNEL_ARGS, extra, f'vpmu.run="{run}"' if run else '']
    return ' '.join(filter(None, words))


def command_line(qemu, cpu, kernel_args, *args):
    '''The emulator's command line for the guest'''
    return [qemu, '-accel', 'tcg', '-cpu', cpu, '-m', '512',
            '-kernel', str(IMAGE / 'vmlinuz'),
            '-initrd', str(IMAGE / 'initrd'),
            '-append', kernel_args, '-nodefaults', '-no-reboot', *args]


class GuestError(Exception):
    '''The guest died, hangs, or a command in it failed'''


class SerialLine:
    '''
    A guest's serial line: what it says goes to a file, what it hears comes
    through a FIFO, both in @directory.

    A socket or pipe would not do: when its buffer is full the emulated UART
    has to wait, and a guest that prints much then sometimes stalls until it
    hears something, with or without a PMU.  A file is never full.
    '''

    def __init__(self, directory, name='serial'):
        self.path = Path(directory) / f'{name}.log'
        fifo = Path(directory) / f'{name}.fifo'
        self.path.write_bytes(b'')
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        self.reader = open(self.path, 'rb', buffering=0)
        # For reading too, so that it need not wait for the emulator
        self.writer = open(fifo, 'r+b', buffering=0)
        path, fifo = (str(name).replace(',', ',,')
                      for name in (self.path, fifo))
        self.args = ['-chardev', f'file,id=line,path={path},input-path={fifo}',
                     '-serial', 'chardev:line']

    def close(self):
        self.reader.close()
        self.writer.close()


class Shell:
    '''
    A shell in the guest, on the other end of a serial line.

    The kernel is booted with Shell.APPEND.  The shell there reads from the
    line without echo or prompt, so all that arrives is what the commands
    print, between two marks.  @alive tells whether the emulator still runs.
    '''

    # To the shell the line is a script, so it neither prompts nor edits; to
    # the commands it is the terminal that perf wants to see
    APPEND = append(run='stty -echo; echo vpmu: ready; exec sh /dev/console')
    READY = 'vpmu: ready\r\n'

    def __init__(self, line, alive):
        self.line = line
        self.alive = alive
        self.seen = ''
        self.count = 0

    def wait_for(self, pattern, timeout=120):
        '''Reads up to a match of the regex @pattern; returns the match'''
        deadline = time.monotonic() + timeout
        while True:
            match = re.search(pattern, self.seen, re.DOTALL)
            if match:
                self.seen = self.seen[match.end():]
                return match
            if 'Kernel panic' in self.seen:
                self.fail('the guest panicked')
            self.more(deadline, f'no "{pattern}" in {timeout} seconds')

    def more(self, deadline, complaint):
        '''Waits for the guest to say something'''
        while True:
            # In this order, so that its last words are read
            alive = self.alive()
            data = self.line.reader.read()
            if data:
                self.seen += data.decode(errors='replace')
                return
            if not alive:
                self.fail('the guest is gone')
            if time.monotonic() > deadline:
                self.fail(complaint)
            time.sleep(0.01)

    def fail(self, what):
        raise GuestError(f'{what}; it said last:\n{self.seen[-2000:]}')

    def wait_ready(self, timeout=120):
        '''Waits for the end of the boot'''
        self.wait_for(self.READY, timeout)

    def start(self, command):
        '''Has @command executed; returns when it has begun'''
        self.count += 1
        # The quotes keep a mark apart from its own command line
        line = (f"echo vpmu'-'begin-{self.count}; {command}\n"
                f"echo vpmu'-'end-{self.count} $?\n")
        self.line.writer.write(line.encode())
        self.wait_for(rf'vpmu-begin-{self.count}\r?\n')

    def has_finished(self):
        '''Whether the started command has ended, without waiting for it'''
        if not self.alive():
            self.fail('the guest is gone')
        self.seen += (self.line.reader.read() or b'').decode(errors='replace')
        return re.search(rf'vpmu-end-{self.count} \d+\r?\n', self.seen)

    def finish(self, timeout=120, check=True):
        '''What the started command printed.  It must succeed if @check.'''
        match = self.wait_for(rf'(.*?)vpmu-end-{self.count} (\d+)\r?\n',
                              timeout)
        output = match[1].replace('\r', '')
        if check and match[2] != '0':
            raise GuestError(f'a command in the guest ended with {match[2]}:\n'
                             f'{output}')
        return output

    def run(self, command, timeout=120, check=True):
        '''Executes @command and returns what it printed'''
        self.start(command)
        return self.finish(timeout, check)

    def expected(self):
        '''What the guest's programs declare: program -> event -> count'''
        table = {}
        for line in self.run('cat /expected').splitlines():
            program, event, count = line.split()
            table.setdefault(program, {})[event] = int(count)
        return table


def perf_events():
    '''How perf spells the events that the programs declare'''
    return dict(line.split() for line in _table('events'))


STAT = "perf stat -x ';'"


def parse_stat(output):
    '''
    The counts in what STAT printed, in its order.

    Each must have been counted all the time: perf scales what was not, and a
    scaled count is an estimate.
    '''
    counts = []
    for line in output.splitlines():
        # count; unit; event; run time; percentage of the time; ...
        fields = line.split(';')
        if len(fields) < 5:
            continue
        if not fields[0].isdigit():
            raise GuestError(f'perf did not count: {line}')
        if fields[4] != '100.00':
            raise GuestError(f'perf counted only part of the time: {line}')
        counts.append(int(fields[0]))
    return counts


def start_marathon(guest):
    '''Starts a count that takes seconds; returns what it must come to'''
    events = guest.expected()['marathon']
    guest.start(f'{STAT} -e instructions:u,branches:u,cycles:u '
                'marathon 2>&1')
    # Well into it
    time.sleep(2)
    return [events['instructions'], events['branches'],
            events['instructions']]
