"""What each node held when the cluster was last proved: the past of a node that does not answer can't be observed.

It says whose data a node's disk has, and how many keys there were; it never says what *is*.
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.observation import Link, NodeView, Observation, Role


@dataclass(frozen=True, slots=True)
class KeptCopy:
    """One node. ``history`` is the replication id of its data, ``offset`` how far it had it, in bytes; ``keys`` counts
    those of all databases."""

    id: str
    shard: int
    history: str
    offset: int
    keys: int


@dataclass(frozen=True, slots=True)
class KeptCopies:
    """All nodes, each as it was seen last."""

    nodes: tuple[KeptCopy, ...] = ()

    def of(self, node_id: str) -> KeptCopy | None:
        """None for a node that was never seen."""
        return next((copy for copy in self.nodes if copy.id == node_id), None)

    def shards_of(self, history: str) -> frozenset[int]:
        """The shards whose data had that replication id."""
        return frozenset(copy.shard for copy in self.nodes if history and copy.history == history)

    def renewed(self, observation: Observation, blueprint: Blueprint) -> KeptCopies:
        """With what the nodes of ``blueprint`` say now: primaries with slots, and replicas whose link is up. The others
        stay as they were."""
        seen = {view.id: copy for view in observation.views if (copy := _copy_of(view, blueprint)) is not None}
        kept = {copy.id: copy for copy in self.nodes} | seen
        return KeptCopies(tuple(kept[node.id] for node in blueprint.nodes if node.id in kept))


def _copy_of(view: NodeView, blueprint: Blueprint) -> KeptCopy | None:
    """None where it is not settled what its data is."""
    mine, told = view.myself, view.replication
    leader = view.peer(mine.replica_of) if mine is not None and mine.replica_of else mine
    is_settled = told.role is Role.PRIMARY or told.link is Link.UP
    if leader is None or not leader.slots or not told.history or not is_settled or view.health.is_loading:
        return None
    shard = max(blueprint.shards, key=lambda shard: len(shard.slots & leader.slots))
    return KeptCopy(view.id, shard.number, told.history, told.offset, view.health.keys)
