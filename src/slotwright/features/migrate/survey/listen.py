"""Listen to a server's commands (MONITOR) for a bounded time, on a connection of its own.

The server copies every command to who listens, and keeps what he has not read yet in its own memory without a limit (a
monitor is of the class ``normal`` of client-output-buffer-limit). So bytes are taken as fast as they come and read
later, and listening ends at a number of bytes as well as at a time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from slotwright.cluster.topology import Address
from slotwright.errors import NodeUnreachableError, ServerError
from slotwright.features.migrate.model.command_sample import CommandSample
from slotwright.features.migrate.plan.command_sample import check_sample
from slotwright.keys.model.databases import DatabaseMap
from slotwright.ports import Clock, StreamDialer
from slotwright.server.commands.table import CommandTable
from slotwright.server.monitor import HeardCommand, parse_monitor_line

MOST_BYTES = 32 * 1024 * 1024
"""Some 300,000 short commands, which take a few seconds to read."""


@dataclass(slots=True)
class _Heard:
    """Bytes as they came; ``cut`` says why it ended early."""

    pieces: list[bytes] = field(default_factory=list)
    size: int = 0
    span_s: float = 0.0
    cut: str = ""


async def listen(
    dialer: StreamDialer,
    address: Address,
    clock: Clock,
    table: CommandTable,
    names: DatabaseMap,
    *,
    span_s: float,
    most_bytes: int = MOST_BYTES,
) -> CommandSample:
    """What was heard in ``span_s``, judged. It costs the server's clients throughput as long as it goes on
    (``bench/big_keys.py`` measures how much).

    Raises what dialling raises, and ServerError ``monitor-refused``.
    """
    stream = await dialer.open(address, timeout_s=5.0)
    heard = _Heard()
    began = clock.now()
    try:
        stream.write(b"*1\r\n$7\r\nMONITOR\r\n")
        await stream.drain()
        async with asyncio.timeout(span_s):
            while heard.size < most_bytes:
                piece = await stream.read()
                if not piece:
                    heard.cut = "the server hung up"
                    break
                if not heard.pieces:
                    _must_be_ok(address, piece)
                heard.pieces.append(piece)
                heard.size += len(piece)
            else:
                heard.cut = f"{most_bytes // 2**20} MB had come"
    except TimeoutError:
        pass
    except NodeUnreachableError:
        if not heard.pieces:
            raise
        heard.cut = "the connection was lost"
    finally:
        heard.span_s = clock.now() - began
        await stream.close()
    return await asyncio.to_thread(_sample_of, heard, table, names)


def _sample_of(heard: _Heard, table: CommandTable, names: DatabaseMap) -> CommandSample:
    reader = _Reader(heard.pieces)
    sample = check_sample(reader.commands(), table, names, span_s=heard.span_s, cut=heard.cut)
    return replace(sample, unread=reader.unread)


class _Reader:
    """Lines out of pieces; the last one, which may be cut, is left out."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self.unread = 0

    def commands(self) -> Iterator[HeardCommand]:
        rest = b""
        for piece in self._pieces:
            *lines, rest = (rest + piece).split(b"\r\n")
            for line in lines:
                command = parse_monitor_line(line)
                if command is not None:
                    yield command
                elif line != b"+OK":
                    self.unread += 1


def _must_be_ok(address: Address, start: bytes) -> None:
    if not start.startswith(b"-"):
        return
    text = start.partition(b"\r\n")[0][1:].decode(errors="replace")
    hint = "ACL SETUSER NAME +monitor, or plan without --sample" if text.startswith("NOPERM") else ""
    what = f"{address} does not let us listen to its commands"
    raise ServerError(what, code="monitor-refused", where=str(address), seen=text, hint=hint)
