"""Starts that would lose what a copy has: refused by `up`, `start` and `drill`, done in a safe order by `repair`.

A primary whose disk has less than its replica would be copied by it: keys of the shard would be gone, with the cluster
calling itself sound all the time. Once the replica has taken over, the same start is harmless. And a replica that comes
back copies who leads by now: where that one's data is no continuation of its own, somebody has to say so.
"""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.topology import Address, Mode, Topology
from slotwright.health.permission import Answer, Copies, Judgement, Start, may
from slotwright.hosts.scripts.systemd_unit import Persistence


def forbidden_starts(topology: Topology, copies: Copies) -> Iterator[Finding]:
    """Findings that forbid the start of a node that is at rest, one for each of them.

    ``copies.disks`` are those of :func:`~slotwright.health.disk_copies.disks_to_read`, where the nodes keep an
    append-only file; without one the file's settings alone tell that a start brings back less.
    """
    if topology.mode is not Mode.CLUSTER:
        return
    for node in copies.members.nodes:
        if node.address not in copies.at_rest:
            continue
        judgement = may(Start(node.address), copies)
        if judgement.answer is Answer.NO:
            yield _emptier(topology.name, node.address, judgement, copies)
        elif judgement.answer is Answer.ASK:
            yield Finding(
                "other-history",
                Severity.SERIOUS,
                str(node.address),
                f"started now, {node.address} would copy {judgement.other} over what it has",
                f"slotwright repair {topology.name}: it asks, and archives the files first",
                seen=judgement.why,
                risk="if its files have the right data, that is gone",
            )


def _emptier(name: str, address: Address, judgement: Judgement, copies: Copies) -> Finding:
    view = copies.seen.view_of(judgement.other) if judgement.other else None
    held = f"{view.health.keys} keys in the replica" if view else "the replica does not answer now"
    back = {Persistence.APPEND_ONLY: "with less than it had", Persistence.NONE: "empty"}
    return Finding(
        "empty-primary-start",
        Severity.SERIOUS,
        str(address),
        f"started now, {address} would come back {back.get(copies.persistence, 'with its last snapshot')} and its "
        f"replica {judgement.other} would follow it",
        f"slotwright repair {name}: the replica takes over first, and this node comes back behind it",
        seen=f"{judgement.why}; {held}",
        risk="what the replica has beyond that would be gone",
    )
