"""What is kept of a migration, and what terminals ask of each other."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from slotwright.adapters.state.jobs import open_jobs
from slotwright.errors import HostError
from slotwright.features.migrate.model.migration import (
    Migration,
    MigrationLimits,
    MigrationPhase,
    MigrationRequest,
    MigrationStatus,
    PausedExpiry,
    ReadOnly,
    StreamPosition,
)
from slotwright.features.migrate.store import MigrationStore, known_migrations, migration_name
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule

MIGRATION = Migration(
    "10.0.0.9:6379",
    "cache",
    "cache",
    "app",
    "",
    DatabaseMap(DatabaseRule.PREFIX, "{db}/"),
    MigrationLimits(5.0, 1_000_000),
    MigrationPhase.CLOSING,
    1.5,
    (StreamPosition("10.0.0.9:6379", "a" * 40, 1234, 3, 99),),
    (ReadOnly("10.0.0.9:6379", 1, 10, (("app", "-@all +get"),)),),
    paused_expiry=PausedExpiry(("10.0.0.1:7001",), has_later_deadlines=True),
)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    store = MigrationStore(tmp_path, migration_name(MIGRATION.source, "cache"))
    assert store.read() is None
    assert store.read_status() is None
    store.write(MIGRATION)
    assert store.read() == MIGRATION
    store.write_status(MigrationStatus(1.0, "copying", keys=3))
    found = store.read_status()
    assert found is not None
    assert (found.words, found.keys) == ("copying", 3)
    assert known_migrations(tmp_path) == ("10.0.0.9-6379--cache",)
    assert (store.folder / "migration.json").stat().st_mode & 0o077 == 0


def test_what_was_kept_before_targets_were_kept_from_expiring_is_read(tmp_path: Path) -> None:
    store = MigrationStore(tmp_path, "x")
    store.write(MIGRATION)
    kept = json.loads((store.folder / "migration.json").read_text())
    del kept["paused_expiry"]
    (store.folder / "migration.json").write_text(json.dumps(kept))
    assert store.read() == replace(MIGRATION, paused_expiry=PausedExpiry())


def test_what_can_not_be_read_is_told(tmp_path: Path) -> None:
    store = MigrationStore(tmp_path, "x")
    store.write(MIGRATION)
    (store.folder / "migration.json").write_text("{")
    with pytest.raises(HostError) as caught:
        store.read()
    assert caught.value.code == "record-unreadable"


def test_a_request_is_taken_once_or_withdrawn(tmp_path: Path) -> None:
    store = MigrationStore(tmp_path, "x")
    store.write(MIGRATION)
    assert store.take_request() is store.requested() is None
    store.ask(MigrationRequest.CUTOVER)
    assert store.requested() is MigrationRequest.CUTOVER
    store.withdraw(MigrationRequest.STOP)
    assert store.take_request() is MigrationRequest.CUTOVER
    assert store.take_request() is None
    store.ask(MigrationRequest.STOP)
    store.withdraw(MigrationRequest.STOP)
    assert store.requested() is None
    (store.folder / "request").write_text("nonsense")
    assert store.requested() is None
    assert store.take_request() is None


@pytest.mark.parametrize(
    ("source", "name"),
    [("[fd00::1]:6379", "fd00-1-6379--cache"), ("old.yaml", "old.yaml--cache"), ("a/b", "a-b--cache")],
)
def test_a_name_is_a_folder_s(source: str, name: str) -> None:
    assert migration_name(source, "cache") == name


@pytest.mark.parametrize("phase", MigrationPhase)
def test_clusters_are_needed_until_everything_is_moved_or_given_up(tmp_path: Path, phase: MigrationPhase) -> None:
    name = migration_name(MIGRATION.source, "cache")
    MigrationStore(tmp_path, name).write(replace(MIGRATION, phase=phase, clusters=("old", "cache")))
    is_over = phase in (MigrationPhase.MOVED, MigrationPhase.ABORTED)
    for cluster in ("old", "cache"):
        assert [job.name for job in open_jobs(tmp_path, cluster)] == ([] if is_over else [name])


def test_what_ends_a_migration_is_said_by_its_name(tmp_path: Path) -> None:
    name = migration_name(MIGRATION.source, "cache")
    store = MigrationStore(tmp_path, name)
    store.write(replace(MIGRATION, phase=MigrationPhase.FOLLOW))
    (job,) = open_jobs(tmp_path, "cache")
    assert (job.summary.title, job.summary.doing, job.summary.since) == ("migration", "follows its source", 1.5)
    assert job.summary.finish == f"slotwright migrate --cutover {name}"
    assert job.summary.go_on == f"slotwright migrate --resume {name}"
    assert job.summary.give_up == f"slotwright migrate --abort {name}"
    store.write(MIGRATION)
    (closing,) = open_jobs(tmp_path, "cache")
    assert closing.summary.go_on == job.summary.finish
