"""Which keys of the source were seen: eight bytes a key, so that each one is counted once and the target's can be told
from what only it has.

SCAN may give a key twice (when a table is resized meanwhile), and a scan that is begun again gives all of them twice.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence

from slotwright.model.comparison import KINDS, Compared, Verdict, shown_kind
from slotwright.model.slots import SLOT_COUNT

_NAMES = (*KINDS, "none", "module")
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}
_KIND_BITS = len(_NAMES) - 1
assert _KIND_BITS == 7


class Seen:
    """Marks of keys by database and slot of the target. A mark is a hash of the key's name (61 bits of it: of a billion
    keys in one slot two might be taken for one) with the key's type in its last three bits."""

    def __init__(self) -> None:
        self._marks: dict[int, list[array[int]]] = {}
        self._odd: dict[tuple[int, int], tuple[Verdict, str]] = {}

    def add(self, database: int, keys: Sequence[bytes], slots: Sequence[int], kinds: Sequence[str]) -> None:
        """Keys as they are called in the target, with their types in the source."""
        marks = self._marks.get(database)
        if marks is None:
            marks = self._marks[database] = [array("q") for _ in range(SLOT_COUNT)]
        numbers = [_NUMBERS.get(kind, _KIND_BITS) for kind in kinds]
        for name, slot, number in zip(map(hash, keys), slots, numbers, strict=True):
            marks[slot].append(name & ~7 | number)

    def judge(self, database: int, key: bytes, kind: str, found: Compared) -> bool:
        """The verdict on a key that was added as a ``kind``; all others are equal. False where it had one already."""
        place = database, (hash(key) & ~_KIND_BITS) | _NUMBERS.get(kind, _KIND_BITS)
        is_new = place not in self._odd
        self._odd[place] = found.verdict, found.type
        return is_new

    @property
    def databases(self) -> tuple[int, ...]:
        """Of the target, in which keys of the source belong."""
        return tuple(sorted(self._marks))

    def count(self, database: int, slot: int) -> int:
        """How many keys of the source belong there."""
        marks = self._marks.get(database)
        return len(set(marks[slot])) if marks is not None else 0

    def unknown(self, database: int, slot: int, keys: Sequence[bytes]) -> list[bytes]:
        """Those of ``keys`` that were not seen in the source."""
        marks = self._marks.get(database)
        known = {mark & ~_KIND_BITS for mark in marks[slot]} if marks is not None else set()
        return [key for key in keys if hash(key) & ~_KIND_BITS not in known]

    def tally(self) -> Counter[tuple[int, str, Verdict]]:
        """Every key once."""
        found: Counter[tuple[int, str, Verdict]] = Counter()
        for database, slots in self._marks.items():
            for slot, marks in enumerate(slots):
                distinct = set(marks)
                odd = [mark for mark in distinct if (database, mark) in self._odd] if self._odd else []
                for mark in odd:
                    verdict, kind = self._odd[database, mark]
                    found[slot, shown_kind(kind), verdict] += 1
                for number, count in Counter(mark & _KIND_BITS for mark in distinct.difference(odd)).items():
                    found[slot, _NAMES[number], Verdict.EQUAL] += count
        return found
