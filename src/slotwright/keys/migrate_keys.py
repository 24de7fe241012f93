"""MIGRATE: the one place that sends it. Keys go from one server to another in calls of bounded size.

While a call lasts the source serves nobody else (cluster.c, migrateCommand), so a call has few bytes and few keys. How
long it may take goes by its bytes. A call that ran into a time-out, or whose connection broke, may have arrived: what
is done then is the caller's choice. :meth:`MigrateSender.move` never replaces anything and never repeats: it ends, and
both ends have to be looked at again. :meth:`MigrateSender.copy` replaces a key by the same one, so it sends again, in
halves: where somebody else writes to the target meanwhile, that would undo a write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from slotwright.cluster.secret import Secret, redacted
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.keys.node_keys import NodeKeys
from slotwright.keys.scan import Command
from slotwright.keys.throttle.batch_size import BatchSize
from slotwright.keys.throttle.delay import Delay
from slotwright.keys.throttle.rate_limiter import LIMIT_MS, RateLimiter
from slotwright.ports import Argument, Clock, ReplyError
from slotwright.server.server_time import server_time_us

MOST_KEYS = 500
MOST_BYTES = 8 * 1024 * 1024

_KEY_BYTES = 1024
"""What a key costs beside its value, as if it were bytes."""

_BYTES_PER_S = 5 * 1024 * 1024
_SPARE_S = 5.0
_MOVE_PATIENCE_S, _COPY_PATIENCE_S = 5.0, 60.0
_TRIES = 3

_FEWEST_BYTES, _FIRST_BYTES = 256 * 1024, 512 * 1024
_LONGEST_DELAY_S = 0.05

SizedKeys = Sequence[tuple[bytes, int]]
"""Keys with their bytes in memory (:meth:`slotwright.keys.node_keys.NodeKeys.sized`)."""


def migrate_limiter(clock: Clock, limit_ms: float = LIMIT_MS) -> RateLimiter:
    """A rate limiter for moving: its batches are in bytes, and only one of them holds a source at a time."""
    batch = BatchSize(_FIRST_BYTES, _FEWEST_BYTES, MOST_BYTES, limit_ms / 2)
    return RateLimiter(clock, limit_ms=limit_ms, batch_size=batch, delay=Delay(longest_s=_LONGEST_DELAY_S))


class NotTakenError(Exception):
    """The target does not take ``keys``, for the reason ``error``."""

    def __init__(self, keys: Sequence[bytes], error: ReplyError | NodeUnreachableError) -> None:
        super().__init__(str(error))
        self.keys = tuple(keys)
        self.error = error


@dataclass(frozen=True, slots=True)
class MigrateSender:
    """``password`` and ``username`` are what the servers log in with at each other; they are in no error."""

    rate_limiter: RateLimiter
    password: Secret | None = field(default=None, repr=False)
    username: str = ""

    async def move(self, source: NodeKeys, target: Address, keys: SizedKeys, *, database: int = 0) -> int:
        """One call, for as many of the first ``keys`` as it may have: how many left the source for the target.

        0: what came of the call is not known, or the target has one of the keys already; both ends have to be looked
        at. Raises ReplyError where it is refused, NodeUnreachableError where the source does not answer.
        """
        batch, _ = self._split(keys)
        error = await self._send(source, target, database, batch, (), _MOVE_PATIENCE_S)
        if error is None:
            return len(batch)
        if error.code in ("IOERR", "BUSYKEY", "TRYAGAIN") or "BUSYKEY" in str(error):
            return 0
        raise error

    async def copy(self, source: NodeKeys, target: Address, database: int, keys: SizedKeys) -> None:
        """All of them, in halves where the whole is too much for one call. Raises NotTakenError."""
        left: list[tuple[SizedKeys, int]] = [(keys, _TRIES)]
        while left:
            part, tries = left.pop()
            batch, rest = self._split(part)
            if rest:
                left.append((rest, tries))
            try:
                error: ReplyError | NodeUnreachableError | None = await self._send(
                    source, target, database, batch, ("COPY", "REPLACE"), _COPY_PATIENCE_S
                )
            except NodeUnreachableError as lost:
                error = lost
            if error is None:
                continue
            if (isinstance(error, ReplyError) and error.code != "IOERR") or (len(batch) == 1 and tries <= 1):
                raise NotTakenError([key for key, _ in batch], error)
            middle = len(batch) // 2
            left += [(batch[:middle], tries), (batch[middle:], tries)] if middle else [(batch, tries - 1)]

    def _split(self, keys: SizedKeys) -> tuple[SizedKeys, SizedKeys]:
        """What one call may have, at least one key, and the rest."""
        budget = self.rate_limiter.batch.now
        for at, (_, size) in enumerate(keys[: MOST_KEYS + 1]):
            budget -= _KEY_BYTES + size
            if at and (budget < 0 or at == MOST_KEYS):
                return keys[:at], keys[at:]
        return keys, ()

    async def _send(
        self,
        source: NodeKeys,
        target: Address,
        database: int,
        keys: SizedKeys,
        arguments: Sequence[str],
        least_patience_s: float,
    ) -> ReplyError | None:
        """One call; its error, without what it was sent with. How long it held the source, that says by its own clock.

        Raises NodeUnreachableError.
        """
        patience_s = least_patience_s + sum(size for _, size in keys) / _BYTES_PER_S
        head: Command = ("MIGRATE", target.host, target.port, "", database, int(patience_s * 1000), *arguments)
        command: Command = (*head, *self._login(), "KEYS", *(key for key, _ in keys))
        await self.rate_limiter.before(len(keys))
        timed: list[Command] = [("TIME",), command, ("TIME",)]
        began, reply, ended = await source.pipeline(database, timed, timeout_s=patience_s + _SPARE_S)
        if isinstance(reply, ReplyError):
            self.rate_limiter.batch.shrink()
            return _without_arguments(reply)
        began_us, ended_us = server_time_us(began), server_time_us(ended)
        if began_us is not None and ended_us is not None:
            self.rate_limiter.held((ended_us - began_us) / 1000)
        return None

    def _login(self) -> tuple[Argument, ...]:
        if self.password is None:
            return ()
        if self.username:
            return "AUTH2", self.username, self.password.reveal()
        return "AUTH", self.password.reveal()


def _without_arguments(error: ReplyError) -> ReplyError:
    """A server quotes the beginning of a command that it does not know or allow, cut somewhere: with the password."""
    text = redacted(str(error).partition(", with args beginning with")[0])
    clean = ReplyError(text)
    clean.where, clean.command = error.where, error.command
    return clean
