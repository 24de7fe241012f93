"""The state directory: one folder a cluster, with its record, its password (0600), its journal and its lock.

::

    STATE/clusters/NAME/record.json     what was decided (cluster/record.py)
                        password        the password that the nodes were given
                        topology.yaml   the file of a demo, which has no other place
                        journal.jsonl   what was intended and done
                        lock            who works on it now
                        maps/           good copies of the nodes' own nodes.conf, and of the one before
                        rebuild.json    a rebuild under way: the old record, and what was decided
                        copies.json     what each node held when the cluster was last proved
                        baseline.json   a change under way: the old record, and the settings that nodes had (0600)
                        archives/       what rebuilds and repairs set aside; nothing here removes it
                        quarantine/     values that two nodes had differently; nothing here removes it
                        nodes/          the nodes' folders, unless the file names another place
                        rehearsal/      a server being tried; empty between two commands

STATE is ``SLOTWRIGHT_STATE``, or the platform's user state directory.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from slotwright.adapters.files import (
    OTHER_STATE,
    KeptFile,
    make_own_directory,
    read_kept,
    sync_directory,
    write_atomically,
    write_kept,
)
from slotwright.adapters.homes import expand_home
from slotwright.adapters.path_ownership import demand_own
from slotwright.cluster.baseline import Baseline
from slotwright.cluster.formats import FileKind
from slotwright.cluster.kept_copies import KeptCopies
from slotwright.cluster.record import ClusterRecord
from slotwright.cluster.secret import Secret
from slotwright.errors import HostError
from slotwright.ports import Quarantine, ValueT

if TYPE_CHECKING:
    from slotwright.cluster.jobs import OpenJob

STATE_VARIABLE = "SLOTWRIGHT_STATE"


def state_directory() -> Path:
    """Where slotwright keeps its state; not made until something is kept. Raises InputError (home-unknown)."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return expand_home(chosen).absolute()
    from platformdirs import user_state_path

    # Where there is no home, what platformdirs gives begins with the sign itself.
    return expand_home(user_state_path("slotwright", appauthor=False))


