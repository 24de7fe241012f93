"""Which node is primary, which replicates whom: from the topology alone, the same every time.

Counts come first, nodes last. The nodes that no explicit shard names are shared out: short explicit shards
are topped up, the rest makes new shards of one primary and R replicas, what is left over becomes extra
replicas. Then every host gets a number of primaries, and ``assignment`` says which hosts replicate which;
only then are ports dealt out, a host's first ones to its primaries.

How many primaries a host may have without losing the host rule: T replicas are to be dealt, of which host h
holds f - p (its free nodes less its new primaries), and its primaries need B + pR (B: top-ups of its explicit
shards). They can all avoid h exactly when (f - p) + (B + pR) <= T for every h. So for R = 1 the choice of
primaries does not matter, and for more, p <= (T - f - B) / (R - 1).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from slotwright.cluster.slots import split_evenly
from slotwright.cluster.topology import Address, HostSpec, Mode, ShardSpec, Topology
from slotwright.features.deploy.model import Placement, PlannedShard
from slotwright.features.deploy.plan.assignment import Need, assign, rack_key, zone_key
from slotwright.features.deploy.plan.placement_findings import FEWEST_PRIMARIES, too_few_primaries, unmet_preferences


def place(topology: Topology) -> Placement:
    """The shards of ``topology``: every address in exactly one place, explicit shards as the file has them.

    Explicit shards come first, the others follow port by port and host by host. No replica is on its
    primary's host if the numbers of nodes allow that at all; where they don't, and where lesser wishes stay
    open, a finding says so. With fewer than three shards there is no placement, only the finding.
    """
    if topology.mode is Mode.SINGLE:
        return Placement((PlannedShard(1, split_evenly(1)[0], topology.addresses[0]),))
    topology = replace(topology, hosts=_machines(topology.hosts))
    pool = _FreePorts.of(topology)
    count = len(topology.shards) + pool.new_shards
    if count < FEWEST_PRIMARIES:
        return Placement((), (too_few_primaries(topology, count),))
    chosen = topology.shards + tuple(map(ShardSpec, _new_primaries(topology, pool)))
    complete = zip(split_evenly(count), _with_replicas(topology, pool, chosen), strict=True)
    planned = tuple(
        PlannedShard(number, slots, shard.primary, shard.replicas) for number, (slots, shard) in enumerate(complete, 1)
    )
    return Placement(planned, tuple(unmet_preferences(topology, planned)))


def _machines(hosts: Sequence[HostSpec]) -> tuple[HostSpec, ...]:
    """One entry a machine: entries with the same address are one host, with the labels of the first."""
    merged: dict[str, HostSpec] = {}
    for host in hosts:
        first = merged.get(host.address)
        merged[host.address] = replace(first, ports=first.ports + host.ports) if first else host
    return tuple(merged.values())


@dataclass(frozen=True, slots=True)
class _FreePorts:
    """For each host its nodes that no explicit shard names; and how many shards are to be made of these."""

    free: tuple[tuple[Address, ...], ...]
    new_shards: int

    @classmethod
    def of(cls, topology: Topology) -> _FreePorts:
        named = {address for shard in topology.shards for address in (shard.primary, *shard.replicas)}
        free = tuple(tuple(a for a in host.node_addresses if a not in named) for host in topology.hosts)
        missing = sum(_missing(topology, shard) for shard in topology.shards)
        spare = max(0, sum(map(len, free)) - missing)
        return cls(free, spare // (1 + topology.replicas))

    @property
    def new_replicas(self) -> int:
        """How many of the free nodes become replicas."""
        return sum(map(len, self.free)) - self.new_shards


def _missing(topology: Topology, shard: ShardSpec) -> int:
    return max(0, topology.replicas - len(shard.replicas))


def _new_primaries(topology: Topology, pool: _FreePorts) -> list[Address]:
    """The primaries of the new shards: each host's first free nodes, by turns."""
    counts = _primaries_per_host(topology, pool)
    return [
        free[turn]
        for turn in range(max(counts, default=0))
        for free, count in zip(pool.free, counts, strict=True)
        if turn < count
    ]


def _primaries_per_host(topology: Topology, pool: _FreePorts) -> list[int]:
    """How many new primaries each host gets: one at a time, to where the fewest are by host, zone, rack."""
    keys = list(map(_domains, topology.hosts))
    numbers = _numbers(topology)
    load = Counter(key for shard in topology.shards for key in keys[numbers[shard.primary.host]])
    limits = _limits(topology, pool)
    counts = [0] * len(keys)

    def crowding(number: int) -> tuple[bool, list[int]]:
        return counts[number] >= limits[number], [load[key] for key in keys[number]]

    for _ in range(pool.new_shards):
        open_hosts = (number for number, free in enumerate(pool.free) if counts[number] < len(free))
        best = min(open_hosts, key=crowding)
        counts[best] += 1
        load.update(keys[best])
    return counts


def _domains(host: HostSpec) -> tuple[tuple[str, ...], ...]:
    """What can fail with the host, in the order in which primaries are spread over it."""
    return ("host", host.address), ("zone", *zone_key(host)), ("rack", *rack_key(host))


def _limits(topology: Topology, pool: _FreePorts) -> list[int]:
    """The most new primaries that each host can have under the host rule (see the top of the module)."""
    if topology.replicas <= 1:
        return [len(free) for free in pool.free]
    top_ups = Counter[str]()
    for shard in topology.shards:
        top_ups[shard.primary.host] += _missing(topology, shard)
    return [
        (pool.new_replicas - len(free) - top_ups[host.address]) // (topology.replicas - 1)
        for host, free in zip(topology.hosts, pool.free, strict=True)
    ]


def _with_replicas(topology: Topology, pool: _FreePorts, shards: Sequence[ShardSpec]) -> list[ShardSpec]:
    """``shards`` with all free nodes that are not primaries added as replicas, ports in the file's order."""
    primaries = {shard.primary for shard in shards}
    left = [[address for address in free if address not in primaries] for free in pool.free]
    groups = _groups(topology, shards)
    answers = assign(topology.hosts, list(map(len, left)), list(groups), topology.replicas)
    added: dict[int, tuple[int, ...]] = {}
    for members, answer in zip(groups.values(), answers, strict=True):
        added.update(zip(members, answer, strict=True))
    ports = list(map(iter, left))
    return [
        ShardSpec(shard.primary, shard.replicas + tuple(next(ports[host]) for host in added[index]))
        for index, shard in enumerate(shards)
    ]


def _groups(topology: Topology, shards: Sequence[ShardSpec]) -> dict[Need, list[int]]:
    """What the shards need, each with the indices of the shards that need just this, in order."""
    numbers = _numbers(topology)
    alike: dict[tuple[int, tuple[int, ...], bool], list[int]] = {}
    for index, shard in enumerate(shards):
        present = tuple(sorted(numbers[replica.host] for replica in shard.replicas))
        kind = numbers[shard.primary.host], present, index < len(topology.shards)
        alike.setdefault(kind, []).append(index)
    return {
        Need(host, len(members), present, is_explicit): members
        for (host, present, is_explicit), members in alike.items()
    }


def _numbers(topology: Topology) -> dict[str, int]:
    return {host.address: number for number, host in enumerate(topology.hosts)}
