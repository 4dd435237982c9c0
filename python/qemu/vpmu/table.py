"""
Virtual machines, vCPUs and counters as tables of text
"""

# SPDX-License-Identifier: GPL-2.0-or-later

from dataclasses import dataclass
import textwrap
from typing import (
    Any,
    Callable,
    Dict,
    List,
    NamedTuple,
    Optional,
)

from .model import (
    VM,
    Counter,
    counter_set,
    event_name,
)


class Line(NamedTuple):
    """A line of text"""

    text: str
    #: 'header', 'note', 'error', or a path; '' for no style of its own
    style: str = ''
    #: The virtual machine that it is about
    vm: Optional[VM] = None


@dataclass
class Column:
    """A column of a table"""

    title: str
    text: Callable[[Any], str]
    is_number: bool = False
    #: Those with the highest number are left out first if there is no room.
    spare: int = 0
    #: So wide at least, so that columns neither move nor go with the values
    width: int = 0


@dataclass
class VCPURow:
    """A vCPU and how its statistics grow in a second"""

    vm: VM
    cpu: int
    rates: Optional[Dict[str, Optional[float]]]


@dataclass
class CounterRow:
    """A counter and how much it counts in a second"""

    vm: VM
    counter: Counter
    rate: Optional[float]


#: A longer name of a virtual machine is cut.
NAME_WIDTH = 16
#: What amount() needs
AMOUNT_WIDTH = 6
#: Columns are this far apart.
GAP = '  '


def amount(value: Optional[float]) -> str:
    """A number in AMOUNT_WIDTH characters"""
    if value is None:
        return '-'
    for unit in ('', 'k', 'M', 'G', 'T'):
        if value < 999.95 or unit == 'T':
            break
        value /= 1000
    if not unit and value == int(value):
        return f'{value:.0f}'
    return f'{value:.1f}{unit}'


def printable(text: str) -> str:
    """A text that a terminal shows and does not obey"""
    return ''.join(letter if letter.isprintable() else '?' for letter in text)


def _vm_name(row: Any) -> str:
    name = str((row if isinstance(row, VM) else row.vm).name)
    return name if len(name) <= NAME_WIDTH else name[:NAME_WIDTH - 1] + '~'


def _of(vm: VM, text: Callable[[Dict[str, Any]], str]) -> str:
    return '-' if vm.last is None else text(vm.last.vpmu)


VM_COLUMNS = [
    Column('VM', _vm_name),
    Column('mode', lambda vm: _of(vm, lambda vpmu: str(vpmu['mode']))),
    Column('counters', lambda vm: _of(
        vm, lambda vpmu: counter_set(vpmu['total']))),
    Column('reserved', lambda vm: _of(
        vm, lambda vpmu: counter_set(vpmu['reserved'])
        if vpmu['passthrough'] else '-')),
    Column('slice', lambda vm: _of(
        vm, lambda vpmu: f'{vpmu["slice-ms"]} ms'), True, 2),
    Column('why', lambda vm: _of(vm, lambda vpmu: str(vpmu['reason'])),
           spare=1),
]


def _stat(title: str, name: str, spare: int = 0) -> Column:
    def text(row: VCPURow) -> str:
        return amount(row.rates.get(name) if row.rates else None)

    return Column(title, text, True, spare, AMOUNT_WIDTH)


def _starved(row: VCPURow) -> str:
    """Per cent of the time, added up over the counters"""
    rate = row.rates.get('starved-ns') if row.rates else None
    return '-' if rate is None else f'{rate / 1e7:.0f}%'


VCPU_COLUMNS = [
    Column('VM', _vm_name),
    Column('CPU', lambda row: str(row.cpu), True),
    _stat('hand-ov.', 'hand-overs'),
    _stat('reuses', 'reuses'),
    _stat('moves', 'moves', 2),
    _stat('evicted', 'evictions', 1),
    Column('starved', _starved, True, width=AMOUNT_WIDTH),
    _stat('PMIs', 'pmis'),
    _stat('fast', 'pebs-records-fast'),
    _stat('slow', 'pebs-records-slow'),
    _stat('lost', 'pebs-records-dropped'),
    _stat('BTS lost', 'bts-records-dropped', 3),
]

