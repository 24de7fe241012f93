"""The process of a migration, where its notes can't be kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from slotwright.adapters.migration_store import MigrationStore
from slotwright.api.context import Context
from slotwright.api.migration_run import MigrationRun
from slotwright.errors import HostError
from slotwright.model.migration import DatabaseMap, Limits, Migration, Phase

KEPT = Migration("10.0.0.9:6379", "cache", "cache", "", "", DatabaseMap(), Limits(), Phase.CLOSING, 1.0)


def test_a_move_whose_note_can_t_be_written_says_that_it_was_done(tmp_path: Path) -> None:
    (tmp_path / "migrations").write_text("a file where a folder is wanted")
    nowhere: Any = None
    run = MigrationRun(Context(), nowhere, MigrationStore(tmp_path, "old--cache"), KEPT, None, cuts_over=True)
    with pytest.raises(HostError) as told:
        run._note_moved()
    assert "everything is in the target and the source refuses writes" in told.value.left
    assert "--cutover writes it" in told.value.hint
