"""Values that a repair must not throw away: one JSON object a line, 0600, on disk before anything is removed.

``dump`` is the server's own serialisation: ``RESTORE key ttl_ms value`` brings the value back, on that version or a
later one.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path

from slotwright.adapters.files import OTHER_STATE, host_error, make_directory, make_own_directory, sync_directory
from slotwright.cluster.key_holders import QuarantinedKey
from slotwright.keys.model.counts import StrayKey


class QuarantineFile:
    """A file that is made with its first value; a value that stands in it is not written again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: set[tuple[bytes, int, str, bytes]] = set()

    @property
    def written(self) -> int:
        """How many values are in it."""
        return len(self._written)

    async def write(self, copies: Sequence[QuarantinedKey]) -> None:
        """Append and fsync. Raises HostError."""
        copies = [candidate for candidate in copies if _identity(candidate) not in self._written]
        if not copies:
            return
        try:
            make_own_directory(self.path.parent, instead=OTHER_STATE)
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
                for copy in copies:
                    file.write(json.dumps(_line(copy)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self.path.parent)
        except OSError as error:
            raise host_error("write", self.path, error) from error
        self._written |= {_identity(candidate) for candidate in copies}


class StrayFile:
    """The same for a rebuild, which begins anew when it is run again: what an earlier run wrote is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        path.unlink(missing_ok=True)

    def __enter__(self) -> StrayFile:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            os.fsync(self._file)
            os.close(self._file)

    def keep(self, stray: StrayKey) -> None:
        """Append. Raises HostError."""
        line = {
            "node": stray.address,
            "database": stray.database,
            "type": stray.type,
            "ttl_ms": stray.ttl_ms,
            **_bytes(stray.key, stray.value),
        }
        try:
            if self._file is None:
                make_directory(self._path.parent)
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(self._file, (json.dumps(line, ensure_ascii=False) + "\n").encode())
        except OSError as error:
            raise host_error("write", self._path, error) from error


def _bytes(key: bytes, dump: bytes) -> dict[str, object]:
    """Bytes that are no text stand in base64."""
    return {
        "key": key.decode(errors="backslashreplace"),
        "key_base64": base64.b64encode(key).decode(),
        "dump_base64": base64.b64encode(dump).decode(),
    }


def _identity(copy: QuarantinedKey) -> tuple[bytes, int, str, bytes]:
    return copy.key, copy.database, str(copy.node), copy.value.dump


def _line(copy: QuarantinedKey) -> dict[str, object]:
    return {
        "slot": copy.slot,
        "node": str(copy.node),
        "database": copy.database,
        "is_owner": copy.is_owner,
        "type": copy.value.type,
        "ttl_ms": copy.value.ttl_ms,
        **_bytes(copy.key, copy.value.dump),
    }
