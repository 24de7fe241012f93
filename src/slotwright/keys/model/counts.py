"""Keys as they are counted and compared: by database, slot and type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

Cell = tuple[int, int, str]
"""Database, slot, type."""

Count = Counter[Cell]
"""How many keys there are of each."""


@dataclass(frozen=True, slots=True)
class StrayKey:
    """A key that is somewhere else than where its slot belongs, and differs from the one there. ``ttl_ms`` is -1 for
    one that never expires; ``value`` is what DUMP gives."""

    address: str
    database: int
    key: bytes
    type: str
    ttl_ms: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Difference:
    """What the counts gave when they were looked into key by key. Each is (database, key)."""

    missing: tuple[tuple[int, bytes], ...] = ()
    extra: tuple[tuple[int, bytes], ...] = ()
    retyped: tuple[tuple[int, bytes], ...] = ()

    @property
    def is_none(self) -> bool:
        """Whether both sides are the same."""
        return not (self.missing or self.extra or self.retyped)


def by_type(count: Count) -> dict[str, int]:
    """Keys by type, the most frequent first."""
    totals: Counter[str] = Counter()
    for (_, _, kind), number in count.items():
        totals[kind] += number
    return dict(totals.most_common())


def slots_in(count: Count) -> int:
    """How many slots hold a key."""
    return len({slot for (_, slot, _), number in count.items() if number})


def unequal(one: Count, other: Count) -> frozenset[tuple[int, int]]:
    """(database, slot) where the counts differ, in either way."""
    cells: Iterable[Cell] = {*one, *other}
    return frozenset((database, slot) for database, slot, kind in cells if _differs(one, other, (database, slot, kind)))


def _differs(one: Count, other: Count, cell: Cell) -> bool:
    return one[cell] != other[cell]
