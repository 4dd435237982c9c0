# SPDX-License-Identifier: GPL-2.0-or-later
'''
The Linux guest that shows the software PMU at work.

The functional tests, the demonstrations and the benchmarks share this module:
it describes the machine that they boot, and gives them a shell in the guest.
It needs nothing but Python's own library.
'''

import base64
import gzip
import os
import time
from pathlib import Path

GUEST = Path(__file__).resolve().parents[1] / 'guest'
# Where tests/guest/build-image puts the kernel and the initrd
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
    '''The value of -append for a guest that executes @run and powers off'''
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
    A guest's serial line: a file in @directory receives what the guest
    prints, and a FIFO there takes what is typed.

    A socket or pipe would not do: when its buffer is full, the emulated UART
    has to wait, and a guest that prints much then sometimes stalls until
    something is typed, with or without a PMU.  A file is never full.
    '''

    def __init__(self, directory, name='serial'):
        self.path = Path(directory) / f'{name}.log'
        fifo = Path(directory) / f'{name}.fifo'
        self.path.write_bytes(b'')
        fifo.unlink(missing_ok=True)
        os.mkfifo(fifo)
        self.reader = open(self.path, 'rb', buffering=0)
        # Opened for reading as well, or opening would wait for the emulator
        self.writer = open(fifo, 'r+b', buffering=0)
        path, fifo = (str(name).replace(',', ',,')
                      for name in (self.path, fifo))
        self.args = ['-chardev', f'file,id=line,path={path},input-path={fifo}',
                     '-serial', 'chardev:line']

    def close(self):
        self.reader.close()
        self.writer.close()


class Transcript:
    '''
    The bytes that a guest has printed and that no wait has consumed yet.

    A search for a mark resumes where the last search for that mark ended, so
    each byte is looked at once, however many pieces the bytes arrive in.
    '''

    def __init__(self):
        self.data = bytearray()
        # mark -> where the next search for it begins
        self.resume = {}

    def add(self, data):
        self.data += data

    def find(self, mark):
        '''Where the bytes @mark begin, or -1'''
        place = self.data.find(mark, self.resume.get(mark, 0))
        # The beginning of a mark may have arrived without its end
        self.resume[mark] = (place if place >= 0 else
                             max(0, len(self.data) - len(mark) + 1))
        return place

    def has(self, mark):
        '''Whether the text @mark is there'''
        return self.find(mark.encode()) >= 0

    def take_before(self, mark):
        '''
        Consumes everything up to the end of the text @mark; returns what came
        before it, or None if @mark is not there yet
        '''
        mark = mark.encode()
        place = self.find(mark)
        if place < 0:
            return None
        text = self.data[:place].decode(errors='replace')
        del self.data[:place + len(mark)]
        self.resume.clear()
        return text

    def tail(self, length):
        '''The last @length bytes as text'''
        return self.data[-length:].decode(errors='replace')


class Shell:
    '''
    A shell in the guest, on the other end of a serial line.

    The kernel is booted with Shell.APPEND.  The shell there reads from the
    line without echo or prompt, so all that arrives is what the commands
    print, between two marks.  @alive tells whether the emulator still runs.
    '''

    # The shell takes the line for a script, so it neither prompts nor edits.
    # For the commands it is a terminal, as perf expects.
    APPEND = append(run='stty -echo; echo vpmu: ready; exec sh /dev/console')
    READY = 'vpmu: ready\r\n'

    # How many bytes are read at once.  A read without a limit would not return
    # while the guest prints faster than the bytes are read.
    READ_SIZE = 1 << 20

    def __init__(self, line, alive):
        self.line = line
        self.alive = alive
        self.seen = Transcript()
        self.count = 0

    def wait_for(self, mark, timeout=120):
        '''Reads up to the text @mark; returns what came before it'''
        deadline = time.monotonic() + timeout
        late = False
        while (text := self.seen.take_before(mark)) is None:
            if self.seen.has('Kernel panic'):
                self.fail('the guest panicked')
            # Also while the guest goes on printing
            if late:
                self.fail(f'no "{mark.strip()}" in {timeout} seconds')
            late = time.monotonic() > deadline
            if not self.read():
                time.sleep(0.01)
        return text

    def read(self):
        '''Adds what the guest has printed; returns whether it is anything'''
        # In this order, so that the last output of a dead guest is read
        alive = self.alive()
        data = self.line.reader.read(self.READ_SIZE)
        if data:
            self.seen.add(data)
        elif not alive:
            self.fail('the guest is gone')
        return bool(data)

    def fail(self, complaint):
        raise GuestError(f'{complaint}; its last output:\n'
                         f'{self.seen.tail(2000)}')

    def wait_ready(self, timeout=120):
        '''Waits for the end of the boot'''
        self.wait_for(self.READY, timeout)

    def move_to(self, arrived):
        '''Goes on with the line of the shell @arrived, after a migration'''
        self.line, self.alive = arrived.line, arrived.alive

    def start(self, command):
        '''Has @command executed; returns when it has begun'''
        self.count += 1
        # The quotes keep a mark apart from its own command line
        line = (f"echo vpmu'-'begin-{self.count}; {command}\n"
                f"echo vpmu'-'end-{self.count} $?\n")
        self.line.writer.write(line.encode())
        self.wait_for(f'vpmu-begin-{self.count}\r\n')

    def end_mark(self):
        '''The text that the shell prints when the started command has ended'''
        return f'vpmu-end-{self.count} '

    def has_finished(self):
        '''Whether the started command has ended, without waiting for it'''
        self.read()
        return self.seen.has(self.end_mark())

    def finish(self, timeout=120, check=True):
        '''
        Waits for the started command; returns its output.  If @check, the
        command must succeed.
        '''
        output = self.wait_for(self.end_mark(), timeout).replace('\r', '')
        # The rest of the line follows at once
        status = self.wait_for('\r\n', timeout=10)
        if check and status != '0':
            raise GuestError(f'a command in the guest ended with {status}:\n'
                             f'{output}')
        return output

    def run(self, command, timeout=120, check=True):
        '''Executes @command and returns its output'''
        self.start(command)
        return self.finish(timeout, check)

    def fetch(self, path):
        '''The contents of the guest's file @path'''
        text = self.run(f'gzip -c {path} | base64', timeout=300)
        # gzip has a checksum
        return gzip.decompress(base64.b64decode(text))

    # How much of a file is sent at once: a line that a terminal takes
    SEND_SIZE = 3000

    def send(self, path, data):
        '''Makes the guest's file @path have the contents @data'''
        text = base64.b64encode(gzip.compress(data)).decode()
        self.run(f': > {path}.sent')
        for start in range(0, len(text), self.SEND_SIZE):
            self.run(f'echo {text[start:start + self.SEND_SIZE]} '
                     f'>> {path}.sent')
        self.run(f'base64 -d {path}.sent | gunzip > {path}; rm {path}.sent')

    def hops(self):
        '''
        The taken near branches that the programs declare, of a turn of their
        loops: program -> [(from, to, kind, instructions)]
        '''
        table = {}
        for line in self.run('cat /hops').splitlines():
            program, *words = line.split()
            table.setdefault(program, []).append(
                tuple(int(word, 16) for word in words))
        return table

    def expected(self):
        '''The counts that the programs declare: program -> event -> count'''
        table = {}
        for line in self.run('cat /expected').splitlines():
            program, event, count = line.split()
            table.setdefault(program, {})[event] = int(count)
        return table


