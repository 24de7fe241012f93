"""Commands that a cluster refuses, or does on one node alone: told by name, whatever their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import pairwise

REFUSED = frozenset({"move", "select", "slaveof", "replicaof", "swapdb"})
"""Refused by a node of a cluster (db.c, replication.c: cluster_enabled). SELECT 0 is not, and Valkey 9 with several
databases allows SELECT and MOVE."""

ONE_NODE = frozenset(
    {
        "dbsize",
        "flushall",
        "flushdb",
        "function|delete",
        "function|flush",
        "function|load",
        "function|restore",
        "keys",
        "pubsub|channels",
        "pubsub|numsub",
        "randomkey",
        "scan",
        "script|flush",
        "script|load",
        "wait",
        "waitaof",
    }
)
"""Done on, or seen by, the one node that is asked."""

BROADCAST = frozenset({"publish"})
"""A message goes to every node of the cluster, over the bus."""

SPLIT_BY_CLIENTS = frozenset({"del", "exists", "mget", "mset", "touch", "unlink"})
"""What some clients cut by slot on their own; it is then no longer one atomic command."""

SORTS = frozenset({"sort", "sort_ro"})
SORT_PATTERN = "sort … by/get"
"""SORT with a BY or GET pattern reads other keys than it names (sort.c: refused in a cluster)."""

COPY_TO_DATABASE = "copy … db"

SCRIPTS = frozenset({"eval", "evalsha", "eval_ro", "evalsha_ro", "fcall", "fcall_ro"})
"""Commands that run code with keys of their own, which are judged apart from all others."""


class Habit(StrEnum):
    """What a cluster makes of it."""

    REFUSED = "refused"
    ONE_NODE = "one-node"
    BROADCAST = "broadcast"


def habit_of(name: str) -> Habit | None:
    """By name (``script|load``); None for a command that a cluster does as a single server would."""
    if name in REFUSED or name in (SORT_PATTERN, COPY_TO_DATABASE):
        return Habit.REFUSED
    if name in ONE_NODE:
        return Habit.ONE_NODE
    return Habit.BROADCAST if name in BROADCAST else None


def command_name(arguments: Sequence[bytes]) -> str:
    """Lower case; "" for no command."""
    return arguments[0].decode(errors="replace").lower() if arguments else ""


def odd_name(arguments: Sequence[bytes]) -> str:
    """The name of a command that a cluster treats otherwise, for :func:`habit_of`; "" for every other one."""
    name = command_name(arguments)
    if name in SORTS:
        return SORT_PATTERN if _reads_others(arguments) else ""
    if name == "copy":
        return COPY_TO_DATABASE if any(word.lower() == b"db" for word in arguments[3:]) else ""
    if name == "select":
        return name if arguments[1:] != (b"0",) else ""
    for known in (name, f"{name}|{arguments[1].decode(errors='replace').lower()}" if len(arguments) > 1 else ""):
        if habit_of(known) is not None:
            return known
    return ""


def _reads_others(arguments: Sequence[bytes]) -> bool:
    """``GET #`` is the element itself, and ``BY nosort`` is no key."""
    pairs = pairwise(arguments[2:])
    return any(
        (option.lower() == b"get" and pattern != b"#") or (option.lower() == b"by" and b"*" in pattern)
        for option, pattern in pairs
    )


def counted(calls: Iterable[tuple[str, int]], names: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """Those of the statistics, most called first. Before 7.0 subcommands are counted with their command, so that
    ``script`` stands for ``script|load``: these are left out."""
    results = [(name, count) for name, count in calls if name in names and count]
    return tuple(sorted(results, key=lambda pair: (-pair[1], pair[0])))
