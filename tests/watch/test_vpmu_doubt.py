#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
vpmu-top and what it cannot trust: monitors that answer anything, a libvirt
whose calls do not end, and full disks.
'''

import asyncio
import copy
import json
import os
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

import pycotap
from qemu.vpmu.connect import parse_socket
from qemu.vpmu.export import Exporter
from qemu.vpmu.model import VM, Sample, is_known
from qemu.vpmu.poll import Names, Poller, Replay, Watch
from qemu.vpmu.record import Recorder, Recording
from qemu.vpmu.screen import Screen
from test_vpmu_export import parse
from watched import PROGRAM, Guest, Server, program, wait_until

GREETING = {'QMP': {'version': {'qemu': {'micro': 0, 'minor': 0, 'major': 10},
                                'package': ''}, 'capabilities': []}}
COUNTER = {'type': 'gp', 'index': 0, 'path': 'fast', 'owner': 'guest',
           'physical-index': 0, 'user': True, 'kernel': True, 'value': 5,
           'pebs': False, 'enabled': True,
           'event': {'select': 0xc0, 'umask': 0, 'name': 'instructions'}}
VPMU = {'mode': 'software', 'reason': 'so', 'version': 5, 'counter-width': 48,
        'passthrough': True, 'slice-ms': 10,
        'total': {'gp': 1, 'fixed': []}, 'reserved': {'gp': 0, 'fixed': []},
        'cpus': [{'cpu-index': 0, 'qom-path': '/cpu', 'counters': [COUNTER],
                  'host-counters': [], 'unsupported-events': []}]}
STATS = [{'qom-path': '/cpu', 'stats': [{'name': 'reuses', 'value': 1}]}]

LIBVIRT = '''
import builtins, json, os, time
FOLDER = os.environ['FAKE_FOLDER']
VIR_ERR_NO_DOMAIN = VIR_ERR_OPERATION_INVALID = VIR_ERR_NO_SUPPORT = 1
VIR_ERR_INVALID_CONN = 1
class libvirtError(Exception):
    pass
def registerErrorHandler(handler, context):
    pass
class Domain:
    def __init__(self):
        self.id = int(builtins.open(FOLDER + '/id').read())
    def ID(self):
        return self.id
    def connect(self):
        return self
    def lookupByName(self, name):
        return Domain()
def note(what):
    with builtins.open(FOLDER + '/calls', 'a') as file:
        file.write(what + '\\n')
def open(uri):
    note('open')
    return Domain()
def qemuMonitorCommand(domain, text, flags):
    note('command')
    while os.path.exists(FOLDER + '/hangs'):
        time.sleep(0.01)
    command = json.loads(text)['execute']
    return json.dumps({'return': json.loads(os.environ['FAKE'])[command]})
