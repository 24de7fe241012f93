"""Which settings of a running node belong into a topology file, and when a file's text means a server's value.

A server prints canonical values (``4294967296``) and a file says what people write (``4gb``). A node that runs can't be
asked what it would make of a text without being changed, so the two are compared by the server's own rules of units.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from slotwright.cluster.sizes import parse_bytes
from slotwright.cluster.topology import Address

Pair = tuple[str, str]

_MEMORY = (
    *("maxmemory", "maxmemory-clients", "repl-backlog-size", "auto-aof-rewrite-min-size"),
    *("client-query-buffer-limit", "proto-max-bulk-len"),
)
_BUFFERS = "normal 0 0 0 replica 268435456 67108864 60 pubsub 33554432 8388608 60"

SHORTEST_NODE_TIMEOUT_MS = 200
"""Links are looked at ten times a second, and an answer is due within half of the time-out (cluster.c, clusterCron):
with less, nodes that are well hold each other failed."""

WORTH_SAYING: dict[str, tuple[str, ...]] = {
    # How much it may hold, and what goes when it is full.
    "maxmemory": ("0",),
    "maxmemory-policy": ("noeviction",),
    "maxmemory-samples": ("5",),
    "maxmemory-clients": ("0",),
    # What is left of the data after a restart.
    "appendonly": (),
    "appendfsync": ("everysec",),
    "no-appendfsync-on-rewrite": ("no",),
    "auto-aof-rewrite-percentage": ("100",),
    "auto-aof-rewrite-min-size": ("67108864",),
    "save": ("3600 1 300 100 60 10000",),
    "stop-writes-on-bgsave-error": ("yes",),
    "rdbcompression": ("yes",),
    # When the cluster gives a node up, and what it serves then.
    "cluster-node-timeout": ("15000",),
    "cluster-require-full-coverage": ("yes",),
    "cluster-allow-reads-when-down": ("no",),
    "cluster-allow-replica-migration": ("yes",),
    "cluster-migration-barrier": ("1",),
    "cluster-replica-validity-factor": ("10",),
    "cluster-replica-no-failover": ("no",),
    # What a write is worth, and how a replica catches up.
    "min-replicas-to-write": ("0",),
    "min-replicas-max-lag": ("10",),
    "repl-backlog-size": ("1048576", "10485760"),
    "repl-backlog-ttl": ("3600",),
    "repl-timeout": ("60",),
    "repl-diskless-sync": ("yes", "no"),
    "repl-diskless-sync-delay": ("5",),
    "replica-serve-stale-data": ("yes",),
    "replica-priority": ("100",),
    # Whom it serves; a server whose limit of open files is low lowers maxclients by itself (4096 - 32, 1024 - 32).
    "maxclients": ("10000", "4064", "992"),
    "timeout": ("0",),
    "tcp-keepalive": ("300",),
    "client-output-buffer-limit": (_BUFFERS,),
    "client-query-buffer-limit": ("1073741824",),
    "proto-max-bulk-len": ("536870912",),
    "notify-keyspace-events": ("",),
    # How it works.
    "hz": ("10",),
    "activedefrag": ("no",),
    "lazyfree-lazy-eviction": ("no", "yes"),
    "lazyfree-lazy-expire": ("no", "yes"),
    "lazyfree-lazy-server-del": ("no", "yes"),
    "lazyfree-lazy-user-del": ("no", "yes"),
    "slowlog-log-slower-than": ("10000",),
    "slowlog-max-len": ("128",),
    "latency-monitor-threshold": ("0",),
}
"""Directives that operators decide, with the defaults of the servers since 6.2 (config.c).

