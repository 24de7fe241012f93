"""From a file to a proved cluster and away again, on every server version."""

from __future__ import annotations

import pytest
from redis.cluster import RedisCluster

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers


@pytest.mark.parametrize("engine", engine_params())
def test_a_file_becomes_a_proved_cluster_and_goes_away(lab: Lab, engine: TestEngine) -> None:
    lab.topology(engine, settings="{maxmemory: 64mb, cluster-node-timeout: 15000}")
    assert lab.run("plan").code == 3
    up = lab.run("up", "--yes", "--json")
    assert up.code == 0, up.out + up.err
    status = lab.run("status", "--json").json
    assert (status["state"], status["slots_covered"]) == ("ok", 16384)
    assert all(node["version"].startswith(engine.version_prefix) for node in status["nodes"])
    assert {node["link"] for node in status["nodes"] if node["role"] == "replica"} == {"up"}
    assert lab.run("plan").code == 0
    again = lab.run("up", "--json")
    assert (again.code, again.json["changed"]) == (0, False)
    check = lab.run("check", "--json")
    assert (check.code, check.json["ok"], check.json["findings"]) == (0, True, [])
    first = status["nodes"][0]
    client = RedisCluster(host=first["host"], port=first["port"], password=lab.password())
    for number in range(10_000):
        client.set(f"key:{number}", number)
    assert sum(int(client.get(f"key:{number}")) for number in range(10_000)) == sum(range(10_000))
    client.close()
    gone = lab.run("destroy", "--yes")
    assert gone.code == 0, gone.err
    assert lab.processes() == {}
    assert not lab.state.exists()
