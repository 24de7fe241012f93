"""One node's keys: walked, counted, read with and without ASKING, and held against another node's."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from slotwright.cluster.slots import SlotSet, key_slot, split_evenly
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.keys.compare.two_nodes import equal_on_both
from slotwright.keys.node_keys import NodeKeys
from slotwright.keys.scan import scan
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Reply, ReplyError
from tests.fakes.doubles import FakeClock
from tests.fakes.key_server import KeyDialer, KeyServer

T = TypeVar("T")
KEY = b"key:7"
SLOT = key_slot(KEY)


def pair(clock: FakeClock) -> tuple[KeyServer, KeyServer]:
    """An owner of the key's slot, and a node that imports it."""
    owned, *_ = (slots for slots in split_evenly(2) if SLOT in slots)
    other = next(slots for slots in split_evenly(2) if SLOT not in slots)
    owner = KeyServer(Address("a", 1), clock, owned)
    holder = KeyServer(Address("b", 2), clock, other, importing=SlotSet.from_slots([SLOT]))
    owner.peers = holder.peers = [owner, holder]
    return owner, holder


def use(servers: tuple[KeyServer, ...], work: Callable[[list[NodeKeys]], Awaitable[T]]) -> T:
    async def do() -> T:
        async with ConnectionPool(KeyDialer(servers)) as pool:
            return await work([NodeKeys(server.address, pool) for server in servers])

    return asyncio.run(do())


def are_equal(servers: tuple[KeyServer, KeyServer], *, asks: bool = True) -> dict[bytes, bool]:
    async def do(nodes: list[NodeKeys]) -> dict[bytes, bool]:
        one, other = await nodes[0].side(), await nodes[1].side(asks=asks)
        return await equal_on_both(one, other, [KEY], RateLimiter(servers[0].clock))

    return use(servers, do)


def test_all_keys_of_each_database_with_their_types() -> None:
    server = KeyServer(Address("a", 1), FakeClock())
    server.data = {(0, b"k%d" % n): b"x" for n in range(2500)} | {(3, b"l"): [b"y"]}

    async def do(nodes: list[NodeKeys]) -> list[list[tuple[bytes, str]]]:
        assert await nodes[0].databases() == (0, 3)
        return [[each async for page in nodes[0].kinds(number) for each in page] for number in (0, 3, 5)]

    zero, three, five = use((server,), do)
    assert sorted(zero) == sorted((key, "string") for number, key in server.data if number == 0)
    assert (three, five) == ([(b"l", "list")], [])


def test_a_page_that_is_no_page_is_an_error() -> None:
    async def ask(cursor: bytes) -> Reply:
        return b"OK"

    async def do() -> None:
        async for _ in scan(ask):
            pass

    with pytest.raises(ReplyError, match="SCAN"):
        asyncio.run(do())


def test_keys_are_counted_and_listed_whoever_owns_them_and_shown_after_asking() -> None:
    _, holder = servers = pair(FakeClock())
    holder.data[0, KEY] = b"here"

    async def do(nodes: list[NodeKeys]) -> None:
        keys = nodes[1]
        assert await keys.count_in(range(16384)) == {SLOT: 1}
        assert await keys.in_slot(SLOT, 10) == [KEY]
        assert await keys.present([KEY]) == set()
        assert await keys.present([KEY, b"{key:7}"], asks=True) == {KEY}
        assert await keys.value(KEY) is None
        value = await keys.value(KEY, asks=True)
        assert value is not None
        assert (value.type, value.ttl_ms) == ("string", -1)
        assert await nodes[0].value(KEY) is None

    use(servers, do)


def test_a_connection_that_was_lost_is_made_anew() -> None:
    server = KeyServer(Address("a", 1), FakeClock())
    server.data[2, b"k"] = b"v"

    async def do(nodes: list[NodeKeys]) -> None:
        assert await nodes[0].present([b"k"], database=2) == {b"k"}
        server.is_away = True
        with pytest.raises(NodeUnreachableError):
            await nodes[0].present([b"k"], database=2)
        server.is_away = False
        assert await nodes[0].present([b"k"], database=2) == {b"k"}

    use((server,), do)


@pytest.mark.parametrize(
    ("ours", "theirs", "is_equal"),
    [
        (b"same", b"same", True),
        (b"one", b"other", False),
        ([b"1", b"2"], [b"1", b"2"], True),
        ([b"1", b"2"], [b"2", b"1"], False),
        ([b"1"], b"1", False),
    ],
)
def test_two_nodes_with_one_key(ours: bytes | list[bytes], theirs: bytes | list[bytes], is_equal: bool) -> None:
    owner, holder = servers = pair(FakeClock())
    owner.data[0, KEY], holder.data[0, KEY] = ours, theirs
    # Two versions never write the same bytes.
    owner.salt, holder.salt = b"7", b"9"
    assert are_equal(servers) == {KEY: is_equal}
    assert are_equal(servers, asks=False) == {}
    del owner.data[0, KEY]
    assert are_equal(servers) == {}


def test_a_module_s_value_is_the_same_only_where_its_serialisation_is() -> None:
    owner, holder = servers = pair(FakeClock())
    for server in servers:
        server.data[0, KEY] = b"x"
        server.modules.add((0, KEY))
    assert are_equal(servers) == {KEY: True}
    owner.salt = b"7"
    assert are_equal(servers) == {KEY: False}
    assert holder.salt == b""


@pytest.mark.parametrize("version", ["6.2.14", "7.0.15"])
@pytest.mark.parametrize(("later_ms", "is_equal"), [(0, True), (1500, True), (60_000, False)])
def test_what_counts_is_the_time_left(version: str, later_ms: int, is_equal: bool) -> None:
    """A move carries the time left: two hosts whose clocks differ keep different moments for one key."""
    owner, holder = pair(FakeClock())
    holder.clock = FakeClock(time=owner.clock.time + 3600)
    for server in (owner, holder):
        server.version = version
        server.data[0, KEY] = b"x"
        server.expiries[0, KEY] = server.now_ms + 100_000
    holder.expiries[0, KEY] += later_ms
    assert are_equal((owner, holder)) == {KEY: is_equal}
    del holder.expiries[0, KEY]
    assert are_equal((owner, holder)) == {KEY: False}