``appendonly`` has none here, so that it is always said: without it a file means ``yes`` (server/server_conf.py). What
gives a node its identity (dir, port, bind, logfile, passwords, announced addresses) is no setting, and is not here."""

FIXED = frozenset(
    {
        *("databases", "tcp-backlog", "appendfilename", "appenddirname", "disable-thp", "unixsocket", "unixsocketperm"),
        *("always-show-logo", "enable-protected-configs", "enable-debug-command", "enable-module-command"),
        *("rename-command", "loadmodule", "ignore-warnings", "io-threads", "server-cpulist", "server_cpulist"),
        *("bio-cpulist", "bio_cpulist", "aof-rewrite-cpulist", "aof_rewrite_cpulist"),
        *("bgsave-cpulist", "bgsave_cpulist"),
    }
)
"""Directives that no server changes while it runs (config.c, IMMUTABLE_CONFIG)."""


@dataclass(frozen=True, slots=True)
class Varying:
    """A directive in which the nodes differ: each value with the nodes that have it."""

    name: str
    values: tuple[tuple[str, tuple[Address, ...]], ...]


def agrees(name: str, wanted: str, seen: str) -> bool:
    """Whether the text ``wanted`` of a file means the value ``seen`` of a server.

    Of ``client-output-buffer-limit`` the file may name some classes only: the others stay as they are.
    """
    if name == "client-output-buffer-limit":
        here = _buffers(seen)
        return all(here.get(kind) == limits for kind, limits in _buffers(wanted).items())
    if name == "notify-keyspace-events":
        return _events(wanted) == _events(seen)
    return _parse_values(name, wanted) == _parse_values(name, seen)


def wanted_settings(settings: Iterable[Pair]) -> dict[str, str]:
    """One text a directive, as CONFIG SET takes it: what a file gives in a list stands in one line."""
    values: dict[str, str] = {}
    for name, value in settings:
        values[name] = f"{values[name]} {value}".strip() if name in values else value
    return values


def sort_out(nodes: Sequence[tuple[Address, Sequence[Pair]]]) -> tuple[tuple[Pair, ...], tuple[Varying, ...]]:
    """The canonical settings worth saying in which all nodes agree, and those in which they differ."""
    agreed: list[Pair] = []
    varying: list[Varying] = []
    for name, defaults in WORTH_SAYING.items():
        groups = _groups(name, nodes)
        if len(groups) > 1:
            varying.append(Varying(name, groups))
        elif groups and not any(agrees(name, default, groups[0][0]) for default in defaults):
            agreed.append((name, groups[0][0]))
    return tuple(agreed), tuple(varying)


def readable(name: str, seen: str) -> str:
    """A server's value as people write it: ``64mb`` for 67108864."""
    return _readable(seen) if name in _MEMORY else seen


def as_pairs(name: str, seen: str) -> tuple[Pair, ...]:
    """The directive as a file says it: readable units, one entry for each of several."""
    fields = seen.split()
    if name == "save":
        return tuple((name, " ".join(fields[at : at + 2])) for at in range(0, len(fields), 2)) or ((name, ""),)
    if name == "client-output-buffer-limit":
        usual = _buffers(_BUFFERS)
        return tuple(
            (name, " ".join((kind, *map(_readable, limits[:2]), str(limits[2]))))
            for kind, limits in _buffers(seen).items()
            if usual.get(kind) != limits
        )
    return ((name, readable(name, seen)),)


def _groups(name: str, nodes: Sequence[tuple[Address, Sequence[Pair]]]) -> tuple[tuple[str, tuple[Address, ...]], ...]:
    groups: dict[str, tuple[Address, ...]] = {}
    for address, settings in nodes:
        text = dict(settings).get(name)
        if text is None:
            continue
        same = next((value for value in groups if agrees(name, value, text) and agrees(name, text, value)), text)
        groups[same] = (*groups.get(same, ()), address)
    return tuple(groups.items())


def _parse_values(name: str, text: str) -> tuple[object, ...]:
    is_word = name in WORTH_SAYING or text.lower() in ("yes", "no")
    fields = (text.lower() if is_word else text).split()
    return tuple(word if (number := parse_bytes(word)) is None else number for word in fields)


def _buffers(text: str) -> dict[str, tuple[int | str, int | str, int | str]]:
    """Class -> hard limit, soft limit (bytes) and seconds; the older word for replicas is the newer one here."""
    fields = text.lower().split()
    values: dict[str, tuple[int | str, int | str, int | str]] = {}
    for at in range(0, len(fields) - 3, 4):
        hard, soft, seconds = (
            word if parse_bytes(word) is None else parse_bytes(word) or 0 for word in fields[at + 1 :][:3]
        )
        values["replica" if fields[at] == "slave" else fields[at]] = (hard, soft, seconds)
    return values


def _events(text: str) -> frozenset[str]:
    """``A`` is short for all classes but key misses and new keys (notify.c, keyspaceEventsStringToFlags)."""
    return frozenset(text.strip("\"' ").replace("A", "g$lshzxetd"))


def _readable(value: int | str) -> str:
    number = parse_bytes(str(value))
    if not number:
        return str(value)
    for size, unit in ((2**30, "gb"), (2**20, "mb"), (2**10, "kb")):
        if number % size == 0:
            return f"{number // size}{unit}"
    return str(value)
