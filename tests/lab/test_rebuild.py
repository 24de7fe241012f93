"""`rebuild` over SSH: old data served again as the service user, keys carried from host to host."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.machines import Lab
from tests.lab.operator import PASSWORD, Operator


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    return Operator(lab, tmp_path_factory.mktemp("rebuild"))


def test_three_shards_become_four_on_real_hosts(operator: Operator) -> None:
    operator.topology()
    operator.up().succeeded()
    client = operator.client()
    for number in range(500):
        client.set(f"key:{number}", number)
        client.rpush(f"list\0:{number}", number)
    client.close()
    operator.topology(ports=[6379, 6380, 6381, 6382], replicas=2)
    told = operator.run("rebuild", "--yes", "--json").succeeded().json
    keys = told["keys"]
    assert (keys["equal"], keys["expected"], keys["found"]) == (True, 1000, 1000)
    assert len({node["shard"] for node in told["status"]["nodes"]}) == 4
    client = operator.client()
    assert all(client.get(f"key:{number}") == str(number).encode() for number in range(500))
    client.close()
    operator.check().succeeded()
    assert len(told["kept"]) == 3
    for host in operator.lab.hosts.values():
        # Only the new nodes run, and the password is in no folder that is kept.
        kept = host.run("ls -d /var/lib/slotwright/kept/*/*").stdout.split()
        assert len(kept) == 2
        assert host.run(f"grep -rlF '{PASSWORD}' /var/lib/slotwright/kept; true").stdout == ""
        assert host.run("pgrep -c redis-server").stdout.strip() == "4"
    assert Path(told["archive"], "SHA256SUMS").exists()


def test_a_host_that_is_lost_is_left_behind_and_its_shards_come_back_from_replicas(operator: Operator) -> None:
    if (operator.state / "clusters" / "cache").exists():
        operator.destroy().succeeded()
    operator.topology()
    operator.up().succeeded()
    client = operator.client()
    for number in range(300):
        client.set(f"key:{number}", number)
    client.close()
    hosts = operator.hosts()
    operator.lab.hosts["c"].power_off_hard()
    operator.topology(hosts=hosts[:2], ports=[6379, 6380, 6381])
    told = operator.run("rebuild", "--yes", "--json").ended_with(3).json
    assert (told["keys"]["equal"], told["keys"]["found"]) == (True, 300)
    assert {found["code"] for found in told["findings"]} == {"node-left-behind", "copy-not-fresh"}
    assert len({node["host"] for node in told["status"]["nodes"]}) == 2
