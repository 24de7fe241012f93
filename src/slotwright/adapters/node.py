"""A connection to a server, over redis-py's asyncio transport.

Only the transport is used: connecting, the RESP parser and packing. Commands are sent as we give them and replies come
back as the server gave them; redis-py's own retries and reply callbacks stay out of it (a retry would send a mutation
twice, and its CLUSTER NODES parser merges nodes that share an address).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

import hiredis
import redis.exceptions as wire_errors
from redis.asyncio.connection import Connection as WireConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.model.secret import Secret
from slotwright.model.topology import Address
from slotwright.ports import Argument, Connection, Reply, ReplyError

ANSWER_TIMEOUT_S = 5.0

_CHUNK_BYTES = 256 * 1024
_NO_MORE = object()


class RespConnection:
    """Implements :class:`slotwright.ports.Connection`."""

    def __init__(self, address: Address, wire: WireConnection) -> None:
        self._address = address
        self._wire = wire
        self._turn = asyncio.Lock()
        self._is_closed = False

    @property
    def address(self) -> Address:
        """What was dialled."""
        return self._address

    async def call(self, *arguments: Argument, timeout_s: float | None = None) -> Reply:
        """One command, one reply."""
        (reply,) = await self._exchange([arguments], timeout_s or ANSWER_TIMEOUT_S)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    async def pipeline(
        self, commands: Sequence[Sequence[Argument]], *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """All commands in one write, all replies in order; the first within ``timeout_s``."""
        return await self._exchange(commands, timeout_s or ANSWER_TIMEOUT_S)

    async def exchange(
        self, request: bytes, replies: int, *, timeout_s: float | None = None
    ) -> list[Reply | ReplyError]:
        """All in one write. The replies are parsed in C, all that have come at once: redis-py awaits each one."""
        return await self._in_turn(lambda: self._flow(request, replies, timeout_s or ANSWER_TIMEOUT_S), timeout_s)

    async def close(self) -> None:
        """Hang up without waiting for anybody. The transport would dial again by itself; this connection won't."""
        self._is_closed = True
        await self._wire.disconnect(nowait=True)

    async def _exchange(self, commands: Sequence[Sequence[Argument]], timeout_s: float) -> list[Reply | ReplyError]:
        async def talk() -> list[Reply | ReplyError]:
            async with asyncio.timeout(timeout_s) as patience:
                await self._wire.send_packed_command(self._packed(commands), check_health=False)
                replies = [await self._read()]
                if len(commands) > 1:
                    patience.reschedule(asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S)
                    replies += [await self._read() for _ in commands[1:]]
                return replies

        return await self._in_turn(talk, timeout_s)

    async def _flow(self, request: bytes, replies: int, timeout_s: float) -> list[Reply | ReplyError]:
        reader, writer = self._wire._reader, self._wire._writer
        assert reader is not None
        assert writer is not None
        now = asyncio.get_running_loop().time
        parser = hiredis.Reader(wire_errors.InvalidResponse, ReplyError, notEnoughData=_NO_MORE)
        found: list[Reply | ReplyError] = []
        async with asyncio.timeout(timeout_s) as patience:
            writer.write(request)
            while len(found) < replies:
                data = await reader.read(_CHUNK_BYTES)
                if not data:
                    raise ConnectionResetError("it hung up")
                patience.reschedule(now() + timeout_s)
                parser.feed(data)
                found.extend(iter(parser.gets, _NO_MORE))
        return found

    async def _in_turn(
        self, talk: Callable[[], Awaitable[list[Reply | ReplyError]]], timeout_s: float | None
    ) -> list[Reply | ReplyError]:
        """One dialogue after the other. What failed leaves the connection closed: nobody knows what is still to
        come."""
        async with self._turn:
            if self._is_closed:
                raise NodeUnreachableError(
                    f"the connection to {self._address} is closed", code="closed", where=str(self._address)
                )
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
                    f"{self._address} did not answer within {timeout_s or ANSWER_TIMEOUT_S:g} s",
                    code="timeout",
                    where=str(self._address),
                ) from error
            except wire_errors.InvalidResponse as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{self._address} does not speak the protocol of Redis",
                    code="not-a-server",
                    where=str(self._address),
                    seen=str(error),
                ) from error
            except (wire_errors.ConnectionError, OSError) as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{self._address} closed the connection",
                    code="closed",
                    where=str(self._address),
                    seen=str(error),
                ) from error

    def _packed(self, commands: Sequence[Sequence[Argument]]) -> list[bytes]:
        return self._wire.pack_commands(cast("Any", commands))

    async def _read(self) -> Reply | ReplyError:
        try:
            return cast("Reply", await self._wire.read_response(disconnect_on_error=False))
        except wire_errors.InvalidResponse:
            raise
        except wire_errors.RedisError as error:
            # To redis-py some error replies are connection errors, though the server said them on a sound connection.
            if error.status_code is None and not isinstance(error, wire_errors.ResponseError):
                raise
            return ReplyError(_error_line(error))


def _error_line(error: wire_errors.RedisError) -> str:
    """The server's whole line: redis-py takes the first word off where it has a class for it."""
    return f"{error.status_code} {error}" if error.status_code else str(error)


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]

Opener = Callable[[Address], Awaitable[Streams]]
"""Another way to an address than straight there; raises OSError as a plain connection would."""


class _DetouredConnection(WireConnection):
    """The same transport over streams that somebody else opens."""

    def __init__(self, opener: Opener, address: Address, **options: Any) -> None:
        super().__init__(**options)
        self._opener = opener
        self._goal = address

    async def _connect(self) -> None:
        self._reader, self._writer = await self._opener(self._goal)


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
            raise dial_error(address, error, timeout_s) from error
        return RespConnection(address, wire)

    async def _connect(self, address: Address, options: dict[str, Any]) -> WireConnection:
        opener = self._opener
        wire = WireConnection(**options) if opener is None else _DetouredConnection(opener, address, **options)
        try:
            await wire.connect()  # type: ignore[no-untyped-call]
        except BaseException:
            await wire.disconnect(nowait=True)
            raise
        return wire


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
    elif _has_cause(error, ConnectionRefusedError):
        what, code = f"nothing listens on {where}", "refused"
    elif isinstance(error, (wire_errors.ConnectionError, OSError)):
        what, code = f"{where} can't be reached", "unreachable"
    else:
        what, code = f"{where} does not speak the protocol of Redis", "not-a-server"
    return NodeUnreachableError(what, code=code, where=where, seen=text)
