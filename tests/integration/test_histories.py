"""A replica that could not copy yet what it was told to follow has another shard's data: it takes no shard over."""

from __future__ import annotations

import shutil

import pytest
from redis.cluster import RedisCluster

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab

KEYS = 300


@pytest.mark.parametrize("engine", engine_params())
def test_a_replica_with_another_shards_data_takes_no_shard(lab: Lab, engine: TestEngine) -> None:
    """The primary's folder is gone, its own replica is down with everything on its disk, and the misled one runs."""
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
    lab.kill(replica)
    lab.kill(primary["address"])
    shutil.rmtree(lab.state / "clusters" / "cache" / "nodes" / primary["address"].replace(":", "-"))
    for _ in range(2):
        print(lab.run("repair", "--yes").out)
    after = lab.run("status", "--json").json["nodes"]
    assert sum(node["keys"] for node in after if node["role"] == "primary") == KEYS
    assert next(node["role"] for node in after if node["address"] == replica) == "primary"
