"""How long a server's clients have to wait for their turn just now, measured by the server's own clock.

TIME says when a command was executed; by how much that is later than for the quickest one is how long it stood in the
queue. So it does not matter how busy we are.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.ports import Reply
from slotwright.server.server_time import server_time_us

_REMEMBERED = 200_000
_BASE_OF = 600
"""Samples from which the quickest is taken: half a minute, so that a clock that is set is forgiven soon."""
_RECENT, _MOST_SLOW = 40, 2
"""Of so many waits so many may be above the limit: a single one is anybody's."""


@dataclass(slots=True)
class QueueWaits:
    """``limit_ms``: what a wait may be."""

    limit_ms: float
    _all_ms: deque[float] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))
    _slow: deque[bool] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _ways_us: dict[Address, deque[int]] = field(default_factory=dict)

    def answered(self, server: Address, reply: Reply, sent_s: float) -> bool:
        """TIME was sent to ``server`` at ``sent_s`` of our time of day, and this is its answer. Whether it is one."""
        executed_us = server_time_us(reply)
        if executed_us is None:
            return False
        ways = self._ways_us.setdefault(server, deque(maxlen=_BASE_OF))
        ways.append(executed_us - int(sent_s * 1_000_000))
        wait_ms = (ways[-1] - min(ways)) / 1000
        self._all_ms.append(wait_ms)
        self._slow.append(wait_ms > self.limit_ms)
        return True

    @property
    def count(self) -> int:
        """Measured by now."""
        return len(self._all_ms)

    @property
    def is_last_slow(self) -> bool:
        """Whether the last one was above the limit, and not the only one of late."""
        return bool(self._slow and self._slow[-1] and sum(self._slow) > _MOST_SLOW)

    def percentile(self, share: float) -> float:
        """Of all, in milliseconds; 0.0 where nothing was measured."""
        ordered = sorted(self._all_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0
