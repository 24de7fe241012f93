"""Old data into new primaries: every key once, strays where they are missing, set aside where they differ."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from slotwright.cluster.slots import SlotSet, key_slot, split_evenly
from slotwright.cluster.topology import Address
from slotwright.keys.copy_keys import CopiedKeys, CountedKeys, KeyCopier, KeySource
from slotwright.keys.migrate_keys import migrate_limiter
from slotwright.keys.model.counts import StrayKey
from slotwright.keys.node_keys import NodeKeys
from slotwright.nodes.connections import ConnectionPool
from tests.fakes.doubles import FakeClock, Listener
from tests.fakes.key_server import KeyDialer, KeyServer


class World:
    """Two servers with the data of two old shards, and three new primaries."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.owners = [
            KeyServer(Address("new", at), self.clock, slots, databases=1) for at, slots in enumerate(split_evenly(3))
        ]
        self.old = [(KeyServer(Address("old", at), self.clock), slots) for at, slots in enumerate(split_evenly(2))]
        for server in [*self.owners, *(server for server, _ in self.old)]:
            server.peers = self.owners
        self.aside: list[StrayKey] = []

    def home(self, key: bytes) -> KeyServer:
        """The old server that counts for the key."""
        return next(server for server, slots in self.old if key_slot(key) in slots)

    def stranger(self, key: bytes) -> KeyServer:
        """The other one."""
        return next(server for server, slots in self.old if key_slot(key) not in slots)

    def copy(self, *, then_lose: Sequence[bytes] = ()) -> tuple[CopiedKeys, CountedKeys]:
        async def do() -> tuple[CopiedKeys, CountedKeys]:
            dialer = KeyDialer([*self.owners, *(server for server, _ in self.old)])
            async with ConnectionPool(dialer) as pool:
                copier = KeyCopier(
                    [KeySource(server.address, slots, NodeKeys(server.address, pool)) for server, slots in self.old],
                    [(each.address, each.slots or SlotSet(), NodeKeys(each.address, pool)) for each in self.owners],
                    None,
                    self.clock,
                    Listener(),
                    self.aside.append,
                    migrate_limiter(self.clock),
                    dialer,
                )
                copied = await copier.copy()
                for key in then_lose:
                    for owner in self.owners:
                        owner.drop((0, key))
                return copied, await copier.prove(copied.expected)

        return asyncio.run(do())

    def new(self) -> dict[bytes, bytes | list[bytes]]:
        return {key: value for owner in self.owners for (_, key), value in owner.data.items()}


@pytest.fixture
def world() -> World:
    world = World()
    for number in range(1500):
        key = b"key:%d" % number
        world.home(key).data[0, key] = b"%d" % number if number % 3 else [b"%d" % number]
    return world


def test_every_key_is_copied_to_the_owner_of_its_slot_and_counted(world: World) -> None:
    before = {key: value for server, _ in world.old for (_, key), value in server.data.items()}
    copied, counted = world.copy()
    assert world.new() == before
    assert all(owner.slots and key_slot(key) in owner.slots for owner in world.owners for _, key in owner.data)
    assert (copied.sent, copied.strays_brought, copied.quarantined) == (1500, 0, 0)
    assert counted.difference.is_none
    assert counted.found == copied.expected
    assert sum(len(server.data) for server, _ in world.old) == 1500


def test_a_key_that_is_missing_afterwards_is_named(world: World) -> None:
    _, counted = world.copy(then_lose=[b"key:7"])
    assert counted.difference.missing == ((0, b"key:7"),)


def test_a_stray_comes_back_only_where_its_owner_lacks_it(world: World) -> None:
    world.stranger(b"lost").data[0, b"lost"] = b"found"
    copied, counted = world.copy()
    assert world.new()[b"lost"] == b"found"
    assert (copied.strays_brought, copied.strays_equal, copied.quarantined) == (1, 0, 0)
    assert counted.difference.is_none


def test_a_stray_with_the_same_value_is_no_difference_however_it_is_serialised(world: World) -> None:
    for key in (b"key:7", b"key:9"):
        stranger = world.stranger(key)
        stranger.data[0, key] = world.home(key).data[0, key]
        stranger.salt = stranger.address.host.encode() + b"%d" % stranger.address.port
    copied, _ = world.copy()
    assert (copied.strays_equal, copied.quarantined, world.aside) == (2, 0, [])


def test_a_stray_that_differs_is_set_aside(world: World) -> None:
    world.stranger(b"key:7").data[0, b"key:7"] = b"another"
    later = world.stranger(b"key:8")
    later.data[0, b"key:8"] = b"8"
    later.expiries[0, b"key:8"] = later.now_ms + 60_000
    copied, counted = world.copy()
    assert (copied.strays_equal, copied.quarantined) == (0, 2)
    assert sorted((stray.key, stray.type, stray.ttl_ms > 0) for stray in world.aside) == [
        (b"key:7", "string", False),
        (b"key:8", "string", True),
    ]
    assert world.new()[b"key:7"] == b"7"
    assert counted.difference.is_none
