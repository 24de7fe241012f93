"""Walk a server's keys for their types and sizes, at a bounded pace that gives way when the server answers late.

SCAN gives keys in the order of a hash with a seed of the server's own, so that its first ones are a fair sample. Each
page is one round trip: the keys of the page before with TYPE and MEMORY USAGE, and the next SCAN. The server takes
such a pipeline from its socket 16 KiB at a time, and serves others in between.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from slotwright.model.migration import DatabaseMap, Named
from slotwright.model.slots import SLOT_COUNT, key_slot
from slotwright.model.source_survey import BigKey, DatabaseSize, KeySample, KindOfKeys
from slotwright.ports import Argument, Clock, Connection, Reply, ReplyError

_PAGE = 200
_MEMORY_SAMPLES = 5
"""Elements whose size MEMORY USAGE takes for all: with 0 it would look at every one of them."""

_COUNTERS = {"string": "STRLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}
_PING_EACH_S = 0.1
_LATE_FACTOR = 3.0
_LATE_MS = 5.0
_QUICKER = 1.5
_SLOWEST = 200.0


@dataclass(frozen=True, slots=True)
class Pace:
    """``full`` None: all keys are looked at where there are at most ``full_up_to``, else ``sampled`` of them. Whatever
    was wanted, it ends after ``most_s`` with what it has. ``biggest`` is how many big keys are kept. ``span_s`` lies
    between the two readings that the source's rates are taken from."""

    full: bool | None = None
    full_up_to: int = 20_000
    sampled: int = 20_000
    keys_per_s: float = 10_000.0
    most_s: float = 60.0
    biggest: int = 10
    span_s: float = 1.0


Watcher = Callable[[int, int, float], None]
"""Is told how many keys were looked at, of how many that will be, and the present pace."""


async def sample_keys(
    connection: Connection,
    clock: Clock,
    sizes: Sequence[DatabaseSize],
    names: DatabaseMap,
    pace: Pace,
    watch: Watcher | None = None,
) -> KeySample:
    """``names`` says under which key, and so in which slot, each will live. The connection is left in some database.

    Raises what the connection raises, and ReplyError where SCAN or SELECT is refused.
    """
    total = sum(size.keys for size in sizes)
    is_full = pace.full if pace.full is not None else total <= pace.full_up_to
    walk = _Walk(connection, _Tempo(connection, clock, pace), names, pace, total)
    walk.prefixes = tuple(prefix for size in sizes if (prefix := names.prefix(size.number)))
    complete = True
    for size in sizes:
        share = None if is_full else max(1, round(pace.sampled * size.keys / max(1, total)))
        complete = await walk.database(size.number, share, watch) and complete
    return await walk.result(complete)


class _Tempo:
    """Keeps the pace, and halves it each time that PINGs take much longer than they did in the beginning."""

    def __init__(self, connection: Connection, clock: Clock, pace: Pace) -> None:
        self._connection = connection
        self._clock = clock
        self._most = pace.keys_per_s
        self.rate = pace.keys_per_s
        self.slowed = 0
        self.began = clock.now()
        self._until = self.began + pace.most_s
        self._free_at = self.began
        self._pinged = -1.0
        self._usual_ms: float | None = None

    @property
    def is_over(self) -> bool:
        """The time is up."""
        return self._clock.now() >= self._until

    @property
    def took_s(self) -> float:
        """Since the beginning."""
        return max(1e-6, self._clock.now() - self.began)

    async def after(self, keys: int) -> None:
        """Wait as long as ``keys`` keys may take."""
        now = self._clock.now()
        if now - self._pinged >= _PING_EACH_S:
            await self._judge()
            now = self._clock.now()
            self._pinged = now
        self._free_at = max(self._free_at, now - 0.1) + keys / self.rate
        if self._free_at > now:
            await self._clock.sleep(self._free_at - now)

    async def _judge(self) -> None:
        took_ms = await quickest_ping_ms(self._connection, self._clock)
        if self._usual_ms is None:
            self._usual_ms = took_ms
        elif took_ms > max(_LATE_FACTOR * self._usual_ms, self._usual_ms + _LATE_MS):
            self.rate = max(_SLOWEST, self.rate / 2)
            self.slowed += 1
        else:
            self.rate = min(self._most, self.rate * _QUICKER)


@dataclass(slots=True)
class _Found:
    keys: int = 0
    bytes: int = 0


