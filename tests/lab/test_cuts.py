"""What goes wrong in the middle: the tool is killed, a host vanishes or was never there. Nothing may be orphaned."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from slotwright.adapters.ssh.login import CONNECT_TIMEOUT_S
from tests.lab.looks import differences, fingerprint, fingerprints, listeners, pids, rules, traces
from tests.lab.machine import PATIENCE_S
from tests.lab.machines import Lab
from tests.lab.operator import Operator, eventually

TREE = Path(__file__).parents[2]
STEPS = ("prepare", "firewall", "reach", "create", "start", "wait", "set", "seal")
"""The waves of a formation over SSH, in order."""


@pytest.fixture(scope="module")
def operator(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Hosts that have the engine and the service user, and nothing of a cluster: each test begins and ends so."""
    lab.renew()
    operator = Operator(lab, tmp_path_factory.mktemp("cuts"))
    small(operator)
    operator.up().succeeded()
    operator.destroy().succeeded()
    return operator


@pytest.fixture(autouse=True)
def bare(operator: Operator) -> Iterator[None]:
    """Whatever a test came to, the next one finds hosts without a cluster."""
    small(operator)
    yield
    for host in operator.lab.hosts.values():
        if rule_is_set(operator.lab, host.name):
            host.join_again()
        host.boot()
    if operator.state.exists():
        operator.destroy()


def rule_is_set(lab: Lab, name: str) -> bool:
    return not lab.control.can_connect(lab.hosts[name].address, 22, 1.0)


def small(operator: Operator, **changes: object) -> None:
    """One node a host: each step is there, and costs little."""
    operator.topology(ports=[6379], replicas=0, **changes)


def cut(operator: Operator, phase: str, step: str, count: int = 1) -> None:
    """An `up` that is killed at that entry of its journal."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab.cut_runner", str(operator.file), phase, step, str(count)],
        cwd=operator.folder,
        env=operator.environment | {"PYTHONPATH": f"{operator.environment['PYTHONPATH']}:{TREE}"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == -signal.SIGKILL, (phase, step, done.returncode, done.stderr)


def journal(operator: Operator) -> list[dict]:
    """What was written to it so far, in order; a line that is being written is left out."""
    found = []
    for path in operator.state.rglob("journal*"):
        for line in path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
    return found


def assert_gone(operator: Operator) -> None:
    """Nothing of the cluster is anywhere."""
    for host in operator.lab.hosts.values():
        assert traces(host) == [], host.name
        assert rules(host) == rules(host, permanent=True) == set()
        assert listeners(host) == set()
    assert not operator.state.exists() or not list(operator.state.rglob("cache"))


def assert_whole(operator: Operator, ports: tuple[int, ...] = (6379,)) -> None:
    """A proved cluster, with exactly what it needs."""
    assert not operator.plan()["pending"]
    operator.check().succeeded()
    for host in operator.lab.hosts.values():
        assert listeners(host) == {f"{host.address}:{port + more}" for port in ports for more in (0, 10000)}
        assert rules(host) == rules(host, permanent=True)
        assert {rule.source for rule in rules(host)} == {
            *(other.address for other in operator.lab.hosts.values() if other is not host),
            operator.lab.control.address,
        }


# --- the tool is killed ---


@pytest.mark.parametrize("phase", ["intent", "done"])
def test_up_killed_in_every_wave_in_turn_gets_there_all_the_same(operator: Operator, phase: str) -> None:
    """One formation, each run of `up` killed a wave later than the one before."""
    cut(operator, "begin", "")
    for step in STEPS:
        plan = operator.plan()
        assert plan["pending"], f"before the cut at {step}: nothing to do?"
        assert not plan["refusals"], plan
        assert not [found for found in plan["findings"] if found["severity"] == "serious"], plan
        if step in ("prepare", "firewall", "reach", "create", "start"):
            is_planned = step in {each["step"] for each in plan["steps"]}
            # Until it is done, a step is planned again; what ran beside the one that the cut waited for may be done.
            assert is_planned or phase == "done", (step, plan)
            if not is_planned:
                continue
        cut(operator, phase, step)
    operator.up().succeeded()
    assert_whole(operator)
    operator.destroy().succeeded()
    assert_gone(operator)


@pytest.mark.parametrize("step", ["prepare", "firewall", "create", "start", "seal"])
def test_what_a_killed_up_left_is_taken_back(operator: Operator, step: str) -> None:
    before = fingerprints(operator.lab)
    cut(operator, "done", step)
    operator.destroy().succeeded()
    assert_gone(operator)
    assert differences(before, fingerprints(operator.lab)) == []


def test_a_killed_destroy_is_finished_by_the_next(operator: Operator) -> None:
    operator.up().succeeded()
    ending = operator.begin("destroy", "cache", "--yes")
    try:
        eventually(lambda: any(not all(pids(host).values()) for host in operator.lab.hosts.values()), "a node to end")
        ending.kill()
    finally:
        ending.communicate()
    operator.destroy().succeeded()
    assert_gone(operator)


def test_up_killed_while_a_package_is_installed(operator: Operator, tmp_path: Path) -> None:
    """The hosts go on with it, or don't; the next `up` ends it either way."""
    lab = operator.lab
    lab.renew()
    begun = operator.begin("up", "--yes")
    try:
        eventually(
            lambda: any(
                host.run("pgrep -x dpkg || pgrep -x apt-get", check=False).stdout for host in lab.hosts.values()
            ),
            "an installation",
        )
        begun.kill()
    finally:
        begun.communicate()
    operator.up().succeeded()
    assert_whole(operator)


