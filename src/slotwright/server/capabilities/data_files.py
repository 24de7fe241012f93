"""Who reads the files that another server wrote. A file can't be asked: its writer's version and this table say it.

``make capabilities`` holds the formats to what the servers write and take.
"""

from __future__ import annotations

from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind

_LAST_COMMON_FORMAT = 11
_VALKEY_FORMATS = (((9, 0), 80),)
_REDIS_FORMATS = (((7, 4), 12), ((7, 2), 11), ((7, 0), 10))


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


def snapshot_format(version: ServerVersion) -> int:
    """The RDB version that a server writes, the newest that it reads (rdb.h, RDB_VERSION).

    Redis since 8.4 writes a higher one than the 12 that is said here, and reads 12.
    """
    is_valkey = version.kind is EngineKind.VALKEY
    formats, oldest = (_VALKEY_FORMATS, 11) if is_valkey else (_REDIS_FORMATS, 9)
    return next((number for since, number in formats if version.numbers >= since), oldest)


def drops_strays_when_it_leads(version: ServerVersion) -> bool:
    """Whether a replica that takes over deletes the keys that it has of other nodes' slots, as primaries of Valkey do
    when they start. Seen on 9.1.2 ("I have keys for slot N, but the slot is assigned to another node"), not on 8.1.8.
    """
    return version.kind is EngineKind.VALKEY and version.numbers >= (9, 0)
