"""Which host's nodes replicate which shards: the best shares by host first, single replicas only at the end.

Nodes of one host are interchangeable, and so are the shards whose primaries share a host. So nodes are not
matched with shards: units are shipped from hosts (so many nodes left for replicas) to needs (so many slots
for them). Every unit has a price, and each wish outweighs all lesser ones together, so the cheapest shipment
is the best one in the order that :func:`assign` states. What a need gets is dealt to its shards like cards,
sorted by zone, rack and host, so that the replicas of one shard are apart wherever the amounts allow it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest

from slotwright.cluster.topology import HostSpec
from slotwright.features.deploy.plan.transport import Transport


@dataclass(frozen=True, slots=True)
class Need:
    """``shards`` shards alike: primary on host number ``host``, replicas on the hosts ``present`` already.

    Shards of the file (``is_explicit``) are the last to get more replicas than the topology asks for.
    """

    host: int
    shards: int = 1
    present: tuple[int, ...] = ()
    is_explicit: bool = False


def shares_zone(one: HostSpec, other: HostSpec) -> bool:
    """True when both carry the same zone label; an empty label is never the same."""
    return one.zone != "" and one.zone == other.zone


def shares_rack(one: HostSpec, other: HostSpec) -> bool:
    """True when both carry the same rack label within the same zone (or without zones)."""
    return one.rack != "" and (one.zone, one.rack) == (other.zone, other.rack)


def rack_key(host: HostSpec) -> tuple[str, ...]:
    """What hosts of one rack have in common; a host without a label is a rack of its own."""
    return (host.zone, host.rack) if host.rack else ("", "", host.address)


def zone_key(host: HostSpec) -> tuple[str, ...]:
    """What hosts of one zone have in common; a rack without a zone is a zone of its own."""
    return (host.zone,) if host.zone else rack_key(host)


def assign(
    hosts: Sequence[HostSpec], supplies: Sequence[int], needs: Sequence[Need], replicas: int
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """For each need and each of its shards, the hosts of the replicas that it gets, preferred ones first.

    ``supplies`` says how many nodes of each host are to be replicas: all are used. In this order, as few as
    possible: nodes beyond ``replicas`` in a shard while another has fewer, replicas on their primary's host,
    uneven shares of the left-over nodes, two replicas of one shard on one host, replicas in their primary's
    zone, then in its rack, and replicas of one host's primaries together on one other host.
    """
    ring = _Ring.of(hosts)
    prices = _Prices.of(hosts, sum(supplies), needs, replicas)
    shipped = Transport(supplies, prices.slots(), prices.of_pair, ring.pairs(needs)).solve()
    return tuple(
        _deal(hosts, need, [host for host, units in got.items() for _ in range(units)], ring)
        for need, got in zip(needs, shipped, strict=True)
    )


def _deal(hosts: Sequence[HostSpec], need: Need, got: Sequence[int], ring: _Ring) -> tuple[tuple[int, ...], ...]:
    """The hosts that the need got, dealt to its shards; each shard's farthest from its primary come first."""

    def preference(host: int) -> tuple[bool, bool, bool, int]:
        one, other = hosts[need.host], hosts[host]
        steps = ring.distance(need.host, host)
        return host == need.host, shares_zone(one, other), shares_rack(one, other), steps

    cards = _by_place(hosts, sorted(got, key=lambda host: ring.distance(need.host, host)))
    return tuple(tuple(sorted(cards[shard :: need.shards], key=preference)) for shard in range(need.shards))


def _by_place(hosts: Sequence[HostSpec], numbers: Sequence[int]) -> list[int]:
    """``numbers`` with those of one zone, and therein of one rack, together; otherwise in the order given."""
    zones: dict[tuple[str, ...], int] = {}
    racks: dict[tuple[str, ...], int] = {}
    keys = {number: (zone_key(hosts[number]), rack_key(hosts[number])) for number in numbers}
    for zone, rack in keys.values():
        zones.setdefault(zone, len(zones))
        racks.setdefault(rack, len(racks))
    return sorted(numbers, key=lambda number: (zones[keys[number][0]], racks[keys[number][1]]))


@dataclass(frozen=True, slots=True)
class _Ring:
    """The hosts in a circle: neighbours in different zones and racks if possible, else in file order."""

    hosts: tuple[int, ...]
    places: tuple[int, ...]

    @classmethod
    def of(cls, hosts: Sequence[HostSpec]) -> _Ring:
        zones: dict[tuple[str, ...], dict[tuple[str, ...], list[int]]] = {}
        for number, host in enumerate(hosts):
            zones.setdefault(zone_key(host), {}).setdefault(rack_key(host), []).append(number)
        order = _interleave([_interleave(list(racks.values())) for racks in zones.values()])
        places = sorted(range(len(order)), key=order.__getitem__)
        return cls(tuple(order), tuple(places))

    def distance(self, start: int, host: int) -> int:
        """Steps from ``start`` onward to ``host``; a whole turn from a host to itself."""
        return (self.places[host] - self.places[start] - 1) % len(self.hosts) + 1

    def pairs(self, needs: Sequence[Need]) -> list[tuple[int, int]]:
        """All (host, need), the next neighbour of every need first, its own host last."""
        size = len(self.hosts)
        return [
            (self.hosts[(self.places[need.host] + steps) % size], number)
            for steps in range(1, size + 1)
            for number, need in enumerate(needs)
        ]


def _interleave(rows: Sequence[Sequence[int]]) -> list[int]:
    return [item for column in zip_longest(*rows) for item in column if item is not None]


@dataclass(frozen=True, slots=True)
class _Prices:
    """What each open wish costs, in powers of ``base``: each weight is more than all lighter ones can add up
    to.

    ``surplus`` nodes are left when all shards have ``replicas``; a shard has fewer than ``levels`` in any
    case.
    """

    hosts: Sequence[HostSpec]
    needs: Sequence[Need]
    replicas: int
    surplus: int
    levels: int
    base: int

    @classmethod
    def of(cls, hosts: Sequence[HostSpec], nodes: int, needs: Sequence[Need], replicas: int) -> _Prices:
        missing = sum(need.shards * max(0, replicas - len(need.present)) for need in needs)
        surplus = max(0, nodes - missing)
        most = max((len(need.present) for need in needs), default=0)
        return cls(hosts, needs, replicas, surplus, max(replicas, most) + surplus + 1, nodes + 1)

    def slots(self) -> list[list[int]]:
        """For each need, the prices of its successive replicas: rising, so that all shards fill up evenly."""
        return [
            [self._slot(need, depth) for depth in self._depths(need) for _ in range(need.shards)] for need in self.needs
        ]

    def of_pair(self, host: int, number: int, units: int) -> int:
        """The price of one more replica on ``host`` for the need that gets ``units`` from there already."""
        need = self.needs[number]
        one, other = self.hosts[need.host], self.hosts[host]
        price = 1 if units else 0
        if shares_rack(one, other):
            price += self.base
        if shares_zone(one, other):
            price += self.base**2
        if units >= need.shards - need.present.count(host):
            price += self.base**3
        return price + self.base**5 * self.levels if host == need.host else price

    def _depths(self, need: Need) -> range:
        """How many replicas a shard of the need can have before it gets its next one."""
        present = len(need.present)
        return range(present, max(self.replicas, present) + self.surplus)

    def _slot(self, need: Need, depth: int) -> int:
        if depth < self.replicas:
            return self.base**4 * depth
        return self.base**4 * (depth + need.is_explicit) + self.base**6 * self.levels
