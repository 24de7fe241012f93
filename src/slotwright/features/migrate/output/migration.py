"""The JSON of `migrate`, `migrate --status` and `migrate --abort`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from slotwright.console.output import Output
from slotwright.features.compare.output import ComparisonOutput, comparison_output
from slotwright.keys.model.comparison import KeyVerdict

if TYPE_CHECKING:
    from slotwright.features.migrate.abort import Aborted
    from slotwright.features.migrate.api import MigrationView
    from slotwright.features.migrate.model.migration import MigrationStatus
    from slotwright.features.migrate.process import Migrated
    from slotwright.features.migrate.run.migrator import CutoverResult


class WaitsOutput(Output, frozen=True, kw_only=True):
    """How long the source's clients waited, in milliseconds."""

    p50: float
    p99: float


class CutoverOutput(Output, frozen=True, kw_only=True):
    """How the source was held, and what was proved meanwhile; ``primary``: that of a source that is a replica."""

    held_by: str
    drained_s: float
    proved_s: float
    held_s: float
    primary: str | None
    still_s: float
    proved_again: int
    source_keys: int
    target_keys: int
    wrong: tuple[str, ...]


class MigratedOutput(Output, frozen=True, kw_only=True):
    """`migrate`, `migrate --resume` and `migrate --cutover`; ``cutover`` is null where it was stopped before."""

    name: str
    phase: str
    ok: bool
    source: str
    target: str
    comparison: ComparisonOutput
    copied_keys: int
    copied_bytes: int
    copied_s: float
    changes: int
    by_value: int
    mended: int
    source_wait_ms: WaitsOutput
    took_s: float
    cutover: CutoverOutput | None


class MigrationStatusOutput(Output, frozen=True, kw_only=True):
    """What the process told last."""

    at: float
    words: str
    keys: int
    expected_keys: int
    changes: int
    by_value: int
    mended: int
    lag_bytes: int
    held: int
    unproved: int
    refused: str | None
    source_wait_ms: WaitsOutput


class MigrationOutput(Output, frozen=True, kw_only=True):
    """One migration, as it is now."""

    name: str
    source: str
    target: str
    phase: str
    running: bool
    ready: bool
    began: float
    pace_bytes: int | None
    moved_at: float | None
    status: MigrationStatusOutput | None


class MigrationsOutput(Output, frozen=True, kw_only=True):
    """`migrate --status`."""

    migrations: tuple[MigrationOutput, ...]


class MigrationAbortOutput(Output, frozen=True, kw_only=True):
    """`migrate --abort`; ``was`` is the phase, ``written_since`` how many keys differ since the cutover."""

    source: str
    target: str
    was: str
    source_was_fenced: bool
    target_keys: int
    removed_copy: bool
    target_trouble: str | None
    written_since: int | None


def migrated_output(done: Migrated) -> MigratedOutput:
    """`migrate`, `migrate --resume` and `migrate --cutover`."""
    return MigratedOutput(
        name=done.name,
        phase=done.migration.phase.value,
        ok=done.is_ok,
        source=done.migration.source,
        target=done.migration.target_name,
        comparison=comparison_output(done.comparison),
        copied_keys=sum(progress.keys for progress in done.progress),
        copied_bytes=sum(progress.bytes for progress in done.progress),
        copied_s=round(max((progress.copied_s for progress in done.progress), default=0.0), 3),
        changes=sum(progress.changes for progress in done.progress),
        by_value=sum(progress.by_value for progress in done.progress),
        mended=sum(progress.mended for progress in done.progress),
        source_wait_ms=_waits_output(done.source_p50_ms, done.source_p99_ms),
        took_s=round(done.took_s, 3),
        cutover=None if done.outcome is None else _cutover_output(done.outcome),
    )


def _waits_output(p50_ms: float, p99_ms: float) -> WaitsOutput:
    return WaitsOutput(p50=round(p50_ms, 3), p99=round(p99_ms, 3))


def _cutover_output(outcome: CutoverResult) -> CutoverOutput:
    pause = outcome.pause
    return CutoverOutput(
        held_by=pause.how,
        drained_s=round(pause.drained_s, 4),
        proved_s=round(pause.proved_s, 4),
        held_s=round(pause.total_s, 4),
        primary=pause.primary or None,
        still_s=round(pause.still_s, 1),
        proved_again=outcome.rechecked,
        source_keys=outcome.source_keys,
        target_keys=outcome.target_keys,
        wrong=tuple(compared.named[1].decode(errors="backslashreplace") for compared in outcome.wrong),
    )


def migrations_output(views: Iterable[MigrationView]) -> MigrationsOutput:
    """`migrate --status`."""
    return MigrationsOutput(migrations=tuple(map(migration_output, views)))


def migration_output(view: MigrationView) -> MigrationOutput:
    """One of `migrate --status`."""
    migration, status = view.migration, view.status
    return MigrationOutput(
        name=view.name,
        source=migration.source,
        target=migration.target_name,
        phase=migration.phase.value,
        running=view.is_running,
        ready=bool(status and status.is_ready and view.is_running),
        began=migration.began,
        pace_bytes=migration.limits.pace_bytes or None,
        moved_at=migration.moved_at or None,
        status=None if status is None else _status_output(status),
    )


def _status_output(status: MigrationStatus) -> MigrationStatusOutput:
    return MigrationStatusOutput(
        at=status.at,
        words=status.words,
        keys=status.keys,
        expected_keys=status.expected_keys,
        changes=status.changes,
        by_value=status.by_value,
        mended=status.mended,
        lag_bytes=status.lag_bytes,
        held=status.held,
        unproved=status.dirty_keys,
        refused=status.refusal.what if status.refusal else None,
        source_wait_ms=_waits_output(status.source_p50_ms, status.source_p99_ms),
    )


def migration_abort_output(done: Aborted) -> MigrationAbortOutput:
    """`migrate --abort`."""
    return MigrationAbortOutput(
        source=done.migration.source,
        target=done.migration.target_name,
        was=done.migration.phase.value,
        source_was_fenced=done.was_fenced,
        target_keys=done.target_keys,
        removed_copy=done.removed_copy,
        target_trouble=done.target_trouble or None,
        written_since=None if done.written is None else done.written.count(KeyVerdict.DIFFERENT),
    )