COUNTER_COLUMNS = [
    Column('VM', _vm_name),
    Column('CPU', lambda row: str(row.counter.cpu), True),
    Column('counter', lambda row: str(row.counter.name)),
    Column('path', lambda row: str(row.counter.path)),
    Column('held by', lambda row: str(row.counter.held_by)),
    Column('ring', lambda row: str(row.counter.ring)),
    Column('per sec', lambda row: amount(row.rate), True),
    Column('value', lambda row: str(row.counter.value), True, 1, 15),
    Column('event', lambda row: str(row.counter.event) +
           (', PEBS' if row.counter.is_pebs else '')),
]


def layout(columns: List[Column], rows: List[Any], width: int) -> List[str]:
    """The table's header and lines, not wider than so many characters"""
    columns = list(columns)
    texts = {column.title: [printable(column.text(row)) for row in rows]
             for column in columns}
    widths = {column.title: max(column.width, *map(len, [
        column.title, *texts[column.title]])) for column in columns}
    while (sum(widths[column.title] + len(GAP) for column in columns)
           - len(GAP) > width):
        spare = max(columns, key=lambda column: column.spare)
        if not spare.spare:
            break
        columns.remove(spare)

    def line(cells: List[str]) -> str:
        return GAP.join(
            cell.rjust(widths[column.title]) if column.is_number
            else cell.ljust(widths[column.title])
            for column, cell in zip(columns, cells)).rstrip()[:width]

    return [line([column.title for column in columns]),
            *(line([texts[column.title][i] for column in columns])
              for i in range(len(rows)))]


def vcpu_rows(vms: List[VM]) -> List[VCPURow]:
    """A row for each vCPU"""
    rows = []
    for vm in vms:
        rates = vm.stat_rates()
        if vm.last is not None:
            rows += [VCPURow(vm, cpu['cpu-index'],
                             rates.get(cpu['cpu-index']))
                     for cpu in vm.last.vpmu['cpus']]
    return rows


def counter_rows(vms: List[VM]) -> List[CounterRow]:
    """A row for each counter"""
    rows = []
    for vm in vms:
        rates = vm.rates()
        rows += [CounterRow(vm, counter, rates.get(counter.key))
                 for counter in vm.counters()]
    return rows


def notes(vm: VM, width: int) -> List[Line]:
    """What else is to be said of a virtual machine"""
    said = []
    if vm.error is not None:
        said.append(('error', vm.error))
    elif vm.last is not None:
        if vm.last.vpmu['mode'] == 'none':
            said.append(('note', 'no PMU: ' + vm.last.vpmu['reason']))
        for cpu in vm.last.vpmu['cpus']:
            names = ', '.join(event_name(event)
                              for event in cpu['unsupported-events'])
            if names:
                said.append(('note', f'CPU {cpu["cpu-index"]}: not '
                             f'supported, does not count: {names}'))
    return [Line(text, style, vm) for style, note in said
            for text in textwrap.wrap(printable(f'{vm.name}: {note}'), width,
                                      subsequent_indent='  ')]


def vm_lines(vms: List[VM], width: int) -> List[Line]:
    """The table of virtual machines, with notes"""
    header, *texts = layout(VM_COLUMNS, vms, width)
    lines = [Line(header, 'header'),
             *(Line(text, '', vm) for text, vm in zip(texts, vms))]
    for vm in vms:
        lines += notes(vm, width)
    return lines


def vcpu_lines(rows: List[VCPURow], width: int) -> List[Line]:
    """The table of vCPUs"""
    header, *texts = layout(VCPU_COLUMNS, rows, width)
    return [Line(header, 'header'),
            *(Line(text, '', row.vm) for text, row in zip(texts, rows))]


def counter_lines(rows: List[CounterRow], width: int) -> List[Line]:
    """The table of counters"""
    header, *texts = layout(COUNTER_COLUMNS, rows, width)
    return [Line(header, 'header'),
            *(Line(text, row.counter.path, row.vm)
              for text, row in zip(texts, rows))]


#: The vCPUs' columns need saying so.
VCPU_TITLE = 'vCPUs, per second; fast, slow and lost are PEBS records'


def everything(vms: List[VM], width: int) -> List[str]:
    """All tables, for a printout"""
    parts = [vm_lines(vms, width)]
    vcpus, counters = vcpu_rows(vms), counter_rows(vms)
    if vcpus:
        parts.append([Line(VCPU_TITLE), *vcpu_lines(vcpus, width)])
    if counters:
        parts.append(counter_lines(counters, width))
    return '\n\n'.join('\n'.join(line.text for line in part)
                       for part in parts).split('\n')
