"""Our own commands on a source, counted and kept: a server's statistics know no callers, and what slotwright did there
before is no habit of its clients.

Counts belong to one run of the server (its run id), and end with its statistics: where one is lower than it was when we
looked last, somebody reset them (CONFIG RESETSTAT), and what was counted before is forgotten. A process that is killed
loses what it did not keep, a second's worth.
"""

from __future__ import annotations

import re
from asyncio import CancelledError
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from slotwright.adapters.files import KeptFile, read_kept, write_kept
from slotwright.cluster.formats import FileKind
from slotwright.cluster.topology import Address
from slotwright.errors import SlotwrightError
from slotwright.ports import Argument, Connection, Dialer, Reply, ReplyError

_CONTAINERS = frozenset({"acl", "client", "cluster", "command", "config", "function", "memory", "module", "script"})
"""Commands of which the statistics tell subcommands, since 7.0."""
_OF_BYTES = ("select", "scan", "dbsize", "multi")
"""What is counted of requests that are bytes already: all that a plan judges of what we send so."""


@dataclass(frozen=True, slots=True)
class KeptCalls:
    """``calls`` by us on the server's run ``run_id``; ``totals``: its statistics when we looked last."""

    run_id: str
    calls: Mapping[str, int]
    totals: Mapping[str, int]


@dataclass(slots=True)
class OwnCalls:
    """Those of this process by server, and those that earlier ones kept below ``folder``."""

    folder: Path
    counted: dict[Address, Counter[str]] = field(default_factory=dict)
    _earlier: dict[Address, KeptCalls] = field(default_factory=dict)

    def dialer(self, inner: Dialer) -> Dialer:
        """The same with its connections' commands counted."""
        return _CountingDialer(inner, self)

    def look(self, address: Address, run_id: str, totals: Iterable[tuple[str, int]]) -> None:
        """What the server says now: earlier counts are taken over where they are of the same statistics."""
        now = dict(totals)
        kept: KeptCalls | None = None
        with suppress(SlotwrightError):
            kept = read_kept(self._file(address))
        is_same = kept is not None and kept.run_id == run_id
        if kept is None or not is_same or any(now.get(name, 0) < count for name, count in kept.totals.items()):
            kept = KeptCalls(run_id, {}, {})
        self._earlier[address] = KeptCalls(run_id, kept.calls, now)

    def less(self, address: Address, calls: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
        """What is left of the server's statistics without ours."""
        own = self._of(address)
        left = ((name, count - own.get(name, 0)) for name, count in calls)
        return tuple((name, count) for name, count in left if count > 0)

    def keep(self) -> None:
        """For later runs. That it can't be kept spoils nothing but words."""
        for address, earlier in self._earlier.items():
            with suppress(SlotwrightError):
                write_kept(self._file(address), KeptCalls(earlier.run_id, self._of(address), earlier.totals))

    def _of(self, address: Address) -> dict[str, int]:
        earlier = self._earlier.get(address)
        return dict(Counter(earlier.calls if earlier else {}) + self.counted.get(address, Counter()))

    def _file(self, address: Address) -> KeptFile[KeptCalls]:
        name = re.sub(r"[^A-Za-z0-9.-]+", "-", str(address)).strip("-")
        path = self.folder / f"{name}.json"
        return KeptFile(path, KeptCalls, FileKind.SOURCE_CALLS, f"the counts of our own commands on {address}")


@dataclass(frozen=True, slots=True)
class _CountingDialer:
    inner: Dialer
    own: OwnCalls

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        connection = await self.inner.dial(address, timeout_s=timeout_s)
        return _CountingConnection(connection, self.own.counted.setdefault(address, Counter()))


@dataclass(slots=True)
class _CountingConnection:
    """Counts what was done: a refused command is in no statistics, and a queued one only once it is run."""

    inner: Connection
    counter: Counter[str]
    _queued: list[str] | None = None

    @property
    def address(self) -> Address:
        return self.inner.address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        with self._done_if_cut((arguments,)):
            reply = await self.inner.call(*arguments, timeout_s=timeout_s)
        self._count(arguments, reply)
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        with self._done_if_cut(commands):
            replies = await self.inner.pipeline(commands, timeout_s=timeout_s)
        for arguments, reply in zip(commands, replies, strict=False):
            self._count(arguments, reply)
        return replies

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        for name in _OF_BYTES:
            times = request.count(b"$%d\r\n%s\r\n" % (len(name), name.upper().encode()))
            if times:
                self.counter[name] += times
        return await self.inner.exchange(request, replies, timeout_s=timeout_s)

    async def close(self) -> None:
        await self.inner.close()

    @contextmanager
    def _done_if_cut(self, commands: Sequence[Sequence[Argument]]) -> Iterator[None]:
        """What was sent is done, whether or not we stay for the answer."""
        try:
            yield
        except CancelledError:
            for arguments in commands:
                self._count(arguments, b"")
            raise

    def _count(self, arguments: Sequence[Argument], reply: Reply | ReplyError) -> None:
        if isinstance(reply, ReplyError):
            return
        names = _names(arguments)
        if self._queued is not None and reply == b"QUEUED":
            self._queued += names
            return
        if names[0] == "multi":
            self._queued = []
        elif names[0] in ("exec", "discard"):
            self.counter.update(self._queued or () if names[0] == "exec" else ())
            self._queued = None
        self.counter.update(names)


def _names(arguments: Sequence[Argument]) -> list[str]:
    """As the statistics of old and of new servers call it."""
    first, *rest = (_text(argument).lower() for argument in arguments[:2])
    return [first, f"{first}|{rest[0]}"] if rest and first in _CONTAINERS else [first]


def _text(argument: Argument) -> str:
    return argument.decode(errors="replace") if isinstance(argument, bytes) else str(argument)
