# SPDX-License-Identifier: GPL-2.0-or-later
'''
A clumsy operator, who makes up calls of QMP commands from their schema, right
and wrong.  The functional tests share this module with those of libvirt; it
needs nothing but Python's own library.
'''

import random


def identify(counters):
    '''(type, index) of each counter in an answer of QMP'''
    return [(counter['type'], counter['index']) for counter in counters]


def counter_set(counters):
    '''The VpmuCounterSet of counters that are given as (type, index)'''
    return {'gp': sum(kind == 'gp' for kind, _ in counters),
            'fixed': sorted(index for kind, index in counters
                            if kind == 'fixed')}


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


class ClumsyOperator:
    '''
    Makes calls of the PMU's commands for @test, a unittest.TestCase.

    @qmp executes a command with arguments and returns the answer, and @picture
    returns a checked answer of query-vpmu.  The operator never takes by force
    more than @spare counters, which the guest does not see.
    '''

    def __init__(self, test, qmp, picture, spare, seed):
        self.test, self.qmp, self.picture = test, qmp, picture
        self.spare = spare
        self.rng = random.Random(seed)
        self.schema = Schema(qmp('query-qmp-schema', {})['return'], self.rng)
        self.info = picture()
        self.schema.words += [event['name'] for event in self.info['events']
                              if 'name' in event] + ['instructions']
        self.commands = [name for name, entity in self.schema.types.items()
                         if entity['meta-type'] == 'command' and
                         ('vpmu' in name or 'stats' in name and
                          'block' not in name)]
        test.assertGreaterEqual(len(self.commands), 5)

    def aim(self, command, args):
        '''
        Changes a call that would take what the guest counts with: to do so is
        the operator's right, but then there is nothing to compare.  One that
        counts something names a counter that is there more often, or the first
        that there is not.
        '''
        if command == 'vpmu-reserve-host-counters':
            gp = args.get('gp')
            if isinstance(gp, int) and self.spare < gp <= 8:
                args['gp'] = gp % (self.spare + 1)
        if command == 'vpmu-host-counter-set':
            there = self.info['cpus'][0]['host-counters']
            chance = self.rng.random()
            if there and chance < 0.5:
                counter = self.rng.choice(there)
                args |= {'type': counter['type'], 'index': counter['index']}
            elif chance > 0.7:
                kind = self.rng.choice(['gp', 'fixed'])
                args |= {'type': kind, 'index': self.total(kind)}
        return args

    def state(self, info):
        '''What a call may change: the reservation, and what is counted'''
        return info['reserved'], [
            (identify([counter])[0], counter.get('event'), counter['user'],
             counter['kernel']) for counter in info['cpus'][0]['host-counters']]

    def total(self, kind):
        '''How many counters of a kind there are, or None'''
        total = self.info['total']
        return {'gp': total['gp'], 'fixed': len(total['fixed'])}.get(kind)

    def names_no_counter(self, command, args):
        '''Whether all that is wrong with a call is a counter's index'''
        kinds = {'type': str, 'index': int, 'event': str, 'user': bool,
                 'kernel': bool}
        if (command != 'vpmu-host-counter-set' or
                not {'type', 'index'} <= set(args) <= set(kinds) or
                any(type(args[name]) is not kinds[name] for name in args)):
            return False
        total = self.total(args['type'])
        return total is not None and total <= args['index'] < 256

    def check_refused(self, error, command, args):
        call = f'{command} {args}'
        self.test.assertIn(
            error['class'],
            ('GenericError', 'CommandNotFound', 'DeviceNotFound'), call)
        self.test.assertGreater(len(error['desc'].split()), 2, call)
        if self.names_no_counter(command, args):
            self.test.assertIn('there is no', error['desc'], call)

    def check_accepted(self, command, args, answer, info):
        if command == 'vpmu-reserve-host-counters':
            want = {'gp': args['gp'], 'fixed': sorted(args.get('fixed', []))}
            self.test.assertEqual(info['reserved'], want)
            self.test.assertEqual(answer['reserved'], want)
            self.test.assertEqual(counter_set(identify(answer['counters'])),
                                  want)
        elif command == 'vpmu-host-counter-set':
            for cpu in info['cpus']:
                counter = next(
                    counter for counter in cpu['host-counters']
                    if identify([counter]) == [(args['type'], args['index'])])
                self.test.assertEqual(counter.get('event', {}).get('name'),
                                      args.get('event'))
                for ring in 'user', 'kernel':
                    self.test.assertEqual(
                        counter[ring],
                        'event' in args and args.get(ring, True))

    def call(self, command, args):
        '''One call; returns whether it was accepted'''
        before = self.state(self.info)
        call = f'{command} {args}'
        answer = self.qmp(command, args)
        self.info = self.picture()
        self.test.assertEqual(self.info['reserved'], counter_set(identify(
            self.info['cpus'][0]['host-counters'])))
        if 'error' in answer:
            self.check_refused(answer['error'], command, args)
            self.test.assertEqual(self.state(self.info), before, call)
            return False
        self.test.assertIn('return', answer, call)
        self.check_accepted(command, args, answer['return'], self.info)
        return True

    def make_calls(self, calls):
        '''Makes so many calls; returns for each command how many succeeded'''
        accepted = dict.fromkeys(self.commands, 0)
        for nth in range(calls):
            command = self.commands[nth % len(self.commands)]
            kind = self.schema.types[command]['arg-type']
            args = self.schema.value(kind, 0)
            if self.rng.random() < 0.5:
                args = self.schema.make_object(self.schema.types[kind], 0.2)
            accepted[command] += self.call(command, self.aim(command, args))
        return accepted
