"""The JSON of `repair`, and of `resume` and `abort` of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import asdict

from slotwright.console.output import (
    CheckOutput,
    FindingOutput,
    Output,
    RefusalOutput,
    check_output,
    finding_outputs,
    refusal_outputs,
)
from slotwright.features.repair.model import RepairPlan, RepairStep

if TYPE_CHECKING:
    from slotwright.features.repair.api import Repaired


class RepairStepOutput(Output, frozen=True, kw_only=True):
    """One step; ``word`` is what `--accept` takes."""

    step: str
    where: str
    what: str
    why: str
    risk: str
    word: str
    loss: str


class DoneRepairOutput(RepairStepOutput, frozen=True, kw_only=True):
    """A step that was done."""

    outcome: str


class FailedRepairOutput(RepairStepOutput, frozen=True, kw_only=True):
    """A step that failed."""

    code: str
    error: str
    seen: str


class RepairPlanOutput(Output, frozen=True, kw_only=True):
    """`repair --plan`."""

    name: str
    steps: tuple[RepairStepOutput, ...]
    unrepaired: tuple[FindingOutput, ...]
    refusals: tuple[RefusalOutput, ...]


class RepairOutput(Output, frozen=True, kw_only=True):
    """`repair`, `resume` and `abort`: what was done, and what is left."""

    name: str
    ok: bool
    done: tuple[DoneRepairOutput, ...]
    refused: tuple[RepairStepOutput, ...]
    refusals: tuple[RefusalOutput, ...]
    failed: tuple[FailedRepairOutput, ...]
    keys_before: int
    keys_after: int
    archive: str
    quarantine: str
    quarantined: int
    check: CheckOutput


def repair_plan_output(plan: RepairPlan) -> RepairPlanOutput:
    """`repair --plan`."""
    return RepairPlanOutput(
        name=plan.name,
        steps=tuple(map(_step_output, plan.steps)),
        unrepaired=finding_outputs(plan.unrepaired),
        refusals=refusal_outputs(plan.refusals),
    )


def repair_output(result: Repaired) -> RepairOutput:
    """`repair`, `resume` of a repair, and `abort`."""
    return RepairOutput(
        name=result.name,
        ok=result.is_whole,
        done=tuple(DoneRepairOutput(**asdict(_step_output(done.step)), outcome=done.outcome) for done in result.done),
        refused=tuple(map(_step_output, result.refused)),
        refusals=refusal_outputs(result.plan.refusals),
        failed=tuple(
            FailedRepairOutput(
                **asdict(_step_output(failed.step)),
                code=failed.error.code,
                error=failed.error.what,
                seen=failed.error.seen,
            )
            for failed in result.failed
        ),
        keys_before=result.keys_before,
        keys_after=result.keys_after,
        archive=result.archive,
        quarantine=result.quarantine,
        quarantined=result.quarantined,
        check=check_output(result.verdict),
    )


def _step_output(step: RepairStep) -> RepairStepOutput:
    return RepairStepOutput(
        step=step.action.kind,
        where=step.where,
        what=step.what,
        why=step.why,
        risk=step.risk.value,
        word=step.word,
        loss=step.loss,
    )
