"""INFO -> model. The server's words (master, slave) end here."""

from __future__ import annotations

from collections.abc import Mapping

from slotwright.model.cluster import Health, Link, Replication, Role

Info = Mapping[str, str]


def parse_info(text: str) -> dict[str, str]:
    """``key:value`` lines of any number of sections; a later section's key wins."""
    pairs = (line.split(":", 1) for line in text.splitlines() if ":" in line and not line.startswith("#"))
    return {key: value.strip() for key, value in pairs}


def replication(info: Info) -> Replication:
    """Of INFO replication. A replica's offset is what it has taken (``slave_repl_offset``)."""
    if info.get("role") != "slave":
        online = sum(1 for key, value in info.items() if _is_replica_line(key) and "state=online" in value)
        good = _number(info, "min_slaves_good_slaves") if "min_slaves_good_slaves" in info else None
        return Replication(
            Role.PRIMARY, _number(info, "master_repl_offset"), online_replicas=online, good_replicas=good
        )
    is_up = info.get("master_link_status") == "up"
    down = info.get("master_link_down_since_seconds")
    return Replication(
        Role.REPLICA,
        _number(info, "slave_repl_offset"),
        Link.UP if is_up else Link.DOWN,
        int(down) if down is not None and down != "-1" else None,
        info.get("master_sync_in_progress") == "1",
    )


def health(info: Info) -> Health:
    """Of INFO server, memory, persistence, clients, stats and keyspace together."""
    return Health(
        pid=_number(info, "process_id"),
        uptime_s=_number(info, "uptime_in_seconds"),
        used_bytes=_number(info, "used_memory"),
        maxmemory_bytes=_number(info, "maxmemory"),
        is_loading=info.get("loading") == "1",
        last_save_ok=info.get("rdb_last_bgsave_status", "ok") == "ok",
        last_append_ok=info.get("aof_last_write_status", "ok") == "ok",
        has_append_log=info.get("aof_enabled") == "1",
        keys=count_keys(info),
        connected_clients=_number(info, "connected_clients"),
        maxmemory_policy=info.get("maxmemory_policy", ""),
        maxclients=_number(info, "maxclients") if "maxclients" in info else None,
        last_rewrite_ok=info.get("aof_last_bgrewrite_status", "ok") == "ok",
        append_log_bytes=_number(info, "aof_current_size"),
        unsaved_changes=_number(info, "rdb_changes_since_last_save"),
        evicted_keys=_number(info, "evicted_keys"),
        rejected_connections=_number(info, "rejected_connections"),
    )


def count_keys(info: Info) -> int:
    """Keys of all databases: ``db0:keys=3,expires=1,avg_ttl=0`` and so on."""
    total = 0
    for key, value in info.items():
        if key.startswith("db") and key[2:].isdigit():
            fields = dict(part.split("=", 1) for part in value.split(",") if "=" in part)
            total += int(fields.get("keys", "0"))
    return total


def _is_replica_line(key: str) -> bool:
    return key.startswith("slave") and key[5:].isdigit()


def _number(info: Info, key: str) -> int:
    try:
        return int(info.get(key, "0"))
    except ValueError:
        return 0
