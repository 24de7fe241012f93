"""Keys that are carried by value: held until their value was read with its offset, then written.

While a key is held its changes are dropped. They are in the value when it was read at their offset or later; otherwise
it is read again. After it was written, changes up to its offset are still dropped when they come: the value is ahead
of the stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from slotwright.errors import ServerError
from slotwright.features.migrate.run.values import Value, ValueReader
from slotwright.keys.model.databases import Named
from slotwright.ports import Clock

_MOST_AT_ONCE = 64
_SLOW_S = 0.02
_TRIES = 5
_RETRY_S = 0.02


@dataclass(slots=True)
class _Held:
    """``last_change``: the offset of the last change that was dropped."""

    last_change: int


@dataclass(slots=True)
class ResyncQueue:
    """``write`` puts a value on its way to its primary. ``failed`` are the keys that the target would not take."""

    values: ValueReader
    write: Callable[[Value], None]
    clock: Clock
    failed: dict[Named, str] = field(default_factory=dict)
    written: int = 0
    _held: dict[Named, _Held] = field(default_factory=dict)
    _floors: dict[Named, int] = field(default_factory=dict)
    _tries: dict[Named, int] = field(default_factory=dict)
    _batch: int = 8
    _wanted: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def count(self) -> int:
        """Keys that wait."""
        return len(self._held)

    def hold(self, named: Named, offset: int, seen: str = "") -> None:
        """Carry ``named`` by value, at ``offset`` or later. ``seen``: the target's refusal, which can't be repeated for
        ever."""
        held = self._held.get(named)
        if held is None:
            held = self._held[named] = _Held(offset)
        held.last_change = max(held.last_change, offset)
        if seen:
            self._tries[named] = tries = self._tries.get(named, 0) + 1
            if tries > _TRIES:
                del self._held[named]
                self.failed[named] = seen
                return
        self._wanted.set()

    def is_ahead(self, sources: Sequence[Named], offset: int) -> bool:
        """Whether a change at ``offset`` of these keys must not be sent: one of them waits for a value, or has a newer
        one. They wait all for a value then, but for a key that is alone and newer."""
        if not (self._held or self._floors):
            return False
        is_held = any(named in self._held for named in sources)
        is_newer = any(self._floors.get(named, 0) >= offset for named in sources)
        if not (is_held or is_newer):
            return False
        if is_held or len(sources) > 1:
            for named in sources:
                self.hold(named, offset)
        return True

    def passed(self, offset: int) -> None:
        """The stream was taken up to ``offset``: values read before that are no longer ahead of it."""
        if self._floors:
            self._floors = {named: floor for named, floor in self._floors.items() if floor > offset}

    def emptied(self, offset: int) -> None:
        """The target was emptied by a change at ``offset``: values that were read after it are gone with the rest, and
        those that are being read may be from before it."""
        for held in self._held.values():
            held.last_change = max(held.last_change, offset)
        for named in [named for named, floor in self._floors.items() if floor > offset]:
            self.hold(named, offset)

    def restart(self) -> None:
        """Everything is copied anew, maybe of another history: offsets that were known mean nothing any more."""
        for mapping in (self._held, self._floors, self._tries, self.failed):
            mapping.clear()

    def forgive(self, named: Iterable[Named]) -> None:
        """What was refused before is tried again."""
        for entry in named:
            self._tries.pop(entry, None)
            self.failed.pop(entry, None)

    async def work(self) -> None:
        """Read and write values until cancelled. Raises what the source's refusal raises."""
        while True:
            self._wanted.clear()
            if not self._held:
                await self._wanted.wait()
            await self._settle([named for named, _ in zip(self._held, range(self._batch), strict=False)])

    async def _settle(self, batch: list[Named]) -> None:
        began = self.clock.now()
        try:
            offset, values = await self.values.read(batch)
        except ServerError as error:
            if error.code == "values-refused":
                raise
            # The source is away: whoever follows it will say so.
            await self.clock.sleep(0.5)
            return
        # The source does nothing else while it reads a batch: big values are read a few at a time.
        is_slow = self.clock.now() - began > _SLOW_S
        self._batch = max(1, self._batch // 2) if is_slow else min(_MOST_AT_ONCE, self._batch + 4)
        is_behind = False
        for value in values:
            held = self._held.get(value.named)
            if held is None:
                continue
            if held.last_change > offset:
                is_behind = True
                # To the end of the queue.
                self._held[value.named] = self._held.pop(value.named)
                continue
            del self._held[value.named]
            self._floors[value.named] = offset
            self.write(value)
            self.written += 1
        if is_behind:
            await self.clock.sleep(_RETRY_S)
