"""A journal whose entries this process remembers: should it fail, it can say what it had done."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from slotwright.adapters.state.journal import FileJournal


class NotedJournal(FileJournal):
    """Adds every entry that is on disk to ``entries``."""

    def __init__(self, path: Path, entries: list[Mapping[str, object]]) -> None:
        super().__init__(path)
        self._entries = entries

    def write(self, entry: Mapping[str, object]) -> None:
        """As of the file. Raises HostError."""
        super().write(entry)
        self._entries.append(entry)
