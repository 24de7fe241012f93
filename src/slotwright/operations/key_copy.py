"""Keys from servers that hold old data into the primaries of a cluster: brought by MIGRATE, then counted on both sides.

The server does the work for each key: MIGRATE with COPY carries every type, every time to live and any bytes. What is
sent again after a time-out replaces the same key by the same value, so a call whose outcome is unknown may be repeated
as long as no client writes to the new cluster.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.model.events import Began, Ended, Moved, Report
from slotwright.model.keys import Count, Difference, StrayKey, unequal
from slotwright.model.secret import Secret
from slotwright.model.slots import SlotSet, key_slot
from slotwright.model.topology import Address
from slotwright.operations.roster import Roster
from slotwright.ports import Argument, Clock, Connection, Reply, ReplyError
from slotwright.wire.info import count_keys, parse_info

_SCAN = 1000
_MOST_KEYS = 500
_MOST_BYTES = 8 * 1024 * 1024
_MIGRATE_IDLE_MS = 60_000
_PATIENCE_S = 900.0
_TRIES = 3

Named = tuple[int, bytes]
"""Database and key."""

Value = TypeVar("Value")


class Keyspace:
    """The keys of one server. A connection that was lost is made anew; the database follows each call."""

    def __init__(self, address: Address, roster: Roster) -> None:
        self.address = address
        self._roster = roster
        self._selected: tuple[Connection, int] | None = None

    async def call(self, database: int, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command in ``database``; see :meth:`slotwright.ports.Connection.call`."""
        connection = await self._in(database)
        try:
            return await connection.call(*arguments, timeout_s=timeout_s)
        except NodeUnreachableError:
            await self._roster.drop(self.address)
            raise

    async def pipeline(self, database: int, commands: Sequence[Sequence[Argument]]) -> list[Reply | ReplyError]:
        """Several commands in ``database``."""
        connection = await self._in(database)
        try:
            return await connection.pipeline(commands)
        except NodeUnreachableError:
            await self._roster.drop(self.address)
            raise

    async def info(self, section: str) -> dict[str, str]:
        """INFO of one section."""
        text = await self.call(0, "INFO", section)
        return parse_info(text.decode(errors="replace") if isinstance(text, bytes) else "")

    async def databases(self) -> tuple[int, ...]:
        """Those that hold keys; 0 always."""
        info = await self.info("keyspace")
        return tuple(sorted({0, *(int(name[2:]) for name in info if name.startswith("db") and name[2:].isdigit())}))

    async def walk(self, database: int) -> AsyncIterator[list[tuple[bytes, str]]]:
        """All keys with their types, in batches; one that expires meanwhile is left out."""
        cursor: Argument = b"0"
        while True:
            reply = await self.call(database, "SCAN", cursor, "COUNT", _SCAN)
            assert isinstance(reply, list)
            assert isinstance(reply[0], bytes)
            assert isinstance(reply[1], list)
            cursor, keys = reply[0], [key for key in reply[1] if isinstance(key, bytes)]
            types = await self.pipeline(database, [("TYPE", key) for key in keys]) if keys else []
            yield [
                (key, kind.decode())
                for key, kind in zip(keys, types, strict=True)
                if isinstance(kind, bytes) and kind != b"none"
            ]
            if cursor == b"0":
                return

    async def _in(self, database: int) -> Connection:
        connection = await self._roster.connection(self.address)
        if self._selected is None or self._selected[0] is not connection:
            self._selected = (connection, 0)
        if self._selected[1] != database:
            await connection.call("SELECT", database)
            self._selected = (connection, database)
        return connection


@dataclass(frozen=True, slots=True)
class Source:
    """A server with the data of the old node ``name``, whose keys count for ``slots``."""

    name: Address
    slots: SlotSet
    keys: Keyspace


