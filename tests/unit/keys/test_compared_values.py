"""Values as servers of several versions print them, and what became of a key."""

from __future__ import annotations

import hiredis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.slots import key_slot
from slotwright.keys.compare.key_pair import Batch
from slotwright.keys.compare.seen_keys import SeenKeys
from slotwright.keys.compare.values import canonical, unlike
from slotwright.keys.compare.verdict import Reading, compare_presence, expire_alike, is_same_dump
from slotwright.keys.model.comparison import Aspect, Compared, KeyVerdict
from slotwright.keys.model.databases import DatabaseMap
from slotwright.ports import Reply
from slotwright.server.resp_out import for_each_key, request
from tests.extent import examples

texts = st.binary(max_size=20)


def printed(score: float, version: str) -> bytes:
    """As Redis until 7.0 prints a score, and as later ones do."""
    return (b"%.17g" % score) if version == "7.0" else repr(score).encode()


@given(st.dictionaries(texts, texts), st.randoms())
def test_a_hash_and_a_set_have_no_order(fields: dict[bytes, bytes], random: object) -> None:
    shuffled = list(fields.items())
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = [word for pair in fields.items() for word in pair]
    other = [word for pair in shuffled for word in pair]
    assert unlike(canonical("hash", one), canonical("hash", other)) is None
    assert unlike(canonical("set", list(fields)), canonical("set", [name for name, _ in shuffled])) is None


@given(st.lists(texts), st.lists(texts))
def test_a_list_has_one(one: list[bytes], other: list[bytes]) -> None:
    difference = unlike(canonical("list", list(one)), canonical("list", list(other)))
    assert (difference is None) == (one == other)
    assert difference is None or difference.aspects == (Aspect.VALUE,)


@given(st.dictionaries(texts, texts), st.dictionaries(texts, texts))
def test_hashes_are_equal_when_their_fields_are(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> None:
    replies = [[word for pair in each.items() for word in pair] for each in (one, other)]
    assert (unlike(canonical("hash", replies[0]), canonical("hash", replies[1])) is None) == (one == other)


@given(st.dictionaries(texts, st.floats(allow_nan=False)))
def test_scores_are_equal_however_they_are_printed(scores: dict[bytes, float]) -> None:
    rows = sorted(scores.items(), key=lambda item: (item[1], item[0]))
    old: Reply = [word for name, score in rows for word in (name, printed(score, "7.0"))]
    new: Reply = [word for name, score in rows for word in (name, printed(score, "8.2"))]
    assert unlike(canonical("zset", old), canonical("zset", new)) is None


def stream(*, added: int | None = 2, read: int | None = 1, pending: int = 1, last: bytes = b"2-1") -> Reply:
    newer: list[Reply] = [b"max-deleted-entry-id", b"0-0", b"entries-added", added] if added is not None else []
    counted: list[Reply] = [b"entries-read", read, b"lag", 1] if added is not None else []
    group: Reply = [
        *(b"name", b"g\xff", b"last-delivered-id", b"1-1", *counted, b"pel-count", 1),
        *(b"pending", [[b"1-1", b"bob", 1_700_000_000_000 + pending, pending]]),
        *(b"consumers", [[b"name", b"bob", b"seen-time", 5, b"pel-count", 1, b"pending", []]]),
    ]
    return [
        *(b"length", 2, b"radix-tree-keys", 1, b"last-generated-id", last, *newer),
        *(b"entries", [[b"1-1", [b"f", b"v"]], [b"2-1", [b"f", b"v"]]], b"groups", [group]),
    ]


@pytest.mark.parametrize(
    ("one", "other", "aspects"),
    [
        (stream(), stream(), ()),
        (stream(added=None), stream(), ()),
        (stream(), stream(read=None), ()),
        (stream(), stream(read=2), (Aspect.GROUPS,)),
        (stream(), stream(pending=2), (Aspect.GROUPS,)),
        (stream(), stream(added=3), (Aspect.VALUE,)),
        (stream(), stream(last=b"3-1"), (Aspect.VALUE,)),
        (stream(), stream(last=b"3-1", pending=2), (Aspect.VALUE, Aspect.GROUPS)),
    ],
)
def test_what_only_newer_servers_keep_of_a_stream_is_compared_where_both_do(
    one: Reply, other: Reply, aspects: tuple[Aspect, ...]
) -> None:
    difference = unlike(canonical("stream", one), canonical("stream", other))
    assert (difference.aspects if difference else ()) == aspects


THERE = Reading("string", -1, 1_000_000)
GONE = Reading("none", -2, 1_000_000)


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (THERE, THERE, None),
        (GONE, GONE, (KeyVerdict.EXPIRED, ())),
        (THERE, GONE, (KeyVerdict.DIFFERENT, (Aspect.MISSING,))),
        (GONE, THERE, (KeyVerdict.DIFFERENT, (Aspect.EXTRA,))),
        # Its time has come by the clock of the side where it is gone, whatever the other's says.
        (Reading("string", 999_000, 990_000), GONE, (KeyVerdict.EXPIRED, ())),
        (Reading("string", 1_010_000, 1_020_000), GONE, (KeyVerdict.DIFFERENT, (Aspect.MISSING,))),
        (GONE, Reading("hash", 999_000, 990_000), (KeyVerdict.EXPIRED, ())),
    ],
)
def test_a_side_without_the_key(source: Reading, target: Reading, verdict: object) -> None:
    assert compare_presence(source, target) == verdict


