"""Survey -> manual failovers: which replica may take over, by which way, and what forbids it.

A plain ``CLUSTER FAILOVER`` loses nothing: the primary stops its clients, the replica takes the rest, and only then
votes are asked for (cluster.c, manual failover). It needs a primary that answers. ``FORCE`` skips that primary but
still needs the votes of most primaries; what was not copied yet is lost with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotwright.model.blueprint import Blueprint
from slotwright.model.cluster import Link, Role
from slotwright.model.findings import Finding, Severity
from slotwright.model.survey import Survey, SurveyNode
from slotwright.model.topology import Address, Mode


@dataclass(frozen=True, slots=True)
class Handover:
    """``replica`` takes the place of ``primary`` in ``shard``. ``is_forced``: the primary does not answer."""

    replica: Address
    replica_id: str
    primary: str
    primary_id: str
    shard: int
    is_forced: bool = False


def plan_handover(survey: Survey, address: Address, *, may_force: bool) -> Handover | Finding | None:
    """The failover to the node at ``address``; None: it is a primary already; a Finding: why it can't be done now."""
    node = next((each for each in survey.nodes if each.address == address), None)
    if survey.mode is Mode.SINGLE or node is None:
        return _no(address, "there is no replica", "slotwright status shows the nodes")
    if node.role is Role.PRIMARY and node.slots:
        return None
    primary = survey.primary_of(node)
    if node.trouble or primary is None or node.shard is None:
        return _no(address, f"it can't take over: {node.trouble or 'it follows nobody'}", "slotwright check")
    if not _has_majority(survey):
        return _no(
            address,
            "most primaries are away, and without their votes no replica is promoted",
            "bring primaries back: slotwright start",
        )
    step = Handover(address, node.id, primary.place, primary.id, node.shard, is_forced=bool(primary.trouble))
    if primary.trouble and not may_force:
        return _no(
            address,
            f"its primary {primary.place} does not answer ({primary.trouble}), so it can't hand over what it has",
            "wait for the servers' own failover (cluster-node-timeout), or add --force: what its replica has not "
            "got yet is lost",
        )
    if not primary.trouble and node.link is not Link.UP:
        return _no(address, f"its link to {primary.place} is down: its copy is old", "slotwright check says why")
    return step


def handovers_to_plan(survey: Survey, blueprint: Blueprint) -> tuple[tuple[Handover, ...], tuple[Finding, ...]]:
    """What brings the primaries back to where the file wants them, shard by shard, and what stands in the way."""
    steps: list[Handover] = []
    obstacles: list[Finding] = []
    for wanted in _displaced(survey, blueprint):
        found = plan_handover(survey, wanted, may_force=False)
        if isinstance(found, Handover):
            steps.append(found)
        elif isinstance(found, Finding):
            obstacles.append(found)
    return tuple(steps), tuple(obstacles)


def _displaced(survey: Survey, blueprint: Blueprint) -> Iterator[Address]:
    roles = {node.id: node for node in survey.nodes}
    for shard in blueprint.shards:
        node = roles.get(shard.primary.id)
        if node is not None and not (node.role is Role.PRIMARY and node.slots):
            yield shard.primary.address


def _has_majority(survey: Survey) -> bool:
    owners = [node for node in survey.nodes if node.role is Role.PRIMARY and node.slots]
    return sum(not _is_away(node) for node in owners) * 2 > len(owners)


def _is_away(node: SurveyNode) -> bool:
    return bool(node.trouble)


def _no(address: Address, why: str, remedy: str) -> Finding:
    return Finding(
        "failover-impossible", Severity.SERIOUS, str(address), f"{address} can't become primary: {why}", remedy
    )
