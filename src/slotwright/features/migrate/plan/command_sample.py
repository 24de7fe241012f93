"""Commands that were heard -> what a cluster would make of them.

A transaction is what one client sends from MULTI to EXEC. A script's own calls follow it under the client ``lua``,
before any other client's (it runs alone), so they belong to the last EVAL, EVALSHA or FCALL.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from slotwright.cluster.slots import key_slot
from slotwright.features.migrate.model.command_sample import (
    CommandSample,
    Crosser,
    Crossing,
    OddCommand,
    TagAdvice,
    UndeclaredKeys,
)
from slotwright.features.migrate.plan.cluster_habits import SCRIPTS, command_name, odd_name
from slotwright.features.migrate.plan.hash_tags import advise_tag, shown_key
from slotwright.keys.model.databases import DatabaseMap
from slotwright.server.commands.table import CommandTable
from slotwright.server.monitor import HeardCommand

_MOST_GROUPS = 1000
_MOST_EXAMPLES = 3
_MOST_SHOWN_KEYS = 4
_MOST_KEYS = 200_000


def check_sample(
    heard: Iterable[HeardCommand],
    table: CommandTable,
    databases: DatabaseMap,
    *,
    span_s: float,
    cut: str = "",
) -> CommandSample:
    """``table`` says where commands have their keys, ``databases`` under which names they will live."""
    checker = _CommandChecker(table, databases)
    for command in heard:
        checker.hear(command)
    checker.end_script()
    return checker.sample(span_s, cut)


@dataclass(slots=True)
class _Tally:
    """Of one command, transaction or script."""

    kind: Crosser
    calls: int = 0
    across: int = 0
    groups: list[tuple[bytes, ...]] = field(default_factory=list)
    clients: set[str] = field(default_factory=set)
    databases: set[int] = field(default_factory=set)


@dataclass(slots=True)
class _Script:
    """A call whose own commands are still being heard."""

    name: str
    by: HeardCommand
    declared: frozenset[bytes]
    used: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Undeclared:
    calls: int = 0
    undeclared: int = 0
    examples: set[bytes] = field(default_factory=set)


class _CommandChecker:
    def __init__(self, table: CommandTable, databases: DatabaseMap) -> None:
        self._table = table
        self._map = databases
        self._tallies: dict[tuple[Crosser, str], _Tally] = {}
        self._open: dict[str, list[HeardCommand]] = {}
        self._script: _Script | None = None
        self._undeclared: dict[str, _Undeclared] = defaultdict(_Undeclared)
        self._odd: dict[str, set[str]] = defaultdict(set)
        self._odd_calls: Counter[str] = Counter()
        self._databases: Counter[int] = Counter()
        self._keys: set[bytes] = set()
        self._names: Counter[str] = Counter()

    def hear(self, command: HeardCommand) -> None:
        """The next one, in the server's order."""
        if command.is_of_script:
            if self._script is not None:
                self._script.used.update(self._keys_in(command))
            return
        self.end_script()
        name = command_name(command.words)
        self._names[name] += 1
        self._databases[command.database] += 1
        odd = odd_name(command.words)
        if odd:
            self._odd_calls[odd] += 1
            self._odd[odd].add(_host(command.client))
        keys = self._keys_in(command)
        if len(self._keys) < _MOST_KEYS:
            self._keys.update(keys)
        if name in SCRIPTS:
            self._script = _Script(_script_name(name, command.words), command, frozenset(keys))
        elif len(keys) > 1:
            self._count(Crosser.COMMAND, name.upper(), command, keys)
        self._follow_transaction(name, command)

    def _follow_transaction(self, name: str, command: HeardCommand) -> None:
        if name == "multi":
            self._open[command.client] = []
        elif name == "discard":
            self._open.pop(command.client, None)
        elif name == "exec":
            inside = self._open.pop(command.client, None)
            if inside:
                keys = tuple(dict.fromkeys(key for one in inside for key in self._keys_in(one)))
                names = dict.fromkeys(command_name(one.words).upper() for one in inside)
                self._count(Crosser.TRANSACTION, " ".join(list(names)[:4]), command, keys)
        elif command.client in self._open:
            self._open[command.client].append(command)

    def end_script(self) -> None:
        """No more of its commands will come."""
        script, self._script = self._script, None
        if script is None:
            return
        keys = tuple(dict.fromkeys((*sorted(script.declared), *sorted(script.used))))
        self._count(Crosser.SCRIPT, script.name, script.by, keys)
        undeclared = self._undeclared[script.name]
        undeclared.calls += 1
        if script.used - script.declared:
            undeclared.undeclared += 1
            if len(undeclared.examples) < _MOST_EXAMPLES:
                undeclared.examples.update(sorted(script.used - script.declared)[:_MOST_EXAMPLES])

    def _count(self, kind: Crosser, name: str, by: HeardCommand, keys: tuple[bytes, ...]) -> None:
        tally = self._tallies.setdefault((kind, name), _Tally(kind))
        tally.calls += 1
        if len({key_slot(key) for key in keys}) < 2:
            return
        tally.across += 1
        tally.clients.add(_host(by.client))
        tally.databases.add(by.database)
        if len(tally.groups) < _MOST_GROUPS:
            tally.groups.append(keys)

    def _keys_in(self, command: HeardCommand) -> tuple[bytes, ...]:
        """As they would be named in the target."""
        keys = self._table.keys(command.words)
        if not command.database:
            return keys
        return tuple(self._map.target((command.database, key))[1] for key in keys)

    def sample(self, span_s: float, cut: str) -> CommandSample:
        """What it came to; crossings with most calls across first."""
        across = sorted(
            ((name, tally) for (_, name), tally in self._tallies.items() if tally.across),
            key=lambda pair: (-pair[1].across, pair[0]),
        )
        return CommandSample(
            span_s=span_s,
            commands=self._names.total(),
            crossings=tuple(_crossing(name, tally) for name, tally in across),
            undeclared=tuple(
                UndeclaredKeys(name, one.calls, one.undeclared, tuple(map(shown_key, sorted(one.examples))))
                for name, one in sorted(self._undeclared.items())
                if one.undeclared
            ),
            advice=tuple(advice for name, tally in across if (advice := self._advice(name, tally))),
            odd=tuple(
                OddCommand(name, self._odd_calls[name], tuple(sorted(self._odd[name]))) for name in sorted(self._odd)
            ),
            databases=tuple(sorted(self._databases.items())),
            heard=tuple(sorted(self._names.items())),
            transactions=self._calls(Crosser.TRANSACTION),
            scripts=self._calls(Crosser.SCRIPT),
            several_keys=self._calls(Crosser.COMMAND),
            cut=cut,
        )

    def _advice(self, name: str, tally: _Tally) -> TagAdvice | None:
        return advise_tag(tally.kind, name, tally.groups, len(self._keys))

    def _calls(self, kind: Crosser) -> int:
        return sum(tally.calls for tally in self._tallies.values() if tally.kind is kind)


