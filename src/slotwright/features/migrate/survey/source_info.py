"""INFO, CONFIG, FUNCTION LIST, MODULE LIST and ACL of a source -> what a survey says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from slotwright.cluster.observation import Role
from slotwright.cluster.topology import Address
from slotwright.features.migrate.model.migration import ReplicationStanding
from slotwright.features.migrate.model.surveys import Feeding, Right, Saving, ServerMemory, Traffic
from slotwright.keys.model.sample import DatabaseSize
from slotwright.server.addresses import escaped, parse_host, parse_port
from slotwright.server.commands.table import CommandTable
from slotwright.server.info import Info, parse_info

SETTINGS = (
    "client-output-buffer-limit",
    "maxclients",
    "min-replicas-to-write",
    "notify-keyspace-events",
    "repl-backlog-size",
    "repl-diskless-sync",
    "repl-diskless-sync-delay",
)
"""The directives that a survey asks for. No secret is among them."""


def databases(info: Info) -> tuple[DatabaseSize, ...]:
    """Of INFO keyspace, by number. Hashes with expiring fields: ``subexpiry`` (Redis 7.4 and later),
    ``keys_with_volatile_items`` (Valkey 9)."""
    result = []
    for key, value in info.items():
        if key.startswith("db") and key[2:].isdigit():
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            with_field_ttl = fields.get("subexpiry", fields.get("keys_with_volatile_items"))
            result.append(
                DatabaseSize(
                    int(key[2:]),
                    _number(fields.get("keys")),
                    _number(fields.get("expires")),
                    _number(fields.get("avg_ttl")),
                    _number(with_field_ttl),
                )
            )
    return tuple(sorted(result, key=lambda database: database.number))


def role_and_primary(info: Info) -> tuple[Role, Address | None, bool]:
    """The role, whom it follows (None where what it says is no address), and whether that link is up (True for a
    primary)."""
    if info.get("role") != "slave":
        return Role.PRIMARY, None, True
    try:
        primary = Address(parse_host(info.get("master_host", "")), parse_port(info.get("master_port", "")))
    except ValueError:
        primary = None
    return Role.REPLICA, primary if primary and primary.port else None, info.get("master_link_status") == "up"


def standing(text: str) -> ReplicationStanding:
    """Of INFO as it came. Where a role is said twice it can't be told: the name of a primary may be any text, and so
    have a line of its own."""
    info = parse_info(text)
    roles = [line for line in text.splitlines() if line.startswith("role:")]
    role = {"master": Role.PRIMARY, "slave": Role.REPLICA}.get(info.get("role", "")) if len(roles) == 1 else None
    _, primary, link_is_up = role_and_primary(info)
    name = escaped(f"{info.get('master_host', '')}:{info.get('master_port', '')}")
    return ReplicationStanding(
        role,
        "" if role is not Role.REPLICA else str(primary) if primary else name,
        link_is_up,
        info.get("slave_read_only", "1") != "1",
        info.get("cluster_enabled") == "1",
        info.get("master_replid", ""),
    )


def primary_fault(info: Info) -> str:
    """What is wrong with the address of the primary that a replica tells, in words; "" where it is one."""
    try:
        parse_host(info.get("master_host", "127.0.0.1"))
        parse_port(info.get("master_port", "1"))
    except ValueError as error:
        return str(error)
    return ""


def memory(info: Info) -> ServerMemory:
    """Of INFO memory and stats."""
    return ServerMemory(
        used_bytes=_number(info.get("used_memory")),
        data_bytes=_number(info.get("used_memory_dataset")),
        rss_bytes=_number(info.get("used_memory_rss")),
        maxmemory_bytes=_number(info.get("maxmemory")),
        policy=info.get("maxmemory_policy", ""),
        evicted_keys=_number(info.get("evicted_keys")),
        system_bytes=_number(info.get("total_system_memory")),
    )


def saving(info: Info) -> Saving:
    """Of INFO persistence and stats."""
    return Saving(
        last_save_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
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
        replicas=_number(info.get("connected_slaves")),
        min_replicas_to_write=_number(settings.get("min-replicas-to-write")),
        maxclients=_number(info.get("maxclients", settings.get("maxclients"))),
        clients=_number(info.get("connected_clients")),
    )


def _flag(settings: Mapping[str, str], name: str) -> bool | None:
    return settings[name] == "yes" if name in settings else None


def _output_limit(value: str) -> tuple[int | None, int, int]:
    """``normal 0 0 0 slave 268435456 67108864 60 pubsub ...``: hard, soft, seconds of the replicas' class."""
    arguments = value.split()
    for name in ("slave", "replica"):
        if name in arguments:
            hard, soft, soft_s = (_number(word) for word in arguments[arguments.index(name) + 1 :][:3])
            return hard, soft, soft_s
    return None, 0, 0


def calls(info: Info) -> tuple[tuple[str, int], ...]:
    """Of INFO commandstats: ``cmdstat_config|get:calls=3,...``; by name."""
    result = []
    for key, value in info.items():
        if key.startswith("cmdstat_"):
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            result.append((key.removeprefix("cmdstat_"), _number(fields.get("calls"))))
    return tuple(sorted(result))


def traffic(before: Info, after: Info, span_s: float, table: CommandTable, ping_ms: float) -> Traffic:
    """Of two readings of INFO with commandstats, ``span_s`` apart."""

    def rate(key: str) -> float:
        return max(0.0, (_number(after.get(key)) - _number(before.get(key))) / span_s) if span_s > 0 else 0.0

    was = dict(calls(before))
    writes = {name for name, entry in table.named() if entry.is_write}
    written = sum(count - was.get(name, 0) for name, count in calls(after) if name in writes)
    is_counted = after.get("repl_backlog_active") == "1" or _number(after.get("connected_slaves")) > 0
    return Traffic(
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
    if b"allkeys" in _byte_strings(fields.get(b"flags")):
        return True
    keys = fields.get(b"keys")
    if keys is None:
        return None
    return bool({b"*", b"~*", b"%RW~*", b"%R~*"} & set(_byte_strings(keys)))


def _fields(reply: object) -> dict[bytes, object]:
    if not isinstance(reply, list):
        return {}
    pairs = zip(reply[::2], reply[1::2], strict=False)
    return {name: value for name, value in pairs if isinstance(name, bytes)}


def _byte_strings(value: object) -> list[bytes]:
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
