"""The gate before a cutover: who takes the source's writes is looked at before they are held, and once more at the end.

A primary's writes can be held. Those of a replica's primary can't be from here, so nothing is held on a replica (its
own clients can't write, and a pause would only keep its primary's changes waiting, unseen: server.c, processCommand).
Instead it is watched until it is known that its primary stood still.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.model.migration import ReplicationStanding
from slotwright.features.migrate.plan.cutover_refusal import (
    refuse_moving,
    refuse_standing,
    refuse_turned,
    refuse_unheard,
)
from slotwright.features.migrate.run.attach import SourceStream
from slotwright.features.migrate.survey.source_info import standing
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Clock

STILL_S = 10.0
"""How long a primary has to stand still. Its life signs come every ten seconds (repl-ping-replica-period)."""

_PATIENCE_S = 35.0
_LOOK_S = 0.1
_LOOKS_A_STANDING = 10
_RETRY_S = 0.5

Breathe = Callable[[float], Awaitable[None]]
"""Sleeps, and raises what ended the following meanwhile."""


@dataclass(slots=True)
class _Watch:
    """A line since ``since``: what it was then, and up to where changes had come."""

    line: SourceStream
    was: ReplicationStanding
    since: float
    changed: int
    still_s: float = 0.0

    @property
    def is_moving(self) -> bool:
        """Changes came since, or a new copy did."""
        return self.line.replicator.changed != self.changed


@dataclass(slots=True)
class CutoverGate:
    """``say`` is given what goes on, in words, for whoever asks."""

    lines: Sequence[SourceStream]
    pool: ConnectionPool
    clock: Clock
    breathe: Breathe
    say: Callable[[str], None]
    _watches: list[_Watch] = field(default_factory=list)

    async def refuse_hopeless(self) -> None:
        """Raises RefusedError (``source-is-replica``) for what no waiting mends."""
        for line in self.lines:
            await self._standing(line)

    async def open(self) -> None:
        """Until every source is a primary, or a replica whose primary stood still. Raises RefusedError
        (``source-is-replica``) where that is not so, or can't be told."""
        self._watches = []
        for line in self.lines:
            was = await self._standing(line)
            watch = _Watch(line, was, self.clock.now(), line.replicator.changed)
            self._watches.append(watch)
        for watch in self._watches:
            if watch.was.is_replica:
                await self._until_still(watch)

    async def confirm(self) -> None:
        """Everything is as it was when the gate was opened, and nothing came in. All that the source had sent must have
        been taken. Raises RefusedError (``source-is-replica``)."""
        for watch in self._watches:
            self._refuse_other(watch, await self._standing(watch.line))

    @property
    def followers(self) -> frozenset[Address]:
        """The sources that are replicas."""
        return frozenset(watch.line.address for watch in self._watches if watch.was.is_replica)

    @property
    def still(self) -> tuple[str, float]:
        """The primary of the source that is a replica, and how long it stood still; "" and 0 where there is none."""
        return next(((watch.was.primary, watch.still_s) for watch in self._watches if watch.was.is_replica), ("", 0.0))

    async def _until_still(self, watch: _Watch) -> None:
        """A life sign that comes after :data:`STILL_S`, with no change since the beginning, says that the primary had
        done nothing by then: its stream is in order."""
        replicator, heard, looks = watch.line.replicator, watch.line.replicator.offset, 0
        self.say(f"watching whether {watch.was.primary}, the primary of the source, stands still")
        while watch.still_s < STILL_S:
            await self.breathe(_LOOK_S)
            looks += 1
            if looks % _LOOKS_A_STANDING == 0:
                self._refuse_other(watch, await self._standing(watch.line))
            if watch.is_moving:
                raise refuse_moving(watch.line.address, watch.was)
            waited = self.clock.now() - watch.since
            if replicator.offset != heard:
                heard, watch.still_s = replicator.offset, waited
            elif waited > _PATIENCE_S:
                raise refuse_unheard(watch.line.address, watch.was, waited)

    def _refuse_other(self, watch: _Watch, now: ReplicationStanding) -> None:
        if now != watch.was:
            raise refuse_turned(watch.line.address)
        if watch.was.is_replica and watch.is_moving:
            raise refuse_moving(watch.line.address, watch.was)

    async def _standing(self, line: SourceStream) -> ReplicationStanding:
        """As the server says now; one that is away is waited for."""
        deadline = self.clock.now() + _PATIENCE_S
        while True:
            try:
                connection = await self.pool.connection(line.address)
                reply = await connection.call("INFO")
                break
            except NodeUnreachableError:
                await self.pool.drop(line.address)
                if self.clock.now() > deadline:
                    raise
                await self.breathe(_RETRY_S)
            except ServerError:
                await self.pool.drop(line.address)
                raise
        result = standing(reply.decode(errors="replace") if isinstance(reply, bytes) else "")
        refused = refuse_standing(line.address, result)
        if refused is not None:
            raise refused
        return result
