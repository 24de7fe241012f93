"""A replica that could not copy yet what it was told to follow has another shard's data: it takes no shard over."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from redis.cluster import RedisCluster

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab

KEYS = 300


@dataclass(frozen=True)
class Misled:
    primary: str
    replica: str
    misled: str


def mislead(lab: Lab, engine: TestEngine) -> Misled:
    """A cluster with keys. Shard 2's replica follows the primary of shard 1, and can't log in there."""
    lab.topology(engine, settings="{cluster-node-timeout: 3000}")
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    primary, other, _ = (node for node in nodes if node["role"] == "primary")
    replica, misled = (
        next(node for node in nodes if node["replica_of"] == each["id"])["address"] for each in (primary, other)
    )
    host, _, port = primary["address"].rpartition(":")
    client = RedisCluster(host=host, port=int(port), password=lab.password())
    for number in range(KEYS):
        client.set(f"key:{number}", number)
    client.close()
    lab.wait(lambda: sum(node["keys"] for node in lab.run("status", "--json").json["nodes"]) == 2 * KEYS, "replicas")
    with lab.client(misled, lab.password()) as client:
        client.execute_command("CONFIG SET", "masterauth", "another one")
        client.execute_command("CLUSTER REPLICATE", primary["id"])
        lab.wait(lambda: client.info("replication")["master_link_status"] == "down", "its link to be down")
        assert client.dbsize(), "it has what it copied before"
    return Misled(primary["address"], replica, misled)


@pytest.mark.parametrize("engine", engine_params())
def test_a_replica_with_another_shards_data_takes_no_shard(lab: Lab, engine: TestEngine) -> None:
    """The primary's folder is gone, its own replica is down with everything on its disk, and the misled one runs."""
    made = mislead(lab, engine)
    lab.kill(made.replica)
    lab.kill(made.primary)
    shutil.rmtree(lab.state / "clusters" / "cache" / "nodes" / made.primary.replace(":", "-"))
    for _ in range(2):
        print(lab.run("repair", "--yes").out)
    after = lab.run("status", "--json").json["nodes"]
    assert sum(node["keys"] for node in after if node["role"] == "primary") == KEYS
    assert next(node["role"] for node in after if node["address"] == made.replica) == "primary"


@pytest.mark.parametrize("engine", engine_params())
def test_servers_that_elected_the_wrong_replica_before_anybody_looked(lab: Lab, engine: TestEngine) -> None:
    """The right copies are on the disks of the two that are down, and would copy a primary that has none of it."""
    made = mislead(lab, engine)
    lab.kill(made.replica)
    lab.kill(made.primary)
    with lab.client(made.misled, lab.password()) as client:
        lab.wait(lambda: client.info("replication")["role"] == "master", "the servers' own failover")
    for verb in (("start",), ("up", "--yes")):
        told = lab.run(*verb, "--json")
        assert (told.code, told.error["code"]) == (4, "other-history"), told
    told = lab.run("repair", "--yes", "--json")
    assert {step["word"] for step in told.json["refused"]} == {"replace-copy"}, told
    folders = [
        lab.state / "clusters" / "cache" / "nodes" / name.replace(":", "-") for name in (made.primary, made.replica)
    ]
    assert all(b"key:" in b"".join(path.read_bytes() for path in folder.rglob("*.aof")) for folder in folders)
    with lab.client(made.misled, lab.password()) as client:
        client.execute_command("CONFIG SET", "masterauth", lab.password())
    told = lab.run("repair", "--yes", "--accept", "replace-copy", "--json")
    assert (told.code, [step["step"] for step in told.json["done"] if step["word"]]) == (0, ["start"] * 2), told.out
    assert any(path.name.endswith(".tar.gz") for path in Path(told.json["archive"]).iterdir()), told
