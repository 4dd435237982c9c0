"""
The command line of vpmu-top
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import argparse
import asyncio
import json
import os
import shutil
import sys
from typing import List, Optional, Tuple

from . import terminal
from .connect import LibvirtSource, QMPSource
from .export import ExportError, export, parse_address
from .model import as_json
from .poll import (
    Names,
    Poller,
    Replay,
    Watch,
)
from .record import Recorder, RecordError, Recording
from .table import everything


DESCRIPTION = '''
Watch what guests use their virtual performance counters for: event, owner,
path and rate of each counter, PEBS records, hand-overs, starved time, and what
is reserved for the host.
'''

EPILOG = '''
examples:
  vpmu-top /run/vm1.qmp build=/run/vm2.qmp     watch two virtual machines
  vpmu-top -c qemu:///system -d guest          watch a domain of libvirt
  vpmu-top --once /run/vm1.qmp                 print what the screen would show
  vpmu-top --json /run/vm1.qmp | jq '.vms[0].vpmu.reserved'
  vpmu-top --record day.jsonl /run/vm1.qmp     record, and
  vpmu-top --replay day.jsonl                  look at it later
  vpmu-top --prometheus 9932 /run/vm1.qmp      export to Prometheus

On the screen, h shows what the keys do.

exit status:
  0  success
  1  with --once and --json: a virtual machine does not answer
  2  wrong arguments, or a file cannot be read or written
  130  interrupted before there was anything to show

environment:
  NO_COLOR  if it is set and not empty: like --no-color
'''


def interval(text: str) -> float:
    """Seconds that make sense"""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(
            f'{text} is no number from 0.1 to 3600')
    return value


def address(text: str) -> Tuple[str, int]:
    """[HOST:]PORT"""
    try:
        return parse_address(text)
    except ValueError as err:
        raise argparse.ArgumentTypeError(
            f'{text} is not a port, or HOST:PORT') from err


def make_parser() -> argparse.ArgumentParser:
    """The arguments"""
    parser = argparse.ArgumentParser(
        prog='vpmu-top', epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=DESCRIPTION)
    parser.add_argument(
        'socket', nargs='*', metavar='[NAME=]SOCKET',
        help='a QMP socket: a path, or HOST:PORT; its virtual machine is '
        "called NAME (default: the emulator's -name, or the socket)")
    parser.add_argument(
        '-d', '--domain', action='append', default=[], metavar='NAME',
        help='a domain of libvirt; can be repeated')
    parser.add_argument(
        '-c', '--connect', metavar='URI',
        help="libvirt's URI (default: libvirt's own choice)")
    parser.add_argument(
        '-i', '--interval', type=interval, default=1.0, metavar='SECONDS',
        help='how long to wait between two samples, 0.1 to 3600 (default: 1)')
    parser.add_argument(
        '-t', '--timeout', type=interval, default=3.0, metavar='SECONDS',
        help='how long to wait for an answer, 0.1 to 3600 (default: 3)')
    parser.add_argument(
        '--once', action='store_true',
        help='take two samples, print the tables and exit')
    parser.add_argument(
        '--json', action='store_true',
        help='like --once, as a JSON object: the answers of query-vpmu and '
        'query-stats, and the rates')
    parser.add_argument(
        '--record', metavar='FILE',
        help='write all samples to a new file, too')
    parser.add_argument(
        '--replay', metavar='FILE',
        help='show what --record has written, instead of virtual machines')
    parser.add_argument(
        '--prometheus', type=address, metavar='[HOST:]PORT',
        help='show nothing, and serve metrics to Prometheus over HTTP there '
        '(default of HOST: 127.0.0.1)')
    parser.add_argument(
        '--textfile', metavar='FILE',
        help="show nothing, and write metrics to a file of the node "
        "exporter's textfile collector, at each interval or --once")
    parser.add_argument(
        '--no-color', action='store_true', help='use no colours')
    return parser


def split_name(text: str) -> Tuple[str, str]:
    """NAME and SOCKET; '' if there is none, as a path may have a sign, too"""
    name, equals, socket = text.partition('=')
    if not equals or '/' in name:
        return '', text
    return name, socket


def make_pollers(args: argparse.Namespace) -> List[Poller]:
    """One for each virtual machine of the command line"""
    names = Names()
    pollers = []
    for text in args.socket:
        name, socket = split_name(text)
        pollers.append(Poller(QMPSource(socket, args.timeout), names,
                              name or None))
    return pollers + [
        Poller(LibvirtSource(name, args.connect, args.timeout), names, name)
        for name in args.domain]


def make_watch(args: argparse.Namespace) -> Watch:
    """
    What is to be shown.

    :raise RecordError: when a file cannot be read or written
    """
    if args.replay is not None:
        return Replay(Recording(args.replay))
    recorder = None if args.record is None else Recorder(args.record)
    return Watch(make_pollers(args), args.interval, recorder)


async def sample_twice(watch: Watch) -> None:
    """Ask twice, so that there are rates."""
    await watch.once()
    if not isinstance(watch, Replay):
        if any(vm.last is not None for vm in watch.vms):
            await asyncio.sleep(watch.interval)
            await watch.once()


async def print_once(watch: Watch, is_json: bool) -> int:
    """:return: the exit status"""
    await sample_twice(watch)
    if is_json:
        text = json.dumps({'vms': [as_json(vm) for vm in watch.vms]},
                          indent=2)
    else:
        width = 1000
        if sys.stdout is not None and sys.stdout.isatty():
            width = shutil.get_terminal_size().columns
        text = '\n'.join(everything(watch.vms, width))
    try:
        print(text, flush=True)
    except OSError as err:
        # Python would try once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise RecordError('the standard output cannot be written: '
                          f'{err.strerror}') from err
    return int(any(vm.error is not None for vm in watch.vms))


async def run(args: argparse.Namespace) -> int:
    """:return: the exit status"""
    watch = make_watch(args)
    try:
        if args.prometheus is not None or args.textfile is not None:
            await export(watch, args.prometheus, args.textfile, args.once)
            return 0
        if args.json or args.once:
            return await print_once(watch, args.json)
        why = terminal.why_not()
        if why:
            print(f'vpmu-top: {why}: printing once, like --once',
                  file=sys.stderr)
            return await print_once(watch, False)
        await terminal.show(watch, not (args.no_color or
                                        os.environ.get('NO_COLOR')))
        return 0
    finally:
        await watch.close()


def main(argv: Optional[List[str]] = None) -> int:
    """:return: the exit status"""
    parser = make_parser()
    args = parser.parse_args(argv)
    machines = args.socket or args.domain
    if args.replay is None and not machines:
        parser.error('name a QMP socket, or a domain of libvirt with -d')
    if args.replay is not None and (machines or args.record or
                                    args.prometheus or args.textfile):
        parser.error('--replay shows a recording and nothing else')
    names, sockets = zip(*map(split_name, args.socket or ['']))
    for texts in filter(None, names), sockets, args.domain:
        texts = list(texts)
        twice = {text for text in texts if texts.count(text) > 1}
        if twice:
            parser.error(f'{min(twice)} is there twice: name each virtual '
                         'machine once')
    if args.prometheus is not None and (args.once or args.json):
        parser.error('--prometheus serves until it is ended')
    try:
        return asyncio.run(run(args))
    except (ExportError, RecordError) as err:
        print(f'vpmu-top: {err}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
