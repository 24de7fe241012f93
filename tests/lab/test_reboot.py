"""Power: one host or all go down, in order or by the plug, and the cluster comes back without anybody's help."""

from __future__ import annotations

import shutil

import pytest

from tests.lab.looks import pids, rules
from tests.lab.machines import Lab
from tests.lab.operator import Operator, eventually

KEYS = 300


@pytest.fixture(scope="module")
def formed(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """One cluster for all tests."""
    operator = Operator(lab, tmp_path_factory.mktemp("reboot"))
    form(operator)
    return operator


@pytest.fixture
def operator(formed: Operator) -> Operator:
    """A cluster that is whole, with keys in every shard; made anew where a test before left another."""
    try:
        assert_as_before(formed)
    except AssertionError:
        shutil.rmtree(formed.state)
        form(formed)
    return formed


def form(operator: Operator) -> None:
    """On hosts as new; each key is in the append-only file and with its replica."""
    operator.lab.renew()
    operator.topology()
    operator.up().succeeded()
    client = operator.client()
    for number in range(KEYS):
        client.set(f"key:{number}", f"value {number}")


def usable(operator: Operator) -> bool:
    """As an application sees it: every key is there, and every shard takes another. Nobody runs slotwright."""
    client = operator.client()
    found = [client.get(f"key:{number}") for number in range(KEYS)]
    assert found == [f"value {number}".encode() for number in range(KEYS)]
    return all(client.set(f"{{{number}}}:probe", "1", ex=5) for number in range(20))


def all_linked(operator: Operator) -> bool:
    """Six nodes run, and every replica follows its primary."""
    seen = {f"{name}:{port}": operator.node(name, port).info("replication") for name in "abc" for port in (6379, 6380)}
    told = [f"{each} {info['role']} {info.get('master_link_status', '')}".strip() for each, info in seen.items()]
    assert sum(each.endswith("master") for each in told) == 3, told
    assert sum(each.endswith("slave up") for each in told) == 3, told
    return True


def assert_as_before(operator: Operator) -> None:
    eventually(lambda: usable(operator), "a usable cluster")
    eventually(lambda: all_linked(operator), "every replica at its primary")
    assert all(all(pids(host).values()) for host in operator.lab.hosts.values())
    for host in operator.lab.hosts.values():
        assert rules(host) == rules(host, permanent=True) != set()


def test_one_host_reboots(operator: Operator) -> None:
    before = operator.lab.hosts["a"].boot_id()
    operator.lab.hosts["a"].reboot()
    assert operator.lab.hosts["a"].boot_id() != before
    assert_as_before(operator)


def test_all_hosts_reboot_at_once(operator: Operator) -> None:
    operator.lab.reboot()
    assert_as_before(operator)
    assert not operator.plan()["pending"]


def test_the_plug_of_one_host_is_pulled(operator: Operator) -> None:
    host = operator.lab.hosts["b"]
    host.power_off_hard()
    eventually(lambda: usable(operator), "the others to go on without it")
    host.boot()
    assert_as_before(operator)


def test_the_plug_of_all_hosts_is_pulled_at_once(operator: Operator) -> None:
    operator.lab.power_off_hard()
    operator.lab.boot()
    assert_as_before(operator)
    assert not operator.plan()["pending"]
    operator.check().succeeded()
