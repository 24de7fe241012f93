"""RESP2 over asyncio streams: commands are packed and sent, replies are read, nothing else.

No client library stands in between: importing redis-py was a third of what `slotwright check` costs on a small cluster,
and what it does besides (retries, parsing, errors of its own) had to be kept out. The protocol is that of
redis.io/docs/latest/develop/reference/protocol-spec, version 2.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import cast

from slotwright.ports import Argument, Reply, ReplyError


class ProtocolError(Exception):
    """What was read is not RESP."""


class RespStream:
    """A connection. Every method may raise OSError; reading raises EOFError when the other end has hung up."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, commands: Sequence[Sequence[Argument]]) -> None:
        """All ``commands`` in one write."""
        self._writer.write(b"".join(map(packed, commands)))
        await self._writer.drain()

    async def read(self) -> Reply | ReplyError:
        """The next reply, an error reply as a value. Raises :class:`ProtocolError`."""
        line = await self._line()
        kind, text = line[:1], line[1:]
        match kind:
            case b"$":
                return await self._bulk(_number(text))
            case b"+":
                return text
            case b":":
                return _number(text)
            case b"-":
                return ReplyError(text.decode(errors="replace"))
            case b"*":
                count = _number(text)
                return None if count < 0 else [cast("Reply", await self.read()) for _ in range(count)]
        raise ProtocolError(line[:80].decode(errors="replace"))

    def close(self) -> None:
        """Hang up without waiting for anybody."""
        self._writer.close()

    async def _line(self) -> bytes:
        try:
            return (await self._reader.readuntil(b"\r\n"))[:-2]
        except asyncio.LimitOverrunError as error:
            raise ProtocolError("a line without an end") from error

    async def _bulk(self, length: int) -> bytes | None:
        if length < 0:
            return None
        return (await self._reader.readexactly(length + 2))[:-2]


def packed(command: Sequence[Argument]) -> bytes:
    """One command as the server reads it."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def _number(text: bytes) -> int:
    try:
        return int(text)
    except ValueError:
        raise ProtocolError(f"not a number: {text[:80]!r}") from None
