"""The source's clients come first: how fast we may take, from how long a client has to wait for the source just now.

Waits are measured, and reads delayed, by the rate limiter that all work on keys has. Two things differ. What is not
read yet waits in the source's memory: where too much does, delaying ends. And the pace is in bytes that were read
already, since nobody knows how much comes next.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.features.migrate.model.migration import MigrationLimits
from slotwright.keys.throttle.delay import Delay
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, ReplyError
from slotwright.server.info import info_number, parse_info

_BEAT_S = 0.05
_MEMORY_BEATS = 20
_NAP_S = 0.5
_LEAST_DELAY_S, _MOST_DELAY_S, _GROWTH = 0.0005, 0.01, 1.25
"""A read is 64 KiB or less: many short delays."""


@dataclass(slots=True)
class LatencyGuard:
    """``buffered_bytes`` is what waits in the source's memory. Another ``pace_bytes`` holds at once, also while it
    waits for what an earlier one demands."""

    pool: ConnectionPool
    address: Address
    clock: Clock
    limits: MigrationLimits
    buffered_bytes: int = 0
    _limiter: RateLimiter = field(init=False)
    _allowance: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        delay = Delay(_LEAST_DELAY_S, _MOST_DELAY_S, _GROWTH)
        self._limiter = RateLimiter(self.clock, limit_ms=self.limits.latency_ms, delay=delay)

    async def watch(self) -> None:
        """Measure until cancelled; a source that doesn't answer is somebody else's matter."""
        beats = 0
        while True:
            try:
                connection = await self.pool.connection(self.address)
                before = self.clock.wall()
                self._limiter.answered(self.address, await connection.call("TIME"), before)
                beats += 1
                if beats % _MEMORY_BEATS == 0:
                    reply = await connection.call("INFO", "memory")
                    with reading(self.address, "INFO"):
                        self.buffered_bytes = _buffered(reply)
            except (ServerError, ReplyError):
                await self.pool.drop(self.address)
            await self.clock.sleep(_BEAT_S)

    async def pass_on(self, taken: int, *, is_paced: bool = False) -> None:
        """To be called after ``taken`` bytes were read: waits as long as they demand. ``is_paced``: they are of the
        copy, which may be as slow as one likes. Changes come as the source's clients make them: what is not taken of
        these fills its memory."""
        delay = 0.0 if self.buffered_bytes > self.limits.buffer_bytes else self._limiter.delay.now_s
        if delay > 0:
            await self.clock.sleep(delay)
        else:
            # Whoever waits for the loop gets a turn.
            await asyncio.sleep(0)
        if is_paced:
            self._earn()
            self._allowance -= taken
            await self._until_earned()

    async def _until_earned(self) -> None:
        """In short naps, since the pace may be another one after each."""
        while (pace := self.limits.pace_bytes) and self._allowance <= -1:
            await self.clock.sleep(min(_NAP_S, -self._allowance / pace))
            self._earn()

    def _earn(self) -> None:
        """What may be taken by now: a second's worth at the most. Without a pace there is nothing to pay back."""
        now = self.clock.now()
        passed = now - (self._at or now)
        self._at = now
        pace = self.limits.pace_bytes
        self._allowance = min(self._allowance + passed * pace, pace) if pace else 0.0

    def percentile(self, part: float) -> float:
        """Of all waits, in milliseconds; 0.0 when there is none."""
        return self._limiter.waits.percentile(part)


def _buffered(reply: object) -> int:
    """Redis 7 and Valkey keep one buffer for all replicas (``mem_total_replication_buffers``), 6.2 one for each."""
    info = parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
    return max(info_number(info, name) for name in ("mem_total_replication_buffers", "mem_clients_slaves"))
