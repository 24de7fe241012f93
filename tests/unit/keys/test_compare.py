"""The comparison on servers of our own making: what changes meanwhile, what moves, what is given twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from slotwright.cluster.slots import SlotSet, key_slot, split_evenly
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.keys.compare.comparer import Comparer
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import Aspect, Compared, Comparison, KeyVerdict
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.keys.throttle.rate_limiter import RateLimiter
from tests.fakes.doubles import FakeClock, Listener
from tests.fakes.key_server import KeyDialer, KeyServer

T = TypeVar("T")


@dataclass
class World:
    """A source that stands alone and a cluster of three."""

    clock: FakeClock = field(default_factory=FakeClock)
    told: list[Compared] = field(default_factory=list)
    databases: DatabaseMap = field(default_factory=DatabaseMap)
    pace: float = 0.0

    def __post_init__(self) -> None:
        self.source = KeyServer(Address("source", 1), self.clock)
        self.nodes = [
            KeyServer(Address("target", 1 + at), self.clock, slots, databases=1)
            for at, slots in enumerate(split_evenly(3))
        ]
        for node in self.nodes:
            node.peers = self.nodes

    def owner(self, key: bytes) -> KeyServer:
        return next(node for node in self.nodes if node.slots is not None and key_slot(key) in node.slots)

    def put(self, key: bytes, value: bytes | list[bytes], *, database: int = 0, expires_ms: int | None = None) -> None:
        """On both sides."""
        self.source.data[database, key] = value
        self.owner(key).data[self.databases.target((database, key))] = value
        if expires_ms is not None:
            self.source.expiries[database, key] = self.owner(key).expiries[database, key] = expires_ms

    def use(self, work: Callable[[Comparer], Awaitable[T]]) -> T:
        async def do() -> T:
            dialer = KeyDialer([self.source, *self.nodes])
            async with (
                KeyspaceReader("source", dialer, [self.source.address], self.clock) as one,
                KeyspaceReader("target", dialer, [self.nodes[0].address], self.clock) as other,
            ):
                rate_limiter = RateLimiter(self.clock, self.pace)
                return await work(
                    Comparer(one, other, self.databases, self.clock, Listener(), rate_limiter, self.told.append)
                )

        return asyncio.run(do())

    def compare(self) -> Comparison:
        return self.use(lambda comparer: comparer.every_key())


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(600):
        world.put(b"key:%d" % number, b"value %d" % number)
        world.put(b"list:%d" % number, [b"%d" % number, b"x"])
    return world


def verdicts(found: Comparison) -> dict[KeyVerdict, int]:
    return {verdict: found.count(verdict) for verdict in KeyVerdict if found.count(verdict)}


def test_all_equal(world: World) -> None:
    found = world.compare()
    assert verdicts(found) == {KeyVerdict.EQUAL: 1200}
    assert found.is_equal
    assert found.by_type() == {"list": {KeyVerdict.EQUAL: 600}, "string": {KeyVerdict.EQUAL: 600}}
    assert found.source.keys == {0: 1200}
    assert found.by_slot()[key_slot(b"key:7")][KeyVerdict.EQUAL] >= 1


def test_a_scan_that_gives_keys_twice_counts_them_once(world: World) -> None:
    world.source.repeats = True
    world.owner(b"stranger").data[0, b"stranger"] = b""
    del world.owner(b"key:7").data[0, b"key:7"]
    found = world.compare()
    assert verdicts(found) == {KeyVerdict.EQUAL: 1199, KeyVerdict.DIFFERENT: 2}
    assert found.aspects == {Aspect.EXTRA: 1, Aspect.MISSING: 1}
    assert sorted(each.named for each in world.told) == [(0, b"key:7"), (0, b"stranger")]


def test_a_target_that_lags_is_looked_at_again(world: World) -> None:
    node = world.owner(b"key:7")
    node.data[0, b"key:7"] = b"old"
    began = world.clock.time

    def replay(name: str, place: tuple[int, bytes]) -> None:
        if world.clock.time > began + 0.2:
            node.data[0, b"key:7"] = b"value 7"

    node.before = replay
    assert world.compare().is_equal
    assert not world.told


def test_a_key_that_never_becomes_equal_is_told_once(world: World) -> None:
    world.owner(b"key:7").data[0, b"key:7"] = b"value 8"
    found = world.compare()
    assert [(each.named, each.aspects) for each in found.examples] == [((0, b"key:7"), (Aspect.VALUE,))]
    assert found.examples[0].words == "byte 6 of 7 is another"
    assert world.told == list(found.examples)


@pytest.mark.parametrize("version", ["6.2.5", "7.0.15"])
def test_expiries(world: World, version: str) -> None:
    world.source.version = version
    later = 4_102_444_800_000
    for number in range(40):
        world.put(b"expires:%d" % number, b"x", expires_ms=later + number)
    assert world.compare().is_equal
    world.owner(b"expires:3").expiries[0, b"expires:3"] += 50
    world.owner(b"expires:4").expiries.pop((0, b"expires:4"))
    world.owner(b"key:4").expiries[0, b"key:4"] = later
    found = world.compare()
    assert {each.named[1]: each.aspects for each in found.examples} == dict.fromkeys(
        (b"expires:3", b"expires:4", b"key:4"), (Aspect.EXPIRY,)
    )


def test_what_expires_on_the_way_is_no_difference(world: World) -> None:
    world.source.data[0, b"soon"] = b"x"
    world.source.expiries[0, b"soon"] = world.source.now_ms + 200
    found = world.compare()
    assert verdicts(found) == {KeyVerdict.EQUAL: 1200, KeyVerdict.EXPIRED: 1}
    assert found.is_equal


def test_a_module_s_value_is_not_comparable_where_serialisations_differ(world: World) -> None:
    world.put(b"module", b"opaque")
    world.source.modules.add((0, b"module"))
    world.owner(b"module").modules.add((0, b"module"))
    assert world.compare().is_equal
    world.owner(b"module").salt = b"another encoding "
    found = world.compare()
    # The lists, whose serialisations are others as well, were read.
    assert verdicts(found) == {KeyVerdict.EQUAL: 1200, KeyVerdict.NOT_COMPARABLE: 1}
    assert found.by_type()["module"] == {KeyVerdict.NOT_COMPARABLE: 1}
    assert not found.is_equal


def test_slots_that_change_hands_are_followed(world: World) -> None:
    """All of the first node's slots go to the third while its keys are read."""
    first, third = world.nodes[0], world.nodes[2]
    asked = []

    def move(name: str, place: tuple[int, bytes]) -> None:
        asked.append(name)
        if len(asked) == 300 and first.slots and third.slots:
            third.slots, first.slots = third.slots | first.slots, SlotSet()
            third.data |= first.data
            first.data.clear()

    first.before = move
    assert verdicts(world.compare()) == {KeyVerdict.EQUAL: 1200}


