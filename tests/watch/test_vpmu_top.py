#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
vpmu-top and a guest that counts: what it prints, records and shows on a
terminal, what its keys do, and what it says when something is wrong.

How fast the guest counts is not known, but how its counts belong together is:
it executes two instructions for each branch.
'''

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import pycotap
import screenshot
from qemu.qmp.legacy import QEMUMonitorProtocol
from watched import (BUILD, DONE_INSNS, PATIENCE, TOP, Emulator, Guest, Server,
                     Terminal, program, wait_until)

# The counters of the first CPU: name, path, who holds it, ring, event
FIRST_CPU = [
    ('gp 0', 'slow', 'gp 4', 'kern', 'branches'),
    ('gp 1', 'fast', 'gp 1', 'kern', 'instructions, PEBS'),
    ('gp 2', 'idle', '-', 'user', 'instructions'),
    ('gp 3', 'fast', 'gp 3', 'kern', 'event=0xd1,umask=0x01'),
    ('gp 4', 'idle', '-', '-', ''),
    ('fixed 0', 'fast', 'fixed 0', 'both', 'instructions'),
    ('fixed 1', 'idle', '-', '-', 'cycles'),
    ('fixed 2', 'idle', '-', '-', 'ref-cycles'),
    ('gp 0', '-', 'host', '-', ''),
]
UNSUPPORTED = 'CPU 0: not supported, does not count: event=0xd1,umask=0x01'

# A turn of the guest's loop, and what it executes beside it at most
BRANCHES_IN_TURN = 1000000
BESIDE = 16


def cells(line):
    '''The cells of a table's line: they are two spaces apart or more'''
    return tuple(cell.strip() for cell in line.split('  ') if cell)


def table_rows(lines, title):
    '''The rows of the table on a screen whose header has @title'''
    start = next(i for i, line in enumerate(lines)
                 if line.startswith('VM') and f' {title} ' in line)
    header = lines[start]
    rows = []
    for line in lines[start + 1:]:
        if not line.startswith('watched '):
            break
        rows.append(line)
    return header, rows


def shown_counters(lines, cpu):
    '''Of the counters of a CPU, what FIRST_CPU has of them'''
    header, rows = table_rows(lines, 'counter')
    places = [header.index(word) for word in
              ('counter', 'path', 'held by', 'ring', 'event')]
    # A number may be longer than its title, so the ring ends where it says
    ends = places[1:4] + [places[3] + 4, None]
    return [tuple(line[start:end].strip()
                  for start, end in zip(places, ends))
            for line in rows
            if line[:header.index('counter')].split()[1] == str(cpu)]


def shown_rates(lines):
    '''The rates of the counters on a screen; -1 for one that is not known'''
    header, rows = table_rows(lines, 'counter')
    end = header.index('per sec') + len('per sec')
    words = [row[:end].split()[-1] for row in rows]
    units = {'k': 1e3, 'M': 1e6, 'G': 1e9}
    return [-1 if word == '-' else
            float(word.rstrip('kMG')) * units.get(word[-1], 1)
            for word in words]


class Fake(Server):
    '''Something that listens on a socket and says one thing to each client'''

    def __init__(self, path, *says):
        self.says = says
        super().__init__(path)

    def talk(self, client):
        for said in self.says:
            client.sendall(said)
            client.recv(4096)


def setUpModule():
    '''Starts a guest that all tests share'''
    Tested.dir = tempfile.TemporaryDirectory()
    Tested.guest = Guest(Tested.dir.name)


def tearDownModule():
    '''Ends it'''
    Tested.guest.end()
    Tested.dir.cleanup()


class Tested(unittest.TestCase):
    '''With the guest'''

    dir = guest = None

    def path(self, name):
        '''A file or socket of this test's'''
        return f'{self.dir.name}/{self.id().rsplit(".", 1)[1]}-{name}'

    def terminal(self, *args, **kwargs):
        '''The program on a terminal'''
        terminal = Terminal(*args, **kwargs)
        self.addCleanup(terminal.close)
        return terminal

    def watching(self, guest=None, **kwargs):
        '''The program on a terminal, with a rate for each counter'''
        terminal = self.terminal('-i', '0.2', (guest or self.guest).socket,
                                 **kwargs)
        terminal.wait_for(r'slow +gp 4 +kern +\d+\.\dM')
        return terminal

    def ask(self, *args):
        '''What the program prints as JSON'''
        # The machine may be busy with other tests.
        done = program('--json', '-t', str(PATIENCE), *args)
        self.assertEqual((done.stderr, done.returncode), ('', 0))
        return json.loads(done.stdout)['vms']


