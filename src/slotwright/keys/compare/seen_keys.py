"""Which keys of the source were seen: eight bytes a key, so that each one is counted once and the target's can be told
from what only it has.

SCAN may give a key twice (when a table is resized meanwhile), and a scan that is begun again gives all of them twice.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

from slotwright.cluster.slots import SLOT_COUNT
from slotwright.keys.model.comparison import KINDS, Compared, KeyVerdict, shown_kind

_NAMES = (*KINDS, "none", "module")
_NUMBERS = {name: number for number, name in enumerate(_NAMES)}
_MODULE = _NUMBERS["module"]

# A mark is a slot, 46 bits of a hash of the name, and a type: it fits into 63 bits.
_KIND_BITS, _SLOT_SHIFT = 3, 49
_HASH_MASK = (1 << (_SLOT_SHIFT - _KIND_BITS)) - 1
_KIND_MASK = (1 << _KIND_BITS) - 1

# Slots are put together in buckets: a mark more in one of these is cheap, and one at a time is sorted.
_BUCKET_SHIFT = 7


class SeenKeys:
    """Keys by database and slot of the target. In a slot of a thousand keys two are taken for one with a chance of one
    to a hundred million; the one that is not counted then is looked up by name all the same.

    After :meth:`seal` nothing more is added.
    """

    def __init__(self) -> None:
        self._marks: dict[int, list[array[int]]] = {}
        self._odd: dict[int, dict[int, tuple[KeyVerdict, str]]] = {}

    def add(self, database: int, keys: Sequence[bytes], slots: Sequence[int], kinds: Sequence[str]) -> None:
        """Keys as they are called in the target, with their types in the source."""
        buckets = self._marks.get(database)
        if buckets is None:
            buckets = self._marks[database] = [array("q") for _ in range(SLOT_COUNT >> _BUCKET_SHIFT)]
        numbers = [_NUMBERS.get(kind, _MODULE) for kind in kinds]
        for name, slot, number in zip(map(hash, keys), slots, numbers, strict=True):
            buckets[slot >> _BUCKET_SHIFT].append(slot << _SLOT_SHIFT | (name & _HASH_MASK) << _KIND_BITS | number)

    def judge(self, database: int, key: bytes, slot: int, comparison: Compared) -> bool:
        """The verdict on a key that was added; all others are equal. False where it had one already."""
        odd = self._odd.setdefault(database, {})
        name = _name(key, slot)
        is_new = name not in odd
        odd[name] = comparison.verdict, comparison.type
        return is_new

    def seal(self) -> None:
        """Put them in order, each once."""
        for buckets in self._marks.values():
            for number, bucket in enumerate(buckets):
                buckets[number] = array("q", _each_once(sorted(bucket)))

    @property
    def databases(self) -> tuple[int, ...]:
        """Of the target, in which keys of the source belong."""
        return tuple(sorted(self._marks))

    def count(self, database: int, slot: int) -> int:
        """How many keys of the source belong there."""
        if database not in self._marks:
            return 0
        bucket = self._marks[database][slot >> _BUCKET_SHIFT]
        return bisect_left(bucket, (slot + 1) << _SLOT_SHIFT) - bisect_left(bucket, slot << _SLOT_SHIFT)

    def unknown(self, database: int, slot: int, keys: Sequence[bytes]) -> list[bytes]:
        """Those of ``keys`` that were not seen in the source."""
        if database not in self._marks:
            return list(keys)
        bucket = self._marks[database][slot >> _BUCKET_SHIFT]
        return [key for key in keys if not _has(bucket, _name(key, slot))]

    def tally(self) -> Counter[tuple[int, str, KeyVerdict]]:
        """Every key once."""
        counts: Counter[tuple[int, str, KeyVerdict]] = Counter()
        for database, buckets in self._marks.items():
            odd = self._odd.get(database, {})
            for bucket in buckets:
                marks: Sequence[int] = bucket
                if odd:
                    marks = [mark for mark in bucket if mark >> _KIND_BITS not in odd]
                cells = Counter((mark >> _SLOT_SHIFT) << _KIND_BITS | mark & _KIND_MASK for mark in marks)
                for cell, count in cells.items():
                    counts[cell >> _KIND_BITS, _NAMES[cell & _KIND_MASK], KeyVerdict.EQUAL] += count
            for name, (verdict, kind) in odd.items():
                counts[name >> (_SLOT_SHIFT - _KIND_BITS), shown_kind(kind), verdict] += 1
        return counts


def _name(key: bytes, slot: int) -> int:
    """A mark without a type."""
    return slot << (_SLOT_SHIFT - _KIND_BITS) | hash(key) & _HASH_MASK


def _has(bucket: array[int], name: int) -> bool:
    at = bisect_left(bucket, name << _KIND_BITS)
    return at < len(bucket) and bucket[at] >> _KIND_BITS == name


def _each_once(marks: Sequence[int]) -> Iterator[int]:
    """Of a key whose type changed meanwhile, one of the two."""
    before = -1
    for mark in marks:
        if mark >> _KIND_BITS != before:
            before = mark >> _KIND_BITS
            yield mark
