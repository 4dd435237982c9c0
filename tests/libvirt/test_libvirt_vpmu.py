#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
'''
These tests run libvirt's daemon with our changes, a guest with Linux and perf,
and commands of virsh as an operator types them.  The programs in the guest
declare the expected counts.

tests/libvirt/run runs this file.

Environment:

VPMU_LIBVIRT_CALLS  how many calls a clumsy operator makes (default 50)
VPMU_OPERATOR_SEED  of his random numbers (default: the time; it is printed)
'''

import itertools
import json
import os
import subprocess
import sys
import time
import unittest
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / 'tests/functional'))

# pylint: disable=wrong-import-position
import pycotap
from vpmu_guest import (STAT, Counting, GuestError, parse_stat,
                        start_marathon, wait_for_events)
from vpmu_libvirt import (BUILD, Daemon, VirshError, domain_xml, pmu_element,
                          unprivileged)
from vpmu_operator import ClumsyOperator

# QEMU without our changes
STOCK = os.environ.get('PRISTINE',
                       str(BUILD / 'pristine/qemu-system-x86_64'))

CALLS = int(os.environ.get('VPMU_LIBVIRT_CALLS', '50'))
SEED = int(os.environ.get('VPMU_OPERATOR_SEED', time.time_ns() % 1000000))

# The counters that the guest does not see
SPARE = 4

# How libvirt refuses an emulator without the properties
UNSUPPORTED = 'not supported by this QEMU binary'

OFFERED = {'state': 'on', 'passthrough': 'on', 'visible': 'all'}


def element(pmu='', reserved=None):
    '''<pmu> with the attributes @pmu, <reserved> in it with @reserved'''
    inside = '' if reserved is None else f'<reserved {reserved}/>'
    return f'<pmu {pmu}>{inside}</pmu>'


