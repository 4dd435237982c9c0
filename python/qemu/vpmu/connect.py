"""
Ways to a virtual machine's monitor: a QMP socket, or a domain of libvirt
"""

# SPDX-License-Identifier: GPL-2.0-or-later

from abc import ABC, abstractmethod
import asyncio
from errno import EAGAIN, EINVAL
import json
import threading
from types import ModuleType
from typing import (
    Any,
    Awaitable,
    Callable,
    Optional,
    Tuple,
    Type,
    TypeVar,
    Union,
)

from qemu.qmp import (
    ConnectError,
    ExecuteError,
    QMPClient,
    QMPError,
)

from .model import Json


T = TypeVar('T')


class VMError(Exception):
    """Why a virtual machine does not answer, and what helps."""


class CommandError(VMError):
    """The virtual machine has refused a command; it goes on answering."""

    def __init__(self, message: str, kind: str = 'GenericError'):
        super().__init__(message)
        #: QMP's class of the error
        self.kind = kind


class Source(ABC):
    """A way to the monitor of one virtual machine."""

    def __init__(self, address: str, timeout: float):
        #: What the user calls it
        self.address = address
        self._timeout = timeout

    async def _in_time(self, answer: Awaitable[T], late: str) -> T:
        """Wait for an answer, but not for ever; @late is what is wrong."""
        try:
            return await asyncio.wait_for(answer, self._timeout)
        except asyncio.TimeoutError as err:
            raise VMError(late) from err

    @abstractmethod
    async def connect(self) -> None:
        """
        :raise VMError: when there is no connection
        """

    @abstractmethod
    async def execute(self, command: str,
                      arguments: Optional[Json] = None) -> Any:
        """
        Execute a QMP command and return its answer.

        :raise CommandError: when the command is refused
        :raise VMError: when the connection is lost; it must be closed then
        """

    @abstractmethod
    async def close(self) -> None:
        """Close the connection, if there is one."""


# --- QMP sockets

SocketAddress = Union[str, Tuple[str, int]]


def parse_socket(text: str) -> SocketAddress:
    """
    A path, or HOST:PORT if there is no slash in it and PORT is a number.
    """
    host, colon, port = text.rpartition(':')
    if colon and port.isascii() and port.isdigit() and '/' not in text:
        return host.strip('[]') or 'localhost', int(port)
    return text


BUSY = ('{address} does not greet: most likely its monitor has another '
        'client, and QEMU serves one at a time; end that one, or give the '
        'emulator a second -qmp')

#: What went wrong when a monitor was connected to, and what helps
REASONS: Tuple[Tuple[Tuple[Type[Exception], ...], str], ...] = (
    ((FileNotFoundError,),
     'there is no socket {address}: start the emulator with -qmp '
     'unix:{address},server=on,wait=off, or correct the path'),
    ((ConnectionRefusedError,),
     'nobody listens on {address}: its emulator has ended, or was started '
     'without server=on'),
    ((PermissionError,),
     '{address} may not be opened: become the user who runs the emulator'),
    ((EOFError, ConnectionResetError),
     '{address} hangs up at once: it is no monitor, or its emulator is '
     'ending'),
    ((OSError,), '{address} cannot be connected to: {reason}'),
    ((Exception,),
     'what answers on {address} is not QMP: name a socket of -qmp, not one '
     'of -monitor, -serial or the guest agent'),
)


def _why_not(address: str, err: Exception) -> str:
    # If too many wait to be its client, asyncio notices when it reads.
    if isinstance(err, OSError) and err.errno in (EAGAIN, EINVAL):
        return BUSY.format(address=address)
    text = next(text for kinds, text in REASONS if isinstance(err, kinds))
    return text.format(address=address,
                       reason=getattr(err, 'strerror', None) or err)


class QMPSource(Source):
    """A QMP socket of an emulator."""

    def __init__(self, address: str, timeout: float):
        super().__init__(address, timeout)
        self._socket = parse_socket(address)
        self._client: Optional[QMPClient] = None

    async def connect(self) -> None:
        client = QMPClient()
        try:
            await self._in_time(client.connect(self._socket),
                                BUSY.format(address=self.address))
        except ConnectError as err:
            raise VMError(_why_not(self.address, err.exc)) from err
        self._client = client

    async def execute(self, command: str,
                      arguments: Optional[Json] = None) -> Any:
        assert self._client is not None
        # Events that nobody takes would pile up.
        self._client.events.clear()
        try:
            return await self._in_time(
                self._client.execute(command, arguments),
                f'{self.address} does not answer: the emulator is stopped '
                'or very busy')
        except ExecuteError as err:
            raise CommandError(str(err), err.error_class) from err
        except (QMPError, EOFError, OSError) as err:
            raise VMError(f'the connection to {self.address} has ended: the '
                          'emulator is gone') from err

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                await client.disconnect()
            except Exception:   # pylint: disable=broad-except
                # This is how the connection has ended: whatever the peer's
                # answer has done to the reader is raised here.
                pass


