"""The cluster as a whole, drawn from all views: what `status` shows and what diagnosis judges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from slotwright.cluster.observation import Link, Role, ServerVersion
from slotwright.cluster.slots import SlotSet
from slotwright.cluster.topology import Address, Mode


class ClusterState(StrEnum):
    """OK: whole. DEGRADED: every slot is served, but something is missing. DOWN: some slot is not served."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


UNREADABLE = "unreadable"
"""The trouble of a node that answers, and whose answers can't be read."""

LIVES_UNREAD = frozenset({"wrong password", UNREADABLE})
"""Troubles of nodes that answer somebody, and tell us nothing: they live, serve and vote as the others see them."""


@dataclass(frozen=True, slots=True)
class SurveyNode:
    """One node. What an unreachable node would have to tell itself is None.

    ``slots`` are those that it owns, served or not. ``trouble`` is "" or says why it isn't well: "down", "failed",
    "hangs", "loading", "wrong password", "unreadable". ``shard`` counts from 1 in order of slots; None: no shard known.
    ``lag_bytes`` is what a replica hasn't taken yet of what its primary had sent when both were asked.

    Of a node that does not answer us: ``is_seen_alive`` when a node that does has a live bus link to it and does not
    suspect it, ``is_held_failed`` when one holds it failed, which takes a majority (cluster.c,
    markNodeAsFailingIfNeeded). Silence towards us alone is neither.
    """

    id: str
    address: Address | None
    role: Role
    slots: SlotSet
    replica_of: str | None
    shard: int | None
    is_reachable: bool
    trouble: str = ""
    link: Link | None = None
    lag_bytes: int | None = None
    keys: int | None = None
    used_bytes: int | None = None
    version: ServerVersion | None = None
    is_planned: bool = True
    is_seen_alive: bool = False
    is_held_failed: bool = False

    @property
    def serves(self) -> bool:
        """Whether clients of the cluster are served by it, as far as anybody can tell."""
        return not self.trouble or self.is_seen_alive

    @property
    def shard_title(self) -> str:
        """``shard 2``, for sentences; a member whose primary has no slots is in none."""
        return f"shard {self.shard}" if self.shard is not None else "a primary without slots"

    @property
    def place(self) -> str:
        """``host:port``, or the id where no address is known."""
        return str(self.address) if self.address else self.id


@dataclass(frozen=True, slots=True)
class Survey:
    """``served`` are the slots with a primary that answers us; of one whose answers can't be read, what its peers see
    counts. Nodes stand shard by shard, the primary first, then those without a shard."""

    name: str
    mode: Mode
    state: ClusterState
    served: SlotSet
    nodes: tuple[SurveyNode, ...]
    _by_id: Mapping[str, SurveyNode] = field(init=False, repr=False, compare=False)
    _by_shard: Mapping[int | None, tuple[SurveyNode, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Where an id stands twice, the first node counts.
        object.__setattr__(self, "_by_id", {node.id: node for node in reversed(self.nodes)})
        shards: dict[int | None, list[SurveyNode]] = {}
        for node in self.nodes:
            shards.setdefault(node.shard, []).append(node)
        object.__setattr__(self, "_by_shard", {number: tuple(nodes) for number, nodes in shards.items()})

    @property
    def shard_count(self) -> int:
        """Shards that own slots."""
        return len({node.shard for node in self.nodes if node.role is Role.PRIMARY and node.slots})

    def shard(self, number: int) -> tuple[SurveyNode, ...]:
        """The nodes of a shard, the primary first."""
        return self._by_shard.get(number, ())

    def node(self, node_id: str) -> SurveyNode | None:
        """The node with this id."""
        return self._by_id.get(node_id)

    def primary_of(self, node: SurveyNode) -> SurveyNode | None:
        """The primary that a replica follows."""
        return self._by_id.get(node.replica_of) if node.replica_of is not None else None
