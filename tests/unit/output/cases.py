"""Every answer in JSON: its type, and the fixed values that its golden files are made of.

``CASES`` has one golden file each (``golden/NAME.json``). ``VERBS`` says which answers a verb gives; the schema and
docs/json-types.md are made from both.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from slotwright.console.error_output import ErrorAnswerOutput, ProgressOutput, progress_output
from slotwright.console.output import CheckOutput, Output, StatusOutput, check_output, status_output
from slotwright.features.adopt.output import AdoptOutput, ForgetOutput, adopt_output, forget_output
from slotwright.features.archive.output import ArchiveOutput, archive_output
from slotwright.features.bundle.output import BundleOutput, bundle_output
from slotwright.features.clients.output.config import ClientConfigOutput, ClientKindsOutput, config_output, kinds_output
from slotwright.features.clients.output.path import ClientTestOutput, client_test_output
from slotwright.features.compare.output import ComparisonOutput, comparison_output
from slotwright.features.deploy.output import (
    InitOutput,
    PlanOutput,
    TakenBackOutput,
    UpOutput,
    plan_output,
    taken_back_output,
    up_output,
)
from slotwright.features.drill.output import DrillOutput, drill_output
from slotwright.features.failover.output import FailoverOutput, failover_output
from slotwright.features.jobs.output import (
    JobDetailsOutput,
    JobPaceOutput,
    JobPauseOutput,
    JobsOutput,
    job_output,
    jobs_output,
)
from slotwright.features.lifecycle.output import DestroyOutput, StopOutput, destroy_output, stop_output
from slotwright.features.look.output import (
    ClustersOutput,
    LogLineOutput,
    LogOutput,
    SlotsOutput,
    clusters_output,
    slots_output,
)
from slotwright.features.migrate.output.migration import (
    MigratedOutput,
    MigrationAbortOutput,
    MigrationsOutput,
    migrated_output,
    migration_abort_output,
    migration_output,
    migrations_output,
)
from slotwright.features.migrate.output.plan import MigrationPlanOutput, migration_plan_output
from slotwright.features.preflight.output.exec import ExecOutput, exec_output
from slotwright.features.preflight.output.preflight import PreflightOutput, preflight_output
from slotwright.features.rebuild.output import RebuildOutput, rebuild_output
from slotwright.features.repair.output import RepairOutput, RepairPlanOutput, repair_output, repair_plan_output
from slotwright.features.watch.output import WatchLineOutput, watch_lines
from tests.fakes import build
from tests.unit.output import hosts, migrations, operations, results

GOLDEN = Path(__file__).parent / "golden"

_DEMO = build.record(build.topology())
_AT = 1767225600.037
_JOB = job_output(migrations.job())


def _watched() -> list[WatchLineOutput]:
    first, second = operations.watched()
    return [*watch_lines(first, is_first=True), *watch_lines(second, is_first=False)]


@dataclass(frozen=True)
class Case:
    """A golden file: the type of what is in it, and how it is made. ``is_line``: objects one a line, without the
    version of their shape, as they are written for as long as something goes on."""

    type: type[Output]
    make: Callable[[], Output | Sequence[Output]]
    is_line: bool = False


CASES = {
    "status": Case(StatusOutput, lambda: status_output(results.survey())),
    "check": Case(CheckOutput, lambda: check_output(results.verdict())),
    "check-sound": Case(CheckOutput, lambda: check_output(results.sound())),
    "plan": Case(PlanOutput, lambda: plan_output(results.plan())),
    "plan-written": Case(PlanOutput, lambda: plan_output(results.plan(), "change.plan", "change.plan.md")),
    "up": Case(UpOutput, lambda: up_output(results.up())),
    "up-unchanged": Case(UpOutput, lambda: up_output(results.up_without_change())),
    "abort-up": Case(TakenBackOutput, lambda: taken_back_output(results.taken_back())),
    "init": Case(InitOutput, lambda: InitOutput(file="cluster.yaml")),
    "slot": Case(SlotsOutput, lambda: slots_output(results.slots())),
    "list": Case(ClustersOutput, lambda: clusters_output([_DEMO])),
    "logs": Case(LogOutput, lambda: LogOutput(node=str(results.PRIMARY), lines=("one", "two"))),
    "logs-line": Case(LogLineOutput, lambda: [LogLineOutput(line="one")], is_line=True),
    "repair-plan": Case(RepairPlanOutput, lambda: repair_plan_output(operations.repair_plan())),
    "repair": Case(RepairOutput, lambda: repair_output(operations.repaired())),
    "compare": Case(ComparisonOutput, lambda: comparison_output(migrations.comparison())),
    "migrate-plan": Case(MigrationPlanOutput, lambda: migration_plan_output(migrations.migration_plan())),
    "migrate-plan-unheard": Case(
        MigrationPlanOutput, lambda: migration_plan_output(migrations.migration_plan_unheard())
    ),
    "migrate": Case(MigratedOutput, lambda: migrated_output(migrations.migrated())),
    "migrate-replica": Case(MigratedOutput, lambda: migrated_output(migrations.migrated_from_replica())),
    "migrate-stopped": Case(MigratedOutput, lambda: migrated_output(migrations.stopped())),
    "migrate-status": Case(MigrationsOutput, lambda: migrations_output([migrations.running(), migrations.begun()])),
    "migrate-abort": Case(MigrationAbortOutput, lambda: migration_abort_output(migrations.aborted())),
    "migrate-abort-unseen": Case(MigrationAbortOutput, lambda: migration_abort_output(migrations.aborted_unseen())),
    "jobs-list": Case(JobsOutput, lambda: jobs_output([migrations.job(), migrations.job_of_later_release()])),
    "jobs-status": Case(
        JobDetailsOutput, lambda: JobDetailsOutput(job=_JOB, details=migration_output(migrations.running()))
    ),
    "jobs-status-newer": Case(
        JobDetailsOutput,
        lambda: JobDetailsOutput(job=job_output(migrations.job_of_later_release()), details=None),
    ),
    "jobs-pause": Case(JobPauseOutput, lambda: JobPauseOutput(job=_JOB, was_running=True)),
    "failover": Case(FailoverOutput, lambda: failover_output(operations.failover())),
    "drill": Case(DrillOutput, lambda: drill_output(operations.drill())),
    "rebuild": Case(RebuildOutput, lambda: rebuild_output(operations.rebuilt())),
    "rebuild-empty": Case(RebuildOutput, lambda: rebuild_output(operations.rebuilt_empty())),
    "stop": Case(StopOutput, lambda: stop_output(operations.stopped())),
    "destroy": Case(DestroyOutput, lambda: destroy_output(operations.destroyed())),
    "preflight": Case(PreflightOutput, lambda: preflight_output(hosts.preflight())),
    "exec": Case(ExecOutput, lambda: exec_output(operations.ran())),
    "client": Case(ClientConfigOutput, lambda: config_output(hosts.config(), None)),
    "client-written": Case(ClientConfigOutput, lambda: config_output(hosts.config(), [Path("my/redis_cluster.py")])),
    "client-list": Case(ClientKindsOutput, lambda: kinds_output(hosts.kinds())),
    "client-test": Case(ClientTestOutput, lambda: client_test_output(hosts.walked())),
    "adopt": Case(AdoptOutput, lambda: adopt_output(hosts.adopted())),
    "adopt-printed": Case(AdoptOutput, lambda: adopt_output(hosts.adopted_printed())),
    "adopt-forget": Case(ForgetOutput, lambda: forget_output(hosts.forgotten())),
    "archive": Case(ArchiveOutput, lambda: archive_output(operations.archived())),
    "bundle": Case(BundleOutput, lambda: bundle_output(operations.bundled())),
    "watch": Case(WatchLineOutput, _watched, is_line=True),
    "progress": Case(
        ProgressOutput, lambda: [progress_output(event, _AT) for event in operations.EVENTS], is_line=True
    ),
    "jobs-pace": Case(JobPaceOutput, lambda: JobPaceOutput(job=_JOB, pace_bytes=None)),
}
"""By the name of the golden file."""

VERBS: dict[str, tuple[type[Output], ...]] = {
    "status": (StatusOutput,),
    "check": (CheckOutput,),
    "plan": (PlanOutput,),
    "up": (UpOutput,),
    "start": (UpOutput,),
    "demo": (UpOutput,),
    "init": (InitOutput,),
    "slot": (SlotsOutput,),
    "list": (ClustersOutput,),
    "logs": (LogOutput, LogLineOutput),
    "repair": (RepairOutput, RepairPlanOutput),
    "resume": (RepairOutput,),
    "abort": (RepairOutput, TakenBackOutput, RepairPlanOutput, PlanOutput),
    "compare": (ComparisonOutput,),
    "failover": (FailoverOutput,),
    "drill": (DrillOutput,),
    "rebuild": (RebuildOutput,),
    "stop": (StopOutput,),
    "destroy": (DestroyOutput,),
    "preflight": (PreflightOutput,),
    "exec": (ExecOutput,),
    "client KIND": (ClientConfigOutput,),
    "client list": (ClientKindsOutput,),
    "client test": (ClientTestOutput,),
    "adopt": (AdoptOutput, ForgetOutput),
    "archive": (ArchiveOutput,),
    "bundle": (BundleOutput,),
    "watch": (WatchLineOutput,),
    "migrate": (MigratedOutput, MigrationPlanOutput, MigrationsOutput, MigrationAbortOutput),
    "jobs list": (JobsOutput,),
    "jobs status": (JobDetailsOutput,),
    "jobs pause": (JobPauseOutput,),
    "jobs resume": (MigratedOutput,),
    "jobs abort": (MigrationAbortOutput,),
    "jobs pace": (JobPaceOutput,),
}
"""By the verb, as it is typed; every one has its golden file."""

LINES: tuple[type[Output], ...] = (LogLineOutput, WatchLineOutput, ProgressOutput)
"""They have no ``format`` of their own."""

OF_ALL_VERBS: tuple[type[Output], ...] = (ErrorAnswerOutput, ProgressOutput)
"""What every verb may write, in place of its answer and beside it."""
