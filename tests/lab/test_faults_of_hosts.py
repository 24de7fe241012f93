"""Faults of whole hosts and of the network between them, and two people who mend the same cluster.

`check` names what is wrong and nothing else, `repair` mends what can be mended over SSH, and no key is lost.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.lab.machine import Host
from tests.lab.operator import Operator, eventually
from tests.lab.patient import Node, Patient, steps

PATIENCE_S = 2.5
"""A ping that is not answered for so long is told of; the cluster's node time-out."""

SHUT = """
nft add table inet shut
nft add chain inet shut input '{ type filter hook input priority -10; policy accept; }'
nft add rule inet shut input ip saddr "$1" tcp dport "$2" drop
"""


@contextmanager
def shut(host: Host, sender: Host, port: int) -> Iterator[None]:
    """Within it, a port of ``host`` takes no packet of ``sender``: what a firewall of the host's own does."""
    host.run(SHUT, sender.address, str(port))
    try:
        yield
    finally:
        host.run("nft delete table inet shut")


def nodes_on(patient: Patient, *hosts: str) -> list[Node]:
    return [node for node in patient.nodes if node.host in hosts]


# --- hosts ---


def test_a_host_is_gone_and_comes_back(patient: Patient) -> None:
    """F15 and F19 at once: what can be mended without it is mended, what can't is named; it comes back by itself."""
    patient.as_planned()
    lost = nodes_on(patient, "c")
    heirs = [patient.replica_of(node) for node in lost if node in patient.primaries()]
    patient.lab.hosts["c"].power_off_hard()
    try:
        for heir in heirs:
            patient.wait_for_takeover(heir, but=lost)
        other = next(node for node in nodes_on(patient, "b") if not patient.line(node).is_primary)
        patient.take_down(other)
        patient.wait_until_failed(other, *lost)
        told = patient.tells("node-down")
        away = [found for found in told.json["findings"] if found["where"] in map(patient.address, lost)]
        assert len(away) == len(lost)
        assert all("its host can't be asked" in found["seen"] for found in away), told.text
        mended = patient.repair().ended_with(3)
        assert [(step["step"], step["where"]) for step in mended.json["done"]] == [("start", patient.address(other))]
        left = {found["where"] for found in mended.json["check"]["findings"] if found["severity"] != "note"}
        assert left == set(map(patient.address, lost)), mended.text
        assert patient.differing() == {}
    finally:
        patient.lab.hosts["c"].boot()
    patient.wait_until_whole()
    assert steps(patient.is_mended()) == []


def test_most_primaries_are_down(patient: Patient) -> None:
    """F18: nobody may vote, so nothing is decided but to start what has the data."""
    patient.as_planned()
    lost = nodes_on(patient, "b", "c")
    patient.take_down(*lost)
    patient.wait_until_failed(*lost)
    patient.tells("majority-lost node-down", "cluster-state-fail")
    told = patient.is_mended()
    assert sorted((step["step"], step["where"]) for step in told.json["done"]) == sorted(
        ("start", patient.address(node)) for node in lost
    )


# --- the network ---


def test_a_minority_is_cut_off(patient: Patient) -> None:
    """F24: all answer us, and one host's nodes reach nobody else. Nothing is settled by what they say."""
    patient.as_planned()
    apart = nodes_on(patient, "a")
    primary = next(node for node in apart if patient.line(node).is_primary)
    heir = patient.replica_of(primary)
    patient.lab.part("a", "b")
    patient.lab.part("a", "c")
    try:
        patient.wait_for_takeover(heir, but=apart)
        eventually(lambda: patient.cluster_info(primary)["cluster_state"] == "fail", "the minority to stop serving")
        patient.write([b"written:%d" % number for number in range(50)], but=apart)
        before = patient.views()
        told = patient.tells("node-down", "bus-link-down")
        found = {found["where"]: found for found in told.json["findings"] if found["code"] == "node-down"}
        assert set(found) == set(map(patient.address, apart))
        assert all("held failed by the other nodes, though it answers" in each["what"] for each in found.values())
        assert all("cluster bus, port 16" in each["remedy"] for each in found.values())
        process = patient.operator.begin("repair", "cache", "--yes", "--json")
        begun = wait_for_event(process, "settle-down")
        assert {node: lines(view) for node, view in patient.views().items()} == {
            node: lines(view) for node, view in before.items()
        }
    finally:
        patient.lab.rejoin("a", "b")
        patient.lab.rejoin("a", "c")
    out, err = finished(process)
    assert process.returncode == 0, f"{out}\n{begun}{err}"
    assert json.loads(out)["done"] == [], "it only waited for the network"
    patient.wait_until_whole()
    patient.prove()


