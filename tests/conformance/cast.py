"""Who plays: three primaries with a replica each, and two servers that are not of the cluster yet, by short names.

The last primary has one slot alone: who gives it away, or loses it, has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.slots import SlotRange, SlotSet
from slotwright.cluster.topology import Address
from tests.conformance.rules import Layout
from tests.fakes import build

PRIMARIES, REPLICAS, SPARES = ("a", "b", "c"), ("a1", "b1", "c1"), ("d", "e")
MEMBERS = (*PRIMARIES, *REPLICAS)
NAMES = (*MEMBERS, *SPARES)

SLOT_A, SLOT_B, SLOT_C = 100, 9000, 16383
"""One slot of each primary; of ``c`` the only one."""

_SLOTS = {
    "a": SlotSet((SlotRange(0, 8190),)),
    "b": SlotSet((SlotRange(8191, 16382),)),
    "c": SlotSet((SlotRange(16383, 16383),)),
}


@dataclass(frozen=True)
class Cast:
    """The cluster as it is made, and where everybody is."""

    blueprint: Blueprint
    layout: Layout
    addresses: dict[str, Address]

    @property
    def ids(self) -> dict[str, str]:
        """Of the members, as they are made."""
        return {name: self.blueprint.node_at(self.addresses[name]).id for name in MEMBERS}


def cast(layout: Layout, places: tuple[Address, ...]) -> Cast:
    """``places`` are of :data:`NAMES`, in that order."""
    addresses = dict(zip(NAMES, places, strict=True))
    made = build.blueprint(build.topology(3, 2, 1))
    shards = []
    for shard, name, epoch in zip(made.shards, PRIMARIES, layout.epochs, strict=True):
        primary = replace(shard.primary, address=addresses[name], epoch=epoch)
        (replica,) = shard.replicas
        replicas = (replace(replica, address=addresses[f"{name}1"]),)
        shards.append(replace(shard, slots=_SLOTS[name], primary=primary, replicas=replicas))
    return Cast(replace(made, shards=tuple(shards)), layout, addresses)
