"""Slots get one owner, with their keys: whatever was half done, and whatever a MIGRATE came to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from slotwright.cluster.key_holders import QuarantinedKey
from slotwright.cluster.slots import SlotSet, key_slot, split_evenly
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.keys.migrate_keys import migrate_limiter
from slotwright.keys.model.slot_moves import SettleSlots
from slotwright.keys.move_slots import MovedSlots, SlotMover
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Reply, ReplyError
from tests.fakes.doubles import FakeClock, Listener
from tests.fakes.key_server import KeyDialer
from tests.fakes.slot_server import SlotServer

TAG = b"{moved}"
SLOT = key_slot(TAG)


class World:
    """Three primaries; the first one owns the slot, and has keys of it."""

    def __init__(self, keys: int = 700) -> None:
        self.clock = FakeClock()
        parts = sorted(split_evenly(3), key=lambda slots: SLOT not in slots)
        self.nodes = [
            SlotServer(Address("10.0.0.1", 7001 + at), self.clock, slots, databases=1) for at, slots in enumerate(parts)
        ]
        for node in self.nodes:
            node.peers = list(self.nodes)
        self.holder, self.owner, self.other = self.nodes
        for number in range(keys):
            self.holder.data[0, TAG + b"%d" % number] = b"%d" % number if number % 2 else [b"%d" % number]
        self.written: list[QuarantinedKey] = []

    def move(self, *more: int, keeps_owners: bool = False) -> MovedSlots:
        step = SettleSlots(
            self.owner.address,
            self.owner.id,
            SlotSet.from_slots([SLOT, *more]),
            (self.holder.address,),
            (),
            keeps_owners,
        )

        async def write(keys: Sequence[QuarantinedKey]) -> None:
            self.written += keys

        async def do() -> MovedSlots:
            dialer = KeyDialer(self.nodes)
            async with ConnectionPool(dialer) as pool:
                addresses = tuple(node.address for node in self.nodes)
                limiter = migrate_limiter(self.clock)
                return await SlotMover(pool, self.clock, Listener(), addresses, write, limiter, dialer).settle(step)

        return asyncio.run(do())

    def assert_moved(self, keys: int) -> None:
        assert (len(self.holder.keys_in(SLOT)), len(self.owner.keys_in(SLOT))) == (0, keys)
        assert [SLOT in (node.slots or SlotSet()) for node in self.nodes] == [False, True, False]
        assert not any(node.migrating or node.from_where for node in self.nodes)


@pytest.fixture
def world() -> World:
    return World()


def answering(server: SlotServer, judge: Callable[[int, Callable[[], Reply | ReplyError]], Reply | ReplyError]) -> None:
    """The server's answer to its n-th MIGRATE is what ``judge`` says; that may do it all the same."""
    does = server._migrate
    count = 0

    def migrate(database: int, rest: Sequence[bytes]) -> Reply | ReplyError:
        nonlocal count
        count += 1
        return judge(count, lambda: does(database, rest))

    server._migrate = migrate  # type: ignore[method-assign]


def test_a_slot_and_its_keys_get_a_new_owner(world: World) -> None:
    done = world.move()
    assert (done.moved, done.dropped, done.different) == (700, 0, [])
    world.assert_moved(700)
    assert world.owner.told.index("BUMPEPOCH") < world.owner.told.index(f"NODE {SLOT}")


def test_a_node_is_asked_once_what_it_can_do_however_many_slots_are_moved(world: World) -> None:
    names = [b"other%d" % number for number in range(2000)]
    others = [name for name in names if key_slot(name) in (world.holder.slots or ())][:20]
    world.holder.data |= {(0, name): name for name in others}
    assert world.move(*map(key_slot, others)).moved == 720
    assert [node.heard.count(b"COMMAND") for node in world.nodes] == [1, 1, 0]


def test_equal_copies_are_dropped_at_the_holder(world: World) -> None:
    world.holder.salt = b"another version's bytes"
    for number in range(5):
        world.owner.data[0, TAG + b"%d" % number] = world.holder.data[0, TAG + b"%d" % number]
    done = world.move()
    assert (done.moved, done.dropped) == (695, 5)
    world.assert_moved(700)


