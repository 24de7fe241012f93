"""Repair of clusters that somebody made without slotwright: by an address, and adopted."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine, engine_params
from tests.faults.cluster import Cluster, codes_of
from tests.integration.by_hand import ENV, PASSWORD, make, start, with_masterauth
from tests.integration.conftest import Lab

pytestmark = pytest.mark.servers


@pytest.fixture(params=engine_params("redis-7.0", "valkey-9.1"))
def engine(request: pytest.FixtureRequest) -> TestEngine:
    found = request.param
    assert isinstance(found, TestEngine)
    return found


def test_a_create_that_never_joined_gets_no_slots_unasked(lab: Lab, engine: TestEngine) -> None:
    """Each node has its part of the slots and knows nobody: given all of them, it would take the others' keys."""
    port = lab.free_port()
    addresses = [f"{host}:{port}" for host in lab.hosts[:3]]
    for address, (first, last) in zip(addresses, ((0, 5460), (5461, 10922), (10923, 16383)), strict=True):
        start(lab, engine, address, "cluster-enabled yes", "cluster-require-full-coverage no", 'save ""')
        with lab.client(address) as client:
            client.execute_command("CLUSTER", "ADDSLOTS", *range(first, last + 1))

    check = lab.run("check", addresses[0], "--json")
    (found,) = [finding for finding in check.json["findings"] if finding["code"] == "slots-uncovered"]
    assert "the join never happened" in found["what"]
    assert "CLUSTER MEET" in found["remedy"]

    told = lab.run("repair", addresses[0], "--yes", "--json")
    assert told.code == 4, told
    assert "lose-slots" in told.out
    assert "CLUSTER MEET" in told.out
    with lab.client(addresses[0]) as client:
        assert b"cluster_slots_assigned:5461\r" in client.execute_command("CLUSTER", "INFO", NEVER_DECODE=True)


def adopted(lab: Lab, engine: TestEngine, *lines: str) -> Cluster:
    """Made by hand, with keys, and known by a name."""
    hand = make(lab, engine, with_masterauth(), *lines)
    cluster = Cluster(lab, engine, hand.addresses, PASSWORD, "hand", ENV)
    lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    cluster.fill()
    return cluster


def test_a_replica_that_the_servers_moved_is_left_where_it_is_needed(lab: Lab, engine: TestEngine) -> None:
    """Shard 1 has two replicas; the only one of shard 2 dies, and it gets one of these."""
    cluster = adopted(lab, engine)
    first, second, _ = cluster.primaries()
    own = cluster.replica_of(second)
    spare = f"{lab.hosts[0]}:{lab.free_port()}"
    secrets = (f'requirepass "{PASSWORD.replace(chr(34), chr(92) + chr(34))}"', with_masterauth())
    start(lab, engine, spare, "cluster-enabled yes", f"cluster-announce-ip {lab.hosts[0]}", *secrets)
    with cluster.connect(spare) as client:
        client.execute_command("CLUSTER", "MEET", *first.split(":"))
    cluster = Cluster(lab, engine, (*cluster.addresses, spare), PASSWORD, "hand", ENV)
    lab.wait(lambda: cluster.id(first) in {line.id for line in cluster.view(spare).values()}, "it to know the first")
    cluster.execute(spare, "CLUSTER", "REPLICATE", cluster.id(first))
    lab.wait(cluster.is_in_sync, "the spare replica to be in sync")
    for address in cluster.addresses:
        # The servers might move another one at the same moment.
        cluster.execute(address, "CONFIG", "SET", "cluster-migration-barrier", 10)
    assert lab.run("adopt", first, "--name", "hand", env=ENV).code == 0

    own_id = cluster.id(own)
    with cluster.connect(own) as client:
        client.shutdown(nosave=True)
    there = cluster.replica_of(first)
    lab.wait(lambda: "fail" in cluster.view(there)[own_id].flags, "the dead replica to be held failed")
    # As the servers do it themselves after a while, where they know that the primary had a replica.
    cluster.execute(there, "CLUSTER", "REPLICATE", cluster.id(second))
    lab.wait(lambda: cluster.info(there, "replication")["master_link_status"] == "up", "it to have copied the shard")
    for _ in range(2):
        told = cluster.repair()
        assert told.code == 3, told
        assert told.json["done"] == [], told
        assert cluster.line(there).primary == cluster.id(second)
        (note,) = [one for one in told.json["check"]["findings"] if one["code"] == "replica-misplaced"]
        assert note["severity"] == "note"


def test_an_adopted_primary_that_was_reset_becomes_a_replica_of_its_heir(lab: Lab, engine: TestEngine) -> None:
    """After CLUSTER RESET HARD the others keep its old id, which owns slots and is nowhere."""
    cluster = adopted(lab, engine)
    assert lab.run("adopt", cluster.addresses[0], "--name", "hand", env=ENV).code == 0
    wiped = cluster.primaries()[1]
    heir = cluster.replica_of(wiped)
    old = cluster.id(wiped)
    with cluster.connect(wiped) as client:
        client.execute_command("FLUSHALL")
        client.execute_command("CLUSTER", "RESET", "HARD")
    told = cluster.repair()
    assert told.code in (0, 3), told  # on a busy machine its copy may take longer than a repair waits
    assert cluster.line(wiped).primary == cluster.id(heir)
    lab.wait(lambda: cluster.check().code == 0, "the replica to be in sync")
    assert all(old not in {line.id for line in view.values()} for view in cluster.views().values())
    assert "ghost-node" not in codes_of(cluster.check().json)


def test_the_same_by_the_address_of_a_node(lab: Lab, engine: TestEngine) -> None:
    """Nobody can tell where the node that was reset is: the rest is mended."""
    hand = make(lab, engine, with_masterauth())
    cluster = Cluster(lab, engine, hand.addresses, PASSWORD, hand.seed, ENV)
    lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    wiped = next(address for address in cluster.primaries() if address != hand.seed)
    heir, old = cluster.replica_of(wiped), cluster.id(wiped)
    cluster.execute(wiped, "CLUSTER", "RESET", "HARD")
    told = cluster.repair()
    assert told.code in (0, 3), told
    assert told.json["refusals"] == [], told
    others = [address for address in cluster.addresses if address != wiped]
    assert all(old not in cluster.view(address) for address in others)
    assert cluster.line(heir).is_primary
