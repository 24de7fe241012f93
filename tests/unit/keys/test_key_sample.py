"""The walk over a server's keys: its pace, what makes it slower, and what may happen to a key meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.topology import Address
from slotwright.keys.model.databases import DatabaseMap, DatabaseRule
from slotwright.keys.model.sample import DatabaseSize, KeySample
from slotwright.keys.sample_keys import Pace, sample_keys
from slotwright.ports import Argument, Reply, ReplyError
from tests.fakes.doubles import FakeClock


@dataclass
class FakeServer:
    """Implements :class:`slotwright.ports.Connection` for a server with ``keys`` numbered keys in each database.

    A TIME waits for ``late_s`` while between ``late`` keys were looked at.
    """

    clock: FakeClock
    keys: dict[int, int]
    late_s: float = 0.05
    late: range = range(0)
    forbids_memory: bool = False
    database: int = 0
    looked_at: int = 0
    pipelines: list[int] = field(default_factory=list)

    @property
    def address(self) -> Address:
        return Address("h", 1)

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        (reply,) = await self.pipeline([arguments])
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        self.pipelines.append(len(commands))
        return [self._answer(*command) for command in commands]

    def _answer(self, name: Argument, *rest: Argument) -> Reply | ReplyError:
        if name == "TIME":
            self.clock.time += self.late_s if self.looked_at in self.late else 0.0
            return [b"%d" % self.clock.wall(), b"%d" % (self.clock.wall() % 1 * 1_000_000)]
        if name == "SELECT":
            self.database = int(rest[0])
            return b"OK"
        if name == "SCAN":
            at, count = int(rest[0]), int(rest[2])
            after = min(at + count, self.keys[self.database])
            cursor = 0 if after == self.keys[self.database] else after
            return [b"%d" % cursor, [b"k%d" % n for n in range(at, after)]]
        if name == "TYPE":
            self.looked_at += 1
            return b"none" if rest[0] == b"k7" else b"hash" if rest[0] == b"k3" else b"string"
        if name == "MEMORY":
            if self.forbids_memory:
                return ReplyError("NOPERM this user has no permissions")
            return None if rest[1] == b"k7" else 1000 if rest[1] == b"k3" else 50
        return 12

    async def close(self) -> None:
        pass


def sampled(server: FakeServer, pace: Pace, names: DatabaseMap | None = None) -> tuple[KeySample, float]:
    """With the seconds that it took."""
    sizes = [DatabaseSize(number, keys) for number, keys in server.keys.items()]
    began = server.clock.time
    found = asyncio.run(sample_keys(server, server.clock, sizes, names or DatabaseMap(), pace))
    return found, server.clock.time - began


def test_all_of_them_and_one_that_expired_meanwhile() -> None:
    server = FakeServer(FakeClock(), {0: 1200, 3: 10})
    found, _ = sampled(server, Pace())
    assert (found.looked_at, found.total, found.is_complete) == (1208, 1210, True)
    assert [(kind.type, kind.keys, kind.bytes) for kind in found.kinds] == [("string", 1206, 60_300), ("hash", 2, 2000)]
    assert [(key.named, key.bytes, key.elements) for key in found.biggest[:2]] == [
        ((0, b"k3"), 1000, 12),
        ((3, b"k3"), 1000, 12),
    ]
    assert sum(found.bytes_by_slot) == 62_300
    assert max(server.pipelines) <= 401


def test_the_pace_holds() -> None:
    _, took_s = sampled(FakeServer(FakeClock(), {0: 10_000}), Pace(keys_per_s=1000))
    assert took_s == pytest.approx(10, abs=1)


def test_a_late_server_is_given_time() -> None:
    quick, quick_s = sampled(FakeServer(FakeClock(), {0: 20_000}), Pace(keys_per_s=10_000))
    slow, slow_s = sampled(FakeServer(FakeClock(), {0: 20_000}, late=range(3000, 12_000)), Pace(keys_per_s=10_000))
    assert quick.slowed == 0
    assert slow.slowed > 2
    assert slow_s > 2 * quick_s
    assert slow.is_complete


def test_a_part_of_many_and_the_end_of_the_time() -> None:
    found, _ = sampled(FakeServer(FakeClock(), {0: 900_000, 1: 100_000}), Pace(sampled=10_000))
    assert 9_990 <= found.looked_at <= 10_500
    assert not found.is_complete
    assert found.scale == pytest.approx(1_000_000 / found.looked_at)
    found, took_s = sampled(FakeServer(FakeClock(), {0: 900_000}), Pace(full=True, keys_per_s=1000, most_s=20))
    assert not found.is_complete
    assert took_s == pytest.approx(20, abs=1.5)


def test_sizes_that_may_not_be_asked() -> None:
    found, _ = sampled(FakeServer(FakeClock(), {0: 2000}, forbids_memory=True), Pace())
    assert (found.looked_at, found.bytes, found.bytes_by_slot, found.biggest) == (1999, 0, (), ())


def test_names_that_a_prefix_would_take() -> None:
    names = DatabaseMap(DatabaseRule.PREFIX, "k1{db}")
    found, _ = sampled(FakeServer(FakeClock(), {0: 100, 3: 5}), Pace(), names)
    assert found.prefixed == 1
