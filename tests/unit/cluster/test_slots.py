"""Slots: known values of the cluster specification, and the laws of sets held against Python's own."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slotwright.cluster.slots import SLOT_COUNT, SlotRange, SlotSet, key_in, key_slot, split_evenly
from tests.extent import examples

SLOTS = st.one_of(st.integers(0, 40), st.integers(SLOT_COUNT - 40, SLOT_COUNT - 1))
RANGES = st.tuples(SLOTS, st.integers(0, 9)).map(lambda pair: SlotRange(pair[0], min(sum(pair), SLOT_COUNT - 1)))
SETS = st.lists(RANGES, max_size=5).map(SlotSet.of)
QUICK = examples(40)


@pytest.mark.parametrize(
    ("key", "slot"),
    [
        (b"", 0),
        (b"foo", 12182),
        (b"bar", 5061),
        (b"hello", 866),
        (b"123456789", 0x31C3 % 16384),
        (b"{user1000}.following", 3443),
        (b"{user1000}.followers", 3443),
        (b"foo{}{bar}", 8363),
        (b"{}", 15257),
        (b"foo{{bar}}zap", 4015),
        (b"foo{bar}{zap}", 5061),
        (b"{bar", 4015),
        (b"bar}", 6624),
        (b"}foo{", 8453),
    ],
)
def test_known_keys(key: bytes, slot: int) -> None:
    assert key_slot(key) == slot


@pytest.mark.parametrize(
    ("key", "same_as"),
    [
        (b"{foo}", b"foo"),
        (b"a{foo}b", b"foo"),
        (b"}{foo}", b"foo"),
        (b"{foo}{bar}", b"foo"),
        (b"a{\x00\xff}b", b"\x00\xff"),
        (b"{{foo}", b"{foo"),
    ],
)
def test_the_first_hash_tag_decides(key: bytes, same_as: bytes) -> None:
    assert key_slot(key) == key_slot(same_as)


def test_an_empty_first_hash_tag_hides_the_second() -> None:
    assert key_slot(b"foo{}{bar}") != key_slot(b"bar")


@pytest.mark.parametrize(
    ("shards", "texts"),
    [
        (1, ["0-16383"]),
        (2, ["0-8191", "8192-16383"]),
        (3, ["0-5460", "5461-10922", "10923-16383"]),
        (5, ["0-3276", "3277-6553", "6554-9829", "9830-13106", "13107-16383"]),
    ],
)
def test_even_splits(shards: int, texts: list[str]) -> None:
    assert [str(piece) for piece in split_evenly(shards)] == texts


@examples(10)
@given(st.integers(1, 600))
def test_a_split_covers_all_slots_once_in_sizes_that_differ_by_one_at_the_most(shards: int) -> None:
    pieces = split_evenly(shards)
    bounds = [(piece.ranges[0].first, piece.ranges[0].last) for piece in pieces]
    assert (bounds[0][0], bounds[-1][1]) == (0, SLOT_COUNT - 1)
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(bounds))
    assert max(map(len, pieces)) - min(map(len, pieces)) <= 1


@pytest.mark.parametrize("shards", [0, -1, SLOT_COUNT + 1])
def test_no_split_over_so_many(shards: int) -> None:
    with pytest.raises(ValueError, match="can't split"):
        split_evenly(shards)


def test_as_many_shards_as_slots_get_one_each() -> None:
    assert [str(piece) for piece in split_evenly(SLOT_COUNT)][-1] == "16383"


@pytest.mark.parametrize(("first", "last"), [(-1, 0), (5, 4), (0, SLOT_COUNT), (SLOT_COUNT, SLOT_COUNT)])
def test_no_such_range(first: int, last: int) -> None:
    with pytest.raises(ValueError, match="not a range"):
        SlotRange(first, last)


def test_a_range_is_written_as_the_server_writes_it() -> None:
    assert [str(SlotRange(7, 7)), str(SlotRange(0, 5460))] == ["7", "0-5460"]
    assert [SlotRange.parse("7"), SlotRange.parse("0-5460")] == [SlotRange(7, 7), SlotRange(0, 5460)]


@pytest.mark.parametrize("text", ["", "-", "7-", "-7", "a", "1-b", "1-2-3", "16384", "9-3"])
def test_texts_that_are_no_range(text: str) -> None:
    with pytest.raises(ValueError):
        SlotRange.parse(text)


@pytest.mark.parametrize("text", ["+7", " 7", "1_0", "0-+5", "٣"])
def test_texts_that_only_python_takes_for_numbers(text: str) -> None:
    with pytest.raises(ValueError):
        SlotRange.parse(text)


def test_neighbours_and_overlaps_become_one_range() -> None:
    assert SlotSet.parse(["5-9", "0-4", "7-12", "20"]).texts() == ("0-12", "20")
    assert SlotSet.from_slots([3, 1, 2, 2]).texts() == ("1-3",)


def test_the_empty_set() -> None:
    assert (len(SlotSet()), bool(SlotSet()), str(SlotSet()), list(SlotSet())) == (0, False, "", [])
    assert SlotSet().complement().texts() == ("0-16383",)
    assert SlotSet.parse(["0-16383"]).complement() == SlotSet()


@QUICK
@given(SETS, SETS)
def test_the_algebra_is_that_of_sets(one: SlotSet, other: SlotSet) -> None:
    mine, theirs = frozenset(one), frozenset(other)
    assert frozenset(one | other) == mine | theirs
    assert frozenset(one & other) == mine & theirs
    assert frozenset(one - other) == mine - theirs
    assert (one == other) == (mine == theirs)


@QUICK
@given(SETS)
def test_a_set_is_its_slots(one: SlotSet) -> None:
    slots = list(one)
    assert slots == sorted(set(slots))
    assert len(one) == len(slots)
    assert SlotSet.from_slots(slots) == one
    assert SlotSet.parse(one.texts()) == one
    assert len(one.complement()) == SLOT_COUNT - len(one)
    assert one.complement().complement() == one


@QUICK
@given(SETS, SETS)
def test_results_are_normal(one: SlotSet, other: SlotSet) -> None:
    for result in (one | other, one & other, one - other, one.complement()):
        bounds = [(piece.first, piece.last) for piece in result.ranges]
        assert all(last + 1 < first for (_, last), (first, _) in pairwise(bounds))


@QUICK
@given(SETS, st.one_of(SLOTS, st.integers(-3, 3), st.integers(SLOT_COUNT - 3, SLOT_COUNT + 3)))
def test_membership(one: SlotSet, slot: int) -> None:
    assert (slot in one) == (slot in frozenset(one))


@examples(10)
@given(st.integers(0, SLOT_COUNT - 1))
def test_a_key_is_found_for_any_slots(slot: int) -> None:
    slots = SlotSet.parse([f"{slot}-{min(slot + 200, SLOT_COUNT - 1)}", "77"])
    assert key_slot(b"{" + key_in(slots, "salt") + b"}:x") in slots


def test_no_key_lies_in_no_slots() -> None:
    with pytest.raises(ValueError, match="empty"):
        key_in(SlotSet(), "salt")
