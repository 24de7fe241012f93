"""What came of `up`, and the error for a plan that must not be done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.cluster.events import Began, Ended, Report
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.steps import Plan
from slotwright.errors import RefusedError
from slotwright.features.deploy.model import ApprovedPlan
from slotwright.features.deploy.plan.approval import departures
from slotwright.features.deploy.plan.facts import changed_facts, name_changes
from slotwright.ops.verify import Verdict


@dataclass(frozen=True, slots=True)
class UpResult:
    """What came of ``up``: the plan that was done, the verdict, and how long the way to usable took (seconds from
    the first server's start; None when none was started)."""

    plan: Plan
    verdict: Verdict
    usable_s: float | None
    record: ClusterRecord


def refuse_unsafe(plan: Plan) -> None:
    """Raises PlanRefusedError for a plan with refusals or serious findings."""
    if plan.refusals or plan.blockers:
        raise PlanRefusedError(plan)


def refuse_stale(plan: Plan, again: Plan) -> None:
    """Raises RefusedError (stale-plan) where the facts of a plan that was just shown changed."""
    if changes := changed_facts(plan.facts, again.facts):
        raise RefusedError(
            "the world changed while the plan was being read",
            code="stale-plan",
            where=plan.name,
            seen=name_changes(changes),
            left="nothing was changed",
            hint="slotwright up shows the new plan",
        )


def refuse_other(approved: ApprovedPlan, plan: Plan, report: Report) -> None:
    """Raises RefusedError (stale-plan) where ``plan`` is another one than was approved; one that is done may be."""
    text = f"plan of {approved.made_at} by {approved.made_by}"
    report(Began("approval", text))
    changes = () if plan.is_empty else departures(approved, plan)
    found = "done already" if plan.is_empty else f"its {len(approved.facts)} facts hold"
    report(Ended("approval", f"{text}: {'stale' if changes else found}", is_ok=not changes))
    if changes:
        raise stale_approval(approved, "the world is not as it was when the plan was made", changes)


def stale_approval(approved: ApprovedPlan, what: str, changes: Sequence[str]) -> RefusedError:
    """The refusal of a plan that no longer holds."""
    return RefusedError(
        what,
        code="stale-plan",
        where=approved.name,
        seen=name_changes(changes),
        left="nothing was changed",
        hint=f"slotwright plan {approved.topology_path} -o NEW.plan makes a new plan",
    )


class PlanRefusedError(RefusedError):
    """The plan can't be done: ``plan`` says why, point by point."""

    def __init__(self, plan: Plan) -> None:
        count = len(plan.refusals) + len(plan.blockers)
        first = plan.blockers[0] if plan.blockers else None
        what = first.what if first and count == 1 else f"{count} things stand in the way of {plan.name}"
        if not first and count == 1:
            what = f"{plan.refusals[0].what}: {plan.refusals[0].why}"
        super().__init__(
            what,
            code=first.code if first else "not-yet-possible",
            where=first.where if first else plan.name,
            seen=first.seen if first and count == 1 else "",
            left="nothing was changed",
            hint=(first.remedy if first else plan.refusals[0].hint) if count == 1 else "",
        )
        self.plan = plan
