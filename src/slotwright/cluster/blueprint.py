"""The cluster that was decided on: placement plus the names that its nodes carry for life.

A blueprint is made once, before the first node is created, and kept in the cluster's record: it is what lets a second
run know which node is which, whatever was cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, Mode


@dataclass(frozen=True, slots=True)
class BlueprintNode:
    """A node: ``id`` is 40 hexadecimal digits, the server's own format; ``epoch`` is 0 for a replica."""

    address: Address
    id: str
    role: Role
    shard: int
    epoch: int = 0


@dataclass(frozen=True, slots=True)
class BlueprintShard:
    """A shard with its slots; ``id`` is the shard id that servers since 7.2 keep."""

    number: int
    id: str
    slots: SlotSet
    primary: BlueprintNode
    replicas: tuple[BlueprintNode, ...]

    @property
    def nodes(self) -> tuple[BlueprintNode, ...]:
        """The primary first."""
        return (self.primary, *self.replicas)


@dataclass(frozen=True, slots=True)
class Blueprint:
    """The whole cluster; ``cluster_id`` is ours and stands in every node directory's marker."""

    cluster_id: str
    name: str
    mode: Mode
    shards: tuple[BlueprintShard, ...]

    @property
    def nodes(self) -> tuple[BlueprintNode, ...]:
        """All primaries in shard order, then all replicas."""
        return tuple(self._ordered())

    def _ordered(self) -> Iterator[BlueprintNode]:
        yield from (shard.primary for shard in self.shards)
        for shard in self.shards:
            yield from shard.replicas

    def node_at(self, address: Address) -> BlueprintNode:
        """:class:`KeyError` when the blueprint has no such node."""
        for node in self.nodes:
            if node.address == address:
                return node
        raise KeyError(str(address))
