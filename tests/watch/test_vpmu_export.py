#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
vpmu-top as an exporter for Prometheus, with a real Prometheus that scrapes it:
the metrics' names and values, and the queries of the dashboard.

Environment:

VPMU_PROMETHEUS  the folder of the programs prometheus and promtool
'''

import http
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import pycotap
from watched import PROGRAM, TOP, Guest, program, wait_until

BIN = Path(os.environ['VPMU_PROMETHEUS'])
DASHBOARD = TOP / 'docs/system/i386/vpmu-grafana.json'
STATISTICS = TOP / 'target/i386/vpmu/handover-stats.h.inc'

# The sockets that hold the tests' ports
RESERVED = []


def free_port():
    '''A port of the loopback that only a server of ours gets'''
    free = socket.socket()
    # Until somebody listens, others with this option can bind it, too.
    free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    free.bind(('127.0.0.1', 0))
    RESERVED.append(free)
    return free.getsockname()[1]


def get(url):
    '''What a server answers'''
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def parse(text):
    '''The samples of a scrape: name -> [(labels, value)]'''
    samples = {}
    for line in text.splitlines():
        if line.startswith('#'):
            continue
        name, labels, value = re.fullmatch(r'(\w+)\{(.*)\} (\S+)',
                                           line).groups()
        samples.setdefault(name, []).append(
            ({key: re.sub(r'\\(.)', lambda escape: '\n' if escape[1] == 'n'
                          else escape[1], text) for key, text in
              re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels)},
             float(value)))
    return samples


class Exporter:
    '''The program, serving'''

    def __init__(self, *args):
        self.port = free_port()
        self.process = subprocess.Popen(
            [*PROGRAM, '--prometheus', str(self.port), *args],
            stdin=subprocess.DEVNULL)
        try:
            wait_until(self.answers, 'the exporter answers')
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def scrape(self):
        '''The text of the metrics'''
        return get(f'http://127.0.0.1:{self.port}/metrics')

    def answers(self):
        '''Whether it is there'''
        try:
            return self.scrape()
        except OSError:
            return None

    def end(self, number=signal.SIGTERM):
        '''Ends it; returns its exit status'''
        self.process.send_signal(number)
        return self.process.wait(10)


class Prometheus:
    '''A Prometheus that scrapes a port every half second'''

    def __init__(self, folder, port):
        config = Path(folder) / 'prometheus.yml'
        config.write_text('global:\n  scrape_interval: 500ms\n'
                          '  scrape_timeout: 500ms\n'
                          'scrape_configs:\n- job_name: vpmu\n'
                          '  static_configs:\n'
                          f'  - targets: ["127.0.0.1:{port}"]\n')
        listen = free_port()
        self.url = f'http://127.0.0.1:{listen}/api/v1/query?'
        with open(f'{folder}/prometheus.log', 'wb') as log:
            self.process = subprocess.Popen(
                [BIN / 'prometheus', f'--config.file={config}',
                 f'--storage.tsdb.path={folder}/prometheus',
                 f'--web.listen-address=127.0.0.1:{listen}'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def query(self, expression):
        '''The result of a query: [{'metric': labels, 'value': ...}]'''
        try:
            answer = json.loads(get(self.url + urllib.parse.urlencode(
                {'query': expression})))
        except urllib.error.HTTPError as err:
            if err.code != http.HTTPStatus.SERVICE_UNAVAILABLE:
                raise AssertionError(f'{expression}: {err.read()}') from err
            return []       # It is starting.
        except OSError:
            return []       # It does not listen yet, or is very busy.
        return answer['data']['result']

    def wait_for(self, expression):
        '''Waits until a query has a result; returns it'''
        return wait_until(lambda: self.query(expression), expression)

    def end(self):
        '''Ends it'''
        self.process.kill()
        self.process.wait()


class Export(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.dir.cleanup)
        # For what is not the exporter that all tests share
        cls.second = f'{cls.dir.name}/second.qmp'
        cls.guest = Guest(cls.dir.name, 'watched', '-qmp',
                          f'unix:{cls.second},server=on,wait=off')
        cls.addClassCleanup(cls.guest.end)
        cls.guest.qmp.cmd('vpmu-host-counter-set', type='gp', index=0,
                          event='instructions')
        cls.exporter = Exporter('-i', '0.2', cls.guest.socket)
        cls.addClassCleanup(cls.exporter.end)
        cls.prometheus = Prometheus(cls.dir.name, cls.exporter.port)
        cls.addClassCleanup(cls.prometheus.end)

    def lint(self, text):
        '''promtool has nothing to say'''
        done = subprocess.run([BIN / 'promtool', 'check', 'metrics'],
                              input=text, text=True, check=False,
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT)
        self.assertEqual((done.stdout, done.returncode), ('', 0))

    def test_metrics(self):
        text = self.exporter.scrape()
        self.lint(text)
        samples = parse(text)
        page = (TOP / 'docs/system/i386/vpmu-top.rst').read_text()
        self.assertEqual(set(samples),
                         set(re.findall('^``(vpmu_[a-z_]+)``', page,
                                        re.MULTILINE)))
        self.assertEqual(samples['vpmu_up'], [({'vm': 'watched'}, 1)])
        self.assertEqual(samples['vpmu_info'], [
            ({'vm': 'watched', 'mode': 'software', 'version': '5'}, 1)])
        self.assertEqual(
            sorted((labels['type'], value) for labels, value in
                   samples['vpmu_counters']), [('fixed', 3), ('gp', 5)])
        self.assertEqual(
            sorted((labels['type'], value) for labels, value in
                   samples['vpmu_counters_reserved']),
            [('fixed', 0), ('gp', 1)])
        self.assertEqual(
            [(labels['vcpu'], value) for labels, value in
             samples['vpmu_events_unsupported']], [('0', 1), ('1', 0)])
        path = {(labels['counter'], labels['path']): value for labels, value
                in samples['vpmu_path'] if labels['vcpu'] == '0'}
        self.assertEqual(len(path), 8 * 4)
        self.assertEqual(
            {key for key, value in path.items() if value},
            {('gp0', 'slow'), ('gp1', 'fast'), ('gp2', 'idle'),
             ('gp3', 'fast'), ('gp4', 'idle'), ('fixed0', 'fast'),
             ('fixed1', 'idle'), ('fixed2', 'idle')})
        events = {(labels['counter'], labels['owner'], labels['event'],
                   labels['ring']) for labels, _ in
                  samples['vpmu_events_total'] if labels['vcpu'] == '0'}
        # What has no name is "other"; what has PEBS is not known.
        self.assertEqual(events, {
            ('gp0', 'guest', 'branches', 'kern'),
            ('gp2', 'guest', 'instructions', 'user'),
            ('gp3', 'guest', 'other', 'kern'),
            ('fixed0', 'guest', 'instructions', 'both'),
            ('fixed1', 'guest', 'cycles', '-'),
            ('fixed2', 'guest', 'ref-cycles', '-'),
            ('gp0', 'host', 'instructions', 'both')})

    def test_statistics(self):
        '''All that QEMU has, with the values that it has'''
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        guest = Guest(folder.name)
        self.addCleanup(guest.end)
        # Not all that the guest counts with can be backed.
        guest.qmp.cmd('vpmu-reserve-host-counters', gp=4, force=True)

        def stats():
            return guest.qmp.cmd('query-stats', target='vcpu',
                                 providers=[{'provider': 'vpmu'}])

        wait_until(lambda: sum(stat['value'] for cpu in stats()
                               for stat in cpu['stats']
                               if stat['name'] == 'starved-ns') > 1e8,
                   'counters are starved')
        guest.qmp.cmd('stop')
        exporter = Exporter(guest.socket)
        self.addCleanup(exporter.end)
        samples = parse(exporter.scrape())
        self.assertGreater(sum(value for _, value in samples[
            'vpmu_starved_seconds_total']), 0.1)
        exported = sorted(
            round(value * (1e9 if name == 'vpmu_starved_seconds_total' else 1))
            for name, values in samples.items()
            for labels, value in values
            if name.endswith('_total') and name != 'vpmu_events_total')
        last = stats()
        self.assertEqual(exported, sorted(
            stat['value'] for cpu in last for stat in cpu['stats']))
        names = re.findall(r'^HANDOVER_STAT\(\w+, "([^"]+)"',
                           STATISTICS.read_text().replace('\n', ' ').replace(
                               'HANDOVER_STAT', '\nHANDOVER_STAT'),
                           re.MULTILINE)
        self.assertGreater(len(names), 10)
        self.assertEqual(len(exported), 2 * len(names))
        for cpu in last:
            index = [c['cpu-index'] for c in guest.vpmu()['cpus']
                     if c['qom-path'] == cpu['qom-path']][0]
            values = {stat['name']: stat['value'] for stat in cpu['stats']}
            for labels, value in samples['vpmu_pebs_records_total']:
                if labels['vcpu'] == str(index):
                    self.assertEqual(
                        value, values[f'pebs-records-{labels["path"]}'])
            for labels, value in samples['vpmu_reuses_total']:
                if labels['vcpu'] == str(index):
                    self.assertEqual(value, values['reuses'])

    def test_scraped(self):
        self.assertEqual(
            [result['value'][1] for result in
             self.prometheus.wait_for('vpmu_up{vm="watched"}')], ['1'])
        select = 'vpmu_events_total{vcpu="0",owner="%s",counter="%s"}'

        def totals(*counter):
            result, = self.prometheus.wait_for(select % counter + '[1m]')
            return {time: int(float(value))
                    for time, value in result['values']}

        wait_until(lambda: len(totals('guest', 'gp0')) > 3, 'four scrapes')
        branches = totals('guest', 'gp0')
        instructions = totals('guest', 'fixed0')
        host = totals('host', 'gp0')
        times = sorted(set(branches) & set(instructions) & set(host))
        first, last = times[0], times[-1]
        counted = branches[last] - branches[first]
        self.assertGreater(counted, 1000000)
        # Two instructions for each branch, and 16 more in each million
        slack = (counted / 1000000 + len(times) + 1) * 16
        for totals_of in instructions, host:
            self.assertLessEqual(
                abs(totals_of[last] - totals_of[first] - 2 * counted), slack)
        path, = self.prometheus.query(
            'vpmu_path{vcpu="0",counter="gp0"} == 1')
        self.assertEqual(path['metric']['path'], 'slow')

    def test_dashboard(self):
        '''Each query of the dashboard has data'''
        board = json.loads(DASHBOARD.read_text())
        self.prometheus.wait_for('rate(vpmu_reuses_total[5s])')
        places = set()
        used = set()
        for panel in board['panels']:
            grid = panel['gridPos']
            cells = {(x, y) for x in range(grid['x'], grid['x'] + grid['w'])
                     for y in range(grid['y'], grid['y'] + grid['h'])}
            self.assertLessEqual(max(x for x, _ in cells), 23)
            self.assertFalse(cells & places, panel['title'])
            places |= cells
            for target in panel['targets']:
                query = target['expr']
                used |= set(re.findall(r'vpmu_\w+', query))
                query = query.replace('$__rate_interval', '5s')
                query = query.replace('$vm', '.*')
                self.assertNotIn('$', query)
                found = self.prometheus.wait_for(query)
                for label in re.findall(r'{{(\w+)}}',
                                        target['legendFormat']):
                    self.assertTrue(all(label in result['metric']
                                        for result in found), query)
        self.assertEqual(len({panel['id'] for panel in board['panels']}),
                         len(board['panels']))
        # Nothing is exported that the dashboard does not show, but for these.
        self.assertEqual(set(parse(self.exporter.scrape())) - used,
                         {'vpmu_info', 'vpmu_counters'})

    def test_comes_and_goes(self):
        with tempfile.TemporaryDirectory() as folder:
            guest = Guest(folder, 'comes')
            self.addCleanup(guest.end)
            exporter = Exporter('-i', '0.1', guest.socket)
            try:
                guest.end()
                up = wait_until(
                    lambda: [line for line in exporter.scrape().splitlines()
                             if line == 'vpmu_up{vm="comes"} 0.0'], 'it goes')
                self.assertEqual(
                    [line for line in exporter.scrape().splitlines()
                     if not line.startswith('#')], up)
                guest = Guest(folder, 'comes')
                self.addCleanup(guest.end)
                wait_until(
                    lambda: 'vpmu_up{vm="comes"} 1.0' in exporter.scrape(),
                    'it comes')
            finally:
                self.assertEqual(exporter.end(signal.SIGINT), 0)

    def test_textfile(self):
        path = Path(self.dir.name) / 'vpmu.prom'
        done = program('--textfile', str(path), '--once', self.second)
        self.assertEqual((done.stdout, done.stderr, done.returncode),
                         ('', '', 0))
        self.lint(path.read_text())
        once = set(parse(path.read_text()))
        self.assertIn('vpmu_up{vm="watched"} 1.0', path.read_text())
        with subprocess.Popen([*PROGRAM, '--textfile', str(path), '-i', '0.1',
                               self.second]) as process:
            wait_until(lambda: 'vpmu_events_total' in path.read_text(),
                       'it is written again')
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(10), 0)
        self.lint(path.read_text())
        # Who asks only once does not know what has been counted.
        self.assertEqual(set(parse(path.read_text())) - once,
                         {'vpmu_events_total'})
        self.assertEqual(set(parse(self.exporter.scrape())) - once,
                         {'vpmu_events_total'})

    def test_wrong(self):
        for args, why in (
                (('--textfile', f'{self.dir.name}/no/such'),
                 'such cannot be written: No such file'),
                (('--prometheus', str(self.exporter.port)),
                 f'port {self.exporter.port} of 127.0.0.1 cannot be listened '
                 'on: Address already in use; name another one'),
                (('--prometheus', '9117', '--once'),
                 '--prometheus serves until it is ended'),
                (('--prometheus', '70000'),
                 '70000 is not a port, or HOST:PORT')):
            done = program(*args, self.second)
            self.assertEqual((done.returncode, done.stdout), (2, ''), args)
            self.assertIn(why, done.stderr)


if __name__ == '__main__':
    level = pycotap.LogMode.LogToError
    unittest.main(testRunner=pycotap.TAPTestRunner(message_log=level,
                                                   test_output_log=level))
