"""A primary whose disk has less than its replica must not be started while that replica would follow it.

It would come back empty, or with less, and its replica would copy that: keys of the shard would be gone, with the
cluster calling itself sound all the time. Once the replica has taken over, the same start is harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Observation
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.health.disk_copies import Follower, followers, why_behind
from slotwright.hosts.facts.disk import NodeDisk
from slotwright.hosts.scripts.systemd_unit import Persistence, persistence_of
from slotwright.server.server_conf import effective_settings


def empty_starts(
    topology: Topology,
    members: Blueprint,
    starting: Collection[Address],
    seen: Observation,
    disks: Mapping[Address, NodeDisk] | None = None,
) -> Iterator[Finding]:
    """Findings that forbid the start, one for each such primary among ``starting``.

    ``disks`` are those of :func:`~slotwright.health.disk_copies.disks_to_read`, where the nodes keep an append-only
    file; without one the file's settings alone tell that a start brings back less.
    """
    if topology.mode is not Mode.CLUSTER:
        return
    kept = persistence_of(effective_settings(topology.settings, topology.mode))
    for follower in followers(seen, members, starting):
        if kept is Persistence.APPEND_ONLY:
            mine, copy = (disks or {}).get(follower.primary), (disks or {}).get(follower.address)
            why, back = why_behind(mine, copy, is_at_rest=follower.address in starting), "with less than it had"
        elif follower.view is not None:
            why, back = "no append-only file", "empty" if kept is Persistence.NONE else "with its last snapshot"
        else:
            continue
        if why:
            yield _refused(topology.name, follower, why, back)


def _refused(name: str, follower: Follower, why: str, back: str) -> Finding:
    held = f"{follower.view.health.keys} keys in the replica" if follower.view else "the replica does not answer now"
    return Finding(
        "empty-primary-start",
        Severity.SERIOUS,
        str(follower.primary),
        f"started now, {follower.primary} would come back {back} and its replica {follower.address} would follow it",
        f"slotwright repair {name}: the replica takes over first, and this node comes back behind it",
        seen=f"{why}; {held}",
        risk="what the replica has beyond that would be gone",
    )
