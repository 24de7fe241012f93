"""Where a migration is kept: one folder for each pair of source and target.

::

    STATE/migrations/SOURCE--TARGET/migration.json   what was decided, and how far it is (model/migration.py)
                                    status.json      how it is just now, for other terminals
                                    request          what another terminal asks the running one to do
                                    journal.jsonl    what was intended and done
                                    lock             who works on it now
"""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from slotwright.adapters.files import read_kept, write_atomically, write_kept
from slotwright.model.migration import Migration, Request, Status


class MigrationStore:
    """The folder of one migration in the state directory."""

    def __init__(self, root: Path, name: str) -> None:
        self.name = name
        self.folder = root / "migrations" / name

    @property
    def lock_path(self) -> Path:
        """Held by the process that copies or follows."""
        return self.folder / "lock"

    @property
    def journal_path(self) -> Path:
        """One JSON object a line."""
        return self.folder / "journal.jsonl"

    def read(self) -> Migration | None:
        """None when there is none. Raises HostError for one that can't be read."""
        return read_kept(self.folder / "migration.json", Migration, f"the note of the migration {self.name}")

    def write(self, migration: Migration) -> None:
        """Keep how far it is, durably."""
        write_kept(self.folder / "migration.json", migration)

    def read_status(self) -> Status | None:
        """None when nothing was told yet."""
        return read_kept(self.folder / "status.json", Status, f"the status of the migration {self.name}")

    def write_status(self, status: Status) -> None:
        """For whoever asks."""
        write_atomically(self.folder / "status.json", msgspec.json.encode(status), durable=False)

    def ask(self, request: Request) -> None:
        """For the process that holds the lock."""
        write_atomically(self.folder / "request", request.value)

    def withdraw(self, request: Request) -> None:
        """What was asked is wanted no more, if nobody has taken it yet."""
        if self.requested() is request:
            (self.folder / "request").unlink(missing_ok=True)

    def requested(self) -> Request | None:
        """What is asked, and was not taken yet."""
        try:
            return Request((self.folder / "request").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def take_request(self) -> Request | None:
        """What was asked since the last time."""
        request = self.requested()
        (self.folder / "request").unlink(missing_ok=True)
        return request


def migration_name(source: str, target: str) -> str:
    """The folder's name, and what the migration is called in commands."""
    return "--".join(re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-") for text in (source, target))


def known_migrations(root: Path) -> tuple[str, ...]:
    """All that are kept, the newest first."""
    found = sorted((root / "migrations").glob("*/migration.json"), key=lambda path: -path.stat().st_mtime)
    return tuple(path.parent.name for path in found)
