"""The JSON of `plan`, `up`, `start`, `demo` and `init`, and of `abort` of an `up`."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from msgspec import UNSET, UnsetType

from slotwright.cluster.steps import (
    ApplySettings,
    AwaitUsable,
    ChangeFirewall,
    CreateNode,
    MarkFormed,
    Plan,
    PrepareHost,
    ProveReach,
    RememberFile,
    StartNode,
    Step,
)
from slotwright.console.output import (
    CheckOutput,
    FindingOutput,
    Output,
    RefusalOutput,
    StatusOutput,
    check_output,
    finding_outputs,
    refusal_outputs,
    status_output,
)

if TYPE_CHECKING:
    from slotwright.features.deploy.abort import TakenBack
    from slotwright.features.deploy.outcome import UpResult


class SettingChangeOutput(Output, frozen=True, kw_only=True):
    """A setting, as it runs and as it should; secrets are ``***``."""

    name: str
    old: str
    new: str


class StepOutput(Output, frozen=True, kw_only=True):
    """One step. Which of the later fields are there depends on ``step``."""

    step: str
    address: str | None
    host: str | UnsetType = UNSET
    what: tuple[str, ...] | UnsetType = UNSET
    add: tuple[str, ...] | UnsetType = UNSET
    remove: tuple[str, ...] | UnsetType = UNSET
    hosts: int | UnsetType = UNSET
    ports: tuple[int, ...] | UnsetType = UNSET
    why: str | UnsetType = UNSET
    changes: tuple[SettingChangeOutput, ...] | UnsetType = UNSET


class PlanOutput(Output, frozen=True, kw_only=True):
    """`plan`; ``plan_file`` and ``sheet`` where they were written."""

    name: str
    pending: bool
    steps: tuple[StepOutput, ...]
    refusals: tuple[RefusalOutput, ...]
    findings: tuple[FindingOutput, ...]
    unseen: tuple[str, ...]
    digest: str
    plan_file: str | UnsetType = UNSET
    sheet: str | UnsetType = UNSET


class UpOutput(Output, frozen=True, kw_only=True):
    """`up`, `start` and `demo`: what was done, and how the cluster is afterwards."""

    name: str
    changed: bool
    steps: tuple[StepOutput, ...]
    usable_s: float | None
    check: CheckOutput
    status: StatusOutput


class TakenBackOutput(Output, frozen=True, kw_only=True):
    """`abort` of an `up`: what was set back, and how the cluster is afterwards. ``begun`` is when the change began.

    ``findings`` say what was left alone. ``taken_back``: nothing of the change is left; ``settled``: and that is
    proved, so that the baseline is kept no longer.
    """

    name: str
    ok: bool
    begun: str
    taken_back: bool
    settled: bool
    steps: tuple[StepOutput, ...]
    findings: tuple[FindingOutput, ...]
    check: CheckOutput
    status: StatusOutput


class InitOutput(Output, frozen=True, kw_only=True):
    """`init`: the file that was written."""

    file: str


def plan_output(plan: Plan, plan_file: str | None = None, sheet: str | None = None) -> PlanOutput:
    """`plan`; with the paths of what was written, if it was."""
    return PlanOutput(
        name=plan.name,
        pending=not plan.is_empty,
        steps=tuple(map(step_output, plan.steps)),
        refusals=refusal_outputs(plan.refusals),
        findings=finding_outputs(plan.findings),
        unseen=plan.unseen,
        digest=plan.digest,
        plan_file=UNSET if plan_file is None else plan_file,
        sheet=UNSET if sheet is None else sheet,
    )


def up_output(result: UpResult) -> UpOutput:
    """`up`, `start` and `demo`."""
    return UpOutput(
        name=result.record.name,
        changed=bool(result.plan.steps),
        steps=tuple(map(step_output, result.plan.steps)),
        usable_s=None if result.usable_s is None else round(result.usable_s, 3),
        check=check_output(result.verdict),
        status=status_output(result.verdict.survey),
    )


def taken_back_output(result: TakenBack) -> TakenBackOutput:
    """`abort` of an `up`."""
    return TakenBackOutput(
        name=result.record.name,
        ok=result.is_ok,
        begun=result.begun_at,
        taken_back=result.is_back,
        settled=result.is_settled,
        steps=tuple(map(step_output, result.plan.steps)),
        findings=finding_outputs(result.plan.findings),
        check=check_output(result.verdict),
        status=status_output(result.verdict.survey),
    )


def step_output(step: Step) -> StepOutput:
    """One step; its ``address`` is null where it is one of a host or of the cluster as a whole."""
    kind = step.kind
    match step:
        case PrepareHost(host, what):
            return StepOutput(step=kind, address=None, host=host, what=what)
        case ChangeFirewall(host, what, add, remove):
            return StepOutput(step=kind, address=None, host=host, what=what, add=add, remove=remove)
        case ProveReach(hosts, ports):
            return StepOutput(step=kind, address=None, hosts=hosts, ports=ports)
        case CreateNode():
            return StepOutput(step=kind, address=str(step.address))
        case StartNode():
            return StepOutput(step=kind, address=str(step.address), why=step.why)
        case ApplySettings():
            return StepOutput(step=kind, address=str(step.address), changes=_changes_of(step))
        case AwaitUsable() | MarkFormed() | RememberFile():
            return StepOutput(step=kind, address=None)
    assert_never(step)


def _changes_of(step: ApplySettings) -> tuple[SettingChangeOutput, ...]:
    return tuple(SettingChangeOutput(name=change.name, old=change.old, new=change.new) for change in step.changes)
