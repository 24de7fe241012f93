"""F21: a primary without persistence is not started while its replica would follow it into emptiness."""

from __future__ import annotations

from redis.cluster import RedisCluster

from tests.engines import TestEngine
from tests.integration.conftest import Lab

NOTHING_KEPT = '{appendonly: "no", save: "", cluster-node-timeout: 4000}'


def test_an_empty_primary_waits_for_its_replica(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=NOTHING_KEPT)
    assert lab.run("up", "--yes").code == 0
    victim = next(node for node in lab.run("status", "--json").json["nodes"] if node["role"] == "primary")
    host, _, port = victim["address"].rpartition(":")
    client = RedisCluster(host=host, port=int(port), password=lab.password())
    for number in range(300):
        client.set(f"key:{number}", number)
    client.close()
    lab.kill(victim["address"])
    refused = lab.run("up", "--yes", "--json")
    assert (refused.code, refused.error["code"], refused.error["where"]) == (
        4,
        "empty-primary-start",
        victim["address"],
    )
    assert refused.error["left"] == "nothing was changed"

    def goes_on() -> bool:
        return lab.run("up", "--yes", "--json").code != 4

    lab.wait(goes_on, "its replica to take over")
    nodes = lab.run("status", "--json").json["nodes"]
    assert sum(node["keys"] for node in nodes if node["role"] == "primary") == 300
    assert all(node["reachable"] for node in nodes)
