"""A TCP connection that starts on a remote host, as asyncio streams: how servers are reached through SSH."""

from __future__ import annotations

import asyncio
import shlex
from typing import cast

from slotwright.adapters.ssh.library import asyncssh
from slotwright.errors import HostError
from slotwright.hosts.scripts.files import read_script

_RELAY = read_script("ssh/relay.sh")


class _Feed:
    """Hands what a channel brings to the protocol that asyncio's own streams are made of."""

    def __init__(self, protocol: asyncio.StreamReaderProtocol) -> None:
        self._protocol = protocol

    def data_received(self, data: bytes, datatype: int | None = None) -> None:
        """From the server; what a relay complains of is not its."""
        if datatype is None:
            self._protocol.data_received(data)

    def eof_received(self) -> bool:
        """The server says no more; the channel ends with it."""
        self._protocol.eof_received()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Closed, by whomever. Whoever reads or writes is told in the kinds of a plain connection: what SSH itself says
        (a host that is cut off answers no keep-alive) is no OSError."""
        plain = exc is None or isinstance(exc, OSError)
        self._protocol.connection_lost(exc if plain else ConnectionResetError(str(exc)))

    def pause_writing(self) -> None:
        """The other end is slow."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        self._protocol.resume_writing()


class _Session(_Feed, asyncssh.SSHTCPSession[bytes]):
    """A forwarded connection."""

    def connection_made(self, chan: asyncssh.SSHTCPChannel[bytes]) -> None:
        """The channel is to the streams what a transport is."""
        self._protocol.connection_made(cast("asyncio.Transport", chan))


class _RelaySession(_Feed, asyncssh.SSHClientSession[bytes]):
    """A program on the host that makes the connection."""

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """The same."""
        self._protocol.connection_made(cast("asyncio.Transport", chan))


async def relay_stream(
    connection: asyncssh.SSHClientConnection, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect by a program of the host (nc, bash or python3). Whether anything listens shows only when it is used.

    Raises ConnectionError where no session can be had.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    command = shlex.join(["sh", "-c", _RELAY, "sh", host, str(port)])
    try:
        channel, _ = await connection.create_session(lambda: _RelaySession(protocol), command, encoding=None)
    except asyncssh.Error as error:
        raise ConnectionError(str(error)) from error
    return reader, asyncio.StreamWriter(cast("asyncio.Transport", channel), protocol, reader, loop)


async def open_stream(
    connection: asyncssh.SSHClientConnection, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to ``host:port`` from where the connection leads.

    Raises OSError in the kinds of a plain connection (refused, timed out, no route), and HostError
    ``ssh-forwarding-forbidden`` where the SSH server does not allow it at all.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    try:
        channel, _ = await connection.create_connection(lambda: _Session(protocol), host, port, encoding=None)
    except asyncssh.ChannelOpenError as error:
        raise _plain(error) from error
    except asyncssh.Error as error:
        raise ConnectionError(str(error)) from error
    return reader, asyncio.StreamWriter(cast("asyncio.Transport", channel), protocol, reader, loop)


def _plain(error: asyncssh.ChannelOpenError) -> Exception:
    """sshd(8) hands on the words of strerror(3) (channels.c, channel_post_connecting)."""
    if error.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED:
        return HostError("the SSH server forbids forwarding", code="ssh-forwarding-forbidden", seen=error.reason)
    reason = error.reason
    if "refused" in reason:
        return ConnectionRefusedError(reason)
    if "timed out" in reason:
        return TimeoutError(reason)
    return OSError(reason)
