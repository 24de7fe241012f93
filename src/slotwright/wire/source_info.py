"""INFO, CONFIG, FUNCTION LIST, MODULE LIST and ACL of a source -> what a survey says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slotwright.model.cluster import Role
from slotwright.model.command_table import CommandTable
from slotwright.model.source_survey import (
    DatabaseSize,
    Feeding,
    Memory,
    Right,
    Saving,
    Traffic,
)
from slotwright.model.topology import Address
from slotwright.wire.info import Info

SETTINGS = (
    "client-output-buffer-limit",
    "maxclients",
    "min-replicas-to-write",
    "notify-keyspace-events",
    "protected-mode",
    "rdbcompression",
    "repl-backlog-size",
    "repl-diskless-sync",
    "repl-diskless-sync-delay",
    "repl-timeout",
    "save",
)
"""The directives that a survey asks for. No secret is among them."""


def databases(info: Info) -> tuple[DatabaseSize, ...]:
    """Of INFO keyspace, by number. Hashes with expiring fields: ``subexpiry`` (Redis 7.4 and later),
    ``keys_with_volatile_items`` (Valkey 9)."""
    found = []
    for key, value in info.items():
        if key.startswith("db") and key[2:].isdigit():
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            with_field_ttl = fields.get("subexpiry", fields.get("keys_with_volatile_items"))
            found.append(
                DatabaseSize(
                    int(key[2:]),
                    _number(fields.get("keys")),
                    _number(fields.get("expires")),
                    _number(fields.get("avg_ttl")),
                    _number(with_field_ttl),
                )
            )
    return tuple(sorted(found, key=lambda database: database.number))


def role_and_primary(info: Info) -> tuple[Role, Address | None, bool]:
    """The role, whom it follows, and whether that link is up (True for a primary)."""
    if info.get("role") != "slave":
        return Role.PRIMARY, None, True
    host, port = info.get("master_host", ""), _number(info.get("master_port"))
    return Role.REPLICA, Address(host, port) if host and port else None, info.get("master_link_status") == "up"


def memory(info: Info) -> Memory:
    """Of INFO memory and stats."""
    return Memory(
        used_bytes=_number(info.get("used_memory")),
        data_bytes=_number(info.get("used_memory_dataset")),
        rss_bytes=_number(info.get("used_memory_rss")),
        maxmemory_bytes=_number(info.get("maxmemory")),
        policy=info.get("maxmemory_policy", ""),
        evicted_keys=_number(info.get("evicted_keys")),
        system_bytes=_number(info.get("total_system_memory")),
    )


def saving(info: Info, settings: Mapping[str, str]) -> Saving:
    """Of INFO persistence and stats."""
    return Saving(
        has_append_log=info.get("aof_enabled") == "1",
        has_snapshots=bool(settings.get("save")),
        last_save_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
        is_saving=info.get("rdb_bgsave_in_progress") == "1",
        last_fork_us=max(0, _number(info.get("latest_fork_usec"))),
    )


def feeding(info: Info, settings: Mapping[str, str]) -> Feeding:
    """Of INFO replication and clients, and of the directives of :data:`SETTINGS`."""
    limit, soft, soft_s = _output_limit(settings.get("client-output-buffer-limit", ""))
    return Feeding(
        backlog_bytes=_number(settings["repl-backlog-size"]) if "repl-backlog-size" in settings else None,
        limit_bytes=limit,
        soft_limit_bytes=soft,
        soft_limit_s=soft_s,
        is_diskless=_flag(settings, "repl-diskless-sync"),
        diskless_delay_s=_number(settings.get("repl-diskless-sync-delay")),
        timeout_s=_number(settings["repl-timeout"]) if "repl-timeout" in settings else None,
        compresses=_flag(settings, "rdbcompression"),
        replicas=_number(info.get("connected_slaves")),
        min_replicas_to_write=_number(settings.get("min-replicas-to-write")),
        maxclients=_number(info.get("maxclients", settings.get("maxclients"))),
        clients=_number(info.get("connected_clients")),
    )


def _flag(settings: Mapping[str, str], name: str) -> bool | None:
    return settings[name] == "yes" if name in settings else None


def _output_limit(value: str) -> tuple[int | None, int, int]:
    """``normal 0 0 0 slave 268435456 67108864 60 pubsub ...``: hard, soft, seconds of the replicas' class."""
    words = value.split()
    for name in ("slave", "replica"):
        if name in words:
            hard, soft, soft_s = (_number(word) for word in words[words.index(name) + 1 :][:3])
            return hard, soft, soft_s
    return None, 0, 0


