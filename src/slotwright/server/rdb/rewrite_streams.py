"""Streams for older servers: the same entries, groups and claims, without the numbers that came later.

7.0 (type 19) knows the stream's first id, greatest deleted id, count of entries ever added, and how many of them each
group has read; an older server (type 15) computes what it needs. 7.2 (type 21) knows since when a consumer is idle
apart from when it was last seen; an older one takes the latter for both (rdb.c, rdbLoadObject).
"""

from __future__ import annotations

from slotwright.server.rdb.strings import read_length, skip_string

_CLAIM_BYTES = 24
_ID_BYTES = 16
_TIME_BYTES = 8


def older_stream(value: bytes, generation: int, wanted: int) -> bytes:
    """A stream of generation 3 (type 21) or 2 (type 19) as one of a lower: 2, or 1 (type 15)."""
    parts: list[bytes] = []
    nodes, at = read_length(value, 0)
    at = _skip_numbers(value, _skip_strings(value, at, 2 * nodes), 3)
    parts.append(value[:at])
    end = _skip_numbers(value, at, 5)
    if wanted > 1:
        parts.append(value[at:end])
    groups, at = read_length(value, end)
    parts.append(value[end:at])
    for _ in range(groups):
        at = _group(value, at, generation, wanted, parts)
    if at != len(value):
        raise ValueError("a stream goes on behind its end")
    return b"".join(parts)


def _group(value: bytes, start: int, generation: int, wanted: int, parts: list[bytes]) -> int:
    at = _skip_numbers(value, skip_string(value, start), 2)
    parts.append(value[start:at])
    end = read_length(value, at)[1]
    if wanted > 1:
        parts.append(value[at:end])
    claims, at = read_length(value, end)
    for _ in range(claims):
        at = read_length(value, at + _CLAIM_BYTES)[1]
    consumers, at = read_length(value, at)
    parts.append(value[end:at])
    for _ in range(consumers):
        start = at
        at = skip_string(value, at) + _TIME_BYTES
        parts.append(value[start:at])
        if generation > 2:
            at += _TIME_BYTES
        start = at
        claims, at = read_length(value, at)
        at += claims * _ID_BYTES
        parts.append(value[start:at])
    return at


def _skip_strings(value: bytes, at: int, count: int) -> int:
    for _ in range(count):
        at = skip_string(value, at)
    return at


def _skip_numbers(value: bytes, at: int, count: int) -> int:
    for _ in range(count):
        at = read_length(value, at)[1]
    return at
