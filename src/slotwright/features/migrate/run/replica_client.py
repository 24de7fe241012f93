"""The source's side of a migration: to the source we are one more replica.

So it forks a snapshot and sends it, then every later change from exactly that offset, and all of it costs the source
what one replica costs. What is sent to it is PSYNC and acknowledgements, nothing else (replication.c, 6.2 to 9.1).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.ports import ByteStream, StreamDialer
from slotwright.server.replication import (
    Continued,
    FullSync,
    NotNow,
    Refused,
    SnapshotBody,
    acknowledgement,
    greeting,
    pack,
    parse_sync_reply,
    sync_request,
    take_line,
)

SOURCE_LOST = "source-lost"
"""The code of the error when a source hangs up."""

_MOST_LINE = 1024
_SILENCE_S = 60.0
"""A source says something every 10 s (repl-ping-replica-period), and so does one that forks; a replica takes it for
dead after 60 (repl-timeout). Where the network is cut no connection ends by itself."""


@dataclass(frozen=True, slots=True)
class Attached:
    """The source took us. ``is_full``: a snapshot comes first, taken at ``offset``; otherwise the stream goes on after
    ``offset``."""

    replication_id: str
    offset: int
    is_full: bool


class ReplicaClient:
    """One attachment to one source. Reads are as they come; nothing is kept here but what a line needs."""

    def __init__(self, streams: StreamDialer, address: Address, version: ServerVersion) -> None:
        self.address = address
        self._version = ".".join(map(str, version.numbers))
        self._streams = streams
        self._stream: ByteStream | None = None
        self._rest = b""

    async def attach(self, replication_id: str = "", offset: int = 0, *, timeout_s: float = 5.0) -> Attached:
        """Ask for the stream after ``offset`` of that history, or ("") for all of it with a snapshot.

        Raises ServerError (``source-busy``, ``source-refuses``) where the source says no, and what dialling raises.
        """
        await self.close()
        self._stream = await self._streams.open(self.address, timeout_s=timeout_s)
        for command in greeting(listening_port=0):
            self._stream.write(command)
            line = await self._line()
            if line.startswith(b"-"):
                raise self._refusal(line.decode(errors="replace")[1:])
        # Valkey 9 writes a snapshot for a replica of this version; others don't know the word, and say so.
        self._stream.write(pack(b"REPLCONF", b"version", self._version.encode()))
        await self._line()
        self._stream.write(sync_request(replication_id, offset))
        match parse_sync_reply(await self._line()):
            case FullSync(history, start):
                return Attached(history, start, is_full=True)
            case Continued(history):
                return Attached(history or replication_id, offset, is_full=False)
            case NotNow(complaint):
                raise ServerError(
                    f"{self.address} can't be replicated just now",
                    code="source-busy",
                    where=str(self.address),
                    seen=complaint,
                )
            case Refused(complaint):
                raise self._refusal(complaint)

    async def snapshot(self) -> SnapshotBody:
        """What tells where the snapshot ends. It may take as long as the source needs to begin: it sends empty lines
        meanwhile."""
        line = await self._line()
        try:
            return SnapshotBody(line)
        except ValueError as error:
            raise self._refusal(line.decode(errors="replace")) from error

    async def read(self) -> bytes:
        """What has come. Raises NodeUnreachableError (``source-lost``) when the source hung up."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        return await self._more()

    def acknowledge(self, offset: int) -> None:
        """Tell how far we are; the source ends links that are silent for ``repl-timeout`` (60 s)."""
        if self._stream is not None:
            self._stream.write(acknowledgement(offset))

    def keep_alive(self) -> None:
        """What a replica says while it loads a snapshot."""
        if self._stream is not None:
            self._stream.write(b"\n")

    async def close(self) -> None:
        """Hang up; never raises."""
        if self._stream is not None:
            stream, self._stream = self._stream, None
            await stream.close()
        self._rest = b""

    async def _line(self) -> bytes:
        while True:
            line, self._rest = take_line(self._rest)
            if line is not None:
                return line
            if len(self._rest) > _MOST_LINE:
                raise self._refusal(repr(self._rest[:80]))
            self._rest += await self._more()

    async def _more(self) -> bytes:
        where, text = str(self.address), ""
        try:
            assert self._stream is not None
            async with asyncio.timeout(_SILENCE_S):
                if data := await self._stream.read():
                    return data
        except NodeUnreachableError as error:
            text = error.seen or error.what
        except TimeoutError:
            text = f"silent for {_SILENCE_S:.0f} s"
        raise NodeUnreachableError(f"{where} ended the replication", code=SOURCE_LOST, where=where, seen=text)

    def _refusal(self, complaint: str) -> ServerError:
        return ServerError(
            f"{self.address} does not take us for a replica",
            code="source-refuses",
            where=str(self.address),
            seen=complaint,
            hint="its user needs the commands PSYNC and REPLCONF: ACL SETUSER name +psync +replconf",
        )
