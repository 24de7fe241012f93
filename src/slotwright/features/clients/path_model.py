"""The way of a client: what a cluster tells its clients, and what each address that it names comes to. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.announced import Announced, AnnouncedShard
from slotwright.cluster.observation import PeerView, Role
from slotwright.cluster.topology import Address


@dataclass(frozen=True, slots=True)
class DialledNode:
    """An address that was tried. ``code`` "": a node of a cluster let us in, and ``id`` is its id; else how it failed,
    ``seen`` with the words. ``took_ms`` is None where nobody answered. ``speaks_tls``: what listens there does."""

    address: Address
    code: str = ""
    seen: str = ""
    id: str = ""
    took_ms: float | None = None
    speaks_tls: bool = False

    @property
    def is_good(self) -> bool:
        """Somebody let us in."""
        return not self.code


@dataclass(frozen=True, slots=True)
class Redirect:
    """A key of the shard of ``owner`` was asked for at ``asked``. ``goal`` is where it sent us, None where it answered
    itself; ``error`` is what else it said."""

    asked: Address
    owner: str
    goal: Address | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class ClientPath:
    """``place`` is where it began: "" for this machine, else a host. ``entry`` is the seed that told of the others.
    ``dialled`` has every address that was tried, seeds as well, each once.
    ``members`` are those that the entry knows (none: it does not say)."""

    place: str
    seeds: tuple[Address, ...]
    entry: Address
    shards: tuple[AnnouncedShard, ...]
    dialled: tuple[DialledNode, ...]
    redirects: tuple[Redirect, ...]
    members: tuple[PeerView, ...] = ()

    def address_of(self, node: Announced, host: str | None = None) -> Address:
        """Where a client dials it."""
        return Address((node.host if host is None else host) or self.entry.host, node.port)

    def trial_of(self, address: Address) -> DialledNode | None:
        """How an address was found."""
        return next((candidate for candidate in self.dialled if candidate.address == address), None)

    def dialled_of(self, node: Announced) -> DialledNode | None:
        """How a node was found where clients are sent to; None for one without an address, or that was not tried."""
        return None if node.host == "?" else self.trial_of(self.address_of(node))

    def leads_home(self, node: Announced) -> bool:
        """Whether its address leads to it, and to no other."""
        dialled = self.dialled_of(node)
        return dialled is not None and dialled.is_good and dialled.id == node.id

    @property
    def nodes(self) -> tuple[Announced, ...]:
        """All of them, shard by shard."""
        return tuple(node for shard in self.shards for node in shard.nodes)

    @property
    def untold(self) -> tuple[PeerView, ...]:
        """Replicas of which clients are not told, though the entry knows them. A primary without slots serves nothing,
        and one with slots stands in the map."""
        told = {node.id for node in self.nodes}
        return tuple(
            peer
            for peer in self.members
            if peer.id not in told and peer.role is Role.REPLICA and peer.replica_of in told and peer.address
        )
