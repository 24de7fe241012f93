"""One server of the source: attached to, copied, followed, and attached to again when it hangs up.

In one process that is exact: the stream goes on where it was. A copy that was cut is never a place to go on from, and a
source that lost its data meanwhile is not followed, since that would empty the copy as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Moved, Report, Warned
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, PartialError, ServerError
from slotwright.features.migrate.model.migration import StreamPosition
from slotwright.features.migrate.run.fence import Fence
from slotwright.features.migrate.run.replica_client import SOURCE_LOST
from slotwright.features.migrate.run.replicator import NOT_FOLLOWED, Replicator
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock, ReplyError
from slotwright.server.info import count_keys, parse_info

_SHOWN_S = 0.2
_LOOK_S = 2.0
_MOST_COPIES = 3
_SOURCE_PATIENCE_S = 300.0
_RETRY_S = 0.5
_NO_TIME_S = 0.001


@dataclass(slots=True)
class SourceStream:
    """One server of the source: its pump and its fence, and how many keys it said that it has. ``position`` is where an
    earlier run was, then where this one attached; ``is_lost``: nothing can be gone on with from there. ``copies``: how
    often its snapshot was taken since the target last caught up."""

    replicator: Replicator
    fence: Fence
    position: StreamPosition | None = None
    expected_keys: int = 0
    is_lost: bool = False
    copies: int = 0
    _known: StreamPosition | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._known = self.position

    @property
    def address(self) -> Address:
        """The server's."""
        return self.fence.address

    @property
    def copied_keys(self) -> int:
        """How many keys the target has from its snapshot: by an earlier run, where this one goes on from there."""
        replicator = self.replicator
        return replicator.progress.keys or (self.expected_keys if replicator.is_copied else 0)

    @property
    def kept(self) -> StreamPosition | None:
        """Where a later run may go on from: not within a copy, of which a part would be missing."""
        if self.is_lost:
            return None
        if not self.replicator.is_copied or self.position is None:
            return self._known
        replicator, history = self.replicator, self.position.replication_id
        self._known = StreamPosition(
            str(self.address), history, replicator.offset, replicator.database, self.expected_keys
        )
        return self._known


