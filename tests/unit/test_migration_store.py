"""What is kept of a migration, and what terminals ask of each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotwright.adapters.migration_store import MigrationStore, known_migrations, migration_name
from slotwright.errors import HostError
from slotwright.model.migration import (
    DatabaseMap,
    DatabaseRule,
    Limits,
    Migration,
    Phase,
    Position,
    ReadOnly,
    Request,
    Status,
)

MIGRATION = Migration(
    "10.0.0.9:6379",
    "cache",
    "cache",
    "app",
    "",
    DatabaseMap(DatabaseRule.PREFIX, "{db}/"),
    Limits(5.0, 1_000_000),
    Phase.CLOSING,
    1.5,
    (Position("10.0.0.9:6379", "a" * 40, 1234, 3, 99),),
    (ReadOnly("10.0.0.9:6379", 1, 10, (("app", "-@all +get"),)),),
)


def test_what_is_kept_is_read_again(tmp_path: Path) -> None:
    store = MigrationStore(tmp_path, migration_name(MIGRATION.source, "cache"))
    assert store.read() is None
    assert store.read_status() is None
    store.write(MIGRATION)
    assert store.read() == MIGRATION
    store.write_status(Status(1.0, "copying", keys=3))
    found = store.read_status()
    assert found is not None
    assert (found.words, found.keys) == ("copying", 3)
    assert known_migrations(tmp_path) == ("10.0.0.9-6379--cache",)
    assert (store.folder / "migration.json").stat().st_mode & 0o077 == 0


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
    store.ask(Request.CUTOVER)
    assert store.requested() is Request.CUTOVER
    store.withdraw(Request.STOP)
    assert store.take_request() is Request.CUTOVER
    assert store.take_request() is None
    store.ask(Request.STOP)
    store.withdraw(Request.STOP)
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
