"""A big value on two sides, compared piece by piece: neither our memory nor the source's other clients feel its size.

What has an order (strings, lists, sorted sets by rank, streams) is read in the same windows on both sides. Of sets and
hashes the source is scanned, and the target asked for what was found; where both then have the same number, nothing can
be in the target alone.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from slotwright.keys.compare.values import Group, Unlike, by_name, entries, group, scored, stream, unlike, unlike_groups
from slotwright.keys.key_side import KeySide
from slotwright.keys.model.comparison import Aspect
from slotwright.keys.scan import scan, texts
from slotwright.keys.side_by_side import together
from slotwright.keys.throttle.rate_limiter import RateLimiter
from slotwright.ports import Argument, Reply, ReplyError
from slotwright.server.capabilities import Capability
from slotwright.server.resp_out import request

PIECE_BYTES = 256 * 1024
"""About what one piece has."""

MOST_IN_PIECE = 1000

Place = tuple[int, bytes, int]
"""Database, key, slot."""


@dataclass(frozen=True, slots=True)
class BigValue:
    """Where it is on both sides; ``used_bytes`` of the source, 0 where that is not known."""

    kind: str
    source: Place
    target: Place
    used_bytes: int = 0


async def unlike_in_pieces(source: KeySide, target: KeySide, key: BigValue, rate_limiter: RateLimiter) -> Unlike | None:
    """How the values differ, None where they don't. A key that is gone or of another type meanwhile differs."""
    work = _Pieces(_End(source, key.source), _End(target, key.target), rate_limiter, key.used_bytes)
    try:
        match key.kind:
            case "string":
                return await work.strings()
            case "list":
                return await work.lists()
            case "zset":
                return await work.zsets()
            case "set":
                return await work.sets()
            case "hash":
                return await work.hashes()
            case _:
                return await work.streams()
    except ReplyError as error:
        return _value(f"it can't be read on both sides ({error.code})")


@dataclass(slots=True)
class _End:
    """The key on one side."""

    side: KeySide
    place: Place
    held_ms: int = 0

    async def tell(self, *arguments: Argument, after: Sequence[Argument] = ()) -> Reply:
        """``words KEY after``; raises ReplyError."""
        database, key, slot = self.place
        answers = await self.side.read(database, [slot], [[request(*arguments, key, *after)]])
        self.held_ms = answers.longest_ms
        reply = answers.columns[0][0]
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def number(self, *arguments: Argument) -> int:
        reply = await self.tell(*arguments)
        return reply if isinstance(reply, int) else 0

    async def rows(self, *arguments: Argument, after: Sequence[Argument] = ()) -> list[Reply]:
        reply = await self.tell(*arguments, after=after)
        return reply if isinstance(reply, list) else []

    async def scan(self, command: str, window: _Window) -> AsyncIterator[list[bytes]]:
        """All elements, in the pieces that the server makes of it."""
        async for results in scan(lambda cursor: self.tell(command, after=(cursor, "COUNT", window.size))):
            window.saw(results)
            if results:
                yield results


