"""What a placement could not have as one would wish: one finding a shard or a label, with what to change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import HostSpec, Topology
from slotwright.features.deploy.model import PlannedShard
from slotwright.features.deploy.plan.assignment import shares_rack, shares_zone

FEWEST_PRIMARIES = 3
"""A failover needs the votes of a majority of the primaries, so it takes three to survive the loss of one."""


def too_few_primaries(topology: Topology, number: int) -> Finding:
    """The finding for a file whose nodes make only ``found`` shards."""
    nodes, needed = len(topology.addresses), FEWEST_PRIMARIES * (1 + topology.replicas)
    explicit = len(topology.shards)
    return Finding(
        "too-few-primaries",
        Severity.SERIOUS,
        topology.name,
        f"the nodes make {_count(number, 'shard')}, and a cluster needs at least {FEWEST_PRIMARIES}",
        remedy=f"give the hosts more ports ({needed} nodes make {FEWEST_PRIMARIES} shards of "
        f"{_count(1 + topology.replicas, 'node')}), ask for fewer `replicas`, or use mode single",
        seen=f"{_count(nodes, 'node')}, replicas: {topology.replicas}, explicit shards: {explicit}",
        risk="a majority of the primaries must agree to a failover: with fewer than 3, none survives a loss",
    )


def unmet_preferences(topology: Topology, shards: Sequence[PlannedShard]) -> Iterator[Finding]:
    """All findings about ``shards``, the gravest kind first; nothing when there is nothing to wish for."""
    hosts = {host.address: host for host in topology.hosts}
    yield from _beside_primary(topology, shards)
    yield from _too_few_replicas(topology, shards)
    yield from _in_same("zone", hosts, shards, shares_zone)
    yield from _in_same("rack", hosts, shards, shares_rack)
    yield from _majority_on_one_host(topology, shards)
    yield from _extra_replicas(topology, shards)


def _majority_on_one_host(topology: Topology, shards: Sequence[PlannedShard]) -> Iterator[Finding]:
    """With two hosts, one of them always holds the votes that a failover needs; on one host it goes without saying."""
    held = Counter(shard.primary.host for shard in shards)
    if len(topology.hosts) < 2:
        return
    for host, count in held.items():
        if 2 * count >= len(shards):
            yield Finding(
                "majority-on-one-host",
                Severity.WARNING,
                host,
                f"{count} of {len(shards)} primaries are on {host}: without it no majority is left",
                remedy="spread the nodes over three hosts or more",
                seen=f"a failover needs the votes of {len(shards) // 2 + 1} primaries",
                risk=f"if {host} dies, no replica is promoted, wherever it is",
            )


def _beside_primary(topology: Topology, shards: Sequence[PlannedShard]) -> Iterator[Finding]:
    written = {replica for shard in topology.shards for replica in shard.replicas}
    tally = _tally(topology, shards)
    for shard in shards:
        host = shard.primary.host
        beside = [replica for replica in shard.replicas if replica.host == host]
        if not beside:
            continue
        is_written = not written.isdisjoint(beside)
        why = "the file's own `shards` say so" if is_written else "the other hosts have too few nodes"
        change = f"name a replica outside {host}" if is_written else f"move ports from {host} to other hosts"
        yield Finding(
            "replica-beside-primary",
            Severity.WARNING if topology.allow_colocated_replicas else Severity.SERIOUS,
            f"shard {shard.number}",
            f"primary {shard.primary} and replica {_listed(beside)} share the host {host}: {why}",
            remedy=f"{change}, or accept it with `allow_colocated_replicas: true`",
            seen=tally[host],
            risk=f"when {host} dies, primary and replica die together and the shard's slots are lost",
        )


def _tally(topology: Topology, shards: Sequence[PlannedShard]) -> dict[str, str]:
    """For each host, the evidence: how much of the cluster is on it."""
    primaries = Counter(shard.primary.host for shard in shards)
    nodes = len(topology.addresses)
    return {
        host.address: f"{host.address} has {len(host.ports)} of the {nodes} nodes and "
        f"{primaries[host.address]} of the {len(shards)} primaries"
        for host in topology.hosts
    }


def _too_few_replicas(topology: Topology, shards: Sequence[PlannedShard]) -> Iterator[Finding]:
    wanted = topology.replicas
    for shard in shards:
        number = len(shard.replicas)
        if number < wanted:
            yield Finding(
                "too-few-replicas",
                Severity.WARNING,
                f"shard {shard.number}",
                f"the shard of {shard.primary} has {number} of {_count(wanted, 'replica')}: no node is left",
                remedy="give the hosts more ports, or ask for fewer `replicas`",
                seen=f"replicas: {_listed(shard.replicas) or 'none'}",
                risk="the shard survives fewer losses than the file asks for",
            )


def _in_same(
    kind: str,
    hosts: dict[str, HostSpec],
    shards: Sequence[PlannedShard],
    is_shared: Callable[[HostSpec, HostSpec], bool],
) -> Iterator[Finding]:
    """One finding for each zone or rack that holds primaries together with their replicas on other hosts."""
    values: dict[str, list[str]] = {}
    for shard in shards:
        primary = hosts[shard.primary.host]
        for replica in shard.replicas:
            other = hosts[replica.host]
            if other is not primary and is_shared(primary, other):
                values.setdefault(_label(kind, other), []).append(f"{replica} of shard {shard.number}")
    for label, replicas in values.items():
        more = f" and {len(replicas) - 5} more" if len(replicas) > 5 else ""
        yield Finding(
            f"replica-in-same-{kind}",
            Severity.WARNING,
            label,
            f"{label} holds {_count(len(replicas), 'replica')} together with the primary",
            remedy=f"give hosts outside {label} more ports, or name other replicas in `shards`",
            seen=_listed(replicas[:5]) + more,
            risk=f"when {label} fails, such a shard loses its primary and this replica together",
        )


def _label(kind: str, host: HostSpec) -> str:
    if kind == "zone":
        return f"zone {host.zone}"
    return f"rack {host.rack} in zone {host.zone}" if host.zone else f"rack {host.rack}"


def _extra_replicas(topology: Topology, shards: Sequence[PlannedShard]) -> Iterator[Finding]:
    written = {replica for shard in topology.shards for replica in shard.replicas}
    extras = {
        shard: extra
        for shard in shards
        if (extra := [r for r in shard.replicas[topology.replicas :] if r not in written])
    }
    nodes = [node for extra in extras.values() for node in extra]
    if nodes:
        yield Finding(
            "extra-replicas",
            Severity.NOTE,
            _listed(f"shard {shard.number}" for shard in extras),
            f"{_count(len(nodes), 'node')} left over when all shards were complete: an extra replica each",
            remedy=f"for one more shard, add {_count(1 + topology.replicas - len(nodes), 'port')}",
            seen=_listed(nodes),
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _listed(items: Iterable[object]) -> str:
    return ", ".join(map(str, items))
