"""Keys on two sides, by the batch: first a quick look that proves most of them equal, then a close one at the others.

The quick look reads strings, and serialisations (DUMP) of everything else where equal ones are likely; what it can't
prove equal is left to the close look, which reads everything and says what differs. Big values are never read whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

from slotwright.cluster.slots import key_slot
from slotwright.keys.compare.big_values import BigValue, unlike_in_pieces
from slotwright.keys.compare.expiries import TOLERANCE_MS, ExpiryRule, as_expiries, expiry_column, is_exact
from slotwright.keys.compare.values import READERS, Reader, Unlike, canonical, unlike
from slotwright.keys.compare.verdict import (
    ABSENT,
    NEVER,
    NONE,
    Reading,
    compare_presence,
    describe_expiry,
    expire_alike,
    is_same_dump,
)
from slotwright.keys.key_side import Answers, KeySide
from slotwright.keys.model.comparison import Aspect, Compared, KeyVerdict
from slotwright.keys.model.databases import DatabaseMap
from slotwright.keys.side_by_side import together
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.ports import Reply, ReplyError
from slotwright.server.capabilities import Capability
from slotwright.server.resp_out import for_each_key

SHORT_STRING = 16 * 1024
"""Strings up to this many bytes are read at once with others."""

BIG_BYTES, BIG_COUNT = 1024 * 1024, 5000
"""What is larger, by MEMORY USAGE or by elements, is compared in pieces."""

_SIZES: Mapping[str, Reader] = {
    kind: ((command,), ())
    for kind, command in (("list", "LLEN"), ("set", "SCARD"), ("hash", "HLEN"), ("zset", "ZCARD"), ("stream", "XLEN"))
}
_GROUP_BYTES, _GROUP_KEYS = 1024 * 1024, 500
_TRIES = 64
_SHARPENINGS = 5

Cells = list[Reply | ReplyError]


@dataclass(frozen=True, slots=True)
class Batch:
    """Keys of one database of the source, and what they are called in the target."""

    database: int
    keys: Sequence[bytes]
    slots: Sequence[int]
    target_database: int
    target_keys: Sequence[bytes]
    target_slots: Sequence[int]

    @classmethod
    def of(cls, databases: DatabaseMap, database: int, keys: Sequence[bytes]) -> Batch:
        """All ``keys`` are of ``database``."""
        slots = [key_slot(key) for key in keys]
        target_database, _ = databases.target((database, b""))
        prefix = databases.prefix(database)
        if not prefix:
            return cls(database, keys, slots, target_database, keys, slots)
        names = [prefix + key for key in keys]
        return cls(database, keys, slots, target_database, names, [key_slot(name) for name in names])

    def pick(self, indices: Sequence[int]) -> Batch:
        """Some of them, in that order."""
        if len(indices) == len(self.keys):
            return self
        keys, slots = [self.keys[at] for at in indices], [self.slots[at] for at in indices]
        if self.target_keys is self.keys:
            return Batch(self.database, keys, slots, self.target_database, keys, slots)
        names, places = [self.target_keys[at] for at in indices], [self.target_slots[at] for at in indices]
        return Batch(self.database, keys, slots, self.target_database, names, places)


@dataclass(slots=True)
class _Hits:
    """How often serialisations of a type were equal: where versions encode it otherwise, they are not worth asking."""

    tries: int = 0
    hits: int = 0

    @property
    def is_worth_it(self) -> bool:
        return self.tries < _TRIES or self.hits * 5 > self.tries

    def count(self, is_hit: bool) -> None:
        self.tries += 1
        self.hits += is_hit


@dataclass(slots=True)
class KeyPair:
    """Two sides and what leads from a name in one to the name in the other."""

    source: KeySide
    target: KeySide
    databases: DatabaseMap
    rate_limiter: RateLimiter
    expiry: ExpiryRule = ExpiryRule.INSTANT
    _hits: dict[str, _Hits] = field(default_factory=dict)

    async def look(self, batch: Batch) -> tuple[list[str], set[int]]:
        """The types in the source ("none" for what is gone), and the indices of those that were not proved equal."""
        await self.rate_limiter.before(len(batch.keys))
        kinds = await self._kinds(batch)
        if not await self.target.has_database(batch.target_database):
            return kinds, set(range(len(kinds)))
        if kinds.count("string") == len(kinds):
            return kinds, await self._odd_strings(batch)
        strings = [at for at, kind in enumerate(kinds) if kind == "string"]
        others = [at for at, kind in enumerate(kinds) if kind not in ("string", NONE)]
        odd = {at for at, kind in enumerate(kinds) if kind == NONE}
        if strings:
            odd |= {strings[at] for at in await self._odd_strings(batch.pick(strings))}
        if others:
            part = batch.pick(others)
            odd |= {others[at] for at in await self._odd_others(part, [kinds[at] for at in others])}
        return kinds, odd

    async def closely(self, batch: Batch) -> list[Compared]:
        """The verdict on each key as it is now."""
        if not batch.keys:
            return []
        await self.rate_limiter.before(len(batch.keys))
        ours, theirs = await self._readings(batch)
        await self._sharpen(self.source, (batch.database, batch.keys, batch.slots), ours)
        await self._sharpen(self.target, (batch.target_database, batch.target_keys, batch.target_slots), theirs)
        comparisons: dict[int, Compared] = {}
        open_kinds: dict[int, str] = {}
        for at, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            presence = compare_presence(mine, other)
            if presence is not None:
                kind = mine.type if mine.is_there else other.type
                comparisons[at] = self._compared(batch, at, kind, *presence)
            elif mine.type != other.type:
                text = f"a {mine.type}, a {other.type} in the target"
                comparisons[at] = self._compared(batch, at, mine.type, KeyVerdict.DIFFERENT, (Aspect.TYPE,), text)
            else:
                open_kinds[at] = mine.type
        unlikes = await self._values(batch, open_kinds)
        for at, kind in open_kinds.items():
            comparisons[at] = self._judge(batch, at, kind, (ours[at], theirs[at]), unlikes.get(at))
        return [comparisons[at] for at in range(len(batch.keys))]

    def _judge(
        self, batch: Batch, at: int, kind: str, readings: tuple[Reading, Reading], difference: Unlike | None
    ) -> Compared:
        aspects: tuple[Aspect, ...] = ()
        fields: list[str] = []
        is_open = False
        if difference is not None:
            is_open = not difference.aspects
            aspects, fields = difference.aspects, [difference.words]
        if not expire_alike(*readings):
            aspects += (Aspect.EXPIRY,)
            fields.append(describe_expiry(*readings))
        if aspects:
            return self._compared(batch, at, kind, KeyVerdict.DIFFERENT, aspects, "; ".join(fields))
        return self._compared(batch, at, kind, KeyVerdict.NOT_COMPARABLE if is_open else KeyVerdict.EQUAL)

    def _compared(
        self,
        batch: Batch,
        at: int,
        kind: str,
        verdict: KeyVerdict,
        aspects: tuple[Aspect, ...] = (),
        text: str = "",
    ) -> Compared:
        named = (batch.database, batch.keys[at])
        return Compared(named, batch.target_slots[at], kind, verdict, aspects, text)

    async def _kinds(self, batch: Batch) -> list[str]:
        answers = await self.source.read(batch.database, batch.slots, [for_each_key(batch.keys, "TYPE")])
        self.rate_limiter.held(answers.longest_ms)
        return _as_kinds(answers.columns[0])

    async def _readings(self, batch: Batch) -> tuple[list[Reading], list[Reading]]:
        """Type and expiry on both sides."""
        if await self.target.has_database(batch.target_database):
            ours, theirs = await self._both(
                batch, lambda side, keys: [for_each_key(keys, "TYPE"), self._expiry(side, keys)]
            )
            return _as_readings(self.source, ours, self.expiry), _as_readings(self.target, theirs, self.expiry)
        columns = [for_each_key(batch.keys, "TYPE"), self._expiry(self.source, batch.keys)]
        answers = await self.source.read(batch.database, batch.slots, columns)
        mine = _as_readings(self.source, answers, self.expiry)
        return mine, [Reading(NONE, ABSENT, reading.now_ms) for reading in mine]

    async def _sharpen(
        self, side: KeySide, names: tuple[int, Sequence[bytes], Sequence[int]], readings: list[Reading]
    ) -> None:
        """Where it took the server long to tell when keys expire, each is asked about alone, for a narrower answer."""
        if self.expiry is ExpiryRule.TIME_LEFT:
            return
        database, keys, slots = names
        for at, reading in enumerate(readings):
            for _ in range(_SHARPENINGS):
                if reading.slack_ms <= TOLERANCE_MS or reading.expires_ms < 0:
                    break
                again = await side.read(database, [slots[at]], [self._expiry(side, [keys[at]])])
                (values,) = as_expiries(side, again, 0, self.expiry)
                if values.expires_ms >= 0 and values.slack_ms < reading.slack_ms:
                    reading = replace(reading, expires_ms=values.expires_ms, slack_ms=values.slack_ms)
            readings[at] = reading

    async def _both(
        self, batch: Batch, columns: Callable[[KeySide, Sequence[bytes]], Sequence[Sequence[bytes]]]
    ) -> tuple[Answers, Answers]:
        """The same commands on both sides, at the same time."""
        ours = columns(self.source, batch.keys)
        is_shared = batch.target_keys is batch.keys and is_exact(self.source, self.expiry) == is_exact(
            self.target, self.expiry
        )
        theirs = ours if is_shared else columns(self.target, batch.target_keys)
        one, other = await together(
            [
                self.source.read(batch.database, batch.slots, ours),
                self.target.read(batch.target_database, batch.target_slots, theirs),
            ]
        )
        self.rate_limiter.held(one.longest_ms)
        return one, other

    def _expiry(self, side: KeySide, keys: Sequence[bytes]) -> list[bytes]:
        return expiry_column(side, keys, self.expiry)

    async def _odd_strings(self, batch: Batch) -> set[int]:
        ours, theirs = await self._both(batch, lambda side, keys: [_start(keys), self._expiry(side, keys)])
        values, others = ours.columns[0], theirs.columns[0]
        odd = self._odd_expiries(ours, theirs, 1)
        if values != others:
            odd |= {at for at, value in enumerate(values) if value != others[at]}
        if set(map(type, values)) != {bytes} or max(map(len, cast("list[bytes]", values))) > SHORT_STRING:
            odd |= {at for at, value in enumerate(values) if isinstance(value, ReplyError)}
            long = [at for at, value in enumerate(values) if _length(value) > SHORT_STRING and at not in odd]
            differ = await self._in_pieces(batch, dict.fromkeys(long, "string"))
            odd |= differ.keys()
        return odd

    async def _odd_others(self, batch: Batch, kinds: Sequence[str]) -> set[int]:
        """Those that are no strings."""
        ours, theirs = await self._both(batch, lambda side, keys: [self._expiry(side, keys)])
        odd = self._odd_expiries(ours, theirs, 0)
        left = {at: kind for at, kind in enumerate(kinds) if at not in odd}
        return odd | (await self._values(batch, left)).keys()

    def _odd_expiries(self, ours: Answers, theirs: Answers, column: int) -> set[int]:
        """Indices where they are not the same, or the key is on no side. Where one side's clock had to be read around
        them, everything that expires within more than :data:`TOLERANCE_MS` is left to the close look."""
        mine, other = ours.columns[column], theirs.columns[column]
        if is_exact(self.source, self.expiry) and is_exact(self.target, self.expiry):
            if mine == other and ABSENT not in mine:
                return set()
            return {at for at, value in enumerate(mine) if value != other[at] or value == ABSENT}
        if mine == other and set(mine) == {NEVER}:
            return set()
        one = as_expiries(self.source, ours, column, self.expiry)
        two = as_expiries(self.target, theirs, column, self.expiry)
        return {
            at
            for at, (a, b) in enumerate(zip(one, two, strict=True))
            if not expire_alike(a, b) or a.expires_ms == ABSENT or a.slack_ms + b.slack_ms > TOLERANCE_MS
        }

    async def _values(self, batch: Batch, kinds: Mapping[int, str]) -> dict[int, Unlike]:
        """How the values of those keys differ; only of those that do."""
        differences: dict[int, Unlike] = {}
        strings = [at for at, kind in kinds.items() if kind == "string"]
        if strings:
            differences |= await self._unlike_strings(batch, strings)
        collections = {at: kind for at, kind in kinds.items() if kind in READERS}
        if collections:
            differences |= await self._unlike_collections(batch, collections)
        others = [at for at, kind in kinds.items() if kind != "string" and kind not in READERS]
        if others:
            differences |= dict.fromkeys(await self._unlike_dumps(batch, others), _NO_READER)
        return differences

    async def _unlike_strings(self, batch: Batch, indices: Sequence[int]) -> dict[int, Unlike]:
        part = batch.pick(indices)
        ours, theirs = await self._both(part, lambda side, keys: [_start(keys)])
        differences: dict[int, Unlike] = {}
        long: dict[int, str] = {}
        for at, mine, other in zip(indices, ours.columns[0], theirs.columns[0], strict=True):
            if _length(mine) > SHORT_STRING or _length(other) > SHORT_STRING:
                long[at] = "string"
            elif mine != other or isinstance(mine, ReplyError):
                differences[at] = Unlike((Aspect.VALUE,), _describe_strings(mine, other))
        return differences | await self._in_pieces(batch, long)

    async def _unlike_collections(self, batch: Batch, kinds: Mapping[int, str]) -> dict[int, Unlike]:
        """Their sizes tell which are big."""
        part = batch.pick(list(kinds))
        sizes = await self.source.read(
            part.database,
            part.slots,
            [
                _by_kind(part.keys, kinds.values(), _SIZES),
                for_each_key(part.keys, "MEMORY", "USAGE", after=("SAMPLES", 3)),
            ],
        )
        self.rate_limiter.held(sizes.longest_ms)
        counts, memory = (dict(zip(kinds, map(_count, column), strict=True)) for column in sizes.columns)
        big = {at: kind for at, kind in kinds.items() if counts[at] > BIG_COUNT or memory[at] > BIG_BYTES}
        differences = await self._in_pieces(batch, big, memory)
        for group in _groups([at for at in kinds if at not in big], memory):
            differences |= await self._unlike_small(batch, {at: kinds[at] for at in group})
        return differences

    async def _unlike_small(self, batch: Batch, kinds: Mapping[int, str]) -> dict[int, Unlike]:
        """By serialisation where that is worth it, and by value where it proves nothing."""
        dumped = [at for at, kind in kinds.items() if self._hits.setdefault(kind, _Hits()).is_worth_it]
        dirty_keys = set(await self._unlike_dumps(batch, dumped)) if dumped else set()
        for at in dumped:
            self._hits[kinds[at]].count(at not in dirty_keys)
        left = {at: kind for at, kind in kinds.items() if at in dirty_keys or at not in dumped}
        if not left:
            return {}
        ours, theirs = await self._both(
            batch.pick(list(left)), lambda side, keys: [_by_kind(keys, left.values(), READERS)]
        )
        differences: dict[int, Unlike] = {}
        hashes: dict[int, tuple[bytes, ...]] = {}
        for (at, kind), mine, other in zip(left.items(), ours.columns[0], theirs.columns[0], strict=True):
            if kind != "hash" and mine == other and isinstance(mine, list):
                continue
            value = canonical(kind, mine)
            difference = unlike(value, canonical(kind, other))
            if difference is not None:
                differences[at] = difference
            elif isinstance(value, dict) and value:
                hashes[at] = tuple(value)
        return differences | await self._unlike_fields(batch, hashes)

    async def _unlike_dumps(self, batch: Batch, indices: Sequence[int]) -> list[int]:
        """Those whose serialisations don't prove them equal."""
        ours, theirs = await self._both(batch.pick(indices), lambda side, keys: [for_each_key(keys, "DUMP")])
        left = []
        for at, mine, other in zip(indices, ours.columns[0], theirs.columns[0], strict=True):
            if not (isinstance(mine, bytes) and isinstance(other, bytes) and is_same_dump(mine, other)):
                left.append(at)
        return left

    async def _unlike_fields(self, batch: Batch, hashes: Mapping[int, tuple[bytes, ...]]) -> dict[int, Unlike]:
        """When fields expire; on a server that doesn't know such a thing, never."""
        sides = [side for side in (self.source, self.target) if side.capabilities.has(Capability.FIELD_EXPIRY)]
        if not sides or not hashes:
            return {}
        part = batch.pick(list(hashes))
        names = list(hashes.values())
        times: list[list[object]] = []
        for side in (self.source, self.target):
            if side not in sides:
                times.append([[NEVER] * len(name) for name in names])
                continue
            is_source = side is self.source
            keys, slots = (part.keys, part.slots) if is_source else (part.target_keys, part.target_slots)
            commands = [
                for_each_key([key], "HPEXPIRETIME", after=("FIELDS", len(fields), *fields))[0]
                for key, fields in zip(keys, names, strict=True)
            ]
            database = part.database if is_source else part.target_database
            times.append(list((await side.read(database, slots, [commands])).columns[0]))
        return {
            at: Unlike((Aspect.FIELD_EXPIRY,), _describe_fields(fields, mine, other))
            for (at, fields), mine, other in zip(hashes.items(), *times, strict=True)
            if mine != other or isinstance(mine, ReplyError)
        }

    async def _in_pieces(
        self, batch: Batch, kinds: Mapping[int, str], memory: Mapping[int, int] | None = None
    ) -> dict[int, Unlike]:
        """One after the other."""
        differences: dict[int, Unlike] = {}
        for at, kind in kinds.items():
            key = BigValue(
                kind,
                (batch.database, batch.keys[at], batch.slots[at]),
                (batch.target_database, batch.target_keys[at], batch.target_slots[at]),
                (memory or {}).get(at, 0),
            )
            difference = await unlike_in_pieces(self.source, self.target, key, self.rate_limiter)
            if difference is not None:
                differences[at] = difference
        return differences


