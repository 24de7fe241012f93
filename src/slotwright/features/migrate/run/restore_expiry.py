"""Later deadlines of one primary are taken off again: every key there gets the deadline that it has in the source.

A key that is changed meanwhile, between reading and setting, may get an older deadline. The stream notes every change
then, and such keys are compared again.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.cluster.topology import Address
from slotwright.errors import AnswerError
from slotwright.features.migrate.replay.deferred_expiry import taken_off
from slotwright.nodes.connections import ConnectionPool
from slotwright.ports import Connection, Reply, ReplyError
from slotwright.server.info import keys_by_database, parse_info
from slotwright.server.resp_out import for_each_key, request
from slotwright.server.server_time import server_time_us

_AT_ONCE = 1000
_FEW = 16
_TRIES = 8
_TIMEOUT_S = 60.0
_TIME = request("TIME")


async def take_off(pool: ConnectionPool, address: Address, *, has_expire_time: bool) -> int:
    """How many keys had a later one. ``has_expire_time``: the server knows PEXPIRETIME.

    Raises NodeUnreachableError, and ReplyError where the server refuses, or has lost slots meanwhile.
    """
    connection = await pool.connection(address, timeout_s=5.0)
    info = await connection.call("INFO", "keyspace")
    databases = keys_by_database(parse_info(info.decode(errors="replace") if isinstance(info, bytes) else ""))
    count = 0
    for database in databases:
        if database:
            await connection.call("SELECT", database)
        cursor = b"0"
        while True:
            cursor, keys = _page(address, await connection.call("SCAN", cursor, "COUNT", _AT_ONCE))
            expiries = await (_expire_times if has_expire_time else _times_left)(connection, keys)
            results = [
                (key, at) for key, number in zip(keys, expiries, strict=True) if (at := taken_off(number)) is not None
            ]
            await _exchange(connection, [request("PEXPIREAT", key, at) for key, at in results])
            count += len(results)
            if cursor == b"0":
                break
    return count


async def _expire_times(connection: Connection, keys: Sequence[bytes]) -> list[int]:
    replies = await _exchange(connection, for_each_key(keys, "PEXPIRETIME"))
    return [reply if isinstance(reply, int) else 0 for reply in replies]


async def _times_left(connection: Connection, keys: Sequence[bytes]) -> list[int]:
    """Without PEXPIRETIME (before Redis 7.0): the time left and the server's clock. A few keys at once are asked for
    between two looks at the clock, again until both are of the same millisecond: then it is exact. Where that never
    comes it is right within some milliseconds."""
    results = [0] * len(keys)
    todo = [range(start, min(start + _FEW, len(keys))) for start in range(0, len(keys), _FEW)]
    for _ in range(_TRIES):
        commands = [[_TIME, *for_each_key([keys[at] for at in part], "PTTL"), _TIME] for part in todo]
        replies = iter(await _exchange(connection, [data for some in commands for data in some]))
        again = []
        for part in todo:
            began_ms = (server_time_us(next(replies)) or 0) // 1000
            for at in part:
                left = next(replies)
                results[at] = began_ms + left if isinstance(left, int) and left >= 0 else 0
            if (server_time_us(next(replies)) or 0) // 1000 != began_ms:
                again.append(part)
        todo = again
    return results


async def _exchange(connection: Connection, commands: Sequence[bytes]) -> list[Reply]:
    """Raises the first error reply."""
    if not commands:
        return []
    replies: list[Reply] = []
    for reply in await connection.exchange(b"".join(commands), len(commands), timeout_s=_TIMEOUT_S):
        if isinstance(reply, ReplyError):
            raise reply
        replies.append(reply)
    return replies


def _page(address: Address, reply: Reply) -> tuple[bytes, list[bytes]]:
    match reply:
        case [bytes(cursor), list(keys)]:
            return cursor, [key for key in keys if isinstance(key, bytes)]
    raise AnswerError(f"{address} answers SCAN otherwise than a server does", where=str(address))
