"""A migration that another terminal pauses or paces."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from slotwright.adapters.state import lock
from slotwright.adapters.state.clusters import StateDirectory
from slotwright.app.context import Context
from slotwright.cluster.topology import Address
from slotwright.errors import ExitCode, InputError, PartialError, RefusedError
from slotwright.features.migrate.model.migration import (
    Migration,
    MigrationLimits,
    MigrationPhase,
    MigrationRequest,
    with_pace,
)
from slotwright.features.migrate.run.latency_guard import LatencyGuard
from slotwright.features.migrate.steer import pace_migration, pause_migration
from slotwright.features.migrate.store import MigrationStore
from slotwright.keys.model.databases import DatabaseMap
from tests.fakes.doubles import FakeClock

KEPT = Migration("10.0.0.9:6379", "cache", "cache", "", "", DatabaseMap(), MigrationLimits(), MigrationPhase.COPY, 1.0)
NAME = "old--cache"
NOBODY: Any = None


@dataclass
class Acting(FakeClock):
    """Time in which the process of the migration does what ``act`` is."""

    act: Any = None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if self.act is not None:
            self.act()


def kept(root: Path, **changes: Any) -> MigrationStore:
    store = MigrationStore(root, NAME)
    store.write(replace(KEPT, **changes))
    return store


def held(store: MigrationStore) -> Any:
    return lock.hold(store.lock_path, "migrate", NAME)


def test_a_running_one_is_asked_to_end_and_waited_for(tmp_path: Path) -> None:
    store = kept(tmp_path)
    process = held(store)
    process.__enter__()
    asked: list[object] = []

    def end() -> None:
        if not asked and store.requested() is MigrationRequest.STOP:
            asked.append(store.take_request())
            process.__exit__(None, None, None)

    context = Context(StateDirectory(tmp_path), clock=Acting(act=end))
    assert asyncio.run(pause_migration(context, None)) is True
    assert asked == [MigrationRequest.STOP]
    assert asyncio.run(pause_migration(context, None)) is False


def test_one_that_does_not_end_is_told_of_and_one_that_cuts_over_is_left_alone(tmp_path: Path) -> None:
    context = Context(StateDirectory(tmp_path), clock=FakeClock())
    store = kept(tmp_path)
    with held(store):
        with pytest.raises(PartialError) as late:
            asyncio.run(pause_migration(context, NAME))
        assert (late.value.code, store.take_request()) == ("still-running", MigrationRequest.STOP)
        store.write(replace(KEPT, phase=MigrationPhase.CLOSING))
        with pytest.raises(RefusedError) as refused:
            asyncio.run(pause_migration(context, NAME))
        assert (refused.value.code, store.requested()) == ("cutting-over", None)


def test_a_running_one_takes_the_pace_and_keeps_it(tmp_path: Path) -> None:
    store = kept(tmp_path)

    def take() -> None:
        if (bytes_s := store.take_pace()) is not None:
            store.write(with_pace(KEPT, bytes_s))

    clock = Acting(act=take)
    with held(store):
        context = Context(StateDirectory(tmp_path), clock=clock)
        assert asyncio.run(pace_migration(context, None, 5000)).limits.pace_bytes == 5000
    assert clock.time < 1001
    assert store.take_pace() is None


def test_a_pace_that_nobody_takes_is_withdrawn(tmp_path: Path) -> None:
    store = kept(tmp_path)
    with held(store), pytest.raises(PartialError) as caught:
        asyncio.run(pace_migration(Context(StateDirectory(tmp_path), clock=FakeClock()), None, 5000))
    assert (caught.value.code, caught.value.exit_code) == ("pace-not-taken", ExitCode.PARTIAL)
    assert store.take_pace() is None
    assert store.read() == KEPT


def test_a_process_that_ends_meanwhile_leaves_the_pace_to_the_next(tmp_path: Path) -> None:
    store = kept(tmp_path)
    process = held(store)
    process.__enter__()
    ends = iter([None])

    def end() -> None:
        if next(ends, "ended") is None:
            process.__exit__(None, None, None)

    asyncio.run(pace_migration(Context(StateDirectory(tmp_path), clock=Acting(act=end)), None, 5000))
    assert store.read() == with_pace(KEPT, 5000)


@pytest.mark.parametrize("phase", [MigrationPhase.MOVED, MigrationPhase.ABORTED])
def test_one_that_is_over_has_no_pace(tmp_path: Path, phase: MigrationPhase) -> None:
    kept(tmp_path, phase=phase)
    with pytest.raises(InputError) as caught:
        asyncio.run(pace_migration(Context(StateDirectory(tmp_path), clock=FakeClock()), NAME, 5000))
    assert caught.value.code == "no-pace"


def test_a_pace_of_nonsense_is_none(tmp_path: Path) -> None:
    store = kept(tmp_path)
    for text, bytes_s in (("x", None), ("-5", 0), ("7", 7)):
        (store.folder / "pace").write_text(text)
        assert store.take_pace() == bytes_s


def guard(clock: FakeClock, pace_bytes: int) -> LatencyGuard:
    return LatencyGuard(NOBODY, Address("10.0.0.9", 6379), clock, MigrationLimits(pace_bytes=pace_bytes))


def test_a_copy_takes_its_pace() -> None:
    clock = FakeClock()
    paced = guard(clock, 10_000)

    async def copy() -> None:
        for _ in range(100):
            await paced.pass_on(1000, is_paced=True)
        await paced.pass_on(10**9)

    asyncio.run(copy())
    assert clock.time == pytest.approx(1010, abs=0.1)


@pytest.mark.parametrize("pace_bytes", [0, 10_000_000])
def test_another_pace_ends_the_wait_for_the_one_before(pace_bytes: int) -> None:
    """A read at a pace of 100 bytes a second would be waited for for eleven minutes."""

    def change() -> None:
        paced.limits = MigrationLimits(pace_bytes=pace_bytes)

    clock = Acting(act=change)
    paced = guard(clock, 100)
    asyncio.run(paced.pass_on(65536, is_paced=True))
    assert clock.time < 1001.5
    asyncio.run(paced.pass_on(65536, is_paced=True))
    assert clock.time < 1001.5
