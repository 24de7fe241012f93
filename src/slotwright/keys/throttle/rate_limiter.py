"""What keeps our work from hurting the clients of a server: a pace, short batches, holding back while they wait.

One for everything that reads or moves keys by the million: compare, survey, rebuild, repair. How long clients wait is
measured by the server's own clock (``queue_waits.py``). Above the limit each batch is held back a little more, and made
smaller where that helps; below it a little less. Without clients there is nothing to wait for but ourselves: batches
grow until they hold the server as long as they may, and nothing is held back.

A migration's stream is limited otherwise (``features/migrate/run/latency_guard.py``): what is not taken from it fills
the source's memory, so there is a point from which it must not be held back.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.keys.model.comparison import Load
from slotwright.keys.throttle.batch_size import BatchSize
from slotwright.keys.throttle.delay import Delay
from slotwright.keys.throttle.probes import Probes
from slotwright.keys.throttle.queue_waits import QueueWaits
from slotwright.ports import Clock, Reply, ReplyError

LIMIT_MS = 10.0
"""Waits above this make us hold back."""

_EVERY_S = 0.05


def keys_at_once(limit_ms: float) -> BatchSize:
    """For reading: in keys. Several batches may stand in a server's queue at once."""
    return BatchSize(500, 50, 1000, limit_ms / 8)


@dataclass(slots=True)
class RateLimiter:
    """``pace``: keys a second at the most, 0 for no limit. ``batch`` None: :func:`keys_at_once`."""

    clock: Clock
    pace: float = 0.0
    limit_ms: float = LIMIT_MS
    batch_size: BatchSize | None = None
    delay: Delay = field(default_factory=Delay)
    waits: QueueWaits = field(init=False)
    batch: BatchSize = field(init=False)
    _next: float = 0.0
    _longest_batch_ms: float = 0.0
    _slowed_s: float = 0.0
    _held_until: float = 0.0

    def __post_init__(self) -> None:
        self.waits = QueueWaits(self.limit_ms)
        self.batch = self.batch_size or keys_at_once(self.limit_ms)

    async def before(self, keys: int) -> None:
        """Wait until ``keys`` more may be asked for, or moved."""
        if self.pace > 0:
            now = self.clock.now()
            at = max(now, self._next)
            self._next = at + keys / self.pace
            if at > now:
                await self.clock.sleep(at - now)
        delay_s = self.delay.now_s
        if delay_s > 0:
            now = self.clock.now()
            # Several of us may be held back at once.
            self._slowed_s += max(0.0, now + delay_s - max(now, self._held_until))
            self._held_until = max(self._held_until, now + delay_s)
            await self.clock.sleep(delay_s)

    def held(self, milliseconds: float) -> None:
        """A batch of ours held the server for so long."""
        self.noted(milliseconds)
        self.batch.held(milliseconds)

    def noted(self, milliseconds: float) -> None:
        """A piece of a big value held the server for so long; that says nothing of batches."""
        self._longest_batch_ms = max(self._longest_batch_ms, milliseconds)

    async def watch(self, probes: Probes) -> None:
        """Measure the servers, until cancelled. One that does not answer is somebody else's matter."""
        while True:
            for server in probes.servers:
                before = self.clock.wall()
                try:
                    reply = await probes.time(server)
                except ServerError:
                    continue
                self.answered(server, reply, before)
            await self.clock.sleep(_EVERY_S)

    def answered(self, server: Address, reply: Reply | ReplyError, sent_s: float) -> None:
        """TIME was sent at ``sent_s`` of our time of day, and this is its answer."""
        if isinstance(reply, ReplyError) or not self.waits.answered(server, reply, sent_s):
            return
        is_slow = self.waits.is_last_slow
        self.delay.adapt(is_slow=is_slow)
        if is_slow:
            self.batch.shrink_if_it_helps()

    def load(self) -> Load:
        """What was measured."""
        waits = self.waits
        return Load(
            waits.count,
            waits.percentile(0.5),
            waits.percentile(0.99),
            waits.percentile(1.0),
            self._longest_batch_ms,
            self.limit_ms,
            self._slowed_s,
        )
