"""The final value of keys at an exact offset of the source's history: for changes that can't be replayed.

The values and the offset come out of one transaction, so the values hold exactly what the stream says up to that
offset, and nothing after it. Reads alone: a source whose writes are paused answers as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slotwright.errors import ServerError
from slotwright.model.migration import Named
from slotwright.model.topology import Address
from slotwright.operations.roster import Roster
from slotwright.ports import Argument, Reply, ReplyError
from slotwright.wire.info import parse_info
from slotwright.wire.server_time import server_time_us


@dataclass(frozen=True, slots=True)
class Value:
    """``payload`` is what DUMP gives, None where there is no such key; ``expire_ms`` since 1970, 0 for never."""

    named: Named
    payload: bytes | None
    expire_ms: int


class ValueReader:
    """Asks one source, on the connection that the roster has to it."""

    def __init__(self, roster: Roster, address: Address, *, has_expire_time: bool) -> None:
        self.address = address
        self._roster = roster
        self._expiry = "PEXPIRETIME" if has_expire_time else "PTTL"

    async def read(self, named: Sequence[Named]) -> tuple[int, list[Value]]:
        """The offset, and the values of all of ``named`` at it. Raises NodeUnreachableError, ServerError."""
        commands: list[tuple[Argument, ...]] = [("MULTI",)]
        for database, key in named:
            commands += [("SELECT", database), ("DUMP", key), (self._expiry, key)]
        commands += [("SELECT", 0), ("TIME",), ("INFO", "replication"), ("EXEC",)]
        connection = await self._roster.connection(self.address)
        try:
            replies = await connection.pipeline(commands, timeout_s=60)
        except ServerError:
            await self._roster.drop(self.address)
            raise
        done = replies[-1]
        now_us = server_time_us(done[-2]) if isinstance(done, list) else None
        if not isinstance(done, list) or now_us is None:
            refused = next((each for each in replies if isinstance(each, ReplyError)), done)
            raise ServerError(
                f"{self.address} does not give values away",
                code="values-refused",
                where=str(self.address),
                seen=str(refused),
            )
        *parts, _, _, info = done
        values = [
            Value(each, _payload(parts[at + 1]), self._expire(parts[at + 2], now_us // 1000))
            for each, at in zip(named, range(0, len(parts), 3), strict=True)
        ]
        return _offset(info), values

    def _expire(self, reply: Reply | ReplyError, now_ms: int) -> int:
        if not isinstance(reply, int) or reply < 0:
            return 0
        return reply if self._expiry == "PEXPIRETIME" else now_ms + reply


async def source_offset(roster: Roster, address: Address) -> int:
    """How far the source's history is now."""
    connection = await roster.connection(address)
    try:
        return _offset(await connection.call("INFO", "replication"))
    except ServerError:
        await roster.drop(address)
        raise


def _payload(reply: object) -> bytes | None:
    """None where there is no such key. Anything but that is an error: it must not pass for a key that is gone."""
    if reply is None or isinstance(reply, bytes):
        return reply
    raise ServerError("a value can't be dumped", code="values-refused", seen=str(reply))


def _offset(reply: Reply | ReplyError) -> int:
    text = reply.decode(errors="replace") if isinstance(reply, bytes) else ""
    return int(parse_info(text).get("master_repl_offset", "0"))
