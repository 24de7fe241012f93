"""One source's data into the cluster: its snapshot, then each later change, in the order in which they happened.

What always holds:

- Changes of one key reach its primary in order and at the most once: one connection to each primary, nothing is resent.
- A key whose change can't be replayed, or was refused, or was not done as the target's reply says, or may have been
  lost, is carried by value (resync_queue.py). So every trouble ends in the same state as none.
- While the target lags it is kept from expiring keys (expiry_pause.py): the source says DEL when a key's time has come.
- Nobody reads the target before the cutover, so a source's transactions are replayed command by command.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from slotwright.cluster.slots import SlotSet, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import PartialError, ServerError, SlotwrightError
from slotwright.features.migrate.model.migration import CopyProgress
from slotwright.features.migrate.replay.actions import (
    Acknowledge,
    Action,
    ByValue,
    CopyFunctions,
    FlushDatabase,
    Send,
    SendToAll,
    Skip,
    Stop,
    Unknowable,
)
from slotwright.features.migrate.replay.deferred_expiry import later
from slotwright.features.migrate.replay.replayer import Replayer
from slotwright.features.migrate.replay.replies import is_telling
from slotwright.features.migrate.run.expiry_pause import ExpiryPause
from slotwright.features.migrate.run.latency_guard import LatencyGuard
from slotwright.features.migrate.run.replica_client import ReplicaClient
from slotwright.features.migrate.run.resync_queue import ResyncQueue
from slotwright.features.migrate.run.target_writers import Replayed, TargetWriters
from slotwright.features.migrate.run.values import Value, ValueReader
from slotwright.keys.model.databases import DatabaseMap, Named
from slotwright.ports import Clock, StreamDialer
from slotwright.server.rdb.dump import set_command
from slotwright.server.rdb.restore import Placing
from slotwright.server.rdb.walker import RdbWalker
from slotwright.server.replication import CommandStream, pack

Owners = Callable[[], Awaitable[Sequence[tuple[Address, SlotSet]]]]
"""The target's primaries with their slots. Raises ServerError."""

NOT_FOLLOWED = "not-followed"
"""The code of the error for what a source did that can't be followed: only a new copy helps."""

_SLICE_BYTES = 64 * 1024
_ACKNOWLEDGE_S = 1.0
_PING = pack(b"PING")
_SILENCE_S = 3.0


@dataclass(frozen=True, slots=True)
class ReplicatorContext:
    """What a replicator stands on. ``owners`` waits for a failover to end, ``glance`` says what is seen now.
    ``skew_ms``: the source's clock minus ours."""

    link: ReplicaClient
    streams: StreamDialer
    owners: Owners
    glance: Owners
    values: ValueReader
    guard: LatencyGuard
    clock: Clock
    databases: DatabaseMap
    placing: Placing
    make_replayer: Callable[[int], Replayer]
    expiry: ExpiryPause
    skew_ms: int = 0


