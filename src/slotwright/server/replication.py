"""What passes between a replica and its source: the handshake's lines, where the snapshot ends, and the stream after
it.

Everything here is text in, values out; the socket is somebody else's. The protocol is that of replication.c: the
replica says PING, REPLCONF and PSYNC; the source answers one line, then (for a full sync) a preamble and the snapshot;
from there on it sends commands for ever. While the source prepares the snapshot it sends single ``\\n`` to show that it
is alive: they stand before a line, and count for nothing.

The stream's offset counts the bytes of the commands alone, as ``master_repl_offset`` does. A source always writes
commands as arrays of bulk strings with canonical lengths (``feedReplicationBacklogWithObject``), so the length
of a command can be told from its arguments.
"""

from __future__ import annotations

from dataclasses import dataclass

import hiredis

Change = tuple[int, list[bytes]]
"""The offset at which a command of the stream ends, and its arguments (the name first, as the source's client wrote
it)."""

_MARK_BYTES = 40


class CommandStream:
    """The stream from ``offset`` on (what FULLRESYNC named, or what a continued stream had come to), cut into commands.

    However the bytes are cut when they come in, the same commands come out.
    """

    def __init__(self, offset: int) -> None:
        self._reader = hiredis.Reader()
        self._offset = offset

    @property
    def offset(self) -> int:
        """Where the last command that came out ended."""
        return self._offset

    def feed(self, data: bytes) -> list[Change]:
        """The commands that end in ``data``. Raises ValueError where it is no stream of commands."""
        self._reader.feed(data)
        gets, end = self._reader.gets, self._offset
        changes: list[Change] = []
        try:
            while (arguments := gets()) is not False:
                if not isinstance(arguments, list) or not arguments:
                    raise TypeError(f"{arguments!r:.80}")
                size = 3 + len(str(len(arguments)))
                for argument in arguments:
                    length = len(argument)
                    size += 5 + len(str(length)) + length
                end += size
                changes.append((end, arguments))
        except (hiredis.ProtocolError, TypeError) as error:
            raise ValueError(f"not a stream of commands after offset {end}: {error}") from error
        self._offset = end
        return changes


@dataclass(frozen=True, slots=True)
class FullSync:
    """A snapshot comes next, and after it the stream from ``offset`` on."""

    replication_id: str
    offset: int


@dataclass(frozen=True, slots=True)
class Continued:
    """The stream goes on where it was asked for. ``replication_id`` is the one from now on: another than before when
    the source was promoted meanwhile; "" where the source (before PSYNC2) doesn't say, and it is the same."""

    replication_id: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """The source can't at the moment (it loads, or has no link to its own primary): ask again later."""

    complaint: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The source won't: no permission, not the command, or something that isn't known."""

    complaint: str


SyncReply = FullSync | Continued | NotNow | Refused


def parse_sync_reply(line: bytes) -> SyncReply:
    """The answer to PSYNC (replication.c, slaveTryPartialResynchronization)."""
    text = line.decode(errors="replace").strip()
    fields = text.split()
    if len(fields) == 3 and fields[0] == "+FULLRESYNC" and fields[2].isdigit():
        return FullSync(fields[1], int(fields[2]))
    if fields and fields[0] == "+CONTINUE":
        return Continued(fields[1] if len(fields) > 1 else "")
    if fields and fields[0] in ("-NOMASTERLINK", "-LOADING", "-MASTERDOWN"):
        return NotNow(text[1:])
    return Refused(text.removeprefix("-"))


class SnapshotBody:
    """Where the snapshot ends: after so many bytes, or (a diskless sync) before a mark that the preamble named."""

    def __init__(self, preamble: bytes) -> None:
        """``preamble`` is a line: ``$1234`` or ``$EOF:`` and 40 bytes. Raises ValueError for anything else."""
        data = preamble.rstrip(b"\r\n")
        self._mark, self._left = b"", 0
        if data.startswith(b"$EOF:") and len(data) == 5 + _MARK_BYTES:
            self._mark = data[5:]
        elif data.startswith(b"$") and data[1:].isdigit():
            self._left = int(data[1:])
        else:
            raise ValueError(f"not the start of a snapshot: {data[:80]!r}")
        self._held = b""
        self._is_whole = not self._mark and self._left == 0

    @property
    def is_whole(self) -> bool:
        """Whether the end was seen."""
        return self._is_whole

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What of ``data`` (and what was held back of earlier data) belongs to the snapshot, and what follows it: that
        is b"" until :attr:`is_whole`, and all of ``data`` afterwards."""
        if self._is_whole:
            return b"", data
        return self._until_mark(data) if self._mark else self._counted(data)

    def _counted(self, data: bytes) -> tuple[bytes, bytes]:
        body, rest = data[: self._left], data[self._left :]
        self._left -= len(body)
        self._is_whole = self._left == 0
        return body, rest

    def _until_mark(self, data: bytes) -> tuple[bytes, bytes]:
        held = self._held + data
        end = held.find(self._mark)
        if end >= 0:
            self._held, self._is_whole = b"", True
            return held[:end], held[end + _MARK_BYTES :]
        keep = min(len(held), _MARK_BYTES - 1)
        self._held = held[len(held) - keep :]
        return held[: len(held) - keep], b""


def take_line(received: bytes) -> tuple[bytes | None, bytes]:
    """The first whole line without its end, and what follows; (None, what is there) while it is not whole.

    The ``\\n`` that a source sends to show that it is alive are left out.
    """
    received = received.lstrip(b"\n")
    line, end, rest = received.partition(b"\r\n")
    return (line, rest) if end else (None, received)


def pack(*arguments: bytes) -> bytes:
    """A command as it is sent."""
    return b"*%d\r\n" % len(arguments) + b"".join(b"$%d\r\n%b\r\n" % (len(a), a) for a in arguments)


def greeting(listening_port: int) -> tuple[bytes, ...]:
    """What a replica says before PSYNC, one command each: every one is answered by a line (``+OK``, ``+PONG``).

    ``eof`` lets the source send the snapshot without writing it to disk; ``psync2`` lets it name a new replication id.
    ``listening_port`` is what INFO and ROLE of the source show of this replica; it is not connected to.
    """
    return (
        pack(b"PING"),
        pack(b"REPLCONF", b"listening-port", b"%d" % listening_port),
        pack(b"REPLCONF", b"capa", b"eof", b"capa", b"psync2"),
    )


def sync_request(replication_id: str = "", offset: int = 0) -> bytes:
    """PSYNC: for a full sync, or to go on after ``offset`` of that history (the protocol names the next byte)."""
    if not replication_id:
        return pack(b"PSYNC", b"?", b"-1")
    return pack(b"PSYNC", replication_id.encode(), b"%d" % (offset + 1))


def acknowledgement(offset: int) -> bytes:
    """REPLCONF ACK: the stream was taken up to ``offset``. It has no answer.

    It has to be said again every second, from the end of the snapshot on. The stream of a diskless sync begins with the
    first one that comes after the source saw its own child end (replication.c, replicaStartCommandStream; an earlier
    one is not remembered), and a replica that says nothing for ``repl-timeout`` is dropped.
    """
    return pack(b"REPLCONF", b"ACK", b"%d" % offset)