@dataclass(slots=True)
class _Window:
    """How many elements a piece has, so that it is about :data:`PIECE_BYTES` large."""

    size: int

    @classmethod
    def of(cls, used_bytes: int, elements: int) -> _Window:
        candidate = used_bytes / max(1, elements)
        return cls(max(1, min(MOST_IN_PIECE, int(PIECE_BYTES / candidate) if candidate else MOST_IN_PIECE)))

    def saw(self, texts: Sequence[bytes]) -> None:
        size = sum(map(len, texts))
        if size > 2 * PIECE_BYTES:
            self.size = max(1, self.size // 2)
        elif size < PIECE_BYTES // 2:
            self.size = min(MOST_IN_PIECE, self.size * 2)


@dataclass(slots=True)
class _Pieces:
    one: _End
    other: _End
    rate_limiter: RateLimiter
    used_bytes: int

    async def strings(self) -> Unlike | None:
        length, difference = await self._counts("STRLEN", "bytes")
        if difference is not None:
            return difference
        for start in range(0, length, PIECE_BYTES):
            mine, theirs = await self._both("GETRANGE", after=(start, start + PIECE_BYTES - 1))
            if mine != theirs:
                return _value(f"bytes from {start} on of {length} are others")
        return None

    async def lists(self) -> Unlike | None:
        return await self._in_order("LLEN", "LRANGE", ())

    async def zsets(self) -> Unlike | None:
        return await self._in_order("ZCARD", "ZRANGE", ("WITHSCORES",))

    async def sets(self) -> Unlike | None:
        length, difference = await self._counts("SCARD", "members")
        if difference is not None:
            return difference
        async for members in self.one.scan("SSCAN", self._window(length)):
            await self._breathe()
            if not all(await self.other.rows("SMISMEMBER", after=members)):
                return _value("a member is only in the source")
        return None

    async def hashes(self) -> Unlike | None:
        length, difference = await self._counts("HLEN", "fields")
        can_expire = [end for end in (self.one, self.other) if end.side.capabilities.has(Capability.FIELD_EXPIRY)]
        if difference is not None and not can_expire:
            return difference
        async for row in self.one.scan("HSCAN", self._window(length)):
            await self._breathe()
            names, values = row[::2], row[1::2]
            if await self.other.rows("HMGET", after=names) != values:
                return _value("a field is missing in the target, or has another value")
            if can_expire and await self._expiries(self.one, names) != await self._expiries(self.other, names):
                return Unlike((Aspect.FIELD_EXPIRY,), "fields expire at other times")
        return await self._nothing_more() if difference is not None else None

    async def _nothing_more(self) -> Unlike | None:
        """Where fields expire, a count has those in it that are not taken away yet: so the target is scanned, too."""
        async for row in self.other.scan("HSCAN", _Window(MOST_IN_PIECE)):
            await self._breathe()
            if None in await self.one.rows("HMGET", after=row[::2]):
                return _value("a field is only in the target")
        return None

    async def _expiries(self, end: _End, names: Sequence[bytes]) -> list[Reply]:
        if not end.side.capabilities.has(Capability.FIELD_EXPIRY):
            return [-1] * len(names)
        return await end.rows("HPEXPIRETIME", after=("FIELDS", len(names), *names))

    async def streams(self) -> Unlike | None:
        length, difference = await self._counts("XLEN", "entries")
        if difference is not None:
            return difference
        heads = [stream(await end.rows("XINFO", "STREAM")) for end in (self.one, self.other)]
        # Without FULL, "groups" is their number, and there are no entries: only what is kept of the whole is compared.
        plain = [replace(head, entries=(), groups={}) for head in heads]
        difference = unlike(plain[0], plain[1])
        if difference is not None:
            return difference
        window, start = self._window(length), "-"
        while True:
            mine, theirs = await self._both("XRANGE", after=(start, "+", "COUNT", window.size))
            rows = entries(mine if isinstance(mine, list) else [])
            if mine != theirs:
                return _value(f"entries from {start} on are others")
            if not rows:
                return await self._groups()
            window.saw([text for _, texts in rows for text in texts])
            start = f"({rows[-1][0].decode()}"

    async def _groups(self) -> Unlike | None:
        mine, theirs = [await self._groups_of(end) for end in (self.one, self.other)]
        text = unlike_groups(mine, theirs)
        if text is None:
            for name in mine:
                text = text or await self._pending(name)
        return Unlike((Aspect.GROUPS,), text) if text else None

    async def _groups_of(self, end: _End) -> dict[bytes, Group]:
        """Without what is pending: that may be long."""
        values = {}
        for row in await end.rows("XINFO", "GROUPS"):
            if isinstance(row, list):
                label = by_name(row).get("name")
                assert isinstance(label, bytes)
                name, facts = group(row, await end.tell("XINFO", "CONSUMERS", after=(label,)), [])
                values[name] = facts
        return values

    async def _pending(self, name: bytes) -> str | None:
        start = "-"
        while True:
            after = (name, start, "+", MOST_IN_PIECE)
            mine, theirs = await self._both("XPENDING", after=after)
            one, two = (group([], [], rows if isinstance(rows, list) else [])[1].pending for rows in (mine, theirs))
            if one != two:
                return f"group {repr(name)[2:-1]}: other pending entries"
            if not one:
                return None
            start = f"({one[-1][0].decode()}"

    async def _in_order(self, count: str, command: str, more: Sequence[Argument]) -> Unlike | None:
        length, difference = await self._counts(count, "elements")
        if difference is not None:
            return difference
        window, start = self._window(length), 0
        while start < length:
            size = window.size
            mine, theirs = await self._both(command, after=(start, start + size - 1, *more))
            if mine != theirs and (not more or _scored(mine) != _scored(theirs)):
                return _value(f"elements from {start} on of {length} are others")
            window.saw(texts(mine))
            start += size
        return None

    async def _counts(self, command: str, what: str) -> tuple[int, Unlike | None]:
        mine, theirs = await together([self.one.number(command), self.other.number(command)])
        return mine, None if mine == theirs else _value(f"{mine} {what}, {theirs} in the target")

    async def _both(self, *arguments: Argument, after: Sequence[Argument] = ()) -> tuple[Reply, Reply]:
        mine, theirs = await together(
            [self.one.tell(*arguments, after=after), self.other.tell(*arguments, after=after)]
        )
        await self._breathe()
        return mine, theirs

    async def _breathe(self) -> None:
        """Others come in between, and we are held back as for any other batch."""
        self.rate_limiter.noted(self.one.held_ms)
        await self.rate_limiter.before(1)

    def _window(self, elements: int) -> _Window:
        return _Window.of(self.used_bytes, elements)


def _value(text: str) -> Unlike:
    return Unlike((Aspect.VALUE,), text)


def _scored(reply: Reply) -> object:
    return scored(reply) if isinstance(reply, list) else None
