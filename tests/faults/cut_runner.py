"""Runs `repair` on a cluster and kills its own process, as `kill -9` does, right after the n-th entry of the journal.

Usage: python -m tests.faults.cut_runner NAME N. Exit code 0: there were fewer entries than N, and it came to its end.
"""

from __future__ import annotations

import asyncio
import sys

from slotwright import api
from tests.integration.cut_runner import CuttingJournal


def main() -> None:
    name, entries = sys.argv[1], int(sys.argv[2])
    context = api.Context(open_journal=lambda path: CuttingJournal(path, entries))
    asyncio.run(api.repair(context, api.find_target(context, name)))


if __name__ == "__main__":
    main()
