"""Survey -> manual failovers: which replica may take over, by which way, and what forbids it.

A plain ``CLUSTER FAILOVER`` loses nothing: the primary stops its clients, the replica takes the rest, and only then
votes are asked for (cluster.c, manual failover). It needs a primary that answers its replica, not us. ``FORCE`` skips
that primary but still needs the votes of most primaries; what was not copied yet is lost with it. So nothing is forced
over a primary of which nobody says that it is dead: neither the majority of primaries, nor its host.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from slotwright.cluster.blueprint import Blueprint
from slotwright.cluster.findings import Finding, Severity
from slotwright.cluster.observation import Link, NodeView, Observation, Role
from slotwright.cluster.survey import Survey, SurveyNode
from slotwright.cluster.topology import Address, Mode
from slotwright.health.permission import Answer, Copies, Lead, may
from slotwright.hosts.facts.exam import HostExam, exam_of


@dataclass(frozen=True, slots=True)
class FailoverStep:
    """``replica`` takes the place of ``primary`` in ``shard``. ``is_forced``: the primary does not answer."""

    replica: Address
    replica_id: str
    primary: str
    primary_id: str
    shard: int
    is_forced: bool = False

    kind = "failover"

    @property
    def where(self) -> str:
        """The replica."""
        return str(self.replica)

    @property
    def what(self) -> str:
        """In words."""
        return f"failover of shard {self.shard}: {self.replica} takes over from {self.primary}"


def plan_failover(
    survey: Survey, address: Address, *, may_force: bool, exams: tuple[HostExam, ...] = ()
) -> FailoverStep | Finding | None:
    """The failover to the node at ``address``; None: it is a primary already; a Finding: why it can't be done now.

    ``exams`` are what the hosts say of the processes, where they can be asked.
    """
    node = next((candidate for candidate in survey.nodes if candidate.address == address), None)
    if survey.mode is Mode.SINGLE or node is None:
        return _no(address, "there is no replica", "slotwright status shows the nodes")
    if node.role is Role.PRIMARY and node.slots:
        return None
    primary = survey.primary_of(node)
    if node.trouble or primary is None or node.shard is None:
        alone = f"it follows {primary.place}, which owns no slots" if primary else "it follows nobody"
        return _no(address, f"it can't take over: {node.trouble or alone}", "slotwright check")
    if not _has_majority(survey):
        return _no(
            address,
            "most primaries are away, and without their votes no replica is promoted",
            "bring primaries back: slotwright start",
        )
    step = FailoverStep(address, node.id, primary.place, primary.id, node.shard, is_forced=not primary.serves)
    if not primary.serves and not may_force:
        return _no(
            address,
            f"its primary {primary.place} does not answer ({primary.trouble}), so it can't hand over what it has",
            "wait for the servers' own failover (cluster-node-timeout), or add --force: what its replica has not "
            "got yet is lost",
        )
    if not primary.serves and not _is_dead(primary, exams):
        return _no(
            address,
            f"its primary {primary.place} does not answer us ({primary.trouble}), and nobody says that it is dead: "
            "most primaries do not hold it failed, and its host does not say that its process is gone",
            "wait until the others hold it failed (cluster-node-timeout); slotwright check",
        )
    if primary.serves and node.link is not Link.UP:
        return _no(address, f"its link to {primary.place} is down: its copy is old", "slotwright check says why")
    return step


def loses_later_copy(step: FailoverStep, copies: Copies) -> Finding | None:
    """Why another replica should lead than the chosen one, where the primary can't hand over what it has."""
    judgement = may(Lead(step.replica_id, step.primary_id), copies) if step.is_forced else None
    if judgement is None or judgement.answer is Answer.YES:
        return None
    if judgement.answer is Answer.NO and judgement.other is not None:
        remedy = f"slotwright failover {judgement.other} --force"
    else:
        remedy = "slotwright repair asks which copy is right, and archives the files first"
    return _no(step.replica, judgement.why, remedy)


def failovers_to_plan(survey: Survey, blueprint: Blueprint) -> tuple[tuple[FailoverStep, ...], tuple[Finding, ...]]:
    """What brings the primaries back to where the file wants them, shard by shard, and what stands in the way."""
    steps: list[FailoverStep] = []
    obstacles: list[Finding] = []
    for wanted in _displaced(survey, blueprint):
        failover_step = plan_failover(survey, wanted, may_force=False)
        if isinstance(failover_step, FailoverStep):
            steps.append(failover_step)
        elif isinstance(failover_step, Finding):
            obstacles.append(failover_step)
    return tuple(steps), tuple(obstacles)


def unsettled(step: FailoverStep, observation: Observation) -> str:
    """What is missing until every node that answers agrees and the former primary, if it answers, is a replica in sync;
    "" when all is as it should be."""
    own = next((view.myself for view in observation.views if view.id == step.replica_id), None)
    if own is None:
        return f"{step.replica} does not answer"
    for view in observation.views:
        heir = view.peer(step.replica_id)
        if heir is None or heir.role is not Role.PRIMARY or heir.slots != own.slots or not own.slots:
            return f"{view.address} does not know it yet"
    former = next((view for view in observation.views if view.id == step.primary_id), None)
    if former is None:
        return ""
    if not _follows(former, step.replica_id):
        return f"{former.address} does not follow it yet"
    for view in observation.views:
        line = view.peer(step.primary_id)
        if line is None or line.replica_of != step.replica_id:
            return f"{view.address} does not know yet that {former.address} follows it"
    return ""


def _follows(former: NodeView, heir_id: str) -> bool:
    mine = former.myself
    return mine is not None and mine.replica_of == heir_id and former.replication.link is Link.UP


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
    return not node.serves


def _is_dead(primary: SurveyNode, exams: tuple[HostExam, ...]) -> bool:
    exam = exam_of(exams, primary.address)
    return primary.is_held_failed or (exam is not None and exam.process is None and not exam.directory.hides_process)


def _no(address: Address, why: str, remedy: str) -> Finding:
    return Finding(
        "failover-impossible", Severity.SERIOUS, str(address), f"{address} can't become primary: {why}", remedy
    )
