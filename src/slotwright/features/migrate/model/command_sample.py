"""What a bounded listening to a server's commands (MONITOR) came to: which of them a cluster would treat otherwise."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Crosser(StrEnum):
    """What had keys in several slots."""

    COMMAND = "command"
    TRANSACTION = "transaction"
    SCRIPT = "script"


@dataclass(frozen=True, slots=True)
class Crossing:
    """One command, transaction or script whose keys span slots.

    ``calls`` are all of its kind with more than one key (all transactions, all calls of that script), ``across`` those
    whose keys lie in several slots. ``examples`` are keys, abbreviated; ``clients`` where they came from, without the
    port.
    """

    kind: Crosser
    name: str
    calls: int
    across: int
    examples: tuple[tuple[str, ...], ...] = ()
    clients: tuple[str, ...] = ()
    databases: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class UndeclaredKeys:
    """A script that used keys which it had not been given: a cluster may refuse it or run it where they are not."""

    name: str
    calls: int
    undeclared: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TagAdvice:
    """A hash tag that would bring keys used together into one slot.

    ``kind`` and ``crosser`` are those of the :class:`Crossing` that it helps, ``groups`` how many times its keys were
    seen together. ``before`` and ``after`` show one key. ``tags`` is how many different tags there would have been,
    ``largest_share`` what part of all keys heard the largest of them would gather.
    """

    kind: Crosser
    crosser: str
    before: str
    after: str
    groups: int
    tags: int
    largest_share: float = 0.0


@dataclass(frozen=True, slots=True)
class OddCommand:
    """A command that a cluster refuses, or does on one node alone."""

    name: str
    calls: int
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommandSample:
    """``span_s`` is how long was listened, ``commands`` how many were heard of clients (scripts' own not counted).
    ``cut`` says why it ended before its time, "" where it didn't. ``heard`` counts them by name,
    ``unread`` counts lines that could not be read."""

    span_s: float
    commands: int
    crossings: tuple[Crossing, ...] = ()
    undeclared: tuple[UndeclaredKeys, ...] = ()
    advice: tuple[TagAdvice, ...] = ()
    odd: tuple[OddCommand, ...] = ()
    databases: tuple[tuple[int, int], ...] = ()
    heard: tuple[tuple[str, int], ...] = ()
    transactions: int = 0
    scripts: int = 0
    several_keys: int = 0
    cut: str = ""
    unread: int = 0
