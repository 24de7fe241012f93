"""The final value of keys at an exact offset of the source's history: for changes that can't be replayed.

The values and the offset come out of one transaction, so the values hold exactly what the stream says up to that
offset, and nothing after it. Reads alone: a source whose writes are paused answers as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.cluster.topology import Address
from slotwright.errors import ServerError
from slotwright.keys.model.databases import Named
from slotwright.nodes.answers import reading
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Argument, Reply, ReplyError
from slotwright.server.info import info_number, parse_info
from slotwright.server.server_time import server_time_us


@dataclass(frozen=True, slots=True)
class Value:
    """``payload`` is what DUMP gives, None where there is no such key; ``expire_ms`` since 1970, 0 for never."""

    named: Named
    payload: bytes | None
    expire_ms: int


class ValueReader:
    """Asks one source, on the connection that the pool has to it."""

    def __init__(self, pool: ConnectionPool, address: Address, *, has_expire_time: bool) -> None:
        self.address = address
        self._pool = pool
        self._expiry = "PEXPIRETIME" if has_expire_time else "PTTL"

    async def read(self, named: Sequence[Named]) -> tuple[int, list[Value]]:
        """The offset, and the values of all of ``named`` at it. Raises NodeUnreachableError, ServerError."""
        commands: list[tuple[Argument, ...]] = [("MULTI",)]
        for database, key in named:
            commands += [("SELECT", database), ("DUMP", key), (self._expiry, key)]
        commands += [("SELECT", 0), ("TIME",), ("INFO", "replication"), ("EXEC",)]
        connection = await self._pool.connection(self.address)
        try:
            replies = await connection.pipeline(commands, timeout_s=60)
        except ServerError:
            await self._pool.drop(self.address)
            raise
        done = replies[-1]
        now_us = server_time_us(done[-2]) if isinstance(done, list) else None
        if not isinstance(done, list) or now_us is None:
            refused = next((reply for reply in replies if isinstance(reply, ReplyError)), done)
            raise ServerError(
                f"{self.address} does not give values away",
                code="values-refused",
                where=str(self.address),
                seen=str(refused),
            )
        *parts, _, _, info = done
        values = [
            Value(entry, _payload(parts[at + 1]), self._expire(parts[at + 2], now_us // 1000))
            for entry, at in zip(named, range(0, len(parts), 3), strict=True)
        ]
        return _offset(info), values

    def _expire(self, reply: Reply | ReplyError, now_ms: int) -> int:
        if not isinstance(reply, int) or reply < 0:
            return 0
        return reply if self._expiry == "PEXPIRETIME" else now_ms + reply


async def source_offset(pool: ConnectionPool, address: Address) -> int:
    """How far the source's history is now."""
    connection = await pool.connection(address)
    try:
        reply = await connection.call("INFO", "replication")
        with reading(address, "INFO"):
            return _offset(reply)
    except ServerError:
        await pool.drop(address)
        raise


def _payload(reply: object) -> bytes | None:
    """None where there is no such key. Anything but that is an error: it must not pass for a key that is gone."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise ServerError("a value can't be dumped", code="values-refused", seen=str(reply))


def _offset(reply: Reply | ReplyError) -> int:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    return info_number(parse_info(text), "master_repl_offset")
