"""The journal: one JSON object a line, on disk before the next thing happens.

Its first line tells the format of those that follow, as any later line of that kind does; a journal without one was
begun by a release that wrote none, and has format 1.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from slotwright.adapters.files import OTHER_STATE, host_error, make_own_directory
from slotwright.adapters.path_ownership import demand_own
from slotwright.cluster.formats import FileKind, demand_known
from slotwright.cluster.journal_format import format_line, format_tags


class FileJournal:
    """Implements :class:`slotwright.ports.Journal`. A line that a crash cut short is skipped by its readers.

    Raises RefusedError (format-newer) for a journal of a later release when it is made: nothing was done by then.
    """

    def __init__(self, path: Path) -> None:
        # One that can't be read is told of when it is to be written.
        with contextlib.suppress(OSError):
            _demand_known(path, path.read_text(errors="replace"))
        self._path = path
        self._file: int | None = None

    def write(self, entry: Mapping[str, object]) -> None:
        """Append with the time, then fsync. Raises HostError."""
        stamped = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
        try:
            if self._file is None:
                make_own_directory(self._path.parent, instead=OTHER_STATE)
                demand_own(self._path, instead=OTHER_STATE)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                self._begin(self._file)
            line = (json.dumps(stamped) + "\n").encode()
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            # The next entry opens it again, and ends a line that was cut short here.
            self.close()
            raise host_error("write", self._path, error) from error

    @staticmethod
    def _begin(file: int) -> None:
        """Tell the format in a new file; what a crash cut short must not take the next entry with it."""
        size = os.fstat(file).st_size
        if not size:
            os.write(file, f"{format_line()}\n".encode())
        elif os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_journal(path: Path) -> str:
    """The whole text, "" where nothing was ever written. Raises HostError, or RefusedError: folder-unsafe where others
    could have written it, format-newer where a later release did."""
    demand_own(path, instead=OTHER_STATE)
    try:
        text = path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise host_error("read", path, error) from error
    _demand_known(path, text)
    return text


def _demand_known(path: Path, text: str) -> None:
    for tag in format_tags(text):
        demand_known(FileKind.JOURNAL, tag, f"the journal of {path.parent.name}", str(path))