def test_two_at_once(operator: Operator) -> None:
    """The second is refused, and names the first; it changes nothing."""
    begun = operator.begin("up", "--yes")
    try:
        eventually(lambda: any(entry["phase"] == "intent" for entry in journal(operator)), "the first to begin")
        refused = operator.up().ended_with(4)
        assert str(begun.pid) in refused.text
    finally:
        begun.communicate(timeout=PATIENCE_S)
    assert begun.returncode == 0
    assert_whole(operator)


# --- hosts that are not there ---


def test_a_host_that_is_down_is_named_at_once_and_nothing_is_changed(operator: Operator) -> None:
    lab = operator.lab
    lab.hosts["c"].power_off_hard()
    others = [lab.hosts["a"], lab.hosts["b"]]
    before = [fingerprint(host) for host in others]
    planned = operator.run("plan", "--json")
    refused = operator.up()
    assert refused.code == 4, refused.text
    assert refused.took("ssh") < 2 * CONNECT_TIMEOUT_S
    assert lab.hosts["c"].address in json.dumps(refused.error)
    assert refused.error["left"] == "nothing was changed"
    assert [fingerprint(host) for host in others] == before
    assert not operator.state.exists() or not list(operator.state.rglob("cache/record*"))
    # The others were looked at all the same.
    assert lab.hosts["c"].address in planned.out
    assert planned.code == 3, planned.text
    told = operator.run("preflight", "--json").ended_with(3)
    assert lab.hosts["a"].address in told.out
    assert "c" in [name for name, host in lab.hosts.items() if host.address in told.out]
    lab.hosts["c"].boot()
    operator.up().succeeded()
    assert_whole(operator)


@pytest.mark.parametrize("step", ["prepare", "create", "wait"])
def test_a_host_that_vanishes_during_up(operator: Operator, step: str) -> None:
    lab, lost = operator.lab, operator.lab.hosts["c"]
    begun = operator.begin("up", "--yes", "--json")
    try:
        eventually(lambda: any(entry.get("step") == step for entry in journal(operator)), f"the wave {step}")
        lost.cut_off()
        out, err = begun.communicate(timeout=PATIENCE_S)
    finally:
        begun.kill()
        begun.wait()
    assert begun.returncode in (1, 5), (begun.returncode, out, err)
    error = json.loads(out)["error"]
    assert lost.address in json.dumps(error), error
    assert error["left"], error
    assert error["hint"], error
    lost.join_again()
    eventually(lambda: lab.control.can_connect(lost.address, 22), "host c to be back")
    operator.up().succeeded()
    assert_whole(operator)


def test_a_formed_cluster_with_a_host_down(operator: Operator) -> None:
    """It is looked at and helped as far as it can be, and the host that is away is named each time."""
    lost, other = operator.lab.hosts["c"], operator.lab.hosts["a"]
    operator.topology()
    operator.up().succeeded()
    operator.client().set("key", "value")
    lost.power_off_hard()
    told = operator.run("status", "--json").succeeded().json
    unreachable = {node["host"] for node in told["nodes"] if not node["reachable"]}
    assert unreachable == {lost.address}
    checked = operator.check().ended_with(3)
    assert lost.address in checked.out
    operator.run("stop", "cluster.yaml", f"{other.address}:6380", "--yes").succeeded()
    assert pids(other)[6380] == 0
    planned = operator.run("plan", "--json").ended_with(3)
    assert lost.address in planned.out
    helped = operator.up()
    assert lost.address in helped.text
    assert helped.code != 0
    assert pids(other)[6380] != 0, helped.text
    lost.boot()
    eventually(lambda: operator.check().json["ok"], "the host's nodes to be back by themselves")
    assert operator.client().get("key") == b"value"
