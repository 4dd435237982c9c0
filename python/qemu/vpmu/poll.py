"""
Ask virtual machines, and go on asking
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import asyncio
import time
from typing import (
    Any,
    Callable,
    Dict,
    List,
    Optional,
    Tuple,
)

from .connect import CommandError, Source, VMError
from .model import VM, Sample, is_known
from .record import Recorder, Recording


UNKNOWN = ("this QEMU's virtual PMU is described in another way: use the "
           'vpmu-top that was built with it')


class Names:  # pylint: disable=too-few-public-methods
    """The names of virtual machines, each of which is another one."""

    def __init__(self) -> None:
        self._wanted: List[Tuple[VM, str]] = []

    def give(self, vm: VM, name: str) -> None:
        """Name a virtual machine; those of one name have their address, too"""
        # A path may have any bytes, and a metric's label is UTF-8.
        name = name.encode(errors='replace').decode()
        self._wanted = [entry for entry in self._wanted if entry[0] is not vm]
        self._wanted.append((vm, name))
        names = [wanted for _, wanted in self._wanted]
        for other, wanted in self._wanted:
            other.name = (wanted if names.count(wanted) == 1
                          else f'{wanted} ({other.address})'.encode(
                              errors='replace').decode())


class Poller:
    """Asks one virtual machine."""

    def __init__(self, source: Source, names: Names,
                 name: Optional[str] = None):
        self.vm = VM(name or source.address, source.address)
        self._source = source
        self._names = names
        self._given = name
        self._connected = False
        # One command at a time, also if the user gives one meanwhile
        self._lock = asyncio.Lock()
        names.give(self.vm, self.vm.name)

    async def _connect(self) -> None:
        if self._connected:
            return
        await self._source.connect()
        self._connected = True
        if self._given is None:
            guest = await self._source.execute('query-name')
            name = guest.get('name', self.vm.address)
            if not isinstance(name, str):
                raise VMError(UNKNOWN)
            self._names.give(self.vm, name)

    async def _stats(self, vpmu: Dict[str, Any]) -> Dict[int, Dict[str, int]]:
        paths = {cpu['qom-path']: cpu['cpu-index'] for cpu in vpmu['cpus']}
        answer = await self._source.execute(
            'query-stats', {'target': 'vcpu',
                            'providers': [{'provider': 'vpmu'}]})
        return {paths[entry['qom-path']]:
                {stat['name']: stat['value'] for stat in entry['stats']}
                for entry in answer if entry['qom-path'] in paths}

    async def _ask(self) -> Sample:
        await self._connect()
        start = time.monotonic()
        try:
            vpmu = await self._source.execute('query-vpmu')
        except CommandError as err:
            if err.kind == 'CommandNotFound':
                raise VMError('this QEMU has no virtual PMU to watch (no '
                              'query-vpmu): start the virtual machine with '
                              'one that has') from err
            raise
        clock = (start + time.monotonic()) / 2
        start = time.monotonic()
        stats = await self._stats(vpmu)
        sample = Sample(time.time(), clock, vpmu, stats,
                        (start + time.monotonic()) / 2)
        if not is_known(sample):
            raise VMError(UNKNOWN)
        return sample

    async def _close(self) -> None:
        self._connected = False
        await self._source.close()

    async def poll(self) -> VM:
        """Ask once.  The virtual machine has the answer, or the error."""
        async with self._lock:
            try:
                self.vm.take(await self._ask())
            except Exception as err:    # pylint: disable=broad-except
                # Whatever one peer answers, the others are watched on.
                self.vm.lose(str(err) if isinstance(err, VMError)
                             else UNKNOWN)
                await self._close()
        return self.vm

    async def reserve(self, gp: int, fixed: List[int], force: bool) -> None:
        """
        Set the reservation of counters for the host.

        :raise VMError: when it is refused
        """
        async with self._lock:
            if not self._connected:
                raise VMError('the virtual machine does not answer')
            await self._source.execute(
                'vpmu-reserve-host-counters',
                {'gp': gp, 'fixed': fixed, 'force': force})

    async def close(self) -> None:
        """End the connection."""
        async with self._lock:
            await self._close()


class Watch:
    """Asks all virtual machines at an interval, until it is cancelled."""

    def __init__(self, pollers: List[Poller], interval: float,
                 recorder: Optional[Recorder] = None):
        self._pollers = pollers
        self.interval = interval
        self._recorder = recorder
        #: What to call when a virtual machine has answered or not
        self.on_change: Callable[[], None] = lambda: None

    @property
    def vms(self) -> List[VM]:
        """The virtual machines, in the order of the command line"""
        return [poller.vm for poller in self._pollers]

    def poller(self, vm: VM) -> Optional[Poller]:
        """The one that can reach a virtual machine"""
        for poller in self._pollers:
            if poller.vm is vm:
                return poller
        return None

    async def _poll(self, poller: Poller) -> None:
        vm = await poller.poll()
        if self._recorder is not None:
            self._recorder.write(vm)
        self.on_change()

    async def once(self) -> None:
        """Ask all virtual machines, at the same time."""
        await asyncio.gather(*map(self._poll, self._pollers))

    async def _watch(self, poller: Poller) -> None:
        while True:
            start = time.monotonic()
            await self._poll(poller)
            # What the answer has taken is part of the interval.
            await asyncio.sleep(max(self.interval / 10, start + self.interval
                                    - time.monotonic()))

    async def run(self) -> None:
        """One that does not answer does not delay the others."""
        await asyncio.gather(*map(self._watch, self._pollers))

    async def run_until(self, ended: asyncio.Event) -> None:
        """Go on until something happens."""
        running = asyncio.ensure_future(self.run())
        ending = asyncio.ensure_future(ended.wait())
        await asyncio.wait((running, ending),
                           return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
        # Before Python 3.12, wait_for() takes no notice of a cancellation if
        # what it waits for comes at the same time.
        while not running.done():
            running.cancel()
            await asyncio.wait((running,), timeout=0.1)
        try:
            await running       # An error that has ended it is raised here.
        except asyncio.CancelledError:
            pass

    async def close(self) -> None:
        """End all connections."""
        for poller in self._pollers:
            await poller.close()
        if self._recorder is not None:
            self._recorder.close()


class Replay(Watch):
    """Shows a recording as it was recorded."""

    def __init__(self, entries: Recording):
        super().__init__([], 0)
        self._entries = entries
        self._vms: Dict[str, VM] = {}
        self._next = 0
        self._time = 0.0
        self.is_paused = False

    @property
    def vms(self) -> List[VM]:
        return list(self._vms.values())

    def step(self) -> bool:
        """Go on by one line; False at the end."""
        if self._next >= len(self._entries):
            return False
        entry = self._entries[self._next]
        self._next += 1
        self._time = entry.time
        entry.tell(self._vms.setdefault(entry.address,
                                        VM(entry.vm, entry.address)))
        self.on_change()
        return True

    @property
    def time(self) -> float:
        """When the last line was recorded, in seconds since 1970"""
        return self._time

    @property
    def place(self) -> str:
        """How far it is"""
        return f'{self._next}/{len(self._entries)}'

    async def once(self) -> None:
        while self.step():
            pass

    async def run(self) -> None:
        clock: Optional[float] = None
        while self._next < len(self._entries):
            if self.is_paused:
                await asyncio.sleep(0.1)
                continue
            entry = self._entries[self._next]
            # Another recording may have been appended to it.
            await asyncio.sleep(0 if clock is None else
                                min(60, max(0, entry.clock - clock)))
            clock = entry.clock
            if not self.is_paused:
                self.step()
        await asyncio.Event().wait()
