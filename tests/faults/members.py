"""Faults of membership: addresses, epochs, strangers, passwords and places."""

from __future__ import annotations

import re

from tests.faults.cluster import Cluster


def _first(cluster: Cluster) -> tuple[str, str]:
    primary = cluster.primaries()[0]
    return primary, cluster.replica_of(primary)


def epoch_collision(cluster: Cluster) -> None:
    """F28: two primaries start with one config epoch."""
    one, other, *_ = cluster.primaries()
    ids, epochs = (cluster.id(one), cluster.id(other)), (cluster.line(one).epoch, cluster.line(other).epoch)
    cluster.kill(*cluster.addresses)
    for address in cluster.addresses:
        path = cluster.folder(address) / "nodes.conf"
        # id address flags primary ping pong EPOCH ...
        pattern = rf"^({ids[1]} \S+ \S+ \S+ \S+ \S+) {epochs[1]} "
        path.write_text(re.sub(pattern, rf"\1 {epochs[0]} ", path.read_text(), flags=re.MULTILINE))
    for address in cluster.addresses:
        cluster.start_by_hand(address)
    for address in cluster.addresses:
        cluster.wait_until_answers(address)
    cluster.wait_until_ok()


def _elsewhere(cluster: Cluster, address: str, by: int) -> str:
    """An address of this machine that no host of the cluster has."""
    host, _, port = address.rpartition(":")
    head, _, last = host.rpartition(".")
    return f"{head}.{int(last) + by}:{port}"


def _start_elsewhere(cluster: Cluster, address: str, by: int = 10) -> str:
    moved = _elsewhere(cluster, address, by)
    host = moved.rpartition(":")[0]
    cluster.start_by_hand(address, "--bind", host, "--cluster-announce-ip", host, "--replica-announce-ip", host)
    cluster.wait_until_answers(moved)
    return moved


def _tell_the_file(cluster: Cluster, *hosts: str) -> None:
    """The operator writes the new addresses of ``hosts`` into the file, in the places of the old ones."""
    path = cluster.lab.folder / "cluster.yaml"
    text = path.read_text()
    moved = {host: _elsewhere(cluster, f"{host}:1", 10).rpartition(":")[0] for host in hosts}
    for old, new in moved.items():
        text = re.sub(rf"(?<![\d.]){re.escape(old)}(?![\d.])", new, text)
    path.write_text(text)
    places = (address.rpartition(":") for address in cluster.addresses)
    cluster.addresses = tuple(f"{moved.get(host, host)}:{port}" for host, _, port in places)
    cluster.target = "cluster.yaml"


def one_address_changed(cluster: Cluster) -> None:
    """F29: a host has another address, and its nodes can't be where they were; a replica takes over meanwhile."""
    host = cluster.lab.hosts[1]
    mine = [address for address in cluster.addresses if address.startswith(f"{host}:")]
    primary = next(address for address in mine if cluster.line(address).is_primary)
    heir = cluster.replica_of(primary)
    cluster.kill(*mine)
    _tell_the_file(cluster, host)
    cluster.wait_for_takeover(heir)


def all_addresses_changed(cluster: Cluster) -> None:
    """F30: nobody knows where anybody is."""
    cluster.kill(*cluster.addresses)
    for address in cluster.addresses:
        _start_elsewhere(cluster, address)
    _tell_the_file(cluster, *cluster.lab.hosts)


def rogue_node(cluster: Cluster) -> None:
    """F33: a server that nobody knows joins by the bus, which has no password."""
    address = f"{cluster.lab.hosts[1]}:{cluster.lab.free_port()}"
    host, _, port = cluster.primaries()[0].rpartition(":")
    own = address.rpartition(":")[0]
    process = cluster.lab.serve(cluster.engine, address, "--cluster-enabled", "yes", "--cluster-announce-ip", own)
    with cluster.lab.client(address) as client:
        rogue = client.execute_command("CLUSTER", "MYID").decode()
        client.execute_command("CLUSTER", "MEET", host, port)
    cluster.lab.wait(
        lambda: all(rogue in view and "handshake" not in view[rogue].flags for view in cluster.views().values()),
        "everybody to know it",
        30,
    )
    assert process.poll() is None


def without_masterauth(cluster: Cluster) -> None:
    """F35."""
    _masterauth(cluster, "")


def with_wrong_masterauth(cluster: Cluster) -> None:
    """F35."""
    _masterauth(cluster, "not the password")


def _masterauth(cluster: Cluster, value: str) -> None:
    _, replica = _first(cluster)
    break_masterauth(cluster, replica, value)


def break_masterauth(cluster: Cluster, replica: str, value: str) -> None:
    cluster.execute(replica, "CONFIG", "SET", "masterauth", value)
    cluster.execute(replica, "CLIENT", "KILL", "TYPE", "master")
    cluster.lab.wait(
        lambda: cluster.info(replica, "replication")["master_link_status"] == "down", "the link to be lost", 10
    )


def rotated_half(cluster: Cluster) -> None:
    """F50: the file has the next password, and so have the nodes of two hosts; then whoever did it was cut."""
    hosts = cluster.lab.hosts[1:]
    following = "the next password"
    for address in (address for address in cluster.addresses if address.startswith(hosts)):
        with cluster.connect(address) as client:
            client.execute_command("CONFIG", "SET", "masterauth", following)
            client.execute_command("CONFIG", "SET", "requirepass", following)
            client.execute_command("CONFIG", "REWRITE")
    cluster.password = following
    cluster.target = "cluster.yaml"  # the file has the word on which of the two is meant
    cluster.environment["CACHE_PASSWORD"] = following


def replica_beside_primary(cluster: Cluster) -> None:
    """F47: a replica was put to the primary of its own host; another shard has none now."""
    primary = cluster.primaries()[0]
    host = primary.rpartition(":")[0]
    replica = next(address for address in cluster.addresses if address.startswith(f"{host}:") and address != primary)
    wanted = cluster.id(primary)
    cluster.execute(replica, "CLUSTER", "REPLICATE", wanted)
    own = cluster.id(replica)
    cluster.lab.wait(
        lambda: all(view[own].primary == wanted for view in cluster.views().values()), "everybody to know it", 20
    )
    cluster.lab.wait(cluster.is_in_sync, "the replica to be in sync")
