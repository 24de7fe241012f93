"""Slots: which of the 16384 a key belongs to, and an algebra of sets of slots.

A :class:`SlotSet` is always normal: its ranges are sorted, disjoint and not adjacent, so that two equal sets of slots
are equal values. Sources: Redis Cluster specification, "Key distribution model" and "Hash tags"
(redis.io/docs/reference/cluster-spec, 7.0).
"""

from __future__ import annotations

from binascii import crc_hqx
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count, pairwise

SLOT_COUNT = 16384


def key_slot(key: bytes) -> int:
    """The slot of ``key``: CRC16 (XMODEM) modulo 16384 of its hash tag, or of the whole key without one.

    The hash tag is what stands between the first ``{`` and the first ``}`` after it, when that is not empty.
    """
    start = key.find(b"{")
    if start >= 0:
        end = key.find(b"}", start + 1)
        if end > start + 1:
            key = key[start + 1 : end]
    return crc_hqx(key, 0) % SLOT_COUNT


@dataclass(frozen=True, slots=True, order=True)
class SlotRange:
    """Slots ``first`` to ``last``, both included; ``0 <= first <= last < 16384`` or :class:`ValueError`."""

    first: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.first <= self.last < SLOT_COUNT:
            raise ValueError(f"not a range of slots: {self.first}-{self.last}")

    def __len__(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"

    @classmethod
    def parse(cls, text: str) -> SlotRange:
        """``"7"`` or ``"0-5460"``; :class:`ValueError` for anything else."""
        first, dash, last = text.partition("-")
        if not (text.isascii() and first.isdigit() and (last.isdigit() if dash else True)):
            raise ValueError(f"not a range of slots: {text!r}")
        return cls(int(first), int(last) if dash else int(first))


@dataclass(frozen=True, slots=True)
class SlotSet:
    """A set of slots as normal ranges. Build it with :meth:`of`, :meth:`from_slots` or :meth:`parse`."""

    ranges: tuple[SlotRange, ...] = ()

    @classmethod
    def of(cls, ranges: Iterable[SlotRange]) -> SlotSet:
        """The union of ``ranges``, in normal form."""
        merged: list[SlotRange] = []
        for piece in sorted(ranges):
            if merged and piece.first <= merged[-1].last + 1:
                merged[-1] = SlotRange(merged[-1].first, max(merged[-1].last, piece.last))
            else:
                merged.append(piece)
        return cls(tuple(merged))

    @classmethod
    def from_slots(cls, slots: Iterable[int]) -> SlotSet:
        """The set that holds exactly ``slots``."""
        return cls.of(SlotRange(slot, slot) for slot in slots)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> SlotSet:
        """From texts such as ``["0-5460", "7000"]``."""
        return cls.of(SlotRange.parse(text) for text in texts)

    def __len__(self) -> int:
        return sum(len(piece) for piece in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.ranges)

    def __iter__(self) -> Iterator[int]:
        for piece in self.ranges:
            yield from range(piece.first, piece.last + 1)

    def __contains__(self, slot: int) -> bool:
        at = bisect_right(self.ranges, slot, key=lambda piece: piece.first) - 1
        return at >= 0 and slot <= self.ranges[at].last

    def __or__(self, other: SlotSet) -> SlotSet:
        return SlotSet.of(self.ranges + other.ranges)

    def __sub__(self, other: SlotSet) -> SlotSet:
        return self & other.complement()

    def __and__(self, other: SlotSet) -> SlotSet:
        slot_ranges: list[SlotRange] = []
        mine, theirs = list(self.ranges), list(other.ranges)
        i = j = 0
        while i < len(mine) and j < len(theirs):
            first = max(mine[i].first, theirs[j].first)
            last = min(mine[i].last, theirs[j].last)
            if first <= last:
                slot_ranges.append(SlotRange(first, last))
            if mine[i].last < theirs[j].last:
                i += 1
            else:
                j += 1
        return SlotSet(tuple(slot_ranges))

    def complement(self) -> SlotSet:
        """All slots that are not in this set."""
        gaps: list[SlotRange] = []
        free = 0
        for piece in self.ranges:
            if piece.first > free:
                gaps.append(SlotRange(free, piece.first - 1))
            free = piece.last + 1
        if free < SLOT_COUNT:
            gaps.append(SlotRange(free, SLOT_COUNT - 1))
        return SlotSet(tuple(gaps))

    def texts(self) -> tuple[str, ...]:
        """``("0-5460", "7000")``, as the server writes them."""
        return tuple(str(piece) for piece in self.ranges)

    def __str__(self) -> str:
        return " ".join(self.texts())


ALL_SLOTS = SlotSet((SlotRange(0, SLOT_COUNT - 1),))


def split_evenly(shards: int) -> tuple[SlotSet, ...]:
    """All slots in ``shards`` contiguous sets whose sizes differ by one at the most; 1 <= shards <= 16384.

    The bounds are those of ``redis-cli --cluster create`` (round(i * 16384 / n)), so three shards give the familiar
    0-5460, 5461-10922, 10923-16383.
    """
    if not 1 <= shards <= SLOT_COUNT:
        raise ValueError(f"can't split {SLOT_COUNT} slots over {shards} shards")
    bounds = [(2 * index * SLOT_COUNT + shards) // (2 * shards) for index in range(shards + 1)]
    return tuple(SlotSet((SlotRange(first, last - 1),)) for first, last in pairwise(bounds))


@lru_cache(maxsize=256)
def key_in(slots: SlotSet, salt: str) -> bytes:
    """A short hash tag ``salt-N`` whose slot lies in ``slots``; the smallest N >= 0 that does.

    Raises :class:`ValueError` for an empty set. About ``16384 / len(slots)`` keys are tried.
    """
    if not slots:
        raise ValueError("no key can lie in an empty set of slots")
    wanted = frozenset(slots)
    tags = (f"{salt}-{number}".encode() for number in count())
    return next(tag for tag in tags if key_slot(tag) in wanted)
