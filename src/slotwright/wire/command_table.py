"""COMMAND -> what a server's commands are, and where their keys stand, so that nobody has to be asked for each one.

The reply's form is that of the command's documentation (redis.io/docs/latest/commands/command): name, arity, flags,
first key, last key, step; since 6.0 ACL categories; since 7.0 tips, key specifications and subcommands. What a server
was configured not to know (``rename-command``) or has from a module is in it as it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slotwright.wire.command_keys import NO_KEYS, RULES, Positions

Item = bytes | int | None | Sequence["Item"]
"""A reply, with simple strings as bytes."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """One key specification of Redis 7.0+ (redis.io/docs/latest/develop/reference/key-specs): keys begin at ``index``,
    or after ``keyword`` searched from argument ``index`` on. Then either a range to ``last`` (negative: counted from
    the end; with ``limit`` > 1 only that fraction of the arguments), or as many as argument ``count_at`` says, from
    ``first`` on (both counted from where keys begin; ``count_at`` -1 means a range). ``is_known`` is false for what the
    server itself can't tell by a specification."""

    is_known: bool
    is_written: bool
    index: int = 0
    keyword: bytes = b""
    last: int = 0
    step: int = 1
    limit: int = 0
    count_at: int = -1
    first: int = 0

    def find(self, arguments: Sequence[bytes]) -> tuple[int, ...] | None:
        """Indexes of keys; () where an optional keyword isn't there, None where this can't be told."""
        if not self.is_known:
            return None
        begin = self._keyword(arguments) if self.keyword else self.index
        if begin is None or begin >= len(arguments):
            return ()
        if self.count_at >= 0:
            return self._counted(arguments, begin)
        end = begin + self.last if self.last >= 0 else len(arguments) + self.last
        if self.last < 0 and self.limit > 1:
            end = begin + (len(arguments) - begin) // self.limit - 1
        return tuple(range(begin, min(end, len(arguments) - 1) + 1, max(1, self.step)))

    def _keyword(self, arguments: Sequence[bytes]) -> int | None:
        places = range(self.index, len(arguments)) if self.index >= 0 else range(len(arguments) + self.index, 0, -1)
        return next((place + 1 for place in places if arguments[place].upper() == self.keyword), None)

    def _counted(self, arguments: Sequence[bytes], begin: int) -> tuple[int, ...] | None:
        at, first = begin + self.count_at, begin + self.first
        if at >= len(arguments) or not arguments[at].isdigit():
            return None
        end = first + int(arguments[at]) * self.step
        return tuple(range(first, end, max(1, self.step))) if end <= len(arguments) + self.step - 1 else None


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One command: ``name`` in capitals, ``flags`` without what older servers put around them (``write``, ``readonly``,
    ``movablekeys``, ``module``, ...). ``subcommands`` by their own name in capitals; none before 7.0."""

    name: bytes
    flags: frozenset[str]
    first: int = 0
    last: int = 0
    step: int = 0
    specs: tuple[KeySpec, ...] = ()
    subcommands: Mapping[bytes, CommandEntry] = field(default_factory=dict)

    @property
    def is_write(self) -> bool:
        """Whether the server counts it among those that change data."""
        return "write" in self.flags

    @property
    def has_one_key(self) -> bool:
        """Whether it always has exactly one key, at :attr:`first`."""
        return self.first > 0 and self.first == self.last and "movablekeys" not in self.flags

    def find(self, arguments: Sequence[bytes]) -> Positions | None:
        """Where the keys are in ``arguments``; None where that can't be told."""
        rule = RULES.get(self.name)
        if rule is not None:
            return rule(arguments)
        if self.subcommands:
            inner = self.subcommands.get(arguments[1].upper()) if len(arguments) > 1 else None
            return inner.find(arguments) if inner is not None else None
        if self.specs:
            return self._by_specs(arguments)
        return None if "movablekeys" in self.flags else self._by_range(arguments)

    def _by_range(self, arguments: Sequence[bytes]) -> Positions | None:
        if self.first <= 0:
            return NO_KEYS
        last = self.last if self.last >= 0 else len(arguments) + self.last
        if last >= len(arguments):
            return None
        every = tuple(range(self.first, last + 1, max(1, self.step)))
        return Positions(every, every if self.is_write else ())

    def _by_specs(self, arguments: Sequence[bytes]) -> Positions | None:
        every: set[int] = set()
        written: set[int] = set()
        for spec in self.specs:
            found = spec.find(arguments)
            if found is None:
                return None
            every.update(found)
            if spec.is_written:
                written.update(found)
        return Positions(tuple(sorted(every)), tuple(sorted(written)))


@dataclass(frozen=True, slots=True)
class CommandTable:
    """All commands of a server, by name in capitals."""

    commands: Mapping[bytes, CommandEntry]

    def get(self, name: bytes) -> CommandEntry | None:
        """The entry of ``name``, however it is written; None for one that the server doesn't have."""
        return self.commands.get(name.upper())

    def knows(self, arguments: Sequence[bytes]) -> bool:
        """Whether the server has that command, and the subcommand where it tells of those."""
        entry = self.get(arguments[0])
        if entry is None or not entry.subcommands:
            return entry is not None
        return len(arguments) > 1 and arguments[1].upper() in entry.subcommands

    def find(self, arguments: Sequence[bytes]) -> Positions | None:
        """Where the keys of a command are; None for a command that isn't known, or whose keys can't be told."""
        entry = self.get(arguments[0])
        return None if entry is None else entry.find(arguments)


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
