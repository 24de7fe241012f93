"""The target's side of a migration: one pipelined connection to each primary, with what is not answered yet.

A command is sent once. What was refused, and what a lost connection may or may not have carried, is told by its key:
the migration then copies that key's value anew, at a known offset, so nothing is ever applied twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.model.migration import Named
from slotwright.model.slots import SLOT_COUNT, SlotSet
from slotwright.model.topology import Address
from slotwright.ports import ByteStream, StreamDialer
from slotwright.wire.replies import ReplyCounter

Refused = Callable[[Named | None, str], None]
"""A key whose command failed (None: it was none for a key), and the server's line, "" when the connection was lost."""

_MOST_WAITING = 50_000
_FEWER_WAITING = 25_000
_PATIENCE_S = 1.0
_ELSEWHERE = ("MOVED", "ASK", "CLUSTERDOWN", "READONLY", "MASTERDOWN", "LOADING", "TRYAGAIN")


@dataclass(slots=True)
class Outbox:
    """What is to be sent to one primary next. ``names`` has the key of each command, None for one without.

    ``database`` is the one that the connection is in.
    """

    address: Address
    data: list[bytes] = field(default_factory=list)
    names: list[Named | None] = field(default_factory=list)
    database: int = 0

    def select(self, database: int) -> None:
        """Put SELECT before what follows, where it is needed."""
        if database != self.database:
            self.data.append(b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%d\r\n" % (len(str(database)), database))
            self.names.append(None)
            self.database = database


class _Lane:
    """One connection, its outbox, and the keys of what is under way."""

    def __init__(self, stream: ByteStream, outbox: Outbox) -> None:
        self.outbox = outbox
        self.stream = stream
        self.waiting = 0
        self.answers = 0
        self.under_way: deque[list[Named | None]] = deque()
        self.reader: asyncio.Task[None] | None = None
        self._at = 0
        self._replies = ReplyCounter()

    def flush(self) -> None:
        """Send what is in the outbox."""
        box = self.outbox
        if box.data:
            self.stream.write(b"".join(box.data))
            self.under_way.append(box.names)
            self.waiting += len(box.names)
            box.data, box.names = [], []

    def answered(self, data: bytes) -> list[tuple[Named | None, str]]:
        """Take replies in; returns the commands that were refused."""
        try:
            count, errors = self._replies.feed(data)
        except ValueError as error:
            raise NodeUnreachableError(
                f"{self.outbox.address} does not speak the protocol of Redis",
                code="not-a-server",
                where=str(self.outbox.address),
                seen=str(error),
            ) from error
        refused = [(self._name(index), line) for index, line in errors]
        self.waiting -= count
        self.answers += count
        self._at += count
        while self.under_way and self._at >= len(self.under_way[0]):
            self._at -= len(self.under_way.popleft())
        return refused

    def left(self) -> list[Named | None]:
        """The keys of all commands whose outcome is unknown."""
        return [name for batch in self.under_way for name in batch][self._at :] + self.outbox.names

    def _name(self, index: int) -> Named | None:
        at = self._at + index
        for batch in self.under_way:
            if at < len(batch):
                return batch[at]
            at -= len(batch)
        return None


class Lanes:
    """All lanes. ``box_of`` gives the outbox of a slot's primary; it is a new list whenever the owners changed.
    ``owners`` are those that were connected to last."""

    def __init__(self, streams: StreamDialer, refused: Refused) -> None:
        self._streams = streams
        self._refused = refused
        self._lanes: list[_Lane] = []
        self._progress = asyncio.Event()
        self._trouble: str = ""
        self._is_troubled = asyncio.Event()
        self.owners: frozenset[tuple[Address, SlotSet]] = frozenset()
        self._limbo = Outbox(Address("", 0))
        self.box_of = [self._limbo] * SLOT_COUNT

    @property
    def trouble(self) -> str:
        """ "" while all is well; otherwise why the lanes have to be opened again."""
        return self._trouble

    @property
    def waiting(self) -> int:
        """Commands that are not answered yet."""
        return sum(lane.waiting + len(lane.outbox.names) for lane in self._lanes) + len(self._limbo.names)

    @property
    def boxes(self) -> tuple[Outbox, ...]:
        """One for each primary."""
        return tuple(lane.outbox for lane in self._lanes)

    @property
    def unanswered(self) -> dict[Address, int]:
        """The primaries that owe us answers, with how many they gave so far."""
        return {lane.outbox.address: lane.answers for lane in self._lanes if lane.waiting}

    async def open(self, owners: Iterable[tuple[Address, SlotSet]]) -> None:
        """Connect to all owners, which have to own every slot. Raises what dialling raises."""
        await self.close()
        self._trouble = ""
        self._is_troubled.clear()
        boxes: list[Outbox | None] = [None] * SLOT_COUNT
        found = list(owners)
        self.owners = frozenset(found)
        streams = await asyncio.gather(
            *(self._streams.open(address, timeout_s=5.0) for address, _ in found), return_exceptions=True
        )
        failed = next((each for each in streams if isinstance(each, BaseException)), None)
        opened = [each for each in streams if not isinstance(each, BaseException)]
        if failed is not None:
            await asyncio.gather(*(stream.close() for stream in opened))
            raise failed
        for (address, slots), stream in zip(found, opened, strict=True):
            lane = _Lane(stream, Outbox(address))
            lane.reader = asyncio.create_task(self._read(lane))
            self._lanes.append(lane)
            for slot in slots:
                boxes[slot] = lane.outbox
        self.box_of = [box for box in boxes if box is not None]
        if len(self.box_of) != SLOT_COUNT:
            await self.close()
            raise ServerError("some slots have no owner", code="slots-uncovered", hint="slotwright check")
        self._tell(self._limbo.names)
        self._limbo = Outbox(self._limbo.address)

    def flush(self) -> None:
        """Send all that is in the outboxes."""
        for lane in self._lanes:
            lane.flush()

    async def room(self) -> None:
        """Wait until no primary is too far behind, or there is trouble."""
        if self._trouble:
            return
        try:
            for lane in self._lanes:
                await self._drained(lane)
        except NodeUnreachableError as error:
            self._give_up(str(error))
        if any(lane.waiting > _MOST_WAITING for lane in self._lanes):
            await self._until(lambda: all(lane.waiting <= _FEWER_WAITING for lane in self._lanes))

    async def _drained(self, lane: _Lane) -> None:
        """A connection into a network that was cut never drains, and never ends: trouble is seen elsewhere."""
        while not self._trouble:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await lane.stream.drain()
                return

    async def until_trouble(self) -> None:
        """Wait until they have to be opened again."""
        await self._is_troubled.wait()

    async def settle(self) -> None:
        """Wait until everything is answered, or there is trouble."""
        self.flush()
        await self._until(lambda: not any(lane.waiting for lane in self._lanes))

    async def close(self) -> None:
        """Hang up; keys of commands without an answer are told as refused."""
        lanes, self._lanes = self._lanes, []
        # What is put into an outbox from now on is kept until there are new ones, and told as refused then.
        self.box_of = [self._limbo] * SLOT_COUNT
        for lane in lanes:
            if lane.reader is not None:
                lane.reader.cancel()
        for lane in lanes:
            await lane.stream.close()
            self._tell(lane.left())

    def _tell(self, names: Iterable[Named | None]) -> None:
        for name in names:
            self._refused(name, "")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not self._trouble and not condition():
            self._progress.clear()
            await self._progress.wait()

    async def _read(self, lane: _Lane) -> None:
        try:
            while True:
                data = await lane.stream.read()
                if not data:
                    self._give_up(f"{lane.outbox.address} closed the connection")
                    return
                for name, line in lane.answered(data):
                    self._refused(name, line)
                    if line.startswith(_ELSEWHERE):
                        self._give_up(f"{lane.outbox.address} says {line}")
                self._progress.set()
        except ServerError as error:
            self._give_up(str(error))

    def doubt(self, why: str) -> None:
        """They have to be opened again."""
        self._give_up(why)

    def _give_up(self, why: str) -> None:
        self._trouble = self._trouble or why
        self._is_troubled.set()
        self._progress.set()