def perf_events():
    '''The names that perf has for the events that the programs declare'''
    return dict(line.split() for line in _table('events'))


STAT = "perf stat -x ';'"

# With one event, which follows the program.  Otherwise perf has an event for each
# CPU, and a program that moves leaves the rest of a period behind.
RECORD = 'perf record -q --per-thread'


def parse_stat(output):
    '''
    The counts in the output of STAT, in its order.

    Each event must have been counted all the time.  If it was not, perf scales
    the count, and a scaled count is an estimate.
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


def wait_for_events(query, *events, timeout=120):
    '''
    Waits until a guest counts all of @events: perf takes its time to start, and
    its counters are off while another process runs.  @query returns the answer
    of query-vpmu; the last answer is returned.
    '''
    deadline = time.monotonic() + timeout
    while True:
        info = query()
        missing = set(events) - {
            counter['event']['name']
            for cpu in info['cpus'] for counter in cpu['counters']
            if counter['enabled'] and 'event' in counter}
        if not missing:
            return info
        if time.monotonic() > deadline:
            raise GuestError(f'the guest does not count {", ".join(missing)}')
        time.sleep(0.1)


class Counting:
    '''
    A program whose @events several processes count in a guest, again and again,
    until finish()
    '''

    PROCESSES = range(1, 5)

    def __init__(self, guest, program, events):
        self.guest = guest
        declared = guest.expected()[program]
        self.want = [declared[event] for event in events]
        names = ' '.join(perf_events()[event] for event in events)
        numbers = ' '.join(map(str, self.PROCESSES))
        guest.run(f'rm -f /tmp/end; for n in {numbers}; do '
                  f'(while [ ! -e /tmp/end ]; do again 10 {program} {names} '
                  '2>&1; done > /tmp/$n; echo done > /tmp/$n.end) & done')

    def finish(self):
        '''
        Ends them; returns how often the program was counted.  Each count must
        be exact.
        '''
        self.guest.run('touch /tmp/end')
        turns = 0
        for n in self.PROCESSES:
            counts = parse_stat(self.guest.run(
                f'until [ -e /tmp/{n}.end ]; do sleep 0.1; done; cat /tmp/{n}; '
                f'rm /tmp/{n} /tmp/{n}.end'))
            once = len(counts) // len(self.want)
            if not once or counts != self.want * once:
                raise GuestError(f'process {n} did not count {self.want}: '
                                 f'{counts}')
            turns += once
        return turns


def start_marathon(guest, query):
    '''
    Starts a count that takes seconds, and waits until it has begun; returns
    the expected counts.  @query returns the answer of query-vpmu.
    '''
    events = guest.expected()['marathon']
    guest.start(f'{STAT} -e instructions:u,branches:u,cycles:u '
                'marathon 2>&1')
    wait_for_events(query, 'instructions', 'branches', 'cycles')
    return [events['instructions'], events['branches'],
            events['instructions']]