@dataclass(frozen=True, slots=True)
class Brought:
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
class Proof:
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
    """``owners`` are the new primaries with their slots; ``quarantine`` keeps a stray that differs."""

    sources: Sequence[Source]
    owners: Sequence[tuple[Address, SlotSet, Keyspace]]
    password: Secret | None = field(repr=False)
    clock: Clock
    report: Report
    quarantine: Callable[[StrayKey], None]

    async def bring(self) -> Brought:
        """Functions, then keys, then strays. Raises ServerError where a key can't be brought."""
        libraries = await self._bring_functions()
        total = sum([count_keys(await source.keys.info("keyspace")) for source in self.sources])
        tally = _Tally(total, self.clock.now())
        self.report(Began("copy-keys", "bring keys back"))
        is_ok = False
        try:
            strays = await _together([self._bring(source, tally) for source in self.sources])
            took = self.clock.now() - tally.started
            brought, equal, aside = await self._bring_strays(strays, tally)
            is_ok = True
        finally:
            text = f"bring keys back: {tally.done:,} of {tally.total:,}"
            self.report(Ended("copy-keys", text, is_ok))
        return Brought(tally.expected, tally.done, took, brought, equal, aside, libraries)

    async def prove(self, expected: Count) -> Proof:
        """Count the new primaries by type and slot, in two ways, and look into what differs key by key."""
        text = "count by type and slot"
        self.report(Began("count", text))
        found: Count = Counter()
        for each in await _together([_count(keys) for _, _, keys in self.owners]):
            found += each
        suspects = unequal(expected, found) | await self._miscounted(found)
        difference = await self._look_into(suspects) if suspects else Difference()
        self.report(Ended("count", f"{text}: {sum(found.values()):,} keys", is_ok=difference.is_none))
        return Proof(found, difference, await self._expired())

    async def _bring_functions(self) -> int:
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

    async def _restore_functions(self, address: Address, keys: Keyspace, payload: bytes) -> None:
        try:
            await keys.call(0, "FUNCTION", "RESTORE", payload, "REPLACE", timeout_s=60)
        except ReplyError as error:
            raise ServerError(
                f"{address} refuses the functions of the old cluster",
                code="functions-refused",
                where=str(address),
                seen=str(error),
            ) from error

    async def _bring(self, source: Source, tally: _Tally) -> list[tuple[Source, Named, str]]:
        """All keys of ``source`` whose slots are its own; returns the others."""
        owner_of = self._owner_of()
        most = await _batch_size(source.keys)
        strays: list[tuple[Source, Named, str]] = []
        waiting: dict[tuple[int, Address], list[bytes]] = defaultdict(list)
        for database in await source.keys.databases():
            async for batch in source.keys.walk(database):
                for key, kind in batch:
                    slot = key_slot(key)
                    if slot not in source.slots:
                        strays.append((source, (database, key), kind))
                        continue
                    tally.expected[database, slot, kind] += 1
                    waiting[database, owner_of[slot]].append(key)
                for (_, owner), keys in waiting.items():
                    while len(keys) >= most:
                        await self._send(source, owner, database, keys[:most], tally)
                        del keys[:most]
            for (_, owner), keys in waiting.items():
                if keys:
                    await self._send(source, owner, database, keys, tally)
            waiting.clear()
        return strays

    async def _send(self, source: Source, owner: Address, database: int, keys: list[bytes], tally: _Tally) -> None:
        """In halves where the whole is too much for one call; one that still fails is named."""
        left = [(keys, _TRIES)]
        while left:
            batch, tries = left.pop()
            try:
                await source.keys.call(database, *self._migrate(owner, database, batch), timeout_s=_PATIENCE_S)
            except (ReplyError, NodeUnreachableError) as error:
                if isinstance(error, ReplyError) and error.code != "IOERR":
                    raise _not_taken(owner, batch, error) from error
                if len(batch) == 1 and tries <= 1:
                    raise _not_taken(owner, batch, error) from error
                middle = len(batch) // 2
                left += [(batch[:middle], tries), (batch[middle:], tries)] if middle else [(batch, tries - 1)]
                continue
            tally.done += len(batch)
            self.report(Moved("copy-keys", tally.words(self.clock.now()), tally.done, tally.total))

    def _migrate(self, owner: Address, database: int, keys: Sequence[bytes]) -> list[Argument]:
        words: list[Argument] = ["MIGRATE", owner.host, owner.port, "", database, _MIGRATE_IDLE_MS, "COPY", "REPLACE"]
        words += ["AUTH", self.password.reveal()] if self.password else []
        return [*words, "KEYS", *keys]

    async def _bring_strays(
        self, found: Iterable[list[tuple[Source, Named, str]]], tally: _Tally
    ) -> tuple[int, int, int]:
        """A stray counts only where the owner of its slot lacks it: brought, equal to what is there, set aside."""
        owner_of = self._owner_of()
        first: dict[Named, Source] = {}
        brought = equal = aside = 0
        for source, named, kind in (each for strays in found for each in strays):
            database, key = named
            rightful = first.get(named) or self._rightful(key_slot(key))
            if rightful is None or not await rightful.keys.call(database, "EXISTS", key):
                await self._send(source, owner_of[key_slot(key)], database, [key], tally)
                first[named] = source
                tally.expected[database, key_slot(key), kind] += 1
                brought += 1
            elif await _are_equal(source, rightful, named):
                equal += 1
            else:
                aside += await self._set_aside(source, named, kind)
        return brought, equal, aside

    async def _set_aside(self, source: Source, named: Named, kind: str) -> int:
        database, key = named
        value, ttl = await source.keys.pipeline(database, [("DUMP", key), ("PTTL", key)])
        if not isinstance(value, bytes) or not isinstance(ttl, int):
            return 0
        self.quarantine(StrayKey(str(source.name), database, key, kind, ttl, value))
        return 1

    def _rightful(self, slot: int) -> Source | None:
        return next((source for source in self.sources if slot in source.slots), None)

    def _owner_of(self) -> dict[int, Address]:
        return {slot: address for address, slots, _ in self.owners for slot in slots}

    async def _expired(self) -> int:
        """While the data was loaded, and since then, on the servers that hold it."""
        total = 0
        for source in self.sources:
            loading, since = await source.keys.info("persistence"), await source.keys.info("stats")
            total += int(loading.get("rdb_last_load_keys_expired", 0)) + int(since.get("expired_keys", 0))
        return total

    async def _miscounted(self, found: Count) -> frozenset[tuple[int, int]]:
        """Slots of database 0 in which the new owner counts otherwise than its keys were just counted."""
        scanned: Counter[int] = Counter()
        for (database, slot, _), number in found.items():
            scanned[slot] += number if database == 0 else 0
        wrong: set[tuple[int, int]] = set()
        for _, slots, keys in self.owners:
            every = list(slots)
            counts = await keys.pipeline(0, [("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in every])
            wrong |= {(0, slot) for slot, count in zip(every, counts, strict=True) if count != scanned[slot]}
        return frozenset(wrong)

    async def _look_into(self, suspects: Collection[tuple[int, int]]) -> Difference:
        """Keys by name on both sides; what is gone on both by now has expired, and is no difference."""
        old, new = await self._names(suspects, is_old=True), await self._names(suspects, is_old=False)
        missing = [named for named in old.keys() - new.keys() if await self._is_there(named, old[named][1])]
        extra = [named for named in new.keys() - old.keys() if await self._is_there(named, new[named][1])]
        retyped = [named for named in old.keys() & new.keys() if old[named][0] != new[named][0]]
        missing = [named for named in missing if not await self._is_there(named, self._new_home(named[1]))]
        return Difference(tuple(sorted(missing)), tuple(sorted(extra)), tuple(sorted(retyped)))

    async def _names(self, suspects: Collection[tuple[int, int]], *, is_old: bool) -> dict[Named, tuple[str, Keyspace]]:
        """A stray counts as old where the owner of its slot lacks it."""
        spaces = (
            [(each.keys, each.slots) for each in self.sources]
            if is_old
            else [(keys, slots) for _, slots, keys in self.owners]
        )
        found: dict[Named, tuple[str, Keyspace]] = {}
        strays: dict[Named, tuple[str, Keyspace]] = {}
        for keys, slots in spaces:
            for database in {database for database, _ in suspects}:
                async for batch in keys.walk(database):
                    for key, kind in batch:
                        slot = key_slot(key)
                        if (database, slot) in suspects:
                            (found if slot in slots else strays).setdefault((database, key), (kind, keys))
        return strays | found

    def _new_home(self, key: bytes) -> Keyspace:
        return next(keys for _, slots, keys in self.owners if key_slot(key) in slots)

    async def _is_there(self, named: Named, keys: Keyspace) -> bool:
        return bool(await keys.call(named[0], "EXISTS", named[1]))


async def _count(keys: Keyspace) -> Count:
    count: Count = Counter()
    for database in await keys.databases():
        async for batch in keys.walk(database):
            for key, kind in batch:
                count[database, key_slot(key), kind] += 1
    return count


async def _batch_size(keys: Keyspace) -> int:
    """Keys that make about 8 MiB together."""
    total = count_keys(await keys.info("keyspace"))
    memory = await keys.info("memory")
    size = int(memory.get("used_memory_dataset", 0)) / max(1, total)
    return max(1, min(_MOST_KEYS, int(_MOST_BYTES / max(1.0, size))))


async def _are_equal(one: Source, other: Source, named: Named) -> bool:
    database, key = named
    mine, theirs = await one.keys.call(database, "DUMP", key), await other.keys.call(database, "DUMP", key)
    return mine is None or mine == theirs


async def _together(works: Sequence[Awaitable[Value]]) -> list[Value]:
    """All side by side; the first error when all have ended, so that nothing goes on behind it."""
    done = await asyncio.gather(*works, return_exceptions=True)
    failed = next((each for each in done if isinstance(each, BaseException)), None)
    if failed is not None:
        raise failed
    return [each for each in done if not isinstance(each, BaseException)]


def _not_taken(owner: Address, keys: Sequence[bytes], error: ReplyError | NodeUnreachableError) -> ServerError:
    shown = ", ".join(repr(key)[1:60] for key in keys[:3])
    return ServerError(
        f"{owner} does not take {len(keys)} key{'s' if len(keys) > 1 else ''}: {shown}",
        code="key-not-taken",
        where=str(owner),
        seen=str(error),
    )