@dataclass(slots=True)
class _Walk:
    connection: Connection
    tempo: _Tempo
    names: DatabaseMap
    pace: Pace
    total: int
    kinds: dict[str, _Found] = field(default_factory=lambda: defaultdict(_Found))
    by_slot: list[int] = field(default_factory=lambda: [0] * SLOT_COUNT)
    biggest: list[tuple[int, Named, str]] = field(default_factory=list)
    looked_at: int = 0
    prefixed: int = 0
    knows_memory: bool = True
    prefixes: tuple[bytes, ...] = ()

    async def database(self, number: int, most: int | None, watch: Watcher | None) -> bool:
        """True when all its keys were looked at. A key that SCAN gives twice counts twice."""
        await self.connection.call("SELECT", number)
        cursor, page = await self._scan(b"0")
        done = 0
        while True:
            commands: list[tuple[Argument, ...]] = [word for key in page for word in self._questions(key)]
            is_last = cursor == b"0" or (most is not None and done + len(page) >= most) or self.tempo.is_over
            if not is_last:
                commands.append(("SCAN", cursor, "COUNT", _PAGE))
            replies = await self.connection.pipeline(commands, timeout_s=30.0) if commands else []
            if not is_last:
                scanned = replies.pop()
            self._take(number, page, replies)
            done += len(page)
            if watch is not None:
                wanted = self.total if most is None else min(self.total, self.pace.sampled)
                watch(self.looked_at, wanted, self.tempo.rate)
            if is_last:
                return cursor == b"0"
            await self.tempo.after(len(page))
            cursor, page = _page_of(scanned)

    async def _scan(self, cursor: bytes) -> tuple[bytes, list[bytes]]:
        return _page_of(await self.connection.call("SCAN", cursor, "COUNT", _PAGE))

    def _questions(self, key: bytes) -> tuple[tuple[Argument, ...], ...]:
        kind: tuple[Argument, ...] = ("TYPE", key)
        return (kind, ("MEMORY", "USAGE", key, "SAMPLES", _MEMORY_SAMPLES)) if self.knows_memory else (kind,)

    def _take(self, number: int, page: Sequence[bytes], replies: Sequence[Reply | ReplyError]) -> None:
        step = 2 if self.knows_memory else 1
        for at, key in enumerate(page):
            kind = replies[at * step]
            size = replies[at * step + 1] if step == 2 else 0
            if isinstance(size, ReplyError):
                self.knows_memory, size = False, 0
            if not isinstance(kind, bytes) or kind == b"none" or size is None:
                continue  # it has expired or was deleted meanwhile
            self._count((number, key), kind.decode(errors="replace"), size if isinstance(size, int) else 0)

    def _count(self, named: Named, kind: str, size: int) -> None:
        self.looked_at += 1
        found = self.kinds[kind]
        found.keys += 1
        found.bytes += size
        if not named[0] and self.prefixes and named[1].startswith(self.prefixes):
            self.prefixed += 1
        self.by_slot[key_slot(self.names.target(named)[1])] += size
        if len(self.biggest) < self.pace.biggest:
            heapq.heappush(self.biggest, (size, named, kind))
        elif self.biggest and size > self.biggest[0][0]:
            heapq.heapreplace(self.biggest, (size, named, kind))

    async def result(self, is_complete: bool) -> KeySample:
        """With the elements of the biggest keys counted."""
        ordered = sorted(self.biggest, key=lambda found: (-found[0], found[1]))
        biggest = [BigKey(named, kind, size, await self._elements(named, kind)) for size, named, kind in ordered]
        kinds = sorted(self.kinds.items(), key=lambda item: (-item[1].bytes, -item[1].keys, item[0]))
        return KeySample(
            looked_at=self.looked_at,
            total=self.total,
            is_complete=is_complete,
            kinds=tuple(KindOfKeys(kind, found.keys, found.bytes) for kind, found in kinds),
            biggest=tuple(biggest) if self.knows_memory else (),
            bytes_by_slot=tuple(self.by_slot) if self.knows_memory else (),
            keys_per_s=self.looked_at / self.tempo.took_s,
            slowed=self.tempo.slowed,
            prefixed=self.prefixed,
        )

    async def _elements(self, named: Named, kind: str) -> int | None:
        if kind not in _COUNTERS:
            return None
        counted = (await self.connection.pipeline([("SELECT", named[0]), (_COUNTERS[kind], named[1])]))[1]
        return counted if isinstance(counted, int) else None


def _page_of(reply: Reply | ReplyError) -> tuple[bytes, list[bytes]]:
    if isinstance(reply, ReplyError):
        raise reply
    if not isinstance(reply, list) or len(reply) != 2 or not isinstance(reply[0], bytes):
        raise ReplyError("ERR not a reply to SCAN")
    keys = reply[1] if isinstance(reply[1], list) else []
    return reply[0], [key for key in keys if isinstance(key, bytes)]


async def quickest_ping_ms(connection: Connection, clock: Clock) -> float:
    """Of three PINGs: a busy machine of our own makes one late, and a busy server all of them."""
    return min(await pings_ms(connection, clock, 3))


async def pings_ms(connection: Connection, clock: Clock, times: int) -> list[float]:
    """Round trips of PINGs, in milliseconds, sorted. An error reply is an answer, too."""
    took = []
    for _ in range(times):
        before = clock.now()
        await connection.pipeline([("PING",)])
        took.append((clock.now() - before) * 1e3)
    return sorted(took)
