"""The target's side of a migration: one pipelined connection to each primary, with what is not answered yet.

A command is sent once. What was refused, what was not done as the target's reply says, and what a lost connection may
or may not have carried, is told by its keys: the migration then copies their values anew, at a known offset, so nothing
is ever applied twice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

from slotwright.cluster.slots import SLOT_COUNT, SlotSet
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.replay.replies import ELSEWHERE, is_doubtful
from slotwright.keys.model.databases import Named
from slotwright.ports import ByteStream, StreamDialer
from slotwright.server.resp_in import ReplyCounter

Refused = Callable[[Named | None, str], None]
"""A key whose command failed (None: it was none for a key), and the server's line. That is "" where the connection was
lost, and where a reply that is no error says that the target did otherwise than the source."""

Value = TypeVar("Value")

_MOST_WAITING = 50_000
_FEWER_WAITING = 25_000
_PATIENCE_S = 1.0


class Replayed(NamedTuple):
    """A command of the stream with several keys, or whose reply has to be looked at."""

    keys: tuple[Named, ...]
    arguments: Sequence[bytes]


@dataclass(slots=True)
class CommandBatch:
    """What is to be sent to one primary next. ``names`` has the key of each command, None for one without, and
    ``replayed`` what more has to be known of some, by their place in ``names``.

    ``database`` is the one that the connection is in, ``selects`` are the places in ``data`` (and ``names``, they go
    together) where it changes.
    """

    address: Address
    data: list[bytes] = field(default_factory=list)
    names: list[Named | None] = field(default_factory=list)
    replayed: dict[int, Replayed] = field(default_factory=dict)
    database: int = 0
    selects: dict[int, int] = field(default_factory=dict)

    def keys_of(self, index: int) -> tuple[Named | None, ...]:
        """All keys of one command."""
        result = self.replayed.get(index)
        return result.keys if result is not None else (self.names[index],)

    def every_key(self, start: int = 0) -> Iterator[Named | None]:
        """Those of all commands from ``start`` on."""
        for index in range(start, len(self.names)):
            yield from self.keys_of(index)

    def select(self, database: int) -> None:
        """Put SELECT before what follows, where it is needed."""
        if database != self.database:
            self.selects[len(self.data)] = database
            self.data.append(b"*2\r\n$6\r\nSELECT\r\n$%d\r\n%d\r\n" % (len(str(database)), database))
            self.names.append(None)
            self.database = database

    def take(self, count: int) -> CommandBatch:
        """The first ``count`` commands, which are in it no more."""
        taken = CommandBatch(
            self.address,
            self.data[:count],
            self.names[:count],
            {at: replayed for at, replayed in self.replayed.items() if at < count},
            selects={at: database for at, database in self.selects.items() if at < count},
        )
        self.data, self.names = self.data[count:], self.names[count:]
        self.replayed = {at - count: replayed for at, replayed in self.replayed.items() if at >= count}
        self.selects = {at - count: database for at, database in self.selects.items() if at >= count}
        return taken


_NOBODY_ASKED = CommandBatch(Address("", 0), names=[None])
"""What a reply is for that comes without a command."""


class _Writer:
    """One connection, its batch, and the batches that are under way.

    What follows the first SELECT of a database waits for its answer: refused, the connection stays in the database
    before, where the keys would overwrite their namesakes.
    """

    def __init__(self, stream: ByteStream, batch: CommandBatch) -> None:
        self.batch = batch
        self.stream = stream
        self.waiting = 0
        self.answers = 0
        self.under_way: deque[CommandBatch] = deque()
        self.reader: asyncio.Task[None] | None = None
        self.refusal = ""
        self._proved = {0}
        self._asked: int | None = None
        self._at = 0
        self._replies = ReplyCounter()

    def flush(self) -> None:
        """Send what is in the batch, as far as it may go now."""
        box = self.batch
        if not box.data or self._asked is not None or self.refusal:
            return
        unproved = next(((at, to) for at, to in box.selects.items() if to not in self._proved), None)
        if unproved is not None:
            self._asked = unproved[1]
        taken = box.take(len(box.data) if unproved is None else unproved[0] + 1)
        self.stream.write(b"".join(taken.data))
        taken.data = []
        self.under_way.append(taken)
        self.waiting += len(taken.names)

    def answered(self, data: bytes) -> list[tuple[Named | None, str]]:
        """Take replies in; returns the keys of commands that were refused (with the server's line), or not done."""
        try:
            count, errors, telling = self._replies.feed(data)
        except ValueError as error:
            raise NodeUnreachableError(
                f"{self.batch.address} does not speak the protocol of Redis",
                code="not-a-server",
                where=str(self.batch.address),
                seen=str(error),
            ) from error
        refused: list[tuple[Named | None, str]] = []
        for batch, at, line in self._commands(errors):
            refused += [(key, line) for key in batch.keys_of(at)]
            if at in batch.selects:
                self.refusal = f"SELECT {batch.selects[at]}: {line}"
        for batch, at, reply in self._commands(telling):
            replayed = batch.replayed.get(at)
            if replayed is not None and is_doubtful(replayed.arguments, reply):
                refused += [(key, "") for key in replayed.keys]
        self.waiting -= count
        self.answers += count
        self._at += count
        while self.under_way and self._at >= len(self.under_way[0].names):
            self._at -= len(self.under_way.popleft().names)
        if self._asked is not None and not self.waiting and not self.refusal:
            self._proved.add(self._asked)
            self._asked = None
            self.flush()
        return refused

    def left(self) -> Iterator[Named | None]:
        """The keys of all commands whose outcome is unknown."""
        start = self._at
        for batch in (*self.under_way, self.batch):
            yield from batch.every_key(start)
            start = max(0, start - len(batch.names))

    def _commands(self, replies: Iterable[tuple[int, Value]]) -> Iterator[tuple[CommandBatch, int, Value]]:
        """Which commands under way some replies are for; they come in their order."""
        batches, batch, first = iter(self.under_way), CommandBatch(self.batch.address), -self._at
        for index, reply in replies:
            while index - first >= len(batch.names):
                first += len(batch.names)
                batch = next(batches, _NOBODY_ASKED)
            yield batch, index - first, reply


class TargetWriters:
    """All writers. ``box_of`` gives the batch of a slot's primary; it is a new list whenever the owners changed.
    ``owners`` are those that were connected to last; ``refusal`` is what no new connection mends. ``greeting`` gives
    what is said first on each connection: one command, or b"" for none."""

    def __init__(self, streams: StreamDialer, refused: Refused, greeting: Callable[[], bytes] = bytes) -> None:
        self._streams = streams
        self._refused = refused
        self._greeting = greeting
        self._writers: list[_Writer] = []
        self._progress = asyncio.Event()
        self._trouble: str = ""
        self.refusal: ServerError | None = None
        self._is_troubled = asyncio.Event()
        self.owners: frozenset[tuple[Address, SlotSet]] = frozenset()
        self._limbo = CommandBatch(Address("", 0))
        self.box_of = [self._limbo] * SLOT_COUNT

    @property
    def trouble(self) -> str:
        """ "" while all is well; otherwise why the writers have to be opened again."""
        return self._trouble

    @property
    def waiting(self) -> int:
        """Commands that are not answered yet."""
        return sum(lane.waiting + len(lane.batch.names) for lane in self._writers) + len(self._limbo.names)

    @property
    def boxes(self) -> tuple[CommandBatch, ...]:
        """One for each primary."""
        return tuple(lane.batch for lane in self._writers)

    @property
    def unanswered(self) -> dict[Address, int]:
        """The primaries that owe us answers, with how many they gave so far."""
        return {lane.batch.address: lane.answers for lane in self._writers if lane.waiting}

    async def open(self, owners: Iterable[tuple[Address, SlotSet]]) -> None:
        """Connect to all owners, which have to own every slot. Raises what dialling raises."""
        await self.close()
        self._trouble = ""
        self._is_troubled.clear()
        boxes: list[CommandBatch | None] = [None] * SLOT_COUNT
        result = list(owners)
        self.owners = frozenset(result)
        streams = await asyncio.gather(
            *(self._streams.open(address, timeout_s=5.0) for address, _ in result), return_exceptions=True
        )
        failed = next((outcome for outcome in streams if isinstance(outcome, BaseException)), None)
        opened = [outcome for outcome in streams if not isinstance(outcome, BaseException)]
        if failed is not None:
            await asyncio.gather(*(stream.close() for stream in opened))
            raise failed
        for (address, slots), stream in zip(result, opened, strict=True):
            lane = _Writer(stream, CommandBatch(address))
            if greeting := self._greeting():
                lane.batch.data.append(greeting)
                lane.batch.names.append(None)
            lane.reader = asyncio.create_task(self._read(lane))
            self._writers.append(lane)
            for slot in slots:
                boxes[slot] = lane.batch
        self.box_of = [box for box in boxes if box is not None]
        if len(self.box_of) != SLOT_COUNT:
            await self.close()
            raise ServerError("some slots have no owner", code="slots-uncovered", hint="slotwright check")
        self._tell(self._limbo.every_key())
        self._limbo = CommandBatch(self._limbo.address)

    def flush(self) -> None:
        """Send all that is in the batches."""
        for lane in self._writers:
            lane.flush()

    async def room(self) -> None:
        """Wait until no primary is too far behind, or there is trouble."""
        if self._trouble:
            return
        try:
            for lane in self._writers:
                await self._drained(lane)
        except NodeUnreachableError as error:
            self._give_up(str(error))
        if any(lane.waiting > _MOST_WAITING for lane in self._writers):
            await self._until(lambda: all(lane.waiting <= _FEWER_WAITING for lane in self._writers))

    async def _drained(self, lane: _Writer) -> None:
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
        await self._until(lambda: not any(lane.waiting for lane in self._writers))

    async def passed(self) -> None:
        """Wait until all that was put into the batches by now is answered, or there is trouble."""
        self.flush()
        goals = [(lane, lane.answers + lane.waiting + len(lane.batch.names)) for lane in self._writers]
        await self._until(lambda: all(lane.answers >= goal for lane, goal in goals))

    async def close(self) -> None:
        """Hang up; keys of commands without an answer are told as refused."""
        writers, self._writers = self._writers, []
        # What is put into a batch from now on is kept until there are new ones, and told as refused then.
        self.box_of = [self._limbo] * SLOT_COUNT
        for lane in writers:
            if lane.reader is not None:
                lane.reader.cancel()
        for lane in writers:
            await lane.stream.close()
            self._tell(tuple(lane.left()))

    def _tell(self, names: Iterable[Named | None]) -> None:
        for name in names:
            self._refused(name, "")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not self._trouble and not condition():
            self._progress.clear()
            await self._progress.wait()

    async def _read(self, lane: _Writer) -> None:
        try:
            while True:
                data = await lane.stream.read()
                if not data:
                    self._give_up(f"{lane.batch.address} closed the connection")
                    return
                for name, line in lane.answered(data):
                    self._refused(name, line)
                    if line.startswith(ELSEWHERE):
                        self._give_up(f"{lane.batch.address} says {line}")
                if lane.refusal:
                    self.refusal = ServerError(
                        f"{lane.batch.address} refuses a database that keys of the source go to",
                        code="database-refused",
                        where=str(lane.batch.address),
                        seen=lane.refusal,
                        left="no key of that database was written; the copy in the target is not complete",
                        hint="start the target with cluster-databases as large as before, or give the user its right, "
                        "then slotwright migrate --resume",
                    )
                    self._give_up(str(self.refusal))
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
