"""
The screen on a terminal, with curses
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import asyncio
import curses
import os
import signal
import sys
from typing import Dict

from .poll import Watch
from .screen import Screen
from .table import Line


KEYS = {
    curses.KEY_UP: 'up',
    curses.KEY_DOWN: 'down',
    curses.KEY_PPAGE: 'pgup',
    curses.KEY_NPAGE: 'pgdn',
    curses.KEY_HOME: 'home',
    curses.KEY_END: 'end',
    curses.KEY_ENTER: 'enter',
    curses.KEY_BACKSPACE: 'backspace',
    0x7f: 'backspace',
    0x08: 'backspace',
    0x0a: 'enter',
    0x0d: 'enter',
    0x1b: 'esc',
}

COLORS = {
    'fast': curses.COLOR_GREEN,
    'slow': curses.COLOR_YELLOW,
    'starved': curses.COLOR_RED,
    'error': curses.COLOR_RED,
    'note': curses.COLOR_YELLOW,
}


def why_not() -> str:
    """Why this terminal cannot show a screen; empty if it can"""
    # One that is closed is None.
    if not all(file is not None and file.isatty()
               for file in (sys.stdin, sys.stdout)):
        return 'this is no terminal'
    term = os.environ.get('TERM', '')
    try:
        curses.setupterm()
    except curses.error:
        return f'the terminal "{term}" is unknown'
    if curses.tigetstr('cup') is None:
        return f'the terminal "{term}" cannot place its cursor'
    return ''


class Terminal:
    """A screen on the terminal"""

    def __init__(self, window: 'curses.window', screen: Screen,
                 has_colors: bool):
        self._window = window
        self._screen = screen
        self._ended = asyncio.Event()
        self._styles = self._make_styles(
            has_colors and curses.has_colors())
        try:
            curses.curs_set(0)
        except curses.error:
            pass    # This terminal cannot hide its cursor.
        window.nodelay(True)
        window.keypad(True)

    @staticmethod
    def _make_styles(has_colors: bool) -> Dict[str, int]:
        styles = {'title': curses.A_REVERSE, 'header': curses.A_BOLD,
                  'starved': curses.A_BOLD, 'error': curses.A_BOLD}
        if has_colors:
            background = -1
            try:
                curses.use_default_colors()
            except curses.error:
                background = curses.COLOR_BLACK     # It has no default.
            for number, (style, color) in enumerate(COLORS.items(), 1):
                curses.init_pair(number, color, background)
                styles[style] = (styles.get(style, 0) |
                                 curses.color_pair(number))
        return styles

    def draw(self) -> None:
        """Show the screen as it is now."""
        height, width = self._window.getmaxyx()
        lines, chosen = self._screen.lines(width, height)
        self._window.erase()
        for row, line in enumerate(lines):
            self._put(row, line, width, row == chosen)
        self._window.refresh()

    def _put(self, row: int, line: Line, width: int, is_chosen: bool) -> None:
        style = self._styles.get(line.style, 0)
        text = line.text
        if is_chosen:
            style |= curses.A_REVERSE
            text = text.ljust(width)
        try:
            self._window.addnstr(row, 0, text, width, style)
        except curses.error:
            pass    # The cursor cannot go beyond the last place.

    def _on_keys(self) -> None:
        while (code := self._window.getch()) != -1:
            key = KEYS.get(code, chr(code) if 0x20 <= code < 0x7f else '')
            if key:
                self._screen.key(key)
        if self._screen.quit:
            self._ended.set()
        self.draw()

    def _on_resize(self) -> None:
        size = os.get_terminal_size()
        # A terminal that has no size yet says 0.
        curses.resizeterm(max(1, size.lines), max(1, size.columns))
        self._window.clear()
        self.draw()

    async def show(self, watch: Watch) -> None:
        """Show the screen until the user quits."""
        loop = asyncio.get_running_loop()
        loop.add_reader(sys.stdin.fileno(), self._on_keys)
        loop.add_signal_handler(signal.SIGWINCH, self._on_resize)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._ended.set)
        watch.on_change = self._screen.on_change = self.draw
        self.draw()
        try:
            await watch.run_until(self._ended)
        finally:
            # One that is gone would be ready for reading for ever.
            loop.remove_reader(sys.stdin.fileno())
            self._screen.cancel()


async def show(watch: Watch, has_colors: bool) -> None:
    """Show a screen until the user quits."""
    # How long the rest of a key's sequence may take, in milliseconds
    os.environ.setdefault('ESCDELAY', '25')
    window = curses.initscr()
    try:
        curses.noecho()
        curses.cbreak()
        if has_colors:
            curses.start_color()
        await Terminal(window, Screen(watch), has_colors).show(watch)
    finally:
        window.keypad(False)
        curses.nocbreak()
        curses.echo()
        curses.endwin()
