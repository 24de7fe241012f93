"""Keys carried by value beside a stream of changes: whatever is read when, and whatever is refused, the end is the
source's."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.run.resync_queue import ResyncQueue
from slotwright.features.migrate.run.values import Value
from slotwright.keys.model.databases import Named
from tests.extent import examples
from tests.fakes.doubles import FakeClock

KEYS = (b"a", b"b", b"c")
Op = tuple[str, bytes, bytes]
State = dict[bytes, bytes]


def done(state: State, op: Op) -> None:
    """What a command does; ``add`` must not be done twice."""
    kind, key, other = op
    if kind == "add":
        state[key] = state.get(key, b"") + other
    elif kind == "del":
        state.pop(key, None)
    elif kind in ("move", "copy"):
        if key in state:
            state[other] = state[key]
            if kind == "move" and key != other:
                del state[key]
    elif kind == "flush":
        state.clear()


@dataclass
class World:
    """A source with a history, a pump that follows it as pump.py does, and a target that answers when it likes. The
    number of the last command that was done is the offset."""

    script: Sequence[Op]
    is_away: bool = False
    source: State = field(default_factory=dict)
    target: State = field(default_factory=dict)
    executed: int = 0
    taken: int = 0
    lane: list[tuple[Op | Value, bytes | None]] = field(default_factory=list)
    reading: list[asyncio.Event] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.resync_queue = ResyncQueue(self, self._write, FakeClock())  # type: ignore[arg-type]

    # The source.

    def execute(self) -> None:
        if self.executed < len(self.script):
            done(self.source, self.script[self.executed])
            self.executed += 1

    async def read(self, named: Sequence[Named]) -> tuple[int, list[Value]]:
        """As ValueReader: both the asking and the answer are under way for a while."""
        await self._wait()
        if self.is_away:
            raise NodeUnreachableError("it is away")
        found = self.executed, [Value(each, self.source.get(each[1]), 0) for each in named]
        await self._wait()
        return found

    async def _wait(self) -> None:
        gate = asyncio.Event()
        self.reading.append(gate)
        await gate.wait()

    def let_on(self) -> None:
        if self.reading:
            self.reading.pop(0).set()

    # The pump.

    def take(self) -> None:
        if self.taken == self.executed:
            return
        kind, key, other = op = self.script[self.taken]
        offset = self.taken + 1
        if kind == "move":
            for each in (key, other):
                self.resync_queue.hold((0, each), offset)
        elif kind == "flush":
            self.resync_queue.emptied(offset)
            self.lane.append((op, None))
        else:
            keys = [(0, key), (0, other)] if kind == "copy" else [(0, key)]
            if not self.resync_queue.is_ahead(keys, offset):
                self.lane.append((op, key if kind != "copy" else None))
        self.taken = offset
        self.resync_queue.passed(offset)

    def _write(self, value: Value) -> None:
        self.lane.append((value, value.named[1]))

    # The target.

    def answer(self, fate: str) -> None:
        """``done``, ``refused``, or lost on the way back or there: nobody knows which."""
        if not self.lane:
            return
        what, key = self.lane.pop(0)
        if fate == "done" or fate == "lost, but done" or key is None:
            if isinstance(what, Value):
                self.target.pop(what.named[1], None)
                if what.payload is not None:
                    self.target[what.named[1]] = what.payload
            else:
                done(self.target, what)
        if fate != "done" and key is not None:
            self.resync_queue.hold((0, key), self.taken)


keys = st.sampled_from(KEYS)
ops = st.one_of(
    st.tuples(st.just("add"), keys, st.binary(min_size=1, max_size=1)),
    st.tuples(st.just("del"), keys, st.just(b"")),
    st.tuples(st.just("move"), keys, keys),
    st.tuples(st.just("copy"), keys, keys),
)
with_flush = st.one_of(ops, ops, ops, st.tuples(st.just("flush"), st.just(b""), st.just(b"")))
events = st.sampled_from(
    ("execute", "execute", "take", "take", "let on", "let on", "done", "done", "refused", "lost, but done", "away")
)


async def play(script: Sequence[Op], course: Sequence[str]) -> World:
    world = World(script)
    work = asyncio.create_task(world.resync_queue.work())

    async def happen(event: str) -> None:
        if event == "execute":
            world.execute()
        elif event == "take":
            world.take()
        elif event == "let on":
            world.let_on()
        elif event == "away":
            world.is_away = not world.is_away
        else:
            world.answer(event)
        for _ in range(3):
            await asyncio.sleep(0)

    for event in course:
        await happen(event)
    world.is_away = False
    for _ in range(40 * (len(script) + 5)):
        for event in ("execute", "take", "let on", "done"):
            await happen(event)
        if world.taken == len(script) and not world.lane and not world.resync_queue.count:
            break
    work.cancel()
    await asyncio.gather(work, return_exceptions=True)
    return world


@given(st.lists(ops, max_size=25), st.lists(events, max_size=120))
@examples(300)
def test_the_end_is_the_source_s(script: list[Op], course: list[str]) -> None:
    world = asyncio.run(play(script, course))
    assert (world.resync_queue.count, world.lane) == (0, [])
    assert world.target == world.source


@given(st.lists(with_flush, max_size=25), st.lists(events, max_size=120))
@examples(200)
def test_also_when_everything_is_emptied(script: list[Op], course: list[str]) -> None:
    world = asyncio.run(play(script, course))
    assert world.target == world.source


def test_what_is_refused_for_ever_is_given_up_with_its_reason() -> None:
    resync_queue = ResyncQueue(World(()), lambda _: None, FakeClock())  # type: ignore[arg-type]
    for _ in range(6):
        resync_queue.hold((0, b"a"), 1, "OOM")
    assert (resync_queue.count, resync_queue.failed) == (0, {(0, b"a"): "OOM"})
    resync_queue.forgive([(0, b"a")])
    resync_queue.hold((0, b"a"), 1, "OOM")
    assert (resync_queue.count, resync_queue.failed) == (1, {})


def test_a_source_that_gives_no_values_ends_it() -> None:
    class Refusing:
        async def read(self, named: Sequence[Named]) -> tuple[int, list[Value]]:
            raise ServerError("no", code="values-refused")

    async def run() -> None:
        resync_queue = ResyncQueue(Refusing(), lambda _: None, FakeClock())  # type: ignore[arg-type]
        resync_queue.hold((0, b"a"), 1)
        await asyncio.wait_for(resync_queue.work(), 5)

    try:
        asyncio.run(run())
    except ServerError as error:
        assert error.code == "values-refused"
    else:
        raise AssertionError("it went on")


def test_a_value_that_was_read_before_all_was_emptied_is_read_again() -> None:
    script: list[Op] = [("add", b"a", b"1"), ("move", b"a", b"b"), ("flush", b"", b"")]
    course = ["execute", "execute", "take", "done", "take", "let on", "execute", "take", "done", "let on", "done"]
    world = asyncio.run(play(script, course))
    assert world.target == world.source == {}