_NO_READER = Unlike((), "its type can't be read, and its serialisations differ")
"""Without an aspect: it can't be said that they differ."""


def _start(keys: Sequence[bytes]) -> list[bytes]:
    """One byte more than a short string has."""
    return for_each_key(keys, "GETRANGE", after=(0, SHORT_STRING))


def _by_kind(keys: Sequence[bytes], kinds: Iterable[str], readers: Mapping[str, Reader]) -> list[bytes]:
    """A command for each key that suits its type."""
    column = [b""] * len(keys)
    by_kind: dict[str, list[int]] = {}
    for at, kind in enumerate(kinds):
        by_kind.setdefault(kind, []).append(at)
    for kind, indices in by_kind.items():
        before, after = readers[kind]
        for at, command in zip(indices, for_each_key([keys[at] for at in indices], *before, after=after), strict=True):
            column[at] = command
    return column


def _as_kinds(replies: Cells) -> list[str]:
    if replies.count(b"string") == len(replies):
        return ["string"] * len(replies)
    known = {reply: reply.decode(errors="replace") for reply in set(_bytes_of(replies))}
    return [known.get(reply, NONE) if isinstance(reply, bytes) else NONE for reply in replies]


def _bytes_of(replies: Cells) -> Iterator[bytes]:
    return (reply for reply in replies if isinstance(reply, bytes))


