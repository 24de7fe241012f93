"""What would harm is refused: no promotion over a primary that lives, no start that empties a fuller replica, no slots
given away whose only copy is on a replica."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis.exceptions import RedisError

from tests.engines import TestEngine, engine_params
from tests.faults import files, slots
from tests.faults.cluster import PATIENT, QUICK, Cluster, codes_of, form
from tests.faults.copies import clients_at_their_limit, cut_log, first_pair, lose_log
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]


# The oldest and the newest server, and the one in wide use.
@pytest.fixture(params=engine_params("redis-6.2", "redis-7.0", "valkey-9.1"))
def engine(request: pytest.FixtureRequest) -> TestEngine:
    found = request.param
    assert isinstance(found, TestEngine)
    return found


@contextmanager
def writing(cluster: Cluster, primary: str) -> Iterator[list[bytes]]:
    """A client that has its connection to ``primary`` writes on, key by key; what is acknowledged is in the list."""
    slot, _ = cluster.slot_with_keys(primary)
    tag = next(key for key in cluster.slot_with_keys(primary)[1]).split(b"}")[0] + b"}"
    acknowledged: list[bytes] = []
    ends, begun = threading.Event(), threading.Event()
    client = cluster.connect(primary)
    client.ping()

    def write() -> None:
        number = 0
        while not ends.is_set():
            key = tag + b":written:%d" % number
            try:
                client.set(key, b"v")
            except RedisError:
                return
            acknowledged.append(key)
            begun.set()
            number += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert begun.wait(10), f"nothing was written to slot {slot}"
        yield acknowledged
    finally:
        ends.set()
        writer.join(20)
        client.close()


@contextmanager
def full(cluster: Cluster) -> Iterator[None]:
    """The first primary lets nobody else in."""
    injected = clients_at_their_limit(cluster)
    try:
        yield
    finally:
        injected.relieve()


def missing(cluster: Cluster, keys: list[bytes]) -> list[bytes]:
    with cluster.client() as client:
        return [key for key in keys if client.get(key) != b"v"]


def test_nobody_is_promoted_over_a_primary_that_lets_only_us_not_in(lab: Lab, engine: TestEngine) -> None:
    """37: its clients, who have their connections, go on writing; what it acknowledges stays."""
    cluster = form(lab, engine, settings=QUICK)
    primary, _ = first_pair(cluster)
    with writing(cluster, primary) as acknowledged, full(cluster):
        told = cluster.check()
        assert told.code == 3, told
        assert "node-out-of-reach" in codes_of(told.json), told
        assert not codes_of(told.json) & {"node-down", "slots-uncovered"}, told
        planned = cluster.run("repair", cluster.target, "--plan", "--json").json
        assert not [step for step in planned["steps"] if step["step"] == "promote"], planned
        repaired = cluster.repair()
        assert repaired.code == 4, repaired
        assert "lives" in repaired.json["refusals"][0]["why"], repaired
        others = [cluster.view(address) for address in cluster.addresses if address != primary]
        assert all(line.is_primary for view in others for line in view.values() if line.address == primary)
        so_far = len(acknowledged)
    assert so_far > 100
    cluster.wait_until_ok()
    assert missing(cluster, acknowledged) == []
    assert cluster.differing() == {}


def test_a_primary_that_only_we_may_not_ask_hands_over_without_loss(lab: Lab, engine: TestEngine) -> None:
    """Rights that were taken from our user: not down, not forced; asked for, a plain failover loses nothing."""
    cluster = form(lab, engine, settings=QUICK)
    primary, replica = first_pair(cluster)
    with writing(cluster, primary) as acknowledged:
        cluster.execute(primary, "ACL", "SETUSER", "default", "-cluster", "-config")
        told = cluster.check()
        assert "node-out-of-reach" in codes_of(told.json), told
        assert "NOPERM" in told.out or "permission" in told.out, told
        assert cluster.repair().code == 4
        done = cluster.run("failover", replica, "--force", "--yes", "--json")
        assert done.code in (0, 3), done
    cluster.execute(primary, "ACL", "SETUSER", "default", "+cluster", "+config")
    cluster.wait_for_takeover(replica)
    assert missing(cluster, acknowledged) == []


def test_a_start_never_empties_a_fuller_replica(lab: Lab, engine: TestEngine) -> None:
    """Its append-only file is gone: `start` and `up` refuse, `repair` lets the replica take over first."""
    cluster = form(lab, engine, settings=PATIENT)
    primary, replica = first_pair(cluster)
    cluster.kill(primary)
    lose_log(cluster, primary)
    for words in (("start", cluster.target), ("up", "cluster.yaml", "--yes"), ("start", cluster.target, primary)):
        told = cluster.run(*words, "--json")
        assert (told.code, told.error["code"]) == (4, "empty-primary-start"), told
        assert "repair" in told.error["hint"], told
    repaired = cluster.repair()
    assert repaired.code == 0, repaired
    assert cluster.differing() == {}
    assert replica in cluster.primaries()


@pytest.mark.parametrize("harm", [lose_log, cut_log], ids=["gone", "cut"])
def test_the_heir_takes_over_before_a_primary_with_less(lab: Lab, engine: TestEngine, harm) -> None:  # type: ignore[no-untyped-def]
    """Within the node time-out of its death, so that nobody has taken over yet."""
    cluster = form(lab, engine, settings=PATIENT)
    primary, replica = first_pair(cluster)
    cluster.kill(primary)
    harm(cluster, primary)
    planned = cluster.run("repair", cluster.target, "--plan", "--json").json
    assert planned["steps"][0]["step"] == "wait", planned
    repaired = cluster.repair()
    assert repaired.code == 0, repaired
    assert cluster.differing() == {}
    assert replica in cluster.primaries()


def test_a_file_that_is_older_than_what_the_replica_took(lab: Lab, engine: TestEngine) -> None:
    """Somebody switched the append-only file off: what was written since is in the replica alone."""
    cluster = form(lab, engine, settings=PATIENT)
    primary, replica = first_pair(cluster)
    cluster.execute(primary, "CONFIG", "SET", "appendonly", "no")
    path = files.append_log(cluster, primary)
    lab.wait(lambda: path.stat().st_mtime < files.now() - 1, "its file to be old")
    tag = cluster.slot_with_keys(primary)[1][0].split(b"}")[0] + b"}"
    keys = [tag + b":late:%d" % number for number in range(300)]
    with cluster.connect(primary) as client:
        for key in keys:
            client.set(key, b"v")
        client.wait(1, 5000)
    cluster.kill(primary)
    assert cluster.repair().code == 0
    assert missing(cluster, keys) == []
    assert cluster.differing() == {}
    assert replica in cluster.primaries()


def test_a_whole_file_goes_first(lab: Lab, engine: TestEngine) -> None:
    """Nothing speaks against a primary that only died: it comes back at once, with all that it acknowledged."""
    cluster = form(lab, engine, settings=PATIENT)
    primary, _ = first_pair(cluster)
    cluster.kill(primary)
    assert cluster.run("start", cluster.target, "--json").code == 0
    assert cluster.differing() == {}
    assert primary in cluster.primaries()


def test_both_killed_and_only_the_replica_kept_its_file(lab: Lab, engine: TestEngine) -> None:
    """The replica comes back first, and leads."""
    cluster = form(lab, engine, settings=QUICK)
    primary, replica = first_pair(cluster)
    cluster.kill(primary, replica)
    lose_log(cluster, primary)
    told = cluster.run("start", cluster.target, "--json")
    assert (told.code, told.error["code"]) == (4, "empty-primary-start"), told
    assert cluster.repair().code == 0
    assert cluster.differing() == {}
    assert replica in cluster.primaries()


def test_slots_stay_with_the_replica_that_has_the_only_copy(lab: Lab, engine: TestEngine) -> None:
    """Every slot of a shard unassigned, its primary's folder gone: the replica leads, and gets the slots."""
    cluster = form(lab, engine, settings=f"{QUICK}, cluster-replica-no-failover: 'yes'")
    primary, replica = first_pair(cluster)
    slots = sorted(cluster.line(primary).slots)
    for address in cluster.addresses:
        cluster.execute(address, "CLUSTER", "DELSLOTS", *slots)
    cluster.kill(primary)
    shutil.rmtree(cluster.folder(primary))
    cluster.wait_until_failed(primary)
    repaired = cluster.repair()
    assert repaired.code == 0, repaired
    assert cluster.differing() == {}
    assert set(cluster.line(replica).slots) == set(slots)