def wait_for_event(process: subprocess.Popen[str], task: str) -> str:
    """Until the command says that it has begun with that; what it said until then."""
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if json.loads(line).get("task") == task:
            return said
    raise AssertionError(f"it ended without a word of {task}\n{said}")


def lines(view: dict) -> set[tuple]:
    """What a view says of who is who."""
    return {(line.id, line.is_primary, line.primary, line.epoch, line.slots) for line in view.values()}


def test_one_host_does_not_reach_the_bus_of_a_node(patient: Patient) -> None:
    """F42 in a cluster that runs: its clients see nothing of it."""
    sender, target = patient.lab.hosts["a"], patient.lab.hosts["b"]
    blocked = Node("b", 6379)
    with shut(target, sender, 16379):
        for node in nodes_on(patient, "a"):
            eventually(lambda node=node: patient.waits_for(node, blocked) > PATIENCE_S, "pings without an answer")
        told = patient.tells("bus-link-down")
        assert {found["where"] for found in told.json["findings"] if found["code"] == "bus-link-down"} == {
            f"{patient.address(node)} -> {target.address}:16379" for node in nodes_on(patient, "a")
        }
        plan = patient.operator.run("repair", "cache", "--plan", "--json").ended_with(3).json
        assert plan["steps"] == []
        assert {found["code"] for found in plan["unrepaired"]} == {"bus-link-down"}
    for node in nodes_on(patient, "a"):
        eventually(lambda node=node: patient.waits_for(node, blocked) < 1, "an answer")
    patient.prove()


def test_nobody_reaches_the_bus_of_a_node(patient: Patient) -> None:
    """F42: one finding, that names the port, and not one for each that can't reach it."""
    target, blocked = patient.lab.hosts["b"], Node("b", 6379)
    others = [node for node in patient.nodes if node.host != "b"]
    with target.without_port(16379):
        for node in others:
            eventually(lambda node=node: patient.waits_for(node, blocked) > PATIENCE_S, "pings without an answer")
        told = patient.tells("bus-link-down")
        found = [each for each in told.json["findings"] if each["code"] == "bus-link-down"]
        assert [each["where"] for each in found] == [f"{target.address}:16379"]
    for node in others:
        eventually(lambda node=node: patient.waits_for(node, blocked) < 1, "an answer")
    patient.wait_until_whole()
    patient.prove()


# --- places, keys and people ---


def test_a_replica_beside_its_primary(patient: Patient) -> None:
    """F47: one host's death would take both; it goes back to the shard that has none."""
    patient.as_planned()
    primary, replica = Node("a", 6379), Node("a", 6380)
    left = patient.at(
        next(line.address for line in patient.view(replica).values() if line.id == patient.line(replica).primary)
    )
    with patient.connect(replica) as client:
        client.execute_command("CLUSTER", "REPLICATE", patient.id(primary))
    eventually(
        lambda: all(view[patient.id(replica)].primary == patient.id(primary) for view in patient.views().values()),
        "everybody to know it",
    )
    eventually(lambda: patient.connect(replica).info("replication")["master_link_status"] == "up", "the copy")
    patient.tells("replica-misplaced", "shard-without-replica replica-beside-primary")
    patient.is_mended()
    assert patient.replica_of(left) == replica


