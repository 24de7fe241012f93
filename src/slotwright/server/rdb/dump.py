"""Values as DUMP gives and RESTORE takes them, and the commands that put a snapshot's entries into a server.

A DUMP is the type byte, the value as it stands in a snapshot, the RDB version (2 bytes) and CRC-64 of all of that
(cluster.c, createDumpPayload and verifyDumpPayload). So the entries of a snapshot need no decoding.
"""

from __future__ import annotations

from slotwright.errors import SnapshotError
from slotwright.server.rdb.crc64 import crc64

PLAIN = -1
"""The type of a value that is a string itself, and not what stands for it in a snapshot."""

_FOOTER_BYTES = 10


def dump_payload(kind: int, value: bytes, version: int) -> bytes:
    """What RESTORE takes, for a value of a snapshot that is of type ``kind``; ``version`` is the RDB version."""
    body = b"%c%b%c%c" % (kind, value, version & 0xFF, version >> 8)
    return body + crc64(body).to_bytes(8, "little")


def read_dump(payload: bytes) -> tuple[int, bytes, int]:
    """Type, value and RDB version of what DUMP gave; :class:`~slotwright.errors.SnapshotError` for anything else."""
    if len(payload) <= _FOOTER_BYTES:
        raise SnapshotError("a DUMP is too short to be one", code="dump-unreadable", seen=payload.hex(" "))
    computed, written = crc64(memoryview(payload)[:-8]), int.from_bytes(payload[-8:], "little")
    if computed != written:
        raise SnapshotError(
            "the checksum of a DUMP is wrong",
            code="dump-unreadable",
            seen=f"{written:#018x} is written, the bytes give {computed:#018x}",
        )
    return payload[0], payload[1:-_FOOTER_BYTES], int.from_bytes(payload[-_FOOTER_BYTES:-8], "little")


def set_command(key: bytes, value: bytes, expires_ms: int = 0) -> bytes:
    """SET in RESP. ``expires_ms`` is a Unix time, 0 for never; PXAT is there since 6.2."""
    if expires_ms:
        return b"*5\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n$4\r\nPXAT\r\n$%d\r\n%d\r\n" % (
            len(key),
            key,
            len(value),
            value,
            len(str(expires_ms)),
            expires_ms,
        )
    return b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(key), key, len(value), value)


def restore_command(key: bytes, payload: bytes, expires_ms: int = 0, idle_s: int = -1, frequency: int = -1) -> bytes:
    """RESTORE ... ABSTTL REPLACE in RESP, with IDLETIME or FREQ where they are known (not negative)."""
    more, arguments = b"", 6
    if idle_s >= 0:
        more, arguments = b"$8\r\nIDLETIME\r\n" + _number(idle_s), 8
    elif frequency >= 0:
        more, arguments = b"$4\r\nFREQ\r\n" + _number(frequency), 8
    return b"*%d\r\n$7\r\nRESTORE\r\n$%d\r\n%b\r\n%b$%d\r\n%b\r\n$6\r\nABSTTL\r\n$7\r\nREPLACE\r\n%b" % (
        arguments,
        len(key),
        key,
        _number(expires_ms),
        len(payload),
        payload,
        more,
    )


def _number(number: int) -> bytes:
    text = b"%d" % number
    return b"$%d\r\n%b\r\n" % (len(text), text)
