"""The walker over snapshots: every type, in any pieces, and nothing but its own error for anything else."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.errors import SnapshotError
from slotwright.server.rdb.crc64 import crc64
from slotwright.server.rdb.dump import PLAIN
from slotwright.server.rdb.walker import Entry, RdbWalker
from tests.extent import examples
from tests.unit.server.rdb_build import length, packed, rows, snapshot, snapshots, text

ONE = b"\x00\x01k\x01v"


def walk(data: bytes, *cuts: int, is_checked: bool = True) -> tuple[RdbWalker, list[Entry]]:
    walker, found, before = RdbWalker(is_checked=is_checked), [], 0
    for cut in (*sorted(cuts), len(data)):
        found += walker.feed(data[before:cut])
        before = cut
    return walker, found


@examples(120)
@given(snapshots(), st.data())
def test_every_entry_is_found_in_whatever_pieces_it_comes(
    made: tuple[bytes, list[tuple[object, ...]]], data: st.DataObject
) -> None:
    raw, entries = made
    whole, found = walk(raw + b"behind")
    assert (whole.is_complete, whole.rest, found) == (True, b"behind", entries)
    cuts = data.draw(st.lists(st.integers(0, len(raw) + 6), max_size=8))
    pieces, found = walk(raw + b"behind", *cuts)
    assert (pieces.is_complete, pieces.rest, found) == (True, b"behind", entries)
    assert (pieces.aux, pieces.modules) == (whole.aux, whole.modules)


@examples(60)
@given(snapshots())
def test_byte_by_byte_and_cut_anywhere(made: tuple[bytes, list[tuple[object, ...]]]) -> None:
    raw, entries = made
    walker, found = RdbWalker(), []
    for at in range(len(raw)):
        assert not walker.is_complete
        found += walker.feed(raw[at : at + 1])
    assert walker.is_complete and found == entries


@examples(120)
@given(snapshots(), st.data())
def test_a_damaged_snapshot_raises_the_one_error_or_none(
    made: tuple[bytes, list[tuple[object, ...]]], data: st.DataObject
) -> None:
    raw = bytearray(made[0])
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    try:
        whole = walk(bytes(raw))[1]
    except SnapshotError as error:
        assert error.code == "rdb-unreadable" and error.where.startswith("byte ")
        with pytest.raises(SnapshotError):
            walk(bytes(raw), cut)
    else:
        assert walk(bytes(raw), cut)[1] == whole


@examples(300)
@given(st.binary(max_size=300), st.sampled_from([b"", b"REDIS0009", b"REDIS0012", b"VALKEY080"]))
def test_any_bytes_raise_the_one_error_or_none(noise: bytes, magic: bytes) -> None:
    try:
        walk(magic + noise, len(noise) // 2)
    except SnapshotError as error:
        assert error.code == "rdb-unreadable"


@pytest.mark.parametrize(
    "head", [b"REDIS", b"XEDIS0011", b"REDISxxxx", b"REDIS0004", b"REDIS0080", b"VALKEY011", b"VALKEY0801"[:9][::-1]]
)
def test_what_is_no_snapshot_is_refused(head: bytes) -> None:
    with pytest.raises(SnapshotError):
        walk(head + bytes(20))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"\xf6\x01x", "candidates of Redis 7.0"),
        (b"\x06\x01k", "candidates of Redis 4.0"),
        (b"\x08\x01k", "8 is no type"),
        (b"\x1a\x01k", "26 is no type"),
        (b"\xf3\x01k", "243 is no type"),
        (b"\x01\x01k\xc0", "does not begin a length"),
        (b"\x01\x01k\x01\xc4", "does not begin a string"),
        (b"\x00\x01k\x81" + b"\xff" * 8, "bytes"),
        (b"\x07\x01k\x00\x06", "part 6 of a module"),
    ],
)
def test_what_is_not_known_is_named_with_its_place(body: bytes, words: str) -> None:
    walker = RdbWalker()
    with pytest.raises(SnapshotError, match=words) as caught:
        walker.feed(snapshot(ONE + body))
    assert caught.value.where == f"byte {9 + len(ONE)} of the snapshot"
    with pytest.raises(SnapshotError):
        walker.feed(b"")


def test_the_two_families_use_one_number_for_different_things() -> None:
    fields = rows(1, text(b"f") + text(b"v") + struct.pack("<q", 5))
    assert walk(snapshot(b"\x16\x01k" + fields, b"VALKEY080"))[1][0][3:5] == (22, fields)
    job = b"\xf3" + text(b"x" * 40) + rows(2, length(0) + length(5) + length(7) + length(16383))
    assert walk(snapshot(job + ONE, b"VALKEY080"))[1] == [(0, b"k", 0, PLAIN, b"v", -1, -1)]
    with pytest.raises(SnapshotError, match="22 is no type"):
        walk(snapshot(b"\x16\x01k" + fields))


def test_marks_belong_to_the_next_key_alone() -> None:
    found = walk(snapshot(b"\xfc" + struct.pack("<q", 9) + b"\xf9\x07" + ONE + ONE))[1]
    assert [entry[2:] for entry in found] == [(9, PLAIN, b"v", -1, 7), (0, PLAIN, b"v", -1, -1)]


def test_an_expiry_before_1970_is_the_earliest_that_can_be_sent() -> None:
    assert walk(snapshot(b"\xfc" + struct.pack("<q", -5) + ONE))[1][0][2] == 1


def test_what_stands_beside_the_keys() -> None:
    library = packed(b"#!lua name=x\nredis.register_function('f', function() return 1 end)")
    module = (sum(ord_ << (10 + 6 * (8 - place)) for place, ord_ in enumerate([19, 4, 18, 19, 4, 18, 19, 62, 63]))) | 3
    body = b"\xfa" + text(b"redis-ver") + text(b"7.0.15") + b"\xfa" + text(b"ctime") + b"\xc2" + struct.pack("<i", 77)
    body += b"\xf5" + library + b"\xf7" + length(module) + b"\x02\x01\x05" + text(b"x" * 100) + b"\x00"
    walker, _ = walk(snapshot(body + ONE), 40, 80)
    assert walker.aux == {b"redis-ver": b"7.0.15", b"ctime": b"77"}
    assert walker.functions == [library]
    assert walker.modules == {"TESTEST-_"}
    assert walker.version == 11


def test_the_checksum_is_compared_where_there_is_one() -> None:
    body = snapshot(ONE * 50)[:-8]
    right = body + crc64(body).to_bytes(8, "little")
    wrong = right[:-1] + bytes([right[-1] ^ 1])
    for cuts in ((), (5, 30), (len(right) - 3,)):
        assert walk(right, *cuts)[0].is_complete
        with pytest.raises(SnapshotError, match="checksum"):
            walk(wrong, *cuts)
        assert walk(wrong, *cuts, is_checked=False)[0].is_complete


def test_a_value_in_many_pieces_is_walked_once() -> None:
    """Walked anew for each piece, any of these would take minutes."""
    fields = b"".join(text(b"field %d" % n) + text(b"v" * 20) for n in range(300_000))
    huge = random.Random(1).randbytes(16 << 20)
    raw = snapshot(
        b"\x04\x01h" + rows(300_000, fields) + b"\x00\x01s" + text(huge) + b"\x01\x01l" + rows(1, text(huge))
    )
    walker, found = RdbWalker(), []
    for at in range(0, len(raw), 16384):
        found += walker.feed(raw[at : at + 16384])
    assert walker.is_complete
    assert [(entry[1], entry[3], len(entry[4])) for entry in found] == [
        (b"h", 4, len(fields) + 5),
        (b"s", PLAIN, len(huge)),
        (b"l", 1, len(huge) + 6),
    ]
    assert found[0][4][5:] == fields and found[1][4] == huge
