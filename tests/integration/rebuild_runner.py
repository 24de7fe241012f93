"""Runs `rebuild` on a file and kills its own process, as `kill -9` does, after the n-th of what it is told to count.

Usage: python rebuild_runner.py FILE journal|TASK N. ``journal`` counts entries of the journal, a task its progress
events. Exit code 0: there were fewer than N, and `rebuild` came to its end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from slotwright import api
from slotwright.adapters.state.journal import FileJournal
from slotwright.cluster.events import Event


class Fuse:
    """Burns down with each count, over all journals of the run."""

    def __init__(self, left: int) -> None:
        self._left = left

    def burn(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class CuttingJournal(FileJournal):
    """A real journal; the n-th entry is on disk, and nothing comes after it."""

    def __init__(self, path: Path, fuse: Fuse) -> None:
        super().__init__(path)
        self._fuse = fuse

    def write(self, entry: Mapping[str, object]) -> None:
        super().write(entry)
        self._fuse.burn()


def main() -> None:
    file, counted, fuse = Path(sys.argv[1]), sys.argv[2], Fuse(int(sys.argv[3]))

    def report(event: Event) -> None:
        if getattr(event, "task", "") == counted:
            fuse.burn()

    if counted == "journal":
        context = api.Context(open_journal=lambda path: CuttingJournal(path, fuse))
    else:
        context = api.Context(report=report)
    asyncio.run(api.rebuild(context, file))


if __name__ == "__main__":
    main()
