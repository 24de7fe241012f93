"""Faults in which the copies of a shard differ: who starts, follows or leads decides which keys are left."""

from __future__ import annotations

import os
import shutil

from redis import Redis
from redis.exceptions import RedisError

from tests.faults import data, files, slots
from tests.faults.cluster import Cluster
from tests.faults.injected import InjectedFault


def first_pair(cluster: Cluster) -> tuple[str, str]:
    primary = cluster.primaries()[0]
    return primary, cluster.replica_of(primary)


def lose_log(cluster: Cluster, address: str) -> None:
    folder = cluster.folder(address)
    shutil.rmtree(folder / "appendonlydir", ignore_errors=True)
    (folder / "appendonly.aof").unlink(missing_ok=True)


def cut_log(cluster: Cluster, address: str) -> None:
    path = files.append_log(cluster, address)
    os.truncate(path, path.stat().st_size // 2 - 7)


def log_of_a_primary_lost(cluster: Cluster) -> None:
    primary, _ = first_pair(cluster)
    cluster.kill(primary)
    lose_log(cluster, primary)


def log_of_a_primary_cut(cluster: Cluster) -> None:
    primary, _ = first_pair(cluster)
    cluster.kill(primary)
    cut_log(cluster, primary)


def log_switched_off(cluster: Cluster) -> None:
    primary, _ = first_pair(cluster)
    cluster.execute(primary, "CONFIG", "SET", "appendonly", "no")
    path = files.append_log(cluster, primary)
    cluster.lab.wait(lambda: path.stat().st_mtime < files.now() - 1, "its file to be old")
    tag = cluster.slot_with_keys(primary)[1][0].split(b"}")[0] + b"}"
    with cluster.connect(primary) as client:
        for number in range(50):
            client.set(tag + b":late:%d" % number, b"v")
        client.wait(1, 5000)
    cluster.remember(primary, [tag + b":late:%d" % number for number in range(50)])
    cluster.kill(primary)


def log_lost_and_both_killed(cluster: Cluster) -> None:
    primary, replica = first_pair(cluster)
    cluster.kill(primary, replica)
    lose_log(cluster, primary)


def slots_taken_and_folder_lost(cluster: Cluster) -> None:
    primary, _ = first_pair(cluster)
    owned = sorted(cluster.line(primary).slots)
    for address in cluster.addresses:
        cluster.execute(address, "CLUSTER", "DELSLOTS", *owned)
    cluster.kill(primary)
    shutil.rmtree(cluster.folder(primary))
    cluster.wait_until_failed(primary)


def replica_with_other_data(cluster: Cluster) -> None:
    """Another shard's replica was told to follow this primary, and can't log in there."""
    primary, replica = first_pair(cluster)
    misled = cluster.replica_of(cluster.primaries()[1])
    cluster.lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    with cluster.connect(misled) as client:
        password = client.config_get("masterauth")["masterauth"]
        client.config_set("masterauth", "another one")
        client.execute_command("CLUSTER", "REPLICATE", cluster.id(primary))
        cluster.lab.wait(lambda: client.info("replication")["master_link_status"] == "down", "its link to be down")
        cluster.kill(replica, primary)
        shutil.rmtree(cluster.folder(primary))
        client.config_set("masterauth", password)


def half_moved_and_source_killed(cluster: Cluster) -> None:
    source = cluster.primaries()[0]
    heir = cluster.replica_of(source)
    cluster.lab.wait(cluster.is_in_sync, "the replicas to be in sync")
    slots.half_moved(cluster)
    cluster.kill(source)
    cluster.lab.wait(lambda: cluster.line(heir).is_primary, "the replica to take over")


def only_copy_in_another_primary(cluster: Cluster) -> None:
    """An abandoned move left a key with a primary that does not own its slot; its replica has it, and it died."""
    source, holder, *_ = cluster.primaries()
    slot, keys = cluster.slot_with_keys(source)
    key = keys[0].split(b"}")[0] + b"}:only"
    cluster.execute(holder, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))
    cluster.asking(holder, "SET", key, b"v")
    cluster.remember(holder, [key])
    cluster.execute(holder, "CLUSTER", "SETSLOT", slot, "STABLE")
    cluster.execute(holder, "WAIT", 1, 5000)
    cluster.kill(holder)


def flushed_while_its_replica_was_away(cluster: Cluster) -> InjectedFault:
    """The emptier copy is the right one: it goes on with the same history."""
    primary, replica = first_pair(cluster)
    owned = cluster.line(primary).slots
    cluster.kill(replica)
    cluster.execute(primary, "FLUSHALL")
    return InjectedFault(lost=frozenset(key for key in cluster.known if data.slot_of(key) in owned))


def clients_at_their_limit(cluster: Cluster) -> InjectedFault:
    """Clients that leak their connections: nobody else is let in, and who is in goes on. The bus of some versions
    counts, too."""
    primary, _ = first_pair(cluster)
    held: list[Redis] = []
    with cluster.connect(primary) as client:
        before = client.config_get("maxclients")["maxclients"]
        client.config_set("maxclients", client.info("clients")["connected_clients"] + 40)
    opener = cluster.connect(primary)
    opener.ping()
    try:
        for _ in range(200):
            one = cluster.connect(primary)
            held.append(one)
            one.ping()
        raise AssertionError("its limit of clients is never reached")
    except RedisError:
        pass

    def relieve() -> None:
        opener.config_set("maxclients", before)
        for one in (opener, *held):
            one.close()

    return InjectedFault(relieve)
