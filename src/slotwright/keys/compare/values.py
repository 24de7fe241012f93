"""What a server replies when a value is read -> the value itself, so that servers of any versions can be compared.

Lists, sorted sets and streams have an order that means something; sets and hashes have none. Scores are floats:
versions print one and the same number in several ways (3.1400000000000001 until Redis 7.0, 3.14 later).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slotwright.keys.model.comparison import Aspect
from slotwright.ports import Argument, Reply, ReplyError

Reader = tuple[tuple[Argument, ...], tuple[Argument, ...]]
"""The words of a command before and after the key."""

READERS: Mapping[str, Reader] = {
    "list": (("LRANGE",), (0, -1)),
    "set": (("SMEMBERS",), ()),
    "hash": (("HGETALL",), ()),
    "zset": (("ZRANGE",), (0, -1, "WITHSCORES")),
    "stream": (("XINFO", "STREAM"), ("FULL", "COUNT", 0)),
}
"""What reads a whole value. XINFO STREAM FULL is there since Redis 6.0, and a COUNT
of 0 means all of it (t_stream.c, xinfoReplyWithStreamInfo)."""

Pending = tuple[bytes, bytes, int]
"""Entry, consumer, deliveries."""


@dataclass(frozen=True, slots=True)
class Group:
    """A stream's group. ``entries_read`` None: not known (before Redis 7.0, or the server has lost count)."""

    last_id: bytes
    entries_read: int | None
    consumers: frozenset[bytes]
    pending: tuple[Pending, ...]


@dataclass(frozen=True, slots=True)
class Stream:
    """``entries_added`` and ``max_deleted_id`` are None before Redis 7.0."""

    entries: tuple[tuple[bytes, tuple[bytes, ...]], ...]
    last_id: bytes
    entries_added: int | None = None
    max_deleted_id: bytes | None = None
    groups: Mapping[bytes, Group] = field(default_factory=dict)


Value = tuple[bytes, ...] | frozenset[bytes] | dict[bytes, bytes] | tuple[tuple[bytes, float], ...] | Stream


def canonical(kind: str, reply: Reply | ReplyError) -> Value | None:
    """The value of a key of type ``kind`` (a key of :data:`READERS`); None where the reply is no such value."""
    if not isinstance(reply, list):
        return None
    match kind:
        case "list":
            return tuple(_texts(reply))
        case "set":
            return frozenset(_texts(reply))
        case "hash":
            return dict(zip(_texts(reply[::2]), _texts(reply[1::2]), strict=True))
        case "zset":
            return scored(reply)
        case "stream":
            return stream(reply)
    return None


def scored(reply: Sequence[Reply]) -> tuple[tuple[bytes, float], ...]:
    """Members with scores, in the order given."""
    return tuple(zip(_texts(reply[::2]), map(float, _texts(reply[1::2])), strict=True))


def entries(reply: Sequence[Reply]) -> tuple[tuple[bytes, tuple[bytes, ...]], ...]:
    """Entries as XRANGE gives them."""
    result = []
    for entry in reply:
        if isinstance(entry, list) and isinstance(entry[0], bytes) and isinstance(entry[1], list):
            result.append((entry[0], tuple(_texts(entry[1]))))
    return tuple(result)


def stream(reply: Sequence[Reply]) -> Stream:
    """Of XINFO STREAM, FULL or not: without FULL there are no entries and groups in it."""
    fields = by_name(reply)
    listed, groups = fields.get("entries"), fields.get("groups")
    return Stream(
        entries(listed) if isinstance(listed, list) else (),
        _text(fields.get("last-generated-id")),
        _number(fields.get("entries-added")),
        _text(fields["max-deleted-entry-id"]) if "max-deleted-entry-id" in fields else None,
        dict(_group(candidate) for candidate in groups if isinstance(candidate, list))
        if isinstance(groups, list)
        else {},
    )


def group(reply: Sequence[Reply], consumers: Reply, pending: Sequence[Reply]) -> tuple[bytes, Group]:
    """Of one group in XINFO GROUPS, of XINFO CONSUMERS, and of XPENDING with a range."""
    fields = by_name(reply)
    names = (
        [by_name(consumer) for consumer in consumers if isinstance(consumer, list)]
        if isinstance(consumers, list)
        else []
    )
    return _text(fields.get("name")), Group(
        _text(fields.get("last-delivered-id")),
        _number(fields.get("entries-read")),
        frozenset(_text(name.get("name")) for name in names),
        _pending(pending),
    )


def by_name(reply: Sequence[Reply]) -> dict[str, Reply]:
    """Names and values, one after the other, as introspection gives them."""
    return {
        name.decode(errors="replace"): value
        for name, value in zip(reply[::2], reply[1::2], strict=False)
        if isinstance(name, bytes)
    }


