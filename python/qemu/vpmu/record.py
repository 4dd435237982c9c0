"""
A recording of what virtual machines have answered

It is a file of lines, each of which is a JSON object: what one virtual machine
has answered at one moment, or why it has not.
"""

# SPDX-License-Identifier: GPL-2.0-or-later

import json
import time
from typing import (
    Any,
    Dict,
    Iterator,
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
        self.error: Optional[str] = line.get('error')
        self.sample: Optional[Sample] = None
        if self.error is None:
            self.sample = Sample(line['time'], line['clock'], line['vpmu'],
                                 {int(cpu): stats for cpu, stats
                                  in line['stats'].items()})
            if not is_known(self.sample):
                raise ValueError
        if not all(isinstance(text, str) for text in (
                self.vm, self.address, self.error or '')):
            raise ValueError
        self.clock += 0.0       # It must be a number.

    def tell(self, vm: VM) -> None:
        """Have the virtual machine answer so again."""
        vm.name = self.vm
        if self.sample is not None:
            vm.take(self.sample)
        else:
            vm.lose(self.error or '')


def read(path: str) -> Iterator[Entry]:
    """
    The lines of a recording.  The last one may lack its end if the recording
    program was killed; it is left out.

    :raise RecordError: when the file is not a recording
    """
    try:
        with open(path, encoding='utf-8') as file:
            for number, line in enumerate(file, 1):
                if not line.endswith('\n'):
                    return
                try:
                    fields = json.loads(line)
                    if fields['format'] != FORMAT:
                        raise RecordError(
                            f'{path} has format {fields["format"]}, and this '
                            f'program reads {FORMAT}: use the program that '
                            'has recorded it')
                    yield Entry(fields)
                except (ValueError, KeyError, TypeError,
                        AttributeError) as err:
                    raise RecordError(
                        f'{path}:{number} is no line of a recording: name a '
                        'file that --record has written') from err
    except OSError as err:
        raise RecordError(f'{path} cannot be read: {err.strerror}') from err
    except UnicodeDecodeError as err:
        raise RecordError(f'{path} is no recording: name a file that --record '
                          'has written') from err
