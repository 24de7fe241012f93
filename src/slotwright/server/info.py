"""INFO -> model. The server's words (master, slave) end here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slotwright.cluster.observation import Health, Link, Replication, Role
from slotwright.server.integers import parse_integer

Info = Mapping[str, str]

_REPLICATION_ID = re.compile(r"[0-9a-f]{40}")
_DATABASE = re.compile(r"db(0|[1-9][0-9]{0,9})")


def parse_info(text: str) -> dict[str, str]:
    """``key:value`` lines of any number of sections; a later section's key wins."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def replication(info: Info) -> Replication:
    """Of INFO replication. A replica's offset is what it has taken (``slave_repl_offset``).

    Its ``master_replid`` is that of the primary whose data it has; a primary has one of its own, and as the second one
    that of the primary in whose place it came, up to ``second_repl_offset`` (replication.c, shiftReplicationId; 6.2 to
    8.2 and Valkey). Raises ValueError for a number that is none: decisions rest on offsets.
    """
    is_replica = info.get("role") == "slave"
    down = info.get("master_link_down_since_seconds") if is_replica else None
    is_limited = not is_replica and "min_slaves_good_slaves" in info
    return Replication(
        Role.REPLICA if is_replica else Role.PRIMARY,
        info_number(info, "slave_repl_offset" if is_replica else "master_repl_offset"),
        (Link.UP if info.get("master_link_status") == "up" else Link.DOWN) if is_replica else None,
        parse_integer(down) if down is not None and down != "-1" else None,
        is_replica and info.get("master_sync_in_progress") == "1",
        info_number(info, "min_slaves_good_slaves") if is_limited else None,
        _history(info.get("master_replid", "")),
        _history(info.get("master_replid2", "")),
        parse_integer(info.get("second_repl_offset", "-1")),
    )


def _history(text: str) -> str:
    """A replication id; "" for what is none, as the zeros of a server that has no second one."""
    return text if _REPLICATION_ID.fullmatch(text) and text.strip("0") else ""


def health(info: Info) -> Health:
    """Of INFO server, memory, persistence, clients, stats and keyspace together; raises ValueError for a number that is
    none. What is not said is 0: older servers don't say all."""
    return Health(
        uptime_s=info_number(info, "uptime_in_seconds"),
        used_bytes=info_number(info, "used_memory"),
        maxmemory_bytes=info_number(info, "maxmemory"),
        is_loading=info.get("loading") == "1",
        last_save_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
        last_append_ok=info.get("aof_last_write_status", "ok") == "ok",
        has_append_log=info.get("aof_enabled") == "1",
        keys=count_keys(info),
        maxmemory_policy=info.get("maxmemory_policy", ""),
        maxclients=info_number(info, "maxclients") if "maxclients" in info else None,
        last_rewrite_ok=info.get("aof_last_bgrewrite_status", "ok") == "ok",
        append_log_bytes=info_number(info, "aof_current_size"),
        evicted_keys=info_number(info, "evicted_keys"),
    )


def count_keys(info: Info) -> int:
    """Keys of all databases: ``db0:keys=3,expires=1,avg_ttl=0`` and so on."""
    return sum(keys_by_database(info).values())


def keys_by_database(info: Info) -> dict[int, int]:
    """Database -> keys, of those that have any."""
    values = {}
    for number in databases_in(info):
        fields = dict(part.split("=", 1) for part in info[f"db{number}"].split(",") if "=" in part)
        values[number] = parse_integer(fields.get("keys", "0"))
    return values


def databases_in(info: Info) -> tuple[int, ...]:
    """The databases that have keys, by INFO keyspace."""
    matches = (_DATABASE.fullmatch(key) for key in info)
    return tuple(int(match[1]) for match in matches if match)


def info_number(info: Info, key: str) -> int:
    """One number of INFO; 0 for what is not said. Raises ValueError for what is no number."""
    return parse_integer(info.get(key, "0"))
