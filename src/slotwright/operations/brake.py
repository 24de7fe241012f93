"""What keeps a reader from hurting the server that it reads: a pace, short batches, holding back when others wait."""

from __future__ import annotations

from dataclasses import dataclass, field

from slotwright.errors import NodeUnreachableError
from slotwright.model.comparison import Load
from slotwright.operations.queue_waits import QueueWaits
from slotwright.operations.side import Side
from slotwright.ports import Clock, ReplyError
from slotwright.wire.requests import request

LIMIT_MS = 10.0
"""Waits above this make us hold back."""

MOST_KEYS, FEWEST_KEYS = 1000, 50
_EVERY_S = 0.05

_SHORTEST_S, _LONGEST_S = 0.002, 0.1

_TIME = request("TIME")


@dataclass(slots=True)
class Brake:
    """``pace``: keys a second at the most, 0 for no limit."""

    clock: Clock
    pace: float = 0.0
    limit_ms: float = LIMIT_MS
    batch: int = 500
    _delay_s: float = 0.0
    _next: float = 0.0
    waits: QueueWaits = field(init=False)
    _longest_batch_ms: float = 0.0
    _slowed_s: float = 0.0
    _held_until: float = 0.0

    def __post_init__(self) -> None:
        self.waits = QueueWaits(self.limit_ms)

    async def before(self, keys: int) -> None:
        """Wait until ``keys`` more may be asked for."""
        if self.pace > 0:
            now = self.clock.now()
            at = max(now, self._next)
            self._next = at + keys / self.pace
            if at > now:
                await self.clock.sleep(at - now)
        if self._delay_s > 0:
            now = self.clock.now()
            # Several of us may be held back at once.
            self._slowed_s += max(0.0, now + self._delay_s - max(now, self._held_until))
            self._held_until = max(self._held_until, now + self._delay_s)
            await self.clock.sleep(self._delay_s)

    def held(self, milliseconds: float) -> None:
        """A batch of ours held the server for so long: the next ones are shorter, or longer."""
        self._longest_batch_ms = max(self._longest_batch_ms, milliseconds)
        # Several of them may stand in the queue at once.
        if milliseconds > self.limit_ms / 8:
            self.batch = max(FEWEST_KEYS, self.batch * 2 // 3)
        elif milliseconds <= self.limit_ms / 20:
            self.batch = min(MOST_KEYS, self.batch + 25)

    def noted(self, milliseconds: float) -> None:
        """A piece of a big value held the server for so long."""
        self._longest_batch_ms = max(self._longest_batch_ms, milliseconds)

    async def watch(self, side: Side) -> None:
        """Measure the servers of ``side``, until cancelled."""
        while True:
            for server in side.servers:
                before = self.clock.wall()
                try:
                    (said,) = await side.ask(server, 0, _TIME, 1, is_apart=True)
                except NodeUnreachableError:
                    continue
                if not isinstance(said, ReplyError) and self.waits.answered(server, said, before):
                    self._adapt()
            await self.clock.sleep(_EVERY_S)

    def _adapt(self) -> None:
        if self.waits.is_last_slow:
            self._delay_s = min(_LONGEST_S, max(_SHORTEST_S, 2 * self._delay_s))
        elif self._delay_s:
            self._delay_s = 0.0 if self._delay_s < _SHORTEST_S else self._delay_s * 0.8

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
