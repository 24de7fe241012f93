"""What is kept has the number of its format: earlier releases' files are read, later ones' are refused by name, and
fields that this release doesn't know stay.

``format_1`` holds what the last release without numbers wrote: a demo's record, journal and marker, a migration that
was cut while it followed its source, a rebuild that was cut while the new cluster was made.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from slotwright import __version__
from slotwright.adapters.local.folders import directory_fact, unknown_format
from slotwright.adapters.state.clusters import FileClusterStore
from slotwright.adapters.state.journal import FileJournal, read_journal
from slotwright.cluster.baseline import Baseline, FormerNode, FormerSetting
from slotwright.cluster.kept_copies import KeptCopies, KeptCopy
from slotwright.cluster.node_files import MARKER, PROCESS
from slotwright.cluster.record import ClusterRecord, Stage
from slotwright.cluster.topology import Address
from slotwright.errors import HostError, RefusedError
from slotwright.features.migrate.model.migration import MigrationPhase, MigrationStatus
from slotwright.features.migrate.store import MigrationStore
from slotwright.features.rebuild.model import RebuildPhase
from slotwright.features.rebuild.store import read_rebuild, write_rebuild
from slotwright.hosts.facts.nodes import DirectoryState
from slotwright.ops.journal_read import parse_journal, tally, unfinished

BEFORE = Path(__file__).with_name("format_1")
HEAD = {"format": 1, "slotwright": __version__}


@dataclass
class Kept:
    """A state directory as the last release without numbers left it."""

    root: Path

    @property
    def cluster(self) -> FileClusterStore:
        return FileClusterStore(self.root, "demo")

    @property
    def migration(self) -> MigrationStore:
        return MigrationStore(self.root, "127.0.1.1-7001--demo")

    def change(self, path: Path, **fields: object) -> None:
        path.write_text(json.dumps({**json.loads(path.read_text()), **fields}, indent=1))

    def record(self) -> ClusterRecord:
        found = self.cluster.read_record()
        assert found is not None
        return found


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    found = Kept(tmp_path / "state")
    places = {
        "record.json": found.cluster.folder / "record.json",
        "journal.jsonl": found.cluster.journal_path,
        "rebuild.json": found.cluster.rebuild_path,
        "migration.json": found.migration.folder / "migration.json",
        "status.json": found.migration.folder / "status.json",
        "migration-journal.jsonl": found.migration.journal_path,
    }
    for name, place in places.items():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copyfile(BEFORE / name, place)
        place.chmod(0o600)
    found.cluster.write_baseline(BASELINE)
    found.cluster.write_copies(COPIES)
    return found


def content(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def test_a_cluster_of_the_release_before_goes_on(kept: Kept) -> None:
    record = kept.record()
    assert (record.name, record.stage, record.version) == ("demo", Stage.FORMED, "Valkey 9.1.2")
    kept.cluster.write_record(replace(record, topology_path="/srv/cache.yaml"))
    path = kept.cluster.folder / "record.json"
    assert content(path) == {**HEAD, **content(BEFORE / "record.json"), "topology_path": "/srv/cache.yaml"}
    assert list(content(path))[:2] == ["format", "slotwright"]
    assert path.stat().st_mode & 0o777 == 0o600
    assert kept.record() == replace(record, topology_path="/srv/cache.yaml")


def test_a_migration_of_the_release_before_goes_on(kept: Kept) -> None:
    migration, status = kept.migration.read(), kept.migration.read_status()
    assert migration is not None
    assert (migration.phase, len(migration.positions)) == (MigrationPhase.FOLLOW, 3)
    assert status is not None
    assert (status.keys, status.is_ready) == (300, True)
    kept.migration.demand_known_formats()
    moved = replace(migration, phase=MigrationPhase.MOVED, moved_at=2.5)
    kept.migration.write(moved)
    kept.migration.write_status(MigrationStatus(3.0, "done"))
    assert kept.migration.read() == moved
    written = content(kept.migration.folder / "migration.json")
    # What verbs that know no migration read of it came later, as further fields.
    assert set(written) >= {"clusters", "job", *HEAD, *content(BEFORE / "migration.json")}
    assert written.items() >= {**HEAD, **content(BEFORE / "migration.json"), "phase": "moved", "moved_at": 2.5}.items()
    assert content(kept.migration.folder / "status.json").items() >= {**HEAD, "words": "done"}.items()


def test_a_rebuild_of_the_release_before_goes_on(kept: Kept) -> None:
    rebuild = read_rebuild(kept.cluster)
    assert rebuild is not None
    assert (rebuild.phase, rebuild.old, len(rebuild.copies)) == (RebuildPhase.FORM, kept.record(), 3)
    write_rebuild(kept.cluster, replace(rebuild, phase=RebuildPhase.COPY))
    assert content(kept.cluster.rebuild_path) == {**HEAD, **content(BEFORE / "rebuild.json"), "phase": "copy"}


def test_journals_of_the_release_before_go_on(kept: Kept) -> None:
    for path, verb in ((kept.cluster.journal_path, "up"), (kept.migration.journal_path, "")):
        before = parse_journal(read_journal(path))
        journal = FileJournal(path)
        journal.write({"phase": "done", "step": "migrate"})
        journal.close()
        entries = parse_journal(read_journal(path))
        assert entries[:-1] == before
        assert path.read_text().count("\n") == len(entries), "no line about the format in the middle"
        left = unfinished(entries)
        assert (left.verb if left else "") == verb
        assert tally(entries) is not None


def test_a_node_s_folder_of_the_release_before_is_ours(tmp_path: Path) -> None:
    folder = tmp_path / "n1"
    folder.mkdir(mode=0o700)
    for name in (MARKER, PROCESS):
        shutil.copyfile(BEFORE / name, folder / name)
        (folder / name).chmod(0o600)
    assert unknown_format(folder) is None
    found = directory_fact(folder, "2b1e7232a0923ae07c51b45b36eb47b3124131ab")
    assert (found.state, found.owner) == (DirectoryState.OURS, "demo")


Use = Callable[[Kept], object]


def _path(name: str) -> Callable[[Kept], Path]:
    return lambda kept: (kept.migration if name in ("migration.json", "status.json") else kept.cluster).folder / name


USES: dict[str, tuple[str, str, tuple[Use, ...]]] = {
    "record": (
        "record.json",
        "the record of demo",
        (
            lambda kept: kept.cluster.read_record(),
            lambda kept: kept.cluster.write_record(RECORD),
            lambda kept: kept.cluster.demand_known_formats(),
        ),
    ),
    "rebuild": (
        "rebuild.json",
        "the note of the rebuild of demo",
        (
            lambda kept: read_rebuild(kept.cluster),
            lambda kept: write_rebuild(kept.cluster, REBUILD),
            lambda kept: kept.cluster.demand_known_formats(),
        ),
    ),
    "copies": (
        "copies.json",
        "what was kept of the nodes of demo",
        (
            lambda kept: kept.cluster.read_copies(),
            lambda kept: kept.cluster.write_copies(COPIES),
            lambda kept: kept.cluster.demand_known_formats(),
        ),
    ),
    "baseline": (
        "baseline.json",
        "the baseline of demo",
        (
            lambda kept: kept.cluster.read_baseline(),
            lambda kept: kept.cluster.write_baseline(BASELINE),
            lambda kept: kept.cluster.demand_known_formats(),
        ),
    ),
    "job": (
        "migration.json",
        "the note of the migration 127.0.1.1-7001--demo",
        (
            lambda kept: kept.migration.read(),
            lambda kept: kept.migration.write(MIGRATION),
            lambda kept: kept.migration.begin(MIGRATION),
            lambda kept: kept.migration.demand_known_formats(),
        ),
    ),
    "status": (
        "status.json",
        "the status of the migration 127.0.1.1-7001--demo",
        (
            lambda kept: kept.migration.read_status(),
            lambda kept: kept.migration.write_status(MigrationStatus(1.0, "x")),
            lambda kept: kept.migration.demand_known_formats(),
        ),
    ),
}


def _golden() -> tuple[Any, Any, Any]:
    import msgspec

    from slotwright.features.migrate.model.migration import Migration
    from slotwright.features.rebuild.model import Rebuild

    kinds = (("record.json", ClusterRecord), ("rebuild.json", Rebuild), ("migration.json", Migration))
    return tuple(msgspec.json.decode((BEFORE / name).read_bytes(), type=kind) for name, kind in kinds)  # type: ignore[return-value]


RECORD, REBUILD, MIGRATION = _golden()
BASELINE = Baseline(
    RECORD,
    "up",
    "2026-12-01T09:00:00+00:00",
    (FormerNode(Address("127.0.1.1", 7001), (FormerSetting("maxmemory", "0", ("64mb", "1")),)),),
)


COPIES = KeptCopies((KeptCopy("a" * 40, 1, "b" * 40, 5000, 300),))


@pytest.mark.parametrize("kind", USES)
def test_a_file_of_a_later_format_is_refused_by_name_and_stays(kept: Kept, kind: str) -> None:
    name, title, uses = USES[kind]
    path = _path(name)(kept)
    kept.change(path, format=2, slotwright="0.9.0")
    before = path.read_bytes()
    for use in uses:
        with pytest.raises(RefusedError) as caught:
            use(kept)
        error = caught.value
        assert error.what == (
            f"{title} was written by slotwright 0.9.0 in format 2; this slotwright {__version__} knows up to 1"
        )
        assert (error.code, error.where, error.exit_code) == ("format-newer", str(path), 4)
        assert error.hint == "use slotwright 0.9.0 or newer"
    assert path.read_bytes() == before


def test_a_later_format_is_refused_whatever_its_shape(kept: Kept) -> None:
    (kept.cluster.folder / "record.json").write_text('{"format": 2, "slotwright": "0.9", "clusters": []}')
    with pytest.raises(RefusedError, match="in format 2"):
        kept.cluster.read_record()


def test_a_journal_of_a_later_format_is_found_before_anything_is_done(kept: Kept) -> None:
    for store, name in ((kept.cluster, "demo"), (kept.migration, "127.0.1.1-7001--demo")):
        store.journal_path.write_text('{"phase": "format", "format": 2, "slotwright": "0.9"}\n')
        with pytest.raises(RefusedError, match=f"the journal of {name} was written by slotwright 0.9"):
            store.demand_known_formats()


def test_what_can_t_be_read_is_no_later_format(kept: Kept) -> None:
    for path in (kept.cluster.folder / "record.json", kept.cluster.rebuild_path, kept.cluster.journal_path):
        path.write_text("{")
    kept.cluster.demand_known_formats()
    with pytest.raises(HostError) as caught:
        kept.record()
    assert caught.value.code == "record-unreadable"


def test_nothing_kept_is_no_later_format(tmp_path: Path) -> None:
    FileClusterStore(tmp_path, "x").demand_known_formats()
    MigrationStore(tmp_path, "x").demand_known_formats()
    assert list(tmp_path.iterdir()) == []


def test_fields_that_this_release_does_not_know_stay(kept: Kept) -> None:
    path = kept.cluster.folder / "record.json"
    kept.change(path, later={"a": [1, None]}, format=1, slotwright="0.9.0")
    inner = content(path)["topology"]
    kept.change(path, topology={**inner, "quota": 3, "engine": {**inner["engine"], "patch": "p1"}})
    record = kept.record()
    kept.cluster.write_record(replace(record, version="Valkey 9.1.3"))
    kept.cluster.write_record(replace(record, version="Valkey 9.1.4"))
    written = content(path)
    assert written["later"] == {"a": [1, None]}
    assert (written["topology"]["quota"], written["topology"]["engine"]["patch"]) == (3, "p1")
    assert (written["version"], written["slotwright"]) == ("Valkey 9.1.4", __version__)
    assert kept.record() == replace(record, version="Valkey 9.1.4")


def test_a_job_and_a_rebuild_keep_them_too(kept: Kept) -> None:
    job = kept.migration.folder / "migration.json"
    kept.change(job, throttle={"per": "node"}, limits={**content(job)["limits"], "cpu": 0.5})
    kept.migration.write(replace(MIGRATION, phase=MigrationPhase.CLOSING))
    assert (content(job)["throttle"], content(job)["limits"]["cpu"]) == ({"per": "node"}, 0.5)
    kept.change(kept.cluster.rebuild_path, later=1)
    write_rebuild(kept.cluster, REBUILD)
    assert content(kept.cluster.rebuild_path)["later"] == 1


def test_known_fields_are_never_the_old_ones(kept: Kept) -> None:
    record = kept.record()
    moved = replace(record, folders=((str(Address("h9", 1)), "x"),), settings=())
    kept.cluster.write_record(moved)
    kept.cluster.write_record(replace(moved, folders=()))
    assert kept.record() == replace(moved, folders=())


def test_a_baseline_is_kept_for_its_owner_and_forgotten_with_its_cluster(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path, "demo")
    assert (store.has_baseline(), store.read_baseline()) == (False, None)
    store.forget_baseline()
    store.write_record(RECORD)
    store.write_baseline(BASELINE)
    path = store.folder / "baseline.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert content(path).items() >= HEAD.items()
    assert (store.has_baseline(), store.read_baseline()) == (True, BASELINE)
    store.forget_baseline()
    assert not path.exists()
    for forget in (store.forget_record, store.remove):
        store.write_record(RECORD)
        store.write_baseline(BASELINE)
        forget()
        assert not store.has_baseline()


def test_what_was_kept_of_nodes_goes_with_their_cluster_and_is_no_more_than_a_hint(tmp_path: Path) -> None:
    store = FileClusterStore(tmp_path, "demo")
    assert store.read_copies() == KeptCopies()
    path = store.folder / "copies.json"
    for forget in (store.forget_record, store.remove):
        store.write_record(RECORD)
        store.write_copies(COPIES)
        assert (store.read_copies(), path.stat().st_mode & 0o777) == (COPIES, 0o600)
        forget()
        assert not path.exists()
    store.write_copies(COPIES)
    path.write_text("{")
    assert store.read_copies() == KeptCopies()


def test_a_new_job_has_nothing_of_the_one_before(kept: Kept) -> None:
    kept.change(kept.migration.folder / "migration.json", later=1)
    kept.migration.begin(MIGRATION)
    written = content(kept.migration.folder / "migration.json")
    assert "later" not in written
    assert written.items() >= {**HEAD, **content(BEFORE / "migration.json")}.items()
