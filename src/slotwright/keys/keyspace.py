"""One side of a comparison: its keys by database, however many servers hold them.

A stand-alone server is one that has all slots. In a cluster each key is asked for where its slot is; when that changes
(MOVED, a failover), the map is learnt anew and only what was not answered is asked again. Everything here only reads.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import chain
from operator import itemgetter
from types import TracebackType
from typing import Any, TypeVar

from slotwright.cluster.observation import Role, ServerVersion
from slotwright.cluster.slots import SLOT_COUNT
from slotwright.cluster.topology import Address
from slotwright.errors import AnswerError, AuthenticationError, NodeUnreachableError, ServerError
from slotwright.keys.key_side import ASKING, TIME, Answers, Stretch
from slotwright.keys.model.comparison import SideFacts
from slotwright.keys.scan import scan
from slotwright.keys.side_by_side import together
from slotwright.nodes.answers import reading
from slotwright.ports import Clock, Connection, Dialer, Reply, ReplyError
from slotwright.server.addresses import parse_redirect
from slotwright.server.capabilities import (
    WHICH_COMMANDS,
    Capabilities,
    Capability,
    capabilities_from,
    version_from_info,
)
from slotwright.server.cluster_nodes import parse_cluster_nodes
from slotwright.server.info import keys_by_database, parse_info
from slotwright.server.integers import integer_in
from slotwright.server.resp_out import request
from slotwright.server.server_time import server_time_us

PATIENCE_S = 30.0
"""How long a side may be without an owner of a slot, or not answer, before that is an error: longer than a failover."""

LINES = 4
"""Connections to each server at the most."""

_SILENCE_S = 10.0
_PASSING = frozenset({"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN", "LOADING", "MASTERDOWN", "BUSY"})

Value = TypeVar("Value")


class _Lines:
    """Up to :data:`LINES` connections to one server, each used by one at a time."""

    def __init__(self) -> None:
        self.room = asyncio.Semaphore(LINES)
        self.free: list[tuple[Connection, int]] = []


class KeyspaceReader:
    """An async context manager. ``name`` is for people, ``seeds`` are servers to ask first."""

    def __init__(self, name: str, dialer: Dialer, seeds: Sequence[Address], clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self._dialer = dialer
        self._seeds = tuple(seeds)
        self._lines: dict[tuple[Address, bool], _Lines] = {}
        self._owners: list[Address | None] = []
        self._numbers: list[int] = []
        self._servers: tuple[Address, ...] = ()
        self._known: tuple[Address, ...] = tuple(seeds)
        self._learning = asyncio.Lock()
        self._learnt_at = float("-inf")
        self._capabilities: Capabilities | None = None
        self._databases: dict[int, bool] = {0: True}
        self._away: set[Address] = set()
        self._trouble = ""
        self.is_cluster = False

    async def __aenter__(self) -> KeyspaceReader:
        """Raises what dialling raises, and AuthenticationError."""
        try:
            await self._learn()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up."""
        lines = [connection for line in self._lines.values() for connection, _ in line.free]
        self._lines.clear()
        await asyncio.gather(*(connection.close() for connection in lines))

    @property
    def capabilities(self) -> Capabilities:
        """Of the server that was asked first."""
        assert self._capabilities is not None
        return self._capabilities

    @property
    def version(self) -> ServerVersion:
        """Of the server that was asked first."""
        return self.capabilities.version

    @property
    def servers(self) -> tuple[Address, ...]:
        """Those that hold keys: the primaries of a cluster, or the one server."""
        return self._servers

    @property
    def owners(self) -> tuple[Address | None, ...]:
        """Who has each slot, as far as is known."""
        return tuple(self._owners)

    async def facts(self) -> SideFacts:
        """Who this is, and how many keys there are. Where a server loses its slots meanwhile, all are asked again."""
        while True:
            servers = self.servers
            try:
                return SideFacts(self.name, self.version, servers, self.is_cluster, await self._counts(servers))
            except NodeUnreachableError:
                if {*servers} <= {*self.servers}:
                    raise

    async def _counts(self, servers: Sequence[Address]) -> dict[int, int]:
        keys: dict[int, int] = {}
        for server in servers:
            info = await self.info(server, "keyspace")
            with reading(server, "INFO"):
                for database, count in keys_by_database(info).items():
                    keys[database] = keys.get(database, 0) + count
        return dict(sorted(keys.items()))

    async def info(self, server: Address, section: str) -> dict[str, str]:
        """INFO of one section; waits for a server that is away, as long as it has slots."""
        (text,) = await self.patiently(lambda: self.ask(server, 0, request("INFO", section), 1), server)
        if isinstance(text, ReplyError):
            raise refused(server, text)
        return parse_info(text.decode(errors="replace") if isinstance(text, bytes) else "")

    async def has_database(self, database: int) -> bool:
        """Whether there is such a database: in a cluster only where there are several (Valkey 9)."""
        if database not in self._databases:
            try:
                await self.patiently(lambda: self.ask(self.servers[0], database, TIME, 1))
                self._databases[database] = True
            except ReplyError:
                self._databases[database] = False
        return self._databases[database]

    async def ask(
        self, server: Address, database: int, data: bytes, replies: int, *, is_apart: bool = False
    ) -> list[Reply | ReplyError]:
        """``replies`` replies of ``server`` to the commands in ``data``. ``is_apart``: on a connection that no other
        work has to wait for.

        Raises NodeUnreachableError, also for one that loads its data, and ReplyError where there is no such database.
        """
        try:
            async with self._line(server, database, is_apart) as connection:
                result = await connection.exchange(data, replies, timeout_s=_SILENCE_S)
            _demand_loaded(server, result)
        except NodeUnreachableError as error:
            self._away.add(server)
            self._trouble = error.what
            raise
        self._away.discard(server)
        return result

    async def scan(
        self, server: Address, database: int, count: Callable[[], int] = lambda: 1000, *, needs_owner: bool = False
    ) -> AsyncIterator[list[bytes]]:
        """The keys of one server by name; waits for it while it is away. ``count``: about how many the next page shall
        have.

        ``needs_owner``: raises NodeUnreachableError as soon as it has lost its slots, too: a cursor means nothing to
        the server that has them now.
        """
        owner = server if needs_owner else None

        async def ask(cursor: bytes) -> Reply:
            data = request("SCAN", cursor, "COUNT", count())
            (reply,) = await self.patiently(partial(self.ask, server, database, data, 1), owner)
            if isinstance(reply, ReplyError):
                raise refused(server, reply)
            return reply

        async for keys in scan(ask):
            yield keys

    async def time(self, server: Address) -> Reply | ReplyError:
        """TIME, on a connection that no other work has to wait for: see ``throttle/probes.py``."""
        (reply,) = await self.ask(server, 0, TIME, 1, is_apart=True)
        return reply

    async def read(self, database: int, slots: Sequence[int], columns: Sequence[Sequence[bytes]]) -> Answers:
        """Each column is a command for every key, whose slots are ``slots``. A command that was not answered is asked
        again, as reads may be.

        Raises ServerError where a server refuses to tell, or where nobody has a slot for :data:`PATIENCE_S`.
        """
        if not self.is_cluster:
            return await self._read_all(database, len(slots), columns)
        table: list[list[Reply | ReplyError]] = [[None] * len(slots) for _ in columns]
        stretches: list[Stretch] = []
        left: Sequence[int] = range(len(slots))
        deadline = self.clock.now() + PATIENCE_S
        while True:
            parts, lost = self._by_owner(left, slots)
            results = await together(
                [self._read_part(database, server, part, columns, table) for server, part in parts]
            )
            stretches += [stretch for stretch, _ in results if stretch is not None]
            again = sorted({*lost, *chain.from_iterable(missed for _, missed in results)})
            if not again:
                return Answers(table, tuple(stretches))
            if self.clock.now() > deadline:
                owner = self._owners[slots[again[0]]]
                raise ServerError(
                    f"nobody of {self.name} answers for slot {slots[again[0]]}",
                    code="slot-unserved",
                    where=str(owner) if owner else self.name,
                    seen=self._trouble,
                    hint="slotwright check tells why",
                )
            await self.clock.sleep(0.05)
            await self._learn_again()
            left = again

    async def patiently(self, work: Callable[[], Coroutine[Any, Any, Value]], server: Address | None = None) -> Value:
        """``work``, tried again while its server is away, for :data:`PATIENCE_S`, or until ``server`` has no slot."""
        deadline = self.clock.now() + PATIENCE_S
        while True:
            try:
                return await work()
            except NodeUnreachableError:
                if self.clock.now() > deadline or (server is not None and server not in self.servers):
                    raise
                await self.clock.sleep(0.1)
                await self._learn_again()

    async def refresh(self) -> None:
        """Learn anew who has which slots."""
        await self.patiently(self._learn)

    async def _read_all(self, database: int, count: int, columns: Sequence[Sequence[bytes]]) -> Answers:
        data = b"".join((TIME, *chain.from_iterable(columns), TIME))
        expected = count * len(columns) + 2
        deadline = self.clock.now() + PATIENCE_S
        while True:
            server = self.servers[0]
            replies = await self.patiently(partial(self.ask, server, database, data, expected))
            passing = _fault(server, replies)
            if passing is None:
                break
            if self.clock.now() > deadline:
                raise refused(server, passing)
            await self.clock.sleep(0.1)
        table = [replies[1 + at * count : 1 + (at + 1) * count] for at in range(len(columns))]
        return Answers(table, (Stretch(range(count), _ms(replies[0]), _ms(replies[-1])),))

    def _by_owner(self, left: Iterable[int], slots: Sequence[int]) -> tuple[list[tuple[Address, list[int]]], list[int]]:
        """Which of them each server is asked for, and those that nobody has."""
        numbers, servers = self._numbers, self._servers
        parts: list[list[int]] = [[] for _ in range(len(servers) + 1)]
        for index in left:
            parts[numbers[slots[index]]].append(index)
        lost = parts.pop()
        return [(server, part) for server, part in zip(servers, parts, strict=True) if part], lost

    async def _read_part(
        self,
        database: int,
        server: Address,
        part: list[int],
        columns: Sequence[Sequence[bytes]],
        table: list[list[Reply | ReplyError]],
    ) -> tuple[Stretch | None, list[int]]:
        """Fills ``table``; returns the indices that have to be asked for elsewhere or later."""
        chosen = itemgetter(*part) if len(part) > 1 else lambda column: (column[part[0]],)
        data = b"".join((TIME, *chain.from_iterable(map(chosen, columns)), TIME))
        try:
            replies = await self.ask(server, database, data, len(part) * len(columns) + 2)
        except NodeUnreachableError:
            return None, part
        answers = iter(replies[1:-1])
        stretch = Stretch(part, _ms(replies[0]), _ms(replies[-1]))
        # zip takes the index first: no reply is lost at its end.
        if _fault(server, replies) is None:
            for column in table:
                for index, reply in zip(part, answers, strict=False):
                    column[index] = reply
            return stretch, []
        missed: set[int] = set()
        for at, reply in enumerate(replies[1:-1]):
            if isinstance(reply, ReplyError) and reply.code in _PASSING:
                index = part[at % len(part)]
                if reply.code != "ASK" or not await self._read_asking(database, server, index, reply, columns, table):
                    missed.add(index)
                self._take_hint(server, reply)
        for column in table:
            for index, reply in zip(part, answers, strict=False):
                if not (isinstance(reply, ReplyError) and reply.code in _PASSING):
                    column[index] = reply
        return stretch, sorted(missed)

    async def _read_asking(
        self,
        database: int,
        server: Address,
        index: int,
        error: ReplyError,
        columns: Sequence[Sequence[bytes]],
        table: list[list[Reply | ReplyError]],
    ) -> bool:
        """A key whose slot is on its way, and that has arrived already: asked for where the slot goes."""
        goal = parse_redirect(str(error), server)
        if goal is None:
            return False
        data = b"".join(ASKING + column[index] for column in columns)
        try:
            replies = (await self.ask(goal, database, data, 2 * len(columns)))[1::2]
        except NodeUnreachableError:
            return False
        if any(isinstance(reply, ReplyError) and reply.code in _PASSING for reply in replies):
            return False
        for column, reply in zip(table, replies, strict=True):
            column[index] = reply
        return True

    def _take_hint(self, server: Address, error: ReplyError) -> None:
        """MOVED says who has the slot now."""
        arguments = str(error).split()
        goal = parse_redirect(str(error), server)
        slot = integer_in(arguments[1]) if goal is not None else None
        if error.code == "MOVED" and goal is not None and slot is not None and 0 <= slot < SLOT_COUNT:
            owners = list(self._owners)
            owners[slot] = goal
            self._own(owners)

    @asynccontextmanager
    async def _line(self, server: Address, database: int, is_apart: bool) -> AsyncIterator[Connection]:
        lines = self._lines.setdefault((server, is_apart), _Lines())
        async with lines.room:
            connection, selected = lines.free.pop() if lines.free else (await self._dial(server), 0)
            try:
                if selected != database:
                    (answer,) = await connection.pipeline([("SELECT", database)])
                    _demand_loaded(server, [answer])
                    if isinstance(answer, ReplyError):
                        raise answer
                    selected = database
                yield connection
            except BaseException as error:
                if isinstance(error, ReplyError):
                    lines.free.append((connection, selected))
                else:
                    await connection.close()
                raise
            lines.free.append((connection, selected))

    async def _dial(self, server: Address) -> Connection:
        connection = await self._dialer.dial(server, timeout_s=5.0)
        if self._capabilities is not None and self._capabilities.has(Capability.NO_TOUCH):
            # What is read for us must not look used to an eviction.
            await connection.pipeline([("CLIENT", "NO-TOUCH", "ON")])
        return connection

    async def _learn_again(self) -> None:
        """At most some times a second, however many ask for it; who can't be asked is passed over."""
        async with self._learning:
            if self.clock.now() - self._learnt_at < 0.2:
                return
            try:
                await self._learn()
            except NodeUnreachableError:
                self._learnt_at = self.clock.now()

    async def _learn(self) -> None:
        """Who has which slots, from the first server that answers. Raises the last error where none does."""
        failure: ServerError | None = None
        questions = () if self._capabilities is not None else (WHICH_COMMANDS,)
        data = b"".join(request(*question) for question in (("INFO", "server"), ("CLUSTER", "NODES"), *questions))
        for server in sorted(dict.fromkeys((*self.servers, *self._known, *self._seeds)), key=self._away.__contains__):
            try:
                info, nodes, *answers = await self.ask(server, 0, data, 2 + len(questions))
            except AuthenticationError:
                raise
            except ServerError as error:
                failure = error
                continue
            if isinstance(info, ReplyError):
                if info.code in _PASSING:
                    failure = NodeUnreachableError(f"{server} is not ready", code="loading", seen=str(info))
                    continue
                raise refused(server, info)
            if not isinstance(info, bytes) or not isinstance(nodes, bytes | ReplyError):
                raise AnswerError(f"{server} answers INFO or CLUSTER NODES without a text", where=str(server))
            with reading(server, "INFO or CLUSTER NODES"):
                facts = parse_info(info.decode(errors="replace"))
                if facts.get("redis_mode") == "cluster" and isinstance(nodes, ReplyError):
                    raise refused(server, nodes)
                if self._capabilities is None:
                    self._capabilities = capabilities_from(version_from_info(facts), answers)
                self._take(server, nodes)
            self._learnt_at = self.clock.now()
            return
        assert failure is not None
        raise failure

    def _take(self, server: Address, nodes: Reply | ReplyError) -> None:
        self.is_cluster = isinstance(nodes, bytes)
        if not isinstance(nodes, bytes):
            self._own([server] * SLOT_COUNT)
            return
        peers = parse_cluster_nodes(nodes.decode(errors="replace"), server)
        owners: list[Address | None] = [None] * SLOT_COUNT
        for peer in peers:
            if peer.role is Role.PRIMARY:
                if peer.slots and peer.address is None and peer.address_fault:
                    self._trouble = f"who has it announces no address: {peer.address_fault}"
                for slot in peer.slots:
                    owners[slot] = server if "myself" in peer.flags else peer.address
        self._own(owners)
        self._known = tuple(peer.address for peer in peers if peer.address is not None)

    def _own(self, owners: list[Address | None]) -> None:
        self._owners = owners
        self._servers = tuple(dict.fromkeys(owner for owner in owners if owner is not None))
        numbers: dict[Address | None, int] = {server: number for number, server in enumerate(self._servers)}
        # The last of the parts that keys are put into is for slots without an owner.
        self._numbers = [numbers.get(owner, -1) for owner in owners]


