"""What a comparison of two key spaces came to: counts that are exact, and examples of what differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Address
from slotwright.keys.model.databases import Named

MOST_EXAMPLES = 1000
"""Differing keys that are kept by name; all are counted."""

KINDS = ("string", "list", "set", "zset", "hash", "stream")
"""The types whose values can be read and compared, as TYPE says them. Every other type is a module's, or newer."""

OTHER_KIND = "module"
"""What all other types are counted as."""


class KeyVerdict(StrEnum):
    """What became of one key of the source, or of one that only the target has."""

    EQUAL = "equal"
    """Type, value and expiry are the same, and what else belongs to the value."""
    EXPIRED = "expired"
    """Gone on both sides, or gone on one and its time has come there: nothing that was lost."""
    NOT_COMPARABLE = "not-comparable"
    """A type whose value can't be read (a module's), on both sides, and its serialisations differ."""
    DIFFERENT = "different"
    """See :class:`Aspect`."""


class Aspect(StrEnum):
    """What differs."""

    MISSING = "missing"
    """The target does not have it."""
    EXTRA = "extra"
    """Only the target has it."""
    TYPE = "type"
    VALUE = "value"
    EXPIRY = "expiry"
    GROUPS = "groups"
    """A stream's groups, consumers or pending entries."""
    FIELD_EXPIRY = "field-expiry"
    """When fields of a hash expire."""


@dataclass(frozen=True, slots=True)
class Compared:
    """One key. ``named`` is its name in the source (of an extra one: the name that it would have there), ``slot`` that
    of its name in the target. ``type`` is the source's, an extra one's the target's, "none" where neither has it.
    ``aspects`` are there when it is different; ``words`` say what was seen, for people."""

    named: Named
    slot: int
    type: str
    verdict: KeyVerdict
    aspects: tuple[Aspect, ...] = ()
    words: str = ""


@dataclass(frozen=True, slots=True)
class SideFacts:
    """Who was compared. ``addresses`` are those of its primaries; ``keys`` by database as INFO said at the end."""

    name: str
    version: ServerVersion
    addresses: tuple[Address, ...]
    is_cluster: bool
    keys: Mapping[int, int]

    @property
    def title(self) -> str:
        """``10.0.0.1:6379 (Redis 6.2.5)``."""
        return f"{self.name} ({self.version.title})"


@dataclass(frozen=True, slots=True)
class Load:
    """What the comparison cost the source, in ms: how long a command had to wait for its turn there (``p50``, ``p99``,
    ``worst``) while it ran, and the longest time that one batch of ours held it. ``slowed_s``: seconds that we held
    back in all because the waits were above ``limit``. ``samples`` 0: nothing was measured."""

    samples: int = 0
    p50: float = 0.0
    p99: float = 0.0
    worst: float = 0.0
    longest_batch: float = 0.0
    limit: float = 0.0
    slowed_s: float = 0.0


Tally = Mapping[tuple[int, str, KeyVerdict], int]
"""Keys by slot (of their name in the target), type and verdict."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """``examples`` are at most :data:`MOST_EXAMPLES` of the keys that are different or not comparable."""

    source: SideFacts
    target: SideFacts
    tally: Tally
    aspects: Mapping[Aspect, int]
    examples: tuple[Compared, ...]
    seconds: float
    load: Load = field(default_factory=Load)

    def count(self, verdict: KeyVerdict) -> int:
        """Keys with this verdict."""
        return sum(number for (_, _, key_verdict), number in self.tally.items() if key_verdict is verdict)

    @property
    def total(self) -> int:
        """All keys that were compared, the extra ones with them."""
        return sum(self.tally.values())

    @property
    def is_equal(self) -> bool:
        """Nothing differs, and nothing had to be left open."""
        return not any(
            number and verdict in (KeyVerdict.DIFFERENT, KeyVerdict.NOT_COMPARABLE)
            for (_, _, verdict), number in self.tally.items()
        )

    @property
    def keys_per_s(self) -> float:
        """0 where it took no time."""
        return self.total / self.seconds if self.seconds > 0 else 0.0

    def by_type(self) -> dict[str, dict[KeyVerdict, int]]:
        """Counts by type, the most frequent type first, verdicts without a key left out."""
        values: dict[str, dict[KeyVerdict, int]] = {}
        for (_, kind, verdict), number in self.tally.items():
            if number:
                row = values.setdefault(kind, {})
                row[verdict] = row.get(verdict, 0) + number
        return dict(sorted(values.items(), key=lambda item: (-sum(item[1].values()), item[0])))

    def by_slot(self) -> dict[int, dict[KeyVerdict, int]]:
        """Counts by slot, slots without a key left out."""
        values: dict[int, dict[KeyVerdict, int]] = {}
        for (slot, _, verdict), number in self.tally.items():
            if number:
                row = values.setdefault(slot, {})
                row[verdict] = row.get(verdict, 0) + number
        return dict(sorted(values.items()))


def with_rechecked_keys(comparison: Comparison, keys: Iterable[Compared]) -> Comparison:
    """The comparison after ``keys``, which were different in it, were made equal (an extra one: removed)."""
    tally, aspects = dict(comparison.tally), dict(comparison.aspects)
    done = list(keys)
    for candidate in done:
        cell = (candidate.slot, shown_kind(candidate.type), candidate.verdict)
        tally[cell] = max(0, tally.get(cell, 0) - 1)
        for aspect in candidate.aspects:
            aspects[aspect] = max(0, aspects.get(aspect, 0) - 1)
        if Aspect.EXTRA not in candidate.aspects:
            equal = (candidate.slot, shown_kind(candidate.type), KeyVerdict.EQUAL)
            tally[equal] = tally.get(equal, 0) + 1
    names = {other.named for other in done}
    examples = tuple(example for example in comparison.examples if example.named not in names)
    return replace(comparison, tally=tally, aspects=aspects, examples=examples)


def shown_kind(kind: str) -> str:
    """As it is counted; "none" is what was gone before its type was read."""
    return kind if kind in KINDS or kind == "none" else OTHER_KIND