def test_different_values_stop_the_slot_and_are_written_down(world: World) -> None:
    world.owner.data[0, TAG + b"1"] = b"another"
    with pytest.raises(PartialError) as found:
        world.move()
    assert found.value.code == "key-differs"
    assert [(each.node, each.is_owner) for each in world.written] == [
        (world.owner.address, True),
        (world.holder.address, False),
    ]
    assert world.holder.data[0, TAG + b"1"] == b"1"
    assert SLOT in (world.holder.slots or SlotSet())
    assert (world.holder.migrating.keys(), world.owner.from_where.keys()) == ({SLOT}, {SLOT})


def test_the_owner_s_value_stays_where_the_step_says_so(world: World) -> None:
    world.owner.data[0, TAG + b"1"] = b"another"
    done = world.move(keeps_owners=True)
    assert done.different == [TAG + b"1"]
    assert len(world.written) == 2
    world.assert_moved(700)
    assert world.owner.data[0, TAG + b"1"] == b"another"


def test_a_call_that_arrived_after_its_time_out_leaves_copies_that_are_dropped(world: World) -> None:
    """The server keeps its keys where the target did not answer in time (cluster.c, migrateCommand)."""

    def late(count: int, does: Callable[[], Reply | ReplyError]) -> Reply | ReplyError:
        kept, times = dict(world.holder.data), dict(world.holder.expiries)
        reply = does()
        if count > 1:
            return reply
        world.holder.data, world.holder.expiries = kept, times
        return ReplyError("IOERR error or timeout reading from target node")

    answering(world.holder, late)
    done = world.move()
    assert done.moved + done.dropped == 700
    assert done.dropped > 0
    world.assert_moved(700)


def test_some_failures_in_a_long_move_are_overcome() -> None:
    world = World(keys=4000)
    answering(world.holder, lambda count, does: ReplyError("IOERR timeout") if 9 <= count <= 11 else does())
    assert world.move().moved == 4000
    world.assert_moved(4000)


def test_a_call_that_never_arrives_is_given_up_and_nothing_is_lost(world: World) -> None:
    answering(world.holder, lambda count, does: ReplyError("IOERR error or timeout writing to target node"))
    with pytest.raises(ServerError) as found:
        world.move()
    assert found.value.code == "migrate-failed"
    assert len(world.holder.keys_in(SLOT)) == 700
    assert world.holder.migrating


@pytest.mark.parametrize(
    ("line", "code"),
    [("ERR Target instance replied with error: OOM command not allowed", "target-full"), ("ERR no", "migrate-failed")],
)
def test_a_refusal_ends_it_with_what_was_brought(world: World, line: str, code: str) -> None:
    answering(world.holder, lambda count, does: does() if count == 1 else ReplyError(line))
    with pytest.raises(ServerError) as found:
        world.move()
    assert found.value.code == code
    assert 0 < len(world.owner.keys_in(SLOT)) < 700
    assert len(world.owner.keys_in(SLOT)) + len(world.holder.keys_in(SLOT)) == 700


def test_a_holder_that_goes_away_is_an_error_and_the_next_run_goes_on(world: World) -> None:
    def gone(count: int, does: Callable[[], Reply | ReplyError]) -> Reply | ReplyError:
        reply = does()
        if count == 1:
            raise NodeUnreachableError("the connection broke", code="closed")
        return reply

    answering(world.holder, gone)
    with pytest.raises(NodeUnreachableError):
        world.move()
    world.move()
    world.assert_moved(700)


def test_what_does_not_fit_is_not_begun(world: World) -> None:
    world.owner.maxmemory = 1000
    with pytest.raises(ServerError) as found:
        world.move()
    assert found.value.code == "target-full"
    assert not world.owner.told


def test_a_copy_that_somebody_left_is_read_after_asking() -> None:
    """The holder does not own the slot: the owner does already."""
    world = World(keys=0)
    world.holder, world.owner = world.owner, world.holder
    for server in (world.holder, world.owner):
        server.data[0, TAG] = b"same"
    done = world.move()
    assert done.dropped == 1
    assert (world.holder.keys_in(SLOT), world.owner.keys_in(SLOT)) == ([], [(0, TAG)])
    assert not world.holder.from_where
