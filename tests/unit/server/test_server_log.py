"""What servers say when something is wrong: the ends of real logs below ``logs``, of Redis 7.0 and Valkey 9.1."""

from __future__ import annotations

from pathlib import Path

import pytest

from slotwright.server.server_log import (
    SaveFault,
    StartFault,
    TruncatedLog,
    came_up,
    failed_start,
    how_ended,
    last_run,
    reconnect_rate,
    save_fault,
    start_fault,
    truncated_log,
)

LOGS = Path(__file__).parent / "logs"
ENGINES = ("redis-7.0", "valkey-9.1")
engines = pytest.mark.parametrize("engine", ENGINES)


def log(engine: str, name: str) -> str:
    return (LOGS / engine / f"{name}.log").read_text()


@engines
@pytest.mark.parametrize(
    ("name", "fault", "said"),
    [
        ("append-log-damaged", StartFault.APPEND_LOG, "Bad file format reading the append only file"),
        ("append-log-torn-refused", StartFault.APPEND_LOG, "Unexpected end of file reading the append only file"),
        ("append-log-missing", StartFault.APPEND_LOG, "Unable to obtain the AOF file"),
        ("snapshot-short", StartFault.SNAPSHOT, "Short read or OOM loading DB"),
        ("snapshot-signature", StartFault.SNAPSHOT, "Wrong signature trying to load DB from file"),
        ("snapshot-damaged", StartFault.SNAPSHOT, ""),
        ("port-taken", StartFault.ADDRESS, "Could not create server TCP listening socket"),
    ],
)
def test_why_a_start_failed(engine: str, name: str, fault: StartFault, said: str) -> None:
    found = start_fault(log(engine, name))
    assert found is not None
    assert found[0] is fault
    assert said in found[1]
    assert "make a backup" not in found[1] and "You can" not in found[1]


@pytest.mark.parametrize("name", ["map-cut", "map-garbage"])
def test_a_map_that_redis_can_not_read(name: str) -> None:
    assert start_fault(log("redis-7.0", name)) == (
        StartFault.MAP,
        "Unrecoverable error: corrupted cluster config file.",
    )


@pytest.mark.parametrize("name", ["map-cut", "map-garbage"])
def test_valkey_crashes_over_such_a_map_and_buries_its_words(name: str) -> None:
    # 8 KiB of its report may be all that is read: the map itself has to be looked at.
    assert how_ended(log("valkey-9.1", name)) == "crashed"


def test_another_server_has_the_map() -> None:
    line = (
        "8099:M 26 Nov 2026 09:55:46.650 # Sorry, the cluster configuration file nodes.conf is already used by a "
        "different Redis Cluster node. Please make sure that different nodes use different cluster configuration files."
    )
    found = start_fault(line)
    assert found is not None
    assert found[0] is StartFault.MAP_IN_USE


@engines
@pytest.mark.parametrize("name", ["append-log-torn", "killed", "map-empty", "shut-down", "disk-full-save", "files-low"])
def test_who_came_up_has_no_fault_of_its_start(engine: str, name: str) -> None:
    assert start_fault(log(engine, name)) is None
    assert came_up(log(engine, name))
    assert failed_start(log(engine, name)) == ""


@engines
def test_only_the_last_start_counts(engine: str) -> None:
    again = log(engine, "append-log-damaged") + log(engine, "killed")
    assert start_fault(again) is None
    assert "Bad file format" not in last_run(again)
    assert start_fault(log(engine, "killed") + log(engine, "append-log-damaged")) is not None


@engines
def test_a_start_that_failed_has_last_words(engine: str) -> None:
    assert "Failed listening on port" in failed_start(log(engine, "port-taken"))


@engines
@pytest.mark.parametrize(
    ("name", "ended"), [("killed", ""), ("shut-down", "asked to shut down"), ("crashed", "crashed")]
)
def test_how_a_run_ended(engine: str, name: str, ended: str) -> None:
    assert how_ended(log(engine, name)) == ended


@engines
@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("disk-full-append", SaveFault.DISK_FULL),
        ("disk-full-rewrite", SaveFault.DISK_FULL),
        ("disk-full-save", SaveFault.DISK_FULL),
        ("folder-mode", SaveFault.MODE),
        ("no-fork", SaveFault.FORK),
    ],
)
def test_why_it_can_not_write(engine: str, name: str, fault: SaveFault) -> None:
    found = save_fault(log(engine, name))
    assert found is not None
    assert found[0] is fault


@engines
@pytest.mark.parametrize("name", ["killed", "shut-down", "auth-missing", "files-low", "append-log-torn"])
def test_who_can_write_has_no_such_fault(engine: str, name: str) -> None:
    assert save_fault(log(engine, name)) is None


def test_the_answer_to_a_ping_tells_it_too() -> None:
    found = save_fault("MISCONF Errors writing to the AOF file: No space left on device")
    assert found == (SaveFault.DISK_FULL, "MISCONF Errors writing to the AOF file: No space left on device")
    assert save_fault("") is None


@engines
def test_a_torn_append_log(engine: str) -> None:
    assert truncated_log(log(engine, "append-log-torn")) == TruncatedLog("appendonly.aof.1.incr.aof", 6374)
    assert truncated_log(log(engine, "append-log-torn") + log(engine, "killed")) is None
    assert truncated_log(log(engine, "append-log-torn-refused")) is None


def test_a_torn_append_log_of_one_file_as_before_7_0() -> None:
    lines = (
        "1:M 26 Nov 2026 09:55:28.938 # !!! Truncating the AOF at offset 6374 !!!\n"
        "1:M 26 Nov 2026 09:55:28.938 # AOF loaded anyway because aof-load-truncated is enabled\n"
    )
    assert truncated_log(lines) == TruncatedLog("", 6374)


def test_a_replica_that_reconnects_at_once_floods_its_log() -> None:
    rate = reconnect_rate(log("redis-7.0", "auth-missing"))
    assert rate is not None
    assert rate.bytes_per_s > 100_000
    assert rate.lines_per_s > 1000


@pytest.mark.parametrize(("engine", "name"), [("redis-7.0", "auth-rejected"), ("valkey-9.1", "auth-rejected")])
def test_a_replica_that_waits_between_its_tries_does_not(engine: str, name: str) -> None:
    rate = reconnect_rate(log(engine, name))
    assert rate is not None
    assert 100 < rate.bytes_per_s < 1000


def test_a_log_with_nothing_of_the_kind_has_no_rate() -> None:
    assert reconnect_rate("") is None
    assert reconnect_rate(log("redis-7.0", "killed")) is None
