"""
What virtual machines have answered, and what follows from two answers
"""

# SPDX-License-Identifier: GPL-2.0-or-later

from dataclasses import dataclass
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    Optional,
    Tuple,
)


Json = Dict[str, Any]
#: A vCPU's index, whether the counter is the operator's, its type and index
Key = Tuple[int, bool, str, int]


@dataclass
class Sample:
    """The answers of a virtual machine at one moment."""

    #: Seconds since 1970
    time: float
    #: Seconds of a clock that is never set
    clock: float
    #: The answer of query-vpmu
    vpmu: Json
    #: The statistics of each vCPU, by its index and their names
    stats: Dict[int, Dict[str, int]]
    #: When these were asked for, by the same clock: later than the counters
    stats_clock: float


@dataclass(frozen=True)
class Counter:
    """A counter of a vCPU: the guest's or, if it is reserved, the host's."""

    key: Key
    path: str
    held_by: str
    ring: str
    value: int
    event: str
    is_pebs: bool

    @property
    def cpu(self) -> int:
        """The vCPU's index"""
        return self.key[0]

    @property
    def name(self) -> str:
        """Type and index"""
        return f'{self.key[2]} {self.key[3]}'


def event_name(event: Optional[Json]) -> str:
    """An event as perf spells it."""
    if event is None:
        return ''
    numbers = f'event=0x{event["select"]:02x},umask=0x{event["umask"]:02x}'
    return str(event.get('name', numbers))


def counter_set(members: Json) -> str:
    """A VpmuCounterSet in words"""
    fixed = ' '.join(str(j) for j in members['fixed'])
    return f'{members["gp"]} gp' + (f', fixed {fixed}' if fixed else '')


def _ring(counter: Json) -> str:
    return {(True, True): 'both', (True, False): 'user',
            (False, True): 'kern'}.get(
                (counter['user'], counter['kernel']), '-')


def _guest_counter(cpu: int, counter: Json) -> Counter:
    physical = counter.get('physical-index')
    held_by = '-' if physical is None else f'{counter["type"]} {physical}'
    if physical is None and counter['owner'] == 'host':
        held_by = 'host'
    return Counter((cpu, False, counter['type'], counter['index']),
                   counter['path'], held_by, _ring(counter),
                   counter['value'], event_name(counter.get('event')),
                   counter['pebs'])


def counters_of(sample: Sample) -> Iterator[Counter]:
    """All counters, in the order of the answer"""
    for cpu in sample.vpmu['cpus']:
        index = cpu['cpu-index']
        for counter in cpu['counters']:
            yield _guest_counter(index, counter)
        for counter in cpu['host-counters']:
            yield Counter((index, True, counter['type'], counter['index']),
                          '-', 'host', _ring(counter), counter['value'],
                          event_name(counter.get('event')), False)


#: What is used of the answer of query-vpmu besides the counters
MEMBERS = {'mode': str, 'reason': str, 'version': int, 'counter-width': int,
           'passthrough': bool, 'slice-ms': int}


def _are_numbers(*values: object) -> bool:
    return all(isinstance(value, int) and 0 <= value < 1 << 64
               for value in values)


def _is_known_counter(counter: Counter) -> bool:
    _, _, kind, index = counter.key
    return (isinstance(kind, str) and isinstance(counter.path, str) and
            _are_numbers(counter.cpu, index, counter.value))


def _is_known_vpmu(vpmu: Json) -> bool:
    for cpu in vpmu['cpus']:
        for event in cpu['unsupported-events']:
            event_name(event)
        if not _are_numbers(cpu['cpu-index']):
            return False
    return (all(isinstance(vpmu[member], kind)
                for member, kind in MEMBERS.items()) and
            # A rate needs two bits that tell forward from backward; without
            # a PMU there are none.
            (2 if any(cpu['counters'] or cpu['host-counters']
                      for cpu in vpmu['cpus']) else 0)
            <= vpmu['counter-width'] <= 64 and
            all(_are_numbers(vpmu[which]['gp'], *vpmu[which]['fixed'])
                for which in ('total', 'reserved')))


