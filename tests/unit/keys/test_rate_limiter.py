"""What holds work back: a pace, batches by how long they hold a server, and delays while its clients wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.keys.migrate_keys import MOST_BYTES, migrate_limiter
from slotwright.keys.side_by_side import beside
from slotwright.keys.throttle.batch_size import BatchSize
from slotwright.keys.throttle.delay import Delay
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.ports import Reply
from tests.fakes.doubles import FakeClock

SERVER = Address("10.0.0.1", 6379)


def wait(limiter: RateLimiter, wait_ms: float, times: int = 1) -> None:
    """A client's command waits for so long."""
    for _ in range(times):
        executed = 1000 + wait_ms / 1000
        limiter.answered(SERVER, [b"%d" % executed, b"%d" % (executed % 1 * 1_000_000)], 1000.0)


def spent(limiter: RateLimiter, keys: int) -> float:
    before = limiter.clock.now()
    asyncio.run(limiter.before(keys))
    return limiter.clock.now() - before


@dataclass
class Servers:
    """Implements Probes: a server whose TIME is executed ``wait_ms`` late, and one that is away."""

    clock: FakeClock
    wait_ms: float = 0.0
    servers: tuple[Address, ...] = (Address("gone", 1), SERVER)
    asked: list[Address] = field(default_factory=list)

    async def time(self, server: Address) -> Reply:
        self.asked.append(server)
        if server != SERVER:
            raise NodeUnreachableError("it is away", code="refused")
        executed = self.clock.wall() + self.wait_ms / 1000
        return [b"%d" % executed, b"%d" % (executed % 1 * 1_000_000)]


def test_nothing_is_held_back_while_nobody_waits() -> None:
    limiter = RateLimiter(FakeClock())
    wait(limiter, 0.0, 50)
    wait(limiter, 9.0, 50)
    assert spent(limiter, 1000) == 0.0
    assert limiter.load().slowed_s == 0.0


def test_the_longer_clients_wait_the_longer_each_batch_does_and_it_ends() -> None:
    limiter = RateLimiter(FakeClock())
    wait(limiter, 0.0)
    wait(limiter, 30.0, 3)
    first = spent(limiter, 1)
    wait(limiter, 30.0, 2)
    second = spent(limiter, 1)
    assert 0 < first < second
    wait(limiter, 30.0, 100)
    assert spent(limiter, 1) == pytest.approx(0.1)
    wait(limiter, 0.0, 100)
    assert spent(limiter, 1) == 0.0
    assert limiter.load().slowed_s == pytest.approx(first + second + 0.1)


def test_batches_are_as_long_as_a_server_may_be_held() -> None:
    batch = BatchSize(500, 50, 1000, goal_ms=1.0)
    for _ in range(100):
        batch.held(0.1)
    assert batch.now == 1000
    for _ in range(100):
        batch.held(5.0)
    assert batch.now == 50


def test_hosts_that_are_far_apart_do_not_make_batches_small() -> None:
    """A MIGRATE holds its source for a round trip at least, however few keys it has."""
    limiter = migrate_limiter(FakeClock())
    for _ in range(200):
        limiter.held(40.0)
    wait(limiter, 0.0)
    wait(limiter, 40.0, 20)
    assert limiter.batch.now == MOST_BYTES
    assert 0 < spent(limiter, 1) < 0.1


def test_batches_shrink_while_clients_wait_for_them() -> None:
    limiter = migrate_limiter(FakeClock())
    limiter.held(1.0)
    for _ in range(200):
        limiter.held(2.0)
    large = limiter.batch.now
    limiter.held(4.0)
    wait(limiter, 0.0)
    wait(limiter, 30.0, 20)
    assert limiter.batch.now < large / 10


def test_a_pace_is_kept() -> None:
    limiter = RateLimiter(FakeClock(), pace=1000)
    assert spent(limiter, 500) + spent(limiter, 500) + spent(limiter, 1) == pytest.approx(1.0)


def test_servers_are_measured_beside_the_work_and_one_that_is_away_is_passed_over() -> None:
    clock = FakeClock()
    limiter, servers = RateLimiter(clock), Servers(clock)

    async def work() -> None:
        async with beside(limiter.watch(servers)):
            for turn in range(40):
                servers.wait_ms = 50.0 if turn > 10 else 0.0
                await clock.sleep(0.05)

    asyncio.run(work())
    assert limiter.waits.count > 10
    assert limiter.delay.raises > 0
    assert len(servers.asked) >= 2 * limiter.waits.count
    asked = len(servers.asked)
    asyncio.run(clock.sleep(1))
    assert len(servers.asked) == asked


def test_a_delay_grows_and_falls_as_it_is_told_to() -> None:
    delay = Delay(0.001, 0.004, growth=1.5)
    seen = []
    for is_slow in (True, True, True, True, True, False, False):
        delay.adapt(is_slow=is_slow)
        seen.append(delay.now_s)
    assert seen == pytest.approx([0.001, 0.0015, 0.00225, 0.003375, 0.004, 0.0032, 0.00256])
    assert delay.raises == 5
