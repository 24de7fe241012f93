"""What keeps a reader from hurting the server that it reads: a pace, short batches, holding back when others wait.

How long a command waits for its turn is measured with the server's own clock: TIME says when it was executed, and by
how much that is later than the quickest one tells how long it stood in the queue. So it does not matter how busy we
are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from slotwright.errors import NodeUnreachableError
from slotwright.model.comparison import Load
from slotwright.model.topology import Address
from slotwright.operations.side import Side
from slotwright.ports import Clock
from slotwright.wire.requests import request

LIMIT_MS = 10.0
"""Waits above this make us hold back."""

MOST_KEYS, FEWEST_KEYS = 1000, 50
_EVERY_S = 0.05
_REMEMBERED = 20_000
_BASE_OF = 600
"""Samples from which the quickest is taken: half a minute, so that a clock that is set is forgiven soon."""

_SHORTEST_S, _LONGEST_S = 0.002, 0.1
_RECENT, _MOST_SLOW = 40, 2
"""Of so many waits so many may be above the limit: a single one is anybody's."""

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
    _waits_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _recent: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _longest_batch_ms: float = 0.0
    _slowed_s: float = 0.0
    _held_until: float = 0.0

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

    def waited(self, milliseconds: float) -> None:
        """A command of ours had to wait so long for its turn."""
        self._waits_ms.append(milliseconds)
        self._recent.append(milliseconds > self.limit_ms)
        if milliseconds > self.limit_ms and sum(self._recent) > _MOST_SLOW:
            self._delay_s = min(_LONGEST_S, max(_SHORTEST_S, 2 * self._delay_s))
        elif self._delay_s:
            self._delay_s = 0.0 if self._delay_s < _SHORTEST_S else self._delay_s * 0.8

    async def watch(self, side: Side) -> None:
        """Measure the servers of ``side``, until cancelled."""
        quickest: dict[Address, deque[float]] = {}
        while True:
            for server in side.servers:
                try:
                    before = self.clock.wall()
                    (said,) = await side.ask(server, 0, _TIME, 1, is_apart=True)
                except NodeUnreachableError:
                    continue
                if isinstance(said, list) and isinstance(said[0], bytes) and isinstance(said[1], bytes):
                    way = int(said[0]) + int(said[1]) / 1e6 - before
                    ways = quickest.setdefault(server, deque(maxlen=_BASE_OF))
                    ways.append(way)
                    self.waited((way - min(ways)) * 1000)
            await self.clock.sleep(_EVERY_S)

    def load(self) -> Load:
        """What was measured."""
        waits = sorted(self._waits_ms)
        if not waits:
            return Load(longest_batch=self._longest_batch_ms, limit=self.limit_ms, slowed_s=self._slowed_s)
        return Load(
            len(waits),
            _at(waits, 0.5),
            _at(waits, 0.99),
            waits[-1],
            self._longest_batch_ms,
            self.limit_ms,
            self._slowed_s,
        )


def _at(waits: list[float], share: float) -> float:
    return waits[min(len(waits) - 1, int(len(waits) * share))]
