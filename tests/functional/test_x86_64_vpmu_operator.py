#!/usr/bin/env python3
#
# SPDX-License-Identifier: GPL-2.0-or-later
'''
A clumsy operator: random calls of the PMU's QMP commands, right and wrong, as
their schema has them, while the guest counts.  None may cost the guest a count,
every error has a class and a text, and one that is refused changes nothing.

Environment:

VPMU_OPERATOR_CALLS  how many calls are made (default 300)
VPMU_OPERATOR_SEED   of the random numbers (default: the time; it is printed)
'''

import os
import random
import time

from vpmu_guest import Shell, parse_stat, perf_events
from vpmu_test import VpmuTest, counter_set, identify

CALLS = int(os.environ.get('VPMU_OPERATOR_CALLS', '300'))
SEED = int(os.environ.get('VPMU_OPERATOR_SEED', time.time_ns() % 1000000))

# The counters that the guest does not see; it always has enough of the others
SPARE = 4
PROGRAM = 'branches'


class Schema:
    '''Makes up values of the types in the answer of query-qmp-schema'''

    def __init__(self, entities, rng):
        self.types = {entity['name']: entity for entity in entities}
        self.rng = rng
        # What a string may be that means something
        self.words = ['']

    def any(self):
        '''A value of any type at all'''
        rng = self.rng
        return rng.choice([
            lambda: rng.choice([0, -1, 1 << 8, 1 << 31, 1 << 63, 1 << 64,
                                -1 << 63, rng.getrandbits(70)]),
            lambda: rng.choice([1.5, -0.0, 1e300]),
            lambda: rng.choice([True, False, None]),
            lambda: rng.choice(['', 'x' * 5000, '%s%n', '\0', '\u2603']),
            lambda: [self.any() for _ in range(rng.randrange(4))],
            lambda: {f'key{i}': self.any() for i in range(rng.randrange(3))},
        ])()

    def builtin(self, kind):
        rng = self.rng
        return {'int': lambda: rng.choice([rng.randrange(4), rng.randrange(10),
                                           rng.randrange(300)]),
                'string': lambda: rng.choice(self.words),
                'boolean': lambda: rng.random() < 0.5,
                'number': rng.random}.get(kind, self.any)()

    def value(self, name, wrong):
        '''
        A value of a type.  With probability @wrong, each part of it may be of
        another.
        '''
        if self.rng.random() < wrong:
            return self.any()
        kind = self.types[name]
        return getattr(self, 'make_' + kind['meta-type'].replace('-', '_'))(
            kind, wrong)

    def make_builtin(self, kind, _):
        return self.builtin(kind['json-type'])

    def make_enum(self, kind, _):
        return self.rng.choice(kind['members'])['name']

    def make_array(self, kind, wrong):
        length = self.rng.choice([0, 1, 1, 2, 3])
        return [self.value(kind['element-type'], wrong) for _ in range(length)]

    def make_alternate(self, kind, wrong):
        return self.value(self.rng.choice(kind['members'])['type'], wrong)

    def make_object(self, kind, wrong):
        made = {}
        for member in kind['members']:
            needed = 'default' not in member
            if self.rng.random() < (1 - wrong if needed else 0.5):
                made[member['name']] = self.value(member['type'], wrong)
        tag = made.get(kind.get('tag'))
        for variant in kind.get('variants', []):
            if variant['case'] == tag:
                more = self.value(variant['type'], 0)
                made |= {name: more[name] for name in more
                         if self.rng.random() >= wrong}
        if self.rng.random() < wrong:
            made[self.rng.choice(['', 'force ', 'GP', 'x'])] = self.any()
        return made


