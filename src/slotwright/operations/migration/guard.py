"""The source's clients come first: how fast we may take, from how long a client has to wait for the source just now.

Above the limit each read is delayed a little more, below it a little less. What is not read yet waits in the source's
memory: where too much does, delaying ends.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from slotwright.errors import ServerError
from slotwright.model.migration import Limits
from slotwright.model.topology import Address
from slotwright.operations.queue_waits import QueueWaits
from slotwright.operations.roster import Roster
from slotwright.ports import Clock, ReplyError
from slotwright.wire.info import parse_info

_BEAT_S = 0.05
_MEMORY_BEATS = 20
_LEAST_DELAY_S = 0.0005
_MOST_DELAY_S = 0.01


@dataclass(slots=True)
class Guard:
    """``delay_s`` is how long to wait before the next read. ``waits`` are all that were seen, for the report."""

    roster: Roster
    address: Address
    clock: Clock
    limits: Limits
    delay_s: float = 0.0
    buffered_bytes: int = 0
    waits: QueueWaits = field(init=False)
    _allowance: float = 0.0
    _at: float = 0.0

    def __post_init__(self) -> None:
        self.waits = QueueWaits(self.limits.latency_ms)

    async def watch(self) -> None:
        """Measure until cancelled; a source that doesn't answer is somebody else's matter."""
        beats = 0
        while True:
            try:
                connection = await self.roster.connection(self.address)
                before = self.clock.wall()
                if self.waits.answered(self.address, await connection.call("TIME"), before):
                    self._adapt()
                beats += 1
                if beats % _MEMORY_BEATS == 0:
                    self.buffered_bytes = _buffered(await connection.call("INFO", "memory"))
            except (ServerError, ReplyError):
                await self.roster.drop(self.address)
            await self.clock.sleep(_BEAT_S)

    async def pass_on(self, taken: int, *, is_paced: bool = False) -> None:
        """To be called after ``taken`` bytes were read: waits as long as they demand. ``is_paced``: they are of the
        copy, which may be as slow as one likes. Changes come as the source's clients make them: what is not taken of
        these fills its memory."""
        delay = 0.0 if self.buffered_bytes > self.limits.buffer_bytes else self.delay_s
        if self.limits.pace_bytes and is_paced:
            now = self.clock.now()
            passed = now - (self._at or now)
            self._at = now
            self._allowance = min(self._allowance + passed * self.limits.pace_bytes, self.limits.pace_bytes) - taken
            if self._allowance < 0:
                delay = max(delay, -self._allowance / self.limits.pace_bytes)
        if delay > 0:
            await self.clock.sleep(delay)
        else:
            # Whoever waits for the loop gets a turn.
            await asyncio.sleep(0)

    def percentile(self, part: float) -> float:
        """Of all waits, in milliseconds; 0.0 when there is none."""
        return self.waits.percentile(part)

    def _adapt(self) -> None:
        if self.waits.is_last_slow:
            self.delay_s = min(_MOST_DELAY_S, max(_LEAST_DELAY_S, self.delay_s * 1.25))
        else:
            self.delay_s = self.delay_s * 0.8 if self.delay_s > _LEAST_DELAY_S else 0.0


def _buffered(reply: object) -> int:
    """Redis 7 and Valkey keep one buffer for all replicas (``mem_total_replication_buffers``), 6.2 one for each."""
    info = parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
    return max(int(info.get(name, "0")) for name in ("mem_total_replication_buffers", "mem_clients_slaves"))
