"""How a value of the source is said to a target of another version: RESTORE in the target's format, or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.observation import ServerVersion
from slotwright.server.capabilities import snapshot_format
from slotwright.server.rdb.crc64 import crc64
from slotwright.server.rdb.dump import dump_payload, read_dump, restore_command
from slotwright.server.rdb.targets import Rewriter

_FOOTER_BYTES = 10


@dataclass(slots=True)
class Placing:
    """For one target."""

    target: ServerVersion
    _rewriters: dict[int, Rewriter] = field(default_factory=dict)

    def command(
        self, key: bytes, kind: int, value: bytes, version: int, expires_ms: int, idle_s: int, frequency: int
    ) -> bytes | None:
        """RESTORE of a value as it stands in a snapshot of RDB version ``version``; None where the target has no form
        for it. Raises SnapshotError for bytes that are no value of this type."""
        rewriter = self._rewriters.get(version)
        if rewriter is None:
            rewriter = self._rewriters[version] = Rewriter(version, self.target)
        if kind not in rewriter.direct:
            rewritten = rewriter.rewrite(kind, value)
            if rewritten is None:
                return None
            kind, value = rewritten
        return restore_command(key, dump_payload(kind, value, rewriter.version), expires_ms, idle_s, frequency)

    def dumped(self, key: bytes, payload: bytes, expires_ms: int) -> bytes | None:
        """RESTORE of what the source's DUMP gave."""
        kind, value, version = read_dump(payload)
        return self.command(key, kind, value, version, expires_ms, -1, -1)

    def functions(self, payload: bytes) -> bytes:
        """What FUNCTION RESTORE takes, from what the source's FUNCTION DUMP gave: the same under the target's
        version."""
        body = payload[:-_FOOTER_BYTES] + snapshot_format(self.target).to_bytes(2, "little")
        return body + crc64(body).to_bytes(8, "little")
