"""How a value of the source is said to a target of another version: in the target's format, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.wire.dump import dump_payload, functions_payload, read_dump, restore_command


@dataclass(frozen=True, slots=True)
class Placing:
    """``version`` is the newest RDB version that the target takes."""

    version: int

    def command(
        self, key: bytes, kind: int, value: bytes, version: int, expires_ms: int, idle_s: int, frequency: int
    ) -> bytes | None:
        """RESTORE of a value as it stands in a snapshot of ``version``; None where the target has no form for it."""
        payload = dump_payload(kind, value, min(version, self.version))
        return restore_command(key, payload, expires_ms, idle_s, frequency)

    def dumped(self, key: bytes, payload: bytes, expires_ms: int) -> bytes | None:
        """RESTORE of what the source's DUMP gave."""
        kind, value, version = read_dump(payload)
        return self.command(key, kind, value, version, expires_ms, -1, -1)

    def functions(self, functions: Sequence[bytes], version: int) -> bytes | None:
        """What FUNCTION RESTORE takes."""
        return functions_payload(functions, min(version, self.version))