class FileClusterStore:
    """Implements :class:`slotwright.ports.ClusterStore`: the folder of one cluster in the state directory."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / "clusters" / name

    @property
    def lock_path(self) -> Path:
        """Where the holder is named."""
        return self.folder / "lock"

    @property
    def journal_path(self) -> Path:
        """One JSON object a line."""
        return self.folder / "journal.jsonl"

    @property
    def topology_path(self) -> Path:
        """The file of a demo."""
        return self.folder / "topology.yaml"

    @property
    def rehearsal_path(self) -> Path:
        """Where a server is tried."""
        return self.folder / "rehearsal"

    @property
    def nodes_path(self) -> Path:
        """Where the nodes' folders are by default."""
        return self.folder / "nodes"

    @property
    def rebuild_path(self) -> Path:
        """There while a rebuild is under way."""
        return self.folder / "rebuild.json"

    @property
    def archives_path(self) -> Path:
        """Where rebuilds archive to by default; it outlives the cluster."""
        return self.folder / "archives"

    @property
    def password_path(self) -> Path:
        """The password that the nodes were given, 0600; not there where none was."""
        return self.folder / "password"

    @property
    def maps_path(self) -> Path:
        """Where good copies of the nodes' maps are kept, 0600."""
        return self.folder / "maps"

    @property
    def quarantine_path(self) -> Path:
        """Values that two nodes had differently, as repairs found them; nothing here removes it."""
        return self.folder / "quarantine"

    @property
    def _record_file(self) -> KeptFile[ClusterRecord]:
        return KeptFile(self.folder / "record.json", ClusterRecord, FileKind.RECORD, f"the record of {self.name}")

    def hold(self, verb: str) -> AbstractContextManager[None]:
        """By flock(2). Raises RefusedError."""
        from slotwright.adapters.state import lock

        return lock.hold(self.lock_path, verb, self.name)

    def exists(self) -> bool:
        """Whether the folder is there."""
        return self.folder.exists()

    def has_topology(self) -> bool:
        """Whether the file is there."""
        return self.topology_path.exists()

    def prepare(self) -> None:
        """Make the folder, private to this user."""
        make_own_directory(self.folder, instead=OTHER_STATE)

    def read_record(self) -> ClusterRecord | None:
        """None when the cluster isn't known here. Raises HostError for a record that can't be read, and RefusedError
        (format-newer) for one of a later release."""
        record = read_kept(self._record_file)
        if record is not None and not record.blueprint.shards:
            raise HostError(
                f"the record of {self.name} can't be read",
                code="record-unreadable",
                where=str(self._record_file.path),
                seen="a cluster without a shard",
            )
        return record

    def demand_known_formats(self) -> None:
        """Raise RefusedError (format-newer) where anything that is kept here was written by a later release in a format
        that this one doesn't know: asked before anything is changed or removed."""
        # What can't be read is told of by whoever needs it.
        with contextlib.suppress(HostError):
            self.read_record()
        with contextlib.suppress(HostError):
            read_kept(self._rebuild_file(object))
        with contextlib.suppress(HostError):
            self.read_baseline()
        self.read_copies()
        with contextlib.suppress(HostError):
            self.read_journal()

    def write_record(self, record: ClusterRecord) -> None:
        """Replace the record, durably."""
        write_kept(self._record_file, record)

    def forget_record(self) -> None:
        """Nothing is made here any more: the next record is of another cluster."""
        self.forget_baseline()
        for name in ("copies.json", "record.json"):
            (self.folder / name).unlink(missing_ok=True)
        sync_directory(self.folder)

    def record_text(self) -> str:
        """The file's."""
        return (self.folder / "record.json").read_text()

    def as_unknown(self) -> FileClusterStore:
        """The same folder, without its record."""
        return _Unknown(self.folder.parent.parent, self.name)

    def read_journal(self) -> str:
        """The file's."""
        from slotwright.adapters.state.journal import read_journal

        return read_journal(self.journal_path)

    def read_password(self) -> Secret | None:
        """The password that the nodes were given, None when none was."""
        demand_own(self.password_path, instead=OTHER_STATE)
        try:
            return Secret(self.password_path.read_bytes().decode(errors="surrogateescape"))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(
                f"the password kept for {self.name} can't be read: {error.strerror}",
                code="password-unreadable",
                where=str(self.password_path),
            ) from error

    def write_password(self, password: Secret) -> None:
        """Keep it, 0600; it may be of any bytes."""
        self.prepare()
        write_atomically(self.password_path, password.reveal())

    def read_map(self, label: str) -> str | None:
        """None where none is kept, or it can't be read."""
        path = self.maps_path / label
        demand_own(path, instead=OTHER_STATE)
        try:
            return path.read_bytes().decode(errors="replace")
        except OSError:
            return None

    def write_map(self, label: str, text: str) -> None:
        """0600, in a folder of its own."""
        make_own_directory(self.maps_path, instead=OTHER_STATE)
        write_atomically(self.maps_path / label, text)

    def read_rebuild(self, kind: type[ValueT]) -> ValueT | None:
        """None when none is under way. Raises HostError, and RefusedError (format-newer)."""
        return read_kept(self._rebuild_file(kind))

    def write_rebuild(self, rebuild: object) -> None:
        """Keep what was decided and how far it is, durably."""
        write_kept(self._rebuild_file(type(rebuild)), rebuild)

    def forget_rebuild(self) -> None:
        """It is done, or was never begun."""
        self.rebuild_path.unlink(missing_ok=True)
        sync_directory(self.folder)

    def has_rebuild(self) -> bool:
        """Whether the note is there."""
        return self.rebuild_path.exists()

    def read_baseline(self) -> Baseline | None:
        """None when no change is under way. Raises HostError, and RefusedError (format-newer)."""
        return read_kept(self._baseline_file)

    def write_baseline(self, baseline: Baseline) -> None:
        """Keep what the cluster was, durably."""
        write_kept(self._baseline_file, baseline)

    def forget_baseline(self) -> None:
        """The change is proved, or taken back."""
        if self.has_baseline():
            self._baseline_file.path.unlink(missing_ok=True)
            sync_directory(self.folder)

    def has_baseline(self) -> bool:
        """Whether the file is there."""
        return self._baseline_file.path.exists()

    def read_copies(self) -> KeptCopies:
        """Of no node where nothing is kept, or it can't be read: it is no more than a hint. Raises RefusedError
        (format-newer, folder-unsafe)."""
        with contextlib.suppress(HostError):
            return read_kept(self._copies_file) or KeptCopies()
        return KeptCopies()

    def write_copies(self, copies: KeptCopies) -> None:
        """Replace what is kept, durably."""
        write_kept(self._copies_file, copies)

    @property
    def _copies_file(self) -> KeptFile[KeptCopies]:
        title = f"what was kept of the nodes of {self.name}"
        return KeptFile(self.folder / "copies.json", KeptCopies, FileKind.COPIES, title)

    @property
    def _baseline_file(self) -> KeptFile[Baseline]:
        title = f"the baseline of {self.name}"
        return KeptFile(self.folder / "baseline.json", Baseline, FileKind.BASELINE, title)

    def _rebuild_file(self, kind: type[ValueT]) -> KeptFile[ValueT]:
        return KeptFile(self.rebuild_path, kind, FileKind.REBUILD, f"the note of the rebuild of {self.name}")

    def quarantine(self, label: str) -> Quarantine:
        """A file that is made with its first value."""
        from slotwright.adapters.state.quarantine import QuarantineFile

        return QuarantineFile(self.quarantine_path / f"{label}.jsonl")

    def remove(self) -> None:
        """Forget the cluster: everything that is kept here, and the folders that this leaves empty.

        A node's folder that is still there is nobody's to remove here: it stays, and so do the folders above it.
        """
        if not self.folder.exists():
            return
        shutil.rmtree(self.rehearsal_path, ignore_errors=True)
        shutil.rmtree(self.maps_path, ignore_errors=True)
        for entry in self.folder.iterdir():
            if not entry.is_dir():
                entry.unlink()
        for folder in (self.nodes_path, self.folder, self.folder.parent, self.folder.parent.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()


class _Unknown(FileClusterStore):
    """The place of a cluster that is not known yet."""

    def read_record(self) -> None:
        """There is none."""


class StateDirectory:
    """Implements :class:`slotwright.ports.State` in the folder ``root``; None: the one that :func:`state_directory`
    names."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or state_directory()

    def cluster(self, name: str) -> FileClusterStore:
        """Its folder need not be there."""
        return FileClusterStore(self.root, name)

    def clusters(self) -> tuple[str, ...]:
        """Those that have a record."""
        return known_clusters(self.root)

    def open_jobs(self, cluster: str) -> tuple[OpenJob, ...]:
        """Whatever can be read."""
        from slotwright.adapters.state.jobs import open_jobs

        return open_jobs(self.root, cluster)


def known_clusters(root: Path) -> tuple[str, ...]:
    """Names of the clusters that have a record here, sorted."""
    return tuple(sorted(path.parent.name for path in (root / "clusters").glob("*/record.json")))