def _crossing(name: str, tally: _Tally) -> Crossing:
    return Crossing(
        tally.kind,
        name,
        tally.calls,
        tally.across,
        _examples(tally),
        tuple(sorted(tally.clients)),
        tuple(sorted(tally.databases)),
    )


def _examples(tally: _Tally) -> tuple[tuple[str, ...], ...]:
    """Different ones."""
    groups = list(dict.fromkeys(tally.groups))[:_MOST_EXAMPLES]
    return tuple(tuple(shown_key(key) for key in group[:_MOST_SHOWN_KEYS]) for group in groups)


def _script_name(name: str, arguments: tuple[bytes, ...]) -> str:
    """One name for EVAL and EVALSHA of the same script: SCRIPT LOAD's digest, its beginning."""
    if len(arguments) < 2:
        return name.upper()
    if name.startswith("fcall"):
        return f"FCALL {shown_key(arguments[1])}"
    digest = arguments[1].decode(errors="replace") if name.startswith("evalsha") else _sha1(arguments[1])
    return f"EVALSHA {digest[:12].lower()}"


def _sha1(text: bytes) -> str:
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _host(client: str) -> str:
    """Without the port, which is another one each time."""
    if client.startswith("unix:"):
        return "unix socket"
    return client.rpartition(":")[0] or client
