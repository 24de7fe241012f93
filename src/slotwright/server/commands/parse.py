"""COMMAND -> what a server's commands are, and where their keys stand.

The reply's form is that of the command's documentation (redis.io/docs/latest/commands/command): name, arity, flags,
first key, last key, step; since 6.0 ACL categories; since 7.0 tips, key specifications and subcommands. What a server
was configured not to know (``rename-command``) or has from a module is in it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slotwright.server.commands.table import CommandEntry, CommandTable, KeySpec

Item = bytes | int | None | Sequence["Item"]
"""A reply, with simple strings as bytes."""


def parse_command_table(reply: Item) -> CommandTable:
    """From the reply to COMMAND. Raises ValueError where it is none."""
    if not isinstance(reply, Sequence) or isinstance(reply, bytes):
        raise ValueError("not the reply to COMMAND")
    entries = [_entry(item) for item in reply if item is not None]
    return CommandTable({entry.name: entry for entry in entries})


def _entry(item: Item) -> CommandEntry:
    if not isinstance(item, Sequence) or isinstance(item, bytes) or len(item) < 6:
        raise ValueError(f"not a line of COMMAND: {item!r}")
    name, flags, specs = _bytes(item[0]), _list(item[2]), _list(item[8]) if len(item) > 8 else ()
    inner = [_entry(one) for one in (_list(item[9]) if len(item) > 9 else ())]
    return CommandEntry(
        name=name.upper().rpartition(b"|")[2],
        flags=frozenset(_bytes(flag).decode() for flag in flags),
        first=_int(item[3]),
        last=_int(item[4]),
        step=_int(item[5]),
        specs=tuple(_spec(_map(spec)) for spec in specs),
        subcommands={entry.name: entry for entry in inner},
    )


def _spec(spec: Mapping[bytes, Item]) -> KeySpec:
    flags = {_bytes(flag) for flag in _list(spec.get(b"flags"))}
    begin, find = _map(spec.get(b"begin_search")), _map(spec.get(b"find_keys"))
    where, how = _map(begin.get(b"spec")), _map(find.get(b"spec"))
    is_range, is_counted = find.get(b"type") == b"range", find.get(b"type") == b"keynum"
    is_index, is_keyword = begin.get(b"type") == b"index", begin.get(b"type") == b"keyword"
    return KeySpec(
        is_known=(is_index or is_keyword) and (is_range or is_counted) and b"incomplete" not in flags,
        is_written=b"RO" not in flags,
        index=_int(where.get(b"startfrom" if is_keyword else b"index")),
        keyword=_bytes(where.get(b"keyword")).upper() if is_keyword else b"",
        last=_int(how.get(b"lastkey")),
        step=_int(how.get(b"keystep")) or 1,
        limit=_int(how.get(b"limit")),
        count_at=_int(how.get(b"keynumidx")) if is_counted else -1,
        first=_int(how.get(b"firstkey")),
    )


def _map(item: Item) -> Mapping[bytes, Item]:
    pairs = _list(item)
    return {_bytes(pairs[i]): pairs[i + 1] for i in range(0, len(pairs) - 1, 2)}


def _list(item: Item) -> Sequence[Item]:
    return item if isinstance(item, Sequence) and not isinstance(item, bytes) else ()


def _bytes(item: Item) -> bytes:
    return item if isinstance(item, bytes) else b""


def _int(item: Item) -> int:
    return item if isinstance(item, int) else 0
