"""Failovers on purpose: what is about to happen, and what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slotwright.cli.views.human import show_finding_list, show_survey
from slotwright.cli.views.json import finding_json, survey_json
from slotwright.cli.views.screen import out, paint

if TYPE_CHECKING:
    from slotwright.api import Failover
    from slotwright.planning.handover import Handover


def show_handovers(steps: Sequence[Handover]) -> None:
    """Before the question."""
    for step in steps:
        risk = paint("  what the primary kept to itself is lost", "bad") if step.is_forced else ""
        out(f"  shard {step.shard}: {step.replica} takes over from {step.primary}{risk}")
    out("")


def show_failover(result: Failover) -> None:
    """What was done, then the cluster."""
    if not result.done and not result.obstacles:
        out(f"{paint(result.name, 'bold')}: nothing to do, every primary is where it should be")
        return
    for each in result.done:
        step = each.step
        tries = f", asked {each.tries} times" if each.tries > 1 else ""
        out(
            f"shard {step.shard}: {paint(str(step.replica), 'bold')} is primary instead of {step.primary}  "
            f"(promoted in {each.promoted_s:.2f} s, all agreed and in sync in {each.whole_s:.2f} s{tries})"
        )
    if result.done:
        out("")
    show_survey(result.verdict.survey)
    findings = [*result.obstacles, *result.verdict.findings]
    if findings:
        out("")
        show_finding_list(findings)


def failover_json(result: Failover) -> dict[str, Any]:
    """`failover`."""
    return {
        "name": result.name,
        "failovers": [
            {
                "shard": each.step.shard,
                "primary": str(each.step.replica),
                "was": each.step.primary,
                "forced": each.step.is_forced,
                "promoted_s": round(each.promoted_s, 3),
                "whole_s": round(each.whole_s, 3),
                "tries": each.tries,
            }
            for each in result.done
        ],
        "obstacles": [finding_json(found) for found in result.obstacles],
        "findings": [finding_json(found) for found in result.verdict.findings],
        "status": survey_json(result.verdict.survey),
    }
