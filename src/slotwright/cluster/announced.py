"""What the nodes announce to clients: shard by shard, each node with its address."""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.cluster.observation import Role
from slotwright.cluster.slots import SlotSet


@dataclass(frozen=True, slots=True)
class Announced:
    """A node as clients are told of it. ``host`` is where they are sent first: "" where the server leaves it to them
    (they then use the address that they asked at), "?" where it prefers names and has none, or where what it says is
    no address. ``others`` are further names or addresses of the node that are told beside it. ``fault`` says, with the
    text escaped, what of all this is no address, and was left out; "" where all is well."""

    id: str
    host: str
    port: int
    role: Role
    others: tuple[str, ...] = ()
    fault: str = ""


@dataclass(frozen=True, slots=True)
class AnnouncedShard:
    """A primary's slots, and its nodes, the primary first."""

    slots: SlotSet
    nodes: tuple[Announced, ...]
