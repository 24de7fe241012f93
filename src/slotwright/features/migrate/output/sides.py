"""The source and the target in `migrate --plan --json`."""

from __future__ import annotations

from slotwright.console.output import Output
from slotwright.features.migrate.model.surveys import SourceSurvey, TargetPrimary, TargetSurvey
from slotwright.keys.model.sample import DatabaseSize, KindOfKeys


class DatabaseOutput(Output, frozen=True, kw_only=True):
    """One database of the source."""

    database: int
    keys: int
    with_ttl: int
    average_ttl_ms: int
    with_field_ttl: int


class KeyTypeOutput(Output, frozen=True, kw_only=True):
    """Keys of one type, of those that were looked at."""

    type: str
    keys: int
    bytes: int


class SourceOutput(Output, frozen=True, kw_only=True):
    """The source: ``calls`` are its command statistics, ``rights`` by command what our user may."""

    address: str
    version: str
    mode: str
    role: str
    primary: str | None
    uptime_s: int
    keys: int
    databases: tuple[DatabaseOutput, ...]
    looked_at: int
    complete: bool
    types: tuple[KeyTypeOutput, ...]
    functions: tuple[str, ...]
    modules: tuple[str, ...]
    used_bytes: int
    data_bytes: int
    maxmemory_bytes: int
    maxmemory_policy: str
    evicted_keys: int
    clients: int
    replicas: int
    commands_per_s: float
    writes_per_s: float
    ping_ms: float
    calls: dict[str, int]
    user: str
    rights: dict[str, str]
    unread: tuple[str, ...]


class TargetPrimaryOutput(Output, frozen=True, kw_only=True):
    """One primary of the target."""

    address: str
    slots: tuple[str, ...]
    used_bytes: int
    maxmemory_bytes: int
    maxmemory_policy: str
    keys: int
    replicas: int


class TargetOutput(Output, frozen=True, kw_only=True):
    """The target; ``silent`` are nodes that did not answer."""

    name: str
    cluster: bool
    versions: tuple[str, ...]
    databases: int
    keys: int
    primaries: tuple[TargetPrimaryOutput, ...]
    silent: tuple[str, ...]


def source_output(source: SourceSurvey) -> SourceOutput:
    """The source."""
    memory, feeding, traffic, keys = source.memory, source.feeding, source.traffic, source.keys
    return SourceOutput(
        address=str(source.address),
        version=source.version.title,
        mode=source.mode.value,
        role=source.role.value,
        primary=str(source.primary) if source.primary else None,
        uptime_s=source.uptime_s,
        keys=source.total_keys,
        databases=tuple(map(_database_output, source.databases)),
        looked_at=keys.looked_at,
        complete=keys.is_complete,
        types=tuple(map(_type_output, keys.kinds)),
        functions=source.functions,
        modules=source.modules,
        used_bytes=memory.used_bytes,
        data_bytes=source.data_bytes,
        maxmemory_bytes=memory.maxmemory_bytes,
        maxmemory_policy=memory.policy,
        evicted_keys=memory.evicted_keys,
        clients=feeding.clients,
        replicas=feeding.replicas,
        commands_per_s=round(traffic.commands_per_s, 1),
        writes_per_s=round(traffic.writes_per_s, 1),
        ping_ms=round(traffic.ping_ms, 3),
        calls=dict(source.calls),
        user=source.rights.user,
        rights={name: right.value for name, right in source.rights.rights},
        unread=source.unread,
    )


def _database_output(database: DatabaseSize) -> DatabaseOutput:
    return DatabaseOutput(
        database=database.number,
        keys=database.keys,
        with_ttl=database.with_ttl,
        average_ttl_ms=database.average_ttl_ms,
        with_field_ttl=database.with_field_ttl,
    )


def _type_output(kind: KindOfKeys) -> KeyTypeOutput:
    return KeyTypeOutput(type=kind.type, keys=kind.keys, bytes=kind.bytes)


def target_output(target: TargetSurvey) -> TargetOutput:
    """The target."""
    return TargetOutput(
        name=target.name,
        cluster=target.is_cluster,
        versions=tuple(version.title for version in target.versions),
        databases=target.databases,
        keys=target.keys,
        primaries=tuple(map(_primary_output, target.primaries)),
        silent=tuple(map(str, target.silent)),
    )


def _primary_output(primary: TargetPrimary) -> TargetPrimaryOutput:
    return TargetPrimaryOutput(
        address=str(primary.address),
        slots=primary.slots.texts(),
        used_bytes=primary.used_bytes,
        maxmemory_bytes=primary.maxmemory_bytes,
        maxmemory_policy=primary.policy,
        keys=primary.keys,
        replicas=primary.replicas,
    )
