"""Faults that destroy data by themselves: they are told, before and after, and a repair never makes the loss larger."""

from __future__ import annotations

import pytest

from tests.engines import TestEngine
from tests.faults import data, files, process_faults
from tests.faults.catalogue import KEEPS_NOTHING
from tests.faults.cluster import Cluster, codes_of, form
from tests.faults.conftest import engine_params
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]


def readable(cluster: Cluster) -> set[bytes]:
    """Known keys that a client reads as they were written."""
    return set(cluster.known) - set(cluster.differing())


@pytest.mark.parametrize("engine", engine_params())
def test_a_primary_that_kept_nothing(lab: Lab, engine: TestEngine) -> None:
    """F21: that nothing is kept is told before it is needed, and that a shard came back empty afterwards."""
    cluster = form(lab, engine, settings=KEEPS_NOTHING)
    before = cluster.check()
    assert codes_of(before.json) == {"unpersisted"}, before
    injected = process_faults.came_back_empty(cluster)
    assert injected.lost
    told = cluster.check()
    assert told.code == 3, told
    assert codes_of(told.json) == {"unpersisted", "came-back-empty"}, told
    assert {finding["severity"] for finding in told.json["findings"] if finding["code"] == "came-back-empty"} == {
        "serious"
    }
    left = readable(cluster)
    assert left == set(cluster.known) - injected.lost
    cluster.repair()
    assert readable(cluster) == left


@pytest.mark.parametrize("engine", engine_params())
def test_the_end_of_an_append_only_file_that_nobody_else_has(lab: Lab, engine: TestEngine) -> None:
    """F37: what was written last is gone; that is told as long as the log says so, and nothing more goes."""
    cluster = form(lab, engine, replicas=0, per_host=1)
    files.append_log_of_a_lone_primary_cut(cluster)
    told = cluster.check()
    assert (told.code, codes_of(told.json)) == (3, {"append-log-cut"}), told
    cluster.repair()
    assert readable(cluster) == set(cluster.known)


@pytest.mark.parametrize("engine", engine_params())
def test_two_clusters_that_somebody_merged(lab: Lab, engine: TestEngine) -> None:
    """F32: MEET between two live clusters. What the servers destroy is gone; nothing more goes."""
    first = form(lab, engine)
    second = form(lab, engine, name="other", file="other.yaml")
    host, _, port = second.primaries()[0].rpartition(":")
    first.execute(first.primaries()[0], "CLUSTER", "MEET", host, port)
    everybody = {*first.addresses, *second.addresses}

    def are_one() -> bool:
        views = [*first.views().values(), *second.views().values()]
        return all(everybody <= {line.address for line in view.values()} for view in views)

    lab.wait(are_one, "everybody to know everybody")
    lab.wait(lambda: agree(first, second), "the servers to settle whose the slots are")
    told = first.check()
    assert told.code == 3, told
    codes = codes_of(told.json)
    assert codes & {"clusters-merged", "unknown-node"}, told
    found = {*stored(first), *stored(second)}
    first.repair()
    assert {*stored(first), *stored(second)} >= found


def agree(*clusters: Cluster) -> bool:
    """Every slot has the same owner in the eyes of all."""
    views = [view for cluster in clusters for view in cluster.views().values()]
    owners = [{line.id: line.slots for line in view.values() if line.slots} for view in views]
    return all(one == owners[0] for one in owners)


def stored(cluster: Cluster) -> set[bytes]:
    """Every key on every primary, wherever it is."""
    found: set[bytes] = set()
    for address in cluster.primaries():
        with cluster.connect(address) as client:
            found |= set(client.scan_iter(count=1000))
    return found


def test_slots_of_keys_are_those_of_the_servers(lab: Lab, embedded: TestEngine) -> None:
    """What the other tests count with."""
    cluster = form(lab, embedded, replicas=0, per_host=1)
    key = b"{tag1}:0"
    assert cluster.execute(cluster.addresses[0], "CLUSTER", "KEYSLOT", key) == data.slot_of(key)
