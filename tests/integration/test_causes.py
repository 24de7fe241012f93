"""Why a node is down, or not well, as its host tells it: provoked on real servers, one after the other."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.engines import TestEngine
from tests.integration.conftest import Lab

QUICK = "{cluster-node-timeout: 60000}"
Told = list[tuple[str, str, str]]


def check(lab: Lab) -> Told:
    found = lab.run("check", "--json").json
    assert found["unjudged"] == []
    return [(each["code"], each["severity"], each["where"]) for each in found["findings"]]


def folder_of(lab: Lab, address: str) -> Path:
    return next(lab.folder.rglob(address.replace(":", "-")))


@pytest.fixture
def pair(lab: Lab, embedded: TestEngine) -> tuple[str, str]:
    """A cluster, with a primary and a replica of two shards."""
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    primary = next(node for node in nodes if node["role"] == "primary")
    replica = next(node for node in nodes if node["role"] == "replica" and node["replica_of"] != primary["id"])
    return primary["address"], replica["address"]


def test_a_stopped_primary_and_a_replica_without_a_map(lab: Lab, pair: tuple[str, str]) -> None:
    primary, replica = pair
    assert check(lab) == []
    lab.kill(primary, signal.SIGSTOP)
    try:
        assert check(lab) == [("node-stopped", "serious", primary)]
        lab.kill(replica)
        map_file = folder_of(lab, replica) / "nodes.conf"
        whole = map_file.read_text()
        map_file.write_text(whole[:60])
        assert check(lab) == [("node-stopped", "serious", primary), ("map-broken", "warning", replica)]
        map_file.unlink()
        assert check(lab) == [("node-stopped", "serious", primary), ("map-lost", "warning", replica)]
        map_file.write_text(whole)
        assert check(lab) == [("node-stopped", "serious", primary), ("node-down", "warning", replica)]
    finally:
        lab.kill(primary, signal.SIGCONT)


def test_an_append_only_file_that_is_torn_and_one_that_is_damaged(lab: Lab, pair: tuple[str, str]) -> None:
    _, replica = pair
    lab.kill(replica)
    log = sorted((folder_of(lab, replica) / "appendonlydir").glob("*.incr.aof"))[-1]
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$9\r\nto")
    assert lab.run("start", "cache", replica).code == 0
    assert check(lab) == [("append-log-cut", "note", replica)]
    lab.kill(replica)
    log = sorted((folder_of(lab, replica) / "appendonlydir").glob("*.incr.aof"))[-1]
    with log.open("ab") as file:
        file.write(b"*3\r\n$3\r\nSET\r\nXXXXXXXXXX\r\n*1\r\n")
    assert lab.run("start", "cache", replica).code != 0
    assert check(lab) == [("append-log-damaged", "warning", replica)]