@dataclass(slots=True)
class Replicator:
    """``offset`` is how far the source's history was taken: all of it up to there is sent, or held.

    ``changed`` is the offset of the last command that changed data: what came since were life signs and messages.
    ``is_copied``: the snapshot is in, so that ``offset`` says something. ``dirty_keys``, where it is not None, gathers
    the keys that were changed since it was set: what was proved of them before holds no more.
    ``needs_full_compare``: something may have lost what a primary had acknowledged, or changed the target as a whole;
    only a comparison of everything tells.
    ``is_behind``: the target may lag by minutes, so deadlines there are later where it would else expire keys; see
    :meth:`caught_up`. ``late_keys`` are those whose deadline came too late meanwhile.
    ``problems`` are for people.
    """

    ground: ReplicatorContext
    progress: CopyProgress = field(default_factory=CopyProgress)
    offset: int = 0
    changed: int = 0
    database: int = 0
    dirty_keys: set[Named] | None = None
    needs_full_compare: bool = False
    is_copied: bool = False
    is_behind: bool = True
    late_keys: set[Named] = field(default_factory=set)
    has_new_functions: bool = False
    problems: list[str] = field(default_factory=list)
    resync_queue: ResyncQueue = field(init=False)
    writers: TargetWriters = field(init=False)
    _rest: bytes = b""
    _replayer: Replayer | None = None
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        self.writers = TargetWriters(self.ground.streams, self._refused, lambda: self.ground.expiry.greeting)
        self.resync_queue = ResyncQueue(self.ground.values, self._write, self.ground.clock)

    @property
    def is_drained(self) -> bool:
        """Whether all that was taken is answered for."""
        return not self.writers.waiting and not self.resync_queue.count and not self.writers.trouble

    async def open(self) -> None:
        """Connect to the target's primaries, and keep them from expiring keys."""
        owners = await self.ground.owners()
        await self.ground.expiry.hold()
        await self.writers.open(owners)

    async def close(self) -> None:
        """Hang up everywhere."""
        await self.ground.link.close()
        await self.writers.close()

    async def copy(self) -> None:
        """All keys of the snapshot that the link is about to give. Ends when every one is answered for, or held."""
        link, guard, clock = self.ground.link, self.ground.guard, self.ground.clock
        self.progress, self._replayer, self._rest = CopyProgress(), None, b""
        self.is_copied, self.is_behind = False, True
        self.late_keys.clear()
        await self.ground.expiry.hold()
        # What the snapshot has may be of a moment ago.
        self.changed = self.offset
        self.resync_queue.restart()
        body = await link.snapshot()
        began = clock.now()
        walker = RdbWalker()
        asides = [asyncio.create_task(work) for work in (self._stay_alive(), self._watch_writers())]
        try:
            while not body.is_whole:
                data, self._rest = body.feed(await link.read())
                for at in range(0, len(data), _SLICE_BYTES):
                    part = data[at : at + _SLICE_BYTES]
                    self._place(walker, part)
                    await self._send_out()
                    self.progress.bytes += len(part)
                    await guard.pass_on(len(part), is_paced=True)
            if not walker.is_complete:
                raise ServerError("the snapshot ended in the middle", code="rdb-unreadable", where=str(link.address))
            # With this the source begins to send what happened since.
            link.acknowledge(self.offset)
            self.database = int(walker.aux.get(b"repl-stream-db", b"0"))
            await self.writers.settle()
            await self._send_out()
        finally:
            for aside in asides:
                aside.cancel()
        self.progress.copied_s = clock.now() - began
        self.is_copied = True

    def _place(self, walker: RdbWalker, data: bytes) -> None:
        """The inner loop: each key of the snapshot into the batch of its slot's primary."""
        entries = walker.feed(data)
        version, place, target = walker.version, self.ground.placing.command, self.ground.databases.target
        is_renamed = self.ground.databases.is_renaming
        box_of, later_ms = self.writers.box_of, self.later_ms
        for database, key, expires_ms, kind, value, idle_s, frequency in entries:
            named = (database, key)
            to, name = target(named) if is_renamed else named
            box = box_of[key_slot(name)]
            if box.database != to:
                box.select(to)
            if expires_ms and later_ms:
                expires_ms = later(expires_ms, later_ms)
            if kind < 0:
                command = set_command(name, value, expires_ms)
            else:
                placed = place(name, kind, value, version, expires_ms, idle_s, frequency)
                if placed is None:
                    self.resync_queue.failed[named] = "the target has no form for this value"
                    continue
                command = placed
            box.data.append(command)
            box.names.append(named)
        self.progress.keys += len(entries)

    async def follow(self) -> None:
        """Each later change, until cancelled. Raises what ends the link (``source-lost``), PartialError
        (``not-followed``) for what the source did that can't be followed, and what keeps the target from taking
        anything."""
        parts = (
            self._read_on(),
            self._stay_alive(),
            self.resync_queue.work(),
            self._reopen_writers(),
            self._watch_writers(),
        )
        works = [asyncio.create_task(part) for part in parts]
        try:
            done, _ = await asyncio.wait(works, return_when=asyncio.FIRST_COMPLETED)
            for work in done:
                work.result()
        finally:
            for work in works:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)

    async def _read_on(self) -> None:
        ground = self.ground
        stream = CommandStream(self.offset)
        replayer = self._replayer = self._replayer or ground.make_replayer(self.database)
        replayer.later_ms = self.later_ms
        data, self._rest = self._rest, b""
        while True:
            # None are there while they are made anew.
            await self._reopen()
            now_ms = int(ground.clock.wall() * 1000) + ground.skew_ms
            for end, arguments in self._changes(stream, data):
                database = replayer.database
                for action in replayer.replay(arguments, now_ms):
                    self._do(action, end, database)
                    if not isinstance(action, (Skip, Acknowledge)):
                        self.changed = end
                # Whatever ends this: what was done is never done again.
                self.offset, self.database = end, replayer.database
            self.resync_queue.passed(self.offset)
            await self._send_out()
            await ground.guard.pass_on(len(data))
            data = await ground.link.read()

    def _changes(self, stream: CommandStream, data: bytes) -> list[tuple[int, list[bytes]]]:
        try:
            return stream.feed(data)
        except ValueError as error:
            where = str(self.ground.link.address)
            raise ServerError(
                "the replication stream can't be read", code="stream-unreadable", where=where, seen=str(error)
            ) from error

    def _do(self, action: Action, offset: int, database: int) -> None:
        match action:
            case Send():
                self._replay(action, offset, database)
            case ByValue():
                self.progress.by_value += len(action.keys)
                for named in action.keys:
                    self._note(named)
                    self.resync_queue.hold(named, offset)
            case SendToAll():
                self._tell_all(action, offset)
            case CopyFunctions():
                self.has_new_functions = True
            case Acknowledge():
                self.ground.link.acknowledge(offset)
            case Skip():
                pass
            case FlushDatabase():
                raise self._not_followed(f"the source emptied its database {action.database}")
            case Unknowable():
                name = action.arguments[0].decode(errors="backslashreplace")
                raise self._not_followed(f"the source did {name}: {action.why}")
            case Stop():
                raise self._not_followed(f"the source did {action.reason}")

    def _replay(self, action: Send, offset: int, database: int) -> None:
        slot, to, arguments, keys, is_late = action
        self.progress.changes += 1
        cut = len(self.ground.databases.prefix(database))
        sources = [(database, key[cut:]) for key in keys]
        for named in sources:
            self._note(named)
        if is_late and self.is_behind:
            self.late_keys.update(sources)
        if self.resync_queue.is_ahead(sources, offset):
            return
        box = self.writers.box_of[slot]
        box.select(to)
        box.data.append(pack(*arguments))
        if len(sources) > 1 or is_telling(arguments):
            box.replayed[len(box.names)] = Replayed(tuple(sources), arguments)
        box.names.append(sources[0])

    def _tell_all(self, action: SendToAll, offset: int) -> None:
        if action.arguments[0].upper() in (b"FLUSHALL", b"FLUSHDB"):
            self.needs_full_compare = True
            self.resync_queue.emptied(offset)
        for box in self.writers.boxes:
            box.select(action.database)
            box.data.append(pack(*action.arguments))
            box.names.append(None)

    def _write(self, value: Value) -> None:
        to, name = self.ground.databases.target(value.named)
        self._note(value.named)
        if value.payload is None:
            command: bytes | None = pack(b"DEL", name)
        else:
            expires_ms = later(value.expire_ms, self.later_ms) if value.expire_ms else 0
            command = self.ground.placing.dumped(name, value.payload, expires_ms)
        if command is None:
            self.resync_queue.failed[value.named] = "the target has no form for this value"
            return
        box = self.writers.box_of[key_slot(name)]
        box.select(to)
        box.data.append(command)
        box.names.append(value.named)
        self.writers.flush()

    def _note(self, named: Named) -> None:
        if self.dirty_keys is not None:
            self.dirty_keys.add(named)

    def _refused(self, named: Named | None, line: str) -> None:
        """A command failed, or was not done, or a lost connection may have had it: the key's value is carried, which is
        right in any case."""
        if named is None:
            # A lost connection is noticed anyway; PING is none's loss.
            if line:
                self.problems.append(line)
                self.needs_full_compare = True
            return
        self.progress.mended += 1
        self._note(named)
        self.resync_queue.hold(named, self.offset, line)

    @property
    def later_ms(self) -> int:
        """By how much deadlines are later in the target than in the source."""
        return self.ground.expiry.later_ms if self.is_behind else 0

    async def caught_up(self) -> None:
        """The target lags no more: from now on it is told the source's deadlines. What was sent with later ones is
        answered for at the end of this; :meth:`carry_late_keys` once these deadlines are set right."""
        self.is_behind = False
        if self._replayer is not None:
            self._replayer.later_ms = 0
        await self.writers.passed()

    def carry_late_keys(self) -> None:
        """Carry by value what has a deadline that is too late. Before, the right one could be overwritten by the one
        that was read just before it came."""
        for named in self.late_keys:
            self.resync_queue.hold(named, self.offset)
        self.late_keys.clear()

    async def look_again(self) -> None:
        """Open new writers where owners are others than we send to: a primary that hung may not say that it is none."""
        if self._opening.locked():
            return
        known, box_of = self.writers.owners, self.writers.box_of
        for address, slots in await self.ground.glance():
            if (address, slots) not in known and any(box_of[slot].address != address for slot in slots):
                # Who is not seen just now is no reason: its connection tells more.
                self.writers.doubt(f"{address} has other slots now")
                return

    async def _send_out(self) -> None:
        """Everything on its way, and no primary too far behind. Where owners changed or were lost: new writers."""
        self.writers.flush()
        await self.writers.room()
        if self.writers.trouble:
            await self._reopen()

    async def _reopen_writers(self) -> None:
        """Also where nothing is to be sent just now."""
        while True:
            await self.writers.until_trouble()
            await self._reopen()

    async def _reopen(self) -> None:
        async with self._opening:
            while self.writers.trouble:
                if self.writers.refusal is not None:
                    raise self.writers.refusal
                self.needs_full_compare = True
                await self.writers.close()
                owners = await self.ground.owners()
                await self.ground.expiry.hold()
                try:
                    await self.writers.open(owners)
                except ServerError:
                    # It went away again just now; looking for owners waits for it.
                    await self.ground.clock.sleep(0.2)
                    self.writers.doubt("an owner could not be reached")

    async def _watch_writers(self) -> None:
        """A primary whose host was cut off is silent, and its connection lasts as long as TCP tries, which is many
        minutes. So whoever owes answers and gives none is looked at: where another serves its slots, there is trouble.
        """
        while True:
            before = self.writers.unanswered
            await self.ground.clock.sleep(_SILENCE_S)
            now = self.writers.unanswered
            silent = [address for address, count in before.items() if now.get(address) == count]
            if not silent or self.writers.trouble:
                continue
            try:
                owners = {address for address, _ in await self.ground.owners()}
            except SlotwrightError as error:
                # Whoever sends is told the same.
                self.writers.doubt(str(error))
                continue
            for address in silent:
                if address not in owners:
                    self.writers.doubt(f"{address} says nothing, and another serves its slots")

    async def _stay_alive(self) -> None:
        """While a snapshot is loaded a replica says empty lines, later how far it is; and primaries are greeted."""
        while True:
            await self.ground.clock.sleep(_ACKNOWLEDGE_S)
            if self.progress.copied_s:
                self.ground.link.acknowledge(self.offset)
                self._ping()
            else:
                self.ground.link.keep_alive()

    def _ping(self) -> None:
        """A server with ``timeout`` set ends connections that say nothing; one that is lost shows."""
        for box in self.writers.boxes:
            box.data.append(_PING)
            box.names.append(None)
        self.writers.flush()

    def _not_followed(self, what: str) -> PartialError:
        return PartialError(
            f"{what}, and that can't be followed key by key",
            code=NOT_FOLLOWED,
            where=str(self.ground.link.address),
            left="the source is as it was; the target has a copy that is not up to date any more",
            hint="slotwright migrate --resume copies again; see that it is not done again meanwhile",
        )
