"""A connection to a server, over redis-py's asyncio transport.

Only the transport is used: connecting, logging in and packing. Commands are sent as we give them and replies come
back as the server gave them, read by hiredis; redis-py's own retries and reply callbacks stay out of it (a retry would
send a mutation twice, and its CLUSTER NODES parser merges nodes that share an address).

Nothing that answers is believed to be a server: what it may say is bounded in size and time, before it is parsed, and a
reply that is not of the command's form is refused here, once for all who ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, cast

import hiredis
import redis.exceptions as wire_errors
from redis.asyncio.connection import Connection as WireConnection
from redis.asyncio.connection import DefaultParser
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from slotwright.adapters.servers.tls_probe import Opener, told_with_tls
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import AnswerError, AuthenticationError, NodeUnreachableError, ServerError
from slotwright.ports import Argument, Connection, Reply, ReplyError
from slotwright.server.answer_bounds import AnswerBounds, ExcessError
from slotwright.server.error_words import MAXCLIENTS_WORDS
from slotwright.server.reply_shapes import command_name, misfit, tells_of_itself

ANSWER_TIMEOUT_S = 5.0

MOST_ANSWER_BYTES = 8 * 1024 * 1024
"""What a server may say of itself and its cluster at once. CLUSTER NODES of 1000 nodes has some 200 KB; of what has
more, reading alone would hold up the looks at the others."""

_MOST_ANSWER_ELEMENTS = 1_000_000
"""COMMAND has some 20,000; CLUSTER SLOTS, with every slot for itself and three nodes a shard, 350,000."""

_MOST_VALUE_BYTES = 1024 * 1024 * 1024
"""One value, twice what a server lets a client write at once (proto-max-bulk-len)."""

_MOST_VALUE_ELEMENTS = 100_000_000

_MOST_LOGIN_BYTES = 64 * 1024
_MOST_LOGIN_ELEMENTS = 16

_KINDS = frozenset((bytes, int, type(None), list, ReplyError))
"""What hiredis makes of RESP 2; it knows RESP 3 as well."""

_CHUNK_BYTES = 256 * 1024
_NO_MORE = object()

Replies = list[Reply | ReplyError]


class _UnfitError(wire_errors.InvalidResponse):
    """RESP, and no answer to what was asked."""


class _GuardedReader:
    """A stream's reading side whose bytes are judged before anybody sees them; ``bounds`` None: they are not."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader
        self.bounds: AnswerBounds | None = AnswerBounds(_MOST_LOGIN_BYTES, _MOST_LOGIN_ELEMENTS)

    async def read(self, most_bytes: int = -1) -> bytes:
        """As of the stream. Raises InvalidResponse for what is too much, or no RESP 2."""
        data = await self._reader.read(most_bytes)
        if self.bounds is not None:
            try:
                self.bounds.feed(data)
            except ValueError as error:
                speaks = self.bounds.has_begun or isinstance(error, ExcessError)
                raise (_UnfitError if speaks else wire_errors.InvalidResponse)(str(error)) from error
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


class _Parser(DefaultParser):  # type: ignore[misc, valid-type]
    """redis-py's, for servers that announce anything: its MOVED and ASK take the address apart, and raise ValueError
    where it is none (exceptions.AskError)."""

    @classmethod
    def parse_error(cls, response: str) -> Exception:
        """An error reply is one, whatever its text."""
        try:
            return cast("Exception", super().parse_error(response))
        except ValueError:
            return wire_errors.ResponseError(response)


