"""`rebuild`: the old cluster archived and set aside, a new one made, and every key back in it."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from slotwright.cluster.slots import key_slot
from tests.engines import TestEngine, chosen, engine
from tests.extent import share
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

RUNNER = Path(__file__).with_name("rebuild_runner.py")
LIBRARY = "#!lua name=mine\nredis.register_function('twice', function(keys, args) return 2 * args[1] end)"
HOUR_MS = 3_600_000
FAR_MS = 4102444800000
"""2100-01-01: a time to live that no test outlives."""


def connect(lab: Lab) -> RedisCluster:
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    host, _, port = next(node["address"] for node in nodes if node["role"] == "primary").rpartition(":")
    return RedisCluster(host=host, port=int(port), password=lab.password())


def made(lab: Lab, server: TestEngine, ports: tuple[int, ...] = (), **more: object) -> tuple[int, ...]:
    """3 x 2 with keys of all types; the ports."""
    chosen = ports or (lab.free_port(), lab.free_port())
    lab.topology(server, ports=chosen, **more)
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.out
    fill(lab, server)
    return chosen


def fill(lab: Lab, server: TestEngine) -> None:
    with connect(lab) as client:
        for number in range(600):
            client.set(f"text:{number}", f"value {number}")
        for number in range(60):
            client.rpush(f"list:{number}", *range(5))
            client.sadd(f"set:{number}", *range(300))
            client.hset(f"hash:{number}", mapping={"a": number, "b": b"\x00\xff"})
            client.zadd(f"sorted:{number}", {"x": 1.5, "y": number})
            client.xadd(f"stream:{number}", {"field": number})
            client.set(f"bytes\x00\r\n {number}\xff".encode("latin-1"), b"\x00\r\n\xff")
            client.set(f"mortal:{number}", "x", pxat=FAR_MS)
        client.set("large", b"z" * 20_000_000)
        if server.label != "redis-6.2":
            client.function_load(LIBRARY, replace=True)


def contents(lab: Lab) -> dict[bytes, tuple]:
    """Key -> type, value and when it expires, to the minute: MIGRATE carries what is left of the time, not its end."""
    found: dict[bytes, tuple] = {}
    for node in lab.run("status", "cache", "--json").json["nodes"]:
        if node["role"] != "primary":
            continue
        with lab.client(node["address"], lab.password()) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key).decode()
                left = client.pttl(key)
                ttl = round((time.time() * 1000 + left) / 60_000) if left > 0 else left
                found[key] = (kind, value(client, key, kind), ttl)
    return found


def value(client: Redis, key: bytes, kind: str) -> object:
    match kind:
        case "string":
            return client.get(key)
        case "list":
            return client.lrange(key, 0, -1)
        case "set":
            return sorted(client.smembers(key))
        case "hash":
            return client.hgetall(key)
        case "zset":
            return client.zrange(key, 0, -1, withscores=True)
        case _:
            return client.xrange(key)


def rebuilt(lab: Lab, *words: str) -> dict:
    done = lab.run("rebuild", "--yes", "--json", *words, timeout=200)
    assert done.code == 0, done.out + done.err
    return done.json


def assert_all_back(lab: Lab, before: dict[bytes, tuple], told: dict) -> None:
    assert contents(lab) == before
    keys = told["keys"]
    assert (keys["equal"], keys["expected"], keys["found"]) == (True, len(before), len(before))
    assert keys["slots"] == len({key_slot(key) for key in before})
    assert keys["expected_by_type"] == keys["found_by_type"]
    assert told["check"]["ok"], told["check"]
    check = lab.run("check", "cache", "--json")
    assert check.code == 0, check.out
    nodes = told["status"]["nodes"]
    # What served the old data is gone, and only the new nodes run.
    assert len(lab.servers()) == len(nodes)
    assert not (lab.state / "clusters/cache/rebuild.json").exists()
    secret = lab.password()
    kept = [path for path in (lab.state / "kept").rglob("*") if path.is_file()]
    assert kept
    assert secret is None or not any(secret.encode() in path.read_bytes() for path in kept)


def kill_everything(lab: Lab) -> None:
    for pid in lab.running():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    lab.wait(lambda: not lab.running(), "the servers to be gone")


def written(lab: Lab, number: int) -> list[Path]:
    """The files of the cluster's AOFs that hold this number."""
    files = (lab.state / "clusters/cache/nodes").glob("*/appendonlydir/*.incr.aof")
    return [file for file in files if b"%d" % number in file.read_bytes()]


def folder(lab: Lab, address: str) -> Path:
    return lab.state / "clusters/cache/nodes" / address.replace(":", "-")


