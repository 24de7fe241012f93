"""Who is who: the shards of a cluster, each with a primary, its replicas and its slots."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.model.findings import Finding
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Address


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """Shard ``number`` counts from 1; ``replicas`` are in the order of preference."""

    number: int
    slots: SlotSet
    primary: Address
    replicas: tuple[Address, ...] = ()


@dataclass(frozen=True, slots=True)
class Placement:
    """The shards in order of their slots, and what could not be had as one would wish.

    A SERIOUS finding means that the placement must not be used unless the file allows it.
    """

    shards: tuple[PlannedShard, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def addresses(self) -> tuple[Address, ...]:
        """All primaries first, then all replicas."""
        return tuple(shard.primary for shard in self.shards) + tuple(
            replica for shard in self.shards for replica in shard.replicas
        )
