"""Engine name and version -> what that server can do. Decisions ask for a capability, never for a number."""

from __future__ import annotations

import re
from collections.abc import Mapping

from slotwright.model.cluster import ServerVersion
from slotwright.model.topology import EngineKind

_VERSION_LINE = re.compile(r"^(Redis|Valkey) server v=(\d+(?:\.\d+)*)", re.IGNORECASE)

OLDEST = (6, 2)


def parse_version_output(text: str) -> ServerVersion | None:
    """From what ``redis-server --version`` prints (``Valkey server v=9.1.2 sha=...``); None for anything else."""
    found = _VERSION_LINE.match(text.strip())
    if not found:
        return None
    return ServerVersion(EngineKind(found[1].lower()), _numbers(found[2]))


def version_from_info(info: Mapping[str, str]) -> ServerVersion:
    """From INFO server. Valkey says ``redis_version:7.2.4`` to please old clients: its own name comes first."""
    if info.get("server_name") == "valkey" or "valkey_version" in info:
        return ServerVersion(EngineKind.VALKEY, _numbers(info["valkey_version"]))
    return ServerVersion(EngineKind.REDIS, _numbers(info.get("redis_version", "0")))


def has_shard_ids(version: ServerVersion) -> bool:
    """Nodes keep a shard id in nodes.conf: Redis since 7.2 (cluster.c, auxFieldHandlers), every Valkey."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (7, 2)


def version_from_title(title: str) -> ServerVersion:
    """From :attr:`ServerVersion.title`; ValueError for anything else."""
    kind, _, numbers = title.partition(" ")
    return ServerVersion(EngineKind(kind.lower()), _numbers(numbers))


def can_read_data(reader: ServerVersion, writer: ServerVersion) -> bool:
    """Whether ``reader`` loads the files that ``writer`` wrote, also when they come from another family.

    Within one family every version reads what older ones wrote. Across, the format of the snapshot decides (rdb.h,
    RDB_VERSION): Valkey knows those of Redis up to 7.2 and rejects the ones after it; what Valkey writes since 9.0
    nobody else knows.
    """
    if not writer.numbers or not reader.numbers:
        return reader.kind is writer.kind
    if reader.kind is writer.kind:
        return reader.numbers[:2] >= writer.numbers[:2]
    return snapshot_format(writer) <= min(snapshot_format(reader), _LAST_COMMON_FORMAT)


_LAST_COMMON_FORMAT = 11


def snapshot_format(version: ServerVersion) -> int:
    """The RDB version that a server writes, the newest that it reads (rdb.h, RDB_VERSION).

    Redis since 8.4 writes a higher one than the 12 that is said here, and reads 12.
    """
    if version.kind is EngineKind.VALKEY:
        return 80 if version.numbers >= (9,) else 11
    formats = (((7, 4), 12), ((7, 2), 11), ((7, 0), 10))
    return next((number for since, number in formats if version.numbers >= since), 9)


def has_functions(version: ServerVersion) -> bool:
    """FUNCTION is there: Redis since 7.0 (functions.c), every Valkey."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (7, 0)


def has_expire_time(version: ServerVersion) -> bool:
    """PEXPIRETIME is there: Redis since 7.0 (expire.c), every Valkey."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (7, 0)


def can_pause_writes(version: ServerVersion) -> bool:
    """CLIENT PAUSE knows WRITE: since 6.2 (networking.c, clientCommand); before it, reads would wait as well."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (6, 2)


def checks_replicas_in_scripts(version: ServerVersion) -> bool:
    """A script's writes are refused for want of replicas: since 7.0 (script.c, scriptVerifyWriteCommandAllow)."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (7, 0)


def has_field_expiry(version: ServerVersion) -> bool:
    """Fields of a hash can expire, and HPEXPIRETIME says when: Redis since 7.4, Valkey since 9.0 (its command page)."""
    return version.numbers >= ((9, 0) if version.kind is EngineKind.VALKEY else (7, 4))


def has_no_touch(version: ServerVersion) -> bool:
    """CLIENT NO-TOUCH is there: reads don't make keys look used. Redis since 7.2 (its command page), every Valkey."""
    return version.kind is EngineKind.VALKEY or version.numbers >= (7, 2)


def has_relative_deadlines(version: ServerVersion) -> bool:
    """Replicas are told EXPIRE and SET ... PX as times from now: Redis before 7.0 (expire.c and t_string.c of 6.2)."""
    return version.kind is EngineKind.REDIS and version.numbers < (7,)


def has_import_mode(version: ServerVersion) -> bool:
    """A primary can be told to expire nothing by itself (``import-mode``), and to show clients that import
    (``CLIENT IMPORT-SOURCE ON``) what has expired: Valkey since 8.1 (expireIfNeeded in db.c)."""
    return version.kind is EngineKind.VALKEY and version.numbers >= (8, 1)


def is_supported(version: ServerVersion) -> bool:
    """The oldest server that is tested is 6.2."""
    return version.numbers >= OLDEST


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
