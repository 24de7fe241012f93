"""The source's side of a migration: to the source we are one more replica.

So it forks a snapshot and sends it, then every later change from exactly that offset, and all of it costs the source
what one replica costs. What is sent to it is PSYNC and acknowledgements, nothing else (replication.c, 6.2 to 9.1).
"""

from __future__ import annotations

from dataclasses import dataclass

from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.model.topology import Address
from slotwright.ports import ByteStream, StreamDialer
from slotwright.wire.replication import Continued, FullSync, Preamble, parse_preamble, parse_psync_reply, replconf

_MOST_LINE = 1024


@dataclass(frozen=True, slots=True)
class Attached:
    """The source took us. ``is_full``: a snapshot comes first, taken at ``offset``; otherwise the stream goes on after
    ``offset``."""

    replication_id: str
    offset: int
    is_full: bool


class ReplicaLink:
    """One attachment to one source. Reads are as they come; nothing is kept here but what a line needs."""

    def __init__(self, streams: StreamDialer, address: Address) -> None:
        self.address = address
        self._streams = streams
        self._stream: ByteStream | None = None
        self._rest = b""

    async def attach(self, replication_id: str = "?", offset: int = -1, *, timeout_s: float = 5.0) -> Attached:
        """Ask for the stream after ``offset`` of that history, or for all with a snapshot.

        Raises ServerError (``source-refuses``) where the source says no, and what dialling raises.
        """
        await self.close()
        self._stream = await self._streams.open(self.address, timeout_s=timeout_s)
        # No port to be found at, and both forms of sending a snapshot (REPLCONF capa, replication.c).
        for words in (("listening-port", "0"), ("capa", "eof", "capa", "psync2")):
            self._stream.write(replconf(*words))
            line = await self._line()
            if line.startswith(b"-"):
                raise self._refusal(line)
        after = offset + 1 if offset >= 0 else -1
        self._stream.write(b"*3\r\n$5\r\nPSYNC\r\n" + _bulk(replication_id) + _bulk(str(after)))
        line = await self._line()
        match parse_psync_reply(line):
            case FullSync(history, start):
                return Attached(history, start, is_full=True)
            case Continued(history):
                return Attached(history or replication_id, offset, is_full=False)
            case _:
                raise self._refusal(line)

    async def preamble(self) -> Preamble:
        """What announces the snapshot. It may take as long as the source needs to begin: it sends empty lines meanwhile,
        which are skipped."""
        return parse_preamble(await self._line())

    async def read(self) -> bytes:
        """What has come. Raises NodeUnreachableError (``source-lost``) when the source hung up."""
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        assert self._stream is not None
        data = await self._stream.read()
        if not data:
            raise NodeUnreachableError(
                f"{self.address} ended the replication", code="source-lost", where=str(self.address)
            )
        return data

    def acknowledge(self, offset: int) -> None:
        """Tell how far we are; the source ends links that are silent for ``repl-timeout`` (60 s)."""
        if self._stream is not None:
            self._stream.write(replconf("ACK", str(offset)))

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
        """The next line that isn't empty, without its end."""
        assert self._stream is not None
        while True:
            head, found, rest = self._rest.lstrip(b"\r\n").partition(b"\n")
            if found:
                self._rest = rest
                return head.rstrip(b"\r")
            if len(head) > _MOST_LINE:
                raise self._refusal(head[:100])
            self._rest = head
            data = await self._stream.read()
            if not data:
                raise NodeUnreachableError(
                    f"{self.address} ended the replication", code="source-lost", where=str(self.address)
                )
            self._rest += data

    def _refusal(self, line: bytes) -> ServerError:
        return ServerError(
            f"{self.address} does not take us for a replica",
            code="source-refuses",
            where=str(self.address),
            seen=line.decode(errors="replace").lstrip("-"),
            hint="the user needs the commands PSYNC and REPLCONF (ACL SETUSER name +psync +replconf)",
        )


def _bulk(text: str) -> bytes:
    data = text.encode()
    return b"$%d\r\n%b\r\n" % (len(data), data)
