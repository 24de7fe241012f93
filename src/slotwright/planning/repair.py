"""Situation -> plan of repairs, stage by stage. Only the first stage is done before the next look.

Later stages stand on what the earlier ones bring about: slots are not settled while a member is still to be started,
and nothing is forgotten, assigned or settled from a minority of primaries. What the plan has no step for stays among
the findings, with its own remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from slotwright.model.findings import Finding, Severity
from slotwright.model.repair import Await, RepairPlan, RepairStep
from slotwright.planning.case import Case
from slotwright.planning.members import votes
from slotwright.planning.repair_members import (
    address_steps,
    follower_steps,
    forget_steps,
    password_steps,
    promotion_steps,
)
from slotwright.planning.repair_processes import process_steps
from slotwright.planning.repair_slots import epoch_steps, fragment_steps, slot_steps
from slotwright.planning.situation import Situation
from slotwright.planning.symptoms_bus import cut_off

Stage = Callable[[Situation], Iterator[RepairStep]]

_OF_ALL: tuple[Stage, ...] = (password_steps, process_steps)
_OF_A_CLUSTER: tuple[Stage, ...] = (address_steps, promotion_steps)
_OF_A_MAJORITY: tuple[Stage, ...] = (epoch_steps, slot_steps, fragment_steps, follower_steps, forget_steps)


def plan_repair(situation: Situation) -> RepairPlan:
    """Every step that mends a finding, in stages, safest first; the same situation gives the same plan."""
    stages = [tuple(stage(situation)) for stage in _applicable(situation)]
    steps = [step for stage in stages for step in stage]
    mended = {step.why for step in steps}
    unrepaired = tuple(found for found in situation.findings if _is_left(found, mended))
    return RepairPlan(situation.survey.name, tuple(_without_repeats(stages)), unrepaired)


def _applicable(situation: Situation) -> Iterator[Stage]:
    yield from _OF_ALL
    if not situation.is_cluster:
        return
    yield from _OF_A_CLUSTER
    is_merged = any(found.code == "clusters-merged" for found in situation.findings)
    if votes(situation.survey).is_enough and not is_merged and not _is_parted(situation):
        yield from _OF_A_MAJORITY


def _is_parted(situation: Situation) -> bool:
    """Whether nodes that answer us can't reach the others: what they say of slots is old, and settles nothing."""
    case = Case(situation.survey, situation.observation, situation.expected, situation.exams, situation.contents)
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
    "member-unknown": ("views-disagree", "cluster-state-fail"),
    "majority-lost": ("node-down", "cluster-state-fail", "replica-link-down"),
    "id-changed": ("ghost-node", "unknown-node", "views-disagree", "node-down"),
    "folder-lost": ("cluster-state-fail",),
    "map-broken": ("map-lost", "cluster-state-fail"),
    "node-stopped": ("cluster-state-fail",),
    "shard-without-replica": ("replica-beside-primary",),
    "replica-misplaced": ("shard-without-replica", "replica-beside-primary"),
}


def _is_left(found: Finding, mended: set[str]) -> bool:
    if found.severity is Severity.NOTE or found.code in mended:
        return False
    return not any(found.code in _CONSEQUENCES.get(code, ()) for code in mended)


def next_stage(plan: RepairPlan) -> tuple[RepairStep, ...]:
    """The steps that are done before the next look; addresses and promotions go one node at a time by themselves."""
    return plan.stages[0] if plan.stages else ()
