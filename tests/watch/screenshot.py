#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Prints what vpmu-top shows of the guest of the tests, as in the manual.

usage: run screenshot.py
'''

import tempfile

from watched import Guest, Terminal


def take():
    '''What is on the screen'''
    with tempfile.TemporaryDirectory() as folder:
        guest = Guest(folder)
        try:
            guest.qmp.cmd('vpmu-host-counter-set', type='gp', index=0,
                          event='instructions')
            terminal = Terminal('-i', '1', guest.socket, width=100, height=20)
            try:
                terminal.wait_for(r'slow .* \d+\.\dM')
                terminal.keys('i')
                lines = terminal.wait_for('no idle')
            finally:
                terminal.close()
        finally:
            guest.end()
    return '\n'.join(lines).rstrip()


if __name__ == '__main__':
    print(take())
