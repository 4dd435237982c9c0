# SPDX-License-Identifier: GPL-2.0-or-later
'''
What users do on the host with a profile of branches that perf has recorded in
the guest: BOLT and AutoFDO optimize the program "detour" by it.
'''

import collections
import os
import re
import subprocess
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / 'guest/detour.c'

# The numbers in the source: the loop, and the marks of the blocks through which
# it usually goes, and of the others
TURNS, RARELY = 64000, 64
USUAL, RARE = (1, 2, 3), (0x11, 0x12)


def detour():
    '''The file of the program, as it is in the guest'''
    return Path(os.environ['VPMU_KERNEL']).parent / 'detour'


def status():
    '''What the program returns'''
    total = 0
    for turn in range(TURNS):
        total = (total * 5 + 1 if turn % RARELY == RARELY - 1 else
                 total ^ turn) & 0xffffffff
        total = (total * 3 + 1 if (turn + 1) % RARELY == RARELY - 1 else
                 total + turn) & 0xffffffff
    return total % 128


def symbol(name):
    '''The address of a function of the program'''
    table = subprocess.run(['nm', detour()], check=True, text=True,
                           capture_output=True).stdout
    return int(re.search(rf'^(\w+) . {name}$', table, re.MULTILINE)[1], 16)


def mark(program, number):
    '''
    Where in the file is the instruction "movl $mark, %eax" of a block?  BOLT
    leaves the old code where it was; the new code is behind it.
    '''
    place = program.rfind(b'\xb8' + (0x5eed0000 + number).to_bytes(4, 'little'))
    assert place >= 0, f'the block {number:#x} is not there'
    return place


def is_straight(program):
    '''Whether no other block is between those of the usual way'''
    usual = [mark(program, number) for number in USUAL]
    return not any(min(usual) < mark(program, number) < max(usual)
                   for number in RARE)


def line_of(number):
    '''The line of a block's mark, counted from that of its function'''
    lines = SOURCE.read_text().splitlines()
    function = [i for i, line in enumerate(lines) if ' work(' in line][0]
    marks = {int(match[1], 0): i for i, line in enumerate(lines)
             if (match := re.fullmatch(r' *MARK\((\w+)\);', line))}
    return marks[number] - function


class Optimizers:
    '''The programs that build-profilers unpacks, at work in a folder'''

    def __init__(self, folder, perf_data):
        self.folder = Path(folder)
        self.home = Path(subprocess.run(
            [SOURCE.parent / 'build-profilers'], check=True, text=True,
            stdout=subprocess.PIPE).stdout.strip())
        (self.folder / 'perf.data').write_bytes(perf_data)
        # AutoFDO looks for a mapped file of this name
        (self.folder / 'detour').write_bytes(detour().read_bytes())

    def run(self, *command):
        '''Has a command executed; returns what it prints'''
        path = f'{self.home}/bin:{os.environ["PATH"]}'
        done = subprocess.run(command, check=False, text=True, cwd=self.folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=os.environ | {'PATH': path})
        if done.returncode:
            raise RuntimeError(f'{command[0]} failed:\n{done.stdout}')
        return done.stdout

    def bolt(self):
        '''What perf2bolt prints, and the program that llvm-bolt makes'''
        said = self.run('perf2bolt', '-p', 'perf.data', '-o', 'detour.fdata',
                        'detour')
        self.run('llvm-bolt', 'detour', '-o', 'detour.bolt', '-data',
                 'detour.fdata', '-reorder-blocks=ext-tsp')
        return said, (self.folder / 'detour.bolt').read_bytes()

    def bolt_counts(self):
        '''How often perf2bolt saw each branch: (from, to) -> count'''
        start = symbol('work')
        counts = collections.Counter()
        for line in (self.folder / 'detour.fdata').read_text().splitlines():
            # is a symbol, its name, offset; twice; mispredicted, count
            fields = line.split()
            if fields[1] == fields[4] == 'work/1':
                counts[tuple(start + int(fields[i], 16) for i in (2, 5))] += \
                    int(fields[7])
        return counts

    def autofdo(self):
        '''The program that clang makes with the profile of create_llvm_prof'''
        self.run('create_llvm_prof', '--profile=perf.data', '--binary=detour',
                 '--format=text', '--out=detour.afdo')
        self.run('clang', '-std=gnu11', '-O2', '-gline-tables-only',
                 '-fprofile-sample-use=detour.afdo', '-ffreestanding',
                 '-fcf-protection=none', '-c', '-o', 'detour.o', SOURCE)
        # The addresses tell the plugin that it is one of our programs
        self.run(os.environ.get('CC', 'cc'), '-nostdlib', '-static', '-no-pie',
                 '-Wl,-Ttext-segment=0x23800000', '-o', 'detour.afdo-program',
                 'detour.o')
        return (self.folder / 'detour.afdo-program').read_bytes()

    def autofdo_counts(self):
        '''
        How often create_llvm_prof says that a line ran: line -> count.  A line
        of several blocks has a discriminator for each.
        '''
        counts = collections.Counter()
        text = (self.folder / 'detour.afdo').read_text()
        for line, count in re.findall(r'^ (\d+)(?:\.\d+)?: (\d+)$', text,
                                      re.MULTILINE):
            counts[int(line)] += int(count)
        return counts
