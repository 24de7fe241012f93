"""Failovers on purpose: what is about to happen, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.console.cluster_view import show_finding_list, show_survey
from slotwright.console.screen import out, paint
from slotwright.console.words import gettext

if TYPE_CHECKING:
    from slotwright.features.failover.api import Failover
    from slotwright.features.failover.plan import FailoverStep


def show_failovers(steps: Sequence[FailoverStep]) -> None:
    """Before the question."""
    for step in steps:
        risk = paint("  what the primary kept to itself is lost", "bad") if step.is_forced else ""
        out(f"  shard {step.shard}: {step.replica} takes over from {step.primary}{risk}")
    out("")


def show_failover(result: Failover) -> None:
    """What was done, then the cluster."""
    if not result.done and not result.obstacles:
        out(f"{paint(result.name, 'bold')}: {_why_nothing(result)}")
        return
    for outcome in result.done:
        step = outcome.step
        if not outcome.tries:
            out(f"shard {step.shard}: {paint(str(step.replica), 'bold')} was primary already when its turn came")
            continue
        tries = f", asked {outcome.tries} times" if outcome.tries > 1 else ""
        out(
            f"shard {step.shard}: {paint(str(step.replica), 'bold')} is primary instead of {step.primary}  "
            f"(promoted in {outcome.promoted_s:.2f} s, all agreed and in sync in {outcome.whole_s:.2f} s{tries})"
        )
    if result.done:
        out("")
    show_survey(result.verdict.survey)
    findings = [*result.obstacles, *result.verdict.findings]
    if findings:
        out("")
        show_finding_list(findings)


def _why_nothing(result: Failover) -> str:
    """One node was asked for, or all that the file names."""
    if not result.asked:
        return gettext("nothing to do, every primary is where it should be")
    displaced = next((one for one in result.verdict.findings if one.code == "role-moved"), None)
    if displaced is None:
        return gettext("nothing to do, {node} is a primary already", node=result.asked)
    return gettext(
        "nothing to do, {node} is a primary already; not all are where the file has them: "
        "slotwright failover --restore-plan {name}",
        node=result.asked,
        name=result.name,
    )