class Printed(Tested):
    '''Without a terminal'''

    def test_json_is_what_qemu_answers(self):
        self.guest.qmp.cmd('stop')
        self.addCleanup(self.guest.qmp.cmd, 'cont')
        vm, = self.ask('-i', '0.1', self.guest.socket)
        self.assertEqual(vm['vpmu'], self.guest.vpmu())
        stats = {cpu['qom-path']: {stat['name']: stat['value']
                                   for stat in cpu['stats']}
                 for cpu in self.guest.qmp.cmd(
                     'query-stats', target='vcpu',
                     providers=[{'provider': 'vpmu'}])}
        self.assertEqual(vm['stats'], [
            {'cpu-index': index, 'stats': stats[cpu['qom-path']]}
            for index, cpu in enumerate(vm['vpmu']['cpus'])])
        self.assertEqual((vm['name'], vm['address'], vm['error']),
                         ('watched', self.guest.socket, None))
        # Nothing counts; where records set the value, that is not known.
        self.assertEqual(
            [[counter['rate'] for counter in cpu['counters']]
             for cpu in vm['rates']],
            [[0, None, *[0] * 7], [None, *[0] * 8]])
        self.assertEqual([set(cpu['stats'].values()) for cpu in vm['rates']],
                         [{0}, {0}])

    def test_rates(self):
        record = self.path('record')
        vm, = self.ask('-i', '0.5', '--record', record, self.guest.socket)
        first, last = [json.loads(line) for line in open(record)]
        self.assertEqual(vm['seconds'], last['clock'] - first['clock'])
        self.assertGreaterEqual(vm['seconds'], 0.5)
        counts = {}
        for counter in vm['rates'][0]['counters']:
            key = counter['type'], counter['index'], counter['host']
            if counter['rate'] is not None:
                counts[key] = counter['rate'] * vm['seconds']
        # gp 1 has PEBS
        self.assertEqual(len(counts), 8)
        for place, key in (0, ('gp', 0, False)), (5, ('fixed', 0, False)):
            before, after = [
                line['vpmu']['cpus'][0]['counters'][place]['value']
                for line in (first, last)]
            self.assertAlmostEqual(counts.pop(key), after - before, places=1)
            if place == 0:
                branches = after - before
            else:
                instructions = after - before
        self.assertEqual(set(counts.values()), {0})
        self.assertGreater(branches, 1000000)
        turns = branches / BRANCHES_IN_TURN + 2
        self.assertLessEqual(abs(instructions - 2 * branches), turns * BESIDE)
        for cpu, path in (0, 'fast'), (1, 'slow'):
            records = f'pebs-records-{path}'
            self.assertAlmostEqual(
                vm['rates'][cpu]['stats'][records] * vm['stats-seconds'],
                last['stats'][str(cpu)][records] -
                first['stats'][str(cpu)][records], places=3)

    def test_records(self):
        '''Every 100003rd instruction has one, on the CPU's own path'''
        self.addCleanup(self.guest.qmp.cmd, 'cont')
        samples = []
        for _ in range(2):
            self.guest.qmp.cmd('stop')
            samples += self.ask('-i', '0.1', self.guest.socket)
            self.guest.qmp.cmd('cont')
            now = self.counted()
            wait_until(lambda: all(
                count > before + 10**8 for count, before in
                zip(self.counted(), now)), 'both CPUs count')
        for cpu, path, other in (0, 'fast', 'slow'), (1, 'slow', 'fast'):
            stats = [vm['stats'][cpu]['stats'] for vm in samples]
            counted = [vm['vpmu']['cpus'][cpu]['counters'][5]['value']
                       for vm in samples]
            records = f'pebs-records-{path}'
            got = stats[1][records] - stats[0][records]
            self.assertGreater(got, 900)
            # A part of a period may be left at both ends.
            self.assertLess(
                abs(got - (counted[1] - counted[0]) / 100003), 1)
            self.assertEqual(stats[1][f'pebs-records-{other}'], 0)

    def counted(self):
        '''The instructions that each CPU has counted'''
        return [cpu['counters'][5]['value']
                for cpu in self.guest.vpmu()['cpus']]

    def test_once(self):
        done = program('--once', '-i', '0.1', self.guest.socket)
        self.assertEqual((done.stderr, done.returncode), ('', 0))
        lines = done.stdout.split('\n')
        self.assertEqual(cells(lines[0])[:5], (
            'VM', 'mode', 'counters', 'reserved', 'slice'))
        self.assertEqual(
            cells(lines[1]),
            ('watched', 'software', '5 gp, fixed 0 1 2', '1 gp', '10 ms',
             self.guest.vpmu()['reason']))
        self.assertEqual(lines[2], f'watched: {UNSUPPORTED}')
        self.assertEqual(shown_counters(lines, 0), FIRST_CPU)
        done, = [line for line in lines if ' gp 2  ' in line and
                 'user' in line]
        self.assertEqual(done.split()[-2], str(DONE_INSNS))

    def test_names(self):
        with tempfile.TemporaryDirectory() as folder:
            other = Emulator(folder, 'watched', '-machine', 'none')
            self.addCleanup(other.end)
            vms = self.ask('-i', '0.1', self.guest.socket, other.socket)
        self.assertEqual([vm['name'] for vm in vms],
                         [f'watched ({emulator.socket})'
                          for emulator in (self.guest, other)])
        self.assertEqual(vms[1]['vpmu']['mode'], 'none')
        vm, = self.ask('-i', '0.1', f'mine={self.guest.socket}')
        self.assertEqual(vm['name'], 'mine')

    def test_tcp(self):
        with socket.socket() as free:
            free.bind(('127.0.0.1', 0))
            port = free.getsockname()[1]
        self.guest.qmp.cmd('chardev-add', id='tcp', backend={
            'type': 'socket', 'data': {
                'addr': {'type': 'inet', 'data': {'host': '127.0.0.1',
                                                  'port': str(port)}},
                'server': True, 'wait': False}})
        self.addCleanup(self.guest.qmp.cmd, 'chardev-remove', id='tcp')
        # Nothing is behind it, so nobody greets.
        done = program('--once', '-t', '0.3', f'127.0.0.1:{port}')
        self.assertIn(f'127.0.0.1:{port} does not greet', done.stdout)

    def test_installed(self):
        '''What meson installs is complete'''
        python = BUILD / 'qemu/build/pyvenv/bin/python3'
        site, = (BUILD / 'qemu/build/pyvenv').glob('lib/*/site-packages')
        subprocess.run(
            [python, '-m', 'mesonbuild.mesonmain', 'install', '-C',
             str(BUILD / 'qemu/build'), '--no-rebuild', '--tags', 'vpmu-top',
             '--destdir', self.path('root')], check=True,
            env=os.environ | {'PYTHONPATH':
                              (site / 'vpmu-meson.pth').read_text().strip()},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        installed, = Path(self.path('root')).rglob('bin/vpmu-top')
        env = {name: value for name, value in os.environ.items()
               if name != 'PYTHONPATH'}
        done = subprocess.run(
            [sys.executable, str(installed), '--json', '-i', '0.1',
             self.guest.socket], env=env, check=True, stdout=subprocess.PIPE)
        self.assertEqual(json.loads(done.stdout)['vms'][0]['name'], 'watched')

    def test_help_names_every_option(self):
        done = program('--help')
        self.assertEqual(done.returncode, 0)
        page = (TOP / 'docs/system/i386/vpmu-top.rst').read_text()
        options = set(re.findall('--[a-z][a-z-]*', done.stdout))
        self.assertGreater(len(options), 5)
        described = set(re.findall('option:: .*(--[a-z][a-z-]*)', page))
        self.assertEqual(options, described)


class Shown(Tested):
    '''On a terminal'''

    def test_80x24(self):
        terminal = self.watching()

        def both():
            '''A screen before which both CPUs had a turn'''
            lines = terminal.screen()
            rows = [row.split() for row in table_rows(lines, 'hand-ov.')[1]]
            shown = rows[0][7], rows[1][8], rows[1][3]
            return not {'-', '0'} & set(shown) and lines

        lines = wait_until(both, 'a screen with records of both CPUs')
        self.assertEqual(len(lines), 24)
        self.assertLessEqual(max(map(len, lines)), 80)
        self.assertRegex(lines[0], r'^vpmu-top  1 VM  every 0.2 s  by place'
                         r' +\d\d:\d\d:\d\d$')
        self.assertEqual(lines[1].split(),
                         ['VM', 'mode', 'counters', 'reserved'])
        self.assertEqual(lines[3], f'watched: {UNSUPPORTED}')
        self.assertEqual(shown_counters(lines, 0), FIRST_CPU)
        self.assertTrue(lines[23].startswith('h help  '))
        header, rows = table_rows(lines, 'hand-ov.')
        self.assertEqual(header.split(), [
            'VM', 'CPU', 'hand-ov.', 'reuses', 'evicted', 'starved', 'PMIs',
            'fast', 'slow', 'lost'])
        fast = [row.split()[7:10] for row in rows]
        self.assertEqual((fast[0][1:], fast[1][0], fast[1][2]),
                         (['0', '0'], '0', '0'))
        # The first CPU's counters are always on; the other's are switched.
        self.assertEqual(rows[0].split()[3], '0')
        terminal.keys('q')
        self.assertEqual(terminal.wait_end(), 0)

    def test_resize(self):
        terminal = self.watching()
        terminal.resize(132, 40)
        lines = terminal.wait_for(f' {DONE_INSNS}  instructions$')
        self.assertEqual(len(lines), 40)
        self.assertEqual(shown_counters(lines, 0), FIRST_CPU)
        self.assertEqual(len(shown_counters(lines, 1)), 9)
        # The title of no other size looks so if it is cut.
        clock = r'\d\d:\d\d:\d\d'
        for width, height, title in (
                (40, 10, f'vpmu-top  1 VM  every 0.2 s.* {clock}'),
                (10, 3, f'v {clock}'), (3, 1, 'vpm'),
                (80, 24, f'vpmu-top  1 VM  every 0.2 s  by place +{clock}')):
            terminal.resize(width, height)
            lines = terminal.wait_for(f'\\A{title}$')
            self.assertEqual(len(lines), height)
            self.assertLessEqual(max(map(len, lines)), width)
        terminal.wait_for('^h help .* q quit$')
        self.assertFalse(terminal.status.exists())

    def test_keys(self):
        terminal = self.watching(height=40)
        terminal.keys('s')
        lines = terminal.wait_for('by rate')
        self.assertEqual([line[0] for line in shown_counters(lines, 0)][:2],
                         ['fixed 0', 'gp 0'])
        rates = shown_rates(lines)
        self.assertEqual(len(rates), 18)
        self.assertEqual(rates, sorted(rates, reverse=True))
        terminal.keys('S')
        rates = shown_rates(terminal.wait_for(r'by rate \(reversed\)'))
        self.assertEqual(rates, sorted(rates))
        terminal.keys('S', 's')
        lines = terminal.wait_for('by event')
        events = [line[4].split(',')[0] if 'PEBS' in line[4] else line[4]
                  for line in shown_counters(lines, 0)]
        self.assertEqual(events, sorted(events))
        terminal.keys('s')
        lines = terminal.wait_for('by path')
        paths = [line[1] for line in shown_counters(lines, 0)]
        self.assertEqual(paths, sorted(paths, reverse=True))
        terminal.keys('s', '/')
        terminal.text('branch')
        terminal.wait_for('only counters with: branch_')
        terminal.keys('Enter')
        lines = terminal.wait_for('only "branch"')
        self.assertEqual(shown_counters(lines, 0), FIRST_CPU[:1])
        self.assertEqual(shown_counters(lines, 1), [])
        terminal.keys('/', *['BSpace'] * 6, 'Enter', 'i')
        lines = terminal.wait_for('no idle')
        self.assertEqual(shown_counters(lines, 0),
                         [line for line in FIRST_CPU
                          if line[1] not in ('idle', '-')])
        terminal.keys('i', 'v')
        wait_until(lambda: 'held by' not in '\n'.join(terminal.screen()),
                   'a screen without counters')
        terminal.keys('v')
        wait_until(lambda: 'hand-ov.' not in '\n'.join(terminal.screen()),
                   'a screen without vCPUs')
        terminal.keys('v', 'h')
        self.assertEqual(len([line for line in terminal.wait_for('^q +quit$')
                              if line.strip()]), 15)
        terminal.keys('x', '+')
        terminal.wait_for('every 0.1 s')
        terminal.keys('-', '-')
        terminal.wait_for('every 0.5 s')
        terminal.keys('x')
        terminal.wait_for('^no key x: h shows')

    def test_pause(self):
        terminal = self.watching(width=132)
        terminal.keys('p')
        before = terminal.wait_for('PAUSED')[1:]
        value = [row.split()[-2] for row in
                 table_rows(before, 'counter')[1]][0]
        wait_until(lambda: self.guest.vpmu()['cpus'][0]['counters'][0]
                   ['value'] > int(value) + 10**8, 'the guest goes on')
        self.assertEqual(terminal.screen()[1:], before)
        terminal.keys('Space')
        wait_until(lambda: terminal.screen()[1:] != before, 'other values')

    def test_scrolling(self):
        terminal = self.watching(height=16)
        terminal.keys('End')
        lines = terminal.wait_for(r'^watched +1  gp 0     -     host')
        self.assertEqual(cells(lines[1])[0], 'VM')
        self.assertIn('counter', lines[1])
        terminal.keys('Home')
        lines = terminal.wait_for('^VM +mode')
        self.assertEqual(lines[2].split()[:2], ['watched', 'software'])

    def test_reserve(self):
        folder = self.path('own')
        os.mkdir(folder)
        guest = Guest(folder)
        self.addCleanup(guest.end)
        terminal = self.watching(guest, width=100, height=32)

        def reserve(text):
            terminal.keys('r', 'BSpace')
            terminal.text(text)
            terminal.keys('Enter')

        reserve('two')
        terminal.wait_for('^not like "2", "2 fixed 0 2" or "2 force"$')
        reserve('2 fixed 2')
        terminal.wait_for(
            '^watched: reserve 2 gp, fixed 2 instead of 1 gp[?] y/n')
        self.assertEqual(guest.reserved(), {'gp': 1, 'fixed': []})
        terminal.keys('n')
        terminal.wait_for('^nothing is changed$')
        self.assertEqual(guest.reserved(), {'gp': 1, 'fixed': []})
        reserve('2 fixed 2')
        terminal.wait_for('y/n')
        terminal.keys('y')
        terminal.wait_for('^watched: done$')
        self.assertEqual(guest.reserved(), {'gp': 2, 'fixed': [2]})
        terminal.wait_for('^watched  software .* 2 gp, fixed 2')
        # The guest counts with all that is left.
        terminal.keys('r', *['BSpace'] * 9)
        terminal.text('3')
        terminal.keys('Enter')
        terminal.wait_for('y/n')
        terminal.keys('y')
        terminal.wait_for('^watched: .*CPU')
        self.assertEqual(guest.reserved(), {'gp': 2, 'fixed': [2]})
        terminal.keys('r', *['BSpace'] * 9)
        terminal.text('3 force')
        terminal.keys('Enter')
        terminal.wait_for('reserve 3 gp by force instead of 2 gp, fixed 2')
        terminal.keys('y')
        terminal.wait_for(r'^watched +\d  gp \d +starved ')
        self.assertEqual(guest.reserved(), {'gp': 3, 'fixed': []})
        terminal.wait_for(r'^watched +\d +\S+ +\S+ +\S+ +\S+ +(9\d|10\d)% ')
        terminal.keys('u')
        terminal.wait_for('reserve 0 gp instead of 3 gp[?] y/n')
        terminal.keys('y')
        terminal.wait_for('^watched: done$')
        self.assertEqual(guest.reserved(), {'gp': 0, 'fixed': []})
        lines = terminal.wait_for('^watched  software .* 0 gp')
        self.assertNotIn('starved', [line[1] for line in
                                     shown_counters(lines, 0)])

    def has_colors(self, terminal):
        '''Whether a text on the screen has another colour than others'''
        return re.search('\x1b\\[[0-9;]*3[0-7]m',
                         '\n'.join(terminal.screen(True))) is not None

    def test_colors(self):
        for kwargs, has in (({'term': 'screen-256color'}, True),
                            ({'term': 'vt100'}, False),
                            ({'NO_COLOR': '1'}, False)):
            terminal = self.watching(**kwargs)
            self.assertEqual(self.has_colors(terminal), has, kwargs)
            self.assertEqual(shown_counters(terminal.screen(), 0), FIRST_CPU)
            terminal.keys('q')
            self.assertEqual(terminal.wait_end(), 0)
        terminal = self.terminal('--no-color', self.guest.socket)
        terminal.wait_for('held by')
        self.assertFalse(self.has_colors(terminal))

    def test_no_screen(self):
        for term, why in (('dumb', 'cannot place its cursor'),
                          ('no-such', 'is unknown')):
            terminal = self.terminal('-i', '0.1', self.guest.socket,
                                     term=term, height=50)
            self.assertEqual(terminal.wait_end(), 0)
            lines = terminal.screen()
            said = f'vpmu-top: the terminal "{term}" {why}: printing once, '
            self.assertTrue(''.join(lines[:2]).startswith(said), lines)
            self.assertEqual(shown_counters(lines, 0), FIRST_CPU)
        done = program('-i', '0.1', self.guest.socket)
        self.assertEqual((done.returncode, done.stderr), (
            0, 'vpmu-top: this is no terminal: printing once, like --once\n'))

    def test_reconnect(self):
        with tempfile.TemporaryDirectory() as folder:
            guest = Guest(folder, 'comes')
            self.addCleanup(guest.end)
            terminal = self.terminal('-i', '0.2', guest.socket,
                                     self.guest.socket, height=50)
            terminal.wait_for(r'^comes +0 +gp 0 .* \d+\.\dM')
            guest.end()
            lines = terminal.wait_for('^comes: there is no socket')
            self.assertFalse([line for line in lines if ' gp ' in line and
                              line.startswith('comes  ')])
            guest = Guest(folder, 'comes')
            self.addCleanup(guest.end)
            terminal.wait_for(r'^comes +0 +gp 0 .* \d+\.\dM')
            self.assertNotIn('no socket', '\n'.join(terminal.screen()))
            terminal.wait_for(r'^watched +0 +gp 0 .* \d+\.\dM')
            # The first one is chosen.
            terminal.keys('r')
            terminal.wait_for('^comes: reserve gp')

    def test_screenshot(self):
        '''The manual and README show what is on the screen, numbers aside'''
        def words(text):
            numbers = re.sub(r'\d+(\.\d+)?[kMG]?', 'N', text)
            return [' '.join(line.split()) for line in numbers.splitlines()]

        shown = words(screenshot.take())
        manual = (TOP / 'docs/system/i386/vpmu-top-screen.txt').read_text()
        self.assertEqual(shown, words(manual))
        readme = (TOP / 'README.md').read_text()
        start = readme.index('    vpmu-top  1 VM')
        block = readme[start:readme.index('\n    h help ', start)]
        self.assertEqual(words(block), shown[:-1])


class Recorded(Tested):
    '''Records and replays'''

    def record(self):
        path = self.path('record')
        vms = self.ask('-i', '0.3', '--record', path, self.guest.socket)
        return path, vms

    def test_replay(self):
        path, vms = self.record()
        self.assertEqual(self.ask('--replay', path), vms)
        # It is not overwritten.
        done = program('--once', '--record', path, self.guest.socket)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (
            2, '', f'vpmu-top: {path} exists: name another file, or remove '
            'it\n'))
        # One that was killed may have written half of a line.
        with open(path, 'a', encoding='utf-8') as file:
            file.write('{"format": 1, "vm"')
        self.assertEqual(self.ask('--replay', path), vms)

    def test_replay_on_screen(self):
        path, _ = self.record()
        terminal = self.terminal('--replay', path, width=100)
        lines = terminal.wait_for(r'replay 2/2')
        terminal.wait_for(r'slow +gp 4 +kern +\d+\.\dM')
        self.assertEqual(shown_counters(lines, 0), FIRST_CPU)
        terminal.keys('r')
        terminal.wait_for('^this is a replay: there is nothing to reserve')
        terminal.keys('n')
        terminal.wait_for('^only a replay that is paused has steps')
        terminal.keys('p', 'n')
        terminal.wait_for('^the replay is at its end')

    def test_bad_files(self):
        path, _ = self.record()
        with open(path, encoding='utf-8') as file:
            first = file.readline()
        for text, why in (
                (first + 'text\n', ':2 is no line of a recording'),
                ('[]\n', ':1 is no line of a recording'),
                ('{"format": 1}\n', ':1 is no line of a recording'),
                (first.replace('"format": 1', '"format": 99'),
                 ' has format 99, and this program reads 1'),
                (first.replace('"fixed"', '"other"'), ':1 is no line'),
                (first.replace('"clock": ', '"clock": "", "x": '),
                 ':1 is no line'),
                (first.replace('"reuses": ', '"reuses": "", "x": '),
                 ':1 is no line'),
                (first.replace('"stats-clock": ', '"stats-clock": "", "x": '),
                 ':1 is no line'),
                (first.replace('"time": ', '"time": 1e30, "x": '),
                 ':1 is no line'),
                (b'\xff\xfe\n', ' is no recording')):
            bad = Path(self.path('bad'))
            bad.write_bytes(text if isinstance(text, bytes)
                            else text.encode())
            done = program('--once', '--replay', str(bad))
            self.assertEqual((done.returncode, done.stdout), (2, ''), text)
            self.assertIn(f'vpmu-top: {bad}{why}', done.stderr)
        # A terminal does not obey what is in a file.
        bad.write_text(first.replace('"watched"', r'"\u001b[2Jx\u0000"'))
        done = program('--once', '--replay', str(bad))
        self.assertEqual(done.returncode, 0)
        self.assertIn('?[2Jx?', done.stdout)
        self.assertTrue(done.stdout.replace('\n', '').isprintable())
        terminal = self.terminal('--replay', str(bad))
        terminal.wait_for(r'^\?\[2Jx\? +software')
        for option in '--replay', '--record':
            missing = self.path('no/such')
            args = [] if option == '--replay' else [self.guest.socket]
            done = program('--once', option, missing, *args)
            self.assertEqual(done.returncode, 2)
            self.assertIn(f'{missing} cannot be', done.stderr)


