"""A connection to a server, and how it is made: log in, and make sure that a server of ours speaks.

Commands are sent as we give them and replies come back as the server gave them. Nothing is ever sent twice: a command
that timed out may have been done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from slotwright.adapters.resp import ProtocolError, RespStream
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError, SlotwrightError
from slotwright.model.secret import Secret
from slotwright.model.topology import Address
from slotwright.ports import Argument, Connection, Reply, ReplyError

ANSWER_TIMEOUT_S = 5.0


class RespConnection:
    """Implements :class:`slotwright.ports.Connection`."""

    def __init__(self, address: Address, stream: RespStream) -> None:
        self._address = address
        self._stream = stream
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

    async def close(self) -> None:
        """Hang up without waiting for anybody."""
        self._is_closed = True
        self._stream.close()

    async def _exchange(self, commands: Sequence[Sequence[Argument]], timeout_s: float) -> list[Reply | ReplyError]:
        async with self._turn:
            if self._is_closed:
                raise NodeUnreachableError(
                    f"the connection to {self._address} is closed", code="closed", where=str(self._address)
                )
            try:
                async with asyncio.timeout(timeout_s) as patience:
                    await self._stream.send(commands)
                    replies = [await self._stream.read()]
                    if len(commands) > 1:
                        patience.reschedule(asyncio.get_running_loop().time() + ANSWER_TIMEOUT_S)
                        replies += [await self._stream.read() for _ in commands[1:]]
                    return replies
            except TimeoutError as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{self._address} did not answer within {timeout_s:g} s",
                    code="timeout",
                    where=str(self._address),
                ) from error
            except ProtocolError as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{self._address} does not speak the protocol of Redis",
                    code="not-a-server",
                    where=str(self._address),
                    seen=str(error),
                ) from error
            except (EOFError, OSError) as error:
                await self.close()
                raise NodeUnreachableError(
                    f"{self._address} closed the connection",
                    code="closed",
                    where=str(self._address),
                    seen=str(error),
                ) from error


Opener = Callable[[Address], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]
"""Another way to an address than straight there; raises OSError as a plain connection would."""


async def _straight(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(address.host, address.port)


class RespDialer:
    """Implements :class:`slotwright.ports.Dialer`; ``password`` None sends no AUTH, ``opener`` None goes straight."""

    def __init__(self, password: Secret | None, username: str = "", opener: Opener | None = None) -> None:
        self._password = password
        self._username = username
        self._opener = opener or _straight

    async def dial(self, address: Address, *, timeout_s: float = 2.0) -> Connection:
        """Connect, log in, and make sure that a server of ours speaks."""
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    stream = await self._connect(address)
                except OSError as error:
                    # A server that dies just now resets who comes; the next one is told plainly.
                    if not _has_cause(error, ConnectionResetError):
                        raise
                    stream = await self._connect(address)
        except (EOFError, OSError, ProtocolError, ReplyError) as error:
            raise _dial_error(address, error, timeout_s) from error
        return RespConnection(address, stream)

    async def _connect(self, address: Address) -> RespStream:
        try:
            stream = RespStream(*await self._opener(address))
        except (SlotwrightError, ValueError) as error:
            # The way there is closed, or the host's name is none.
            raise ConnectionError(str(error)) from error
        try:
            if self._password:
                await self._log_in(stream, self._password.reveal())
        except BaseException:
            stream.close()
            raise
        return stream

    async def _log_in(self, stream: RespStream, password: str) -> None:
        reply = await _asked(stream, ("AUTH", self._username, password) if self._username else ("AUTH", password))
        if self._username and isinstance(reply, ReplyError) and "wrong number of arguments" in str(reply):
            # Before Redis 6 there were no users.
            reply = await _asked(stream, ("AUTH", password))
        if isinstance(reply, ReplyError):
            raise reply
        if reply != b"OK":
            raise ProtocolError(f"AUTH was answered by {reply!r}")


async def _asked(stream: RespStream, command: Sequence[Argument]) -> Reply | ReplyError:
    await stream.send([command])
    return await stream.read()


def _has_cause(error: BaseException | None, kind: type[BaseException]) -> bool:
    while error is not None:
        if isinstance(error, kind):
            return True
        error = error.__cause__ or error.__context__
    return False


def _dial_error(address: Address, error: Exception, timeout_s: float) -> ServerError:
    where, text = str(address), str(error)
    if isinstance(error, TimeoutError):
        what, code = f"{where} did not answer within {timeout_s:g} s", "timeout"
    elif isinstance(error, ReplyError) and error.code == "LOADING":
        what, code = f"{where} is still loading its data", "loading"
    elif isinstance(error, ReplyError) and ("AUTH" in text or "WRONGPASS" in text or "invalid password" in text):
        return AuthenticationError(f"{where} refuses our password", where=where, seen=text)
    elif _has_cause(error, ConnectionRefusedError):
        what, code = f"nothing listens on {where}", "refused"
    elif isinstance(error, (EOFError, OSError)) or "max number of clients" in text:
        what, code = f"{where} can't be reached", "unreachable"
    else:
        what, code = f"{where} does not speak the protocol of Redis", "not-a-server"
    return NodeUnreachableError(what, code=code, where=where, seen=text)
