"""The same value in another form: packed collections written out, hashes whose fields expire in the other family's way.

Forms that a server writes out (types 1, 2, 4 and 5) are read by every version; it packs them again as it is configured.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from slotwright.server.rdb.listpack import elements
from slotwright.server.rdb.strings import read_length, read_string, write_length, write_string

Field = tuple[bytes, bytes, int]
"""Field, value, and when it expires (Unix milliseconds, 0: never)."""

_TIME = Struct("<q")
_DOUBLE = Struct("<d")
_PLAIN_NODE = 1
_LAST_REDIS_EXPIRY_MS = (1 << 48) - 1
_VALKEY_NEVER = -1


def strings_of_listpack(value: bytes) -> bytes:
    """A packed set (type 20) written out (2)."""
    return _strings(_unpacked(value))


def pairs_of_listpack(value: bytes) -> bytes:
    """A packed hash (16) written out (4)."""
    results = _unpacked(value)
    return write_length(len(results) // 2) + b"".join(map(write_string, results))


def scores_of_listpack(value: bytes) -> bytes:
    """A packed sorted set (17) written out (5)."""
    results = _unpacked(value)
    parts = [write_length(len(results) // 2)]
    for member, score in zip(results[::2], results[1::2], strict=True):
        parts += write_string(member), _DOUBLE.pack(float(score))
    return b"".join(parts)


def strings_of_quicklist(value: bytes) -> bytes:
    """A list of nodes that are listpacks or single large elements (18) written out (1)."""
    results: list[bytes] = []
    nodes, at = read_length(value, 0)
    for _ in range(nodes):
        container, at = read_length(value, at)
        node, at = read_string(value, at)
        if container == _PLAIN_NODE:
            results.append(node)
        else:
            results += elements(node)
    _ensure_end(value, at)
    return _strings(results)


def expiring_fields_of_valkey(value: bytes) -> list[Field]:
    """The fields of Valkey's type 22."""
    fields: list[Field] = []
    count, at = read_length(value, 0)
    for _ in range(count):
        name, at = read_string(value, at)
        text, at = read_string(value, at)
        (expires_ms,) = _TIME.unpack_from(value, at)
        at += _TIME.size
        fields.append((name, text, 0 if expires_ms == _VALKEY_NEVER else expires_ms))
    _ensure_end(value, at)
    return fields


def expiring_fields_of_redis(value: bytes, *, is_relative: bool) -> list[Field]:
    """The fields of Redis' type 24 (times are relative to the earliest, which comes first), or 22 (they are not)."""
    at = earliest_ms = 0
    if is_relative:
        (earliest_ms,) = _TIME.unpack_from(value, 0)
        at = _TIME.size
    fields: list[Field] = []
    count, at = read_length(value, at)
    for _ in range(count):
        expires_ms, at = read_length(value, at)
        name, at = read_string(value, at)
        text, at = read_string(value, at)
        if expires_ms and is_relative:
            expires_ms += earliest_ms - 1
        fields.append((name, text, expires_ms))
    _ensure_end(value, at)
    return fields


def expiring_fields_of_listpack(value: bytes) -> list[Field]:
    """The fields of Redis' type 23: packed, field, value and time in turn. 25 is the same behind 8 bytes of its own."""
    result = iter(_unpacked(value))
    return [(name, text, int(expires_ms)) for name, text, expires_ms in zip(result, result, result, strict=True)]


def valkey_hash(fields: Sequence[Field]) -> bytes:
    """Type 22 of Valkey."""
    parts = [write_length(len(fields))]
    for name, text, expires_ms in fields:
        parts += write_string(name), write_string(text), _TIME.pack(expires_ms or _VALKEY_NEVER)
    return b"".join(parts)


def redis_hash(fields: Sequence[Field]) -> bytes | None:
    """Type 24 of Redis; None where a time is later than Redis can keep (48 bits; hash fields, EB_EXPIRE_TIME_MAX)."""
    times = [expires_ms for _, _, expires_ms in fields if expires_ms]
    if not times or min(times) < 0 or max(times) > _LAST_REDIS_EXPIRY_MS:
        return None
    earliest_ms = min(times)
    parts = [_TIME.pack(earliest_ms), write_length(len(fields))]
    for name, text, expires_ms in fields:
        parts.append(write_length(expires_ms - earliest_ms + 1 if expires_ms else 0))
        parts += write_string(name), write_string(text)
    return b"".join(parts)


def plain_hash(fields: Sequence[Field]) -> bytes | None:
    """Type 4, if no field expires."""
    if any(expires_ms for _, _, expires_ms in fields):
        return None
    return write_length(len(fields)) + b"".join(write_string(name) + write_string(text) for name, text, _ in fields)


def _unpacked(value: bytes) -> list[bytes]:
    listpack, end = read_string(value, 0)
    _ensure_end(value, end)
    return elements(listpack)


def _strings(texts: Sequence[bytes]) -> bytes:
    return write_length(len(texts)) + b"".join(map(write_string, texts))


def _ensure_end(value: bytes, at: int) -> None:
    if at != len(value):
        raise ValueError("a value does not end where it should")
