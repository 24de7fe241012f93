"""One key's value as a node has it, and whether two nodes have the same.

Equal serialisations are equal values; unequal ones prove nothing, since versions and histories encode one value in many
ways. So where they differ the content itself is compared, type by type, in the order that has a meaning for the type.
DEBUG is never needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from slotwright.model.contents import KeyValue
from slotwright.planning.canonical import READERS, Value, canonical, unlike
from slotwright.planning.verdict import is_same_dump
from slotwright.ports import Argument, Connection, Reply, ReplyError

TTL_TOLERANCE_MS = 2000
"""Two reads of one expiry are never at the same instant."""


async def ask(connection: Connection, commands: Sequence[Sequence[Argument]], asks: bool) -> list[Reply | ReplyError]:
    """The replies of all; ``asks``: with ASKING before each, as for a slot that the node is importing."""
    if not asks:
        return await connection.pipeline(commands)
    doubled = [part for command in commands for part in (("ASKING",), command)]
    return (await connection.pipeline(doubled))[1::2]


async def read_value(connection: Connection, key: bytes, *, asks: bool) -> KeyValue | None:
    """None where the node has no such key, or sends us elsewhere for it."""
    kind, ttl, dump = await ask(connection, [("TYPE", key), ("PTTL", key), ("DUMP", key)], asks)
    if not isinstance(kind, bytes) or not isinstance(ttl, int) or not isinstance(dump, bytes):
        return None
    return KeyValue(kind.decode(), ttl, dump)


async def are_equal(
    key: bytes, first: tuple[Connection, bool, KeyValue], second: tuple[Connection, bool, KeyValue]
) -> bool:
    """Whether type, content and expiry are the same; each side with its connection, and whether it needs ASKING.

    A module's value counts as equal only when its serialisation is.
    """
    one, other = first[2], second[2]
    if one.type != other.type or not _expire_alike(one.ttl_ms, other.ttl_ms):
        return False
    if is_same_dump(one.dump, other.dump):
        return True
    if one.type == "string":
        replies = [(await ask(connection, [("GET", key)], asks))[0] for connection, asks, _ in (first, second)]
        return isinstance(replies[0], bytes) and replies[0] == replies[1]
    if one.type not in READERS:
        return False
    contents = [await _content(connection, key, one.type, asks) for connection, asks, _ in (first, second)]
    return unlike(contents[0][0], contents[1][0]) is None and contents[0][1] == contents[1][1]


def _expire_alike(one: int, other: int) -> bool:
    if one < 0 or other < 0:
        return one < 0 and other < 0
    return abs(one - other) <= TTL_TOLERANCE_MS


async def _content(connection: Connection, key: bytes, kind: str, asks: bool) -> tuple[Value | None, object]:
    """The value, and of a hash when its fields expire."""
    before, after = READERS[kind]
    (reply,) = await ask(connection, [(*before, key, *after)], asks)
    value = canonical(kind, reply)
    return value, await _field_expiries(connection, key, list(value), asks) if isinstance(value, dict) else None


async def _field_expiries(connection: Connection, key: bytes, names: Sequence[bytes], asks: bool) -> object:
    """When each field of a hash expires; None where the server knows no such thing (before Redis 7.4, Valkey 9.0)."""
    if not names:
        return None
    command: tuple[Argument, ...] = ("HPEXPIRETIME", key, "FIELDS", len(names), *names)
    (reply,) = await ask(connection, [command], asks)
    if isinstance(reply, ReplyError) or not isinstance(reply, list):
        return None
    return sorted(zip(names, reply, strict=True), key=repr)
