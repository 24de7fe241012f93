"""Where migrations are kept: ``STATE/migrations/SOURCE--TARGET/migration.json`` and what lies beside it."""

from __future__ import annotations

import re
from pathlib import Path

from slotwright.adapters.state.jobs import JobKind, JobStore, known_jobs
from slotwright.cluster.formats import FileKind
from slotwright.cluster.jobs import JobSummary
from slotwright.features.migrate.model.migration import (
    Migration,
    MigrationPhase,
    MigrationRequest,
    MigrationStatus,
)

_TITLE = "migration"
_DOING = {
    MigrationPhase.COPY: "copies",
    MigrationPhase.FOLLOW: "follows its source",
    MigrationPhase.CLOSING: "cuts over",
    MigrationPhase.MOVED: "moved",
    MigrationPhase.ABORTED: "given up",
}


def summarize(migration: Migration) -> JobSummary:
    """For verbs that know no migration."""
    name = migration_name(migration.source, migration.target_name)
    cutover = f"slotwright migrate --cutover {name}"
    return JobSummary(
        _TITLE,
        migration.clusters or (migration.target_name,),
        _DOING[migration.phase],
        migration.began,
        migration.needs_both_sides,
        cutover,
        cutover if migration.phase is MigrationPhase.CLOSING else f"slotwright migrate --resume {name}",
        f"slotwright migrate --abort {name}",
        migration.is_paused,
    )


KIND = JobKind(
    "migrations",
    "migration.json",
    _TITLE,
    Migration,
    MigrationStatus,
    MigrationRequest,
    FileKind.MIGRATION,
    FileKind.MIGRATION_STATUS,
    summarize,
)


class MigrationStore(JobStore[Migration, MigrationStatus, MigrationRequest]):
    """The folder of one migration in the state directory."""

    def __init__(self, root: Path, name: str) -> None:
        super().__init__(root, name, KIND)


def migration_name(source: str, target: str) -> str:
    """The folder's name, and what the migration is called in commands."""
    return "--".join(re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-") for text in (source, target))


def known_migrations(root: Path) -> tuple[str, ...]:
    """All that are kept, the newest first."""
    return known_jobs(root, KIND)
