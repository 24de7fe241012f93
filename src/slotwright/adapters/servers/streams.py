"""A connection to a server as bytes: for what goes by the million, or is no command and reply (PSYNC, MONITOR).

asyncio's own streams. Only the login is a dialogue; after it every byte is the caller's.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress

from slotwright.adapters.servers.resp import dial_error
from slotwright.adapters.servers.tls_probe import Opener
from slotwright.cluster.secret import Secret
from slotwright.cluster.topology import Address
from slotwright.errors import AuthenticationError, NodeUnreachableError, ServerError
from slotwright.ports import ByteStream

MOST_READ_BYTES = 256 * 1024
"""What one read gives at the most: as much as asyncio takes from a socket at once."""

_QUEUE_BYTES = 1024 * 1024
_SHORT_QUEUE_BYTES = 256 * 1024
_DROP_ALL = struct.pack("ii", 1, 0)
"""struct linger: on, and no time for what was not sent (socket(7))."""


class SocketStream:
    """Implements :class:`slotwright.ports.ByteStream`."""

    def __init__(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._address = address
        self._reader = reader
        self._writer = writer
        writer.transport.set_write_buffer_limits(high=_QUEUE_BYTES, low=_SHORT_QUEUE_BYTES)

    async def read(self) -> bytes:
        """What has come, at most :data:`MOST_READ_BYTES`; b"" when the other side hung up."""
        try:
            return await self._reader.read(MOST_READ_BYTES)
        except OSError as error:
            raise _hung_up(self._address, error) from error

    def write(self, data: bytes) -> None:
        """Into the queue. What is written after the other side hung up is dropped: reading tells of that."""
        # A socket drops it by itself; an SSH channel says so (asyncssh, SSHChannel.write).
        with suppress(OSError):
            self._writer.write(data)

    async def drain(self) -> None:
        """Until less than :data:`_SHORT_QUEUE_BYTES` wait, where more than :data:`_QUEUE_BYTES` did."""
        try:
            await self._writer.drain()
        except OSError as error:
            raise _hung_up(self._address, error) from error

    async def close(self) -> None:
        """Hang up at once: what is still in the queue is dropped, the system's own with it. Else a server that was cut
        off would do it minutes later, when the network is back and others have gone on."""
        with suppress(OSError, RuntimeError):
            # Of a channel through SSH it would be that of all channels.
            if isinstance(self._writer.transport, asyncio.Transport):
                straight = self._writer.get_extra_info("socket")
                straight.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _DROP_ALL)
            self._writer.transport.abort()


class SocketStreamDialer:
    """Implements :class:`slotwright.ports.StreamDialer`; ``password`` None sends no AUTH, ``opener`` None goes
    straight."""

    def __init__(self, password: Secret | None, username: str = "", opener: Opener | None = None) -> None:
        self._password = password
        self._username = username
        self._opener = opener

    async def open(self, address: Address, *, timeout_s: float = 2.0) -> ByteStream:
        """Connect, log in, and make sure that a server of ours speaks."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(timeout_s):
                reader, writer = await self._connect(address)
                await self._log_in(address, reader, writer)
                return SocketStream(address, reader, writer)
        except BaseException as error:
            if writer is not None:
                writer.transport.abort()
            if isinstance(error, EOFError):
                raise _hung_up(address, error) from error
            if isinstance(error, (OSError, asyncio.LimitOverrunError)):
                raise dial_error(address, error, timeout_s) from error
            raise

    async def _connect(self, address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._opener is not None:
            return await self._opener(address)
        return await asyncio.open_connection(address.host, address.port, limit=MOST_READ_BYTES)

    async def _log_in(self, address: Address, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """AUTH where there is a password, then PING, in one go.

        PING tells a server that wants a password, that lets nobody in, or that is none. Whoever may not PING (NOPERM),
        or is told of a full disk (MISCONF) or a lost primary (MASTERDOWN), is logged in all the same.
        """
        if self._password is not None:
            names = [self._username] if self._username else []
            writer.write(_packed("AUTH", *names, self._password.reveal()))
        writer.write(_packed("PING"))
        if self._password is not None:
            text = await _line(reader)
            if text.startswith("-"):
                raise _refusal(address, text, is_login=True)
            if text != "+OK":
                raise _no_server(address, text)
        text = await _line(reader)
        code = text.partition(" ")[0]
        if text == "+PONG" or code in ("-NOPERM", "-MISCONF", "-MASTERDOWN"):
            return
        raise _refusal(address, text, is_login=False) if text.startswith("-") else _no_server(address, text)


def _hung_up(address: Address, error: Exception) -> NodeUnreachableError:
    where = str(address)
    return NodeUnreachableError(f"{where} closed the connection", code="closed", where=where, seen=str(error))


def _packed(*arguments: str) -> bytes:
    parts = [word.encode(errors="surrogateescape") for word in arguments]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


async def _line(reader: asyncio.StreamReader) -> str:
    return (await reader.readuntil(b"\r\n"))[:-2].decode(errors="replace")


def _refusal(address: Address, text: str, *, is_login: bool) -> ServerError:
    where, line = str(address), text[1:]
    code = line.partition(" ")[0]
    if code == "LOADING":
        return NodeUnreachableError(f"{where} is still loading its data", code="loading", where=where, seen=line)
    if code == "DENIED":
        what = f"{where} is in protected mode: without a password it lets in its own machine only"
        return NodeUnreachableError(what, code="protected-mode", where=where, seen=line.partition(".")[0])
    if code == "NOAUTH":
        return AuthenticationError(f"{where} wants a password", where=where, seen=line)
    if code == "WRONGPASS" or (is_login and "AUTH" in line):
        return AuthenticationError(f"{where} refuses our password", where=where, seen=line)
    return NodeUnreachableError(f"{where} lets nobody in", code="refused", where=where, seen=line)


def _no_server(address: Address, text: str) -> ServerError:
    what = f"{address} does not speak the protocol of Redis"
    return NodeUnreachableError(what, code="not-a-server", where=str(address), seen=text[:80])