class Wrong(Tested):
    '''Every error says what is wrong and what helps'''

    # It need not count meanwhile.
    @classmethod
    def setUpClass(cls):
        cls.guest.qmp.cmd('stop')

    @classmethod
    def tearDownClass(cls):
        cls.guest.qmp.cmd('cont')

    def check_error(self, cause, remedy, *args, **kwargs):
        done = program('--once', *args, **kwargs)
        self.assertEqual((done.returncode, done.stderr), (1, ''))
        text = ' '.join(done.stdout.split())
        self.assertIn(cause, text)
        self.assertIn(remedy, text)
        return text

    def test_absent(self):
        path = self.path('absent')
        self.check_error(f'there is no socket {path}',
                         f'start the emulator with -qmp unix:{path}', path)

    def test_nobody_listens(self):
        path = self.path('left')
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(path)
        self.check_error(f'nobody listens on {path}: its emulator has ended',
                         'server=on', path)

    def test_not_qmp(self):
        path = self.path('monitor')
        fake = Fake(path, b'QEMU 10.0.13 monitor - type \'help\'\r\n(qemu) ')
        self.addCleanup(fake.server.close)
        self.check_error(f'what answers on {path} is not QMP',
                         'name a socket of -qmp', path)

    def test_hangs_up(self):
        path = self.path('hangs')
        fake = Fake(path)
        self.addCleanup(fake.server.close)
        self.check_error(f'{path} hangs up at once', 'it is no monitor', path)

    def test_busy(self):
        client = QEMUMonitorProtocol(self.guest.socket)
        client.connect()
        self.addCleanup(client.close)
        said = ('does not greet: most likely its monitor has another client',
                'a second -qmp', '-t', '0.5', self.guest.socket)
        self.check_error(*said)
        # So many wait that no other one can.
        with contextlib.ExitStack() as stack:
            with self.assertRaises(BlockingIOError):
                while True:
                    waits = stack.enter_context(socket.socket(socket.AF_UNIX))
                    waits.setblocking(False)
                    waits.connect(self.guest.socket)
            self.check_error(*said)

    def test_forbidden(self):
        folder = self.path('forbidden')
        os.mkdir(folder, 0)
        path = f'{folder}/socket'
        # Root may open everything, so it becomes somebody else.
        done = subprocess.run(
            [sys.executable, '-c', 'import os, sys; import encodings.idna; '
             'from qemu.vpmu.main import main\n'
             'os.geteuid() or os.seteuid(65534)\n'
             'sys.exit(main(sys.argv[1:]))', '--once', path],
            stdout=subprocess.PIPE, text=True, check=False)
        os.rmdir(folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f'{path} may not be opened: become the user who runs '
                      'the emulator', done.stdout)

    def other_qemu(self, *answers):
        '''A socket of a QEMU that answers so after query-name'''
        path = self.path('other')
        answers = [{'return': {}}, *answers]
        greeting = {'QMP': {'version': {
            'qemu': {'micro': 0, 'minor': 0, 'major': 9}, 'package': ''},
                            'capabilities': []}}
        says = [greeting, {'return': {}}] + [
            answer | {'id': f'__qmp#{number:05}'}
            for number, answer in enumerate(answers)]
        fake = Fake(path, *(f'{json.dumps(said)}\n'.encode()
                            for said in says))
        self.addCleanup(fake.server.close)
        return path

    def test_no_vpmu(self):
        self.check_error(
            'this QEMU has no virtual PMU to watch',
            'start the virtual machine with one that has',
            self.other_qemu({'error': {'class': 'CommandNotFound',
                                       'desc': 'The command query-vpmu has '
                                       'not been found'}}))

    def test_other_vpmu(self):
        vpmu = self.guest.vpmu()
        del vpmu['cpus'][1]['unsupported-events']
        for answers in [{'return': vpmu}, {'return': []}], [{'return': {}}]:
            self.check_error("this QEMU's virtual PMU is described in another "
                             'way', 'use the vpmu-top that was built with it',
                             self.other_qemu(*answers))
            os.unlink(self.path('other'))

    def test_no_pmu(self):
        with tempfile.TemporaryDirectory() as folder:
            emulator = Emulator(folder, 'bare', '-accel', 'tcg', '-S')
            self.addCleanup(emulator.end)
            reason = emulator.qmp.cmd('query-vpmu')['reason']
            done = program('--once', '-i', '0.1', emulator.socket)
            self.assertEqual(done.returncode, 0)
            self.assertIn(f'bare: no PMU: {reason}', done.stdout)
            terminal = self.terminal('-i', '0.2', emulator.socket)
            terminal.wait_for('^bare: no PMU: ')
            terminal.keys('r')
            terminal.wait_for('^bare does not share its counters: start it')

    def test_tcp(self):
        with socket.socket() as server:
            server.bind(('127.0.0.1', 0))
            address = f'127.0.0.1:{server.getsockname()[1]}'
            self.check_error(f'nobody listens on {address}', 'server=on',
                             address)

    def test_stopped(self):
        '''One that does not answer does not hold up the others'''
        with tempfile.TemporaryDirectory() as folder:
            other = Emulator(folder, 'stopped', '-machine', 'none')
            self.addCleanup(other.end)
            terminal = self.terminal('-i', '0.2', '-t', '0.5', other.socket,
                                     self.guest.socket, height=50)
            terminal.wait_for('^stopped +none')
            other.process.send_signal(signal.SIGSTOP)
            self.addCleanup(other.process.send_signal, signal.SIGCONT)
            terminal.wait_for('^stopped: .* does not (answer|greet)')
            self.guest.qmp.cmd('cont')
            self.addCleanup(self.guest.qmp.cmd, 'stop')
            terminal.wait_for(r'^watched +0 +gp 0 .* \d+\.\dM')

    def test_libvirt(self):
        text = self.check_error(
            'libvirt test:///default has no domain no-such',
            'virsh -c test:///default list --all',
            '-c', 'test:///default', '-d', 'no-such')
        self.assertTrue(text.startswith('VM '), text)
        self.check_error('have no monitor of QEMU',
                         'name another --connect', '-c', 'test:///default',
                         '-d', 'test')

    def test_arguments(self):
        for args, why in (
                ((), 'name a QMP socket, or a domain of libvirt with -d'),
                (('-i', '0', 'x'), '0 is no number from 0.1 to 3600'),
                (('-i', 'x', 'x'), 'x is no number from 0.1 to 3600'),
                (('/x', '/y', 'a=/x'), '/x is there twice'),
                (('a=/x', 'a=/y'), 'a is there twice'),
                (('-d', 'x', '-d', 'x'), 'x is there twice'),
                (('--replay', 'x', 'y'), '--replay shows a recording')):
            done = program(*args)
            self.assertEqual((done.returncode, done.stdout), (2, ''))
            self.assertIn(why, done.stderr)


if __name__ == '__main__':
    level = pycotap.LogMode.LogToError
    unittest.main(testRunner=pycotap.TAPTestRunner(message_log=level,
                                                   test_output_log=level))
