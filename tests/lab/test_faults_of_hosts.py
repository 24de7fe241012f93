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

from tests.lab.damaged_cluster import DamagedCluster, Node, steps
from tests.lab.machine import Host
from tests.lab.operator import Operator, eventually

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


def nodes_on(damaged: DamagedCluster, *hosts: str) -> list[Node]:
    return [node for node in damaged.nodes if node.host in hosts]


# --- hosts ---


def test_a_host_is_gone_and_comes_back(damaged: DamagedCluster) -> None:
    """F15 and F19 at once: what can be mended without it is mended, what can't is named; it comes back by itself."""
    damaged.as_planned()
    lost = nodes_on(damaged, "c")
    heirs = [damaged.replica_of(node) for node in lost if node in damaged.primaries()]
    damaged.lab.hosts["c"].power_off_hard()
    try:
        for heir in heirs:
            damaged.wait_for_takeover(heir, but=lost)
        other = next(node for node in nodes_on(damaged, "b") if not damaged.line(node).is_primary)
        damaged.take_down(other)
        damaged.wait_until_failed(other, *lost)
        told = damaged.tells("node-down")
        away = [found for found in told.json["findings"] if found["where"] in map(damaged.address, lost)]
        assert len(away) == len(lost)
        assert all("its host can't be asked" in found["seen"] for found in away), told.text
        mended = damaged.repair().ended_with(3)
        assert [(step["step"], step["where"]) for step in mended.json["done"]] == [("start", damaged.address(other))]
        left = {found["where"] for found in mended.json["check"]["findings"] if found["severity"] != "note"}
        assert left == set(map(damaged.address, lost)), mended.text
        assert damaged.differing() == {}
    finally:
        damaged.lab.hosts["c"].boot()
    damaged.wait_until_whole()
    assert steps(damaged.is_mended()) == []


def test_most_primaries_are_down(damaged: DamagedCluster) -> None:
    """F18: nobody may vote, so nothing is decided but to start what has the data."""
    damaged.as_planned()
    lost = nodes_on(damaged, "b", "c")
    damaged.take_down(*lost)
    damaged.wait_until_failed(*lost)
    damaged.tells("majority-lost node-down", "cluster-state-fail")
    told = damaged.is_mended()
    assert sorted((step["step"], step["where"]) for step in told.json["done"]) == sorted(
        ("start", damaged.address(node)) for node in lost
    )


# --- the network ---


def test_a_minority_is_cut_off(damaged: DamagedCluster) -> None:
    """F24: all answer us, and one host's nodes reach nobody else. Nothing is settled by what they say."""
    damaged.as_planned()
    apart = nodes_on(damaged, "a")
    primary = next(node for node in apart if damaged.line(node).is_primary)
    heir = damaged.replica_of(primary)
    damaged.lab.part("a", "b")
    damaged.lab.part("a", "c")
    try:
        damaged.wait_for_takeover(heir, but=apart)
        eventually(lambda: damaged.cluster_info(primary)["cluster_state"] == "fail", "the minority to stop serving")
        damaged.write([b"written:%d" % number for number in range(50)], but=apart)
        before = damaged.views()
        told = damaged.tells("node-down", "bus-link-down")
        found = {found["where"]: found for found in told.json["findings"] if found["code"] == "node-down"}
        assert set(found) == set(map(damaged.address, apart))
        assert all("held failed by the other nodes, though it answers" in each["what"] for each in found.values())
        assert all("cluster bus, " in each["remedy"] and ":16" in each["remedy"] for each in found.values())
        process = damaged.operator.begin("repair", "cache", "--yes", "--json")
        begun = wait_for_event(process, "settle-down")
        assert {node: lines(view) for node, view in damaged.views().items()} == {
            node: lines(view) for node, view in before.items()
        }
    finally:
        damaged.lab.rejoin("a", "b")
        damaged.lab.rejoin("a", "c")
    out, err = finished(process)
    assert process.returncode == 0, f"{out}\n{begun}{err}"
    assert json.loads(out)["done"] == [], "it only waited for the network"
    damaged.wait_until_whole()
    damaged.prove()


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


def test_one_host_does_not_reach_the_bus_of_a_node(damaged: DamagedCluster) -> None:
    """F42 in a cluster that runs: its clients see nothing of it."""
    sender, target = damaged.lab.hosts["a"], damaged.lab.hosts["b"]
    blocked = Node("b", 6379)
    with shut(target, sender, 16379):
        for node in nodes_on(damaged, "a"):
            eventually(lambda node=node: damaged.waits_for(node, blocked) > PATIENCE_S, "pings without an answer")
        told = damaged.tells("bus-link-down")
        assert {found["where"] for found in told.json["findings"] if found["code"] == "bus-link-down"} == {
            f"{damaged.address(node)} -> {target.address}:16379" for node in nodes_on(damaged, "a")
        }
        plan = damaged.operator.run("repair", "cache", "--plan", "--json").ended_with(3).json
        assert plan["steps"] == []
        assert {found["code"] for found in plan["unrepaired"]} == {"bus-link-down"}
    for node in nodes_on(damaged, "a"):
        eventually(lambda node=node: damaged.waits_for(node, blocked) < 1, "an answer")
    damaged.prove()