@pytest.mark.parametrize(
    ("one", "other", "slack_ms", "is_alike"),
    [
        *((-1, -1, 0, True), (-1, 5, 9, False), (5, -1, 9, False), (1000, 1000, 0, True), (1000, 1001, 0, False)),
        *((1000, 1004, 4, True), (1000, 1005, 4, False)),
    ],
)
def test_expiries_are_alike_within_what_is_known(one: int, other: int, slack_ms: int, is_alike: bool) -> None:
    assert expire_alike(Reading("string", one, 0, slack_ms), Reading("string", other, 0)) is is_alike


def test_serialisations_prove_equality_without_their_footer() -> None:
    body, newer, older = b"\x0ecompact", b"\x0b\x00checksum", b"\x09\x00CHECKSUM"
    assert is_same_dump(body + newer, body + older)
    assert not is_same_dump(body + newer, b"\x11compact" + newer)
    assert not is_same_dump(b"\x16fields" + newer, b"\x16fields" + older)
    assert is_same_dump(b"\x16fields" + newer, b"\x16fields" + newer)
    assert not is_same_dump(b"", b"x")


@given(st.lists(st.binary(max_size=30)), st.binary(min_size=1, max_size=8), st.binary(max_size=8))
def test_requests_are_what_a_server_reads(keys: list[bytes], word: bytes, after: bytes) -> None:
    reader = hiredis.Reader()
    for command in for_each_key(keys, word, 7, after=(after, "%d")):
        reader.feed(command)
    assert [reader.gets() for _ in keys] == [[word, b"7", key, after, b"%d"] for key in keys]
    reader.feed(request(word, *keys))
    assert reader.gets() == [word, *keys]


@examples(25)
@given(st.lists(st.binary(max_size=3)), st.lists(st.binary(max_size=3)))
def test_each_key_is_seen_once(keys: list[bytes], others: list[bytes]) -> None:
    seen = SeenKeys()
    seen.add(0, keys, [key_slot(key) for key in keys], ["string"] * len(keys))
    seen.add(0, keys, [key_slot(key) for key in keys], ["string"] * len(keys))
    seen.seal()
    assert sum(seen.tally().values()) == len(set(keys))
    assert sum(seen.count(0, slot) for slot in {key_slot(key) for key in keys}) == len(set(keys))
    for key in {*keys, *others}:
        assert bool(seen.unknown(0, key_slot(key), [key])) == (key not in keys)
    for key in set(keys):
        verdict = Compared((0, key), key_slot(key), "list", KeyVerdict.DIFFERENT, (Aspect.TYPE,))
        assert seen.judge(0, key, key_slot(key), verdict)
        assert not seen.judge(0, key, key_slot(key), verdict)
    assert {(kind, verdict) for _, kind, verdict in seen.tally()} <= {("list", KeyVerdict.DIFFERENT)}
    assert sum(seen.tally().values()) == len(set(keys))


def test_a_batch_knows_its_names_on_both_sides() -> None:
    batch = Batch.of(DatabaseMap(), 2, [b"a", b"b", b"c"]).pick([2, 0])
    assert (batch.keys, batch.target_database, batch.target_keys) == ([b"c", b"a"], 2, [b"c", b"a"])
    assert batch.slots == [key_slot(b"c"), key_slot(b"a")]