def refused(server: Address, error: ReplyError) -> ServerError:
    """An error reply that no waiting mends."""
    where = str(server)
    if error.code in ("NOAUTH", "WRONGPASS"):
        return AuthenticationError(f"{where} wants a password", where=where, seen=str(error))
    if error.code == "NOPERM":
        return ServerError(
            f"the user that we are on {where} may not read everything",
            code="not-permitted",
            where=where,
            seen=str(error),
            hint="allow it ~* +@read +@keyspace +@connection +info +cluster (ACL SETUSER), or name another user",
        )
    return ServerError(f"{where} refuses to tell", code="refused-reply", where=where, seen=str(error))


def _demand_loaded(server: Address, replies: Sequence[Reply | ReplyError]) -> None:
    """Raise NodeUnreachableError where a server says nothing but that it loads its data: it comes back."""
    if replies and all(isinstance(reply, ReplyError) and reply.code == "LOADING" for reply in replies):
        raise NodeUnreachableError(f"{server} loads its data", code="loading", where=str(server), seen=str(replies[0]))


def _fault(server: Address, replies: Sequence[Reply | ReplyError]) -> ReplyError | None:
    """An error that passes; raises for one that says that we may not read."""
    if ReplyError not in map(type, replies):
        return None
    passing = None
    for reply in replies:
        if isinstance(reply, ReplyError):
            if reply.code in ("NOPERM", "NOAUTH"):
                raise refused(server, reply)
            if reply.code in _PASSING:
                passing = reply
    return passing


def _ms(reply: Reply | ReplyError) -> int:
    return (server_time_us(reply) or 0) // 1000
