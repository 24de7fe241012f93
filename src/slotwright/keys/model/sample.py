"""A sample of a keyspace: how many keys of which kind, how large, and the largest of them."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.keys.model.databases import Named

PLAIN_TYPES = ("string", "list", "set", "zset", "hash", "stream")
"""The types that every server has, as TYPE names them; any other one is a module's."""


@dataclass(frozen=True, slots=True)
class DatabaseSize:
    """One database of the source. ``average_ttl_ms`` is the server's own estimate over the keys with an expiry, 0
    where there is none. ``with_field_ttl`` counts hashes with expiring fields."""

    number: int
    keys: int
    with_ttl: int = 0
    average_ttl_ms: int = 0
    with_field_ttl: int = 0


@dataclass(frozen=True, slots=True)
class KindOfKeys:
    """The keys of one type among those looked at; ``bytes`` is their memory on the source."""

    type: str
    keys: int
    bytes: int


@dataclass(frozen=True, slots=True)
class BigKey:
    """One of the largest keys found. ``elements`` None: not counted (a module's type, or gone meanwhile)."""

    named: Named
    type: str
    bytes: int
    elements: int | None


@dataclass(frozen=True, slots=True)
class KeySample:
    """The keys that were looked at.

    ``total`` is how many there were when it began. A server gives its keys in the order of a seeded hash, so the first
    ones of a SCAN are a fair sample, but rare big keys are missed. ``bytes_by_slot`` has 16384 numbers: what the keys
    looked at take, by their slot in the target; empty where memory can't be asked. ``keys_per_s`` is what was reached,
    ``slowed`` how often the pace was lowered because the source answered late. ``prefixed`` counts keys of
    database 0 that begin with what is to be put before the keys of another one.
    """

    looked_at: int = 0
    total: int = 0
    is_complete: bool = True
    kinds: tuple[KindOfKeys, ...] = ()
    biggest: tuple[BigKey, ...] = ()
    bytes_by_slot: tuple[int, ...] = ()
    keys_per_s: float = 0.0
    slowed: int = 0
    prefixed: int = 0

    @property
    def bytes(self) -> int:
        """Memory of the keys looked at."""
        return sum(kind.bytes for kind in self.kinds)

    @property
    def scale(self) -> float:
        """What a figure of the sample has to be multiplied with."""
        return max(1.0, self.total / self.looked_at) if self.looked_at else 1.0
