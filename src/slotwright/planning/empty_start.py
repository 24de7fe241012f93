"""A primary without an append-only file must not be started while its replica still takes it for the primary.

It would come back empty, or with an old snapshot, and its replica would copy that: keys of the shard would be gone,
with the cluster calling itself sound all the time. Once the replica has taken over, the same start is harmless.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from slotwright.model.cluster import NodeView, Observation, Role
from slotwright.model.findings import Finding, Severity
from slotwright.model.topology import Address, Mode, Topology
from slotwright.wire.server_conf import effective_settings
from slotwright.wire.systemd_unit import Persistence, persistence_of


def empty_starts(topology: Topology, starting: Collection[Address], seen: Observation) -> Iterator[Finding]:
    """Findings that forbid the start, one for each such primary among ``starting``."""
    settings = effective_settings(topology.settings, topology.mode)
    kept = persistence_of(settings)
    if topology.mode is not Mode.CLUSTER or kept is Persistence.APPEND_ONLY:
        return
    back = "empty" if kept is Persistence.NONE else "with its last snapshot"
    for view in seen.views:
        primary = _primary_address(view)
        if primary in starting and view.health.keys:
            yield Finding(
                "empty-primary-start",
                Severity.SERIOUS,
                str(primary),
                f"started now, {primary} would come back {back} and its replica {view.address} would follow it",
                f"wait until {view.address} has taken over (after cluster-node-timeout), then run this again",
                seen=f"no append-only file; {view.health.keys} keys in the replica",
                risk="what the replica has beyond that would be gone",
            )


def _primary_address(view: NodeView) -> Address | None:
    """Of a replica: where it believes its primary to be, as long as that owns slots and was not voted out."""
    mine = view.myself
    if mine is None or mine.role is not Role.REPLICA or not mine.replica_of:
        return None
    primary = view.peer(mine.replica_of)
    return primary.address if primary is not None and primary.role is Role.PRIMARY and primary.slots else None