'''


class Peer(Server):
    '''A monitor that answers each command so; bytes are sent as they are'''

    def __init__(self, path, **answers):
        self.answers = {'query-name': {'name': 'peer'}, 'query-vpmu': VPMU,
                        'query-stats': STATS, 'qmp_capabilities': {}}
        self.answers.update({name.replace('_', '-'): answer
                             for name, answer in answers.items()})
        super().__init__(path)

    def talk(self, client):
        try:
            client.sendall(json.dumps(GREETING).encode() + b'\n')
            # A command has no newline at its end; the next one comes later.
            while text := client.recv(4096):
                message = json.loads(text)
                answer = self.answers[message['execute']]
                if not isinstance(answer, bytes):
                    known = {key: message[key] for key in ('id',)
                             if key in message}
                    answer = json.dumps({'return': answer} | known).encode()
                client.sendall(answer + b'\n')
        except OSError:
            pass            # It has hung up.


def changed(path, value):
    '''VPMU with another value in one place'''
    vpmu = copy.deepcopy(VPMU)
    place = vpmu
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return vpmu


COUNTER_PATH = 'cpus', 0, 'counters', 0
WRONG = [changed(path, value) for path, value in (
    (('counter-width',), '48'), (('counter-width',), 1),
    (('counter-width',), 10**18), (('reason',), 5), (('mode',), []),
    (('total', 'gp'), 'a'), (('reserved', 'fixed'), ['0']),
    (('cpus', 0, 'cpu-index'), '0'), ((*COUNTER_PATH, 'value'), '7'),
    ((*COUNTER_PATH, 'value'), -1), ((*COUNTER_PATH, 'index'), []),
    ((*COUNTER_PATH, 'path'), 3), ((*COUNTER_PATH, 'type'), 3))]


class Doubt(unittest.TestCase):

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def peer(self, name, **answers):
        '''The socket of a peer'''
        path = f'{self.folder}/{name}'
        peer = Peer(path, **answers)
        self.addCleanup(peer.server.close)
        return path

    def test_peers(self):
        '''The others are watched on, whatever a peer answers'''
        answers = [
            {'query_name': []}, {'query_name': None},
            {'query_name': {'name': 5}}, {'query_name': b'{"\xff"}'},
            {'query_vpmu': b'[' * 200000}, {'query_vpmu': b'\xff'},
            {'query_stats': [{'qom-path': []}]},
            {'query_stats': [{'qom-path': '/cpu', 'stats': [
                {'name': 'reuses', 'value': 10**400}]}]},
            *({'query_vpmu': vpmu} for vpmu in WRONG)]
        bad = [self.peer(str(number), **answer)
               for number, answer in enumerate(answers)]
        good = self.peer('good', query_name={'name': 'good'})
        done = program('--json', '-i', '0.1', '-t', '30', *bad, good)
        self.assertEqual((done.returncode, done.stderr), (1, ''))
        *vms, last = json.loads(done.stdout)['vms']
        for vm, answer in zip(vms, answers):
            self.assertRegex(vm['error'] or '', 'is described in another way|'
                             'the connection to .* has ended', answer)
        self.assertEqual((last['name'], last['error']), ('good', None))

    def test_wrong_types(self):
        self.assertTrue(is_known(
            Sample(1.0, 1.0, VPMU, {0: {'reuses': 1}}, 1.0)))
        self.assertTrue(is_known(
            Sample(1.0, 1.0, {**VPMU, 'cpus': [], 'counter-width': 0}, {},
                   1.0)))
        for vpmu in WRONG:
            self.assertFalse(is_known(Sample(1.0, 1.0, vpmu, {}, 1.0)), vpmu)
        for value in '1', -1, 10**400, [1]:
            self.assertFalse(is_known(Sample(1.0, 1.0, VPMU,
                                             {0: {'reuses': value}}, 1.0)))

    def test_full_disk(self):
        record = f'{self.folder}/record'
        done = subprocess.run(
            ['sh', '-c', 'ulimit -f 1; exec "$@"', 'sh', *PROGRAM, '--once',
             '-i', '0.1', '-t', '30', '--record', record, self.peer('peer')],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            check=False)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (
            2, '', f'vpmu-top: {record} cannot be written: File too large\n'))

    def test_one_moment(self):
        '''A scrape has all of an answer, or nothing of it'''
        vm = VM('vm', 'address')
        watch = mock.Mock(spec=Watch, vms=[vm])
        exporter = Exporter(watch, False)

        def shown():
            return {(sample.name, sample.labels.get('counter')): sample.value
                    for family in exporter.collect()
                    for sample in family.samples}

        for value in 5, 12:
            vm.take(Sample(1.0, 1.0, changed((*COUNTER_PATH, 'value'), value),
                           {0: {'reuses': value}}, 1.0))
            exporter.update()
        before = shown()
        self.assertEqual((before['vpmu_events_total', 'gp0'],
                          before['vpmu_reuses_total', None]), (7, 12))
        half = exporter.collect()
        next(half)
        vm.lose('it is gone')
        list(half)
        self.assertEqual(shown(), before)
        vm.take(Sample(1.0, 1.0, VPMU, {0: {'reuses': 100}}, 1.0))
        self.assertEqual(shown(), before)
        exporter.update()
        self.assertEqual(shown()['vpmu_reuses_total', None], 100)

    def test_shrinks(self):
        '''One that shrinks has no rate; they have a clock of their own'''
        vm = VM('vm', 'address')
        for clock, value in (1.0, 100), (2.0, 3), (3.0, 5):
            vm.take(Sample(0.0, 0.0, VPMU, {0: {'reuses': value}}, clock))
            if clock == 2.0:
                self.assertEqual(vm.stat_rates(), {0: {'reuses': None}})
        self.assertEqual(vm.stat_rates(), {0: {'reuses': 2.0}})

    def test_labels(self):
        '''Labels are UTF-8, and what is special in them is escaped'''
        name = 'quote" back\\slash\nline = }'
        text = f'{self.folder}/text'
        for told, label in (name, name), ('\ud800', '?'):
            path = self.peer(f'peer{len(told)}', query_name={'name': told})
            done = program('--textfile', text, '--once', '-t', '30', path)
            self.assertEqual((done.returncode, done.stderr), (0, ''))
            samples = parse(Path(text).read_text())
            self.assertEqual(samples['vpmu_up'], [({'vm': label}, 1)])
            self.assertEqual(samples['vpmu_reuses_total'],
                             [({'vm': label, 'vcpu': '0'}, 1)])
        done = program('--textfile', text, '--once', '\udcff')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertEqual(parse(Path(text).read_text())['vpmu_up'],
                         [({'vm': '?'}, 0)])

    def test_files(self):
        '''The standard output is full, the standard input closed'''
        path = self.peer('peer')
        for redirect, result in (
                ('>/dev/full', (2, 'vpmu-top: the standard output cannot be '
                                'written: No space left on device\n')),
                ('>/dev/null <&-', (0, 'vpmu-top: this is no terminal: '
                                    'printing once, like --once\n'))):
            once = ['--once'] if result[0] else []
            done = subprocess.run(
                ['sh', '-c', f'exec "$@" {redirect}', 'sh', *PROGRAM, *once,
                 '-i', '0.1', '-t', '30', path], stderr=subprocess.PIPE,
                text=True, check=False)
            self.assertEqual((done.returncode, done.stderr), result)

    def test_no_port(self):
        self.assertEqual(parse_socket('x:\u00b2'), 'x:\u00b2')
        self.assertEqual(parse_socket('x:2'), ('x', 2))

    def test_replay_time(self):
        '''The clock of a replay is that of its recording'''
        path = f'{self.folder}/record'
        recorder = Recorder(path)
        vm = VM('vm', 'address')
        for when in 1e9, 1e9 + 3661:
            vm.take(Sample(when, when, VPMU, {0: {'reuses': 1}}, when))
            recorder.write(vm)
        recorder.close()
        replay = Replay(Recording(path))
        screen = Screen(replay)
        for when in 1e9, 1e9 + 3661:
            self.assertTrue(replay.step())
            title = screen.lines(80, 24)[0][0].text
            self.assertTrue(title.endswith(
                time.strftime(' %H:%M:%S', time.localtime(when))), title)
        self.assertFalse(replay.step())

    def test_quit(self):
        '''Nobody waits for a reservation after the end'''
        async def quit_it():
            source = mock.Mock(address='address')
            source.connect = source.close = mock.AsyncMock()

            async def execute(command, _=None):
                if command == 'vpmu-reserve-host-counters':
                    asked.append(command)
                    await asyncio.sleep(1000)
                return {'query-vpmu': VPMU, 'query-stats': STATS}[command]

            asked = []
            source.execute = execute
            watch = Watch([Poller(source, Names(), 'vm')], 1)
            await watch.once()
            screen = Screen(watch)
            for key in 'r', 'enter', 'y':
                screen.key(key)
            while not asked:
                await asyncio.sleep(0)
            screen.cancel()
            await asyncio.wait_for(watch.close(), 10)

        asyncio.run(quit_it())

    def libvirt(self):
        '''The environment of a libvirt of ours; its domain has the ID 1'''
        (Path(self.folder) / 'libvirt.py').write_text(LIBVIRT)
        (Path(self.folder) / 'libvirt_qemu.py').write_text(
            'from libvirt import qemuMonitorCommand\n')
        (Path(self.folder) / 'id').write_text('1')
        return {'FAKE': json.dumps({'query-vpmu': VPMU,
                                    'query-stats': STATS}),
                'FAKE_FOLDER': self.folder,
                'PYTHONPATH': f'{self.folder}:{os.environ["PYTHONPATH"]}'}

    def recording(self):
        '''The error of each line that has been recorded'''
        path = Path(self.folder) / 'record'
        return [json.loads(line).get('error') for line in
                path.read_text().splitlines()] if path.exists() else []

    def recorder(self, **env):
        '''The program, which records a domain until the test ends'''
        process = subprocess.Popen(
            [*PROGRAM, '--textfile', f'{self.folder}/text', '-i', '0.1', '-t',
             '0.3', '--record', f'{self.folder}/record', '-d', 'dom'],
            env=os.environ | env, stdin=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)

    def test_stopped_domain(self):
        '''Nothing more is asked until what was asked last has ended'''
        env = self.libvirt()
        hangs = Path(self.folder) / 'hangs'
        hangs.touch()
        self.recorder(**env)
        wait_until(lambda: len(self.recording()) > 5, 'six polls')
        self.assertTrue(all('does not answer' in error
                            for error in self.recording()))
        calls = (Path(self.folder) / 'calls').read_text()
        self.assertEqual(calls, 'open\ncommand\n')
        hangs.unlink()
        wait_until(lambda: self.recording()[-1] is None, 'it answers')

    def test_domain_anew(self):
        '''No rate is that of two emulators'''
        self.recorder(**self.libvirt())
        wait_until(lambda: len(self.recording()) > 1, 'two polls')
        (Path(self.folder) / 'id.new').write_text('2')
        os.rename(f'{self.folder}/id.new', f'{self.folder}/id')
        count = len(self.recording())
        wait_until(lambda: len(self.recording()) > count + 2, 'three polls')
        errors = [error for error in self.recording() if error is not None]
        self.assertEqual(errors, [
            'domain dom was started anew: it is watched from the next answer '
            'on'])

    def test_guest_that_fails(self):
        '''A test's emulator does not stay if its guest fails'''
        with mock.patch.object(Guest, 'is_counting', side_effect=OSError):
            with self.assertRaises(OSError):
                Guest(self.folder, 'never', '-S')
        left = []
        for process in Path('/proc').glob('[0-9]*/cmdline'):
            try:
                if f'{self.folder}/never'.encode() in process.read_bytes():
                    left.append(process)
            except OSError:
                pass        # It has just ended.
        self.assertEqual(left, [])


if __name__ == '__main__':
    level = pycotap.LogMode.LogToError
    unittest.main(testRunner=pycotap.TAPTestRunner(message_log=level,
                                                   test_output_log=level))
