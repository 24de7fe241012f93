"""The keys of one server, whatever it owns: read, counted and walked over the connection that a pool has to it.

``keyspace.py`` asks wherever a slot is; here one node is asked, also for what is not its own. A node that imports a
slot shows the keys of it only after ASKING: that is what ``asks`` means everywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain

from slotwright.cluster.key_holders import KeyValue
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError
from slotwright.keys.key_side import ASKING, TIME, Answers, Stretch
from slotwright.keys.scan import Command, Page, Questions, texts, walk
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Argument, Connection, Reply, ReplyError
from slotwright.server.capabilities import WHICH_COMMANDS, Capabilities, capabilities_from, version_from_info
from slotwright.server.info import databases_in, parse_info
from slotwright.server.resp_out import for_each_key, request
from slotwright.server.server_time import server_time_us

_PAGE = 1000
_SLOTS_AT_ONCE = 4096
_UNKNOWN_BYTES = 64
_SILENCE_S = 10.0
_BACK: list[Command] = [("SELECT", 0)]
_BACK_BYTES = request("SELECT", 0)
_MEMORY_USAGE = ("MEMORY", "USAGE"), ("SAMPLES", 5)
"""Five elements are looked at for the size of all: with 0 it would look at every one of them."""


class NodeKeys:
    """A connection that was lost is made anew. Between two calls it is in database 0, for others that use it as well.

    Every method raises NodeUnreachableError; the connection is dropped then. Raises ReplyError where a database is
    refused: nothing was done then.
    """

    def __init__(self, address: Address, pool: ConnectionPool) -> None:
        self.address = address
        self._pool = pool
        self._capabilities: Capabilities | None = None

    async def call(self, database: int, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command in ``database``; see :meth:`slotwright.ports.Connection.call`."""
        (reply,) = await self.pipeline(database, [arguments], timeout_s=timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, database: int, commands: Sequence[Command], *, asks: bool = False, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """The replies of all, in one round trip."""
        if not commands:
            return []
        sent = [part for command in commands for part in (("ASKING",), command)] if asks else [*commands]
        try:
            connection = await self._in(database)
            replies = await connection.pipeline(sent + _BACK if database else sent, timeout_s=timeout_s)
        except NodeUnreachableError:
            await self._pool.drop(self.address)
            raise
        replies = replies[: len(sent)]
        return replies[1::2] if asks else replies

    async def ask_each(
        self, database: int, commands: Sequence[bytes], *, asks: bool = False
    ) -> list[Reply | ReplyError]:
        """As :meth:`pipeline`, for commands that are bytes already: for what goes by the million."""
        if not commands:
            return []
        data = b"".join(ASKING + command for command in commands) if asks else b"".join(commands)
        count = len(commands) * (2 if asks else 1)
        try:
            connection = await self._in(database)
            if database:
                replies = await connection.exchange(data + _BACK_BYTES, count + 1, timeout_s=_SILENCE_S)
            else:
                replies = await connection.exchange(data, count, timeout_s=_SILENCE_S)
        except NodeUnreachableError:
            await self._pool.drop(self.address)
            raise
        replies = replies[:count]
        return replies[1::2] if asks else replies

    async def info(self, section: str) -> dict[str, str]:
        """INFO of one section."""
        text = await self.call(0, "INFO", section)
        return parse_info(text.decode(errors="replace") if isinstance(text, bytes) else "")

    async def databases(self) -> tuple[int, ...]:
        """Those that hold keys; 0 always."""
        info = await self.info("keyspace")
        return tuple(sorted({0, *databases_in(info)}))

    def walk(self, database: int, questions: Questions, count: int = _PAGE) -> AsyncIterator[Page]:
        """All keys of a database with what is asked about each; see :func:`slotwright.keys.scan.walk`."""
        return walk(partial(self.pipeline, database), questions, count)

    async def kinds(self, database: int) -> AsyncIterator[list[tuple[bytes, str]]]:
        """All keys with their types, in batches; one that expires meanwhile is left out."""
        async for page in self.walk(database, _type):
            yield [(key, kind.decode()) for key, (kind,) in page.keys if isinstance(kind, bytes) and kind != b"none"]

    async def in_slot(self, slot: int, most: int, *, database: int = 0) -> list[bytes]:
        """At the most ``most`` keys of ``slot`` in one database, whoever owns it."""
        return texts(await self.call(database, "CLUSTER", "GETKEYSINSLOT", slot, most))

    async def count_in(self, slots: Iterable[int]) -> dict[int, int]:
        """Keys by slot in all databases together, whoever owns them; empty slots are left out.

        A server tells of the selected database only (Valkey 9.1, cluster.c, COUNTKEYSINSLOT; before it there is one).
        """
        wanted, total = list(slots), Counter[int]()
        for database in await self.databases():
            total.update(await self.count_in_database(database, wanted))
        return dict(total)

    async def count_in_database(self, database: int, slots: Iterable[int]) -> dict[int, int]:
        """The same for one database."""
        wanted = list(slots)
        values: dict[int, int] = {}
        for start in range(0, len(wanted), _SLOTS_AT_ONCE):
            part = wanted[start : start + _SLOTS_AT_ONCE]
            replies = await self.ask_each(database, _count_requests(tuple(part)))
            counts = zip(part, replies, strict=True)
            values |= {slot: count for slot, count in counts if count and isinstance(count, int)}
        return values

    async def present(self, keys: Sequence[bytes], *, asks: bool = False, database: int = 0) -> set[bytes]:
        """Which of ``keys`` it has."""
        replies = await self.ask_each(database, for_each_key(keys, "EXISTS"), asks=asks)
        return {key for key, reply in zip(keys, replies, strict=True) if reply == 1}

    async def sized(self, keys: Sequence[bytes], *, database: int = 0) -> list[tuple[bytes, int]]:
        """With their bytes in memory, as the server estimates them; 64 for what it doesn't tell."""
        before, after = _MEMORY_USAGE
        replies = await self.ask_each(database, for_each_key(keys, *before, after=after))
        return [(key, used_bytes(reply)) for key, reply in zip(keys, replies, strict=True)]

    async def value(self, key: bytes, *, asks: bool = False, database: int = 0) -> KeyValue | None:
        """None where the node has no such key, or sends us elsewhere for it."""
        commands: list[Command] = [("TYPE", key), ("PTTL", key), ("DUMP", key)]
        kind, ttl, dump = await self.pipeline(database, commands, asks=asks)
        if not isinstance(kind, bytes) or not isinstance(ttl, int) or not isinstance(dump, bytes):
            return None
        return KeyValue(kind.decode(errors="replace"), ttl, dump)

    async def side(self, *, asks: bool = False) -> NodeSide:
        """As one side of a comparison. Raises AnswerError."""
        if self._capabilities is None:
            info = await self.info("server")
            with reading(self.address, "INFO"):
                version = version_from_info(info)
            self._capabilities = capabilities_from(version, await self.pipeline(0, [WHICH_COMMANDS]))
        return NodeSide(self, self._capabilities, asks)

    async def _in(self, database: int) -> Connection:
        """The connection, in that database: nothing is sent before the server has said that it is."""
        connection = await self._pool.connection(self.address)
        if database:
            await connection.call("SELECT", database)
        return connection


@dataclass(frozen=True, slots=True)
class NodeSide:
    """Implements :class:`slotwright.keys.key_side.KeySide`: one node, for slots that are its own or not."""

    keys: NodeKeys
    capabilities: Capabilities
    asks: bool = False

    async def has_database(self, database: int) -> bool:
        """Only those that it has are asked for."""
        return True

    async def read(self, database: int, slots: Sequence[int], columns: Sequence[Sequence[bytes]]) -> Answers:
        """A key that the node would send us elsewhere for has that error as its reply."""
        commands = [TIME, *chain.from_iterable(columns), TIME]
        first, *result, last = await self.keys.ask_each(database, commands, asks=self.asks)
        count = len(slots)
        table = [result[at * count : (at + 1) * count] for at in range(len(columns))]
        return Answers(table, (Stretch(range(count), _ms(first), _ms(last)),))


@lru_cache(8)
def _count_requests(slots: tuple[int, ...]) -> list[bytes]:
    """A look at all slots asks every node, and each look again, the same 16384 questions."""
    return [request("CLUSTER", "COUNTKEYSINSLOT", slot) for slot in slots]


def memory_usage(key: bytes) -> Command:
    """The command that asks for a key's bytes in memory."""
    before, after = _MEMORY_USAGE
    return *before, key, *after


def used_bytes(reply: Reply | ReplyError) -> int:
    """What MEMORY USAGE said."""
    return reply if isinstance(reply, int) else _UNKNOWN_BYTES


def _type(key: bytes) -> Sequence[Command]:
    return (("TYPE", key),)


def _ms(reply: Reply | ReplyError) -> int:
    return (server_time_us(reply) or 0) // 1000
