"""Mode, nodes and roles together: whether there are enough nodes for what the file asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.adapters.topology.engine import HostPlaces
from slotwright.adapters.topology.hosts import read_hosts
from slotwright.adapters.topology.lines import KeyPath
from slotwright.adapters.topology.schema import Report, RootPart
from slotwright.adapters.topology.shards import read_shards
from slotwright.cluster.topology import Address, HostSpec, Mode, ShardSpec

FEWEST_PRIMARIES = 3
"""A failover is a vote of the primaries: with fewer than three, none survives the loss of one."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What was right in the nodes' part of the file; whole only when the report has no problem."""

    mode: Mode
    hosts: tuple[HostSpec, ...]
    replicas: int
    shards: tuple[ShardSpec, ...]
    reach: HostPlaces

    @property
    def addresses(self) -> tuple[Address, ...]:
        """Every node, host by host."""
        return tuple(address for host in self.hosts for address in host.node_addresses)


def read_layout(root: RootPart, base: Path, report: Report) -> Layout:
    """Mode, hosts with their ports, replicas and shards of ``root``; problems go to ``report``.

    ``base`` is the folder of relative paths.
    """
    mode = Mode(root.mode or Mode.CLUSTER)
    has_bus = mode is Mode.CLUSTER and report.is_clean("mode")
    hosts = read_hosts(root, has_bus, base, report)
    usual = 1 if mode is Mode.CLUSTER else 0
    replicas = usual if root.replicas is None else root.replicas
    layout = Layout(mode, hosts, replicas, read_shards(root, hosts, report), _reach(root, hosts, report))
    if mode is Mode.SINGLE:
        _check_single(root, layout, report)
    elif has_bus:
        _check_count(root, layout, report)
    return layout


def _reach(root: RootPart, hosts: Sequence[HostSpec], report: Report) -> HostPlaces:
    is_remote = root.ssh is not None or any(host.ssh is not None for host in hosts)
    is_clear = report.is_clean("ssh") and all(report.is_clean("hosts", at, "ssh") for at in range(len(hosts)))
    return HostPlaces(is_remote, is_local=is_clear and bool(hosts) and not is_remote)


def _check_single(root: RootPart, layout: Layout, report: Report) -> None:
    """One host, one port, and nothing that only a cluster has."""
    if root.hosts and len(root.hosts) > 1:
        report.problem(f"mode: single needs exactly one host, not {len(root.hosts)}", "hosts")
    elif report.is_clean("hosts") and report.is_clean("ports") and len(layout.addresses) > 1:
        key: KeyPath = ("hosts", 0, "ports") if _has_own_ports(root) else ("ports",)
        report.problem(f"mode: single needs exactly one port, not {len(layout.addresses)}", *key)
    if layout.replicas:
        report.problem("mode: single has no replicas", "replicas", hint="remove it, or use mode: cluster")
    if root.shards:
        report.problem("mode: single has no shards", "shards", hint="remove them, or use mode: cluster")


def _has_own_ports(root: RootPart) -> bool:
    first = (root.hosts or [None])[0]
    return isinstance(first, Mapping) and first.get("ports") is not None


def _check_count(root: RootPart, layout: Layout, report: Report) -> None:
    """At least three primaries, from the explicit shards and from what the other nodes can make."""
    if not all(report.is_clean(key) for key in ("hosts", "ports", "replicas", "shards")):
        return
    group = 1 + layout.replicas
    nodes = len(layout.addresses)
    explicit = len(layout.shards)
    free = nodes - sum(1 + len(shard.replicas) for shard in layout.shards)
    primaries = explicit + free // group
    if primaries >= FEWEST_PRIMARIES:
        return
    missing = (FEWEST_PRIMARIES - explicit) * group - free
    key = "shards" if explicit else "replicas" if root.replicas is not None else "hosts"
    report.problem(_describe_count(nodes, layout, primaries), key, hint=_count_hint(nodes, missing, layout))


def _describe_count(nodes: int, layout: Layout, primaries: int) -> str:
    text = f"{_many(layout.replicas, 'replica')} for each primary" if layout.replicas else "no replicas"
    parts = f"{_many(nodes, 'node')} with {text}"
    if layout.shards:
        parts = f"{_many(len(layout.shards), 'explicit shard')} and the other nodes"
    made = _many(primaries, "primary", "primaries")
    verb = "makes" if nodes == 1 else "make"
    return f"{parts} {verb} {made}; a cluster needs at least {FEWEST_PRIMARIES}"


def _count_hint(nodes: int, missing: int, layout: Layout) -> str:
    more = f"add {_many(missing, 'node')} (hosts or ports)"
    fitting = nodes // FEWEST_PRIMARIES - 1
    if not layout.shards and 0 <= fitting < layout.replicas:
        return f"{more}, or set replicas to {fitting}"
    return f"{more}, or use mode: single" if nodes == 1 else more


def _many(count: int, one: str, many: str = "") -> str:
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"
