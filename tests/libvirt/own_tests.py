#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
'''
Run libvirt's own tests, which our changes extend, and print the results as
TAP.

usage: own_tests.py BUILD
'''

import json
import subprocess
import sys

# Tests that may fail here, and the reasons
SKIPPED = {
    'vshtabletest': 'it needs the locale en_US.UTF-8',
}


def main():
    build = sys.argv[1]
    # Without the suite of style checks, which need a git repository
    subprocess.run([sys.executable, '-m', 'mesonbuild.mesonmain', 'test', '-C',
                    build, '--no-rebuild', '--suite', 'bin', '--suite',
                    'script'],
                   stdin=subprocess.DEVNULL, stdout=sys.stderr, check=False)
    with open(f'{build}/meson-logs/testlog.json', encoding='utf-8') as log:
        tests = sorted((json.loads(line) for line in log),
                       key=lambda test: test['name'])
    failed = False
    print(f'1..{len(tests)}')
    for number, test in enumerate(tests, 1):
        name = test['name'].split(' / ')[-1]
        if name in SKIPPED and test['result'] not in ('OK', 'TIMEOUT'):
            print(f'ok {number} - {name} # SKIP {SKIPPED[name]}')
        elif test['result'] in ('OK', 'EXPECTEDFAIL'):
            print(f'ok {number} - {name}')
        else:
            failed = True
            print(f'not ok {number} - {name}')
            said = test.get('stdout', '') + test.get('stderr', '')
            for line in said.splitlines()[-20:]:
                print(f'# {line}')
    sys.exit(failed)


if __name__ == '__main__':
    main()
