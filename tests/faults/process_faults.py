"""Faults of processes: killed and frozen nodes, whole shards and majorities, and primaries that kept nothing."""

from __future__ import annotations

import shutil
import socket
from contextlib import ExitStack

from tests.faults import data
from tests.faults.cluster import Cluster
from tests.faults.injected import InjectedFault

OLD_S = 20


def _first(cluster: Cluster) -> tuple[str, str]:
    primary = cluster.primaries()[0]
    return primary, cluster.replica_of(primary)


def primary_killed(cluster: Cluster) -> None:
    """F15."""
    primary, replica = _first(cluster)
    cluster.kill(primary)
    cluster.wait_for_takeover(replica)


def lone_primary_killed(cluster: Cluster) -> None:
    """F16 and F49, in a cluster without replicas."""
    primary = cluster.primaries()[0]
    cluster.kill(primary)
    cluster.wait_until_failed(primary)


def lone_primary_left_out(cluster: Cluster) -> None:
    """F49, where the file says that the others serve on."""
    lone_primary_killed(cluster)
    cluster.wait_until_ok()


def shard_killed(cluster: Cluster) -> None:
    """F17: primary and replica of one shard."""
    pair = _first(cluster)
    cluster.kill(*pair)
    cluster.wait_until_failed(*pair)


def shard_that_can_not_start(cluster: Cluster) -> InjectedFault:
    """F17, and for now it can't come back: somebody else has its ports."""
    pair = _first(cluster)
    cluster.kill(*pair)
    strangers = ExitStack()
    for address in pair:
        strangers.enter_context(_listener(cluster, address))
    cluster.wait_until_failed(*pair)
    return InjectedFault(relieve=strangers.close)


def _listener(cluster: Cluster, address: str) -> socket.socket:
    """A child that still writes a file may hold the port for a moment longer than its parent."""
    host, _, port = address.rpartition(":")

    def take() -> socket.socket | None:
        try:
            return socket.create_server((host, int(port)))
        except OSError:
            return None

    taken = cluster.lab.wait(take, f"{address} to be free")
    assert isinstance(taken, socket.socket)
    return taken


def majority_killed(cluster: Cluster) -> None:
    """F18: two of three primaries at once, so that no replica is elected."""
    victims = cluster.primaries()[:2]
    cluster.kill(*victims)
    cluster.wait_until_failed(*victims)
    assert not cluster.is_ok()


def majority_with_its_disks(cluster: Cluster) -> None:
    """F18, and what they kept is gone as well: only their replicas have it."""
    victims = cluster.primaries()[:2]
    cluster.kill(*victims)
    for address in victims:
        shutil.rmtree(cluster.folder(address))
    cluster.wait_until_failed(*victims)
    assert not cluster.is_ok()


def replica_killed(cluster: Cluster) -> None:
    """F19."""
    _, replica = _first(cluster)
    cluster.kill(replica)
    cluster.wait_until_failed(replica)


def primary_frozen(cluster: Cluster) -> None:
    """F20: the replica takes over; the frozen one is still there."""
    primary, replica = _first(cluster)
    cluster.freeze(primary)
    cluster.wait_for_takeover(replica)


def replica_frozen(cluster: Cluster) -> None:
    """F20, of a replica."""
    _, replica = _first(cluster)
    cluster.freeze(replica)
    cluster.wait_until_failed(replica)


def came_back_empty(cluster: Cluster) -> InjectedFault:
    """F21: it kept nothing, and was started again before anybody missed it; its replica follows it into emptiness."""
    primary, replica = _first(cluster)
    owned = cluster.line(primary).slots
    # A restart shows by an uptime that is less than half of the others'.
    cluster.lab.wait(lambda: cluster.info(primary, "server")["uptime_in_seconds"] > OLD_S, "the nodes to be old", 60)
    cluster.kill(primary)
    cluster.start_by_hand(primary)
    cluster.wait_until_answers(primary)
    cluster.lab.wait(
        lambda: (
            cluster.info(replica, "replication")["master_link_status"] == "up"
            and cluster.execute(replica, "DBSIZE") == 0
        ),
        "the replica to copy what is empty",
        20,
    )
    assert cluster.line(primary).is_primary
    cluster.wait_until_ok()
    return InjectedFault(lost=frozenset(key for key in cluster.known if data.slot_of(key) in owned))
