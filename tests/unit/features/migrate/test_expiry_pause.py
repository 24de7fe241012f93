"""A target is kept from expiring keys while it lags: what is noted, before what is done, and what is undone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from slotwright.cluster.events import Event, Warned
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.slots import split_evenly
from slotwright.cluster.topology import Address, EngineKind
from slotwright.errors import HostError, NodeUnreachableError, ServerError
from slotwright.features.migrate.model.migration import PausedExpiry
from slotwright.features.migrate.replay.deferred_expiry import LATER_MS, later, taken_off
from slotwright.features.migrate.run.expiry_pause import ExpiryPause
from slotwright.ports import Reply, ReplyError
from slotwright.server.capabilities import capabilities_of
from slotwright.server.resp_out import request
from tests.fakes.doubles import FakeClock

NODES = tuple(Address("10.0.0.1", 7001 + number) for number in range(3))
NAMES = tuple(map(str, NODES))
VALKEY = ServerVersion(EngineKind.VALKEY, (9, 1, 2))
REDIS = ServerVersion(EngineKind.REDIS, (8, 2, 3))
OLD_REDIS = ServerVersion(EngineKind.REDIS, (6, 2, 5))
FAR_MS = 4_102_444_800_000


@dataclass
class FakeServer:
    """One primary's keys with their deadlines, and its setting. ``mode`` None: it knows no such setting."""

    mode: str | None = "no"
    is_away: bool = False
    refuses: bool = False
    busy: int = 0
    deadlines: dict[bytes, int] = field(default_factory=dict)
    now_us: int = 1_800_000_000_000_000
    tick_us: int = 7
    moves: int = 0

    def config(self, words: Sequence[str]) -> Reply:
        if self.is_away:
            raise NodeUnreachableError("away", code="refused")
        if self.busy:
            self.busy -= 1
            raise NodeUnreachableError("it did not answer within 2 s", code="timeout")
        if self.refuses and words[0] == "SET":
            raise ReplyError("NOPERM no")
        if words[0] == "GET":
            return [] if self.mode is None else [b"import-mode", self.mode.encode()]
        self.mode = words[2]
        return b"OK"

    # As a connection of the pool.

    async def call(self, *words: Any, timeout_s: float | None = None) -> Reply:
        if words[0] == "INFO":
            return b"db0:keys=%d,expires=0\r\n" % len(self.deadlines)
        assert words[0] == "SCAN"
        keys = sorted(self.deadlines)
        half = len(keys) // 2
        return [b"7", list(keys[:half])] if words[1] == b"0" else [b"0", list(keys[half:])]

    async def exchange(self, data: bytes, count: int, *, timeout_s: float | None = None) -> list[Reply | ReplyError]:
        replies = [self._do(words) for words in _commands(data)]
        assert len(replies) == count
        return replies

    def _do(self, words: list[bytes]) -> Reply | ReplyError:
        self.now_us += self.tick_us
        if words[0] == b"TIME":
            return [b"%d" % (self.now_us // 1_000_000), b"%d" % (self.now_us % 1_000_000)]
        if self.moves:
            self.moves -= 1
            return ReplyError("MOVED 1 10.0.0.9:7009")
        if words[0] == b"PEXPIREAT":
            self.deadlines[words[1]] = int(words[2])
            return 1
        at_ms = self.deadlines[words[1]]
        return at_ms if at_ms < 0 or words[0] == b"PEXPIRETIME" else at_ms - self.now_us // 1000

    async def close(self) -> None: ...


def _commands(data: bytes) -> list[list[bytes]]:
    words = data.split(b"\r\n")
    found, at = [], 0
    while words[at]:
        count = int(words[at][1:])
        found.append(words[at + 2 : at + 2 + 2 * count : 2])
        at += 1 + 2 * count
    assert b"".join(request(*each) for each in found) == data
    return found


@dataclass
class World:
    """A target of three primaries, and what was noted and done, in order."""

    version: ServerVersion = VALKEY
    is_full: bool = False
    done: list[object] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    def __post_init__(self) -> None:
        self.servers = {
            address: FakeServer(None if self.version.kind is EngineKind.REDIS else "no") for address in NODES
        }
        self.capabilities = capabilities_of(self.version)
        self.nodes = NODES
        self.owners = tuple(zip(NODES, split_evenly(3), strict=True))
        self.verifier = self
        self.name = "cache"
        self.report = self.events.append
        self.pause = ExpiryPause(self, self, self.keep)  # type: ignore[arg-type]

    def keep(self, paused: PausedExpiry) -> None:
        if self.is_full:
            raise HostError("no room", code="disk-full")
        self.done.append(paused)

    async def look(self) -> None:
        self.done.append("look")

    async def ask(self, node: Address, *words: str, timeout_s: float = 60) -> Reply:
        reply = self.servers[node].config(words[1:])
        if words[1] == "SET":
            self.done.append((str(node), words[3]))
        return reply

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> FakeServer:
        return self.servers[address]

    @property
    def modes(self) -> list[str | None]:
        return [server.mode for server in self.servers.values()]


def run(world: World, work: Callable[[ExpiryPause], Coroutine[Any, Any, None]]) -> World:
    asyncio.run(work(world.pause))
    return world


def test_every_node_is_noted_before_it_is_told_and_set_back_at_the_end() -> None:
    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        assert (pause.later_ms, bool(pause.greeting)) == (0, True)
        await pause.hold()
        await pause.settle()
        await pause.release()
        await pause.release()

    world = run(World(), work)
    noted = PausedExpiry(NAMES)
    assert world.done[0] == noted
    assert sorted(world.done[1:4]) == [(name, "yes") for name in NAMES]
    assert sorted(world.done[4:7]) == [(name, "no") for name in NAMES]
    assert world.done[7:] == [PausedExpiry()]


def test_a_node_that_is_busy_for_a_moment_is_set_back_all_the_same() -> None:
    world = World()

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        world.servers[NODES[0]].busy = 2
        await pause.release()

    assert run(world, work).modes == ["no"] * 3
    assert world.pause.paused == PausedExpiry() and not world.events


def test_what_was_on_before_stays_on() -> None:
    world = World()
    world.servers[NODES[1]].mode = "yes"

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        await pause.release()

    assert run(world, work).modes == ["no", "yes", "no"]


def test_what_a_run_before_left_on_is_set_back() -> None:
    world = World()
    world.servers[NODES[1]].mode = "yes"
    world.pause.paused = PausedExpiry((NAMES[1],))

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        assert pause.paused == PausedExpiry((NAMES[1], NAMES[0], NAMES[2]))
        await pause.release()

    assert run(world, work).modes == ["no"] * 3


def test_a_node_that_was_started_anew_is_told_again_and_one_that_is_away_later() -> None:
    world = World()
    world.servers[NODES[2]].is_away = True

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        assert world.modes == ["yes", "yes", "no"]
        world.servers[NODES[0]].mode = "no"
        world.servers[NODES[2]].is_away = False
        await pause.hold()
        assert world.modes == ["yes"] * 3
        assert set(pause.paused.import_mode) == set(NAMES)

    run(world, work)


def test_a_node_that_can_not_be_set_back_stays_noted_and_is_told_to_people() -> None:
    world = World()

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        world.servers[NODES[1]].is_away = True
        await pause.release()
        assert pause.paused == PausedExpiry((NAMES[1],))
        (warned,) = world.events
        assert isinstance(warned, Warned)
        assert "CONFIG SET import-mode no" in warned.text and warned.where == NAMES[1]
        world.servers[NODES[1]].is_away = False
        world.is_full = True
        await pause.release()
        assert pause.paused == PausedExpiry((NAMES[1],)), "it is noted there still, and done again by the next run"

    assert run(world, work).modes == ["no"] * 3


@pytest.mark.parametrize("trouble", ["unknown", "refused"])
def test_where_one_node_has_none_deadlines_are_later(trouble: str) -> None:
    """An older node in the middle of an upgrade, or a CONFIG that nobody may use."""
    world = World()
    server = world.servers[NODES[2]]
    server.mode, server.refuses = (None, False) if trouble == "unknown" else ("no", True)

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        assert (pause.later_ms, pause.greeting) == (LATER_MS, b"")
        assert pause.paused.has_later_deadlines
        await pause.release()

    assert run(world, work).modes[:2] == ["no", "no"]


def test_nothing_is_done_where_it_can_not_be_noted() -> None:
    world = World(is_full=True)
    with pytest.raises(HostError):
        run(world, lambda pause: pause.hold())
    assert (world.modes, world.done) == (["no"] * 3, [])


@pytest.mark.parametrize("version", [REDIS, OLD_REDIS])
@pytest.mark.parametrize("tick_us", [7, 60])
def test_later_deadlines_are_taken_off_exactly(version: ServerVersion, tick_us: int) -> None:
    """Also where a server only tells how much is left: 18 commands at ``tick_us`` each are within a millisecond or not,
    by chance, and are asked again."""
    world = World(version)
    wanted = {}
    for number, server in enumerate(world.servers.values()):
        server.tick_us = tick_us
        mine = {b"%d:%d" % (number, at): FAR_MS + at for at in range(100)} | {b"never": -1, b"own": FAR_MS * 3}
        server.deadlines = {k: at if at < 0 or k == b"own" else later(at, LATER_MS) for k, at in mine.items()}
        wanted[number] = mine

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        assert world.done == [PausedExpiry(has_later_deadlines=True)]
        await pause.settle()
        await pause.settle()

    run(world, work)
    found = {number: server.deadlines for number, server in enumerate(world.servers.values())}
    if tick_us == 7 or version is REDIS:
        assert found == wanted
    else:
        assert all(abs(found[n][k] - wanted[n][k]) <= 2 for n in wanted for k in wanted[n])
    assert world.done[1:] == ["look", PausedExpiry()]


def test_a_slot_that_moved_meanwhile_begins_it_again() -> None:
    world = World(REDIS)
    server = world.servers[NODES[1]]
    server.deadlines = {b"a": later(5, LATER_MS), b"b": later(6, LATER_MS)}
    server.moves = 3

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        await pause.settle()

    run(world, work)
    assert server.deadlines == {b"a": 5, b"b": 6}
    assert world.done[1:3] == ["look", "look"]


def test_deadlines_that_stay_later_are_an_error_and_stay_noted() -> None:
    world = World(REDIS)
    world.servers[NODES[1]].deadlines = {b"a": later(5, LATER_MS)}
    world.servers[NODES[1]].moves = 1000

    async def work(pause: ExpiryPause) -> None:
        await pause.hold()
        with pytest.raises(ServerError) as caught:
            await pause.settle()
        assert caught.value.code == "deadlines-later"
        assert pause.paused.has_later_deadlines

    run(world, work)


@pytest.mark.parametrize("at_ms", [0, 1, FAR_MS, LATER_MS - 1])
def test_a_later_deadline_is_told_from_any_other(at_ms: int) -> None:
    assert taken_off(later(at_ms, LATER_MS)) == at_ms
    assert taken_off(at_ms) is None
    assert later(at_ms, 0) == at_ms


def test_what_is_too_far_away_is_left_alone() -> None:
    far = 2 * LATER_MS
    assert later(far, LATER_MS) == far
    assert taken_off(far) is None
