"""`abort` of an `up` that was cut, for people: the way back, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.cluster.steps import Plan
from slotwright.console.cluster_view import proof_lines, show_finding_list, show_survey
from slotwright.console.screen import out
from slotwright.features.deploy.views import show_steps

if TYPE_CHECKING:
    from slotwright.features.deploy.abort import TakenBack


def show_way_back(plan: Plan) -> None:
    """`abort --plan`, and before the question."""
    show_steps(plan, f"slotwright abort {plan.name}", "nothing is left of the change that was cut")


def show_taken_back(result: TakenBack) -> None:
    """The cluster, what was left alone, and the proof or the findings."""
    verdict = result.verdict
    show_survey(verdict.survey)
    out("")
    if verdict.is_ok:
        out(*proof_lines(verdict, wrote=verdict.is_proved))
    findings = (*result.plan.findings, *verdict.findings)
    if findings:
        out(*([""] if verdict.is_ok else []))
        show_finding_list(findings)
    if result.is_settled:
        out(f"  the change that was begun at {result.begun_at} is taken back")
    elif result.is_back:
        out("  nothing is left of the change, but the cluster is not proved: it can still be aborted again")
    else:
        out(f"  not all of it is taken back: slotwright abort {result.record.name} goes on when the nodes answer")
