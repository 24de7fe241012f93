"""`drill`: a primary is taken away under load, clients' loss is counted, and the cluster is whole again."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine
from tests.integration.conftest import Lab

QUICK = "{cluster-node-timeout: 2000}"


def process_of(lab: Lab, address: str) -> int:
    with lab.client(address, lab.password()) as client:
        return client.info("server")["process_id"]


@pytest.mark.parametrize("how", [(), ("--freeze",)], ids=["killed", "frozen"])
def test_a_primary_is_taken_away_and_everything_promised_is_there(
    lab: Lab, embedded: TestEngine, how: tuple[str, ...]
) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    before = lab.run("status", "--json").json["nodes"]
    victim = next(node for node in before if node["role"] == "primary")
    process = process_of(lab, victim["address"])
    page = lab.folder / "drill.html"
    told = lab.run("drill", "cache", "--yes", "--json", "--html", str(page), *how, timeout=150)
    assert told.code == 0, told.out + told.err
    drill = told.json
    assert (drill["passed"], drill["nodes"], drill["frozen"]) == (True, [victim["address"]], bool(how))
    (shard,) = drill["shards"]
    assert shard["was"] == victim["address"]
    assert 1 < shard["promoted_s"] < 30
    assert shard["write_outage_s"] > 1
    assert drill["writes"]["acknowledged"] > 100
    assert (drill["writes"]["lost"], drill["lost_keys"]) == (0, [])
    after = lab.run("status", "--json").json["nodes"]
    assert all(node["reachable"] for node in after)
    assert sum(node["keys"] for node in after) == 0, "the ledger's keys are taken away"
    assert process_of(lab, victim["address"]) != process, "one whose place was taken answers nothing that waits for it"
    text = page.read_text()
    assert "<svg" in text
    assert victim["address"] in text


def test_what_would_be_an_outage_is_refused(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    nodes = lab.run("status", "--json").json["nodes"]
    primary = next(node for node in nodes if node["role"] == "primary")
    lab.kill(next(node for node in nodes if node["replica_of"] == primary["id"])["address"])
    refused = lab.run("drill", "cache", "--node", primary["address"], "--yes", "--json")
    assert (refused.code, refused.error["code"], refused.error["left"]) == (4, "not-sound", "nothing was changed")
    assert lab.run("drill", "cache", "--json").code == 2


def test_a_planned_failover_loses_nothing(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    told = lab.run("drill", "cache", "--planned", "--yes", "--json", timeout=150)
    assert told.code == 0, told.out + told.err
    drill = told.json
    assert (drill["passed"], drill["planned"], drill["writes"]["lost"], drill["lost_keys"]) == (True, True, 0, [])
    (shard,) = drill["shards"]
    assert shard["now"] != shard["was"]
    assert lab.run("drill", "cache", "--planned", "--freeze", "--yes").code == 2
