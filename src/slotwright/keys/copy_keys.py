"""Copy the keys of servers that hold old data into the primaries of a cluster, then count them on both sides.

The server does the work for each key: MIGRATE with COPY carries every type, every time to live and any bytes. A call
whose outcome is not known is repeated (:meth:`MigrateSender.copy`), so no client may write to the new cluster yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from slotwright.cluster.events import Began, Ended, Moved, Report
from slotwright.cluster.secret import Secret
from slotwright.cluster.slots import SlotSet, key_slot
from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.keys.compare.two_nodes import equal_on_both
from slotwright.keys.migrate_keys import MOST_KEYS, MigrateSender, NotTakenError, SizedKeys
from slotwright.keys.model.counts import Count, Difference, StrayKey, unequal
from slotwright.keys.model.databases import Named
from slotwright.keys.node_keys import NodeKeys, memory_usage, used_bytes
from slotwright.keys.scan import Command
from slotwright.keys.side_by_side import beside, together
from slotwright.keys.throttle.probes import NodeProbes
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.nodes.answers import reading
from slotwright.ports import Clock, Dialer, ReplyError
from slotwright.server.info import count_keys, info_number

Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class KeySource:
    """A server with the data of the old node ``name``, whose keys count for ``slots``."""

    name: Address
    slots: SlotSet
    keys: NodeKeys


@dataclass(frozen=True, slots=True)
class CopiedKeys:
    """``expected`` counts what the old data holds for its slots, strays that were brought among it; ``sent`` and
    ``took_s`` are those of the copying alone; ``libraries`` of functions."""

    expected: Count
    sent: int
    took_s: float
    strays_brought: int
    strays_equal: int
    quarantined: int
    libraries: int


@dataclass(frozen=True, slots=True)
class CountedKeys:
    """``found`` counts what the new primaries hold; ``expired`` are keys whose time ran out meanwhile."""

    found: Count
    difference: Difference
    expired: int


@dataclass(slots=True)
class _Tally:
    """How far the copying is."""

    total: int
    started: float
    done: int = 0
    expected: Count = field(default_factory=Counter)

    def words(self, now: float) -> str:
        """``bring keys back: 41,000 keys/s, 12 s left``."""
        took = now - self.started
        if self.done == 0 or took < 0.2:
            return "bring keys back"
        rate = self.done / took
        return f"bring keys back: {rate:,.0f} keys/s, {max(0, self.total - self.done) / rate:.0f} s left"


@dataclass(frozen=True, slots=True)
class KeyCopier:
    """``owners`` are the new primaries with their slots; ``quarantine`` keeps a stray that differs. ``probes``
    dials the new primaries, to measure how long their clients wait."""

    sources: Sequence[KeySource]
    owners: Sequence[tuple[Address, SlotSet, NodeKeys]]
    password: Secret | None = field(repr=False)
    clock: Clock
    report: Report
    quarantine: Callable[[StrayKey], None]
    rate_limiter: RateLimiter
    probes: Dialer

    @property
    def _sender(self) -> MigrateSender:
        return MigrateSender(self.rate_limiter, self.password)

    async def copy(self) -> CopiedKeys:
        """Functions, then keys, then strays. Raises ServerError where a key can't be brought."""
        libraries = await self._copy_functions()
        total = sum([count_keys(await source.keys.info("keyspace")) for source in self.sources])
        tally = _Tally(total, self.clock.now())
        self.report(Began("copy-keys", "bring keys back"))
        is_ok = False
        try:
            async with self._watched():
                strays = await together([self._copy(source, tally) for source in self.sources])
                took = self.clock.now() - tally.started
                brought, equal, aside = await self._copy_strays(strays, tally)
            is_ok = True
        finally:
            text = f"bring keys back: {tally.done:,} of {tally.total:,}"
            self.report(Ended("copy-keys", text, is_ok))
        return CopiedKeys(tally.expected, tally.done, took, brought, equal, aside, libraries)

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[None]:
        """The new primaries may have clients already; the servers of old data have none but us."""
        addresses = [address for address, _, _ in self.owners]
        async with NodeProbes(self.probes, addresses) as probes, beside(self.rate_limiter.watch(probes)):
            yield

    async def prove(self, expected: Count) -> CountedKeys:
        """Count the new primaries by type and slot, in two ways, and look into what differs key by key."""
        text = "count by type and slot"
        self.report(Began("count", text))
        result: Count = Counter()
        for counts in await together([_count(keys) for _, _, keys in self.owners]):
            result += counts
        suspects = unequal(expected, result) | await self._miscounted(result)
        difference = await self._look_into(suspects) if suspects else Difference()
        self.report(Ended("count", f"{text}: {sum(result.values()):,} keys", is_ok=difference.is_none))
        return CountedKeys(result, difference, await self._expired())

    async def _copy_functions(self) -> int:
        """The libraries of all sources on every new primary; functions are not keys, no slot owns them."""
        names: set[bytes] = set()
        for source in self.sources:
            try:
                listed = await source.keys.call(0, "FUNCTION", "LIST")
                payload = await source.keys.call(0, "FUNCTION", "DUMP") if listed else None
            except ReplyError:
                # Before 7.0 there are none.
                continue
            if not isinstance(listed, list) or not isinstance(payload, bytes):
                continue
            names |= {library[1] for library in listed if isinstance(library, list) and isinstance(library[1], bytes)}
            for address, _, keys in self.owners:
                await self._restore_functions(address, keys, payload)
        return len(names)

    async def _restore_functions(self, address: Address, keys: NodeKeys, payload: bytes) -> None:
        try:
            await keys.call(0, "FUNCTION", "RESTORE", payload, "REPLACE", timeout_s=60)
        except ReplyError as error:
            raise ServerError(
                f"{address} refuses the functions of the old cluster",
                code="functions-refused",
                where=str(address),
                seen=str(error),
            ) from error

    async def _copy(self, source: KeySource, tally: _Tally) -> list[tuple[KeySource, Named, str]]:
        """All keys of ``source`` whose slots are its own; returns the others."""
        owner_of = self._owner_of()
        strays: list[tuple[KeySource, Named, str]] = []
        waiting: dict[Address, list[tuple[bytes, int]]] = defaultdict(list)
        for database in await source.keys.databases():
            async for page in source.keys.walk(database, _type_and_size):
                for key, (kind, size) in page.keys:
                    if not isinstance(kind, bytes) or kind == b"none":
                        continue  # it has expired meanwhile
                    slot = key_slot(key)
                    if slot not in source.slots:
                        strays.append((source, (database, key), kind.decode()))
                        continue
                    tally.expected[database, slot, kind.decode()] += 1
                    waiting[owner_of[slot]].append((key, used_bytes(size)))
                for owner, keys in waiting.items():
                    if len(keys) >= MOST_KEYS:
                        await self._send(source, owner, database, keys, tally)
                        keys.clear()
            for owner, keys in waiting.items():
                await self._send(source, owner, database, keys, tally)
            waiting.clear()
        return strays

    async def _send(self, source: KeySource, owner: Address, database: int, keys: SizedKeys, tally: _Tally) -> None:
        """A key that is not taken is named."""
        for start in range(0, len(keys), MOST_KEYS):
            part = keys[start : start + MOST_KEYS]
            try:
                await self._sender.copy(source.keys, owner, database, part)
            except NotTakenError as refusal:
                raise _not_taken(owner, refusal) from refusal
            tally.done += len(part)
            self.report(Moved("copy-keys", tally.words(self.clock.now()), tally.done, tally.total))

    async def _copy_strays(
        self, result: Iterable[list[tuple[KeySource, Named, str]]], tally: _Tally
    ) -> tuple[int, int, int]:
        """A stray counts only where the owner of its slot lacks it: brought, equal to what is there, set aside."""
        owner_of = self._owner_of()
        first: dict[Named, KeySource] = {}
        brought = equal = aside = 0
        for source, named, kind in (stray for strays in result for stray in strays):
            database, key = named
            rightful = first.get(named) or self._rightful(key_slot(key))
            if rightful is None or not await rightful.keys.present([key], database=database):
                sized = await source.keys.sized([key], database=database)
                await self._send(source, owner_of[key_slot(key)], database, sized, tally)
                first[named] = source
                tally.expected[database, key_slot(key), kind] += 1
                brought += 1
            elif await self._is_same(source, rightful, named):
                equal += 1
            else:
                aside += await self._set_aside(source, named, kind)
        return brought, equal, aside

    async def _is_same(self, stray: KeySource, rightful: KeySource, named: Named) -> bool:
        """Whether nothing would be lost without the stray: it is the same there, or it is gone by now."""
        database, key = named
        one, other = await stray.keys.side(), await rightful.keys.side()
        equal = await equal_on_both(one, other, [key], self.rate_limiter, database=database)
        return equal.get(key, False) or not await stray.keys.present([key], database=database)

    async def _set_aside(self, source: KeySource, named: Named, kind: str) -> int:
        database, key = named
        value = await source.keys.value(key, database=database)
        if value is None:
            return 0
        self.quarantine(StrayKey(str(source.name), database, key, kind, value.ttl_ms, value.dump))
        return 1

    def _rightful(self, slot: int) -> KeySource | None:
        return next((source for source in self.sources if slot in source.slots), None)

    def _owner_of(self) -> dict[int, Address]:
        return {slot: address for address, slots, _ in self.owners for slot in slots}

    async def _expired(self) -> int:
        """While the data was loaded, and since then, on the servers that hold it."""
        total = 0
        for source in self.sources:
            loading, since = await source.keys.info("persistence"), await source.keys.info("stats")
            with reading(source.keys.address, "INFO"):
                total += info_number(loading, "rdb_last_load_keys_expired") + info_number(since, "expired_keys")
        return total

    async def _miscounted(self, result: Count) -> frozenset[tuple[int, int]]:
        """(database, slot) pairs in which the new owner counts otherwise than its keys were just counted."""
        scanned: Counter[tuple[int, int]] = Counter()
        for (database, slot, _), number in result.items():
            scanned[database, slot] += number
        wrong: set[tuple[int, int]] = set()
        for _, slots, keys in self.owners:
            databases = {database for database, slot in scanned if slot in slots} | {*await keys.databases()}
            for database in databases:
                counts = await keys.count_in_database(database, slots)
                wrong |= {(database, slot) for slot in slots if counts.get(slot, 0) != scanned[database, slot]}
        return frozenset(wrong)

    async def _look_into(self, suspects: Collection[tuple[int, int]]) -> Difference:
        """Keys by name on both sides; what is gone on both by now has expired, and is no difference."""
        old, new = await self._names(suspects, is_old=True), await self._names(suspects, is_old=False)
        missing = [named for named in old.keys() - new.keys() if await self._is_there(named, old[named][1])]
        extra = [named for named in new.keys() - old.keys() if await self._is_there(named, new[named][1])]
        retyped = [named for named in old.keys() & new.keys() if old[named][0] != new[named][0]]
        missing = [named for named in missing if not await self._is_there(named, self._new_home(named[1]))]
        return Difference(tuple(sorted(missing)), tuple(sorted(extra)), tuple(sorted(retyped)))

    async def _names(self, suspects: Collection[tuple[int, int]], *, is_old: bool) -> dict[Named, tuple[str, NodeKeys]]:
        """A stray counts as old where the owner of its slot lacks it."""
        spaces = (
            [(source.keys, source.slots) for source in self.sources]
            if is_old
            else [(keys, slots) for _, slots, keys in self.owners]
        )
        values: dict[Named, tuple[str, NodeKeys]] = {}
        strays: dict[Named, tuple[str, NodeKeys]] = {}
        for keys, slots in spaces:
            for database in {database for database, _ in suspects}:
                async for batch in keys.kinds(database):
                    for key, kind in batch:
                        slot = key_slot(key)
                        if (database, slot) in suspects:
                            (values if slot in slots else strays).setdefault((database, key), (kind, keys))
        return strays | values

    def _new_home(self, key: bytes) -> NodeKeys:
        return next(keys for _, slots, keys in self.owners if key_slot(key) in slots)

    async def _is_there(self, named: Named, keys: NodeKeys) -> bool:
        return bool(await keys.present([named[1]], database=named[0]))


async def _count(keys: NodeKeys) -> Count:
    count: Count = Counter()
    for database in await keys.databases():
        async for batch in keys.kinds(database):
            for key, kind in batch:
                count[database, key_slot(key), kind] += 1
    return count


def _type_and_size(key: bytes) -> Sequence[Command]:
    return ("TYPE", key), memory_usage(key)


def _not_taken(owner: Address, refusal: NotTakenError) -> ServerError:
    keys = refusal.keys
    shown = ", ".join(repr(key)[1:60] for key in keys[:3])
    return ServerError(
        f"{owner} does not take {len(keys)} key{'s' if len(keys) > 1 else ''}: {shown}",
        code="key-not-taken",
        where=str(owner),
        seen=str(refusal.error),
    )
