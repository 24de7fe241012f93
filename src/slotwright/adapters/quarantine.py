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


def _identity(found: QuarantinedKey) -> tuple[bytes, str, bytes]:
    return found.key, str(found.node), found.value.dump


def _line(found: QuarantinedKey) -> dict[str, object]:
    return {
        "key": found.key.decode(errors="backslashreplace"),
        "key_base64": base64.b64encode(found.key).decode(),
        "slot": found.slot,
        "node": str(found.node),
        "is_owner": found.is_owner,
        "type": found.value.type,
        "ttl_ms": found.value.ttl_ms,
        "dump_base64": base64.b64encode(found.value.dump).decode(),
    }