@pytest.mark.parametrize("label", chosen())
def test_three_shards_become_four_and_every_key_is_back(lab: Lab, label: str) -> None:
    server = engine(label)
    ports = made(lab, server)
    before = contents(lab)
    assert len(before) == 600 + 7 * 60 + 1
    lab.topology(server, ports=(*ports, lab.free_port(), lab.free_port()), replicas=2)
    assert lab.run("up", "--yes").code == 4
    told = rebuilt(lab)
    assert len({node["shard"] for node in told["status"]["nodes"]}) == 4
    assert_all_back(lab, before, told)
    with connect(lab) as client:
        if label != "redis-6.2":
            assert (client.fcall("twice", 0, 21), told["keys"]["libraries"]) == (42, 1)
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=told["archive"], capture_output=True, check=False)
    assert sums.returncode == 0
    assert Path(told["archive"]).parent == lab.state / "clusters/cache/archives"
    assert lab.run("destroy", "cache", "--yes").code == 0
    assert lab.servers() == {}
    assert Path(told["archive"], "SHA256SUMS").exists()


@pytest.mark.parametrize("label", chosen("redis-7.0", "valkey-9.1"))
def test_killed_all_at_once_it_comes_back_from_the_disks_with_the_same_file(lab: Lab, label: str) -> None:
    made(lab, engine(label))
    before = contents(lab)
    kill_everything(lab)
    told = rebuilt(lab, "-o", str(lab.folder / "aside"))
    assert told["archive"] == str(lab.folder / "aside")
    assert {found["code"] for found in told["findings"]} == {"copy-not-fresh"}
    assert_all_back(lab, before, told)


def test_fewer_hosts_and_no_replicas_from_snapshots_alone(lab: Lab, embedded: TestEngine) -> None:
    ports = made(lab, embedded, settings="{appendonly: 'no', save: ''}")
    before = contents(lab)
    lab.topology(embedded, ports=ports[:1], replicas=0)
    assert_all_back(lab, before, rebuilt(lab))


