"""`rebuild`: the old cluster archived and set aside, a new one made, and every key back in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from redis.cluster import RedisCluster

from slotwright.model.slots import key_slot
from tests.engines import ENGINES, TestEngine
from tests.integration.conftest import Lab, Outcome

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

RUNNER = Path(__file__).with_name("rebuild_runner.py")
LIBRARY = "#!lua name=mine\nredis.register_function('twice', function(keys, args) return 2 * args[1] end)"
FAR_MS = 4102444800000
"""2100-01-01: a time to live that no test outlives."""


def engine(label: str) -> TestEngine:
    found = next(each for each in ENGINES if each.label == label)
    if found.directory is None:
        pytest.skip(f"no {label} binary on this machine")
    return found


def connect(lab: Lab) -> RedisCluster:
    nodes = lab.run("status", "cache", "--json").json["nodes"]
    host, _, port = next(node["address"] for node in nodes if node["role"] == "primary").rpartition(":")
    return RedisCluster(host=host, port=int(port), password=lab.password())


def made(lab: Lab, engine: TestEngine, ports: tuple[int, ...] = (), **more: object) -> tuple[int, ...]:
    """3 x 2 with keys of all types; the ports."""
    chosen = ports or (lab.free_port(), lab.free_port())
    lab.topology(engine, ports=chosen, **more)
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.out
    fill(lab)
    return chosen


def fill(lab: Lab) -> None:
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
            client.set(f"mortal:{number}", "x", pxat=FAR_MS + number)
        client.set("large", b"z" * 20_000_000)
        if "function" in json.dumps(sorted(client.info("commandstats", target_nodes="random"))) or has_functions(
            client
        ):
            client.function_load(LIBRARY, replace=True)


def has_functions(client: RedisCluster) -> bool:
    return client.info("server", target_nodes="random")["redis_version"] >= "7"


def contents(lab: Lab) -> dict[bytes, tuple]:
    """Key -> type, value and the moment at which it expires."""
    found: dict[bytes, tuple] = {}
    for node in lab.run("status", "cache", "--json").json["nodes"]:
        if node["role"] != "primary":
            continue
        with lab.client(node["address"], lab.password()) as client:
            for key in client.scan_iter(count=1000):
                kind = client.type(key).decode()
                ttl = client.pexpiretime(key) if has_functions_here(client) else client.pttl(key) > 0
                found[key] = (kind, value(client, key, kind), ttl)
    return found


def has_functions_here(client: Redis) -> bool:
    return client.info("server")["redis_version"] >= "7"


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


def rebuilt(lab: Lab, *words: str) -> Outcome:
    done = lab.run("rebuild", "--yes", "--json", *words, timeout=200)
    assert done.code == 0, done.out + done.err
    return done


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


@pytest.mark.parametrize("label", ["redis-6.2", "redis-7.0", "redis-8.2", "valkey-8.1", "valkey-9.1"])
def test_three_shards_become_four_and_every_key_is_back(lab: Lab, label: str) -> None:
    server = engine(label)
    ports = made(lab, server)
    before = contents(lab)
    assert len(before) == 600 + 7 * 60 + 1
    file = lab.topology(server, ports=(*ports, lab.free_port(), lab.free_port()), replicas=2)
    assert len(lab.run("plan", "--json").json["refusals"]) > 0
    file.write_text(file.read_text())
    told = rebuilt(lab).json
    assert len({node["shard"] for node in told["status"]["nodes"]}) == 4
    assert_all_back(lab, before, told)
    with connect(lab) as client:
        if has_functions(client):
            assert (client.fcall("twice", 0, 21), told["keys"]["libraries"]) == (42, 1)
    sums = subprocess.run(["sha256sum", "-c", "SHA256SUMS"], cwd=told["archive"], capture_output=True, check=False)
    assert sums.returncode == 0
    assert Path(told["archive"]).parent == lab.state / "clusters/cache/archives"
