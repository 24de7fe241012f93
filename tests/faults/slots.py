"""Faults of slots: half moved, owned twice or by nobody, and keys where they don't belong."""

from __future__ import annotations

import redis.exceptions

from tests.faults import data
from tests.faults.cluster import Cluster
from tests.faults.injected import InjectedFault

BIG = 24 * 1024 * 1024


def _two(cluster: Cluster) -> tuple[str, str]:
    first, second, *_ = cluster.primaries()
    return first, second


def open_both(cluster: Cluster, slot: int, source: str, target: str) -> None:
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))
    cluster.execute(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id(target))


def move(cluster: Cluster, source: str, target: str, keys: list[bytes], timeout_ms: int = 5000) -> None:
    """MIGRATE as redis-cli does it."""
    host, _, port = target.rpartition(":")
    login = ("AUTH", cluster.password) if cluster.password else ()
    cluster.execute(source, "MIGRATE", host, port, "", 0, timeout_ms, *login, "KEYS", *keys)


def open_on_source(cluster: Cluster) -> None:
    """F01."""
    source, target = _two(cluster)
    slot, _ = cluster.slot_with_keys(source)
    cluster.execute(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", cluster.id(target))
    assert cluster.line(source).open == (f"{slot}->-{cluster.id(target)}",)


def open_on_target(cluster: Cluster) -> None:
    """F02, and clients were sent there meanwhile: their keys are on the target alone."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))
    asked = [keys[0] + b":asked:%d" % number for number in range(9)]
    for key in asked:
        cluster.asking(target, "SET", key, b"asked for " + key)
    cluster.remember(target, asked)
    assert cluster.line(target).open == (f"{slot}-<-{cluster.id(source)}",)


def half_moved(cluster: Cluster) -> None:
    """F03."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    open_both(cluster, slot, source, target)
    move(cluster, source, target, keys[: len(keys) // 2])
    assert cluster.execute(source, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(keys) - len(keys) // 2
    assert cluster.line(source).open
    assert cluster.line(target).open


def finalised_on_source(cluster: Cluster) -> None:
    """F04: all keys are on the target, which does not know yet that the slot is its own."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    open_both(cluster, slot, source, target)
    move(cluster, source, target, keys)
    cluster.execute(source, "CLUSTER", "SETSLOT", slot, "NODE", cluster.id(target))
    assert slot not in cluster.line(source).slots
    assert slot not in cluster.line(target).slots


def _copy(cluster: Cluster, source: str, target: str, slot: int, key: bytes) -> None:
    payload = cluster.execute(source, "DUMP", key)
    left = max(cluster.execute(source, "PTTL", key), 0)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))
    cluster.asking(target, "RESTORE", key, left, payload)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "STABLE")


def held_twice(cluster: Cluster) -> None:
    """F05: keys of every type that an abandoned move left on a node that does not own their slot."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    for key in keys:
        _copy(cluster, source, target, slot, key)
    assert cluster.execute(target, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(keys)
    assert not cluster.line(target).open


def held_twice_in_an_open_slot(cluster: Cluster) -> None:
    """F05: the slot is still open on the node that has the copies."""
    source, target = _two(cluster)
    held_twice(cluster)
    slot, _ = cluster.slot_with_keys(source)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))


def differing(cluster: Cluster) -> None:
    """F06: the copy was written to meanwhile."""
    source, target = _two(cluster)
    slot, _ = cluster.slot_with_keys(source)
    differing_in_an_open_slot(cluster)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "STABLE")
    assert cluster.execute(target, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1


def differing_in_an_open_slot(cluster: Cluster) -> None:
    """F06: and the slot is still open on the node that has the copy."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    cluster.execute(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", cluster.id(source))
    cluster.asking(target, "SET", keys[0], "what the other node was told")


def owned_twice(cluster: Cluster) -> None:
    """F07, in the way that the servers settle without a loss: the one with the lower epoch claims too much."""
    primaries = cluster.primaries()
    low = min(primaries, key=lambda address: cluster.line(address).epoch)
    high = max(primaries, key=lambda address: cluster.line(address).epoch)
    slot, _ = cluster.slot_with_keys(high)
    with cluster.connect(low) as client:
        client.execute_command("CLUSTER", "DELSLOTS", slot)
        client.execute_command("CLUSTER", "ADDSLOTS", slot)


def _disown(cluster: Cluster, slot: int) -> None:
    for address in cluster.addresses:
        cluster.execute(address, "CLUSTER", "DELSLOTS", slot)
    assert not any(slot in line.slots for view in cluster.views().values() for line in view.values())


def unowned_empty(cluster: Cluster) -> None:
    """F08."""
    _disown(cluster, cluster.empty_slot(cluster.primaries()[0]))


def unowned_with_keys(cluster: Cluster) -> None:
    """F09."""
    owner = cluster.primaries()[0]
    slot, keys = cluster.slot_with_keys(owner)
    _disown(cluster, slot)
    assert cluster.execute(owner, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(keys)


def big_key_unanswered(cluster: Cluster) -> None:
    """F12: a MIGRATE timed out, and the target got the key all the same: it is on both."""
    source, target = _two(cluster)
    slot, keys = cluster.slot_with_keys(source)
    big = keys[0] + b":big"
    cluster.execute(source, "SET", big, b"x" * BIG)
    cluster.known[big] = data.Content("string", b"x" * BIG)
    open_both(cluster, slot, source, target)
    thaw = cluster.freeze(target)
    try:
        move(cluster, source, target, [keys[1]], timeout_ms=300)
        raise AssertionError("a frozen target answered")
    except redis.exceptions.ResponseError as error:
        assert "IOERR" in str(error)
    finally:
        thaw()
    cluster.lab.wait(
        lambda: cluster.execute(target, "CLUSTER", "COUNTKEYSINSLOT", slot) == 1, "the target to read what came", 10
    )
    assert cluster.execute(source, "CLUSTER", "COUNTKEYSINSLOT", slot) == len(keys) + 1
    cluster.wait_until_ok()


def target_full(cluster: Cluster) -> InjectedFault:
    """F14: half moved, and the target takes no more."""
    half_moved(cluster)
    _, target = _two(cluster)
    cluster.execute(target, "CONFIG", "SET", "maxmemory", 1024 * 1024)
    return InjectedFault(relieve=lambda: cluster.execute(target, "CONFIG", "SET", "maxmemory", 0) and None)