def is_known(sample: Sample) -> bool:
    """
    Whether the answers are such that this program understands them.  The
    commands are marked as unstable, and a file may have anything.
    """
    try:
        return (_is_known_vpmu(sample.vpmu) and
                all(map(_is_known_counter, counters_of(sample))) and
                all(_are_numbers(*stats.values())
                    for stats in sample.stats.values()))
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        return False


def advance(before: Counter, now: Counter, width: int) -> Optional[int]:
    """
    How far a counter of so many bits has counted.

    :return: None if that is not known: it was set up anew, or the guest has
        set its value; no counter gets through a quarter of its range between
        two samples.  One with PEBS is set by each of its records.
    """
    if (now.event, now.ring) != (before.event, before.ring) or now.is_pebs:
        return None
    count = (now.value - before.value) % (1 << width)
    return count if count < 1 << (width - 2) else None


class VM:
    """A virtual machine: its last two samples, or why there are none."""

    def __init__(self, name: str, address: str):
        self.name = name
        self.address = address
        self.error: Optional[str] = None
        self.before: Optional[Sample] = None
        self.last: Optional[Sample] = None

    def take(self, sample: Sample) -> None:
        """It has answered."""
        self.error = None
        self.before, self.last = self.last, sample

    def lose(self, error: str) -> None:
        """It does not answer.  Another one may answer next."""
        self.error = error
        self.before = self.last = None

    @property
    def seconds(self) -> float:
        """The time between the two samples; 0 if there is only one"""
        if self.before is None or self.last is None:
            return 0.0
        return max(0.0, self.last.clock - self.before.clock)

    @property
    def stats_seconds(self) -> float:
        """The same of the statistics"""
        if self.before is None or self.last is None:
            return 0.0
        return max(0.0, self.last.stats_clock - self.before.stats_clock)

    def counters(self) -> List[Counter]:
        """The counters of the last sample"""
        return [] if self.last is None else list(counters_of(self.last))

    def advances(self) -> Dict[Key, int]:
        """How far each counter has counted, where that is known"""
        if self.before is None or self.last is None:
            return {}
        width = self.last.vpmu['counter-width']
        before = {counter.key: counter for counter in counters_of(self.before)}
        known = {}
        for counter in counters_of(self.last):
            if counter.key in before:
                count = advance(before[counter.key], counter, width)
                if count is not None:
                    known[counter.key] = count
        return known

    def rates(self) -> Dict[Key, float]:
        """How much each counter counts in a second, where that is known"""
        if not self.seconds:
            return {}
        return {key: count / self.seconds
                for key, count in self.advances().items()}

    def stat_rates(self) -> Dict[int, Dict[str, Optional[float]]]:
        """
        By how much each statistic of a vCPU grows in a second.  That of a
        vCPU that was not there before is not known; that of one that has
        shrunk is None.
        """
        seconds = self.stats_seconds
        if self.before is None or self.last is None or not seconds:
            return {}
        rates: Dict[int, Dict[str, Optional[float]]] = {}
        for cpu, stats in self.last.stats.items():
            if cpu in self.before.stats:
                before = self.before.stats[cpu]
                rates[cpu] = {
                    name: (value - before.get(name, 0)) / seconds
                    if value >= before.get(name, 0) else None
                    for name, value in stats.items()}
        return rates


def as_json(vm: VM) -> Json:
    """All that is known of a virtual machine"""
    known: Json = {'name': vm.name, 'address': vm.address, 'error': vm.error}
    if vm.last is None:
        return known
    rates, stat_rates = vm.rates(), vm.stat_rates()
    known['time'] = vm.last.time
    known['seconds'] = vm.seconds
    known['stats-seconds'] = vm.stats_seconds
    known['vpmu'] = vm.last.vpmu
    known['stats'] = [{'cpu-index': cpu, 'stats': stats}
                      for cpu, stats in sorted(vm.last.stats.items())]
    known['rates'] = [
        {'cpu-index': cpu['cpu-index'],
         'counters': [
             {'type': counter.key[2], 'index': counter.key[3],
              'host': counter.key[1], 'rate': rates.get(counter.key)}
             for counter in vm.counters()
             if counter.cpu == cpu['cpu-index']],
         'stats': stat_rates.get(cpu['cpu-index'])}
        for cpu in vm.last.vpmu['cpus']]
    return known