class Libvirt(unittest.TestCase):

    def setUp(self):
        self.daemon = self.start_daemon()

    def start_daemon(self):
        daemon = Daemon()
        self.addCleanup(self.stop_daemon, daemon)
        return daemon

    def stop_daemon(self, daemon):
        '''Stops a daemon, which must leave neither files nor processes'''
        daemon.stop()
        self.assertFalse(daemon.dir.exists())
        left = subprocess.run(['pgrep', '-a', '-f', str(daemon.dir)],
                              stdout=subprocess.PIPE, text=True, check=False)
        self.assertEqual(left.stdout, '')

    def console(self, daemon):
        guest = daemon.console('vpmu')
        self.addCleanup(guest.line.close)
        return guest

    def boot(self, **kwargs):
        '''Defines and starts a domain; returns the shell in its guest'''
        self.daemon.define(domain_xml(**kwargs))
        self.daemon.virsh('start', 'vpmu')
        guest = self.console(self.daemon)
        guest.wait_ready()
        return guest

    def check_loop(self, guest):
        '''perf in the guest must count a program exactly'''
        count = guest.expected()['loop']['instructions']
        self.assertEqual(parse_stat(guest.run(
            f'{STAT} -e instructions:u loop 2>&1')), [count])

    def check_marathon(self, guest, want):
        self.assertEqual(parse_stat(guest.finish(timeout=300)), want)

    def refused(self, words, function, *args):
        '''Calls @function; it must fail with all of @words in the message'''
        with self.assertRaises(VirshError) as caught:
            function(*args)
        for word in words:
            self.assertIn(word, str(caught.exception))

    def refused_xml(self, words, pmu='', reserved=None, **kwargs):
        self.refused(words, self.daemon.define,
                     domain_xml(pmu=element(pmu, reserved), **kwargs))
        self.assertEqual(self.daemon.virsh('list', '--all', '--name'), '')

    def check_qmp_stats(self, daemon):
        '''
        domstats and query-stats must agree, which they can only while the
        domain is suspended
        '''
        paths = {cpu['qom-path']: cpu['cpu-index']
                 for cpu in daemon.qmp('vpmu', 'query-cpus-fast')}
        want = [None] * len(paths)
        for cpu in daemon.qmp('vpmu', 'query-stats', target='vcpu',
                              providers=[{'provider': 'vpmu'}]):
            want[paths[cpu['qom-path']]] = {
                f'{stat["name"]}.sum': stat['value'] for stat in cpu['stats']}
        got = daemon.vcpu_stats('vpmu')
        self.assertEqual(got, want)
        return got

    # --- the XML ---

    def test_wrong_values_name_their_attribute(self):
        on = "state='on' passthrough='on'"
        for attribute, pmu, reserved in (
                ('passthrough', "state='on' passthrough='maybe'", None),
                ('passthrough', "state='off' passthrough='on'", None),
                ('passthrough', "state='off' passthrough='auto'", None),
                ('passthrough', "state='on'", "gp='2'"),
                ('passthrough', "state='on' visible='all'", None),
                ('visible', f"{on} visible='some'", None),
                ('gp', on, "gp='9'"),
                ('gp', on, "gp='-1'"),
                ('gp', on, "gp='two'"),
                ('fixed', on, "fixed='3'"),
                ('fixed', on, "fixed='0,0'"),
                ('fixed', on, "fixed='0:2'"),
                ('fixed', on, "fixed=''"),
                ('order', on, "gp='2' order='up'")):
            with self.subTest(pmu=pmu, reserved=reserved):
                self.refused_xml([attribute], pmu, reserved)

    def test_definition_is_kept(self):
        for pmu, reserved in (
                ("state='on' passthrough='on'", None),
                ("state='on' passthrough='auto' visible='granted'", None),
                ("state='on' passthrough='on' visible='all'",
                 "gp='3' fixed='0,2' order='high'"),
                ("state='on' passthrough='off'", None),
                ("state='on'", None), ("state='off'", None)):
            with self.subTest(pmu=pmu, reserved=reserved):
                xml = domain_xml(pmu=element(pmu, reserved))
                self.daemon.define(xml)
                shown = self.daemon.virsh('dumpxml', 'vpmu')
                self.assertEqual(pmu_element(shown), pmu_element(xml))
                self.daemon.virsh('undefine', 'vpmu')

    def test_stored_reservation_is_for_the_next_start(self):
        self.boot(pmu=element("state='on' passthrough='on'", "gp='2'"))

        def reserved():
            return self.daemon.qmp('vpmu', 'query-vpmu')['reserved']

        self.assertEqual(reserved(), {'gp': 2, 'fixed': []})
        self.daemon.define(self.daemon.virsh(
            'dumpxml', '--inactive', 'vpmu').replace(
                "gp='2'", "gp='1' fixed='2'"))
        self.assertEqual(reserved(), {'gp': 2, 'fixed': []})
        self.daemon.virsh('destroy', 'vpmu')
        self.daemon.virsh('start', 'vpmu')
        self.assertEqual(reserved(), {'gp': 1, 'fixed': [2]})

    # --- an emulator without our changes ---

    def test_stock_emulator_is_refused(self):
        for pmu in ("state='on' passthrough='on'",
                    "state='on' passthrough='auto'"):
            self.refused_xml([UNSUPPORTED, 'passthrough'], pmu,
                             emulator=STOCK)

    def test_stock_emulator_takes_old_xml(self):
        for pmu in ('', "<pmu state='on'/>", "<pmu state='off'/>"):
            self.daemon.define(domain_xml(pmu=pmu, emulator=STOCK))
            self.daemon.virsh('start', 'vpmu')
            self.assertEqual(self.daemon.vcpu_stats('vpmu'), [])
            self.daemon.virsh('destroy', 'vpmu')
            self.daemon.virsh('undefine', 'vpmu')

    # --- a guest that counts ---

    def test_reservation_at_run_time(self):
        guest = self.boot()
        self.check_loop(guest)

        want = start_marathon(guest, self.query)
        self.check_reservation_event()
        # The definition does not change
        self.assertEqual(pmu_element(self.daemon.virsh('dumpxml', 'vpmu')),
                         (OFFERED, {'gp': '2', 'order': 'low'}))
        self.daemon.qmp('vpmu', 'vpmu-reserve-host-counters', gp=0)
        self.check_marathon(guest, want)

        self.daemon.virsh('suspend', 'vpmu')
        stats = self.check_qmp_stats(self.daemon)
        self.assertGreater(max(cpu['hand-overs.sum'] for cpu in stats), 0)
        self.daemon.virsh('resume', 'vpmu')
        self.check_poweroff(guest)

    def check_reservation_event(self):
        '''virsh shows the event of a reservation at run time'''
        watch = self.daemon.spawn(
            'qemu-monitor-event', 'vpmu', '--event',
            'VPMU_RESERVATION_CHANGED', '--timeout', '60')
        # virsh does not tell when it begins to listen
        for gp in itertools.cycle((4, 3)):
            answer = self.daemon.qmp('vpmu', 'vpmu-reserve-host-counters',
                                     gp=gp)
            self.assertEqual(answer['reserved'], {'gp': gp, 'fixed': []})
            if watch.poll() is not None:
                break
            time.sleep(0.2)
        event = watch.communicate()[0]
        self.assertIn('VPMU_RESERVATION_CHANGED', event)
        self.assertEqual(watch.returncode, 0, event)

    def check_poweroff(self, guest):
        '''libvirt and the console notice that the guest powers off'''
        # The shell prints no end mark after this command
        guest.line.writer.write(b'poweroff -f\n')
        deadline = time.monotonic() + 60
        while self.daemon.virsh('list', '--name'):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.2)
        self.assertEqual(self.daemon.virsh('domstate', 'vpmu'), 'shut off')
        with self.assertRaisesRegex(GuestError, 'the guest is gone'):
            guest.wait_ready()

    def call(self, command, args):
        '''The answer to a QMP command; libvirt may be who refuses it'''
        try:
            return self.daemon.monitor('vpmu', command, args)
        except VirshError as error:
            return {'error': {'class': 'GenericError', 'desc': str(error)}}

    def test_clumsy_operator(self):
        '''Calls through libvirt, right and wrong, cost the guest no count'''
        guest = self.boot(pmu=element("state='on' passthrough='on'",
                                      f"gp='{SPARE}'"))
        guest.run('echo 0 > /proc/sys/kernel/nmi_watchdog')
        events = sorted(set(guest.expected()['branches']) - {'instructions'})
        counting = Counting(guest, 'branches', events[:SPARE])
        print(f'# seed {SEED}', flush=True)
        operator = ClumsyOperator(self, self.call, self.query, SPARE, SEED)
        accepted = operator.make_calls(CALLS)
        turns = counting.finish()
        print(f'# accepted of {CALLS}: {accepted}; {turns} counts of {SPARE} '
              'events exact', flush=True)
        self.assertGreater(sum(accepted.values()), 0)
        self.assertLess(sum(accepted.values()), CALLS)

    def vpmu_top(self, domain):
        '''What vpmu-top prints of a domain, and its exit status'''
        done = subprocess.run(
            unprivileged([sys.executable,
                          str(BUILD / 'qemu/tools/i386/vpmu-top'), '--json',
                          '-i', '0.2', '-c', self.daemon.uri, '-d', domain]),
            env=self.daemon.env, stdin=subprocess.DEVNULL, timeout=60,
            stdout=subprocess.PIPE, text=True, check=False)
        vm, = json.loads(done.stdout)['vms']
        return vm, done.returncode

    def test_vpmu_top(self):
        guest = self.boot()
        expected = start_marathon(
            guest, lambda: self.daemon.qmp('vpmu', 'query-vpmu'))
        self.daemon.virsh('suspend', 'vpmu')
        vm, status = self.vpmu_top('vpmu')
        self.assertEqual((vm['name'], vm['error'], status),
                         ('vpmu', None, 0))
        self.assertEqual(vm['vpmu'], self.daemon.qmp('vpmu', 'query-vpmu'))
        self.assertEqual(
            [{f'{name}.sum': value for name, value in cpu['stats'].items()}
             for cpu in vm['stats']], self.daemon.vcpu_stats('vpmu'))
        self.daemon.virsh('resume', 'vpmu')
        self.assertEqual(parse_stat(guest.finish()), expected)
        self.daemon.virsh('destroy', 'vpmu')
        vm, status = self.vpmu_top('vpmu')
        self.assertEqual(status, 1)
        self.assertEqual(vm['error'], 'domain vpmu does not run: see virsh -c '
                         f'{self.daemon.uri} start vpmu')
        vm, status = self.vpmu_top('other')
        self.assertEqual(status, 1)
        self.assertEqual(vm['error'], f'libvirt {self.daemon.uri} has no '
                         f'domain other: see virsh -c {self.daemon.uri} list '
                         '--all')

    def test_starts_without_counters_to_give(self):
        '''With passthrough='off', the guest counts, and nothing is reserved'''
        guest = self.boot(pmu=element("state='on' passthrough='off'"))
        self.check_loop(guest)
        self.refused(['pmu-passthrough'], lambda: self.daemon.qmp(
            'vpmu', 'vpmu-reserve-host-counters', gp=1))

    # --- a guest that moves while it counts ---

    def query(self, daemon=None):
        return (daemon or self.daemon).qmp('vpmu', 'query-vpmu')

    def start_marathons(self, guest, number):
        '''
        Starts counts that take seconds, one after another, and waits until the
        first one has begun; returns the expected counts of each.  perf prints
        to files, because the console changes meanwhile.
        '''
        events = guest.expected()['marathon']
        guest.run(f'for n in $(seq {number}); do {STAT} -o /tmp/$n '
                  '-e instructions:u,branches:u,cycles:u marathon; done &')
        wait_for_events(self.query, 'instructions', 'branches', 'cycles')
        return [events['instructions'], events['branches'],
                events['instructions']]

    def suspend_while_counting(self, daemon):
        '''Suspends a domain while its counters count; returns its counters'''
        daemon.virsh('suspend', 'vpmu')

        def query():
            daemon.virsh('resume', 'vpmu')
            daemon.virsh('suspend', 'vpmu')
            return self.query(daemon)

        wait_for_events(query, 'instructions', 'branches', 'cycles')
        return self.counters(daemon)

    def counters(self, daemon):
        '''What a guest knows of its counters'''
        return [[{key: value for key, value in counter.items()
                  if key not in ('owner', 'path', 'physical-index')}
                 for counter in cpu['counters']]
                for cpu in self.query(daemon)['cpus']]

    def check_marathons(self, guest, number, want):
        guest.run('wait', timeout=300)
        for n in range(1, number + 1):
            self.assertEqual(parse_stat(guest.run(f'cat /tmp/{n}')), want)

    def resume(self, daemon, guest):
        '''
        Resumes a domain that was paused when it arrived at @daemon, and lets
        @guest use its new console.  The guest must still be counting.
        '''
        guest.move_to(self.console(daemon))
        daemon.virsh('resume', 'vpmu')
        guest.run('kill -0 $!')

    def configuration(self, daemon):
        info = self.query(daemon)
        return (info['mode'], info['total'], info['reserved'],
                pmu_element(daemon.virsh('dumpxml', 'vpmu')))

    def test_save_and_restore(self):
        guest = self.boot()
        before = self.configuration(self.daemon)
        want = self.start_marathons(guest, 2)
        counters = self.suspend_while_counting(self.daemon)
        image = str(self.daemon.dir / 'saved')
        self.daemon.virsh('save', 'vpmu', image)
        self.assertIn("passthrough='on'",
                      self.daemon.virsh('save-image-dumpxml', image))
        self.daemon.virsh('restore', image, '--paused')
        self.assertEqual(self.configuration(self.daemon), before)
        self.assertEqual(self.counters(self.daemon), counters)
        self.resume(self.daemon, guest)
        self.check_marathons(guest, 2, want)

    def migrate(self, target, *options, source=None):
        (source or self.daemon).virsh(
            'migrate', '--live', '--suspend', *options, 'vpmu', target.uri,
            '--migrateuri', 'tcp://127.0.0.1', timeout=300)

    def test_migration(self):
        target = self.start_daemon()
        guest = self.boot()
        before = self.configuration(self.daemon)
        want = self.start_marathons(guest, 4)
        self.migrate(target)
        self.assertEqual(self.daemon.virsh('list', '--name'), '')
        self.assertEqual(self.configuration(target), before)
        self.resume(target, guest)
        # Back to the first daemon, with another reservation
        counters = self.suspend_while_counting(target)
        xml = target.virsh('dumpxml', '--migratable', 'vpmu')
        other = self.daemon.dir / 'other.xml'
        other.write_text(xml.replace("gp='2'", "gp='5' fixed='2'"))
        self.migrate(self.daemon, '--xml', str(other), source=target)
        self.assertEqual(self.configuration(self.daemon)[2],
                         {'gp': 5, 'fixed': [2]})
        self.assertEqual(self.counters(self.daemon), counters)
        self.resume(self.daemon, guest)
        self.check_marathons(guest, 4, want)
        self.daemon.virsh('suspend', 'vpmu')
        self.check_qmp_stats(self.daemon)

    def test_migration_to_a_stock_emulator_is_refused(self):
        target = self.start_daemon()
        guest = self.boot()
        want = start_marathon(guest, self.query)
        xml = self.daemon.dir / 'stock.xml'
        live = self.daemon.virsh('dumpxml', '--migratable', 'vpmu')
        xml.write_text(live.replace(
            domain_emulator(live), STOCK))
        self.refused([UNSUPPORTED], self.migrate, target, '--xml', str(xml))
        self.assertEqual(target.virsh('list', '--all', '--name'), '')
        self.assertEqual(self.daemon.virsh('domstate', 'vpmu'), 'running')
        self.check_marathon(guest, want)


def domain_emulator(xml):
    '''The emulator in a domain's XML'''
    return xml.split('<emulator>')[1].split('</emulator>')[0]


if __name__ == '__main__':
    unittest.main(testRunner=pycotap.TAPTestRunner(), module=None,
                  argv=[sys.argv[0], '__main__.' + '.'.join(
                      ['Libvirt', *sys.argv[1:2]])])