def test_a_lost_folder_is_covered_by_the_replica(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    before = contents(lab)
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    primary, replica = (
        next(n["address"] for n in nodes if n["shard"] == 1 and n["role"] == role) for role in ("primary", "replica")
    )
    kill_everything(lab)
    shutil.rmtree(folder(lab, primary))
    told = rebuilt(lab)
    first = next(copy for copy in told["copies"] if copy["shard"] == 1)
    assert (first["address"], "its folder is gone" in first["why"]) == (replica, True)
    assert_all_back(lab, before, told)


def test_a_server_whose_folder_was_taken_away_ends_too(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    before = contents(lab)
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    shutil.rmtree(folder(lab, next(n["address"] for n in nodes if n["shard"] == 1 and n["role"] == "primary")))
    assert_all_back(lab, before, rebuilt(lab))


def test_a_shard_without_any_folder_is_refused_and_nothing_is_changed(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    lost = [node["address"] for node in nodes if node["shard"] == 2]
    kill_everything(lab)
    for address in lost:
        shutil.rmtree(folder(lab, address))
    files = lab.files()
    told = lab.run("rebuild", "--yes", "--json")
    assert (told.code, told.error["code"]) == (4, "shard-not-covered")
    assert all(address in told.error["where"] for address in lost)
    assert lab.files() == files


def test_after_a_failover_the_new_primary_counts_though_nobody_runs(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    replica = next(node["address"] for node in nodes if node["shard"] == 1 and node["role"] == "replica")
    primary = next(node["address"] for node in nodes if node["shard"] == 1 and node["role"] == "primary")
    assert lab.run("failover", replica, "--yes").code == 0
    lab.kill(primary)
    slots = nodes[0]["slots"][0].split("-")
    key = next(f"later:{n}" for n in range(99999) if int(slots[0]) <= key_slot(f"later:{n}".encode()) <= int(slots[1]))
    with lab.client(replica, lab.password()) as client:
        client.set(key, "new")
    kill_everything(lab)
    told = rebuilt(lab)
    assert next(copy for copy in told["copies"] if copy["shard"] == 1)["address"] == replica
    with connect(lab) as client:
        assert client.get(key) == b"new"
    assert told["keys"]["found"] == 600 + 7 * 60 + 1 + 1


def test_empty_archives_and_brings_nothing(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    told = rebuilt(lab, "--empty")
    assert (told["keys"], told["findings"], told["check"]["ok"]) == (None, [], True)
    assert contents(lab) == {}
    manifest = json.loads(Path(told["archive"], "manifest.json").read_text())
    assert sum(node["keys"] for node in manifest["nodes"] if node["role"] == "primary") == 600 + 7 * 60 + 1


def test_strays_come_back_or_are_set_aside_and_expired_keys_are_told_apart(lab: Lab, embedded: TestEngine) -> None:
    made(lab, embedded)
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    primaries = [node for node in nodes if node["role"] == "primary"]
    stray_at = primaries[0]["address"]
    password = lab.password()

    def plant(key: str, value: str) -> None:
        with lab.client(stray_at, password) as client:
            slot = key_slot(key.encode())
            client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", primaries[1]["id"])
            client.execute_command("ASKING")
            client.execute_command("SET", key, value)
            client.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")

    first, last = map(int, primaries[1]["slots"][0].split("-"))
    theirs = [f"stray:{n}" for n in range(2000) if first <= key_slot(f"stray:{n}".encode()) <= last]
    alone, same, different, short = theirs[:4]
    with lab.client(primaries[1]["address"], password) as client:
        client.set(same, "same")
        client.set(different, "right")
    plant(alone, "alone")
    plant(same, "same")
    plant(different, "wrong\x00")
    ends_ms = int(time.time() * 1000) + HOUR_MS
    with lab.client(primaries[1]["address"], password) as client:
        client.set(short, "soon gone", pxat=ends_ms)
    lab.wait(lambda: len(written(lab, ends_ms)) == 2, "the primary and its replica to write it down")
    kill_everything(lab)  # a server that runs would see to it itself
    for file in written(lab, ends_ms):  # two hours go by
        file.write_bytes(file.read_bytes().replace(b"%d" % ends_ms, b"%d" % (ends_ms - 2 * HOUR_MS)))
    done = lab.run("rebuild", "--yes", "--json", timeout=200)
    assert done.code == 3, done.out
    told = done.json
    assert (told["keys"]["strays_brought"], told["keys"]["quarantined"], told["keys"]["equal"]) == (1, 1, True)
    assert {found["code"] for found in told["findings"]} == {"keys-quarantined", "copy-not-fresh"}
    assert told["keys"]["expired"] >= 1
    with connect(lab) as client:
        assert [client.get(key) for key in (alone, same, different, short)] == [b"alone", b"same", b"right", None]
    aside = Path(told["archive"], "quarantine.jsonl")
    assert aside.stat().st_mode & 0o777 == 0o600
    (line,) = [json.loads(line) for line in aside.read_text().splitlines()]
    assert (line["key"], line["type"], line["ttl_ms"]) == (different, "string", -1)
    with connect(lab) as client:
        client.restore(f"copy{{{different}}}", 0, base64.b64decode(line["dump_base64"]))
        assert client.get(f"copy{{{different}}}") == b"wrong\x00"


def test_an_older_server_and_nobody_to_ask_are_refused(lab: Lab, embedded: TestEngine) -> None:
    ports = made(lab, embedded)
    asked = lab.run("rebuild")
    assert (asked.code, "needs --yes" in asked.err) == (2, True)
    lab.topology(engine("valkey-8.1"), ports=ports)
    told = lab.run("rebuild", "--yes", "--json")
    assert (told.code, told.error["code"]) == (4, "data-unreadable")
    lab.topology(embedded, ports=ports)
    assert lab.run("check").code == 0
    assert not (lab.state / "clusters/cache/rebuild.json").exists()


# The first is before anything is destroyed, the last after everything is proved.
CUTS = (
    [("copy", 2), ("stop", 1), ("stop", 2), ("read", 1), ("read", 2), ("copy-keys", 2), ("copy-keys", 4)]
    + [("count", 1), ("count", 2)]
    + [("journal", number) for number in (1, 2, 3, 4, 5, 7, 12, 20, 27)]
)


@pytest.mark.parametrize(("counted", "number"), share(CUTS, 0))
def test_killed_anywhere_the_same_command_brings_everything_back(
    lab: Lab, embedded: TestEngine, counted: str, number: int
) -> None:
    ports = made(lab, embedded)
    before = contents(lab)
    file = lab.topology(embedded, ports=(*ports, lab.free_port()), replicas=1, settings="{maxmemory: 300mb}")
    words = [sys.executable, str(RUNNER), str(file), counted, str(number)]
    cut = subprocess.run(words, cwd=lab.folder, env=lab.environment, capture_output=True, timeout=120, check=False)
    assert cut.returncode == -signal.SIGKILL, cut.stderr.decode()
    assert_all_back(lab, before, rebuilt(lab))
