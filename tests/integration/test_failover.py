"""`failover`: a replica takes over on purpose and nothing is lost; primaries go back to where the file has them."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.integration.conftest import Lab
from tests.ledger import Ledger

QUICK = "{cluster-node-timeout: 3000}"


def nodes(lab: Lab) -> list[dict]:
    return lab.run("status", "--json").json["nodes"]


def a_shard(lab: Lab) -> tuple[dict, dict]:
    found = nodes(lab)
    primary = next(node for node in found if node["role"] == "primary")
    return primary, next(node for node in found if node["replica_of"] == primary["id"])


@pytest.mark.parametrize("engine", engine_params())
def test_a_failover_on_purpose_loses_nothing_and_can_be_taken_back(lab: Lab, engine: TestEngine) -> None:
    lab.topology(engine)
    assert lab.run("up", "--yes").code == 0
    primary, replica = a_shard(lab)
    with Ledger((primary["address"],), lab.password()) as ledger:
        lab.wait(lambda: len(ledger.acknowledged) > 200, "some writes")
        done = lab.run("failover", replica["address"], "--yes", "--json")
        assert done.code == 0, done.out
        (step,) = done.json["failovers"]
        assert (step["primary"], step["was"], step["forced"]) == (
            replica["address"],
            primary["address"],
            False,
        )
        seen = len(ledger.acknowledged)
        lab.wait(lambda: len(ledger.acknowledged) > seen + 100, "writes to the new primary")
        back = lab.run("failover", "--restore-plan", "cache", "--yes", "--json")
        assert back.code == 0, back.out
        assert [each["primary"] for each in back.json["failovers"]] == [primary["address"]]
    assert not ledger.lost()
    assert {node["id"]: node["role"] for node in nodes(lab)}[primary["id"]] == "primary"
    again = lab.run("failover", "--restore-plan", "--yes")
    assert (again.code, "nothing to do" in again.out) == (0, True)
    assert lab.run("failover", primary["address"], "--yes", "--json").json["failovers"] == []


def test_a_primary_that_does_not_answer_can_not_hand_over(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded, settings=QUICK)
    assert lab.run("up", "--yes").code == 0
    primary, replica = a_shard(lab)
    lab.kill(primary["address"])
    refused = lab.run("failover", replica["address"], "--yes", "--json")
    if refused.code != 4:  # the servers were quicker
        assert refused.code == 3
        return
    assert refused.error["code"] == "failover-impossible"
    assert "--force" in refused.error["hint"]
    forced = lab.run("failover", replica["address"], "--force", "--yes", "--json")
    assert forced.code == 3, forced.out  # the former primary is down
    assert {node["id"]: node["role"] for node in nodes(lab)}[replica["id"]] == "primary"


def test_what_can_not_be_promoted(lab: Lab, embedded: TestEngine) -> None:
    lab.topology(embedded)
    assert lab.run("up", "--yes").code == 0
    unknown = lab.run("failover", "127.0.0.1:1", "cache", "--yes", "--json")
    assert (unknown.code, unknown.error["code"]) == (2, "unknown-node")
    assert lab.run("failover", "--yes").code == 2
    asked = lab.run("failover", a_shard(lab)[1]["address"], "--json")
    assert asked.code == 2
    assert "--yes" in asked.out