class Operator(VpmuTest):

    def boot_counting(self):
        '''A guest with four CPUs, each of which counts a program for ever'''
        vm, guest = self.boot(
            '-smp', '4', cmdline=f'{Shell.APPEND} nmi_watchdog=0',
            features=('pmu-passthrough=on', f'pmu-host-gp={SPARE}'))
        declared = guest.expected()[PROGRAM]
        # Fixed counters may all be taken away.
        events = sorted(set(declared) - {'instructions'})[:SPARE]
        self.want = [declared[event] for event in events]
        names = ' '.join(perf_events()[event] for event in events)
        guest.run('for cpu in 1 2 3 4; do (while [ ! -e /tmp/end ]; do '
                  f'again 10 {PROGRAM} {names} 2>&1; done > /tmp/$cpu; '
                  'echo done > /tmp/$cpu.end) & done')
        return vm, guest

    def check_counting(self, guest):
        '''All counts that were taken until now must be exact'''
        guest.run('touch /tmp/end; for cpu in 1 2 3 4; do '
                  'until [ -e /tmp/$cpu.end ]; do sleep 0.1; done; done')
        for cpu in range(1, 5):
            counts = parse_stat(guest.run(f'cat /tmp/{cpu}'))
            turns = len(counts) // len(self.want)
            self.assertGreater(turns, 0)
            self.assertEqual(counts, self.want * turns)
            self.turns += turns

    def aim(self, command, args, rng):
        '''
        Changes a call that would take what the guest counts with: to do so is
        the operator's right, but then there is nothing to compare.  One that
        counts something names a counter that is there more often.
        '''
        if command == 'vpmu-reserve-host-counters':
            gp = args.get('gp')
            if isinstance(gp, int) and SPARE < gp <= 8:
                args['gp'] = gp % (SPARE + 1)
        there = self.info['cpus'][0]['host-counters']
        if (command == 'vpmu-host-counter-set' and there and
                rng.random() < 0.5):
            counter = rng.choice(there)
            args |= {'type': counter['type'], 'index': counter['index']}
        return args

    def state(self, info):
        '''What a call may change: the reservation, and what is counted'''
        return info['reserved'], [
            (identify([counter])[0], counter.get('event'), counter['user'],
             counter['kernel']) for counter in info['cpus'][0]['host-counters']]

    def check_refused(self, error, call):
        self.assertIn(error['class'],
                      ('GenericError', 'CommandNotFound', 'DeviceNotFound'),
                      call)
        self.assertGreater(len(error['desc'].split()), 2, call)

    def check_accepted(self, command, args, info):
        if command == 'vpmu-reserve-host-counters':
            want = {'gp': args['gp'], 'fixed': sorted(args.get('fixed', []))}
            self.assertEqual(info['reserved'], want)
        elif command == 'vpmu-host-counter-set':
            for cpu in info['cpus']:
                counter = next(
                    counter for counter in cpu['host-counters']
                    if identify([counter]) == [(args['type'], args['index'])])
                self.assertEqual(counter.get('event', {}).get('name'),
                                 args.get('event'))

    def call(self, vm, command, args):
        '''One call; returns whether it was accepted'''
        before = self.state(self.info)
        call = f'{command} {args}'
        answer = vm.qmp(command, args)
        self.info = self.picture(vm)
        self.assertEqual(self.info['reserved'], counter_set(identify(
            self.info['cpus'][0]['host-counters'])))
        if 'error' in answer:
            self.check_refused(answer['error'], call)
            self.assertEqual(self.state(self.info), before, call)
            return False
        self.assertIn('return', answer, call)
        self.check_accepted(command, args, self.info)
        return True

    def test_calls(self):
        '''Random calls, while the guest counts'''
        print(f'# VPMU_OPERATOR_SEED={SEED}', flush=True)
        self.turns = 0
        vm, guest = self.boot_counting()
        schema = Schema(vm.cmd('query-qmp-schema'), random.Random(SEED))
        self.info = self.picture(vm)
        schema.words += [event['name'] for event in self.info['events']
                         if 'name' in event] + ['instructions']
        commands = [name for name, entity in schema.types.items()
                    if entity['meta-type'] == 'command' and
                    ('vpmu' in name or 'stats' in name and
                     'block' not in name)]
        self.assertGreaterEqual(len(commands), 5)

        accepted = dict.fromkeys(commands, 0)
        for nth in range(CALLS):
            command = commands[nth % len(commands)]
            args = schema.value(schema.types[command]['arg-type'], 0)
            if schema.rng.random() < 0.5:
                args = schema.make_object(
                    schema.types[schema.types[command]['arg-type']], 0.2)
            accepted[command] += self.call(
                vm, command, self.aim(command, args, schema.rng))
        self.check_counting(guest)
        print(f'# accepted of {CALLS}: {accepted}; {self.turns} counts of '
              f'{len(self.want)} events exact', flush=True)
        for command, times in accepted.items():
            self.assertGreater(times, 0, command)
        self.assertLess(sum(accepted.values()), CALLS)


if __name__ == '__main__':
    VpmuTest.main()
