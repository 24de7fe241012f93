"""Which node holds keys of which slot, and which keys two nodes hold at once. Counted and compared, not judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class DuplicateKey:
    """A key that the slot's ``owner`` and another node, the ``holder``, both have (ids).

    ``is_equal``: type, content and expiry are the same.
    """

    slot: int
    key: bytes
    owner: str
    holder: str
    is_equal: bool
    database: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """``counts`` has, by node id, the number of keys in each slot that is not empty, for the slots that were asked for.

    ``duplicates`` are those keys held twice that were compared. ``copies`` are the counts of replicas, for slots that
    belong to nobody, where a replica may have the only copy, and for all slots where its primary does not answer.
    """

    counts: dict[str, dict[int, int]] = field(default_factory=dict)
    duplicates: tuple[DuplicateKey, ...] = ()
    copies: dict[str, dict[int, int]] = field(default_factory=dict)

    def keys(self, node_id: str, slot: int) -> int:
        """Keys of ``slot`` in that node; 0 also where it was not counted."""
        return self.counts.get(node_id, {}).get(slot, 0)

    def has_different_twins(self, slot: int) -> bool:
        """Whether two nodes hold one key of ``slot`` with different values."""
        return any(duplicate.slot == slot and not duplicate.is_equal for duplicate in self.duplicates)


@dataclass(frozen=True, slots=True)
class KeyValue:
    """``ttl_ms`` is -1 without an expiry; ``dump`` is the server's own serialisation, for RESTORE."""

    type: str
    ttl_ms: int
    dump: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class QuarantinedKey:
    """One node's value of a key that another node has differently."""

    key: bytes
    slot: int
    node: Address
    is_owner: bool
    value: KeyValue
    database: int = 0
