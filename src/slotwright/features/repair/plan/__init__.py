"""Situation -> plan of repairs, stage by stage. Only the first stage is done before the next look.

Later stages stand on what the earlier ones bring about: slots are not settled while a member is still to be started,
and nothing is forgotten, assigned or settled from a minority of primaries. What the plan has no step for stays among
the findings, with its own remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slotwright.cluster.findings import Finding, Severity
from slotwright.features.repair.model import Await, RepairPlan, RepairStep
from slotwright.features.repair.plan.members import (
    address_steps,
    announce_steps,
    astray_steps,
    follower_steps,
    forget_steps,
    password_steps,
    promotion_steps,
    start_steps,
)
from slotwright.features.repair.plan.refusals import refusals
from slotwright.features.repair.plan.repair_input import RepairInput
from slotwright.features.repair.plan.slots import epoch_steps, fragment_steps, slot_steps
from slotwright.health.check_context import CheckContext
from slotwright.health.checks.bus import cut_off
from slotwright.health.members import votes

Stage = Callable[[RepairInput], Iterator[RepairStep]]

_OF_ALL: tuple[Stage, ...] = (password_steps, start_steps)
_OF_A_CLUSTER: tuple[Stage, ...] = (announce_steps, address_steps, promotion_steps)
_OF_A_MAJORITY: tuple[Stage, ...] = (epoch_steps, slot_steps, fragment_steps, follower_steps, forget_steps)


def plan_repair(repair_input: RepairInput) -> RepairPlan:
    """Every step that mends a finding, in stages, safest first; the same situation gives the same plan."""
    stages = [tuple(stage(repair_input)) for stage in _applicable(repair_input)]
    steps = [step for stage in stages for step in stage]
    mended = {step.why for step in steps}
    unrepaired = tuple(finding for finding in repair_input.findings if _is_left(finding, mended))
    return RepairPlan(
        repair_input.survey.name, tuple(_without_repeats(stages)), unrepaired, tuple(refusals(repair_input))
    )


def _applicable(repair_input: RepairInput) -> Iterator[Stage]:
    if repair_input.is_cluster:
        yield astray_steps
    yield from _OF_ALL
    if not repair_input.is_cluster:
        return
    yield from _OF_A_CLUSTER
    is_merged = any(finding.code == "clusters-merged" for finding in repair_input.findings)
    if votes(repair_input.survey).is_enough and not is_merged and not _is_parted(repair_input):
        yield from _OF_A_MAJORITY


def _is_parted(repair_input: RepairInput) -> bool:
    """Whether nodes that answer us can't reach the others: what they say of slots is old, and settles nothing."""
    case = CheckContext(
        repair_input.survey, repair_input.observation, repair_input.expected, repair_input.exams, repair_input.contents
    )
    return bool(cut_off(case))


def _without_repeats(stages: list[tuple[RepairStep, ...]]) -> Iterator[tuple[RepairStep, ...]]:
    """What is waited for is waited for once."""
    awaited: set[str] = set()
    for stage in stages:
        kept = [step for step in stage if not (isinstance(step.action, Await) and step.action.until in awaited)]
        awaited |= {step.action.until for step in kept if isinstance(step.action, Await)}
        if kept:
            yield tuple(kept)


_CONSEQUENCES = {
    "node-down": ("cluster-state-fail", "slots-uncovered", "views-disagree", "majority-lost", "replica-link-down"),
    "open-slot": ("key-held-twice", "key-differs", "views-disagree"),
    "slot-owned-twice": ("views-disagree", "key-held-twice"),
    "slots-uncovered": ("cluster-state-fail", "open-slot", "views-disagree"),
    "keys-misplaced": ("key-held-twice",),
    "key-differs": ("open-slot", "key-held-twice"),
    "address-changed": ("node-down", "cluster-state-fail", "views-disagree", "replica-link-down", "majority-lost"),
    "announced-wrong": ("node-down", "cluster-state-fail", "views-disagree", "replica-link-down", "bus-link-down"),
    "member-unknown": ("views-disagree", "cluster-state-fail"),
    "majority-lost": ("node-down", "cluster-state-fail", "replica-link-down"),
    "id-changed": ("ghost-node", "unknown-node", "views-disagree", "node-down"),
    "folder-lost": ("cluster-state-fail",),
    "map-broken": ("map-lost", "cluster-state-fail"),
    "node-stopped": ("cluster-state-fail",),
    "shard-without-replica": ("replica-beside-primary",),
    "replica-misplaced": ("shard-without-replica", "replica-beside-primary"),
}


def _is_left(finding: Finding, mended: set[str]) -> bool:
    if finding.severity is Severity.NOTE or finding.code in mended:
        return False
    return not any(finding.code in _CONSEQUENCES.get(code, ()) for code in mended)
