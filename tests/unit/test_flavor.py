"""Which server it is, and what that one can do."""

from __future__ import annotations

import pytest

from slotwright.model.cluster import ServerVersion
from slotwright.model.topology import EngineKind
from slotwright.wire.flavor import (
    has_import_mode,
    has_relative_deadlines,
    has_shard_ids,
    is_supported,
    parse_version_output,
    version_from_info,
)


def redis(*numbers: int) -> ServerVersion:
    return ServerVersion(EngineKind.REDIS, numbers)


def valkey(*numbers: int) -> ServerVersion:
    return ServerVersion(EngineKind.VALKEY, numbers)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ed\n", redis(7, 0, 15)),
        ("Redis server v=6.2.5 sha=00000000:0 malloc=libc bits=64 build=1", redis(6, 2, 5)),
        ("Redis server v=8.2.3 sha=b5d43ceb:0", redis(8, 2, 3)),
        ("Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64", valkey(9, 1, 2)),
        ("Redis server v=255.255.255 sha=1", redis(255, 255, 255)),
        ("Redis server version 2.4.6", None),
        ("bash: redis-server: command not found", None),
        ("", None),
    ],
)
def test_what_the_binary_prints(text: str, version: ServerVersion | None) -> None:
    assert parse_version_output(text) == version


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"redis_version": "7.0.15"}, redis(7, 0, 15)),
        ({"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "9.1.2"}, valkey(9, 1, 2)),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.8-rc1"}, valkey(8, 1, 8)),
        ({"redis_version": "7.9.240"}, redis(7, 9, 240)),
        ({}, redis(0)),
    ],
)
def test_what_info_says(info: dict[str, str], version: ServerVersion) -> None:
    assert version_from_info(info) == version


@pytest.mark.parametrize(
    ("version", "has", "supported"),
    [
        (redis(6, 0, 9), False, False),
        (redis(6, 2, 0), False, True),
        (redis(7, 0, 15), False, True),
        (redis(7, 2, 0), True, True),
        (redis(10, 0, 0), True, True),
        (valkey(7, 2, 5), True, True),
        (valkey(9, 1, 2), True, True),
    ],
)
def test_capabilities(version: ServerVersion, has: bool, supported: bool) -> None:
    assert (has_shard_ids(version), is_supported(version)) == (has, supported)


@pytest.mark.parametrize(
    ("version", "is_relative", "imports"),
    [
        (redis(6, 2, 5), True, False),
        (redis(7, 0, 0), False, False),
        (redis(10, 0, 0), False, False),
        (valkey(7, 2, 5), False, False),
        (valkey(8, 0, 3), False, False),
        (valkey(8, 1, 0), False, True),
        (valkey(9, 1, 2), False, True),
    ],
)
def test_what_a_migration_has_to_know(version: ServerVersion, is_relative: bool, imports: bool) -> None:
    assert (has_relative_deadlines(version), has_import_mode(version)) == (is_relative, imports)


def test_versions_have_titles_for_people() -> None:
    assert [valkey(9, 1, 2).title, redis(7, 0, 15).title] == ["Valkey 9.1.2", "Redis 7.0.15"]