def calls(info: Info) -> tuple[tuple[str, int], ...]:
    """Of INFO commandstats: ``cmdstat_config|get:calls=3,...``; by name."""
    found = []
    for key, value in info.items():
        if key.startswith("cmdstat_"):
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            found.append((key.removeprefix("cmdstat_"), _number(fields.get("calls"))))
    return tuple(sorted(found))


def traffic(before: Info, after: Info, span_s: float, table: CommandTable, ping_ms: float) -> Traffic:
    """Of two readings of INFO with commandstats, ``span_s`` apart."""

    def rate(key: str) -> float:
        return max(0.0, (_number(after.get(key)) - _number(before.get(key))) / span_s) if span_s > 0 else 0.0

    was = dict(calls(before))
    writes = {name for name, entry in table.named() if entry.is_write}
    written = sum(count - was.get(name, 0) for name, count in calls(after) if name in writes)
    is_counted = after.get("repl_backlog_active") == "1" or _number(after.get("connected_slaves")) > 0
    return Traffic(
        span_s=span_s,
        commands_per_s=rate("total_commands_processed"),
        writes_per_s=max(0.0, written / span_s) if span_s > 0 else 0.0,
        input_bytes_per_s=rate("total_net_input_bytes"),
        stream_bytes_per_s=rate("master_repl_offset") if is_counted else None,
        ping_ms=ping_ms,
    )


def library_names(reply: object) -> tuple[str, ...]:
    """Of FUNCTION LIST."""
    return tuple(sorted(fields["library_name"] for fields in _records(reply) if "library_name" in fields))


def module_names(reply: object) -> tuple[str, ...]:
    """Of MODULE LIST. Valkey's own engine for Lua is none that anybody loaded."""
    return tuple(sorted(fields["name"] for fields in _records(reply) if fields.get("name") not in (None, "lua")))


def _records(reply: object) -> Iterable[dict[str, str]]:
    for entry in reply if isinstance(reply, list) else ():
        if isinstance(entry, list):
            pairs = zip(entry[::2], entry[1::2], strict=False)
            yield {
                name.decode(errors="replace"): value.decode(errors="replace")
                for name, value in pairs
                if isinstance(name, bytes) and isinstance(value, bytes)
            }


def has_every_key(reply: object) -> bool | None:
    """Of ACL GETUSER: the pattern ``*`` (a list of patterns in 6.2, ``~*`` later). None where it doesn't tell."""
    fields = _fields(reply)
    if b"allkeys" in _words(fields.get(b"flags")):
        return True
    keys = fields.get(b"keys")
    if keys is None:
        return None
    return bool({b"*", b"~*", b"%RW~*", b"%R~*"} & set(_words(keys)))


def wants_password(reply: object) -> bool | None:
    """Of ACL GETUSER default: not ``nopass``. None where it doesn't tell."""
    flags = _fields(reply).get(b"flags")
    return None if flags is None else b"nopass" not in _words(flags)


def _fields(reply: object) -> dict[bytes, object]:
    if not isinstance(reply, list):
        return {}
    pairs = zip(reply[::2], reply[1::2], strict=False)
    return {name: value for name, value in pairs if isinstance(name, bytes)}


def _words(value: object) -> list[bytes]:
    if isinstance(value, list):
        return [word for word in value if isinstance(word, bytes)]
    return value.split() if isinstance(value, bytes) else []


def right_of(answer: str) -> tuple[Right, bool]:
    """What an answer to a trial says (ACL DRYRUN, or queueing in a transaction), and whether it is a key that is
    denied. The sentences: acl.c and server.c of 6.2 to 9.1."""
    word = answer.partition(" ")[0]
    if answer in ("OK", "QUEUED") or "not allowed inside a transaction" in answer:
        return Right.ALLOWED, False
    if "unknown command" in answer or "not found" in answer or "unknown subcommand" in answer.lower():
        return Right.ABSENT, False
    if word == "NOPERM" or "permissions" in answer:
        return (Right.ALLOWED, True) if "access" in answer and "key" in answer else (Right.DENIED, False)
    return Right.UNKNOWN, False


def _number(text: str | None) -> int:
    try:
        return int(text or "0")
    except ValueError:
        return 0
