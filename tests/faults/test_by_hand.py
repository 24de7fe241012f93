"""A cluster made by hand with `redis-cli --cluster create`: repaired by the address of one of its nodes."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine
from tests.faults import members, slots
from tests.faults.cluster import Cluster, codes_of
from tests.faults.conftest import engine_params
from tests.integration.by_hand import ENV, PASSWORD, make, with_masterauth
from tests.integration.conftest import Lab
from tests.server_settings import settings_of

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]


def by_hand(lab: Lab, engine: TestEngine, *lines: str) -> Cluster:
    hand = make(lab, engine, *lines)
    return Cluster(lab, engine, hand.addresses, PASSWORD, hand.seed, ENV)


def mend(cluster: Cluster) -> None:
    told = cluster.repair()
    assert told.code == 0, told
    assert cluster.check().code == 0
    assert cluster.differing() == {}
    assert cluster.strays() == {}


@pytest.mark.parametrize("engine", engine_params())
def test_no_replica_can_log_in(lab: Lab, engine: TestEngine) -> None:
    """F35: redis-cli calls it sound; it never had a copy of anything."""
    cluster = by_hand(lab, engine)
    cluster.fill(60, is_copied=False)
    told = cluster.check()
    assert (told.code, codes_of(told.json)) == (3, {"replica-auth-missing"}), told
    mend(cluster)
    assert cluster.is_in_sync()
    for address in cluster.addresses:
        kept = settings_of(cluster.folder(address) / "redis.conf").get("masterauth")
        assert cluster.line(address).is_primary or kept == [PASSWORD], "for the next start"
    assert not (lab.state / "clusters/hand").exists()


@pytest.mark.parametrize("engine", engine_params())
def test_a_slot_that_was_left_half_moved(lab: Lab, engine: TestEngine) -> None:
    """F03."""
    cluster = by_hand(lab, engine, with_masterauth())
    lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    cluster.fill()
    slots.half_moved(cluster)
    told = cluster.check()
    assert (told.code, codes_of(told.json)) == (3, {"open-slot"}), told
    mend(cluster)


@pytest.mark.parametrize("engine", engine_params())
def test_a_node_that_is_not_ours_is_not_started(lab: Lab, engine: TestEngine) -> None:
    """F19: it is told, with the reason, and nothing else is done about it."""
    cluster = by_hand(lab, engine, with_masterauth())
    lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    cluster.fill()
    replica = cluster.replica_of(cluster.primaries()[2])
    with cluster.connect(replica) as client:
        client.shutdown(nosave=True)
    cluster.wait_until_failed(replica)
    members.break_masterauth(cluster, cluster.replica_of(cluster.primaries()[0]), "")
    told = cluster.check()
    assert codes_of(told.json) == {"node-down", "replica-auth-missing"}, told
    mended = cluster.repair()
    assert mended.code == 3, mended
    assert codes_of(mended.json["check"]) == {"node-down"}, mended
    assert cluster.differing() == {}
