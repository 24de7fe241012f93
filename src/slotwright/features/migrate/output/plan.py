"""The JSON of `migrate --plan`."""

from __future__ import annotations

from itertools import starmap

from slotwright.console.output import FindingOutput, Output, finding_outputs
from slotwright.features.migrate.model.plan import Blocking, MigrationPlan, PlannedStep, PrimaryShare
from slotwright.features.migrate.output.sample import SampleOutput, sample_output
from slotwright.features.migrate.output.sides import SourceOutput, TargetOutput, source_output, target_output
from slotwright.features.migrate.plan.hash_tags import shown_key
from slotwright.keys.model.sample import BigKey


class DatabaseMapOutput(Output, frozen=True, kw_only=True):
    """What becomes of databases other than 0."""

    rule: str
    template: str


class ShareOutput(Output, frozen=True, kw_only=True):
    """What one primary of the target gets; ``share`` of 1."""

    address: str
    share: float
    added_bytes: int
    expected_bytes: int
    maxmemory_bytes: int


class BigKeyOutput(Output, frozen=True, kw_only=True):
    """A key that holds servers up; the times are null for a module's type."""

    database: int
    key: str
    type: str
    bytes: int
    elements: int | None
    dump_s: float | None
    restore_s: float | None


class MigrationStepOutput(Output, frozen=True, kw_only=True):
    """What will be done; ``estimate_s`` is null where there is no estimate."""

    step: str
    what: str
    estimate_s: float | None


class MigrationPlanOutput(Output, frozen=True, kw_only=True):
    """`migrate --plan`; ``refused``: a finding is serious, so that nothing would be begun."""

    source: SourceOutput
    target: TargetOutput
    databases: DatabaseMapOutput
    accepted: tuple[str, ...]
    sample: SampleOutput | None
    refused: bool
    findings: tuple[FindingOutput, ...]
    shares: tuple[ShareOutput, ...]
    big_keys: tuple[BigKeyOutput, ...]
    steps: tuple[MigrationStepOutput, ...]
    estimated_from: str


def migration_plan_output(plan: MigrationPlan) -> MigrationPlanOutput:
    """`migrate --plan`. Keys are shown abbreviated and printable, as for people."""
    databases = plan.options.databases
    return MigrationPlanOutput(
        source=source_output(plan.source),
        target=target_output(plan.target),
        databases=DatabaseMapOutput(rule=databases.rule.value, template=databases.template),
        accepted=tuple(sorted(plan.options.accepted)),
        sample=sample_output(plan.sample) if plan.sample is not None else None,
        refused=plan.is_refused,
        findings=finding_outputs(plan.findings),
        shares=tuple(map(_share_output, plan.shares)),
        big_keys=tuple(starmap(_key_output, zip(plan.source.keys.biggest, plan.blocking, strict=True))),
        steps=tuple(map(_step_output, plan.steps)),
        estimated_from=plan.rates.basis,
    )


def _share_output(share: PrimaryShare) -> ShareOutput:
    return ShareOutput(
        address=str(share.address),
        share=round(share.share, 4),
        added_bytes=share.added_bytes,
        expected_bytes=share.expected_bytes,
        maxmemory_bytes=share.limit_bytes,
    )


def _key_output(key: BigKey, blocking: Blocking | None) -> BigKeyOutput:
    return BigKeyOutput(
        database=key.named[0],
        key=shown_key(key.named[1]),
        type=key.type,
        bytes=key.bytes,
        elements=key.elements,
        dump_s=round(blocking.dump_s, 6) if blocking else None,
        restore_s=round(blocking.restore_s, 6) if blocking else None,
    )


def _step_output(step: PlannedStep) -> MigrationStepOutput:
    took_s = step.took_s
    return MigrationStepOutput(step=step.kind, what=step.what, estimate_s=None if took_s is None else round(took_s, 3))
