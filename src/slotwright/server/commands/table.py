"""What a server's commands are, and where their keys stand, by its own table: nobody has to be asked for each one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from slotwright.server.commands.keys import NO_KEYS, RULES, Positions, number_at


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
        count = number_at(arguments, at)
        if count is None:
            return None
        end = first + count * self.step
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
        return self.first > 0 and self.first == self.last and not self.has_movable_keys

    @property
    def has_movable_keys(self) -> bool:
        """Whether some or all of its keys have to be looked for, other than by :attr:`first` and :attr:`last`."""
        return "movablekeys" in self.flags

    @property
    def may_have_several_keys(self) -> bool:
        """Whether a call of it may name more than one key."""
        return self.has_movable_keys or (self.first > 0 and self.first != self.last)

    def find(self, arguments: Sequence[bytes]) -> Positions | None:
        """Where the keys are in ``arguments``; None where that can't be told."""
        rule = RULES.get(self.name)
        return rule(arguments) if rule is not None else self._by_table(arguments)

    def keys(self, arguments: Sequence[bytes]) -> tuple[bytes, ...]:
        """The keys in ``arguments``, as far as they can be told: where not all of them can, those that stand where the
        table says; none for what is malformed."""
        if self.has_one_key and not self.subcommands:
            return tuple(arguments[self.first : self.first + 1])
        result = self.find(arguments)
        if result is None and self.name not in RULES:
            entry = self._called(arguments)
            result = entry._by_range(arguments) if entry is not None else None
        return tuple(arguments[index] for index in result.every) if result is not None else ()

    def _called(self, arguments: Sequence[bytes]) -> CommandEntry | None:
        """The subcommand where there are any, else this; subcommands have their positions in the whole command."""
        if not self.subcommands:
            return self
        return self.subcommands.get(arguments[1].upper()) if len(arguments) > 1 else None

    def _by_table(self, arguments: Sequence[bytes]) -> Positions | None:
        entry = self._called(arguments)
        if entry is None:
            return None
        if entry.specs:
            return entry._by_specs(arguments)
        return None if entry.has_movable_keys else entry._by_range(arguments)

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
            result = spec.find(arguments)
            if result is None:
                return None
            every.update(result)
            if spec.is_written:
                written.update(result)
        return Positions(tuple(sorted(every)), tuple(sorted(written)))


@dataclass(frozen=True, slots=True)
class CommandTable:
    """All commands of a server, by name in capitals; none where it didn't tell."""

    commands: Mapping[bytes, CommandEntry] = field(default_factory=dict)

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

    def keys(self, arguments: Sequence[bytes]) -> tuple[bytes, ...]:
        """As :meth:`CommandEntry.keys`; none for a command that isn't known."""
        entry = self.get(arguments[0]) if arguments else None
        return () if entry is None else entry.keys(arguments)

    def named(self) -> Iterator[tuple[str, CommandEntry]]:
        """All entries, by the names that INFO commandstats has for them: lower case, subcommands as ``config|get``."""
        for name, entry in self.commands.items():
            shown = name.decode(errors="replace").lower()
            yield shown, entry
            for inner, subcommand in entry.subcommands.items():
                yield f"{shown}|{inner.decode(errors='replace').lower()}", subcommand
