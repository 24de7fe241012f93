"""Runs `up` on a file, or the `abort` of one, and kills its own process, as `kill -9` does, right after the n-th entry
of the journal.

Usage: python cut_runner.py FILE N [abort]. Exit code 0: the journal had fewer entries than N, and it came to its end.
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


class CuttingJournal:
    """A real journal; the n-th entry is on disk, and nothing comes after it."""

    def __init__(self, path: Path, entries: int) -> None:
        self._kept = FileJournal(path)
        self._left = entries

    def write(self, entry: Mapping[str, object]) -> None:
        self._kept.write(entry)
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        self._kept.close()


def main() -> None:
    file, entries = Path(sys.argv[1]), int(sys.argv[2])
    context = api.Context(open_journal=lambda path: CuttingJournal(path, entries))
    if "abort" in sys.argv:
        asyncio.run(api.abort_up(context, api.find_target(context, str(file))))
    else:
        asyncio.run(api.up(context, file))


if __name__ == "__main__":
    main()
