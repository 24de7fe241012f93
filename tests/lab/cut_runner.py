"""Runs `up` on a file and kills its own process, as `kill -9` does, at one of its journal's entries.

Usage: python -m tests.lab.cut_runner FILE PHASE STEP COUNT. The entry is the COUNT-th of that phase (begin, intent,
done, end) and step ("" for begin and end); it is on disk, and nothing comes after it. Exit code 0: there was none, and
`up` came to its end.
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
    """A real journal until the entry comes."""

    def __init__(self, path: Path, phase: str, step: str, count: int) -> None:
        self._kept = FileJournal(path)
        self._entry = phase, step
        self._left = count

    def write(self, entry: Mapping[str, object]) -> None:
        self._kept.write(entry)
        self._left -= (entry["phase"], entry.get("step", "")) == self._entry
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def close(self) -> None:
        self._kept.close()


def main() -> None:
    file, phase, step, count = sys.argv[1:]
    context = api.Context(open_journal=lambda path: CuttingJournal(path, phase, step, int(count)))
    asyncio.run(api.up(context, Path(file)))


if __name__ == "__main__":
    main()
