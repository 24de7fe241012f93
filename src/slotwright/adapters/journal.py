"""The journal: one JSON object a line, on disk before the next thing happens."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from slotwright.adapters.files import host_error, make_directory


class FileJournal:
    """Implements :class:`slotwright.ports.Journal`. A line that a crash cut short is skipped by its readers."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def write(self, entry: Mapping[str, object]) -> None:
        """Append with the time, then fsync. Raises HostError."""
        stamped = {"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}
        try:
            if self._file is None:
                make_directory(self._path.parent)
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
                self._end_torn_line(self._file)
            line = (json.dumps(stamped) + "\n").encode()
            if os.write(self._file, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            raise host_error("write", self._path, error) from error

    @staticmethod
    def _end_torn_line(file: int) -> None:
        """What a crash cut short must not take the next entry with it."""
        size = os.fstat(file).st_size
        if size and os.pread(file, 1, size - 1) != b"\n":
            os.write(file, b"\n")

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def read_journal(path: Path) -> str:
    """The whole text, "" where nothing was ever written. Raises HostError."""
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise host_error("read", path, error) from error
