"""Connections to the target's primaries: each command once, and each one without a good answer told by its key."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.slots import SLOT_COUNT, SlotSet, split_evenly
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.run.target_writers import Replayed, TargetWriters
from slotwright.keys.model.databases import Named

ADDRESSES = tuple(Address("10.0.0.1", 7001 + number) for number in range(2))
OWNERS = list(zip(ADDRESSES, split_evenly(2), strict=True))
LAST = SLOT_COUNT - 1


@dataclass
class FakeStream:
    """Implements :class:`slotwright.ports.ByteStream`; the test says what is answered."""

    written: list[bytes] = field(default_factory=list)
    coming: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    is_closed: bool = False

    async def read(self) -> bytes:
        data = await self.coming.get()
        if data is None:
            raise NodeUnreachableError("cut", code="closed")
        return data

    def write(self, data: bytes) -> None:
        self.written.append(data)

    async def drain(self) -> None:
        if self.is_closed:
            raise NodeUnreachableError("cut", code="closed")

    async def close(self) -> None:
        self.is_closed = True


@dataclass
class FakeDialer:
    """Implements :class:`slotwright.ports.StreamDialer`."""

    streams: dict[Address, FakeStream] = field(default_factory=dict)
    away: set[Address] = field(default_factory=set)

    async def open(self, address: Address, *, timeout_s: float = 2.0) -> FakeStream:
        if address in self.away:
            raise NodeUnreachableError("away", code="refused")
        self.streams[address] = FakeStream()
        return self.streams[address]


@dataclass
class CheckContext:
    dialer: FakeDialer = field(default_factory=FakeDialer)
    refused: list[tuple[Named | None, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.writers = TargetWriters(self.dialer, lambda name, line: self.refused.append((name, line)))

    def put(self, slot: int, name: bytes) -> None:
        box = self.writers.box_of[slot]
        box.data.append(b"<%b>" % name)
        box.names.append((0, name))

    async def answer(self, at: int, data: bytes | None) -> None:
        self.dialer.streams[ADDRESSES[at]].coming.put_nowait(data)
        for _ in range(5):
            await asyncio.sleep(0)


def run(test: Callable[[CheckContext], Awaitable[None]]) -> None:
    async def whole() -> None:
        case = CheckContext()
        await case.writers.open(OWNERS)
        await test(case)
        await case.writers.close()

    asyncio.run(whole())


def test_each_to_its_owner_and_refusals_by_key() -> None:
    async def test(case: CheckContext) -> None:
        for name in (b"a", b"b", b"c"):
            case.put(0, name)
        case.put(LAST, b"z")
        case.writers.flush()
        assert [stream.written for stream in case.dialer.streams.values()] == [[b"<a><b><c>"], [b"<z>"]]
        case.put(0, b"d")
        assert case.writers.waiting == 5
        case.writers.flush()
        await case.answer(0, b"+OK\r\n-OOM no room\r\n+OK\r\n-ERR")
        assert (case.refused, case.writers.trouble, case.writers.waiting) == ([((0, b"b"), "OOM no room")], "", 2)
        await case.answer(0, b" so\r\n")
        await case.answer(1, b"+OK\r\n")
        assert case.refused[1:] == [((0, b"d"), "ERR so")]
        await case.writers.settle()

    run(test)


@pytest.mark.parametrize("line", ["MOVED 0 10.0.0.9:7001", "CLUSTERDOWN down", "READONLY no", "LOADING yes"])
def test_an_owner_that_is_one_no_more(line: str) -> None:
    async def test(case: CheckContext) -> None:
        case.put(0, b"a")
        case.put(0, b"b")
        case.writers.flush()
        await case.answer(0, b"-%b\r\n" % line.encode())
        assert line in case.writers.trouble
        assert case.refused == [((0, b"a"), line)]
        await case.writers.close()
        assert case.refused[1:] == [((0, b"b"), "")]

    run(test)


@pytest.mark.parametrize("end", [None, b""])
def test_a_lost_connection_tells_all_that_was_under_way_or_waits(end: bytes | None) -> None:
    async def test(case: CheckContext) -> None:
        for name in (b"a", b"b"):
            case.put(0, name)
        case.writers.flush()
        await case.answer(0, b"+OK\r\n")
        case.put(0, b"c")
        await case.answer(0, end)
        assert case.writers.trouble
        await asyncio.wait_for(case.writers.until_trouble(), 1)
        await asyncio.wait_for(case.writers.settle(), 1)
        await case.writers.close()
        assert case.refused == [((0, b"b"), ""), ((0, b"c"), "")]

    run(test)


def test_what_is_put_while_there_are_none_is_told_when_there_are_again() -> None:
    async def test(case: CheckContext) -> None:
        case.writers.doubt("a test")
        await case.writers.close()
        case.put(5, b"x")
        assert (case.writers.waiting, case.writers.boxes, case.refused) == (1, (), [])
        await case.writers.open(OWNERS)
        assert (case.refused, case.writers.trouble, case.writers.waiting) == ([((0, b"x"), "")], "", 0)

    run(test)


def test_an_owner_that_can_not_be_reached_leaves_none_open() -> None:
    async def test(case: CheckContext) -> None:
        case.dialer.away.add(ADDRESSES[1])
        with pytest.raises(NodeUnreachableError):
            await case.writers.open(OWNERS)
        assert case.dialer.streams[ADDRESSES[0]].is_closed
        case.dialer.away.clear()
        with pytest.raises(ServerError, match="no owner"):
            await case.writers.open([(ADDRESSES[0], SlotSet.parse(["0-100"]))])

    run(test)


def test_a_database_is_selected_where_it_is_needed() -> None:
    async def test(case: CheckContext) -> None:
        box = case.writers.box_of[0]
        box.select(0)
        case.put(0, b"a")
        box.select(3)
        box.select(3)
        case.put(0, b"b")
        case.writers.flush()
        written = b"".join(case.dialer.streams[ADDRESSES[0]].written)
        assert written == b"<a>*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
        case.put(0, b"c")
        await case.answer(0, b"+OK\r\n+OK\r\n")
        assert case.dialer.streams[ADDRESSES[0]].written[-1] == b"<b><c>"
        box.select(0)
        case.put(0, b"d")
        box.select(3)
        case.put(0, b"e")
        case.writers.flush()
        assert case.dialer.streams[ADDRESSES[0]].written[-1].endswith(b"<e>"), "a database that it took once it takes"
        await case.answer(0, b"+OK\r\n" * 6)
        await asyncio.wait_for(case.writers.settle(), 1)
        assert (case.refused, case.writers.waiting) == ([], 0)

    run(test)


def test_nothing_follows_a_database_that_is_refused() -> None:
    """It would be written into the database before, over keys of the same names."""

    async def test(case: CheckContext) -> None:
        case.put(0, b"a")
        case.writers.box_of[0].select(3)
        case.put(0, b"b")
        case.writers.flush()
        await case.answer(0, b"+OK\r\n-ERR DB index is out of range\r\n")
        case.put(0, b"c")
        case.writers.flush()
        stream = case.dialer.streams[ADDRESSES[0]]
        assert b"<b>" not in b"".join(stream.written)
        assert case.writers.refusal is not None
        assert case.writers.refusal.code == "database-refused"
        assert case.writers.trouble
        await case.writers.close()
        assert case.refused == [(None, "ERR DB index is out of range"), ((0, b"b"), ""), ((0, b"c"), "")]

    run(test)


def test_what_waits_for_a_database_counts_as_put_in() -> None:
    async def test(case: CheckContext) -> None:
        case.writers.box_of[0].select(3)
        case.put(0, b"b")
        passed = asyncio.create_task(case.writers.passed())
        await case.answer(0, b"+OK\r\n")
        assert not passed.done()
        await case.answer(0, b"+OK\r\n")
        await asyncio.wait_for(passed, 1)

    run(test)


def replay(case: CheckContext, slot: int, command: str, *keys: bytes) -> None:
    """Put a command of the stream in, as the replicator does."""
    box = case.writers.box_of[slot]
    arguments = tuple(word.encode() for word in command.split())
    named = tuple((0, key) for key in keys)
    box.data.append(b"<%b>" % command.encode())
    box.replayed[len(box.names)] = Replayed(named, arguments)
    box.names.append(named[0])


def test_what_a_reply_says_was_not_done_is_told_without_a_line() -> None:
    async def test(case: CheckContext) -> None:
        replay(case, 0, "PEXPIREAT a 5", b"a")
        case.put(0, b"b")
        case.writers.flush()
        replay(case, 0, "PEXPIREAT c 5", b"c")
        replay(case, 0, "XCLAIM d g c 0 1-1 JUSTID", b"d")
        replay(case, 0, "PERSIST e", b"e")
        case.writers.flush()
        await case.answer(0, b":0\r\n:0\r\n:0")
        assert case.refused == [((0, b"a"), "")]
        await case.answer(0, b"\r\n*0\r\n:1\r\n")
        assert case.refused[1:] == [((0, b"c"), ""), ((0, b"d"), "")]
        assert (case.writers.trouble, case.writers.waiting) == ("", 0)

    run(test)


@pytest.mark.parametrize("is_lost", [False, True])
def test_all_keys_of_a_command_are_told(is_lost: bool) -> None:
    """Refused, lost on its way, or never sent."""

    async def test(case: CheckContext) -> None:
        case.put(0, b"x")
        replay(case, 0, "RENAME a b", b"a", b"b")
        case.writers.flush()
        replay(case, 0, "BITOP NOT c d", b"c", b"d")
        case.put(0, b"y")
        if is_lost:
            await case.answer(0, b"+OK\r\n")
            await case.answer(0, None)
            await case.writers.close()
            wanted = [b"a", b"b", b"c", b"d", b"y"]
        else:
            case.writers.flush()
            await case.answer(0, b"+OK\r\n-ERR no such key\r\n:0\r\n+OK\r\n")
            wanted = [b"a", b"b"]
        assert [name for name, _ in case.refused] == [(0, key) for key in wanted]

    run(test)


def test_a_greeting_comes_first_on_each_connection() -> None:
    async def test(case: CheckContext) -> None:
        case.writers = TargetWriters(case.dialer, lambda *told: case.refused.append(told), lambda: b"<hello>")
        await case.writers.open(OWNERS)
        case.put(0, b"a")
        case.writers.flush()
        assert [stream.written for stream in case.dialer.streams.values()] == [[b"<hello><a>"], [b"<hello>"]]
        await case.answer(0, b"-ERR no\r\n+OK\r\n")
        assert case.refused == [(None, "ERR no")]

    run(test)


def test_what_was_put_in_by_now_is_waited_for_and_nothing_after_it() -> None:
    async def test(case: CheckContext) -> None:
        case.put(0, b"a")
        waiting = asyncio.create_task(case.writers.passed())
        await asyncio.sleep(0)
        case.put(0, b"b")
        case.writers.flush()
        assert not waiting.done()
        await case.answer(0, b"+OK\r\n")
        await asyncio.wait_for(waiting, 1)
        assert case.writers.waiting == 1

    run(test)