class RespConnection:
    """Implements :class:`slotwright.ports.Connection`."""

    def __init__(self, address: Address, wire: _Transport, *, has_answered: bool = False) -> None:
        self._address = address
        self._wire = wire
        self._opener = wire.opener
        self._has_answered = has_answered
        self._turn = asyncio.Lock()
        self._is_closed = False
        self._is_queued = False

    @property
    def address(self) -> Address:
        """What was dialled."""
        return self._address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command, one reply."""
        (reply,) = await self.pipeline([arguments], timeout_s=timeout_s)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None) -> Replies:
        """All commands in one write, all replies in order; the first within ``timeout_s``, all within
        :data:`ANSWER_TIMEOUT_S` more."""
        first_s = timeout_s or ANSWER_TIMEOUT_S
        is_of_itself = all(tells_of_itself(command) for command in commands)
        most_bytes = MOST_ANSWER_BYTES if is_of_itself else _MOST_VALUE_BYTES * len(commands)
        most_elements = _MOST_ANSWER_ELEMENTS if is_of_itself else _MOST_VALUE_ELEMENTS

        async def talk() -> Replies:
            request = b"".join(self._wire.pack_commands(cast("Any", commands)))
            bounds = AnswerBounds(most_bytes, most_elements)
            async with asyncio.timeout(first_s) as patience:
                deadline = asyncio.get_running_loop().time() + first_s + ANSWER_TIMEOUT_S
                replies: Replies = []
                async for more in self._answers(request, len(commands), bounds):
                    if more:
                        replies += more
                        patience.reschedule(deadline)
            return self._checked(commands, replies)

        return await self._in_turn(talk, timeout_s)

    async def exchange(self, request: bytes, replies: int, *, timeout_s: float | None = None) -> Replies:
        """All in one write; ``timeout_s`` is the longest silence. What is asked for are values: each is bounded."""
        silence_s = timeout_s or ANSWER_TIMEOUT_S

        async def talk() -> Replies:
            now = asyncio.get_running_loop().time
            result: Replies = []
            async with asyncio.timeout(silence_s) as patience:
                async for more in self._answers(request, replies, None):
                    result += more
                    patience.reschedule(now() + silence_s)
            return result

        return await self._in_turn(talk, timeout_s)

    async def close(self) -> None:
        """Hang up without waiting for anybody. The transport would dial again by itself; this connection won't."""
        self._is_closed = True
        await self._wire.disconnect(nowait=True)

    async def _answers(self, request: bytes, count: int, bounds: AnswerBounds | None) -> AsyncIterator[Replies]:
        """What came of ``count`` replies with each read. hiredis parses all that has come at once."""
        reader, writer = self._wire.streams()
        reader.bounds = bounds
        parser = hiredis.Reader(wire_errors.InvalidResponse, ReplyError, notEnoughData=_NO_MORE)
        writer.write(request)
        missing, unread = count, 0
        while missing > 0:
            data = await reader.read(_CHUNK_BYTES)
            if not data:
                raise ConnectionResetError("it hung up")
            self._has_answered |= bounds is not None and bounds.has_begun
            parser.feed(data)
            more: Replies = list(iter(parser.gets, _NO_MORE))
            missing, unread = missing - len(more), 0 if more else unread + len(data)
            if unread > _MOST_VALUE_BYTES or not _KINDS.issuperset(map(type, more)):
                raise wire_errors.InvalidResponse("too much, or no RESP 2")
            self._has_answered |= bool(more)
            yield more
        if missing < 0 or parser.has_data():
            raise _UnfitError("it says more than it was asked")

    def _checked(self, commands: Sequence[Sequence[Argument]], replies: Replies) -> Replies:
        """The replies, if each has the form of its command's. Errors are given who said them, and to what."""
        for command, reply in zip(commands, replies, strict=True):
            name = command_name(command)
            if isinstance(reply, ReplyError):
                reply.where, reply.command = str(self._address), name
            elif not self._is_queued and (wrong := misfit(command, reply)):
                raise _UnfitError(wrong)
            # Between MULTI and EXEC everything is answered with QUEUED, in later calls as well.
            self._is_queued = name == "MULTI" or (self._is_queued and name not in ("EXEC", "DISCARD"))
        return replies

    async def _in_turn(self, talk: Callable[[], Awaitable[Replies]], timeout_s: float | None) -> Replies:
        """One dialogue after the other. What failed leaves the connection closed: nobody knows what is still to
        come."""
        async with self._turn:
            where = str(self._address)
            if self._is_closed:
                raise NodeUnreachableError(f"the connection to {where} is closed", code="closed", where=where)
            try:
                return await talk()
            except asyncio.CancelledError:
                # The rest of the replies would be taken for those of the next one.
                self._is_closed = True
                await self._wire.disconnect(nowait=True)
                raise
            except TimeoutError as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{where} did not answer within {timeout_s or ANSWER_TIMEOUT_S:g} s", code="timeout", where=where
                ) from error
            except (wire_errors.InvalidResponse, MemoryError) as error:
                await self.close()
                raise await self._or_tls(self._unreadable(error)) from error
            except (wire_errors.ConnectionError, OSError) as error:
                await self.close()
                raise await self._or_tls(
                    NodeUnreachableError(f"{where} closed the connection", code="closed", where=where, seen=str(error))
                ) from error

    async def _or_tls(self, error: NodeUnreachableError) -> NodeUnreachableError:
        """Who has answered before speaks plainly."""
        if self._has_answered:
            return error
        return await told_with_tls(self._opener, error, self._address, ANSWER_TIMEOUT_S)

    def _unreadable(self, error: Exception) -> NodeUnreachableError:
        """Who has answered before speaks the protocol; who never did may be anything that listens."""
        where, text = str(self._address), str(error) or type(error).__name__
        if self._has_answered or isinstance(error, _UnfitError | MemoryError):
            return AnswerError(f"{where} gives answers that can't be read", where=where, seen=text)
        what = f"{where} does not speak the protocol of Redis"
        return NodeUnreachableError(what, code="not-a-server", where=where, seen=text)


