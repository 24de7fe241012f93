"""Where a migration is kept: one folder for each pair of source and target.

::

    STATE/migrations/SOURCE--TARGET/migration.json   what was decided, and how far it is (model/migration.py)
                                    status.json      how it is just now, for other terminals
                                    request          what another terminal asks the running one to do
                                    journal.jsonl    what was intended and done
                                    report.json      what the comparison and the cutover came to
                                    lock             who works on it now
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TypeVar

import msgspec

from slotwright.adapters.files import make_directory, write_atomically
from slotwright.errors import HostError
from slotwright.model.migration import Migration, Request, Status

Kept = TypeVar("Kept")


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
        return self._read("migration.json", Migration)

    def write(self, migration: Migration) -> None:
        """Keep how far it is, durably."""
        make_directory(self.folder)
        write_atomically(self.folder / "migration.json", msgspec.json.format(msgspec.json.encode(migration), indent=1))

    def read_status(self) -> Status | None:
        """None when nothing was told yet."""
        return self._read("status.json", Status)

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
        path = self.folder / "request"
        try:
            text = path.read_text()
            path.unlink()
            return Request(text)
        except (FileNotFoundError, ValueError):
            return None

    def _read(self, name: str, kind: type[Kept]) -> Kept | None:
        path = self.folder / name
        try:
            return msgspec.json.decode(path.read_bytes(), type=kind)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise HostError(
                f"what is kept of the migration {self.name} can't be read",
                code="record-unreadable",
                where=str(path),
                seen=str(error).splitlines()[0],
            ) from error


def migration_name(source: str, target: str) -> str:
    """The folder's name, and what the migration is called in commands."""
    return "--".join(re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-") for text in (source, target))


def known_migrations(root: Path) -> tuple[str, ...]:
    """All that are kept, the newest first."""
    found = sorted((root / "migrations").glob("*/migration.json"), key=lambda path: -path.stat().st_mtime)
    return tuple(path.parent.name for path in found)