def test_nobody_reaches_the_bus_of_a_node(damaged: DamagedCluster) -> None:
    """F42: one finding, that names the port, and not one for each that can't reach it."""
    target, blocked = damaged.lab.hosts["b"], Node("b", 6379)
    others = [node for node in damaged.nodes if node.host != "b"]
    with target.without_port(16379):
        for node in others:
            eventually(lambda node=node: damaged.waits_for(node, blocked) > PATIENCE_S, "pings without an answer")
        told = damaged.tells("bus-link-down")
        found = [each for each in told.json["findings"] if each["code"] == "bus-link-down"]
        assert [each["where"] for each in found] == [f"{target.address}:16379"]
    for node in others:
        eventually(lambda node=node: damaged.waits_for(node, blocked) < 1, "an answer")
    damaged.wait_until_whole()
    damaged.prove()


# --- places, keys and people ---


def test_a_replica_beside_its_primary(damaged: DamagedCluster) -> None:
    """F47: one host's death would take both; it goes back to the shard that has none."""
    damaged.as_planned()
    primary, replica = Node("a", 6379), Node("a", 6380)
    left = damaged.at(
        next(line.address for line in damaged.view(replica).values() if line.id == damaged.line(replica).primary)
    )
    with damaged.connect(replica) as client:
        client.execute_command("CLUSTER", "REPLICATE", damaged.id(primary))
    eventually(
        lambda: all(view[damaged.id(replica)].primary == damaged.id(primary) for view in damaged.views().values()),
        "everybody to know it",
    )
    eventually(lambda: damaged.connect(replica).info("replication")["master_link_status"] == "up", "the copy")
    damaged.tells("replica-misplaced", "shard-without-replica replica-beside-primary")
    damaged.is_mended()
    assert damaged.replica_of(left) == replica


def test_a_key_with_two_values(damaged: DamagedCluster) -> None:
    """F06: both are kept in a file that nobody else may read, before one goes."""
    source, target, *_ = damaged.primaries()
    key = damaged.keys_of(source)[0]
    with damaged.connect(target) as client:
        slot = client.execute_command("CLUSTER", "KEYSLOT", key)
        client.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", damaged.id(source))
        client.execute_command("ASKING")
        client.execute_command("SET", key, "what the other node was told")
        client.execute_command("CLUSTER", "SETSLOT", slot, "STABLE")
    refused = damaged.repair().ended_with(4)
    assert {step["word"] for step in refused.json["refused"]} == {"keep-owners"}
    told = damaged.is_mended("--accept", "keep-owners")
    for place in {refused.json["quarantine"], told.json["quarantine"]} - {""}:
        assert Path(place).stat().st_mode & 0o777 == 0o600
        assert Path(place).parent.stat().st_mode & 0o777 == 0o700
    assert told.json["quarantined"] >= 1


def test_two_control_machines(damaged: DamagedCluster, tmp_path: Path) -> None:
    """F13: they share no lock, so whoever comes second is told by the cluster itself."""
    first = damaged.operator
    second = Operator(damaged.lab, tmp_path)
    shutil.copytree(first.state, second.state)
    shutil.copy(first.file, second.file)
    one, other, *_ = damaged.primaries()
    replica, another = damaged.replica_of(one), damaged.replica_of(other)
    damaged.take_down(replica)
    damaged.wait_until_failed(replica)
    process = first.begin("repair", "cache", "--yes", "--json")
    try:
        with damaged.connect(damaged.primaries()[0]) as client:
            eventually(lambda: [each for each in client.client_list() if is_repair(each)], "the first to be seen")
        process.send_signal(signal.SIGSTOP)
        for words in (("repair", "cache"), ("failover", damaged.address(another), "cache")):
            told = second.run(*words, "--yes", "--json").ended_with(4)
            assert told.error["code"] == "locked", told.text
            assert "`slotwright repair` of " in told.error["seen"]
            assert "nothing was changed" in told.error["left"]
        second.check().ended_with(3)
        assert damaged.pid(replica) == 0 or process.poll() is None
    finally:
        process.send_signal(signal.SIGCONT)
        out, err = finished(process)
    assert process.returncode == 0, f"{out}\n{err}"
    assert [step["step"] for step in json.loads(out)["done"]] == ["start"]
    second.run("repair", "cache", "--yes", "--json").succeeded()
    damaged.prove()


def is_repair(client: dict[str, str]) -> bool:
    return client["name"].startswith("slotwright/repair/")


def finished(process: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return process.communicate(timeout=300)
    finally:
        process.kill()


def test_rebuild(damaged: DamagedCluster) -> None:
    """The last resort, over SSH: every key is back, and maps of the new nodes are kept."""
    before = {damaged.id(node) for node in damaged.nodes}
    told = damaged.operator.run("rebuild", "--yes", "--json").succeeded().json
    assert told["keys"]["equal"], told["keys"]
    assert told["keys"]["found"] == len(damaged.known)
    damaged.prove()
    now = {damaged.id(node) for node in damaged.nodes}
    assert before.isdisjoint(now)
    state = damaged.operator.state
    for node in damaged.nodes:
        text = (state / "clusters/cache/maps" / f"{damaged.host(node).address}-{node.port}.conf").read_text()
        assert next(line for line in text.splitlines() if "myself" in line).startswith(damaged.id(node))
    assert {path.stat().st_mode & 0o077 for path in [state, *state.rglob("*")]} == {0}
    assert len(told["kept"]) == len(damaged.lab.hosts)
    for place in told["kept"]:
        address, _, path = place.partition(":")
        host = next(host for host in damaged.lab.hosts.values() if host.address == address)
        rows = host.run("find $1 -mindepth 1 -printf '%y %m\n' | sort -u", path).stdout.splitlines()
        assert rows == ["d 700", "f 600"], (place, rows)
