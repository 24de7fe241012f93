"""Repairs: what would be done, what was done, and what is left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slotwright.console.cluster_view import counted, proof_lines, show_finding_list, show_survey
from slotwright.console.screen import folded, out, paint, wrapped
from slotwright.features.repair.model import RepairPlan, RepairStep, Risk

if TYPE_CHECKING:
    from slotwright.features.repair.api import Repaired

_KINDS = {
    "thaw": "wake up",
    "end": "end",
    "map": "map",
    "aside": "aside",
    "mend-log": "cut log",
    "start": "start",
    "wait": "wait",
    "password": "password",
    "announce": "address",
    "meet": "address",
    "forget": "forget",
    "promote": "promote",
    "follow": "follow",
    "epoch": "epoch",
    "settle": "slots",
}


def show_repair_plan(plan: RepairPlan, *, forecast: bool = True) -> None:
    """`repair --plan`, and before the question."""
    if plan.steps:
        out(f"{paint(plan.name, 'bold')}: {counted(len(plan.steps), 'repair')}", "")
        _show_steps(plan.steps)
    elif plan.unrepaired or plan.refusals:
        out(f"{paint(plan.name, 'bold')}: nothing that repair can mend")
    else:
        out(f"{paint(plan.name, 'bold')}: nothing to repair")
    show_refused(plan)
    if plan.unrepaired:
        out("", "  not repaired by this, see each remedy:", "")
        show_finding_list(plan.unrepaired)
    if plan.steps and forecast:
        parts = sorted({step.word for step in plan.steps if step.word})
        asked = "; ".join(f"--accept {word}" for word in parts)
        out("", "  after each stage the cluster is looked at again, and the rest is planned anew")
        out(f"  apply with: slotwright repair {plan.name}" + (f"   (what could be lost: {asked})" if asked else ""))


def show_refused(plan: RepairPlan) -> None:
    """What must not be done, why, and the way on."""
    for refusal in plan.refusals:
        out("")
        _show_outcome("REFUSED", "bad", refusal.what)
        out(*wrapped("why", refusal.why, 11), *wrapped("next", refusal.hint, 11))


def _show_steps(steps: Sequence[RepairStep]) -> None:
    for number, step in enumerate(steps, 1):
        risk = {Risk.NONE: "", Risk.SERVICE: paint("  its clients wait for a moment", "warn"), Risk.LOSS: ""}[step.risk]
        head = f"  {number:>2}  {_KINDS[step.action.kind]:<9} {paint(step.where, 'bold')}"
        out(f"{head}{risk}", *wrapped("", step.what, 8))
        if step.risk is Risk.LOSS:
            out(*(paint(line, "bad") for line in wrapped("LOSS", step.loss, 16)))


def show_loss(step: RepairStep) -> None:
    """Before its word is asked for."""
    out("", f"  {paint('DATA CAN BE LOST', 'bad')}  {paint(step.where, 'bold')}")
    out(*wrapped("step", step.what, 4), *wrapped("loss", step.loss, 4))


def show_repaired(result: Repaired) -> None:
    """What came of it, then the cluster."""
    if not result.done and not result.refused and not result.failed:
        word = "nothing to repair" if result.verdict.is_ok else "nothing that repair can mend"
        out(f"{paint(result.name, 'bold')}: {word}", "")
    for done in result.done:
        outcome = f" ({done.outcome})" if done.outcome else ""
        _show_outcome("done", "good", f"{done.step.where}: {done.step.what}{outcome}")
    for failed in result.failed:
        _show_outcome("FAILED", "bad", f"{failed.step.where}: {failed.error.what}")
        for name, text in (("seen", failed.error.seen), ("left", failed.error.left), ("next", failed.error.hint)):
            if text:
                out(*wrapped(name, text, 10))
    for step in result.refused:
        _show_outcome("left", "warn", f"{step.where}: {step.what}")
        out(*wrapped("loss", step.loss, 10))
        out(*wrapped("allow", f"slotwright repair {result.name} --accept {step.word}", 10))
    show_refused(result.plan)
    out("")
    show_survey(result.verdict.survey)
    out("", f"  keys   {result.keys_before} on the primaries that answered before, {result.keys_after} now")
    if result.archive:
        out(f"  archive of the files as they were: {result.archive}")
    if result.quarantine:
        out(f"  {counted(result.quarantined, 'value')} that differed: {result.quarantine}")
    out("")
    if result.verdict.is_ok:
        out(*proof_lines(result.verdict, wrote=result.verdict.is_proved))
    elif result.verdict.findings:
        show_finding_list(result.verdict.findings)


def _show_outcome(word: str, style: str, text: str) -> None:
    first, *rest = folded(text, 10)
    out(f"  {paint(f'{word:<6}', style)}  {first.strip()}", *rest)
