"""
A recording of what virtual machines have answered

It is a file of lines, each of which is a JSON object: what one virtual machine
has answered at one moment, or why it has not.
"""

# SPDX-License-Identifier: GPL-2.0-or-later

from array import array
import json
import time
from typing import (
    Any,
    BinaryIO,
    Dict,
    Optional,
    TextIO,
)

from .model import VM, Sample, is_known


#: What every line says of its own format
FORMAT = 1


class RecordError(Exception):
    """A file cannot be read or written."""


class Recorder:
    """Writes the recording; a line is there as soon as it is written."""

    def __init__(self, path: str):
        self._path = path
        try:
            # A recording is not to be lost to a mistyped command.
            self._file: TextIO = open(path, 'x', encoding='utf-8')
        except FileExistsError as err:
            raise RecordError(f'{path} exists: name another file, or remove '
                              'it') from err
        except OSError as err:
            raise self._error(err) from err

    def _error(self, err: OSError) -> RecordError:
        return RecordError(f'{self._path} cannot be written: {err.strerror}')

    def write(self, vm: VM) -> None:
        """
        Write what a virtual machine has just answered.

        :raise RecordError: when the line cannot be written
        """
        line: Dict[str, Any] = {
            'format': FORMAT, 'vm': vm.name, 'address': vm.address,
            'time': time.time(), 'clock': time.monotonic()}
        if vm.last is not None:
            line['time'], line['clock'] = vm.last.time, vm.last.clock
            line['stats-clock'] = vm.last.stats_clock
            line['vpmu'] = vm.last.vpmu
            line['stats'] = {str(cpu): stats
                             for cpu, stats in vm.last.stats.items()}
        else:
            line['error'] = vm.error
        try:
            self._file.write(json.dumps(line) + '\n')
            self._file.flush()
        except OSError as err:
            raise self._error(err) from err

    def close(self) -> None:
        """
        Close the file.

        :raise RecordError: when what was written is not there
        """
        try:
            self._file.close()
        except OSError as err:
            raise self._error(err) from err


class Entry:  # pylint: disable=too-few-public-methods
    """A line of a recording"""

    def __init__(self, line: Dict[str, Any]):
        self.vm: str = line['vm']
        self.address: str = line['address']
        self.clock: float = line['clock']
        self.time: float = line['time']
        self.error: Optional[str] = line.get('error')
        self.sample: Optional[Sample] = None
        if self.error is None:
            self.sample = Sample(line['time'], line['clock'], line['vpmu'],
                                 {int(cpu): stats for cpu, stats
                                  in line['stats'].items()},
                                 line.get('stats-clock', line['clock']))
            if not is_known(self.sample):
                raise ValueError
        if not all(isinstance(text, str) for text in (
                self.vm, self.address, self.error or '')):
            raise ValueError
        # They must be numbers, and the time one of a calendar.
        self.clock += 0.0
        if self.sample is not None:
            self.sample.stats_clock += 0.0
        time.localtime(self.time)

    def tell(self, vm: VM) -> None:
        """Have the virtual machine answer so again."""
        vm.name = self.vm
        if self.sample is not None:
            vm.take(self.sample)
        else:
            vm.lose(self.error or '')


class Recording:
    """
    The lines of a recording.  The last one may lack its end if the recording
    program was killed; it is left out.

    A line is read again when it is asked for: a day of them has no room in
    memory.

    :raise RecordError: when the file is not a recording
    """

    def __init__(self, path: str):
        self._path = path
        self._places = array('Q')
        try:
            # Nobody closes it: it is read until the program ends.
            # pylint: disable=consider-using-with
            self._file: BinaryIO = open(path, 'rb')
            place = 0
            for line in self._file:
                if not line.endswith(b'\n'):
                    break
                self._parse(line, len(self._places))
                self._places.append(place)
                place += len(line)
        except OSError as err:
            raise self._unreadable(err) from err

    def _unreadable(self, err: OSError) -> RecordError:
        return RecordError(f'{self._path} cannot be read: {err.strerror}')

    def _parse(self, line: bytes, index: int) -> Entry:
        try:
            fields = json.loads(line.decode())
            if fields['format'] != FORMAT:
                raise RecordError(
                    f'{self._path} has format {fields["format"]}, and this '
                    f'program reads {FORMAT}: use the program that has '
                    'recorded it')
            return Entry(fields)
        except UnicodeDecodeError as err:
            raise RecordError(f'{self._path} is no recording: name a file '
                              'that --record has written') from err
        except (ValueError, KeyError, TypeError, AttributeError, OSError,
                OverflowError, RecursionError) as err:
            raise RecordError(
                f'{self._path}:{index + 1} is no line of a recording: name a '
                'file that --record has written') from err

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int) -> Entry:
        try:
            self._file.seek(self._places[index])
            return self._parse(self._file.readline(), index)
        except OSError as err:
            raise self._unreadable(err) from err
