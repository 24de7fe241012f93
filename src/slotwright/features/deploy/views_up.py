"""What `up`, `start` and `demo` came to, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slotwright.console.cluster_view import proof_lines, show_finding_list, show_survey
from slotwright.console.screen import out

if TYPE_CHECKING:
    from slotwright.features.deploy.outcome import UpResult


def show_up(result: UpResult, verb: str) -> None:
    """`up` and `start`: the cluster, and the proof or the findings."""
    verdict = result.verdict
    show_survey(verdict.survey)
    out("")
    if verdict.is_ok:
        out(*proof_lines(verdict, wrote=verdict.is_proved, took_s=result.usable_s))
    if verdict.findings:
        out(*([""] if verdict.is_ok else []))
        show_finding_list(verdict.findings)
    if not result.plan.steps:
        out(f"  nothing was to be {'started' if verb == 'start' else 'changed'}")
