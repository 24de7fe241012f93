"""The process of a migration, where its notes can't be kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slotwright.app.context import Context
from slotwright.errors import HostError
from slotwright.features.migrate.model.migration import Migration, MigrationLimits, MigrationPhase
from slotwright.features.migrate.process import MigrationRun
from slotwright.features.migrate.run.migrator import Migrator
from slotwright.features.migrate.store import MigrationStore
from slotwright.keys.model.databases import DatabaseMap
from tests.fakes.doubles import FakeClock

KEPT = Migration(
    "10.0.0.9:6379", "cache", "cache", "", "", DatabaseMap(), MigrationLimits(), MigrationPhase.CLOSING, 1.0
)

NOBODY: Any = None


def test_a_move_whose_note_can_t_be_written_says_that_it_was_done(tmp_path: Path) -> None:
    (tmp_path / "migrations").write_text("a file where a folder is wanted")
    run = MigrationRun(Context(), NOBODY, MigrationStore(tmp_path, "old--cache"), KEPT, cuts_over=True)
    with pytest.raises(HostError) as told:
        run._note_moved()
    assert "everything is in the target and the source refuses writes" in told.value.left
    assert "--cutover writes it" in told.value.hint


@dataclass
class Telling:
    """A migrator whose source tells how much is left when ``said`` is."""

    said: asyncio.Future[int]

    async def lag(self) -> int:
        return await self.said


class Run(MigrationRun):
    """Tells nobody."""

    async def _tell_once(self, migrator: Migrator, lag: int) -> None:
        pass


def test_a_process_ends_while_the_lag_comes_in(tmp_path: Path) -> None:
    """Python 3.11's ``wait_for`` takes the answer and loses the cancellation: the process then told for ever."""

    async def end() -> bool:
        said = asyncio.get_running_loop().create_future()
        migrator: Any = Telling(said)
        run = Run(Context(clock=FakeClock()), NOBODY, MigrationStore(tmp_path, "old--cache"), KEPT, cuts_over=False)
        telling = asyncio.create_task(run._tell(migrator))
        for _ in range(5):
            await asyncio.sleep(0)
        said.set_result(0)
        migrator.said = asyncio.get_running_loop().create_future()
        await asyncio.sleep(0)
        telling.cancel()
        await asyncio.wait({telling}, timeout=1)
        return telling.cancelled()

    assert asyncio.run(end())
