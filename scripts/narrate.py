# SPDX-License-Identifier: GPL-2.0-or-later
'''
The demonstrations print a sentence, then a command and its output, indented.
'''

import json
import re
import sys
import textwrap

# The width of answers of QMP, and how many elements of a list are shown
WIDTH = 100
ELEMENTS = 11


def say(text):
    print(f'\n\033[1m{text}\033[0m' if sys.stdout.isatty() else f'\n{text}',
          flush=True)


def show(text):
    # perf colours its report
    for line in re.sub(r'\x1b\[[\d;]*m', '', text).rstrip().splitlines():
        print(f'    {line}'.rstrip())
    sys.stdout.flush()


def pretty(value, indent=''):
    '''JSON in lines, broken only where it would become too wide'''
    flat = json.dumps(value)
    if len(indent + flat) <= WIDTH or not isinstance(value, (dict, list)):
        return flat
    inner = indent + '  '
    if isinstance(value, dict):
        # The members whose text is short come first
        value = dict(sorted(value.items(),
                            key=lambda item: len(json.dumps(item[1])) > WIDTH))
        if len(flat) <= 3 * WIDTH:
            return textwrap.fill(flat, WIDTH, initial_indent=indent,
                                 subsequent_indent=inner).strip()
        parts = [f'"{key}": {pretty(item, inner)}'
                 for key, item in value.items()]
    else:
        parts = [pretty(item, inner) for item in value[:ELEMENTS]]
        if len(value) > ELEMENTS:
            parts.append(f'... {len(value) - ELEMENTS} more')
    opening, closing = ('{', '}') if isinstance(value, dict) else ('[', ']')
    lines = f',\n{inner}'.join(parts)
    return f'{opening}\n{inner}{lines}\n{indent}{closing}'


def in_guest(guest, command):
    '''Shows what a command prints in the guest'''
    print(f'    guest# {command}')
    # perf surrounds its tables with empty lines
    show(guest.run(f'{command} 2>&1').strip('\n'))
