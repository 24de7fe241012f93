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

from slotwright.adapters.files import host_error, make_directory, sync_directory
from slotwright.model.contents import QuarantinedKey
from slotwright.model.keys import StrayKey


class QuarantineFile:
    """A file that is made with its first value; a value that stands in it is not written again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._written: set[tuple[bytes, str, bytes]] = set()

    @property
    def written(self) -> int:
        """How many values are in it."""
        return len(self._written)

    async def write(self, found: Sequence[QuarantinedKey]) -> None:
        """Append and fsync. Raises HostError."""
        found = [each for each in found if _identity(each) not in self._written]
        if not found:
            return
        try:
            make_directory(self.path.parent)
            with os.fdopen(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "w") as file:
                for each in found:
                    file.write(json.dumps(_line(each)) + "\n")
                file.flush()
                os.fsync(file.fileno())
            sync_directory(self.path.parent)
        except OSError as error:
            raise host_error("write", self.path, error) from error
        self._written |= {_identity(each) for each in found}


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


def _identity(found: QuarantinedKey) -> tuple[bytes, str, bytes]:
    return found.key, str(found.node), found.value.dump


def _line(found: QuarantinedKey) -> dict[str, object]:
    return {
        "slot": found.slot,
        "node": str(found.node),
        "is_owner": found.is_owner,
        "type": found.value.type,
        "ttl_ms": found.value.ttl_ms,
        **_bytes(found.key, found.value.dump),
    }
