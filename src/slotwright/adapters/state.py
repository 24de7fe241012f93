"""The state directory: one folder a cluster, with its record, its password (0600), its journal and its lock.

::

    STATE/clusters/NAME/record.json     what was decided (model/record.py)
                        password        the password that the nodes were given
                        topology.yaml   the file of a demo, which has no other place
                        journal.jsonl   what was intended and done
                        lock            who works on it now
                        maps/           good copies of the nodes' own nodes.conf, and of the one before
                        rebuild.json    a rebuild under way: the old record, and what was decided
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
from pathlib import Path

from slotwright.adapters.files import make_directory, read_kept, sync_directory, write_atomically, write_kept
from slotwright.errors import HostError
from slotwright.model.rebuild import Rebuild
from slotwright.model.record import ClusterRecord
from slotwright.model.secret import Secret

STATE_VARIABLE = "SLOTWRIGHT_STATE"


def state_directory() -> Path:
    """Where slotwright keeps its state; not made until something is kept."""
    chosen = os.environ.get(STATE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_state_path

    return user_state_path("slotwright", appauthor=False)


class ClusterStore:
    """The folder of one cluster in the state directory."""

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

    def prepare(self) -> None:
        """Make the folder, private to this user."""
        make_directory(self.folder)

    def read_record(self) -> ClusterRecord | None:
        """None when the cluster isn't known here. Raises HostError for a record that can't be read."""
        return read_kept(self.folder / "record.json", ClusterRecord, f"the record of {self.name}")

    def write_record(self, record: ClusterRecord) -> None:
        """Replace the record, durably."""
        write_kept(self.folder / "record.json", record)

    def forget_record(self) -> None:
        """Nothing is made here any more: the next record is of another cluster."""
        (self.folder / "record.json").unlink(missing_ok=True)
        sync_directory(self.folder)

    def read_rebuild(self) -> Rebuild | None:
        """None when no rebuild is under way. Raises HostError for a note that can't be read."""
        return read_kept(self.rebuild_path, Rebuild, f"the note of the rebuild of {self.name}")

    def write_rebuild(self, rebuild: Rebuild) -> None:
        """Keep how far it is, durably."""
        write_kept(self.rebuild_path, rebuild)

    def forget_rebuild(self) -> None:
        """It is done, or was never begun."""
        self.rebuild_path.unlink(missing_ok=True)
        sync_directory(self.folder)

    def read_password(self) -> Secret | None:
        """The password that the nodes were given, None when none was."""
        try:
            return Secret(self.password_path.read_text())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise HostError(
                f"the password kept for {self.name} can't be read: {error.strerror}",
                code="password-unreadable",
                where=str(self.password_path),
            ) from error

    def write_password(self, password: Secret) -> None:
        """Keep it, 0600."""
        self.prepare()
        write_atomically(self.password_path, password.reveal())

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


def known_clusters(root: Path) -> tuple[str, ...]:
    """Names of the clusters that have a record here, sorted."""
    return tuple(sorted(path.parent.name for path in (root / "clusters").glob("*/record.json")))
