"""Somebody who listens where a server ought to, and answers what a test tells: nonsense, or another's answers, changed.

Everything runs in threads of the test's own process, on loopback, and ends with the context.
"""

from __future__ import annotations

import errno
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

Talk = Callable[[socket.socket], None]
"""What is said on one connection; it is hung up afterwards."""

Words = tuple[str, ...]
"""A command in upper case, as far as it is one of ours: ``("CLUSTER", "NODES")``."""

Change = Callable[[bytes], bytes]
"""The server's whole reply -> what is answered instead of it."""


@contextmanager
def listening(host: str, port: int, talk: Talk) -> Iterator[int]:
    """Say ``talk`` to whoever comes to ``host:port`` (0: a free one, which is given). Connections that are still open
    at the end are reset."""
    door = _door(host, port)
    visitors: list[socket.socket] = []

    def attend(visitor: socket.socket) -> None:
        with suppress(OSError), visitor:
            talk(visitor)

    def open_door() -> None:
        with suppress(OSError):
            while True:
                visitor, _ = door.accept()
                visitors.append(visitor)
                threading.Thread(target=attend, args=(visitor,), daemon=True).start()

    porter = threading.Thread(target=open_door, daemon=True)
    porter.start()
    try:
        yield door.getsockname()[1]
    finally:
        # Closing alone does not wake who waits in accept(2) or recv(2).
        for each in (door, *visitors):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        door.close()
        porter.join(60)


def _door(host: str, port: int) -> socket.socket:
    """A server that was just ended, or a connection that happens to begin there, may hold the port for a moment."""
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_server((host, port), backlog=64)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


@contextmanager
def listening_on_all(places: list[tuple[str, int]], talk: Talk) -> Iterator[None]:
    """The same at several places."""
    with ExitStack() as stack:
        for host, port in places:
            stack.enter_context(listening(host, port, talk))
        yield


def says(answer: bytes, *, hangs_up: bool = False) -> Talk:
    """Answer whatever comes with ``answer``, once for each command; or once, and hang up."""

    def talk(visitor: socket.socket) -> None:
        for _ in commands(visitor):
            visitor.sendall(answer)
            if hangs_up:
                return

    return talk


def greets(banner: bytes) -> Talk:
    """Speak first, as SSH and mail servers do; then listen, and say nothing more."""

    def talk(visitor: socket.socket) -> None:
        visitor.sendall(banner)
        while visitor.recv(65536):
            pass

    return talk


def says_nothing(visitor: socket.socket) -> None:
    """Take everything, and answer nothing."""
    while visitor.recv(65536):
        pass


def never_ends(piece: bytes, head: bytes = b"") -> Talk:
    """``head``, then ``piece`` for ever, as fast as it is taken."""

    def talk(visitor: socket.socket) -> None:
        visitor.recv(65536)
        visitor.sendall(head)
        block = piece * max(1, 65536 // len(piece))
        while True:
            visitor.sendall(block)

    return talk


def hangs_up(visitor: socket.socket) -> None:
    """Take one read's worth, then reset the connection."""
    visitor.recv(1)
    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def bulk(text: str | bytes) -> bytes:
    """A text as the reply that a server gives it in."""
    data = text.encode() if isinstance(text, str) else text
    return b"$%d\r\n%b\r\n" % (len(data), data)


def pairs(*texts: str) -> bytes:
    """A list of texts, as CONFIG GET answers."""
    return b"*%d\r\n" % len(texts) + b"".join(map(bulk, texts))


@dataclass
class Answers:
    """A server that is a table: command (or its first word) -> reply. ``otherwise`` is said to all others."""

    table: Mapping[Words, bytes]
    otherwise: bytes = b"-ERR unknown command\r\n"

    def __call__(self, visitor: socket.socket) -> None:
        for words, _ in commands(visitor):
            visitor.sendall(look_up(self.table, words, self.otherwise))


@dataclass
class Relay:
    """Stands before a real server: what is in ``table`` is answered here, in ``changes`` changed on its way, and
    everything else is the server's own, the stream that its replicas are fed with as well."""

    host: str
    port: int
    table: dict[Words, bytes] = field(default_factory=dict)
    changes: dict[Words, Change] = field(default_factory=dict)

    def __call__(self, visitor: socket.socket) -> None:
        with socket.create_connection((self.host, self.port), timeout=30) as server:
            for words, request in commands(visitor):
                answer = look_up(self.table, words, None)
                if answer is None:
                    server.sendall(request)
                    if words[:1] in (("PSYNC",), ("SYNC",), ("MONITOR",)):
                        threading.Thread(target=_pass_on, args=(visitor, server), daemon=True).start()
                        _pass_on(server, visitor)
                        return
                    answer = read_reply(server)
                    change = look_up(self.changes, words, None)
                    answer = change(answer) if change is not None else answer
                visitor.sendall(answer)


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    """What has no end and no form: a server's replicas are fed on the port that its clients use."""
    with suppress(OSError):
        while data := source.recv(1 << 20):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def look_up(table: Mapping[Words, object], words: Words, otherwise: object) -> object:
    """The longest beginning of the command that is in the table."""
    for count in range(len(words), 0, -1):
        if words[:count] in table:
            return table[words[:count]]
    return otherwise


def commands(visitor: socket.socket) -> Iterator[tuple[Words, bytes]]:
    """What is asked on a connection, one command at a time, with its bytes; ends when the other side hangs up. What is
    no command is given as one without words."""
    buffer = b""
    while True:
        end = reply_end(buffer) if buffer.startswith(b"*") else len(buffer) or None
        if end is None:
            data = visitor.recv(1 << 20)
            if not data:
                return
            buffer += data
            continue
        request, buffer = buffer[:end], buffer[end:]
        yield _words(request), request


def _words(request: bytes) -> Words:
    lines = request.split(b"\r\n")
    return tuple(line.decode(errors="replace").upper() for line in lines[2::2])


def read_reply(server: socket.socket) -> bytes:
    """The bytes of one whole reply."""
    buffer = b""
    while (end := reply_end(buffer)) is None:
        data = server.recv(1 << 20)
        if not data:
            raise ConnectionResetError("the server hung up")
        buffer += data
    assert end == len(buffer), buffer[end:]
    return buffer


def reply_end(data: bytes, start: int = 0) -> int | None:
    """Where the RESP 2 value at ``start`` ends; None while it is not whole."""
    line_end = data.find(b"\r\n", start)
    if line_end < 0:
        return None
    kind, after = data[start : start + 1], line_end + 2
    if kind == b"$":
        length = int(data[start + 1 : line_end])
        end = after if length < 0 else after + length + 2
        return end if end <= len(data) else None
    if kind == b"*":
        for _ in range(max(0, int(data[start + 1 : line_end]))):
            inner = reply_end(data, after)
            if inner is None:
                return None
            after = inner
    return after
