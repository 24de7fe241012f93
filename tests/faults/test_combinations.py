"""Two faults at once: both are named, neither hides the other, and one repair mends both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.engines import TestEngine
from tests.faults import files, members, slots, table
from tests.faults.catalogue import Row
from tests.faults.cluster import Cluster, form
from tests.faults.conftest import engine_params
from tests.faults.test_rows import Note, Story
from tests.integration.conftest import Lab

pytestmark = [pytest.mark.servers, pytest.mark.slow, pytest.mark.timeout(300)]


def last_shard(cluster: Cluster) -> tuple[str, str]:
    """Primary and replica of the shard that no fault of slots touches."""
    primary = cluster.primaries()[2]
    return primary, cluster.replica_of(primary)


def dead_replica_and_half_moved(cluster: Cluster) -> None:
    _, replica = last_shard(cluster)
    slots.half_moved(cluster)
    cluster.kill(replica)
    cluster.wait_until_failed(replica)


def dead_primary_and_wrong_masterauth(cluster: Cluster) -> None:
    """The replica that can't log in is of another shard than the one whose primary is gone."""
    primary, replica = last_shard(cluster)
    members.with_wrong_masterauth(cluster)
    cluster.kill(primary)
    cluster.wait_for_takeover(replica)


def broken_map_and_open_slot(cluster: Cluster) -> None:
    _, replica = last_shard(cluster)
    slots.open_on_source(cluster)
    cluster.kill(replica)
    files.cut_map(cluster, replica)
    cluster.wait_until_failed(replica)


def frozen_replica_and_unowned_slot(cluster: Cluster) -> None:
    _, replica = last_shard(cluster)
    slots.unowned_with_keys(cluster)
    cluster.freeze(replica)
    cluster.wait_until_failed(replica)


def twice_held_keys_and_missing_masterauth(cluster: Cluster) -> None:
    _, replica = last_shard(cluster)
    slots.held_twice(cluster)
    members.break_masterauth(cluster, replica, "")


def lost_folder_and_misplaced_replica(cluster: Cluster) -> None:
    members.replica_beside_primary(cluster)
    victim = next(
        line.address for line in cluster.view(cluster.primaries()[0]).values() if _is_plain_replica(line.id, cluster)
    )
    cluster.kill(victim)
    files.delete_folder(cluster, victim)
    cluster.wait_until_failed(victim)


def _is_plain_replica(node_id: str, cluster: Cluster) -> bool:
    """A replica on another host than its primary."""
    view = cluster.view(cluster.primaries()[0])
    line = view[node_id]
    return line.primary in view and line.address.split(":")[0] != view[line.primary].address.split(":")[0]


def cut_append_log_and_twice_held_key(cluster: Cluster) -> None:
    """The damaged node is a replica; the keys are on two primaries."""
    _, replica = last_shard(cluster)
    slots.held_twice(cluster)
    cluster.kill(replica)
    files.damage_append_log(cluster, replica)
    files.start_in_vain(cluster, replica)
    cluster.wait_until_failed(replica)


def stranger_and_dead_replica(cluster: Cluster) -> None:
    _, replica = last_shard(cluster)
    members.rogue_node(cluster)
    cluster.kill(replica)
    cluster.wait_until_failed(replica)


@dataclass(frozen=True)
class Pair:
    inject: Callable[[Cluster], None]
    must: str
    may: str = ""
    words: str = ""
    options: tuple[str, ...] = ()


PAIRS = (
    Pair(dead_replica_and_half_moved, "node-down open-slot"),
    Pair(dead_primary_and_wrong_masterauth, "node-down replica-auth-rejected", "role-moved"),
    Pair(broken_map_and_open_slot, "map-broken open-slot", "node-down"),
    Pair(frozen_replica_and_unowned_slot, "node-stopped slots-uncovered", "cluster-state-fail"),
    Pair(twice_held_keys_and_missing_masterauth, "keys-misplaced replica-auth-missing", options=("--keys",)),
    Pair(
        lost_folder_and_misplaced_replica,
        "folder-lost replica-misplaced",
        "replica-beside-primary node-down shard-without-replica",
    ),
    Pair(cut_append_log_and_twice_held_key, "append-log-damaged keys-misplaced", "node-down", options=("--keys",)),
    Pair(stranger_and_dead_replica, "unknown-node node-down", words="forget"),
)


@pytest.mark.parametrize("engine", engine_params())
@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.inject.__name__)
def test_both_are_named_and_mended(lab: Lab, engine: TestEngine, pair: Pair, record_property: Note) -> None:
    title = pair.inject.__name__.replace("_", " ")
    row = Row(
        "pair",
        title,
        pair.inject,
        frozenset(pair.must.split()),
        may=frozenset(pair.may.split()),
        words=frozenset(pair.words.split()),
        check_options=pair.options,
    )
    story = Story(row, form(lab, engine))
    try:
        story.tell()
    finally:
        record_property(table.PROPERTY, story.line())
