"""Which server it is, and what that one can do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import slotwright
from slotwright.cluster.observation import ServerVersion
from slotwright.cluster.topology import EngineKind
from slotwright.server.capabilities import (
    QUESTIONS,
    WHICH_COMMANDS,
    Capability,
    can_read_data,
    capabilities_from,
    capabilities_of,
    is_supported,
    parse_version_output,
    snapshot_format,
    version_from_info,
)
from slotwright.server.capabilities.table import ROWS


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
    assert (capabilities_of(version).has(Capability.SHARD_IDS), is_supported(version)) == (has, supported)


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
    server = capabilities_of(version)
    assert (not server.has(Capability.ABSOLUTE_DEADLINES), server.has(Capability.IMPORT_MODE)) == (is_relative, imports)


def test_versions_have_titles_for_people() -> None:
    assert [valkey(9, 1, 2).title, redis(7, 0, 15).title] == ["Valkey 9.1.2", "Redis 7.0.15"]


def test_each_capability_has_its_row() -> None:
    assert [row.capability for row in ROWS] == sorted(Capability, key=lambda capability: capability.value)


SEVEN = redis(7, 0, 15)
COMMANDS = WHICH_COMMANDS[2:]


def told(*names: str, flags: dict[str, list[bytes]] | None = None) -> list[object]:
    """A server's line for each command that it knows."""
    flags = flags or {}
    return [[name.encode(), 1, flags.get(name, [])] if name in names else None for name in COMMANDS]


def no_settings() -> list[object]:
    return [[] for _ in QUESTIONS[1:]]


def test_what_a_server_tells_counts_for_more_than_its_version() -> None:
    server = capabilities_from(SEVEN, [told("PEXPIRETIME", "HPEXPIRETIME"), *no_settings()])
    assert server.has(Capability.EXPIRE_TIME) and server.has(Capability.FIELD_EXPIRY)
    assert not server.has(Capability.DISABLES_HUGE_PAGES)
    setting = capabilities_from(SEVEN, [told(), [b"disable-thp", b"yes"], [b"import-mode", b"no"]])
    assert setting.has(Capability.DISABLES_HUGE_PAGES) and setting.has(Capability.IMPORT_MODE)


def test_what_can_not_be_asked_comes_from_the_table() -> None:
    server = capabilities_from(SEVEN, [told(), *no_settings()])
    assert server.has(Capability.SCRIPT_REPLICA_CHECK) and not server.has(Capability.SHARD_IDS)


def test_settings_need_not_be_asked() -> None:
    server = capabilities_from(valkey(9, 1), [told("PEXPIRETIME")])
    assert server.has(Capability.IMPORT_MODE) and not server.has(Capability.FIELD_EXPIRY)


def test_a_command_that_was_renamed_may_be_there() -> None:
    server = capabilities_from(SEVEN, [told("PEXPIRETIME"), *no_settings()])
    assert not server.has(Capability.FUNCTIONS) and server.may_have(Capability.FUNCTIONS)
    assert not server.may_have(Capability.FIELD_EXPIRY)


@pytest.mark.parametrize("reply", [ValueError("NOPERM"), None, b"OK", 3, [], [None], [None] * 20], ids=repr)
def test_what_is_refused_or_no_reply_comes_from_the_table(reply: object) -> None:
    replies = [reply, *(reply if not isinstance(reply, list) else None for _ in QUESTIONS[1:])]
    assert capabilities_from(SEVEN, replies) == capabilities_of(SEVEN)


@pytest.mark.parametrize(
    "entry", [[], [b"psync"], [b"psync", -3, None], [b"psync", -3, [b"admin"]], b"psync"], ids=repr
)
def test_a_flag_has_to_be_told(entry: object) -> None:
    lines = [entry if name == "PSYNC" else None for name in COMMANDS]
    assert not capabilities_from(SEVEN, [lines, *no_settings()]).has(Capability.REFUSES_TO_QUEUE_PSYNC)


def test_a_flag_that_is_told() -> None:
    lines = told("PSYNC", flags={"PSYNC": [b"admin", b"no_multi"]})
    assert capabilities_from(redis(6, 2), [lines, *no_settings()]).has(Capability.REFUSES_TO_QUEUE_PSYNC)


@pytest.mark.parametrize(
    ("version", "number"),
    [
        (redis(6, 2), 9),
        (redis(7, 0), 10),
        (redis(7, 2), 11),
        (redis(7, 4), 12),
        (redis(8, 2), 12),
        (valkey(8, 1), 11),
        (valkey(9, 0, 0), 80),
    ],
)
def test_formats_of_snapshots(version: ServerVersion, number: int) -> None:
    assert snapshot_format(version) == number


@pytest.mark.parametrize(
    ("reader", "writer", "reads"),
    [
        (redis(7, 0), redis(6, 2), True),
        (redis(6, 2), redis(7, 0), False),
        (valkey(9, 1), redis(7, 2), True),
        (valkey(9, 1), redis(7, 4), False),
        (redis(8, 2), valkey(8, 1), True),
        (redis(8, 2), valkey(9, 0), False),
        (redis(), valkey(9, 0), False),
        (redis(), redis(6, 2), True),
    ],
)
def test_who_reads_whose_files(reader: ServerVersion, writer: ServerVersion, reads: bool) -> None:
    assert can_read_data(reader, writer) is reads


def test_nobody_else_compares_versions() -> None:
    """Decisions ask for a capability: a number elsewhere is a row that the table lacks."""
    source = Path(slotwright.__file__).parent
    compared = re.compile(r"version\.numbers *(\[|[<>=]=? )|[<>]=? *\w*version\.numbers")
    found = [
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if compared.search(path.read_text()) and path.parent != source / "server/capabilities"
    ]
    assert found == []