# --- libvirt

async def _in_thread(ended: Callable[[], None], function: Callable[..., T],
                     *args: Any) -> T:
    """
    Call a function that blocks.  Its thread does not keep the program from
    ending.

    :param ended: what to call in the loop when the function has ended, also
        if nobody waits for it any more
    """
    loop = asyncio.get_running_loop()
    future: 'asyncio.Future[T]' = loop.create_future()

    def settle(result: Optional[T], error: Optional[Exception]) -> None:
        ended()
        if future.done():
            return      # Nobody waits any more.
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)   # type: ignore[arg-type]

    def run() -> None:
        result, error = None, None
        try:
            result = function(*args)
        except Exception as err:    # pylint: disable=broad-except
            error = err             # The caller gets it.
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            pass                    # The program is ending.

    threading.Thread(target=run, daemon=True).start()
    return await future


def _libvirt() -> Tuple[ModuleType, ModuleType]:
    """
    :raise VMError: when the modules are not installed
    """
    try:
        # pylint: disable=import-outside-toplevel
        import libvirt
        import libvirt_qemu
    except ImportError as err:
        raise VMError('Python has no module libvirt: install python3-libvirt, '
                      'or name the QMP socket') from err
    # It prints all errors otherwise.
    libvirt.registerErrorHandler(lambda context, error: None, None)
    return libvirt, libvirt_qemu


class LibvirtSource(Source):
    """A domain of libvirt, which has the emulator's monitor."""

    def __init__(self, name: str, uri: Optional[str], timeout: float):
        super().__init__(name, timeout)
        self._uri = uri
        self._domain: Any = None
        self._is_busy = False

    def _explain(self, err: Any) -> VMError:
        """What an error of libvirt means."""
        libvirt, _ = _libvirt()
        uri = f' {self._uri}' if self._uri else ''
        option = f' -c{uri}' if uri else ''
        kind = err.get_error_code()
        if kind == libvirt.VIR_ERR_NO_DOMAIN:
            return VMError(f'libvirt{uri} has no domain {self.address}: see '
                           f'virsh{option} list --all')
        if kind == libvirt.VIR_ERR_OPERATION_INVALID:
            return VMError(f'domain {self.address} does not run: see '
                           f'virsh{option} start {self.address}')
        if kind in (libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_CONN):
            return VMError(f'the domains of libvirt{uri} have no monitor of '
                           'QEMU: name another --connect, such as '
                           'qemu:///system')
        return VMError(f'libvirt{uri}: {err.get_error_message()}: see '
                       f'virsh{option} list --all')

    def _open(self) -> Any:
        libvirt, _ = _libvirt()
        try:
            return libvirt.open(self._uri).lookupByName(self.address)
        except libvirt.libvirtError as err:
            raise self._explain(err) from err

    def _command(self, text: str) -> str:
        libvirt, libvirt_qemu = _libvirt()
        domain = self._domain
        try:
            answer = libvirt_qemu.qemuMonitorCommand(domain, text, 0)
            # The domain object goes on with the next emulator.
            now = domain.connect().lookupByName(self.address)
        except libvirt.libvirtError as err:
            raise self._explain(err) from err
        if now.ID() != domain.ID():
            raise VMError(f'domain {self.address} was started anew: it is '
                          'watched from the next answer on')
        assert isinstance(answer, str)
        return answer

    def _end_call(self) -> None:
        self._is_busy = False

    async def _call(self, late: str, function: Callable[..., T],
                    *args: Any) -> T:
        """
        Have libvirt do something, in time.  A call that is late goes on, and
        more of them would use up the daemon's workers.
        """
        if self._is_busy:
            raise VMError(late)
        self._is_busy = True
        return await self._in_time(
            _in_thread(self._end_call, function, *args), late)

    async def connect(self) -> None:
        self._domain = await self._call(
            f'libvirt does not answer about domain {self.address}: see '
            'systemctl status virtqemud, and whether the domain is stopped',
            self._open)

    async def execute(self, command: str,
                      arguments: Optional[Json] = None) -> Any:
        message: Json = {'execute': command}
        if arguments is not None:
            message['arguments'] = arguments
        answer = json.loads(await self._call(
            f'domain {self.address} does not answer: it is stopped or very '
            'busy, or another command to its monitor has not ended',
            self._command, json.dumps(message)))
        if 'error' in answer:
            raise CommandError(answer['error']['desc'],
                               answer['error']['class'])
        return answer['return']

    async def close(self) -> None:
        # libvirt's own connection goes with it.
        self._domain = None
