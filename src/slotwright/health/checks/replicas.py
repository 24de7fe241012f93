"""Replicas and their primaries: links, lag, shards without a replica, one host for both, roles that moved."""

from __future__ import annotations

from collections.abc import Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, Role
from slotwright.cluster.survey import SurveyNode
from slotwright.health.check_context import CheckContext
from slotwright.health.checks.disk import log_remedy
from slotwright.health.checks.login import login_finding
from slotwright.health.members import misannounced, misdirections, misplaced_replicas
from slotwright.server.capabilities.data_files import can_read_data

LAG_LIMIT_BYTES = 1024 * 1024


def replica_links(case: CheckContext) -> Iterator[Finding]:
    """Replicas that are not in sync, with the cause where it is known."""
    faults = dict(case.observation.login_faults)
    dead = {node.id for node in case.survey.nodes if not node.is_reachable or node.trouble == "loading"}
    lost = {
        (misdirection.via, misdirection.node_id) for misdirection in misdirections(case.observation, case.blueprint)
    }
    dead |= {node.node_id for node in misannounced(case.observation, case.blueprint) if node.lost}
    for node, view in case.views():
        if node.link is not Link.DOWN or node.replica_of in dead or (view.address, node.replica_of) in lost:
            continue
        fault = faults.get(view.address)
        if fault is not None:
            yield login_finding(case, node, fault)
            continue
        if (outdated := _outdated(case, node)) is not None:
            yield outdated
            continue
        state = "is copying its primary's data" if view.replication.is_syncing else "has lost its primary"
        yield Finding(
            "replica-link-down",
            Severity.WARNING if view.replication.is_syncing else Severity.SERIOUS,
            node.place,
            f"the replica of {node.shard_title} {state}",
            "wait for the copy to end" if view.replication.is_syncing else log_remedy(case, node),
            seen=f"link down for {view.replication.down_s} s" if view.replication.down_s else "",
            risk=f"{node.shard_title} has one copy less",
        )


def _outdated(case: CheckContext, node: SurveyNode) -> Finding | None:
    """A replica without a link whose server does not know the format of what its primary sends."""
    primary = case.survey.primary_of(node)
    if primary is None or primary.version is None or node.version is None:
        return None
    if can_read_data(node.version, primary.version):
        return None
    return Finding(
        "replica-too-old",
        Severity.SERIOUS,
        node.place,
        f"the replica of {node.shard_title} runs {node.version.title}, which can't load the data of "
        f"{primary.version.title}",
        f"upgrade it to the version of its primary {primary.place}; the next time replicas first, primaries last",
        seen="its link is down",
        risk=f"{node.shard_title} has one copy less; each try is a full copy",
    )


def lagging_replicas(case: CheckContext) -> Iterator[Finding]:
    """Replicas that are far behind."""
    for node in case.survey.nodes:
        if (node.lag_bytes or 0) > LAG_LIMIT_BYTES:
            yield Finding(
                "replica-lagging",
                Severity.WARNING,
                node.place,
                f"the replica is {(node.lag_bytes or 0) / 1048576:.1f} MB behind its primary",
                "look at its network and its disk",
                risk="that much is lost if the primary dies now",
            )


def bare_primaries(case: CheckContext) -> Iterator[Finding]:
    """Shards without any replica, where the cluster has replicas elsewhere or the file wants them."""
    wants = any(node.role is Role.REPLICA for node in case.survey.nodes) or (
        case.expected is not None and any(shard.replicas for shard in case.expected.blueprint.shards)
    )
    misplaced = tuple(misplaced_replicas(case.survey, case.blueprint))
    for node in case.survey.nodes:
        if not wants or not node.slots or node.shard is None:
            continue
        others = [other for other in case.survey.shard(node.shard) if other is not node]
        if any(lost.owner.id == node.id and not lost.is_needed for lost in misplaced):
            continue
        # A member of the shard that is away has been named with what its absence risks.
        if all(other.role is Role.PRIMARY and other.is_reachable and not other.trouble for other in others):
            yield Finding(
                "shard-without-replica",
                Severity.WARNING,
                node.place,
                f"shard {node.shard} has no replica",
                "give it one: CLUSTER REPLICATE on a node without slots",
                risk="the shard is lost with this node",
            )


def colocated_replicas(case: CheckContext) -> Iterator[Finding]:
    """A replica on its primary's host, also when a failover made it so."""
    if case.expected is not None and case.expected.allow_colocated_replicas:
        return
    for node in case.survey.nodes:
        primary = case.survey.primary_of(node)
        if primary is None or node.address is None or primary.address is None or node.shard is None:
            continue
        if node.address.host == primary.address.host and not _is_one_machine(case):
            yield Finding(
                "replica-beside-primary",
                Severity.WARNING,
                node.place,
                f"the replica of shard {node.shard} is on its primary's host",
                "move one of them to another host",
                risk=f"the death of {node.address.host} takes the whole shard",
            )


def moved_roles(case: CheckContext) -> Iterator[Finding]:
    """Shards whose primary is not the one that the file wants: a failover happened."""
    if case.expected is None:
        return
    shard_of = {node.id: node.shard for node in case.expected.blueprint.nodes}
    owners: dict[int, SurveyNode] = {}
    for node in case.survey.nodes:
        if node.slots and node.id in shard_of:
            owners.setdefault(shard_of[node.id], node)
    for shard in case.expected.blueprint.shards:
        owner = owners.get(shard.number)
        if owner is not None and owner.id != shard.primary.id and owner.is_reachable:
            yield Finding(
                "role-moved",
                Severity.NOTE,
                owner.place,
                f"a failover made it the primary of shard {shard.number}, in place of {shard.primary.address}",
                f"none needed; to bring it back: slotwright failover {shard.primary.address}",
            )


def _is_one_machine(case: CheckContext) -> bool:
    return len({node.address.host for node in case.survey.nodes if node.address}) == 1
