"""
What is on the screen, and what the keys do to it

There is no terminal here: keys come by name, and lines go out as text.
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import asyncio
import re
import time
from typing import (
    Awaitable,
    Callable,
    Dict,
    List,
    Optional,
    Tuple,
)

from . import table
from .connect import VMError
from .model import VM, counter_set
from .poll import Replay, Watch
from .table import CounterRow, Line


#: Key, what it does
HELP = [
    ('up down pgup pgdn home end', 'choose a line, and so a virtual machine'),
    ('s', 'sort counters by: place, rate, event, path'),
    ('S', 'the same, the other way round'),
    ('/', 'show only counters whose line has a text; empty: all'),
    ('i', 'hide and show counters that are idle'),
    ('v', 'show all tables, no counters, or no vCPUs'),
    ('p, space', 'pause: the screen, or a replay'),
    ('n', 'one step of a paused replay'),
    ('+ -', 'ask more often, less often'),
    ('r', 'reserve counters of the virtual machine for the host'),
    ('u', 'release all counters that are reserved'),
    ('h, ?', 'this help'),
    ('q', 'quit'),
]

#: A greater value comes first where that is of more interest.
SORT_KEYS: Dict[str, Callable[[CounterRow], object]] = {
    'place': lambda row: 0,
    'rate': lambda row: -1.0 if row.rate is None else row.rate,
    'event': lambda row: row.counter.event,
    'path': lambda row: row.counter.path,
}
GREATEST_FIRST = ('rate', 'path')
TABLES = ('all', 'no counters', 'no vCPUs')
INTERVALS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)

RESERVATION = re.compile(r'(\d+)(?:\s+fixed((?:[ ,]+\d+)+))?(\s+force)?')


def parse_reservation(text: str) -> Optional[Tuple[int, List[int], bool]]:
    """
    :return: a number of general-purpose counters, indices of fixed ones, and
        whether to take them by force; None if the text is something else
    """
    match = RESERVATION.fullmatch(text.strip())
    if match is None:
        return None
    fixed = [int(j) for j in re.findall(r'\d+', match[2] or '')]
    return int(match[1]), fixed, match[3] is not None


class Question:  # pylint: disable=too-few-public-methods
    """A question at the bottom of the screen, for a text or for y or n"""

    def __init__(self, text: str, answered: Callable[[str], None],
                 is_yes_no: bool = False, answer: str = ''):
        self.text = text
        self.answer = answer
        self._answered = answered
        self._is_yes_no = is_yes_no

    def key(self, key: str) -> bool:
        """Take a key; returns whether that was the last one."""
        if self._is_yes_no:
            self._answered(key)
            return True
        if key == 'esc':
            return True
        if key == 'enter':
            self._answered(self.answer)
            return True
        if key == 'backspace':
            self.answer = self.answer[:-1]
        elif len(key) == 1:
            self.answer += key
        return False


class Screen:
    """The screen's state"""

    def __init__(self, watch: Watch):
        self._watch = watch
        self.quit = False
        self.message = ''
        self._question: Optional[Question] = None
        self._is_help = self._is_paused = False
        self._shown: Optional[List[Line]] = None
        self._sort, self._is_reversed = 'place', False
        self._filter, self._is_idle_hidden = '', False
        self._tables = TABLES[0]
        self._top = self._chosen = 0
        self._lines: List[Line] = []
        self._height = 1
        self._tasks: List['asyncio.Task[None]'] = []
        #: What to call when something has changed without a key
        self.on_change: Callable[[], None] = lambda: None

    # --- what is shown

    def _counters(self) -> List[CounterRow]:
        rows = table.counter_rows(self._watch.vms)
        if self._is_idle_hidden:
            rows = [row for row in rows if row.counter.path != 'idle' and
                    (row.counter.path != '-' or row.counter.event)]
        rows.sort(key=SORT_KEYS[self._sort],    # type: ignore[arg-type]
                  reverse=(self._sort in GREATEST_FIRST)
                  != self._is_reversed)
        if self._sort == 'place' and self._is_reversed:
            rows.reverse()
        return rows

    def _matches(self, line: Line) -> bool:
        return (line.style == 'header' or
                self._filter.lower() in line.text.lower())

    def _body(self, width: int) -> List[Line]:
        vms = self._watch.vms
        lines = table.vm_lines(vms, width)
        vcpus = table.vcpu_rows(vms)
        if vcpus and self._tables != 'no vCPUs':
            lines += [Line(''), Line(table.VCPU_TITLE[:width]),
                      *table.vcpu_lines(vcpus, width)]
        rows = self._counters()
        if rows and self._tables != 'no counters':
            lines += [Line(''), *filter(self._matches,
                                        table.counter_lines(rows, width))]
        return lines

    def _title(self, width: int) -> str:
        number = len(self._watch.vms)
        words = [f'vpmu-top  {number} VM' + ('s' if number != 1 else '')]
        if isinstance(self._watch, Replay):
            words.append(f'replay {self._watch.place}')
        else:
            words.append(f'every {self._watch.interval:g} s')
        words.append(f'by {self._sort}' + (' (reversed)' if self._is_reversed
                                           else ''))
        if self._filter:
            words.append(f'only "{self._filter}"')
        if self._is_idle_hidden:
            words.append('no idle')
        if self._is_paused:
            words.append('PAUSED')
        left = '  '.join(words)
        # A replay was this late.
        right = time.strftime('%H:%M:%S', time.localtime(
            self._watch.time if isinstance(self._watch, Replay) else None))
        return (left[:width - len(right) - 1].ljust(width - len(right))
                + right)[:width]

    def _bottom(self, width: int) -> str:
        if self._question is not None:
            text = table.printable(
                f'{self._question.text} {self._question.answer}_')
            # The end is what is being typed.
            return text[-width:]
        return (table.printable(self.message) or
                'h help  s sort  / filter  i idle  p pause  r reserve  '
                'u release  q quit')[:width]

    @staticmethod
    def _help(width: int) -> List[Line]:
        return [Line(f'{key:26}  {what}'[:width]) for key, what in HELP]

    def _choices(self) -> List[int]:
        """Lines that can be chosen: those about a virtual machine"""
        return [i for i, line in enumerate(self._lines)
                if line.vm is not None] or [0]

    def _move(self, distance: int) -> None:
        """Choose a line so far away, or the next one in that direction."""
        wanted = self._chosen + distance
        choices = self._choices()
        if distance > 0:
            self._chosen = min((i for i in choices if i >= wanted),
                               default=choices[-1])
        else:
            self._chosen = max((i for i in choices if i <= wanted),
                               default=choices[0])

    def _scrolled(self, lines: List[Line], height: int) -> List[Line]:
        """The part of the lines around the chosen one"""
        self._height = max(1, height)
        self._lines = lines
        choices = self._choices()
        self._chosen = max(choices[0], min(self._chosen, choices[-1]))
        self._top = max(0, min(self._top, len(lines) - height))
        if self._chosen == choices[0]:
            self._top = 0
        self._top = min(self._top, self._chosen)
        if self._chosen >= self._top + height:
            self._top = self._chosen - height + 1
        part = lines[self._top:self._top + height]
        # The header of what is at the top stays there.
        headers = [line for line in lines[:self._top]
                   if line.style == 'header']
        if (headers and part and part[0].style != 'header' and
                self._chosen > self._top):
            part[0] = headers[-1]
        return part

    def lines(self, width: int, height: int) -> Tuple[List[Line], int]:
        """
        What is on a screen of that size, from top to bottom.

        :return: the lines, and which of them is chosen, -1 for none
        """
        title = Line(self._title(width), 'title')
        bottom = Line(self._bottom(width), 'bottom')
        room = max(0, height - 2)
        if self._is_help:
            body, chosen = self._help(width)[:room], -1
        else:
            if self._shown is None or not self._is_paused:
                self._shown = self._body(width)
            body = self._scrolled(self._shown, room)
            chosen = self._chosen - self._top + 1
        body = body + [Line('')] * (room - len(body))
        return [title, *body, bottom][:height], chosen

    # --- what keys do

    @property
    def _vm(self) -> Optional[VM]:
        """The virtual machine of the chosen line, or the only one"""
        vms = self._watch.vms
        if len(vms) == 1:
            return vms[0]
        if 0 <= self._chosen < len(self._lines):
            return self._lines[self._chosen].vm
        return None

    def key(self, key: str) -> None:
        """Take a key: a character, or a name such as 'up'."""
        self.message = ''
        if self._question is not None:
            question = self._question
            if question.key(key) and self._question is question:
                self._question = None
        elif self._is_help:
            self._is_help = False
        elif key in self._moves():
            self._move(self._moves()[key])
        else:
            self._letter(key)

    def _moves(self) -> Dict[str, int]:
        return {'up': -1, 'down': 1, 'pgup': -self._height,
                'pgdn': self._height, 'home': -len(self._lines),
                'end': len(self._lines)}

    def _letter(self, key: str) -> None:
        actions = {'q': self._quit, 's': self._next_sort,
                   'S': self._reverse, '/': self._ask_filter,
                   'i': self._toggle_idle, 'v': self._next_tables,
                   'p': self._pause, ' ': self._pause, 'n': self._step,
                   '+': lambda: self._faster(-1),
                   '-': lambda: self._faster(1), 'r': self._ask_reserve,
                   'u': self._ask_release, 'h': self._show_help,
                   '?': self._show_help}
        if key in actions:
            actions[key]()
        elif key != 'esc':
            self.message = f'no key {key}: h shows those there are'

    def _quit(self) -> None:
        self.quit = True

    def _show_help(self) -> None:
        self._is_help = True

    def _next_sort(self) -> None:
        names = list(SORT_KEYS)
        self._sort = names[(names.index(self._sort) + 1) % len(names)]

    def _reverse(self) -> None:
        self._is_reversed = not self._is_reversed

    def _toggle_idle(self) -> None:
        self._is_idle_hidden = not self._is_idle_hidden

    def _next_tables(self) -> None:
        self._tables = TABLES[(TABLES.index(self._tables) + 1) % len(TABLES)]

    def _pause(self) -> None:
        self._is_paused = not self._is_paused
        if isinstance(self._watch, Replay):
            self._watch.is_paused = self._is_paused

    def _step(self) -> None:
        if not isinstance(self._watch, Replay) or not self._is_paused:
            self.message = 'only a replay that is paused has steps'
        elif not self._watch.step():
            self.message = 'the replay is at its end'
        self._shown = None

    def _faster(self, step: int) -> None:
        if isinstance(self._watch, Replay):
            self.message = 'a replay is as fast as its recording'
            return
        place = min(range(len(INTERVALS)), key=lambda i: abs(
            INTERVALS[i] - self._watch.interval)) + step
        self._watch.interval = INTERVALS[max(0, min(place,
                                                    len(INTERVALS) - 1))]

    def _ask_filter(self) -> None:
        def answered(answer: str) -> None:
            self._filter = answer

        self._question = Question('only counters with:', answered,
                                  answer=self._filter)

    # --- reservations

    def _reservable(self) -> Optional[VM]:
        """The virtual machine whose reservation is to change"""
        vm = self._vm
        if isinstance(self._watch, Replay):
            self.message = 'this is a replay: there is nothing to reserve'
        elif vm is None:
            self.message = 'choose a line of a virtual machine first'
        elif vm.last is None:
            self.message = f'{vm.name} does not answer'
        elif not vm.last.vpmu['passthrough']:
            self.message = (f'{vm.name} does not share its counters: start '
                            'it with -cpu ...,pmu-passthrough=on')
        else:
            return vm
        return None

    def _ask_reserve(self) -> None:
        vm = self._reservable()
        if vm is None or vm.last is None:
            return
        reserved = vm.last.vpmu['reserved']
        fixed = ' '.join(str(j) for j in reserved['fixed'])

        def answered(answer: str) -> None:
            wanted = parse_reservation(answer)
            if wanted is None:
                self.message = 'not like "2", "2 fixed 0 2" or "2 force"'
            elif vm is not None:
                self._confirm(vm, *wanted)

        self._question = Question(
            f'{vm.name}: reserve gp [fixed ...] [force]:', answered,
            answer=f'{reserved["gp"]}' + (f' fixed {fixed}' if fixed else ''))

    def _ask_release(self) -> None:
        vm = self._reservable()
        if vm is not None:
            self._confirm(vm, 0, [], False)

    def _confirm(self, vm: VM, gp: int, fixed: List[int],
                 force: bool) -> None:
        wanted = counter_set({'gp': gp, 'fixed': fixed})
        now = '?' if vm.last is None else counter_set(
            vm.last.vpmu['reserved'])

        def answered(answer: str) -> None:
            if answer == 'y':
                self._start(self._reserve(vm, gp, fixed, force))
            else:
                self.message = 'nothing is changed'

        self._question = Question(
            f'{vm.name}: reserve {wanted}' + (' by force' if force else '') +
            f' instead of {now}? y/n', answered, is_yes_no=True)

    def cancel(self) -> None:
        """Wait for no answer any more."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Awaitable[None]) -> None:
        self._tasks = [task for task in self._tasks if not task.done()]
        self._tasks.append(asyncio.ensure_future(work))

    async def _reserve(self, vm: VM, gp: int, fixed: List[int],
                       force: bool) -> None:
        poller = self._watch.poller(vm)
        assert poller is not None
        try:
            await poller.reserve(gp, fixed, force)
            await poller.poll()
            self.message = f'{vm.name}: done'
        except VMError as err:
            self.message = f'{vm.name}: {err}'
        self.on_change()