@dataclass(frozen=True, slots=True)
class Attacher:
    """``tell`` is given what goes on, in words, for whoever asks."""

    pool: ConnectionPool
    clock: Clock
    report: Report
    tell: Callable[[str], None]

    async def attach(self, line: SourceStream) -> None:
        """A source that does not take us ends it; one that hangs up later is attached to again."""
        try:
            await self._attach_one(line)
        except NodeUnreachableError as error:
            if error.code != SOURCE_LOST or line.position is None:
                raise
            self._warn(line, error)
            await self._attach_again(line, error)

    def _warn(self, line: SourceStream, error: NodeUnreachableError) -> None:
        self.tell(f"{line.address} hung up; attaching again")
        self.report(Warned(f"the source ended the replication; attaching again. {error.seen}", error.where))

    async def follow(self, line: SourceStream) -> None:
        """Follow; a source that hung up is attached to again. In one process that is exact: it goes on where it was."""
        while True:
            try:
                await line.replicator.follow()
            except NodeUnreachableError as error:
                if error.code != SOURCE_LOST:
                    raise
                self._warn(line, error)
                await self._attach_again(line, error)
            except PartialError as error:
                # Gone on with from here, it would come to the same again.
                line.is_lost = line.is_lost or error.code == NOT_FOLLOWED
                raise

    async def look_after(self, line: SourceStream) -> None:
        """What nobody tells: that slots have other owners, and how many keys the source has."""
        while True:
            await self.clock.sleep(_LOOK_S)
            await line.replicator.look_again()
            with suppress(ServerError, ReplyError):
                await self._count(line)

    async def _count(self, line: SourceStream) -> None:
        """Of the source that we follow: one that came back empty has another history."""
        connection = await self.pool.connection(line.address)
        reply = await connection.call("INFO")
        info = parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
        if line.position is not None and info.get("master_replid") == line.position.replication_id:
            with reading(line.address, "INFO"):
                line.expected_keys = max(count_keys(info), 1)

    async def _attach_again(self, line: SourceStream, error: NodeUnreachableError) -> None:
        deadline = self.clock.now() + _SOURCE_PATIENCE_S
        while True:
            try:
                await self._attach_one(line)
                return
            except ServerError as again:
                if again.code in ("source-refuses", "rdb-unreadable", "wrong-password"):
                    raise
                if self.clock.now() > deadline:
                    raise PartialError(
                        f"{line.address} was not there again within {_SOURCE_PATIENCE_S:.0f} s",
                        code="source-away",
                        where=str(line.address),
                        seen=again.what,
                        left="the copy stays in the target, as far as it was followed",
                        hint="when the source is back: slotwright migrate --resume",
                    ) from error
                await self.clock.sleep(_RETRY_S)

    async def _attach_one(self, line: SourceStream) -> None:
        replicator, known = line.replicator, line.position
        link = replicator.ground.link
        history, offset = "", 0
        if known is not None and (replicator.is_copied or not replicator.offset):
            history, offset = known.replication_id, replicator.offset or known.offset
        attached = await link.attach(history, offset)
        if attached.is_full and known is not None:
            await self._refuse_emptied(line)
        line.position = StreamPosition(str(line.address), attached.replication_id, attached.offset, 0)
        if attached.is_full:
            replicator.offset, replicator.is_copied = attached.offset, False
            self._count_copy(line)
            await self._copy(line)
            # What a copy before this one left behind shows when everything is compared, from now on.
            replicator.needs_full_compare = True
        elif not replicator.offset:
            # How much of what follows was done by the run before is not known: a comparison of everything tells.
            assert known is not None
            replicator.offset, replicator.database = attached.offset, known.database
            replicator.needs_full_compare = replicator.is_copied = True
            replicator.progress.copied_s = replicator.progress.copied_s or _NO_TIME_S

    def _count_copy(self, line: SourceStream) -> None:
        line.copies += 1
        if line.copies > _MOST_COPIES:
            raise PartialError(
                f"{line.address} ended the replication {_MOST_COPIES} times before the target had caught up",
                code="copy-cut",
                where=str(line.address),
                left="the source is as it was; the copy in the target is not complete",
                hint="its log says why. Where it names output buffer limits: CONFIG SET client-output-buffer-limit "
                "'replica 0 0 0' on it until the move is done, or a higher --pace; then slotwright migrate --resume",
            )

    async def _refuse_emptied(self, line: SourceStream) -> None:
        """A source that lost its data meanwhile must not empty the copy as well."""
        keys = await self.keys(line)
        if keys * 2 < line.expected_keys:
            await line.replicator.ground.link.close()
            raise PartialError(
                f"{line.address} has {keys:,} keys now, and had {line.expected_keys:,}: it seems to have lost data",
                code="source-lost-data",
                where=str(line.address),
                left="the copy in the target was left as it was, and may be the only one",
                hint="bring the source's data back, then slotwright migrate --resume; or slotwright migrate --abort, "
                "which keeps the copy",
            )

    async def _copy(self, line: SourceStream) -> None:
        replicator = line.replicator
        self.tell("waiting for the source's snapshot")
        line.expected_keys = max(await self.keys(line), 1)
        guarding = asyncio.create_task(replicator.ground.guard.watch())
        showing = asyncio.create_task(self._show_copy(line))
        is_ok = False
        try:
            await replicator.copy()
            is_ok = True
        finally:
            for task in (guarding, showing):
                task.cancel()
            done = replicator.progress
            rate = f", {done.keys / done.copied_s:,.0f} keys/s" if done.copied_s else ""
            self.report(Ended("copy", f"copy from {line.address}: {done.keys:,} keys{rate}", is_ok))

    async def _show_copy(self, line: SourceStream) -> None:
        done = line.replicator.progress
        self.report(Began("copy", f"copy from {line.address}: the source makes a snapshot"))
        began: float | None = None
        while True:
            await self.clock.sleep(_SHOWN_S)
            if not done.keys:
                continue
            began = began or self.clock.now() - _SHOWN_S
            rate = done.keys / (self.clock.now() - began)
            left = max(0, line.expected_keys - done.keys) / rate
            self.tell(f"copying: {done.keys:,} of {line.expected_keys:,} keys")
            text = f"copy from {line.address}: {rate:,.0f} keys/s, {left:.0f} s left"
            self.report(Moved("copy", text, min(done.keys, line.expected_keys), line.expected_keys))

    async def keys(self, line: SourceStream) -> int:
        """How many the source has now."""
        connection = await self.pool.connection(line.address)
        try:
            reply = await connection.call("INFO", "keyspace")
        except ServerError:
            await self.pool.drop(line.address)
            raise
        with reading(line.address, "INFO"):
            return count_keys(parse_info(reply.decode(errors="replace") if isinstance(reply, bytes) else ""))