def test_a_key_with_two_values(patient: Patient) -> None:
    """F06: both are kept in a file that nobody else may read, before one goes."""
    source, target, *_ = patient.primaries()
    key = patient.keys_of(source)[0]
    with patient.connect(target) as client:
        slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", patient.id(source))
        client.execute_command("ASKING")
        client.execute_command("SET", key, "what the other node was told")
        client.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    refused = patient.repair().ended_with(4)
    assert {step["word"] for step in refused.json["refused"]} == {"keep-owners"}
    told = patient.is_mended("--accept", "keep-owners")
    for place in {refused.json["quarantine"], told.json["quarantine"]} - {""}:
        assert Path(place).stat().st_mode & 0o777 == 0o600
        assert Path(place).parent.stat().st_mode & 0o777 == 0o700
    assert told.json["quarantined"] >= 1


def test_two_control_machines(patient: Patient, tmp_path: Path) -> None:
    """F13: they share no lock, so whoever comes second is told by the cluster itself."""
    first = patient.operator
    second = Operator(patient.lab, tmp_path)
    shutil.copytree(first.state, second.state)
    shutil.copy(first.file, second.file)
    one, other, *_ = patient.primaries()
    replica, another = patient.replica_of(one), patient.replica_of(other)
    patient.take_down(replica)
    patient.wait_until_failed(replica)
    process = first.begin("repair", "cache", "--yes", "--json")
    try:
        with patient.connect(patient.primaries()[0]) as client:
            eventually(lambda: [each for each in client.client_list() if is_repair(each)], "the first to be seen")
        process.send_signal(signal.SIGSTOP)
        for words in (("repair", "cache"), ("failover", patient.address(another), "cache")):
            told = second.run(*words, "--yes", "--json").ended_with(4)
            assert told.error["code"] == "locked", told.text
            assert "`slotwright repair` of " in told.error["seen"]
            assert "nothing was changed" in told.error["left"]
        second.check().ended_with(3)
        assert patient.pid(replica) == 0 or process.poll() is None
    finally:
        process.send_signal(signal.SIGCONT)
        out, err = finished(process)
    assert process.returncode == 0, f"{out}\n{err}"
    assert [step["step"] for step in json.loads(out)["done"]] == ["start"]
    second.run("repair", "cache", "--yes", "--json").succeeded()
    patient.prove()


def is_repair(client: dict[str, str]) -> bool:
    return client["name"].startswith("slotwright/repair/")


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=300)
    finally:
        process.kill()


def test_rebuild(patient: Patient) -> None:
    """The last resort, over SSH: every key is back, and maps of the new nodes are kept."""
    before = {patient.id(node) for node in patient.nodes}
    told = patient.operator.run("rebuild", "--yes", "--json").succeeded().json
    assert told["keys"]["equal"], told["keys"]
    assert told["keys"]["found"] == len(patient.known)
    patient.prove()
    now = {patient.id(node) for node in patient.nodes}
    assert before.isdisjoint(now)
    state = patient.operator.state
    for node in patient.nodes:
        text = (state / "clusters/cache/maps" / f"{patient.host(node).address}-{node.port}.conf").read_text()
        assert next(line for line in text.splitlines() if "myself" in line).startswith(patient.id(node))
    assert {path.stat().st_mode & 0o077 for path in [state, *state.rglob("*")]} == {0}
    assert len(told["kept"]) == len(patient.lab.hosts)
    for place in told["kept"]:
        address, _, path = place.partition(":")
        host = next(host for host in patient.lab.hosts.values() if host.address == address)
        rows = host.run("find $1 -mindepth 1 -printf '%y %m\n' | sort -u", path).stdout.splitlines()
        assert rows == ["d 700", "f 600"], (place, rows)
