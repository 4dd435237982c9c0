"""
What virtual machines have answered, as metrics of Prometheus
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import asyncio
import copy
import signal
from typing import (
    Any,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Tuple,
)

from .model import VM, Counter, Json
from .poll import Watch


class ExportError(Exception):
    """Nothing can be exported."""


class Statistic(NamedTuple):
    """A statistic of query-stats as a metric"""

    #: Its name in query-stats
    name: str
    #: Without "vpmu_" and "_total"
    metric: str
    #: What the metric's samples have besides vm and vcpu
    labels: Tuple[Tuple[str, str], ...] = ()
    #: From its unit to the metric's
    factor: float = 1.0


STATISTICS = (
    Statistic('hand-overs', 'hand_overs'),
    Statistic('reuses', 'reuses'),
    Statistic('lazy-releases', 'lazy_releases'),
    Statistic('moves', 'moves'),
    Statistic('evictions', 'evictions'),
    Statistic('starved-ns', 'starved_seconds', factor=1e-9),
    Statistic('control-writes-direct', 'control_writes',
              (('effect', 'direct'),)),
    Statistic('control-writes-reprogrammed', 'control_writes',
              (('effect', 'reprogrammed'),)),
    Statistic('pmis', 'interrupts'),
    Statistic('pebs-records-fast', 'pebs_records', (('path', 'fast'),)),
    Statistic('pebs-records-slow', 'pebs_records', (('path', 'slow'),)),
    Statistic('pebs-records-dropped', 'pebs_records_dropped'),
    Statistic('pebs-bytes-rewritten', 'pebs_rewritten_bytes'),
    Statistic('bts-records-dropped', 'bts_records_dropped'),
)

HELP = {
    'hand_overs': 'Virtual counters that were given a physical one',
    'reuses': 'Virtual counters that still held their physical one when they '
              'were switched on',
    'lazy_releases': 'Physical counters that became free because their '
                     'virtual one was not used',
    'moves': 'Virtual counters that went to another physical one while they '
             'counted',
    'evictions': 'Virtual counters that lost their physical one',
    'starved_seconds': 'Virtual time in which enabled virtual counters had '
                       'no physical one, added up over the counters',
    'control_writes': "Writes of the guest to the PMU's control registers",
    'interrupts': 'Performance monitoring interrupts of the guest',
    'pebs_records': 'PEBS records',
    'pebs_records_dropped': 'PEBS records that did not fit or could not be '
                            'written',
    'pebs_rewritten_bytes': 'Bytes that were changed in PEBS records and '
                            'reset slots',
    'bts_records_dropped': 'BTS records that did not fit or could not be '
                           'written',
}

PATHS = ('idle', 'fast', 'slow', 'starved')

#: The labels of what a counter has counted
Labels = Tuple[str, str, str, str, str, str]


def counter_label(counter: Counter) -> str:
    """A counter as a label has it"""
    return f'{counter.key[2]}{counter.key[3]}'


class Totals:
    """
    How much counters have counted since this program asks.

    The value of a guest's counter is no such total, since the guest sets it.
    """

    def __init__(self, totals: Optional[Dict[Labels, int]] = None):
        self._totals: Dict[Labels, int] = {} if totals is None else totals
        self._seen: Dict[int, object] = {}

    def add(self, vm: VM) -> None:
        """Add what has been counted between the two last samples."""
        if self._seen.get(id(vm)) is vm.last:
            return
        self._seen[id(vm)] = vm.last
        advances = vm.advances()
        for counter in vm.counters():
            if counter.event and not counter.is_pebs:
                labels = self._labels(vm, counter)
                self._totals[labels] = (self._totals.get(labels, 0) +
                                        advances.get(counter.key, 0))

    @staticmethod
    def _labels(vm: VM, counter: Counter) -> Labels:
        # A guest can ask for any number, and each would be a new series.
        is_known = not counter.event.startswith('event=')
        return (vm.name, str(counter.cpu), counter_label(counter),
                'host' if counter.key[1] else 'guest',
                counter.event if is_known else 'other', counter.ring)

    def copy(self) -> 'Totals':
        """What has been counted until now; only to be read"""
        return Totals(dict(self._totals))

    def present(self, vm: VM) -> Iterator[Tuple[Labels, int]]:
        """What the counters that there are now have counted"""
        for counter in vm.counters():
            labels = self._labels(vm, counter)
            if labels in self._totals:
                yield labels, self._totals[labels]


def _prometheus() -> Any:
    """
    :raise ExportError: when its client is not installed
    """
    try:
        # pylint: disable=import-outside-toplevel
        import prometheus_client
        import prometheus_client.core
    except ImportError as err:
        raise ExportError('Python has no module prometheus_client: install '
                          'python3-prometheus-client') from err
    return prometheus_client


class Exporter:
    """
    Collects the metrics, for the module prometheus_client.

    @is_once: whether the virtual machines are asked only once, so that it is
    not known what their counters count
    """

    def __init__(self, watch: Watch, is_once: bool):
        self._watch = watch
        self._is_once = is_once
        self._totals = Totals()
        # The HTTP server has its own thread.  It reads what was put here at
        # once and never changes, so that all of a scrape is of one moment.
        self._shown: Tuple[List[VM], Totals] = ([], Totals())
        self._core = _prometheus().core

    def update(self) -> None:
        """Note that virtual machines have answered."""
        vms = self._watch.vms
        for vm in vms:
            self._totals.add(vm)
        self._shown = [copy.copy(vm) for vm in vms], self._totals.copy()

    @staticmethod
    def describe() -> List[object]:
        """There is no need to ask before somebody wants to know."""
        return []

    def _gauge(self, name: str, text: str, labels: List[str]) -> Any:
        return self._core.GaugeMetricFamily(f'vpmu_{name}', text,
                                            labels=labels)

    def _counter(self, name: str, text: str, labels: List[str]) -> Any:
        return self._core.CounterMetricFamily(f'vpmu_{name}', text,
                                              labels=labels)

    def collect(self) -> Iterator[object]:
        """All metrics"""
        vms, totals = self._shown
        is_up = self._gauge('up', 'Whether the virtual machine answers',
                            ['vm'])
        for vm in vms:
            is_up.add_metric([vm.name], float(vm.last is not None))
        yield is_up
        known = [(vm, vm.last.vpmu) for vm in vms if vm.last is not None]
        yield from self._machines(known)
        yield from self._vcpus(known)
        yield from self._counters([vm for vm, _ in known], totals)
        yield from self._statistics([vm for vm, _ in known])

    def _machines(self, known: List[Tuple[VM, Json]]) -> Iterator[object]:
        info = self._core.InfoMetricFamily(
            'vpmu', 'How the PMU is provided', labels=['vm'])
        total = self._gauge('counters', 'Physical counters of each vCPU',
                            ['vm', 'type'])
        reserved = self._gauge(
            'counters_reserved', 'Physical counters of each vCPU that are '
            'reserved for the host', ['vm', 'type'])
        for vm, vpmu in known:
            info.add_metric([vm.name], {'mode': vpmu['mode'],
                                        'version': str(vpmu['version'])})
            for family, which in (total, 'total'), (reserved, 'reserved'):
                family.add_metric([vm.name, 'gp'], vpmu[which]['gp'])
                family.add_metric([vm.name, 'fixed'],
                                  len(vpmu[which]['fixed']))
        yield from (info, total, reserved)

    def _vcpus(self, known: List[Tuple[VM, Json]]) -> Iterator[object]:
        unsupported = self._gauge(
            'events_unsupported', 'Events that the guest has asked for last '
            'and that are not supported', ['vm', 'vcpu'])
        for vm, vpmu in known:
            for cpu in vpmu['cpus']:
                unsupported.add_metric([vm.name, str(cpu['cpu-index'])],
                                       len(cpu['unsupported-events']))
        yield unsupported

    def _counters(self, vms: List[VM],
                  totals: Totals) -> Iterator[object]:
        events = self._counter(
            'events', 'Events that a counter has counted while it was '
            'watched; too few or too many of a guest that sets its counters',
            ['vm', 'vcpu', 'counter', 'owner', 'event', 'ring'])
        path = self._gauge(
            'path', 'How a virtual counter is backed: 1 for the '
            'present path', ['vm', 'vcpu', 'counter', 'path'])
        for vm in vms:
            for labels, total in totals.present(vm):
                events.add_metric(labels, total)
            for counter in vm.counters():
                if counter.key[1]:
                    continue
                for name in PATHS:
                    path.add_metric([vm.name, str(counter.cpu),
                                     counter_label(counter), name],
                                    float(counter.path == name))
        if not self._is_once:
            yield events
        yield path

    def _statistics(self, vms: List[VM]) -> Iterator[object]:
        families: Dict[str, Any] = {}
        for statistic in STATISTICS:
            if statistic.metric not in families:
                families[statistic.metric] = self._counter(
                    statistic.metric, HELP[statistic.metric],
                    ['vm', 'vcpu', *(name for name, _ in statistic.labels)])
            for vm in vms:
                stats = {} if vm.last is None else vm.last.stats
                for cpu in sorted(stats):
                    if statistic.name in stats[cpu]:
                        families[statistic.metric].add_metric(
                            [vm.name, str(cpu),
                             *(value for _, value in statistic.labels)],
                            stats[cpu][statistic.name] * statistic.factor)
        yield from families.values()


def parse_address(text: str) -> Tuple[str, int]:
    """
    [HOST:]PORT

    :raise ValueError: when it is something else
    """
    host, _, port = text.rpartition(':')
    number = int(port)
    if not 0 < number < 1 << 16:
        raise ValueError
    return host.strip('[]') or '127.0.0.1', number


async def export(watch: Watch, address: Optional[Tuple[str, int]],
                 path: Optional[str], is_once: bool) -> None:
    """
    Export until a signal ends it, or once into a file.

    :raise ExportError: when that is not possible
    """
    prometheus = _prometheus()
    exporter = Exporter(watch, is_once)
    registry = prometheus.CollectorRegistry()
    registry.register(exporter)

    def write() -> None:
        exporter.update()
        if path is not None:
            try:
                # Whoever reads it finds the old file or the new one.
                prometheus.write_to_textfile(path, registry)
            except OSError as err:
                raise ExportError(f'{path} cannot be written: '
                                  f'{err.strerror}') from err

    if is_once:
        await watch.once()
        write()
        return
    # Whoever sees the first metrics may end it.
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    await watch.once()
    write()
    if address is not None:
        try:
            prometheus.start_http_server(address[1], address[0], registry)
        except OSError as err:
            raise ExportError(f'port {address[1]} of {address[0]} cannot be '
                              f'listened on: {err.strerror}; name another '
                              'one') from err
    watch.on_change = write
    await watch.run_until(ended)
