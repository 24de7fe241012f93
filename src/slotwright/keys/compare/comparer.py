"""The proof that one key space has everything of another, and nothing else: every key, both ways.

Forward, every key of the source is looked up in the target by name. Backward, the target's own counts by slot are held
against the keys that were seen in the source; where they disagree, the target's keys are listed by name. A key that
differs is looked at again, a few times with short waits: both sides may be changing while they are compared.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from slotwright.cluster.events import Began, Ended, Moved, Report
from slotwright.cluster.slots import SLOT_COUNT, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.keys.compare.key_pair import Batch, KeyPair
from slotwright.keys.compare.seen_keys import SeenKeys
from slotwright.keys.keyspace import KeyspaceReader
from slotwright.keys.model.comparison import MOST_EXAMPLES, Aspect, Compared, Comparison, KeyVerdict, shown_kind
from slotwright.keys.model.databases import DatabaseMap, Named
from slotwright.keys.scan import texts
from slotwright.keys.side_by_side import beside, together
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.ports import Clock
from slotwright.server.resp_out import request

PATIENCE_S = (0.0, 0.05, 0.25, 1.0)
"""The waits before a key that differs is looked at again; after the last one it is different."""

SHORT_PATIENCE_S = (0.0, 0.02)
"""The same where somebody waits for the verdict."""

_LOOKERS = 4
_SETTLERS = 64
_COUNTS_AT_ONCE = 1024
_MOST_LISTED = 20_000
_NAMES_AT_ONCE = 500
_SCANS = 3
_SHOWN_S = 0.2

Tell = Callable[[Compared], None]


def nobody_listens(result: Compared) -> None:
    """For a comparison whose end alone matters."""


@dataclass(slots=True)
class Comparer:
    """Both sides are open already. ``on_different`` hears of each key that is different or not comparable, as soon as
    that is sure."""

    source: KeyspaceReader
    target: KeyspaceReader
    databases: DatabaseMap
    clock: Clock
    report: Report
    rate_limiter: RateLimiter
    on_different: Tell = nobody_listens
    patience_s: Sequence[float] = PATIENCE_S
    _pair: KeyPair = field(init=False)

    def __post_init__(self) -> None:
        self._pair = KeyPair(self.source, self.target, self.databases, self.rate_limiter)

    async def every_key(self) -> Comparison:
        """Everything that is in one of the two. Raises ServerError where a side stays away, or may not be read."""
        return await _Run(self, self._pair).do()

    async def these_keys(self, named: Sequence[Named]) -> list[Compared]:
        """The verdict on keys of the source, in the order given: a key that neither side has is ``expired``."""
        by_database: dict[int, list[int]] = {}
        for at, (database, _) in enumerate(named):
            by_database.setdefault(database, []).append(at)
        parts = [
            (database, indices[start : start + _NAMES_AT_ONCE])
            for database, indices in by_database.items()
            for start in range(0, len(indices), _NAMES_AT_ONCE)
        ]
        room = asyncio.Semaphore(_LOOKERS)

        async def look(database: int, indices: Sequence[int]) -> None:
            async with room:
                batch = Batch.of(self.databases, database, [named[at][1] for at in indices])
                kinds, odd = await self._pair.look(batch)
                verdicts = dict(zip(indices, await self._verdicts(batch, kinds, odd), strict=True))
            comparisons.update(verdicts)

        comparisons: dict[int, Compared] = {}
        await together([look(database, indices) for database, indices in parts])
        return [comparisons[at] for at in range(len(named))]

    async def _verdicts(self, batch: Batch, kinds: Sequence[str], odd: Collection[int]) -> list[Compared]:
        settled = await settle(self._pair, self.clock, batch, sorted(odd), SHORT_PATIENCE_S)
        return [
            settled[at]
            if at in settled
            else Compared((batch.database, key), batch.target_slots[at], kinds[at], KeyVerdict.EQUAL)
            for at, key in enumerate(batch.keys)
        ]


async def settle(
    pair: KeyPair, clock: Clock, batch: Batch, odd: Sequence[int], patience_s: Sequence[float]
) -> dict[int, Compared]:
    """The last verdict on the keys at ``odd``: those that differ are looked at again after each wait."""
    comparisons: dict[int, Compared] = {}
    left = list(odd)
    for wait_s in patience_s:
        if not left:
            break
        if wait_s:
            await clock.sleep(wait_s)
        looked = await pair.closely(batch.pick(left))
        comparisons.update(zip(left, looked, strict=True))
        left = [at for at in left if comparisons[at].verdict in (KeyVerdict.DIFFERENT, KeyVerdict.NOT_COMPARABLE)]
    return comparisons


class _Run:
    """One comparison of everything."""

    def __init__(self, comparer: Comparer, pair: KeyPair) -> None:
        self._is = comparer
        self._pair = pair
        self._seen = SeenKeys()
        self._extra: Counter[tuple[int, str, KeyVerdict]] = Counter()
        self._aspects: Counter[Aspect] = Counter()
        self._examples: list[Compared] = []
        self._done = 0
        self._total = 0
        self._source_databases: tuple[int, ...] = ()
        self._queue: asyncio.Queue[tuple[int, list[bytes]]] = asyncio.Queue(2 * _LOOKERS)
        self._settlers = asyncio.Semaphore(_SETTLERS)
        self._started = comparer.clock.now()

    async def do(self) -> Comparison:
        report = self._is.report
        text = f"compare {self._is.source.name} with {self._is.target.name}"
        report(Began("compare", text))
        is_ok = False
        try:
            async with beside(self._is.rate_limiter.watch(self._is.source)):
                facts = await self._is.source.facts()
                self._source_databases = tuple(facts.keys)
                self._total = sum(facts.keys.values())
                await self._forward(facts.keys)
                self._seen.seal()
                await self._backward()
            is_ok = True
        finally:
            report(Ended("compare", f"{text}: {self._done:,} keys", is_ok))
        source, target = await together([self._is.source.facts(), self._is.target.facts()])
        return Comparison(
            source,
            target,
            self._seen.tally() + self._extra,
            dict(self._aspects),
            tuple(self._examples),
            self._is.clock.now() - self._started,
            self._is.rate_limiter.load(),
        )

    async def _forward(self, databases: Collection[int]) -> None:
        """Every key of the source; all of them again when slots changed hands meanwhile, since a key that moves from
        one server to another may be passed over."""
        source = self._is.source
        for _ in range(_SCANS):
            before = source.owners
            async with beside(self._show()):
                await self._scan_all(databases)
            if not source.is_cluster:
                return
            await source.refresh()
            if source.owners == before:
                return
        raise ServerError(
            f"slots of {source.name} go on changing hands: its keys can't be seen all at once",
            code="source-moves",
            where=source.name,
            hint="compare when no slots are moved",
        )

    async def _scan_all(self, databases: Collection[int]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(_LOOKERS):
                    group.create_task(self._look(group))
                for server in self._is.source.servers:
                    for database in databases:
                        await self._scan(server, database)
                for _ in range(_LOOKERS):
                    await self._queue.put((-1, []))
        except BaseExceptionGroup as many:
            raise _first(many) from None

    async def _scan(self, server: Address, database: int) -> None:
        """One server's keys of a database into the queue. One that lost its slots meanwhile is left: all is begun again
        then, since a cursor means nothing to another server."""
        side = self._is.source
        try:
            async for keys in side.scan(server, database, lambda: self._is.rate_limiter.batch.now, needs_owner=True):
                if keys:
                    await self._queue.put((database, keys))
        except NodeUnreachableError:
            if server in side.servers:
                raise

    async def _look(self, group: asyncio.TaskGroup) -> None:
        while True:
            database, keys = await self._queue.get()
            if database < 0:
                return
            batch = Batch.of(self._is.databases, database, keys)
            kinds, odd = await self._pair.look(batch)
            self._seen.add(batch.target_database, batch.target_keys, batch.target_slots, kinds)
            self._done += len(keys)
            if odd:
                await self._settlers.acquire()
                group.create_task(self._settle(batch, sorted(odd)))

    async def _settle(self, batch: Batch, odd: Sequence[int]) -> None:
        try:
            settled = await settle(self._pair, self._is.clock, batch, odd, self._is.patience_s)
        finally:
            self._settlers.release()
        for at, comparison in settled.items():
            if comparison.verdict is KeyVerdict.EQUAL:
                continue
            if self._seen.judge(batch.target_database, batch.target_keys[at], batch.target_slots[at], comparison):
                self._note(comparison)

    def _note(self, comparison: Compared) -> None:
        if comparison.verdict is KeyVerdict.EXPIRED:
            return
        self._aspects.update(comparison.aspects)
        if len(self._examples) < MOST_EXAMPLES:
            self._examples.append(comparison)
        self._is.on_different(comparison)

    async def _backward(self) -> None:
        """What only the target has."""
        target = self._is.target
        facts = await target.facts()
        try:
            async with asyncio.TaskGroup() as group:
                for database in sorted({*facts.keys, *self._seen.databases}):
                    if await target.has_database(database):
                        await self._look_for_strangers(database, group)
        except BaseExceptionGroup as many:
            raise _first(many) from None

    async def _look_for_strangers(self, database: int, group: asyncio.TaskGroup) -> None:
        """Judged many at once, of whatever slots: under load there is one in each slot, and each may have to be waited
        for."""
        waiting: list[bytes] = []

        async def judge(names: list[bytes]) -> None:
            await self._settlers.acquire()
            group.create_task(self._check_strangers(database, names))

        async for keys in self._doubtful(database) if self._is.target.is_cluster else self._all_of(database):
            waiting += self._unknown(database, keys)
            while len(waiting) >= _NAMES_AT_ONCE:
                await judge(waiting[:_NAMES_AT_ONCE])
                del waiting[:_NAMES_AT_ONCE]
        if waiting:
            await judge(waiting)

    async def _doubtful(self, database: int) -> AsyncIterator[list[bytes]]:
        """All keys of the slots in which the target has another number of keys than were seen in the source."""
        target = self._is.target
        large: set[int] = set()
        for start in range(0, SLOT_COUNT, _COUNTS_AT_ONCE):
            part = range(start, start + _COUNTS_AT_ONCE)
            counts = await target.read(database, part, [[request("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in part]])
            listed: dict[int, int] = {}
            for slot, count in zip(part, counts.columns[0], strict=True):
                if not isinstance(count, int) or count == self._seen.count(database, slot):
                    continue
                if count > _MOST_LISTED:
                    large.add(slot)
                elif count:
                    listed[slot] = count
                if sum(listed.values()) > _MOST_LISTED:
                    yield await self._listed(database, listed)
                    listed = {}
            if listed:
                yield await self._listed(database, listed)
        if large:
            # To list a large slot in one go would keep its node from everybody else.
            async for keys in self._all_of(database):
                yield [key for key in keys if key_slot(key) in large]

    async def _listed(self, database: int, counts: Mapping[int, int]) -> list[bytes]:
        """All keys of some slots of the target, with room for those that have come since they were counted."""
        commands = [request("CLUSTER", "GETKEYSINSLOT", slot, 2 * count + 100) for slot, count in counts.items()]
        answers = await self._is.target.read(database, list(counts), [commands])
        return [key for reply in answers.columns[0] for key in texts(reply)]

    async def _all_of(self, database: int) -> AsyncIterator[list[bytes]]:
        """All keys of the target by name."""
        target = self._is.target
        for server in target.servers:
            async for keys in target.scan(server, database):
                yield keys

    def _unknown(self, database: int, keys: Sequence[bytes]) -> list[bytes]:
        by_slot: dict[int, list[bytes]] = {}
        for key in keys:
            by_slot.setdefault(key_slot(key), []).append(key)
        return [key for slot, part in by_slot.items() for key in self._seen.unknown(database, slot, part)]

    async def _check_strangers(self, database: int, keys: Sequence[bytes]) -> None:
        """Keys of the target that were not seen in the source: only there, or made on both sides meanwhile."""
        try:
            comparisons = await self._strangers(database, keys)
        finally:
            self._settlers.release()
        for comparison in comparisons:
            self._extra[comparison.slot, shown_kind(comparison.type), comparison.verdict] += 1
            if comparison.verdict is not KeyVerdict.EQUAL:
                self._note(comparison)
        self._done += len(keys)

    async def _strangers(self, database: int, keys: Sequence[bytes]) -> list[Compared]:
        origins: dict[int, list[bytes]] = {}
        comparisons: list[Compared] = []
        for key in keys:
            origin = await self._origin(database, key)
            if origin is None:
                comparisons.append(await self._foreign(database, key))
            else:
                origins.setdefault(origin[0], []).append(origin[1])
        for source_database, names in origins.items():
            batch = Batch.of(self._is.databases, source_database, names)
            settled = await settle(self._pair, self._is.clock, batch, range(len(names)), self._is.patience_s)
            comparisons += settled.values()
        return comparisons

    async def _origin(self, database: int, key: bytes) -> Named | None:
        """What a key of the target is called in the source; where several names lead to it, one that is there, or the
        one with a prefix. None: no name does."""
        databases = self._is.databases
        prefixed = [(number, databases.prefix(number)) for number in self._source_databases]
        names = [(number, key.removeprefix(prefix)) for number, prefix in prefixed if prefix and key.startswith(prefix)]
        candidates = [named for named in (*names, (database, key)) if databases.target(named) == (database, key)]
        for named in candidates[1:]:
            there = await self._is.source.read(named[0], [key_slot(named[1])], [[request("EXISTS", named[1])]])
            if there.columns[0][0] == 1:
                return named
        return candidates[0] if candidates else None

    async def _foreign(self, database: int, key: bytes) -> Compared:
        """A key of a database that nothing of the source leads to."""
        slot = key_slot(key)
        answers = await self._is.target.read(database, [slot], [[request("TYPE", key)]])
        kind = answers.columns[0][0]
        name = kind.decode(errors="replace") if isinstance(kind, bytes) else "none"
        return Compared((database, key), slot, name, KeyVerdict.DIFFERENT, (Aspect.EXTRA,), f"in database {database}")

    async def _show(self) -> None:
        """Where it is, some times a second."""
        while True:
            await self._is.clock.sleep(_SHOWN_S)
            took = self._is.clock.now() - self._started
            rate = self._done / took
            left = max(0, self._total - self._done) / rate if rate else 0
            text = f"compare: {rate:,.0f} keys/s, {left:.0f} s left" if left else "compare: look again at what differs"
            self._is.report(Moved("compare", text, min(self._done, self._total), self._total))


def _first(many: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first of the errors that ended a group."""
    first = many.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
