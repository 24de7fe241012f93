"""The real clock."""

from __future__ import annotations

import asyncio
import time


class MonotonicClock:
    """Implements :class:`slotwright.ports.Clock`."""

    def now(self) -> float:
        """Seconds since some moment before."""
        return time.monotonic()

    def wall(self) -> float:
        """Seconds since 1970; somebody may set it at any time."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Let the event loop go on meanwhile."""
        await asyncio.sleep(seconds)
