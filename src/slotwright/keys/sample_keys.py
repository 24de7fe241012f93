"""Walk a server's keys for their types and sizes, at a bounded pace that gives way when the server answers late.

The first keys of a SCAN are a fair sample (``scan.py``). Each is asked for its TYPE and MEMORY USAGE.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from slotwright.cluster.slots import SLOT_COUNT, key_slot
from slotwright.keys.model.databases import DatabaseMap, Named
from slotwright.keys.model.sample import BigKey, DatabaseSize, KeySample, KindOfKeys
from slotwright.keys.node_keys import memory_usage
from slotwright.keys.scan import Command, Page, walk
from slotwright.keys.throttle.delay import Delay
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.ports import Clock, Connection, ReplyError

_PAGE = 200

_COUNTERS = {"string": "STRLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD", "hash": "HLEN", "stream": "XLEN"}
_MEASURED_EACH_S = 0.1
_LONGEST_DELAY_S = 1.0
"""Between two pages."""


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
    """Keeps the pace, for as long as there is time; slower while the server's other clients wait."""

    def __init__(self, connection: Connection, clock: Clock, pace: Pace) -> None:
        self._connection = connection
        self._clock = clock
        # The first delay halves the pace.
        shortest_s = min(_LONGEST_DELAY_S, _PAGE / pace.keys_per_s)
        self._limiter = RateLimiter(clock, pace.keys_per_s, delay=Delay(shortest_s, _LONGEST_DELAY_S))
        self._began = clock.now()
        self._until = self._began + pace.most_s
        self._measured = -1.0

    @property
    def is_over(self) -> bool:
        """The time is up."""
        return self._clock.now() >= self._until

    @property
    def took_s(self) -> float:
        """Since the beginning."""
        return max(1e-6, self._clock.now() - self._began)

    @property
    def slowed(self) -> int:
        """How often it became slower because the server answered late."""
        return self._limiter.delay.raises

    @property
    def keys_per_s(self) -> float:
        """At present."""
        return 1 / (1 / self._limiter.pace + self._limiter.delay.now_s / _PAGE)

    async def after(self, keys: int) -> None:
        """Wait as long as ``keys`` keys may take."""
        if self._clock.now() - self._measured >= _MEASURED_EACH_S:
            before = self._clock.wall()
            (reply,) = await self._connection.pipeline([("TIME",)])
            self._limiter.answered(self._connection.address, reply, before)
            self._measured = self._clock.now()
        await self._limiter.before(keys)


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
        done = 0
        async with aclosing(walk(partial(self.connection.pipeline, timeout_s=30.0), self._questions, _PAGE)) as pages:
            async for page in pages:
                self._take(number, page)
                done += len(page.keys)
                if watch is not None:
                    wanted = self.total if most is None else min(self.total, self.pace.sampled)
                    watch(self.looked_at, wanted, self.tempo.keys_per_s)
                if page.is_last or (most is not None and done >= most) or self.tempo.is_over:
                    return page.is_last
                await self.tempo.after(len(page.keys))
        return True

    def _questions(self, key: bytes) -> Sequence[Command]:
        return (("TYPE", key), memory_usage(key)) if self.knows_memory else (("TYPE", key),)

    def _take(self, number: int, page: Page) -> None:
        for key, (kind, *sizes) in page.keys:
            size = sizes[0] if sizes else 0
            if isinstance(size, ReplyError):
                self.knows_memory, size = False, 0
            if not isinstance(kind, bytes) or kind == b"none" or size is None:
                continue  # it has expired or was deleted meanwhile
            self._count((number, key), kind.decode(errors="replace"), size if isinstance(size, int) else 0)

    def _count(self, named: Named, kind: str, size: int) -> None:
        self.looked_at += 1
        totals = self.kinds[kind]
        totals.keys += 1
        totals.bytes += size
        if not named[0] and self.prefixes and named[1].startswith(self.prefixes):
            self.prefixed += 1
        self.by_slot[key_slot(self.names.target(named)[1])] += size
        if len(self.biggest) < self.pace.biggest:
            heapq.heappush(self.biggest, (size, named, kind))
        elif self.biggest and size > self.biggest[0][0]:
            heapq.heapreplace(self.biggest, (size, named, kind))

    async def result(self, is_complete: bool) -> KeySample:
        """With the elements of the biggest keys counted."""
        ordered = sorted(self.biggest, key=lambda results: (-results[0], results[1]))
        biggest = [BigKey(named, kind, size, await self._elements(named, kind)) for size, named, kind in ordered]
        kinds = sorted(self.kinds.items(), key=lambda item: (-item[1].bytes, -item[1].keys, item[0]))
        return KeySample(
            looked_at=self.looked_at,
            total=self.total,
            is_complete=is_complete,
            kinds=tuple(KindOfKeys(kind, totals.keys, totals.bytes) for kind, totals in kinds),
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