@dataclass(frozen=True, slots=True)
class Unlike:
    """How two values differ; ``words`` for people."""

    aspects: tuple[Aspect, ...]
    words: str


def unlike(one: Value | None, other: Value | None) -> Unlike | None:
    """None where both are the same value. ``one`` is the source's."""
    if isinstance(one, Stream) and isinstance(other, Stream):
        return _unlike_streams(one, other)
    if one == other and one is not None:
        return None
    return Unlike((Aspect.VALUE,), _words(one, other))


def _unlike_streams(one: Stream, other: Stream) -> Unlike | None:
    """What only newer servers keep is compared where both know it."""
    aspects: list[Aspect] = []
    fields: list[str] = []
    if _known(one, other) != _known(other, one):
        aspects.append(Aspect.VALUE)
        if one.entries != other.entries:
            fields.append(_in_order("entry", one.entries, other.entries))
        else:
            fields.append(f"last id {_shown(one.last_id)}, {_shown(other.last_id)} in the target, or its counts")
    text = unlike_groups(one.groups, other.groups)
    if text is not None:
        aspects.append(Aspect.GROUPS)
        fields.append(text)
    return Unlike(tuple(aspects), "; ".join(fields)) if aspects else None


def _known(stream: Stream, other: Stream) -> Stream:
    """Without groups, and without what ``other`` does not know."""
    return replace(
        stream,
        groups={},
        entries_added=None if other.entries_added is None else stream.entries_added,
        max_deleted_id=None if other.max_deleted_id is None else stream.max_deleted_id,
    )


def unlike_groups(one: Mapping[bytes, Group], other: Mapping[bytes, Group]) -> str | None:
    """In words how the groups differ; None where they don't."""
    if one.keys() != other.keys():
        lone = sorted(one.keys() ^ other.keys())[0]
        return f"group {_shown(lone)} only in the {'source' if lone in one else 'target'}"
    for name, mine in one.items():
        theirs = other[name]
        is_read_known = mine.entries_read is not None and theirs.entries_read is not None
        facts = (
            ("last delivered id", mine.last_id, theirs.last_id),
            (
                "entries read",
                mine.entries_read if is_read_known else None,
                theirs.entries_read if is_read_known else None,
            ),
            ("consumers", mine.consumers, theirs.consumers),
            ("pending entries", mine.pending, theirs.pending),
        )
        for what, ours, others in facts:
            if ours != others:
                return f"group {_shown(name)}: other {what}"
    return None


def _words(one: Value | None, other: Value | None) -> str:
    if isinstance(one, tuple) and isinstance(other, tuple):
        return _in_order("element", one, other)
    if isinstance(one, frozenset) and isinstance(other, frozenset):
        return _counted(("members", len(one - other), len(other - one)))
    if isinstance(one, dict) and isinstance(other, dict):
        changed = sum(1 for name in one.keys() & other.keys() if one[name] != other[name])
        return _counted(("fields", len(one.keys() - other.keys()), len(other.keys() - one.keys())), changed)
    return "it can't be read on both sides"


def _counted(lone: tuple[str, int, int], changed: int = 0) -> str:
    """What one side alone has, and what has another value."""
    what, ours, theirs = lone
    parts = [f"{ours} {what} only in the source"] if ours else []
    parts += [f"{theirs} {what} only in the target"] if theirs else []
    parts += [f"{changed} {what} with another value"] if changed else []
    return ", ".join(parts)


def _in_order(what: str, one: Sequence[object], other: Sequence[object]) -> str:
    if len(one) != len(other):
        return f"{len(one)} of {what}, {len(other)} in the target"
    at = next((at for at, (mine, theirs) in enumerate(zip(one, other, strict=True)) if mine != theirs), 0)
    return f"{what} {at} of {len(one)} is another"


def _group(reply: Sequence[Reply]) -> tuple[bytes, Group]:
    """Of a group in XINFO STREAM FULL."""
    fields = by_name(reply)
    pending = fields.get("pending", fields.get("pel"))
    return group(reply, fields.get("consumers"), pending if isinstance(pending, list) else [])


def _pending(reply: Sequence[Reply]) -> tuple[Pending, ...]:
    """Entry, consumer, a time that is not compared, deliveries."""
    result = []
    for candidate in reply:
        if isinstance(candidate, list) and len(candidate) >= 4 and isinstance(candidate[3], int):
            result.append((_text(candidate[0]), _text(candidate[1]), candidate[3]))
    return tuple(result)


def _texts(reply: Sequence[Reply]) -> list[bytes]:
    return [item for item in reply if isinstance(item, bytes)]


def _text(reply: Reply) -> bytes:
    return reply if isinstance(reply, bytes) else b""


def _number(reply: Reply) -> int | None:
    return reply if isinstance(reply, int) else None


def _shown(text: bytes) -> str:
    return repr(text)[2:-1]