class _Transport(WireConnection):
    """redis-py's connection, over streams that somebody else opens where there is an ``opener``; what it reads is
    guarded, the answer to its login as well."""

    def __init__(self, opener: Opener | None, address: Address, **options: Any) -> None:
        super().__init__(**options)
        self.opener = opener
        self._goal = address

    def streams(self) -> tuple[_GuardedReader, asyncio.StreamWriter]:
        """What it reads from and writes to, once it is connected."""
        assert self._writer is not None
        return cast("_GuardedReader", self._reader), self._writer

    async def _connect(self) -> None:
        if self.opener is None:
            await super()._connect()  # type: ignore[no-untyped-call]
        else:
            self._reader, self._writer = await self.opener(self._goal)
        self._reader = cast("asyncio.StreamReader", _GuardedReader(cast("asyncio.StreamReader", self._reader)))


class RespDialer:
    """Implements :class:`slotwright.ports.Dialer`; ``password`` None sends no AUTH, ``opener`` None goes straight."""

    def __init__(self, password: Secret | None, username: str = "", opener: Opener | None = None) -> None:
        self._password = password
        self._username = username
        self._opener = opener

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        """Connect, log in, and make sure that a server of ours speaks."""
        options: dict[str, Any] = {
            "host": address.host,
            "port": address.port,
            "password": self._password.reveal() if self._password else None,
            "username": self._username or None,
            "protocol": 2,
            # A password of any bytes, as the environment and files give it.
            "encoding_errors": "surrogateescape",
            "socket_connect_timeout": timeout_s,
            "socket_timeout": None,
            "retry": Retry(NoBackoff(), 0),
            "driver_info": None,
            "parser_class": _Parser,
        }
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    wire = await self._connect(address, options)
                except wire_errors.ConnectionError as error:
                    # A server that dies just now resets who comes; the next one is told plainly.
                    if not _has_cause(error, ConnectionResetError):
                        raise
                    wire = await self._connect(address, options)
        except (wire_errors.RedisError, OSError, TimeoutError, ValueError) as error:
            failure = dial_error(address, error, timeout_s)
            if isinstance(failure, NodeUnreachableError) and _hung_up(error, failure.code):
                failure = await told_with_tls(self._opener, failure, address, timeout_s)
            raise failure from error
        return RespConnection(address, wire, has_answered=self._password is not None)

    async def _connect(self, address: Address, options: dict[str, Any]) -> _Transport:
        wire = _Transport(self._opener, address, **options)
        try:
            await wire.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await wire.disconnect(nowait=True)
            raise
        return wire


def _hung_up(error: Exception, code: str) -> bool:
    """Whether somebody took the connection, and then not what was said."""
    is_gone = code == "unreachable" and isinstance(error, wire_errors.ConnectionError)
    return code == "not-a-server" or (
        is_gone and (not _has_cause(error, OSError) or _has_cause(error, ConnectionResetError))
    )


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def dial_error(address: Address, error: Exception, timeout_s: float) -> ServerError:
    """What dialling raises in place of ``error``; also for other transports than this one."""
    where, text = str(address), str(error)
    if isinstance(error, (TimeoutError, wire_errors.TimeoutError)):
        what, code = f"{where} did not answer within {timeout_s:g} s", "timeout"
    elif isinstance(error, wire_errors.BusyLoadingError):
        what, code = f"{where} is still loading its data", "loading"
    elif isinstance(error, wire_errors.AuthenticationError) or "AUTH" in text or "WRONGPASS" in text:
        return AuthenticationError(f"{where} refuses our password", where=where, seen=text)
    elif MAXCLIENTS_WORDS in text:
        what, code = f"{where} lets nobody in: its limit of clients (maxclients) is reached", "maxclients"
    elif _has_cause(error, ConnectionRefusedError):
        what, code = f"nothing listens on {where}", "refused"
    elif isinstance(error, (wire_errors.ConnectionError, OSError)):
        what, code = f"{where} can't be reached", "unreachable"
    else:
        what, code = f"{where} does not speak the protocol of Redis", "not-a-server"
    return NodeUnreachableError(what, code=code, where=where, seen=text)