def test_a_node_without_its_folder_is_not_made_anew_beside_itself(lab: Lab, engine: TestEngine) -> None:
    """The folder was deleted under a running server that lets nobody in: it lives, whatever its host shows."""
    cluster = form(lab, engine, settings=QUICK)
    primary, _ = first_pair(cluster)
    pid = cluster.lab.processes()[primary.replace(":", "-")]
    with full(cluster):
        shutil.rmtree(cluster.folder(primary))
        repaired = cluster.repair()
        assert repaired.code == 4, repaired
        assert not repaired.json["done"], repaired
    assert not cluster.has_ended(pid)
    assert cluster.differing() == {}


@pytest.mark.parametrize("engine", engine_params("valkey-9.1"))
def test_a_primary_that_would_drop_keys_at_its_next_start_is_not_stopped(lab: Lab, engine: TestEngine) -> None:
    """Valkey deletes keys of others' slots when it starts; Redis imports these slots."""
    cluster = form(lab, engine, settings=QUICK)
    slots.held_twice(cluster)
    _, holder, *_ = cluster.primaries()
    for nodes in ((), (holder,)):
        told = cluster.run("stop", cluster.target, *nodes, "--yes", "--json")
        assert (told.code, told.error["code"], told.error["where"]) == (4, "keys-misplaced", holder), told
        assert "slotwright repair" in told.error["hint"]
        assert len(cluster.views()) == len(cluster.addresses)
    assert cluster.repair().code == 0
    assert cluster.run("stop", cluster.target, holder, "--yes", "--json").code == 0
    assert cluster.run("start", cluster.target, "--json").code == 0
    assert cluster.differing() == {}
