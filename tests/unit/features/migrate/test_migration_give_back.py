"""The steps that give a migration up: what is planned, and one source that is away among two."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from slotwright.app.context import Context
from slotwright.cluster.topology import Address
from slotwright.features.migrate.give_back import GiveBackSteps, plan_give_back
from slotwright.features.migrate.model.migration import (
    Migration,
    MigrationLimits,
    MigrationPhase,
    PausedExpiry,
    ReadOnly,
)
from slotwright.features.migrate.run.fence import Fence
from slotwright.keys.model.databases import DatabaseMap
from slotwright.ops.runner import Runner, failures
from tests.fakes.doubles import MemoryJournal
from tests.unit.features.migrate.test_migration_fence import FakeServer, fenced

PLACES = ("10.0.0.8:6379", "10.0.0.9:6379")
MOVED = Migration(
    "10.0.0.9:6379", "cache", "cache", "", "", DatabaseMap(), MigrationLimits(), MigrationPhase.MOVED, 1.0,
    read_only=tuple(ReadOnly(place, 1, 0, ()) for place in PLACES),
)  # fmt: skip


def kinds(migration: Migration, *, removes_copy: bool = False) -> list[list[str]]:
    stages = plan_give_back(migration, removes_copy=removes_copy)
    return [[step.kind for step in stage.steps] for stage in stages if stage.steps]


def test_the_source_comes_first_and_only_what_was_changed_is_set_back() -> None:
    assert kinds(MOVED) == [["allow-writes"] * 2]
    late = replace(MOVED, read_only=(), paused_expiry=PausedExpiry(has_later_deadlines=True))
    assert kinds(late) == [["resume-expiry"]]
    assert kinds(late, removes_copy=True) == [["empty-target"]], "keys that are gone have no deadlines"
    assert kinds(replace(MOVED, read_only=())) == []


def test_one_source_that_is_away_keeps_no_other_from_taking_writes() -> None:
    servers = {Address.parse(place): FakeServer({"min-replicas-to-write": "1000000", "min-replicas-max-lag": "10"})
               for place in PLACES}  # fmt: skip
    servers[Address.parse(PLACES[0])].is_away = True

    def fence_of(address: Address) -> Fence:
        return fenced(servers[address], (7, 0, 15))

    steps, journal = GiveBackSteps(Context(), MOVED, fence_of, removes_copy=False), MemoryJournal()
    (stage, *_) = plan_give_back(MOVED, removes_copy=False)
    outcomes = asyncio.run(Runner(steps, journal).run(stage))
    assert [error.where for error in failures(outcomes)] == [""] and len(outcomes) == 2
    assert servers[Address.parse(PLACES[1])].settings == {"min-replicas-to-write": "1", "min-replicas-max-lag": "0"}
    assert {f"failed allow-writes {PLACES[0]}", f"done allow-writes {PLACES[1]}"} <= {*journal.lines}
