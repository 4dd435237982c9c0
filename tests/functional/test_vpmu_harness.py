#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
The shell with which the functional tests use a guest, tested without a guest.

Waiting for a command must take time in proportion to what it prints, and must
end at its time limit, whatever the guest does.  So every test here has a bound
on the processor time that it may use.
'''

import functools
import itertools
import signal
import sys
import tempfile
import threading
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
# A pycotap that the machine has is preferred, as in QEMU's own tests
sys.path.append(str(TOP / 'scripts/python'))

# pylint: disable=wrong-import-position
import pycotap
from vpmu_guest import GuestError, SerialLine, Shell

MEGABYTE = 1 << 20

# The bounds for each test, in seconds.  Half a second is enough where a search
# that starts over with every read takes minutes.
CPU_BOUND = 5
# This one is for a test that sleeps, and uses no processor time
CLOCK_BOUND = 60

# The time limit of a wait that has to end earlier, for another reason
NEVER = 1000


class Line:
    '''The serial line of a guest; each read returns one of @pieces'''

    def __init__(self, pieces):
        self.pieces = iter(pieces)
        self.rest = b''
        self.typed = b''
        self.reader = self.writer = self

    def read(self, size=-1):
        piece = self.rest or next(self.pieces, b'')
        if size < 0:
            size = len(piece)
        self.rest = piece[size:]
        return piece[:size]

    def write(self, data):
        self.typed += data


class Flood(Line):
    '''The serial line of a guest that prints faster than it can be read'''

    def __init__(self):
        super().__init__(itertools.repeat(b'once more\r\n'))

    def read(self, size=-1):
        assert size > 0, 'a read without a limit would never return'
        return super().read(size)


def cut(data, sizes):
    '''Cuts @data into pieces; their sizes are @sizes, over and over'''
    sizes = itertools.cycle(sizes)
    place = 0
    while place < len(data):
        size = next(sizes)
        yield data[place:place + size]
        place += size


def splits(data):
    '''@data in two pieces, in every possible way'''
    return ([data[:place], data[place:]] for place in range(len(data) + 1))


def printed(output, status=0, number=1):
    '''The bytes that arrive while the guest executes a command'''
    return (f'vpmu-begin-{number}\r\n' + output.replace('\n', '\r\n') +
            f'vpmu-end-{number} {status}\r\n').encode()


@functools.cache
def megabytes(number):
    '''Output that is full of text that resembles a mark'''
    line = 'vpmu-end-11 0 vpmu-end-1\nKernel panig vpmu-vpmu-end- 1 \u20ac\n'
    return line * (number * MEGABYTE // len(line.encode()))


class Harness(unittest.TestCase):

    def setUp(self):
        for kind, expired, bound in (
                (signal.ITIMER_PROF, signal.SIGPROF, CPU_BOUND),
                (signal.ITIMER_REAL, signal.SIGALRM, CLOCK_BOUND)):
            self.addCleanup(signal.signal, expired,
                            signal.signal(expired, self.take_too_long))
            signal.setitimer(kind, bound)
            self.addCleanup(signal.setitimer, kind, 0)

    def take_too_long(self, number, _):
        self.fail(f'more than {CPU_BOUND} s of processor time'
                  if number == signal.SIGPROF else
                  f'more than {CLOCK_BOUND} s')

    def shell(self, pieces, alive=lambda: True):
        return Shell(Line(pieces), alive)

    def check_failure(self, complaint, function, *args, **kwargs):
        '''A call that must fail like this; returns the message'''
        with self.assertRaises(GuestError) as caught:
            function(*args, **kwargs)
        message = str(caught.exception)
        self.assertTrue(message.startswith(complaint), message[:200])
        return message

    def check_megabytes(self, sizes, number=8):
        '''The output of a command arrives whole, in pieces of @sizes'''
        output = megabytes(number)
        guest = self.shell(cut(printed(output), sizes))
        # assertEqual() would take minutes to describe how megabytes differ
        self.assertTrue(guest.run('perf script') == output)

    # Much output

    def test_awkward_pieces(self):
        self.check_megabytes((1, 4093, 2, 1021, 3, 11, 8191))

    def test_tiny_pieces(self):
        self.check_megabytes((7, 1, 12), number=1)

    def test_one_piece(self):
        self.check_megabytes((16 * MEGABYTE,))

    def test_polling(self):
        '''A caller may ask again and again whether a command has ended'''
        output = megabytes(8)
        guest = self.shell(cut(printed(output), (1021, 3)))
        guest.start('perf script')
        turns = 0
        while not guest.has_finished():
            turns += 1
        self.assertGreater(turns, 8 * MEGABYTE // 1024)
        self.assertTrue(guest.finish() == output)

    def test_many_commands(self):
        '''The output of thousands of commands arrives at once'''
        numbers = range(1, 20001)
        guest = self.shell([b''.join(printed(f'{number}\n' * 50, 0, number)
                                     for number in numbers)])
        for number in numbers:
            self.assertEqual(guest.run('seq'), f'{number}\n' * 50)

    def test_serial_line(self):
        '''A real line: a file that grows, and a FIFO'''
        output = megabytes(8)
        with tempfile.TemporaryDirectory(prefix='vpmu,') as tmp:
            line = SerialLine(tmp)
            self.addCleanup(line.close)

            def type_and_print():
                with open(Path(tmp) / 'serial.fifo', 'rb',
                          buffering=0) as fifo, \
                     open(line.path, 'ab', buffering=0) as log:
                    typed.append(fifo.readline())
                    for piece in cut(printed(output), (1, 4093, 70001)):
                        log.write(piece)

            typed = []
            thread = threading.Thread(target=type_and_print)
            thread.start()
            self.addCleanup(thread.join)
            guest = Shell(line, thread.is_alive)
            self.assertTrue(guest.run('perf script') == output)
        self.assertEqual(typed, [b"echo vpmu'-'begin-1; perf script\n"])

    # Marks that arrive in pieces

    def test_split_anywhere(self):
        for pieces in splits(printed('result\n') + printed('next\n', 0, 2)):
            guest = self.shell(pieces)
            self.assertEqual(guest.run('first'), 'result\n')
            self.assertEqual(guest.run('second'), 'next\n')

    def test_byte_by_byte(self):
        guest = self.shell(cut(Shell.READY.encode() + printed('x\n'), (1,)))
        guest.wait_ready()
        self.assertEqual(guest.run('echo x'), 'x\n')

    def test_split_character(self):
        for pieces in splits(printed('1 \u20ac\n')):
            self.assertEqual(self.shell(pieces).run('cat'), '1 \u20ac\n')

    def test_invalid_character(self):
        guest = self.shell([printed('?\n').replace(b'?', b'\xff')])
        self.assertEqual(guest.run('cat'), '\ufffd\n')

    # The time limit

    def test_silence(self):
        guest = self.shell([b'vpmu-begin-1\r\nhalf of it'])
        guest.start('sleep 1000')
        begin, cpu = time.monotonic(), time.process_time()
        message = self.check_failure('no "vpmu-end-1" in 0.3 seconds',
                                     guest.finish, timeout=0.3)
        self.assertTrue(message.endswith(':\nhalf of it'), message)
        self.assertGreaterEqual(time.monotonic() - begin, 0.3)
        # The wait sleeps while nothing arrives
        self.assertLess(time.process_time() - cpu, 0.2)

    def test_silence_after_megabytes(self):
        unfinished = printed(megabytes(8)).removesuffix(b' 0\r\n')
        guest = self.shell(cut(unfinished, (4093,)))
        guest.start('perf script; sleep 1000')
        message = self.check_failure('no "vpmu-end-1" in 0.5 seconds',
                                     guest.finish, timeout=0.5)
        self.assertLess(len(message), 3000)

    def test_flood(self):
        guest = Shell(Flood(), lambda: True)
        for timeout in 0.05, 0.2:
            begin = time.monotonic()
            message = self.check_failure(f'no "vpmu: ready" in {timeout} s',
                                         guest.wait_ready, timeout=timeout)
            self.assertGreaterEqual(time.monotonic() - begin, timeout)
            self.assertIn('once more', message)

    def test_in_time(self):
        '''Output that has arrived when the limit passes is looked at'''
        guest = self.shell([printed('late\n')])
        guest.count = 1
        self.assertEqual(guest.finish(timeout=0), 'vpmu-begin-1\nlate\n')

    # A guest in trouble

    def test_panic(self):
        death = b'[    1.0] Kernel panic - not syncing: Attempted to kill init'
        for pieces in splits(death):
            guest = self.shell(pieces)
            message = self.check_failure('the guest panicked',
                                         guest.wait_ready, timeout=NEVER)
            self.assertIn('Kernel panic', message)

    def test_panic_after_megabytes(self):
        guest = self.shell(cut(printed(megabytes(8)).replace(
            b'vpmu-end-1 0', b'Kernel panic - not syncing'), (4093, 1)))
        guest.start('perf script')
        self.check_failure('the guest panicked', guest.finish, timeout=NEVER)

    def test_panic_later(self):
        '''A command that has ended before is not affected'''
        guest = self.shell([printed('well\n') + b'Kernel panic - not syncing'])
        self.assertEqual(guest.run('true'), 'well\n')
        self.check_failure('the guest panicked', guest.start, 'true')

    def test_death(self):
        '''The last output of an emulator that ends is read first'''
        lives = iter([True, True, False, False])
        guest = self.shell(cut(printed('last\n'), (9,)),
                           lambda: next(lives, False))
        self.assertEqual(guest.run('poweroff'), 'last\n')
        message = self.check_failure('the guest is gone', guest.has_finished)
        self.assertTrue(message.endswith('output:\n'), message)

    def test_failing_command(self):
        guest = self.shell([printed('no such file\n', 2),
                            printed('no such file\n', 2, 2)])
        message = self.check_failure('a command in the guest ended with 2',
                                     guest.run, 'cat')
        self.assertIn('no such file', message)
        self.assertEqual(guest.run('cat', check=False), 'no such file\n')


if __name__ == '__main__':
    level = pycotap.LogMode.LogToError
    unittest.main(testRunner=pycotap.TAPTestRunner(message_log=level,
                                                   test_output_log=level))
