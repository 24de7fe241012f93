"""Why a node is down, or not well, as its host tells it: provoked on real servers, one after the other."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from pathlib import Path

import pytest
from redis.exceptions import ResponseError

from tests.engines import TestEngine, engine_params
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


def test_refused_writes_are_told_once_and_not_waited_for(lab: Lab, pair: tuple[str, str]) -> None:
    """Out of memory, and too few replicas: the cause has the answer that a client gets, and repair ends at once."""
    primary, _ = pair
    for name, value, code in (
        ("maxmemory", str(1_000_000), "memory-near-limit"),
        ("min-replicas-to-write", "3", "replicas-required"),
    ):
        with lab.client(primary, lab.password()) as client:
            usual = client.config_get(name)[name]
            client.config_set(name, value)
        found = lab.run("check", "--json")
        told = [each for each in found.json["findings"] if each["code"] != "settings-differ"]
        assert (found.json["proved"], found.code) == (False, 3)
        assert [(each["code"], each["severity"], each["where"]) for each in told] == [(code, "serious", primary)], told
        assert "could not be written" in told[0]["seen"]
        began = time.monotonic()
        done = lab.run("repair", "--yes", "--json")
        assert done.code != 0 and time.monotonic() - began < 20, "no waiting heals it"
        with lab.client(primary, lab.password()) as client:
            client.config_set(name, usual)
    assert lab.run("check", "--json").code == 0


@pytest.mark.parametrize("engine", engine_params())
def test_a_node_that_announces_another_address(lab: Lab, engine: TestEngine) -> None:
    """The cause alone is told, and repair has it announce its own address. It is never held failed: its own pings to
    the others are heard."""
    lab.topology(engine, settings="{cluster-node-timeout: 4000}")
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    wrong = next(node["address"] for node in nodes if node["role"] == "primary")
    others = [node["address"] for node in nodes if node["address"] != wrong]
    host = wrong.rpartition(":")[0]
    with lab.client(wrong, lab.password()) as client:
        client.config_set("cluster-announce-ip", "127.0.99.99")

    def is_lost(address: str) -> bool:
        with lab.client(address, lab.password()) as client:
            told = client.execute_command("CLUSTER", "NODES", NEVER_DECODE=True).decode()
        return any("127.0.99.99" in line and " disconnected" in line for line in told.splitlines())

    lab.wait(lambda: all(map(is_lost, others)), "the others to lose it")
    found = lab.run("check", "--json").json["findings"]
    assert [(each["code"], each["severity"], each["where"]) for each in found] == [
        ("announced-wrong", "serious", wrong)
    ], found
    assert "127.0.99.99" in found[0]["what"] and "5 nodes look for its cluster bus there" in found[0]["what"]
    assert f"CONFIG SET cluster-announce-ip {host}" in found[0]["remedy"]
    assert "could not be written" in found[0]["seen"], "the canary is its evidence"
    done = lab.run("repair", "--yes", "--json")
    assert done.code == 0, done
    check = lab.run("check", "--json")
    assert (check.code, check.json["proved"], check.json["findings"]) == (0, True, [])
    with lab.client(wrong, lab.password()) as client:
        assert client.config_get("cluster-announce-ip")["cluster-announce-ip"] == host


@pytest.mark.parametrize("engine", engine_params())
def test_files_that_were_deleted_under_a_running_server(lab: Lab, engine: TestEngine) -> None:
    """Named by check; the file can be written anew, and destroy ends the server whose folder is gone."""
    lab.topology(engine, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    first, second = (node["address"] for node in nodes if node["role"] == "primary" and node["shard"] != 2)
    with lab.client(first, lab.password()) as client:
        written = 0
        for number in range(400):
            try:
                client.set(f"key:{number}", "x" * 200)
                written += 1
            except ResponseError:
                continue
        assert written > 50
    folder = folder_of(lab, first)
    log = folder / "appendonlydir" if (folder / "appendonlydir").exists() else folder / "appendonly.aof"
    shutil.rmtree(log) if log.is_dir() else log.unlink()
    assert check(lab) == [("append-log-lost", "serious", first)]
    plan = lab.run("repair", "--plan", "--json")
    assert [each["code"] for each in plan.json["unrepaired"]] == ["append-log-lost"], "it has no step, and is told"
    with lab.client(first, lab.password()) as client:
        client.bgrewriteaof()
        lab.wait(lambda: not client.info("persistence")["aof_rewrite_in_progress"], "it to be written anew")
    lab.wait(lambda: check(lab) == [], "the file to be there")

    shutil.rmtree(folder_of(lab, second))
    assert check(lab) == [("folder-lost", "serious", second)]
    for verb in ("destroy --keep-data", "stop", "stop --kill"):
        refused = lab.run(*verb.split(), "--yes", "--json")
        assert (refused.code, refused.error["code"]) == (4, "folder-lost"), refused
    assert len(lab.run("status", "--json").json["nodes"]) == 6
    gone = lab.run("destroy", "--yes")
    assert gone.code == 0 and "no process and no file is left" in gone.out
    host, port = second.split(":")
    with socket.socket() as probe:
        assert probe.connect_ex((host, int(port))) != 0, "it ended"
    assert lab.run("up", "--yes").code == 0


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
