# SPDX-License-Identifier: GPL-2.0-or-later
'''
A libvirt daemon of our own, and virsh to talk to it.

The tests and the demonstration share this module.  A daemon and all its files
live in one directory, so that several daemons can run side by side and beside
the daemon of the machine.  The module needs nothing but Python's own library.
'''

import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
import tty
import uuid
import xml.etree.ElementTree as ET
from pathlib import Path

from vpmu_guest import IMAGE, Shell

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / 'build'
LIBVIRT = Path(os.environ.get('LIBVIRT', str(BUILD / 'libvirt/build')))
EMULATOR = os.environ.get('QEMU', str(BUILD / 'qemu-system-x86_64'))
# The domain of the manual
DOMAIN = TOP / 'docs/system/i386/vpmu-domain.xml'


class VirshError(Exception):
    '''virsh failed; the text is its error message'''


def unprivileged(command):
    '''
    The command line that executes @command as a user other than root.

    A daemon that root runs has its directories compiled in.  For other users,
    the XDG variables determine the directories.  So root takes another user ID
    in a user namespace; it can then still use root's own files.
    '''
    if os.geteuid():
        return command
    return ['unshare', '--user', '--map-user=1000', '--map-group=1000',
            *command]


class Daemon:
    '''A virtqemud from build/libvirt, which runs until stop()'''

    def __init__(self):
        # Short, because the path of a socket has at most 107 characters
        self.dir = Path(tempfile.mkdtemp(prefix='vpmu-'))
        self.env = dict(os.environ, HOME=str(self.dir), LC_ALL='C')
        for name in 'RUNTIME_DIR', 'CONFIG_HOME', 'CACHE_HOME', 'DATA_HOME':
            path = self.dir / name.split('_', maxsplit=1)[0].lower()
            path.mkdir(mode=0o700)
            self.env[f'XDG_{name}'] = str(path)
        conf = self.dir / 'config/libvirt'
        conf.mkdir()
        # Otherwise a second daemon, virtlogd, would write the guests' logs
        (conf / 'qemu.conf').write_text('stdio_handler = "file"\n')
        # libvirt migrates a guest only to another host, and it tells hosts
        # apart by this UUID
        (conf / 'virtqemud.conf').write_text(f'host_uuid = "{uuid.uuid4()}"\n')
        self.socket = self.dir / 'runtime/libvirt/virtqemud-sock'
        self.uri = f'qemu+unix:///session?socket={self.socket}'
        self.log = self.dir / 'virtqemud.log'
        with open(self.log, 'wb') as log:
            # A daemon that is started from its build directory finds there
            # the other parts of libvirt
            self.process = subprocess.Popen(
                unprivileged([str(LIBVIRT / 'src/virtqemud'), '--config',
                              str(conf / 'virtqemud.conf')]),
                env=self.env, stdin=subprocess.DEVNULL,
                stdout=log, stderr=log)
        deadline = time.monotonic() + 60
        while not self.socket.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise VirshError(f'virtqemud does not listen; its log:\n'
                                 f'{self.log.read_text()}')
            time.sleep(0.1)

    def command(self, *words):
        '''The command line of virsh'''
        return unprivileged([str(LIBVIRT / 'tools/virsh'), '-c', self.uri,
                             *words])

    def virsh(self, *words, timeout=120):
        '''Executes a command of virsh and returns its output'''
        done = subprocess.run(self.command(*words), env=self.env,
                              stdin=subprocess.DEVNULL, timeout=timeout,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False)
        if done.returncode:
            raise VirshError(f'virsh {shlex.join(words)}: {done.stderr}')
        return done.stdout.strip()

    def spawn(self, *words):
        '''Starts a command of virsh that waits for something'''
        return subprocess.Popen(self.command(*words), env=self.env,
                                stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def monitor(self, domain, command, arguments):
        '''What a domain's emulator answers to a QMP command'''
        message = {'execute': command}
        if arguments:
            message['arguments'] = arguments
        return json.loads(self.virsh('qemu-monitor-command', domain,
                                     json.dumps(message)))

    def qmp(self, domain, command, **arguments):
        '''Executes a QMP command in a domain's emulator'''
        answer = self.monitor(domain, command, arguments)
        if 'error' in answer:
            raise VirshError(answer['error']['desc'])
        return answer['return']

    def define(self, xml):
        '''Defines or redefines a domain from XML text'''
        path = self.dir / 'define.xml'
        path.write_text(xml)
        return self.virsh('define', str(path))

    def vcpu_stats(self, domain):
        '''The statistics of the vPMU in domstats: a list of name -> value'''
        stats = {}
        for line in self.virsh('domstats', '--vcpu', domain).splitlines():
            words = line.strip().split('.', 3)
            if words[0] == 'vcpu' and words[2:3] == ['vpmu']:
                name, value = words[3].split('=')
                stats.setdefault(int(words[1]), {})[name] = int(value)
        return [stats[vcpu] for vcpu in sorted(stats)]

    def console(self, domain):
        '''The shell in a domain's guest'''
        console = Console(self.virsh('ttyconsole', domain))
        return Shell(console, lambda: console.is_connected)

    def stop(self):
        '''Ends the domains and the daemon, and removes their files'''
        try:
            if self.process.poll() is None:
                for domain in self.virsh('list', '--name').split():
                    self.virsh('destroy', domain)
        finally:
            self.process.terminate()
            try:
                self.process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            shutil.rmtree(self.dir)


class Console:
    '''
    A guest's serial line on a pseudo-terminal.

    While nobody has the terminal open, the output of the guest is lost.  QEMU
    checks only once in a second whether somebody has it open.
    '''

    def __init__(self, path):
        self.writer = self.reader = self
        # Whether QEMU has the other end open
        self.is_connected = True
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.fd)

    def read(self, size):
        try:
            data = os.read(self.fd, size)
        except BlockingIOError:
            return b''
        except OSError:
            data = b''
        self.is_connected = bool(data)
        return data

    def write(self, data):
        os.write(self.fd, data)

    def close(self):
        os.close(self.fd)


def domain_xml(name='vpmu', pmu=None, emulator=EMULATOR):
    '''
    The domain of the manual with this machine's paths.

    The XML text @pmu replaces the element <pmu>; '' removes it.
    '''
    tree = ET.parse(DOMAIN)
    tree.find('name').text = name
    tree.find('os/kernel').text = str((IMAGE / 'vmlinuz').resolve())
    tree.find('os/initrd').text = str(IMAGE / 'initrd')
    tree.find('os/cmdline').text = Shell.APPEND
    tree.find('devices/emulator').text = emulator
    if pmu is not None:
        features = tree.find('features')
        features.remove(features.find('pmu'))
        if pmu:
            features.append(ET.fromstring(pmu))
    return ET.tostring(tree.getroot(), encoding='unicode')


def pmu_element(xml):
    '''The PMU of a domain's XML, in a form that can be compared, or None'''
    pmu = ET.fromstring(xml).find('features/pmu')
    if pmu is None:
        return None
    reserved = pmu.find('reserved')
    return pmu.attrib, None if reserved is None else reserved.attrib