@pytest.mark.parametrize("side", ["source", "target"])
@pytest.mark.parametrize("state", ["is_away", "is_loading"])
def test_a_node_that_is_away_for_a_while_is_waited_for(world: World, state: str, side: str) -> None:
    """One that comes back loads its data first, and refuses to list keys or to choose a database meanwhile."""
    node = world.nodes[1] if side == "target" else world.source
    asked = []

    def fall(name: str, place: tuple[int, bytes]) -> None:
        asked.append(name)
        if len(asked) == 200:
            setattr(node, state, True)

    node.before = fall
    sleep = world.clock.sleep
    back = world.clock.time + 5

    async def and_back(seconds: float) -> None:
        await sleep(seconds)
        if world.clock.time > back:
            setattr(node, state, False)

    world.clock.sleep = and_back  # type: ignore[method-assign]
    assert verdicts(world.compare()) == {KeyVerdict.EQUAL: 1200}


def test_a_node_that_stays_away_ends_it(world: World) -> None:
    def fall(name: str, place: tuple[int, bytes]) -> None:
        world.nodes[1].is_away = True

    world.nodes[1].before = fall
    with pytest.raises(ServerError) as caught:
        world.compare()
    assert caught.value.code == "slot-unserved"
    assert caught.value.where == str(world.nodes[1].address)
    assert "nothing listens on" in caught.value.seen


def test_a_source_that_stays_away_ends_it(world: World) -> None:
    def fall(name: str, place: tuple[int, bytes]) -> None:
        world.source.is_away = name == "TYPE"

    world.source.before = fall
    with pytest.raises(NodeUnreachableError):
        world.compare()


@pytest.mark.parametrize("command", ["TYPE", "SCAN", "GETRANGE"])
def test_a_user_who_may_not_read_is_told_what_to_allow(world: World, command: str) -> None:
    world.source.refuses = command
    with pytest.raises(ServerError) as caught:
        world.compare()
    assert caught.value.code == "not-permitted"
    assert "+@read" in caught.value.hint


def test_databases_that_the_target_does_not_have(world: World) -> None:
    world.source.data[3, b"other"] = b"x"
    found = world.compare()
    assert [(each.named, each.aspects) for each in found.examples] == [((3, b"other"), (Aspect.MISSING,))]


def test_databases_under_a_prefix(world: World) -> None:
    world.databases = DatabaseMap(DatabaseRule.PREFIX)
    for database in (3, 4):
        world.source.data[database, b"k"] = b"%d" % database
        world.owner(b"db%d:k" % database).data[0, b"db%d:k" % database] = b"%d" % database
    world.put(b"db3:plain", b"of database 0")
    world.owner(b"db4:extra").data[0, b"db4:extra"] = b""
    found = world.compare()
    assert [(each.named, each.aspects) for each in found.examples] == [((4, b"extra"), (Aspect.EXTRA,))]
    assert found.count(KeyVerdict.EQUAL) == 1203


def test_these_keys_alone_in_the_order_given(world: World) -> None:
    world.owner(b"key:1").data[0, b"key:1"] = b"other"
    world.owner(b"stranger").data[0, b"stranger"] = b"x"
    names = [(0, b"key:2"), (0, b"nowhere"), (0, b"key:1"), (0, b"stranger"), (0, b"list:3")]
    found = world.use(lambda comparer: comparer.these_keys(names))
    assert [(each.named, each.verdict, each.aspects) for each in found] == [
        ((0, b"key:2"), KeyVerdict.EQUAL, ()),
        ((0, b"nowhere"), KeyVerdict.EXPIRED, ()),
        ((0, b"key:1"), KeyVerdict.DIFFERENT, (Aspect.VALUE,)),
        ((0, b"stranger"), KeyVerdict.DIFFERENT, (Aspect.EXTRA,)),
        ((0, b"list:3"), KeyVerdict.EQUAL, ()),
    ]
    assert world.use(lambda comparer: comparer.these_keys([])) == []


def test_a_pace_is_kept(world: World) -> None:
    world.pace = 200
    assert world.compare().seconds >= 5


def test_nothing_is_written(world: World) -> None:
    world.compare()
    for server in (world.source, *world.nodes):
        assert set(server.heard) <= {
            *(b"INFO", b"CLUSTER", b"TIME", b"SCAN", b"TYPE", b"PEXPIRETIME", b"GETRANGE", b"DUMP"),
            *(b"MEMORY", b"LLEN", b"LRANGE", b"EXISTS", b"CLIENT", b"COMMAND"),
        }
