"""The way of a client: what a cluster tells its clients, and what each address that it names comes to. Values only."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.model.cluster import Role
from slotwright.model.slots import SlotSet
from slotwright.model.topology import Address


@dataclass(frozen=True, slots=True)
class Announced:
    """A node as clients are told of it. ``host`` is where they are sent first: "" where the server leaves it to them
    (they then use the address that they asked at), "?" where it prefers names and has none. ``others`` are further
    names or addresses of the node that are told beside it."""

    id: str
    host: str
    port: int
    role: Role
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AnnouncedShard:
    """A primary's slots, and its nodes, the primary first."""

    slots: SlotSet
    nodes: tuple[Announced, ...]


@dataclass(frozen=True, slots=True)
class Dialled:
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
class Walk:
    """``place`` is where it began: "" for this machine, else a host. ``entry`` is the seed that told of the others.
    ``dialled`` has every address that was tried, seeds as well, each once."""

    place: str
    seeds: tuple[Address, ...]
    entry: Address
    shards: tuple[AnnouncedShard, ...]
    dialled: tuple[Dialled, ...]
    redirects: tuple[Redirect, ...]

    def address_of(self, node: Announced, host: str | None = None) -> Address:
        """Where a client dials it."""
        return Address((node.host if host is None else host) or self.entry.host, node.port)

    def trial_of(self, address: Address) -> Dialled | None:
        """How an address was found."""
        return next((each for each in self.dialled if each.address == address), None)

    @property
    def nodes(self) -> tuple[Announced, ...]:
        """All of them, shard by shard."""
        return tuple(node for shard in self.shards for node in shard.nodes)
