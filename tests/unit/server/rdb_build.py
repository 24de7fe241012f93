"""Snapshots made by hand: values of every type with the layout that servers write, as hypothesis strategies."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

PLAIN = -1


def length(number: int) -> bytes:
    if number < 64:
        return bytes([number])
    if number < 1 << 14:
        return bytes([0x40 | number >> 8, number & 0xFF])
    return b"\x80" + struct.pack(">I", number) if number < 1 << 32 else b"\x81" + struct.pack(">Q", number)


def text(value: bytes) -> bytes:
    return length(len(value)) + value


def packed(value: bytes) -> bytes:
    """LZF that consists of runs alone."""
    runs = b"".join(bytes([len(value[at : at + 32]) - 1]) + value[at : at + 32] for at in range(0, len(value), 32))
    return b"\xc3" + length(len(runs)) + length(len(value)) + runs


def rows(count: int, content: bytes) -> bytes:
    return length(count) + content


def snapshot(body: bytes, magic: bytes = b"REDIS0011") -> bytes:
    return magic + body + b"\xff" + bytes(8)


blobs = st.binary(max_size=90) | st.binary(min_size=60, max_size=400)
numbers = st.integers(0, 100) | st.integers(0, 1 << 14) | st.integers(0, (1 << 64) - 1)
_lengths = numbers.map(length)
_integers = st.one_of(
    st.integers(-128, 127).map(lambda n: (b"%d" % n, b"\xc0" + struct.pack("<b", n))),
    st.integers(-32768, 32767).map(lambda n: (b"%d" % n, b"\xc1" + struct.pack("<h", n))),
    st.integers(-(1 << 31), (1 << 31) - 1).map(lambda n: (b"%d" % n, b"\xc2" + struct.pack("<i", n))),
)
_raws = st.one_of(
    blobs.map(lambda value: (value, text(value))),
    blobs.map(lambda value: (value, b"\x80" + struct.pack(">I", len(value)) + value)),
    blobs.map(lambda value: (value, b"\x81" + struct.pack(">Q", len(value)) + value)),
)
_packed = st.binary(min_size=1, max_size=200).map(lambda value: (value, packed(value)))
strings = st.one_of(_integers, _raws, _packed)
"""(what clients see, how it is written)"""
_written = strings.map(lambda both: both[1])


def _counted(row: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.lists(row, max_size=12).map(lambda found: rows(len(found), b"".join(found)))


def _join(*parts: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(*parts).map(b"".join)


def _bytes(size: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=size, max_size=size)


def _stream(generation: int) -> st.SearchStrategy[bytes]:
    times = _bytes(16 if generation == 3 else 8)
    consumers = _counted(_join(_written, times, _counted(_bytes(16))))
    group_numbers = [_lengths] * (2 if generation == 1 else 3)
    groups = _counted(_join(_written, *group_numbers, _counted(_join(_bytes(24), _lengths)), consumers))
    return _join(_counted(_join(_written, _written)), *[_lengths] * (3 if generation == 1 else 8), groups)


_old_scores = st.sampled_from([b"\xfd", b"\xfe", b"\xff", b"\x031.5"])
_module_parts = st.one_of(
    _lengths.map(lambda written: b"\x01" + written),
    _lengths.map(lambda written: b"\x02" + written),
    _bytes(4).map(lambda found: b"\x03" + found),
    _bytes(8).map(lambda found: b"\x04" + found),
    _written.map(lambda written: b"\x05" + written),
)
module_values = st.tuples(_lengths, st.lists(_module_parts, max_size=9)).map(lambda v: v[0] + b"".join(v[1]) + b"\0")

COMMON: dict[int, st.SearchStrategy[bytes]] = {
    1: _counted(_written),
    2: _counted(_written),
    3: _counted(_join(_written, _old_scores)),
    4: _counted(_join(_written, _written)),
    5: _counted(_join(_written, _bytes(8))),
    7: module_values,
    **dict.fromkeys((9, 10, 11, 12, 13, 16, 17, 20), _written),
    14: _counted(_written),
    15: _stream(1),
    18: _counted(_join(st.sampled_from([b"\x01", b"\x02"]), _written)),
    19: _stream(2),
    21: _stream(3),
}
REDIS = COMMON | {
    22: _counted(_join(_lengths, _written, _written)),
    23: _written,
    24: _join(_bytes(8), _counted(_join(_lengths, _written, _written))),
    25: _join(_bytes(8), _written),
}
VALKEY = COMMON | {22: _counted(_join(_written, _written, _bytes(8)))}

_skipped = st.one_of(
    _join(st.just(b"\xfb"), _lengths, _lengths),
    _join(st.just(b"\xf4"), _lengths, _lengths, _lengths),
    _join(st.just(b"\xf7"), _lengths, st.just(b"\x02"), _lengths).flatmap(
        lambda head: st.lists(_module_parts, max_size=5).map(lambda parts: head + b"".join(parts) + b"\0")
    ),
    _join(st.just(b"\xfa"), _written, _written),
)


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[bytes, list[tuple[object, ...]]]:
    """A snapshot and the entries that are in it."""
    magic, kinds = draw(st.sampled_from([(b"REDIS0011", COMMON), (b"REDIS0012", REDIS), (b"VALKEY080", VALKEY)]))
    body: list[bytes] = []
    entries: list[tuple[object, ...]] = []
    database = 0
    for _ in range(draw(st.integers(0, 12))):
        if draw(st.integers(0, 4)) == 0:
            database = draw(st.integers(0, 70))
            body.append(b"\xfe" + length(database))
        if draw(st.integers(0, 4)) == 0:
            body.append(draw(_skipped))
        marks, expires_ms, idle_s, frequency = b"", 0, -1, -1
        match draw(st.integers(0, 5)):
            case 0:
                expires_ms = draw(st.integers(1, 1 << 62))
                marks += b"\xfc" + struct.pack("<q", expires_ms)
            case 1:
                seconds = draw(st.integers(1, (1 << 31) - 1))
                expires_ms = seconds * 1000
                marks += b"\xfd" + struct.pack("<i", seconds)
        match draw(st.integers(0, 5)):
            case 0:
                idle_s = draw(numbers)
                marks += b"\xf8" + length(idle_s)
            case 1:
                frequency = draw(st.integers(0, 255))
                marks += b"\xf9" + bytes([frequency])
        key, written_key = draw(strings)
        kind = draw(st.sampled_from([0, 0, *kinds]))
        if kind == 0:
            value, written = draw(strings)
            shown = 0 if written[0] == 0xC3 else PLAIN
            entries.append((database, key, expires_ms, shown, value if shown else written, idle_s, frequency))
        else:
            written = draw(kinds[kind])
            entries.append((database, key, expires_ms, kind, written, idle_s, frequency))
        body.append(marks + bytes([kind]) + written_key + written)
    return snapshot(b"".join(body), magic), entries
