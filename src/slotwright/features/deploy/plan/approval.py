"""A plan that somebody approves: made from a plan, and held against the plan of a later look."""

from __future__ import annotations

from typing import Any

from slotwright.cluster.steps import ApplySettings, HostStep, Plan, StartNode, Step
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.plan.facts import changed_facts, digest_of, facts_of_file
from slotwright.features.deploy.plan.step_fields import step_fields


def to_be_approved(plan: Plan, topology_path: str, made_at: str, made_by: str) -> ApprovedPlan:
    """What is written of ``plan``."""
    file_digest = digest_of(facts_of_file(plan.facts))
    return ApprovedPlan(
        plan.name, topology_path, file_digest, made_at, made_by, stages_of(plan), plan.facts, plan.digest
    )


def stages_of(plan: Plan) -> tuple[tuple[dict[str, Any], ...], ...]:
    """The steps as plain fields, wave by wave."""
    return tuple(tuple(step_fields(step) for step in wave) for wave in plan.waves)


def is_intact(approved: ApprovedPlan) -> bool:
    """Whether its digests are those of its facts: nobody edited them."""
    file_digest = digest_of(facts_of_file(approved.facts))
    return (approved.digest, approved.topology_digest) == (digest_of(approved.facts), file_digest)


def departures(approved: ApprovedPlan, plan: Plan) -> tuple[str, ...]:
    """What is otherwise than it was when the plan was made; nothing where ``plan`` is the very same one."""
    return changed_facts(approved.facts, plan.facts) or _other_steps(approved, plan)


def _other_steps(approved: ApprovedPlan, plan: Plan) -> tuple[str, ...]:
    """With equal facts: another release plans otherwise, or somebody edited the file."""
    now = stages_of(plan)
    if now == approved.stages:
        return ()
    before, after = ([step for stage in stages for step in stage] for stages in (approved.stages, now))
    gone = (f"step {_named(step)}: approved -> not planned" for step in before if step not in after)
    new = (f"step {_named(step)}: not approved -> planned" for step in after if step not in before)
    return (*gone, *new) or ("the order of the steps: another one",)


def _named(fields: dict[str, Any]) -> str:
    return f"{fields.get('step')} {fields.get('address') or fields.get('host') or ''}".strip()


def unapproved_steps(approved: Plan, later: Plan) -> tuple[Step, ...]:
    """The steps of ``later``, which was made when the hosts were ready, that ``approved`` doesn't have.

    The lowered timings of nodes that ``approved`` starts may be put back: before the server program is on the hosts,
    nobody knows their values.
    """
    started = {step.address for step in approved.steps if isinstance(step, StartNode)}
    return tuple(
        step
        for step in later.steps
        if step not in approved.steps
        and not isinstance(step, HostStep)
        and not (isinstance(step, ApplySettings) and step.address in started)
    )
