"""What each server takes, and values that are put into its form."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.errors import SnapshotError
from slotwright.server.rdb import rewrite as forms
from slotwright.server.rdb.dump import PLAIN
from slotwright.server.rdb.layouts import value_layouts
from slotwright.server.rdb.targets import Rewriter, known_types
from slotwright.server.rdb.value_end import ValueWalk
from tests.extent import examples
from tests.unit.server.rdb_build import COMMON, REDIS, VALKEY, length, text


def server(title: str) -> ServerVersion:
    kind, numbers = title.split()
    return ServerVersion(EngineKind(kind), tuple(map(int, numbers.split("."))))


OLD, SEVEN, SEVEN_TWO, EIGHT = (server(f"redis {numbers}") for numbers in ("6.2.5", "7.0.15", "7.2.4", "8.2.3"))
VALKEY_8, VALKEY_9 = server("valkey 8.1.8"), server("valkey 9.1.2")


@pytest.mark.parametrize(
    ("source_version", "target", "sent_as", "unlike"),
    [
        (9, OLD, 9, set()),
        (9, VALKEY_9, 80, set()),
        (10, OLD, 9, {16, 17, 18, 19}),
        (10, SEVEN, 10, set()),
        (11, SEVEN, 10, {20, 21}),
        (80, SEVEN, 10, {20, 21, 22}),
        (80, VALKEY_8, 11, {22}),
        (80, VALKEY_9, 80, set()),
        (80, EIGHT, 12, {22}),
        (12, EIGHT, 12, set()),
        (12, VALKEY_9, 80, {22, 23, 24, 25}),
        (12, SEVEN_TWO, 11, {22, 23, 24, 25}),
        (80, SEVEN_TWO, 11, {22}),
    ],
)
def test_what_is_sent_as_it_is(source_version: int, target: ServerVersion, sent_as: int, unlike: set[int]) -> None:
    rewriter = Rewriter(source_version, target)
    assert rewriter.version == sent_as
    assert PLAIN in rewriter.direct
    assert known_types(source_version) - rewriter.direct == unlike


def listpack(*found: bytes) -> bytes:
    body = b"".join(b"%c%b%c" % (0x80 | len(one), one, len(one) + 1) for one in found)
    packed = (len(body) + 7).to_bytes(4, "little") + len(found).to_bytes(2, "little") + body + b"\xff"
    return text(packed)


def test_packed_collections_are_written_out() -> None:
    to_old = Rewriter(80, OLD).rewrite
    assert to_old(20, listpack(b"a", b"")) == (2, b"\x02\x01a\x00")
    assert to_old(16, listpack(b"f", b"v")) == (4, b"\x01\x01f\x01v")
    assert to_old(17, listpack(b"m", b"1.5", b"n", b"-inf")) == (
        5,
        b"\x02\x01m" + struct.pack("<d", 1.5) + b"\x01n" + struct.pack("<d", float("-inf")),
    )
    nodes = b"\x02\x02" + listpack(b"a", b"b") + b"\x01" + text(b"large")
    assert to_old(18, nodes) == (1, b"\x03\x01a\x01b\x05large")
    assert to_old(PLAIN, b"text") == (PLAIN, b"text")


def test_a_stream_loses_only_what_is_not_known() -> None:
    numbers = bytes(range(8))
    claims = b"\x01" + b"c" * 24 + b"\x05"
    consumer = text(b"who") + b"s" * 8
    newest = b"\x01" + text(b"i" * 16) + text(b"node") + numbers + b"\x01"
    newest += text(b"group") + b"\x01\x02\x03" + claims + b"\x01" + consumer + b"a" * 8 + b"\x01" + b"c" * 16
    middle = newest.replace(b"a" * 8, b"")
    oldest = middle.replace(numbers, numbers[:3]).replace(
        text(b"group") + b"\x01\x02\x03", text(b"group") + b"\x01\x02"
    )
    assert Rewriter(11, SEVEN).rewrite(21, newest) == (19, middle)
    assert Rewriter(11, OLD).rewrite(21, newest) == (15, oldest)
    assert Rewriter(10, OLD).rewrite(19, middle) == (15, oldest)


FIELDS = [(b"a", b"1", 4_000_000_000_000), (b"b", b"2", 0), (b"c", b"3", 4_000_000_000_007)]


def test_expiring_fields_change_family_and_nothing_else() -> None:
    valkey = forms.valkey_hash(FIELDS)
    kind, redis = Rewriter(80, EIGHT).rewrite(22, valkey) or (0, b"")
    assert kind == 24
    assert redis == struct.pack("<q", 4_000_000_000_000) + (
        b"\x03\x01" + b"\x01a\x011" + b"\x00\x01b\x012" + b"\x08\x01c\x013"
    )
    assert Rewriter(12, VALKEY_9).rewrite(24, redis) == (22, valkey)
    packed = listpack(*(word for name, value, ms in FIELDS for word in (name, value, b"%d" % ms)))
    assert Rewriter(12, VALKEY_9).rewrite(25, bytes(8) + packed) == (22, valkey)
    assert Rewriter(12, VALKEY_9).rewrite(23, packed) == (22, valkey)
    absolute = b"\x03" + b"".join(length(ms) + text(name) + text(value) for name, value, ms in FIELDS)
    assert Rewriter(12, VALKEY_9).rewrite(22, absolute) == (22, valkey)


def test_expiring_fields_have_no_form_in_servers_before_them() -> None:
    for target in (OLD, SEVEN, SEVEN_TWO, VALKEY_8):
        assert Rewriter(80, target).rewrite(22, forms.valkey_hash(FIELDS)) is None
    lasting = [(b"a", b"1", 0)]
    assert Rewriter(80, SEVEN).rewrite(22, forms.valkey_hash(lasting)) == (4, b"\x01\x01a\x011")
    assert Rewriter(80, EIGHT).rewrite(22, forms.valkey_hash([(b"a", b"1", 1 << 50)])) is None


SOURCES = [
    *((11, kind, made) for kind, made in COMMON.items()),
    *((12, kind, REDIS[kind]) for kind in (22, 23, 24, 25)),
]
SOURCES += [(80, 22, VALKEY[22])]


@examples(120)
@given(st.sampled_from(SOURCES), st.sampled_from([OLD, SEVEN, SEVEN_TWO, EIGHT, VALKEY_8, VALKEY_9]), st.data())
def test_what_comes_out_has_the_shape_of_its_type(
    source: tuple[int, int, st.SearchStrategy[bytes]], target: ServerVersion, data: st.DataObject
) -> None:
    version, kind, made = source
    rewriter = Rewriter(version, target)
    value = data.draw(made)
    if data.draw(st.booleans()):
        value = value[: data.draw(st.integers(0, len(value)))]
    try:
        found = rewriter.rewrite(kind, value)
    except SnapshotError as error:
        assert error.code == "rdb-unreadable"
        return
    if found and kind not in rewriter.direct:
        walk = ValueWalk(value_layouts(rewriter.version)[found[0]])
        assert walk.advance(found[1], 0) == len(found[1]) and not walk.short_by