def _as_readings(side: KeySide, answers: Answers, rule: ExpiryRule) -> list[Reading]:
    """Of a column of types and one of expiries."""
    kinds = _as_kinds(answers.columns[0])
    result = []
    for kind, reading in zip(kinds, as_expiries(side, answers, 1, rule), strict=True):
        # A key that went away between the two is not there.
        is_there = kind != NONE and reading.expires_ms != ABSENT
        result.append(Reading(kind if is_there else NONE, reading.expires_ms, reading.now_ms, reading.slack_ms))
    return result


def _groups(indices: Sequence[int], memory: Mapping[int, int]) -> Iterator[list[int]]:
    """So many that they are not too much at once."""
    group: list[int] = []
    size = 0
    for at in indices:
        if group and (size + memory[at] > _GROUP_BYTES or len(group) >= _GROUP_KEYS):
            yield group
            group, size = [], 0
        group.append(at)
        size += memory[at]
    if group:
        yield group


def _length(reply: Reply | ReplyError) -> int:
    return 0 if isinstance(reply, ReplyError) or not isinstance(reply, bytes) else len(reply)


def _count(reply: Reply | ReplyError) -> int:
    return reply if isinstance(reply, int) else 0


def _describe_strings(mine: Reply | ReplyError, other: Reply | ReplyError) -> str:
    if not isinstance(mine, bytes) or not isinstance(other, bytes):
        return "it can't be read on both sides"
    if len(mine) != len(other):
        return f"{len(mine)} bytes, {len(other)} in the target"
    at = next((at for at, (a, b) in enumerate(zip(mine, other, strict=True)) if a != b), 0)
    return f"byte {at} of {len(mine)} is another"


def _describe_fields(fields: Sequence[bytes], mine: object, other: object) -> str:
    if isinstance(mine, list) and isinstance(other, list):
        for name, ours, theirs in zip(fields, mine, other, strict=False):
            if ours != theirs:
                one, two = Reading(NONE, _count(ours), 0), Reading(NONE, _count(theirs), 0)
                return f"field {repr(name)[2:-1]} {describe_expiry(one, two)}"
    return "fields expire at other times"
