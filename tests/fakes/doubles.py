"""The small ports by hand: a clock that a test holds, a journal in memory, and a listener of events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from slotwright.cluster.events import Event


@dataclass
class FakeClock:
    """Implements :class:`slotwright.ports.Clock`: time passes only in ``sleep``, and at once.

    ``least_s`` is what a sleep takes at least, where many short ones would only make a test long.
    """

    time: float = 1000.0
    least_s: float = 0.0

    def now(self) -> float:
        return self.time

    def wall(self) -> float:
        return 1_800_000_000.0 + self.time

    async def sleep(self, seconds: float) -> None:
        self.time += max(seconds, self.least_s)
        await asyncio.sleep(0)


@dataclass
class MemoryJournal:
    """Implements :class:`slotwright.ports.Journal`."""

    entries: list[dict[str, object]] = field(default_factory=list)

    def write(self, entry: Mapping[str, object]) -> None:
        self.entries.append(dict(entry))

    def close(self) -> None:
        pass

    @property
    def lines(self) -> list[str]:
        return [f"{entry['phase']} {entry['step']} {entry['where']}" for entry in self.entries]


@dataclass
class Listener:
    """A report that keeps what it hears."""

    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        self.events.append(event)
